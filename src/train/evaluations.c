/* evaluation.csv: what --evaluate-every found, over a model's life (docs/model-folder.md). It is small and written whole, so
 * it is never half there; rows of iterations after the save that training goes on from are left out. */
#include "internal.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_ROWS  1000000
#define AT(member) offsetof(lk_evaluation, member)

/* Columns after iteration and seconds. */
static const struct column {
    const char *name;
    size_t at; /* a double of lk_evaluation */
} columns[] = {
    {"src_ssim", AT(reconstruction[0].ssim)},
    {"src_psnr", AT(reconstruction[0].psnr)},
    {"src_mask_iou", AT(reconstruction[0].mask_iou)},
    {"dst_ssim", AT(reconstruction[1].ssim)},
    {"dst_psnr", AT(reconstruction[1].psnr)},
    {"dst_mask_iou", AT(reconstruction[1].mask_iou)},
    {"swap_src", AT(swap_src)},
    {"swap_dst", AT(swap_dst)},
    {"src_src", AT(src_src)},
    {"dst_dst", AT(dst_dst)},
    {"src_dst", AT(src_dst)},
    {"landmarks_percent", AT(landmarks)},
    {"landmarks_real_percent", AT(landmarks_real)},
    {"pose_degrees", AT(pose)},
    {"lost", AT(lost)},
    {"flicker", AT(flicker)},
    {"jitter_percent", AT(jitter)},
};

static double *figure(lk_evaluation *e, size_t column) { return (double *)(void *)((char *)e + columns[column].at); }

static bool room_for_one(lk_evaluations *e, lk_error *err) {
    if ((e->count & (e->count - 1)) != 0) return true;
    size_t room = e->count ? 2 * (size_t)e->count : 1;
    struct lk_judged *rows = e->count < MOST_ROWS ? realloc(e->rows, room * sizeof *rows) : NULL;
    if (!rows) return lk_fail(err, LK_ERR_MEMORY, "out of memory for %s", e->path);
    e->rows = rows;
    return true;
}

/* "ITERATION,SECONDS,FIGURE,…"; an empty figure could not be measured. */
static bool read_row(char *line, struct lk_judged *row) {
    char *field, *end;
    *row = (struct lk_judged){0};
    if (!(field = strsep(&line, ","))) return false;
    row->figures.iteration = strtoll(field, &end, 10);
    if (end == field || *end || row->figures.iteration < 0 || !(field = strsep(&line, ","))) return false;
    row->seconds = strtod(field, &end);
    if (end == field || *end || !isfinite(row->seconds)) return false;
    for (size_t i = 0; i < LK_COUNT(columns); i++) {
        if (!(field = strsep(&line, ","))) return false;
        double value = *field ? strtod(field, &end) : NAN;
        if (*field && (*end || !isfinite(value))) return false;
        *figure(&row->figures, i) = value;
    }
    return line == NULL;
}

static bool read_rows(lk_evaluations *e, char *text, lk_error *err) {
    int bad = 0;
    strsep(&text, "\n");
    for (char *line; (line = strsep(&text, "\n")) != NULL;) {
        struct lk_judged row;
        if (!*line) continue;
        bool fits =
            read_row(line, &row) && (e->count == 0 || row.figures.iteration > e->rows[e->count - 1].figures.iteration);
        bad += !fits;
        if (!fits) continue;
        if (!room_for_one(e, err)) return false;
        e->rows[e->count++] = row;
    }
    if (bad) lk_log(LK_LOG_WARN, "%s: %d rows cannot be read and are left out", e->path, bad);
    return true;
}

bool lk_evaluations_read(lk_evaluations *e, const char *dir, lk_error *err) {
    *e = (lk_evaluations){.path = lk_path_join(dir, "evaluation.csv", err)};
    if (!e->path) return false;
    if (!lk_file_exists(e->path)) return true;
    void *text;
    size_t size;
    bool ok = lk_file_read(e->path, LK_MIB(256), &text, &size, err);
    if (!ok) return false;
    ok = read_rows(e, text, err);
    free(text);
    return ok;
}

static void print_row(FILE *out, struct lk_judged *row) {
    fprintf(out, "%lld,%.3f", (long long)row->figures.iteration, row->seconds);
    for (size_t i = 0; i < LK_COUNT(columns); i++) {
        double value = *figure(&row->figures, i);
        if (isfinite(value))
            fprintf(out, ",%.6g", value);
        else
            fputc(',', out);
    }
    fputc('\n', out);
}

static bool write_rows(const lk_evaluations *e, lk_error *err) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return lk_fail(err, LK_ERR_MEMORY, "out of memory for %s", e->path);
    fputs("iteration,seconds", out);
    for (size_t i = 0; i < LK_COUNT(columns); i++) fprintf(out, ",%s", columns[i].name);
    fputc('\n', out);
    for (int i = 0; i < e->count; i++) print_row(out, &e->rows[i]);
    bool ok = fclose(out) == 0 ? lk_file_write(e->path, text, size, err)
                               : lk_fail(err, LK_ERR_MEMORY, "out of memory for %s", e->path);
    free(text);
    return ok;
}

static bool ends_after(const lk_evaluations *e, int64_t last) {
    return e->count > 0 && e->rows[e->count - 1].figures.iteration > last;
}

bool lk_evaluations_cut(lk_evaluations *e, int64_t last, lk_error *err) {
    if (!ends_after(e, last)) return true;
    while (ends_after(e, last)) e->count--;
    return write_rows(e, err);
}

bool lk_evaluations_add(lk_evaluations *e, const lk_evaluation *figures, double seconds, lk_error *err) {
    while (ends_after(e, figures->iteration - 1)) e->count--;
    if (!room_for_one(e, err)) return false;
    e->rows[e->count++] = (struct lk_judged){seconds, *figures};
    return write_rows(e, err);
}

void lk_evaluations_close(lk_evaluations *e) {
    free(e->rows);
    free(e->path);
    *e = (lk_evaluations){0};
}
