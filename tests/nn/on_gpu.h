/* Tests of the GPU's executor, on a GPU or on the stand-in for one (LK_EMULATED). */
#ifndef LIKENESS_TEST_NN_ON_GPU_H
#define LIKENESS_TEST_NN_ON_GPU_H

#include <stdio.h>

#include "cuda/gpu.h"

#define SKIPPED 77

/* Whichever of the two was linked is the GPU from here on. Says why there is none. */
static inline bool no_gpu(void) {
    lk_error why = {0};
    lk_backend_gpu = &lk_backend_cuda;
    if (lk_nn_has_gpu(NULL, &why)) return false;
    printf("skipped: %s\n", why.message);
    return true;
}

#endif
