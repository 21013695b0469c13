#include "mask.h"

#include <math.h>

#define ALPHA_SIDE 256     /* pixels of the grid, at least */
#define TAIL       0.02275 /* of a Gaussian beyond two deviations: the fade's ends are cut there */

int lk_mask_side(int resolution) { return resolution < ALPHA_SIDE ? ALPHA_SIDE : resolution; }

lk_affine lk_between_grids(int from, int to) {
    double s = (double)to / from, shift = 0.5 * s - 0.5;
    return (lk_affine){{{s, 0, shift}, {0, s, shift}}};
}

/* The predicted mask on the fine grid: what is nearly nothing becomes nothing, what is nearly all becomes all. */
static bool predicted_mask(const lk_image *mask, lk_image *alpha, lk_error *err) {
    if (!lk_image_resize(mask, alpha, LK_BICUBIC, err)) return false;
    for (int y = 0; y < alpha->height; y++)
        for (int x = 0; x < alpha->width; x++) {
            float *v = &lk_row_f32(alpha, y)[x];
            *v = fminf(fmaxf((*v - 0.1f) * 1.25f, 0), 1);
        }
    return true;
}

bool lk_mask_multiply_hull(lk_image *alpha, const lk_landmarks *points, lk_affine frame_to_alpha, lk_error *err) {
    lk_image hull = {0};
    lk_landmarks on_grid = lk_landmarks_transform(points, frame_to_alpha);
    bool ok = lk_image_alloc(&hull, alpha->width, alpha->height, 1, LK_F32, err) && lk_face_hull(&on_grid, &hull, err);
    for (int y = 0; ok && y < alpha->height; y++)
        for (int x = 0; x < alpha->width; x++) lk_row_f32(alpha, y)[x] *= lk_row_f32(&hull, y)[x];
    lk_image_free(&hull);
    return ok;
}

static void clear_border(lk_image *alpha, int border) {
    int n = alpha->width;
    for (int y = 0; y < n; y++)
        for (int x = 0; x < n; x++)
            if (x < border || y < border || x >= n - border || y >= n - border) lk_row_f32(alpha, y)[x] = 0;
}

/* Erode, then fade inwards: a Gaussian of a quarter of the fade's width, centred half of it inside the border and cut
 * at two deviations, so that it begins and ends exactly. */
static bool shape_mask(lk_image *alpha, const lk_composite_options *o, lk_error *err) {
    double mean[4], std[4];
    lk_image_mean_std(alpha, NULL, mean, std);
    double size = sqrt(mean[0]) * alpha->width, fade = fmax(o->blur, 0) / 100 * size, sigma = fade / 4;
    int shrink = (int)lrint(o->erode / 100 * size + fade / 2);
    bool ok = shrink >= 0 ? lk_image_erode(alpha, shrink, err) : lk_image_dilate(alpha, -shrink, err);
    /* The blur mirrors what lies beyond the crop; at 2.3 deviations from the border both tails together are cut. */
    int border = (int)ceil(2.3 * sigma) + 1;
    if (border > alpha->width / 2) border = alpha->width / 2;
    clear_border(alpha, border);
    if (!ok || sigma <= 0) return ok;
    if (!lk_image_blur(alpha, sigma, err)) return false;
    for (int y = 0; y < alpha->height; y++)
        for (int x = 0; x < alpha->width; x++) {
            float *v = &lk_row_f32(alpha, y)[x];
            *v = fminf(fmaxf((*v - (float)TAIL) / (float)(1 - 2 * TAIL), 0), 1);
        }
    return true;
}

bool lk_mask_make(lk_image *alpha, const lk_image *mask, const lk_landmarks *points, lk_affine frame_to_alpha,
                  const lk_composite_options *o, lk_error *err) {
    if (o->mask == LK_MASK_HULL) {
        for (int i = 0; i < alpha->width * alpha->height; i++) ((float *)alpha->data)[i] = 1;
    } else {
        if (!mask || !mask->data) return lk_fail(err, LK_ERR_USAGE, "this model predicts no mask; use --mask hull");
        if (!predicted_mask(mask, alpha, err)) return false;
    }
    if (o->mask != LK_MASK_PREDICTED && !lk_mask_multiply_hull(alpha, points, frame_to_alpha, err)) return false;
    return shape_mask(alpha, o, err);
}
