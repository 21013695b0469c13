/* merge: a predicted face put back into its frame. */
#ifndef LIKENESS_MERGE_H
#define LIKENESS_MERGE_H

#include "likeness/train.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum lk_mask_mode { LK_MASK_PREDICTED, LK_MASK_HULL, LK_MASK_PRODUCT } lk_mask_mode;
typedef enum lk_color_mode { LK_COLOR_NONE, LK_COLOR_RCT } lk_color_mode;

/* Percentages are of the face's size: the square root of the mask's area. */
typedef struct lk_composite_options {
    double erode; /* percent by which the mask shrinks (negative: grows) */
    double blur;  /* percent over which it fades, from its border inwards */
    int color;    /* lk_color_mode; rct: Reinhard et al. 2001, in Lab */
    int mask;     /* lk_mask_mode: predicted, hull of dst's landmarks, or their product */
} lk_composite_options;

/* One face; see docs/merge.md for the formulas. frame: float RGB of the window at (window.x, window.y) of the frame,
 * changed in place; prediction: float RGB [R, R]; mask: float [R, R] (NULL where the hull alone is used); original:
 * float RGB [R, R], the aligned crop that was predicted from; frame_to_crop maps frame pixels to the R×R crop; points:
 * landmarks in the frame. A face whose mask is empty changes nothing. */
bool lk_composite(lk_image *frame, lk_rect window, const lk_image *prediction, const lk_image *mask,
                  const lk_image *original, lk_affine frame_to_crop, const lk_landmarks *points,
                  const lk_composite_options *o, lk_error *err);

typedef struct lk_merge_options {
    lk_composite_options composite;
    int crf;
    bool lossless;
    char *codec;        /* libav's name; NULL: H.264 */
    char *preset;       /* of the codec; NULL: its default */
    int64_t first, max; /* frames; max 0: all */
    bool folder;        /* a folder of PNGs */
} lk_merge_options;
extern const lk_option lk_merge_option_table[]; /* over lk_merge_options */

typedef struct lk_merge_report {
    int64_t frames, merged, untouched; /* merged: frames with at least one face swapped */
    double seconds;
} lk_merge_report;

/* Put the swap of each face that `faces` has of `input` into its frame, and write the video to `output`. Frames without
 * a face pass through as they came. `faces` must have been extracted from this very video. On failure, and when
 * interrupted (LK_ERR_INTERRUPTED), nothing is left behind. */
bool lk_merge(const char *model_dir, const char *input, const char *faces, const char *output,
              const lk_merge_options *o, lk_merge_report *report, lk_error *err);

/* A contact sheet: pairs of frames, before to the left of after, evenly spread over `frames` frames (0: as many as
 * `after` says it has). Frame i of `after` stands for frame first + i of `before`. PNG, at most 1600 pixels wide. */
bool lk_contact_sheet(const char *before, const char *after, const char *png, int pairs, int64_t first, int64_t frames,
                      lk_error *err);

#ifdef __cplusplus
}
#endif
#endif
