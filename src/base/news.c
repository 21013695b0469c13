/* Log, progress and interruption: how a long job speaks with the program around it. */
#include "likeness/base.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static lk_log_sink log_sink;
static void *log_user;
static lk_progress_sink progress_sink;
static void *progress_user;
static volatile sig_atomic_t interrupted;

void lk_log_to(lk_log_sink sink, void *user) {
    pthread_mutex_lock(&lock);
    log_sink = sink;
    log_user = user;
    pthread_mutex_unlock(&lock);
}

void lk_log(lk_log_level level, const char *format, ...) {
    char line[2000];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    pthread_mutex_lock(&lock);
    if (log_sink) log_sink(level, line, log_user);
    pthread_mutex_unlock(&lock);
}

void lk_progress_to(lk_progress_sink sink, void *user) {
    pthread_mutex_lock(&lock);
    progress_sink = sink;
    progress_user = user;
    pthread_mutex_unlock(&lock);
}

static void tell(const lk_progress *p) {
    pthread_mutex_lock(&lock);
    if (progress_sink) progress_sink(p, progress_user);
    pthread_mutex_unlock(&lock);
}

void lk_progress_begin(lk_progress *p, const char *what, double total) {
    double now = lk_now();
    *p = (lk_progress){.what = what, .total = total, .start = now, .now = now};
    tell(p);
}

void lk_progress_update(lk_progress *p, double done, const char *details_format, ...) {
    char details[256];
    p->done = done;
    p->now = lk_now();
    p->details = NULL;
    if (details_format) {
        va_list args;
        va_start(args, details_format);
        vsnprintf(details, sizeof details, details_format, args);
        va_end(args);
        p->details = details;
    }
    tell(p);
    p->details = NULL;
}

void lk_progress_end(lk_progress *p) {
    p->ended = true;
    p->now = lk_now();
    tell(p);
}

void lk_interrupt_request(void) { interrupted = 1; }
void lk_interrupt_clear(void) { interrupted = 0; }
bool lk_interrupted(void) { return interrupted != 0; }

double lk_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
