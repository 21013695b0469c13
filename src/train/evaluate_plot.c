/* Evaluations over a model's life as a picture: six small plots over the same iterations. What real faces give, the scale of
 * a figure, is dotted in the colour of its line. */
#include "evaluate.h"
#include "ink.h"
#include "likeness/media.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 2
#define ROWS    3
#define LEFT    56 /* margins of each plot, pixels */
#define RIGHT   16
#define TOP     20
#define BOTTOM  30
#define LINES   4

#define AT(member) offsetof(lk_evaluation, member)

typedef struct curve {
    const char *name; /* NULL: no more */
    size_t at;        /* a double of lk_evaluation */
    bool real;        /* of real faces: dotted */
    int color;
} curve;

typedef struct panel {
    const char *title;
    curve curves[LINES];
} panel;

static const panel panels[ROWS * COLUMNS] = {
    {"whose face, cosine",
     {{"with src", AT(swap_src), false, 0},
      {"with dst", AT(swap_dst), false, 1},
      {"src with src", AT(src_src), true, 0},
      {"src with dst", AT(src_dst), true, 1}}},
    {"SSIM", {{"src", AT(reconstruction[0].ssim), false, 0}, {"dst", AT(reconstruction[1].ssim), false, 1}}},
    {"landmarks and pose",
     {{"landmarks off, % of eyes", AT(landmarks), false, 0},
      {"pose, degrees", AT(pose), false, 1},
      {"real faces", AT(landmarks_real), true, 0}}},
    {"PSNR, dB", {{"src", AT(reconstruction[0].psnr), false, 0}, {"dst", AT(reconstruction[1].psnr), false, 1}}},
    {"steadiness", {{"flicker, of real faces=1", AT(flicker), false, 0}, {"jitter, % of eyes", AT(jitter), false, 1}}},
    {"mask IoU",
     {{"src", AT(reconstruction[0].mask_iou), false, 0}, {"dst", AT(reconstruction[1].mask_iou), false, 1}}},
};

static const lk_color colors[2] = {{30, 100, 200}, {220, 110, 20}}, pale[2] = {{130, 165, 225}, {235, 175, 120}};

typedef struct field {
    lk_image *image;
    lk_rect area; /* within the axes */
    double least_x, most_x, least_y, most_y;
} field;

static double value_of(const struct lk_judged *row, const curve *c) {
    return *(const double *)(const void *)((const char *)&row->figures + c->at);
}

static double place_x(const field *f, double x) {
    return f->area.x + (x - f->least_x) / (f->most_x - f->least_x) * (f->area.width - 1);
}

static double place_y(const field *f, double y) {
    return f->area.y + (f->most_y - y) / (f->most_y - f->least_y) * (f->area.height - 1);
}

static bool find_range(field *f, const lk_evaluations *e, const panel *p) {
    f->least_y = INFINITY;
    f->most_y = -INFINITY;
    for (const curve *c = p->curves; c < p->curves + LINES && c->name; c++)
        for (int i = 0; i < e->count; i++) {
            double y = value_of(&e->rows[i], c);
            if (!isfinite(y)) continue;
            f->least_y = fmin(f->least_y, y);
            f->most_y = fmax(f->most_y, y);
        }
    if (!(f->least_y <= f->most_y)) return false;
    double margin = fmax(0.05 * (f->most_y - f->least_y), 1e-3 + 1e-3 * fabs(f->most_y));
    f->least_y -= margin;
    f->most_y += margin;
    return true;
}

static void draw_scales(const field *f) {
    double right = f->area.x + f->area.width - 1, bottom = f->area.y + f->area.height - 1;
    double step = lk_ink_step(f->most_y - f->least_y, fmax(2, f->area.height / 30.0));
    char label[32];
    for (double y = ceil(f->least_y / step) * step; y <= f->most_y; y += step) {
        double at = place_y(f, y);
        snprintf(label, sizeof label, "%.4g", fabs(y) < step / 2 ? 0 : y);
        lk_ink_line(f->image, f->area.x, at, right, at, lk_grid_ink);
        lk_ink_text(f->image, f->area.x - 6 - (int)strlen(label) * LK_GLYPH, (int)at - 5, label, lk_ink);
    }
    step = fmax(1, lk_ink_step(f->most_x - f->least_x, fmax(2, f->area.width / 90.0)));
    for (double x = ceil(f->least_x / step) * step; x <= f->most_x; x += step) {
        double at = place_x(f, x);
        snprintf(label, sizeof label, "%.0f", x);
        int width = (int)strlen(label) * LK_GLYPH, left = (int)at - width / 2;
        if (left + width > f->image->width) left = f->image->width - width;
        lk_ink_line(f->image, at, f->area.y, at, bottom, lk_grid_ink);
        lk_ink_text(f->image, left, (int)bottom + 8, label, lk_ink);
    }
    lk_ink_line(f->image, f->area.x, f->area.y, f->area.x, bottom, lk_ink);
    lk_ink_line(f->image, f->area.x, bottom, right, bottom, lk_ink);
}

static void draw_dotted(const field *f, double x0, double y0, double x1, double y1, lk_color c) {
    int steps = (int)fmax(1, fabs(x1 - x0) / 4);
    for (int i = 0; i <= steps; i++) {
        double t = (double)i / steps;
        int x = (int)lround(x0 + t * (x1 - x0)), y = (int)lround(y0 + t * (y1 - y0));
        lk_ink_dot(f->image, x, y, c);
        lk_ink_dot(f->image, x, y + 1, c);
    }
}

/* A gap where a figure could not be measured. */
static void draw_curve(const field *f, const lk_evaluations *e, const curve *c) {
    double x0 = NAN, y0 = NAN;
    for (int i = 0; i < e->count; i++) {
        double y = value_of(&e->rows[i], c), x = place_x(f, (double)e->rows[i].figures.iteration);
        double from_x = isfinite(y0) ? x0 : x, from_y = isfinite(y0) ? y0 : place_y(f, y);
        x0 = x;
        y0 = isfinite(y) ? place_y(f, y) : NAN;
        if (!isfinite(y)) continue;
        if (c->real) {
            draw_dotted(f, from_x, from_y, x0, y0, pale[c->color]);
            continue;
        }
        lk_ink_line(f->image, from_x, from_y, x0, y0, colors[c->color]);
        lk_ink_line(f->image, from_x, from_y + 1, x0, y0 + 1, colors[c->color]);
        for (int k = -2; k <= 3; k++) lk_ink_line(f->image, x0 - 2, y0 + k, x0 + 2, y0 + k, colors[c->color]);
    }
}

static void draw_panel(lk_image *image, lk_rect cell, const lk_evaluations *e, const panel *p) {
    field f = {.image = image,
               .area = {cell.x + LEFT, cell.y + TOP, cell.width - LEFT - RIGHT, cell.height - TOP - BOTTOM}};
    int x = cell.x + LEFT;
    lk_ink_text(image, x, cell.y + 4, p->title, lk_ink);
    x += ((int)strlen(p->title) + 2) * LK_GLYPH;
    for (const curve *c = p->curves; c < p->curves + LINES && c->name; c++) {
        lk_ink_text(image, x, cell.y + 4, c->name, c->real ? pale[c->color] : colors[c->color]);
        x += ((int)strlen(c->name) + 2) * LK_GLYPH;
    }
    f.least_x = (double)e->rows[0].figures.iteration;
    f.most_x = fmax((double)e->rows[e->count - 1].figures.iteration, f.least_x + 1);
    if (!find_range(&f, e, p)) {
        lk_ink_text(image, f.area.x + 20, f.area.y + f.area.height / 2, "not measured", lk_ink);
        return;
    }
    draw_scales(&f);
    for (const curve *c = p->curves; c < p->curves + LINES && c->name; c++) draw_curve(&f, e, c);
}

bool lk_evaluations_plot(const lk_evaluations *e, const char *png, int width, int height, lk_error *err) {
    lk_image image = {0};
    if (!lk_image_alloc(&image, width, height, 3, LK_U8, err)) return false;
    lk_ink_clear(&image);
    int w = width / COLUMNS, h = height / ROWS;
    for (int i = 0; i < ROWS * COLUMNS; i++)
        draw_panel(&image, (lk_rect){i % COLUMNS * w, i / COLUMNS * h, w, h}, e, &panels[i]);
    bool ok = lk_image_save(&image, png, 0, err);
    lk_image_free(&image);
    return ok;
}

bool lk_model_plot_evaluation(const char *model_dir, const char *png, int width, int height, lk_error *err) {
    if (width < 400 || height < 300 || width > 8192 || height > 8192)
        return lk_fail(err, LK_ERR_USAGE, "a plot of evaluations has 400×300 to 8192×8192 pixels, not %d×%d", width,
                       height);
    lk_evaluations e;
    bool ok = lk_evaluations_read(&e, model_dir, err);
    if (ok && e.count == 0)
        ok = lk_fail(err, LK_ERR_NOT_FOUND, "%s has no evaluations: train with --holdout 5 --evaluate-every 1000",
                     model_dir);
    ok = ok && lk_evaluations_plot(&e, png, width, height, err);
    lk_evaluations_close(&e);
    return ok;
}
