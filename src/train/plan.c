/* What a training takes, told by planning it. */
#include "internal.h"

#define PROGRAM    LK_MIB(95) /* resident beside what is counted; measured, with two threads */
#define LEAST_DIMS 21
#define MOST_DIMS  85
#define MOST_CODE  1024
#define MOST_BATCH 1024

static bool plan_graph(lk_nn_graph *g, const lk_nn_options *o, lk_nn_memory *memory, lk_error *err) {
    bool ok = g && lk_nn_plan(g, o, memory, err);
    lk_nn_graph_free(g);
    return ok;
}

bool lk_train_plan(const lk_swap_config *c, const lk_swap_objective *o, const lk_train_options *options,
                   lk_train_needs *needs, lk_error *err) {
    lk_swap_config whole = *c;
    if (!lk_swap_complete(&whole, err) || !lk_swap_objective_check(&whole, o, err)) return false;
    const lk_nn_options training = {.train = true, .precision = options->precision};
    lk_nn_memory preview;
    *needs = (lk_train_needs){
        .batch = options->batch, .ae_dims = whole.ae_dims, .ed_ch_dims = whole.ed_ch_dims, .program = PROGRAM};
    int drawn = lk_preview_batch(whole.resolution, LK_PREVIEW_PAIRS);
    if (!plan_graph(lk_swap_training_graph(&whole, lk_swap_terms(&whole, o, 0), options->batch, err), &training,
                    &needs->network, err) ||
        !plan_graph(lk_swap_predict_graph(&whole, drawn, true, err), &(lk_nn_options){0}, &preview, err))
        return false;
    needs->preview = preview.total;
    needs->samples = lk_sampler_bytes(options->batch, whole.resolution, lk_sampler_threads());
    needs->transfer = needs->network.largest * sizeof(float);
    needs->total = needs->network.total + needs->preview + needs->samples + needs->transfer + needs->program;
    return true;
}

/* Does it fit, with these dims and this batch? */
static bool fits_in(const lk_swap_config *c, const lk_swap_objective *o, const lk_train_options *options, int batch,
                    int dims, size_t memory, lk_train_needs *needs, bool *fits, lk_error *err) {
    lk_swap_config tried = *c;
    lk_train_options with = *options;
    with.batch = batch;
    if (dims) {
        tried.ed_ch_dims = dims;
        tried.ae_dims = c->ae_dims * dims / c->ed_ch_dims;
        if (tried.ae_dims > MOST_CODE) tried.ae_dims = MOST_CODE;
        if (tried.ae_dims < 32) tried.ae_dims = 32;
    }
    if (!lk_train_plan(&tried, o, &with, needs, err)) return false;
    *fits = needs->total <= memory;
    return true;
}

/* The largest n in [least, most] that fits, by halving; *found is left alone when none does. */
static bool search(const lk_swap_config *c, const lk_swap_objective *o, const lk_train_options *options, int batch,
                   int least, int most, size_t memory, lk_train_needs *found, bool *any, lk_error *err) {
    *any = false;
    while (least <= most) {
        int middle = (least + most) / 2;
        lk_train_needs n;
        bool fits;
        if (!fits_in(c, o, options, batch ? batch : middle, batch ? middle : 0, memory, &n, &fits, err)) return false;
        if (fits) {
            *found = n;
            *any = true;
            least = middle + 1;
        } else {
            most = middle - 1;
        }
    }
    return true;
}

int lk_train_plan_largest(const lk_swap_config *c, const lk_swap_objective *o, const lk_train_options *options,
                          size_t memory, lk_train_needs list[8], lk_error *err) {
    static const int batches[] = {32, 16, 12, 8, 4, 2, 1};
    lk_swap_config whole = *c;
    bool any;
    int count = 0;
    if (!lk_swap_complete(&whole, err)) return -1;
    if (!whole.ed_ch_dims) return search(&whole, o, options, 0, 1, MOST_BATCH, memory, &list[0], &any, err) ? any : -1;
    for (size_t i = 0; i < LK_COUNT(batches); i++) {
        if (!search(&whole, o, options, batches[i], LEAST_DIMS, MOST_DIMS, memory, &list[count], &any, err)) return -1;
        count += any;
    }
    return count;
}
