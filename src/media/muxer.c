/* The file that is written: its video, and audio and subtitles copied packet by packet from the input, each packet
 * where its time says. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

struct lk_muxer {
    char *path;
    AVFormatContext *output;
    AVFormatContext *side; /* the input once more, for its other streams; NULL: none to copy */
    int *targets;          /* per stream of `side`: stream of the output, or -1 */
    AVPacket *waiting;     /* of `side`, not yet its turn */
    bool has_waiting;
    int64_t shift, from; /* taken off all times; packets before `from` are left out (both in `base`) */
    bool partial, later; /* a part of the video, which begins later: the other streams end, begin with it */
    AVRational base;
};

bool lk_muxer_wants_global_header(const lk_muxer *m) { return (m->output->oformat->flags & AVFMT_GLOBALHEADER) != 0; }

static bool copy_stream(lk_muxer *m, const AVStream *from, int *target, lk_error *err) {
    AVStream *to = avformat_new_stream(m->output, NULL);
    if (!to || avcodec_parameters_copy(to->codecpar, from->codecpar) < 0 ||
        av_dict_copy(&to->metadata, from->metadata, 0) < 0)
        return lk_fail(err, LK_ERR_MEMORY, "%s: no memory for its streams", m->path);
    unsigned tag = 0;
    if (av_codec_get_tag2(m->output->oformat->codec_tag, from->codecpar->codec_id, &tag) &&
        av_codec_get_id(m->output->oformat->codec_tag, from->codecpar->codec_tag) == from->codecpar->codec_id)
        tag = from->codecpar->codec_tag;
    else
        tag = 0;
    to->codecpar->codec_tag = tag;
    to->time_base = from->time_base;
    to->disposition = from->disposition;
    *target = to->index;
    return true;
}

/* Open the input again; keep the streams that the output's format can hold. */
static bool add_side_streams(lk_muxer *m, const char *input, lk_error *err) {
    m->side = lk_input_open(input, err);
    if (!m->side) return false;
    m->targets = lk_alloc(m->side->nb_streams, sizeof *m->targets, err);
    m->waiting = av_packet_alloc();
    if (!m->targets || !m->waiting) return lk_fail(err, LK_ERR_MEMORY, "%s: no memory for its streams", m->path);
    bool any = false;
    for (unsigned i = 0; i < m->side->nb_streams; i++) {
        AVStream *s = m->side->streams[i];
        enum AVMediaType type = s->codecpar->codec_type;
        m->targets[i] = -1;
        bool wanted = type == AVMEDIA_TYPE_AUDIO || type == AVMEDIA_TYPE_SUBTITLE;
        if (wanted && avformat_query_codec(m->output->oformat, s->codecpar->codec_id, FF_COMPLIANCE_NORMAL) == 0) {
            lk_log(LK_LOG_WARN, "%s: its format cannot hold the %s of %s (%s), which is left out; .mkv can", m->path,
                   av_get_media_type_string(type), input, avcodec_get_name(s->codecpar->codec_id));
            wanted = false;
        }
        if (wanted && !copy_stream(m, s, &m->targets[i], err)) return false;
        if (!wanted) s->discard = AVDISCARD_ALL;
        any |= wanted;
    }
    if (!any) lk_input_close(&m->side);
    return true;
}

static bool copy_chapters(lk_muxer *m, lk_error *err) {
    const AVFormatContext *in = m->side;
    if (!in || !in->nb_chapters) return true;
    AVChapter **chapters = av_calloc(in->nb_chapters, sizeof *chapters);
    if (!chapters) return lk_fail(err, LK_ERR_MEMORY, "%s: no memory for its chapters", m->path);
    m->output->chapters = chapters;
    for (unsigned i = 0; i < in->nb_chapters; i++) {
        AVChapter *c = chapters[i] = av_mallocz(sizeof *c);
        if (!c) return lk_fail(err, LK_ERR_MEMORY, "%s: no memory for its chapters", m->path);
        m->output->nb_chapters = i + 1;
        *c = *in->chapters[i];
        c->metadata = NULL;
        av_dict_copy(&c->metadata, in->chapters[i]->metadata, 0);
    }
    return true;
}

static bool set_metadata(lk_muxer *m, const lk_source *source, const char *comment, lk_error *err) {
    static const char *const not_ours[] = {"encoder", "major_brand", "minor_version", "compatible_brands"};
    int code = source ? av_dict_copy(&m->output->metadata, source->metadata, 0) : 0;
    for (size_t i = 0; i < LK_COUNT(not_ours); i++) av_dict_set(&m->output->metadata, not_ours[i], NULL, 0);
    if (code >= 0 && comment) code = av_dict_set(&m->output->metadata, "comment", comment, 0);
    return code >= 0 || lk_fail(err, LK_ERR_MEMORY, "%s: no memory for its metadata", m->path);
}

lk_muxer *lk_muxer_open(const char *path, const char *temporary, const lk_reader *like, const char *comment,
                        lk_error *err) {
    lk_libav_begin();
    lk_muxer *m = lk_alloc(1, sizeof *m, err);
    char *url = m ? lk_format(err, "file:%s", temporary) : NULL;
    bool ok = url && (m->path = lk_strdup(path, err)) != NULL;
    if (ok && avformat_alloc_output_context2(&m->output, NULL, NULL, url) < 0)
        ok = lk_fail(err, LK_ERR_USAGE, "%s: no video format has this file ending; choose .mp4, .mkv or .mov", path);
    if (ok && (m->output->oformat->flags & AVFMT_NOFILE || m->output->oformat->video_codec == AV_CODEC_ID_NONE))
        ok = lk_fail(err, LK_ERR_USAGE, "%s: such a file holds no video; choose .mp4, .mkv or .mov", path);
    ok = ok && set_metadata(m, like ? lk_reader_source(like) : NULL, comment, err);
    if (ok && !avformat_new_stream(m->output, NULL)) ok = lk_fail(err, LK_ERR_MEMORY, "%s: no memory", path);
    if (ok && like && lk_reader_source(like)) {
        const lk_reader_options *o = lk_reader_selection(like);
        m->later = o->first > 0;
        m->partial = m->later || o->max > 0;
        ok = add_side_streams(m, lk_reader_path(like), err) && (m->partial || copy_chapters(m, err));
    }
    int code = ok ? avio_open(&m->output->pb, url, AVIO_FLAG_WRITE) : 0;
    if (code < 0) ok = lk_fail_av(err, code, "%s cannot be written", path);
    free(url);
    if (ok) return m;
    lk_muxer_free(m);
    return NULL;
}

static bool is_matroska(const lk_muxer *m) {
    const char *name = m->output->oformat->name;
    return strcmp(name, "matroska") == 0 || strcmp(name, "webm") == 0;
}

bool lk_muxer_start(lk_muxer *m, const AVCodecContext *video, AVRational rate, int64_t from, int64_t shift,
                    lk_error *err) {
    AVStream *s = m->output->streams[0];
    m->base = video->time_base;
    m->shift = shift;
    m->from = from;
    s->time_base = video->time_base;
    s->avg_frame_rate = rate;
    s->sample_aspect_ratio = video->sample_aspect_ratio;
    int code = avcodec_parameters_from_context(s->codecpar, video);
    /* Matroska holds times before 0, such as those of sound that its decoder needs for a start; by default libav would
     * rather move all streams. */
    if (is_matroska(m)) m->output->avoid_negative_ts = 0;
    if (code >= 0) code = avformat_write_header(m->output, NULL);
    return code >= 0 || lk_fail_av(err, code, "%s cannot be begun", m->path);
}

static bool put(lk_muxer *m, AVPacket *packet, lk_error *err) {
    int code = av_interleaved_write_frame(m->output, packet);
    return code >= 0 || lk_fail_av(err, code, "%s cannot be written", m->path);
}

/* libav's reader of Matroska takes the delay of Opus off its times; its writer forgets to put it back. */
static int64_t opus_delay(const lk_muxer *m, const AVStream *out) {
    if (out->codecpar->codec_id != AV_CODEC_ID_OPUS || !is_matroska(m)) return 0;
    return av_rescale_q(out->codecpar->initial_padding, (AVRational){1, 48000}, out->time_base);
}

static int64_t time_of(const AVPacket *p) {
    if (p->dts != AV_NOPTS_VALUE) return p->dts;
    return p->pts != AV_NOPTS_VALUE ? p->pts : 0;
}

/* Write the side packets whose time is below `until` (in `base`, as in the input). */
static bool copy_until(lk_muxer *m, int64_t until, lk_error *err) {
    while (m->side) {
        if (!m->has_waiting) {
            int code = av_read_frame(m->side, m->waiting);
            if (code == AVERROR(EAGAIN)) continue;
            if (code < 0) {
                lk_input_close(&m->side); /* what breaks off in the input ends here too */
                return true;
            }
            if (m->targets[m->waiting->stream_index] < 0) {
                av_packet_unref(m->waiting);
                continue;
            }
            m->has_waiting = true;
        }
        AVPacket *p = m->waiting;
        AVStream *in = m->side->streams[p->stream_index];
        AVStream *out = m->output->streams[m->targets[p->stream_index]];
        int64_t time = time_of(p);
        if (until != INT64_MAX && av_compare_ts(time, in->time_base, until, m->base) >= 0) return true;
        m->has_waiting = false;
        if (m->later && av_compare_ts(time + p->duration, in->time_base, m->from, m->base) <= 0) {
            av_packet_unref(p);
            continue;
        }
        int64_t off = av_rescale_q(m->shift, m->base, in->time_base);
        if (p->pts != AV_NOPTS_VALUE) p->pts -= off;
        if (p->dts != AV_NOPTS_VALUE) p->dts -= off;
        av_packet_rescale_ts(p, in->time_base, out->time_base);
        int64_t delay = opus_delay(m, out);
        if (p->pts != AV_NOPTS_VALUE) p->pts += delay;
        if (p->dts != AV_NOPTS_VALUE) p->dts += delay;
        p->stream_index = out->index;
        p->pos = -1;
        if (!put(m, p, err)) return false;
    }
    return true;
}

bool lk_muxer_write(lk_muxer *m, AVPacket *packet, lk_error *err) {
    if (!copy_until(m, packet->dts + m->shift, err)) return false;
    packet->stream_index = 0;
    av_packet_rescale_ts(packet, m->base, m->output->streams[0]->time_base);
    return put(m, packet, err);
}

bool lk_muxer_finish(lk_muxer *m, int64_t end, lk_error *err) {
    if (!copy_until(m, m->partial ? end + m->shift : INT64_MAX, err)) return false;
    int code = av_write_trailer(m->output);
    int closed = avio_closep(&m->output->pb);
    if (code >= 0) code = closed;
    return code >= 0 || lk_fail_av(err, code, "%s cannot be finished", m->path);
}

void lk_muxer_free(lk_muxer *m) {
    if (!m) return;
    lk_input_close(&m->side);
    av_packet_free(&m->waiting);
    free(m->targets);
    if (m->output) {
        if (m->output->pb) avio_closep(&m->output->pb);
        avformat_free_context(m->output);
    }
    free(m->path);
    free(m);
}
