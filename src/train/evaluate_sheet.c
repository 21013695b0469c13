/* The best and the worst swaps of an evaluation, side by side. */
#include "evaluate.h"
#include "likeness/media.h"

#include <stdlib.h>
#include <string.h>

#define ROWS      8
#define SMALLEST  128
#define GAP       2
#define GROUP_GAP 12
#define COLUMNS   4

static int best_first(const void *a, const void *b) {
    const lk_case *p = a, *q = b;
    if (p->rank != q->rank) return p->rank < q->rank ? 1 : -1;
    return p->face - q->face;
}

static bool put(lk_image *sheet, int left, int top, int side, const float *picture, int channels, int resolution,
                lk_error *err) {
    lk_image three = {0}, cell = lk_image_view(sheet, (lk_rect){left, top, side, side});
    if (!lk_image_alloc(&three, resolution, resolution, 3, LK_F32, err)) return false;
    float *to = three.data;
    for (size_t i = 0; i < 3 * (size_t)resolution * (size_t)resolution; i++) to[i] = picture[channels == 3 ? i : i / 3];
    bool ok = lk_image_resize(&three, &cell, LK_BICUBIC, err);
    lk_image_free(&three);
    return ok;
}

/* `count` rows of one group, from the case `first` on in steps of `step`. */
static bool group(lk_drawing *d, const lk_case *cases, int first, int step, int count, lk_image *sheet, int left,
                  int side, lk_error *err) {
    int faces[ROWS];
    size_t pixels = (size_t)d->resolution * (size_t)d->resolution;
    for (int i = 0; i < count; i++) faces[i] = cases[first + i * step].face;
    if (!lk_draw_faces(d, NULL, 0, faces, count, err)) return false;
    const float *mask = d->masks ? d->swap_mask : d->hull[1];
    for (int i = 0; i < count; i++) {
        const float *columns[] = {d->faces[1], d->composite, d->swap, mask};
        for (int k = 0; k < COLUMNS; k++) {
            int channels = k < 3 ? 3 : 1;
            if (!put(sheet, left + k * (side + GAP), i * (side + GAP), side,
                     columns[k] + pixels * (size_t)channels * (size_t)i, channels, d->resolution, err))
                return false;
        }
    }
    return true;
}

bool lk_evaluation_sheet(lk_drawing *d, const lk_case *cases, int count, const char *png, lk_error *err) {
    int rows = count < 2 * ROWS ? (count + 1) / 2 : ROWS, worst = count - rows < rows ? count - rows : rows;
    if (rows > d->batch) rows = worst = d->batch;
    int side = d->resolution < SMALLEST ? SMALLEST : d->resolution, wide = COLUMNS * (side + GAP) + GROUP_GAP;
    lk_case *sorted = lk_alloc((size_t)count, sizeof *sorted, err);
    lk_image sheet = {0};
    if (sorted) {
        memcpy(sorted, cases, (size_t)count * sizeof *sorted);
        qsort(sorted, (size_t)count, sizeof *sorted, best_first);
    }
    bool ok = sorted && lk_image_alloc(&sheet, 2 * wide - GROUP_GAP - GAP, rows * (side + GAP) - GAP, 3, LK_U8, err) &&
              group(d, sorted, 0, 1, rows, &sheet, 0, side, err) &&
              (!worst || group(d, sorted, count - 1, -1, worst, &sheet, wide, side, err)) &&
              lk_image_save(&sheet, png, 0, err);
    lk_image_free(&sheet);
    free(sorted);
    return ok;
}
