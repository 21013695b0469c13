/* The merge as threads with bounded queues between them:
 *
 *     gather: frames from the reader, and the aligned crops of their faces
 *       → predict: crops of several frames together, a batch at a time
 *         → line: workers prepare frames and compose them, once those around are prepared
 *           → the calling thread: frames in order to the writer, progress, Ctrl-C
 *
 * Whoever meets an error first keeps it and stops all the others. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "line.h"
#include "store.h"

#define MAX_WORKERS 16
#define AT_ONCE     (2 * LK_MERGE_BATCH)  /* frames that wait for a full batch, at most */
#define FRAME_BYTES (160.0 * 1024 * 1024) /* that frames on their way may take together */
#define MADE_BY     "Made with Likeness " LK_VERSION ": faces in this video were replaced"

typedef struct run {
    lk_merge_job *m;
    lk_writer *writer;
    lk_queue *gathered;
    lk_line *line;
    pthread_mutex_t lock; /* of first_error */
    atomic_bool stopped;
    lk_error first_error;
} run;

/* Keep the first error, and let everyone come to an end. */
static void stop(run *r, const lk_error *why) {
    pthread_mutex_lock(&r->lock);
    if (!r->stopped && why) r->first_error = *why;
    r->stopped = true;
    pthread_mutex_unlock(&r->lock);
    lk_queue_close(r->gathered);
    lk_line_stop(r->line);
}

/* ---- Threads --------------------------------------------------------------------------------------------- */

static void *gather(void *user) {
    run *r = user;
    lk_set_threads(1);
    lk_error err = {0};
    for (lk_frame_job *job; !r->stopped && (job = lk_gather(r->m, &err)) != NULL;)
        if (!lk_queue_push(r->gathered, job)) lk_frame_job_free(job);
    if (err.code != LK_OK) stop(r, &err);
    lk_queue_close(r->gathered);
    return NULL;
}

/* Predict the faces of these frames, then send the frames on, in order. Frames that cannot be sent are freed. */
static bool predict_frames(run *r, lk_frame_job **jobs, int count, lk_error *err) {
    double begun = lk_now();
    bool ok = lk_predict_frames(r->m, jobs, count, err);
    lk_stage_add(r->m, &r->m->stages.predict, lk_now() - begun);
    for (int i = 0; i < count; i++)
        if (!ok || !lk_line_push(r->line, jobs[i])) lk_frame_job_free(jobs[i]);
    return ok;
}

static void *predict(void *user) {
    run *r = user;
    lk_set_threads(r->m->threads);
    lk_frame_job *jobs[AT_ONCE];
    int count = 0, faces = 0;
    lk_error err = {0};
    bool ok = true;
    while (ok) {
        lk_frame_job *job = lk_queue_pop(r->gathered);
        if (job) {
            jobs[count++] = job;
            faces += job->count;
            if (faces > 0 && faces < LK_MERGE_BATCH && count < AT_ONCE) continue;
        }
        if (count > 0) ok = predict_frames(r, jobs, count, &err);
        count = faces = 0;
        if (!job) break;
    }
    if (!ok) stop(r, &err);
    lk_line_end(r->line);
    return NULL;
}

static void *work(void *user) {
    run *r = user;
    lk_set_threads(1);
    lk_error err = {0};
    lk_line_task task;
    lk_frame_job *room[2 * LK_MAX_REACH + 1];
    while (lk_line_take(r->line, &task, room)) {
        double begun = lk_now();
        bool ok = task.prepare
                      ? lk_prepare_frame(r->m, task.prepare, &err)
                      : !room[task.own]->wanted || lk_compose_frame(r->m, task.around, task.count, task.own, &err);
        lk_stage_add(r->m, task.prepare ? &r->m->stages.prepare : &r->m->stages.blend, lk_now() - begun);
        if (!ok) {
            stop(r, &err);
            break;
        }
        lk_line_done(r->line, &task);
    }
    return NULL;
}

/* ---- Write ----------------------------------------------------------------------------------------------- */

static bool write_frame(run *r, const lk_frame_job *job, lk_merge_report *report, lk_error *err) {
    double begun = lk_now();
    if (lk_interrupted()) return lk_fail(err, LK_ERR_INTERRUPTED, "merging %s was interrupted", r->m->input);
    if (!lk_writer_add(r->writer, job->frame, err)) return false;
    lk_stage_add(r->m, &r->m->stages.encode, lk_now() - begun);
    report->frames++;
    if (job->count > 0)
        report->merged++;
    else
        report->untouched++;
    return true;
}

static void write_frames(run *r, lk_progress *progress, lk_merge_report *report) {
    lk_error err = {0};
    for (lk_frame_job *job; (job = lk_line_next(r->line)) != NULL;) {
        if (!job->wanted) continue;
        if (!write_frame(r, job, report, &err)) {
            stop(r, &err);
            return;
        }
        double seconds = lk_now() - progress->start;
        lk_progress_update(progress, (double)report->frames, "%.1f frames/s",
                           seconds > 0 ? (double)(report->frames - report->kept) / seconds : 0.0);
    }
}

/* ---- All together ---------------------------------------------------------------------------------------- */

static int start(pthread_t *threads, int count, void *(*f)(void *), run *r) {
    for (int i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, f, r) != 0) {
            lk_error err = {0};
            lk_fail(&err, LK_ERR_MEMORY, "a thread could not be started; close other programs and try again");
            stop(r, &err);
            return i;
        }
    return count;
}

static void run_threads(run *r, lk_progress *progress, lk_merge_report *report) {
    pthread_t gatherer, predictor, workers[MAX_WORKERS];
    int count = r->m->threads < MAX_WORKERS ? r->m->threads : MAX_WORKERS;
    int gathering = start(&gatherer, 1, gather, r), predicting = start(&predictor, 1, predict, r);
    count = start(workers, count, work, r);
    write_frames(r, progress, report);
    if (gathering) pthread_join(gatherer, NULL);
    if (!gathering) lk_queue_close(r->gathered);
    if (predicting) pthread_join(predictor, NULL);
    for (int i = 0; i < count; i++) pthread_join(workers[i], NULL);
    for (lk_frame_job *left; (left = lk_queue_pop(r->gathered)) != NULL;) lk_frame_job_free(left);
}

/* Bytes that a frame and its prepared faces take, on average one face of each person. */
static double bytes_of_frame(const lk_merge_job *m) {
    double bytes = (double)m->info.width * m->info.height * (m->info.depth > 8 ? 3 : 1.5);
    for (int i = 0; i < m->person_count; i++) {
        double side = m->people[i].side, mask = fmax(side, 256);
        bytes += 4 * (9 * side * side + mask * mask) + 2 * mask * mask;
    }
    return bytes;
}

/* Frames first..last through all threads. */
static bool run_frames(lk_merge_job *m, lk_writer *writer, int64_t first, int64_t last, lk_progress *progress,
                       lk_merge_report *report, lk_error *err) {
    run r = {.m = m, .writer = writer};
    int room = (int)fmin(fmax(FRAME_BYTES / 2 / bytes_of_frame(m), 2), 16);
    pthread_mutex_init(&r.lock, NULL);
    r.gathered = lk_queue_new(room, err);
    r.line = r.gathered ? lk_line_new(m->reach, m->threads + 2 * m->reach + room, err) : NULL;
    bool ok = r.line && lk_job_seek(m, first, last, err);
    if (ok) {
        run_threads(&r, progress, report);
        ok = !r.stopped;
        if (!ok && err) *err = r.first_error;
    }
    lk_queue_free(r.gathered);
    lk_line_free(r.line);
    pthread_mutex_destroy(&r.lock);
    return ok;
}

static bool same_file(const char *a, const char *b) {
    struct stat s, t;
    return stat(a, &s) == 0 && stat(b, &t) == 0 && s.st_dev == t.st_dev && s.st_ino == t.st_ino;
}

static lk_writer *open_writer(const lk_merge_job *m, const char *parts, const char *output, lk_error *err) {
    const lk_merge_options *o = m->o;
    lk_reader *like = lk_reader_open(m->input, &(lk_reader_options){.first = o->first, .max = o->max}, err);
    if (!like) return NULL;
    lk_writer_options w = {.crf = o->crf, .lossless = o->lossless, .codec = o->codec, .preset = o->preset};
    w.folder = o->folder;
    w.alpha = o->alpha;
    w.comment = MADE_BY;
    w.parts = parts;
    w.part_frames = o->part;
    lk_writer *writer = lk_writer_open(output, like, &w, err);
    lk_reader_close(like);
    return writer;
}

/* ---- In parts -------------------------------------------------------------------------------------------- */

/* The first part after `part` that is there already; −1: none. */
static int64_t next_part(const lk_merge_job *m, const lk_writer *writer, int64_t part) {
    int64_t most = m->info.frames / m->o->part + 2;
    bool final;
    for (int64_t p = part + 1; p <= most; p++)
        if (lk_writer_part(writer, p, &final) > 0) return p;
    return -1;
}

/* One run of parts that are missing. *ended: the video ended where a part that is known to be whole did. */
static bool run_parts(lk_merge_job *m, lk_writer *writer, int64_t part, int64_t until, int64_t last,
                      lk_progress *progress, lk_merge_report *report, bool *ended, lk_error *err) {
    int64_t first = m->o->first + part * m->o->part, before = report->merged + report->untouched;
    if (until >= 0) last = m->o->first + until * m->o->part - 1;
    if (!lk_writer_begin_part(writer, part, err) || !run_frames(m, writer, first, last, progress, report, err))
        return false;
    int64_t made = report->merged + report->untouched - before;
    *ended = made == 0;
    if (until >= 0 && made != (until - part) * m->o->part)
        return lk_fail(err, LK_ERR_FORMAT, "%s ends before frame %lld, which it had when the parts were made", m->input,
                       (long long)last);
    return lk_writer_end_part(writer, until < 0, err);
}

static bool merge_parts(lk_merge_job *m, const lk_store *store, lk_writer *writer, int64_t last, lk_progress *progress,
                        lk_merge_report *report, lk_error *err) {
    bool final = false;
    for (int64_t part = 0; !final;) {
        int64_t frames = lk_writer_part(writer, part, &final);
        if (frames > 0) {
            report->kept += frames;
            report->frames += frames;
            part++;
            continue;
        }
        int64_t until = next_part(m, writer, part);
        bool ended = false;
        if (!run_parts(m, writer, part, until, last, progress, report, &ended, err)) return false;
        if (ended && part == 0) return true;
        if (ended) { /* the part before is the last, and does not say so: it was not known yet */
            lk_store_remove_part(store, part - 1);
            report->frames -= m->o->part;
            report->kept -= m->o->part;
            part--;
            continue;
        }
        if (until < 0) return true;
        part = until;
    }
    return true;
}

/* A folder's pictures come one after the other: those that are there are the first. */
static bool merge_pictures(lk_merge_job *m, lk_writer *writer, int64_t last, lk_progress *progress,
                           lk_merge_report *report, lk_error *err) {
    bool final;
    report->frames = report->kept = lk_writer_part(writer, 0, &final);
    int64_t first = m->o->first + report->kept;
    return first > last || run_frames(m, writer, first, last, progress, report, err);
}

/* ---- All of it ------------------------------------------------------------------------------------------- */

static bool merge_video(lk_merge_job *m, lk_store *store, const char *output, lk_merge_report *report, lk_error *err) {
    const lk_merge_options *o = m->o;
    int64_t last = o->max > 0 ? o->first + o->max - 1 : INT64_MAX;
    int64_t total = m->info.frames > o->first ? m->info.frames - o->first : 0;
    if (o->max > 0 && (total == 0 || total > o->max)) total = o->max;
    char what[300];
    snprintf(what, sizeof what, "merging %s", lk_path_base(m->input));
    lk_writer *writer = open_writer(m, store->folder, output, err);
    if (!writer) return false;
    lk_progress progress;
    lk_progress_begin(&progress, what, (double)total);
    bool ok = o->folder ? merge_pictures(m, writer, last, &progress, report, err)
                        : merge_parts(m, store, writer, last, &progress, report, err);
    lk_progress_end(&progress);
    if (ok && report->frames == 0)
        ok = lk_fail(err, LK_ERR_NOT_FOUND, "%s has no frame %lld to begin with", m->input, (long long)o->first);
    double begun = lk_now();
    if (!ok) {
        lk_writer_abandon(writer);
        return false;
    }
    ok = lk_writer_finish(writer, err);
    m->stages.encode += lk_now() - begun;
    return ok;
}

bool lk_merge(const char *model_dir, const char *input, const char *faces, const char *output,
              const lk_merge_options *o, lk_merge_report *report, lk_error *err) {
    lk_merge_report unused;
    if (!report) report = &unused;
    *report = (lk_merge_report){0};
    if (same_file(input, output))
        return lk_fail(err, LK_ERR_USAGE, "the output %s is the input itself; give it another name", output);
    lk_merge_job *m = lk_alloc(1, sizeof *m, err);
    if (!m) return false;
    double begun = lk_now();
    lk_store store = {0};
    bool ok = lk_job_open(m, model_dir, input, faces, o, err);
    if (ok && o->folder && (o->frames || o->keep))
        ok = lk_fail(err, LK_ERR_USAGE, "--frames and --keep are for videos, not for a folder of pictures");
    ok = ok && lk_store_open(&store, m, output, err) && merge_video(m, &store, output, report, err);
    lk_store_close(&store, ok);
    report->stages = m->stages;
    report->seconds = lk_now() - begun;
    lk_job_release(m);
    free(m);
    return ok;
}
