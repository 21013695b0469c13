#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "likeness/curate.h"
#include "likeness/media.h"
#include "vectors.h"

const char *const lk_doubt_names[] = {"jump", "shape", "pose", "look", NULL};

/* What is still believed. */
#define MOST_JUMP  0.06  /* root mean square over the points, of the distance between the eyes */
#define MOST_SHAPE 0.012 /* the same, of the crop's side */
#define MOST_TURN  20.0  /* degrees between the pose of the landmarks and the stored one */
#define MOST_LOOK  0.10  /* mean over the points, of the distance between the eyes */
#define TIMES      6     /* and no doubt below so many times the median of the set */
#define SHAPES     12    /* principal components that faces are mixtures of */

typedef struct doubts {
    const lk_figures *f;
    lk_landmarks *points; /* [count] in the frame */
    double *score;
    int *why;
} doubts;

static void doubt(doubts *d, int64_t i, lk_doubt why, double score) {
    if (score <= d->score[i]) return;
    d->score[i] = score;
    d->why[i] = why;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median_of(const double *v, int64_t count, lk_error *err) {
    double *copy = lk_alloc((size_t)count + 1, sizeof *copy, err);
    if (!copy) return NAN;
    if (count) memcpy(copy, v, (size_t)count * sizeof *copy);
    qsort(copy, (size_t)count, sizeof *copy, by_value);
    double m = count ? copy[count / 2] : 0;
    free(copy);
    return m;
}

/* Doubt every face whose value is beyond both the limit and so many medians. */
static bool judge(doubts *d, const double *value, lk_doubt why, double most, lk_error *err) {
    double median = median_of(value, d->f->count, err);
    if (isnan(median)) return false;
    double limit = fmax(most, TIMES * median);
    for (int64_t i = 0; i < d->f->count; i++)
        if (value[i] > limit) doubt(d, i, why, value[i] / limit);
    return true;
}

/* ---- Jumps -------------------------------------------------------------------------------------------------- */

/* Rows sorted by source, track, frame. */
typedef struct row {
    double source, track, frame;
    int64_t i;
} row;

static int by_track(const void *a, const void *b) {
    const row *x = a, *y = b;
    if (x->source != y->source) return x->source < y->source ? -1 : 1;
    if (x->track != y->track) return x->track < y->track ? -1 : 1;
    if (x->frame != y->frame) return x->frame < y->frame ? -1 : 1;
    return x->i < y->i ? -1 : x->i > y->i;
}

static double off_the_way(const lk_landmarks *a, const lk_landmarks *b, const lk_landmarks *c, double t) {
    double sum = 0, eyes = lk_interocular(b);
    for (int k = 0; k < LK_LANDMARKS; k++) {
        double x = (1 - t) * (double)a->p[k].x + t * (double)c->p[k].x - (double)b->p[k].x;
        double y = (1 - t) * (double)a->p[k].y + t * (double)c->p[k].y - (double)b->p[k].y;
        sum += x * x + y * y;
    }
    return eyes > 1e-3 ? sqrt(sum / LK_LANDMARKS) / eyes : INFINITY;
}

/* A face whose own neighbours are wrong is off too, by half: only those worse than both neighbours are doubted. */
static bool find_jumps(doubts *d, lk_error *err) {
    int64_t n = d->f->count;
    row *rows = lk_alloc((size_t)n + 1, sizeof *rows, err);
    double *off = rows ? lk_alloc((size_t)n + 1, 2 * sizeof *off, err) : NULL;
    if (!off) {
        free(rows);
        return false;
    }
    for (int64_t i = 0; i < n; i++)
        rows[i] = (row){d->f->values[LK_FIGURE_SOURCE][i], d->f->values[LK_FIGURE_TRACK][i],
                        d->f->values[LK_FIGURE_FRAME][i], i};
    qsort(rows, (size_t)n, sizeof *rows, by_track);
    double *of_row = off + n;
    for (int64_t r = 1; r + 1 < n; r++) {
        const row *a = &rows[r - 1], *b = &rows[r], *c = &rows[r + 1];
        if (a->source != c->source || a->track != c->track || c->frame - a->frame > 6 || c->frame <= a->frame) continue;
        of_row[r] = off_the_way(&d->points[a->i], &d->points[b->i], &d->points[c->i],
                                (b->frame - a->frame) / (c->frame - a->frame));
    }
    for (int64_t r = 0; r < n; r++) {
        bool peak = (r == 0 || of_row[r] >= of_row[r - 1]) && (r + 1 == n || of_row[r] >= of_row[r + 1]);
        off[rows[r].i] = peak && isfinite(of_row[r]) ? of_row[r] : 0;
    }
    double median = median_of(of_row, n, err), limit = fmax(MOST_JUMP, TIMES * median);
    for (int64_t i = 0; i < n; i++)
        if (off[i] > limit) doubt(d, i, LK_DOUBT_JUMP, off[i] / limit);
    free(rows);
    free(off);
    return !isnan(median);
}

/* ---- Shapes ------------------------------------------------------------------------------------------------- */

#define DIMS (2 * LK_LANDMARKS)

/* The largest principal components by orthogonal iteration. basis: [SHAPES][DIMS] */
static void principal(double cov[DIMS][DIMS], double basis[SHAPES][DIMS]) {
    lk_rng r = lk_rng_make(2, 0);
    for (int k = 0; k < SHAPES; k++)
        for (int i = 0; i < DIMS; i++) basis[k][i] = lk_rng_normal(&r);
    for (int round = 0; round < 20; round++)
        for (int k = 0; k < SHAPES; k++) {
            double next[DIMS] = {0}, length = 0;
            for (int i = 0; i < DIMS; i++)
                for (int j = 0; j < DIMS; j++) next[i] += cov[i][j] * basis[k][j];
            for (int q = 0; q < k; q++) {
                double dot = 0;
                for (int i = 0; i < DIMS; i++) dot += next[i] * basis[q][i];
                for (int i = 0; i < DIMS; i++) next[i] -= dot * basis[q][i];
            }
            for (int i = 0; i < DIMS; i++) length += next[i] * next[i];
            for (int i = 0; i < DIMS; i++) basis[k][i] = length > 1e-24 ? next[i] / sqrt(length) : 0;
        }
}

typedef struct shape_model {
    double mean[DIMS], cov[DIMS][DIMS], basis[SHAPES][DIMS];
} shape_model;

static double distance2(const shape_model *m, const float *point) {
    double far = 0;
    for (int k = 0; k < DIMS; k++) far += pow((double)point[k] - m->mean[k], 2);
    return far;
}

/* Faces far from the mean say little of what shapes there are: they weigh less, in the mean as well. */
static bool learn(shape_model *m, const lk_vectors *v, lk_error *err) {
    double *weight = lk_alloc((size_t)v->count, sizeof *weight, err);
    if (!weight) return false;
    for (int64_t i = 0; i < v->count; i++) weight[i] = 1;
    for (int round = 0; round < 3; round++) {
        double total = 0, scale = 1e-6;
        memset(m->mean, 0, sizeof m->mean);
        for (int64_t i = 0; i < v->count; i++) total += weight[i];
        for (int64_t i = 0; i < v->count; i++)
            for (int k = 0; k < DIMS; k++) m->mean[k] += weight[i] * (double)v->x[i * DIMS + k] / total;
        for (int64_t i = 0; i < v->count; i++) scale += weight[i] * distance2(m, v->x + i * DIMS) / total;
        for (int64_t i = 0; i < v->count; i++) weight[i] = 1 / (1 + pow(distance2(m, v->x + i * DIMS) / scale / 4, 2));
    }
    for (int64_t i = 0; i < v->count; i++) {
        double x[DIMS];
        for (int k = 0; k < DIMS; k++) x[k] = (double)v->x[i * DIMS + k] - m->mean[k];
        for (int a = 0; a < DIMS; a++)
            for (int b = 0; b < DIMS; b++) m->cov[a][b] += weight[i] * x[a] * x[b];
    }
    principal(m->cov, m->basis);
    free(weight);
    return true;
}

static double misfit(const shape_model *m, const float *point) {
    double x[DIMS], sum = 0;
    for (int k = 0; k < DIMS; k++) x[k] = (double)point[k] - m->mean[k];
    for (int q = 0; q < SHAPES; q++) {
        double dot = 0;
        for (int k = 0; k < DIMS; k++) dot += x[k] * m->basis[q][k];
        for (int k = 0; k < DIMS; k++) x[k] -= dot * m->basis[q][k];
    }
    for (int k = 0; k < DIMS; k++) sum += x[k] * x[k];
    return sqrt(sum / LK_LANDMARKS);
}

static bool find_odd_shapes(lk_faceset *s, doubts *d, lk_error *err) {
    lk_vectors v;
    int64_t n = d->f->count;
    if (n < 4 * SHAPES) return true; /* too few to learn from */
    if (!lk_vectors_read(s, LK_FEATURE_FACE, d->f->values[LK_FIGURE_ID], n, &v, err)) return false;
    shape_model *m = lk_alloc(1, sizeof *m, err);
    double *off = m ? lk_alloc((size_t)n, sizeof *off, err) : NULL;
    bool ok = off && learn(m, &v, err);
    for (int64_t i = 0; ok && i < n; i++) off[i] = misfit(m, v.x + i * DIMS);
    ok = ok && judge(d, off, LK_DOUBT_SHAPE, MOST_SHAPE, err);
    free(off);
    free(m);
    lk_vectors_free(&v);
    return ok;
}

/* ---- Pose, and a second look --------------------------------------------------------------------------------- */

static bool find_turns(doubts *d, lk_error *err) {
    int64_t n = d->f->count;
    double *off = lk_alloc((size_t)n + 1, sizeof *off, err);
    if (!off) return false;
    for (int64_t i = 0; i < n; i++) {
        lk_pose p = lk_face_pose_of_landmarks(&d->points[i]);
        double roll = fabs((double)p.roll - d->f->values[LK_FIGURE_ROLL][i]);
        off[i] = fmax(fabs((double)p.yaw - d->f->values[LK_FIGURE_YAW][i]),
                      fmax(fabs((double)p.pitch - d->f->values[LK_FIGURE_PITCH][i]), fmin(roll, 360 - roll)));
    }
    bool ok = judge(d, off, LK_DOUBT_POSE, MOST_TURN, err);
    free(off);
    return ok;
}

/* How far the points that the network finds in the crop are from the stored ones. */
static bool look_again(lk_faceset *s, lk_face_nets *nets, int64_t id, lk_face *f, double *off, lk_error *err) {
    void *jpeg = NULL;
    size_t size;
    lk_image crop = {0};
    lk_mesh mesh;
    float presence = 0;
    bool ok = lk_faceset_get(s, id, f, err) && lk_faceset_jpeg(s, id, &jpeg, &size, err);
    *off = INFINITY;
    if (ok && lk_jpeg_decode(jpeg, size, LK_MAX_CROP_SIDE, &crop, NULL)) {
        lk_roi roi = {.cx = (float)crop.width / 2, .cy = (float)crop.height / 2, .size = (float)crop.width};
        for (int pass = 0; ok && pass < 2; pass++) { /* the second on the square that the first says */
            ok = lk_face_find_mesh(nets, &crop, roi, &mesh, &presence, err);
            roi = lk_roi_from_mesh(&mesh);
        }
        if (ok && presence > 0.3f) {
            lk_landmarks found = lk_landmarks_from_mesh(&mesh);
            double sum = 0;
            for (int k = 0; k < LK_LANDMARKS; k++)
                sum += hypot((double)found.p[k].x - (double)f->crop_points.p[k].x,
                             (double)found.p[k].y - (double)f->crop_points.p[k].y);
            *off = sum / LK_LANDMARKS / fmax(lk_interocular(&f->crop_points), 1);
        }
    }
    lk_image_free(&crop);
    free(jpeg);
    return ok;
}

static bool find_others(lk_faceset *s, doubts *d, lk_error *err) {
    lk_face_nets *nets = lk_face_nets_open(LK_NN_CPU, err);
    lk_face *f = nets ? lk_alloc(1, sizeof *f, err) : NULL;
    bool ok = f != NULL;
    lk_progress progress;
    lk_progress_begin(&progress, "looking again", (double)d->f->count);
    for (int64_t i = 0; ok && i < d->f->count; i++) {
        double off;
        ok = (!lk_interrupted() || lk_fail(err, LK_ERR_INTERRUPTED, "interrupted")) &&
             look_again(s, nets, (int64_t)d->f->values[LK_FIGURE_ID][i], f, &off, err);
        if (ok && off > MOST_LOOK) doubt(d, i, LK_DOUBT_LOOK, isfinite(off) ? off / MOST_LOOK : 10);
        lk_progress_update(&progress, (double)(i + 1), NULL);
    }
    lk_progress_end(&progress);
    free(f);
    lk_face_nets_close(nets);
    return ok;
}

/* ---- All ---------------------------------------------------------------------------------------------------- */

static bool read_points(lk_faceset *s, doubts *d, lk_error *err) {
    sqlite3_stmt *q = lk_sql_prepare(s, "SELECT points FROM face WHERE id = ?", err);
    bool ok = q != NULL;
    for (int64_t i = 0; ok && i < d->f->count; i++) {
        sqlite3_bind_int64(q, 1, (int64_t)d->f->values[LK_FIGURE_ID][i]);
        ok = (sqlite3_step(q) == SQLITE_ROW && lk_sql_floats(q, 0, &d->points[i].p[0].x, DIMS)) ||
             lk_fail(err, LK_ERR_FORMAT, "%s is damaged: the landmarks of face %.0f make no sense", s->path,
                     d->f->values[LK_FIGURE_ID][i]);
        sqlite3_reset(q);
    }
    sqlite3_finalize(q);
    return ok;
}

static int by_score(const void *a, const void *b) {
    const lk_suspect *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

int64_t lk_faceset_suspects(lk_faceset *s, bool look, lk_suspect **suspects, lk_error *err) {
    lk_figures f;
    *suspects = NULL;
    if (!lk_faceset_figures(s, NULL, &f, err)) return -1;
    size_t n = (size_t)f.count + 1;
    doubts d = {.f = &f,
                .points = lk_alloc(n, sizeof *d.points, err),
                .score = lk_alloc(n, sizeof *d.score, err),
                .why = lk_alloc(n, sizeof *d.why, err)};
    *suspects = lk_alloc(n, sizeof **suspects, err);
    bool ok = d.points && d.score && d.why && *suspects && read_points(s, &d, err) && find_jumps(&d, err) &&
              find_odd_shapes(s, &d, err) && find_turns(&d, err) && (!look || find_others(s, &d, err));
    int64_t count = 0;
    for (int64_t i = 0; ok && i < f.count; i++)
        if (d.score[i] > 0)
            (*suspects)[count++] =
                (lk_suspect){(int64_t)f.values[LK_FIGURE_ID][i], (int64_t)f.values[LK_FIGURE_SOURCE][i],
                             (int64_t)f.values[LK_FIGURE_FRAME][i], (lk_doubt)d.why[i], d.score[i]};
    if (ok) qsort(*suspects, (size_t)count, sizeof **suspects, by_score);
    free(d.points);
    free(d.score);
    free(d.why);
    lk_figures_free(&f);
    if (ok) return count;
    free(*suspects);
    *suspects = NULL;
    return -1;
}
