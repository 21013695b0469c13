/* Alpha: carried beside a frame as bytes, and joined to its pixels when an encoder takes them. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

bool lk_frame_set_alpha(lk_frame *f, const lk_image *alpha, lk_error *err) {
    int w = f->av->width, h = f->av->height;
    if (alpha->channels != 1 || alpha->width != w || alpha->height != h)
        return lk_fail(err, LK_ERR_USAGE, "a frame of %d×%d pixels needs an alpha of that size and one channel", w, h);
    lk_image bytes;
    AVBufferRef *buffer = av_buffer_alloc((size_t)w * (size_t)h);
    if (!buffer) return lk_fail(err, LK_ERR_MEMORY, "no memory for the alpha of a frame");
    if (!lk_image_convert(alpha, LK_U8, &bytes, err)) {
        av_buffer_unref(&buffer);
        return false;
    }
    for (int y = 0; y < h; y++) memcpy(buffer->data + (size_t)y * (size_t)w, lk_row_u8(&bytes, y), (size_t)w);
    lk_image_free(&bytes);
    av_buffer_unref(&f->alpha);
    f->alpha = buffer;
    return true;
}

static const enum AVPixelFormat pairs[][2] = {
    {AV_PIX_FMT_YUVA420P, AV_PIX_FMT_YUV420P},     {AV_PIX_FMT_YUVA422P, AV_PIX_FMT_YUV422P},
    {AV_PIX_FMT_YUVA444P, AV_PIX_FMT_YUV444P},     {AV_PIX_FMT_YUVA420P10, AV_PIX_FMT_YUV420P10},
    {AV_PIX_FMT_YUVA422P10, AV_PIX_FMT_YUV422P10}, {AV_PIX_FMT_YUVA444P10, AV_PIX_FMT_YUV444P10},
    {AV_PIX_FMT_YUVA444P12, AV_PIX_FMT_YUV444P12}, {AV_PIX_FMT_YUVA420P16, AV_PIX_FMT_YUV420P16},
    {AV_PIX_FMT_YUVA422P16, AV_PIX_FMT_YUV422P16}, {AV_PIX_FMT_YUVA444P16, AV_PIX_FMT_YUV444P16},
    {AV_PIX_FMT_GBRAP, AV_PIX_FMT_GBRP},           {AV_PIX_FMT_GBRAP10, AV_PIX_FMT_GBRP10},
    {AV_PIX_FMT_GBRAP16, AV_PIX_FMT_GBRP16},       {AV_PIX_FMT_BGRA, AV_PIX_FMT_RGB24},
    {AV_PIX_FMT_RGBA, AV_PIX_FMT_RGB24},           {AV_PIX_FMT_ARGB, AV_PIX_FMT_RGB24},
};

/* How much of `base` a format keeps: kind of colours first, then depth, then chroma. */
static int likeness(enum AVPixelFormat base, enum AVPixelFormat plain) {
    const AVPixFmtDescriptor *a = av_pix_fmt_desc_get(base), *b = av_pix_fmt_desc_get(plain);
    if (base == plain) return 100;
    int score = (a->flags & AV_PIX_FMT_FLAG_RGB) == (b->flags & AV_PIX_FMT_FLAG_RGB) ? 50 : 0;
    if (b->comp[0].depth >= a->comp[0].depth) score += 20;
    score += b->log2_chroma_w <= a->log2_chroma_w && b->log2_chroma_h <= a->log2_chroma_h ? 20 : 0;
    return score - abs(b->comp[0].depth - a->comp[0].depth);
}

enum AVPixelFormat lk_alpha_format(const AVCodec *codec, enum AVPixelFormat base, enum AVPixelFormat *plain) {
    enum AVPixelFormat best = AV_PIX_FMT_NONE;
    for (const enum AVPixelFormat *p = codec->pix_fmts; p && *p != AV_PIX_FMT_NONE; p++)
        for (size_t i = 0; i < LK_COUNT(pairs); i++) {
            if (pairs[i][0] != *p || (best != AV_PIX_FMT_NONE && likeness(base, pairs[i][1]) <= likeness(base, *plain)))
                continue;
            best = *p;
            *plain = pairs[i][1];
        }
    return best;
}

static void copy_plane(const AVFrame *from, AVFrame *to, int plane, int rows, size_t bytes) {
    for (int y = 0; y < rows; y++)
        memcpy(to->data[plane] + (ptrdiff_t)y * to->linesize[plane],
               from->data[plane] + (ptrdiff_t)y * from->linesize[plane], bytes);
}

/* Planes of colour as they are; alpha in the fourth, in the range of its depth. */
static void join_planes(const lk_frame *f, AVFrame *out, const AVPixFmtDescriptor *d) {
    int w = out->width, h = out->height, depth = d->comp[3].depth, bytes = depth > 8 ? 2 : 1;
    for (int p = 0; p < 3; p++) {
        bool chroma = p > 0 && !(d->flags & AV_PIX_FMT_FLAG_RGB);
        int columns = chroma ? AV_CEIL_RSHIFT(w, d->log2_chroma_w) : w;
        copy_plane(f->av, out, p, chroma ? AV_CEIL_RSHIFT(h, d->log2_chroma_h) : h, (size_t)columns * (size_t)bytes);
    }
    for (int y = 0; y < h; y++) {
        const uint8_t *in = f->alpha ? f->alpha->data + (size_t)y * (size_t)w : NULL;
        uint8_t *row = out->data[3] + (ptrdiff_t)y * out->linesize[3];
        uint16_t *wide = (uint16_t *)(void *)row;
        for (int x = 0; x < w; x++) {
            unsigned v = in ? in[x] : 0;
            if (bytes == 1)
                row[x] = (uint8_t)v;
            else
                wide[x] = (uint16_t)((v * ((1u << depth) - 1) + 127) / 255);
        }
    }
}

static void join_packed(const lk_frame *f, AVFrame *out, const AVPixFmtDescriptor *d) {
    for (int y = 0; y < out->height; y++) {
        const uint8_t *rgb = f->av->data[0] + (ptrdiff_t)y * f->av->linesize[0];
        const uint8_t *alpha = f->alpha ? f->alpha->data + (size_t)y * (size_t)out->width : NULL;
        uint8_t *row = out->data[0] + (ptrdiff_t)y * out->linesize[0];
        for (int x = 0; x < out->width; x++) {
            for (int c = 0; c < 3; c++) row[4 * x + d->comp[c].offset] = rgb[3 * x + c];
            row[4 * x + d->comp[3].offset] = alpha ? alpha[x] : 0;
        }
    }
}

bool lk_frame_add_alpha(lk_frame *f, enum AVPixelFormat format, lk_error *err) {
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
    AVFrame *out = lk_av_frame(format, f->av->width, f->av->height, f->av, err);
    if (!out) return false;
    if (d->flags & AV_PIX_FMT_FLAG_PLANAR)
        join_planes(f, out, d);
    else
        join_packed(f, out, d);
    av_frame_free(&f->av);
    f->av = out;
    return true;
}
