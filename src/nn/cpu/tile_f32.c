/* Blocks of float32 matrices by AVX-512. */
#include "tile.h"

#if defined(__x86_64__)
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#include "tile_avx512.h"

static void nothing(void) {}

static bool usable(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

#ifdef __SANITIZE_ADDRESS__
#define READ(i) __m512 row##i = _mm512_loadu_ps(at + (size_t)i * lda);
#define ONE(i)  _mm512_permutexvar_ps(_mm512_set1_epi32(k), row##i)
#else
#define READ(i)
#define ONE(i) _mm512_set1_ps(at[(size_t)i * lda + (size_t)k])
#endif
#define MULTIPLY(i)                                                                                                    \
    {                                                                                                                  \
        __m512 x = ONE(i);                                                                                             \
        left##i = _mm512_fmadd_ps(x, b0, left##i);                                                                     \
        right##i = _mm512_fmadd_ps(x, b1, right##i);                                                                   \
    }

AVX512 static inline void rows8(const float *a, size_t lda, const uint32_t *offsets, const float *b, float *c,
                                int steps, bool add) {
    EACH_ROW(LOAD)
    for (int s = 0; s < 2 * steps; s++) {
        const float *at = a + offsets[s / 2] + s % 2 * 16, *first = b + s / 2 * LK_TILE + s % 2 * 256;
        EACH_ROW(READ)
        for (int k = 0; k < 16; k++) {
            __m512 b0 = _mm512_loadu_ps(first + k * 16), b1 = _mm512_loadu_ps(first + 512 + k * 16);
            EACH_ROW(MULTIPLY)
        }
    }
    EACH_ROW(STORE)
}

AVX512 static void multiply(const float *a0, const float *a1, size_t lda, size_t gap, const uint32_t *offsets,
                            const float *b, float *c, int steps, bool add) {
    for (int i = 0; i < (a1 ? 4 : 2); i++)
        rows8((i < 2 ? a0 : a1) + (size_t)(i % 2) * gap, lda, offsets, b, c + i * 256, steps, add);
}

AVX512 static void gather(const float *rows, const uint32_t *where, int steps, float *to) {
    for (int s = 0; s < steps; s++, to += LK_TILE)
        for (int i = 0; i < 32; i++) {
            const float *row = rows + *where++;
            _mm512_storeu_ps(to + i * 16, _mm512_loadu_ps(row));
            _mm512_storeu_ps(to + 512 + i * 16, _mm512_loadu_ps(row + 16));
        }
}

/* A 16×16 part of a block. */
AVX512 static inline void turn(const float *from, size_t row, float *to, size_t line) {
    __m512i r[16];
    for (size_t i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(from + i * row);
    transpose16(r);
    for (size_t i = 0; i < 16; i++) _mm512_storeu_si512(to + i * line, r[i]);
}

AVX512 static void exchange(const float *b, float *to) {
    for (int half = 0; half < 2; half++)
        for (int part = 0; part < 2; part++) turn(b + half * 512 + part * 256, 16, to + part * 512 + half * 256, 16);
}

AVX512 static void transpose(const float *const row[32], float *to) {
    for (int half = 0; half < 2; half++)
        for (int part = 0; part < 2; part++) {
            __m512i r[16];
            for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(row[half * 16 + i] + part * 16);
            transpose16(r);
            for (int i = 0; i < 16; i++) _mm512_storeu_si512(to + (part * 16 + i) * 32 + half * 16, r[i]);
        }
}

AVX512 static void adam(const float *gradient, float *w, int16_t *low, float *m, float *v, const lk_tile_adam *a) {
    (void)low;
    for (int quarter = 0; quarter < 4; quarter++) {
        int o = quarter / 2 * 16, c = quarter % 2 * 16;
        float *weights = w + lk_tile_at(o, c), d[256];
        turn(gradient + o * 32 + c, 32, d, 16);
        size_t at = lk_tile_float_at(o, c);
        for (int i = 0; i < 256; i += 16)
            _mm512_storeu_ps(weights + i,
                             update(_mm512_loadu_ps(weights + i), _mm512_loadu_ps(d + i), m + at + i, v + at + i, a));
    }
}

AVX512 static inline wide take(const float *pixel, int at, int count) {
    uint32_t there = count < 32 ? (1u << count) - 1 : ~0u;
    if (!pixel) return zeros();
    return (wide){_mm512_maskz_loadu_ps((__mmask16)there, pixel + at),
                  _mm512_maskz_loadu_ps((__mmask16)(there >> 16), pixel + at + 16)};
}

AVX512 static inline void give(wide x, float *to) {
    _mm512_storeu_ps(to, x.a);
    _mm512_storeu_ps(to + 16, x.b);
}

AVX512 static inline wide join(const float *weights, const int16_t *low, size_t at) {
    (void)low;
    return (wide){_mm512_loadu_ps(weights + at), _mm512_loadu_ps(weights + at + 16)};
}

#define VECTORS AVX512
#include "tile_transforms.h"

const lk_tile_ops lk_tile_avx512 = {"AVX-512", true,      usable, nothing, nothing, multiply, gather,
                                    exchange,  transpose, adam,   see,     spread,  kernels};

#else

static bool never(void) { return false; }
const lk_tile_ops lk_tile_avx512 = {.name = "AVX-512", .usable = never};

#endif
