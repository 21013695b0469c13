/* The three operators that the attention mesh adds to TFLite's.
 *
 * landmarks_to_matrix: a 4×4 matrix (its upper two rows matter) that maps a crop's pixels to the picture's: the crop is the
 * box around some landmarks, turned so that the line from one landmark to another has a given angle, enlarged by a factor.
 * transform_bilinear: that crop of a feature map. transform_landmarks: points of the crop brought back. */
#include "internal.h"

#include <string.h>

lk_nn_t lk_nn_landmarks_to_matrix(lk_nn_graph *g, lk_nn_t landmarks, const int *indices, int count,
                                  int left_rotation_index, int right_rotation_index, float target_rotation,
                                  int output_width, int output_height, float scale_x, float scale_y) {
    lk_nn_shape s = lk_nn_shape_of(g, landmarks);
    bool ok = s.n == 1 && s.c == 3 && count > 0 && output_width > 0 && output_height > 0;
    for (int i = 0; ok && i < count; i++) ok = indices[i] >= 0 && indices[i] < s.h * s.w;
    ok = ok && left_rotation_index >= 0 && left_rotation_index < s.h * s.w && right_rotation_index >= 0 &&
         right_rotation_index < s.h * s.w;
    if (!ok) return lk_graph_fail(g, "landmarks_to_matrix: landmarks [%d, %d, %d, %d] do not fit", s.n, s.c, s.h, s.w);
    int *list = lk_alloc((size_t)count, sizeof *list, &g->error);
    if (!list) return -1;
    memcpy(list, indices, (size_t)count * sizeof *list);
    lk_attributes a = {.i = {left_rotation_index, right_rotation_index, output_width, output_height},
                       .f = {target_rotation, scale_x, scale_y},
                       .list = list,
                       .list_count = count};
    return lk_graph_op(g, LK_OP_LANDMARKS_TO_MATRIX, &landmarks, 1, lk_shape(1, 4, 1, 4), &a);
}

static bool is_matrix(const lk_nn_graph *g, lk_nn_t matrix) {
    return lk_same_shape(lk_nn_shape_of(g, matrix), lk_shape(1, 4, 1, 4));
}

lk_nn_t lk_nn_transform_bilinear(lk_nn_graph *g, lk_nn_t x, lk_nn_t matrix, int output_width, int output_height) {
    lk_nn_shape s = lk_nn_shape_of(g, x);
    if (s.n != 1 || !is_matrix(g, matrix)) return lk_graph_fail(g, "transform_bilinear: operands do not fit");
    return lk_graph_op(g, LK_OP_TRANSFORM_BILINEAR, (int[]){x, matrix}, 2,
                       lk_shape(1, s.c, output_height, output_width), NULL);
}

lk_nn_t lk_nn_transform_landmarks(lk_nn_graph *g, lk_nn_t landmarks, lk_nn_t matrix) {
    lk_nn_shape s = lk_nn_shape_of(g, landmarks);
    if (s.n != 1 || s.c < 2 || s.c > 3 || !is_matrix(g, matrix))
        return lk_graph_fail(g, "transform_landmarks: operands do not fit");
    return lk_graph_op(g, LK_OP_TRANSFORM_LANDMARKS, (int[]){landmarks, matrix}, 2, s, NULL);
}
