#include "vectors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "look.h"

void lk_vectors_free(lk_vectors *v) {
    free(v->x);
    *v = (lk_vectors){0};
}

/* Distances are the hot path of chains: sums in eight lanes, which the compiler turns into vectors. */
LK_HOT static float squared(const float *a, const float *b, int dims) {
    float sum = 0;
    for (int i = 0; i < dims; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

double lk_vectors_distance(const lk_vectors *v, int64_t a, int64_t b) {
    return sqrt((double)squared(v->x + a * v->dims, v->x + b * v->dims, v->dims));
}

static bool read_face(sqlite3_stmt *q, float *x) {
    int64_t size;
    double mean[2] = {0};
    if (!lk_sql_floats(q, 0, x, 2 * LK_LANDMARKS) || !lk_sql_int(q, 1, 1, LK_MAX_CROP_SIDE, &size)) return false;
    for (int i = 0; i < 2 * LK_LANDMARKS; i++) mean[i % 2] += (double)x[i] / LK_LANDMARKS;
    for (int i = 0; i < 2 * LK_LANDMARKS; i++) x[i] = (float)(((double)x[i] - mean[i % 2]) / (double)size);
    return true;
}

static bool read_histogram(sqlite3_stmt *q, float *x) {
    if (!lk_sql_floats(q, 0, x, 3 * LK_HISTOGRAM_BINS)) return false;
    for (int i = 0; i < 3 * LK_HISTOGRAM_BINS; i++) x[i] = x[i] > 0 ? sqrtf(x[i] / 3) : 0;
    return true;
}

static bool read_pixels(sqlite3_stmt *q, float *x) {
    const int n = 3 * LK_THUMBNAIL_SIDE * LK_THUMBNAIL_SIDE;
    const uint8_t *b = sqlite3_column_type(q, 0) == SQLITE_BLOB ? sqlite3_column_blob(q, 0) : NULL;
    if (!b || sqlite3_column_bytes(q, 0) != n) return false;
    for (int i = 0; i < n; i++) x[i] = b[i];
    return true;
}

static const struct {
    int dims;
    bool looks;
    const char *sql;
    bool (*read)(sqlite3_stmt *q, float *x);
} features[] = {
    [LK_FEATURE_FACE] = {2 * LK_LANDMARKS, false, "SELECT crop_points, size FROM face WHERE id = ?", read_face},
    [LK_FEATURE_HISTOGRAM] = {3 * LK_HISTOGRAM_BINS, true, "SELECT histogram FROM look WHERE face = ?", read_histogram},
    [LK_FEATURE_PIXELS] = {3 * LK_THUMBNAIL_SIDE * LK_THUMBNAIL_SIDE, true, "SELECT thumbnail FROM look WHERE face = ?",
                           read_pixels},
};

bool lk_vectors_read(lk_faceset *s, lk_feature which, const double *ids, int64_t count, lk_vectors *v, lk_error *err) {
    *v = (lk_vectors){.count = count, .dims = features[which].dims};
    if (features[which].looks && !lk_look_complete(s, err)) return false;
    v->x = lk_alloc((size_t)count + 1, (size_t)v->dims * sizeof(float), err);
    sqlite3_stmt *q = v->x ? lk_sql_prepare(s, features[which].sql, err) : NULL;
    bool ok = q != NULL;
    for (int64_t i = 0; ok && i < count; i++) {
        sqlite3_bind_int64(q, 1, (int64_t)ids[i]);
        int code = sqlite3_step(q);
        /* A crop that could not be read has no look; it stays at the origin, far from all. */
        ok = code == SQLITE_DONE || (code == SQLITE_ROW && features[which].read(q, v->x + i * v->dims)) ||
             lk_fail(err, LK_ERR_FORMAT, "%s is damaged: what was measured of face %.0f makes no sense", s->path,
                     ids[i]);
        sqlite3_reset(q);
    }
    sqlite3_finalize(q);
    if (!ok) lk_vectors_free(v);
    return ok;
}

double *lk_vectors_strangeness(const lk_vectors *v, lk_error *err) {
    double *result = lk_alloc((size_t)v->count + 1, sizeof *result, err), all = 0;
    double *sum = result ? lk_alloc((size_t)v->dims, sizeof *sum, err) : NULL;
    if (!sum) {
        free(result);
        return NULL;
    }
    for (int64_t i = 0; i < v->count; i++)
        for (int d = 0; d < v->dims; d++) {
            double x = (double)v->x[i * v->dims + d];
            sum[d] += x;
            all += x * x;
        }
    for (int64_t i = 0; i < v->count; i++) {
        double own = 0, dot = 0;
        for (int d = 0; d < v->dims; d++) {
            double x = (double)v->x[i * v->dims + d];
            own += x * x;
            dot += x * sum[d];
        }
        result[i] = (double)v->count * own - 2 * dot + all;
    }
    free(sum);
    return result;
}

/* ---- The tree ----------------------------------------------------------------------------------------------- */

/* A node is a range [lo, hi) of `at`: the vantage point stands at lo, then come those within `radius` of it up to mid,
 * then the others. */
struct lk_tree {
    const lk_vectors *v;
    int64_t *at, *place; /* place: where in `at` a vector stands */
    float *radius, *key; /* radius: by lo */
    int64_t *left;       /* by lo: how many of the range are not removed */
    bool *gone;
    int looked, most;
};

static int64_t middle(int64_t lo, int64_t hi) { return lo + 1 + (hi - lo - 1) / 2; }

static void swap(lk_tree *t, int64_t a, int64_t b) {
    int64_t i = t->at[a];
    float k = t->key[a];
    t->at[a] = t->at[b];
    t->at[b] = i;
    t->key[a] = t->key[b];
    t->key[b] = k;
}

/* Quickselect: those before `k` are no farther than that at k. */
static void split(lk_tree *t, int64_t lo, int64_t hi, int64_t k) {
    while (hi - lo > 1) {
        float pivot = t->key[lo + (hi - lo) / 2];
        int64_t i = lo, j = hi - 1;
        while (i <= j) {
            while (t->key[i] < pivot) i++;
            while (t->key[j] > pivot) j--;
            if (i <= j) swap(t, i++, j--);
        }
        if (k <= j)
            hi = j + 1;
        else if (k >= i)
            lo = i;
        else
            return;
    }
}

static void build(lk_tree *t, int64_t lo, int64_t hi, lk_rng *r) {
    while (hi - lo > 0) {
        swap(t, lo, lo + (int64_t)(lk_rng_u64(r) % (uint64_t)(hi - lo)));
        t->left[lo] = hi - lo;
        if (hi - lo == 1) return;
        for (int64_t i = lo + 1; i < hi; i++) t->key[i] = (float)lk_vectors_distance(t->v, t->at[lo], t->at[i]);
        int64_t mid = middle(lo, hi);
        if (mid < hi) split(t, lo + 1, hi, mid);
        t->radius[lo] = mid < hi ? t->key[mid] : INFINITY;
        build(t, lo + 1, mid, r);
        lo = mid;
    }
}

lk_tree *lk_tree_new(const lk_vectors *v, lk_error *err) {
    lk_tree *t = lk_alloc(1, sizeof *t, err);
    if (!t) return NULL;
    size_t n = (size_t)v->count + 1;
    *t = (lk_tree){.v = v,
                   .at = lk_alloc(n, sizeof *t->at, err),
                   .place = lk_alloc(n, sizeof *t->place, err),
                   .radius = lk_alloc(n, sizeof *t->radius, err),
                   .key = lk_alloc(n, sizeof *t->key, err),
                   .left = lk_alloc(n, sizeof *t->left, err),
                   .gone = lk_alloc(n, sizeof *t->gone, err)};
    if (!t->at || !t->place || !t->radius || !t->key || !t->left || !t->gone) {
        lk_tree_free(t);
        return NULL;
    }
    lk_rng r = lk_rng_make(1, 0);
    for (int64_t i = 0; i < v->count; i++) t->at[i] = i;
    build(t, 0, v->count, &r);
    for (int64_t i = 0; i < v->count; i++) t->place[t->at[i]] = i;
    return t;
}

void lk_tree_free(lk_tree *t) {
    if (!t) return;
    free(t->at);
    free(t->place);
    free(t->radius);
    free(t->key);
    free(t->left);
    free(t->gone);
    free(t);
}

void lk_tree_remove(lk_tree *t, int64_t i) {
    int64_t k = t->place[i], lo = 0, hi = t->v->count;
    if (t->gone[k]) return;
    t->gone[k] = true;
    for (;;) {
        t->left[lo]--;
        if (k == lo) return;
        int64_t mid = middle(lo, hi);
        if (k < mid) {
            lo++;
            hi = mid;
        } else {
            lo = mid;
        }
    }
}

static void search(lk_tree *t, int64_t lo, int64_t hi, int64_t to, int64_t *best, double *distance) {
    if (lo >= hi || t->left[lo] == 0 || (*best >= 0 && t->looked >= t->most)) return;
    double d = lk_vectors_distance(t->v, to, t->at[lo]);
    t->looked++;
    if (!t->gone[lo] && d < *distance) {
        *distance = d;
        *best = t->at[lo];
    }
    int64_t mid = middle(lo, hi);
    double to_edge = d - (double)t->radius[lo];
    for (int pass = 0; pass < 2; pass++) {
        bool inside = (to_edge < 0) == (pass == 0);
        if (inside && to_edge < *distance) search(t, lo + 1, mid, to, best, distance);
        if (!inside && -to_edge <= *distance) search(t, mid, hi, to, best, distance);
    }
}

int64_t lk_tree_nearest(lk_tree *t, int64_t to, int most, double *distance) {
    int64_t best = -1;
    *distance = INFINITY;
    t->looked = 0;
    t->most = most;
    search(t, 0, t->v->count, to, &best, distance);
    return best;
}

bool lk_vectors_chain(const lk_vectors *v, int64_t *order, lk_error *err) {
    if (v->count == 0) return true;
    lk_tree *t = lk_tree_new(v, err);
    if (!t) return false;
    int most = 64 + 32 * (int)ceil(log2((double)v->count + 1));
    int64_t at = 0;
    for (int64_t i = 0; i < v->count; i++) {
        double d;
        order[i] = at;
        lk_tree_remove(t, at);
        at = lk_tree_nearest(t, at, most, &d);
    }
    lk_tree_free(t);
    return true;
}
