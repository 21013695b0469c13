/* Convolutions and dense layers by products of our own: which layers are done here and not by oneDNN, how their weights are
 * kept, and the shapes that all three passes share. What depends on the type that is multiplied is in matrix_layer.c, the
 * forward pass and the data's gradient in matrix_product.c, the weights' gradient with its update in matrix_gradient.c.
 *
 * Weights are blocks of 32 outputs by 32 inputs, [o/32][c/32][tap], each laid out as tile.h's B: of bfloat16 layers first the
 * upper halves of all numbers, which is what is multiplied, then their lower halves, which only Adam sees; of float32 layers
 * the numbers. Gradients and moments are float32 in the same order of blocks. Nothing is reordered in a step but on its way
 * through the first cache. */
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
    if (e->g.tensors[n->weights].kind != LK_PARAM || n->narrow != e->narrow) return false;
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

/* How a tensor's numbers are kept: weights that are multiplied as bfloat16 in two halves, moments short or factored, everything else as float32. */
typedef enum form { HALVES, WHOLE, SHORT_FIRST, SHORT_SECOND, FACTORED_SECOND } form;

static form form_of(const lk_tensor *t, const char *data) {
    if (t->kind != LK_PARAM) return WHOLE;
    if (data == t->data) return t->whole ? WHOLE : HALVES;
    if (!t->moment_bytes[0]) return WHOLE;
    return data == t->moment1 ? SHORT_FIRST : lk_is_factored(t) ? FACTORED_SECOND : SHORT_SECOND;
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
        lk_short_decode((const uint8_t *)data + at, lk_scales_of(t)[at / LK_SHORT], block);
    else if (f == SHORT_SECOND)
        lk_short_decode_second(high, block);
    else
        lk_factored_decode(lk_factors_at(t, at), block);
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
        lk_scales_of(t)[at / LK_SHORT] = lk_short_encode(block, 0, (uint8_t *)data + at);
    else if (f == SHORT_SECOND)
        lk_short_encode_second(block, 0, high);
    else
        lk_factored_encode(block, lk_factors_at(t, at));
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

void lk_matrix_keep(lk_nn_exec *e, const lk_node *n) {
    lk_tensor *w = &e->g.tensors[n->weights];
    lk_layer l = weights_shape(w);
    w->bytes = lk_matrix_numbers(&l) * sizeof(float);
    w->whole = !e->narrow;
    size_t numbers = w->bytes / sizeof(float);
    if (e->options.optimizer_memory != LK_NN_STATES_FULL) {
        w->moment_bytes[0] = numbers + numbers / LK_SHORT * sizeof(float);
        w->moment_bytes[1] = e->options.optimizer_memory == LK_NN_STATES_FACTORED ? lk_factored_bytes(numbers)
                                                                                  : numbers * sizeof(lk_bf16);
    }
    if (!lk_gives_weights(n->op)) return;
    lk_tensor *gradient = &e->g.tensors[n->out[0]];
    gradient->bytes = n->updates ? 0 : w->bytes;
    gradient->tiled = w->tiled;
}
