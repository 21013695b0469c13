/* What merging reads: models, faces, session, and frames with the aligned crops of their faces. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "likeness/masks.h"
#include "pipeline.h"

void lk_stage_add(lk_merge_job *m, double *stage, double seconds) {
    pthread_mutex_lock(&m->lock);
    *stage += seconds;
    pthread_mutex_unlock(&m->lock);
}

void lk_frame_job_free(lk_frame_job *job) {
    if (!job) return;
    for (int i = 0; i < job->count; i++) {
        lk_image_free(&job->faces[i].crop);
        lk_image_free(&job->faces[i].under);
        lk_image_free(&job->faces[i].swap);
        lk_image_free(&job->faces[i].mask);
        for (int k = 0; k < LK_FACE_MASKS; k++) lk_image_free(&job->faces[i].masks[k]);
        lk_blend_free(&job->faces[i].blend);
    }
    free(job->faces);
    lk_frame_free(job->frame);
    free(job);
}

/* ---- Opening --------------------------------------------------------------------------------------------- */

static bool add_person(lk_merge_job *m, const char *dir, size_t length, const char *which, lk_error *err) {
    if (m->person_count == LK_MAX_PEOPLE)
        return lk_fail(err, LK_ERR_USAGE, "at most %d models can be merged at once", LK_MAX_PEOPLE);
    lk_person *p = &m->people[m->person_count++];
    p->dir = lk_format(err, "%.*s", (int)length, dir);
    if (!p->dir || !lk_choice_parse(&p->choice, which, m->cursor.set, m->cursor.source.id, err)) return false;
    p->model = lk_model_open(p->dir, LK_MERGE_BATCH, m->device, err);
    if (!p->model) return false;
    const lk_swap_config *config = lk_model_config(p->model);
    p->side = config->resolution;
    p->type = (lk_face_type)config->face_type;
    p->batch = lk_model_batch(p->model) < LK_MERGE_BATCH ? lk_model_batch(p->model) : LK_MERGE_BATCH;
    p->no_mask = !config->learn_mask;
    if (p->no_mask && (m->o->composite.mask == LK_MASK_PREDICTED || m->o->composite.mask == LK_MASK_PRODUCT))
        lk_log(LK_LOG_INFO, "%s predicts no mask: the hull of the landmarks is used", p->dir);
    size_t pixels = (size_t)p->side * (size_t)p->side * (size_t)p->batch;
    p->faces = lk_alloc(pixels, 3 * sizeof(float), err);
    p->swap = p->faces ? lk_alloc(pixels, 3 * sizeof(float), err) : NULL;
    p->mask = p->swap ? lk_alloc(pixels, sizeof(float), err) : NULL;
    return p->mask != NULL;
}

/* The others first: what is left is for the main model. */
static bool add_people(lk_merge_job *m, const char *model_dir, lk_error *err) {
    for (int i = 0; i < m->o->also.count; i++) {
        const char *text = m->o->also.items[i], *sign = strrchr(text, '=');
        if (!sign || sign == text)
            return lk_fail(err, LK_ERR_USAGE, "--also %s: write MODEL_DIR=WHICH, such as ben=right", text);
        if (!add_person(m, text, (size_t)(sign - text), sign + 1, err)) return false;
    }
    return add_person(m, model_dir, strlen(model_dir), m->o->who ? m->o->who : "all", err);
}

bool lk_job_open(lk_merge_job *m, const char *model_dir, const char *input, const char *faces,
                 const lk_merge_options *o, lk_error *err) {
    *m = (lk_merge_job){.o = o, .input = input, .threads = lk_threads(), .device = lk_nn_device_for(o->device)};
    pthread_mutex_init(&m->lock, NULL);
    lk_reader *reader = lk_reader_open(input, &(lk_reader_options){.max = 1}, err);
    if (!reader) return false;
    m->info = *lk_reader_info(reader);
    lk_reader_close(reader);
    if (!lk_face_cursor_open(&m->cursor, faces, input, &m->info, err)) return false;
    m->found = lk_alloc(LK_MAX_FACES, sizeof *m->found, err);
    if (!m->found || !add_people(m, model_dir, err)) return false;
    if (o->session) {
        m->session_text = lk_session_load(o->session, err);
        m->session = m->session_text ? lk_session_parse(o->session, m->session_text, err) : NULL;
        if (!m->session || !lk_session_check(m->session, input, m->info.frames, err)) return false;
    }
    lk_job_set_reach(m);
    return true;
}

void lk_job_set_reach(lk_merge_job *m) {
    const lk_merge_options *o = m->o;
    m->radius = (int)ceil(2 * o->steady);
    m->reach = m->radius > 0 || !lk_session_has_motion(m->session, &o->composite) ? m->radius : 1;
}

void lk_job_release(lk_merge_job *m) {
    for (int i = 0; i < m->person_count; i++) {
        lk_person *p = &m->people[i];
        lk_model_close(p->model);
        free(p->dir);
        free(p->faces);
        free(p->swap);
        free(p->mask);
    }
    lk_face_cursor_close(&m->cursor);
    lk_reader_close(m->reader);
    lk_session_free(m->session);
    free(m->session_text);
    free(m->found);
    pthread_mutex_destroy(&m->lock);
}

bool lk_job_seek(lk_merge_job *m, int64_t first, int64_t last, lk_error *err) {
    lk_reader_options part = {.first = first > m->reach ? first - m->reach : 0, .nvdec = m->o->nvdec};
    if (last < INT64_MAX - m->reach) part.max = last + m->reach + 1 - part.first;
    if (part.max >= INT32_MAX) part.max = 0;
    lk_reader_close(m->reader);
    m->first = first;
    m->last = last;
    m->ended_at = -1;
    lk_face_cursor_rewind(&m->cursor);
    m->reader = lk_reader_open(m->input, &part, err);
    return m->reader != NULL;
}

/* ---- Crops ----------------------------------------------------------------------------------------------- */

static void clamp(lk_image *image) {
    size_t n = (size_t)image->width * (size_t)image->height * (size_t)image->channels;
    float *v = image->data;
    for (size_t i = 0; i < n; i++) v[i] = fminf(fmaxf(v[i], 0), 1);
}

bool lk_cut_crop(lk_frame *frame, lk_affine frame_to_crop, int side, lk_image *crop, lk_error *err) {
    double scale = hypot(frame_to_crop.m[0][0], frame_to_crop.m[1][0]), margin = 1 + 2 * fmax(scale, 1);
    if (!(scale > 1e-4) || !isfinite(scale)) return true;
    lk_rect window = lk_crop_window(frame_to_crop, -margin, -margin, side - 1 + margin, side - 1 + margin,
                                    lk_frame_width(frame), lk_frame_height(frame));
    if (window.width == 0) return true;
    int times = scale < 0.66 ? (int)fmin(ceil(1 / scale), 8) : 1;
    double shift = 0.5 * times - 0.5;
    lk_affine larger = {{{times, 0, shift}, {0, times, shift}}}, from_window = {{{1, 0, window.x}, {0, 1, window.y}}};
    lk_affine cut = lk_affine_multiply(lk_affine_multiply(larger, frame_to_crop), from_window);
    lk_image rgb = {0}, fine = {0};
    bool ok = lk_image_alloc(crop, side, side, 3, LK_F32, err) && lk_frame_rgb(frame, window, LK_F32, &rgb, err);
    if (ok && times == 1)
        ok = lk_image_warp_affine(&rgb, crop, cut, LK_BICUBIC, LK_BORDER_REPLICATE, err);
    else if (ok)
        ok = lk_image_alloc(&fine, side * times, side * times, 3, LK_F32, err) &&
             lk_image_warp_affine(&rgb, &fine, cut, LK_BICUBIC, LK_BORDER_REPLICATE, err) &&
             lk_image_resize(&fine, crop, LK_AREA, err);
    if (ok) clamp(crop);
    lk_image_free(&rgb);
    lk_image_free(&fine);
    return ok;
}

static bool make_thumb(lk_face_job *f, lk_error *err) {
    lk_image small;
    if (!lk_image_alloc(&small, LK_THUMB, LK_THUMB, 3, LK_F32, err)) return false;
    bool ok = lk_image_resize(&f->crop, &small, LK_AREA, err);
    const float *p = small.data;
    for (int i = 0; i < LK_THUMB * LK_THUMB; i++)
        f->thumb[i] = 0.299f * p[3 * i] + 0.587f * p[3 * i + 1] + 0.114f * p[3 * i + 2];
    lk_image_free(&small);
    return ok;
}

/* One of the faces file's masks, from its crop to the grid of this face's mask. */
static bool take_mask(lk_merge_job *m, const lk_face *found, const lk_face_job *f, int side, unsigned kinds,
                      lk_image *mask, lk_error *err) {
    lk_image stored;
    lk_affine back;
    unsigned used;
    int fine = lk_mask_side(side);
    if (!lk_affine_invert(found->frame_to_crop, &back)) return true;
    if (!lk_faceset_mask(m->cursor.set, found, kinds, &stored, &used, err)) return false;
    lk_affine to_grid = lk_affine_multiply(lk_affine_multiply(lk_between_grids(side, fine), f->frame_to_crop), back);
    bool ok = !used || (lk_image_alloc(mask, fine, fine, 1, LK_U8, err) &&
                        lk_image_warp_affine(&stored, mask, to_grid, LK_BILINEAR, LK_BORDER_REPLICATE, err));
    lk_image_free(&stored);
    return ok;
}

static bool take_masks(lk_merge_job *m, const lk_frame_job *job, const lk_face *found, lk_face_job *f, int side,
                       lk_error *err) {
    static const unsigned kinds[LK_FACE_MASKS] = {
        [LK_CUT_ANY] = LK_MASKS_ALL,
        [LK_CUT_SEGMENTED] = LK_MASK_BIT(LK_MASK_KIND_SEGMENTED),
        [LK_CUT_TRAINED] = LK_MASK_BIT(LK_MASK_KIND_TRAINED),
        [LK_CUT_PAINTED] = LK_MASKS_BY_HAND,
    };
    /* a frame that is done again may need those of the way it was done before */
    unsigned needed = m->session ? ~0u : lk_masks_needed(&job->options), has;
    if (!lk_faceset_mask_kinds(m->cursor.set, found->id, &has, err)) return false;
    for (int k = 0; k < LK_FACE_MASKS; k++)
        if (needed & 1u << k && has & kinds[k] && !take_mask(m, found, f, side, kinds[k], &f->masks[k], err))
            return false;
    return true;
}

static bool add_face(lk_merge_job *m, lk_frame_job *job, const lk_face *found, int person, lk_error *err) {
    const lk_person *p = &m->people[person];
    lk_face_job *f = &job->faces[job->count];
    *f = (lk_face_job){.person = person, .track = found->track, .points = found->points};
    if (!lk_face_align(&found->points, p->type, p->side, 1, &f->frame_to_crop)) return true; /* no face to speak of */
    bool ok = lk_cut_crop(job->frame, f->frame_to_crop, p->side, &f->crop, err);
    if (ok && !f->crop.data) return true;
    job->count++; /* from here on its images are looked after */
    if (ok && lk_needs_under(&job->options)) {
        lk_affine grid = lk_output_grid(f->frame_to_crop, p->side, job->options.scale);
        ok = lk_cut_crop(job->frame, grid, p->side, &f->under, err);
    }
    return ok && take_masks(m, job, found, f, p->side, err) && make_thumb(f, err) &&
           lk_image_alloc(&f->swap, p->side, p->side, 3, LK_F32, err) &&
           lk_image_alloc(&f->mask, p->side, p->side, 1, LK_F32, err);
}

static bool add_faces(lk_merge_job *m, lk_frame_job *job, lk_error *err) {
    bool taken[LK_MAX_FACES] = {false}, chosen[LK_MAX_FACES];
    const lk_face *face;
    int count = 0;
    do {
        if (!lk_face_cursor_next(&m->cursor, job->index, &face, err)) return false;
        if (face && count == LK_MAX_FACES)
            return lk_fail(err, LK_ERR_UNSUPPORTED, "it has more than %d faces", LK_MAX_FACES);
        if (face) m->found[count++] = *face;
    } while (face);
    if (count == 0) return true;
    job->faces = lk_alloc((size_t)count, sizeof *job->faces, err);
    for (int p = 0; job->faces && p < m->person_count; p++) {
        lk_choice_apply(&m->people[p].choice, m->found, count, m->info.width, m->info.height, taken, chosen);
        for (int i = 0; i < count; i++) {
            if (!chosen[i]) continue;
            taken[i] = true;
            if (!add_face(m, job, &m->found[i], p, err)) return false;
        }
    }
    return job->faces != NULL;
}

/* Takes the frame over. */
static lk_frame_job *make_job(lk_merge_job *m, lk_frame *frame, lk_error *err) {
    lk_frame_job *job = lk_alloc(1, sizeof *job, err);
    if (!job) {
        lk_frame_free(frame);
        return NULL;
    }
    job->frame = frame;
    job->index = lk_frame_index(frame);
    job->wanted = job->index >= m->first && job->index <= m->last;
    job->options = m->o->composite;
    job->layer = lk_session_layer(m->session, job->index);
    lk_session_apply(m->session, job->index, job->layer, &job->options);
    bool ok = (lk_frame_width(frame) == m->info.width && lk_frame_height(frame) == m->info.height) ||
              lk_fail(err, LK_ERR_FORMAT, "it has %d×%d pixels, the video %d×%d", lk_frame_width(frame),
                      lk_frame_height(frame), m->info.width, m->info.height);
    if (ok && add_faces(m, job, err)) return job;
    lk_fail_in(err, "frame %lld of %s", (long long)job->index, m->input);
    lk_frame_job_free(job);
    return NULL;
}

lk_frame_job *lk_gather(lk_merge_job *m, lk_error *err) {
    double begun = lk_now();
    lk_frame *frame = lk_reader_next(m->reader, err);
    double read = lk_now();
    lk_stage_add(m, &m->stages.decode, read - begun);
    if (frame) {
        m->ended_at = lk_frame_index(frame);
        lk_frame_job *job = make_job(m, frame, err);
        lk_stage_add(m, &m->stages.crop, lk_now() - read);
        return job;
    }
    int64_t known = m->cursor.last_frame < m->last ? m->cursor.last_frame : m->last;
    if (err->code == LK_OK && m->ended_at >= m->first && known > m->ended_at)
        lk_fail(err, LK_ERR_FORMAT,
                "%s ends with frame %lld, but has faces up to frame %lld by its faces file: extract them "
                "again",
                m->input, (long long)m->ended_at, (long long)known);
    return NULL;
}
