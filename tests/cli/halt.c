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

typedef int (*open_type)(const char *, int, ...);

static int opened(const char *name, const char *path, int flags, va_list args) {
    NEXT(open_type, name)
    bool makes = flags & O_CREAT;
    mode_t mode = makes ? va_arg(args, mode_t) : 0;
    int fd = next(path, flags, mode);
    if (makes && fd >= 0) made(path);
    return fd;
}

int open(const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    int fd = opened("open", path, flags, args);
    va_end(args);
    return fd;
}

int open64(const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    int fd = opened("open64", path, flags, args);
    va_end(args);
    return fd;
}

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
