/* How good the network's masks are on the faces kept aside, and a picture of them. */
#include "judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "likeness/media.h"

#define ROWS 6
#define CELL 160
#define GAP  2

bool lk_obstruction_mask(const float *mask, int size, int side, lk_image *out, lk_error *err) {
    const lk_image view = {size, size, 1, LK_F32, (size_t)size * sizeof(float), (void *)(uintptr_t)mask, true};
    return lk_image_alloc(out, side, side, 1, LK_U8, err) &&
           lk_image_resize(&view, out, side < size ? LK_AREA : LK_BILINEAR, err);
}

bool lk_judge_open(lk_judge *j, const lk_obstruction_faces *faces, const lk_obstruction_options *o, int device,
                   lk_error *err) {
    *j = (lk_judge){.faces = faces, .size = o->size};
    lk_nn_graph *g = lk_obstruction_graph(o->size, o->width, LK_OBSTRUCTION_BATCH, false, err);
    j->exec = g ? lk_nn_compile(g, &(lk_nn_options){.device = device}, err) : NULL;
    lk_nn_graph_free(g);
    return j->exec != NULL;
}

void lk_judge_close(lk_judge *j) { lk_nn_free(j->exec); }

/* Up to LK_OBSTRUCTION_BATCH of the faces through the network. */
static const float *predict(lk_judge *j, const int *which, int count, lk_error *err) {
    size_t pixels = (size_t)j->size * (size_t)j->size;
    float *in = lk_nn_data(j->exec, lk_nn_find(j->exec, "face"));
    memset(in, 0, LK_OBSTRUCTION_CHANNELS * pixels * LK_OBSTRUCTION_BATCH * sizeof(float));
    for (int i = 0; i < count; i++) {
        const lk_obstruction_face *f = &j->faces->items[which[i]];
        lk_obstruction_fill(&f->picture, &f->hull, in + LK_OBSTRUCTION_CHANNELS * pixels * (size_t)i);
    }
    return lk_nn_run(j->exec, err) ? lk_nn_data(j->exec, lk_nn_find(j->exec, "mask")) : NULL;
}

typedef struct sums {
    double visible;       /* of IoUs */
    int64_t both, either; /* pixels of what hides faces */
} sums;

static bool compare(const lk_obstruction_face *f, const float *mask, int size, sums *s, bool *hidden, lk_error *err) {
    int side = f->truth.width;
    int64_t both = 0, either = 0, taken = 0;
    lk_image own = {0}, hull = {0};
    bool ok = lk_obstruction_mask(mask, size, side, &own, err) && lk_image_alloc(&hull, side, side, 1, LK_F32, err) &&
              lk_face_hull(&f->points, &hull, err);
    for (int y = 0; ok && y < side; y++)
        for (int x = 0; x < side; x++) {
            bool a = lk_row_u8(&own, y)[x] > 127, b = lk_row_u8(&f->truth, y)[x] > 127;
            both += a && b;
            either += a || b;
            if (lk_row_f32(&hull, y)[x] <= 0.5f) continue;
            s->both += !a && !b;
            s->either += !a || !b;
            taken += !b;
        }
    s->visible += either ? (double)both / (double)either : 1;
    *hidden = taken > 0;
    lk_image_free(&own);
    lk_image_free(&hull);
    return ok;
}

bool lk_judge_quality(lk_judge *j, const lk_nn_exec *e, lk_obstruction_quality *q, lk_error *err) {
    sums s = {0};
    int which[LK_OBSTRUCTION_BATCH], n = 0;
    *q = (lk_obstruction_quality){.visible = NAN, .obstruction = NAN};
    lk_nn_copy_params(j->exec, e);
    for (int i = 0; i < j->faces->count; i++) {
        if (j->faces->items[i].held) which[n++] = i;
        if (n == 0 || (n < LK_OBSTRUCTION_BATCH && i + 1 < j->faces->count)) continue;
        const float *masks = predict(j, which, n, err);
        if (!masks) return false;
        for (int k = 0; k < n; k++) {
            bool hidden;
            if (!compare(&j->faces->items[which[k]], masks + (size_t)k * (size_t)(j->size * j->size), j->size, &s,
                         &hidden, err))
                return false;
            q->faces++;
            q->hidden += hidden;
        }
        n = 0;
    }
    if (q->faces) q->visible = s.visible / q->faces;
    if (q->hidden) q->obstruction = (double)s.both / (double)s.either;
    return true;
}

/* ---- The picture ------------------------------------------------------------------------------------------ */

/* The face; dark where the mask takes nothing. */
static bool put(lk_image *sheet, int column, int row, const lk_image *picture, const float *mask, lk_error *err) {
    lk_image shown;
    lk_image cell = lk_image_view(sheet, (lk_rect){column * (CELL + GAP), row * (CELL + GAP), CELL, CELL});
    if (!lk_image_convert(picture, LK_F32, &shown, err)) return false;
    float *v = shown.data;
    for (size_t i = 0; mask && i < 3 * (size_t)(picture->width * picture->height); i++)
        v[i] *= 0.2f + 0.8f * mask[i / 3];
    bool ok = lk_image_resize(&shown, &cell, picture->width > CELL ? LK_AREA : LK_BICUBIC, err);
    lk_image_free(&shown);
    return ok;
}

static bool put_bytes(lk_image *sheet, int column, int row, const lk_image *picture, const lk_image *mask,
                      lk_error *err) {
    lk_image values;
    if (!lk_image_convert(mask, LK_F32, &values, err)) return false;
    bool ok = put(sheet, column, row, picture, values.data, err);
    lk_image_free(&values);
    return ok;
}

bool lk_judge_draw(lk_judge *j, const lk_nn_exec *e, const char *path, lk_error *err) {
    const lk_obstruction_faces *f = j->faces;
    int which[ROWS] = {0}, from = f->held ? f->held : f->count, rows = from < ROWS ? from : ROWS, seen = 0, n = 0;
    for (int i = 0; i < f->count && n < rows; i++) {
        if (f->held && !f->items[i].held) continue;
        if (seen++ == (int)((n + 0.5) * from / rows)) which[n++] = i;
    }
    lk_image sheet = {0};
    lk_nn_copy_params(j->exec, e);
    const float *masks = predict(j, which, n, err);
    bool ok = masks && lk_image_alloc(&sheet, 3 * (CELL + GAP) - GAP, n * (CELL + GAP) - GAP, 3, LK_U8, err);
    for (int i = 0; ok && i < n; i++) {
        const lk_obstruction_face *face = &f->items[which[i]];
        ok = put(&sheet, 0, i, &face->picture, NULL, err) &&
             put_bytes(&sheet, 1, i, &face->picture, &face->mask, err) &&
             put(&sheet, 2, i, &face->picture, masks + (size_t)i * (size_t)(j->size * j->size), err);
    }
    ok = ok && lk_image_save(&sheet, path, 0, err);
    lk_image_free(&sheet);
    return ok;
}
