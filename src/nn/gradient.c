/* Differentiation: the nodes of the backward pass and of the optimizer, appended to the forward pass in the order in which
 * they run. A parameter is updated as soon as its gradient is complete, so no full set of gradients ever exists. With
 * several processes, a gradient's average starts then, and the parameter is updated a few gradients later. Where updates
 * run beside the backward pass (states in the host's memory), a gradient is kept until its update is waited for.
 *
 * A parameter's gradient is complete when all its uses have been gone through: the node that updates it comes after all nodes
 * that read it, and recompute.c repeats none after that. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* Tensors under way beside the backward pass, oldest first. */
typedef struct queue {
    int *tensors;
    int count;
    size_t numbers;
} queue;

typedef struct backward {
    lk_nn_exec *e;
    lk_nn_graph *g;
    int *gradient;   /* of each tensor of the forward pass, or −1 */
    int *uses_left;  /* of each parameter: contributions still to come */
    bool *reaches;   /* does this tensor influence a loss? */
    queue averaging; /* parameters and losses' values, on their way between processes */
    queue updating;  /* gradients, being applied */
    size_t largest;  /* parameter, numbers */
} backward;

/* So many numbers may wait for the other processes, or to be applied, while the backward pass goes on: 64 MiB. */
#define WAITING_MOST ((size_t)16 << 20)

static int op(backward *b, lk_op kind, lk_nn_shape out, const lk_attributes *a, int count, const int *in) {
    lk_attributes copy = a ? *a : (lk_attributes){0};
    copy.list = NULL;
    return lk_graph_op(b->g, kind, in, count, out, &copy);
}

static bool wanted(const backward *b, int t) { return b->g->tensors[t].needs_gradient; }

static bool alone(const backward *b) { return lk_nn_peers_count(b->e->options.peers) < 2; }

static int averaged(const backward *b, int t) {
    return b->g->tensors[t].kind == LK_PARAM ? b->g->tensors[t].gradient : t;
}

static size_t numbers_of(const backward *b, int t) { return lk_nn_count(b->g->tensors[t].shape); }

static void begin(queue *q, int t, size_t numbers) {
    q->tensors[q->count++] = t;
    q->numbers += numbers;
}

static int oldest(queue *q) {
    int t = q->tensors[0];
    memmove(q->tensors, q->tensors + 1, (size_t)--q->count * sizeof *q->tensors);
    return t;
}

static void update(backward *b, int t) {
    int gradient = b->g->tensors[t].gradient;
    lk_graph_node(b->g, LK_OP_ADAM, (int[]){t, gradient}, 2);
    if (b->e->beside) begin(&b->updating, gradient, numbers_of(b, gradient));
}

/* Waits for the oldest updates until no more than `most` numbers are under way. */
static void join(backward *b, size_t most) {
    queue *q = &b->updating;
    while (q->count && q->numbers > most) {
        int gradient = oldest(q);
        q->numbers -= numbers_of(b, gradient);
        lk_graph_node(b->g, LK_OP_ADAM_WAIT, &gradient, 1);
    }
}

/* Before so many numbers of a gradient are computed: with those that are kept for their updates they take no more than
 * WAITING_MOST, or than the largest gradient alone. */
static void make_way(backward *b, size_t numbers) {
    size_t most = b->largest > WAITING_MOST ? b->largest : WAITING_MOST;
    join(b, most - numbers);
}

/* Waits for the oldest averages until no more than `most` numbers are under way. */
static void settle(backward *b, size_t most) {
    queue *q = &b->averaging;
    while (q->count && q->numbers > most) {
        int t = oldest(q), value = averaged(b, t);
        q->numbers -= numbers_of(b, value);
        lk_graph_node(b->g, LK_OP_REDUCE_WAIT, &value, 1);
        if (t != value) update(b, t);
    }
}

static void average(backward *b, int t) {
    int value = averaged(b, t);
    lk_graph_node(b->g, LK_OP_REDUCE_START, &value, 1);
    begin(&b->averaging, t, numbers_of(b, value));
    settle(b, WAITING_MOST);
}

/* Is `t` the gradient of a weight and of nothing else, so that it may be overwritten? */
static bool own_gradient(const backward *b, int t) {
    for (int i = b->g->node_count - 1; i >= 0; i--) {
        const lk_node *n = &b->g->nodes[i];
        for (int j = 0; j < n->out_count; j++)
            if (n->out[j] == t) return n->op == LK_OP_CONV_BACK_WEIGHTS || n->op == LK_OP_DENSE_BACK_WEIGHTS;
    }
    return false;
}

/* `d` is one contribution to the gradient of `t`. */
static void contribute(backward *b, int t, int d) {
    if (d < 0) return;
    int before = b->gradient[t];
    b->gradient[t] = before < 0 ? d : op(b, LK_OP_ADD, b->g->tensors[d].shape, NULL, 2, (int[]){before, d});
    if (b->g->tensors[t].kind != LK_PARAM || --b->uses_left[t] > 0) return;
    if (!alone(b) && before < 0 && d >= 0 && !own_gradient(b, d))
        b->gradient[t] = op(b, LK_OP_AFFINE, b->g->tensors[d].shape, &(lk_attributes){.f = {1, 0}}, 1, &d);
    lk_tensor *p = &b->g->tensors[t];
    p->gradient = b->gradient[t];
    if (p->gradient < 0) return;
    if (b->e->options.keep_gradients) b->g->tensors[p->gradient].pinned = true;
    if (alone(b))
        update(b, t);
    else
        average(b, t);
}

/* The activation fused behind a convolution or dense layer, undone first. */
static int before_activation(backward *b, const lk_node *n, int dy) {
    if (n->a.conv.act == LK_NN_LINEAR) return dy;
    return op(b, LK_OP_ACT_BACK, b->g->tensors[n->out[0]].shape, &n->a, 2, (int[]){dy, n->out[0]});
}

static void conv(backward *b, const lk_node *n, int dy, lk_op back_data, lk_op back_weights) {
    lk_tensor *t = b->g->tensors;
    dy = before_activation(b, n, dy);
    if (dy < 0) return;
    t = b->g->tensors;
    int x = n->in[0], w = n->in[1], bias = n->in_count > 2 ? n->in[2] : -1;
    lk_nn_shape xs = t[x].shape, ws = t[w].shape;
    if (wanted(b, x)) contribute(b, x, op(b, back_data, xs, &n->a, 2, (int[]){dy, w}));
    bool with_bias = bias >= 0 && wanted(b, bias);
    if (!wanted(b, w) && !with_bias) return;
    make_way(b, lk_nn_count(ws));
    int dw = op(b, back_weights, ws, &n->a, 2, (int[]){x, dy});
    if (dw < 0) return;
    b->g->tensors[dw].gradient = w; /* so that the backend gives it the parameter's layout */
    int db = -1;
    if (with_bias) {
        int node = b->g->node_count - 1;
        db = lk_graph_tensor(b->g, LK_VALUE, b->g->tensors[bias].shape);
        if (db < 0) return;
        b->g->nodes[node].out[b->g->nodes[node].out_count++] = db;
    }
    if (wanted(b, w)) contribute(b, w, dw);
    contribute(b, bias, db);
}

/* The gradient of an operand that was spread over the other's shape is summed back to its own. */
static int reduced(backward *b, int d, lk_nn_shape to) {
    if (d < 0 || lk_same_shape(b->g->tensors[d].shape, to)) return d;
    return op(b, LK_OP_REDUCE_TO, to, NULL, 1, &d);
}

static void binary(backward *b, const lk_node *n, int dy) {
    int p = n->in[0], q = n->in[1];
    lk_nn_shape s = b->g->tensors[p].shape, t = b->g->tensors[q].shape;
    bool both = wanted(b, p), other = wanted(b, q);
    if (n->op == LK_OP_MUL) {
        int dp = both ? op(b, LK_OP_MUL, s, NULL, 2, (int[]){dy, q}) : -1;
        int dq = other ? reduced(b, op(b, LK_OP_MUL, s, NULL, 2, (int[]){dy, p}), t) : -1;
        contribute(b, p, dp);
        contribute(b, q, dq);
        return;
    }
    if (both) contribute(b, p, dy);
    if (!other) return;
    int d = n->op == LK_OP_ADD ? dy : op(b, LK_OP_AFFINE, s, &(lk_attributes){.f = {-1, 0}}, 1, &dy);
    contribute(b, q, reduced(b, d, t));
}

static void concat(backward *b, const lk_node *n, int dy) {
    int at = 0;
    for (int i = 0; i < n->in_count; i++) {
        lk_nn_shape s = b->g->tensors[n->in[i]].shape;
        bool channels = n->op == LK_OP_CONCAT_CHANNELS;
        if (wanted(b, n->in[i])) {
            size_t sample = lk_nn_count(lk_shape(1, s.c, s.h, s.w));
            contribute(b, n->in[i],
                       channels ? op(b, LK_OP_SLICE_CHANNELS, s, &(lk_attributes){.i = {at}}, 1, &dy)
                                : lk_graph_view(b->g, dy, s, (size_t)at * sample));
        }
        at += channels ? s.c : s.n;
    }
}

static void view(backward *b, const lk_node *n, int dy) {
    int x = n->in[0];
    lk_nn_shape s = b->g->tensors[x].shape;
    const lk_tensor *v = &b->g->tensors[n->out[0]];
    if (lk_nn_count(s) == lk_nn_count(v->shape)) {
        contribute(b, x, lk_graph_view(b->g, dy, s, 0));
        return;
    }
    size_t sample = lk_nn_count(lk_shape(1, s.c, s.h, s.w));
    lk_attributes a = {.i = {(int)(v->offset / sample)}};
    contribute(b, x, op(b, LK_OP_SLICE_BATCH_BACK, s, &a, 1, &dy));
}

static bool node(backward *b, const lk_node *n, lk_error *err) {
    int x = n->in[0];
    if (n->op == LK_OP_LOSS) {
        contribute(b, x, op(b, LK_OP_LOSS_BACK, b->g->tensors[x].shape, &n->a, 0, NULL));
        return true;
    }
    int dy = b->gradient[n->out[0]];
    if (dy < 0) return true;
    lk_nn_shape s = b->g->tensors[x].shape;
    switch (n->op) {
    case LK_OP_CONV:
        conv(b, n, dy, LK_OP_CONV_BACK_DATA, LK_OP_CONV_BACK_WEIGHTS);
        break;
    case LK_OP_DENSE:
        conv(b, n, dy, LK_OP_DENSE_BACK_DATA, LK_OP_DENSE_BACK_WEIGHTS);
        break;
    case LK_OP_ACT:
        if (n->a.conv.act == LK_NN_SWISH || n->a.conv.act == LK_NN_HARD_SWISH)
            return lk_fail(err, LK_ERR_UNSUPPORTED, "swish cannot be differentiated");
        contribute(b, x, before_activation(b, n, dy));
        break;
    case LK_OP_DEPTH_TO_SPACE:
        contribute(b, x, op(b, LK_OP_DEPTH_TO_SPACE_BACK, s, &n->a, 1, &dy));
        break;
    case LK_OP_CONCAT_CHANNELS:
    case LK_OP_CONCAT_BATCH:
        concat(b, n, dy);
        break;
    case LK_OP_SLICE_CHANNELS:
        contribute(b, x, op(b, LK_OP_SLICE_CHANNELS_BACK, s, &n->a, 1, &dy));
        break;
    case LK_OP_VIEW:
        view(b, n, dy);
        break;
    case LK_OP_ADD:
    case LK_OP_SUB:
    case LK_OP_MUL:
        binary(b, n, dy);
        break;
    case LK_OP_AFFINE:
        contribute(b, x, op(b, LK_OP_AFFINE, s, &(lk_attributes){.f = {n->a.f[0], 0}}, 1, &dy));
        break;
    case LK_OP_SQUARE:
        contribute(b, x, op(b, LK_OP_SQUARE_BACK, s, NULL, 2, (int[]){dy, x}));
        break;
    case LK_OP_ABS:
        contribute(b, x, op(b, LK_OP_ABS_BACK, s, NULL, 2, (int[]){dy, x}));
        break;
    case LK_OP_SQRT:
        contribute(b, x, op(b, LK_OP_SQRT_BACK, s, NULL, 2, (int[]){dy, n->out[0]}));
        break;
    case LK_OP_AVG_POOL:
        contribute(b, x, op(b, LK_OP_AVG_POOL_BACK, s, &n->a, 1, &dy));
        break;
    case LK_OP_RESIZE:
        contribute(b, x, op(b, LK_OP_RESIZE_BACK, s, &n->a, 1, &dy));
        break;
    case LK_OP_GAUSSIAN:
        contribute(b, x, op(b, LK_OP_GAUSSIAN_BACK, s, &n->a, 1, &dy));
        break;
    case LK_OP_SAMPLE_MEAN:
        contribute(b, x, op(b, LK_OP_SAMPLE_MEAN_BACK, s, NULL, 1, &dy));
        break;
    case LK_OP_DSSIM:
        contribute(b, x,
                   op(b, LK_OP_DSSIM_BACK, s, &n->a, n->in_count + 1,
                      (int[]){dy, x, n->in[1], n->in_count > 2 ? n->in[2] : x}));
        break;
    default:
        return lk_fail(err, LK_ERR_UNSUPPORTED, "%s cannot be differentiated", lk_op_name(n->op));
    }
    return true;
}

/* Targets and masks are constants even where something trained leads to them. */
static bool flows(const lk_node *n, int operand) { return n->op != LK_OP_DSSIM || operand == 0; }

static void mark(backward *b) {
    lk_tensor *t = b->g->tensors;
    for (int i = 0; i < b->g->tensor_count; i++) t[i].needs_gradient = t[i].kind == LK_PARAM;
    for (int i = 0; i < b->e->forward_count; i++) {
        const lk_node *n = &b->g->nodes[i];
        for (int j = 0; j < n->in_count; j++)
            if (flows(n, j) && t[n->in[j]].needs_gradient) t[n->out[0]].needs_gradient = true;
    }
    for (int i = b->e->forward_count - 1; i >= 0; i--) {
        const lk_node *n = &b->g->nodes[i];
        if (n->op != LK_OP_LOSS && !b->reaches[n->out[0]]) continue;
        for (int j = 0; j < n->in_count; j++) {
            if (!flows(n, j)) continue;
            b->reaches[n->in[j]] = true;
            if (t[n->in[j]].kind == LK_PARAM) b->uses_left[n->in[j]]++;
        }
    }
}

bool lk_differentiate(lk_nn_exec *e, lk_error *err) {
    lk_nn_graph *g = &e->g;
    size_t count = (size_t)g->tensor_count;
    backward b = {.e = e, .g = g};
    b.gradient = lk_alloc(count, sizeof(int), err);
    b.uses_left = lk_alloc(count, sizeof(int), err);
    b.reaches = lk_alloc(count, sizeof(bool), err);
    b.averaging.tensors = lk_alloc(count, sizeof(int), err);
    b.updating.tensors = lk_alloc(count, sizeof(int), err);
    bool ok = b.gradient && b.uses_left && b.reaches && b.averaging.tensors && b.updating.tensors;
    if (ok) {
        for (size_t i = 0; i < count; i++) {
            b.gradient[i] = -1;
            bool larger = g->tensors[i].kind == LK_PARAM && lk_nn_count(g->tensors[i].shape) > b.largest;
            if (larger) b.largest = lk_nn_count(g->tensors[i].shape);
        }
        mark(&b);
        for (int i = 0; !alone(&b) && i < g->loss_count; i++) average(&b, g->losses[i].tensor);
    }
    for (int i = e->forward_count - 1; ok && i >= 0; i--) {
        lk_node n = g->nodes[i]; /* a copy: the array may move as it grows */
        if (!g->tensors[n.op == LK_OP_LOSS ? n.in[0] : n.out[0]].needs_gradient) continue;
        ok = node(&b, &n, err);
    }
    if (ok) {
        settle(&b, 0);
        join(&b, 0);
    }
    free(b.gradient);
    free(b.averaging.tensors);
    free(b.updating.tensors);
    free(b.uses_left);
    free(b.reaches);
    return ok && lk_nn_graph_ok(g, err);
}
