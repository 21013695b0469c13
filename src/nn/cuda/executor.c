/* The backend's table: what each operator launches, and on what memory. */
#include "gpu.h"

#include <stdlib.h>
#include <string.h>

#include "ways.h"

typedef bool run_function(lk_nn_exec *e, lk_node *n, lk_error *err);

static lk_gpu *gpu_of(const lk_nn_exec *e) { return lk_gpu_state_of(e)->gpu; }
static size_t count_of(const lk_nn_exec *e, int t) { return lk_nn_count(lk_gpu_shape(e, t)); }
static lk_gpu_ref ref(const lk_nn_exec *e, int t) { return lk_gpu_ref_of(e, t); }

/* ---- Elementwise ----------------------------------------------------------------------------------------- */

static bool activation(lk_nn_exec *e, lk_node *n, lk_error *err) {
    lk_activation_args a = {
        .x = ref(e, n->in[0]), .y = ref(e, n->out[0]), .act = n->a.conv.act, .alpha = n->a.conv.alpha};
    return lk_gpu_activation(gpu_of(e), &a, count_of(e, n->out[0]), err);
}

static bool prelu(lk_nn_exec *e, lk_node *n, lk_error *err) {
    lk_prelu_args a = {ref(e, n->in[0]), ref(e, n->out[0]), lk_gpu_data(e, n->in[1]), (uint32_t)count_of(e, n->in[1])};
    return lk_gpu_prelu(gpu_of(e), &a, count_of(e, n->out[0]), err);
}

static bool binary(lk_nn_exec *e, lk_node *n, lk_error *err) {
    lk_nn_shape s = lk_gpu_shape(e, n->in[0]), t = lk_gpu_shape(e, n->in[1]);
    lk_binary_args a = {.a = ref(e, n->in[0]),
                        .b = ref(e, n->in[1]),
                        .y = ref(e, n->out[0]),
                        .s = s,
                        .t = t,
                        .same = lk_same_shape(s, t),
                        .op = n->op == LK_OP_ADD   ? LK_GPU_ADD
                              : n->op == LK_OP_SUB ? LK_GPU_SUB
                                                   : LK_GPU_MUL};
    return lk_gpu_binary(gpu_of(e), &a, lk_nn_count(s), err);
}

static bool unary(lk_nn_exec *e, lk_node *n, lk_error *err) {
    lk_unary_args a = {.x = ref(e, n->in[0]),
                       .y = ref(e, n->out[0]),
                       .op = n->op == LK_OP_AFFINE   ? LK_GPU_AFFINE
                             : n->op == LK_OP_SQUARE ? LK_GPU_SQUARE
                             : n->op == LK_OP_SQRT   ? LK_GPU_SQRT
                                                     : LK_GPU_ABS,
                       .scale = n->a.f[0],
                       .shift = n->a.f[1]};
    return lk_gpu_unary(gpu_of(e), &a, count_of(e, n->out[0]), err);
}

static bool unary_back(lk_nn_exec *e, lk_node *n, lk_error *err) {
    lk_unary_back_args a = {ref(e, n->in[0]), ref(e, n->in[1]), ref(e, n->out[0]),
                            n->op == LK_OP_SQUARE_BACK ? LK_GPU_SQUARE
                            : n->op == LK_OP_SQRT_BACK ? LK_GPU_SQRT
                                                       : LK_GPU_ABS};
    return lk_gpu_unary_back(gpu_of(e), &a, count_of(e, n->out[0]), err);
}

static bool reduce_to(lk_nn_exec *e, lk_node *n, lk_error *err) {
    lk_reduce_to_args a = {ref(e, n->in[0]), ref(e, n->out[0]), lk_gpu_shape(e, n->in[0]), lk_gpu_shape(e, n->out[0])};
    return lk_gpu_reduce_to(gpu_of(e), &a, lk_nn_count(a.t), err);
}

static bool start_average(lk_nn_exec *e, lk_node *n, lk_error *err) {
    return lk_gpu_average_start(gpu_of(e), lk_gpu_data(e, n->in[0]), count_of(e, n->in[0]), err);
}

static bool wait_average(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)n;
    return lk_gpu_average_wait(gpu_of(e), err);
}

/* ---- Moving numbers -------------------------------------------------------------------------------------- */

static lk_depth depth_of(lk_nn_shape deep, int r) {
    return (lk_depth){(uint32_t)(deep.n * deep.h * deep.w), (uint32_t)deep.c, (uint32_t)deep.w, (uint32_t)r};
}

static size_t points_of(const lk_depth *d) { return (size_t)lk_runs_of(d->rows) * d->columns; }

static bool depth_to_space(lk_nn_exec *e, lk_node *n, lk_error *err) {
    lk_depth_to_space_args a = {.deep = ref(e, n->in[0]),
                                .wide = ref(e, n->out[0]),
                                .depth = depth_of(lk_gpu_shape(e, n->in[0]), n->a.i[0]),
                                .bias = n->in_count > 1 ? lk_gpu_data(e, n->in[1]) : NULL,
                                .act = n->a.conv.act,
                                .alpha = n->a.conv.alpha};
    return lk_gpu_depth_to_space(gpu_of(e), &a, points_of(&a.depth), err);
}

/* Of an activation, of depth-to-space, or of both. */
static bool activation_back(lk_nn_exec *e, lk_node *n, lk_error *err) {
    int r = n->op == LK_OP_DEPTH_TO_SPACE_BACK ? n->a.i[0] : 1;
    lk_activation_back_args a = {.dy = ref(e, n->in[0]),
                                 .dx = ref(e, n->out[0]),
                                 .depth = depth_of(lk_gpu_shape(e, n->out[0]), r),
                                 .sums = n->out_count > 1 ? lk_gpu_data(e, n->out[1]) : NULL,
                                 .act = n->a.conv.act,
                                 .alpha = n->a.conv.alpha};
    if (n->in_count > 1) a.y = ref(e, n->in[1]);
    return lk_gpu_activation_back(gpu_of(e), &a, points_of(&a.depth), err);
}

static bool concat_channels(lk_nn_exec *e, lk_node *n, lk_error *err) {
    uint32_t at = 0;
    for (int i = 0; i < n->in_count; i++) {
        uint32_t c = (uint32_t)lk_gpu_shape(e, n->in[i]).c;
        lk_channels_args a = {.x = ref(e, n->in[i]),
                              .y = ref(e, n->out[0]),
                              .x_channels = c,
                              .y_channels = (uint32_t)lk_gpu_shape(e, n->out[0]).c,
                              .at = at,
                              .count = c};
        if (!lk_gpu_channels(gpu_of(e), &a, count_of(e, n->in[i]), err)) return false;
        at += c;
    }
    return true;
}

static bool slice_channels(lk_nn_exec *e, lk_node *n, lk_error *err) {
    uint32_t c = (uint32_t)lk_gpu_shape(e, n->out[0]).c;
    lk_channels_args a = {.x = ref(e, n->in[0]),
                          .y = ref(e, n->out[0]),
                          .x_channels = (uint32_t)lk_gpu_shape(e, n->in[0]).c,
                          .y_channels = c,
                          .first = (uint32_t)n->a.i[0],
                          .count = c};
    return lk_gpu_channels(gpu_of(e), &a, count_of(e, n->out[0]), err);
}

static bool slice_channels_back(lk_nn_exec *e, lk_node *n, lk_error *err) {
    lk_channels_back_args a = {ref(e, n->in[0]), ref(e, n->out[0]), (uint32_t)lk_gpu_shape(e, n->out[0]).c,
                               (uint32_t)n->a.i[0], (uint32_t)lk_gpu_shape(e, n->in[0]).c};
    return lk_gpu_channels_back(gpu_of(e), &a, count_of(e, n->out[0]), err);
}

static bool concat_batch(lk_nn_exec *e, lk_node *n, lk_error *err) {
    uint32_t at = 0;
    for (int i = 0; i < n->in_count; i++) {
        lk_copy_args a = {.x = ref(e, n->in[i]), .y = ref(e, n->out[0]), .at = at};
        if (!lk_gpu_copy(gpu_of(e), &a, count_of(e, n->in[i]), err)) return false;
        at += (uint32_t)count_of(e, n->in[i]);
    }
    return true;
}

static bool slice_batch_back(lk_nn_exec *e, lk_node *n, lk_error *err) {
    lk_nn_shape t = lk_gpu_shape(e, n->out[0]);
    lk_copy_args a = {.x = ref(e, n->in[0]),
                      .y = ref(e, n->out[0]),
                      .at = (uint32_t)((size_t)n->a.i[0] * (lk_nn_count(t) / (size_t)t.n)),
                      .count = (uint32_t)count_of(e, n->in[0]),
                      .around = 1};
    return lk_gpu_copy(gpu_of(e), &a, lk_nn_count(t), err);
}

static bool pad(lk_nn_exec *e, lk_node *n, lk_error *err) {
    lk_pad_args a = {ref(e, n->in[0]),
                     ref(e, n->out[0]),
                     lk_gpu_shape(e, n->in[0]),
                     lk_gpu_shape(e, n->out[0]),
                     (uint32_t)n->a.i[0],
                     (uint32_t)n->a.i[1],
                     n->a.f[0]};
    return lk_gpu_pad(gpu_of(e), &a, lk_nn_count(a.t), err);
}

static bool convert(lk_nn_exec *e, lk_node *n, lk_error *err) {
    lk_copy_args a = {.x = ref(e, n->in[0]), .y = ref(e, n->out[0])};
    return lk_gpu_copy(gpu_of(e), &a, count_of(e, n->out[0]), err);
}

/* ---- The table ------------------------------------------------------------------------------------------- */

typedef struct row {
    run_function *prepare, *run;
    bool device_state; /* node->state lies on the device */
} row;

static const row table[LK_OP_COUNT] = {
    [LK_OP_CONV] = {lk_gpu_prepare_layer, lk_gpu_run_layer, false},
    [LK_OP_CONV_TRANSPOSED] = {lk_gpu_prepare_layer, lk_gpu_run_layer, false},
    [LK_OP_DENSE] = {lk_gpu_prepare_layer, lk_gpu_run_layer, false},
    [LK_OP_CONV_BACK_DATA] = {lk_gpu_prepare_layer, lk_gpu_run_layer, false},
    [LK_OP_CONV_BACK_WEIGHTS] = {lk_gpu_prepare_layer, lk_gpu_run_layer, false},
    [LK_OP_DENSE_BACK_DATA] = {lk_gpu_prepare_layer, lk_gpu_run_layer, false},
    [LK_OP_DENSE_BACK_WEIGHTS] = {lk_gpu_prepare_layer, lk_gpu_run_layer, false},
    [LK_OP_ACT] = {NULL, activation, false},
    [LK_OP_PRELU] = {NULL, prelu, false},
    [LK_OP_DEPTH_TO_SPACE] = {NULL, depth_to_space, false},
    [LK_OP_CONCAT_CHANNELS] = {NULL, concat_channels, false},
    [LK_OP_SLICE_CHANNELS] = {NULL, slice_channels, false},
    [LK_OP_CONCAT_BATCH] = {NULL, concat_batch, false},
    [LK_OP_ADD] = {NULL, binary, false},
    [LK_OP_SUB] = {NULL, binary, false},
    [LK_OP_MUL] = {NULL, binary, false},
    [LK_OP_AFFINE] = {NULL, unary, false},
    [LK_OP_SQUARE] = {NULL, unary, false},
    [LK_OP_SQRT] = {NULL, unary, false},
    [LK_OP_ABS] = {NULL, unary, false},
    [LK_OP_MAX_POOL] = {NULL, lk_gpu_run_pool, false},
    [LK_OP_AVG_POOL] = {NULL, lk_gpu_run_pool, false},
    [LK_OP_PAD] = {NULL, pad, false},
    [LK_OP_RESIZE] = {NULL, lk_gpu_run_resize, false},
    [LK_OP_GAUSSIAN] = {lk_gpu_prepare_gaussian, lk_gpu_run_gaussian, true},
    [LK_OP_LANDMARKS_TO_MATRIX] = {lk_gpu_prepare_landmarks, lk_gpu_run_landmarks, true},
    [LK_OP_TRANSFORM_BILINEAR] = {NULL, lk_gpu_run_landmarks, false},
    [LK_OP_TRANSFORM_LANDMARKS] = {NULL, lk_gpu_run_landmarks, false},
    [LK_OP_DSSIM] = {lk_gpu_prepare_dssim, lk_gpu_run_dssim, false},
    [LK_OP_SAMPLE_MEAN] = {lk_gpu_prepare_sum, lk_gpu_run_mean, false},
    [LK_OP_LOSS] = {lk_gpu_prepare_sum, lk_gpu_run_mean, false},
    [LK_OP_ACT_BACK] = {NULL, activation_back, false},
    [LK_OP_DEPTH_TO_SPACE_BACK] = {NULL, activation_back, false},
    [LK_OP_SLICE_CHANNELS_BACK] = {NULL, slice_channels_back, false},
    [LK_OP_SLICE_BATCH_BACK] = {NULL, slice_batch_back, false},
    [LK_OP_REDUCE_TO] = {NULL, reduce_to, false},
    [LK_OP_SQUARE_BACK] = {NULL, unary_back, false},
    [LK_OP_SQRT_BACK] = {NULL, unary_back, false},
    [LK_OP_ABS_BACK] = {NULL, unary_back, false},
    [LK_OP_AVG_POOL_BACK] = {NULL, lk_gpu_run_pool, false},
    [LK_OP_RESIZE_BACK] = {NULL, lk_gpu_run_resize, false},
    [LK_OP_GAUSSIAN_BACK] = {lk_gpu_prepare_gaussian, lk_gpu_run_gaussian, true},
    [LK_OP_DSSIM_BACK] = {lk_gpu_prepare_dssim, lk_gpu_run_dssim_back, false},
    [LK_OP_SAMPLE_MEAN_BACK] = {NULL, lk_gpu_run_mean_back, false},
    [LK_OP_LOSS_BACK] = {NULL, lk_gpu_run_mean_back, false},
    [LK_OP_ADAM] = {lk_gpu_prepare_adam, lk_gpu_run_adam, false},
    [LK_OP_ADAM_WAIT] = {NULL, lk_gpu_wait_adam, false},
    [LK_OP_REDUCE_START] = {NULL, start_average, false},
    [LK_OP_REDUCE_WAIT] = {NULL, wait_average, false},
    [LK_OP_CONVERT] = {NULL, convert, false},
};

static bool prepare(lk_nn_exec *e, lk_node *n, lk_error *err) {
    if (n->op != LK_OP_VIEW && !table[n->op].run)
        return lk_fail(err, LK_ERR_UNSUPPORTED, "not possible on a GPU: choose the processor");
    return !table[n->op].prepare || table[n->op].prepare(e, n, err);
}

static bool run_node(lk_nn_exec *e, lk_node *n, lk_error *err) {
    if (!table[n->op].run(e, n, err)) return false;
    return !e->profile || lk_gpu_wait(gpu_of(e), err);
}

static void release_node(lk_nn_exec *e, lk_node *n) {
    (void)e;
    if (table[n->op].device_state)
        lk_gpu_deallocate(n->state);
    else
        free(n->state);
    n->state = NULL;
}

/* Weights that a layer multiplies in 16 bits get a copy in those. */
static bool wants_shadow(const lk_node *n) {
    return n->narrow && lk_gpu_is_layer(n->op) && n->op != LK_OP_CONV_BACK_WEIGHTS && n->op != LK_OP_DENSE_BACK_WEIGHTS;
}

static size_t shadow_bytes(const lk_nn_exec *e) {
    size_t bytes = 0;
    for (int t = 0; t < lk_gpu_state_of(e)->tensor_count; t++) {
        bool wanted = false;
        for (int i = 0; i < e->g.node_count; i++) wanted |= wants_shadow(&e->g.nodes[i]) && e->g.nodes[i].in[1] == t;
        if (wanted) bytes += count_of(e, t) * sizeof(uint16_t);
    }
    return bytes;
}

static bool bind(lk_nn_exec *e, lk_node *n, lk_error *err) {
    lk_gpu_state *s = lk_gpu_state_of(e);
    if (!wants_shadow(n) || s->shadow[n->in[1]]) return true;
    size_t count = count_of(e, n->in[1]);
    s->shadow[n->in[1]] = lk_gpu_allocate(count * sizeof(uint16_t), err);
    lk_copy_args a = {.x = ref(e, n->in[1]), .y = {s->shadow[n->in[1]], lk_gpu_narrow_kind(e)}};
    return a.y.data && lk_gpu_copy(s->gpu, &a, count, err);
}

/* ---- Opening and closing --------------------------------------------------------------------------------- */

static void close_gpu(lk_nn_exec *e) {
    lk_gpu_state *s = lk_gpu_state_of(e);
    if (!s) return;
    for (int i = 0; i < 2; i++) lk_gpu_forget(s->recorded[i]);
    for (int i = 0; s->shadow && i < s->tensor_count; i++) lk_gpu_deallocate(s->shadow[i]);
    for (int i = 0; s->host && i < s->tensor_count; i++) lk_gpu_unpin(s->host[i]);
    for (int i = 0; i < 2; i++) lk_gpu_sheet_free(&s->sheets[i]);
    lk_gpu_unpin(s->losses);
    lk_gpu_deallocate(s->numbers);
    lk_gpu_unpin(s->pinned_numbers);
    lk_gpu_deallocate(s->scale);
    lk_gpu_close(s->gpu);
    free(s->shadow);
    free(s->host);
    free(s->stale);
    free(s->drawn);
    free(s);
    e->backend_state = NULL;
}

static size_t number_bytes(const lk_nn_exec *e) {
    return sizeof(lk_gpu_step) + (size_t)e->g.loss_count * sizeof(float);
}

static bool open_scale(lk_gpu_state *s, lk_error *err) {
    const lk_gpu_scale first = {.now = LK_GPU_FIRST_SCALE, .last = 1};
    s->scale = lk_gpu_allocate(sizeof first, err);
    return s->scale && lk_gpu_upload(s->gpu, s->scale, &first, sizeof first, err) && lk_gpu_wait(s->gpu, err);
}

static bool open_gpu(lk_nn_exec *e, lk_error *err) {
    lk_gpu_state *s = lk_alloc(1, sizeof *s, err);
    if (!s) return false;
    e->backend_state = s;
    s->tensor_count = e->g.tensor_count;
    size_t count = (size_t)s->tensor_count;
    lk_nn_peers *peers = e->options.peers;
    bool together = e->options.train && lk_nn_peers_count(peers) > 1;
    if (e->options.imagined) return true;
    s->gpu = lk_gpu_open(lk_peers_place(peers), lk_peers_here(peers), err);
    return s->gpu && (!together || lk_gpu_join(s->gpu, peers, err)) &&
           (s->shadow = lk_alloc(count, sizeof *s->shadow, err)) && (s->host = lk_alloc(count, sizeof *s->host, err)) &&
           (s->stale = lk_alloc(count, sizeof *s->stale, err)) && (s->drawn = lk_alloc(count, sizeof *s->drawn, err)) &&
           (s->losses = lk_gpu_pinned((size_t)(e->g.loss_count + 1) * sizeof(float), err)) &&
           (s->numbers = lk_gpu_allocate(number_bytes(e), err)) &&
           (s->pinned_numbers = lk_gpu_pinned(number_bytes(e), err)) && open_scale(s, err);
}

/* ---- Copies ---------------------------------------------------------------------------------------------- */

/* Between channels-last and [n, c, h, w]. */
static void reorder(lk_nn_shape s, const float *from, float *to, bool to_last) {
    size_t plane = (size_t)s.h * (size_t)s.w, c = (size_t)s.c;
    for (size_t n = 0; n < (size_t)s.n; n++)
        for (size_t p = 0; p < plane; p++)
            for (size_t k = 0; k < c; k++) {
                size_t last = (n * plane + p) * c + k, first = (n * c + k) * plane + p;
                if (to_last)
                    to[last] = from[first];
                else
                    to[first] = from[last];
            }
}

static bool upload(lk_nn_exec *e, const lk_tensor *t, char *data, const float *values) {
    lk_gpu_state *s = lk_gpu_state_of(e);
    size_t count = lk_nn_count(t->shape);
    float *last = lk_alloc(count, sizeof *last, NULL);
    if (!last) return false;
    reorder(t->shape, values, last, true);
    bool ok = lk_gpu_keeps_few(t, data) ? lk_gpu_upload_few(e, t, data, last)
                                        : lk_gpu_upload(s->gpu, data, last, count * sizeof(float), NULL);
    uint16_t *shadow = data == t->data ? s->shadow[t - e->g.tensors] : NULL;
    lk_copy_args a = {.x = {data, LK_GPU_FLOAT32}, .y = {shadow, lk_gpu_narrow_kind(e)}};
    if (ok && shadow) ok = lk_gpu_copy(s->gpu, &a, count, NULL);
    ok = lk_gpu_wait(s->gpu, NULL) && ok;
    free(last);
    return ok;
}

static bool download(const lk_nn_exec *e, const lk_tensor *t, const char *data, float *values) {
    size_t count = lk_nn_count(t->shape);
    float *last = lk_alloc(count, sizeof *last, NULL);
    bool ok = last && (lk_gpu_keeps_few(t, data) ? lk_gpu_download_few(e, t, data, last)
                                                 : lk_gpu_download(gpu_of(e), last, data, count * sizeof(float), NULL));
    bool gradient = t->kind == LK_PARAM && data != t->data && data != t->moment1 && data != t->moment2;
    if (ok && gradient && lk_gpu_scale_of(e)) {
        lk_gpu_scale scale;
        ok = lk_gpu_download(gpu_of(e), &scale, lk_gpu_scale_of(e), sizeof scale, NULL);
        for (size_t i = 0; ok && i < count; i++) last[i] /= scale.last;
    }
    if (ok) reorder(t->shape, last, values, false);
    free(last);
    return ok;
}

/* An input's memory is the pinned copy that the next run uploads; an output's is copied when first asked for. */
static float *host(lk_nn_exec *e, int t) {
    lk_gpu_state *s = lk_gpu_state_of(e);
    size_t bytes = count_of(e, t) * sizeof(float);
    if (!s->host[t]) {
        s->host[t] = lk_gpu_pinned(bytes, NULL);
        s->stale[t] = e->g.tensors[t].output;
    }
    if (!s->host[t]) return NULL;
    if (e->g.tensors[t].kind == LK_INPUT && !lk_gpu_wait_mark(s->gpu, LK_GPU_FED, NULL)) return NULL;
    s->drawn[t] = false;
    if (s->stale[t] && !lk_gpu_download(s->gpu, s->host[t], e->g.tensors[t].data, bytes, NULL)) return NULL;
    s->stale[t] = false;
    return s->host[t];
}

/* ---- Running --------------------------------------------------------------------------------------------- */

/* Into the host's memory, at the end of each run. */
static bool show_losses(lk_nn_exec *e, lk_error *err) {
    for (int first = 0; first < e->g.loss_count; first += LK_GPU_GATHERED) {
        lk_gather_args a = {.y = lk_gpu_state_of(e)->losses + first};
        int count = 0;
        for (; count < LK_GPU_GATHERED && first + count < e->g.loss_count; count++)
            a.x[count] = lk_gpu_data(e, e->g.losses[first + count].tensor);
        if (!lk_gpu_gather(gpu_of(e), &a, (size_t)count, err)) return false;
    }
    return true;
}

static bool launch(lk_nn_exec *e, int count, lk_error *err) {
    for (int i = 0; i < count; i++) {
        lk_node *n = &e->g.nodes[i];
        if (n->op == LK_OP_VIEW) continue;
        double start = e->profile ? lk_now() : 0;
        if (!run_node(e, n, err)) return lk_fail_in(err, "%s", lk_op_name(n->op));
        if (!e->profile) continue;
        n->seconds += lk_now() - start;
        n->runs++;
    }
    lk_rescale_args a = {lk_gpu_scale_of(e)};
    bool rescales = a.scale && count > e->forward_count;
    return show_losses(e, err) && (!rescales || lk_gpu_rescale(gpu_of(e), &a, 1, err));
}

/* Another run may be under way, and inputs of the next one be drawn: only for that which made the loss is waited. */
static float loss(const lk_nn_exec *e, int i) {
    const lk_gpu_state *s = lk_gpu_state_of(e);
    return lk_gpu_wait_mark(s->gpu, LK_GPU_RAN, NULL) ? s->losses[i] : NAN;
}

/* What changes from run to run: inputs, rates, weights of losses. */
static bool feed(lk_nn_exec *e, lk_error *err) {
    lk_gpu_state *s = lk_gpu_state_of(e);
    if (!lk_gpu_wait_mark(s->gpu, LK_GPU_FED, err)) return false;
    lk_gpu_step step = {e->adam_rate, e->adam.beta1, e->adam.beta2, e->adam.epsilon, (uint32_t)e->steps + 1};
    memcpy(s->pinned_numbers, &step, sizeof step);
    for (int i = 0; i < e->g.loss_count; i++)
        s->pinned_numbers[sizeof step / sizeof(float) + (size_t)i] = e->g.losses[i].weight;
    if (!lk_gpu_upload(s->gpu, s->numbers, s->pinned_numbers, number_bytes(e), err)) return false;
    for (int t = 0; t < s->tensor_count; t++) {
        s->stale[t] = e->g.tensors[t].output;
        if (e->g.tensors[t].kind == LK_INPUT && s->host[t] && !s->drawn[t] &&
            !lk_gpu_upload(s->gpu, e->g.tensors[t].data, s->host[t], count_of(e, t) * sizeof(float), err))
            return false;
    }
    return lk_gpu_mark(s->gpu, LK_GPU_FED, err);
}

/* The first run is launched kernel by kernel, the second recorded, and replayed from then on. */
static bool launch_or_replay(lk_nn_exec *e, int count, lk_error *err) {
    lk_gpu_state *s = lk_gpu_state_of(e);
    int whole = count > e->forward_count;
    if (s->runs[whole] == 0) lk_ways_save(); /* all layers are open */
    if (e->profile || s->runs[whole]++ == 0) return launch(e, count, err);
    if (!s->recorded[whole]) {
        if (!lk_gpu_record_begin(s->gpu, err)) return false;
        bool ok = launch(e, count, err);
        if (!lk_gpu_record_end(s->gpu, &s->recorded[whole], ok ? err : NULL) || !ok) return false;
    }
    return lk_gpu_replay(s->gpu, s->recorded[whole], err);
}

static bool run_all(lk_nn_exec *e, int count, lk_error *err) {
    return feed(e, err) && launch_or_replay(e, count, err) && lk_gpu_mark(gpu_of(e), LK_GPU_RAN, err);
}

/* ---- The backend ----------------------------------------------------------------------------------------- */

/* A card that is imagined has everything. */
static int precision(const lk_nn_exec *e) {
    int wanted = e->options.precision;
    if (wanted == LK_NN_AUTO) wanted = e->options.train ? LK_NN_BF16 : LK_NN_F32;
    if (e->options.imagined || lk_gpu_has_bf16() || wanted == LK_NN_F16) return wanted;
    return wanted == LK_NN_BF16 ? LK_NN_F16 : LK_NN_F32;
}

static bool any_type(const lk_nn_exec *e, const lk_node *n) {
    switch (n->op) {
    case LK_OP_ADD:
        return lk_same_shape(lk_gpu_shape(e, n->in[0]), lk_gpu_shape(e, n->in[1]));
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

static void choose_narrow(lk_nn_exec *e) {
    for (int i = 0; i < e->g.node_count; i++) {
        e->g.nodes[i].weights = -1;
        e->g.nodes[i].narrow = lk_gpu_narrow_layer(e, &e->g.nodes[i]);
    }
}

static void no_layout(void *layout) { free(layout); }

const lk_backend lk_backend_cuda = {
    .name = "cuda",
    .open = open_gpu,
    .close = close_gpu,
    .precision = precision,
    .join = lk_gpu_join_nodes,
    .choose_narrow = choose_narrow,
    .any_type = any_type,
    .prepare = prepare,
    .bind = bind,
    .run = run_node,
    .release = release_node,
    .allocate = lk_gpu_allocate,
    .deallocate = lk_gpu_deallocate,
    .upload = upload,
    .download = download,
    .release_layout = no_layout,
    .ready = lk_gpu_ready,
    .run_all = run_all,
    .extra = shadow_bytes,
    .free_memory = lk_gpu_left,
    .allocate_host = lk_gpu_pinned,
    .deallocate_host = lk_gpu_unpin,
    .host = host,
    .draw = lk_gpu_draw,
    .loss = loss,
};
