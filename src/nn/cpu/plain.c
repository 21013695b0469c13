/* Convolutions and dense layers without oneDNN, as sums of their definition: for machines that have none, and to judge
 * others by. Takes the place of onednn.c. Weights are channels-last, [O, KH, KW, C/groups] in memory; float32 only. */
#include "cpu.h"

#include <math.h>
#include <string.h>

typedef struct layer {
    const float *bias;
    float *x, *w, *y, *bias_gradient;
    lk_nn_shape xs, ws, ys;
    lk_nn_conv_options o;
    int per, outputs; /* input and output channels of a group */
} layer;

static layer layer_of(const lk_nn_exec *e, const lk_node *n, int x, int w, int y) {
    layer l = {.x = lk_cpu_data(e, x),
               .w = lk_cpu_data(e, w),
               .y = lk_cpu_data(e, y),
               .xs = lk_cpu_shape(e, x),
               .ws = lk_cpu_shape(e, w),
               .ys = lk_cpu_shape(e, y),
               .o = n->a.conv};
    if (l.o.stride < 1) l.o.stride = 1;
    if (l.o.dilation < 1) l.o.dilation = 1;
    if (l.o.groups < 1) l.o.groups = 1;
    l.per = l.ws.c;
    l.outputs = l.ws.n / l.o.groups;
    return l;
}

static float *pixel(float *data, lk_nn_shape s, int n, int h, int w) {
    return data + (((size_t)n * (size_t)s.h + (size_t)h) * (size_t)s.w + (size_t)w) * (size_t)s.c;
}

/* The input row or column under place k of the window at output o; −1: outside. */
static int under(int o, int k, int before, int extent, const lk_nn_conv_options *c) {
    int i = o * c->stride - before + k * c->dilation;
    return i >= 0 && i < extent ? i : -1;
}

LK_HOT static float dot(const float *a, const float *b, int n) {
    float sum = 0;
    for (int i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

LK_HOT static void add_scaled(float *to, const float *from, float scale, int n) {
    for (int i = 0; i < n; i++) to[i] += scale * from[i];
}

static float activate(const lk_nn_conv_options *o, float x) {
    switch (o->act) {
    case LK_NN_LEAKY:
        return x > 0 ? x : o->alpha * x;
    case LK_NN_RELU:
        return x > 0 ? x : 0;
    case LK_NN_RELU6:
        return fminf(fmaxf(x, 0), 6);
    case LK_NN_SIGMOID:
        return 1 / (1 + expf(-x));
    case LK_NN_TANH:
        return tanhf(x);
    case LK_NN_SWISH:
        return x / (1 + expf(-x));
    case LK_NN_HARD_SWISH:
        return x * fminf(fmaxf(x + 3, 0), 6) / 6;
    case LK_NN_LINEAR:
        break;
    }
    return x;
}

static float output(const layer *l, int n, int h, int w, int o) {
    const lk_nn_conv_options *c = &l->o;
    float sum = l->bias ? l->bias[o] : 0;
    for (int kh = 0; kh < l->ws.h; kh++) {
        int y = under(h, kh, c->pad_top, l->xs.h, c);
        for (int kw = 0; y >= 0 && kw < l->ws.w; kw++) {
            int x = under(w, kw, c->pad_left, l->xs.w, c);
            if (x < 0) continue;
            sum += dot(pixel(l->x, l->xs, n, y, x) + o / l->outputs * l->per, pixel(l->w, l->ws, o, kh, kw), l->per);
        }
    }
    return activate(c, sum);
}

/* One output channel at a time, so that its weights stay near. */
static void forward(const layer *l) {
#pragma omp parallel for collapse(2)
    for (int n = 0; n < l->ys.n; n++)
        for (int o = 0; o < l->ys.c; o++)
            for (int h = 0; h < l->ys.h; h++)
                for (int w = 0; w < l->ys.w; w++) pixel(l->y, l->ys, n, h, w)[o] = output(l, n, h, w, o);
}

/* What output row h gives back to input row y through row kh of the window. */
static void row_back(const layer *l, int n, int h, int y, int kh) {
    for (int o = 0; o < l->ys.c; o++)
        for (int w = 0; w < l->ys.w; w++)
            for (int kw = 0; kw < l->ws.w; kw++) {
                int x = under(w, kw, l->o.pad_left, l->xs.w, &l->o);
                if (x < 0) continue;
                add_scaled(pixel(l->x, l->xs, n, y, x) + o / l->outputs * l->per, pixel(l->w, l->ws, o, kh, kw),
                           pixel(l->y, l->ys, n, h, w)[o], l->per);
            }
}

static void back_data(const layer *l, bool then_activate) {
#pragma omp parallel for collapse(2)
    for (int n = 0; n < l->xs.n; n++)
        for (int y = 0; y < l->xs.h; y++) {
            float *row = pixel(l->x, l->xs, n, y, 0);
            size_t count = (size_t)l->xs.w * (size_t)l->xs.c;
            for (size_t i = 0; i < count; i++) row[i] = l->bias ? l->bias[i % (size_t)l->xs.c] : 0;
            for (int h = 0; h < l->ys.h; h++)
                for (int kh = 0; kh < l->ws.h; kh++)
                    if (under(h, kh, l->o.pad_top, l->xs.h, &l->o) == y) row_back(l, n, h, y, kh);
            for (size_t i = 0; then_activate && i < count; i++) row[i] = activate(&l->o, row[i]);
        }
}

static void pixel_weights(const layer *l, int n, int h, int w, int o) {
    float d = pixel(l->y, l->ys, n, h, w)[o];
    if (l->bias_gradient) l->bias_gradient[o] += d;
    for (int kh = 0; kh < l->ws.h; kh++) {
        int y = under(h, kh, l->o.pad_top, l->xs.h, &l->o);
        for (int kw = 0; y >= 0 && kw < l->ws.w; kw++) {
            int x = under(w, kw, l->o.pad_left, l->xs.w, &l->o);
            if (x < 0) continue;
            add_scaled(pixel(l->w, l->ws, o, kh, kw), pixel(l->x, l->xs, n, y, x) + o / l->outputs * l->per, d, l->per);
        }
    }
}

static void back_weights(const layer *l) {
#pragma omp parallel for
    for (int o = 0; o < l->ws.n; o++) {
        memset(pixel(l->w, l->ws, o, 0, 0), 0, lk_nn_count(l->ws) / (size_t)l->ws.n * sizeof(float));
        if (l->bias_gradient) l->bias_gradient[o] = 0;
        for (int n = 0; n < l->ys.n; n++)
            for (int h = 0; h < l->ys.h; h++)
                for (int w = 0; w < l->ys.w; w++) pixel_weights(l, n, h, w, o);
    }
}

bool lk_onednn_run(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    layer l;
    switch (n->op) {
    case LK_OP_CONV_BACK_DATA:
    case LK_OP_DENSE_BACK_DATA:
        l = layer_of(e, n, n->out[0], n->in[1], n->in[0]);
        back_data(&l, false);
        break;
    case LK_OP_CONV_TRANSPOSED: /* the way back of the convolution that leads the other way */
        l = layer_of(e, n, n->out[0], n->in[1], n->in[0]);
        if (n->in_count > 2) l.bias = lk_cpu_data(e, n->in[2]);
        back_data(&l, true);
        break;
    case LK_OP_CONV_BACK_WEIGHTS:
    case LK_OP_DENSE_BACK_WEIGHTS:
        l = layer_of(e, n, n->in[0], n->out[0], n->in[1]);
        if (n->out_count > 1) l.bias_gradient = lk_cpu_data(e, n->out[1]);
        back_weights(&l);
        break;
    default:
        l = layer_of(e, n, n->in[0], n->in[1], n->out[0]);
        if (n->in_count > 2) l.bias = lk_cpu_data(e, n->in[2]);
        forward(&l);
    }
    return true;
}

/* ---- Nothing to prepare: the rest of onednn.c's functions -------------------------------------------------- */

bool lk_onednn_open(lk_nn_exec *e, lk_error *err) {
    (void)e, (void)err;
    return true;
}
void lk_onednn_close(lk_nn_exec *e) { (void)e; }
bool lk_onednn_narrow(lk_nn_exec *e, const lk_node *n) {
    (void)e, (void)n;
    return false;
}
bool lk_onednn_prepare(lk_nn_exec *e, lk_node *n, lk_error *err) {
    bool back = n->op == LK_OP_CONV_BACK_WEIGHTS || n->op == LK_OP_DENSE_BACK_WEIGHTS;
    if (back || e->g.tensors[n->in[1]].kind != LK_VALUE) return true;
    return lk_fail(err, LK_ERR_UNSUPPORTED, "weights that are computed are not possible");
}
bool lk_onednn_bind(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)e, (void)n, (void)err;
    return true;
}
void lk_onednn_release(lk_node *n) { (void)n; }

/* No tensor has a layout here, so these are never asked. */
bool lk_onednn_reorder(const lk_nn_exec *e, const lk_tensor *t, char *data, float *values, bool upload) {
    (void)e, (void)t, (void)data, (void)values, (void)upload;
    return false;
}
void *lk_onednn_copy_layout(const void *layout, lk_error *err) {
    (void)layout;
    lk_fail(err, LK_ERR_UNSUPPORTED, "built without oneDNN");
    return NULL;
}
size_t lk_onednn_layout_bytes(const void *layout) {
    (void)layout;
    return 0;
}
