/* Kernels of the points: every thread walks the points in strides of the whole grid. */
#include <cuda_runtime.h>

#include "gpu.h"

extern "C" cudaStream_t lk_gpu_stream(const lk_gpu *gpu);
extern "C" unsigned lk_gpu_blocks(const lk_gpu *gpu);
extern "C" bool lk_cuda_ok(cudaError_t status, const char *what, lk_error *err);

static const unsigned threads = 256;

template <typename Args, void (*point)(const Args *, uint32_t)>
__global__ void __launch_bounds__(256) every_point(const __grid_constant__ Args args, uint32_t count) {
    uint32_t step = gridDim.x * blockDim.x;
    for (uint64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) point(&args, (uint32_t)i);
}

#define KERNEL(name, type)                                                                                             \
    static __device__ __forceinline__ void name##_at(const type *a, uint32_t i) { lk_##name##_point(a, i); }           \
    extern "C" bool lk_gpu_##name(lk_gpu *gpu, const type *a, size_t count, lk_error *err) {                           \
        if (count == 0) return true;                                                                                   \
        size_t blocks = (count + threads - 1) / threads;                                                               \
        if (blocks > lk_gpu_blocks(gpu)) blocks = lk_gpu_blocks(gpu);                                                  \
        every_point<type, name##_at><<<(unsigned)blocks, threads, 0, lk_gpu_stream(gpu)>>>(*a, (uint32_t)count);       \
        return lk_cuda_ok(cudaGetLastError(), "start the kernel '" #name "'", err);                                    \
    }
LK_GPU_KERNELS(KERNEL)
