/* Samples against tests/golden/train_sample.py: same random numbers, transforms, warp and mask, from the same JPEGs. Built a
 * second time with LK_EMULATED: as the stand-in for a GPU draws them. */
#include "made_up.h"

#ifdef LK_EMULATED
#include "on_device.h"
#define DESCRIBED true
#else
#define DESCRIBED false
#endif

#define BATCH     3
#define ITERATION 3
#define SIDE      64

static void *golden(size_t *size, const char *format, ...) {
    char name[200], path[600];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    snprintf(path, sizeof path, "%s/train_sample_%s", LK_GOLDEN, name);
    lk_error err = {0};
    void *data = NULL;
    test_ok(lk_file_read(path, LK_MIB(16), &data, size, &err), &err);
    return data;
}

static void make_set(const char *path, int kase, int size) {
    lk_error err = {0};
    lk_faceset *set = lk_faceset_create(path, &err);
    lk_source source = {.width = 640, .height = 480, .frames = 2, .fps = 25, .complete = true, .path = "a.mp4"};
    lk_sha256("", 0, source.fingerprint);
    test_ok(set && lk_faceset_add_source(set, &source, &err), &err);
    lk_face *f = calloc(1, sizeof *f);
    assert_non_null(f);
    for (int i = 0; i < 2; i++) {
        size_t bytes, jpeg_size;
        void *points = golden(&bytes, "%d_%d.points", kase, i), *jpeg = golden(&jpeg_size, "%d_%d.jpg", kase, i);
        assert_int_equal(bytes, sizeof f->crop_points);
        *f = (lk_face){.source = source.id, .frame = i, .type = LK_FACE_FULL, .size = size};
        memcpy(&f->crop_points, points, bytes);
        f->points = f->crop_points;
        f->frame_to_crop = (lk_affine){{{1, 0, 0}, {0, 1, 0}}};
        f->bounds = lk_landmarks_bounds(&f->points);
        const float mean[] = {45 + 10 * (float)i, 12 - 6 * (float)i, 9},
                    std[] = {9 + 3 * (float)i, 4, 5 + 7 * (float)i};
        memcpy(f->mean, mean, sizeof mean);
        memcpy(f->std, std, sizeof std);
        test_ok(lk_faceset_add(set, f, jpeg, jpeg_size, &err), &err);
        free(points);
        free(jpeg);
    }
    free(f);
    lk_faceset_close(set);
}

static double largest_difference(const float *a, const float *b, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

static double mean_difference(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += fabs((double)a[i] - (double)b[i]) / (double)n;
    return sum;
}

/* A large crop of a full face for a half model, which is averaged down, and a small one for a full model; that one also with
 * src in dst's colours. */
static void test_samples(void **state) {
    (void)state;
    static const int sizes[] = {256, 88, 88};
    static const char *const types[] = {"half", "full", "full"};
    for (int kase = 0; kase < 3; kase++) {
        lk_error err = {0};
        char *folder = test_folder(), *path = lk_path_join(folder, "a.faces", NULL);
        make_set(path, kase, sizes[kase]);
        lk_strings paths = {0};
        lk_swap_config c = tiny_config();
        lk_swap_objective objective = {0};
        lk_train_options o = {0};
        lk_settings s;
        lk_pool src, dst;
        test_ok(lk_options_set(lk_swap_options, &c, "face-type", types[kase], &err) && lk_swap_complete(&c, &err) &&
                    lk_strings_add(&paths, path, &err) &&
                    lk_options_defaults(lk_swap_objective_options, &objective, &err) &&
                    lk_options_defaults(lk_train_option_table, &o, &err),
                &err);
        o.seed = 7;
        o.batch = BATCH;
        o.src_scale = 10;
        o.color_transfer = kase == 2;
        test_ok(lk_settings_start(&s, &objective, &o, &err) &&
                    lk_pool_open(&src, "src", &paths, &c, 0, LK_MIB(64), &err) &&
                    lk_pool_open(&dst, "dst", &paths, &c, 0, LK_MIB(64), &err),
                &err);
        lk_sampler_job job = {
            .src = &src, .dst = &dst, .settings = &s, .resolution = SIDE, .iteration = ITERATION, .threads = 2};
        job.described = DESCRIBED;
        lk_sampler *sampler = lk_sampler_start(&job, &err);
        lk_batch *b = sampler ? lk_sampler_next(sampler, &err) : NULL;
        test_ok(b != NULL, &err);
        size_t bytes, pixels = SIDE * SIDE;
        const float *all_warped = b->warped, *all_targets = b->target, *all_masks = b->mask;
#ifdef LK_EMULATED
        static float drawn[2 * BATCH * 7 * SIDE * SIDE];
        all_warped = drawn;
        all_targets = drawn + 2 * BATCH * 3 * pixels;
        all_masks = drawn + 2 * BATCH * 6 * pixels;
        draw_on_device(b, SIDE, drawn, drawn + 2 * BATCH * 3 * pixels, drawn + 2 * BATCH * 6 * pixels, NULL);
#endif
        float *all = golden(&bytes, "%d.f32", kase);
        assert_int_equal(bytes, 2 * 2 * BATCH * 7 * pixels * sizeof(float));
        for (int i = 0; i < 2 * BATCH; i++) {
            const float *want = all + (size_t)(b->faces[i] * 2 * BATCH + i) * 7 * pixels;
            const float *warped = all_warped + (size_t)i * 3 * pixels, *target = all_targets + (size_t)i * 3 * pixels;
            /* JPEG decoders and roundings of the averaged crop may differ by a level; OpenCV's Lab comes from a table. */
            double most = kase == 2 ? 0.06 : 0.02;
            assert_true(largest_difference(warped, want, 3 * pixels) < most);
            assert_true(mean_difference(warped, want, 3 * pixels) < 0.002);
            assert_true(largest_difference(target, want + 3 * pixels, 3 * pixels) < most);
            assert_true(mean_difference(target, want + 3 * pixels, 3 * pixels) < 0.002);
            /* Centres of pixels that lie on an edge may fall to either side. */
            assert_true(mean_difference(all_masks + (size_t)i * pixels, want + 6 * pixels, pixels) < 0.001);
        }
        free(all);
        lk_sampler_stop(sampler);
        lk_pool_close(&src);
        lk_pool_close(&dst);
        lk_strings_free(&paths);
        free(path);
        test_remove_folder(folder);
    }
}

int main(void) {
#ifdef LK_EMULATED
    lk_backend_gpu = &lk_backend_cuda;
#endif
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_samples)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
