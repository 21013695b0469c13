/* Folders of images, frames of one's own, and everything that goes wrong. */
#include "clips.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "internal.h"

static int entries(const char *folder) {
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    int count = 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) count++;
    closedir(dir);
    return count;
}

static lk_image plain(int width, int height, int value) {
    lk_image image;
    lk_error err = {0};
    test_ok(lk_image_alloc(&image, width, height, 3, LK_U8, &err), &err);
    for (int y = 0; y < height; y++) memset(lk_row_u8(&image, y), value, (size_t)width * 3);
    return image;
}

static void numbers_sort_as_numbers(void **state) {
    (void)state;
    assert_true(lk_natural_compare("2.png", "10.png") < 0);
    assert_true(lk_natural_compare("a10b2", "a10b10") < 0);
    assert_true(lk_natural_compare("a", "a1") < 0);
    assert_true(lk_natural_compare("01.png", "1.png") < 0);
    assert_true(lk_natural_compare("1.png", "01.png") > 0);
    assert_true(lk_natural_compare("00012", "9") > 0);
    assert_true(lk_natural_compare("99999999999999999999998", "99999999999999999999999") < 0);
    assert_int_equal(lk_natural_compare("x7", "x7"), 0);
}

/* Images of different sizes and kinds, in the order of their numbers, out again as PNGs of the same names. */
static void folder_in_and_out(void **state) {
    (void)state;
    static const char *const names[] = {"1.png", "2.jpg", "10.png", "11.jpg", "x%d.png"};
    char *folder = test_folder(), *in = lk_path_join(folder, "in", NULL), *out = lk_path_join(folder, "out", NULL);
    lk_error err = {0};
    test_ok(lk_make_dirs(in, &err), &err);
    for (int i = (int)LK_COUNT(names) - 1; i >= 0; i--) {
        lk_image image = plain(20 + i, 30, 40 * i + 10);
        char *path = lk_path_join(in, names[i], NULL);
        test_ok(lk_image_save(&image, path, 100, &err), &err);
        free(path);
        lk_image_free(&image);
    }
    char *note = lk_path_join(in, "notes.txt", NULL);
    test_ok(lk_file_write(note, "x", 1, &err), &err);
    for (int round = 0; round < 2; round++) {
        lk_reader *r = lk_reader_open(round ? out : in, NULL, &err);
        test_ok(r != NULL, &err);
        assert_int_equal(lk_reader_info(r)->frames, LK_COUNT(names));
        assert_true(lk_reader_info(r)->frames_exact);
        assert_false(lk_reader_info(r)->is_video);
        lk_writer *w = round ? NULL : lk_writer_open(out, r, &(lk_writer_options){.folder = true}, &err);
        for (size_t i = 0; i < LK_COUNT(names); i++) {
            lk_frame *f = lk_reader_next(r, &err);
            test_ok(f != NULL, &err);
            assert_int_equal(lk_frame_index(f), i);
            assert_int_equal(lk_frame_width(f), 20 + (int)i);
            assert_int_equal(strncmp(lk_frame_name(f), names[i], strcspn(names[i], ".")), 0);
            lk_image rgb;
            test_ok(lk_frame_rgb(f, (lk_rect){3, 4, 1, 1}, LK_U8, &rgb, &err), &err);
            assert_in_range(lk_row_u8(&rgb, 0)[1], 40 * i + 9, 40 * i + 11);
            lk_image_free(&rgb);
            if (w) test_ok(lk_writer_add(w, f, &err), &err);
            lk_frame_free(f);
        }
        assert_null(lk_reader_next(r, &err));
        assert_int_equal(err.code, LK_OK);
        if (w) assert_false(lk_file_exists(out));
        if (w) test_ok(lk_writer_finish(w, &err), &err);
        lk_reader_close(r);
    }
    assert_null(lk_writer_open(out, NULL, &(lk_writer_options){.folder = true}, &err));
    assert_non_null(strstr(err.message, "not empty"));
    assert_int_equal(entries(folder), 2);
    assert_int_equal(entries(out), LK_COUNT(names));
    free(note);
    free(out);
    free(in);
    test_remove_folder(folder);
}

/* A video of made pictures has the wanted rate and size, its colours come back, and it says what its matrix is. */
static void frames_of_ones_own(void **state) {
    (void)state;
    char *folder = test_folder(), *path = lk_path_join(folder, "a.mp4", NULL);
    lk_error err = {0};
    for (int lossless = 0; lossless < 2; lossless++) {
        lk_writer *w = lk_writer_open(
            path, NULL,
            &(lk_writer_options){.crf = 10, .lossless = lossless, .fps = 30000.0 / 1001, .preset = "veryfast"}, &err);
        test_ok(w != NULL, &err);
        for (int i = 0; i < 12; i++) {
            lk_image image = plain(64, 48, 20 * i);
            for (int x = 0; x < 64; x++) lk_row_u8(&image, 8)[3 * x] = 250;
            lk_frame *f = lk_frame_new(&image, i, i * 1001.0 / 30000, &err);
            test_ok(f && lk_writer_add(w, f, &err), &err);
            lk_frame_free(f);
            lk_image_free(&image);
        }
        test_ok(lk_writer_finish(w, &err), &err);
        lk_reader *r = lk_reader_open(path, NULL, &err);
        test_ok(r != NULL, &err);
        assert_float_equal(lk_reader_info(r)->fps, 30000.0 / 1001, 1e-6);
        assert_int_equal(lk_reader_info(r)->frames, 12);
        for (int i = 0; i < 12; i++) {
            lk_frame *f = lk_reader_next(r, &err);
            test_ok(f != NULL, &err);
            assert_float_equal(lk_frame_time(f), i * 1001.0 / 30000, 1e-9);
            lk_image rgb;
            test_ok(lk_frame_rgb(f, (lk_rect){0, 0, 64, 48}, LK_U8, &rgb, &err), &err);
            for (int c = 0; c < 3; c++)
                assert_in_range(lk_row_u8(&rgb, 40)[c] + 3, 20 * i + (lossless ? 3 : 0), 20 * i + (lossless ? 3 : 6));
            if (lossless) assert_int_equal(lk_row_u8(&rgb, 8)[0], 250);
            lk_image_free(&rgb);
            lk_frame_free(f);
        }
        lk_reader_close(r);
        char *matrix = output_of("ffprobe -v error -show_entries stream=color_space -of csv=p=0 '%s'", path);
        assert_string_equal(matrix, lossless ? "gbr\n" : "smpte170m\n");
        free(matrix);
    }
    free(path);
    test_remove_folder(folder);
}

static void expect_refusal(const char *folder, const char *name, lk_errcode code, const char *words) {
    lk_error err = {0};
    char *path = lk_path_join(folder, name, NULL);
    assert_null(lk_reader_open(path, NULL, &err));
    if (err.code != code || !strstr(err.message, words) || !strstr(err.message, path))
        fail_msg("%s: unexpected message: %s", name, err.message);
    free(path);
}

static void bad_inputs_are_named(void **state) {
    (void)state;
    char *folder = test_folder(), *path = lk_path_join(folder, "text.mp4", NULL);
    lk_error err = {0};
    static const char text[] = "This is no video.\nIt is a letter to a friend, with many words in it.\n";
    test_ok(lk_file_write(path, text, sizeof text, &err), &err);
    ffmpeg(folder, "-f lavfi -i sine=duration=1 sound.mp4");
    /* the index stands at the end; while it is recorded, the length of what stands before is not known yet */
    ffmpeg(folder, "-f lavfi -i testsrc=s=160x120:d=2 whole.mp4");
    free(output_of("cd '%s' && head -c $(($(stat -c %%s whole.mp4) / 2)) whole.mp4 >cut.mp4 && head -c -100 whole.mp4 "
                   ">nearly.mp4 && cp cut.mp4 recording.mp4 && n=$(grep -abo mdat cut.mp4 | "
                   "head -1 | cut -d: -f1) && printf '\\0\\0\\0\\0' | dd of=recording.mp4 bs=1 seek=$((n - 4)) "
                   "conv=notrunc status=none",
                   folder));
    free(path);
    path = lk_path_join(folder, "empty", NULL);
    test_ok(lk_make_dirs(path, &err), &err);
    free(path);
    path = lk_path_join(folder, "nothing.mp4", NULL);
    test_ok(lk_file_write(path, "", 0, &err), &err);
    expect_refusal(folder, "missing.mp4", LK_ERR_IO, "cannot be opened");
    expect_refusal(folder, "text.mp4", LK_ERR_FORMAT, "not a video or an image");
    expect_refusal(folder, "nothing.mp4", LK_ERR_FORMAT, "is empty");
    expect_refusal(folder, "cut.mp4", LK_ERR_FORMAT, "cut off");
    expect_refusal(folder, "nearly.mp4", LK_ERR_FORMAT, "cut off");
    expect_refusal(folder, "recording.mp4", LK_ERR_FORMAT, "cut off");
    expect_refusal(folder, "sound.mp4", LK_ERR_FORMAT, "only audio");
    expect_refusal(folder, "empty", LK_ERR_NOT_FOUND, "no images");
    assert_null(lk_reader_open(path, &(lk_reader_options){.first = -1}, &err));
    assert_int_equal(err.code, LK_ERR_USAGE);
    free(path);
    test_remove_folder(folder);
}

/* What is there of a file that breaks off is delivered, then comes an error. */
static void broken_off(void **state) {
    (void)state;
    static const char *const options[] = {"-movflags +faststart a.mp4", "a.mkv"};
    char *folder = test_folder(), command[300];
    lk_error err = {0};
    for (size_t k = 0; k < LK_COUNT(options); k++) {
        snprintf(command, sizeof command,
                 "-f lavfi -i testsrc2=size=160x120:duration=3 -c:v libx264 -pix_fmt yuv420p %s", options[k]);
        ffmpeg(folder, command);
        const char *name = k ? "a.mkv" : "a.mp4";
        char *path = lk_path_join(folder, name, NULL);
        free(output_of("truncate -s $(($(stat -c %%s '%s') * 6 / 10)) '%s'", path, path));
        lk_reader *r = lk_reader_open(path, NULL, &err);
        test_ok(r != NULL, &err);
        int count = 0;
        for (lk_frame *f; (f = lk_reader_next(r, &err)) != NULL; lk_frame_free(f))
            assert_int_equal(lk_frame_index(f), count++);
        assert_in_range(count, 20, 60);
        if (err.code != LK_ERR_FORMAT || !strstr(err.message, path) || !strstr(err.message, "breaks off"))
            fail_msg("%s, after %d frames: %s", name, count, err.code ? err.message : "no error");
        assert_null(lk_reader_next(r, &err)); /* and again */
        assert_int_equal(err.code, LK_ERR_FORMAT);
        lk_reader_close(r);
        free(path);
    }
    test_remove_folder(folder);
}

static void a_bad_image_in_a_folder(void **state) {
    (void)state;
    char *folder = test_folder(), *good = lk_path_join(folder, "1.png", NULL),
         *bad = lk_path_join(folder, "2.png", NULL);
    lk_error err = {0};
    lk_image image = plain(64, 64, 9);
    test_ok(lk_image_save(&image, good, 0, &err), &err);
    lk_image_free(&image);
    test_ok(lk_file_write(bad, "rubbish rubbish rubbish", 23, &err), &err);
    lk_reader *r = lk_reader_open(folder, NULL, &err);
    test_ok(r != NULL, &err);
    lk_frame_free(lk_reader_next(r, &err));
    assert_null(lk_reader_next(r, &err));
    assert_int_equal(err.code, LK_ERR_FORMAT);
    assert_non_null(strstr(err.message, bad));
    lk_reader_close(r);
    free(good);
    free(bad);
    test_remove_folder(folder);
}

static void what_cannot_be_written(void **state) {
    (void)state;
    char *folder = test_folder(), *path = lk_path_join(folder, "a.mp4", NULL),
         *odd = lk_path_join(folder, "a.odd", NULL);
    lk_error err = {0};
    assert_null(lk_writer_open(odd, NULL, NULL, &err));
    assert_int_equal(err.code, LK_ERR_USAGE);
    assert_non_null(strstr(err.message, ".mp4"));
    assert_null(lk_writer_open("/nonexistent/a.mp4", NULL, NULL, &err));
    assert_int_equal(err.code, LK_ERR_IO);
    assert_null(lk_writer_open(path, NULL, &(lk_writer_options){.crf = 99}, &err));
    assert_int_equal(err.code, LK_ERR_USAGE);
    assert_null(lk_writer_open(path, NULL, &(lk_writer_options){.codec = "magic"}, &err));
    assert_non_null(strstr(err.message, "magic"));
    assert_null(lk_writer_open(folder, NULL, NULL, &err));
    lk_writer *w = lk_writer_open(path, NULL, NULL, &err);
    test_ok(w != NULL, &err);
    assert_false(lk_writer_finish(w, &err));
    assert_int_equal(err.code, LK_ERR_NOT_FOUND);
    assert_int_equal(entries(folder), 0);
    free(path);
    free(odd);
    test_remove_folder(folder);
}

static void change_of_size_and_abandoning(void **state) {
    (void)state;
    char *folder = test_folder(), *path = lk_path_join(folder, "a.mp4", NULL),
         *pictures = lk_path_join(folder, "p", NULL);
    lk_error err = {0};
    lk_image small = plain(32, 32, 5), large = plain(48, 32, 5);
    lk_frame *a = lk_frame_new(&small, 0, 0, &err), *b = lk_frame_new(&large, 1, 0.04, &err);
    assert_true(a && b);
    lk_writer *w = lk_writer_open(path, NULL, NULL, &err);
    test_ok(w != NULL && lk_writer_add(w, a, &err), &err);
    bool ok = lk_writer_add(w, b, &err) && lk_writer_add(w, a, &err);
    for (int i = 0; ok && i < 1000; i++) ok = lk_writer_add(w, b, &err); /* the thread's error comes at some time */
    assert_false(ok);
    assert_non_null(strstr(err.message, "frame 1 has 48×32"));
    assert_false(lk_writer_finish(w, &err));
    for (int i = 0; i < 2; i++) {
        w = lk_writer_open(i ? pictures : path, NULL, &(lk_writer_options){.folder = i == 1, .crf = 20}, &err);
        test_ok(w != NULL && lk_writer_add(w, a, &err) && lk_writer_add(w, a, &err), &err);
        lk_writer_abandon(w);
        assert_int_equal(entries(folder), 0);
    }
    lk_writer_abandon(NULL);
    lk_frame_free(a);
    lk_frame_free(b);
    lk_image_free(&small);
    lk_image_free(&large);
    free(path);
    free(pictures);
    test_remove_folder(folder);
}

/* A full disk (here: a limit on file size) is an error, and leaves what was there before. */
static void full_disk(void **state) {
    (void)state;
    char *folder = test_folder(), *path = lk_path_join(folder, "a.mkv", NULL);
    lk_error err = {0};
    test_ok(lk_file_write(path, "old", 3, &err), &err);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){20000, 20000});
        lk_writer *w = lk_writer_open(path, NULL, &(lk_writer_options){.lossless = true, .preset = "ultrafast"}, &err);
        bool ok = w != NULL;
        for (int i = 0; ok && i < 60; i++) {
            lk_image image;
            ok = lk_image_alloc(&image, 128, 128, 3, LK_U8, &err);
            lk_rng rng = lk_rng_make(1, (uint64_t)i);
            for (int k = 0; k < 128 * 128 * 3; k++) ((uint8_t *)image.data)[k] = (uint8_t)lk_rng_u64(&rng);
            lk_frame *f = lk_frame_new(&image, i, i * 0.04, &err);
            ok = ok && lk_writer_add(w, f, &err);
            lk_frame_free(f);
            lk_image_free(&image);
        }
        ok = lk_writer_finish(w, &err);
        _exit(!ok && err.code == LK_ERR_IO ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    void *data;
    size_t size;
    test_ok(lk_file_read(path, 100, &data, &size, &err), &err);
    assert_string_equal(data, "old");
    free(data);
    assert_int_equal(entries(folder), 1);
    free(path);
    test_remove_folder(folder);
}

/* Leaving in the middle neither hangs nor leaks. */
static void closing_early(void **state) {
    (void)state;
    char *folder = test_folder(), *path = lk_path_join(folder, "a.mp4", NULL);
    lk_error err = {0};
    ffmpeg(folder, "-f lavfi -i testsrc2=size=64x64:duration=4 -c:v libx264 -preset ultrafast -pix_fmt yuv420p a.mp4");
    for (int n = 0; n < 8; n++) {
        lk_reader *r = lk_reader_open(path, NULL, &err);
        test_ok(r != NULL, &err);
        for (int i = 0; i < n; i++) lk_frame_free(lk_reader_next(r, &err));
        lk_reader_close(r);
    }
    lk_reader_close(NULL);
    free(path);
    test_remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_sort_as_numbers),
        cmocka_unit_test(folder_in_and_out),
        cmocka_unit_test(frames_of_ones_own),
        cmocka_unit_test(bad_inputs_are_named),
        cmocka_unit_test(broken_off),
        cmocka_unit_test(a_bad_image_in_a_folder),
        cmocka_unit_test(what_cannot_be_written),
        cmocka_unit_test(change_of_size_and_abandoning),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(closing_early),
    };
    return cmocka_run_group_tests_name("media: files", tests, NULL, NULL);
}
