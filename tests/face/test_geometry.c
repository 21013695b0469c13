/* Alignment, mirroring, hull masks and poses against NumPy and OpenCV; smoothing against the truth. */
#include "testing.h"

#include <math.h>

#include "likeness/face.h"

#define CASES 24

typedef struct reader {
    unsigned char *data;
    size_t size, at;
} reader;

static void take(reader *r, void *to, size_t n) {
    assert_true(n <= r->size - r->at);
    memcpy(to, r->data + r->at, n);
    r->at += n;
}

static reader open_golden(const char *name) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", LK_GOLDEN, name);
    lk_error err = {0};
    void *data = NULL;
    reader r = {0};
    test_ok(lk_file_read(path, LK_MIB(64), &data, &r.size, &err), &err);
    r.data = data;
    return r;
}

/* How many pixels differ, and how many of those have no edge of `want` (or of the picture) within 2 pixels. */
static int differing(const lk_image *mask, const unsigned char *want, int size, int *inner) {
    int count = 0;
    *inner = 0;
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++) {
            if ((lk_row_f32(mask, y)[x] > 0.5f) == (want[y * size + x] > 0)) continue;
            count++;
            bool edge = x < 2 || y < 2 || x >= size - 2 || y >= size - 2;
            for (int j = y > 1 ? y - 2 : 0; j <= y + 2 && j < size; j++)
                for (int i = x > 1 ? x - 2 : 0; i <= x + 2 && i < size; i++)
                    edge = edge || want[j * size + i] != want[y * size + x];
            *inner += !edge;
        }
    return count;
}

static void test_golden(void **state) {
    (void)state;
    reader r = open_golden("face_geometry.bin");
    for (int c = 0; c < CASES; c++) {
        lk_landmarks p, mirrored;
        int32_t kind, size;
        double scale;
        lk_affine want, m;
        take(&r, &p, sizeof p);
        take(&r, &kind, 4);
        take(&r, &size, 4);
        take(&r, &scale, 8);
        take(&r, &want, sizeof want);
        take(&r, &mirrored, sizeof mirrored);
        assert_true(lk_face_align(&p, (lk_face_type)kind, size, scale, &m));
        for (int i = 0; i < 6; i++)
            assert_true(fabs(m.m[i / 3][i % 3] - want.m[i / 3][i % 3]) < 1e-5 * fmax(1, fabs(want.m[i / 3][i % 3])));
        lk_landmarks q = lk_landmarks_mirror(&p, 640);
        assert_memory_equal(&q, &mirrored, sizeof q);
        q = lk_landmarks_mirror(&q, 640);
        for (int i = 0; i < LK_LANDMARKS; i++) assert_true(fabsf(q.p[i].x - p.p[i].x) < 1e-3f);

        lk_error err = {0};
        lk_image mask;
        test_ok(lk_image_alloc(&mask, size, size, 1, LK_F32, &err), &err);
        q = lk_landmarks_transform(&p, m);
        test_ok(lk_face_hull(&q, &mask, &err), &err);
        unsigned char *filled = malloc((size_t)size * (size_t)size);
        assert_non_null(filled);
        take(&r, filled, (size_t)size * (size_t)size);
        int inner, count = differing(&mask, filled, size, &inner);
        assert_int_equal(inner, 0); /* OpenCV also draws the outline, so its masks are up to a pixel wider */
        assert_true(count < 8 * size);
        test_ok(lk_face_features(&q, &mask, &err), &err);
        take(&r, filled, (size_t)size * (size_t)size);
        count = differing(&mask, filled, size, &inner);
        assert_true(inner < size / 8 && count < 4 * size); /* ours are polygons, a hundredth smaller than circles */
        free(filled);
        lk_image_free(&mask);
    }
    assert_true(r.at == r.size);
    free(r.data);
}

static void test_degenerate(void **state) {
    (void)state;
    lk_landmarks p = {0};
    lk_affine m;
    assert_false(lk_face_align(&p, LK_FACE_FULL, 256, 1, &m));
    for (int i = 0; i < LK_LANDMARKS; i++) p.p[i] = (lk_point){(float)(i % 9) * 7, (float)i * 3};
    assert_true(lk_face_align(&p, LK_FACE_FULL, 256, 1, &m));
    assert_false(lk_face_align(&p, LK_FACE_FULL, 0, 1, &m));
    assert_false(lk_face_align(&p, LK_FACE_FULL, 256, 0, &m));
    p.p[33].x = NAN;
    assert_false(lk_face_align(&p, LK_FACE_FULL, 256, 1, &m));
    lk_error err = {0};
    lk_image mask;
    test_ok(lk_image_alloc(&mask, 8, 8, 1, LK_F32, &err), &err);
    assert_false(lk_face_hull(&p, &mask, &err));
    assert_int_equal(err.code, LK_ERR_FORMAT);
    p.p[39].y = INFINITY;
    assert_false(lk_face_features(&p, &mask, &err));
    assert_int_equal(err.code, LK_ERR_FORMAT);
    lk_image_free(&mask);
    test_ok(lk_image_alloc(&mask, 8, 8, 3, LK_U8, &err), &err);
    assert_false(lk_face_hull(&p, &mask, &err));
    lk_image_free(&mask);
}

static void test_bounds(void **state) {
    (void)state;
    lk_landmarks p;
    for (int i = 0; i < LK_LANDMARKS; i++) p.p[i] = (lk_point){10.5f + (float)(i % 10), 20.25f + (float)(i % 7)};
    lk_rect b = lk_landmarks_bounds(&p);
    assert_true(b.x == 10 && b.y == 20 && b.width == 11 && b.height == 8);
    for (int i = 36; i < 42; i++) p.p[i] = (lk_point){3, 4};
    for (int i = 42; i < 48; i++) p.p[i] = (lk_point){6, 8};
    assert_true(fabs(lk_interocular(&p) - 5) < 1e-6);
}

static void test_pose(void **state) {
    (void)state;
    reader r = open_golden("face_pose.bin");
    while (r.at < r.size) {
        lk_mesh mesh;
        lk_pose want;
        take(&r, &mesh, sizeof mesh);
        take(&r, &want, sizeof want);
        lk_pose got = lk_face_pose(&mesh);
        assert_true(fabsf(got.yaw - want.yaw) < 0.02f);
        assert_true(fabsf(got.pitch - want.pitch) < 0.02f);
        assert_true(fabsf(got.roll - want.roll) < 0.02f);
    }
    free(r.data);
    lk_mesh nothing = {0};
    lk_pose none = lk_face_pose(&nothing);
    assert_true(none.yaw == 0 && none.pitch == 0 && none.roll == 0);
    nothing.x[1] = NAN;
    none = lk_face_pose(&nothing);
    assert_true(none.yaw == 0 && none.pitch == 0 && none.roll == 0);
}

/* Frames of a made-up clip: a still head that then moves fast, with a blink; noise of one pixel. */
#define CLIP 120
static lk_landmarks truth_at(int i, const lk_landmarks *face) {
    double x = i < 60 ? 0 : i < 70 ? (i - 60) * 12.0 : 120, roll = i < 60 ? 0 : i < 70 ? (i - 60) * 0.02 : 0.2;
    lk_affine m = {{{cos(roll), -sin(roll), x}, {sin(roll), cos(roll), 0.3 * x}}};
    lk_landmarks l = *face;
    for (int k = 36; k < 48; k++)
        if (i == 30 || i == 31) l.p[k].y = 190;
    return lk_landmarks_transform(&l, m);
}

static double error_over(const lk_landmarks *a, const lk_landmarks *b, int first, int count) {
    double sum = 0;
    for (int i = first; i < first + count; i++)
        for (int k = 0; k < LK_LANDMARKS; k++)
            sum += hypot((double)(a[i].p[k].x - b[i].p[k].x), (double)(a[i].p[k].y - b[i].p[k].y));
    return sum / count / LK_LANDMARKS;
}

static void test_smooth(void **state) {
    (void)state;
    reader r = open_golden("face_geometry.bin");
    lk_landmarks face, truth[CLIP], noisy[CLIP], smooth[CLIP];
    double times[CLIP];
    take(&r, &face, sizeof face);
    free(r.data);
    lk_affine m;
    assert_true(lk_face_align(&face, LK_FACE_HEAD, 600, 1, &m)); /* upright, 150 pixels across */
    face = lk_landmarks_transform(&face, m);
    lk_rng rng = lk_rng_make(5, 0);
    for (int i = 0; i < CLIP; i++) {
        times[i] = i / 25.0;
        noisy[i] = truth[i] = truth_at(i, &face);
        for (int k = 0; k < LK_LANDMARKS; k++) {
            noisy[i].p[k].x += (float)(lk_rng_normal(&rng) * 0.8);
            noisy[i].p[k].y += (float)(lk_rng_normal(&rng) * 0.8);
        }
    }
    memcpy(smooth, noisy, sizeof noisy);
    lk_smooth_landmarks(smooth, times, CLIP, 2.0);
    double still = error_over(smooth, truth, 5, 20), before = error_over(noisy, truth, 5, 20);
    assert_true(still < 0.6 * before); /* jitter goes */
    double moving = error_over(smooth, truth, 58, 14);
    assert_true(moving < 1.15 * error_over(noisy, truth, 58, 14)); /* motion is not lagged */
    double blink = error_over(smooth, truth, 30, 2);
    assert_true(blink < 1.15 * error_over(noisy, truth, 30, 2));

    lk_landmarks after[CLIP]; /* a cut after which the face, on the same track, is elsewhere */
    for (int i = 0; i < CLIP; i++)
        for (int k = 0; k < LK_LANDMARKS && i >= 15; k++) truth[i].p[k].x += 12, noisy[i].p[k].x += 12;
    memcpy(after, noisy, sizeof noisy);
    lk_smooth_landmarks(after, times, CLIP, 2.0);
    assert_true(error_over(after, truth, 12, 6) < 1.15 * error_over(noisy, truth, 12, 6));

    memcpy(smooth, noisy, sizeof noisy);
    lk_smooth_landmarks(smooth, times, CLIP, 0);
    assert_memory_equal(smooth, noisy, sizeof noisy);
    lk_smooth_landmarks(smooth, times, 1, 2);
    assert_memory_equal(smooth, noisy, sizeof noisy);
    times[4] = times[3]; /* times that do not rise: left alone */
    lk_smooth_landmarks(smooth, times, CLIP, 2);
    assert_memory_equal(smooth, noisy, sizeof noisy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden), cmocka_unit_test(test_degenerate), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_pose),   cmocka_unit_test(test_smooth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
