/* Preloaded into the program by a test (program.h): as soon as a file has come into being whose path is like the pattern
 * $LIKENESS_TEST_HALT, the program halts there, until the test sends it a signal. Once. */
#include <dlfcn.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

static void made(const char *path) {
    static atomic_flag halted = ATOMIC_FLAG_INIT;
    const char *pattern = getenv("LIKENESS_TEST_HALT");
    if (pattern && fnmatch(pattern, path, 0) == 0 && !atomic_flag_test_and_set(&halted)) raise(SIGSTOP);
}

/* The function of that name which this one stands before. */
#define NEXT(type, name)                                                                                               \
    type next;                                                                                                         \
    void *symbol = dlsym(RTLD_NEXT, name);                                                                             \
    memcpy(&next, &symbol, sizeof next);

int open(const char *path, int flags, ...) {
    typedef int (*type)(const char *, int, ...);
    NEXT(type, "open")
    bool makes = flags & O_CREAT;
    va_list args;
    va_start(args, flags);
    int fd = next(path, flags, makes ? va_arg(args, mode_t) : 0);
    va_end(args);
    if (makes && fd >= 0) made(path);
    return fd;
}

int open64(const char *path, int flags, ...)
    __attribute__((alias("open"))); /* the same where files have 64 bits anyway */

int rename(const char *from, const char *to) {
    typedef int (*type)(const char *, const char *);
    NEXT(type, "rename")
    int status = next(from, to);
    if (status == 0) made(to);
    return status;
}

int renameat2(int old_dir, const char *from, int new_dir, const char *to, unsigned flags) {
    typedef int (*type)(int, const char *, int, const char *, unsigned);
    NEXT(type, "renameat2")
    int status = next(old_dir, from, new_dir, to, flags);
    if (status == 0) made(to);
    return status;
}
