/* The mask as a fourth channel, read back by the program ffmpeg. */
#include "made_up.h"

/* The alpha of frame `index` of a video or folder, as 8-bit values [H, W]. */
static void read_alpha(const char *path, const char *demuxer, int index, uint8_t *alpha) {
    char command[900];
    snprintf(command, sizeof command,
             "ffmpeg -v error %s -i '%s' -vf 'select=eq(n\\,%d),alphaextract' -frames:v 1 -f rawvideo -pix_fmt gray -",
             demuxer, path, index);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t n = fread(alpha, 1, W * H, pipe);
    if (pclose(pipe) != 0 || n != W * H) fail_msg("no alpha in frame %d of %s", index, path);
}

static void check_alpha(const char *path, const char *demuxer) {
    uint8_t *alpha = malloc(W * H);
    assert_non_null(alpha);
    read_alpha(path, demuxer, 5, alpha); /* no face */
    for (int i = 0; i < W * H; i++) assert_int_equal(alpha[i], 0);
    read_alpha(path, demuxer, 20, alpha); /* a face at (130, 120), its mask round */
    assert_true(alpha[W * 120 + 130] >= 254);
    assert_true(alpha[0] == 0 && alpha[W * H - 1] == 0 && alpha[W * 120 + 230] == 0);
    int fading = 0;
    for (int i = 0; i < W * H; i++) fading += alpha[i] > 10 && alpha[i] < 245;
    assert_true(fading > 100);
    free(alpha);
}

static void alpha_is_written(void **state) {
    (void)state;
    lk_error err = {0};
    behaviour = NEGATIVE;
    const struct {
        const char *name, *codec;
        bool folder;
    } cases[] = {{"a.mkv", NULL, false}, {"a.mov", NULL, false}, {"b.mov", "png", false}, {"pictures", NULL, true}};
    for (size_t k = 0; k < LK_COUNT(cases); k++) {
        lk_merge_options o = options();
        char *out = lk_path_join(folder, cases[k].name, &err);
        free(o.preset);
        o.preset = NULL;
        o.alpha = true;
        o.lossless = false;
        o.folder = cases[k].folder;
        o.max = 25;
        o.part = 9;
        o.codec = cases[k].codec ? lk_strdup(cases[k].codec, &err) : NULL;
        test_ok(lk_merge("model", video, faces, out, &o, NULL, &err), &err);
        if (cases[k].folder) {
            char *pattern = lk_path_join(out, "%06d.png", &err);
            check_alpha(pattern, "-start_number 0");
            free(pattern);
        } else {
            check_alpha(out, "");
        }
        lk_options_free(lk_merge_option_table, &o);
        free(out);
    }
    behaviour = SAME;
}

static void no_place_for_alpha(void **state) {
    (void)state;
    lk_error err = {0};
    lk_merge_options o = options();
    o.alpha = true;
    o.codec = lk_strdup("libx264", &err);
    int before = files_in_folder();
    assert_false(lk_merge("model", video, faces, output, &o, NULL, &err));
    assert_non_null(strstr(err.message, "libx264"));
    assert_non_null(strstr(err.message, "prores_ks"));
    assert_int_equal(files_in_folder(), before);
    lk_options_free(lk_merge_option_table, &o);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(alpha_is_written), cmocka_unit_test(no_place_for_alpha)};
    return cmocka_run_group_tests(tests, prepare, clean);
}
