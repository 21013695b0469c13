/* Inside nn: what a graph is made of, and what an executor does with it.
 *
 * A graph is an array of tensors and an array of nodes in the order they were described. Compiling copies both, appends
 * the nodes of the backward pass and of the optimizer (gradient.c), lets what does not fit be computed twice (recompute.c),
 * finds out how long each tensor lives, and packs them into one arena (arena.c). The backend then runs the nodes in order.
 *
 * To add an operator: a value in lk_op, a constructor with its shape rule in graph.c, a case in gradient.c if it can be
 * differentiated, and a row in the backend's table. */
#ifndef LIKENESS_NN_INTERNAL_H
#define LIKENESS_NN_INTERNAL_H

#include "likeness/nn.h"

#define LK_MAX_IN  16
#define LK_MAX_OUT 3

typedef enum lk_op {
    LK_OP_CONV,
    LK_OP_CONV_TRANSPOSED,
    LK_OP_DENSE,
    LK_OP_ACT,
    LK_OP_PRELU,
    LK_OP_DEPTH_TO_SPACE,
    LK_OP_CONCAT_CHANNELS,
    LK_OP_SLICE_CHANNELS,
    LK_OP_CONCAT_BATCH,
    LK_OP_VIEW, /* reshape and slice_batch: nothing to do */
    LK_OP_ADD,
    LK_OP_SUB,
    LK_OP_MUL,
    LK_OP_AFFINE,
    LK_OP_SQUARE,
    LK_OP_ABS,
    LK_OP_SQRT,
    LK_OP_MAX_POOL,
    LK_OP_AVG_POOL,
    LK_OP_PAD,
    LK_OP_RESIZE,
    LK_OP_GAUSSIAN,
    LK_OP_LANDMARKS_TO_MATRIX,
    LK_OP_TRANSFORM_BILINEAR,
    LK_OP_TRANSFORM_LANDMARKS,
    LK_OP_DSSIM,
    LK_OP_SAMPLE_MEAN, /* [N, C, H, W] → [N, 1, 1, 1] */
    LK_OP_LOSS,        /* weight · mean → [1, 1, 1, 1] */

    /* What differentiation and the optimizer add. */
    LK_OP_CONV_BACK_DATA,     /* dy, w → dx */
    LK_OP_CONV_BACK_WEIGHTS,  /* x, dy → dw [, db] */
    LK_OP_DENSE_BACK_DATA,    /* dy, w → dx */
    LK_OP_DENSE_BACK_WEIGHTS, /* x, dy → dw [, db] */
    LK_OP_ACT_BACK,           /* dy, y → dx, from the activation's output */
    LK_OP_DEPTH_TO_SPACE_BACK,
    LK_OP_SLICE_CHANNELS_BACK, /* dy → dx: zero but for the slice */
    LK_OP_SLICE_BATCH_BACK,    /* dy → dx: zero but for the slice */
    LK_OP_REDUCE_TO,           /* sum over the dimensions in which the output has extent 1 */
    LK_OP_SQUARE_BACK,         /* dy, x → dx */
    LK_OP_ABS_BACK,            /* dy, x → dx */
    LK_OP_SQRT_BACK,           /* dy, y → dx */
    LK_OP_AVG_POOL_BACK,
    LK_OP_RESIZE_BACK,
    LK_OP_GAUSSIAN_BACK,
    LK_OP_DSSIM_BACK,       /* dy, x, target [, mask] → dx */
    LK_OP_SAMPLE_MEAN_BACK, /* dy → dx */
    LK_OP_LOSS_BACK,        /* → dx */
    LK_OP_ADAM,             /* parameter, gradient; changes the parameter */
    LK_OP_ADAM_WAIT,        /* an update that ran beside others is done with its gradient */
    LK_OP_REDUCE_START,     /* begin to average a tensor over all processes, where it lies */
    LK_OP_REDUCE_WAIT,      /* the average is there */
    LK_OP_CONVERT,          /* between float32 and 16 bits */
    LK_OP_COUNT,
} lk_op;

typedef enum lk_tensor_kind { LK_INPUT, LK_PARAM, LK_CONST, LK_VALUE } lk_tensor_kind;

typedef struct lk_tensor {
    lk_nn_shape shape;
    lk_tensor_kind kind;
    char *name;    /* inputs, parameters, outputs; else NULL */
    float *values; /* LK_CONST: [n, c, h, w] */
    lk_nn_init init;
    bool output;     /* to be read by name after a run */
    bool transposed; /* weights of a transposed convolution: [in, out, kh, kw] */
    int view_of;     /* the tensor in whose memory this one lies, or −1 */
    size_t offset;   /* numbers into it */

    /* From here on: of the executor. */
    bool needs_gradient, pinned, scratch;
    bool narrow;   /* of 16 bits: bfloat16, or the device's float16 */
    uint8_t tiled; /* weights, and their gradients, in the backend's blocks of matrices: how, 0: not */
    bool whole;    /* such weights are float32 numbers, not their two halves */
    size_t bytes;
    void *layout;    /* the backend's own; NULL: channels-last float32 */
    int first, last; /* steps of its life; first < 0: never used */
    size_t place;    /* in the arena */
    char *data;
    char *moment1, *moment2; /* of parameters in training, in the parameter's layout, or the backend's short form */
    size_t moment_bytes[2];  /* of each; 0: as the parameter */
    int gradient;            /* of parameters: the tensor that holds it, or −1 */
} lk_tensor;

typedef struct lk_attributes {
    lk_nn_conv_options conv; /* padding resolved */
    lk_nn_pool_options pool;
    int i[8];
    float f[6];
    int *list; /* owned */
    int list_count;
} lk_attributes;

typedef struct lk_node {
    lk_op op;
    int in[LK_MAX_IN], in_count;
    int out[LK_MAX_OUT], out_count;
    lk_attributes a;
    /* Of the executor. */
    void *state;    /* the backend's own */
    size_t scratch; /* bytes that the node needs while it runs */
    int scratch_tensor;
    bool narrow;    /* multiplies numbers of 16 bits */
    int weights;    /* of a layer: their tensor */
    bool again;     /* computes once more what was computed in the forward pass */
    bool updates;   /* the weights' gradient is not kept but applied at once */
    int spread;     /* of a convolution: depth-to-space by this factor is part of it; 0: none */
    double seconds; /* of the processor, spent in it so far, when profiling */
    int64_t runs;   /* when profiling */
} lk_node;

typedef struct lk_loss {
    char *name;
    float weight;
    int tensor; /* the value, [1, 1, 1, 1] */
} lk_loss;

struct lk_nn_graph {
    lk_tensor *tensors;
    int tensor_count, tensor_room;
    lk_node *nodes;
    int node_count, node_room;
    lk_loss *losses;
    int loss_count;
    lk_error error;
};

struct lk_nn_exec {
    lk_nn_graph g;     /* copied, and grown by the backward pass */
    int forward_count; /* nodes of the forward pass */
    lk_nn_options options;
    const struct lk_backend *backend;
    void *backend_state;
    char *arena;
    size_t activation_bytes, arena_bytes; /* the arena holds activations and workspace */
    size_t saved_bytes;                   /* so much larger it would be if nothing were computed again */
    int *params;
    int param_count;
    int64_t steps;
    lk_nn_adam adam;
    float adam_rate; /* of this step, bias correction included */
    double forward_flops, step_flops, again_flops;
    bool profile;
    int precision; /* the lk_nn_precision that the device makes of the one in the options */
    bool narrow;   /* multiplies numbers of 16 bits where it can */
    bool drawn;    /* what lk_nn_draw drew is in the inputs */
    bool beside;   /* parameters are updated beside the backward pass */
};

/* How an executor's device does it. All memory that nodes see lies on that device. */
typedef struct lk_backend {
    const char *name;
    bool (*open)(lk_nn_exec *e, lk_error *err);
    void (*close)(lk_nn_exec *e);
    /* The lk_nn_precision that is had for the one in the options: never LK_NN_AUTO. */
    int (*precision)(const lk_nn_exec *e);
    /* Before that, joins nodes that one pass over memory does together. NULL: those below do, or none are. */
    bool (*join)(lk_nn_exec *e, lk_error *err);
    /* Marks the nodes that multiply numbers of 16 bits, and weights kept for that in a form of the backend's own. */
    void (*choose_narrow)(lk_nn_exec *e);
    /* The same for training in float32: weights in a form of the backend's own. NULL: there is none. */
    void (*choose_exact)(lk_nn_exec *e);
    /* Does this node only move or combine numbers, and take and give either type? */
    bool (*any_type)(const lk_nn_exec *e, const lk_node *n);
    /* Choose algorithms and layouts; set node->scratch, and layout and bytes of parameters. No data yet. */
    bool (*prepare)(lk_nn_exec *e, lk_node *n, lk_error *err);
    /* All tensors have their data pointers now. */
    bool (*bind)(lk_nn_exec *e, lk_node *n, lk_error *err);
    bool (*run)(lk_nn_exec *e, lk_node *n, lk_error *err);
    void (*release)(lk_nn_exec *e, lk_node *n);
    void *(*allocate)(size_t bytes, lk_error *err); /* zeroed */
    void (*deallocate)(void *p);
    /* Between a tensor's memory `data` (in its layout) and [n, c, h, w] on the host. */
    bool (*upload)(lk_nn_exec *e, const lk_tensor *t, char *data, const float *values);
    bool (*download)(const lk_nn_exec *e, const lk_tensor *t, const char *data, float *values);
    void (*release_layout)(void *layout);

    /* Of devices with memory of their own; NULL for the processor. */
    bool (*ready)(char *name, lk_error *err);                 /* is there one? name: 80 bytes, or NULL */
    bool (*run_all)(lk_nn_exec *e, int count, lk_error *err); /* the first `count` nodes */
    size_t (*extra)(const lk_nn_exec *e);                     /* bytes of weights kept twice */
    size_t (*free_memory)(int place);                         /* bytes of the device that lk_peers_place says */
    /* The computer's memory, zeroed, which the device reaches, too. */
    void *(*allocate_host)(size_t bytes, lk_error *err);
    void (*deallocate_host)(void *p);
    float *(*host)(lk_nn_exec *e, int t);      /* lk_nn_data of an input or output */
    float (*loss)(const lk_nn_exec *e, int i); /* lk_nn_loss_value */
    /* lk_nn_draw; NULL: the device cannot. */
    bool (*draw)(lk_nn_exec *e, const lk_nn_canvas *canvas, const lk_nn_sample *samples, const void *bytes, size_t size,
                 lk_error *err);
} lk_backend;

extern const lk_backend lk_backend_cpu;
/* The backend of LK_NN_GPU; NULL: built without CUDA. Tests put their own here. */
extern const lk_backend *lk_backend_gpu;

/* graph.c */
int lk_graph_tensor(lk_nn_graph *g, lk_tensor_kind kind, lk_nn_shape shape); /* −1 with the graph's error set */
lk_node *lk_graph_node(lk_nn_graph *g, lk_op op, const int *in, int in_count);
/* A node with one new output of that shape. */
int lk_graph_op(lk_nn_graph *g, lk_op op, const int *in, int in_count, lk_nn_shape out, const lk_attributes *a);
int lk_graph_fail(lk_nn_graph *g, const char *format, ...) __attribute__((format(printf, 2, 3))); /* returns −1 */
void lk_graph_clear(lk_nn_graph *g);
bool lk_graph_copy(const lk_nn_graph *from, lk_nn_graph *to, lk_error *err);
const char *lk_op_name(lk_op op);
int lk_graph_view(lk_nn_graph *g, int t, lk_nn_shape shape, size_t offset);

/* fuse.c: where the result of a convolution that `can` goes nowhere but into depth-to-space, the backward pass does both in one
 * node, DEPTH_TO_SPACE_BACK of dy and the wide output; `join` makes of the forward pass's two what it likes. */
void lk_fuse(lk_nn_exec *e, bool (*can)(const lk_nn_exec *e, const lk_node *n),
             void (*join)(lk_nn_exec *e, int conv, int spread));
void lk_drop_node(lk_nn_exec *e, int i);

/* arena.c: the steps of each tensor's life; elementwise nodes overwrite what nobody reads after them; the memory that nodes
 * need while they run becomes tensors of one step. */
bool lk_arena_live(lk_nn_graph *g, lk_error *err);
/* After that, where everything that lives for a while lies: sets place of each tensor, and the arena's size. `workspace`:
 * count what nodes need while they run, too. */
bool lk_arena_place(lk_nn_graph *g, bool workspace, size_t *bytes, lk_error *err);

/* recompute.c: changes the graph so that its arena, with workspace, takes no more than `room` bytes, or as little as it can:
 * activations are given up after the forward pass and computed again for the backward pass. */
bool lk_recompute(lk_nn_exec *e, size_t room, lk_error *err);

/* plan.c: operations of a layer, convolution counted as direct; 0 of all other nodes. */
double lk_node_flops(const lk_nn_graph *g, const lk_node *n);

/* gradient.c: append the backward pass and the optimizer's nodes. */
bool lk_differentiate(lk_nn_exec *e, lk_error *err);

/* peers.c: averaging runs on a thread of its own, in the order of the starts, which is the same everywhere. */
bool lk_peers_start(lk_nn_peers *p, float *values, size_t count, lk_error *err);
bool lk_peers_wait(lk_nn_peers *p, lk_error *err); /* for the oldest start that was not waited for */
/* How many of the processes run on this machine, and which of them this one is; 1 and 0 for NULL. */
int lk_peers_here(const lk_nn_peers *p);
int lk_peers_place(const lk_nn_peers *p);
/* Fails, with a sentence, unless every process brings the same number. */
bool lk_peers_agree(lk_nn_peers *p, uint64_t number, lk_error *err);

/* types.c: which tensors are of 16 bits; conversions are inserted where they meet float32. */
bool lk_assign_types(lk_nn_exec *e, lk_error *err);

/* params.c */
bool lk_params_initialise(lk_nn_exec *e, lk_error *err);

/* aware.c: values of shape [out, in, kh, kw]; false when the window is too large for it. */
bool lk_draw_convolution_aware(lk_nn_shape s, lk_rng *r, float *values);

static inline bool lk_same_shape(lk_nn_shape a, lk_nn_shape b) {
    return a.n == b.n && a.c == b.c && a.h == b.h && a.w == b.w;
}
/* The tensor in whose memory this one lies. */
static inline int lk_root(const lk_nn_graph *g, int t) {
    while (g->tensors[t].view_of >= 0) t = g->tensors[t].view_of;
    return t;
}
static inline bool lk_in_arena(const lk_tensor *t) {
    return t->view_of < 0 && t->first >= 0 && (t->kind == LK_VALUE || t->kind == LK_INPUT);
}
/* What it takes there: whole cache lines. */
static inline size_t lk_arena_bytes(const lk_tensor *t) { return (t->bytes + 63) / 64 * 64; }
static inline size_t lk_number_bytes(const lk_tensor *t) { return t->narrow ? 2 : 4; }
static inline lk_nn_shape lk_shape(int n, int c, int h, int w) {
    lk_nn_shape s = {n, c, h, w};
    return s;
}

#endif
