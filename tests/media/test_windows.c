/* RGB of windows, and what putting it back does to the frame. */
#include "clips.h"

#include <math.h>

/* Noise: most of its samples are colours that RGB does not have. */
static void make_noise(const char *folder, const char *format) {
    char command[300];
    snprintf(command, sizeof command,
             "-f lavfi -i testsrc2=size=66x50:duration=0.2,format=%s,noise=alls=100:allf=t -c:v ffv1 in.mkv", format);
    ffmpeg(folder, command);
}

static void visit(lk_frame *f, lk_rect window, lk_pixel type) {
    lk_error err = {0};
    lk_image rgb;
    test_ok(lk_frame_rgb(f, window, type, &rgb, &err), &err);
    test_ok(lk_frame_set_rgb(f, window, &rgb, &err), &err);
    lk_image_free(&rgb);
}

/* What is put back as it was taken out leaves the samples as they were, in 8 bits of RGB as in floats. */
static void an_unchanged_window_changes_nothing(void **state) {
    (void)state;
    static const char *const formats[] = {"yuv420p", "yuv422p",     "yuv444p", "yuv420p10le", "yuv422p10le",
                                          "gray",    "yuv444p12le", "bgr0",    "gbrp10le",    "yuv440p"};
    static const lk_writer_options ffv1 = {.codec = "ffv1", .lossless = true};
    char *folder = test_folder();
    for (size_t i = 0; i < LK_COUNT(formats); i++) {
        lk_error err = {0};
        make_noise(folder, formats[i]);
        char *in = lk_path_join(folder, "in.mkv", NULL), *out = lk_path_join(folder, "out.mkv", NULL);
        lk_reader *r = lk_reader_open(in, NULL, &err);
        test_ok(r != NULL, &err);
        lk_writer *w = lk_writer_open(out, r, &ffv1, &err);
        test_ok(w != NULL, &err);
        for (lk_frame *f; (f = lk_reader_next(r, &err)) != NULL; lk_frame_free(f)) {
            visit(f, (lk_rect){0, 0, 66, 50}, LK_U8);
            visit(f, (lk_rect){3, 5, 31, 22}, LK_U8);
            visit(f, (lk_rect){1, 2, 65, 48}, LK_F32);
            visit(f, (lk_rect){65, 49, 1, 1}, LK_F32);
            test_ok(lk_writer_add(w, f, &err), &err);
        }
        test_ok(lk_writer_finish(w, &err), &err);
        lk_reader_close(r);
        bool padded = strcmp(formats[i], "bgr0") == 0; /* its fourth byte is nothing */
        assert_same_output(folder,
                           padded ? "ffmpeg -v error -i $f -pix_fmt rgb24 -f framemd5 - | grep -v '^#'"
                                  : "ffmpeg -v error -i $f -f framemd5 - | grep -v '^#'",
                           "in.mkv", "out.mkv");
        free(in);
        free(out);
    }
    test_remove_folder(folder);
}

/* Any colour, put into a frame with whole chroma, comes back within a rounding of each of Y, Cb and Cr. */
static void a_new_picture_comes_back(void **state) {
    (void)state;
    static const char *const formats[] = {"yuv444p", "yuv444p10le", "gbrp"};
    static const double largest_mean[] = {0.8, 0.35, 0};
    char *folder = test_folder();
    lk_rng rng = lk_rng_make(4, 2);
    for (size_t i = 0; i < LK_COUNT(formats); i++) {
        make_noise(folder, formats[i]);
        lk_error err = {0};
        lk_frame *f = first_frame(folder, "in.mkv");
        lk_rect window = {7, 9, 40, 33};
        lk_image rgb, back;
        test_ok(lk_image_alloc(&rgb, window.width, window.height, 3, LK_U8, &err), &err);
        for (int y = 0; y < rgb.height; y++)
            for (int x = 0; x < 3 * rgb.width; x++) lk_row_u8(&rgb, y)[x] = (uint8_t)lk_rng_below(&rng, 256);
        test_ok(lk_frame_set_rgb(f, window, &rgb, &err), &err);
        test_ok(lk_frame_rgb(f, window, LK_U8, &back, &err), &err);
        double sum = 0;
        for (int y = 0; y < rgb.height; y++)
            for (int x = 0; x < 3 * rgb.width; x++) {
                int d = abs(lk_row_u8(&rgb, y)[x] - lk_row_u8(&back, y)[x]);
                assert_true(d <= 3);
                sum += d;
            }
        double mean = sum / (3.0 * rgb.width * rgb.height);
        if (mean > largest_mean[i]) fail_msg("%s: mean error %.3f", formats[i], mean);
        lk_image_free(&rgb);
        lk_image_free(&back);
        lk_frame_free(f);
    }
    test_remove_folder(folder);
}

/* Halved chroma: outside the window nothing changes, and one owner's pixels are not another's. */
static void the_rest_stays(void **state) {
    (void)state;
    char *folder = test_folder();
    make_noise(folder, "yuv420p");
    lk_error err = {0};
    lk_frame *f = first_frame(folder, "in.mkv"), *other = lk_frame_ref(f);
    assert_non_null(other);
    lk_rect all = {0, 0, 66, 50}, window = {11, 7, 20, 17};
    lk_image before, after, kept, black;
    test_ok(lk_frame_rgb(f, all, LK_F32, &before, &err), &err);
    test_ok(lk_image_alloc(&black, window.width, window.height, 3, LK_F32, &err), &err);
    test_ok(lk_frame_set_rgb(f, window, &black, &err), &err);
    test_ok(lk_frame_rgb(f, all, LK_F32, &after, &err), &err);
    test_ok(lk_frame_rgb(other, all, LK_F32, &kept, &err), &err);
    for (int y = 0; y < 50; y++) {
        assert_memory_equal(lk_row_f32(&kept, y), lk_row_f32(&before, y), 66 * 3 * sizeof(float));
        for (int x = 0; x < 66; x++) {
            const float *a = lk_row_f32(&after, y) + 3 * x, *b = lk_row_f32(&before, y) + 3 * x;
            bool in = x >= window.x && x < window.x + window.width && y >= window.y && y < window.y + window.height;
            if (!in) assert_memory_equal(a, b, 3 * sizeof *a);
            /* One pixel in from an odd edge, chroma is the window's own. */
            if (in && x > window.x && y > window.y && x < window.x + window.width - 1)
                assert_true(a[0] < 0.01f && a[1] < 0.01f && a[2] < 0.01f);
        }
    }
    lk_image_free(&kept);
    assert_false(lk_frame_set_rgb(f, (lk_rect){60, 40, 20, 17}, &black, &err));
    assert_int_equal(err.code, LK_ERR_USAGE);
    assert_false(lk_frame_set_rgb(f, (lk_rect){0, 0, 20, 16}, &black, &err));
    assert_false(lk_frame_rgb(f, (lk_rect){-1, 0, 20, 16}, LK_U8, &kept, &err));
    assert_null(kept.data);
    lk_image_free(&before);
    lk_image_free(&after);
    lk_image_free(&black);
    lk_frame_free(f);
    lk_frame_free(other);
    test_remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unchanged_window_changes_nothing),
        cmocka_unit_test(a_new_picture_comes_back),
        cmocka_unit_test(the_rest_stays),
    };
    return cmocka_run_group_tests_name("media: windows of frames", tests, NULL, NULL);
}
