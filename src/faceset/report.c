#include "report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "look.h"

#define FRONTAL     12   /* degrees: faces whose shape is compared */
#define MOUTH_OPEN  0.15 /* opening over width */
#define EYES_CLOSED 0.15 /* height over width */

const struct lk_shown lk_shown_figures[] = {
    {LK_FIGURE_SHARPNESS, "Sharpness", "variance of the Laplacian"},
    {LK_FIGURE_WIDTH, "Size in the frame", "pixels, width of the landmarks"},
    {LK_FIGURE_BRIGHTNESS, "Brightness", "0 black, 1 white"},
    {LK_FIGURE_STD_L, "Contrast", "deviation of L"},
    {LK_FIGURE_MEAN_A, "Green to red", "mean of a"},
    {LK_FIGURE_MEAN_B, "Blue to yellow", "mean of b"},
    {LK_FIGURE_MOUTH, "Mouth open", "opening over width"},
    {LK_FIGURE_EYES, "Eyes open", "height over width"},
};
const int lk_shown_count = LK_COUNT(lk_shown_figures);

/* ---- Measuring a side --------------------------------------------------------------------------------------- */

bool lk_grid_cell(const lk_figures *f, int64_t i, int *pitch, int *yaw) {
    *yaw = (int)floor(f->values[LK_FIGURE_YAW][i] / LK_GRID_DEGREES) + LK_GRID_YAW / 2;
    *pitch = (int)floor(f->values[LK_FIGURE_PITCH][i] / LK_GRID_DEGREES) + LK_GRID_PITCH / 2;
    return *yaw >= 0 && *yaw < LK_GRID_YAW && *pitch >= 0 && *pitch < LK_GRID_PITCH;
}

bool lk_grid_covered(const lk_side *src, int pitch, int yaw) {
    int64_t faces = 0;
    for (int p = pitch - 1; p <= pitch + 1; p++)
        for (int y = yaw - 1; y <= yaw + 1; y++)
            if (p >= 0 && p < LK_GRID_PITCH && y >= 0 && y < LK_GRID_YAW) faces += src->grid[p][y];
    return faces >= 3;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double *sorted(const lk_side *s, lk_figure figure) {
    double *v = lk_alloc((size_t)s->f.count + 1, sizeof *v, NULL);
    if (!v) return NULL;
    if (s->f.count) memcpy(v, s->f.values[figure], (size_t)s->f.count * sizeof *v);
    qsort(v, (size_t)s->f.count, sizeof *v, by_value);
    return v;
}

double lk_quantile(const lk_side *s, lk_figure figure, double q) {
    double *v = sorted(s, figure), result = 0;
    if (v && s->f.count) result = v[(int64_t)(q * (double)(s->f.count - 1) + 0.5)];
    free(v);
    return result;
}

double lk_apart(const lk_side *a, const lk_side *b, lk_figure figure) {
    double *x = sorted(a, figure), *y = sorted(b, figure), sum = 0, mean = 0, square = 0;
    int64_t n = a->f.count, m = b->f.count;
    if (x && y && n && m) {
        const int steps = 1000;
        for (int i = 0; i < steps; i++) {
            double q = (i + 0.5) / steps, u = x[(int64_t)(q * (double)n)], v = y[(int64_t)(q * (double)m)];
            sum += fabs(u - v) / steps;
            mean += v / steps;
            square += v * v / steps;
        }
    }
    free(x);
    free(y);
    double deviation = sqrt(fmax(square - mean * mean, 0));
    return sum > 0 ? sum / fmax(deviation, 1e-3 * fabs(mean) + 1e-9) : 0;
}

/* Of frontal faces: the jaw's width and the height from the bridge of the nose to the chin, in the crop, which is aligned
 * by eyes, nose and mouth. */
static bool measure_shape(lk_side *s, lk_error *err) {
    sqlite3_stmt *q = lk_sql_prepare(s->set, "SELECT crop_points, size, type FROM face WHERE id = ?", err);
    if (!q) return false;
    static const double inner[3] = {1, 64.0 / (64 - 24), 64.0 / (64 - 48)}; /* crop's side over that of the mean face */
    int64_t count = 0;
    for (int64_t i = 0; i < s->f.count; i++) {
        lk_landmarks l;
        int64_t size, type;
        if (fabs(s->f.values[LK_FIGURE_YAW][i]) > FRONTAL || fabs(s->f.values[LK_FIGURE_PITCH][i]) > FRONTAL) continue;
        if (s->f.values[LK_FIGURE_MOUTH][i] > MOUTH_OPEN) continue;
        sqlite3_bind_int64(q, 1, (int64_t)s->f.values[LK_FIGURE_ID][i]);
        if (sqlite3_step(q) == SQLITE_ROW && lk_sql_floats(q, 0, &l.p[0].x, 2 * LK_LANDMARKS) &&
            lk_sql_int(q, 1, 1, LK_MAX_CROP_SIDE, &size) && lk_sql_int(q, 2, 0, 2, &type)) {
            double unit = inner[type] / (double)size;
            s->wide += unit * hypot((double)l.p[2].x - (double)l.p[14].x, (double)l.p[2].y - (double)l.p[14].y);
            s->high += unit * hypot((double)l.p[27].x - (double)l.p[8].x, (double)l.p[27].y - (double)l.p[8].y);
            count++;
        }
        sqlite3_reset(q);
    }
    sqlite3_finalize(q);
    if (count) {
        s->wide /= (double)count;
        s->high /= (double)count;
    }
    return true;
}

static bool measure(lk_side *s, lk_error *err) {
    int64_t *ids;
    if (!lk_look_complete(s->set, err) || !lk_faceset_figures(s->set, NULL, &s->f, err)) return false;
    if (s->f.count == 0) return lk_fail(err, LK_ERR_NOT_FOUND, "%s holds no faces", s->set->path);
    int64_t all = lk_faceset_count(s->set, &(lk_faceset_query){.with_removed = true}, err);
    s->removed = all - s->f.count;
    s->duplicates = lk_faceset_duplicates(s->set, 2, &ids, err);
    free(ids);
    if (all < 0 || s->duplicates < 0 || !lk_faceset_people(s->set, &s->people, err)) return false;
    s->suspect_count = lk_faceset_suspects(s->set, false, &s->suspects, err);
    for (int64_t i = 0; i < s->f.count; i++) {
        int pitch, yaw;
        if (lk_grid_cell(&s->f, i, &pitch, &yaw)) s->grid[pitch][yaw]++;
    }
    return s->suspect_count >= 0 && lk_hidden_measure(s, err) && measure_shape(s, err);
}

static void drop(lk_side *s) {
    lk_figures_free(&s->f);
    lk_people_free(&s->people);
    free(s->suspects);
    free(s->hidden);
}

static void compare(lk_report *r) {
    int64_t lacking = 0;
    for (int64_t i = 0; i < r->dst.f.count; i++) {
        int pitch, yaw;
        lacking += !lk_grid_cell(&r->dst.f, i, &pitch, &yaw) || !lk_grid_covered(&r->src, pitch, yaw);
    }
    r->uncovered = r->dst.f.count ? (double)lacking / (double)r->dst.f.count : 0;
    if (r->src.wide > 0 && r->dst.wide > 0)
        r->scale = fmin(fmax(round(100 * (sqrt(r->dst.wide / r->src.wide * r->dst.high / r->src.high) - 1)), -30), 30);
}

/* ---- JSON --------------------------------------------------------------------------------------------------- */

static int64_t count_beyond(const lk_side *s, lk_figure figure, double limit, bool above) {
    int64_t n = 0;
    for (int64_t i = 0; i < s->f.count; i++) {
        double v = s->f.values[figure][i];
        n += above ? v > limit : v < limit;
    }
    return n;
}

static json_t *grid_to_json(const lk_side *s) {
    json_t *cells = json_array();
    for (int p = 0; p < LK_GRID_PITCH; p++)
        for (int y = 0; y < LK_GRID_YAW; y++)
            if (s->grid[p][y])
                json_array_append_new(
                    cells, json_pack("{s:i, s:i, s:I}", "yaw", (y - LK_GRID_YAW / 2) * LK_GRID_DEGREES, "pitch",
                                     (p - LK_GRID_PITCH / 2) * LK_GRID_DEGREES, "faces", (json_int_t)s->grid[p][y]));
    return cells;
}

static json_t *figures_to_json(const lk_side *s) {
    json_t *all = json_object();
    for (int i = 0; i < lk_shown_count; i++) {
        lk_figure k = lk_shown_figures[i].figure;
        json_object_set_new(all, lk_figure_table[k].name,
                            json_pack("{s:f, s:f, s:f, s:f, s:f}", "least", lk_quantile(s, k, 0), "low",
                                      lk_quantile(s, k, 0.1), "median", lk_quantile(s, k, 0.5), "high",
                                      lk_quantile(s, k, 0.9), "most", lk_quantile(s, k, 1)));
    }
    return all;
}

static json_t *people_to_json(const lk_side *s) {
    json_t *list = json_array();
    for (int k = -1; k < s->people.people; k++) {
        int64_t faces = 0;
        for (int64_t i = 0; i < s->people.count; i++) faces += s->people.person[i] == k;
        if (faces) json_array_append_new(list, json_pack("{s:i, s:I}", "person", k + 1, "faces", (json_int_t)faces));
    }
    return list;
}

static json_t *suspects_to_json(const lk_side *s) {
    json_t *list = json_array();
    for (int64_t i = 0; i < s->suspect_count; i++)
        json_array_append_new(list,
                              json_pack("{s:I, s:I, s:I, s:s, s:f}", "id", (json_int_t)s->suspects[i].id, "source",
                                        (json_int_t)s->suspects[i].source, "frame", (json_int_t)s->suspects[i].frame,
                                        "why", lk_doubt_names[s->suspects[i].why], "score", s->suspects[i].score));
    return list;
}

/* At most 100 of them: a set may have thousands. */
static json_t *hidden_to_json(const lk_side *s) {
    json_t *list = json_array();
    for (int64_t i = 0; i < s->hidden_count && i < 100; i++)
        json_array_append_new(list, json_pack("{s:I, s:I, s:f}", "id", (json_int_t)s->hidden[i].id, "frame",
                                              (json_int_t)s->hidden[i].frame, "share", s->hidden[i].share));
    return list;
}

static json_t *side_to_json(const lk_side *s) {
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "path", s->set->path, "faces",
                     (json_int_t)s->f.count, "removed", (json_int_t)s->removed, "duplicates", (json_int_t)s->duplicates,
                     "mouth_open", (json_int_t)count_beyond(s, LK_FIGURE_MOUTH, MOUTH_OPEN, true), "eyes_closed",
                     (json_int_t)count_beyond(s, LK_FIGURE_EYES, EYES_CLOSED, false), "masked", (json_int_t)s->masked,
                     "hidden", (json_int_t)s->hidden_count, "figures", figures_to_json(s), "coverage", grid_to_json(s),
                     "people", people_to_json(s), "suspects", suspects_to_json(s), "most_hidden", hidden_to_json(s));
}

static json_t *to_json(const lk_report *r, lk_error *err) {
    json_t *json = json_object(), *advice = json_array();
    int failed = json_object_set_new(json, "src", side_to_json(&r->src));
    if (r->dst.set) {
        json_t *apart = json_object();
        for (int i = 0; i < lk_shown_count; i++) {
            lk_figure k = lk_shown_figures[i].figure;
            json_object_set_new(apart, lk_figure_table[k].name, json_real(lk_apart(&r->src, &r->dst, k)));
        }
        failed |= json_object_set_new(json, "dst", side_to_json(&r->dst)) | json_object_set_new(json, "apart", apart) |
                  json_object_set_new(json, "uncovered", json_real(r->uncovered)) |
                  json_object_set_new(json, "src_scale", json_real(r->scale));
        if (r->src.wide > 0 && r->dst.wide > 0)
            failed |= json_object_set_new(
                json, "shape_ratio",
                json_pack("{s:f, s:f}", "width", r->src.wide / r->dst.wide, "height", r->src.high / r->dst.high));
    }
    for (int i = 0; i < r->advice_count; i++)
        json_array_append_new(advice,
                              json_pack("{s:s, s:s}", "advice", r->advice[i].text, "command", r->advice[i].command));
    failed |= json_object_set_new(json, "advice", advice);
    if (!failed) return json;
    json_decref(json);
    lk_fail(err, LK_ERR_MEMORY, "no memory for a report");
    return NULL;
}

/* ---- All ---------------------------------------------------------------------------------------------------- */

static bool write_page(const lk_report *r, const char *path, lk_error *err) {
    char *page = lk_report_page(r, err);
    bool ok = page && lk_file_write(path, page, strlen(page), err);
    free(page);
    return ok;
}

bool lk_faceset_report(lk_faceset *src, lk_faceset *dst, const char *html, json_t **json, lk_error *err) {
    lk_report *r = lk_alloc(1, sizeof *r, err);
    if (!r) return false;
    r->src = (lk_side){.set = src, .name = "src"};
    r->dst = (lk_side){.set = dst, .name = "dst"};
    bool ok = measure(&r->src, err) && (!dst || measure(&r->dst, err));
    if (ok) compare(r);
    ok = ok && lk_report_advise(r, err) && (!html || write_page(r, html, err));
    if (ok && json) ok = (*json = to_json(r, err)) != NULL;
    for (int i = 0; i < r->advice_count; i++) {
        free(r->advice[i].text);
        free(r->advice[i].command);
    }
    drop(&r->src);
    drop(&r->dst);
    free(r);
    return ok;
}
