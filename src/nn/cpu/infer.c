/* Operators that only the pretrained networks need: forward only. */
#include "cpu.h"

#include <string.h>

LK_HOT static void prelu_rows(const float *x, const float *slope, float *y, size_t rows, size_t c) {
#pragma omp parallel for if (rows * c > LK_CPU_PARALLEL)
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < c; i++) {
            float v = x[r * c + i];
            y[r * c + i] = v > 0 ? v : v * slope[i];
        }
}

bool lk_cpu_prelu(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    lk_nn_shape s = lk_cpu_shape(e, n->in[0]), t = lk_cpu_shape(e, n->in[1]);
    size_t c = t.h * t.w > 1 ? lk_nn_count(t) : (size_t)s.c; /* a slope per value is a slope per sample's row */
    prelu_rows(lk_cpu_data(e, n->in[0]), lk_cpu_data(e, n->in[1]), lk_cpu_data(e, n->out[0]), lk_nn_count(s) / c, c);
    return true;
}
