/* Inside the merge room: which faces a model is for. */
#ifndef LIKENESS_MERGE_CHOICE_H
#define LIKENESS_MERGE_CHOICE_H

#include "likeness/faceset.h"

#define LK_MAX_TRACKS 256

typedef struct lk_choice {
    enum { LK_CHOOSE_ALL, LK_CHOOSE_LARGEST, LK_CHOOSE_LEFT, LK_CHOOSE_RIGHT, LK_CHOOSE_AT, LK_CHOOSE_TRACKS } kind;
    double x, y; /* at: shares of the frame's sides */
    int tracks[LK_MAX_TRACKS], count;
} lk_choice;

/* "all", "largest", "left", "right", "at:X,Y" (percent of the frame's width and height), "track:3,5", or
 * "like:ANNA.faces": the tracks of `set`'s source that show that person. */
bool lk_choice_parse(lk_choice *c, const char *text, lk_faceset *set, int64_t source, lk_error *err);
/* Marks in `chosen` [count] which faces of one frame are meant; those with `taken` set are not looked at. */
void lk_choice_apply(const lk_choice *c, const lk_face *faces, int count, int width, int height, const bool *taken,
                     bool *chosen);

#endif
