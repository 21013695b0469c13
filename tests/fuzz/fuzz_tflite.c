/* The TFLite reader on anything at all. */
#include "likeness/nn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_read_tflite(data, size, "fuzz", &err);
    if (!g && err.code == LK_OK) __builtin_trap(); /* a failure without a message */
    lk_nn_graph_free(g);
    return 0;
}
