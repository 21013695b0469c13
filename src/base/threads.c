#include "likeness/base.h"

#include <omp.h>
#include <pthread.h>
#include <stdlib.h>

int lk_threads(void) { return omp_get_max_threads(); }
void lk_set_threads(int count) { omp_set_num_threads(count > 0 ? count : omp_get_num_procs()); }

void lk_parallel_for(int n, void (*f)(int i, void *user), void *user) {
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < n; i++) f(i, user);
}

struct lk_queue {
    pthread_mutex_t lock;
    pthread_cond_t room, item;
    void **items;
    int capacity, first, count;
    bool closed;
};

lk_queue *lk_queue_new(int capacity, lk_error *err) {
    lk_queue *q = lk_alloc(1, sizeof *q, err);
    if (!q) return NULL;
    q->items = lk_alloc((size_t)capacity, sizeof *q->items, err);
    if (!q->items) {
        free(q);
        return NULL;
    }
    q->capacity = capacity;
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->room, NULL);
    pthread_cond_init(&q->item, NULL);
    return q;
}

bool lk_queue_push(lk_queue *q, void *item) {
    pthread_mutex_lock(&q->lock);
    while (q->count == q->capacity && !q->closed) pthread_cond_wait(&q->room, &q->lock);
    bool taken = !q->closed;
    if (taken) {
        q->items[(q->first + q->count++) % q->capacity] = item;
        pthread_cond_signal(&q->item);
    }
    pthread_mutex_unlock(&q->lock);
    return taken;
}

static void *pop(lk_queue *q, bool wait) {
    pthread_mutex_lock(&q->lock);
    while (wait && q->count == 0 && !q->closed) pthread_cond_wait(&q->item, &q->lock);
    void *item = NULL;
    if (q->count > 0) {
        item = q->items[q->first];
        q->first = (q->first + 1) % q->capacity;
        q->count--;
        pthread_cond_signal(&q->room);
    }
    pthread_mutex_unlock(&q->lock);
    return item;
}

void *lk_queue_pop(lk_queue *q) { return pop(q, true); }
void *lk_queue_try_pop(lk_queue *q) { return pop(q, false); }

void lk_queue_close(lk_queue *q) {
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->room);
    pthread_cond_broadcast(&q->item);
    pthread_mutex_unlock(&q->lock);
}

void lk_queue_free(lk_queue *q) {
    if (!q) return;
    pthread_cond_destroy(&q->room);
    pthread_cond_destroy(&q->item);
    pthread_mutex_destroy(&q->lock);
    free(q->items);
    free(q);
}
