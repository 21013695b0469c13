/* Which way each layer is computed on a GPU: chosen once, shared, kept in a file that others write, too, and that may be damaged. The
 * libraries are made up: they choose a number, and compute by no other. */
#include "testing.h"

#include <pthread.h>
#include <sys/wait.h>

#include "cuda/ways.h"

static char *folder;
static const char *const card = "NVIDIA H200, compute capability 9.0", *const libraries =
                                                                           "cuDNN 91900, cuBLASLt 130201";

/* ---- Libraries that are made up ---------------------------------------------------------------------------- */

struct lk_gpu_layer {
    int64_t by; /* 0: not built */
};

static int chosen, built, tried;
static int64_t fastest = 7, builds = 7, runs = 7; /* numbers of ways; 0 of the fastest: none is taken */

static bool build(lk_gpu *gpu, lk_gpu_layer *l, const lk_gpu_way *way) {
    (void)gpu;
    bool ok = way->by == LK_WAY_CUDNN && way->count == 2 && way->numbers[0] == builds;
    if (ok) l->by = way->numbers[0];
    built += ok;
    return ok;
}

static bool run(lk_gpu *gpu, lk_gpu_layer *l) {
    (void)gpu;
    tried++;
    return l->by == runs;
}

static bool choose(lk_gpu *gpu, lk_gpu_layer *l, lk_gpu_way *way) {
    (void)gpu;
    chosen++;
    *way = (lk_gpu_way){LK_WAY_CUDNN, 2, {fastest, -3000000000}};
    if (fastest <= 0) way->by = fastest ? LK_WAY_UNKNOWN : LK_WAY_PLAIN;
    if (fastest <= 0) way->count = 0;
    l->by = fastest;
    return fastest > 0;
}

static void close_layer(lk_gpu_layer *l) { l->by = 0; }

static const lk_way_steps steps = {build, run, choose, close_layer};

static lk_gpu_layer_key key_of(int batch) {
    lk_gpu_layer_key k;
    memset(&k, 0, sizeof k);
    k.alpha = 0.1f;
    k.xs = (lk_nn_shape){batch, 64, 32, 32};
    return k;
}

static bool open_layer(int batch) {
    lk_gpu_layer l = {0};
    lk_gpu_layer_key k = key_of(batch);
    bool works = lk_ways_open(&steps, NULL, &l, &k);
    assert_int_equal(works, l.by > 0);
    return works;
}

/* What a new process knows. */
static void start_anew(void) {
    lk_ways_begin("another", "none");
    lk_ways_begin(card, libraries);
    chosen = built = tried = 0;
    fastest = builds = runs = 7;
}

/* ---- The file ---------------------------------------------------------------------------------------------- */

static char *file(void) { return lk_format(NULL, "%s/gpu-layers-nvidia-h200-compute-capability-9-0.txt", folder); }

static char *read_file(void) {
    char *path = file();
    void *data = NULL;
    size_t size;
    lk_error err = {0};
    test_ok(lk_file_read(path, LK_MIB(1), &data, &size, &err), &err);
    free(path);
    return data;
}

static void write_bytes(const char *bytes, size_t size) {
    char *path = file();
    lk_error err = {0};
    test_ok(lk_file_write(path, bytes, size, &err), &err);
    free(path);
}

static int log_lines;
static void count_lines(lk_log_level level, const char *line, void *user) {
    (void)user, (void)line;
    if (level != LK_LOG_DEBUG) log_lines++;
}

/* ---- Tests ------------------------------------------------------------------------------------------------- */

static void chooses_once(void **state) {
    (void)state;
    start_anew();
    for (int i = 0; i < 3; i++) assert_true(open_layer(1) && open_layer(2));
    assert_int_equal(chosen, 2);
    assert_int_equal(built, 4);
    assert_int_equal(tried, 0); /* what was chosen here ran here */
    fastest = 0;
    assert_false(open_layer(3) || open_layer(3));
    assert_int_equal(chosen, 3);
    lk_ways_save();
    start_anew();
    for (int i = 0; i < 3; i++) assert_true(open_layer(1) && open_layer(2) && !open_layer(3));
    assert_int_equal(chosen, 0);
    assert_int_equal(tried, 2); /* once each, since it comes from a file */
}

static void keeps_nothing_uncertain(void **state) {
    (void)state;
    start_anew();
    fastest = -1;
    assert_false(open_layer(4) || open_layer(4));
    assert_int_equal(chosen, 2);
    fastest = 7;
    assert_true(open_layer(4) && open_layer(4));
    assert_int_equal(chosen, 3);
}

static void chooses_anew_what_no_longer_works(void **state) {
    (void)state;
    start_anew();
    fastest = builds = runs = 8;
    assert_true(open_layer(1)); /* cannot be built */
    builds = 7;
    assert_true(open_layer(2)); /* is built, and does not run */
    assert_int_equal(chosen, 2);
    assert_int_equal(built, 1);
    lk_ways_save();
    start_anew();
    builds = runs = 8;
    assert_true(open_layer(1) && open_layer(2) && !open_layer(3));
    assert_int_equal(chosen, 0);
    assert_int_equal(tried, 2);
}

static void counts_of_trials_differ(void **state) {
    (void)state;
    start_anew();
    builds = runs = 8;
    setenv("LIKENESS_GPU_TRIALS", "1", 1);
    assert_true(open_layer(1));
    assert_int_equal(chosen, 1);
    unsetenv("LIKENESS_GPU_TRIALS");
    assert_true(open_layer(1));
    assert_int_equal(chosen, 1);
}

static void other_cards_and_libraries_are_strangers(void **state) {
    (void)state;
    start_anew();
    lk_ways_begin(card, "cuDNN 92000, cuBLASLt 130201");
    assert_true(open_layer(1));
    lk_ways_begin("NVIDIA T4, compute capability 7.5", libraries);
    assert_true(open_layer(1));
    assert_int_equal(chosen, 2);
}

static void *open_many(void *user) {
    (void)user;
    for (int i = 10; i < 20; i++)
        if (!open_layer(i)) return NULL;
    return "";
}

static void threads_share(void **state) {
    (void)state;
    start_anew();
    pthread_t threads[4];
    for (size_t i = 0; i < LK_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_many, NULL), 0);
    for (size_t i = 0; i < LK_COUNT(threads); i++) {
        void *done = NULL;
        assert_int_equal(pthread_join(threads[i], &done), 0);
        assert_non_null(done);
    }
    assert_int_equal(chosen, 10);
    assert_int_equal(built, 30);
}

/* Each writes between the others. */
static void processes_add_to_one_file(void **state) {
    (void)state;
    pid_t children[4];
    for (int c = 0; c < 4; c++) {
        children[c] = fork();
        if (children[c] == 0) {
            start_anew();
            for (int i = 0; i < 5; i++) {
                open_layer(100 + 10 * c + i);
                lk_ways_save();
            }
            _exit(0);
        }
    }
    for (int c = 0; c < 4; c++) {
        int status;
        assert_int_equal(waitpid(children[c], &status, 0), children[c]);
        assert_int_equal(status, 0);
    }
    start_anew();
    for (int i = 0; i < 20; i++) assert_true(open_layer(100 + 10 * (i / 5) + i % 5));
    assert_int_equal(chosen, 0);
}

/* What stands before the damage holds; the rest is chosen anew, and the file is whole again. */
static void damaged_files_are_told_once(void **state) {
    (void)state;
    start_anew();
    open_layer(1000);
    lk_ways_save();
    char *whole = read_file();
    const char *const tails[] = {
        "1 2 3",
        "1 2 3\n",
        "\x01\xff\n",
        "0 0 0 0 0 0 0 0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 0 0 0 0 3 > cudnn 1 x\n",
        "0 0 0 0 0 0 0 0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 0 0 0 0 3 > abacus 1\n",
        "0 0 0 0 0 0 0 0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 0 0 0 0 0 > plain\n",
        "0 0 0 0 0 0 0 0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 4294967296 0 0 0 0 3 > plain\n",
        "0 0 0 0 0 0 0 0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 0 0 0 0 3 > cudnn 99999999999999999999\n",
        "0 0 0 0 0 0 0 0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 0 0 0 0 3 > cudnn 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 "
        "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"};
    for (size_t i = 0; i < LK_COUNT(tails); i++) {
        char *damaged = lk_format(NULL, "%s%s", whole, tails[i]);
        write_bytes(damaged, strlen(damaged));
        start_anew();
        log_lines = 0;
        lk_ways_begin("another", "none");
        lk_ways_begin(card, libraries);
        assert_int_equal(log_lines, 1);
        assert_true(open_layer(1000));
        assert_int_equal(chosen, 0);
        assert_true(open_layer(1001 + (int)i));
        lk_ways_save();
        assert_int_equal(log_lines, 1);
        char *mended = read_file();
        assert_null(strstr(mended, tails[i]));
        start_anew();
        assert_int_equal(log_lines, 1);
        free(mended);
        free(damaged);
    }
    free(whole);
}

/* Cut anywhere or with any byte changed, a line or the file is read without an accident. */
static void any_damage_is_survived(void **state) {
    (void)state;
    char *whole = read_file();
    size_t size = strlen(whole), line = size - 120;
    lk_rng r = lk_rng_make(1, 0);
    for (int i = 0; i < 2000; i++) {
        bool all = i % 100 == 0;
        char *damaged = lk_strdup(whole, NULL);
        size_t at = (size_t)lk_rng_uniform(&r, all ? 0 : (double)line, (double)size);
        damaged[at] = i % 2 ? 0 : (char)lk_rng_uniform(&r, -128, 128);
        lk_known_layer l;
        lk_ways_parse(damaged + line + i % 60, &l);
        if (all) {
            write_bytes(damaged, i % 200 ? at : size);
            start_anew();
        }
        free(damaged);
    }
    free(whole);
}

static void no_place_is_told_once(void **state) {
    (void)state;
    setenv("LIKENESS_CACHE", "/dev/null/nowhere", 1);
    start_anew();
    log_lines = 0;
    assert_true(open_layer(1));
    lk_ways_save();
    assert_true(open_layer(1) && open_layer(2));
    lk_ways_save();
    assert_int_equal(chosen, 2);
    assert_int_equal(log_lines, 1);
}

static int make_folder(void **state) {
    (void)state;
    folder = test_folder();
    setenv("LIKENESS_CACHE", folder, 1);
    lk_log_to(count_lines, NULL);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(chooses_once),
                                       cmocka_unit_test(keeps_nothing_uncertain),
                                       cmocka_unit_test(chooses_anew_what_no_longer_works),
                                       cmocka_unit_test(counts_of_trials_differ),
                                       cmocka_unit_test(other_cards_and_libraries_are_strangers),
                                       cmocka_unit_test(threads_share),
                                       cmocka_unit_test(processes_add_to_one_file),
                                       cmocka_unit_test(damaged_files_are_told_once),
                                       cmocka_unit_test(any_damage_is_survived),
                                       cmocka_unit_test(no_place_is_told_once)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
