#include <stdlib.h>

#include "internal.h"

/* One face a frame: the one whose box is largest, the first of equals. */
#define CHOSEN                                                                                                         \
    "SELECT id, source, frame, row_number() OVER (PARTITION BY source, frame ORDER BY width * height DESC, id) AS "    \
    "rank FROM face WHERE (?1 = 0 OR source = ?1) AND (?2 OR NOT removed)"
#define RANKED " WHERE ?3 = 0 OR rank = 1"

static sqlite3_stmt *start(lk_faceset *s, const char *sql, const lk_faceset_query *q, lk_error *err) {
    static const lk_faceset_query all = {0};
    if (!q) q = &all;
    sqlite3_stmt *p = lk_sql_prepare(s, sql, err);
    if (!p) return NULL;
    sqlite3_bind_int64(p, 1, q->source);
    sqlite3_bind_int(p, 2, q->with_removed);
    sqlite3_bind_int(p, 3, q->one_per_frame);
    return p;
}

int64_t lk_faceset_count(lk_faceset *s, const lk_faceset_query *query, lk_error *err) {
    sqlite3_stmt *q = start(s, "SELECT count(*) FROM (" CHOSEN ")" RANKED, query, err);
    if (!q) return -1;
    int64_t count = -1;
    int code = sqlite3_step(q);
    if (code == SQLITE_ROW)
        count = sqlite3_column_int64(q, 0);
    else
        lk_sql_fail(s->path, s->db, code, err);
    sqlite3_finalize(q);
    return count;
}

int64_t lk_sql_collect(lk_faceset *s, sqlite3_stmt *q, int64_t **ids, lk_error *err) {
    *ids = NULL;
    int64_t count = 0, room = 0;
    int code;
    while ((code = sqlite3_step(q)) == SQLITE_ROW) {
        if (count == room) {
            room = room ? 2 * room : 1024;
            int64_t *more = realloc(*ids, (size_t)room * sizeof **ids);
            if (!more) {
                code = SQLITE_NOMEM;
                break;
            }
            *ids = more;
        }
        (*ids)[count++] = sqlite3_column_int64(q, 0);
    }
    if (code != SQLITE_DONE) {
        lk_sql_fail(s->path, s->db, code, err);
        free(*ids);
        *ids = NULL;
        count = -1;
    }
    sqlite3_finalize(q);
    return count;
}

int64_t lk_sql_ids(lk_faceset *s, const char *sql, int64_t **ids, lk_error *err) {
    *ids = NULL;
    sqlite3_stmt *q = lk_sql_prepare(s, sql, err);
    return q ? lk_sql_collect(s, q, ids, err) : -1;
}

int64_t lk_faceset_ids(lk_faceset *s, const lk_faceset_query *query, int64_t **ids, lk_error *err) {
    *ids = NULL;
    bool sorted = query && query->sorted;
    sqlite3_stmt *q = start(s,
                            sorted ? "SELECT id FROM (" CHOSEN ") LEFT JOIN place ON face = id" RANKED
                                     " ORDER BY position IS NULL, position, source, frame, id"
                                   : "SELECT id FROM (" CHOSEN ")" RANKED " ORDER BY source, frame, id",
                            query, err);
    return q ? lk_sql_collect(s, q, ids, err) : -1;
}
