/* The forward pass of a layer, and the gradient of its input: pictures times weights.
 *
 * Both slide a kernel over a field (the padded input; the padded gradient of the output). A block of the product is 32
 * pixels by 32 channels. The blocks of one block column use the same weights and run one after the other. With AMX all of
 * a block's inner dimension is summed in registers, and a column's weights stay in the second cache. With vectors it goes
 * in passes: few weights, which stay in the first cache, meet as many pixels as the second cache holds.
 *
 * The input's gradient of a layer with stride 2 falls into 4 phases, each with the taps that reach its pixels; its weights
 * are the same blocks with their roles exchanged, which a thread does for each block column as it comes to it. */
#include <limits.h>
#include <omp.h>

#include "matrix.h"

/* Where the 16-row halves of a block lie. */
typedef enum walk {
    ALONG, /* 16 pixels of a row of the output */
    OVER,  /* 16 places of the field, some of them between rows and of no use */
    DEEP,  /* the same pixel of 16 samples */
    /* and, where the two eights of a half may lie anywhere: */
    LINES, /* 8 pixels of a row of the output and those below */
    TWINS, /* a pixel of 8 samples and the one beside it */
} walk;

/* The taps of one phase of a picture's gradient, along one axis: kernel positions r, r + stride, …; `first` … in units of
 * the output's pixels, of which `count` are inside the picture. */
typedef struct phase {
    int r, taps, first, count;
} phase;

/* One slide of a kernel over a field. */
typedef struct slide {
    const lk_field *f;
    const lk_number *field;
    const uint32_t *offsets;
    int steps;
    size_t origin;     /* numbers: from a sample's begin to the first pixel's first tap */
    size_t reach;      /* and from the first pixel of a half to the end of the last one's last tap */
    int height, width; /* pixels of the output */
    walk walk;
    int halves; /* how many 16-row halves there are */
    lk_sink to;
    bool exchange; /* of the input's gradient: the weights' roles, for the taps of one phase */
    phase y, x;
} slide;

static void choose_walk(slide *s, const lk_tile_ops *ops) {
    int n = s->f->n;
    s->walk = s->width % 16 == 0 ? ALONG : n % 16 == 0 ? DEEP : OVER;
    if (s->walk == OVER && ops->in_passes)
        s->walk = s->width % 8 == 0 && s->height % 2 == 0 ? LINES : n % 8 == 0 && s->width % 2 == 0 ? TWINS : OVER;
    if (s->walk == DEEP)
        s->halves = n / 16 * s->height * s->width;
    else if (s->walk == ALONG)
        s->halves = n * s->height * (s->width / 16);
    else if (s->walk == LINES || s->walk == TWINS)
        s->halves = n * s->height * s->width / 16;
    else
        s->halves = n * (((s->height - 1) * s->f->columns + s->width + 15) / 16);
}

/* Sample, row and column where a half begins. */
static void begin_of(const slide *s, int half, int *n, int *y, int *x) {
    if (s->walk == DEEP) {
        int pixels = s->height * s->width, p = half % pixels;
        *n = half / pixels * 16;
        *y = p / s->width;
        *x = p % s->width;
    } else if (s->walk == ALONG) {
        int across = s->width / 16, line = half / across;
        *n = line / s->height;
        *y = line % s->height;
        *x = half % across * 16;
    } else if (s->walk == LINES) {
        int across = s->width / 8, line = half / across;
        *n = line / (s->height / 2);
        *y = line % (s->height / 2) * 2;
        *x = half % across * 8;
    } else if (s->walk == TWINS) {
        int twins = s->height * s->width / 2, p = half % twins * 2;
        *n = half / twins * 8;
        *y = p / s->width;
        *x = p % s->width;
    } else {
        int each = s->halves / s->f->n, at = half % each * 16;
        *n = half / each;
        *y = at / s->f->columns;
        *x = at % s->f->columns;
    }
}

static const lk_number *rows_of(const slide *s, int half) {
    int n, y, x;
    begin_of(s, half, &n, &y, &x);
    size_t pixel = (size_t)y * (size_t)s->f->columns + (size_t)x;
    return s->field + (size_t)n * s->f->sample + s->origin + pixel * s->f->pixel;
}

/* 16 rows of a finished block to their pixels. */
static void write_half(const slide *s, const char *rows, int half, int first, int count) {
    int n, y, x;
    begin_of(s, half, &n, &y, &x);
    size_t row = lk_sink_row(&s->to);
    for (int r = 0; r < 16; r++, rows += row) {
        if (y < s->height && x < s->width) lk_sink_pixel(&s->to, rows, n, y, x, first, count);
        if (s->walk == DEEP || s->walk == TWINS)
            n++;
        else if (++x == s->f->columns && s->walk == OVER)
            x = 0, y++;
        if (r == 7 && s->walk == LINES) x -= 8, y++;
        if (r == 7 && s->walk == TWINS) n -= 8, x++;
    }
}

static void write_block(const slide *s, float *c, int half, int halves, int first, int count) {
    lk_bf16 narrow[LK_TILE];
    const char *rows = lk_sink_finish(&s->to, c, first, narrow);
    for (int i = 0; i < halves; i++) write_half(s, rows + (size_t)i * 16 * lk_sink_row(&s->to), half + i, first, count);
}

static phase phase_of(int r, int kernel, int stride, int pad, int size) {
    int first = pad > r ? (pad - r + stride - 1) / stride : 0, last = (size - 1 + pad - r) / stride;
    phase p = {r, kernel > r ? (kernel - r + stride - 1) / stride : 0, first, last - first + 1};
    if (size - 1 + pad < r) p.count = 0;
    return p;
}

static lk_field field_backward(const lk_layer *l) {
    int top = (l->kh - 1) / l->stride, left = (l->kw - 1) / l->stride;
    int rows = (l->h - 1 + l->pad_top) / l->stride + 1, columns = (l->w - 1 + l->pad_left) / l->stride + 1;
    lk_field f = lk_field_of(l->n, l->oh, l->ow, l->o, 1, top, left, (rows > l->oh ? rows : l->oh) + top,
                             (columns > l->ow ? columns : l->ow) + left);
    if (l->tiling == LK_TILED_OUTPUT) f.u = &l->u;
    return f;
}

/* Is the result unfolded, to be folded? */
static bool folds(const lk_matrix *m, bool back) { return m->l.tiling == (back ? LK_TILED_INPUT : LK_TILED_OUTPUT); }

/* How much goes together. In passes: about as many blocks of weights as the first cache holds, whole kernels where that is possible, since neighbouring
 * taps read the same pixels; and rows of the product whose pixels and sums come to 3/8 MiB. */
static void plan_passes(lk_matrix *m, int steps, int taps) {
    m->steps_together = steps;
    m->rows_together = INT_MAX;
    m->sums_together = 1;
    if (!m->ops->in_passes) return;
    const int most = LK_TOGETHER;
    int parts = (taps + most - 1) / most;
    m->steps_together = taps < most ? most / taps * taps : (taps + parts - 1) / parts;
    size_t row = 32 * m->f.pixel * (size_t)(m->f.step * m->f.step) * sizeof(lk_number) + LK_TILE * sizeof(float);
    m->rows_together = (int)(((size_t)384 << 10) / row);
    m->rows_together = m->rows_together < 4 ? 4 : m->rows_together;
    if (m->steps_together < steps) m->sums_together = m->rows_together;
}

bool lk_matrix_prepare_product(lk_nn_exec *e, lk_node *n, lk_matrix *m, lk_error *err) {
    (void)e;
    const lk_layer *l = &m->l;
    bool back = lk_gives_data(n->op);
    m->f = back ? field_backward(l) : lk_field_forward(l);
    if (m->f.sample > UINT32_MAX / 2) return lk_fail(err, LK_ERR_UNSUPPORTED, "a picture of this size is not possible");
    int steps = (back ? l->ob : l->cb) * l->taps;
    m->offsets = lk_alloc((size_t)steps, sizeof *m->offsets, err);
    if (!m->offsets) return false;
    if (!back) lk_matrix_offsets(l, &m->f, m->offsets);
    m->extra_at = LK_LINES(m->f.count * sizeof(lk_number));
    m->thread_at = m->extra_at + LK_LINES((size_t)l->ob * 32 * sizeof(float));
    m->grid_at = m->thread_at;
    if (folds(m, back)) m->thread_at += LK_LINES((size_t)(l->h * l->w) * (size_t)(back ? l->c : l->o) * sizeof(float));
    plan_passes(m, steps, back ? (l->kh + l->stride - 1) / l->stride * ((l->kw + l->stride - 1) / l->stride) : l->taps);
    m->thread_bytes = LK_TILE * ((size_t)m->sums_together * sizeof(float) +
                                 (back ? (size_t)m->steps_together * sizeof(lk_number) : 0));
    n->scratch = m->thread_at + (size_t)m->threads * m->thread_bytes;
    return true;
}

/* Steps `first` … of a phase, exchanged: inner positions are the layer's outputs. */
static void gather(const lk_matrix *m, const slide *s, const lk_number *weights, int cb, int first, int steps,
                   lk_number *to) {
    const lk_layer *l = &m->l;
    const phase *y = &s->y, *x = &s->x;
    for (int k = first; k < first + steps; k++, to += LK_TILE) {
        int i = k / x->taps % y->taps, j = k % x->taps, ob = k / x->taps / y->taps;
        int tap = (y->r + i * l->stride) * l->kw + x->r + j * l->stride;
        m->ops->exchange(weights + lk_matrix_block(l, ob, cb, tap), to);
    }
}

/* The blocks `from` to `to` of one block column. */
static void run_column(const lk_matrix *m, const slide *s, const lk_number *weights, int column, int from, int to,
                       float *c) {
    int channels = s->to.shape.c, count = channels - column * 32 < 32 ? channels - column * 32 : 32;
    lk_number *gathered = (lk_number *)(void *)(c + (size_t)m->sums_together * LK_TILE);
    size_t lda = s->walk == DEEP || s->walk == TWINS ? s->f->sample : s->f->pixel, gap = 8 * lda;
    if (s->walk == LINES) gap = (size_t)s->f->columns * s->f->pixel;
    if (s->walk == TWINS) gap = s->f->pixel;
    int together = m->steps_together < s->steps ? m->steps_together : s->steps;
    for (int k = 0; k < s->steps; k += together) {
        int steps = s->steps - k < together ? s->steps - k : together;
        const lk_number *b = gathered;
        if (s->exchange)
            gather(m, s, weights, column, k, steps, gathered);
        else
            b = weights + lk_matrix_block(&m->l, column, 0, 0) + (size_t)k * LK_TILE;
        for (int i = from; i < to; i++) {
            int halves = 2 * i + 1 < s->halves ? 2 : 1;
            const lk_number *a0 = rows_of(s, 2 * i), *a1 = halves > 1 ? rows_of(s, 2 * i + 1) : NULL;
            float *block = c + (steps < s->steps ? (size_t)(i - from) * LK_TILE : 0);
            m->ops->multiply(a0, a1, lda, gap, s->offsets + k, b, block, steps, k > 0);
            if (k + steps == s->steps) write_block(s, block, 2 * i, halves, column * 32, count);
        }
    }
}

/* Asks for the pixels of some rows, in the sample where they begin, to be in the second cache: line after line they come
 * several times as fast as in the order in which the products need them. */
static void fetch(const slide *s, int from, int to) {
    if (s->walk == DEEP || s->walk == TWINS) return;
    const lk_field *f = s->f;
    int n, y, x, last = 2 * to < s->halves ? 2 * to - 1 : s->halves - 1;
    begin_of(s, 2 * from, &n, &y, &x);
    size_t begin = (size_t)(rows_of(s, 2 * from) - s->field), end = (size_t)(rows_of(s, last) - s->field) + s->reach;
    if (end > (size_t)n * f->sample + f->part) end = (size_t)n * f->sample + f->part;
    for (int part = 0; part < f->step * f->step; part++)
        for (size_t at = begin; at < end; at += 64 / sizeof(lk_number))
            __builtin_prefetch(s->field + at + (size_t)part * f->part, 0, 2);
}

/* All blocks of a slide, split evenly over the threads: groups of rows outermost, then columns. */
static void run_slide(const lk_matrix *m, const slide *s, const lk_number *weights, char *scratch) {
    int rows = (s->halves + 1) / 2, columns = (s->to.shape.c + 31) / 32;
    int together = m->rows_together < rows ? m->rows_together : rows;
    int64_t all = (int64_t)rows * columns;
#pragma omp parallel num_threads(m->threads)
    {
        int id = omp_get_thread_num(), count = omp_get_num_threads();
        float *c = (float *)(void *)(scratch + m->thread_at + (size_t)id * m->thread_bytes);
        int64_t at = all * id / count, end = all * (id + 1) / count;
        m->ops->begin();
        for (int fetched = -1; at < end;) {
            int first = (int)(at / columns / together) * together;
            int some = rows - first < together ? rows - first : together;
            int64_t within = at - (int64_t)first * columns;
            int column = (int)(within / some), from = (int)(within % some);
            int to = end - at < some - from ? from + (int)(end - at) : some;
            if (fetched != first && m->ops->in_passes) fetch(s, first, first + some);
            fetched = first;
            run_column(m, s, weights, column, first + from, first + to, c);
            at += to - from;
        }
        m->ops->end();
    }
}

static size_t reach_of(const lk_field *f, int down, int right) {
    return ((size_t)(down + 1) * (size_t)f->columns + (size_t)right + 16) * f->pixel;
}

/* Sample after sample: the product as a grid of unfolded pixels, then the picture that it folds to. */
static void run_folded(const lk_matrix *m, const slide *s, const lk_number *weights, char *scratch) {
    const lk_unfolding *u = &m->l.u;
    size_t line = (size_t)(u->w * u->c), number = s->to.narrow ? sizeof(lk_bf16) : sizeof(float);
    lk_field f = *s->f;
    f.n = 1;
    for (int n = 0; n < m->l.n; n++) {
        slide one = *s;
        one.f = &f;
        one.field += (size_t)n * f.sample;
        one.to = (lk_sink){.shape = s->to.shape, .step = 1, .to = scratch + m->grid_at};
        one.to.shape.n = 1;
        choose_walk(&one, m->ops);
        run_slide(m, &one, weights, scratch);
#pragma omp parallel for num_threads(m->threads)
        for (int y = 0; y < u->h; y++) {
            float row[line];
            lk_fold_row(u, (const float *)(const void *)one.to.to, y, row);
            for (size_t k = 0; s->to.bias && k < line; k++) row[k] += s->to.bias[k % (size_t)u->c];
            lk_cpu_activate(s->to.act, s->to.alpha, row, row, line);
            char *to = s->to.to + ((size_t)n * (size_t)u->h + (size_t)y) * line * number;
            if (s->to.narrow)
                lk_cpu_narrow(row, (lk_bf16 *)(void *)to, line);
            else
                memcpy(to, row, line * sizeof *row);
        }
    }
}

static void run(const lk_matrix *m, slide s, const lk_number *weights, char *scratch) {
    if (folds(m, s.exchange)) {
        run_folded(m, &s, weights, scratch);
        return;
    }
    choose_walk(&s, m->ops);
    run_slide(m, &s, weights, scratch);
}

static void forward(lk_nn_exec *e, const lk_node *n, const lk_matrix *m, char *scratch) {
    const lk_layer *l = &m->l;
    slide s = {.f = &m->f,
               .field = (lk_number *)(void *)scratch,
               .offsets = m->offsets,
               .steps = l->cb * l->taps,
               .reach = reach_of(&m->f, (l->kh - 1) / l->stride, (l->kw - 1) / l->stride),
               .height = l->oh,
               .width = l->ow,
               .to = lk_sink_of(e, n, l, (float *)(void *)(scratch + m->extra_at))};
    run(m, s, (const lk_number *)(void *)e->g.tensors[n->weights].data, scratch);
}

/* Steps of one phase: for each block of outputs its taps, the last one first in the field. */
static void phase_offsets(const lk_matrix *m, phase y, phase x) {
    uint32_t *at = m->offsets;
    for (int ob = 0; ob < m->l.ob; ob++)
        for (int i = 0; i < y.taps; i++)
            for (int j = 0; j < x.taps; j++) {
                size_t pixel = (size_t)(y.taps - 1 - i) * (size_t)m->f.columns + (size_t)(x.taps - 1 - j);
                *at++ = (uint32_t)(pixel * m->f.pixel + (size_t)ob * 32);
            }
}

static void backward(lk_nn_exec *e, const lk_node *n, const lk_matrix *m, char *scratch) {
    const lk_layer *l = &m->l;
    const lk_field *f = &m->f;
    lk_sink to = lk_sink_of(e, n, l, NULL);
    if (l->kh < l->stride || l->kw < l->stride)
        memset(to.to, 0, e->g.tensors[n->out[0]].bytes); /* pixels that no tap reaches */
    for (int k = 0; k < l->stride * l->stride; k++) {
        phase y = phase_of(k / l->stride, l->kh, l->stride, l->pad_top, l->h);
        phase x = phase_of(k % l->stride, l->kw, l->stride, l->pad_left, l->w);
        if (y.count < 1 || x.count < 1 || !y.taps || !x.taps) continue;
        phase_offsets(m, y, x);
        to.step = l->stride;
        to.top = y.first * l->stride + y.r - l->pad_top;
        to.left = x.first * l->stride + x.r - l->pad_left;
        size_t row = (size_t)(y.first + f->top - (y.taps - 1)), column = (size_t)(x.first + f->left - (x.taps - 1));
        slide s = {.f = f,
                   .field = (lk_number *)(void *)scratch,
                   .offsets = m->offsets,
                   .steps = l->ob * y.taps * x.taps,
                   .reach = reach_of(f, y.taps - 1, x.taps - 1),
                   .origin = (row * (size_t)f->columns + column) * f->pixel,
                   .height = y.count,
                   .width = x.count,
                   .to = to,
                   .exchange = true,
                   .y = y,
                   .x = x};
        run(m, s, (const lk_number *)(void *)e->g.tensors[n->weights].data, scratch);
    }
}

bool lk_matrix_product(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    lk_matrix *m = n->state;
    char *scratch = e->g.tensors[n->scratch_tensor].data;
    lk_field_fill(&m->f, (const lk_number *)(void *)e->g.tensors[n->in[0]].data, (lk_number *)(void *)scratch);
    if (lk_gives_data(n->op))
        backward(e, n, m, scratch);
    else
        forward(e, n, m, scratch);
    return true;
}
