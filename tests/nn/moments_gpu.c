/* Adam's moments on the GPU, or on the stand-in for one: what short ones are, by their definition; whole steps with short and
 * factored ones and saved moments beside the processor's; what they take; and updates beside the backward pass. (Factored ones are judged by NumPy, in test_factored.c.) */
#include "testing.h"

#include <math.h>
#include <unistd.h>

#include "cpu/cpu.h"
#include "on_gpu.h"

#define STEPS   10
#define OUTPUTS 64
#define INPUTS  96
#define BATCH   4

static const lk_nn_adam optimizer = {1e-3f, 0.5f, 0.999f, 1e-8f};

static lk_nn_exec *compiled(lk_nn_graph *g, lk_nn_options o) {
    lk_error err = {0};
    o.train = true;
    o.seed = 3;
    lk_nn_exec *e = lk_nn_compile(g, &o, &err);
    test_ok(e, &err);
    lk_nn_graph_free(g);
    return e;
}

static float *numbers_of(const lk_nn_exec *e, int i, lk_nn_slot slot) {
    float *values = malloc(lk_nn_count(lk_nn_param_shape(e, i)) * sizeof *values);
    assert_true(values && lk_nn_param_get(e, i, slot, values));
    return values;
}

static void fill(lk_nn_exec *e, const char *name, int step) {
    lk_nn_t t = lk_nn_find(e, name);
    lk_rng r = lk_rng_make((uint64_t)step, (uint64_t)name[0]);
    for (size_t i = 0; i < lk_nn_count(lk_nn_shape_in(e, t)); i++)
        lk_nn_data(e, t)[i] = (float)lk_rng_uniform(&r, 0, 1);
}

/* ---- What short moments are ---------------------------------------------------------------------------------- */

/* The gradients of its weights are made of x and t alone, and of many sizes. */
static lk_nn_graph *product(void) {
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_graph_new(&err);
    lk_nn_t x = lk_nn_input(g, "x", (lk_nn_shape){BATCH, INPUTS, 1, 1});
    lk_nn_t t = lk_nn_input(g, "t", (lk_nn_shape){BATCH, OUTPUTS, 1, 1});
    lk_nn_t w = lk_nn_param(g, "w", (lk_nn_shape){OUTPUTS, INPUTS, 1, 1}, (lk_nn_init){LK_NN_NORMAL, 0.1f});
    lk_nn_loss(g, "dot", lk_nn_mul(g, lk_nn_dense(g, x, w, -1, LK_NN_LINEAR, 0), t), 1);
    return g;
}

static void fill_widely(lk_nn_exec *e, const char *name, int step) {
    lk_nn_t t = lk_nn_find(e, name);
    lk_rng r = lk_rng_make((uint64_t)step, (uint64_t)name[0]);
    for (size_t i = 0; i < lk_nn_count(lk_nn_shape_in(e, t)); i++)
        lk_nn_data(e, t)[i] = (float)(lk_rng_normal(&r) * exp(lk_rng_normal(&r)));
}

/* Errors of rounding, as shares of the step between two codes, by how far the number is from the lower one. */
typedef struct errors {
    double sum[4];
    int count[4];
} errors;

static void count_error(errors *e, double exact, double got, double spacing) {
    double error = (got - exact) / spacing, over = fabs(exact) / spacing - floor(fabs(exact) / spacing);
    if (!(fabs(error) < 1.001)) fail_msg("%.9g became %.9g, and codes are %.3g apart", exact, got, spacing);
    e->sum[(int)(4 * over)] += exact < 0 ? -error : error;
    e->count[(int)(4 * over)]++;
}

/* Whatever is rounded is right in the mean, which rounding to nearest would not give: each error varies by half a step at
 * most, and five times what that makes of their sum happens once in a million. */
static void right_in_the_mean(const errors *e) {
    for (int k = 0; k < 4; k++) {
        assert_true(e->count[k] > 100);
        if (!(fabs(e->sum[k]) < 5 * 0.5 * sqrt(e->count[k])))
            fail_msg("%d numbers are off by %g steps", e->count[k], e->sum[k]);
    }
}

/* The power of two relative to which the largest first moment of number i's block of 32×32 is at most 1.875. */
static double scale_at(const double *m, int i) {
    double most = 0;
    int top = i / INPUTS / 32 * 32, left = i % INPUTS / 32 * 32;
    for (int row = top; row < top + 32; row++)
        for (int column = left; column < left + 32; column++) most = fmax(most, fabs(m[row * INPUTS + column]));
    double scale = exp2(floor(log2(most)));
    return most > 1.875 * scale ? 2 * scale : scale;
}

static void short_moments_are_as_defined(void **state) {
    (void)state;
    lk_error err = {0};
    lk_nn_options o = {.device = LK_NN_GPU, .optimizer_memory = LK_NN_STATES_SHORT, .keep_gradients = true};
    lk_nn_exec *e = compiled(product(), o);
    errors first = {0}, second = {0};
    for (int step = 1; step <= 3; step++) {
        float *p = numbers_of(e, 0, LK_NN_VALUE), *m = numbers_of(e, 0, LK_NN_MOMENT1),
              *v = numbers_of(e, 0, LK_NN_MOMENT2);
        fill_widely(e, "x", step);
        fill_widely(e, "t", step);
        test_ok(lk_nn_step(e, &optimizer, &err), &err);
        float *g = numbers_of(e, 0, LK_NN_GRADIENT), *q = numbers_of(e, 0, LK_NN_VALUE),
              *m_got = numbers_of(e, 0, LK_NN_MOMENT1), *v_got = numbers_of(e, 0, LK_NN_MOMENT2);
        double b1 = (double)optimizer.beta1, b2 = (double)optimizer.beta2, m_new[OUTPUTS * INPUTS];
        double rate = (double)optimizer.rate * sqrt(1 - pow(b2, step)) / (1 - pow(b1, step));
        for (int i = 0; i < OUTPUTS * INPUTS; i++) m_new[i] = b1 * (double)m[i] + (1 - b1) * (double)g[i];
        for (int i = 0; i < OUTPUTS * INPUTS; i++) {
            double v_new = b2 * (double)v[i] + (1 - b2) * (double)g[i] * (double)g[i], scale = scale_at(m_new, i);
            double want = (double)p[i] - rate * m_new[i] / (sqrt(v_new) + (double)optimizer.epsilon);
            if (!(fabs((double)q[i] - want) < 1e-6)) fail_msg("a weight is %.9g, not %.9g", (double)q[i], want);
            /* 15 powers of two of three bits each; below the last one there is 0 alone. */
            if (fabs(m_new[i]) >= scale * exp2(-13))
                count_error(&first, m_new[i], (double)m_got[i], exp2(floor(log2(fabs(m_new[i]))) - 3));
            else
                assert_true(fabs((double)m_got[i] - m_new[i]) <= scale * exp2(-14));
            count_error(&second, v_new, (double)v_got[i], exp2(floor(log2(v_new)) - 7));
        }
        float *all[] = {p, m, v, g, q, m_got, v_got};
        for (size_t i = 0; i < LK_COUNT(all); i++) free(all[i]);
    }
    right_in_the_mean(&first);
    right_in_the_mean(&second);
    lk_nn_free(e);
}

/* A step draws the same whenever it is taken, and another step draws otherwise. */
static void draws_hang_by_the_step(void **state) {
    (void)state;
    lk_error err = {0};
    float *m[3];
    for (int i = 0; i < 3; i++) {
        lk_nn_exec *e =
            compiled(product(), (lk_nn_options){.device = LK_NN_GPU, .optimizer_memory = LK_NN_STATES_SHORT});
        lk_nn_set_steps(e, i < 2 ? 7 : 8);
        fill_widely(e, "x", 1);
        fill_widely(e, "t", 1);
        test_ok(lk_nn_step(e, &optimizer, &err), &err);
        m[i] = numbers_of(e, 0, LK_NN_MOMENT1);
        lk_nn_free(e);
    }
    int differ = 0;
    for (int i = 0; i < OUTPUTS * INPUTS; i++) differ += m[0][i] != m[2][i];
    assert_memory_equal(m[0], m[1], OUTPUTS * INPUTS * sizeof(float));
    assert_in_range(differ, OUTPUTS * INPUTS / 5, OUTPUTS * INPUTS * 4 / 5);
    for (int i = 0; i < 3; i++) free(m[i]);
}

/* ---- Beside the processor ------------------------------------------------------------------------------------ */

static lk_nn_t conv(lk_nn_graph *g, lk_nn_t x, int outputs, int window, int stride, lk_nn_act act) {
    char kernel[32], bias[32];
    snprintf(kernel, sizeof kernel, "%d/kernel", x);
    snprintf(bias, sizeof bias, "%d/bias", x);
    lk_nn_t w = lk_nn_param(g, kernel, (lk_nn_shape){outputs, lk_nn_shape_of(g, x).c, window, window},
                            (lk_nn_init){LK_NN_GLOROT_UNIFORM, 0});
    lk_nn_t b = lk_nn_param(g, bias, (lk_nn_shape){1, outputs, 1, 1}, (lk_nn_init){LK_NN_ZEROS, 0});
    lk_nn_conv_options o = {.stride = stride, .same = true, .act = act, .alpha = 0.1f};
    return lk_nn_conv(g, x, w, b, &o);
}

/* Weights that are cut in each of the ways: few inputs, many of both, a dense layer, few outputs. */
static lk_nn_graph *network(void) {
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_graph_new(&err);
    lk_nn_t x = lk_nn_input(g, "x", (lk_nn_shape){BATCH, 3, 8, 8}),
            t = lk_nn_input(g, "t", (lk_nn_shape){BATCH, 3, 8, 8});
    lk_nn_t h = conv(g, conv(g, x, 40, 5, 2, LK_NN_LEAKY), 44, 3, 2, LK_NN_LEAKY);
    lk_nn_t w = lk_nn_param(g, "dense", (lk_nn_shape){160, 176, 1, 1}, (lk_nn_init){LK_NN_GLOROT_UNIFORM, 0});
    h = lk_nn_reshape(g, lk_nn_dense(g, h, w, -1, LK_NN_LINEAR, 0), (lk_nn_shape){BATCH, 40, 2, 2});
    h = lk_nn_depth_to_space(g, conv(g, h, 160, 3, 1, LK_NN_LEAKY), 2);
    h = lk_nn_depth_to_space(g, conv(g, h, 160, 1, 1, LK_NN_LEAKY), 2);
    lk_nn_loss(g, "mse", lk_nn_mse(g, conv(g, h, 3, 5, 1, LK_NN_SIGMOID), t, -1), 10);
    return g;
}

static lk_nn_exec *trained(lk_nn_options o, float rate, float momentum, int steps) {
    lk_error err = {0};
    lk_nn_exec *e = compiled(network(), o);
    for (int i = 0; i < steps; i++) {
        fill(e, "x", i);
        fill(e, "t", i);
        test_ok(lk_nn_step(e, &(lk_nn_adam){rate, momentum, 0.999f, 1e-8f}, &err), &err);
    }
    return e;
}

/* ‖a − b‖ of all parameters. */
static double apart(const lk_nn_exec *a, const lk_nn_exec *b) {
    double sum = 0;
    for (int i = 0; i < lk_nn_param_count(a); i++) {
        float *p = numbers_of(a, i, LK_NN_VALUE), *q = numbers_of(b, i, LK_NN_VALUE);
        for (size_t k = 0; k < lk_nn_count(lk_nn_param_shape(a, i)); k++)
            sum += ((double)p[k] - (double)q[k]) * ((double)p[k] - (double)q[k]);
        free(p);
        free(q);
    }
    return sqrt(sum);
}

static const lk_nn_states few[] = {LK_NN_STATES_SHORT, LK_NN_STATES_FACTORED};

/* Ten steps, so small that differences do not grow. Without momentum nothing of the first moments' rounding comes to the
 * weights: factored states are then as near as full ones, and short ones as near as bfloat16 lets them, whose two draws are each
 * off by 2^−8 of a number and so by 2^−9 of its root. With momentum 1/2, two draws of the first moments are each off by
 * half of a sixteenth of what a step goes. */
static void steps_agree_with_the_processor(void **state) {
    (void)state;
    if (!lk_matrix_ways_f32()) skip(); /* full states there */
    lk_nn_exec *start = trained((lk_nn_options){.device = LK_NN_GPU}, 0, 0, 0);
    for (int trial = 0; trial < 4; trial++) {
        static const double most[] = {3e-3, 1e-3, 4.5e-2, 4.5e-2};
        float momentum = trial < 2 ? 0 : 0.5f;
        lk_nn_options o = {.device = LK_NN_GPU, .optimizer_memory = few[trial % 2]};
        lk_nn_exec *e = trained(o, 1e-5f, momentum, STEPS);
        o.device = LK_NN_CPU;
        lk_nn_exec *want = trained(o, 1e-5f, momentum, STEPS);
        double way = apart(want, start), off = apart(e, want);
        printf("%s states, momentum %g: %.2g of the way apart\n", trial % 2 ? "factored" : "short", (double)momentum,
               off / way);
        assert_true(off < most[trial] * way);
        lk_nn_free(e);
        lk_nn_free(want);
    }
    lk_nn_free(start);
}

static double loss_of(lk_nn_exec *e) {
    lk_error err = {0};
    fill(e, "x", 0);
    fill(e, "t", 0);
    test_ok(lk_nn_run(e, &err), &err);
    return (double)lk_nn_loss_value(e, 0);
}

/* Layers in bfloat16 multiply copies of the weights, which steps renew: a network that is given the weights says the same. */
static void copies_in_bfloat16_follow(void **state) {
    (void)state;
    for (size_t k = 0; k < LK_COUNT(few); k++) {
        lk_nn_options o = {.device = LK_NN_GPU, .precision = LK_NN_BF16, .optimizer_memory = few[k]};
        lk_nn_exec *e = trained(o, 1e-2f, 0.5f, 4), *given = trained(o, 0, 0, 0);
        double before = loss_of(given), learned = loss_of(e);
        assert_int_equal(lk_nn_copy_params(given, e), lk_nn_param_count(e));
        assert_true(fabs(loss_of(given) - learned) < 1e-5 * learned);
        assert_true(fabs(before - learned) > 2e-3 * learned);
        lk_nn_free(e);
        lk_nn_free(given);
    }
}

/* ---- From one to the other ----------------------------------------------------------------------------------- */

static void move(const lk_nn_exec *from, lk_nn_exec *to) {
    lk_error err = {0};
    char *folder = test_folder(), path[600];
    snprintf(path, sizeof path, "%s/moments", folder);
    test_ok(lk_nn_save(from, LK_NN_MOMENT1, path, NULL, 0, &err), &err);
    test_ok(lk_nn_load(to, LK_NN_MOMENT1, path, NULL, NULL, &err), &err);
    test_remove_folder(folder);
}

static void same_moments(const lk_nn_exec *a, const lk_nn_exec *b) {
    for (int i = 0; i < lk_nn_param_count(a); i++)
        for (int slot = LK_NN_MOMENT1; slot <= LK_NN_MOMENT2; slot++) {
            float *p = numbers_of(a, i, (lk_nn_slot)slot), *q = numbers_of(b, i, (lk_nn_slot)slot);
            for (size_t k = 0; k < lk_nn_count(lk_nn_param_shape(a, i)); k++)
                if (p[k] != q[k])
                    fail_msg("%s, slot %d: %g, %g", lk_nn_param_name(a, i), slot, (double)p[k], (double)q[k]);
            free(p);
            free(q);
        }
}

/* What either has saved the other reads to the bit, since blocks are the same; and the bits are not those of full ones. */
static void moments_move_between_processor_and_gpu(void **state) {
    (void)state;
    for (size_t k = 0; k < LK_COUNT(few); k++)
        for (int from = LK_NN_CPU; from <= LK_NN_GPU; from++) {
            lk_nn_options o = {.optimizer_memory = few[k], .precision = LK_NN_BF16};
            o.device = from;
            lk_nn_exec *a = trained(o, 1e-3f, 0.5f, 3);
            o.device = from == LK_NN_CPU ? LK_NN_GPU : LK_NN_CPU;
            lk_nn_exec *b = trained(o, 1e-3f, 0.5f, 1);
            move(a, b);
            same_moments(a, b);
            assert_int_equal(lk_nn_memory_of(a).optimizer, lk_nn_memory_of(b).optimizer);
            lk_nn_free(a);
            lk_nn_free(b);
        }
}

/* Saved and loaded, a training goes on with the same bits. */
static void a_restart_changes_nothing(void **state) {
    (void)state;
    lk_error err = {0};
    for (size_t k = 0; k < LK_COUNT(few); k++) {
        lk_nn_options o = {.device = LK_NN_GPU, .optimizer_memory = few[k]};
        lk_nn_exec *e[] = {trained(o, 1e-3f, 0.5f, 3), trained(o, 0, 0, 0)};
        assert_int_equal(lk_nn_copy_params(e[1], e[0]), lk_nn_param_count(e[0]));
        move(e[0], e[1]);
        lk_nn_set_steps(e[1], lk_nn_steps(e[0]));
        for (int i = 0; i < 2; i++) {
            fill(e[i], "x", 3);
            fill(e[i], "t", 3);
            for (int step = 0; step < 2; step++) test_ok(lk_nn_step(e[i], &optimizer, &err), &err);
        }
#ifdef LK_EMULATED
        assert_true(apart(e[0], e[1]) == 0); /* the libraries may add in another order */
        same_moments(e[0], e[1]);
#endif
        for (int i = 0; i < 2; i++) lk_nn_free(e[i]);
    }
}

/* Of each block of 1024 weights 1024 codes and a scale, and 1024 numbers of two bytes or 64 of four; of biases all. */
static void memory_is_counted(void **state) {
    (void)state;
    static const size_t blocks = 2 * 3 + 9 * 2 * 2 + 5 * 6 + 9 * 5 * 2 + 5 * 2 + 3 * 2,
                        biases = 40 + 44 + 160 + 160 + 3;
    static const size_t a_block[] = {1024 + 4 + 2048, 1024 + 4 + 256};
    for (size_t k = 0; k < LK_COUNT(few); k++) {
        lk_error err = {0};
        lk_nn_options o = {.device = LK_NN_GPU, .train = true, .seed = 3, .optimizer_memory = few[k]};
        lk_nn_graph *g = network();
        lk_nn_memory planned, taken;
        test_ok(lk_nn_plan(g, &o, &planned, &err), &err);
        lk_nn_exec *e = compiled(g, o);
        taken = lk_nn_memory_of(e);
        assert_memory_equal(&planned, &taken, sizeof taken);
        assert_int_equal(taken.optimizer, blocks * a_block[k] + 8 * biases);
        assert_int_equal(taken.total, taken.weights + taken.optimizer + taken.activations + taken.workspace);
        lk_nn_free(e);
    }
}

/* ---- Updates beside the backward pass ------------------------------------------------------------------------ */

static int find(const lk_nn_graph *g, int from, lk_op op, int operand) {
    for (int i = from; i < g->node_count; i++)
        if (g->nodes[i].op == op && g->nodes[i].in[0] == operand) return i;
    fail_msg("%s of tensor %d is missing", lk_op_name(op), operand);
    return -1;
}

/* From the update at `start` on nobody reads the parameter. */
static void unread(const lk_nn_graph *g, int start) {
    for (int i = start + 1; i < g->node_count; i++)
        for (int k = 0; k < g->nodes[i].in_count; k++)
            if (lk_root(g, g->nodes[i].in[k]) == g->nodes[start].in[0])
                fail_msg("%s reads what was updated", lk_op_name(g->nodes[i].op));
}

/* Until the update at `start` is waited for nobody gets the gradient's memory. */
static void undisturbed(const lk_nn_graph *g, int start) {
    int gradient = lk_root(g, g->nodes[start].in[1]), wait = find(g, start, LK_OP_ADAM_WAIT, g->nodes[start].in[1]);
    const lk_tensor *d = &g->tensors[gradient];
    assert_true(d->first <= start && d->last >= wait);
    for (int i = 0; i < g->tensor_count; i++) {
        const lk_tensor *t = &g->tensors[i];
        if (i == gradient || !lk_in_arena(t) || t->last < start || t->first > wait) continue;
        if (t->place < d->place + d->bytes && d->place < t->place + t->bytes)
            fail_msg("tensor %d lies in a gradient that is being applied", i);
    }
}

/* Gradients that are kept, with the one that is computed, take 64 MiB at most, or what the largest takes; and meanwhile the
 * backward pass goes on. */
static void in_bounds(const lk_nn_exec *e, size_t largest) {
    const lk_nn_graph *g = &e->g;
    size_t kept = 0, most = LK_MIB(64) / sizeof(float);
    int meanwhile = 0;
    for (int i = e->forward_count; i < g->node_count; i++) {
        const lk_node *n = &g->nodes[i];
        if (n->op == LK_OP_ADAM) {
            kept += lk_nn_count(g->tensors[n->in[1]].shape);
        } else if (n->op == LK_OP_ADAM_WAIT) {
            kept -= lk_nn_count(g->tensors[n->in[0]].shape);
        } else if (kept > 0) {
            bool weights = n->op == LK_OP_CONV_BACK_WEIGHTS || n->op == LK_OP_DENSE_BACK_WEIGHTS;
            if (weights)
                assert_true(kept + lk_nn_count(g->tensors[n->out[0]].shape) <= (largest > most ? largest : most));
            meanwhile++;
        }
    }
    assert_int_equal(kept, 0);
    assert_true(meanwhile > 0);
}

/* Three layers, of which any two are more than may be kept, but for the least inner size. */
static lk_nn_graph *large(int inner) {
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_graph_new(&err);
    lk_nn_t x = lk_nn_input(g, "x", (lk_nn_shape){1, 3000, 1, 1});
    for (int i = 0; i < 3; i++) {
        char name[] = {(char)('a' + i), 0}, bias[] = {'b', (char)('a' + i), 0};
        lk_nn_shape s = {i == 1 ? 3000 : inner, i == 1 ? inner : 3000, 1, 1};
        lk_nn_t w = lk_nn_param(g, name, s, (lk_nn_init){0});
        x = lk_nn_dense(g, x, w, lk_nn_param(g, bias, (lk_nn_shape){1, s.n, 1, 1}, (lk_nn_init){0}), LK_NN_LINEAR, 0);
    }
    lk_nn_loss(g, "square", lk_nn_square(g, x), 1);
    return g;
}

/* A parameter that is not a layer's, times what depends on another. */
static lk_nn_graph *factor(void) {
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_graph_new(&err);
    lk_nn_t x = lk_nn_input(g, "x", (lk_nn_shape){BATCH, 8, 1, 1});
    lk_nn_t w = lk_nn_param(g, "w", (lk_nn_shape){8, 8, 1, 1}, (lk_nn_init){LK_NN_NORMAL, 0.1f});
    lk_nn_t p = lk_nn_param(g, "p", (lk_nn_shape){BATCH, 8, 1, 1}, (lk_nn_init){LK_NN_NORMAL, 0.1f});
    lk_nn_loss(g, "dot", lk_nn_mul(g, p, lk_nn_dense(g, x, w, -1, LK_NN_LINEAR, 0)), 1);
    return g;
}

static void updates_run_beside(void **state) {
    (void)state;
    lk_nn_options o = {.device = LK_NN_GPU, .optimizer_memory = LK_NN_STATES_HOST};
    for (int i = 0; i < 2; i++) {
        lk_nn_exec *e = compiled(i ? factor() : network(), o);
        int updates = 0;
        assert_true(e->beside);
        for (int k = 0; k < e->g.node_count; k++)
            if (e->g.nodes[k].op == LK_OP_ADAM) {
                unread(&e->g, k);
                undisturbed(&e->g, k);
                updates++;
            }
        assert_int_equal(updates, lk_nn_param_count(e));
        in_bounds(e, lk_nn_memory_of(e).largest);
        lk_nn_free(e);
    }
}

/* Weights are updated before the last reader of `target`, which they make: no gradient goes that way. */
static lk_nn_graph *early_update(void) {
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_graph_new(&err);
    lk_nn_t x = lk_nn_input(g, "x", (lk_nn_shape){BATCH, 3, 16, 16});
    lk_nn_t more = lk_nn_input(g, "more", (lk_nn_shape){8 * BATCH, 3, 16, 16}); /* where the step takes most */
    lk_nn_t w = lk_nn_param(g, "w", (lk_nn_shape){8, 3, 3, 3}, (lk_nn_init){LK_NN_NORMAL, 0.1f});
    lk_nn_t v = lk_nn_param(g, "v", (lk_nn_shape){8, 3, 3, 3}, (lk_nn_init){LK_NN_NORMAL, 0.1f});
    lk_nn_conv_options o = {.same = true};
    lk_nn_t target = lk_nn_conv(g, x, w, -1, &o), y = lk_nn_conv(g, x, v, -1, &o);
    lk_nn_loss(g, "dssim", lk_nn_dssim(g, y, target, -1, 1), 1);
    lk_nn_loss(g, "square", lk_nn_square(g, lk_nn_square(g, lk_nn_conv(g, more, w, -1, &o))), 1);
    return g;
}

static void nothing_is_computed_again_too_late(void **state) {
    (void)state;
    lk_error err = {0};
    lk_nn_options o = {.device = LK_NN_GPU, .train = true, .memory = 1};
    lk_nn_graph *g = early_update();
    lk_nn_memory least;
    test_ok(lk_nn_plan(g, &o, &least, &err), &err);
    o.memory = least.total;
    lk_nn_exec *e = compiled(g, o);
    for (int k = 0; k < e->g.node_count; k++)
        if (e->g.nodes[k].op == LK_OP_ADAM) unread(&e->g, k);
    lk_nn_free(e);
}

/* Of networks that are described alone, since they are large. */
static void few_gradients_wait(void **state) {
    (void)state;
    lk_error err = {0};
    for (int inner = 2000; inner <= 8000; inner += 2000) {
        lk_nn_graph *g = large(inner);
        lk_nn_exec e = {.options = {.train = true}, .beside = true};
        test_ok(lk_graph_copy(g, &e.g, &err), &err);
        e.forward_count = e.g.node_count;
        test_ok(lk_differentiate(&e, &err), &err);
        in_bounds(&e, 3000 * (size_t)inner);
        lk_graph_clear(&e.g);
        lk_nn_graph_free(g);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(short_moments_are_as_defined),
                                       cmocka_unit_test(draws_hang_by_the_step),
                                       cmocka_unit_test(steps_agree_with_the_processor),
                                       cmocka_unit_test(copies_in_bfloat16_follow),
                                       cmocka_unit_test(moments_move_between_processor_and_gpu),
                                       cmocka_unit_test(a_restart_changes_nothing),
                                       cmocka_unit_test(memory_is_counted),
                                       cmocka_unit_test(updates_run_beside),
                                       cmocka_unit_test(nothing_is_computed_again_too_late),
                                       cmocka_unit_test(few_gradients_wait)};
    if (no_gpu()) return SKIPPED;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
