/* Compiling: from a described graph to nodes that run in one arena. And running them. */
#include "internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool allocate_arena(lk_nn_exec *e, lk_error *err) {
    e->arena = e->backend->allocate(e->arena_bytes, err);
    if (!e->arena)
        return lk_fail(err, LK_ERR_MEMORY,
                       "the network needs %.0f MiB for its activations, more than there is: choose a smaller batch",
                       (double)e->arena_bytes / 0x1p20);
    for (int i = 0; i < e->g.tensor_count; i++) {
        lk_tensor *t = &e->g.tensors[i];
        if (lk_in_arena(t)) t->data = e->arena + t->place;
    }
    return true;
}

static bool learns(const lk_nn_exec *e, const lk_tensor *t) {
    return e->options.train && t->kind == LK_PARAM && t->gradient >= 0;
}

static size_t moment_bytes(const lk_tensor *t, int i) { return t->moment_bytes[i] ? t->moment_bytes[i] : t->bytes; }

static bool states_on_host(const lk_nn_exec *e) { return e->options.optimizer_memory == LK_NN_STATES_HOST; }

static char *allocate_moment(const lk_nn_exec *e, const lk_tensor *t, int i, lk_error *err) {
    return (states_on_host(e) ? e->backend->allocate_host : e->backend->allocate)(moment_bytes(t, i), err);
}

static bool allocate_params(lk_nn_exec *e, lk_error *err) {
    for (int i = 0; i < e->g.tensor_count; i++) {
        lk_tensor *t = &e->g.tensors[i];
        if (t->kind != LK_PARAM && t->kind != LK_CONST) continue;
        bool ok = (t->data = e->backend->allocate(t->bytes, err)) != NULL;
        if (ok && learns(e, t))
            ok = (t->moment1 = allocate_moment(e, t, 0, err)) && (t->moment2 = allocate_moment(e, t, 1, err));
        if (!ok)
            return lk_fail(err, LK_ERR_MEMORY, "out of memory for the network's weights: choose smaller dimensions");
    }
    return true;
}

static void resolve_views(lk_nn_graph *g) {
    for (int i = 0; i < g->tensor_count; i++) {
        int t = i;
        size_t offset = 0;
        while (g->tensors[t].view_of >= 0) {
            offset += g->tensors[t].offset * lk_number_bytes(&g->tensors[t]);
            t = g->tensors[t].view_of;
        }
        if (t != i) g->tensors[i].data = g->tensors[t].data ? g->tensors[t].data + offset : NULL;
    }
}

static bool bad_params(const lk_nn_exec *e, lk_error *err) {
    for (int i = 0; e->options.train && i < e->param_count; i++) {
        const lk_tensor *t = &e->g.tensors[e->params[i]];
        if (t->gradient < 0) return !lk_fail(err, LK_ERR_UNSUPPORTED, "no loss depends on parameter %s", t->name);
    }
    return false;
}

double lk_node_flops(const lk_nn_graph *g, const lk_node *n) {
    const lk_tensor *t = g->tensors;
    lk_nn_shape out, w;
    switch (n->op) {
    case LK_OP_CONV:
    case LK_OP_DENSE:
        out = t[n->out[0]].shape, w = t[n->in[1]].shape;
        if (n->spread) out.c = w.n, out.h /= n->spread, out.w /= n->spread;
        break;
    case LK_OP_CONV_BACK_DATA:
    case LK_OP_DENSE_BACK_DATA:
        out = t[n->in[0]].shape, w = t[n->in[1]].shape;
        break;
    case LK_OP_CONV_BACK_WEIGHTS:
    case LK_OP_DENSE_BACK_WEIGHTS:
        out = t[n->in[1]].shape, w = t[n->out[0]].shape;
        break;
    default:
        return 0;
    }
    return 2.0 * (double)lk_nn_count(out) * (double)lk_nn_count(w) / w.n;
}

static void count_flops(lk_nn_exec *e) {
    for (int i = 0; i < e->g.node_count; i++) {
        double flops = lk_node_flops(&e->g, &e->g.nodes[i]);
        e->step_flops += flops;
        if (i < e->forward_count) e->forward_flops += flops;
        if (e->g.nodes[i].again) e->again_flops += flops;
    }
}

static bool collect_params(lk_nn_exec *e, lk_error *err) {
    e->params = lk_alloc((size_t)e->g.tensor_count, sizeof(int), err);
    if (!e->params) return false;
    for (int i = 0; i < e->g.tensor_count; i++)
        if (e->g.tensors[i].kind == LK_PARAM) e->params[e->param_count++] = i;
    return true;
}

static bool prepare(lk_nn_exec *e, lk_error *err) {
    lk_nn_graph *g = &e->g;
    for (int i = 0; i < g->tensor_count; i++)
        g->tensors[i].bytes = lk_nn_count(g->tensors[i].shape) * lk_number_bytes(&g->tensors[i]);
    for (int i = 0; i < g->node_count; i++)
        if (!e->backend->prepare(e, &g->nodes[i], err)) return lk_fail_in(err, "%s", lk_op_name(g->nodes[i].op));
    return true;
}

static bool bind(lk_nn_exec *e, lk_error *err) {
    for (int i = 0; i < e->g.node_count; i++)
        if (!e->backend->bind(e, &e->g.nodes[i], err)) return lk_fail_in(err, "%s", lk_op_name(e->g.nodes[i].op));
    return true;
}

/* A parameter's memory as it lies; from a device with memory of its own, in the order of the host, to be freed. */
static char *seen(const lk_nn_exec *e, const lk_tensor *t, lk_error *err) {
    if (!e->backend->host) return t->data;
    float *values = lk_alloc(lk_nn_count(t->shape), sizeof *values, err);
    if (values && e->backend->download(e, t, t->data, values)) return (char *)values;
    free(values);
    return NULL;
}

/* Numbers are averaged where they lie: names, values and layouts of all parameters must be the same everywhere, and what
 * layers multiply. */
static bool peers_agree(const lk_nn_exec *e, lk_error *err) {
    uint64_t sum = (uint64_t)e->precision;
    for (int i = 0; i < e->param_count; i++) {
        const lk_tensor *t = &e->g.tensors[e->params[i]];
        char *data = seen(e, t, err);
        if (!data) return false;
        for (const char *c = t->name; *c; c++) sum = (sum ^ (unsigned char)*c) * 1099511628211u;
        for (size_t at = 0; at + sizeof(uint32_t) <= t->bytes; at += sizeof(uint32_t)) {
            uint32_t word;
            memcpy(&word, data + at, sizeof word);
            sum = (sum ^ word) * 1099511628211u;
        }
        if (data != t->data) free(data);
    }
    return lk_peers_agree(e->options.peers, sum, err);
}

/* What the arena may take is what weights and optimizer leave of the memory that was granted. */
static bool make_room(lk_nn_exec *e, lk_error *err) {
    if (!e->options.train || !e->options.memory) return true;
    size_t fixed = lk_nn_memory_of(e).total, most = e->options.memory;
    return lk_recompute(e, most > fixed ? most - fixed : 0, err);
}

static bool keeps_to_memory(const lk_nn_exec *e, lk_error *err) {
    size_t needed = lk_nn_memory_of(e).total, most = e->options.memory;
    if (!e->options.train || !most || needed <= most) return true;
    return lk_fail(
        err, LK_ERR_MEMORY,
        "the network needs at least %.1f MiB, with activations computed again, and %.1f are granted: choose a "
        "smaller batch or smaller dimensions",
        (double)needed / 0x1p20, (double)most / 0x1p20);
}

/* Everything that is decided before memory is taken. */
static bool plan(lk_nn_exec *e, lk_error *err) {
    e->forward_count = e->g.node_count;
    if (!collect_params(e, err) || (e->options.train && !lk_differentiate(e, err)) || bad_params(e, err)) return false;
    if (!e->backend->open(e, err) || (e->backend->join && !e->backend->join(e, err))) return false;
    if (!lk_assign_types(e, err) || !prepare(e, err)) return false;
    if (!make_room(e, err)) return false;
    count_flops(e);
    if (!lk_arena_live(&e->g, err) || !lk_arena_place(&e->g, false, &e->activation_bytes, err) ||
        !lk_arena_place(&e->g, true, &e->arena_bytes, err))
        return false;
    /* What holds the workspace too holds the activations. */
    if (e->activation_bytes > e->arena_bytes) e->activation_bytes = e->arena_bytes;
    return true;
}

static bool take(lk_nn_exec *e, lk_error *err) {
    if (!allocate_arena(e, err) || !allocate_params(e, err)) return false;
    resolve_views(&e->g);
    bool together = e->options.train && lk_nn_peers_count(e->options.peers) > 1;
    return lk_params_initialise(e, err) && bind(e, err) && (!together || peers_agree(e, err));
}

#ifdef LIKENESS_CUDA
extern const lk_backend lk_backend_cuda;
const lk_backend *lk_backend_gpu = &lk_backend_cuda;
#else
const lk_backend *lk_backend_gpu;
#endif

bool lk_nn_has_gpu(char *name, lk_error *err) {
    if (lk_backend_gpu) return lk_backend_gpu->ready(name, err);
    return lk_fail(err, LK_ERR_UNSUPPORTED, "this program was built without CUDA");
}

size_t lk_nn_gpu_memory(const lk_nn_peers *peers) {
    return lk_nn_has_gpu(NULL, NULL) ? lk_backend_gpu->free_memory(lk_peers_place(peers)) : 0;
}

const char *const lk_nn_states_names[] = {"full", "short", "factored", "host", NULL};
const char *const lk_nn_wish_names[] = {"auto", "cpu", "gpu", NULL};

int lk_nn_device_for(int wish) {
    lk_error why = {0};
    if (wish == LK_NN_WISH_CPU) return LK_NN_CPU;
    if (lk_nn_has_gpu(NULL, &why)) return LK_NN_GPU;
    if (wish == LK_NN_WISH_GPU) lk_log(LK_LOG_WARN, "no GPU: %s; the processor does the work", why.message);
    return LK_NN_CPU;
}

static const lk_backend *backend_of(int device) {
    return device == LK_NN_GPU && lk_nn_device_for(LK_NN_WISH_GPU) == LK_NN_GPU ? lk_backend_gpu : &lk_backend_cpu;
}

static void tell_precision(const lk_nn_exec *e) {
    int wanted = e->options.precision;
    if (wanted != LK_NN_AUTO && wanted != e->precision)
        lk_log(LK_LOG_WARN, "%s is not for %s: layers multiply %s", lk_nn_precision_names[wanted],
               e->backend == &lk_backend_cpu ? "the processor" : "this GPU", lk_nn_precision_names[e->precision]);
}

static lk_nn_exec *planned(const lk_nn_graph *g, const lk_nn_options *options, bool beside, lk_error *err) {
    lk_nn_exec *e = lk_alloc(1, sizeof *e, err);
    if (!e) return NULL;
    e->options = *options;
    e->backend = options->imagined ? lk_backend_gpu : backend_of(options->device);
    if (!e->backend) {
        free(e);
        lk_fail(err, LK_ERR_UNSUPPORTED, "this program was built without CUDA: it cannot tell what a GPU would need");
        return NULL;
    }
    if (states_on_host(e) && !e->backend->allocate_host) e->options.optimizer_memory = LK_NN_STATES_FULL;
    e->beside = beside && states_on_host(e);
    if (lk_graph_copy(g, &e->g, err) && plan(e, err)) return e;
    lk_nn_free(e);
    return NULL;
}

static lk_nn_exec *make(const lk_nn_graph *g, const lk_nn_options *options, bool only_plan, lk_error *err) {
    if (!lk_nn_graph_ok(g, err)) return NULL;
    int threads = lk_threads();
    if (options->threads > 0) lk_set_threads(options->threads);
    lk_nn_exec *e = planned(g, options, true, err);
    /* Gradients that wait for their updates take memory, too. */
    if (e && e->beside && !keeps_to_memory(e, NULL)) {
        lk_nn_free(e);
        e = planned(g, options, false, err);
    }
    bool ok = e && (only_plan || (keeps_to_memory(e, err) && take(e, err)));
    lk_set_threads(threads);
    if (ok && !only_plan) tell_precision(e);
    if (ok) return e;
    lk_nn_free(e);
    return NULL;
}

lk_nn_exec *lk_nn_compile(const lk_nn_graph *g, const lk_nn_options *options, lk_error *err) {
    return make(g, options, false, err);
}

bool lk_nn_plan(const lk_nn_graph *g, const lk_nn_options *options, lk_nn_memory *memory, lk_error *err) {
    lk_nn_exec *e = make(g, options, true, err);
    if (!e) return false;
    *memory = lk_nn_memory_of(e);
    lk_nn_free(e);
    return true;
}

void lk_nn_free(lk_nn_exec *e) {
    if (!e) return;
    for (int i = 0; i < e->g.node_count; i++) e->backend->release(e, &e->g.nodes[i]);
    for (int i = 0; i < e->g.tensor_count; i++) {
        lk_tensor *t = &e->g.tensors[i];
        if (t->layout) e->backend->release_layout(t->layout);
        if (t->kind != LK_PARAM && t->kind != LK_CONST) continue;
        void (*free_moment)(void *p) = states_on_host(e) ? e->backend->deallocate_host : e->backend->deallocate;
        e->backend->deallocate(t->data);
        free_moment(t->moment1);
        free_moment(t->moment2);
    }
    e->backend->deallocate(e->arena);
    e->backend->close(e);
    free(e->params);
    lk_graph_clear(&e->g);
    free(e);
}

lk_nn_memory lk_nn_memory_of(const lk_nn_exec *e) {
    lk_nn_memory m = {.activations = e->activation_bytes, .workspace = e->arena_bytes - e->activation_bytes};
    for (int i = 0; i < e->g.tensor_count; i++) {
        const lk_tensor *t = &e->g.tensors[i];
        if (t->kind == LK_PARAM) {
            m.parameters += lk_nn_count(t->shape);
            if (lk_nn_count(t->shape) > m.largest) m.largest = lk_nn_count(t->shape);
            if (learns(e, t)) m.optimizer += moment_bytes(t, 0) + moment_bytes(t, 1);
        }
        if (t->kind == LK_PARAM || t->kind == LK_CONST) m.weights += t->bytes;
    }
    if (e->backend->extra) m.weights += e->backend->extra(e);
    m.host = states_on_host(e) ? m.optimizer : 0;
    m.total = m.weights + m.optimizer - m.host + e->arena_bytes;
    m.forward_flops = e->forward_flops;
    m.step_flops = e->step_flops;
    m.saved = e->saved_bytes;
    m.again_flops = e->again_flops;
    return m;
}

/* ---- Running --------------------------------------------------------------------------------------------- */

static double processor_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool run(lk_nn_exec *e, int count, lk_error *err) {
    for (int i = 0; i < count; i++) {
        lk_node *n = &e->g.nodes[i];
        if (n->op == LK_OP_VIEW) continue;
        double start = e->profile ? processor_seconds() : 0;
        if (!e->backend->run(e, n, err)) return lk_fail_in(err, "%s", lk_op_name(n->op));
        if (!e->profile) continue;
        n->seconds += processor_seconds() - start;
        n->runs++;
    }
    return true;
}

static bool run_nodes(lk_nn_exec *e, int count, lk_error *err) {
    int threads = lk_threads();
    if (e->options.threads > 0) lk_set_threads(e->options.threads);
    bool ok = e->backend->run_all ? e->backend->run_all(e, count, err) : run(e, count, err);
    lk_set_threads(threads);
    return ok;
}

bool lk_nn_run(lk_nn_exec *e, lk_error *err) { return run_nodes(e, e->forward_count, err); }

bool lk_nn_step(lk_nn_exec *e, const lk_nn_adam *adam, lk_error *err) {
    if (!e->options.train) return lk_fail(err, LK_ERR_USAGE, "this network was not compiled for training");
    double t = (double)(e->steps + 1);
    e->adam = *adam;
    e->adam_rate =
        (float)((double)adam->rate * sqrt(1 - pow((double)adam->beta2, t)) / (1 - pow((double)adam->beta1, t)));
    if (!run_nodes(e, e->g.node_count, err)) return false;
    e->steps++;
    return true;
}

int64_t lk_nn_steps(const lk_nn_exec *e) { return e->steps; }
void lk_nn_set_steps(lk_nn_exec *e, int64_t t) { e->steps = t; }

lk_nn_t lk_nn_find(const lk_nn_exec *e, const char *name) {
    for (int i = 0; i < e->g.tensor_count; i++) {
        const lk_tensor *t = &e->g.tensors[i];
        if ((t->kind == LK_INPUT || t->output) && strcmp(t->name, name) == 0) return i;
    }
    return -1;
}

lk_nn_shape lk_nn_shape_in(const lk_nn_exec *e, lk_nn_t t) { return lk_nn_shape_of(&e->g, t); }

float *lk_nn_data(lk_nn_exec *e, lk_nn_t t) {
    if (t < 0 || t >= e->g.tensor_count) return NULL;
    const lk_tensor *at = &e->g.tensors[t];
    if (at->kind != LK_INPUT && !at->output) return NULL;
    if (at->kind == LK_INPUT) e->drawn = false;
    return e->backend->host ? e->backend->host(e, t) : (float *)(void *)at->data;
}

bool lk_nn_draws(const lk_nn_exec *e) { return e->backend->draw != NULL; }

bool lk_nn_draw(lk_nn_exec *e, const lk_nn_canvas *canvas, const lk_nn_sample *samples, const void *bytes, size_t size,
                lk_error *err) {
    if (!e->backend->draw) return lk_fail(err, LK_ERR_UNSUPPORTED, "samples are drawn by a GPU alone");
    return e->drawn = e->backend->draw(e, canvas, samples, bytes, size, err);
}

bool lk_nn_drawn(const lk_nn_exec *e) { return e->drawn; }

void *lk_nn_pin(size_t bytes, lk_error *err) { return lk_backend_gpu->allocate_host(bytes, err); }
void lk_nn_unpin(void *p) {
    if (p) lk_backend_gpu->deallocate_host(p);
}

int lk_nn_loss_count(const lk_nn_exec *e) { return e->g.loss_count; }
const char *lk_nn_loss_name(const lk_nn_exec *e, int i) { return e->g.losses[i].name; }
float lk_nn_loss_value(const lk_nn_exec *e, int i) {
    if (e->backend->loss) return e->backend->loss(e, i);
    const lk_tensor *t = &e->g.tensors[e->g.losses[i].tensor];
    float value = NAN;
    if (!e->backend->download(e, t, t->data, &value)) return NAN;
    return value;
}

bool lk_nn_set_loss_weight(lk_nn_exec *e, const char *name, float weight) {
    bool found = false;
    for (int i = 0; i < e->g.loss_count; i++) {
        if (strcmp(e->g.losses[i].name, name)) continue;
        e->g.losses[i].weight = weight;
        found = true;
    }
    return found;
}

void lk_nn_set_profile(lk_nn_exec *e, bool on) { e->profile = on; }

static void tell_layers(const lk_nn_exec *e, FILE *out) {
    for (int i = 0; i < e->g.node_count; i++) {
        const lk_node *n = &e->g.nodes[i];
        double flops = lk_node_flops(&e->g, n);
        if (!(flops > 0) || !(n->seconds > 0)) continue;
        lk_nn_shape s = e->g.tensors[n->out[0]].shape;
        fprintf(out, "%-22s [%d, %d, %d, %d] %9.2f ms %7.1f GFLOP/s\n", lk_op_name(n->op), s.n, s.c, s.h, s.w,
                1e3 * n->seconds, 1e-9 * flops * (double)n->runs / n->seconds);
    }
}

char *lk_nn_profile(const lk_nn_exec *e, lk_error *err) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        lk_fail(err, LK_ERR_MEMORY, "out of memory");
        return NULL;
    }
    for (int op = 0; op < LK_OP_COUNT; op++) {
        double seconds = 0;
        int count = 0;
        for (int i = 0; i < e->g.node_count; i++)
            if (e->g.nodes[i].op == (lk_op)op) {
                seconds += e->g.nodes[i].seconds;
                count++;
            }
        if (seconds > 0) fprintf(out, "%-22s %3d nodes %9.2f ms\n", lk_op_name((lk_op)op), count, 1e3 * seconds);
    }
    tell_layers(e, out);
    fclose(out);
    return text;
}
