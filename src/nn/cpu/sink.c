/* Where a layer's products go: bias, activation, and each pixel to its place in the tensor. */
#include "matrix.h"

lk_sink lk_sink_of(const lk_nn_exec *e, const lk_node *n, const lk_layer *l, float *bias) {
    const lk_tensor *t = &e->g.tensors[n->out[0]];
    lk_sink s = {.step = 1, .to = t->data, .narrow = t->narrow};
    if (lk_gives_data(n->op)) {
        s.shape = lk_shape(l->n, l->c, l->h, l->w);
        return s;
    }
    s.shape = lk_shape(l->n, l->o, l->oh, l->ow);
    s.spread = n->spread;
    s.act = n->a.conv.act;
    s.alpha = n->a.conv.alpha;
    if (n->in_count > 2) {
        s.bias = bias;
        memset(bias, 0, (size_t)l->ob * 32 * sizeof *bias);
        memcpy(bias, lk_cpu_data(e, n->in[2]), (size_t)e->g.tensors[n->weights].shape.n * sizeof *bias);
    }
    return s;
}

LK_HOT static void finish(float *c, const float *bias, lk_nn_act act, float alpha, lk_bf16 *narrow) {
    if (bias)
        for (int i = 0; i < 32; i++)
            for (int j = 0; j < 32; j++) c[i * 32 + j] += bias[j];
    if (act == LK_NN_LEAKY)
        for (int i = 0; i < LK_TILE; i++) c[i] = c[i] > 0 ? c[i] : alpha * c[i];
    for (int i = 0; narrow && i < LK_TILE; i++) narrow[i] = lk_narrow(c[i]);
}

const char *lk_sink_finish(const lk_sink *s, float *c, int first, lk_bf16 *narrow) {
    bool plain = s->act == LK_NN_LINEAR || s->act == LK_NN_LEAKY;
    finish(c, s->bias ? s->bias + first : NULL, s->act, s->alpha, s->narrow && plain ? narrow : NULL);
    if (!plain) {
        lk_cpu_activate(s->act, s->alpha, c, c, LK_TILE);
        if (s->narrow) lk_cpu_narrow(c, narrow, LK_TILE);
    }
    return s->narrow ? (const char *)narrow : (const char *)c;
}

static inline void put(char *to, const char *from, size_t bytes) {
    if (bytes == 64)
        memcpy(to, from, 64);
    else
        memcpy(to, from, bytes);
}

void lk_sink_pixel(const lk_sink *s, const char *row, int n, int y, int x, int first, int count) {
    const lk_nn_shape *t = &s->shape;
    size_t number = s->narrow ? sizeof(lk_bf16) : sizeof(float);
    size_t line = (size_t)n * (size_t)t->h + (size_t)(y * s->step + s->top), column = (size_t)(x * s->step + s->left);
    if (!s->spread) {
        size_t at = (line * (size_t)t->w + column) * (size_t)t->c + (size_t)first;
        put(s->to + at * number, row, (size_t)count * number);
        return;
    }
    /* Depth-to-space: r channels' groups side by side in each of r lines. */
    int run = t->c / s->spread;
    while (count > 0) {
        int group = first / run, at = first % run, some = run - at < count ? run - at : count;
        size_t wide = ((line * (size_t)s->spread + (size_t)group) * (size_t)t->w + column) * (size_t)run + (size_t)at;
        put(s->to + wide * number, row, (size_t)some * number);
        row += (size_t)some * number;
        first += some;
        count -= some;
    }
}
