/* One sample: a face with a mask made by hand, moved about, and perhaps with something new before it: what hid another
 * face, or a smooth shape with a texture from elsewhere. */
#include "obstruction.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PI       3.14159265358979323846
#define CORNERS  40  /* of a made-up shape */
#define PATCHES  0.6 /* share of new occluders that were cut from faces, where there are any */
#define SOFTNESS 0.7 /* sigma of an occluder's edge, pixels */

/* Float pictures at work on. */
typedef struct easel {
    int size;
    lk_image picture, mask, hull;
    lk_image patch, alpha; /* of one occluder */
} easel;

static void drop(easel *e) {
    lk_image *all[] = {&e->picture, &e->mask, &e->hull, &e->patch, &e->alpha};
    for (size_t i = 0; i < LK_COUNT(all); i++) lk_image_free(all[i]);
}

static bool prepare(easel *e, int size, lk_error *err) {
    *e = (easel){.size = size};
    return lk_image_alloc(&e->picture, size, size, 3, LK_F32, err) &&
           lk_image_alloc(&e->mask, size, size, 1, LK_F32, err) &&
           lk_image_alloc(&e->hull, size, size, 1, LK_F32, err) &&
           lk_image_alloc(&e->patch, size, size, 3, LK_F32, err) &&
           lk_image_alloc(&e->alpha, size, size, 1, LK_F32, err);
}

/* Turned and scaled about `from`, which goes to `to`. */
static lk_affine about(lk_point from, lk_point to, double angle, double scale, bool mirror) {
    double c = cos(angle) * scale, s = sin(angle) * scale, side = mirror ? -1 : 1;
    double fx = (double)from.x, fy = (double)from.y;
    return (lk_affine){
        {{c * side, s, (double)to.x - c * side * fx - s * fy}, {-s * side, c, (double)to.y + s * side * fx - c * fy}}};
}

static bool place_face(easel *e, const lk_obstruction_face *f, lk_rng *rng, lk_error *err) {
    double middle = 0.5 * (e->size - 1), reach = 0.06 * e->size;
    lk_point from = {(float)middle, (float)middle};
    lk_point to = {(float)(middle + lk_rng_uniform(rng, -reach, reach)),
                   (float)(middle + lk_rng_uniform(rng, -reach, reach))};
    double angle = lk_rng_uniform(rng, -12, 12) * PI / 180, scale = lk_rng_uniform(rng, 0.92, 1.1);
    lk_affine m = about(from, to, angle, scale, lk_rng_below(rng, 2));
    return lk_image_warp_affine(&f->picture, &e->picture, m, LK_BILINEAR, LK_BORDER_REPLICATE, err) &&
           lk_image_warp_affine(&f->mask, &e->mask, m, LK_BILINEAR, LK_BORDER_CONSTANT, err) &&
           lk_image_warp_affine(&f->hull, &e->hull, m, LK_BILINEAR, LK_BORDER_CONSTANT, err);
}

/* Somewhere in the hull. */
static lk_point somewhere(const easel *e, lk_rng *rng) {
    for (int i = 0; i < 50; i++) {
        int x = (int)lk_rng_below(rng, (uint32_t)e->size), y = (int)lk_rng_below(rng, (uint32_t)e->size);
        if (lk_row_f32(&e->hull, y)[x] > 0.5f) return (lk_point){(float)x, (float)y};
    }
    return (lk_point){(float)e->size / 2, (float)e->size / 2};
}

static lk_point centre_of(const lk_image *alpha) {
    double x = 0, y = 0, sum = 1e-9;
    for (int v = 0; v < alpha->height; v++)
        for (int u = 0; u < alpha->width; u++) {
            double a = lk_row_u8(alpha, v)[u];
            x += a * u;
            y += a * v;
            sum += a;
        }
    return (lk_point){(float)(x / sum), (float)(y / sum)};
}

/* What hid another face, turned any way. */
static bool cut_patch(easel *e, const lk_obstruction_faces *f, lk_rng *rng, lk_error *err) {
    uint32_t nth = lk_rng_below(rng, (uint32_t)f->occluders);
    const lk_obstruction_face *from = f->items;
    for (;; from++)
        if (!from->held && from->occluder.data && nth-- == 0) break;
    lk_affine m = about(centre_of(&from->occluder), somewhere(e, rng), lk_rng_uniform(rng, -PI, PI),
                        lk_rng_uniform(rng, 0.6, 1.5), lk_rng_below(rng, 2));
    return lk_image_warp_affine(&from->picture, &e->patch, m, LK_BILINEAR, LK_BORDER_REPLICATE, err) &&
           lk_image_warp_affine(&from->occluder, &e->alpha, m, LK_BILINEAR, LK_BORDER_CONSTANT, err);
}

/* A smooth closed curve, up to four times as long as wide, with the texture of any picture of the sets. */
static bool make_shape(easel *e, const lk_obstruction_faces *f, lk_rng *rng, lk_error *err) {
    lk_point at = somewhere(e, rng), corners[CORNERS];
    double radius = e->size * lk_rng_uniform(rng, 0.05, 0.22), length = lk_rng_uniform(rng, 1, 4);
    double turn = lk_rng_uniform(rng, -PI, PI), c = cos(turn), s = sin(turn), wave[3], phase[3];
    for (int k = 0; k < 3; k++) {
        wave[k] = lk_rng_uniform(rng, 0, 0.3 / (k + 1));
        phase[k] = lk_rng_uniform(rng, 0, 2 * PI);
    }
    for (int i = 0; i < CORNERS; i++) {
        double angle = 2 * PI * i / CORNERS, r = radius;
        for (int k = 0; k < 3; k++) r *= 1 + wave[k] * cos((k + 2) * angle + phase[k]);
        double x = r * cos(angle) * sqrt(length), y = r * sin(angle) / sqrt(length);
        corners[i] = (lk_point){at.x + (float)(c * x + s * y), at.y + (float)(c * y - s * x)};
    }
    memset(e->alpha.data, 0, (size_t)e->size * (size_t)e->size * sizeof(float));
    lk_image_fill_polygon(&e->alpha, corners, CORNERS, 1);
    const lk_image *texture = &f->textures[lk_rng_below(rng, (uint32_t)f->texture_count)];
    lk_point from = {(float)lk_rng_uniform(rng, 0, e->size), (float)lk_rng_uniform(rng, 0, e->size)};
    lk_affine m =
        about(from, at, lk_rng_uniform(rng, -PI, PI), exp(lk_rng_uniform(rng, -0.7, 1.1)), lk_rng_below(rng, 2));
    return lk_image_warp_affine(texture, &e->patch, m, LK_BILINEAR, LK_BORDER_REFLECT, err);
}

/* Brightness and colour, a little: hands are of other light than faces. */
static void tint(lk_image *picture, double strength, lk_rng *rng) {
    float gain[3], light = (float)lk_rng_uniform(rng, 1 - 1.5 * strength, 1 + 1.5 * strength);
    float shift = (float)lk_rng_uniform(rng, -0.3 * strength, 0.3 * strength);
    for (int k = 0; k < 3; k++) gain[k] = light * (float)lk_rng_uniform(rng, 1 - strength, 1 + strength);
    float *v = picture->data;
    for (size_t i = 0; i < 3 * (size_t)picture->width * (size_t)picture->height; i++)
        v[i] = fminf(fmaxf(v[i] * gain[i % 3] + shift, 0), 1);
}

/* The patch before the face, with a shadow around it now and then. */
static bool put_before(easel *e, lk_rng *rng, lk_error *err) {
    tint(&e->patch, 0.12, rng);
    if (!lk_image_blur(&e->alpha, SOFTNESS, err)) return false;
    float *picture = e->picture.data, *mask = e->mask.data;
    const float *patch = e->patch.data, *alpha = e->alpha.data;
    size_t pixels = (size_t)e->size * (size_t)e->size;
    if (lk_rng_below(rng, 2)) {
        lk_image shadow;
        if (!lk_image_copy(&e->alpha, &shadow, err)) return false;
        bool ok = lk_image_blur(&shadow, e->size * lk_rng_uniform(rng, 0.02, 0.06), err);
        float dark = (float)lk_rng_uniform(rng, 0.1, 0.5);
        const float *v = shadow.data;
        for (size_t i = 0; ok && i < 3 * pixels; i++) picture[i] *= 1 - dark * v[i / 3];
        lk_image_free(&shadow);
        if (!ok) return false;
    }
    for (size_t i = 0; i < 3 * pixels; i++) picture[i] += (patch[i] - picture[i]) * alpha[i / 3];
    for (size_t i = 0; i < pixels; i++) mask[i] *= 1 - alpha[i];
    return true;
}

static bool cover(easel *e, const lk_obstruction_faces *f, double percent, lk_rng *rng, lk_error *err) {
    if (lk_rng_uniform(rng, 0, 100) >= percent) return true;
    int count = lk_rng_below(rng, 4) ? 1 : 2;
    for (int i = 0; i < count; i++) {
        bool patch = f->occluders > 0 && lk_rng_uniform(rng, 0, 1) < PATCHES;
        if (!(patch ? cut_patch(e, f, rng, err) : make_shape(e, f, rng, err)) || !put_before(e, rng, err)) return false;
    }
    return true;
}

bool lk_obstruction_sample(const lk_obstruction_faces *f, int size, double occluders, uint64_t seed, int64_t number,
                           float *face, float *target, float *weight, lk_error *err) {
    lk_rng rng = lk_rng_make(seed, (uint64_t)number);
    easel e;
    uint32_t nth = lk_rng_below(&rng, (uint32_t)(f->count - f->held));
    const lk_obstruction_face *from = f->items;
    for (;; from++)
        if (!from->held && nth-- == 0) break;
    bool ok = prepare(&e, size, err) && place_face(&e, from, &rng, err) && cover(&e, f, occluders, &rng, err);
    if (ok) tint(&e.picture, 0.12, &rng);
    size_t pixels = (size_t)size * (size_t)size;
    for (size_t i = 0; ok && i < pixels; i++) {
        const float *picture = e.picture.data;
        for (int k = 0; k < 3; k++) face[LK_OBSTRUCTION_CHANNELS * i + (size_t)k] = picture[3 * i + (size_t)k];
        face[LK_OBSTRUCTION_CHANNELS * i + 3] = ((float *)e.hull.data)[i];
        target[i] = ((float *)e.mask.data)[i];
        /* what is hidden is rarer than what is not */
        weight[i] = 1 + 0.5f * fmaxf(((float *)e.hull.data)[i] - target[i], 0);
    }
    drop(&e);
    return ok;
}
