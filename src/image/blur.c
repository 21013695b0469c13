#include "rows.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A separable Gaussian: along x into a second image, then along y back. */

#define CHUNK 1024 /* values of a row that are summed at a time: stays in the first-level cache */

typedef struct blur_job {
    const lk_image *in, *out;
    const float *kernel; /* [radius + 1], its half from the centre */
    int radius;
    atomic_bool failed;
} blur_job;

static LK_HOT void sum_pairs(float *restrict out, const float *centre, const float *kernel, int radius, size_t step,
                             int n) {
    for (int i = 0; i < n; i++) out[i] = centre[i] * kernel[0];
    for (int k = 1; k <= radius; k++) {
        const float *a = centre - (size_t)k * step, *b = centre + (size_t)k * step;
        float w = kernel[k];
        for (int i = 0; i < n; i++) out[i] += (a[i] + b[i]) * w;
    }
}

static LK_HOT void add_two(float *restrict out, const float *a, const float *b, float w, int n) {
    for (int i = 0; i < n; i++) out[i] += (a[i] + b[i]) * w;
}

static void along_x(int y0, int y1, void *user) {
    blur_job *j = user;
    int c = j->in->channels, w = j->in->width, n = w * c, r = j->radius;
    float *line = malloc(((size_t)n + 2 * (size_t)r * (size_t)c) * sizeof *line);
    if (!line) {
        j->failed = true;
        return;
    }
    for (int y = y0; y < y1; y++) {
        const float *in = lk_row_f32(j->in, y);
        float *out = lk_row_f32(j->out, y), *middle = line + (size_t)r * (size_t)c;
        memcpy(middle, in, (size_t)n * sizeof *in);
        for (int k = 1; k <= r; k++)
            for (int i = 0; i < c; i++) {
                middle[i - k * c] = in[lk_reflect(-k, w) * c + i];
                middle[n - c + i + k * c] = in[lk_reflect(w - 1 + k, w) * c + i];
            }
        for (int x = 0; x < n; x += CHUNK)
            sum_pairs(out + x, middle + x, j->kernel, r, (size_t)c, n - x < CHUNK ? n - x : CHUNK);
    }
    free(line);
}

static void along_y(int y0, int y1, void *user) {
    blur_job *j = user;
    int n = j->in->width * j->in->channels, h = j->in->height;
    for (int y = y0; y < y1; y++)
        for (int x = 0; x < n; x += CHUNK) {
            int m = n - x < CHUNK ? n - x : CHUNK;
            float *out = lk_row_f32(j->out, y) + x;
            sum_pairs(out, lk_row_f32(j->in, y) + x, j->kernel, 0, 0, m);
            for (int k = 1; k <= j->radius; k++)
                add_two(out, lk_row_f32(j->in, lk_reflect(y - k, h)) + x, lk_row_f32(j->in, lk_reflect(y + k, h)) + x,
                        j->kernel[k], m);
        }
}

bool lk_image_blur(lk_image *image, double sigma, lk_error *err) {
    if (image->type != LK_F32) return lk_fail(err, LK_ERR_USAGE, "only float images can be blurred");
    if (!(sigma > 0)) return true;
    if (sigma > LK_MAX_IMAGE_SIDE)
        return lk_fail(err, LK_ERR_USAGE, "a blur of %g pixels is too wide: at most %d", sigma, LK_MAX_IMAGE_SIDE);
    int radius = (int)ceil(3 * sigma);
    lk_image lines;
    if (!lk_image_alloc(&lines, image->width, image->height, image->channels, LK_F32, err)) return false;
    float *kernel = lk_alloc((size_t)radius + 1, sizeof *kernel, err);
    if (!kernel) {
        lk_image_free(&lines);
        return false;
    }
    double sum = 0;
    for (int k = -radius; k <= radius; k++) sum += exp(-0.5 * k * k / (sigma * sigma));
    for (int k = 0; k <= radius; k++) kernel[k] = (float)(exp(-0.5 * k * k / (sigma * sigma)) / sum);
    size_t pixels = (size_t)image->width * (size_t)image->height;
    blur_job j = {.in = image, .out = &lines, .kernel = kernel, .radius = radius};
    lk_image_bands(image->height, 16, pixels, along_x, &j);
    bool ok = !j.failed || lk_fail(err, LK_ERR_MEMORY, "out of memory while blurring an image");
    if (ok) {
        j.in = &lines;
        j.out = image;
        lk_image_bands(image->height, 16, pixels, along_y, &j);
    }
    free(kernel);
    lk_image_free(&lines);
    return ok;
}
