#include "color.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RATIO     2.0 /* of deviations in Reinhard's transfer: a flat prediction is not blown up into noise */
#define NOISE         (1.0 / 255) /* a deviation that every channel is given: no covariance is singular */
#define IDT_ROTATIONS 10
#define SOT_STEPS     10
#define SOT_BATCH     5
#define SOT_SAMPLES   4096
#define SOT_KNOTS     1024

static size_t pixels_of(const lk_image *image) { return (size_t)image->width * (size_t)image->height; }

/* ---- Reinhard et al. 2001 -------------------------------------------------------------------------------- */

static bool reinhard(lk_image *image, const lk_image *like, const lk_image *weights, lk_error *err) {
    lk_image target;
    if (!lk_image_copy(like, &target, err)) return false;
    lk_image_rgb_to_lab(&target);
    lk_image_rgb_to_lab(image);
    double from[4], from_std[4], to[4], to_std[4];
    lk_image_mean_std(image, weights, from, from_std);
    lk_image_mean_std(&target, weights, to, to_std);
    lk_image_free(&target);
    for (int c = 0; c < 3; c++) {
        double ratio = from_std[c] > 1e-6 ? to_std[c] / from_std[c] : 1;
        ratio = fmin(fmax(ratio, 1 / MAX_RATIO), MAX_RATIO);
        float a = (float)ratio, b = (float)(to[c] - ratio * from[c]);
        for (int y = 0; y < image->height; y++)
            for (int x = 0; x < image->width; x++) {
                float *v = &lk_row_f32(image, y)[3 * x + c];
                *v = a * *v + b;
            }
    }
    lk_image_lab_to_rgb(image);
    return true;
}

/* ---- Linear transfer by covariance ----------------------------------------------------------------------- */

typedef struct matrix {
    double m[3][3];
} matrix;

static matrix times(matrix a, matrix b) {
    matrix r = {0};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 3; k++) r.m[i][j] += a.m[i][k] * b.m[k][j];
    return r;
}

/* Mean and covariance of the weighted pixels; false when nothing has weight. */
static bool moments(const lk_image *image, const lk_image *weights, double mean[3], matrix *covariance) {
    const float *p = image->data, *w = weights ? weights->data : NULL;
    double total = 0, sum[3] = {0}, square[3][3] = {{0}};
    for (size_t i = 0; i < pixels_of(image); i++) {
        double weight = w ? (double)w[i] : 1;
        if (weight <= 0) continue;
        total += weight;
        for (int a = 0; a < 3; a++) {
            double v = weight * (double)p[3 * i + (size_t)a];
            sum[a] += v;
            for (int b = 0; b <= a; b++) square[a][b] += v * (double)p[3 * i + (size_t)b];
        }
    }
    if (!(total > 0)) return false;
    for (int a = 0; a < 3; a++) mean[a] = sum[a] / total;
    for (int a = 0; a < 3; a++)
        for (int b = 0; b <= a; b++)
            covariance->m[a][b] = covariance->m[b][a] =
                square[a][b] / total - mean[a] * mean[b] + (a == b ? NOISE * NOISE : 0);
    return true;
}

/* S^power of a symmetric positive matrix, by Jacobi's rotations. */
static matrix power_of(matrix s, double power) {
    matrix v = {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
    for (int sweep = 0; sweep < 16; sweep++)
        for (int p = 0; p < 2; p++)
            for (int q = p + 1; q < 3; q++) {
                if (fabs(s.m[p][q]) < 1e-18) continue;
                double angle = 0.5 * atan2(2 * s.m[p][q], s.m[p][p] - s.m[q][q]), c = cos(angle), d = sin(angle);
                matrix r = {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}}, t = r;
                r.m[p][p] = r.m[q][q] = t.m[p][p] = t.m[q][q] = c;
                r.m[p][q] = t.m[q][p] = -d;
                r.m[q][p] = t.m[p][q] = d;
                s = times(times(t, s), r);
                v = times(v, r);
            }
    matrix diagonal = {0}, transposed;
    for (int i = 0; i < 3; i++) {
        diagonal.m[i][i] = pow(fmax(s.m[i][i], 1e-12), power);
        for (int j = 0; j < 3; j++) transposed.m[i][j] = v.m[j][i];
    }
    return times(times(v, diagonal), transposed);
}

/* mkl: Pitié & Kokaram 2007, the linear map of least transport; pca: root of the one covariance after the other's
 * inverse root. */
static bool linear(lk_image *image, const lk_image *like, const lk_image *weights, bool mkl) {
    double from[3], to[3];
    matrix a, b, map;
    if (!moments(image, weights, from, &a) || !moments(like, weights, to, &b)) return true;
    matrix out = power_of(a, -0.5);
    if (mkl) {
        matrix root = power_of(a, 0.5);
        map = times(times(out, power_of(times(times(root, b), root), 0.5)), out);
    } else {
        map = times(power_of(b, 0.5), out);
    }
    float *p = image->data;
    for (size_t i = 0; i < pixels_of(image); i++, p += 3) {
        double d[3] = {(double)p[0] - from[0], (double)p[1] - from[1], (double)p[2] - from[2]};
        for (int c = 0; c < 3; c++)
            p[c] = (float)(map.m[c][0] * d[0] + map.m[c][1] * d[1] + map.m[c][2] * d[2] + to[c]);
    }
    return true;
}

/* ---- Iterative distribution transfer: Pitié et al. 2005 -------------------------------------------------- */

static double fraction(double v) { return v - floor(v); }

/* Rotation i: Shoemake's uniform quaternion of the i-th point of the additive sequence of the cube's golden ratio. */
static matrix rotation(int i) {
    double u = fraction(i * 0.8191725133961645), v = 2 * M_PI * fraction(i * 0.6710436067037893);
    double w = 2 * M_PI * fraction(i * 0.5497004779019703);
    double x = sqrt(1 - u) * sin(v), y = sqrt(1 - u) * cos(v), z = sqrt(u) * sin(w), r = sqrt(u) * cos(w);
    return (matrix){{{1 - 2 * (y * y + z * z), 2 * (x * y - z * r), 2 * (x * z + y * r)},
                     {2 * (x * y + z * r), 1 - 2 * (x * x + z * z), 2 * (y * z - x * r)},
                     {2 * (x * z - y * r), 2 * (y * z + x * r), 1 - 2 * (x * x + y * y)}}};
}

static LK_HOT void project(const float *restrict p, float *restrict out, size_t n, const double d[3]) {
    float a = (float)d[0], b = (float)d[1], c = (float)d[2];
    for (size_t i = 0; i < n; i++) out[i] = a * p[3 * i] + b * p[3 * i + 1] + c * p[3 * i + 2];
}

/* Smallest and largest of the values that have weight in either. */
static bool range_of(const float *a, const float *b, const float *w, size_t n, double *low, double *high) {
    float lo = INFINITY, hi = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (w && !(w[i] > 0)) continue;
        lo = fminf(lo, fminf(a[i], b[i]));
        hi = fmaxf(hi, fmaxf(a[i], b[i]));
    }
    *low = (double)lo;
    *high = (double)hi;
    return lo <= hi;
}

static bool idt(lk_image *image, const lk_image *like, const lk_image *weights, lk_error *err) {
    size_t n = pixels_of(image);
    float *memory = lk_alloc(5 * n, sizeof *memory, err), *p = image->data;
    if (!memory) return false;
    float *a = memory, *b = memory + n, *moved = memory + 2 * n;
    const float *w = weights ? weights->data : NULL;
    for (int k = 0; k < IDT_ROTATIONS; k++) {
        matrix r = rotation(k + 1); /* the first would only mirror the axes */
        memset(moved, 0, 3 * n * sizeof *moved);
        for (int axis = 0; axis < 3; axis++) {
            double low, high;
            project(p, a, n, r.m[axis]);
            project(like->data, b, n, r.m[axis]);
            if (!range_of(a, b, w, n, &low, &high)) continue;
            lk_match m;
            lk_match_make(&m, a, b, w, n, 1, low, high);
            for (size_t i = 0; i < n; i++) {
                float inside = fminf(fmaxf(a[i], (float)low), (float)high), d = lk_match_value(&m, inside) - inside;
                for (size_t c = 0; c < 3; c++) moved[3 * i + c] += (float)r.m[axis][c] * d;
            }
        }
        for (size_t i = 0; i < 3 * n; i++) p[i] += moved[i];
    }
    free(memory);
    return true;
}

/* ---- Sliced optimal transport: Rabin et al. 2011 --------------------------------------------------------- */

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

typedef struct slices {
    uint32_t *chosen; /* [count] pixels that stand for all with weight */
    size_t count;
    float *from, *to; /* [count] their places along a direction, in order */
    float knots[SOT_KNOTS];
    float low, high;
} slices;

static bool choose(slices *s, const float *w, size_t n, lk_error *err) {
    size_t total = 0, seen = 0;
    for (size_t i = 0; i < n; i++) total += !w || w[i] > 0.5f;
    size_t every = (total + SOT_SAMPLES - 1) / SOT_SAMPLES;
    s->chosen = lk_alloc(SOT_SAMPLES, sizeof *s->chosen, err);
    s->from = s->chosen ? lk_alloc(SOT_SAMPLES, 2 * sizeof *s->from, err) : NULL;
    if (!s->from) return false;
    s->to = s->from + SOT_SAMPLES;
    for (size_t i = 0; i < n; i++)
        if ((!w || w[i] > 0.5f) && seen++ % every == 0) s->chosen[s->count++] = (uint32_t)i;
    return true;
}

/* Where each value of the one must go so that, in order, they become those of the other; at knots evenly spread over
 * the range. */
static void slice(slices *s, const float *image, const float *like, const double d[3]) {
    for (size_t k = 0; k < s->count; k++) {
        project(image + 3 * (size_t)s->chosen[k], &s->from[k], 1, d);
        project(like + 3 * (size_t)s->chosen[k], &s->to[k], 1, d);
    }
    qsort(s->from, s->count, sizeof *s->from, by_value);
    qsort(s->to, s->count, sizeof *s->to, by_value);
    s->low = s->from[0];
    s->high = s->from[s->count - 1];
    size_t at = 0;
    for (int k = 0; k < SOT_KNOTS; k++) {
        float v = s->low + (s->high - s->low) * (float)k / (SOT_KNOTS - 1);
        while (at + 2 < s->count && s->from[at + 1] <= v) at++;
        float gap = s->from[at + 1] - s->from[at], t = gap > 0 ? (v - s->from[at]) / gap : 0;
        s->knots[k] = s->to[at] + (s->to[at + 1] - s->to[at]) * fminf(fmaxf(t, 0), 1) - v;
    }
}

static LK_HOT void advect(const slices *s, const float *restrict p, float *restrict moved, size_t n,
                          const double d[3]) {
    float scale = s->high > s->low ? (SOT_KNOTS - 1) / (s->high - s->low) : 0;
    float x = (float)d[0], y = (float)d[1], z = (float)d[2];
    for (size_t i = 0; i < n; i++) {
        float at = (x * p[3 * i] + y * p[3 * i + 1] + z * p[3 * i + 2] - s->low) * scale;
        at = at > 0 ? at : 0;
        at = at < SOT_KNOTS - 1.001f ? at : SOT_KNOTS - 1.001f;
        int k = (int)at;
        float v = s->knots[k] + (s->knots[k + 1] - s->knots[k]) * (at - (float)k);
        moved[3 * i] += v * x;
        moved[3 * i + 1] += v * y;
        moved[3 * i + 2] += v * z;
    }
}

static void direction(int k, double d[3]) {
    double z = 1 - 2 * fraction((k + 0.5) * 0.7548776662466927), r = sqrt(fmax(1 - z * z, 0));
    double turn = 2 * M_PI * fraction(k * 0.5698402909980532);
    d[0] = r * cos(turn);
    d[1] = r * sin(turn);
    d[2] = z;
}

static bool sot(lk_image *image, const lk_image *like, const lk_image *weights, lk_error *err) {
    size_t n = pixels_of(image);
    slices s = {0};
    float *moved = lk_alloc(n, 3 * sizeof *moved, err), *p = image->data;
    bool ok = moved && choose(&s, weights ? weights->data : NULL, n, err);
    for (int step = 0; ok && s.count > 1 && step < SOT_STEPS; step++) {
        memset(moved, 0, 3 * n * sizeof *moved);
        for (int k = 0; k < SOT_BATCH; k++) {
            double d[3];
            direction(step * SOT_BATCH + k, d);
            slice(&s, p, like->data, d);
            advect(&s, p, moved, n, d);
        }
        for (size_t i = 0; i < 3 * n; i++) p[i] += moved[i] * (1.0f / SOT_BATCH);
    }
    free(s.chosen);
    free(s.from);
    free(moved);
    return ok;
}

/* ---- All ------------------------------------------------------------------------------------------------- */

bool lk_transfer_color(lk_image *image, const lk_image *like, const lk_image *weights, int method, lk_error *err) {
    switch (method) {
    case LK_COLOR_RCT:
        return reinhard(image, like, weights, err);
    case LK_COLOR_MKL:
        return linear(image, like, weights, true);
    case LK_COLOR_PCA:
        return linear(image, like, weights, false);
    case LK_COLOR_IDT:
        return idt(image, like, weights, err);
    case LK_COLOR_SOT:
        return sot(image, like, weights, err);
    default:
        return true;
    }
}
