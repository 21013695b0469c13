/* One video stream, decoded packet by packet into upright frames of known formats. */
#include "internal.h"

#include <libavutil/display.h>
#include <string.h>

static bool bounded(const lk_decoder *d, int width, int height, lk_error *err) {
    if (width <= LK_MAX_IMAGE_SIDE && height <= LK_MAX_IMAGE_SIDE) return true;
    return lk_fail(err, LK_ERR_UNSUPPORTED, "%s has %d×%d pixels; at most %d a side can be read", d->path, width,
                   height, LK_MAX_IMAGE_SIDE);
}

/* By the processor, from the beginning. */
static bool begin_anew(lk_decoder *d, lk_error *err) {
    const char *path = d->path;
    int threads = d->threads;
    lk_decoder_close(d);
    return lk_decoder_open(d, path, threads, false, err);
}

bool lk_decoder_open(lk_decoder *d, const char *path, int threads, bool nvdec, lk_error *err) {
    *d = (lk_decoder){.path = path, .threads = threads};
    if (!(d->input = lk_input_open(path, err))) return false;
    d->picture = lk_input_is_picture(d->input);
    d->cut_short = lk_container_cut_short(path);
    const AVCodec *codec = NULL;
    d->stream = av_find_best_stream(d->input, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
    bool ok = d->stream >= 0 && !(d->input->streams[d->stream]->disposition & AV_DISPOSITION_ATTACHED_PIC);
    if (!ok) {
        if (d->cut_short && d->stream == AVERROR_STREAM_NOT_FOUND)
            lk_fail_cut_off(path, err);
        else if (d->stream == AVERROR_DECODER_NOT_FOUND)
            lk_fail(err, LK_ERR_UNSUPPORTED, "%s has video that this machine's FFmpeg cannot decode", path);
        else if (av_find_best_stream(d->input, AVMEDIA_TYPE_AUDIO, -1, -1, NULL, 0) >= 0)
            lk_fail(err, LK_ERR_FORMAT, "%s has no video, only audio; choose a file with pictures", path);
        else
            lk_fail(err, LK_ERR_FORMAT, "%s has no video", path);
        lk_decoder_close(d);
        return false;
    }
    AVStream *s = d->input->streams[d->stream];
    for (unsigned i = 0; i < d->input->nb_streams; i++)
        if ((int)i != d->stream) d->input->streams[i]->discard = AVDISCARD_ALL;
    const AVCodec *lent = nvdec && !d->picture ? lk_nvdec_begin(s->codecpar->codec_id, path) : NULL;
    if (lent) codec = lent;
    d->nvdec = lent != NULL;
    d->packet = av_packet_alloc();
    d->ahead = av_packet_alloc();
    d->codec = avcodec_alloc_context3(codec);
    int code = d->packet && d->ahead && d->codec ? 0 : AVERROR(ENOMEM);
    if (code >= 0) code = avcodec_parameters_to_context(d->codec, s->codecpar);
    if (code >= 0) {
        d->codec->pkt_timebase = s->time_base;
        d->codec->thread_count = threads;
        d->codec->max_pixels = (int64_t)LK_MAX_IMAGE_SIDE * LK_MAX_IMAGE_SIDE;
        /* Half a picture is no picture; of a video, what can be decoded is used. */
        if (d->picture) d->codec->err_recognition |= AV_EF_EXPLODE | AV_EF_CRCCHECK;
        if (d->nvdec && !lk_nvdec_attach(d->codec, lk_cuda_device())) code = AVERROR(ENOMEM);
        if (code >= 0) code = avcodec_open2(d->codec, codec, NULL);
    }
    d->next_pts = s->start_time == AV_NOPTS_VALUE ? 0 : s->start_time;
    if (code >= 0 && bounded(d, s->codecpar->width, s->codecpar->height, err)) return true;
    if (code < 0 && d->nvdec) return begin_anew(d, err);
    if (code < 0) lk_fail_av(err, code, "the video in %s cannot be decoded", path);
    lk_decoder_close(d);
    return false;
}

void lk_decoder_close(lk_decoder *d) {
    av_packet_free(&d->packet);
    av_packet_free(&d->ahead);
    avcodec_free_context(&d->codec);
    lk_input_close(&d->input);
}

static int read_packet(lk_decoder *d, AVPacket *packet) {
    for (;;) {
        int code = av_read_frame(d->input, packet);
        if (code == AVERROR(EAGAIN)) continue;
        if (code < 0 && code != AVERROR_EOF) d->damaged = true;
        if (code == AVERROR_EOF && d->input->pb->error < 0) d->damaged = true;
        if (code == 0 && packet->stream_index == d->stream) d->packets++;
        if (code < 0 || packet->stream_index == d->stream) return code;
        av_packet_unref(packet);
    }
}

/* The next packet of our stream. One that its container calls cut short is left out when nothing follows it: there
 * the file breaks off. */
static int next_packet(lk_decoder *d) {
    if (d->has_ahead) {
        av_packet_move_ref(d->packet, d->ahead);
        d->has_ahead = false;
    } else {
        int code = read_packet(d, d->packet);
        if (code < 0) return code;
    }
    if (!(d->packet->flags & AV_PKT_FLAG_CORRUPT)) return 0;
    int code = read_packet(d, d->ahead);
    d->has_ahead = code >= 0;
    if (d->has_ahead) return 0;
    d->damaged = true;
    if (d->picture && d->count == 0) return 0; /* half a picture is an error that the decoder words best */
    av_packet_unref(d->packet);
    return code;
}

/* Give the decoder one more packet, or tell it that there are none. A packet that cannot be decoded is passed over:
 * the file counts as broken off only if no good one follows. */
static bool feed(lk_decoder *d, lk_error *err) {
    int code = next_packet(d);
    if (code < 0) {
        d->flushing = true;
        code = avcodec_send_packet(d->codec, NULL);
    } else {
        code = avcodec_send_packet(d->codec, d->packet);
        av_packet_unref(d->packet);
        d->damaged = code == AVERROR_INVALIDDATA;
        if (d->damaged && d->nvdec) return lk_fail_av(err, code, "damaged data");
        if (d->damaged) lk_log(LK_LOG_WARN, "%s: damaged data after frame %lld", d->path, (long long)d->count);
    }
    if (code < 0 && code != AVERROR_INVALIDDATA && code != AVERROR_EOF)
        return lk_fail_av(err, code, "%s cannot be decoded after frame %lld", d->path, (long long)d->count);
    return true;
}

/* Whether frames are missing at the end. Demuxers often call a file that breaks off between two packets complete. */
static bool broke_off(const lk_decoder *d) {
    int64_t stated = d->input->streams[d->stream]->nb_frames;
    return d->damaged || (d->cut_short && (stated <= 0 || d->packets < stated));
}

static const int32_t *matrix_of(const lk_decoder *d, const AVFrame *av) {
    const AVFrameSideData *side = av_frame_get_side_data(av, AV_FRAME_DATA_DISPLAYMATRIX);
    if (side && side->size >= 9 * sizeof(int32_t)) return (const int32_t *)(const void *)side->data;
    size_t size = 0;
    const uint8_t *data = av_stream_get_side_data(d->input->streams[d->stream], AV_PKT_DATA_DISPLAYMATRIX, &size);
    return data && size >= 9 * sizeof(int32_t) ? (const int32_t *)(const void *)data : NULL;
}

static lk_frame *frame_of(lk_decoder *d, AVFrame *av, lk_error *err) {
    lk_frame *f = lk_alloc(1, sizeof *f, err);
    if (!f) {
        av_frame_free(&av);
        return NULL;
    }
    AVStream *s = d->input->streams[d->stream];
    f->av = av;
    f->time_base = s->time_base;
    f->index = d->count++;
    f->picture = d->picture;
    f->duration = av->pkt_duration > 0 ? av->pkt_duration : 0;
    av->pts = av->best_effort_timestamp != AV_NOPTS_VALUE ? av->best_effort_timestamp : d->next_pts;
    int64_t step = f->duration;
    if (!step && s->avg_frame_rate.num > 0) step = av_rescale_q(1, av_inv_q(s->avg_frame_rate), s->time_base);
    d->next_pts = av->pts + (step > 0 ? step : 1);
    if (!av->sample_aspect_ratio.num) av->sample_aspect_ratio = s->sample_aspect_ratio;
    return f;
}

static lk_frame *next_frame(lk_decoder *d, lk_error *err) {
    AVFrame *av = av_frame_alloc();
    if (!av) {
        lk_fail(err, LK_ERR_MEMORY, "%s: no memory for a frame", d->path);
        return NULL;
    }
    for (;;) {
        int code = avcodec_receive_frame(d->codec, av);
        if (code >= 0 && d->nvdec && !lk_nvdec_download(d->codec, &av, err)) break;
        if (code >= 0) return frame_of(d, av, err);
        if (code == AVERROR(EAGAIN) && !d->flushing) {
            if (feed(d, err)) continue;
            break;
        }
        if (code == AVERROR_INVALIDDATA && !d->nvdec) {
            d->damaged = true;
            continue;
        }
        if (code != AVERROR_EOF && code != AVERROR(EAGAIN))
            lk_fail_av(err, code, "%s cannot be decoded after frame %lld", d->path, (long long)d->count);
        else if (d->count == 0)
            lk_fail(err, LK_ERR_FORMAT, "%s is damaged: not one frame of it can be decoded", d->path);
        else if (broke_off(d))
            lk_fail(err, LK_ERR_FORMAT,
                    "%s is damaged and breaks off after frame %lld (%.2f s); repair it or cut it there", d->path,
                    (long long)d->count - 1, (double)d->next_pts * av_q2d(d->codec->pkt_timebase));
        break;
    }
    av_frame_free(&av);
    return NULL;
}

/* Up to where the GPU failed: no frame is lost, and none comes twice. */
static bool catch_up(lk_decoder *d, int64_t done, lk_error *err) {
    while (d->count < done) {
        lk_frame *f = next_frame(d, err);
        if (!f) return false;
        lk_frame_free(f);
    }
    return true;
}

lk_frame *lk_decoder_next(lk_decoder *d, lk_error *err) {
    lk_error why = {0};
    if (!d->nvdec) return next_frame(d, err);
    lk_frame *f = next_frame(d, &why);
    if (f || why.code == LK_OK) return f;
    int64_t done = d->count;
    lk_log(LK_LOG_WARN, "%s: NVDEC fails at frame %lld (%s); the processor decodes it", d->path, (long long)done,
           why.message);
    return begin_anew(d, err) && catch_up(d, done, err) ? next_frame(d, err) : NULL;
}

bool lk_decoder_finish_frame(const lk_decoder *d, lk_frame *f, lk_error *err) {
    if (!bounded(d, f->av->width, f->av->height, err)) return false;
    int32_t matrix[9];
    const int32_t *m = matrix_of(d, f->av);
    if (m) m = memcpy(matrix, m, sizeof matrix);
    if (lk_frame_normalize(f, err) && lk_frame_upright(f, m, err)) return true;
    return lk_fail_in(err, "frame %lld of %s", (long long)f->index, d->path);
}
