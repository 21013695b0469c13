/* Inside the merge room: the discrete sine transform (type I) of many columns at once. */
#ifndef LIKENESS_MERGE_SINE_H
#define LIKENESS_MERGE_SINE_H

#include "likeness/base.h"

/* In place, of each of the `lanes` columns of data [n, lanes] (rows `stride` floats apart):
 * X_k = Σ_j x_j·sin(π·(j + 1)·(k + 1)/(n + 1)). Doing it twice multiplies by (n + 1)/2. Any n; fast where n + 1 has
 * small factors only. */
bool lk_sine_transform(float *data, int n, int lanes, size_t stride, lk_error *err);

/* The smallest m ≥ n that has no prime factor above 5. */
int lk_smooth_size(int n);

#endif
