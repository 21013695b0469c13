/* Describing a graph: every constructor checks shapes and appends. */
#include "internal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 2^31 numbers are 8 GiB: no single tensor of ours comes near. So every product of extents fits an int. */
#define MOST_NUMBERS ((size_t)INT_MAX)
/* Strides, dilations and windows beyond this are mistakes, and sums of a few of them fit an int. */
#define MOST_STEP 16384

static const char *const op_names[LK_OP_COUNT] = {
    [LK_OP_CONV] = "conv",
    [LK_OP_CONV_TRANSPOSED] = "conv_transposed",
    [LK_OP_DENSE] = "dense",
    [LK_OP_ACT] = "activation",
    [LK_OP_PRELU] = "prelu",
    [LK_OP_DEPTH_TO_SPACE] = "depth_to_space",
    [LK_OP_CONCAT_CHANNELS] = "concat_channels",
    [LK_OP_SLICE_CHANNELS] = "slice_channels",
    [LK_OP_CONCAT_BATCH] = "concat_batch",
    [LK_OP_VIEW] = "view",
    [LK_OP_ADD] = "add",
    [LK_OP_SUB] = "sub",
    [LK_OP_MUL] = "mul",
    [LK_OP_AFFINE] = "affine",
    [LK_OP_SQUARE] = "square",
    [LK_OP_ABS] = "abs",
    [LK_OP_SQRT] = "sqrt",
    [LK_OP_MAX_POOL] = "max_pool",
    [LK_OP_AVG_POOL] = "avg_pool",
    [LK_OP_PAD] = "pad",
    [LK_OP_RESIZE] = "resize_bilinear",
    [LK_OP_GAUSSIAN] = "gaussian",
    [LK_OP_LANDMARKS_TO_MATRIX] = "landmarks_to_matrix",
    [LK_OP_TRANSFORM_BILINEAR] = "transform_bilinear",
    [LK_OP_TRANSFORM_LANDMARKS] = "transform_landmarks",
    [LK_OP_DSSIM] = "dssim",
    [LK_OP_SAMPLE_MEAN] = "sample_mean",
    [LK_OP_LOSS] = "loss",
    [LK_OP_CONV_BACK_DATA] = "conv_back_data",
    [LK_OP_CONV_BACK_WEIGHTS] = "conv_back_weights",
    [LK_OP_DENSE_BACK_DATA] = "dense_back_data",
    [LK_OP_DENSE_BACK_WEIGHTS] = "dense_back_weights",
    [LK_OP_ACT_BACK] = "activation_back",
    [LK_OP_DEPTH_TO_SPACE_BACK] = "depth_to_space_back",
    [LK_OP_SLICE_CHANNELS_BACK] = "slice_channels_back",
    [LK_OP_SLICE_BATCH_BACK] = "slice_batch_back",
    [LK_OP_REDUCE_TO] = "reduce_to",
    [LK_OP_SQUARE_BACK] = "square_back",
    [LK_OP_ABS_BACK] = "abs_back",
    [LK_OP_SQRT_BACK] = "sqrt_back",
    [LK_OP_AVG_POOL_BACK] = "avg_pool_back",
    [LK_OP_RESIZE_BACK] = "resize_bilinear_back",
    [LK_OP_GAUSSIAN_BACK] = "gaussian_back",
    [LK_OP_DSSIM_BACK] = "dssim_back",
    [LK_OP_SAMPLE_MEAN_BACK] = "sample_mean_back",
    [LK_OP_LOSS_BACK] = "loss_back",
    [LK_OP_ADAM] = "adam",
    [LK_OP_ADAM_WAIT] = "adam_wait",
    [LK_OP_REDUCE_START] = "reduce_start",
    [LK_OP_REDUCE_WAIT] = "reduce_wait",
    [LK_OP_CONVERT] = "convert",
};

const char *lk_op_name(lk_op op) { return op_names[op]; }

int lk_graph_fail(lk_nn_graph *g, const char *format, ...) {
    if (g->error.code == LK_OK) {
        char text[sizeof g->error.message];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        lk_fail(&g->error, LK_ERR_UNSUPPORTED, "%s", text);
    }
    return -1;
}

lk_nn_graph *lk_nn_graph_new(lk_error *err) { return lk_alloc(1, sizeof(lk_nn_graph), err); }

void lk_graph_clear(lk_nn_graph *g) {
    for (int i = 0; i < g->tensor_count; i++) {
        free(g->tensors[i].name);
        free(g->tensors[i].values);
    }
    for (int i = 0; i < g->node_count; i++) free(g->nodes[i].a.list);
    for (int i = 0; i < g->loss_count; i++) free(g->losses[i].name);
    free(g->tensors);
    free(g->nodes);
    free(g->losses);
    *g = (lk_nn_graph){0};
}

void lk_nn_graph_free(lk_nn_graph *g) {
    if (!g) return;
    lk_graph_clear(g);
    free(g);
}

bool lk_nn_graph_ok(const lk_nn_graph *g, lk_error *err) {
    if (g->error.code == LK_OK) return true;
    if (err) *err = g->error;
    return false;
}

lk_nn_shape lk_nn_shape_of(const lk_nn_graph *g, lk_nn_t t) {
    return t >= 0 && t < g->tensor_count ? g->tensors[t].shape : (lk_nn_shape){0};
}

static bool grow(lk_nn_graph *g, void **items, int count, int *room, size_t size) {
    if (count < *room) return true;
    int more = *room ? 2 * *room : 64;
    void *p = realloc(*items, (size_t)more * size);
    if (!p) {
        lk_graph_fail(g, "out of memory for the graph");
        g->error.code = LK_ERR_MEMORY;
        return false;
    }
    *items = p;
    *room = more;
    return true;
}

static bool sane(lk_nn_shape s) {
    size_t n = 1;
    const int d[4] = {s.n, s.c, s.h, s.w};
    for (int i = 0; i < 4; i++)
        if (d[i] < 1 || __builtin_mul_overflow(n, (size_t)d[i], &n) || n > MOST_NUMBERS) return false;
    return true;
}

int lk_graph_tensor(lk_nn_graph *g, lk_tensor_kind kind, lk_nn_shape s) {
    if (g->error.code != LK_OK) return -1;
    if (!sane(s)) return lk_graph_fail(g, "a tensor of shape [%d, %d, %d, %d] is not possible", s.n, s.c, s.h, s.w);
    if (!grow(g, (void **)&g->tensors, g->tensor_count, &g->tensor_room, sizeof *g->tensors)) return -1;
    g->tensors[g->tensor_count] = (lk_tensor){.shape = s, .kind = kind, .view_of = -1, .gradient = -1};
    return g->tensor_count++;
}

lk_node *lk_graph_node(lk_nn_graph *g, lk_op op, const int *in, int in_count) {
    for (int i = 0; i < in_count; i++)
        if (in[i] < 0 || in[i] >= g->tensor_count) {
            lk_graph_fail(g, "%s: an operand is no tensor of this graph", op_names[op]);
            return NULL;
        }
    if (g->error.code != LK_OK) return NULL;
    if (in_count > LK_MAX_IN) {
        lk_graph_fail(g, "%s: %d operands, at most %d are possible", op_names[op], in_count, LK_MAX_IN);
        return NULL;
    }
    if (!grow(g, (void **)&g->nodes, g->node_count, &g->node_room, sizeof *g->nodes)) return NULL;
    lk_node *n = &g->nodes[g->node_count++];
    *n = (lk_node){.op = op, .in_count = in_count, .scratch_tensor = -1, .weights = -1};
    for (int i = 0; i < in_count; i++) n->in[i] = in[i];
    return n;
}

int lk_graph_op(lk_nn_graph *g, lk_op op, const int *in, int in_count, lk_nn_shape out, const lk_attributes *a) {
    lk_node *n = lk_graph_node(g, op, in, in_count);
    int t = n ? lk_graph_tensor(g, LK_VALUE, out) : -1;
    if (t < 0)
        return lk_graph_fail(g, "%s has no output of shape [%d, %d, %d, %d]", op_names[op], out.n, out.c, out.h, out.w);
    n->out[n->out_count++] = t;
    if (a) n->a = *a;
    return t;
}

bool lk_graph_copy(const lk_nn_graph *from, lk_nn_graph *to, lk_error *err) {
    *to = (lk_nn_graph){0};
    to->tensors = lk_alloc((size_t)from->tensor_count, sizeof *to->tensors, err);
    to->nodes = lk_alloc((size_t)from->node_count, sizeof *to->nodes, err);
    to->losses = lk_alloc((size_t)from->loss_count, sizeof *to->losses, err);
    bool ok = to->tensors && to->nodes && to->losses;
    to->tensor_room = from->tensor_count;
    to->node_room = from->node_count;
    for (int i = 0; ok && i < from->tensor_count; i++) {
        lk_tensor *t = &to->tensors[to->tensor_count++];
        *t = from->tensors[i];
        t->name = NULL;
        t->values = NULL;
        if (from->tensors[i].name) ok = (t->name = lk_strdup(from->tensors[i].name, err)) != NULL;
        if (ok && from->tensors[i].values) {
            t->values = lk_alloc(lk_nn_count(t->shape), sizeof(float), err);
            ok = t->values != NULL;
            if (ok) memcpy(t->values, from->tensors[i].values, lk_nn_count(t->shape) * sizeof(float));
        }
    }
    for (int i = 0; ok && i < from->node_count; i++) {
        lk_node *n = &to->nodes[to->node_count++];
        *n = from->nodes[i];
        n->a.list = NULL;
        if (from->nodes[i].a.list) {
            n->a.list = lk_alloc((size_t)n->a.list_count, sizeof(int), err);
            ok = n->a.list != NULL;
            if (ok) memcpy(n->a.list, from->nodes[i].a.list, (size_t)n->a.list_count * sizeof(int));
        }
    }
    for (int i = 0; ok && i < from->loss_count; i++) {
        to->losses[to->loss_count] = from->losses[i];
        to->losses[to->loss_count].name = lk_strdup(from->losses[i].name, err);
        ok = to->losses[to->loss_count++].name != NULL;
    }
    if (!ok) lk_graph_clear(to);
    return ok;
}

static int named(lk_nn_graph *g, lk_tensor_kind kind, const char *name, lk_nn_shape shape) {
    for (int i = 0; i < g->tensor_count; i++)
        if (g->tensors[i].kind == kind && g->tensors[i].name && strcmp(g->tensors[i].name, name) == 0)
            return lk_graph_fail(g, "the name '%s' is used twice", name);
    int t = lk_graph_tensor(g, kind, shape);
    if (t < 0) return -1;
    g->tensors[t].name = lk_strdup(name, &g->error);
    return g->tensors[t].name ? t : -1;
}

lk_nn_t lk_nn_input(lk_nn_graph *g, const char *name, lk_nn_shape shape) { return named(g, LK_INPUT, name, shape); }

lk_nn_t lk_nn_param(lk_nn_graph *g, const char *name, lk_nn_shape shape, lk_nn_init init) {
    int t = named(g, LK_PARAM, name, shape);
    if (t >= 0) g->tensors[t].init = init;
    return t;
}

lk_nn_t lk_nn_const(lk_nn_graph *g, lk_nn_shape shape, const float *values) {
    int t = lk_graph_tensor(g, LK_CONST, shape);
    if (t < 0) return -1;
    g->tensors[t].values = lk_alloc(lk_nn_count(shape), sizeof(float), &g->error);
    if (!g->tensors[t].values) return -1;
    memcpy(g->tensors[t].values, values, lk_nn_count(shape) * sizeof(float));
    return t;
}

void lk_nn_output(lk_nn_graph *g, const char *name, lk_nn_t t) {
    if (t < 0 || t >= g->tensor_count) {
        lk_graph_fail(g, "output '%s' is no tensor of this graph", name);
        return;
    }
    lk_tensor *at = &g->tensors[t];
    if (at->kind != LK_VALUE || at->name) { /* inputs keep their own name: an output of it is a view */
        t = lk_graph_view(g, t, at->shape, 0);
        if (t < 0) return;
        at = &g->tensors[t];
    }
    at->name = lk_strdup(name, &g->error);
    at->output = true;
}

int lk_nn_output_count(const lk_nn_graph *g) {
    int n = 0;
    for (int i = 0; i < g->tensor_count; i++) n += g->tensors[i].output;
    return n;
}

const char *lk_nn_output_name(const lk_nn_graph *g, int index) {
    for (int i = 0; i < g->tensor_count; i++)
        if (g->tensors[i].output && index-- == 0) return g->tensors[i].name;
    return NULL;
}

/* ---- Operators ------------------------------------------------------------------------------------------- */

static lk_nn_shape of(const lk_nn_graph *g, int t) { return lk_nn_shape_of(g, t); }

/* TensorFlow's 'same': the output has ceil(in/stride), the odd pixel of padding goes after. */
static void same_padding(int in, int kernel, int stride, int dilation, int *before, int *after) {
    int out = (in + stride - 1) / stride;
    int all = (out - 1) * stride + (kernel - 1) * dilation + 1 - in;
    if (all < 0) all = 0;
    *before = all / 2;
    *after = all - all / 2;
}

static bool conv_padding(lk_nn_conv_options *o, lk_nn_shape x, lk_nn_shape w) {
    if (!o->stride) o->stride = 1;
    if (!o->dilation) o->dilation = 1;
    if (!o->groups) o->groups = 1;
    if (o->stride < 1 || o->dilation < 1 || o->groups < 1 || o->stride > MOST_STEP || o->dilation > MOST_STEP ||
        w.h > MOST_STEP || w.w > MOST_STEP)
        return false;
    if (o->same) {
        same_padding(x.h, w.h, o->stride, o->dilation, &o->pad_top, &o->pad_bottom);
        same_padding(x.w, w.w, o->stride, o->dilation, &o->pad_left, &o->pad_right);
    }
    return o->pad_top >= 0 && o->pad_bottom >= 0 && o->pad_left >= 0 && o->pad_right >= 0;
}

static bool bad_bias(const lk_nn_graph *g, lk_nn_t b, int outputs) {
    return b >= 0 && !lk_same_shape(of(g, b), lk_shape(1, outputs, 1, 1));
}

lk_nn_t lk_nn_conv(lk_nn_graph *g, lk_nn_t x, lk_nn_t w, lk_nn_t b, const lk_nn_conv_options *o) {
    if (x < 0 || w < 0) return lk_graph_fail(g, "conv: an operand is missing");
    lk_nn_shape xs = of(g, x), ws = of(g, w);
    lk_attributes a = {.conv = *o};
    bool ok = conv_padding(&a.conv, xs, ws) && ws.c * a.conv.groups == xs.c && ws.n % a.conv.groups == 0 &&
              !bad_bias(g, b, ws.n);
    int h = ok ? xs.h + a.conv.pad_top + a.conv.pad_bottom - (ws.h - 1) * a.conv.dilation - 1 : -1;
    int v = ok ? xs.w + a.conv.pad_left + a.conv.pad_right - (ws.w - 1) * a.conv.dilation - 1 : -1;
    if (h < 0 || v < 0)
        return lk_graph_fail(g, "conv: input [%d, %d, %d, %d] and weights [%d, %d, %d, %d] in %d groups do not fit",
                             xs.n, xs.c, xs.h, xs.w, ws.n, ws.c, ws.h, ws.w, a.conv.groups);
    return lk_graph_op(g, LK_OP_CONV, (int[]){x, w, b}, b < 0 ? 2 : 3,
                       lk_shape(xs.n, ws.n, h / a.conv.stride + 1, v / a.conv.stride + 1), &a);
}

lk_nn_t lk_nn_conv_transposed(lk_nn_graph *g, lk_nn_t x, lk_nn_t w, lk_nn_t b, const lk_nn_conv_options *o) {
    if (x < 0 || w < 0) return lk_graph_fail(g, "conv_transposed: an operand is missing");
    lk_nn_shape xs = of(g, x), ws = of(g, w);
    lk_attributes a = {.conv = *o};
    if (!a.conv.stride) a.conv.stride = 1;
    if (ws.n != xs.c || bad_bias(g, b, ws.c) || a.conv.stride < 1 || a.conv.stride > 64)
        return lk_graph_fail(g, "conv_transposed: input [%d, %d, %d, %d] and weights [%d, %d, %d, %d] do not fit", xs.n,
                             xs.c, xs.h, xs.w, ws.n, ws.c, ws.h, ws.w);
    int h = xs.h * a.conv.stride, v = xs.w * a.conv.stride;
    same_padding(h, ws.h, a.conv.stride, 1, &a.conv.pad_top, &a.conv.pad_bottom);
    same_padding(v, ws.w, a.conv.stride, 1, &a.conv.pad_left, &a.conv.pad_right);
    g->tensors[w].transposed = true;
    return lk_graph_op(g, LK_OP_CONV_TRANSPOSED, (int[]){x, w, b}, b < 0 ? 2 : 3, lk_shape(xs.n, ws.c, h, v), &a);
}

lk_nn_t lk_nn_dense(lk_nn_graph *g, lk_nn_t x, lk_nn_t w, lk_nn_t b, lk_nn_act act, float alpha) {
    if (x < 0 || w < 0) return lk_graph_fail(g, "dense: an operand is missing");
    lk_nn_shape xs = of(g, x), ws = of(g, w);
    if (ws.h != 1 || ws.w != 1 || xs.c * xs.h * xs.w != ws.c || bad_bias(g, b, ws.n))
        return lk_graph_fail(g, "dense: input [%d, %d, %d, %d] and weights [%d, %d, %d, %d] do not fit", xs.n, xs.c,
                             xs.h, xs.w, ws.n, ws.c, ws.h, ws.w);
    x = lk_nn_reshape(g, x, lk_shape(xs.n, ws.c, 1, 1));
    lk_attributes a = {.conv = {.act = act, .alpha = alpha}};
    return lk_graph_op(g, LK_OP_DENSE, (int[]){x, w, b}, b < 0 ? 2 : 3, lk_shape(xs.n, ws.n, 1, 1), &a);
}

lk_nn_t lk_nn_activation(lk_nn_graph *g, lk_nn_t x, lk_nn_act act, float alpha) {
    lk_attributes a = {.conv = {.act = act, .alpha = alpha}};
    return lk_graph_op(g, LK_OP_ACT, &x, 1, of(g, x), &a);
}

lk_nn_t lk_nn_prelu(lk_nn_graph *g, lk_nn_t x, lk_nn_t slope) {
    lk_nn_shape xs = of(g, x), ss = of(g, slope);
    bool per_channel = lk_same_shape(ss, lk_shape(1, xs.c, 1, 1)),
         per_value = lk_same_shape(ss, lk_shape(1, xs.c, xs.h, xs.w));
    if (!per_channel && !per_value)
        return lk_graph_fail(g, "prelu: slopes [%d, %d, %d, %d] do not fit input [%d, %d, %d, %d]", ss.n, ss.c, ss.h,
                             ss.w, xs.n, xs.c, xs.h, xs.w);
    return lk_graph_op(g, LK_OP_PRELU, (int[]){x, slope}, 2, xs, NULL);
}

lk_nn_t lk_nn_depth_to_space(lk_nn_graph *g, lk_nn_t x, int r) {
    lk_nn_shape s = of(g, x);
    if (r < 1 || s.c % (r * r))
        return lk_graph_fail(g, "depth_to_space: %d channels are no multiple of %d squared", s.c, r);
    lk_attributes a = {.i = {r}};
    return lk_graph_op(g, LK_OP_DEPTH_TO_SPACE, &x, 1, lk_shape(s.n, s.c / (r * r), s.h * r, s.w * r), &a);
}

int lk_graph_view(lk_nn_graph *g, int t, lk_nn_shape shape, size_t offset) {
    int v = lk_graph_op(g, LK_OP_VIEW, &t, 1, shape, NULL);
    if (v < 0) return -1;
    g->tensors[v].view_of = t;
    g->tensors[v].offset = offset;
    return v;
}

lk_nn_t lk_nn_reshape(lk_nn_graph *g, lk_nn_t x, lk_nn_shape shape) {
    lk_nn_shape s = of(g, x);
    if (lk_nn_count(shape) != lk_nn_count(s))
        return lk_graph_fail(g, "reshape: [%d, %d, %d, %d] does not hold as many numbers as [%d, %d, %d, %d]", shape.n,
                             shape.c, shape.h, shape.w, s.n, s.c, s.h, s.w);
    return lk_same_shape(s, shape) ? x : lk_graph_view(g, x, shape, 0);
}

lk_nn_t lk_nn_slice_batch(lk_nn_graph *g, lk_nn_t x, int first, int count) {
    lk_nn_shape s = of(g, x);
    if (first < 0 || count < 1 || first > s.n - count)
        return lk_graph_fail(g, "slice_batch: %d samples from %d on are not there in %d", count, first, s.n);
    lk_nn_shape one = lk_shape(1, s.c, s.h, s.w);
    return lk_graph_view(g, x, lk_shape(count, s.c, s.h, s.w), (size_t)first * lk_nn_count(one));
}

lk_nn_t lk_nn_concat_channels(lk_nn_graph *g, const lk_nn_t *x, int count) {
    lk_nn_shape s = count > 0 ? of(g, x[0]) : (lk_nn_shape){0};
    for (int i = 1; i < count; i++) {
        lk_nn_shape t = of(g, x[i]);
        if (t.n != s.n || t.h != s.h || t.w != s.w)
            return lk_graph_fail(g, "concat_channels: operand %d is [%d, %d, %d, %d], the first [%d, %d, %d, %d]", i,
                                 t.n, t.c, t.h, t.w, s.n, s.c, s.h, s.w);
        s.c += t.c;
    }
    return lk_graph_op(g, LK_OP_CONCAT_CHANNELS, x, count, s, NULL);
}

lk_nn_t lk_nn_concat_batch(lk_nn_graph *g, const lk_nn_t *x, int count) {
    lk_nn_shape s = count > 0 ? of(g, x[0]) : (lk_nn_shape){0};
    for (int i = 1; i < count; i++) {
        lk_nn_shape t = of(g, x[i]);
        if (t.c != s.c || t.h != s.h || t.w != s.w)
            return lk_graph_fail(g, "concat_batch: operand %d is [%d, %d, %d, %d], the first [%d, %d, %d, %d]", i, t.n,
                                 t.c, t.h, t.w, s.n, s.c, s.h, s.w);
        s.n += t.n;
    }
    return lk_graph_op(g, LK_OP_CONCAT_BATCH, x, count, s, NULL);
}

lk_nn_t lk_nn_slice_channels(lk_nn_graph *g, lk_nn_t x, int first, int count) {
    lk_nn_shape s = of(g, x);
    if (first < 0 || count < 1 || first > s.c - count)
        return lk_graph_fail(g, "slice_channels: %d channels from %d on are not there in %d", count, first, s.c);
    lk_attributes a = {.i = {first}};
    return lk_graph_op(g, LK_OP_SLICE_CHANNELS, &x, 1, lk_shape(s.n, count, s.h, s.w), &a);
}

static lk_nn_t binary(lk_nn_graph *g, lk_op op, lk_nn_t a, lk_nn_t b) {
    lk_nn_shape s = of(g, a), t = of(g, b);
    bool fits =
        (t.n == s.n || t.n == 1) && (t.c == s.c || t.c == 1) && (t.h == s.h || t.h == 1) && (t.w == s.w || t.w == 1);
    if (!fits)
        return lk_graph_fail(g, "%s: [%d, %d, %d, %d] does not spread over [%d, %d, %d, %d]", op_names[op], t.n, t.c,
                             t.h, t.w, s.n, s.c, s.h, s.w);
    return lk_graph_op(g, op, (int[]){a, b}, 2, s, NULL);
}

lk_nn_t lk_nn_add(lk_nn_graph *g, lk_nn_t a, lk_nn_t b) { return binary(g, LK_OP_ADD, a, b); }
lk_nn_t lk_nn_sub(lk_nn_graph *g, lk_nn_t a, lk_nn_t b) { return binary(g, LK_OP_SUB, a, b); }
lk_nn_t lk_nn_mul(lk_nn_graph *g, lk_nn_t a, lk_nn_t b) { return binary(g, LK_OP_MUL, a, b); }

lk_nn_t lk_nn_affine(lk_nn_graph *g, lk_nn_t x, float scale, float shift) {
    lk_attributes a = {.f = {scale, shift}};
    return lk_graph_op(g, LK_OP_AFFINE, &x, 1, of(g, x), &a);
}
lk_nn_t lk_nn_square(lk_nn_graph *g, lk_nn_t x) { return lk_graph_op(g, LK_OP_SQUARE, &x, 1, of(g, x), NULL); }
lk_nn_t lk_nn_abs(lk_nn_graph *g, lk_nn_t x) { return lk_graph_op(g, LK_OP_ABS, &x, 1, of(g, x), NULL); }
lk_nn_t lk_nn_sqrt(lk_nn_graph *g, lk_nn_t x) { return lk_graph_op(g, LK_OP_SQRT, &x, 1, of(g, x), NULL); }

static lk_nn_t pool(lk_nn_graph *g, lk_op op, lk_nn_t x, const lk_nn_pool_options *o) {
    lk_nn_shape s = of(g, x);
    if (o->kernel_h < 1 || o->kernel_w < 1 || o->stride_h < 1 || o->stride_w < 1 || o->kernel_h > MOST_STEP ||
        o->kernel_w > MOST_STEP || o->stride_h > MOST_STEP || o->stride_w > MOST_STEP ||
        (!o->same && (o->kernel_h > s.h || o->kernel_w > s.w)))
        return lk_graph_fail(g, "%s: a window of %d×%d does not fit [%d, %d, %d, %d]", op_names[op], o->kernel_h,
                             o->kernel_w, s.n, s.c, s.h, s.w);
    lk_attributes a = {.pool = *o};
    int h = o->same ? (s.h + o->stride_h - 1) / o->stride_h : (s.h - o->kernel_h) / o->stride_h + 1;
    int w = o->same ? (s.w + o->stride_w - 1) / o->stride_w : (s.w - o->kernel_w) / o->stride_w + 1;
    if (o->same) {
        int after;
        same_padding(s.h, o->kernel_h, o->stride_h, 1, &a.i[0], &after);
        same_padding(s.w, o->kernel_w, o->stride_w, 1, &a.i[1], &after);
    }
    return lk_graph_op(g, op, &x, 1, lk_shape(s.n, s.c, h, w), &a);
}

lk_nn_t lk_nn_max_pool(lk_nn_graph *g, lk_nn_t x, const lk_nn_pool_options *o) { return pool(g, LK_OP_MAX_POOL, x, o); }
lk_nn_t lk_nn_avg_pool(lk_nn_graph *g, lk_nn_t x, const lk_nn_pool_options *o) { return pool(g, LK_OP_AVG_POOL, x, o); }

lk_nn_t lk_nn_pad(lk_nn_graph *g, lk_nn_t x, int c_after, int top, int bottom, int left, int right, float value) {
    lk_nn_shape s = of(g, x);
    if (c_after < 0 || top < 0 || bottom < 0 || left < 0 || right < 0) return lk_graph_fail(g, "pad: negative padding");
    lk_attributes a = {.i = {top, left}, .f = {value}};
    return lk_graph_op(g, LK_OP_PAD, &x, 1, lk_shape(s.n, s.c + c_after, s.h + top + bottom, s.w + left + right), &a);
}

lk_nn_t lk_nn_resize_bilinear(lk_nn_graph *g, lk_nn_t x, int h, int w, bool align_corners, bool half_pixel_centers) {
    lk_nn_shape s = of(g, x);
    lk_attributes a = {.i = {align_corners, half_pixel_centers}};
    return lk_graph_op(g, LK_OP_RESIZE, &x, 1, lk_shape(s.n, s.c, h, w), &a);
}

lk_nn_t lk_nn_gaussian(lk_nn_graph *g, lk_nn_t x, float sigma, int radius, bool same) {
    lk_nn_shape s = of(g, x);
    if (!(sigma > 0) || radius < 0 || radius > 4096)
        return lk_graph_fail(g, "gaussian: sigma %g with radius %d", (double)sigma, radius);
    lk_attributes a = {.i = {radius, same}, .f = {sigma}};
    int less = same ? 0 : 2 * radius;
    return lk_graph_op(g, LK_OP_GAUSSIAN, &x, 1, lk_shape(s.n, s.c, s.h - less, s.w - less), &a);
}

lk_nn_t lk_nn_dssim(lk_nn_graph *g, lk_nn_t x, lk_nn_t target, lk_nn_t mask, float range) {
    lk_nn_shape s = of(g, x), m = of(g, mask);
    if (!lk_same_shape(s, of(g, target)) || (mask >= 0 && !lk_same_shape(m, lk_shape(s.n, 1, s.h, s.w))) || s.h < 11 ||
        s.w < 11)
        return lk_graph_fail(
            g, "dssim: prediction [%d, %d, %d, %d], target and mask do not fit, or are smaller than 11×11", s.n, s.c,
            s.h, s.w);
    lk_attributes a = {.f = {range}};
    return lk_graph_op(g, LK_OP_DSSIM, (int[]){x, target, mask}, mask < 0 ? 2 : 3, lk_shape(s.n, 1, 1, 1), &a);
}

static lk_nn_t masked_difference(lk_nn_graph *g, lk_nn_t x, lk_nn_t target, lk_nn_t mask) {
    lk_nn_t d = lk_nn_sub(g, x, target);
    return mask < 0 ? d : lk_nn_mul(g, d, mask);
}

static lk_nn_t sample_mean(lk_nn_graph *g, lk_nn_t x) {
    return lk_graph_op(g, LK_OP_SAMPLE_MEAN, &x, 1, lk_shape(of(g, x).n, 1, 1, 1), NULL);
}

lk_nn_t lk_nn_mse(lk_nn_graph *g, lk_nn_t x, lk_nn_t target, lk_nn_t mask) {
    return sample_mean(g, lk_nn_square(g, masked_difference(g, x, target, mask)));
}

lk_nn_t lk_nn_mae(lk_nn_graph *g, lk_nn_t x, lk_nn_t target, lk_nn_t mask) {
    return sample_mean(g, lk_nn_abs(g, masked_difference(g, x, target, mask)));
}

void lk_nn_loss(lk_nn_graph *g, const char *name, lk_nn_t x, float weight) {
    lk_attributes a = {.i = {g->loss_count}};
    int t = lk_graph_op(g, LK_OP_LOSS, &x, 1, lk_shape(1, 1, 1, 1), &a);
    if (t < 0) return;
    lk_loss *losses = realloc(g->losses, (size_t)(g->loss_count + 1) * sizeof *losses);
    char *copy = losses ? lk_strdup(name, &g->error) : NULL;
    if (losses) g->losses = losses;
    if (!copy) {
        lk_graph_fail(g, "out of memory");
        return;
    }
    g->losses[g->loss_count++] = (lk_loss){.name = copy, .weight = weight, .tensor = t};
}
