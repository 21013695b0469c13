/* What kernels.cu, device.c, cudnn.c and blas.c know of one another. */
#ifndef LIKENESS_NN_CUDA_DEVICE_H
#define LIKENESS_NN_CUDA_DEVICE_H

#include "gpu.h"
#include "libraries.h"
#include "ways.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A second stream, for what runs beside the first one. */
typedef struct lk_gpu_lane {
    cudaStream_t stream;
    cudaEvent_t ready, *done; /* the latter: of each of those since the last time that none was under way */
    int room, started, waited;
} lk_gpu_lane;

struct lk_gpu {
    cudaStream_t stream;
    cudaEvent_t marks[LK_GPU_MARKS];
    cudaStream_t ahead;
    cudaEvent_t there[2], used[2]; /* of uploads ahead */
    cudnnHandle_t cudnn;
    cublasLtHandle_t blas;
    lk_gpu_layer *layers;
    lk_gpu_lane beside;
    bool goes_beside; /* what is launched now */
    lk_gpu_lane averages;
#ifdef LIKENESS_NCCL
    ncclComm_t comm;
#endif
};

/* Library workspaces beyond this are not considered. */
#define LK_GPU_MOST_WORKSPACE LK_MIB(256)

#define LK_CUDNN_PARTS 16

struct lk_gpu_layer {
    lk_gpu_layer_key key;
    lk_gpu_layer *next;
    bool works; /* false: remembered so that it is not tried again */
    char name[64];
    size_t workspace;
    /* cuDNN: the plan, and what it was made of */
    cudnnBackendDescriptor_t plan, parts[LK_CUDNN_PARTS];
    int part_count;
    bool fused;         /* bias and activation are in the plan; else an own kernel follows */
    bool padded;        /* x is first copied into, or cut out of, a larger one that needs no padding */
    size_t padded_room; /* of that one, at the start of the workspace */
    lk_gpu_way way;     /* the same, to be told */
    /* cuBLASLt */
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t left, right, result;
    cublasLtMatmulAlgo_t algorithm;
};

cudaStream_t lk_gpu_stream(const lk_gpu *gpu); /* of what is launched now */
unsigned lk_gpu_blocks(const lk_gpu *gpu);     /* that a kernel may have at most */
/* Fails with "the GPU cannot WHAT: …", and, where memory ran out, says what to do. */
bool lk_cuda_ok(cudaError_t status, const char *what, lk_error *err);

bool lk_gpu_lane_open(lk_gpu_lane *l, lk_error *err);
void lk_gpu_lane_close(lk_gpu_lane *l);
/* What follows on the lane waits for all that was launched on the first stream; its end is marked; the first stream waits for
 * the oldest mark that it did not wait for. */
bool lk_gpu_lane_fork(lk_gpu *gpu, lk_gpu_lane *l, lk_error *err);
bool lk_gpu_lane_mark(lk_gpu_lane *l, lk_error *err);
bool lk_gpu_lane_join(lk_gpu *gpu, lk_gpu_lane *l, lk_error *err);

void lk_gpu_part(lk_gpu *gpu); /* nccl.c: from those that joined */

/* Memory of a layer's operands to run it on, with so much workspace, taken from the device for as long; and milliseconds of
 * `run`, the better of three after one to warm up; negative when it fails. */
typedef struct lk_gpu_trial {
    void *x, *w, *y, *workspace;
    float *bias;
} lk_gpu_trial;
bool lk_gpu_trial_open(lk_gpu_trial *t, const lk_gpu_layer_key *key, size_t workspace);
void lk_gpu_trial_close(lk_gpu_trial *t);
double lk_gpu_time(lk_gpu *gpu, bool (*run)(void *user), void *user);

/* cudnn.c, blas.c: fill a layer whose key is set, by the fastest way, which is told, or by a known one; false when the library does
 * not take it so. */
bool lk_cudnn_choose_layer(lk_gpu *gpu, lk_gpu_layer *layer, const lk_gpu_trial *on, lk_gpu_way *way);
bool lk_cudnn_build_layer(lk_gpu *gpu, lk_gpu_layer *layer, const lk_gpu_way *way);
bool lk_cudnn_run_layer(lk_gpu *gpu, lk_gpu_layer *layer, void *x, void *w, void *y, const float *bias, void *workspace,
                        lk_error *err);
void lk_cudnn_close_layer(lk_gpu_layer *layer);
bool lk_blas_choose_layer(lk_gpu *gpu, lk_gpu_layer *layer, const lk_gpu_trial *on, lk_gpu_way *way);
bool lk_blas_build_layer(lk_gpu *gpu, lk_gpu_layer *layer, const lk_gpu_way *way);
bool lk_blas_run_layer(lk_gpu *gpu, lk_gpu_layer *layer, void *x, void *w, void *y, const float *bias, void *workspace,
                       lk_error *err);
void lk_blas_close_layer(lk_gpu_layer *layer);

#ifdef __cplusplus
}
#endif
#endif
