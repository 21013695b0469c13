/* Identity: the 1024 pooled features of the `faceres` network, of the face cut out upright. */
#include "nets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FEATURES "global_pooling/Mean"

static bool open_descriptor(lk_face_nets *n, lk_error *err) {
    void *json = NULL, *weights = NULL;
    size_t json_size, weights_size;
    bool ok = lk_model_read("faceres.json", &json, &json_size, err) &&
              lk_model_read("faceres.bin", &weights, &weights_size, err);
    lk_nn_graph *g = ok ? lk_nn_read_tfjs(json, json_size, weights, weights_size, FEATURES, "faceres.json", err) : NULL;
    n->descriptor = lk_face_compile(g, n->device, err);
    free(json);
    free(weights);
    if (!n->descriptor) return false;
    lk_nn_shape s = lk_nn_shape_in(n->descriptor, lk_nn_find(n->descriptor, FEATURES));
    if (lk_nn_count(s) == LK_DESCRIPTOR) return true;
    return lk_fail(err, LK_ERR_FORMAT, "faceres.json gives %zu features, not %d", lk_nn_count(s), LK_DESCRIPTOR);
}

bool lk_face_descriptor(lk_face_nets *n, const lk_image *rgb, const lk_landmarks *points,
                        float descriptor[LK_DESCRIPTOR], lk_error *err) {
    if (!n->descriptor && !open_descriptor(n, err)) return false;
    lk_affine m;
    if (!lk_face_align(points, LK_FACE_FULL, 224, 1, &m))
        return lk_fail(err, LK_ERR_FORMAT, "the landmarks of a face coincide");
    if (!lk_image_warp_affine(rgb, &n->descriptor_crop, m, LK_BILINEAR, LK_BORDER_REPLICATE, err)) return false;
    lk_face_fill(n->descriptor, &n->descriptor_crop, 1, 0); /* the network takes 0–255 */
    if (!lk_nn_run(n->descriptor, err)) return false;
    memcpy(descriptor, lk_nn_data(n->descriptor, lk_nn_find(n->descriptor, FEATURES)), LK_DESCRIPTOR * sizeof(float));
    return true;
}

double lk_descriptor_similarity(const float a[LK_DESCRIPTOR], const float b[LK_DESCRIPTOR]) {
    double ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < LK_DESCRIPTOR; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}
