/* Pictures of few channels as their kernels see them, and back: see matrix.h. */
#include "matrix.h"

/* One pixel of the grid. */
static inline void unfold_pixel(const lk_unfolding *u, const lk_number *picture, int y, int x, lk_number *to) {
    int left = x * u->stride - u->left, from = left < 0 ? -left : 0;
    int end = left + u->kw > u->w ? u->w - left : u->kw;
    for (int i = 0; i < u->kh; i++, to += u->kw * u->c) {
        int row = y * u->stride + i - u->top;
        if (row < 0 || row >= u->h || end <= from) {
            for (int k = 0; k < u->kw * u->c; k++) to[k] = 0;
            continue;
        }
        const lk_number *line = picture + ((size_t)row * (size_t)u->w + (size_t)(left + from)) * (size_t)u->c;
        for (int k = 0; k < from * u->c; k++) to[k] = 0;
        for (int k = from * u->c; k < end * u->c; k++) to[k] = *line++;
        for (int k = end * u->c; k < u->kw * u->c; k++) to[k] = 0;
    }
}

LK_HOT void lk_unfold(const lk_unfolding *u, const lk_number *picture, int first, int count, size_t pixel,
                      lk_number *to) {
    size_t used = (size_t)(u->kh * u->kw * u->c);
    for (int p = first; p < first + count; p++, to += pixel) {
        unfold_pixel(u, picture, p / u->columns, p % u->columns, to);
        if (pixel > used) memset(to + used, 0, (pixel - used) * sizeof *to);
    }
}

/* To `count` pixels side by side. */
static inline void fold_run(const float *from, size_t all, int c, int count, float *row) {
    if (c == 3)
        for (int x = 0; x < count; x++, from += all, row += 3)
            for (int k = 0; k < 3; k++) row[k] += from[k];
    else
        for (int x = 0; x < count; x++, from += all, row += c)
            for (int k = 0; k < c; k++) row[k] += from[k];
}

LK_HOT void lk_fold_row(const lk_unfolding *u, const float *grid, int y, float *row) {
    size_t all = (size_t)(u->kh * u->kw * u->c);
    memset(row, 0, (size_t)(u->w * u->c) * sizeof *row);
    for (int i = 0; i < u->kh; i++) {
        int down = y + u->top - i;
        if (down < 0 || down % u->stride || down / u->stride >= u->rows) continue;
        const float *line = grid + (size_t)(down / u->stride * u->columns) * all;
        for (int j = 0; j < u->kw; j++) {
            const float *tap = line + (i * u->kw + j) * u->c;
            if (u->stride == 1) {
                int from = j > u->left ? j - u->left : 0, end = u->columns - u->left + j;
                end = end < u->w ? end : u->w;
                fold_run(tap + (size_t)(from + u->left - j) * all, all, u->c, end - from, row + from * u->c);
                continue;
            }
            for (int x = 0; x < u->w; x++) {
                int right = x + u->left - j;
                if (right < 0 || right % u->stride || right / u->stride >= u->columns) continue;
                const float *from = tap + (size_t)(right / u->stride) * all;
                for (int k = 0; k < u->c; k++) row[x * u->c + k] += from[k];
            }
        }
    }
}
