/* DeepFaceLab's aligned pictures: where in a JPEG or PNG the pickle lies, and what it says of a face. */
#ifndef LIKENESS_DFL_H
#define LIKENESS_DFL_H

#include "pickle.h"

#include <jansson.h>

#include "likeness/faceset.h"

/* Offsets in the file. `block` is the whole segment or chunk, `data` the pickle in it. */
typedef struct lk_dfl_place {
    bool png;
    size_t block, block_size; /* 0: there is none; then `block` is where one would go */
    size_t data, data_size;
} lk_dfl_place;

/* JPEG: the APP15 segment whose content begins as a pickle does; PNG: the chunk fcWp. Fails when the file is neither,
 * or ends before its pixels begin. */
bool lk_dfl_find(const void *file, size_t size, lk_dfl_place *place, lk_error *err);
/* The same file with this pickle in place of the one it had; every other byte stays. Caller frees *out. */
bool lk_dfl_embed(const void *file, size_t size, const void *pickle, size_t pickle_size, void **out, size_t *out_size,
                  lk_error *err);

/* What we use of the pickle. */
typedef struct lk_dfl_face {
    lk_face_type type; /* the nearest of ours */
    char source_filename[256];
    lk_landmarks points, crop_points;
    lk_rect rect; /* source_rect */
    bool has_rect;
    lk_affine frame_to_crop;
} lk_dfl_face;

/* crop_side: of the picture, to judge whether numbers can be right. */
bool lk_dfl_understand(const lk_pickle *p, int crop_side, lk_dfl_face *face, lk_error *err);
/* What a person drew, in the crop's pixels, as lk_faceset_put_polygons takes it (new reference; NULL: nothing), and what
 * DeepFaceLab's network says, fitted to the crop (no data: nothing). The message has no subject. */
bool lk_dfl_polygons(const lk_pickle *p, json_t **polygons, lk_error *err);
bool lk_dfl_mask(const lk_pickle *p, int side, lk_image *mask, lk_error *err);
/* The face's own in place of what the dict has: its polygons, and its painted mask, or else its trained one. */
bool lk_dfl_describe_masks(lk_pickle *p, lk_faceset *s, const lk_face *face, lk_error *err);
/* Put what we know of a face into the dict that is p->root (or make one); other keys stay. */
bool lk_dfl_describe(lk_pickle *p, const lk_face *face, const char *source_filename, lk_error *err);

#endif
