/* swap: the networks as data — which layers they have, their losses, and how a face is predicted. */
#ifndef LIKENESS_SWAP_H
#define LIKENESS_SWAP_H

#include "likeness/face.h"
#include "likeness/nn.h"
#include "likeness/options.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum lk_arch { LK_ARCH_QUICK, LK_ARCH_H64, LK_ARCH_COUNT } lk_arch;
extern const char *const lk_arch_names[]; /* "quick", "h64", NULL */

/* What fixes a model's shape for life; stored in model.json. */
typedef struct lk_swap_config {
    int arch;                /* lk_arch */
    int resolution;          /* side of input and output, pixels */
    int face_type;           /* lk_face_type */
    bool lighter;            /* the smaller variant */
    int ae_dims, ed_ch_dims; /* SAE and quick */
    bool learn_mask;
    bool pixel_loss; /* the fixed models' pixel loss */
} lk_swap_config;
extern const lk_option lk_swap_options[]; /* over lk_swap_config */
/* Completes what was left at 0 from the architecture's defaults and checks the combination. */
bool lk_swap_complete(lk_swap_config *c, lk_error *err);

/* The training graph of one batch. Inputs, channels-last float32 in [0, 1]:
 * "warped" [2N, 3, R, R]: N source faces, then N destination faces; "target" the same, unwarped; "mask" [2N, 1, R, R].
 * Outputs: "prediction" [2N, 3, R, R], "prediction_mask" [2N, 1, R, R] (when the mask is learned), in [0, 1].
 * Losses: "src", "dst" (image + mask of each). */
lk_nn_graph *lk_swap_training_graph(const lk_swap_config *c, int batch, lk_error *err);
/* The prediction: "face" [N, 3, R, R] of the destination → "swap" [N, 3, R, R], "mask" [N, 1, R, R], and, with
 * `both`, "src_face" → "src" and "dst" reconstructions for previews. */
lk_nn_graph *lk_swap_predict_graph(const lk_swap_config *c, int batch, bool both, lk_error *err);
lk_nn_adam lk_swap_optimizer(const lk_swap_config *c);

#ifdef __cplusplus
}
#endif
#endif
