/* float16 and bfloat16 as the GPU's kernels read and write them, against the compiler's own float16 and against the
 * definition. */
#include "testing.h"

#include <math.h>

#include "cuda/numbers.h"

__extension__ typedef _Float16 half;

static uint16_t compilers(float f) {
    half h = (half)f;
    uint16_t bits;
    memcpy(&bits, &h, sizeof bits);
    return bits;
}

static float of_compilers(uint16_t bits) {
    half h;
    memcpy(&h, &bits, sizeof h);
    return (float)h;
}

static void rounds_as_the_compiler(float f) {
    uint16_t got = lk_to_f16(f), want = compilers(f);
    if (isnan(f) ? (got & 0x7fff) <= 0x7c00 : got != want) fail_msg("%a: %04x, not %04x", (double)f, got, want);
}

static void every_float16_is_read(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 0x10000; i++) {
        float got = lk_from_f16((uint16_t)i), want = of_compilers((uint16_t)i);
        if (isnan(want) ? !isnan(got) : lk_bits_of(got) != lk_bits_of(want))
            fail_msg("%04x: %a, not %a", i, (double)got, (double)want);
        if (!isnan(want)) assert_int_equal(lk_to_f16(got), i);
    }
}

/* Half way between two neighbours, and a float32's least step to either side of it; infinity follows 65504 as 65536 would. */
static void ties_go_to_even(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 0x7c00; i++) {
        float low = lk_from_f16((uint16_t)i), high = i == 0x7bff ? 65536 : lk_from_f16((uint16_t)(i + 1));
        float middle = (low + high) / 2;
        assert_int_equal(lk_to_f16(middle), i + i % 2);
        assert_int_equal(lk_to_f16(-middle), 0x8000 | (i + i % 2));
        assert_int_equal(lk_to_f16(nextafterf(middle, 0)), i);
        assert_int_equal(lk_to_f16(nextafterf(middle, INFINITY)), i + 1);
        rounds_as_the_compiler(middle);
    }
}

/* One of 251 of all float32 there are: every exponent, subnormal ones, infinities, NaN. */
static void float32_is_rounded(void **state) {
    (void)state;
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 251) rounds_as_the_compiler(lk_of_bits((uint32_t)bits));
    const float ends[] = {INFINITY, -INFINITY, NAN,      65504,    65519.996f,
                          65520,    65536,     0x1p-24f, 0x1p-25f, 0x1.000002p-25f};
    for (size_t i = 0; i < LK_COUNT(ends); i++) rounds_as_the_compiler(ends[i]);
}

static void bfloat16_is_half_a_float32(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 0x10000; i++) {
        float f = lk_from_bf16((uint16_t)i);
        assert_int_equal(lk_bits_of(f), i << 16);
        if (isnan(f)) {
            assert_true(isnan(lk_from_bf16(lk_to_bf16(f))));
            continue;
        }
        assert_int_equal(lk_to_bf16(f), i);
        if ((i & 0x7fff) == 0x7f80) continue;
        assert_int_equal(lk_to_bf16(lk_of_bits(i << 16 | 0x8000)), i + i % 2);
        assert_int_equal(lk_to_bf16(lk_of_bits(i << 16 | 0x7fff)), i);
        assert_int_equal(lk_to_bf16(lk_of_bits(i << 16 | 0x8001)), i + 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_float16_is_read), cmocka_unit_test(ties_go_to_even),
                                       cmocka_unit_test(float32_is_rounded),
                                       cmocka_unit_test(bfloat16_is_half_a_float32)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
