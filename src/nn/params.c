/* Parameters: their first values, and their way in and out of the executor's layout. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* FNV-1a, so that a parameter's first values depend on the seed and its own name alone. */
static uint64_t hash(const char *s) {
    uint64_t h = 14695981039346656037u;
    for (; *s; s++) h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h;
}

/* So many numbers are drawn from one stream of random numbers, and by one thread. */
#define BLOCK 65536

typedef struct drawing {
    const lk_tensor *t;
    uint64_t seed;
    float *values;
} drawing;

static void draw_block(int block, void *user) {
    const drawing *d = user;
    const lk_tensor *t = d->t;
    size_t n = lk_nn_count(t->shape), first = (size_t)block * BLOCK, end = first + BLOCK < n ? first + BLOCK : n;
    lk_rng r = lk_rng_make(d->seed, hash(t->name) + (uint64_t)block);
    double window = (double)t->shape.h * t->shape.w;
    /* Glorot & Bengio 2010: ±√(6 / (inputs + outputs)), a window counted on both sides. */
    double glorot = sqrt(6.0 / (window * (t->shape.c + t->shape.n)));
    double by_inputs = sqrt(t->init.scale / (window * t->shape.c));
    for (size_t i = first; i < end; i++) switch (t->init.kind) {
        case LK_NN_ZEROS:
            d->values[i] = 0;
            break;
        case LK_NN_ONES:
            d->values[i] = 1;
            break;
        case LK_NN_NORMAL:
            d->values[i] = t->init.scale * (float)lk_rng_normal(&r);
            break;
        case LK_NN_GLOROT_UNIFORM:
            d->values[i] = (float)lk_rng_uniform(&r, -glorot, glorot);
            break;
        case LK_NN_BY_INPUTS:
            d->values[i] = (float)(by_inputs * lk_rng_normal(&r));
            break;
        case LK_NN_CONVOLUTION_AWARE:
            break;
        }
}

static bool draw(const lk_tensor *t, uint64_t seed, float *values) {
    if (t->init.kind == LK_NN_CONVOLUTION_AWARE) {
        lk_rng r = lk_rng_make(seed, hash(t->name));
        return lk_draw_convolution_aware(t->shape, &r, values);
    }
    drawing d = {t, seed, values};
    lk_parallel_for((int)((lk_nn_count(t->shape) + BLOCK - 1) / BLOCK), draw_block, &d);
    return true;
}

bool lk_params_initialise(lk_nn_exec *e, lk_error *err) {
    for (int i = 0; i < e->g.tensor_count; i++) {
        lk_tensor *t = &e->g.tensors[i];
        if (t->kind != LK_CONST && (t->kind != LK_PARAM || e->options.blank)) continue;
        float *values = t->values;
        if (t->kind == LK_PARAM) {
            values = lk_alloc(lk_nn_count(t->shape), sizeof(float), err);
            if (!values) return false;
            if (!draw(t, e->options.seed, values)) {
                free(values);
                return lk_fail(err, LK_ERR_UNSUPPORTED,
                               "%s: a window of %d×%d is too large for convolution-aware weights", t->name, t->shape.h,
                               t->shape.w);
            }
        }
        bool ok = e->backend->upload(e, t, t->data, values);
        free(values);
        t->values = NULL;
        if (!ok) return lk_fail(err, LK_ERR_UNSUPPORTED, "weights could not be brought into the executor's layout");
    }
    return true;
}

int lk_nn_param_count(const lk_nn_exec *e) { return e->param_count; }
const char *lk_nn_param_name(const lk_nn_exec *e, int i) { return e->g.tensors[e->params[i]].name; }
lk_nn_shape lk_nn_param_shape(const lk_nn_exec *e, int i) { return e->g.tensors[e->params[i]].shape; }

static char *memory_of(const lk_nn_exec *e, const lk_tensor *t, lk_nn_slot slot) {
    switch (slot) {
    case LK_NN_VALUE:
        return t->data;
    case LK_NN_MOMENT1:
        return t->moment1;
    case LK_NN_MOMENT2:
        return t->moment2;
    case LK_NN_GRADIENT:
        return e->options.keep_gradients && t->gradient >= 0 ? e->g.tensors[t->gradient].data : NULL;
    }
    return NULL;
}

bool lk_nn_param_get(const lk_nn_exec *e, int i, lk_nn_slot slot, float *values) {
    const lk_tensor *t = &e->g.tensors[e->params[i]];
    char *data = memory_of(e, t, slot);
    return data && e->backend->download(e, t, data, values);
}

bool lk_nn_param_set(lk_nn_exec *e, int i, lk_nn_slot slot, const float *values) {
    const lk_tensor *t = &e->g.tensors[e->params[i]];
    char *data = memory_of(e, t, slot);
    return data && e->backend->upload(e, t, data, values);
}

int lk_nn_copy_params(lk_nn_exec *dst, const lk_nn_exec *src) {
    int copied = 0;
    for (int i = 0; i < dst->param_count; i++)
        for (int j = 0; j < src->param_count; j++) {
            const lk_tensor *to = &dst->g.tensors[dst->params[i]], *from = &src->g.tensors[src->params[j]];
            if (strcmp(to->name, from->name) || !lk_same_shape(to->shape, from->shape)) continue;
            float *values = lk_alloc(lk_nn_count(to->shape), sizeof(float), NULL);
            copied +=
                values && lk_nn_param_get(src, j, LK_NN_VALUE, values) && lk_nn_param_set(dst, i, LK_NN_VALUE, values);
            free(values);
        }
    return copied;
}
