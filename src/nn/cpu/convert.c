/* Between float32 and bfloat16. */
#include "cpu.h"

LK_HOT void lk_cpu_widen(const lk_bf16 *x, float *y, size_t n) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) y[i] = lk_widen(x[i]);
}

LK_HOT void lk_cpu_narrow(const float *x, lk_bf16 *y, size_t n) {
#pragma omp simd
    for (size_t i = 0; i < n; i++) y[i] = lk_narrow(x[i]);
}

void lk_cpu_copy(const char *from, bool from_narrow, char *to, bool to_narrow, size_t n) {
    if (from_narrow == to_narrow)
        memcpy(to, from, n * (from_narrow ? 2 : 4));
    else if (from_narrow)
        lk_cpu_widen((const lk_bf16 *)(const void *)from, (float *)(void *)to, n);
    else
        lk_cpu_narrow((const float *)(const void *)from, (lk_bf16 *)(void *)to, n);
}

const float *lk_cpu_read(const lk_nn_exec *e, int t, size_t at, size_t n, float *buffer) {
    const lk_tensor *x = &e->g.tensors[t];
    if (!x->narrow) return (const float *)(const void *)x->data + at;
    lk_cpu_widen((const lk_bf16 *)(const void *)x->data + at, buffer, n);
    return buffer;
}

float *lk_cpu_room(const lk_nn_exec *e, int t, size_t at, float *buffer) {
    const lk_tensor *y = &e->g.tensors[t];
    return y->narrow ? buffer : (float *)(void *)y->data + at;
}

void lk_cpu_written(const lk_nn_exec *e, int t, size_t at, size_t n, const float *buffer) {
    const lk_tensor *y = &e->g.tensors[t];
    if (y->narrow) lk_cpu_narrow(buffer, (lk_bf16 *)(void *)y->data + at, n);
}

bool lk_cpu_convert(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    const lk_tensor *x = &e->g.tensors[n->in[0]], *y = &e->g.tensors[n->out[0]];
    size_t count = lk_nn_count(x->shape), from = lk_number_bytes(x), to = lk_number_bytes(y);
#pragma omp parallel for if (count > LK_CPU_PARALLEL)
    for (size_t at = 0; at < count; at += LK_CPU_CHUNK)
        lk_cpu_copy(x->data + at * from, x->narrow, y->data + at * to, y->narrow,
                    count - at < LK_CPU_CHUNK ? count - at : LK_CPU_CHUNK);
    return true;
}
