/* A layer by products of our own: the picture as a kernel slides over it, what becomes of a gradient, and which passes there
 * are. Like matrix_product.c, matrix_gradient.c, winograd.c, unfold.c and tile.c it is compiled for bfloat16 and for float32. */
#include "matrix.h"
#include "short.h"

#include <stdlib.h>

/* ---- Fields ---------------------------------------------------------------------------------------------- */

/* One row of one part. */
static void fill_row(const lk_field *f, const lk_number *from, lk_number *to, int n, int part, int row) {
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

void lk_field_fill(const lk_field *f, const lk_number *from, lk_number *to) {
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

/* ---- Updating -------------------------------------------------------------------------------------------- */

static void update(const lk_nn_exec *e, const lk_tensor *w, const lk_tile_ops *ops, size_t at, const float *gradient) {
    lk_tile_adam a = {e->adam_rate, e->adam.beta1, e->adam.beta2, e->adam.epsilon};
    lk_number *high = (lk_number *)(void *)w->data;
    int16_t *low = w->whole ? NULL : (int16_t *)(void *)(high + w->bytes / sizeof(float)) + at;
    if (!w->moment_bytes[0]) {
        ops->adam(gradient, high + at, low, (float *)(void *)w->moment1 + at, (float *)(void *)w->moment2 + at, &a);
        return;
    }
    float m[LK_SHORT], v[LK_SHORT], *scale = lk_scales_of(w) + at / LK_SHORT;
    uint8_t *first = (uint8_t *)w->moment1 + at;
    lk_bf16 *second = (lk_bf16 *)(void *)w->moment2 + at;
    lk_short_decode(first, *scale, m);
    bool factored = lk_is_factored(w);
    if (factored) {
        lk_factored_update(lk_factors_at(w, at), gradient, a.beta2);
        lk_factored_decode(lk_factors_at(w, at), v);
        a.beta2 = 1; /* these are this step's */
    } else {
        lk_short_decode_second(second, v);
    }
    ops->adam(gradient, high + at, low, m, v, &a);
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

/* ---- Passes ---------------------------------------------------------------------------------------------- */

static bool prepare(lk_nn_exec *e, lk_node *n, lk_error *err) {
    lk_matrix *m = lk_alloc(1, sizeof *m, err);
    if (!m) return false;
    n->state = m;
    m->l = lk_layer_of(e, n);
    m->ops = lk_tile_best();
    m->threads = lk_threads();
    lk_matrix_keep(e, n);
    m->winograd = lk_winograd_suits(e, m, n);
    if (m->winograd)
        return lk_gives_weights(n->op) ? lk_winograd_prepare_gradient(e, n, m, err)
                                       : lk_winograd_prepare_product(e, n, m, err);
    return lk_gives_weights(n->op) ? lk_matrix_prepare_gradient(e, n, m, err) : lk_matrix_prepare_product(e, n, m, err);
}

static bool run(lk_nn_exec *e, lk_node *n, lk_error *err) {
    const lk_matrix *m = n->state;
    if (m->winograd) return lk_gives_weights(n->op) ? lk_winograd_gradient(e, n, err) : lk_winograd_product(e, n, err);
    return lk_gives_weights(n->op) ? lk_matrix_gradient(e, n, err) : lk_matrix_product(e, n, err);
}

static void release(lk_node *n) {
    lk_matrix *m = n->state;
    if (m) free(m->offsets);
    free(m);
    n->state = NULL;
}

const lk_cpu_op lk_matrix_op = {prepare, NULL, run, release};

const char *lk_matrix_ways(void) { return lk_tile_best() == &lk_tile_plain ? NULL : lk_tile_best()->name; }
