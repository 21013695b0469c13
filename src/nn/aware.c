/* Convolution-aware first weights (Aghajanyan, "Convolution Aware Initialization", 2017, arXiv:1702.06295).
 *
 * A convolution is a product in the Fourier domain, so a layer's filters should be orthogonal there. For each output, the
 * filters of its inputs get orthonormal spectra (real coefficients of the half plane that a real filter needs, k·(⌊k/2⌋+1)
 * of them; a new basis whenever one is used up), are transformed back, break their symmetry by a little noise (σ 0.05),
 * and are scaled to He's variance 2/(inputs·k·k). */
#include "internal.h"

#include <math.h>
#include <string.h>

#define MOST_WINDOW 7
#define MOST_BASIS  (MOST_WINDOW * (MOST_WINDOW / 2 + 1))
#define NOISE       0.05

/* Orthonormal rows, by Gram and Schmidt twice over random ones. */
static void random_basis(lk_rng *r, double basis[MOST_BASIS][MOST_BASIS], int n) {
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < n; k++) basis[i][k] = lk_rng_normal(r);
        for (int pass = 0; pass < 2; pass++)
            for (int j = 0; j < i; j++) {
                double dot = 0;
                for (int k = 0; k < n; k++) dot += basis[i][k] * basis[j][k];
                for (int k = 0; k < n; k++) basis[i][k] -= dot * basis[j][k];
            }
        double norm = 0;
        for (int k = 0; k < n; k++) norm += basis[i][k] * basis[i][k];
        norm = sqrt(norm);
        for (int k = 0; k < n; k++) basis[i][k] /= norm;
    }
}

/* The inverse transform as a table: pixel p = Σ table[p][q] · coefficient q. Columns beyond 0 (and k/2 when k is even)
 * stand for their mirror images too. */
static void inverse_transform(double table[MOST_WINDOW * MOST_WINDOW][MOST_BASIS], int h, int w) {
    const double turn = 6.283185307179586;
    int half = w / 2 + 1;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int v = 0; v < h; v++)
                for (int u = 0; u < half; u++) {
                    double twice = u == 0 || 2 * u == w ? 1 : 2;
                    double angle = turn * ((double)(v * y) / h + (double)(u * x) / w);
                    table[y * w + x][v * half + u] = twice * cos(angle) / (h * w);
                }
}

static void scale_to(float *values, size_t n, double variance) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
    }
    double mean = sum / (double)n, had = squares / (double)n - mean * mean;
    for (size_t i = 0; i < n; i++) values[i] *= (float)sqrt(variance / had);
}

bool lk_draw_convolution_aware(lk_nn_shape s, lk_rng *r, float *values) {
    if (s.h > MOST_WINDOW || s.w > MOST_WINDOW) return false;
    static _Thread_local double basis[MOST_BASIS][MOST_BASIS], table[MOST_WINDOW * MOST_WINDOW][MOST_BASIS];
    int count = s.h * (s.w / 2 + 1), pixels = s.h * s.w;
    inverse_transform(table, s.h, s.w);
    float *to = values;
    for (int o = 0; o < s.n; o++)
        for (int i = 0; i < s.c; i++, to += pixels) {
            if (i % count == 0) random_basis(r, basis, count);
            for (int p = 0; p < pixels; p++) {
                double sum = NOISE * lk_rng_normal(r);
                for (int q = 0; q < count; q++) sum += table[p][q] * basis[i % count][q];
                to[p] = (float)sum;
            }
        }
    scale_to(values, lk_nn_count(s), 2.0 / ((double)s.c * pixels));
    return true;
}
