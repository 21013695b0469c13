/* Evaluation: its figures against NumPy's, and what they say of models whose quality is known beforehand, on real faces. */
#include "real.h"

#include <signal.h>
#include <sys/wait.h>

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
    lk_error err = {0};
    stage *s = calloc(1, sizeof *s);
    s->folder = test_folder();
    s->src = lk_format(&err, "%s", LK_REAL "/many/src.faces");
    s->dst = lk_format(&err, "%s", LK_REAL "/many/dst.faces");
    s->model = lk_format(&err, "%s/model", s->folder);
    s->sheet = lk_format(&err, "%s/sheet.png", s->folder);
    *state = s;
    return 0;
}

static int clear_stage(void **state) {
    stage *s = *state;
    if (!s) return 0; /* setting it failed */
    test_remove_folder(s->folder);
    free(s->src);
    free(s->dst);
    free(s->model);
    free(s->sheet);
    free(s);
    return 0;
}

/* Under the sanitizers fifty iterations take minutes, and what they teach is the same: there the model stays a beginner, whose
 * faces are evaluated by the same code, and not judged. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { LEARNS = false, ITERATIONS = 3 };
#else
enum { LEARNS = true, ITERATIONS = 50 };
#endif

static void assert_better(const lk_evaluation *last, const lk_evaluation *first) {
    for (int i = 0; i < 2; i++) {
        assert_true(last->reconstruction[i].ssim > first->reconstruction[i].ssim + 0.05);
        assert_true(last->reconstruction[i].psnr > first->reconstruction[i].psnr + 2);
        assert_true(last->reconstruction[i].mask_iou > 0.6);
    }
    assert_true(last->lost < 0.2 && last->lost <= first->lost);
    assert_true(last->landmarks > last->landmarks_real * 0.5 && last->landmarks < 30);
    assert_true(last->flicker > 0.02 && last->flicker < 3);
}

static void more_training_is_better(void **state) {
    stage *s = *state;
    lk_error err = {0};
    train(s->model, s->src, s->dst, 2);
    lk_evaluation first = evaluate(s->model, s->src, s->dst, NULL);
    train(s->model, s->src, s->dst, ITERATIONS);
    lk_evaluation last = evaluate(s->model, s->src, s->dst, s->sheet);
    char *text = lk_evaluation_text(&last, &err);
    fputs(text, stdout);
    if (LEARNS) assert_better(&last, &first);
    for (int i = 0; i < 2; i++) assert_int_equal(last.faces[i], 12);
    assert_true(last.src_src > last.src_dst + 0.1 && last.dst_dst > last.src_dst + 0.1);
    assert_int_equal(last.pairs, 11); /* one stretch */
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
    if (LEARNS && !(e.swap_src > other.swap_src))
        fail_msg("%.3f like himself, and %.3f when another is swapped", e.swap_src, other.swap_src);
}

/* ---- While training -------------------------------------------------------------------------------------- */

#define FEW_SRC LK_REAL "/few/src.faces"
#define FEW_DST LK_REAL "/few/dst.faces"

static lk_train_job watched_job(const stage *s, const char *model, int64_t iterations, int64_t every) {
    lk_train_job job = tiny_job(s->folder, model, iterations);
    lk_error err = {0};
    lk_strings_free(&job.src);
    lk_strings_free(&job.dst);
    test_ok(lk_strings_add(&job.src, FEW_SRC, &err) && lk_strings_add(&job.dst, FEW_DST, &err), &err);
    job.options.holdout = 20;
    job.options.evaluate_every = every;
    job.options.save_every_iterations = 3;
    return job;
}

static char *file_of(const stage *s, const char *model, const char *name) {
    char *path = lk_format(NULL, "%s/%s/%s", s->folder, model, name);
    void *data;
    size_t size;
    lk_error err = {0};
    test_ok(lk_file_read(path, LK_MIB(16), &data, &size, &err), &err);
    free(path);
    return data;
}

/* Rows without their seconds, which differ from run to run. */
static int same_rows(char *a, char *b) {
    char *rest_a = a, *rest_b = b, *x, *y;
    int rows = 0;
    while ((x = strsep(&rest_a, "\n")) && (y = strsep(&rest_b, "\n")) && *x && *y) {
        assert_true(strtol(x, NULL, 10) == strtol(y, NULL, 10));
        assert_string_equal(strchr(strchr(x, ',') + 1, ','), strchr(strchr(y, ',') + 1, ','));
        rows++;
    }
    free(a);
    free(b);
    return rows - 1;
}

/* Evaluated on the way or not, in one run or several, killed or not: the same weights, and the same figures once each. */
static void on_the_way(void **state) {
    stage *s = *state;
    lk_error err = {0};
    lk_train_job plain = watched_job(s, "plain", 8, 0), whole = watched_job(s, "whole", 8, 2),
                 parts = watched_job(s, "parts", 5, 2);
    test_ok(lk_train(&plain, NULL, &err) && lk_train(&whole, NULL, &err) && lk_train(&parts, NULL, &err), &err);
    parts.options.iterations = 8;
    test_ok(lk_train(&parts, NULL, &err), &err);
    lk_record p = record_of(plain.model_dir), w = record_of(whole.model_dir), q = record_of(parts.model_dir);
    assert_string_equal(p.weights.sha256, w.weights.sha256);
    assert_string_equal(p.optimizer.sha256, w.optimizer.sha256);
    assert_string_equal(p.weights.sha256, q.weights.sha256);
    assert_int_equal(same_rows(file_of(s, "whole", "evaluation.csv"), file_of(s, "parts", "evaluation.csv")), 4);
    /* What the file says is what `evaluate` says of the save, up to the precision of training. */
    lk_evaluations rows;
    test_ok(lk_evaluations_read(&rows, whole.model_dir, &err), &err);
    assert_int_equal(rows.count, 4);
    lk_evaluation now = evaluate(whole.model_dir, FEW_SRC, FEW_DST, NULL), *last = &rows.rows[3].figures;
    assert_true(last->iteration == 8 && fabs(now.reconstruction[0].ssim - last->reconstruction[0].ssim) < 0.01);
    assert_true(fabs(now.src_dst - last->src_dst) < 0.01 && fabs(now.landmarks_real - last->landmarks_real) < 0.1);
    lk_evaluations_close(&rows);
    lk_record_free(&p);
    lk_record_free(&w);
    lk_record_free(&q);
    tiny_job_free(&plain);
    tiny_job_free(&whole);
    tiny_job_free(&parts);
}

/* Iterations of the rows of a model's file, each in one digit. */
static void assert_rows(const stage *s, const char *model, const char *name, const char *iterations) {
    char *text = file_of(s, model, name), *rest = text, digits[16] = "", *row;
    strsep(&rest, "\n");
    while ((row = strsep(&rest, "\n")) && *row && strlen(digits) < 15)
        snprintf(digits + strlen(digits), 2, "%ld", strtol(row, NULL, 10));
    assert_string_equal(digits, iterations);
    free(text);
}

/* Restored to a backup and gone on with, later rows are gone; again from another backup, and they come again. */
static void restored(void **state) {
    stage *s = *state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* takes long, and tells nothing more there */
#endif
    lk_error err = {0};
    lk_train_job job = watched_job(s, "restored", 8, 2);
    job.options.backup_every_iterations = 2;
    test_ok(lk_train(&job, NULL, &err) && lk_model_restore(job.model_dir, "2", &err), &err);
    job.options.iterations = 3;
    test_ok(lk_train(&job, NULL, &err), &err);
    assert_rows(s, "restored", "history.csv", "123");
    assert_rows(s, "restored", "evaluation.csv", "2");
    job.options.iterations = 7;
    job.options.batch = 2;
    static bool said[64];
    memcpy(said, job.options_given, sizeof said);
    for (int i = 0; lk_train_option_table[i].name; i++) said[i] |= strcmp(lk_train_option_table[i].name, "batch") == 0;
    job.options_given = said;
    test_ok(lk_train(&job, NULL, &err) && lk_model_restore(job.model_dir, "6", &err), &err);
    job.options.iterations = 8;
    test_ok(lk_train(&job, NULL, &err), &err);
    assert_rows(s, "restored", "history.csv", "12345678");
    assert_rows(s, "restored", "evaluation.csv", "2468");
    tiny_job_free(&job);
}

static void die_at_third_evaluation(lk_log_level level, const char *line, void *user) {
    int *evaluations = user;
    (void)level;
    if (strstr(line, "unseen faces") && ++*evaluations == 3) kill(getpid(), SIGKILL);
}

/* What the child does in killed_on_the_way. A process of its own: OpenMP's threads do not survive a fork. */
static int train_until_killed(char *folder) {
    int evaluations = 0;
    lk_error err = {0};
    stage s = {.folder = folder};
    lk_train_job job = watched_job(&s, "killed", 8, 2);
    lk_log_to(die_at_third_evaluation, &evaluations);
    lk_train(&job, NULL, &err);
    return 1;
}

/* Killed when it has evaluated twice since it began and once since its last save, and gone on with. */
static void killed_on_the_way(void **state) {
    stage *s = *state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* takes long, and tells nothing more there */
#endif
    lk_error err = {0};
    char *model = lk_path_join(s->folder, "killed", &err);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/proc/self/exe", "test_evaluate", s->folder, (char *)NULL);
        _exit(98);
    }
    int status;
    assert_true(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    assert_int_equal(same_rows(file_of(s, "killed", "evaluation.csv"), file_of(s, "whole", "evaluation.csv")), 2);
    /* What was evaluated after the last save is gone as soon as training is there again. */
    lk_record r = record_of(model);
    assert_int_equal(r.iteration, 3);
    lk_train_job job = watched_job(s, "killed", r.iteration, 2);
    test_ok(lk_train(&job, NULL, &err), &err);
    lk_evaluations rows;
    test_ok(lk_evaluations_read(&rows, model, &err), &err);
    assert_int_equal(rows.count, r.iteration / 2);
    lk_evaluations_close(&rows);
    lk_record_free(&r);
    job.options.iterations = 8;
    test_ok(lk_train(&job, NULL, &err), &err);
    assert_int_equal(same_rows(file_of(s, "whole", "evaluation.csv"), file_of(s, "killed", "evaluation.csv")), 4);
    tiny_job_free(&job);
    free(model);
}

static void plotted(void **state) {
    stage *s = *state;
    lk_error err = {0};
    char *model = lk_format(&err, "%s/whole", s->folder), *png = lk_format(&err, "%s/whole/evaluation.png", s->folder);
    lk_image plot = {0};
    test_ok(lk_image_load(png, &plot, &err), &err); /* made on the way */
    assert_true(plot.width == 1200 && plot.height == 720);
    lk_image_free(&plot);
    test_ok(lk_model_plot_evaluation(model, png, 800, 480, &err) && lk_image_load(png, &plot, &err), &err);
    /* In each of the six plots there is a line of src or of what stands in its place. */
    for (int i = 0; i < 6; i++) {
        int blue = 0;
        for (int y = i / 2 * 160 + 20; y < i / 2 * 160 + 130; y++)
            for (int x = i % 2 * 400 + 57; x < i % 2 * 400 + 384; x++) {
                const uint8_t *p = lk_row_u8(&plot, y) + 3 * x;
                blue += p[0] == 30 && p[1] == 100 && p[2] == 200;
            }
        if (i != 5 && blue < 200) fail_msg("plot %d has no line", i);
    }
    lk_image_free(&plot);
    assert_false(lk_model_plot_evaluation(s->folder, png, 800, 480, &err));
    assert_non_null(strstr(err.message, "has no evaluations: train with --holdout"));
    free(model);
    free(png);
}

static void no_faces_to_judge_by(void **state) {
    stage *s = *state;
    lk_error err = {0};
    lk_train_job job = watched_job(s, "without", 4, 2);
    job.options.holdout = 0;
    assert_false(lk_train(&job, NULL, &err));
    assert_non_null(strstr(err.message, "--evaluate-every needs faces that training does not show: say --holdout 5"));
    assert_false(lk_file_exists(job.model_dir));
    tiny_job_free(&job);
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

int main(int argc, char **argv) {
    if (argc > 1) return train_until_killed(argv[1]);
    const struct CMUnitTest plain[] = {cmocka_unit_test(figures_of_a_picture)};
    const struct CMUnitTest real[] = {cmocka_unit_test(more_training_is_better),
                                      cmocka_unit_test(same_person),
                                      cmocka_unit_test(on_the_way),
                                      cmocka_unit_test(restored),
                                      cmocka_unit_test(killed_on_the_way),
                                      cmocka_unit_test(plotted),
                                      cmocka_unit_test(no_faces_to_judge_by),
                                      cmocka_unit_test(refused)};
    int failed = cmocka_run_group_tests(plain, NULL, NULL);
    if (!have_real_faces()) return failed ? failed : real_skipped();
    return failed + cmocka_run_group_tests(real, set_stage, clear_stage);
}
