/* How good a model is, on faces that it never saw (docs/evaluation.md). */
#include "evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RUN 10 /* consecutive faces that are taken together, when not all are */

typedef struct sums {
    double ssim[2], squares[2], iou[2];
    int faces[2];
    double identity[2][LK_DESCRIPTOR], swapped[LK_DESCRIPTOR]; /* of descriptors of length 1 */
    double landmarks, landmarks_real, pose;
    int real, found, compared, swaps; /* in the target, in the swap, in both a face was found again; all swaps */
    double changed, target_changed, jitter;
    int pairs, moving;
} sums;

/* What the face before this one left behind, to measure motion. */
typedef struct before {
    int face; /* −1: none */
    bool found;
    float *composite, *target;
    lk_landmarks swap_points, target_points;
} before;

typedef struct lk_judge {
    double holdout;
    lk_pool pools[2];
    int *chosen[2], counts[2];
    lk_drawing drawing;
    lk_face_nets *nets;
    lk_case *cases;
    sums s;
    before before;
} lk_judge;

/* ---- Faces ----------------------------------------------------------------------------------------------- */

/* Up to `max` indices: all, or runs of consecutive ones evenly spread. Returns the count, or −1. */
static int choose(int count, int max, int **chosen, lk_error *err) {
    int n = count < max ? count : max, runs = (n + RUN - 1) / RUN;
    *chosen = lk_alloc((size_t)n, sizeof **chosen, err);
    if (!*chosen) return -1;
    bool spread = count >= runs * RUN && runs > 1;
    for (int i = 0; i < n; i++) {
        int run = i / RUN, first = spread ? (int)((int64_t)run * (count - RUN) / (runs - 1)) : run * RUN;
        (*chosen)[i] = first + i % RUN;
    }
    return n;
}

/* ---- Networks that look at the pictures ------------------------------------------------------------------ */

static bool to_bytes(const float *picture, int resolution, lk_image *rgb, lk_error *err) {
    lk_image view = {.data = (void *)(uintptr_t)picture,
                     .width = resolution,
                     .height = resolution,
                     .channels = 3,
                     .type = LK_F32,
                     .stride = (size_t)resolution * 3 * sizeof(float)};
    return lk_image_convert(&view, LK_U8, rgb, err);
}

/* Adds the descriptor, made of length 1; also gives it in `own`. */
static bool identity(lk_judge *e, const lk_image *rgb, const lk_landmarks *points, double *to, float *own,
                     lk_error *err) {
    if (!lk_face_descriptor(e->nets, rgb, points, own, err)) return false;
    double norm = 0;
    for (int i = 0; i < LK_DESCRIPTOR; i++) norm += (double)own[i] * (double)own[i];
    norm = norm > 0 ? 1 / sqrt(norm) : 0;
    for (int i = 0; i < LK_DESCRIPTOR; i++) {
        own[i] *= (float)norm;
        to[i] += (double)own[i];
    }
    return true;
}

/* Where the mesh network looks first: half as much again as the landmarks and the forehead above them. */
static lk_roi roi_of(const lk_landmarks *p) {
    float x0 = p->p[0].x, x1 = x0, y0 = p->p[0].y, y1 = y0;
    for (int i = 1; i < LK_LANDMARKS; i++) {
        x0 = fminf(x0, p->p[i].x);
        x1 = fmaxf(x1, p->p[i].x);
        y0 = fminf(y0, p->p[i].y);
        y1 = fmaxf(y1, p->p[i].y);
    }
    y0 -= 0.3f * (y1 - y0);
    return (lk_roi){(x0 + x1) / 2, (y0 + y1) / 2, 1.5f * fmaxf(x1 - x0, y1 - y0), 0};
}

static double distance(const lk_landmarks *a, const lk_landmarks *b) {
    double sum = 0;
    for (int i = 0; i < LK_LANDMARKS; i++)
        sum += hypot((double)a->p[i].x - (double)b->p[i].x, (double)a->p[i].y - (double)b->p[i].y);
    return sum / LK_LANDMARKS;
}

static double turned(lk_pose a, lk_pose b) {
    return (fabs((double)a.yaw - (double)b.yaw) + fabs((double)a.pitch - (double)b.pitch) +
            fabs((double)a.roll - (double)b.roll)) /
           3;
}

typedef struct sighting {
    bool target, swap;
    lk_landmarks target_points, swap_points;
    double landmarks; /* percent; of no meaning unless found in both */
} sighting;

/* The mesh network looks at the target, then where that was found at target and swap alike. */
static bool look(lk_judge *e, const lk_image *target, const lk_image *swap, const lk_landmarks *points, sighting *f,
                 lk_error *err) {
    lk_mesh mesh, again;
    float presence;
    *f = (sighting){0};
    e->s.swaps++;
    if (!lk_face_find_mesh(e->nets, target, roi_of(points), &mesh, &presence, err)) return false;
    lk_roi roi = presence >= 0.5f ? lk_roi_from_mesh(&mesh) : roi_of(points);
    if (!lk_face_find_mesh(e->nets, target, roi, &mesh, &presence, err)) return false;
    f->target = presence >= 0.5f;
    if (!lk_face_find_mesh(e->nets, swap, roi, &again, &presence, err)) return false;
    f->swap = presence >= 0.5f;
    e->s.found += f->swap;
    if (!f->target) return true;
    f->target_points = lk_landmarks_from_mesh(&mesh);
    double eyes = fmax(lk_interocular(&f->target_points), 1e-3);
    e->s.landmarks_real += 100 * distance(&f->target_points, points) / eyes;
    e->s.real++;
    if (!f->swap) return true;
    f->swap_points = lk_landmarks_from_mesh(&again);
    f->landmarks = 100 * distance(&f->swap_points, &f->target_points) / eyes;
    e->s.landmarks += f->landmarks;
    e->s.compared++;
    e->s.pose += turned(lk_face_pose(&mesh), lk_face_pose(&again));
    return true;
}

/* ---- One face -------------------------------------------------------------------------------------------- */

static bool reconstruction(lk_judge *e, int side, int place, lk_error *err) {
    lk_drawing *d = &e->drawing;
    size_t pixels = (size_t)d->resolution * (size_t)d->resolution, at = pixels * (size_t)place;
    const float *again = d->again[side] + 3 * at, *face = d->faces[side] + 3 * at, *hull = d->hull[side] + at;
    double ssim;
    if (!lk_measure_ssim(again, face, hull, d->resolution, &ssim, err)) return false;
    e->s.ssim[side] += ssim;
    e->s.squares[side] += pow(10, -lk_measure_psnr(again, face, hull, d->resolution) / 10);
    if (d->masks) e->s.iou[side] += lk_measure_iou(d->mask[side] + at, hull, pixels);
    e->s.faces[side]++;
    return true;
}

/* Motion against the face before, when that is of the frame before. */
static void motion(lk_judge *e, int face, int place, const sighting *f) {
    lk_drawing *d = &e->drawing;
    const lk_pool_face *faces = e->pools[1].faces, *now = &faces[face];
    before *b = &e->before;
    size_t numbers = 3 * (size_t)d->resolution * (size_t)d->resolution, at = numbers * (size_t)place;
    const lk_pool_face *last = b->face >= 0 ? &faces[b->face] : NULL;
    if (last && last->set == now->set && last->source == now->source && last->frame + 1 == now->frame) {
        const float *hull = d->hull[1] + at / 3;
        e->s.pairs++;
        e->s.changed += lk_measure_difference(d->composite + at, b->composite, hull, d->resolution);
        e->s.target_changed += lk_measure_difference(d->faces[1] + at, b->target, hull, d->resolution);
        if (b->found && f->target && f->swap) {
            lk_landmarks moved = b->target_points, swap_moved = b->swap_points;
            for (int i = 0; i < LK_LANDMARKS; i++) {
                moved.p[i].x = f->target_points.p[i].x - moved.p[i].x;
                moved.p[i].y = f->target_points.p[i].y - moved.p[i].y;
                swap_moved.p[i].x = f->swap_points.p[i].x - swap_moved.p[i].x;
                swap_moved.p[i].y = f->swap_points.p[i].y - swap_moved.p[i].y;
            }
            e->s.jitter += 100 * distance(&moved, &swap_moved) / fmax(lk_interocular(&f->target_points), 1e-3);
            e->s.moving++;
        }
    }
    b->face = face;
    b->found = f->target && f->swap;
    b->target_points = f->target_points;
    b->swap_points = f->swap_points;
    memcpy(b->composite, d->composite + at, numbers * sizeof(float));
    memcpy(b->target, d->faces[1] + at, numbers * sizeof(float));
}

static bool source_face(lk_judge *e, int place, lk_error *err) {
    lk_drawing *d = &e->drawing;
    size_t at = 3 * (size_t)d->resolution * (size_t)d->resolution * (size_t)place;
    float own[LK_DESCRIPTOR];
    lk_image rgb = {0};
    bool ok = reconstruction(e, 0, place, err) && to_bytes(d->faces[0] + at, d->resolution, &rgb, err) &&
              identity(e, &rgb, &d->points[0][place], e->s.identity[0], own, err);
    lk_image_free(&rgb);
    return ok;
}

/* All faces of src were seen before the first of dst, so a swap's likeness to them is known at once. */
static bool target_face(lk_judge *e, int number, int place, lk_error *err) {
    lk_drawing *d = &e->drawing;
    size_t at = 3 * (size_t)d->resolution * (size_t)d->resolution * (size_t)place;
    const lk_landmarks *points = &d->points[1][place];
    float own[LK_DESCRIPTOR];
    lk_image target = {0}, swap = {0};
    sighting f;
    bool ok = reconstruction(e, 1, place, err) && to_bytes(d->faces[1] + at, d->resolution, &target, err) &&
              to_bytes(d->composite + at, d->resolution, &swap, err) &&
              identity(e, &target, points, e->s.identity[1], own, err) &&
              identity(e, &swap, points, e->s.swapped, own, err) && look(e, &target, &swap, points, &f, err);
    lk_image_free(&target);
    lk_image_free(&swap);
    if (!ok) return false;
    double like = 0;
    for (int i = 0; i < LK_DESCRIPTOR; i++) like += (double)own[i] * e->s.identity[0][i];
    int face = e->chosen[1][number];
    /* A percent of misplaced landmarks weighs as much as a hundredth of likeness; no face at all as a whole one. */
    e->cases[number] = (lk_case){face, like / e->s.faces[0] - (f.target && f.swap ? f.landmarks / 100 : !f.swap)};
    motion(e, face, place, &f);
    return true;
}

static bool one_side(lk_judge *e, int side, lk_error *err) {
    const int *chosen = e->chosen[side];
    int count = e->counts[side], batch = e->drawing.batch;
    for (int first = 0; first < count; first += batch) {
        if (lk_interrupted()) return lk_fail(err, LK_ERR_INTERRUPTED, "interrupted");
        int n = count - first < batch ? count - first : batch;
        if (!lk_draw_faces(&e->drawing, chosen + first, side ? 0 : n, chosen + first, side ? n : 0, err)) return false;
        for (int i = 0; i < n; i++)
            if (!(side ? target_face(e, first + i, i, err) : source_face(e, i, err))) return false;
    }
    return true;
}

/* ---- All ------------------------------------------------------------------------------------------------- */

static double dot(const double *a, const double *b) {
    double sum = 0;
    for (int i = 0; i < LK_DESCRIPTOR; i++) sum += a[i] * b[i];
    return sum;
}

static double share(double sum, double count) { return count > 0 ? sum / count : NAN; }

/* The mean cosine of all pairs follows from the sums of unit vectors; a face makes no pair with itself. */
static void summarise(const lk_judge *e, lk_evaluation *r) {
    const sums *s = &e->s;
    double n[2] = {s->faces[0], s->faces[1]};
    for (int i = 0; i < 2; i++) {
        r->faces[i] = s->faces[i];
        r->reconstruction[i].ssim = share(s->ssim[i], n[i]);
        r->reconstruction[i].psnr = -10 * log10(share(s->squares[i], n[i]));
        r->reconstruction[i].mask_iou = e->drawing.masks ? share(s->iou[i], n[i]) : NAN;
    }
    const double *src = s->identity[0], *dst = s->identity[1];
    r->swap_src = dot(s->swapped, src) / (n[0] * n[1]);
    r->swap_dst = dot(s->swapped, dst) / (n[1] * n[1]);
    r->src_src = (dot(src, src) - n[0]) / (n[0] * (n[0] - 1));
    r->dst_dst = (dot(dst, dst) - n[1]) / (n[1] * (n[1] - 1));
    r->src_dst = dot(src, dst) / (n[0] * n[1]);
    r->landmarks = share(s->landmarks, s->compared);
    r->pose = share(s->pose, s->compared);
    r->landmarks_real = share(s->landmarks_real, s->real);
    r->lost = 1 - share(s->found, s->swaps);
    r->pairs = s->pairs;
    r->flicker = s->pairs && s->target_changed > 0 ? s->changed / s->target_changed : NAN;
    r->jitter = share(s->jitter, s->moving);
}

static bool open_pools(lk_judge *e, const lk_swap_config *c, const lk_strings *src, const lk_strings *dst,
                       lk_error *err) {
    const lk_strings *paths[2] = {src, dst};
    static const char *const names[] = {"src", "dst"};
    for (int i = 0; i < 2; i++) {
        bool ok = e->holdout > 0 ? lk_pool_open_held_out(&e->pools[i], names[i], paths[i], c, e->holdout, err)
                                 : lk_pool_open(&e->pools[i], names[i], paths[i], c, 0, 0, err);
        if (!ok) return false;
    }
    return true;
}

static bool prepare(lk_judge *e, const lk_swap_config *c, int max, lk_error *err) {
    for (int i = 0; i < 2; i++)
        if ((e->counts[i] = choose(e->pools[i].count, max, &e->chosen[i], err)) < 0) return false;
    size_t numbers = 3 * (size_t)c->resolution * (size_t)c->resolution;
    return (e->before.composite = lk_alloc(numbers, sizeof(float), err)) &&
           (e->before.target = lk_alloc(numbers, sizeof(float), err)) &&
           (e->cases = lk_alloc((size_t)e->counts[1], sizeof *e->cases, err)) &&
           (e->nets = lk_face_nets_open(LK_NN_CPU, err)) &&
           lk_drawing_open(&e->drawing, c, &e->pools[0], &e->pools[1], err);
}

lk_judge *lk_judge_new(const lk_swap_config *c, const lk_train_options *o, const lk_strings *src, const lk_strings *dst,
                       int max, lk_error *err) {
    lk_judge *e = lk_alloc(1, sizeof *e, err);
    if (!e) return NULL;
    e->holdout = o->holdout;
    if (open_pools(e, c, src, dst, err) && prepare(e, c, max, err)) {
        e->drawing.color_transfer = o->color_transfer;
        return e;
    }
    lk_judge_free(e);
    return NULL;
}

void lk_judge_free(lk_judge *e) {
    if (!e) return;
    for (int i = 0; i < 2; i++) {
        lk_pool_close(&e->pools[i]);
        free(e->chosen[i]);
    }
    lk_drawing_close(&e->drawing);
    lk_face_nets_close(e->nets);
    free(e->cases);
    free(e->before.composite);
    free(e->before.target);
    free(e);
}

/* By what the drawing draws with. */
static bool judge(lk_judge *e, int64_t iteration, lk_evaluation *result, lk_error *err) {
    e->s = (sums){0};
    e->before.face = -1;
    if (!one_side(e, 0, err) || !one_side(e, 1, err)) return false;
    *result = (lk_evaluation){.iteration = iteration, .holdout = e->holdout};
    summarise(e, result);
    return true;
}

bool lk_judge_network(lk_judge *e, lk_network *n, int64_t iteration, lk_evaluation *result, lk_error *err) {
    e->drawing.network = n;
    return judge(e, iteration, result, err);
}

/* As the model was trained, but for faces to be judged by. */
static bool options_of(const lk_record *r, const char *dir, bool seen, lk_train_options *o, lk_error *err) {
    lk_now_set now;
    if (!lk_settings_at(&r->settings, r->iteration, &now, err)) return false;
    *o = now.options;
    if (seen) o->holdout = 0;
    if (seen || o->holdout > 0) return true;
    return lk_fail(
        err, LK_ERR_USAGE,
        "%s was trained on every face, so none is left to judge it by: train with --holdout 5, or say --seen "
        "to judge it by faces it was trained on",
        dir);
}

static bool judge_save(const lk_record *r, const char *dir, const lk_strings *src, const lk_strings *dst,
                       const lk_evaluate_options *o, lk_evaluation *result, lk_error *err) {
    lk_train_options trained;
    if (!options_of(r, dir, o->seen, &trained, err)) return false;
    lk_judge *e = lk_judge_new(&r->config, &trained, src, dst, o->max, err);
    bool ok = e &&
              (e->drawing.exec =
                   lk_record_predictor(r, dir, e->drawing.batch, true, lk_nn_device_for(LK_NN_WISH_AUTO), err)) &&
              judge(e, r->iteration, result, err) &&
              (!o->sheet || lk_evaluation_sheet(&e->drawing, e->cases, e->counts[1], o->sheet, err));
    lk_judge_free(e);
    return ok;
}

bool lk_evaluate(const char *model_dir, const lk_strings *src, const lk_strings *dst, const lk_evaluate_options *o,
                 lk_evaluation *result, lk_error *err) {
    lk_record r = {0};
    bool found = false, ok = lk_folder_open(model_dir, &r, false, &found, err);
    if (ok && !found)
        ok = lk_fail(err, LK_ERR_NOT_FOUND, "%s holds no model (there is no model.json): train one first", model_dir);
    ok = ok && judge_save(&r, model_dir, src, dst, o, result, err);
    lk_record_free(&r);
    return ok;
}
