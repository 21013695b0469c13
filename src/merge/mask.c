#include "mask.h"

#include <math.h>

#include "blend.h"

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

unsigned lk_masks_needed(const lk_composite_options *o) {
    unsigned needed = o->cut == LK_CUT_NONE ? 0 : 1u << o->cut;
    return o->mask < LK_MASK_SEGMENTED ? needed : needed | 1u << (o->mask - LK_MASK_SEGMENTED + LK_CUT_SEGMENTED);
}

/* The face's shape, of what the faces file has, or else the hull. */
static bool given_mask(lk_image *alpha, const lk_image *given, const lk_landmarks *points, lk_affine frame_to_alpha,
                       lk_error *err) {
    for (int i = 0; i < alpha->width * alpha->height; i++)
        ((float *)alpha->data)[i] = given && given->data ? (float)((const uint8_t *)given->data)[i] / 255 : 1;
    return (given && given->data) || lk_mask_multiply_hull(alpha, points, frame_to_alpha, err);
}

/* What lies before the face stays where it is in the frame, even where the face is enlarged. */
static bool cut_away(lk_image *alpha, const lk_image *cut, double scale, lk_error *err) {
    lk_image moved = {0};
    const lk_affine same = {{{1, 0, 0}, {0, 1, 0}}};
    if (scale != 0 && (!lk_image_alloc(&moved, alpha->width, alpha->height, 1, LK_U8, err) ||
                       !lk_image_warp_affine(cut, &moved, lk_output_grid(same, alpha->width, scale), LK_BILINEAR,
                                             LK_BORDER_REPLICATE, err))) {
        lk_image_free(&moved);
        return false;
    }
    const uint8_t *left = moved.data ? moved.data : cut->data;
    for (int i = 0; i < alpha->width * alpha->height; i++) ((float *)alpha->data)[i] *= (float)left[i] / 255;
    lk_image_free(&moved);
    return true;
}

bool lk_mask_make(lk_image *alpha, const lk_image *mask, const lk_image *masks, const lk_landmarks *points,
                  lk_affine frame_to_alpha, const lk_composite_options *o, lk_error *err) {
    bool ok;
    if (o->mask == LK_MASK_PREDICTED || o->mask == LK_MASK_PRODUCT) {
        if (!mask || !mask->data) return lk_fail(err, LK_ERR_USAGE, "this model predicts no mask; use --mask hull");
        ok = predicted_mask(mask, alpha, err) &&
             (o->mask == LK_MASK_PREDICTED || lk_mask_multiply_hull(alpha, points, frame_to_alpha, err));
    } else {
        const lk_image *given =
            masks && o->mask >= LK_MASK_SEGMENTED ? &masks[o->mask - LK_MASK_SEGMENTED + LK_CUT_SEGMENTED] : NULL;
        ok = given_mask(alpha, given, points, frame_to_alpha, err);
    }
    return ok && shape_mask(alpha, o, err);
}

bool lk_mask_cut(lk_image *alpha, const lk_image *masks, int cut, double scale, lk_error *err) {
    return !masks || cut == LK_CUT_NONE || !masks[cut].data || cut_away(alpha, &masks[cut], scale, err);
}
