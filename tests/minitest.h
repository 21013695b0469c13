/* As much of cmocka as the tests of nn need, for machines that have no cmocka (a GPU machine with CMake and Ninja alone). The
 * first failure ends the program. */
#ifndef LIKENESS_MINITEST_H
#define LIKENESS_MINITEST_H

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
} CMUnitTest;

static jmp_buf minitest_skip;

#define fail_msg(...)                                                                                                  \
    do {                                                                                                               \
        printf("FAILED at %s:%d: ", __FILE__, __LINE__);                                                               \
        printf(__VA_ARGS__);                                                                                           \
        printf("\n");                                                                                                  \
        exit(1);                                                                                                       \
    } while (0)
#define minitest_check(ok, text)                                                                                       \
    do {                                                                                                               \
        if (!(ok)) fail_msg("%s", text);                                                                               \
    } while (0)
#define assert_true(x)               minitest_check(x, #x)
#define assert_false(x)              minitest_check(!(x), "not " #x)
#define assert_null(x)               minitest_check((x) == NULL, #x " is NULL")
#define assert_non_null(x)           minitest_check((x) != NULL, #x " is not NULL")
#define assert_int_equal(a, b)       minitest_check((a) == (b), #a " is " #b)
#define assert_in_range(a, b, c)     minitest_check((long)(a) >= (long)(b) && (long)(a) <= (long)(c), #a " in range")
#define assert_memory_equal(a, b, n) minitest_check(memcmp(a, b, n) == 0, #a " equals " #b)
#define assert_float_equal(a, b, e)  minitest_check(fabs((double)(a) - (double)(b)) <= (double)(e), #a " is near " #b)
#define skip()                       longjmp(minitest_skip, 1)
#define cmocka_unit_test(f)                                                                                            \
    { #f, f }
#define cmocka_run_group_tests(tests, setup, teardown)                                                                 \
    minitest_run(tests, sizeof tests / sizeof tests[0], setup, teardown)

static inline int minitest_run(const CMUnitTest *tests, size_t count, int (*setup)(void **), int (*teardown)(void **)) {
    void *state = NULL;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (setup && setup(&state)) return 1;
    for (volatile size_t i = 0; i < count; i++) {
        if (setjmp(minitest_skip)) {
            printf("skipped: %s\n", tests[i].name);
            continue;
        }
        tests[i].run(&state);
        printf("ok: %s\n", tests[i].name);
    }
    return teardown ? teardown(&state) : 0;
}

#endif
