/* Frames in, packets into the muxer: choice of the pixel format, colour description, timestamps. */
#include "encoder.h"

#include <libavutil/opt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- The codec and its pixels ---------------------------------------------------------------------------- */

static bool takes(const AVCodec *codec, enum AVPixelFormat format) {
    if (!codec->pix_fmts) return true;
    for (const enum AVPixelFormat *p = codec->pix_fmts; *p != AV_PIX_FMT_NONE; p++)
        if (*p == format) return true;
    return false;
}

static bool fits(enum AVPixelFormat format, int width, int height) {
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
    return !(d->log2_chroma_w && width % 2) && !(d->log2_chroma_h && height % 2);
}

/* The encoder of an NVIDIA GPU. */
static bool is_nvenc(const AVCodec *codec) {
    const char *end = strrchr(codec->name, '_');
    return end && !strcmp(end, "_nvenc");
}

/* NVENC also lists formats that it converts on its own terms. More than 8 bits, which it has not for H.264, lie in the upper
 * bits of words. */
static enum AVPixelFormat nvenc_format(const lk_encoder *e, const AVFrame *av) {
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(av->format);
    bool rgb = (d->flags & AV_PIX_FMT_FLAG_RGB) != 0, color = d->nb_components == 3;
    bool deep = d->comp[0].depth > 8 && strcmp(e->av_codec->name, "h264_nvenc") != 0;
    bool halved = d->log2_chroma_w && (d->log2_chroma_h || !e->options.lossless);
    if (rgb && e->options.lossless) return deep ? AV_PIX_FMT_GBRP16 : AV_PIX_FMT_GBRP;
    if ((rgb || !color || halved) && fits(AV_PIX_FMT_YUV420P, av->width, av->height))
        return deep ? AV_PIX_FMT_P010 : AV_PIX_FMT_YUV420P;
    return deep ? AV_PIX_FMT_YUV444P16 : AV_PIX_FMT_YUV444P;
}

/* The frame's own format where the codec takes it; what players know for grey and RGB, unless nothing may be lost.
 * Odd sizes cannot have halved chroma. */
enum AVPixelFormat lk_encoder_format(const lk_encoder *e, const AVFrame *av) {
    if (is_nvenc(e->av_codec)) return nvenc_format(e, av);
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(av->format);
    bool rgb = (d->flags & AV_PIX_FMT_FLAG_RGB) != 0, deep = d->comp[0].depth > 8;
    bool as_is = e->options.lossless || !(rgb || d->nb_components == 1);
    if (as_is && takes(e->av_codec, av->format) && fits(av->format, av->width, av->height)) return av->format;
    if (e->options.lossless && rgb && e->av_codec->pix_fmts)
        return avcodec_find_best_pix_fmt_of_list(e->av_codec->pix_fmts, av->format, 0, NULL);
    enum AVPixelFormat wishes[] = {deep ? AV_PIX_FMT_YUV420P10 : AV_PIX_FMT_YUV420P,
                                   deep ? AV_PIX_FMT_YUV444P10 : AV_PIX_FMT_YUV444P, AV_PIX_FMT_YUV420P,
                                   AV_PIX_FMT_YUV444P};
    bool whole = e->options.lossless || (!rgb && d->nb_components == 3 && !d->log2_chroma_w && !d->log2_chroma_h);
    for (size_t i = whole ? 1 : 0; i < LK_COUNT(wishes); i++)
        if (takes(e->av_codec, wishes[i]) && fits(wishes[i], av->width, av->height)) return wishes[i];
    return e->av_codec->pix_fmts ? avcodec_find_best_pix_fmt_of_list(e->av_codec->pix_fmts, av->format, 0, NULL)
                                 : av->format;
}

static bool is_rgb(enum AVPixelFormat format) {
    return (av_pix_fmt_desc_get(format)->flags & AV_PIX_FMT_FLAG_RGB) != 0;
}

/* RGB gets the matrix that its size suggests, in limited range, and is tagged so. */
static void tag_made_yuv(AVFrame *av) {
    bool small = av->height < 720;
    av->colorspace = small ? AVCOL_SPC_SMPTE170M : AVCOL_SPC_BT709;
    av->color_primaries = small ? AVCOL_PRI_SMPTE170M : AVCOL_PRI_BT709;
    av->color_trc = small ? AVCOL_TRC_SMPTE170M : AVCOL_TRC_BT709;
    av->color_range = AVCOL_RANGE_MPEG;
    av->chroma_location = AVCHROMA_LOC_LEFT;
}

static bool rgb_to_yuv(lk_frame *f, enum AVPixelFormat format, lk_error *err) {
    lk_image rgb;
    lk_rect all = {0, 0, f->av->width, f->av->height};
    if (!lk_frame_rgb(f, all, LK_F32, &rgb, err)) return false;
    AVFrame *av = lk_av_frame(format, all.width, all.height, f->av, err);
    if (av) {
        tag_made_yuv(av);
        av_frame_free(&f->av);
        f->av = av;
        f->picture = false;
    }
    bool ok = av && lk_frame_set_rgb(f, all, &rgb, err);
    lk_image_free(&rgb);
    return ok;
}

static bool to_format(lk_frame *f, enum AVPixelFormat format, lk_error *err) {
    if (f->av->format == (int)format) return true;
    if (is_rgb(f->av->format) && !is_rgb(format)) {
        if (lk_format_known(format)) return rgb_to_yuv(f, format, err);
        bool deep = av_pix_fmt_desc_get(format)->comp[0].depth > 8;
        return rgb_to_yuv(f, deep ? AV_PIX_FMT_YUV444P10 : AV_PIX_FMT_YUV444P, err) &&
               lk_frame_reformat(f, format, err);
    }
    return lk_frame_reformat(f, format, err);
}

/* ---- Opening --------------------------------------------------------------------------------------------- */

bool lk_encoder_find(lk_encoder *e, const char *path, lk_error *err) {
    size_t n = strlen(path);
    const char *usual = !e->options.alpha                            ? "libx264"
                        : n > 4 && !strcasecmp(path + n - 4, ".mov") ? "prores_ks"
                                                                     : "ffv1";
    const char *name = e->options.codec ? e->options.codec : usual;
    enum AVPixelFormat plain;
    e->av_codec = avcodec_find_encoder_by_name(name);
    bool nvenc = e->av_codec && is_nvenc(e->av_codec); /* which takes alpha, and drops it */
    if (e->av_codec && e->options.alpha &&
        (nvenc || lk_alpha_format(e->av_codec, AV_PIX_FMT_YUV420P, &plain) == AV_PIX_FMT_NONE))
        return lk_fail(
            err, LK_ERR_USAGE,
            "%s: the encoder %s has no place for alpha; choose prores_ks (.mov), ffv1 (.mkv), or a folder of "
            "PNGs",
            path, name);
    if (nvenc && !lk_cuda_device())
        return lk_fail(
            err, LK_ERR_UNSUPPORTED,
            "%s: --codec %s needs an NVIDIA GPU with its driver, and FFmpeg finds none; leave --codec out, or "
            "choose libx264",
            path, name);
    if (e->av_codec && e->av_codec->type == AVMEDIA_TYPE_VIDEO) return true;
    return lk_fail(err, LK_ERR_USAGE, "%s: this machine's FFmpeg has no video encoder named %s; see ffmpeg -encoders",
                   path, name);
}

/* Constant quality. NVENC's scale is that of crf, but its 0 stands for a bit rate. */
static int nvenc_quality(const lk_encoder *e, AVDictionary **d) {
    if (e->options.lossless) return av_dict_set(d, "tune", "lossless", 0);
    int code = av_dict_set(d, "rc", "vbr", 0);
    if (code >= 0) code = av_dict_set(d, "b", "0", 0);
    return code >= 0 ? av_dict_set_int(d, "cq", e->options.crf > 1 ? e->options.crf : 1, 0) : code;
}

int lk_encoder_quality(const lk_encoder *e, AVDictionary **d) {
    const char *name = e->av_codec->name;
    bool x26x = !strncmp(name, "libx26", 6);
    int code = 0;
    if (x26x || e->options.preset)
        code = av_dict_set(d, "preset", e->options.preset ? e->options.preset : "veryfast", 0);
    if (code >= 0 && is_nvenc(e->av_codec)) return nvenc_quality(e, d);
    if (code >= 0 && e->options.lossless) {
        if (!strcmp(name, "libx265"))
            code = av_dict_set(d, "x265-params", "lossless=1", 0);
        else if (x26x)
            code = av_dict_set(d, "qp", "0", 0);
        else
            code = av_dict_set(d, "lossless", "1", 0);
    } else if (code >= 0) {
        code = av_dict_set_int(d, "crf", e->options.crf, 0);
    }
    if (code >= 0 && !strcmp(name, "libx265")) code = av_dict_set(d, "x265-params", "log-level=error", AV_DICT_APPEND);
    return code;
}

static void describe(lk_encoder *e, const AVFrame *av) {
    AVCodecContext *c = e->codec;
    c->width = av->width;
    c->height = av->height;
    c->pix_fmt = av->format;
    c->time_base = e->time_base;
    c->framerate = e->rate;
    c->sample_aspect_ratio = av->sample_aspect_ratio;
    c->color_range = av->color_range;
    c->colorspace = av->colorspace;
    c->color_primaries = av->color_primaries;
    c->color_trc = av->color_trc;
    c->chroma_sample_location = av->chroma_location;
    c->thread_count = lk_threads();
    if (lk_muxer_wants_global_header(e->muxer)) c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
}

static bool open_codec(lk_encoder *e, const AVFrame *av, lk_error *err) {
    const AVCodec *codec = e->av_codec;
    AVDictionary *options = NULL;
    e->codec = avcodec_alloc_context3(codec);
    if (!e->packet) e->packet = av_packet_alloc();
    int code = e->codec && e->packet ? lk_encoder_quality(e, &options) : AVERROR(ENOMEM);
    if (code >= 0) {
        describe(e, av);
        if (is_nvenc(codec) && !(e->codec->hw_device_ctx = av_buffer_ref(lk_cuda_device()))) code = AVERROR(ENOMEM);
    }
    if (code >= 0) code = avcodec_open2(e->codec, codec, &options);
    av_dict_free(&options);
    if (code < 0 && is_nvenc(codec))
        return lk_fail_av(err, code,
                          "%s: leave --codec %s out, or choose libx264: this GPU, or its driver, does not encode %d×%d "
                          "pixels (%s) with these options",
                          e->path, codec->name, av->width, av->height, av_get_pix_fmt_name(av->format));
    return code >= 0 || lk_fail_av(err, code, "%s: the encoder %s does not take %d×%d pixels (%s) with these options",
                                   e->path, codec->name, av->width, av->height, av_get_pix_fmt_name(av->format));
}

bool lk_encoder_try(lk_encoder *e, int width, int height, lk_error *err) {
    if (!is_nvenc(e->av_codec)) return true;
    AVFrame *av = av_frame_alloc();
    if (!av) return lk_fail(err, LK_ERR_MEMORY, "%s: no memory", e->path);
    av->width = width;
    av->height = height;
    av->format = AV_PIX_FMT_YUV420P;
    av->format = lk_encoder_format(e, av);
    bool ok = open_codec(e, av, err);
    avcodec_free_context(&e->codec);
    av_frame_free(&av);
    return ok;
}

/* The first frame says how large the video is and what its colours mean. */
static bool open_encoder(lk_encoder *e, const AVFrame *av, lk_error *err) {
    if (!open_codec(e, av, err)) return false;
    if (!e->options.parts) return lk_muxer_start(e->muxer, e->codec, e->rate, e->from, e->shift, err);
    lk_part_head head = {av->width,
                         av->height,
                         av->format,
                         av->sample_aspect_ratio.num,
                         av->sample_aspect_ratio.den,
                         av->color_range,
                         av->colorspace,
                         av->color_primaries,
                         av->color_trc,
                         av->chroma_location,
                         e->from,
                         e->shift};
    e->part_start = e->position;
    e->part = lk_part_create(e->options.parts, e->position / e->options.part_frames, &head, err);
    return e->part != NULL;
}

/* ---- Encoding -------------------------------------------------------------------------------------------- */

static bool drain(lk_encoder *e, lk_error *err) {
    for (;;) {
        int code = avcodec_receive_packet(e->codec, e->packet);
        if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return true;
        if (code < 0) return lk_fail_av(err, code, "%s cannot be encoded", e->path);
        if (e->packet->duration <= 0) {
            const lk_span *s = &e->spans[0];
            for (size_t i = 0; i < LK_COUNT(e->spans); i++)
                if (e->spans[i].pts == e->packet->pts) s = &e->spans[i];
            if (s->pts == e->packet->pts) e->packet->duration = s->duration;
        }
        bool ok = e->part ? lk_part_add(e->part, e->packet, err) : lk_muxer_write(e->muxer, e->packet, err);
        if (e->part) av_packet_unref(e->packet);
        if (!ok) return false;
    }
}

/* Where the frame goes, in the encoder's time base; always later than the one before. */
static int64_t place(lk_encoder *e, const lk_frame *f) {
    int64_t pts = e->position;
    if (e->keeps_time || !f->picture) pts = av_rescale_q(f->av->pts, f->time_base, e->time_base);
    if (e->position == 0 && e->partial) e->shift = pts - e->start;
    pts -= e->shift;
    if (e->position > 0 && pts <= e->last) pts = e->last + 1;
    e->last = pts;
    return pts;
}

/* What is decided once for the video, by the first frame that comes. */
static void choose(lk_encoder *e, const AVFrame *av) {
    bool rgb = is_rgb(av->format);
    if (rgb && e->options.lossless && !e->options.codec && !e->options.alpha) {
        const AVCodec *exact = avcodec_find_encoder_by_name("libx264rgb");
        /* which takes packed 8-bit RGB, but decodes to planes: those only have to be put in its order */
        if (exact && (takes(exact, av->format) || av->format == AV_PIX_FMT_GBRP)) e->av_codec = exact;
    }
    e->format = e->options.alpha ? lk_alpha_format(e->av_codec, av->format, &e->plain) : lk_encoder_format(e, av);
    if (!e->options.alpha) e->plain = e->format;
    e->width = av->width;
    e->height = av->height;
}

bool lk_encoder_add(lk_encoder *e, lk_frame *f, lk_error *err) {
    long long index = (long long)f->index;
    if (e->codec && e->part && e->position - e->part_start == e->options.part_frames &&
        !lk_encoder_end_part(e, false, err))
        return false;
    if (e->count == 0 && e->position == 0) e->from = av_rescale_q(f->av->pts, f->time_base, e->time_base);
    int64_t pts = place(e, f);
    if (e->count == 0)
        choose(e, f->av);
    else if (f->av->width != e->width || f->av->height != e->height)
        return lk_fail(err, LK_ERR_UNSUPPORTED, "%s: frame %lld has %d×%d pixels, the ones before have %d×%d", e->path,
                       index, f->av->width, f->av->height, e->width, e->height);
    if (!to_format(f, e->plain, err) || (e->options.alpha && !lk_frame_add_alpha(f, e->format, err)))
        return lk_fail_in(err, "%s, frame %lld", e->path, index);
    if (!e->codec && !open_encoder(e, f->av, err)) return false;
    int64_t duration = f->duration > 0 ? av_rescale_q(f->duration, f->time_base, e->time_base) : 0;
    if (duration <= 0) duration = av_rescale_q(1, av_inv_q(e->rate), e->time_base);
    e->spans[e->count++ % (int64_t)LK_COUNT(e->spans)] = (lk_span){pts, duration};
    e->position++;
    e->end = pts + duration;
    f->av->pts = pts;
    f->av->pict_type = AV_PICTURE_TYPE_NONE; /* the encoder chooses, not the input */
    int code = avcodec_send_frame(e->codec, f->av);
    if (code < 0) return lk_fail_av(err, code, "%s: frame %lld cannot be encoded", e->path, index);
    return drain(e, err);
}

static bool flush(lk_encoder *e, lk_error *err) {
    int code = avcodec_send_frame(e->codec, NULL);
    if (code < 0) return lk_fail_av(err, code, "%s cannot be encoded to the end", e->path);
    return drain(e, err);
}

/* ---- Parts ----------------------------------------------------------------------------------------------- */

bool lk_encoder_begin_part(lk_encoder *e, int64_t number, lk_error *err) {
    lk_part_head head;
    lk_part_tail tail;
    e->count = 0;
    e->position = number * e->options.part_frames;
    if (number == 0) return true;
    lk_part_reader *before = lk_part_open(e->options.parts, number - 1, &head, &tail, err);
    if (!before) return false;
    lk_part_close(before);
    e->from = head.from;
    e->shift = head.shift;
    e->last = tail.last;
    return true;
}

bool lk_encoder_end_part(lk_encoder *e, bool final, lk_error *err) {
    if (!e->codec || !e->part) return true;
    lk_part_tail tail = {e->position - e->part_start, e->last, e->end, final};
    if (!flush(e, err)) return false;
    avcodec_free_context(&e->codec);
    bool ok = lk_part_commit(e->part, &tail, err);
    e->part = NULL;
    return ok;
}

/* An encoder like that of the parts says to the muxer what they are. */
static bool start_muxer(lk_encoder *e, const lk_part_head *head, lk_error *err) {
    AVFrame *av = av_frame_alloc();
    if (!av) return lk_fail(err, LK_ERR_MEMORY, "%s: no memory", e->path);
    av->width = head->width;
    av->height = head->height;
    av->format = head->format;
    av->sample_aspect_ratio = (AVRational){head->aspect_num, head->aspect_den};
    av->color_range = head->range;
    av->colorspace = head->space;
    av->color_primaries = head->primaries;
    av->color_trc = head->transfer;
    av->chroma_location = head->chroma;
    if (is_rgb(head->format) && e->options.lossless && !e->options.codec && !e->options.alpha) choose(e, av);
    bool ok = open_codec(e, av, err) && lk_muxer_start(e->muxer, e->codec, e->rate, head->from, head->shift, err);
    av_frame_free(&av);
    return ok;
}

static bool put_together(lk_encoder *e, lk_error *err) {
    lk_part_tail tail = {0};
    int64_t dts = INT64_MIN;
    for (int64_t number = 0; !tail.final; number++) {
        lk_part_head head;
        lk_part_reader *part = lk_part_open(e->options.parts, number, &head, &tail, err);
        bool ok = part && (number > 0 || start_muxer(e, &head, err));
        while (ok && lk_part_next(part, e->packet, err)) {
            /* decoding order goes on across parts, where an encoder began anew */
            if (e->packet->dts <= dts) e->packet->dts = dts + 1;
            dts = e->packet->dts;
            ok = lk_muxer_write(e->muxer, e->packet, err);
        }
        lk_part_close(part);
        if (!ok || err->code != LK_OK) return false;
    }
    return lk_muxer_finish(e->muxer, tail.end, err);
}

bool lk_encoder_finish(lk_encoder *e, lk_error *err) {
    lk_error unused = {0};
    if (e->options.parts) return put_together(e, err ? err : &unused);
    if (e->count == 0) return lk_fail(err, LK_ERR_NOT_FOUND, "%s: there is not one frame to write", e->path);
    return flush(e, err) && lk_muxer_finish(e->muxer, e->end, err);
}

void lk_encoder_free(lk_encoder *e) {
    avcodec_free_context(&e->codec);
    av_packet_free(&e->packet);
    lk_part_abandon(e->part);
    lk_muxer_free(e->muxer);
    e->part = NULL;
    e->muxer = NULL;
}
