/* What a training takes, told by planning it. */
#include "internal.h"

#define PROGRAM        LK_MIB(56)  /* resident beside what is counted; measured, with two threads */
#define DRIVER         LK_MIB(600) /* allowed for what CUDA, cuDNN and cuBLASLt keep on a card; not measured */
#define LEAST_CHANNELS 21
#define MOST_CHANNELS  85
#define LEAST_CODE     32
#define MOST_CODE      1024

static bool plan_graph(const lk_swap_config *c, unsigned terms, int batch, const lk_nn_options *o, lk_nn_memory *memory,
                       lk_error *err) {
    lk_nn_graph *g = lk_swap_training_graph(c, terms, batch, err);
    bool ok = g && lk_nn_plan(g, o, memory, err);
    lk_nn_graph_free(g);
    return ok;
}

size_t lk_beside_network(const lk_swap_config *c, const lk_train_options *o, int batch, const lk_nn_memory *network,
                         lk_train_needs *needs) {
    needs->samples = lk_sampler_bytes(batch, c->resolution, lk_sampler_threads(), false);
    needs->average = o->average ? network->parameters * sizeof(float) : 0;
    needs->transfer = network->largest * sizeof(float);
    needs->program = PROGRAM;
    return needs->samples + needs->average + needs->transfer + needs->program;
}

/* What is on the card beside the network: the driver, and the samples that are drawn there. The rest lies on the host. */
static size_t beside_on_card(const lk_swap_config *c, const lk_train_options *o, int batch, const lk_nn_memory *network,
                             lk_train_needs *needs) {
    needs->host = lk_beside_network(c, o, batch, network, needs) - needs->samples;
    needs->samples = lk_sampler_bytes(batch, c->resolution, lk_sampler_threads(), true);
    needs->host += needs->samples + network->host;
    needs->driver = DRIVER;
    return needs->driver + lk_batch_bytes(batch, c->resolution, true);
}

bool lk_train_plan(const lk_swap_config *c, const lk_swap_objective *o, const lk_train_options *options,
                   lk_train_needs *needs, lk_error *err) {
    lk_swap_config whole = *c;
    if (!lk_swap_complete(&whole, err) || !lk_swap_objective_check(&whole, o, err)) return false;
    bool gpu = options->device == LK_NN_WISH_GPU;
    lk_nn_options training = {.train = true,
                              .precision = options->precision,
                              .optimizer_memory = options->optimizer_memory,
                              .device = gpu ? LK_NN_GPU : LK_NN_CPU,
                              .imagined = gpu};
    unsigned terms = lk_swap_terms(&whole, o, 0);
    *needs = (lk_train_needs){.batch = options->batch, .ae_dims = whole.ae_dims, .ed_ch_dims = whole.ed_ch_dims};
    if (!plan_graph(&whole, terms, options->batch, &training, &needs->network, err)) return false;
    size_t beside = (gpu ? beside_on_card : lk_beside_network)(&whole, options, options->batch, &needs->network, needs);
    needs->total = needs->network.total + beside;
    if (!options->memory || needs->total <= options->memory) return true;
    training.memory = options->memory > beside ? options->memory - beside : 1;
    if (!plan_graph(&whole, terms, options->batch, &training, &needs->network, err)) return false;
    needs->total = needs->network.total + beside;
    return true;
}

size_t lk_left_for_faces(const lk_swap_config *c, const lk_now_set *now, int batch) {
    lk_train_options o = now->options;
    lk_train_needs n;
    size_t memory = o.memory;
    o.batch = batch;
    o.memory = 0;
    if (!lk_train_plan(c, &now->objective, &o, &n, NULL) || n.total >= memory) return 0;
    return (memory - n.total) / 2;
}

typedef struct question {
    lk_swap_config config; /* complete */
    const lk_swap_objective *objective;
    const lk_train_options *options;
    size_t memory;
} question;

/* The numbers that are looked for, one at a time. */
typedef enum quantity { BATCH, CHANNELS, CODE } quantity;

/* ed_ch_dims as said, ae_dims in the proportion of the architecture's own. */
static void set_channels(lk_swap_config *c, int channels) {
    int code = c->ae_dims * channels / c->ed_ch_dims;
    c->ae_dims = code > MOST_CODE ? MOST_CODE : code < LEAST_CODE ? LEAST_CODE : code;
    c->ed_ch_dims = channels;
}

/* A network too large to be planned does not fit, either. */
static bool fits_in(const question *q, int batch, quantity what, int value, lk_train_needs *needs) {
    lk_swap_config tried = q->config;
    lk_train_options with = *q->options;
    lk_error too_large = {0};
    with.batch = what == BATCH ? value : batch;
    if (what == CHANNELS) set_channels(&tried, value);
    if (what == CODE) {
        tried.ed_ch_dims = MOST_CHANNELS;
        tried.ae_dims = value;
    }
    return lk_train_plan(&tried, q->objective, &with, needs, &too_large) && needs->total <= q->memory;
}

/* The largest value in [least, most] that fits, by halving; *found is left alone when none does. */
static bool search(const question *q, int batch, quantity what, int least, int most, lk_train_needs *found) {
    bool any = false;
    while (least <= most) {
        int middle = (least + most) / 2;
        lk_train_needs n;
        if (fits_in(q, batch, what, middle, &n)) {
            *found = n;
            any = true;
            least = middle + 1;
        } else {
            most = middle - 1;
        }
    }
    return any;
}

int lk_train_plan_largest(const lk_swap_config *c, const lk_swap_objective *o, const lk_train_options *options,
                          size_t memory, lk_train_needs list[8], lk_error *err) {
    static const int batches[] = {32, 16, 12, 8, 4, 2, 1};
    question q = {*c, o, options, memory};
    int count = 0;
    if (!lk_swap_complete(&q.config, err) || !lk_swap_objective_check(&q.config, o, err)) return -1;
    if (!q.config.ed_ch_dims) return search(&q, 0, BATCH, 1, LK_SWAP_MOST_BATCH, &list[0]);
    for (size_t i = 0; i < LK_COUNT(batches); i++) {
        if (!search(&q, batches[i], CHANNELS, LEAST_CHANNELS, MOST_CHANNELS, &list[count])) continue;
        /* With the most channels there may be room for a larger code still. */
        if (list[count].ed_ch_dims == MOST_CHANNELS)
            search(&q, batches[i], CODE, list[count].ae_dims, MOST_CODE, &list[count]);
        count++;
    }
    return count;
}
