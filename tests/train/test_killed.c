/* Training is killed at random moments, from its start to in the midst of a save: it goes on each time, at most one save
 * interval back. $LIKENESS_KILLS says how often. Training runs in children only: threads that OpenMP
 * started do not survive a fork. */
#include "made_up.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define INTERVAL 1 /* iterations between saves */

static char *folder;

static int make_folder(void **state) {
    (void)state;
    folder = tiny_folder();
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

static int report_to;
static void report_iteration(const lk_progress *p, void *user) {
    (void)user;
    int64_t iteration = (int64_t)p->done;
    if (!p->ended && write(report_to, &iteration, sizeof iteration) != sizeof iteration) _exit(96);
}

static pid_t start(const char *model, int64_t iterations, rlim_t most_bytes, int report) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child) return child;
    signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limit = {most_bytes, most_bytes};
    if (most_bytes && setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(99);
    report_to = report;
    if (report >= 0) lk_progress_to(report_iteration, NULL);
    lk_train_job job = tiny_job(folder, model, iterations);
    job.options.save_every_iterations = INTERVAL;
    lk_error err = {0};
    if (lk_train(&job, NULL, &err)) _exit(0);
    char *note = lk_path_join(folder, "error.txt", NULL);
    if (note) lk_file_write(note, err.message, strlen(err.message), NULL);
    _exit(err.code ? (int)err.code : 97);
}

static int status_of(pid_t child) {
    int status;
    assert_true(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void test_killed(void **state) {
    (void)state;
    const char *wanted = getenv("LIKENESS_KILLS");
    int kills = wanted ? atoi(wanted) : 5, alive = 0;
    char *model = lk_path_join(folder, "killed", NULL);
    lk_rng random = lk_rng_make(11, 11);
    int64_t saved = 0;
    for (int i = 0; i < kills; i++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = start("killed", 0, 0, ends[1]);
        close(ends[1]);
        int64_t told = -1, seen;
        for (int news = i % 4; news > 0; news--)
            if (read(ends[0], &seen, sizeof seen) == sizeof seen) told = seen;
        usleep(lk_rng_below(&random, 300000));
        kill(child, SIGKILL);
        assert_int_equal(status_of(child), -SIGKILL);
        while (read(ends[0], &seen, sizeof seen) == sizeof seen) told = seen;
        close(ends[0]);
        lk_error err = {0};
        lk_record r;
        bool found;
        test_ok(lk_folder_open(model, &r, false, &found, &err), &err);
        int64_t now = found ? r.iteration : 0;
        if (found) lk_record_free(&r);
        assert_true(now >= saved && now % INTERVAL == 0);
        if (told >= 0) assert_true(now >= told - INTERVAL);
        alive += now > saved;
        saved = now;
    }
    assert_true(alive > 0);
    assert_int_equal(status_of(start("killed", saved + 1, 0, -1)), 0);
    lk_record r = record_of(model);
    assert_int_equal(r.iteration, saved + 1);
    lk_record_free(&r);
    free(model);
}

static void test_full(void **state) {
    (void)state;
    assert_int_equal(status_of(start("full", 3, LK_MIB(20), -1)), LK_ERR_IO); /* weights fit, moments do not */
    char *note = lk_path_join(folder, "error.txt", NULL), *model = lk_path_join(folder, "full", NULL);
    void *text;
    size_t size;
    lk_error err = {0};
    test_ok(lk_file_read(note, 2000, &text, &size, &err), &err);
    assert_non_null(strstr(text, "full/optimizer."));
    free(text);
    lk_record r;
    bool found;
    test_ok(lk_folder_open(model, &r, false, &found, &err), &err);
    assert_false(found);
    assert_int_equal(status_of(start("full", 3, 0, -1)), 0);
    free(note);
    free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_killed), cmocka_unit_test(test_full)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
