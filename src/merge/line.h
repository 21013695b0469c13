/* Inside the merge room: frames in a row between the threads that work on them. A frame is prepared by any worker; it is
 * composed when the frames around it are prepared; it is handed out in order, and freed when no other needs it. */
#ifndef LIKENESS_MERGE_LINE_H
#define LIKENESS_MERGE_LINE_H

#include "pipeline.h"

typedef struct lk_line lk_line;

/* reach: how many frames on each side a frame needs; room: how many there may be at once, at least 2·reach + 4. */
lk_line *lk_line_new(int reach, int room, lk_error *err);
void lk_line_free(lk_line *l); /* and all frames in it */

bool lk_line_push(lk_line *l, lk_frame_job *job); /* waits for room; false when stopped: the job stays the caller's */
void lk_line_end(lk_line *l);                     /* nothing more will be pushed */
void lk_line_stop(lk_line *l);                    /* everyone comes back with nothing */

typedef struct lk_line_task {
    lk_frame_job *prepare; /* or: */
    lk_frame_job **around; /* [count], to compose around[own] */
    int count, own;
    int64_t number;
} lk_line_task;
/* Waits for work; false when there is none any more. room: at least 2·reach + 1 pointers, for `around`. */
bool lk_line_take(lk_line *l, lk_line_task *task, lk_frame_job **room);
void lk_line_done(lk_line *l, const lk_line_task *task);

/* The next frame in order, composed; NULL at the end or when stopped. It stays the line's, until the next call. */
lk_frame_job *lk_line_next(lk_line *l);

#endif
