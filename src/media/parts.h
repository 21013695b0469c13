/* Inside the media room: an encoded video in parts, a file each, until it is put together (docs/media.md). */
#ifndef LIKENESS_MEDIA_PARTS_H
#define LIKENESS_MEDIA_PARTS_H

#include "internal.h"

/* What every part begins with: how its frames look, and where the first frame of the video stands. */
typedef struct lk_part_head {
    int32_t width, height, format, aspect_num, aspect_den;
    int32_t range, space, primaries, transfer, chroma;
    int64_t from, shift; /* time of the video's first frame in the input; what is taken off all times */
} lk_part_head;

/* And ends with. */
typedef struct lk_part_tail {
    int64_t frames, last, end; /* in this part; time of its last frame, and its end */
    int64_t final;             /* 1: the video ends with it */
} lk_part_tail;

typedef struct lk_part_writer lk_part_writer;
lk_part_writer *lk_part_create(const char *folder, int64_t number, const lk_part_head *head, lk_error *err);
bool lk_part_add(lk_part_writer *p, const AVPacket *packet, lk_error *err);
bool lk_part_commit(lk_part_writer *p, const lk_part_tail *tail, lk_error *err); /* frees it either way */
void lk_part_abandon(lk_part_writer *p);

typedef struct lk_part_reader lk_part_reader;
/* Fails when the part is not there, or not whole. */
lk_part_reader *lk_part_open(const char *folder, int64_t number, lk_part_head *head, lk_part_tail *tail, lk_error *err);
/* The next packet into `packet`; false at the end (err->code LK_OK) or on an error. */
bool lk_part_next(lk_part_reader *p, AVPacket *packet, lk_error *err);
void lk_part_close(lk_part_reader *p);

#endif
