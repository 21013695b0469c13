/* Batches ahead of time. Whoever prepares one takes an empty batch first, then the next iteration: so no iteration
 * waits for room that later ones hold. Which faces a batch shows is settled when its iteration is taken, in order;
 * all other draws are functions of (seed, iteration, sample). */
#include "internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define FLIP_PROBABILITY 0.4
#define MOST_THREADS     16
#define AHEAD            3 /* batches that may lie ready, beside those in work */

/* Streams of random numbers, told apart by their highest bits (order.c has others). */
#define STREAM_SAMPLE ((uint64_t)1 << 60)

struct lk_sampler {
    const lk_pool *pools[2];
    const lk_settings *settings;
    int resolution, thread_count, started;
    int rank, processes; /* this process makes every batch's part `rank` of so many */
    bool described;      /* for a GPU to draw */
    size_t slot;         /* bytes of a sample's pictures, at most, where they are described */
    uint64_t turn;
    pthread_t *threads;
    lk_batch *batches;
    int batch_count;
    lk_queue *empty;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t change;
    lk_batch **ready; /* batch_count places */
    int64_t next_taken, position, next_given;
    lk_order orders[2], by_expression[2];
    lk_yaw_feed yaw;
    bool stopped;
    lk_error error;
    double waited, worked;
    int64_t samples;
};

static uint64_t seed_of(const lk_sampler *s, const lk_batch *b) {
    return b->now.options.seed + s->turn * 0x9e3779b97f4a7c15u;
}

/* Sample i of a batch shows a face of this pool: 0 src, 1 dst. */
static int pool_of(const lk_batch *b, int i) { return (i >= b->count) != b->now.options.swap_sides; }

static void pick_face(lk_sampler *s, lk_batch *b, int i) {
    int pool = pool_of(b, i);
    int64_t position = b->position + s->rank * b->count + i % b->count;
    lk_order *order = b->now.options.by_expression ? &s->by_expression[pool] : &s->orders[pool];
    b->mirror[i] = false;
    b->faces[i] = pool == 0 && b->now.options.by_yaw ? lk_yaw_feed_pick(&s->yaw, seed_of(s, b), position, &b->mirror[i])
                                                     : lk_order_pick(order, seed_of(s, b), (unsigned)pool, position);
}

/* The next iteration and its faces. */
static bool take(lk_sampler *s, lk_batch *b) {
    pthread_mutex_lock(&s->lock);
    bool ok = !s->stopped && lk_settings_at(s->settings, s->next_taken, &b->now, &s->error);
    if (ok) {
        b->iteration = s->next_taken++;
        b->position = s->position;
        b->count = b->now.options.batch / s->processes;
        for (int i = 0; i < 2 * b->count; i++) pick_face(s, b, i);
        s->position += b->now.options.batch;
    }
    pthread_mutex_unlock(&s->lock);
    return ok;
}

/* A picture without gaps between its rows. */
static void put_picture(uint8_t *to, const lk_image *picture) {
    size_t row = (size_t)picture->width * (size_t)picture->channels;
    for (int y = 0; y < picture->height; y++) memcpy(to + (size_t)y * row, lk_row_u8(picture, y), row);
}

static bool describe_sample(const lk_sampler *s, lk_batch *b, int i, const lk_pool_face *f, const lk_image *crop,
                            const lk_augment *a, lk_rng *rng, lk_error *err) {
    lk_nn_sample *sample = &b->samples[i];
    if (!lk_sample_describe(f, a, rng, b->now.objective.features > 0, sample, err)) return false;
    sample->picture = (uint32_t)((size_t)i * s->slot);
    put_picture(b->bytes + sample->picture, crop);
    if (!f->mask.data) return true;
    sample->mask = sample->picture + 3 * (uint32_t)f->side * (uint32_t)f->side;
    put_picture(b->bytes + sample->mask, &f->mask);
    return true;
}

static bool make_sample(lk_sampler *s, lk_batch *b, int i, lk_sample_room *room, lk_error *err) {
    const lk_pool *pool = s->pools[pool_of(b, i)];
    const lk_pool_face *face = &pool->faces[b->faces[i]];
    int side = i / b->count, place = side * b->now.options.batch + s->rank * b->count + i % b->count;
    lk_rng rng = lk_rng_make(seed_of(s, b), STREAM_SAMPLE | (uint64_t)b->iteration << 12 | (uint64_t)place);
    lk_augment a = {.flip = b->now.options.flip ? FLIP_PROBABILITY : 0, .mirror = b->mirror[i]};
    a.warp = b->now.options.warp / 100;
    if (pool == s->pools[0]) a.scale = b->now.options.src_scale / 100;
    if (pool == s->pools[0] && b->now.options.color_transfer)
        a.colors_of = &s->pools[1]->faces[lk_rng_below(&rng, (uint32_t)s->pools[1]->count)];
    size_t pixels = (size_t)s->resolution * (size_t)s->resolution, at = (size_t)i * pixels;
    lk_image crop;
    if (!lk_pool_crop(pool, b->faces[i], &crop, err)) return false;
    bool ok = s->described ? describe_sample(s, b, i, face, &crop, &a, &rng, err)
                           : lk_sample_make(room, face, &crop, &a, &rng, b->warped + 3 * at, b->target + 3 * at,
                                            b->mask + at, b->now.objective.features > 0 ? b->features + at : NULL, err);
    lk_image_free(&crop);
    return ok;
}

static void publish(lk_sampler *s, lk_batch *b, double seconds) {
    pthread_mutex_lock(&s->lock);
    int i = 0;
    while (s->ready[i]) i++;
    s->ready[i] = b;
    s->worked += seconds;
    s->samples += 2 * b->count;
    pthread_cond_broadcast(&s->change);
    pthread_mutex_unlock(&s->lock);
}

static void stop(lk_sampler *s, const lk_error *why) {
    pthread_mutex_lock(&s->lock);
    if (why && s->error.code == LK_OK) s->error = *why;
    s->stopped = true;
    pthread_cond_broadcast(&s->change);
    pthread_mutex_unlock(&s->lock);
    lk_queue_close(s->empty);
}

static void *work(void *user) {
    lk_sampler *s = user;
    lk_error err = {0};
    lk_set_threads(1);
    lk_sample_room *room = s->described ? NULL : lk_sample_room_new(s->resolution, &err);
    lk_batch *b;
    bool ok = s->described || room;
    while (ok && (b = lk_queue_pop(s->empty)) != NULL && take(s, b)) {
        double start = lk_now();
        b->size = 2 * (size_t)b->count * s->slot;
        for (int i = 0; ok && i < 2 * b->count; i++) ok = make_sample(s, b, i, room, &err);
        if (ok) publish(s, b, lk_now() - start);
    }
    stop(s, err.code != LK_OK ? &err : NULL);
    lk_sample_room_free(room);
    return NULL;
}

lk_batch *lk_sampler_next(lk_sampler *s, lk_error *err) {
    double start = lk_now();
    lk_batch *found = NULL;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        for (int i = 0; i < s->batch_count && !found; i++)
            if (s->ready[i] && s->ready[i]->iteration == s->next_given) {
                found = s->ready[i];
                s->ready[i] = NULL;
            }
        if (found || s->stopped) break;
        pthread_cond_wait(&s->change, &s->lock);
    }
    if (found)
        s->next_given++;
    else if (err)
        *err = s->error;
    s->waited += lk_now() - start;
    pthread_mutex_unlock(&s->lock);
    return found;
}

void lk_sampler_give_back(lk_sampler *s, lk_batch *batch) { lk_queue_push(s->empty, batch); }

lk_sampler_news lk_sampler_tell(lk_sampler *s) {
    pthread_mutex_lock(&s->lock);
    lk_sampler_news n = {s->waited, s->worked, s->samples, s->thread_count};
    pthread_mutex_unlock(&s->lock);
    return n;
}

int lk_sampler_threads(void) { return lk_threads() < MOST_THREADS ? lk_threads() : MOST_THREADS; }

size_t lk_batch_bytes(int batch, int resolution, bool described) {
    size_t samples = 2 * (size_t)batch, pixels = (size_t)resolution * (size_t)resolution;
    size_t one = described ? sizeof(lk_nn_sample) + (3 + 1) * 9 * pixels / 4 : pixels * (3 + 3 + 1 + 1) * sizeof(float);
    return samples * one;
}

size_t lk_sampler_bytes(int batch, int resolution, int threads, bool described) {
    return (size_t)(threads + AHEAD) * lk_batch_bytes(batch, resolution, described);
}

/* Bytes of the largest of a pool's pictures, with its mask. */
static size_t largest_picture(const lk_pool *p) {
    size_t most = 0;
    for (int i = 0; i < p->count; i++) {
        const lk_pool_face *f = &p->faces[i];
        size_t bytes = (f->mask.data ? 4 : 3) * (size_t)f->side * (size_t)f->side;
        if (bytes > most) most = bytes;
    }
    return most;
}

static bool make_described(const lk_sampler *s, lk_batch *b, size_t samples, lk_error *err) {
    if (samples * s->slot >= LK_NN_NO_PICTURE)
        return lk_fail(err, LK_ERR_MEMORY,
                       "a batch of faces this large is more than a GPU is given: take a smaller "
                       "--batch, or --device cpu");
    b->samples = lk_nn_pin(samples * sizeof *b->samples, err);
    b->bytes = b->samples ? lk_nn_pin(samples * s->slot, err) : NULL;
    return b->bytes != NULL;
}

static bool make_drawn(const lk_sampler *s, lk_batch *b, size_t samples, lk_error *err) {
    size_t numbers = samples * (size_t)s->resolution * (size_t)s->resolution;
    b->warped = lk_alloc(numbers, 3 * sizeof(float), err);
    b->target = lk_alloc(numbers, 3 * sizeof(float), err);
    b->mask = lk_alloc(numbers, sizeof(float), err);
    b->features = lk_alloc(numbers, sizeof(float), err);
    return b->warped && b->target && b->mask && b->features;
}

static bool make_batches(lk_sampler *s, int largest, lk_error *err) {
    size_t samples = 2 * (size_t)largest;
    s->batches = lk_alloc((size_t)s->batch_count, sizeof *s->batches, err);
    s->ready = lk_alloc((size_t)s->batch_count, sizeof(lk_batch *), err);
    s->empty = s->batches && s->ready ? lk_queue_new(s->batch_count, err) : NULL;
    for (int i = 0; s->empty && i < s->batch_count; i++) {
        lk_batch *b = &s->batches[i];
        b->faces = lk_alloc(samples, sizeof(int), err);
        b->mirror = lk_alloc(samples, sizeof(bool), err);
        if (!b->faces || !b->mirror || !(s->described ? make_described : make_drawn)(s, b, samples, err)) return false;
        lk_queue_push(s->empty, b);
    }
    return s->empty != NULL;
}

static void free_batch(lk_batch *b) {
    free(b->warped);
    free(b->target);
    free(b->mask);
    free(b->features);
    lk_nn_unpin(b->samples);
    lk_nn_unpin(b->bytes);
    free(b->faces);
    free(b->mirror);
}

static bool start(lk_sampler *s, int largest, lk_error *err) {
    for (int side = 0; side < 2; side++)
        if (!lk_order_make(&s->orders[side], s->pools[side]->count, err) ||
            !lk_order_make_by_expression(&s->by_expression[side], s->pools[side], err))
            return false;
    if (!lk_yaw_feed_make(&s->yaw, s->pools[0], s->pools[1], err)) return false;
    s->threads = lk_alloc((size_t)s->thread_count, sizeof *s->threads, err);
    if (!s->threads || !make_batches(s, largest, err)) return false;
    for (; s->started < s->thread_count; s->started++)
        if (pthread_create(&s->threads[s->started], NULL, work, s) != 0)
            return lk_fail(err, LK_ERR_MEMORY, "the system gives no more threads");
    return true;
}

/* Of several processes each makes its share of the largest batch. */
static int largest_share(const lk_sampler *s, int64_t iteration) {
    int largest = (int)lk_settings_largest(s->settings, "batch", iteration);
    return (largest + s->processes - 1) / s->processes;
}

lk_sampler *lk_sampler_start(const lk_sampler_job *job, lk_error *err) {
    lk_sampler *s = lk_alloc(1, sizeof *s, err);
    if (!s) return NULL;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->change, NULL);
    s->pools[0] = job->src;
    s->pools[1] = job->dst;
    s->settings = job->settings;
    s->resolution = job->resolution;
    s->rank = lk_nn_peers_rank(job->peers);
    s->processes = lk_nn_peers_count(job->peers);
    s->next_taken = s->next_given = job->iteration;
    s->position = job->position;
    s->turn = job->turn;
    s->thread_count = job->threads;
    s->batch_count = job->threads + AHEAD;
    s->described = job->described;
    if (s->described) {
        size_t src = largest_picture(job->src), dst = largest_picture(job->dst);
        s->slot = src > dst ? src : dst;
    }
    if (start(s, largest_share(s, job->iteration), err)) return s;
    lk_sampler_stop(s);
    return NULL;
}

void lk_sampler_stop(lk_sampler *s) {
    if (!s) return;
    if (s->empty) stop(s, NULL);
    for (int i = 0; i < s->started; i++) pthread_join(s->threads[i], NULL);
    for (int i = 0; s->batches && i < s->batch_count; i++) free_batch(&s->batches[i]);
    lk_queue_free(s->empty);
    free(s->batches);
    free(s->ready);
    free(s->threads);
    for (int side = 0; side < 2; side++) {
        lk_order_free(&s->orders[side]);
        lk_order_free(&s->by_expression[side]);
    }
    lk_yaw_feed_free(&s->yaw);
    pthread_cond_destroy(&s->change);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
