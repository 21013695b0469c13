#include "rows.h"

#include <math.h>
#include <stdlib.h>

/* x of the next place, right of (x, edge) in that order, where the polygon's outline crosses row y; *edge becomes its
 * edge. Infinity when there is none. An edge owns its upper end, not its lower one, so corners count once. */
static double next_crossing(const lk_point *p, int count, double y, double x, int *edge) {
    double best = INFINITY;
    int best_edge = count;
    for (int i = 0; i < count; i++) {
        lk_point a = p[i], b = p[i + 1 < count ? i + 1 : 0];
        double ay = (double)a.y, by = (double)b.y;
        if ((ay <= y) == (by <= y)) continue;
        double at = (double)a.x + (y - ay) / (by - ay) * ((double)b.x - (double)a.x);
        if (at < x || (at == x && i <= *edge)) continue;
        if (at < best || (at == best && i < best_edge)) {
            best = at;
            best_edge = i;
        }
    }
    *edge = best_edge;
    return best;
}

static void fill_span(lk_image *image, int y, double from, double to, float value) {
    if (!(from < image->width) || !(to >= 0)) return;
    int x0 = from > 0 ? (int)ceil(from) : 0;
    int x1 = to < image->width - 1 ? (int)floor(to) : image->width - 1;
    for (int x = x0; x <= x1; x++) {
        if (image->type == LK_F32)
            lk_row_f32(image, y)[x] = value;
        else
            lk_row_u8(image, y)[x] = (uint8_t)lrintf(fminf(fmaxf(value, 0), 255));
    }
}

void lk_image_fill_polygon(lk_image *image, const lk_point *points, int count, float value) {
    if (count < 1 || image->channels != 1) return;
    double top = INFINITY, bottom = -INFINITY;
    for (int i = 0; i < count; i++) {
        if (!isfinite(points[i].x) || !isfinite(points[i].y)) return;
        top = fmin(top, (double)points[i].y);
        bottom = fmax(bottom, (double)points[i].y);
    }
    if (!(top < image->height) || !(bottom >= 0)) return;
    int y0 = top > 0 ? (int)ceil(top) : 0;
    int y1 = bottom < image->height - 1 ? (int)floor(bottom) : image->height - 1;
    for (int y = y0; y <= y1; y++) {
        int edge = -1;
        double x = -INFINITY;
        for (;;) {
            double from = x = next_crossing(points, count, y, x, &edge);
            if (from == INFINITY) break;
            x = next_crossing(points, count, y, x, &edge);
            if (x == INFINITY) break;
            fill_span(image, y, from, x, value);
        }
    }
}

static int by_x_then_y(const void *a, const void *b) {
    const lk_point *p = a, *q = b;
    if (p->x != q->x) return p->x < q->x ? -1 : 1;
    return p->y < q->y ? -1 : p->y > q->y;
}

static double turn(lk_point a, lk_point b, lk_point c) {
    return ((double)b.x - (double)a.x) * ((double)c.y - (double)a.y) -
           ((double)b.y - (double)a.y) * ((double)c.x - (double)a.x);
}

/* Andrew's monotone chain (1979). p is sorted; returns how many corners the hull has. */
static int chain(const lk_point *p, int count, lk_point *hull) {
    int n = 0;
    for (int pass = 0; pass < 2; pass++) {
        int floor = n + 1;
        for (int k = 0; k < count; k++) {
            lk_point next = p[pass ? count - 1 - k : k];
            while (n > floor && turn(hull[n - 2], hull[n - 1], next) <= 0) n--;
            hull[n++] = next;
        }
        n--; /* the last of one chain is the first of the other */
    }
    return n;
}

int lk_image_hull(const lk_point *points, int count, lk_point *hull, lk_error *err) {
    if (count < 1) return 0;
    for (int i = 0; i < count; i++)
        if (!isfinite(points[i].x) || !isfinite(points[i].y)) {
            lk_fail(err, LK_ERR_FORMAT, "point %d of a hull is not a finite number", i);
            return -1;
        }
    lk_point *sorted = lk_alloc((size_t)count, sizeof *sorted, err);
    if (!sorted) return -1;
    for (int i = 0; i < count; i++) sorted[i] = points[i];
    qsort(sorted, (size_t)count, sizeof *sorted, by_x_then_y);
    int n = chain(sorted, count, hull);
    free(sorted);
    return n;
}

bool lk_image_fill_hull(lk_image *image, const lk_point *points, int count, float value, lk_error *err) {
    lk_point *hull = lk_alloc(2 * (size_t)(count > 0 ? count : 0) + 2, sizeof *hull, err);
    int n = hull ? lk_image_hull(points, count, hull, err) : -1;
    if (n > 0) lk_image_fill_polygon(image, hull, n, value);
    free(hull);
    return n >= 0;
}
