/* xoshiro256++ (Blackman & Vigna, "Scrambled linear pseudorandom number generators", 2019), its state filled by
 * SplitMix64 from the seed and the stream. */
#include "likeness/base.h"

#include <math.h>

static uint64_t rotate(uint64_t x, int k) { return x << k | x >> (64 - k); }

static uint64_t splitmix(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

lk_rng lk_rng_make(uint64_t seed, uint64_t stream) {
    uint64_t a = seed, b = stream ^ 0x6a09e667f3bcc909u;
    uint64_t state = splitmix(&a) ^ rotate(splitmix(&b), 32);
    lk_rng r;
    for (int i = 0; i < 4; i++) r.s[i] = splitmix(&state);
    return r;
}

uint64_t lk_rng_u64(lk_rng *r) {
    uint64_t *s = r->s, result = rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

/* Lemire, "Fast random integer generation in an interval", 2019. */
uint32_t lk_rng_below(lk_rng *r, uint32_t n) {
    uint64_t product = (lk_rng_u64(r) >> 32) * n;
    if ((uint32_t)product < n) {
        uint32_t least = -n % n;
        while ((uint32_t)product < least) product = (lk_rng_u64(r) >> 32) * n;
    }
    return (uint32_t)(product >> 32);
}

double lk_rng_uniform(lk_rng *r, double lo, double hi) {
    return lo + (hi - lo) * ((double)(lk_rng_u64(r) >> 11) * 0x1p-53);
}

double lk_rng_normal(lk_rng *r) {
    double u = 1.0 - lk_rng_uniform(r, 0, 1), v = lk_rng_uniform(r, 0, 1);
    return sqrt(-2.0 * log(u)) * cos(2.0 * 3.14159265358979323846 * v);
}
