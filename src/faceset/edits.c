#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "extract.h"
#include "internal.h"
#include "look.h"
#include "repair.h"

#define QUALITY    95
#define FAR_AHEAD  250 /* frames: opening anew and seeking is faster than decoding them */
#define MOST_EDITS 10000000

bool lk_edits_add(lk_edits *edits, const lk_edit *e, lk_error *err) {
    if (edits->count == edits->room) {
        int64_t room = edits->room ? 2 * edits->room : 64;
        lk_edit *more = room > MOST_EDITS ? NULL : realloc(edits->items, (size_t)room * sizeof *more);
        if (!more) return lk_fail(err, LK_ERR_MEMORY, "no memory for %lld changed faces", (long long)room);
        edits->items = more;
        edits->room = room;
    }
    edits->items[edits->count++] = *e;
    return true;
}

void lk_edits_free(lk_edits *edits) {
    for (int64_t i = 0; i < edits->count; i++) free(edits->items[i].mesh);
    free(edits->items);
    *edits = (lk_edits){0};
}

/* ---- Frames ------------------------------------------------------------------------------------------------- */

void lk_cursor_close(lk_cursor *c) {
    lk_reader_close(c->in);
    c->in = NULL;
}

lk_frame *lk_cursor_frame(lk_cursor *c, int64_t frame, lk_error *err) {
    if (c->in && (frame < c->next || frame - c->next > FAR_AHEAD)) lk_cursor_close(c);
    if (!c->in) {
        c->in = lk_reader_open(c->path, &(lk_reader_options){.first = frame}, err);
        if (!c->in) {
            lk_fail_in(err, "the faces' source is needed for this");
            return NULL;
        }
    }
    lk_error end = {0};
    for (lk_frame *f; (f = lk_reader_next(c->in, &end)) != NULL; lk_frame_free(f)) {
        c->next = lk_frame_index(f) + 1;
        if (lk_frame_index(f) == frame) return f;
        if (lk_frame_index(f) > frame) {
            lk_frame_free(f);
            break;
        }
    }
    if (end.code == LK_OK)
        lk_fail(err, LK_ERR_NOT_FOUND, "%s has no frame %lld", c->path, (long long)frame);
    else if (err)
        *err = end;
    return NULL;
}

bool lk_find_source(lk_faceset *s, int64_t id, lk_source *source, lk_error *err) {
    lk_source *all;
    int count = lk_faceset_sources(s, &all, err);
    bool found = false;
    for (int i = 0; i < count; i++) {
        if (all[i].id != id) continue;
        *source = all[i];
        found = true;
    }
    free(all);
    return found || (count >= 0 && lk_fail(err, LK_ERR_NOT_FOUND, "%s has no source %lld", s->path, (long long)id));
}

/* The first column of the first row of a query about (a, b). */
static bool ask(lk_faceset *s, const char *sql, int64_t a, int64_t b, int64_t *value, lk_error *err) {
    sqlite3_stmt *q = lk_sql_prepare(s, sql, err);
    if (!q) return false;
    sqlite3_bind_int64(q, 1, a);
    sqlite3_bind_int64(q, 2, b);
    int code = sqlite3_step(q);
    bool ok = code == SQLITE_ROW || code == SQLITE_DONE || lk_sql_fail(s->path, s->db, code, err);
    *value = code == SQLITE_ROW ? sqlite3_column_int64(q, 0) : 0;
    sqlite3_finalize(q);
    return ok;
}

bool lk_is_absent(lk_faceset *s, int64_t source, int64_t frame, bool *absent, lk_error *err) {
    int64_t n = 0;
    bool ok = ask(s, "SELECT count(*) FROM absent WHERE source = ? AND frame = ?", source, frame, &n, err);
    *absent = n > 0;
    return ok;
}

/* ---- Applying ----------------------------------------------------------------------------------------------- */

/* What the face was, or a new one like the first of its source. */
static bool start_face(lk_faceset *s, const lk_edit *e, lk_face *f, lk_error *err) {
    int64_t like = e->id;
    if (!like && !ask(s, "SELECT min(id) FROM face WHERE source = ?1 AND ?2 = ?2", e->source, 0, &like, err))
        return false;
    if (!like)
        return lk_fail(err, LK_ERR_NOT_FOUND, "%s has no face of source %lld to go by", s->path, (long long)e->source);
    if (!lk_faceset_get(s, like, f, err)) return false;
    f->id = e->id;
    f->source = e->source;
    f->frame = e->frame;
    f->points = e->points;
    f->presence = e->presence;
    f->track = e->track;
    f->has_mesh = e->mesh != NULL;
    if (!e->id) {
        f->has_descriptor = false;
        f->removed = false;
    }
    if (e->mesh) f->mesh = *e->mesh;
    f->pose = e->mesh ? lk_face_pose(e->mesh) : lk_face_pose_of_landmarks(&e->points);
    return true;
}

/* The crop of an imported face stays; the points move in it. */
static bool move_points(lk_faceset *s, lk_face *f, lk_error *err) {
    f->crop_points = lk_landmarks_transform(&f->points, f->frame_to_crop);
    f->bounds = lk_landmarks_bounds(&f->points);
    return lk_faceset_update(s, f, NULL, 0, err);
}

static bool cut_anew(lk_faceset *s, lk_cursor *c, const lk_edit *e, lk_face *f, lk_error *err) {
    lk_frame *frame = lk_cursor_frame(c, e->frame, err);
    if (!frame) return false;
    lk_look look;
    void *jpeg = NULL;
    size_t size = 0;
    f->time = lk_frame_time(frame);
    bool ok = lk_cut_face(frame, f, QUALITY, &look, &jpeg, &size, err) &&
              (e->id ? lk_faceset_update(s, f, jpeg, size, err) : lk_faceset_add(s, f, jpeg, size, err)) &&
              lk_look_store(s, f->id, &look, err);
    free(jpeg);
    lk_frame_free(frame);
    return ok;
}

static int by_place(const void *a, const void *b) {
    const lk_edit *x = a, *y = b;
    if (x->source != y->source) return x->source < y->source ? -1 : 1;
    if (x->frame != y->frame) return x->frame < y->frame ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static bool apply_all(lk_faceset *s, lk_edits *edits, lk_face *f, lk_error *err) {
    lk_cursor c = {0};
    lk_source source = {0};
    lk_progress progress;
    lk_progress_begin(&progress, "cutting faces", (double)edits->count);
    bool ok = true;
    for (int64_t i = 0; ok && i < edits->count; i++) {
        const lk_edit *e = &edits->items[i];
        int64_t imported = 0;
        if (source.id != e->source) {
            lk_cursor_close(&c);
            ok = lk_find_source(s, e->source, &source, err);
            c.path = source.path;
        }
        ok = ok && !lk_interrupted() && start_face(s, e, f, err) &&
             ask(s, "SELECT count(*) FROM origin WHERE face = ?1 AND ?2 = ?2", e->id, 0, &imported, err) &&
             (imported ? move_points(s, f, err) : cut_anew(s, &c, e, f, err));
        if (!ok && lk_interrupted()) lk_fail(err, LK_ERR_INTERRUPTED, "interrupted; nothing was changed");
        lk_progress_update(&progress, (double)(i + 1), NULL);
    }
    lk_progress_end(&progress);
    lk_cursor_close(&c);
    return ok;
}

bool lk_edits_apply(lk_faceset *s, lk_edits *edits, lk_error *err) {
    bool own;
    if (edits->count == 0) return true;
    qsort(edits->items, (size_t)edits->count, sizeof *edits->items, by_place);
    lk_face *f = lk_alloc(1, sizeof *f, err);
    bool ok = f && lk_sql_writable(s, err) && lk_sql_enter(s, &own, err);
    if (ok) ok = lk_sql_leave(s, own, apply_all(s, edits, f, err), err);
    free(f);
    return ok;
}
