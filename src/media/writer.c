/* Writing: a thread takes frames from a bounded queue into an encoder or a folder of PNGs. The output bears a
 * temporary name until it is whole. */
#include "encoder.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAITING = 6 }; /* frames */

struct lk_writer {
    char *path, *temporary, *codec, *preset, *comment, *parts;
    bool folder, alpha;
    lk_encoder encoder;
    int64_t count;
    lk_queue *queue;
    pthread_t thread;
    bool running;
    atomic_bool abandoned;
    lk_error error; /* the thread's, written before it closes the queue */
};

/* ---- Folder ---------------------------------------------------------------------------------------------- */

/* The picture's own name, or its number. Two of one name but for the ending keep theirs: a.jpg.png beside a.png. */
static char *picture_path(const lk_writer *w, const lk_frame *f, lk_error *err) {
    const char *dot = f->name ? strrchr(f->name, '.') : NULL;
    if (!f->name) return lk_format(err, "%s/%06lld.png", w->temporary, (long long)f->index);
    int stem = dot && dot > f->name ? (int)(dot - f->name) : (int)strlen(f->name);
    char *path = lk_format(err, "%s/%.*s.png", w->temporary, stem, f->name);
    if (!path || !lk_file_exists(path)) return path;
    free(path);
    return lk_format(err, "%s/%s.png", w->temporary, f->name);
}

/* RGB becomes RGBA; a frame without alpha is transparent all over. On failure `rgb` is freed. */
static bool with_alpha(const lk_frame *f, lk_image *rgb, lk_error *err) {
    lk_image all;
    bool ok = lk_image_alloc(&all, rgb->width, rgb->height, 4, LK_U8, err);
    for (int y = 0; ok && y < rgb->height; y++)
        for (int x = 0; x < rgb->width; x++) {
            uint8_t *p = lk_row_u8(&all, y) + 4 * (size_t)x;
            memcpy(p, lk_row_u8(rgb, y) + 3 * (size_t)x, 3);
            p[3] = f->alpha ? f->alpha->data[(size_t)y * (size_t)rgb->width + (size_t)x] : 0;
        }
    lk_image_free(rgb);
    *rgb = all;
    return ok;
}

static bool add_picture(lk_writer *w, lk_frame *f, lk_error *err) {
    lk_image rgb;
    char *path = picture_path(w, f, err);
    bool ok = path && lk_frame_rgb(f, (lk_rect){0, 0, f->av->width, f->av->height}, LK_U8, &rgb, err);
    if (ok && w->alpha) ok = with_alpha(f, &rgb, err);
    if (ok) {
        ok = lk_image_save(&rgb, path, 100, err);
        lk_image_free(&rgb);
    }
    free(path);
    return ok;
}

static bool begin_folder(lk_writer *w, lk_error *err) {
    if (lk_file_exists(w->path)) {
        if (!lk_is_folder(w->path))
            return lk_fail(err, LK_ERR_USAGE, "%s is a file; choose another name for the folder of images", w->path);
        /* An empty folder can be taken; rmdir refuses any other. */
        if (rmdir(w->path) != 0)
            return lk_fail(err, LK_ERR_USAGE, "the folder %s exists and is not empty; remove it or choose another",
                           w->path);
    }
    if (mkdir(w->temporary, 0777) != 0 && !(w->parts && errno == EEXIST))
        return lk_fail_errno(err, "the folder %s cannot be made", w->path);
    w->count = w->parts ? lk_folder_count(w->temporary, ".png") : 0;
    return true;
}

/* ---- The thread ------------------------------------------------------------------------------------------ */

static bool take(lk_writer *w, lk_frame *f) {
    bool ok = w->folder ? add_picture(w, f, &w->error) : lk_encoder_add(&w->encoder, f, &w->error);
    lk_frame_free(f);
    w->count++;
    return ok;
}

static void *run(void *user) {
    lk_writer *w = user;
    bool ok = true;
    for (lk_frame *f; ok && !w->abandoned && (f = lk_queue_pop(w->queue)) != NULL;) ok = take(w, f);
    lk_queue_close(w->queue);
    return NULL;
}

/* ---- Opening --------------------------------------------------------------------------------------------- */

static bool copy_strings(lk_writer *w, const lk_writer_options *o, lk_error *err) {
    if (o->codec && !(w->codec = lk_strdup(o->codec, err))) return false;
    if (o->preset && !(w->preset = lk_strdup(o->preset, err))) return false;
    if (o->parts && !(w->parts = lk_strdup(o->parts, err))) return false;
    return !o->comment || (w->comment = lk_strdup(o->comment, err)) != NULL;
}

static bool begin_video(lk_writer *w, const lk_reader *like, const lk_writer_options *o, lk_error *err) {
    lk_encoder *e = &w->encoder;
    const lk_source *source = like ? lk_reader_source(like) : NULL;
    if (o->crf < 0 || o->crf > 51)
        return lk_fail(err, LK_ERR_USAGE, "%s: crf %d is not possible; choose 0 (best) to 51", w->path, o->crf);
    if (!(o->fps >= 0 && o->fps <= 1000))
        return lk_fail(err, LK_ERR_USAGE, "%s: %g frames a second are not possible; choose up to 1000", w->path,
                       o->fps);
    if (o->parts && o->part_frames < 1)
        return lk_fail(err, LK_ERR_USAGE, "%s: a part has at least one frame, not %d", w->path, o->part_frames);
    if (lk_is_folder(w->path)) return lk_fail(err, LK_ERR_IO, "%s is a folder; name a video file", w->path);
    e->path = w->path;
    e->options = *o;
    e->options.codec = w->codec;
    e->options.preset = w->preset;
    e->options.parts = w->parts;
    e->rate = av_d2q(o->fps > 0 ? o->fps : 25, 120000);
    if (source) {
        const lk_reader_options *part = lk_reader_selection(like);
        e->keeps_time = true;
        e->partial = part->first > 0;
        e->start = source->start;
        e->time_base = source->time_base;
        if (source->rate.num > 0 && source->rate.den > 0) e->rate = source->rate;
    } else {
        e->time_base = av_inv_q(e->rate);
    }
    if (!lk_encoder_find(e, w->path, err)) return false;
    e->muxer = lk_muxer_open(w->path, w->temporary, like, w->comment, err);
    const lk_media_info *info = source ? lk_reader_info(like) : NULL;
    return e->muxer && (!info || lk_encoder_try(e, info->width, info->height, err));
}

static void release(lk_writer *w) {
    if (w->queue) lk_queue_close(w->queue);
    if (w->running) pthread_join(w->thread, NULL);
    for (lk_frame *f; w->queue && (f = lk_queue_try_pop(w->queue)) != NULL;) lk_frame_free(f);
    lk_queue_free(w->queue);
    lk_encoder_free(&w->encoder);
    if (w->temporary && w->folder && !w->parts) lk_folder_remove(w->temporary);
    if (w->temporary && !w->folder) unlink(w->temporary);
    free(w->path);
    free(w->temporary);
    free(w->codec);
    free(w->preset);
    free(w->comment);
    free(w->parts);
    free(w);
}

static void remove_temporary(const char *temporary) {
    if (unlink(temporary) != 0) lk_folder_remove(temporary);
}

lk_writer *lk_writer_open(const char *path, const lk_reader *like, const lk_writer_options *options, lk_error *err) {
    static const lk_writer_options usual = {.crf = 18};
    const lk_writer_options *o = options ? options : &usual;
    lk_writer *w = lk_alloc(1, sizeof *w, err);
    if (!w) return NULL;
    w->folder = o->folder;
    w->alpha = o->alpha;
    w->path = lk_strdup(path, err);
    size_t length = w->path ? strlen(w->path) : 0;
    while (length > 1 && w->path[length - 1] == '/') w->path[--length] = 0;
    if (w->path) lk_file_each_left_behind(w->path, remove_temporary);
    if (w->path)
        w->temporary =
            o->folder && o->parts ? lk_path_join(o->parts, LK_PICTURES, err) : lk_file_temporary_name(w->path, err);
    bool ok = w->temporary && copy_strings(w, o, err);
    ok = ok && (w->folder ? begin_folder(w, err) : begin_video(w, like, o, err));
    ok = ok && (w->queue = lk_queue_new(WAITING, err)) != NULL;
    if (ok) {
        w->running = pthread_create(&w->thread, NULL, run, w) == 0;
        if (!w->running) ok = lk_fail(err, LK_ERR_MEMORY, "%s: no thread can be started to write it", path);
    }
    if (ok) return w;
    release(w);
    return NULL;
}

/* ---- Use ------------------------------------------------------------------------------------------------- */

bool lk_writer_add(lk_writer *w, lk_frame *f, lk_error *err) {
    lk_frame *own = lk_frame_ref(f);
    if (!own) return lk_fail(err, LK_ERR_MEMORY, "%s: no memory for a frame", w->path);
    if (lk_queue_push(w->queue, own)) return true;
    lk_frame_free(own);
    if (err) *err = w->error;
    return false;
}

/* Until the thread has done with all frames that were added. */
static bool settle(lk_writer *w, lk_error *err) {
    if (w->running) {
        lk_queue_close(w->queue);
        pthread_join(w->thread, NULL);
        w->running = false;
    }
    if (w->error.code != LK_OK && err) *err = w->error;
    return w->error.code == LK_OK;
}

int64_t lk_writer_part(const lk_writer *w, int64_t part, bool *final) {
    lk_part_head head;
    lk_part_tail tail;
    lk_error unknown;
    *final = false;
    if (w->folder) return part == 0 ? w->count : 0;
    lk_part_reader *p = w->parts ? lk_part_open(w->parts, part, &head, &tail, &unknown) : NULL;
    if (!p) return 0;
    lk_part_close(p);
    *final = tail.final != 0;
    return tail.frames;
}

bool lk_writer_begin_part(lk_writer *w, int64_t part, lk_error *err) {
    if (!settle(w, err) || !lk_encoder_begin_part(&w->encoder, part, err)) return false;
    lk_queue_free(w->queue);
    w->queue = lk_queue_new(WAITING, err);
    w->running = w->queue && pthread_create(&w->thread, NULL, run, w) == 0;
    return w->running || (w->queue && lk_fail(err, LK_ERR_MEMORY, "%s: no thread can be started to write it", w->path));
}

bool lk_writer_end_part(lk_writer *w, bool final, lk_error *err) {
    return settle(w, err) && lk_encoder_end_part(&w->encoder, final, err);
}

bool lk_writer_finish(lk_writer *w, lk_error *err) {
    bool ok = settle(w, err);
    if (ok && w->folder && w->count == 0)
        ok = lk_fail(err, LK_ERR_NOT_FOUND, "%s: there is not one image to write", w->path);
    if (ok && !w->folder) ok = lk_encoder_finish(&w->encoder, err);
    if (ok) ok = lk_file_adopt(w->temporary, w->path, err);
    release(w);
    return ok;
}

void lk_writer_abandon(lk_writer *w) {
    if (!w) return;
    w->abandoned = true;
    release(w);
}
