/* Pixel formats: which ones a frame may have, how others become one of these, and turning frames upright. */
#include "internal.h"

#include <libswscale/swscale.h>
#include <stdlib.h>
#include <string.h>

bool lk_format_known(enum AVPixelFormat format) {
    if (format == AV_PIX_FMT_RGB24) return true;
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
    if (!d || d->flags & (AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_HWACCEL |
                          AV_PIX_FMT_FLAG_ALPHA | AV_PIX_FMT_FLAG_FLOAT | AV_PIX_FMT_FLAG_BAYER | AV_PIX_FMT_FLAG_BE))
        return false;
    if (d->nb_components != 1 && (d->nb_components != 3 || !(d->flags & AV_PIX_FMT_FLAG_PLANAR))) return false;
    if (d->log2_chroma_w > 1 || d->log2_chroma_h > 1) return false;
    int depth = d->comp[0].depth;
    if (depth < 8 || depth > 16) return false;
    for (int i = 0; i < d->nb_components; i++)
        if (d->comp[i].depth != depth || d->comp[i].shift || d->comp[i].step != (depth > 8 ? 2 : 1)) return false;
    bool planes_in_order =
        d->nb_components == 1 || (d->comp[0].plane != d->comp[1].plane && d->comp[1].plane != d->comp[2].plane);
    return planes_in_order && format != AV_PIX_FMT_GRAY8A && strncmp(d->name, "xyz", 3) != 0;
}

AVFrame *lk_av_frame(enum AVPixelFormat format, int width, int height, const AVFrame *like, lk_error *err) {
    AVFrame *av = av_frame_alloc();
    int code = av ? 0 : AVERROR(ENOMEM);
    if (av) {
        if (like) code = av_frame_copy_props(av, like);
        av->format = format;
        av->width = width;
        av->height = height;
    }
    if (code >= 0) code = av_frame_get_buffer(av, 0);
    if (code >= 0) return av;
    lk_fail_av(err, code, "no memory for a frame of %d×%d pixels", width, height);
    av_frame_free(&av);
    return NULL;
}

/* JPEG's own names of formats say full range; the frame's tag says it for the plain ones. */
static enum AVPixelFormat without_j(enum AVPixelFormat format) {
    switch (format) {
    case AV_PIX_FMT_YUVJ420P:
        return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P:
        return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ444P:
        return AV_PIX_FMT_YUV444P;
    case AV_PIX_FMT_YUVJ440P:
        return AV_PIX_FMT_YUV440P;
    default:
        return format;
    }
}

/* Luma in a plane, both chromas in another. */
static bool is_semi_planar(const AVPixFmtDescriptor *d) {
    return d && d->nb_components == 3 && d->comp[0].plane == 0 && d->comp[1].plane == 1 && d->comp[2].plane == 1 &&
           !(d->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_BE | AV_PIX_FMT_FLAG_HWACCEL));
}

static LK_HOT void pick_bytes(const uint8_t *in, int step, uint8_t *out, int n) {
    for (int i = 0; i < n; i++) out[i] = in[i * step];
}

static LK_HOT void pick_words(const uint16_t *in, int step, uint16_t *out, int n, int shift) {
    for (int i = 0; i < n; i++) out[i] = (uint16_t)(in[i * step] >> shift);
}

/* Whether the samples of `in`, as they are or without their lowest bits, are those of `out`. */
static bool same_samples(const AVPixFmtDescriptor *in, const AVPixFmtDescriptor *out) {
    if (!in || !out || in->nb_components != 3 || out->nb_components != 3) return false;
    int depth = in->comp[0].depth, wanted = out->comp[0].depth;
    bool alike = in->log2_chroma_w == out->log2_chroma_w && in->log2_chroma_h == out->log2_chroma_h &&
                 (in->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_BE)) == 0 && depth >= wanted &&
                 (depth > 8) == (wanted > 8);
    for (int c = 0; alike && c < 3; c++)
        alike = in->comp[c].step % (depth > 8 ? 2 : 1) == 0 && out->comp[c].plane == c && out->comp[c].shift == 0;
    return alike;
}

AVFrame *lk_av_planes(const AVFrame *in, enum AVPixelFormat format, lk_error *err) {
    const AVPixFmtDescriptor *from = av_pix_fmt_desc_get(in->format), *to = av_pix_fmt_desc_get(format);
    if (!same_samples(from, to)) {
        lk_fail(err, LK_ERR_UNSUPPORTED, "pixels of the format %s are not those of %s", from ? from->name : "unknown",
                to ? to->name : "unknown");
        return NULL;
    }
    AVFrame *out = lk_av_frame(format, in->width, in->height, in, err);
    if (!out) return NULL;
    for (int c = 0; c < 3; c++) {
        const AVComponentDescriptor *d = &from->comp[c];
        int width = c ? AV_CEIL_RSHIFT(in->width, to->log2_chroma_w) : in->width;
        int height = c ? AV_CEIL_RSHIFT(in->height, to->log2_chroma_h) : in->height;
        for (int y = 0; y < height; y++) {
            const uint8_t *row = in->data[d->plane] + (ptrdiff_t)y * in->linesize[d->plane] + d->offset;
            uint8_t *own = out->data[c] + (ptrdiff_t)y * out->linesize[c];
            if (d->depth > 8)
                pick_words((const uint16_t *)(const void *)row, d->step / 2, (uint16_t *)(void *)own, width,
                           d->shift + d->depth - to->comp[c].depth);
            else
                pick_bytes(row, d->step, own, width);
        }
    }
    return out;
}

static enum AVPixelFormat nearest_known(enum AVPixelFormat format) {
    static const enum AVPixelFormat yuv[3][4] = {
        {AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUV420P10, AV_PIX_FMT_YUV420P12, AV_PIX_FMT_YUV420P16},
        {AV_PIX_FMT_YUV422P, AV_PIX_FMT_YUV422P10, AV_PIX_FMT_YUV422P12, AV_PIX_FMT_YUV422P16},
        {AV_PIX_FMT_YUV444P, AV_PIX_FMT_YUV444P10, AV_PIX_FMT_YUV444P12, AV_PIX_FMT_YUV444P16},
    };
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
    if (!d) return AV_PIX_FMT_NONE;
    int depth = d->comp[0].depth;
    if (d->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BAYER) || !strncmp(d->name, "xyz", 3))
        return depth > 8 ? AV_PIX_FMT_GBRP16 : AV_PIX_FMT_RGB24;
    if (d->nb_components <= 2) return depth > 8 ? AV_PIX_FMT_GRAY16 : AV_PIX_FMT_GRAY8;
    int size = depth <= 8 ? 0 : depth <= 10 ? 1 : depth <= 12 ? 2 : 3;
    return yuv[d->log2_chroma_w == 0 ? 2 : d->log2_chroma_h == 0 ? 1 : 0][size];
}

static bool scale_into(const AVFrame *in, AVFrame *out, lk_error *err) {
    struct SwsContext *sws =
        sws_getContext(in->width, in->height, in->format, out->width, out->height, out->format,
                       SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INP | SWS_FULL_CHR_H_INT, NULL, NULL, NULL);
    if (!sws)
        return lk_fail(err, LK_ERR_UNSUPPORTED, "pixels of the format %s cannot be read",
                       av_get_pix_fmt_name(in->format));
    const int *matrix = sws_getCoefficients(SWS_CS_DEFAULT);
    int full = in->color_range == AVCOL_RANGE_JPEG;
    sws_setColorspaceDetails(sws, matrix, full, matrix, full, 0, 1 << 16, 1 << 16);
    int rows = sws_scale(sws, (const uint8_t *const *)in->data, in->linesize, 0, in->height, out->data, out->linesize);
    sws_freeContext(sws);
    return rows == out->height || lk_fail(err, LK_ERR_UNSUPPORTED, "pixels of the format %s cannot be converted to %s",
                                          av_get_pix_fmt_name(in->format), av_get_pix_fmt_name(out->format));
}

static bool replace(lk_frame *f, AVFrame *av) {
    if (!av) return false;
    av_frame_free(&f->av);
    f->av = av;
    return true;
}

bool lk_frame_reformat(lk_frame *f, enum AVPixelFormat format, lk_error *err) {
    if (f->av->format == format) return true;
    AVFrame *out = lk_av_frame(format, f->av->width, f->av->height, f->av, err);
    if (!out) return false;
    if (!scale_into(f->av, out, err)) {
        av_frame_free(&out);
        return false;
    }
    return replace(f, out);
}

bool lk_frame_normalize(lk_frame *f, lk_error *err) {
    AVFrame *av = f->av;
    enum AVPixelFormat plain = without_j(av->format);
    if (plain != av->format) {
        av->format = plain;
        av->color_range = AVCOL_RANGE_JPEG;
    }
    if (av->crop_left || av->crop_right || av->crop_top || av->crop_bottom) av_frame_apply_cropping(av, 0);
    if (lk_format_known(av->format)) return true;
    enum AVPixelFormat known = nearest_known(av->format);
    if (known == AV_PIX_FMT_NONE) return lk_fail(err, LK_ERR_UNSUPPORTED, "its pixels have an unknown format");
    if (is_semi_planar(av_pix_fmt_desc_get(av->format))) return replace(f, lk_av_planes(av, known, err));
    return lk_frame_reformat(f, known, err);
}

/* ---- Turning --------------------------------------------------------------------------------------------- */

/* One of the eight symmetries of a rectangle: transposed first, then mirrored. */
typedef struct turn {
    bool transpose, mirror_x, mirror_y;
} turn;

/* x' = a·x + c·y, y' = b·x + d·y with a, b, c, d = m[0], m[1], m[3], m[4] (libavutil/display.h). */
static turn turn_of(const int32_t *m) {
    if (llabs((long long)m[0]) >= llabs((long long)m[1])) return (turn){false, m[0] < 0, m[4] < 0};
    return (turn){true, m[3] < 0, m[1] < 0};
}

int lk_matrix_degrees(const int32_t *matrix) {
    if (!matrix) return 0;
    turn t = turn_of(matrix);
    if (t.transpose) return t.mirror_x ? 90 : 270;
    return t.mirror_y ? 180 : 0;
}

#define TURN_PLANE(NAME, T)                                                                                            \
    static LK_HOT void NAME(const uint8_t *in, int in_stride, uint8_t *out, int out_stride, int width, int height,     \
                            int step, turn t) {                                                                        \
        for (int y = 0; y < height; y++) {                                                                             \
            int sy = t.mirror_y ? height - 1 - y : y;                                                                  \
            T *row = (T *)(void *)(out + (ptrdiff_t)y * out_stride);                                                   \
            for (int x = 0; x < width; x++) {                                                                          \
                int sx = t.mirror_x ? width - 1 - x : x;                                                               \
                int column = t.transpose ? sy : sx, line = t.transpose ? sx : sy;                                      \
                const T *from =                                                                                        \
                    (const T *)(const void *)(in + (ptrdiff_t)line * in_stride) + (ptrdiff_t)column * step;            \
                for (int i = 0; i < step; i++) row[x * step + i] = from[i];                                            \
            }                                                                                                          \
        }                                                                                                              \
    }
TURN_PLANE(turn_bytes, uint8_t)
TURN_PLANE(turn_words, uint16_t)

bool lk_frame_upright(lk_frame *f, const int32_t *matrix, lk_error *err) {
    if (!matrix) return true;
    turn t = turn_of(matrix);
    if (!t.transpose && !t.mirror_x && !t.mirror_y) return true;
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->av->format);
    /* Chroma that is halved one way only would be halved the other way, for which there is no 10-bit format. */
    if (t.transpose && d->log2_chroma_w != d->log2_chroma_h) {
        int depth = d->comp[0].depth;
        enum AVPixelFormat whole = depth == 8    ? AV_PIX_FMT_YUV444P
                                   : depth == 10 ? AV_PIX_FMT_YUV444P10
                                   : depth == 12 ? AV_PIX_FMT_YUV444P12
                                                 : AV_PIX_FMT_YUV444P16;
        if (!lk_frame_reformat(f, whole, err)) return false;
        d = av_pix_fmt_desc_get(f->av->format);
    }
    AVFrame *in = f->av;
    int width = t.transpose ? in->height : in->width, height = t.transpose ? in->width : in->height;
    AVFrame *out = lk_av_frame(in->format, width, height, in, err);
    if (!out) return false;
    int planes = av_pix_fmt_count_planes(in->format), step = planes == 1 && d->nb_components == 3 ? 3 : 1;
    for (int p = 0; p < planes; p++) {
        bool chroma = d->nb_components == 3 && !(d->flags & AV_PIX_FMT_FLAG_RGB) && p > 0;
        int w = chroma ? AV_CEIL_RSHIFT(width, d->log2_chroma_w) : width;
        int h = chroma ? AV_CEIL_RSHIFT(height, d->log2_chroma_h) : height;
        (d->comp[0].depth > 8 ? turn_words : turn_bytes)(in->data[p], in->linesize[p], out->data[p], out->linesize[p],
                                                         w, h, step, t);
    }
    if (t.transpose && in->sample_aspect_ratio.num > 0)
        out->sample_aspect_ratio = (AVRational){in->sample_aspect_ratio.den, in->sample_aspect_ratio.num};
    out->chroma_location = AVCHROMA_LOC_UNSPECIFIED;
    av_frame_remove_side_data(out, AV_FRAME_DATA_DISPLAYMATRIX);
    av_frame_free(&f->av);
    f->av = out;
    return true;
}
