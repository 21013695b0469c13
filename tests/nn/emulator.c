/* A GPU that is not there: what device.c, kernels.cu, cudnn.c and blas.c do, on the processor. With it the executor's
 * bookkeeping and the index arithmetic of every kernel are tested on machines without a GPU.
 *
 * "The libraries" take layers of 16 bits, of those with a float32 result only weight gradients, and TF32 ones, but no float32, so
 * that each way through layers.c is walked. Points of a kernel are visited from the last to the first: none may lean on another. What
 * runs beside other work runs as late as it may, or as early: whoever changes what it reads, or reads what it changes, before
 * waiting for it gets other results in one of the two. */
#include "emulator.h"
#include "cuda/ways.h"
#include "emulator_layers.h"

#include <stdlib.h>
#include <string.h>

struct lk_gpu_layer {
    lk_gpu_layer_key key;
    lk_gpu_layer *next;
    bool works;
};

bool lk_emulated_early, lk_emulated_chooses;
int lk_emulated_chosen;

typedef struct launch {
    void (*run)(lk_gpu *gpu, const void *args, size_t count);
    void *args;
    size_t size, count; /* size: of the args */
    bool beside;
    struct launch *next;
} launch;

/* Launches in order. */
typedef struct list {
    launch *first, **end;
} list;

typedef struct layer_args {
    lk_gpu_layer *layer;
    lk_conv_args conv;
} layer_args;

struct lk_gpu {
    lk_gpu_layer *layers;
    list recorded, waiting; /* waiting: what runs beside and is not yet done */
    bool recording, beside; /* beside: what is launched now */
    int under_way;          /* begun beside, and not waited for */
    lk_nn_peers *peers;
};

bool lk_gpu_ready(char *name, lk_error *err) {
    (void)err;
    if (name) strcpy(name, "an emulated GPU");
    return true;
}

bool lk_emulator_is_old = false; /* as a GPU before Ampere: tests may say so */
bool lk_gpu_has_bf16(void) { return !lk_emulator_is_old; }

size_t lk_gpu_used(void) { return 0; }
size_t lk_gpu_left(int place) {
    (void)place;
    return LK_MIB(160);
}

lk_gpu *lk_gpu_open(int place, int processes, lk_error *err) {
    (void)place, (void)processes;
    if (lk_emulated_chooses) lk_ways_begin("an emulated GPU", "its own");
    return lk_alloc(1, sizeof(lk_gpu), err);
}

void lk_gpu_close(lk_gpu *gpu) {
    if (!gpu) return;
    for (lk_gpu_layer *l = gpu->layers, *next; l; l = next) {
        next = l->next;
        free(l);
    }
    lk_ways_save();
    lk_gpu_forget(gpu->waiting.first);
    free(gpu);
}

void *lk_gpu_allocate(size_t bytes, lk_error *err) { return lk_alloc(bytes, 1, err); }
void lk_gpu_deallocate(void *p) { free(p); }
void *lk_gpu_pinned(size_t bytes, lk_error *err) { return lk_alloc(bytes, 1, err); }
void lk_gpu_unpin(void *p) { free(p); }

bool lk_gpu_upload(lk_gpu *gpu, void *to, const void *from, size_t bytes, lk_error *err) {
    (void)err;
    if (gpu->recording) return lk_fail(err, LK_ERR_UNSUPPORTED, "a copy while a step is recorded");
    memcpy(to, from, bytes);
    return true;
}

bool lk_gpu_download(lk_gpu *gpu, void *to, const void *from, size_t bytes, lk_error *err) {
    return lk_gpu_upload(gpu, to, from, bytes, err);
}

bool lk_gpu_wait(lk_gpu *gpu, lk_error *err) {
    return !gpu->recording || lk_fail(err, LK_ERR_UNSUPPORTED, "a wait while a step is recorded");
}
bool lk_gpu_mark(lk_gpu *gpu, lk_gpu_marks mark, lk_error *err) {
    (void)mark;
    return lk_gpu_wait(gpu, err);
}
bool lk_gpu_wait_mark(lk_gpu *gpu, lk_gpu_marks mark, lk_error *err) {
    (void)mark;
    return lk_gpu_wait(gpu, err);
}

bool lk_gpu_ahead_upload(lk_gpu *gpu, int place, void *to, const void *from, size_t bytes, lk_error *err) {
    (void)place;
    return lk_gpu_upload(gpu, to, from, bytes, err);
}
bool lk_gpu_ahead_wait(lk_gpu *gpu, int place, lk_error *err) {
    (void)place;
    return lk_gpu_wait(gpu, err);
}
bool lk_gpu_ahead_used(lk_gpu *gpu, int place, lk_error *err) {
    (void)place;
    return lk_gpu_wait(gpu, err);
}

/* ---- Launches ---------------------------------------------------------------------------------------------- */

static bool append(list *l, launch what, lk_error *err) {
    launch *added = lk_alloc(1, sizeof *added, err);
    void *args = added ? lk_alloc(what.size, 1, err) : NULL;
    if (!args) {
        free(added);
        return false;
    }
    memcpy(args, what.args, what.size);
    *added = what;
    added->args = args;
    added->next = NULL;
    if (!l->first) l->end = &l->first;
    *l->end = added;
    l->end = &added->next;
    return true;
}

static bool perform(lk_gpu *gpu, const launch *l, lk_error *err) {
    if (l->beside && !lk_emulated_early) return append(&gpu->waiting, *l, err);
    l->run(gpu, l->args, l->count);
    return true;
}

static bool run_or_record(lk_gpu *gpu, void (*run)(lk_gpu *, const void *, size_t), const void *args, size_t size,
                          size_t count, lk_error *err) {
    launch l = {run, (void *)(uintptr_t)args, size, count, gpu->beside, NULL};
    return gpu->recording ? append(&gpu->recorded, l, err) : perform(gpu, &l, err);
}

bool lk_gpu_record_begin(lk_gpu *gpu, lk_error *err) {
    (void)err;
    gpu->recording = true;
    gpu->recorded.first = NULL;
    return true;
}

bool lk_gpu_record_end(lk_gpu *gpu, void **recorded, lk_error *err) {
    (void)err;
    gpu->recording = false;
    *recorded = gpu->recorded.first;
    return true;
}

bool lk_gpu_replay(lk_gpu *gpu, void *recorded, lk_error *err) {
    for (const launch *l = recorded; l; l = l->next)
        if (!perform(gpu, l, err)) return false;
    return !gpu->under_way || lk_fail(err, LK_ERR_UNSUPPORTED, "a recorded step that leaves work under way");
}

void lk_gpu_forget(void *recorded) {
    for (launch *l = recorded, *next; l; l = next) {
        next = l->next;
        free(l->args);
        free(l);
    }
}

static void begin_beside(lk_gpu *gpu, const void *args, size_t count) {
    (void)args, (void)count;
    gpu->under_way++;
}

static void end_beside(lk_gpu *gpu, const void *args, size_t count) { (void)gpu, (void)args, (void)count; }

static void wait_beside(lk_gpu *gpu, const void *args, size_t count) {
    (void)args, (void)count;
    if (gpu->under_way-- == 0) abort();
    for (bool more = gpu->waiting.first != NULL; more;) {
        launch *l = gpu->waiting.first;
        gpu->waiting.first = l->next;
        l->next = NULL;
        l->run(gpu, l->args, l->count);
        more = l->run != end_beside && gpu->waiting.first;
        lk_gpu_forget(l);
    }
}

bool lk_gpu_beside_begin(lk_gpu *gpu, lk_error *err) {
    bool ok = run_or_record(gpu, begin_beside, "", 1, 0, err);
    gpu->beside = true;
    return ok;
}

bool lk_gpu_beside_end(lk_gpu *gpu, lk_error *err) {
    bool ok = run_or_record(gpu, end_beside, "", 1, 0, err);
    gpu->beside = false;
    return ok;
}

bool lk_gpu_beside_wait(lk_gpu *gpu, lk_error *err) { return run_or_record(gpu, wait_beside, "", 1, 0, err); }

/* ---- Several processes: the processor's averages ------------------------------------------------------------ */

typedef struct average_args {
    float *values;
} average_args;

static void start_average(lk_gpu *gpu, const void *args, size_t count) {
    const average_args *a = args;
    if (!lk_peers_start(gpu->peers, a->values, count, NULL)) abort();
}

static void wait_average(lk_gpu *gpu, const void *args, size_t count) {
    (void)args, (void)count;
    if (!lk_peers_wait(gpu->peers, NULL)) abort();
}

bool lk_gpu_join(lk_gpu *gpu, lk_nn_peers *peers, lk_error *err) {
    (void)err;
    gpu->peers = peers;
    return true;
}

bool lk_gpu_average_start(lk_gpu *gpu, float *values, size_t count, lk_error *err) {
    average_args a = {values};
    return run_or_record(gpu, start_average, &a, sizeof a, count, err);
}

bool lk_gpu_average_wait(lk_gpu *gpu, lk_error *err) {
    average_args a = {NULL};
    return run_or_record(gpu, wait_average, &a, sizeof a, 0, err);
}

#define KERNEL(name, type)                                                                                             \
    static void run_##name(lk_gpu *gpu, const void *args, size_t count) {                                              \
        (void)gpu;                                                                                                     \
        _Pragma("omp parallel for") for (long i = (long)count - 1; i >= 0; i--) lk_##name##_point(args, (uint32_t)i);  \
    }                                                                                                                  \
    bool lk_gpu_##name(lk_gpu *gpu, const type *a, size_t count, lk_error *err) {                                      \
        return run_or_record(gpu, run_##name, a, sizeof *a, count, err);                                               \
    }
LK_GPU_KERNELS(KERNEL)

/* "The libraries" know one way for each stride. */
static bool build_layer(lk_gpu *gpu, lk_gpu_layer *l, const lk_gpu_way *way) {
    (void)gpu;
    return way->by == LK_WAY_CUDNN && way->count == 1 && way->numbers[0] == l->key.stride;
}

static bool try_layer(lk_gpu *gpu, lk_gpu_layer *l) {
    (void)gpu, (void)l;
    return true;
}

static bool choose_way(lk_gpu *gpu, lk_gpu_layer *l, lk_gpu_way *way) {
    (void)gpu;
    lk_emulated_chosen++;
    const lk_gpu_layer_key *k = &l->key;
    bool narrow = k->in != LK_GPU_FLOAT32 && (k->out == k->in || k->pass == LK_GPU_BACK_WEIGHTS);
    bool takes = (narrow || k->tf32) && k->groups == 1;
    *way = (lk_gpu_way){takes ? LK_WAY_CUDNN : LK_WAY_PLAIN, takes, {k->stride}};
    return takes;
}

static void close_layer(lk_gpu_layer *l) { (void)l; }

static const lk_way_steps steps = {build_layer, try_layer, choose_way, close_layer};

lk_gpu_layer *lk_gpu_layer_find(lk_gpu *gpu, const lk_gpu_layer_key *key) {
    lk_gpu_layer *l = gpu->layers;
    while (l && memcmp(&l->key, key, sizeof *key)) l = l->next;
    if (l) return l->works ? l : NULL;
    l = lk_alloc(1, sizeof *l, NULL);
    if (!l) return NULL;
    l->key = *key;
    l->next = gpu->layers;
    gpu->layers = l;
    lk_gpu_way way;
    l->works = lk_emulated_chooses ? lk_ways_open(&steps, gpu, l, key) : choose_way(gpu, l, &way);
    return l->works ? l : NULL;
}

size_t lk_gpu_layer_workspace(const lk_gpu_layer *layer) { return 64 * (size_t)layer->key.stride; }
const char *lk_gpu_layer_name(const lk_gpu_layer *layer) { return layer->key.dense ? "emulated dense" : "emulated"; }

/* To TF32: 10 bits of mantissa, to nearest. */
static float to_tf32(float f) {
    uint32_t bits = lk_bits_of(f);
    return lk_of_bits((bits + 0xfff + ((bits >> 13) & 1)) & ~0x1fffu);
}

/* An operand as float32; a result begins with zeros. */
static float *widened(const lk_gpu_layer_key *k, lk_gpu_ref from, lk_nn_shape s, bool result) {
    size_t count = lk_nn_count(s);
    float *numbers = calloc(count, sizeof *numbers);
    if (!numbers) abort();
    for (size_t i = 0; i < count && !result; i++) numbers[i] = k->tf32 ? to_tf32(lk_get(from, i)) : lk_get(from, i);
    return numbers;
}

static void run_layer(lk_gpu *gpu, const void *args, size_t count) {
    (void)gpu;
    const layer_args *l = args;
    const lk_gpu_layer_key *k = &l->layer->key;
    const lk_conv_args *a = &l->conv;
    bool forward = k->pass == LK_GPU_FORWARD, back_data = k->pass == LK_GPU_BACK_DATA;
    lk_emulated_layer e = {.pass = k->pass,
                           .x = widened(k, a->x, a->xs, back_data),
                           .w = widened(k, a->w, a->ws, k->pass == LK_GPU_BACK_WEIGHTS),
                           .y = widened(k, a->y, a->ys, forward),
                           .xs = a->xs,
                           .ws = a->ws,
                           .ys = a->ys,
                           .stride = a->stride,
                           .dilation = a->dilation,
                           .top = a->top,
                           .left = a->left};
    lk_emulated_multiply(&e);
    lk_gpu_ref to = forward ? a->y : back_data ? a->x : a->w;
    const float *result = forward ? e.y : back_data ? e.x : e.w;
    for (size_t i = 0; i < count; i++) {
        float bias = a->bias ? a->bias[i % (size_t)a->ys.c] : 0;
        lk_put(to, i, forward ? lk_activate(a->act, a->alpha, result[i] + bias) : result[i]);
    }
    free(e.x);
    free(e.w);
    free(e.y);
}

bool lk_gpu_layer_run(lk_gpu *gpu, lk_gpu_layer *layer, void *x, void *w, void *y, const float *bias, void *workspace,
                      lk_error *err) {
    const lk_gpu_layer_key *k = &layer->key;
    layer_args a = {.layer = layer};
    a.conv = (lk_conv_args){.x = {x, k->in},
                            .w = {w, k->in},
                            .y = {y, k->in},
                            .bias = bias,
                            .xs = k->xs,
                            .ws = k->ws,
                            .ys = k->ys,
                            .stride = k->stride,
                            .dilation = k->dilation,
                            .groups = k->groups,
                            .top = k->top,
                            .left = k->left,
                            .act = k->act,
                            .alpha = k->alpha};
    lk_gpu_ref *result = k->pass == LK_GPU_FORWARD ? &a.conv.y : k->pass == LK_GPU_BACK_DATA ? &a.conv.x : &a.conv.w;
    result->kind = k->out;
    if (workspace) memset(workspace, 0x5a, lk_gpu_layer_workspace(layer));
    size_t count = lk_nn_count(k->pass == LK_GPU_FORWARD ? k->ys : k->pass == LK_GPU_BACK_DATA ? k->xs : k->ws);
    return run_or_record(gpu, run_layer, &a, sizeof a, count, err);
}
