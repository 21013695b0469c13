#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define MAX_SOURCES 1000000

static bool check_source(const lk_faceset *s, const lk_source *source, lk_error *err) {
    bool ok = source->width >= 0 && source->width <= LK_MAX_IMAGE_SIDE && source->height >= 0 &&
              source->height <= LK_MAX_IMAGE_SIDE && source->frames >= 0 && isfinite(source->fps) && source->fps >= 0 &&
              memchr(source->path, 0, sizeof source->path) && strlen(source->fingerprint) == 64;
    return ok || lk_fail(err, LK_ERR_USAGE, "%s: the description of a source is not complete", s->path);
}

static bool bind_source(sqlite3_stmt *q, const lk_source *v) {
    return sqlite3_bind_text(q, 1, v->path, -1, SQLITE_TRANSIENT) == SQLITE_OK &&
           sqlite3_bind_text(q, 2, v->fingerprint, -1, SQLITE_TRANSIENT) == SQLITE_OK &&
           sqlite3_bind_int(q, 3, v->width) == SQLITE_OK && sqlite3_bind_int(q, 4, v->height) == SQLITE_OK &&
           sqlite3_bind_int64(q, 5, v->frames) == SQLITE_OK && sqlite3_bind_double(q, 6, v->fps) == SQLITE_OK &&
           sqlite3_bind_int(q, 7, v->complete) == SQLITE_OK;
}

bool lk_faceset_add_source(lk_faceset *s, lk_source *source, lk_error *err) {
    if (!lk_sql_writable(s, err) || !check_source(s, source, err)) return false;
    sqlite3_stmt *q = lk_sql_prepare(s,
                                     "INSERT INTO source (path, fingerprint, width, height, frames, fps, complete) "
                                     "VALUES (?, ?, ?, ?, ?, ?, ?)",
                                     err);
    if (!q) return false;
    bool ok = bind_source(q, source) ? lk_sql_done(s, q, err) : lk_sql_fail(s->path, s->db, SQLITE_NOMEM, err);
    if (ok) source->id = sqlite3_last_insert_rowid(s->db);
    sqlite3_finalize(q);
    return ok;
}

bool lk_faceset_update_source(lk_faceset *s, const lk_source *source, lk_error *err) {
    if (!lk_sql_writable(s, err) || !check_source(s, source, err)) return false;
    sqlite3_stmt *q = lk_sql_prepare(s,
                                     "UPDATE source SET path = ?, fingerprint = ?, width = ?, height = ?, frames = ?, "
                                     "fps = ?, complete = ? WHERE id = ?",
                                     err);
    if (!q) return false;
    bool ok = bind_source(q, source) && sqlite3_bind_int64(q, 8, source->id) == SQLITE_OK
                  ? lk_sql_done(s, q, err)
                  : lk_sql_fail(s->path, s->db, SQLITE_NOMEM, err);
    if (ok && sqlite3_changes(s->db) != 1)
        ok = lk_fail(err, LK_ERR_NOT_FOUND, "%s has no source %lld", s->path, (long long)source->id);
    sqlite3_finalize(q);
    return ok;
}

bool lk_faceset_clear_source(lk_faceset *s, int64_t source, lk_error *err) {
    bool own;
    char *which = lk_format(err, "source = %lld", (long long)source);
    if (!which || !lk_sql_writable(s, err) || !lk_sql_enter(s, &own, err)) {
        free(which);
        return false;
    }
    char *sql = lk_format(err, "DELETE FROM absent WHERE source = %lld; DELETE FROM source WHERE id = %lld",
                          (long long)source, (long long)source);
    bool ok = sql && lk_sql_forget_faces(s, which, err) && lk_sql_run(s, sql, err);
    free(sql);
    free(which);
    return lk_sql_leave(s, own, ok, err);
}

static bool read_source(lk_faceset *s, sqlite3_stmt *q, lk_source *v, lk_error *err) {
    int64_t width, height, complete;
    memset(v, 0, sizeof *v);
    bool ok = lk_sql_int(q, 0, 1, INT64_MAX, &v->id) && lk_sql_text(q, 1, v->path, sizeof v->path) &&
              lk_sql_text(q, 2, v->fingerprint, sizeof v->fingerprint) && strlen(v->fingerprint) == 64 &&
              lk_sql_int(q, 3, 0, LK_MAX_IMAGE_SIDE, &width) && lk_sql_int(q, 4, 0, LK_MAX_IMAGE_SIDE, &height) &&
              lk_sql_int(q, 5, 0, INT64_MAX, &v->frames) && lk_sql_real(q, 6, &v->fps) && v->fps >= 0 &&
              lk_sql_int(q, 7, 0, 1, &complete);
    if (!ok) return lk_fail(err, LK_ERR_FORMAT, "%s is damaged: what it says of a source makes no sense", s->path);
    v->width = (int)width;
    v->height = (int)height;
    v->complete = complete != 0;
    return true;
}

int lk_faceset_sources(lk_faceset *s, lk_source **sources, lk_error *err) {
    *sources = NULL;
    sqlite3_stmt *q = lk_sql_prepare(
        s, "SELECT id, path, fingerprint, width, height, frames, fps, complete FROM source ORDER BY id", err);
    if (!q) return -1;
    int count = 0, room = 0, code;
    lk_source *list = NULL;
    while ((code = sqlite3_step(q)) == SQLITE_ROW) {
        if (count == room) {
            room = room ? 2 * room : 8;
            lk_source *more = room > MAX_SOURCES ? NULL : realloc(list, (size_t)room * sizeof *more);
            if (!more) {
                lk_fail(err, LK_ERR_MEMORY, "%s: out of memory for its sources", s->path);
                break;
            }
            list = more;
        }
        if (!read_source(s, q, &list[count], err)) break;
        count++;
    }
    if (code != SQLITE_DONE) {
        if (code != SQLITE_ROW) lk_sql_fail(s->path, s->db, code, err);
        free(list);
        sqlite3_finalize(q);
        return -1;
    }
    sqlite3_finalize(q);
    *sources = list;
    return count;
}
