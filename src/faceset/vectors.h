/* Vectors of many faces, and questions of nearness among them. */
#ifndef LIKENESS_VECTORS_H
#define LIKENESS_VECTORS_H

#include "likeness/curate.h"

typedef enum lk_feature {
    LK_FEATURE_FACE,      /* landmarks in the crop, in its units, about their centre */
    LK_FEATURE_HISTOGRAM, /* roots of the bins: Euclidean distance is then √2 times that of Bhattacharyya (Hellinger) */
    LK_FEATURE_PIXELS,    /* thumbnail, 8-bit units */
} lk_feature;

typedef struct lk_vectors {
    int64_t count;
    int dims;
    float *x; /* [count, dims] */
} lk_vectors;

/* Of these faces, in this order. */
bool lk_vectors_read(lk_faceset *s, lk_feature which, const double *ids, int64_t count, lk_vectors *v, lk_error *err);
void lk_vectors_free(lk_vectors *v);
double lk_vectors_distance(const lk_vectors *v, int64_t a, int64_t b); /* Euclidean */

/* Of each the sum of squared distances to all others. [count], caller frees. In one pass: Σ|x−y|² = n|x|² − 2x·Σy + Σ|y|².
 */
double *lk_vectors_strangeness(const lk_vectors *v, lk_error *err);

/* A vantage-point tree (Yianilos 1993) from which vectors can be taken away. */
typedef struct lk_tree lk_tree;
lk_tree *lk_tree_new(const lk_vectors *v, lk_error *err);
void lk_tree_free(lk_tree *t);
void lk_tree_remove(lk_tree *t, int64_t i);
/* The nearest that is left; −1: none. Looks at no more than `most` distances once it has one: beyond, the nearest so
 * far. */
int64_t lk_tree_nearest(lk_tree *t, int64_t to, int most, double *distance);

/* A chain through all: from the first always to the nearest that is left. order: [count]. n log n: each step looks at
 * some hundred distances at most. */
bool lk_vectors_chain(const lk_vectors *v, int64_t *order, lk_error *err);

#endif
