/* Activations that are given up and computed again: the arena of real models shrinks, and no bit of their steps changes. */
#include "testing.h"

#include <math.h>
#include <stdlib.h>

#include "likeness/swap.h"

typedef struct training {
    lk_swap_config config;
    lk_nn_options options;
    int batch;
} training;

static lk_nn_graph *graph_of(const training *t) {
    lk_error err = {0};
    lk_swap_objective o = {0};
    lk_nn_graph *g = lk_swap_training_graph(&t->config, lk_swap_terms(&t->config, &o, 0), t->batch, &err);
    test_ok(g != NULL, &err);
    return g;
}

static lk_nn_memory planned(const training *t, size_t memory) {
    lk_error err = {0};
    lk_nn_options o = t->options;
    lk_nn_graph *g = graph_of(t);
    lk_nn_memory m;
    o.memory = memory;
    test_ok(lk_nn_plan(g, &o, &m, &err), &err);
    lk_nn_graph_free(g);
    return m;
}

/* Two steps within so much. */
static lk_nn_exec *stepped(const training *t, size_t memory) {
    static const char *const inputs[] = {"warped", "target", "mask"};
    lk_error err = {0};
    lk_swap_objective objective = {0};
    lk_nn_options o = t->options;
    lk_nn_graph *g = graph_of(t);
    o.memory = memory;
    lk_nn_exec *e = lk_nn_compile(g, &o, &err);
    test_ok(e != NULL, &err);
    lk_nn_graph_free(g);
    for (size_t i = 0; i < LK_COUNT(inputs); i++) {
        lk_rng r = lk_rng_make(3, i);
        lk_nn_t in = lk_nn_find(e, inputs[i]);
        for (size_t k = 0; in >= 0 && k < lk_nn_count(lk_nn_shape_in(e, in)); k++)
            lk_nn_data(e, in)[k] = (float)lk_rng_uniform(&r, 0, 1);
    }
    lk_swap_set_weights(e, &t->config, &objective, 0);
    lk_nn_adam adam = lk_swap_optimizer(&t->config);
    for (int i = 0; i < 2; i++) test_ok(lk_nn_step(e, &adam, &err), &err);
    return e;
}

static void assert_same(const lk_nn_exec *a, const lk_nn_exec *b) {
    for (int i = 0; i < lk_nn_loss_count(a); i++) assert_true(lk_nn_loss_value(a, i) == lk_nn_loss_value(b, i));
    for (int i = 0; i < lk_nn_param_count(a); i++) {
        size_t bytes = lk_nn_count(lk_nn_param_shape(a, i)) * sizeof(float);
        float *p = malloc(bytes), *q = malloc(bytes);
        for (int slot = LK_NN_VALUE; slot <= LK_NN_MOMENT2; slot++) {
            assert_true(lk_nn_param_get(a, i, (lk_nn_slot)slot, p) && lk_nn_param_get(b, i, (lk_nn_slot)slot, q));
            if (memcmp(p, q, bytes) != 0) fail_msg("%s differs in slot %d", lk_nn_param_name(a, i), slot);
        }
        free(p);
        free(q);
    }
}

static size_t arena(const lk_nn_memory *m) { return m->activations + m->workspace; }

static void try(lk_swap_config config, int precision, int batch, double least_share) {
    lk_error err = {0};
    test_ok(lk_swap_complete(&config, &err), &err);
    training t = {config, {.train = true, .precision = precision, .seed = 7}, batch};
    lk_nn_memory plain = planned(&t, 0), least = planned(&t, 1);
    lk_nn_exec *e = stepped(&t, 0);
    assert_true(plain.saved == 0 && plain.again_flops == 0);
    print_message("arena %.2f MiB, at least %.2f with %.1f %% more operations\n", (double)arena(&plain) / 0x1p20,
                  (double)arena(&least) / 0x1p20, 100 * least.again_flops / plain.step_flops);
    assert_true((double)arena(&least) < least_share * (double)arena(&plain));
    double operations = 0;
    for (int i = 1; i <= 2; i++) {
        size_t granted = plain.total - (plain.total - least.total) * (size_t)i / 2;
        lk_nn_exec *again = stepped(&t, granted);
        lk_nn_memory m = lk_nn_memory_of(again), same = planned(&t, granted);
        assert_memory_equal(&m, &same, sizeof m);
        assert_true(m.total <= granted && m.again_flops >= operations);
        assert_int_equal(arena(&m) + m.saved, arena(&plain));
        assert_true(fabs(m.step_flops - m.again_flops - plain.step_flops) <= 1e-9 * plain.step_flops);
        operations = m.again_flops;
        assert_same(e, again);
        lk_nn_free(again);
    }
    /* What has room enough computes nothing again; what has too little is not begun. */
    lk_nn_memory enough = planned(&t, plain.total);
    assert_memory_equal(&enough, &plain, sizeof plain);
    lk_nn_graph *g = graph_of(&t);
    t.options.memory = least.total - 1;
    assert_null(lk_nn_compile(g, &t.options, &err));
    assert_int_equal(err.code, LK_ERR_MEMORY);
    assert_non_null(strstr(err.message, "needs at least"));
    lk_nn_graph_free(g);
    lk_nn_free(e);
}

static const lk_swap_config df = {.arch = LK_ARCH_SAE,
                                  .resolution = 64,
                                  .face_type = LK_SWAP_FACE_AUTO,
                                  .ae_dims = 32,
                                  .ed_ch_dims = 21,
                                  .learn_mask = true};

static void test_float32(void **state) {
    (void)state;
    try(df, LK_NN_F32, 4, 0.75);
}

static void test_bfloat16(void **state) {
    (void)state;
    try(df, LK_NN_BF16, 6, 0.85);
}

/* One intermediate is used by both sides: its weights are updated at their last use. */
static void test_shared_weights(void **state) {
    (void)state;
    lk_swap_config liae = df;
    liae.inner = LK_SAE_LIAE;
    try(liae, LK_NN_BF16, 6, 0.85);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_float32), cmocka_unit_test(test_bfloat16),
                                       cmocka_unit_test(test_shared_weights)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
