/* Choosing the faces that serve training best. */
#ifndef LIKENESS_BEST_H
#define LIKENESS_BEST_H

#include "vectors.h"

/* order: [count], the rows that are chosen first. target 0: half of them by the sharpness of their bin (final), all
 * (best). Returns how many are chosen, or −1. */
int64_t lk_order_final(lk_faceset *s, const lk_figures *f, int64_t target, int64_t *order, lk_error *err);
int64_t lk_order_best(const lk_figures *f, int64_t target, int64_t *order, lk_error *err);

bool lk_order_by(const double *values, int64_t count, bool largest_first, int64_t *order, lk_error *err);

/* Pose, expression and light of each face, each axis in units of what makes a visible difference. [count, *dims]; caller
 * frees. */
double *lk_cover_axes(const lk_figures *f, int *dims, lk_error *err);

#endif
