/* Convolutions by cuDNN's graph API: the layer is described as a graph of one to three operations, the heuristics name
 * engines for it, a few of them are timed, the fastest stays.
 *
 * TensorFlow's padding of an even input with stride 2 is one pixel more behind than before. Where cuDNN does that badly or
 * not at all, the input is copied into a padded one first. */
#include "device.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_CONFIGS 24 /* that the heuristics are asked for */

enum { ID_X = 1, ID_W, ID_Y, ID_BIAS, ID_SUM, ID_BIASED };

static bool set(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                int64_t count, const void *values) {
    return cudnnBackendSetAttribute(d, name, type, count, values) == CUDNN_STATUS_SUCCESS;
}

static bool set_int(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, int64_t value) {
    return set(d, name, CUDNN_TYPE_INT64, 1, &value);
}

static bool set_part(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t value) {
    return value && set(d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

static bool set_type(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnDataType_t type) {
    return set(d, name, CUDNN_TYPE_DATA_TYPE, 1, &type);
}

/* A new descriptor that the layer owns. */
static cudnnBackendDescriptor_t part(lk_gpu_layer *l, cudnnBackendDescriptorType_t type) {
    cudnnBackendDescriptor_t d = NULL;
    if (l->part_count == LK_CUDNN_PARTS || cudnnBackendCreateDescriptor(type, &d) != CUDNN_STATUS_SUCCESS) return NULL;
    l->parts[l->part_count++] = d;
    return d;
}

static bool done(cudnnBackendDescriptor_t d) { return cudnnBackendFinalize(d) == CUDNN_STATUS_SUCCESS; }

void lk_cudnn_close_layer(lk_gpu_layer *l) {
    if (l->plan) cudnnBackendDestroyDescriptor(l->plan);
    l->plan = NULL;
    while (l->part_count > 0) cudnnBackendDestroyDescriptor(l->parts[--l->part_count]);
}

/* ---- Describing ------------------------------------------------------------------------------------------ */

static const cudnnDataType_t types[] = {
    [LK_GPU_FLOAT32] = CUDNN_DATA_FLOAT, [LK_GPU_BFLOAT16] = CUDNN_DATA_BFLOAT16, [LK_GPU_FLOAT16] = CUDNN_DATA_HALF};

static cudnnBackendDescriptor_t tensor(lk_gpu_layer *l, int64_t id, lk_nn_shape s, int kind, bool inner) {
    const int64_t dims[4] = {s.n, s.c, s.h, s.w};
    const int64_t strides[4] = {(int64_t)s.c * s.h * s.w, 1, (int64_t)s.c * s.w, s.c};
    cudnnBackendDescriptor_t d = part(l, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    bool ok = d && set_type(d, CUDNN_ATTR_TENSOR_DATA_TYPE, types[kind]) &&
              set(d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims) &&
              set(d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides) &&
              set_int(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, id) && set_int(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 16) &&
              set(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &inner) && done(d);
    return ok ? d : NULL;
}

static cudnnBackendDescriptor_t geometry(lk_gpu_layer *l, const lk_gpu_layer_key *k) {
    const int64_t strides[2] = {k->stride, k->stride}, dilations[2] = {k->dilation, k->dilation};
    const int64_t before[2] = {k->top, k->left}, after[2] = {k->bottom, k->right};
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    cudnnBackendDescriptor_t d = part(l, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    bool ok = d && set_type(d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT) &&
              set(d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode) &&
              set_int(d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 2) &&
              set(d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, strides) &&
              set(d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilations) &&
              set(d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, before) &&
              set(d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, after) && done(d);
    return ok ? d : NULL;
}

typedef struct names {
    cudnnBackendDescriptorType_t op;
    cudnnBackendAttributeName_t alpha, beta, geometry, x, w, y;
} names;

static const names passes[] = {
    [LK_GPU_FORWARD] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y},
    [LK_GPU_BACK_DATA] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
                          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY},
    [LK_GPU_BACK_WEIGHTS] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY},
};

static cudnnBackendDescriptor_t convolution(lk_gpu_layer *l, const lk_gpu_layer_key *k, cudnnBackendDescriptor_t x,
                                            cudnnBackendDescriptor_t w, cudnnBackendDescriptor_t y) {
    const names *n = &passes[k->pass];
    const float one = 1, zero = 0;
    cudnnBackendDescriptor_t shape = geometry(l, k), d = part(l, n->op);
    bool ok = d && set_part(d, n->geometry, shape) && set_part(d, n->x, x) && set_part(d, n->w, w) &&
              set_part(d, n->y, y) && set(d, n->alpha, CUDNN_TYPE_FLOAT, 1, &one) &&
              set(d, n->beta, CUDNN_TYPE_FLOAT, 1, &zero) && done(d);
    return ok ? d : NULL;
}

static bool set_double(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, double value) {
    return set(d, name, CUDNN_TYPE_DOUBLE, 1, &value);
}

static bool pointwise_mode(const lk_gpu_layer_key *k, cudnnPointwiseMode_t *mode) {
    switch (k->act) {
    case LK_NN_LEAKY:
    case LK_NN_RELU:
    case LK_NN_RELU6:
        *mode = CUDNN_POINTWISE_RELU_FWD;
        return true;
    case LK_NN_SIGMOID:
        *mode = CUDNN_POINTWISE_SIGMOID_FWD;
        return true;
    case LK_NN_TANH:
        *mode = CUDNN_POINTWISE_TANH_FWD;
        return true;
    default:
        return false;
    }
}

/* y = x + b, or, without b, the layer's activation of x. */
static cudnnBackendDescriptor_t pointwise(lk_gpu_layer *l, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t b,
                                          cudnnBackendDescriptor_t y) {
    cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
    if (!b && !pointwise_mode(&l->key, &mode)) return NULL;
    cudnnBackendDescriptor_t what = part(l, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    cudnnBackendDescriptor_t d = part(l, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    bool ok = what && d && set(what, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode) &&
              set_type(what, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
    if (ok && !b && l->key.act == LK_NN_LEAKY)
        ok = set_double(what, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, (double)l->key.alpha);
    if (ok && !b && l->key.act == LK_NN_RELU6) ok = set_double(what, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, 6);
    ok = ok && done(what) && set_part(d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, what) &&
         set_part(d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x) &&
         (!b || set_part(d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b)) &&
         set_part(d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y) && done(d);
    return ok ? d : NULL;
}

/* The whole layer as a graph of operations; NULL when cuDNN refuses the description. */
static cudnnBackendDescriptor_t describe(lk_gpu *gpu, lk_gpu_layer *l, const lk_gpu_layer_key *k) {
    bool fwd = k->pass == LK_GPU_FORWARD, data = k->pass == LK_GPU_BACK_DATA, weights = k->pass == LK_GPU_BACK_WEIGHTS;
    bool bias = l->fused && k->bias, act = l->fused && k->act != LK_NN_LINEAR;
    cudnnBackendDescriptor_t x = tensor(l, ID_X, k->xs, data ? k->out : k->in, false);
    cudnnBackendDescriptor_t w = tensor(l, ID_W, k->ws, weights ? k->out : k->in, false);
    cudnnBackendDescriptor_t y = tensor(l, ID_Y, k->ys, fwd ? k->out : k->in, false);
    cudnnBackendDescriptor_t sum = bias || act ? tensor(l, ID_SUM, k->ys, LK_GPU_FLOAT32, true) : y;
    cudnnBackendDescriptor_t ops[3] = {convolution(l, k, x, w, sum)};
    int count = 1;
    if (bias) {
        lk_nn_shape each = {1, k->ys.c, 1, 1};
        cudnnBackendDescriptor_t b = tensor(l, ID_BIAS, each, LK_GPU_FLOAT32, false);
        cudnnBackendDescriptor_t biased = act ? tensor(l, ID_BIASED, k->ys, LK_GPU_FLOAT32, true) : y;
        ops[count++] = b ? pointwise(l, sum, b, biased) : NULL;
        sum = biased;
    }
    if (act) ops[count++] = pointwise(l, sum, NULL, y);
    for (int i = 0; i < count; i++)
        if (!ops[i]) return NULL;
    cudnnBackendDescriptor_t graph = part(l, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    if (!graph || !set(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, ops)) return NULL;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    bool ok = set(graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &gpu->cudnn);
#pragma GCC diagnostic pop
    return ok && done(graph) ? graph : NULL;
}

/* ---- Engines --------------------------------------------------------------------------------------------- */

/* Of float32, tensor cores multiply 10 bits of mantissa, and some engines round it to 16 bits altogether. Of what has 16 bits,
 * some engines add parts up in those. */
static bool spoils(cudnnBackendNumericalNote_t note, const lk_gpu_layer_key *k) {
    if (k->in != LK_GPU_FLOAT32) return note == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION;
    return note == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS || (note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE && !k->tf32);
}

static bool acceptable(cudnnBackendDescriptor_t config, const lk_gpu_layer_key *k) {
    cudnnBackendDescriptor_t engine = NULL;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) != CUDNN_STATUS_SUCCESS) return false;
    int64_t count = 0;
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    bool ok = cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
                                       &engine) == CUDNN_STATUS_SUCCESS &&
              cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                       CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes) == CUDNN_STATUS_SUCCESS;
    for (int64_t i = 0; ok && i < count; i++) ok = !spoils(notes[i], k);
    cudnnBackendDestroyDescriptor(engine);
    return ok;
}

static int heuristics(cudnnBackendDescriptor_t graph, cudnnBackendHeurMode_t mode, cudnnBackendDescriptor_t *configs,
                      int room) {
    cudnnBackendDescriptor_t h = NULL;
    int64_t count = 0;
    for (int i = 0; i < room; i++)
        if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[i]) != CUDNN_STATUS_SUCCESS)
            room = i;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &h) == CUDNN_STATUS_SUCCESS &&
        (!set_part(h, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph) ||
         !set(h, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode) || !done(h) ||
         cudnnBackendGetAttribute(h, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, room, &count,
                                  configs) != CUDNN_STATUS_SUCCESS))
        count = 0;
    if (h) cudnnBackendDestroyDescriptor(h);
    if (count > room) count = room;
    for (int i = (int)count; i < room; i++) cudnnBackendDestroyDescriptor(configs[i]);
    return (int)count;
}

static cudnnBackendDescriptor_t plan_of(lk_gpu *gpu, cudnnBackendDescriptor_t config, size_t *workspace) {
    cudnnBackendDescriptor_t plan = NULL;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan) != CUDNN_STATUS_SUCCESS)
        return NULL;
    int64_t bytes = 0, count = 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    bool ok = set(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &gpu->cudnn);
#pragma GCC diagnostic pop
    ok = ok && set_part(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config) && done(plan) &&
         cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count,
                                  &bytes) == CUDNN_STATUS_SUCCESS &&
         bytes >= 0 && (size_t)bytes <= LK_GPU_MOST_WORKSPACE / 2;
    if (ok) {
        *workspace = (size_t)bytes;
        return plan;
    }
    cudnnBackendDestroyDescriptor(plan);
    return NULL;
}

/* ---- Ways that can be told ------------------------------------------------------------------------------- */

/* Their numbers: fused, padded, the engine's global index, then the kind and the value of each of its knobs. The heuristics may
 * name engines in another order next time; these stay within a version of cuDNN. */
enum { FUSED, PADDED, ENGINE, KNOBS };
#define MOST_KNOBS ((LK_WAY_NUMBERS - KNOBS) / 2)

static bool get(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                void *value) {
    int64_t count = 0;
    return cudnnBackendGetAttribute(d, name, type, 1, &count, value) == CUDNN_STATUS_SUCCESS && count == 1;
}

static bool tell_engine(cudnnBackendDescriptor_t config, int64_t *index) {
    cudnnBackendDescriptor_t engine = NULL;
    bool ok = cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) == CUDNN_STATUS_SUCCESS &&
              get(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, &engine) &&
              get(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, index);
    if (engine) cudnnBackendDestroyDescriptor(engine);
    return ok;
}

static bool tell_knobs(cudnnBackendDescriptor_t config, lk_gpu_way *way) {
    cudnnBackendDescriptor_t knobs[MOST_KNOBS] = {NULL};
    int64_t count = 0;
    bool ok = true;
    for (int i = 0; ok && i < MOST_KNOBS; i++)
        ok = cudnnBackendCreateDescriptor(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, &knobs[i]) == CUDNN_STATUS_SUCCESS;
    ok = ok &&
         cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, MOST_KNOBS,
                                  &count, knobs) == CUDNN_STATUS_SUCCESS &&
         count <= MOST_KNOBS;
    for (int64_t i = 0; ok && i < count; i++) {
        cudnnBackendKnobType_t kind = CUDNN_KNOB_TYPE_COUNTS;
        int64_t *to = &way->numbers[way->count];
        ok = get(knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, &kind) &&
             get(knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, &to[1]);
        to[0] = kind;
        way->count += 2;
    }
    for (int i = 0; i < MOST_KNOBS; i++)
        if (knobs[i]) cudnnBackendDestroyDescriptor(knobs[i]);
    return ok;
}

static lk_gpu_way way_of(const lk_gpu_layer *l, cudnnBackendDescriptor_t config) {
    lk_gpu_way way = {.by = LK_WAY_CUDNN, .count = KNOBS, .numbers = {[FUSED] = l->fused, [PADDED] = l->padded}};
    if (!tell_engine(config, &way.numbers[ENGINE]) || !tell_knobs(config, &way)) way.by = LK_WAY_UNKNOWN;
    return way;
}

static bool turn(cudnnBackendDescriptor_t knob, const int64_t *kind_and_value) {
    if (kind_and_value[0] < 0 || kind_and_value[0] >= CUDNN_KNOB_TYPE_COUNTS) return false;
    cudnnBackendKnobType_t kind = (cudnnBackendKnobType_t)kind_and_value[0];
    return set(knob, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &kind) &&
           set_int(knob, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, kind_and_value[1]) && done(knob);
}

/* The plan of the engine that a way names; NULL: this graph cannot be computed by it. */
static cudnnBackendDescriptor_t plan_again(lk_gpu *gpu, cudnnBackendDescriptor_t graph, const lk_gpu_layer_key *k,
                                           const lk_gpu_way *way, size_t *workspace) {
    cudnnBackendDescriptor_t knobs[MOST_KNOBS] = {NULL}, engine = NULL, config = NULL;
    int count = (way->count - KNOBS) / 2;
    bool ok = cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) == CUDNN_STATUS_SUCCESS &&
              set_part(engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph) &&
              set_int(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, way->numbers[ENGINE]) && done(engine) &&
              cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &config) == CUDNN_STATUS_SUCCESS &&
              set_part(config, CUDNN_ATTR_ENGINECFG_ENGINE, engine);
    for (int i = 0; ok && i < count; i++)
        ok = cudnnBackendCreateDescriptor(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, &knobs[i]) == CUDNN_STATUS_SUCCESS &&
             turn(knobs[i], &way->numbers[KNOBS + 2 * i]);
    if (ok && count) ok = set(config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, knobs);
    ok = ok && done(config) && acceptable(config, k);
    cudnnBackendDescriptor_t plan = ok ? plan_of(gpu, config, workspace) : NULL;
    for (int i = 0; i < count; i++)
        if (knobs[i]) cudnnBackendDestroyDescriptor(knobs[i]);
    if (config) cudnnBackendDestroyDescriptor(config);
    if (engine) cudnnBackendDestroyDescriptor(engine);
    return plan;
}

/* ---- Choosing -------------------------------------------------------------------------------------------- */

/* The padded input's shape, and the layer's key with it in place of x. */
static lk_gpu_layer_key padded_key(const lk_gpu_layer_key *key) {
    lk_gpu_layer_key k = *key;
    k.xs.h += k.top + k.bottom;
    k.xs.w += k.left + k.right;
    k.top = k.bottom = k.left = k.right = 0;
    return k;
}

static size_t padded_bytes(const lk_gpu_layer *l) {
    lk_gpu_layer_key k = padded_key(&l->key);
    int kind = k.pass == LK_GPU_BACK_DATA ? k.out : k.in;
    return (lk_nn_count(k.xs) * (kind == LK_GPU_FLOAT32 ? 4 : 2) + 255) / 256 * 256;
}

typedef struct timing {
    lk_gpu *gpu;
    lk_gpu_layer *layer;
    const lk_gpu_trial *on;
} timing;

static bool run_timed(void *user) {
    const timing *t = user;
    return lk_cudnn_run_layer(t->gpu, t->layer, t->on->x, t->on->w, t->on->y, t->on->bias, t->on->workspace, NULL);
}

/* Fused layers are compiled when they are planned, which takes a second each: one is tried. The others lie ready. */
static int trials_of(const lk_gpu_layer *l) { return l->fused ? 1 : lk_gpu_trials(); }

/* The fastest of the engines that the heuristics name; milliseconds, or infinity. Leaves it in the layer. */
static double choose(lk_gpu *gpu, lk_gpu_layer *l, cudnnBackendDescriptor_t graph, const lk_gpu_trial *on,
                     bool *planned) {
    double best = HUGE_VAL;
    cudnnBackendDescriptor_t chosen = NULL;
    size_t chosen_workspace = 0;
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    for (size_t m = 0; m < LK_COUNT(modes) && !chosen; m++) {
        cudnnBackendDescriptor_t configs[MOST_CONFIGS] = {NULL};
        int count = heuristics(graph, modes[m], configs, MOST_CONFIGS), tried = 0;
        for (int i = 0; i < count; i++) {
            size_t own = 0;
            l->plan = tried < trials_of(l) && acceptable(configs[i], &l->key) ? plan_of(gpu, configs[i], &own) : NULL;
            tried += l->plan != NULL;
            *planned = *planned || l->plan;
            timing t = {gpu, l, on};
            double ms = l->plan ? lk_gpu_time(gpu, run_timed, &t) : -1;
            cudnnBackendDescriptor_t loser = l->plan;
            if (ms >= 0 && ms < best) {
                loser = chosen;
                chosen = l->plan;
                chosen_workspace = own;
                best = ms;
                l->way = way_of(l, configs[i]);
            }
            if (loser) cudnnBackendDestroyDescriptor(loser);
            l->plan = NULL;
            cudnnBackendDestroyDescriptor(configs[i]);
        }
    }
    l->plan = chosen;
    l->workspace = l->padded_room + chosen_workspace;
    return best;
}

/* The layer's graph with bias and activation in it or not, and with x padded or not; NULL: there is no such. */
static cudnnBackendDescriptor_t describe_way(lk_gpu *gpu, lk_gpu_layer *l, bool fused, bool padded) {
    const lk_gpu_layer_key *k = &l->key;
    bool fusible = k->pass == LK_GPU_FORWARD && (k->bias || k->act != LK_NN_LINEAR);
    bool uneven = k->top != k->bottom || k->left != k->right;
    if ((fused && !fusible) || (padded && !uneven)) return NULL;
    l->fused = fused;
    l->padded = padded;
    l->padded_room = padded ? padded_bytes(l) : 0;
    if (l->padded_room > LK_GPU_MOST_WORKSPACE / 2) return NULL;
    lk_gpu_layer_key changed = padded ? padded_key(k) : *k;
    return describe(gpu, l, &changed);
}

static double try_way(lk_gpu *gpu, lk_gpu_layer *l, bool fused, bool padded, const lk_gpu_trial *on, bool *planned) {
    cudnnBackendDescriptor_t graph = describe_way(gpu, l, fused, padded);
    double ms = graph ? choose(gpu, l, graph, on, planned) : HUGE_VAL;
    if (l->plan) return ms;
    lk_cudnn_close_layer(l);
    return HUGE_VAL;
}

static void name_layer(lk_gpu_layer *l) {
    snprintf(l->name, sizeof l->name, "cuDNN%s%s", l->fused ? ", fused" : "", l->padded ? ", padded" : "");
}

bool lk_cudnn_choose_layer(lk_gpu *gpu, lk_gpu_layer *layer, const lk_gpu_trial *on, lk_gpu_way *way) {
    lk_gpu_layer best = *layer;
    double least = HUGE_VAL;
    bool planned = false;
    for (int i = 0; i < 4 && (lk_gpu_trials() > 1 || !best.plan); i++) {
        lk_gpu_layer candidate = *layer;
        double ms = try_way(gpu, &candidate, i & 1, i & 2, on, &planned);
        lk_gpu_layer *loser = ms < least ? &best : &candidate;
        lk_cudnn_close_layer(loser);
        if (ms >= least) continue;
        least = ms;
        best = candidate;
    }
    /* What was planned and did not run may run another time, when there is more memory. */
    way->by = planned ? LK_WAY_UNKNOWN : LK_WAY_PLAIN;
    if (!best.plan) return false;
    *layer = best;
    *way = best.way;
    name_layer(layer);
    return true;
}

bool lk_cudnn_build_layer(lk_gpu *gpu, lk_gpu_layer *layer, const lk_gpu_way *way) {
    if (way->count < KNOBS) return false;
    size_t own = 0;
    cudnnBackendDescriptor_t graph = describe_way(gpu, layer, way->numbers[FUSED] != 0, way->numbers[PADDED] != 0);
    layer->plan = graph ? plan_again(gpu, graph, &layer->key, way, &own) : NULL;
    layer->workspace = layer->padded_room + own;
    name_layer(layer);
    if (!layer->plan) lk_cudnn_close_layer(layer);
    return layer->plan != NULL;
}

/* ---- Running --------------------------------------------------------------------------------------------- */

static bool pad_or_cut(lk_gpu *gpu, const lk_gpu_layer *l, void *x, void *larger, lk_error *err) {
    const lk_gpu_layer_key *k = &l->key;
    lk_nn_shape t = padded_key(k).xs;
    lk_pad_args a = {
        .x = {x, k->in}, .y = {larger, k->in}, .s = k->xs, .t = t, .top = (uint32_t)k->top, .left = (uint32_t)k->left};
    if (k->pass == LK_GPU_BACK_DATA) /* indices wrap around: a negative padding cuts */
        a = (lk_pad_args){.x = {larger, k->out},
                          .y = {x, k->out},
                          .s = t,
                          .t = k->xs,
                          .top = 0u - (uint32_t)k->top,
                          .left = 0u - (uint32_t)k->left};
    return lk_gpu_pad(gpu, &a, lk_nn_count(a.t), err);
}

static bool execute(lk_gpu *gpu, const lk_gpu_layer *l, void *x, void *w, void *y, const float *bias, void *workspace,
                    lk_error *err) {
    const int64_t ids[4] = {ID_X, ID_W, ID_Y, ID_BIAS};
    void *data[4] = {x, w, y, (void *)(uintptr_t)bias};
    int64_t count = l->fused && l->key.bias ? 4 : 3;
    cudnnBackendDescriptor_t pack = NULL;
    bool ok = cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack) == CUDNN_STATUS_SUCCESS &&
              set(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, ids) &&
              set(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, data) &&
              set(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace) && done(pack);
    cudnnStatus_t status = ok ? cudnnBackendExecute(gpu->cudnn, l->plan, pack) : CUDNN_STATUS_BAD_PARAM;
    if (pack) cudnnBackendDestroyDescriptor(pack);
    return status == CUDNN_STATUS_SUCCESS ||
           lk_fail(err, LK_ERR_UNSUPPORTED, "cuDNN failed in a convolution (%s)", cudnnGetErrorString(status));
}

bool lk_cudnn_run_layer(lk_gpu *gpu, lk_gpu_layer *l, void *x, void *w, void *y, const float *bias, void *workspace,
                        lk_error *err) {
    const lk_gpu_layer_key *k = &l->key;
    void *own = (char *)workspace + l->padded_room, *larger = l->padded ? workspace : x;
    bool data = k->pass == LK_GPU_BACK_DATA, fwd = k->pass == LK_GPU_FORWARD;
    if (l->padded && !data && !pad_or_cut(gpu, l, x, larger, err)) return false;
    if (!execute(gpu, l, larger, w, y, bias, own, err)) return false;
    if (l->padded && data) return pad_or_cut(gpu, l, x, larger, err);
    if (!fwd || l->fused || (!k->bias && k->act == LK_NN_LINEAR)) return true;
    lk_activation_args a = {.x = {y, k->out},
                            .y = {y, k->out},
                            .bias = bias,
                            .channels = (uint32_t)k->ys.c,
                            .act = k->act,
                            .alpha = k->alpha};
    return lk_gpu_activation(gpu, &a, lk_nn_count(k->ys), err);
}
