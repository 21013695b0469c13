/* What this machine's processors multiply at most: products of blocks of bfloat16 that never leave the first cache, on all
 * threads at once. One JSON object.
 *
 *     bench_peak [THREADS [SECONDS]] */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpu/tile.h"

#define STEPS 4 /* of the inner dimension: 8 KiB of each operand */

/* Operations of one thread, until the time is over. */
static double multiply(const lk_tile_ops *ops, double until) {
    _Alignas(64) static const lk_bf16 rows[32 * 32 * STEPS], columns[STEPS * LK_TILE];
    _Alignas(64) float sums[LK_TILE];
    uint32_t offsets[STEPS];
    double operations = 0;
    for (uint32_t i = 0; i < STEPS; i++) offsets[i] = i * LK_TILE;
    ops->begin();
    while (omp_get_wtime() < until)
        for (int i = 0; i < 1000; i++, operations += 2.0 * 32 * LK_TILE * STEPS)
            ops->multiply(rows, rows + LK_TILE / 2, 32, 256, offsets, columns, sums, STEPS, false);
    ops->end();
    return operations;
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : omp_get_max_threads();
    double seconds = argc > 2 ? atof(argv[2]) : 2, operations = 0;
    if (threads < 1 || threads > 1024 || !(seconds > 0)) {
        fprintf(stderr, "usage: bench_peak [THREADS [SECONDS]]\n");
        return 2;
    }
    const lk_tile_ops *ops = lk_tile_best();
    double begin = omp_get_wtime();
#pragma omp parallel num_threads(threads) reduction(+ : operations)
    operations += multiply(ops, begin + seconds);
    printf("{\"by\": \"%s\", \"threads\": %d, \"flops\": %.4g}\n", ops->name, threads,
           operations / (omp_get_wtime() - begin));
    return 0;
}
