#include <math.h>
#include <string.h>

#include "look.h"

#define BLACK 8 /* no channel is lighter */

/* Sums of the hue's direction, over all pixels. */
static double mean_hue(const lk_image *crop) {
    double x = 0, y = 0;
    for (int row = 0; row < crop->height; row++) {
        const uint8_t *p = lk_row_u8(crop, row);
        for (int i = 0; i < crop->width; i++, p += 3) {
            x += 2.0 * p[0] - p[1] - p[2];
            y += p[1] - p[2];
        }
    }
    double degrees = atan2(sqrt(3) * y, x) * 180 / M_PI;
    return isfinite(degrees) ? degrees : 0;
}

static double black_share(const lk_image *crop) {
    int64_t black = 0;
    for (int row = 0; row < crop->height; row++) {
        const uint8_t *p = lk_row_u8(crop, row);
        for (int i = 0; i < crop->width; i++, p += 3) black += p[0] <= BLACK && p[1] <= BLACK && p[2] <= BLACK;
    }
    return (double)black / ((double)crop->width * crop->height);
}

/* Energy of the second derivative along four directions inside the hull: what moves while the shutter is open loses it
 * along its way and keeps it across. Directions at right angles are compared, whose pixels are equally far apart. */
static double motion_blur(const lk_image *crop, const lk_image *mask) {
    static const int step[4][2] = {{1, 0}, {1, 1}, {0, 1}, {-1, 1}};
    double energy[4] = {0};
    for (int y = 1; y + 1 < crop->height; y++) {
        const float *inside = lk_row_f32(mask, y);
        const uint8_t *rows[3] = {lk_row_u8(crop, y - 1), lk_row_u8(crop, y), lk_row_u8(crop, y + 1)};
        for (int x = 1; x + 1 < crop->width; x++) {
            if (inside[x] <= 0) continue;
            for (int k = 0; k < 4; k++) {
                int dx = step[k][0], dy = step[k][1]; /* green stands for light */
                int v = rows[1 + dy][3 * (x + dx) + 1] - 2 * rows[1][3 * x + 1] + rows[1 - dy][3 * (x - dx) + 1];
                energy[k] += (double)v * v;
            }
        }
    }
    double even = 1;
    for (int k = 0; k < 2; k++) {
        double most = fmax(energy[k], energy[k + 2]);
        if (most > 0) even = fmin(even, fmin(energy[k], energy[k + 2]) / most);
    }
    return 1 - even;
}

/* Inside the hull; where that is empty, of the whole crop. */
static void histogram(const lk_image *crop, const lk_image *mask, float bins[3 * LK_HISTOGRAM_BINS]) {
    double count[3 * LK_HISTOGRAM_BINS] = {0}, total = 0;
    for (int pass = 0; pass < 2 && total == 0; pass++)
        for (int y = 0; y < crop->height; y++) {
            const float *inside = lk_row_f32(mask, y);
            const uint8_t *p = lk_row_u8(crop, y);
            for (int x = 0; x < crop->width; x++) {
                if (pass == 0 && inside[x] <= 0) continue;
                for (int c = 0; c < 3; c++) count[c * LK_HISTOGRAM_BINS + p[3 * x + c] * LK_HISTOGRAM_BINS / 256] += 1;
                total += 1;
            }
        }
    for (int i = 0; i < 3 * LK_HISTOGRAM_BINS; i++) bins[i] = (float)(count[i] / total);
}

static bool thumbnail(const lk_image *crop, uint8_t *pixels, lk_error *err) {
    const int n = LK_THUMBNAIL_SIDE;
    lk_image small = {.width = n,
                      .height = n,
                      .channels = 3,
                      .type = LK_U8,
                      .stride = 3 * (size_t)n,
                      .data = pixels,
                      .borrowed = true};
    return lk_image_resize(crop, &small, LK_AREA, err);
}

static bool look_at(const lk_image *crop, const lk_image *mask, lk_look *look, lk_error *err) {
    look->hue = mean_hue(crop);
    look->black = black_share(crop);
    look->motion_blur = motion_blur(crop, mask);
    histogram(crop, mask, look->histogram);
    return thumbnail(crop, look->thumbnail, err);
}

static bool hull_of(const lk_image *crop, const lk_landmarks *points, lk_image *mask, lk_error *err) {
    return lk_image_alloc(mask, crop->width, crop->height, 1, LK_F32, err) && lk_face_hull(points, mask, err);
}

bool lk_measure_look(const lk_image *crop, const lk_landmarks *points, lk_look *look, lk_error *err) {
    lk_image mask = {0};
    bool ok = hull_of(crop, points, &mask, err) && look_at(crop, &mask, look, err);
    lk_image_free(&mask);
    return ok;
}

bool lk_measure_crop(const lk_image *crop, lk_face *face, lk_look *look, lk_error *err) {
    lk_image mask = {0}, lab = {0};
    bool ok = hull_of(crop, &face->crop_points, &mask, err) && lk_image_convert(crop, LK_F32, &lab, err) &&
              look_at(crop, &mask, look, err);
    if (ok) {
        face->sharpness = (float)lk_image_sharpness(crop, &mask);
        lk_image_rgb_to_lab(&lab);
        double mean[4], std[4];
        lk_image_mean_std(&lab, &mask, mean, std);
        for (int i = 0; i < 3; i++) {
            face->mean[i] = isfinite(mean[i]) ? (float)mean[i] : 0;
            face->std[i] = isfinite(std[i]) ? (float)std[i] : 0;
        }
        face->brightness = face->mean[0] / 100;
        if (!isfinite(face->sharpness)) face->sharpness = 0;
    }
    lk_image_free(&mask);
    lk_image_free(&lab);
    return ok;
}
