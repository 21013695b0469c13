#include "rows.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Minimum over a disc, by its chords (Urbach & Wilkinson 2008): for each input row the minima of runs of 1, 2, 4, 8 …
 * values are made once; a chord of any length is then the minimum of two of these, and goes into the output row that
 * sees it at that height. The work per pixel grows with the radius, not with the disc's area. */

typedef struct disc_job {
    const lk_image *in, *out;
    int radius;
    atomic_bool failed;
} disc_job;

static LK_HOT void min_of_two(float *restrict out, const float *a, const float *b, int n) {
    for (int i = 0; i < n; i++) out[i] = a[i] < b[i] ? a[i] : b[i];
}

static LK_HOT void min_into(float *restrict out, const float *a, const float *b, int n) {
    for (int i = 0; i < n; i++) {
        float m = a[i] < b[i] ? a[i] : b[i];
        out[i] = out[i] < m ? out[i] : m;
    }
}

static int half_chord(int radius, int dy) { return (int)sqrt((double)radius * radius - (double)dy * dy); }

static void erode_rows(int y0, int y1, void *user) {
    disc_job *j = user;
    int w = j->in->width, h = j->in->height, r = j->radius, levels = 1;
    while ((2 << levels) <= 2 * r + 1) levels++;
    size_t wide = (size_t)w + 2 * (size_t)r;
    float *runs =
        malloc(((size_t)levels + 1) * wide * sizeof *runs); /* runs[l·wide + i]: of 2^l values from i − r on */
    if (!runs) {
        j->failed = true;
        return;
    }
    for (int y = y0; y < y1; y++)
        for (int x = 0; x < w; x++) lk_row_f32(j->out, y)[x] = INFINITY;
    for (size_t i = 0; i < wide; i++) runs[i] = INFINITY;
    int first = y0 > r ? y0 - r : 0, last = y1 < h - r ? y1 + r : h;
    for (int y = first; y < last; y++) {
        memcpy(runs + r, lk_row_f32(j->in, y), (size_t)w * sizeof *runs);
        for (int l = 1; l <= levels && (1 << l) <= 2 * r + 1; l++) {
            const float *below = runs + (size_t)(l - 1) * wide;
            min_of_two(runs + (size_t)l * wide, below, below + (1 << (l - 1)), (int)wide - (1 << l) + 1);
        }
        for (int to = y - r > y0 ? y - r : y0; to < y1 && to <= y + r; to++) {
            int half = half_chord(r, y - to), length = 2 * half + 1, l = 0;
            while ((2 << l) <= length) l++;
            const float *from = runs + (size_t)l * wide + r - half;
            min_into(lk_row_f32(j->out, to), from, from + length - (1 << l), w);
        }
    }
    free(runs);
}

static LK_HOT void negate(float *v, int n) {
    for (int i = 0; i < n; i++) v[i] = -v[i];
}

static void negate_image(const lk_image *image) {
    for (int y = 0; y < image->height; y++) negate(lk_row_f32(image, y), image->width);
}

/* The minimum, or with `grow` the maximum, which is the minimum of the negative. */
static bool disc(lk_image *image, int radius, bool grow, lk_error *err) {
    if (image->channels != 1) return lk_fail(err, LK_ERR_USAGE, "only images of one channel can be eroded or dilated");
    if (radius <= 0) return true;
    int reach = image->width + image->height; /* beyond it nothing changes any more */
    if (radius > reach) radius = reach;
    lk_image in = {0}, out = {0};
    bool ok =
        lk_image_convert(image, LK_F32, &in, err) && lk_image_alloc(&out, image->width, image->height, 1, LK_F32, err);
    if (ok) {
        if (grow) negate_image(&in);
        disc_job j = {.in = &in, .out = &out, .radius = radius};
        size_t pixels = (size_t)image->width * (size_t)image->height;
        lk_image_bands(image->height, radius > 32 ? radius : 32, pixels, erode_rows, &j);
        if (j.failed) ok = lk_fail(err, LK_ERR_MEMORY, "out of memory while eroding an image");
    }
    if (ok && grow) negate_image(&out);
    for (int y = 0; ok && y < image->height; y++) {
        const float *v = lk_row_f32(&out, y);
        if (image->type == LK_F32)
            memcpy(lk_row_f32(image, y), v, (size_t)image->width * sizeof *v);
        else
            for (int x = 0; x < image->width; x++) lk_row_u8(image, y)[x] = (uint8_t)(v[x] * 255.0f + 0.5f);
    }
    lk_image_free(&in);
    lk_image_free(&out);
    return ok;
}

bool lk_image_erode(lk_image *image, int radius, lk_error *err) { return disc(image, radius, false, err); }
bool lk_image_dilate(lk_image *image, int radius, lk_error *err) { return disc(image, radius, true, err); }
