#include "finish.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MOMENTS 32

static size_t values_of(const lk_image *i) { return (size_t)i->width * (size_t)i->height * (size_t)i->channels; }

/* ---- Sharpening ------------------------------------------------------------------------------------------ */

static int mirrored(int i, int n) {
    if (n == 1) return 0;
    int period = 2 * (n - 1);
    i = abs(i) % period;
    return i < n ? i : period - i;
}

/* Mean of a square of 2·radius + 1 pixels, mirrored at the border as the Gaussian is. */
static bool box_blur(lk_image *image, int radius, lk_error *err) {
    lk_image lines;
    if (!lk_image_alloc(&lines, image->width, image->height, 3, LK_F32, err)) return false;
    float share = 1.0f / (float)(2 * radius + 1);
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++)
            for (int k = -radius; k <= radius; k++)
                for (int c = 0; c < 3; c++)
                    lk_row_f32(&lines, y)[3 * x + c] +=
                        lk_row_f32(image, y)[3 * mirrored(x + k, image->width) + c] * share;
    for (int y = 0; y < image->height; y++) {
        float *out = lk_row_f32(image, y);
        memset(out, 0, (size_t)image->width * 3 * sizeof *out);
        for (int k = -radius; k <= radius; k++) {
            const float *in = lk_row_f32(&lines, mirrored(y + k, image->height));
            for (int i = 0; i < 3 * image->width; i++) out[i] += in[i] * share;
        }
    }
    lk_image_free(&lines);
    return true;
}

bool lk_sharpen(lk_image *face, double amount, bool box, lk_error *err) {
    if (amount == 0) return true;
    lk_image soft;
    if (!lk_image_copy(face, &soft, err)) return false;
    int radius = face->width / 128;
    bool ok =
        box ? box_blur(&soft, radius > 1 ? radius : 1, err) : lk_image_blur(&soft, fmax(0.8, face->width / 128.0), err);
    float *v = face->data;
    const float *s = soft.data;
    for (size_t i = 0; ok && i < values_of(face); i++) v[i] += (float)amount * (v[i] - s[i]);
    lk_image_free(&soft);
    return ok;
}

/* ---- Motion blur ----------------------------------------------------------------------------------------- */

static lk_affine part_of(lk_affine m, double share) {
    lk_affine r;
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 3; k++) {
            double still = k == i;
            r.m[i][k] = still + share * (m.m[i][k] - still);
        }
    return r;
}

/* How far the face's middle and corners go, in pixels. */
static double way(lk_affine m, int side) {
    double most = 0;
    for (int i = 0; i < 5; i++) {
        lk_point p = {(float)(i == 4  ? side / 2.0
                              : i & 1 ? side * 0.75
                                      : side * 0.25),
                      (float)(i == 4  ? side / 2.0
                              : i & 2 ? side * 0.75
                                      : side * 0.25)};
        lk_point q = lk_affine_apply(m, p);
        most = fmax(most, hypot((double)(q.x - p.x), (double)(q.y - p.y)));
    }
    return most;
}

bool lk_motion_blur(lk_image *face, lk_affine before, lk_affine after, double exposure, lk_error *err) {
    double length = exposure * 0.5 * (way(before, face->width) + way(after, face->width));
    if (!(length > 0.25)) return true;
    /* an odd number of moments, at most half a pixel apart; a jump is no motion */
    int count = 2 * (int)fmin(ceil(length), MAX_MOMENTS / 2) + 1;
    if (!isfinite(length) || length > face->width) return true;
    lk_image sum, moment;
    if (!lk_image_alloc(&sum, face->width, face->height, 3, LK_F32, err)) return false;
    bool ok = lk_image_alloc(&moment, face->width, face->height, 3, LK_F32, err);
    for (int k = 0; ok && k < count; k++) {
        double t = exposure * ((double)k / (count - 1) - 0.5);
        lk_affine m = t < 0 ? part_of(before, -t) : part_of(after, t);
        ok = lk_image_warp_affine(face, &moment, m, LK_BICUBIC, LK_BORDER_REPLICATE, err);
        float *s = sum.data;
        const float *v = moment.data;
        for (size_t i = 0; ok && i < values_of(face); i++) s[i] += v[i] / (float)count;
    }
    lk_image_free(&moment);
    if (!ok) {
        lk_image_free(&sum);
        return false;
    }
    lk_image_free(face);
    *face = sum;
    return true;
}

/* ---- Grain ----------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* What is left of the deviation of white noise when its Gaussian blur (σ 1, three deviations) is taken away. */
static double left_of_noise(void) {
    double g[7], sum = 0, square = 0;
    for (int i = -3; i <= 3; i++) sum += g[i + 3] = exp(-0.5 * i * i);
    for (int i = 0; i < 7; i++)
        for (int k = 0; k < 7; k++) {
            double v = (i == 3 && k == 3) - g[i] * g[k] / (sum * sum);
            square += v * v;
        }
    return sqrt(square);
}

double lk_noise_level(const lk_image *image, const lk_image *weights, lk_error *err) {
    lk_image luma, soft = {0};
    if (!lk_image_alloc(&luma, image->width, image->height, 1, LK_F32, err)) return -1;
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++) {
            const float *p = lk_row_f32(image, y) + 3 * (size_t)x;
            lk_row_f32(&luma, y)[x] = 0.299f * p[0] + 0.587f * p[1] + 0.114f * p[2];
        }
    double level = -1;
    size_t n = 0;
    float *v = luma.data;
    if (lk_image_copy(&luma, &soft, err) && lk_image_blur(&soft, 1, err)) {
        for (int y = 0; y < image->height; y++)
            for (int x = 0; x < image->width; x++)
                if (lk_row_f32(weights, y)[x] > 0.5f) /* never ahead of where it reads */
                    v[n++] = fabsf(lk_row_f32(&luma, y)[x] - lk_row_f32(&soft, y)[x]);
        qsort(v, n, sizeof *v, by_value);
        level = n ? 1.4826 * (double)v[n / 2] / left_of_noise() : 0;
    }
    lk_image_free(&luma);
    lk_image_free(&soft);
    return level;
}

void lk_add_grain(lk_image *image, const lk_image *weights, double deviation, uint64_t seed, uint64_t stream) {
    lk_rng rng = lk_rng_make(seed, stream);
    for (int y = 0; y < image->height; y++) {
        float *row = lk_row_f32(image, y);
        const float *w = lk_row_f32(weights, y);
        for (int x = 0; x < image->width; x++) {
            float g = (float)(deviation * lk_rng_normal(&rng)) * w[x];
            for (int c = 0; c < 3; c++) row[3 * x + c] = fminf(fmaxf(row[3 * x + c] + g, 0), 1);
        }
    }
}

/* ---- The frame made worse -------------------------------------------------------------------------------- */

#define TAPS  25
#define CHUNK 256

static LK_HOT void sort_pair(float *restrict a, float *restrict b, int n) {
    for (int i = 0; i < n; i++) {
        float low = a[i] < b[i] ? a[i] : b[i], high = a[i] < b[i] ? b[i] : a[i];
        a[i] = low;
        b[i] = high;
    }
}

/* Batcher's merge exchange (Knuth, volume 3, algorithm 5.2.2M), many pixels side by side. */
static void sort_taps(float v[TAPS][CHUNK], int n) {
    for (int p = 16; p > 0; p /= 2)
        for (int q = 16, r = 0, d = p; d > 0; d = q - p, q /= 2, r = p)
            for (int i = 0; i + d < TAPS; i++)
                if ((i & p) == r) sort_pair(v[i], v[i + d], n);
}

typedef struct denoise_job {
    const lk_image *in;
    lk_image *out;
    float amount;
} denoise_job;

static void denoise_row(int y, void *user) {
    const denoise_job *j = user;
    int w = j->in->width, h = j->in->height, n = 3 * w;
    float v[TAPS][CHUNK];
    for (int from = 0; from < n; from += CHUNK) {
        int count = n - from < CHUNK ? n - from : CHUNK;
        for (int k = 0; k < TAPS; k++) {
            int row = y + k / 5 - 2, dx = k % 5 - 2;
            const float *in = lk_row_f32(j->in, row < 0 ? 0 : row >= h ? h - 1 : row);
            for (int i = 0; i < count; i++) {
                int x = (from + i) / 3 + dx, c = (from + i) % 3;
                v[k][i] = in[3 * (x < 0 ? 0 : x >= w ? w - 1 : x) + c];
            }
        }
        sort_taps(v, count);
        const float *here = lk_row_f32(j->in, y) + from;
        float *out = lk_row_f32(j->out, y) + from;
        for (int i = 0; i < count; i++) out[i] = here[i] + j->amount * (v[TAPS / 2][i] - here[i]);
    }
}

bool lk_denoise(lk_image *image, double amount, lk_error *err) {
    lk_image before;
    if (!lk_image_copy(image, &before, err)) return false;
    denoise_job j = {&before, image, (float)amount};
    lk_parallel_for(image->height, denoise_row, &j);
    lk_image_free(&before);
    return true;
}

bool lk_bicubic_degrade(lk_image *image, double amount, lk_error *err) {
    double share = 1 - fmin(amount, 1) / 1.01;
    int w = (int)(image->width * share), h = (int)(image->height * share);
    lk_image small;
    if (!lk_image_alloc(&small, w > 1 ? w : 1, h > 1 ? h : 1, 3, LK_F32, err)) return false;
    bool ok = lk_image_resize(image, &small, LK_BICUBIC, err) && lk_image_resize(&small, image, LK_BICUBIC, err);
    lk_image_free(&small);
    float *v = image->data;
    for (size_t i = 0; ok && i < values_of(image); i++) v[i] = fminf(fmaxf(v[i], 0), 1);
    return ok;
}
