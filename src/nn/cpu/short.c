#include "short.h"

#include <string.h>

#include "likeness/base.h"

/* From a code's exponent and mantissa to those of a float32. */
#define BIAS ((127 - 15) << 3)

LK_HOT void lk_short_decode(const uint8_t *code, float scale, float *m) {
    for (int i = 0; i < LK_SHORT; i++) {
        uint32_t c = code[i] & 0x7f, bits = c < 8 ? 0 : (c + BIAS) << 20;
        bits |= (uint32_t)(code[i] & 0x80) << 24;
        float f;
        memcpy(&f, &bits, sizeof f);
        m[i] = f * scale;
    }
}

/* Wellons' "lowbias32": every bit of the result depends on every bit of x. */
static inline uint32_t mix(uint32_t x) {
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

/* The power of two relative to which the largest number is at most 1.875, the largest code; 1 when all are 0. */
LK_HOT static float scale_of(const float *m) {
    uint32_t most = 0;
    for (int i = 0; i < LK_SHORT; i++) {
        uint32_t bits;
        memcpy(&bits, &m[i], sizeof bits);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    most = most ? (most + 0x0fffff) & 0x7f800000 : 0x3f800000;
    /* Its inverse must be a number, too. */
    if (most < 0x01000000) most = 0x01000000;
    if (most > 0x7e000000) most = 0x7e000000;
    float f;
    memcpy(&f, &most, sizeof f);
    return f;
}

LK_HOT float lk_short_encode(const float *m, uint32_t seed, uint8_t *code) {
    float scale = scale_of(m), inverse = 1 / scale;
    uint32_t random = seed ? 0xfffff : 0, half = seed ? 0 : 0x80000;
    for (int i = 0; i < LK_SHORT; i++) {
        float y = m[i] * inverse;
        uint32_t bits;
        memcpy(&bits, &y, sizeof bits);
        uint32_t up = (mix(seed + (uint32_t)i) & random) | half;
        int32_t c = (int32_t)(((bits & 0x7fffffff) + up) >> 20) - BIAS;
        c = c < 8 ? 0 : c > 0x7f ? 0x7f : c;
        code[i] = (uint8_t)((uint32_t)c | (c ? bits >> 24 & 0x80 : 0));
    }
    return scale;
}

LK_HOT void lk_short_decode_second(const lk_bf16 *code, float *v) {
    for (int i = 0; i < LK_SHORT; i++) v[i] = lk_widen(code[i]);
}

LK_HOT void lk_short_encode_second(const float *v, uint32_t seed, lk_bf16 *code) {
    uint32_t random = seed ? 0xffff : 0, half = seed ? 0 : 0x7fff;
    for (int i = 0; i < LK_SHORT; i++) {
        uint32_t bits;
        memcpy(&bits, &v[i], sizeof bits);
        code[i] = (lk_bf16)((bits + ((mix(seed + (uint32_t)i) & random) | half)) >> 16);
    }
}
