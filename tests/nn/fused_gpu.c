/* Nodes that one kernel does together: that they are joined where they may be, and only there; that what is learned stays the
 * same, and memory does not grow. On a GPU, or on the stand-in for one. */
#include "testing.h"

#include <math.h>

#include "on_gpu.h"

#define STEPS 3
#define N     3
#define H     5
#define W     7 /* pixels are no multiple of what a point does */

typedef struct net {
    const char *name;
    int r, act;
    bool biased, other_reader, joined;
} net;

static const net nets[] = {
    {"two and leaky", 2, LK_NN_LEAKY, true, false, true},  {"three and tanh", 3, LK_NN_TANH, true, false, true},
    {"no bias", 2, LK_NN_LEAKY, false, false, true},       {"no activation", 2, LK_NN_LINEAR, true, false, true},
    {"another reader", 2, LK_NN_LEAKY, true, true, false},
};

static lk_nn_t layer(lk_nn_graph *g, lk_nn_t x, const char *name, int outputs, int window, bool biased, int act) {
    char bias[32];
    snprintf(bias, sizeof bias, "%s/bias", name);
    lk_nn_init glorot = {LK_NN_GLOROT_UNIFORM, 0};
    lk_nn_t w = lk_nn_param(g, name, (lk_nn_shape){outputs, lk_nn_shape_of(g, x).c, window, window}, glorot);
    lk_nn_t b = biased ? lk_nn_param(g, bias, (lk_nn_shape){1, outputs, 1, 1}, glorot) : -1;
    lk_nn_conv_options o = {.same = true, .act = (lk_nn_act)act, .alpha = 0.1f};
    return lk_nn_conv(g, x, w, b, &o);
}

/* Two layers whose sum is activated: one gradient for both their biases. Then what is to be joined, and a layer after it. */
static lk_nn_graph *describe(const net *what) {
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_graph_new(&err);
    lk_nn_t x = lk_nn_input(g, "x", (lk_nn_shape){N, 6, H, W});
    lk_nn_t sum =
        lk_nn_add(g, layer(g, x, "first", 8, 3, true, LK_NN_LINEAR), layer(g, x, "second", 8, 1, true, LK_NN_LINEAR));
    lk_nn_t deep = layer(g, lk_nn_activation(g, sum, LK_NN_LEAKY, 0.1f), "deep", 5 * what->r * what->r, 3, what->biased,
                         what->act);
    lk_nn_t wide = lk_nn_depth_to_space(g, deep, what->r);
    lk_nn_t y = layer(g, wide, "last", 4, 3, true, LK_NN_SIGMOID);
    lk_nn_output(g, "y", y);
    lk_nn_loss(g, "squares", lk_nn_square(g, y), 3);
    if (what->other_reader) lk_nn_loss(g, "deep", lk_nn_square(g, deep), 1);
    return g;
}

typedef struct result {
    lk_nn_exec *e;
    float losses[STEPS];
} result;

static result train(const net *what, const lk_backend *backend, int precision) {
    lk_error err = {0};
    lk_nn_graph *g = describe(what);
    lk_backend_gpu = backend;
    lk_nn_options o = {.device = LK_NN_GPU, .train = true, .seed = 5, .precision = precision};
    result r = {.e = lk_nn_compile(g, &o, &err)};
    lk_nn_graph_free(g);
    test_ok(r.e != NULL, &err);
    lk_nn_adam adam = {1e-3f, 0.5f, 0.999f, 1e-8f};
    lk_rng random = lk_rng_make(7, 0);
    for (int i = 0; i < STEPS; i++) {
        float *x = lk_nn_data(r.e, lk_nn_find(r.e, "x"));
        for (int k = 0; k < N * 6 * H * W; k++) x[k] = (float)lk_rng_uniform(&random, -1, 1);
        test_ok(lk_nn_step(r.e, &adam, &err), &err);
        r.losses[i] = lk_nn_loss_value(r.e, 0);
    }
    return r;
}

/* Nodes of a kind, and of those the ones with so many inputs. */
static int count(const lk_nn_exec *e, lk_op op, int inputs) {
    int found = 0;
    for (int i = 0; i < e->g.node_count; i++)
        found += e->g.nodes[i].op == op && (inputs < 0 || e->g.nodes[i].in_count == inputs);
    return found;
}

static void are_joined(const net *what, const lk_nn_exec *e) {
    bool acts = what->act != LK_NN_LINEAR;
    assert_int_equal(count(e, LK_OP_DEPTH_TO_SPACE, 1 + (what->joined && what->biased)), 1);
    assert_int_equal(count(e, LK_OP_DEPTH_TO_SPACE_BACK, 1 + (what->joined && acts)), 1);
    assert_int_equal(count(e, LK_OP_ACT_BACK, -1), 2 + !what->joined);
    /* The gradients of biases read sums: of the first two, of the last, and of the one between where it has a bias. */
    assert_int_equal(count(e, LK_OP_CONV_BACK_WEIGHTS, 3), 3 + what->biased);
    for (int i = 0; i < e->g.node_count; i++)
        for (int j = 1; j < e->g.nodes[i].out_count; j++) assert_false(e->g.tensors[e->g.nodes[i].out[j]].narrow);
}

static double apart(const lk_nn_exec *a, const lk_nn_exec *b) {
    double worst = 0;
    for (int i = 0; i < lk_nn_param_count(a); i++) {
        float p[4096], q[4096];
        size_t n = lk_nn_count(lk_nn_param_shape(a, i));
        assert_in_range(n, 1, LK_COUNT(p));
        assert_true(lk_nn_param_get(a, i, LK_NN_MOMENT1, p) && lk_nn_param_get(b, i, LK_NN_MOMENT1, q));
        double difference = 0, norm = 0;
        for (size_t k = 0; k < n; k++) {
            difference += ((double)p[k] - (double)q[k]) * ((double)p[k] - (double)q[k]);
            norm += (double)q[k] * (double)q[k];
        }
        if (!(sqrt(difference / norm) <= worst)) worst = sqrt(difference / norm);
    }
    return worst;
}

/* Bytes of the sums that biases' gradients are made of. */
static size_t sums_of(const lk_nn_exec *e) {
    size_t bytes = 0;
    for (int i = 0; i < e->g.node_count; i++)
        if (e->g.nodes[i].op == LK_OP_CONV_BACK_WEIGHTS && e->g.nodes[i].in_count > 2)
            bytes += lk_arena_bytes(&e->g.tensors[e->g.nodes[i].in[2]]);
    return bytes;
}

/* Against the same executor that joins nothing. In 16 bits a layer's result is rounded before its bias is added, which moves some
 * numbers across a kink. */
static void check(const net *what, int precision, double tolerance) {
    lk_backend plain = lk_backend_cuda;
    plain.join = NULL;
    result one = train(what, &lk_backend_cuda, precision), other = train(what, &plain, precision);
    are_joined(what, one.e);
    for (int i = 0; i < STEPS; i++)
        assert_true(fabs((double)(one.losses[i] - other.losses[i])) <= tolerance * fabs((double)other.losses[i]));
    size_t now = lk_nn_memory_of(one.e).activations, before = lk_nn_memory_of(other.e).activations;
    double off = apart(one.e, other.e);
    printf("%-16s %-8s: %zu bytes of activations, %zu apart; moments within %.1e\n", what->name,
           lk_nn_precision_names[precision], now, before, off);
    assert_true(off <= tolerance);
    assert_true(what->joined && what->act != LK_NN_LINEAR ? now < before : now <= before + sums_of(one.e));
    lk_nn_free(one.e);
    other.e->backend = &lk_backend_cuda;
    lk_nn_free(other.e);
}

static void what_is_learned_stays(void **state) {
    (void)state;
    for (size_t i = 0; i < LK_COUNT(nets); i++) check(&nets[i], LK_NN_F32, 1e-4);
}

static void in_16_bits_too(void **state) {
    (void)state;
    for (size_t i = 0; i < LK_COUNT(nets); i++) {
        check(&nets[i], LK_NN_BF16, 1e-1);
        check(&nets[i], LK_NN_F16, 3e-2);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_learned_stays), cmocka_unit_test(in_16_bits_too)};
    if (no_gpu()) return SKIPPED;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
