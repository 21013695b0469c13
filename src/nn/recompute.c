/* Less memory for more time: an activation is given up after its last use in the forward pass and computed again before its
 * first use in the backward pass (Griewank & Walther 2000; Chen et al. 2016). Its node is repeated there, on the same operands
 * and before any of its weights is updated, so no bit of a step changes.
 *
 * Which ones: those whose absence lowers the memory of the steps near the peak most for each operation that is repeated, one
 * after the other, until the arena fits. The way down is the same whatever the room: what is the least for one is enough
 * for the other. At the end whatever turns out not to be needed is kept after all. */
#include "internal.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

/* Moving a byte takes as long as so many operations of a layer. */
#define OPERATIONS_A_BYTE 64
/* Steps within this share of the peak are lowered together; where nothing does that, those within the smaller one. */
#define NEAR  16
#define CLOSE 256

typedef struct activation {
    int maker;       /* the node of the forward pass that computes it; −1: it cannot be given up */
    int first, last; /* nodes of the backward pass that read it; −1: none */
    int again;       /* in the graph that is tried: the tensor that holds it once more, or −1 */
    bool updated;    /* a parameter, and changed by now */
} activation;

typedef struct work {
    lk_nn_exec *e;
    lk_nn_graph tried;              /* names and values are those of the plain graph */
    activation *a;                  /* of each tensor of the plain graph */
    bool *given_up, *trial, *least; /* likewise: sets of activations */
    size_t *live;                   /* bytes that live at each step of the tried graph */
    double cost;                    /* of what the tried graph computes again */
    bool too_late;                  /* and of that something came after an update of its weights */
} work;

/* ---- A graph in which some activations are computed again -------------------------------------------------- */

static double cost_of(const lk_nn_graph *g, const lk_node *n) {
    size_t bytes = g->tensors[n->out[0]].bytes;
    for (int i = 0; i < n->in_count; i++) bytes += g->tensors[n->in[i]].bytes;
    return lk_node_flops(g, n) + OPERATIONS_A_BYTE * (double)bytes;
}

static int copied(work *w, int t) {
    lk_nn_graph *g = &w->tried;
    int copy = lk_graph_tensor(g, LK_VALUE, g->tensors[t].shape);
    if (copy < 0) return t;
    g->tensors[copy].narrow = g->tensors[t].narrow;
    g->tensors[copy].bytes = g->tensors[t].bytes;
    return w->a[t].again = copy;
}

/* What the backward pass reads in place of `t`. The operands of what is computed again may have to be, too. */
static int read_again(work *w, const bool *set, int t) {
    lk_nn_graph *g = &w->tried;
    int root = lk_root(g, t);
    if (!set[root]) {
        w->too_late |= w->a[root].updated;
        return t;
    }
    if (w->a[t].again >= 0) return w->a[t].again;
    if (t != root) {
        int under = read_again(w, set, g->tensors[t].view_of), view = copied(w, t);
        g->tensors[view].view_of = under;
        g->tensors[view].offset = g->tensors[t].offset;
        return view;
    }
    lk_node n = w->e->g.nodes[w->a[t].maker];
    w->cost += cost_of(&w->e->g, &n);
    for (int i = 0; i < n.in_count; i++) n.in[i] = read_again(w, set, n.in[i]);
    n.out[0] = copied(w, t);
    n.state = NULL;
    n.again = true;
    g->nodes[g->node_count++] = n;
    return n.out[0];
}

/* The tried graph: the plain one with the set given up. */
static bool build(work *w, const bool *set, lk_error *err) {
    const lk_nn_graph *plain = &w->e->g;
    lk_nn_graph *g = &w->tried;
    memcpy(g->tensors, plain->tensors, (size_t)plain->tensor_count * sizeof *g->tensors);
    g->tensor_count = plain->tensor_count;
    g->node_count = 0;
    w->cost = 0;
    w->too_late = false;
    for (int i = 0; i < plain->tensor_count; i++) {
        w->a[i].again = -1;
        w->a[i].updated = false;
    }
    for (int i = 0; i < plain->node_count; i++) {
        lk_node n = plain->nodes[i];
        if (i >= w->e->forward_count && n.op != LK_OP_VIEW)
            for (int j = 0; j < n.in_count; j++)
                if (set[lk_root(plain, n.in[j])]) n.in[j] = read_again(w, set, n.in[j]);
        g->nodes[g->node_count++] = n;
        if (n.op == LK_OP_ADAM) w->a[n.in[0]].updated = true;
        if (n.updates) w->a[n.weights].updated = true;
    }
    return lk_nn_graph_ok(g, err);
}

/* Builds it, and finds what lives at each of its steps. */
static bool try(work *w, const bool *set, lk_error *err) {
    lk_nn_graph *g = &w->tried;
    if (!build(w, set, err) || !lk_arena_live(g, err)) return false;
    memset(w->live, 0, ((size_t)g->node_count + 1) * sizeof *w->live);
    for (int i = 0; i < g->tensor_count; i++) {
        const lk_tensor *t = &g->tensors[i];
        if (!lk_in_arena(t)) continue;
        w->live[t->first] += lk_arena_bytes(t);
        w->live[t->last + 1] -= lk_arena_bytes(t); /* sums of unsigned numbers come out right */
    }
    for (int i = 0; i < g->node_count; i++) w->live[i + 1] += w->live[i];
    return true;
}

static size_t peak_of(const work *w) {
    size_t peak = 0;
    for (int i = 0; i < w->tried.node_count; i++)
        if (w->live[i] > peak) peak = w->live[i];
    return peak;
}

static double above(const work *w, size_t level) {
    double sum = 0;
    for (int i = 0; i < w->tried.node_count; i++)
        if (w->live[i] > level) sum += (double)(w->live[i] - level);
    return sum;
}

/* ---- Which activations ----------------------------------------------------------------------------------- */

static void find_activations(work *w) {
    const lk_nn_graph *g = &w->e->g;
    for (int i = 0; i < g->tensor_count; i++) w->a[i] = (activation){-1, -1, -1, -1, false};
    for (int i = 0; i < w->e->forward_count; i++) {
        const lk_node *n = &g->nodes[i];
        if (n->op != LK_OP_VIEW && n->op != LK_OP_LOSS && n->out_count == 1 && !n->a.list) w->a[n->out[0]].maker = i;
    }
    for (int i = 0; i < g->tensor_count; i++)
        if (g->tensors[i].output || g->tensors[i].pinned) w->a[lk_root(g, i)].maker = -1;
    for (int i = w->e->forward_count; i < g->node_count; i++)
        for (int j = 0; j < g->nodes[i].in_count; j++) {
            activation *a = &w->a[lk_root(g, g->nodes[i].in[j])];
            if (a->first < 0) a->first = i;
            a->last = i;
        }
}

/* `chain`: and what computing it again at that step reads, unless that still lives then. */
static void give_up(const work *w, bool *set, int t, int at, bool chain) {
    if (set[t]) return;
    set[t] = true;
    const lk_node *n = &w->e->g.nodes[w->a[t].maker];
    for (int i = 0; chain && i < n->in_count; i++) {
        int u = lk_root(&w->e->g, n->in[i]);
        if (w->a[u].maker >= 0 && w->a[u].last < at) give_up(w, set, u, at, chain);
    }
}

static void copy_set(const work *w, bool *to, const bool *from) {
    memcpy(to, from, (size_t)w->e->g.tensor_count * sizeof *to);
}

/* The best next activation for lowering what lies above a level, given up; *found: is there one? */
static bool next(work *w, int share, bool *found, lk_error *err) {
    int best = -1;
    bool best_chain = false;
    double best_score = 0;
    if (!try(w, w->given_up, err)) return false;
    size_t level = peak_of(w) - peak_of(w) / (size_t)share;
    double before = above(w, level), cost = w->cost;
    for (int i = 0; i < w->e->g.tensor_count; i++) {
        if (w->a[i].maker < 0 || w->a[i].first < 0 || w->given_up[i]) continue;
        for (int chain = 0; chain < 2; chain++) {
            copy_set(w, w->trial, w->given_up);
            give_up(w, w->trial, i, w->a[i].first, chain);
            if (!try(w, w->trial, err)) return false;
            double score = (before - above(w, level)) / (w->cost > cost ? w->cost - cost : 1);
            if (w->too_late || score <= best_score) continue;
            best_score = score;
            best = i;
            best_chain = chain;
        }
    }
    *found = best >= 0;
    if (*found) give_up(w, w->given_up, best, w->a[best].first, best_chain);
    return true;
}

static bool arena_with(work *w, const bool *set, size_t *bytes, lk_error *err) {
    return try(w, set, err) && lk_arena_place(&w->tried, true, bytes, err);
}

/* Down to the room, or to the least; what that takes is in w->least. */
static bool descend(work *w, size_t room, size_t *least, lk_error *err) {
    bool found = true;
    while (*least > room && found) {
        size_t bytes;
        if (!next(w, NEAR, &found, err) || (!found && !next(w, CLOSE, &found, err))) return false;
        if (!found) break;
        if (!arena_with(w, w->given_up, &bytes, err)) return false;
        if (bytes >= *least) continue;
        *least = bytes;
        copy_set(w, w->least, w->given_up);
    }
    return true;
}

/* What need not be given up for that is kept, the dearest first. */
static bool keep_the_rest(work *w, size_t *bytes, size_t room, lk_error *err) {
    const lk_nn_graph *g = &w->e->g;
    double below = DBL_MAX;
    size_t most = *bytes > room ? *bytes : room;
    for (;;) {
        int dearest = -1;
        double cost = -1;
        for (int i = 0; i < g->tensor_count; i++) {
            double own = w->least[i] ? cost_of(g, &g->nodes[w->a[i].maker]) : -1;
            if (own > cost && own < below) {
                cost = own;
                dearest = i;
            }
        }
        if (dearest < 0) return true;
        below = cost;
        size_t with;
        w->least[dearest] = false;
        if (!arena_with(w, w->least, &with, err)) return false;
        w->least[dearest] = w->too_late || with > most;
        if (!w->least[dearest]) *bytes = with;
    }
}

static void adopt(work *w) {
    lk_nn_graph *g = &w->e->g, *t = &w->tried;
    free(g->tensors);
    free(g->nodes);
    g->tensors = t->tensors;
    g->nodes = t->nodes;
    g->tensor_count = t->tensor_count;
    g->node_count = t->node_count;
    g->tensor_room = t->tensor_room;
    g->node_room = t->node_room;
    t->tensors = NULL;
    t->nodes = NULL;
}

static bool prepare(lk_nn_exec *e, lk_error *err) {
    for (int i = 0; i < e->g.node_count; i++) {
        lk_node *n = &e->g.nodes[i];
        if (n->again && !e->backend->prepare(e, n, err)) return lk_fail_in(err, "%s", lk_op_name(n->op));
    }
    return true;
}

static bool start(work *w, lk_error *err) {
    const lk_nn_graph *g = &w->e->g;
    size_t tensors = (size_t)g->tensor_count, nodes = 2 * (size_t)g->node_count;
    w->tried = (lk_nn_graph){.losses = g->losses, .loss_count = g->loss_count};
    w->tried.tensor_room = 3 * g->tensor_count;
    w->tried.node_room = 2 * g->node_count;
    return (w->tried.tensors = lk_alloc(3 * tensors, sizeof *w->tried.tensors, err)) &&
           (w->tried.nodes = lk_alloc(nodes, sizeof *w->tried.nodes, err)) &&
           (w->a = lk_alloc(tensors, sizeof *w->a, err)) &&
           (w->given_up = lk_alloc(tensors, sizeof *w->given_up, err)) &&
           (w->trial = lk_alloc(tensors, sizeof *w->trial, err)) &&
           (w->least = lk_alloc(tensors, sizeof *w->least, err)) &&
           (w->live = lk_alloc(nodes + 1, sizeof *w->live, err));
}

bool lk_recompute(lk_nn_exec *e, size_t room, lk_error *err) {
    work w = {.e = e};
    size_t plain, bytes;
    bool ok = start(&w, err);
    if (ok) find_activations(&w);
    ok = ok && arena_with(&w, w.given_up, &plain, err);
    if (ok && (bytes = plain) > room) {
        ok = descend(&w, room, &bytes, err) && keep_the_rest(&w, &bytes, room, err) && build(&w, w.least, err);
        if (ok) {
            e->saved_bytes = plain - bytes;
            adopt(&w);
            ok = prepare(e, err);
        }
    }
    free(w.tried.tensors);
    free(w.tried.nodes);
    free(w.a);
    free(w.given_up);
    free(w.trial);
    free(w.least);
    free(w.live);
    return ok;
}
