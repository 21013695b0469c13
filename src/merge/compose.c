/* A frame's faces made ready, steadied by those of the frames around, and put into it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "finish.h"
#include "pipeline.h"

#define CUT 0.08 /* mean change of the crop's coarse luma, from frame to frame, from which it is another shot */

static lk_composite_options options_of(const lk_merge_job *m, const lk_frame_job *job, const lk_face_job *f) {
    lk_composite_options o = job->options;
    if (m->people[f->person].no_mask) o.mask = LK_MASK_HULL;
    return o;
}

static lk_face_images images_of(const lk_face_job *f) {
    return (lk_face_images){&f->swap, &f->mask,         &f->crop,  f->under.data ? &f->under : NULL,
                            NULL,     f->frame_to_crop, &f->points};
}

bool lk_prepare_frame(lk_merge_job *m, lk_frame_job *job, lk_error *err) {
    for (int i = 0; i < job->count; i++) {
        lk_face_job *f = &job->faces[i];
        lk_composite_options o = options_of(m, job, f);
        lk_face_images images = images_of(f);
        if (!lk_blend_mask(&f->blend, &images, &o, err))
            return lk_fail_in(err, "frame %lld of %s", (long long)job->index, m->input);
    }
    return true;
}

/* ---- Steadying ------------------------------------------------------------------------------------------- */

static bool same_shot(const lk_face_job *a, const lk_face_job *b) {
    float sum = 0;
    for (int i = 0; i < LK_THUMB * LK_THUMB; i++) sum += fabsf(a->thumb[i] - b->thumb[i]);
    return (double)sum < CUT * LK_THUMB * LK_THUMB;
}

/* The same face in a frame beside; NULL across a cut, a gap, or another way of merging. */
static const lk_face_job *same_face(const lk_frame_job *from, const lk_face_job *f, const lk_frame_job *to) {
    int64_t gap = to->index - from->index;
    if ((gap != 1 && gap != -1) || to->options.mode != from->options.mode || to->options.scale != from->options.scale)
        return NULL;
    for (int i = 0; i < to->count; i++) {
        const lk_face_job *g = &to->faces[i];
        if (g->person == f->person && g->track == f->track) return same_shot(f, g) ? g : NULL;
    }
    return NULL;
}

/* Frame matrices of the neighbours seen in this face's crop: where a point of it was a frame ago, and will be. */
static bool motion_of(const lk_face_job *f, const lk_face_job *const beside[2], lk_affine motion[2]) {
    for (int side = 0; side < 2; side++) {
        lk_affine back;
        if (!beside[side] || !lk_affine_invert(beside[side]->blend.frame_to_face, &back)) return false;
        motion[side] = lk_affine_multiply(f->blend.frame_to_face, back);
    }
    return true;
}

/* Faces in a row, of which the first is the one in question. */
typedef struct shot {
    const lk_face_job *faces[2 * LK_MAX_REACH + 1], *beside[2];
    double weights[2 * LK_MAX_REACH + 1];
    int count;
} shot;

static shot shot_of(const lk_merge_job *m, lk_frame_job *const *around, int count, int own, const lk_face_job *f) {
    shot s = {.faces = {f}, .weights = {1}, .count = 1};
    double sigma = m->o->steady;
    for (int side = 0; side < 2; side++) {
        const lk_face_job *at = f;
        for (int d = 1, step = side ? 1 : -1; d <= m->reach; d++) {
            int i = own + d * step;
            at = i >= 0 && i < count ? same_face(around[i - step], at, around[i]) : NULL;
            if (!at) break;
            if (d == 1) s.beside[side] = at;
            if (d > m->radius) continue;
            s.faces[s.count] = at;
            s.weights[s.count++] = exp(-0.5 * d * d / (sigma * sigma));
        }
    }
    double total = 0;
    for (int k = 0; k < s.count; k++) total += s.weights[k];
    for (int k = 0; k < s.count; k++) s.weights[k] /= total;
    return s;
}

static LK_HOT void add_weighted(float *restrict sum, const float *v, float w, size_t n) {
    for (size_t i = 0; i < n; i++) sum[i] += w * v[i];
}

static const lk_image *alpha_of(const lk_face_job *f) { return &f->blend.alpha; }
static const lk_image *under_of(const lk_face_job *f) { return f->under.data ? &f->under : &f->crop; }

static bool average(const shot *s, const lk_image *(*image_of)(const lk_face_job *), lk_image *mean, lk_error *err) {
    const lk_image *own = image_of(s->faces[0]);
    if (!lk_image_alloc(mean, own->width, own->height, own->channels, LK_F32, err)) return false;
    size_t n = (size_t)own->width * (size_t)own->height * (size_t)own->channels;
    for (int k = 0; k < s->count; k++) add_weighted(mean->data, image_of(s->faces[k])->data, (float)s->weights[k], n);
    return true;
}

bool lk_finished_face(const lk_merge_job *m, lk_frame_job *const *around, int count, int own, int face, lk_blend *b,
                      lk_error *err) {
    const lk_face_job *f = &around[own]->faces[face];
    lk_composite_options o = options_of(m, around[own], f);
    lk_face_images images = images_of(f);
    shot s = shot_of(m, around, count, own, f);
    lk_image boundary = {0};
    *b = f->blend;
    b->face = b->alpha = b->original = (lk_image){0};
    bool ok = average(&s, alpha_of, &b->alpha, err);
    if (ok && lk_is_seamless(o.mode) && s.count > 1) {
        ok = average(&s, under_of, &boundary, err);
        images.boundary = &boundary;
    }
    lk_affine motion[2];
    bool moves = motion_of(f, s.beside, motion);
    ok = ok && lk_blend_correct(b, &images, &o, err) &&
         lk_blend_finish(b, &o, moves ? &motion[0] : NULL, moves ? &motion[1] : NULL, err);
    lk_image_free(&boundary);
    return ok;
}

/* ---- Composing ------------------------------------------------------------------------------------------- */

/* Whether the frame is changed beyond its faces, and therefore taken as a whole. */
static bool changes_all(const lk_composite_options *o) {
    return o->denoise > 0 || o->bicubic > 0 || o->color_degrade > 0 || lk_mode_on_black(o->mode);
}

static bool degrade(lk_image *rgb, const lk_composite_options *o, lk_error *err) {
    if (lk_mode_on_black(o->mode)) {
        memset(rgb->data, 0, rgb->stride * (size_t)rgb->height);
        return true;
    }
    if (o->denoise > 0 && !lk_denoise(rgb, o->denoise / 100, err)) return false;
    return !(o->bicubic > 0) || lk_bicubic_degrade(rgb, o->bicubic / 100, err);
}

static uint64_t seed_of(const lk_frame_job *job, int face) {
    return (uint64_t)job->index * LK_MAX_FACES + (uint64_t)face;
}

/* rgb: the whole frame, or no image: then the face's window is taken from the frame and put back. */
static bool put_face(lk_frame_job *job, const lk_blend *b, int face, lk_image *rgb, lk_error *err) {
    lk_rect w = lk_blend_window(b, lk_frame_width(job->frame), lk_frame_height(job->frame));
    if (w.width == 0) return true;
    lk_image part = {0};
    if (rgb->data)
        part = lk_image_view(rgb, w);
    else if (!lk_frame_rgb(job->frame, w, LK_F32, &part, err))
        return false;
    bool ok = lk_blend_apply(b, &part, w, &job->options, seed_of(job, face), NULL, err);
    if (ok && !rgb->data) ok = lk_frame_set_rgb(job->frame, w, &part, err);
    if (!rgb->data) lk_image_free(&part);
    return ok;
}

bool lk_compose_frame(lk_merge_job *m, lk_frame_job *const *around, int count, int own, lk_error *err) {
    lk_frame_job *job = around[own];
    const lk_composite_options *o = &job->options;
    lk_rect all = {0, 0, lk_frame_width(job->frame), lk_frame_height(job->frame)};
    lk_image rgb = {0};
    bool ok = true;
    if (changes_all(o)) ok = lk_frame_rgb(job->frame, all, LK_F32, &rgb, err) && degrade(&rgb, o, err);
    for (int i = 0; ok && i < job->count; i++) {
        lk_blend b = {0};
        ok = lk_finished_face(m, around, count, own, i, &b, err) && put_face(job, &b, i, &rgb, err);
        lk_blend_free(&b);
    }
    if (ok && o->color_degrade > 0 && !lk_mode_is_raw(o->mode))
        ok = lk_reduce_colors(&rgb, o->color_degrade / 100, err);
    if (ok && rgb.data) ok = lk_frame_set_rgb(job->frame, all, &rgb, err);
    lk_image_free(&rgb);
    return ok || lk_fail_in(err, "frame %lld of %s", (long long)job->index, m->input);
}
