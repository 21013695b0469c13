#include "blend.h"

#include <math.h>

#define ALPHA_SIDE 256          /* pixels of the grid that masks are worked on, at least */
#define TAIL       0.02275      /* of a Gaussian beyond two deviations: the fade's ends are cut there */
#define VISIBLE    (1.0 / 1024) /* a smaller share of a pixel changes nothing */
#define MAX_RATIO  2.0          /* of deviations in the colour transfer: a flat prediction is not blown up into noise */

/* Pixels of one grid over a square to those of another, borders on borders. */
static lk_affine between_grids(int from, int to) {
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

static bool multiply_by_hull(lk_image *alpha, const lk_landmarks *points, lk_affine frame_to_alpha, lk_error *err) {
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

bool lk_transfer_color(lk_image *image, const lk_image *like, const lk_image *weights, lk_error *err) {
    lk_image target;
    if (!lk_image_copy(like, &target, err)) return false;
    lk_image_rgb_to_lab(&target);
    lk_image_rgb_to_lab(image);
    double from[4], from_std[4], to[4], to_std[4];
    lk_image_mean_std(image, weights, from, from_std);
    lk_image_mean_std(&target, weights, to, to_std);
    lk_image_free(&target);
    for (int c = 0; c < 3; c++) {
        double ratio = from_std[c] > 1e-6 ? to_std[c] / from_std[c] : 1;
        ratio = fmin(fmax(ratio, 1 / MAX_RATIO), MAX_RATIO);
        float a = (float)ratio, b = (float)(to[c] - ratio * from[c]);
        for (int y = 0; y < image->height; y++)
            for (int x = 0; x < image->width; x++) {
                float *v = &lk_row_f32(image, y)[3 * x + c];
                *v = a * *v + b;
            }
    }
    lk_image_lab_to_rgb(image);
    return true;
}

/* What shows of the face and is face in dst too: background inside the mask would spoil the statistics. */
static bool match_colors(lk_blend *b, const lk_image *original, const lk_landmarks *points, lk_error *err) {
    lk_image fine = {0}, weights = {0};
    bool ok = lk_image_copy(&b->alpha, &fine, err) && multiply_by_hull(&fine, points, b->frame_to_alpha, err) &&
              lk_image_alloc(&weights, original->width, original->height, 1, LK_F32, err) &&
              lk_image_resize(&fine, &weights, LK_AREA, err);
    double mean[4], std[4];
    if (ok) lk_image_mean_std(&weights, NULL, mean, std);
    if (ok && mean[0] < 1e-3) ok = lk_image_resize(&b->alpha, &weights, LK_AREA, err);
    ok = ok && lk_transfer_color(&b->face, original, &weights, err);
    lk_image_free(&fine);
    lk_image_free(&weights);
    return ok;
}

/* Where the crop has more pixels than the frame, the face is smoothed first, as if it had been averaged down. */
static bool smooth_for_frame(lk_image *face, lk_affine frame_to_crop, lk_error *err) {
    double a = frame_to_crop.m[0][0], b = frame_to_crop.m[1][0], scale = sqrt(a * a + b * b);
    return scale <= 1 || lk_image_blur(face, 0.5 * sqrt(scale * scale - 1), err);
}

bool lk_blend_prepare(lk_blend *b, const lk_image *prediction, const lk_image *mask, const lk_image *original,
                      lk_affine frame_to_crop, const lk_landmarks *points, const lk_composite_options *o,
                      lk_error *err) {
    *b = (lk_blend){.frame_to_face = frame_to_crop};
    int n = prediction->width, side = n < ALPHA_SIDE ? ALPHA_SIDE : n;
    b->frame_to_alpha = lk_affine_multiply(between_grids(n, side), frame_to_crop);
    if (!lk_image_alloc(&b->alpha, side, side, 1, LK_F32, err)) return false;
    if (o->mask == LK_MASK_HULL) {
        for (int i = 0; i < side * side; i++) ((float *)b->alpha.data)[i] = 1;
    } else {
        if (!mask || !mask->data) return lk_fail(err, LK_ERR_USAGE, "this model predicts no mask; use --mask hull");
        if (!predicted_mask(mask, &b->alpha, err)) return false;
    }
    if (o->mask != LK_MASK_PREDICTED && !multiply_by_hull(&b->alpha, points, b->frame_to_alpha, err)) return false;
    if (!shape_mask(&b->alpha, o, err) || !lk_image_copy(prediction, &b->face, err)) return false;
    if (o->color == LK_COLOR_RCT && !match_colors(b, original, points, err)) return false;
    return smooth_for_frame(&b->face, frame_to_crop, err);
}

lk_rect lk_crop_window(lk_affine frame_to_crop, double x0, double y0, double x1, double y1, int frame_width,
                       int frame_height) {
    lk_affine back;
    if (!(x0 <= x1 && y0 <= y1) || !lk_affine_invert(frame_to_crop, &back)) return (lk_rect){0};
    double left = INFINITY, top = INFINITY, right = -INFINITY, bottom = -INFINITY;
    for (int i = 0; i < 4; i++) {
        lk_point p = lk_affine_apply(back, (lk_point){(float)(i & 1 ? x1 : x0), (float)(i & 2 ? y1 : y0)});
        left = fmin(left, (double)p.x);
        right = fmax(right, (double)p.x);
        top = fmin(top, (double)p.y);
        bottom = fmax(bottom, (double)p.y);
    }
    if (!(right >= 0) || !(bottom >= 0) || !(left <= frame_width - 1) || !(top <= frame_height - 1))
        return (lk_rect){0};
    int l = (int)fmax(floor(left), 0) & ~1, t = (int)fmax(floor(top), 0) & ~1;
    int r = ((int)fmin(ceil(right), frame_width - 1) + 2) & ~1,
        d = ((int)fmin(ceil(bottom), frame_height - 1) + 2) & ~1;
    if (r > frame_width) r = frame_width;
    if (d > frame_height) d = frame_height;
    return (lk_rect){l, t, r - l, d - t};
}

lk_rect lk_blend_window(const lk_blend *b, int frame_width, int frame_height) {
    const lk_image *a = &b->alpha;
    int x0 = a->width, y0 = a->height, x1 = -1, y1 = -1;
    for (int y = 0; y < a->height; y++)
        for (int x = 0; x < a->width; x++)
            if ((double)lk_row_f32(a, y)[x] > VISIBLE) {
                if (x < x0) x0 = x;
                if (x > x1) x1 = x;
                if (y < y0) y0 = y;
                y1 = y;
            }
    if (x1 < 0) return (lk_rect){0};
    return lk_crop_window(b->frame_to_alpha, x0 - 1, y0 - 1, x1 + 1, y1 + 1, frame_width, frame_height);
}

static LK_HOT void blend_row(float *restrict frame, const float *restrict face, const float *restrict alpha, int n) {
    for (int x = 0; x < n; x++)
        for (int c = 0; c < 3; c++) {
            float v = face[3 * x + c];
            v = v > 0 ? v : 0;
            v = v < 1 ? v : 1;
            frame[3 * x + c] += (v - frame[3 * x + c]) * alpha[x];
        }
}

bool lk_blend_apply(const lk_blend *b, lk_image *frame, lk_rect window, lk_error *err) {
    lk_affine into = {{{1, 0, -window.x}, {0, 1, -window.y}}}, face_to_frame, alpha_to_frame;
    if (!lk_affine_invert(b->frame_to_face, &face_to_frame) || !lk_affine_invert(b->frame_to_alpha, &alpha_to_frame))
        return lk_fail(err, LK_ERR_FORMAT, "the alignment of this face cannot be inverted");
    lk_image face = {0}, alpha = {0};
    bool ok = lk_image_alloc(&face, window.width, window.height, 3, LK_F32, err) &&
              lk_image_alloc(&alpha, window.width, window.height, 1, LK_F32, err) &&
              lk_image_warp_affine(&b->face, &face, lk_affine_multiply(into, face_to_frame), LK_BICUBIC,
                                   LK_BORDER_REPLICATE, err) &&
              lk_image_warp_affine(&b->alpha, &alpha, lk_affine_multiply(into, alpha_to_frame), LK_BILINEAR,
                                   LK_BORDER_CONSTANT, err);
    for (int y = 0; ok && y < window.height; y++)
        blend_row(lk_row_f32(frame, y), lk_row_f32(&face, y), lk_row_f32(&alpha, y), window.width);
    lk_image_free(&face);
    lk_image_free(&alpha);
    return ok;
}

void lk_blend_free(lk_blend *b) {
    lk_image_free(&b->face);
    lk_image_free(&b->alpha);
}

static bool is_float_square(const lk_image *image, int side, int channels) {
    return image->type == LK_F32 && image->channels == channels && image->width == side && image->height == side;
}

bool lk_composite(lk_image *frame, lk_rect window, const lk_image *prediction, const lk_image *mask,
                  const lk_image *original, lk_affine frame_to_crop, const lk_landmarks *points,
                  const lk_composite_options *o, lk_error *err) {
    int n = prediction->width;
    if (frame->type != LK_F32 || frame->channels != 3 || frame->width != window.width || frame->height != window.height)
        return lk_fail(err, LK_ERR_USAGE, "the window to composite into must be float RGB of %d×%d pixels",
                       window.width, window.height);
    if (!is_float_square(prediction, n, 3) || !is_float_square(original, n, 3) ||
        (mask && mask->data && !is_float_square(mask, n, 1)))
        return lk_fail(err, LK_ERR_USAGE, "prediction, mask and original must be float squares of one size");
    lk_blend b;
    bool ok = lk_blend_prepare(&b, prediction, mask, original, frame_to_crop, points, o, err) &&
              lk_blend_apply(&b, frame, window, err);
    lk_blend_free(&b);
    return ok;
}
