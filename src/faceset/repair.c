#include "repair.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define MOST_RANGES 10000
#define FARTHEST    1e6 /* pixels */

/* ---- Frames as text ------------------------------------------------------------------------------------------ */

static bool frame_at(const char **at, int64_t *frame) {
    if (!isdigit((unsigned char)**at)) return false;
    char *end;
    errno = 0;
    *frame = strtoll(*at, &end, 10);
    *at = end;
    return errno == 0;
}

int lk_faceset_frames_parse(const char *text, lk_faceset_frames **ranges, lk_error *err) {
    *ranges = lk_alloc(MOST_RANGES, sizeof **ranges, err);
    if (!*ranges) return -1;
    int count = 0;
    const char *at = text;
    for (;;) {
        lk_faceset_frames *r = &(*ranges)[count];
        bool ok = count < MOST_RANGES && frame_at(&at, &r->first);
        r->last = r->first;
        if (ok && *at == '-') {
            at++;
            if (!frame_at(&at, &r->last)) r->last = INT64_MAX; /* to the end */
            ok = r->last >= r->first;
        }
        count++;
        if (ok && *at == 0) return count;
        if (!ok || *at++ != ',') break;
    }
    free(*ranges);
    *ranges = NULL;
    lk_fail(err, LK_ERR_USAGE, "'%.100s' is no list of frames; write it as 120 or 120-130,150,200-", text);
    return -1;
}

bool lk_faceset_frames_have(const lk_faceset_frames *ranges, int count, int64_t frame) {
    for (int i = 0; i < count; i++)
        if (frame >= ranges[i].first && frame <= ranges[i].last) return true;
    return false;
}

/* ---- JSON ---------------------------------------------------------------------------------------------------- */

static const char format_name[] = "likeness landmarks 1";

static json_t *points_to_json(const lk_landmarks *l) {
    json_t *list = json_array();
    for (int i = 0; i < LK_LANDMARKS; i++)
        json_array_append_new(list, json_pack("[f, f]", (double)l->p[i].x, (double)l->p[i].y));
    return list;
}

bool lk_landmarks_export(lk_faceset *s, const int64_t *ids, int64_t count, const char *path, lk_error *err) {
    json_t *faces = json_array();
    lk_face *f = lk_alloc(1, sizeof *f, err);
    bool ok = f != NULL;
    for (int64_t i = 0; ok && i < count; i++) {
        ok = lk_faceset_get(s, ids[i], f, err);
        if (ok)
            json_array_append_new(faces, json_pack("{s:I, s:I, s:I, s:o}", "id", (json_int_t)f->id, "source",
                                                   (json_int_t)f->source, "frame", (json_int_t)f->frame, "points",
                                                   points_to_json(&f->points)));
    }
    free(f);
    json_t *json = json_pack("{s:s, s:o}", "format", format_name, "faces", faces);
    ok = ok && (json || lk_fail(err, LK_ERR_MEMORY, "no memory for landmarks")) && lk_json_write(path, json, err);
    json_decref(json);
    return ok;
}

static bool points_from_json(const json_t *list, lk_landmarks *l) {
    if (json_array_size(list) != LK_LANDMARKS) return false;
    for (int i = 0; i < LK_LANDMARKS; i++) {
        const json_t *p = json_array_get(list, (size_t)i);
        if (json_array_size(p) != 2) return false;
        const json_t *x = json_array_get(p, 0), *y = json_array_get(p, 1);
        if (!json_is_number(x) || !json_is_number(y)) return false;
        if (!(fabs(json_number_value(x)) < FARTHEST) || !(fabs(json_number_value(y)) < FARTHEST)) return false;
        l->p[i] = (lk_point){(float)json_number_value(x), (float)json_number_value(y)};
    }
    return true;
}

/* Exported points were rounded by nobody: equal means untouched. */
static bool collect(lk_faceset *s, const json_t *json, const char *path, lk_edits *edits, lk_face *f, lk_error *err) {
    const json_t *faces = json_object_get(json, "faces"), *format = json_object_get(json, "format");
    if (!json_is_array(faces) || !json_is_string(format) || strcmp(json_string_value(format), format_name) != 0)
        return lk_fail(err, LK_ERR_FORMAT, "%s holds no landmarks as 'likeness set landmarks export' writes them",
                       path);
    for (size_t i = 0; i < json_array_size(faces); i++) {
        const json_t *entry = json_array_get(faces, i), *id = json_object_get(entry, "id");
        lk_edit e = {.presence = 1};
        if (!json_is_integer(id) || !points_from_json(json_object_get(entry, "points"), &e.points))
            return lk_fail(err, LK_ERR_FORMAT, "%s: face number %zu of it has no id, or not 68 pairs of numbers", path,
                           i + 1);
        if (!lk_faceset_get(s, json_integer_value(id), f, err)) return lk_fail_in(err, "%s", path);
        if (memcmp(&f->points, &e.points, sizeof e.points) == 0) continue;
        e.id = f->id;
        e.source = f->source;
        e.frame = f->frame;
        e.track = f->track;
        if (!lk_edits_add(edits, &e, err)) return false;
    }
    return true;
}

int64_t lk_landmarks_import(lk_faceset *s, const char *path, lk_error *err) {
    lk_edits edits = {0};
    json_t *json = lk_json_read(path, err);
    lk_face *f = json ? lk_alloc(1, sizeof *f, err) : NULL;
    bool ok = f && collect(s, json, path, &edits, f, err) && lk_edits_apply(s, &edits, err);
    int64_t count = ok ? edits.count : -1;
    free(f);
    json_decref(json);
    lk_edits_free(&edits);
    return count;
}

/* ---- Gaps ---------------------------------------------------------------------------------------------------- */

static bool fill(lk_faceset *s, const lk_face *a, const lk_face *b, const lk_faceset_frames *ranges, int count,
                 lk_edits *edits, lk_error *err) {
    for (int64_t frame = a->frame + 1; frame < b->frame; frame++) {
        bool absent;
        if (!lk_faceset_frames_have(ranges, count, frame)) continue;
        if (!lk_is_absent(s, a->source, frame, &absent, err)) return false;
        if (absent) continue;
        float t = (float)((double)(frame - a->frame) / (double)(b->frame - a->frame));
        lk_edit e = {.source = a->source, .frame = frame, .track = a->track, .presence = 0.5f};
        for (int i = 0; i < LK_LANDMARKS; i++) {
            e.points.p[i].x = (1 - t) * a->points.p[i].x + t * b->points.p[i].x;
            e.points.p[i].y = (1 - t) * a->points.p[i].y + t * b->points.p[i].y;
        }
        if (!lk_edits_add(edits, &e, err)) return false;
    }
    return true;
}

int64_t lk_landmarks_interpolate(lk_faceset *s, int64_t source, const lk_faceset_frames *ranges, int count,
                                 int64_t longest, lk_error *err) {
    lk_edits edits = {0};
    char *sql = lk_format(err,
                          "SELECT id FROM face WHERE NOT removed AND (%lld = 0 OR source = %lld) AND id NOT IN (SELECT "
                          "face FROM origin) ORDER BY source, track, frame, id",
                          (long long)source, (long long)source);
    int64_t *ids = NULL, n = sql ? lk_sql_ids(s, sql, &ids, err) : -1;
    lk_face *f = n >= 0 ? lk_alloc(2, sizeof *f, err) : NULL;
    bool ok = f != NULL;
    for (int64_t i = 0; ok && i < n; i++) {
        lk_face *a = &f[i % 2 == 0], *b = &f[i % 2];
        ok = lk_faceset_get(s, ids[i], b, err);
        if (!ok || i == 0 || a->source != b->source || a->track != b->track) continue;
        if (b->frame - a->frame > 1 && b->frame - a->frame <= longest + 1)
            ok = fill(s, a, b, ranges, count, &edits, err);
    }
    ok = ok && lk_edits_apply(s, &edits, err);
    n = ok ? edits.count : -1;
    free(f);
    free(ids);
    free(sql);
    lk_edits_free(&edits);
    return n;
}

/* ---- Frames without a face ----------------------------------------------------------------------------------- */

int64_t lk_faceset_mark_absent(lk_faceset *s, int64_t source, const lk_faceset_frames *ranges, int count, bool absent,
                               lk_error *err) {
    lk_source v;
    bool own;
    if (!lk_sql_writable(s, err) || !lk_find_source(s, source, &v, err) || !lk_sql_enter(s, &own, err)) return -1;
    sqlite3_stmt *mark = lk_sql_prepare(s,
                                        absent ? "INSERT OR IGNORE INTO absent (source, frame) VALUES (?, ?)"
                                               : "DELETE FROM absent WHERE source = ? AND frame = ?",
                                        err);
    sqlite3_stmt *out = mark ? lk_sql_prepare(s,
                                              "UPDATE face SET removed = 1 WHERE source = ? AND frame = ? AND NOT "
                                              "removed",
                                              err)
                             : NULL;
    bool ok = out != NULL;
    int64_t gone = 0;
    for (int i = 0; ok && i < count; i++) {
        int64_t last = ranges[i].last < v.frames ? ranges[i].last : v.frames - 1;
        for (int64_t frame = ranges[i].first; ok && frame <= last; frame++) {
            sqlite3_bind_int64(mark, 1, source);
            sqlite3_bind_int64(mark, 2, frame);
            ok = lk_sql_done(s, mark, err);
            if (!ok || !absent) continue;
            sqlite3_bind_int64(out, 1, source);
            sqlite3_bind_int64(out, 2, frame);
            ok = lk_sql_done(s, out, err);
            gone += ok ? sqlite3_changes(s->db) : 0;
        }
    }
    sqlite3_finalize(mark);
    sqlite3_finalize(out);
    return lk_sql_leave(s, own, ok, err) ? gone : -1;
}
