/* Losses and their gradients, always in float32, summed in an order that no thread count changes. */
#include "cpu.h"

#include <omp.h>
#include <string.h>

#define WINDOW 11
#define RADIUS 5

/* Where DSSIM works: for each thread ten planes; behind them one sum per plane of the batch. */
static size_t plane_room(lk_nn_shape s) { return ((size_t)s.h * (size_t)s.w + 15) / 16 * 16; }

bool lk_cpu_prepare_dssim(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    lk_nn_shape s = lk_cpu_shape(e, n->op == LK_OP_DSSIM ? n->in[0] : n->in[1]);
    size_t planes = (size_t)s.n * (size_t)s.c;
    n->a.i[7] = omp_get_max_threads();
    n->scratch = ((size_t)n->a.i[7] * 10 * plane_room(s) + planes) * sizeof(float);
    return true;
}

/* Gaussian without padding: (h, w) → (h − 10, w − 10). */
LK_HOT static void blur(const float *in, float *out, float *between, int h, int w, const float *taps) {
    int narrow = w - WINDOW + 1;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < narrow; x++) {
            float sum = 0;
            for (int k = 0; k < WINDOW; k++) sum += taps[k] * in[(size_t)y * (size_t)w + (size_t)(x + k)];
            between[(size_t)y * (size_t)narrow + (size_t)x] = sum;
        }
    for (int y = 0; y < h - WINDOW + 1; y++)
        for (int x = 0; x < narrow; x++) {
            float sum = 0;
            for (int k = 0; k < WINDOW; k++) sum += taps[k] * between[(size_t)(y + k) * (size_t)narrow + (size_t)x];
            out[(size_t)y * (size_t)narrow + (size_t)x] = sum;
        }
}

/* Its transpose: (h − 10, w − 10) → (h, w). */
LK_HOT static void spread(const float *in, float *out, float *between, int h, int w, const float *taps) {
    int narrow = w - WINDOW + 1, low = h - WINDOW + 1;
    memset(between, 0, (size_t)h * (size_t)narrow * sizeof(float));
    for (int y = 0; y < low; y++)
        for (int k = 0; k < WINDOW; k++)
            for (int x = 0; x < narrow; x++)
                between[(size_t)(y + k) * (size_t)narrow + (size_t)x] +=
                    taps[k] * in[(size_t)y * (size_t)narrow + (size_t)x];
    memset(out, 0, (size_t)h * (size_t)w * sizeof(float));
    for (int y = 0; y < h; y++)
        for (int k = 0; k < WINDOW; k++)
            for (int x = 0; x < narrow; x++)
                out[(size_t)y * (size_t)w + (size_t)(x + k)] +=
                    taps[k] * between[(size_t)y * (size_t)narrow + (size_t)x];
}

typedef struct planes {
    float *a, *b, *product, *mean_a, *mean_b, *aa, *bb, *ab, *between, *spare;
} planes;

static planes planes_of(lk_nn_exec *e, const lk_node *n, lk_nn_shape s) {
    size_t room = plane_room(s);
    float *at = lk_cpu_data(e, n->scratch_tensor) + (size_t)omp_get_thread_num() * 10 * room;
    return (planes){at,
                    at + room,
                    at + 2 * room,
                    at + 3 * room,
                    at + 4 * room,
                    at + 5 * room,
                    at + 6 * room,
                    at + 7 * room,
                    at + 8 * room,
                    at + 9 * room};
}

typedef struct inputs {
    const float *x, *target, *mask;
    lk_nn_shape s;
    float taps[WINDOW];
} inputs;

static inputs inputs_of(lk_nn_exec *e, const lk_node *n) {
    int first = n->op == LK_OP_DSSIM ? 0 : 1;
    inputs in = {.x = lk_cpu_data(e, n->in[first]),
                 .target = lk_cpu_data(e, n->in[first + 1]),
                 .mask = n->in_count > first + 2 ? lk_cpu_data(e, n->in[first + 2]) : NULL,
                 .s = lk_cpu_shape(e, n->in[first])};
    lk_gaussian_taps(1.5, RADIUS, in.taps);
    return in;
}

/* One channel of one sample, masked, and the five filtered planes of SSIM. */
static void statistics(const inputs *in, int n, int c, planes *p) {
    size_t count = (size_t)in->s.h * (size_t)in->s.w, channels = (size_t)in->s.c, at = (size_t)n * count;
    for (size_t i = 0; i < count; i++) {
        float m = in->mask ? in->mask[at + i] : 1;
        p->a[i] = in->x[(at + i) * channels + (size_t)c] * m;
        p->b[i] = in->target[(at + i) * channels + (size_t)c] * m;
    }
    int h = in->s.h, w = in->s.w;
    blur(p->a, p->mean_a, p->between, h, w, in->taps);
    blur(p->b, p->mean_b, p->between, h, w, in->taps);
    for (size_t i = 0; i < count; i++) p->product[i] = p->a[i] * p->a[i];
    blur(p->product, p->aa, p->between, h, w, in->taps);
    for (size_t i = 0; i < count; i++) p->product[i] = p->b[i] * p->b[i];
    blur(p->product, p->bb, p->between, h, w, in->taps);
    for (size_t i = 0; i < count; i++) p->product[i] = p->a[i] * p->b[i];
    blur(p->product, p->ab, p->between, h, w, in->taps);
}

typedef struct ssim_terms {
    float a1, a2, b1, b2;
} ssim_terms;

static inline ssim_terms terms(const planes *p, size_t i, float c1, float c2) {
    float ma = p->mean_a[i], mb = p->mean_b[i];
    return (ssim_terms){2 * ma * mb + c1, 2 * (p->ab[i] - ma * mb) + c2, ma * ma + mb * mb + c1,
                        p->aa[i] - ma * ma + p->bb[i] - mb * mb + c2};
}

bool lk_cpu_dssim(lk_nn_exec *e, lk_node *node, lk_error *err) {
    (void)err;
    inputs in = inputs_of(e, node);
    lk_nn_shape s = in.s;
    float range = node->a.f[0], c1 = 0.0001f * range * range, c2 = 0.0009f * range * range;
    size_t valid = (size_t)(s.h - WINDOW + 1) * (size_t)(s.w - WINDOW + 1);
    float *sums = lk_cpu_data(e, node->scratch_tensor) + (size_t)node->a.i[7] * 10 * plane_room(s);
    float *y = lk_cpu_data(e, node->out[0]);
#pragma omp parallel for num_threads(node->a.i[7])
    for (int k = 0; k < s.n * s.c; k++) {
        planes p = planes_of(e, node, s);
        statistics(&in, k / s.c, k % s.c, &p);
        double sum = 0;
        for (size_t i = 0; i < valid; i++) {
            ssim_terms t = terms(&p, i, c1, c2);
            sum += (double)(t.a1 * t.a2 / (t.b1 * t.b2));
        }
        sums[k] = (float)(sum / (double)valid);
    }
    for (int n = 0; n < s.n; n++) {
        float sum = 0;
        for (int c = 0; c < s.c; c++) sum += sums[n * s.c + c];
        y[n] = (1 - sum / (float)s.c) / 2;
    }
    return true;
}

/* With s = a1·a2 / (b1·b2), filtered means μ and filtered products E as independent variables:
 * ∂s/∂E[ab] = 2·a1/(b1·b2), ∂s/∂E[a²] = −s/b2, ∂s/∂μa = 2·μb·(a2 − a1)/(b1·b2) − 2·μa·s·(1/b1 − 1/b2). */
static void gradient_planes(planes *p, size_t valid, float c1, float c2) {
    for (size_t i = 0; i < valid; i++) {
        ssim_terms t = terms(p, i, c1, c2);
        float bb = t.b1 * t.b2, s = t.a1 * t.a2 / bb, ma = p->mean_a[i], mb = p->mean_b[i];
        p->mean_a[i] = 2 * mb * (t.a2 - t.a1) / bb - 2 * ma * s * (1 / t.b1 - 1 / t.b2);
        p->ab[i] = 2 * t.a1 / bb;
        p->aa[i] = -s / t.b2;
    }
}

bool lk_cpu_dssim_back(lk_nn_exec *e, lk_node *node, lk_error *err) {
    (void)err;
    inputs in = inputs_of(e, node);
    lk_nn_shape s = in.s;
    float range = node->a.f[0], c1 = 0.0001f * range * range, c2 = 0.0009f * range * range;
    size_t count = (size_t)s.h * (size_t)s.w, valid = (size_t)(s.h - WINDOW + 1) * (size_t)(s.w - WINDOW + 1);
    const float *dy = lk_cpu_data(e, node->in[0]);
    float *dx = lk_cpu_data(e, node->out[0]);
#pragma omp parallel for num_threads(node->a.i[7])
    for (int k = 0; k < s.n * s.c; k++) {
        planes p = planes_of(e, node, s);
        int n = k / s.c, c = k % s.c;
        statistics(&in, n, c, &p);
        gradient_planes(&p, valid, c1, c2);
        float weight = -0.5f * dy[n] / ((float)s.c * (float)valid);
        spread(p.mean_a, p.product, p.between, s.h, s.w, in.taps);
        spread(p.ab, p.spare, p.between, s.h, s.w, in.taps);
        for (size_t i = 0; i < count; i++) p.product[i] += p.b[i] * p.spare[i];
        spread(p.aa, p.spare, p.between, s.h, s.w, in.taps);
        size_t at = (size_t)n * count;
        for (size_t i = 0; i < count; i++) {
            float m = in.mask ? in.mask[at + i] : 1;
            dx[(at + i) * (size_t)s.c + (size_t)c] = weight * m * (p.product[i] + 2 * p.a[i] * p.spare[i]);
        }
    }
    return true;
}

static size_t per_sample(lk_nn_shape s) { return lk_nn_count(s) / (size_t)s.n; }

bool lk_cpu_sample_mean(lk_nn_exec *e, lk_node *node, lk_error *err) {
    (void)err;
    lk_nn_shape s = lk_cpu_shape(e, node->in[0]);
    size_t count = per_sample(s);
    const float *x = lk_cpu_data(e, node->in[0]);
    float *y = lk_cpu_data(e, node->out[0]);
    for (int n = 0; n < s.n; n++) {
        double sum = 0;
        for (size_t i = 0; i < count; i++) sum += (double)x[(size_t)n * count + i];
        y[n] = (float)(sum / (double)count);
    }
    return true;
}

bool lk_cpu_sample_mean_back(lk_nn_exec *e, lk_node *node, lk_error *err) {
    (void)err;
    lk_nn_shape s = lk_cpu_shape(e, node->out[0]);
    size_t count = per_sample(s);
    const float *dy = lk_cpu_data(e, node->in[0]);
    float *dx = lk_cpu_data(e, node->out[0]);
    for (int n = 0; n < s.n; n++)
        for (size_t i = 0; i < count; i++) dx[(size_t)n * count + i] = dy[n] / (float)count;
    return true;
}

bool lk_cpu_loss(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    size_t count = lk_nn_count(lk_cpu_shape(e, n->in[0]));
    const float *x = lk_cpu_data(e, n->in[0]);
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)x[i];
    *lk_cpu_data(e, n->out[0]) = e->g.losses[n->a.i[0]].weight * (float)(sum / (double)count);
    return true;
}

bool lk_cpu_loss_back(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    size_t count = lk_nn_count(lk_cpu_shape(e, n->out[0]));
    float *dx = lk_cpu_data(e, n->out[0]), each = e->g.losses[n->a.i[0]].weight / (float)count;
    for (size_t i = 0; i < count; i++) dx[i] = each;
    return true;
}
