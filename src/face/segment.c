/* selfie_segmentation: a person against what is behind. */
#include "nets.h"

#include <math.h>

#define SIDE 256

static bool open_segmenter(lk_face_nets *n, lk_error *err) {
    n->segmenter = lk_face_open_tflite("selfie_segmentation.tflite", n->device, err);
    return n->segmenter && lk_image_alloc(&n->segmenter_crop, SIDE, SIDE, 3, LK_U8, err);
}

bool lk_face_segment(lk_face_nets *n, const lk_image *rgb, lk_image *person, lk_error *err) {
    *person = (lk_image){0};
    if (!n->segmenter_crop.data && !open_segmenter(n, err)) return false;
    if (!lk_image_resize(rgb, &n->segmenter_crop, rgb->width > SIDE ? LK_AREA : LK_BILINEAR, err)) return false;
    lk_face_fill(n->segmenter, &n->segmenter_crop, 1.0f / 255, 0);
    if (!lk_nn_run(n->segmenter, err)) return false;
    lk_image seen = {SIDE, SIDE, 1, LK_F32, SIDE * sizeof(float), NULL, true};
    seen.data = lk_nn_data(n->segmenter, lk_nn_find(n->segmenter, "activation_10"));
    if (!seen.data) return lk_fail(err, LK_ERR_FORMAT, "selfie_segmentation.tflite has no output 'activation_10'");
    return lk_image_alloc(person, rgb->width, rgb->height, 1, LK_U8, err) &&
           lk_image_resize(&seen, person, LK_BILINEAR, err);
}
