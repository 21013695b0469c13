/* What trainers do over weeks: schedules, recipes, backups, going back, starting from other models, looking at it all. */
#include "real.h"

#include <sys/stat.h>

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

static void train(lk_train_job *job) {
    lk_error err = {0};
    test_ok(lk_train(job, NULL, &err), &err);
}

static void refuse(lk_train_job *job, const char *words) {
    lk_error err = {0};
    assert_false(lk_train(job, NULL, &err));
    if (!strstr(err.message, words)) fail_msg("'%s' without '%s'", err.message, words);
}

static char *in_folder(const char *name) { return lk_path_join(folder, name, NULL); }

/* ---- Settings -------------------------------------------------------------------------------------------- */

static lk_settings default_settings(void) {
    lk_error err = {0};
    lk_swap_objective objective = {0};
    lk_train_options options = {0};
    lk_settings s;
    test_ok(lk_options_defaults(lk_swap_objective_options, &objective, &err) &&
                lk_options_defaults(lk_train_option_table, &options, &err) &&
                lk_settings_start(&s, &objective, &options, &err),
            &err);
    return s;
}

static bool set_one(void *user, const char *name, const char *value, lk_error *err) {
    return lk_settings_set(user, name, value, err);
}

static void test_schedules(void **state) {
    (void)state;
    lk_error err = {0};
    lk_settings s = default_settings();
    lk_now_set now;
    test_ok(lk_settings_set(&s, "batch", "4@0, 8@20000, 16@60000", &err), &err);
    static const int64_t at[] = {0, 19999, 20000, 59999, 60000, 1000000};
    static const int batch[] = {4, 4, 8, 8, 16, 16};
    for (size_t i = 0; i < LK_COUNT(at); i++) {
        test_ok(lk_settings_at(&s, at[i], &now, &err), &err);
        assert_int_equal(now.options.batch, batch[i]);
    }
    assert_int_equal((int)lk_settings_largest(&s, "batch", 0), 16);
    char text[LK_SETTING_TEXT];
    lk_setting_text(lk_settings_find(&s, "batch"), text);
    assert_string_equal(text, "4@0,8@20000,16@60000");
    test_ok(lk_settings_set(&s, "swap_sides", "100..200", &err), &err);
    lk_setting_text(lk_settings_find(&s, "swap-sides"), text);
    assert_string_equal(text, "no@0,yes@100,no@200");
    /* Every option of both tables can follow one, but those of a whole run. */
    for (int i = 0; i < s.count; i++) {
        const lk_setting *item = &s.items[i];
        char twice[200];
        snprintf(twice, sizeof twice, "%s@0,%s@5", item->steps[0].value, item->steps[0].value);
        bool fixed = strstr("time iterations seed device holdout", item->option->name) != NULL;
        assert_int_equal(lk_settings_set(&s, item->option->name, twice, &err), !fixed);
    }
}

/* As the time ends the rate falls to a twentieth, no further. */
static void test_settling(void **state) {
    (void)state;
    lk_error err = {0};
    lk_train_job full = tiny_job(folder, "full-rate", 2), low = tiny_job(folder, "low-rate", 2),
                 settled = tiny_job(folder, "settled", 2);
    test_ok(lk_strings_add(&low.set, "rate=5", &err) && lk_strings_add(&settled.set, "settle=1000000000", &err), &err);
    settled.options.time = 1000;
    train(&full);
    train(&low);
    train(&settled);
    lk_record a = record_of(full.model_dir), b = record_of(low.model_dir), c = record_of(settled.model_dir);
    assert_string_equal(b.weights.sha256, c.weights.sha256);
    assert_string_not_equal(a.weights.sha256, c.weights.sha256);
    lk_record_free(&a);
    lk_record_free(&b);
    lk_record_free(&c);
    tiny_job_free(&full);
    tiny_job_free(&low);
    tiny_job_free(&settled);
}

static void test_recipes(void **state) {
    (void)state;
    lk_error err = {0};
    lk_settings s = default_settings();
    lk_now_set now;
    test_ok(lk_recipe_apply("styled", set_one, &s, &err), &err);
    test_ok(lk_settings_at(&s, 14999, &now, &err), &err);
    assert_true(now.objective.face_style == 10 && now.objective.background_style == 10);
    test_ok(lk_settings_at(&s, 15000, &now, &err), &err);
    assert_true(now.objective.face_style == 0.1 && now.objective.background_style == 4);
    test_ok(lk_recipe_apply("brief", set_one, &s, &err), &err);
    test_ok(lk_settings_at(&s, 0, &now, &err), &err);
    assert_true(now.options.batch == 4 && now.options.warp == 40 && now.options.by_expression &&
                now.options.color_transfer && now.objective.features == 30);
    char *path = in_folder("recipe.txt");
    static const char own[] = "# mine\n\n  batch = 2@0, 4@10   # grows\nflip=no\r\nface_style_power = 3\n";
    test_ok(lk_file_write(path, own, strlen(own), &err) && lk_recipe_apply(path, set_one, &s, &err), &err);
    test_ok(lk_settings_at(&s, 12, &now, &err), &err);
    assert_true(now.options.batch == 4 && !now.options.flip && now.objective.face_style == 3);
    static const char *const bad[][2] = {{"batch = 2\nbach = 3\n", "line 2: there is no option 'bach'"},
                                         {"batch 2\n", "line 1: 'batch 2' is not NAME = VALUE"},
                                         {"\nflip = perhaps\n", "line 2: --flip takes yes or no"}};
    for (size_t i = 0; i < LK_COUNT(bad); i++) {
        test_ok(lk_file_write(path, bad[i][0], strlen(bad[i][0]), &err), &err);
        assert_false(lk_recipe_apply(path, set_one, &s, &err));
        if (!strstr(err.message, bad[i][1])) fail_msg("'%s'", err.message);
    }
    assert_false(lk_recipe_apply("no-such-recipe", set_one, &s, &err));
    assert_non_null(strstr(err.message, "take fast, classic, styled, brief, or a file"));
    free(path);
}

/* What is said counts over a recipe, at the beginning and at a restart; saying the same again changes nothing. */
static void test_recipe_of_a_job(void **state) {
    (void)state;
    lk_error err = {0};
    static bool said[64];
    lk_train_job job = tiny_job(folder, "styled", 1);
    job.recipe = "styled";
    job.objective.background_style = 3;
    job.objective_given = said;
    for (int i = 0; lk_swap_objective_options[i].name; i++)
        said[i] = strcmp(lk_swap_objective_options[i].name, "background-style-power") == 0;
    for (int run = 0; run < 2; run++) {
        lk_record r;
        lk_beginning how;
        if (run == 0)
            test_ok(lk_start_record(&job, &r, &how, &err), &err);
        else {
            train(&job);
            train(&job);
            r = record_of(job.model_dir);
        }
        lk_now_set now;
        test_ok(lk_settings_at(&r.settings, 20000, &now, &err), &err);
        assert_true(now.objective.face_style == 0.1 && now.objective.background_style == 3);
        assert_int_equal(json_array_size(r.changes), 0);
        lk_record_free(&r);
    }
    tiny_job_free(&job);
}

/* What the record of a new model says; then of the same folder with the recipe classic at a restart. */
static lk_record begun(lk_train_job *job, lk_now_set *now) {
    lk_error err = {0};
    lk_record r;
    lk_beginning how;
    test_ok(lk_start_record(job, &r, &how, &err), &err);
    test_ok(lk_settings_at(&r.settings, 1000, now, &err), &err);
    return r;
}

static void test_recipe_of_a_new_model(void **state) {
    (void)state;
    lk_now_set now;
    static bool said[LK_SWAP_OPTION_COUNT];
    lk_train_job job = tiny_job(folder, "new", 1);
    job.config = (lk_swap_config){.arch = LK_ARCH_QUICK, .face_type = LK_SWAP_FACE_AUTO};
    lk_record r = begun(&job, &now);
    assert_true(now.options.rate == 100 && now.options.momentum == 0);
    lk_record_free(&r);

    job.config = (lk_swap_config){.arch = LK_ARCH_H64, .face_type = LK_SWAP_FACE_AUTO, .he_weights = true};
    r = begun(&job, &now);
    assert_true(r.config.he_weights && now.options.rate == 400 && now.options.momentum == 0.9);
    lk_record_free(&r);

    job.recipe = "classic";
    r = begun(&job, &now);
    assert_true(!r.config.he_weights && now.options.rate == 100 && now.options.momentum == 0 &&
                now.options.warp == 100 && !now.options.by_expression && !now.options.color_transfer &&
                now.objective.features == 0 && now.options.precision == LK_NN_F32);
    lk_record_free(&r);

    /* the user's word counts over the recipe's */
    job.config_given = said;
    for (int i = 0; lk_swap_options[i].name; i++) said[i] = strcmp(lk_swap_options[i].name, "he-weights") == 0;
    r = begun(&job, &now);
    assert_true(r.config.he_weights);
    lk_record_free(&r);
    tiny_job_free(&job);
}

/* 0.5 is what sae has of itself. */
static void test_momentum(void **state) {
    (void)state;
    lk_error err = {0};
    static const char *const said[] = {"momentum=0", "momentum=0.5", "momentum=0.9"};
    lk_record r[3];
    for (int i = 0; i < 3; i++) {
        lk_train_job job = tiny_job(folder, said[i], 2);
        test_ok(lk_strings_add(&job.set, said[i], &err), &err);
        train(&job);
        r[i] = record_of(job.model_dir);
        tiny_job_free(&job);
    }
    assert_string_equal(r[0].weights.sha256, r[1].weights.sha256);
    assert_string_not_equal(r[0].weights.sha256, r[2].weights.sha256);
    for (int i = 0; i < 3; i++) lk_record_free(&r[i]);
}

static void test_schedules_on_the_command_line(void **state) {
    (void)state;
    char *argv[] = {"model", "--batch",   "4@0,8@20000", "--flip", "--swap-sides=5..9",
                    "--src", "a@b.faces", "--time",      "10m"};
    lk_strings set = {0};
    int argc = lk_train_take_schedules(LK_COUNT(argv), argv, &set);
    assert_int_equal(argc, 6);
    assert_string_equal(argv[1], "--flip");
    assert_string_equal(argv[3], "a@b.faces");
    assert_int_equal(set.count, 2);
    assert_string_equal(set.items[0], "batch=4@0,8@20000");
    assert_string_equal(set.items[1], "swap-sides=5..9");
    lk_strings_free(&set);
}

/* ---- Is it still learning? ------------------------------------------------------------------------------- */

static int noticed_after(double (*loss)(int i)) {
    lk_watch w = {0};
    for (int i = 0; i < 3000; i++)
        if (!lk_watch_losses(&w, loss(i), 1)) return i;
    return -1;
}

static double noise(int i) {
    lk_rng r = lk_rng_make(5, (uint64_t)i);
    return exp(0.5 * lk_rng_normal(&r)) / (1 + 0.01 * i);
}
static double not_a_number(int i) { return i < 700 ? noise(i) : (double)NAN; }
static double leap_that_stays(int i) { return noise(i) * (i < 700 ? 1 : 8); }
static double leap_that_goes(int i) { return noise(i) * (i < 700 || i > 730 ? 1 : 8); }

static void test_watch(void **state) {
    (void)state;
    assert_int_equal(noticed_after(noise), -1);
    assert_int_equal(noticed_after(leap_that_goes), -1);
    assert_int_equal(noticed_after(not_a_number), 700);
    assert_in_range(noticed_after(leap_that_stays), 800, 830);
}

static int warnings;
static void count_returns(lk_log_level level, const char *line, void *user) {
    (void)user;
    warnings +=
        level == LK_LOG_WARN && strstr(line, "training collapsed") && strstr(line, "last good save, iteration 1");
}

/* Weights that are no numbers, in the very step: training returns to the save, draws anew, and gives up when that does
 * not help; the good save stands. */
static void test_collapse(void **state) {
    (void)state;
    lk_train_job job = tiny_job(folder, "collapse", 1);
    train(&job);
    /* Its first moments become infinite: the next step makes weights that are no numbers. */
    lk_error err = {0};
    lk_record r = record_of(job.model_dir);
    lk_network n = {0};
    lk_now_set now;
    test_ok(lk_settings_at(&r.settings, 1, &now, &err) && lk_network_fit(&n, &r.config, &now, 1, 1, &err) &&
                lk_network_load(&n, job.model_dir, &r, &err),
            &err);
    lk_nn_shape shape = lk_nn_param_shape(n.exec, 0);
    float *values = malloc(lk_nn_count(shape) * sizeof(float));
    assert_non_null(values);
    for (size_t i = 0; i < lk_nn_count(shape); i++) values[i] = INFINITY;
    assert_true(lk_nn_param_set(n.exec, 0, LK_NN_MOMENT1, values));
    test_ok(lk_folder_save(job.model_dir, &r, &n, &err), &err);
    free(values);
    lk_network_free(&n);
    lk_log_to(count_returns, NULL);
    job.options.iterations = 10;
    refuse(&job, "other random draws did not help, and the last good save stands");
    lk_log_to(NULL, NULL);
    assert_int_equal(warnings, 3);
    lk_record_free(&r);
    r = record_of(job.model_dir);
    assert_int_equal(r.iteration, 1);
    lk_record_free(&r);
    tiny_job_free(&job);
}

/* ---- Backups, previews, plots ---------------------------------------------------------------------------- */

static void test_backups(void **state) {
    (void)state;
    lk_error err = {0};
    lk_train_job job = tiny_job(folder, "backups", 4);
    job.options.backup_every_iterations = 2;
    job.options.preview_every = 2;
    train(&job);
    lk_backup *list;
    assert_int_equal(lk_model_backups(job.model_dir, &list, &err), 2);
    assert_true(list[0].iteration == 2 && list[1].iteration == 4);
    assert_string_equal(list[0].name, "2");
    free(list);
    char *path = lk_path_join(job.model_dir, "backups/2", NULL);
    lk_model *m = lk_model_open(path, 1, LK_NN_CPU, &err); /* a model of its own */
    test_ok(m != NULL, &err);
    assert_int_equal(lk_model_iteration(m), 2);
    lk_model_close(m);
    lk_record backup = record_of(path), now = record_of(job.model_dir);
    assert_string_not_equal(backup.weights.sha256, now.weights.sha256);
    lk_record_free(&now);
    test_ok(lk_model_restore(job.model_dir, "2", &err), &err);
    now = record_of(job.model_dir);
    assert_int_equal(now.iteration, 2);
    assert_string_equal(backup.weights.sha256, now.weights.sha256);
    lk_record_free(&now);
    assert_false(lk_model_restore(job.model_dir, "3", &err));
    assert_non_null(strstr(err.message, "has no backup '3'"));
    assert_false(lk_model_restore(job.model_dir, "../backups/2", &err));
    /* From there the same training again, and the backup stays as it was. */
    train(&job);
    now = record_of(job.model_dir);
    assert_int_equal(now.iteration, 4);
    char *last = lk_path_join(job.model_dir, "backups/4", NULL);
    lk_record four = record_of(last), two = record_of(path);
    assert_string_equal(four.weights.sha256, now.weights.sha256);
    assert_string_equal(two.weights.sha256, backup.weights.sha256);
    lk_record_free(&four);
    lk_record_free(&two);
    lk_record_free(&backup);
    lk_record_free(&now);
    free(path);
    free(last);
    tiny_job_free(&job);
}

static int64_t frames_of(const char *video, lk_media_info *info) {
    lk_error err = {0};
    lk_reader *r = lk_reader_open(video, NULL, &err);
    test_ok(r != NULL, &err);
    *info = *lk_reader_info(r);
    int64_t count = 0;
    for (lk_frame *f; (f = lk_reader_next(r, &err)) != NULL; lk_frame_free(f)) count++;
    test_ok(err.code == LK_OK, &err);
    lk_reader_close(r);
    return count;
}

static ino_t file_number(const char *dir, const char *name) {
    char *path = lk_path_join(dir, name, NULL);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    free(path);
    return st.st_ino;
}

/* By time: with no patience at all, at every iteration. What has not changed since is one file with two names. */
static void test_backups_by_time(void **state) {
    (void)state;
    lk_error err = {0};
    lk_train_job job = tiny_job(folder, "by-time", 2);
    job.options.backup_every = 1e-9;
    train(&job);
    lk_backup *list;
    assert_int_equal(lk_model_backups(job.model_dir, &list, &err), 2);
    free(list);
    char *path = lk_path_join(job.model_dir, "backups/2", NULL);
    lk_record r = record_of(job.model_dir);
    assert_true(file_number(path, r.weights.name) == file_number(job.model_dir, r.weights.name));
    assert_true(file_number(path, r.optimizer.name) == file_number(job.model_dir, r.optimizer.name));
    lk_record_free(&r);
    free(path);
    tiny_job_free(&job);
}

/* Asks at the first news, looks at the second, which ends the training. */
static char *watched_preview;
static int asked, answered;
static void ask_for_preview(const lk_progress *p, void *user) {
    (void)user;
    if (!(p->done > 0) || p->ended) return;
    if (asked++ == 0) {
        unlink(watched_preview);
        lk_train_request_preview();
    } else {
        answered += lk_file_exists(watched_preview);
        lk_interrupt_request();
    }
}

/* The preview comes back while training goes on. */
static void test_preview_on_request(void **state) {
    (void)state;
    lk_train_job job = tiny_job(folder, "asked", 0);
    job.options.save_every = 0;
    watched_preview = lk_path_join(job.model_dir, "preview/preview.png", NULL);
    lk_progress_to(ask_for_preview, NULL);
    train(&job);
    lk_progress_to(NULL, NULL);
    lk_interrupt_clear();
    assert_true(asked == 2 && answered == 1);
    free(watched_preview);
    tiny_job_free(&job);
}

static void test_memory(void **state) {
    (void)state;
    lk_train_job job = tiny_job(folder, "large", 1);
    job.config.resolution = 640;
    job.config.ed_ch_dims = 85;
    job.options.batch = 1024;
    lk_error err = {0};
    assert_false(lk_train(&job, NULL, &err));
    assert_non_null(strstr(err.message, "a batch of 1024 does not fit"));
    int fits = 0;
    const char *advice = strstr(err.message, "--batch ");
    assert_true(advice ? sscanf(advice, "--batch %d would fit", &fits) == 1 && fits >= 1 && fits < 1024
                       : strstr(err.message, "not even 1 would") != NULL);
    assert_false(lk_file_exists(job.model_dir));
    tiny_job_free(&job);
}

/* After test_backups: two pictures were kept there. */
static void test_timelapse(void **state) {
    (void)state;
    lk_error err = {0};
    char *model = in_folder("backups"), *video = in_folder("timelapse.mp4"), *none = in_folder("nothing");
    test_ok(lk_model_timelapse(model, video, 10, &err), &err);
    lk_media_info info;
    assert_int_equal(frames_of(video, &info), 2);
    assert_true(info.width == 1308 && info.height == 4 * 130 - 2 && fabs(info.fps - 10) < 0.01);
    assert_false(lk_model_timelapse(none, video, 10, &err));
    assert_non_null(strstr(err.message, "kept no previews"));
    free(model);
    free(video);
    free(none);
}

static void test_plot(void **state) {
    (void)state;
    lk_error err = {0};
    char *model = in_folder("backups"), *csv = in_folder("backups/history.csv"), *png = in_folder("plot.png");
    char *text = malloc(400000), *end = text;
    assert_non_null(text);
    end += sprintf(end, "iteration,seconds,src_loss,dst_loss,batch\n");
    for (int i = 1; i <= 5000; i++)
        end += sprintf(end, "%d,%d,%g,%g,8\n", i, i, 0.02 + 3 / (1 + 0.01 * i), 0.03 + 4 / (1 + 0.01 * i));
    test_ok(lk_file_write(csv, text, (size_t)(end - text), &err), &err);
    bool swapped;
    test_ok(lk_model_swap_sides(model, &swapped, &err), &err);
    assert_true(swapped);
    test_ok(lk_model_plot(model, png, 900, 500, &err), &err);
    lk_image plot = {0};
    test_ok(lk_image_load(png, &plot, &err), &err);
    assert_true(plot.width == 900 && plot.height == 500);
    /* The line of src falls: blue is higher at the left than at the right, and above nothing is blue. */
    int first[2] = {500, 500};
    for (int side = 0; side < 2; side++)
        for (int y = 60; y < 460 && first[side] == 500; y++) {
            const uint8_t *p = lk_row_u8(&plot, y) + 3 * (side ? 880 : 80);
            if (p[2] > 150 && p[0] < 90) first[side] = y;
        }
    assert_true(first[0] < 200 && first[1] > 300 && first[1] < 470);
    int marked = 0; /* where the sides were exchanged */
    for (int y = 0; y < 500; y++)
        for (int x = 0; x < 900; x++) {
            const uint8_t *q = lk_row_u8(&plot, y) + 3 * x;
            marked += q[0] == 150 && q[1] == 110 && q[2] == 190;
        }
    assert_true(marked > 200);
    lk_image_free(&plot);
    assert_false(lk_model_plot(model, png, 10, 10, &err));
    free(text);
    free(model);
    free(csv);
    free(png);
}

static void test_swap_sides_command(void **state) {
    (void)state;
    lk_error err = {0};
    char *model = in_folder("backups");
    lk_record r = record_of(model);
    lk_now_set now;
    test_ok(lk_settings_at(&r.settings, r.iteration, &now, &err), &err);
    assert_true(now.options.swap_sides); /* since test_plot */
    const json_t *change = json_array_get(r.changes, json_array_size(r.changes) - 1);
    assert_string_equal(json_string_value(json_object_get(change, "to")), "yes");
    lk_record_free(&r);
    bool swapped;
    test_ok(lk_model_swap_sides(model, &swapped, &err), &err);
    assert_false(swapped);
    int lock = lk_folder_lock(model, &err);
    assert_false(lk_model_swap_sides(model, &swapped, &err));
    assert_non_null(strstr(err.message, "in use by another training"));
    lk_folder_unlock(lock);
    free(model);
}

/* ---- Other beginnings ------------------------------------------------------------------------------------ */

static float *values_of(const char *model, const char *name, size_t *count) {
    lk_error err = {0};
    lk_record r = record_of(model);
    lk_network n = {0};
    lk_now_set now;
    test_ok(lk_settings_at(&r.settings, 0, &now, &err) && lk_network_fit(&n, &r.config, &now, 0, 1, &err) &&
                lk_network_load(&n, model, &r, &err),
            &err);
    float *values = NULL;
    for (int i = 0; i < lk_nn_param_count(n.exec); i++) {
        if (strcmp(lk_nn_param_name(n.exec, i), name) != 0) continue;
        *count = lk_nn_count(lk_nn_param_shape(n.exec, i));
        values = malloc(*count * sizeof(float));
        assert_true(values && lk_nn_param_get(n.exec, i, LK_NN_VALUE, values));
    }
    assert_non_null(values);
    lk_network_free(&n);
    lk_record_free(&r);
    return values;
}

static bool same_values(const char *a, const char *b, const char *name) {
    size_t n, m;
    float *p = values_of(a, name, &n), *q = values_of(b, name, &m);
    bool same = n == m && memcmp(p, q, n * sizeof(float)) == 0;
    free(p);
    free(q);
    return same;
}

/* An interrupted run saves its beginning: what it would have gone on from. */
static void begin_only(lk_train_job *job) {
    lk_interrupt_request();
    train(job);
    lk_interrupt_clear();
}

static void test_init_from(void **state) {
    (void)state;
    lk_train_job old = tiny_job(folder, "old", 1), young = tiny_job(folder, "young", 5),
                 other = tiny_job(folder, "other", 5);
    train(&old);
    young.init_from = other.init_from = old.model_dir;
    begin_only(&young);
    assert_true(same_values(old.model_dir, young.model_dir, "encoder/down1/kernel"));
    assert_true(same_values(old.model_dir, young.model_dir, "decoder_src/out/kernel"));
    lk_record r = record_of(young.model_dir);
    assert_true(r.iteration == 0 && r.optimizer_steps == 0);
    lk_record_free(&r);
    other.config.ae_dims = 64;
    refuse(&other, "is of another architecture: of the 33 tensors of the new model 25 match (encoder/down1/kernel");
    refuse(&other, "and 8 do not (encoder/dense1/kernel");
    other.config.ae_dims = 32;
    other.init_from = folder;
    refuse(&other, "holds no model to begin with");
    assert_false(lk_file_exists(other.model_dir));
    tiny_job_free(&old);
    tiny_job_free(&young);
    tiny_job_free(&other);
}

static void test_pretraining(void **state) {
    (void)state;
    lk_error err = {0};
    lk_train_job job = tiny_job(folder, "pretrained", 1), after = tiny_job(folder, "after", 5);
    test_ok(lk_strings_add(&job.pretrain, job.src.items[0], &err), &err);
    train(&job);
    lk_record r = record_of(job.model_dir);
    assert_true(r.pretraining && r.iteration == 1);
    assert_string_equal(r.src.items[0], r.dst.items[0]);
    lk_record_free(&r);
    after.init_from = job.model_dir;
    begin_only(&after);
    assert_true(same_values(job.model_dir, after.model_dir, "encoder/dense1/kernel"));
    assert_false(same_values(job.model_dir, after.model_dir, "decoder_src/up1/kernel"));
    assert_false(same_values(job.model_dir, after.model_dir, "decoder_dst/up1/kernel"));
    /* In its own folder too: it begins at 0 with its two faces. */
    lk_strings_free(&job.pretrain);
    begin_only(&job);
    r = record_of(job.model_dir);
    assert_true(!r.pretraining && r.iteration == 0 && r.optimizer_steps == 0 && r.position == 0);
    assert_string_not_equal(r.src.items[0], r.dst.items[0]);
    lk_record_free(&r);
    assert_true(same_values(job.model_dir, after.model_dir, "encoder/dense1/kernel"));
    train(&job); /* goes on, with --iterations 1 */
    test_ok(lk_strings_add(&job.pretrain, job.src.items[0], &err), &err);
    refuse(&job, "has learned its two faces already");
    lk_strings_free(&job.pretrain);
    tiny_job_free(&job);
    tiny_job_free(&after);
}

/* With two intermediates, the one that both sides share starts afresh, and the decoder is kept. */
static void test_pretraining_liae(void **state) {
    (void)state;
    lk_error err = {0};
    lk_train_job job = tiny_job(folder, "liae", 1), after = tiny_job(folder, "after-liae", 5);
    job.config.inner = after.config.inner = LK_SAE_LIAE;
    test_ok(lk_strings_add(&job.pretrain, job.src.items[0], &err), &err);
    train(&job);
    after.init_from = job.model_dir;
    begin_only(&after);
    assert_true(same_values(job.model_dir, after.model_dir, "decoder/up1/kernel"));
    assert_true(same_values(job.model_dir, after.model_dir, "inter_b/dense1/kernel"));
    assert_false(same_values(job.model_dir, after.model_dir, "inter_ab/dense1/kernel"));
    tiny_job_free(&job);
    tiny_job_free(&after);
}

/* A term of the loss that a model does not have is refused at once, not at the iteration of its schedule. */
static void test_schedule_of_another_model(void **state) {
    (void)state;
    lk_error err = {0};
    lk_train_job job = tiny_job(folder, "h64", 1);
    job.config = (lk_swap_config){.arch = LK_ARCH_H64, .face_type = LK_SWAP_FACE_AUTO, .learn_mask = true};
    test_ok(lk_strings_add(&job.set, "face-style-power=0@0,10@50000", &err), &err);
    refuse(&job, "face-style-power");
    assert_false(lk_file_exists(job.model_dir));
    tiny_job_free(&job);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_settling),
        cmocka_unit_test(test_recipes),
        cmocka_unit_test(test_recipe_of_a_job),
        cmocka_unit_test(test_recipe_of_a_new_model),
        cmocka_unit_test(test_momentum),
        cmocka_unit_test(test_schedules_on_the_command_line),
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_collapse),
        cmocka_unit_test(test_backups),
        cmocka_unit_test(test_backups_by_time),
        cmocka_unit_test(test_preview_on_request),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_timelapse),
        cmocka_unit_test(test_plot),
        cmocka_unit_test(test_swap_sides_command),
        cmocka_unit_test(test_init_from),
        cmocka_unit_test(test_pretraining),
        cmocka_unit_test(test_pretraining_liae),
        cmocka_unit_test(test_schedule_of_another_model),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
