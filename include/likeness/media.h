/* media: video, image files and folders of images, in and out.
 *
 * A reader decodes ahead on threads of its own. A frame keeps the decoder's own pixels (8 or 10 bits, YUV or RGB);
 * RGB is made only of the part that is asked for, and put back only there, so what nobody touched leaves as it
 * came.
 *
 *     lk_reader *in = lk_reader_open("a.mp4", NULL, &err);
 *     lk_writer *out = lk_writer_open("b.mp4", in, &(lk_writer_options){.crf = 18}, &err);
 *     for (lk_frame *f; (f = lk_reader_next(in, &err)) != NULL; lk_frame_free(f)) lk_writer_add(out, f, &err);
 *     lk_writer_finish(out, &err);   // only now does b.mp4 exist
 */
#ifndef LIKENESS_MEDIA_H
#define LIKENESS_MEDIA_H

#include "likeness/image.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_reader lk_reader;
typedef struct lk_writer lk_writer;
typedef struct lk_frame lk_frame;

typedef struct lk_media_info {
    int width, height; /* as shown: rotation applied */
    int64_t frames;    /* as the container says, or an estimate from its duration; 0 when unknown */
    bool frames_exact; /* counted, not estimated (folders and single images are exact) */
    double fps;        /* average; 0 for images */
    double duration;   /* seconds */
    int depth;         /* bits per channel, 8 to 16 */
    bool is_video, has_audio;
    int rotation; /* degrees clockwise that were applied: 0, 90, 180, 270 */
    char codec[32], pixel_format[32];
} lk_media_info;

typedef struct lk_reader_options {
    int64_t first; /* index of the first frame to deliver (0: from the start); the ones before are skipped fast */
    int every;     /* deliver every n-th frame only; 0 and 1: all */
    int64_t max;   /* at most so many; 0: all */
    bool nvdec;    /* let an NVIDIA GPU decode a video; where none can, the log says so, and the processor does */
} lk_reader_options;

/* A video or image that libav decodes, or a folder of images (natural order: 2.png before 10.png). */
lk_reader *lk_reader_open(const char *path, const lk_reader_options *options, lk_error *err);
const lk_media_info *lk_reader_info(const lk_reader *r);
const char *lk_reader_path(const lk_reader *r);
/* The next frame in order of presentation; the caller frees it. NULL at the end (err->code LK_OK), or on an error
 * that names file and frame. A file that breaks off in the middle gives its good frames, then an error. */
lk_frame *lk_reader_next(lk_reader *r, lk_error *err);
void lk_reader_close(lk_reader *r);

int64_t lk_frame_index(const lk_frame *f);    /* 0, 1, 2, … in order of presentation, skipped frames counted */
double lk_frame_time(const lk_frame *f);      /* seconds; exact timestamps stay inside and reach the writer unchanged */
const char *lk_frame_name(const lk_frame *f); /* file name in a folder, else NULL */
int lk_frame_width(const lk_frame *f);
int lk_frame_height(const lk_frame *f);
/* RGB of a window, allocated here in the wanted type; colour matrix and range of the stream are honoured. */
bool lk_frame_rgb(lk_frame *f, lk_rect window, lk_pixel type, lk_image *rgb, lk_error *err);
/* Put pixels back. Copies the frame first if it is shared. With subsampled chroma, only chroma samples that lie
 * wholly inside the window change: choose even windows. */
bool lk_frame_set_rgb(lk_frame *f, lk_rect window, const lk_image *rgb, lk_error *err);
/* How opaque each pixel is, float or 8-bit, one channel, of the frame's size; kept with 8 bits, for a writer with alpha. A
 * frame that has none is transparent there. */
bool lk_frame_set_alpha(lk_frame *f, const lk_image *alpha, lk_error *err);
/* A frame of one's own (8-bit RGB), for writing pictures and made-up videos. time in seconds. */
lk_frame *lk_frame_new(const lk_image *rgb, int64_t index, double time, lk_error *err);
lk_frame *lk_frame_ref(lk_frame *f); /* one more owner, to be freed too; NULL: out of memory */
void lk_frame_free(lk_frame *f);

typedef struct lk_writer_options {
    int crf; /* 0–51; used unless lossless */
    bool lossless;
    const char *codec;   /* libav's name; NULL: libx264, with alpha ProRes 4444 in .mov and FFV1 elsewhere */
    const char *preset;  /* of the codec; NULL: "veryfast" */
    double fps;          /* for a writer without a reader to copy from; 0: 25 */
    const char *comment; /* metadata: says that the video was made */
    bool folder;         /* a folder of PNGs, whatever the path looks like */
    bool alpha;          /* a fourth channel, of lk_frame_set_alpha */
    const char *parts;   /* a folder for what is done until all is: the encoded video in parts, or the pictures */
    int part_frames;     /* frames in a part */
} lk_writer_options;

/* Encoding runs on a thread of its own. With `like` the output takes over its timestamps, colour description,
 * metadata, and its audio and subtitle streams, copied packet by packet; the size is that of the frames. If `like`
 * reads from a later frame on, times begin with that frame; if it reads a part only, so do the other streams. NULL
 * options: crf 18. docs/media.md says which pixel formats are written. */
lk_writer *lk_writer_open(const char *path, const lk_reader *like, const lk_writer_options *options, lk_error *err);
bool lk_writer_add(lk_writer *w, lk_frame *f, lk_error *err); /* keeps its own reference */
/* Flush, copy what is left of the other streams, sync, and give the file its name. Frees the writer either way. */
bool lk_writer_finish(lk_writer *w, lk_error *err);
void lk_writer_abandon(lk_writer *w); /* leaves nothing behind but whole parts */

/* A video in parts: each is a file, whole or not there, encoded on its own, so that a later writer with the same options and
 * folder can go on, or do one part again, and the video comes out the same. For each run of parts that are missing: begin,
 * lk_writer_add, end; then lk_writer_finish puts all of them together. A part before the one that begins must be there. */
#define LK_PICTURES "pictures" /* below `parts`: a folder of PNGs on its way. It is one part, 0, that is added to. */
/* Its frames, 0 when it is not there or not whole; final: the video ends with it. */
int64_t lk_writer_part(const lk_writer *w, int64_t part, bool *final);
bool lk_writer_begin_part(lk_writer *w, int64_t part, lk_error *err);
bool lk_writer_end_part(lk_writer *w, bool final, lk_error *err);

/* Single pictures, whole or nothing. PNG by extension .png, else JPEG (quality 1–100). */
bool lk_image_save(const lk_image *image, const char *path, int jpeg_quality, lk_error *err);
bool lk_image_load(const char *path, lk_image *rgb, lk_error *err); /* 8-bit RGB */
/* JPEG in memory (libjpeg-turbo); encode: caller frees *data; decode: bounded, refuses more than `max_side` pixels a
 * side, and takes PNG as well. */
bool lk_jpeg_encode(const lk_image *rgb, int quality, void **data, size_t *size, lk_error *err);
bool lk_jpeg_decode(const void *data, size_t size, int max_side, lk_image *rgb, lk_error *err);
bool lk_png_encode(const lk_image *image, void **data, size_t *size, lk_error *err); /* 8-bit; caller frees *data */

#ifdef __cplusplus
}
#endif
#endif
