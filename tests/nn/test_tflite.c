/* Pretrained networks against tests/golden/nn_tflite.py, and damaged ones. */
#include "testing.h"

#include <math.h>

#include "likeness/nn.h"

#define HOW "no networks or clips: run 'likeness models install' and 'tools/setup.sh clips'"

static void *read_model(const char *name, size_t *size) {
    char *dir = lk_models_dir(NULL), *path = dir ? lk_format(NULL, "%s/%s", dir, name) : NULL;
    void *data = NULL;
    if (path && !lk_file_read(path, LK_MIB(64), &data, size, NULL)) data = NULL;
    free(path);
    free(dir);
    return data;
}

static lk_nn_graph *read_graph(const char *name, lk_error *err) {
    char file[100];
    size_t size = 0, weights_size = 0;
    bool tfjs = strcmp(name, "faceres") == 0;
    snprintf(file, sizeof file, "%s.%s", name, tfjs ? "json" : "tflite");
    void *data = read_model(file, &size), *weights = NULL;
    lk_nn_graph *g = NULL;
    if (tfjs && data) weights = read_model("faceres.bin", &weights_size);
    if (data)
        g = tfjs ? lk_nn_read_tfjs(data, size, weights, weights_size, "global_pooling/Mean", file, err)
                 : lk_nn_read_tflite(data, size, file, err);
    free(data);
    free(weights);
    return g;
}

/* The largest difference, relative to the largest reference value. */
static double difference(const float *a, const float *b, size_t n) {
    double most = 0, scale = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= most)) most = d;
        scale = fmax(scale, fabs((double)b[i]));
    }
    return most / fmax(scale, 1e-6);
}

static void compare(const char *name) {
    char path[600], output[128];
    lk_error err = {0};
    void *golden = NULL;
    size_t size = 0, count;
    snprintf(path, sizeof path, LK_GOLDEN "/nn_tflite_%s.txt", name);
    FILE *list = fopen(path, "r");
    if (!list) {
        print_message("%s\n", HOW);
        skip();
        return;
    }
    snprintf(path, sizeof path, LK_GOLDEN "/nn_tflite_%s.bin", name);
    test_ok(lk_file_read(path, LK_MIB(64), &golden, &size, &err), &err);
    lk_nn_graph *g = read_graph(name, &err);
    test_ok(g != NULL, &err);
    lk_nn_exec *e = lk_nn_compile(g, &(lk_nn_options){0}, &err);
    test_ok(e != NULL, &err);
    lk_nn_t in = lk_nn_find(e, "input");
    const float *at = golden;
    size_t inputs = lk_nn_count(lk_nn_shape_in(e, in));
    int outputs = 0;
    memcpy(lk_nn_data(e, in), at, inputs * sizeof *at);
    at += inputs;
    test_ok(lk_nn_run(e, &err), &err);
    for (; fscanf(list, "%127s %zu", output, &count) == 2; outputs++, at += count) {
        lk_nn_t t = lk_nn_find(e, output);
        assert_true(t >= 0);
        assert_int_equal(lk_nn_count(lk_nn_shape_in(e, t)), count);
        double d = difference(lk_nn_data(e, t), at, count);
        print_message("%s %s: %.1e\n", name, output, d);
        assert_true(d < 1e-3);
    }
    fclose(list);
    assert_true((const char *)at == (const char *)golden + size);
    assert_int_equal(outputs, lk_nn_output_count(g));
    free(golden);
    lk_nn_free(e);
    lk_nn_graph_free(g);
}

static void test_full_range(void **state) { (void)state, compare("face_detection_full_range"); }
static void test_short_range(void **state) { (void)state, compare("face_detection_short_range"); }
static void test_mesh(void **state) { (void)state, compare("face_landmark"); }
static void test_attention_mesh(void **state) { (void)state, compare("face_landmark_with_attention"); }
static void test_segmentation(void **state) { (void)state, compare("selfie_segmentation"); }
static void test_descriptor(void **state) { (void)state, compare("faceres"); }

/* Cut anywhere, or with a byte changed anywhere: a sentence, or a graph, never more. */
static void test_damaged(void **state) {
    (void)state;
    size_t size = 0;
    uint8_t *whole = read_model("face_landmark.tflite", &size);
    if (!whole) {
        print_message("%s\n", HOW);
        skip();
        return;
    }
    lk_rng rng = lk_rng_make(1, 0);
    for (int i = 0; i < 60; i++) {
        lk_error err = {0};
        size_t keep = (size_t)lk_rng_below(&rng, (uint32_t)size);
        uint8_t *part = malloc(keep + 1);
        assert_non_null(part);
        memcpy(part, whole, keep);
        lk_nn_graph *g = lk_nn_read_tflite(part, keep, "cut.tflite", &err);
        free(part);
        assert_null(g);
        assert_int_equal(err.code, LK_ERR_FORMAT);
        assert_non_null(strstr(err.message, "cut.tflite"));
    }
    for (int i = 0; i < 60; i++) {
        lk_error err = {0};
        size_t where = i < 20 ? (size_t)i * 4 : lk_rng_below(&rng, (uint32_t)size);
        uint8_t was = whole[where];
        whole[where] ^= 0x41;
        lk_nn_graph *g = lk_nn_read_tflite(whole, size, "bent.tflite", &err);
        whole[where] = was;
        if (!g) assert_non_null(strstr(err.message, "bent.tflite"));
        lk_nn_graph_free(g);
    }
    free(whole);
}

static void test_not_a_network(void **state) {
    (void)state;
    lk_error err = {0};
    static const char text[] = "this is a text file, not a network at all";
    assert_null(lk_nn_read_tflite(text, sizeof text, "notes.txt", &err));
    assert_non_null(strstr(err.message, "no valid TFLite file"));
    assert_null(lk_nn_read_tflite("", 0, "empty", &err));
    assert_null(lk_nn_read_tfjs(text, sizeof text, "", 0, "x", "notes.json", &err));
    assert_non_null(strstr(err.message, "notes.json"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_range),     cmocka_unit_test(test_short_range),   cmocka_unit_test(test_mesh),
        cmocka_unit_test(test_attention_mesh), cmocka_unit_test(test_segmentation),  cmocka_unit_test(test_descriptor),
        cmocka_unit_test(test_damaged),        cmocka_unit_test(test_not_a_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
