/* What a training is said to take is what it takes; what is said to be largest fits, and no larger does. */
#include "made_up.h"

static lk_train_options options(int batch) {
    lk_error err = {0};
    lk_train_options o = {0};
    test_ok(lk_options_defaults(lk_train_option_table, &o, &err), &err);
    o.batch = batch;
    return o;
}

static lk_train_needs needs_of(const lk_swap_config *c, int batch) {
    lk_error err = {0};
    lk_swap_objective objective = {0};
    lk_train_options o = options(batch);
    lk_train_needs n;
    test_ok(lk_train_plan(c, &objective, &o, &n, &err), &err);
    return n;
}

static void test_network(void **state) {
    (void)state;
    lk_error err = {0};
    lk_swap_config c = tiny_config();
    lk_swap_objective objective = {0};
    lk_train_needs n = needs_of(&c, 3);
    lk_nn_graph *g = lk_swap_training_graph(&c, lk_swap_terms(&c, &objective, 0), 3, &err);
    test_ok(g != NULL, &err);
    lk_nn_exec *e = lk_nn_compile(g, &(lk_nn_options){.train = true, .precision = LK_NN_AUTO}, &err);
    test_ok(e != NULL, &err);
    lk_nn_memory m = lk_nn_memory_of(e);
    assert_int_equal(n.network.total, m.total);
    assert_int_equal(n.network.activations, m.activations);
    size_t largest = 0;
    for (int i = 0; i < lk_nn_param_count(e); i++) {
        size_t count = lk_nn_count(lk_nn_param_shape(e, i));
        if (count > largest) largest = count;
    }
    assert_int_equal(n.transfer, largest * sizeof(float));
    /* 3 of each side, 64×64 pixels of 3 + 3 + 1 numbers, in the 3 batches ahead and one for each thread */
    assert_int_equal(n.samples, (size_t)(3 + lk_sampler_threads()) * 6 * 64 * 64 * 7 * sizeof(float));
    assert_int_equal(n.total, m.total + n.preview + n.samples + n.transfer + n.program);
    lk_nn_free(e);
    lk_nn_graph_free(g);
}

static void test_largest(void **state) {
    (void)state;
    lk_error err = {0};
    lk_swap_config c = tiny_config();
    c.ae_dims = c.ed_ch_dims = 0;
    lk_swap_objective objective = {0};
    lk_train_options o = options(1);
    lk_train_needs list[8];
    size_t memory = LK_MIB(900);
    int count = lk_train_plan_largest(&c, &objective, &o, memory, list, &err);
    assert_true(count > 1 && count <= 8);
    for (int i = 0; i < count; i++) {
        assert_true(list[i].total <= memory);
        if (i > 0) assert_true(list[i].batch < list[i - 1].batch && list[i].ed_ch_dims >= list[i - 1].ed_ch_dims);
        if (list[i].ed_ch_dims == 85) continue;
        lk_swap_config larger = c;
        larger.ed_ch_dims = list[i].ed_ch_dims + 1;
        larger.ae_dims = 512 * larger.ed_ch_dims / 42;
        assert_true(needs_of(&larger, list[i].batch).total > memory);
    }
    assert_int_equal(lk_train_plan_largest(&c, &objective, &o, LK_MIB(20), list, &err), 0);
}

static void test_largest_batch(void **state) {
    (void)state;
    lk_error err = {0};
    lk_swap_config c = {.arch = LK_ARCH_H64, .face_type = LK_SWAP_FACE_AUTO, .lighter = true, .learn_mask = true};
    lk_swap_objective objective = {0};
    lk_train_options o = options(1);
    lk_train_needs list[8];
    size_t memory = needs_of(&c, 5).total;
    assert_int_equal(lk_train_plan_largest(&c, &objective, &o, memory, list, &err), 1);
    assert_int_equal(list[0].batch, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_network),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_largest_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
