/* What the parts of extraction hand to one another: first every face of an input is found (find.c), its points are
 * smoothed over time, then the crops are cut from a second look at the input (cut.c). */
#ifndef LIKENESS_EXTRACT_H
#define LIKENESS_EXTRACT_H

#include <stdatomic.h>

#include "likeness/faceset.h"
#include "likeness/media.h"
#include "look.h"

#define LK_MAX_FACES     16 /* in one frame */
#define LK_DESCRIBE_EACH 8  /* of the faces of a track, one in so many gets a descriptor: they are alike */

typedef struct lk_found {
    int64_t frame;
    double time;
    int track;
    bool describe; /* wants an identity descriptor */
    float presence;
    lk_landmarks points;
    lk_mesh mesh;
} lk_found;

/* In order of frames. */
typedef struct lk_finds {
    lk_found *items;
    int64_t count, room;
    int64_t frames, without_face, several;
    int width, height; /* of the first frame */
    double fps;        /* 0: pictures that need not follow one another */
    bool is_video;
} lk_finds;

/* An input among others that are looked through at the same time: only one tells how far it is. */
typedef struct lk_turn {
    const atomic_int *current; /* the input that tells */
    const atomic_bool *stop;   /* all of them give up, as after an interruption */
    int number;                /* of this input */
} lk_turn;

/* turn: NULL when there are no others. */
bool lk_find_faces(lk_face_nets *nets, const char *input, const lk_extract_options *o, const lk_turn *turn,
                   lk_finds *finds, lk_error *err);

/* search.c: inputs looked through side by side, each by a thread of its own, a few ahead of the one that is taken.
 * device: lk_nn_device. */
typedef struct lk_search lk_search;
lk_search *lk_search_start(const char *const *inputs, int count, int threads, const lk_extract_options *o, int device,
                           lk_error *err);
/* The finds of inputs 0, 1, 2, … in this order; waits for them. Caller frees finds->items, after a failure too. */
bool lk_search_take(lk_search *s, lk_finds *finds, lk_error *err);
void lk_search_end(lk_search *s); /* whatever is not taken is given up */
/* Over time, track by track; also says which faces are to be described. */
bool lk_smooth_finds(lk_finds *finds, const lk_extract_options *o, lk_error *err);

/* Cuts, measures and stores every find, in transactions of some dozen frames; marks the source complete in the last. */
bool lk_cut_faces(lk_face_nets *nets, lk_faceset *s, lk_source *source, const lk_finds *finds, const char *input,
                  const lk_extract_options *o, lk_error *err);

/* Align one face by its points, cut its crop from the frame and measure it: fills frame_to_crop, crop_points, bounds and
 * figures. Caller frees *jpeg. Fails when the points make no crop. */
bool lk_cut_face(lk_frame *frame, lk_face *face, int quality, lk_look *look, void **jpeg, size_t *size, lk_error *err);

lk_reader_options lk_extract_range(const lk_extract_options *o);

#endif
