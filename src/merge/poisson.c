#include "poisson.h"

#include <math.h>
#include <stdlib.h>

#include "sine.h"

/* The unknown is u = result − under, zero on the border: Δu = div(w·∇(over − under)). Its right side is made of
 * g(x) = w(x)·(d(x + 1) − d(x)), d = over − under, as backward differences of these forward ones. */

typedef struct problem {
    const lk_image *over, *under, *weights;
    int width, height; /* of the rectangle, both ≥ the images' */
} problem;

static int within(int i, int n) { return i < n ? i : n - 1; }

static void difference_row(const problem *p, int y, float *d) {
    const float *a = lk_row_f32(p->over, within(y, p->over->height)), *b;
    b = lk_row_f32(p->under, within(y, p->over->height));
    for (int x = 0; x < p->width; x++)
        for (int c = 0; c < 3; c++) {
            int i = 3 * within(x, p->over->width) + c;
            d[3 * x + c] = a[i] - b[i];
        }
}

static float weight(const problem *p, int x, int y) {
    return x < p->weights->width && y < p->weights->height ? lk_row_f32(p->weights, y)[x] : 0;
}

/* Right side of the inner pixels, [height − 2, (width − 2)·3]. `rows`: room for 3 rows of differences. */
static void right_side(const problem *p, float *r, float *rows) {
    size_t wide = 3 * (size_t)p->width, inner = 3 * (size_t)(p->width - 2);
    float *above = rows, *here = rows + wide, *below = rows + 2 * wide;
    difference_row(p, 0, above);
    difference_row(p, 1, here);
    for (int y = 1; y + 1 < p->height; y++) {
        difference_row(p, y + 1, below);
        float *out = r + (size_t)(y - 1) * inner;
        for (int x = 1; x + 1 < p->width; x++) {
            float w = weight(p, x, y), left = weight(p, x - 1, y), top = weight(p, x, y - 1);
            for (int c = 0; c < 3; c++) {
                size_t i = 3 * (size_t)x + (size_t)c;
                out[i - 3] = w * (here[i + 3] + below[i] - 2 * here[i]) - left * (here[i] - here[i - 3]) -
                             top * (here[i] - above[i]);
            }
        }
        float *free_row = above;
        above = here;
        here = below;
        below = free_row;
    }
}

/* One row in the transformed direction: u(x − 1) + diagonal·u(x) + u(x + 1) = r(x), by elimination. */
static void solve_row(float *r, int n, double diagonal, float *factor) {
    double last = 0;
    for (int x = 0; x < n; x++) {
        last = 1 / (diagonal - last);
        factor[x] = (float)last;
        for (int c = 0; c < 3; c++) r[3 * x + c] = (r[3 * x + c] - (x ? r[3 * x - 3 + c] : 0)) * factor[x];
    }
    for (int x = n - 2; x >= 0; x--)
        for (int c = 0; c < 3; c++) r[3 * x + c] -= factor[x] * r[3 * x + 3 + c];
}

static bool solve(const problem *p, float *u, float *factor, lk_error *err) {
    int columns = p->width - 2, rows = p->height - 2;
    size_t stride = 3 * (size_t)columns;
    if (!lk_sine_transform(u, rows, 3 * columns, stride, err)) return false;
    for (int k = 0; k < rows; k++)
        solve_row(u + (size_t)k * stride, columns, 2 * cos(M_PI * (k + 1) / (rows + 1)) - 4, factor);
    return lk_sine_transform(u, rows, 3 * columns, stride, err);
}

bool lk_poisson_clone(lk_image *over, const lk_image *under, const lk_image *weights, lk_error *err) {
    if (over->width < 3 || over->height < 3) return true;
    problem p = {over, under, weights, lk_smooth_size(over->width - 1) + 1, lk_smooth_size(over->height - 1) + 1};
    size_t inner = 3 * (size_t)(p.width - 2), wide = 3 * (size_t)p.width;
    float *u = lk_alloc((size_t)(p.height - 2), inner * sizeof *u, err);
    float *rows = u ? lk_alloc(4 * wide, sizeof *rows, err) : NULL;
    bool ok = rows != NULL;
    if (ok) {
        right_side(&p, u, rows);
        ok = solve(&p, u, rows + 3 * wide, err);
    }
    float norm = 2 / (float)(p.height - 1);
    for (int y = 0; ok && y < over->height; y++) {
        float *out = lk_row_f32(over, y);
        const float *base = lk_row_f32(under, y);
        for (int i = 0; i < 3 * over->width; i++) {
            bool border = y == 0 || y > p.height - 2 || i < 3 || i >= 3 * (p.width - 1);
            out[i] = base[i] + (border ? 0 : u[(size_t)(y - 1) * inner + (size_t)i - 3] * norm);
        }
    }
    free(u);
    free(rows);
    return ok;
}
