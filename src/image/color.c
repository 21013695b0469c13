#include "rows.h"

#include <assert.h>
#include <string.h>

/* CIE L*a*b* from sRGB (IEC 61966-2-1), white D65 as OpenCV has it: X 0.950456, Z 1.088754. The roots are found by a
 * guess from the number's bits and Newton's or Halley's iteration, exact to some 1e-6, so that the loops vectorise. */

#define WHITE_X 0.950456f
#define WHITE_Z 1.088754f

LK_INLINE int32_t bits_of(float v) {
    int32_t i;
    memcpy(&i, &v, sizeof i);
    return i;
}

LK_INLINE float of_bits(int32_t i) {
    float v;
    memcpy(&v, &i, sizeof v);
    return v;
}

/* x^(1/3), x > 0: Halley. */
LK_INLINE float cube_root(float x) {
    float y = of_bits((int32_t)((float)bits_of(x) * (1.0f / 3)) + 709921077);
    for (int k = 0; k < 2; k++) {
        float cube = y * y * y;
        y = y * (cube + 2 * x) / (2 * cube + x);
    }
    return y;
}

/* x^(2/5), x > 0: Newton on y⁵ = x². */
LK_INLINE float two_fifths(float x) {
    float y = of_bits((int32_t)((float)bits_of(x) * 0.4f) + 639211930), square = x * x;
    for (int k = 0; k < 3; k++) y = 0.8f * y + 0.2f * square / (y * y * y * y);
    return y;
}

LK_INLINE float to_linear(float v) {
    v = v > 0 ? v : 0;
    v = v < 1 ? v : 1;
    float u = (v + 0.055f) * (1 / 1.055f), curve = u * u * two_fifths(u); /* u^2.4 */
    return v <= 0.04045f ? v * (1 / 12.92f) : curve;
}

LK_INLINE float from_linear(float v) {
    v = v > 0 ? v : 0;
    v = v < 1 ? v : 1;
    float third = cube_root(v + 1e-12f), curve = third * __builtin_sqrtf(__builtin_sqrtf(third)); /* v^(5/12) */
    return v <= 0.0031308f ? v * 12.92f : 1.055f * curve - 0.055f;
}

LK_INLINE float lab_curve(float t) {
    float root = cube_root(t + 1e-12f);
    return t > 0.008856f ? root : 7.787f * t + 16.0f / 116;
}

LK_INLINE float lab_uncurve(float f) { return f > 0.206893f ? f * f * f : (f - 16.0f / 116) * (1 / 7.787f); }

static LK_HOT void row_to_lab(float *p, int n) {
    for (int i = 0; i < n; i++) {
        float r = to_linear(p[3 * i]), g = to_linear(p[3 * i + 1]), b = to_linear(p[3 * i + 2]);
        float fx = lab_curve((0.412453f * r + 0.357580f * g + 0.180423f * b) * (1 / WHITE_X));
        float y = 0.212671f * r + 0.715160f * g + 0.072169f * b, fy = lab_curve(y);
        float fz = lab_curve((0.019334f * r + 0.119193f * g + 0.950227f * b) * (1 / WHITE_Z));
        p[3 * i] = y > 0.008856f ? 116 * fy - 16 : 903.3f * y;
        p[3 * i + 1] = 500 * (fx - fy);
        p[3 * i + 2] = 200 * (fy - fz);
    }
}

static LK_HOT void row_to_rgb(float *p, int n) {
    for (int i = 0; i < n; i++) {
        float lightness = p[3 * i];
        float dark = lightness * (1 / 903.3f), f_dark = 7.787f * dark + 16.0f / 116;
        float f_bright = (lightness + 16) * (1.0f / 116), y_bright = f_bright * f_bright * f_bright;
        bool is_dark = lightness <= 8;
        float fy = is_dark ? f_dark : f_bright, y = is_dark ? dark : y_bright;
        float x = WHITE_X * lab_uncurve(fy + p[3 * i + 1] * 0.002f);
        float z = WHITE_Z * lab_uncurve(fy - p[3 * i + 2] * 0.005f);
        p[3 * i] = from_linear(3.240479f * x - 1.53715f * y - 0.498535f * z);
        p[3 * i + 1] = from_linear(-0.969256f * x + 1.875991f * y + 0.041556f * z);
        p[3 * i + 2] = from_linear(0.055648f * x - 0.204043f * y + 1.057311f * z);
    }
}

typedef struct color_job {
    lk_image *image;
    void (*row)(float *p, int n);
} color_job;

static void color_rows(int y0, int y1, void *user) {
    const color_job *j = user;
    for (int y = y0; y < y1; y++) j->row(lk_row_f32(j->image, y), j->image->width);
}

static void convert(lk_image *image, void (*row)(float *, int)) {
    assert(image->type == LK_F32 && image->channels == 3);
    color_job j = {image, row};
    lk_image_bands(image->height, 16, (size_t)image->width * (size_t)image->height, color_rows, &j);
}

void lk_image_rgb_to_lab(lk_image *image) { convert(image, row_to_lab); }
void lk_image_lab_to_rgb(lk_image *image) { convert(image, row_to_rgb); }
