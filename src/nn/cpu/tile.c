/* Blocks of matrices in plain C, and which way is the fastest here. */
#include "tile.h"

#include <math.h>

static void nothing(void) {}
static bool always(void) { return true; }

static void multiply(const lk_number *a0, const lk_number *a1, size_t lda, size_t gap, const uint32_t *offsets,
                     const lk_number *b, float *c, int steps, bool add) {
    int rows = a1 ? 32 : 16;
    for (int i = 0; i < rows; i++) {
        const lk_number *a = (i < 16 ? a0 : a1) + (size_t)(i / 8 % 2) * gap + (size_t)(i % 8) * lda;
        for (int j = 0; j < 32; j++) {
            float sum = add ? c[i * 32 + j] : 0;
            for (int s = 0; s < steps; s++)
                for (int k = 0; k < 32; k++)
                    sum += lk_to_float(a[offsets[s] + (uint32_t)k]) *
                           lk_to_float(b[(size_t)s * LK_TILE + lk_tile_at(j, k)]);
            c[i * 32 + j] = sum;
        }
    }
}

static void gather(const lk_number *rows, const uint32_t *where, int steps, lk_number *to) {
    for (int s = 0; s < steps; s++, to += LK_TILE)
        for (int i = 0; i < 32; i++)
            for (int j = 0; j < 32; j++) to[lk_tile_at(j, i)] = rows[where[s * 32 + i] + (uint32_t)j];
}

static void exchange(const lk_number *b, lk_number *to) {
    for (int o = 0; o < 32; o++)
        for (int c = 0; c < 32; c++) to[lk_tile_at(c, o)] = b[lk_tile_at(o, c)];
}

static void transpose(const lk_number *const row[32], lk_number *to) {
    for (int i = 0; i < 32; i++)
        for (int j = 0; j < 32; j++) to[j * 32 + i] = row[i][j];
}

static void adam(const float *gradient, lk_number *high, int16_t *low, float *m, float *v, const lk_tile_adam *a) {
    for (int o = 0; o < 32; o++)
        for (int c = 0; c < 32; c++) {
            size_t at = lk_tile_at(o, c), f = lk_tile_float_at(o, c);
            float d = gradient[o * 32 + c], w = lk_weight_at(high, low, at);
            m[f] += (1 - a->beta1) * (d - m[f]);
            v[f] += (1 - a->beta2) * (d * d - v[f]);
            w -= a->rate * m[f] / (sqrtf(v[f]) + a->epsilon);
            lk_set_weight(w, high, low, at);
        }
}

/* ---- Winograd's transforms ------------------------------------------------------------------------------- */

/* Rows of these times 4×4, 2×2 or 3×3 numbers, times the same transposed. */
static const float of_pixels[4][4] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}};
static const float of_gradient[4][2] = {{1, 0}, {1, 1}, {1, -1}, {0, -1}};
static const float of_kernel[4][3] = {{1, 0, 0}, {0.5f, 0.5f, 0.5f}, {0.5f, -0.5f, 0.5f}, {0, 0, 1}};

static void both_sides(const float *matrix, int size, const float *d, float *to) {
    for (int i = 0; i < 16; i++) {
        to[i] = 0;
        for (int y = 0; y < size; y++)
            for (int x = 0; x < size; x++)
                to[i] += matrix[i / 4 * size + y] * matrix[i % 4 * size + x] * d[y * size + x];
    }
}

static void transform(const float *matrix, int size, const lk_number *const *pixels, int at, int count, size_t place,
                      lk_number *to) {
    for (int k = 0; k < 32; k++) {
        float d[16], t[16];
        for (int i = 0; i < size * size; i++) d[i] = pixels[i] && k < count ? lk_to_float(pixels[i][at + k]) : 0;
        both_sides(matrix, size, d, t);
        for (size_t i = 0; i < 16; i++) to[i * place + (size_t)k] = lk_to_number(t[i]);
    }
}

static void see(const lk_number *const pixels[16], int at, int count, size_t place, lk_number *to) {
    transform(&of_pixels[0][0], 4, pixels, at, count, place, to);
}

static void spread(const lk_number *const pixels[4], int at, int count, size_t place, lk_number *to) {
    transform(&of_gradient[0][0], 2, pixels, at, count, place, to);
}

static void kernels(const lk_number *high, const int16_t *low, lk_number *to) {
    for (size_t k = 0; k < LK_TILE; k++) {
        float g[9], t[16];
        for (size_t i = 0; i < 9; i++) g[i] = lk_weight_at(high, low, i * LK_TILE + k);
        both_sides(&of_kernel[0][0], 3, g, t);
        for (size_t i = 0; i < 16; i++) to[i * LK_TILE + k] = lk_to_number(t[i]);
    }
}

const lk_tile_ops lk_tile_plain = {"plain C", true,      always, nothing, nothing, multiply, gather,
                                   exchange,  transpose, adam,   see,     spread,  kernels};

const lk_tile_ops *lk_tile_best(void) {
#ifndef LK_F32
    if (lk_tile_amx.usable()) return &lk_tile_amx;
#endif
    if (lk_tile_avx512.usable()) return &lk_tile_avx512;
#ifdef LK_F32
    if (lk_tile_avx2_f32.usable()) return &lk_tile_avx2_f32;
#endif
    return &lk_tile_plain;
}
