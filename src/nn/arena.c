/* The arena: how long each tensor lives, and where it lies among those that live at the same time. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define ATTEMPTS 128

static void touch(lk_nn_graph *g, int t, int step) {
    lk_tensor *r = &g->tensors[lk_root(g, t)];
    if (r->first < 0 || step < r->first) r->first = step;
    if (step > r->last) r->last = step;
}

/* How long each tensor that owns memory lives, in steps. */
static void lifetimes(lk_nn_graph *g) {
    int end = g->node_count - 1;
    for (int i = 0; i < g->tensor_count; i++) g->tensors[i].first = g->tensors[i].last = -1;
    for (int i = 0; i <= end; i++) {
        const lk_node *n = &g->nodes[i];
        if (n->op == LK_OP_VIEW) continue;
        for (int j = 0; j < n->in_count; j++) touch(g, n->in[j], i);
        for (int j = 0; j < n->out_count; j++) touch(g, n->out[j], i);
    }
    for (int i = 0; i < g->loss_count; i++) g->tensors[g->losses[i].tensor].pinned = true;
    for (int i = 0; i < g->tensor_count; i++) {
        lk_tensor *t = &g->tensors[i];
        if (t->kind == LK_INPUT) touch(g, i, 0);
        if (t->kind == LK_INPUT || t->output || t->pinned) {
            touch(g, i, end);
            g->tensors[lk_root(g, i)].pinned = true;
        }
    }
}

static bool works_in_place(lk_op op) {
    switch (op) {
    case LK_OP_ACT:
    case LK_OP_PRELU:
    case LK_OP_ADD:
    case LK_OP_SUB:
    case LK_OP_MUL:
    case LK_OP_AFFINE:
    case LK_OP_SQUARE:
    case LK_OP_ABS:
    case LK_OP_SQRT:
    case LK_OP_ACT_BACK:
    case LK_OP_SQUARE_BACK:
    case LK_OP_ABS_BACK:
    case LK_OP_SQRT_BACK:
        return true;
    default:
        return false;
    }
}

/* Elementwise nodes overwrite an operand that nobody needs after them. */
static void share_in_place(lk_nn_graph *g) {
    for (int i = 0; i < g->node_count; i++) {
        const lk_node *n = &g->nodes[i];
        if (!works_in_place(n->op)) continue;
        int in = lk_root(g, n->in[0]);
        lk_tensor *from = &g->tensors[in], *out = &g->tensors[n->out[0]];
        bool free_to_take =
            from->kind == LK_VALUE && !from->pinned && from->last == i && from->bytes == out->bytes && out->view_of < 0;
        for (int j = 1; j < n->in_count; j++) free_to_take &= lk_root(g, n->in[j]) != in;
        if (!free_to_take) continue;
        out->view_of = in;
        out->offset = 0;
        from->last = out->last;
        from->pinned = out->pinned;
    }
}

typedef struct item {
    size_t bytes, place;
    int tensor, first, last;
} item;

static int ascending(double p, double q) { return (p > q) - (p < q); }

static int larger_first(const void *a, const void *b) {
    const item *p = a, *q = b;
    int order = ascending((double)q->bytes, (double)p->bytes);
    return order ? order : p->tensor - q->tensor;
}

static int longer_first(const void *a, const void *b) {
    const item *p = a, *q = b;
    int order = (q->last - q->first) - (p->last - p->first);
    return order ? order : larger_first(a, b);
}

/* One after the other, each at the lowest place where nothing that lives at the same time lies. `by_place`: room for all. */
static size_t pack(item *items, int count, item **by_place) {
    size_t total = 0;
    for (int i = 0; i < count; i++) {
        item *it = &items[i];
        size_t at = 0;
        int j = 0;
        for (; j < i; j++) {
            const item *other = by_place[j];
            if (other->first > it->last || it->first > other->last) continue;
            if (other->place >= at + it->bytes) break;
            if (other->place + other->bytes > at) at = other->place + other->bytes;
        }
        it->place = at;
        while (j > 0 && by_place[j - 1]->place > at) j--;
        while (j < i && by_place[j]->place < at) j++;
        memmove(by_place + j + 1, by_place + j, (size_t)(i - j) * sizeof(item *));
        by_place[j] = it;
        if (at + it->bytes > total) total = at + it->bytes;
    }
    return total;
}

bool lk_arena_live(lk_nn_graph *g, lk_error *err) {
    lifetimes(g);
    share_in_place(g);
    for (int i = 0; i < g->node_count; i++) {
        if (!g->nodes[i].scratch) continue;
        int t = lk_graph_tensor(g, LK_VALUE, lk_shape(1, 1, 1, 1));
        if (t < 0) return lk_nn_graph_ok(g, err);
        g->tensors[t].first = g->tensors[t].last = i;
        g->tensors[t].bytes = g->nodes[i].scratch;
        g->tensors[t].scratch = true;
        g->nodes[i].scratch_tensor = t;
    }
    return true;
}

/* What lies highest is placed earlier next time. */
static bool advance(item *items, int count, bool to_front) {
    int top = 0;
    for (int i = 1; i < count; i++)
        if (items[i].place + items[i].bytes > items[top].place + items[top].bytes) top = i;
    int to = to_front ? 0 : top / 2;
    item moved = items[top];
    memmove(items + to + 1, items + to, (size_t)(top - to) * sizeof *items);
    items[to] = moved;
    return top > 0;
}

/* No placement can do with less than what lives at one step. */
static size_t least_possible(const item *items, int count, size_t *live, int steps) {
    size_t most = 0, now = 0;
    memset(live, 0, ((size_t)steps + 1) * sizeof *live);
    for (int i = 0; i < count; i++) {
        live[items[i].first] += items[i].bytes;
        live[items[i].last + 1] -= items[i].bytes; /* sums of unsigned numbers come out right */
    }
    for (int i = 0; i < steps; i++)
        if ((now += live[i]) > most) most = now;
    return most;
}

/* From two orders on, each time a better one is tried, until nothing is gained or can be. */
static void place_all(lk_nn_graph *g, item *items, int count, item **by_place, size_t bound, size_t *bytes) {
    static int (*const orders[])(const void *, const void *) = {larger_first, longer_first};
    *bytes = SIZE_MAX;
    for (size_t k = 0; k < LK_COUNT(orders); k++) {
        qsort(items, (size_t)count, sizeof *items, orders[k]);
        for (int i = 0; i<ATTEMPTS && * bytes> bound; i++) {
            size_t total = pack(items, count, by_place);
            if (total < *bytes) {
                *bytes = total;
                for (int j = 0; j < count; j++) g->tensors[items[j].tensor].place = items[j].place;
            }
            if (!advance(items, count, i % 2 == 0)) break;
        }
    }
}

bool lk_arena_place(lk_nn_graph *g, bool workspace, size_t *bytes, lk_error *err) {
    item *items = lk_alloc((size_t)g->tensor_count, sizeof *items, err);
    item **by_place = lk_alloc((size_t)g->tensor_count, sizeof *by_place, err);
    size_t *live = lk_alloc((size_t)g->node_count + 1, sizeof *live, err);
    bool ok = items && by_place && live;
    int count = 0;
    for (int i = 0; ok && i < g->tensor_count; i++) {
        const lk_tensor *t = &g->tensors[i];
        if (lk_in_arena(t) && (workspace || !t->scratch))
            items[count++] = (item){.bytes = lk_arena_bytes(t), .tensor = i, .first = t->first, .last = t->last};
    }
    if (ok) place_all(g, items, count, by_place, least_possible(items, count, live, g->node_count), bytes);
    free(items);
    free(by_place);
    free(live);
    return ok;
}
