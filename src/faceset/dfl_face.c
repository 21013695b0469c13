#include <math.h>
#include <string.h>

#include "dfl.h"

#define FARTHEST 1e6 /* pixels; a coordinate beyond is none */

static const struct {
    const char *name;
    lk_face_type type;
} types[] = {
    /* The first of each of our types is the name it is written with. */
    {"half_face", LK_FACE_HALF},          {"full_face", LK_FACE_FULL},     {"head", LK_FACE_HEAD},
    {"mid_full_face", LK_FACE_HALF},      {"whole_face", LK_FACE_FULL},    {"full_no_align", LK_FACE_FULL},
    {"full_face_no_align", LK_FACE_FULL}, {"head_no_align", LK_FACE_HEAD},
};

static bool understand_type(const lk_pickle_node *n, lk_face_type *type, lk_error *err) {
    *type = LK_FACE_FULL;
    if (!n || n->kind == LK_PICKLE_NONE) return true;
    for (size_t i = 0; i < LK_COUNT(types); i++)
        if (lk_pickle_is_text(n, types[i].name)) {
            *type = types[i].type;
            return true;
        }
    char shown[32] = "no text";
    if (n->kind == LK_PICKLE_TEXT || n->kind == LK_PICKLE_OLD_TEXT) {
        size_t size = 0;
        for (; size < n->size && size + 1 < sizeof shown; size++) {
            char c = ((const char *)n->bytes)[size];
            shown[size] = c > 31 && c < 127 ? c : '?';
        }
        shown[size] = 0;
    }
    return lk_fail(err, LK_ERR_UNSUPPORTED, "its face type is '%s', which is not known", shown);
}

static bool understand_points(const lk_pickle_node *n, lk_landmarks *points) {
    double xy[2 * LK_LANDMARKS];
    if (!lk_pickle_numbers(n, xy, 2 * LK_LANDMARKS)) return false;
    for (int i = 0; i < LK_LANDMARKS; i++) {
        if (fabs(xy[2 * i]) > FARTHEST || fabs(xy[2 * i + 1]) > FARTHEST) return false;
        points->p[i] = (lk_point){(float)xy[2 * i], (float)xy[2 * i + 1]};
    }
    return true;
}

/* The similarity of least squares between two sets of points. */
static bool fit_similarity(const lk_landmarks *from, const lk_landmarks *to, lk_affine *m) {
    double p[2] = {0}, q[2] = {0}, a = 0, b = 0, size = 0;
    for (int i = 0; i < LK_LANDMARKS; i++) {
        p[0] += (double)from->p[i].x / LK_LANDMARKS;
        p[1] += (double)from->p[i].y / LK_LANDMARKS;
        q[0] += (double)to->p[i].x / LK_LANDMARKS;
        q[1] += (double)to->p[i].y / LK_LANDMARKS;
    }
    for (int i = 0; i < LK_LANDMARKS; i++) {
        double x = (double)from->p[i].x - p[0], y = (double)from->p[i].y - p[1];
        double u = (double)to->p[i].x - q[0], v = (double)to->p[i].y - q[1];
        a += x * u + y * v;
        b += x * v - y * u;
        size += x * x + y * y;
    }
    if (!(size > 1e-6)) return false;
    a /= size;
    b /= size;
    if (!(a * a + b * b > 1e-12)) return false;
    *m = (lk_affine){{{a, -b, q[0] - a * p[0] + b * p[1]}, {b, a, q[1] - b * p[0] - a * p[1]}}};
    return true;
}

/* How far the matrix leaves the points of the frame from those of the crop, on average. */
static double misfit(const lk_dfl_face *f, lk_affine m) {
    double sum = 0;
    for (int i = 0; i < LK_LANDMARKS; i++) {
        lk_point p = lk_affine_apply(m, f->points.p[i]);
        sum += hypot((double)p.x - (double)f->crop_points.p[i].x, (double)p.y - (double)f->crop_points.p[i].y);
    }
    return sum / LK_LANDMARKS;
}

/* The stored matrix, where it agrees with the points; else the one that they say. */
static bool understand_matrix(const lk_pickle_node *n, int side, lk_dfl_face *f, lk_error *err) {
    double v[6];
    if (lk_pickle_numbers(n, v, 6)) {
        lk_affine m = {{{v[0], v[1], v[2]}, {v[3], v[4], v[5]}}}, inverse;
        if (lk_affine_invert(m, &inverse) && misfit(f, m) < 0.02 * side) {
            f->frame_to_crop = m;
            return true;
        }
    }
    return fit_similarity(&f->points, &f->crop_points, &f->frame_to_crop) ||
           lk_fail(err, LK_ERR_FORMAT, "its landmarks coincide");
}

static bool is_utf8(const uint8_t *s, size_t n) {
    for (size_t i = 0; i < n;) {
        int more = s[i] < 0x80                   ? 0
                   : s[i] >= 0xc2 && s[i] < 0xe0 ? 1
                   : (s[i] & 0xf0) == 0xe0       ? 2
                   : s[i] >= 0xf0 && s[i] < 0xf5 ? 3
                                                 : -1;
        if (more < 0 || n - i <= (size_t)more || s[i] == 0) return false;
        for (int k = 1; k <= more; k++)
            if ((s[i + (size_t)k] & 0xc0) != 0x80) return false;
        i += 1 + (size_t)more;
    }
    return true;
}

static void understand_filename(const lk_pickle_node *n, char *name, size_t room) {
    name[0] = 0;
    if (!n || (n->kind != LK_PICKLE_TEXT && n->kind != LK_PICKLE_OLD_TEXT) || n->size >= room ||
        !is_utf8(n->bytes, n->size))
        return;
    memcpy(name, n->bytes, n->size);
    name[n->size] = 0;
}

bool lk_dfl_understand(const lk_pickle *p, int crop_side, lk_dfl_face *f, lk_error *err) {
    const lk_pickle_node *dict = p->root;
    double rect[4];
    memset(f, 0, sizeof *f);
    if (dict->kind != LK_PICKLE_DICT) return lk_fail(err, LK_ERR_FORMAT, "what it holds of the face is no dict");
    const lk_pickle_node *landmarks = lk_pickle_get(dict, "landmarks");
    if (!landmarks) return lk_fail(err, LK_ERR_NOT_FOUND, "it holds no landmarks");
    if (!understand_points(landmarks, &f->crop_points))
        return lk_fail(err, LK_ERR_FORMAT, "its landmarks are not 68 pairs of numbers");
    f->points = f->crop_points;
    const lk_pickle_node *source = lk_pickle_get(dict, "source_landmarks");
    if (source && source->kind != LK_PICKLE_NONE && !understand_points(source, &f->points))
        return lk_fail(err, LK_ERR_FORMAT, "its landmarks in the frame are not 68 pairs of numbers");
    f->has_rect = lk_pickle_numbers(lk_pickle_get(dict, "source_rect"), rect, 4);
    for (int i = 0; f->has_rect && i < 4; i++) f->has_rect = fabs(rect[i]) < FARTHEST;
    f->has_rect = f->has_rect && rect[2] >= rect[0] && rect[3] >= rect[1];
    if (f->has_rect)
        f->rect = (lk_rect){(int)rect[0], (int)rect[1], (int)(rect[2] - rect[0]), (int)(rect[3] - rect[1])};
    understand_filename(lk_pickle_get(dict, "source_filename"), f->source_filename, sizeof f->source_filename);
    return understand_type(lk_pickle_get(dict, "face_type"), &f->type, err) &&
           understand_matrix(lk_pickle_get(dict, "image_to_face_mat"), crop_side, f, err);
}

/* ---- Writing ------------------------------------------------------------------------------------------------ */

static lk_pickle_node *new_points(lk_pickle *p, const lk_landmarks *points) {
    double xy[2 * LK_LANDMARKS];
    for (int i = 0; i < LK_LANDMARKS; i++) {
        xy[2 * i] = (double)points->p[i].x;
        xy[2 * i + 1] = (double)points->p[i].y;
    }
    return lk_pickle_new_numbers(p, xy, LK_LANDMARKS, 2);
}

bool lk_dfl_describe(lk_pickle *p, const lk_face *face, const char *source_filename, lk_error *err) {
    if (!p->root || p->root->kind != LK_PICKLE_DICT) p->root = lk_pickle_new(p, LK_PICKLE_DICT);
    lk_pickle_node *dict = p->root;
    const lk_rect r = face->bounds;
    bool ok = dict != NULL;
    /* A type of DeepFaceLab's that we keep under another name stays. */
    const lk_pickle_node *type = lk_pickle_get(dict, "face_type");
    lk_face_type old;
    if (!type || !understand_type(type, &old, NULL) || old != face->type)
        for (size_t i = 0; i < 3; i++)
            if (types[i].type == face->type)
                ok = ok && lk_pickle_set(p, dict, "face_type", lk_pickle_new_text(p, types[i].name));
    ok = ok && lk_pickle_set(p, dict, "landmarks", new_points(p, &face->crop_points)) &&
         (lk_pickle_get(dict, "source_filename") ||
          lk_pickle_set(p, dict, "source_filename", lk_pickle_new_text(p, source_filename))) &&
         lk_pickle_set(p, dict, "source_rect",
                       lk_pickle_new_integers(p, (int[]){r.x, r.y, r.x + r.width, r.y + r.height}, 4)) &&
         lk_pickle_set(p, dict, "source_landmarks", new_points(p, &face->points)) &&
         lk_pickle_set(p, dict, "image_to_face_mat", lk_pickle_new_numbers(p, &face->frame_to_crop.m[0][0], 2, 3));
    return ok || lk_fail(err, LK_ERR_MEMORY, "no memory for what is known of a face");
}
