/* The pretrained networks of this room, opened. */
#ifndef LIKENESS_FACE_NETS_H
#define LIKENESS_FACE_NETS_H

#include "likeness/face.h"
#include "likeness/nn.h"

struct lk_face_nets {
    int device;                                           /* lk_nn_device */
    lk_nn_exec *detector, *mesh, *descriptor, *segmenter; /* the last two are opened when they are first asked for */
    lk_image detector_crop, mesh_crop, descriptor_crop, segmenter_crop; /* 8-bit, what each network looks at */
};

/* The bytes of a network of the manifest, verified; caller frees. */
bool lk_model_read(const char *name, void **data, size_t *size, lk_error *err);

/* A network of the manifest, compiled. */
lk_nn_exec *lk_face_open_tflite(const char *name, int device, lk_error *err);

/* The graph compiled, and freed. On a processor one thread each: a run takes a millisecond or a few, in which layers of microseconds
 * would wait for a second thread that decoding needs. */
lk_nn_exec *lk_face_compile(lk_nn_graph *g, int device, lk_error *err);

/* The crop as the network's input: value·scale + shift. */
void lk_face_fill(lk_nn_exec *e, const lk_image *crop, float scale, float shift);

/* lk_face_detect; without `small` only in the whole frame: faster by the count of tiles. */
int lk_face_detect_in(lk_face_nets *nets, const lk_image *rgb, const lk_detect_options *o, bool small,
                      lk_detection *found, int max, lk_error *err);

/* Intersection of two boxes over their union. */
float lk_overlap(float ax, float ay, float aw, float ah, float bx, float by, float bw, float bh);

#endif
