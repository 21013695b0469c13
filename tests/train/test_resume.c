/* Training stopped and gone on with is the training that was never stopped; what was said is remembered; what cannot
 * be is refused before anything is written. */
#include "real.h"

static char *folder;

static int make_folder(void **state) {
    (void)state;
    folder = real_folder();
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

static lk_train_report train(lk_train_job *job) {
    lk_error err = {0};
    lk_train_report report;
    test_ok(lk_train(job, &report, &err), &err);
    return report;
}

static void refuse(lk_train_job *job, lk_errcode code, const char *words) {
    lk_error err = {0};
    lk_train_report report;
    assert_false(lk_train(job, &report, &err));
    if (!strstr(err.message, words)) fail_msg("'%s' without '%s'", err.message, words);
    assert_int_equal(err.code, code);
}

static int rows_of(const char *model_dir) {
    char *path = lk_path_join(model_dir, "history.csv", NULL);
    void *data;
    size_t size;
    lk_error err = {0};
    test_ok(lk_file_read(path, LK_MIB(1), &data, &size, &err), &err);
    int rows = -1; /* the header */
    for (const char *c = data; *c; c++) rows += *c == '\n';
    free(data);
    free(path);
    return rows;
}

/* Weights, moments, order of faces and every draw: to the bit, over a change of batch on the way. */
static void test_same_trajectory(void **state) {
    (void)state;
    lk_error err = {0};
    lk_train_job whole = tiny_job(folder, "whole", 6), parts = tiny_job(folder, "parts", 2);
    test_ok(lk_strings_add(&whole.set, "batch=1@0,2@3", &err) && lk_strings_add(&parts.set, "batch=1@0,2@3", &err),
            &err);
    train(&whole);
    train(&parts);
    lk_strings_free(&parts.set);
    parts.options.iterations = 6;
    lk_train_report report = train(&parts);
    assert_true(report.first == 2 && report.iteration == 6);
    lk_record a = record_of(whole.model_dir), b = record_of(parts.model_dir);
    assert_true(a.iteration == 6 && b.iteration == 6 && a.position == 9 && b.position == 9);
    assert_string_equal(a.weights.sha256, b.weights.sha256);
    assert_string_equal(a.optimizer.sha256, b.optimizer.sha256);
    assert_int_equal(rows_of(whole.model_dir), 6);
    assert_int_equal(rows_of(parts.model_dir), 6);
    lk_record_free(&a);
    lk_record_free(&b);
    tiny_job_free(&whole);
    tiny_job_free(&parts);
}

/* Rows after the save are cut off, and so is what does not follow on the row before it or was not written to its end. */
static void test_history(void **state) {
    (void)state;
    static const char *const kept = "iteration,seconds,src_loss,dst_loss,batch\n1,1,2,3,4\n2,1,2,3,4\n5,1,2,3,4\n";
    char *path = lk_path_join(folder, "history.csv", NULL), text[300];
    for (int i = 0; i < 4; i++) {
        lk_error err = {0};
        lk_history h;
        snprintf(text, sizeof text, "%s%s", kept,
                 i == 0   ? ""
                 : i == 1 ? "5,0,0,0,1\n3,9,9,9,9\n"
                 : i == 2 ? "7,1,2,3,4\n8,1,2"
                          : "6,1");
        test_ok(lk_file_write(path, text, strlen(text), &err) && lk_history_open(&h, folder, 6, &err) &&
                    lk_history_add(&h, 7, 1.5, 0.25, 0.5, 8, &err),
                &err);
        lk_history_close(&h);
        void *data;
        size_t size;
        test_ok(lk_file_read(path, LK_MIB(1), &data, &size, &err), &err);
        snprintf(text, sizeof text, "%s7,1.500,0.25,0.5,8\n", kept);
        assert_string_equal(data, text);
        free(data);
    }
    unlink(path);
    free(path);
}

/* Adam's states that are kept in fewer bytes come back from a file as they were; `then`: a change to others goes on from
 * there. */
static void check_states(const char *states, const char *then) {
    lk_error err = {0};
    char names[3][40], set[60];
    for (int i = 0; i < 3; i++) snprintf(names[i], sizeof names[i], "%s-states-%d", states, i);
    snprintf(set, sizeof set, "optimizer-memory=%s", states);
    lk_train_job full = tiny_job(folder, names[0], 6), whole = tiny_job(folder, names[1], 6),
                 parts = tiny_job(folder, names[2], 3);
    test_ok(lk_strings_add(&whole.set, set, &err) && lk_strings_add(&parts.set, set, &err), &err);
    train(&full);
    train(&whole);
    train(&parts);
    parts.options.iterations = 6;
    train(&parts);
    lk_record f = record_of(full.model_dir), a = record_of(whole.model_dir), b = record_of(parts.model_dir);
    assert_string_equal(a.weights.sha256, b.weights.sha256);
    assert_string_equal(a.optimizer.sha256, b.optimizer.sha256);
    if (lk_nn_has_bf16()) assert_string_not_equal(a.weights.sha256, f.weights.sha256);
    lk_strings_free(&parts.set);
    test_ok(lk_strings_add(&parts.set, then, &err), &err);
    parts.options.iterations = 10;
    train(&parts);
    lk_record_free(&f);
    lk_record_free(&a);
    lk_record_free(&b);
    tiny_job_free(&full);
    tiny_job_free(&whole);
    tiny_job_free(&parts);
}

static void test_short_states(void **state) {
    (void)state;
    check_states("short", "optimizer-memory=short@0,full@7,short@8,factored@9");
}

static void test_factored_states(void **state) {
    (void)state;
    check_states("factored", "optimizer-memory=factored@0,full@7,factored@8,short@9");
}

/* Within less memory activations are computed again, and what is learned is the same to the bit; within too little nothing
 * begins, and the message says how much is enough. */
static void test_memory(void **state) {
    (void)state;
    lk_error err = {0};
    lk_train_job plain = tiny_job(folder, "memory-plain", 4), tight = tiny_job(folder, "memory-tight", 2);
    lk_train_options least = plain.options;
    lk_train_needs whole, few;
    test_ok(lk_train_plan(&plain.config, &plain.objective, &least, &whole, &err), &err);
    least.memory = 1;
    test_ok(lk_train_plan(&plain.config, &plain.objective, &least, &few, &err), &err);
    assert_true(few.total < whole.total && few.network.again_flops > 0);
    train(&plain);
    char set[64];
    snprintf(set, sizeof set, "memory=%zu", few.total / 2);
    test_ok(lk_strings_add(&tight.set, set, &err), &err);
    assert_false(lk_train(&tight, NULL, &err));
    assert_int_equal(err.code, LK_ERR_MEMORY);
    const char *enough = strstr(err.message, "--memory ");
    assert_non_null(enough);
    lk_strings_free(&tight.set);
    snprintf(set, sizeof set, "memory=%zuM", (size_t)strtoul(enough + 9, NULL, 10));
    test_ok(lk_strings_add(&tight.set, set, &err), &err);
    train(&tight);
    tight.options.iterations = 4;
    train(&tight);
    lk_record a = record_of(plain.model_dir), b = record_of(tight.model_dir);
    assert_string_equal(a.weights.sha256, b.weights.sha256);
    assert_string_equal(a.optimizer.sha256, b.optimizer.sha256);
    lk_record_free(&a);
    lk_record_free(&b);
    tiny_job_free(&plain);
    tiny_job_free(&tight);
}

static void test_another_seed_is_another_training(void **state) {
    (void)state;
    lk_train_job a = tiny_job(folder, "seed1", 1), b = tiny_job(folder, "seed2", 1);
    b.options.seed = 2;
    train(&a);
    train(&b);
    lk_record p = record_of(a.model_dir), q = record_of(b.model_dir);
    assert_string_not_equal(p.weights.sha256, q.weights.sha256);
    lk_record_free(&p);
    lk_record_free(&q);
    tiny_job_free(&a);
    tiny_job_free(&b);
}

/* What was said once holds until something else is said, and the change is on record with its iteration. */
static void test_options_are_kept(void **state) {
    (void)state;
    lk_error err = {0};
    lk_train_job job = tiny_job(folder, "options", 1);
    job.options.flip = false;
    job.options.src_scale = -5;
    train(&job);
    test_ok(lk_options_defaults(lk_train_option_table, &job.options, &err), &err); /* not said: not taken */
    job.options.iterations = 2;
    test_ok(lk_strings_add(&job.set, "src_scale=-7.5", &err), &err);
    lk_strings_free(&job.src); /* remembered too */
    train(&job);
    lk_record r = record_of(job.model_dir);
    lk_now_set now;
    test_ok(lk_settings_at(&r.settings, 2, &now, &err), &err);
    assert_false(now.options.flip);
    assert_true(now.options.src_scale == -7.5 && now.options.batch == 1);
    assert_int_equal(json_array_size(r.changes), 2); /* the target iteration, and the scale */
    const json_t *change = json_array_get(r.changes, 1);
    assert_string_equal(json_string_value(json_object_get(change, "option")), "src-scale");
    assert_string_equal(json_string_value(json_object_get(change, "from")), "-5");
    assert_string_equal(json_string_value(json_object_get(change, "to")), "-7.5");
    assert_int_equal(json_integer_value(json_object_get(change, "iteration")), 1);
    assert_int_equal(r.src.count, 1);
    lk_record_free(&r);
    tiny_job_free(&job);
}

static void test_interrupt_saves(void **state) {
    (void)state;
    lk_train_job job = tiny_job(folder, "interrupted", 1000000);
    lk_interrupt_request();
    lk_train_report report = train(&job);
    lk_interrupt_clear();
    assert_true(report.interrupted && report.iteration == 0);
    lk_record r = record_of(job.model_dir);
    assert_int_equal(r.iteration, 0);
    char *preview = lk_path_join(job.model_dir, "preview/preview.png", NULL);
    lk_image sheet = {0};
    lk_error err = {0};
    test_ok(lk_image_load(preview, &sheet, &err), &err);
    assert_int_equal(sheet.height, 4 * 130 - 2); /* two pairs side by side, of five pictures */
    assert_int_equal(sheet.width, 2 * (5 * 130) + 10 - 2);
    lk_image_free(&sheet);
    free(preview);
    lk_record_free(&r);
    tiny_job_free(&job);
}

static void test_a_model_predicts(void **state) {
    (void)state;
    lk_error err = {0};
    lk_train_job job = tiny_job(folder, "predicts", 2);
    train(&job);
    lk_model *m = lk_model_open(job.model_dir, 3, LK_NN_CPU, &err);
    test_ok(m != NULL, &err);
    assert_int_equal(lk_model_iteration(m), 2);
    assert_int_equal(lk_model_config(m)->ed_ch_dims, 21);
    enum { PIXELS = 64 * 64 };
    float *faces = calloc(3 * 3 * PIXELS, sizeof(float)), *swap = calloc(3 * 3 * PIXELS, sizeof(float)),
          *mask = calloc(3 * PIXELS, sizeof(float)), *again = calloc(3 * 3 * PIXELS, sizeof(float));
    assert_true(faces && swap && mask && again);
    for (int i = 0; i < 3 * 3 * PIXELS; i++) faces[i] = (float)(i % 97) / 96;
    test_ok(lk_model_predict(m, faces, 3, swap, mask, &err), &err);
    test_ok(lk_model_predict(m, faces + 3 * PIXELS, 1, again, mask, &err), &err);
    for (int i = 0; i < 3 * PIXELS; i++) {
        assert_true(swap[i] >= 0 && swap[i] <= 1);
        assert_true(fabsf(swap[3 * PIXELS + i] - again[i]) < 1e-5f); /* its place in the batch does not matter */
    }
    assert_true(mask[0] == 1); /* none was learned: all of it counts */
    assert_false(lk_model_predict(m, faces, 4, swap, mask, &err));
    lk_model_close(m);
    assert_null(lk_model_open(folder, 1, LK_NN_CPU, &err));
    assert_non_null(strstr(err.message, "holds no model"));
    free(faces);
    free(swap);
    free(mask);
    free(again);
    tiny_job_free(&job);
}

static void test_refused(void **state) {
    (void)state;
    lk_error err = {0};
    char *few = lk_path_join(folder, "few.faces", NULL), *half = lk_path_join(folder, "half.faces", NULL);
    made_up_faces(few, &(made_up_set){1, 64, LK_FACE_FULL, 0, 0, 3, 0});
    made_up_faces(half, &(made_up_set){3, 64, LK_FACE_HALF, 0, 0, 4, 0});
    lk_train_job job = tiny_job(folder, "refused", 1);
    char *src = job.src.items[0];
    job.src.items[0] = few;
    refuse(&job, LK_ERR_USAGE, "src has 1 face in ");
    job.src.items[0] = half;
    refuse(&job, LK_ERR_USAGE, "half.faces holds faces of type half, which is less than the model shows (full)");
    job.src.items[0] = src;
    lk_strings src_list = job.src;
    job.src = (lk_strings){0};
    refuse(&job, LK_ERR_USAGE, "training needs faces of src: give --src");
    job.src = src_list;
    job.config.resolution = 72;
    refuse(&job, LK_ERR_USAGE, "--resolution 72");
    job.config.resolution = 64;
    static const char *const wrong[][2] = {
        {"bach=4", "did you mean 'batch'"},        {"batch=0", "--batch takes"},
        {"batch=4@0,8@x", "is no iteration"},      {"batch=4@5", "begins at iteration 0"},
        {"batch=4@0,8@0", "its iterations grow"},  {"batch", "NAME=VALUE"},
        {"flip=20..10", "two growing iterations"}, {"seed=1@0,2@5", "cannot follow a schedule"}};
    for (size_t i = 0; i < LK_COUNT(wrong); i++) {
        test_ok(lk_strings_add(&job.set, wrong[i][0], &err), &err);
        refuse(&job, LK_ERR_USAGE, wrong[i][1]);
        lk_strings_free(&job.set);
    }
    assert_false(lk_file_exists(job.model_dir)); /* nothing was written */
    free(few);
    free(half);
    tiny_job_free(&job);
}

static void test_another_architecture(void **state) {
    (void)state;
    static bool said[64];
    lk_train_job job = tiny_job(folder, "architecture", 1);
    train(&job);
    job.config_given = said;
    for (int i = 0; lk_swap_options[i].name; i++) said[i] = strcmp(lk_swap_options[i].name, "ae-dims") == 0;
    job.options.iterations = 2;
    job.config.ae_dims = 64;
    refuse(&job, LK_ERR_USAGE, "holds a model with --ae-dims 32, and that cannot change to 64");
    job.config.ae_dims = 32;
    train(&job);
    tiny_job_free(&job);
}

static void test_one_training_at_a_time(void **state) {
    (void)state;
    lk_error err = {0};
    lk_train_job job = tiny_job(folder, "locked", 1);
    int lock = lk_folder_lock(job.model_dir, &err);
    assert_true(lock >= 0);
    refuse(&job, LK_ERR_IO, "is in use by another training");
    lk_folder_unlock(lock);
    train(&job);
    tiny_job_free(&job);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_states),
        cmocka_unit_test(test_factored_states),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_same_trajectory),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_another_seed_is_another_training),
        cmocka_unit_test(test_options_are_kept),
        cmocka_unit_test(test_interrupt_saves),
        cmocka_unit_test(test_a_model_predicts),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_another_architecture),
        cmocka_unit_test(test_one_training_at_a_time),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
