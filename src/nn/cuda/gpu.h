/* The executor for NVIDIA GPUs.
 *
 *   executor.c   the backend's table: which kernels each operator runs, and on what memory
 *   fuse.c       nodes that one kernel does together
 *   filters.c    filters, losses, and the attention mesh
 *   adam.c       Adam, and its states in full or in few bits
 *   layers.c     convolutions and dense layers: by cuDNN or cuBLASLt where they can, else by the plain kernels
 *   samples.c    training samples, drawn into the inputs
 *   points*.h    what our own kernels compute; kernels.cu makes kernels of it; numbers.h: how numbers lie in memory
 *   device.c     memory, streams, captured steps, by the CUDA runtime
 *   ways.c       which way each layer is computed, for all executors and from file to file
 *   nccl.c       averages over several GPUs
 *   cudnn.c, blas.c   the libraries of layers
 *
 * tests/nn/emulator.c stands in for device.c, nccl.c, cudnn.c, blas.c and kernels.cu on machines without a GPU. */
#ifndef LIKENESS_NN_CUDA_GPU_H
#define LIKENESS_NN_CUDA_GPU_H

#include "../internal.h"
#include "points.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The device ------------------------------------------------------------------------------------------ */

typedef struct lk_gpu lk_gpu; /* one device as one executor uses it: its stream, its libraries' handles */

/* Is there a driver and a device? `name`: up to 80 bytes; may be NULL. */
bool lk_gpu_ready(char *name, lk_error *err);
bool lk_gpu_has_bf16(void);    /* does the device multiply bfloat16, and TF32, natively? Ampere's do, and later ones */
size_t lk_gpu_used(void);      /* bytes of the device's memory that are taken, by anyone */
size_t lk_gpu_left(int place); /* and that are not, of that process's device; 0: it has none */
/* `place`: which of the processes of this machine asks, of how many; each wants a GPU of its own. */
lk_gpu *lk_gpu_open(int place, int processes, lk_error *err);
void lk_gpu_close(lk_gpu *gpu);
void *lk_gpu_allocate(size_t bytes, lk_error *err); /* on the device, zeroed */
void lk_gpu_deallocate(void *p);
void *lk_gpu_pinned(size_t bytes, lk_error *err); /* on the host, zeroed: copies overlap, kernels reach it, too */
void lk_gpu_unpin(void *p);
/* Copies are in the stream's order. `from` of an upload must stay as it is until lk_gpu_wait, or, when it is pinned,
 * until lk_gpu_wait_mark of a mark that was set after it. */
bool lk_gpu_upload(lk_gpu *gpu, void *to, const void *from, size_t bytes, lk_error *err);
bool lk_gpu_download(lk_gpu *gpu, void *to, const void *from, size_t bytes, lk_error *err); /* waits */
bool lk_gpu_wait(lk_gpu *gpu, lk_error *err);
/* Waits for all that was launched before the mark was last set; not at all where it never was. */
typedef enum lk_gpu_marks { LK_GPU_FED, LK_GPU_RAN, LK_GPU_MARKS } lk_gpu_marks;
bool lk_gpu_mark(lk_gpu *gpu, lk_gpu_marks mark, lk_error *err);
bool lk_gpu_wait_mark(lk_gpu *gpu, lk_gpu_marks mark, lk_error *err);
/* Uploads from pinned memory by a stream of their own, beside what runs, to one of two places by turns. They begin when all is
 * done that was launched before the place was last said to be used, and what is launched after the wait finds them there. */
bool lk_gpu_ahead_upload(lk_gpu *gpu, int place, void *to, const void *from, size_t bytes, lk_error *err);
bool lk_gpu_ahead_wait(lk_gpu *gpu, int place, lk_error *err);
bool lk_gpu_ahead_used(lk_gpu *gpu, int place, lk_error *err);
/* What is launched between begin and end is not run but recorded, to be run as a whole by replay. */
bool lk_gpu_record_begin(lk_gpu *gpu, lk_error *err);
bool lk_gpu_record_end(lk_gpu *gpu, void **recorded, lk_error *err);
bool lk_gpu_replay(lk_gpu *gpu, void *recorded, lk_error *err);
void lk_gpu_forget(void *recorded);

/* What is launched between begin and end waits for all that was launched before, and runs beside what is launched after; what
 * is launched after a wait finds the oldest of these done that was not waited for. Each must be waited for in the same step. */
bool lk_gpu_beside_begin(lk_gpu *gpu, lk_error *err);
bool lk_gpu_beside_end(lk_gpu *gpu, lk_error *err);
bool lk_gpu_beside_wait(lk_gpu *gpu, lk_error *err);

/* ---- Several processes ------------------------------------------------------------------------------------- */

/* Meets the others, which do the same. */
bool lk_gpu_join(lk_gpu *gpu, lk_nn_peers *peers, lk_error *err);
/* Numbers are averaged over all that joined, where they lie and in the order of the starts; what is launched after a wait
 * finds the average of the oldest start that was not waited for. */
bool lk_gpu_average_start(lk_gpu *gpu, float *values, size_t count, lk_error *err);
bool lk_gpu_average_wait(lk_gpu *gpu, lk_error *err);

/* ---- Own kernels: lk_gpu_NAME runs lk_NAME_point for every i < count --------------------------------------- */

#define LK_GPU_DECLARE(name, args) bool lk_gpu_##name(lk_gpu *gpu, const args *a, size_t count, lk_error *err);
LK_GPU_KERNELS(LK_GPU_DECLARE)
#undef LK_GPU_DECLARE

/* ---- Layers by the libraries ------------------------------------------------------------------------------- */

typedef enum lk_gpu_pass { LK_GPU_FORWARD, LK_GPU_BACK_DATA, LK_GPU_BACK_WEIGHTS } lk_gpu_pass;

/* Everything that decides how a layer is computed; compared as bytes, so make it from zeroed memory. */
typedef struct lk_gpu_layer_key {
    lk_gpu_pass pass;
    int dense;
    int in, out;   /* what kind of numbers is multiplied, what comes out */
    int tf32;      /* float32 may be rounded to TF32 when it is multiplied; else it is exact */
    int bias, act; /* forward: fused behind it */
    float alpha;
    lk_nn_shape xs, ws, ys; /* ws: [O, C/groups, KH, KW] */
    int stride, dilation, groups, top, bottom, left, right;
} lk_gpu_layer_key;

typedef struct lk_gpu_layer lk_gpu_layer; /* owned by the lk_gpu, one for each key */

/* NULL, without an error, when the libraries do not take such a layer. It is computed in the way that is known (ways.h), else
 * several are timed, and the fastest stays. */
lk_gpu_layer *lk_gpu_layer_find(lk_gpu *gpu, const lk_gpu_layer_key *key);
size_t lk_gpu_layer_workspace(const lk_gpu_layer *layer);
const char *lk_gpu_layer_name(const lk_gpu_layer *layer); /* of the library and the way it took */
bool lk_gpu_layer_run(lk_gpu *gpu, lk_gpu_layer *layer, void *x, void *w, void *y, const float *bias, void *workspace,
                      lk_error *err);

/* ---- Inside the executor ----------------------------------------------------------------------------------- */

/* What samples are drawn from, on the device. */
typedef struct lk_gpu_sheet {
    void *samples, *bytes, *spans;
    size_t sample_room, byte_room, span_room;
} lk_gpu_sheet;

typedef struct lk_gpu_state {
    lk_gpu *gpu;       /* NULL: imagined, and only planned for */
    int tensor_count;  /* of the arrays below: all tensors but scratch memory */
    uint16_t **shadow; /* of each tensor of weights that a layer multiplies in 16 bits: the same in those; or NULL */
    float **host;      /* of each input and output: pinned memory, taken when asked for */
    bool *stale;       /* of each output: not yet copied since the last run */
    bool *drawn;       /* of each input: what it holds was drawn there; `host` is older */
    lk_gpu_sheet sheets[2];          /* one is drawn from while the other is filled */
    int sheet;                       /* the latter */
    float *losses;                   /* pinned: of the latest run */
    float *numbers, *pinned_numbers; /* lk_gpu_step and the losses' weights: on the device, and pinned */
    lk_gpu_scale *scale;             /* of the losses, on the device; training in float16 uses it */
    void *recorded[2];               /* forward alone; whole step */
    int runs[2];
} lk_gpu_state;

static inline lk_gpu_state *lk_gpu_state_of(const lk_nn_exec *e) { return (lk_gpu_state *)e->backend_state; }
static inline lk_nn_shape lk_gpu_shape(const lk_nn_exec *e, int t) { return e->g.tensors[t].shape; }
/* Numbers of 16 bits are all of this kind. */
static inline int lk_gpu_narrow_kind(const lk_nn_exec *e) {
    return e->precision == LK_NN_F16 ? LK_GPU_FLOAT16 : LK_GPU_BFLOAT16;
}
/* The scale of the losses; NULL: there is none. */
static inline lk_gpu_scale *lk_gpu_scale_of(const lk_nn_exec *e) {
    return e->precision == LK_NN_F16 && e->options.train ? lk_gpu_state_of(e)->scale : NULL;
}
static inline int lk_gpu_kind_of(const lk_nn_exec *e, bool narrow) {
    return narrow ? lk_gpu_narrow_kind(e) : LK_GPU_FLOAT32;
}
static inline lk_gpu_ref lk_gpu_ref_of(const lk_nn_exec *e, int t) {
    lk_gpu_ref r = {e->g.tensors[t].data, lk_gpu_kind_of(e, e->g.tensors[t].narrow)};
    return r;
}
static inline float *lk_gpu_data(const lk_nn_exec *e, int t) { return (float *)(void *)e->g.tensors[t].data; }
static inline char *lk_gpu_scratch(const lk_nn_exec *e, const lk_node *n) {
    return n->scratch_tensor >= 0 ? e->g.tensors[n->scratch_tensor].data : NULL;
}

/* samples.c */
bool lk_gpu_draw(lk_nn_exec *e, const lk_nn_canvas *canvas, const lk_nn_sample *samples, const void *bytes, size_t size,
                 lk_error *err);
void lk_gpu_sheet_free(lk_gpu_sheet *s);

/* layers.c */
bool lk_gpu_prepare_layer(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_gpu_run_layer(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_gpu_is_layer(lk_op op);
/* Do the libraries take this layer in 16 bits? */
bool lk_gpu_narrow_layer(const lk_nn_exec *e, const lk_node *n);

/* fuse.c */
bool lk_gpu_join_nodes(lk_nn_exec *e, lk_error *err);

/* filters.c */
bool lk_gpu_prepare_gaussian(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_gpu_run_gaussian(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_gpu_run_pool(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_gpu_run_resize(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_gpu_prepare_dssim(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_gpu_run_dssim(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_gpu_run_dssim_back(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_gpu_prepare_sum(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_gpu_run_mean(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_gpu_run_mean_back(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_gpu_prepare_landmarks(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_gpu_run_landmarks(lk_nn_exec *e, lk_node *n, lk_error *err);

/* adam.c */
bool lk_gpu_prepare_adam(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_gpu_run_adam(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_gpu_wait_adam(lk_nn_exec *e, lk_node *n, lk_error *err);
/* Is `data` that tensor's moment in few bits? And such a moment from and to float32, channels last. */
bool lk_gpu_keeps_few(const lk_tensor *t, const char *data);
bool lk_gpu_upload_few(lk_nn_exec *e, const lk_tensor *t, char *data, float *values);
bool lk_gpu_download_few(const lk_nn_exec *e, const lk_tensor *t, const char *data, float *values);

extern const lk_backend lk_backend_cuda;

#ifdef __cplusplus
}
#endif
#endif
