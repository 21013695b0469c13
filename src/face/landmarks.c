#include "likeness/face.h"

#include <math.h>

/* Vertices of the mesh that stand for the 68 points (docs/alignment.md). */
static const int16_t mesh_index[LK_LANDMARKS] = {
    162, 234, 93,  58,  172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389, /* jaw */
    71,  63,  105, 66,  107, 336, 296, 334, 293, 301,                                    /* brows */
    168, 197, 5,   4,   75,  97,  2,   326, 305,                                         /* nose */
    33,  160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,                          /* eyes */
    61,  39,  37,  0,   267, 269, 291, 405, 314, 17,  84,  181,                          /* outer lips */
    78,  82,  13,  312, 308, 317, 14,  87,                                               /* inner lips */
};

/* The point that each one becomes in a mirror. */
static const int8_t mirrored[LK_LANDMARKS] = {
    16, 15, 14, 13, 12, 11, 10, 9,  8,  7,  6,  5,  4,  3,  2,  1,  0,  26, 25, 24, 23, 22, 21,
    20, 19, 18, 17, 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36,
    41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
};

lk_landmarks lk_landmarks_from_mesh(const lk_mesh *mesh) {
    lk_landmarks l;
    for (int i = 0; i < LK_LANDMARKS; i++) l.p[i] = (lk_point){mesh->x[mesh_index[i]], mesh->y[mesh_index[i]]};
    return l;
}

lk_landmarks lk_landmarks_transform(const lk_landmarks *points, lk_affine m) {
    lk_landmarks l;
    for (int i = 0; i < LK_LANDMARKS; i++) l.p[i] = lk_affine_apply(m, points->p[i]);
    return l;
}

lk_landmarks lk_landmarks_mirror(const lk_landmarks *points, int width) {
    lk_landmarks l;
    for (int i = 0; i < LK_LANDMARKS; i++) {
        lk_point p = points->p[mirrored[i]];
        l.p[i] = (lk_point){(float)(width - 1) - p.x, p.y};
    }
    return l;
}

static lk_point middle(const lk_landmarks *l, int first, int count) {
    lk_point sum = {0, 0};
    for (int i = first; i < first + count; i++) {
        sum.x += l->p[i].x / (float)count;
        sum.y += l->p[i].y / (float)count;
    }
    return sum;
}

double lk_interocular(const lk_landmarks *points) {
    lk_point right = middle(points, 36, 6), left = middle(points, 42, 6);
    return hypot((double)left.x - (double)right.x, (double)left.y - (double)right.y);
}

static double apart(const lk_landmarks *l, int a, int b) {
    return hypot((double)l->p[a].x - (double)l->p[b].x, (double)l->p[a].y - (double)l->p[b].y);
}

static double share(double part, double whole) { return whole > 1e-6 ? part / whole : 0; }

void lk_landmarks_expression(const lk_landmarks *l, double *mouth, double *eyes) {
    *mouth = share(apart(l, 62, 66), apart(l, 60, 64));
    *eyes = (share(apart(l, 37, 41) + apart(l, 38, 40), 2 * apart(l, 36, 39)) +
             share(apart(l, 43, 47) + apart(l, 44, 46), 2 * apart(l, 42, 45))) /
            2;
}

static int to_int(double v) {
    const double most = 1 << 24;
    return (int)fmin(fmax(v, -most), most);
}

lk_rect lk_landmarks_bounds(const lk_landmarks *points) {
    double x0 = INFINITY, y0 = INFINITY, x1 = -INFINITY, y1 = -INFINITY;
    for (int i = 0; i < LK_LANDMARKS; i++) {
        x0 = fmin(x0, (double)points->p[i].x);
        y0 = fmin(y0, (double)points->p[i].y);
        x1 = fmax(x1, (double)points->p[i].x);
        y1 = fmax(y1, (double)points->p[i].y);
    }
    int left = to_int(floor(x0)), top = to_int(floor(y0));
    return (lk_rect){left, top, to_int(ceil(x1)) - left + 1, to_int(ceil(y1)) - top + 1};
}
