/* One video encoder and the file it writes into. */
#ifndef LIKENESS_MEDIA_ENCODER_H
#define LIKENESS_MEDIA_ENCODER_H

#include "parts.h"

typedef struct lk_span {
    int64_t pts, duration;
} lk_span;

typedef struct lk_encoder {
    const char *path; /* the owner's, as are the strings in the options */
    lk_writer_options options;
    const AVCodec *av_codec;
    AVCodecContext *codec; /* opened with the first frame */
    AVPacket *packet;
    lk_muxer *muxer;
    enum AVPixelFormat format, plain; /* as encoded; the same without alpha */
    AVRational time_base, rate;
    bool keeps_time, partial; /* timestamps are those of a video; only a part of it */
    int64_t start, shift;     /* of the input's video stream; what is taken off all times */
    int64_t from;             /* time of the first frame in the input */
    int width, height;
    int64_t count, last, end;     /* frames; time of the last one and its end */
    lk_part_writer *part;         /* under way, where the video is kept in parts */
    int64_t position, part_start; /* frames of the video before the next one, and before the part under way */
    lk_span spans[512];           /* of the frames under way: encoders do not hand durations on */
} lk_encoder;

bool lk_encoder_find(lk_encoder *e, const char *path, lk_error *err);
/* Where only hardware can say whether it will do it, it is asked before the first frame comes. */
bool lk_encoder_try(lk_encoder *e, int width, int height, lk_error *err);
/* The format in which frames like this one are encoded, and the options for what was asked for. */
enum AVPixelFormat lk_encoder_format(const lk_encoder *e, const AVFrame *av);
int lk_encoder_quality(const lk_encoder *e, AVDictionary **options);
bool lk_encoder_add(lk_encoder *e, lk_frame *f, lk_error *err); /* may change the frame */
bool lk_encoder_finish(lk_encoder *e, lk_error *err);
/* In parts: what follows begins with this part; what came ends here (final: and so does the video). */
bool lk_encoder_begin_part(lk_encoder *e, int64_t number, lk_error *err);
bool lk_encoder_end_part(lk_encoder *e, bool final, lk_error *err);
void lk_encoder_free(lk_encoder *e);

#endif
