/* How a merged video compares with the one it was made from: does a border show, does the face tremble. Both are looked
 * at in the same aligned crops. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline.h"

#define SIDE 128
#define BAND 0.04 /* of the crop's side: deviation by which the hull's edge is widened into a band */

/* Luma of the last three crops of one track, in each video. */
typedef struct history {
    int track, count;
    int64_t frame;
    float luma[2][3][SIDE * SIDE];
} history;

typedef struct sums {
    double border[2], border_weight, flicker[2], flicker_weight;
} sums;

static bool luma_crop(lk_frame *frame, lk_affine frame_to_crop, float *luma, bool *beside, lk_error *err) {
    lk_image crop = {0};
    *beside = false;
    if (!lk_cut_crop(frame, frame_to_crop, SIDE, &crop, err)) return false;
    *beside = crop.data == NULL;
    const float *p = crop.data;
    for (int i = 0; p && i < SIDE * SIDE; i++)
        luma[i] = 0.299f * p[3 * i] + 0.587f * p[3 * i + 1] + 0.114f * p[3 * i + 2];
    lk_image_free(&crop);
    return true;
}

/* Mean slope across the edge of the hull, weighted by how steep the blurred hull is. */
static void add_border(sums *s, const float *hull, const float *luma[2]) {
    for (int y = 1; y + 1 < SIDE; y++)
        for (int x = 1; x + 1 < SIDE; x++) {
            int i = y * SIDE + x;
            double nx = (double)(hull[i + 1] - hull[i - 1]), ny = (double)(hull[i + SIDE] - hull[i - SIDE]);
            double steep = hypot(nx, ny);
            if (steep < 1e-3) continue;
            for (int k = 0; k < 2; k++) {
                const float *v = luma[k] + i;
                s->border[k] += fabs((double)(v[1] - v[-1]) * nx + (double)(v[SIDE] - v[-SIDE]) * ny) / 2;
            }
            s->border_weight += steep;
        }
}

/* |second difference in time|, inside the hull. */
static void add_flicker(sums *s, const history *h, const float *hull) {
    for (int i = 0; i < SIDE * SIDE; i++) {
        if (hull[i] < 0.9f) continue;
        for (int k = 0; k < 2; k++)
            s->flicker[k] += fabs((double)(h->luma[k][0][i] - 2 * h->luma[k][1][i] + h->luma[k][2][i]));
        s->flicker_weight++;
    }
}

static history *history_of(history *all, int count, int track, int64_t frame) {
    history *oldest = &all[0];
    for (int i = 0; i < count; i++) {
        if (all[i].count > 0 && all[i].track == track && all[i].frame == frame - 1) return &all[i];
        if (all[i].frame < oldest->frame || all[i].count == 0) oldest = &all[i];
    }
    oldest->count = 0;
    oldest->track = track;
    return oldest;
}

static bool add_face(sums *s, history *all, const lk_face *face, lk_frame *frames[2], int64_t index, lk_error *err) {
    lk_affine m;
    if (!lk_face_align(&face->points, LK_FACE_FULL, SIDE, 1, &m)) return true;
    history *h = history_of(all, LK_MAX_FACES, face->track, index);
    int last = h->count < 2 ? h->count : 2;
    if (h->count == 3)
        for (int k = 0; k < 2; k++) memmove(h->luma[k][0], h->luma[k][1], 2 * sizeof h->luma[k][0]);
    for (int k = 0; k < 2; k++) {
        bool beside;
        if (!luma_crop(frames[k], m, h->luma[k][last], &beside, err)) return false;
        if (beside) {
            h->count = 0;
            return true;
        }
    }
    h->frame = index;
    if (h->count < 3) h->count++;
    lk_image hull;
    lk_landmarks points = lk_landmarks_transform(&face->points, m);
    if (!lk_image_alloc(&hull, SIDE, SIDE, 1, LK_F32, err)) return false;
    bool ok = lk_face_hull(&points, &hull, err) && lk_image_blur(&hull, BAND * SIDE, err);
    if (ok) add_border(s, hull.data, (const float *[2]){h->luma[0][last], h->luma[1][last]});
    if (ok && h->count == 3) add_flicker(s, h, hull.data);
    lk_image_free(&hull);
    return ok;
}

static bool measure(lk_reader *readers[2], lk_face_cursor *c, int64_t first, history *all, sums *s, lk_merge_quality *q,
                    lk_error *err) {
    for (;;) {
        lk_frame *frames[2] = {lk_reader_next(readers[0], err), NULL};
        if (!frames[0]) return err->code == LK_OK;
        frames[1] = lk_reader_next(readers[1], err);
        bool ok = err->code == LK_OK, end = !frames[1];
        int64_t index = lk_frame_index(frames[0]);
        if (ok && !end && index < first) ok = lk_fail(err, LK_ERR_FORMAT, "frames are out of order");
        const lk_face *face = NULL;
        while (ok && !end && (ok = lk_face_cursor_next(c, index, &face, err)) && face) {
            ok = add_face(s, all, face, frames, index, err);
            q->faces++;
        }
        q->frames += ok && !end;
        lk_frame_free(frames[0]);
        lk_frame_free(frames[1]);
        if (!ok || end) return ok;
    }
}

bool lk_merge_measure(const char *before, const char *after, const char *faces, int64_t first, int64_t max,
                      lk_merge_quality *q, lk_error *err) {
    lk_error unused;
    if (!err) err = &unused;
    *q = (lk_merge_quality){0};
    lk_reader *readers[2] = {lk_reader_open(before, &(lk_reader_options){.first = first, .max = max}, err), NULL};
    if (!readers[0]) return false;
    readers[1] = lk_reader_open(after, &(lk_reader_options){.max = max}, err);
    lk_face_cursor *c = readers[1] ? lk_alloc(1, sizeof *c, err) : NULL;
    history *all = c ? lk_alloc(LK_MAX_FACES, sizeof *all, err) : NULL;
    sums s = {0};
    bool ok = all != NULL;
    if (ok && (lk_reader_info(readers[0])->width != lk_reader_info(readers[1])->width ||
               lk_reader_info(readers[0])->height != lk_reader_info(readers[1])->height))
        ok = lk_fail(err, LK_ERR_USAGE, "%s and %s are not of one size: the one was not made from the other", before,
                     after);
    ok = ok && lk_face_cursor_open(c, faces, before, lk_reader_info(readers[0]), err) &&
         measure(readers, c, first, all, &s, q, err);
    if (ok && q->faces == 0) ok = lk_fail(err, LK_ERR_NOT_FOUND, "%s has no face in these frames", before);
    for (int k = 0; ok && k < 2; k++) {
        double border = s.border_weight > 0 ? 255 * s.border[k] / s.border_weight : 0;
        double flicker = s.flicker_weight > 0 ? 255 * s.flicker[k] / s.flicker_weight : 0;
        *(k ? &q->border_after : &q->border_before) = border;
        *(k ? &q->flicker_after : &q->flicker_before) = flicker;
    }
    if (c) lk_face_cursor_close(c);
    free(c);
    free(all);
    lk_reader_close(readers[0]);
    lk_reader_close(readers[1]);
    return ok;
}
