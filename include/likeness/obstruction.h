/* obstruction: a small U-Net that learns from a few faces with masks made by hand what hides a face, and masks the others.
 * Part of the train room; docs/masks.md.
 *
 *     lk_obstruction_options o;
 *     lk_options_defaults(lk_obstruction_option_table, &o, &err);
 *     lk_obstruction_train("hands", &sets, &o, &report, &err);
 *     lk_obstruction_apply("hands", set, ids, count, LK_NN_WISH_CPU, &applied, &err);
 */
#ifndef LIKENESS_OBSTRUCTION_H
#define LIKENESS_OBSTRUCTION_H

#include "likeness/masks.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_obstruction_options {
    int size, width;    /* side of the input, pixels; channels of the first layer: both fixed for the network's life */
    int batch;          /* samples an iteration */
    int64_t iterations; /* of the network's life, at the end of which the rate has fallen to nothing */
    double rate;        /* of Adam, at first */
    double occluders;   /* percent of the samples that get something before the face that was not there */
    double holdout;     /* percent of the faces with masks that are kept aside to judge by, in whole stretches */
    double save_every;  /* seconds */
    uint64_t seed;
    int device; /* lk_nn_wish; of one run */
} lk_obstruction_options;
extern const lk_option lk_obstruction_option_table[];

/* How masks agree with those made by hand, on the faces kept aside; intersection over union of what is above one half, at
 * the crop's own resolution. NAN: nothing to judge by. */
typedef struct lk_obstruction_quality {
    int faces, hidden;  /* kept aside; of them, those that something hides */
    double visible;     /* of the mask, mean over faces */
    double obstruction; /* of what the mask takes from the hull, over all pixels of all faces */
} lk_obstruction_quality;

typedef struct lk_obstruction_report {
    int64_t first, iteration; /* at the start and at the end of this run */
    int faces;                /* that it learned from */
    double seconds;
    float loss; /* mean of the last 100 iterations */
    lk_obstruction_quality quality;
    bool interrupted;
} lk_obstruction_report;

/* Learns from every face of these sets that has polygons or a painted mask; the folder `dir` is made, or gone on with.
 * given: one entry per option, true where the user said so; the others are the network's own where it exists (NULL: none
 * were said). An interrupt saves and returns true. preview.png in the folder shows faces, masks by hand and by the network. */
bool lk_obstruction_train(const char *dir, const lk_strings *sets, const lk_obstruction_options *o, const bool *given,
                          lk_obstruction_report *report, lk_error *err);

typedef struct lk_obstruction_applied {
    int64_t faces;
    int64_t hidden; /* of which more than 3 % of the hull is hidden */
} lk_obstruction_applied;

/* The trained mask of these faces, all or none. The set's crops must be of the face type that was learned from. device:
 * lk_nn_wish. */
bool lk_obstruction_apply(const char *dir, lk_faceset *s, const int64_t *ids, int64_t count, int device,
                          lk_obstruction_applied *a, lk_error *err);

#ifdef __cplusplus
}
#endif
#endif
