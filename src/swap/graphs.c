/* The two graphs of a model: one to train it, one to predict with it. */
#include "internal.h"

static lk_nn_graph *finish(lk_nn_graph *g, lk_error *err) {
    if (lk_nn_graph_ok(g, err)) return g;
    lk_nn_graph_free(g);
    return NULL;
}

lk_nn_graph *lk_swap_build_training(const lk_swap_table *t, unsigned terms, int batch, lk_error *err) {
    lk_nn_graph *g = lk_nn_graph_new(err);
    if (!g) return NULL;
    lk_swap_net net;
    lk_swap_declare(&net, g, t, (1u << LK_KINDS) - 1);
    int r = t->resolution;
    lk_nn_t warped = lk_nn_input(g, "warped", (lk_nn_shape){2 * batch, 3, r, r});
    lk_nn_t target = lk_nn_input(g, "target", (lk_nn_shape){2 * batch, 3, r, r});
    lk_nn_t mask = lk_nn_input(g, "mask", (lk_nn_shape){2 * batch, 1, r, r});
    bool has_features = lk_swap_wants_features(terms);
    lk_nn_t features = has_features ? lk_nn_input(g, "features", (lk_nn_shape){2 * batch, 1, r, r}) : -1;
    unsigned sides = 1u << LK_SRC | 1u << LK_DST;
    unsigned images = sides | (lk_swap_wants_swapped(terms) ? 1u << LK_SWAPPED : 0u);
    lk_swap_pictures p = lk_swap_draw(&net, warped, batch, images, sides, true);
    lk_swap_add_losses(&net, &p, target, mask, features, terms);
    return finish(g, err);
}

lk_nn_graph *lk_swap_build_prediction(const lk_swap_table *t, int batch, bool both, lk_error *err) {
    lk_nn_graph *g = lk_nn_graph_new(err);
    if (!g) return NULL;
    lk_swap_net net;
    unsigned wants = both ? 1u << LK_SRC | 1u << LK_DST | 1u << LK_SWAPPED : 1u << LK_SWAPPED;
    lk_swap_declare(&net, g, t, wants);
    lk_nn_shape shape = {batch, 3, t->resolution, t->resolution};
    lk_nn_t src = both ? lk_nn_input(g, "src_face", shape) : -1;
    lk_nn_t faces = lk_nn_input(g, "face", shape);
    if (both) faces = lk_nn_concat_batch(g, (lk_nn_t[]){src, faces}, 2);
    lk_swap_pictures p = lk_swap_draw(&net, faces, batch, wants, wants, false);
    static const char *const images[LK_KINDS] = {"src", "dst", "swap"};
    static const char *const masks[LK_KINDS] = {"src_mask", "dst_mask", "mask"};
    for (int k = 0; k < LK_KINDS; k++) {
        if (!(wants & 1u << k)) continue;
        lk_nn_output(g, images[k], p.image[k][LK_SCALES - 1]);
        if (t->learn_mask) lk_nn_output(g, masks[k], p.mask[k]);
    }
    return finish(g, err);
}

static bool possible(const lk_swap_config *c, int batch, lk_error *err) {
    lk_swap_config copy = *c;
    if (!lk_swap_complete(&copy, err)) return false;
    if (batch >= 1 && batch <= LK_SWAP_MOST_BATCH) return true;
    return lk_fail(err, LK_ERR_USAGE, "a batch of %d is not possible: take 1 to %d", batch, LK_SWAP_MOST_BATCH);
}

lk_nn_graph *lk_swap_training_graph(const lk_swap_config *c, unsigned terms, int batch, lk_error *err) {
    if (!possible(c, batch, err)) return NULL;
    lk_swap_table t = lk_swap_table_of(c);
    return lk_swap_build_training(&t, terms, batch, err);
}

lk_nn_graph *lk_swap_predict_graph(const lk_swap_config *c, int batch, bool both, lk_error *err) {
    if (!possible(c, batch, err)) return NULL;
    lk_swap_table t = lk_swap_table_of(c);
    return lk_swap_build_prediction(&t, batch, both, err);
}
