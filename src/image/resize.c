#include "rows.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A resize is separable: each output index of an axis is a weighted sum of a run of input indices. For a band of output
 * rows, the input rows it needs are first resampled along x, then these are summed along y. */

typedef struct axis {
    int count, taps;
    int low, high; /* smallest and one past the largest input index read; may lie outside the image */
    int *start;    /* [count] first input index */
    float *weight; /* [count, taps] */
} axis;

typedef struct resize_job {
    const lk_image *src;
    lk_image *dst;
    axis x, y;
    float scale;
    atomic_bool failed;
} resize_job;

static double lanczos4(double d) {
    if (fabs(d) < 1e-9) return 1;
    if (fabs(d) >= 4) return 0;
    double a = M_PI * d, b = a / 4;
    return sin(a) / a * sin(b) / b;
}

static double cubic(double d) {
    const double a = -0.75;
    d = fabs(d);
    if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
    if (d < 2) return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    return 0;
}

/* Weights of one output index. The centre of pixel i lies at i + 0.5 in both grids. */
static void fill_taps(axis *a, int i, double ratio, lk_filter filter) {
    float *w = a->weight + (size_t)i * (size_t)a->taps;
    double sum = 0, weights[8];
    if (filter == LK_AREA) {
        double lo = i * ratio, hi = lo + ratio;
        a->start[i] = (int)floor(lo + 1e-9);
        for (int k = 0; k < a->taps; k++) {
            double from = a->start[i] + k, part = fmin(hi, from + 1) - fmax(lo, from);
            w[k] = (float)(part > 1e-9 ? part / ratio : 0);
        }
        return;
    }
    if (filter == LK_NEAREST) {
        a->start[i] = (int)floor(i * ratio);
        w[0] = 1;
        return;
    }
    double at = (i + 0.5) * ratio - 0.5, whole = floor(at), t = at - whole;
    int taps = filter == LK_BILINEAR ? 2 : filter == LK_BICUBIC ? 4 : 8;
    a->start[i] = (int)whole - (taps / 2 - 1);
    for (int k = 0; k < taps; k++) {
        double d = k - (taps / 2 - 1) - t;
        weights[k] = filter == LK_BILINEAR ? 1 - fabs(d) : filter == LK_BICUBIC ? cubic(d) : lanczos4(d);
        sum += weights[k];
    }
    for (int k = 0; k < taps; k++) w[k] = (float)(weights[k] / sum);
}

static bool make_axis(axis *a, int from, int to, lk_filter filter, bool by_fours, lk_error *err) {
    double ratio = (double)from / to;
    if (filter == LK_AREA && from <= to) filter = LK_BILINEAR;
    a->count = to;
    a->taps = filter == LK_NEAREST    ? 1
              : filter == LK_BILINEAR ? 2
              : filter == LK_BICUBIC  ? 4
              : filter == LK_LANCZOS  ? 8
                                      : (int)ceil(ratio) + 1;
    if (by_fours) a->taps = (a->taps + 3) & ~3;
    a->start = lk_alloc((size_t)to, sizeof *a->start, err);
    a->weight = a->start ? lk_alloc((size_t)to * (size_t)a->taps, sizeof *a->weight, err) : NULL;
    if (!a->weight) return false;
    a->low = 0;
    a->high = from;
    for (int i = 0; i < to; i++) {
        fill_taps(a, i, ratio, filter);
        if (a->start[i] < a->low) a->low = a->start[i];
        if (a->start[i] + a->taps > a->high) a->high = a->start[i] + a->taps;
    }
    return true;
}

/* One input row as floats, its ends repeated as far as the taps reach. out: [high − low, channels] */
static LK_HOT void widen(const lk_image *src, int y, const axis *x, float *out) {
    int c = src->channels, n = src->width * c, left = -x->low * c, right = (x->high - src->width) * c;
    if (src->type == LK_U8) {
        const uint8_t *in = lk_row_u8(src, y);
        for (int i = 0; i < n; i++) out[left + i] = in[i];
    } else {
        memcpy(out + left, lk_row_f32(src, y), (size_t)n * sizeof *out);
    }
    for (int i = left - 1; i >= 0; i--) out[i] = out[i + c];
    for (int i = left + n; i < left + n + right; i++) out[i] = out[i - c];
}

LK_INLINE void along_x_of(const axis *a, const float *in, int channels, float *out) {
    const float *w = a->weight;
    for (int i = 0; i < a->count; i++, w += a->taps) {
        const float *p = in + (a->start[i] - a->low) * channels;
        lk_v4 sum = {0}, v;
        if (channels == 1) {
            lk_v4 u;
            for (int k = 0; k < a->taps; k += 4) {
                memcpy(&v, p + k, sizeof v);
                memcpy(&u, w + k, sizeof u);
                sum += u * v;
            }
            out[i] = sum[0] + sum[1] + sum[2] + sum[3];
        } else {
            for (int k = 0; k < a->taps; k++) {
                memcpy(&v, p + k * channels, sizeof v);
                sum += v * w[k];
            }
            memcpy(out + (size_t)i * (size_t)channels, &sum,
                   sizeof sum); /* the next pixel overwrites what is too much */
        }
    }
}

/* in and out end with room for 4 values more, since pixels are handled four values at a time. */
static LK_HOT void along_x(const axis *a, const float *in, int channels, float *out) {
    switch (channels) {
    case 1:
        along_x_of(a, in, 1, out);
        break;
    case 2:
        along_x_of(a, in, 2, out);
        break;
    case 3:
        along_x_of(a, in, 3, out);
        break;
    default:
        along_x_of(a, in, 4, out);
        break;
    }
}

static LK_HOT void add_row(float *restrict sum, const float *restrict row, float w, int n) {
    for (int i = 0; i < n; i++) sum[i] += row[i] * w;
}

static LK_HOT void finish_row(const lk_image *dst, int y, const float *restrict sum, float scale, int n) {
    if (dst->type == LK_F32) {
        float *out = lk_row_f32(dst, y);
        for (int i = 0; i < n; i++) out[i] = sum[i] * scale;
        return;
    }
    uint8_t *out = lk_row_u8(dst, y);
    for (int i = 0; i < n; i++) {
        float v = sum[i] * scale + 0.5f;
        v = v > 0 ? v : 0;
        out[i] = (uint8_t)(int)(v < 255 ? v : 255);
    }
}

static void resize_band(int y0, int y1, void *user) {
    resize_job *j = user;
    const axis *ay = &j->y;
    int channels = j->src->channels, n = j->dst->width * channels;
    int first = ay->start[y0], rows = ay->start[y1 - 1] + ay->taps - first;
    size_t wide = (size_t)(j->x.high - j->x.low) * (size_t)channels + 4, line = (size_t)n + 4;
    float *memory = malloc((wide + line * ((size_t)rows + 1)) * sizeof *memory);
    if (!memory) {
        j->failed = true;
        return;
    }
    float *input = memory, *sum = memory + wide, *lines = sum + line;
    memset(input, 0, wide * sizeof *input);
    for (int r = 0; r < rows; r++) {
        widen(j->src, lk_replicate(first + r, j->src->height), &j->x, input);
        along_x(&j->x, input, channels, lines + line * (size_t)r);
    }
    for (int y = y0; y < y1; y++) {
        memset(sum, 0, line * sizeof *sum);
        for (int k = 0; k < ay->taps; k++) {
            float w = ay->weight[(size_t)y * (size_t)ay->taps + (size_t)k];
            if (w != 0) add_row(sum, lines + line * (size_t)(ay->start[y] - first + k), w, n);
        }
        finish_row(j->dst, y, sum, j->scale, n);
    }
    free(memory);
}

bool lk_image_resize(const lk_image *src, lk_image *dst, lk_filter filter, lk_error *err) {
    if (!src->data || !dst->data || src->channels != dst->channels)
        return lk_fail(err, LK_ERR_USAGE, "a resize needs two images of equal channels, not %d and %d", src->channels,
                       dst->channels);
    resize_job j = {.src = src, .dst = dst};
    j.scale = src->type == dst->type ? 1.0f : src->type == LK_U8 ? 1.0f / 255 : 255.0f;
    bool ok = make_axis(&j.x, src->width, dst->width, filter, src->channels == 1, err) &&
              make_axis(&j.y, src->height, dst->height, filter, false, err);
    if (ok) {
        int band = (int)(64.0 * dst->height / src->height);
        band = band < 1 ? 1 : band > 64 ? 64 : band;
        size_t in = (size_t)src->width * (size_t)src->height, out = (size_t)dst->width * (size_t)dst->height;
        lk_image_bands(dst->height, band, in > out ? in : out, resize_band, &j);
        if (j.failed) ok = lk_fail(err, LK_ERR_MEMORY, "out of memory while resizing an image");
    }
    free(j.x.start);
    free(j.x.weight);
    free(j.y.start);
    free(j.y.weight);
    return ok;
}
