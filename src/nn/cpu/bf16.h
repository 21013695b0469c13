/* bfloat16: the upper half of a float32, rounded to nearest, ties to even. */
#ifndef LIKENESS_NN_BF16_H
#define LIKENESS_NN_BF16_H

#include <stdint.h>
#include <string.h>

typedef uint16_t lk_bf16;

static inline float lk_widen(lk_bf16 x) {
    uint32_t bits = (uint32_t)x << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* A NaN stays one: its lowest mantissa bits alone might round it to infinity. */
static inline lk_bf16 lk_narrow(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
    return (lk_bf16)((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}

#endif
