/* Reference arrays of tests/golden/image_*.py: height, width, channels as int32, then float32 values. */
#ifndef LIKENESS_TEST_IMAGE_GOLDEN_H
#define LIKENESS_TEST_IMAGE_GOLDEN_H

#include "testing.h"

#include <math.h>

#include "likeness/image.h"

static inline lk_image golden(const char *format, ...) {
    char name[200], path[600];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    snprintf(path, sizeof path, "%s/image_%s.bin", LK_GOLDEN, name);
    lk_error err = {0};
    void *data = NULL;
    size_t size = 0;
    test_ok(lk_file_read(path, LK_MIB(64), &data, &size, &err), &err);
    int32_t shape[3];
    assert_true(size > sizeof shape);
    memcpy(shape, data, sizeof shape);
    lk_image image;
    test_ok(lk_image_alloc(&image, shape[1], shape[0], shape[2], LK_F32, &err), &err);
    assert_true(size == sizeof shape + image.stride * (size_t)image.height);
    memcpy(image.data, (char *)data + sizeof shape, size - sizeof shape);
    free(data);
    return image;
}

/* Largest and mean absolute difference. */
static inline double difference(const lk_image *a, const lk_image *b, double *mean) {
    assert_true(a->width == b->width && a->height == b->height && a->channels == b->channels);
    double most = 0, sum = 0;
    for (int y = 0; y < a->height; y++)
        for (int i = 0; i < a->width * a->channels; i++) {
            double u = a->type == LK_U8 ? lk_row_u8(a, y)[i] / 255.0 : (double)lk_row_f32(a, y)[i];
            double v = b->type == LK_U8 ? lk_row_u8(b, y)[i] / 255.0 : (double)lk_row_f32(b, y)[i];
            double d = fabs(u - v);
            if (!(d <= most)) most = d;
            sum += d;
        }
    if (mean) *mean = sum / ((double)a->width * a->height * a->channels);
    return most;
}

#endif
