/* Blocks of matrices: what the layers in matrix_layer.c are made of. Several ways to do each, chosen when the program runs:
 * of bfloat16 AMX, AVX-512 with BF16, and plain C (which the others are tested against); of float32 AVX-512, AVX2, plain C.
 *
 * What includes this is compiled for bfloat16, and, with LK_F32, for float32: then all names of LK_OF end in _f32.
 *
 * A block is 32 rows by 32 columns, its inner dimension taken in steps of 32.
 *   A: rows of 32 numbers side by side, wherever they lie: the two halves of 16 rows start at a0 and a1, rows are `lda`
 *      numbers apart, the last 8 of a half begin `gap` numbers after the first 8 (AMX takes 8·lda alone), and step k begins
 *      `offsets[k]` numbers further on.
 *   B: 1024 numbers a step: two tiles (columns 0–15, 16–31) of [16 pairs of inner positions][16 columns][2], in float32 of
 *      [32 inner positions][16 columns].
 *   C: float32, [32][32]. */
#ifndef LIKENESS_NN_TILE_H
#define LIKENESS_NN_TILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bf16.h"

#define LK_TILE 1024 /* numbers of a block */

#ifdef LK_F32
typedef float lk_number;
#define LK_OF(name) name##_f32
#else
typedef lk_bf16 lk_number;
#define LK_OF(name) name
#endif

#define lk_tile_plain  LK_OF(lk_tile_plain)
#define lk_tile_avx512 LK_OF(lk_tile_avx512)
#define lk_tile_best   LK_OF(lk_tile_best)

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
    void (*multiply)(const lk_number *a0, const lk_number *a1, size_t lda, size_t gap, const uint32_t *offsets,
                     const lk_number *b, float *c, int steps, bool add);
    /* B from rows that lie anywhere: inner position i is the 32 numbers at rows[where[i]], for `steps` steps. */
    void (*gather)(const lk_number *rows, const uint32_t *where, int steps, lk_number *to);
    /* B's step with its roles exchanged: inner positions become columns. */
    void (*exchange)(const lk_number *b, lk_number *to);
    /* Rows at `row[0…31]` of 32 numbers each → their transpose, [32][32] as A wants it. */
    void (*transpose)(const lk_number *const row[32], lk_number *to);
    /* Adam on one block of weights kept as B: `gradient` is [32 columns][32 inner]; a weight is (high << 16) + low, both laid
     * out as B (float32: it is high, and low is not read); the moments are [2][32 inner][16 columns]. */
    void (*adam)(const float *gradient, lk_number *high, int16_t *low, float *m, float *v, const lk_tile_adam *a);
    /* Winograd's transforms (winograd.c) of 32 channels, from `at` on, of which `count` are there; the 16 results lie `place`
     * numbers apart. Bᵀ d B of 4×4 pixels, A d Aᵀ of 2×2 (NULL: zeros), and G g Gᵀ of 9 blocks of weights, to 16. */
    void (*see)(const lk_number *const pixels[16], int at, int count, size_t place, lk_number *to);
    void (*spread)(const lk_number *const pixels[4], int at, int count, size_t place, lk_number *to);
    void (*kernels)(const lk_number *high, const int16_t *low, lk_number *to);
} lk_tile_ops;

extern const lk_tile_ops lk_tile_plain, lk_tile_avx512;
#ifdef LK_F32
extern const lk_tile_ops lk_tile_avx2_f32;
#else
extern const lk_tile_ops lk_tile_amx;
#endif

/* The fastest that works here. */
const lk_tile_ops *lk_tile_best(void);

/* Where weight (column o, inner c) of a block lies: in B, and in float32 (gradients, moments). */
static inline size_t lk_tile_float_at(int o, int c) { return (size_t)(o / 16 * 512 + c * 16 + o % 16); }
#ifdef LK_F32
static inline size_t lk_tile_at(int o, int c) { return lk_tile_float_at(o, c); }
#else
static inline size_t lk_tile_at(int o, int c) { return (size_t)(o / 16 * 512 + c / 2 * 32 + o % 16 * 2 + c % 2); }
#endif

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

/* Numbers as float32 and back; and whole weights. */
#ifdef LK_F32
static inline float lk_to_float(lk_number x) { return x; }
static inline lk_number lk_to_number(float f) { return f; }
static inline float lk_weight_at(const lk_number *high, const int16_t *low, size_t at) {
    (void)low;
    return high[at];
}
static inline void lk_set_weight(float f, lk_number *high, int16_t *low, size_t at) {
    (void)low;
    high[at] = f;
}
#else
static inline float lk_to_float(lk_number x) { return lk_widen(x); }
static inline lk_number lk_to_number(float f) { return lk_narrow(f); }
static inline float lk_weight_at(const lk_number *high, const int16_t *low, size_t at) {
    return lk_tile_join(high[at], low[at]);
}
static inline void lk_set_weight(float f, lk_number *high, int16_t *low, size_t at) {
    lk_tile_split(f, &high[at], &low[at]);
}
#endif

#endif
