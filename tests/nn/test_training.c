/* Whole steps of a small network with all that a swapping model has: memory and what is planned of it. */
#include "testing.h"

#include <malloc.h>
#include <math.h>

#include "cpu/cpu.h"

#define SIDE 16

typedef struct maker {
    lk_nn_graph *g;
    int count;
} maker;

static lk_nn_t weights(maker *m, lk_nn_shape s) {
    char name[32];
    snprintf(name, sizeof name, "w%02d", m->count++);
    return lk_nn_param(m->g, name, s, (lk_nn_init){LK_NN_GLOROT_UNIFORM, 0});
}

static lk_nn_t bias(maker *m, int c) {
    char name[32];
    snprintf(name, sizeof name, "b%02d", m->count++);
    return lk_nn_param(m->g, name, (lk_nn_shape){1, c, 1, 1}, (lk_nn_init){LK_NN_NORMAL, 0.1f});
}

static lk_nn_t conv(maker *m, lk_nn_t x, int outputs, int kernel, int stride, lk_nn_act act) {
    lk_nn_t w = weights(m, (lk_nn_shape){outputs, lk_nn_shape_of(m->g, x).c, kernel, kernel});
    lk_nn_conv_options o = {.stride = stride, .same = true, .act = act, .alpha = 0.1f};
    return lk_nn_conv(m->g, x, w, bias(m, outputs), &o);
}

static lk_nn_t dense(maker *m, lk_nn_t x, int outputs) {
    lk_nn_shape s = lk_nn_shape_of(m->g, x);
    lk_nn_t w = weights(m, (lk_nn_shape){outputs, s.c * s.h * s.w, 1, 1});
    return lk_nn_dense(m->g, x, w, bias(m, outputs), LK_NN_LINEAR, 0);
}

/* `batch` source faces and as many destination faces through one encoder, a decoder each. */
static lk_nn_graph *network(int batch, int width) {
    lk_error err = {0};
    maker m = {.g = lk_nn_graph_new(&err)};
    lk_nn_t x = lk_nn_input(m.g, "x", (lk_nn_shape){2 * batch, 3, SIDE, SIDE});
    lk_nn_t target = lk_nn_input(m.g, "target", (lk_nn_shape){2 * batch, 3, SIDE, SIDE});
    lk_nn_t mask = lk_nn_input(m.g, "mask", (lk_nn_shape){2 * batch, 1, SIDE, SIDE});
    lk_nn_t code = conv(&m, conv(&m, x, width, 5, 2, LK_NN_LEAKY), 2 * width, 5, 2, LK_NN_LEAKY);
    code = dense(&m, dense(&m, code, width), SIDE * SIDE / 16 * width);
    code = lk_nn_reshape(m.g, code, (lk_nn_shape){2 * batch, width, SIDE / 4, SIDE / 4});
    lk_nn_t sides[2];
    for (int s = 0; s < 2; s++) {
        lk_nn_t y = lk_nn_slice_batch(m.g, code, s * batch, batch);
        for (int i = 0; i < 2; i++) y = lk_nn_depth_to_space(m.g, conv(&m, y, 4 * width, 3, 1, LK_NN_LEAKY), 2);
        sides[s] = conv(&m, y, 3, 5, 1, LK_NN_SIGMOID);
    }
    lk_nn_t prediction = lk_nn_concat_batch(m.g, sides, 2);
    lk_nn_output(m.g, "prediction", prediction);
    lk_nn_loss(m.g, "dssim", lk_nn_dssim(m.g, prediction, target, mask, 1), 10);
    lk_nn_loss(m.g, "pixel", lk_nn_mse(m.g, prediction, target, mask), 50);
    return m.g;
}

/* What a plan says is what compiling takes, and planning takes nothing: a network of 6 GB is planned in passing. */
static void a_plan_is_what_is_taken(void **state) {
    (void)state;
    lk_error err = {0};
    lk_nn_options o = {.train = true};
    lk_nn_graph *g = network(2, 24);
    lk_nn_memory planned, taken;
    struct mallinfo2 before = mallinfo2();
    test_ok(lk_nn_plan(g, &o, &planned, &err), &err);
    lk_nn_exec *e = lk_nn_compile(g, &o, &err);
    test_ok(e, &err);
    struct mallinfo2 after = mallinfo2();
    taken = lk_nn_memory_of(e);
    assert_memory_equal(&planned, &taken, sizeof planned);
    assert_int_equal(planned.total, planned.weights + planned.optimizer + planned.activations + planned.workspace);
    size_t numbers = 0;
    for (int i = 0; i < lk_nn_param_count(e); i++) numbers += lk_nn_count(lk_nn_param_shape(e, i));
    assert_int_equal(planned.parameters, numbers);
    assert_true(planned.weights >= 4 * numbers && planned.optimizer >= 8 * numbers);
    size_t grown = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
    if (grown) assert_true(grown >= planned.total); /* sanitizers count elsewhere */
    lk_nn_free(e);
    lk_nn_graph_free(g);

    g = network(2, 5000);
    test_ok(lk_nn_plan(g, &o, &planned, &err), &err);
    assert_true(planned.total > (size_t)6 << 30);
    lk_nn_graph_free(g);
}

static void fill(lk_nn_exec *e, const char *name, uint64_t stream) {
    lk_rng r = lk_rng_make(5, stream);
    lk_nn_t t = lk_nn_find(e, name);
    float *x = lk_nn_data(e, t);
    for (size_t i = 0; i < lk_nn_count(lk_nn_shape_in(e, t)); i++) x[i] = (float)lk_rng_uniform(&r, 0, 1);
}

static lk_nn_exec *trained(const lk_nn_options *o, int batch, int width, int steps) {
    lk_error err = {0};
    lk_nn_graph *g = network(batch, width);
    lk_nn_exec *e = lk_nn_compile(g, o, &err);
    test_ok(e, &err);
    fill(e, "x", 1);
    fill(e, "target", 2);
    fill(e, "mask", 3);
    for (int i = 0; i < steps; i++) test_ok(lk_nn_step(e, &(lk_nn_adam){1e-3f, 0.5f, 0.999f, 1e-8f}, &err), &err);
    lk_nn_graph_free(g);
    return e;
}

/* ‖a − b‖ / ‖b‖ of one slot of one parameter. */
static double difference(const lk_nn_exec *a, const lk_nn_exec *b, int i, lk_nn_slot slot) {
    size_t n = lk_nn_count(lk_nn_param_shape(a, i));
    float *p = malloc(n * sizeof *p), *q = malloc(n * sizeof *q);
    assert_true(lk_nn_param_get(a, i, slot, p) && lk_nn_param_get(b, i, slot, q));
    double d = 0, norm = 0;
    for (size_t k = 0; k < n; k++) {
        d += ((double)p[k] - (double)q[k]) * ((double)p[k] - (double)q[k]);
        norm += (double)q[k] * (double)q[k];
    }
    free(p);
    free(q);
    return sqrt(d / norm);
}

/* One step in bfloat16 gives the gradients of float32 up to its rounding: 0.4 % in the last layer, more in deeper ones,
 * where a rounded activation may change its sign and with it the slope of the leaky units. Eight steps lower the
 * losses as far, which in that time fall by a quarter. (24 channels: depth-to-space splits blocks of 32.) */
static void bfloat16_is_close(void **state) {
    (void)state;
    lk_nn_options exact = {.train = true, .keep_gradients = true}, narrow = exact;
    narrow.precision = LK_NN_BF16;
    lk_nn_exec *e = trained(&exact, 2, 24, 1), *n = trained(&narrow, 2, 24, 1);
    double most = 0;
    for (int i = 0; i < lk_nn_param_count(e); i++) {
        double d = difference(n, e, i, LK_NN_GRADIENT);
        if (!(d < 0.12)) fail_msg("gradient of %s: relative difference %g", lk_nn_param_name(e, i), d);
        if (d > most) most = d;
    }
    assert_true(most > 1e-4);
    lk_nn_free(e);
    lk_nn_free(n);
    exact.keep_gradients = narrow.keep_gradients = false;
    e = trained(&exact, 2, 24, 8), n = trained(&narrow, 2, 24, 8);
    for (int i = 0; i < lk_nn_loss_count(e); i++) {
        double p = (double)lk_nn_loss_value(n, i), q = (double)lk_nn_loss_value(e, i);
        if (!(fabs(p - q) < 0.01 * q)) fail_msg("loss %s: %g, with float32 %g", lk_nn_loss_name(e, i), p, q);
    }
    lk_nn_free(e);
    lk_nn_free(n);
}

static void what_a_processor_lacks_is_float32(void **state) {
    (void)state;
    lk_nn_exec *want = trained(&(lk_nn_options){.train = true}, 1, 24, 1);
    for (int precision = LK_NN_TF32; precision < LK_NN_AUTO; precision++) {
        lk_nn_exec *e = trained(&(lk_nn_options){.train = true, .precision = precision}, 1, 24, 1);
        for (int i = 0; i < lk_nn_param_count(e); i++) assert_true(difference(e, want, i, LK_NN_VALUE) == 0);
        lk_nn_free(e);
    }
    lk_nn_free(want);
}

/* Twelve steps lower the losses as far as with full states: they are at least `least` of those; the optimizer takes less
 * than one of so many `parts` of its memory; and what is taken out of one network goes on in another to the same bits. */
static void check_states_in(lk_nn_precision precision, lk_nn_states states, double least, size_t parts) {
    lk_nn_options full = {.train = true, .precision = precision}, few = full;
    few.optimizer_memory = states;
    lk_nn_exec *e = trained(&full, 2, 32, 12), *n = trained(&few, 2, 32, 12);
    for (int i = 0; i < lk_nn_loss_count(e); i++) {
        double p = (double)lk_nn_loss_value(n, i), q = (double)lk_nn_loss_value(e, i);
        if (!(p > least * q && p < 1.03 * q)) fail_msg("loss %s: %g, with full states %g", lk_nn_loss_name(e, i), p, q);
    }
    assert_true(parts * lk_nn_memory_of(n).optimizer < lk_nn_memory_of(e).optimizer);
    lk_nn_free(e);
    e = trained(&few, 2, 32, 0);
    for (int i = 0; i < lk_nn_param_count(n); i++)
        for (int slot = LK_NN_VALUE; slot <= LK_NN_MOMENT2; slot++) {
            float *values = malloc(lk_nn_count(lk_nn_param_shape(n, i)) * sizeof *values);
            assert_true(lk_nn_param_get(n, i, (lk_nn_slot)slot, values));
            assert_true(lk_nn_param_set(e, i, (lk_nn_slot)slot, values));
            free(values);
        }
    lk_nn_set_steps(e, lk_nn_steps(n));
    lk_error err = {0};
    for (int i = 0; i < 2; i++) {
        test_ok(lk_nn_step(e, &(lk_nn_adam){1e-3f, 0.5f, 0.999f, 1e-8f}, &err), &err);
        test_ok(lk_nn_step(n, &(lk_nn_adam){1e-3f, 0.5f, 0.999f, 1e-8f}, &err), &err);
    }
    for (int i = 0; i < lk_nn_param_count(n); i++) assert_true(difference(n, e, i, LK_NN_VALUE) == 0);
    lk_nn_free(e);
    lk_nn_free(n);
}

/* Float32 layers that are not our own keep full states. */
static void check_states(lk_nn_states states, double least, size_t parts) {
    check_states_in(LK_NN_BF16, states, least, parts);
    if (lk_matrix_ways_f32()) check_states_in(LK_NN_F32, states, least, parts);
}

/* Short states leave three eighths of the optimizer's memory to what has them. */
static void short_states_train_as_well(void **state) {
    (void)state;
    check_states(LK_NN_STATES_SHORT, 0.97, 2);
    lk_nn_options full = {.train = true, .precision = LK_NN_BF16}, few = full;
    few.optimizer_memory = LK_NN_STATES_SHORT;
    lk_nn_exec *e = trained(&full, 2, 32, 2), *n = trained(&few, 2, 32, 2);
    for (int i = 0; i < lk_nn_param_count(n); i++) {
        double first = difference(n, e, i, LK_NN_MOMENT1), second = difference(n, e, i, LK_NN_MOMENT2);
        if (!(first < 0.1 && second < 0.03))
            fail_msg("moments of %s: relative difference %g, %g", lk_nn_param_name(n, i), first, second);
    }
    lk_nn_free(e);
    lk_nn_free(n);
}

/* Factored states leave 1.25 of 8 bytes. Their steps are others; here they learn faster. */
static void factored_states_train_as_well(void **state) {
    (void)state;
    check_states(LK_NN_STATES_FACTORED, 0, 5);
}

/* One thread and two come to the same bits. */
static void threads_do_not_matter(void **state) {
    (void)state;
    for (int precision = LK_NN_F32; precision <= LK_NN_BF16; precision++) {
        if (precision == LK_NN_F32 && !lk_matrix_ways_f32()) continue;
        lk_nn_options one = {.train = true, .precision = precision, .threads = 1}, two = one;
        two.threads = 2;
        lk_nn_exec *a = trained(&one, 2, 24, 3), *b = trained(&two, 2, 24, 3);
        for (int i = 0; i < lk_nn_param_count(a); i++)
            for (int slot = LK_NN_VALUE; slot <= LK_NN_MOMENT2; slot++)
                if (difference(a, b, i, (lk_nn_slot)slot) != 0) fail_msg("%s differs", lk_nn_param_name(a, i));
        lk_nn_free(a);
        lk_nn_free(b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_is_what_is_taken),           cmocka_unit_test(bfloat16_is_close),
        cmocka_unit_test(what_a_processor_lacks_is_float32), cmocka_unit_test(short_states_train_as_well),
        cmocka_unit_test(factored_states_train_as_well),     cmocka_unit_test(threads_do_not_matter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
