/* All faces of one side, in memory: decoded where they fit, else as the JPEGs they are stored as. */
#include "internal.h"
#include "likeness/masks.h"
#include "likeness/media.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_SIDE 4096
#define CHUNK     256 /* faces that are decoded side by side */

/* A crop finer than this many of its pixels to one of the model's is averaged down to KEPT of them: bicubic
 * interpolation alone would alias. */
#define FINEST 1.5
#define KEPT   1.25

static double density(const lk_affine *to_model) { return 1 / hypot(to_model->m[0][0], to_model->m[1][0]); }

/* Edges line up when a picture is resized, so that centres move. */
static void shrink(lk_pool_face *f, int from, int to) {
    double k = (double)to / from, shift = 0.5 * k - 0.5;
    const lk_affine back = {{{1 / k, 0, -shift / k}, {0, 1 / k, -shift / k}}};
    const lk_affine forth = {{{k, 0, shift}, {0, k, shift}}};
    f->to_model = lk_affine_multiply(f->to_model, back);
    f->mirrored_to_model = lk_affine_multiply(f->mirrored_to_model, back);
    f->points = lk_landmarks_transform(&f->points, forth);
    f->side = to;
}

/* How the stored crop lies in the model's input, and how it would if the face were its mirror image. */
static bool place(lk_pool_face *f, const lk_face *face, const lk_swap_config *c) {
    lk_landmarks mirrored = lk_landmarks_mirror(&face->crop_points, face->size);
    const lk_affine mirror = {{{-1, 0, face->size - 1}, {0, 1, 0}}};
    lk_affine m;
    if (!lk_face_align(&face->crop_points, (lk_face_type)c->face_type, c->resolution, 1, &f->to_model) ||
        !lk_face_align(&mirrored, (lk_face_type)c->face_type, c->resolution, 1, &m))
        return false;
    f->mirrored_to_model = lk_affine_multiply(m, mirror);
    f->points = face->crop_points;
    f->yaw = face->pose.yaw;
    memcpy(f->mean, face->mean, sizeof f->mean);
    memcpy(f->std, face->std, sizeof f->std);
    lk_landmarks_expression(&face->crop_points, &f->mouth, &f->eyes);
    f->id = face->id;
    f->side = face->size;
    double d = density(&f->to_model);
    if (d > FINEST) shrink(f, face->size, (int)ceil(face->size * KEPT / d));
    return true;
}

bool lk_pool_crop(const lk_pool *p, int i, lk_image *crop, lk_error *err) {
    const lk_pool_face *f = &p->faces[i];
    if (f->crop.data) {
        *crop = lk_image_view(&f->crop, (lk_rect){0, 0, f->crop.width, f->crop.height});
        return true;
    }
    lk_image stored = {0};
    *crop = (lk_image){0};
    bool ok = lk_jpeg_decode(f->jpeg, f->jpeg_size, MOST_SIDE, &stored, err);
    if (ok && stored.width == f->side && stored.height == f->side) {
        *crop = stored;
        return true;
    }
    ok = ok && lk_image_alloc(crop, f->side, f->side, 3, LK_U8, err) && lk_image_resize(&stored, crop, LK_AREA, err);
    lk_image_free(&stored);
    if (ok) return true;
    lk_image_free(crop);
    return lk_fail_in(err, "%s, face %lld", p->paths->items[f->set], (long long)f->id);
}

/* ---- Loading --------------------------------------------------------------------------------------------- */

typedef struct decoding {
    lk_pool *pool;
    int first;
    lk_image crops[CHUNK];
    lk_error errors[CHUNK];
} decoding;

static void decode_one(int i, void *user) {
    decoding *d = user;
    lk_pool_crop(d->pool, d->first + i, &d->crops[i], &d->errors[i]);
}

static bool decode_all(lk_pool *p, lk_error *err) {
    decoding *d = lk_alloc(1, sizeof *d, err);
    bool ok = d != NULL;
    if (ok) d->pool = p;
    for (int first = 0; ok && first < p->count; first += CHUNK) {
        int n = p->count - first < CHUNK ? p->count - first : CHUNK;
        d->first = first;
        lk_parallel_for(n, decode_one, d);
        for (int i = 0; i < n; i++) {
            lk_pool_face *f = &p->faces[first + i];
            f->crop = d->crops[i];
            d->crops[i] = (lk_image){0};
            if (f->crop.data) {
                free(f->jpeg);
                f->jpeg = NULL;
            } else if (ok) {
                ok = false;
                if (err) *err = d->errors[i];
            }
        }
    }
    free(d);
    return ok;
}

/* Room for `more` faces; their places are zero. */
static bool grow(lk_pool *p, int64_t more, lk_error *err) {
    if (more > INT32_MAX / 2 - p->count) return lk_fail(err, LK_ERR_MEMORY, "%s has too many faces", p->side_name);
    lk_pool_face *faces = realloc(p->faces, ((size_t)p->count + (size_t)more + 1) * sizeof *faces);
    if (!faces) return lk_fail(err, LK_ERR_MEMORY, "out of memory for the faces of %s", p->side_name);
    p->faces = faces;
    memset(faces + p->count, 0, (size_t)more * sizeof *faces);
    return true;
}

/* The mask that holds, where there is more than the hull. */
static bool load_mask(lk_faceset *s, const lk_face *face, lk_pool_face *f, lk_error *err) {
    unsigned kinds, used;
    lk_image whole;
    if (!lk_faceset_mask_kinds(s, face->id, &kinds, err)) return false;
    if (!kinds) return true;
    if (!lk_faceset_mask(s, face, LK_MASKS_ALL, &whole, &used, err)) return false;
    if (f->side == face->size) {
        f->mask = whole;
        return true;
    }
    bool ok =
        lk_image_alloc(&f->mask, f->side, f->side, 1, LK_U8, err) && lk_image_resize(&whole, &f->mask, LK_AREA, err);
    lk_image_free(&whole);
    return ok;
}

static bool load_face(lk_pool *p, int set, lk_faceset *s, const lk_face *face, const lk_swap_config *c, lk_error *err) {
    const char *path = p->paths->items[set];
    if ((int)face->type < c->face_type)
        return lk_fail(err, LK_ERR_USAGE,
                       "%s holds faces of type %s, which is less than the model shows (%s): extract it again with "
                       "--face-type %s",
                       path, lk_face_type_names[face->type], lk_face_type_names[c->face_type],
                       lk_face_type_names[c->face_type]);
    lk_pool_face *f = &p->faces[p->count];
    f->set = set;
    f->source = face->source;
    f->frame = face->frame;
    if (!place(f, face, c))
        return lk_fail(err, LK_ERR_FORMAT, "%s, face %lld: its landmarks coincide; remove that face", path,
                       (long long)face->id);
    if (!lk_faceset_jpeg(s, face->id, &f->jpeg, &f->jpeg_size, err)) return false;
    p->count++;
    return load_mask(s, face, f, err);
}

static bool is_held_out(const lk_face *face, const lk_source *sources, int count, double holdout) {
    for (int i = 0; i < count; i++)
        if (sources[i].id == face->source) return lk_held_out(face->frame, sources[i].frames, holdout);
    return false;
}

static bool load_set(lk_pool *p, int set, const lk_swap_config *c, double holdout, lk_error *err) {
    lk_faceset *s = lk_faceset_open(p->paths->items[set], false, err);
    if (!s) return false;
    lk_face *face = lk_alloc(1, sizeof *face, err);
    lk_source *sources = NULL;
    int source_count = face ? lk_faceset_sources(s, &sources, err) : -1;
    int64_t *ids = NULL, count = source_count >= 0 ? lk_faceset_ids(s, NULL, &ids, err) : -1;
    bool ok = count >= 0 && grow(p, count, err);
    for (int64_t i = 0; ok && i < count; i++) {
        ok = lk_faceset_get(s, ids[i], face, err);
        if (ok && is_held_out(face, sources, source_count, holdout) == p->held_out)
            ok = load_face(p, set, s, face, c, err);
    }
    free(ids);
    free(sources);
    free(face);
    lk_faceset_close(s);
    return ok;
}

static bool fill(lk_pool *p, const lk_swap_config *c, double holdout, size_t budget, lk_error *err) {
    if (p->paths->count == 0)
        return lk_fail(err, LK_ERR_USAGE, "%s needs faces of %s: give --%s SET.faces",
                       p->held_out ? "evaluation" : "training", p->side_name, p->side_name);
    for (int i = 0; i < p->paths->count; i++)
        if (!load_set(p, i, c, holdout, err)) return false;
    if (p->count < 2 && p->held_out)
        return lk_fail(err, LK_ERR_USAGE,
                       "%s has %d held-out face%s in %s, and evaluation needs at least 2 of each side: give the "
                       "facesets of the training, or --seen for faces that were trained on",
                       p->side_name, p->count, p->count == 1 ? "" : "s", p->paths->items[0]);
    if (p->count < 2)
        return lk_fail(err, LK_ERR_USAGE, "%s has %d face%s in %s, and training needs at least 2 of each side",
                       p->side_name, p->count, p->count == 1 ? "" : "s", p->paths->items[0]);
    size_t decoded = 0, stored = 0, masks = 0;
    for (int i = 0; i < p->count; i++) {
        decoded += 3 * (size_t)p->faces[i].side * (size_t)p->faces[i].side;
        stored += p->faces[i].jpeg_size;
        if (p->faces[i].mask.data) masks += (size_t)p->faces[i].side * (size_t)p->faces[i].side;
    }
    p->decoded = decoded + masks <= budget;
    p->bytes = (p->decoded ? decoded : stored) + masks;
    return !p->decoded || decode_all(p, err);
}

bool lk_pool_open(lk_pool *p, const char *side_name, const lk_strings *paths, const lk_swap_config *c, double holdout,
                  size_t budget, lk_error *err) {
    *p = (lk_pool){.side_name = side_name, .paths = paths};
    if (fill(p, c, holdout, budget, err)) return true;
    lk_pool_close(p);
    return false;
}

bool lk_pool_open_held_out(lk_pool *p, const char *side_name, const lk_strings *paths, const lk_swap_config *c,
                           double holdout, lk_error *err) {
    *p = (lk_pool){.side_name = side_name, .paths = paths, .held_out = true};
    if (fill(p, c, holdout, 0, err)) return true;
    lk_pool_close(p);
    return false;
}

void lk_pool_close(lk_pool *p) {
    for (int i = 0; p->faces && i < p->count; i++) {
        free(p->faces[i].jpeg);
        lk_image_free(&p->faces[i].crop);
        lk_image_free(&p->faces[i].mask);
    }
    free(p->faces);
    *p = (lk_pool){0};
}
