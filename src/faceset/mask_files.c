/* Masks as folders of pictures, and by a pretrained network. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "internal.h"
#include "likeness/media.h"
#include "masks.h"

/* "00012_0.png" of a face that goes out as 00012_0.jpg; caller frees. */
static char *png_name(lk_namer *n, const lk_face *f, lk_error *err) {
    char *name = lk_namer_next(n, f, "png", NULL, err), *dot = name ? strrchr(name, '.') : NULL;
    if (!dot) return name;
    char *png = lk_format(err, "%.*s.png", (int)(dot - name), name);
    free(name);
    return png;
}

typedef bool (*each_face)(lk_faceset *s, const lk_face *f, const char *name, void *user, lk_error *err);

/* act for every face that is not removed, with its name. */
static bool for_each(lk_faceset *s, each_face act, void *user, lk_error *err) {
    lk_namer names;
    int64_t *ids, count = lk_faceset_ids(s, NULL, &ids, err);
    lk_face *f = count >= 0 ? lk_alloc(1, sizeof *f, err) : NULL;
    bool ok = f && lk_namer_open(&names, s, err);
    for (int64_t i = 0; ok && i < count; i++) {
        char *name = NULL;
        ok = lk_faceset_get(s, ids[i], f, err) && (name = png_name(&names, f, err)) != NULL &&
             act(s, f, name, user, err);
        free(name);
    }
    free(f);
    free(ids);
    return ok;
}

/* ---- Out ---------------------------------------------------------------------------------------------------- */

typedef struct outward {
    const char *folder;
    const int64_t *ids; /* ascending */
    int64_t count, written;
} outward;

static int by_number(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static bool write_mask(lk_faceset *s, const lk_face *f, const char *name, void *user, lk_error *err) {
    outward *out = user;
    if (!out->count || !bsearch(&f->id, out->ids, (size_t)out->count, sizeof f->id, by_number)) return true;
    lk_image mask = {0};
    char *path = lk_path_join(out->folder, name, err);
    bool ok = path && (!lk_file_exists(path) ||
                       lk_fail(err, LK_ERR_IO, "%s exists already; export into an empty folder", path));
    ok = ok && lk_faceset_mask(s, f, LK_MASKS_ALL, &mask, NULL, err) && lk_image_save(&mask, path, 0, err);
    out->written += ok;
    lk_image_free(&mask);
    free(path);
    return ok;
}

int64_t lk_masks_export(lk_faceset *s, const int64_t *ids, int64_t count, const char *folder, lk_error *err) {
    int64_t *sorted = lk_alloc((size_t)count + 1, sizeof *sorted, err);
    if (!sorted) return -1;
    if (count) memcpy(sorted, ids, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, by_number);
    outward out = {folder, sorted, count, 0};
    bool ok = lk_make_dirs(folder, err) && for_each(s, write_mask, &out, err);
    free(sorted);
    return ok ? out.written : -1;
}

/* ---- In ----------------------------------------------------------------------------------------------------- */

typedef struct inward {
    const char *folder;
    struct dirent **files; /* in the order of strcmp */
    bool *taken;
    int count;
    int64_t read;
} inward;

static int is_png(const struct dirent *e) {
    const char *dot = strrchr(e->d_name, '.');
    return e->d_name[0] != '.' && dot && strcasecmp(dot, ".png") == 0;
}

static int by_name(const void *name, const void *file) { return strcmp(name, (*(struct dirent *const *)file)->d_name); }

static bool read_mask(lk_faceset *s, const lk_face *f, const char *name, void *user, lk_error *err) {
    inward *in = user;
    struct dirent **file = bsearch(name, in->files, (size_t)in->count, sizeof *in->files, by_name);
    if (!file) return true;
    void *data = NULL;
    size_t size;
    lk_image mask = {0};
    char *path = lk_path_join(in->folder, name, err);
    bool ok = path && lk_file_read(path, LK_MAX_CROP_BYTES - 1, &data, &size, err) &&
              (lk_mask_decode(data, size, f->size, &mask, err) || lk_fail_in(err, "%s", path)) &&
              lk_faceset_put_mask(s, f, LK_MASK_KIND_PAINTED, &mask, err);
    in->taken[file - in->files] = true;
    in->read += ok;
    lk_image_free(&mask);
    free(data);
    free(path);
    return ok;
}

static int in_order(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

int64_t lk_masks_import(lk_faceset *s, const char *folder, lk_error *err) {
    inward in = {.folder = folder};
    bool own;
    if (!lk_sql_writable(s, err)) return -1;
    in.count = scandir(folder, &in.files, is_png, in_order);
    if (in.count < 0) {
        if (errno == ENOTDIR)
            lk_fail(err, LK_ERR_FORMAT, "%s is neither a folder of PNGs nor a .json file of polygons", folder);
        else
            lk_fail_errno(err, "%s cannot be read", folder);
        return -1;
    }
    in.taken = lk_alloc((size_t)in.count + 1, sizeof *in.taken, err);
    bool ok = in.taken && (in.count > 0 || lk_fail(err, LK_ERR_NOT_FOUND, "%s holds no PNG", folder)) &&
              lk_sql_enter(s, &own, err);
    if (ok) ok = lk_sql_leave(s, own, for_each(s, read_mask, &in, err), err);
    for (int i = 0; i < in.count; i++) {
        if (ok && !in.taken[i]) lk_log(LK_LOG_WARN, "%s/%s belongs to no face of the set", folder, in.files[i]->d_name);
        free(in.files[i]);
    }
    free(in.files);
    free(in.taken);
    if (ok && in.read == 0)
        ok = lk_fail(err, LK_ERR_NOT_FOUND,
                     "no picture of %s is named as a face of %s; 'likeness set mask export' shows their names", folder,
                     s->path);
    return ok ? in.read : -1;
}

/* ---- By selfie_segmentation --------------------------------------------------------------------------------- */

static bool segment(lk_faceset *s, lk_face_nets *nets, int64_t id, lk_face *f, lk_error *err) {
    void *jpeg = NULL;
    size_t size;
    lk_image crop = {0}, person = {0};
    bool ok = lk_faceset_get(s, id, f, err) && lk_faceset_jpeg(s, id, &jpeg, &size, err) &&
              lk_jpeg_decode(jpeg, size, LK_MAX_CROP_SIDE, &crop, err) && lk_face_segment(nets, &crop, &person, err);
    ok = ok && lk_faceset_put_mask(s, f, LK_MASK_KIND_SEGMENTED, &person, err);
    lk_image_free(&crop);
    lk_image_free(&person);
    free(jpeg);
    return ok || lk_fail_in(err, "face %lld", (long long)id);
}

int64_t lk_faceset_segment(lk_faceset *s, const int64_t *ids, int64_t count, int device, lk_error *err) {
    bool own;
    if (!lk_sql_writable(s, err)) return -1;
    lk_face *f = lk_alloc(1, sizeof *f, err);
    lk_face_nets *nets = f ? lk_face_nets_open(lk_nn_device_for(device), err) : NULL;
    bool ok = nets && lk_sql_enter(s, &own, err), entered = ok;
    lk_progress progress;
    lk_progress_begin(&progress, "segmenting faces", (double)count);
    for (int64_t i = 0; ok && i < count; i++) {
        ok = !lk_interrupted() ? segment(s, nets, ids[i], f, err)
                               : lk_fail(err, LK_ERR_INTERRUPTED, "interrupted; nothing was changed");
        lk_progress_update(&progress, (double)(i + 1), NULL);
    }
    lk_progress_end(&progress);
    if (entered) ok = lk_sql_leave(s, own, ok, err);
    lk_face_nets_close(nets);
    free(f);
    return ok ? count : -1;
}
