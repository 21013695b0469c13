/* Inside the merge room: what is done to a face, or to a frame, after the colours are right. Pictures are float RGB. */
#ifndef LIKENESS_MERGE_FINISH_H
#define LIKENESS_MERGE_FINISH_H

#include "likeness/merge.h"

/* v + amount·(v − blurred v): a Gaussian of σ = side/128 (at least 0.8), or a box of 2·⌊side/128⌋ + 1 pixels (at least 3). */
bool lk_sharpen(lk_image *face, double amount, bool box, lk_error *err);

/* The mean of the face as it stands at moments of the exposure, which is `exposure` of the time between two frames, half
 * of it before now. before, after: where a point of the face's crop was a frame ago and will be in a frame, in this
 * frame's crop. */
bool lk_motion_blur(lk_image *face, lk_affine before, lk_affine after, double exposure, lk_error *err);

/* Deviation of the noise of a picture's luma, where `weights` exceeds a half: 1.4826·median |luma − luma blurred by σ 1|,
 * over what that filter leaves of white noise. 0 when nothing is there. */
double lk_noise_level(const lk_image *image, const lk_image *weights, lk_error *err);
/* The same Gaussian noise to all channels of a pixel, times its weight; the same for the same seed and stream. */
void lk_add_grain(lk_image *image, const lk_image *weights, double deviation, uint64_t seed, uint64_t stream);

/* v + amount·(median of 5×5 − v), per channel; the border is repeated. */
bool lk_denoise(lk_image *image, double amount, lk_error *err);
/* Made smaller to 1 − amount/1.01 of its sides, bicubic, and enlarged again. */
bool lk_bicubic_degrade(lk_image *image, double amount, lk_error *err);
/* v + amount·(nearest of 256 colours − v). The colours: median cut (Heckbert 1982) over a grid of 32³ cells; the box whose
 * longest side, times its pixels, is largest is cut where half its pixels lie, 255 times; each stands for its mean. */
bool lk_reduce_colors(lk_image *image, double amount, lk_error *err);

#endif
