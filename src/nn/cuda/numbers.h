/* Numbers in the device's memory: float32, bfloat16 or float16. What points.h computes is float32; here is how such a number is
 * read and written. Compiles for the device and for the processor, as the points do. */
#ifndef LIKENESS_NN_CUDA_NUMBERS_H
#define LIKENESS_NN_CUDA_NUMBERS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define LK_POINT static __host__ __device__ __forceinline__
#else
#define LK_POINT static inline __attribute__((unused))
#endif

enum { LK_GPU_FLOAT32, LK_GPU_BFLOAT16, LK_GPU_FLOAT16 };

typedef struct lk_gpu_ref {
    void *data;
    int kind;
} lk_gpu_ref;

LK_POINT uint32_t lk_bits_of(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

LK_POINT float lk_of_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

LK_POINT float lk_from_bf16(uint16_t h) { return lk_of_bits((uint32_t)h << 16); }

/* Round to nearest, ties to even; NaN stays NaN. */
LK_POINT uint16_t lk_to_bf16(float f) {
    uint32_t bits = lk_bits_of(f);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((bits >> 16) | 0x40u);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

/* float16 (IEEE 754 binary16): sign, 5 bits of exponent, 10 of mantissa. Shifted to float32's places its exponent is 112 too
 * small. */
LK_POINT float lk_from_f16(uint16_t h) {
    uint32_t bits = (uint32_t)(h & 0x7fffu) << 13, sign = (uint32_t)(h & 0x8000u) << 16;
    if (bits >= 0x1fu << 23) return lk_of_bits((bits + (224u << 23)) | sign); /* infinity and NaN */
    if (bits >= 1u << 23) return lk_of_bits((bits + (112u << 23)) | sign);
    /* A subnormal one counts in 2^-24: as the mantissa of 2^-14 it is off by just that. */
    float f = lk_of_bits(bits + (113u << 23)) - lk_of_bits(113u << 23);
    return lk_of_bits(lk_bits_of(f) | sign);
}

/* Round to nearest, ties to even; from 65520 on infinity; NaN stays NaN. */
LK_POINT uint16_t lk_to_f16(float f) {
    uint32_t bits = lk_bits_of(f), sign = bits >> 16 & 0x8000u;
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (bits >= 143u << 23) return (uint16_t)(sign | 0x7c00u);
    /* Below 2^-14: beside 0.5 the last bit of a float32 counts 2^-24, as the subnormal's does. */
    if (bits < 113u << 23) return (uint16_t)(sign | (lk_bits_of(lk_of_bits(bits) + 0.5f) - lk_bits_of(0.5f)));
    return (uint16_t)(sign | (bits - (112u << 23) + 0xfffu + (bits >> 13 & 1)) >> 13);
}

LK_POINT uint16_t lk_to_16_bits(int kind, float f) { return kind == LK_GPU_FLOAT16 ? lk_to_f16(f) : lk_to_bf16(f); }

LK_POINT float lk_get(lk_gpu_ref r, size_t i) {
    if (r.kind == LK_GPU_FLOAT32) return ((const float *)r.data)[i];
    uint16_t h = ((const uint16_t *)r.data)[i];
    return r.kind == LK_GPU_FLOAT16 ? lk_from_f16(h) : lk_from_bf16(h);
}

LK_POINT void lk_put(lk_gpu_ref r, size_t i, float v) {
    if (r.kind == LK_GPU_FLOAT32)
        ((float *)r.data)[i] = v;
    else
        ((uint16_t *)r.data)[i] = lk_to_16_bits(r.kind, v);
}

#endif
