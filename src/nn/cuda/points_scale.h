/* The scale of the losses in float16 training (Micikevicius et al., Mixed Precision Training, 2018, section 3.2):
 * gradients are multiplied by it where they begin, so that small ones do not vanish in float16, and divided by it where Adam
 * reads them. It lies in device memory and changes there, since a recorded step asks nobody. docs/gpu.md says why single
 * numbers may be left out. */
#ifndef LIKENESS_NN_CUDA_POINTS_SCALE_H
#define LIKENESS_NN_CUDA_POINTS_SCALE_H

#include "numbers.h"

#define LK_GPU_FIRST_SCALE 65536.0f
#define LK_GPU_MOST_SCALE  16777216.0f
#define LK_GPU_CLEAN_STEPS 2000

typedef struct lk_gpu_scale {
    float now;         /* a power of two: division by it is exact */
    float last;        /* of the step before: of the gradients that still lie there */
    uint32_t overflow; /* this step had a gradient that was no finite number */
    uint32_t clean;    /* steps without one since the scale changed */
} lk_gpu_scale;

/* Takes the scale off a gradient; false when that is to be left out since it is not finite. NULL: it has no scale. */
LK_POINT int lk_unscale(lk_gpu_scale *scale, float *gradient) {
    if (!scale) return 1;
    if ((lk_bits_of(*gradient) & 0x7f800000u) == 0x7f800000u) {
        scale->overflow = 1;
        return 0;
    }
    *gradient /= scale->now;
    return 1;
}

/* One point, at the end of a step. */
typedef struct lk_rescale_args {
    lk_gpu_scale *scale;
} lk_rescale_args;
LK_POINT void lk_rescale_point(const lk_rescale_args *a, uint32_t i) {
    lk_gpu_scale s = a->scale[i];
    s.last = s.now;
    s.clean = s.overflow ? 0 : s.clean + 1;
    if (s.overflow && s.now > 1) s.now /= 2;
    if (s.clean == LK_GPU_CLEAN_STEPS) {
        s.clean = 0;
        if (s.now < LK_GPU_MOST_SCALE) s.now *= 2;
    }
    s.overflow = 0;
    a->scale[i] = s;
}

#endif
