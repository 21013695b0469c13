/* A picture in 256 colours, by median cut. */
#include "finish.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SIDE   32 /* cells along each axis of the colour cube */
#define CELLS  (SIDE * SIDE * SIDE)
#define COLORS 256

typedef struct cell {
    double sum[3];
    int64_t count;
    uint8_t at[3], color;
} cell;

typedef struct box {
    int first, count; /* of the sorted cells */
    int64_t pixels;
    int low[3], high[3];
} box;

static int cell_of(const float *p) {
    int index = 0;
    for (int c = 0; c < 3; c++) {
        int k = (int)(fminf(fmaxf(p[c], 0), 1) * SIDE);
        index = index * SIDE + (k < SIDE ? k : SIDE - 1);
    }
    return index;
}

static void measure(box *b, cell *const *order) {
    b->pixels = 0;
    for (int c = 0; c < 3; c++) {
        b->low[c] = SIDE;
        b->high[c] = -1;
    }
    for (int i = b->first; i < b->first + b->count; i++) {
        b->pixels += order[i]->count;
        for (int c = 0; c < 3; c++) {
            if (order[i]->at[c] < b->low[c]) b->low[c] = order[i]->at[c];
            if (order[i]->at[c] > b->high[c]) b->high[c] = order[i]->at[c];
        }
    }
}

static int longest_axis(const box *b) {
    int axis = 0;
    for (int c = 1; c < 3; c++)
        if (b->high[c] - b->low[c] > b->high[axis] - b->low[axis]) axis = c;
    return axis;
}

/* By place along the axis; within a plane as they were. */
static void sort_along(cell **order, cell **room, int n, int axis) {
    int start[SIDE + 1] = {0};
    for (int i = 0; i < n; i++) start[order[i]->at[axis] + 1]++;
    for (int k = 0; k < SIDE; k++) start[k + 1] += start[k];
    for (int i = 0; i < n; i++) room[start[order[i]->at[axis]]++] = order[i];
    memcpy(order, room, (size_t)n * sizeof *order);
}

/* Cut between two planes of cells, after the one in which half the pixels are reached; both sides keep one. */
static void cut(box *b, box *other, cell **order, cell **room) {
    int axis = longest_axis(b);
    sort_along(order + b->first, room, b->count, axis);
    int64_t below = 0;
    int i = 0, plane = b->low[axis];
    for (; i < b->count; i++) {
        const cell *c = order[b->first + i];
        if (c->at[axis] != plane && 2 * below >= b->pixels) break;
        plane = c->at[axis];
        if (plane == b->high[axis]) break;
        below += c->count;
    }
    *other = (box){.first = b->first + i, .count = b->count - i};
    b->count = i;
    measure(b, order);
    measure(other, order);
}

static int largest(const box *boxes, int count) {
    int best = -1;
    double most = 0;
    for (int i = 0; i < count; i++) {
        int axis = longest_axis(&boxes[i]);
        double size = (double)(boxes[i].high[axis] - boxes[i].low[axis]) * (double)boxes[i].pixels;
        if (size > most) {
            most = size;
            best = i;
        }
    }
    return best;
}

static void apply(lk_image *image, const cell *cells, float colors[COLORS][3], float amount) {
    for (int y = 0; y < image->height; y++) {
        float *p = lk_row_f32(image, y);
        for (int x = 0; x < image->width; x++, p += 3) {
            const float *color = colors[cells[cell_of(p)].color];
            for (int c = 0; c < 3; c++) p[c] += amount * (color[c] - p[c]);
        }
    }
}

bool lk_reduce_colors(lk_image *image, double amount, lk_error *err) {
    cell *cells = lk_alloc(CELLS, sizeof *cells, err);
    cell **order = cells ? lk_alloc(CELLS, 2 * sizeof *order, err) : NULL;
    if (!order) {
        free(cells);
        return false;
    }
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++) {
            const float *p = lk_row_f32(image, y) + 3 * (size_t)x;
            cell *k = &cells[cell_of(p)];
            for (int c = 0; c < 3; c++) k->sum[c] += (double)p[c];
            k->count++;
        }
    box boxes[COLORS] = {{0}};
    int count = 1;
    for (int i = 0; i < CELLS; i++) {
        cell *k = &cells[i];
        k->at[0] = (uint8_t)(i / (SIDE * SIDE));
        k->at[1] = (uint8_t)(i / SIDE % SIDE);
        k->at[2] = (uint8_t)(i % SIDE);
        if (k->count) order[boxes[0].count++] = k;
    }
    measure(&boxes[0], order);
    for (int i; count < COLORS && (i = largest(boxes, count)) >= 0; count++)
        cut(&boxes[i], &boxes[count], order, order + CELLS);
    float colors[COLORS][3] = {{0}};
    for (int b = 0; b < count; b++) {
        double sum[3] = {0};
        for (int i = boxes[b].first; i < boxes[b].first + boxes[b].count; i++) {
            order[i]->color = (uint8_t)b;
            for (int c = 0; c < 3; c++) sum[c] += order[i]->sum[c];
        }
        for (int c = 0; c < 3; c++) colors[b][c] = (float)(sum[c] / (double)boxes[b].pixels);
    }
    apply(image, cells, colors, (float)amount);
    free(order);
    free(cells);
    return true;
}
