/* A layer of the stand-in's libraries, in float32: a sum along each row of channels, where the kernels' points take a number
 * at a time. Compiled without sanitizers, which see every number that goes in and comes out (emulator.c). */
#ifndef LIKENESS_TEST_EMULATOR_LAYERS_H
#define LIKENESS_TEST_EMULATOR_LAYERS_H

#include "cuda/gpu.h"

/* x [N, H, W, C], w [O, KH, KW, C], y [N, H', W', O]; to the pass's result, two of them are added. No groups. */
typedef struct lk_emulated_layer {
    lk_gpu_pass pass;
    float *x, *w, *y;
    lk_nn_shape xs, ws, ys; /* [N, C, H, W], [O, C, KH, KW], [N, O, H', W'] */
    int stride, dilation, top, left;
} lk_emulated_layer;

void lk_emulated_multiply(const lk_emulated_layer *l);

#endif
