/* Averages over several GPUs, each of a process of its own, by NCCL: on a second stream, beside what the first one computes. */
#include <stdlib.h>
#include <string.h>

#include "device.h"

#ifdef LIKENESS_NCCL

static bool nccl_ok(ncclResult_t status, const char *what, lk_error *err) {
    return status == ncclSuccess ||
           lk_fail(err, LK_ERR_UNSUPPORTED, "the GPUs cannot %s (NCCL: %s)", what, ncclGetErrorString(status));
}

bool lk_gpu_join(lk_gpu *gpu, lk_nn_peers *peers, lk_error *err) {
    ncclUniqueId id;
    memset(&id, 0, sizeof id);
    if (!lk_nccl_load(err)) return false;
    bool ok = lk_nn_peers_rank(peers) > 0 || nccl_ok(ncclGetUniqueId(&id), "open a meeting place", err);
    return ok && lk_nn_peers_broadcast(peers, &id, sizeof id, err) &&
           lk_cuda_ok(cudaStreamCreateWithFlags(&gpu->side, cudaStreamNonBlocking), "open a stream", err) &&
           lk_cuda_ok(cudaEventCreateWithFlags(&gpu->ready, cudaEventDisableTiming), "make an event", err) &&
           nccl_ok(ncclCommInitRank(&gpu->comm, lk_nn_peers_count(peers), id, lk_nn_peers_rank(peers)), "meet", err);
}

void lk_gpu_part(lk_gpu *gpu) {
    if (gpu->comm) ncclCommDestroy(gpu->comm);
    if (gpu->ready) cudaEventDestroy(gpu->ready);
    for (int i = 0; i < gpu->average_room; i++) cudaEventDestroy(gpu->averages[i]);
    if (gpu->side) cudaStreamDestroy(gpu->side);
    free(gpu->averages);
}

/* An event for one more average that is under way. */
static bool grow(lk_gpu *gpu, lk_error *err) {
    if (gpu->started < gpu->average_room) return true;
    int room = gpu->average_room ? 2 * gpu->average_room : 64;
    cudaEvent_t *more = lk_alloc((size_t)room, sizeof(cudaEvent_t), err);
    if (!more) return false;
    if (gpu->averages) memcpy(more, gpu->averages, (size_t)gpu->average_room * sizeof(cudaEvent_t));
    free(gpu->averages);
    gpu->averages = more;
    for (; gpu->average_room < room; gpu->average_room++)
        if (!lk_cuda_ok(cudaEventCreateWithFlags(&more[gpu->average_room], cudaEventDisableTiming), "make an event",
                        err))
            return false;
    return true;
}

bool lk_gpu_average_start(lk_gpu *gpu, float *values, size_t count, lk_error *err) {
    return grow(gpu, err) && lk_cuda_ok(cudaEventRecord(gpu->ready, gpu->stream), "record an event", err) &&
           lk_cuda_ok(cudaStreamWaitEvent(gpu->side, gpu->ready, 0), "wait for an event", err) &&
           nccl_ok(ncclAllReduce(values, values, count, ncclFloat32, ncclAvg, gpu->comm, gpu->side), "average", err) &&
           lk_cuda_ok(cudaEventRecord(gpu->averages[gpu->started++], gpu->side), "record an event", err);
}

bool lk_gpu_average_wait(lk_gpu *gpu, lk_error *err) {
    bool ok = lk_cuda_ok(cudaStreamWaitEvent(gpu->stream, gpu->averages[gpu->waited++], 0), "wait for an event", err);
    if (gpu->waited == gpu->started) gpu->waited = gpu->started = 0;
    return ok;
}

#else

bool lk_gpu_join(lk_gpu *gpu, lk_nn_peers *peers, lk_error *err) {
    (void)gpu, (void)peers;
    return lk_fail(err, LK_ERR_UNSUPPORTED,
                   "this program was built without NCCL, by which several GPUs train together");
}

void lk_gpu_part(lk_gpu *gpu) { (void)gpu; }

/* Nobody has joined. */
bool lk_gpu_average_start(lk_gpu *gpu, float *values, size_t count, lk_error *err) {
    (void)gpu, (void)values, (void)count, (void)err;
    return false;
}
bool lk_gpu_average_wait(lk_gpu *gpu, lk_error *err) {
    (void)gpu, (void)err;
    return false;
}

#endif
