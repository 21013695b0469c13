/* Adam's states in few bits.
 *
 * First moments have 8 bits, seeeemmm: ±(1 + m/8)·2^(e−15)·scale with 4 bits of exponent e and 3 of mantissa m, 0 for e = 0;
 * each block of 1024 numbers has its own scale, a power of two. Second moments are bfloat16: their average runs over
 * thousand steps, each of which may change them by a thousandth, and rounding errors of as many steps add up in it.
 * Rounding is stochastic, drawn from (seed, position), so that what changes less than a step of the code is right in the
 * mean. */
#ifndef LIKENESS_NN_SHORT_H
#define LIKENESS_NN_SHORT_H

#include <stddef.h>
#include <stdint.h>

#include "bf16.h"

#define LK_SHORT 1024 /* numbers of a block */

void lk_short_decode(const uint8_t *code, float scale, float *m);
/* Returns the block's scale. `seed` 0: to nearest, which gives back what was decoded. */
float lk_short_encode(const float *m, uint32_t seed, uint8_t *code);

void lk_short_decode_second(const lk_bf16 *code, float *v);
void lk_short_encode_second(const float *v, uint32_t seed, lk_bf16 *code);

#endif
