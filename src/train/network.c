/* The executor of the training graph, made anew when the batch or the terms of the loss change. */
#include "internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 3

static const lk_nn_slot slots[SLOTS] = {LK_NN_VALUE, LK_NN_MOMENT1, LK_NN_MOMENT2};

/* Everything that is learned, on the host, while there is no executor. */
typedef struct carried {
    int count; /* of parameters */
    int64_t steps;
    float **values; /* SLOTS for each parameter */
} carried;

static void carried_free(carried *c) {
    for (int i = 0; c->values && i < SLOTS * c->count; i++) free(c->values[i]);
    free(c->values);
}

static bool carry_out(const lk_nn_exec *e, carried *c, lk_error *err) {
    *c = (carried){.count = lk_nn_param_count(e), .steps = lk_nn_steps(e)};
    c->values = lk_alloc(SLOTS * (size_t)c->count, sizeof *c->values, err);
    bool ok = c->values != NULL;
    for (int i = 0; ok && i < SLOTS * c->count; i++) {
        c->values[i] = lk_alloc(lk_nn_count(lk_nn_param_shape(e, i / SLOTS)), sizeof(float), err);
        ok = c->values[i] != NULL;
        if (ok && !lk_nn_param_get(e, i / SLOTS, slots[i % SLOTS], c->values[i]))
            ok = lk_fail(err, LK_ERR_MEMORY, "weights cannot be read back");
    }
    return ok;
}

static bool carry_in(lk_nn_exec *e, const carried *c, lk_error *err) {
    bool ok = lk_nn_param_count(e) == c->count;
    for (int i = 0; ok && i < SLOTS * c->count; i++) ok = lk_nn_param_set(e, i / SLOTS, slots[i % SLOTS], c->values[i]);
    lk_nn_set_steps(e, c->steps);
    return ok || lk_fail(err, LK_ERR_MEMORY, "weights cannot be carried over to another batch or loss");
}

bool lk_network_fits(const lk_network *n, const lk_swap_config *c, const lk_now_set *now, int64_t iteration) {
    return n->exec && n->batch == now->options.batch && n->memory == now->options.memory &&
           n->precision == now->options.precision && n->states == now->options.optimizer_memory &&
           n->terms == lk_swap_terms(c, &now->objective, iteration);
}

size_t lk_train_free_memory(void) {
    FILE *f = fopen("/proc/meminfo", "r");
    char line[200];
    unsigned long long kib = 1u << 21;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1) break;
    if (f) fclose(f);
    return (size_t)kib * 1024;
}

static bool plan(const lk_swap_config *c, unsigned terms, int batch, const lk_nn_options *o, lk_nn_memory *m,
                 lk_error *err) {
    lk_nn_graph *g = lk_swap_training_graph(c, terms, batch, err);
    bool ok = g && lk_nn_plan(g, o, m, err);
    lk_nn_graph_free(g);
    return ok;
}

static bool tune(const lk_swap_config *c, unsigned terms, int batch, const lk_nn_options *o, lk_error *err) {
    lk_nn_graph *g = lk_swap_training_graph(c, terms, batch, err);
    bool ok = g && lk_nn_tune(g, o, err);
    lk_nn_graph_free(g);
    return ok;
}

/* Bytes; SIZE_MAX: it cannot even be planned. */
static size_t needed(const lk_swap_config *c, unsigned terms, int batch, const lk_nn_options *o) {
    lk_nn_memory m;
    return plan(c, terms, batch, o, &m, NULL) ? m.total : SIZE_MAX;
}

/* Of the GPU's memory some is left to what its libraries take as they go. */
static size_t room_of_gpu(const lk_network *n, uint64_t asked) {
    size_t left = lk_nn_gpu_memory(n->peers) + (n->exec ? lk_nn_memory_of(n->exec).total : 0), room = left - left / 16;
    return asked && asked < room ? (size_t)asked : room;
}

/* What the network may take of the memory that was granted to the process. */
static bool grant(const lk_network *n, const lk_swap_config *c, unsigned terms, int batch,
                  const lk_train_options *asked, lk_nn_options *o, lk_error *err) {
    size_t memory = asked->memory;
    lk_nn_memory m;
    lk_train_needs needs;
    o->memory = o->device == LK_NN_GPU ? room_of_gpu(n, asked->memory) : 0;
    if (!memory || o->device == LK_NN_GPU) return true;
    if (!plan(c, terms, batch, o, &m, err)) return false;
    size_t beside = lk_beside_network(c, asked, batch, &m, &needs) + n->faces;
    if (m.total + beside <= memory) return true;
    o->memory = memory > beside ? memory - beside : 1;
    if (!plan(c, terms, batch, o, &m, err)) return false;
    return m.total <= o->memory ||
           lk_fail(err, LK_ERR_MEMORY,
                   "a batch of %d needs at least --memory %.0fM, even with activations computed again, and %.0fM are "
                   "granted: take a smaller --batch, --optimizer-memory short or factored, or smaller dimensions",
                   batch * lk_nn_peers_count(n->peers), ceil((double)(m.total + beside) / 0x1p20),
                   (double)memory / 0x1p20);
}

/* The largest batch, below this one, for which the network keeps to so much memory; 0: none. */
static int largest_batch(const lk_swap_config *c, unsigned terms, int batch, const lk_nn_options *o, size_t most) {
    int fits = 0, too_much = batch;
    while (too_much - fits > 1) {
        int middle = (fits + too_much) / 2;
        if (needed(c, terms, middle, o) <= most)
            fits = middle;
        else
            too_much = middle;
    }
    return fits;
}

/* The system hands out memory that it does not have, and ends the process when it is used: so what is needed is compared
 * with what is free before. Planning takes a while, and is left out where far less will do. */
#define MOST_BYTES_A_PIXEL 8192 /* of activations and gradients, in the widest of the models */

static bool check_memory(const lk_swap_config *c, unsigned terms, int batch, const lk_nn_options *o, lk_error *err) {
    size_t available = lk_train_free_memory(), pixels = 2 * (size_t)batch * (size_t)(c->resolution * c->resolution);
    if (o->device != LK_NN_CPU || pixels * MOST_BYTES_A_PIXEL < available) return true;
    size_t asked = needed(c, terms, batch, o);
    if (asked <= available) return true;
    int fits = largest_batch(c, terms, batch, o, available);
    int peers = lk_nn_peers_count(o->peers);
    char much[60] = "more than can be told", advice[100] = "not even 1 would: choose smaller dimensions";
    if (asked < SIZE_MAX) snprintf(much, sizeof much, "%.1f GiB", (double)asked / 0x1p30);
    if (fits > 0) snprintf(advice, sizeof advice, "--batch %d would fit", fits * peers);
    return lk_fail(err, LK_ERR_MEMORY, "a batch of %d does not fit: it needs %s, and %.1f GiB are free; %s",
                   batch * peers, much, (double)available / 0x1p30, advice);
}

/* A GPU's memory is short: what would fit is told by a plan for such a card. */
static void advise(const lk_swap_config *c, unsigned terms, int batch, lk_nn_options o, lk_error *err) {
    char what[LK_COUNT(err->message)];
    snprintf(what, sizeof what, "%s", err->message);
    o.imagined = true;
    int fits = largest_batch(c, terms, batch, &o, o.memory);
    if (fits > 0) {
        lk_fail(err, LK_ERR_MEMORY, "%s; --batch %d would fit", what, fits * lk_nn_peers_count(o.peers));
        return;
    }
    while (++o.optimizer_memory <= LK_NN_STATES_HOST)
        if (needed(c, terms, batch, &o) <= o.memory) {
            lk_fail(err, LK_ERR_MEMORY, "%s; with --optimizer-memory %s it would fit", what,
                    lk_nn_states_names[o.optimizer_memory]);
            return;
        }
    lk_fail(err, LK_ERR_MEMORY, "%s; not even --batch 1 would: choose smaller dimensions", what);
}

bool lk_network_fit(lk_network *n, const lk_swap_config *c, const lk_now_set *now, int64_t iteration, bool fresh,
                    lk_error *err) {
    carried kept = {0};
    lk_nn_options o = {.train = true,
                       .seed = now->options.seed,
                       /* Whether several processes agree on where weights lie is seen by what is drawn. */
                       .blank = !fresh && lk_nn_peers_count(n->peers) == 1,
                       .precision = now->options.precision,
                       .optimizer_memory = now->options.optimizer_memory,
                       .device = lk_nn_device_for(now->options.device),
                       .peers = n->peers};
    unsigned terms = lk_swap_terms(c, &now->objective, iteration);
    int part = now->options.batch / lk_nn_peers_count(n->peers);
    bool carrying = n->exec != NULL;
    if (!grant(n, c, terms, part, &now->options, &o, err)) return false;
    if (!carrying && !check_memory(c, terms, part, &o, err)) return false;
    /* The room that a layer needs hangs by the way it is computed. */
    if (!tune(c, terms, part, &o, err) || !grant(n, c, terms, part, &now->options, &o, err)) return false;
    bool ok = !carrying || carry_out(n->exec, &kept, err);
    if (ok) {
        lk_nn_free(n->exec);
        n->exec = NULL;
        n->batch = now->options.batch;
        n->precision = now->options.precision;
        n->states = now->options.optimizer_memory;
        n->memory = now->options.memory;
        n->terms = terms;
        lk_nn_graph *g = lk_swap_training_graph(c, terms, part, err);
        n->exec = g ? lk_nn_compile(g, &o, err) : NULL;
        lk_nn_graph_free(g);
        if (!n->exec && o.device == LK_NN_GPU && err && err->code == LK_ERR_MEMORY) advise(c, terms, part, o, err);
        ok = n->exec && (!carrying || carry_in(n->exec, &kept, err));
    }
    carried_free(&kept);
    return ok;
}

static bool load_slot(lk_network *n, lk_nn_slot slot, const char *dir, const char *name, lk_error *err) {
    char *path = lk_path_join(dir, name, err);
    bool ok = path && lk_nn_load(n->exec, slot, path, NULL, NULL, err);
    free(path);
    return ok;
}

bool lk_network_load(lk_network *n, const char *dir, const lk_record *r, lk_error *err) {
    lk_average_drop(&n->average);
    bool ok = load_slot(n, LK_NN_VALUE, dir, r->weights.name, err) &&
              load_slot(n, LK_NN_MOMENT1, dir, r->optimizer.name, err);
    if (ok && *r->latest.name)
        ok = lk_average_take(&n->average, n->exec, err) && load_slot(n, LK_NN_VALUE, dir, r->latest.name, err);
    lk_nn_set_steps(n->exec, r->optimizer_steps);
    return ok;
}

/* Pretraining on many people teaches what faces have in common. What belongs to a side starts afresh: both decoders where
 * each side has its own, else the intermediate that both share. */
static bool left_behind(const lk_swap_config *c, const char *name) {
    bool shared = c->arch == LK_ARCH_LIAE || c->inner == LK_SAE_LIAE;
    const char *part = shared ? "inter_ab/" : "decoder_";
    return strncmp(name, part, strlen(part)) == 0;
}

#define MOST_NAMED 6

/* Names of the parameters that were loaded, or of those that were not: "encoder/out/bias, …"; their count. */
static int name_some(const lk_nn_exec *e, const bool *loaded, bool which, char *list, size_t size) {
    int found = 0;
    list[0] = 0;
    for (int i = 0; i < lk_nn_param_count(e); i++) {
        if (loaded[i] != which || found++ >= MOST_NAMED) continue;
        size_t used = strlen(list);
        snprintf(list + used, size - used, "%s%s", used ? ", " : "", lk_nn_param_name(e, i));
    }
    size_t used = strlen(list);
    if (found > MOST_NAMED) snprintf(list + used, size - used, ", …");
    return found;
}

static bool none_missing(const lk_nn_exec *e, const char *dir, const bool *loaded, int others, lk_error *err) {
    char match[300], differ[300];
    int missing = name_some(e, loaded, false, differ, sizeof differ);
    int same = name_some(e, loaded, true, match, sizeof match);
    return missing == 0 ||
           lk_fail(
               err, LK_ERR_USAGE,
               "%s is of another architecture: of the %d tensors of the new model %d match%s%s%s, and %d do not (%s); "
               "%d of the old one have no place; give the new model the same options",
               dir, same + missing, same, same ? " (" : "", match, same ? ")" : "", missing, differ, others);
}

bool lk_network_take(lk_network *n, const char *dir, const lk_record *r, lk_error *err) {
    lk_nn_exec *e = n->exec;
    int count = lk_nn_param_count(e), others = 0;
    bool *loaded = lk_alloc((size_t)count, sizeof *loaded, err);
    float **fresh = loaded ? lk_alloc((size_t)count, sizeof *fresh, err) : NULL;
    char *path = fresh ? lk_path_join(dir, r->weights.name, err) : NULL;
    bool ok = path != NULL;
    for (int i = 0; ok && r->pretraining && i < count; i++) {
        if (!left_behind(&r->config, lk_nn_param_name(e, i))) continue;
        fresh[i] = lk_alloc(lk_nn_count(lk_nn_param_shape(e, i)), sizeof(float), err);
        ok = fresh[i] && lk_nn_param_get(e, i, LK_NN_VALUE, fresh[i]);
    }
    ok = ok && lk_nn_load_matching(e, LK_NN_VALUE, path, loaded, &others, err) &&
         none_missing(e, dir, loaded, others, err);
    for (int i = 0; fresh && i < count; i++) {
        if (ok && fresh[i]) ok = lk_nn_param_set(e, i, LK_NN_VALUE, fresh[i]);
        free(fresh[i]);
    }
    free(fresh);
    free(loaded);
    free(path);
    return ok;
}

/* One side's faces into the network, and what it made of them out again. The prediction of src's half is what src's
 * decoder draws of whatever faces lie there. */
static void put_faces(lk_nn_exec *e, int half, const lk_portraits *p, int first, int count) {
    lk_nn_t warped = lk_nn_find(e, "warped");
    lk_nn_shape s = lk_nn_shape_in(e, warped);
    size_t one = lk_nn_count(s) / (size_t)s.n;
    float *to = lk_nn_data(e, warped) + (size_t)(half * s.n / 2) * one;
    memcpy(to, p->faces + (size_t)first * one, (size_t)count * one * sizeof(float));
}

static void take_pictures(lk_nn_exec *e, int half, const char *output, float *to, int first, int count) {
    lk_nn_t t = to ? lk_nn_find(e, output) : -1;
    if (t < 0) return;
    lk_nn_shape s = lk_nn_shape_in(e, t);
    size_t one = lk_nn_count(s) / (size_t)s.n;
    const float *from = lk_nn_data(e, t) + (size_t)(half * s.n / 2) * one;
    memcpy(to + (size_t)first * one, from, (size_t)count * one * sizeof(float));
}

bool lk_network_draw(lk_network *n, int count, const lk_portraits *by_src, const lk_portraits *by_dst, lk_error *err) {
    const lk_portraits *halves[2] = {by_src, by_dst};
    int batch = lk_nn_shape_in(n->exec, lk_nn_find(n->exec, "warped")).n / 2;
    for (int first = 0; first < count; first += batch) {
        int now = count - first < batch ? count - first : batch;
        for (int half = 0; half < 2; half++)
            if (halves[half]) put_faces(n->exec, half, halves[half], first, now);
        if (!lk_nn_run(n->exec, err)) return false;
        for (int half = 0; half < 2; half++) {
            if (!halves[half]) continue;
            take_pictures(n->exec, half, "prediction", halves[half]->images, first, now);
            take_pictures(n->exec, half, "prediction_mask", halves[half]->masks, first, now);
        }
    }
    return true;
}

void lk_network_free(lk_network *n) {
    lk_nn_free(n->exec);
    lk_average_drop(&n->average);
    *n = (lk_network){0};
}
