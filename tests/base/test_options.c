#include "testing.h"

#include "likeness/options.h"

typedef struct values {
    bool flip, fast;
    int batch, mode;
    uint64_t seed, memory;
    double rate, time;
    char *name;
    lk_strings inputs;
} values;

static const char *const modes[] = {"overlay", "raw", NULL};
static const lk_option table[] = {
    {"flip", 0, LK_OPT_FLAG, offsetof(values, flip), "yes", 0, 0, NULL, NULL, "mirror faces at random"},
    {"fast", 'f', LK_OPT_FLAG, offsetof(values, fast), NULL, 0, 0, NULL, NULL, "be quick"},
    {"batch", 'b', LK_OPT_INT, offsetof(values, batch), "8", 1, 64, NULL, "N", "faces a step"},
    {"mode", 0, LK_OPT_ENUM, offsetof(values, mode), "overlay", 0, 0, modes, NULL, "how to merge"},
    {"seed", 0, LK_OPT_U64, offsetof(values, seed), "1", 0, 0, NULL, "N", "of all random draws"},
    {"memory", 0, LK_OPT_BYTES, offsetof(values, memory), NULL, 0, 0, NULL, "SIZE", "budget"},
    {"learning-rate", 0, LK_OPT_FLOAT, offsetof(values, rate), "0.5", 0, 1, NULL, "R", "rate"},
    {"time", 't', LK_OPT_DURATION, offsetof(values, time), NULL, 0, 0, NULL, "TIME", "when to stop"},
    {"name", 0, LK_OPT_STRING, offsetof(values, name), NULL, 0, 0, NULL, "TEXT", "a name"},
    {"src", 0, LK_OPT_LIST, offsetof(values, inputs), NULL, 0, 0, NULL, "FILE", "inputs"},
    {0},
};

static bool parse(values *v, lk_strings *rest, lk_error *err, const char *words) {
    char copy[300], *argv[32];
    int argc = 0;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *w = strtok(copy, " "); w; w = strtok(NULL, " ")) argv[argc++] = w;
    return lk_options_defaults(table, v, err) && lk_options_parse(table, v, argc, argv, rest, NULL, err);
}

static void all_types(void **state) {
    (void)state;
    values v = {0};
    lk_strings rest = {0};
    lk_error err = {0};
    test_ok(parse(&v, &rest, &err,
                  "in.mp4 --no-flip -f -b16 --mode=raw --seed 18446744073709551615 --memory 11G --learning-rate 0.25 "
                  "-t 10m --src a.mp4 b.mp4 --name x --src c.mp4 -- --d"),
            &err);
    assert_false(v.flip);
    assert_true(v.fast);
    assert_int_equal(v.batch, 16);
    assert_int_equal(v.mode, 1);
    assert_true(v.seed == UINT64_MAX);
    assert_true(v.memory == (uint64_t)11 << 30);
    assert_true(v.rate == 0.25 && v.time == 600);
    assert_string_equal(v.name, "x");
    assert_int_equal(v.inputs.count, 3);
    assert_string_equal(v.inputs.items[2], "c.mp4");
    assert_int_equal(rest.count, 2);
    assert_string_equal(rest.items[1], "--d");
    json_t *json = lk_options_to_json(table, &v);
    values w = {0};
    json_object_del(json, "seed"); /* JSON's integers end at 2^63 */
    test_ok(lk_options_from_json(table, &w, json, &err), &err);
    assert_int_equal(w.batch, 16);
    assert_string_equal(w.inputs.items[1], "b.mp4");
    assert_true(w.time == 600 && w.memory == v.memory && w.mode == 1);
    json_decref(json);
    lk_options_free(table, &v);
    lk_options_free(table, &w);
    lk_strings_free(&rest);
}

static void refused(const char *words, const char *said) {
    values v = {0};
    lk_strings rest = {0};
    lk_error err = {0};
    assert_false(parse(&v, &rest, &err, words));
    assert_int_equal(err.code, LK_ERR_USAGE);
    if (!strstr(err.message, said)) fail_msg("'%s' does not say '%s'", err.message, said);
    lk_options_free(table, &v);
    lk_strings_free(&rest);
}

static void wrong_usage(void **state) {
    (void)state;
    refused("--bacth 8", "did you mean --batch?");
    refused("--batch 0", "from 1 to 64, not '0'");
    refused("--batch eight", "a whole number");
    refused("--batch", "--batch N");
    refused("--mode blend", "overlay, raw");
    refused("--learning-rate nan", "a number");
    refused("--time 5y", "10m");
    refused("--seed -1", "whole number");
    refused("--memory 9E", "512M");
    refused("-x", "no option -x");
    refused("--no-batch", "no option --no-batch");
}

static void json_is_checked(void **state) {
    (void)state;
    values v = {0};
    lk_error err = {0};
    static const char *const bad[] = {"{\"bogus\": 1}", "{\"batch\": 1000}", "{\"batch\": [1]}", "{\"name\": true}",
                                      "[]"};
    for (size_t i = 0; i < LK_COUNT(bad); i++) {
        json_t *json = json_loads(bad[i], 0, NULL);
        assert_false(lk_options_from_json(table, &v, json, &err));
        json_decref(json);
    }
}

static void help_shows_every_option(void **state) {
    (void)state;
    char *help = lk_options_help(table, NULL);
    assert_non_null(strstr(help, "--no-flip"));
    assert_non_null(strstr(help, "-b, --batch N"));
    assert_non_null(strstr(help, "overlay|raw"));
    assert_non_null(strstr(help, "[1–64, default 8]"));
    free(help);
}

/* ---- Several tables in one command ----------------------------------------------------------------------- */

typedef struct more {
    int max, batch;
    double blur;
} more;

static const lk_option more_table[] = {
    {"max", 'm', LK_OPT_INT, offsetof(more, max), "5", 0, 9, NULL, "N",
     "at most so many of those things that are counted here, which are so many that this help does not fit a line"},
    {"batch", 'b', LK_OPT_INT, offsetof(more, batch), "3", 0, 9, NULL, "N", "hidden behind the other group's batch"},
    {"blur", 0, LK_OPT_FLOAT, offsetof(more, blur), "0.5", 0, 1, NULL, "R", "softness"},
    {0},
};

static void groups(void **state) {
    (void)state;
    values v = {0};
    more m = {0};
    bool given[LK_COUNT(table)] = {false}, more_given[LK_COUNT(more_table)] = {false};
    lk_strings rest = {0};
    lk_error err = {0};
    const lk_option_group both[] = {{"First", table, &v, given}, {"Second", more_table, &m, more_given}};
    test_ok(lk_options_defaults(table, &v, &err) && lk_options_defaults(more_table, &m, &err), &err);
    char *argv[] = {"in", "-m4", "--no-flip", "--batch", "7", "-b", "9", "--blur=0.25"};
    test_ok(lk_option_groups_parse(both, 2, LK_COUNT(argv), argv, &rest, &err), &err);
    assert_int_equal(v.batch, 9); /* the first group's */
    assert_int_equal(m.batch, 3);
    assert_int_equal(m.max, 4);
    assert_true(m.blur == 0.25 && !v.flip);
    assert_true(given[0] && !given[1] && given[2] && !given[3]);
    assert_true(more_given[0] && !more_given[1] && more_given[2]);
    assert_int_equal(rest.count, 1);

    char *wrong[] = {"--blurr", "1"};
    assert_false(lk_option_groups_parse(both, 2, 2, wrong, &rest, &err));
    assert_non_null(strstr(err.message, "did you mean --blur?"));

    char *help = lk_option_groups_help(both, 2, &err);
    assert_non_null(help);
    assert_non_null(strstr(help, "First\n      --no-flip"));
    assert_non_null(strstr(help, "\n\nSecond\n  -m, --max N"));
    assert_null(strstr(help, "hidden behind"));
    for (char *line = strtok(help, "\n"); line; line = strtok(NULL, "\n")) assert_true(strlen(line) <= 102);
    free(help);
    lk_options_free(table, &v);
    lk_strings_free(&rest);
}

static void nearest_word(void **state) {
    (void)state;
    static const char *const words[] = {"extract", "merge", "models", "set", "swap", "train", NULL};
    assert_string_equal(lk_nearest("extrat", words), "extract");
    assert_string_equal(lk_nearest("tarin", words), "train");
    assert_string_equal(lk_nearest("mod", words), "models");
    assert_null(lk_nearest("frobnicate", words));
    assert_null(lk_nearest("x", words));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups),      cmocka_unit_test(nearest_word),    cmocka_unit_test(all_types),
        cmocka_unit_test(wrong_usage), cmocka_unit_test(json_is_checked), cmocka_unit_test(help_shows_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
