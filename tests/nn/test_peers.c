/* Several processes take the step that one takes with the whole batch. Run under mpirun with 1, 2 and 4 processes. */
#include "testing.h"

#include <math.h>

#ifdef LK_TEST_GPU
#include "cuda/gpu.h"
#else
#include "internal.h"
#endif

#define BATCH 8
#define STEPS 6
#define SIDE  12

#ifdef LK_TEST_GPU
#define DEVICE LK_NN_GPU
#else
#define DEVICE LK_NN_CPU
#endif

static lk_nn_peers *peers;

static lk_nn_t up(lk_nn_graph *g, lk_nn_t x, const char *name, int channels) {
    char kernel[40], bias[40];
    snprintf(kernel, sizeof kernel, "%s/kernel", name);
    snprintf(bias, sizeof bias, "%s/bias", name);
    int c = lk_nn_shape_of(g, x).c;
    lk_nn_t w = lk_nn_param(g, kernel, (lk_nn_shape){4 * channels, c, 3, 3}, (lk_nn_init){LK_NN_GLOROT_UNIFORM, 0});
    lk_nn_t b = lk_nn_param(g, bias, (lk_nn_shape){1, 4 * channels, 1, 1}, (lk_nn_init){LK_NN_ZEROS, 0});
    lk_nn_conv_options o = {.same = true, .act = LK_NN_LEAKY, .alpha = 0.1f};
    return lk_nn_depth_to_space(g, lk_nn_conv(g, x, w, b, &o), 2);
}

/* A shared layer, a layer used once, a parameter whose gradient is handed on unchanged, a scalar one; two losses. */
static lk_nn_graph *describe(int batch) {
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_graph_new(&err);
    assert_non_null(g);
    lk_nn_t x = lk_nn_input(g, "x", (lk_nn_shape){batch, 3, SIDE, SIDE});
    lk_nn_t target = lk_nn_input(g, "target", (lk_nn_shape){batch, 3, SIDE, SIDE});
    lk_nn_t w = lk_nn_param(g, "down/kernel", (lk_nn_shape){12, 3, 5, 5}, (lk_nn_init){LK_NN_GLOROT_UNIFORM, 0});
    lk_nn_t h = lk_nn_conv(g, x, w, -1, &(lk_nn_conv_options){.stride = 2, .same = true, .act = LK_NN_TANH});
    lk_nn_t same = lk_nn_param(g, "same/kernel", (lk_nn_shape){12, 12, 3, 3}, (lk_nn_init){LK_NN_NORMAL, 0.1f});
    for (int i = 0; i < 2; i++) h = lk_nn_conv(g, h, same, -1, &(lk_nn_conv_options){.same = true});
    lk_nn_t dense =
        lk_nn_param(g, "dense/kernel", (lk_nn_shape){12 * 36, 12 * 36, 1, 1}, (lk_nn_init){LK_NN_NORMAL, 0.02f});
    lk_nn_t d = lk_nn_dense(g, h, dense, -1, LK_NN_LINEAR, 0);
    d = lk_nn_add(g, lk_nn_reshape(g, d, (lk_nn_shape){batch, 12, 6, 6}), h);
    lk_nn_t gain = lk_nn_param(g, "gain", (lk_nn_shape){1, 1, 1, 1}, (lk_nn_init){LK_NN_ONES, 0});
    lk_nn_t y = lk_nn_mul(g, up(g, d, "up", 3), gain);
    lk_nn_t shift = lk_nn_param(g, "shift", (lk_nn_shape){1, 3, 1, 1}, (lk_nn_init){LK_NN_ZEROS, 0});
    y = lk_nn_activation(g, lk_nn_add(g, y, shift), LK_NN_SIGMOID, 0);
    lk_nn_loss(g, "dssim", lk_nn_dssim(g, y, target, -1, 1), 10);
    lk_nn_loss(g, "mse", lk_nn_mse(g, y, target, -1), 5);
    return g;
}

static void fill(lk_nn_exec *e, const char *name, int step, int first) {
    lk_nn_t t = lk_nn_find(e, name);
    lk_nn_shape s = lk_nn_shape_in(e, t);
    size_t each = lk_nn_count(s) / (size_t)s.n;
    for (int n = 0; n < s.n; n++) {
        lk_rng r = lk_rng_make((uint64_t)step, (uint64_t)(first + n) + (name[0] == 'x' ? 0 : 1000));
        for (size_t i = 0; i < each; i++) lk_nn_data(e, t)[(size_t)n * each + i] = (float)lk_rng_uniform(&r, 0, 1);
    }
}

static lk_nn_exec *train(int batch, int first, lk_nn_peers *with, int precision, int states, float *losses) {
    lk_error err = {0};
    lk_nn_graph *g = describe(batch);
    lk_nn_exec *e = lk_nn_compile(g,
                                  &(lk_nn_options){.train = true,
                                                   .device = DEVICE,
                                                   .seed = 5,
                                                   .threads = 1,
                                                   .peers = with,
                                                   .precision = precision,
                                                   .optimizer_memory = states},
                                  &err);
    lk_nn_graph_free(g);
    if (!e) fail_msg("%s", err.message);
    lk_nn_adam adam = {1e-3f, 0.5f, 0.999f, 1e-7f};
    for (int i = 0; i < STEPS; i++) {
        fill(e, "x", i, first);
        fill(e, "target", i, first);
        test_ok(lk_nn_step(e, &adam, &err), &err);
        for (int k = 0; k < 2; k++) losses[2 * i + k] = lk_nn_loss_value(e, k);
    }
    return e;
}

static void compare(int precision, int states, double tolerance) {
    int count = lk_nn_peers_count(peers), rank = lk_nn_peers_rank(peers);
    float together[2 * STEPS], alone[2 * STEPS];
    lk_nn_exec *a = train(BATCH / count, rank * (BATCH / count), peers, precision, states, together),
               *b = train(BATCH, 0, NULL, precision, states, alone);
    for (int i = 0; i < 2 * STEPS; i++) assert_float_equal(together[i], alone[i], (float)tolerance * fabsf(alone[i]));
    for (int i = 0; i < lk_nn_param_count(a); i++) {
        size_t n = lk_nn_count(lk_nn_param_shape(a, i));
        float *p = malloc(n * sizeof *p), *q = malloc(n * sizeof *q);
        assert_true(p && q && lk_nn_param_get(a, i, LK_NN_VALUE, p) && lk_nn_param_get(b, i, LK_NN_VALUE, q));
        double difference = 0, norm = 0;
        for (size_t k = 0; k < n; k++) {
            difference += ((double)p[k] - (double)q[k]) * ((double)p[k] - (double)q[k]);
            norm += (double)q[k] * (double)q[k];
        }
        if (!(sqrt(difference) <= tolerance * sqrt(norm)))
            fail_msg("%s: relative difference %g", lk_nn_param_name(a, i), sqrt(difference / norm));
        free(p);
        free(q);
    }
    lk_nn_free(a);
    lk_nn_free(b);
}

static void one_step_of_all_is_one_step(void **state) {
    (void)state;
    compare(LK_NN_F32, LK_NN_STATES_FULL, 1e-4);
}

static void in_bfloat16_too(void **state) {
    (void)state;
    compare(LK_NN_BF16, LK_NN_STATES_FULL, 2e-2);
}

/* Where there is a GPU, averages and updates are both beside the backward pass. */
static void with_states_on_the_host_too(void **state) {
    (void)state;
    compare(LK_NN_F32, LK_NN_STATES_HOST, 1e-4);
}

#ifdef LK_TEST_GPU
static void in_float16_too(void **state) {
    (void)state;
    compare(LK_NN_F16, LK_NN_STATES_FULL, 4e-3);
}

/* Gradients that overflow in one process alone are left out by all, and all lower the scale. */
static void an_overflow_is_everyones(void **state) {
    (void)state;
    lk_error err = {0};
    lk_nn_graph *g = describe(2);
    lk_nn_options o = {
        .train = true, .device = DEVICE, .seed = 5, .threads = 1, .peers = peers, .precision = LK_NN_F16};
    lk_nn_exec *e = lk_nn_compile(g, &o, &err);
    lk_nn_graph_free(g);
    if (!e) fail_msg("%s", err.message);
    const lk_gpu_state *s = lk_gpu_state_of(e);
    for (int i = 0; i < 3; i++) {
        fill(e, "x", i, 2 * lk_nn_peers_rank(peers));
        fill(e, "target", i, 2 * lk_nn_peers_rank(peers));
        lk_nn_set_loss_weight(e, "mse", i == 1 && lk_nn_peers_rank(peers) == 0 ? 1e8f : 5);
        test_ok(lk_nn_step(e, &(lk_nn_adam){1e-3f, 0.5f, 0.999f, 1e-7f}, &err), &err);
        lk_gpu_scale scale;
        test_ok(lk_gpu_download(s->gpu, &scale, s->scale, sizeof scale, &err), &err);
        assert_true(scale.now == (i < 1 ? LK_GPU_FIRST_SCALE : LK_GPU_FIRST_SCALE / 2));
    }
    for (int i = 0; i < lk_nn_param_count(e); i++) {
        size_t n = lk_nn_count(lk_nn_param_shape(e, i));
        float *mine = malloc(n * sizeof *mine), *firsts = malloc(n * sizeof *firsts);
        assert_true(mine && firsts && lk_nn_param_get(e, i, LK_NN_VALUE, mine));
        memcpy(firsts, mine, n * sizeof *mine);
        test_ok(lk_nn_peers_broadcast(peers, firsts, n * sizeof *firsts, &err), &err);
        assert_memory_equal(mine, firsts, n * sizeof *mine);
        for (size_t k = 0; k < n; k++) assert_true(isfinite(mine[k]));
        free(mine);
        free(firsts);
    }
    lk_nn_free(e);
}
#endif

/* The first average starts before the last convolution of the backward pass, and the last wait comes at the end. */
static void averages_overlap_the_backward_pass(void **state) {
    (void)state;
    if (lk_nn_peers_count(peers) < 2) skip();
    lk_error err = {0};
    lk_nn_graph *g = describe(2);
    lk_nn_exec *e = lk_nn_compile(g, &(lk_nn_options){.train = true, .device = DEVICE, .peers = peers}, &err);
    if (!e) fail_msg("%s", err.message);
    int start = -1, back = -1, wait = -1, starts = 0, waits = 0;
    for (int i = e->forward_count; i < e->g.node_count; i++) {
        const lk_node *n = &e->g.nodes[i];
        bool loss = n->op == LK_OP_REDUCE_START && lk_nn_count(e->g.tensors[n->in[0]].shape) == 1;
        if (n->op == LK_OP_REDUCE_START && start < 0 && !loss) start = i;
        if (n->op == LK_OP_CONV_BACK_WEIGHTS) back = i;
        if (n->op == LK_OP_REDUCE_WAIT) wait = i;
        starts += n->op == LK_OP_REDUCE_START;
        waits += n->op == LK_OP_REDUCE_WAIT;
    }
    assert_true(start > 0 && start < back && back < wait);
    assert_int_equal(starts, lk_nn_param_count(e) + lk_nn_loss_count(e));
    assert_int_equal(waits, starts);
    lk_nn_free(e);
    lk_nn_graph_free(g);
}

static void different_networks_are_refused(void **state) {
    (void)state;
    if (lk_nn_peers_count(peers) < 2) skip();
    lk_error err = {0};
    lk_nn_graph *g = describe(2);
    lk_nn_options o = {.train = true, .device = DEVICE, .peers = peers, .seed = lk_nn_peers_rank(peers) == 0};
    assert_null(lk_nn_compile(g, &o, &err));
    assert_non_null(strstr(err.message, "same network"));
    lk_nn_graph_free(g);
}

static void rank_0_tells_everyone(void **state) {
    (void)state;
    lk_error err = {0};
    int told[3] = {lk_nn_peers_rank(peers), 7, lk_nn_peers_rank(peers) + 1};
    test_ok(lk_nn_peers_broadcast(peers, told, sizeof told, &err), &err);
    assert_int_equal(told[0], 0);
    assert_int_equal(told[2], 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_step_of_all_is_one_step),
                                       cmocka_unit_test(in_bfloat16_too),
                                       cmocka_unit_test(with_states_on_the_host_too),
#ifdef LK_TEST_GPU
                                       cmocka_unit_test(in_float16_too),
                                       cmocka_unit_test(an_overflow_is_everyones),
#endif
                                       cmocka_unit_test(averages_overlap_the_backward_pass),
                                       cmocka_unit_test(different_networks_are_refused),
                                       cmocka_unit_test(rank_0_tells_everyone)};
    lk_error err = {0};
#ifdef LK_TEST_GPU
    lk_backend_gpu = &lk_backend_cuda;
#endif
    if (!lk_nn_peers_open(&peers, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    const char *want = getenv("LK_TEST_PEERS");
    if (want && atoi(want) != lk_nn_peers_count(peers)) {
        fprintf(stderr, "%s processes were started, %d met\n", want, lk_nn_peers_count(peers));
        return 1;
    }
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    if (failures) return 1; /* mpirun ends the others, which may wait for this one */
    lk_nn_peers_close(peers);
    return 0;
}
