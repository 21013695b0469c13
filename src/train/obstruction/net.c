/* A U-Net (Ronneberger et al. 2015): four levels from half the size down, since what hides a face is told by where it comes
 * from as much as by its edges, and a last layer at full size that sees the picture itself beside them. */
#include "obstruction.h"

#include <stdio.h>

#define LEVELS 4

static lk_nn_t convolve(lk_nn_graph *g, const char *name, lk_nn_t x, int out, int stride, lk_nn_act act) {
    char text[64];
    int in = lk_nn_shape_of(g, x).c;
    snprintf(text, sizeof text, "%s/kernel", name);
    lk_nn_t w = lk_nn_param(g, text, (lk_nn_shape){out, in, 3, 3}, (lk_nn_init){LK_NN_GLOROT_UNIFORM, 0});
    snprintf(text, sizeof text, "%s/bias", name);
    lk_nn_t b = lk_nn_param(g, text, (lk_nn_shape){1, out, 1, 1}, (lk_nn_init){LK_NN_ZEROS, 0});
    return lk_nn_conv(g, x, w, b, &(lk_nn_conv_options){.stride = stride, .same = true, .act = act, .alpha = 0.1f});
}

/* Twice, the first with a stride. */
static lk_nn_t block(lk_nn_graph *g, const char *part, int level, lk_nn_t x, int out, int stride) {
    char name[32];
    for (int i = 1; i <= 2; i++) {
        snprintf(name, sizeof name, "%s%d/conv%d", part, level, i);
        x = convolve(g, name, x, out, i == 1 ? stride : 1, LK_NN_LEAKY);
    }
    return x;
}

/* Twice as large, together with what is as large already. */
static lk_nn_t beside(lk_nn_graph *g, lk_nn_t small, lk_nn_t large) {
    int side = lk_nn_shape_of(g, large).h;
    const lk_nn_t both[] = {lk_nn_resize_bilinear(g, small, side, side, false, true), large};
    return lk_nn_concat_channels(g, both, 2);
}

lk_nn_graph *lk_obstruction_graph(int size, int width, int batch, bool train, lk_error *err) {
    lk_nn_graph *g = lk_nn_graph_new(err);
    if (!g) return NULL;
    const lk_nn_shape plane = {batch, 1, size, size};
    lk_nn_t x = lk_nn_affine(g, lk_nn_input(g, "face", (lk_nn_shape){batch, LK_OBSTRUCTION_CHANNELS, size, size}), 2,
                             -1),
            skips[LEVELS];
    for (int i = 0; i < LEVELS; i++)
        skips[i] = i ? block(g, "down", i, skips[i - 1], width << i, 2) : block(g, "down", 0, x, width, 2);
    lk_nn_t deep = skips[LEVELS - 1];
    for (int i = LEVELS - 2; i >= 0; i--) deep = block(g, "up", i, beside(g, deep, skips[i]), width << i, 1);
    lk_nn_t last = convolve(g, "last", beside(g, deep, x), width, 1, LK_NN_LEAKY);
    lk_nn_t mask = convolve(g, "out", last, 1, 1, LK_NN_SIGMOID);
    lk_nn_output(g, "mask", mask);
    if (train)
        lk_nn_loss(g, "loss", lk_nn_mse(g, mask, lk_nn_input(g, "target", plane), lk_nn_input(g, "weight", plane)), 1);
    return g;
}
