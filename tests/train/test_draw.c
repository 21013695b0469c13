/* Pictures that the training graph draws for previews and evaluations are those of the prediction graph, and drawing them
 * changes nothing in the training. */
#include "made_up.h"

enum { SIDE = 64, COUNT = 3, NUMBERS = COUNT * SIDE * SIDE };

typedef struct pictures {
    float faces[2][3 * NUMBERS], image[3][3 * NUMBERS], mask[3][NUMBERS]; /* src, dst, swap */
} pictures;

static void make_faces(pictures *p) {
    lk_rng r = lk_rng_make(11, 0);
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < 3 * NUMBERS; i++) p->faces[s][i] = (float)lk_rng_uniform(&r, 0, 1);
}

static void predict(const lk_swap_config *c, const lk_nn_exec *trained, pictures *p) {
    static const char *const images[] = {"src", "dst", "swap"}, *const masks[] = {"src_mask", "dst_mask", "mask"};
    lk_error err = {0};
    lk_nn_graph *g = lk_swap_predict_graph(c, COUNT, true, &err);
    lk_nn_exec *e = g ? lk_nn_compile(g, &(lk_nn_options){0}, &err) : NULL;
    lk_nn_graph_free(g);
    test_ok(e != NULL, &err);
    assert_int_equal(lk_nn_copy_params(e, trained), lk_nn_param_count(trained));
    memcpy(lk_nn_data(e, lk_nn_find(e, "src_face")), p->faces[0], sizeof p->faces[0]);
    memcpy(lk_nn_data(e, lk_nn_find(e, "face")), p->faces[1], sizeof p->faces[1]);
    test_ok(lk_nn_run(e, &err), &err);
    for (int k = 0; k < 3; k++) {
        memcpy(p->image[k], lk_nn_data(e, lk_nn_find(e, images[k])), sizeof p->image[k]);
        memcpy(p->mask[k], lk_nn_data(e, lk_nn_find(e, masks[k])), sizeof p->mask[k]);
    }
    lk_nn_free(e);
}

static void near(const char *what, const float *got, const float *want, int count) {
    for (int i = 0; i < count; i++)
        if (!(fabsf(got[i] - want[i]) < 1e-4f))
            fail_msg("%s[%d] is %g, not %g", what, i, (double)got[i], (double)want[i]);
}

/* Batches of 2 for 3 faces: the last is not full. */
static void same_pictures(int arch, int inner, bool style) {
    lk_error err = {0};
    lk_swap_config c = tiny_config();
    c.arch = arch;
    c.inner = inner;
    c.learn_mask = true;
    if (arch == LK_ARCH_H64)
        c = (lk_swap_config){.arch = LK_ARCH_H64, .face_type = LK_SWAP_FACE_AUTO, .lighter = true, .learn_mask = true};
    test_ok(lk_swap_complete(&c, &err), &err);
    lk_now_set now = {.options = {.batch = 2, .precision = LK_NN_F32, .device = LK_NN_WISH_CPU}};
    now.objective.face_style = style ? 10 : 0;
    lk_network n = {0};
    test_ok(lk_network_fit(&n, &c, &now, 0, 7, &err), &err);
    pictures *drawn = calloc(2, sizeof *drawn), *want = drawn + 1;
    assert_non_null(drawn);
    make_faces(drawn);
    *want = *drawn;
    predict(&c, n.exec, want);
    const lk_portraits src = {drawn->faces[0], drawn->image[0], drawn->mask[0]},
                       dst = {drawn->faces[1], drawn->image[1], drawn->mask[1]},
                       swap = {drawn->faces[1], drawn->image[2], drawn->mask[2]};
    test_ok(lk_network_draw(&n, COUNT, &src, &dst, &err) && lk_network_draw(&n, COUNT, &swap, NULL, &err), &err);
    static const char *const names[] = {"src", "dst", "swap"};
    for (int k = 0; k < 3; k++) {
        near(names[k], drawn->image[k], want->image[k], 3 * NUMBERS);
        near(names[k], drawn->mask[k], want->mask[k], NUMBERS);
    }
    free(drawn);
    lk_network_free(&n);
}

static void test_same_pictures(void **state) {
    (void)state;
    same_pictures(LK_ARCH_SAE, LK_SAE_DF, false);
    same_pictures(LK_ARCH_SAE, LK_SAE_DF, true);
    same_pictures(LK_ARCH_SAE, LK_SAE_LIAE, true);
    same_pictures(LK_ARCH_H64, LK_SAE_DF, false);
}

/* With a picture after each iteration and with none, to the bit. */
static void test_previews_change_nothing(void **state) {
    (void)state;
    char *folder = tiny_folder();
    lk_error err = {0};
    lk_train_job plain = tiny_job(folder, "plain", 4), watched = tiny_job(folder, "watched", 4);
    watched.options.preview_every = 1;
    test_ok(lk_train(&plain, NULL, &err) && lk_train(&watched, NULL, &err), &err);
    lk_record a = record_of(plain.model_dir), b = record_of(watched.model_dir);
    assert_string_equal(a.weights.sha256, b.weights.sha256);
    assert_string_equal(a.optimizer.sha256, b.optimizer.sha256);
    lk_record_free(&a);
    lk_record_free(&b);
    tiny_job_free(&plain);
    tiny_job_free(&watched);
    test_remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_pictures),
                                       cmocka_unit_test(test_previews_change_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
