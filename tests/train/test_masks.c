/* Masks of the faces file in training: a face with one is learned within it in place of the hull. */
#include "made_up.h"

#include "likeness/masks.h"

#define SIDE 64 /* of the model */

static char *folder, *path;
static lk_error err;

static int setup(void **state) {
    (void)state;
    err = (lk_error){0};
    folder = test_folder();
    path = lk_path_join(folder, "a.faces", &err);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    free(path);
    test_remove_folder(folder);
    return 0;
}

/* Faces 0, 1 and 2 are painted over: wholly face, nothing of it, and what the hull has. Face 3 has no mask. */
static void paint(int size) {
    made_up_faces(path, &(made_up_set){4, size, LK_FACE_FULL, -20, 20, 7, 0});
    lk_faceset *s = lk_faceset_open(path, true, &err);
    lk_face *f = calloc(1, sizeof *f);
    int64_t *ids, count = s ? lk_faceset_ids(s, NULL, &ids, &err) : -1;
    assert_non_null(f);
    test_ok(count == 4, &err);
    for (int i = 0; i < 3; i++) {
        lk_image m;
        test_ok(lk_faceset_get(s, ids[i], f, &err) && lk_faceset_mask(s, f, 0, &m, NULL, &err), &err);
        if (i < 2) memset(m.data, i ? 0 : 255, (size_t)size * (size_t)size);
        test_ok(lk_faceset_put_mask(s, f, LK_MASK_KIND_PAINTED, &m, &err), &err);
        lk_image_free(&m);
    }
    free(ids);
    free(f);
    lk_faceset_close(s);
}

/* Of a large crop, which is averaged down, and of a small one. */
static void test_samples(void **state) {
    (void)state;
    static const int sizes[] = {256, 80};
    for (int k = 0; k < 2; k++) {
        enum { PIXELS = SIDE * SIDE };
        static float warped[3 * PIXELS], target[3 * PIXELS], masks[4][PIXELS], hull[PIXELS], features[4][PIXELS];
        lk_pool pool;
        lk_strings paths = {0};
        lk_swap_config c = tiny_config();
        paint(sizes[k]);
        test_ok(lk_swap_complete(&c, &err) && lk_strings_add(&paths, path, &err) &&
                    lk_pool_open(&pool, "src", &paths, &c, 0, LK_MIB(64), &err),
                &err);
        assert_int_equal(pool.count, 4);
        lk_sample_room *room = lk_sample_room_new(SIDE, &err);
        for (int i = 0; i < 4; i++) {
            lk_image crop;
            lk_rng rng = lk_rng_make(1, 2); /* each in the same place */
            test_ok(lk_pool_crop(&pool, i, &crop, &err), &err);
            assert_true((pool.faces[i].mask.data != NULL) == (i < 3));
            if (i < 3) assert_int_equal(pool.faces[i].mask.width, pool.faces[i].side);
            test_ok(lk_sample_make(room, &pool.faces[i], &crop, &(lk_augment){.warp = 1}, &rng, warped, target,
                                   masks[i], features[i], &err),
                    &err);
            lk_image_free(&crop);
            if (i != 2) continue;
            lk_pool_face bare = pool.faces[i];
            bare.mask = (lk_image){0};
            rng = lk_rng_make(1, 2);
            test_ok(lk_pool_crop(&pool, i, &crop, &err) && lk_sample_make(room, &bare, &crop, &(lk_augment){.warp = 1},
                                                                          &rng, warped, target, hull, NULL, &err),
                    &err);
            lk_image_free(&crop);
        }
        double seen[4] = {0}, all = 0, nothing = 0, apart = 0, some = 0;
        for (int i = 0; i < PIXELS; i++) {
            for (int n = 0; n < 4; n++) seen[n] += (double)features[n][i];
            all += (double)masks[0][i] / PIXELS;
            nothing += (double)masks[1][i] / PIXELS;
            apart += fabs((double)masks[2][i] - (double)hull[i]) / PIXELS;
            some += (double)masks[3][i] / PIXELS;
        }
        assert_true(all > 0.9); /* but for what lies beyond the crop */
        assert_true(nothing == 0);
        assert_true(seen[0] > 0 && seen[1] == 0 && seen[3] > 0); /* eyes and mouth that are hidden count for nothing */
        assert_true(apart < 0.01);
        assert_true(some > 0.2 && some < 0.8);
        lk_sample_room_free(room);
        lk_pool_close(&pool);
        lk_strings_free(&paths);
        unlink(path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_samples, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
