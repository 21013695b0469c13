#include "testing.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void write_and_read(void **state) {
    (void)state;
    char *folder = test_folder(), *path = lk_path_join(folder, "a.bin", NULL);
    lk_error err = {0};
    void *data = NULL;
    size_t size = 0;
    test_ok(lk_file_write(path, "hello", 5, &err), &err);
    test_ok(lk_file_read(path, 100, &data, &size, &err), &err);
    assert_int_equal(size, 5);
    assert_string_equal(data, "hello");
    free(data);
    assert_false(lk_file_read(path, 4, &data, &size, &err));
    assert_int_equal(err.code, LK_ERR_FORMAT);
    assert_non_null(strstr(err.message, path));
    assert_false(lk_file_read(folder, 4, &data, &size, &err));
    assert_non_null(strstr(err.message, "folder"));
    free(path);
    test_remove_folder(folder);
}

/* On a full disk (here: a limit on file size) the old content stays and nothing else is left behind. */
static void full_disk_keeps_the_old_file(void **state) {
    (void)state;
    char *folder = test_folder(), *path = lk_path_join(folder, "a.bin", NULL);
    lk_error err = {0};
    test_ok(lk_file_write(path, "old", 3, &err), &err);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, 4096});
        void *big = calloc(1, 100000);
        bool failed = big && !lk_file_write(path, big, 100000, &err) && err.code == LK_ERR_IO;
        _exit(failed ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    void *data;
    size_t size;
    test_ok(lk_file_read(path, 100, &data, &size, &err), &err);
    assert_string_equal(data, "old");
    free(data);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0); /* so nothing else was in it */
    free(path);
    free(folder);
}

static int left_behind;
static void count_and_remove(const char *temporary) {
    left_behind++;
    assert_int_equal(unlink(temporary), 0);
}

/* What killed processes left of one file goes; what a living one writes, and all other names, stay. */
static void leftovers(void **state) {
    (void)state;
    char *folder = test_folder(), *path = lk_path_join(folder, "a.mp4", NULL), command[600];
    pid_t gone = fork();
    if (gone == 0) _exit(0);
    assert_int_equal(waitpid(gone, NULL, 0), gone);
    snprintf(command, sizeof command,
             "cd '%s' && touch .a.mp4.tmp.%ld.mp4 .a.mp4.tmp.%ld .a.mp4.tmp.%ld.mp4 .b.mp4.tmp.%ld .a.mp4.tmp. .a.mp4 "
             ".a.mp4.tmp.1x",
             folder, (long)gone, (long)gone, (long)getpid(), (long)gone);
    assert_int_equal(system(command), 0);
    left_behind = 0;
    lk_file_each_left_behind(path, count_and_remove);
    assert_int_equal(left_behind, 2);
    lk_file_each_left_behind(path, count_and_remove);
    assert_int_equal(left_behind, 2);
    lk_file_each_left_behind("/nonexistent/a.mp4", count_and_remove);
    free(path);
    test_remove_folder(folder);
}

/* kill -9 at any moment leaves one of the two contents, whole. */
static void killed_while_writing(void **state) {
    (void)state;
    enum { SIZE = 300000 };
    char *folder = test_folder(), *path = lk_path_join(folder, "a.bin", NULL);
    lk_error err = {0};
    char *bytes = malloc(SIZE);
    assert_non_null(bytes);
    memset(bytes, 'a', SIZE);
    test_ok(lk_file_write(path, bytes, SIZE, &err), &err);
    lk_rng r = lk_rng_make(7, 0);
    for (int round = 0; round < 20; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            for (int i = 0;; i++) {
                memset(bytes, 'a' + i % 26, SIZE);
                lk_file_write(path, bytes, SIZE, NULL);
            }
        usleep(500 + lk_rng_below(&r, 8000));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        void *data;
        size_t size;
        test_ok(lk_file_read(path, SIZE, &data, &size, &err), &err);
        assert_int_equal(size, SIZE);
        for (size_t i = 1; i < size; i++) assert_int_equal(((char *)data)[i], ((char *)data)[0]);
        free(data);
    }
    free(bytes);
    free(path);
    test_remove_folder(folder);
}

static void folders_and_names(void **state) {
    (void)state;
    lk_error err = {0};
    char *folder = test_folder(), *deep = lk_path_join(folder, "a/b/c", &err);
    test_ok(lk_make_dirs(deep, &err), &err);
    test_ok(lk_make_dirs(deep, &err), &err);
    assert_true(lk_file_exists(deep));
    char *file = lk_path_join(folder, "f", &err), *below = lk_path_join(folder, "f/g", &err);
    test_ok(lk_file_write(file, "", 0, &err), &err);
    assert_false(lk_make_dirs(below, &err));
    assert_non_null(strstr(err.message, "/f"));
    char *temporary = lk_file_temporary_name("x/video.mp4", &err);
    assert_int_equal(strncmp(temporary, "x/.video.mp4.tmp.", 17), 0);
    assert_string_equal(strrchr(temporary, '.'), ".mp4");
    free(temporary);
    free(below);
    free(file);
    free(deep);
    test_remove_folder(folder);
}

/* FIPS 180-4's own examples. */
static void sha256(void **state) {
    (void)state;
    char hex[65];
    lk_sha256("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    lk_sha256("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    char *folder = test_folder(), *path = lk_path_join(folder, "abc", NULL);
    lk_error err = {0};
    test_ok(lk_file_write(path, "abc", 3, &err), &err);
    test_ok(lk_sha256_file(path, hex, &err), &err);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    free(path);
    test_remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leftovers),
        cmocka_unit_test(write_and_read),
        cmocka_unit_test(full_disk_keeps_the_old_file),
        cmocka_unit_test(killed_while_writing),
        cmocka_unit_test(folders_and_names),
        cmocka_unit_test(sha256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
