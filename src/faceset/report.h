/* What a report knows of a set, and the parts of its page. */
#ifndef LIKENESS_REPORT_H
#define LIKENESS_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "likeness/curate.h"

#define LK_GRID_DEGREES 5
#define LK_GRID_YAW     36 /* −90 to 90 */
#define LK_GRID_PITCH   24 /* −60 to 60 */

/* A face of which something hides a part, by its mask. */
typedef struct lk_hidden {
    int64_t id, frame;
    double share; /* of the hull */
} lk_hidden;

typedef struct lk_side {
    lk_faceset *set;
    const char *name; /* "src" */
    lk_figures f;
    lk_people people;
    lk_suspect *suspects;
    lk_hidden *hidden;                                                /* the most hidden first */
    int64_t suspect_count, removed, duplicates, masked, hidden_count; /* masked: faces with any mask */
    int64_t grid[LK_GRID_PITCH][LK_GRID_YAW];
    double wide, high; /* width of the jaw, height of nose to chin, of the crop's units; 0: no frontal face */
} lk_side;

typedef struct lk_advice {
    char *text, *command;
} lk_advice;

#define LK_MOST_ADVICE 16

typedef struct lk_report {
    lk_side src, dst; /* dst.set NULL: none */
    double uncovered; /* share of dst's faces whose pose src lacks */
    double scale;     /* suggested src scale, percent */
    lk_advice advice[LK_MOST_ADVICE];
    int advice_count;
} lk_report;

/* Cell of a face; false: beyond the grid. */
bool lk_grid_cell(const lk_figures *f, int64_t i, int *pitch, int *yaw);
/* Has src enough faces turned like this: three in the cell and its neighbours? */
bool lk_grid_covered(const lk_side *src, int pitch, int yaw);

/* Figures whose distributions are shown. */
extern const struct lk_shown {
    lk_figure figure;
    const char *title, *unit;
} lk_shown_figures[];
extern const int lk_shown_count;

/* Quantile q of a figure (0–1); 0 when there is no face. */
double lk_quantile(const lk_side *s, lk_figure figure, double q);
/* How far two distributions are apart: the area between their cumulated shares (Wasserstein 1), over dst's deviation. */
double lk_apart(const lk_side *a, const lk_side *b, lk_figure figure);

/* Fills masked and hidden. */
bool lk_hidden_measure(lk_side *s, lk_error *err);

bool lk_report_advise(lk_report *r, lk_error *err);

char *lk_report_page(const lk_report *r, lk_error *err); /* caller frees */

#endif
