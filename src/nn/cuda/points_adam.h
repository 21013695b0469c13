/* Points of Adam: with both moments float32, and with short or factored ones, which are those of a processor
 * (src/nn/cpu/short.h, src/nn/cpu/factored.h, docs/nn.md), in the same blocks of weights and drawn from other numbers. */
#ifndef LIKENESS_NN_CUDA_POINTS_ADAM_H
#define LIKENESS_NN_CUDA_POINTS_ADAM_H

typedef struct lk_adam_args {
    float *p, *m, *v;
    lk_gpu_ref g;
    uint16_t *copy; /* the parameter in 16 bits as well, or NULL */
    int kind;       /* of that */
    const lk_gpu_step *step;
    lk_gpu_scale *scale; /* of the gradient, or NULL */
} lk_adam_args;
LK_POINT void lk_adam_point(const lk_adam_args *a, uint32_t i) {
    lk_gpu_step s = *a->step;
    float d = lk_get(a->g, i);
    if (!lk_unscale(a->scale, &d)) return;
    float m = a->m[i] + (1 - s.beta1) * (d - a->m[i]);
    float v = a->v[i] + (1 - s.beta2) * (d * d - a->v[i]);
    float p = a->p[i] - s.rate * m / (sqrtf(v) + s.epsilon);
    a->m[i] = m;
    a->v[i] = v;
    a->p[i] = p;
    if (a->copy) a->copy[i] = lk_to_16_bits(a->kind, p);
}

/* ---- Blocks of weights ------------------------------------------------------------------------------------- */

/* Weights as they lie, number (o·taps + tap)·inputs + c, are cut into blocks of 32 outputs by 32 inputs of one tap. Few inputs
 * of all taps count as the inputs of one tap; `turned`: few outputs of all taps, the last one's first, as the outputs of
 * one. Moments are kept block after block, [32 rows][32 columns], with what fills up the last ones. */
typedef struct lk_cut {
    uint32_t outputs, taps, inputs;
    int turned;
} lk_cut;

#define LK_CUT         32
#define LK_CUT_NUMBERS 1024
#define LK_CUT_NOWHERE 0xffffffffu

typedef struct lk_cut_place {
    uint32_t row, column, tap; /* of a block's first number */
} lk_cut_place;

LK_POINT uint32_t lk_cut_rows(lk_cut c) { return c.turned ? c.outputs * c.taps : c.outputs; }

LK_POINT uint32_t lk_cut_blocks(lk_cut c) {
    return (lk_cut_rows(c) + LK_CUT - 1) / LK_CUT * ((c.inputs + LK_CUT - 1) / LK_CUT) * (c.turned ? 1 : c.taps);
}

LK_POINT lk_cut_place lk_cut_place_of(lk_cut c, uint32_t block) {
    uint32_t taps = c.turned ? 1 : c.taps, across = (c.inputs + LK_CUT - 1) / LK_CUT;
    lk_cut_place p;
    p.tap = block % taps;
    p.column = block / taps % across * LK_CUT;
    p.row = block / taps / across * LK_CUT;
    return p;
}

/* Which weight is at that row and column of a block. */
LK_POINT uint32_t lk_cut_at(lk_cut c, lk_cut_place p, uint32_t row, uint32_t column) {
    row += p.row;
    column += p.column;
    if (row >= lk_cut_rows(c) || column >= c.inputs) return LK_CUT_NOWHERE;
    uint32_t tap = c.turned ? c.taps - 1 - row / c.outputs : p.tap;
    return ((c.turned ? row % c.outputs : row) * c.taps + tap) * c.inputs + column;
}

/* ---- Short numbers ----------------------------------------------------------------------------------------- */

/* From a code's exponent and mantissa to those of a float32. */
#define LK_CODE_BIAS ((127 - 15) << 3)

LK_POINT float lk_from_code(uint8_t code, float scale) {
    uint32_t c = code & 0x7fu, bits = (c < 8 ? 0 : (c + LK_CODE_BIAS) << 20) | (uint32_t)(code & 0x80) << 24;
    return lk_of_bits(bits) * scale;
}

/* The power of two relative to which `most`, a block's largest number, is at most 1.875; 1 when all are 0. */
LK_POINT float lk_code_scale(float most) {
    uint32_t bits = lk_bits_of(most);
    bits = bits ? (bits + 0x0fffffu) & 0x7f800000u : 0x3f800000u;
    /* Its inverse must be a number, too. */
    if (bits < 0x01000000u) bits = 0x01000000u;
    if (bits > 0x7e000000u) bits = 0x7e000000u;
    return lk_of_bits(bits);
}

/* Rounded up as often as the drawn bits say. */
LK_POINT uint8_t lk_to_code(float m, float scale, uint32_t drawn) {
    uint32_t bits = lk_bits_of(m * (1 / scale));
    int32_t c = (int32_t)(((bits & 0x7fffffffu) + (drawn & 0xfffffu)) >> 20) - LK_CODE_BIAS;
    c = c < 8 ? 0 : c > 0x7f ? 0x7f : c;
    return (uint8_t)((uint32_t)c | (c ? bits >> 24 & 0x80u : 0));
}

LK_POINT uint16_t lk_to_bf16_drawn(float f, uint32_t drawn) {
    return (uint16_t)((lk_bits_of(f) + (drawn & 0xffffu)) >> 16);
}

/* Wellons' "lowbias32": every bit of the result depends on every bit of x. */
LK_POINT uint32_t lk_mix(uint32_t x) {
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

/* ---- Adam with short and factored moments -------------------------------------------------------------------- */

/* Four kernels, since a block's scale and factors hang by all of its numbers. Scratch memory is theirs, between them. */
typedef struct lk_adam_few_args {
    float *p;
    lk_gpu_ref g;
    uint16_t *copy; /* the parameter in 16 bits as well, or NULL */
    int kind;       /* of that */
    lk_gpu_scale
        *losses; /* their scale, which the gradient has, or NULL; a number that it makes infinite stays as it is */
    lk_cut cut;
    uint8_t *first;   /* moments in 8 bits, … */
    float *scale;     /* … of each block */
    uint16_t *second; /* in bfloat16, or NULL: */
    float *factors;   /* of each block 32 of rows, 32 of columns */
    float *tops;      /* scratch: of each block's 32 columns the largest first moment */
    float *scaled;    /* scratch: of each block, what first moments are still scaled by */
    float *squares;   /* scratch: of each block 32 rows' and 32 columns' means of squared gradients */
    float *most;      /* scratch: of each block, the largest factor of a row */
    uint32_t tensor;  /* what is drawn depends on it */
    const lk_gpu_step *step;
} lk_adam_few_args;

/* One point for each column of each block: neighbours read neighbours. */
LK_POINT void lk_adam_columns_point(const lk_adam_few_args *a, uint32_t i) {
    uint32_t block = i / LK_CUT, column = i % LK_CUT;
    lk_cut_place place = lk_cut_place_of(a->cut, block);
    const uint8_t *first = a->first + (size_t)block * LK_CUT_NUMBERS + column;
    float share = 1 - a->step->beta1, scale = a->scale[block], top = 0, sum = 0;
    for (uint32_t row = 0; row < LK_CUT; row++) {
        uint32_t at = lk_cut_at(a->cut, place, row, column);
        if (at == LK_CUT_NOWHERE) continue;
        float d = lk_get(a->g, at), m = lk_from_code(first[row * LK_CUT], scale);
        int finite = lk_unscale(a->losses, &d);
        top = fmaxf(top, fabsf(finite ? m + share * (d - m) : m));
        if (finite) sum += d * d;
    }
    a->tops[i] = top;
    if (a->factors) a->squares[(size_t)block * 2 * LK_CUT + LK_CUT + column] = sum / LK_CUT;
}

/* Of factored moments, one point for each row of each block. */
LK_POINT void lk_adam_rows_point(const lk_adam_few_args *a, uint32_t i) {
    uint32_t block = i / LK_CUT, row = i % LK_CUT;
    lk_cut_place place = lk_cut_place_of(a->cut, block);
    float sum = 0;
    for (uint32_t column = 0; column < LK_CUT; column++) {
        uint32_t at = lk_cut_at(a->cut, place, row, column);
        if (at == LK_CUT_NOWHERE) break;
        float d = lk_get(a->g, at);
        if (lk_unscale(a->losses, &d)) sum += d * d;
    }
    a->squares[(size_t)block * 2 * LK_CUT + row] = sum / LK_CUT;
}

/* R and C, which the factors are scaled from, take a step towards the squares' means, and become factors again:
 * lk_factored_update of src/nn/cpu/factored.c. Returns the largest factor of a row. */
LK_POINT float lk_step_factors(float *factors, float *squares, float beta2) {
    float of[2] = {0, 0}, most = 0, mean = 0, top[2] = {0, 0};
    for (uint32_t k = 0; k < LK_CUT; k++) {
        of[0] += factors[LK_CUT + k];
        of[1] += factors[k];
        most = fmaxf(most, factors[k]);
    }
    for (uint32_t side = 0; side < 2; side++) {
        of[side] = most == 0 ? 0 : of[side] / LK_CUT / most;
        for (uint32_t k = side * LK_CUT; k < (side + 1) * LK_CUT; k++) {
            float x = factors[k] * of[side];
            x += (1 - beta2) * (squares[k] - x);
            squares[k] = x;
            top[side] = fmaxf(top[side], x);
            if (side == 0) mean += x / LK_CUT;
        }
    }
    for (uint32_t k = 0; k < LK_CUT; k++) {
        factors[k] = mean == 0 ? 0 : squares[k] / mean * top[1];
        factors[LK_CUT + k] = mean == 0 ? 0 : top[0] / mean * squares[LK_CUT + k];
    }
    return mean == 0 ? 0 : top[0] / mean * top[1];
}

/* One point for each block. */
LK_POINT void lk_adam_blocks_point(const lk_adam_few_args *a, uint32_t i) {
    float top = 0;
    for (uint32_t k = 0; k < LK_CUT; k++) top = fmaxf(top, a->tops[(size_t)i * LK_CUT + k]);
    a->scaled[i] = a->scale[i];
    a->scale[i] = lk_code_scale(top);
    size_t at = (size_t)i * 2 * LK_CUT;
    if (a->factors) a->most[i] = lk_step_factors(a->factors + at, a->squares + at, a->step->beta2);
}

/* One point for each number of each block. */
LK_POINT void lk_adam_few_point(const lk_adam_few_args *a, uint32_t i) {
    uint32_t block = i / LK_CUT_NUMBERS, row = i / LK_CUT % LK_CUT, column = i % LK_CUT;
    uint32_t at = lk_cut_at(a->cut, lk_cut_place_of(a->cut, block), row, column);
    if (at == LK_CUT_NOWHERE) return;
    lk_gpu_step s = *a->step;
    uint32_t draws = lk_mix(s.number * 0x9e3779b1u + a->tensor) + 2 * i;
    float d = lk_get(a->g, at), m = lk_from_code(a->first[i], a->scaled[block]), v;
    int finite = lk_unscale(a->losses, &d);
    if (finite) m += (1 - s.beta1) * (d - m);
    a->first[i] = lk_to_code(m, a->scale[block], lk_mix(draws));
    if (!finite) return;
    if (a->factors) {
        const float *factors = a->factors + (size_t)block * 2 * LK_CUT;
        v = a->most[block] == 0 ? 0 : factors[row] * (factors[LK_CUT + column] / a->most[block]);
    } else {
        v = lk_from_bf16(a->second[i]);
        v += (1 - s.beta2) * (d * d - v);
        a->second[i] = lk_to_bf16_drawn(v, lk_mix(draws + 1));
    }
    float p = a->p[at] - s.rate * m / (sqrtf(v) + s.epsilon);
    a->p[at] = p;
    if (a->copy) a->copy[at] = lk_to_16_bits(a->kind, p);
}

#endif
