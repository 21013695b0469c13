/* Asking for a GPU where there is none: one sentence in the log, and the processor does the work. */
#include "testing.h"

#include "likeness/nn.h"

static char line[600];
static int lines;

static void keep(lk_log_level level, const char *text, void *user) {
    (void)user;
    if (level != LK_LOG_WARN) return;
    snprintf(line, sizeof line, "%s", text);
    lines++;
}

static void without_a_gpu_the_processor_works(void **state) {
    (void)state;
    lk_error err = {0}, why = {0};
    if (lk_nn_has_gpu(NULL, &why)) skip();
    assert_true(strlen(why.message) > 10);
    lk_log_to(keep, NULL);
    lk_nn_graph *g = lk_nn_graph_new(&err);
    lk_nn_t x = lk_nn_input(g, "x", (lk_nn_shape){1, 2, 1, 1});
    lk_nn_output(g, "y", lk_nn_affine(g, x, 3, 1));
    lk_nn_exec *e = lk_nn_compile(g, &(lk_nn_options){.device = LK_NN_GPU}, &err);
    if (!e) fail_msg("%s", err.message);
    lk_nn_data(e, lk_nn_find(e, "x"))[1] = 2;
    test_ok(lk_nn_run(e, &err), &err);
    assert_float_equal(lk_nn_data(e, lk_nn_find(e, "y"))[1], 7, 0);
    assert_int_equal(lines, 1);
    assert_non_null(strstr(line, why.message));
    assert_int_equal(lk_nn_device_for(LK_NN_WISH_CPU), LK_NN_CPU);
    assert_int_equal(lk_nn_device_for(LK_NN_WISH_AUTO), LK_NN_CPU);
    assert_int_equal(lines, 1);
    assert_int_equal(lk_nn_device_for(LK_NN_WISH_GPU), LK_NN_CPU);
    assert_int_equal(lines, 2);
    lk_log_to(NULL, NULL);
    lk_nn_free(e);
    lk_nn_graph_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(without_a_gpu_the_processor_works)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
