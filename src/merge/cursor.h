/* Inside the merge room: the faces of one video, in order of its frames. */
#ifndef LIKENESS_MERGE_CURSOR_H
#define LIKENESS_MERGE_CURSOR_H

#include "likeness/media.h"
#include "likeness/merge.h"

typedef struct lk_face_cursor {
    lk_faceset *set;
    lk_source source;
    int64_t last_frame; /* that has a face */
    int64_t *ids;
    int64_t count, at;
    bool loaded; /* `face` is that of ids[at] */
    lk_face face;
} lk_face_cursor;

/* Opens the faces file and finds `input`'s video in it, by fingerprint and size. The caller closes the cursor, after a
 * failure too. */
bool lk_face_cursor_open(lk_face_cursor *c, const char *faces, const char *input, const lk_media_info *info,
                         lk_error *err);
/* The next face of this frame, valid until the next call, or NULL in *face when it has no more. Frames are asked for in
 * rising order. */
bool lk_face_cursor_next(lk_face_cursor *c, int64_t frame, const lk_face **face, lk_error *err);
void lk_face_cursor_rewind(lk_face_cursor *c); /* to the first frame */
void lk_face_cursor_close(lk_face_cursor *c);

#endif
