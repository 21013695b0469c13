/* Inside the merge room: seamless cloning. */
#ifndef LIKENESS_MERGE_POISSON_H
#define LIKENESS_MERGE_POISSON_H

#include "likeness/image.h"

/* Pérez et al., Poisson Image Editing, 2003: `over` becomes the picture whose differences from pixel to pixel are its
 * own where `weights` is 1 and `under`'s where it is 0, and that equals `under` on the border of the rectangle. Solved
 * exactly, by a sine transform down the columns and elimination along the rows. over, under: float RGB of one size,
 * over changed in place; weights: float, one channel. A side without a small factorisation is continued by repeating its
 * last pixels. */
bool lk_poisson_clone(lk_image *over, const lk_image *under, const lk_image *weights, lk_error *err);

#endif
