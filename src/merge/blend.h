/* Inside the merge room: a predicted face made ready, so that only the part of the frame that it changes is touched. */
#ifndef LIKENESS_MERGE_BLEND_H
#define LIKENESS_MERGE_BLEND_H

#include "likeness/merge.h"

typedef struct lk_blend {
    lk_image face;  /* the prediction in dst's colours; float RGB */
    lk_image alpha; /* its share of each pixel, 0–1; float, one channel, a grid of its own over the same square */
    lk_affine frame_to_face;  /* frame pixels to pixels of `face` */
    lk_affine frame_to_alpha; /* frame pixels to pixels of `alpha` */
} lk_blend;

/* Arguments as lk_composite's. The caller frees the blend, after a failure too. */
bool lk_blend_prepare(lk_blend *b, const lk_image *prediction, const lk_image *mask, const lk_image *original,
                      lk_affine frame_to_crop, const lk_landmarks *points, const lk_composite_options *o,
                      lk_error *err);
/* The part of a frame that the blend changes, widened to even borders (at an odd frame's edge: to the edge); width 0
 * when it changes nothing. */
lk_rect lk_blend_window(const lk_blend *b, int frame_width, int frame_height);
bool lk_blend_apply(const lk_blend *b, lk_image *frame, lk_rect window, lk_error *err);
void lk_blend_free(lk_blend *b);

/* Reinhard et al. 2001 in Lab: mean and deviation of `image` within the weights become those of `like`. Both float RGB of
 * one size, changed in place / left alone. */
bool lk_transfer_color(lk_image *image, const lk_image *like, const lk_image *weights, lk_error *err);

/* The smallest window with even borders around the square [−margin, size − 1 + margin]² of a crop, within the frame. */
lk_rect lk_crop_window(lk_affine frame_to_crop, double x0, double y0, double x1, double y1, int frame_width,
                       int frame_height);

#endif
