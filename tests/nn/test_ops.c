/* Every operator, forward and backward, against PyTorch (tests/golden/nn_ops.py). */
#include "testing.h"

#include <math.h>

#include "likeness/nn.h"
#include "likeness/options.h"

static json_t *cases;
static float *blob;

static int load(void **state) {
    (void)state;
    lk_error err = {0};
    size_t size;
    void *data = NULL;
    cases = lk_json_read(LK_GOLDEN "/nn_ops.json", &err);
    test_ok(cases && lk_file_read(LK_GOLDEN "/nn_ops.bin", LK_MIB(64), &data, &size, &err), &err);
    blob = data;
    return 0;
}

static int unload(void **state) {
    (void)state;
    json_decref(cases);
    free(blob);
    return 0;
}

static int integer(const json_t *c, const char *key, size_t i) {
    return (int)json_integer_value(json_array_get(json_object_get(c, key), i));
}
static float real(const json_t *c, size_t i) {
    return (float)json_number_value(json_array_get(json_object_get(c, "floats"), i));
}
static lk_nn_shape shape_of(const json_t *t) {
    return (lk_nn_shape){integer(t, "shape", 0), integer(t, "shape", 1), integer(t, "shape", 2),
                         integer(t, "shape", 3)};
}
static float *values_of(const json_t *t) { return blob + json_integer_value(json_object_get(t, "at")); }

static lk_nn_pool_options pool_of(const json_t *c) {
    return (lk_nn_pool_options){integer(c, "ints", 0), integer(c, "ints", 1), integer(c, "ints", 2),
                                integer(c, "ints", 3), integer(c, "ints", 4)};
}

/* The operator of one case, over its inputs. */
static lk_nn_t describe(lk_nn_graph *g, const char *op, const json_t *c, const lk_nn_t *x, int count) {
    int i0 = integer(c, "ints", 0), i1 = integer(c, "ints", 1), i2 = integer(c, "ints", 2), i3 = integer(c, "ints", 3);
    lk_nn_t third = count > 2 ? x[2] : -1;
    lk_nn_pool_options pool = pool_of(c);
    if (!strcmp(op, "conv"))
        return lk_nn_conv(g, x[0], x[1], third,
                          &(lk_nn_conv_options){.stride = i0,
                                                .dilation = i1,
                                                .groups = i2,
                                                .same = i3,
                                                .pad_left = integer(c, "ints", 4),
                                                .pad_right = integer(c, "ints", 5),
                                                .pad_top = integer(c, "ints", 6),
                                                .pad_bottom = integer(c, "ints", 7),
                                                .act = (lk_nn_act)integer(c, "ints", 8),
                                                .alpha = real(c, 0)});
    if (!strcmp(op, "conv_transposed"))
        return lk_nn_conv_transposed(g, x[0], x[1], third, &(lk_nn_conv_options){.stride = i0});
    if (!strcmp(op, "dense")) return lk_nn_dense(g, x[0], x[1], third, LK_NN_LINEAR, 0);
    if (!strcmp(op, "activation")) return lk_nn_activation(g, x[0], (lk_nn_act)i0, real(c, 0));
    if (!strcmp(op, "depth_to_space")) return lk_nn_depth_to_space(g, x[0], i0);
    if (!strcmp(op, "reshape")) return lk_nn_reshape(g, x[0], (lk_nn_shape){i0, i1, i2, i3});
    if (!strcmp(op, "concat_channels")) return lk_nn_concat_channels(g, x, count);
    if (!strcmp(op, "concat_batch")) return lk_nn_concat_batch(g, x, count);
    if (!strcmp(op, "slice_channels")) return lk_nn_slice_channels(g, x[0], i0, i1);
    if (!strcmp(op, "slice_batch")) return lk_nn_slice_batch(g, x[0], i0, i1);
    if (!strcmp(op, "add")) return lk_nn_add(g, x[0], x[1]);
    if (!strcmp(op, "sub")) return lk_nn_sub(g, x[0], x[1]);
    if (!strcmp(op, "mul")) return lk_nn_mul(g, x[0], x[1]);
    if (!strcmp(op, "affine")) return lk_nn_affine(g, x[0], real(c, 0), real(c, 1));
    if (!strcmp(op, "square")) return lk_nn_square(g, x[0]);
    if (!strcmp(op, "abs")) return lk_nn_abs(g, x[0]);
    if (!strcmp(op, "sqrt")) return lk_nn_sqrt(g, x[0]);
    if (!strcmp(op, "shared")) {
        lk_nn_conv_options o = {.same = true};
        lk_nn_t once = lk_nn_conv(g, x[0], x[1], -1, &o);
        return lk_nn_add(g, lk_nn_conv(g, once, x[1], -1, &o), x[0]);
    }
    if (!strcmp(op, "avg_pool")) return lk_nn_avg_pool(g, x[0], &pool);
    if (!strcmp(op, "max_pool")) return lk_nn_max_pool(g, x[0], &pool);
    if (!strcmp(op, "prelu")) return lk_nn_prelu(g, x[0], x[1]);
    if (!strcmp(op, "pad")) return lk_nn_pad(g, x[0], i0, i1, i2, i3, integer(c, "ints", 4), real(c, 0));
    if (!strcmp(op, "resize")) return lk_nn_resize_bilinear(g, x[0], i0, i1, i2, i3);
    if (!strcmp(op, "gaussian")) return lk_nn_gaussian(g, x[0], real(c, 0), i0, i1);
    if (!strcmp(op, "dssim")) return lk_nn_dssim(g, x[0], x[1], third, real(c, 0));
    if (!strcmp(op, "mse")) return lk_nn_mse(g, x[0], x[1], third);
    if (!strcmp(op, "mae")) return lk_nn_mae(g, x[0], x[1], third);
    fail_msg("the test does not know operator %s", op);
    return -1;
}

/* ‖a − b‖ / ‖b‖ */
static void agrees(const char *op, size_t index, const char *what, const float *got, const float *want, size_t n) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
        norm += (double)want[i] * (double)want[i];
    }
    if (!(sqrt(difference) <= 1e-4 * sqrt(norm) + 1e-12))
        fail_msg("%s (case %zu), %s: relative difference %g", op, index, what, sqrt(difference / norm));
}

/* Channels-last to [n, c, h, w]. */
static float *reordered(const float *x, lk_nn_shape s) {
    float *y = malloc(lk_nn_count(s) * sizeof *y);
    assert_non_null(y);
    size_t plane = (size_t)s.h * (size_t)s.w;
    for (size_t n = 0; n < (size_t)s.n; n++)
        for (size_t c = 0; c < (size_t)s.c; c++)
            for (size_t p = 0; p < plane; p++)
                y[(n * (size_t)s.c + c) * plane + p] = x[(n * plane + p) * (size_t)s.c + c];
    return y;
}

static void check(const json_t *c, size_t index) {
    const char *op = json_string_value(json_object_get(c, "op"));
    json_t *inputs = json_object_get(c, "inputs"), *gradients = json_object_get(c, "gradients");
    int count = (int)json_array_size(inputs);
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_graph_new(&err);
    lk_nn_t x[8];
    bool train = false;
    for (int i = 0; i < count; i++) {
        json_t *t = json_array_get(inputs, (size_t)i);
        char name[16];
        snprintf(name, sizeof name, "x%d", i);
        bool learns = !json_is_null(json_array_get(gradients, (size_t)i));
        train |= learns;
        x[i] = learns ? lk_nn_param(g, name, shape_of(t), (lk_nn_init){0}) : lk_nn_const(g, shape_of(t), values_of(t));
    }
    lk_nn_t y = describe(g, op, c, x, count);
    json_t *output = json_object_get(c, "output");
    lk_nn_shape s = shape_of(output);
    lk_nn_output(g, "y", y);
    lk_nn_t r = lk_nn_const(g, s, values_of(json_object_get(c, "weights")));
    lk_nn_loss(g, "dot", lk_nn_mul(g, y, r), (float)lk_nn_count(s));
    lk_nn_exec *e = lk_nn_compile(g, &(lk_nn_options){.train = train, .keep_gradients = true}, &err);
    if (!e) fail_msg("%s (case %zu): %s", op, index, err.message);
    for (int i = 0; i < lk_nn_param_count(e); i++) {
        int which = lk_nn_param_name(e, i)[1] - '0';
        assert_true(lk_nn_param_set(e, i, LK_NN_VALUE, values_of(json_array_get(inputs, (size_t)which))));
    }
    lk_nn_adam still = {0, 0.9f, 0.999f, 1e-8f};
    for (int round = 0; round < 2; round++) /* the second run finds the memory used */
        test_ok(train ? lk_nn_step(e, &still, &err) : lk_nn_run(e, &err), &err);
    lk_nn_shape got = lk_nn_shape_in(e, lk_nn_find(e, "y"));
    assert_memory_equal(&got, &s, sizeof s);
    float *plain = reordered(lk_nn_data(e, lk_nn_find(e, "y")), s);
    agrees(op, index, "output", plain, values_of(output), lk_nn_count(s));
    free(plain);
    for (int i = 0; i < lk_nn_param_count(e); i++) {
        size_t n = lk_nn_count(lk_nn_param_shape(e, i)), which = (size_t)(lk_nn_param_name(e, i)[1] - '0');
        float *gradient = malloc(n * sizeof *gradient);
        assert_true(lk_nn_param_get(e, i, LK_NN_GRADIENT, gradient));
        agrees(op, index, lk_nn_param_name(e, i), gradient, values_of(json_array_get(gradients, which)), n);
        free(gradient);
    }
    lk_nn_free(e);
    lk_nn_graph_free(g);
}

static void operators_agree_with_pytorch(void **state) {
    (void)state;
    size_t i;
    json_t *c;
    assert_true(json_array_size(cases) > 50);
    json_array_foreach(cases, i, c) check(c, i);
}

/* The first error sticks, later calls are harmless, and compiling reports it. */
static void errors_stick(void **state) {
    (void)state;
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_graph_new(&err);
    lk_nn_t x = lk_nn_input(g, "x", (lk_nn_shape){1, 3, 8, 8});
    lk_nn_t w = lk_nn_param(g, "w", (lk_nn_shape){4, 5, 3, 3}, (lk_nn_init){0});
    lk_nn_t y = lk_nn_conv(g, x, w, -1, &(lk_nn_conv_options){.same = true});
    assert_true(y < 0);
    lk_nn_output(g, "y", lk_nn_square(g, lk_nn_add(g, y, x)));
    assert_null(lk_nn_compile(g, &(lk_nn_options){0}, &err));
    assert_non_null(strstr(err.message, "[4, 5, 3, 3]"));
    lk_nn_graph_free(g);
    g = lk_nn_graph_new(&err);
    assert_true(lk_nn_input(g, "x", (lk_nn_shape){1 << 20, 1 << 20, 1, 1}) < 0);
    lk_nn_graph_free(g);
    g = lk_nn_graph_new(&err);
    lk_nn_input(g, "x", (lk_nn_shape){1, 1, 1, 1});
    assert_true(lk_nn_input(g, "x", (lk_nn_shape){1, 1, 1, 1}) < 0);
    lk_nn_graph_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(operators_agree_with_pytorch), cmocka_unit_test(errors_stick)};
    return cmocka_run_group_tests(tests, load, unload);
}
