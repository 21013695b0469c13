/* What the files of the obstruction network share. */
#ifndef LIKENESS_TRAIN_OBSTRUCTION_H
#define LIKENESS_TRAIN_OBSTRUCTION_H

#include "internal.h"

#include "likeness/obstruction.h"

#define LK_OBSTRUCTION_CHANNELS 4 /* of its input: RGB, and the hull of the landmarks */

/* ---- The network (net.c) --------------------------------------------------------------------------------- */

/* Inputs "face" [N, 4, S, S], 0–1; output "mask" [N, 1, S, S], 0–1. With `train` also "target" and "weight" [N, 1, S, S]
 * and the loss "loss": mean of (weight·(mask − target))². */
lk_nn_graph *lk_obstruction_graph(int size, int width, int batch, bool train, lk_error *err);

/* ---- Faces to learn from (faces.c) ----------------------------------------------------------------------- */

/* Pictures are 8-bit and [S, S], but for `truth`. */
typedef struct lk_obstruction_face {
    lk_image picture; /* RGB */
    lk_image mask, hull;
    lk_image occluder;   /* where something lies before the face, also outside the hull; no data: nothing does */
    lk_image truth;      /* the mask in the crop's own pixels */
    lk_landmarks points; /* in the crop's own pixels */
    bool held;           /* kept aside to judge by */
} lk_obstruction_face;

typedef struct lk_obstruction_faces {
    lk_obstruction_face *items;
    int count, held, occluders; /* occluders: of those that are learned from */
    lk_image *textures;         /* pictures of faces without masks as well, to cut patches from */
    int texture_count;
    lk_face_type type;
} lk_obstruction_faces;

bool lk_obstruction_faces_open(lk_obstruction_faces *f, const lk_strings *sets, int size, double holdout,
                               lk_error *err);
void lk_obstruction_faces_close(lk_obstruction_faces *f);
/* A crop as the network sees it: RGB [S, S] 8-bit, and its hull. Both allocated here. */
bool lk_obstruction_look(const lk_image *crop, const lk_landmarks *points, int size, lk_image *picture, lk_image *hull,
                         lk_error *err);
void lk_obstruction_fill(const lk_image *picture, const lk_image *hull, float *face);

/* ---- One sample (sample.c) ------------------------------------------------------------------------------- */

/* face [S, S, 4], target and weight [S, S]: a function of (faces, options' seed, number). */
bool lk_obstruction_sample(const lk_obstruction_faces *f, int size, double occluders, uint64_t seed, int64_t number,
                           float *face, float *target, float *weight, lk_error *err);

/* ---- The folder (folder.c) ------------------------------------------------------------------------------- */

typedef struct lk_obstruction_save {
    lk_obstruction_options options;
    lk_face_type type;
    int64_t iteration, steps, number;
    lk_saved_file weights, optimizer;
    lk_obstruction_quality quality;
} lk_obstruction_save;

/* The newest save whose files are whole; when that is the one before, the log says so. *found: there was one. */
bool lk_obstruction_read(const char *dir, lk_obstruction_save *save, bool *found, lk_error *err);
bool lk_obstruction_write(const char *dir, lk_obstruction_save *save, const lk_nn_exec *e, lk_error *err);
/* Weights, and with `optimizer` its states as well. */
bool lk_obstruction_load(const char *dir, const lk_obstruction_save *save, lk_nn_exec *e, bool optimizer,
                         lk_error *err);

/* ---- Masking faces (apply.c) ----------------------------------------------------------------------------- */

#define LK_OBSTRUCTION_BATCH 8
/* mask: [S, S], from the network, to 8-bit [side, side], allocated here. */
bool lk_obstruction_mask(const float *mask, int size, int side, lk_image *out, lk_error *err);

#endif
