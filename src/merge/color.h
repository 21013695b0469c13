/* Inside the merge room: one picture's colours given to another. All pictures are float RGB of one size, weights float of
 * one channel (NULL: every pixel counts); `image` is changed in place. docs/merge.md has the formulas. */
#ifndef LIKENESS_MERGE_COLOR_H
#define LIKENESS_MERGE_COLOR_H

#include "likeness/merge.h"

/* By the method (lk_color_mode); LK_COLOR_NONE changes nothing. */
bool lk_transfer_color(lk_image *image, const lk_image *like, const lk_image *weights, int method, lk_error *err);

/* A map of values that turns one weighted histogram into another: both cumulative, linear within their bins. Values that
 * the first has not, which pixels without weight may have, go evenly between those of the values beside; beyond its ends
 * they move as the end does. */
#define LK_MATCH_BINS 256
typedef struct lk_match {
    double low, high; /* the bins divide this range */
    double from[LK_MATCH_BINS + 1], to[LK_MATCH_BINS + 1];
    int start[LK_MATCH_BINS];      /* per bin of `from`: the bin of `to` where its share begins */
    double gap[LK_MATCH_BINS + 1]; /* where nothing is in a bin of `from`: where its edges go, in bins */
    bool empty;                    /* nothing has weight: values stay */
} lk_match;

/* values: `count` of them, `step` floats apart, of the picture to change and of the one to be like; weights: one each,
 * or NULL. */
void lk_match_make(lk_match *m, const float *values, const float *like, const float *weights, size_t count, size_t step,
                   double low, double high);
float lk_match_value(const lk_match *m, float v);

/* Each channel's histogram becomes `like`'s. */
void lk_match_histograms(lk_image *image, const lk_image *like, const lk_image *weights);
/* The histogram of luma (BT.601) becomes `like`'s; what a pixel's luma gains, its three channels gain. */
bool lk_match_luma(lk_image *image, const lk_image *like, const lk_image *weights, lk_error *err);

#endif
