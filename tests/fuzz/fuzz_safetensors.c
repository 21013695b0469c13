/* Weights and optimizer states of any content, into a small network. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "likeness/nn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static lk_nn_exec *network(void) {
    lk_nn_graph *g = lk_nn_graph_new(NULL);
    lk_nn_t x = lk_nn_input(g, "x", (lk_nn_shape){1, 4, 1, 1});
    lk_nn_t w = lk_nn_param(g, "w", (lk_nn_shape){2, 4, 1, 1}, (lk_nn_init){LK_NN_ZEROS, 0});
    lk_nn_t b = lk_nn_param(g, "b", (lk_nn_shape){1, 2, 1, 1}, (lk_nn_init){LK_NN_ZEROS, 0});
    lk_nn_loss(g, "loss", lk_nn_dense(g, x, w, b, LK_NN_LINEAR, 0), 1);
    lk_nn_exec *e = lk_nn_compile(g, &(lk_nn_options){.train = true, .threads = 1}, NULL);
    lk_nn_graph_free(g);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static lk_nn_exec *e;
    if (!e) e = network();
    char path[64];
    int fd = memfd_create("weights", MFD_CLOEXEC);
    if (!e || fd < 0) return 0;
    bool written = write(fd, data, size) == (ssize_t)size;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (int slot = LK_NN_VALUE; written && slot <= LK_NN_MOMENT1; slot++) {
        lk_error err = {0};
        char *value = NULL;
        if (!lk_nn_load(e, (lk_nn_slot)slot, path, "iteration", &value, &err) && err.code == LK_OK)
            __builtin_trap(); /* a failure without a message */
        free(value);
    }
    close(fd);
    return 0;
}
