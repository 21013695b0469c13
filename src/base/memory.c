#include "likeness/base.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

/* Much memory lies in huge pages where the system has them: the processor finds its way in few of those, and in millions
 * of small ones it does not. */
static void *take(size_t bytes) {
    void *p;
    if (posix_memalign(&p, bytes < 4 * HUGE_PAGE ? 64 : HUGE_PAGE, bytes)) return NULL;
    if (bytes >= 4 * HUGE_PAGE) madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

void *lk_alloc(size_t n, size_t size, lk_error *err) {
    size_t bytes;
    void *p = NULL;
    if (!__builtin_mul_overflow(n, size, &bytes) && bytes < SIZE_MAX - 64) {
        bytes = bytes ? (bytes + 63) / 64 * 64 : 64;
        p = take(bytes);
    }
    if (!p) {
        lk_fail(err, LK_ERR_MEMORY, "out of memory: %zu times %zu bytes are not to be had", n, size);
        return NULL;
    }
    return memset(p, 0, bytes);
}

char *lk_strdup(const char *s, lk_error *err) {
    size_t size = strlen(s) + 1;
    char *copy = malloc(size);
    if (!copy) {
        lk_fail(err, LK_ERR_MEMORY, "out of memory");
        return NULL;
    }
    return memcpy(copy, s, size);
}

char *lk_format(lk_error *err, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0) {
        lk_fail(err, LK_ERR_MEMORY, "out of memory");
        return NULL;
    }
    return text;
}
