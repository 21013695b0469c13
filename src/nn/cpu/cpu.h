/* The executor for processors: layers in training by products of our own, those of pretrained networks by oneDNN, the rest by
 * loops. */
#ifndef LIKENESS_NN_CPU_H
#define LIKENESS_NN_CPU_H

#include "../internal.h"
#include "bf16.h"

/* Loops below this many numbers run on one thread: waking the others would cost more. */
#define LK_CPU_PARALLEL 16384

/* So many numbers are widened, worked on and narrowed at a time: they stay in the first cache. */
#define LK_CPU_CHUNK 1024

static inline float *lk_cpu_data(const lk_nn_exec *e, int t) { return (float *)(void *)e->g.tensors[t].data; }
static inline lk_nn_shape lk_cpu_shape(const lk_nn_exec *e, int t) { return e->g.tensors[t].shape; }

/* One operator's row in the backend's table; prepare, bind and release may be NULL. */
typedef struct lk_cpu_op {
    bool (*prepare)(lk_nn_exec *e, lk_node *n, lk_error *err);
    bool (*bind)(lk_nn_exec *e, lk_node *n, lk_error *err);
    bool (*run)(lk_nn_exec *e, lk_node *n, lk_error *err);
    void (*release)(lk_node *n);
} lk_cpu_op;

/* convert.c */
void lk_cpu_widen(const lk_bf16 *x, float *y, size_t n);
void lk_cpu_narrow(const float *x, lk_bf16 *y, size_t n);
void lk_cpu_copy(const char *from, bool from_narrow, char *to, bool to_narrow, size_t n);
/* Numbers at … at + n of a tensor of either type as float32: in place, or in the buffer. And the way back: where to write
 * them, and what to do when they are written. */
const float *lk_cpu_read(const lk_nn_exec *e, int t, size_t at, size_t n, float *buffer);
float *lk_cpu_room(const lk_nn_exec *e, int t, size_t at, float *buffer);
void lk_cpu_written(const lk_nn_exec *e, int t, size_t at, size_t n, const float *buffer);
bool lk_cpu_convert(lk_nn_exec *e, lk_node *n, lk_error *err);

/* onednn.c */
bool lk_onednn_open(lk_nn_exec *e, lk_error *err);
void lk_onednn_close(lk_nn_exec *e);
/* Has oneDNN a quick way to do this layer in bfloat16? */
bool lk_onednn_narrow(lk_nn_exec *e, const lk_node *n);
bool lk_onednn_prepare(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_onednn_bind(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_onednn_run(lk_nn_exec *e, lk_node *n, lk_error *err);
void lk_onednn_release(lk_node *n);
/* Between a weight's blocked layout and [n, c, h, w]. */
bool lk_onednn_reorder(const lk_nn_exec *e, const lk_tensor *t, char *data, float *values, bool upload);
void *lk_onednn_copy_layout(const void *layout, lk_error *err);
size_t lk_onednn_layout_bytes(const void *layout);

/* matrix.c: layers that are done by our own products, of bfloat16 or of float32 numbers */
void lk_matrix_choose(lk_nn_exec *e); /* marks their weights, and tells each node of a layer which those are */
bool lk_matrix_does(const lk_nn_exec *e, const lk_node *n);
bool lk_matrix_spreads(const lk_nn_exec *e, const lk_node *n); /* can depth-to-space be part of it? */
/* Between memory of tiled weights, their moments or gradients, and [n, c, h, w]. */
bool lk_matrix_exchange(const lk_tensor *t, char *data, float *values, bool upload);

/* matrix_layer.c: of either type. Ways: what multiplies the blocks; NULL: plain C, which others outdo. */
extern const lk_cpu_op lk_matrix_op, lk_matrix_op_f32;
bool lk_matrix_adam(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_matrix_adam_f32(lk_nn_exec *e, lk_node *n, lk_error *err);
const char *lk_matrix_ways(void);
const char *lk_matrix_ways_f32(void);

/* tune.c: a convolution 3×3 of stride 1, and the processor's seconds for each of its passes (forward, the data's gradient,
 * the weights' gradient) in each way (tap by tap, Winograd). */
#define LK_PASSES 3
#define LK_WAYS   2
typedef struct lk_timed_layer {
    int n, c, h, w, o, oh, ow, top, left, threads;
    bool exact; /* float32 */
    double seconds[LK_PASSES][LK_WAYS];
} lk_timed_layer;
bool lk_tune_find(lk_timed_layer *l); /* fills in the seconds; false: it was not timed */

/* elementwise.c */
void lk_cpu_activate(lk_nn_act act, float alpha, const float *x, float *y, size_t n);
bool lk_cpu_prepare_sum(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_binary(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_activation(lk_nn_exec *e, lk_node *n, lk_error *err);
/* dx = dy · the activation's slope where its result was y */
void lk_cpu_slope(lk_nn_act act, float alpha, const float *dy, const float *y, float *dx, size_t n);
void lk_cpu_leaky_slope(float alpha, const lk_bf16 *dy, const lk_bf16 *y, lk_bf16 *dx, size_t n);
bool lk_cpu_activation_back(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_unary(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_unary_back(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_reduce_to(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_adam(lk_nn_exec *e, lk_node *n, lk_error *err);

/* rearrange.c */
bool lk_cpu_depth_to_space(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_concat_channels(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_concat_batch(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_slice_channels(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_slice_channels_back(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_slice_batch_back(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_pad(lk_nn_exec *e, lk_node *n, lk_error *err);

/* filter.c */
bool lk_cpu_prepare_gaussian(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_gaussian(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_gaussian_back(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_pool(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_avg_pool_back(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_resize(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_resize_back(lk_nn_exec *e, lk_node *n, lk_error *err);
/* Taps −radius … radius, normalised. */
void lk_gaussian_taps(double sigma, int radius, float *taps);

/* loss.c */
bool lk_cpu_prepare_dssim(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_dssim(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_dssim_back(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_sample_mean(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_sample_mean_back(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_loss(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_loss_back(lk_nn_exec *e, lk_node *n, lk_error *err);

/* infer.c: operators of the pretrained networks, forward only */
bool lk_cpu_prelu(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_landmarks_to_matrix(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_transform_bilinear(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_cpu_transform_landmarks(lk_nn_exec *e, lk_node *n, lk_error *err);

#endif
