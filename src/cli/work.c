#include "work.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *describe_video(const char *path, lk_error *err) {
    char hex[65];
    if (!lk_source_fingerprint(path, hex, err)) return NULL;
    char *full = realpath(path, NULL);
    json_t *json = json_pack("{s:s, s:s}", "path", full ? full : path, "fingerprint", hex);
    free(full);
    if (!json) lk_fail(err, LK_ERR_MEMORY, "out of memory");
    return json;
}

/* Where it is computed and decoded makes no other faces. */
static json_t *describe_extraction(const lk_extract_options *o) {
    json_t *json = lk_options_to_json(lk_extract_option_table, o);
    json_object_del(json, "device");
    json_object_del(json, "nvdec");
    return json;
}

/* The record of what is asked for now. */
static json_t *describe(const cli_swap_inputs *in, lk_error *err) {
    lk_extract_options of_src = *in->extract;
    of_src.first = of_src.max = 0;
    json_t *list = json_array(), *dst = describe_video(in->dst, err);
    for (int i = 0; dst && i < in->src->count; i++) {
        json_t *video = describe_video(in->src->items[i], err);
        if (!video) {
            json_decref(dst);
            dst = NULL;
        }
        json_array_append_new(list, video);
    }
    if (!dst) {
        json_decref(list);
        return NULL;
    }
    json_t *json =
        json_pack("{s:i, s:o, s:o, s:o, s:o, s:b}", "format", 1, "src", list, "dst", dst, "src_extract",
                  describe_extraction(&of_src), "dst_extract", describe_extraction(in->extract), "chosen", 0);
    if (!json) lk_fail(err, LK_ERR_MEMORY, "out of memory");
    return json;
}

static const char *fingerprint(const json_t *video) {
    const char *s = json_string_value(json_object_get(video, "fingerprint"));
    return s ? s : "";
}

static const char *path_of(const json_t *video) {
    const char *s = json_string_value(json_object_get(video, "path"));
    return s ? s : "?";
}

static bool holds(const json_t *list, const json_t *video) {
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(fingerprint(json_array_get(list, i)), fingerprint(video)) == 0) return true;
    return false;
}

/* The same dst; the same src, or more of it. */
static bool check_videos(const cli_work *w, const json_t *old, const json_t *now, lk_error *err) {
    const json_t *old_dst = json_object_get(old, "dst"), *dst = json_object_get(now, "dst");
    const json_t *old_src = json_object_get(old, "src"), *src = json_object_get(now, "src");
    bool same = strcmp(fingerprint(old_dst), fingerprint(dst)) == 0 && json_array_size(old_src) > 0;
    for (size_t i = 0; i < json_array_size(old_src); i++) same = same && holds(src, json_array_get(old_src, i));
    if (same) return true;
    return lk_fail(err, LK_ERR_USAGE,
                   "%s holds the work of another swap, of %s into %s: give --work another folder, or delete that one",
                   w->folder, path_of(json_array_get(old_src, 0)), path_of(old_dst));
}

static bool drop(const char *path, lk_error *err) {
    if (!lk_file_exists(path)) return true;
    lk_log(LK_LOG_INFO, "%s was extracted with other options: it is made anew", path);
    return unlink(path) == 0 || lk_fail_errno(err, "%s cannot be deleted", path);
}

static bool compare(cli_work *w, const json_t *old, json_t *now, lk_error *err) {
    if (!check_videos(w, old, now, err)) return false;
    bool same_src = json_equal(json_object_get(old, "src_extract"), json_object_get(now, "src_extract")) == 1;
    bool same_dst = json_equal(json_object_get(old, "dst_extract"), json_object_get(now, "dst_extract")) == 1;
    bool no_more = json_array_size(json_object_get(old, "src")) == json_array_size(json_object_get(now, "src"));
    if (same_src && no_more) json_object_set(now, "chosen", json_object_get(old, "chosen"));
    return (same_src || drop(w->src_faces, err)) && (same_dst || drop(w->dst_faces, err));
}

static bool begin(cli_work *w, const cli_swap_inputs *inputs, lk_error *err) {
    w->record = describe(inputs, err);
    if (!w->record || !lk_make_dirs(w->folder, err)) return false;
    if (lk_file_exists(w->note)) {
        json_t *old = lk_json_read(w->note, err);
        bool ok = old && compare(w, old, w->record, err);
        json_decref(old);
        if (!ok) return false;
    }
    return lk_json_write(w->note, w->record, err);
}

bool cli_work_open(cli_work *w, const char *folder, const cli_swap_inputs *inputs, lk_error *err) {
    *w = (cli_work){.folder = lk_strdup(folder, err)};
    if (w->folder) w->note = lk_path_join(folder, "swap.json", err);
    if (w->note) w->src_faces = lk_path_join(folder, "src.faces", err);
    if (w->src_faces) w->dst_faces = lk_path_join(folder, "dst.faces", err);
    if (w->dst_faces) w->model = lk_path_join(folder, "model", err);
    return w->model && begin(w, inputs, err);
}

bool cli_work_is_chosen(const cli_work *w) { return json_is_true(json_object_get(w->record, "chosen")); }

bool cli_work_set_chosen(cli_work *w, lk_error *err) {
    json_object_set_new(w->record, "chosen", json_true());
    return lk_json_write(w->note, w->record, err);
}

void cli_work_close(cli_work *w) {
    free(w->folder);
    free(w->note);
    free(w->src_faces);
    free(w->dst_faces);
    free(w->model);
    json_decref(w->record);
}
