/* Convolutions and dense layers on the GPU, in all three passes. */
#include "gpu.h"

#include <stdlib.h>
#include <string.h>

bool lk_gpu_is_layer(lk_op op) {
    return op == LK_OP_CONV || op == LK_OP_CONV_TRANSPOSED || op == LK_OP_DENSE || op == LK_OP_CONV_BACK_DATA ||
           op == LK_OP_CONV_BACK_WEIGHTS || op == LK_OP_DENSE_BACK_DATA || op == LK_OP_DENSE_BACK_WEIGHTS;
}

/* Which tensors of the node are x, w and y of the layer. A transposed convolution is the convolution that leads the other
 * way: its input is y, its output x. */
typedef struct operands {
    int x, w, y, bias; /* bias: added (forward) or its gradient (weights); −1: none */
    lk_gpu_pass pass;
} operands;

static operands operands_of(const lk_node *n) {
    int third = n->in_count > 2 ? n->in[2] : -1;
    switch (n->op) {
    case LK_OP_CONV_TRANSPOSED:
        return (operands){n->out[0], n->in[1], n->in[0], third, LK_GPU_BACK_DATA};
    case LK_OP_CONV_BACK_DATA:
    case LK_OP_DENSE_BACK_DATA:
        return (operands){n->out[0], n->in[1], n->in[0], -1, LK_GPU_BACK_DATA};
    case LK_OP_CONV_BACK_WEIGHTS:
    case LK_OP_DENSE_BACK_WEIGHTS:
        return (operands){n->in[0], n->out[0], n->in[1], n->out_count > 1 ? n->out[1] : -1, LK_GPU_BACK_WEIGHTS};
    default:
        return (operands){n->in[0], n->in[1], n->out[0], third, LK_GPU_FORWARD};
    }
}

/* The node's own memory: a result to be widened, the partial sums of the bias gradient, the libraries' workspace. */
typedef struct layer_state {
    lk_gpu_layer *layer; /* NULL: the plain kernels */
    bool widens;         /* the library gives 16 bits where float32 is wanted */
    size_t narrow, parts, workspace;
} layer_state;

static size_t take(size_t *total, size_t bytes) {
    size_t at = *total;
    *total += (bytes + 255) / 256 * 256;
    return at;
}

static int result_of(const operands *o) {
    return o->pass == LK_GPU_FORWARD ? o->y : o->pass == LK_GPU_BACK_DATA ? o->x : o->w;
}

static lk_gpu_layer_key key_of(const lk_nn_exec *e, const lk_node *n, const operands *o) {
    lk_gpu_layer_key k;
    memset(&k, 0, sizeof k);
    const lk_nn_conv_options *c = &n->a.conv;
    k.pass = o->pass;
    k.dense = n->op == LK_OP_DENSE || n->op == LK_OP_DENSE_BACK_DATA || n->op == LK_OP_DENSE_BACK_WEIGHTS;
    k.in = lk_gpu_kind_of(e, n->narrow);
    k.tf32 = !n->narrow && e->precision == LK_NN_TF32;
    k.out = lk_gpu_kind_of(e, e->g.tensors[result_of(o)].narrow);
    if (o->pass == LK_GPU_FORWARD) {
        k.bias = o->bias >= 0;
        k.act = c->act;
        k.alpha = c->act == LK_NN_LEAKY ? c->alpha : 0;
    }
    k.xs = lk_gpu_shape(e, o->x);
    k.ws = lk_gpu_shape(e, o->w);
    k.ys = lk_gpu_shape(e, o->y);
    k.stride = c->stride ? c->stride : 1;
    k.dilation = c->dilation ? c->dilation : 1;
    k.groups = c->groups ? c->groups : 1;
    k.top = c->pad_top;
    k.bottom = c->pad_bottom;
    k.left = c->pad_left;
    k.right = c->pad_right;
    return k;
}

/* The libraries read 16 bytes at a time: a view must begin at a multiple of them. */
static bool aligned(const lk_nn_exec *e, int t) {
    size_t numbers = 0;
    for (; e->g.tensors[t].view_of >= 0; t = e->g.tensors[t].view_of) numbers += e->g.tensors[t].offset;
    return numbers * lk_number_bytes(&e->g.tensors[t]) % 16 == 0;
}

/* The library's way to compute a layer, or NULL; `widens`: it gives 16 bits where float32 is wanted. */
static lk_gpu_layer *find(const lk_nn_exec *e, const lk_node *n, const operands *o, lk_gpu_layer_key *key,
                          bool *widens) {
    lk_gpu *gpu = lk_gpu_state_of(e)->gpu;
    *widens = false;
    if (n->op == LK_OP_CONV_TRANSPOSED || !aligned(e, o->x) || !aligned(e, o->y)) return NULL;
    lk_gpu_layer *layer = lk_gpu_layer_find(gpu, key);
    if (layer || key->in == key->out) return layer;
    key->out = key->in;
    layer = lk_gpu_layer_find(gpu, key);
    *widens = layer != NULL;
    return layer;
}

/* The libraries' ways are chosen on the card; one that is imagined takes every layer, with so much workspace, and cuDNN's
 * gradients of weights are widened. */
#define IMAGINED_WORKSPACE LK_MIB(32)

static bool is_imagined(const lk_nn_exec *e) { return !lk_gpu_state_of(e)->gpu; }

bool lk_gpu_narrow_layer(const lk_nn_exec *e, const lk_node *n) {
    if (!lk_gpu_is_layer(n->op)) return false;
    operands o = operands_of(n);
    if (is_imagined(e)) return n->op != LK_OP_CONV_TRANSPOSED && aligned(e, o.x) && aligned(e, o.y);
    lk_gpu_layer_key key = key_of(e, n, &o);
    bool widens;
    key.in = lk_gpu_narrow_kind(e);
    key.out = lk_gpu_kind_of(e, o.pass != LK_GPU_BACK_WEIGHTS);
    return find(e, n, &o, &key, &widens) != NULL;
}

/* What a bias's gradient is the sum of: dy, or the sums of its rows that came with it (fuse.c). */
static int summed_of(const lk_node *n) { return n->in_count > 2 ? n->in[2] : n->in[1]; }

static size_t chunks_of(lk_nn_shape s) {
    size_t rows = (size_t)s.n * (size_t)s.h * (size_t)s.w;
    return (rows + LK_GPU_ROWS - 1) / LK_GPU_ROWS;
}

static const char *name_of(const lk_gpu_layer_key *k) {
    static const int precisions[] = {
        [LK_GPU_FLOAT32] = LK_NN_F32, [LK_GPU_BFLOAT16] = LK_NN_BF16, [LK_GPU_FLOAT16] = LK_NN_F16};
    return lk_nn_precision_names[k->tf32 ? LK_NN_TF32 : precisions[k->in]];
}

static void tell(const lk_node *n, const lk_gpu_layer_key *k, const layer_state *s) {
    lk_log(LK_LOG_DEBUG, "%s %s: %d→%d %d×%d/%d on %d×%d, batch %d: %s%s", lk_op_name(n->op), name_of(k),
           k->ws.c * k->groups, k->ws.n, k->ws.h, k->ws.w, k->stride, k->xs.h, k->xs.w, k->xs.n,
           s->layer ? lk_gpu_layer_name(s->layer) : "plain", s->widens ? ", widened" : "");
}

bool lk_gpu_prepare_layer(lk_nn_exec *e, lk_node *n, lk_error *err) {
    layer_state *s = lk_alloc(1, sizeof *s, err);
    if (!s) return false;
    n->state = s;
    operands o = operands_of(n);
    lk_gpu_layer_key key = key_of(e, n, &o);
    if (e->g.tensors[o.w].kind == LK_VALUE && o.pass != LK_GPU_BACK_WEIGHTS)
        return lk_fail(err, LK_ERR_UNSUPPORTED, "weights that are computed are not possible");
    if (is_imagined(e))
        s->widens = n->narrow && o.pass == LK_GPU_BACK_WEIGHTS && !key.dense;
    else
        s->layer = find(e, n, &o, &key, &s->widens);
    lk_nn_shape result = lk_gpu_shape(e, result_of(&o));
    if (s->widens) s->narrow = take(&n->scratch, lk_nn_count(result) * sizeof(uint16_t));
    if (o.pass == LK_GPU_BACK_WEIGHTS && o.bias >= 0)
        s->parts = take(&n->scratch, chunks_of(lk_gpu_shape(e, summed_of(n))) * (size_t)key.ys.c * sizeof(float));
    if (s->layer) s->workspace = take(&n->scratch, lk_gpu_layer_workspace(s->layer));
    if (is_imagined(e))
        take(&n->scratch, IMAGINED_WORKSPACE);
    else
        tell(n, &key, s);
    return true;
}

static bool plain(lk_nn_exec *e, lk_node *n, const operands *o, lk_error *err) {
    lk_gpu *gpu = lk_gpu_state_of(e)->gpu;
    lk_gpu_layer_key k = key_of(e, n, o);
    lk_conv_args a = {.x = lk_gpu_ref_of(e, o->x),
                      .w = lk_gpu_ref_of(e, o->w),
                      .y = lk_gpu_ref_of(e, o->y),
                      .xs = k.xs,
                      .ws = k.ws,
                      .ys = k.ys,
                      .stride = k.stride,
                      .dilation = k.dilation,
                      .groups = k.groups,
                      .top = k.top,
                      .left = k.left};
    if (o->pass == LK_GPU_BACK_WEIGHTS) return lk_gpu_conv_back_weights(gpu, &a, lk_nn_count(k.ws), err);
    if (n->op == LK_OP_CONV_TRANSPOSED || o->pass == LK_GPU_FORWARD) {
        a.bias = o->bias >= 0 ? lk_gpu_data(e, o->bias) : NULL;
        a.act = n->a.conv.act;
        a.alpha = n->a.conv.alpha;
    }
    return o->pass == LK_GPU_FORWARD ? lk_gpu_conv(gpu, &a, lk_nn_count(k.ys), err)
                                     : lk_gpu_conv_back_data(gpu, &a, lk_nn_count(k.xs), err);
}

static bool by_library(lk_nn_exec *e, lk_node *n, const operands *o, lk_error *err) {
    const layer_state *s = n->state;
    const lk_gpu_state *g = lk_gpu_state_of(e);
    char *scratch = lk_gpu_scratch(e, n);
    void *x = lk_gpu_data(e, o->x), *y = lk_gpu_data(e, o->y), *w = lk_gpu_data(e, o->w);
    void **result = o->pass == LK_GPU_FORWARD ? &y : o->pass == LK_GPU_BACK_DATA ? &x : &w;
    if (n->narrow && o->pass != LK_GPU_BACK_WEIGHTS) w = g->shadow[o->w];
    if (s->widens) *result = scratch + s->narrow;
    const float *bias = o->pass == LK_GPU_FORWARD && o->bias >= 0 ? lk_gpu_data(e, o->bias) : NULL;
    if (!lk_gpu_layer_run(g->gpu, s->layer, x, w, y, bias, scratch ? scratch + s->workspace : NULL, err)) return false;
    if (!s->widens) return true;
    size_t count = lk_nn_count(lk_gpu_shape(e, result_of(o)));
    lk_copy_args a = {
        .x = {*result, lk_gpu_narrow_kind(e)}, .y = lk_gpu_ref_of(e, result_of(o)), .count = (uint32_t)count};
    return lk_gpu_copy(g->gpu, &a, count, err);
}

/* dy summed over all but channels. */
static bool bias_gradient(lk_nn_exec *e, lk_node *n, const operands *o, lk_error *err) {
    const layer_state *state = n->state;
    lk_gpu *gpu = lk_gpu_state_of(e)->gpu;
    lk_nn_shape s = lk_gpu_shape(e, summed_of(n));
    size_t chunks = chunks_of(s), columns = (size_t)s.c;
    float *parts = (float *)(void *)(lk_gpu_scratch(e, n) + state->parts);
    lk_column_parts_args p = {lk_gpu_ref_of(e, summed_of(n)), parts, (uint32_t)(lk_nn_count(s) / columns),
                              (uint32_t)columns};
    lk_column_args c = {parts, lk_gpu_data(e, o->bias), (uint32_t)chunks, (uint32_t)columns};
    return lk_gpu_column_parts(gpu, &p, chunks * columns, err) && lk_gpu_column(gpu, &c, columns, err);
}

bool lk_gpu_run_layer(lk_nn_exec *e, lk_node *n, lk_error *err) {
    const layer_state *s = n->state;
    operands o = operands_of(n);
    if (!(s->layer ? by_library(e, n, &o, err) : plain(e, n, &o, err))) return false;
    return o.pass != LK_GPU_BACK_WEIGHTS || o.bias < 0 || bias_gradient(e, n, &o, err);
}
