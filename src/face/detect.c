/* Detection: full-range BlazeFace (Bazarevsky et al. 2019) over the whole frame, tiles of it, and the frame turned. */
#include "nets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SIDE    192
#define GRID    48
#define ANCHORS (GRID * GRID)
#define MOST    256
/* A face that is turned often looks like a weak upright one with its eyes elsewhere; only what is surer than this is
 * taken to be upright without looking at the turned frame. */
#define SURELY_UPRIGHT 0.8f
/* What the network still sees, in pixels of its own input. */
#define LEAST_SEEN 12

typedef struct candidate {
    lk_detection d;
    int turns; /* of the frame in which it was found */
} candidate;

typedef struct list {
    candidate items[MOST];
    int count;
} list;

/* A square of the picture that the detector looks at: its corner, and pixels of the picture per pixel of input. */
typedef struct square {
    float x, y, scale;
} square;

static lk_point placed(const float *raw, float ax, float ay, square q) {
    return (lk_point){q.x + (ax + raw[0]) * q.scale - 0.5f, q.y + (ay + raw[1]) * q.scale - 0.5f};
}

/* One anchor per cell of a 48×48 grid; positions are relative to its centre, all in pixels of input. */
static void decode(lk_face_nets *n, square q, float min_score, list *found) {
    const float *scores = lk_nn_data(n->detector, lk_nn_find(n->detector, "reshaped_classifier_face_4"));
    const float *boxes = lk_nn_data(n->detector, lk_nn_find(n->detector, "reshaped_regressor_face_4"));
    float least = logf(min_score / (1 - min_score));
    for (int i = 0; i < ANCHORS && found->count < MOST; i++) {
        if (!(scores[i] > least)) continue;
        const float *b = boxes + 16 * i, cell = (float)SIDE / GRID;
        float ax = ((float)(i % GRID) + 0.5f) * cell, ay = ((float)(i / GRID) + 0.5f) * cell;
        lk_point c = placed(b, ax, ay, q);
        lk_detection d = {.width = b[2] * q.scale, .height = b[3] * q.scale, .score = 1 / (1 + expf(-scores[i]))};
        if (!(d.width > 0 && d.height > 0)) continue;
        d.x = c.x - d.width / 2;
        d.y = c.y - d.height / 2;
        d.eye[0] = placed(b + 4, ax, ay, q);
        d.eye[1] = placed(b + 6, ax, ay, q);
        d.nose = placed(b + 8, ax, ay, q);
        d.mouth = placed(b + 10, ax, ay, q);
        d.ear[0] = placed(b + 12, ax, ay, q);
        d.ear[1] = placed(b + 14, ax, ay, q);
        found->items[found->count++] = (candidate){.d = d};
    }
}

/* The upper left w×h pixels of the detector's input turned by quarter turns clockwise, in place. */
static bool turn_input(lk_image *crop, int w, int h, int turns, lk_error *err) {
    lk_image copy;
    if (!lk_image_copy(crop, &copy, err)) return false;
    memset(crop->data, 0, crop->stride * (size_t)crop->height);
    for (int y = 0; y < (turns % 2 ? w : h); y++) {
        uint8_t *to = lk_row_u8(crop, y);
        for (int x = 0; x < (turns % 2 ? h : w); x++) {
            int sx = turns == 1 ? y : turns == 2 ? w - 1 - x : w - 1 - y;
            int sy = turns == 1 ? h - 1 - x : turns == 2 ? h - 1 - y : x;
            memcpy(to + 3 * x, lk_row_u8(&copy, sy) + 3 * sx, 3);
        }
    }
    lk_image_free(&copy);
    return true;
}

/* The window of the picture, shrunk to fit the upper left of the input, and turned; the rest stays black. */
static bool look(lk_face_nets *n, const lk_image *rgb, lk_rect window, int turns, float min_score, list *found,
                 lk_error *err) {
    int longer = window.width > window.height ? window.width : window.height;
    int w = (int)lround((double)window.width * SIDE / longer), h = (int)lround((double)window.height * SIDE / longer);
    lk_image from = lk_image_view(rgb, window);
    memset(n->detector_crop.data, 0, n->detector_crop.stride * SIDE);
    w = w < 1 ? 1 : w;
    h = h < 1 ? 1 : h;
    lk_image to = lk_image_view(&n->detector_crop, (lk_rect){0, 0, w, h});
    if (!lk_image_resize(&from, &to, LK_AREA, err)) return false;
    if (turns && !turn_input(&n->detector_crop, w, h, turns, err)) return false;
    lk_face_fill(n->detector, &n->detector_crop, 2.0f / 255, -1);
    if (!lk_nn_run(n->detector, err)) return false;
    decode(n, (square){(float)window.x, (float)window.y, (float)longer / SIDE}, min_score, found);
    return true;
}

static bool look_in_tiles(lk_face_nets *n, const lk_image *rgb, int tile, float min_score, list *found, lk_error *err) {
    int step = tile * 3 / 4;
    for (int y = 0;; y += step) {
        int top = y + tile > rgb->height ? (rgb->height > tile ? rgb->height - tile : 0) : y;
        for (int x = 0;; x += step) {
            int left = x + tile > rgb->width ? (rgb->width > tile ? rgb->width - tile : 0) : x;
            lk_rect r = {left, top, tile < rgb->width ? tile : rgb->width, tile < rgb->height ? tile : rgb->height};
            if (!look(n, rgb, r, 0, min_score, found, err)) return false;
            if (x + tile >= rgb->width) break;
        }
        if (y + tile >= rgb->height) break;
    }
    return true;
}

static lk_point turn_point_back(lk_point p, int turns, const lk_image *rgb) {
    float w = (float)(rgb->width - 1), h = (float)(rgb->height - 1);
    return turns == 1 ? (lk_point){p.y, h - p.x} : turns == 2 ? (lk_point){w - p.x, h - p.y} : (lk_point){w - p.y, p.x};
}

static void turn_back(lk_detection *d, int turns, const lk_image *rgb) {
    lk_point a = turn_point_back((lk_point){d->x, d->y}, turns, rgb);
    lk_point b = turn_point_back((lk_point){d->x + d->width, d->y + d->height}, turns, rgb);
    d->x = fminf(a.x, b.x);
    d->y = fminf(a.y, b.y);
    d->width = fabsf(a.x - b.x);
    d->height = fabsf(a.y - b.y);
    lk_point *points[] = {&d->eye[0], &d->eye[1], &d->nose, &d->mouth, &d->ear[0], &d->ear[1]};
    for (size_t i = 0; i < LK_COUNT(points); i++) *points[i] = turn_point_back(*points[i], turns, rgb);
}

static bool look_turned(lk_face_nets *n, const lk_image *rgb, float min_score, list *found, lk_error *err) {
    for (int turns = 1; turns <= 3; turns++) {
        int before = found->count;
        if (!look(n, rgb, (lk_rect){0, 0, rgb->width, rgb->height}, turns, min_score, found, err)) return false;
        for (int i = before; i < found->count; i++) {
            turn_back(&found->items[i].d, turns, rgb);
            found->items[i].turns = turns;
        }
    }
    return true;
}

static bool surely_upright(const list *found) {
    for (int i = 0; i < found->count; i++)
        if (found->items[i].d.score >= SURELY_UPRIGHT) return true;
    return false;
}

static int better_first(const void *a, const void *b) {
    float p = ((const candidate *)a)->d.score, q = ((const candidate *)b)->d.score;
    return p < q ? 1 : p > q ? -1 : 0;
}

static void add_weighted(lk_detection *sum, const lk_detection *d, float weight) {
    float *to = &sum->x;
    const float *from = &d->x;
    for (int i = 0; i < 4; i++) to[i] += weight * from[i];
    lk_point *p = sum->eye;
    const lk_point *q = d->eye;
    for (int i = 0; i < 6; i++) { /* eyes, nose, mouth, ears lie side by side */
        p[i].x += weight * q[i].x;
        p[i].y += weight * q[i].y;
    }
}

/* Boxes that overlap are one face: the average, weighted by score, of those found in the same turn as the best. */
static int merge(list *found, lk_detection *out, int max) {
    qsort(found->items, (size_t)found->count, sizeof *found->items, better_first);
    bool used[MOST] = {false};
    int count = 0;
    for (int i = 0; i < found->count && count < max; i++) {
        if (used[i]) continue;
        lk_detection best = found->items[i].d, sum = {0};
        float weight = 0;
        for (int j = i; j < found->count; j++) {
            const lk_detection *d = &found->items[j].d;
            if (used[j] || lk_overlap(best.x, best.y, best.width, best.height, d->x, d->y, d->width, d->height) < 0.3f)
                continue;
            used[j] = true;
            if (found->items[j].turns != found->items[i].turns) continue;
            add_weighted(&sum, d, d->score);
            weight += d->score;
        }
        lk_detection mean = {.score = best.score};
        add_weighted(&mean, &sum, 1 / weight);
        out[count++] = mean;
    }
    return count;
}

int lk_face_detect_in(lk_face_nets *n, const lk_image *rgb, const lk_detect_options *o, bool small, lk_detection *out,
                      int max, lk_error *err) {
    list *found = lk_alloc(1, sizeof *found, err);
    if (!found) return -1;
    float min_score = o->min_score > 0 ? o->min_score : 0.5f;
    int min_face = o->min_face > 0 ? o->min_face : 32, tile = min_face * SIDE / LEAST_SEEN;
    bool larger = small && (rgb->width > tile || rgb->height > tile);
    bool ok = look(n, rgb, (lk_rect){0, 0, rgb->width, rgb->height}, 0, min_score, found, err);
    if (ok && larger && (o->tiles || found->count == 0)) ok = look_in_tiles(n, rgb, tile, min_score, found, err);
    if (ok && o->rotations && !surely_upright(found)) ok = look_turned(n, rgb, min_score, found, err);
    int count = ok ? merge(found, out, max) : -1, kept = 0;
    for (int i = 0; i < count; i++)
        if (out[i].width >= (float)min_face * 0.75f) out[kept++] = out[i];
    free(found);
    return ok ? kept : -1;
}

int lk_face_detect(lk_face_nets *n, const lk_image *rgb, const lk_detect_options *o, lk_detection *out, int max,
                   lk_error *err) {
    return lk_face_detect_in(n, rgb, o, true, out, max, err);
}
