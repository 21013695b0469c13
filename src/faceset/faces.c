#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "masks.h"

#define MAX_PIXEL (1 << 24)

static const char *const statement_sql[STATEMENTS] = {
    [STATEMENT_ADD_FACE] =
        "INSERT INTO face (source, frame, time, track, type, size, frame_to_crop, points, crop_points, yaw, pitch, "
        "roll, presence, sharpness, brightness, mean_l, mean_a, mean_b, std_l, std_a, std_b, x, y, width, height, "
        "removed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [STATEMENT_ADD_MESH] = "INSERT INTO mesh (face, points) VALUES (?, ?)",
    [STATEMENT_ADD_DESCRIPTOR] = "INSERT INTO descriptor (face, vector) VALUES (?, ?)",
    [STATEMENT_ADD_CROP] = "INSERT INTO crop (face, jpeg) VALUES (?, ?)",
    [STATEMENT_GET_FACE] =
        "SELECT face.source, frame, time, track, type, size, frame_to_crop, face.points, crop_points, yaw, pitch, "
        "roll, presence, sharpness, brightness, mean_l, mean_a, mean_b, std_l, std_a, std_b, x, y, width, height, "
        "removed, mesh.points, vector FROM face LEFT JOIN mesh ON mesh.face = face.id LEFT JOIN descriptor ON "
        "descriptor.face = face.id WHERE face.id = ?",
    [STATEMENT_GET_CROP] = "SELECT jpeg FROM crop WHERE face = ?",
    [STATEMENT_UPDATE_FACE] =
        "UPDATE face SET source = ?, frame = ?, time = ?, track = ?, type = ?, size = ?, frame_to_crop = ?, points = "
        "?, "
        "crop_points = ?, yaw = ?, pitch = ?, roll = ?, presence = ?, sharpness = ?, brightness = ?, mean_l = ?, "
        "mean_a = "
        "?, mean_b = ?, std_l = ?, std_a = ?, std_b = ?, x = ?, y = ?, width = ?, height = ?, removed = ? WHERE id = ?",
    [STATEMENT_SET_REMOVED] = "UPDATE face SET removed = ? WHERE id = ?",
    [STATEMENT_ADD_ORIGIN] = "INSERT INTO origin (face, name, claim, changed) VALUES (?, ?, ?, 0)",
    [STATEMENT_GET_ORIGIN] = "SELECT name, changed FROM origin WHERE face = ?",
    [STATEMENT_ADD_LOOK] = "INSERT OR REPLACE INTO look (face, hue, black, motion_blur, histogram, thumbnail) VALUES "
                           "(?, ?, ?, ?, ?, ?)",
    [STATEMENT_PUT_MASK] = "INSERT OR REPLACE INTO mask (face, kind, data) VALUES (?, ?, ?)",
    [STATEMENT_GET_MASK] = "SELECT data FROM mask WHERE face = ? AND kind = ?",
    [STATEMENT_CHANGE_ORIGIN] = "UPDATE origin SET changed = changed | ? WHERE face = ?",
};

sqlite3_stmt *lk_sql_statement(lk_faceset *s, statement which, lk_error *err) {
    if (!s->statements[which]) s->statements[which] = lk_sql_prepare(s, statement_sql[which], err);
    return s->statements[which];
}

static bool finite_all(const float *v, int count) {
    for (int i = 0; i < count; i++)
        if (!isfinite(v[i])) return false;
    return true;
}

/* What a reader would refuse is not written. */
static bool check_face(const lk_faceset *s, const lk_face *f, size_t size, lk_error *err) {
    const float numbers[] = {f->pose.yaw, f->pose.pitch, f->pose.roll, f->presence, f->sharpness, f->brightness};
    bool ok = f->source > 0 && f->frame >= 0 && isfinite(f->time) && f->track >= 0 && f->type >= LK_FACE_HALF &&
              f->type <= LK_FACE_HEAD && f->size >= 1 && f->size <= LK_MAX_CROP_SIDE &&
              finite_all(numbers, LK_COUNT(numbers)) && finite_all(f->mean, 3) && finite_all(f->std, 3) &&
              finite_all(&f->points.p[0].x, 2 * LK_LANDMARKS) && finite_all(&f->crop_points.p[0].x, 2 * LK_LANDMARKS) &&
              (!f->has_mesh || (finite_all(f->mesh.x, LK_MESH_POINTS) && finite_all(f->mesh.y, LK_MESH_POINTS) &&
                                finite_all(f->mesh.z, LK_MESH_POINTS))) &&
              (!f->has_descriptor || finite_all(f->descriptor, LK_DESCRIPTOR));
    for (int i = 0; i < 6; i++) ok = ok && isfinite(f->frame_to_crop.m[i / 3][i % 3]);
    const int box[] = {f->bounds.x, f->bounds.y, f->bounds.width, f->bounds.height};
    for (int i = 0; i < 4; i++) ok = ok && box[i] >= (i < 2 ? -MAX_PIXEL : 0) && box[i] <= 2 * MAX_PIXEL;
    if (!ok)
        return lk_fail(err, LK_ERR_FORMAT, "%s: the face of frame %lld has values out of range and is not stored",
                       s->path, (long long)f->frame);
    return (size > 0 && size < LK_MAX_CROP_BYTES) ||
           lk_fail(err, LK_ERR_FORMAT, "%s: the crop of frame %lld has %zu bytes, which is not possible", s->path,
                   (long long)f->frame, size);
}

static bool bind_face(sqlite3_stmt *q, const lk_face *f) {
    const double reals[] = {
        (double)f->pose.yaw,  (double)f->pose.pitch, (double)f->pose.roll, (double)f->presence,
        (double)f->sharpness, (double)f->brightness, (double)f->mean[0],   (double)f->mean[1],
        (double)f->mean[2],   (double)f->std[0],     (double)f->std[1],    (double)f->std[2],
    };
    const int integers[] = {f->bounds.x, f->bounds.y, f->bounds.width, f->bounds.height, f->removed};
    bool ok = sqlite3_bind_int64(q, 1, f->source) == SQLITE_OK && sqlite3_bind_int64(q, 2, f->frame) == SQLITE_OK &&
              sqlite3_bind_double(q, 3, f->time) == SQLITE_OK && sqlite3_bind_int(q, 4, f->track) == SQLITE_OK &&
              sqlite3_bind_int(q, 5, (int)f->type) == SQLITE_OK && sqlite3_bind_int(q, 6, f->size) == SQLITE_OK &&
              lk_sql_bind_doubles(q, 7, &f->frame_to_crop.m[0][0], 6) &&
              lk_sql_bind_floats(q, 8, &f->points.p[0].x, 2 * LK_LANDMARKS) &&
              lk_sql_bind_floats(q, 9, &f->crop_points.p[0].x, 2 * LK_LANDMARKS);
    for (int i = 0; ok && i < (int)LK_COUNT(reals); i++) ok = sqlite3_bind_double(q, 10 + i, reals[i]) == SQLITE_OK;
    for (int i = 0; ok && i < (int)LK_COUNT(integers); i++) ok = sqlite3_bind_int(q, 22 + i, integers[i]) == SQLITE_OK;
    return ok;
}

/* Blobs of 2,000 and more bytes live in tables of their own, so that looking through faces reads little. */
static bool add_mesh(lk_faceset *s, const lk_face *f, lk_error *err) {
    sqlite3_stmt *q = lk_sql_statement(s, STATEMENT_ADD_MESH, err);
    if (!q) return false;
    float xyz[3 * LK_MESH_POINTS];
    for (int i = 0; i < LK_MESH_POINTS; i++) {
        xyz[3 * i] = f->mesh.x[i];
        xyz[3 * i + 1] = f->mesh.y[i];
        xyz[3 * i + 2] = f->mesh.z[i];
    }
    if (sqlite3_bind_int64(q, 1, f->id) != SQLITE_OK || !lk_sql_bind_floats(q, 2, xyz, 3 * LK_MESH_POINTS))
        return lk_sql_fail(s->path, s->db, SQLITE_NOMEM, err);
    return lk_sql_done(s, q, err);
}

static bool add_blobs(lk_faceset *s, const lk_face *f, const void *jpeg, size_t size, lk_error *err) {
    sqlite3_stmt *q;
    if (f->has_mesh && !add_mesh(s, f, err)) return false;
    if (f->has_descriptor) {
        q = lk_sql_statement(s, STATEMENT_ADD_DESCRIPTOR, err);
        if (!q) return false;
        if (sqlite3_bind_int64(q, 1, f->id) != SQLITE_OK || !lk_sql_bind_floats(q, 2, f->descriptor, LK_DESCRIPTOR))
            return lk_sql_fail(s->path, s->db, SQLITE_NOMEM, err);
        if (!lk_sql_done(s, q, err)) return false;
    }
    q = lk_sql_statement(s, STATEMENT_ADD_CROP, err);
    if (!q) return false;
    if (sqlite3_bind_int64(q, 1, f->id) != SQLITE_OK ||
        sqlite3_bind_blob64(q, 2, jpeg, size, SQLITE_STATIC) != SQLITE_OK)
        return lk_sql_fail(s->path, s->db, SQLITE_NOMEM, err);
    return lk_sql_done(s, q, err);
}

bool lk_faceset_add(lk_faceset *s, lk_face *face, const void *jpeg, size_t size, lk_error *err) {
    bool own;
    if (!lk_sql_writable(s, err) || !check_face(s, face, size, err) || !lk_sql_enter(s, &own, err)) return false;
    sqlite3_stmt *q = lk_sql_statement(s, STATEMENT_ADD_FACE, err);
    bool ok = q != NULL;
    if (ok) ok = bind_face(q, face) ? lk_sql_done(s, q, err) : lk_sql_fail(s->path, s->db, SQLITE_NOMEM, err);
    if (ok) {
        face->id = sqlite3_last_insert_rowid(s->db);
        ok = add_blobs(s, face, jpeg, size, err);
    }
    return lk_sql_leave(s, own, ok, err);
}

/* What depends on the landmarks goes with the old ones; a descriptor tells who it is, whatever the landmarks. */
static bool forget(lk_faceset *s, int64_t id, bool crop, lk_error *err) {
    char *sql = lk_format(err,
                          "DELETE FROM mesh WHERE face = %lld; DELETE FROM look WHERE face = %lld; UPDATE origin SET "
                          "changed = changed | 1 WHERE face = %lld; DELETE FROM crop WHERE %d AND face = %lld",
                          (long long)id, (long long)id, (long long)id, crop, (long long)id);
    bool ok = sql && lk_sql_run(s, sql, err);
    free(sql);
    return ok;
}

static bool move_masks(lk_faceset *s, const lk_face *old, const lk_face *new, lk_error *err) {
    lk_affine back;
    return !lk_affine_invert(old->frame_to_crop, &back) ||
           lk_masks_move(s, new->id, lk_affine_multiply(new->frame_to_crop, back), old->size, new->size, err);
}

bool lk_faceset_update(lk_faceset *s, const lk_face *face, const void *jpeg, size_t size, lk_error *err) {
    bool own;
    if (!lk_sql_writable(s, err) || !check_face(s, face, jpeg ? size : 1, err) || !lk_sql_enter(s, &own, err))
        return false;
    sqlite3_stmt *q = lk_sql_statement(s, STATEMENT_UPDATE_FACE, err);
    lk_face *old = q ? lk_alloc(1, sizeof *old, err) : NULL;
    bool ok = old && lk_faceset_get(s, face->id, old, err);
    if (ok)
        ok = bind_face(q, face) && sqlite3_bind_int64(q, 27, face->id) == SQLITE_OK
                 ? lk_sql_done(s, q, err)
                 : lk_sql_fail(s->path, s->db, SQLITE_NOMEM, err);
    ok = ok && forget(s, face->id, jpeg != NULL, err) && (!face->has_mesh || add_mesh(s, face, err));
    if (ok && jpeg) {
        q = lk_sql_statement(s, STATEMENT_ADD_CROP, err);
        ok = q && sqlite3_bind_int64(q, 1, face->id) == SQLITE_OK &&
             sqlite3_bind_blob64(q, 2, jpeg, size, SQLITE_STATIC) == SQLITE_OK && lk_sql_done(s, q, err) &&
             move_masks(s, old, face, err);
    }
    free(old);
    return lk_sql_leave(s, own, ok, err);
}

bool lk_faceset_set_removed(lk_faceset *s, int64_t id, bool removed, lk_error *err) {
    if (!lk_sql_writable(s, err)) return false;
    sqlite3_stmt *q = lk_sql_statement(s, STATEMENT_SET_REMOVED, err);
    if (!q) return false;
    sqlite3_bind_int(q, 1, removed);
    sqlite3_bind_int64(q, 2, id);
    if (!lk_sql_done(s, q, err)) return false;
    return sqlite3_changes(s->db) == 1 || lk_fail(err, LK_ERR_NOT_FOUND, "%s has no face %lld", s->path, (long long)id);
}

static bool read_face(sqlite3_stmt *q, lk_face *f) {
    float *const reals[] = {&f->pose.yaw, &f->pose.pitch, &f->pose.roll, &f->presence, &f->sharpness, &f->brightness,
                            &f->mean[0],  &f->mean[1],    &f->mean[2],   &f->std[0],   &f->std[1],    &f->std[2]};
    int *const box[] = {&f->bounds.x, &f->bounds.y, &f->bounds.width, &f->bounds.height};
    int64_t track, type, size, removed;
    bool ok = lk_sql_int(q, 0, 1, INT64_MAX, &f->source) && lk_sql_int(q, 1, 0, INT64_MAX, &f->frame) &&
              lk_sql_real(q, 2, &f->time) && lk_sql_int(q, 3, 0, INT32_MAX, &track) &&
              lk_sql_int(q, 4, LK_FACE_HALF, LK_FACE_HEAD, &type) && lk_sql_int(q, 5, 1, LK_MAX_CROP_SIDE, &size) &&
              lk_sql_doubles(q, 6, &f->frame_to_crop.m[0][0], 6) &&
              lk_sql_floats(q, 7, &f->points.p[0].x, 2 * LK_LANDMARKS) &&
              lk_sql_floats(q, 8, &f->crop_points.p[0].x, 2 * LK_LANDMARKS) && lk_sql_int(q, 25, 0, 1, &removed);
    for (int i = 0; ok && i < (int)LK_COUNT(reals); i++) {
        double v = 0;
        ok = lk_sql_real(q, 9 + i, &v) && fabs(v) < 1e30;
        *reals[i] = (float)v;
    }
    for (int i = 0; ok && i < 4; i++) {
        int64_t v = 0;
        ok = lk_sql_int(q, 21 + i, i < 2 ? -MAX_PIXEL : 0, 2 * MAX_PIXEL, &v);
        *box[i] = (int)v;
    }
    float xyz[3 * LK_MESH_POINTS] = {0};
    f->has_mesh = sqlite3_column_type(q, 26) != SQLITE_NULL;
    if (!ok || (f->has_mesh && !lk_sql_floats(q, 26, xyz, 3 * LK_MESH_POINTS))) return false;
    for (int i = 0; i < LK_MESH_POINTS; i++) {
        f->mesh.x[i] = xyz[3 * i];
        f->mesh.y[i] = xyz[3 * i + 1];
        f->mesh.z[i] = xyz[3 * i + 2];
    }
    f->track = (int)track;
    f->type = (lk_face_type)type;
    f->size = (int)size;
    f->removed = removed != 0;
    f->has_descriptor = sqlite3_column_type(q, 27) != SQLITE_NULL;
    return !f->has_descriptor || lk_sql_floats(q, 27, f->descriptor, LK_DESCRIPTOR);
}

bool lk_faceset_get(lk_faceset *s, int64_t id, lk_face *face, lk_error *err) {
    sqlite3_stmt *q = lk_sql_statement(s, STATEMENT_GET_FACE, err);
    if (!q) return false;
    memset(face, 0, sizeof *face);
    sqlite3_bind_int64(q, 1, id);
    int code = sqlite3_step(q);
    bool ok = code == SQLITE_ROW;
    if (ok) {
        face->id = id;
        ok = read_face(q, face) ||
             lk_fail(err, LK_ERR_FORMAT, "%s is damaged: face %lld makes no sense", s->path, (long long)id);
    } else if (code == SQLITE_DONE) {
        lk_fail(err, LK_ERR_NOT_FOUND, "%s has no face %lld", s->path, (long long)id);
    } else {
        lk_sql_fail(s->path, s->db, code, err);
    }
    sqlite3_reset(q);
    return ok;
}

bool lk_faceset_jpeg(lk_faceset *s, int64_t id, void **data, size_t *size, lk_error *err) {
    sqlite3_stmt *q = lk_sql_statement(s, STATEMENT_GET_CROP, err);
    if (!q) return false;
    *data = NULL;
    *size = 0;
    sqlite3_bind_int64(q, 1, id);
    int code = sqlite3_step(q);
    bool ok = false;
    if (code == SQLITE_ROW && sqlite3_column_type(q, 0) == SQLITE_BLOB) {
        const void *bytes = sqlite3_column_blob(q, 0);
        size_t n = (size_t)sqlite3_column_bytes(q, 0);
        if (!bytes || !n) {
            lk_fail(err, LK_ERR_FORMAT, "%s is damaged: the crop of face %lld is empty", s->path, (long long)id);
        } else if ((*data = lk_alloc(n, 1, err)) != NULL) {
            memcpy(*data, bytes, n);
            *size = n;
            ok = true;
        }
    } else if (code == SQLITE_ROW || code == SQLITE_DONE) {
        lk_fail(err, code == SQLITE_ROW ? LK_ERR_FORMAT : LK_ERR_NOT_FOUND, "%s has no crop of face %lld", s->path,
                (long long)id);
    } else {
        lk_sql_fail(s->path, s->db, code, err);
    }
    sqlite3_reset(q);
    return ok;
}
