/* Samples that a GPU draws, on the stand-in for one: those of the processor, from the same random numbers; and a training
 * that is fed by them. */
#include "made_up.h"
#include "on_device.h"

#define SIDE  64
#define BATCH 3

enum { PIXELS = SIDE * SIDE, SAMPLES = 2 * BATCH };

typedef struct pictures {
    float warped[SAMPLES * PIXELS * 3], target[SAMPLES * PIXELS * 3], mask[SAMPLES * PIXELS];
    float features[SAMPLES * PIXELS];
} pictures;

static lk_strings paths[2];
static lk_pool pools[2];

/* src's faces are larger than the model needs, and averaged down; dst's have masks of their own. */
static int open_pools(void **state) {
    lk_error err = {0};
    lk_swap_config c = tiny_config();
    char *folder = test_folder();
    *state = folder;
    test_ok(lk_swap_complete(&c, &err), &err);
    for (int i = 0; i < 2; i++) {
        char *path = lk_path_join(folder, i ? "dst.faces" : "src.faces", &err);
        made_up_faces(path, &(made_up_set){5, i ? 72 : 200, LK_FACE_FULL, -30, 30, (uint64_t)i, 0});
        test_ok(lk_strings_add(&paths[i], path, &err) &&
                    lk_pool_open(&pools[i], i ? "dst" : "src", &paths[i], &c, 0, LK_MIB(64), &err),
                &err);
        free(path);
        for (int k = 0; k < pools[i].count; k++) {
            lk_pool_face *f = &pools[i].faces[k];
            for (int v = 0; v < 3; v++) {
                f->mean[v] = (float)(40 - 15 * v + 5 * i + k);
                f->std[v] = (float)(6 + 2 * v + 3 * i);
            }
            if (i == 0) continue;
            test_ok(lk_image_alloc(&f->mask, f->side, f->side, 1, LK_U8, &err), &err);
            for (int y = 0; y < f->side; y++)
                for (int x = 0; x < f->side; x++)
                    lk_row_u8(&f->mask, y)[x] = (uint8_t)(x > 12 && y > 9 ? 255 - 2 * x : 0);
        }
    }
    return 0;
}

static int close_pools(void **state) {
    for (int i = 0; i < 2; i++) {
        lk_pool_close(&pools[i]);
        lk_strings_free(&paths[i]);
    }
    test_remove_folder(*state);
    return 0;
}

/* With the options that change a sample. */
static void draw(const char *const *set, bool described, pictures *p) {
    lk_error err = {0};
    lk_swap_objective objective = {0};
    lk_train_options o = {0};
    lk_settings s;
    test_ok(lk_options_defaults(lk_swap_objective_options, &objective, &err) &&
                lk_options_defaults(lk_train_option_table, &o, &err),
            &err);
    objective.features = 1;
    o.batch = BATCH;
    test_ok(lk_settings_start(&s, &objective, &o, &err), &err);
    for (; *set; set += 2) test_ok(lk_settings_set(&s, set[0], set[1], &err), &err);
    lk_sampler_job job = {.src = &pools[0],
                          .dst = &pools[1],
                          .settings = &s,
                          .resolution = SIDE,
                          .iteration = 4,
                          .threads = 2,
                          .described = described};
    lk_sampler *sampler = lk_sampler_start(&job, &err);
    lk_batch *b = sampler ? lk_sampler_next(sampler, &err) : NULL;
    test_ok(b != NULL, &err);
    assert_int_equal(b->count, BATCH);
    if (described) {
        assert_null(b->warped);
        draw_on_device(b, SIDE, p->warped, p->target, p->mask, p->features);
    } else {
        memcpy(p->warped, b->warped, sizeof p->warped);
        memcpy(p->target, b->target, sizeof p->target);
        memcpy(p->mask, b->mask, sizeof p->mask);
        memcpy(p->features, b->features, sizeof p->features);
    }
    lk_sampler_give_back(sampler, b);
    lk_sampler_stop(sampler);
}

static double apart(const float *a, const float *b, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

static void test_same_samples(void **state) {
    (void)state;
    static const char *const sets[][9] = {{NULL},
                                          {"color-transfer", "yes", "src-scale", "12", NULL},
                                          {"warp", "200", "flip", "yes", "swap-sides", "yes", NULL}};
    static pictures ours, theirs;
    for (size_t k = 0; k < LK_COUNT(sets); k++) {
        draw(sets[k], false, &ours);
        draw(sets[k], true, &theirs);
        /* Coordinates are float32 there, and double here. */
        double most = k == 1 ? 2e-4 : 5e-5;
        assert_true(apart(ours.warped, theirs.warped, LK_COUNT(ours.warped)) < most);
        assert_true(apart(ours.target, theirs.target, LK_COUNT(ours.target)) < most);
        assert_true(apart(ours.mask, theirs.mask, LK_COUNT(ours.mask)) < 5e-5);
        assert_true(apart(ours.features, theirs.features, LK_COUNT(ours.features)) < 5e-5);
        double sum = 0;
        for (size_t i = 0; i < LK_COUNT(ours.mask); i++) sum += (double)(ours.mask[i] + ours.features[i]);
        assert_true(sum > 0.2 * SAMPLES * PIXELS);
    }
}

/* An iteration by the processor and by the stand-in, whose libraries take TF32: the same losses. */
static void test_training(void **state) {
    (void)state;
    char *folder = tiny_folder();
    lk_train_report report[2];
    for (int gpu = 0; gpu < 2; gpu++) {
        lk_error err = {0};
        lk_train_job job = tiny_job(folder, gpu ? "gpu" : "cpu", 1);
        job.options.device = gpu ? LK_NN_WISH_GPU : LK_NN_WISH_CPU;
        job.options.precision = gpu ? LK_NN_TF32 : LK_NN_F32;
        test_ok(lk_train(&job, &report[gpu], &err), &err);
        tiny_job_free(&job);
    }
    assert_true(report[0].iteration == 1 && report[1].iteration == 1);
    assert_float_equal(report[0].src_loss, report[1].src_loss, 1e-3 * (double)report[0].src_loss);
    assert_float_equal(report[0].dst_loss, report[1].dst_loss, 1e-3 * (double)report[0].dst_loss);
    test_remove_folder(folder);
}

/* Samples that are drawn while the step before is under way are those that are drawn after it: one run of two iterations learns
 * what two runs of one do. */
static void test_ahead(void **state) {
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip();
#endif
    char *folder = tiny_folder();
    static const int64_t until[2][2] = {{2, 2}, {1, 2}};
    char learned[2][65];
    for (int kind = 0; kind < 2; kind++)
        for (int run = kind ? 0 : 1; run < 2; run++) {
            lk_error err = {0};
            lk_train_job job = tiny_job(folder, kind ? "two" : "one", until[kind][run]);
            job.options.device = LK_NN_WISH_GPU;
            job.options.precision = LK_NN_BF16;
            job.options.average = false;
            test_ok(lk_train(&job, NULL, &err), &err);
            lk_record r = record_of(job.model_dir);
            memcpy(learned[kind], r.weights.sha256, sizeof learned[kind]);
            lk_record_free(&r);
            tiny_job_free(&job);
        }
    assert_string_equal(learned[0], learned[1]);
    test_remove_folder(folder);
}

/* The stand-in has 160 MiB: what is too large for it is refused with what would fit, and that fits. */
static void test_too_large(void **state) {
    (void)state;
    char *folder = tiny_folder();
    lk_error err = {0};
    lk_train_job job = tiny_job(folder, "large", 1);
    job.options.device = LK_NN_WISH_GPU;
    job.options.batch = 300;
    assert_false(lk_train(&job, NULL, &err));
    const char *advice = strstr(err.message, "--batch ");
    assert_non_null(advice);
    int batch = atoi(advice + strlen("--batch "));
    assert_in_range(batch, 1, 299);
    for (int more = 0; more < 2; more++) {
        lk_nn_memory m;
        lk_nn_options o = {.train = true, .device = LK_NN_GPU, .precision = LK_NN_BF16, .imagined = true};
        o.memory = LK_MIB(160) - LK_MIB(160) / 16;
        lk_nn_graph *g =
            lk_swap_training_graph(&job.config, lk_swap_terms(&job.config, &job.objective, 0), batch + more, &err);
        test_ok(g && lk_nn_plan(g, &o, &m, &err), &err);
        lk_nn_graph_free(g);
        assert_true((m.total <= o.memory) == !more);
    }
    tiny_job_free(&job);
    test_remove_folder(folder);
}

/* A card that is imagined takes what the one at hand takes, but for its libraries' workspace. */
static void test_imagined(void **state) {
    (void)state;
    lk_error err = {0};
    lk_swap_config c = tiny_config();
    lk_swap_objective objective = {0};
    c.lighter = false; /* its layers in groups are not taken by the stand-in's libraries */
    test_ok(lk_swap_complete(&c, &err), &err);
    for (int k = 0; k < 8; k++) {
        lk_nn_memory here, imagined;
        lk_nn_options o = {.train = true,
                           .device = LK_NN_GPU,
                           .precision = k / 4 ? LK_NN_BF16 : LK_NN_F32,
                           .optimizer_memory = LK_NN_STATES_FULL + k % 4};
        lk_nn_graph *g = lk_swap_training_graph(&c, lk_swap_terms(&c, &objective, 0), 3, &err);
        test_ok(g && lk_nn_plan(g, &o, &here, &err), &err);
        o.imagined = true;
        test_ok(lk_nn_plan(g, &o, &imagined, &err), &err);
        lk_nn_graph_free(g);
        assert_int_equal(here.weights, imagined.weights);
        assert_int_equal(here.optimizer, imagined.optimizer);
        assert_int_equal(here.host, imagined.host);
        assert_int_equal(here.activations, imagined.activations);
        assert_true(imagined.total >= here.total && imagined.workspace <= here.workspace + LK_MIB(40));
    }
}

int main(void) {
    lk_backend_gpu = &lk_backend_cuda;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_samples), cmocka_unit_test(test_training),
                                       cmocka_unit_test(test_ahead), cmocka_unit_test(test_too_large),
                                       cmocka_unit_test(test_imagined)};
    return cmocka_run_group_tests(tests, open_pools, close_pools);
}
