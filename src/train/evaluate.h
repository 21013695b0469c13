/* Between the files of evaluation. */
#ifndef LIKENESS_TRAIN_EVALUATE_H
#define LIKENESS_TRAIN_EVALUATE_H

#include "internal.h"

/* Faces that a model draws: the pictures of one batch. Each [N, R, R, 3] or [N, R, R]; masks of no meaning when none is
 * learned. */
typedef struct lk_drawing {
    lk_nn_exec *exec;    /* draws: a prediction graph of this batch (owned), or, when set, */
    lk_network *network; /* the one in training */
    int batch, resolution;
    bool masks, color_transfer;
    lk_sample_room *room;
    const lk_pool *pools[2];   /* src, dst */
    float *faces[2];           /* as they are */
    float *again[2], *mask[2]; /* reconstructions of src and dst */
    float *swap, *swap_mask;
    float *hull[2];   /* of the landmarks */
    float *composite; /* the swap within its mask, dst around it */
    lk_landmarks *points[2];
} lk_drawing;

/* The caller then says what draws. */
bool lk_drawing_open(lk_drawing *d, const lk_swap_config *c, const lk_pool *src, const lk_pool *dst, lk_error *err);
void lk_drawing_close(lk_drawing *d);
/* Draws up to `batch` faces of each side, by index; fewer of one side leave that side's rest empty. */
bool lk_draw_faces(lk_drawing *d, const int *src, int src_count, const int *dst, int dst_count, lk_error *err);

/* One swap of dst's face, ranked for the sheet. */
typedef struct lk_case {
    int face; /* of the pool of dst */
    double rank;
} lk_case;
/* Rows of dst, swap in its place, swap as drawn, its mask: the best on the left, the worst on the right. */
bool lk_evaluation_sheet(lk_drawing *d, const lk_case *cases, int count, const char *png, lk_error *err);

#endif
