#include "cli.h"
#include "likeness/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct values {
    uint64_t memory;
    bool gpu, device, average;
    int batch, precision, optimizer_memory;
    lk_swap_config config;
    lk_swap_objective objective;
} values;

static const lk_option own[] = {
    {"memory", 0, LK_OPT_BYTES, offsetof(values, memory), NULL, 0, 0, NULL, "SIZE",
     "look for what is largest within so much, such as 11G; or, when dims or the batch of a model of fixed dims are "
     "given, what training within so much takes"},
    {"gpu", 0, LK_OPT_FLAG, offsetof(values, gpu), NULL, 0, 0, NULL, NULL,
     "of an NVIDIA card, which need not be in this machine: memory is that of the card, all of it"},
    {"device", 0, LK_OPT_FLAG, offsetof(values, device), NULL, 0, 0, NULL, NULL,
     "look for what is largest within the memory that this machine has free; with --gpu, that its GPU has free"},
    {"batch", 'b', LK_OPT_INT, offsetof(values, batch), "8", 1, 1024, NULL, "N", "faces of each side in one iteration"},
    {"precision", 0, LK_OPT_ENUM, offsetof(values, precision), "auto", 0, 0, lk_nn_precision_names, "NUMBERS",
     "numbers that layers multiply; what only a GPU has is float32 without --gpu"},
    {"optimizer-memory", 0, LK_OPT_ENUM, offsetof(values, optimizer_memory), "full", 0, 0, lk_nn_states_names, "STATES",
     "how Adam keeps its two states of each number: full in 8 bytes, short in 3, factored in 1.25; host: in full, "
     "but with a GPU in the computer's memory"},
    {"average", 0, LK_OPT_FLAG, offsetof(values, average), "yes", 0, 0, NULL, NULL, "with an average of the weights"},
    {0},
};

enum { OWN, MODEL };

static const cli_group groups[] = {
    [OWN] = {"What is asked", own, 0},
    [MODEL] = {"The model", lk_swap_options, offsetof(values, config)},
    {"What is minimised", lk_swap_objective_options, offsetof(values, objective)},
    {0},
};

static json_t *json_of(const lk_train_needs *n) {
    const lk_nn_memory *m = &n->network;
    return json_pack("{s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:f}",
                     "batch", n->batch, "ae_dims", n->ae_dims, "ed_ch_dims", n->ed_ch_dims, "parameters",
                     (json_int_t)m->parameters, "weights", (json_int_t)m->weights, "optimizer",
                     (json_int_t)m->optimizer, "activations", (json_int_t)m->activations, "workspace",
                     (json_int_t)m->workspace, "average", (json_int_t)n->average, "samples", (json_int_t)n->samples,
                     "transfer", (json_int_t)n->transfer, "program", (json_int_t)n->program, "driver",
                     (json_int_t)n->driver, "total", (json_int_t)n->total, "host", (json_int_t)n->host, "step_flops",
                     m->step_flops, "saved", (json_int_t)m->saved, "again_flops", m->again_flops);
}

static void say_line(const cli_call *call, const char *what, size_t bytes, const char *remark) {
    cli_say(call, "  %-14s %10.1f MiB   %s\n", what, (double)bytes / 0x1p20, remark);
}

/* How much longer a step takes that computes some of it again, in percent of the operations. */
static double longer(const lk_nn_memory *m) { return 100 * m->again_flops / (m->step_flops - m->again_flops); }

/* What lies in the computer's memory, whatever trains. */
static void say_beside(const cli_call *call, const lk_train_needs *n) {
    if (n->average) say_line(call, "average", n->average, "of the weights over training; --no-average leaves it out");
    say_line(call, "samples", n->samples, "batches that lie ready");
    say_line(call, "transfer", n->transfer, "the largest weights on their way to a file");
    say_line(call, "program", n->program, "");
}

static void say_of_card(const cli_call *call, const lk_train_needs *n) {
    const lk_nn_memory *m = &n->network;
    say_line(call, "weights", m->weights, "and, in 16 bits, a copy of most");
    if (!m->host) say_line(call, "optimizer", m->optimizer, "Adam's two moments of each weight");
    say_line(call, "activations", m->activations, "and gradients; what never lives together shares memory");
    say_line(call, "workspace", m->workspace, "of the layers while they run, as far as can be told without the card");
    say_line(call, "driver", n->driver, "allowed for CUDA and its libraries");
    say_line(call, "on the card", n->total, "with the samples that are drawn there");
    cli_say(call, "and in the computer's memory:\n");
    if (m->host) say_line(call, "optimizer", m->optimizer, "Adam's two moments of each weight");
    say_beside(call, n);
    say_line(call, "together", n->host, "and the faces: decoded, where they fit into half of what is left");
}

static void say_of_processor(const cli_call *call, const lk_train_needs *n) {
    const lk_nn_memory *m = &n->network;
    say_line(call, "weights", m->weights, "");
    say_line(call, "optimizer", m->optimizer, "Adam's two moments of each weight");
    say_line(call, "activations", m->activations, "and gradients; what never lives together shares memory");
    say_line(call, "workspace", m->workspace, "of the layers while they run");
    say_beside(call, n);
    say_line(call, "together", n->total, "and the faces: decoded, where they fit into half of what is left");
}

static void say_needs(const cli_call *call, const values *v, const lk_train_needs *n) {
    const lk_nn_memory *m = &n->network;
    cli_say(call, "%s, batch %d", lk_arch_names[v->config.arch], n->batch);
    if (n->ae_dims) cli_say(call, ", dims %d/%d", n->ae_dims, n->ed_ch_dims);
    cli_say(call, ": %.1f million parameters, %.1f GFLOP an iteration\n", (double)m->parameters / 1e6,
            m->step_flops / 1e9);
    (v->gpu ? say_of_card : say_of_processor)(call, n);
}

/* One training within so much; 0: as it is, 1: the least. */
static bool within(const values *v, const lk_train_options *o, uint64_t memory, lk_train_needs *n, lk_error *err) {
    lk_train_options limited = *o;
    limited.memory = memory;
    return lk_train_plan(&v->config, &v->objective, &limited, n, err);
}

static bool one(cli_call *call, const values *v, const lk_train_options *o, uint64_t memory, lk_error *err) {
    lk_train_needs n, least;
    if (!within(v, o, memory, &n, err) || !within(v, o, 1, &least, err)) return false;
    double least_mib = ceil((double)least.total / 0x1p20);
    if (memory && n.total > memory)
        return lk_fail(err, LK_ERR_MEMORY,
                       "this training needs at least %.0fM%s, even with activations computed again: take a smaller "
                       "--batch, --optimizer-memory %s, or smaller dimensions",
                       least_mib, v->gpu ? " of the card" : " and its faces",
                       v->gpu ? "factored or host" : "short or factored");
    say_needs(call, v, &n);
    if (n.network.saved)
        cli_say(call, "Within %.0fM activations are computed again: %.1f MiB less, for %.1f %% more operations.\n",
                (double)memory / 0x1p20, (double)n.network.saved / 0x1p20, longer(&n.network));
    else if (memory)
        cli_say(call, "That fits into %.0fM: nothing is computed again.\n", (double)memory / 0x1p20);
    if (least.total < n.total)
        cli_say(call, "The least: %.0fM%s, for %.1f %% more operations.\n", least_mib,
                v->gpu ? " of the card" : " (train --memory), and the faces", longer(&least.network));
    call->result = json_of(&n);
    return cli_result(call, "least", json_of(&least), err);
}

static bool largest(cli_call *call, const values *v, const lk_train_options *o, uint64_t memory, lk_error *err) {
    lk_train_needs list[8];
    int count = lk_train_plan_largest(&v->config, &v->objective, o, (size_t)memory, list, err);
    if (count < 0) return false;
    if (count == 0)
        return lk_fail(err, LK_ERR_MEMORY,
                       "no %s fits into %.1f GiB, not with batch 1 and the smallest dimensions: take more memory, a "
                       "smaller --resolution or another --model",
                       lk_arch_names[v->config.arch], (double)memory / 0x1p30);
    cli_say(call, "%s within %.1f GiB: the largest for each batch\n", lk_arch_names[v->config.arch],
            (double)memory / 0x1p30);
    cli_say(call, "  batch  ae_dims  ed_ch_dims   parameters   together\n");
    json_t *rows = json_array();
    for (int i = 0; i < count; i++) {
        const lk_train_needs *n = &list[i];
        char code[16] = "fixed", channels[16] = "fixed";
        if (n->ae_dims) snprintf(code, sizeof code, "%d", n->ae_dims);
        if (n->ed_ch_dims) snprintf(channels, sizeof channels, "%d", n->ed_ch_dims);
        cli_say(call, "  %5d  %7s  %10s  %9.1f M  %6.2f GiB\n", n->batch, code, channels,
                (double)n->network.parameters / 1e6, (double)n->total / 0x1p30);
        json_array_append_new(rows, json_of(n));
    }
    if (!v->gpu) cli_say(call, "and the faces: decoded, where they fit into half of what is left\n");
    return cli_result(call, "largest", rows, err);
}

/* What may be taken at most; 0 with *ok false: there is no such device. */
static uint64_t granted(const values *v, bool *ok, lk_error *err) {
    *ok = true;
    if (v->memory || !v->device) return v->memory;
    if (!v->gpu) return lk_train_free_memory();
    lk_error why = {0};
    *ok =
        lk_nn_has_gpu(NULL, &why) ||
        lk_fail(err, LK_ERR_UNSUPPORTED,
                "there is no GPU whose free memory could be asked for with --device (%s): say what the card has, such "
                "as --memory 8G",
                why.message);
    return *ok ? lk_nn_gpu_memory(NULL) : 0;
}

static void say_device(const cli_call *call) {
    char gpu[80];
    lk_error none = {0};
    cli_say(call, "this machine: %d processors, %.1f GiB free\n", lk_threads(),
            (double)lk_train_free_memory() / 0x1p30);
    if (lk_nn_has_gpu(gpu, &none)) cli_say(call, "and a GPU (%s), which these figures are not about: --gpu\n", gpu);
}

static bool given(const cli_call *call, int group, const char *name) {
    const lk_option *table = groups[group].table;
    for (int i = 0; table[i].name; i++)
        if (strcmp(table[i].name, name) == 0) return call->given[group][i];
    return false;
}

/* Did the user say all that makes a training's size? */
static bool settled(const cli_call *call, const values *v) {
    lk_swap_config whole = v->config;
    lk_error other = {0};
    if (given(call, MODEL, "ae-dims") || given(call, MODEL, "ed-ch-dims")) return true;
    return given(call, OWN, "batch") && lk_swap_complete(&whole, &other) && !whole.ed_ch_dims;
}

static bool run(cli_call *call, lk_error *err) {
    const values *v = call->values;
    lk_train_options o = {
        .batch = v->batch, .precision = v->precision, .optimizer_memory = v->optimizer_memory, .average = v->average};
    bool ok;
    uint64_t memory = granted(v, &ok, err);
    if (!ok) return false;
    if (v->gpu) o.device = LK_NN_WISH_GPU;
    if (v->device && !v->gpu) say_device(call);
    return memory && !settled(call, v) ? largest(call, v, &o, memory, err) : one(call, v, &o, memory, err);
}

const cli_command cli_plan = {
    .name = "plan",
    .purpose = "say what memory a training takes, or what is largest within a given one",
    .usage = "--model MODEL [options]",
    .about = "The figures come from the very plan that training makes before its first step. With --gpu the card need\n"
             "not be there; how much its libraries will want is then an assumption.",
    .examples = "  likeness plan --model sae --ae-dims 698 --ed-ch-dims 51 --batch 12\n"
                "  likeness plan --model sae --archi liae --memory 11G\n"
                "  likeness plan --model sae --ae-dims 1024 --ed-ch-dims 85 --batch 8 --memory 6G\n"
                "  likeness plan --model sae --gpu --memory 8G\n"
                "  likeness plan --model h128 --device",
    .next = "  likeness train MODEL_DIR --src A.faces --dst B.faces --model MODEL --batch N …",
    .least_words = 0,
    .most_words = 0,
    .groups = groups,
    .size = sizeof(values),
    .run = run,
};
