/* Errors, random numbers, queues, parallel loops. */
#include "testing.h"

#include <math.h>
#include <pthread.h>

static void errors_keep_what_was_said(void **state) {
    (void)state;
    lk_error err = {0};
    assert_false(lk_fail(&err, LK_ERR_FORMAT, "bad %d", 7));
    assert_false(lk_fail_in(&err, "a.mp4"));
    assert_string_equal(err.message, "a.mp4: bad 7");
    assert_int_equal(err.code, LK_ERR_FORMAT);
    assert_false(lk_fail(NULL, LK_ERR_IO, "nobody listens"));
    assert_null(lk_alloc(SIZE_MAX / 2, 3, &err));
    assert_int_equal(err.code, LK_ERR_MEMORY);
}

/* Moments of the distributions, far outside what chance allows if they were wrong. */
static void random_numbers(void **state) {
    (void)state;
    enum { N = 200000 };
    lk_rng r = lk_rng_make(1, 2), again = lk_rng_make(1, 2), other = lk_rng_make(1, 3);
    uint64_t first = lk_rng_u64(&r);
    assert_true(first == lk_rng_u64(&again));
    assert_true(first != lk_rng_u64(&other));
    double mean = 0, square = 0, uniform = 0;
    int counts[7] = {0};
    for (int i = 0; i < N; i++) {
        double x = lk_rng_normal(&r);
        mean += x / N;
        square += x * x / N;
        double u = lk_rng_uniform(&r, -1, 3);
        assert_true(u >= -1 && u < 3);
        uniform += u / N;
        counts[lk_rng_below(&r, 7)]++;
    }
    assert_true(fabs(mean) < 0.015 && fabs(square - 1) < 0.02 && fabs(uniform - 1) < 0.015);
    for (int i = 0; i < 7; i++) assert_true(abs(counts[i] - N / 7) < 1000);
}

static void *produce(void *queue) {
    static int items[1000];
    for (int i = 0; i < 1000; i++)
        if (!lk_queue_push(queue, &items[i])) break;
    lk_queue_close(queue);
    return NULL;
}

static void queues_keep_order(void **state) {
    (void)state;
    lk_queue *q = lk_queue_new(3, NULL);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, produce, q), 0);
    int *before = NULL, count = 0;
    for (int *item; (item = lk_queue_pop(q)); before = item, count++)
        if (before) assert_ptr_equal(item, before + 1);
    assert_int_equal(count, 1000);
    assert_false(lk_queue_push(q, before));
    assert_null(lk_queue_try_pop(q));
    pthread_join(thread, NULL);
    lk_queue_free(q);
}

static void add(int i, void *user) { ((int *)user)[i] += i; }

static void parallel_loops_visit_all(void **state) {
    (void)state;
    int seen[500] = {0};
    lk_parallel_for(500, add, seen);
    for (int i = 0; i < 500; i++) assert_int_equal(seen[i], i);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_keep_what_was_said),
        cmocka_unit_test(random_numbers),
        cmocka_unit_test(queues_keep_order),
        cmocka_unit_test(parallel_loops_visit_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
