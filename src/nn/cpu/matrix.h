/* Inside matrix*.c: a convolution or dense layer as products of matrices of bfloat16 or float32 numbers (tile.h). */
#ifndef LIKENESS_NN_MATRIX_H
#define LIKENESS_NN_MATRIX_H

#include "cpu.h"
#include "factored.h"
#include "tile.h"

#define lk_field_fill                LK_OF(lk_field_fill)
#define lk_unfold                    LK_OF(lk_unfold)
#define lk_fold_row                  LK_OF(lk_fold_row)
#define lk_matrix_give               LK_OF(lk_matrix_give)
#define lk_matrix_adam               LK_OF(lk_matrix_adam)
#define lk_matrix_op                 LK_OF(lk_matrix_op)
#define lk_matrix_ways               LK_OF(lk_matrix_ways)
#define lk_matrix_prepare_product    LK_OF(lk_matrix_prepare_product)
#define lk_matrix_product            LK_OF(lk_matrix_product)
#define lk_matrix_prepare_gradient   LK_OF(lk_matrix_prepare_gradient)
#define lk_matrix_gradient           LK_OF(lk_matrix_gradient)
#define lk_winograd_suits            LK_OF(lk_winograd_suits)
#define lk_winograd_prepare_product  LK_OF(lk_winograd_prepare_product)
#define lk_winograd_product          LK_OF(lk_winograd_product)
#define lk_winograd_prepare_gradient LK_OF(lk_winograd_prepare_gradient)
#define lk_winograd_gradient         LK_OF(lk_winograd_gradient)

#define LK_TOGETHER ((int)(24576 / (LK_TILE * sizeof(lk_number)))) /* blocks of weights that stay in the first cache */

/* How weights are cut into blocks: lk_tensor's tiled. Of a convolution with few channels on one side, a block of whose 32
 * would be almost empty, that side's channels of all taps are put together. */
typedef enum lk_tiling { LK_UNTILED, LK_TILED, LK_TILED_INPUT, LK_TILED_OUTPUT } lk_tiling;

#define LK_THIN   8 /* channels, at most, of a side that is worth unfolding */
#define LK_WIDEST 9 /* kernel */

/* A picture of few channels, and the grid of pixels that see it through a kernel: unfolded, pixel (y, x) of the grid has
 * the channels of all taps side by side, tap (i, j) from (y·stride + i − top, x·stride + j − left). */
typedef struct lk_unfolding {
    int h, w, c;       /* the picture */
    int rows, columns; /* the grid */
    int kh, kw, stride, top, left;
} lk_unfolding;

/* A layer's shape, whichever of its passes the node is. Dense layers are convolutions of one pixel. With an unfolded side
 * it is a convolution 1×1 of the unfolded picture, or to it. */
typedef struct lk_layer {
    lk_tiling tiling;
    lk_unfolding u;
    int n, h, w, c; /* input */
    int oh, ow, o;  /* output */
    int kh, kw, stride, pad_top, pad_left;
    int cb, ob, taps; /* blocks of 32 input and output channels */
} lk_layer;

/* A picture copied with a border of zeros, channels padded to whole blocks, its stride² interleaved parts apart: then every
 * tap of a kernel reads pixels side by side. */
typedef struct lk_field {
    const lk_unfolding *u; /* it is the grid of what is copied; NULL: the picture itself */
    int n, h, w, c;        /* what is copied */
    int step, top, left;   /* (y, x) goes to part ((y + top) % step, (x + left) % step), row (y + top)/step … */
    int rows, columns;     /* of a part */
    size_t pixel, part, sample, count; /* numbers; count: of all, with room behind for reading over the end */
} lk_field;

/* Where products go. */
typedef struct lk_sink {
    lk_nn_shape shape;   /* the tensor's, before depth-to-space */
    int spread;          /* depth-to-space by this factor on the way; 0: none */
    int step, top, left; /* pixel (y, x) is (y·step + top, x·step + left) of the tensor */
    char *to;
    bool narrow;
    const float *bias; /* padded to whole blocks, or NULL */
    lk_nn_act act;
    float alpha;
} lk_sink;

/* Part of the state of a node. */
typedef struct lk_matrix {
    lk_layer l;
    bool winograd; /* not taps, but Winograd's transform of pictures and weights is multiplied */
    lk_field f;
    const lk_tile_ops *ops;
    int threads;
    uint32_t *offsets;                                           /* the steps of a product; owned */
    size_t field_at, extra_at, grid_at, thread_at, thread_bytes; /* in the node's scratch memory, bytes */
    int taps_together, blocks_together, rows_together, steps_together,
        sums_together; /* what is held in the caches at once */
} lk_matrix;

static inline bool lk_gives_data(lk_op op) { return op == LK_OP_CONV_BACK_DATA || op == LK_OP_DENSE_BACK_DATA; }
static inline bool lk_gives_weights(lk_op op) {
    return op == LK_OP_CONV_BACK_WEIGHTS || op == LK_OP_DENSE_BACK_WEIGHTS;
}
#define LK_LINES(bytes) (((bytes) + 63) / 64 * 64) /* whole cache lines */

lk_layer lk_layer_of(const lk_nn_exec *e, const lk_node *n);
lk_field lk_field_of(int n, int h, int w, int c, int step, int top, int left, int rows, int columns);
lk_field lk_field_forward(const lk_layer *l); /* of the input, for the forward pass and the weights' gradient */
void lk_field_fill(const lk_field *f, const lk_number *from, lk_number *to);
void lk_matrix_offsets(const lk_layer *l, const lk_field *f, uint32_t *offsets); /* [cb][taps] */
/* Blocks [ob][cb][taps]: where one begins, in numbers. */
static inline size_t lk_matrix_block(const lk_layer *l, int ob, int cb, int tap) {
    return (((size_t)ob * (size_t)l->cb + (size_t)cb) * (size_t)l->taps + (size_t)tap) * LK_TILE;
}
static inline size_t lk_matrix_numbers(const lk_layer *l) { return lk_matrix_block(l, l->ob, 0, 0); }

/* unfold.c: `count` pixels of a sample's grid from one on, rows `pixel` numbers apart, of which all behind the channels are
 * 0; and the way back, the sum of what all pixels of the grid say of one row
 * of the picture. */
void lk_unfold(const lk_unfolding *u, const lk_number *picture, int first, int count, size_t pixel, lk_number *to);
void lk_fold_row(const lk_unfolding *u, const float *grid, int y, float *row);

/* sink.c: of a node's result; a forward pass copies its bias. Bias, activation and, if it is wanted, bfloat16 for a block
 * whose columns are channels from `first` on: its rows come back, lk_sink_row apart. And a row to its pixel. */
lk_sink lk_sink_of(const lk_nn_exec *e, const lk_node *n, const lk_layer *l, float *bias);
const char *lk_sink_finish(const lk_sink *s, float *c, int first, lk_bf16 *narrow);
static inline size_t lk_sink_row(const lk_sink *s) { return 32 * (s->narrow ? sizeof(lk_bf16) : sizeof(float)); }
void lk_sink_pixel(const lk_sink *s, const char *row, int n, int y, int x, int first, int count);

/* matrix.c: sets bytes and forms of a layer's weights, their gradient and their moments. Short first moments: all codes, then
 * the scales of all blocks. Factored second moments: so many bytes of `numbers`, and those of the block at `at`. */
void lk_matrix_keep(lk_nn_exec *e, const lk_node *n);
static inline float *lk_scales_of(const lk_tensor *w) {
    return (float *)(void *)(w->moment1 + w->bytes / sizeof(float));
}
static inline size_t lk_factored_bytes(size_t numbers) { return numbers / LK_TILE * LK_FACTORS * sizeof(float); }
static inline float *lk_factors_at(const lk_tensor *w, size_t at) {
    return (float *)(void *)w->moment2 + at / LK_TILE * LK_FACTORS;
}
static inline bool lk_is_factored(const lk_tensor *w) {
    return w->moment_bytes[1] == lk_factored_bytes(w->bytes / sizeof(float));
}

/* The gradient of one block, `at` numbers into the weights, [32 outputs][32 inputs]: Adam is applied at once where nothing else
 * adds to it, else it is kept. */
void lk_matrix_give(const lk_nn_exec *e, const lk_node *n, const lk_tile_ops *ops, size_t at, const float *gradient);

bool lk_matrix_prepare_product(lk_nn_exec *e, lk_node *n, lk_matrix *m, lk_error *err);
bool lk_matrix_product(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_matrix_prepare_gradient(lk_nn_exec *e, lk_node *n, lk_matrix *m, lk_error *err);
bool lk_matrix_gradient(lk_nn_exec *e, lk_node *n, lk_error *err);

/* winograd.c: the same for kernels 3×3 with stride 1, where it is worth it. */
bool lk_winograd_suits(const lk_nn_exec *e, const lk_matrix *m, const lk_node *n);
bool lk_winograd_prepare_product(lk_nn_exec *e, lk_node *n, lk_matrix *m, lk_error *err);
bool lk_winograd_product(lk_nn_exec *e, lk_node *n, lk_error *err);
bool lk_winograd_prepare_gradient(lk_nn_exec *e, lk_node *n, lk_matrix *m, lk_error *err);
bool lk_winograd_gradient(lk_nn_exec *e, lk_node *n, lk_error *err);

#endif
