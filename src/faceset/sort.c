#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "best.h"
#include "internal.h"
#include "look.h"

const char *const lk_sort_names[LK_SORTS + 1] = {
    "original",    "blur",    "motion-blur",    "yaw",    "pitch",    "roll", "size",        "brightness",
    "hue",         "black",   "mouth",          "eyes",   "one-face", "face", "face-dissim", "hist",
    "hist-dissim", "absdiff", "absdiff-dissim", "person", "final",    "best", NULL,
};

const char *const lk_sort_help[LK_SORTS] = {
    "source, then frame",
    "sharpest first",
    "least blurred in one direction first",
    "from the picture's left to its right",
    "from down to up",
    "from anticlockwise to clockwise",
    "largest in the frame first",
    "brightest first",
    "from blue over red to green",
    "least black first",
    "most open mouth first",
    "most open eyes first",
    "faces that are alone in their frame first",
    "a chain of faces whose landmarks are alike",
    "faces whose landmarks are least like the others' first",
    "a chain of faces whose colours are alike (Bhattacharyya)",
    "faces whose colours are least like the others' first",
    "a chain of pictures that differ least, pixel by pixel",
    "pictures that differ most from the others first",
    "by person, the most frequent first, the surest first",
    "128 bins of yaw, the sharper half of each, then the most different colours",
    "each face the farthest from those before it, in pose, expression and light",
};

typedef struct key {
    double value;
    int64_t row;
} key;

static int by_key(const void *a, const void *b) {
    const key *x = a, *y = b;
    if (x->value < y->value) return -1;
    if (x->value > y->value) return 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Rows from the smallest value to the largest, or the other way round; equals stay as they were. */
bool lk_order_by(const double *values, int64_t count, bool largest_first, int64_t *order, lk_error *err) {
    key *keys = lk_alloc((size_t)count + 1, sizeof *keys, err);
    if (!keys) return false;
    for (int64_t i = 0; i < count; i++) keys[i] = (key){largest_first ? -values[i] : values[i], i};
    qsort(keys, (size_t)count, sizeof *keys, by_key);
    for (int64_t i = 0; i < count; i++) order[i] = keys[i].row;
    free(keys);
    return true;
}

static bool by_likeness(lk_faceset *s, lk_feature which, const lk_figures *f, int64_t *order, lk_error *err) {
    lk_vectors v;
    if (!lk_vectors_read(s, which, f->values[LK_FIGURE_ID], f->count, &v, err)) return false;
    bool ok = lk_vectors_chain(&v, order, err);
    lk_vectors_free(&v);
    return ok;
}

static bool by_strangeness(lk_faceset *s, lk_feature which, const lk_figures *f, int64_t *order, lk_error *err) {
    lk_vectors v;
    if (!lk_vectors_read(s, which, f->values[LK_FIGURE_ID], f->count, &v, err)) return false;
    double *strange = lk_vectors_strangeness(&v, err);
    bool ok = strange && lk_order_by(strange, f->count, true, order, err);
    free(strange);
    lk_vectors_free(&v);
    return ok;
}

static bool by_area(const lk_figures *f, int64_t *order, lk_error *err) {
    double *area = lk_alloc((size_t)f->count + 1, sizeof *area, err);
    for (int64_t i = 0; area && i < f->count; i++)
        area[i] = f->values[LK_FIGURE_WIDTH][i] * f->values[LK_FIGURE_HEIGHT][i];
    bool ok = area && lk_order_by(area, f->count, true, order, err);
    free(area);
    return ok;
}

/* Rows of `figures` and of `people` are the same faces in the same order. */
static bool by_person(lk_faceset *s, const lk_figures *f, int64_t *order, lk_error *err) {
    lk_people p;
    if (!lk_faceset_people(s, &p, err)) return false;
    double *value = lk_alloc((size_t)f->count + 1, sizeof *value, err);
    for (int64_t i = 0; value && i < f->count; i++) /* within a person 0 to 1, beyond the last those not known */
        value[i] = (p.person[i] < 0 ? p.people : p.person[i]) + (1 - p.similarity[i]) / 4;
    bool ok = value && lk_order_by(value, f->count, false, order, err);
    free(value);
    lk_people_free(&p);
    return ok;
}

static const struct {
    int figure; /* −1: none */
    bool largest_first, looks;
} simple[LK_SORTS] = {
    [LK_SORT_BLUR] = {LK_FIGURE_SHARPNESS, true, false},  [LK_SORT_MOTION_BLUR] = {LK_FIGURE_MOTION_BLUR, false, true},
    [LK_SORT_YAW] = {LK_FIGURE_YAW, false, false},        [LK_SORT_PITCH] = {LK_FIGURE_PITCH, false, false},
    [LK_SORT_ROLL] = {LK_FIGURE_ROLL, false, false},      [LK_SORT_BRIGHTNESS] = {LK_FIGURE_BRIGHTNESS, true, false},
    [LK_SORT_HUE] = {LK_FIGURE_HUE, false, true},         [LK_SORT_BLACK] = {LK_FIGURE_BLACK, false, true},
    [LK_SORT_MOUTH] = {LK_FIGURE_MOUTH, true, false},     [LK_SORT_EYES] = {LK_FIGURE_EYES, true, false},
    [LK_SORT_ONE_FACE] = {LK_FIGURE_FACES, false, false},
};

static bool make_order(lk_faceset *s, lk_sort by, const lk_figures *f, int64_t *order, lk_error *err) {
    switch (by) {
    case LK_SORT_ORIGINAL:
        for (int64_t i = 0; i < f->count; i++) order[i] = i;
        return true;
    case LK_SORT_SIZE:
        return by_area(f, order, err);
    case LK_SORT_FACE:
        return by_likeness(s, LK_FEATURE_FACE, f, order, err);
    case LK_SORT_HISTOGRAM:
        return by_likeness(s, LK_FEATURE_HISTOGRAM, f, order, err);
    case LK_SORT_PIXELS:
        return by_likeness(s, LK_FEATURE_PIXELS, f, order, err);
    case LK_SORT_FACE_DISSIMILAR:
        return by_strangeness(s, LK_FEATURE_FACE, f, order, err);
    case LK_SORT_HISTOGRAM_DISSIMILAR:
        return by_strangeness(s, LK_FEATURE_HISTOGRAM, f, order, err);
    case LK_SORT_PIXELS_DISSIMILAR:
        return by_strangeness(s, LK_FEATURE_PIXELS, f, order, err);
    case LK_SORT_PERSON:
        return by_person(s, f, order, err);
    case LK_SORT_FINAL:
        return lk_order_final(s, f, 0, order, err) >= 0;
    case LK_SORT_BEST:
        return lk_order_best(f, 0, order, err) >= 0;
    default:
        return lk_order_by(f->values[simple[by].figure], f->count, simple[by].largest_first, order, err);
    }
}

/* Keep the rows in this order, the first `count` of it. */
static bool store(lk_faceset *s, const lk_figures *f, const int64_t *order, lk_error *err) {
    bool own;
    if (!lk_sql_enter(s, &own, err)) return false;
    bool ok = lk_sql_run(s, "DELETE FROM place", err);
    sqlite3_stmt *q = ok ? lk_sql_prepare(s, "INSERT INTO place (face, position) VALUES (?, ?)", err) : NULL;
    ok = q != NULL;
    for (int64_t i = 0; ok && i < f->count; i++) {
        sqlite3_bind_int64(q, 1, (int64_t)f->values[LK_FIGURE_ID][order[i]]);
        sqlite3_bind_int64(q, 2, i);
        ok = lk_sql_done(s, q, err);
    }
    sqlite3_finalize(q);
    return lk_sql_leave(s, own, ok, err);
}

bool lk_faceset_sort(lk_faceset *s, lk_sort by, bool reverse, lk_error *err) {
    lk_figures f;
    if (!lk_sql_writable(s, err) || (simple[by].looks && !lk_look_complete(s, err)) ||
        !lk_faceset_figures(s, NULL, &f, err))
        return false;
    int64_t *order = lk_alloc((size_t)f.count + 1, sizeof *order, err);
    bool ok = order && make_order(s, by, &f, order, err);
    for (int64_t i = 0, j = f.count - 1; ok && reverse && i < j; i++, j--) {
        int64_t swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    ok = ok && store(s, &f, order, err);
    free(order);
    lk_figures_free(&f);
    return ok;
}

int64_t lk_faceset_best(lk_faceset *s, lk_sort by, int64_t target, lk_error *err) {
    lk_figures f;
    if (target < 1) {
        lk_fail(err, LK_ERR_USAGE, "at least 1 face must be left, not %lld", (long long)target);
        return -1;
    }
    bool own;
    if (!lk_sql_writable(s, err) || !lk_look_complete(s, err) || !lk_faceset_figures(s, NULL, &f, err)) return -1;
    int64_t *order = lk_alloc((size_t)f.count + 1, sizeof *order, err), kept = -1;
    if (order)
        kept = by == LK_SORT_FINAL ? lk_order_final(s, &f, target, order, err) : lk_order_best(&f, target, order, err);
    if (kept >= 0 && lk_sql_enter(s, &own, err)) {
        bool ok = store(s, &f, order, err);
        for (int64_t i = 0; ok && i < f.count; i++) order[i] = (int64_t)f.values[LK_FIGURE_ID][order[i]];
        ok = ok && lk_faceset_mark(s, order + kept, f.count - kept, true, err) >= 0;
        if (!lk_sql_leave(s, own, ok, err)) kept = -1;
    } else {
        kept = -1;
    }
    free(order);
    lk_figures_free(&f);
    return kept;
}

int64_t lk_faceset_duplicates(lk_faceset *s, double distance, int64_t **ids, lk_error *err) {
    lk_figures f;
    lk_vectors v = {0};
    *ids = NULL;
    if (!lk_faceset_figures(s, NULL, &f, err)) return -1;
    int64_t *order = lk_alloc((size_t)f.count + 1, sizeof *order, err), count = 0;
    bool ok = order && lk_order_by(f.values[LK_FIGURE_SHARPNESS], f.count, true, order, err) &&
              lk_vectors_read(s, LK_FEATURE_PIXELS, f.values[LK_FIGURE_ID], f.count, &v, err);
    lk_tree *t = ok ? lk_tree_new(&v, err) : NULL;
    ok = t && (*ids = lk_alloc((size_t)f.count + 1, sizeof **ids, err)) != NULL;
    bool *gone = ok ? lk_alloc((size_t)f.count + 1, sizeof *gone, err) : NULL;
    ok = gone != NULL;
    /* From the sharpest on: what is nearer to it than `distance` goes. */
    double reach = distance * sqrt((double)v.dims);
    for (int64_t i = 0; ok && i < f.count; i++) {
        if (gone[order[i]]) continue;
        lk_tree_remove(t, order[i]);
        for (;;) {
            double d;
            int64_t near = lk_tree_nearest(t, order[i], 1000, &d);
            if (near < 0 || d > reach) break;
            gone[near] = true;
            lk_tree_remove(t, near);
            (*ids)[count++] = (int64_t)f.values[LK_FIGURE_ID][near];
        }
    }
    free(gone);
    lk_tree_free(t);
    lk_vectors_free(&v);
    free(order);
    lk_figures_free(&f);
    if (!ok) {
        free(*ids);
        *ids = NULL;
    }
    return ok ? count : -1;
}
