/* Blocks of bfloat16 matrices: what the layers in matrix.c are made of. Three ways to do each, chosen when the program
 * runs: AMX, AVX-512 with BF16, and plain C (which the others are tested against).
 *
 * A block is 32 rows by 32 columns, its inner dimension taken in steps of 32.
 *   A: rows of 32 numbers side by side, wherever they lie: the two halves of 16 rows start at a0 and a1, rows are `lda`
 *      numbers apart, the last 8 of a half begin `gap` numbers after the first 8 (AMX takes 8·lda alone), and step k begins
 *      `offsets[k]` numbers further on.
 *   B: 1024 numbers a step: two tiles (columns 0–15, 16–31) of [16 pairs of inner positions][16 columns][2].
 *   C: float32, [32][32]. */
#ifndef LIKENESS_NN_TILE_H
#define LIKENESS_NN_TILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bf16.h"

#define LK_TILE 1024 /* numbers of a block */

typedef struct lk_tile_adam {
    float rate, beta1, beta2, epsilon; /* the rate with its bias correction */
} lk_tile_adam;

typedef struct lk_tile_ops {
    const char *name;
    bool in_passes; /* a multiply may begin and end anywhere in the inner dimension at little cost, and have any gap */
    bool (*usable)(void);
    void (*begin)(void); /* on each thread before the first multiply, and after the last */
    void (*end)(void);
    /* C = A·B, or C += A·B. a1 NULL: rows 16–31 are not there, and C's are left alone. */
    void (*multiply)(const lk_bf16 *a0, const lk_bf16 *a1, size_t lda, size_t gap, const uint32_t *offsets,
                     const lk_bf16 *b, float *c, int steps, bool add);
    /* B from rows that lie anywhere: inner position i is the 32 numbers at rows[where[i]], for `steps` steps. */
    void (*gather)(const lk_bf16 *rows, const uint32_t *where, int steps, lk_bf16 *to);
    /* B's step with its roles exchanged: inner positions become columns. */
    void (*exchange)(const lk_bf16 *b, lk_bf16 *to);
    /* Rows at `row[0…31]` of 32 numbers each → their transpose, [32][32] as A wants it. */
    void (*transpose)(const lk_bf16 *const row[32], lk_bf16 *to);
    /* Adam on one block of weights kept as B: `gradient` is [32 columns][32 inner]; a weight is (high << 16) + low, both laid
     * out as B; the moments are [2][32 inner][16 columns]. */
    void (*adam)(const float *gradient, lk_bf16 *high, int16_t *low, float *m, float *v, const lk_tile_adam *a);
    /* Winograd's transforms (winograd.c) of 32 channels, from `at` on, of which `count` are there; the 16 results lie `place`
     * numbers apart. Bᵀ d B of 4×4 pixels, A d Aᵀ of 2×2 (NULL: zeros), and G g Gᵀ of 9 blocks of weights, to 16. */
    void (*see)(const lk_bf16 *const pixels[16], int at, int count, size_t place, lk_bf16 *to);
    void (*spread)(const lk_bf16 *const pixels[4], int at, int count, size_t place, lk_bf16 *to);
    void (*kernels)(const lk_bf16 *high, const int16_t *low, lk_bf16 *to);
} lk_tile_ops;

extern const lk_tile_ops lk_tile_plain, lk_tile_avx512, lk_tile_amx;

/* The fastest that works here. */
const lk_tile_ops *lk_tile_best(void);

/* Where weight (column o, inner c) of a block lies: in B, and in float32 (gradients, moments). */
static inline size_t lk_tile_at(int o, int c) { return (size_t)(o / 16 * 512 + c / 2 * 32 + o % 16 * 2 + c % 2); }
static inline size_t lk_tile_float_at(int o, int c) { return (size_t)(o / 16 * 512 + c * 16 + o % 16); }

static inline float lk_tile_join(lk_bf16 high, int16_t low) {
    uint32_t bits = ((uint32_t)high << 16) + (uint32_t)(int32_t)low;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
/* The high part is rounded to nearest, ties upwards, so that the rest fits 16 bits. */
static inline void lk_tile_split(float f, lk_bf16 *high, int16_t *low) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    *high = (lk_bf16)((bits + 0x8000) >> 16);
    *low = (int16_t)(bits - ((uint32_t)*high << 16));
}

#endif
