/* Every operator, forward and backward, against PyTorch (tests/golden/nn_ops.py): on the processor, or, built with
 * LK_TEST_GPU, on the GPU or on what stands in for one (emulator.c). */
#include "testing.h"

#include <math.h>

#include "likeness/nn.h"

#if defined(LK_TEST_GPU) && !defined(LK_TEST_PLAIN)
#include "on_gpu.h"
#define DEVICE LK_NN_GPU
#else
#define DEVICE LK_NN_CPU
#endif

#define MOST_CASES 200

typedef struct place {
    lk_nn_shape shape;
    long at, gradient; /* in numbers; −1: none */
} place;

typedef struct op_case {
    char op[32];
    int ints[12], int_count, float_count, input_count;
    float floats[4];
    place inputs[8], output;
    long weights;
} op_case;

static op_case cases[MOST_CASES];
static int case_count;
static float *blob;

static void read_place(FILE *f, place *p, bool input) {
    assert_int_equal(fscanf(f, "%d %d %d %d %ld", &p->shape.n, &p->shape.c, &p->shape.h, &p->shape.w, &p->at), 5);
    if (input) assert_int_equal(fscanf(f, "%ld", &p->gradient), 1);
}

static bool read_case(FILE *f, op_case *c) {
    if (fscanf(f, "%31s %d", c->op, &c->int_count) != 2) return false;
    assert_in_range(c->int_count, 0, LK_COUNT(c->ints));
    for (int i = 0; i < c->int_count; i++) assert_int_equal(fscanf(f, "%d", &c->ints[i]), 1);
    assert_int_equal(fscanf(f, "%d", &c->float_count), 1);
    assert_in_range(c->float_count, 0, LK_COUNT(c->floats));
    for (int i = 0; i < c->float_count; i++) assert_int_equal(fscanf(f, "%f", &c->floats[i]), 1);
    assert_int_equal(fscanf(f, "%d", &c->input_count), 1);
    assert_in_range(c->input_count, 1, LK_COUNT(c->inputs));
    for (int i = 0; i < c->input_count; i++) read_place(f, &c->inputs[i], true);
    read_place(f, &c->output, false);
    assert_int_equal(fscanf(f, "%ld", &c->weights), 1);
    return true;
}

static int load(void **state) {
    (void)state;
    lk_error err = {0};
    size_t size;
    void *data = NULL;
    test_ok(lk_file_read(LK_GOLDEN "/nn_ops.bin", LK_MIB(64), &data, &size, &err), &err);
    blob = data;
    FILE *f = fopen(LK_GOLDEN "/nn_ops.txt", "r");
    assert_non_null(f);
    while (case_count < MOST_CASES && read_case(f, &cases[case_count])) case_count++;
    fclose(f);
    return 0;
}

static int unload(void **state) {
    (void)state;
    free(blob);
    return 0;
}

static lk_nn_pool_options pool_of(const op_case *c) {
    return (lk_nn_pool_options){c->ints[0], c->ints[1], c->ints[2], c->ints[3], c->ints[4]};
}

/* The operator of one case, over its inputs. */
static lk_nn_t describe(lk_nn_graph *g, const op_case *c, const lk_nn_t *x) {
    int i0 = c->ints[0], i1 = c->ints[1], i2 = c->ints[2], i3 = c->ints[3];
    const char *op = c->op;
    int count = c->input_count;
    lk_nn_t third = count > 2 ? x[2] : -1;
    lk_nn_pool_options pool = pool_of(c);
    if (!strcmp(op, "conv"))
        return lk_nn_conv(g, x[0], x[1], third,
                          &(lk_nn_conv_options){.stride = i0,
                                                .dilation = i1,
                                                .groups = i2,
                                                .same = i3,
                                                .pad_left = c->ints[4],
                                                .pad_right = c->ints[5],
                                                .pad_top = c->ints[6],
                                                .pad_bottom = c->ints[7],
                                                .act = (lk_nn_act)c->ints[8],
                                                .alpha = c->floats[0]});
    if (!strcmp(op, "conv_transposed"))
        return lk_nn_conv_transposed(g, x[0], x[1], third, &(lk_nn_conv_options){.stride = i0});
    if (!strcmp(op, "dense")) return lk_nn_dense(g, x[0], x[1], third, LK_NN_LINEAR, 0);
    if (!strcmp(op, "activation")) return lk_nn_activation(g, x[0], (lk_nn_act)i0, c->floats[0]);
    if (!strcmp(op, "depth_to_space")) return lk_nn_depth_to_space(g, x[0], i0);
    if (!strcmp(op, "reshape")) return lk_nn_reshape(g, x[0], (lk_nn_shape){i0, i1, i2, i3});
    if (!strcmp(op, "concat_channels")) return lk_nn_concat_channels(g, x, count);
    if (!strcmp(op, "concat_batch")) return lk_nn_concat_batch(g, x, count);
    if (!strcmp(op, "slice_channels")) return lk_nn_slice_channels(g, x[0], i0, i1);
    if (!strcmp(op, "slice_batch")) return lk_nn_slice_batch(g, x[0], i0, i1);
    if (!strcmp(op, "add")) return lk_nn_add(g, x[0], x[1]);
    if (!strcmp(op, "sub")) return lk_nn_sub(g, x[0], x[1]);
    if (!strcmp(op, "mul")) return lk_nn_mul(g, x[0], x[1]);
    if (!strcmp(op, "affine")) return lk_nn_affine(g, x[0], c->floats[0], c->floats[1]);
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
    if (!strcmp(op, "pad")) return lk_nn_pad(g, x[0], i0, i1, i2, i3, c->ints[4], c->floats[0]);
    if (!strcmp(op, "resize")) return lk_nn_resize_bilinear(g, x[0], i0, i1, i2, i3);
    if (!strcmp(op, "gaussian")) return lk_nn_gaussian(g, x[0], c->floats[0], i0, i1);
    if (!strcmp(op, "dssim")) return lk_nn_dssim(g, x[0], x[1], third, c->floats[0]);
    if (!strcmp(op, "mse")) return lk_nn_mse(g, x[0], x[1], third);
    if (!strcmp(op, "mae")) return lk_nn_mae(g, x[0], x[1], third);
    fail_msg("the test does not know operator %s", op);
    return -1;
}

/* Everything that is wrong is told, not only the first. */
static int wrong;
#define WRONG(...) (wrong++, printf(__VA_ARGS__), printf("\n"))

/* ‖a − b‖ / ‖b‖ */
static void agrees(const char *op, int index, const char *what, const float *got, const float *want, size_t n,
                   double tolerance) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
        norm += (double)want[i] * (double)want[i];
    }
    if (!(sqrt(difference) <= tolerance * sqrt(norm) + 1e-12))
        WRONG("%s (case %d), %s: relative difference %g", op, index, what, sqrt(difference / norm));
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

#if defined(LK_TEST_GPU) && !defined(LK_TEST_PLAIN)
/* The gradients here are some 1000 times those of a mean over a picture: in float16 they want a scale as much smaller. */
#define SCALE 64

static void set_scale(lk_nn_exec *e) {
    const lk_gpu_scale scale = {.now = SCALE};
    assert_true(lk_gpu_upload(lk_gpu_state_of(e)->gpu, lk_gpu_state_of(e)->scale, &scale, sizeof scale, NULL));
    assert_true(lk_gpu_wait(lk_gpu_state_of(e)->gpu, NULL));
}

static bool scale_is_kept(const lk_nn_exec *e) {
    lk_gpu_scale scale;
    return lk_gpu_download(lk_gpu_state_of(e)->gpu, &scale, lk_gpu_state_of(e)->scale, sizeof scale, NULL) &&
           scale.now == SCALE;
}
#else
static void set_scale(lk_nn_exec *e) { (void)e; }
static bool scale_is_kept(const lk_nn_exec *e) { return e != NULL; }
#endif

/* Everything that can learn is a parameter, everything else a constant. */
static lk_nn_exec *compile_case(const op_case *c, int index, int precision, int way, bool *train) {
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_graph_new(&err);
    lk_nn_t x[8];
    *train = false;
    for (int i = 0; i < c->input_count; i++) {
        const place *p = &c->inputs[i];
        char name[16];
        snprintf(name, sizeof name, "x%d", i);
        *train |= p->gradient >= 0;
        x[i] =
            p->gradient >= 0 ? lk_nn_param(g, name, p->shape, (lk_nn_init){0}) : lk_nn_const(g, p->shape, blob + p->at);
    }
    lk_nn_t y = describe(g, c, x);
    lk_nn_output(g, "y", y);
    lk_nn_t r = lk_nn_const(g, c->output.shape, blob + c->weights);
    lk_nn_loss(g, "dot", lk_nn_mul(g, y, r), (float)lk_nn_count(c->output.shape));
    lk_nn_options o = {.train = *train, .keep_gradients = true, .precision = precision, .way = way, .device = DEVICE};
    lk_nn_exec *e = lk_nn_compile(g, &o, &err);
    if (!e) WRONG("%s (case %d): %s", c->op, index, err.message);
    lk_nn_graph_free(g);
    return e;
}

/* Rounding moves some numbers across the kink of a fused activation, where the slope jumps: of 1 in 300 with a slope of
 * 0.1 instead of 1, the gradient is off by 5 %. Of finer numbers fewer cross, and the error goes with their share's root. */
static double gradient_tolerance(const op_case *c, int precision, double tolerance) {
    bool kinked =
        c->int_count > 8 && (c->ints[8] == LK_NN_LEAKY || c->ints[8] == LK_NN_RELU || c->ints[8] == LK_NN_RELU6);
    return precision != LK_NN_F32 && kinked ? 0.15 * sqrt(tolerance / 2e-2) : tolerance;
}

static void check(const op_case *c, int index, int precision, int way, double tolerance) {
    lk_error err = {0};
    bool train;
    lk_nn_exec *e = compile_case(c, index, precision, way, &train);
    if (!e) return;
    for (int i = 0; i < lk_nn_param_count(e); i++)
        assert_true(lk_nn_param_set(e, i, LK_NN_VALUE, blob + c->inputs[lk_nn_param_name(e, i)[1] - '0'].at));
    if (precision == LK_NN_F16) set_scale(e);
    lk_nn_adam still = {0, 0.9f, 0.999f, 1e-8f};
    for (int round = 0; round < 3; round++) /* the second run finds the memory used; a GPU records it, and replays */
        if (!(train ? lk_nn_step(e, &still, &err) : lk_nn_run(e, &err)))
            WRONG("%s (case %d), run %d: %s", c->op, index, round, err.message);
    if (precision == LK_NN_F16 && !scale_is_kept(e)) WRONG("%s (case %d): gradients overflow", c->op, index);
    lk_nn_shape s = c->output.shape, got = lk_nn_shape_in(e, lk_nn_find(e, "y"));
    assert_memory_equal(&got, &s, sizeof s);
    float *plain = reordered(lk_nn_data(e, lk_nn_find(e, "y")), s);
    agrees(c->op, index, "output", plain, blob + c->output.at, lk_nn_count(s), tolerance);
    free(plain);
    for (int i = 0; i < lk_nn_param_count(e); i++) {
        const char *name = lk_nn_param_name(e, i);
        size_t n = lk_nn_count(lk_nn_param_shape(e, i));
        float *gradient = malloc(n * sizeof *gradient);
        assert_true(gradient && lk_nn_param_get(e, i, LK_NN_GRADIENT, gradient));
        agrees(c->op, index, name, gradient, blob + c->inputs[name[1] - '0'].gradient, n,
               gradient_tolerance(c, precision, tolerance));
        free(gradient);
    }
    lk_nn_free(e);
}

/* In float32 the stand-in takes a layer by the kernels' points, each of which is a sum of its own, and seconds for a large one,
 * which walks no other way than a small one does. Its libraries take all layers, in the other precisions. */
static bool takes_long(const op_case *c, int precision) {
#ifdef LK_EMULATED
    if (precision != LK_NN_F32 || strcmp(c->op, "conv") != 0) return false;
    lk_nn_shape w = c->inputs[1].shape;
    return lk_nn_count(c->output.shape) * (lk_nn_count(w) / (size_t)w.n) > 10000000;
#else
    (void)c, (void)precision;
    return false;
#endif
}

/* The ways are the processor's. */
static void check_all(int precision, double tolerance) {
    wrong = 0;
    int last = DEVICE == LK_NN_GPU ? LK_NN_FASTEST : precision == LK_NN_F32 ? LK_NN_LIBRARY : LK_NN_WINOGRAD;
    for (int i = 0; i < case_count; i++)
        for (int way = LK_NN_FASTEST; way <= last; way++)
            if ((way == LK_NN_FASTEST || way == LK_NN_LIBRARY || strcmp(cases[i].op, "conv") == 0) &&
                !takes_long(&cases[i], precision))
                check(&cases[i], i, precision, way, tolerance);
    assert_int_equal(wrong, 0);
}

static void operators_agree_with_pytorch(void **state) {
    (void)state;
    assert_in_range(case_count, 50, MOST_CASES - 1);
    check_all(LK_NN_F32, 1e-4);
}

static void operators_agree_in_bfloat16(void **state) {
    (void)state;
    check_all(LK_NN_BF16, 2e-2);
}

#if defined(LK_TEST_GPU) && !defined(LK_TEST_PLAIN)
static bool multiplies(const char *op) {
    return !strncmp(op, "conv", 4) || !strcmp(op, "dense") || !strcmp(op, "shared");
}

/* What is multiplied has 10 bits of mantissa, where bfloat16 has 7. The most is the gradient of one bias alone, 3.3e-3. */
static void check_layers(int precision) {
    wrong = 0;
    for (int i = 0; i < case_count; i++)
        if (multiplies(cases[i].op)) check(&cases[i], i, precision, LK_NN_FASTEST, 4e-3);
    assert_int_equal(wrong, 0);
}

static void layers_agree_in_tf32(void **state) {
    (void)state;
    check_layers(LK_NN_TF32);
}

static void layers_agree_in_float16(void **state) {
    (void)state;
    check_layers(LK_NN_F16);
}
#endif

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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators_agree_with_pytorch),
        cmocka_unit_test(operators_agree_in_bfloat16),
#if defined(LK_TEST_GPU) && !defined(LK_TEST_PLAIN)
        cmocka_unit_test(layers_agree_in_tf32),
        cmocka_unit_test(layers_agree_in_float16),
#endif
        cmocka_unit_test(errors_stick),
    };
#if defined(LK_TEST_GPU) && !defined(LK_TEST_PLAIN)
    if (no_gpu()) return SKIPPED;
#endif
    return cmocka_run_group_tests(tests, load, unload);
}
