/* Operators that only the pretrained networks need: forward only. */
#include "cpu.h"

#include <math.h>
#include <string.h>

LK_HOT static void prelu_rows(const float *x, const float *slope, float *y, size_t rows, size_t c) {
#pragma omp parallel for if (rows * c > LK_CPU_PARALLEL)
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < c; i++) {
            float v = x[r * c + i];
            y[r * c + i] = v > 0 ? v : v * slope[i];
        }
}

bool lk_cpu_prelu(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    lk_nn_shape s = lk_cpu_shape(e, n->in[0]), t = lk_cpu_shape(e, n->in[1]);
    size_t c = t.h * t.w > 1 ? lk_nn_count(t) : (size_t)s.c; /* a slope per value is a slope per sample's row */
    prelu_rows(lk_cpu_data(e, n->in[0]), lk_cpu_data(e, n->in[1]), lk_cpu_data(e, n->out[0]), lk_nn_count(s) / c, c);
    return true;
}

bool lk_cpu_landmarks_to_matrix(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    const float *p = lk_cpu_data(e, n->in[0]), *left = p + 3 * n->a.i[0], *right = p + 3 * n->a.i[1];
    float turn = n->a.f[0] - atan2f(right[1] - left[1], right[0] - left[0]), c = cosf(turn), s = sinf(turn);
    float x0 = INFINITY, x1 = -INFINITY, y0 = INFINITY, y1 = -INFINITY;
    for (int i = 0; i < n->a.list_count; i++) {
        const float *q = p + 3 * n->a.list[i];
        float x = c * q[0] - s * q[1], y = s * q[0] + c * q[1];
        x0 = fminf(x0, x);
        x1 = fmaxf(x1, x);
        y0 = fminf(y0, y);
        y1 = fmaxf(y1, y);
    }
    float mx = (x0 + x1) / 2, my = (y0 + y1) / 2, cx = c * mx + s * my, cy = -s * mx + c * my;
    float sx = n->a.f[1] * (x1 - x0) / (float)n->a.i[2], sy = n->a.f[2] * (y1 - y0) / (float)n->a.i[3];
    float hx = (float)n->a.i[2] / 2, hy = (float)n->a.i[3] / 2;
    /* shift to the crop's centre · turn back · scale · shift the crop's own centre to the origin */
    const float m[16] = {c * sx,  s * sy, 0, cx - c * sx * hx - s * sy * hy,
                         -s * sx, c * sy, 0, cy + s * sx * hx - c * sy * hy,
                         0,       0,      1, 0,
                         0,       0,      0, 1};
    memcpy(lk_cpu_data(e, n->out[0]), m, sizeof m);
    return true;
}

bool lk_cpu_transform_bilinear(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    lk_nn_shape s = lk_cpu_shape(e, n->in[0]), t = lk_cpu_shape(e, n->out[0]);
    const float *x = lk_cpu_data(e, n->in[0]), *m = lk_cpu_data(e, n->in[1]);
    float *y = lk_cpu_data(e, n->out[0]);
    size_t c = (size_t)s.c, row = (size_t)s.w * c;
    for (int h = 0; h < t.h; h++)
        for (int w = 0; w < t.w; w++, y += c) {
            /* pixel centres at half-integers on both sides */
            float px = m[0] * ((float)w + 0.5f) + m[1] * ((float)h + 0.5f) + m[3] - 0.5f;
            float py = m[4] * ((float)w + 0.5f) + m[5] * ((float)h + 0.5f) + m[7] - 0.5f;
            memset(y, 0, c * sizeof *y);
            if (!(px >= 0 && px <= (float)(s.w - 1) && py >= 0 && py <= (float)(s.h - 1))) continue;
            int ix = (int)px, iy = (int)py;
            float u = px - (float)ix, v = py - (float)iy;
            const float *p = x + (size_t)iy * row + (size_t)ix * c;
            size_t right = ix + 1 < s.w ? c : 0, below = iy + 1 < s.h ? row : 0;
            for (size_t i = 0; i < c; i++)
                y[i] = (1 - v) * ((1 - u) * p[i] + u * p[i + right]) +
                       v * ((1 - u) * p[i + below] + u * p[i + below + right]);
        }
    return true;
}

bool lk_cpu_transform_landmarks(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    lk_nn_shape s = lk_cpu_shape(e, n->in[0]);
    const float *p = lk_cpu_data(e, n->in[0]), *m = lk_cpu_data(e, n->in[1]);
    float *q = lk_cpu_data(e, n->out[0]);
    for (int i = 0; i < s.h * s.w; i++, p += s.c, q += s.c) {
        q[0] = m[0] * p[0] + m[1] * p[1] + m[3];
        q[1] = m[4] * p[0] + m[5] * p[1] + m[7];
        if (s.c > 2) q[2] = p[2];
    }
    return true;
}
