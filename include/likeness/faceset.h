/* faceset: the .faces file — one SQLite database with aligned faces and all that is known of them.
 * Its tables are documented in docs/faces-format.md. */
#ifndef LIKENESS_FACESET_H
#define LIKENESS_FACESET_H

#include "likeness/face.h"
#include "likeness/options.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_faceset lk_faceset;

typedef struct lk_face {
    int64_t id;        /* row of the file; 0 before it is added */
    int64_t source;    /* row of the source (video or folder) */
    int64_t frame;     /* index in the source */
    double time;       /* seconds */
    int track;         /* number within the source */
    lk_face_type type; /* of the stored crop */
    int size;          /* side of the stored crop, pixels */
    lk_affine frame_to_crop;
    lk_landmarks points; /* in the frame, smoothed */
    lk_landmarks crop_points;
    lk_mesh mesh; /* in the frame */
    lk_pose pose;
    float presence, sharpness, brightness;
    float mean[3], std[3]; /* of Lab inside the hull */
    float descriptor[LK_DESCRIPTOR];
    bool has_descriptor, removed;
    bool has_mesh;  /* a face that was imported has none; its pose comes from the landmarks */
    lk_rect bounds; /* of the landmarks, in the frame */
} lk_face;

typedef struct lk_source {
    int64_t id;
    char path[1024];
    int width, height;
    int64_t frames; /* that were read: known when complete */
    double fps;
    bool complete;        /* extraction ran to the end */
    char fingerprint[65]; /* SHA-256 of the file's first MiB and size: recognises the same video elsewhere */
} lk_source;

/* Use a faceset from one thread at a time; several may have the same file open. While a writer has it open a log
 * (NAME.faces-wal) lies beside it, and is folded in on closing. Creating never overwrites; opening checks application
 * id, version and integrity of the header. */
lk_faceset *lk_faceset_create(const char *path, lk_error *err);
lk_faceset *lk_faceset_open(const char *path, bool writable, lk_error *err);
void lk_faceset_close(lk_faceset *s);

bool lk_faceset_begin(lk_faceset *s, lk_error *err); /* a transaction: all of it or nothing */
bool lk_faceset_commit(lk_faceset *s, lk_error *err);
bool lk_faceset_rollback(lk_faceset *s); /* as if nothing had happened since the beginning of the transaction */

/* What lk_source.fingerprint holds, of the video (or folder: of its first file, and the number of files) at `path`. */
bool lk_source_fingerprint(const char *path, char hex[65], lk_error *err);
bool lk_faceset_add_source(lk_faceset *s, lk_source *source, lk_error *err);          /* sets source->id */
bool lk_faceset_update_source(lk_faceset *s, const lk_source *source, lk_error *err); /* frames, complete */
bool lk_faceset_clear_source(lk_faceset *s, int64_t id, lk_error *err);    /* the source and all its faces, for good */
int lk_faceset_sources(lk_faceset *s, lk_source **sources, lk_error *err); /* count or −1; caller frees */

/* jpeg: the aligned crop as encoded. Sets face->id. */
bool lk_faceset_add(lk_faceset *s, lk_face *face, const void *jpeg, size_t size, lk_error *err);
/* Everything of a face that is there, after its landmarks were changed; jpeg: NULL keeps the crop. The descriptor stays. */
bool lk_faceset_update(lk_faceset *s, const lk_face *face, const void *jpeg, size_t size, lk_error *err);
bool lk_faceset_set_removed(lk_faceset *s, int64_t id, bool removed, lk_error *err);
/* For good: every face that is removed, and the room that it took. Returns how many, or −1. */
int64_t lk_faceset_prune(lk_faceset *s, lk_error *err);

typedef struct lk_faceset_query {
    int64_t source; /* 0: all */
    bool with_removed;
    bool one_per_frame; /* only the largest face of each frame */
    bool sorted;        /* as lk_faceset_sort left them, faces that came later at the end */
} lk_faceset_query;
int64_t lk_faceset_count(lk_faceset *s, const lk_faceset_query *q, lk_error *err); /* −1 on failure */
/* Ids in order of source and frame unless sorted; count or −1; caller frees. */
int64_t lk_faceset_ids(lk_faceset *s, const lk_faceset_query *q, int64_t **ids, lk_error *err);
bool lk_faceset_get(lk_faceset *s, int64_t id, lk_face *face, lk_error *err);
/* The crop's bytes; caller frees. */
bool lk_faceset_jpeg(lk_faceset *s, int64_t id, void **data, size_t *size, lk_error *err);

/* Marks as removed the faces of everyone but the person who takes up most of the picture: all tracks whose mean
 * identity descriptors are alike are one person. Faces of which no identity is known stay. *removed: how many went. */
bool lk_faceset_keep_main_person(lk_faceset *s, int64_t *removed, lk_error *err);

/* ---- Exchange ---------------------------------------------------------------------------------------------- */

/* Folders of DeepFaceLab's aligned JPEGs and PNGs; docs/exchange.md. Each picture's bytes are kept as they are, with all
 * that is in them. */
typedef struct lk_import_options {
    int first_number;  /* what DeepFaceLab called the first frame: its numbers minus this are ours */
    bool plain;        /* pictures without data of a face are taken as crops, and the face in them is looked for */
    lk_face_type type; /* of such crops */
} lk_import_options;
extern const lk_option lk_import_option_table[];

typedef struct lk_import_report {
    int64_t files; /* pictures in the folder */
    int64_t added;
    int64_t already; /* were in the faceset before: importing again goes on where it was cut short */
    int64_t twice;   /* claim the same face as another file of the folder */
    int64_t foreign; /* hold no data of a face */
    int64_t damaged; /* or of a kind that is not understood */
    double seconds;
} lk_import_report;

/* Into a set that is open for writing. Every picture that is left out is named in the log with the reason. When it fails
 * in the middle (a full disk), what was added before stays. report: may be NULL. */
bool lk_faceset_import(lk_faceset *s, const char *folder, const lk_import_options *o, lk_import_report *report,
                       lk_error *err);

typedef struct lk_export_options {
    bool plain; /* pictures alone, without data of the face */
    bool with_removed;
} lk_export_options;
extern const lk_option lk_export_option_table[];

typedef struct lk_export_report {
    int64_t written, there; /* `there`: had the same content already */
    double seconds;
} lk_export_report;

/* Every face as a file that DeepFaceLab reads, in the kept order; the folder is made when it is not there. A face that was
 * imported and not changed is written byte by byte as it came. A file of other content is never overwritten. */
bool lk_faceset_export(lk_faceset *s, const char *folder, const lk_export_options *o, lk_export_report *report,
                       lk_error *err);

/* ---- Looking ---------------------------------------------------------------------------------------------- */

/* A PNG with columns × rows crops of the set, evenly spread over all that are not removed; with `landmarks` the 68
 * points are drawn on them, with `masks` what the mask that holds leaves out is darkened: blue where it lies in the hull.
 * Fewer faces than cells make a smaller sheet; fails when there is none. */
bool lk_faceset_sheet(lk_faceset *s, const char *path, int columns, int rows, bool landmarks, bool masks,
                      lk_error *err);

/* ---- Extraction ------------------------------------------------------------------------------------------ */

typedef struct lk_extract_options {
    lk_face_type type;
    int size, quality; /* of the stored crop, 16–2048 pixels; JPEG quality, 1–100 */
    int every;         /* every n-th frame; 0 and 1: all */
    int64_t max;       /* frames per input; 0: all */
    int64_t first;     /* first frame */
    int max_faces;     /* per frame; 0: 8 */
    lk_detect_options detect;
    double smooth; /* sigma in frames; 0: none */
    bool descriptors;
    int device; /* lk_nn_wish */
    bool nvdec; /* as lk_reader_options has it */
} lk_extract_options;

extern const lk_option lk_extract_option_table[]; /* of lk_extract_options */

typedef struct lk_extract_report {
    int64_t frames, faces, without_face, several; /* of the inputs that were done now, not of those skipped */
    double seconds;
} lk_extract_report;

/* All inputs into one faceset (created when absent). An input that is complete in it already is skipped; one that was
 * interrupted is done again. An input in which no face is found is an error (LK_ERR_NOT_FOUND); inputs before it are
 * kept. A new file in which no input came to its end is not left behind. report: may be NULL. */
bool lk_extract(const char *const *inputs, int count, const char *output, const lk_extract_options *o,
                lk_extract_report *report, lk_error *err);

#ifdef __cplusplus
}
#endif
#endif
