#include <math.h>

#include "color.h"

static void count(double cumulative[LK_MATCH_BINS + 1], const float *values, const float *weights, size_t n,
                  size_t step, double low, double high) {
    double bins[LK_MATCH_BINS] = {0}, scale = LK_MATCH_BINS / (high - low), total = 0;
    for (size_t i = 0; i < n; i++) {
        double at = ((double)values[i * step] - low) * scale;
        int bin = at > 0 ? at < LK_MATCH_BINS - 1 ? (int)at : LK_MATCH_BINS - 1 : 0;
        bins[bin] += weights ? (double)weights[i] : 1;
    }
    for (int b = 0; b < LK_MATCH_BINS; b++) total += bins[b];
    cumulative[0] = 0;
    for (int b = 0; b < LK_MATCH_BINS; b++) cumulative[b + 1] = cumulative[b] + (total > 0 ? bins[b] / total : 0);
    for (int b = LK_MATCH_BINS; total > 0 && b > 0; b--) { /* sums are rounded, the whole is not */
        cumulative[b] = 1;
        if (bins[b - 1] > 0) break;
    }
}

/* Where the cumulative histogram reaches a share, and where it leaves it behind; in bins. */
static double reaches(const double to[LK_MATCH_BINS + 1], double share, bool leaves) {
    int b = 0;
    while (b < LK_MATCH_BINS - 1 && (leaves ? to[b + 1] <= share : to[b + 1] < share)) b++;
    double mass = to[b + 1] - to[b];
    return b + (mass > 0 ? fmin(fmax((share - to[b]) / mass, 0), 1) : 0);
}

static void bridge_gaps(lk_match *m) {
    for (int a = 0, b; a < LK_MATCH_BINS; a = b + 1) {
        for (b = a; b < LK_MATCH_BINS && !(m->from[b + 1] > m->from[b]);) b++;
        if (b == a) continue;
        double left = reaches(m->to, m->from[a], false), right = reaches(m->to, m->from[b], true);
        if (a == 0) left = right - b;
        if (b == LK_MATCH_BINS) right = left + (b - a);
        for (int k = a; k <= b; k++) m->gap[k] = left + (right - left) * (k - a) / (b - a);
    }
}

void lk_match_make(lk_match *m, const float *values, const float *like, const float *weights, size_t n, size_t step,
                   double low, double high) {
    m->low = low;
    m->high = high > low ? high : low + 1e-6;
    count(m->from, values, weights, n, step, m->low, m->high);
    count(m->to, like, weights, n, step, m->low, m->high);
    m->empty = !(m->from[LK_MATCH_BINS] > 0 && m->to[LK_MATCH_BINS] > 0);
    int at = 0;
    for (int b = 0; b < LK_MATCH_BINS; b++) {
        while (at < LK_MATCH_BINS - 1 && m->to[at + 1] < m->from[b]) at++;
        m->start[b] = at;
    }
    if (!m->empty) bridge_gaps(m);
}

float lk_match_value(const lk_match *m, float v) {
    if (m->empty) return v;
    double width = (m->high - m->low) / LK_MATCH_BINS, at = ((double)v - m->low) / width;
    at = fmin(fmax(at, 0), LK_MATCH_BINS);
    int bin = at < LK_MATCH_BINS - 1 ? (int)at : LK_MATCH_BINS - 1, to = m->start[bin];
    if (!(m->from[bin + 1] > m->from[bin]))
        return (float)(m->low + (m->gap[bin] + (m->gap[bin + 1] - m->gap[bin]) * (at - bin)) * width);
    double share = m->from[bin] + (m->from[bin + 1] - m->from[bin]) * (at - bin);
    while (to < LK_MATCH_BINS - 1 && m->to[to + 1] < share) to++;
    while (to < LK_MATCH_BINS - 1 && m->to[to + 1] <= m->to[to]) to++;
    double mass = m->to[to + 1] - m->to[to], inside = mass > 0 ? (share - m->to[to]) / mass : 0;
    return (float)(m->low + (to + fmin(fmax(inside, 0), 1)) * width);
}

void lk_match_histograms(lk_image *image, const lk_image *like, const lk_image *weights) {
    size_t n = (size_t)image->width * (size_t)image->height;
    float *values = image->data;
    for (int c = 0; c < 3; c++) {
        lk_match m;
        lk_match_make(&m, values + c, (const float *)like->data + c, weights ? weights->data : NULL, n, 3, 0, 1);
        for (size_t i = 0; i < n; i++) values[3 * i + (size_t)c] = lk_match_value(&m, values[3 * i + (size_t)c]);
    }
}

static void luma_of(const lk_image *image, float *out) {
    const float *p = image->data;
    size_t n = (size_t)image->width * (size_t)image->height;
    for (size_t i = 0; i < n; i++) out[i] = 0.299f * p[3 * i] + 0.587f * p[3 * i + 1] + 0.114f * p[3 * i + 2];
}

bool lk_match_luma(lk_image *image, const lk_image *like, const lk_image *weights, lk_error *err) {
    lk_image a = {0}, b = {0};
    bool ok = lk_image_alloc(&a, image->width, image->height, 1, LK_F32, err) &&
              lk_image_alloc(&b, image->width, image->height, 1, LK_F32, err);
    if (ok) {
        size_t n = (size_t)image->width * (size_t)image->height;
        float *values = image->data, *from = a.data;
        lk_match m;
        luma_of(image, a.data);
        luma_of(like, b.data);
        lk_match_make(&m, a.data, b.data, weights ? weights->data : NULL, n, 1, 0, 1);
        for (size_t i = 0; i < n; i++) {
            float gain = lk_match_value(&m, from[i]) - from[i];
            for (size_t c = 0; c < 3; c++) values[3 * i + c] += gain;
        }
    }
    lk_image_free(&a);
    lk_image_free(&b);
    return ok;
}
