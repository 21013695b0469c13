#include "likeness/face.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A face's motion is split into where the head is (centre, size, roll) and what the face does (its shape once these
 * are taken away). Each part runs through the same filter with a noise level of its own:
 *
 *   s   local linear regression under a Gaussian in time: no lag, and steady motion passes unchanged
 *   y = s + g·(x − s),  g = max(0, 1 − k·n/e)
 *
 * where e is the energy of x − s around the frame and n what the measurement noise alone would leave there; so the
 * output follows the measurement where a residual is motion (a blink, a nod's turning point) and the regression where
 * it is jitter. (Local statistics filter: Lee 1980; regression: Cleveland 1979.) Noise is told from motion by second
 * differences: the median of their energy over the clip, which brief motion does not move. */

#define MARGIN 2.0 /* k above: how far over the noise a residual starts to count as motion */

/* Points that move together, and how many values each filter group has. */
typedef struct group {
    int first, count; /* values in a frame's vector */
} group;

/* The vector of a frame: centre x, y; size; roll; then 136 numbers of shape. All in pixels at the face's border. */
#define HEAD   4
#define VALUES (HEAD + 2 * LK_LANDMARKS)
static const group groups[] = {
    {0, 2},          /* centre */
    {2, 1},          /* size */
    {3, 1},          /* roll */
    {HEAD, 34},      /* jaw */
    {HEAD + 34, 20}, /* brows */
    {HEAD + 54, 18}, /* nose */
    {HEAD + 72, 12}, /* right eye */
    {HEAD + 84, 12}, /* left eye */
    {HEAD + 96, 40}, /* mouth */
};

typedef struct filter {
    const double *t; /* in frames */
    int count;
    double sigma;
    const double *x; /* [count][VALUES] */
    double *s;       /* [count][VALUES] */
    double *left;    /* [count]: share of the noise's variance that stays in x − s */
} filter;

typedef struct frame_basis {
    double cx, cy, size, roll;
} frame_basis;

/* Centre, size and roll of the rigid-most points: brows, nose, eyes. */
static frame_basis basis_of(const lk_landmarks *l, const lk_landmarks *reference) {
    double mx = 0, my = 0, rx = 0, ry = 0;
    const int first = 17, count = 31;
    for (int i = first; i < first + count; i++) {
        mx += (double)l->p[i].x / count;
        my += (double)l->p[i].y / count;
        rx += (double)reference->p[i].x / count;
        ry += (double)reference->p[i].y / count;
    }
    double a = 0, b = 0, spread = 0;
    for (int i = first; i < first + count; i++) {
        double x = (double)l->p[i].x - mx, y = (double)l->p[i].y - my;
        double u = (double)reference->p[i].x - rx, v = (double)reference->p[i].y - ry;
        a += u * x + v * y;
        b += u * y - v * x;
        spread += u * u + v * v;
    }
    return (frame_basis){mx, my, hypot(a, b) / spread, atan2(b, a)};
}

static void window(const filter *f, int i, double reach, int *from, int *to) {
    *from = *to = i;
    while (*from > 0 && f->t[i] - f->t[*from - 1] <= reach) --*from;
    while (*to + 1 < f->count && f->t[*to + 1] - f->t[i] <= reach) ++*to;
}

/* Local linear regression of all values at frame i. */
static void regress(const filter *f, int i) {
    int from, to;
    window(f, i, 4 * f->sigma, &from, &to);
    double w0 = 0, w1 = 0, w2 = 0;
    for (int k = from; k <= to; k++) {
        double d = (f->t[k] - f->t[i]) / f->sigma, w = exp(-0.5 * d * d);
        w0 += w;
        w1 += w * d;
        w2 += w * d * d;
    }
    double det = w0 * w2 - w1 * w1, own = 0, sum2 = 0;
    double *s = f->s + (size_t)i * VALUES;
    memset(s, 0, VALUES * sizeof *s);
    for (int k = from; k <= to; k++) {
        double d = (f->t[k] - f->t[i]) / f->sigma, w = exp(-0.5 * d * d);
        double weight = det > 1e-9 * w0 * w0 ? w * (w2 - w1 * d) / det : w / w0;
        const double *x = f->x + (size_t)k * VALUES;
        for (int v = 0; v < VALUES; v++) s[v] += weight * x[v];
        if (k == i) own = weight;
        sum2 += weight * weight;
    }
    f->left[i] = fmax(1 - 2 * own + sum2, 0);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Variance of the measurement noise of one value of the group, by second differences. */
static double noise_of(const filter *f, group g, double *scratch) {
    int n = 0;
    for (int i = 1; i + 1 < f->count; i++) {
        if (f->t[i + 1] - f->t[i - 1] > 2.5) continue;
        double energy = 0;
        for (int v = g.first; v < g.first + g.count; v++) {
            const double *x = f->x + (size_t)i * VALUES + v;
            double d = x[-VALUES] - 2 * x[0] + x[VALUES];
            energy += d * d;
        }
        scratch[n++] = energy / g.count / 6; /* 1 + 4 + 1 */
    }
    if (!n) return 0;
    qsort(scratch, (size_t)n, sizeof *scratch, by_value);
    double median = scratch[n / 2];
    /* The median of χ² with c degrees of freedom is c·(1 − 2/(9c))³. */
    double c = fmax(0.5 * g.count, 1); /* points of one feature err together */
    return median / pow(1 - 2 / (9 * c), 3);
}

/* y of the comment above, written over s. */
static void yield_to_motion(const filter *f, group g, double noise, double *gain) {
    for (int i = 0; i < f->count; i++) {
        int from, to;
        window(f, i, 2 * f->sigma, &from, &to);
        double energy = 0, expected = 0;
        for (int k = from; k <= to; k++) {
            double d = (f->t[k] - f->t[i]) / f->sigma, w = exp(-d * d);
            for (int v = g.first; v < g.first + g.count; v++) {
                double r = f->x[(size_t)k * VALUES + v] - f->s[(size_t)k * VALUES + v];
                energy += w * r * r;
            }
            expected += w * noise * f->left[k] * g.count;
        }
        gain[i] = energy > 1e-12 ? fmax(0, 1 - MARGIN * expected / energy) : 0;
    }
    for (int i = 0; i < f->count; i++)
        for (int v = g.first; v < g.first + g.count; v++) {
            size_t at = (size_t)i * VALUES + v;
            f->s[at] += gain[i] * (f->x[at] - f->s[at]);
        }
}

/* Vector of a frame, in pixels at the typical size of the face. */
static void split(const lk_landmarks *l, const lk_landmarks *reference, double radius, double turns, double *x) {
    frame_basis b = basis_of(l, reference);
    x[0] = b.cx;
    x[1] = b.cy;
    x[2] = log(b.size) * radius;
    x[3] = (b.roll + turns) * radius;
    double c = cos(b.roll) / b.size, s = sin(b.roll) / b.size;
    for (int p = 0; p < LK_LANDMARKS; p++) {
        double dx = (double)l->p[p].x - b.cx, dy = (double)l->p[p].y - b.cy;
        x[HEAD + 2 * p] = c * dx + s * dy;
        x[HEAD + 2 * p + 1] = -s * dx + c * dy;
    }
}

static void join(const double *x, double radius, lk_landmarks *l) {
    double size = exp(x[2] / radius), roll = x[3] / radius, c = cos(roll) * size, s = sin(roll) * size;
    for (int p = 0; p < LK_LANDMARKS; p++) {
        double u = x[HEAD + 2 * p], v = x[HEAD + 2 * p + 1];
        l->p[p] = (lk_point){(float)(x[0] + c * u - s * v), (float)(x[1] + s * u + c * v)};
    }
}

static void smooth(filter *f, lk_landmarks *points, double *x, double *scratch) {
    const lk_landmarks reference = points[0];
    for (int i = 0; i < f->count; i++)
        if (!(basis_of(&points[i], &reference).size > 1e-6)) return; /* NaN too: points that coincide */
    double radius = fmax(lk_interocular(&reference), 1), turns = 0, last = 0;
    for (int i = 0; i < f->count; i++) {
        double roll = basis_of(&points[i], &reference).roll;
        if (i) turns = 2 * M_PI * round((last - roll) / (2 * M_PI));
        split(&points[i], &reference, radius, turns, x + (size_t)i * VALUES);
        last = roll + turns;
    }
    for (int i = 0; i < f->count; i++) regress(f, i);
    for (size_t k = 0; k < LK_COUNT(groups); k++)
        yield_to_motion(f, groups[k], noise_of(f, groups[k], scratch), scratch);
    for (int i = 0; i < f->count; i++) join(f->s + (size_t)i * VALUES, radius, &points[i]);
}

/* Time counted in frames: the middle interval is 1. False when times do not rise. */
static bool count_in_frames(const double *times, int count, double *t, double *scratch) {
    for (int i = 0; i + 1 < count; i++) scratch[i] = times[i + 1] - times[i];
    for (int i = 0; i + 1 < count; i++)
        if (!(scratch[i] > 0) || !isfinite(scratch[i])) return false;
    qsort(scratch, (size_t)count - 1, sizeof *scratch, by_value);
    double frame = scratch[(count - 1) / 2];
    for (int i = 0; i < count; i++) t[i] = (times[i] - times[0]) / frame;
    return true;
}

void lk_smooth_landmarks(lk_landmarks *points, const double *times, int count, double sigma) {
    if (count < 3 || !(sigma > 0)) return;
    for (int i = 0; i < count; i++)
        for (int p = 0; p < LK_LANDMARKS; p++)
            if (!isfinite(points[i].p[p].x) || !isfinite(points[i].p[p].y)) return;
    size_t n = (size_t)count;
    double *t = lk_alloc(n, sizeof *t, NULL), *x = lk_alloc(n, VALUES * sizeof *x, NULL);
    double *s = lk_alloc(n, VALUES * sizeof *s, NULL), *left = lk_alloc(n, sizeof *left, NULL);
    double *scratch = lk_alloc(n, sizeof *scratch, NULL);
    if (t && x && s && left && scratch && count_in_frames(times, count, t, scratch)) {
        filter f = {t, count, sigma, x, s, left};
        smooth(&f, points, x, scratch);
    }
    free(t);
    free(x);
    free(s);
    free(left);
    free(scratch);
}
