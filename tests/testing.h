/* What every test program includes: cmocka with what it needs before it. */
#ifndef LIKENESS_TESTING_H
#define LIKENESS_TESTING_H

/* clang-format off */
/* cmocka wants its own includes before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#if __has_include(<cmocka.h>)
#include <cmocka.h>
#else
#include "minitest.h"
#endif
/* clang-format on */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "likeness/base.h"

/* A new empty folder below the system's temporary one; the test removes it with test_remove_folder. */
static inline char *test_folder(void) {
    const char *tmp = getenv("TMPDIR");
    lk_error err = {0};
    char *path = lk_format(&err, "%s/likeness-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!path || !mkdtemp(path)) {
        free(path);
        fail_msg("no temporary folder can be made");
        return NULL;
    }
    return path;
}

static inline void test_remove_folder(char *path) {
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
    free(path);
}

static inline void test_ok(bool result, const lk_error *err) {
    if (!result) fail_msg("unexpected error: %s", err->message);
}

#endif
