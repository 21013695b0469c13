/* A frame's faces made ready, steadied by those of the frames around, and put into it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "finish.h"
#include "pipeline.h"

#define CUT 0.08 /* mean change of the crop's coarse luma, from frame to frame, from which it is another shot */

/* A frame's options as they were when frames of that layer were merged: later, the frame may have been done again. */
static lk_composite_options options_of(const lk_merge_job *m, const lk_frame_job *job, const lk_face_job *f,
                                       int layer) {
    lk_composite_options o = job->options;
    if (job->layer > layer) {
        o = m->o->composite;
        lk_session_apply(m->session, job->index, layer, &o);
    }
    if (m->people[f->person].no_mask && o.mask <= LK_MASK_PRODUCT) o.mask = LK_MASK_HULL;
    return o;
}

static lk_face_images images_of(const lk_face_job *f) {
    return (lk_face_images){.prediction = &f->swap,
                            .mask = &f->mask,
                            .original = &f->crop,
                            .under = f->under.data ? &f->under : NULL,
                            .frame_to_crop = f->frame_to_crop,
                            .points = &f->points,
                            .masks = f->masks};
}

static bool make_mask(const lk_merge_job *m, const lk_face_job *f, const lk_composite_options *o, lk_blend *b,
                      lk_colors *colors, lk_error *err) {
    lk_face_images images = images_of(f);
    *colors = (lk_colors){0};
    return lk_blend_mask(b, &images, o, err) &&
           (m->radius == 0 || !lk_matches_colors(o) || lk_blend_colors(b, &images, o, colors, err));
}

bool lk_prepare_frame(lk_merge_job *m, lk_frame_job *job, lk_error *err) {
    for (int i = 0; i < job->count; i++) {
        lk_face_job *f = &job->faces[i];
        lk_composite_options o = options_of(m, job, f, job->layer);
        if (!make_mask(m, f, &o, &f->blend, &f->colors, err))
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

/* The same face in the next frame of the row; NULL across a cut or a gap. */
static const lk_face_job *same_face(const lk_frame_job *from, const lk_face_job *f, const lk_frame_job *to) {
    int64_t gap = to->index - from->index;
    if (gap != 1 && gap != -1) return NULL;
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
    lk_image masks[2 * LK_MAX_REACH + 1]; /* borrowed, but for those of frames that have been done again */
    lk_colors colors[2 * LK_MAX_REACH + 1];
    int count;
} shot;

/* Adds a neighbour; *ended when it is merged in another way. */
static bool add_neighbour(shot *s, const lk_merge_job *m, const lk_frame_job *own, const lk_frame_job *job,
                          const lk_face_job *f, double weight, bool *ended, lk_error *err) {
    lk_composite_options o = options_of(m, job, f, own->layer);
    *ended = o.mode != own->options.mode || o.scale != own->options.scale;
    if (*ended) return true;
    lk_image *mask = &s->masks[s->count];
    if (job->layer <= own->layer) {
        *mask = f->blend.alpha;
        mask->borrowed = true;
        s->colors[s->count] = f->colors;
    } else {
        lk_blend b;
        if (!make_mask(m, f, &o, &b, &s->colors[s->count], err)) {
            lk_blend_free(&b);
            return false;
        }
        *mask = b.alpha;
    }
    s->faces[s->count] = f;
    s->weights[s->count++] = weight;
    return true;
}

static bool find_shot(shot *s, const lk_merge_job *m, lk_frame_job *const *around, int count, int own,
                      const lk_face_job *f, lk_error *err) {
    double sigma = m->o->steady, total = 0;
    bool ended;
    if (!add_neighbour(s, m, around[own], around[own], f, 1, &ended, err)) return false;
    for (int side = 0; side < 2; side++) {
        const lk_face_job *at = f;
        for (int d = 1, step = side ? 1 : -1; d <= m->reach; d++) {
            int i = own + d * step;
            at = i >= 0 && i < count ? same_face(around[i - step], at, around[i]) : NULL;
            if (!at) break;
            if (d == 1) s->beside[side] = at;
            if (d > m->radius) continue;
            if (!add_neighbour(s, m, around[own], around[i], at, exp(-0.5 * d * d / (sigma * sigma)), &ended, err))
                return false;
            if (ended) break;
        }
    }
    for (int k = 0; k < s->count; k++) total += s->weights[k];
    for (int k = 0; k < s->count; k++) s->weights[k] /= total;
    return true;
}

static LK_HOT void add_weighted(float *restrict sum, const float *v, float w, size_t n) {
    for (size_t i = 0; i < n; i++) sum[i] += w * v[i];
}

static bool average_masks(const shot *s, lk_image *mean, lk_error *err) {
    int side = s->masks[0].width;
    if (!lk_image_alloc(mean, side, side, 1, LK_F32, err)) return false;
    for (int k = 0; k < s->count; k++)
        add_weighted(mean->data, s->masks[k].data, (float)s->weights[k], (size_t)side * (size_t)side);
    return true;
}

/* Over the frames whose colours are known. */
static lk_colors average_colors(const shot *s) {
    lk_colors mean = {0};
    double total = 0;
    for (int k = 0; k < s->count; k++)
        if (s->colors[k].known) total += s->weights[k];
    mean.known = total > 0;
    for (int k = 0; k < s->count; k++)
        for (int c = 0; c < 3 && s->colors[k].known; c++) {
            mean.mean[c] += s->weights[k] / total * s->colors[k].mean[c];
            mean.std[c] += s->weights[k] / total * s->colors[k].std[c];
        }
    return mean;
}

/* dst's crop with each pixel from one of the frames, which come up as often as they weigh: its colours are spread as those
 * of all frames are. The order is that of the multiples of the golden ratio, evenly mixed. */
static bool pool_crops(const shot *s, lk_image *pool, lk_error *err) {
    int side = s->faces[0]->crop.width;
    if (!lk_image_alloc(pool, side, side, 3, LK_F32, err)) return false;
    uint32_t turn = 0;
    for (size_t i = 0; i < (size_t)side * (size_t)side; i++, turn += 2654435769u) {
        double at = turn / 4294967296.0;
        int k = 0;
        while (k + 1 < s->count && at >= s->weights[k]) at -= s->weights[k++];
        memcpy((float *)pool->data + 3 * i, (const float *)s->faces[k]->crop.data + 3 * i, 3 * sizeof(float));
    }
    return true;
}

static const lk_image *under_of(const lk_face_job *f) { return f->under.data ? &f->under : &f->crop; }

static bool average_crops(const shot *s, lk_image *mean, lk_error *err) {
    int side = under_of(s->faces[0])->width;
    if (!lk_image_alloc(mean, side, side, 3, LK_F32, err)) return false;
    for (int k = 0; k < s->count; k++)
        add_weighted(mean->data, under_of(s->faces[k])->data, (float)s->weights[k], 3 * (size_t)side * (size_t)side);
    return true;
}

bool lk_finished_face(const lk_merge_job *m, lk_frame_job *const *around, int count, int own, int face, lk_blend *b,
                      lk_error *err) {
    const lk_face_job *f = &around[own]->faces[face];
    lk_composite_options o = options_of(m, around[own], f, around[own]->layer);
    lk_face_images images = images_of(f);
    shot s = {0};
    lk_image boundary = {0}, pool = {0};
    *b = f->blend;
    b->face = b->alpha = b->original = (lk_image){0};
    bool ok = find_shot(&s, m, around, count, own, f, err) && average_masks(&s, &b->alpha, err) &&
              (lk_mode_shows_all(o.mode) || lk_mask_cut(&b->alpha, f->masks, o.cut, o.scale, err));
    if (ok && lk_is_seamless(o.mode) && s.count > 1) {
        ok = average_crops(&s, &boundary, err);
        images.boundary = &boundary;
    }
    lk_colors steady = average_colors(&s);
    images.steady = &steady;
    if (ok && steady.known && s.count > 1) {
        ok = pool_crops(&s, &pool, err);
        images.pool = &pool;
    }
    lk_affine motion[2];
    bool moves = motion_of(f, s.beside, motion);
    ok = ok && lk_blend_correct(b, &images, &o, err) &&
         lk_blend_finish(b, &o, moves ? &motion[0] : NULL, moves ? &motion[1] : NULL, err);
    for (int k = 0; k < s.count; k++) lk_image_free(&s.masks[k]);
    lk_image_free(&boundary);
    lk_image_free(&pool);
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
static bool put_face(lk_frame_job *job, const lk_blend *b, int face, lk_image *rgb, lk_image *alpha, lk_error *err) {
    lk_rect w = lk_blend_window(b, lk_frame_width(job->frame), lk_frame_height(job->frame));
    if (w.width == 0) return true;
    lk_image part = {0}, shown = {0};
    if (alpha->data) shown = lk_image_view(alpha, w);
    if (rgb->data)
        part = lk_image_view(rgb, w);
    else if (!lk_frame_rgb(job->frame, w, LK_F32, &part, err))
        return false;
    bool ok = lk_blend_apply(b, &part, w, &job->options, seed_of(job, face), alpha->data ? &shown : NULL, err);
    if (ok && !rgb->data) ok = lk_frame_set_rgb(job->frame, w, &part, err);
    if (!rgb->data) lk_image_free(&part);
    return ok;
}

bool lk_compose_frame(lk_merge_job *m, lk_frame_job *const *around, int count, int own, lk_error *err) {
    lk_frame_job *job = around[own];
    const lk_composite_options *o = &job->options;
    lk_rect all = {0, 0, lk_frame_width(job->frame), lk_frame_height(job->frame)};
    lk_image rgb = {0}, alpha = {0};
    bool ok = true;
    if (m->o->alpha) ok = lk_image_alloc(&alpha, all.width, all.height, 1, LK_F32, err);
    if (ok && changes_all(o)) ok = lk_frame_rgb(job->frame, all, LK_F32, &rgb, err) && degrade(&rgb, o, err);
    for (int i = 0; ok && i < job->count; i++) {
        lk_blend b = {0};
        ok = lk_finished_face(m, around, count, own, i, &b, err) && put_face(job, &b, i, &rgb, &alpha, err);
        lk_blend_free(&b);
    }
    if (ok && o->color_degrade > 0 && !lk_mode_is_raw(o->mode))
        ok = lk_reduce_colors(&rgb, o->color_degrade / 100, err);
    if (ok && rgb.data) ok = lk_frame_set_rgb(job->frame, all, &rgb, err);
    if (ok && alpha.data) ok = lk_frame_set_alpha(job->frame, &alpha, err);
    lk_image_free(&alpha);
    lk_image_free(&rgb);
    return ok || lk_fail_in(err, "frame %lld of %s", (long long)job->index, m->input);
}
