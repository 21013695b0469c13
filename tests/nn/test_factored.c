/* Adam's factored second moments: steps of layers against NumPy (tests/golden/nn_factored.py), on the processor and on the GPU,
 * and the 64 numbers of a block. */
#include "testing.h"

#include <math.h>

#include "cpu/factored.h"
#include "cpu/tile.h"
#ifdef LK_TEST_GPU
#include "on_gpu.h"
#define DEVICE    LK_NN_GPU
#define PRECISION LK_NN_F32 /* its libraries may round gradients of bfloat16 layers */
#else
#include "likeness/nn.h"
#define DEVICE    LK_NN_CPU
#define PRECISION LK_NN_BF16
#endif

#define STEPS 5
#define BATCH 8

typedef struct layer {
    int outputs, inputs, kernel, side;
} layer;

/* In the order of the file: more than a block, no multiple of 32 on a side; tap by tap, and all taps of few channels side by
 * side. */
static const layer layers[] = {{45, 70, 1, 1}, {36, 40, 3, 6}, {40, 3, 5, 6}, {3, 40, 5, 6}};

static const float *take(const float **at, size_t count) {
    const float *taken = *at;
    *at += count;
    return taken;
}

static lk_nn_exec *compile(const layer *l, bool keep_gradients) {
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_graph_new(&err);
    lk_nn_shape out = {BATCH, l->outputs, l->side, l->side};
    lk_nn_t x = lk_nn_input(g, "x", (lk_nn_shape){BATCH, l->inputs, l->side, l->side}), t = lk_nn_input(g, "t", out);
    lk_nn_t w = lk_nn_param(g, "w", (lk_nn_shape){l->outputs, l->inputs, l->kernel, l->kernel}, (lk_nn_init){0});
    lk_nn_t y = l->side == 1 ? lk_nn_dense(g, x, w, -1, LK_NN_LINEAR, 0)
                             : lk_nn_conv(g, x, w, -1, &(lk_nn_conv_options){.same = true});
    lk_nn_loss(g, "dot", lk_nn_mul(g, y, t), (float)lk_nn_count(out));
    lk_nn_options o = {.device = DEVICE,
                       .train = true,
                       .precision = PRECISION,
                       .way = LK_NN_TAPS,
                       .optimizer_memory = LK_NN_STATES_FACTORED,
                       .keep_gradients = keep_gradients};
    lk_nn_exec *e = lk_nn_compile(g, &o, &err);
    test_ok(e, &err);
    lk_nn_graph_free(g);
    return e;
}

static void agrees(const lk_nn_exec *e, lk_nn_slot slot, const float *want, size_t n, double relative,
                   double absolute) {
    float *got = malloc(n * sizeof *got);
    assert_true(lk_nn_param_get(e, 0, slot, got));
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= relative * fabs((double)want[i]) + absolute))
            fail_msg("slot %d, number %zu: %.9g, not %.9g", slot, i, (double)got[i], (double)want[i]);
    free(got);
}

/* With beta1 = 0 nothing of the first moment's 8 bits comes to the weights, which move by some 1e-3 a step. */
static void steps_agree_with_numpy(void **state) {
    (void)state;
    lk_error err = {0};
    size_t size;
    void *data = NULL;
    test_ok(lk_file_read(LK_GOLDEN "/nn_factored.bin", LK_MIB(64), &data, &size, &err), &err);
    const float *at = data;
    for (size_t k = 0; k < LK_COUNT(layers); k++) {
        const layer *l = &layers[k];
        size_t pixels = (size_t)(BATCH * l->side * l->side), seen = pixels * (size_t)l->inputs,
               given = pixels * (size_t)l->outputs, n = (size_t)(l->outputs * l->inputs * l->kernel * l->kernel);
        lk_nn_exec *e[2] = {compile(l, false), compile(l, true)}; /* updated in passing, and from kept gradients */
        const float *w = take(&at, n);
        for (int i = 0; i < 2; i++) assert_true(lk_nn_param_set(e[i], 0, LK_NN_VALUE, w));
        for (int step = 0; step < STEPS; step++) {
            const float *x = take(&at, seen), *t = take(&at, given);
            for (int i = 0; i < 2; i++) {
                memcpy(lk_nn_data(e[i], lk_nn_find(e[i], "x")), x, seen * sizeof *x);
                memcpy(lk_nn_data(e[i], lk_nn_find(e[i], "t")), t, given * sizeof *t);
                test_ok(lk_nn_step(e[i], &(lk_nn_adam){1e-3f, 0, 0.9f, 1e-8f}, &err), &err);
            }
        }
        const float *weights = take(&at, n), *moments = take(&at, n);
        for (int i = 0; i < 2; i++) {
            agrees(e[i], LK_NN_VALUE, weights, n, 0, 1e-6);
            agrees(e[i], LK_NN_MOMENT2, moments, n, 1e-5, 0);
            lk_nn_free(e[i]);
        }
    }
    assert_int_equal((size_t)((const char *)at - (const char *)data), size);
    free(data);
}

static void draw(lk_rng *r, int rows, int columns, double scale, float *gradient) {
    double row[32], column[32];
    for (int i = 0; i < 32; i++) {
        row[i] = i < rows ? scale * exp(lk_rng_normal(r)) : 0;
        column[i] = i < columns ? exp(lk_rng_normal(r)) : 0;
    }
    for (int i = 0; i < LK_TILE; i++) gradient[i] = (float)(lk_rng_normal(r) * row[i / 32] * column[i % 32]);
}

/* What was decoded is encoded to the same bits, whatever its size; where there never was a gradient it is 0. */
static void factors_come_back(void **state) {
    (void)state;
    lk_rng r = lk_rng_make(4, 0);
    for (int round = 0; round < 300; round++) {
        int rows = round % 3 ? 32 : (int)lk_rng_below(&r, 33), columns = round % 4 ? 32 : (int)lk_rng_below(&r, 33);
        double scale = exp(lk_rng_uniform(&r, -50, 30));
        float gradient[LK_TILE], factors[LK_FACTORS] = {0}, v[LK_TILE], again[LK_FACTORS];
        for (int step = 0; step < 4; step++) {
            draw(&r, rows, columns, scale, gradient);
            lk_factored_update(factors, gradient, 0.999f);
        }
        lk_factored_decode(factors, v);
        lk_factored_encode(v, again);
        assert_memory_equal(again, factors, sizeof again);
        for (int i = 0; i < 32; i++)
            for (int j = 0; j < 32; j++) {
                float number = v[lk_tile_float_at(i, j)];
                assert_true(i < rows && j < columns ? isfinite(number) && number >= 0 : number == 0);
            }
    }
}

/* Any moments become some of the same rows and columns in the mean. */
static void means_are_kept(void **state) {
    (void)state;
    lk_rng r = lk_rng_make(5, 0);
    float gradient[LK_TILE], v[LK_TILE], factors[LK_FACTORS], again[LK_TILE];
    draw(&r, 30, 32, 1e-4, gradient);
    for (int i = 0; i < LK_TILE; i++) v[lk_tile_float_at(i / 32, i % 32)] = gradient[i] * gradient[i];
    lk_factored_encode(v, factors);
    lk_factored_decode(factors, again);
    for (int i = 0; i < 32; i++) {
        double row = 0, column = 0, row_again = 0, column_again = 0;
        for (int j = 0; j < 32; j++) {
            row += (double)v[lk_tile_float_at(i, j)];
            column += (double)v[lk_tile_float_at(j, i)];
            row_again += (double)again[lk_tile_float_at(i, j)];
            column_again += (double)again[lk_tile_float_at(j, i)];
        }
        assert_true(fabs(row_again - row) <= 1e-5 * row && fabs(column_again - column) <= 1e-5 * column);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(steps_agree_with_numpy), cmocka_unit_test(factors_come_back),
                                       cmocka_unit_test(means_are_kept)};
#ifdef LK_TEST_GPU
    if (no_gpu()) return SKIPPED;
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
