#include "line.h"

#include <stdlib.h>

struct lk_line {
    int reach, room;
    lk_frame_job **ring; /* [room]; frame n at n % room */
    /* Frames counted in order: pushed; begun to be prepared, prepared without a gap; begun to be composed, composed without
     * a gap; handed out; freed. */
    int64_t pushed, preparing, prepared, composing, composed, handed, freed;
    bool ended, stopped;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

lk_line *lk_line_new(int reach, int room, lk_error *err) {
    lk_line *l = lk_alloc(1, sizeof *l, err);
    if (!l) return NULL;
    l->reach = reach;
    l->room = room > 2 * reach + 4 ? room : 2 * reach + 4;
    l->ring = lk_alloc((size_t)l->room, sizeof(lk_frame_job *), err);
    if (!l->ring) {
        free(l);
        return NULL;
    }
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    return l;
}

static lk_frame_job **at(lk_line *l, int64_t n) { return &l->ring[n % l->room]; }

void lk_line_free(lk_line *l) {
    if (!l) return;
    for (int64_t n = l->freed; n < l->pushed; n++) lk_frame_job_free(*at(l, n));
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    free(l->ring);
    free(l);
}

bool lk_line_push(lk_line *l, lk_frame_job *job) {
    pthread_mutex_lock(&l->lock);
    while (!l->stopped && l->pushed - l->freed >= l->room) pthread_cond_wait(&l->changed, &l->lock);
    bool ok = !l->stopped;
    if (ok) *at(l, l->pushed++) = job;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    return ok;
}

static void set(lk_line *l, bool *flag) {
    pthread_mutex_lock(&l->lock);
    *flag = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

void lk_line_end(lk_line *l) { set(l, &l->ended); }
void lk_line_stop(lk_line *l) { set(l, &l->stopped); }

/* With the lock held. Composing comes first: it lets frames leave. */
static bool find_task(lk_line *l, lk_line_task *task, lk_frame_job **room) {
    int64_t n = l->composing;
    bool all = l->ended && l->prepared == l->pushed;
    if (n < l->prepared && (all || n + l->reach < l->prepared)) {
        int64_t from = n > l->reach ? n - l->reach : 0,
                to = n + l->reach < l->prepared ? n + l->reach : l->prepared - 1;
        *task = (lk_line_task){.around = room, .count = (int)(to - from + 1), .own = (int)(n - from), .number = n};
        for (int64_t k = from; k <= to; k++) room[k - from] = *at(l, k);
        l->composing++;
        return true;
    }
    if (l->preparing == l->pushed) return false;
    *task = (lk_line_task){.prepare = *at(l, l->preparing), .number = l->preparing};
    l->preparing++;
    return true;
}

bool lk_line_take(lk_line *l, lk_line_task *task, lk_frame_job **room) {
    pthread_mutex_lock(&l->lock);
    bool found = false;
    while (!l->stopped && !(found = find_task(l, task, room)) && !(l->ended && l->composing == l->pushed))
        pthread_cond_wait(&l->changed, &l->lock);
    pthread_mutex_unlock(&l->lock);
    return found;
}

void lk_line_done(lk_line *l, const lk_line_task *task) {
    pthread_mutex_lock(&l->lock);
    lk_frame_job *job = *at(l, task->number);
    if (task->prepare)
        job->prepared = true;
    else
        job->composed = true;
    while (l->prepared < l->preparing && (*at(l, l->prepared))->prepared) l->prepared++;
    while (l->composed < l->composing && (*at(l, l->composed))->composed) l->composed++;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

lk_frame_job *lk_line_next(lk_line *l) {
    lk_frame_job *job = NULL;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        /* a frame goes when it has been handed out and none that is yet to be composed needs it */
        while (l->freed < l->handed && l->freed + l->reach < l->composed) {
            lk_frame_job_free(*at(l, l->freed));
            *at(l, l->freed++) = NULL;
            pthread_cond_broadcast(&l->changed);
        }
        if (l->stopped || (l->ended && l->handed == l->pushed)) break;
        if (l->handed < l->composed) {
            job = *at(l, l->handed++);
            break;
        }
        pthread_cond_wait(&l->changed, &l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return job;
}
