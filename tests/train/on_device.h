/* A batch as the stand-in for a GPU draws it (nn/emulator.c). */
#ifndef LIKENESS_TEST_TRAIN_ON_DEVICE_H
#define LIKENESS_TEST_TRAIN_ON_DEVICE_H

#include "testing.h"

#include "cuda/gpu.h"
#include "internal.h"

static inline void read_out(lk_nn_exec *e, const char *name, float *to) {
    lk_nn_t t = lk_nn_find(e, name);
    memcpy(to, lk_nn_data(e, t), lk_nn_count(lk_nn_shape_in(e, t)) * sizeof *to);
}

/* warped, target: [n, side, side, 3]; mask, features: [n, side, side]; features may be NULL. */
static inline void draw_on_device(const lk_batch *b, int side, float *warped, float *target, float *mask,
                                  float *features) {
    static const char *const names[] = {"warped", "target", "mask", "features"}, *const copies[] = {
                                                                                     "warped again", "target again",
                                                                                     "mask again", "features again"};
    float *const to[] = {warped, target, mask, features};
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_graph_new(&err);
    lk_nn_t at[4] = {-1, -1, -1, -1};
    for (int i = 0; i < 4; i++) {
        if (!to[i]) continue;
        at[i] = lk_nn_input(g, names[i], (lk_nn_shape){2 * b->count, i < 2 ? 3 : 1, side, side});
        lk_nn_output(g, copies[i], lk_nn_affine(g, at[i], 1, 0));
    }
    lk_nn_exec *e = lk_nn_compile(g, &(lk_nn_options){.device = LK_NN_GPU}, &err);
    lk_nn_graph_free(g);
    test_ok(e && lk_nn_draws(e), &err);
    lk_nn_canvas canvas = {at[0], at[1], at[2], at[3]};
    test_ok(lk_nn_draw(e, &canvas, b->samples, b->bytes, b->size, &err) && lk_nn_run(e, &err), &err);
    for (int i = 0; i < 4; i++)
        if (to[i]) read_out(e, copies[i], to[i]);
    lk_nn_free(e);
}

#endif
