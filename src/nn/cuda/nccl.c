/* Averages over several GPUs, each of a process of its own, by NCCL: on a second stream, beside what the first one computes. */
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
    return ok && lk_nn_peers_broadcast(peers, &id, sizeof id, err) && lk_gpu_lane_open(&gpu->averages, err) &&
           nccl_ok(ncclCommInitRank(&gpu->comm, lk_nn_peers_count(peers), id, lk_nn_peers_rank(peers)), "meet", err);
}

void lk_gpu_part(lk_gpu *gpu) {
    if (gpu->comm) ncclCommDestroy(gpu->comm);
    lk_gpu_lane_close(&gpu->averages);
}

bool lk_gpu_average_start(lk_gpu *gpu, float *values, size_t count, lk_error *err) {
    return lk_gpu_lane_fork(gpu, &gpu->averages, err) &&
           nccl_ok(ncclAllReduce(values, values, count, ncclFloat32, ncclAvg, gpu->comm, gpu->averages.stream),
                   "average", err) &&
           lk_gpu_lane_mark(&gpu->averages, err);
}

bool lk_gpu_average_wait(lk_gpu *gpu, lk_error *err) { return lk_gpu_lane_join(gpu, &gpu->averages, err); }

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
