/* Each colour method, each mode's core and each finish, against OpenCV and NumPy (tests/golden/merge_faces.py), on two
 * real faces of the sample clips. Tolerances in levels of 255. */
#include "image/golden.h"

#include "color.h"
#include "finish.h"
#include "poisson.h"
#include "sine.h"

static bool have_faces(void) {
    if (lk_file_exists(LK_GOLDEN "/image_merge_palette.bin")) return true;
    print_message("no sample clips: run 'tools/setup.sh clips'\n");
    return false;
}

/* The weighted mean difference, and the share of weight that is further apart than `most`. */
static void expect(const lk_image *got, const char *name, const lk_image *weights, double mean, double most) {
    lk_image want = golden("merge_%s", name);
    double sum = 0, count = 0, far = 0;
    for (int y = 0; y < got->height; y++)
        for (int i = 0; i < 3 * got->width; i++) {
            double d = 255 * fabs((double)lk_row_f32(got, y)[i] - (double)lk_row_f32(&want, y)[i]);
            double w = weights ? (double)lk_row_f32(weights, y)[i / 3] : 1;
            sum += w * d;
            far += d > most ? w : 0;
            count += w;
        }
    if (!(sum / count <= mean) || far / count > 1e-3)
        fail_msg("%s: mean difference %.3f levels, %.2f %% beyond %g", name, sum / count, 100 * far / count, most);
    lk_image_free(&want);
}

static void color_methods(void **state) {
    (void)state;
    if (!have_faces()) skip();
    lk_error err = {0};
    lk_image weights = golden("merge_weights"), like = golden("merge_like");
    const struct {
        int method;
        const char *name;
        double mean, most;
    } cases[] = {{LK_COLOR_MKL, "mkl", 0.01, 0.05},
                 {LK_COLOR_PCA, "pca", 0.01, 0.05},
                 {LK_COLOR_IDT, "idt", 0.05, 2},
                 {LK_COLOR_SOT, "sot", 0.05, 2}};
    for (size_t k = 0; k < LK_COUNT(cases); k++)
        for (int whole = 0; whole < 2; whole++) {
            char name[40];
            lk_image image = golden("merge_image");
            snprintf(name, sizeof name, "%s_%s", cases[k].name, whole ? "whole" : "soft");
            test_ok(lk_transfer_color(&image, &like, whole ? NULL : &weights, cases[k].method, &err), &err);
            expect(&image, name, whole ? NULL : &weights, cases[k].mean, cases[k].most);
            lk_image_free(&image);
        }
    lk_image_free(&weights);
    lk_image_free(&like);
}

/* Every method leaves a face that has the colours already as it is; a flat one does not become noise. */
static void color_of_itself(void **state) {
    (void)state;
    if (!have_faces()) skip();
    lk_error err = {0};
    lk_image weights = golden("merge_weights"), like = golden("merge_like");
    for (int method = LK_COLOR_RCT; method <= LK_COLOR_SOT; method++) {
        lk_image image;
        test_ok(lk_image_copy(&like, &image, &err), &err);
        test_ok(lk_transfer_color(&image, &like, &weights, method, &err), &err);
        expect(&image, "like", &weights, 0.02, 0.5);
        lk_image_free(&image);
    }
    lk_image_free(&weights);
    lk_image_free(&like);
}

static void histograms(void **state) {
    (void)state;
    if (!have_faces()) skip();
    lk_error err = {0};
    lk_image mask = golden("merge_binary"), like = golden("merge_like"), image = golden("merge_image");
    lk_match_histograms(&image, &like, &mask);
    expect(&image, "hist", &mask, 0.02, 0.5);
    lk_image_free(&image);
    image = golden("merge_image");
    test_ok(lk_match_luma(&image, &like, &mask, &err), &err);
    expect(&image, "hist_bw", &mask, 0.02, 0.5);
    lk_image_free(&image);
    lk_image_free(&mask);
    lk_image_free(&like);
}

/* cv2.seamlessClone cuts its result off to 8 bits: half a level on average. */
static void seamless_clone(void **state) {
    (void)state;
    if (!have_faces()) skip();
    lk_error err = {0};
    lk_image image = golden("merge_image"), like = golden("merge_like"), mask = golden("merge_eroded");
    test_ok(lk_poisson_clone(&image, &like, &mask, &err), &err);
    for (int i = 0; i < image.width * image.height * 3; i++) {
        float *v = &((float *)image.data)[i];
        *v = fminf(fmaxf(*v, 0), 1);
    }
    expect(&image, "clone", NULL, 0.6, 1.5);
    lk_image_free(&image);
    lk_image_free(&like);
    lk_image_free(&mask);
}

/* The solution fulfils the discrete equation, whatever the sides. */
static void poisson_is_exact(void **state) {
    (void)state;
    lk_error err = {0};
    const int sides[][2] = {{65, 46}, {33, 33}, {91, 17}, {50, 128}};
    for (size_t k = 0; k < LK_COUNT(sides); k++) {
        int w = sides[k][0], h = sides[k][1];
        lk_image over, under, weights, result;
        lk_rng rng = lk_rng_make(3, k);
        test_ok(lk_image_alloc(&over, w, h, 3, LK_F32, &err) && lk_image_alloc(&under, w, h, 3, LK_F32, &err), &err);
        test_ok(lk_image_alloc(&weights, w, h, 1, LK_F32, &err), &err);
        for (int i = 0; i < 3 * w * h; i++) {
            ((float *)over.data)[i] = (float)lk_rng_uniform(&rng, 0, 1);
            ((float *)under.data)[i] = (float)lk_rng_uniform(&rng, 0, 1);
        }
        for (int y = 3; y < h - 3; y++)
            for (int x = 3; x < w - 3; x++) lk_row_f32(&weights, y)[x] = (float)lk_rng_uniform(&rng, 0, 1);
        test_ok(lk_image_copy(&over, &result, &err), &err);
        test_ok(lk_poisson_clone(&result, &under, &weights, &err), &err);
#define AT(image, x, y) ((double)lk_row_f32(&(image), y)[3 * (x) + c])
#define W(x, y)         ((double)lk_row_f32(&weights, y)[x])
#define RIGHT(im, x, y) (AT(im, (x) + 1, y) - AT(im, x, y))
#define DOWN(im, x, y)  (AT(im, x, (y) + 1) - AT(im, x, y))
#define MIX_R(x, y)     (W(x, y) * RIGHT(over, x, y) + (1 - W(x, y)) * RIGHT(under, x, y))
#define MIX_D(x, y)     (W(x, y) * DOWN(over, x, y) + (1 - W(x, y)) * DOWN(under, x, y))
        for (int y = 1; y < h - 2; y++)
            for (int x = 1; x < w - 2; x++)
                for (int c = 0; c < 3; c++) {
                    double wanted = MIX_R(x, y) - MIX_R(x - 1, y) + MIX_D(x, y) - MIX_D(x, y - 1);
                    double got =
                        RIGHT(result, x, y) - RIGHT(result, x - 1, y) + DOWN(result, x, y) - DOWN(result, x, y - 1);
                    if (fabs(wanted - got) > 1e-4) fail_msg("%d×%d at (%d, %d): %g, not %g", w, h, x, y, got, wanted);
                }
        lk_image_free(&over);
        lk_image_free(&under);
        lk_image_free(&weights);
        lk_image_free(&result);
    }
}

static void sine_transform(void **state) {
    (void)state;
    lk_error err = {0};
    const int sizes[] = {1, 2, 6, 12, 59, 127, 134};
    for (size_t k = 0; k < LK_COUNT(sizes); k++) {
        int n = sizes[k], lanes = 70;
        float *data = lk_alloc((size_t)n, (size_t)lanes * sizeof *data, &err), *copy;
        copy = lk_alloc((size_t)n, (size_t)lanes * sizeof *data, &err);
        test_ok(data && copy, &err);
        lk_rng rng = lk_rng_make(5, k);
        for (int i = 0; i < n * lanes; i++) copy[i] = data[i] = (float)lk_rng_uniform(&rng, -1, 1);
        test_ok(lk_sine_transform(data, n, lanes, (size_t)lanes, &err), &err);
        for (int lane = 0; lane < lanes; lane += 23)
            for (int f = 0; f < n; f++) {
                double sum = 0;
                for (int j = 0; j < n; j++)
                    sum += (double)copy[j * lanes + lane] * sin(M_PI * (j + 1) * (f + 1) / (n + 1));
                assert_true(fabs(sum - (double)data[f * lanes + lane]) < 2e-5 * (n + 10));
            }
        free(data);
        free(copy);
    }
    assert_int_equal(lk_smooth_size(127), 128);
    assert_int_equal(lk_smooth_size(128), 128);
    assert_int_equal(lk_smooth_size(241), 243);
}

static void finishes(void **state) {
    (void)state;
    if (!have_faces()) skip();
    lk_error err = {0};
    for (int k = 0; k < 6; k++) {
        static const char *const names[] = {"sharpen_gaussian", "sharpen_box", "motion",
                                            "median",           "bicubic",     "palette"};
        lk_image image = golden("merge_image");
        lk_affine back = {{{1, 0, -9}, {0, 1, 6}}}, on = {{{1, 0, 9}, {0, 1, -6}}};
        bool ok = k < 2    ? lk_sharpen(&image, 0.7, k == 1, &err)
                  : k == 2 ? lk_motion_blur(&image, back, on, 0.5, &err)
                  : k == 3 ? lk_denoise(&image, 0.6, &err)
                  : k == 4 ? lk_bicubic_degrade(&image, 0.5, &err)
                           : lk_reduce_colors(&image, 0.5, &err);
        test_ok(ok, &err);
        expect(&image, names[k], NULL, k == 2 ? 0.1 : 0.01, k == 2 ? 1 : 0.1);
        lk_image_free(&image);
    }
}

/* Noise of a known deviation is measured within a tenth, and the same seed gives the same noise. */
static void grain(void **state) {
    (void)state;
    lk_error err = {0};
    for (int k = 1; k <= 4; k++) {
        lk_image image, again, all;
        test_ok(lk_image_alloc(&image, 120, 100, 3, LK_F32, &err) && lk_image_alloc(&all, 120, 100, 1, LK_F32, &err),
                &err);
        for (int i = 0; i < 120 * 100; i++) {
            ((float *)all.data)[i] = 1;
            for (int c = 0; c < 3; c++) ((float *)image.data)[3 * i + c] = 0.5f + 0.2f * sinf(0.05f * (float)(i % 120));
        }
        test_ok(lk_image_copy(&image, &again, &err), &err);
        assert_true(lk_noise_level(&image, &all, &err) < 0.1 / 255);
        lk_add_grain(&image, &all, 2.0 * k / 255, 7, 1);
        lk_add_grain(&again, &all, 2.0 * k / 255, 7, 1);
        assert_memory_equal(image.data, again.data, image.stride * 100);
        double level = 255 * lk_noise_level(&image, &all, &err);
        assert_true(fabs(level - 2.0 * k) < 0.2 * k);
        lk_image_free(&image);
        lk_image_free(&again);
        lk_image_free(&all);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(color_methods),    cmocka_unit_test(color_of_itself),
        cmocka_unit_test(histograms),       cmocka_unit_test(seamless_clone),
        cmocka_unit_test(poisson_is_exact), cmocka_unit_test(sine_transform),
        cmocka_unit_test(finishes),         cmocka_unit_test(grain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
