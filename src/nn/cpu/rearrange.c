/* Operators that only move numbers. */
#include "cpu.h"

#include <string.h>

/* Forward and backward alike: a row of r·C numbers at (h, i, w) of the deep side is a run of the wide side. */
bool lk_cpu_depth_to_space(lk_nn_exec *e, lk_node *node, lk_error *err) {
    (void)err;
    bool back = node->op == LK_OP_DEPTH_TO_SPACE_BACK;
    lk_nn_shape s = lk_cpu_shape(e, back ? node->out[0] : node->in[0]);
    int r = node->a.i[0];
    size_t run = (size_t)(s.c / r), line = run * (size_t)s.w; /* r·C of the wide side's channels */
    const lk_tensor *from = &e->g.tensors[node->in[0]], *to = &e->g.tensors[node->out[0]];
    size_t from_bytes = lk_number_bytes(from), to_bytes = lk_number_bytes(to);
    int rows = s.n * s.h;
#pragma omp parallel for if (lk_nn_count(s) > LK_CPU_PARALLEL)
    for (int row = 0; row < rows; row++)
        for (int i = 0; i < r; i++)
            for (int w = 0; w < s.w; w++) {
                size_t deep = ((size_t)row * (size_t)s.w + (size_t)w) * (size_t)s.c + (size_t)i * run;
                size_t wide = ((size_t)row * (size_t)r + (size_t)i) * line + (size_t)w * run;
                lk_cpu_copy(from->data + (back ? wide : deep) * from_bytes, from->narrow,
                            to->data + (back ? deep : wide) * to_bytes, to->narrow, run);
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
