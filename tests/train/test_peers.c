/* Two processes train what one trains: same samples, same losses, one save. Run under mpirun. */
#include "made_up.h"

#include <math.h>

static lk_nn_peers *peers;
static char *folder;

static bool first(void) { return lk_nn_peers_rank(peers) == 0; }

/* Every process looks at one folder, which rank 0 made. */
static int make_folder(void **state) {
    (void)state;
    static char shared[300];
    lk_error err = {0};
    if (first()) {
        folder = tiny_folder();
        snprintf(shared, sizeof shared, "%s", folder);
    }
    test_ok(lk_nn_peers_broadcast(peers, shared, sizeof shared, &err), &err);
    if (!first()) folder = shared;
    return 0;
}

static void train(lk_train_job *job) {
    lk_error err = {0};
    lk_train_report report;
    test_ok(lk_train(job, &report, &err), &err);
}

/* The rows of history.csv that `model` wrote, as numbers: src and dst losses of each iteration. */
static int losses_of(const char *model_dir, double *losses, int most) {
    char *path = lk_path_join(model_dir, "history.csv", NULL), line[300];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    int count = 0;
    assert_non_null(fgets(line, sizeof line, f)); /* the header */
    while (count + 1 < most && fgets(line, sizeof line, f)) {
        assert_int_equal(sscanf(line, "%*d,%*f,%lf,%lf", &losses[count], &losses[count + 1]), 2);
        count += 2;
    }
    fclose(f);
    free(path);
    return count;
}

static void test_together_as_alone(void **state) {
    (void)state;
    lk_error err = {0};
    lk_train_job whole = tiny_job(folder, "together", 1);
    whole.options.batch = 2;
    whole.peers = peers;
    train(&whole);
    whole.options.iterations = 3; /* and go on from what rank 0 saved */
    train(&whole);
    if (first()) {
        lk_train_job alone = tiny_job(folder, "alone", 3);
        alone.options.batch = 2;
        train(&alone);
        double a[40], b[40];
        int n = losses_of(whole.model_dir, a, 40), m = losses_of(alone.model_dir, b, 40);
        assert_true(n == m && n > 0);
        for (int i = 0; i < n; i++)
            if (!(fabs(a[i] - b[i]) <= 1e-3 * fabs(b[i]))) fail_msg("loss %d: %g together, %g alone", i, a[i], b[i]);
        lk_record p = record_of(whole.model_dir), q = record_of(alone.model_dir);
        assert_true(p.iteration == 3 && p.iteration == q.iteration && p.position == q.position);
        lk_record_free(&p);
        lk_record_free(&q);
        tiny_job_free(&alone);
    }
    tiny_job_free(&whole);
    char sign = 0;
    test_ok(lk_nn_peers_broadcast(peers, &sign, sizeof sign, &err), &err);
}

static void test_odd_batches_are_refused(void **state) {
    (void)state;
    int count = lk_nn_peers_count(peers);
    lk_error err = {0};
    lk_train_report report;
    lk_train_job job = tiny_job(folder, "odd", 3);
    job.options.batch = count + 1;
    job.peers = peers;
    assert_false(lk_train(&job, &report, &err));
    assert_non_null(strstr(err.message, "does not divide"));
    tiny_job_free(&job);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_together_as_alone),
                                       cmocka_unit_test(test_odd_batches_are_refused)};
    lk_error err = {0};
    if (!lk_nn_peers_open(&peers, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    if (lk_nn_peers_count(peers) < 2) return 77; /* nothing to compare */
    if (cmocka_run_group_tests(tests, make_folder, NULL)) return 1;
    bool made_it = first();
    lk_nn_peers_close(peers); /* waits for the others */
    if (made_it) test_remove_folder(folder);
    return 0;
}
