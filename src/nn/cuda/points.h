/* What the GPU's own kernels compute, one point at a time: each kernel is "for every i below a count, do this point".
 * The same text compiles for the device (kernels.cu) and for the processor (tests/nn/emulator.c), where it is compared
 * with the operators of nn/cpu and with PyTorch; no point reads what another point of the same kernel writes, so the
 * order in which they run does not matter.
 *
 * Tensors are channels-last, float32 or of 16 bits (numbers.h); sums are float32. Counts and indices fit 32 bits: no
 * tensor has more than 2^31 numbers. */
#ifndef LIKENESS_NN_CUDA_POINTS_H
#define LIKENESS_NN_CUDA_POINTS_H

#include <float.h>
#include <math.h>
#include <stdint.h>

#include "likeness/nn.h"
#include "points_scale.h"

/* ---- Memory ---------------------------------------------------------------------------------------------- */

LK_POINT size_t lk_numbers_of(lk_nn_shape s) { return (size_t)s.n * (size_t)s.c * (size_t)s.h * (size_t)s.w; }

/* A pixel's place: i counts through [n, h, w, c]. */
typedef struct lk_place {
    uint32_t n, h, w, c;
} lk_place;

LK_POINT lk_place lk_place_of(lk_nn_shape s, uint32_t i) {
    lk_place p;
    p.c = i % (uint32_t)s.c;
    i /= (uint32_t)s.c;
    p.w = i % (uint32_t)s.w;
    i /= (uint32_t)s.w;
    p.h = i % (uint32_t)s.h;
    p.n = i / (uint32_t)s.h;
    return p;
}

LK_POINT size_t lk_at(lk_nn_shape s, uint32_t n, uint32_t h, uint32_t w, uint32_t c) {
    return ((((size_t)n * (uint32_t)s.h + h) * (uint32_t)s.w + w) * (uint32_t)s.c) + c;
}

/* ---- Elementwise ----------------------------------------------------------------------------------------- */

LK_POINT float lk_activate(int act, float alpha, float x) {
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
    default:
        return x;
    }
}

/* The slope, told from the activation's output. */
LK_POINT float lk_slope(int act, float alpha, float y) {
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

/* y = act(x + bias[c]); bias may be NULL. */
typedef struct lk_activation_args {
    lk_gpu_ref x, y;
    const float *bias;
    uint32_t channels;
    int act;
    float alpha;
} lk_activation_args;
LK_POINT void lk_activation_point(const lk_activation_args *a, uint32_t i) {
    float x = lk_get(a->x, i);
    if (a->bias) x += a->bias[i % a->channels];
    lk_put(a->y, i, lk_activate(a->act, a->alpha, x));
}

typedef struct lk_prelu_args {
    lk_gpu_ref x, y;
    const float *slope;
    uint32_t slopes; /* how many; they repeat */
} lk_prelu_args;
LK_POINT void lk_prelu_point(const lk_prelu_args *a, uint32_t i) {
    float x = lk_get(a->x, i);
    lk_put(a->y, i, x > 0 ? x : x * a->slope[i % a->slopes]);
}

enum { LK_GPU_ADD, LK_GPU_SUB, LK_GPU_MUL };
/* y = a ∘ b, b spread over a's shape where it has extent 1. */
typedef struct lk_binary_args {
    lk_gpu_ref a, b, y;
    lk_nn_shape s, t;
    int same, op;
} lk_binary_args;
LK_POINT void lk_binary_point(const lk_binary_args *a, uint32_t i) {
    size_t j = i;
    if (!a->same) {
        lk_place p = lk_place_of(a->s, i);
        j = lk_at(a->t, a->t.n > 1 ? p.n : 0, a->t.h > 1 ? p.h : 0, a->t.w > 1 ? p.w : 0, a->t.c > 1 ? p.c : 0);
    }
    float x = lk_get(a->a, i), y = lk_get(a->b, j);
    lk_put(a->y, i, a->op == LK_GPU_ADD ? x + y : a->op == LK_GPU_SUB ? x - y : x * y);
}

enum { LK_GPU_AFFINE, LK_GPU_SQUARE, LK_GPU_SQRT, LK_GPU_ABS };
typedef struct lk_unary_args {
    lk_gpu_ref x, y;
    int op;
    float scale, shift;
} lk_unary_args;
LK_POINT void lk_unary_point(const lk_unary_args *a, uint32_t i) {
    float x = lk_get(a->x, i), y;
    switch (a->op) {
    case LK_GPU_AFFINE:
        y = a->scale * x + a->shift;
        break;
    case LK_GPU_SQUARE:
        y = x * x;
        break;
    case LK_GPU_SQRT:
        y = sqrtf(x);
        break;
    default:
        y = fabsf(x);
    }
    lk_put(a->y, i, y);
}

typedef struct lk_unary_back_args {
    lk_gpu_ref dy, x, dx; /* x: of the square root, its output */
    int op;
} lk_unary_back_args;
LK_POINT void lk_unary_back_point(const lk_unary_back_args *a, uint32_t i) {
    float dy = lk_get(a->dy, i), x = lk_get(a->x, i), dx;
    switch (a->op) {
    case LK_GPU_SQUARE:
        dx = 2 * dy * x;
        break;
    case LK_GPU_SQRT:
        dx = dy / (2 * x);
        break;
    default:
        dx = x > 0 ? dy : x < 0 ? -dy : 0;
    }
    lk_put(a->dx, i, dx);
}

/* Sum over the dimensions in which t has extent 1: one point for each number of t. */
typedef struct lk_reduce_to_args {
    lk_gpu_ref x, y;
    lk_nn_shape s, t;
} lk_reduce_to_args;
LK_POINT void lk_reduce_to_point(const lk_reduce_to_args *a, uint32_t i) {
    lk_place p = lk_place_of(a->t, i);
    uint32_t n0 = a->t.n > 1 ? p.n : 0, n1 = a->t.n > 1 ? p.n + 1 : (uint32_t)a->s.n;
    uint32_t h0 = a->t.h > 1 ? p.h : 0, h1 = a->t.h > 1 ? p.h + 1 : (uint32_t)a->s.h;
    uint32_t w0 = a->t.w > 1 ? p.w : 0, w1 = a->t.w > 1 ? p.w + 1 : (uint32_t)a->s.w;
    uint32_t c0 = a->t.c > 1 ? p.c : 0, c1 = a->t.c > 1 ? p.c + 1 : (uint32_t)a->s.c;
    float sum = 0;
    for (uint32_t n = n0; n < n1; n++)
        for (uint32_t h = h0; h < h1; h++)
            for (uint32_t w = w0; w < w1; w++)
                for (uint32_t c = c0; c < c1; c++) sum += lk_get(a->x, lk_at(a->s, n, h, w, c));
    lk_put(a->y, i, sum);
}

/* The step's own numbers, in device memory, so that a captured step can be run again with others. */
typedef struct lk_gpu_step {
    float rate, beta1, beta2, epsilon;
    uint32_t number; /* of the step, from 1: what is drawn depends on it */
} lk_gpu_step;

/* ---- Moving numbers -------------------------------------------------------------------------------------- */

/* Between depth and space: deep [N, r²·C, H, W], here rows of pixels and columns of channels, and wide [N, C, r·H, r·W]; with
 * r = 1 they are the same. A point does LK_GPU_RUN rows of a column, so that it divides once for all of them. */
#define LK_GPU_RUN 16
typedef struct lk_depth {
    uint32_t rows, columns, width, r; /* width: W */
} lk_depth;

LK_POINT uint32_t lk_runs_of(uint32_t rows) { return (rows + LK_GPU_RUN - 1) / LK_GPU_RUN; }

/* Where the numbers of a point lie on both sides. Where rows end before it does, the last of them stands for the rest. */
typedef struct lk_run {
    uint32_t column, count, deep[LK_GPU_RUN], wide[LK_GPU_RUN];
} lk_run;
LK_POINT lk_run lk_run_of(const lk_depth *d, uint32_t i) {
    lk_run p;
    uint32_t row = i / d->columns * LK_GPU_RUN, across = d->columns / d->r, w = row % d->width;
    p.column = i % d->columns;
    p.count = d->rows - row < LK_GPU_RUN ? d->rows - row : LK_GPU_RUN;
    uint32_t line = row / d->width * d->r + p.column / across;
    uint32_t deep = row * d->columns + p.column, wide = (line * d->width + w) * across + p.column % across;
    for (uint32_t k = 0; k < LK_GPU_RUN; k++) {
        p.deep[k] = deep;
        p.wide[k] = wide;
        if (k + 1 >= p.count) continue;
        deep += d->columns;
        wide += across;
        if (++w < d->width) continue;
        w = 0;
        wide += (d->r - 1) * d->width * across;
    }
    return p;
}

/* All are read before one is looked at, so that they are under way together. */
LK_POINT void lk_get_run(lk_gpu_ref r, const uint32_t *at, float *x) {
    if (r.kind == LK_GPU_FLOAT32) {
        for (uint32_t k = 0; k < LK_GPU_RUN; k++) x[k] = ((const float *)r.data)[at[k]];
        return;
    }
    uint16_t bits[LK_GPU_RUN];
    for (uint32_t k = 0; k < LK_GPU_RUN; k++) bits[k] = ((const uint16_t *)r.data)[at[k]];
    for (uint32_t k = 0; k < LK_GPU_RUN; k++)
        x[k] = r.kind == LK_GPU_FLOAT16 ? lk_from_f16(bits[k]) : lk_from_bf16(bits[k]);
}

/* wide = act(deep + bias); bias may be NULL. */
typedef struct lk_depth_to_space_args {
    lk_gpu_ref deep, wide;
    lk_depth depth;
    const float *bias;
    int act;
    float alpha;
} lk_depth_to_space_args;
LK_POINT void lk_depth_to_space_point(const lk_depth_to_space_args *a, uint32_t i) {
    lk_run p = lk_run_of(&a->depth, i);
    float bias = a->bias ? a->bias[p.column] : 0, x[LK_GPU_RUN];
    lk_get_run(a->deep, p.deep, x);
    for (uint32_t k = 0; k < LK_GPU_RUN; k++)
        if (k < p.count) lk_put(a->wide, p.wide[k], lk_activate(a->act, a->alpha, x[k] + bias));
}

/* Back: deep dx from wide dy and the activation's output, which lies as dy does; y.data may be NULL. With r = 1 dx may be dy.
 * sums[i]: of a point's numbers; may be NULL. */
typedef struct lk_activation_back_args {
    lk_gpu_ref dy, y, dx;
    lk_depth depth;
    float *sums;
    int act;
    float alpha;
} lk_activation_back_args;
LK_POINT void lk_activation_back_point(const lk_activation_back_args *a, uint32_t i) {
    lk_run p = lk_run_of(&a->depth, i);
    float dx[LK_GPU_RUN], y[LK_GPU_RUN], sum = 0;
    lk_get_run(a->dy, p.wide, dx);
    if (a->y.data) {
        lk_get_run(a->y, p.wide, y);
        for (uint32_t k = 0; k < LK_GPU_RUN; k++) dx[k] *= lk_slope(a->act, a->alpha, y[k]);
    }
    for (uint32_t k = 0; k < LK_GPU_RUN; k++) {
        if (k >= p.count) continue;
        lk_put(a->dx, p.deep[k], dx[k]);
        sum += dx[k];
    }
    if (a->sums) a->sums[i] = sum;
}

/* Channels first … first+count of every pixel of x become channels at … of y: one point for each of them. */
typedef struct lk_channels_args {
    lk_gpu_ref x, y;
    uint32_t x_channels, y_channels, first, at, count;
} lk_channels_args;
LK_POINT void lk_channels_point(const lk_channels_args *a, uint32_t i) {
    size_t pixel = i / a->count, c = i % a->count;
    lk_put(a->y, pixel * a->y_channels + a->at + c, lk_get(a->x, pixel * a->x_channels + a->first + c));
}

/* y: all zero but for channels at … at+count, which are x. One point for each number of y. */
typedef struct lk_channels_back_args {
    lk_gpu_ref x, y;
    uint32_t y_channels, at, count;
} lk_channels_back_args;
LK_POINT void lk_channels_back_point(const lk_channels_back_args *a, uint32_t i) {
    uint32_t pixel = i / a->y_channels, c = i % a->y_channels - a->at;
    lk_put(a->y, i, c < a->count ? lk_get(a->x, (size_t)pixel * a->count + c) : 0);
}

/* y[at + i] = x[i]; `around`: y[i] = x[i − at] inside, 0 elsewhere. */
typedef struct lk_copy_args {
    lk_gpu_ref x, y;
    uint32_t at, count;
    int around;
} lk_copy_args;
LK_POINT void lk_copy_point(const lk_copy_args *a, uint32_t i) {
    if (!a->around)
        lk_put(a->y, (size_t)a->at + i, lk_get(a->x, i));
    else
        lk_put(a->y, i, i - a->at < a->count ? lk_get(a->x, i - a->at) : 0);
}

typedef struct lk_pad_args {
    lk_gpu_ref x, y;
    lk_nn_shape s, t;
    uint32_t top, left;
    float value;
} lk_pad_args;
LK_POINT void lk_pad_point(const lk_pad_args *a, uint32_t i) {
    lk_place p = lk_place_of(a->t, i);
    uint32_t h = p.h - a->top, w = p.w - a->left;
    int inside = h < (uint32_t)a->s.h && w < (uint32_t)a->s.w && p.c < (uint32_t)a->s.c;
    lk_put(a->y, i, inside ? lk_get(a->x, lk_at(a->s, p.n, h, w, p.c)) : a->value);
}

/* ---- Sums ------------------------------------------------------------------------------------------------ */

/* LK_GPU_PARTS partial sums of each group of `length` numbers side by side: point g·PARTS + j sums j, j + PARTS, … */
#define LK_GPU_PARTS 256
typedef struct lk_sum_parts_args {
    lk_gpu_ref x;
    float *parts;
    uint32_t length;
} lk_sum_parts_args;
LK_POINT void lk_sum_parts_point(const lk_sum_parts_args *a, uint32_t i) {
    size_t first = (size_t)(i / LK_GPU_PARTS) * a->length;
    float sum = 0;
    for (uint32_t k = i % LK_GPU_PARTS; k < a->length; k += LK_GPU_PARTS) sum += lk_get(a->x, first + k);
    a->parts[i] = sum;
}

/* y[g] = (Σ parts)·scale·weight + shift; weight may be NULL. */
typedef struct lk_sum_args {
    const float *parts, *weight;
    float *y;
    float scale, shift;
} lk_sum_args;
LK_POINT void lk_sum_point(const lk_sum_args *a, uint32_t i) {
    float sum = 0;
    for (uint32_t k = 0; k < LK_GPU_PARTS; k++) sum += a->parts[(size_t)i * LK_GPU_PARTS + k];
    a->y[i] = sum * a->scale * (a->weight ? *a->weight : 1) + a->shift;
}

/* Single numbers, put side by side. */
#define LK_GPU_GATHERED 16
typedef struct lk_gather_args {
    const float *x[LK_GPU_GATHERED];
    float *y;
} lk_gather_args;
LK_POINT void lk_gather_point(const lk_gather_args *a, uint32_t i) { a->y[i] = *a->x[i]; }

/* Sums down the columns of [rows, columns], in chunks of LK_GPU_ROWS rows: point chunk·columns + c. */
#define LK_GPU_ROWS 128
typedef struct lk_column_parts_args {
    lk_gpu_ref x;
    float *parts;
    uint32_t rows, columns;
} lk_column_parts_args;
LK_POINT void lk_column_parts_point(const lk_column_parts_args *a, uint32_t i) {
    uint32_t c = i % a->columns, row = i / a->columns * LK_GPU_ROWS;
    uint32_t end = row + LK_GPU_ROWS < a->rows ? row + LK_GPU_ROWS : a->rows;
    float sum = 0;
    for (; row < end; row++) sum += lk_get(a->x, (size_t)row * a->columns + c);
    a->parts[i] = sum;
}

typedef struct lk_column_args {
    const float *parts;
    float *y;
    uint32_t chunks, columns;
} lk_column_args;
LK_POINT void lk_column_point(const lk_column_args *a, uint32_t i) {
    float sum = 0;
    for (uint32_t k = 0; k < a->chunks; k++) sum += a->parts[(size_t)k * a->columns + i];
    a->y[i] = sum;
}

/* x[i] = scale · value[i / each] · times; that may be NULL. */
typedef struct lk_spread_args {
    lk_gpu_ref x;
    const float *value, *times;
    uint32_t each;
    float scale;
} lk_spread_args;
LK_POINT void lk_spread_point(const lk_spread_args *a, uint32_t i) {
    float v = a->scale * a->value[i / a->each];
    lk_put(a->x, i, a->times ? v * *a->times : v);
}

/* ---- Filters --------------------------------------------------------------------------------------------- */

/* One direction of a separable filter: y[o, p, i] = Σ_k taps[k] · x[o, p + k − before, i], zero outside. */
typedef struct lk_filter_args {
    lk_gpu_ref x, y;
    const float *taps;
    uint32_t in_length, out_length, run;
    int radius, before;
} lk_filter_args;
LK_POINT void lk_filter_point(const lk_filter_args *a, uint32_t i) {
    uint32_t inner = i % a->run, line = i / a->run;
    int at = (int)(line % a->out_length) - a->before;
    size_t start = (size_t)(line / a->out_length) * a->in_length;
    float sum = 0;
    for (int k = 0; k <= 2 * a->radius; k++)
        if ((uint32_t)(at + k) < a->in_length)
            sum += a->taps[k] * lk_get(a->x, (start + (uint32_t)(at + k)) * a->run + inner);
    lk_put(a->y, i, sum);
}

typedef struct lk_pool_args {
    lk_gpu_ref x, y; /* back: x is the gradient of the output, y that of the input */
    lk_nn_shape s, t;
    lk_nn_pool_options o;
    int top, left, max;
} lk_pool_args;
LK_POINT void lk_window(const lk_pool_args *a, uint32_t h, uint32_t w, int *y0, int *y1, int *x0, int *x1) {
    int y = (int)h * a->o.stride_h - a->top, x = (int)w * a->o.stride_w - a->left;
    *y0 = y < 0 ? 0 : y;
    *x0 = x < 0 ? 0 : x;
    *y1 = y + a->o.kernel_h > a->s.h ? a->s.h : y + a->o.kernel_h;
    *x1 = x + a->o.kernel_w > a->s.w ? a->s.w : x + a->o.kernel_w;
}
LK_POINT void lk_pool_point(const lk_pool_args *a, uint32_t i) {
    lk_place p = lk_place_of(a->t, i);
    int y0, y1, x0, x1;
    lk_window(a, p.h, p.w, &y0, &y1, &x0, &x1);
    float v = a->max ? -FLT_MAX : 0;
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++) {
            float q = lk_get(a->x, lk_at(a->s, p.n, (uint32_t)y, (uint32_t)x, p.c));
            v = a->max ? (q > v ? q : v) : v + q;
        }
    lk_put(a->y, i, a->max ? v : v / (float)((y1 - y0) * (x1 - x0)));
}
/* One point for each number of the input: the windows that hold it. */
LK_POINT void lk_avg_pool_back_point(const lk_pool_args *a, uint32_t i) {
    lk_place p = lk_place_of(a->s, i);
    int y = (int)p.h + a->top, x = (int)p.w + a->left;
    int h1 = y / a->o.stride_h, w1 = x / a->o.stride_w;
    float sum = 0;
    for (int h = h1 < a->t.h ? h1 : a->t.h - 1; h >= 0 && y - h * a->o.stride_h < a->o.kernel_h; h--)
        for (int w = w1 < a->t.w ? w1 : a->t.w - 1; w >= 0 && x - w * a->o.stride_w < a->o.kernel_w; w--) {
            int y0, y1, x0, x1;
            lk_window(a, (uint32_t)h, (uint32_t)w, &y0, &y1, &x0, &x1);
            sum += lk_get(a->x, lk_at(a->t, p.n, (uint32_t)h, (uint32_t)w, p.c)) / (float)((y1 - y0) * (x1 - x0));
        }
    lk_put(a->y, i, sum);
}

typedef struct lk_resize_args {
    lk_gpu_ref x, y; /* back: x is the gradient of the output, y that of the input */
    lk_nn_shape s, t;
    int align_corners, half_pixel;
} lk_resize_args;
LK_POINT void lk_resize_place(const lk_resize_args *a, uint32_t i, int in, int out, int *p, int *q, float *share) {
    float scale = a->align_corners && out > 1 ? (float)(in - 1) / (float)(out - 1) : (float)in / (float)out;
    float at = a->half_pixel ? ((float)i + 0.5f) * scale - 0.5f : (float)i * scale, low = floorf(at);
    *p = low < 0 ? 0 : low > (float)(in - 1) ? in - 1 : (int)low;
    *q = (int)low + 1 > in - 1 ? in - 1 : (int)low + 1;
    *share = at - low;
}
LK_POINT void lk_resize_point(const lk_resize_args *a, uint32_t i) {
    lk_place p = lk_place_of(a->t, i);
    int y0, y1, x0, x1;
    float v, u;
    lk_resize_place(a, p.h, a->s.h, a->t.h, &y0, &y1, &v);
    lk_resize_place(a, p.w, a->s.w, a->t.w, &x0, &x1, &u);
    float p00 = lk_get(a->x, lk_at(a->s, p.n, (uint32_t)y0, (uint32_t)x0, p.c));
    float p01 = lk_get(a->x, lk_at(a->s, p.n, (uint32_t)y0, (uint32_t)x1, p.c));
    float p10 = lk_get(a->x, lk_at(a->s, p.n, (uint32_t)y1, (uint32_t)x0, p.c));
    float p11 = lk_get(a->x, lk_at(a->s, p.n, (uint32_t)y1, (uint32_t)x1, p.c));
    float above = p00 + u * (p01 - p00), below = p10 + u * (p11 - p10);
    lk_put(a->y, i, above + v * (below - above));
}
/* How much of output position o comes from input position `at`. */
LK_POINT float lk_resize_share(const lk_resize_args *a, uint32_t o, int in, int out, int at) {
    int p, q;
    float share;
    lk_resize_place(a, o, in, out, &p, &q, &share);
    return (p == at ? 1 - share : 0) + (q == at ? share : 0);
}
LK_POINT void lk_resize_back_point(const lk_resize_args *a, uint32_t i) {
    lk_place p = lk_place_of(a->s, i);
    float sum = 0;
    for (uint32_t h = 0; h < (uint32_t)a->t.h; h++) {
        float v = lk_resize_share(a, h, a->s.h, a->t.h, (int)p.h);
        for (uint32_t w = 0; v != 0 && w < (uint32_t)a->t.w; w++) {
            float u = lk_resize_share(a, w, a->s.w, a->t.w, (int)p.w);
            if (u != 0) sum += u * v * lk_get(a->x, lk_at(a->t, p.n, h, w, p.c));
        }
    }
    lk_put(a->y, i, sum);
}

/* ---- DSSIM (Wang et al. 2004), in four passes -------------------------------------------------------------- */

#define LK_GPU_WINDOW 11
typedef struct lk_dssim_args {
    lk_gpu_ref x, target, mask; /* mask.data may be NULL */
    lk_gpu_ref dx;
    const float *dy; /* of each sample */
    float *rows;     /* 5 planes [N, C, H, W−10]: x, t, x², t², x·t (masked), blurred along the rows */
    float *terms;    /* forward: 1 plane [N, C, H−10, W−10]; backward: 3 */
    float *spread;   /* backward: 3 planes [N, C, H, W−10] */
    lk_nn_shape s;
    float c1, c2, weight;
    float taps[LK_GPU_WINDOW];
} lk_dssim_args;

/* One point for each number of [N, C, H, W−10]. */
LK_POINT void lk_dssim_rows_point(const lk_dssim_args *a, uint32_t i) {
    lk_nn_shape t = {a->s.n, a->s.c, a->s.h, a->s.w - LK_GPU_WINDOW + 1};
    lk_place p = lk_place_of(t, i);
    size_t plane = lk_numbers_of(t);
    float sum[5] = {0, 0, 0, 0, 0};
    for (uint32_t k = 0; k < LK_GPU_WINDOW; k++) {
        size_t at = lk_at(a->s, p.n, p.h, p.w + k, p.c);
        float m = a->mask.data ? lk_get(a->mask, at / (uint32_t)a->s.c) : 1, tap = a->taps[k];
        float x = lk_get(a->x, at) * m, y = lk_get(a->target, at) * m;
        sum[0] += tap * x;
        sum[1] += tap * y;
        sum[2] += tap * x * x;
        sum[3] += tap * y * y;
        sum[4] += tap * x * y;
    }
    for (uint32_t k = 0; k < 5; k++) a->rows[k * plane + i] = sum[k];
}

typedef struct lk_ssim {
    float mx, my, a1, a2, b1, b2;
} lk_ssim;
LK_POINT lk_ssim lk_ssim_of(const lk_dssim_args *a, uint32_t i, lk_nn_shape t) {
    lk_place p = lk_place_of(t, i);
    lk_nn_shape r = {t.n, t.c, a->s.h, t.w};
    size_t plane = lk_numbers_of(r);
    float sum[5] = {0, 0, 0, 0, 0};
    for (uint32_t k = 0; k < LK_GPU_WINDOW; k++) {
        size_t at = lk_at(r, p.n, p.h + k, p.w, p.c);
        for (uint32_t q = 0; q < 5; q++) sum[q] += a->taps[k] * a->rows[q * plane + at];
    }
    float mx = sum[0], my = sum[1];
    lk_ssim v = {mx,
                 my,
                 2 * mx * my + a->c1,
                 2 * (sum[4] - mx * my) + a->c2,
                 mx * mx + my * my + a->c1,
                 sum[2] - mx * mx + sum[3] - my * my + a->c2};
    return v;
}
LK_POINT lk_nn_shape lk_dssim_valid(const lk_dssim_args *a) {
    lk_nn_shape t = {a->s.n, a->s.c, a->s.h - LK_GPU_WINDOW + 1, a->s.w - LK_GPU_WINDOW + 1};
    return t;
}

/* One point for each number of [N, C, H−10, W−10]. */
LK_POINT void lk_dssim_point(const lk_dssim_args *a, uint32_t i) {
    lk_ssim v = lk_ssim_of(a, i, lk_dssim_valid(a));
    a->terms[i] = v.a1 * v.a2 / (v.b1 * v.b2);
}

/* The derivatives by the blurred x, the blurred x·t and the blurred x², where those are independent. */
LK_POINT void lk_dssim_terms_point(const lk_dssim_args *a, uint32_t i) {
    lk_nn_shape t = lk_dssim_valid(a);
    size_t plane = lk_numbers_of(t);
    lk_ssim v = lk_ssim_of(a, i, t);
    float bb = v.b1 * v.b2, s = v.a1 * v.a2 / bb;
    a->terms[i] = 2 * v.my * (v.a2 - v.a1) / bb - 2 * v.mx * s * (1 / v.b1 - 1 / v.b2);
    a->terms[plane + i] = 2 * v.a1 / bb;
    a->terms[2 * plane + i] = -s / v.b2;
}

/* The blur's transpose along the columns: one point for each number of [N, C, H, W−10]. */
LK_POINT void lk_dssim_spread_point(const lk_dssim_args *a, uint32_t i) {
    lk_nn_shape t = lk_dssim_valid(a), r = {t.n, t.c, a->s.h, t.w};
    lk_place p = lk_place_of(r, i);
    size_t from = lk_numbers_of(t), to = lk_numbers_of(r);
    float sum[3] = {0, 0, 0};
    for (uint32_t k = 0; k < LK_GPU_WINDOW; k++) {
        uint32_t h = p.h - k;
        if (h >= (uint32_t)t.h) continue;
        size_t at = lk_at(t, p.n, h, p.w, p.c);
        for (uint32_t q = 0; q < 3; q++) sum[q] += a->taps[k] * a->terms[q * from + at];
    }
    for (uint32_t q = 0; q < 3; q++) a->spread[q * to + i] = sum[q];
}

/* … and along the rows, then by the chain rule to x: one point for each number of [N, C, H, W]. */
LK_POINT void lk_dssim_back_point(const lk_dssim_args *a, uint32_t i) {
    lk_nn_shape t = lk_dssim_valid(a), r = {t.n, t.c, a->s.h, t.w};
    lk_place p = lk_place_of(a->s, i);
    size_t plane = lk_numbers_of(r);
    float sum[3] = {0, 0, 0};
    for (uint32_t k = 0; k < LK_GPU_WINDOW; k++) {
        uint32_t w = p.w - k;
        if (w >= (uint32_t)t.w) continue;
        size_t at = lk_at(r, p.n, p.h, w, p.c);
        for (uint32_t q = 0; q < 3; q++) sum[q] += a->taps[k] * a->spread[q * plane + at];
    }
    float m = a->mask.data ? lk_get(a->mask, i / (uint32_t)a->s.c) : 1;
    float x = lk_get(a->x, i) * m, y = lk_get(a->target, i) * m;
    lk_put(a->dx, i, a->weight * a->dy[p.n] * m * (sum[0] + y * sum[1] + 2 * x * sum[2]));
}

#include "points_adam.h"
#include "points_layers.h"
#include "points_samples.h"

#endif
