/* Inside the image room: work on a picture by bands of rows, in parallel where it is large. */
#ifndef LIKENESS_IMAGE_ROWS_H
#define LIKENESS_IMAGE_ROWS_H

#include "likeness/image.h"

/* Below so many pixels a picture is worked on by the calling thread alone: sampling runs many at once. */
#define LK_PARALLEL_PIXELS (256 * 256)

/* Calls f(y0, y1, job) for bands of `band` rows that cover [0, rows). `pixels` decides whether in parallel. */
void lk_image_bands(int rows, int band, size_t pixels, void (*f)(int y0, int y1, void *job), void *job);

/* Index of the pixel that stands for i outside [0, n): the nearest, or the mirrored one (…2 1 0 1 2…). */
static inline int lk_replicate(int i, int n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }
static inline int lk_reflect(int i, int n) {
    if (n == 1) return 0;
    int period = 2 * (n - 1);
    i = (i < 0 ? -i : i) % period;
    return i < n ? i : period - i;
}

#define LK_INLINE static inline __attribute__((always_inline))

typedef float lk_v4 __attribute__((vector_size(16)));

#endif
