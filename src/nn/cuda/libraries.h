/* cuDNN, cuBLASLt and NCCL are loaded when a GPU is first asked for: linked in, they would cost every start of the program a fifth
 * of a second. Include this instead of their headers; their functions then go through pointers. */
#ifndef LIKENESS_NN_CUDA_LIBRARIES_H
#define LIKENESS_NN_CUDA_LIBRARIES_H

#include <cublasLt.h>
#include <cuda_runtime.h>
#include <cudnn.h>
#ifdef LIKENESS_NCCL
#include <nccl.h>
#endif

#include "likeness/base.h"

#define LK_CUDNN_FUNCTIONS(X)                                                                                          \
    X(cudnnCreate)                                                                                                     \
    X(cudnnDestroy)                                                                                                    \
    X(cudnnSetStream)                                                                                                  \
    X(cudnnGetVersion)                                                                                                 \
    X(cudnnGetErrorString)                                                                                             \
    X(cudnnBackendCreateDescriptor)                                                                                    \
    X(cudnnBackendDestroyDescriptor)                                                                                   \
    X(cudnnBackendSetAttribute)                                                                                        \
    X(cudnnBackendGetAttribute)                                                                                        \
    X(cudnnBackendFinalize)                                                                                            \
    X(cudnnBackendExecute)
#define LK_CUBLAS_FUNCTIONS(X)                                                                                         \
    X(cublasLtCreate)                                                                                                  \
    X(cublasLtDestroy)                                                                                                 \
    X(cublasLtGetVersion)                                                                                              \
    X(cublasLtGetStatusString)                                                                                         \
    X(cublasLtMatmul)                                                                                                  \
    X(cublasLtMatmulDescCreate)                                                                                        \
    X(cublasLtMatmulDescDestroy)                                                                                       \
    X(cublasLtMatmulDescSetAttribute)                                                                                  \
    X(cublasLtMatrixLayoutCreate)                                                                                      \
    X(cublasLtMatrixLayoutDestroy)                                                                                     \
    X(cublasLtMatmulPreferenceCreate)                                                                                  \
    X(cublasLtMatmulPreferenceDestroy)                                                                                 \
    X(cublasLtMatmulPreferenceSetAttribute)                                                                            \
    X(cublasLtMatmulAlgoGetHeuristic)                                                                                  \
    X(cublasLtMatmulAlgoInit)                                                                                          \
    X(cublasLtMatmulAlgoCheck)                                                                                         \
    X(cublasLtMatmulAlgoConfigGetAttribute)                                                                            \
    X(cublasLtMatmulAlgoConfigSetAttribute)

#ifdef LIKENESS_NCCL
#define LK_NCCL_FUNCTIONS(X)                                                                                           \
    X(ncclGetUniqueId)                                                                                                 \
    X(ncclCommInitRank)                                                                                                \
    X(ncclCommDestroy)                                                                                                 \
    X(ncclAllReduce)                                                                                                   \
    X(ncclGetErrorString)
#else
#define LK_NCCL_FUNCTIONS(X)
#endif

#define LK_POINTER(name) __typeof__(&name) name##_;
typedef struct lk_cuda_libraries {
    LK_CUDNN_FUNCTIONS(LK_POINTER)
    LK_CUBLAS_FUNCTIONS(LK_POINTER)
    LK_NCCL_FUNCTIONS(LK_POINTER)
} lk_cuda_libraries;
#undef LK_POINTER

extern lk_cuda_libraries lk_cuda;
/* Once; later calls return what the first found out. */
bool lk_cuda_load(lk_error *err);
bool lk_nccl_load(lk_error *err);

#ifndef LK_CUDA_LOADER
#define cudnnCreate                          lk_cuda.cudnnCreate_
#define cudnnDestroy                         lk_cuda.cudnnDestroy_
#define cudnnSetStream                       lk_cuda.cudnnSetStream_
#define cudnnGetVersion                      lk_cuda.cudnnGetVersion_
#define cudnnGetErrorString                  lk_cuda.cudnnGetErrorString_
#define cudnnBackendCreateDescriptor         lk_cuda.cudnnBackendCreateDescriptor_
#define cudnnBackendDestroyDescriptor        lk_cuda.cudnnBackendDestroyDescriptor_
#define cudnnBackendSetAttribute             lk_cuda.cudnnBackendSetAttribute_
#define cudnnBackendGetAttribute             lk_cuda.cudnnBackendGetAttribute_
#define cudnnBackendFinalize                 lk_cuda.cudnnBackendFinalize_
#define cudnnBackendExecute                  lk_cuda.cudnnBackendExecute_
#define cublasLtCreate                       lk_cuda.cublasLtCreate_
#define cublasLtDestroy                      lk_cuda.cublasLtDestroy_
#define cublasLtGetVersion                   lk_cuda.cublasLtGetVersion_
#define cublasLtGetStatusString              lk_cuda.cublasLtGetStatusString_
#define cublasLtMatmul                       lk_cuda.cublasLtMatmul_
#define cublasLtMatmulDescCreate             lk_cuda.cublasLtMatmulDescCreate_
#define cublasLtMatmulDescDestroy            lk_cuda.cublasLtMatmulDescDestroy_
#define cublasLtMatmulDescSetAttribute       lk_cuda.cublasLtMatmulDescSetAttribute_
#define cublasLtMatrixLayoutCreate           lk_cuda.cublasLtMatrixLayoutCreate_
#define cublasLtMatrixLayoutDestroy          lk_cuda.cublasLtMatrixLayoutDestroy_
#define cublasLtMatmulPreferenceCreate       lk_cuda.cublasLtMatmulPreferenceCreate_
#define cublasLtMatmulPreferenceDestroy      lk_cuda.cublasLtMatmulPreferenceDestroy_
#define cublasLtMatmulPreferenceSetAttribute lk_cuda.cublasLtMatmulPreferenceSetAttribute_
#define cublasLtMatmulAlgoGetHeuristic       lk_cuda.cublasLtMatmulAlgoGetHeuristic_
#define cublasLtMatmulAlgoInit               lk_cuda.cublasLtMatmulAlgoInit_
#define cublasLtMatmulAlgoCheck              lk_cuda.cublasLtMatmulAlgoCheck_
#define cublasLtMatmulAlgoConfigGetAttribute lk_cuda.cublasLtMatmulAlgoConfigGetAttribute_
#define cublasLtMatmulAlgoConfigSetAttribute lk_cuda.cublasLtMatmulAlgoConfigSetAttribute_
#define ncclGetUniqueId                      lk_cuda.ncclGetUniqueId_
#define ncclCommInitRank                     lk_cuda.ncclCommInitRank_
#define ncclCommDestroy                      lk_cuda.ncclCommDestroy_
#define ncclAllReduce                        lk_cuda.ncclAllReduce_
#define ncclGetErrorString                   lk_cuda.ncclGetErrorString_
#endif

#endif
