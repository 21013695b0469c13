/* Faces that get new landmarks, and what cuts them from their source. */
#ifndef LIKENESS_REPAIR_H
#define LIKENESS_REPAIR_H

#include "likeness/curate.h"
#include "likeness/media.h"

typedef struct lk_edit {
    int64_t id; /* 0: a new face */
    int64_t source, frame;
    int track;
    lk_landmarks points;
    lk_mesh *mesh; /* owned; NULL: none, pose comes from the points */
    float presence;
} lk_edit;

typedef struct lk_edits {
    lk_edit *items;
    int64_t count, room;
} lk_edits;

bool lk_edits_add(lk_edits *edits, const lk_edit *e, lk_error *err);
void lk_edits_free(lk_edits *edits);
/* Cut and store all of them, in one transaction. A new face takes type and size from the source's first. */
bool lk_edits_apply(lk_faceset *s, lk_edits *edits, lk_error *err);

/* Frames of a source one after another, in ascending order; skips far ahead where that is faster. */
typedef struct lk_cursor {
    lk_reader *in;
    const char *path;
    int64_t next;
} lk_cursor;
/* NULL with an error when the source has no such frame or is not there any more. Caller frees the frame. */
lk_frame *lk_cursor_frame(lk_cursor *c, int64_t frame, lk_error *err);
void lk_cursor_close(lk_cursor *c);

bool lk_find_source(lk_faceset *s, int64_t id, lk_source *source, lk_error *err);
bool lk_is_absent(lk_faceset *s, int64_t source, int64_t frame, bool *absent, lk_error *err);

#endif
