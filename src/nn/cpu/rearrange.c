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
    float *deep = lk_cpu_data(e, back ? node->out[0] : node->in[0]);
    float *wide = lk_cpu_data(e, back ? node->in[0] : node->out[0]);
    int rows = s.n * s.h;
#pragma omp parallel for if (lk_nn_count(s) > LK_CPU_PARALLEL)
    for (int row = 0; row < rows; row++)
        for (int i = 0; i < r; i++)
            for (int w = 0; w < s.w; w++) {
                float *d = deep + ((size_t)row * (size_t)s.w + (size_t)w) * (size_t)s.c + (size_t)i * run;
                float *q = wide + ((size_t)row * (size_t)r + (size_t)i) * line + (size_t)w * run;
                memcpy(back ? d : q, back ? q : d, run * sizeof(float));
            }
    return true;
}

/* Copy `count` channels of every pixel, from channel `from_at` of a to channel `to_at` of b. */
static void copy_channels(const float *a, int a_channels, int from_at, float *b, int b_channels, int to_at, int count,
                          size_t pixels) {
#pragma omp parallel for if (pixels * (size_t)count > LK_CPU_PARALLEL)
    for (size_t p = 0; p < pixels; p++)
        memcpy(b + p * (size_t)b_channels + to_at, a + p * (size_t)a_channels + from_at, (size_t)count * sizeof(float));
}

static size_t pixels_of(lk_nn_shape s) { return (size_t)s.n * (size_t)s.h * (size_t)s.w; }

bool lk_cpu_concat_channels(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    lk_nn_shape s = lk_cpu_shape(e, n->out[0]);
    int at = 0;
    for (int i = 0; i < n->in_count; i++) {
        int c = lk_cpu_shape(e, n->in[i]).c;
        copy_channels(lk_cpu_data(e, n->in[i]), c, 0, lk_cpu_data(e, n->out[0]), s.c, at, c, pixels_of(s));
        at += c;
    }
    return true;
}

bool lk_cpu_slice_channels(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    lk_nn_shape s = lk_cpu_shape(e, n->in[0]), t = lk_cpu_shape(e, n->out[0]);
    copy_channels(lk_cpu_data(e, n->in[0]), s.c, n->a.i[0], lk_cpu_data(e, n->out[0]), t.c, 0, t.c, pixels_of(s));
    return true;
}

bool lk_cpu_slice_channels_back(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    lk_nn_shape s = lk_cpu_shape(e, n->in[0]), t = lk_cpu_shape(e, n->out[0]);
    memset(lk_cpu_data(e, n->out[0]), 0, lk_nn_count(t) * sizeof(float));
    copy_channels(lk_cpu_data(e, n->in[0]), s.c, 0, lk_cpu_data(e, n->out[0]), t.c, n->a.i[0], s.c, pixels_of(s));
    return true;
}

bool lk_cpu_concat_batch(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    float *y = lk_cpu_data(e, n->out[0]);
    for (int i = 0; i < n->in_count; i++) {
        size_t count = lk_nn_count(lk_cpu_shape(e, n->in[i]));
        memcpy(y, lk_cpu_data(e, n->in[i]), count * sizeof(float));
        y += count;
    }
    return true;
}

bool lk_cpu_slice_batch_back(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    lk_nn_shape s = lk_cpu_shape(e, n->in[0]), t = lk_cpu_shape(e, n->out[0]);
    size_t sample = lk_nn_count(t) / (size_t)t.n, before = (size_t)n->a.i[0] * sample, count = lk_nn_count(s);
    float *y = lk_cpu_data(e, n->out[0]);
    memset(y, 0, before * sizeof(float));
    memcpy(y + before, lk_cpu_data(e, n->in[0]), count * sizeof(float));
    memset(y + before + count, 0, (lk_nn_count(t) - before - count) * sizeof(float));
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
