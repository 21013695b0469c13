#include "rows.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t pixel_size(lk_pixel type) { return type == LK_U8 ? 1 : sizeof(float); }

bool lk_image_alloc(lk_image *image, int width, int height, int channels, lk_pixel type, lk_error *err) {
    *image = (lk_image){0};
    if (width < 1 || height < 1 || width > LK_MAX_IMAGE_SIDE || height > LK_MAX_IMAGE_SIDE)
        return lk_fail(err, LK_ERR_MEMORY, "an image of %d×%d pixels is not possible: sides must be 1 to %d", width,
                       height, LK_MAX_IMAGE_SIDE);
    assert(channels >= 1 && channels <= 4);
    size_t stride = (size_t)width * (size_t)channels * pixel_size(type);
    void *data = lk_alloc((size_t)height, stride, err);
    if (!data) return false;
    *image = (lk_image){.width = width, .height = height, .channels = channels, .type = type};
    image->stride = stride;
    image->data = data;
    return true;
}

void lk_image_free(lk_image *image) {
    if (!image) return;
    if (!image->borrowed) free(image->data);
    *image = (lk_image){0};
}

bool lk_image_copy(const lk_image *src, lk_image *dst, lk_error *err) {
    if (!lk_image_alloc(dst, src->width, src->height, src->channels, src->type, err)) return false;
    for (int y = 0; y < src->height; y++) memcpy(lk_row_u8(dst, y), lk_row_u8(src, y), dst->stride);
    return true;
}

lk_image lk_image_view(const lk_image *src, lk_rect r) {
    assert(r.x >= 0 && r.y >= 0 && r.width > 0 && r.height > 0);
    assert(r.x <= src->width - r.width && r.y <= src->height - r.height);
    lk_image view = *src;
    view.width = r.width;
    view.height = r.height;
    view.borrowed = true;
    view.data = lk_row_u8(src, r.y) + (size_t)r.x * (size_t)src->channels * pixel_size(src->type);
    return view;
}

static LK_HOT void bytes_to_floats(const uint8_t *in, float *out, int n) {
    for (int i = 0; i < n; i++) out[i] = (float)in[i] * (1.0f / 255);
}

static LK_HOT void floats_to_bytes(const float *in, uint8_t *out, int n) {
    for (int i = 0; i < n; i++) {
        float v = in[i] * 255.0f + 0.5f;
        v = v > 0 ? v : 0;
        out[i] = (uint8_t)(int)(v < 255 ? v : 255);
    }
}

bool lk_image_convert(const lk_image *src, lk_pixel type, lk_image *dst, lk_error *err) {
    if (src->type == type) return lk_image_copy(src, dst, err);
    if (!lk_image_alloc(dst, src->width, src->height, src->channels, type, err)) return false;
    for (int y = 0; y < src->height; y++) {
        if (type == LK_F32)
            bytes_to_floats(lk_row_u8(src, y), lk_row_f32(dst, y), src->width * src->channels);
        else
            floats_to_bytes(lk_row_f32(src, y), lk_row_u8(dst, y), src->width * src->channels);
    }
    return true;
}

lk_affine lk_affine_multiply(lk_affine a, lk_affine b) {
    lk_affine r;
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 3; j++) r.m[i][j] = a.m[i][0] * b.m[0][j] + a.m[i][1] * b.m[1][j];
        r.m[i][2] += a.m[i][2];
    }
    return r;
}

bool lk_affine_invert(lk_affine a, lk_affine *inverse) {
    double det = a.m[0][0] * a.m[1][1] - a.m[0][1] * a.m[1][0];
    if (!(fabs(det) > 1e-30) || !isfinite(det)) return false;
    double s = 1 / det, x = a.m[0][2], y = a.m[1][2];
    lk_affine r = {{{a.m[1][1] * s, -a.m[0][1] * s, 0}, {-a.m[1][0] * s, a.m[0][0] * s, 0}}};
    for (int i = 0; i < 2; i++) r.m[i][2] = -(r.m[i][0] * x + r.m[i][1] * y);
    if (!isfinite(r.m[0][2]) || !isfinite(r.m[1][2])) return false;
    *inverse = r;
    return true;
}

lk_point lk_affine_apply(lk_affine a, lk_point p) {
    return (lk_point){(float)(a.m[0][0] * p.x + a.m[0][1] * p.y + a.m[0][2]),
                      (float)(a.m[1][0] * p.x + a.m[1][1] * p.y + a.m[1][2])};
}

typedef struct bands {
    int rows, band;
    void (*f)(int, int, void *);
    void *job;
} bands;

static void one_band(int i, void *user) {
    const bands *b = user;
    int y0 = i * b->band, y1 = y0 + b->band;
    b->f(y0, y1 < b->rows ? y1 : b->rows, b->job);
}

void lk_image_bands(int rows, int band, size_t pixels, void (*f)(int y0, int y1, void *job), void *job) {
    bands b = {rows, band < 1 ? 1 : band, f, job};
    int count = (rows + b.band - 1) / b.band;
    if (pixels >= LK_PARALLEL_PIXELS)
        lk_parallel_for(count, one_band, &b);
    else
        for (int i = 0; i < count; i++) one_band(i, &b);
}
