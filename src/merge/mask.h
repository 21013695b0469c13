/* Inside the merge room: where the face is. */
#ifndef LIKENESS_MERGE_MASK_H
#define LIKENESS_MERGE_MASK_H

#include "likeness/merge.h"

/* Side of the grid that masks of an R×R crop are worked on. */
int lk_mask_side(int resolution);

/* Masks of the faces file, 8-bit [A, A]; no data where a face has none of that kind. In the order of lk_cut_mode. */
#define LK_FACE_MASKS LK_CUT_NONE
/* Which of them the options need, as bits. */
unsigned lk_masks_needed(const lk_composite_options *o);

/* alpha: float [A, A], allocated by the caller, becomes the share of each pixel that the face takes: the mask as the
 * options say, shrunk and faded, 0 at the crop's border. mask: float [R, R] as predicted,
 * may be NULL where it is not used; masks: [LK_FACE_MASKS], or NULL; points: in the frame. */
bool lk_mask_make(lk_image *alpha, const lk_image *mask, const lk_image *masks, const lk_landmarks *points,
                  lk_affine frame_to_alpha, const lk_composite_options *o, lk_error *err);

/* Takes away what lies before the face by masks[cut]; scale: as lk_output_grid's, of the grid of alpha. */
bool lk_mask_cut(lk_image *alpha, const lk_image *masks, int cut, double scale, lk_error *err);

/* Times 1 inside the hull of the landmarks, 0 outside. */
bool lk_mask_multiply_hull(lk_image *alpha, const lk_landmarks *points, lk_affine frame_to_alpha, lk_error *err);

/* Pixels of one grid over a square to those of another, borders on borders. */
lk_affine lk_between_grids(int from, int to);

#endif
