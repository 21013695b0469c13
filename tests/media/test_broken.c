/* Files that break off, and sizes beyond every bound. */
#include "clips.h"

#include <unistd.h>

static int64_t read_all(const char *folder, const char *name, lk_error *err) {
    *err = (lk_error){0};
    char *path = lk_path_join(folder, name, NULL);
    lk_reader *r = lk_reader_open(path, NULL, err);
    int64_t count = 0;
    for (lk_frame *f; r && (f = lk_reader_next(r, err)) != NULL; lk_frame_free(f)) count++;
    lk_reader_close(r);
    free(path);
    return count;
}

static off_t size_of(const char *folder, const char *name) {
    char *text = output_of("stat -c %%s '%s/%s'", folder, name);
    off_t size = (off_t)strtoll(text, NULL, 10);
    free(text);
    return size;
}

/* Cut anywhere, between packets as well as in them, and beside sound as well as in it. */
static void a_file_cut_short_is_an_error(void **state) {
    (void)state;
    static const char *const files[] = {"a.mp4", "a.mkv", "a.avi"};
    char *folder = test_folder();
    lk_error err;
    ffmpeg(folder, "-f lavfi -i testsrc2=size=160x120:duration=4 -f lavfi -i sine=duration=4 -c:v libx264 "
                   "-preset ultrafast -c:a aac -movflags +faststart a.mp4");
    ffmpeg(folder, "-i a.mp4 -c copy a.mkv");
    ffmpeg(folder, "-i a.mp4 -c:v mpeg4 -c:a mp3 a.avi");
    for (size_t i = 0; i < LK_COUNT(files); i++) {
        assert_int_equal(read_all(folder, files[i], &err), 100);
        assert_int_equal(err.code, LK_OK);
        off_t size = size_of(folder, files[i]);
        int64_t before = 0;
        for (int part = 40; part < 90; part += 3) {
            free(output_of("cd '%s' && head -c %lld %s >cut", folder, (long long)size * part / 100, files[i]));
            int64_t count = read_all(folder, "cut", &err);
            if (count < before || count > 96) fail_msg("%s cut at %d %%: %d frames", files[i], part, (int)count);
            before = count;
            assert_int_equal(err.code, LK_ERR_FORMAT);
            assert_non_null(strstr(err.message, "cut"));
        }
        assert_true(before > 50);
    }
    test_remove_folder(folder);
}

/* A transport stream has no end of its own. */
static void a_clean_end_is_none(void **state) {
    (void)state;
    char *folder = test_folder();
    lk_error err;
    ffmpeg(folder, "-f lavfi -i testsrc2=size=160x120:duration=2 -c:v libx264 -preset ultrafast a.ts");
    ffmpeg(folder, "-i a.ts -c copy -movflags +frag_keyframe+empty_moov a.mp4");
    assert_int_equal(read_all(folder, "a.ts", &err), 50);
    assert_int_equal(err.code, LK_OK);
    assert_int_equal(read_all(folder, "a.mp4", &err), 50);
    assert_int_equal(err.code, LK_OK);
    test_remove_folder(folder);
}

static void half_a_picture_is_none(void **state) {
    (void)state;
    static const char *const names[] = {"a.jpg", "a.png", "a.webp", "a.bmp"};
    char *folder = test_folder();
    lk_error err;
    for (size_t i = 0; i < LK_COUNT(names); i++) {
        char command[200];
        snprintf(command, sizeof command, "-f lavfi -i testsrc2=size=160x120 -frames:v 1 %s", names[i]);
        ffmpeg(folder, command);
        assert_int_equal(read_all(folder, names[i], &err), 1);
        assert_int_equal(err.code, LK_OK);
        char cut[20];
        snprintf(cut, sizeof cut, "cut%s", names[i] + 1);
        off_t size = size_of(folder, names[i]);
        free(output_of("cd '%s' && head -c %lld %s >%s", folder, (long long)size * 6 / 10, names[i], cut));
        assert_int_equal(read_all(folder, cut, &err), 0);
        if (err.code != LK_ERR_FORMAT) fail_msg("%s: code %d", cut, (int)err.code);
        assert_non_null(strstr(err.message, cut));
    }
    test_remove_folder(folder);
}

static void a_side_too_long_is_refused(void **state) {
    (void)state;
    char *folder = test_folder();
    lk_error err;
    ffmpeg(folder, "-f lavfi -i color=red:size=40000x16 -frames:v 1 a.png");
    assert_int_equal(read_all(folder, "a.png", &err), 0);
    assert_int_equal(err.code, LK_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "40000"));
    test_remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_cut_short_is_an_error),
        cmocka_unit_test(a_clean_end_is_none),
        cmocka_unit_test(half_a_picture_is_none),
        cmocka_unit_test(a_side_too_long_is_refused),
    };
    return cmocka_run_group_tests_name("media: broken files", tests, NULL, NULL);
}
