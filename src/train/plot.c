/* Losses over a model's life as a picture: each side smoothed over its noise, on a logarithmic scale, with lines where
 * options changed. */
#include "ink.h"
#include "internal.h"
#include "likeness/media.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEFT       64 /* margins, pixels */
#define RIGHT      16
#define TOP        56
#define BOTTOM     36
#define SMOOTH     40 /* rows over which the line is averaged, at most a twentieth of them */
#define MOST_MARKS 200

typedef struct row {
    double iteration, loss[2];
} row;

typedef struct plot {
    lk_image image;
    row *rows;
    int count;
    double least_x, most_x, least_y, most_y; /* y: log10 of the loss */
} plot;

static const lk_color sides[2] = {{30, 100, 200}, {220, 110, 20}};
static const lk_color pale[2] = {{190, 210, 240}, {248, 220, 190}};

/* ---- Where things lie ------------------------------------------------------------------------------------ */

static double place_x(const plot *p, double iteration) {
    return LEFT + (iteration - p->least_x) / (p->most_x - p->least_x) * (p->image.width - LEFT - RIGHT - 1);
}

static double place_y(const plot *p, double log_loss) {
    return TOP + (p->most_y - log_loss) / (p->most_y - p->least_y) * (p->image.height - TOP - BOTTOM - 1);
}

static void find_range(plot *p) {
    p->least_x = p->rows[0].iteration;
    p->most_x = fmax(p->rows[p->count - 1].iteration, p->least_x + 1);
    p->least_y = INFINITY;
    p->most_y = -INFINITY;
    for (int i = 0; i < p->count; i++)
        for (int side = 0; side < 2; side++) {
            double y = log10(fmax(p->rows[i].loss[side], 1e-9));
            p->least_y = fmin(p->least_y, y);
            p->most_y = fmax(p->most_y, y);
        }
    p->least_y -= 0.02;
    p->most_y += 0.02;
}

/* ---- The parts ------------------------------------------------------------------------------------------- */

static void draw_loss(plot *p, double value) {
    char label[32];
    double y = place_y(p, log10(value));
    snprintf(label, sizeof label, "%.4g", value);
    lk_ink_line(&p->image, LEFT, y, p->image.width - RIGHT - 1, y, lk_grid_ink);
    lk_ink_text(&p->image, LEFT - 6 - (int)strlen(label) * LK_GLYPH, (int)y - 5, label, lk_ink);
}

/* Over less than a decade even steps tell more than 1, 2, 5. */
static void draw_loss_scale(plot *p) {
    static const double steps[] = {1, 2, 5};
    double last = INFINITY, least = pow(10, p->least_y), most = pow(10, p->most_y);
    if (most < 10 * least) {
        double step = lk_ink_step(most - least, 5);
        for (double value = ceil(least / step) * step; value <= most; value += step) draw_loss(p, value);
        return;
    }
    for (int k = (int)floor(p->least_y) * 3; k <= (int)ceil(p->most_y) * 3 + 3; k++) {
        int power = (int)floor(k / 3.0);
        double value = steps[k - 3 * power] * pow(10, power), y = place_y(p, log10(value));
        if (log10(value) < p->least_y || log10(value) > p->most_y || last - y < 14) continue;
        last = y;
        draw_loss(p, value);
    }
}

static void draw_iteration_scale(plot *p) {
    double span = p->most_x - p->least_x, step = pow(10, floor(log10(span / 4)));
    if (span / step > 20) step *= 5;
    if (span / step > 10) step *= 2;
    step = fmax(step, 1);
    for (double at = ceil(p->least_x / step) * step; at <= p->most_x; at += step) {
        char label[32];
        snprintf(label, sizeof label, "%.0f", at);
        double x = place_x(p, at);
        int width = (int)strlen(label) * LK_GLYPH, left = (int)x - width / 2;
        if (left + width > p->image.width) left = p->image.width - width;
        lk_ink_line(&p->image, x, TOP, x, p->image.height - BOTTOM, lk_grid_ink);
        lk_ink_text(&p->image, left, p->image.height - BOTTOM + 8, label, lk_ink);
    }
    lk_ink_text(&p->image, LEFT, p->image.height - 14, "iteration", lk_ink);
}

static void draw_mark(plot *p, double iteration, const char *label, int *count) {
    if (iteration < p->least_x || iteration > p->most_x || *count >= MOST_MARKS) return;
    double x = place_x(p, iteration);
    int width = (int)strlen(label) * LK_GLYPH, left = (int)x + 3;
    if (left + width > p->image.width) left = (int)x - 3 - width;
    for (int y = TOP; y < p->image.height - BOTTOM; y += 3) lk_ink_dot(&p->image, (int)x, y, lk_mark_ink);
    lk_ink_text(&p->image, left, TOP - 38 + *count % 3 * 12, label, lk_mark_ink);
    ++*count;
}

static void draw_marks(plot *p, const lk_record *r) {
    int count = 0;
    char label[80];
    const json_t *change;
    size_t i;
    json_array_foreach(r->changes, i, change) {
        snprintf(label, sizeof label, "%s=%s", json_string_value(json_object_get(change, "option")),
                 json_string_value(json_object_get(change, "to")));
        draw_mark(p, (double)json_integer_value(json_object_get(change, "iteration")), label, &count);
    }
    for (int k = 0; k < r->settings.count; k++) {
        const lk_setting *s = &r->settings.items[k];
        for (int n = 1; n < s->count; n++) {
            snprintf(label, sizeof label, "%s=%s", s->option->name, s->steps[n].value);
            draw_mark(p, (double)s->steps[n].from, label, &count);
        }
    }
}

static void draw_points(plot *p) {
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < p->count; i++)
            lk_ink_dot(&p->image, (int)lround(place_x(p, p->rows[i].iteration)),
                       (int)lround(place_y(p, log10(fmax(p->rows[i].loss[side], 1e-9)))), pale[side]);
}

static void draw_line(plot *p, int side) {
    int over = p->count / 20 < SMOOTH ? p->count / 20 : SMOOTH;
    double mean = p->rows[0].loss[side], weight = 1.0 / (over + 1), x0 = 0, y0 = 0;
    for (int i = 0; i < p->count; i++) {
        mean += (p->rows[i].loss[side] - mean) * fmax(weight, 1.0 / (i + 1));
        double x = place_x(p, p->rows[i].iteration), y = place_y(p, log10(fmax(mean, 1e-9)));
        if (i > 0) {
            lk_ink_line(&p->image, x0, y0, x, y, sides[side]);
            lk_ink_line(&p->image, x0, y0 + 1, x, y + 1, sides[side]);
        }
        x0 = x;
        y0 = y;
    }
}

static void draw(plot *p, const lk_record *r) {
    find_range(p);
    lk_ink_clear(&p->image);
    draw_loss_scale(p);
    draw_iteration_scale(p);
    draw_marks(p, r);
    draw_points(p);
    draw_line(p, 0);
    draw_line(p, 1);
    lk_ink_line(&p->image, LEFT, TOP, LEFT, p->image.height - BOTTOM, lk_ink);
    lk_ink_line(&p->image, LEFT, p->image.height - BOTTOM, p->image.width - RIGHT - 1, p->image.height - BOTTOM,
                lk_ink);
    lk_ink_text(&p->image, LEFT, 4, "loss", lk_ink);
    lk_ink_text(&p->image, LEFT + 6 * LK_GLYPH, 4, "src", sides[0]);
    lk_ink_text(&p->image, LEFT + 10 * LK_GLYPH, 4, "dst", sides[1]);
}

/* ---- history.csv ----------------------------------------------------------------------------------------- */

static bool read_rows(plot *p, const char *path, lk_error *err) {
    void *data;
    size_t size;
    if (!lk_file_read(path, LK_MIB(256), &data, &size, err)) return false;
    int room = 0;
    for (const char *c = data; *c; c++) room += *c == '\n';
    p->rows = lk_alloc((size_t)room + 1, sizeof *p->rows, err);
    bool ok = p->rows != NULL;
    char *save = NULL;
    for (char *l = ok ? strtok_r(data, "\n", &save) : NULL; l && p->count < room; l = strtok_r(NULL, "\n", &save)) {
        row *r = &p->rows[p->count];
        if (sscanf(l, "%lf,%*f,%lf,%lf", &r->iteration, &r->loss[0], &r->loss[1]) == 3 && isfinite(r->loss[0]) &&
            isfinite(r->loss[1]) && isfinite(r->iteration) && (p->count == 0 || r->iteration > r[-1].iteration))
            p->count++;
    }
    free(data);
    if (ok && p->count == 0) ok = lk_fail(err, LK_ERR_NOT_FOUND, "%s has no losses yet", path);
    return ok;
}

bool lk_model_plot(const char *model_dir, const char *png, int width, int height, lk_error *err) {
    if (width < 200 || height < 150 || width > 8192 || height > 8192)
        return lk_fail(err, LK_ERR_USAGE, "a plot has 200×150 to 8192×8192 pixels, not %d×%d", width, height);
    lk_record r;
    bool found;
    if (!lk_folder_open(model_dir, &r, false, &found, err)) return false;
    if (!found) return lk_fail(err, LK_ERR_NOT_FOUND, "%s holds no model: there is no model.json", model_dir);
    plot p = {0};
    char *path = lk_path_join(model_dir, "history.csv", err);
    bool ok = path && read_rows(&p, path, err) && lk_image_alloc(&p.image, width, height, 3, LK_U8, err);
    if (ok) {
        draw(&p, &r);
        ok = lk_image_save(&p.image, png, 0, err);
    }
    lk_image_free(&p.image);
    free(p.rows);
    free(path);
    lk_record_free(&r);
    return ok;
}
