/* A convolution, its activation, depth-to-space: how decoders grow. What a backend can join of the three on the way forward is
 * its own affair; on the way back one pass moves the gradient and undoes the activation, whose output it reads where
 * depth-to-space moved it. So the deep side is done with in the forward pass. */
#include "internal.h"

#include <string.h>

typedef struct readers {
    int forward, back; /* the depth-to-space, and the node that undoes the activation, or −1 */
    bool others;
} readers;

static readers readers_of(const lk_nn_graph *g, int t) {
    readers r = {-1, -1, g->tensors[t].output || g->tensors[t].pinned};
    for (int i = 0; i < g->node_count; i++) {
        const lk_node *n = &g->nodes[i];
        for (int j = 0; j < n->in_count; j++) {
            if (n->in[j] != t) continue;
            if (n->op == LK_OP_DEPTH_TO_SPACE && r.forward < 0)
                r.forward = i;
            else if (n->op == LK_OP_ACT_BACK && j == 1 && r.back < 0)
                r.back = i;
            else
                r.others = true;
        }
    }
    for (int i = 0; i < g->tensor_count; i++) r.others |= g->tensors[i].view_of == t;
    return r;
}

/* The node that alone reads what `by` alone makes: its index when it is of that kind, else −1. */
static int maker_of(const lk_nn_graph *g, int t, lk_op op) {
    int maker = -1, reads = 0;
    for (int i = 0; i < g->node_count; i++) {
        for (int j = 0; j < g->nodes[i].out_count; j++)
            if (g->nodes[i].out[j] == t) maker = i;
        for (int j = 0; j < g->nodes[i].in_count; j++) reads += g->nodes[i].in[j] == t;
    }
    for (int i = 0; i < g->tensor_count; i++) reads += g->tensors[i].view_of == t;
    return reads == 1 && maker >= 0 && g->nodes[maker].op == op ? maker : -1;
}

void lk_drop_node(lk_nn_exec *e, int i) {
    lk_nn_graph *g = &e->g;
    memmove(g->nodes + i, g->nodes + i + 1, (size_t)(--g->node_count - i) * sizeof *g->nodes);
    if (i < e->forward_count) e->forward_count--;
}

/* The convolution at `i` and the depth-to-space behind it. */
static void fuse(lk_nn_exec *e, int i, void (*join)(lk_nn_exec *e, int conv, int spread)) {
    lk_nn_graph *g = &e->g;
    readers r = readers_of(g, g->nodes[i].out[0]);
    if (r.forward < 0 || r.others) return;
    if (r.back >= 0) {
        lk_node *back = &g->nodes[r.back];
        int mover = maker_of(g, back->in[0], LK_OP_DEPTH_TO_SPACE_BACK);
        if (mover < 0) return;
        lk_node *n = &g->nodes[mover];
        n->in[1] = g->nodes[r.forward].out[0];
        n->in_count = 2;
        n->a.conv = back->a.conv;
        n->out[0] = back->out[0];
        lk_drop_node(e, r.back);
    }
    join(e, i, r.forward);
}

void lk_fuse(lk_nn_exec *e, bool (*can)(const lk_nn_exec *e, const lk_node *n),
             void (*join)(lk_nn_exec *e, int conv, int spread)) {
    for (int i = 0; i < e->forward_count; i++)
        if (e->g.nodes[i].op == LK_OP_CONV && can(e, &e->g.nodes[i])) fuse(e, i, join);
}
