/* swap: the networks as data — which layers they have, their losses, and how a face is predicted.
 *
 *     lk_swap_config c = {0};
 *     lk_options_defaults(lk_swap_options, &c, &err);
 *     c.arch = LK_ARCH_SAE;
 *     lk_swap_complete(&c, &err);
 *     lk_swap_objective o = {.loss = LK_LOSS_SMOOTH};
 *     lk_swap_objective_check(&c, &o, &err);
 *     lk_nn_graph *g = lk_swap_training_graph(&c, lk_swap_terms(&c, &o, 0), 8, &err);
 *     … compile, fill the inputs …
 *     lk_swap_set_weights(exec, &c, &o, iteration);
 *     lk_nn_step(exec, &adam, &err);
 *
 * Which layers a model has is fixed for its life (lk_swap_config); what is minimised may change at any iteration
 * (lk_swap_objective). docs/models.md has the tables. */
#ifndef LIKENESS_SWAP_H
#define LIKENESS_SWAP_H

#include "likeness/face.h"
#include "likeness/nn.h"
#include "likeness/options.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum lk_arch {
    LK_ARCH_QUICK, /* a small SAE df, for a first result within minutes */
    LK_ARCH_H64,
    LK_ARCH_H128,
    LK_ARCH_DF,
    LK_ARCH_LIAE, /* LIAEF128 */
    LK_ARCH_SAE,
    LK_ARCH_COUNT
} lk_arch;
extern const char *const lk_arch_names[]; /* "quick", "h64", "h128", "df", "liae", "sae", NULL */

typedef enum lk_sae_inner { LK_SAE_DF, LK_SAE_LIAE } lk_sae_inner;
extern const char *const lk_sae_inner_names[]; /* "df", "liae", NULL */

/* What fixes a model's shape for life; stored in model.json. */
#define LK_SWAP_FACE_AUTO 3
typedef struct lk_swap_config {
    int arch;                /* lk_arch */
    int inner;               /* lk_sae_inner, of SAE: two decoders, or two intermediates */
    int resolution;          /* side of input and output, pixels; 0: the architecture's own */
    int face_type;           /* lk_face_type, or LK_SWAP_FACE_AUTO: the architecture's own */
    bool lighter;            /* the smaller variant of H64 and H128; the light encoder of SAE */
    int ae_dims, ed_ch_dims; /* SAE and quick; 0: the architecture's own */
    bool multiscale;         /* SAE: an image at each scale of the decoder */
    bool learn_mask;
    bool ca_weights; /* SAE: convolution-aware first weights of convolutions */
    bool he_weights; /* H64, H128, DF, LIAE: first weights by He 2015, else by Glorot 2010 as in 2019 */
} lk_swap_config;
extern const lk_option lk_swap_options[]; /* over lk_swap_config */
#define LK_SWAP_OPTION_COUNT 11

/* Completes what was left open from the architecture's own values and checks the combination; LK_ERR_USAGE names the
 * option. A complete configuration stays as it is. */
bool lk_swap_complete(lk_swap_config *c, lk_error *err);

typedef enum lk_loss_kind {
    LK_LOSS_DSSIM,
    LK_LOSS_PIXEL,
    LK_LOSS_SMOOTH, /* DSSIM until iteration 5,000, then moving to pixel until 20,000 */
} lk_loss_kind;
extern const char *const lk_loss_names[]; /* "dssim", "pixel", "smooth", NULL */

/* What is minimised; may change at any iteration. */
typedef struct lk_swap_objective {
    int loss;                            /* lk_loss_kind, of SAE and quick */
    bool pixel_loss;                     /* of H64, H128, DF and LIAE: 50·difference² in place of 10·DSSIM */
    double face_style, background_style; /* powers, 0–100, of SAE and quick */
    double features;                     /* power, 0–100, of eyes and mouth beyond their size */
} lk_swap_objective;
extern const lk_option lk_swap_objective_options[]; /* over lk_swap_objective */
#define LK_SWAP_OBJECTIVE_OPTION_COUNT 5

/* Does the model (complete) know these terms? LK_ERR_USAGE names the option that it does not have. */
bool lk_swap_objective_check(const lk_swap_config *c, const lk_swap_objective *o, lk_error *err);

/* The terms of the loss that have a weight at this iteration: a set of bits. A graph is made for one set; when the set
 * changes, a new graph takes over parameters and moments. */
unsigned lk_swap_terms(const lk_swap_config *c, const lk_swap_objective *o, int64_t iteration);

/* The training graph of one batch. Inputs, channels-last float32 in [0, 1] (a model with another range inside converts
 * them itself):
 * "warped" [2N, 3, R, R]: N source faces, then N destination faces; "target" the same, unwarped; "mask" [2N, 1, R, R].
 * With the term of features there is also "features" [2N, 1, R, R], where eyes and mouth are (lk_face_features).
 * A style term makes the swap from the warped dst faces.
 * Outputs: "prediction" [2N, 3, R, R], "prediction_mask" [2N, 1, R, R] (when the mask is learned), in [0, 1].
 * Losses are named SIDE/TERM ("src/dssim", "dst/mask"); their sums per side are told by lk_swap_losses. Parameters are
 * named PART/LAYER/WHAT: "encoder/down1/kernel", "decoder_src_mask/out/bias" (docs/models.md). The configuration must be
 * complete, the batch N is 1 to LK_SWAP_MOST_BATCH. */
#define LK_SWAP_MOST_BATCH 1024
lk_nn_graph *lk_swap_training_graph(const lk_swap_config *c, unsigned terms, int batch, lk_error *err);
/* Before each step: the weight of each term at this iteration. */
bool lk_swap_set_weights(lk_nn_exec *e, const lk_swap_config *c, const lk_swap_objective *o, int64_t iteration);
/* After a step: image and mask losses of src and of dst (style terms count as dst's). */
void lk_swap_losses(const lk_nn_exec *e, float *src, float *dst);

/* The prediction: "face" [N, 3, R, R] of the destination → "swap" [N, 3, R, R], "mask" [N, 1, R, R] (when learned),
 * and, with `both`, "src_face" [N, 3, R, R] → "src", and "dst": the reconstructions for previews, with "src_mask" and
 * "dst_mask". Of the parameters only those are there that these pictures go through: a swap takes no decoder of dst. */
lk_nn_graph *lk_swap_predict_graph(const lk_swap_config *c, int batch, bool both, lk_error *err);

/* Adam as the model's recipe has it: rate 5e-5, β1 0.5, β2 0.999; of quick 5e-4, 0.9, 0.999. */
lk_nn_adam lk_swap_optimizer(const lk_swap_config *c);

#ifdef __cplusplus
}
#endif
#endif
