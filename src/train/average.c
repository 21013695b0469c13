/* An average of the weights over training. A step moves weights by more than they still have to learn, so those of the last
 * step tremble around what an average of many has found.
 *
 * After the n-th of its steps the average takes (η + 1)/(n + η) of the new weights: polynomial-decay averaging (Shamir and
 * Zhang, Stochastic gradient descent for non-smooth optimization, 2013, section 4.1; there for η = 3). Older weights count
 * less and less, by the share of training that has passed since: with η = 7 about the last eighth of it counts. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define EVERY 20 /* iterations */
#define ETA   7

/* For the largest of all parameters, for a moment: a save takes as much. */
static float *room_for(const lk_nn_exec *e, lk_error *err) {
    size_t most = 0;
    for (int i = 0; i < lk_nn_param_count(e); i++) {
        size_t n = lk_nn_count(lk_nn_param_shape(e, i));
        most = n > most ? n : most;
    }
    return lk_alloc(most, sizeof(float), err);
}

static bool unreadable(lk_error *err) { return lk_fail(err, LK_ERR_MEMORY, "weights cannot be read or put back"); }

void lk_average_drop(lk_average *a) {
    for (int i = 0; a->values && i < a->count; i++) free(a->values[i]);
    free(a->values);
    *a = (lk_average){0};
}

bool lk_average_take(lk_average *a, const lk_nn_exec *e, lk_error *err) {
    lk_average_drop(a);
    a->count = lk_nn_param_count(e);
    a->values = lk_alloc((size_t)a->count, sizeof *a->values, err);
    bool ok = a->values != NULL;
    for (int i = 0; ok && i < a->count; i++) {
        size_t n = lk_nn_count(lk_nn_param_shape(e, i));
        a->values[i] = lk_alloc(n, sizeof(float), err);
        ok = a->values[i] && (lk_nn_param_get(e, i, LK_NN_VALUE, a->values[i]) || unreadable(err));
    }
    if (!ok) lk_average_drop(a);
    return ok;
}

LK_HOT static void approach(float *average, const float *now, size_t n, float share) {
#pragma omp parallel for simd
    for (size_t i = 0; i < n; i++) average[i] += share * (now[i] - average[i]);
}

bool lk_average_note(lk_average *a, const lk_nn_exec *e, int64_t iteration, lk_error *err) {
    if (iteration % EVERY != 0) return true;
    if (!a->values) return lk_average_take(a, e, err);
    float share = (float)((ETA + 1.0) / ((double)(iteration / EVERY) + ETA)), *now = room_for(e, err);
    bool ok = now != NULL;
    for (int i = 0; ok && i < a->count; i++) {
        ok = lk_nn_param_get(e, i, LK_NN_VALUE, now) || unreadable(err);
        if (ok) approach(a->values[i], now, lk_nn_count(lk_nn_param_shape(e, i)), share);
    }
    free(now);
    return ok;
}

bool lk_average_exchange(lk_average *a, lk_nn_exec *e, lk_error *err) {
    if (!a->values) return true;
    float *now = room_for(e, err);
    bool ok = now != NULL;
    for (int i = 0; ok && i < a->count; i++) {
        ok = (lk_nn_param_get(e, i, LK_NN_VALUE, now) && lk_nn_param_set(e, i, LK_NN_VALUE, a->values[i])) ||
             unreadable(err);
        if (ok) memcpy(a->values[i], now, lk_nn_count(lk_nn_param_shape(e, i)) * sizeof *now);
    }
    free(now);
    a->shown ^= ok;
    return ok;
}
