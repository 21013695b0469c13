/* Points of convolutions, and of the pretrained networks' own operators; and the list of all kernels.
 * Convolutions here are the plain sum of their definition: what cuDNN and cuBLASLt do not take runs by them, and their
 * results are judged by them. */
#ifndef LIKENESS_NN_CUDA_POINTS_LAYERS_H
#define LIKENESS_NN_CUDA_POINTS_LAYERS_H

/* x [N, C, H, W], w [O, KH, KW, C/groups] in memory, y [N, O, H', W']. A dense layer is one with H = W = KH = KW = 1; a
 * transposed one is the backward pass by data of the convolution that leads the other way. */
typedef struct lk_conv_args {
    lk_gpu_ref x, w, y;
    const float *bias;      /* forward, or NULL */
    lk_nn_shape xs, ws, ys; /* ws: [O, C/groups, KH, KW] */
    int stride, dilation, groups, top, left, act;
    float alpha;
} lk_conv_args;

/* One point for each number of y. */
LK_POINT void lk_conv_point(const lk_conv_args *a, uint32_t i) {
    lk_place p = lk_place_of(a->ys, i);
    uint32_t per = (uint32_t)a->ws.c, first = p.c / (uint32_t)(a->ws.n / a->groups) * per;
    float sum = a->bias ? a->bias[p.c] : 0;
    for (int kh = 0; kh < a->ws.h; kh++) {
        int h = (int)p.h * a->stride - a->top + kh * a->dilation;
        if (h < 0 || h >= a->xs.h) continue;
        for (int kw = 0; kw < a->ws.w; kw++) {
            int w = (int)p.w * a->stride - a->left + kw * a->dilation;
            if (w < 0 || w >= a->xs.w) continue;
            size_t from = lk_at(a->xs, p.n, (uint32_t)h, (uint32_t)w, first);
            size_t weight = lk_at(a->ws, p.c, (uint32_t)kh, (uint32_t)kw, 0);
            for (uint32_t c = 0; c < per; c++) sum += lk_get(a->x, from + c) * lk_get(a->w, weight + c);
        }
    }
    lk_put(a->y, i, lk_activate(a->act, a->alpha, sum));
}

/* x from y: one point for each number of x; bias and activation for transposed convolutions. */
LK_POINT void lk_conv_back_data_point(const lk_conv_args *a, uint32_t i) {
    lk_place p = lk_place_of(a->xs, i);
    uint32_t per = (uint32_t)a->ws.c, outputs = (uint32_t)(a->ws.n / a->groups), group = p.c / per, c = p.c % per;
    float sum = a->bias ? a->bias[p.c] : 0;
    for (int kh = 0; kh < a->ws.h; kh++) {
        int h = (int)p.h + a->top - kh * a->dilation;
        if (h < 0 || h % a->stride || h / a->stride >= a->ys.h) continue;
        for (int kw = 0; kw < a->ws.w; kw++) {
            int w = (int)p.w + a->left - kw * a->dilation;
            if (w < 0 || w % a->stride || w / a->stride >= a->ys.w) continue;
            size_t from = lk_at(a->ys, p.n, (uint32_t)(h / a->stride), (uint32_t)(w / a->stride), group * outputs);
            for (uint32_t o = 0; o < outputs; o++)
                sum += lk_get(a->y, from + o) *
                       lk_get(a->w, lk_at(a->ws, group * outputs + o, (uint32_t)kh, (uint32_t)kw, c));
        }
    }
    lk_put(a->x, i, lk_activate(a->act, a->alpha, sum));
}

/* w from x and y: one point for each number of w. */
LK_POINT void lk_conv_back_weights_point(const lk_conv_args *a, uint32_t i) {
    lk_place p = lk_place_of(a->ws, i); /* n: output, h and w: place in the window, c: input within the group */
    uint32_t first = p.n / (uint32_t)(a->ws.n / a->groups) * (uint32_t)a->ws.c;
    float sum = 0;
    for (int n = 0; n < a->ys.n; n++)
        for (int y = 0; y < a->ys.h; y++) {
            int h = y * a->stride - a->top + (int)p.h * a->dilation;
            if (h < 0 || h >= a->xs.h) continue;
            for (int x = 0; x < a->ys.w; x++) {
                int w = x * a->stride - a->left + (int)p.w * a->dilation;
                if (w < 0 || w >= a->xs.w) continue;
                sum += lk_get(a->x, lk_at(a->xs, (uint32_t)n, (uint32_t)h, (uint32_t)w, first + p.c)) *
                       lk_get(a->y, lk_at(a->ys, (uint32_t)n, (uint32_t)y, (uint32_t)x, p.n));
            }
        }
    lk_put(a->w, i, sum);
}

/* ---- The attention mesh (src/nn/tflite.c) ------------------------------------------------------------------ */

typedef struct lk_landmarks_args {
    lk_gpu_ref p, matrix, y;
    const int *list;
    int count, left, right, width, height;
    float target, scale_x, scale_y;
    lk_nn_shape s, t;
} lk_landmarks_args;

/* One point: the whole matrix. */
LK_POINT void lk_landmarks_matrix_point(const lk_landmarks_args *a, uint32_t i) {
    size_t l = 3 * (size_t)a->left, r = 3 * (size_t)a->right;
    float turn = a->target - atan2f(lk_get(a->p, r + 1) - lk_get(a->p, l + 1), lk_get(a->p, r) - lk_get(a->p, l));
    float c = cosf(turn), s = sinf(turn), x0 = FLT_MAX, x1 = -FLT_MAX, y0 = FLT_MAX, y1 = -FLT_MAX;
    for (int k = 0; k < a->count; k++) {
        float px = lk_get(a->p, 3 * (size_t)a->list[k]), py = lk_get(a->p, 3 * (size_t)a->list[k] + 1);
        float x = c * px - s * py, y = s * px + c * py;
        x0 = fminf(x0, x);
        x1 = fmaxf(x1, x);
        y0 = fminf(y0, y);
        y1 = fmaxf(y1, y);
    }
    float mx = (x0 + x1) / 2, my = (y0 + y1) / 2, cx = c * mx + s * my, cy = -s * mx + c * my;
    float sx = a->scale_x * (x1 - x0) / (float)a->width, sy = a->scale_y * (y1 - y0) / (float)a->height;
    float hx = (float)a->width / 2, hy = (float)a->height / 2;
    const float m[16] = {c * sx,  s * sy, 0, cx - c * sx * hx - s * sy * hy,
                         -s * sx, c * sy, 0, cy + s * sx * hx - c * sy * hy,
                         0,       0,      1, 0,
                         0,       0,      0, 1};
    for (size_t k = 0; k < 16; k++) lk_put(a->matrix, i * 16 + k, m[k]);
}

/* One point for each number of t. */
LK_POINT void lk_landmarks_crop_point(const lk_landmarks_args *a, uint32_t i) {
    lk_place q = lk_place_of(a->t, i);
    float w = (float)q.w + 0.5f, h = (float)q.h + 0.5f;
    float px = lk_get(a->matrix, 0) * w + lk_get(a->matrix, 1) * h + lk_get(a->matrix, 3) - 0.5f;
    float py = lk_get(a->matrix, 4) * w + lk_get(a->matrix, 5) * h + lk_get(a->matrix, 7) - 0.5f;
    float v = 0;
    if (px >= 0 && px <= (float)(a->s.w - 1) && py >= 0 && py <= (float)(a->s.h - 1)) {
        uint32_t x = (uint32_t)px, y = (uint32_t)py;
        float u = px - (float)x, d = py - (float)y;
        uint32_t x1 = x + 1 < (uint32_t)a->s.w ? x + 1 : x, y1 = y + 1 < (uint32_t)a->s.h ? y + 1 : y;
        v = (1 - d) *
                ((1 - u) * lk_get(a->p, lk_at(a->s, 0, y, x, q.c)) + u * lk_get(a->p, lk_at(a->s, 0, y, x1, q.c))) +
            d * ((1 - u) * lk_get(a->p, lk_at(a->s, 0, y1, x, q.c)) + u * lk_get(a->p, lk_at(a->s, 0, y1, x1, q.c)));
    }
    lk_put(a->y, i, v);
}

/* One point for each number of s; c is the coordinate. */
LK_POINT void lk_landmarks_move_point(const lk_landmarks_args *a, uint32_t i) {
    uint32_t c = i % (uint32_t)a->s.c;
    float v = lk_get(a->p, i);
    if (c < 2) {
        float x = lk_get(a->p, i - c), y = lk_get(a->p, i - c + 1);
        v = lk_get(a->matrix, 4 * c) * x + lk_get(a->matrix, 4 * c + 1) * y + lk_get(a->matrix, 4 * c + 3);
    }
    lk_put(a->y, i, v);
}

/* ---- All kernels: name, the struct of its arguments ------------------------------------------------------- */

#define LK_GPU_KERNELS(X)                                                                                              \
    X(activation, lk_activation_args)                                                                                  \
    X(activation_back, lk_activation_back_args)                                                                        \
    X(prelu, lk_prelu_args)                                                                                            \
    X(binary, lk_binary_args)                                                                                          \
    X(unary, lk_unary_args)                                                                                            \
    X(unary_back, lk_unary_back_args)                                                                                  \
    X(reduce_to, lk_reduce_to_args)                                                                                    \
    X(adam, lk_adam_args)                                                                                              \
    X(rescale, lk_rescale_args)                                                                                        \
    X(adam_columns, lk_adam_few_args)                                                                                  \
    X(adam_rows, lk_adam_few_args)                                                                                     \
    X(adam_blocks, lk_adam_few_args)                                                                                   \
    X(adam_few, lk_adam_few_args)                                                                                      \
    X(depth_to_space, lk_depth_to_space_args)                                                                          \
    X(channels, lk_channels_args)                                                                                      \
    X(channels_back, lk_channels_back_args)                                                                            \
    X(copy, lk_copy_args)                                                                                              \
    X(pad, lk_pad_args)                                                                                                \
    X(sum_parts, lk_sum_parts_args)                                                                                    \
    X(sum, lk_sum_args)                                                                                                \
    X(gather, lk_gather_args)                                                                                          \
    X(column_parts, lk_column_parts_args)                                                                              \
    X(column, lk_column_args)                                                                                          \
    X(spread, lk_spread_args)                                                                                          \
    X(filter, lk_filter_args)                                                                                          \
    X(pool, lk_pool_args)                                                                                              \
    X(avg_pool_back, lk_pool_args)                                                                                     \
    X(resize, lk_resize_args)                                                                                          \
    X(resize_back, lk_resize_args)                                                                                     \
    X(dssim_rows, lk_dssim_args)                                                                                       \
    X(dssim, lk_dssim_args)                                                                                            \
    X(dssim_terms, lk_dssim_args)                                                                                      \
    X(dssim_spread, lk_dssim_args)                                                                                     \
    X(dssim_back, lk_dssim_args)                                                                                       \
    X(conv, lk_conv_args)                                                                                              \
    X(conv_back_data, lk_conv_args)                                                                                    \
    X(conv_back_weights, lk_conv_args)                                                                                 \
    X(landmarks_matrix, lk_landmarks_args)                                                                             \
    X(landmarks_crop, lk_landmarks_args)                                                                               \
    X(landmarks_move, lk_landmarks_args)                                                                               \
    X(sample_spans, lk_samples_args)                                                                                   \
    X(samples, lk_samples_args)

#endif
