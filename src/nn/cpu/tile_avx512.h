/* What AVX-512 does alike for both types of tile.h; AVX512 is the target of the functions of whoever includes this. */
#include <immintrin.h>

/* 8 rows by 32 columns. The sums of a row are two variables, no array: AddressSanitizer would check each access to that.
 * Under it a row's 16 pairs are read at once too. */
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define LOAD(i)                                                                                                        \
    __m512 left##i = add ? _mm512_loadu_ps(c + i * 32) : _mm512_setzero_ps();                                          \
    __m512 right##i = add ? _mm512_loadu_ps(c + i * 32 + 16) : _mm512_setzero_ps();
#define STORE(i)                                                                                                       \
    _mm512_storeu_ps(c + i * 32, left##i);                                                                             \
    _mm512_storeu_ps(c + i * 32 + 16, right##i);

/* A 16×16 matrix of 32-bit words, transposed in registers. */
AVX512 static inline void transpose16(__m512i r[16]) {
    __m512i t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88);
        t[4 + i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd);
        t[8 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
        t[12 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
        r[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd);
        r[4 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88);
        r[12 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xdd);
    }
}

/* Adam on 16 weights. */
AVX512 static inline __m512 update(__m512 w, __m512 d, float *m, float *v, const lk_tile_adam *a) {
    __m512 m0 = _mm512_loadu_ps(m), v0 = _mm512_loadu_ps(v);
    m0 = _mm512_fmadd_ps(_mm512_set1_ps(1 - a->beta1), _mm512_sub_ps(d, m0), m0);
    v0 = _mm512_fmadd_ps(_mm512_set1_ps(1 - a->beta2), _mm512_sub_ps(_mm512_mul_ps(d, d), v0), v0);
    _mm512_storeu_ps(m, m0);
    _mm512_storeu_ps(v, v0);
    __m512 step = _mm512_div_ps(_mm512_mul_ps(_mm512_set1_ps(a->rate), m0),
                                _mm512_add_ps(_mm512_sqrt_ps(v0), _mm512_set1_ps(a->epsilon)));
    return _mm512_sub_ps(w, step);
}

/* 32 numbers. */
typedef struct wide {
    __m512 a, b;
} wide;

AVX512 static inline wide plus(wide x, wide y) { return (wide){_mm512_add_ps(x.a, y.a), _mm512_add_ps(x.b, y.b)}; }
AVX512 static inline wide minus(wide x, wide y) { return (wide){_mm512_sub_ps(x.a, y.a), _mm512_sub_ps(x.b, y.b)}; }
AVX512 static inline wide half_of(wide x) {
    const __m512 half = _mm512_set1_ps(0.5f);
    return (wide){_mm512_mul_ps(x.a, half), _mm512_mul_ps(x.b, half)};
}
AVX512 static inline wide zeros(void) { return (wide){_mm512_setzero_ps(), _mm512_setzero_ps()}; }
