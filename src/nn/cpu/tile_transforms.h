/* Winograd's transforms (winograd.c) with vectors. Whoever includes this has VECTORS, the functions' target, and `wide`, 32
 * numbers as float32, with zeros, plus, minus, half_of; take reads `count` of 32 numbers of a pixel (NULL: zeros), join
 * weights, give writes. */

VECTORS static void see(const lk_number *const pixels[16], int at, int count, size_t place, lk_number *to) {
    wide t[16];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        wide d0 = take(pixels[j], at, count), d1 = take(pixels[4 + j], at, count);
        wide d2 = take(pixels[8 + j], at, count), d3 = take(pixels[12 + j], at, count);
        t[j] = minus(d0, d2);
        t[4 + j] = plus(d1, d2);
        t[8 + j] = minus(d2, d1);
        t[12 + j] = minus(d1, d3);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++, to += 4 * place) {
        const wide *row = t + i * 4;
        give(minus(row[0], row[2]), to);
        give(plus(row[1], row[2]), to + place);
        give(minus(row[2], row[1]), to + 2 * place);
        give(minus(row[1], row[3]), to + 3 * place);
    }
}

VECTORS static inline void give_four(wide x, wide y, size_t place, lk_number *to) {
    give(x, to);
    give(plus(x, y), to + place);
    give(minus(x, y), to + 2 * place);
    give(minus(zeros(), y), to + 3 * place);
}

VECTORS static void spread(const lk_number *const pixels[4], int at, int count, size_t place, lk_number *to) {
    wide d0 = take(pixels[0], at, count), d1 = take(pixels[1], at, count);
    wide d2 = take(pixels[2], at, count), d3 = take(pixels[3], at, count);
    const wide zero = zeros();
    give_four(d0, d1, place, to);
    give_four(plus(d0, d2), plus(d1, d3), place, to + 4 * place);
    give_four(minus(d0, d2), minus(d1, d3), place, to + 8 * place);
    give_four(minus(zero, d2), minus(zero, d3), place, to + 12 * place);
}

VECTORS static void kernels(const lk_number *high, const int16_t *low, lk_number *to) {
    for (int at = 0; at < LK_TILE; at += 32) {
        wide t[4][3];
#pragma GCC unroll 3
        for (int j = 0; j < 3; j++) {
            size_t from = (size_t)(j * LK_TILE + at), row = 3 * LK_TILE;
            wide g0 = join(high, low, from), g1 = join(high, low, from + row);
            wide g2 = join(high, low, from + 2 * row);
            wide outer = half_of(plus(g0, g2)), middle = half_of(g1);
            t[0][j] = g0;
            t[1][j] = plus(outer, middle);
            t[2][j] = minus(outer, middle);
            t[3][j] = g2;
        }
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            wide outer = half_of(plus(t[i][0], t[i][2])), middle = half_of(t[i][1]);
            lk_number *row = to + (size_t)(i * 4) * LK_TILE + at;
            give(t[i][0], row);
            give(plus(outer, middle), row + LK_TILE);
            give(minus(outer, middle), row + 2 * LK_TILE);
            give(t[i][2], row + 3 * LK_TILE);
        }
    }
}
