/* Which face comes next: shuffled, with rare expressions more often, or as the other side is turned. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STREAM_ORDER ((uint64_t)2 << 60)
#define STREAM_TURNS 2 /* 0 and 1 are the sides */
#define STREAM_BINS  3 /* and LK_YAW_BINS more */

static bool make(lk_order *o, int count, lk_error *err) {
    *o = (lk_order){.count = count, .epoch = -1};
    o->list = lk_alloc((size_t)count, sizeof(int), err);
    o->shuffled = lk_alloc((size_t)count, sizeof(int), err);
    return o->list && o->shuffled;
}

bool lk_order_make(lk_order *o, int count, lk_error *err) {
    if (!make(o, count, err)) return false;
    for (int i = 0; i < count; i++) o->list[i] = i;
    return true;
}

void lk_order_free(lk_order *o) {
    free(o->list);
    free(o->shuffled);
    *o = (lk_order){0};
}

int lk_order_pick(lk_order *o, uint64_t seed, unsigned stream, int64_t position) {
    int64_t epoch = position / o->count;
    if (epoch != o->epoch) {
        lk_rng r = lk_rng_make(seed, STREAM_ORDER | (uint64_t)stream << 48 | (uint64_t)epoch);
        memcpy(o->shuffled, o->list, (size_t)o->count * sizeof(int));
        for (int i = o->count - 1; i > 0; i--) {
            int j = (int)lk_rng_below(&r, (uint32_t)i + 1), t = o->shuffled[i];
            o->shuffled[i] = o->shuffled[j];
            o->shuffled[j] = t;
        }
        o->epoch = epoch;
    }
    return o->shuffled[position % o->count];
}

/* ---- By expression --------------------------------------------------------------------------------------- */

#define EYES  3 /* closed, half closed, open */
#define MOUTH 3
#define MOST  40 /* times that a face may stand in the list */

static int class_of(const lk_pool_face *f) {
    int eyes = f->eyes < 0.15 ? 0 : f->eyes < 0.22 ? 1 : 2;
    int mouth = f->mouth < 0.1 ? 0 : f->mouth < 0.3 ? 1 : 2;
    return eyes * MOUTH + mouth;
}

bool lk_order_make_by_expression(lk_order *o, const lk_pool *pool, lk_error *err) {
    int counts[EYES * MOUTH] = {0}, times[EYES * MOUTH], most = 0, total = 0;
    for (int i = 0; i < pool->count; i++) counts[class_of(&pool->faces[i])]++;
    for (int c = 0; c < EYES * MOUTH; c++) most = counts[c] > most ? counts[c] : most;
    for (int c = 0; c < EYES * MOUTH; c++) {
        times[c] = counts[c] ? (int)fmin(round((double)most / counts[c]), MOST) : 0;
        total += times[c] * counts[c];
    }
    if (!make(o, total, err)) return false;
    for (int i = 0, at = 0; i < pool->count; i++)
        for (int k = 0; k < times[class_of(&pool->faces[i])]; k++) o->list[at++] = i;
    return true;
}

/* ---- By yaw ---------------------------------------------------------------------------------------------- */

static int bin_of(float yaw) {
    double bin = floor(((double)yaw + 90) / 180 * LK_YAW_BINS);
    return (int)fmin(fmax(bin, 0), LK_YAW_BINS - 1);
}

/* The nearest bin that src has, straight or seen in a mirror; of equals, straight. */
static void nearest(const int *counts, int wanted, int *from, bool *mirror) {
    int best = 2 * LK_YAW_BINS;
    for (int bin = 0; bin < LK_YAW_BINS; bin++) {
        if (!counts[bin]) continue;
        int straight = abs(bin - wanted), mirrored = abs(LK_YAW_BINS - 1 - bin - wanted);
        if (straight < best || (straight == best && *mirror)) {
            best = straight;
            *from = bin;
            *mirror = false;
        }
        if (mirrored < best) {
            best = mirrored;
            *from = bin;
            *mirror = true;
        }
    }
}

bool lk_yaw_feed_make(lk_yaw_feed *f, const lk_pool *src, const lk_pool *dst, lk_error *err) {
    int counts[LK_YAW_BINS] = {0}, wanted[LK_YAW_BINS] = {0}, bins = 0;
    *f = (lk_yaw_feed){0};
    for (int i = 0; i < src->count; i++) counts[bin_of(src->faces[i].yaw)]++;
    for (int i = 0; i < dst->count; i++) wanted[bin_of(dst->faces[i].yaw)]++;
    for (int bin = 0; bin < LK_YAW_BINS; bin++) {
        if (wanted[bin]) {
            nearest(counts, bin, &f->bins[bins].from, &f->bins[bins].mirror);
            f->bins[bins].place = f->users[f->bins[bins].from]++;
            bins++;
        }
    }
    for (int bin = 0; bin < LK_YAW_BINS; bin++) {
        if (!counts[bin]) continue;
        f->faces[bin] = lk_alloc((size_t)counts[bin], sizeof(int), err);
        if (!f->faces[bin] || !lk_order_make(&f->within[bin], counts[bin], err)) return false;
        counts[bin] = 0;
        for (int i = 0; i < src->count; i++)
            if (bin_of(src->faces[i].yaw) == bin) f->faces[bin][counts[bin]++] = i;
    }
    return lk_order_make(&f->turns, bins, err);
}

void lk_yaw_feed_free(lk_yaw_feed *f) {
    lk_order_free(&f->turns);
    for (int bin = 0; bin < LK_YAW_BINS; bin++) {
        lk_order_free(&f->within[bin]);
        free(f->faces[bin]);
    }
    *f = (lk_yaw_feed){0};
}

int lk_yaw_feed_pick(lk_yaw_feed *f, uint64_t seed, int64_t position, bool *mirror) {
    int turn = lk_order_pick(&f->turns, seed, STREAM_TURNS, position), bin = f->bins[turn].from;
    *mirror = f->bins[turn].mirror;
    /* Each bin of dst comes once a round. */
    int64_t round = position / f->turns.count;
    int64_t at = round * f->users[bin] + f->bins[turn].place;
    return f->faces[bin][lk_order_pick(&f->within[bin], seed, (unsigned)(STREAM_BINS + bin), at)];
}
