/* Mixed precision: which tensors are of 16 bits (bfloat16, on some GPUs float16), decided after differentiation.
 *
 * Convolutions and dense layers multiply those and add in float32. Between them, what only moves or combines numbers keeps
 * the type it is given. Everything else (losses, filters, parameters, their gradients and moments, inputs and outputs) is
 * float32; a conversion stands where a layer reads such a tensor. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

const char *const lk_nn_precision_names[] = {"float32", "bfloat16", "tf32", "float16", "auto", NULL};

typedef struct facts {
    bool exact;  /* must stay float32 */
    bool read;   /* a narrow layer reads it */
    int convert; /* its copy in 16 bits, or −1 */
} facts;

static bool back_weights(lk_op op) { return op == LK_OP_CONV_BACK_WEIGHTS || op == LK_OP_DENSE_BACK_WEIGHTS; }

/* Operands of a layer that are activations or their gradients; the others are weights and biases. */
static int activations_read(const lk_node *n) { return back_weights(n->op) ? 2 : 1; }

static void look(const lk_nn_exec *e, facts *f, bool *any) {
    const lk_nn_graph *g = &e->g;
    for (int i = 0; i < g->tensor_count; i++) {
        const lk_tensor *t = &g->tensors[i];
        if (t->kind != LK_VALUE || t->output || t->pinned) f[lk_root(g, i)].exact = true;
        f[i].convert = -1;
    }
    for (int i = 0; i < g->node_count; i++) {
        const lk_node *n = &g->nodes[i];
        any[i] = n->op == LK_OP_VIEW || e->backend->any_type(e, n);
        if (any[i]) continue;
        for (int j = 0; j < n->in_count; j++) {
            bool activation = n->narrow && j < activations_read(n);
            facts *at = &f[lk_root(g, n->in[j])];
            activation ? (at->read = true) : (at->exact = true);
        }
        for (int j = 0; j < n->out_count; j++)
            if (!n->narrow || back_weights(n->op)) f[lk_root(g, n->out[j])].exact = true;
    }
}

static void assign(lk_nn_exec *e, const facts *f, const bool *any) {
    lk_nn_graph *g = &e->g;
    for (int i = 0; i < g->node_count; i++) {
        const lk_node *n = &g->nodes[i];
        bool from_narrow = n->narrow;
        for (int j = 0; any[i] && j < n->in_count; j++) from_narrow |= g->tensors[lk_root(g, n->in[j])].narrow;
        for (int j = 0; j < n->out_count; j++) {
            int r = lk_root(g, n->out[j]);
            if (r == n->out[j]) g->tensors[r].narrow = !f[r].exact && (from_narrow || f[r].read);
        }
    }
    for (int i = 0; i < g->tensor_count; i++) g->tensors[i].narrow = g->tensors[lk_root(g, i)].narrow;
}

/* The copy of a float32 tensor in 16 bits; its node is written to *to when it is new. */
static int converted(lk_nn_graph *g, facts *f, int t, lk_node *to, int *count) {
    if (f[t].convert >= 0) return f[t].convert;
    int copy = lk_graph_tensor(g, LK_VALUE, g->tensors[t].shape);
    if (copy < 0) return -1;
    g->tensors[copy].narrow = true;
    to[(*count)++] = (lk_node){.op = LK_OP_CONVERT,
                               .in = {t},
                               .in_count = 1,
                               .out = {copy},
                               .out_count = 1,
                               .scratch_tensor = -1,
                               .weights = -1};
    return f[t].convert = copy;
}

static bool insert_conversions(lk_nn_exec *e, facts *f, lk_error *err) {
    lk_nn_graph *g = &e->g;
    int room = 3 * g->node_count, count = 0, forward = 0;
    lk_node *nodes = lk_alloc((size_t)room, sizeof *nodes, err);
    if (!nodes) return false;
    for (int i = 0; i < g->node_count; i++) {
        lk_node n = g->nodes[i];
        for (int j = 0; n.narrow && j < activations_read(&n); j++)
            if (!g->tensors[n.in[j]].narrow) n.in[j] = converted(g, f, n.in[j], nodes, &count);
        nodes[count++] = n;
        if (i == e->forward_count - 1) forward = count;
    }
    free(g->nodes);
    g->nodes = nodes;
    g->node_room = room;
    g->node_count = count;
    e->forward_count = forward;
    return lk_nn_graph_ok(g, err);
}

/* Gradients of tiled weights that only Adam reads: it is applied by the node that makes them. */
static void update_at_once(lk_nn_exec *e) {
    lk_nn_graph *g = &e->g;
    if (e->options.keep_gradients || lk_nn_peers_count(e->options.peers) > 1) return;
    for (int i = 0; i < g->node_count; i++) {
        lk_node *n = &g->nodes[i];
        if (!back_weights(n->op) || n->weights < 0 || !g->tensors[n->weights].tiled) continue;
        int reader = -1, readers = 0;
        for (int k = i + 1; k < g->node_count; k++)
            for (int j = 0; j < g->nodes[k].in_count; j++)
                if (g->nodes[k].in[j] == n->out[0]) {
                    reader = k;
                    readers++;
                }
        if (readers != 1 || g->nodes[reader].op != LK_OP_ADAM) continue;
        n->updates = true;
        memmove(g->nodes + reader, g->nodes + reader + 1, (size_t)(--g->node_count - reader) * sizeof *g->nodes);
    }
}

bool lk_assign_types(lk_nn_exec *e, lk_error *err) {
    lk_nn_graph *g = &e->g;
    e->precision = e->backend->precision(e);
    e->narrow = e->precision == LK_NN_BF16 || e->precision == LK_NN_F16;
    if (!e->narrow) {
        if (!e->options.train || !e->backend->choose_exact) return true;
        e->backend->choose_exact(e);
        update_at_once(e);
        return true;
    }
    e->backend->choose_narrow(e);
    facts *f = lk_alloc((size_t)(g->tensor_count + 2 * g->node_count), sizeof *f, err);
    bool *any = lk_alloc((size_t)g->node_count, sizeof *any, err);
    bool ok = f && any;
    if (ok) {
        look(e, f, any);
        assign(e, f, any);
        ok = insert_conversions(e, f, err);
    }
    if (ok) update_at_once(e);
    free(f);
    free(any);
    return ok;
}
