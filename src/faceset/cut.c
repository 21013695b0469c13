#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "extract.h"
#include "look.h"

#define BATCH       32          /* faces cut together and stored in one transaction */
#define BATCH_BYTES LK_MIB(192) /* frames kept for them, as RGB */
#define MARGIN      4           /* pixels around a crop's footprint, for the bicubic kernel */

typedef struct job {
    const lk_found *found;
    lk_image window; /* RGB of the frame around the crop */
    lk_rect at;      /* where that lies in the frame */
    lk_face face;
    lk_look look;
    void *jpeg;
    size_t size;
    lk_error err;
    bool ok;
} job;

typedef struct cutter {
    lk_face_nets *nets;
    lk_faceset *set;
    lk_source *source;
    const lk_extract_options *options;
    job *jobs;
    int count;
    size_t bytes;
} cutter;

/* Pixels of the frame that the crop is made of. */
static lk_rect footprint(lk_affine frame_to_crop, int size, int width, int height) {
    lk_affine back;
    if (!lk_affine_invert(frame_to_crop, &back)) return (lk_rect){0, 0, 0, 0};
    double x0 = INFINITY, y0 = INFINITY, x1 = -INFINITY, y1 = -INFINITY;
    for (int k = 0; k < 4; k++) {
        lk_point p = lk_affine_apply(back, (lk_point){k & 1 ? (float)size : -1, k & 2 ? (float)size : -1});
        x0 = fmin(x0, (double)p.x);
        y0 = fmin(y0, (double)p.y);
        x1 = fmax(x1, (double)p.x);
        y1 = fmax(y1, (double)p.y);
    }
    int left = (int)fmax(floor(x0) - MARGIN, 0), top = (int)fmax(floor(y0) - MARGIN, 0);
    int right = (int)fmin(ceil(x1) + MARGIN + 1, width), bottom = (int)fmin(ceil(y1) + MARGIN + 1, height);
    if (right <= left || bottom <= top) return (lk_rect){0, 0, 0, 0};
    return (lk_rect){left, top, right - left, bottom - top};
}

/* The crop shrinks what is larger than it: a plain bicubic warp would alias, so the window is averaged first. */
static bool warp(const lk_image *window, lk_image *crop, lk_affine m, lk_error *err) {
    double scale = hypot(m.m[0][0], m.m[1][0]);
    int divide = scale > 0 ? (int)floor(1 / scale) : 1;
    if (divide < 2) return lk_image_warp_affine(window, crop, m, LK_BICUBIC, LK_BORDER_REPLICATE, err);
    lk_image small = {0};
    int width = (window->width + divide - 1) / divide, height = (window->height + divide - 1) / divide;
    if (!lk_image_alloc(&small, width, height, window->channels, window->type, err)) return false;
    double sx = (double)window->width / width, sy = (double)window->height / height;
    lk_affine enlarge = {{{sx, 0, 0.5 * sx - 0.5}, {0, sy, 0.5 * sy - 0.5}}};
    bool ok = lk_image_resize(window, &small, LK_AREA, err) &&
              lk_image_warp_affine(&small, crop, lk_affine_multiply(m, enlarge), LK_BICUBIC, LK_BORDER_REPLICATE, err);
    lk_image_free(&small);
    return ok;
}

static void cut(int i, void *user) {
    cutter *c = user;
    job *j = &c->jobs[i];
    lk_image crop = {0};
    lk_affine m =
        lk_affine_multiply(j->face.frame_to_crop, (lk_affine){{{1, 0, (double)j->at.x}, {0, 1, (double)j->at.y}}});
    j->ok = lk_image_alloc(&crop, j->face.size, j->face.size, 3, LK_U8, &j->err) &&
            warp(&j->window, &crop, m, &j->err) && lk_measure_crop(&crop, &j->face, &j->look, &j->err) &&
            lk_jpeg_encode(&crop, c->options->quality, &j->jpeg, &j->size, &j->err);
    lk_image_free(&crop);
}

static void describe(const lk_found *f, const lk_source *source, const lk_extract_options *o, lk_face *face) {
    *face = (lk_face){.source = source->id, .frame = f->frame, .time = f->time, .track = f->track};
    face->type = o->type;
    face->size = o->size;
    face->points = f->points;
    face->mesh = f->mesh;
    face->has_mesh = true;
    face->pose = lk_face_pose(&f->mesh);
    face->presence = f->presence;
    face->bounds = lk_landmarks_bounds(&f->points);
}

/* Ready one face for cutting, while its frame is at hand. One whose points make no crop is left out. */
static bool add_job(cutter *c, lk_frame *frame, const lk_found *f, lk_error *err) {
    job *j = &c->jobs[c->count];
    memset(j, 0, sizeof *j);
    j->found = f;
    describe(f, c->source, c->options, &j->face);
    if (!lk_face_align(&f->points, c->options->type, c->options->size, 1, &j->face.frame_to_crop)) return true;
    j->face.crop_points = lk_landmarks_transform(&f->points, j->face.frame_to_crop);
    j->at = footprint(j->face.frame_to_crop, c->options->size, lk_frame_width(frame), lk_frame_height(frame));
    if (j->at.width == 0) return true;
    if (!lk_frame_rgb(frame, j->at, LK_U8, &j->window, err)) return false;
    c->count++;
    c->bytes += j->window.stride * (size_t)j->window.height;
    if (!f->describe) return true;
    lk_landmarks shifted =
        lk_landmarks_transform(&f->points, (lk_affine){{{1, 0, -(double)j->at.x}, {0, 1, -(double)j->at.y}}});
    j->face.has_descriptor = lk_face_descriptor(c->nets, &j->window, &shifted, j->face.descriptor, err);
    return j->face.has_descriptor;
}

static void drop_jobs(cutter *c) {
    for (int i = 0; i < c->count; i++) {
        lk_image_free(&c->jobs[i].window);
        free(c->jobs[i].jpeg);
    }
    c->count = 0;
    c->bytes = 0;
}

/* Cut what is waiting, and store it; with `last` the source is complete. */
static bool flush(cutter *c, bool last, lk_error *err) {
    lk_parallel_for(c->count, cut, c);
    bool ok = lk_faceset_begin(c->set, err);
    for (int i = 0; ok && i < c->count; i++) {
        job *j = &c->jobs[i];
        if (!j->ok) {
            if (err) *err = j->err;
            ok = lk_fail_in(err, "frame %lld", (long long)j->found->frame);
        } else {
            ok = lk_faceset_add(c->set, &j->face, j->jpeg, j->size, err) &&
                 lk_look_store(c->set, j->face.id, &j->look, err);
        }
    }
    if (ok && last) {
        c->source->complete = true;
        ok = lk_faceset_update_source(c->set, c->source, err);
    }
    if (ok)
        ok = lk_faceset_commit(c->set, err);
    else
        lk_faceset_rollback(c->set);
    drop_jobs(c);
    return ok;
}

static bool cut_all(cutter *c, lk_reader *in, const lk_finds *finds, lk_progress *progress, lk_error *err) {
    int64_t next = 0;
    while (next < finds->count) {
        if (lk_interrupted())
            return lk_fail(err, LK_ERR_INTERRUPTED, "interrupted; run the same command again to go on");
        lk_error end = {0};
        lk_frame *f = lk_reader_next(in, &end);
        if (!f) {
            if (end.code == LK_OK) lk_fail(&end, LK_ERR_IO, "%s changed while it was being read", lk_reader_path(in));
            if (err) *err = end;
            return false;
        }
        bool ok = true;
        for (; ok && next < finds->count && finds->items[next].frame <= lk_frame_index(f); next++) {
            if (finds->items[next].frame == lk_frame_index(f)) ok = add_job(c, f, &finds->items[next], err);
            if (ok && (c->count == BATCH || c->bytes > BATCH_BYTES)) {
                ok = flush(c, false, err);
                double seconds = lk_now() - progress->start;
                lk_progress_update(progress, (double)next, "%.0f faces/s", seconds > 0 ? (double)next / seconds : 0);
            }
        }
        lk_frame_free(f);
        if (!ok) return false;
    }
    bool ok = flush(c, true, err);
    lk_progress_update(progress, (double)finds->count, NULL);
    return ok;
}

bool lk_cut_faces(lk_face_nets *nets, lk_faceset *s, lk_source *source, const lk_finds *finds, const char *input,
                  const lk_extract_options *o, lk_error *err) {
    cutter c = {.nets = nets, .set = s, .source = source, .options = o, .jobs = lk_alloc(BATCH, sizeof(job), err)};
    lk_reader_options range = lk_extract_range(o);
    lk_reader *in = c.jobs ? lk_reader_open(input, &range, err) : NULL;
    char *what = in ? lk_format(err, "cutting faces of %s", lk_path_base(input)) : NULL;
    bool ok = false;
    if (what) {
        lk_progress progress;
        lk_progress_begin(&progress, what, (double)finds->count);
        ok = cut_all(&c, in, finds, &progress, err);
        lk_progress_end(&progress);
    }
    if (c.jobs) drop_jobs(&c);
    lk_reader_close(in);
    free(what);
    free(c.jobs);
    return ok;
}

bool lk_cut_face(lk_frame *frame, lk_face *face, int quality, lk_look *look, void **jpeg, size_t *size, lk_error *err) {
    lk_image window = {0}, crop = {0};
    if (!lk_face_align(&face->points, face->type, face->size, 1, &face->frame_to_crop))
        return lk_fail(err, LK_ERR_FORMAT, "the landmarks of frame %lld make no face", (long long)face->frame);
    face->crop_points = lk_landmarks_transform(&face->points, face->frame_to_crop);
    face->bounds = lk_landmarks_bounds(&face->points);
    lk_rect at = footprint(face->frame_to_crop, face->size, lk_frame_width(frame), lk_frame_height(frame));
    if (at.width == 0)
        return lk_fail(err, LK_ERR_FORMAT, "the landmarks of frame %lld lie outside of it", (long long)face->frame);
    lk_affine m = lk_affine_multiply(face->frame_to_crop, (lk_affine){{{1, 0, (double)at.x}, {0, 1, (double)at.y}}});
    bool ok = lk_frame_rgb(frame, at, LK_U8, &window, err) &&
              lk_image_alloc(&crop, face->size, face->size, 3, LK_U8, err) && warp(&window, &crop, m, err) &&
              lk_measure_crop(&crop, face, look, err) && lk_jpeg_encode(&crop, quality, jpeg, size, err);
    lk_image_free(&window);
    lk_image_free(&crop);
    return ok;
}
