/* A TensorFlow.js graph model: the JSON and its weights, divided by the first zero byte. */
#include <string.h>

#include "likeness/nn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t json = zero ? (size_t)(zero - data) : size;
    const uint8_t *weights = zero ? zero + 1 : data + size;
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_read_tfjs(data, json, weights, size - (size_t)(weights - data), "out", "fuzz", &err);
    if (!g && err.code == LK_OK) __builtin_trap(); /* a failure without a message */
    lk_nn_graph_free(g);
    return 0;
}
