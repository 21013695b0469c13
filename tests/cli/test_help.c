/* What the program says of itself, and of words it does not know. */
#include "program.h"

#include <jansson.h>

static const char *const COMMANDS[] = {
    "swap",        "extract",         "set info",      "set sheet",    "train",         "merge",
    "models list", "models install",  "models verify", "evaluate",     "plan",          "model info",
    "model plot",  "model timelapse", "model backups", "model backup", "model restore", "model swap-sides"};

static void overview(void **state) {
    (void)state;
    expect(likeness("--version"), 0, "likeness " LK_VERSION "\n");
    expect(likeness("help"), 0, "  extract ");
    expect(likeness("--help"), 0, "  extract ");
    expect(likeness(""), 2, "a command is missing");
}

static void every_command_explains_itself(void **state) {
    (void)state;
    for (size_t i = 0; i < LK_COUNT(COMMANDS); i++) {
        char usage[100];
        snprintf(usage, sizeof usage, "usage: likeness %s", COMMANDS[i]);
        expect(likeness("%s --help", COMMANDS[i]), 0, usage);
        expect(likeness("%s -h", COMMANDS[i]), 0, usage);
        expect(likeness("help %s", COMMANDS[i]), 0, usage);
        assert_non_null(strstr(printed, "Examples\n  likeness "));
        assert_non_null(strstr(printed, "--json"));
        assert_non_null(strstr(printed, "\nNext\n"));
        for (char *line = strtok(printed, "\n"); line; line = strtok(NULL, "\n"))
            if (strlen(line) > 130) fail_msg("too long: %s", line);
    }
    expect(likeness("help set"), 0, "sheet");
    expect(likeness("help models"), 0, "verify");
}

static void slips(void **state) {
    (void)state;
    expect(likeness("extrat a.mp4"), 2, "did you mean: likeness extract");
    expect(likeness("modells list"), 2, "did you mean: likeness models");
    expect(likeness("set inof a.faces"), 2, "did you mean: likeness set info");
    expect(likeness("frobnicate"), 2, "likeness help");
    expect(likeness("help frobnicate"), 2, "there is no command 'frobnicate'");
    expect(likeness("set"), 2, "one word is missing");
    expect(likeness("extract"), 2, "INPUT… is missing");
    expect(likeness("extract a.mp4"), 2, "-o SET.faces is missing");
    expect(likeness("extract a.mp4 --ouput b.faces"), 2, "did you mean --output?");
    expect(likeness("extract a.mp4 -o b.faces --size 8"), 2, "from 16 to 2048, not '8'");
    expect(likeness("extract a.mp4 -o b.faces --face-type nose"), 2, "half, full, head");
    expect(likeness("extract a.mp4 -o b.faces --device tpu"), 2, "auto, cpu, gpu");
    expect(likeness("extract a.mp4 -o"), 2, "--output needs a value");
    expect(likeness("swap --dst b.mp4 -o c.mp4"), 2, "--src A.mp4 is missing");
    expect(likeness("swap --src a.mp4 -o c.mp4"), 2, "--dst B.mp4 is missing");
    expect(likeness("swap --src a.mp4 --dst b.mp4"), 2, "-o OUT.mp4 is missing");
    expect(likeness("train --batch 0 model"), 2, "--batch takes a whole number from 1");
    expect(likeness("train model --model h65"), 2, "h64, h128");
    expect(likeness("train model --swap-sides 9..5"), 2, "two growing iterations, not '9..5'");
    expect(likeness("train model --batch 4@0,x@9"), 2, "--batch takes a whole number from 1");
    expect(likeness("model plot nowhere -o a.png"), 1, "nowhere holds no model");
    expect(likeness("model plot nowhere"), 2, "-o LOSS.png is missing");
    expect(likeness("model restore nowhere 12"), 1, "nowhere has no backup '12'");
    expect(likeness("model swap-sides nowhere"), 1, "nowhere is no model folder");
    expect(likeness("merge model"), 2, "INPUT is missing");
    expect(likeness("merge model in.mp4 -o out.mp4"), 2, "--faces B.faces is missing");
    expect(likeness("set info a.faces b.faces"), 2, "'b.faces' is one word too many");
    expect_one_sentence();
}

static void networks(void **state) {
    (void)state;
    expect(likeness_with("LIKENESS_MODELS=none", "models list"), 0, "likeness models install");
    expect(likeness_with("LIKENESS_MODELS=none", "models verify"), 1, "missing or damaged");
    expect(likeness_with("LIKENESS_MODELS=none", "models list --json"), 0, "");
    json_t *json = json_loads(printed, 0, NULL);
    assert_true(json_array_size(json_object_get(json, "models")) >= 7);
    json_decref(json);
    if (!have_clips()) skip();
    expect(likeness("models verify"), 0, "intact");
    expect(likeness("models install"), 0, "intact in");
}

static void broken_output(void **state) {
    (void)state;
    expect(likeness("models list >/dev/full"), 1, "cannot be printed");
    expect(likeness("help | head -1; exit ${PIPESTATUS:-0}"), 0, "");
}

static int starts(void) {
    int count = 0;
    for (const char *s = said; (s = strstr(s, "OPENMP DISPLAY ENVIRONMENT BEGIN")) != NULL; s++) count++;
    return count;
}

/* What OpenMP is told, by its own words: the program's wish for what computes for long, unless the user has one. */
static void waits_without_spinning(void **state) {
    (void)state;
    const char *const long_ones[] = {"train m --src no --dst no --model quick",
                                     "swap --src no --dst no -o no.mp4",
                                     "merge m no.mp4 -o o.mp4 --faces no",
                                     "evaluate m --src no --dst no",
                                     "mask train m --set no",
                                     "mask apply m no"};
    const char *nobody = "unset OMP_WAIT_POLICY GOMP_SPINCOUNT; OMP_DISPLAY_ENV=verbose";
    for (size_t i = 0; i < LK_COUNT(long_ones); i++) {
        expect(likeness_with(nobody, long_ones[i]), 1, "GOMP_SPINCOUNT = '10000'");
        assert_int_equal(starts(), 2);
    }
    expect(likeness_with("OMP_WAIT_POLICY=active OMP_DISPLAY_ENV=verbose", long_ones[0]), 1, "OMP_WAIT_POLICY");
    assert_int_equal(starts(), 1);
    expect(likeness_with("unset OMP_WAIT_POLICY; GOMP_SPINCOUNT=77 OMP_DISPLAY_ENV=verbose", long_ones[0]), 1,
           "GOMP_SPINCOUNT = '77'");
    assert_int_equal(starts(), 1);
    expect(likeness_with(nobody, "--version"), 0, "likeness ");
    assert_int_equal(starts(), 1);
    expect(likeness_with(nobody, "help train"), 0, "usage: likeness train");
    assert_int_equal(starts(), 1);
    expect(likeness_with(nobody, "set info no"), 1, "no");
    assert_int_equal(starts(), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overview),      cmocka_unit_test(every_command_explains_itself),
        cmocka_unit_test(slips),         cmocka_unit_test(networks),
        cmocka_unit_test(broken_output), cmocka_unit_test(waits_without_spinning),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
