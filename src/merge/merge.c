/* The merge as a pipeline of threads with bounded queues between them:
 *
 *     gather: frames from the reader, and the aligned crops of their faces
 *       → predict: crops of several frames together, a batch at a time
 *         → composite: workers, a frame each
 *           → the calling thread: frames in order to the writer, progress, Ctrl-C
 *
 * A frame's job goes through `gathered` to the predictor, which puts it into `order`, for the calling thread, and then
 * into `work`, for the workers. Whoever meets an error first keeps it and stops all the others. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "blend.h"
#include "cursor.h"

#define BATCH       8 /* faces a prediction */
#define MAX_WORKERS 16
#define MAX_FACES   32 /* a frame */
#define QUEUE_BYTES (192.0 * 1024 * 1024)
#define MADE_BY     "Made with Likeness " LK_VERSION ": faces in this video were replaced"

typedef struct face_job {
    lk_landmarks points;
    lk_affine frame_to_crop;
    lk_image crop, swap, mask; /* float: RGB [R, R], RGB [R, R], [R, R] */
} face_job;

typedef struct frame_job {
    lk_frame *frame;
    int count;
    face_job *faces; /* [count] */
    bool done;       /* composited; guarded by the merge's lock */
} frame_job;

typedef struct merge {
    const lk_merge_options *o;
    lk_composite_options composite;
    const char *input;
    lk_reader *reader;
    lk_writer *writer;
    lk_model *model;
    lk_face_cursor cursor;
    int side, batch, threads;
    lk_face_type type;
    float *batch_faces, *batch_swap, *batch_mask;
    lk_queue *gathered, *order, *work;
    pthread_mutex_t lock;
    pthread_cond_t finished; /* a job is done, or all is stopped */
    atomic_bool stopped;
    lk_error first_error;
} merge;

/* Keep the first error, and let everyone come to an end. */
static void stop(merge *m, const lk_error *why) {
    pthread_mutex_lock(&m->lock);
    if (!m->stopped && why) m->first_error = *why;
    m->stopped = true;
    pthread_cond_broadcast(&m->finished);
    pthread_mutex_unlock(&m->lock);
    lk_queue_close(m->gathered);
    lk_queue_close(m->order);
    lk_queue_close(m->work);
}

static void job_free(frame_job *job) {
    if (!job) return;
    for (int i = 0; i < job->count; i++) {
        lk_image_free(&job->faces[i].crop);
        lk_image_free(&job->faces[i].swap);
        lk_image_free(&job->faces[i].mask);
    }
    free(job->faces);
    lk_frame_free(job->frame);
    free(job);
}

/* ---- Gather ---------------------------------------------------------------------------------------------- */

static void clamp(lk_image *image) {
    size_t n = (size_t)image->width * (size_t)image->height * (size_t)image->channels;
    float *v = image->data;
    for (size_t i = 0; i < n; i++) v[i] = fminf(fmaxf(v[i], 0), 1);
}

/* The aligned crop, straight from the frame. A face much larger than the crop is cut at a multiple of its size and
 * averaged down. */
static bool cut_crop(lk_frame *frame, lk_rect window, lk_affine frame_to_crop, double scale, lk_image *crop,
                     lk_error *err) {
    int side = crop->width, times = scale < 0.66 ? (int)fmin(ceil(1 / scale), 8) : 1;
    double shift = 0.5 * times - 0.5;
    lk_affine larger = {{{times, 0, shift}, {0, times, shift}}}, from_window = {{{1, 0, window.x}, {0, 1, window.y}}};
    lk_affine cut = lk_affine_multiply(lk_affine_multiply(larger, frame_to_crop), from_window);
    lk_image rgb = {0}, fine = {0};
    bool ok = lk_frame_rgb(frame, window, LK_F32, &rgb, err);
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

static bool add_face(merge *m, frame_job *job, const lk_face *found, lk_error *err) {
    face_job *f = &job->faces[job->count];
    f->points = found->points;
    if (!lk_face_align(&found->points, m->type, m->side, 1, &f->frame_to_crop)) return true; /* no face to speak of */
    double scale = hypot(f->frame_to_crop.m[0][0], f->frame_to_crop.m[1][0]), margin = 1 + 2 * fmax(scale, 1);
    if (!(scale > 1e-4) || !isfinite(scale)) return true;
    lk_rect window = lk_crop_window(f->frame_to_crop, -margin, -margin, m->side - 1 + margin, m->side - 1 + margin,
                                    lk_frame_width(job->frame), lk_frame_height(job->frame));
    if (window.width == 0) return true;
    job->count++; /* from here on job_free looks after its images */
    return lk_image_alloc(&f->crop, m->side, m->side, 3, LK_F32, err) &&
           lk_image_alloc(&f->swap, m->side, m->side, 3, LK_F32, err) &&
           lk_image_alloc(&f->mask, m->side, m->side, 1, LK_F32, err) &&
           cut_crop(job->frame, window, f->frame_to_crop, scale, &f->crop, err);
}

/* Takes the frame over. */
static frame_job *make_job(merge *m, lk_frame *frame, lk_error *err) {
    frame_job *job = lk_alloc(1, sizeof *job, err);
    if (!job) {
        lk_frame_free(frame);
        return NULL;
    }
    job->frame = frame;
    bool ok = true;
    while (ok) {
        const lk_face *face;
        ok = lk_face_cursor_next(&m->cursor, lk_frame_index(frame), &face, err);
        if (!ok || !face) break;
        if (!job->faces) ok = (job->faces = lk_alloc(MAX_FACES, sizeof *job->faces, err)) != NULL;
        if (ok && job->count < MAX_FACES) ok = add_face(m, job, face, err);
    }
    if (ok) return job;
    lk_fail_in(err, "frame %lld of %s", (long long)lk_frame_index(frame), m->input);
    job_free(job);
    return NULL;
}

static void *gather(void *user) {
    merge *m = user;
    lk_set_threads(1);
    lk_error err = {0};
    while (!m->stopped) {
        lk_frame *frame = lk_reader_next(m->reader, &err);
        frame_job *job = frame ? make_job(m, frame, &err) : NULL;
        if (!job) break;
        if (!lk_queue_push(m->gathered, job)) {
            job_free(job);
            break;
        }
    }
    if (err.code != LK_OK) stop(m, &err);
    lk_queue_close(m->gathered);
    return NULL;
}

/* ---- Predict --------------------------------------------------------------------------------------------- */

static bool predict_batch(merge *m, face_job **faces, int count, lk_error *err) {
    size_t pixels = (size_t)m->side * (size_t)m->side;
    for (int i = 0; i < count; i++)
        memcpy(m->batch_faces + 3 * pixels * (size_t)i, faces[i]->crop.data, 3 * pixels * sizeof(float));
    if (!lk_model_predict(m->model, m->batch_faces, count, m->batch_swap, m->batch_mask, err)) return false;
    for (int i = 0; i < count; i++) {
        memcpy(faces[i]->swap.data, m->batch_swap + 3 * pixels * (size_t)i, 3 * pixels * sizeof(float));
        memcpy(faces[i]->mask.data, m->batch_mask + pixels * (size_t)i, pixels * sizeof(float));
    }
    return true;
}

/* Predict the faces of these frames, then send the frames on, in order. Frames that cannot be sent are freed. */
static bool predict_frames(merge *m, frame_job **jobs, int count, lk_error *err) {
    face_job *faces[BATCH];
    int n = 0;
    bool ok = true;
    for (int i = 0; i < count; i++)
        for (int k = 0; ok && k < jobs[i]->count; k++) {
            faces[n++] = &jobs[i]->faces[k];
            if (n < m->batch) continue;
            ok = predict_batch(m, faces, n, err);
            n = 0;
        }
    if (ok && n > 0) ok = predict_batch(m, faces, n, err);
    for (int i = 0; i < count; i++)
        if (ok && !m->stopped && lk_queue_push(m->order, jobs[i]))
            lk_queue_push(m->work, jobs[i]);
        else
            job_free(jobs[i]);
    return ok;
}

static void *predict(void *user) {
    merge *m = user;
    lk_set_threads(m->threads);
    frame_job *jobs[2 * BATCH];
    int count = 0, faces = 0;
    lk_error err = {0};
    bool ok = true;
    while (ok) {
        frame_job *job = lk_queue_pop(m->gathered);
        if (job) {
            jobs[count++] = job;
            faces += job->count;
            if (faces > 0 && faces < m->batch && count < 2 * BATCH) continue;
        }
        if (count > 0) ok = predict_frames(m, jobs, count, &err);
        count = faces = 0;
        if (!job) break;
    }
    if (!ok) stop(m, &err);
    lk_queue_close(m->order);
    lk_queue_close(m->work);
    return NULL;
}

/* ---- Composite ------------------------------------------------------------------------------------------- */

static bool composite_face(merge *m, lk_frame *frame, const face_job *f, lk_error *err) {
    lk_blend blend = {0};
    lk_image rgb = {0};
    lk_face_images images = {&f->swap, &f->mask, &f->crop, NULL, f->frame_to_crop, &f->points};
    bool ok = lk_blend_prepare(&blend, &images, &m->composite, err) &&
              lk_blend_finish(&blend, &m->composite, NULL, NULL, err);
    lk_rect window = {0};
    if (ok) window = lk_blend_window(&blend, lk_frame_width(frame), lk_frame_height(frame));
    if (ok && window.width > 0)
        ok = lk_frame_rgb(frame, window, LK_F32, &rgb, err) &&
             lk_blend_apply(&blend, &rgb, window, &m->composite, 0, NULL, err) &&
             lk_frame_set_rgb(frame, window, &rgb, err);
    lk_image_free(&rgb);
    lk_blend_free(&blend);
    return ok;
}

static void *composite(void *user) {
    merge *m = user;
    lk_set_threads(1);
    frame_job *job;
    while ((job = lk_queue_pop(m->work)) != NULL) {
        lk_error err = {0};
        bool ok = true;
        for (int i = 0; ok && !m->stopped && i < job->count; i++)
            ok = composite_face(m, job->frame, &job->faces[i], &err);
        if (!ok) {
            lk_fail_in(&err, "frame %lld of %s", (long long)lk_frame_index(job->frame), m->input);
            stop(m, &err);
        }
        pthread_mutex_lock(&m->lock);
        job->done = true;
        pthread_cond_broadcast(&m->finished);
        pthread_mutex_unlock(&m->lock);
    }
    return NULL;
}

/* ---- Write ----------------------------------------------------------------------------------------------- */

static bool wait_for(merge *m, const frame_job *job) {
    pthread_mutex_lock(&m->lock);
    while (!job->done && !m->stopped) pthread_cond_wait(&m->finished, &m->lock);
    bool done = job->done && !m->stopped;
    pthread_mutex_unlock(&m->lock);
    return done;
}

/* Jobs that a stop leaves in `order` stay there: workers may still hold them. Returns the one that was in hand. */
static frame_job *write_frames(merge *m, lk_progress *progress, lk_merge_report *report) {
    lk_error err = {0};
    frame_job *job = NULL;
    while (!m->stopped && (job = lk_queue_pop(m->order)) != NULL) {
        if (!wait_for(m, job)) return job;
        if (lk_interrupted())
            lk_fail(&err, LK_ERR_INTERRUPTED, "merging %s was interrupted; nothing was written", m->input);
        if (err.code != LK_OK || !lk_writer_add(m->writer, job->frame, &err)) {
            stop(m, &err);
            return job;
        }
        report->frames++;
        if (job->count > 0)
            report->merged++;
        else
            report->untouched++;
        job_free(job);
        double seconds = lk_now() - progress->start;
        lk_progress_update(progress, (double)report->frames, "%.1f frames/s",
                           seconds > 0 ? (double)report->frames / seconds : 0.0);
    }
    return NULL;
}

/* ---- All together ---------------------------------------------------------------------------------------- */

static int start(pthread_t *threads, int count, void *(*f)(void *), merge *m) {
    for (int i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, f, m) != 0) {
            lk_error err = {0};
            lk_fail(&err, LK_ERR_MEMORY, "a thread could not be started; close other programs and try again");
            stop(m, &err);
            return i;
        }
    return count;
}

static bool run(merge *m, lk_merge_report *report, lk_error *err) {
    pthread_t gatherer, predictor, workers[MAX_WORKERS];
    int count = m->threads < MAX_WORKERS ? m->threads : MAX_WORKERS;
    int gathering = start(&gatherer, 1, gather, m), predicting = start(&predictor, 1, predict, m);
    count = start(workers, count, composite, m);

    const lk_media_info *info = lk_reader_info(m->reader);
    int64_t total = info->frames > m->o->first ? info->frames - m->o->first : 0;
    if (m->o->max > 0 && (total == 0 || total > m->o->max)) total = m->o->max;
    char what[300];
    snprintf(what, sizeof what, "merging %s", lk_path_base(m->input));
    lk_progress progress;
    lk_progress_begin(&progress, what, (double)total);
    frame_job *left = write_frames(m, &progress, report);

    if (gathering) pthread_join(gatherer, NULL);
    if (!gathering) lk_queue_close(m->gathered);
    if (predicting) pthread_join(predictor, NULL);
    for (int i = 0; i < count; i++) pthread_join(workers[i], NULL);
    lk_progress_end(&progress);
    job_free(left);
    while ((left = lk_queue_pop(m->gathered)) != NULL) job_free(left);
    while ((left = lk_queue_pop(m->order)) != NULL) job_free(left);
    if (m->stopped && err) *err = m->first_error;
    return !m->stopped;
}

static bool same_file(const char *a, const char *b) {
    struct stat s, t;
    return stat(a, &s) == 0 && stat(b, &t) == 0 && s.st_dev == t.st_dev && s.st_ino == t.st_ino;
}

/* Everything that needs no writing yet, so that what is wrong is told before an output is begun. */
static bool prepare(merge *m, const char *model_dir, const char *faces, const char *output, lk_error *err) {
    const lk_merge_options *o = m->o;
    if (same_file(m->input, output))
        return lk_fail(err, LK_ERR_USAGE, "the output %s is the input itself; give it another name", output);
    m->reader = lk_reader_open(m->input, &(lk_reader_options){.first = o->first, .max = o->max}, err);
    if (!m->reader) return false;
    const lk_media_info *info = lk_reader_info(m->reader);
    if (!lk_face_cursor_open(&m->cursor, faces, m->input, info, err)) return false;
    m->model = lk_model_open(model_dir, BATCH, err);
    if (!m->model) return false;
    const lk_swap_config *config = lk_model_config(m->model);
    m->side = config->resolution;
    m->type = (lk_face_type)config->face_type;
    m->batch = lk_model_batch(m->model) < BATCH ? lk_model_batch(m->model) : BATCH;
    if (!config->learn_mask && m->composite.mask != LK_MASK_HULL) {
        lk_log(LK_LOG_INFO, "%s predicts no mask: the hull of the landmarks is used", model_dir);
        m->composite.mask = LK_MASK_HULL;
    }
    size_t pixels = (size_t)m->side * (size_t)m->side * (size_t)m->batch;
    m->batch_faces = lk_alloc(pixels, 3 * sizeof(float), err);
    m->batch_swap = m->batch_faces ? lk_alloc(pixels, 3 * sizeof(float), err) : NULL;
    m->batch_mask = m->batch_swap ? lk_alloc(pixels, sizeof(float), err) : NULL;
    if (!m->batch_mask) return false;
    double frame_bytes = (double)info->width * info->height * (info->depth > 8 ? 3 : 1.5);
    int room = (int)fmin(fmax(QUEUE_BYTES / 2 / fmax(frame_bytes, 1), 2), 16);
    m->gathered = lk_queue_new(room, err);
    m->order = m->gathered ? lk_queue_new(room, err) : NULL;
    m->work = m->order ? lk_queue_new(room, err) : NULL;
    return m->work != NULL;
}

static void release(merge *m) {
    lk_queue_free(m->gathered);
    lk_queue_free(m->order);
    lk_queue_free(m->work);
    free(m->batch_faces);
    free(m->batch_swap);
    free(m->batch_mask);
    lk_model_close(m->model);
    lk_face_cursor_close(&m->cursor);
    lk_reader_close(m->reader);
    pthread_cond_destroy(&m->finished);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

bool lk_merge(const char *model_dir, const char *input, const char *faces, const char *output,
              const lk_merge_options *o, lk_merge_report *report, lk_error *err) {
    lk_merge_report unused;
    if (!report) report = &unused;
    *report = (lk_merge_report){0};
    merge *m = lk_alloc(1, sizeof *m, err);
    if (!m) return false;
    double begun = lk_now();
    m->o = o;
    m->composite = o->composite;
    m->input = input;
    m->threads = lk_threads();
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->finished, NULL);
    bool ok = prepare(m, model_dir, faces, output, err);
    if (ok) {
        lk_writer_options w = {.crf = o->crf, .lossless = o->lossless, .codec = o->codec, .preset = o->preset};
        w.folder = o->folder;
        w.comment = MADE_BY;
        m->writer = lk_writer_open(output, m->reader, &w, err);
        ok = m->writer && run(m, report, err);
    }
    if (ok && report->frames == 0)
        ok = lk_fail(err, LK_ERR_NOT_FOUND, "%s has no frame %lld to begin with", input, (long long)o->first);
    if (ok)
        ok = lk_writer_finish(m->writer, err);
    else if (m->writer)
        lk_writer_abandon(m->writer);
    report->seconds = lk_now() - begun;
    release(m);
    return ok;
}
