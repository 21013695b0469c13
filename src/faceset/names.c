/* What faces are called outside of a set. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "masks.h"

bool lk_namer_open(lk_namer *n, lk_faceset *s, lk_error *err) {
    lk_source *sources;
    *n = (lk_namer){.set = s, .source = -1};
    n->sources = lk_faceset_sources(s, &sources, err);
    if (n->sources < 0) return false;
    free(sources);
    int64_t *more, count = lk_sql_ids(s, "SELECT count(*) - count(DISTINCT name) FROM origin", &more, err);
    n->clash = count == 1 && more[0] > 0;
    free(more);
    return count == 1;
}

/* The name it was imported with (NULL: none; caller frees), and what was changed since. */
static bool read_origin(lk_faceset *s, int64_t id, char **name, int *changed, lk_error *err) {
    sqlite3_stmt *q = lk_sql_statement(s, STATEMENT_GET_ORIGIN, err);
    *name = NULL;
    *changed = LK_CHANGED_GEOMETRY | LK_CHANGED_MASKS;
    if (!q) return false;
    sqlite3_bind_int64(q, 1, id);
    int code = sqlite3_step(q);
    bool ok = code == SQLITE_DONE || code == SQLITE_ROW || lk_sql_fail(s->path, s->db, code, err);
    char text[512];
    int64_t bits;
    if (code == SQLITE_ROW) {
        ok = (lk_sql_text(q, 0, text, sizeof text) && !strchr(text, '/') && *text &&
              lk_sql_int(q, 1, 0, LK_CHANGED_GEOMETRY | LK_CHANGED_MASKS, &bits)) ||
             lk_fail(err, LK_ERR_FORMAT, "%s is damaged: the file name of face %lld makes no sense", s->path,
                     (long long)id);
        if (ok) {
            *changed = (int)bits;
            ok = (*name = lk_strdup(text, err)) != NULL;
        }
    }
    sqlite3_reset(q);
    return ok;
}

/* As DeepFaceLab names the files of a set made from frames 00001.png, 00002.png, …: 00001_0.jpg. With several sources
 * the source stands before it. */
static char *make_name(lk_namer *n, const lk_face *f, const char *ending, lk_error *err) {
    n->nth = f->source == n->source && f->frame == n->frame ? n->nth + 1 : 0;
    n->source = f->source;
    n->frame = f->frame;
    if (n->sources < 2) return lk_format(err, "%05lld_%d.%s", (long long)f->frame + 1, n->nth, ending);
    return lk_format(err, "%lld_%05lld_%d.%s", (long long)f->source, (long long)f->frame + 1, n->nth, ending);
}

char *lk_namer_next(lk_namer *n, const lk_face *f, const char *ending, int *changed, lk_error *err) {
    char *name;
    int bits;
    if (!read_origin(n->set, f->id, &name, &bits, err)) return NULL;
    if (changed) *changed = bits;
    if (!name) return make_name(n, f, ending, err);
    if (!n->clash) return name;
    char *longer = lk_format(err, "%lld_%s", (long long)f->source, name);
    free(name);
    return longer;
}
