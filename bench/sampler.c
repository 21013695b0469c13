/* How fast training samples are made, alone on the machine. Prints one JSON object.
 *
 *     bench_sampler SRC.faces DST.faces RESOLUTION SECONDS */
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

#define BATCH 8

static bool run(char **argv, lk_error *err) {
    lk_swap_config c = {0};
    lk_settings settings;
    lk_swap_objective objective = {0};
    lk_train_options options = {0};
    lk_strings src = {0}, dst = {0};
    lk_pool src_pool = {0}, dst_pool = {0};
    lk_sampler *sampler = NULL;
    double seconds = strtod(argv[4], NULL);
    bool ok = lk_options_defaults(lk_swap_options, &c, err) &&
              lk_options_set(lk_swap_options, &c, "resolution", argv[3], err) && lk_swap_complete(&c, err) &&
              lk_options_defaults(lk_swap_objective_options, &objective, err) &&
              lk_options_defaults(lk_train_option_table, &options, err);
    options.batch = BATCH;
    ok = ok && lk_settings_start(&settings, &objective, &options, err) && lk_strings_add(&src, argv[1], err) &&
         lk_strings_add(&dst, argv[2], err) && lk_pool_open(&src_pool, "src", &src, &c, 0, LK_MIB(1024), err) &&
         lk_pool_open(&dst_pool, "dst", &dst, &c, 0, LK_MIB(1024), err);
    int threads = lk_threads();
    lk_sampler_job job = {
        .src = &src_pool, .dst = &dst_pool, .settings = &settings, .resolution = c.resolution, .threads = threads};
    if (ok) sampler = lk_sampler_start(&job, err);
    double start = lk_now();
    int64_t samples = 0;
    for (ok = ok && sampler; ok && lk_now() - start < seconds; samples += 2L * BATCH) {
        lk_batch *b = lk_sampler_next(sampler, err);
        ok = b != NULL;
        if (b) lk_sampler_give_back(sampler, b);
    }
    seconds = lk_now() - start;
    if (ok)
        printf("{\"resolution\": %d, \"threads\": %d, \"samples_per_second\": %.1f}\n", c.resolution, threads,
               (double)samples / seconds);
    lk_sampler_stop(sampler);
    lk_pool_close(&src_pool);
    lk_pool_close(&dst_pool);
    lk_strings_free(&src);
    lk_strings_free(&dst);
    return ok;
}

int main(int argc, char **argv) {
    lk_error err = {0};
    if (argc != 5) {
        fprintf(stderr, "usage: bench_sampler SRC.faces DST.faces RESOLUTION SECONDS\n");
        return 2;
    }
    if (run(argv, &err)) return 0;
    fprintf(stderr, "%s\n", err.message);
    return 1;
}
