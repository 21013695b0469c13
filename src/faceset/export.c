#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dfl.h"
#include "internal.h"
#include "masks.h"

#define PENDING 256 /* files that are synced together */

typedef struct exporter {
    lk_faceset *set;
    const char *folder;
    const lk_export_options *options;
    lk_namer names;
    char *temporary[PENDING], *path[PENDING];
    int pending;
    lk_export_report report;
} exporter;

/* The picture with all that is known of the face in it. */
static bool describe(lk_faceset *s, const lk_face *f, int changed, const void *bytes, size_t size,
                     const lk_dfl_place *place, void **out, size_t *out_size, lk_error *err) {
    lk_pickle p = {0};
    char source_filename[40];
    snprintf(source_filename, sizeof source_filename, "%05lld.png", (long long)f->frame + 1);
    if (place->block_size && !lk_pickle_read(&p, (const uint8_t *)bytes + place->data, place->data_size, err))
        return false;
    void *pickle = NULL;
    size_t pickle_size;
    bool ok = lk_dfl_describe(&p, f, source_filename, err) &&
              (!(changed & LK_CHANGED_MASKS) || lk_dfl_describe_masks(&p, s, f, err)) &&
              lk_pickle_write(&p, &pickle, &pickle_size, err) &&
              lk_dfl_embed(bytes, size, pickle, pickle_size, out, out_size, err);
    free(pickle);
    lk_pickle_free(&p);
    return ok;
}

/* The picture without. */
static bool strip(const void *bytes, size_t size, const lk_dfl_place *place, void **out, size_t *out_size,
                  lk_error *err) {
    uint8_t *to = malloc(size);
    if (!to) return lk_fail(err, LK_ERR_MEMORY, "no memory for a picture of %zu bytes", size);
    size_t rest = place->block + place->block_size;
    memcpy(to, bytes, place->block);
    memcpy(to + place->block, (const uint8_t *)bytes + rest, size - rest);
    *out = to;
    *out_size = size - place->block_size;
    return true;
}

/* ---- Files: written beside, synced many at once, renamed ---------------------------------------------------- */

static void drop_pending(exporter *x) {
    for (int i = 0; i < x->pending; i++) {
        unlink(x->temporary[i]);
        free(x->temporary[i]);
        free(x->path[i]);
    }
    x->pending = 0;
}

/* What was written is on the disk before it gets its name. One sync for many files is some twenty times as fast as one
 * for each. */
static bool settle_pending(exporter *x, lk_error *err) {
    int fd = open(x->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && syncfs(fd) == 0;
    if (!ok) lk_fail_errno(err, "%s cannot be written", x->folder);
    for (int i = 0; ok && i < x->pending; i++)
        ok = rename(x->temporary[i], x->path[i]) == 0 || lk_fail_errno(err, "%s cannot be written", x->path[i]);
    if (ok && fsync(fd) != 0) ok = lk_fail_errno(err, "%s cannot be written", x->folder);
    if (ok) x->report.written += x->pending;
    if (fd >= 0) close(fd);
    drop_pending(x);
    return ok;
}

static bool write_temporary(const char *temporary, const void *bytes, size_t size) {
    FILE *f = fopen(temporary, "wbx");
    if (!f) return false;
    bool ok = fwrite(bytes, 1, size, f) == size;
    ok = fclose(f) == 0 && ok;
    return ok;
}

static bool has_content(const char *path, const struct stat *st, const void *bytes, size_t size) {
    void *old = NULL;
    size_t old_size;
    bool same = (size_t)st->st_size == size && lk_file_read(path, LK_MAX_CROP_BYTES, &old, &old_size, NULL) &&
                old_size == size && memcmp(old, bytes, size) == 0;
    free(old);
    return same;
}

static bool write_file(exporter *x, const char *name, const void *bytes, size_t size, lk_error *err) {
    char *path = lk_path_join(x->folder, name, err), *temporary = path ? lk_file_temporary_name(path, err) : NULL;
    struct stat st;
    bool ok = temporary != NULL;
    if (ok && stat(path, &st) == 0) {
        ok = has_content(path, &st, bytes, size) ||
             lk_fail(err, LK_ERR_IO, "%s exists already with other content; export into an empty folder", path);
        x->report.there += ok;
    } else if (ok) {
        unlink(temporary);
        ok = write_temporary(temporary, bytes, size) || lk_fail_errno(err, "%s cannot be written", path);
        if (!ok) unlink(temporary);
        if (ok) {
            x->temporary[x->pending] = temporary;
            x->path[x->pending++] = path;
            return x->pending < PENDING || settle_pending(x, err);
        }
    }
    free(path);
    free(temporary);
    return ok;
}

static bool export_face(exporter *x, int64_t id, lk_face *f, lk_error *err) {
    void *bytes = NULL, *made = NULL;
    size_t size, made_size = 0;
    char *name = NULL;
    int changed = 0;
    lk_dfl_place place;
    bool ok = lk_faceset_get(x->set, id, f, err) && lk_faceset_jpeg(x->set, id, &bytes, &size, err) &&
              lk_dfl_find(bytes, size, &place, err) &&
              (name = lk_namer_next(&x->names, f, place.png ? "png" : "jpg", &changed, err)) != NULL;
    if (ok && x->options->plain)
        ok = strip(bytes, size, &place, &made, &made_size, err);
    else if (ok && (changed || !place.block_size))
        ok = describe(x->set, f, changed, bytes, size, &place, &made, &made_size, err);
    if (!ok) lk_fail_in(err, "face %lld", (long long)id);
    ok = ok && write_file(x, name, made ? made : bytes, made ? made_size : size, err);
    free(name);
    free(made);
    free(bytes);
    return ok;
}

bool lk_faceset_export(lk_faceset *s, const char *folder, const lk_export_options *o, lk_export_report *report,
                       lk_error *err) {
    exporter x = {.set = s, .folder = folder, .options = o};
    double start = lk_now();
    if (report) *report = x.report;
    int64_t *ids, count = lk_faceset_ids(s, &(lk_faceset_query){.with_removed = o->with_removed}, &ids, err);
    lk_face *f = count > 0 ? lk_alloc(1, sizeof *f, err) : NULL;
    if (count == 0) lk_fail(err, LK_ERR_NOT_FOUND, "%s holds no faces", s->path);
    bool ok = f && lk_namer_open(&x.names, s, err) && lk_make_dirs(folder, err);
    lk_progress progress;
    lk_progress_begin(&progress, "exporting faces", (double)count);
    for (int64_t i = 0; ok && i < count; i++) {
        ok = !lk_interrupted() ? export_face(&x, ids[i], f, err)
                               : lk_fail(err, LK_ERR_INTERRUPTED, "interrupted; run the same command again to go on");
        lk_progress_update(&progress, (double)(i + 1), NULL);
    }
    ok = ok && settle_pending(&x, err);
    drop_pending(&x);
    lk_progress_end(&progress);
    free(f);
    free(ids);
    x.report.seconds = lk_now() - start;
    if (report) *report = x.report;
    return ok;
}
