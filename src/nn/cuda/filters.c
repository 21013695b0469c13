/* What looks at more than one number at a time: filters, losses, and the attention mesh. */
#include "gpu.h"

#include <math.h>
#include <stdlib.h>

static lk_gpu *gpu_of(const lk_nn_exec *e) { return lk_gpu_state_of(e)->gpu; }
static size_t count_of(const lk_nn_exec *e, int t) { return lk_nn_count(lk_gpu_shape(e, t)); }
static lk_gpu_ref ref(const lk_nn_exec *e, int t) { return lk_gpu_ref_of(e, t); }
static float *scratch_floats(const lk_nn_exec *e, const lk_node *n) { return (float *)(void *)lk_gpu_scratch(e, n); }

/* ---- Filters --------------------------------------------------------------------------------------------- */

bool lk_gpu_prepare_gaussian(lk_nn_exec *e, lk_node *n, lk_error *err) {
    lk_nn_shape s = lk_gpu_shape(e, n->in[0]), t = lk_gpu_shape(e, n->out[0]);
    n->scratch = lk_nn_count(lk_shape(s.n, s.c, s.h, t.w)) * sizeof(float);
    if (!gpu_of(e)) return true;
    int taps = 2 * n->a.i[0] + 1;
    float *host = lk_alloc((size_t)taps, sizeof *host, err);
    if (!host) return false;
    double sum = 0, sigma = (double)n->a.f[0];
    for (int i = 0; i < taps; i++) sum += exp(-0.5 * pow((i - n->a.i[0]) / sigma, 2));
    for (int i = 0; i < taps; i++) host[i] = (float)(exp(-0.5 * pow((i - n->a.i[0]) / sigma, 2)) / sum);
    size_t bytes = (size_t)taps * sizeof(float);
    n->state = lk_gpu_allocate(bytes, err);
    bool ok = n->state && lk_gpu_upload(gpu_of(e), n->state, host, bytes, err) && lk_gpu_wait(gpu_of(e), err);
    free(host);
    return ok;
}

bool lk_gpu_run_gaussian(lk_nn_exec *e, lk_node *n, lk_error *err) {
    lk_nn_shape s = lk_gpu_shape(e, n->in[0]), t = lk_gpu_shape(e, n->out[0]);
    int radius = n->a.i[0], before = n->a.i[1] ? radius : n->op == LK_OP_GAUSSIAN ? 0 : 2 * radius;
    lk_gpu_ref between = {scratch_floats(e, n), LK_GPU_FLOAT32};
    lk_filter_args rows = {ref(e, n->in[0]), between,       n->state, (uint32_t)s.w,
                           (uint32_t)t.w,    (uint32_t)s.c, radius,   before};
    lk_filter_args columns = {between,       ref(e, n->out[0]),     n->state, (uint32_t)s.h,
                              (uint32_t)t.h, (uint32_t)(t.w * s.c), radius,   before};
    return lk_gpu_filter(gpu_of(e), &rows, lk_nn_count(lk_shape(s.n, s.c, s.h, t.w)), err) &&
           lk_gpu_filter(gpu_of(e), &columns, lk_nn_count(t), err);
}

bool lk_gpu_run_pool(lk_nn_exec *e, lk_node *n, lk_error *err) {
    bool back = n->op == LK_OP_AVG_POOL_BACK;
    lk_pool_args a = {.x = ref(e, n->in[0]),
                      .y = ref(e, n->out[0]),
                      .s = lk_gpu_shape(e, back ? n->out[0] : n->in[0]),
                      .t = lk_gpu_shape(e, back ? n->in[0] : n->out[0]),
                      .o = n->a.pool,
                      .top = n->a.i[0],
                      .left = n->a.i[1],
                      .max = n->op == LK_OP_MAX_POOL};
    size_t count = count_of(e, n->out[0]);
    return back ? lk_gpu_avg_pool_back(gpu_of(e), &a, count, err) : lk_gpu_pool(gpu_of(e), &a, count, err);
}

bool lk_gpu_run_resize(lk_nn_exec *e, lk_node *n, lk_error *err) {
    bool back = n->op == LK_OP_RESIZE_BACK;
    lk_resize_args a = {.x = ref(e, n->in[0]),
                        .y = ref(e, n->out[0]),
                        .s = lk_gpu_shape(e, back ? n->out[0] : n->in[0]),
                        .t = lk_gpu_shape(e, back ? n->in[0] : n->out[0]),
                        .align_corners = n->a.i[0],
                        .half_pixel = n->a.i[1]};
    size_t count = count_of(e, n->out[0]);
    return back ? lk_gpu_resize_back(gpu_of(e), &a, count, err) : lk_gpu_resize(gpu_of(e), &a, count, err);
}

/* ---- Losses ---------------------------------------------------------------------------------------------- */

static lk_nn_shape rows_of(lk_nn_shape s) { return lk_shape(s.n, s.c, s.h, s.w - LK_GPU_WINDOW + 1); }
static lk_nn_shape valid_of(lk_nn_shape s) {
    return lk_shape(s.n, s.c, s.h - LK_GPU_WINDOW + 1, s.w - LK_GPU_WINDOW + 1);
}

bool lk_gpu_prepare_dssim(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    bool back = n->op == LK_OP_DSSIM_BACK;
    lk_nn_shape s = lk_gpu_shape(e, n->in[back]);
    size_t rows = lk_nn_count(rows_of(s)), valid = lk_nn_count(valid_of(s));
    n->scratch = (5 * rows + (back ? 3 * valid + 3 * rows : valid + (size_t)s.n * LK_GPU_PARTS)) * sizeof(float);
    return true;
}

static lk_dssim_args dssim_args(lk_nn_exec *e, lk_node *n) {
    int first = n->op == LK_OP_DSSIM_BACK;
    lk_nn_shape s = lk_gpu_shape(e, n->in[first]);
    size_t rows = lk_nn_count(rows_of(s)), valid = lk_nn_count(valid_of(s));
    float range = n->a.f[0];
    lk_dssim_args a = {.x = ref(e, n->in[first]), .target = ref(e, n->in[first + 1]), .s = s};
    if (n->in_count > first + 2) a.mask = ref(e, n->in[first + 2]);
    a.c1 = 0.0001f * range * range;
    a.c2 = 0.0009f * range * range;
    a.rows = scratch_floats(e, n);
    a.terms = a.rows + 5 * rows;
    if (first) {
        a.spread = a.terms + 3 * valid;
        a.dy = lk_gpu_data(e, n->in[0]);
        a.dx = ref(e, n->out[0]);
        a.weight = -0.5f * (float)s.n / (float)valid;
    }
    double sum = 0;
    for (int i = -5; i <= 5; i++) sum += exp(-0.5 * i * i / 2.25);
    for (int i = -5; i <= 5; i++) a.taps[i + 5] = (float)(exp(-0.5 * i * i / 2.25) / sum);
    return a;
}

/* y[g] = scale·weight·Σ x over each of `groups` groups, + shift. */
static bool sum_groups(lk_nn_exec *e, lk_gpu_ref x, size_t groups, size_t length, float *parts, const float *weight,
                       int out, float scale, float shift, lk_error *err) {
    lk_sum_parts_args p = {x, parts, (uint32_t)length};
    lk_sum_args s = {parts, weight, lk_gpu_data(e, out), scale, shift};
    return lk_gpu_sum_parts(gpu_of(e), &p, groups * LK_GPU_PARTS, err) && lk_gpu_sum(gpu_of(e), &s, groups, err);
}

bool lk_gpu_run_dssim(lk_nn_exec *e, lk_node *n, lk_error *err) {
    lk_dssim_args a = dssim_args(e, n);
    size_t valid = lk_nn_count(valid_of(a.s)), each = valid / (size_t)a.s.n;
    lk_gpu_ref terms = {a.terms, LK_GPU_FLOAT32};
    return lk_gpu_dssim_rows(gpu_of(e), &a, lk_nn_count(rows_of(a.s)), err) &&
           lk_gpu_dssim(gpu_of(e), &a, valid, err) &&
           sum_groups(e, terms, (size_t)a.s.n, each, a.terms + valid, NULL, n->out[0], -0.5f / (float)each, 0.5f, err);
}

bool lk_gpu_run_dssim_back(lk_nn_exec *e, lk_node *n, lk_error *err) {
    lk_dssim_args a = dssim_args(e, n);
    size_t rows = lk_nn_count(rows_of(a.s));
    return lk_gpu_dssim_rows(gpu_of(e), &a, rows, err) &&
           lk_gpu_dssim_terms(gpu_of(e), &a, lk_nn_count(valid_of(a.s)), err) &&
           lk_gpu_dssim_spread(gpu_of(e), &a, rows, err) && lk_gpu_dssim_back(gpu_of(e), &a, lk_nn_count(a.s), err);
}

bool lk_gpu_prepare_sum(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    size_t groups = n->op == LK_OP_LOSS ? 1 : (size_t)lk_gpu_shape(e, n->in[0]).n;
    n->scratch = groups * LK_GPU_PARTS * sizeof(float);
    return true;
}

static const float *loss_weight(const lk_nn_exec *e, const lk_node *n) {
    return lk_gpu_state_of(e)->numbers + sizeof(lk_gpu_step) / sizeof(float) + n->a.i[0];
}

bool lk_gpu_run_mean(lk_nn_exec *e, lk_node *n, lk_error *err) {
    bool loss = n->op == LK_OP_LOSS;
    size_t count = count_of(e, n->in[0]), groups = loss ? 1 : (size_t)lk_gpu_shape(e, n->in[0]).n;
    float scale = (float)(1.0 / (double)(count / groups));
    return sum_groups(e, ref(e, n->in[0]), groups, count / groups, scratch_floats(e, n),
                      loss ? loss_weight(e, n) : NULL, n->out[0], scale, 0, err);
}

bool lk_gpu_run_mean_back(lk_nn_exec *e, lk_node *n, lk_error *err) {
    bool loss = n->op == LK_OP_LOSS_BACK;
    size_t count = count_of(e, n->out[0]), groups = loss ? 1 : (size_t)lk_gpu_shape(e, n->out[0]).n;
    lk_spread_args a = {.x = ref(e, n->out[0]),
                        .value = loss ? loss_weight(e, n) : lk_gpu_data(e, n->in[0]),
                        .times = loss && lk_gpu_scale_of(e) ? &lk_gpu_scale_of(e)->now : NULL,
                        .each = (uint32_t)(count / groups),
                        .scale = (float)(1.0 / (double)(count / groups))};
    return lk_gpu_spread(gpu_of(e), &a, count, err);
}

/* ---- The attention mesh ---------------------------------------------------------------------------------- */

bool lk_gpu_prepare_landmarks(lk_nn_exec *e, lk_node *n, lk_error *err) {
    if (!gpu_of(e)) return true;
    size_t bytes = (size_t)n->a.list_count * sizeof(int);
    n->state = lk_gpu_allocate(bytes, err);
    return n->state && lk_gpu_upload(gpu_of(e), n->state, n->a.list, bytes, err) && lk_gpu_wait(gpu_of(e), err);
}

bool lk_gpu_run_landmarks(lk_nn_exec *e, lk_node *n, lk_error *err) {
    lk_landmarks_args a = {.p = ref(e, n->in[0]), .s = lk_gpu_shape(e, n->in[0]), .t = lk_gpu_shape(e, n->out[0])};
    if (n->op == LK_OP_LANDMARKS_TO_MATRIX) {
        a.matrix = ref(e, n->out[0]);
        a.list = n->state;
        a.count = n->a.list_count;
        a.left = n->a.i[0];
        a.right = n->a.i[1];
        a.width = n->a.i[2];
        a.height = n->a.i[3];
        a.target = n->a.f[0];
        a.scale_x = n->a.f[1];
        a.scale_y = n->a.f[2];
        return lk_gpu_landmarks_matrix(gpu_of(e), &a, 1, err);
    }
    a.matrix = ref(e, n->in[1]);
    a.y = ref(e, n->out[0]);
    size_t count = lk_nn_count(a.t);
    return n->op == LK_OP_TRANSFORM_BILINEAR ? lk_gpu_landmarks_crop(gpu_of(e), &a, count, err)
                                             : lk_gpu_landmarks_move(gpu_of(e), &a, count, err);
}
