/* Convolutions and dense layers in bfloat16: which layers are done here and not by oneDNN, how their weights are kept, and
 * the shapes that all three passes share. The forward pass and the data's gradient are in matrix_product.c, the weights'
 * gradient with its update in matrix_gradient.c.
 *
 * Weights are blocks of 32 outputs by 32 inputs, [o/32][c/32][tap], each laid out as tile.h's B: first the upper halves of
 * all numbers, which is what the layers multiply, then their lower halves, which only Adam sees. Gradients and moments are
 * float32 in the same order of blocks. Nothing is reordered in a step but on its way through the first cache. */
#include "matrix.h"
#include "factored.h"
#include "short.h"

#include <stdlib.h>

static bool is_dense(lk_op op) {
    return op == LK_OP_DENSE || op == LK_OP_DENSE_BACK_DATA || op == LK_OP_DENSE_BACK_WEIGHTS;
}

/* The layer as a convolution 1×1 of what its thin side is unfolded to. Taps of an output come in reverse order: a pixel of
 * the input sees the output's pixels that way. */
static void unfold_side(lk_layer *l) {
    if (l->tiling == LK_TILED_INPUT) {
        l->u = (lk_unfolding){l->h, l->w, l->c, l->oh, l->ow, l->kh, l->kw, l->stride, l->pad_top, l->pad_left};
        l->c *= l->taps;
        l->h = l->oh;
        l->w = l->ow;
    } else if (l->tiling == LK_TILED_OUTPUT) {
        l->u = (lk_unfolding){
            l->oh, l->ow, l->o, l->h, l->w, l->kh, l->kw, 1, l->kh - 1 - l->pad_top, l->kw - 1 - l->pad_left};
        l->o *= l->taps;
        l->oh = l->h;
        l->ow = l->w;
    } else {
        return;
    }
    l->kh = l->kw = l->stride = l->taps = 1;
    l->pad_top = l->pad_left = 0;
}

/* A layer of weights `w`, whose picture and channels are set, in blocks. */
static void cut(lk_layer *l, const lk_tensor *w) {
    l->kh = w->shape.h;
    l->kw = w->shape.w;
    l->taps = l->kh * l->kw;
    l->tiling = (lk_tiling)w->tiled;
    unfold_side(l);
    l->cb = (l->c + 31) / 32;
    l->ob = (l->o + 31) / 32;
}

lk_layer lk_layer_of(const lk_nn_exec *e, const lk_node *n) {
    bool forward = n->op == LK_OP_CONV || n->op == LK_OP_DENSE, weights = lk_gives_weights(n->op);
    lk_nn_shape x = lk_cpu_shape(e, forward || weights ? n->in[0] : n->out[0]);
    lk_nn_shape y = lk_cpu_shape(e, forward ? n->out[0] : weights ? n->in[1] : n->in[0]);
    lk_nn_shape w = lk_cpu_shape(e, n->weights);
    const lk_nn_conv_options *o = &n->a.conv;
    lk_layer l = {.n = x.n,
                  .h = x.h,
                  .w = x.w,
                  .c = x.c,
                  .oh = y.h,
                  .ow = y.w,
                  .o = y.c,
                  .stride = o->stride,
                  .pad_top = o->pad_top,
                  .pad_left = o->pad_left};
    if (n->spread) {
        l.oh /= n->spread;
        l.ow /= n->spread;
        l.o = w.n;
    }
    if (is_dense(n->op)) {
        l.c = w.c;
        l.h = l.w = l.oh = l.ow = l.stride = 1;
        l.pad_top = l.pad_left = 0;
    }
    cut(&l, &e->g.tensors[n->weights]);
    return l;
}

/* ---- Which layers ---------------------------------------------------------------------------------------- */

/* Grouped and dilated convolutions are oneDNN's. */
static bool suits(const lk_nn_exec *e, const lk_node *n) {
    const lk_nn_conv_options *o = &n->a.conv;
    lk_nn_shape w = lk_cpu_shape(e, n->weights);
    if (e->g.tensors[n->weights].kind != LK_PARAM || !n->narrow) return false;
    if (is_dense(n->op)) return true;
    return o->groups == 1 && o->dilation == 1 && o->stride <= 2 && w.h <= LK_WIDEST && w.w <= LK_WIDEST;
}

/* A block is 32 channels by 32 of one tap. Where unfolding a side makes less than half as many, it is done. */
static lk_tiling tiling_of(const lk_nn_graph *g, int weights) {
    lk_nn_shape s = g->tensors[weights].shape;
    int taps = s.h * s.w, cb = (s.c + 31) / 32, ob = (s.n + 31) / 32, whole = taps * cb * ob;
    if (s.c <= LK_THIN && 2 * ob * ((taps * s.c + 31) / 32) < whole) return LK_TILED_INPUT;
    if (s.n > LK_THIN || 2 * cb * ((taps * s.n + 31) / 32) >= whole) return LK_TILED;
    for (int i = 0; i < g->node_count; i++)
        if (g->nodes[i].weights == weights && g->nodes[i].a.conv.stride != 1) return LK_TILED;
    return LK_TILED_OUTPUT;
}

void lk_matrix_choose(lk_nn_exec *e) {
    lk_nn_graph *g = &e->g;
    for (int i = 0; i < g->tensor_count; i++)
        g->tensors[i].tiled = g->tensors[i].kind == LK_PARAM ? LK_TILED : LK_UNTILED;
    for (int i = 0; i < g->node_count; i++) {
        lk_node *n = &g->nodes[i];
        n->weights = -1;
        if (n->op == LK_OP_CONV || n->op == LK_OP_DENSE || n->op == LK_OP_CONV_BACK_DATA ||
            n->op == LK_OP_DENSE_BACK_DATA)
            n->weights = n->in[1];
        if (lk_gives_weights(n->op)) n->weights = g->tensors[n->out[0]].gradient;
        bool fits = n->weights >= 0 && suits(e, n);
        for (int j = 0; j < n->in_count; j++)
            if (n->op != LK_OP_ADAM && !(fits && n->in[j] == n->weights)) g->tensors[n->in[j]].tiled = LK_UNTILED;
        if (n->weights >= 0 && !fits) g->tensors[n->weights].tiled = LK_UNTILED;
    }
    /* Parameters that no layer multiplies stay as they are. */
    for (int i = 0; i < g->tensor_count; i++) {
        bool used = false;
        for (int k = 0; g->tensors[i].tiled && k < g->node_count && !used; k++) used = g->nodes[k].weights == i;
        g->tensors[i].tiled = used ? tiling_of(g, i) : LK_UNTILED;
    }
}

bool lk_matrix_does(const lk_nn_exec *e, const lk_node *n) { return n->weights >= 0 && e->g.tensors[n->weights].tiled; }

bool lk_matrix_spreads(const lk_nn_exec *e, const lk_node *n) {
    return lk_matrix_does(e, n) && e->g.tensors[n->weights].tiled != LK_TILED_OUTPUT;
}

/* ---- Fields ---------------------------------------------------------------------------------------------- */

lk_field lk_field_of(int n, int h, int w, int c, int step, int top, int left, int rows, int columns) {
    lk_field f = {
        .n = n, .h = h, .w = w, .c = c, .step = step, .top = top, .left = left, .rows = rows, .columns = columns};
    f.pixel = (size_t)(c + 31) / 32 * 32;
    /* Pixels and samples an even number of cache lines apart would crowd into a few sets of the cache. */
    if (f.pixel >= 256 && f.pixel / 32 % 2 == 0) f.pixel += 32;
    f.part = (size_t)rows * (size_t)columns * f.pixel;
    f.sample = f.part * (size_t)(step * step);
    if (f.sample / 32 % 2 == 0) f.sample += 32;
    f.count = f.sample * (size_t)n + 32 * f.pixel;
    return f;
}

lk_field lk_field_forward(const lk_layer *l) {
    lk_field f = lk_field_of(l->n, l->h, l->w, l->c, l->stride, l->pad_top, l->pad_left,
                             l->oh + (l->kh - 1) / l->stride, l->ow + (l->kw - 1) / l->stride);
    if (l->tiling == LK_TILED_INPUT) f.u = &l->u;
    return f;
}

/* One row of one part. */
static void fill_row(const lk_field *f, const lk_bf16 *from, lk_bf16 *to, int n, int part, int row) {
    int y = row * f->step + part / f->step - f->top;
    size_t used = (size_t)f->c * sizeof *to, spare = (f->pixel - (size_t)f->c) * sizeof *to;
    for (int column = 0; column < f->columns; column++, to += f->pixel) {
        int x = column * f->step + part % f->step - f->left;
        if (y < 0 || y >= f->h || x < 0 || x >= f->w) {
            memset(to, 0, used + spare);
            continue;
        }
        memcpy(to, from + (((size_t)n * (size_t)f->h + (size_t)y) * (size_t)f->w + (size_t)x) * (size_t)f->c, used);
        if (spare) memset(to + f->c, 0, spare);
    }
}

void lk_field_fill(const lk_field *f, const lk_bf16 *from, lk_bf16 *to) {
    const lk_unfolding *u = f->u;
    int parts = f->step * f->step, all = f->n * parts * f->rows;
#pragma omp parallel for
    for (int i = 0; i < all; i++) {
        int row = i % f->rows, part = i / f->rows % parts, n = i / f->rows / parts;
        size_t at = (size_t)n * f->sample + (size_t)part * f->part + (size_t)row * (size_t)f->columns * f->pixel;
        if (u)
            lk_unfold(u, from + (size_t)n * (size_t)(u->h * u->w * u->c), row * u->columns, u->columns, f->pixel,
                      to + at);
        else
            fill_row(f, from, to + at, n, part, row);
    }
}

void lk_matrix_offsets(const lk_layer *l, const lk_field *f, uint32_t *offsets) {
    for (int b = 0; b < l->cb; b++)
        for (int y = 0; y < l->kh; y++)
            for (int x = 0; x < l->kw; x++) {
                size_t part = (size_t)(y % f->step * f->step + x % f->step) * f->part;
                size_t pixel = (size_t)(y / f->step * f->columns + x / f->step) * f->pixel;
                *offsets++ = (uint32_t)(part + pixel + (size_t)b * 32);
            }
}

/* ---- Weights in and out ---------------------------------------------------------------------------------- */

static lk_layer weights_shape(const lk_tensor *t) {
    lk_layer l = {.c = t->shape.c, .o = t->shape.n};
    cut(&l, t);
    return l;
}

/* How a tensor's numbers are kept: weights in two halves, moments short or factored, everything else as float32. */
typedef enum form { HALVES, WHOLE, SHORT_FIRST, SHORT_SECOND, FACTORED_SECOND } form;

/* Short first moments: all codes, then the scales of all blocks. */
static float *scales_of(const lk_tensor *w) { return (float *)(void *)(w->moment1 + w->bytes / sizeof(float)); }

/* Factored second moments: so many bytes of `numbers`, and those of the block at `at`. */
static size_t factored_bytes(size_t numbers) { return numbers / LK_TILE * LK_FACTORS * sizeof(float); }
static float *factors_at(const lk_tensor *w, size_t at) {
    return (float *)(void *)w->moment2 + at / LK_TILE * LK_FACTORS;
}
static bool is_factored(const lk_tensor *w) { return w->moment_bytes[1] == factored_bytes(w->bytes / sizeof(float)); }

static form form_of(const lk_tensor *t, const char *data) {
    if (t->kind != LK_PARAM) return WHOLE;
    if (data == t->data) return HALVES;
    if (!t->moment_bytes[0]) return WHOLE;
    return data == t->moment1 ? SHORT_FIRST : is_factored(t) ? FACTORED_SECOND : SHORT_SECOND;
}

/* The block at `at`, in the order of gradients. */
static void load_block(const lk_tensor *t, const char *data, form f, size_t at, float *block) {
    const lk_bf16 *high = (const lk_bf16 *)(const void *)data + at;
    const int16_t *low = (const int16_t *)(const void *)(high + t->bytes / sizeof(float));
    if (f == HALVES)
        for (int i = 0; i < LK_TILE; i++) {
            size_t from = lk_tile_at(i / 32, i % 32);
            block[lk_tile_float_at(i / 32, i % 32)] = lk_tile_join(high[from], low[from]);
        }
    else if (f == WHOLE)
        memcpy(block, (const float *)(const void *)data + at, LK_TILE * sizeof *block);
    else if (f == SHORT_FIRST)
        lk_short_decode((const uint8_t *)data + at, scales_of(t)[at / LK_SHORT], block);
    else if (f == SHORT_SECOND)
        lk_short_decode_second(high, block);
    else
        lk_factored_decode(factors_at(t, at), block);
}

static void store_block(const lk_tensor *t, char *data, form f, size_t at, const float *block) {
    lk_bf16 *high = (lk_bf16 *)(void *)data + at;
    int16_t *low = (int16_t *)(void *)(high + t->bytes / sizeof(float));
    if (f == HALVES)
        for (int i = 0; i < LK_TILE; i++) {
            size_t to = lk_tile_at(i / 32, i % 32);
            lk_tile_split(block[lk_tile_float_at(i / 32, i % 32)], &high[to], &low[to]);
        }
    else if (f == WHOLE)
        memcpy((float *)(void *)data + at, block, LK_TILE * sizeof *block);
    else if (f == SHORT_FIRST)
        scales_of(t)[at / LK_SHORT] = lk_short_encode(block, 0, (uint8_t *)data + at);
    else if (f == SHORT_SECOND)
        lk_short_encode_second(block, 0, high);
    else
        lk_factored_encode(block, factors_at(t, at));
}

/* Where row o, column c of block (ob, cb, tap) is in [n, c, h, w]; −1: nowhere, it fills up the block. */
static ptrdiff_t value_of(lk_nn_shape s, lk_tiling tiling, int row, int column, int tap) {
    int taps = s.h * s.w;
    if (tiling == LK_TILED_INPUT) {
        tap = column / s.c;
        column %= s.c;
    } else if (tiling == LK_TILED_OUTPUT) {
        tap = taps - 1 - row / s.n;
        row %= s.n;
    }
    if (row >= s.n || column >= s.c || tap < 0 || tap >= taps) return -1;
    return ((ptrdiff_t)row * s.c + column) * taps + tap;
}

/* Block after block, so that nothing is ever unpacked as a whole. */
bool lk_matrix_exchange(const lk_tensor *t, char *data, float *values, bool upload) {
    lk_layer l = weights_shape(t);
    form f = form_of(t, data);
    int blocks = l.ob * l.cb * l.taps;
#pragma omp parallel for
    for (int b = 0; b < blocks; b++) {
        int tap = b % l.taps, cb = b / l.taps % l.cb, ob = b / l.taps / l.cb;
        float block[LK_TILE] = {0};
        if (!upload) load_block(t, data, f, (size_t)b * LK_TILE, block);
        for (int i = 0; i < LK_TILE; i++) {
            ptrdiff_t at = value_of(t->shape, l.tiling, ob * 32 + i / 32, cb * 32 + i % 32, tap);
            if (at < 0) continue;
            float *number = &block[lk_tile_float_at(i / 32, i % 32)];
            if (upload)
                *number = values[at];
            else
                values[at] = *number;
        }
        if (upload) store_block(t, data, f, (size_t)b * LK_TILE, block);
    }
    return true;
}

/* ---- Updating -------------------------------------------------------------------------------------------- */

static void update(const lk_nn_exec *e, const lk_tensor *w, const lk_tile_ops *ops, size_t at, const float *gradient) {
    lk_tile_adam a = {e->adam_rate, e->adam.beta1, e->adam.beta2, e->adam.epsilon};
    lk_bf16 *high = (lk_bf16 *)(void *)w->data;
    int16_t *low = (int16_t *)(void *)(high + w->bytes / sizeof(float));
    if (!w->moment_bytes[0]) {
        ops->adam(gradient, high + at, low + at, (float *)(void *)w->moment1 + at, (float *)(void *)w->moment2 + at,
                  &a);
        return;
    }
    float m[LK_SHORT], v[LK_SHORT], *scale = scales_of(w) + at / LK_SHORT;
    uint8_t *first = (uint8_t *)w->moment1 + at;
    lk_bf16 *second = (lk_bf16 *)(void *)w->moment2 + at;
    lk_short_decode(first, *scale, m);
    bool factored = is_factored(w);
    if (factored) {
        lk_factored_update(factors_at(w, at), gradient, a.beta2);
        lk_factored_decode(factors_at(w, at), v);
        a.beta2 = 1; /* these are this step's */
    } else {
        lk_short_decode_second(second, v);
    }
    ops->adam(gradient, high + at, low + at, m, v, &a);
    uint32_t seed = ((uint32_t)e->steps + 1) * 0x9e3779b1u + (uint32_t)at * 2;
    *scale = lk_short_encode(m, seed | 1, first);
    if (!factored) lk_short_encode_second(v, (seed + LK_SHORT) | 1, second);
}

void lk_matrix_give(const lk_nn_exec *e, const lk_node *n, const lk_tile_ops *ops, size_t at, const float *gradient) {
    if (n->updates) {
        update(e, &e->g.tensors[n->weights], ops, at, gradient);
        return;
    }
    float *to = lk_cpu_data(e, n->out[0]) + at;
    for (int i = 0; i < LK_TILE; i++) to[lk_tile_float_at(i / 32, i % 32)] = gradient[i];
}

bool lk_matrix_adam(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    const lk_tensor *p = &e->g.tensors[n->in[0]];
    const float *g = lk_cpu_data(e, n->in[1]);
    size_t numbers = p->bytes / sizeof(float);
    const lk_tile_ops *ops = lk_tile_best();
#pragma omp parallel for
    for (size_t at = 0; at < numbers; at += LK_TILE) {
        float block[LK_TILE];
        for (int i = 0; i < LK_TILE; i++) block[i] = g[at + lk_tile_float_at(i / 32, i % 32)];
        update(e, p, ops, at, block);
    }
    return true;
}

/* ---- Preparing ------------------------------------------------------------------------------------------- */

static void keep_weights(lk_nn_exec *e, const lk_node *n) {
    lk_tensor *w = &e->g.tensors[n->weights];
    lk_layer l = weights_shape(w);
    w->bytes = lk_matrix_numbers(&l) * sizeof(float);
    size_t numbers = w->bytes / sizeof(float);
    if (e->options.optimizer_memory != LK_NN_STATES_FULL) {
        w->moment_bytes[0] = numbers + numbers / LK_SHORT * sizeof(float);
        w->moment_bytes[1] =
            e->options.optimizer_memory == LK_NN_STATES_FACTORED ? factored_bytes(numbers) : numbers * sizeof(lk_bf16);
    }
    if (!lk_gives_weights(n->op)) return;
    lk_tensor *gradient = &e->g.tensors[n->out[0]];
    gradient->bytes = n->updates ? 0 : w->bytes;
    gradient->tiled = w->tiled;
}

bool lk_matrix_prepare(lk_nn_exec *e, lk_node *n, lk_error *err) {
    lk_matrix *m = lk_alloc(1, sizeof *m, err);
    if (!m) return false;
    n->state = m;
    m->l = lk_layer_of(e, n);
    m->ops = lk_tile_best();
    m->threads = lk_threads();
    keep_weights(e, n);
    m->winograd = lk_winograd_suits(e, m, n);
    if (m->winograd)
        return lk_gives_weights(n->op) ? lk_winograd_prepare_gradient(e, n, m, err)
                                       : lk_winograd_prepare_product(e, n, m, err);
    return lk_gives_weights(n->op) ? lk_matrix_prepare_gradient(e, n, m, err) : lk_matrix_prepare_product(e, n, m, err);
}

bool lk_matrix_run(lk_nn_exec *e, lk_node *n, lk_error *err) {
    const lk_matrix *m = n->state;
    if (m->winograd) return lk_gives_weights(n->op) ? lk_winograd_gradient(e, n, err) : lk_winograd_product(e, n, err);
    return lk_gives_weights(n->op) ? lk_matrix_gradient(e, n, err) : lk_matrix_product(e, n, err);
}

void lk_matrix_release(lk_node *n) {
    lk_matrix *m = n->state;
    if (m) free(m->offsets);
    free(m);
    n->state = NULL;
}
