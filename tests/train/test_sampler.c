/* Batches: the same whatever the threads, faces in the order they should come, what options do to a sample. */
#include "made_up.h"

static char *folder;
static lk_swap_config config;
static lk_pool pools[2];
static lk_strings paths[2];

static void open_pool(int side, const char *name, const made_up_set *set) {
    lk_error err = {0};
    char *path = lk_path_join(folder, name, NULL);
    made_up_faces(path, set);
    test_ok(lk_strings_add(&paths[side], path, &err), &err);
    free(path);
    test_ok(lk_pool_open(&pools[side], side ? "dst" : "src", &paths[side], &config, 0, LK_MIB(64), &err), &err);
}

static int open_pools(void **state) {
    (void)state;
    lk_error err = {0};
    folder = test_folder();
    config = tiny_config();
    test_ok(lk_swap_complete(&config, &err), &err);
    open_pool(0, "src.faces", &(made_up_set){24, 96, LK_FACE_HEAD, 0, 60, 1, 0});
    open_pool(1, "dst.faces", &(made_up_set){10, 80, LK_FACE_FULL, -50, 0, 2, 0});
    return 0;
}

static int close_pools(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        lk_pool_close(&pools[i]);
        lk_strings_free(&paths[i]);
    }
    test_remove_folder(folder);
    return 0;
}

static lk_settings settings_with(const char *const *set) {
    lk_error err = {0};
    lk_swap_objective objective = {0};
    lk_train_options options = {0};
    lk_settings s;
    test_ok(lk_options_defaults(lk_swap_objective_options, &objective, &err) &&
                lk_options_defaults(lk_train_option_table, &options, &err) &&
                lk_settings_start(&s, &objective, &options, &err),
            &err);
    for (; *set; set += 2) test_ok(lk_settings_set(&s, set[0], set[1], &err), &err);
    return s;
}

static lk_sampler *start_with(const lk_sampler_job *job) {
    lk_error err = {0};
    lk_sampler *sampler = lk_sampler_start(job, &err);
    test_ok(sampler != NULL, &err);
    return sampler;
}

static lk_sampler *start(const lk_settings *s, int64_t iteration, int64_t position, int threads) {
    return start_with(&(lk_sampler_job){.src = &pools[0],
                                        .dst = &pools[1],
                                        .settings = s,
                                        .resolution = 64,
                                        .iteration = iteration,
                                        .position = position,
                                        .threads = threads});
}

static void same_pictures(const lk_batch *a, const lk_batch *b) {
    size_t n = 2 * (size_t)a->count * 64 * 64;
    assert_true(a->iteration == b->iteration && a->position == b->position && a->count == b->count);
    assert_memory_equal(a->warped, b->warped, 3 * n * sizeof(float));
    assert_memory_equal(a->target, b->target, 3 * n * sizeof(float));
    assert_memory_equal(a->mask, b->mask, n * sizeof(float));
}

static void test_threads_do_not_matter(void **state) {
    (void)state;
    static const char *const set[] = {"batch", "2@0,5@3", NULL};
    lk_settings s = settings_with(set);
    lk_error err = {0};
    lk_sampler *one = start(&s, 0, 0, 1), *four = start(&s, 0, 0, 4), *later = NULL;
    for (int i = 0; i < 9; i++) {
        lk_batch *a = lk_sampler_next(one, &err), *b = lk_sampler_next(four, &err);
        test_ok(a && b, &err);
        assert_int_equal(a->count, i < 3 ? 2 : 5);
        same_pictures(a, b);
        if (i == 5) later = start(&s, 5, a->position, 2); /* as after a restart */
        if (later) {
            lk_batch *c = lk_sampler_next(later, &err);
            test_ok(c != NULL, &err);
            same_pictures(a, c);
            lk_sampler_give_back(later, c);
        }
        lk_sampler_give_back(one, a);
        lk_sampler_give_back(four, b);
    }
    lk_sampler_stop(one);
    lk_sampler_stop(four);
    lk_sampler_stop(later);
}

/* Kept as JPEGs, the same pictures come out. */
static void test_jpegs_in_memory(void **state) {
    (void)state;
    static const char *const set[] = {"batch", "4", NULL};
    lk_settings s = settings_with(set);
    lk_error err = {0};
    lk_pool packed[2];
    for (int i = 0; i < 2; i++) {
        test_ok(lk_pool_open(&packed[i], i ? "dst" : "src", &paths[i], &config, 0, 1000, &err), &err);
        assert_true(!packed[i].decoded && pools[i].decoded);
    }
    lk_sampler_job job = {.src = &packed[0], .dst = &packed[1], .settings = &s, .resolution = 64, .threads = 2};
    lk_sampler *a = start(&s, 0, 0, 1), *b = start_with(&job);
    lk_batch *x = lk_sampler_next(a, &err), *y = lk_sampler_next(b, &err);
    test_ok(x && y, &err);
    same_pictures(x, y);
    lk_sampler_stop(a);
    lk_sampler_stop(b);
    lk_pool_close(&packed[0]);
    lk_pool_close(&packed[1]);
}

/* Each face once before any comes again, on both sides, over the borders of batches. */
static void test_every_face_comes(void **state) {
    (void)state;
    static const char *const set[] = {"batch", "7", NULL};
    lk_settings s = settings_with(set);
    lk_error err = {0};
    lk_sampler *sampler = start(&s, 0, 0, 2);
    int seen[2][24] = {{0}}, drawn = 0;
    for (int i = 0; i < 24; i++) { /* 168 of each side: 7 rounds of src */
        lk_batch *b = lk_sampler_next(sampler, &err);
        test_ok(b != NULL, &err);
        for (int k = 0; k < 14; k++) seen[k >= 7][b->faces[k]]++;
        drawn += 7;
        for (int side = 0; side < 2; side++)
            for (int f = 0; f < pools[side].count; f++)
                assert_in_range(seen[side][f], drawn / pools[side].count, drawn / pools[side].count + 1);
        lk_sampler_give_back(sampler, b);
    }
    for (int f = 0; f < 24; f++) assert_int_equal(seen[0][f], 7);
    lk_sampler_stop(sampler);
}

/* A side may have several facesets, with crops of other sizes and types: all of their faces come. */
static void test_several_facesets(void **state) {
    (void)state;
    static const char *const set[] = {"batch", "17", NULL};
    lk_settings s = settings_with(set);
    lk_error err = {0};
    lk_strings both = {0};
    lk_pool pool;
    test_ok(lk_strings_add(&both, paths[0].items[0], &err) && lk_strings_add(&both, paths[1].items[0], &err) &&
                lk_pool_open(&pool, "src", &both, &config, 0, LK_MIB(64), &err),
            &err);
    assert_int_equal(pool.count, 34);
    lk_sampler_job job = {.src = &pool, .dst = &pools[1], .settings = &s, .resolution = 64, .threads = 2};
    lk_sampler *sampler = start_with(&job);
    int from[2] = {0};
    for (int i = 0; i < 2; i++) {
        lk_batch *b = lk_sampler_next(sampler, &err);
        test_ok(b != NULL, &err);
        for (int k = 0; k < 17; k++) from[pool.faces[b->faces[k]].set]++;
        lk_sampler_give_back(sampler, b);
    }
    assert_true(from[0] == 24 && from[1] == 10);
    lk_sampler_stop(sampler);
    lk_pool_close(&pool);
    lk_strings_free(&both);
}

/* src looks right only and dst left only: src comes mirrored, as often turned each way as dst's bins are. */
static void test_by_yaw(void **state) {
    (void)state;
    static const char *const set[] = {"batch", "10", "feed-by-yaw", "yes", "flip", "no", NULL};
    lk_settings s = settings_with(set);
    lk_error err = {0};
    lk_sampler *sampler = start(&s, 0, 0, 2);
    int times[LK_YAW_BINS] = {0}, bins = 0;
    for (int i = 0; i < 4; i++) {
        lk_batch *b = lk_sampler_next(sampler, &err);
        test_ok(b != NULL, &err);
        for (int k = 0; k < 10; k++) {
            float yaw = pools[0].faces[b->faces[k]].yaw;
            assert_true(b->mirror[k]);
            assert_true(yaw > 0 && yaw < 52.5f); /* dst turns to −47.5 at most; bins are 2.8 wide */
            times[(int)((-yaw + 90) / 180 * LK_YAW_BINS)]++;
            assert_false(b->mirror[10 + k]);
        }
        lk_sampler_give_back(sampler, b);
    }
    for (int i = 0; i < LK_YAW_BINS; i++) bins += times[i] > 0;
    assert_in_range(bins, 8, 12); /* ten bins of dst, and src is nearly as dense */
    lk_sampler_stop(sampler);
    /* The other way round src has what dst needs: nothing is mirrored. */
    lk_yaw_feed f;
    test_ok(lk_yaw_feed_make(&f, &pools[0], &pools[0], &err), &err);
    for (int i = 0; i < f.turns.count; i++) {
        bool mirror;
        lk_yaw_feed_pick(&f, 1, i, &mirror);
        assert_false(mirror);
    }
    lk_yaw_feed_free(&f);
}

/* Of 102 faces with open eyes and a shut mouth, one with closed eyes and four with an open mouth. */
static void test_by_expression(void **state) {
    (void)state;
    lk_error err = {0};
    lk_pool_face *faces = calloc(107, sizeof *faces);
    assert_non_null(faces);
    for (int i = 0; i < 107; i++) faces[i].eyes = 0.3;
    faces[17].eyes = 0.1;
    for (int i = 40; i < 44; i++) faces[i].mouth = 0.5;
    lk_order o;
    test_ok(lk_order_make_by_expression(&o, &(lk_pool){.faces = faces, .count = 107}, &err), &err);
    assert_int_equal(o.count, 102 + 40 + 4 * 26); /* 102 times as often, but at most 40; 102/4 = 25.5 */
    int times[107] = {0};
    for (int i = 0; i < 2 * o.count; i++) times[lk_order_pick(&o, 1, 0, i)]++;
    for (int i = 0; i < 107; i++) assert_int_equal(times[i], i == 17 ? 80 : i >= 40 && i < 44 ? 52 : 2);
    lk_order_free(&o);
    free(faces);
    /* The option reaches the batches: those of pools[0], of which two faces are made to blink. */
    static const char *const set[] = {"batch", "10", "feed-by-expression", "yes", NULL};
    lk_settings s = settings_with(set);
    int count = pools[0].count, most = (int)fmin(round((count - 2) / 2.0), 40), seen = 0;
    for (int i = 0; i < count; i++) pools[0].faces[i].eyes = i < 2 ? 0.05 : 0.3;
    int round_of = count - 2 + 2 * most;
    lk_sampler *sampler = start(&s, 0, 0, 2);
    for (int i = 0; i < round_of; i++) { /* ten rounds */
        lk_batch *b = lk_sampler_next(sampler, &err);
        test_ok(b != NULL, &err);
        for (int k = 0; k < 10; k++) seen += b->faces[k] < 2;
        lk_sampler_give_back(sampler, b);
    }
    assert_true(most > 1);
    assert_int_equal(seen, 10 * 2 * most);
    lk_sampler_stop(sampler);
}

static void test_swap_sides(void **state) {
    (void)state;
    static const char *const set[] = {"batch", "3", "swap-sides", "1..2", NULL}, *const plain[] = {"batch", "3", NULL};
    lk_settings s = settings_with(set), p = settings_with(plain);
    lk_error err = {0};
    lk_sampler *a = start(&s, 0, 0, 2), *b = start(&p, 0, 0, 2);
    for (int i = 0; i < 3; i++) {
        lk_batch *x = lk_sampler_next(a, &err), *y = lk_sampler_next(b, &err);
        test_ok(x && y, &err);
        for (int k = 0; k < 6; k++) assert_int_equal(x->faces[k], y->faces[i == 1 ? (k + 3) % 6 : k]);
        if (i != 1) same_pictures(x, y);
        lk_sampler_give_back(a, x);
        lk_sampler_give_back(b, y);
    }
    lk_sampler_stop(a);
    lk_sampler_stop(b);
}

/* What an option changes in the pictures of one batch: mean absolute difference of src's and dst's, warped and not. */
static void differences(const char *name, const char *value, double out[4]) {
    const char *set[] = {"batch", "4", "flip", "no", name, value, NULL}, *plain[] = {"batch", "4", "flip", "no", NULL};
    lk_settings s = settings_with(set), p = settings_with(plain);
    lk_error err = {0};
    lk_sampler *a = start(&s, 0, 0, 1), *b = start(&p, 0, 0, 1);
    lk_batch *x = lk_sampler_next(a, &err), *y = lk_sampler_next(b, &err);
    test_ok(x && y, &err);
    const size_t n = 4 * 3 * 64 * 64;
    for (int k = 0; k < 4; k++) {
        const float *u = (k & 1 ? x->warped : x->target) + (k & 2 ? n : 0),
                    *v = (k & 1 ? y->warped : y->target) + (k & 2 ? n : 0);
        out[k] = 0;
        for (size_t i = 0; i < n; i++) out[k] += fabs((double)u[i] - (double)v[i]) / n;
    }
    lk_sampler_stop(a);
    lk_sampler_stop(b);
}

static void test_what_options_change(void **state) {
    (void)state;
    double d[4];
    differences("src-scale", "20", d);
    assert_true(d[0] > 0.01 && d[1] > 0.01 && d[2] == 0 && d[3] == 0);
    differences("warp", "0", d);
    assert_true(d[0] == 0 && d[1] > 0.01 && d[2] == 0 && d[3] > 0.01);
    differences("flip", "yes", d);
    assert_true(d[0] > 0.01 && d[2] > 0.01);
}

/* Eyes and mouth lie inside the face and are a small part of it; they are drawn where they count. */
static void test_features(void **state) {
    (void)state;
    static const char *const set[] = {"batch", "4", "feature-power", "0@0,10@1", NULL};
    lk_settings s = settings_with(set);
    lk_error err = {0};
    lk_sampler *a = start(&s, 0, 0, 1);
    for (int step = 0; step < 2; step++) {
        lk_batch *x = lk_sampler_next(a, &err);
        test_ok(x != NULL, &err);
        double inside = 0, outside = 0;
        for (size_t i = 0; i < 8 * 64 * 64; i++) {
            assert_true(x->features[i] >= 0 && x->features[i] <= 1);
            *(x->mask[i] > 0.5f ? &inside : &outside) += (double)x->features[i] / (8 * 64 * 64);
        }
        if (step == 0)
            assert_true(inside == 0 && outside == 0);
        else
            assert_true(inside > 0.03 && inside < 0.25 && outside < 0.02);
        lk_sampler_give_back(a, x);
    }
    lk_sampler_stop(a);
}

/* Without a warp, input and target are one picture. */
static void test_no_warp(void **state) {
    (void)state;
    static const char *const set[] = {"batch", "4", "warp", "0", NULL};
    lk_settings s = settings_with(set);
    lk_error err = {0};
    lk_sampler *a = start(&s, 0, 0, 1);
    lk_batch *x = lk_sampler_next(a, &err);
    test_ok(x != NULL, &err);
    for (size_t i = 0; i < 8 * 3 * 64 * 64; i++) assert_true(fabsf(x->warped[i] - x->target[i]) < 2e-3f);
    double inside = 0;
    for (size_t i = 0; i < 8 * 64 * 64; i++) {
        assert_true(x->mask[i] >= 0 && x->mask[i] <= 1);
        inside += (double)x->mask[i] / (8 * 64 * 64);
    }
    assert_true(inside > 0.15 && inside < 0.6);
    lk_sampler_stop(a);
}

static void test_holdout(void **state) {
    (void)state;
    for (int percent = 1; percent <= 50; percent += 7) {
        int held = 0, stretches = 0;
        for (int frame = 0; frame < 5000; frame++) {
            bool now = lk_held_out(frame, 5000, percent);
            stretches += now && (frame == 0 || !lk_held_out(frame - 1, 5000, percent));
            held += now;
        }
        assert_true(abs(held - 50 * percent) <= 2 + stretches);
        assert_int_equal(stretches, (int)round(percent)); /* of 50 frames each */
    }
    assert_false(lk_held_out(5, 10, 0));
    int held = 0;
    for (int frame = 0; frame < 100; frame++) held += lk_held_out(frame, 100, 5);
    assert_int_equal(held, 5); /* one stretch at least */
    /* In a pool: faces of those frames are not there. */
    lk_error err = {0};
    lk_pool part;
    test_ok(lk_pool_open(&part, "src", &paths[0], &config, 25, LK_MIB(64), &err), &err);
    assert_int_equal(part.count, 18);
    for (int i = 0; i < part.count; i++) assert_false(lk_held_out(part.faces[i].id - 1, 24, 25));
    lk_pool_close(&part);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_jpegs_in_memory),
        cmocka_unit_test(test_every_face_comes),
        cmocka_unit_test(test_several_facesets),
        cmocka_unit_test(test_by_yaw),
        cmocka_unit_test(test_by_expression),
        cmocka_unit_test(test_features),
        cmocka_unit_test(test_swap_sides),
        cmocka_unit_test(test_what_options_change),
        cmocka_unit_test(test_no_warp),
        cmocka_unit_test(test_holdout),
    };
    return cmocka_run_group_tests(tests, open_pools, close_pools);
}
