/* Reading: a thread decodes ahead of the consumer, into a bounded queue. */
#include "internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { AHEAD = 6 }; /* frames waiting: 1080p in 4:2:0 takes 3 MB each */

struct lk_reader {
    char *path;
    lk_reader_options selection;
    lk_media_info info;
    lk_source source;
    char **names; /* of a folder; NULL for a file */
    int name_count;
    lk_decoder decoder;
    lk_queue *queue;
    pthread_t thread;
    bool running;
    atomic_bool stop;
    lk_error error; /* the thread's last words, written before it closes the queue */
};

const lk_media_info *lk_reader_info(const lk_reader *r) { return &r->info; }
const char *lk_reader_path(const lk_reader *r) { return r->path; }
const lk_source *lk_reader_source(const lk_reader *r) { return r->info.is_video ? &r->source : NULL; }
const lk_reader_options *lk_reader_selection(const lk_reader *r) { return &r->selection; }

/* ---- What is known before the first frame ---------------------------------------------------------------- */

static void describe(lk_reader *r, const lk_decoder *d) {
    const AVStream *s = d->input->streams[d->stream];
    const AVCodecParameters *p = s->codecpar;
    const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(p->format);
    size_t size = 0;
    const uint8_t *side = av_stream_get_side_data(s, AV_PKT_DATA_DISPLAYMATRIX, &size);
    int32_t matrix[9];
    bool turned = side && size >= sizeof matrix;
    if (turned) memcpy(matrix, side, sizeof matrix);
    lk_media_info *i = &r->info;
    i->rotation = turned ? lk_matrix_degrees(matrix) : 0;
    bool across = i->rotation == 90 || i->rotation == 270;
    i->width = across ? p->height : p->width;
    i->height = across ? p->width : p->height;
    i->depth = format ? format->comp[0].depth < 8 ? 8 : format->comp[0].depth : 8;
    i->is_video = !d->picture;
    snprintf(i->codec, sizeof i->codec, "%s", avcodec_get_name(p->codec_id));
    snprintf(i->pixel_format, sizeof i->pixel_format, "%s", format ? format->name : "unknown");
    if (d->picture) return;
    for (unsigned k = 0; k < d->input->nb_streams; k++)
        if (d->input->streams[k]->codecpar->codec_type == AVMEDIA_TYPE_AUDIO) i->has_audio = true;
    AVRational rate = s->avg_frame_rate.num > 0 ? s->avg_frame_rate : s->r_frame_rate;
    i->fps = rate.num > 0 && rate.den > 0 ? av_q2d(rate) : 0;
    if (s->duration != AV_NOPTS_VALUE)
        i->duration = (double)s->duration * av_q2d(s->time_base);
    else if (d->input->duration != AV_NOPTS_VALUE)
        i->duration = (double)d->input->duration / AV_TIME_BASE;
    i->frames = s->nb_frames > 0 ? s->nb_frames : (int64_t)(i->duration * i->fps + 0.5);
    r->source.time_base = s->time_base;
    r->source.rate = rate;
    r->source.sample_aspect = s->sample_aspect_ratio.num ? s->sample_aspect_ratio : p->sample_aspect_ratio;
    r->source.start = s->start_time == AV_NOPTS_VALUE ? 0 : s->start_time;
    av_dict_copy(&r->source.metadata, d->input->metadata, 0);
}

static void close_decoder(lk_decoder *d) {
    lk_decoder_close(d);
    *d = (lk_decoder){0};
}

/* A picture's size may be known only once it is decoded, and so is the way up that its Exif data asks for. */
static bool describe_picture(lk_reader *r, const char *path, lk_error *err) {
    lk_decoder d;
    if (!lk_decoder_open(&d, path, 1, false, err)) return false;
    describe(r, &d);
    r->info.is_video = false;
    lk_frame *f = lk_decoder_next(&d, err);
    bool ok = f && lk_decoder_finish_frame(&d, f, err);
    if (ok) {
        r->info.width = lk_frame_width(f);
        r->info.height = lk_frame_height(f);
        r->info.frames = r->names ? r->name_count : 1;
        r->info.frames_exact = true;
        r->info.fps = r->info.duration = 0;
        r->info.has_audio = false;
    }
    lk_frame_free(f);
    lk_decoder_close(&d);
    return ok;
}

static bool open_file(lk_reader *r, lk_error *err) {
    if (!lk_decoder_open(&r->decoder, r->path, lk_threads(), r->selection.nvdec, err)) return false;
    if (!r->decoder.picture) {
        describe(r, &r->decoder);
        return true;
    }
    close_decoder(&r->decoder);
    return describe_picture(r, r->path, err) && lk_decoder_open(&r->decoder, r->path, 1, false, err);
}

/* ---- The thread ------------------------------------------------------------------------------------------ */

/* Whether frame `index` is wanted; *last: none after it is. */
static bool wanted(const lk_reader_options *o, int64_t index, bool *last) {
    int64_t every = o->every > 1 ? o->every : 1, from = index - o->first;
    *last = o->max > 0 && from >= (o->max - 1) * every;
    return from >= 0 && from % every == 0 && (o->max == 0 || from / every < o->max);
}

static bool deliver(lk_reader *r, const lk_decoder *d, lk_frame *f) {
    if (lk_decoder_finish_frame(d, f, &r->error) && !r->stop && lk_queue_push(r->queue, f)) return true;
    lk_frame_free(f);
    return false;
}

static void read_video(lk_reader *r) {
    bool last = false;
    while (!last && !r->stop) {
        lk_frame *f = lk_decoder_next(&r->decoder, &r->error);
        if (!f) return;
        if (!wanted(&r->selection, f->index, &last))
            lk_frame_free(f);
        else if (!deliver(r, &r->decoder, f))
            return;
    }
}

static lk_frame *read_picture(lk_reader *r, lk_decoder *d, int i) {
    if (!lk_decoder_open(d, r->names[i], 1, false, &r->error)) return NULL;
    lk_frame *f = lk_decoder_next(d, &r->error);
    if (!f) return NULL;
    f->index = i;
    f->picture = true;
    f->time_base = (AVRational){1, 25};
    f->av->pts = i;
    f->duration = 1;
    f->name = lk_strdup(lk_path_base(r->names[i]), &r->error);
    if (f->name) return f;
    lk_frame_free(f);
    return NULL;
}

static void read_folder(lk_reader *r) {
    bool last = false, ok = true;
    for (int i = 0; i < r->name_count && ok && !last && !r->stop; i++) {
        if (!wanted(&r->selection, i, &last)) continue;
        lk_decoder d = {0};
        lk_frame *f = read_picture(r, &d, i);
        ok = f && deliver(r, &d, f);
        lk_decoder_close(&d);
    }
}

static void *run(void *user) {
    lk_reader *r = user;
    if (r->names)
        read_folder(r);
    else
        read_video(r);
    lk_queue_close(r->queue);
    return NULL;
}

/* ---- Public ---------------------------------------------------------------------------------------------- */

lk_reader *lk_reader_open(const char *path, const lk_reader_options *options, lk_error *err) {
    lk_reader *r = lk_alloc(1, sizeof *r, err);
    if (!r) return NULL;
    if (options) r->selection = *options;
    const lk_reader_options *o = &r->selection;
    bool ok = o->first >= 0 && o->every >= 0 && o->max >= 0 && o->max < INT64_MAX / INT32_MAX;
    if (!ok) lk_fail(err, LK_ERR_USAGE, "%s: which frames to read must be said by numbers from 0 up", path);
    ok = ok && (r->path = lk_strdup(path, err)) != NULL;
    if (ok && lk_is_folder(path))
        ok = lk_folder_list(path, &r->names, &r->name_count, err) && describe_picture(r, r->names[0], err);
    else
        ok = ok && open_file(r, err);
    ok = ok && (r->queue = lk_queue_new(AHEAD, err)) != NULL;
    if (ok) {
        r->running = pthread_create(&r->thread, NULL, run, r) == 0;
        if (!r->running) ok = lk_fail(err, LK_ERR_MEMORY, "%s: no thread can be started to read it", path);
    }
    if (ok) return r;
    lk_reader_close(r);
    return NULL;
}

lk_frame *lk_reader_next(lk_reader *r, lk_error *err) {
    if (err) err->code = LK_OK;
    lk_frame *f = lk_queue_pop(r->queue);
    if (!f && r->error.code != LK_OK && err) *err = r->error;
    return f;
}

void lk_reader_close(lk_reader *r) {
    if (!r) return;
    r->stop = true;
    if (r->queue) lk_queue_close(r->queue);
    if (r->running) pthread_join(r->thread, NULL);
    for (lk_frame *f; r->queue && (f = lk_queue_try_pop(r->queue)) != NULL;) lk_frame_free(f);
    lk_queue_free(r->queue);
    lk_decoder_close(&r->decoder);
    lk_folder_free(r->names, r->name_count);
    av_dict_free(&r->source.metadata);
    free(r->path);
    free(r);
}
