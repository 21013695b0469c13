#include "likeness/face.h"

#include <math.h>
#include <string.h>

/* Points of the mesh that neither speech nor looks move much, of a face that looks straight at the viewer, in units of
 * the distance between the eyes: x to the picture's right, y down, z away. The mean of 174 frames of three clips
 * (generalised Procrustes analysis), made symmetric; upright means that the top of the forehead and the chin are
 * equally near. */
static const struct {
    int16_t index;
    float p[3];
} neutral[] = {
    {33, {-0.722f, 0.004f, 0.110f}},   {263, {0.722f, 0.004f, 0.110f}},   {133, {-0.278f, 0.013f, 0.021f}},
    {362, {0.278f, 0.013f, 0.021f}},   {127, {-1.145f, 0.149f, 0.949f}},  {356, {1.145f, 0.149f, 0.949f}},
    {234, {-1.135f, 0.411f, 1.007f}},  {454, {1.135f, 0.411f, 1.007f}},   {54, {-0.979f, -0.569f, 0.400f}},
    {284, {0.979f, -0.569f, 0.400f}},  {103, {-0.815f, -0.740f, 0.192f}}, {332, {0.815f, -0.740f, 0.192f}},
    {67, {-0.569f, -0.856f, 0.011f}},  {297, {0.569f, -0.856f, 0.011f}},  {109, {-0.307f, -0.912f, -0.097f}},
    {338, {0.307f, -0.912f, -0.097f}}, {98, {-0.295f, 0.727f, -0.265f}},  {327, {0.295f, 0.727f, -0.265f}},
    {129, {-0.359f, 0.614f, -0.192f}}, {358, {0.359f, 0.614f, -0.192f}},  {116, {-1.037f, 0.328f, 0.306f}},
    {345, {1.037f, 0.328f, 0.306f}},   {50, {-0.804f, 0.573f, -0.022f}},  {280, {0.804f, 0.573f, -0.022f}},
    {10, {0.000f, -0.923f, -0.125f}},  {151, {0.000f, -0.650f, -0.207f}}, {9, {0.000f, -0.335f, -0.278f}},
    {8, {0.000f, -0.190f, -0.267f}},   {168, {0.000f, -0.077f, -0.265f}}, {6, {0.000f, 0.034f, -0.346f}},
    {197, {0.000f, 0.146f, -0.435f}},  {195, {0.000f, 0.252f, -0.535f}},  {5, {0.000f, 0.367f, -0.637f}},
    {4, {0.000f, 0.510f, -0.685f}},    {1, {0.000f, 0.626f, -0.655f}},    {2, {0.000f, 0.752f, -0.407f}},
};

/* Σ of neutral·meshᵀ, both about their centres: what the best rotation depends on. */
static void correlate(const lk_mesh *mesh, double c[3][3]) {
    const int n = LK_COUNT(neutral);
    double a[3] = {0}, b[3] = {0};
    for (int i = 0; i < n; i++) {
        int k = neutral[i].index;
        const double q[3] = {(double)mesh->x[k], (double)mesh->y[k], (double)mesh->z[k]};
        for (int d = 0; d < 3; d++) {
            a[d] += (double)neutral[i].p[d] / n;
            b[d] += q[d] / n;
        }
    }
    memset(c, 0, 9 * sizeof(double));
    for (int i = 0; i < n; i++) {
        int k = neutral[i].index;
        const double q[3] = {(double)mesh->x[k] - b[0], (double)mesh->y[k] - b[1], (double)mesh->z[k] - b[2]};
        for (int d = 0; d < 3; d++)
            for (int e = 0; e < 3; e++) c[d][e] += ((double)neutral[i].p[d] - a[d]) * q[e];
    }
}

/* One Jacobi rotation that clears s[p][q]; v collects the eigenvectors in its columns. */
static void clear(double s[4][4], double v[4][4], int p, int q) {
    if (s[p][q] == 0) return;
    double theta = (s[q][q] - s[p][p]) / (2 * s[p][q]);
    double t = (theta < 0 ? -1 : 1) / (fabs(theta) + hypot(theta, 1)), c = 1 / hypot(t, 1), d = t * c;
    for (int k = 0; k < 4; k++) {
        double x = s[k][p], y = s[k][q];
        s[k][p] = c * x - d * y;
        s[k][q] = d * x + c * y;
    }
    for (int k = 0; k < 4; k++) {
        double x = s[p][k], y = s[q][k];
        s[p][k] = c * x - d * y;
        s[q][k] = d * x + c * y;
    }
    for (int k = 0; k < 4; k++) {
        double x = v[k][p], y = v[k][q];
        v[k][p] = c * x - d * y;
        v[k][q] = d * x + c * y;
    }
}

/* The rotation's unit quaternion w, x, y, z: eigenvector of the largest eigenvalue (Horn 1987, section 4). */
static void quaternion(double c[3][3], double q[4]) {
    double s[4][4] = {
        {c[0][0] + c[1][1] + c[2][2], c[1][2] - c[2][1], c[2][0] - c[0][2], c[0][1] - c[1][0]},
        {c[1][2] - c[2][1], c[0][0] - c[1][1] - c[2][2], c[0][1] + c[1][0], c[2][0] + c[0][2]},
        {c[2][0] - c[0][2], c[0][1] + c[1][0], c[1][1] - c[0][0] - c[2][2], c[1][2] + c[2][1]},
        {c[0][1] - c[1][0], c[2][0] + c[0][2], c[1][2] + c[2][1], c[2][2] - c[0][0] - c[1][1]},
    };
    double v[4][4] = {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}};
    for (int sweep = 0; sweep < 12; sweep++)
        for (int i = 0; i < 4; i++)
            for (int j = i + 1; j < 4; j++) clear(s, v, i, j);
    int best = 0;
    for (int i = 1; i < 4; i++)
        if (s[i][i] > s[best][best]) best = i;
    for (int i = 0; i < 4; i++) q[i] = v[i][best];
}

/* The neutral face is turned up or down first, then to a side, then in the picture: R = Rz(roll)·Ry(−yaw)·Rx(−pitch).
 */
static lk_pose angles(double r00, double r10, double r20, double r21, double r22) {
    double degrees = 180 / M_PI;
    return (lk_pose){
        .yaw = (float)(asin(fmin(fmax(r20, -1), 1)) * degrees),
        .pitch = (float)(-atan2(r21, r22) * degrees),
        .roll = (float)(atan2(r10, r00) * degrees),
    };
}

lk_pose lk_face_pose(const lk_mesh *mesh) {
    double c[3][3], q[4];
    correlate(mesh, c);
    double size = 0;
    for (int i = 0; i < 9; i++) size += fabs(c[i / 3][i % 3]);
    if (!(size > 0) || !isfinite(size)) return (lk_pose){0, 0, 0};
    quaternion(c, q);
    double w = q[0], x = q[1], y = q[2], z = q[3];
    return angles(1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y), 2 * (y * z + w * x),
                  1 - 2 * (x * x + y * y));
}

/* Landmarks that are points of the neutral face: the jaw near the ears, the nose, the corners of the eyes. */
static const struct {
    int landmark, mesh;
} rigid[] = {{1, 234}, {15, 454}, {27, 168}, {28, 197}, {29, 5},  {30, 4},
             {33, 2},  {36, 33},  {39, 133}, {42, 362}, {45, 263}};

static const float *neutral_point(int mesh_index) {
    size_t i = 0;
    while (i + 1 < LK_COUNT(neutral) && neutral[i].index != mesh_index) i++;
    return neutral[i].p;
}

static bool invert3(double m[3][3], double inverse[3][3]) {
    double det = 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            int a = (j + 1) % 3, b = (j + 2) % 3, c = (i + 1) % 3, d = (i + 2) % 3;
            inverse[i][j] = m[a][c] * m[b][d] - m[a][d] * m[b][c];
        }
    for (int i = 0; i < 3; i++) det += m[0][i] * inverse[i][0];
    if (!(fabs(det) > 1e-12)) return false;
    for (int i = 0; i < 9; i++) inverse[i / 3][i % 3] /= det;
    return true;
}

/* Least squares: image points = A·neutral points, both about their centres. Rows of A are two axes of the rotation,
 * each times the scale, but for noise. */
static bool fit_camera(const lk_landmarks *points, double a[2][3]) {
    const int n = LK_COUNT(rigid);
    double p0[3] = {0}, q0[2] = {0}, pp[3][3] = {{0}}, qp[2][3] = {{0}}, inverse[3][3];
    for (int i = 0; i < n; i++) {
        const float *p = neutral_point(rigid[i].mesh);
        for (int d = 0; d < 3; d++) p0[d] += (double)p[d] / n;
        q0[0] += (double)points->p[rigid[i].landmark].x / n;
        q0[1] += (double)points->p[rigid[i].landmark].y / n;
    }
    for (int i = 0; i < n; i++) {
        const float *p = neutral_point(rigid[i].mesh);
        lk_point l = points->p[rigid[i].landmark];
        const double q[2] = {(double)l.x - q0[0], (double)l.y - q0[1]};
        for (int d = 0; d < 3; d++) {
            for (int e = 0; e < 3; e++) pp[d][e] += ((double)p[d] - p0[d]) * ((double)p[e] - p0[e]);
            for (int e = 0; e < 2; e++) qp[e][d] += q[e] * ((double)p[d] - p0[d]);
        }
    }
    if (!invert3(pp, inverse)) return false;
    for (int e = 0; e < 2; e++)
        for (int d = 0; d < 3; d++)
            a[e][d] = qp[e][0] * inverse[0][d] + qp[e][1] * inverse[1][d] + qp[e][2] * inverse[2][d];
    return true;
}

lk_pose lk_face_pose_of_landmarks(const lk_landmarks *points) {
    double a[2][3], length[2] = {0};
    if (!fit_camera(points, a)) return (lk_pose){0, 0, 0};
    for (int e = 0; e < 2; e++) {
        for (int d = 0; d < 3; d++) length[e] += a[e][d] * a[e][d];
        length[e] = sqrt(length[e]);
        if (!(length[e] > 0) || !isfinite(length[e])) return (lk_pose){0, 0, 0};
        for (int d = 0; d < 3; d++) a[e][d] /= length[e];
    }
    /* Two unit vectors at nearly a right angle: their sum and difference are at one exactly. */
    double sum[3], difference[3], s = 0, t = 0;
    for (int d = 0; d < 3; d++) {
        sum[d] = a[0][d] + a[1][d];
        difference[d] = a[0][d] - a[1][d];
        s += sum[d] * sum[d];
        t += difference[d] * difference[d];
    }
    if (!(s > 0) || !(t > 0)) return (lk_pose){0, 0, 0};
    double r0[3], r1[3];
    for (int d = 0; d < 3; d++) {
        r0[d] = (sum[d] / sqrt(s) + difference[d] / sqrt(t)) / sqrt(2);
        r1[d] = (sum[d] / sqrt(s) - difference[d] / sqrt(t)) / sqrt(2);
    }
    return angles(r0[0], r1[0], r0[1] * r1[2] - r0[2] * r1[1], r0[2] * r1[0] - r0[0] * r1[2],
                  r0[0] * r1[1] - r0[1] * r1[0]);
}
