/* A predicted face in its frame: what must come back, what must not change, and in what proportions masks work. */
#include "testing.h"

#include <math.h>

#include "blend.h"
#include "color.h"

/* 68 points of a plain oval face that fills the middle of a crop of `side` pixels. */
static lk_landmarks oval(int side) {
    lk_landmarks l;
    double c = side / 2.0, rx = side * 0.33, ry = side * 0.4;
    for (int i = 0; i < LK_LANDMARKS; i++) {
        double a = i < 17 ? M_PI - M_PI * i / 16 : i < 27 ? M_PI + M_PI * (i - 16) / 11 : 0, r = i < 27 ? 1 : 0.3;
        if (i >= 27) a = i;
        l.p[i] = (lk_point){(float)(c + r * rx * cos(a)), (float)(c + r * ry * sin(a))};
    }
    return l;
}

static lk_image new_image(int width, int height, int channels) {
    lk_error err = {0};
    lk_image image;
    test_ok(lk_image_alloc(&image, width, height, channels, LK_F32, &err), &err);
    return image;
}

static void fill(lk_image *image, float value) {
    for (int i = 0; i < image->width * image->height * image->channels; i++) ((float *)image->data)[i] = value;
}

/* Waves of 12 to 60 pixels and noise of about one level. */
static lk_image texture(int width, int height) {
    lk_image image = new_image(width, height, 3);
    lk_rng rng = lk_rng_make(4, 0);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++)
                lk_row_f32(&image, y)[3 * x + c] =
                    (float)(0.5 + 0.2 * sin(0.31 * x + 0.2 * y + c) + 0.2 * cos(0.1 * x - 0.43 * y - c) +
                            0.004 * lk_rng_normal(&rng));
    return image;
}

/* Frame to crop: the crop's square stands turned in the frame, its centre at (cx, cy), `scale` crop pixels a frame pixel. */
static lk_affine placed(int side, double cx, double cy, double scale, double turn) {
    double a = scale * cos(turn), b = scale * sin(turn), m = (side - 1) / 2.0;
    return (lk_affine){{{a, -b, m - a * cx + b * cy}, {b, a, m - b * cx - a * cy}}};
}

static lk_landmarks points_in_frame(int side, lk_affine frame_to_crop) {
    lk_affine back;
    assert_true(lk_affine_invert(frame_to_crop, &back));
    lk_landmarks l = oval(side);
    return lk_landmarks_transform(&l, back);
}

/* The aligned crop as its own prediction gives the frame back, whatever mode, mask, colour transfer and size. */
static void perfect_prediction(void **state) {
    (void)state;
    lk_error err = {0};
    const struct {
        int side;
        double scale;
    } cases[] = {{64, 0.7}, {128, 1.0}, {128, 1.4}, {192, 1.2}, {320, 1.1}};
    for (size_t k = 0; k < LK_COUNT(cases); k++) {
        int side = cases[k].side;
        lk_image frame = texture(420, 330), crop = new_image(side, side, 3), mask = new_image(side, side, 1);
        lk_affine m = placed(side, 205.3, 160.8, cases[k].scale, 0.3);
        lk_landmarks points = points_in_frame(side, m), in_crop = oval(side);
        test_ok(lk_image_warp_affine(&frame, &crop, m, LK_BICUBIC, LK_BORDER_REPLICATE, &err), &err);
        test_ok(lk_face_hull(&in_crop, &mask, &err), &err);
        for (int mode = LK_MODE_OVERLAY; mode <= LK_MODE_SEAMLESS_HIST_MATCH; mode++)
            for (int color = LK_COLOR_NONE; color <= LK_COLOR_SOT; color++) {
                if (color > LK_COLOR_RCT && k != 1) continue;
                lk_composite_options o = {.mode = mode, .erode = 2, .blur = 14, .color = color, .mask = color % 3};
                lk_image out;
                test_ok(lk_image_copy(&frame, &out, &err), &err);
                lk_rect all = {0, 0, 420, 330};
                test_ok(lk_composite(&out, all, &crop, &mask, &crop, m, &points, &o, &err), &err);
                double sum = 0, changed = 0;
                for (int i = 0; i < 420 * 330 * 3; i++) {
                    double d = fabs((double)((float *)out.data)[i] - (double)((float *)frame.data)[i]);
                    sum += d;
                    changed += d > 0;
                }
                assert_true(changed > 0.1 * side * side / (cases[k].scale * cases[k].scale));
                assert_true(255 * sum / changed <= 1);
                lk_image_free(&out);
            }
        lk_image_free(&frame);
        lk_image_free(&crop);
        lk_image_free(&mask);
    }
}

/* White on black, so that the frame becomes the alpha itself. */
static lk_image alpha_of(int side, const lk_image *mask, const lk_landmarks *points, lk_affine m,
                         lk_composite_options o, int width, int height) {
    lk_error err = {0};
    lk_image frame = new_image(width, height, 3), white = new_image(side, side, 3), black = new_image(side, side, 3);
    fill(&white, 1);
    test_ok(lk_composite(&frame, (lk_rect){0, 0, width, height}, &white, mask, &black, m, points, &o, &err), &err);
    lk_image_free(&white);
    lk_image_free(&black);
    return frame;
}

static lk_image disc_mask(int side, double radius) {
    lk_image mask = new_image(side, side, 1);
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++)
            lk_row_f32(&mask, y)[x] = hypot(x - (side - 1) / 2.0, y - (side - 1) / 2.0) <= radius ? 1 : 0;
    return mask;
}

/* Where alpha falls through `level` to the right of (cx, cy), in frame pixels. */
static double edge(const lk_image *frame, int cx, int cy, float level) {
    const float *row = lk_row_f32(frame, cy);
    for (int x = cx; x + 1 < frame->width; x++)
        if (row[3 * x] >= level && row[3 * x + 3] < level)
            return x - cx + (double)((row[3 * x] - level) / (row[3 * x] - row[3 * x + 3]));
    return -1;
}

/* A disc of radius r has size √π·r; its border goes in by erode, its middle of the fade by half of blur more. */
static void mask_in_proportion(void **state) {
    (void)state;
    enum { SIDE = 128 };
    const double radius = 44, size = sqrt(M_PI) * radius;
    lk_image mask = disc_mask(SIDE, radius);
    lk_landmarks none = {0};
    const struct { double erode, blur; } cases[] = {{0, 0}, {5, 0}, {0, 20}, {4, 12}, {10, 30}, {-6, 0}};
    for (size_t k = 0; k < LK_COUNT(cases); k++) {
        lk_composite_options o = {.erode = cases[k].erode, .blur = cases[k].blur};
        double inward = (cases[k].erode + cases[k].blur / 2) / 100 * size, width = cases[k].blur / 100 * size;
        for (int zoom = 1; zoom <= 3; zoom++) { /* the same face, larger in its frame */
            int frame_side = 150 * zoom, c = 75 * zoom;
            lk_affine m = placed(SIDE, c, c, 1.0 / zoom, 0);
            lk_image frame = alpha_of(SIDE, &mask, &none, m, o, frame_side, frame_side);
            assert_true(fabs(edge(&frame, c, c, 0.5f) / zoom - (radius - inward)) < 1);
            /* A Gaussian falls from 93.3 to 6.7 % over three of its deviations; the fade has four. */
            double fade = (edge(&frame, c, c, 0.067f) - edge(&frame, c, c, 0.933f)) / zoom;
            assert_true(fabs(fade - 0.75 * width) < (width > 0 ? 0.12 * width + 0.3 : 2));
            assert_true(lk_row_f32(&frame, c)[3 * c] > 0.999f);
            lk_image_free(&frame);
        }
    }
    lk_image_free(&mask);
}

/* A mask that is 1 all over still ends within the crop. */
static void border_of_crop_excluded(void **state) {
    (void)state;
    lk_image mask = new_image(64, 64, 1);
    fill(&mask, 1);
    lk_landmarks none = {0};
    lk_affine m = placed(64, 100, 100, 0.5, 0);
    const double blurs[] = {0, 5, 40};
    for (int k = 0; k < 3; k++) {
        lk_image frame = alpha_of(64, &mask, &none, m, (lk_composite_options){.blur = blurs[k]}, 200, 200);
        for (int y = 0; y < 200; y++)
            for (int x = 0; x < 200; x++) {
                bool outside = fabs(x - 100.0) > 63.5 || fabs(y - 100.0) > 63.5;
                if (outside && lk_row_f32(&frame, y)[3 * x] != 0) fail_msg("pixel (%d, %d) is changed", x, y);
            }
        assert_true(lk_row_f32(&frame, 100)[300] > 0.99f);
        lk_image_free(&frame);
    }
    lk_image_free(&mask);
}

/* A backdrop that the fade of the mask reaches does not colour a face that is cloned. */
static void backdrop_stays_out(void **state) {
    (void)state;
    lk_error err = {0};
    lk_image mask = disc_mask(128, 44), face = new_image(128, 128, 3), frame = new_image(150, 150, 3), crop;
    lk_affine m = placed(128, 75, 75, 1, 0);
    lk_landmarks none = {0};
    fill(&face, 0.5f);
    for (int y = 0; y < 150; y++)
        for (int x = 0; x < 150; x++)
            for (int c = 0; c < 3; c++)
                lk_row_f32(&frame, y)[3 * x + c] = hypot(x - 75, y - 75) < 41 ? 0.5f : c == 2 ? 1 : 0;
    test_ok(lk_image_alloc(&crop, 128, 128, 3, LK_F32, &err), &err);
    test_ok(lk_image_warp_affine(&frame, &crop, m, LK_BICUBIC, LK_BORDER_REPLICATE, &err), &err);
    lk_composite_options o = {.mode = LK_MODE_SEAMLESS, .blur = 20};
    test_ok(lk_composite(&frame, (lk_rect){0, 0, 150, 150}, &face, &mask, &crop, m, &none, &o, &err), &err);
    for (int c = 0; c < 3; c++) assert_true(fabsf(lk_row_f32(&frame, 75)[3 * 75 + c] - 0.5f) < 1.0f / 255);
    lk_image_free(&mask);
    lk_image_free(&face);
    lk_image_free(&frame);
    lk_image_free(&crop);
}

/* Nothing changes outside the window, wherever the face lies; the window's borders are even. */
static void window_holds_all(void **state) {
    (void)state;
    lk_error err = {0};
    lk_image mask = disc_mask(64, 25), face = new_image(64, 64, 3);
    fill(&face, 1);
    lk_landmarks none = {0};
    lk_composite_options o = {.blur = 10};
    enum { W = 161, H = 121 };
    for (int k = 0; k < 60; k++) {
        lk_rng rng = lk_rng_make(9, (uint64_t)k);
        double cx = lk_rng_uniform(&rng, -40, 200), cy = lk_rng_uniform(&rng, -40, 160);
        lk_affine m = placed(64, cx, cy, lk_rng_uniform(&rng, 0.4, 2), lk_rng_uniform(&rng, -3, 3));
        lk_blend b;
        lk_face_images images = {
            .prediction = &face, .mask = &mask, .original = &face, .frame_to_crop = m, .points = &none};
        test_ok(lk_blend_mask(&b, &images, &o, &err) && lk_blend_correct(&b, &images, &o, &err), &err);
        lk_rect w = lk_blend_window(&b, W, H);
        lk_image whole = new_image(W, H, 3), part = {0};
        test_ok(lk_blend_apply(&b, &whole, (lk_rect){0, 0, W, H}, &o, 0, NULL, &err), &err);
        if (w.width > 0) {
            assert_true(w.x % 2 == 0 && w.y % 2 == 0 && w.x >= 0 && w.y >= 0);
            assert_true((w.x + w.width) % 2 == 0 || w.x + w.width == W);
            assert_true((w.y + w.height) % 2 == 0 || w.y + w.height == H);
            part = new_image(w.width, w.height, 3);
            test_ok(lk_blend_apply(&b, &part, w, &o, 0, NULL, &err), &err);
        }
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                float v = lk_row_f32(&whole, y)[3 * x], want = 0;
                if (x >= w.x && x < w.x + w.width && y >= w.y && y < w.y + w.height)
                    want = lk_row_f32(&part, y - w.y)[3 * (x - w.x)];
                if (fabsf(v - want) > 1.0f / 512)
                    fail_msg("face %d, pixel (%d, %d): %g, not %g", k, x, y, (double)v, (double)want);
            }
        lk_image_free(&whole);
        lk_image_free(&part);
        lk_blend_free(&b);
    }
    lk_image_free(&mask);
    lk_image_free(&face);
}

static void color_transfer(void **state) {
    (void)state;
    enum { SIDE = 40 };
    lk_error err = {0};
    void *data;
    size_t size;
    test_ok(lk_file_read(LK_GOLDEN "/merge_rct.bin", LK_MIB(4), &data, &size, &err), &err);
    assert_true(size == SIDE * SIDE * 10 * sizeof(float));
    const float *row = data;
    lk_image image = new_image(SIDE, SIDE, 3), like = new_image(SIDE, SIDE, 3), weights = new_image(SIDE, SIDE, 1);
    for (int i = 0; i < SIDE * SIDE; i++) {
        memcpy((float *)image.data + 3 * i, row + 10 * i, 3 * sizeof(float));
        memcpy((float *)like.data + 3 * i, row + 10 * i + 3, 3 * sizeof(float));
        ((float *)weights.data)[i] = row[10 * i + 6];
    }
    test_ok(lk_transfer_color(&image, &like, &weights, LK_COLOR_RCT, &err), &err);
    for (int i = 0; i < SIDE * SIDE; i++)
        for (int c = 0; c < 3; c++) assert_true(fabsf(((float *)image.data)[3 * i + c] - row[10 * i + 7 + c]) < 2e-4f);
    free(data);
    lk_image_free(&image);
    lk_image_free(&like);
    lk_image_free(&weights);
}

/* A single-coloured prediction takes dst's mean colour and does not become noise. */
static void flat_prediction(void **state) {
    (void)state;
    lk_error err = {0};
    lk_image flat = new_image(32, 32, 3), like = texture(32, 32);
    fill(&flat, 0.7f);
    test_ok(lk_transfer_color(&flat, &like, NULL, LK_COLOR_RCT, &err), &err);
    const float *v = flat.data;
    for (int i = 1; i < 32 * 32; i++) assert_true(fabsf(v[3 * i] - v[0]) < 1e-3f);
    assert_true(fabsf(v[0] - 0.5f) < 0.05f);
    lk_image_free(&flat);
    lk_image_free(&like);
}

static void wrong_calls(void **state) {
    (void)state;
    lk_error err = {0};
    lk_image frame = texture(64, 64), before, face = new_image(32, 32, 3), mask = new_image(32, 32, 1);
    test_ok(lk_image_copy(&frame, &before, &err), &err);
    lk_landmarks none = {0};
    lk_affine m = placed(32, 32, 32, 1, 0);
    lk_rect all = {0, 0, 64, 64};
    lk_composite_options o = {.erode = 2, .blur = 10, .color = LK_COLOR_RCT};
    test_ok(lk_composite(&frame, all, &face, &mask, &face, m, &none, &o, &err), &err); /* an empty mask */
    assert_memory_equal(frame.data, before.data, frame.stride * 64);
    assert_false(lk_composite(&frame, all, &face, NULL, &face, m, &none, &o, &err));
    assert_non_null(strstr(err.message, "--mask hull"));
    assert_false(lk_composite(&frame, (lk_rect){0, 0, 60, 64}, &face, &mask, &face, m, &none, &o, &err));
    assert_false(lk_composite(&frame, all, &face, &face, &face, m, &none, &o, &err));
    assert_int_equal(err.code, LK_ERR_USAGE);
    assert_memory_equal(frame.data, before.data, frame.stride * 64);
    lk_image_free(&frame);
    lk_image_free(&before);
    lk_image_free(&face);
    lk_image_free(&mask);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(perfect_prediction),      cmocka_unit_test(mask_in_proportion),
        cmocka_unit_test(border_of_crop_excluded), cmocka_unit_test(backdrop_stays_out),
        cmocka_unit_test(window_holds_all),        cmocka_unit_test(color_transfer),
        cmocka_unit_test(flat_prediction),         cmocka_unit_test(wrong_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
