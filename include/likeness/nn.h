/* nn: static graphs, differentiated, planned into one arena, and run by an executor.
 *
 *   describe   g = lk_nn_graph_new(); x = lk_nn_input(g, …); y = lk_nn_conv(g, x, …); lk_nn_loss(g, …);
 *   plan       e = lk_nn_compile(g, &options, &err);      // all memory is known and taken here
 *   run        fill lk_nn_data(e, x); lk_nn_run(e, &err); // no allocation from the second run on
 *
 * Describing never needs an error check: a bad shape makes the graph remember its first error, every handle after
 * that is negative, and lk_nn_compile reports it.
 *
 * Shapes are written [N, C, H, W]. In memory activations are channels-last: pixel (n, y, x) holds its C values side by
 * side, so an interleaved image is a tensor as it stands. Parameters are exchanged with the outside in the order
 * [out, in/groups, kh, kw] (as PyTorch); inside, they live in the executor's own layout. All numbers are float32 to
 * the outside, whatever the precision inside.
 *
 * A graph may be freed after compiling. An executor belongs to one thread at a time. */
#ifndef LIKENESS_NN_H
#define LIKENESS_NN_H

#include "likeness/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_nn_graph lk_nn_graph;
typedef struct lk_nn_exec lk_nn_exec;
typedef int lk_nn_t; /* a tensor of a graph; negative: there was an error before */

typedef struct lk_nn_shape {
    int n, c, h, w;
} lk_nn_shape;

static inline size_t lk_nn_count(lk_nn_shape s) { return (size_t)s.n * (size_t)s.c * (size_t)s.h * (size_t)s.w; }

typedef enum lk_nn_act {
    LK_NN_LINEAR,
    LK_NN_LEAKY, /* max(x, alpha·x) */
    LK_NN_RELU,
    LK_NN_RELU6,
    LK_NN_SIGMOID,
    LK_NN_TANH,
    LK_NN_SWISH, /* x·sigmoid(x) */
    LK_NN_HARD_SWISH,
} lk_nn_act;

typedef enum lk_nn_init_kind {
    LK_NN_ZEROS,
    LK_NN_ONES,
    LK_NN_NORMAL,
    LK_NN_GLOROT_UNIFORM,
    LK_NN_BY_INPUTS,         /* normal with σ = √(scale / inputs), a window counted: He 2015 for scale 2 */
    LK_NN_CONVOLUTION_AWARE, /* Aghajanyan 2017, of windows up to 7×7: see src/nn/aware.c */
} lk_nn_init_kind;
typedef struct lk_nn_init {
    lk_nn_init_kind kind;
    float scale; /* NORMAL: the standard deviation; BY_INPUTS: the variance that leaves for each that comes in */
} lk_nn_init;

/* ---- Describe -------------------------------------------------------------------------------------------- */

lk_nn_graph *lk_nn_graph_new(lk_error *err);
void lk_nn_graph_free(lk_nn_graph *g);
lk_nn_shape lk_nn_shape_of(const lk_nn_graph *g, lk_nn_t t); /* all zero for a negative handle */
bool lk_nn_graph_ok(const lk_nn_graph *g, lk_error *err);    /* false, and the remembered error */

/* Names are copied; inputs and parameters need unique ones ("encoder/down1/kernel"). */
lk_nn_t lk_nn_input(lk_nn_graph *g, const char *name, lk_nn_shape shape);
lk_nn_t lk_nn_param(lk_nn_graph *g, const char *name, lk_nn_shape shape, lk_nn_init init);
/* A fixed tensor; `values` in parameter order [n, c, h, w], copied. May stand where a parameter may. */
lk_nn_t lk_nn_const(lk_nn_graph *g, lk_nn_shape shape, const float *values);
/* Keep `t` for reading after a run, under this name. */
void lk_nn_output(lk_nn_graph *g, const char *name, lk_nn_t t);

typedef struct lk_nn_conv_options {
    int stride;   /* 0: 1 */
    int dilation; /* 0: 1 */
    int groups;   /* 0: 1; the input's channel count: depthwise */
    bool same;    /* TensorFlow's 'same': output ceil(in/stride), the odd pixel of padding after; else `pad` counts */
    int pad_top, pad_bottom, pad_left, pad_right;
    lk_nn_act act; /* fused behind the bias */
    float alpha;   /* of LK_NN_LEAKY */
} lk_nn_conv_options;

/* x: [N, C, H, W], w: [O, C/groups, KH, KW], b: [1, O, 1, 1] or -1 → [N, O, H', W'] */
lk_nn_t lk_nn_conv(lk_nn_graph *g, lk_nn_t x, lk_nn_t w, lk_nn_t b, const lk_nn_conv_options *o);
/* Transposed convolution, TensorFlow's SAME for stride s: [N, C, H, W] → [N, O, s·H, s·W]; w: [C, O, KH, KW].
 * Forward only. */
lk_nn_t lk_nn_conv_transposed(lk_nn_graph *g, lk_nn_t x, lk_nn_t w, lk_nn_t b, const lk_nn_conv_options *o);
/* x flattened to [N, K] in memory order (h, w, c: as TensorFlow flattens); w: [O, K, 1, 1], b: [1, O, 1, 1] or -1
 * → [N, O, 1, 1] */
lk_nn_t lk_nn_dense(lk_nn_graph *g, lk_nn_t x, lk_nn_t w, lk_nn_t b, lk_nn_act act, float alpha);

lk_nn_t lk_nn_activation(lk_nn_graph *g, lk_nn_t x, lk_nn_act act, float alpha);
lk_nn_t lk_nn_prelu(lk_nn_graph *g, lk_nn_t x, lk_nn_t slope); /* slope: [1, C, 1, 1] or [1, C, H, W] */
/* [N, r·r·C, H, W] → [N, C, r·H, r·W]; input channel (row·r + column)·C + c, as TensorFlow */
lk_nn_t lk_nn_depth_to_space(lk_nn_graph *g, lk_nn_t x, int r);
/* The same memory, another shape of equal count (in memory order n, h, w, c). */
lk_nn_t lk_nn_reshape(lk_nn_graph *g, lk_nn_t x, lk_nn_shape shape);
lk_nn_t lk_nn_concat_channels(lk_nn_graph *g, const lk_nn_t *x, int count);
lk_nn_t lk_nn_slice_channels(lk_nn_graph *g, lk_nn_t x, int first, int count);
lk_nn_t lk_nn_concat_batch(lk_nn_graph *g, const lk_nn_t *x, int count);
lk_nn_t lk_nn_slice_batch(lk_nn_graph *g, lk_nn_t x, int first, int count);
/* Elementwise; in b every dimension equals a's or is 1 (broadcast). */
lk_nn_t lk_nn_add(lk_nn_graph *g, lk_nn_t a, lk_nn_t b);
lk_nn_t lk_nn_sub(lk_nn_graph *g, lk_nn_t a, lk_nn_t b);
lk_nn_t lk_nn_mul(lk_nn_graph *g, lk_nn_t a, lk_nn_t b);
lk_nn_t lk_nn_affine(lk_nn_graph *g, lk_nn_t x, float scale, float shift); /* scale·x + shift */
lk_nn_t lk_nn_square(lk_nn_graph *g, lk_nn_t x);
lk_nn_t lk_nn_abs(lk_nn_graph *g, lk_nn_t x);  /* gradient at 0 is 0 */
lk_nn_t lk_nn_sqrt(lk_nn_graph *g, lk_nn_t x); /* of numbers above 0 */

typedef struct lk_nn_pool_options {
    int kernel_h, kernel_w, stride_h, stride_w;
    bool same; /* padding never counts: not in the maximum, not in the average's divisor */
} lk_nn_pool_options;
lk_nn_t lk_nn_max_pool(lk_nn_graph *g, lk_nn_t x, const lk_nn_pool_options *o); /* forward only */
lk_nn_t lk_nn_avg_pool(lk_nn_graph *g, lk_nn_t x,
                       const lk_nn_pool_options *o); /* also the downscale of multiscale targets */
/* Zeros (or `value`) around: in c, h and w. Forward only. */
lk_nn_t lk_nn_pad(lk_nn_graph *g, lk_nn_t x, int c_after, int top, int bottom, int left, int right, float value);
lk_nn_t lk_nn_resize_bilinear(lk_nn_graph *g, lk_nn_t x, int h, int w, bool align_corners, bool half_pixel_centers);
/* Separable Gaussian with `radius` taps to each side, no padding: [N, C, H, W] → [N, C, H−2r, W−2r]; `same`: zero
 * padding, size kept. */
lk_nn_t lk_nn_gaussian(lk_nn_graph *g, lk_nn_t x, float sigma, int radius, bool same);

/* The three operators of MediaPipe's attention mesh (forward only; meaning documented in src/nn/tflite.c). */
lk_nn_t lk_nn_landmarks_to_matrix(lk_nn_graph *g, lk_nn_t landmarks, const int *indices, int count,
                                  int left_rotation_index, int right_rotation_index, float target_rotation,
                                  int output_width, int output_height, float scale_x, float scale_y);
lk_nn_t lk_nn_transform_bilinear(lk_nn_graph *g, lk_nn_t x, lk_nn_t matrix, int output_width, int output_height);
lk_nn_t lk_nn_transform_landmarks(lk_nn_graph *g, lk_nn_t landmarks, lk_nn_t matrix);

/* Losses. Each gives one value per sample, [N, 1, 1, 1]. `mask` [N, 1, H, W] multiplies both sides first; or -1. */

/* (1 − mean SSIM)/2 over an 11×11 Gaussian window of σ 1.5 without padding, k1 0.01, k2 0.03 (Wang et al. 2004);
 * `range`: the dynamic range L. Gradient flows into `x` only; the target is a constant. */
lk_nn_t lk_nn_dssim(lk_nn_graph *g, lk_nn_t x, lk_nn_t target, lk_nn_t mask, float range);
lk_nn_t lk_nn_mse(lk_nn_graph *g, lk_nn_t x, lk_nn_t target, lk_nn_t mask);
lk_nn_t lk_nn_mae(lk_nn_graph *g, lk_nn_t x, lk_nn_t target, lk_nn_t mask);
/* The mean of `x` over everything, times `weight`, joins what is minimised; its value (weighted) is read by this
 * name. The weight can be changed between steps: lk_nn_set_loss_weight. */
void lk_nn_loss(lk_nn_graph *g, const char *name, lk_nn_t x, float weight);

/* ---- Several processes ----------------------------------------------------------------------------------- */

/* Processes that mpirun or Slurm started together, on one machine or many, to train one network: each runs its share
 * of the batch, and all take the same step (docs/parallel.md). */
typedef struct lk_nn_peers lk_nn_peers;

/* Meets the others, once in a process's life. *peers is NULL when this process was started alone. Fails when it was
 * started as one of several but the program was built without MPI. */
bool lk_nn_peers_open(lk_nn_peers **peers, lk_error *err);
void lk_nn_peers_close(lk_nn_peers *peers);      /* waits for the others */
int lk_nn_peers_rank(const lk_nn_peers *peers);  /* 0 … count−1; 0 for NULL */
int lk_nn_peers_count(const lk_nn_peers *peers); /* 1 for NULL */
/* The bytes of rank 0 replace everyone's; every process must call it. Nothing to do for NULL. */
bool lk_nn_peers_broadcast(lk_nn_peers *peers, void *data, size_t size, lk_error *err);

/* ---- Plan ------------------------------------------------------------------------------------------------ */

/* Which numbers convolutions and dense layers multiply. Sums, losses, the parameters themselves and Adam are float32 in
 * all; with bfloat16 and float16 the layers see parameters and activations rounded to it, and activations are kept so. What a
 * device does not have it replaces, and the log says so: bfloat16 by float16 on a GPU before Ampere, all else by float32. */
typedef enum lk_nn_precision {
    LK_NN_F32,
    LK_NN_BF16,
    LK_NN_TF32, /* float32 rounded to 10 bits of mantissa as it is multiplied; a GPU's */
    LK_NN_F16,  /* a GPU's; in training the losses are scaled (docs/gpu.md) */
    LK_NN_AUTO, /* for training on a GPU, and on a processor that multiplies it natively, as bfloat16; else float32 */
} lk_nn_precision;
extern const char
    *const lk_nn_precision_names[]; /* in that order: "float32", "bfloat16", "tf32", "float16", "auto", NULL */
/* Does this processor multiply bfloat16 natively (AVX-512 BF16 or AMX)? */
bool lk_nn_has_bf16(void);

/* How Adam keeps its two states of each number (docs/nn.md). */
typedef enum lk_nn_states {
    LK_NN_STATES_FULL,  /* float32: 8 bytes a number */
    LK_NN_STATES_SHORT, /* 3 bytes: 8 bits and a scale for each 1024, and bfloat16, both rounded stochastically; of the
                              weights of layers, on a processor of those that are products of our own; the others stay
                              full */
    LK_NN_STATES_FACTORED, /* 1.25 bytes: the first state as in SHORT, of the second the means of each row and column of
                              32×32 weights (Adafactor, Shazeer and Stern 2018); of the same weights */
    LK_NN_STATES_HOST,     /* as FULL; those of a GPU lie in the computer's memory, where it reaches for them
                              beside the backward pass */
} lk_nn_states;
extern const char *const lk_nn_states_names[]; /* "full", "short", "factored", "host", NULL */

/* Where a network runs. */
typedef enum lk_nn_device {
    LK_NN_CPU,
    LK_NN_GPU, /* an NVIDIA GPU; where there is none, one sentence goes to the log and the processor does it */
} lk_nn_device;
/* Where somebody wants it to run. */
typedef enum lk_nn_wish { LK_NN_WISH_AUTO, LK_NN_WISH_CPU, LK_NN_WISH_GPU } lk_nn_wish; /* auto: on a GPU if any */
extern const char *const lk_nn_wish_names[];                                            /* "auto", "cpu", "gpu", NULL */
/* The lk_nn_device to ask for: the GPU only where there is one. Where one is wanted and missing, the log says why. */
int lk_nn_device_for(int wish);
/* Is there a GPU that this program can use? `name`, 80 bytes, may be NULL. The message says what is missing. */
bool lk_nn_has_gpu(char *name, lk_error *err);

/* How a convolution 3×3 is computed in training where there is a choice: tests and timing say. */
typedef enum lk_nn_way {
    LK_NN_FASTEST,  /* as timed by lk_nn_tune, or by a rule */
    LK_NN_TAPS,     /* tap by tap */
    LK_NN_WINOGRAD, /* by Winograd's transform */
    LK_NN_LIBRARY   /* in float32: by what does the layers of inference, and all layers where there is no AVX2 */
} lk_nn_way;

typedef struct lk_nn_options {
    int device;           /* lk_nn_device */
    bool train;           /* differentiate the losses, keep optimizer states */
    bool keep_gradients;  /* for tests: every parameter's gradient stays readable after a step (lk_nn_gradient) */
    uint64_t seed;        /* of the initial parameters; each draws from (seed, its name) */
    bool blank;           /* parameters begin as zeros: for who sets all of them */
    int precision;        /* lk_nn_precision */
    int optimizer_memory; /* lk_nn_states */
    int way;              /* lk_nn_way */
    /* In training: bytes of the device that the network may take (lk_nn_memory's total); 0: what it needs. Where it needs
     * more, activations are given up and computed again in the backward pass, which changes no bit of what is learned. */
    size_t memory;
    int threads; /* of the processor, at most; 0: as many as lk_threads() says */
    /* lk_nn_plan with LK_NN_GPU: of a card that need not be there. It is taken to run every layer by its libraries, in 2 bytes a
     * number unless precision says otherwise. */
    bool imagined;
    /* In training, gradients and losses are averaged over these processes: N of them with a batch of B each take the
     * step that one would take with N·B. They outlive the executor. NULL: this process trains alone. */
    lk_nn_peers *peers;
} lk_nn_options;

/* Bytes that are free on the GPU that this process would take; 0 where there is none. */
size_t lk_nn_gpu_memory(const lk_nn_peers *peers);

/* Times the ways to compute each layer of a training graph in bfloat16 on the processor, once for each shape and number of
 * threads, and remembers them in a file that names the processor (docs/nn.md): networks compiled later in this process take
 * the fastest. Where nothing is to be chosen it returns at once. A cache that cannot be kept is told to the log; fails when a
 * layer does not fit into memory. */
bool lk_nn_tune(const lk_nn_graph *g, const lk_nn_options *options, lk_error *err);

/* Decides layouts and algorithms, differentiates, plans one arena, takes all memory, initialises parameters. */
lk_nn_exec *lk_nn_compile(const lk_nn_graph *g, const lk_nn_options *options, lk_error *err);
void lk_nn_free(lk_nn_exec *e);

/* What a network takes, in bytes, apart from the program itself and from what the libraries below keep. */
typedef struct lk_nn_memory {
    size_t parameters;  /* how many numbers are learned */
    size_t largest;     /* how many of them the largest parameter has: saving and loading go through so many floats */
    size_t weights;     /* parameters and constants */
    size_t optimizer;   /* Adam's states */
    size_t activations; /* activations and gradients, those that never live together sharing memory */
    size_t workspace;   /* what operators need while they run, as far as it does not fit between the activations */
    size_t total;       /* of the device's memory */
    size_t host;        /* of the computer's, beside a GPU's: Adam's states, where they lie there */
    size_t saved;       /* so much more activations and workspace would take if nothing were computed again */
    double forward_flops, step_flops; /* of one run and of one step, convolution counted as direct: 2·multiplications */
    double again_flops;               /* those of a step that compute again what was given up */
} lk_nn_memory;
lk_nn_memory lk_nn_memory_of(const lk_nn_exec *e);
/* The same figures without taking that memory: everything lk_nn_compile decides, by the same code. Where even computing
 * again does not keep to options->memory lk_nn_compile fails, and these are the figures of the least that is possible. */
bool lk_nn_plan(const lk_nn_graph *g, const lk_nn_options *options, lk_nn_memory *memory, lk_error *err);

/* ---- Run ------------------------------------------------------------------------------------------------- */

/* The tensor of an input or output by name; negative when there is none. */
lk_nn_t lk_nn_find(const lk_nn_exec *e, const char *name);
lk_nn_shape lk_nn_shape_in(const lk_nn_exec *e, lk_nn_t t);
/* Memory of an input (to fill before a run) or an output (to read after), channels-last float32; valid for the
 * executor's life, outputs until the next run. NULL for any other tensor. */
float *lk_nn_data(lk_nn_exec *e, lk_nn_t t);

bool lk_nn_run(lk_nn_exec *e, lk_error *err); /* forward only; losses are computed too */

/* Adam (Kingma & Ba 2015), in the form m̂ and v̂ enter the rate: lr_t = lr·√(1−β2^t)/(1−β1^t), ε added outside the
 * root (as TensorFlow and Keras do). */
typedef struct lk_nn_adam {
    float rate, beta1, beta2, epsilon;
} lk_nn_adam;
bool lk_nn_step(lk_nn_exec *e, const lk_nn_adam *adam, lk_error *err); /* forward, backward, update */
int64_t lk_nn_steps(const lk_nn_exec *e);                              /* updates so far: the t of Adam */
void lk_nn_set_steps(lk_nn_exec *e, int64_t t);

int lk_nn_loss_count(const lk_nn_exec *e);
const char *lk_nn_loss_name(const lk_nn_exec *e, int i);
float lk_nn_loss_value(const lk_nn_exec *e, int i); /* of the latest run or step */
bool lk_nn_set_loss_weight(lk_nn_exec *e, const char *name, float weight);

/* Where the time goes: processor seconds of all threads since profiling began, per kind of operator and per layer (with
 * the operations of one thread in a second), as lines of text; the caller frees them. */
void lk_nn_set_profile(lk_nn_exec *e, bool on);
char *lk_nn_profile(const lk_nn_exec *e, lk_error *err);

/* Parameters and what belongs to them, by index 0 … count−1 in order of description. */
typedef enum lk_nn_slot { LK_NN_VALUE, LK_NN_MOMENT1, LK_NN_MOMENT2, LK_NN_GRADIENT } lk_nn_slot;
int lk_nn_param_count(const lk_nn_exec *e);
const char *lk_nn_param_name(const lk_nn_exec *e, int i);
lk_nn_shape lk_nn_param_shape(const lk_nn_exec *e, int i);
/* Between the executor's layout and [n, c, h, w]; false when that slot does not exist. */
bool lk_nn_param_get(const lk_nn_exec *e, int i, lk_nn_slot slot, float *values);
bool lk_nn_param_set(lk_nn_exec *e, int i, lk_nn_slot slot, const float *values);
/* Every parameter of dst that src has under the same name and shape; returns how many were copied. */
int lk_nn_copy_params(lk_nn_exec *dst, const lk_nn_exec *src);

/* ---- Samples drawn by the device --------------------------------------------------------------------------- */

/* One training sample as the host decides it and a GPU draws it: a square picture seen through an affine transform, once
 * more through a smooth warp besides, both recoloured; and where it is face. Only plain numbers, since all of it is copied to
 * the device. */
#define LK_NN_CELLS      8 /* of the warp's grid, at most, along each side */
#define LK_NN_SHAPES     6
#define LK_NN_CORNERS    160 /* of all shapes */
#define LK_NN_NO_PICTURE UINT32_MAX
/* Displacements, in pixels of the picture, of the nodes of cells × cells over it, one more ring of zeros around; between them
 * Catmull-Rom splines. */
typedef struct lk_nn_warp {
    int cells;
    float cell; /* side of one, in pixels of the picture */
    float node[LK_NN_CELLS + 3][LK_NN_CELLS + 3][2];
} lk_nn_warp;
typedef struct lk_nn_sample {
    uint32_t picture,
        mask; /* begin so far into the bytes that come with it: [side, side, 3], 8-bit RGB, and [side, side],
                               8-bit; mask may be LK_NN_NO_PICTURE: within the shapes, then */
    int side;
    float to_picture[2]
                    [3]; /* from a pixel of the inputs to the place in the picture that it shows; centres are whole */
    lk_nn_warp warp;
    int recolor; /* gain · v + shift of L*, a* and b* */
    float gain[3], shift[3];
    /* Convex polygons, corner after corner, shape after shape, in pixels of inputs of twice the resolution. The first three
     * together are the face, the others eyes and mouth. */
    int corners[LK_NN_SHAPES];
    float corner[LK_NN_CORNERS][2];
} lk_nn_sample;

/* The inputs that are drawn, as lk_nn_find says: warped and target [n, 3, R, R], mask [n, 1, R, R], and features of the same
 * shape, or −1. */
typedef struct lk_nn_canvas {
    lk_nn_t warped, target, mask, features;
} lk_nn_canvas;

/* Can this executor's device do it? The processor cannot. */
bool lk_nn_draws(const lk_nn_exec *e);
/* Draws n samples for the next run, while the one before may still be under way. The samples, and the bytes in which their
 * pictures lie, are best in pinned memory; they must stay as they are until a value of that run has been read. */
bool lk_nn_draw(lk_nn_exec *e, const lk_nn_canvas *canvas, const lk_nn_sample *samples, const void *bytes, size_t size,
                lk_error *err);
/* Is what was drawn last still what the next run sees? Who asks for an input's memory (lk_nn_data) ends that. */
bool lk_nn_drawn(const lk_nn_exec *e);
/* Memory, zeroed, that the GPU copies from while the processor works; where lk_nn_draws says yes. */
void *lk_nn_pin(size_t bytes, lk_error *err);
void lk_nn_unpin(void *p);

/* ---- Files ----------------------------------------------------------------------------------------------- */

/* Safetensors (docs/safetensors.md). `metadata` entries go to the header's __metadata__; a SHA-256 of the data part
 * is added as "sha256" there, and verified on load when present. */
typedef struct lk_nn_metadata {
    const char *key, *value;
} lk_nn_metadata;
/* slot LK_NN_VALUE writes "NAME", the moments "NAME/m" and "NAME/v" (LK_NN_MOMENT1 stands for both). */
bool lk_nn_save(const lk_nn_exec *e, lk_nn_slot slot, const char *path, const lk_nn_metadata *metadata, int count,
                lk_error *err);
/* Every parameter must be there with its shape, and no other; the message names the first that is not. Nothing is
 * changed on failure. If `value_of` is given, the text of metadata `key` is returned in it (caller frees; NULL when
 * absent). */
bool lk_nn_load(lk_nn_exec *e, lk_nn_slot slot, const char *path, const char *key, char **value_of, lk_error *err);
/* Every parameter that the file has under its name and shape; the others keep what they have. `loaded` (may be NULL):
 * which, one per parameter; *others (may be NULL): tensors of the file that found no place. Fails on a damaged file. */
bool lk_nn_load_matching(lk_nn_exec *e, lk_nn_slot slot, const char *path, bool *loaded, int *others, lk_error *err);

/* A TFLite file (FlatBuffers, docs/tflite.md), or a TensorFlow.js graph model (model JSON and its weights in memory),
 * as a graph with inputs "input" (or "input0", …) and outputs named as in the file. Every offset and size is
 * checked; an operator that is not known is named. */
lk_nn_graph *lk_nn_read_tflite(const void *data, size_t size, const char *what, lk_error *err);
lk_nn_graph *lk_nn_read_tfjs(const void *json, size_t json_size, const void *weights, size_t weights_size,
                             const char *output, const char *what, lk_error *err);
/* Names of a graph's outputs, in order. */
int lk_nn_output_count(const lk_nn_graph *g);
const char *lk_nn_output_name(const lk_nn_graph *g, int i);

#ifdef __cplusplus
}
#endif
#endif
