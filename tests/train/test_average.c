/* The average of the weights: against its formula, and that training itself never notices it. */
#include "made_up.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOW true /* there a step takes a second */
#else
#define SLOW false
#endif
enum { TIMES = SLOW ? 2 : 3, LAST = 20 * TIMES + 5 }; /* weights come into the average so often */

static char *folder;
static lk_error err;

static int set_stage(void **state) {
    (void)state;
    folder = tiny_folder();
    return 0;
}

static int clear_stage(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

static lk_record record_in(const char *model) {
    char *dir = lk_path_join(folder, model, &err);
    lk_record r = record_of(dir);
    free(dir);
    return r;
}

/* Trains to an iteration, with a backup at each 20th. */
static lk_record train(const char *model, bool average, int64_t iterations) {
    lk_train_job job = tiny_job(folder, model, iterations);
    test_ok(lk_strings_add(&job.set, average ? "average=yes" : "average=no", &err) &&
                lk_strings_add(&job.set, "backup-every-iterations=20", &err) &&
                lk_strings_add(&job.set, "preview-every=30", &err),
            &err);
    test_ok(lk_train(&job, NULL, &err), &err);
    lk_record r = record_of(job.model_dir);
    tiny_job_free(&job);
    return r;
}

/* The numbers of a safetensors file; free them. */
static float *numbers(const char *model, const char *name, size_t *count) {
    void *data = NULL;
    size_t size;
    uint64_t header;
    char *path = lk_format(&err, "%s/%s/%s", folder, model, name);
    test_ok(path && lk_file_read(path, LK_MIB(64), &data, &size, &err), &err);
    free(path);
    memcpy(&header, data, sizeof header);
    *count = (size - 8 - header) / sizeof(float);
    float *values = malloc(*count * sizeof *values);
    memcpy(values, (char *)data + 8 + header, *count * sizeof *values);
    free(data);
    return values;
}

static double *weights_of_backup(const char *model, int iteration, size_t *count) {
    char *path = lk_format(&err, "%s/backups/%d", model, iteration), *dir = lk_path_join(folder, path, &err);
    lk_record r = record_of(dir);
    float *values = numbers(path, r.weights.name, count);
    double *wide = malloc(*count * sizeof *wide);
    for (size_t i = 0; i < *count; i++) wide[i] = (double)values[i];
    lk_record_free(&r);
    free(values);
    free(path);
    free(dir);
    return wide;
}

/* By the weights of a training that has no average: the first as they are, then 8/(n + 7) of the n-th. */
static void follows_its_formula(void **state) {
    (void)state;
    size_t count, n;
    lk_record plain = train("plain", false, LAST), averaged = train("averaged", true, LAST);
    assert_string_equal(plain.weights.sha256, averaged.latest.sha256);
    assert_string_equal(plain.optimizer.sha256, averaged.optimizer.sha256);
    assert_string_equal(plain.latest.name, "");
    float *got = numbers("averaged", averaged.weights.name, &n);
    double *want = weights_of_backup("plain", 20, &count), largest = 0;
    assert_int_equal(n, count);
    for (int i = 2; i <= TIMES; i++) {
        double *now = weights_of_backup("plain", 20 * i, &count);
        for (size_t k = 0; k < n; k++) want[k] += 8.0 / (i + 7) * (now[k] - want[k]);
        if (i == TIMES)
            for (size_t k = 0; k < n; k++) largest = fmax(largest, fabs(now[k] - want[k]));
        free(now);
    }
    for (size_t k = 0; k < n; k++) assert_true(fabs((double)got[k] - want[k]) <= 1e-6 * fabs(want[k]) + 1e-8);
    assert_true(largest > 1e-4); /* it is not merely the latest weights */
    free(want);
    free(got);
    lk_record_free(&plain);
    lk_record_free(&averaged);
}

/* In parts, or from a backup: the same average of the same weights. */
static void goes_on(void **state) {
    (void)state;
    if (SLOW) skip();
    lk_record whole = record_in("averaged"), first = train("parts", true, 30), second = train("parts", true, LAST);
    assert_string_equal(second.weights.sha256, whole.weights.sha256);
    assert_string_equal(second.latest.sha256, whole.latest.sha256);
    char *model = lk_path_join(folder, "parts", &err);
    test_ok(lk_model_restore(model, "40", &err), &err);
    lk_record_free(&first);
    first = record_of(model);
    assert_true(first.iteration == 40 && *first.latest.name);
    lk_record_free(&second);
    second = train("parts", true, LAST);
    assert_string_equal(second.weights.sha256, whole.weights.sha256);
    assert_string_equal(second.optimizer.sha256, whole.optimizer.sha256);
    lk_record_free(&whole);
    lk_record_free(&first);
    lk_record_free(&second);
    free(model);
}

/* Without it training goes on from the latest weights; and a damaged file of them is noticed. */
static void ends(void **state) {
    (void)state;
    if (SLOW) skip();
    lk_record plain = train("plain", false, LAST + 1), parts = train("parts", false, LAST + 1);
    assert_string_equal(parts.weights.sha256, plain.weights.sha256);
    assert_string_equal(parts.latest.name, "");
    lk_record_free(&parts);
    parts = record_in("averaged");
    char *path = lk_format(&err, "%s/averaged/%s", folder, parts.latest.name);
    test_ok(lk_file_write(path, "no", 2, &err), &err);
    lk_record r;
    bool found;
    char *model = lk_path_join(folder, "averaged", &err);
    test_ok(lk_folder_open(model, &r, false, &found, &err), &err);
    assert_true(found && r.iteration == 60); /* the save before */
    lk_record_free(&r);
    lk_record_free(&parts);
    lk_record_free(&plain);
    free(path);
    free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(follows_its_formula), cmocka_unit_test(goes_on),
                                       cmocka_unit_test(ends)};
    return cmocka_run_group_tests(tests, set_stage, clear_stage);
}
