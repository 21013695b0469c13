/* The gradient of a layer's weights: the output's gradient, transposed, times the input as each tap sees it. A task sums
 * some block rows of outputs by a group of taps of one block of inputs over all pixels, within the second cache; and when
 * nothing else adds to that gradient, Adam is applied right there, so that it never reaches memory. Every sum is made by one
 * thread in one order, whatever their number. */
#include <omp.h>

#include "matrix.h"

#define MOST_STEPS  ((int)(32768 / (LK_TILE * sizeof(lk_number)))) /* of pixels, in the first cache */
#define MOST_BLOCKS ((LK_THIN * LK_WIDEST * LK_WIDEST + 31) / 32)  /* of an unfolded pixel's channels */

/* Pixels of the output, in steps of 32. */
static int steps_of(const lk_layer *l) { return (l->n * l->oh * l->ow + 31) / 32; }

static int task_count(const lk_matrix *m) {
    const lk_layer *l = &m->l;
    return (l->ob + m->blocks_together - 1) / m->blocks_together * l->cb *
           ((l->taps + m->taps_together - 1) / m->taps_together);
}

bool lk_matrix_prepare_gradient(lk_nn_exec *e, lk_node *n, lk_matrix *m, lk_error *err) {
    (void)e;
    const lk_layer *l = &m->l;
    m->f = lk_field_forward(l);
    if (m->f.sample * (size_t)l->n > UINT32_MAX)
        return lk_fail(err, LK_ERR_UNSUPPORTED, "a batch of pictures of this size is not possible");
    int steps = steps_of(l);
    m->taps_together = l->taps <= 9 ? l->taps : l->kw;
    int most = m->ops->in_passes ? 6 : 16;
    m->blocks_together = l->ob < most ? l->ob : most;
    while (m->blocks_together > 1 && task_count(m) < 4 * m->threads) m->blocks_together = (m->blocks_together + 1) / 2;
    m->steps_together = steps < MOST_STEPS ? steps : MOST_STEPS;
    m->offsets = lk_alloc((size_t)l->cb * (size_t)l->taps, sizeof *m->offsets, err);
    if (!m->offsets) return false;
    lk_matrix_offsets(l, &m->f, m->offsets);
    /* The field; the output's gradient transposed; where each pixel lies in the field. */
    size_t field = LK_LINES(m->f.count * sizeof(lk_number));
    size_t transposed = (size_t)l->ob * (size_t)steps * LK_TILE * sizeof(lk_number);
    m->field_at = field;
    m->extra_at = field + transposed;
    m->thread_at = m->extra_at + LK_LINES((size_t)steps * 32 * sizeof(uint32_t));
    m->thread_bytes = (size_t)m->blocks_together * (size_t)m->taps_together * LK_TILE * sizeof(float) +
                      (size_t)m->steps_together * LK_TILE * sizeof(lk_number);
    n->scratch = m->thread_at + (size_t)m->threads * m->thread_bytes;
    return true;
}

static void find_pixels(const lk_matrix *m, uint32_t *where) {
    const lk_layer *l = &m->l;
    int at = 0, all = steps_of(l) * 32;
    for (int n = 0; n < l->n; n++)
        for (int y = 0; y < l->oh; y++)
            for (int x = 0; x < l->ow; x++)
                where[at++] = (uint32_t)((size_t)n * m->f.sample + (size_t)(y * m->f.columns + x) * m->f.pixel);
    for (; at < all; at++) where[at] = 0; /* the gradient there is 0 */
}

LK_HOT static void add_row(const lk_number *row, float *sums) {
    for (int i = 0; i < 32; i++) sums[i] += lk_to_float(row[i]);
}

/* 32 pixels of an output that is unfolded: a block [32 outputs][32 pixels] of each block of outputs. */
static void transpose_unfolded(const lk_matrix *m, const lk_number *dy, int step, lk_number *to) {
    const lk_layer *l = &m->l;
    const lk_unfolding *u = &l->u;
    lk_number rows[32 * 32 * MOST_BLOCKS];
    size_t pixel = (size_t)l->ob * 32;
    int each = l->oh * l->ow, pixels = l->n * each, steps = steps_of(l);
    for (int i = 0; i < 32; i++) {
        int p = step * 32 + i;
        if (p < pixels)
            lk_unfold(u, dy + (size_t)(p / each) * (size_t)(u->h * u->w * u->c), p % each, 1, pixel,
                      rows + (size_t)i * pixel);
        else
            memset(rows + (size_t)i * pixel, 0, pixel * sizeof *rows);
    }
    for (int ob = 0; ob < l->ob; ob++) {
        const lk_number *row[32];
        for (int i = 0; i < 32; i++) row[i] = rows + (size_t)i * pixel + ob * 32;
        m->ops->transpose(row, to + ((size_t)ob * (size_t)steps + (size_t)step) * LK_TILE);
    }
}

static void sum_outputs(const lk_unfolding *u, const lk_number *dy, int n, float *sums) {
    size_t all = (size_t)n * (size_t)(u->h * u->w);
    memset(sums, 0, (size_t)u->c * sizeof *sums);
    for (size_t p = 0; p < all; p++)
        for (int k = 0; k < u->c; k++) sums[k] += lk_to_float(*dy++);
}

/* 32 outputs of all pixels, and their sums, the bias's gradient. */
static void transpose_outputs(const lk_matrix *m, const lk_number *dy, int ob, lk_number *to, float *sums) {
    const lk_layer *l = &m->l;
    int pixels = l->n * l->oh * l->ow, count = l->o - ob * 32 < 32 ? l->o - ob * 32 : 32;
    static const lk_number zeros[32];
    lk_number part[32][32] = {{0}};
    float all[32] = {0};
    for (int p = 0; p < pixels; p += 32, to += LK_TILE) {
        const lk_number *row[32];
        for (int i = 0; i < 32; i++) {
            row[i] = p + i < pixels ? dy + (size_t)(p + i) * (size_t)l->o + (size_t)ob * 32 : zeros;
            if (count < 32 && p + i < pixels) row[i] = memcpy(part[i], row[i], (size_t)count * sizeof(lk_number));
            if (sums) add_row(row[i], all);
        }
        m->ops->transpose(row, to);
    }
    if (sums) memcpy(sums + ob * 32, all, (size_t)count * sizeof *sums);
}

typedef struct task {
    int ob, blocks, cb, tap, taps;
} task;

static task task_of(const lk_matrix *m, int i) {
    const lk_layer *l = &m->l;
    int groups = (l->taps + m->taps_together - 1) / m->taps_together;
    task t = {
        .cb = i / groups % l->cb, .ob = i / groups / l->cb * m->blocks_together, .tap = i % groups * m->taps_together};
    t.blocks = l->ob - t.ob < m->blocks_together ? l->ob - t.ob : m->blocks_together;
    t.taps = l->taps - t.tap < m->taps_together ? l->taps - t.tap : m->taps_together;
    return t;
}

static void sum_task(const lk_matrix *m, task t, const char *scratch, float *sums, lk_number *pairs,
                     const uint32_t *offsets) {
    const lk_number *field = (const lk_number *)(const void *)scratch;
    const lk_number *transposed = (const lk_number *)(const void *)(scratch + m->field_at);
    const uint32_t *where = (const uint32_t *)(const void *)(scratch + m->extra_at);
    int all = steps_of(&m->l);
    if (m->l.o <= 16) memset(sums, 0, (size_t)(t.blocks * t.taps) * LK_TILE * sizeof *sums); /* rows nobody writes */
    for (int first = 0; first < all; first += m->steps_together) {
        int steps = all - first < m->steps_together ? all - first : m->steps_together;
        for (int k = 0; k < t.taps; k++) {
            const lk_number *x = field + m->offsets[t.cb * m->l.taps + t.tap + k];
            m->ops->gather(x, where + first * 32, steps, pairs);
            for (int i = 0; i < t.blocks; i++) {
                const lk_number *a = transposed + ((size_t)(t.ob + i) * (size_t)all + (size_t)first) * LK_TILE;
                m->ops->multiply(a, m->l.o > 16 ? a + 512 : NULL, 32, 256, offsets, pairs,
                                 sums + (size_t)(i * t.taps + k) * LK_TILE, steps, first > 0);
            }
        }
    }
}

static void finish_task(const lk_nn_exec *e, const lk_node *n, const lk_matrix *m, task t, const float *sums) {
    for (int i = 0; i < t.blocks; i++)
        for (int k = 0; k < t.taps; k++, sums += LK_TILE) {
            size_t at = lk_matrix_block(&m->l, t.ob + i, t.cb, t.tap + k);
            lk_matrix_give(e, n, m->ops, at, sums);
        }
}

bool lk_matrix_gradient(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    const lk_matrix *m = n->state;
    char *scratch = e->g.tensors[n->scratch_tensor].data;
    const lk_number *dy = (const lk_number *)(void *)e->g.tensors[n->in[1]].data;
    lk_number *transposed = (lk_number *)(void *)(scratch + m->field_at);
    float *bias = n->out_count > 1 ? lk_cpu_data(e, n->out[1]) : NULL;
    int all = steps_of(&m->l);
    lk_field_fill(&m->f, (const lk_number *)(void *)e->g.tensors[n->in[0]].data, (lk_number *)(void *)scratch);
    bool unfolded = m->l.tiling == LK_TILED_OUTPUT;
    if (unfolded && bias) sum_outputs(&m->l.u, dy, m->l.n, bias);
    find_pixels(m, (uint32_t *)(void *)(scratch + m->extra_at));
#pragma omp parallel num_threads(m->threads)
    {
        char *own = scratch + m->thread_at + (size_t)omp_get_thread_num() * m->thread_bytes;
        lk_number *pairs = (lk_number *)(void *)own;
        float *sums = (float *)(void *)(own + (size_t)m->steps_together * LK_TILE * sizeof(lk_number));
        uint32_t offsets[MOST_STEPS];
        for (uint32_t i = 0; i < MOST_STEPS; i++) offsets[i] = i * LK_TILE;
#pragma omp for schedule(dynamic, 1)
        for (int i = 0; i < (unfolded ? all : 0); i++) transpose_unfolded(m, dy, i, transposed);
#pragma omp for schedule(dynamic, 1)
        for (int ob = 0; ob < (unfolded ? 0 : m->l.ob); ob++)
            transpose_outputs(m, dy, ob, transposed + (size_t)ob * (size_t)all * LK_TILE, bias);
        m->ops->begin();
#pragma omp for schedule(dynamic, 1)
        for (int i = 0; i < task_count(m); i++) {
            task t = task_of(m, i);
            sum_task(m, t, scratch, sums, pairs, offsets);
            finish_task(e, n, m, t, sums);
        }
        m->ops->end();
    }
    return true;
}
