/* The obstruction network: what it learns from, that it learns, goes on, survives damage, and masks faces. */
#include "made_up.h"

#include <signal.h>
#include <sys/time.h>

#include "likeness/curate.h"
#include "obstruction/obstruction.h"

#define SIDE  64
#define FACES 20

static char *folder, *set_path, *dir;
static lk_error err;

/* Faces with a bright blue disc before every other one, drawn as a polygon of 12 corners; the rest are said to be clear. */
static void make_set(const char *path) {
    made_up_faces(path, &(made_up_set){FACES, SIDE, LK_FACE_FULL, -20, 20, 7, 0});
    lk_faceset *s = lk_faceset_open(path, true, &err);
    int64_t *ids, count = s ? lk_faceset_ids(s, NULL, &ids, &err) : -1;
    test_ok(count == FACES, &err);
    lk_face *f = calloc(1, sizeof *f);
    assert_non_null(f);
    for (int64_t i = 0; i < count; i++) {
        void *jpeg;
        size_t size;
        lk_image crop;
        lk_rng r = lk_rng_make(3, (uint64_t)i);
        double cx = lk_rng_uniform(&r, 22, 42), cy = lk_rng_uniform(&r, 26, 46), radius = lk_rng_uniform(&r, 8, 12);
        json_t *polygon = json_array();
        test_ok(lk_faceset_get(s, ids[i], f, &err) && lk_faceset_jpeg(s, ids[i], &jpeg, &size, &err), &err);
        test_ok(lk_jpeg_decode(jpeg, size, SIDE, &crop, &err), &err);
        free(jpeg);
        for (int y = 0; i % 2 && y < SIDE; y++)
            for (int x = 0; x < SIDE; x++) {
                uint8_t *p = lk_row_u8(&crop, y) + 3 * x;
                if (hypot(x - cx, y - cy) <= radius) p[0] = 20, p[1] = 60, p[2] = 250;
            }
        for (int k = 0; i % 2 && k < 12; k++)
            json_array_append_new(polygon,
                                  json_pack("[f, f]", cx + radius * cos(k * 0.5236), cy + radius * sin(k * 0.5236)));
        json_t *polygons = i % 2 ? json_pack("{s:[o]}", "exclude", polygon) : json_object();
        if (i % 2 == 0) json_decref(polygon);
        test_ok(lk_jpeg_encode(&crop, 95, &jpeg, &size, &err) && lk_faceset_update(s, f, jpeg, size, &err) &&
                    lk_faceset_put_polygons(s, f->id, polygons, &err),
                &err);
        json_decref(polygons);
        free(jpeg);
        lk_image_free(&crop);
    }
    free(f);
    free(ids);
    lk_faceset_close(s);
}

static int setup(void **state) {
    (void)state;
    err = (lk_error){0};
    folder = test_folder();
    set_path = lk_path_join(folder, "set.faces", &err);
    dir = lk_path_join(folder, "net", &err);
    make_set(set_path);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    lk_interrupt_clear();
    lk_progress_to(NULL, NULL);
    lk_log_to(NULL, NULL);
    free(set_path);
    free(dir);
    test_remove_folder(folder);
    return 0;
}

static lk_obstruction_options tiny(int64_t iterations) {
    lk_obstruction_options o = {0};
    test_ok(lk_options_defaults(lk_obstruction_option_table, &o, &err), &err);
    o.size = 32;
    o.width = 8;
    o.batch = 4;
    o.rate = 0.003;
    o.iterations = iterations;
    return o;
}

static bool train(const char *to, const char *set, const lk_obstruction_options *o, lk_obstruction_report *r) {
    lk_strings sets = {0};
    assert_true(lk_strings_add(&sets, set, NULL));
    bool given[16];
    for (size_t i = 0; i < LK_COUNT(given); i++) given[i] = true;
    bool ok = lk_obstruction_train(to, &sets, o, given, r, &err);
    lk_strings_free(&sets);
    return ok;
}

/* Of what hides the faces: pixels that both masks take from the hull, over those that either takes. */
static double agreement(lk_faceset *s, const int64_t *ids, int64_t count) {
    int64_t both = 0, either = 0;
    lk_face *f = calloc(1, sizeof *f);
    assert_non_null(f);
    for (int64_t i = 0; i < count; i++) {
        lk_image hull, hand, own;
        test_ok(lk_faceset_get(s, ids[i], f, &err) && lk_faceset_mask(s, f, 0, &hull, NULL, &err) &&
                    lk_faceset_mask(s, f, LK_MASKS_BY_HAND, &hand, NULL, &err) &&
                    lk_faceset_mask(s, f, LK_MASK_BIT(LK_MASK_KIND_TRAINED), &own, NULL, &err),
                &err);
        for (int k = 0; k < SIDE * SIDE; k++) {
            bool in = ((uint8_t *)hull.data)[k] > 127, a = ((uint8_t *)hand.data)[k] < 128,
                 b = ((uint8_t *)own.data)[k] < 128;
            both += in && a && b;
            either += in && (a || b);
        }
        lk_image_free(&hull);
        lk_image_free(&hand);
        lk_image_free(&own);
    }
    free(f);
    return (double)both / (double)either;
}

static void test_learns_and_masks(void **state) {
    (void)state;
    lk_obstruction_options o = tiny(20);
    lk_obstruction_report early, late;
    lk_obstruction_applied a;
    o.seed = 2; /* with others some clear faces are on the verge of being taken for hidden, and rounding decides */
    test_ok(train(dir, set_path, &o, &early), &err);
    assert_int_equal(early.quality.faces + early.faces, FACES);
    assert_int_equal(early.quality.faces, 4); /* a fifth */
    char *note = lk_path_join(dir, "mask.json", NULL);
    json_t *json = lk_json_read(note, &err), *kept = json_object_get(json, "options");
    assert_true(json_object_get(kept, "size") && !json_object_get(kept, "device")); /* which is of one run */
    json_decref(json);
    free(note);
    o.iterations = 600;
    test_ok(train(dir, set_path, &o, &late), &err);
    assert_int_equal(late.first, 20);
    assert_int_equal(late.iteration, 600);
    if (!(late.loss < 0.5f * early.loss)) fail_msg("loss %.4f, was %.4f", (double)late.loss, (double)early.loss);
    assert_true(late.quality.visible > 0.9);
    if (!(late.quality.obstruction > 0.6)) fail_msg("IoU of what hides faces %.3f", late.quality.obstruction);
    char *preview = lk_path_join(dir, "preview.png", NULL);
    lk_image sheet;
    test_ok(lk_image_load(preview, &sheet, &err), &err);
    assert_int_equal(sheet.width, 3 * 162 - 2);
    lk_image_free(&sheet);
    free(preview);
    lk_faceset *s = lk_faceset_open(set_path, true, &err);
    int64_t *ids, count = s ? lk_faceset_ids(s, NULL, &ids, &err) : -1;
    test_ok(count == FACES && lk_obstruction_apply(dir, s, ids, count, LK_NN_WISH_CPU, &a, &err), &err);
    assert_int_equal(a.faces, FACES);
    assert_in_range(a.hidden, FACES / 2 - 1, FACES / 2 + 1);
    double iou = agreement(s, ids, count);
    if (!(iou > 0.6)) fail_msg("the masks in the set agree with those by hand to %.3f only", iou);
    free(ids);
    lk_faceset_close(s);
}

static void on_alarm(int signal) {
    (void)signal;
    lk_interrupt_request();
}

/* 20 ms after training began. */
static void interrupt_soon(const lk_progress *p, void *user) {
    (void)p;
    bool *armed = user;
    if (!*armed) return;
    *armed = false;
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 20000}, NULL);
}

/* The same bytes, whether it was interrupted in between or not. */
static void test_goes_on(void **state) {
    (void)state;
    lk_obstruction_options o = tiny(100);
    lk_obstruction_report r;
    lk_obstruction_save one, two;
    bool found, armed = true;
    char *other = lk_path_join(folder, "other", NULL);
    test_ok(train(other, set_path, &o, &r), &err);
    assert_false(r.interrupted);
    lk_progress_to(interrupt_soon, &armed);
    test_ok(train(dir, set_path, &o, &r), &err);
    assert_true(r.interrupted && r.iteration < 100);
    int64_t stopped = r.iteration;
    lk_interrupt_clear();
    test_ok(train(dir, set_path, &o, &r), &err);
    assert_false(r.interrupted);
    assert_int_equal(r.first, stopped);
    test_ok(lk_obstruction_read(dir, &one, &found, &err) && lk_obstruction_read(other, &two, &found, &err), &err);
    assert_string_equal(one.weights.sha256, two.weights.sha256);
    assert_string_equal(one.optimizer.sha256, two.optimizer.sha256);
    free(other);
}

/* A damaged newest save falls back to the one before; with both gone it says so. */
static void damage(const char *name) {
    char *path = lk_path_join(dir, name, NULL);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, -5, SEEK_END), 0);
    fputc(0x5a, f);
    fclose(f);
    free(path);
}

static void test_damaged(void **state) {
    (void)state;
    lk_obstruction_options o = tiny(2);
    lk_obstruction_report r;
    lk_obstruction_save s;
    bool found;
    test_ok(train(dir, set_path, &o, &r), &err);
    o.iterations = 4;
    test_ok(train(dir, set_path, &o, &r), &err);
    test_ok(lk_obstruction_read(dir, &s, &found, &err), &err);
    assert_int_equal(s.iteration, 4);
    damage(s.weights.name);
    test_ok(lk_obstruction_read(dir, &s, &found, &err), &err);
    assert_int_equal(s.iteration, 2);
    test_ok(train(dir, set_path, &o, &r), &err);
    assert_int_equal(r.first, 2);
    test_ok(lk_obstruction_read(dir, &s, &found, &err), &err);
    assert_int_equal(s.iteration, 4);
    damage(s.weights.name);
    test_ok(lk_obstruction_read(dir, &s, &found, &err), &err);
    assert_int_equal(s.iteration, 2);
    damage(s.optimizer.name);
    assert_false(lk_obstruction_read(dir, &s, &found, &err));
    assert_non_null(strstr(err.message, "damaged"));
}

static void test_hostile_records(void **state) {
    (void)state;
    static const char *const texts[] = {
        "{",
        "[]",
        "{}",
        "{\"format\": 2}",
        "{\"format\": 1, \"iteration\": -1}",
        "{\"format\": 1, \"iteration\": 1, \"optimizer_steps\": 1, \"number\": 1, \"face_type\": 7}",
        "{\"format\": 1, \"iteration\": 1, \"optimizer_steps\": 1, \"number\": 1, \"face_type\": 1, \"quality\": "
        "{\"faces\": "
        "0, \"hidden\": 0}, \"weights\": {\"name\": \"../x\", \"sha256\": "
        "\"0000000000000000000000000000000000000000000000000000000000000000\"}}",
    };
    char *path = lk_path_join(dir, "mask.json", NULL);
    test_ok(lk_make_dirs(dir, &err), &err);
    for (size_t i = 0; i < LK_COUNT(texts); i++) {
        lk_obstruction_save s;
        bool found;
        test_ok(lk_file_write(path, texts[i], strlen(texts[i]), &err), &err);
        assert_false(lk_obstruction_read(dir, &s, &found, &err));
        if (!strstr(err.message, "mask.json")) fail_msg("%zu: %s", i, err.message);
    }
    free(path);
}

/* New occluders take from the mask where they change the picture, and nowhere else do they do either. */
static void test_samples(void **state) {
    (void)state;
    lk_strings sets = {0};
    lk_obstruction_faces f;
    enum { N = 32, PIXELS = N * N };
    static float face[2][4 * PIXELS], target[2][PIXELS], weight[PIXELS];
    assert_true(lk_strings_add(&sets, set_path, NULL));
    test_ok(lk_obstruction_faces_open(&f, &sets, N, 20, &err), &err);
    assert_int_equal(f.count, FACES);
    int covered = 0, unlike = 0;
    for (int n = 0; n < 40; n++) {
        for (int k = 0; k < 2; k++)
            test_ok(lk_obstruction_sample(&f, N, 100 * k, 5, n, face[k], target[k], weight, &err), &err);
        int taken = 0;
        for (int i = 0; i < PIXELS; i++) {
            assert_true(target[1][i] <= target[0][i] + 1e-6f);
            assert_true(target[1][i] >= 0 && weight[i] >= 1 && weight[i] <= 1.5f);
            assert_true(face[1][4 * i + 3] == face[0][4 * i + 3]); /* the hull stays */
            for (int c = 0; c < 4; c++) assert_true(face[1][4 * i + c] >= 0 && face[1][4 * i + c] <= 1);
            taken += target[0][i] - target[1][i] > 0.5f;
        }
        covered += taken > 0;
        unlike += memcmp(face[0], face[1], sizeof face[0]) != 0;
        float again[PIXELS];
        memcpy(again, target[1], sizeof again);
        test_ok(lk_obstruction_sample(&f, N, 100, 5, n, face[1], target[1], weight, &err), &err);
        assert_memory_equal(again, target[1], sizeof again);
    }
    assert_true(covered > 25); /* some lie on what is hidden already */
    assert_int_equal(unlike, 40);
    lk_obstruction_faces_close(&f);
    lk_strings_free(&sets);
}

/* The network and its loss are PyTorch's (tests/golden/train_obstruction.py), from the same weights. */
static void test_network(void **state) {
    (void)state;
    enum { SIZE = 32, BATCH = 2, PIXELS = BATCH * SIZE * SIZE };
    void *data;
    size_t size;
    lk_nn_graph *g = lk_obstruction_graph(SIZE, 4, BATCH, true, &err);
    lk_nn_exec *e = g ? lk_nn_compile(g, &(lk_nn_options){.train = true}, &err) : NULL;
    lk_nn_graph_free(g);
    test_ok(e && lk_nn_load(e, LK_NN_VALUE, LK_GOLDEN "/train_obstruction_weights.safetensors", NULL, NULL, &err),
            &err);
    test_ok(lk_file_read(LK_GOLDEN "/train_obstruction_values.f32", LK_MIB(1), &data, &size, &err), &err);
    assert_int_equal(size, (7 * PIXELS + 1) * sizeof(float));
    const float *v = data;
    memcpy(lk_nn_data(e, lk_nn_find(e, "face")), v, 4 * PIXELS * sizeof(float));
    memcpy(lk_nn_data(e, lk_nn_find(e, "target")), v + 4 * PIXELS, PIXELS * sizeof(float));
    memcpy(lk_nn_data(e, lk_nn_find(e, "weight")), v + 5 * PIXELS, PIXELS * sizeof(float));
    test_ok(lk_nn_run(e, &err), &err);
    const float *mask = lk_nn_data(e, lk_nn_find(e, "mask"));
    float least = 1, most = 0;
    for (int i = 0; i < PIXELS; i++) {
        if (!(fabsf(mask[i] - v[6 * PIXELS + i]) < 1e-4f))
            fail_msg("value %d: %g, not %g", i, (double)mask[i], (double)v[6 * PIXELS + i]);
        least = fminf(least, mask[i]);
        most = fmaxf(most, mask[i]);
    }
    assert_true(most - least > 0.2f);
    assert_true(fabsf(lk_nn_loss_value(e, 0) - v[7 * PIXELS]) < 1e-5f);
    free(data);
    lk_nn_free(e);
}

static void expect_refusal(bool ok, const char *says) {
    assert_false(ok);
    if (!strstr(err.message, says)) fail_msg("%s", err.message);
}

static void test_refusals(void **state) {
    (void)state;
    lk_obstruction_options o = tiny(1);
    lk_obstruction_report r;
    char *bare = lk_path_join(folder, "bare.faces", NULL), *half = lk_path_join(folder, "half.faces", NULL);
    made_up_faces(bare, &(made_up_set){4, SIDE, LK_FACE_FULL, -20, 20, 7, 0});
    made_up_faces(half, &(made_up_set){4, SIDE, LK_FACE_HALF, -20, 20, 7, 0});
    expect_refusal(train(dir, bare, &o, &r), "at least 2 are needed");
    assert_false(lk_file_exists(dir)); /* nothing is left of what never began */
    o.size = 40;
    expect_refusal(train(dir, set_path, &o, &r), "no multiple of 16");
    o.size = 32;
    lk_faceset *s = lk_faceset_open(half, true, &err);
    int64_t *ids, count = s ? lk_faceset_ids(s, NULL, &ids, &err) : -1;
    test_ok(count == 4, &err);
    expect_refusal(lk_obstruction_apply(dir, s, ids, count, LK_NN_WISH_CPU, NULL, &err), "holds no mask network");
    test_ok(train(dir, set_path, &o, &r), &err);
    expect_refusal(lk_obstruction_apply(dir, s, ids, count, LK_NN_WISH_CPU, NULL, &err), "type half");
    for (int64_t i = 0; i < count; i++) {
        unsigned kinds;
        test_ok(lk_faceset_mask_kinds(s, ids[i], &kinds, &err), &err);
        assert_int_equal(kinds, 0);
    }
    o.width = 12;
    expect_refusal(train(dir, set_path, &o, &r), "fixed for its life");
    free(ids);
    lk_faceset_close(s);
    free(bare);
    free(half);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_learns_and_masks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_samples, setup, teardown),
        cmocka_unit_test_setup_teardown(test_network, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
