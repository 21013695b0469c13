#include "rows.h"

#include <string.h>

/* A row is warped in pieces: first the source coordinates of a piece, split into whole and fractional part, then the
 * pixels. Where all taps (and, since pixels are loaded four values at a time, the pixel after the last) lie inside
 * the source, the fast path loads them directly; elsewhere a general one goes tap by tap. */

#define PIECE 256
#define FAR   100000.0 /* coordinates are clamped to ±FAR: beyond every image, and safe to turn into int */

typedef struct coordinates {
    int x[PIECE], y[PIECE];
    float fx[PIECE], fy[PIECE];
} coordinates;

typedef struct warp_job {
    const lk_image *src, *map;
    lk_image *dst;
    lk_affine inverse;
    lk_filter filter;
    lk_border border;
    float scale; /* 8-bit to float: 1/255; float to 8-bit: 255 */
} warp_job;

LK_INLINE void split(double v, int *whole, float *fraction) {
    v = v > -FAR ? v : -FAR; /* NaN goes far out too */
    v = v < FAR ? v : FAR;
    int i = (int)v;
    i -= (double)i > v;
    *whole = i;
    *fraction = (float)(v - i);
}

static LK_HOT void affine_coordinates(const lk_affine *m, int x0, int y, int n, double shift, coordinates *c) {
    double cx = m->m[0][1] * y + m->m[0][2] + shift, cy = m->m[1][1] * y + m->m[1][2] + shift;
    double ax = m->m[0][0], ay = m->m[1][0];
    for (int i = 0; i < n; i++) split(ax * (x0 + i) + cx, &c->x[i], &c->fx[i]);
    for (int i = 0; i < n; i++) split(ay * (x0 + i) + cy, &c->y[i], &c->fy[i]);
}

static LK_HOT void map_coordinates(const float *map, int n, double shift, coordinates *c) {
    for (int i = 0; i < n; i++) split(map[2 * i] + shift, &c->x[i], &c->fx[i]);
    for (int i = 0; i < n; i++) split(map[2 * i + 1] + shift, &c->y[i], &c->fy[i]);
}

LK_INLINE lk_v4 cubic_weights(float t) {
    /* Keys 1981 with a = −0.75: the polynomials of the four taps at −1, 0, 1, 2, highest power first. */
    const lk_v4 c3 = {-0.75f, 1.25f, -1.25f, 0.75f}, c2 = {1.5f, -2.25f, 1.5f, -0.75f};
    const lk_v4 c1 = {-0.75f, 0, 0.75f, 0}, c0 = {0, 1, 0, 0};
    return ((c3 * t + c2) * t + c1) * t + c0;
}

LK_INLINE lk_v4 load_four(const uint8_t *p, bool bytes) {
    lk_v4 v;
    if (bytes) {
        typedef uint32_t u4 __attribute__((vector_size(16)));
        typedef int32_t i4 __attribute__((vector_size(16)));
        uint32_t all;
        memcpy(&all, p, sizeof all); /* little-endian: the first byte is the lowest */
        u4 each = ((u4){all, all, all, all} >> (u4){0, 8, 16, 24}) & 255;
        return __builtin_convertvector((i4)each, lk_v4);
    }
    memcpy(&v, p, sizeof v);
    return v;
}

LK_INLINE float load_one(const uint8_t *p, bool bytes) {
    if (bytes) return *p;
    float v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* All taps are inside. `p` is the pixel of the first tap, `step` the bytes of a pixel. */
LK_INLINE lk_v4 inner_pixel(const uint8_t *p, size_t stride, size_t step, int channels, bool bytes, lk_filter filter,
                            float fx, float fy) {
    if (filter == LK_NEAREST) return channels == 1 ? (lk_v4){load_one(p, bytes)} : load_four(p, bytes);
    if (filter == LK_BILINEAR) {
        if (channels == 1) {
            float a = load_one(p, bytes), b = load_one(p + step, bytes);
            float c = load_one(p + stride, bytes), d = load_one(p + stride + step, bytes);
            a += (b - a) * fx;
            c += (d - c) * fx;
            return (lk_v4){a + (c - a) * fy};
        }
        lk_v4 a = load_four(p, bytes), b = load_four(p + step, bytes);
        lk_v4 c = load_four(p + stride, bytes), d = load_four(p + stride + step, bytes);
        a += (b - a) * fx;
        c += (d - c) * fx;
        return a + (c - a) * fy;
    }
    lk_v4 wx = cubic_weights(fx), wy = cubic_weights(fy), sum = {0};
    for (int k = 0; k < 4; k++, p += stride) {
        if (channels == 1)
            sum += load_four(p, bytes) * wy[k];
        else
            sum += (load_four(p, bytes) * wx[0] + load_four(p + step, bytes) * wx[1] +
                    load_four(p + 2 * step, bytes) * wx[2] + load_four(p + 3 * step, bytes) * wx[3]) *
                   wy[k];
    }
    if (channels > 1) return sum;
    sum *= wx;
    return (lk_v4){sum[0] + sum[1] + sum[2] + sum[3]};
}

/* Some taps lie outside: those are zero, or stand for others by the border's rule. */
static lk_v4 outer_pixel(const warp_job *j, int x, int y, float fx, float fy) {
    const lk_image *s = j->src;
    int taps = j->filter == LK_NEAREST ? 1 : j->filter == LK_BILINEAR ? 2 : 4;
    lk_v4 wx = {1}, wy = {1}, sum = {0};
    if (j->filter == LK_BILINEAR) {
        wx = (lk_v4){1 - fx, fx};
        wy = (lk_v4){1 - fy, fy};
    } else if (j->filter == LK_BICUBIC) {
        wx = cubic_weights(fx);
        wy = cubic_weights(fy);
    }
    int at[4];
    for (int k = 0; k < taps; k++) {
        at[k] = x + k;
        if (j->border == LK_BORDER_REPLICATE) at[k] = lk_replicate(x + k, s->width);
        if (j->border == LK_BORDER_REFLECT) at[k] = lk_reflect(x + k, s->width);
    }
    for (int r = 0; r < taps; r++) {
        int row = y + r;
        if (j->border == LK_BORDER_REPLICATE) row = lk_replicate(row, s->height);
        if (j->border == LK_BORDER_REFLECT) row = lk_reflect(row, s->height);
        if (row < 0 || row >= s->height) continue;
        for (int k = 0; k < taps; k++) {
            if (at[k] < 0 || at[k] >= s->width) continue;
            float w = wx[k] * wy[r];
            size_t i = (size_t)at[k] * (size_t)s->channels;
            for (int c = 0; c < s->channels; c++)
                sum[c] += w * (s->type == LK_U8 ? (float)lk_row_u8(s, row)[i + (size_t)c]
                                                : lk_row_f32(s, row)[i + (size_t)c]);
        }
    }
    return sum;
}

LK_INLINE void store(const lk_image *dst, int x, int y, int channels, lk_v4 v) {
    size_t i = (size_t)x * (size_t)channels;
    if (dst->type == LK_F32) {
        memcpy(lk_row_f32(dst, y) + i, &v, (size_t)channels * sizeof(float));
        return;
    }
    uint8_t *p = lk_row_u8(dst, y) + i;
    for (int c = 0; c < channels; c++) {
        float f = v[c] + 0.5f;
        f = f > 0 ? f : 0;
        p[c] = (uint8_t)(int)(f < 255 ? f : 255);
    }
}

LK_INLINE void warp_piece(const warp_job *j, const coordinates *at, int x0, int y, int n, int channels, bool bytes,
                          lk_filter filter) {
    const lk_image *s = j->src;
    size_t step = (size_t)channels * (bytes ? 1 : sizeof(float)), stride = s->stride;
    const uint8_t *pixels = s->data;
    int before = filter == LK_BICUBIC ? 1 : 0, taps = filter == LK_NEAREST ? 1 : filter == LK_BILINEAR ? 2 : 4;
    /* Unsigned comparison: a negative coordinate is a large one. */
    unsigned columns = s->width > taps ? (unsigned)(s->width - taps) : 0;
    unsigned rows = s->height >= taps ? (unsigned)(s->height - taps + 1) : 0;
    for (int i = 0; i < n; i++) {
        int sx = at->x[i] - before, sy = at->y[i] - before;
        lk_v4 v;
        if (__builtin_expect((unsigned)sx < columns && (unsigned)sy < rows, 1))
            v = inner_pixel(pixels + (size_t)sy * stride + (size_t)sx * step, stride, step, channels, bytes, filter,
                            at->fx[i], at->fy[i]);
        else
            v = outer_pixel(j, sx, sy, at->fx[i], at->fy[i]);
        store(j->dst, x0 + i, y, channels, v * j->scale);
    }
}

LK_INLINE void warp_piece_of(const warp_job *j, const coordinates *at, int x0, int y, int n, int channels) {
    bool bytes = j->src->type == LK_U8;
    switch (j->filter) {
    case LK_NEAREST:
        warp_piece(j, at, x0, y, n, channels, bytes, LK_NEAREST);
        break;
    case LK_BILINEAR:
        if (bytes)
            warp_piece(j, at, x0, y, n, channels, true, LK_BILINEAR);
        else
            warp_piece(j, at, x0, y, n, channels, false, LK_BILINEAR);
        break;
    default:
        if (bytes)
            warp_piece(j, at, x0, y, n, channels, true, LK_BICUBIC);
        else
            warp_piece(j, at, x0, y, n, channels, false, LK_BICUBIC);
    }
}

static LK_HOT void warp_pixels(const warp_job *j, const coordinates *at, int x0, int y, int n) {
    switch (j->src->channels) {
    case 1:
        warp_piece_of(j, at, x0, y, n, 1);
        break;
    case 3:
        warp_piece_of(j, at, x0, y, n, 3);
        break;
    default:
        warp_piece_of(j, at, x0, y, n, 4);
        break;
    }
}

static void warp_rows(int y0, int y1, void *user) {
    const warp_job *j = user;
    double shift = j->filter == LK_NEAREST ? 0.5 : 0;
    coordinates at;
    for (int y = y0; y < y1; y++)
        for (int x = 0; x < j->dst->width; x += PIECE) {
            int n = j->dst->width - x < PIECE ? j->dst->width - x : PIECE;
            if (j->map)
                map_coordinates(lk_row_f32(j->map, y) + 2 * (size_t)x, n, shift, &at);
            else
                affine_coordinates(&j->inverse, x, y, n, shift, &at);
            warp_pixels(j, &at, x, y, n);
        }
}

static bool warp(warp_job *j, lk_error *err) {
    const lk_image *s = j->src;
    if (!s->data || !j->dst->data || s->channels != j->dst->channels || s->channels == 2)
        return lk_fail(err, LK_ERR_USAGE, "a warp needs two images of equal channels (1, 3 or 4), not %d and %d",
                       s->channels, j->dst->channels);
    if (j->filter != LK_NEAREST && j->filter != LK_BILINEAR && j->filter != LK_BICUBIC)
        return lk_fail(err, LK_ERR_USAGE, "a warp can be nearest, bilinear or bicubic only");
    j->scale = s->type == j->dst->type ? 1.0f : s->type == LK_U8 ? 1.0f / 255 : 255.0f;
    lk_image_bands(j->dst->height, 16, (size_t)j->dst->width * (size_t)j->dst->height, warp_rows, j);
    return true;
}

bool lk_image_warp_affine(const lk_image *src, lk_image *dst, lk_affine m, lk_filter filter, lk_border border,
                          lk_error *err) {
    warp_job j = {.src = src, .dst = dst, .filter = filter, .border = border};
    if (!lk_affine_invert(m, &j.inverse))
        return lk_fail(err, LK_ERR_USAGE, "an affine warp cannot be done: its matrix is singular");
    return warp(&j, err);
}

bool lk_image_remap(const lk_image *src, lk_image *dst, const lk_image *map, lk_filter filter, lk_border border,
                    lk_error *err) {
    if (map->type != LK_F32 || map->channels != 2 || map->width != dst->width || map->height != dst->height)
        return lk_fail(err, LK_ERR_USAGE, "the map of a warp must be float, of 2 channels and %d×%d pixels", dst->width,
                       dst->height);
    warp_job j = {.src = src, .dst = dst, .map = map, .filter = filter, .border = border};
    return warp(&j, err);
}
