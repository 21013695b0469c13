/* Nodes that one kernel does together, so that activations pass through memory less often (docs/gpu.md counts the bytes). */
#include "gpu.h"

/* Its bias and activation can be someone else's affair; a bias that is computed may come to be of 16 bits. */
static bool can(const lk_nn_exec *e, const lk_node *n) {
    return n->in_count < 3 || e->g.tensors[n->in[2]].kind != LK_VALUE;
}

/* Depth-to-space reads and writes all numbers anyway: it adds the bias and activates, too. So whether the library would have
 * done that makes no difference. */
static void join(lk_nn_exec *e, int conv, int spread) {
    lk_node *c = &e->g.nodes[conv], *s = &e->g.nodes[spread];
    if (c->in_count > 2) {
        s->in[1] = c->in[2];
        s->in_count = c->in_count = 2;
    }
    s->a.conv.act = c->a.conv.act;
    s->a.conv.alpha = c->a.conv.alpha;
    c->a.conv.act = LK_NN_LINEAR;
}

/* The node that makes the gradient `t` by undoing an activation, or depth-to-space; NULL: another does. */
static lk_node *undoing(lk_nn_graph *g, int t) {
    for (int i = 0; i < g->node_count; i++) {
        lk_node *n = &g->nodes[i];
        if ((n->op == LK_OP_ACT_BACK || n->op == LK_OP_DEPTH_TO_SPACE_BACK) && n->out[0] == t) return n;
    }
    return NULL;
}

/* Adds them to what the node makes: of runs of rows, in float32 since who reads them takes nothing else. */
static bool sums_of(lk_nn_graph *g, lk_node *n) {
    if (n->out_count > 1) return true; /* another layer wanted them */
    lk_nn_shape s = g->tensors[n->out[0]].shape;
    int runs = (int)lk_runs_of((uint32_t)(s.n * s.h * s.w)),
        t = lk_graph_tensor(g, LK_VALUE, lk_shape(runs, s.c, 1, 1));
    if (t >= 0) n->out[n->out_count++] = t;
    return t >= 0;
}

/* The bias's gradient is dy's sum over all pixels: who makes dy sums a few rows of it while they are at hand, and those sums
 * alone are read for the rest. */
static bool sum_on_the_way(lk_nn_exec *e, lk_error *err) {
    lk_nn_graph *g = &e->g;
    for (int i = e->forward_count; i < g->node_count; i++) {
        lk_node *n = &g->nodes[i];
        if ((n->op != LK_OP_CONV_BACK_WEIGHTS && n->op != LK_OP_DENSE_BACK_WEIGHTS) || n->out_count < 2) continue;
        lk_node *from = undoing(g, n->in[1]);
        if (from && sums_of(g, from)) n->in[n->in_count++] = from->out[1];
    }
    return lk_nn_graph_ok(g, err);
}

bool lk_gpu_join_nodes(lk_nn_exec *e, lk_error *err) {
    lk_fuse(e, can, join);
    return sum_on_the_way(e, err);
}
