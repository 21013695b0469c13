#include "blend.h"

#include <math.h>
#include <string.h>

#include "color.h"
#include "finish.h"
#include "mask.h"
#include "poisson.h"

#define VISIBLE   (1.0 / 1024) /* a smaller share of a pixel changes nothing */
#define MAX_RATIO 2.0          /* by which a deviation of the colours of some pixels is brought to that of all */

bool lk_mode_is_raw(int mode) { return mode >= LK_MODE_RAW_FACE; }
bool lk_mode_shows_all(int mode) { return mode == LK_MODE_RAW_FACE || mode == LK_MODE_RAW_PREDICTION; }
bool lk_mode_on_black(int mode) { return mode > LK_MODE_RAW_FACE; }

bool lk_is_seamless(int mode) { return mode == LK_MODE_SEAMLESS || mode == LK_MODE_SEAMLESS_HIST_MATCH; }

bool lk_needs_under(const lk_composite_options *o) {
    return o->scale != 0 && (lk_is_seamless(o->mode) || o->super_resolution > 0);
}

lk_affine lk_output_grid(lk_affine frame_to_crop, int side, double percent) {
    if (percent == 0) return frame_to_crop;
    double s = 1 / (1 + percent / 100), shift = 0.5 * side * (1 - s);
    return lk_affine_multiply((lk_affine){{{s, 0, shift}, {0, s, shift}}}, frame_to_crop);
}

/* ---- Prepare --------------------------------------------------------------------------------------------- */

/* What counts for colours: the whole crop, or what shows of the face and is face in dst too (background inside the mask
 * would spoil the statistics). `weights` stays without an image for the whole. */
static bool color_weights(const lk_blend *b, const lk_face_images *f, const lk_composite_options *o, lk_image *weights,
                          lk_error *err) {
    *weights = (lk_image){0};
    if (o->whole_color) return true;
    lk_image fine = {0};
    int n = f->original->width;
    lk_affine crop_to_alpha = lk_affine_multiply(lk_between_grids(n, b->alpha.width), f->frame_to_crop);
    double mean[4], std[4];
    bool ok = lk_image_copy(&b->alpha, &fine, err) && lk_mask_multiply_hull(&fine, f->points, crop_to_alpha, err) &&
              lk_mask_cut(&fine, f->masks, o->cut, 0, err) && lk_image_alloc(weights, n, n, 1, LK_F32, err) &&
              lk_image_resize(&fine, weights, LK_AREA, err);
    if (ok) lk_image_mean_std(weights, NULL, mean, std);
    if (ok && mean[0] < 1e-3) ok = lk_image_resize(&b->alpha, weights, LK_AREA, err);
    lk_image_free(&fine);
    return ok;
}

bool lk_matches_colors(const lk_composite_options *o) {
    return !lk_mode_is_raw(o->mode) &&
           (o->color != LK_COLOR_NONE || (o->mode != LK_MODE_OVERLAY && o->mode != LK_MODE_SEAMLESS));
}

bool lk_blend_colors(const lk_blend *b, const lk_face_images *f, const lk_composite_options *o, lk_colors *colors,
                     lk_error *err) {
    lk_image weights;
    double mean[4], std[4], share[4] = {1}, unused[4];
    if (!color_weights(b, f, o, &weights, err)) return false;
    if (weights.data) lk_image_mean_std(&weights, NULL, share, unused);
    lk_image_mean_std(f->original, weights.data ? &weights : NULL, mean, std);
    colors->known = share[0] > 0;
    for (int c = 0; c < 3; c++) {
        colors->mean[c] = mean[c];
        colors->std[c] = std[c];
    }
    lk_image_free(&weights);
    return true;
}

/* What the prediction is matched to: dst's colours over the frames around, their mean and deviation exact. */
static bool steady_target(const lk_face_images *f, const lk_image *weights, lk_image *target, lk_error *err) {
    const lk_colors *steady = f->steady;
    if (!lk_image_copy(f->pool, target, err)) return false;
    double mean[4], std[4];
    float gain[3], shift[3], *v = target->data;
    lk_image_mean_std(target, weights, mean, std);
    for (int c = 0; c < 3; c++) {
        double ratio = std[c] > 1e-6 ? fmin(fmax(steady->std[c] / std[c], 1 / MAX_RATIO), MAX_RATIO) : 1;
        gain[c] = (float)ratio;
        shift[c] = (float)(steady->mean[c] - ratio * mean[c]);
    }
    for (int i = 0; i < target->width * target->height; i++)
        for (int c = 0; c < 3; c++) v[3 * i + c] = gain[c] * v[3 * i + c] + shift[c];
    return true;
}

/* The face's own gradients hold up to the middle of the mask's fade: its end may lie on what is behind the face already,
 * the colour of which would flow into all of it. */
static bool clone(lk_image *face, const lk_blend *b, const lk_image *under, lk_error *err) {
    lk_image inside;
    if (!lk_image_alloc(&inside, face->width, face->height, 1, LK_F32, err)) return false;
    bool ok = lk_image_resize(&b->alpha, &inside, LK_AREA, err);
    for (int i = 0; ok && i < face->width * face->height; i++) {
        float *v = &((float *)inside.data)[i];
        *v = *v > 0.5f ? 1 : 0;
    }
    ok = ok && lk_poisson_clone(face, under, &inside, err);
    lk_image_free(&inside);
    return ok;
}

static bool correct(lk_image *face, const lk_blend *b, const lk_face_images *f, const lk_image *target,
                    const lk_image *weights, const lk_composite_options *o, lk_error *err) {
    const lk_image *w = weights->data ? weights : NULL;
    if (!lk_transfer_color(face, target, w, o->color, err)) return false;
    if (lk_is_seamless(o->mode) && !clone(face, b, f->boundary ? f->boundary : f->under ? f->under : f->original, err))
        return false;
    if (o->mode == LK_MODE_HIST_MATCH || o->mode == LK_MODE_SEAMLESS_HIST_MATCH) lk_match_histograms(face, target, w);
    return o->mode != LK_MODE_HIST_MATCH_BW || lk_match_luma(face, target, w, err);
}

bool lk_blend_mask(lk_blend *b, const lk_face_images *f, const lk_composite_options *o, lk_error *err) {
    int n = f->prediction->width, side = lk_mask_side(n);
    *b = (lk_blend){.mode = o->mode, .frame_to_face = lk_output_grid(f->frame_to_crop, n, o->scale)};
    lk_affine to_alpha = lk_between_grids(n, side);
    b->frame_to_alpha = lk_affine_multiply(to_alpha, b->frame_to_face);
    if (!lk_image_alloc(&b->alpha, side, side, 1, LK_F32, err)) return false;
    if (!lk_mode_shows_all(o->mode))
        return lk_mask_make(&b->alpha, f->mask, f->masks, f->points, lk_affine_multiply(to_alpha, f->frame_to_crop), o,
                            err);
    for (int i = 0; i < side * side; i++) ((float *)b->alpha.data)[i] = 1;
    return true;
}

bool lk_blend_correct(lk_blend *b, const lk_face_images *f, const lk_composite_options *o, lk_error *err) {
    if (!lk_image_copy(f->prediction, &b->face, err)) return false;
    if (lk_mode_is_raw(o->mode)) return true;
    if (o->super_resolution > 0 && !lk_image_copy(f->under ? f->under : f->original, &b->original, err)) return false;
    if (o->color == LK_COLOR_NONE && o->mode == LK_MODE_OVERLAY) return true;
    lk_image weights = {0}, target = {0};
    bool steady = lk_matches_colors(o) && f->pool && f->steady && f->steady->known;
    bool ok = color_weights(b, f, o, &weights, err) &&
              (!steady || steady_target(f, weights.data ? &weights : NULL, &target, err)) &&
              correct(&b->face, b, f, steady ? &target : f->original, &weights, o, err);
    lk_image_free(&weights);
    lk_image_free(&target);
    return ok;
}

/* ---- Finish ---------------------------------------------------------------------------------------------- */

/* Where the crop has more pixels than the frame, the face is smoothed first, as if it had been averaged down. */
static bool smooth_for_frame(lk_image *face, lk_affine frame_to_face, lk_error *err) {
    double a = frame_to_face.m[0][0], b = frame_to_face.m[1][0], scale = sqrt(a * a + b * b);
    return scale <= 1 || lk_image_blur(face, 0.5 * sqrt(scale * scale - 1), err);
}

bool lk_blend_finish(lk_blend *b, const lk_composite_options *o, const lk_affine *before, const lk_affine *after,
                     lk_error *err) {
    if (lk_mode_is_raw(b->mode)) return smooth_for_frame(&b->face, b->frame_to_face, err);
    if (!lk_sharpen(&b->face, o->sharpen / 100, o->sharpen_kernel == 1, err)) return false;
    if (o->motion_blur > 0 && before && after && !lk_motion_blur(&b->face, *before, *after, o->motion_blur / 100, err))
        return false;
    return smooth_for_frame(&b->face, b->frame_to_face, err);
}

/* ---- Into the frame -------------------------------------------------------------------------------------- */

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

/* The frame's detail that the crop cannot hold, on top of the face. */
static bool add_detail(lk_image *face, const lk_blend *b, const lk_image *frame, lk_affine to_window, double amount,
                       lk_error *err) {
    lk_image coarse;
    if (!lk_image_alloc(&coarse, face->width, face->height, 3, LK_F32, err)) return false;
    bool ok = lk_image_warp_affine(&b->original, &coarse, to_window, LK_BICUBIC, LK_BORDER_REPLICATE, err);
    for (int y = 0; ok && y < face->height; y++) {
        float *v = lk_row_f32(face, y);
        const float *fine = lk_row_f32(frame, y), *low = lk_row_f32(&coarse, y);
        for (int i = 0; i < 3 * face->width; i++) v[i] += (float)amount * (fine[i] - low[i]);
    }
    lk_image_free(&coarse);
    return ok;
}

/* The noise that the frame has here and the face lacks. */
static bool match_grain(lk_image *face, const lk_image *frame, const lk_image *alpha, double amount, uint64_t seed,
                        lk_error *err) {
    double there = lk_noise_level(frame, alpha, err), here = there < 0 ? -1 : lk_noise_level(face, alpha, err);
    if (here < 0) return false;
    if (there > here) lk_add_grain(face, alpha, amount * sqrt(there * there - here * here), seed, 0);
    return true;
}

static void show(lk_image *shown, const lk_image *alpha) {
    for (int y = 0; y < alpha->height; y++)
        for (int x = 0; x < alpha->width; x++) {
            float *v = &lk_row_f32(shown, y)[x];
            *v = fmaxf(*v, lk_row_f32(alpha, y)[x]);
        }
}

static bool dress(const lk_blend *b, lk_image *face, const lk_image *alpha, const lk_image *frame, lk_affine to_window,
                  const lk_composite_options *o, uint64_t seed, lk_error *err) {
    if (b->mode == LK_MODE_RAW_MASK)
        for (int i = 0; i < face->width * face->height * 3; i++) ((float *)face->data)[i] = 1;
    if (lk_mode_is_raw(b->mode)) return true;
    if (b->original.data && !add_detail(face, b, frame, to_window, o->super_resolution / 100, err)) return false;
    return !(o->grain > 0) || match_grain(face, frame, alpha, o->grain / 100, seed, err);
}

bool lk_blend_apply(const lk_blend *b, lk_image *frame, lk_rect window, const lk_composite_options *o, uint64_t seed,
                    lk_image *shown, lk_error *err) {
    lk_affine into = {{{1, 0, -window.x}, {0, 1, -window.y}}}, face_to_frame, alpha_to_frame;
    if (!lk_affine_invert(b->frame_to_face, &face_to_frame) || !lk_affine_invert(b->frame_to_alpha, &alpha_to_frame))
        return lk_fail(err, LK_ERR_FORMAT, "the alignment of this face cannot be inverted");
    lk_image face = {0}, alpha = {0};
    lk_affine to_window = lk_affine_multiply(into, face_to_frame);
    bool ok = lk_image_alloc(&face, window.width, window.height, 3, LK_F32, err) &&
              lk_image_alloc(&alpha, window.width, window.height, 1, LK_F32, err) &&
              lk_image_warp_affine(&b->face, &face, to_window, LK_BICUBIC, LK_BORDER_REPLICATE, err) &&
              lk_image_warp_affine(&b->alpha, &alpha, lk_affine_multiply(into, alpha_to_frame), LK_BILINEAR,
                                   LK_BORDER_CONSTANT, err) &&
              dress(b, &face, &alpha, frame, to_window, o, seed, err);
    for (int y = 0; ok && y < window.height; y++)
        blend_row(lk_row_f32(frame, y), lk_row_f32(&face, y), lk_row_f32(&alpha, y), window.width);
    if (ok && shown) show(shown, &alpha);
    lk_image_free(&face);
    lk_image_free(&alpha);
    return ok;
}

void lk_blend_free(lk_blend *b) {
    lk_image_free(&b->face);
    lk_image_free(&b->alpha);
    lk_image_free(&b->original);
}

static bool is_float_square(const lk_image *image, int side, int channels) {
    return image->type == LK_F32 && image->channels == channels && image->width == side && image->height == side;
}

/* dst's crop on the output's grid, from the window of the frame. */
static bool cut_under(const lk_image *frame, lk_rect window, lk_affine grid, int side, lk_image *under, lk_error *err) {
    lk_affine from_window = {{{1, 0, window.x}, {0, 1, window.y}}};
    return lk_image_alloc(under, side, side, 3, LK_F32, err) &&
           lk_image_warp_affine(frame, under, lk_affine_multiply(grid, from_window), LK_BICUBIC, LK_BORDER_REPLICATE,
                                err);
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
    lk_blend b = {0};
    lk_image under = {0};
    lk_face_images f = {
        .prediction = prediction, .mask = mask, .original = original, .frame_to_crop = frame_to_crop, .points = points};
    bool ok = true;
    if (lk_needs_under(o)) {
        ok = cut_under(frame, window, lk_output_grid(frame_to_crop, n, o->scale), n, &under, err);
        f.under = &under;
    }
    ok = ok && lk_blend_mask(&b, &f, o, err) && lk_blend_correct(&b, &f, o, err) &&
         lk_blend_finish(&b, o, NULL, NULL, err);
    for (int y = 0; ok && lk_mode_on_black(o->mode) && y < frame->height; y++)
        memset(lk_row_f32(frame, y), 0, (size_t)frame->width * 3 * sizeof(float));
    ok = ok && lk_blend_apply(&b, frame, window, o, 0, NULL, err);
    lk_blend_free(&b);
    lk_image_free(&under);
    return ok;
}
