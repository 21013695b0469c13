/* Saves of a small network: killed at any moment, out of disk, damaged. What opens afterwards is always a whole save,
 * and the newest there can be. */
#include "made_up.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define KILLS 50

static lk_nn_exec *network(uint64_t seed) {
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_graph_new(&err);
    lk_nn_t x = lk_nn_input(g, "x", (lk_nn_shape){1, 3, 8, 8});
    lk_nn_t w = lk_nn_param(g, "kernel", (lk_nn_shape){64, 3, 5, 5}, (lk_nn_init){LK_NN_NORMAL, 1});
    lk_nn_loss(g, "loss", lk_nn_square(g, lk_nn_conv(g, x, w, -1, &(lk_nn_conv_options){.same = true})), 1);
    lk_nn_exec *e = lk_nn_compile(g, &(lk_nn_options){.train = true, .seed = seed, .threads = 1}, &err);
    lk_nn_graph_free(g);
    test_ok(e != NULL, &err);
    return e;
}

static lk_record fresh_record(void) {
    lk_error err = {0};
    lk_swap_objective objective = {0};
    lk_train_options options = {0};
    lk_record r = {.config = tiny_config()};
    test_ok(lk_swap_complete(&r.config, &err) && lk_options_defaults(lk_swap_objective_options, &objective, &err) &&
                lk_options_defaults(lk_train_option_table, &options, &err) &&
                lk_settings_start(&r.settings, &objective, &options, &err),
            &err);
    return r;
}

/* The iteration is written into the weights too, so that what belongs together can be recognised. */
static void save(const char *dir, lk_record *r, lk_nn_exec *e, int64_t iteration) {
    lk_error err = {0};
    float kernel[64 * 3 * 5 * 5] = {(float)iteration};
    assert_true(lk_nn_param_set(e, 0, LK_NN_VALUE, kernel));
    r->iteration = iteration;
    test_ok(lk_folder_save(dir, r, &(lk_network){.exec = e}, &err), &err);
}

static int64_t expect_whole(const char *dir, lk_nn_exec *e) {
    lk_error err = {0};
    lk_record r = record_of(dir);
    lk_network n = {.exec = e};
    float kernel[64 * 3 * 5 * 5];
    test_ok(lk_network_load(&n, dir, &r, &err), &err);
    assert_true(lk_nn_param_get(e, 0, LK_NN_VALUE, kernel));
    assert_true(kernel[0] == (float)r.iteration);
    int64_t iteration = r.iteration;
    lk_record_free(&r);
    return iteration;
}

static void test_killed(void **state) {
    (void)state;
    char *folder = test_folder();
    lk_record r = fresh_record();
    lk_nn_exec *e = network(1);
    save(folder, &r, e, 1);
    lk_rng random = lk_rng_make(7, 7);
    int64_t least = 1;
    for (int i = 0; i < KILLS; i++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            lk_error err = {0};
            bool found;
            lk_record mine;
            lk_folder_clean(folder);
            if (!lk_folder_open(folder, &mine, true, &found, &err) || !found) _exit(1);
            for (;;) {
                save(folder, &mine, e, mine.iteration + 1);
                if (write(ends[1], &mine.iteration, sizeof mine.iteration) != sizeof mine.iteration) _exit(2);
            }
        }
        close(ends[1]);
        int64_t told;
        for (int saves = i % 3; saves > 0; saves--) /* so many, then somewhere in the next */
            if (read(ends[0], &told, sizeof told) == sizeof told) least = told;
        usleep(lk_rng_below(&random, 30000));
        kill(child, SIGKILL);
        int status;
        assert_true(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
        while (read(ends[0], &told, sizeof told) == sizeof told) least = told;
        close(ends[0]);
        int64_t there = expect_whole(folder, e);
        assert_true(there == least || there == least + 1); /* killed between a save and its report */
        least = there;
    }
    assert_true(least > 1);
    lk_nn_free(e);
    lk_record_free(&r);
    test_remove_folder(folder);
}

/* One byte changed, cut off, or gone. */
static void damage(const char *path, int how) {
    lk_error err = {0};
    void *data;
    size_t size;
    test_ok(lk_file_read(path, LK_MIB(4), &data, &size, &err), &err);
    if (how == 0) ((char *)data)[size / 2] ^= 4;
    if (how == 2)
        unlink(path);
    else
        test_ok(lk_file_write(path, data, how == 1 ? size / 2 : size, &err), &err);
    free(data);
}

static char warning[2000];
static void keep_warning(lk_log_level level, const char *line, void *user) {
    (void)user;
    if (level == LK_LOG_WARN) snprintf(warning, sizeof warning, "%s", line);
}

static void test_damaged(void **state) {
    (void)state;
    static const char *const kinds[] = {"weights.2.safetensors", "optimizer.2.safetensors", "model.json"};
    lk_nn_exec *e = network(1);
    lk_error err = {0};
    for (size_t i = 0; i < LK_COUNT(kinds) * 3; i++) {
        char *folder = test_folder(), *path = lk_path_join(folder, kinds[i / 3], NULL);
        lk_record r = fresh_record(), opened;
        save(folder, &r, e, 10);
        save(folder, &r, e, 20);
        assert_int_equal(expect_whole(folder, e), 20);
        damage(path, (int)(i % 3));
        *warning = 0;
        lk_log_to(keep_warning, NULL);
        assert_int_equal(expect_whole(folder, e), 10);
        assert_non_null(strstr(warning, kinds[i / 3]));
        assert_non_null(strstr(warning, "going on from the one before, iteration 10"));
        bool found;
        test_ok(lk_folder_open(folder, &opened, true, &found, &err), &err); /* as training opens it */
        lk_log_to(NULL, NULL);
        save(folder, &opened, e, 30);
        assert_int_equal(expect_whole(folder, e), 30);
        /* The good one is still the one before, not the damaged one. */
        char name[64];
        snprintf(name, sizeof name, "weights.%lld.safetensors", (long long)opened.number);
        free(path);
        path = lk_path_join(folder, name, NULL);
        damage(path, 0);
        assert_int_equal(expect_whole(folder, e), 10);
        free(path);
        path = lk_path_join(folder, "weights.1.safetensors", NULL);
        damage(path, 1);
        lk_record none;
        assert_false(lk_folder_open(folder, &none, false, &found, &err));
        assert_non_null(strstr(err.message, "the save before it cannot be used either"));
        free(path);
        lk_record_free(&opened);
        lk_record_free(&r);
        test_remove_folder(folder);
    }
    lk_nn_free(e);
}

static int files_in(const char *dir) {
    DIR *d = opendir(dir);
    assert_non_null(d);
    int n = 0;
    for (struct dirent *entry; (entry = readdir(d)) != NULL;)
        n += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
    closedir(d);
    return n;
}

/* The limit on a file's size stands for a full disk: each of the files fails once, with an average of the weights and
 * without. */
static void test_full(void **state) {
    (void)state;
    char *folder = test_folder();
    lk_record r = fresh_record();
    lk_nn_exec *e = network(1);
    save(folder, &r, e, 1);
    save(folder, &r, e, 2);
    int before = files_in(folder);
    static const rlim_t limits[] = {100, 5000, 20000, 30000};
    for (size_t i = 0; i < 2 * LK_COUNT(limits); i++) {
        bool with_average = i % 2;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            const struct rlimit limit = {limits[i / 2], limits[i / 2]};
            lk_error err = {0};
            signal(SIGXFSZ, SIG_IGN);
            if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(9);
            r.iteration = 3;
            lk_network n = {.exec = e};
            if (with_average && !lk_average_take(&n.average, e, &err)) _exit(6);
            bool saved = lk_folder_save(folder, &r, &n, &err);
            bool told =
                err.code == LK_ERR_IO && strstr(err.message, folder) && strstr(err.message, "cannot be written");
            _exit(saved ? 8 : told && r.number == 2 ? 0 : 7);
        }
        int status;
        assert_true(waitpid(child, &status, 0) == child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_int_equal(expect_whole(folder, e), 2);
        assert_int_equal(files_in(folder), before);
    }
    save(folder, &r, e, 4);
    assert_int_equal(expect_whole(folder, e), 4);
    lk_nn_free(e);
    lk_record_free(&r);
    test_remove_folder(folder);
}

static void test_newer_version(void **state) {
    (void)state;
    char *folder = test_folder(), *path = lk_path_join(folder, "model.json", NULL);
    lk_record r = fresh_record(), none;
    lk_nn_exec *e = network(1);
    lk_error err = {0};
    save(folder, &r, e, 1);
    json_t *json = lk_json_read(path, &err);
    assert_true(json && json_object_set_new(json, "format", json_integer(2)) == 0);
    test_ok(lk_json_write(path, json, &err), &err);
    json_decref(json);
    bool found;
    assert_false(lk_folder_open(folder, &none, true, &found, &err));
    assert_non_null(strstr(err.message, "newer version"));
    lk_nn_free(e);
    lk_record_free(&r);
    free(path);
    test_remove_folder(folder);
}

int main(void) {
    lk_set_threads(1); /* OpenMP's threads would not survive a fork */
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_killed), cmocka_unit_test(test_damaged),
                                       cmocka_unit_test(test_full), cmocka_unit_test(test_newer_version)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
