/* Blocks of float32 matrices by AVX2. */
#include "tile.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma")))

static void nothing(void) {}
static bool usable(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

/* 4 rows by 16 columns. */
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3)
#define LOAD(i)                                                                                                        \
    __m256 left##i = add ? _mm256_loadu_ps(c + i * 32) : _mm256_setzero_ps();                                          \
    __m256 right##i = add ? _mm256_loadu_ps(c + i * 32 + 8) : _mm256_setzero_ps();
#define STORE(i)                                                                                                       \
    _mm256_storeu_ps(c + i * 32, left##i);                                                                             \
    _mm256_storeu_ps(c + i * 32 + 8, right##i);
#define MULTIPLY(i)                                                                                                    \
    {                                                                                                                  \
        __m256 x = _mm256_broadcast_ss(at + (size_t)i * lda + k);                                                      \
        left##i = _mm256_fmadd_ps(x, b0, left##i);                                                                     \
        right##i = _mm256_fmadd_ps(x, b1, right##i);                                                                   \
    }

AVX2 static inline void rows4(const float *a, size_t lda, const uint32_t *offsets, const float *b, float *c, int steps,
                              bool add) {
    EACH_ROW(LOAD)
    for (int s = 0; s < steps; s++, b += LK_TILE) {
        const float *at = a + offsets[s];
        for (int k = 0; k < 32; k++) {
            __m256 b0 = _mm256_loadu_ps(b + k * 16), b1 = _mm256_loadu_ps(b + k * 16 + 8);
            EACH_ROW(MULTIPLY)
        }
    }
    EACH_ROW(STORE)
}

AVX2 static void multiply(const float *a0, const float *a1, size_t lda, size_t gap, const uint32_t *offsets,
                          const float *b, float *c, int steps, bool add) {
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < (a1 ? 8 : 4); i++) {
            const float *a = (i < 4 ? a0 : a1) + (size_t)(i / 2 % 2) * gap + (size_t)(i % 2 * 4) * lda;
            rows4(a, lda, offsets, b + half * 512, c + i * 128 + half * 16, steps, add);
        }
}

AVX2 static void gather(const float *rows, const uint32_t *where, int steps, float *to) {
    for (int s = 0; s < steps; s++, to += LK_TILE)
        for (int i = 0; i < 32; i++) {
            const float *row = rows + *where++;
            for (int k = 0; k < 32; k += 8)
                _mm256_storeu_ps(to + k / 16 * 512 + i * 16 + k % 16, _mm256_loadu_ps(row + k));
        }
}

/* An 8×8 matrix, transposed in registers. */
AVX2 static inline void transpose8(__m256 r[8]) {
    __m256 t[8];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
        r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
        r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
        r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x20);
        t[4 + i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x31);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) r[i] = t[i];
}

/* 8 rows of 8 numbers that lie anywhere, to columns `line` apart. */
AVX2 static inline void turn(const float *const row[8], size_t at, float *to, size_t line) {
    __m256 r[8];
    for (size_t i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(row[i] + at);
    transpose8(r);
    for (size_t i = 0; i < 8; i++) _mm256_storeu_ps(to + i * line, r[i]);
}

AVX2 static void transpose(const float *const row[32], float *to) {
    for (int i = 0; i < 32; i += 8)
        for (int k = 0; k < 32; k += 8) turn(row + i, (size_t)k, to + k * 32 + i, 32);
}

/* Inner positions c of columns o: 8 by 8. */
AVX2 static void exchange(const float *b, float *to) {
    for (int o = 0; o < 32; o += 8)
        for (int c = 0; c < 32; c += 8) {
            const float *row[8];
            for (int i = 0; i < 8; i++) row[i] = b + lk_tile_at(o, c + i);
            turn(row, 0, to + lk_tile_at(c, o), 16);
        }
}

AVX2 static void adam(const float *gradient, float *w, int16_t *low, float *m, float *v, const lk_tile_adam *a) {
    (void)low;
    const __m256 b1 = _mm256_set1_ps(1 - a->beta1), b2 = _mm256_set1_ps(1 - a->beta2);
    for (int o = 0; o < 32; o += 8)
        for (int c = 0; c < 32; c += 8) {
            const float *row[8];
            float turned[64];
            for (int i = 0; i < 8; i++) row[i] = gradient + (o + i) * 32 + c;
            turn(row, 0, turned, 8);
            for (int i = 0; i < 8; i++) {
                size_t at = lk_tile_at(o, c + i);
                __m256 d = _mm256_loadu_ps(turned + i * 8), m0 = _mm256_loadu_ps(m + at), v0 = _mm256_loadu_ps(v + at);
                m0 = _mm256_fmadd_ps(b1, _mm256_sub_ps(d, m0), m0);
                v0 = _mm256_fmadd_ps(b2, _mm256_sub_ps(_mm256_mul_ps(d, d), v0), v0);
                _mm256_storeu_ps(m + at, m0);
                _mm256_storeu_ps(v + at, v0);
                __m256 step = _mm256_div_ps(_mm256_mul_ps(_mm256_set1_ps(a->rate), m0),
                                            _mm256_add_ps(_mm256_sqrt_ps(v0), _mm256_set1_ps(a->epsilon)));
                _mm256_storeu_ps(w + at, _mm256_sub_ps(_mm256_loadu_ps(w + at), step));
            }
        }
}

/* ---- Winograd's transforms ------------------------------------------------------------------------------- */

/* 32 numbers. */
typedef struct wide {
    __m256 a[4];
} wide;

#define EACH_QUARTER(x, expression)                                                                                    \
    wide x;                                                                                                            \
    _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) x.a[i] = expression;                                           \
    return x

AVX2 static inline wide zeros(void) { EACH_QUARTER(z, _mm256_setzero_ps()); }
AVX2 static inline wide plus(wide x, wide y) { EACH_QUARTER(z, _mm256_add_ps(x.a[i], y.a[i])); }
AVX2 static inline wide minus(wide x, wide y) { EACH_QUARTER(z, _mm256_sub_ps(x.a[i], y.a[i])); }
AVX2 static inline wide half_of(wide x) { EACH_QUARTER(z, _mm256_mul_ps(x.a[i], _mm256_set1_ps(0.5f))); }

AVX2 static inline wide take(const float *pixel, int at, int count) {
    float some[32] = {0};
    if (!pixel) return zeros();
    const float *from = pixel + at;
    if (count < 32) from = memcpy(some, from, (size_t)count * sizeof *some);
    EACH_QUARTER(z, _mm256_loadu_ps(from + i * 8));
}

AVX2 static inline void give(wide x, float *to) {
    for (int i = 0; i < 4; i++) _mm256_storeu_ps(to + i * 8, x.a[i]);
}

AVX2 static inline wide join(const float *weights, const int16_t *low, size_t at) {
    (void)low;
    EACH_QUARTER(z, _mm256_loadu_ps(weights + at + i * 8));
}

#define VECTORS AVX2
#include "tile_transforms.h"

const lk_tile_ops lk_tile_avx2_f32 = {"AVX2",   true,      usable, nothing, nothing, multiply, gather,
                                      exchange, transpose, adam,   see,     spread,  kernels};

#else

static bool never(void) { return false; }
const lk_tile_ops lk_tile_avx2_f32 = {.name = "AVX2", .usable = never};

#endif
