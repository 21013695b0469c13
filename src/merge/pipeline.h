/* Inside the merge room: a frame on its way, and everything that is open while a video is merged. */
#ifndef LIKENESS_MERGE_PIPELINE_H
#define LIKENESS_MERGE_PIPELINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "blend.h"
#include "choice.h"
#include "cursor.h"
#include "mask.h"
#include "session.h"

#define LK_MERGE_BATCH 8  /* faces a prediction */
#define LK_MAX_FACES   32 /* a frame */
#define LK_MAX_PEOPLE  8
#define LK_MAX_REACH   10 /* frames on each side that can steady a face: twice the largest sigma */
#define LK_THUMB       16 /* side of the coarse luma by which a cut is noticed */

typedef struct lk_face_job {
    int person, track;
    lk_landmarks points;
    lk_affine frame_to_crop;
    lk_image crop, under, swap, mask; /* float: RGB [R, R], the same on the output's grid, RGB [R, R], [R, R] */
    lk_image masks[LK_FACE_MASKS];    /* of the faces file, as far as they are needed; 8-bit, on the mask's grid */
    float thumb[LK_THUMB * LK_THUMB];
    lk_blend blend;
    lk_colors colors; /* of dst, where they are matched */
} lk_face_job;

typedef struct lk_frame_job {
    lk_frame *frame;
    int64_t index;
    bool wanted; /* it is written; others only steady those beside them */
    lk_composite_options options;
    int layer; /* of the session */
    int count;
    lk_face_job *faces;      /* [count] */
    bool prepared, composed; /* guarded by the line's lock */
} lk_frame_job;

/* A model, and whose faces it is for. */
typedef struct lk_person {
    char *dir;
    lk_model *model;
    lk_choice choice;
    lk_face_type type;
    int side, batch;
    bool no_mask; /* the model predicts none: the hull is used */
    float *faces, *swap, *mask;
} lk_person;

typedef struct lk_merge_job {
    const lk_merge_options *o;
    const char *input;
    int device; /* lk_nn_device, of all models */
    lk_media_info info;
    lk_reader *reader;
    lk_face_cursor cursor;
    lk_face *found; /* [LK_MAX_FACES], of the frame in hand */
    lk_session *session;
    char *session_text; /* what its file holds; NULL: none */
    lk_person people[LK_MAX_PEOPLE];
    int person_count, threads;
    int radius, reach;    /* frames that steady a face; frames that a frame needs on each side */
    int64_t first, last;  /* frames to write in this run */
    int64_t ended_at;     /* the last frame read; −1: none */
    pthread_mutex_t lock; /* of the following */
    lk_merge_stages stages;
} lk_merge_job;

/* gather.c: everything that is read, opened; the reader is not. The caller releases the job, after a failure too. */
bool lk_job_open(lk_merge_job *m, const char *model_dir, const char *input, const char *faces,
                 const lk_merge_options *o, lk_error *err);
void lk_job_release(lk_merge_job *m);
void lk_job_set_reach(lk_merge_job *m); /* by options and session */
/* Opens the reader for frames first..last and those around them that they need. */
bool lk_job_seek(lk_merge_job *m, int64_t first, int64_t last, lk_error *err);
/* The next frame with the crops of its faces; NULL at the end (err->code LK_OK) or on an error. */
lk_frame_job *lk_gather(lk_merge_job *m, lk_error *err);
void lk_frame_job_free(lk_frame_job *job);

/* The aligned crop, straight from the frame, float RGB, allocated here. A face much larger than the crop is cut at a
 * multiple of its size and averaged down. Stays without an image when the crop lies beside the frame. */
bool lk_cut_crop(lk_frame *frame, lk_affine frame_to_crop, int side, lk_image *crop, lk_error *err);

/* predict.c */
bool lk_predict_frames(lk_merge_job *m, lk_frame_job *const *jobs, int count, lk_error *err);

/* compose.c */
bool lk_prepare_frame(lk_merge_job *m, lk_frame_job *job, lk_error *err);
/* around: the frames beside it in order, itself being around[own]. */
bool lk_compose_frame(lk_merge_job *m, lk_frame_job *const *around, int count, int own, lk_error *err);
/* One face as it will be blended: steadied and finished. The caller frees the blend, after a failure too. */
bool lk_finished_face(const lk_merge_job *m, lk_frame_job *const *around, int count, int own, int face, lk_blend *b,
                      lk_error *err);

/* Adds seconds to one of m->stages. */
void lk_stage_add(lk_merge_job *m, double *stage, double seconds);

#endif
