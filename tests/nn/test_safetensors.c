#include "testing.h"

#include "likeness/nn.h"

static lk_nn_exec *network(int width, uint64_t seed) {
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_graph_new(&err);
    lk_nn_t x = lk_nn_input(g, "x", (lk_nn_shape){2, 3, 8, 8});
    lk_nn_t w = lk_nn_param(g, "a/kernel", (lk_nn_shape){width, 3, 3, 3}, (lk_nn_init){LK_NN_GLOROT_UNIFORM, 0});
    lk_nn_t b = lk_nn_param(g, "a/bias", (lk_nn_shape){1, width, 1, 1}, (lk_nn_init){LK_NN_ZEROS, 0});
    lk_nn_t y = lk_nn_conv(g, x, w, b, &(lk_nn_conv_options){.same = true, .act = LK_NN_TANH});
    lk_nn_output(g, "y", y);
    lk_nn_loss(g, "loss", lk_nn_square(g, y), 1);
    lk_nn_exec *e = lk_nn_compile(g, &(lk_nn_options){.train = true, .seed = seed}, &err);
    lk_nn_graph_free(g);
    if (!e) fail_msg("%s", err.message);
    return e;
}

static void train(lk_nn_exec *e, int steps) {
    lk_error err = {0};
    float *x = lk_nn_data(e, lk_nn_find(e, "x"));
    lk_rng r = lk_rng_make(1, 1);
    for (size_t i = 0; i < 2 * 3 * 64; i++) x[i] = (float)lk_rng_normal(&r);
    for (int i = 0; i < steps; i++) test_ok(lk_nn_step(e, &(lk_nn_adam){1e-2f, 0.5f, 0.999f, 1e-8f}, &err), &err);
}

static void expect_equal(lk_nn_exec *a, lk_nn_exec *b) {
    float p[2][1000], q[2][1000];
    for (int i = 0; i < lk_nn_param_count(a); i++)
        for (int slot = LK_NN_VALUE; slot <= LK_NN_MOMENT2; slot++) {
            size_t n = lk_nn_count(lk_nn_param_shape(a, i));
            assert_true(lk_nn_param_get(a, i, (lk_nn_slot)slot, p[0]) && lk_nn_param_get(b, i, (lk_nn_slot)slot, q[0]));
            assert_memory_equal(p[0], q[0], n * sizeof(float));
        }
}

/* Weights and moments saved and loaded go on to the same bits. */
static void round_trip(void **state) {
    (void)state;
    char *folder = test_folder(), *w = lk_path_join(folder, "w", NULL), *m = lk_path_join(folder, "m", NULL),
         *iteration;
    lk_error err = {0};
    lk_nn_exec *a = network(21, 1), *b = network(21, 2);
    train(a, 3);
    test_ok(lk_nn_save(a, LK_NN_VALUE, w, &(lk_nn_metadata){"iteration", "3"}, 1, &err), &err);
    test_ok(lk_nn_save(a, LK_NN_MOMENT1, m, NULL, 0, &err), &err);
    test_ok(lk_nn_load(b, LK_NN_VALUE, w, "iteration", &iteration, &err), &err);
    test_ok(lk_nn_load(b, LK_NN_MOMENT1, m, NULL, NULL, &err), &err);
    assert_string_equal(iteration, "3");
    free(iteration);
    lk_nn_set_steps(b, lk_nn_steps(a));
    expect_equal(a, b);
    train(a, 2);
    train(b, 2);
    expect_equal(a, b);
    lk_nn_exec *other = network(20, 1);
    assert_false(lk_nn_load(other, LK_NN_VALUE, w, NULL, NULL, &err));
    assert_non_null(strstr(err.message, "a/kernel"));
    lk_nn_free(other);
    lk_nn_free(a);
    lk_nn_free(b);
    free(w);
    free(m);
    test_remove_folder(folder);
}

/* Cut anywhere, or with any byte changed, the file is refused and the network keeps its weights. */
static void damage_is_refused(void **state) {
    (void)state;
    char *folder = test_folder(), *good = lk_path_join(folder, "good", NULL), *bad = lk_path_join(folder, "bad", NULL);
    lk_error err = {0};
    lk_nn_exec *a = network(4, 1), *b = network(4, 9), *before = network(4, 9);
    test_ok(lk_nn_save(a, LK_NN_VALUE, good, NULL, 0, &err), &err);
    void *data = NULL;
    size_t size = 0;
    test_ok(lk_file_read(good, LK_MIB(1), &data, &size, &err), &err);
    lk_rng r = lk_rng_make(3, 3);
    for (int i = 0; i < 300; i++) {
        unsigned char *copy = malloc(size);
        memcpy(copy, data, size);
        size_t cut = size, at = lk_rng_below(&r, (uint32_t)size);
        if (i % 2)
            cut = at;
        else
            copy[at] = (unsigned char)(copy[at] + 1 + lk_rng_below(&r, 255));
        test_ok(lk_file_write(bad, copy, cut, &err), &err);
        err = (lk_error){0};
        bool loaded = lk_nn_load(b, LK_NN_VALUE, bad, NULL, NULL, &err);
        /* A changed space between tokens, or in the metadata's own key, is no damage to the content. */
        if (loaded) assert_true(i % 2 == 0 && at < 400);
        if (!loaded) {
            assert_non_null(strstr(err.message, bad));
            expect_equal(b, before);
        }
        lk_nn_copy_params(b, before);
        free(copy);
    }
    unsigned char huge[16] = {255, 255, 255, 255, 255, 255, 255, 127};
    test_ok(lk_file_write(bad, huge, sizeof huge, &err), &err);
    assert_false(lk_nn_load(b, LK_NN_VALUE, bad, NULL, NULL, &err));
    free(data);
    lk_nn_free(a);
    lk_nn_free(b);
    lk_nn_free(before);
    free(good);
    free(bad);
    test_remove_folder(folder);
}

/* Of a file of other dimensions only what fits is taken, and the rest is told. */
static void matching(void **state) {
    (void)state;
    char *folder = test_folder(), *w = lk_path_join(folder, "w", NULL);
    lk_error err = {0};
    lk_nn_exec *a = network(21, 1), *same = network(21, 2), *other = network(20, 2), *before = network(20, 2);
    train(a, 1);
    test_ok(lk_nn_save(a, LK_NN_VALUE, w, NULL, 0, &err), &err);
    bool loaded[16];
    int others = -1, count = lk_nn_param_count(a);
    assert_in_range(count, 1, 16);
    test_ok(lk_nn_load_matching(same, LK_NN_VALUE, w, loaded, &others, &err), &err);
    assert_int_equal(others, 0);
    float p[1000], q[1000];
    for (int i = 0; i < count; i++) {
        assert_true(loaded[i] && lk_nn_param_get(a, i, LK_NN_VALUE, p) && lk_nn_param_get(same, i, LK_NN_VALUE, q));
        assert_memory_equal(p, q, lk_nn_count(lk_nn_param_shape(a, i)) * sizeof(float));
    }
    test_ok(lk_nn_load_matching(other, LK_NN_VALUE, w, loaded, &others, &err), &err);
    int fit = 0;
    for (int i = 0; i < count; i++) {
        size_t n = lk_nn_count(lk_nn_param_shape(other, i));
        assert_true(lk_nn_param_get(other, i, LK_NN_VALUE, p));
        assert_true(lk_nn_param_get(loaded[i] ? a : before, i, LK_NN_VALUE, q));
        assert_memory_equal(p, q, n * sizeof(float));
        fit += loaded[i];
    }
    assert_in_range(fit, 0, count - 1);
    assert_int_equal(others, count - fit);
    lk_nn_free(a);
    lk_nn_free(same);
    lk_nn_free(other);
    lk_nn_free(before);
    free(w);
    test_remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(damage_is_refused),
                                       cmocka_unit_test(matching)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
