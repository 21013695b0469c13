/* Inside the merge room: a predicted face made ready in its crop, and put into its frame.
 *
 *     mask      where it is; masks of the frames around may then be averaged
 *     correct   the prediction in dst's colours, as the mode has it
 *     finish    sharpening, motion blur
 *     apply     into the window of the frame that it touches */
#ifndef LIKENESS_MERGE_BLEND_H
#define LIKENESS_MERGE_BLEND_H

#include "likeness/merge.h"

typedef struct lk_blend {
    int mode;
    lk_image face;     /* as it goes into the frame; float RGB [R, R] */
    lk_image alpha;    /* its share of each pixel, 0–1; float, one channel, a grid of its own over the same square */
    lk_image original; /* dst's crop on the output's grid; only where it is needed */
    lk_affine frame_to_face;  /* frame pixels to pixels of `face` */
    lk_affine frame_to_alpha; /* frame pixels to pixels of `alpha` */
} lk_blend;

/* Mean and deviation of dst's colours, per channel of RGB, over the pixels that count for them. */
typedef struct lk_colors {
    double mean[3], std[3];
    bool known; /* some pixel counts */
} lk_colors;

/* What a face brings along. Images float, [R, R]; `under`: dst's crop on the output's grid (lk_output_grid), NULL where that
 * is `original`'s; `boundary`: what seamless cloning joins on to, NULL: `under`. `pool`: pixels of dst's crops in the frames
 * around, and `steady` what their colours are on average; NULL: `original`'s. */
typedef struct lk_face_images {
    const lk_image *prediction, *mask, *original, *under, *boundary, *pool;
    lk_affine frame_to_crop;
    const lk_landmarks *points; /* in the frame */
    const lk_image *masks;      /* [LK_FACE_MASKS] of the faces file, in the crop; NULL: none */
    const lk_colors *steady;
} lk_face_images;

/* Where an output face scale puts the face: the matrix divided by 1 + percent/100 about the crop's centre. */
lk_affine lk_output_grid(lk_affine frame_to_crop, int side, double percent);
/* Whether the options need `under`. */
bool lk_needs_under(const lk_composite_options *o);

/* Matrices and mask of *b, which is overwritten. The caller frees the blend, after a failure too. */
bool lk_blend_mask(lk_blend *b, const lk_face_images *f, const lk_composite_options *o, lk_error *err);
/* Whether colours are matched at all; what dst's are, by means of the mask. */
bool lk_matches_colors(const lk_composite_options *o);
bool lk_blend_colors(const lk_blend *b, const lk_face_images *f, const lk_composite_options *o, lk_colors *colors,
                     lk_error *err);
/* The face, by means of the mask. */
bool lk_blend_correct(lk_blend *b, const lk_face_images *f, const lk_composite_options *o, lk_error *err);
bool lk_is_seamless(int mode);
/* before, after: as lk_motion_blur's; NULL: the face stands still. */
bool lk_blend_finish(lk_blend *b, const lk_composite_options *o, const lk_affine *before, const lk_affine *after,
                     lk_error *err);
/* The part of a frame that the blend changes, widened to even borders (at an odd frame's edge: to the edge); width 0
 * when it changes nothing. */
lk_rect lk_blend_window(const lk_blend *b, int frame_width, int frame_height);
/* frame: float RGB of the window. shown: NULL, or a float image [window] that gets the largest of itself and the mask.
 * seed: of the grain. */
bool lk_blend_apply(const lk_blend *b, lk_image *frame, lk_rect window, const lk_composite_options *o, uint64_t seed,
                    lk_image *shown, lk_error *err);
void lk_blend_free(lk_blend *b);

/* The smallest window with even borders around the rectangle [x0, x1] × [y0, y1] of a crop, within the frame. */
lk_rect lk_crop_window(lk_affine frame_to_crop, double x0, double y0, double x1, double y1, int frame_width,
                       int frame_height);

/* Raw modes on black wipe the frame first. */
bool lk_mode_on_black(int mode);
bool lk_mode_is_raw(int mode);
bool lk_mode_shows_all(int mode); /* the whole square, without a mask */

#endif
