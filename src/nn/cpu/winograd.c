/* Convolutions 3×3 of stride 1 by Winograd's F(2×2, 3×3): the result falls into tiles of 2×2 pixels, each of which comes
 * from 4×4 pixels of the picture. Transformed, these are 16 numbers a channel, and so is the kernel; what was a convolution
 * is now, at each of the 16 places, a product of matrices, tiles by channels: 16 multiplications where there were 36.
 * (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016; transforms there in section 4.1.)
 *
 * The products are the blocks of tile.h, summed in float32; transforms are float32. Kernels are transformed from their exact
 * weights. The weights' gradient is the same thing backwards: both pictures are transformed, and the sums at the
 * 16 places transformed back to 3×3. */
#include <omp.h>

#include "matrix.h"

#define PLACES     16
#define TAPS       9
#define ENOUGH     64                /* tiles, at least: transformed kernels are used as often as there are tiles */
#define CACHED     ((size_t)1 << 20) /* bytes of tiles and of their products that a thread works on */
#define CHUNK      ((size_t)8 << 20) /* bytes of both pictures, transformed for the weights' gradient */
#define PAIR_BYTES ((size_t)PLACES * LK_TILE * sizeof(float))

/* A picture in tiles: 2 pixels from one to the next, each `side` pixels wide and high. */
typedef struct view {
    const lk_number *picture;
    int h, w, c;
    int top, left;           /* pixels of the first tile outside of the picture */
    int down, across, tiles; /* in a sample; in all samples */
} view;

static view view_of(int n, int h, int w, int c, int top, int left, int rows, int columns) {
    view v = {.h = h, .w = w, .c = c, .top = top, .left = left, .down = (rows + 1) / 2, .across = (columns + 1) / 2};
    v.tiles = n * v.down * v.across;
    return v;
}

/* What the result's tiles see of the input, what the input's see of the result's gradient, and that gradient itself. */
static view input_of(const lk_layer *l) {
    return view_of(l->n, l->h, l->w, l->c, l->pad_top, l->pad_left, l->oh, l->ow);
}
static view output_of(const lk_layer *l) {
    return view_of(l->n, l->oh, l->ow, l->o, 2 - l->pad_top, 2 - l->pad_left, l->h, l->w);
}
static view gradient_of(const lk_layer *l) { return view_of(l->n, l->oh, l->ow, l->o, 0, 0, l->oh, l->ow); }

/* The pixels of a tile; NULL: outside. */
static void find(const view *v, int tile, int side, const lk_number **pixels) {
    int x = tile % v->across * 2 - v->left, y = tile / v->across % v->down * 2 - v->top;
    size_t n = (size_t)(tile / v->across / v->down);
    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
            bool inside = y + i >= 0 && y + i < v->h && x + j >= 0 && x + j < v->w && tile < v->tiles;
            size_t at = (n * (size_t)v->h + (size_t)(y + i)) * (size_t)v->w + (size_t)(x + j);
            pixels[i * side + j] = inside ? v->picture + at * (size_t)v->c : NULL;
        }
}

/* ---- Transforms back ------------------------------------------------------------------------------------- */

/* Aᵀ m A: 16 numbers, `place` apart, to rows of 2×2 pixels. */
LK_HOT static void transform_back(const float *m, size_t place, float *to) {
    float t[2][4][32];
    for (int j = 0; j < 4; j++)
        for (int k = 0; k < 32; k++) {
            const float *at = m + (size_t)j * place + k;
            t[0][j][k] = at[0] + at[4 * place] + at[8 * place];
            t[1][j][k] = at[4 * place] - at[8 * place] - at[12 * place];
        }
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 32; k++) {
            to[i * 64 + k] = t[i][0][k] + t[i][1][k] + t[i][2][k];
            to[i * 64 + 32 + k] = t[i][1][k] - t[i][2][k] - t[i][3][k];
        }
}

/* Gᵀ u G of 16 blocks: the gradient of 9. */
LK_HOT static void transform_sums(const float *u, float *to) {
    for (int at = 0; at < LK_TILE; at += 32) {
        float t[3][4][32];
        for (int j = 0; j < 4; j++)
            for (int k = 0; k < 32; k++) {
                const float *from = u + j * LK_TILE + at + k;
                float plus = (from[4 * LK_TILE] + from[8 * LK_TILE]) * 0.5f;
                t[0][j][k] = from[0] + plus;
                t[1][j][k] = (from[4 * LK_TILE] - from[8 * LK_TILE]) * 0.5f;
                t[2][j][k] = plus + from[12 * LK_TILE];
            }
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 32; k++) {
                float plus = (t[i][1][k] + t[i][2][k]) * 0.5f, *row = to + i * 3 * LK_TILE + at + k;
                row[0] = t[i][0][k] + plus;
                row[LK_TILE] = (t[i][1][k] - t[i][2][k]) * 0.5f;
                row[2 * LK_TILE] = plus + t[i][3][k];
            }
    }
}

/* ---- Which layers ---------------------------------------------------------------------------------------- */

bool lk_winograd_suits(const lk_nn_exec *e, const lk_matrix *m, const lk_node *n) {
    const lk_layer *l = &m->l;
    if (l->tiling != LK_TILED || l->kh != 3 || l->kw != 3 || l->stride != 1) return false;
    if (e->options.way != LK_NN_FASTEST) return e->options.way == LK_NN_WINOGRAD;
    lk_timed_layer t = {l->n,  l->c,       l->h,        l->w,       l->o,       l->oh,
                        l->ow, l->pad_top, l->pad_left, m->threads, !e->narrow, {{0}}};
    int pass = lk_gives_weights(n->op) ? 2 : lk_gives_data(n->op) ? 1 : 0;
    if (lk_tune_find(&t)) return t.seconds[pass][1] < t.seconds[pass][0];
    view v = lk_gives_data(n->op) ? output_of(l) : input_of(l);
    return m->ops->in_passes && v.tiles >= ENOUGH && l->c > 32 && l->o > 32;
}

/* ---- Products -------------------------------------------------------------------------------------------- */

/* In the scratch memory: transformed kernels [column][place][step], the bias, and for each thread its tiles
 * [place][tile][channel] and their products with one column [place][tile][32]. */
static size_t row_of(int channels) {
    size_t row = (size_t)(channels + 31) / 32 * 32;
    return row >= 256 && row / 32 % 2 == 0 ? row + 32 : row;
}

bool lk_winograd_prepare_product(lk_nn_exec *e, lk_node *n, lk_matrix *m, lk_error *err) {
    (void)e;
    const lk_layer *l = &m->l;
    bool back = lk_gives_data(n->op);
    view v = back ? output_of(l) : input_of(l);
    int steps = back ? l->ob : l->cb;
    size_t tile = PLACES * (row_of(v.c) * sizeof(lk_number) + 32 * sizeof(float));
    int together = (int)(CACHED / tile) / 32 * 32, share = (v.tiles / m->threads + 31) / 32 * 32;
    together = together < 64 ? 64 : together;
    m->rows_together = together < share ? together : share;
    m->offsets = lk_alloc((size_t)steps, sizeof *m->offsets, err);
    if (!m->offsets) return false;
    for (int k = 0; k < steps; k++) m->offsets[k] = (uint32_t)k * 32;
    m->extra_at = (size_t)PLACES * (size_t)(l->ob * l->cb) * LK_TILE * sizeof(lk_number);
    m->thread_at = m->extra_at + LK_LINES((size_t)l->ob * 32 * sizeof(float));
    m->thread_bytes = (size_t)m->rows_together * tile;
    n->scratch = m->thread_at + (size_t)m->threads * m->thread_bytes;
    return true;
}

/* Backwards, kernels are turned by 180°, which exchanges the first and the last of four places. */
static void transform_weights(const lk_matrix *m, const lk_tensor *w, bool back, lk_number *to) {
    const lk_layer *l = &m->l;
    const lk_number *high = (const lk_number *)(const void *)w->data;
    const int16_t *low = w->whole ? NULL : (const int16_t *)(const void *)(high + w->bytes / sizeof(float));
    static const int turned[4] = {3, 1, 2, 0};
#pragma omp parallel for num_threads(m->threads)
    for (int b = 0; b < l->ob * l->cb; b++) {
        int ob = b / l->cb, cb = b % l->cb, column = back ? cb : ob, step = back ? ob : cb;
        size_t steps = (size_t)(back ? l->ob : l->cb), from = lk_matrix_block(l, ob, cb, 0);
        lk_number block[PLACES * LK_TILE];
        m->ops->kernels(high + from, low ? low + from : NULL, block);
        for (int p = 0; p < PLACES; p++) {
            int place = back ? turned[p / 4] * 4 + turned[p % 4] : p;
            lk_number *at = to + (((size_t)column * PLACES + (size_t)place) * steps + (size_t)step) * LK_TILE;
            if (back)
                m->ops->exchange(block + p * LK_TILE, at);
            else
                memcpy(at, block + p * LK_TILE, LK_TILE * sizeof *at);
        }
    }
}

/* Tiles `first` … on, as rows. */
static void transform_tiles(const lk_matrix *m, const view *v, int first, int count, size_t row, lk_number *to) {
    for (int i = 0; i < count; i++, to += row) {
        const lk_number *pixels[16];
        find(v, first + i, 4, pixels);
        for (int at = 0; at < v->c; at += 32)
            m->ops->see(pixels, at, v->c - at < 32 ? v->c - at : 32, (size_t)m->rows_together * row, to + at);
    }
}

static void multiply(const lk_matrix *m, const lk_number *tiles, size_t row, int count, const lk_number *kernels,
                     int steps, float *products) {
    int together = m->ops->in_passes ? LK_TOGETHER : steps;
    for (int p = 0; p < PLACES; p++)
        for (int k = 0; k < steps; k += together) {
            int some = steps - k < together ? steps - k : together;
            const lk_number *b = kernels + ((size_t)p * (size_t)steps + (size_t)k) * LK_TILE;
            for (int i = 0; i < count; i += 32) {
                size_t at = (size_t)(p * m->rows_together + i);
                const lk_number *a = tiles + at * row;
                m->ops->multiply(a, count - i > 16 ? a + 16 * row : NULL, row, 8 * row, m->offsets + k, b,
                                 products + at * 32, some, k > 0);
            }
        }
}

/* One column's products to pixels, 8 tiles at a time. */
static void write_tiles(const lk_matrix *m, const view *v, const lk_sink *to, float *products, int first, int count,
                        int column) {
    int channels = to->shape.c - column * 32 < 32 ? to->shape.c - column * 32 : 32;
    for (int i = 0; i < count; i += 8) {
        float block[LK_TILE];
        lk_bf16 narrow[LK_TILE];
        for (int k = 0; k < 8; k++)
            transform_back(products + (size_t)(i + k) * 32, (size_t)m->rows_together * 32, block + (size_t)k * 128);
        const char *rows = lk_sink_finish(to, block, column * 32, narrow);
        for (int k = 0; k < 32 && i + k / 4 < count; k++, rows += lk_sink_row(to)) {
            int tile = first + i + k / 4;
            int x = tile % v->across * 2 + k % 2, y = tile / v->across % v->down * 2 + k / 2 % 2;
            if (y < to->shape.h && x < to->shape.w)
                lk_sink_pixel(to, rows, tile / v->across / v->down, y, x, column * 32, channels);
        }
    }
}

bool lk_winograd_product(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    const lk_matrix *m = n->state;
    const lk_layer *l = &m->l;
    char *scratch = e->g.tensors[n->scratch_tensor].data;
    bool back = lk_gives_data(n->op);
    view v = back ? output_of(l) : input_of(l);
    v.picture = (const lk_number *)(void *)e->g.tensors[n->in[0]].data;
    lk_number *kernels = (lk_number *)(void *)scratch;
    transform_weights(m, &e->g.tensors[n->weights], back, kernels);
    lk_sink to = lk_sink_of(e, n, l, (float *)(void *)(scratch + m->extra_at));
    int steps = back ? l->ob : l->cb, columns = back ? l->cb : l->ob, together = m->rows_together;
    int groups = (v.tiles + together - 1) / together;
    size_t row = row_of(v.c);
#pragma omp parallel num_threads(m->threads)
    {
        int id = omp_get_thread_num(), threads = omp_get_num_threads(), seen = -1;
        lk_number *tiles = (lk_number *)(void *)(scratch + m->thread_at + (size_t)id * m->thread_bytes);
        float *products = (float *)(void *)(tiles + (size_t)PLACES * (size_t)together * row);
        int64_t all = (int64_t)groups * columns;
        m->ops->begin();
        for (int64_t at = all * id / threads; at < all * (id + 1) / threads; at++) {
            int first = (int)(at / columns) * together, column = (int)(at % columns);
            int count = v.tiles - first < together ? v.tiles - first : together;
            if (first != seen) transform_tiles(m, &v, first, count, row, tiles);
            seen = first;
            multiply(m, tiles, row, count, kernels + (size_t)column * PLACES * (size_t)steps * LK_TILE, steps,
                     products);
            write_tiles(m, &v, &to, products, first, count, column);
        }
        m->ops->end();
    }
    return true;
}

/* ---- The weights' gradient ------------------------------------------------------------------------------- */

/* In the scratch memory: the output's gradient, transformed and then transposed [ob][place][step][32 outputs][32 tiles]; the
 * input, transformed, as B [cb][place][step]; the sums of all pairs of blocks, if tiles come in several chunks; and each
 * thread's sums. A group is blocks_together outputs by taps_together inputs. */
static int steps_of(const lk_matrix *m) { return (gradient_of(&m->l).tiles + 31) / 32; }
static bool in_chunks(const lk_matrix *m) { return m->steps_together < steps_of(m); }

static int group_count(const lk_matrix *m) {
    return (m->l.ob + m->blocks_together - 1) / m->blocks_together *
           ((m->l.cb + m->taps_together - 1) / m->taps_together);
}

bool lk_winograd_prepare_gradient(lk_nn_exec *e, lk_node *n, lk_matrix *m, lk_error *err) {
    (void)e;
    (void)err;
    const lk_layer *l = &m->l;
    int steps = steps_of(m);
    size_t step = (size_t)(l->ob + l->cb) * PLACES * LK_TILE * sizeof(lk_number);
    size_t sums = (size_t)(l->ob * l->cb) * PAIR_BYTES;
    m->steps_together = (size_t)steps * step <= (CHUNK > sums ? CHUNK : sums) ? steps : (int)(CHUNK / step);
    m->steps_together = m->steps_together < 16 ? 16 : m->steps_together;
    if (m->steps_together > steps) m->steps_together = steps;
    m->blocks_together = l->ob < 4 ? l->ob : 4;
    m->taps_together = l->cb < 2 ? l->cb : 2;
    while (m->blocks_together > 1 && group_count(m) < 4 * m->threads) m->blocks_together = (m->blocks_together + 1) / 2;
    m->field_at = (size_t)l->ob * PLACES * (size_t)m->steps_together * LK_TILE * sizeof(lk_number);
    m->extra_at = (size_t)m->steps_together * step;
    m->thread_at = m->extra_at + (in_chunks(m) ? sums : 0);
    m->thread_bytes = (in_chunks(m) ? 0 : (size_t)(m->blocks_together * m->taps_together) * PAIR_BYTES) +
                      TAPS * LK_TILE * sizeof(float);
    n->scratch = m->thread_at + (size_t)m->threads * m->thread_bytes;
    return true;
}

/* 32 tiles by 32 channels of a picture, transformed: rows of each place. */
static void transform_step(const lk_matrix *m, const view *v, int step, int block, int side, lk_number *rows) {
    int count = v->c - block * 32 < 32 ? v->c - block * 32 : 32;
    for (int i = 0; i < 32; i++) {
        const lk_number *pixels[16];
        find(v, step * 32 + i, side, pixels);
        if (side == 4)
            m->ops->see(pixels, block * 32, count, LK_TILE, rows + (size_t)i * 32);
        else
            m->ops->spread(pixels, block * 32, count, LK_TILE, rows + (size_t)i * 32);
    }
}

static void transform_output(const lk_matrix *m, const view *v, int first, int at, int ob, lk_number *to) {
    lk_number rows[PLACES * LK_TILE];
    transform_step(m, v, first + at, ob, 2, rows);
    for (int p = 0; p < PLACES; p++) {
        const lk_number *row[32];
        for (int i = 0; i < 32; i++) row[i] = rows + p * LK_TILE + i * 32;
        m->ops->transpose(row,
                          to + (((size_t)ob * PLACES + (size_t)p) * (size_t)m->steps_together + (size_t)at) * LK_TILE);
    }
}

static void transform_input(const lk_matrix *m, const view *v, int first, int at, int cb, lk_number *to) {
    lk_number rows[PLACES * LK_TILE];
    uint32_t where[32];
    for (uint32_t i = 0; i < 32; i++) where[i] = i * 32;
    transform_step(m, v, first + at, cb, 4, rows);
    for (int p = 0; p < PLACES; p++)
        m->ops->gather(rows + p * LK_TILE, where, 1,
                       to + (((size_t)cb * PLACES + (size_t)p) * (size_t)m->steps_together + (size_t)at) * LK_TILE);
}

LK_HOT static void sum_block(const view *v, int ob, float *sums) {
    int count = v->c - ob * 32 < 32 ? v->c - ob * 32 : 32;
    size_t pixels = (size_t)(v->tiles / v->down / v->across) * (size_t)(v->h * v->w);
    float all[32] = {0};
    for (size_t p = 0; p < pixels; p++) {
        const lk_number *pixel = v->picture + p * (size_t)v->c + ob * 32;
        lk_number some[32] = {0};
        if (count < 32) pixel = memcpy(some, pixel, (size_t)count * sizeof *some);
        for (int k = 0; k < 32; k++) all[k] += lk_to_float(pixel[k]);
    }
    memcpy(sums + ob * 32, all, (size_t)count * sizeof *sums);
}

/* A group of pairs of blocks. */
typedef struct group {
    int ob, outputs, cb, inputs;
} group;

static group group_of(const lk_matrix *m, int i) {
    int across = (m->l.cb + m->taps_together - 1) / m->taps_together;
    group g = {.ob = i / across * m->blocks_together, .cb = i % across * m->taps_together};
    g.outputs = m->l.ob - g.ob < m->blocks_together ? m->l.ob - g.ob : m->blocks_together;
    g.inputs = m->l.cb - g.cb < m->taps_together ? m->l.cb - g.cb : m->taps_together;
    return g;
}

/* The sums of a pair within a group's, or in those of all. */
static float *sums_of(const lk_matrix *m, const group *g, int i, int j, float *sums) {
    size_t pair = in_chunks(m) ? (size_t)((g->ob + i) * m->l.cb + g->cb + j) : (size_t)(i * m->taps_together + j);
    return sums + pair * PLACES * LK_TILE;
}

static void sum_group(const lk_matrix *m, group g, const char *scratch, int steps, bool add, const uint32_t *offsets,
                      float *sums) {
    const lk_number *outputs = (const lk_number *)(const void *)scratch;
    const lk_number *inputs = (const lk_number *)(const void *)(scratch + m->field_at);
    size_t place = (size_t)m->steps_together * LK_TILE;
    for (int p = 0; p < PLACES; p++)
        for (int k = 0; k < steps; k += LK_TOGETHER) {
            int some = steps - k < LK_TOGETHER ? steps - k : LK_TOGETHER;
            for (int j = 0; j < g.inputs; j++)
                for (int i = 0; i < g.outputs; i++) {
                    const lk_number *a = outputs + (size_t)((g.ob + i) * PLACES + p) * place + (size_t)k * LK_TILE;
                    const lk_number *b = inputs + (size_t)((g.cb + j) * PLACES + p) * place + (size_t)k * LK_TILE;
                    m->ops->multiply(a, a + 512, 32, 256, offsets, b, sums_of(m, &g, i, j, sums) + p * LK_TILE, some,
                                     add || k > 0);
                }
        }
}

static void finish_group(const lk_nn_exec *e, const lk_node *n, const lk_matrix *m, group g, float *sums, float *taps) {
    for (int i = 0; i < g.outputs; i++)
        for (int j = 0; j < g.inputs; j++) {
            transform_sums(sums_of(m, &g, i, j, sums), taps);
            for (int tap = 0; tap < TAPS; tap++) {
                size_t at = lk_matrix_block(&m->l, g.ob + i, g.cb + j, tap);
                lk_matrix_give(e, n, m->ops, at, taps + tap * LK_TILE);
            }
        }
}

bool lk_winograd_gradient(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    const lk_matrix *m = n->state;
    char *scratch = e->g.tensors[n->scratch_tensor].data;
    view x = input_of(&m->l), dy = gradient_of(&m->l);
    x.picture = (const lk_number *)(void *)e->g.tensors[n->in[0]].data;
    dy.picture = (const lk_number *)(void *)e->g.tensors[n->in[1]].data;
    lk_number *outputs = (lk_number *)(void *)scratch, *inputs = (lk_number *)(void *)(scratch + m->field_at);
    float *bias = n->out_count > 1 ? lk_cpu_data(e, n->out[1]) : NULL;
    int all = steps_of(m), ob = m->l.ob, blocks = ob + m->l.cb;
#pragma omp parallel num_threads(m->threads)
    {
        char *own = scratch + m->thread_at + (size_t)omp_get_thread_num() * m->thread_bytes;
        float *taps = (float *)(void *)own;
        float *sums = in_chunks(m) ? (float *)(void *)(scratch + m->extra_at) : taps + TAPS * LK_TILE;
        uint32_t offsets[LK_TOGETHER];
        for (uint32_t i = 0; i < LK_TOGETHER; i++) offsets[i] = i * LK_TILE;
        m->ops->begin();
#pragma omp for schedule(dynamic, 1) nowait
        for (int i = 0; i < (bias ? ob : 0); i++) sum_block(&dy, i, bias);
        for (int first = 0; first < all; first += m->steps_together) {
            int steps = all - first < m->steps_together ? all - first : m->steps_together;
#pragma omp for schedule(dynamic, 4)
            for (int i = 0; i < steps * blocks; i++) {
                if (i % blocks < ob)
                    transform_output(m, &dy, first, i / blocks, i % blocks, outputs);
                else
                    transform_input(m, &x, first, i / blocks, i % blocks - ob, inputs);
            }
#pragma omp for schedule(dynamic, 1)
            for (int i = 0; i < group_count(m); i++) {
                group g = group_of(m, i);
                sum_group(m, g, scratch, steps, first > 0, offsets, sums);
                if (first + steps == all) finish_group(e, n, m, g, sums, taps);
            }
        }
        m->ops->end();
    }
    return true;
}
