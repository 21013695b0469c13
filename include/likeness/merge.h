/* merge: a predicted face put back into its frame. */
#ifndef LIKENESS_MERGE_H
#define LIKENESS_MERGE_H

#include "likeness/train.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_composite_options {
    double erode; /* percent of the face's size by which the mask shrinks (negative: grows) */
    double blur;  /* percent of the face's size over which its border fades */
    int color;    /* 0 none, 1 rct (Reinhard in Lab) */
    int mask;     /* 0 predicted, 1 hull of dst, 2 their product */
} lk_composite_options;

/* One face. frame: float RGB of the window at (window.x, window.y) of the frame, changed in place; prediction: float RGB
 * [R, R]; mask: float [R, R]; original: float RGB [R, R], the aligned crop that was predicted from; frame_to_crop maps
 * frame pixels to the R×R crop. */
bool lk_composite(lk_image *frame, lk_rect window, const lk_image *prediction, const lk_image *mask,
                  const lk_image *original, lk_affine frame_to_crop, const lk_landmarks *points,
                  const lk_composite_options *o, lk_error *err);

typedef struct lk_merge_options {
    lk_composite_options composite;
    int crf;
    bool lossless;
    char *codec;
    char *preset;
    int64_t first, max; /* frames */
    bool folder;        /* PNGs */
} lk_merge_options;
extern const lk_option lk_merge_option_table[]; /* over lk_merge_options */

typedef struct lk_merge_report {
    int64_t frames, merged, untouched;
    double seconds;
} lk_merge_report;

bool lk_merge(const char *model_dir, const char *input, const char *faces, const char *output,
              const lk_merge_options *o, lk_merge_report *report, lk_error *err);

/* A contact sheet: rows of (before, after) pairs from two videos of equal frames, evenly spread; PNG. */
bool lk_contact_sheet(const char *before, const char *after, const char *png, int pairs, int64_t frames, lk_error *err);

#ifdef __cplusplus
}
#endif
#endif
