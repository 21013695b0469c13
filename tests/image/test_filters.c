/* Blur, erosion, Lab, polygons and statistics against OpenCV and NumPy. */
#include "golden.h"

static void blurs(void **state) {
    (void)state;
    lk_error err = {0};
    for (int c = 1; c <= 3; c += 2)
        for (int s = 0; s < 3; s++) {
            const double sigmas[] = {0.8, 2.5, 9.0};
            lk_image image = golden("blur_src%d", c), want = golden("blur_%d_%d", (int)(sigmas[s] * 10), c);
            test_ok(lk_image_blur(&image, sigmas[s], &err), &err);
            assert_true(difference(&image, &want, NULL) < 2e-6);
            lk_image_free(&image);
            lk_image_free(&want);
        }
}

/* A blur far wider than the picture (mirrored many times over) gives its mean, here that of a single bright pixel. */
static void wide_blur(void **state) {
    (void)state;
    lk_error err = {0};
    lk_image image;
    test_ok(lk_image_alloc(&image, 3, 1, 1, LK_F32, &err), &err);
    lk_row_f32(&image, 0)[1] = 1;
    test_ok(lk_image_blur(&image, 50, &err), &err);
    for (int x = 0; x < 3; x++) assert_true(fabsf(lk_row_f32(&image, 0)[x] - 0.5f) < 1e-3f); /* period 0 1 0 1 … */
    assert_true(lk_image_blur(&image, 0, &err));
    lk_image_free(&image);
    test_ok(lk_image_alloc(&image, 3, 1, 1, LK_U8, &err), &err);
    assert_false(lk_image_blur(&image, 1, &err));
    lk_image_free(&image);
}

static void discs(void **state) {
    (void)state;
    lk_error err = {0};
    const int radii[] = {1, 2, 5, 12, 30};
    for (size_t k = 0; k < LK_COUNT(radii); k++)
        for (int grow = 0; grow < 2; grow++) {
            lk_image image = golden("disc_src"), bytes, want_bytes;
            lk_image want = golden("%s_%d", grow ? "dilate" : "erode", radii[k]);
            test_ok(lk_image_convert(&image, LK_U8, &bytes, &err), &err);
            test_ok(lk_image_convert(&want, LK_U8, &want_bytes, &err), &err);
            bool (*f)(lk_image *, int, lk_error *) = grow ? lk_image_dilate : lk_image_erode;
            test_ok(f(&image, radii[k], &err), &err);
            assert_true(difference(&image, &want, NULL) == 0);
            test_ok(f(&bytes, radii[k], &err), &err);
            assert_true(difference(&bytes, &want_bytes, NULL) == 0);
            lk_image_free(&image);
            lk_image_free(&want);
            lk_image_free(&bytes);
            lk_image_free(&want_bytes);
        }
}

/* Where the picture is large enough for several bands, and where the disc is larger than the picture. */
static void large_discs(void **state) {
    (void)state;
    lk_error err = {0};
    lk_image image;
    test_ok(lk_image_alloc(&image, 300, 400, 1, LK_F32, &err), &err);
    for (int y = 0; y < 400; y++)
        for (int x = 0; x < 300; x++) lk_row_f32(&image, y)[x] = 1;
    lk_row_f32(&image, 200)[150] = 0;
    lk_row_f32(&image, 5)[3] = 0;
    test_ok(lk_image_erode(&image, 45, &err), &err);
    for (int y = 0; y < 400; y++)
        for (int x = 0; x < 300; x++) {
            int a = (x - 150) * (x - 150) + (y - 200) * (y - 200), b = (x - 3) * (x - 3) + (y - 5) * (y - 5);
            float want = a <= 45 * 45 || b <= 45 * 45 ? 0 : 1;
            if (lk_row_f32(&image, y)[x] != want) fail_msg("pixel (%d, %d) is wrong", x, y);
        }
    test_ok(lk_image_dilate(&image, 100000, &err), &err);
    assert_true(lk_row_f32(&image, 0)[0] == 1 && lk_row_f32(&image, 399)[299] == 1);
    lk_image_free(&image);
}

static void lab(void **state) {
    (void)state;
    lk_image rgb = golden("lab_rgb"), original = golden("lab_rgb"), want = golden("lab"), cv = golden("lab_cv");
    double mean;
    lk_image_rgb_to_lab(&rgb);
    assert_true(difference(&rgb, &want, NULL) < 1e-3);
    assert_true(difference(&rgb, &cv, &mean) < 1); /* OpenCV interpolates in tables of 33³ colours */
    assert_true(mean < 0.1);
    lk_image_lab_to_rgb(&rgb);
    assert_true(difference(&rgb, &original, NULL) < 1e-4);
    lk_image_free(&rgb);
    lk_image_free(&original);
    lk_image_free(&want);
    lk_image_free(&cv);
    rgb = golden("lab_random");
    want = golden("lab_random_rgb");
    lk_image_lab_to_rgb(&rgb);
    assert_true(difference(&rgb, &want, NULL) < 2e-3);
    lk_image_free(&rgb);
    lk_image_free(&want);
}

/* Pixels on the outline may go either way. */
static void compare_fill(const lk_image *got, const lk_image *want) {
    for (int y = 0; y < want->height; y++)
        for (int x = 0; x < want->width; x++) {
            float w = lk_row_f32(want, y)[x], g = lk_row_f32(got, y)[x];
            if (w != 0.5f && w != g) fail_msg("pixel (%d, %d) is %g, not %g", x, y, (double)g, (double)w);
        }
}

static void polygons(void **state) {
    (void)state;
    lk_error err = {0};
    for (int i = 0; i < 8; i++) {
        lk_image points = golden("polygon_points%d", i), want = golden("polygon%d", i), image, bytes;
        const lk_point *p = (const lk_point *)points.data;
        test_ok(lk_image_alloc(&image, want.width, want.height, 1, LK_F32, &err), &err);
        lk_image_fill_polygon(&image, p, points.height, 1);
        compare_fill(&image, &want);
        lk_image_free(&want);
        want = golden("hull%d", i);
        memset(image.data, 0, image.stride * (size_t)image.height);
        test_ok(lk_image_fill_hull(&image, p, points.height, 1, &err), &err);
        compare_fill(&image, &want);
        test_ok(lk_image_alloc(&bytes, want.width, want.height, 1, LK_U8, &err), &err);
        test_ok(lk_image_fill_hull(&bytes, p, points.height, 255, &err), &err);
        assert_true(difference(&image, &bytes, NULL) == 0);
        lk_image_free(&bytes);
        lk_image_free(&image);
        lk_image_free(&want);
        lk_image_free(&points);
    }
}

static void odd_polygons(void **state) {
    (void)state;
    lk_error err = {0};
    lk_image image;
    test_ok(lk_image_alloc(&image, 20, 10, 1, LK_F32, &err), &err);
    const lk_point nothing[] = {{3, 3}, {3, 3}, {3, 3}}, wild[] = {{NAN, 2}, {3, INFINITY}, {9, 9}};
    const lk_point all[] = {{-1e9f, -1e9f}, {1e9f, -1e9f}, {1e9f, 1e9f}, {-1e9f, 1e9f}};
    lk_image_fill_polygon(&image, nothing, 3, 1);
    test_ok(lk_image_fill_hull(&image, nothing, 1, 1, &err), &err);
    test_ok(lk_image_fill_hull(&image, nothing, 0, 1, &err), &err);
    lk_image_fill_polygon(&image, wild, 3, 1);
    assert_false(lk_image_fill_hull(&image, wild, 3, 1, &err));
    assert_int_equal(err.code, LK_ERR_FORMAT);
    double mean[4], std[4];
    lk_image_mean_std(&image, NULL, mean, std);
    assert_true(mean[0] == 0 && std[0] == 0);
    test_ok(lk_image_fill_hull(&image, all, 4, 1, &err), &err);
    lk_image_mean_std(&image, NULL, mean, std);
    assert_true(mean[0] == 1 && std[0] == 0);
    lk_image_free(&image);
}

static void statistics(void **state) {
    (void)state;
    lk_error err = {0};
    lk_image src = golden("stats_src"), mask = golden("stats_mask"), want = golden("stats"), bytes;
    double mean[4], std[4];
    for (int m = 0; m < 2; m++) {
        lk_image_mean_std(&src, m ? &mask : NULL, mean, std);
        for (int c = 0; c < 3; c++) {
            assert_true(fabs(mean[c] - (double)lk_row_f32(&want, 3 * m + c)[0]) < 1e-6);
            assert_true(fabs(std[c] - (double)lk_row_f32(&want, 3 * m + c)[1]) < 1e-6);
        }
    }
    test_ok(lk_image_convert(&src, LK_U8, &bytes, &err), &err);
    lk_image_mean_std(&bytes, &mask, mean, std);
    for (int c = 0; c < 3; c++) assert_true(fabs(mean[c] / 255 - (double)lk_row_f32(&want, 3 + c)[0]) < 5e-4);
    lk_image sharpness = golden("sharpness");
    for (int m = 0; m < 2; m++) {
        double s = (double)lk_row_f32(&sharpness, 0)[m];
        assert_true(fabs(lk_image_sharpness(&src, m ? &mask : NULL) - s) < 1e-4 * s);
        assert_true(fabs(lk_image_sharpness(&bytes, m ? &mask : NULL) - s) < 1e-2 * s);
    }
    memset(mask.data, 0, mask.stride * (size_t)mask.height);
    assert_true(lk_image_sharpness(&src, &mask) == 0);
    lk_image_mean_std(&src, &mask, mean, std);
    assert_true(mean[2] == 0 && std[2] == 0);
    lk_image_free(&src);
    lk_image_free(&mask);
    lk_image_free(&want);
    lk_image_free(&bytes);
    lk_image_free(&sharpness);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blurs),        cmocka_unit_test(wide_blur),  cmocka_unit_test(discs),
        cmocka_unit_test(large_discs),  cmocka_unit_test(lab),        cmocka_unit_test(polygons),
        cmocka_unit_test(odd_polygons), cmocka_unit_test(statistics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
