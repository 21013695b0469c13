/* From a table of layers to parameters, and from parameters to nodes. */
#include "internal.h"

#include <stdio.h>

#define LEAK 0.1f

/* ---- Parameters ------------------------------------------------------------------------------------------ */

static lk_nn_t parameter(lk_nn_graph *g, const char *part, const char *layer, const char *what, lk_nn_shape shape,
                         lk_nn_init init) {
    char name[96];
    snprintf(name, sizeof name, "%s/%s/%s", part, layer, what);
    return lk_nn_param(g, name, shape, init);
}

static const lk_nn_init zeros = {LK_NN_ZEROS, 0};

static lk_swap_layer conv_layer(lk_nn_graph *g, const char *part, const char *layer, int in, int out, int window,
                                bool separable, lk_nn_init init) {
    lk_swap_layer l = {.depthwise = -1};
    if (separable) l.depthwise = parameter(g, part, layer, "depthwise", (lk_nn_shape){in, 1, window, window}, init);
    if (separable) window = 1;
    l.kernel = parameter(g, part, layer, "kernel", (lk_nn_shape){out, in, window, window}, init);
    l.bias = parameter(g, part, layer, "bias", (lk_nn_shape){1, out, 1, 1}, zeros);
    return l;
}

static lk_swap_layer dense_layer(lk_nn_graph *g, const char *part, const char *layer, int in, int out,
                                 lk_nn_init init) {
    return (lk_swap_layer){.depthwise = -1,
                           .kernel = parameter(g, part, layer, "kernel", (lk_nn_shape){out, in, 1, 1}, init),
                           .bias = parameter(g, part, layer, "bias", (lk_nn_shape){1, out, 1, 1}, zeros)};
}

static lk_swap_inter inter_layers(lk_nn_graph *g, const lk_swap_table *t, const char *part) {
    int l = t->resolution / 16;
    return (lk_swap_inter){
        .code = dense_layer(g, part, "dense1", l * l * t->down[LK_DOWNS - 1], t->code, t->dense),
        .base = dense_layer(g, part, "dense2", t->code, l * l * t->base, t->dense),
        .up = conv_layer(g, part, "up1", t->base, 4 * t->up, 3, false, t->kernels),
    };
}

static lk_swap_branch branch_layers(lk_nn_graph *g, const lk_swap_table *t, const char *part, const int *channels,
                                    int out, bool multiscale) {
    lk_swap_branch b = {.multiscale = multiscale};
    int in = t->two_inters ? 2 * t->up : t->up;
    char name[16];
    for (int i = 0; i < LK_UPS; i++) {
        snprintf(name, sizeof name, "up%d", i + 1);
        b.up[i] = conv_layer(g, part, name, in, 4 * channels[i], 3, false, t->kernels);
        in = channels[i];
        bool last = i == LK_UPS - 1;
        if (!last && !multiscale) continue;
        snprintf(name, sizeof name, last ? "out" : "out%d", i + 1);
        b.out[i] = conv_layer(g, part, name, in, out, 5, false, t->out);
    }
    return b;
}

void lk_swap_declare(lk_swap_net *net, lk_nn_graph *g, const lk_swap_table *t, unsigned wants) {
    const unsigned of_dst = 1u << LK_DST;
    *net = (lk_swap_net){.g = g, .table = *t};
    int in = 3;
    for (int i = 0; i < LK_DOWNS; i++) {
        char name[16];
        snprintf(name, sizeof name, "down%d", i + 1);
        net->down[i] = conv_layer(g, "encoder", name, in, t->down[i], 5, t->separable[i], t->kernels);
        in = t->down[i];
    }
    if (t->two_inters) {
        if (wants & of_dst) net->inter[0] = inter_layers(g, t, "inter_b");
        net->inter[1] = inter_layers(g, t, "inter_ab");
    } else {
        net->inter[0] = inter_layers(g, t, "encoder");
    }
    static const char *const parts[][2] = {{"decoder_src", "decoder_src_mask"}, {"decoder_dst", "decoder_dst_mask"}};
    static const char *const shared[2] = {"decoder", "decoder_mask"};
    for (int i = 0; i < (t->two_inters ? 1 : 2); i++) {
        const char *const *part = t->two_inters ? shared : parts[i];
        if (!t->two_inters && !(wants & (i ? of_dst : ~of_dst))) continue;
        net->image[i] = branch_layers(g, t, part[0], t->image, 3, t->multiscale);
        if (t->learn_mask) net->mask[i] = branch_layers(g, t, part[1], t->mask, 1, false);
    }
}

/* ---- Nodes ----------------------------------------------------------------------------------------------- */

static lk_nn_t convolve(lk_nn_graph *g, lk_nn_t x, const lk_swap_layer *l, int stride, lk_nn_act act) {
    lk_nn_conv_options o = {.stride = stride, .same = true, .act = act, .alpha = LEAK};
    if (l->depthwise >= 0) {
        lk_nn_conv_options depthwise = {.stride = stride, .same = true, .groups = lk_nn_shape_of(g, x).c};
        x = lk_nn_conv(g, x, l->depthwise, -1, &depthwise);
        o.stride = 1;
    }
    return lk_nn_conv(g, x, l->kernel, l->bias, &o);
}

static lk_nn_t upscale(lk_nn_graph *g, lk_nn_t x, const lk_swap_layer *l) {
    return lk_nn_depth_to_space(g, convolve(g, x, l, 1, LK_NN_LEAKY), 2);
}

static lk_nn_t encode(lk_swap_net *net, lk_nn_t faces) {
    lk_nn_t x = net->table.wide ? lk_nn_affine(net->g, faces, 2, -1) : faces;
    for (int i = 0; i < LK_DOWNS; i++) x = convolve(net->g, x, &net->down[i], 2, LK_NN_LEAKY);
    return x;
}

static lk_nn_t intermediate(lk_swap_net *net, const lk_swap_inter *inter, lk_nn_t x) {
    lk_nn_graph *g = net->g;
    int n = lk_nn_shape_of(g, x).n, l = net->table.resolution / 16;
    x = lk_nn_dense(g, x, inter->code.kernel, inter->code.bias, LK_NN_LINEAR, 0);
    x = lk_nn_dense(g, x, inter->base.kernel, inter->base.bias, LK_NN_LINEAR, 0);
    x = lk_nn_reshape(g, x, (lk_nn_shape){n, net->table.base, l, l});
    return upscale(g, x, &inter->up);
}

/* Codes of several kinds go through a decoder as one batch; the pictures come apart again. */
static void decode(lk_swap_net *net, const lk_swap_branch *b, const lk_nn_t *codes, int count, bool scales,
                   lk_nn_t (*pictures)[LK_SCALES]) {
    lk_nn_graph *g = net->g;
    int n = lk_nn_shape_of(g, codes[0]).n;
    lk_nn_t x = count > 1 ? lk_nn_concat_batch(g, codes, count) : codes[0];
    for (int i = 0; i < LK_UPS; i++) {
        x = upscale(g, x, &b->up[i]);
        if (i < LK_UPS - 1 && !(scales && b->multiscale)) continue;
        lk_nn_t y = convolve(g, x, &b->out[i], 1, net->table.wide ? LK_NN_TANH : LK_NN_SIGMOID);
        if (net->table.wide) y = lk_nn_affine(g, y, 0.5f, 0.5f);
        for (int k = 0; k < count; k++) pictures[k][i] = count > 1 ? lk_nn_slice_batch(g, y, k * n, n) : y;
    }
}

/* The kinds of `wants` that one decoder draws, by their codes. */
static void draw_kinds(lk_swap_net *net, const lk_swap_branch *b, const lk_nn_t *codes, unsigned wants, bool scales,
                       lk_nn_t (*to)[LK_SCALES]) {
    lk_nn_t chosen[LK_KINDS], pictures[LK_KINDS][LK_SCALES];
    int kinds[LK_KINDS], count = 0;
    for (int k = 0; k < LK_KINDS; k++)
        if (wants & 1u << k) {
            kinds[count] = k;
            chosen[count++] = codes[k];
        }
    if (!count) return;
    for (int i = 0; i < count; i++)
        for (int s = 0; s < LK_SCALES; s++) pictures[i][s] = -1;
    decode(net, b, chosen, count, scales, pictures);
    for (int i = 0; i < count; i++)
        for (int s = 0; s < LK_SCALES; s++) to[kinds[i]][s] = pictures[i][s];
}

static void draw_branch(lk_swap_net *net, const lk_swap_branch *b, const lk_nn_t *codes, unsigned wants, bool scales,
                        lk_nn_t (*to)[LK_SCALES]) {
    for (int k = 0; k < LK_KINDS; k++)
        for (int s = 0; s < LK_SCALES; s++) to[k][s] = -1;
    if (net->table.two_inters) {
        draw_kinds(net, &b[0], codes, wants, scales, to);
        return;
    }
    draw_kinds(net, &b[0], codes, wants & ~(1u << LK_DST), scales, to);
    draw_kinds(net, &b[1], codes, wants & 1u << LK_DST, scales, to);
}

/* What each kind of picture is decoded from. df: its face's code; the swap is dst's code in src's decoder. liae: src
 * AB‖AB, dst B‖AB, swap AB‖AB of dst. */
static void codes_of(lk_swap_net *net, lk_nn_t features, int batch, unsigned wants, lk_nn_t codes[LK_KINDS]) {
    lk_nn_graph *g = net->g;
    bool with_src = wants & 1u << LK_SRC;
    int dst = with_src ? batch : 0;
    lk_nn_t common = intermediate(net, &net->inter[net->table.two_inters], features);
    lk_nn_t of_src = with_src ? lk_nn_slice_batch(g, common, 0, batch) : -1;
    lk_nn_t of_dst = dst ? lk_nn_slice_batch(g, common, dst, batch) : common;
    codes[LK_SRC] = of_src;
    codes[LK_DST] = codes[LK_SWAPPED] = of_dst;
    if (!net->table.two_inters) return;
    if (with_src) codes[LK_SRC] = lk_nn_concat_channels(g, (lk_nn_t[]){of_src, of_src}, 2);
    if (wants & 1u << LK_SWAPPED) codes[LK_SWAPPED] = lk_nn_concat_channels(g, (lk_nn_t[]){of_dst, of_dst}, 2);
    if (!(wants & 1u << LK_DST)) return;
    lk_nn_t dst_features = dst ? lk_nn_slice_batch(g, features, dst, batch) : features;
    lk_nn_t b = intermediate(net, &net->inter[0], dst_features);
    codes[LK_DST] = lk_nn_concat_channels(g, (lk_nn_t[]){b, of_dst}, 2);
}

lk_swap_pictures lk_swap_draw(lk_swap_net *net, lk_nn_t faces, int batch, unsigned images, unsigned masks,
                              bool scales) {
    lk_nn_t codes[LK_KINDS], of_mask[LK_KINDS][LK_SCALES];
    lk_swap_pictures p;
    if (!net->table.learn_mask) masks = 0;
    codes_of(net, encode(net, faces), batch, images | masks, codes);
    draw_branch(net, net->image, codes, images, scales, p.image);
    draw_branch(net, net->mask, codes, masks, false, of_mask);
    for (int k = 0; k < LK_KINDS; k++) p.mask[k] = of_mask[k][LK_SCALES - 1];
    return p;
}
