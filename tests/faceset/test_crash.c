/* Killed while writing: every commit that was reported is there, whole, and nothing of what was not. Cut or changed
 * files: refused or read, never a crash. */
#include "made_up.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>

#define BATCH 5

/* Adds batches for ever and reports each commit by a byte. */
static void write_until_killed(const char *path, int report) {
    lk_faceset *s = lk_faceset_open(path, true, NULL);
    lk_source *sources = NULL;
    if (!s || lk_faceset_sources(s, &sources, NULL) != 1) _exit(2);
    int64_t frame = lk_faceset_count(s, NULL, NULL);
    for (;;) {
        if (!lk_faceset_begin(s, NULL)) _exit(3);
        for (int i = 0; i < BATCH; i++, frame++) {
            unsigned char jpeg[MADE_UP_JPEG];
            lk_face f = made_up_face(sources[0].id, frame, jpeg);
            if (!lk_faceset_add(s, &f, jpeg, sizeof jpeg, NULL)) _exit(4);
        }
        if (!lk_faceset_commit(s, NULL)) _exit(5);
        if (write(report, "c", 1) != 1) _exit(6);
    }
}

static int64_t check_whole(const char *path) {
    sqlite3 *db;
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(q, 0), "ok");
    sqlite3_finalize(q);
    sqlite3_close(db);

    lk_error err = {0};
    lk_faceset *s = lk_faceset_open(path, false, &err);
    test_ok(s != NULL, &err);
    int64_t *ids, count = lk_faceset_ids(s, NULL, &ids, &err);
    lk_face *f = malloc(sizeof *f);
    assert_non_null(f);
    for (int64_t i = 0; i < count; i++) {
        unsigned char jpeg[MADE_UP_JPEG];
        test_ok(lk_faceset_get(s, ids[i], f, &err), &err);
        assert_int_equal(f->frame, i);
        lk_face want = made_up_face(f->source, i, jpeg);
        assert_memory_equal(&f->points, &want.points, sizeof want.points);
        void *data;
        size_t size;
        test_ok(lk_faceset_jpeg(s, ids[i], &data, &size, &err), &err);
        assert_int_equal(size, MADE_UP_JPEG);
        assert_memory_equal(data, jpeg, size);
        free(data);
    }
    free(f);
    free(ids);
    lk_faceset_close(s);
    return count;
}

static void test_killed(void **state) {
    (void)state;
    lk_error err = {0};
    char *folder = test_folder(), *path = lk_path_join(folder, "killed.faces", NULL);
    lk_faceset *s = lk_faceset_create(path, &err);
    test_ok(s != NULL, &err);
    lk_source source = made_up_source("a.mp4");
    test_ok(lk_faceset_add_source(s, &source, &err), &err);
    lk_faceset_close(s);
    lk_rng r = lk_rng_make(1, 2);
    int64_t reported = 0;
    for (int round = 0; round < 30; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(ends[0]);
            write_until_killed(path, ends[1]);
        }
        close(ends[1]);
        char bytes[4096];
        ssize_t n;
        for (int commits = round % 3; commits > 0; commits--) /* so many, then somewhere in the next */
            if ((n = read(ends[0], bytes, 1)) > 0) reported += n * BATCH;
        usleep(lk_rng_below(&r, 20000));
        kill(child, SIGKILL);
        int status;
        assert_true(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
        while ((n = read(ends[0], bytes, sizeof bytes)) > 0) reported += n * BATCH;
        close(ends[0]);
        int64_t there = check_whole(path);
        /* the last commit may have been killed between its end and its report */
        assert_true(there >= reported && there <= reported + BATCH && there % BATCH == 0);
        reported = there;
    }
    assert_true(reported >= 30 * BATCH);
    free(path);
    test_remove_folder(folder);
}

/* Everything a reader would do; only its not crashing counts. */
static int read_all(const char *path) {
    lk_faceset *s = lk_faceset_open(path, false, NULL);
    if (!s) return 0;
    lk_source *sources = NULL;
    lk_faceset_sources(s, &sources, NULL);
    free(sources);
    int64_t *ids = NULL,
            count = lk_faceset_ids(s, &(lk_faceset_query){.with_removed = true, .one_per_frame = true}, &ids, NULL);
    int good = 0;
    for (int64_t i = 0; i < count && i < 100; i++) {
        lk_face f;
        void *data;
        size_t size;
        good += lk_faceset_get(s, ids[i], &f, NULL);
        if (lk_faceset_jpeg(s, ids[i], &data, &size, NULL)) free(data);
    }
    free(ids);
    lk_faceset_close(s);
    return good;
}

static void test_damaged(void **state) {
    (void)state;
    lk_error err = {0};
    char *folder = test_folder(), *path = lk_path_join(folder, "damaged.faces", NULL);
    lk_faceset *s = lk_faceset_create(path, &err);
    test_ok(s != NULL, &err);
    lk_source source = made_up_source("a.mp4");
    test_ok(lk_faceset_add_source(s, &source, &err), &err);
    for (int i = 0; i < 6; i++) {
        unsigned char jpeg[MADE_UP_JPEG];
        lk_face f = made_up_face(source.id, i, jpeg);
        test_ok(lk_faceset_add(s, &f, jpeg, sizeof jpeg, &err), &err);
    }
    lk_faceset_close(s);
    void *data;
    size_t size;
    test_ok(lk_file_read(path, LK_MIB(4), &data, &size, &err), &err);
    unsigned char *bytes = data;
    lk_rng r = lk_rng_make(3, 4);
    for (int k = 0; k < 100; k++) { /* cut anywhere: always noticed */
        size_t cut = k < 40 ? (size_t)k * 8 : lk_rng_below(&r, (uint32_t)size);
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(bytes, 1, cut, f), cut);
        fclose(f);
        assert_null(lk_faceset_open(path, false, &err));
        assert_true(err.code == LK_ERR_FORMAT);
    }
    int survived = 0;
    for (int k = 0; k < 300; k++) {
        size_t at = k < 150 ? lk_rng_below(&r, 4096) : lk_rng_below(&r, (uint32_t)size);
        unsigned char was = bytes[at];
        bytes[at] ^= (unsigned char)(1 + lk_rng_below(&r, 255));
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(bytes, 1, size, f), size);
        fclose(f);
        int good = read_all(path);
        assert_in_range(good, 0, 6);
        survived += good == 6;
        bytes[at] = was;
    }
    assert_true(survived > 0);
    free(data);
    free(path);
    test_remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_killed), cmocka_unit_test(test_damaged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
