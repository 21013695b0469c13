/* masks: which part of a face shows, and which is behind a hand. Part of the faceset room; docs/masks.md.
 *
 * A face may have a mask of each kind; lk_faceset_mask says what holds. All are in the pixels of the stored crop, 255 where
 * the face shows, and follow the face when its landmarks are corrected and its crop is cut anew. */
#ifndef LIKENESS_MASKS_H
#define LIKENESS_MASKS_H

#include <jansson.h>

#include "likeness/faceset.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The numbers are those of the file. */
typedef enum lk_mask_kind {
    LK_MASK_KIND_POLYGONS,  /* drawn by hand: to include and to exclude */
    LK_MASK_KIND_PAINTED,   /* by hand, a picture */
    LK_MASK_KIND_SEGMENTED, /* what selfie_segmentation takes for a person; counts within the hull */
    LK_MASK_KIND_TRAINED,   /* what the obstruction network says (lk_obstruction_apply) */
    LK_MASK_KINDS,
} lk_mask_kind;
extern const char *const lk_mask_kind_names[]; /* "polygons", "painted", "segmented", "trained", NULL */

/* Sets of kinds. */
#define LK_MASK_BIT(kind) (1u << (kind))
#define LK_MASKS_BY_HAND  (LK_MASK_BIT(LK_MASK_KIND_POLYGONS) | LK_MASK_BIT(LK_MASK_KIND_PAINTED))
#define LK_MASKS_ALL      ((1u << LK_MASK_KINDS) - 1)

/* The mask that holds of a face, of those kinds in `kinds` that it has; 8-bit, one channel, [face->size]², allocated here:
 *   1. the painted one, alone;
 *   2. else the first there is of trained, segmented (within the hull), and the hull of the landmarks; of that, when there
 *      are polygons, only what those to include have (where there are any), without what those to exclude have.
 * used (may be NULL): the kinds that it was made of; 0 is the hull alone. */
bool lk_faceset_mask(lk_faceset *s, const lk_face *face, unsigned kinds, lk_image *mask, unsigned *used, lk_error *err);
/* 255 wherever polygons to exclude lie, also outside the hull; allocated here. No data in *mask: there are none. */
bool lk_faceset_excluded(lk_faceset *s, const lk_face *face, lk_image *mask, lk_error *err);
/* Which kinds a face has. */
bool lk_faceset_mask_kinds(lk_faceset *s, int64_t id, unsigned *kinds, lk_error *err);

/* 8-bit, one channel, [face->size]². Replaces what there was of that kind (not polygons). */
bool lk_faceset_put_mask(lk_faceset *s, const lk_face *face, lk_mask_kind kind, const lk_image *mask, lk_error *err);

/* Polygons as JSON in the crop's pixels: {"include": [[[x, y], …], …], "exclude": […]}; both may be absent. Two empty lists
 * say that nothing hides the face. At most 64 polygons of 3 to 1,000 points each, 4,000 points together. */
bool lk_faceset_put_polygons(lk_faceset *s, int64_t id, const json_t *polygons, lk_error *err);
bool lk_faceset_polygons(lk_faceset *s, int64_t id, json_t **polygons, lk_error *err); /* new reference; NULL: none */

/* Forgets masks of these kinds: all or none. Returns of how many faces, or −1. */
int64_t lk_faceset_clear_masks(lk_faceset *s, const int64_t *ids, int64_t count, unsigned kinds, lk_error *err);

/* ---- In and out ------------------------------------------------------------------------------------------- */

/* One JSON file with the polygons of faces, in the pixels of their frames (docs/masks.md). Returns of how many faces. */
int64_t lk_polygons_export(lk_faceset *s, const int64_t *ids, int64_t count, const char *path, lk_error *err);
/* A face that the file names gets its polygons in place of those it had. All or nothing. Returns how many faces, or −1. */
int64_t lk_polygons_import(lk_faceset *s, const char *path, lk_error *err);

/* A folder of PNGs, white where the face shows, each named as `lk_faceset_export` names the face. Out: the masks that hold;
 * nothing is overwritten. In: painted masks; pictures that belong to no face are named in the log. Counts, or −1. */
int64_t lk_masks_export(lk_faceset *s, const int64_t *ids, int64_t count, const char *folder, lk_error *err);
int64_t lk_masks_import(lk_faceset *s, const char *folder, lk_error *err);

/* ---- By a network ------------------------------------------------------------------------------------------ */

/* Runs selfie_segmentation on the crops of these faces. device: lk_nn_wish. Returns how many have such a mask now, or −1. */
int64_t lk_faceset_segment(lk_faceset *s, const int64_t *ids, int64_t count, int device, lk_error *err);

#ifdef __cplusplus
}
#endif
#endif
