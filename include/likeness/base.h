/* base: what every room stands on — errors, logging, progress, interruption, files that are never half
 * written, random numbers, parallel loops, bounded queues.
 *
 *     lk_error err = {0};
 *     void *data;
 *     size_t size;
 *     if (!lk_file_read(path, LK_MIB(64), &data, &size, &err)) {
 *         fprintf(stderr, "%s\n", err.message);
 *         return 1;
 *     }
 *
 * Nothing in the library exits, aborts or prints: errors travel in an lk_error, news through the log and
 * progress sinks that the program installs. */
#ifndef LIKENESS_BASE_H
#define LIKENESS_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LK_VERSION  "0.1.0"
#define LK_MIB(n)   ((size_t)(n) << 20)
#define LK_COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A hot loop, compiled once per instruction set and chosen at load time. Off under sanitizers, whose runtime is
 * not up yet when the choice is made. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) &&               \
    !defined(__SANITIZE_THREAD__)
#define LK_HOT __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define LK_HOT
#endif

/* ---- Errors ---------------------------------------------------------------------------------------------- */

typedef enum lk_errcode {
    LK_OK = 0,
    LK_ERR_USAGE,       /* an option or argument is wrong: exit status 2 */
    LK_ERR_IO,          /* the system refused: missing file, full disk, no permission */
    LK_ERR_FORMAT,      /* a file's content is not what it should be */
    LK_ERR_MEMORY,      /* out of memory, or a size beyond every sane bound */
    LK_ERR_UNSUPPORTED, /* understood, but not possible here */
    LK_ERR_NOT_FOUND,   /* nothing there: no faces in the video, no such frame */
    LK_ERR_INTERRUPTED, /* the user asked to stop: exit status 130 */
} lk_errcode;

typedef struct lk_error {
    lk_errcode code;
    char message[1000]; /* one sentence: what failed, on which file or frame, what to do about it */
} lk_error;

/* Fill `err` (which may be NULL) and return false, so that `return lk_fail(err, LK_ERR_IO, "…", …);` reads well. */
bool lk_fail(lk_error *err, lk_errcode code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Put words before the message that is there already: "frame 12 of a.mp4: …". Returns false. */
bool lk_fail_in(lk_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* lk_fail with LK_ERR_IO and the text of errno behind the message. */
bool lk_fail_errno(lk_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- Logging and progress -------------------------------------------------------------------------------- */

typedef enum lk_log_level { LK_LOG_DEBUG, LK_LOG_INFO, LK_LOG_WARN } lk_log_level;

/* Receives every line of news, without a newline. May be called from any thread, one call at a time. */
typedef void (*lk_log_sink)(lk_log_level level, const char *line, void *user);
void lk_log_to(lk_log_sink sink, void *user);
void lk_log(lk_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A long job tells how far it is. Sinks draw bars on terminals, plain lines in logs; with no sink nothing happens. */
typedef struct lk_progress {
    const char *what;    /* "extracting a.mp4"; owned by the caller, valid until lk_progress_end */
    double done, total;  /* in units of the job's own; total 0 when unknown */
    double start, now;   /* seconds, monotonic */
    const char *details; /* "loss 0.123 0.140, 5.1 it/s", or NULL */
    bool ended;
} lk_progress;
typedef void (*lk_progress_sink)(const lk_progress *p, void *user);
void lk_progress_to(lk_progress_sink sink, void *user);
void lk_progress_begin(lk_progress *p, const char *what, double total);
void lk_progress_update(lk_progress *p, double done, const char *details_format, ...)
    __attribute__((format(printf, 3, 4)));
void lk_progress_end(lk_progress *p);

/* Ctrl-C: the program's signal handler requests, long jobs ask between units of work, save, and return
 * LK_ERR_INTERRUPTED (or, for training, success). Async-signal-safe. */
void lk_interrupt_request(void);
void lk_interrupt_clear(void);
bool lk_interrupted(void);

double lk_now(void); /* seconds, monotonic */

/* ---- Memory ---------------------------------------------------------------------------------------------- */

/* n·size zeroed bytes aligned to 64; NULL with LK_ERR_MEMORY in err on overflow or lack. Free with free(). */
void *lk_alloc(size_t n, size_t size, lk_error *err);
char *lk_strdup(const char *s, lk_error *err);
char *lk_format(lk_error *err, const char *format, ...) __attribute__((format(printf, 2, 3))); /* caller frees */

/* ---- Files ----------------------------------------------------------------------------------------------- */

/* The whole file; size at most `max`. One zero byte follows the data (not counted). Caller frees *data. */
bool lk_file_read(const char *path, size_t max, void **data, size_t *size, lk_error *err);

/* Replace `path` by these bytes: written beside, synced, renamed, folder synced. Old content stays on any failure. */
bool lk_file_write(const char *path, const void *data, size_t size, lk_error *err);

/* The same for large files written piece by piece. Every begun replacement ends with commit or abandon. The
 * temporary file is named by lk_file_temporary_name; both calls release `r`. */
typedef struct lk_file_replacement lk_file_replacement;
lk_file_replacement *lk_file_replace(const char *path, lk_error *err);
bool lk_file_append(lk_file_replacement *r, const void *data, size_t size, lk_error *err);
bool lk_file_commit(lk_file_replacement *r, lk_error *err); /* on failure the old file stands, the temporary is gone */
void lk_file_abandon(lk_file_replacement *r);

/* For libraries that write files themselves: "dir/.name.tmp.PID" beside `path`, keeping its extension at the end
 * ("dir/.name.tmp.PID.mp4"); caller frees. Then lk_file_adopt syncs the temporary and renames it to `path`. */
char *lk_file_temporary_name(const char *path, lk_error *err);
bool lk_file_adopt(const char *temporary, const char *path, lk_error *err);
/* Calls `remove` with each temporary name beside `path` whose process lives no more (on this machine). */
void lk_file_each_left_behind(const char *path, void (*remove)(const char *temporary));

bool lk_make_dirs(const char *path, lk_error *err); /* like mkdir -p */
bool lk_file_exists(const char *path);
char *lk_path_join(const char *dir, const char *name, lk_error *err);
const char *lk_path_base(const char *path); /* the part after the last slash */

/* SHA-256 of bytes, as 64 lower-case hex digits and a zero. */
void lk_sha256(const void *data, size_t size, char hex[65]);
bool lk_sha256_file(const char *path, char hex[65], lk_error *err);

/* The folder of pretrained networks: $LIKENESS_MODELS, or $XDG_DATA_HOME/likeness/models, or
 * ~/.local/share/likeness/models. Caller frees. */
char *lk_models_dir(lk_error *err);

/* The folder of what can be made again: $LIKENESS_CACHE, or $XDG_CACHE_HOME/likeness, or ~/.cache/likeness. Caller frees. */
char *lk_cache_dir(lk_error *err);

/* ---- Random numbers -------------------------------------------------------------------------------------- */

/* Counter-based: a generator is a function of (seed, stream), so sample 17 of iteration 900 draws the same numbers
 * whichever thread prepares it, and after any restart. (xoshiro256++ seeded by SplitMix64: Blackman & Vigna 2019.) */
typedef struct lk_rng {
    uint64_t s[4];
} lk_rng;
lk_rng lk_rng_make(uint64_t seed, uint64_t stream);
uint64_t lk_rng_u64(lk_rng *r);
uint32_t lk_rng_below(lk_rng *r, uint32_t n);           /* uniform in [0, n); n > 0; no modulo bias */
double lk_rng_uniform(lk_rng *r, double lo, double hi); /* in [lo, hi) */
double lk_rng_normal(lk_rng *r);                        /* mean 0, variance 1 (Box–Muller) */

/* ---- Threads --------------------------------------------------------------------------------------------- */

int lk_threads(void);           /* how many threads a parallel loop uses; at first the processors at hand */
void lk_set_threads(int count); /* 0: the processors at hand */

/* f(i, user) for i in [0, n), in parallel, in no order. Returns when all are done. */
void lk_parallel_for(int n, void (*f)(int i, void *user), void *user);

/* A bounded queue of pointers between threads. Closing wakes everyone: pushes then return false, pops drain what is
 * left and then return NULL. */
typedef struct lk_queue lk_queue;
lk_queue *lk_queue_new(int capacity, lk_error *err);
bool lk_queue_push(lk_queue *q, void *item); /* waits for room; false when closed (the item stays the caller's) */
void *lk_queue_pop(lk_queue *q);             /* waits for an item; NULL when closed and empty */
void *lk_queue_try_pop(lk_queue *q);         /* NULL when there is none now */
void lk_queue_close(lk_queue *q);
void lk_queue_free(lk_queue *q);

#ifdef __cplusplus
}
#endif
#endif
