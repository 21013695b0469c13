/* One sample: the face turned, scaled, shifted and perhaps mirrored; the network's input warped as well. Every picture
 * is resampled once, straight from the stored crop. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_RATIO 2 /* of deviations, when colours are transferred */
#define MASK_TIMES 2 /* the hull is filled at so many times the resolution and averaged */

struct lk_sample_room {
    int resolution;
    lk_image map, fine_mask;
};

lk_sample_room *lk_sample_room_new(int resolution, lk_error *err) {
    lk_sample_room *r = lk_alloc(1, sizeof *r, err);
    if (!r) return NULL;
    r->resolution = resolution;
    r->map = (lk_image){resolution, resolution, 2, LK_F32, 2 * sizeof(float) * (size_t)resolution, NULL, false};
    r->map.data = lk_alloc((size_t)resolution * (size_t)resolution, 2 * sizeof(float), err);
    int fine = MASK_TIMES * resolution;
    if (r->map.data && lk_image_alloc(&r->fine_mask, fine, fine, 1, LK_F32, err)) return r;
    lk_sample_room_free(r);
    return NULL;
}

void lk_sample_room_free(lk_sample_room *r) {
    if (!r) return;
    free(r->map.data);
    lk_image_free(&r->fine_mask);
    free(r);
}

static void draw_warp(lk_nn_warp *g, int side, double strength, lk_rng *rng) {
    *g = (lk_nn_warp){.cells = 2 << lk_rng_below(rng, 3)};
    g->cell = (float)side / (float)g->cells; /* exact: those are 2, 4 or 8 */
    for (int y = 1; y < g->cells; y++)
        for (int x = 1; x < g->cells; x++)
            for (int k = 0; k < 2; k++)
                g->node[y + 1][x + 1][k] =
                    (float)(fmin(fmax(0.24 * lk_rng_normal(rng), -1), 1) * (double)g->cell * strength);
}

/* Catmull–Rom: passes through the nodes and is smooth between them. */
static void catmull_rom(float t, float w[4]) {
    w[0] = ((-0.5f * t + 1.0f) * t - 0.5f) * t;
    w[1] = (1.5f * t - 2.5f) * t * t + 1.0f;
    w[2] = ((-1.5f * t + 2.0f) * t + 0.5f) * t;
    w[3] = (0.5f * t - 0.5f) * t * t;
}

/* For each pixel of the model's input the place in the crop that it shows. */
static LK_HOT void fill_map(lk_image *map, const lk_nn_warp *g, const lk_affine *model_to_crop) {
    const double(*m)[3] = model_to_crop->m;
    float cells = (float)g->cells, per_pixel = (float)(1 / (double)g->cell);
    for (int y = 0; y < map->height; y++) {
        float *row = lk_row_f32(map, y);
        for (int x = 0; x < map->width; x++) {
            float u = (float)(m[0][0] * x + m[0][1] * y + m[0][2]), v = (float)(m[1][0] * x + m[1][1] * y + m[1][2]);
            float gx = fminf(fmaxf((u + 0.5f) * per_pixel, 0), cells - 1e-3f);
            float gy = fminf(fmaxf((v + 0.5f) * per_pixel, 0), cells - 1e-3f);
            int ix = (int)gx, iy = (int)gy;
            float wx[4], wy[4], du = 0, dv = 0;
            catmull_rom(gx - (float)ix, wx);
            catmull_rom(gy - (float)iy, wy);
            for (int k = 0; k < 4; k++) {
                const float(*n)[2] = &g->node[iy + k][ix];
                du += wy[k] * (wx[0] * n[0][0] + wx[1] * n[1][0] + wx[2] * n[2][0] + wx[3] * n[3][0]);
                dv += wy[k] * (wx[0] * n[0][1] + wx[1] * n[1][1] + wx[2] * n[2][1] + wx[3] * n[3][1]);
            }
            row[2 * x] = u + du;
            row[2 * x + 1] = v + dv;
        }
    }
}

static lk_image view_of(float *data, int resolution, int channels) {
    return (lk_image){resolution, resolution, channels, LK_F32, sizeof(float) * (size_t)(resolution * channels),
                      data,       true};
}

static LK_HOT void clamp(float *v, size_t n) {
    for (size_t i = 0; i < n; i++) v[i] = fminf(fmaxf(v[i], 0), 1);
}

/* Reinhard et al. 2001: mean and deviation of each channel of Lab; v becomes a·v + b. */
static void color_line(const lk_pool_face *from, const lk_pool_face *to, float a[3], float b[3]) {
    for (int c = 0; c < 3; c++) {
        a[c] = from->std[c] > 1e-3f ? to->std[c] / from->std[c] : 1;
        a[c] = fminf(fmaxf(a[c], 1.0f / MOST_RATIO), MOST_RATIO);
        b[c] = to->mean[c] - a[c] * from->mean[c];
    }
}

static void transfer_colors(lk_image *rgb, const lk_pool_face *from, const lk_pool_face *to) {
    float a[3], b[3];
    color_line(from, to, a, b);
    lk_image_rgb_to_lab(rgb);
    for (int y = 0; y < rgb->height; y++) {
        float *row = lk_row_f32(rgb, y);
        for (int x = 0; x < 3 * rgb->width; x++) row[x] = a[x % 3] * row[x] + b[x % 3];
    }
    lk_image_lab_to_rgb(rgb);
}

static lk_affine draw_transform(const lk_pool_face *f, const lk_augment *a, lk_rng *rng) {
    double angle = lk_rng_uniform(rng, -10, 10) * 3.14159265358979323846 / 180;
    double scale = 1 + a->scale + lk_rng_uniform(rng, -0.05, 0.05);
    double tx = lk_rng_uniform(rng, -0.05, 0.05) * f->side, ty = lk_rng_uniform(rng, -0.05, 0.05) * f->side;
    bool mirror = (lk_rng_uniform(rng, 0, 1) < a->flip) != a->mirror;
    double c = cos(angle) * scale, s = sin(angle) * scale, middle = 0.5 * (f->side - 1);
    lk_affine turn = {{{c, s, middle - (c + s) * middle + tx}, {-s, c, middle - (c - s) * middle + ty}}};
    return lk_affine_multiply(mirror ? f->mirrored_to_model : f->to_model, turn);
}

/* Where the landmarks have gone, in pixels MASK_TIMES as fine. */
static lk_landmarks finer_points(const lk_pool_face *f, lk_affine crop_to_model) {
    const double k = MASK_TIMES, shift = 0.5 * k - 0.5;
    const lk_affine finer = {{{k, 0, shift}, {0, k, shift}}};
    return lk_landmarks_transform(&f->points, lk_affine_multiply(finer, crop_to_model));
}

/* A part of the face, with soft edges. */
static bool draw(lk_sample_room *r, bool (*part)(const lk_landmarks *, lk_image *, lk_error *), const lk_pool_face *f,
                 lk_affine crop_to_model, float *mask, lk_error *err) {
    lk_landmarks points = finer_points(f, crop_to_model);
    lk_image coarse = view_of(mask, r->resolution, 1);
    return part(&points, &r->fine_mask, err) && lk_image_resize(&r->fine_mask, &coarse, LK_AREA, err);
}

/* Where it is face, and of that eyes and mouth: within the face's own mask, or the hull. */
static bool draw_masks(lk_sample_room *r, const lk_pool_face *f, lk_affine crop_to_model, float *mask, float *features,
                       lk_error *err) {
    lk_image coarse = view_of(mask, r->resolution, 1);
    bool ok = f->mask.data
                  ? lk_image_warp_affine(&f->mask, &coarse, crop_to_model, LK_BILINEAR, LK_BORDER_CONSTANT, err)
                  : draw(r, lk_face_hull, f, crop_to_model, mask, err);
    if (!ok || !features) return ok;
    if (!draw(r, lk_face_features, f, crop_to_model, features, err)) return false;
    for (int i = 0; f->mask.data && i < r->resolution * r->resolution; i++) features[i] *= mask[i];
    return true;
}

/* All that is random in a sample. */
typedef struct decision {
    lk_affine crop_to_model, model_to_crop;
    lk_nn_warp warp;
} decision;

static bool decide(const lk_pool_face *f, const lk_augment *a, lk_rng *rng, decision *d, lk_error *err) {
    d->crop_to_model = draw_transform(f, a, rng);
    draw_warp(&d->warp, f->side, a->warp, rng);
    return lk_affine_invert(d->crop_to_model, &d->model_to_crop) ||
           lk_fail(err, LK_ERR_FORMAT, "face %lld cannot be aligned", (long long)f->id);
}

bool lk_sample_make(lk_sample_room *r, const lk_pool_face *f, const lk_image *crop, const lk_augment *a, lk_rng *rng,
                    float *warped, float *target, float *mask, float *features, lk_error *err) {
    size_t pixels = (size_t)r->resolution * (size_t)r->resolution;
    decision d;
    if (!decide(f, a, rng, &d, err)) return false;
    fill_map(&r->map, &d.warp, &d.model_to_crop);
    lk_image to = view_of(warped, r->resolution, 3), plain = view_of(target, r->resolution, 3);
    if (!lk_image_remap(crop, &to, &r->map, LK_BICUBIC, LK_BORDER_REPLICATE, err) ||
        !lk_image_warp_affine(crop, &plain, d.crop_to_model, LK_BICUBIC, LK_BORDER_REPLICATE, err))
        return false;
    clamp(warped, 3 * pixels);
    clamp(target, 3 * pixels);
    if (a->colors_of) {
        transfer_colors(&to, f, a->colors_of);
        transfer_colors(&plain, f, a->colors_of);
    }
    return draw_masks(r, f, d.crop_to_model, mask, features, err);
}

/* `shapes` become those from `first` on. */
static void take_shapes(lk_nn_sample *s, int first, const lk_face_shapes *shapes) {
    int at = 0, count = 0;
    for (int i = 0; i < first; i++) at += s->corners[i];
    for (int i = 0; i < (int)LK_COUNT(shapes->corners); i++) count += s->corners[first + i] = shapes->corners[i];
    for (int i = 0; i < count; i++) {
        s->corner[at + i][0] = shapes->corner[i].x;
        s->corner[at + i][1] = shapes->corner[i].y;
    }
}

bool lk_sample_describe(const lk_pool_face *f, const lk_augment *a, lk_rng *rng, bool features, lk_nn_sample *s,
                        lk_error *err) {
    decision d;
    lk_face_shapes shapes;
    _Static_assert(2 * LK_COUNT(shapes.corner) <= LK_NN_CORNERS, "corners of a sample");
    if (!decide(f, a, rng, &d, err)) return false;
    memset(s, 0, sizeof *s);
    s->picture = s->mask = LK_NN_NO_PICTURE;
    s->side = f->side;
    for (int i = 0; i < 6; i++) s->to_picture[i / 3][i % 3] = (float)d.model_to_crop.m[i / 3][i % 3];
    s->warp = d.warp;
    s->recolor = a->colors_of != NULL;
    if (a->colors_of) color_line(f, a->colors_of, s->gain, s->shift);
    lk_landmarks points = finer_points(f, d.crop_to_model);
    if (!f->mask.data) {
        if (!lk_face_hull_shapes(&points, &shapes, err)) return false;
        take_shapes(s, 0, &shapes);
    }
    if (!features) return true;
    if (!lk_face_feature_shapes(&points, &shapes, err)) return false;
    take_shapes(s, LK_NN_SHAPES / 2, &shapes);
    return true;
}

bool lk_sample_plain(lk_sample_room *r, const lk_pool_face *f, const lk_image *crop, const lk_pool_face *colors_of,
                     float *picture, lk_error *err) {
    lk_image to = view_of(picture, r->resolution, 3);
    if (!lk_image_warp_affine(crop, &to, f->to_model, LK_BICUBIC, LK_BORDER_REPLICATE, err)) return false;
    clamp(picture, 3 * (size_t)r->resolution * (size_t)r->resolution);
    if (colors_of) transfer_colors(&to, f, colors_of);
    return true;
}
