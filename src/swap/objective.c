/* What is minimised. Everything is computed on pictures in [0, 1]; where a recipe is written for [0, 2] (SAE), a squared
 * difference counts 4 times, and DSSIM is the same when its dynamic range shrinks along. */
#include "internal.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

const char *const lk_loss_names[] = {"dssim", "pixel", "smooth", NULL};

#define AT(member) offsetof(lk_swap_objective, member)

const lk_option lk_swap_objective_options[LK_SWAP_OBJECTIVE_OPTION_COUNT + 1] = {
    {"loss", 0, LK_OPT_ENUM, AT(loss), "dssim", 0, 0, lk_loss_names, "LOSS",
     "of sae and quick: structure (dssim), pixels, or smoothly from the one to the other, iterations 5,000 to 20,000"},
    {"pixel-loss", 0, LK_OPT_FLAG, AT(pixel_loss), NULL, 0, 0, NULL, NULL,
     "of h64, h128, df and liae: compare pixels instead of structure, for fine details late in training"},
    {"face-style-power", 0, LK_OPT_FLOAT, AT(face_style), NULL, 0, 100, NULL, "P",
     "of sae and quick: how strongly the swap takes on the colours of dst's face"},
    {"background-style-power", 0, LK_OPT_FLOAT, AT(background_style), NULL, 0, 100, NULL, "P",
     "of sae and quick: how strongly the swap takes on what surrounds dst's face"},
    {"feature-power", 0, LK_OPT_FLOAT, AT(features), NULL, 0, 100, NULL, "P",
     "how much eyes and mouth count beyond their size, so that blinks and smiles come through"},
    {0},
};

enum {
    TERM_DSSIM = 1,
    TERM_PIXEL = 2,
    TERM_FACE_STYLE = 4,
    TERM_BACKGROUND_DSSIM = 8,
    TERM_BACKGROUND_PIXEL = 16,
    TERM_FEATURES = 32,
};

#define SMOOTH_FIRST 5000
#define SMOOTH_LAST  20000

static bool of_sae(const lk_swap_config *c) { return c->arch == LK_ARCH_SAE || c->arch == LK_ARCH_QUICK; }

bool lk_swap_objective_check(const lk_swap_config *c, const lk_swap_objective *o, lk_error *err) {
    const char *name = lk_arch_names[c->arch];
    if (of_sae(c)) {
        if (o->pixel_loss)
            return lk_fail(err, LK_ERR_USAGE, "--pixel-loss belongs to h64, h128, df and liae: for %s say --loss pixel",
                           name);
        return true;
    }
    const char *given = o->loss != LK_LOSS_DSSIM  ? "loss"
                        : o->face_style > 0       ? "face-style-power"
                        : o->background_style > 0 ? "background-style-power"
                                                  : NULL;
    if (given)
        return lk_fail(err, LK_ERR_USAGE, "--%s belongs to the models sae and quick, and %s has none: leave it out%s",
                       given, name, o->loss != LK_LOSS_DSSIM ? ", or say --pixel-loss" : "");
    return true;
}

/* The pixel loss's share, 0 to 1. */
static double pixel_share(const lk_swap_config *c, const lk_swap_objective *o, int64_t iteration) {
    if (!of_sae(c)) return o->pixel_loss ? 1 : 0;
    if (o->loss != LK_LOSS_SMOOTH) return o->loss == LK_LOSS_PIXEL ? 1 : 0;
    double share = (double)(iteration - SMOOTH_FIRST) / (SMOOTH_LAST - SMOOTH_FIRST);
    return share < 0 ? 0 : share > 1 ? 1 : share;
}

unsigned lk_swap_terms(const lk_swap_config *c, const lk_swap_objective *o, int64_t iteration) {
    double share = pixel_share(c, o, iteration);
    unsigned terms = (share < 1 ? TERM_DSSIM : 0u) | (share > 0 ? TERM_PIXEL : 0u);
    if (o->features > 0) terms |= TERM_FEATURES;
    if (!of_sae(c)) return terms;
    if (o->face_style > 0) terms |= TERM_FACE_STYLE;
    if (o->background_style > 0)
        terms |= (share < 1 ? TERM_BACKGROUND_DSSIM : 0u) | (share > 0 ? TERM_BACKGROUND_PIXEL : 0u);
    return terms;
}

bool lk_swap_wants_features(unsigned terms) { return (terms & TERM_FEATURES) != 0; }

bool lk_swap_wants_swapped(unsigned terms) {
    return (terms & (TERM_FACE_STYLE | TERM_BACKGROUND_DSSIM | TERM_BACKGROUND_PIXEL)) != 0;
}

bool lk_swap_set_weights(lk_nn_exec *e, const lk_swap_config *c, const lk_swap_objective *o, int64_t iteration) {
    double pixel = pixel_share(c, o, iteration), dssim = 1 - pixel;
    double structure = of_sae(c) ? 100 : 10, difference = of_sae(c) ? 4 * 100 : 50;
    bool ok = true;
    for (int i = 0; i < lk_nn_loss_count(e); i++) {
        const char *name = lk_nn_loss_name(e, i), *term = strchr(name, '/') + 1;
        double weight;
        if (!strcmp(term, "dssim"))
            weight = structure * dssim;
        else if (!strcmp(term, "pixel"))
            weight = difference * pixel;
        else if (!strcmp(term, "features"))
            weight = o->features;
        else if (!strcmp(term, "face-style"))
            weight = 4 * o->face_style / 100;
        else if (!strcmp(term, "background-dssim"))
            weight = structure * dssim * o->background_style / 100;
        else if (!strcmp(term, "background-pixel"))
            weight = difference * pixel * o->background_style / 100;
        else
            continue;
        ok &= lk_nn_set_loss_weight(e, name, (float)weight);
    }
    return ok;
}

void lk_swap_losses(const lk_nn_exec *e, float *src, float *dst) {
    *src = *dst = 0;
    for (int i = 0; i < lk_nn_loss_count(e); i++)
        *(strncmp(lk_nn_loss_name(e, i), "src/", 4) ? dst : src) += lk_nn_loss_value(e, i);
}

lk_nn_adam lk_swap_optimizer(const lk_swap_config *c) {
    /* Minutes are no time for small steps. */
    if (c->arch == LK_ARCH_QUICK) return (lk_nn_adam){.rate = 5e-4f, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-7f};
    return (lk_nn_adam){.rate = 5e-5f, .beta1 = 0.5f, .beta2 = 0.999f, .epsilon = 1e-7f};
}

/* ---- Nodes ----------------------------------------------------------------------------------------------- */

/* A Gaussian of `radius` pixels: that is its σ, cut off after twice as many. */
static lk_nn_t blur(lk_nn_graph *g, lk_nn_t x, int radius) {
    if (radius < 1) radius = 1;
    return lk_nn_gaussian(g, x, (float)radius, 2 * radius, true);
}

/* The faded mask. SAE's is blurred while it lies in [−1, 1], so beyond the border it is neither face nor background. */
static lk_nn_t faded(const lk_swap_net *net, lk_nn_t mask) {
    lk_nn_graph *g = net->g;
    int size = lk_nn_shape_of(g, mask).h;
    if (!net->table.wide) return blur(g, mask, size / 64);
    return lk_nn_affine(g, blur(g, lk_nn_affine(g, mask, 2, -1), size / 32), 0.5f, 0.5f);
}

/* A loss for each side from one value per sample of both. */
static void both_sides(lk_nn_graph *g, const char *term, lk_nn_t values, float weight) {
    int n = lk_nn_shape_of(g, values).n / 2;
    static const char *const sides[] = {"src", "dst"};
    for (int i = 0; i < 2; i++) {
        char name[32] = "";
        strcat(strcat(strcat(name, sides[i]), "/"), term);
        lk_nn_loss(g, name, lk_nn_slice_batch(g, values, i * n, n), weight);
    }
}

static lk_nn_t reduced(lk_nn_graph *g, lk_nn_t x, int size) {
    int k = lk_nn_shape_of(g, x).h / size;
    return k == 1 ? x : lk_nn_avg_pool(g, x, &(lk_nn_pool_options){k, k, k, k, false});
}

static void image_losses(lk_swap_net *net, lk_nn_t image, lk_nn_t target, lk_nn_t mask, unsigned terms) {
    lk_nn_graph *g = net->g;
    int size = lk_nn_shape_of(g, image).h;
    lk_nn_t t = reduced(g, target, size), m = reduced(g, mask, size);
    bool fades = net->table.wide || (terms & TERM_PIXEL);
    lk_nn_t soft = fades ? faded(net, m) : -1;
    if (terms & TERM_DSSIM) {
        lk_nn_t d = lk_nn_dssim(g, image, t, net->table.wide ? soft : m, 1);
        both_sides(g, "dssim", net->table.wide ? lk_nn_square(g, d) : d, 1);
    }
    if (terms & TERM_PIXEL) both_sides(g, "pixel", lk_nn_mse(g, image, t, soft), 1);
}

/* Mean and standard deviation of each channel: [N, C, H, W] → [N, C, 1, 1] each. */
static void moments(lk_nn_graph *g, lk_nn_t x, lk_nn_t *mean, lk_nn_t *deviation) {
    lk_nn_shape s = lk_nn_shape_of(g, x);
    lk_nn_pool_options all = {s.h, s.w, s.h, s.w, false};
    *mean = lk_nn_avg_pool(g, x, &all);
    lk_nn_t variance = lk_nn_avg_pool(g, lk_nn_square(g, lk_nn_sub(g, x, *mean)), &all);
    *deviation = lk_nn_sqrt(g, lk_nn_affine(g, variance, 1, 1e-5f / 4));
}

static void face_style(lk_swap_net *net, lk_nn_t swapped, lk_nn_t target, lk_nn_t soft) {
    lk_nn_graph *g = net->g;
    int radius = net->table.resolution / 16;
    lk_nn_t mean[2], deviation[2];
    moments(g, blur(g, lk_nn_mul(g, swapped, soft), radius), &mean[0], &deviation[0]);
    moments(g, blur(g, lk_nn_mul(g, target, soft), radius), &mean[1], &deviation[1]);
    lk_nn_t d = lk_nn_add(g, lk_nn_square(g, lk_nn_sub(g, mean[0], mean[1])),
                          lk_nn_square(g, lk_nn_sub(g, deviation[0], deviation[1])));
    /* Summed over the batch, as the style powers in use were found with it: the loss takes a mean. */
    lk_nn_loss(g, "dst/face-style", lk_nn_affine(g, d, (float)lk_nn_shape_of(g, d).n, 0), 1);
}

static void style_losses(lk_swap_net *net, lk_nn_t swapped, lk_nn_t target, lk_nn_t mask, unsigned terms) {
    lk_nn_graph *g = net->g;
    int n = lk_nn_shape_of(g, swapped).n;
    lk_nn_t t = lk_nn_slice_batch(g, target, n, n), soft = faded(net, lk_nn_slice_batch(g, mask, n, n));
    if (terms & TERM_FACE_STYLE) face_style(net, swapped, t, soft);
    if (!(terms & (TERM_BACKGROUND_DSSIM | TERM_BACKGROUND_PIXEL))) return;
    lk_nn_t around = lk_nn_affine(g, soft, -1, 1);
    if (terms & TERM_BACKGROUND_DSSIM)
        lk_nn_loss(g, "dst/background-dssim", lk_nn_square(g, lk_nn_dssim(g, swapped, t, around, 1)), 1);
    if (terms & TERM_BACKGROUND_PIXEL) lk_nn_loss(g, "dst/background-pixel", lk_nn_mse(g, swapped, t, around), 1);
}

void lk_swap_add_losses(lk_swap_net *net, const lk_swap_pictures *p, lk_nn_t target, lk_nn_t mask, lk_nn_t features,
                        unsigned terms) {
    lk_nn_graph *g = net->g;
    for (int s = 0; s < LK_SCALES; s++) {
        if (p->image[LK_SRC][s] < 0) continue;
        lk_nn_t image = lk_nn_concat_batch(g, (lk_nn_t[]){p->image[LK_SRC][s], p->image[LK_DST][s]}, 2);
        if (s == LK_SCALES - 1) lk_nn_output(g, "prediction", image);
        if (s == LK_SCALES - 1 && features >= 0) both_sides(g, "features", lk_nn_mae(g, image, target, features), 1);
        image_losses(net, image, target, mask, terms);
    }
    if (lk_swap_wants_swapped(terms)) style_losses(net, p->image[LK_SWAPPED][LK_SCALES - 1], target, mask, terms);
    if (!net->table.learn_mask) return;
    lk_nn_t drawn = lk_nn_concat_batch(g, (lk_nn_t[]){p->mask[LK_SRC], p->mask[LK_DST]}, 2);
    lk_nn_output(g, "prediction_mask", drawn);
    if (net->table.wide)
        both_sides(g, "mask", lk_nn_mse(g, drawn, mask, -1), 4);
    else
        both_sides(g, "mask", lk_nn_mae(g, drawn, mask, -1), 1);
}
