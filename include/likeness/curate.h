/* curate: knowing a faceset and putting it right — figures, selections, sorts, who is in it. Part of the faceset room.
 *
 * Figures are numbers of each face that are stored or follow from what is stored; pixels are read only for faces whose
 * colours were not measured before. Removing is a flag (lk_faceset_mark), undone by the same call, made final by
 * lk_faceset_prune. docs/curate.md explains every figure and sort. */
#ifndef LIKENESS_CURATE_H
#define LIKENESS_CURATE_H

#include <jansson.h>

#include "likeness/faceset.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum lk_figure {
    LK_FIGURE_ID,
    LK_FIGURE_SOURCE,
    LK_FIGURE_FRAME,
    LK_FIGURE_TIME,
    LK_FIGURE_TRACK,
    LK_FIGURE_TYPE, /* lk_face_type */
    LK_FIGURE_SIZE,
    LK_FIGURE_YAW,
    LK_FIGURE_PITCH,
    LK_FIGURE_ROLL,
    LK_FIGURE_PRESENCE,
    LK_FIGURE_SHARPNESS,
    LK_FIGURE_BRIGHTNESS,
    LK_FIGURE_MEAN_L,
    LK_FIGURE_MEAN_A,
    LK_FIGURE_MEAN_B,
    LK_FIGURE_STD_L,
    LK_FIGURE_STD_A,
    LK_FIGURE_STD_B,
    LK_FIGURE_X,
    LK_FIGURE_Y,
    LK_FIGURE_WIDTH,
    LK_FIGURE_HEIGHT,
    LK_FIGURE_REMOVED,
    LK_FIGURE_HUE,
    LK_FIGURE_BLACK,
    LK_FIGURE_MOTION_BLUR,
    LK_FIGURE_MOUTH, /* how far the lips are apart, of the mouth's width */
    LK_FIGURE_EYES,  /* height of the eyes, of their width: mean of both */
    LK_FIGURE_FACES, /* in the frame, removed ones not counted */
    LK_FIGURES,
} lk_figure;

extern const struct lk_figure_info { const char *name, *help; } lk_figure_table[LK_FIGURES];

typedef struct lk_figures {
    int64_t count;
    double *values[LK_FIGURES]; /* [count] each, in the order of the query; finite */
} lk_figures;

/* q: NULL for all that are not removed. */
bool lk_faceset_figures(lk_faceset *s, const lk_faceset_query *q, lk_figures *figures, lk_error *err);
void lk_figures_free(lk_figures *figures);

/* A table of all figures, JSON or CSV with one header line, in the kept order; caller frees. */
char *lk_faceset_list(lk_faceset *s, const int64_t *ids, int64_t count, bool csv, lk_error *err);

/* ---- Selecting -------------------------------------------------------------------------------------------- */

/* Ids, in the kept order, of faces for which a condition holds: "yaw < -30 and sharpness > 40". Figures by name, numbers,
 * + - * / < <= > >= = != and or not, parentheses, abs(x), and rank(figure): the share of faces below, 0–1. An error names
 * the place. Count or −1; caller frees. */
int64_t lk_faceset_select(lk_faceset *s, const char *condition, bool with_removed, int64_t **ids, lk_error *err);

/* Takes faces out, or back in: all or none of them. Returns how many changed, or −1. */
int64_t lk_faceset_mark(lk_faceset *s, const int64_t *ids, int64_t count, bool removed, lk_error *err);
/* Takes out every face that is not listed. Returns how many went, or −1. */
int64_t lk_faceset_keep(lk_faceset *s, const int64_t *ids, int64_t count, lk_error *err);

/* ---- Sorting ---------------------------------------------------------------------------------------------- */

typedef enum lk_sort {
    LK_SORT_ORIGINAL,
    LK_SORT_BLUR,
    LK_SORT_MOTION_BLUR,
    LK_SORT_YAW,
    LK_SORT_PITCH,
    LK_SORT_ROLL,
    LK_SORT_SIZE,
    LK_SORT_BRIGHTNESS,
    LK_SORT_HUE,
    LK_SORT_BLACK,
    LK_SORT_MOUTH,
    LK_SORT_EYES,
    LK_SORT_ONE_FACE,
    LK_SORT_FACE,
    LK_SORT_FACE_DISSIMILAR,
    LK_SORT_HISTOGRAM,
    LK_SORT_HISTOGRAM_DISSIMILAR,
    LK_SORT_PIXELS,
    LK_SORT_PIXELS_DISSIMILAR,
    LK_SORT_PERSON,
    LK_SORT_FINAL,
    LK_SORT_BEST,
    LK_SORTS,
} lk_sort;
extern const char *const lk_sort_names[]; /* NULL-terminated */
extern const char *const lk_sort_help[];

/* Puts the faces that are not removed in order and keeps it in the file. */
bool lk_faceset_sort(lk_faceset *s, lk_sort by, bool reverse, lk_error *err);

/* The `target` faces that serve training best, by LK_SORT_FINAL or LK_SORT_BEST; the others are taken out. Returns how
 * many are left, or −1. */
int64_t lk_faceset_best(lk_faceset *s, lk_sort by, int64_t target, lk_error *err);

/* Ids of faces that are nearly the same picture as a sharper one that stays; `distance`: root of the mean squared
 * difference of the thumbnails, in 8-bit units. Count or −1; caller frees. */
int64_t lk_faceset_duplicates(lk_faceset *s, double distance, int64_t **ids, lk_error *err);

/* ---- Who is in it ----------------------------------------------------------------------------------------- */

/* Identity descriptors for faces that lack one: one in so many of a track, the first always. */
bool lk_faceset_describe(lk_faceset *s, int each, int64_t *described, lk_error *err);

typedef struct lk_people {
    int64_t count; /* faces that are not removed */
    int64_t *ids;
    int *person;        /* of each face: 0 for whom most of the faces show, then 1, …; −1: nothing is known */
    double *similarity; /* of each face's track to its person's mean, or to the face asked for; −1…1, −2: not known */
    int people;
} lk_people;

/* Faces of tracks whose mean descriptors are alike are one person. */
bool lk_faceset_people(lk_faceset *s, lk_people *people, lk_error *err);
/* The same, but similarity is that to the (largest) face in a picture. */
bool lk_faceset_people_like(lk_faceset *s, const char *image, lk_people *people, lk_error *err);
void lk_people_free(lk_people *people);

#define LK_SAME_PERSON 0.65 /* cosine; two clips of one man give 0.87 on average, two men 0.49 */

/* ---- Landmarks that are likely wrong ---------------------------------------------------------------------- */

typedef enum lk_doubt {
    LK_DOUBT_JUMP,  /* they leave the way between the frames before and after */
    LK_DOUBT_SHAPE, /* no mixture of the shapes that the set's faces have */
    LK_DOUBT_POSE,  /* they and the mesh disagree on how the face is turned */
    LK_DOUBT_LOOK,  /* the network finds other ones in the stored crop, or no face */
    LK_DOUBTS,
} lk_doubt;
extern const char *const lk_doubt_names[]; /* "jump", "shape", "pose", "look" */

typedef struct lk_suspect {
    int64_t id, source, frame;
    lk_doubt why;
    double score; /* 1: as far off as is still believed; the worst doubt of the face */
} lk_suspect;

/* The worst first, each face once. look: run the mesh network on every crop (some ms each). Count or −1; caller frees. */
int64_t lk_faceset_suspects(lk_faceset *s, bool look, lk_suspect **suspects, lk_error *err);

/* ---- Repairing landmarks ---------------------------------------------------------------------------------- */

/* Frames as text: "120" or "120-130,150,200-". A list of ranges, first to last, both included. */
typedef struct lk_faceset_frames {
    int64_t first, last;
} lk_faceset_frames;
/* Count or −1; caller frees. */
int lk_faceset_frames_parse(const char *text, lk_faceset_frames **ranges, lk_error *err);
bool lk_faceset_frames_have(const lk_faceset_frames *ranges, int count, int64_t frame);

/* JSON with the points of these faces in their frames, for correction by hand (docs/curate.md). */
bool lk_landmarks_export(lk_faceset *s, const int64_t *ids, int64_t count, const char *path, lk_error *err);
/* Takes in such a file: faces whose points differ are aligned, cut and measured anew from their source. An imported face
 * keeps its crop, and its points move in it. All or nothing. Returns how many changed, or −1. */
int64_t lk_landmarks_import(lk_faceset *s, const char *path, lk_error *err);

/* Fills gaps of at most `longest` frames in tracks: points between those of the faces before and after; frames that are
 * marked as having no face stay without. Returns how many faces came, or −1. source 0: all. */
int64_t lk_landmarks_interpolate(lk_faceset *s, int64_t source, const lk_faceset_frames *ranges, int count,
                                 int64_t longest, lk_error *err);

/* Looks at these frames again, more closely: whole and in tiles, for small, turned and faint faces. A face that is there
 * gets the new points; one that was missed is added. Returns how many faces were found, or −1. */
int64_t lk_faceset_redo(lk_faceset *s, int64_t source, const lk_faceset_frames *ranges, int count, lk_error *err);

/* Marks frames as having no face (or not): their faces are taken out, and neither extraction again nor interpolation puts
 * any in. Returns how many faces went, or −1. */
int64_t lk_faceset_mark_absent(lk_faceset *s, int64_t source, const lk_faceset_frames *ranges, int count, bool absent,
                               lk_error *err);

/* ---- Report ----------------------------------------------------------------------------------------------- */

/* What a set is like, what it lacks for `dst` (may be NULL), and what to do about it. html: path of a page that needs
 * nothing from outside, or NULL; json: gets a new reference, or NULL. */
bool lk_faceset_report(lk_faceset *src, lk_faceset *dst, const char *html, json_t **json, lk_error *err);

#ifdef __cplusplus
}
#endif
#endif
