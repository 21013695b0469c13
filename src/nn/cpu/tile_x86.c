/* Blocks of bfloat16 matrices by AVX-512 and AMX. */
#include "tile.h"

#if defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define AMX    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16")))

#include "tile_avx512.h"

static void nothing(void) {}

static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bf16");
}

/* Bits 22 (bfloat16) and 24 (tiles) of CPUID leaf 7, and Linux's leave to use the tiles' 8 KiB of state. */
static bool has_amx(void) {
    static int known = -1; /* the answer is the same for every thread that asks at once */
    if (known >= 0) return known;
    unsigned a = 7, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    bool there = has_avx512() && (d >> 22 & 1) && (d >> 24 & 1);
    const int request_permission = 0x1023, tile_data = 18;
    if (there) there = syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
    return (known = there);
}

/* ---- Multiplying ----------------------------------------------------------------------------------------- */

static inline int pair_at(const lk_bf16 *at) {
    int pair;
    memcpy(&pair, at, sizeof pair);
    return pair;
}

#ifdef __SANITIZE_ADDRESS__
#define READ(i) __m512i row##i = _mm512_loadu_si512(at + (size_t)i * lda);
#define PAIR(i) _mm512_permutexvar_epi32(_mm512_set1_epi32(k), row##i)
#else
#define READ(i)
#define PAIR(i) _mm512_set1_epi32(pair_at(at + (size_t)i * lda + k * 2))
#endif
#define MULTIPLY(i)                                                                                                    \
    {                                                                                                                  \
        __m512bh x = (__m512bh)PAIR(i);                                                                                \
        left##i = _mm512_dpbf16_ps(left##i, x, b0);                                                                    \
        right##i = _mm512_dpbf16_ps(right##i, x, b1);                                                                  \
    }

AVX512 static inline void rows8(const lk_bf16 *a, size_t lda, const uint32_t *offsets, const lk_bf16 *b, float *c,
                                int steps, bool add) {
    EACH_ROW(LOAD)
    for (int s = 0; s < steps; s++, b += LK_TILE) {
        const lk_bf16 *at = a + offsets[s];
        EACH_ROW(READ)
        for (int k = 0; k < 16; k++) {
            __m512bh b0 = (__m512bh)_mm512_loadu_si512(b + k * 32);
            __m512bh b1 = (__m512bh)_mm512_loadu_si512(b + 512 + k * 32);
            EACH_ROW(MULTIPLY)
        }
    }
    EACH_ROW(STORE)
}

AVX512 static void multiply_avx512(const lk_bf16 *a0, const lk_bf16 *a1, size_t lda, size_t gap,
                                   const uint32_t *offsets, const lk_bf16 *b, float *c, int steps, bool add) {
    for (int i = 0; i < (a1 ? 4 : 2); i++)
        rows8((i < 2 ? a0 : a1) + (size_t)(i % 2) * gap, lda, offsets, b, c + i * 256, steps, add);
}

AMX static void configure(void) {
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } shape __attribute__((aligned(64))) = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shape.row_bytes[i] = 64;
        shape.rows[i] = 16;
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(shape)); /* GCC 12's intrinsic lets it drop the stores above */
}

AMX static void leave(void) { _tile_release(); }

AMX static void half_amx(const lk_bf16 *a0, size_t lda, const uint32_t *offsets, const lk_bf16 *b, float *c, int steps,
                         bool add) {
    if (add) {
        _tile_loadd(0, c, 128);
        _tile_loadd(1, c + 16, 128);
    } else {
        _tile_zero(0);
        _tile_zero(1);
    }
    for (int s = 0; s < steps; s++, b += LK_TILE) {
        _tile_loadd(4, a0 + offsets[s], lda * sizeof *a0);
        _tile_loadd(6, b, 64);
        _tile_loadd(7, b + 512, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
    }
    _tile_stored(0, c, 128);
    _tile_stored(1, c + 16, 128);
}

AMX static void multiply_amx(const lk_bf16 *a0, const lk_bf16 *a1, size_t lda, size_t gap, const uint32_t *offsets,
                             const lk_bf16 *b, float *c, int steps, bool add) {
    (void)gap;
    if (!a1) {
        half_amx(a0, lda, offsets, b, c, steps, add);
        return;
    }
    size_t stride = lda * sizeof *a0;
    if (add) {
        _tile_loadd(0, c, 128);
        _tile_loadd(1, c + 16, 128);
        _tile_loadd(2, c + 512, 128);
        _tile_loadd(3, c + 528, 128);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int s = 0; s < steps; s++, b += LK_TILE) {
        _tile_loadd(4, a0 + offsets[s], stride);
        _tile_loadd(6, b, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(5, a1 + offsets[s], stride);
        _tile_dpbf16ps(2, 5, 6);
        _tile_loadd(7, b + 512, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, 128);
    _tile_stored(1, c + 16, 128);
    _tile_stored(2, c + 512, 128);
    _tile_stored(3, c + 528, 128);
}

/* ---- Rearranging ----------------------------------------------------------------------------------------- */

AVX512 static inline void pair_up(__m512i r0, __m512i r1, __m512i *low, __m512i *high) {
    const __m512i first = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6,
                                           37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i second = _mm512_add_epi16(first, _mm512_set1_epi16(16));
    *low = _mm512_permutex2var_epi16(r0, first, r1);
    *high = _mm512_permutex2var_epi16(r0, second, r1);
}

AVX512 static void gather_avx512(const lk_bf16 *rows, const uint32_t *where, int steps, lk_bf16 *to) {
    for (int s = 0; s < steps; s++, to += 512)
        for (int i = 0; i < 16; i++, where += 2, to += 32) {
            __m512i low, high;
            pair_up(_mm512_loadu_si512(rows + where[0]), _mm512_loadu_si512(rows + where[1]), &low, &high);
            _mm512_storeu_si512(to, low);
            _mm512_storeu_si512(to + 512, high);
        }
}

/* Each tile is a matrix of pairs: transposed, its rows are columns o with 32 inner positions side by side. */
AVX512 static void exchange_avx512(const lk_bf16 *b, lk_bf16 *to) {
    for (int half = 0; half < 2; half++) {
        __m512i r[16];
        for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(b + half * 512 + i * 32);
        transpose16(r);
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) {
            __m512i low, high;
            pair_up(r[2 * i], r[2 * i + 1], &low, &high);
            _mm512_storeu_si512(to + (half * 8 + i) * 32, low);
            _mm512_storeu_si512(to + 512 + (half * 8 + i) * 32, high);
        }
    }
}

AVX512 static void transpose_avx512(const lk_bf16 *const row[32], lk_bf16 *to) {
    __m512i low[16], high[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        pair_up(_mm512_loadu_si512(row[2 * i]), _mm512_loadu_si512(row[2 * i + 1]), &low[i], &high[i]);
    transpose16(low);
    transpose16(high);
    for (int i = 0; i < 16; i++) {
        _mm512_storeu_si512(to + i * 32, low[i]);
        _mm512_storeu_si512(to + 512 + i * 32, high[i]);
    }
}

/* ---- Adam ------------------------------------------------------------------------------------------------ */

/* Even and odd inner positions of 16 columns: a word holds the even one in its lower half. */
AVX512 static inline void update_pair(__m512i even_gradient, __m512i odd_gradient, lk_bf16 *high, int16_t *low,
                                      float *m, float *v, const lk_tile_adam *a) {
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000), half = _mm512_set1_epi32(0x8000);
    __m512i h = _mm512_loadu_si512(high), l = _mm512_loadu_si512(low);
    __m512i even = _mm512_add_epi32(_mm512_slli_epi32(h, 16), _mm512_srai_epi32(_mm512_slli_epi32(l, 16), 16));
    __m512i odd = _mm512_add_epi32(_mm512_and_si512(h, upper), _mm512_srai_epi32(l, 16));
    even = _mm512_castps_si512(update(_mm512_castsi512_ps(even), _mm512_castsi512_ps(even_gradient), m, v, a));
    odd = _mm512_castps_si512(update(_mm512_castsi512_ps(odd), _mm512_castsi512_ps(odd_gradient), m + 16, v + 16, a));
    __m512i even_high = _mm512_and_si512(_mm512_add_epi32(even, half), upper);
    __m512i odd_high = _mm512_and_si512(_mm512_add_epi32(odd, half), upper);
    __m512i even_low = _mm512_andnot_si512(upper, _mm512_sub_epi32(even, even_high));
    __m512i odd_low = _mm512_slli_epi32(_mm512_sub_epi32(odd, odd_high), 16);
    _mm512_storeu_si512(high, _mm512_or_si512(_mm512_srli_epi32(even_high, 16), odd_high));
    _mm512_storeu_si512(low, _mm512_or_si512(even_low, odd_low));
}

AVX512 static void adam_avx512(const float *gradient, lk_bf16 *high, int16_t *low, float *m, float *v,
                               const lk_tile_adam *a) {
    for (int quarter = 0; quarter < 4; quarter++) {
        int o = quarter / 2 * 16, c = quarter % 2 * 16;
        __m512i r[16];
        for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(gradient + (o + i) * 32 + c);
        transpose16(r);
        size_t at = lk_tile_at(o, c), f = lk_tile_float_at(o, c);
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            update_pair(r[2 * i], r[2 * i + 1], high + at + i * 32, low + at + i * 32, m + f + i * 32, v + f + i * 32,
                        a);
    }
}

/* ---- Winograd's transforms ------------------------------------------------------------------------------- */

AVX512 static inline __m512i widen_bits(__m512i x, int upper) {
    __m256i half = upper ? _mm512_extracti64x4_epi64(x, 1) : _mm512_castsi512_si256(x);
    return _mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16);
}

AVX512 static inline wide take(const lk_bf16 *pixel, int at, int count) {
    __mmask32 there = count < 32 ? (1u << count) - 1 : ~0u;
    __m512i x = pixel ? _mm512_maskz_loadu_epi16(there, pixel + at) : _mm512_setzero_si512();
    return (wide){_mm512_castsi512_ps(widen_bits(x, 0)), _mm512_castsi512_ps(widen_bits(x, 1))};
}

AVX512 static inline void give(wide x, lk_bf16 *to) { _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(x.b, x.a)); }

AVX512 static inline wide join(const lk_bf16 *high, const int16_t *low, size_t at) {
    __m512i h = _mm512_loadu_si512(high + at), l = _mm512_loadu_si512(low + at);
    __m512i a = _mm512_cvtepi16_epi32(_mm512_castsi512_si256(l));
    __m512i b = _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(l, 1));
    return (wide){_mm512_castsi512_ps(_mm512_add_epi32(widen_bits(h, 0), a)),
                  _mm512_castsi512_ps(_mm512_add_epi32(widen_bits(h, 1), b))};
}

#define VECTORS AVX512
#include "tile_transforms.h"

#define REST gather_avx512, exchange_avx512, transpose_avx512, adam_avx512, see, spread, kernels
const lk_tile_ops lk_tile_avx512 = {"AVX-512 BF16", true, has_avx512, nothing, nothing, multiply_avx512, REST};
const lk_tile_ops lk_tile_amx = {"AMX", false, has_amx, configure, leave, multiply_amx, REST};

#else

static bool never(void) { return false; }
const lk_tile_ops lk_tile_avx512 = {.name = "AVX-512 BF16", .usable = never};
const lk_tile_ops lk_tile_amx = {.name = "AMX", .usable = never};

#endif
