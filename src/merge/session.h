/* Inside the merge room: options by frame, from a session file (docs/merge.md). */
#ifndef LIKENESS_MERGE_SESSION_H
#define LIKENESS_MERGE_SESSION_H

#include "likeness/merge.h"

typedef struct lk_session lk_session;

/* An error names the file and the line. text: what the file holds; copied. */
lk_session *lk_session_parse(const char *path, const char *text, lk_error *err);
/* The text of the session's file; caller frees. */
char *lk_session_load(const char *path, lk_error *err);
void lk_session_free(lk_session *s);
/* Fails when a line names frames that a video of `frames` frames does not have. */
bool lk_session_check(const lk_session *s, const char *input, int64_t frames, lk_error *err);
/* Layers: a line {"within": "A..B"} begins one, as when frames are done again; the lines before it are layer 0. The last
 * layer that has this frame: */
int lk_session_layer(const lk_session *s, int64_t frame);
/* What the session says of a frame up to that layer, written over *o; NULL says nothing. */
void lk_session_apply(const lk_session *s, int64_t frame, int layer, lk_composite_options *o);
/* Whether any line, or *o itself, asks for motion blur. */
bool lk_session_has_motion(const lk_session *s, const lk_composite_options *o);

/* "120..180", "120..", "..180" or "120": the first and the last frame; last INT64_MAX where it is open. */
bool lk_frames_parse(const char *text, int64_t *first, int64_t *last, lk_error *err);

/* A line of a session that sets these options for these frames: JSON without a newline; caller frees. */
char *lk_session_line(const lk_composite_options *o, int64_t first, int64_t last, lk_error *err);
/* The options of a composite alone, as a table over lk_composite_options. */
const lk_option *lk_composite_table(void);

#endif
