/* Inside swap: a model is a table of layers (tables.c); the layers become parameters and nodes of a graph (layers.c);
 * training and prediction differ in which pictures they ask for (graphs.c) and in what is minimised (objective.c). */
#ifndef LIKENESS_SWAP_INTERNAL_H
#define LIKENESS_SWAP_INTERNAL_H

#include "likeness/swap.h"

#define LK_DOWNS  4
#define LK_UPS    3
#define LK_SCALES LK_UPS

/* All that tells one model from another. With l = resolution/16: 4 × down, flatten, dense `code`, dense l·l·`base`,
 * up `up`; then the decoder's ups. */
typedef struct lk_swap_table {
    int down[LK_DOWNS];
    int code, base, up;
    int image[LK_UPS], mask[LK_UPS];
    bool separable[LK_DOWNS];
    bool two_inters; /* intermediates B and AB and one decoder; else one intermediate and a decoder for each side */
    bool wide;       /* numbers inside are in [−1, 1] and the pictures come through tanh; else [0, 1] and sigmoid */
    bool multiscale, learn_mask;
    int resolution;
    lk_nn_init kernels, out,
        dense; /* first weights: of convolutions, of those that draw the picture, of dense layers */
} lk_swap_table;

/* tables.c: of a complete configuration. */
lk_swap_table lk_swap_table_of(const lk_swap_config *c);

/* layers.c */
typedef struct lk_swap_layer {
    lk_nn_t depthwise, kernel, bias; /* depthwise: −1 unless separable */
} lk_swap_layer;
typedef struct lk_swap_inter {
    lk_swap_layer code, base, up;
} lk_swap_inter;
typedef struct lk_swap_branch {
    lk_swap_layer up[LK_UPS], out[LK_SCALES]; /* out[2] at full size; the smaller ones with multiscale only */
    bool multiscale;
} lk_swap_branch;
typedef struct lk_swap_net {
    lk_nn_graph *g;
    lk_swap_table table;
    lk_swap_layer down[LK_DOWNS];
    lk_swap_inter inter[2];           /* df: the first alone; liae: B, AB */
    lk_swap_branch image[2], mask[2]; /* df: src, dst; liae: the first alone */
} lk_swap_net;

typedef enum lk_swap_kind { LK_SRC, LK_DST, LK_SWAPPED, LK_KINDS } lk_swap_kind;

/* Makes the parameters that pictures of the kinds in `wants` (bits 1 << kind) go through. */
void lk_swap_declare(lk_swap_net *net, lk_nn_graph *g, const lk_swap_table *t, unsigned wants);

typedef struct lk_swap_pictures {
    lk_nn_t image[LK_KINDS][LK_SCALES], mask[LK_KINDS]; /* −1: not asked for; in [0, 1] */
} lk_swap_pictures;

/* faces: [K, 3, R, R] in [0, 1]: `batch` of src when images or masks of LK_SRC are wanted, then `batch` of dst.
 * Wants are bits 1 << kind. */
lk_swap_pictures lk_swap_draw(lk_swap_net *net, lk_nn_t faces, int batch, unsigned images, unsigned masks, bool scales);

/* graphs.c: as lk_swap_training_graph and lk_swap_predict_graph, of any table. */
lk_nn_graph *lk_swap_build_training(const lk_swap_table *t, unsigned terms, int batch, lk_error *err);
lk_nn_graph *lk_swap_build_prediction(const lk_swap_table *t, int batch, bool both, lk_error *err);

/* objective.c */
/* features: −1 without their term. */
void lk_swap_add_losses(lk_swap_net *net, const lk_swap_pictures *p, lk_nn_t target, lk_nn_t mask, lk_nn_t features,
                        unsigned terms);
bool lk_swap_wants_features(unsigned terms);
bool lk_swap_wants_swapped(unsigned terms);

#endif
