/* Ways to compute a layer are timed once, kept in a file, and taken by networks compiled later. Each test runs in a process of
 * its own, since what was read stays in memory. */
#include "testing.h"

#include <sys/wait.h>

#include "likeness/nn.h"

static char *folder;

static lk_nn_graph *graph_with_a_choice(void) {
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_graph_new(&err);
    lk_nn_t x = lk_nn_input(g, "x", (lk_nn_shape){4, 64, 64, 64});
    lk_nn_t w = lk_nn_param(g, "w", (lk_nn_shape){64, 64, 3, 3}, (lk_nn_init){LK_NN_NORMAL, 0.05f});
    lk_nn_t y = lk_nn_conv(g, x, w, -1, &(lk_nn_conv_options){.same = true});
    lk_nn_output(g, "y", y);
    lk_nn_loss(g, "loss", lk_nn_square(g, y), 1);
    return g;
}

static const lk_nn_options training = {.train = true, .precision = LK_NN_BF16, .threads = 2, .seed = 1};

/* The output's first numbers. */
static void first_outputs(const lk_nn_graph *g, int way, float *to, size_t count) {
    lk_error err = {0};
    lk_nn_options o = training;
    o.way = way;
    lk_nn_exec *e = lk_nn_compile(g, &o, &err);
    assert_non_null(e);
    float *x = lk_nn_data(e, lk_nn_find(e, "x"));
    lk_rng r = lk_rng_make(3, 0);
    for (size_t i = 0; i < (size_t)4 * 64 * 64 * 64; i++) x[i] = (float)lk_rng_normal(&r);
    assert_true(lk_nn_run(e, &err));
    memcpy(to, lk_nn_data(e, lk_nn_find(e, "y")), count * sizeof *to);
    lk_nn_free(e);
}

#define COUNT 4096
static void assert_takes(const lk_nn_graph *g, int way) {
    static float got[COUNT], want[COUNT], other[COUNT];
    first_outputs(g, LK_NN_FASTEST, got, COUNT);
    first_outputs(g, way, want, COUNT);
    first_outputs(g, way == LK_NN_TAPS ? LK_NN_WINOGRAD : LK_NN_TAPS, other, COUNT);
    assert_memory_equal(got, want, sizeof got);
    assert_memory_not_equal(got, other, sizeof got);
}

/* The one file in the cache. */
static const char *cache_file(void) {
    static char path[4096];
    FILE *f = popen("ls \"$LIKENESS_CACHE\"/layers-*.txt", "r");
    assert_true(f && fgets(path, sizeof path, f));
    path[strcspn(path, "\n")] = 0;
    assert_int_equal(pclose(f), 0);
    return path;
}

static char *read_cache(void) {
    void *data = NULL;
    size_t size;
    lk_error err = {0};
    test_ok(lk_file_read(cache_file(), LK_MIB(1), &data, &size, &err), &err);
    return data;
}

static void write_cache(const char *text) {
    lk_error err = {0};
    test_ok(lk_file_write(cache_file(), text, strlen(text), &err), &err);
}

/* One tuning in a process of its own; then this is expected of what is compiled. */
static void tune_in_child(int way) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        lk_error err = {0};
        lk_nn_graph *g = graph_with_a_choice();
        assert_true(lk_nn_tune(g, &training, &err));
        if (way != LK_NN_FASTEST) assert_takes(g, way);
        lk_nn_graph_free(g);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static const char *const layer = "4 64 64 64 > 64 64 64 1 1 2:";

static void times_once_and_keeps(void **state) {
    (void)state;
    tune_in_child(LK_NN_FASTEST);
    char *first = read_cache(), *line = strstr(first, layer);
    assert_non_null(line);
    double ms[6];
    assert_int_equal(
        sscanf(line + strlen(layer), "%lf %lf %lf %lf %lf %lf", ms, ms + 1, ms + 2, ms + 3, ms + 4, ms + 5), 6);
    for (int i = 0; i < 6; i++) assert_true(ms[i] > 0);
    tune_in_child(ms[0] > ms[1] ? LK_NN_WINOGRAD : LK_NN_TAPS);
    char *second = read_cache();
    assert_string_equal(first, second);
    free(second);
    free(first);
}

static void takes_what_the_file_says(void **state) {
    (void)state;
    char *text = read_cache();
    *strstr(text, layer) = 0;
    char *edited = lk_format(NULL, "%s%s 1 2 1 2 1 2\n", text, layer);
    write_cache(edited);
    tune_in_child(LK_NN_TAPS);
    free(edited);
    edited = lk_format(NULL, "%s%s 2 1 2 1 2 1\n", text, layer);
    write_cache(edited);
    tune_in_child(LK_NN_WINOGRAD);
    free(edited);
    free(text);
}

static void damaged_files_are_made_anew(void **state) {
    (void)state;
    char *text = read_cache();
    *strstr(text, layer) = 0;
    const char *const tails[] = {"5 64 64 64 > 64", "4 64 64 64 > 64 64 64 1 1 2: 1 2 nan 2 1 -2\n", "\x01\xff\n",
                                 "6 64 64"};
    for (size_t i = 0; i < LK_COUNT(tails); i++) {
        char *damaged = lk_format(NULL, "%s%s", i == 3 ? "likeness layers 0\n" : text, tails[i]);
        write_cache(damaged);
        tune_in_child(LK_NN_FASTEST);
        char *mended = read_cache();
        assert_non_null(strstr(mended, layer));
        assert_null(strstr(mended, tails[i]));
        free(mended);
        free(damaged);
    }
    free(text);
}

/* Without a place for the file it is timed all the same. */
static void works_without_a_cache(void **state) {
    (void)state;
    setenv("LIKENESS_CACHE", "/dev/null/nowhere", 1);
    tune_in_child(LK_NN_FASTEST);
}

static int make_folder(void **state) {
    (void)state;
    folder = test_folder();
    setenv("LIKENESS_CACHE", folder, 1);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_once_and_keeps), cmocka_unit_test(takes_what_the_file_says),
        cmocka_unit_test(damaged_files_are_made_anew), cmocka_unit_test(works_without_a_cache)};
    /* Where bfloat16 is not native, nothing is timed unless it is asked for, and plain C would take minutes. */
    if (!lk_nn_has_bf16()) return 77;
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
