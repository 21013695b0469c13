/* The attention mesh (Grishchenko et al. 2020): 468 points of a face, with lips, eyes and irises refined. */
#include "nets.h"

#include <math.h>

#define SIDE 192

/* Which points of the mesh the refined outputs replace, in their order. */
static const short lips[80] = {61,  146, 91,  181, 84,  17,  314, 405, 321, 375, 291, 185, 40,  39,  37,  0,
                               267, 269, 270, 409, 78,  95,  88,  178, 87,  14,  317, 402, 318, 324, 308, 191,
                               80,  81,  82,  13,  312, 311, 310, 415, 76,  77,  90,  180, 85,  16,  315, 404,
                               320, 307, 306, 184, 74,  73,  72,  11,  302, 303, 304, 408, 62,  96,  89,  179,
                               86,  15,  316, 403, 319, 325, 292, 183, 42,  41,  38,  12,  268, 271, 272, 407};
static const short left_eye[71] = {33,  7,   163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157,
                                   173, 130, 25,  110, 24,  23,  22,  26,  112, 243, 247, 30,  29,  27,  28,
                                   56,  190, 226, 31,  228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223,
                                   222, 221, 189, 35,  124, 46,  53,  52,  65,  143, 111, 117, 118, 119, 120,
                                   121, 128, 245, 156, 70,  63,  105, 66,  107, 55,  193};
static const short right_eye[71] = {263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384,
                                    398, 359, 255, 339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258,
                                    286, 414, 446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443,
                                    442, 441, 413, 265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349,
                                    350, 357, 465, 383, 300, 293, 334, 296, 336, 285, 417};

static lk_roi square(float cx, float cy, float side, float angle) { return (lk_roi){cx, cy, side, angle}; }

lk_roi lk_roi_from_detection(const lk_detection *d) {
    float angle = atan2f(d->eye[1].y - d->eye[0].y, d->eye[1].x - d->eye[0].x);
    return square(d->x + d->width / 2, d->y + d->height / 2, 1.5f * fmaxf(d->width, d->height), angle);
}

/* The box around the mesh, upright with the eyes, half as large again. */
lk_roi lk_roi_from_mesh(const lk_mesh *m) {
    float angle = atan2f(m->y[263] - m->y[33], m->x[263] - m->x[33]), c = cosf(angle), s = sinf(angle);
    float x0 = INFINITY, x1 = -INFINITY, y0 = INFINITY, y1 = -INFINITY;
    for (int i = 0; i < 468; i++) {
        float x = c * m->x[i] + s * m->y[i], y = -s * m->x[i] + c * m->y[i];
        x0 = fminf(x0, x);
        x1 = fmaxf(x1, x);
        y0 = fminf(y0, y);
        y1 = fmaxf(y1, y);
    }
    float mx = (x0 + x1) / 2, my = (y0 + y1) / 2;
    return square(c * mx - s * my, s * mx + c * my, 1.5f * fmaxf(x1 - x0, y1 - y0), angle);
}

static lk_affine frame_to_crop(lk_roi r) {
    double k = SIDE / (double)r.size, c = k * cos((double)r.angle), s = k * sin((double)r.angle), h = SIDE / 2.0 - 0.5;
    return (lk_affine){
        {{c, s, h - c * (double)r.cx - s * (double)r.cy}, {-s, c, h + s * (double)r.cx - c * (double)r.cy}}};
}

static const float *output(lk_face_nets *n, const char *name) { return lk_nn_data(n->mesh, lk_nn_find(n->mesh, name)); }

static void refine(lk_mesh *m, const float *points, const short *indices, int count) {
    for (int i = 0; i < count; i++) {
        m->x[indices[i]] = points[2 * i];
        m->y[indices[i]] = points[2 * i + 1];
    }
}

/* An iris is as near as the outline of its eye, which the first 16 points of the eye's list make up. */
static void add_iris(lk_mesh *m, const float *points, int first, const short *eye) {
    float z = 0;
    for (int i = 0; i < 16; i++) z += m->z[eye[i]] / 16;
    for (int i = 0; i < 5; i++) {
        m->x[first + i] = points[2 * i];
        m->y[first + i] = points[2 * i + 1];
        m->z[first + i] = z;
    }
}

bool lk_face_find_mesh(lk_face_nets *n, const lk_image *rgb, lk_roi roi, lk_mesh *m, float *presence, lk_error *err) {
    *presence = 0;
    *m = (lk_mesh){0};
    if (!(roi.size >= 2) || !isfinite(roi.cx) || !isfinite(roi.cy) || !isfinite(roi.angle)) return true;
    if (!lk_image_warp_affine(rgb, &n->mesh_crop, frame_to_crop(roi), LK_BILINEAR, LK_BORDER_CONSTANT, err))
        return false;
    lk_face_fill(n->mesh, &n->mesh_crop, 1.0f / 255, 0);
    if (!lk_nn_run(n->mesh, err)) return false;
    const float *base = output(n, "output_mesh_identity");
    for (int i = 0; i < 468; i++) {
        m->x[i] = base[3 * i];
        m->y[i] = base[3 * i + 1];
        m->z[i] = base[3 * i + 2];
    }
    refine(m, output(n, "output_lips"), lips, 80);
    refine(m, output(n, "output_left_eye"), left_eye, 71);
    refine(m, output(n, "output_right_eye"), right_eye, 71);
    add_iris(m, output(n, "output_left_iris"), 468, left_eye);
    add_iris(m, output(n, "output_right_iris"), 473, right_eye);
    float k = roi.size / SIDE, c = k * cosf(roi.angle), s = k * sinf(roi.angle);
    for (int i = 0; i < LK_MESH_POINTS; i++) {
        float u = m->x[i] - SIDE / 2.0f, v = m->y[i] - SIDE / 2.0f;
        m->x[i] = roi.cx + c * u - s * v;
        m->y[i] = roi.cy + s * u + c * v;
        m->z[i] *= k;
    }
    *presence = 1 / (1 + expf(-*output(n, "conv_faceflag")));
    return true;
}
