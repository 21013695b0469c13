/* Frames looked at again, more closely than extraction does. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "extract.h"
#include "internal.h"
#include "repair.h"

#define LEAST_FACE     16
#define LEAST_SCORE    0.3f
#define LEAST_PRESENCE 0.5f

typedef struct looker {
    lk_faceset *set;
    lk_face_nets *nets;
    lk_source source;
    lk_edits edits;
    lk_face face;
} looker;

static double overlap(lk_rect a, lk_rect b) {
    double w = fmin(a.x + a.width, b.x + b.width) - fmax(a.x, b.x);
    double h = fmin(a.y + a.height, b.y + b.height) - fmax(a.y, b.y);
    if (w <= 0 || h <= 0) return 0;
    return w * h / ((double)a.width * a.height + (double)b.width * b.height - w * h);
}

/* The stored face of this frame that lies in the same place: its id and track; 0: none. A removed one counts too, and
 * stays removed. */
static bool find_stored(looker *l, int64_t frame, lk_rect at, int64_t *id, int *track, lk_error *err) {
    char *sql = lk_format(err, "SELECT id FROM face WHERE source = %lld AND frame = %lld", (long long)l->source.id,
                          (long long)frame);
    int64_t *ids = NULL, count = sql ? lk_sql_ids(l->set, sql, &ids, err) : -1;
    double most = 0.2;
    *id = 0;
    bool ok = count >= 0;
    for (int64_t i = 0; ok && i < count; i++) {
        ok = lk_faceset_get(l->set, ids[i], &l->face, err);
        double same = ok ? overlap(at, l->face.bounds) : 0;
        if (same <= most) continue;
        most = same;
        *id = ids[i];
        *track = l->face.track;
    }
    free(ids);
    free(sql);
    return ok;
}

/* The track of the face nearest in time that lies about there; a new one when none does. */
static bool choose_track(looker *l, int64_t frame, lk_rect at, int *track, lk_error *err) {
    char *sql =
        lk_format(err,
                  "SELECT id FROM face WHERE source = %lld AND NOT removed AND abs(frame - %lld) <= 25 ORDER BY "
                  "abs(frame - %lld), id LIMIT 16",
                  (long long)l->source.id, (long long)frame, (long long)frame);
    int64_t *ids = NULL, count = sql ? lk_sql_ids(l->set, sql, &ids, err) : -1;
    bool ok = count >= 0, found = false;
    for (int64_t i = 0; ok && !found && i < count; i++) {
        ok = lk_faceset_get(l->set, ids[i], &l->face, err);
        found = ok && overlap(at, l->face.bounds) > 0.1;
        if (found) *track = l->face.track;
    }
    free(ids);
    free(sql);
    if (!ok || found) return ok;
    sql = lk_format(err, "SELECT max(track) + 1 FROM face WHERE source = %lld", (long long)l->source.id);
    ok = sql && lk_sql_ids(l->set, sql, &ids, err) == 1;
    if (ok) *track = (int)ids[0];
    free(ids);
    free(sql);
    return ok;
}

static bool keep(looker *l, int64_t frame, const lk_mesh *mesh, float presence, lk_error *err) {
    lk_edit e = {.source = l->source.id, .frame = frame, .presence = presence, .points = lk_landmarks_from_mesh(mesh)};
    lk_rect at = lk_landmarks_bounds(&e.points);
    if (!find_stored(l, frame, at, &e.id, &e.track, err)) return false;
    if (!e.id && !choose_track(l, frame, at, &e.track, err)) return false;
    for (int64_t i = l->edits.count - 1; i >= 0 && l->edits.items[i].frame == frame; i--) {
        const lk_edit *other = &l->edits.items[i]; /* found twice */
        if ((e.id && other->id == e.id) || overlap(at, lk_landmarks_bounds(&other->points)) > 0.3) return true;
    }
    e.mesh = lk_alloc(1, sizeof *e.mesh, err);
    if (!e.mesh) return false;
    *e.mesh = *mesh;
    if (lk_edits_add(&l->edits, &e, err)) return true;
    free(e.mesh);
    return false;
}

static bool look_at(looker *l, lk_frame *frame, lk_error *err) {
    lk_image rgb;
    lk_rect all = {0, 0, lk_frame_width(frame), lk_frame_height(frame)};
    if (!lk_frame_rgb(frame, all, LK_U8, &rgb, err)) return false;
    const lk_detect_options o = {.min_score = LEAST_SCORE, .min_face = LEAST_FACE, .rotations = true, .tiles = true};
    lk_detection found[LK_MAX_FACES];
    int count = lk_face_detect(l->nets, &rgb, &o, found, LK_MAX_FACES, err);
    bool ok = count >= 0;
    for (int i = 0; ok && i < count; i++) {
        lk_roi roi = lk_roi_from_detection(&found[i]);
        lk_mesh mesh;
        float presence = 0;
        for (int pass = 0; ok && pass < 3; pass++) { /* each on the square that the one before says */
            ok = lk_face_find_mesh(l->nets, &rgb, roi, &mesh, &presence, err);
            roi = lk_roi_from_mesh(&mesh);
        }
        if (ok && presence >= LEAST_PRESENCE) ok = keep(l, lk_frame_index(frame), &mesh, presence, err);
    }
    lk_image_free(&rgb);
    return ok;
}

static bool look_at_all(looker *l, const lk_faceset_frames *ranges, int count, lk_error *err) {
    lk_cursor c = {.path = l->source.path};
    int64_t last = l->source.frames - 1, done = 0;
    bool ok = true;
    lk_progress progress;
    lk_progress_begin(&progress, "looking again", 0);
    for (int64_t frame = 0; ok && frame <= last; frame++) {
        bool absent = false;
        if (!lk_faceset_frames_have(ranges, count, frame)) continue;
        ok = (!lk_interrupted() || lk_fail(err, LK_ERR_INTERRUPTED, "interrupted; nothing was changed")) &&
             lk_is_absent(l->set, l->source.id, frame, &absent, err);
        if (!ok || absent) continue;
        lk_frame *f = lk_cursor_frame(&c, frame, err);
        ok = f && look_at(l, f, err);
        lk_frame_free(f);
        lk_progress_update(&progress, (double)++done, NULL);
    }
    lk_progress_end(&progress);
    lk_cursor_close(&c);
    return ok;
}

int64_t lk_faceset_redo(lk_faceset *s, int64_t source, const lk_faceset_frames *ranges, int count, lk_error *err) {
    looker *l = lk_alloc(1, sizeof *l, err);
    if (!l) return -1;
    l->set = s;
    bool ok = lk_sql_writable(s, err) && lk_find_source(s, source, &l->source, err) &&
              (l->nets = lk_face_nets_open(LK_NN_CPU, err)) != NULL && look_at_all(l, ranges, count, err) &&
              lk_edits_apply(s, &l->edits, err);
    int64_t found = ok ? l->edits.count : -1;
    lk_edits_free(&l->edits);
    lk_face_nets_close(l->nets);
    free(l);
    return found;
}
