/* Detection, mesh, tracking and identity on frames of the sample clips (tests/golden/face_frames.py). */
#include "testing.h"

#include <math.h>

#include "likeness/face.h"

static const char *const clips[] = {"cap12_edit", "cap13_edit2", "franck"};

typedef struct frames {
    int count, height, width;
    uint8_t *bytes; /* the file, pixels behind the three numbers */
} frames;

static lk_face_nets *nets;

static int open_nets(void **state) {
    (void)state;
    lk_error err = {0};
    nets = lk_face_nets_open(LK_NN_CPU, &err);
    if (!nets) print_message("%s\n", err.message);
    return 0;
}

static int close_nets(void **state) {
    (void)state;
    lk_face_nets_close(nets);
    return 0;
}

static bool load(const char *clip, const char *which, frames *f) {
    char path[600];
    void *data = NULL;
    size_t size = 0;
    int32_t head[3];
    snprintf(path, sizeof path, LK_GOLDEN "/face_%s_%s.rgb", clip, which);
    if (!nets || !lk_file_read(path, LK_MIB(64), &data, &size, NULL)) {
        print_message("no networks or clips: run 'likeness models install' and 'tools/setup.sh clips'\n");
        return false;
    }
    assert_true(size > sizeof head);
    memcpy(head, data, sizeof head);
    *f = (frames){head[0], head[1], head[2], data};
    assert_true(size == sizeof head + (size_t)f->count * (size_t)f->height * (size_t)f->width * 3);
    return true;
}

static lk_image frame(const frames *f, int i) {
    size_t stride = (size_t)f->width * 3;
    return (lk_image){.width = f->width,
                      .height = f->height,
                      .channels = 3,
                      .type = LK_U8,
                      .stride = stride,
                      .data = f->bytes + 12 + (size_t)i * (size_t)f->height * stride,
                      .borrowed = true};
}

static int detect(const lk_image *rgb, lk_detect_options o, lk_detection *found, int max) {
    lk_error err = {0};
    int n = lk_face_detect(nets, rgb, &o, found, max, &err);
    if (n < 0) fail_msg("unexpected error: %s", err.message);
    return n;
}

static lk_mesh mesh_at(const lk_image *rgb, lk_roi roi, float least_presence) {
    lk_error err = {0};
    lk_mesh m;
    float presence;
    test_ok(lk_face_find_mesh(nets, rgb, roi, &m, &presence, &err), &err);
    assert_true(presence >= least_presence && presence <= 1);
    return m;
}

/* Detection, mesh, and once more from the mesh. */
static lk_mesh mesh_of(const lk_image *rgb, const lk_detection *d) {
    lk_mesh first = mesh_at(rgb, lk_roi_from_detection(d), 0.5f);
    return mesh_at(rgb, lk_roi_from_mesh(&first), 0.5f);
}

static double mean_distance(const lk_landmarks *a, const lk_landmarks *b) {
    double sum = 0;
    for (int i = 0; i < LK_LANDMARKS; i++)
        sum += hypot((double)a->p[i].x - (double)b->p[i].x, (double)a->p[i].y - (double)b->p[i].y);
    return sum / LK_LANDMARKS;
}

static void test_one_face_each(void **state) {
    (void)state;
    for (size_t c = 0; c < LK_COUNT(clips); c++) {
        frames f;
        if (!load(clips[c], "sampled", &f)) skip();
        for (int i = 0; i < f.count; i++) {
            lk_image rgb = frame(&f, i);
            lk_detection d[8];
            int n = detect(&rgb, (lk_detect_options){0}, d, 8);
            if (n != 1) fail_msg("%s, sample %d: %d faces", clips[c], i, n);
            lk_mesh m = mesh_of(&rgb, d);
            lk_landmarks p = lk_landmarks_from_mesh(&m);
            double eyes = lk_interocular(&p);
            assert_true(eyes > 0.15 * (double)d->width && eyes < 0.7 * (double)d->width);
            /* The detector's own eyes and mouth, found by another network. */
            lk_point right = {(p.p[36].x + p.p[39].x) / 2, (p.p[36].y + p.p[39].y) / 2};
            double off = hypot((double)(right.x - d->eye[0].x), (double)(right.y - d->eye[0].y));
            assert_true(off < 0.3 * eyes);
            lk_point mouth = {(p.p[48].x + p.p[54].x) / 2, (p.p[48].y + p.p[54].y) / 2};
            off = hypot((double)(mouth.x - d->mouth.x), (double)(mouth.y - d->mouth.y));
            assert_true(off < 0.4 * eyes);
        }
        free(f.bytes);
    }
}

static void test_two_faces(void **state) {
    (void)state;
    frames a, b;
    if (!load("cap12_edit", "sampled", &a)) skip();
    if (!load("franck", "sampled", &b)) skip();
    lk_image left = frame(&a, 3), right = frame(&b, 3), both;
    lk_error err = {0};
    test_ok(lk_image_alloc(&both, left.width + right.width, left.height, 3, LK_U8, &err), &err);
    for (int y = 0; y < left.height; y++) {
        memcpy(lk_row_u8(&both, y), lk_row_u8(&left, y), (size_t)left.width * 3);
        if (y < right.height)
            memcpy(lk_row_u8(&both, y) + left.width * 3, lk_row_u8(&right, y), (size_t)right.width * 3);
    }
    lk_detection d[8];
    assert_int_equal(detect(&both, (lk_detect_options){0}, d, 8), 2);
    float x0 = d[0].x + d[0].width / 2, x1 = d[1].x + d[1].width / 2;
    assert_true((x0 < (float)left.width) != (x1 < (float)left.width));
    assert_int_equal(detect(&both, (lk_detect_options){0}, d, 1), 1);

    lk_tracker *t = lk_tracker_new(nets, &(lk_detect_options){0}, 4, &err);
    test_ok(t != NULL, &err);
    lk_tracked_face faces[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(lk_tracker_next(t, &both, faces, 4, &err), 2);
        assert_true(faces[0].track == 0 && faces[1].track == 1);
    }
    lk_tracker_free(t);
    lk_image_free(&both);
    free(a.bytes);
    free(b.bytes);
}

/* By quarter turns clockwise about the picture. */
static lk_image turned(const lk_image *rgb, int turns, lk_affine *m) {
    lk_image out;
    lk_error err = {0};
    double w = rgb->width - 1, h = rgb->height - 1;
    bool aside = turns % 2;
    *m = turns == 1   ? (lk_affine){{{0, -1, h}, {1, 0, 0}}}
         : turns == 2 ? (lk_affine){{{-1, 0, w}, {0, -1, h}}}
                      : (lk_affine){{{0, 1, 0}, {-1, 0, w}}};
    test_ok(lk_image_alloc(&out, aside ? rgb->height : rgb->width, aside ? rgb->width : rgb->height, 3, LK_U8, &err),
            &err);
    test_ok(lk_image_warp_affine(rgb, &out, *m, LK_NEAREST, LK_BORDER_REPLICATE, &err), &err);
    return out;
}

static void test_turned(void **state) {
    (void)state;
    for (size_t c = 0; c < LK_COUNT(clips); c++) {
        frames f;
        if (!load(clips[c], "sampled", &f)) skip();
        lk_image rgb = frame(&f, 5);
        lk_detection d;
        assert_int_equal(detect(&rgb, (lk_detect_options){0}, &d, 1), 1);
        lk_mesh upright = mesh_of(&rgb, &d);
        lk_landmarks p = lk_landmarks_from_mesh(&upright);
        for (int turns = 1; turns <= 3; turns++) {
            lk_affine m;
            lk_image out = turned(&rgb, turns, &m);
            int n = detect(&out, (lk_detect_options){.rotations = true}, &d, 1);
            if (n != 1) fail_msg("%s turned %d times: %d faces", clips[c], turns, n);
            lk_mesh mesh = mesh_of(&out, &d);
            lk_landmarks q = lk_landmarks_from_mesh(&mesh), want = lk_landmarks_transform(&p, m);
            double off = mean_distance(&q, &want) / lk_interocular(&p);
            if (off > 0.06) fail_msg("%s turned %d times: points are off by %.3f", clips[c], turns, off);
            lk_image_free(&out);
        }
        free(f.bytes);
    }
}

/* A frame shrunk until its face is 32 pixels wide, somewhere on a canvas of 1920×1080. */
static void test_small_face(void **state) {
    (void)state;
    for (size_t c = 0; c < LK_COUNT(clips); c++) {
        frames f;
        if (!load(clips[c], "sampled", &f)) skip();
        lk_image rgb = frame(&f, 5), canvas;
        lk_detection d;
        lk_error err = {0};
        assert_int_equal(detect(&rgb, (lk_detect_options){0}, &d, 1), 1);
        int width = (int)lroundf((float)rgb.width * 32 / d.width),
            height = (int)lroundf((float)rgb.height * 32 / d.width);
        test_ok(lk_image_alloc(&canvas, 1920, 1080, 3, LK_U8, &err), &err);
        memset(canvas.data, 96, canvas.stride * 1080);
        lk_image window = lk_image_view(&canvas, (lk_rect){1333, 700, width, height});
        test_ok(lk_image_resize(&rgb, &window, LK_AREA, &err), &err);
        lk_detection small[4];
        int n = detect(&canvas, (lk_detect_options){.tiles = true}, small, 4);
        if (n != 1) fail_msg("%s: %d faces of 32 pixels", clips[c], n);
        float k = (float)width / (float)rgb.width;
        float x = 1333 + k * (d.x + d.width / 2), y = 700 + k * (d.y + d.height / 2);
        assert_true(fabsf(small->x + small->width / 2 - x) < 8 && fabsf(small->y + small->height / 2 - y) < 8);
        assert_true(small->width > 20 && small->width < 48);
        lk_image_free(&canvas);
        free(f.bytes);
    }
}

static void test_tracker(void **state) {
    (void)state;
    for (size_t c = 0; c < LK_COUNT(clips); c++) {
        frames f;
        if (!load(clips[c], "run", &f)) skip();
        lk_error err = {0};
        lk_tracker *t = lk_tracker_new(nets, &(lk_detect_options){0}, 4, &err);
        test_ok(t != NULL, &err);
        lk_landmarks before = {0};
        for (int i = 0; i < f.count; i++) {
            lk_image rgb = frame(&f, i);
            lk_tracked_face faces[4];
            int n = lk_tracker_next(t, &rgb, faces, 4, &err);
            if (n != 1) fail_msg("%s, frame %d of the run: %d faces", clips[c], i, n);
            assert_int_equal(faces[0].track, 0);
            assert_true(faces[0].detected == (i == 0));
            if (i) assert_true(mean_distance(&before, &faces[0].points) < 0.4 * lk_interocular(&before));
            before = faces[0].points;
        }
        lk_tracker_free(t);
        free(f.bytes);
    }
}

/* A face that disappears behind grey, and comes back: found again, under its number. */
static void test_lost_and_found(void **state) {
    (void)state;
    frames f;
    if (!load("franck", "run", &f)) skip();
    lk_error err = {0};
    lk_image grey;
    test_ok(lk_image_alloc(&grey, f.width, f.height, 3, LK_U8, &err), &err);
    memset(grey.data, 128, grey.stride * (size_t)f.height);
    lk_tracker *t = lk_tracker_new(nets, &(lk_detect_options){0}, 4, &err);
    test_ok(t != NULL, &err);
    for (int i = 0; i < 15; i++) {
        bool hidden = i >= 5 && i < 10;
        lk_image rgb = frame(&f, i);
        lk_tracked_face faces[4];
        int n = lk_tracker_next(t, hidden ? &grey : &rgb, faces, 4, &err);
        assert_int_equal(n, hidden ? 0 : 1);
        if (n) assert_int_equal(faces[0].track, 0);
    }
    lk_tracker_free(t);
    lk_image_free(&grey);
    free(f.bytes);
}

static void describe(const char *clip, int i, float descriptor[LK_DESCRIPTOR]) {
    frames f;
    lk_error err = {0};
    lk_detection d;
    assert_true(load(clip, "sampled", &f));
    lk_image rgb = frame(&f, i);
    assert_int_equal(detect(&rgb, (lk_detect_options){0}, &d, 1), 1);
    lk_mesh m = mesh_of(&rgb, &d);
    lk_landmarks p = lk_landmarks_from_mesh(&m);
    test_ok(lk_face_descriptor(nets, &rgb, &p, descriptor, &err), &err);
    free(f.bytes);
}

/* Two clips show one man, the third another. */
static void test_identity(void **state) {
    (void)state;
    frames f;
    if (!load("franck", "sampled", &f)) skip();
    free(f.bytes);
    enum { EACH = 8 };
    static float of[3][EACH][LK_DESCRIPTOR];
    for (size_t c = 0; c < 3; c++)
        for (int i = 0; i < EACH; i++) describe(clips[c], 2 + 5 * i, of[c][i]);
    double same = 0, other = 0;
    for (int i = 0; i < EACH; i++)
        for (int j = 0; j < EACH; j++) {
            same += lk_descriptor_similarity(of[0][i], of[1][j]) / (EACH * EACH);
            other += lk_descriptor_similarity(of[0][i], of[2][j]) / (EACH * EACH);
        }
    print_message("similarity of one man in two clips %.3f, of two men %.3f\n", same, other);
    assert_true(same > other + 0.1);
}

static void test_missing_networks(void **state) {
    (void)state;
    lk_error err = {0};
    const char *was = getenv("LIKENESS_MODELS");
    char *kept = was ? lk_strdup(was, NULL) : NULL, *folder = test_folder();
    setenv("LIKENESS_MODELS", folder, 1);
    assert_null(lk_face_nets_open(LK_NN_CPU, &err));
    assert_non_null(strstr(err.message, "likeness models install"));
    lk_model_status s;
    test_ok(lk_models_status(0, true, &s, &err), &err);
    assert_false(s.present || s.intact);
    FILE *f = fopen(s.path, "wb");
    assert_non_null(f);
    fputs("not a network", f);
    fclose(f);
    test_ok(lk_models_status(0, true, &s, &err), &err);
    assert_true(s.present && !s.intact);
    assert_null(lk_face_nets_open(LK_NN_CPU, &err));
    assert_non_null(strstr(err.message, "damaged"));
    assert_non_null(strstr(err.message, s.name));
    if (kept)
        setenv("LIKENESS_MODELS", kept, 1);
    else
        unsetenv("LIKENESS_MODELS");
    free(kept);
    test_remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_face_each), cmocka_unit_test(test_two_faces),
        cmocka_unit_test(test_turned),        cmocka_unit_test(test_small_face),
        cmocka_unit_test(test_tracker),       cmocka_unit_test(test_lost_and_found),
        cmocka_unit_test(test_identity),      cmocka_unit_test(test_missing_networks),
    };
    return cmocka_run_group_tests(tests, open_nets, close_nets);
}
