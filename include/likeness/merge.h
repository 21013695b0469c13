/* merge: a predicted face put back into its frame. */
#ifndef LIKENESS_MERGE_H
#define LIKENESS_MERGE_H

#include "likeness/train.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum lk_merge_mode {
    LK_MODE_OVERLAY,
    LK_MODE_HIST_MATCH,    /* each channel's histogram becomes dst's */
    LK_MODE_HIST_MATCH_BW, /* the luma's histogram does */
    LK_MODE_SEAMLESS,      /* Poisson: the prediction's gradients, dst's colours around it */
    LK_MODE_SEAMLESS_HIST_MATCH,
    LK_MODE_RAW_FACE,       /* the prediction's whole square on the frame, as it is */
    LK_MODE_RAW_FACE_MASK,  /* the same on black, within its mask */
    LK_MODE_RAW_MASK,       /* the mask, white on black */
    LK_MODE_RAW_PREDICTION, /* the prediction's whole square on black */
} lk_merge_mode;
typedef enum lk_mask_mode {
    LK_MASK_PREDICTED,
    LK_MASK_HULL, /* of dst's landmarks */
    LK_MASK_PRODUCT,
    LK_MASK_SEGMENTED, /* the next three are the faces file's (likeness/masks.h); a face without: its hull */
    LK_MASK_TRAINED,
    LK_MASK_PAINTED, /* or drawn as polygons */
} lk_mask_mode;
/* Which of the faces file's masks takes away what lies before the face, whatever the mask; a face without loses nothing. */
typedef enum lk_cut_mode { LK_CUT_ANY, LK_CUT_SEGMENTED, LK_CUT_TRAINED, LK_CUT_PAINTED, LK_CUT_NONE } lk_cut_mode;
typedef enum lk_color_mode {
    LK_COLOR_NONE,
    LK_COLOR_RCT, /* Reinhard et al. 2001, in Lab */
    LK_COLOR_MKL, /* linear by covariance: Monge-Kantorovich (Pitié & Kokaram 2007) */
    LK_COLOR_PCA, /* linear by covariance: roots along the principal axes */
    LK_COLOR_IDT, /* iterative distribution transfer (Pitié et al. 2005) */
    LK_COLOR_SOT, /* sliced optimal transport */
} lk_color_mode;

/* Percentages are of the face's size (the square root of the mask's area) where they are lengths. */
typedef struct lk_composite_options {
    int mode;                /* lk_merge_mode */
    int mask;                /* lk_mask_mode */
    int cut;                 /* lk_cut_mode */
    double erode;            /* percent by which the mask shrinks (negative: grows), −200 to 200 */
    double blur;             /* percent over which it fades, from its border inwards, 0 to 200 */
    int color;               /* lk_color_mode */
    bool whole_color;        /* statistics of colours over the whole crop, not only where the face shows */
    double scale;            /* percent by which the face is enlarged, −50 to 50 */
    double sharpen;          /* percent of unsharp masking; negative: softened */
    int sharpen_kernel;      /* 0 Gaussian, 1 box */
    double motion_blur;      /* percent of the face's way between two frames over which it is smeared */
    double grain;            /* percent of the noise that the frame has and the face lacks */
    double super_resolution; /* percent of the frame's detail beyond the model's resolution that is kept */
    double denoise;          /* percent of a median over the frame, before the face goes in */
    double bicubic;          /* percent by which the frame is made smaller and enlarged again before */
    double color_degrade;    /* percent of the frame in 256 colours, afterwards */
} lk_composite_options;

/* One face; see docs/merge.md for the formulas. frame: float RGB of the window at (window.x, window.y) of the frame,
 * changed in place; prediction: float RGB [R, R]; mask: float [R, R] (NULL where the hull alone is used); original:
 * float RGB [R, R], the aligned crop that was predicted from; frame_to_crop maps frame pixels to the R×R crop; points:
 * landmarks in the frame. A face whose mask is empty changes nothing. What needs other frames (motion blur, steadiness)
 * or the whole frame (the last three options) is not done here. */
bool lk_composite(lk_image *frame, lk_rect window, const lk_image *prediction, const lk_image *mask,
                  const lk_image *original, lk_affine frame_to_crop, const lk_landmarks *points,
                  const lk_composite_options *o, lk_error *err);

typedef struct lk_merge_options {
    lk_composite_options composite;
    double steady;   /* sigma in frames over which mask and colours are averaged; 0: not at all */
    char *who;       /* which faces: all, largest, left, right, at:X,Y, track:N or like:FILE.faces; NULL: all */
    lk_strings also; /* MODEL_DIR=WHICH: other models for other people */
    char *session;   /* options by frame, JSON Lines; NULL: none */
    bool alpha;      /* the mask as a fourth channel */
    int crf;
    bool lossless;
    char *codec;        /* libav's name; NULL: H.264 */
    char *preset;       /* of the codec; NULL: its default */
    int64_t first, max; /* frames; max 0: all */
    bool folder;        /* a folder of PNGs */
    int part;           /* frames of the output that are encoded together */
    bool keep;          /* the parts of the output, so that frames can be done again */
    char *frames;       /* "120..180": do only these again, in an output whose parts were kept; NULL: all */
    int device;         /* lk_nn_wish */
    bool nvdec;         /* as lk_reader_options has it */
} lk_merge_options;
/* Over lk_merge_options. Its first entries are those of the composite alone, which a session may set. */
extern const lk_option lk_merge_option_table[];
#define LK_COMPOSITE_OPTION_COUNT 16

/* Seconds, summed over threads: where the time goes. Decoding and encoding run beside; of them only the waiting counts. */
typedef struct lk_merge_stages {
    double decode, crop, predict, prepare, blend, encode;
} lk_merge_stages;

typedef struct lk_merge_report {
    int64_t frames;            /* of the output */
    int64_t merged, untouched; /* done now: with at least one face swapped, with none */
    int64_t kept;              /* done by an earlier run */
    double seconds;
    lk_merge_stages stages;
} lk_merge_report;

/* Put the swap of each face that `faces` has of `input` into its frame, and write the video to `output`. Frames without
 * a face pass through as they came. `faces` must have been extracted from this very video. On failure, and when
 * interrupted (LK_ERR_INTERRUPTED), there is no output; a video's finished parts, or a folder's pictures, stay in
 * OUTPUT.parts, and the same call goes on from there. */
bool lk_merge(const char *model_dir, const char *input, const char *faces, const char *output,
              const lk_merge_options *o, lk_merge_report *report, lk_error *err);

/* One frame, before and after, and below for each face (at most 4): its crop, the prediction, the predicted mask, the mask
 * that is used, and the face as it goes into the frame. A PNG (or JPEG) by `picture`'s ending. */
bool lk_merge_preview(const char *model_dir, const char *input, const char *faces, int64_t frame, const char *picture,
                      const lk_merge_options *o, lk_error *err);

/* Two complaints measured, in levels of 255, in the same aligned crops of both videos; see docs/merge.md. border: mean
 * slope of luma across the edge of dst's hull; flicker: mean |second difference in time| of luma inside it. */
typedef struct lk_merge_quality {
    double border_before, border_after, flicker_before, flicker_after;
    int64_t frames, faces;
} lk_merge_quality;
/* Frame i of `after` stands for frame first + i of `before`; faces: of `before`; max 0: all frames. */
bool lk_merge_measure(const char *before, const char *after, const char *faces, int64_t first, int64_t max,
                      lk_merge_quality *q, lk_error *err);

/* A contact sheet: pairs of frames, before to the left of after, evenly spread over `frames` frames (0: as many as
 * `after` says it has). Frame i of `after` stands for frame first + i of `before`. PNG, at most 1600 pixels wide. */
bool lk_contact_sheet(const char *before, const char *after, const char *png, int pairs, int64_t first, int64_t frames,
                      lk_error *err);

#ifdef __cplusplus
}
#endif
#endif
