#include <stdlib.h>
#include <string.h>

#include "expression.h"
#include "internal.h"
#include "look.h"

typedef struct ranked {
    double value;
    int64_t row;
} ranked;

static int by_value(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    return x->value < y->value ? -1 : x->value > y->value;
}

/* Of each face the share of faces whose value is smaller; caller frees. */
static double *ranks_of(const double *values, int64_t count, lk_error *err) {
    ranked *order = lk_alloc((size_t)count + 1, sizeof *order, err);
    double *ranks = order ? lk_alloc((size_t)count + 1, sizeof *ranks, err) : NULL;
    for (int64_t i = 0; ranks && i < count; i++) order[i] = (ranked){values[i], i};
    if (ranks) qsort(order, (size_t)count, sizeof *order, by_value);
    int64_t below = 0;
    for (int64_t i = 0; ranks && i < count; i++) {
        if (i && order[i].value > order[i - 1].value) below = i;
        ranks[order[i].row] = (double)below / (double)count;
    }
    free(order);
    return ranks;
}

static int64_t filter(const lk_expression *e, const lk_figures *f, double *const ranks[LK_FIGURES], int64_t *ids) {
    int64_t count = 0;
    for (int64_t i = 0; i < f->count; i++) {
        double figure[LK_FIGURES], rank[LK_FIGURES] = {0};
        for (int k = 0; k < LK_FIGURES; k++) {
            figure[k] = f->values[k][i];
            if (ranks[k]) rank[k] = ranks[k][i];
        }
        if (lk_expression_holds(e, figure, rank)) ids[count++] = (int64_t)figure[LK_FIGURE_ID];
    }
    return count;
}

int64_t lk_faceset_select(lk_faceset *s, const char *condition, bool with_removed, int64_t **ids, lk_error *err) {
    const uint32_t measured = 1u << LK_FIGURE_HUE | 1u << LK_FIGURE_BLACK | 1u << LK_FIGURE_MOTION_BLUR;
    lk_expression e;
    lk_figures f;
    *ids = NULL;
    if (!lk_expression_compile(&e, condition, err)) return -1;
    if ((e.figures | e.ranks) & measured && !lk_look_complete(s, err)) return -1;
    if (!lk_faceset_figures(s, &(lk_faceset_query){.with_removed = with_removed, .sorted = true}, &f, err)) return -1;
    double *ranks[LK_FIGURES] = {0};
    bool ok = (*ids = lk_alloc((size_t)f.count + 1, sizeof **ids, err)) != NULL;
    for (int k = 0; ok && k < LK_FIGURES; k++)
        if (e.ranks >> k & 1) ok = (ranks[k] = ranks_of(f.values[k], f.count, err)) != NULL;
    int64_t count = ok ? filter(&e, &f, ranks, *ids) : -1;
    for (int k = 0; k < LK_FIGURES; k++) free(ranks[k]);
    lk_figures_free(&f);
    if (!ok) {
        free(*ids);
        *ids = NULL;
    }
    return count;
}

/* ---- Taking out --------------------------------------------------------------------------------------------- */

int64_t lk_faceset_mark(lk_faceset *s, const int64_t *ids, int64_t count, bool removed, lk_error *err) {
    bool own;
    if (!lk_sql_writable(s, err) || !lk_sql_enter(s, &own, err)) return -1;
    sqlite3_stmt *q = lk_sql_prepare(s, "UPDATE face SET removed = ?1 WHERE id = ?2 AND removed <> ?1", err);
    sqlite3_stmt *there = q ? lk_sql_prepare(s, "SELECT 1 FROM face WHERE id = ?", err) : NULL;
    bool ok = there != NULL;
    int64_t changed = 0;
    for (int64_t i = 0; ok && i < count; i++) {
        sqlite3_bind_int(q, 1, removed);
        sqlite3_bind_int64(q, 2, ids[i]);
        ok = lk_sql_done(s, q, err);
        int one = ok ? sqlite3_changes(s->db) : 0;
        changed += one;
        if (!ok || one) continue;
        sqlite3_bind_int64(there, 1, ids[i]);
        ok = sqlite3_step(there) == SQLITE_ROW ||
             lk_fail(err, LK_ERR_NOT_FOUND, "%s has no face %lld", s->path, (long long)ids[i]);
        sqlite3_reset(there);
    }
    sqlite3_finalize(q);
    sqlite3_finalize(there);
    return lk_sql_leave(s, own, ok, err) ? changed : -1;
}

static int by_id(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

int64_t lk_faceset_keep(lk_faceset *s, const int64_t *ids, int64_t count, lk_error *err) {
    int64_t *all, total = lk_faceset_ids(s, NULL, &all, err), others = 0, gone = -1;
    if (total < 0) return -1;
    int64_t *kept = lk_alloc((size_t)count + 1, sizeof *kept, err);
    if (kept) {
        if (count) memcpy(kept, ids, (size_t)count * sizeof *kept);
        qsort(kept, (size_t)count, sizeof *kept, by_id);
        for (int64_t i = 0; i < total; i++)
            if (!bsearch(&all[i], kept, (size_t)count, sizeof *kept, by_id)) all[others++] = all[i];
        gone = lk_faceset_mark(s, all, others, true, err);
    }
    free(kept);
    free(all);
    return gone;
}
