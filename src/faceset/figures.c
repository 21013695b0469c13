#include "likeness/curate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "look.h"

const struct lk_figure_info lk_figure_table[LK_FIGURES] = {
    [LK_FIGURE_ID] = {"id", "number of the face in the file"},
    [LK_FIGURE_SOURCE] = {"source", "number of its video or folder"},
    [LK_FIGURE_FRAME] = {"frame", "frame of the source, from 0"},
    [LK_FIGURE_TIME] = {"time", "seconds"},
    [LK_FIGURE_TRACK] = {"track", "the same while one face is followed"},
    [LK_FIGURE_TYPE] = {"type", "0 half, 1 full, 2 head"},
    [LK_FIGURE_SIZE] = {"size", "side of the crop, pixels"},
    [LK_FIGURE_YAW] = {"yaw", "degrees, positive to the picture's right"},
    [LK_FIGURE_PITCH] = {"pitch", "degrees, positive up"},
    [LK_FIGURE_ROLL] = {"roll", "degrees, positive clockwise"},
    [LK_FIGURE_PRESENCE] = {"presence", "0 to 1, how sure the network is of the face"},
    [LK_FIGURE_SHARPNESS] = {"sharpness", "variance of the Laplacian"},
    [LK_FIGURE_BRIGHTNESS] = {"brightness", "0 to 1"},
    [LK_FIGURE_MEAN_L] = {"mean_l", "mean of L in the hull"},
    [LK_FIGURE_MEAN_A] = {"mean_a", "mean of a, green to red"},
    [LK_FIGURE_MEAN_B] = {"mean_b", "mean of b, blue to yellow"},
    [LK_FIGURE_STD_L] = {"std_l", "deviation of L"},
    [LK_FIGURE_STD_A] = {"std_a", "deviation of a"},
    [LK_FIGURE_STD_B] = {"std_b", "deviation of b"},
    [LK_FIGURE_X] = {"x", "left edge of the landmarks in the frame"},
    [LK_FIGURE_Y] = {"y", "top edge of the landmarks in the frame"},
    [LK_FIGURE_WIDTH] = {"width", "of the landmarks in the frame, pixels"},
    [LK_FIGURE_HEIGHT] = {"height", "of the landmarks in the frame, pixels"},
    [LK_FIGURE_REMOVED] = {"removed", "1: taken out"},
    [LK_FIGURE_HUE] = {"hue", "degrees, -180 to 180, 0 is red"},
    [LK_FIGURE_BLACK] = {"black", "share of black pixels in the crop"},
    [LK_FIGURE_MOTION_BLUR] = {"motion_blur", "0 to 1, blur in one direction"},
    [LK_FIGURE_MOUTH] = {"mouth", "opening of the lips, of the mouth's width"},
    [LK_FIGURE_EYES] = {"eyes", "height of the eyes, of their width"},
    [LK_FIGURE_FACES] = {"faces", "faces in the same frame"},
};

/* One row; columns as in the query below. */
static bool read_row(sqlite3_stmt *q, double v[LK_FIGURES]) {
    lk_landmarks points;
    for (int i = 0; i <= LK_FIGURE_REMOVED; i++) {
        int type = sqlite3_column_type(q, i);
        if (type != SQLITE_INTEGER && type != SQLITE_FLOAT) return false;
        v[i] = sqlite3_column_double(q, i);
    }
    for (int i = LK_FIGURE_HUE; i <= LK_FIGURE_MOTION_BLUR; i++)
        v[i] = sqlite3_column_type(q, i) == SQLITE_FLOAT ? sqlite3_column_double(q, i) : 0;
    if (!lk_sql_floats(q, LK_FIGURE_MOUTH, &points.p[0].x, 2 * LK_LANDMARKS)) return false;
    lk_landmarks_expression(&points, &v[LK_FIGURE_MOUTH], &v[LK_FIGURE_EYES]);
    v[LK_FIGURE_FACES] = sqlite3_column_double(q, LK_FIGURE_MOUTH + 1);
    for (int i = 0; i < LK_FIGURES; i++)
        if (!isfinite(v[i])) return false;
    return true;
}

static bool grow(lk_figures *f, int64_t *room, lk_error *err) {
    int64_t more = *room ? 2 * *room : 1024;
    for (int i = 0; i < LK_FIGURES; i++) {
        double *grown = realloc(f->values[i], (size_t)more * sizeof *grown);
        if (!grown) return lk_fail(err, LK_ERR_MEMORY, "no memory for the figures of %lld faces", (long long)more);
        f->values[i] = grown;
    }
    *room = more;
    return true;
}

/* The window counts faces of the whole set, whatever is asked for. */
static sqlite3_stmt *prepare(lk_faceset *s, const lk_faceset_query *q, lk_error *err) {
    static const char sql[] =
        "SELECT f.id, f.source, f.frame, f.time, track, type, size, yaw, pitch, roll, presence, sharpness, brightness, "
        "mean_l, mean_a, mean_b, std_l, std_a, std_b, x, y, width, height, removed, hue, black, motion_blur, "
        "crop_points, n FROM face f LEFT JOIN look ON look.face = f.id LEFT JOIN place ON place.face = f.id JOIN "
        "(SELECT source, frame, sum(NOT removed) AS n FROM face GROUP BY source, frame) c ON c.source = f.source AND "
        "c.frame = f.frame WHERE (?1 = 0 OR f.source = ?1) AND (?2 OR NOT removed)";
    char *text =
        lk_format(err, "%s ORDER BY %s f.source, f.frame, f.id", sql, q->sorted ? "position IS NULL, position," : "");
    sqlite3_stmt *p = text ? lk_sql_prepare(s, text, err) : NULL;
    free(text);
    if (!p) return NULL;
    sqlite3_bind_int64(p, 1, q->source);
    sqlite3_bind_int(p, 2, q->with_removed);
    return p;
}

bool lk_faceset_figures(lk_faceset *s, const lk_faceset_query *query, lk_figures *f, lk_error *err) {
    static const lk_faceset_query all = {0};
    *f = (lk_figures){0};
    sqlite3_stmt *q = prepare(s, query ? query : &all, err);
    if (!q) return false;
    int64_t room = 0;
    bool ok = true;
    int code = SQLITE_DONE;
    while (ok && (code = sqlite3_step(q)) == SQLITE_ROW) {
        double v[LK_FIGURES];
        ok = (f->count < room || grow(f, &room, err)) &&
             (read_row(q, v) || lk_fail(err, LK_ERR_FORMAT, "%s is damaged: face %lld makes no sense", s->path,
                                        (long long)sqlite3_column_int64(q, 0)));
        for (int i = 0; ok && i < LK_FIGURES; i++) f->values[i][f->count] = v[i];
        f->count += ok;
    }
    if (ok && code != SQLITE_DONE) ok = lk_sql_fail(s->path, s->db, code, err);
    sqlite3_finalize(q);
    if (!ok) lk_figures_free(f);
    return ok;
}

void lk_figures_free(lk_figures *f) {
    for (int i = 0; i < LK_FIGURES; i++) free(f->values[i]);
    *f = (lk_figures){0};
}

/* ---- Lists -------------------------------------------------------------------------------------------------- */

static bool is_whole(int figure) {
    return (figure <= LK_FIGURE_SIZE && figure != LK_FIGURE_TIME) ||
           (figure >= LK_FIGURE_X && figure <= LK_FIGURE_REMOVED) || figure == LK_FIGURE_FACES;
}

static void print_row(FILE *out, const lk_figures *f, int64_t row, bool csv) {
    fputs(csv ? "" : "\n  {", out);
    for (int i = 0; i < LK_FIGURES; i++) {
        if (!csv) fprintf(out, "%s\"%s\": ", i ? ", " : "", lk_figure_table[i].name);
        if (csv && i) fputc(',', out);
        fprintf(out, is_whole(i) ? "%.0f" : "%.9g", f->values[i][row]);
    }
    fputs(csv ? "\n" : "}", out);
}

static int by_id(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

char *lk_faceset_list(lk_faceset *s, const int64_t *ids, int64_t count, bool csv, lk_error *err) {
    lk_figures f;
    char *text = NULL;
    size_t size;
    int64_t *wanted = lk_alloc((size_t)count + 1, sizeof *wanted, err);
    if (!wanted) return NULL;
    if (count) memcpy(wanted, ids, (size_t)count * sizeof *wanted);
    qsort(wanted, (size_t)count, sizeof *wanted, by_id);
    if (!lk_look_complete(s, err) ||
        !lk_faceset_figures(s, &(lk_faceset_query){.with_removed = true, .sorted = true}, &f, err)) {
        free(wanted);
        return NULL;
    }
    FILE *out = open_memstream(&text, &size);
    if (out) {
        for (int i = 0; csv && i < LK_FIGURES; i++) fprintf(out, "%s%s", i ? "," : "", lk_figure_table[i].name);
        fputs(csv ? "\n" : "[", out);
        for (int64_t i = 0, shown = 0; i < f.count; i++) {
            int64_t id = (int64_t)f.values[LK_FIGURE_ID][i];
            if (!bsearch(&id, wanted, (size_t)count, sizeof id, by_id)) continue;
            if (!csv && shown++) fputc(',', out);
            print_row(out, &f, i, csv);
        }
        if (!csv) fputs("\n]\n", out);
        if (fclose(out) != 0) {
            free(text);
            text = NULL;
        }
    }
    if (!text) lk_fail(err, LK_ERR_MEMORY, "no memory for a list of %lld faces", (long long)f.count);
    lk_figures_free(&f);
    free(wanted);
    return text;
}
