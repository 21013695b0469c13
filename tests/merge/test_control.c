/* What the user decides by frame and by face, steadiness, previews, measures, and what is refused. */
#include "made_up.h"

enum { MAX_COUNT = 64 };

static lk_merge_options plain(void) {
    lk_merge_options o = options();
    o.composite.color = LK_COLOR_NONE;
    return o;
}

static void merge_to(const char *path, const lk_merge_options *o, lk_merge_report *report) {
    lk_error err = {0};
    test_ok(lk_merge("model", video, faces, path, o, report, &err), &err);
}

/* How many pixels of frame i of the output differ from the input's frame first + i by more than 5 levels, left and right
 * of x. */
static void changed_pixels(const char *path, int first, int count, double middle, int left[MAX_COUNT],
                           int right[MAX_COUNT]) {
    lk_error err = {0};
    lk_reader *a = lk_reader_open(video, &(lk_reader_options){.first = first}, &err), *b = open_reader(path);
    lk_rect all = {0, 0, W, H};
    for (int i = 0; i < count; i++) {
        lk_frame *f = lk_reader_next(a, &err), *g = lk_reader_next(b, &err);
        assert_true(f && g);
        lk_image u, v;
        test_ok(lk_frame_rgb(f, all, LK_U8, &u, &err) && lk_frame_rgb(g, all, LK_U8, &v, &err), &err);
        left[i] = right[i] = 0;
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                if (abs(lk_row_u8(&u, y)[3 * x] - lk_row_u8(&v, y)[3 * x]) > 5) ++*(x < middle ? &left[i] : &right[i]);
        lk_image_free(&u);
        lk_image_free(&v);
        lk_frame_free(f);
        lk_frame_free(g);
    }
    lk_reader_close(a);
    lk_reader_close(b);
}

/* Frame 30 has a face around x = 140 and a smaller one at 280. */
static void faces_are_chosen(void **state) {
    (void)state;
    behaviour = NEGATIVE;
    const struct {
        const char *who;
        bool left, right;
    } cases[] = {{NULL, true, true},        {"all", true, true},      {"largest", true, false},
                 {"left", true, false},     {"right", false, true},   {"at:90,25", false, true},
                 {"at:40,50", true, false}, {"track:1", false, true}, {"track:0", true, false},
                 {"track:0,1", true, true}, {"track:7", false, false}};
    for (size_t k = 0; k < LK_COUNT(cases); k++) {
        lk_merge_options o = plain();
        int left[MAX_COUNT], right[MAX_COUNT];
        o.first = TWO_FACES;
        o.max = 1;
        o.who = cases[k].who ? lk_strdup(cases[k].who, NULL) : NULL;
        merge_to(output, &o, NULL);
        changed_pixels(output, TWO_FACES, 1, 220, left, right);
        if ((left[0] > 500) != cases[k].left || (right[0] > 200) != cases[k].right)
            fail_msg("%s: %d pixels on the left, %d on the right", cases[k].who, left[0], right[0]);
        lk_options_free(lk_merge_option_table, &o);
    }
    behaviour = SAME;
}

/* Two people in one pass, each by a model of its own. */
static void several_models(void **state) {
    (void)state;
    lk_error err = {0};
    lk_merge_options o = plain();
    int left[MAX_COUNT], right[MAX_COUNT];
    test_ok(lk_strings_add(&o.also, "negative=right", &err), &err);
    merge_to(output, &o, NULL);
    changed_pixels(output, 0, FRAMES, 220, left, right);
    assert_true(left[TWO_FACES] < 100 && right[TWO_FACES] > 200);
    assert_true(left[20] > 500); /* a single face is the rightmost */
    lk_options_free(lk_merge_option_table, &o);
}

static void write_text(const char *path, const char *text) {
    lk_error err = {0};
    test_ok(lk_file_write(path, text, strlen(text), &err), &err);
}

static void session_by_frame(void **state) {
    (void)state;
    lk_error err = {0};
    char *session = lk_path_join(folder, "s.jsonl", &err);
    behaviour = NEGATIVE;
    write_text(
        session,
        "{\"likeness_session\": 1}\n"
        "{\"frames\": \"..14\", \"options\": {\"erode\": 200}}\n\n"
        "{\"frames\": \"20..29\", \"from\": {\"erode\": 0, \"blur\": 5}, \"to\": {\"erode\": 40, \"blur\": 10}}\n"
        "{\"frames\": 40, \"options\": {\"mode\": \"raw-prediction\"}}\n"
        "{\"frames\": \"45..\", \"options\": {\"erode\": 200}}\n");
    lk_merge_options o = plain();
    int left[MAX_COUNT], right[MAX_COUNT], again[MAX_COUNT], none[MAX_COUNT];
    o.steady = 0;
    o.session = lk_strdup(session, NULL);
    merge_to(output, &o, NULL);
    changed_pixels(output, 0, FRAMES, W, left, right);
    for (int i = 0; i < FRAMES; i++) {
        if (i < 15 || i >= 45) assert_int_equal(left[i], 0);
        if (i >= 15 && i < 20) assert_true(left[i] > 1000);
        if (i > 20 && i < 30) assert_true(left[i] < left[i - 1]);
        if (i == 40) assert_true(left[i] > W * H / 2);
    }
    assert_true(left[29] > 0 && left[29] < left[20] / 2);
    merge_to(output, &o, NULL); /* it replays */
    changed_pixels(output, 0, FRAMES, W, again, none);
    assert_memory_equal(left, again, FRAMES * sizeof *left);
    lk_options_free(lk_merge_option_table, &o);
    free(session);
    behaviour = SAME;
}

static void bad_sessions(void **state) {
    (void)state;
    lk_error err = {0};
    char *session = lk_path_join(folder, "bad.jsonl", &err);
    const struct {
        const char *text, *says[2];
    } cases[] = {
        {"{\"frames\": \"1..2\", \"options\": {\"blurr\": 3}}", {"line 1", "blurr"}},
        {"\n{\"frames\": \"1..2\", \"options\": {\"blur\": 300}}", {"line 2", "blur"}},
        {"{\"frames\": \"1..2\", \"options\": {\"mode\": \"sticky\"}}", {"line 1", "sticky"}},
        {"{\"frames\": \"1..2\", \"options\": {\"crf\": 3}}", {"line 1", "crf"}},
        {"{\"frames\": \"7..2\", \"options\": {\"blur\": 3}}", {"line 1", "7..2"}},
        {"{\"frames\": \"55..60\", \"options\": {\"blur\": 3}}", {"line 1", "frame 60"}},
        {"{\"frames\": \"1..2\"}", {"line 1", "options"}},
        {"{\"options\": {\"blur\": 3}}", {"line 1", "frames"}},
        {"{\"frames\": \"1..2\", \"option\": {\"blur\": 3}}", {"line 1", "option"}},
        {"{\"frames\": \"1..2\", \"from\": {\"blur\": 3}}", {"line 1", "to"}},
        {"{\"frames\": \"1..2\", \"from\": {\"blur\": 3}, \"to\": {\"erode\": 3}}", {"line 1", "blur"}},
        {"{\"frames\": \"1..2\", \"from\": {\"mode\": \"overlay\"}, \"to\": {\"mode\": \"overlay\"}}",
         {"line 1", "mode"}},
        {"{\"frames\": \"1..\", \"from\": {\"blur\": 3}, \"to\": {\"blur\": 4}}", {"line 1", "last frame"}},
        {"{\"likeness_session\": 2}", {"line 1", "version 1"}},
        {"[1]", {"line 1", "object"}},
        {"{\"frames\": ", {"line 1", "JSON"}},
        {"\xff\xfe", {"line 1", "JSON"}},
    };
    int before = files_in_folder();
    for (size_t k = 0; k < LK_COUNT(cases); k++) {
        lk_merge_options o = plain();
        write_text(session, cases[k].text);
        o.session = lk_strdup(session, NULL);
        char *out = lk_path_join(folder, "never.mp4", &err);
        assert_false(lk_merge("model", video, faces, out, &o, NULL, &err));
        for (int i = 0; i < 2; i++)
            if (!strstr(err.message, cases[k].says[i]) || !strstr(err.message, "bad.jsonl"))
                fail_msg("%s\nsays: %s", cases[k].text, err.message);
        assert_false(lk_file_exists(out));
        free(out);
        lk_options_free(lk_merge_option_table, &o);
    }
    assert_int_equal(files_in_folder(), before + 1);
    unlink(session);
    free(session);
}

static void refused(void **state) {
    (void)state;
    lk_error err = {0};
    char *out = lk_path_join(folder, "never.mp4", &err);
    static const char *const whos[] = {"middle",  "track:", "track:x", "at:1", "at:200,3", "like:/nonexistent.faces",
                                       "track:1,"};
    for (size_t k = 0; k < LK_COUNT(whos); k++) {
        lk_merge_options o = plain();
        o.who = lk_strdup(whos[k], NULL);
        assert_false(lk_merge("model", video, faces, out, &o, NULL, &err));
        assert_true(strlen(err.message) > 20);
        lk_options_free(lk_merge_option_table, &o);
    }
    lk_merge_options o = plain();
    o.who = lk_format(NULL, "like:%s", faces); /* made without descriptors */
    assert_false(lk_merge("model", video, faces, out, &o, NULL, &err));
    assert_non_null(strstr(err.message, "descriptors"));
    free(o.who);
    o.who = NULL;
    test_ok(lk_strings_add(&o.also, "negative", &err), &err);
    assert_false(lk_merge("model", video, faces, out, &o, NULL, &err));
    assert_non_null(strstr(err.message, "MODEL_DIR=WHICH"));
    lk_options_free(lk_merge_option_table, &o);
    o = plain();
    behaviour = BROKEN;
    assert_false(lk_merge("model", video, faces, out, &o, NULL, &err));
    assert_non_null(strstr(err.message, "NaN"));
    assert_non_null(strstr(err.message, "frame"));
    behaviour = SAME;
    assert_false(lk_file_exists(out));
    lk_options_free(lk_merge_option_table, &o);
    free(out);
}

/* Flicker inside the face, as a multiple of the original's. */
static double flicker_with(int behaves, int mode, int color, double steady) {
    lk_error err = {0};
    lk_merge_options o = options();
    lk_merge_quality q;
    o.steady = steady;
    o.composite.color = color;
    o.composite.mode = mode;
    behaviour = behaves;
    merge_to(output, &o, NULL);
    behaviour = SAME;
    lk_options_free(lk_merge_option_table, &o);
    test_ok(lk_merge_measure(video, output, faces, 0, 0, &q, &err), &err);
    assert_int_equal(q.frames, FRAMES);
    assert_int_equal(q.faces, LAST_FACE - FIRST_FACE + 2);
    return q.flicker_after / q.flicker_before;
}

/* A prediction that turns lighter and darker from frame to frame by 16 % is steadied by dst's colours; a mask that jumps
 * is by those around it. */
static void steadiness(void **state) {
    (void)state;
    assert_true(flicker_with(FLICKERING, LK_MODE_OVERLAY, LK_COLOR_NONE, 1) > 20);
    assert_true(flicker_with(FLICKERING, LK_MODE_OVERLAY, LK_COLOR_RCT, 1) < 1.2);
    assert_true(flicker_with(FLICKERING, LK_MODE_SEAMLESS, LK_COLOR_NONE, 1) < 3);
    assert_true(flicker_with(SAME, LK_MODE_SEAMLESS, LK_COLOR_RCT, 1) < 1.05);
    double jumps = flicker_with(JUMPING, LK_MODE_OVERLAY, LK_COLOR_NONE, 0);
    double steadied = flicker_with(JUMPING, LK_MODE_OVERLAY, LK_COLOR_NONE, 1);
    if (!(steadied < jumps / 3)) fail_msg("a jumping mask: %g, steadied %g", jumps, steadied);
}

/* The same pictures with one thread and with four. */
static void threads_change_nothing(void **state) {
    (void)state;
    lk_error err = {0};
    char *other = lk_path_join(folder, "other-threads.mp4", &err);
    lk_merge_options o = options();
    behaviour = NEGATIVE;
    o.composite.grain = 100;
    o.composite.motion_blur = 50;
    lk_set_threads(1);
    merge_to(output, &o, NULL);
    lk_set_threads(4);
    merge_to(other, &o, NULL);
    lk_set_threads(0);
    char command[1500], sums[2][64] = {"", ""};
    for (int k = 0; k < 2; k++) {
        snprintf(command, sizeof command, "ffmpeg -v error -i '%s' -f md5 -", k ? other : output);
        FILE *pipe = popen(command, "r");
        assert_non_null(pipe);
        assert_non_null(fgets(sums[k], sizeof sums[k], pipe));
        pclose(pipe);
    }
    assert_string_equal(sums[0], sums[1]);
    lk_options_free(lk_merge_option_table, &o);
    behaviour = SAME;
    unlink(other);
    free(other);
}

static void preview_of_a_frame(void **state) {
    (void)state;
    lk_error err = {0};
    char *png = lk_path_join(folder, "preview.png", &err);
    behaviour = NEGATIVE;
    lk_merge_options o = plain();
    lk_image sheet;
    test_ok(lk_merge_preview("model", video, faces, TWO_FACES, png, &o, &err), &err);
    test_ok(lk_image_load(png, &sheet, &err), &err);
    assert_int_equal(sheet.width, 5 * 200 + 8);
    assert_int_equal(sheet.height, 240 + 16 + 2 * 200);
    /* crop and prediction are each other's negative */
    double sum = 0;
    for (int y = 0; y < 192; y++)
        for (int i = 0; i < 3 * 192; i++) {
            const uint8_t *row = lk_row_u8(&sheet, 256 + y);
            sum += abs(255 - row[3 * 8 + i] - row[3 * 208 + i]);
        }
    assert_true(sum / (192 * 192 * 3) < 2);
    lk_image_free(&sheet);
    test_ok(lk_merge_preview("model", video, faces, 3, png, &o, &err), &err); /* no face */
    assert_false(lk_merge_preview("model", video, faces, 900, png, &o, &err));
    assert_non_null(strstr(err.message, "900"));
    lk_options_free(lk_merge_option_table, &o);
    behaviour = SAME;
    unlink(png);
    free(png);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faces_are_chosen),
        cmocka_unit_test(several_models),
        cmocka_unit_test(session_by_frame),
        cmocka_unit_test(bad_sessions),
        cmocka_unit_test(refused),
        cmocka_unit_test(steadiness),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(preview_of_a_frame),
    };
    return cmocka_run_group_tests(tests, prepare, clean);
}
