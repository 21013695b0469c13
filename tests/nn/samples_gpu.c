/* Samples drawn by a GPU are those that the same points draw on the processor, where tests/train holds them against OpenCV;
 * and what a program writes into an input after them counts. On the stand-in for a GPU (LK_EMULATED) that is about the
 * executor alone. */
#include "testing.h"

#include "made_up_samples.h"
#include "on_gpu.h"

#define SAMPLES 7
#define SIDE    48

enum { PIXELS = SIDE * SIDE };

static lk_nn_sample *samples;
static uint8_t *bytes;
static const char *const names[] = {"warped", "target", "mask", "features"};
static const int channels[] = {3, 3, 1, 1};
static float want[4][SAMPLES * PIXELS * 3];

static void draw_here(void) {
    lk_samples_args a = {.samples = samples, .bytes = bytes, .resolution = SIDE};
    lk_gpu_ref *const to[] = {&a.warped, &a.target, &a.mask, &a.features};
    for (int i = 0; i < 4; i++) to[i]->data = want[i];
    a.spans = calloc((size_t)SAMPLES * 2 * SIDE * LK_NN_SHAPES * 2, sizeof(int));
    assert_non_null(a.spans);
    for (uint32_t i = 0; i < SAMPLES * 2 * SIDE; i++) lk_sample_spans_point(&a, i);
    for (uint32_t i = 0; i < SAMPLES * PIXELS; i++) lk_samples_point(&a, i);
    free(a.spans);
}

/* Inputs of that name, and outputs that repeat them. */
static lk_nn_exec *repeater(lk_nn_canvas *canvas) {
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_graph_new(&err);
    lk_nn_t at[4];
    for (int i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s again", names[i]);
        at[i] = lk_nn_input(g, names[i], (lk_nn_shape){SAMPLES, channels[i], SIDE, SIDE});
        lk_nn_output(g, name, lk_nn_affine(g, at[i], 1, 0));
    }
    lk_nn_exec *e = lk_nn_compile(g, &(lk_nn_options){.device = LK_NN_GPU}, &err);
    lk_nn_graph_free(g);
    test_ok(e && lk_nn_draws(e), &err);
    *canvas = (lk_nn_canvas){at[0], at[1], at[2], at[3]};
    return e;
}

static const float *output(lk_nn_exec *e, int i) {
    char name[32];
    snprintf(name, sizeof name, "%s again", names[i]);
    return lk_nn_data(e, lk_nn_find(e, name));
}

static void same_as_here(lk_nn_exec *e, int i) {
    const float *got = output(e, i);
    double most = 0, sum = 0;
    for (int k = 0; k < SAMPLES * PIXELS * channels[i]; k++) {
        most = fmax(most, fabs((double)got[k] - (double)want[i][k]));
        sum += (double)want[i][k];
    }
    assert_true(most < 1e-4);
    assert_true(sum > 0.05 * SAMPLES * PIXELS * channels[i]);
}

static void test_samples(void **state) {
    (void)state;
    lk_error err = {0};
    lk_nn_canvas canvas;
    lk_nn_exec *e = repeater(&canvas);
    size_t size = SAMPLES * made_up_bytes(SIDE);
    samples = lk_nn_pin(SAMPLES * sizeof *samples, &err);
    bytes = lk_nn_pin(size, &err);
    test_ok(samples && bytes, &err);
    for (uint32_t i = 0; i < SAMPLES; i++) made_up_sample(&samples[i], bytes, SIDE, i);
    draw_here();
    /* The third run replays the recorded step. */
    for (int k = 0; k < 3; k++) {
        test_ok(lk_nn_draw(e, &canvas, samples, bytes, size, &err) && lk_nn_run(e, &err), &err);
        for (int i = 0; i < 4; i++) same_as_here(e, i);
    }
    float *mask = lk_nn_data(e, canvas.mask);
    for (int i = 0; i < SAMPLES * PIXELS; i++) mask[i] = 0.25f;
    test_ok(lk_nn_run(e, &err), &err);
    same_as_here(e, 0);
    for (int i = 0; i < SAMPLES * PIXELS; i++) assert_float_equal(output(e, 2)[i], 0.25f, 1e-6);
    test_ok(lk_nn_draw(e, &canvas, samples, bytes, size, &err) && lk_nn_run(e, &err), &err);
    same_as_here(e, 2);

    lk_nn_canvas wrong = {canvas.mask, canvas.target, canvas.mask, -1};
    assert_false(lk_nn_draw(e, &wrong, samples, bytes, size, &err));
    assert_non_null(strstr(err.message, "square inputs"));
    lk_nn_unpin(samples);
    lk_nn_unpin(bytes);
    lk_nn_free(e);
}

static void test_processor(void **state) {
    (void)state;
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_graph_new(&err);
    lk_nn_output(g, "y", lk_nn_affine(g, lk_nn_input(g, "x", (lk_nn_shape){1, 1, 2, 2}), 1, 0));
    lk_nn_exec *e = lk_nn_compile(g, &(lk_nn_options){.device = LK_NN_CPU}, &err);
    lk_nn_graph_free(g);
    test_ok(e != NULL, &err);
    assert_false(lk_nn_draws(e));
    lk_nn_free(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_samples), cmocka_unit_test(test_processor)};
    if (no_gpu()) return SKIPPED;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
