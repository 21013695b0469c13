#include "sqlite_pool.h"

#include <sanitizer/asan_interface.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SMALLEST 5  /* log2 of the bytes of a block, with its head and the gap behind */
#define LARGEST  17 /* what does not fit comes from malloc */
#define GAP      16
#define POOL     ((size_t)256 << 20)
#define NEW      ((size_t)64 << 10) /* is cut into blocks at once */
#define UNSEEN   __attribute__((no_sanitize("address")))

/* Before each block; as poisoned as the gaps. */
typedef struct head {
    struct head *next; /* of those that are free */
    int size, order;   /* order 0: from malloc */
} head;

/* First in, first out. */
static struct { head *first, *last; } unused[LARGEST + 1];
static char *pool;
static size_t taken;
static long blocks;

UNSEEN static void put(head *h) {
    h->next = NULL;
    if (unused[h->order].last)
        unused[h->order].last->next = h;
    else
        unused[h->order].first = h;
    unused[h->order].last = h;
}

UNSEEN static void cut(int order) {
    size_t each = (size_t)1 << order, n = NEW > each ? NEW : each;
    if (taken + n > POOL) {
        fprintf(stderr, "SQLite holds %zu bytes, which is too much\n", taken);
        abort();
    }
    for (size_t at = 0; at < n; at += each) {
        head *h = (head *)(pool + taken + at);
        h->order = order;
        put(h);
    }
    taken += n;
}

UNSEEN static void *take(int size) {
    int order = SMALLEST;
    while (order <= LARGEST && ((size_t)1 << order) < (size_t)size + sizeof(head) + GAP) order++;
    head *h;
    if (order > LARGEST) {
        h = malloc((size_t)size + sizeof *h);
        if (!h) return NULL;
        h->order = 0;
    } else {
        if (!unused[order].first) cut(order);
        h = unused[order].first;
        unused[order].first = h->next;
        if (!h->next) unused[order].last = NULL;
    }
    h->size = size;
    blocks++;
    __asan_unpoison_memory_region(h + 1, (size_t)size);
    return h + 1;
}

UNSEEN static void give(void *p) {
    if (!p) return;
    head *h = (head *)p - 1;
    blocks--;
    if (h->order == 0) {
        free(h);
        return;
    }
    __asan_poison_memory_region(p, (size_t)h->size);
    put(h);
}

UNSEEN static int size_of(void *p) { return p ? ((head *)p - 1)->size : 0; }

static void *take_more(void *p, int size) {
    void *more = take(size);
    int old = size_of(p);
    if (!more) return NULL;
    memcpy(more, p, (size_t)(old < size ? old : size));
    give(p);
    return more;
}

static int as_it_is(int size) { return size; }

static int begin(void *unneeded) {
    (void)unneeded;
    return SQLITE_OK;
}

static void end(void *unneeded) { (void)unneeded; }

void sqlite_pool_install(void) {
    static sqlite3_mem_methods methods = {take, give, take_more, size_of, as_it_is, begin, end, NULL};
    pool = mmap(NULL, POOL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pool == MAP_FAILED) abort();
    __asan_poison_memory_region(pool, POOL);
    sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
}

long sqlite_pool_blocks(void) { return blocks; }
