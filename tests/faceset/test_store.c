/* Facesets: what goes in comes out, transactions, queries, removal, and what is refused. */
#include "made_up.h"

#include <math.h>
#include <sqlite3.h>
#include <sys/stat.h>

static char *folder;

static char *path_of(const char *name) { return lk_path_join(folder, name, NULL); }

static lk_faceset *filled(const char *path, int faces, int64_t *source) {
    lk_error err = {0};
    lk_faceset *s = lk_faceset_create(path, &err);
    test_ok(s != NULL, &err);
    lk_source v = made_up_source("a.mp4");
    test_ok(lk_faceset_add_source(s, &v, &err), &err);
    test_ok(lk_faceset_begin(s, &err), &err);
    for (int i = 0; i < faces; i++) {
        unsigned char jpeg[MADE_UP_JPEG];
        lk_face f = made_up_face(v.id, i, jpeg);
        test_ok(lk_faceset_add(s, &f, jpeg, 1 + (size_t)i * 7, &err), &err);
    }
    test_ok(lk_faceset_commit(s, &err), &err);
    if (source) *source = v.id;
    return s;
}

static void test_round_trip(void **state) {
    (void)state;
    lk_error err = {0};
    char *path = path_of("round ? 100%.faces");
    int64_t source;
    lk_faceset_close(filled(path, 40, &source));
    char *wal = lk_format(NULL, "%s-wal", path);
    assert_false(lk_file_exists(wal)); /* one file when closed */
    free(wal);

    lk_faceset *s = lk_faceset_open(path, false, &err);
    test_ok(s != NULL, &err);
    lk_source *sources;
    assert_int_equal(lk_faceset_sources(s, &sources, &err), 1);
    lk_source want = made_up_source("a.mp4");
    want.id = source;
    assert_memory_equal(&sources[0], &want, sizeof want);
    free(sources);
    int64_t *ids;
    assert_int_equal(lk_faceset_ids(s, NULL, &ids, &err), 40);
    for (int i = 0; i < 40; i++) {
        unsigned char jpeg[MADE_UP_JPEG];
        lk_face *f = malloc(sizeof *f), expected = made_up_face(source, i, jpeg);
        assert_non_null(f);
        test_ok(lk_faceset_get(s, ids[i], f, &err), &err);
        expected.id = ids[i];
        assert_memory_equal(f->frame_to_crop.m, expected.frame_to_crop.m, sizeof expected.frame_to_crop);
        assert_memory_equal(&f->points, &expected.points, sizeof expected.points);
        assert_memory_equal(&f->crop_points, &expected.crop_points, sizeof expected.crop_points);
        assert_memory_equal(&f->mesh, &expected.mesh, sizeof expected.mesh);
        assert_memory_equal(&f->pose, &expected.pose, sizeof expected.pose);
        assert_memory_equal(f->mean, expected.mean, sizeof expected.mean);
        assert_memory_equal(f->std, expected.std, sizeof expected.std);
        assert_memory_equal(&f->bounds, &expected.bounds, sizeof expected.bounds);
        assert_memory_equal(f->descriptor, expected.descriptor, sizeof expected.descriptor);
        assert_true(f->id == expected.id && f->source == source && f->frame == i && f->track == expected.track);
        assert_true(f->type == expected.type && f->size == expected.size && f->time == expected.time);
        assert_true(f->presence == 0.5f && f->sharpness == 123.25f && f->brightness == 0.75f);
        assert_true(f->has_descriptor == expected.has_descriptor && !f->removed);
        free(f);
        void *data;
        size_t size;
        test_ok(lk_faceset_jpeg(s, ids[i], &data, &size, &err), &err);
        assert_int_equal(size, 1 + (size_t)i * 7);
        assert_memory_equal(data, jpeg, size);
        free(data);
    }
    free(ids);
    lk_face none;
    assert_false(lk_faceset_get(s, 999, &none, &err));
    assert_int_equal(err.code, LK_ERR_NOT_FOUND);
    assert_false(lk_faceset_set_removed(s, 1, true, &err)); /* opened for reading */
    lk_faceset_close(s);
    free(path);
}

static void test_queries(void **state) {
    (void)state;
    lk_error err = {0};
    char *path = path_of("queries.faces");
    int64_t source;
    lk_faceset *s = filled(path, 10, &source);
    lk_source other = made_up_source("b.mp4");
    test_ok(lk_faceset_add_source(s, &other, &err), &err);
    unsigned char jpeg[MADE_UP_JPEG];
    for (int k = 0; k < 3; k++) { /* three faces in one frame, the middle one largest */
        lk_face f = made_up_face(other.id, 5, jpeg);
        f.bounds.width = k == 1 ? 300 : 100;
        test_ok(lk_faceset_add(s, &f, jpeg, 9, &err), &err);
    }
    int64_t *ids;
    assert_int_equal(lk_faceset_count(s, NULL, &err), 13);
    assert_int_equal(lk_faceset_count(s, &(lk_faceset_query){.source = other.id}, &err), 3);
    assert_int_equal(lk_faceset_ids(s, &(lk_faceset_query){.one_per_frame = true}, &ids, &err), 11);
    assert_int_equal(ids[10], 12);
    free(ids);
    test_ok(lk_faceset_set_removed(s, 12, true, &err), &err);
    assert_int_equal(lk_faceset_ids(s, &(lk_faceset_query){.source = other.id, .one_per_frame = true}, &ids, &err), 1);
    assert_int_equal(ids[0], 11);
    free(ids);
    assert_int_equal(lk_faceset_count(s, NULL, &err), 12);
    assert_int_equal(lk_faceset_count(s, &(lk_faceset_query){.with_removed = true}, &err), 13);
    test_ok(lk_faceset_set_removed(s, 12, false, &err), &err);
    assert_int_equal(lk_faceset_count(s, NULL, &err), 13);
    assert_false(lk_faceset_set_removed(s, 99, true, &err));

    test_ok(lk_faceset_begin(s, &err), &err); /* taken back */
    test_ok(lk_faceset_clear_source(s, source, &err), &err);
    assert_int_equal(lk_faceset_count(s, NULL, &err), 3);
    assert_true(lk_faceset_rollback(s));
    assert_int_equal(lk_faceset_count(s, NULL, &err), 13);
    test_ok(lk_faceset_clear_source(s, source, &err), &err);
    assert_int_equal(lk_faceset_count(s, NULL, &err), 3);
    other.complete = true;
    other.frames = 6;
    test_ok(lk_faceset_update_source(s, &other, &err), &err);
    lk_source *sources;
    assert_int_equal(lk_faceset_sources(s, &sources, &err), 1);
    assert_true(sources[0].complete && sources[0].frames == 6);
    free(sources);
    lk_faceset_close(s);
    free(path);
}

static void test_not_written(void **state) {
    (void)state;
    lk_error err = {0};
    char *path = path_of("not-written.faces");
    int64_t source;
    lk_faceset *s = filled(path, 1, &source);
    unsigned char jpeg[MADE_UP_JPEG];
    lk_face f = made_up_face(source, 1, jpeg);
    f.points.p[3].x = NAN;
    assert_false(lk_faceset_add(s, &f, jpeg, 5, &err));
    f = made_up_face(source, 1, jpeg);
    f.size = 0;
    assert_false(lk_faceset_add(s, &f, jpeg, 5, &err));
    f = made_up_face(source, 1, jpeg);
    assert_false(lk_faceset_add(s, &f, jpeg, 0, &err));
    assert_int_equal(lk_faceset_count(s, NULL, &err), 1);
    assert_null(lk_faceset_create(path, &err)); /* never overwrites */
    assert_int_equal(err.code, LK_ERR_IO);
    assert_int_equal(lk_faceset_count(s, NULL, &err), 1);
    lk_faceset_close(s);
    free(path);
}

static void change(const char *path, const char *sql) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* A file of version 1 can be read, and becomes one of version 2 when it is opened for writing. */
static void test_version_1(void **state) {
    (void)state;
    lk_error err = {0};
    char *path = path_of("version1.faces");
    lk_faceset_close(filled(path, 5, NULL));
    change(path, "DROP TABLE origin; DROP TABLE look; DROP TABLE place; DROP TABLE mask; DROP TABLE absent; "
                 "PRAGMA user_version = 1");
    for (int writable = 0; writable < 2; writable++) {
        lk_faceset *s = lk_faceset_open(path, writable, &err);
        test_ok(s != NULL, &err);
        int64_t *ids;
        assert_int_equal(lk_faceset_ids(s, &(lk_faceset_query){.sorted = true}, &ids, &err), 5);
        unsigned char jpeg[MADE_UP_JPEG];
        lk_face f, want = made_up_face(1, 3, jpeg);
        test_ok(lk_faceset_get(s, ids[3], &f, &err), &err);
        assert_memory_equal(&f.mesh, &want.mesh, sizeof f.mesh);
        free(ids);
        lk_faceset_close(s);
        sqlite3 *db;
        sqlite3_stmt *q;
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &q, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(q), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int(q, 0), 1 + writable);
        sqlite3_finalize(q);
        sqlite3_close(db);
    }
    free(path);
}

static void expect_refused(const char *path, lk_errcode code, const char *words) {
    lk_error err = {0};
    lk_faceset *s = lk_faceset_open(path, false, &err);
    assert_null(s);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.message, words));
    assert_non_null(strstr(err.message, path));
}

static void test_refused(void **state) {
    (void)state;
    lk_error err = {0};
    char *path = path_of("refused.faces");
    expect_refused(path, LK_ERR_IO, "No such file");
    expect_refused(folder, LK_ERR_IO, "not a file");
    test_ok(lk_file_write(path, "hello", 5, &err), &err);
    expect_refused(path, LK_ERR_FORMAT, "not a .faces file");
    unlink(path);
    change(path, "CREATE TABLE t (a)");
    expect_refused(path, LK_ERR_FORMAT, "not a .faces file");
    unlink(path);
    lk_faceset_close(filled(path, 20, NULL));
    change(path, "PRAGMA user_version = 3");
    expect_refused(path, LK_ERR_UNSUPPORTED, "newer version");
    change(path, "PRAGMA user_version = 2; ALTER TABLE face DROP COLUMN yaw");
    expect_refused(path, LK_ERR_FORMAT, "yaw");
    unlink(path);
    lk_faceset_close(filled(path, 20, NULL));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size / 2), 0);
    expect_refused(path, LK_ERR_FORMAT, "cut off");
    free(path);
}

static void test_bad_rows(void **state) {
    (void)state;
    static const char *const changes[] = {
        "UPDATE face SET points = zeroblob(12)",
        "UPDATE face SET points = CAST(x'0000c07f' || substr(points, 5) AS BLOB)",
        "UPDATE face SET type = 7",
        "UPDATE face SET size = -1",
        "UPDATE face SET removed = 2",
        "UPDATE face SET yaw = 9e999",
        "UPDATE face SET width = 99999999999",
        "UPDATE face SET frame_to_crop = zeroblob(47)",
        "UPDATE mesh SET points = zeroblob(5732)",
        "UPDATE descriptor SET vector = zeroblob(4100)",
        "UPDATE face SET time = -9e999",
    };
    char *path = path_of("rows.faces");
    for (size_t i = 0; i < LK_COUNT(changes); i++) {
        unlink(path);
        lk_faceset_close(filled(path, 2, NULL));
        change(path, changes[i]);
        lk_error err = {0};
        lk_faceset *s = lk_faceset_open(path, false, &err);
        test_ok(s != NULL, &err);
        lk_face f;
        if (lk_faceset_get(s, 1, &f, &err)) fail_msg("accepted after %s", changes[i]);
        assert_int_equal(err.code, LK_ERR_FORMAT);
        lk_faceset_close(s);
    }
    free(path);
}

static void test_in_use(void **state) {
    (void)state;
    lk_error err = {0};
    char *path = path_of("shared.faces");
    lk_faceset *a = filled(path, 3, NULL), *b = lk_faceset_open(path, false, &err);
    test_ok(b != NULL, &err);
    test_ok(lk_faceset_begin(a, &err), &err);
    test_ok(lk_faceset_set_removed(a, 1, true, &err), &err);
    assert_int_equal(lk_faceset_count(b, NULL, &err), 3); /* a reader sees what was committed */
    test_ok(lk_faceset_commit(a, &err), &err);
    assert_int_equal(lk_faceset_count(b, NULL, &err), 2);
    lk_faceset_close(a);
    assert_int_equal(lk_faceset_count(b, NULL, &err), 2);
    lk_faceset_close(b);

    a = lk_faceset_open(path, true, &err);
    test_ok(a != NULL, &err);
    b = lk_faceset_open(path, true, &err);
    test_ok(b != NULL, &err);
    test_ok(lk_faceset_begin(a, &err), &err);
    assert_false(lk_faceset_begin(b, &err));
    assert_non_null(strstr(err.message, "in use"));
    lk_faceset_close(b);
    lk_faceset_close(a);
    free(path);
}

static void test_fingerprint(void **state) {
    (void)state;
    lk_error err = {0};
    char *one = path_of("one.bin"), *two = path_of("two.bin"), *dir = path_of("pictures");
    test_ok(lk_file_write(one, "same", 4, &err) && lk_file_write(two, "same", 4, &err), &err);
    char a[65], b[65];
    test_ok(lk_source_fingerprint(one, a, &err) && lk_source_fingerprint(two, b, &err), &err);
    assert_string_equal(a, b);
    assert_int_equal(strlen(a), 64);
    test_ok(lk_file_write(two, "other", 5, &err), &err);
    test_ok(lk_source_fingerprint(two, b, &err), &err);
    assert_string_not_equal(a, b);
    test_ok(lk_make_dirs(dir, &err), &err);
    assert_false(lk_source_fingerprint(dir, b, &err));
    assert_int_equal(err.code, LK_ERR_NOT_FOUND);
    char *p10 = lk_path_join(dir, "10.png", NULL), *p2 = lk_path_join(dir, "2.png", NULL);
    test_ok(lk_file_write(p2, "first", 5, &err), &err);
    test_ok(lk_source_fingerprint(dir, a, &err), &err);
    test_ok(lk_file_write(p10, "second", 6, &err), &err);
    test_ok(lk_source_fingerprint(dir, b, &err), &err);
    assert_string_not_equal(a, b); /* one more file */
    test_ok(lk_file_write(p10, "changed", 7, &err), &err);
    test_ok(lk_source_fingerprint(dir, a, &err), &err);
    assert_string_equal(a, b); /* 2.png comes first */
    free(one);
    free(two);
    free(dir);
    free(p10);
    free(p2);
}

static int set_up(void **state) {
    (void)state;
    folder = test_folder();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_queries),   cmocka_unit_test(test_not_written),
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_bad_rows),  cmocka_unit_test(test_in_use),
        cmocka_unit_test(test_fingerprint), cmocka_unit_test(test_version_1),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
