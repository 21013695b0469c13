/* Described samples of made-up pictures: turned, warped, recoloured, in part masked by a mask of their own, in part by shapes. */
#ifndef LIKENESS_TEST_NN_MADE_UP_SAMPLES_H
#define LIKENESS_TEST_NN_MADE_UP_SAMPLES_H

#include <math.h>
#include <string.h>

#include "likeness/base.h"
#include "likeness/nn.h"

/* The side of the pictures for inputs of this resolution, and the bytes of one with its mask. */
static inline int made_up_side(int resolution) { return resolution * 5 / 4; }
static inline size_t made_up_bytes(int resolution) {
    return 4 * (size_t)made_up_side(resolution) * (size_t)made_up_side(resolution);
}

static inline void made_up_sample(lk_nn_sample *s, uint8_t *bytes, int resolution, uint32_t i) {
    lk_rng r = lk_rng_make(5, i);
    int side = made_up_side(resolution);
    size_t pixels = (size_t)side * (size_t)side;
    uint8_t *picture = bytes + i * made_up_bytes(resolution), *mask = picture + 3 * pixels;
    for (size_t k = 0; k < pixels; k++) {
        double x = (double)(k % (size_t)side) / side, y = (double)(k / (size_t)side) / side;
        for (int c = 0; c < 3; c++)
            picture[3 * k + (size_t)c] = (uint8_t)(128 + 120 * sin(9 * x + c + i) * cos(7 * y + c));
        mask[k] = (uint8_t)(hypot(x - 0.5, y - 0.5) < 0.4 ? 255 : 90 * y);
    }
    memset(s, 0, sizeof *s);
    s->picture = (uint32_t)(picture - bytes);
    s->mask = i % 2 ? (uint32_t)(mask - bytes) : LK_NN_NO_PICTURE;
    s->side = side;
    double turn = lk_rng_uniform(&r, -0.2, 0.2), scale = 1.25 * lk_rng_uniform(&r, 0.9, 1.1);
    double c = scale * cos(turn), t = scale * sin(turn), middle = 0.5 * (resolution - 1);
    s->to_picture[0][0] = s->to_picture[1][1] = (float)c;
    s->to_picture[0][1] = (float)t;
    s->to_picture[1][0] = (float)-t;
    s->to_picture[0][2] = (float)(0.5 * (side - 1) - (c + t) * middle);
    s->to_picture[1][2] = (float)(0.5 * (side - 1) - (c - t) * middle);
    s->warp.cells = 2 << i % 3;
    s->warp.cell = (float)side / (float)s->warp.cells;
    for (int y = 1; y < s->warp.cells; y++)
        for (int x = 1; x < s->warp.cells; x++)
            for (int k = 0; k < 2; k++)
                s->warp.node[y + 1][x + 1][k] = s->warp.cell * (float)lk_rng_uniform(&r, -0.24, 0.24);
    s->recolor = i % 3 == 1;
    for (int k = 0; k < 3; k++) {
        s->gain[k] = (float)lk_rng_uniform(&r, 0.8, 1.2);
        s->shift[k] = (float)lk_rng_uniform(&r, -5, 5);
    }
    float(*corner)[2] = s->corner;
    for (int k = 0; k < LK_NN_SHAPES; k++) {
        s->corners[k] = 12;
        double x = resolution * lk_rng_uniform(&r, 0.6, 1.4), y = resolution * lk_rng_uniform(&r, 0.6, 1.4);
        for (int q = 0; q < 12; q++, corner++) {
            (*corner)[0] = (float)(x + 0.5 * resolution * cos(q * 0.5235987756));
            (*corner)[1] = (float)(y + 0.4 * resolution * sin(q * 0.5235987756));
        }
    }
}

#endif
