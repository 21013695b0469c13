#include "cpu.h"

#include <stdlib.h>
#include <string.h>

static const lk_cpu_op onednn = {lk_onednn_prepare, lk_onednn_bind, lk_onednn_run, lk_onednn_release};
#define RUN(function)                                                                                                  \
    { NULL, NULL, function, NULL }

static const lk_cpu_op sum = {lk_cpu_prepare_sum, NULL, lk_cpu_binary, NULL};

static bool start_average(lk_nn_exec *e, lk_node *n, lk_error *err) {
    const lk_tensor *t = &e->g.tensors[n->in[0]];
    return lk_peers_start(e->options.peers, (float *)(void *)t->data, t->bytes / sizeof(float), err);
}

static bool wait_average(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)n;
    return lk_peers_wait(e->options.peers, err);
}

static const lk_cpu_op table[LK_OP_COUNT] = {
    [LK_OP_ACT] = RUN(lk_cpu_activation),
    [LK_OP_PRELU] = RUN(lk_cpu_prelu),
    [LK_OP_DEPTH_TO_SPACE] = RUN(lk_cpu_depth_to_space),
    [LK_OP_CONCAT_CHANNELS] = RUN(lk_cpu_concat_channels),
    [LK_OP_SLICE_CHANNELS] = RUN(lk_cpu_slice_channels),
    [LK_OP_CONCAT_BATCH] = RUN(lk_cpu_concat_batch),
    [LK_OP_SUB] = RUN(lk_cpu_binary),
    [LK_OP_MUL] = RUN(lk_cpu_binary),
    [LK_OP_AFFINE] = RUN(lk_cpu_unary),
    [LK_OP_SQUARE] = RUN(lk_cpu_unary),
    [LK_OP_ABS] = RUN(lk_cpu_unary),
    [LK_OP_SQRT] = RUN(lk_cpu_unary),
    [LK_OP_MAX_POOL] = RUN(lk_cpu_pool),
    [LK_OP_AVG_POOL] = RUN(lk_cpu_pool),
    [LK_OP_PAD] = RUN(lk_cpu_pad),
    [LK_OP_RESIZE] = RUN(lk_cpu_resize),
    [LK_OP_GAUSSIAN] = {lk_cpu_prepare_gaussian, NULL, lk_cpu_gaussian, NULL},
    [LK_OP_LANDMARKS_TO_MATRIX] = RUN(lk_cpu_landmarks_to_matrix),
    [LK_OP_TRANSFORM_BILINEAR] = RUN(lk_cpu_transform_bilinear),
    [LK_OP_TRANSFORM_LANDMARKS] = RUN(lk_cpu_transform_landmarks),
    [LK_OP_DSSIM] = {lk_cpu_prepare_dssim, NULL, lk_cpu_dssim, NULL},
    [LK_OP_SAMPLE_MEAN] = RUN(lk_cpu_sample_mean),
    [LK_OP_LOSS] = RUN(lk_cpu_loss),
    [LK_OP_ACT_BACK] = RUN(lk_cpu_activation_back),
    [LK_OP_DEPTH_TO_SPACE_BACK] = RUN(lk_cpu_depth_to_space),
    [LK_OP_SLICE_CHANNELS_BACK] = RUN(lk_cpu_slice_channels_back),
    [LK_OP_SLICE_BATCH_BACK] = RUN(lk_cpu_slice_batch_back),
    [LK_OP_REDUCE_TO] = RUN(lk_cpu_reduce_to),
    [LK_OP_SQUARE_BACK] = RUN(lk_cpu_unary_back),
    [LK_OP_ABS_BACK] = RUN(lk_cpu_unary_back),
    [LK_OP_SQRT_BACK] = RUN(lk_cpu_unary_back),
    [LK_OP_AVG_POOL_BACK] = RUN(lk_cpu_avg_pool_back),
    [LK_OP_RESIZE_BACK] = RUN(lk_cpu_resize_back),
    [LK_OP_GAUSSIAN_BACK] = {lk_cpu_prepare_gaussian, NULL, lk_cpu_gaussian_back, NULL},
    [LK_OP_DSSIM_BACK] = {lk_cpu_prepare_dssim, NULL, lk_cpu_dssim_back, NULL},
    [LK_OP_SAMPLE_MEAN_BACK] = RUN(lk_cpu_sample_mean_back),
    [LK_OP_LOSS_BACK] = RUN(lk_cpu_loss_back),
    [LK_OP_ADAM] = RUN(lk_cpu_adam),
    [LK_OP_REDUCE_START] = RUN(start_average),
    [LK_OP_REDUCE_WAIT] = RUN(wait_average),
    [LK_OP_CONVERT] = RUN(lk_cpu_convert),
};

static const lk_cpu_op *row(const lk_nn_exec *e, const lk_node *n) {
    if (lk_matrix_does(e, n)) return e->narrow ? &lk_matrix_op : &lk_matrix_op_f32;
    switch (n->op) {
    case LK_OP_CONV:
    case LK_OP_CONV_TRANSPOSED:
    case LK_OP_DENSE:
    case LK_OP_CONV_BACK_DATA:
    case LK_OP_CONV_BACK_WEIGHTS:
    case LK_OP_DENSE_BACK_DATA:
    case LK_OP_DENSE_BACK_WEIGHTS:
        return &onednn;
    case LK_OP_ADD:
        return &sum;
    default:
        return &table[n->op];
    }
}

static bool prepare(lk_nn_exec *e, lk_node *n, lk_error *err) {
    const lk_cpu_op *op = row(e, n);
    return !op->prepare || op->prepare(e, n, err);
}

static bool bind(lk_nn_exec *e, lk_node *n, lk_error *err) {
    const lk_cpu_op *op = row(e, n);
    return !op->bind || op->bind(e, n, err);
}

static bool run(lk_nn_exec *e, lk_node *n, lk_error *err) { return row(e, n)->run(e, n, err); }

static void release(lk_nn_exec *e, lk_node *n) {
    if (row(e, n)->release) row(e, n)->release(n);
}

bool lk_nn_has_bf16(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

static bool any_type(const lk_nn_exec *e, const lk_node *n) {
    switch (n->op) {
    case LK_OP_ADD:
        return lk_same_shape(lk_cpu_shape(e, n->in[0]), lk_cpu_shape(e, n->in[1]));
    case LK_OP_ACT:
    case LK_OP_ACT_BACK:
    case LK_OP_DEPTH_TO_SPACE:
    case LK_OP_DEPTH_TO_SPACE_BACK:
    case LK_OP_CONCAT_CHANNELS:
    case LK_OP_SLICE_CHANNELS:
    case LK_OP_SLICE_CHANNELS_BACK:
    case LK_OP_CONCAT_BATCH:
    case LK_OP_SLICE_BATCH_BACK:
        return true;
    default:
        return false;
    }
}

/* Will the node's result stay float32, since something reads it that takes nothing else? oneDNN's data gradients of bfloat16
 * cannot be. */
static bool read_exactly(const lk_nn_exec *e, const lk_node *n) {
    const lk_nn_graph *g = &e->g;
    for (int i = 0; i < g->node_count; i++) {
        const lk_node *reader = &g->nodes[i];
        if (reader->op == LK_OP_VIEW || reader->narrow || any_type(e, reader)) continue;
        for (int j = 0; j < reader->in_count; j++)
            if (lk_root(g, reader->in[j]) == lk_root(g, n->out[0])) return true;
    }
    return false;
}

static int precision(const lk_nn_exec *e) {
    int wanted = e->options.precision;
    bool narrow = wanted == LK_NN_BF16 || (wanted == LK_NN_AUTO && e->options.train && lk_nn_has_bf16());
    return narrow ? LK_NN_BF16 : LK_NN_F32;
}

/* The convolution writes its pixels where depth-to-space would have moved them. */
static void join(lk_nn_exec *e, int conv, int spread) {
    lk_node *c = &e->g.nodes[conv], *s = &e->g.nodes[spread];
    c->out[0] = s->out[0];
    c->spread = s->a.i[0];
    lk_drop_node(e, spread);
}

static void choose_narrow(lk_nn_exec *e) {
    for (int i = 0; i < e->g.node_count; i++) {
        lk_node *n = &e->g.nodes[i];
        n->weights = -1;
        n->narrow = row(e, n) == &onednn && n->op != LK_OP_CONV_TRANSPOSED;
    }
    lk_matrix_choose(e);
    lk_fuse(e, lk_matrix_spreads, join);
    for (int i = 0; i < e->g.node_count; i++) {
        lk_node *n = &e->g.nodes[i];
        if (!n->narrow || lk_matrix_does(e, n)) continue;
        bool back = n->op == LK_OP_CONV_BACK_DATA || n->op == LK_OP_DENSE_BACK_DATA;
        n->narrow = lk_onednn_narrow(e, n) && !(back && read_exactly(e, n));
    }
}

/* In float32, where this processor multiplies it fast enough. */
static void choose_exact(lk_nn_exec *e) {
    if (!lk_matrix_ways_f32() || e->options.way == LK_NN_LIBRARY) return;
    lk_matrix_choose(e);
    lk_fuse(e, lk_matrix_spreads, join);
}

static void *allocate(size_t bytes, lk_error *err) { return lk_alloc(bytes, 1, err); }

/* Channels-last ↔ [n, c, h, w]. */
static void swap_order(lk_nn_shape s, float *last, float *first, bool upload) {
    size_t plane = (size_t)s.h * (size_t)s.w, c = (size_t)s.c;
    for (size_t n = 0; n < (size_t)s.n; n++)
        for (size_t k = 0; k < c; k++)
            for (size_t p = 0; p < plane; p++) {
                float *a = &last[(n * plane + p) * c + k], *b = &first[(n * c + k) * plane + p];
                if (upload)
                    *a = *b;
                else
                    *b = *a;
            }
}

static bool upload(lk_nn_exec *e, const lk_tensor *t, char *data, const float *values) {
    float *from = (float *)(uintptr_t)values;
    if (t->tiled) return lk_matrix_exchange(t, data, from, true);
    if (t->layout) return lk_onednn_reorder(e, t, data, from, true);
    swap_order(t->shape, (float *)(void *)data, from, true);
    return true;
}

static bool download(const lk_nn_exec *e, const lk_tensor *t, const char *data, float *values) {
    char *from = (char *)(uintptr_t)data;
    if (t->tiled) return lk_matrix_exchange(t, from, values, false);
    if (t->layout) return lk_onednn_reorder(e, t, from, values, false);
    swap_order(t->shape, (float *)(void *)from, values, false);
    return true;
}

const lk_backend lk_backend_cpu = {
    .name = "cpu",
    .open = lk_onednn_open,
    .close = lk_onednn_close,
    .precision = precision,
    .choose_narrow = choose_narrow,
    .choose_exact = choose_exact,
    .any_type = any_type,
    .prepare = prepare,
    .bind = bind,
    .run = run,
    .release = release,
    .allocate = allocate,
    .deallocate = free,
    .upload = upload,
    .download = download,
    .release_layout = free,
};
