/* What the files of media share. */
#ifndef LIKENESS_MEDIA_INTERNAL_H
#define LIKENESS_MEDIA_INTERNAL_H

#include "likeness/media.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/pixdesc.h>

struct lk_frame {
    AVFrame *av; /* a format of lk_format_known, upright; av->pts counts in time_base */
    AVRational time_base;
    int64_t index, duration; /* duration in time_base, 0 when unknown */
    bool picture;            /* from an image file: matrix and range unsaid mean those of JPEG */
    char *name;
    AVBufferRef *alpha; /* width × height bytes; NULL: none */
};

/* What a writer takes over from a reader. */
typedef struct lk_source {
    AVRational time_base, rate, sample_aspect;
    int64_t start; /* of the video stream, in time_base */
    AVDictionary *metadata;
} lk_source;
const lk_source *lk_reader_source(const lk_reader *r); /* NULL unless a video */
const lk_reader_options *lk_reader_selection(const lk_reader *r);

/* ---- libav.c --------------------------------------------------------------------------------------------- */

/* Send libav's log lines to lk_log (debug); once for the process. */
void lk_libav_begin(void);
/* lk_fail with libav's words behind the message. */
bool lk_fail_av(lk_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Probed by content alone, from local files only. Close with lk_input_close. */
AVFormatContext *lk_input_open(const char *path, lk_error *err);
void lk_input_close(AVFormatContext **input);
bool lk_input_is_picture(const AVFormatContext *input);

/* ---- container.c ----------------------------------------------------------------------------------------- */

/* Whether a file is shorter than its own container says (boxes of MP4, segment of Matroska, chunks of RIFF), or an MP4 that
 * has lost the index at its end. */
bool lk_container_cut_short(const char *path);
bool lk_fail_cut_off(const char *path, lk_error *err); /* says so; false */

/* ---- decoder.c: one video stream, packet by packet ------------------------------------------------------- */

typedef struct lk_decoder {
    const char *path; /* the caller's */
    int threads;
    bool nvdec; /* a GPU decodes */
    AVFormatContext *input;
    AVCodecContext *codec;
    AVPacket *packet, *ahead;
    int stream;
    bool picture, has_ahead, flushing, damaged;
    bool cut_short;          /* the file ends before its container does */
    int64_t packets;         /* of our stream, so far */
    int64_t count, next_pts; /* frames so far; where the next one would be if it does not say */
} lk_decoder;
/* nvdec: a GPU decodes a video, where there is one that can; when it fails, the processor goes on at the same frame. */
bool lk_decoder_open(lk_decoder *d, const char *path, int threads, bool nvdec, lk_error *err);
void lk_decoder_close(lk_decoder *d);
/* The decoder's next frame as it is, with pts and index set, or NULL: at the end (err->code LK_OK) or on an error. */
lk_frame *lk_decoder_next(lk_decoder *d, lk_error *err);
/* Make it upright and of a known format; only frames that are delivered need this. */
bool lk_decoder_finish_frame(const lk_decoder *d, lk_frame *f, lk_error *err);

/* ---- nvdec.c: the decoder of an NVIDIA GPU --------------------------------------------------------------- */

/* The GPU as FFmpeg uses it, one for the process, which keeps it; NULL: there is none. */
AVBufferRef *lk_cuda_device(void);
/* libavcodec's decoder that can leave its work to NVDEC; NULL: there is none for this codec. */
const AVCodec *lk_nvdec_find(enum AVCodecID id);
/* The same where there is a GPU too; else the log is told. `path` is for that. */
const AVCodec *lk_nvdec_begin(enum AVCodecID id, const char *path);
/* Before the decoder is opened. */
bool lk_nvdec_attach(AVCodecContext *codec, AVBufferRef *gpu);
/* A frame of the GPU becomes one in memory, of the format that the processor would have given. Fails for any other frame. */
bool lk_nvdec_download(const AVCodecContext *codec, AVFrame **av, lk_error *err);

/* ---- formats.c: pixel formats, turning ------------------------------------------------------------------- */

bool lk_format_known(enum AVPixelFormat format);
/* Make the frame's format a known one, with the same kind of colours, the same subsampling and depth. */
bool lk_frame_normalize(lk_frame *f, lk_error *err);
/* The same samples, each component in a plane of its own, in a planar YUV format of the same subsampling and no more depth:
 * of NV12, P010 and their like, whose samples may lie in the upper bits of a word, nothing is lost. */
AVFrame *lk_av_planes(const AVFrame *in, enum AVPixelFormat format, lk_error *err);
/* Convert to another YUV or grey format of the same matrix and range. */
bool lk_frame_reformat(lk_frame *f, enum AVPixelFormat format, lk_error *err);
/* Turn and mirror as a display matrix says (NULL: nothing to do). */
bool lk_frame_upright(lk_frame *f, const int32_t *matrix, lk_error *err);
/* 90-degree part of a display matrix, clockwise. */
int lk_matrix_degrees(const int32_t *matrix);
/* A new AVFrame of that format and size with `like`'s properties. */
AVFrame *lk_av_frame(enum AVPixelFormat format, int width, int height, const AVFrame *like, lk_error *err);

/* ---- alpha.c: a fourth channel -------------------------------------------------------------------------- */

/* The format with alpha that this encoder takes and that is nearest to `base`, and in *plain what it is without alpha;
 * AV_PIX_FMT_NONE: the encoder has none. */
enum AVPixelFormat lk_alpha_format(const AVCodec *codec, enum AVPixelFormat base, enum AVPixelFormat *plain);
/* The frame, of the plain format, becomes one of the format with alpha. */
bool lk_frame_add_alpha(lk_frame *f, enum AVPixelFormat format, lk_error *err);

/* ---- folder.c -------------------------------------------------------------------------------------------- */

/* The image files in a folder, in natural order, as full paths. */
bool lk_folder_list(const char *path, char ***names, int *count, lk_error *err);
void lk_folder_free(char **names, int count);
bool lk_is_folder(const char *path);
/* Compare with runs of digits as numbers. */
int lk_natural_compare(const char *a, const char *b);
bool lk_folder_remove(const char *path);                       /* and the files in it */
int64_t lk_folder_count(const char *path, const char *ending); /* files with this ending, hidden ones left out */

/* ---- muxer.c: the file, its video stream and those copied along ------------------------------------------ */

typedef struct lk_muxer lk_muxer;
lk_muxer *lk_muxer_open(const char *path, const char *temporary, const lk_reader *like, const char *comment,
                        lk_error *err);
bool lk_muxer_wants_global_header(const lk_muxer *m);
/* Writes the header. Times are in the encoder's time base: `from`, where the first frame stands in the input, and
 * `shift`, what is taken off all of the input's times. */
bool lk_muxer_start(lk_muxer *m, const AVCodecContext *video, AVRational rate, int64_t from, int64_t shift,
                    lk_error *err);
/* A packet of the encoder, after the packets of the other streams that come before it. */
bool lk_muxer_write(lk_muxer *m, AVPacket *packet, lk_error *err);
/* The rest of the other streams (up to `end` of the last frame if only a part of the input is copied), the trailer. */
bool lk_muxer_finish(lk_muxer *m, int64_t end, lk_error *err);
void lk_muxer_free(lk_muxer *m);

#endif
