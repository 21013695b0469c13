/* Warps and resizes against NumPy in float64 and OpenCV. */
#include "golden.h"

static const char *const filters[] = {"nearest", "bilinear", "bicubic", "lanczos", "area"};
static const char *const borders[] = {"constant", "replicate", "reflect"};

static lk_affine golden_matrix(void) {
    lk_image m = golden("warp_matrix");
    lk_affine a;
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 3; k++) a.m[i][k] = (double)lk_row_f32(&m, i)[k];
    lk_image_free(&m);
    return a;
}

/* Calls the warp for every filter, border and channel count. `affine` or by the map. */
static void check_warps(bool affine) {
    lk_error err = {0};
    lk_affine m = golden_matrix();
    lk_image map = golden("warp_map");
    for (int c = 1; c <= 4; c += c == 1 ? 2 : 1) {
        lk_image src = golden("warp_src%d", c), bytes, out, out_bytes, mixed;
        test_ok(lk_image_convert(&src, LK_U8, &bytes, &err), &err);
        test_ok(lk_image_alloc(&out, map.width, map.height, c, LK_F32, &err), &err);
        test_ok(lk_image_alloc(&mixed, map.width, map.height, c, LK_F32, &err), &err);
        test_ok(lk_image_alloc(&out_bytes, map.width, map.height, c, LK_U8, &err), &err);
        for (int f = LK_NEAREST; f <= LK_BICUBIC; f++)
            for (int b = LK_BORDER_CONSTANT; b <= LK_BORDER_REFLECT; b++) {
                lk_image want = golden("%s_%s_%s_%d", affine ? "affine" : "remap", filters[f], borders[b], c);
                lk_image *const outs[] = {&out, &mixed, &out_bytes};
                for (int k = 0; k < 3; k++) {
                    const lk_image *in = k == 0 ? &src : &bytes;
                    bool ok = affine ? lk_image_warp_affine(in, outs[k], m, (lk_filter)f, (lk_border)b, &err)
                                     : lk_image_remap(in, outs[k], &map, (lk_filter)f, (lk_border)b, &err);
                    test_ok(ok, &err);
                }
                /* The matrix is kept in float32, which moves coordinates by some 1e-6 pixel. */
                assert_true(difference(&out, &want, NULL) < (f == LK_NEAREST ? 1e-6 : 3e-6));
                /* 8-bit in: half a level at each tap; out: half a level more; bicubic weights sum up to 1.4² */
                assert_true(difference(&mixed, &want, NULL) < 1.1 / 255);
                for (int y = 0; y < want.height; y++) /* 8 bits cut off what bicubic overshoots */
                    for (int i = 0; i < want.width * c; i++) {
                        float *v = &lk_row_f32(&want, y)[i];
                        *v = fminf(fmaxf(*v, 0), 1);
                    }
                assert_true(difference(&out_bytes, &want, NULL) < 1.6 / 255);
                if (affine) {
                    double mean;
                    lk_image cv = golden("cvaffine_%s_%s_%d", filters[f], borders[b], c);
                    difference(&out, &cv, &mean);
                    assert_true(mean < 0.5 / 255); /* OpenCV rounds coordinates to 1/32 pixel */
                    lk_image_free(&cv);
                }
                lk_image_free(&want);
            }
        lk_image_free(&src);
        lk_image_free(&bytes);
        lk_image_free(&out);
        lk_image_free(&mixed);
        lk_image_free(&out_bytes);
    }
    lk_image_free(&map);
}

static void affine_warps(void **state) {
    (void)state;
    check_warps(true);
}

static void map_warps(void **state) {
    (void)state;
    check_warps(false);
}

static void resizes(void **state) {
    (void)state;
    lk_error err = {0};
    for (int c = 1; c <= 4; c++) {
        lk_image src = golden("resize_src%d", c), bytes;
        test_ok(lk_image_convert(&src, LK_U8, &bytes, &err), &err);
        for (int f = LK_NEAREST; f <= LK_AREA; f++)
            for (int up = 0; up < 2; up++) {
                lk_image want = golden("resize_%s_%s_%d", filters[f], up ? "up" : "down", c), out;
                test_ok(lk_image_alloc(&out, want.width, want.height, c, LK_F32, &err), &err);
                test_ok(lk_image_resize(&src, &out, (lk_filter)f, &err), &err);
                assert_true(difference(&out, &want, NULL) < 2e-5);
                lk_image_free(&out);
                test_ok(lk_image_alloc(&out, want.width, want.height, c, LK_U8, &err), &err);
                test_ok(lk_image_resize(&bytes, &out, (lk_filter)f, &err), &err);
                assert_true(difference(&out, &want, NULL) < 2.0 / 255);
                lk_image_free(&out);
                lk_image_free(&want);
            }
        lk_image_free(&src);
        lk_image_free(&bytes);
    }
}

/* Large pictures are done in parallel: same pixels as the small ones they consist of. */
static void large_equals_small(void **state) {
    (void)state;
    lk_error err = {0};
    lk_image src, large, small;
    test_ok(lk_image_alloc(&src, 400, 300, 3, LK_F32, &err), &err);
    lk_rng rng = lk_rng_make(5, 0);
    for (int i = 0; i < 400 * 300 * 3; i++) ((float *)src.data)[i] = (float)lk_rng_uniform(&rng, 0, 1);
    test_ok(lk_image_alloc(&large, 600, 500, 3, LK_F32, &err), &err);
    test_ok(lk_image_alloc(&small, 200, 100, 3, LK_F32, &err), &err);
    lk_affine m = {{{1.3, 0.4, 20}, {-0.3, 1.2, 60}}};
    test_ok(lk_image_warp_affine(&src, &large, m, LK_BICUBIC, LK_BORDER_REFLECT, &err), &err);
    lk_affine shifted = lk_affine_multiply((lk_affine){{{1, 0, -200}, {0, 1, -300}}}, m);
    test_ok(lk_image_warp_affine(&src, &small, shifted, LK_BICUBIC, LK_BORDER_REFLECT, &err), &err);
    lk_image part = lk_image_view(&large, (lk_rect){200, 300, 200, 100});
    assert_true(difference(&part, &small, NULL) < 1e-5);
    lk_image_free(&part);
    assert_non_null(large.data);

    /* A warp into a view leaves what lies around it. */
    memset(large.data, 0, large.stride * 500);
    part = lk_image_view(&large, (lk_rect){10, 20, 30, 40});
    test_ok(lk_image_warp_affine(&src, &part, m, LK_BILINEAR, LK_BORDER_REPLICATE, &err), &err);
    for (int y = 0; y < 500; y++)
        for (int x = 0; x < 600; x++) {
            bool inside = x >= 10 && x < 40 && y >= 20 && y < 60;
            if ((lk_row_f32(&large, y)[3 * x] != 0) != inside) fail_msg("pixel (%d, %d) is wrong", x, y);
        }
    lk_image_free(&src);
    lk_image_free(&large);
    lk_image_free(&small);
}

/* Tiny pictures, wild matrices and wrong calls. */
static void extremes(void **state) {
    (void)state;
    lk_error err = {0};
    lk_image one, out, map, three;
    test_ok(lk_image_alloc(&one, 1, 1, 3, LK_F32, &err), &err);
    for (int c = 0; c < 3; c++) lk_row_f32(&one, 0)[c] = 0.25f;
    test_ok(lk_image_alloc(&out, 9, 7, 3, LK_F32, &err), &err);
    for (int f = LK_NEAREST; f <= LK_AREA; f++) {
        test_ok(lk_image_resize(&one, &out, (lk_filter)f, &err), &err);
        assert_true(fabsf(lk_row_f32(&out, 3)[7] - 0.25f) < 1e-6f);
    }
    lk_affine identity = {{{1, 0, 0}, {0, 1, 0}}};
    for (int f = LK_NEAREST; f <= LK_BICUBIC; f++)
        for (int b = LK_BORDER_REPLICATE; b <= LK_BORDER_REFLECT; b++) {
            test_ok(lk_image_warp_affine(&one, &out, identity, (lk_filter)f, (lk_border)b, &err), &err);
            assert_true(fabsf(lk_row_f32(&out, 6)[26] - 0.25f) < 1e-6f);
        }
    test_ok(lk_image_alloc(&map, 9, 7, 2, LK_F32, &err), &err);
    const float wild[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 2147483648.0f, 0};
    for (int i = 0; i < 9 * 7 * 2; i++) ((float *)map.data)[i] = wild[i % 7];
    for (int f = LK_NEAREST; f <= LK_BICUBIC; f++)
        for (int b = LK_BORDER_CONSTANT; b <= LK_BORDER_REFLECT; b++) {
            test_ok(lk_image_remap(&one, &out, &map, (lk_filter)f, (lk_border)b, &err), &err);
            for (int i = 0; i < 9 * 7 * 3; i++) assert_true(isfinite(((float *)out.data)[i]));
        }
    assert_false(
        lk_image_warp_affine(&one, &out, (lk_affine){{{1, 2, 0}, {2, 4, 0}}}, LK_NEAREST, LK_BORDER_CONSTANT, &err));
    assert_non_null(strstr(err.message, "singular"));
    test_ok(lk_image_alloc(&three, 9, 7, 1, LK_F32, &err), &err);
    assert_false(lk_image_resize(&one, &three, LK_AREA, &err));
    assert_int_equal(err.code, LK_ERR_USAGE);
    assert_false(lk_image_remap(&one, &out, &three, LK_NEAREST, LK_BORDER_CONSTANT, &err));
    assert_false(lk_image_warp_affine(&one, &out, identity, LK_LANCZOS, LK_BORDER_CONSTANT, &err));
    lk_image_free(&three);
    assert_false(lk_image_alloc(&three, 0, 4, 1, LK_U8, &err));
    assert_false(lk_image_alloc(&three, 4, LK_MAX_IMAGE_SIDE + 1, 1, LK_U8, &err));
    lk_image_free(&one);
    lk_image_free(&out);
    lk_image_free(&map);
}

static void affine_algebra(void **state) {
    (void)state;
    lk_affine a = {{{1.5, 0.25, 3}, {-0.5, 2, -7}}}, b = {{{0.5, 1, 2}, {0, 3, 1}}}, inverse;
    lk_point p = {11, -4};
    lk_point q = lk_affine_apply(lk_affine_multiply(a, b), p), r = lk_affine_apply(a, lk_affine_apply(b, p));
    assert_true(fabsf(q.x - r.x) < 1e-5f && fabsf(q.y - r.y) < 1e-5f);
    assert_true(lk_affine_invert(a, &inverse));
    q = lk_affine_apply(inverse, lk_affine_apply(a, p));
    assert_true(fabsf(q.x - p.x) < 1e-5f && fabsf(q.y - p.y) < 1e-5f);
    assert_false(lk_affine_invert((lk_affine){{{NAN, 0, 0}, {0, 1, 0}}}, &inverse));
}

/* Every 8-bit value survives the way to float and back; float is rounded and clamped. */
static void conversion(void **state) {
    (void)state;
    lk_error err = {0};
    lk_image bytes, floats, back;
    test_ok(lk_image_alloc(&bytes, 256, 1, 1, LK_U8, &err), &err);
    for (int i = 0; i < 256; i++) lk_row_u8(&bytes, 0)[i] = (uint8_t)i;
    test_ok(lk_image_convert(&bytes, LK_F32, &floats, &err), &err);
    assert_true(fabsf(lk_row_f32(&floats, 0)[51] - 0.2f) < 1e-6f);
    test_ok(lk_image_convert(&floats, LK_U8, &back, &err), &err);
    assert_memory_equal(bytes.data, back.data, 256);
    lk_image_free(&back);
    const float odd[] = {-3, 2, NAN, 0.4999f / 255, 0.5001f / 255, INFINITY, -INFINITY};
    const uint8_t want[] = {0, 255, 0, 0, 1, 255, 0};
    memcpy(floats.data, odd, sizeof odd);
    test_ok(lk_image_convert(&floats, LK_U8, &back, &err), &err);
    assert_memory_equal(back.data, want, sizeof want);
    lk_image_free(&back);
    lk_image_free(&bytes);
    lk_image_free(&floats);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(affine_warps),       cmocka_unit_test(map_warps), cmocka_unit_test(resizes),
        cmocka_unit_test(large_equals_small), cmocka_unit_test(extremes),  cmocka_unit_test(affine_algebra),
        cmocka_unit_test(conversion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
