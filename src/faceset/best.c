#include "best.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define YAW_BINS 128

/* ---- The field's *final* ------------------------------------------------------------------------------------ */

typedef struct bin {
    int64_t *rows; /* sharpest first; then the sharper half by strangeness */
    int64_t count, sharp, taken;
} bin;

/* Sort the sharper half of a bin by how unlike the others of that half their colours are. */
static bool sort_bin(const lk_vectors *all, bin *b, lk_error *err) {
    lk_vectors v = {.count = b->sharp, .dims = all->dims};
    v.x = lk_alloc((size_t)v.count + 1, (size_t)v.dims * sizeof(float), err);
    if (!v.x) return false;
    for (int64_t i = 0; i < v.count; i++)
        memcpy(v.x + i * v.dims, all->x + b->rows[i] * v.dims, (size_t)v.dims * sizeof(float));
    double *strange = lk_vectors_strangeness(&v, err);
    int64_t *order = strange ? lk_alloc((size_t)v.count + 1, 2 * sizeof *order, err) : NULL;
    bool ok = order && lk_order_by(strange, v.count, true, order, err);
    for (int64_t i = 0; ok && i < v.count; i++) order[v.count + i] = b->rows[order[i]];
    if (ok && v.count) memcpy(b->rows, order + v.count, (size_t)v.count * sizeof *order);
    free(order);
    free(strange);
    lk_vectors_free(&v);
    return ok;
}

static int bin_of(double yaw) {
    int k = (int)floor((yaw + 90) / 180 * YAW_BINS);
    return k < 0 ? 0 : k >= YAW_BINS ? YAW_BINS - 1 : k;
}

/* One from each bin in turn until there are enough; then what is left of the sharper halves, then the others. */
static int64_t deal(bin bins[YAW_BINS], int64_t target, int64_t *order) {
    int64_t chosen = 0, n;
    do {
        n = chosen;
        for (int k = 0; k < YAW_BINS && chosen < target; k++)
            if (bins[k].taken < bins[k].sharp) order[chosen++] = bins[k].rows[bins[k].taken++];
    } while (chosen > n && chosen < target);
    n = chosen;
    for (int k = 0; k < YAW_BINS; k++)
        while (bins[k].taken < bins[k].count) order[n++] = bins[k].rows[bins[k].taken++];
    return chosen;
}

int64_t lk_order_final(lk_faceset *s, const lk_figures *f, int64_t target, int64_t *order, lk_error *err) {
    bin *bins = lk_alloc(YAW_BINS, sizeof *bins, err);
    int64_t *rows = bins ? lk_alloc((size_t)f->count + 1, sizeof *rows, err) : NULL, chosen = -1, sharp = 0;
    lk_vectors v = {0};
    bool ok = rows && lk_order_by(f->values[LK_FIGURE_SHARPNESS], f->count, true, order, err) &&
              lk_vectors_read(s, LK_FEATURE_HISTOGRAM, f->values[LK_FIGURE_ID], f->count, &v, err);
    for (int64_t i = 0; ok && i < f->count; i++) bins[bin_of(f->values[LK_FIGURE_YAW][i])].count++;
    int64_t *next = rows;
    for (int k = 0; ok && k < YAW_BINS; k++) {
        bins[k].rows = next;
        next += bins[k].count;
        bins[k].sharp = (bins[k].count + 1) / 2;
        sharp += bins[k].sharp;
        bins[k].count = 0;
    }
    for (int64_t i = 0; ok && i < f->count; i++) {
        bin *b = &bins[bin_of(f->values[LK_FIGURE_YAW][order[i]])];
        b->rows[b->count++] = order[i];
    }
    for (int k = 0; ok && k < YAW_BINS; k++) ok = sort_bin(&v, &bins[k], err);
    if (ok) chosen = deal(bins, target > 0 && target < sharp ? target : sharp, order);
    lk_vectors_free(&v);
    free(rows);
    free(bins);
    return chosen;
}

/* ---- Coverage ----------------------------------------------------------------------------------------------- */

double *lk_cover_axes(const lk_figures *f, int *dims, lk_error *err) {
    /* What makes a visible difference: degrees, share of the mouth's and the eyes' width, units of Lab. */
    static const struct {
        lk_figure figure;
        double unit;
    } axes[] = {
        {LK_FIGURE_YAW, 5},     {LK_FIGURE_PITCH, 5},  {LK_FIGURE_MOUTH, 0.12},
        {LK_FIGURE_EYES, 0.07}, {LK_FIGURE_MEAN_L, 6}, {LK_FIGURE_MEAN_A, 4},
        {LK_FIGURE_MEAN_B, 4},  {LK_FIGURE_STD_L, 4},  {LK_FIGURE_ROLL, 15},
    };
    *dims = LK_COUNT(axes);
    double *x = lk_alloc((size_t)f->count + 1, LK_COUNT(axes) * sizeof *x, err);
    for (int64_t i = 0; x && i < f->count; i++)
        for (int d = 0; d < *dims; d++) x[i * *dims + d] = f->values[axes[d].figure][i] / axes[d].unit;
    return x;
}

/* Distance counts for less where a face is blurred: from 1 for the sharpest down to 0.4. */
static bool weigh(const lk_figures *f, int64_t *order, double *weight, lk_error *err) {
    if (!lk_order_by(f->values[LK_FIGURE_SHARPNESS], f->count, true, order, err)) return false;
    for (int64_t i = 0; i < f->count; i++) weight[order[i]] = 1 - 0.6 * (double)i / (double)f->count;
    return true;
}

typedef struct cover {
    const double *x, *weight;
    double *nearest; /* squared distance to the nearest that is chosen; −1: chosen */
    int64_t count;
    int dims;
} cover;

static double squared(const cover *c, int64_t i, const double *y) {
    double d = 0;
    for (int k = 0; k < c->dims; k++) d += (c->x[i * c->dims + k] - y[k]) * (c->x[i * c->dims + k] - y[k]);
    return d;
}

/* The face nearest to the mean of all. */
static int64_t first_choice(const cover *c) {
    double mean[16] = {0}, least = INFINITY;
    int64_t best = 0;
    for (int64_t i = 0; i < c->count; i++)
        for (int k = 0; k < c->dims; k++) mean[k] += c->x[i * c->dims + k] / (double)c->count;
    for (int64_t i = 0; i < c->count; i++) {
        double d = squared(c, i, mean) / (c->weight[i] * c->weight[i]);
        if (d >= least) continue;
        least = d;
        best = i;
    }
    return best;
}

/* Farthest-point choice (Gonzalez 1985): always the one that is farthest from all that are chosen. */
static void choose(cover *c, int64_t target, int64_t *order) {
    int64_t last = first_choice(c);
    for (int64_t i = 0; i < c->count; i++) c->nearest[i] = INFINITY;
    for (int64_t n = 0; n < target; n++) {
        order[n] = last;
        c->nearest[last] = -1;
        const double *y = c->x + last * c->dims;
        double most = -1;
        for (int64_t i = 0; i < c->count; i++) {
            if (c->nearest[i] < 0) continue;
            double d = squared(c, i, y);
            if (d < c->nearest[i]) c->nearest[i] = d;
            double score = c->nearest[i] * c->weight[i] * c->weight[i];
            if (score <= most) continue;
            most = score;
            last = i;
        }
    }
}

#define MOST_ORDERED 4096 /* beyond, the rest follows as it was: n² takes over */

int64_t lk_order_best(const lk_figures *f, int64_t target, int64_t *order, lk_error *err) {
    if (f->count == 0) return 0;
    if (target < 1 || target > f->count) target = f->count;
    int64_t chosen = target;
    if (target == f->count && target > MOST_ORDERED) target = MOST_ORDERED;
    cover c = {.count = f->count};
    double *x = lk_cover_axes(f, &c.dims, err), *weight = NULL;
    weight = x ? lk_alloc((size_t)f->count, sizeof *weight, err) : NULL;
    c.nearest = weight ? lk_alloc((size_t)f->count, sizeof *c.nearest, err) : NULL;
    bool ok = c.nearest && weigh(f, order, weight, err);
    if (ok) {
        c.x = x;
        c.weight = weight;
        choose(&c, target, order);
        for (int64_t i = 0, n = target; i < f->count; i++)
            if (c.nearest[i] >= 0) order[n++] = i;
    }
    free(x);
    free(weight);
    free(c.nearest);
    return ok ? chosen : -1;
}
