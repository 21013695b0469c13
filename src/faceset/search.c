/* Each thread takes the next input, looks it through with networks of its own, and puts what it found, or why not, in the
 * input's place; the caller waits for the places one after the other. */
#include <pthread.h>
#include <stdlib.h>

#include "extract.h"

#define MOST_THREADS 16
#define AHEAD        2 /* inputs a thread may be ahead of the one that is taken: what was found waits in memory */

typedef struct place {
    lk_finds finds;
    lk_error error;
    bool ok, done;
} place;

struct lk_search {
    const char *const *inputs;
    const lk_extract_options *options;
    int device;
    place *places; /* [count] */
    pthread_t threads[MOST_THREADS];
    int count, running, processors; /* of each thread */
    int next;                       /* to be begun */
    atomic_int current;             /* to be taken */
    atomic_bool stop;
    pthread_mutex_t lock; /* of next and of what is done */
    pthread_cond_t changed;
};

/* The next input to look through; −1: no more. */
static int begin_input(lk_search *s) {
    pthread_mutex_lock(&s->lock);
    while (!s->stop && s->next < s->count && s->next >= s->current + AHEAD * s->running)
        pthread_cond_wait(&s->changed, &s->lock);
    int i = s->stop || s->next >= s->count ? -1 : s->next++;
    pthread_mutex_unlock(&s->lock);
    return i;
}

static void *look(void *user) {
    lk_search *s = user;
    lk_set_threads(s->processors);
    lk_error err = {0};
    lk_face_nets *nets = lk_face_nets_open(s->device, &err);
    for (int i; (i = begin_input(s)) >= 0;) {
        place *p = &s->places[i];
        lk_turn turn = {&s->current, &s->stop, i};
        p->error = err;
        p->ok = nets && lk_find_faces(nets, s->inputs[i], s->options, &turn, &p->finds, &p->error);
        pthread_mutex_lock(&s->lock);
        p->done = true;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
    }
    lk_face_nets_close(nets);
    return NULL;
}

lk_search *lk_search_start(const char *const *inputs, int count, int threads, const lk_extract_options *o, int device,
                           lk_error *err) {
    lk_search *s = lk_alloc(1, sizeof *s, err);
    if (!s) return NULL;
    int wanted = threads < count ? threads : count;
    if (wanted > MOST_THREADS) wanted = MOST_THREADS;
    s->inputs = inputs;
    s->options = o;
    s->device = device;
    s->count = count;
    s->processors = threads / wanted;
    s->places = lk_alloc((size_t)count, sizeof *s->places, err);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    bool ok = s->places != NULL;
    pthread_mutex_lock(&s->lock);
    while (ok && s->running < wanted) {
        ok = pthread_create(&s->threads[s->running], NULL, look, s) == 0;
        if (ok) s->running++;
    }
    pthread_mutex_unlock(&s->lock);
    if (s->running > 0) return s; /* fewer do it too */
    if (s->places) lk_fail(err, LK_ERR_MEMORY, "no thread can be started to find faces; close other programs");
    lk_search_end(s);
    return NULL;
}

bool lk_search_take(lk_search *s, lk_finds *finds, lk_error *err) {
    place *p = &s->places[s->current];
    pthread_mutex_lock(&s->lock);
    while (!p->done) pthread_cond_wait(&s->changed, &s->lock);
    s->current++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    *finds = p->finds;
    p->finds.items = NULL;
    if (!p->ok && err) *err = p->error;
    return p->ok;
}

void lk_search_end(lk_search *s) {
    if (!s) return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < s->running; i++) pthread_join(s->threads[i], NULL);
    for (int i = 0; s->places && i < s->count; i++) free(s->places[i].finds.items);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s->places);
    free(s);
}
