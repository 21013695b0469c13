/* Merges that are interrupted and gone on with, and frames that are done again. */
#include "made_up.h"

static char *parts;

static lk_merge_options in_parts(void) {
    lk_merge_options o = options();
    o.part = 8;
    return o;
}

/* What the program ffmpeg makes of a file: a line per frame, or one for the whole stream as it is. */
static char *checksums(const char *path, const char *how) {
    char command[900];
    snprintf(command, sizeof command, "ffmpeg -v error -i '%s' %s -", path, how);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 16) - 1, pipe) > 20);
    assert_int_equal(pclose(pipe), 0);
    return text;
}

static void same_video(const char *a, const char *b) {
    static const char *const hows[] = {"-map 0:v -f framemd5", "-map 0:v -c copy -f md5"};
    for (int k = 0; k < 2; k++) {
        char *x = checksums(a, hows[k]), *y = checksums(b, hows[k]);
        assert_string_equal(x, y);
        free(x);
        free(y);
    }
}

static void merge_whole(const char *path, const lk_merge_options *o) {
    lk_error err = {0};
    lk_merge_report r;
    test_ok(lk_merge("model", video, faces, path, o, &r, &err), &err);
    assert_int_equal(r.frames, FRAMES);
}

static bool has_part(int number) {
    char path[700];
    snprintf(path, sizeof path, "%s/%06d.part", parts, number);
    return lk_file_exists(path);
}

/* Frames with changed pixels, as the checksums of the decoded frames tell them apart. */
static void count_lines(const char *a, const char *b, int same[FRAMES]) {
    char *x = checksums(a, "-map 0:v -f framemd5"), *y = checksums(b, "-map 0:v -f framemd5");
    int i = 0;
    for (char *p = x, *q = y; *p && *q && i < FRAMES;) {
        size_t n = strcspn(p, "\n"), m = strcspn(q, "\n");
        if (*p != '#') same[i++] = n == m && strncmp(p, q, n) == 0;
        p += n + 1;
        q += m + 1;
    }
    assert_int_equal(i, FRAMES);
    free(x);
    free(y);
}

/* Ctrl-C when so many frames have been sent to the writer (of which a few may still wait). */
static int stop_after;
static void interrupt(const lk_progress *p, void *user) {
    (void)user;
    if (stop_after && p->done >= stop_after && !p->ended) lk_interrupt_request();
}

static void merge_until(int frames, const lk_merge_options *o) {
    lk_error err = {0};
    unlink(output);
    stop_after = frames;
    assert_false(lk_merge("model", video, faces, output, o, NULL, &err));
    assert_int_equal(err.code, LK_ERR_INTERRUPTED);
    stop_after = 0;
    lk_interrupt_clear();
    assert_false(lk_file_exists(output));
}

/* Interrupted twice, gone on with, and the same bytes of video as in one run. */
static void interrupted_and_resumed(void **state) {
    (void)state;
    lk_error err = {0};
    lk_merge_report r;
    char *once = lk_path_join(folder, "once.mp4", &err);
    lk_merge_options o = in_parts();
    behaviour = SAME;
    merge_whole(once, &o);
    merge_until(26, &o);
    assert_true(has_part(0) && has_part(1) && !has_part(4));
    merge_until(45, &o);
    assert_true(has_part(3) && !has_part(6));
    test_ok(lk_merge("model", video, faces, output, &o, &r, &err), &err);
    assert_int_equal(r.frames, FRAMES);
    assert_true(r.kept >= 32 && r.kept % 8 == 0 && r.kept + r.merged + r.untouched == FRAMES);
    assert_false(lk_file_exists(parts));
    same_video(once, output);
    lk_options_free(lk_merge_option_table, &o);
    unlink(once);
    free(once);
}

/* Parts of another merge are not gone on with; a damaged part is done again; what a killed run left is cleared away. */
static void only_whole_parts_of_the_same_merge(void **state) {
    (void)state;
    lk_error err = {0};
    lk_merge_report r;
    char *once = lk_path_join(folder, "once.mp4", &err);
    lk_merge_options o = in_parts();
    o.keep = true;
    behaviour = NEGATIVE;
    merge_whole(output, &o);
    assert_true(has_part(0) && has_part(7) && !has_part(8));
    o.composite.erode = 10;
    test_ok(lk_merge("model", video, faces, output, &o, &r, &err), &err);
    assert_int_equal(r.kept, 0);
    o.keep = false;
    merge_whole(once, &o); /* another name, so from nothing */
    o.keep = true;
    char *damaged = lk_format(NULL, "%s/000003.part", parts), *left = lk_format(NULL, "%s/.000004.part.tmp.7", parts);
    FILE *f = fopen(damaged, "r+");
    assert_non_null(f);
    fseek(f, 700, SEEK_SET);
    int c = fgetc(f);
    fseek(f, 700, SEEK_SET);
    fputc(c ^ 64, f);
    fclose(f);
    test_ok(lk_file_write(left, "half", 4, &err), &err);
    test_ok(lk_merge("model", video, faces, output, &o, &r, &err), &err);
    assert_int_equal(r.kept, FRAMES - 8);
    assert_int_equal(r.merged, 8);
    assert_false(lk_file_exists(left));
    same_video(once, output);
    o.keep = false;
    test_ok(lk_merge("model", video, faces, output, &o, &r, &err), &err);
    assert_int_equal(r.kept, FRAMES);
    assert_false(lk_file_exists(parts));
    lk_options_free(lk_merge_option_table, &o);
    unlink(once);
    free(once);
    free(damaged);
    free(left);
}

/* --frames 21..26 with another mask: these change, the others keep their pixels, and twice is as once. */
static void frames_done_again(void **state) {
    (void)state;
    lk_error err = {0};
    lk_merge_report r;
    char *first = lk_path_join(folder, "first.mp4", &err);
    for (int rgb = 0; rgb < 2; rgb++) {
        lk_merge_options o = in_parts();
        int same[FRAMES];
        if (!rgb) o.lossless = false; /* 4:2:0, with loss and B-frames */
        o.keep = true;
        behaviour = NEGATIVE;
        merge_whole(output, &o);
        assert_int_equal(rename(output, first), 0);
        o.frames = lk_strdup("21..26", NULL);
        o.composite.erode = 15;
        test_ok(lk_merge("model", video, faces, output, &o, &r, &err), &err);
        assert_int_equal(r.frames, FRAMES);
        assert_int_equal(r.kept, FRAMES - 16); /* two parts of 8 hold them */
        count_lines(first, output, same);
        for (int i = 0; i < FRAMES; i++) {
            bool changes = i >= 21 && i <= 26;
            if (rgb && same[i] == changes) fail_msg("frame %d: %s", i, changes ? "unchanged" : "changed");
            if (!rgb && (i < 16 || i > 31) && !same[i]) fail_msg("frame %d changed", i);
        }
        assert_int_equal(rename(output, first), 0);
        test_ok(lk_merge("model", video, faces, output, &o, &r, &err), &err);
        same_video(first, output);
        lk_options_free(lk_merge_option_table, &o);
        o = in_parts(); /* removes the parts */
        o.lossless = rgb;
        merge_whole(output, &o);
        lk_options_free(lk_merge_option_table, &o);
    }
    assert_false(lk_file_exists(parts));
    unlink(first);
    free(first);
}

static void frames_refused(void **state) {
    (void)state;
    lk_error err = {0};
    lk_merge_options o = in_parts();
    o.frames = lk_strdup("3..5", NULL);
    assert_false(lk_merge("model", video, faces, output, &o, NULL, &err));
    assert_non_null(strstr(err.message, "--keep"));
    free(o.frames);
    o.frames = NULL;
    o.keep = true;
    merge_whole(output, &o);
    static const char *const bad[][2] = {{"5..3", "5..3"}, {"x", "'x'"}, {"50..60", "frame 59"}};
    for (size_t k = 0; k < LK_COUNT(bad); k++) {
        o.frames = lk_strdup(bad[k][0], NULL);
        assert_false(lk_merge("model", video, faces, output, &o, NULL, &err));
        if (!strstr(err.message, bad[k][1])) fail_msg("%s: %s", bad[k][0], err.message);
        free(o.frames);
    }
    o.frames = NULL;
    o.keep = false;
    merge_whole(output, &o);
    lk_options_free(lk_merge_option_table, &o);
}

/* A selection of the video keeps its own beginning. */
static void part_of_a_video_in_parts(void **state) {
    (void)state;
    lk_error err = {0};
    lk_merge_report r;
    char *once = lk_path_join(folder, "once.mp4", &err);
    lk_merge_options o = in_parts();
    o.first = 9;
    o.max = 37;
    behaviour = SAME;
    test_ok(lk_merge("model", video, faces, once, &o, &r, &err), &err);
    merge_until(24, &o);
    test_ok(lk_merge("model", video, faces, output, &o, &r, &err), &err);
    assert_int_equal(r.frames, 37);
    same_video(once, output);
    lk_options_free(lk_merge_option_table, &o);
    unlink(once);
    free(once);
}

/* A folder of pictures, interrupted in the middle: the same files as in one run. */
static void folder_goes_on(void **state) {
    (void)state;
    lk_error err = {0};
    lk_merge_report r;
    char *once = lk_path_join(folder, "once", &err), *twice = lk_path_join(folder, "twice", &err);
    char *kept = lk_format(&err, "%s.parts/pictures/000003.png", twice), command[1500];
    lk_merge_options o = options();
    o.folder = true;
    o.first = 5;
    behaviour = NEGATIVE;
    test_ok(lk_merge("model", video, faces, once, &o, NULL, &err), &err);
    stop_after = 30;
    assert_false(lk_merge("model", video, faces, twice, &o, NULL, &err));
    stop_after = 0;
    lk_interrupt_clear();
    assert_false(lk_file_exists(twice));
    assert_false(lk_file_exists(kept)); /* pictures have their frames' numbers */
    kept[strlen(kept) - 5] = '6';
    assert_true(lk_file_exists(kept));
    snprintf(command, sizeof command, "echo half >'%s.parts/pictures/.000099.png.tmp.7.png'", twice);
    assert_int_equal(system(command), 0);
    test_ok(lk_merge("model", video, faces, twice, &o, &r, &err), &err);
    assert_true(r.kept >= 15 && r.kept < 40);
    assert_int_equal(r.frames, FRAMES - 5);
    assert_int_equal(r.kept + r.merged + r.untouched, FRAMES - 5);
    snprintf(command, sizeof command, "diff -r '%s' '%s' && test ! -e '%s.parts'", once, twice, twice);
    assert_int_equal(system(command), 0);
    o.keep = true;
    assert_false(lk_merge("model", video, faces, output, &o, NULL, &err));
    assert_non_null(strstr(err.message, "--keep"));
    lk_options_free(lk_merge_option_table, &o);
    free(once);
    free(twice);
    free(kept);
}

static int begin(void **state) {
    prepare(state);
    lk_progress_to(interrupt, NULL);
    parts = lk_format(NULL, "%s.parts", output);
    return 0;
}

static int end(void **state) {
    free(parts);
    return clean(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interrupted_and_resumed),  cmocka_unit_test(only_whole_parts_of_the_same_merge),
        cmocka_unit_test(frames_done_again),        cmocka_unit_test(frames_refused),
        cmocka_unit_test(part_of_a_video_in_parts), cmocka_unit_test(folder_goes_on),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
