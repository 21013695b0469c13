/* Loading cuDNN, cuBLASLt and NCCL. */
#define LK_CUDA_LOADER
#include "libraries.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

lk_cuda_libraries lk_cuda;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static lk_error failure;

/* As the system finds it, else where it lay when this was built. */
static void *open_library(const char *name, const char *path) {
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    return library ? library : dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static bool find(void *library, const char *name, void *pointer, const char *from, lk_error *err) {
    void *symbol = dlsym(library, name);
    if (!symbol) return lk_fail(err, LK_ERR_UNSUPPORTED, "%s has no %s: install the version for CUDA 13", from, name);
    memcpy(pointer, &symbol, sizeof symbol);
    return true;
}

static void load(void) {
    void *cudnn = open_library("libcudnn.so.9", LIKENESS_CUDNN_PATH);
    void *cublas = open_library("libcublasLt.so.13", LIKENESS_CUBLAS_PATH);
    if (!cudnn || !cublas) {
        lk_fail(&failure, LK_ERR_UNSUPPORTED, "%s cannot be loaded: install it, or put its folder into LD_LIBRARY_PATH",
                cudnn ? "libcublasLt.so.13" : "libcudnn.so.9");
        return;
    }
    bool ok = true;
#define LK_FIND(name) ok = ok && find(cudnn, #name, &lk_cuda.name##_, "libcudnn.so.9", &failure);
    LK_CUDNN_FUNCTIONS(LK_FIND)
#undef LK_FIND
#define LK_FIND(name) ok = ok && find(cublas, #name, &lk_cuda.name##_, "libcublasLt.so.13", &failure);
    LK_CUBLAS_FUNCTIONS(LK_FIND)
#undef LK_FIND
}

bool lk_cuda_load(lk_error *err) {
    pthread_once(&once, load);
    if (failure.code == LK_OK) return true;
    if (err) *err = failure;
    return false;
}

#ifdef LIKENESS_NCCL
static pthread_once_t once_nccl = PTHREAD_ONCE_INIT;
static lk_error failure_nccl;

static void load_nccl(void) {
    void *nccl = open_library("libnccl.so.2", LIKENESS_NCCL_PATH);
    if (!nccl) {
        lk_fail(
            &failure_nccl, LK_ERR_UNSUPPORTED,
            "libnccl.so.2, by which several GPUs train together, cannot be loaded: install it, or put its folder into "
            "LD_LIBRARY_PATH");
        return;
    }
    bool ok = true;
#define LK_FIND(name) ok = ok && find(nccl, #name, &lk_cuda.name##_, "libnccl.so.2", &failure_nccl);
    LK_NCCL_FUNCTIONS(LK_FIND)
#undef LK_FIND
}

bool lk_nccl_load(lk_error *err) {
    pthread_once(&once_nccl, load_nccl);
    if (failure_nccl.code == LK_OK) return true;
    if (err) *err = failure_nccl;
    return false;
}
#endif
