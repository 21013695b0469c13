/* Gaussian, pooling and bilinear resizing, with their gradients. */
#include "cpu.h"

#include <float.h>
#include <math.h>
#include <string.h>

void lk_gaussian_taps(double sigma, int radius, float *taps) {
    double sum = 0;
    for (int i = -radius; i <= radius; i++) sum += exp(-0.5 * i * i / (sigma * sigma));
    for (int i = -radius; i <= radius; i++) taps[i + radius] = (float)(exp(-0.5 * i * i / (sigma * sigma)) / sum);
}

/* One direction of the separable filter: out[i] = Σ taps[k] · in[i + k − before], zero outside; `step` numbers lie from one
 * position to the next, `in_length` and `out_length` positions along the line; `run` lines side by side. */
LK_HOT static void filter_line(const float *in, int in_length, float *out, int out_length, size_t step, size_t run,
                               const float *taps, int radius, int before) {
    for (int i = 0; i < out_length; i++) {
        float *y = out + (size_t)i * step;
        memset(y, 0, run * sizeof(float));
        for (int k = 0; k <= 2 * radius; k++) {
            int j = i + k - before;
            if (j < 0 || j >= in_length) continue;
            const float *x = in + (size_t)j * step;
            float tap = taps[k];
            for (size_t c = 0; c < run; c++) y[c] += tap * x[c];
        }
    }
}

/* The scratch memory holds the taps and the picture filtered in one direction. */
bool lk_cpu_prepare_gaussian(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    lk_nn_shape s = lk_cpu_shape(e, n->in[0]), t = lk_cpu_shape(e, n->out[0]);
    size_t between = lk_nn_count(lk_shape(s.n, s.c, s.h, t.w));
    n->scratch = ((size_t)(2 * n->a.i[0] + 1) + 15) / 16 * 16 * sizeof(float) + between * sizeof(float);
    return true;
}

static void separable(lk_nn_exec *e, lk_node *node, int before) {
    lk_nn_shape s = lk_cpu_shape(e, node->in[0]), t = lk_cpu_shape(e, node->out[0]);
    int radius = node->a.i[0];
    float *taps = lk_cpu_data(e, node->scratch_tensor), *between = taps + (2 * radius + 16) / 16 * 16;
    lk_gaussian_taps((double)node->a.f[0], radius, taps);
    const float *x = lk_cpu_data(e, node->in[0]);
    float *y = lk_cpu_data(e, node->out[0]);
    size_t c = (size_t)s.c, wide = (size_t)s.w * c, narrow = (size_t)t.w * c;
    int rows = s.n * s.h;
#pragma omp parallel for if (lk_nn_count(s) > LK_CPU_PARALLEL)
    for (int r = 0; r < rows; r++)
        filter_line(x + (size_t)r * wide, s.w, between + (size_t)r * narrow, t.w, c, c, taps, radius, before);
#pragma omp parallel for if (s.n > 1)
    for (int n = 0; n < s.n; n++)
        filter_line(between + (size_t)n * (size_t)s.h * narrow, s.h, y + (size_t)n * (size_t)t.h * narrow, t.h, narrow,
                    narrow, taps, radius, before);
}

bool lk_cpu_gaussian(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    separable(e, n, n->a.i[1] ? n->a.i[0] : 0);
    return true;
}

/* The taps are symmetric: the transposed filter is the same one, from the other side. */
bool lk_cpu_gaussian_back(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    separable(e, n, n->a.i[1] ? n->a.i[0] : 2 * n->a.i[0]);
    return true;
}

typedef struct window {
    int y0, y1, x0, x1;
} window;

static window window_of(const lk_node *n, lk_nn_shape s, int h, int w) {
    const lk_nn_pool_options *o = &n->a.pool;
    int y = h * o->stride_h - n->a.i[0], x = w * o->stride_w - n->a.i[1];
    window v = {y < 0 ? 0 : y, y + o->kernel_h > s.h ? s.h : y + o->kernel_h, x < 0 ? 0 : x,
                x + o->kernel_w > s.w ? s.w : x + o->kernel_w};
    return v;
}

static const float *pixel(const float *x, lk_nn_shape s, int n, int h, int w) {
    return x + (((size_t)n * (size_t)s.h + (size_t)h) * (size_t)s.w + (size_t)w) * (size_t)s.c;
}

static void pool_pixel(const lk_node *node, const float *x, lk_nn_shape s, int n, window v, float *y) {
    bool max = node->op == LK_OP_MAX_POOL;
    for (int c = 0; c < s.c; c++) y[c] = max ? -FLT_MAX : 0;
    for (int h = v.y0; h < v.y1; h++)
        for (int w = v.x0; w < v.x1; w++) {
            const float *p = pixel(x, s, n, h, w);
            if (max)
                for (int c = 0; c < s.c; c++) y[c] = p[c] > y[c] ? p[c] : y[c];
            else
                for (int c = 0; c < s.c; c++) y[c] += p[c];
        }
    float share = 1.0f / (float)((v.y1 - v.y0) * (v.x1 - v.x0));
    if (!max)
        for (int c = 0; c < s.c; c++) y[c] *= share;
}

bool lk_cpu_pool(lk_nn_exec *e, lk_node *node, lk_error *err) {
    (void)err;
    lk_nn_shape s = lk_cpu_shape(e, node->in[0]), t = lk_cpu_shape(e, node->out[0]);
    const float *x = lk_cpu_data(e, node->in[0]);
    float *y = lk_cpu_data(e, node->out[0]);
    int rows = t.n * t.h;
#pragma omp parallel for if (lk_nn_count(s) > LK_CPU_PARALLEL)
    for (int r = 0; r < rows; r++)
        for (int w = 0; w < t.w; w++)
            pool_pixel(node, x, s, r / t.h, window_of(node, s, r % t.h, w),
                       y + ((size_t)r * (size_t)t.w + (size_t)w) * (size_t)t.c);
    return true;
}

bool lk_cpu_avg_pool_back(lk_nn_exec *e, lk_node *node, lk_error *err) {
    (void)err;
    lk_nn_shape s = lk_cpu_shape(e, node->out[0]), t = lk_cpu_shape(e, node->in[0]);
    const float *dy = lk_cpu_data(e, node->in[0]);
    float *dx = lk_cpu_data(e, node->out[0]);
    memset(dx, 0, lk_nn_count(s) * sizeof(float));
    for (int n = 0; n < t.n; n++)
        for (int h = 0; h < t.h; h++)
            for (int w = 0; w < t.w; w++) {
                window v = window_of(node, s, h, w);
                float share = 1.0f / (float)((v.y1 - v.y0) * (v.x1 - v.x0));
                const float *from = pixel(dy, t, n, h, w);
                for (int y = v.y0; y < v.y1; y++)
                    for (int x = v.x0; x < v.x1; x++) {
                        float *to = (float *)(uintptr_t)pixel(dx, s, n, y, x);
                        for (int c = 0; c < s.c; c++) to[c] += share * from[c];
                    }
            }
    return true;
}

/* Where output position i lies between two input positions, and how near the second one. TensorFlow's three ways. */
static void position(int i, int in, int out, bool align_corners, bool half_pixel, int *a, int *b, float *share) {
    float scale = align_corners && out > 1 ? (float)(in - 1) / (float)(out - 1) : (float)in / (float)out;
    float at = half_pixel ? ((float)i + 0.5f) * scale - 0.5f : (float)i * scale;
    float low = floorf(at);
    *a = low < 0 ? 0 : (int)low;
    *b = (int)low + 1 > in - 1 ? in - 1 : (int)low + 1;
    if (*a > in - 1) *a = in - 1;
    *share = at - low;
}

bool lk_cpu_resize(lk_nn_exec *e, lk_node *node, lk_error *err) {
    (void)err;
    lk_nn_shape s = lk_cpu_shape(e, node->in[0]), t = lk_cpu_shape(e, node->out[0]);
    const float *x = lk_cpu_data(e, node->in[0]);
    float *y = lk_cpu_data(e, node->out[0]);
    int rows = t.n * t.h;
#pragma omp parallel for if (lk_nn_count(t) > LK_CPU_PARALLEL)
    for (int r = 0; r < rows; r++) {
        int n = r / t.h, top, bottom, left, right;
        float v, u;
        position(r % t.h, s.h, t.h, node->a.i[0], node->a.i[1], &top, &bottom, &v);
        for (int w = 0; w < t.w; w++) {
            position(w, s.w, t.w, node->a.i[0], node->a.i[1], &left, &right, &u);
            const float *p = pixel(x, s, n, top, left), *q = pixel(x, s, n, top, right);
            const float *p2 = pixel(x, s, n, bottom, left), *q2 = pixel(x, s, n, bottom, right);
            float *to = y + ((size_t)r * (size_t)t.w + (size_t)w) * (size_t)t.c;
            for (int c = 0; c < s.c; c++) {
                float above = p[c] + u * (q[c] - p[c]), below = p2[c] + u * (q2[c] - p2[c]);
                to[c] = above + v * (below - above);
            }
        }
    }
    return true;
}

bool lk_cpu_resize_back(lk_nn_exec *e, lk_node *node, lk_error *err) {
    (void)err;
    lk_nn_shape s = lk_cpu_shape(e, node->out[0]), t = lk_cpu_shape(e, node->in[0]);
    const float *dy = lk_cpu_data(e, node->in[0]);
    float *dx = lk_cpu_data(e, node->out[0]);
    memset(dx, 0, lk_nn_count(s) * sizeof(float));
    for (int r = 0; r < t.n * t.h; r++) {
        int n = r / t.h, rows[2], columns[2];
        float v, u;
        position(r % t.h, s.h, t.h, node->a.i[0], node->a.i[1], &rows[0], &rows[1], &v);
        for (int w = 0; w < t.w; w++, dy += t.c) {
            position(w, s.w, t.w, node->a.i[0], node->a.i[1], &columns[0], &columns[1], &u);
            for (int k = 0; k < 4; k++) {
                float share = (k & 1 ? u : 1 - u) * (k & 2 ? v : 1 - v);
                float *to = (float *)(uintptr_t)pixel(dx, s, n, rows[k >> 1], columns[k & 1]);
                for (int c = 0; c < s.c; c++) to[c] += share * dy[c];
            }
        }
    }
    return true;
}
