/* Frames: what they know of themselves, making, sharing and releasing them. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t lk_frame_index(const lk_frame *f) { return f->index; }
double lk_frame_time(const lk_frame *f) { return (double)f->av->pts * av_q2d(f->time_base); }
const char *lk_frame_name(const lk_frame *f) { return f->name; }
int lk_frame_width(const lk_frame *f) { return f->av->width; }
int lk_frame_height(const lk_frame *f) { return f->av->height; }

static bool copy_pixels(lk_frame *f, const lk_image *rgb, lk_error *err) {
    lk_image bytes;
    if (!lk_image_convert(rgb, LK_U8, &bytes, err)) return false;
    for (int y = 0; y < rgb->height; y++)
        memcpy(f->av->data[0] + (ptrdiff_t)y * f->av->linesize[0], lk_row_u8(&bytes, y), (size_t)rgb->width * 3);
    lk_image_free(&bytes);
    return true;
}

lk_frame *lk_frame_new(const lk_image *rgb, int64_t index, double time, lk_error *err) {
    if (rgb->channels != 3) {
        lk_fail(err, LK_ERR_UNSUPPORTED, "a frame is made of 3 channels, not %d", rgb->channels);
        return NULL;
    }
    lk_frame *f = lk_alloc(1, sizeof *f, err);
    if (!f) return NULL;
    f->index = index;
    f->time_base = (AVRational){1, 1000000};
    f->av = lk_av_frame(AV_PIX_FMT_RGB24, rgb->width, rgb->height, NULL, err);
    if (f->av && copy_pixels(f, rgb, err)) {
        f->av->pts = llrint((isfinite(time) && fabs(time) < 1e9 ? time : 0) * 1e6);
        return f;
    }
    lk_frame_free(f);
    return NULL;
}

/* The pixels are shared, by libav's counted buffers, until one owner changes them. */
lk_frame *lk_frame_ref(lk_frame *f) {
    lk_frame *r = lk_alloc(1, sizeof *r, NULL);
    if (!r) return NULL;
    *r = *f;
    r->av = av_frame_clone(f->av);
    r->name = f->name ? lk_strdup(f->name, NULL) : NULL;
    r->alpha = f->alpha ? av_buffer_ref(f->alpha) : NULL;
    if (r->av && !r->name == !f->name && !r->alpha == !f->alpha) return r;
    lk_frame_free(r);
    return NULL;
}

void lk_frame_free(lk_frame *f) {
    if (!f) return;
    av_frame_free(&f->av);
    av_buffer_unref(&f->alpha);
    free(f->name);
    free(f);
}
