#include "factored.h"

#include <string.h>

#include "likeness/base.h"
#include "tile.h"

static inline float sum_of(const float *x) {
    float sum = 0;
    for (int i = 0; i < 32; i++) sum += x[i];
    return sum;
}

static inline float most_of(const float *x) {
    float most = 0;
    for (int i = 0; i < 32; i++) most = x[i] > most ? x[i] : most;
    return most;
}

/* At the largest number both products are the same, to the bit. */
static inline void keep(const float *r, const float *c, float *factors) {
    float mean = sum_of(r) / 32, r_most = most_of(r), c_most = most_of(c);
    for (int i = 0; i < 32; i++) {
        factors[i] = mean == 0 ? 0 : r[i] / mean * c_most;
        factors[32 + i] = mean == 0 ? 0 : r_most / mean * c[i];
    }
}

LK_HOT void lk_factored_update(float *factors, const float *gradient, float beta2) {
    float r[32], c[32], columns[32] = {0}, most = most_of(factors), share = 1 - beta2;
    float of_r = most == 0 ? 0 : sum_of(factors + 32) / 32 / most, of_c = most == 0 ? 0 : sum_of(factors) / 32 / most;
    for (int i = 0; i < 32; i++) {
        float row = 0;
        for (int j = 0; j < 32; j++) {
            float square = gradient[i * 32 + j] * gradient[i * 32 + j];
            row += square;
            columns[j] += square;
        }
        r[i] = factors[i] * of_r;
        r[i] += share * (row / 32 - r[i]);
    }
    for (int j = 0; j < 32; j++) {
        c[j] = factors[32 + j] * of_c;
        c[j] += share * (columns[j] / 32 - c[j]);
    }
    keep(r, c, factors);
}

/* In float64: a quotient times its divisor, rounded to float32, is the dividend again. */
LK_HOT void lk_factored_decode(const float *factors, float *v) {
    double row[32], share[32], most = (double)most_of(factors);
    for (int i = 0; i < 32; i++) {
        row[i] = (double)factors[i];
        share[i] = most == 0 ? 0 : (double)factors[32 + i] / most;
    }
    for (int half = 0; half < 32; half += 16)
        for (int j = 0; j < 32; j++)
            for (int i = 0; i < 16; i++) *v++ = (float)(row[half + i] * share[j]);
}

void lk_factored_encode(const float *v, float *factors) {
    float again[LK_TILE], r[32] = {0}, c[32] = {0};
    int most = 0;
    for (int i = 1; i < LK_TILE; i++)
        if (v[i] > v[most]) most = i;
    for (int i = 0; i < 32; i++) {
        factors[i] = v[lk_tile_float_at(i, most % 512 / 16)];
        factors[32 + i] = v[lk_tile_float_at(most / 512 * 16 + most % 16, i)];
    }
    lk_factored_decode(factors, again);
    if (memcmp(again, v, sizeof again) == 0) return;
    for (int i = 0; i < 32; i++)
        for (int j = 0; j < 32; j++) {
            r[i] += v[lk_tile_float_at(i, j)] / 32;
            c[j] += v[lk_tile_float_at(i, j)] / 32;
        }
    keep(r, c, factors);
}
