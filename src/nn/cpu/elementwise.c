/* Elementwise operators, their gradients, and Adam. */
#include "cpu.h"

#include <math.h>
#include <string.h>

/* Sums of gradients of weights keep the weights' layout, whose padding counts as numbers. */
bool lk_cpu_prepare_sum(lk_nn_exec *e, lk_node *n, lk_error *err) {
    const lk_tensor *in = &e->g.tensors[n->in[0]];
    lk_tensor *out = &e->g.tensors[n->out[0]];
    if (in->tiled) {
        out->tiled = in->tiled;
        out->bytes = in->bytes;
    }
    if (!in->layout) return true;
    out->bytes = in->bytes;
    out->layout = lk_onednn_copy_layout(in->layout, err);
    return out->layout != NULL;
}

/* A node's numbers in chunks, each as float32 whatever its tensors' types: body sees a, b and y of n numbers. */
#define IN_CHUNKS(e, node, total, body)                                                                                \
    _Pragma("omp parallel for if (total > LK_CPU_PARALLEL)") for (size_t at = 0; at < total; at += LK_CPU_CHUNK) {     \
        float a_room[LK_CPU_CHUNK], b_room[LK_CPU_CHUNK];                                                              \
        size_t n = total - at < LK_CPU_CHUNK ? total - at : LK_CPU_CHUNK;                                              \
        const float *a = lk_cpu_read(e, (node)->in[0], at, n, a_room);                                                 \
        const float *b = (node)->in_count > 1 ? lk_cpu_read(e, (node)->in[1], at, n, b_room) : NULL;                   \
        float *y = lk_cpu_room(e, (node)->out[0], at, a_room);                                                         \
        body;                                                                                                          \
        lk_cpu_written(e, (node)->out[0], at, n, y);                                                                   \
    }

LK_HOT static void add_all(const float *a, const float *b, float *y, size_t n) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

static void add_any(lk_nn_exec *e, const lk_node *node) {
    size_t total = e->g.tensors[node->out[0]].bytes / lk_number_bytes(&e->g.tensors[node->out[0]]);
    IN_CHUNKS(e, node, total, add_all(a, b, y, n))
}

LK_HOT static void subtract_all(const float *a, const float *b, float *y, size_t n) {
#pragma omp parallel for simd if (n > LK_CPU_PARALLEL)
    for (size_t i = 0; i < n; i++) y[i] = a[i] - b[i];
}

LK_HOT static void multiply_all(const float *a, const float *b, float *y, size_t n) {
#pragma omp parallel for simd if (n > LK_CPU_PARALLEL)
    for (size_t i = 0; i < n; i++) y[i] = a[i] * b[i];
}

/* One pixel's channels, b having as many or one. */
static inline void combine(lk_op op, const float *a, const float *b, size_t step, float *y, size_t c) {
    switch (op) {
    case LK_OP_ADD:
        for (size_t i = 0; i < c; i++) y[i] = a[i] + b[i * step];
        break;
    case LK_OP_SUB:
        for (size_t i = 0; i < c; i++) y[i] = a[i] - b[i * step];
        break;
    default:
        for (size_t i = 0; i < c; i++) y[i] = a[i] * b[i * step];
    }
}

static void spread(lk_op op, const float *a, const float *b, float *y, lk_nn_shape s, lk_nn_shape t) {
    size_t c = (size_t)s.c, step = t.c > 1, tc = (size_t)t.c;
    int rows = s.n * s.h;
#pragma omp parallel for if (lk_nn_count(s) > LK_CPU_PARALLEL)
    for (int r = 0; r < rows; r++) {
        size_t n = t.n > 1 ? (size_t)(r / s.h) : 0, h = t.h > 1 ? (size_t)(r % s.h) : 0;
        for (int w = 0; w < s.w; w++) {
            size_t at = ((size_t)r * (size_t)s.w + (size_t)w) * c;
            size_t other = ((n * (size_t)t.h + h) * (size_t)t.w + (t.w > 1 ? (size_t)w : 0)) * tc;
            combine(op, a + at, b + other, step, y + at, c);
        }
    }
}

bool lk_cpu_binary(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    lk_nn_shape s = lk_cpu_shape(e, n->in[0]), t = lk_cpu_shape(e, n->in[1]);
    const float *a = lk_cpu_data(e, n->in[0]), *b = lk_cpu_data(e, n->in[1]);
    float *y = lk_cpu_data(e, n->out[0]);
    size_t count = e->g.tensors[n->out[0]].bytes / sizeof(float);
    if (!lk_same_shape(s, t))
        spread(n->op, a, b, y, s, t);
    else if (n->op == LK_OP_ADD)
        add_any(e, n);
    else if (n->op == LK_OP_SUB)
        subtract_all(a, b, y, count);
    else
        multiply_all(a, b, y, count);
    return true;
}

static inline float activate(lk_nn_act act, float alpha, float x) {
    switch (act) {
    case LK_NN_LEAKY:
        return x > 0 ? x : alpha * x;
    case LK_NN_RELU:
        return x > 0 ? x : 0;
    case LK_NN_RELU6:
        return x < 0 ? 0 : x > 6 ? 6 : x;
    case LK_NN_SIGMOID:
        return 1 / (1 + expf(-x));
    case LK_NN_TANH:
        return tanhf(x);
    case LK_NN_SWISH:
        return x / (1 + expf(-x));
    case LK_NN_HARD_SWISH:
        return x * (x < -3 ? 0 : x > 3 ? 6 : x + 3) / 6;
    case LK_NN_LINEAR:
        break;
    }
    return x;
}

LK_HOT void lk_cpu_activate(lk_nn_act act, float alpha, const float *x, float *y, size_t n) {
#define EACH(kind)                                                                                                     \
    case kind:                                                                                                         \
        _Pragma("omp simd") for (size_t i = 0; i < n; i++) y[i] = activate(kind, alpha, x[i]);                         \
        break;
    switch (act) {
        EACH(LK_NN_LINEAR)
        EACH(LK_NN_LEAKY)
        EACH(LK_NN_RELU)
        EACH(LK_NN_RELU6)
        EACH(LK_NN_SIGMOID)
        EACH(LK_NN_TANH)
        EACH(LK_NN_SWISH)
        EACH(LK_NN_HARD_SWISH)
    }
#undef EACH
}

bool lk_cpu_activation(lk_nn_exec *e, lk_node *node, lk_error *err) {
    (void)err;
    size_t total = lk_nn_count(lk_cpu_shape(e, node->in[0]));
    IN_CHUNKS(e, node, total, (void)b; lk_cpu_activate(node->a.conv.act, node->a.conv.alpha, a, y, n))
    return true;
}

/* The slope at x, told from y alone: every activation that is differentiated here is monotonous. */
static inline float slope(lk_nn_act act, float alpha, float y) {
    switch (act) {
    case LK_NN_LEAKY:
        return y > 0 ? 1 : alpha;
    case LK_NN_RELU:
        return y > 0 ? 1 : 0;
    case LK_NN_RELU6:
        return y > 0 && y < 6 ? 1 : 0;
    case LK_NN_SIGMOID:
        return y * (1 - y);
    case LK_NN_TANH:
        return 1 - y * y;
    default:
        return 1;
    }
}

LK_HOT void lk_cpu_slope(lk_nn_act act, float alpha, const float *dy, const float *y, float *dx, size_t n) {
#define EACH(kind)                                                                                                     \
    case kind:                                                                                                         \
        _Pragma("omp simd") for (size_t i = 0; i < n; i++) dx[i] = dy[i] * slope(kind, alpha, y[i]);                   \
        break;
    switch (act) {
        EACH(LK_NN_LEAKY)
        EACH(LK_NN_RELU)
        EACH(LK_NN_RELU6)
        EACH(LK_NN_SIGMOID)
        EACH(LK_NN_TANH)
    default:
        if (dx != dy) memcpy(dx, dy, n * sizeof(float));
    }
#undef EACH
}

/* Of the leaky unit, all in bfloat16. */
LK_HOT void lk_cpu_leaky_slope(float alpha, const lk_bf16 *dy, const lk_bf16 *y, lk_bf16 *dx, size_t n) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        bool positive = y[i] && !(y[i] & 0x8000);
        dx[i] = positive ? dy[i] : lk_narrow(alpha * lk_widen(dy[i]));
    }
}

bool lk_cpu_activation_back(lk_nn_exec *e, lk_node *node, lk_error *err) {
    (void)err;
    size_t total = lk_nn_count(lk_cpu_shape(e, node->in[0]));
    IN_CHUNKS(e, node, total, lk_cpu_slope(node->a.conv.act, node->a.conv.alpha, a, b, y, n))
    return true;
}

LK_HOT static void affine_all(const float *x, float *y, float scale, float shift, size_t n) {
#pragma omp parallel for simd if (n > LK_CPU_PARALLEL)
    for (size_t i = 0; i < n; i++) y[i] = scale * x[i] + shift;
}

bool lk_cpu_unary(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    const float *x = lk_cpu_data(e, n->in[0]);
    float *y = lk_cpu_data(e, n->out[0]);
    size_t count = lk_nn_count(lk_cpu_shape(e, n->in[0]));
    if (n->op == LK_OP_AFFINE)
        affine_all(x, y, n->a.f[0], n->a.f[1], count);
    else if (n->op == LK_OP_SQUARE)
        multiply_all(x, x, y, count);
    else if (n->op == LK_OP_SQRT)
        for (size_t i = 0; i < count; i++) y[i] = sqrtf(x[i]);
    else
        for (size_t i = 0; i < count; i++) y[i] = fabsf(x[i]);
    return true;
}

bool lk_cpu_unary_back(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    const float *dy = lk_cpu_data(e, n->in[0]), *x = lk_cpu_data(e, n->in[1]);
    float *dx = lk_cpu_data(e, n->out[0]);
    size_t count = lk_nn_count(lk_cpu_shape(e, n->in[0]));
    if (n->op == LK_OP_SQUARE_BACK)
        for (size_t i = 0; i < count; i++) dx[i] = 2 * dy[i] * x[i];
    else if (n->op == LK_OP_SQRT_BACK)
        for (size_t i = 0; i < count; i++) dx[i] = dy[i] / (2 * x[i]); /* x is the root here */
    else
        for (size_t i = 0; i < count; i++) dx[i] = x[i] > 0 ? dy[i] : x[i] < 0 ? -dy[i] : 0;
    return true;
}

/* In order on one thread: the operands that need it are small, and the sum stays the same for any thread count. */
bool lk_cpu_reduce_to(lk_nn_exec *e, lk_node *node, lk_error *err) {
    (void)err;
    lk_nn_shape s = lk_cpu_shape(e, node->in[0]), t = lk_cpu_shape(e, node->out[0]);
    const float *x = lk_cpu_data(e, node->in[0]);
    float *y = lk_cpu_data(e, node->out[0]);
    memset(y, 0, lk_nn_count(t) * sizeof(float));
    for (int n = 0; n < s.n; n++)
        for (int h = 0; h < s.h; h++)
            for (int w = 0; w < s.w; w++) {
                size_t to = (((size_t)(t.n > 1 ? n : 0) * (size_t)t.h + (size_t)(t.h > 1 ? h : 0)) * (size_t)t.w +
                             (size_t)(t.w > 1 ? w : 0)) *
                            (size_t)t.c;
                for (int c = 0; c < s.c; c++) y[to + (size_t)(t.c > 1 ? c : 0)] += *x++;
            }
    return true;
}

LK_HOT static void adam(float *p, const float *g, float *m, float *v, size_t n, const lk_nn_adam *a, float rate) {
    float b1 = a->beta1, b2 = a->beta2, epsilon = a->epsilon;
#pragma omp parallel for simd if (n > LK_CPU_PARALLEL)
    for (size_t i = 0; i < n; i++) {
        float d = g[i];
        m[i] += (1 - b1) * (d - m[i]);
        v[i] += (1 - b2) * (d * d - v[i]);
        p[i] -= rate * m[i] / (sqrtf(v[i]) + epsilon);
    }
}

bool lk_cpu_adam(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    const lk_tensor *p = &e->g.tensors[n->in[0]], *g = &e->g.tensors[n->in[1]];
    if (p->tiled) return p->whole ? lk_matrix_adam_f32(e, n, err) : lk_matrix_adam(e, n, err);
    adam((float *)(void *)p->data, (const float *)(const void *)g->data, (float *)(void *)p->moment1,
         (float *)(void *)p->moment2, p->bytes / sizeof(float), &e->adam, e->adam_rate);
    return true;
}
