#include "rows.h"

#include <assert.h>
#include <math.h>

/* Sums of w, w·v and w·v² over a row; v in the image's own units. */
static LK_HOT void add_row(const lk_image *image, const lk_image *mask, int y, double *weight, double sum[4],
                           double square[4]) {
    const float *w = mask ? lk_row_f32(mask, y) : NULL;
    int channels = image->channels, n = image->width;
    for (int c = 0; c < channels; c++) {
        double s = 0, q = 0, total = 0;
        if (image->type == LK_U8) {
            const uint8_t *p = lk_row_u8(image, y) + c;
            for (int x = 0; x < n; x++) {
                double v = p[x * channels], a = w ? (double)w[x] : 1;
                total += a;
                s += a * v;
                q += a * v * v;
            }
        } else {
            const float *p = lk_row_f32(image, y) + c;
            for (int x = 0; x < n; x++) {
                double v = (double)p[x * channels], a = w ? (double)w[x] : 1;
                total += a;
                s += a * v;
                q += a * v * v;
            }
        }
        sum[c] += s;
        square[c] += q;
        if (c == 0) *weight += total;
    }
}

void lk_image_mean_std(const lk_image *image, const lk_image *mask, double mean[4], double std[4]) {
    assert(!mask || (mask->type == LK_F32 && mask->width == image->width && mask->height == image->height));
    double weight = 0, sum[4] = {0}, square[4] = {0};
    for (int y = 0; y < image->height; y++) add_row(image, mask, y, &weight, sum, square);
    for (int c = 0; c < 4; c++) {
        mean[c] = weight > 0 ? sum[c] / weight : 0;
        double variance = weight > 0 ? square[c] / weight - mean[c] * mean[c] : 0;
        std[c] = variance > 0 ? sqrt(variance) : 0;
    }
}

/* Luma (BT.601) in 8-bit units. */
LK_INLINE float luma(const lk_image *image, int x, int y) {
    size_t i = (size_t)x * (size_t)image->channels;
    if (image->type == LK_U8) {
        const uint8_t *p = lk_row_u8(image, y) + i;
        return image->channels < 3 ? (float)p[0] : 0.299f * p[0] + 0.587f * p[1] + 0.114f * p[2];
    }
    const float *p = lk_row_f32(image, y) + i;
    return 255 * (image->channels < 3 ? p[0] : 0.299f * p[0] + 0.587f * p[1] + 0.114f * p[2]);
}

double lk_image_sharpness(const lk_image *image, const lk_image *mask) {
    assert(!mask || (mask->type == LK_F32 && mask->width == image->width && mask->height == image->height));
    int w = image->width, h = image->height;
    double weight = 0, sum = 0, square = 0;
    for (int y = 0; y < h; y++) {
        int up = lk_reflect(y - 1, h), down = lk_reflect(y + 1, h);
        for (int x = 0; x < w; x++) {
            double a = mask ? (double)lk_row_f32(mask, y)[x] : 1;
            if (a == 0) continue;
            float four = luma(image, lk_reflect(x - 1, w), y) + luma(image, lk_reflect(x + 1, w), y) +
                         luma(image, x, up) + luma(image, x, down);
            double v = (double)(four - 4 * luma(image, x, y));
            weight += a;
            sum += a * v;
            square += a * v * v;
        }
    }
    if (!(weight > 0)) return 0;
    double mean = sum / weight, variance = square / weight - mean * mean;
    return variance > 0 ? variance : 0;
}
