#include "nets.h"

#include <stdlib.h>

lk_nn_exec *lk_face_compile(lk_nn_graph *g, int device, lk_error *err) {
    lk_nn_exec *e = g ? lk_nn_compile(g, &(lk_nn_options){.device = device, .threads = 1}, err) : NULL;
    lk_nn_graph_free(g);
    return e;
}

lk_nn_exec *lk_face_open_tflite(const char *name, int device, lk_error *err) {
    void *data = NULL;
    size_t size;
    if (!lk_model_read(name, &data, &size, err)) return NULL;
    lk_nn_exec *e = lk_face_compile(lk_nn_read_tflite(data, size, name, err), device, err);
    free(data);
    return e;
}

lk_face_nets *lk_face_nets_open(int device, lk_error *err) {
    lk_face_nets *n = lk_alloc(1, sizeof *n, err);
    if (!n) return NULL;
    n->device = device;
    bool ok = (n->detector = lk_face_open_tflite("face_detection_full_range.tflite", device, err)) &&
              (n->mesh = lk_face_open_tflite("face_landmark_with_attention.tflite", device, err)) &&
              lk_image_alloc(&n->detector_crop, 192, 192, 3, LK_U8, err) &&
              lk_image_alloc(&n->mesh_crop, 192, 192, 3, LK_U8, err) &&
              lk_image_alloc(&n->descriptor_crop, 224, 224, 3, LK_U8, err);
    if (ok) return n;
    lk_face_nets_close(n);
    return NULL;
}

void lk_face_nets_close(lk_face_nets *n) {
    if (!n) return;
    lk_nn_free(n->detector);
    lk_nn_free(n->mesh);
    lk_nn_free(n->descriptor);
    lk_image_free(&n->detector_crop);
    lk_image_free(&n->mesh_crop);
    lk_image_free(&n->descriptor_crop);
    lk_nn_free(n->segmenter);
    lk_image_free(&n->segmenter_crop);
    free(n);
}

void lk_face_fill(lk_nn_exec *e, const lk_image *crop, float scale, float shift) {
    float *to = lk_nn_data(e, lk_nn_find(e, "input"));
    for (int y = 0; y < crop->height; y++) {
        const uint8_t *from = lk_row_u8(crop, y);
        for (int x = 0; x < crop->width * 3; x++) *to++ = (float)from[x] * scale + shift;
    }
}

float lk_overlap(float ax, float ay, float aw, float ah, float bx, float by, float bw, float bh) {
    float x0 = ax > bx ? ax : bx, y0 = ay > by ? ay : by;
    float x1 = ax + aw < bx + bw ? ax + aw : bx + bw, y1 = ay + ah < by + bh ? ay + ah : by + bh;
    float both = x1 > x0 && y1 > y0 ? (x1 - x0) * (y1 - y0) : 0;
    float either = aw * ah + bw * bh - both;
    return either > 0 ? both / either : 0;
}
