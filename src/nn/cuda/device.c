/* One GPU: memory, its stream, recorded steps, and the layers that its libraries take. */
#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool lk_cuda_ok(cudaError_t status, const char *what, lk_error *err) {
    if (status == cudaSuccess) return true;
    if (status == cudaErrorMemoryAllocation)
        return lk_fail(err, LK_ERR_MEMORY, "the GPU has not enough memory left to %s: choose a smaller batch", what);
    return lk_fail(err, LK_ERR_UNSUPPORTED, "the GPU cannot %s (%s)", what, cudaGetErrorString(status));
}

bool lk_gpu_ready(char *name, lk_error *err) {
    int count = 0;
    cudaError_t status = cudaGetDeviceCount(&count);
    if (status == cudaErrorInsufficientDriver)
        return lk_fail(err, LK_ERR_UNSUPPORTED, "no NVIDIA driver, or one that is too old for CUDA 13");
    if (status != cudaSuccess || count == 0) {
        cudaGetLastError(); /* so that nobody else trips over it */
        return lk_fail(err, LK_ERR_UNSUPPORTED, "no NVIDIA GPU is to be seen (%s)",
                       status == cudaSuccess ? "the driver lists none" : cudaGetErrorString(status));
    }
    struct cudaDeviceProp p;
    if (!lk_cuda_ok(cudaGetDeviceProperties(&p, 0), "describe itself", err)) return false;
    if (p.major * 10 + p.minor < 75)
        return lk_fail(err, LK_ERR_UNSUPPORTED,
                       "the GPU (%s) is older than Turing, which is the oldest that is supported", p.name);
    if (!lk_cuda_load(err)) return false;
    if (name) snprintf(name, 80, "%s, %.0f GiB", p.name, (double)p.totalGlobalMem / 0x1p30);
    return true;
}

bool lk_gpu_has_bf16(void) {
    int device = 0, major = 0;
    return cudaGetDevice(&device) == cudaSuccess &&
           cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess && major >= 8;
}

size_t lk_gpu_used(void) {
    size_t left = 0, all = 0;
    return cudaMemGetInfo(&left, &all) == cudaSuccess ? all - left : 0;
}

size_t lk_gpu_left(int place) {
    size_t left = 0, all = 0;
    if (cudaSetDevice(place) == cudaSuccess && cudaMemGetInfo(&left, &all) == cudaSuccess) return left;
    cudaGetLastError();
    return 0;
}

cudaStream_t lk_gpu_stream(const lk_gpu *gpu) { return gpu->goes_beside ? gpu->beside.stream : gpu->stream; }

/* Beside the backward pass memory is read over the bus, which so many blocks keep busy; more would hold multiprocessors that
 * layers want. */
unsigned lk_gpu_blocks(const lk_gpu *gpu) { return gpu->goes_beside ? 32 : 132 * 16; }

/* Each process of a machine takes another GPU. */
static bool choose(int place, int processes, lk_error *err) {
    int count = 0;
    if (!lk_cuda_ok(cudaGetDeviceCount(&count), "be counted", err)) return false;
    if (processes > count)
        return lk_fail(
            err, LK_ERR_USAGE,
            "%d processes of this machine want a GPU each, and there %s %d: start as many as there are GPUs, or "
            "choose the processor",
            processes, count == 1 ? "is" : "are", count);
    return lk_cuda_ok(cudaSetDevice(place), "be chosen", err);
}

static bool make_events(cudaEvent_t *events, int count, lk_error *err) {
    for (int i = 0; i < count; i++)
        if (!lk_cuda_ok(cudaEventCreateWithFlags(&events[i], cudaEventDisableTiming), "make an event", err))
            return false;
    return true;
}

static void destroy_events(cudaEvent_t *events, int count) {
    for (int i = 0; i < count; i++)
        if (events[i]) cudaEventDestroy(events[i]);
}

/* What is chosen holds for this card and these libraries. */
static bool begin_ways(int place, lk_error *err) {
    struct cudaDeviceProp p;
    char gpu[sizeof p.name + 64], libraries[80];
    if (!lk_cuda_ok(cudaGetDeviceProperties(&p, place), "describe itself", err)) return false;
    snprintf(gpu, sizeof gpu, "%s, compute capability %d.%d", p.name, p.major, p.minor);
    snprintf(libraries, sizeof libraries, "cuDNN %zu, cuBLASLt %zu", cudnnGetVersion(), cublasLtGetVersion());
    lk_ways_begin(gpu, libraries);
    return true;
}

lk_gpu *lk_gpu_open(int place, int processes, lk_error *err) {
    lk_gpu *g = choose(place, processes, err) ? lk_alloc(1, sizeof *g, err) : NULL;
    if (!g) return NULL;
    bool ok = lk_cuda_ok(cudaStreamCreateWithFlags(&g->stream, cudaStreamNonBlocking), "open a stream", err) &&
              lk_cuda_ok(cudaStreamCreateWithFlags(&g->ahead, cudaStreamNonBlocking), "open a stream", err) &&
              make_events(g->marks, LK_GPU_MARKS, err) && make_events(g->there, 2, err) &&
              make_events(g->used, 2, err) && lk_gpu_lane_open(&g->beside, err);
    if (ok &&
        (cudnnCreate(&g->cudnn) != CUDNN_STATUS_SUCCESS || cudnnSetStream(g->cudnn, g->stream) != CUDNN_STATUS_SUCCESS))
        ok = lk_fail(err, LK_ERR_UNSUPPORTED, "cuDNN does not start on this GPU");
    if (ok && cublasLtCreate(&g->blas) != CUBLAS_STATUS_SUCCESS)
        ok = lk_fail(err, LK_ERR_UNSUPPORTED, "cuBLASLt does not start on this GPU");
    if (ok && begin_ways(place, err)) return g;
    lk_gpu_close(g);
    return NULL;
}

static void close_layer(lk_gpu_layer *l) {
    lk_cudnn_close_layer(l);
    lk_blas_close_layer(l);
}

void lk_gpu_close(lk_gpu *gpu) {
    if (!gpu) return;
    for (lk_gpu_layer *l = gpu->layers, *next; l; l = next) {
        next = l->next;
        close_layer(l);
        free(l);
    }
    lk_ways_save();
    lk_gpu_part(gpu);
    lk_gpu_lane_close(&gpu->beside);
    if (gpu->blas) cublasLtDestroy(gpu->blas);
    if (gpu->cudnn) cudnnDestroy(gpu->cudnn);
    destroy_events(gpu->marks, LK_GPU_MARKS);
    destroy_events(gpu->there, 2);
    destroy_events(gpu->used, 2);
    if (gpu->ahead) cudaStreamDestroy(gpu->ahead);
    if (gpu->stream) cudaStreamDestroy(gpu->stream);
    free(gpu);
}

/* ---- Memory ---------------------------------------------------------------------------------------------- */

void *lk_gpu_allocate(size_t bytes, lk_error *err) {
    void *p = NULL;
    char what[64];
    snprintf(what, sizeof what, "take %.0f MiB", (double)bytes / 0x1p20);
    if (!lk_cuda_ok(cudaMalloc(&p, bytes ? bytes : 1), what, err)) {
        cudaGetLastError();
        return NULL;
    }
    /* By a stream of this thread's alone: to wait for the whole device would spoil what another thread records. */
    if (lk_cuda_ok(cudaMemsetAsync(p, 0, bytes, cudaStreamPerThread), "clear memory", err) &&
        lk_cuda_ok(cudaStreamSynchronize(cudaStreamPerThread), "clear memory", err))
        return p;
    cudaFree(p);
    return NULL;
}

void lk_gpu_deallocate(void *p) {
    if (p) cudaFree(p);
}

void *lk_gpu_pinned(size_t bytes, lk_error *err) {
    void *p = NULL;
    if (!lk_cuda_ok(cudaMallocHost(&p, bytes ? bytes : 1), "pin the computer's memory", err)) {
        cudaGetLastError();
        return NULL;
    }
    memset(p, 0, bytes);
    return p;
}

void lk_gpu_unpin(void *p) {
    if (p) cudaFreeHost(p);
}

bool lk_gpu_upload(lk_gpu *gpu, void *to, const void *from, size_t bytes, lk_error *err) {
    return lk_cuda_ok(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, gpu->stream), "take numbers in", err);
}

bool lk_gpu_download(lk_gpu *gpu, void *to, const void *from, size_t bytes, lk_error *err) {
    return lk_cuda_ok(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, gpu->stream), "give numbers out", err) &&
           lk_gpu_wait(gpu, err);
}

bool lk_gpu_wait(lk_gpu *gpu, lk_error *err) {
    return lk_cuda_ok(cudaStreamSynchronize(gpu->stream), "finish its work", err);
}

bool lk_gpu_mark(lk_gpu *gpu, lk_gpu_marks mark, lk_error *err) {
    return lk_cuda_ok(cudaEventRecord(gpu->marks[mark], gpu->stream), "record an event", err);
}

bool lk_gpu_wait_mark(lk_gpu *gpu, lk_gpu_marks mark, lk_error *err) {
    return lk_cuda_ok(cudaEventSynchronize(gpu->marks[mark]), "finish its work", err);
}

/* To wait for an event that was never recorded is not to wait. */
bool lk_gpu_ahead_upload(lk_gpu *gpu, int place, void *to, const void *from, size_t bytes, lk_error *err) {
    return lk_cuda_ok(cudaStreamWaitEvent(gpu->ahead, gpu->used[place], 0), "wait for an event", err) &&
           lk_cuda_ok(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, gpu->ahead), "take numbers in", err);
}

bool lk_gpu_ahead_wait(lk_gpu *gpu, int place, lk_error *err) {
    return lk_cuda_ok(cudaEventRecord(gpu->there[place], gpu->ahead), "record an event", err) &&
           lk_cuda_ok(cudaStreamWaitEvent(gpu->stream, gpu->there[place], 0), "wait for an event", err);
}

bool lk_gpu_ahead_used(lk_gpu *gpu, int place, lk_error *err) {
    return lk_cuda_ok(cudaEventRecord(gpu->used[place], gpu->stream), "record an event", err);
}

/* ---- Second streams -------------------------------------------------------------------------------------- */

bool lk_gpu_lane_open(lk_gpu_lane *l, lk_error *err) {
    return lk_cuda_ok(cudaStreamCreateWithFlags(&l->stream, cudaStreamNonBlocking), "open a stream", err) &&
           lk_cuda_ok(cudaEventCreateWithFlags(&l->ready, cudaEventDisableTiming), "make an event", err);
}

void lk_gpu_lane_close(lk_gpu_lane *l) {
    if (l->ready) cudaEventDestroy(l->ready);
    for (int i = 0; i < l->room; i++) cudaEventDestroy(l->done[i]);
    if (l->stream) cudaStreamDestroy(l->stream);
    free(l->done);
}

bool lk_gpu_lane_fork(lk_gpu *gpu, lk_gpu_lane *l, lk_error *err) {
    return lk_cuda_ok(cudaEventRecord(l->ready, gpu->stream), "record an event", err) &&
           lk_cuda_ok(cudaStreamWaitEvent(l->stream, l->ready, 0), "wait for an event", err);
}

/* An event for one more that is under way. */
static bool grow(lk_gpu_lane *l, lk_error *err) {
    if (l->started < l->room) return true;
    int room = l->room ? 2 * l->room : 64;
    cudaEvent_t *more = lk_alloc((size_t)room, sizeof(cudaEvent_t), err);
    if (!more) return false;
    if (l->done) memcpy(more, l->done, (size_t)l->room * sizeof(cudaEvent_t));
    free(l->done);
    l->done = more;
    for (; l->room < room; l->room++)
        if (!lk_cuda_ok(cudaEventCreateWithFlags(&more[l->room], cudaEventDisableTiming), "make an event", err))
            return false;
    return true;
}

bool lk_gpu_lane_mark(lk_gpu_lane *l, lk_error *err) {
    return grow(l, err) && lk_cuda_ok(cudaEventRecord(l->done[l->started++], l->stream), "record an event", err);
}

bool lk_gpu_lane_join(lk_gpu *gpu, lk_gpu_lane *l, lk_error *err) {
    bool ok = lk_cuda_ok(cudaStreamWaitEvent(gpu->stream, l->done[l->waited++], 0), "wait for an event", err);
    if (l->waited == l->started) l->waited = l->started = 0;
    return ok;
}

bool lk_gpu_beside_begin(lk_gpu *gpu, lk_error *err) {
    return gpu->goes_beside = lk_gpu_lane_fork(gpu, &gpu->beside, err);
}

bool lk_gpu_beside_end(lk_gpu *gpu, lk_error *err) {
    gpu->goes_beside = false;
    return lk_gpu_lane_mark(&gpu->beside, err);
}

bool lk_gpu_beside_wait(lk_gpu *gpu, lk_error *err) { return lk_gpu_lane_join(gpu, &gpu->beside, err); }

/* ---- Recorded steps -------------------------------------------------------------------------------------- */

bool lk_gpu_record_begin(lk_gpu *gpu, lk_error *err) {
    return lk_cuda_ok(cudaStreamBeginCapture(gpu->stream, cudaStreamCaptureModeThreadLocal), "record a step", err);
}

bool lk_gpu_record_end(lk_gpu *gpu, void **recorded, lk_error *err) {
    cudaGraph_t graph = NULL;
    cudaGraphExec_t ready = NULL;
    bool ok = lk_cuda_ok(cudaStreamEndCapture(gpu->stream, &graph), "record a step", err) &&
              lk_cuda_ok(cudaGraphInstantiate(&ready, graph, 0), "prepare a recorded step", err);
    if (graph) cudaGraphDestroy(graph);
    *recorded = ready;
    return ok;
}

bool lk_gpu_replay(lk_gpu *gpu, void *recorded, lk_error *err) {
    return lk_cuda_ok(cudaGraphLaunch(recorded, gpu->stream), "run a recorded step", err);
}

void lk_gpu_forget(void *recorded) {
    if (recorded) cudaGraphExecDestroy(recorded);
}

/* ---- Layers ---------------------------------------------------------------------------------------------- */

bool lk_gpu_trial_open(lk_gpu_trial *t, const lk_gpu_layer_key *k, size_t workspace) {
    memset(t, 0, sizeof *t);
    t->x = lk_gpu_allocate(lk_nn_count(k->xs) * sizeof(float), NULL);
    t->w = lk_gpu_allocate(lk_nn_count(k->ws) * sizeof(float), NULL);
    t->y = lk_gpu_allocate(lk_nn_count(k->ys) * sizeof(float), NULL);
    t->bias = lk_gpu_allocate((size_t)k->ys.c * sizeof(float), NULL);
    t->workspace = lk_gpu_allocate(workspace, NULL);
    if (t->x && t->w && t->y && t->bias && t->workspace) return true;
    lk_gpu_trial_close(t);
    return false;
}

void lk_gpu_trial_close(lk_gpu_trial *t) {
    lk_gpu_deallocate(t->x);
    lk_gpu_deallocate(t->w);
    lk_gpu_deallocate(t->y);
    lk_gpu_deallocate(t->bias);
    lk_gpu_deallocate(t->workspace);
}

double lk_gpu_time(lk_gpu *gpu, bool (*run)(void *user), void *user) {
    cudaEvent_t start = NULL, end = NULL;
    double best = -1;
    bool ok = cudaEventCreate(&start) == cudaSuccess && cudaEventCreate(&end) == cudaSuccess && run(user) &&
              cudaStreamSynchronize(gpu->stream) == cudaSuccess;
    for (int i = 0; ok && i < 3; i++) {
        float ms = 0;
        ok = cudaEventRecord(start, gpu->stream) == cudaSuccess && run(user) &&
             cudaEventRecord(end, gpu->stream) == cudaSuccess && cudaEventSynchronize(end) == cudaSuccess &&
             cudaEventElapsedTime(&ms, start, end) == cudaSuccess;
        if (ok && (best < 0 || (double)ms < best)) best = (double)ms;
    }
    if (start) cudaEventDestroy(start);
    if (end) cudaEventDestroy(end);
    if (!ok) cudaGetLastError(); /* so that nobody else trips over it */
    return ok ? best : -1;
}

static bool build(lk_gpu *gpu, lk_gpu_layer *l, const lk_gpu_way *way) {
    return l->key.dense ? way->by == LK_WAY_CUBLASLT && lk_blas_build_layer(gpu, l, way)
                        : way->by == LK_WAY_CUDNN && lk_cudnn_build_layer(gpu, l, way);
}

static bool choose_way(lk_gpu *gpu, lk_gpu_layer *l, lk_gpu_way *way) {
    lk_gpu_trial on;
    if (!lk_gpu_trial_open(&on, &l->key, LK_GPU_MOST_WORKSPACE)) return false;
    bool works = l->key.dense ? lk_blas_choose_layer(gpu, l, &on, way) : lk_cudnn_choose_layer(gpu, l, &on, way);
    lk_gpu_trial_close(&on);
    /* A device that is out of order takes nothing. */
    if (!works && !lk_gpu_wait(gpu, NULL)) way->by = LK_WAY_UNKNOWN;
    return works;
}

/* Without memory to try it on, it is taken at its word. */
static bool runs(lk_gpu *gpu, lk_gpu_layer *l) {
    lk_gpu_trial on;
    if (!lk_gpu_trial_open(&on, &l->key, l->workspace)) return true;
    bool ok = lk_gpu_layer_run(gpu, l, on.x, on.w, on.y, on.bias, on.workspace, NULL) && lk_gpu_wait(gpu, NULL);
    if (!ok) cudaGetLastError(); /* so that nobody else trips over it */
    lk_gpu_trial_close(&on);
    return ok;
}

static const lk_way_steps steps = {build, runs, choose_way, close_layer};

lk_gpu_layer *lk_gpu_layer_find(lk_gpu *gpu, const lk_gpu_layer_key *key) {
    lk_gpu_layer *l = gpu->layers;
    while (l && memcmp(&l->key, key, sizeof *key)) l = l->next;
    if (l) return l->works ? l : NULL;
    l = lk_alloc(1, sizeof *l, NULL);
    if (!l) return NULL;
    l->key = *key;
    l->next = gpu->layers;
    gpu->layers = l;
    l->works = lk_ways_open(&steps, gpu, l, key);
    return l->works ? l : NULL;
}

size_t lk_gpu_layer_workspace(const lk_gpu_layer *layer) { return layer->workspace; }
const char *lk_gpu_layer_name(const lk_gpu_layer *layer) { return layer->name; }

bool lk_gpu_layer_run(lk_gpu *gpu, lk_gpu_layer *layer, void *x, void *w, void *y, const float *bias, void *workspace,
                      lk_error *err) {
    return layer->key.dense ? lk_blas_run_layer(gpu, layer, x, w, y, bias, workspace, err)
                            : lk_cudnn_run_layer(gpu, layer, x, w, y, bias, workspace, err);
}
