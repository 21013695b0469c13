/* What the options of feeding do to batches of real faces: mirroring, turning, scale, several sets, exchanged sides. */
#include "real.h"

#define BATCH 40
#define SIDE  64

static lk_swap_config config;
static lk_pool pools[2], both; /* both: src of two sets */
static lk_strings paths[3];

static int open_pools(void **state) {
    (void)state;
    static const char *const sets[] = {LK_REAL "/few/src.faces", LK_REAL "/few/dst.faces", LK_REAL "/few/src.faces"};
    lk_error err = {0};
    config = tiny_config();
    test_ok(lk_swap_complete(&config, &err), &err);
    for (int i = 0; i < 3; i++) {
        test_ok(lk_strings_add(&paths[i], sets[i], &err), &err);
        if (i == 2) test_ok(lk_strings_add(&paths[i], LK_REAL "/many/src.faces", &err), &err);
        test_ok(
            lk_pool_open(i < 2 ? &pools[i] : &both, i == 1 ? "dst" : "src", &paths[i], &config, 0, LK_MIB(64), &err),
            &err);
    }
    return 0;
}

static int close_pools(void **state) {
    (void)state;
    lk_pool_close(&pools[0]);
    lk_pool_close(&pools[1]);
    lk_pool_close(&both);
    for (int i = 0; i < 3; i++) lk_strings_free(&paths[i]);
    return 0;
}

/* The first batch of the sampler with these options; `done` ends it. */
typedef struct drawn {
    lk_sampler *sampler;
    lk_batch *batch;
} drawn;

static drawn draw(const lk_pool *src, const lk_pool *dst, const char *name, const char *value) {
    lk_error err = {0};
    lk_swap_objective objective = {0};
    lk_train_options options = {0};
    lk_settings s;
    drawn d;
    test_ok(lk_options_defaults(lk_swap_objective_options, &objective, &err) &&
                lk_options_defaults(lk_train_option_table, &options, &err),
            &err);
    options.batch = BATCH;
    options.flip = false;
    test_ok(lk_settings_start(&s, &objective, &options, &err) && (!name || lk_settings_set(&s, name, value, &err)),
            &err);
    lk_sampler_job job = {.src = src, .dst = dst, .settings = &s, .resolution = SIDE, .threads = 1};
    d.sampler = lk_sampler_start(&job, &err);
    d.batch = d.sampler ? lk_sampler_next(d.sampler, &err) : NULL;
    test_ok(d.batch != NULL, &err);
    return d;
}

static double apart(const float *a, const float *b, bool mirrored) {
    double sum = 0;
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            int from = mirrored ? SIDE - 1 - x : x;
            for (int c = 0; c < 3; c++)
                sum += fabs((double)a[3 * (y * SIDE + x) + c] - (double)b[3 * (y * SIDE + from) + c]);
        }
    return sum / (3 * SIDE * SIDE);
}

/* Four of ten faces come mirrored: like their own mirror image, up to the turn that every sample gets. */
static void test_flip(void **state) {
    (void)state;
    drawn plain = draw(&pools[0], &pools[1], NULL, NULL), flip = draw(&pools[0], &pools[1], "flip", "yes");
    int changed = 0, mirrored = 0;
    for (int i = 0; i < 2 * BATCH; i++) {
        const float *a = flip.batch->target + 3 * SIDE * SIDE * i, *b = plain.batch->target + 3 * SIDE * SIDE * i;
        assert_int_equal(flip.batch->faces[i], plain.batch->faces[i]);
        if (!(apart(a, b, false) > 1e-6)) continue;
        changed++;
        mirrored += apart(a, b, true) < apart(a, b, false);
    }
    assert_in_range(changed, 2 * BATCH / 4, 2 * BATCH * 11 / 20);
    assert_in_range(mirrored, changed * 7 / 10, changed);
    lk_sampler_stop(plain.sampler);
    lk_sampler_stop(flip.sampler);
}

static double nearest(double yaw) {
    double least = 1e9;
    for (int i = 0; i < pools[1].count; i++) least = fmin(least, fabs((double)pools[1].faces[i].yaw - yaw));
    return least;
}

/* How far the shown faces of src are from the nearest yaw that dst has, degrees. */
static double off_by(const lk_batch *b) {
    double sum = 0;
    for (int i = 0; i < BATCH; i++) {
        double yaw = (double)both.faces[b->faces[i]].yaw;
        sum += nearest(b->mirror[i] ? -yaw : yaw) / BATCH;
    }
    return sum;
}

static void test_by_yaw(void **state) {
    (void)state;
    drawn plain = draw(&both, &pools[1], NULL, NULL), fed = draw(&both, &pools[1], "feed-by-yaw", "yes");
    double before = off_by(plain.batch), after = off_by(fed.batch);
    if (!(after < 0.7 * before)) fail_msg("%.2f degrees without, and %.2f with", before, after);
    lk_sampler_stop(plain.sampler);
    lk_sampler_stop(fed.sampler);
}

static double mask_of(const lk_batch *b, int side) {
    double sum = 0;
    for (int i = 0; i < BATCH * SIDE * SIDE; i++) sum += (double)b->mask[side * BATCH * SIDE * SIDE + i];
    return sum;
}

/* A fifth smaller on each side of the face: its hull covers 0.64 of what it did. */
static void test_src_scale(void **state) {
    (void)state;
    drawn plain = draw(&pools[0], &pools[1], NULL, NULL), small = draw(&pools[0], &pools[1], "src-scale", "-20");
    double src = mask_of(small.batch, 0) / mask_of(plain.batch, 0);
    assert_true(src > 0.58 && src < 0.72);
    assert_true(mask_of(small.batch, 1) == mask_of(plain.batch, 1));
    lk_sampler_stop(plain.sampler);
    lk_sampler_stop(small.sampler);
}

/* Faces of both sets come, as often as there are of each. */
static void test_several_sets(void **state) {
    (void)state;
    assert_int_equal(both.count, REAL_FEW + REAL_MANY);
    drawn d = draw(&both, &pools[1], "batch", "76");
    int of[2] = {0};
    for (int i = 0; i < both.count; i++) of[both.faces[d.batch->faces[i]].set]++;
    assert_int_equal(of[0], REAL_FEW);
    assert_int_equal(of[1], REAL_MANY);
    lk_sampler_stop(d.sampler);
}

static void test_swapped_sides(void **state) {
    (void)state;
    drawn plain = draw(&pools[0], &pools[1], NULL, NULL), swapped = draw(&pools[0], &pools[1], "swap-sides", "0..5");
    for (int i = 0; i < BATCH; i++) {
        assert_int_equal(swapped.batch->faces[i], plain.batch->faces[BATCH + i]);
        assert_int_equal(swapped.batch->faces[BATCH + i], plain.batch->faces[i]);
    }
    lk_sampler_stop(plain.sampler);
    lk_sampler_stop(swapped.sampler);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_flip), cmocka_unit_test(test_by_yaw),
                                       cmocka_unit_test(test_src_scale), cmocka_unit_test(test_several_sets),
                                       cmocka_unit_test(test_swapped_sides)};
    if (!have_real_faces()) return real_skipped();
    return cmocka_run_group_tests(tests, open_pools, close_pools);
}
