/* Blocks of matrices: the plain way against double precision, the quick ways against the plain one. Compiled for bfloat16 and,
 * with LK_F32, for float32. */
#include "testing.h"

#include <math.h>

#include "cpu/short.h"
#include "cpu/tile.h"
#include "likeness/base.h"

#define STEPS 5

#ifdef LK_F32
static const lk_tile_ops *const quick[] = {&lk_tile_avx512, &lk_tile_avx2_f32};
#define ROUNDING 1e-6f
#else
static const lk_tile_ops *const quick[] = {&lk_tile_avx512, &lk_tile_amx};
#define ROUNDING 0.01f
#endif

static void draw(lk_rng *r, lk_number *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = lk_to_number((float)lk_rng_normal(r));
}

/* `between`: rows between the eights of a half. */
static void check_multiply(const lk_tile_ops *ops, int steps, bool two, bool add, int between) {
    lk_rng r = lk_rng_make(3, (uint64_t)steps);
    enum { LDA = STEPS * 32 + 32 };
    static lk_number a[48 * LDA], b[STEPS * LK_TILE];
    static float c[LK_TILE], before[LK_TILE];
    draw(&r, a, LK_COUNT(a));
    draw(&r, b, LK_COUNT(b));
    for (int i = 0; i < LK_TILE; i++) before[i] = c[i] = (float)i;
    uint32_t offsets[STEPS];
    for (int i = 0; i < STEPS; i++) offsets[i] = (uint32_t)(STEPS - 1 - i) * 32; /* steps need not lie in order */
    ops->begin();
    ops->multiply(a, two ? a + 24 * LDA : NULL, LDA, (size_t)(8 + between) * LDA, offsets, b, c, steps, add);
    ops->end();
    for (int i = 0; i < 32; i++)
        for (int j = 0; j < 32; j++) {
            double want = add || (i >= 16 && !two) ? (double)before[i * 32 + j] : 0;
            const lk_number *row = a + (i < 16 ? i : i + 8) * LDA + i / 8 % 2 * between * LDA;
            for (int k = 0; (i < 16 || two) && k < steps * 32; k++)
                want += (double)lk_to_float(row[offsets[k / 32] + (uint32_t)(k % 32)]) *
                        (double)lk_to_float(b[k / 32 * LK_TILE + (int)lk_tile_at(j, k % 32)]);
            if (!(fabs((double)c[i * 32 + j] - want) <= 1e-4 * (1 + fabs(want))))
                fail_msg("%s: [%d][%d] is %g, not %g", ops->name, i, j, (double)c[i * 32 + j], want);
        }
}

static void multiplies(void **state) {
    (void)state;
    for (int way = 0; way < 3; way++) {
        const lk_tile_ops *ops = way ? quick[way - 1] : &lk_tile_plain;
        if (!ops->usable()) continue;
        for (int k = 0; k < (ops->in_passes ? 16 : 8); k++)
            check_multiply(ops, k & 4 ? STEPS : 1, k & 1, k & 2, k & 8 ? 3 : 0);
    }
}

static void rearranges(void **state) {
    (void)state;
    lk_rng r = lk_rng_make(4, 0);
    static lk_number from[LK_TILE], want[LK_TILE], got[LK_TILE];
    const lk_number *rows[32];
    draw(&r, from, LK_TILE);
    uint32_t where[32];
    for (int i = 0; i < 32; i++) {
        where[i] = (uint32_t)(i * 7 % 32) * 32;
        rows[i] = from + where[i];
    }
    for (int way = 0; way < 2; way++) {
        if (!quick[way]->usable()) continue;
        memset(want, 0, sizeof want);
        memset(got, 0, sizeof got);
        lk_tile_plain.gather(from, where, 1, want);
        quick[way]->gather(from, where, 1, got);
        assert_memory_equal(got, want, sizeof want);
        lk_tile_plain.exchange(from, want);
        quick[way]->exchange(from, got);
        assert_memory_equal(got, want, sizeof want);
        lk_tile_plain.transpose(rows, want);
        quick[way]->transpose(rows, got);
        assert_memory_equal(got, want, sizeof want);
    }
    for (int o = 0; o < 32; o++)
        for (int c = 0; c < 32; c++) assert_true(want[c * 32 + o] == rows[o][c]);
}

/* Winograd's transforms: the quick ones say what plain C says, but for how sums of four are rounded. */
static void check_near(const lk_number *got, const lk_number *want, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float g = lk_to_float(got[i]), w = lk_to_float(want[i]);
        assert_true(fabsf(g - w) <= ROUNDING * fabsf(w) + 1e-6f);
    }
}

static void transforms_agree(void **state) {
    (void)state;
    static lk_number high[9 * LK_TILE], want[16 * LK_TILE], got[16 * LK_TILE];
    static int16_t low[9 * LK_TILE];
    lk_rng r = lk_rng_make(8, 0);
    for (int i = 0; i < 9 * LK_TILE; i++) lk_set_weight((float)lk_rng_normal(&r), high, low, (size_t)i);
    const lk_number *pixels[16];
    for (int i = 0; i < 16; i++) pixels[i] = i % 5 == 3 ? NULL : high + i * 40;
    for (int way = 0; way < 2; way++) {
        if (!quick[way]->usable()) continue;
        for (int count = 1; count <= 32; count += 31) {
            lk_tile_plain.see(pixels, 8, count, 32, want);
            quick[way]->see(pixels, 8, count, 32, got);
            check_near(got, want, 16 * 32);
            lk_tile_plain.spread(pixels, 8, count, 32, want);
            quick[way]->spread(pixels, 8, count, 32, got);
            check_near(got, want, 16 * 32);
        }
        lk_tile_plain.kernels(high, low, want);
        quick[way]->kernels(high, low, got);
        check_near(got, want, 16 * LK_TILE);
    }
}

/* By hand: of one pixel (1, 1) in 4×4, of one output, and of a kernel of which each tap is 1. */
static void transforms_are_winograds(void **state) {
    (void)state;
    static lk_number one[32], high[9 * LK_TILE], to[16 * LK_TILE];
    static int16_t low[9 * LK_TILE];
    one[0] = lk_to_number(1);
    for (int i = 0; i < 9 * LK_TILE; i++) high[i] = lk_to_number(1);
    const float seen[4] = {0, 1, -1, 1}, spread[4] = {1, 1, 1, 0}, kernel[4] = {1, 1.5f, 0.5f, 1};
    for (int way = 0; way < 3; way++) {
        const lk_tile_ops *ops = way ? quick[way - 1] : &lk_tile_plain;
        if (!ops->usable()) continue;
        const lk_number *pixels[16] = {[5] = one}, *first[4] = {one};
        ops->see(pixels, 0, 32, 32, to);
        for (int i = 0; i < 16; i++) assert_true(lk_to_float(to[i * 32]) == seen[i / 4] * seen[i % 4]);
        ops->spread(first, 0, 32, 32, to);
        for (int i = 0; i < 16; i++) assert_true(lk_to_float(to[i * 32]) == spread[i / 4] * spread[i % 4]);
        ops->kernels(high, low, to);
        for (int i = 0; i < 16; i++) assert_true(lk_to_float(to[i * LK_TILE + 7]) == kernel[i / 4] * kernel[i % 4]);
    }
}

static void adam_agrees(void **state) {
    (void)state;
    for (int way = 0; way < 3; way++) {
        const lk_tile_ops *ops = way ? quick[way - 1] : &lk_tile_plain;
        if (!ops->usable()) continue;
        lk_rng r = lk_rng_make(6, 0);
        static float g[LK_TILE], m[LK_TILE], v[LK_TILE];
        static double w0[LK_TILE], m0[LK_TILE], v0[LK_TILE];
        static lk_number high[LK_TILE];
        static int16_t low[LK_TILE];
        lk_tile_adam a = {1e-3f, 0.5f, 0.999f, 1e-8f};
        for (int o = 0; o < 32; o++)
            for (int c = 0; c < 32; c++) {
                size_t at = lk_tile_at(o, c), f = lk_tile_float_at(o, c);
                float w = (float)lk_rng_normal(&r);
                g[o * 32 + c] = (float)lk_rng_normal(&r);
                m0[f] = (double)(m[f] = (float)lk_rng_normal(&r));
                v0[f] = (double)(v[f] = (float)lk_rng_uniform(&r, 0, 1));
                w0[f] = (double)w;
                lk_set_weight(w, high, low, at);
            }
        ops->adam(g, high, low, m, v, &a);
        for (int o = 0; o < 32; o++)
            for (int c = 0; c < 32; c++) {
                size_t at = lk_tile_at(o, c), f = lk_tile_float_at(o, c);
                double d = (double)g[o * 32 + c];
                double mean = 0.5 * m0[f] + 0.5 * d, square = 0.999 * v0[f] + 0.001 * d * d;
                double want = w0[f] - 1e-3 * mean / (sqrt(square) + 1e-8);
                assert_true(fabs((double)m[f] - mean) < 1e-6 && fabs((double)v[f] - square) < 1e-6);
                assert_true(fabs((double)lk_weight_at(high, low, at) - want) < 1e-6);
            }
    }
}

#ifndef LK_F32
/* Every float32 is kept whole in its two halves, and the upper one is it rounded. */
static void halves_join(void **state) {
    (void)state;
    lk_rng r = lk_rng_make(5, 0);
    for (int i = 0; i < 100000; i++) {
        float f = (float)(lk_rng_normal(&r) * exp(lk_rng_uniform(&r, -60, 60)));
        lk_bf16 high;
        int16_t low;
        lk_tile_split(f, &high, &low);
        assert_true(lk_tile_join(high, low) == f);
        assert_true(fabsf(lk_widen(high) - f) <= fabsf(f) / 256);
    }
}

/* Every code means what short.h says, and comes back. */
static void codes_mean_what_they_say(void **state) {
    (void)state;
    static uint8_t code[LK_SHORT], again[LK_SHORT];
    static float x[LK_SHORT], y[LK_SHORT];
    for (int i = 0; i < LK_SHORT; i++) code[i] = (uint8_t)i;
    lk_short_decode(code, 4, x);
    for (int i = 0; i < 256; i++) {
        int e = i >> 3 & 15;
        double want = e ? (1 + (i & 7) / 8.0) * pow(2, e - 15) * 4 : 0;
        assert_true((double)x[i] == (i & 0x80 ? -want : want));
    }
    lk_short_decode(again, lk_short_encode(x, 0, again), y);
    for (int i = 0; i < LK_SHORT; i++) assert_true(x[i] == y[i]);
}

/* Every number is rounded to a neighbour, and to the right one in the mean. The deviation of one rounding is at most half a
 * step of the code: 1/16 and 1/256 of the number. */
static void rounding_is_right_in_the_mean(void **state) {
    (void)state;
    enum { ROUNDS = 2000 };
    static uint8_t code[LK_SHORT];
    static lk_bf16 wide[LK_SHORT];
    static float x[LK_SHORT], y[LK_SHORT], z[LK_SHORT];
    static double sum[LK_SHORT], wide_sum[LK_SHORT];
    lk_rng r = lk_rng_make(8, 0);
    for (int i = 0; i < LK_SHORT; i++) x[i] = (float)(exp(lk_rng_uniform(&r, -5, 0)) * (i % 2 ? -1 : 1));
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        lk_short_decode(code, lk_short_encode(x, round * 7919, code), y);
        lk_short_encode_second(x, round * 7919, wide);
        lk_short_decode_second(wide, z);
        for (int i = 0; i < LK_SHORT; i++) {
            assert_true(fabsf(y[i] - x[i]) <= fabsf(x[i]) / 8 && fabsf(z[i] - x[i]) <= fabsf(x[i]) / 128);
            sum[i] += (double)y[i];
            wide_sum[i] += (double)z[i];
        }
    }
    for (int i = 0; i < LK_SHORT; i++) {
        double most = 5 / sqrt(ROUNDS) * fabs((double)x[i]);
        assert_true(fabs(sum[i] / ROUNDS - (double)x[i]) < most / 16);
        assert_true(fabs(wide_sum[i] / ROUNDS - (double)x[i]) < most / 256);
    }
}
#endif

#define OF_BOTH                                                                                                        \
    cmocka_unit_test(multiplies), cmocka_unit_test(rearranges), cmocka_unit_test(transforms_agree),                    \
        cmocka_unit_test(transforms_are_winograds), cmocka_unit_test(adam_agrees)

int main(void) {
#ifdef LK_F32
    const struct CMUnitTest tests[] = {OF_BOTH};
#else
    const struct CMUnitTest tests[] = {OF_BOTH, cmocka_unit_test(halves_join),
                                       cmocka_unit_test(codes_mean_what_they_say),
                                       cmocka_unit_test(rounding_is_right_in_the_mean)};
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
