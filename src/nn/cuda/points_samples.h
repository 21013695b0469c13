/* Training samples (lk_nn_sample), drawn pixel by pixel. Included by points.h. */
#ifndef LIKENESS_NN_CUDA_POINTS_SAMPLES_H
#define LIKENESS_NN_CUDA_POINTS_SAMPLES_H

typedef struct lk_samples_args {
    const lk_nn_sample *samples;
    const uint8_t *bytes;
    int *spans; /* [n, 2R, LK_NN_SHAPES, 2]: of each half row the first and the last half pixel in each shape */
    lk_gpu_ref warped, target, mask, features; /* features.data may be NULL */
    uint32_t resolution;
} lk_samples_args;

/* ---- Shapes ---------------------------------------------------------------------------------------------- */

/* An edge owns its upper end, not its lower one, so that corners count once; a convex outline crosses a row twice or never. */
LK_POINT void lk_span_of(const float (*corner)[2], int count, double y, int most, int *first, int *last) {
    double from = INFINITY, to = -INFINITY;
    for (int i = 0; i < count; i++) {
        const float *a = corner[i], *b = corner[i + 1 < count ? i + 1 : 0];
        double ay = (double)a[1], by = (double)b[1];
        if ((ay <= y) == (by <= y)) continue;
        double at = (double)a[0] + (y - ay) / (by - ay) * ((double)b[0] - (double)a[0]);
        from = at < from ? at : from;
        to = at > to ? at : to;
    }
    *first = from > 0 ? (from < most ? (int)ceil(from) : most) : 0;
    *last = to < most - 1 ? (to > -1 ? (int)floor(to) : -1) : most - 1;
}

/* One point for each sample and half row. */
LK_POINT void lk_sample_spans_point(const lk_samples_args *a, uint32_t i) {
    uint32_t rows = 2 * a->resolution;
    const lk_nn_sample *s = &a->samples[i / rows];
    int *span = a->spans + (size_t)i * LK_NN_SHAPES * 2;
    const float(*corner)[2] = s->corner;
    for (int k = 0; k < LK_NN_SHAPES; k++, span += 2) {
        lk_span_of(corner, s->corners[k], (double)(i % rows), (int)rows, &span[0], &span[1]);
        corner += s->corners[k];
    }
}

/* The share of a pixel's four quarters that lie in one of three shapes. */
LK_POINT float lk_covered(const lk_samples_args *a, uint32_t n, uint32_t y, uint32_t x, int first_shape) {
    int inside = 0;
    for (uint32_t k = 0; k < 4; k++) {
        size_t row = (size_t)n * 2 * a->resolution + 2 * y + k / 2;
        const int *span = a->spans + (row * LK_NN_SHAPES + (uint32_t)first_shape) * 2;
        int at = (int)(2 * x + k % 2), in = 0;
        for (int q = 0; q < 3; q++) in |= span[2 * q] <= at && at <= span[2 * q + 1];
        inside += in;
    }
    return 0.25f * (float)inside;
}

/* ---- Pictures -------------------------------------------------------------------------------------------- */

LK_POINT int lk_clamp_index(int i, int count) { return i < 0 ? 0 : i < count ? i : count - 1; }

/* Keys 1981 with a = −0.75: the weights of the four taps around t in [0, 1). */
LK_POINT void lk_cubic_weights(float t, float w[4]) {
    w[0] = ((-0.75f * t + 1.5f) * t - 0.75f) * t;
    w[1] = (1.25f * t - 2.25f) * t * t + 1;
    w[2] = ((-1.25f * t + 1.5f) * t + 0.75f) * t;
    w[3] = (0.75f * t - 0.75f) * t * t;
}

/* The picture at (u, v), bicubic, its edge repeated, in [0, 1]. */
LK_POINT void lk_picture_at(const uint8_t *picture, int side, float u, float v, float rgb[3]) {
    float left = floorf(u), top = floorf(v), wx[4], wy[4], sum[3] = {0, 0, 0};
    lk_cubic_weights(u - left, wx);
    lk_cubic_weights(v - top, wy);
    for (int r = 0; r < 4; r++) {
        const uint8_t *row = picture + (size_t)lk_clamp_index((int)top - 1 + r, side) * (size_t)side * 3;
        for (int k = 0; k < 4; k++) {
            const uint8_t *p = row + (size_t)lk_clamp_index((int)left - 1 + k, side) * 3;
            float w = wx[k] * wy[r];
            for (int c = 0; c < 3; c++) sum[c] += w * (float)p[c];
        }
    }
    for (int c = 0; c < 3; c++) rgb[c] = fminf(fmaxf(sum[c] * (1.0f / 255), 0), 1);
}

/* The mask at (u, v), bilinear, zero outside. */
LK_POINT float lk_mask_at(const uint8_t *mask, int side, float u, float v) {
    float left = floorf(u), top = floorf(v), sum = 0;
    for (int k = 0; k < 4; k++) {
        int x = (int)left + k % 2, y = (int)top + k / 2;
        if (x < 0 || y < 0 || x >= side || y >= side) continue;
        float wx = k % 2 ? u - left : 1 - (u - left), wy = k / 2 ? v - top : 1 - (v - top);
        sum += wx * wy * (float)mask[(size_t)y * (size_t)side + (size_t)x];
    }
    return sum * (1.0f / 255);
}

/* ---- Colours: CIE L*a*b* from sRGB, white as lk_image_rgb_to_lab has it ------------------------------------- */

#define LK_GPU_WHITE_X 0.950456f
#define LK_GPU_WHITE_Z 1.088754f

LK_POINT float lk_srgb_to_linear(float v) {
    return v <= 0.04045f ? v * (1 / 12.92f) : powf((v + 0.055f) * (1 / 1.055f), 2.4f);
}
LK_POINT float lk_srgb_from_linear(float v) {
    v = fminf(fmaxf(v, 0), 1);
    return v <= 0.0031308f ? v * 12.92f : 1.055f * powf(v, 1 / 2.4f) - 0.055f;
}
LK_POINT float lk_lab_curve(float t) { return t > 0.008856f ? cbrtf(t) : 7.787f * t + 16.0f / 116; }
LK_POINT float lk_lab_uncurve(float f) { return f > 0.206893f ? f * f * f : (f - 16.0f / 116) * (1 / 7.787f); }

LK_POINT void lk_recolor(const lk_nn_sample *s, float rgb[3]) {
    float r = lk_srgb_to_linear(rgb[0]), g = lk_srgb_to_linear(rgb[1]), b = lk_srgb_to_linear(rgb[2]);
    float fx = lk_lab_curve((0.412453f * r + 0.357580f * g + 0.180423f * b) * (1 / LK_GPU_WHITE_X));
    float y = 0.212671f * r + 0.715160f * g + 0.072169f * b, fy = lk_lab_curve(y);
    float fz = lk_lab_curve((0.019334f * r + 0.119193f * g + 0.950227f * b) * (1 / LK_GPU_WHITE_Z));
    float lab[3] = {y > 0.008856f ? 116 * fy - 16 : 903.3f * y, 500 * (fx - fy), 200 * (fy - fz)};
    for (int c = 0; c < 3; c++) lab[c] = s->gain[c] * lab[c] + s->shift[c];
    int dark = lab[0] <= 8;
    fy = dark ? 7.787f * lab[0] * (1 / 903.3f) + 16.0f / 116 : (lab[0] + 16) * (1.0f / 116);
    y = dark ? lab[0] * (1 / 903.3f) : fy * fy * fy;
    float x = LK_GPU_WHITE_X * lk_lab_uncurve(fy + lab[1] * 0.002f);
    float z = LK_GPU_WHITE_Z * lk_lab_uncurve(fy - lab[2] * 0.005f);
    rgb[0] = lk_srgb_from_linear(3.240479f * x - 1.53715f * y - 0.498535f * z);
    rgb[1] = lk_srgb_from_linear(-0.969256f * x + 1.875991f * y + 0.041556f * z);
    rgb[2] = lk_srgb_from_linear(0.055648f * x - 0.204043f * y + 1.057311f * z);
}

/* ---- The warp -------------------------------------------------------------------------------------------- */

/* Catmull–Rom: passes through the nodes and is smooth between them. */
LK_POINT void lk_spline_weights(float t, float w[4]) {
    w[0] = ((-0.5f * t + 1.0f) * t - 0.5f) * t;
    w[1] = (1.5f * t - 2.5f) * t * t + 1.0f;
    w[2] = ((-1.5f * t + 2.0f) * t + 0.5f) * t;
    w[3] = (0.5f * t - 0.5f) * t * t;
}

/* How far the warp moves the place (u, v) of the picture. */
LK_POINT void lk_displacement(const lk_nn_warp *g, float u, float v, float *du, float *dv) {
    float most = (float)g->cells - 1e-3f, wx[4], wy[4];
    float gx = fminf(fmaxf((u + 0.5f) / g->cell, 0), most), gy = fminf(fmaxf((v + 0.5f) / g->cell, 0), most);
    int ix = (int)gx, iy = (int)gy;
    lk_spline_weights(gx - (float)ix, wx);
    lk_spline_weights(gy - (float)iy, wy);
    *du = *dv = 0;
    for (int k = 0; k < 4; k++)
        for (int q = 0; q < 4; q++) {
            float w = wy[k] * wx[q];
            *du += w * g->node[iy + k][ix + q][0];
            *dv += w * g->node[iy + k][ix + q][1];
        }
}

/* ---- A pixel of every input ------------------------------------------------------------------------------- */

LK_POINT void lk_put_color(const lk_nn_sample *s, lk_gpu_ref to, uint32_t pixel, float rgb[3]) {
    if (s->recolor) lk_recolor(s, rgb);
    for (uint32_t c = 0; c < 3; c++) lk_put(to, (size_t)pixel * 3 + c, rgb[c]);
}

/* One point for each pixel of each sample. */
LK_POINT void lk_samples_point(const lk_samples_args *a, uint32_t i) {
    uint32_t x = i % a->resolution, y = i / a->resolution % a->resolution, n = i / a->resolution / a->resolution;
    const lk_nn_sample *s = &a->samples[n];
    const uint8_t *picture = a->bytes + s->picture;
    const float(*m)[3] = s->to_picture;
    float u = m[0][0] * (float)x + m[0][1] * (float)y + m[0][2], v = m[1][0] * (float)x + m[1][1] * (float)y + m[1][2];
    float du, dv, rgb[3];
    lk_displacement(&s->warp, u, v, &du, &dv);
    lk_picture_at(picture, s->side, u + du, v + dv, rgb);
    lk_put_color(s, a->warped, i, rgb);
    lk_picture_at(picture, s->side, u, v, rgb);
    lk_put_color(s, a->target, i, rgb);
    int masked = s->mask != LK_NN_NO_PICTURE;
    float face = masked ? lk_mask_at(a->bytes + s->mask, s->side, u, v) : lk_covered(a, n, y, x, 0);
    lk_put(a->mask, i, face);
    if (a->features.data) lk_put(a->features, i, (masked ? face : 1) * lk_covered(a, n, y, x, LK_NN_SHAPES / 2));
}

#endif
