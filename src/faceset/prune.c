#include <stdlib.h>

#include "internal.h"

/* Every table that has rows of a face. */
static const char *const tables[] = {"crop", "mesh", "descriptor", "origin", "look", "place", "mask"};

bool lk_sql_forget_faces(lk_faceset *s, const char *which, lk_error *err) {
    for (size_t i = 0; i <= LK_COUNT(tables); i++) {
        char *sql = i < LK_COUNT(tables) ? lk_format(err, "DELETE FROM %s WHERE face IN (SELECT id FROM face WHERE %s)",
                                                     tables[i], which)
                                         : lk_format(err, "DELETE FROM face WHERE %s", which);
        bool ok = sql && lk_sql_run(s, sql, err);
        free(sql);
        if (!ok) return false;
    }
    return true;
}

int64_t lk_faceset_prune(lk_faceset *s, lk_error *err) {
    bool own;
    if (!lk_sql_writable(s, err) || !lk_sql_enter(s, &own, err)) return -1;
    bool ok = lk_sql_forget_faces(s, "removed", err);
    int64_t count = ok ? sqlite3_changes64(s->db) : -1;
    if (!lk_sql_leave(s, own, ok, err)) return -1;
    if (count == 0 || !own) return count;
    /* The file shrinks. Without room on the disk for the copy that this makes, it stays as large as it was. */
    int limit = sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, 1);
    lk_error full = {0};
    if (!lk_sql_run(s, "VACUUM", &full))
        lk_log(LK_LOG_WARN, "%s: the faces are gone, but the file keeps its size: %s", s->path, full.message);
    sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, limit);
    return count;
}
