/* Figures of one picture against another, under a mask. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

double lk_measure_psnr(const float *picture, const float *truth, const float *mask, int resolution) {
    double sum = 0, weight = 0;
    for (size_t i = 0; i < (size_t)resolution * (size_t)resolution; i++) {
        double w = (double)mask[i];
        for (size_t c = 0; c < 3; c++) {
            double d = (double)picture[3 * i + c] - (double)truth[3 * i + c];
            sum += w * d * d;
        }
        weight += 3 * w;
    }
    /* Equal pictures: as if each number were off by 1/4096. */
    double error = weight > 0 ? sum / weight : 0;
    return -10 * log10(fmax(error, 0x1p-24));
}

double lk_measure_difference(const float *a, const float *b, const float *mask, int resolution) {
    double sum = 0, weight = 0;
    for (size_t i = 0; i < (size_t)resolution * (size_t)resolution; i++) {
        double w = (double)mask[i];
        for (size_t c = 0; c < 3; c++) sum += w * fabs((double)a[3 * i + c] - (double)b[3 * i + c]);
        weight += 3 * w;
    }
    return weight > 0 ? sum / weight : 0;
}

double lk_measure_iou(const float *a, const float *b, size_t count) {
    size_t both = 0, either = 0;
    for (size_t i = 0; i < count; i++) {
        bool p = a[i] >= 0.5f, q = b[i] >= 0.5f;
        both += p && q;
        either += p || q;
    }
    return either ? (double)both / (double)either : 1;
}

static float product(const float *a, const float *b, size_t i) { return a[i] * b[i]; }

/* a·b, blurred by SSIM's window; b NULL: a. Its radius, ⌈3·1.5⌉, is the window's. */
static bool window(const float *a, const float *b, int resolution, lk_image *to, lk_error *err) {
    if (!lk_image_alloc(to, resolution, resolution, 3, LK_F32, err)) return false;
    float *y = to->data;
    for (size_t i = 0; i < 3 * (size_t)resolution * (size_t)resolution; i++) y[i] = b ? product(a, b, i) : a[i];
    return lk_image_blur(to, 1.5, err);
}

bool lk_measure_ssim(const float *picture, const float *truth, const float *mask, int resolution, double *ssim,
                     lk_error *err) {
    lk_image f[5] = {{0}};
    bool ok = window(picture, NULL, resolution, &f[0], err) && window(truth, NULL, resolution, &f[1], err) &&
              window(picture, picture, resolution, &f[2], err) && window(truth, truth, resolution, &f[3], err) &&
              window(picture, truth, resolution, &f[4], err);
    double sum = 0, weight = 0;
    const double c1 = 0.0001, c2 = 0.0009;
    for (size_t i = 0; ok && i < 3 * (size_t)resolution * (size_t)resolution; i++) {
        double v[5], w = (double)mask[i / 3];
        for (int k = 0; k < 5; k++) v[k] = (double)((const float *)f[k].data)[i];
        double s = (2 * v[0] * v[1] + c1) * (2 * (v[4] - v[0] * v[1]) + c2) /
                   ((v[0] * v[0] + v[1] * v[1] + c1) * (v[2] - v[0] * v[0] + v[3] - v[1] * v[1] + c2));
        sum += w * s;
        weight += w;
    }
    for (int k = 0; k < 5; k++) lk_image_free(&f[k]);
    *ssim = weight > 0 ? sum / weight : 1;
    return ok;
}
