#include "likeness/face.h"

#include <math.h>

const char *const lk_face_type_names[] = {"half", "full", "head", NULL};

#define FIRST_ALIGNED 17 /* the jaw does not take part: it moves with speech and is seen worst */
#define ALIGNED       (LK_LANDMARKS - FIRST_ALIGNED)

/* Points 17–67 of the mean face, in the unit square (docs/alignment.md). */
static const double mean_face[2][ALIGNED] = {
    {0.000213256, 0.0752622, 0.18113,  0.29077,  0.393397, 0.586856, 0.689483, 0.799124, 0.904991, 0.98004,  0.490127,
     0.490127,    0.490127,  0.490127, 0.36688,  0.426036, 0.490127, 0.554217, 0.613373, 0.121737, 0.187122, 0.265825,
     0.334606,    0.260918,  0.182743, 0.645647, 0.714428, 0.793132, 0.858516, 0.79751,  0.719335, 0.254149, 0.340985,
     0.428858,    0.490127,  0.551395, 0.639268, 0.726104, 0.642159, 0.556721, 0.490127, 0.423532, 0.338094, 0.290379,
     0.428096,    0.490127,  0.552157, 0.689874, 0.553364, 0.490127, 0.42689},
    {0.106454, 0.038915, 0.0187482, 0.0344891, 0.0773906, 0.0773906, 0.0344891, 0.0187482, 0.038915, 0.106454, 0.203352,
     0.307009, 0.409805, 0.515625,  0.587326,  0.609345,  0.628106,  0.609345,  0.587326,  0.216423, 0.178758, 0.179852,
     0.231733, 0.245099, 0.244077,  0.231733,  0.179852,  0.178758,  0.216423,  0.244077,  0.245099, 0.780233, 0.745405,
     0.727388, 0.742578, 0.727388,  0.745405,  0.780233,  0.864805,  0.902192,  0.909281,  0.902192, 0.864805, 0.784792,
     0.778746, 0.785343, 0.778746,  0.784792,  0.824182,  0.831803,  0.824182},
};

/* Empty border around the mean face, as a share of the crop's side. */
static double padding(lk_face_type type) {
    switch (type) {
    case LK_FACE_HALF:
        return 0;
    case LK_FACE_FULL:
        return 12.0 / 64;
    case LK_FACE_HEAD:
        return 24.0 / 64;
    }
    return 0;
}

bool lk_face_align(const lk_landmarks *points, lk_face_type type, int size, double scale, lk_affine *frame_to_crop) {
    double mx = 0, my = 0, ux = 0, uy = 0;
    for (int i = 0; i < ALIGNED; i++) {
        lk_point p = points->p[FIRST_ALIGNED + i];
        mx += (double)p.x / ALIGNED;
        my += (double)p.y / ALIGNED;
        ux += mean_face[0][i] / ALIGNED;
        uy += mean_face[1][i] / ALIGNED;
    }
    /* In the plane Umeyama's optimal rotation and scale are one complex number a + bi = Σ ū·v / Σ |v|². */
    double a = 0, b = 0, spread = 0;
    for (int i = 0; i < ALIGNED; i++) {
        lk_point p = points->p[FIRST_ALIGNED + i];
        double x = (double)p.x - mx, y = (double)p.y - my;
        double u = mean_face[0][i] - ux, v = mean_face[1][i] - uy;
        a += x * u + y * v;
        b += x * v - y * u;
        spread += x * x + y * y;
    }
    if (!(spread > 1e-9) || !isfinite(spread) || !(hypot(a, b) > 1e-12) || size < 1 || !(scale > 0)) return false;
    a /= spread;
    b /= spread;
    double pad = padding(type) * size, side = (size - 2 * pad) / scale;
    double middle = 0.5 * size * (1 - 1 / scale) + pad / scale;
    lk_affine m = {{{a * side, -b * side, (ux - a * mx + b * my) * side + middle},
                    {b * side, a * side, (uy - b * mx - a * my) * side + middle}}};
    *frame_to_crop = m;
    return true;
}
