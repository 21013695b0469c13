/* The transform of n values is the Fourier transform of the odd sequence of 2·(n + 1) values that they begin; two real
 * columns ride in one complex one. Stockham's autosort form, radix by radix, each step for many columns side by side, so
 * that the innermost loop runs over memory. */
#include "sine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LANES     32 /* complex columns at a time: stays in the second-level cache */
#define MAX_RADIX 16384

typedef struct columns {
    float *re, *im; /* [N, LANES] each */
} columns;

int lk_smooth_size(int n) {
    for (;; n++) {
        int m = n;
        while (m > 1 && m % 2 == 0) m /= 2;
        while (m > 1 && m % 3 == 0) m /= 3;
        while (m > 1 && m % 5 == 0) m /= 5;
        if (m == 1) return n;
    }
}

static int next_radix(int n) {
    static const int radices[] = {4, 5, 3, 2};
    for (size_t i = 0; i < LK_COUNT(radices); i++)
        if (n % radices[i] == 0) return radices[i];
    for (int p = 7; p * p <= n; p += 2)
        if (n % p == 0) return p;
    return n;
}

static LK_HOT void multiply_add(float *restrict yr, float *restrict yi, const float *xr, const float *xi, float c,
                                float s, size_t n, bool first) {
    if (first)
        for (size_t i = 0; i < n; i++) {
            yr[i] = c * xr[i] - s * xi[i];
            yi[i] = c * xi[i] + s * xr[i];
        }
    else
        for (size_t i = 0; i < n; i++) {
            yr[i] += c * xr[i] - s * xi[i];
            yi[i] += c * xi[i] + s * xr[i];
        }
}

/* One step: length n falls into p parts; `s`: product of the radices done. cosines, sines: of 2π·i/N. */
static void step(columns x, columns y, int n, int p, int s, int total, const float *cosines, const float *sines) {
    int m = n / p;
    size_t run = (size_t)s * LANES;
    for (int q = 0; q < m; q++)
        for (int t = 0; t < p; t++) {
            size_t to = (size_t)(p * q + t) * run;
            for (int r = 0; r < p; r++) {
                size_t from = (size_t)(q + m * r) * run;
                /* exp(−2πi·(r·t/p + q·t/n)) */
                int64_t turn = ((int64_t)r * t % p * (total / p) + (int64_t)q * t % n * (total / n)) % total;
                multiply_add(y.re + to, y.im + to, x.re + from, x.im + from, cosines[turn], -sines[turn], run, r == 0);
            }
        }
}

static columns fourier(columns x, columns y, int total, const float *cosines, const float *sines) {
    for (int n = total, s = 1; n > 1;) {
        int p = next_radix(n);
        step(x, y, n, p, s, total, cosines, sines);
        columns swapped = x;
        x = y;
        y = swapped;
        n /= p;
        s *= p;
    }
    return x;
}

static void load(columns x, const float *data, int n, int lanes, size_t stride) {
    size_t total = 2 * ((size_t)n + 1);
    memset(x.re, 0, total * LANES * sizeof *x.re);
    memset(x.im, 0, total * LANES * sizeof *x.im);
    for (int j = 0; j < n; j++) {
        const float *row = data + (size_t)j * stride;
        size_t there = (size_t)(j + 1) * LANES, back = (total - (size_t)j - 1) * LANES;
        for (int i = 0; i < lanes; i++) {
            float *to = i < LANES ? x.re : x.im;
            size_t k = (size_t)(i % LANES);
            to[there + k] = row[i];
            to[back + k] = -row[i];
        }
    }
}

/* The transform of an odd real column is −2i times its sine transform. */
static void store(columns x, float *data, int n, int lanes, size_t stride) {
    for (int j = 0; j < n; j++) {
        float *row = data + (size_t)j * stride;
        size_t at = (size_t)(j + 1) * LANES;
        for (int i = 0; i < lanes; i++)
            row[i] = i < LANES ? -0.5f * x.im[at + (size_t)i] : 0.5f * x.re[at + (size_t)(i - LANES)];
    }
}

bool lk_sine_transform(float *data, int n, int lanes, size_t stride, lk_error *err) {
    if (n < 1 || n > MAX_RADIX) return lk_fail(err, LK_ERR_USAGE, "a sine transform of %d values is not possible", n);
    size_t total = 2 * ((size_t)n + 1), room = total * LANES;
    float *memory = lk_alloc(4 * room + 2 * total, sizeof *memory, err);
    if (!memory) return false;
    columns x = {memory, memory + room}, y = {memory + 2 * room, memory + 3 * room};
    float *cosines = memory + 4 * room, *sines = cosines + total;
    for (size_t i = 0; i < total; i++) {
        cosines[i] = (float)cos(2 * M_PI * (double)i / (double)total);
        sines[i] = (float)sin(2 * M_PI * (double)i / (double)total);
    }
    for (int lane = 0; lane < lanes; lane += 2 * LANES) {
        int count = lanes - lane < 2 * LANES ? lanes - lane : 2 * LANES;
        load(x, data + lane, n, count, stride);
        columns result = fourier(x, y, (int)total, cosines, sines);
        store(result, data + lane, n, count, stride);
    }
    free(memory);
    return true;
}
