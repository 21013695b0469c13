#include "emulator_layers.h"

static float *row(float *from, lk_nn_shape s, int n, int h, int w) {
    return from + (((size_t)n * (size_t)s.h + (size_t)h) * (size_t)s.w + (size_t)w) * (size_t)s.c;
}

/* One pixel of y, one of x, and what of w lies between them. */
static void meet(const lk_emulated_layer *l, float *y, float *x, int kh, int kw) {
    size_t channels = (size_t)l->ws.c;
    for (int o = 0; o < l->ws.n; o++) {
        float *w = row(l->w, l->ws, o, kh, kw), sum = 0;
        if (l->pass == LK_GPU_FORWARD) {
            for (size_t c = 0; c < channels; c++) sum += x[c] * w[c];
            y[o] += sum;
        } else if (l->pass == LK_GPU_BACK_DATA) {
            for (size_t c = 0; c < channels; c++) x[c] += y[o] * w[c];
        } else {
            for (size_t c = 0; c < channels; c++) w[c] += y[o] * x[c];
        }
    }
}

void lk_emulated_multiply(const lk_emulated_layer *l) {
    for (int n = 0; n < l->ys.n; n++)
        for (int h = 0; h < l->ys.h; h++)
            for (int w = 0; w < l->ys.w; w++)
                for (int kh = 0; kh < l->ws.h; kh++)
                    for (int kw = 0; kw < l->ws.w; kw++) {
                        int from = h * l->stride - l->top + kh * l->dilation;
                        int at = w * l->stride - l->left + kw * l->dilation;
                        if (from >= 0 && from < l->xs.h && at >= 0 && at < l->xs.w)
                            meet(l, row(l->y, l->ys, n, h, w), row(l->x, l->xs, n, from, at), kh, kw);
                    }
}
