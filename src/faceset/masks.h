/* What this room's files share of masks. */
#ifndef LIKENESS_FACESET_MASKS_H
#define LIKENESS_FACESET_MASKS_H

#include "likeness/masks.h"

#define LK_MOST_POLYGONS       64
#define LK_MOST_POLYGON_POINTS 1000
#define LK_MOST_FACE_POINTS    4000 /* of all polygons of a face */

/* Says what is wrong with polygons; the message has no subject. */
bool lk_polygons_check(const json_t *polygons, lk_error *err);
/* Into a mask of 0 and 255: as lk_faceset_mask says. Checked polygons. */
void lk_polygons_fill(const json_t *polygons, lk_image *mask);
/* The same polygons with every point moved; NULL: out of memory. */
json_t *lk_polygons_moved(const json_t *polygons, lk_affine m);

/* The stored bytes of one kind; *data NULL: none; caller frees. */
bool lk_mask_read(lk_faceset *s, int64_t id, lk_mask_kind kind, void **data, size_t *size, lk_error *err);
/* Stores bytes as they are; an imported face counts as changed when `note`. */
bool lk_mask_write(lk_faceset *s, int64_t id, lk_mask_kind kind, const void *data, size_t size, bool note,
                   lk_error *err);
/* A grey picture of that size from PNG or JPEG bytes. */
bool lk_mask_decode(const void *data, size_t size, int side, lk_image *mask, lk_error *err);

/* After a face's crop was cut anew: its masks go where the face went. old_to_new: pixels of the crops. */
bool lk_masks_move(lk_faceset *s, int64_t id, lk_affine old_to_new, int old_size, int new_size, lk_error *err);

/* Names that faces have outside: as they were imported, else as DeepFaceLab would name them. */
typedef struct lk_namer {
    lk_faceset *set;
    int sources;
    bool clash;            /* folders that were imported have file names in common */
    int64_t source, frame; /* of the face before */
    int nth;               /* of its frame */
} lk_namer;
bool lk_namer_open(lk_namer *n, lk_faceset *s, lk_error *err);
/* Of the next face, faces coming in the order of lk_faceset_ids; caller frees. changed (may be NULL): LK_CHANGED_…. */
char *lk_namer_next(lk_namer *n, const lk_face *f, const char *ending, int *changed, lk_error *err);

/* What of an imported face is newer than its file: bits of origin.changed. A face that was not imported has all of them. */
#define LK_CHANGED_GEOMETRY 1
#define LK_CHANGED_MASKS    2

#endif
