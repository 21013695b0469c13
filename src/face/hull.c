#include "likeness/face.h"

#include <math.h>
#include <string.h>

/* Lists of points, each ended by −1; together they cover the face up to the brows. */
static const int8_t lower_face[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 48, 49,
                                    50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, -1};
static const int8_t nose[] = {27, 28, 29, 30, 33, -1};
static const int8_t upper_face[] = {17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 0, 27, 16, 33, -1};
static const int8_t *const parts[] = {lower_face, nose, upper_face};

static bool point_of(const lk_landmarks *points, int i, lk_point *p, lk_error *err) {
    *p = points->p[i];
    return (isfinite(p->x) && isfinite(p->y)) ||
           lk_fail(err, LK_ERR_FORMAT, "landmark %d of the face is not a number", i);
}

/* The hull of these points becomes shape k, behind those before it. */
static bool add_shape(lk_face_shapes *s, int k, const lk_point *p, int count, lk_error *err) {
    lk_point hull[2 * LK_LANDMARKS + 2];
    int at = 0, n = lk_image_hull(p, count, hull, err);
    if (n < 0) return false;
    for (int i = 0; i < k; i++) at += s->corners[i];
    s->corners[k] = n;
    memcpy(s->corner + at, hull, (size_t)n * sizeof *hull);
    return true;
}

bool lk_face_hull_shapes(const lk_landmarks *points, lk_face_shapes *s, lk_error *err) {
    _Static_assert(sizeof lower_face + sizeof nose + sizeof upper_face <= LK_COUNT(s->corner), "corners of all hulls");
    for (int k = 0; k < (int)LK_COUNT(parts); k++) {
        lk_point p[LK_LANDMARKS];
        int count = 0;
        for (const int8_t *i = parts[k]; *i >= 0; i++)
            if (!point_of(points, *i, &p[count++], err)) return false;
        if (!add_shape(s, k, p, count, err)) return false;
    }
    return true;
}

bool lk_face_feature_shapes(const lk_landmarks *points, lk_face_shapes *s, lk_error *err) {
    enum { CORNERS = 24 };
    static const struct {
        int from, to;
        float radius; /* of the distance between the two corners */
    } circles[] = {{36, 39, 0.75f}, {42, 45, 0.75f}, {48, 54, 0.6f}};
    for (int k = 0; k < (int)LK_COUNT(circles); k++) {
        lk_point a, b, p[CORNERS];
        if (!point_of(points, circles[k].from, &a, err) || !point_of(points, circles[k].to, &b, err)) return false;
        float radius = circles[k].radius * hypotf(a.x - b.x, a.y - b.y);
        for (int i = 0; i < CORNERS; i++) {
            float turn = 6.2831853f * (float)i / CORNERS;
            p[i] = (lk_point){(a.x + b.x) / 2 + radius * cosf(turn), (a.y + b.y) / 2 + radius * sinf(turn)};
        }
        if (!add_shape(s, k, p, CORNERS, err)) return false;
    }
    return true;
}

static bool fill(const lk_face_shapes *s, lk_image *mask, lk_error *err) {
    if (mask->type != LK_F32 || mask->channels != 1)
        return lk_fail(err, LK_ERR_USAGE, "the mask of a face is a float image of one channel, not %d of type %d",
                       mask->channels, (int)mask->type);
    for (int y = 0; y < mask->height; y++)
        for (int x = 0; x < mask->width; x++) lk_row_f32(mask, y)[x] = 0;
    const lk_point *corner = s->corner;
    for (size_t k = 0; k < LK_COUNT(s->corners); corner += s->corners[k++])
        lk_image_fill_polygon(mask, corner, s->corners[k], 1);
    return true;
}

bool lk_face_hull(const lk_landmarks *points, lk_image *mask, lk_error *err) {
    lk_face_shapes s;
    return lk_face_hull_shapes(points, &s, err) && fill(&s, mask, err);
}

bool lk_face_features(const lk_landmarks *points, lk_image *mask, lk_error *err) {
    lk_face_shapes s;
    return lk_face_feature_shapes(points, &s, err) && fill(&s, mask, err);
}
