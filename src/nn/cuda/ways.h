/* Which way each layer is computed on a GPU: chosen once in a process, known to all of its executors, and kept in a file
 * for later ones, "gpu-layers-nvidia-h200-compute-capability-9-0.txt" in the cache's folder. Nothing here knows CUDA.
 *
 *     lk_ways_begin(gpu, libraries);                      with each executor
 *     works = lk_ways_open(&steps, device, layer, &key);  with each layer
 *     lk_ways_save();                                     once they are all open
 */
#ifndef LIKENESS_NN_CUDA_WAYS_H
#define LIKENESS_NN_CUDA_WAYS_H

#include <stdio.h>

#include "gpu.h"

/* LK_WAY_UNKNOWN: nothing that holds for another time was found out. */
typedef enum lk_way_by { LK_WAY_UNKNOWN, LK_WAY_PLAIN, LK_WAY_CUDNN, LK_WAY_CUBLASLT, LK_WAY_COUNT } lk_way_by;

#define LK_WAY_NUMBERS 48
typedef struct lk_gpu_way {
    lk_way_by by; /* plain: the libraries do not take the layer */
    int count;
    int64_t numbers[LK_WAY_NUMBERS]; /* what identifies the way in that library's file; a file may hold any */
} lk_gpu_way;

/* A line of the file: the layer's key and how many engines were timed > the way. */
typedef struct lk_known_layer {
    lk_gpu_layer_key key;
    int trials;
    bool ran; /* in this process; not in the file */
    lk_gpu_way way;
} lk_known_layer;
bool lk_ways_parse(const char *line, lk_known_layer *l);
void lk_ways_print(FILE *out, const lk_known_layer *l);

/* How many engines are timed for each way to do a layer: LIKENESS_GPU_TRIALS, else 3. With 1, the first way that works is
 * taken, which is not a fused one. What was chosen with one number says nothing for another. */
int lk_gpu_trials(void);

/* Of which card ("NVIDIA H200, compute capability 9.0") and which libraries ("cuDNN 91900, cuBLASLt 130201"): when they are others
 * than before, all that is known is forgotten, and what the file holds for them is read. */
void lk_ways_begin(const char *gpu, const char *libraries);

typedef struct lk_way_steps {
    bool (*build)(lk_gpu *gpu, lk_gpu_layer *l, const lk_gpu_way *way); /* leaves nothing behind when it fails */
    bool (*run)(lk_gpu *gpu, lk_gpu_layer *l);                          /* on made up numbers */
    /* Times what there is and builds the fastest; false when none is, and says in `way` whether that will stay so. */
    bool (*choose)(lk_gpu *gpu, lk_gpu_layer *l, lk_gpu_way *way);
    void (*close)(lk_gpu_layer *l); /* what was built */
} lk_way_steps;

/* Builds the layer in the way that is known; when none is, or it cannot be built or, first of all in this process, run, chooses one,
 * which all take from then on. One thread at a time. False: by plain kernels. */
bool lk_ways_open(const lk_way_steps *steps, lk_gpu *gpu, lk_gpu_layer *l, const lk_gpu_layer_key *key);

/* Adds what was chosen since the last time to the file, and what others added to what is known. */
void lk_ways_save(void);

#endif
