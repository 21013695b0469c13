/* The folder of an obstruction network: mask.json, which names the files of the newest save, and the save before it. */
#include "obstruction.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEWEST "mask.json"
#define BEFORE "mask.previous.json"
#define FORMAT 1

/* ---- Reading --------------------------------------------------------------------------------------------- */

static bool whole(const json_t *json, const char *key, int64_t least, int64_t most, int64_t *value, lk_error *err) {
    const json_t *v = json_object_get(json, key);
    if (!json_is_integer(v) || json_integer_value(v) < least || json_integer_value(v) > most)
        return lk_fail(err, LK_ERR_FORMAT, "'%s' is not a whole number in its range", key);
    *value = json_integer_value(v);
    return true;
}

static bool file_from(const json_t *json, const char *key, lk_saved_file *f, lk_error *err) {
    const json_t *entry = json_object_get(json, key);
    const char *name = json_string_value(json_object_get(entry, "name"));
    const char *hex = json_string_value(json_object_get(entry, "sha256"));
    if (!name || !hex || !*name || strlen(name) >= sizeof f->name || strchr(name, '/') || *name == '.' ||
        strlen(hex) != 64)
        return lk_fail(err, LK_ERR_FORMAT, "the file of its %s is not named as it should be", key);
    snprintf(f->name, sizeof f->name, "%s", name);
    snprintf(f->sha256, sizeof f->sha256, "%s", hex);
    return true;
}

static double share(const json_t *json, const char *key) {
    const json_t *v = json_object_get(json, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static bool from_json(lk_obstruction_save *s, const json_t *json, lk_error *err) {
    int64_t format = 0, type = 0, faces = 0, hidden = 0;
    if (!json_is_object(json)) return lk_fail(err, LK_ERR_FORMAT, "it is no JSON object");
    if (!whole(json, "format", 1, INT32_MAX, &format, err)) return false;
    if (format > FORMAT)
        return lk_fail(err, LK_ERR_UNSUPPORTED, "it was written by a newer version of Likeness (format %lld)",
                       (long long)format);
    const json_t *quality = json_object_get(json, "quality");
    bool ok = whole(json, "iteration", 0, (int64_t)1 << 47, &s->iteration, err) &&
              whole(json, "optimizer_steps", 0, (int64_t)1 << 47, &s->steps, err) &&
              whole(json, "number", 0, (int64_t)1 << 47, &s->number, err) &&
              whole(json, "face_type", LK_FACE_HALF, LK_FACE_HEAD, &type, err) &&
              whole(quality, "faces", 0, INT32_MAX, &faces, err) &&
              whole(quality, "hidden", 0, INT32_MAX, &hidden, err) && file_from(json, "weights", &s->weights, err) &&
              file_from(json, "optimizer", &s->optimizer, err) &&
              lk_options_defaults(lk_obstruction_option_table, &s->options, err) &&
              lk_options_from_json(lk_obstruction_option_table, &s->options, json_object_get(json, "options"), err);
    s->type = (lk_face_type)type;
    s->quality =
        (lk_obstruction_quality){(int)faces, (int)hidden, share(quality, "visible"), share(quality, "obstruction")};
    return ok;
}

static bool file_is_whole(const char *dir, const lk_saved_file *f, lk_error *err) {
    char hex[65], *path = lk_path_join(dir, f->name, err);
    bool ok = path && lk_sha256_file(path, hex, err) &&
              (strcmp(hex, f->sha256) == 0 ||
               lk_fail(err, LK_ERR_FORMAT, "%s is damaged: its checksum does not fit its content", path));
    free(path);
    return ok;
}

static bool read_save(const char *dir, const char *name, lk_obstruction_save *s, bool *there, lk_error *err) {
    char *path = lk_path_join(dir, name, err);
    *there = path && lk_file_exists(path);
    json_t *json = *there ? lk_json_read(path, err) : NULL;
    bool ok = json && (from_json(s, json, err) || lk_fail_in(err, "%s cannot be used", path)) &&
              file_is_whole(dir, &s->weights, err) && file_is_whole(dir, &s->optimizer, err);
    json_decref(json);
    free(path);
    return ok;
}

bool lk_obstruction_read(const char *dir, lk_obstruction_save *s, bool *found, lk_error *err) {
    lk_error newest = {0};
    bool there, before;
    *s = (lk_obstruction_save){0};
    *found = true;
    if (read_save(dir, NEWEST, s, &there, &newest)) return true;
    *s = (lk_obstruction_save){0};
    if (newest.code != LK_ERR_UNSUPPORTED && read_save(dir, BEFORE, s, &before, NULL)) {
        lk_log(LK_LOG_WARN, "%s: the newest save cannot be used (%s); going on from the one before, iteration %lld",
               dir, there ? newest.message : NEWEST " is missing", (long long)s->iteration);
        return true;
    }
    *found = false;
    if (there && err) *err = newest;
    return !there;
}

/* ---- Writing --------------------------------------------------------------------------------------------- */

static json_t *share_json(double v) { return isfinite(v) ? json_real(v) : json_null(); }

static json_t *kept_options(const lk_obstruction_save *s) {
    json_t *json = lk_options_to_json(lk_obstruction_option_table, &s->options);
    json_object_del(json, "device"); /* of one run */
    return json;
}

static json_t *to_json(const lk_obstruction_save *s) {
    return json_pack("{s:i, s:s, s:I, s:I, s:I, s:i, s:o, s:{s:s, s:s}, s:{s:s, s:s}, s:{s:i, s:i, s:o, s:o}}",
                     "format", FORMAT, "program", "likeness " LK_VERSION, "number", (json_int_t)s->number, "iteration",
                     (json_int_t)s->iteration, "optimizer_steps", (json_int_t)s->steps, "face_type", (int)s->type,
                     "options", kept_options(s), "weights", "name", s->weights.name, "sha256", s->weights.sha256,
                     "optimizer", "name", s->optimizer.name, "sha256", s->optimizer.sha256, "quality", "faces",
                     s->quality.faces, "hidden", s->quality.hidden, "visible", share_json(s->quality.visible),
                     "obstruction", share_json(s->quality.obstruction));
}

static bool save_slot(const char *dir, const lk_obstruction_save *s, const lk_nn_exec *e, lk_nn_slot slot,
                      lk_saved_file *f, lk_error *err) {
    snprintf(f->name, sizeof f->name, "%s.%lld.safetensors", slot == LK_NN_VALUE ? "weights" : "optimizer",
             (long long)s->number);
    char *path = lk_path_join(dir, f->name, err);
    const lk_nn_metadata metadata[] = {{"model", "obstruction"}};
    bool ok = path && lk_nn_save(e, slot, path, metadata, 1, err) && lk_sha256_file(path, f->sha256, err);
    free(path);
    return ok;
}

static void remove_files(const char *dir, const lk_obstruction_save *s) {
    const lk_saved_file *files[] = {&s->weights, &s->optimizer};
    for (int i = 0; i < 2; i++) {
        char *path = *files[i]->name ? lk_path_join(dir, files[i]->name, NULL) : NULL;
        if (path) unlink(path);
        free(path);
    }
}

bool lk_obstruction_write(const char *dir, lk_obstruction_save *s, const lk_nn_exec *e, lk_error *err) {
    lk_obstruction_save next = *s, older = {0}, newer = {0};
    bool there;
    char *newest = lk_path_join(dir, NEWEST, err), *before = newest ? lk_path_join(dir, BEFORE, err) : NULL;
    next.number = lk_folder_next_number(dir);
    next.weights = next.optimizer = (lk_saved_file){0};
    bool ok = before && save_slot(dir, &next, e, LK_NN_VALUE, &next.weights, err) &&
              save_slot(dir, &next, e, LK_NN_MOMENT1, &next.optimizer, err);
    bool had_older = ok && read_save(dir, BEFORE, &older, &there, NULL);
    /* A newest save that is damaged does not take the place of the one before it. */
    bool had_newer = ok && read_save(dir, NEWEST, &newer, &there, NULL);
    if (ok && had_newer) ok = lk_folder_link(newest, before, err);
    json_t *json = ok ? to_json(&next) : NULL;
    if (ok) ok = (json || lk_fail(err, LK_ERR_MEMORY, "out of memory")) && lk_json_write(newest, json, err);
    if (!ok) remove_files(dir, &next);
    if (ok && had_older && had_newer && older.number != newer.number) remove_files(dir, &older);
    if (ok) *s = next;
    json_decref(json);
    free(newest);
    free(before);
    return ok;
}

bool lk_obstruction_load(const char *dir, const lk_obstruction_save *s, lk_nn_exec *e, bool optimizer, lk_error *err) {
    char *weights = lk_path_join(dir, s->weights.name, err);
    char *states = weights ? lk_path_join(dir, s->optimizer.name, err) : NULL;
    bool ok = states && lk_nn_load(e, LK_NN_VALUE, weights, NULL, NULL, err) &&
              (!optimizer || lk_nn_load(e, LK_NN_MOMENT1, states, NULL, NULL, err));
    if (optimizer) lk_nn_set_steps(e, s->steps);
    free(weights);
    free(states);
    return ok;
}
