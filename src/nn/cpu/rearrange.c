/* Operators that only move numbers. */
#include "cpu.h"

#include <string.h>

typedef struct move {
    const lk_tensor *from, *to, *result; /* result: of the activation to be undone on the way back, or NULL */
    const lk_nn_conv_options *act;
} move;

/* A run of numbers from one place to another; on the way back, the result of an activation lies as the gradient does. */
static void move_run(const move *m, size_t from_at, size_t to_at, size_t n) {
    const char *from = m->from->data + from_at * lk_number_bytes(m->from);
    char *to = m->to->data + to_at * lk_number_bytes(m->to);
    if (!m->result) {
        lk_cpu_copy(from, m->from->narrow, to, m->to->narrow, n);
        return;
    }
    const char *result = m->result->data + from_at * lk_number_bytes(m->result);
    if (m->act->act == LK_NN_LEAKY && m->from->narrow && m->to->narrow && m->result->narrow) {
        lk_cpu_leaky_slope(m->act->alpha, (const lk_bf16 *)(const void *)from, (const lk_bf16 *)(const void *)result,
                           (lk_bf16 *)(void *)to, n);
        return;
    }
    for (size_t at = 0; at < n; at += LK_CPU_CHUNK) {
        float dy[LK_CPU_CHUNK], y[LK_CPU_CHUNK];
        size_t some = n - at < LK_CPU_CHUNK ? n - at : LK_CPU_CHUNK;
        lk_cpu_copy(from + at * lk_number_bytes(m->from), m->from->narrow, (char *)dy, false, some);
        lk_cpu_copy(result + at * lk_number_bytes(m->result), m->result->narrow, (char *)y, false, some);
        lk_cpu_slope(m->act->act, m->act->alpha, dy, y, dy, some);
        lk_cpu_copy((const char *)dy, false, to + at * lk_number_bytes(m->to), m->to->narrow, some);
    }
}

/* Forward and backward alike: a row of r·C numbers at (h, i, w) of the deep side is a run of the wide side. */
bool lk_cpu_depth_to_space(lk_nn_exec *e, lk_node *node, lk_error *err) {
    (void)err;
    bool back = node->op == LK_OP_DEPTH_TO_SPACE_BACK;
    lk_nn_shape s = lk_cpu_shape(e, back ? node->out[0] : node->in[0]);
    int r = node->a.i[0];
    size_t run = (size_t)(s.c / r), line = run * (size_t)s.w; /* r·C of the wide side's channels */
    move m = {&e->g.tensors[node->in[0]], &e->g.tensors[node->out[0]],
              node->in_count > 1 ? &e->g.tensors[node->in[1]] : NULL, &node->a.conv};
    int rows = s.n * s.h;
#pragma omp parallel for if (lk_nn_count(s) > LK_CPU_PARALLEL)
    for (int row = 0; row < rows; row++)
        for (int i = 0; i < r; i++)
            for (int w = 0; w < s.w; w++) {
                size_t deep = ((size_t)row * (size_t)s.w + (size_t)w) * (size_t)s.c + (size_t)i * run;
                size_t wide = ((size_t)row * (size_t)r + (size_t)i) * line + (size_t)w * run;
                move_run(&m, back ? wide : deep, back ? deep : wide, run);
            }
    return true;
}

/* Copy `count` channels of every pixel, from channel `from_at` of a to channel `to_at` of b. */
static void copy_channels(const lk_tensor *a, int from_at, lk_tensor *b, int to_at, int count) {
    size_t pixels = (size_t)a->shape.n * (size_t)a->shape.h * (size_t)a->shape.w;
    size_t from = lk_number_bytes(a), to = lk_number_bytes(b);
#pragma omp parallel for if (pixels * (size_t)count > LK_CPU_PARALLEL)
    for (size_t p = 0; p < pixels; p++)
        lk_cpu_copy(a->data + (p * (size_t)a->shape.c + (size_t)from_at) * from, a->narrow,
                    b->data + (p * (size_t)b->shape.c + (size_t)to_at) * to, b->narrow, (size_t)count);
}

bool lk_cpu_concat_channels(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    int at = 0;
    for (int i = 0; i < n->in_count; i++) {
        int c = lk_cpu_shape(e, n->in[i]).c;
        copy_channels(&e->g.tensors[n->in[i]], 0, &e->g.tensors[n->out[0]], at, c);
        at += c;
    }
    return true;
}

bool lk_cpu_slice_channels(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    lk_tensor *y = &e->g.tensors[n->out[0]];
    copy_channels(&e->g.tensors[n->in[0]], n->a.i[0], y, 0, y->shape.c);
    return true;
}

bool lk_cpu_slice_channels_back(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    const lk_tensor *x = &e->g.tensors[n->in[0]];
    lk_tensor *y = &e->g.tensors[n->out[0]];
    memset(y->data, 0, y->bytes);
    copy_channels(x, 0, y, n->a.i[0], x->shape.c);
    return true;
}

bool lk_cpu_concat_batch(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    const lk_tensor *y = &e->g.tensors[n->out[0]];
    size_t at = 0;
    for (int i = 0; i < n->in_count; i++) {
        const lk_tensor *x = &e->g.tensors[n->in[i]];
        lk_cpu_copy(x->data, x->narrow, y->data + at * lk_number_bytes(y), y->narrow, lk_nn_count(x->shape));
        at += lk_nn_count(x->shape);
    }
    return true;
}

bool lk_cpu_slice_batch_back(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    const lk_tensor *x = &e->g.tensors[n->in[0]], *y = &e->g.tensors[n->out[0]];
    size_t sample = lk_nn_count(y->shape) / (size_t)y->shape.n, count = lk_nn_count(x->shape);
    size_t bytes = lk_number_bytes(y), before = (size_t)n->a.i[0] * sample * bytes, after = before + count * bytes;
    memset(y->data, 0, before);
    lk_cpu_copy(x->data, x->narrow, y->data + before, y->narrow, count);
    memset(y->data + after, 0, lk_nn_count(y->shape) * bytes - after);
    return true;
}

bool lk_cpu_pad(lk_nn_exec *e, lk_node *node, lk_error *err) {
    (void)err;
    lk_nn_shape s = lk_cpu_shape(e, node->in[0]), t = lk_cpu_shape(e, node->out[0]);
    const float *x = lk_cpu_data(e, node->in[0]);
    float *y = lk_cpu_data(e, node->out[0]);
    int top = node->a.i[0], left = node->a.i[1];
    for (size_t i = 0; i < lk_nn_count(t); i++) y[i] = node->a.f[0];
    for (int n = 0; n < s.n; n++)
        for (int h = 0; h < s.h; h++)
            for (int w = 0; w < s.w; w++, x += s.c)
                memcpy(y + (((size_t)n * (size_t)t.h + (size_t)(h + top)) * (size_t)t.w + (size_t)(w + left)) *
                               (size_t)t.c,
                       x, (size_t)s.c * sizeof(float));
    return true;
}
