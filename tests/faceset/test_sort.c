/* Sorts with a known order on made pictures, selections, the best faces, near-duplicates, people. */
#include "made_up.h"

#include <math.h>

#include "expression.h"
#include "internal.h"
#include "likeness/curate.h"
#include "likeness/media.h"
#include "look.h"
#include "vectors.h"

#define FACES 32
#define SIDE  64

static char *folder;

/* Face number t of the order that a sort must find; it stands at frame (t·13) mod 32, so 0 is first in either. */
typedef void (*maker)(int t, lk_face *f, lk_image *crop);

static void flat(lk_image *crop, int r, int g, int b) {
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            uint8_t *p = lk_row_u8(crop, y) + 3 * x;
            p[0] = (uint8_t)r;
            p[1] = (uint8_t)g;
            p[2] = (uint8_t)b;
        }
}

static void noise(lk_image *crop) {
    lk_rng r = lk_rng_make(9, 9);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) memset(lk_row_u8(crop, y) + 3 * x, (int)lk_rng_below(&r, 256), 3);
}

/* Landmarks spread over a circle, so that the hull covers most of the crop. */
static lk_face plain_face(int64_t source, int t) {
    unsigned char unused[MADE_UP_JPEG];
    lk_face f = made_up_face(source, t, unused);
    for (int i = 0; i < LK_LANDMARKS; i++) {
        double a = i * 2 * M_PI / LK_LANDMARKS;
        f.crop_points.p[i] = (lk_point){(float)(32 + 24 * cos(a)), (float)(32 + 24 * sin(a))};
    }
    f.size = SIDE;
    f.track = 0;
    f.has_descriptor = false;
    f.pose = (lk_pose){0};
    return f;
}

static lk_faceset *set_of(const char *name, int count, maker make) {
    lk_error err = {0};
    char *path = lk_path_join(folder, name, &err);
    lk_faceset *s = lk_faceset_create(path, &err);
    test_ok(s != NULL, &err);
    lk_source v = made_up_source(name);
    test_ok(lk_faceset_add_source(s, &v, &err) && lk_faceset_begin(s, &err), &err);
    lk_image crop;
    test_ok(lk_image_alloc(&crop, SIDE, SIDE, 3, LK_U8, &err), &err);
    for (int i = 0; i < count; i++) {
        int t = 0;
        while (t * 13 % count != i) t++;
        lk_face f = plain_face(v.id, i);
        lk_look look;
        noise(&crop);
        make(t, &f, &crop);
        lk_pose pose = f.pose;
        test_ok(lk_measure_crop(&crop, &f, &look, &err), &err);
        f.pose = pose;
        f.track = f.track ? f.track : t; /* tells which it is, unless the maker needs it */
        void *jpeg;
        size_t size;
        test_ok(lk_jpeg_encode(&crop, 90, &jpeg, &size, &err) && lk_faceset_add(s, &f, jpeg, size, &err), &err);
        test_ok(lk_look_store(s, f.id, &look, &err), &err);
        free(jpeg);
    }
    test_ok(lk_faceset_commit(s, &err), &err);
    lk_image_free(&crop);
    free(path);
    return s;
}

static void expect_order(lk_faceset *s, lk_sort by, bool reverse) {
    lk_error err = {0};
    lk_figures f;
    test_ok(lk_faceset_sort(s, by, reverse, &err), &err);
    test_ok(lk_faceset_figures(s, &(lk_faceset_query){.sorted = true}, &f, &err), &err);
    for (int64_t i = 0; i < f.count; i++) {
        int64_t t = reverse ? f.count - 1 - i : i;
        if ((int64_t)f.values[LK_FIGURE_TRACK][i] != t)
            fail_msg("%s: %.0f stands at %lld", lk_sort_names[by], f.values[LK_FIGURE_TRACK][i], (long long)i);
    }
    lk_figures_free(&f);
}

/* ---- What is measured of pixels ------------------------------------------------------------------------------ */

static void make_blur(int t, lk_face *f, lk_image *crop) {
    (void)f;
    lk_error err = {0};
    lk_image soft;
    if (t == 0) return;
    test_ok(lk_image_convert(crop, LK_F32, &soft, &err) && lk_image_blur(&soft, 0.3 + 0.08 * t, &err), &err);
    lk_image_free(crop);
    test_ok(lk_image_convert(&soft, LK_U8, crop, &err), &err);
    lk_image_free(&soft);
}

static void make_motion(int t, lk_face *f, lk_image *crop) {
    (void)f;
    lk_image was;
    lk_error err = {0};
    test_ok(lk_image_copy(crop, &was, &err), &err);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) { /* a Gaussian along x alone */
            double sum = 0, weight = 0, sigma = 0.35 + 0.04 * t;
            for (int k = -6; k <= 6; k++) {
                double w = exp(-k * k / (2 * sigma * sigma));
                sum += w * lk_row_u8(&was, y)[3 * ((x + k + SIDE) % SIDE)];
                weight += w;
            }
            memset(lk_row_u8(crop, y) + 3 * x, (int)lround(sum / weight), 3);
        }
    lk_image_free(&was);
}

static void make_bright(int t, lk_face *f, lk_image *crop) {
    (void)f;
    flat(crop, 250 - 7 * t, 250 - 7 * t, 250 - 7 * t);
}

static void make_hue(int t, lk_face *f, lk_image *crop) {
    (void)f;
    double a = (-170 + 340.0 * t / FACES) * M_PI / 180;
    flat(crop, (int)(128 + 90 * cos(a)), (int)(128 + 90 * cos(a - 2 * M_PI / 3)),
         (int)(128 + 90 * cos(a + 2 * M_PI / 3)));
}

static void make_black(int t, lk_face *f, lk_image *crop) {
    (void)f;
    flat(crop, 90, 90, 90);
    for (int y = 0; y < t; y++) memset(lk_row_u8(crop, y), 0, 3 * SIDE);
}

/* Noise about a level that moves: neighbours' histograms overlap. */
static void make_level(int t, lk_face *f, lk_image *crop) {
    (void)f;
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            for (int c = 0; c < 3; c++)
                lk_row_u8(crop, y)[3 * x + c] = (uint8_t)(20 + 5 * t + lk_row_u8(crop, y)[3 * x + c] / 5);
}

/* A ramp that turns. */
static void make_ramp(int t, lk_face *f, lk_image *crop) {
    (void)f;
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            double a = t * M_PI / FACES;
            memset(lk_row_u8(crop, y) + 3 * x, (int)(128 + 2 * ((x - 32) * cos(a) + (y - 32) * sin(a))), 3);
        }
}

/* Levels about the middle, ever nearer to it, whose mean is the middle. */
static void make_strange(int t, lk_face *f, lk_image *crop) {
    (void)f;
    int k = FACES - t, side = k / 2 % 2 ? -1 : 1;
    flat(crop, 128 + side * 3 * k, 128 + side * 3 * k, 128 + side * 3 * k);
}

static void make_strange_face(int t, lk_face *f, lk_image *crop) {
    (void)crop;
    int k = FACES - t, side = k / 2 % 2 ? -1 : 1;
    for (int i = 0; i < LK_LANDMARKS; i++)
        f->crop_points.p[i].x = 32 + (f->crop_points.p[i].x - 32) * (1 + (float)(side * k) / 64);
}

/* ---- What is stored ------------------------------------------------------------------------------------------ */

static void make_stored(int t, lk_face *f, lk_image *crop) {
    (void)crop;
    f->pose = (lk_pose){(float)(3 * t - 40), (float)(2 * t - 30), (float)(t - 9)};
    f->bounds = (lk_rect){0, 0, 300 - 3 * t, 200 - t};
}

static void make_mouth(int t, lk_face *f, lk_image *crop) {
    (void)crop;
    f->crop_points.p[60] = (lk_point){22, 40};
    f->crop_points.p[64] = (lk_point){42, 40};
    f->crop_points.p[62] = (lk_point){32, 40 - (float)(FACES - t) / 8};
    f->crop_points.p[66] = (lk_point){32, 40 + (float)(FACES - t) / 8};
    static const int eyes[2] = {36, 42};
    for (int k = 0; k < 2; k++) {
        lk_point *e = &f->crop_points.p[eyes[k]];
        float x = 20 + 16 * (float)k, h = (float)(FACES - t) / 16;
        e[0] = (lk_point){x, 25};
        e[1] = (lk_point){x + 3, 25 - h};
        e[2] = (lk_point){x + 6, 25 - h};
        e[3] = (lk_point){x + 9, 25};
        e[4] = (lk_point){x + 6, 25 + h};
        e[5] = (lk_point){x + 3, 25 + h};
    }
}

static void make_shift(int t, lk_face *f, lk_image *crop) {
    (void)crop;
    for (int i = 0; i < LK_LANDMARKS; i += 2) f->crop_points.p[i].y += (float)t / 4;
}

static void test_sorts(void **state) {
    (void)state;
    static const struct {
        lk_sort by;
        maker make;
    } all[] = {
        {LK_SORT_BLUR, make_blur},
        {LK_SORT_MOTION_BLUR, make_motion},
        {LK_SORT_BRIGHTNESS, make_bright},
        {LK_SORT_HUE, make_hue},
        {LK_SORT_BLACK, make_black},
        {LK_SORT_YAW, make_stored},
        {LK_SORT_PITCH, make_stored},
        {LK_SORT_ROLL, make_stored},
        {LK_SORT_SIZE, make_stored},
        {LK_SORT_MOUTH, make_mouth},
        {LK_SORT_EYES, make_mouth},
        {LK_SORT_FACE, make_shift},
        {LK_SORT_HISTOGRAM, make_level},
        {LK_SORT_PIXELS, make_ramp},
        {LK_SORT_PIXELS_DISSIMILAR, make_strange},
        {LK_SORT_FACE_DISSIMILAR, make_strange_face},
    };
    for (size_t i = 0; i < LK_COUNT(all); i++) {
        char name[40];
        snprintf(name, sizeof name, "sort%zu.faces", i);
        lk_faceset *s = set_of(name, FACES, all[i].make);
        expect_order(s, all[i].by, false);
        expect_order(s, all[i].by, true);
        lk_faceset_close(s);
    }
}

/* Two kinds of colours, few of the one: those are the strangest. */
static void make_few(int t, lk_face *f, lk_image *crop) {
    (void)f;
    flat(crop, t < 5 ? 200 : 60, 60, 60);
}

static void test_kept(void **state) {
    (void)state;
    lk_error err = {0};
    lk_faceset *s = set_of("few.faces", FACES, make_few);
    test_ok(lk_faceset_sort(s, LK_SORT_HISTOGRAM_DISSIMILAR, false, &err), &err);
    lk_faceset_close(s);
    char *path = lk_path_join(folder, "few.faces", &err);
    s = lk_faceset_open(path, true, &err); /* the order is in the file */
    test_ok(s != NULL, &err);
    lk_figures f;
    test_ok(lk_faceset_figures(s, &(lk_faceset_query){.sorted = true}, &f, &err), &err);
    for (int i = 0; i < FACES; i++) assert_int_equal(f.values[LK_FIGURE_TRACK][i] < 5, i < 5);
    int64_t *ids;
    assert_int_equal(lk_faceset_ids(s, &(lk_faceset_query){.sorted = true}, &ids, &err), FACES);
    for (int i = 0; i < FACES; i++) assert_int_equal(ids[i], f.values[LK_FIGURE_ID][i]);
    free(ids);
    lk_figures_free(&f);
    test_ok(lk_faceset_sort(s, LK_SORT_ORIGINAL, false, &err), &err);
    test_ok(lk_faceset_figures(s, &(lk_faceset_query){.sorted = true}, &f, &err), &err);
    for (int i = 0; i < FACES; i++) assert_int_equal(f.values[LK_FIGURE_FRAME][i], i);
    lk_figures_free(&f);
    lk_faceset_close(s);
    free(path);
}

/* The chain through a tree against the field's: always to the nearest of all that are left. */
static void test_chain(void **state) {
    (void)state;
    enum { N = 1500, D = 12 };
    lk_error err = {0};
    lk_vectors v = {.count = N, .dims = D, .x = malloc(N * D * sizeof(float))};
    int64_t order[N];
    bool seen[N] = {0};
    assert_non_null(v.x);
    lk_rng r = lk_rng_make(4, 4);
    for (int i = 0; i < N; i++) { /* a sheet of three dimensions, bent, with a little noise */
        double a = lk_rng_uniform(&r, -3, 3), b = lk_rng_uniform(&r, -3, 3), c = lk_rng_uniform(&r, -1, 1);
        for (int d = 0; d < D; d++)
            v.x[i * D + d] = (float)(sin(a + d) + cos(b * (d + 1) / 4) + c * (d % 3) + 0.02 * lk_rng_normal(&r));
    }
    test_ok(lk_vectors_chain(&v, order, &err), &err);
    double length = 0, greedy = 0;
    for (int i = 0; i < N; i++) {
        assert_false(seen[order[i]]);
        seen[order[i]] = true;
        if (i) length += lk_vectors_distance(&v, order[i - 1], order[i]);
    }
    bool used[N] = {true};
    for (int at = 0, i = 1; i < N; i++) {
        int best = -1;
        for (int k = 0; k < N; k++)
            if (!used[k] && (best < 0 || lk_vectors_distance(&v, at, k) < lk_vectors_distance(&v, at, best))) best = k;
        greedy += lk_vectors_distance(&v, at, best);
        used[best] = true;
        at = best;
    }
    assert_true(length < 1.1 * greedy);
    double *strange = lk_vectors_strangeness(&v, &err), sum = 0;
    assert_non_null(strange);
    for (int k = 0; k < N; k++) sum += pow(lk_vectors_distance(&v, 7, k), 2);
    assert_true(fabs(strange[7] - sum) < 1e-4 * sum);
    free(strange);
    lk_vectors_free(&v);
}

/* ---- Choosing ------------------------------------------------------------------------------------------------ */

/* Many alike, and six that are not. */
static void make_rare(int t, lk_face *f, lk_image *crop) {
    static const lk_pose rare[6] = {{60, 0, 0}, {-60, 0, 0}, {0, 30, 0}, {0, -30, 0}, {40, 25, 0}, {-40, -25, 0}};
    (void)crop;
    f->pose = t < 6 ? rare[t] : (lk_pose){(float)(t % 5), (float)(t % 3), 0};
}

static void test_best(void **state) {
    (void)state;
    lk_error err = {0};
    lk_faceset *s = set_of("best.faces", 200, make_rare);
    assert_int_equal(lk_faceset_best(s, LK_SORT_BEST, 8, &err), 8);
    int64_t *ids;
    assert_int_equal(lk_faceset_select(s, "track < 6", false, &ids, &err), 6); /* all the rare ones are among the 8 */
    free(ids);
    assert_int_equal(lk_faceset_count(s, NULL, &err), 8);
    assert_int_equal(lk_faceset_select(s, "removed = 1", true, &ids, &err), 192);
    assert_int_equal(lk_faceset_mark(s, ids, 192, false, &err), 192);
    free(ids);
    assert_int_equal(lk_faceset_best(s, LK_SORT_BEST, 1000, &err), 200);
    assert_int_equal(lk_faceset_best(s, LK_SORT_BEST, 0, &err), -1);
    lk_faceset_close(s);
}

/* Four bins of yaw with 50 faces each, ever more blurred. */
static void make_bins(int t, lk_face *f, lk_image *crop) {
    lk_error err = {0};
    lk_image soft;
    f->pose = (lk_pose){(float)(t % 4 * 20 - 30), 0, 0};
    test_ok(lk_image_convert(crop, LK_F32, &soft, &err) && lk_image_blur(&soft, 0.3 + 0.02 * (t / 4), &err), &err);
    lk_image_free(crop);
    test_ok(lk_image_convert(&soft, LK_U8, crop, &err), &err);
    lk_image_free(&soft);
}

static void test_final(void **state) {
    (void)state;
    lk_error err = {0};
    lk_faceset *s = set_of("final.faces", 200, make_bins);
    test_ok(lk_faceset_sort(s, LK_SORT_FINAL, false, &err), &err);
    assert_int_equal(lk_faceset_best(s, LK_SORT_FINAL, 40, &err), 40);
    for (int k = 0; k < 4; k++) {
        char condition[80];
        int64_t *ids;
        snprintf(condition, sizeof condition, "yaw = %d and track < 100", k * 20 - 30);
        assert_int_equal(lk_faceset_select(s, condition, false, &ids, &err),
                         10); /* as many of each, of the sharper half */
        free(ids);
    }
    lk_faceset_close(s);
}

/* Groups of four that differ by next to nothing; the second of each is the sharpest. */
static void make_groups(int t, lk_face *f, lk_image *crop) {
    (void)f;
    flat(crop, 40 + 20 * (t / 4), 100, 100);
    if (t % 4 == 1) lk_row_u8(crop, 32)[3 * 32] ^= 15;
}

static void test_duplicates(void **state) {
    (void)state;
    lk_error err = {0};
    lk_faceset *s = set_of("groups.faces", FACES, make_groups);
    int64_t *ids, *left;
    assert_int_equal(lk_faceset_duplicates(s, 1, &ids, &err), 24);
    assert_int_equal(lk_faceset_mark(s, ids, 24, true, &err), 24);
    lk_figures f;
    test_ok(lk_faceset_figures(s, NULL, &f, &err), &err);
    assert_int_equal(f.count, 8);
    for (int i = 0; i < 8; i++) assert_int_equal((int)f.values[LK_FIGURE_TRACK][i] % 4, 1);
    lk_figures_free(&f);
    assert_int_equal(lk_faceset_duplicates(s, 1, &left, &err), 0);
    free(ids);
    free(left);
    lk_faceset_close(s);
}

/* Person 0 in 18 faces, 1 in 9, 2 in 4 and nobody known in 1; tracks of three faces, of which one is described. */
static void make_people(int t, lk_face *f, lk_image *crop) {
    (void)crop;
    int who = t < 18 ? 0 : t < 27 ? 1 : t < 31 ? 2 : 3;
    f->track = who < 3 ? 100 + t / 3 : 200;
    f->has_descriptor = t % 3 == 0 && who < 3;
    lk_rng r = lk_rng_make(1, (uint64_t)t);
    for (int i = 0; i < LK_DESCRIPTOR; i++)
        f->descriptor[i] = (float)(0.3 * lk_rng_normal(&r)) + (i % 3 == who ? 1 : 0);
}

static void test_people(void **state) {
    (void)state;
    lk_error err = {0};
    lk_faceset *s = set_of("people.faces", FACES, make_people);
    lk_people p;
    test_ok(lk_faceset_people(s, &p, &err), &err);
    assert_int_equal(p.people, 3);
    int of[4] = {0};
    for (int64_t i = 0; i < p.count; i++) of[p.person[i] < 0 ? 3 : p.person[i]]++;
    assert_true(of[0] == 18 && of[1] == 9 && of[2] == 4 && of[3] == 1);
    lk_people_free(&p);
    test_ok(lk_faceset_sort(s, LK_SORT_PERSON, false, &err), &err);
    lk_figures f;
    test_ok(lk_faceset_figures(s, &(lk_faceset_query){.sorted = true}, &f, &err), &err);
    for (int i = 0; i < FACES; i++) {
        double t = f.values[LK_FIGURE_TRACK][i];
        assert_true(i < 18 ? t < 106 : i < 27 ? t >= 106 && t < 109 : i < 31 ? t >= 109 && t < 200 : t >= 200);
    }
    lk_figures_free(&f);
    lk_faceset_close(s);
}

static void make_pairs(int t, lk_face *f, lk_image *crop) {
    (void)t;
    (void)crop;
    f->frame = f->frame < 10 ? f->frame / 2 : f->frame; /* five frames of two faces */
}

static void test_one_face(void **state) {
    (void)state;
    lk_error err = {0};
    lk_faceset *s = set_of("pairs.faces", FACES, make_pairs);
    test_ok(lk_faceset_sort(s, LK_SORT_ONE_FACE, false, &err), &err);
    lk_figures f;
    test_ok(lk_faceset_figures(s, &(lk_faceset_query){.sorted = true}, &f, &err), &err);
    for (int i = 0; i < FACES; i++) assert_true(f.values[LK_FIGURE_FACES][i] == (i < FACES - 10 ? 1 : 2));
    lk_figures_free(&f);
    int64_t *ids;
    assert_int_equal(lk_faceset_select(s, "faces > 1", false, &ids, &err), 10);
    assert_int_equal(lk_faceset_keep(s, ids, 10, &err), FACES - 10);
    assert_int_equal(lk_faceset_count(s, NULL, &err), 10);
    free(ids);
    lk_faceset_close(s);
}

/* ---- Conditions ---------------------------------------------------------------------------------------------- */

static void test_conditions(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool holds;
    } all[] = {
        {"yaw < -30 and sharpness > 0.4", true},
        {"yaw<-30and sharpness>0.4", true},
        {"yaw > -30 or pitch = 7", true},
        {"not yaw > -30", true},
        {"not (yaw < -30 and pitch == 7)", false},
        {"not not pitch = 7", true},
        {"pitch != 7", false},
        {"2 + 3 * 4 = 14", true},
        {"(2 + 3) * 4 = 20", true},
        {"10 - 4 - 3 = 3", true},
        {"16 / 4 / 2 = 2", true},
        {"-pitch = -7 and --pitch = 7 and - -2 = 2", true},
        {"abs(yaw) = 40 and abs(yaw + 40) <= 0", true},
        {"rank(pitch) >= 0.25 and rank(pitch) < .26", true},
        {"1 / 0 > 1 or 0 / 0 = 0 / 0", true},
        {"0 / 0 < 1 or 0 / 0 >= 1", false},
        {"yaw = 1 and pitch = 7 or pitch = 7", true},
        {"pitch = 7 or pitch = 7 and yaw = 1", true},
        {"1e1 = 10 and 1.5e-1 = .15", true},
    };
    double figure[LK_FIGURES] = {0}, rank[LK_FIGURES] = {0};
    figure[LK_FIGURE_YAW] = -40;
    figure[LK_FIGURE_PITCH] = 7;
    figure[LK_FIGURE_SHARPNESS] = 0.5;
    rank[LK_FIGURE_PITCH] = 0.25;
    for (size_t i = 0; i < LK_COUNT(all); i++) {
        lk_expression e;
        lk_error err = {0};
        test_ok(lk_expression_compile(&e, all[i].text, &err), &err);
        if (lk_expression_holds(&e, figure, rank) != all[i].holds) fail_msg("%s", all[i].text);
    }
}

static void test_bad_conditions(void **state) {
    (void)state;
    static const struct {
        const char *text, *words;
    } all[] = {
        {"", "too early"},
        {"yaw", "a number, not a condition"},
        {"yaw <", "character 6"},
        {"yaw < 3 and", "too early"},
        {"yaw < 3 4", "character 9"},
        {"jaw < 3", "no figure 'jaw'"},
        {"(yaw < 3", "')' is missing"},
        {"yaw < 3)", "character 8"},
        {"yaw < pitch < 3", "'and', 'or' or the end"},
        {"(yaw < 3) + 1 = 2", "reckons"},
        {"(yaw < 3) = (pitch < 3)", "'and', 'or' or the end"},
        {"yaw and pitch < 3", "joins"},
        {"not yaw", "'not'"},
        {"rank(3) < 1", "no figure '3'"},
        {"rank yaw < 1", "'('"},
        {"abs yaw < 1", "'('"},
        {"1e999 < yaw", "too large"},
        {"yaw < 3; drop table face", "character 8"},
        {"yaw \xff 3", "character 5"},
    };
    lk_expression e;
    lk_error err = {0};
    for (size_t i = 0; i < LK_COUNT(all); i++) {
        if (lk_expression_compile(&e, all[i].text, &err)) fail_msg("'%s' was accepted", all[i].text);
        assert_int_equal(err.code, LK_ERR_USAGE);
        if (!strstr(err.message, all[i].words)) fail_msg("'%s': %s", all[i].text, err.message);
    }
    char deep[3000] = "", wide[4000] = "yaw < 1";
    memset(deep, '(', sizeof deep - 1);
    assert_false(lk_expression_compile(&e, deep, &err));
    memset(deep, '-', sizeof deep - 1);
    assert_false(lk_expression_compile(&e, deep, &err));
    for (int i = 0; i < 300; i++) strcat(wide, " or yaw=1");
    assert_false(lk_expression_compile(&e, wide, &err));
    assert_non_null(strstr(err.message, "too long"));
}

static void test_list(void **state) {
    (void)state;
    lk_error err = {0};
    lk_faceset *s = set_of("list.faces", 8, make_stored);
    int64_t *ids, count = lk_faceset_select(s, "yaw < -30", false, &ids, &err);
    assert_int_equal(count, 4); /* −40, −37, −34, −31 */
    char *csv = lk_faceset_list(s, ids, count, true, &err), *json = lk_faceset_list(s, ids, count, false, &err);
    assert_non_null(csv);
    assert_non_null(json);
    int lines = 0;
    for (char *c = csv; *c; c++) lines += *c == '\n';
    assert_int_equal(lines, 5);
    assert_true(strncmp(csv, "id,source,frame,time,track", 26) == 0);
    json_t *list = json_loads(json, 0, NULL);
    assert_int_equal(json_array_size(list), 4);
    assert_int_equal(json_object_size(json_array_get(list, 0)), LK_FIGURES);
    assert_true(json_number_value(json_object_get(json_array_get(list, 0), "yaw")) == -40);
    json_decref(list);
    free(csv);
    free(json);
    free(ids);
    lk_faceset_close(s);
}

static int set_up(void **state) {
    (void)state;
    folder = test_folder();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sorts),          cmocka_unit_test(test_kept),     cmocka_unit_test(test_chain),
        cmocka_unit_test(test_best),           cmocka_unit_test(test_final),    cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_people),         cmocka_unit_test(test_one_face), cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_bad_conditions), cmocka_unit_test(test_list),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
