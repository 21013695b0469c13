/* Which face comes next: shuffled, or as the other side is turned. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

#define STREAM_ORDER ((uint64_t)2 << 60)
#define STREAM_TURNS 2 /* 0 and 1 are the sides */
#define STREAM_BINS  3 /* and LK_YAW_BINS more */

bool lk_order_make(lk_order *o, int count, lk_error *err) {
    *o = (lk_order){.count = count, .epoch = -1};
    o->shuffled = lk_alloc((size_t)count, sizeof(int), err);
    return o->shuffled != NULL;
}

void lk_order_free(lk_order *o) {
    free(o->shuffled);
    *o = (lk_order){0};
}

int lk_order_pick(lk_order *o, uint64_t seed, unsigned stream, int64_t position) {
    int64_t epoch = position / o->count;
    if (epoch != o->epoch) {
        lk_rng r = lk_rng_make(seed, STREAM_ORDER | (uint64_t)stream << 48 | (uint64_t)epoch);
        for (int i = 0; i < o->count; i++) o->shuffled[i] = i;
        for (int i = o->count - 1; i > 0; i--) {
            int j = (int)lk_rng_below(&r, (uint32_t)i + 1), t = o->shuffled[i];
            o->shuffled[i] = o->shuffled[j];
            o->shuffled[j] = t;
        }
        o->epoch = epoch;
    }
    return o->shuffled[position % o->count];
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
