/* DeepFaceLab's faces in and out: files made and read by Python (tests/golden/faceset_dfl.py, read_dfl.py). */
#include "made_up.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "likeness/masks.h"
#include "likeness/media.h"
#include "pickle.h"

#define PYTHON "/usr/bin/python3"
#define DFL    LK_GOLDEN "/dfl"

static char *folder;
static char *path_of(const char *name) { return lk_path_join(folder, name, NULL); }

static char news[20000];
static void keep_news(lk_log_level level, const char *line, void *user) {
    (void)level;
    (void)user;
    size_t n = strlen(news);
    snprintf(news + n, sizeof news - n, "%s\n", line);
}

static int files_in(const char *path, char ***names) {
    struct dirent **list;
    int count = scandir(path, &list, NULL, alphasort), kept = 0;
    assert_true(count > 0);
    *names = calloc((size_t)count, sizeof **names);
    assert_non_null(*names);
    for (int i = 0; i < count; i++) {
        if (list[i]->d_name[0] != '.') (*names)[kept++] = strdup(list[i]->d_name);
        free(list[i]);
    }
    free(list);
    return kept;
}

static void free_names(char **names, int count) {
    for (int i = 0; i < count; i++) free(names[i]);
    free(names);
}

static void read_bytes(const char *dir, const char *name, void **data, size_t *size) {
    lk_error err = {0};
    char *path = lk_path_join(dir, name, &err);
    test_ok(path && lk_file_read(path, LK_MIB(4), data, size, &err), &err);
    free(path);
}

/* Both folders hold the same names with the same bytes. */
static int expect_same_bytes(const char *a, const char *b) {
    char **names, **others;
    int count = files_in(a, &names);
    assert_int_equal(files_in(b, &others), count);
    for (int i = 0; i < count; i++) {
        void *x, *y;
        size_t n, m;
        assert_string_equal(names[i], others[i]);
        read_bytes(a, names[i], &x, &n);
        read_bytes(b, names[i], &y, &m);
        assert_int_equal(n, m);
        assert_memory_equal(x, y, n);
        free(x);
        free(y);
    }
    free_names(names, count);
    free_names(others, count);
    return count;
}

static void python(const char *what, const char *a, const char *b, const char *expected) {
    char command[1000], line[100] = "", last[100] = "";
    snprintf(command, sizeof command, PYTHON " '%s/tests/faceset/read_dfl.py' %s '%s' '%s' 2>&1", LK_SOURCE, what, a,
             b);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    while (fgets(line, sizeof line, p)) memcpy(last, line, sizeof last);
    if (pclose(p) != 0) fail_msg("%s: %s", command, last);
    last[strcspn(last, "\n")] = 0;
    assert_string_equal(last, expected);
}

static lk_faceset *new_set(const char *name) {
    lk_error err = {0};
    char *path = path_of(name);
    lk_faceset *s = lk_faceset_create(path, &err);
    test_ok(s != NULL, &err);
    free(path);
    return s;
}

static lk_import_report import_into(lk_faceset *s, const char *dir) {
    lk_error err = {0};
    lk_import_options o = {0};
    lk_import_report r;
    test_ok(lk_options_defaults(lk_import_option_table, &o, &err), &err);
    test_ok(lk_faceset_import(s, dir, &o, &r, &err), &err);
    return r;
}

static void export_to(lk_faceset *s, const char *dir, bool plain, int64_t written) {
    lk_error err = {0};
    lk_export_report r;
    test_ok(lk_faceset_export(s, dir, &(lk_export_options){.plain = plain}, &r, &err), &err);
    assert_int_equal(r.written, written);
}

/* ---- Pickles ------------------------------------------------------------------------------------------------ */

static void test_numbers(void **state) {
    (void)state;
    static const double want[6] = {1, -2, 3, 40, -50, 60};
    char **names;
    int count = files_in(DFL "/numbers", &names);
    assert_int_equal(count, 4 * 16);
    for (int i = 0; i < count; i++) {
        void *data, *again;
        size_t size, again_size;
        lk_pickle p, q;
        lk_error err = {0};
        double six[6];
        read_bytes(DFL "/numbers", names[i], &data, &size);
        test_ok(lk_pickle_read(&p, data, size, &err), &err);
        if (!lk_pickle_numbers(lk_pickle_get(p.root, "six"), six, 6)) fail_msg("%s is not understood", names[i]);
        assert_memory_equal(six, want, sizeof want);
        assert_false(lk_pickle_numbers(lk_pickle_get(p.root, "six"), six, 5));
        assert_true(lk_pickle_is_text(lk_pickle_get(p.root, "text"), "six"));
        test_ok(lk_pickle_write(&p, &again, &again_size, &err), &err);
        test_ok(lk_pickle_read(&q, again, again_size, &err), &err);
        assert_true(lk_pickle_numbers(lk_pickle_get(q.root, "six"), six, 6));
        assert_memory_equal(six, want, sizeof want);
        lk_pickle_free(&p);
        lk_pickle_free(&q);
        free(again);
        free(data);
    }
    free_names(names, count);
}

static void test_hostile(void **state) {
    (void)state;
    static const struct {
        const char *name, *words;
    } expected[] = {
        {"os.system", "posix.system"},
        {"import", "__builtin__.eval"},
        {"stack_import", "os.system"},
        {"object", "__main__.Plain"},
        {"inst", "INST"},
        {"newobj", "NEWOBJ"},
        {"ndarray_call", "calls numpy.ndarray"},
        {"persistent", "BINPERSID"},
        {"extension", "EXT1"},
        {"deep", "nested deeper"},
        {"ring", "holds itself"},
        {"huge_length", "reaches beyond"},
        {"huge_text", "reaches beyond"},
        {"huge_memo", "memo"},
        {"protocol_0", "protocol 2 or later"},
        {"protocol_9", "protocol 9"},
        {"build", "BUILD"},
        {"list_as_key", "keys"},
    };
    char **names;
    int count = files_in(DFL "/hostile", &names);
    for (int i = 0; i < count; i++) {
        void *data;
        size_t size;
        lk_pickle p;
        lk_error err = {0};
        read_bytes(DFL "/hostile", names[i], &data, &size);
        if (lk_pickle_read(&p, data, size, &err)) fail_msg("%s was accepted", names[i]);
        assert_true(err.code == LK_ERR_FORMAT || err.code == LK_ERR_UNSUPPORTED);
        for (size_t k = 0; k < LK_COUNT(expected); k++)
            if (!strcmp(names[i], expected[k].name) && !strstr(err.message, expected[k].words))
                fail_msg("%s: %s", names[i], err.message);
        free(data);
    }
    free_names(names, count);
    assert_int_equal(count, 25);
}

/* ---- Folders ------------------------------------------------------------------------------------------------ */

static void test_round_trip(void **state) {
    (void)state;
    static const int types[6] = {LK_FACE_FULL, LK_FACE_HALF, LK_FACE_HEAD, LK_FACE_HALF, LK_FACE_FULL, LK_FACE_FULL};
    lk_error err = {0};
    char *a = path_of("a"), *b = path_of("b"), *plain = path_of("plain");
    lk_faceset *s = new_set("first.faces"), *t = new_set("second.faces");
    lk_import_report r = import_into(s, DFL "/aligned");
    assert_int_equal(r.added, 1000);
    assert_int_equal(r.files, 1000);
    assert_int_equal(r.foreign + r.damaged + r.twice + r.already, 0);
    export_to(s, a, false, 1000);
    assert_int_equal(expect_same_bytes(DFL "/aligned", a), 1000);
    python("same", DFL "/aligned", a, "1000");
    import_into(t, a);
    export_to(t, b, false, 1000);
    expect_same_bytes(a, b);

    int64_t *ids, *others;
    assert_int_equal(lk_faceset_ids(s, NULL, &ids, &err), 1000);
    assert_int_equal(lk_faceset_ids(t, NULL, &others, &err), 1000);
    lk_face *f = calloc(2, sizeof *f);
    assert_non_null(f);
    for (int i = 0; i < 1000; i++) {
        test_ok(lk_faceset_get(s, ids[i], &f[0], &err) && lk_faceset_get(t, others[i], &f[1], &err), &err);
        f[1].id = f[0].id;
        f[1].source = f[0].source;
        assert_memory_equal(&f[0], &f[1], sizeof *f);
        assert_int_equal(f[0].frame, i / 2);
        assert_int_equal(f[0].size, 64);
        assert_int_equal(f[0].type, types[i % 6]);
        lk_point p = lk_affine_apply(f[0].frame_to_crop, f[0].points.p[33]), q = f[0].crop_points.p[33];
        assert_true(fabs((double)p.x - (double)q.x) < 0.3 && fabs((double)p.y - (double)q.y) < 0.3);
        unsigned kinds;
        test_ok(lk_faceset_mask_kinds(s, ids[i], &kinds, &err), &err);
        assert_int_equal(kinds, (i % 3 ? 0 : LK_MASK_BIT(LK_MASK_KIND_POLYGONS)) |
                                    (i % 4 ? 0 : LK_MASK_BIT(LK_MASK_KIND_TRAINED)));
        assert_true(f[0].sharpness > 0 && f[0].brightness > 0 && !f[0].has_mesh);
    }
    free(f);
    free(ids);
    free(others);

    r = import_into(s, DFL "/aligned"); /* nothing twice */
    assert_int_equal(r.already, 1000);
    assert_int_equal(lk_faceset_count(s, NULL, &err), 1000);
    lk_export_report again;
    test_ok(lk_faceset_export(s, a, &(lk_export_options){0}, &again, &err), &err);
    assert_int_equal(again.there, 1000);

    export_to(s, plain, true, 1000); /* the data is gone, the picture is the same */
    char *one = lk_path_join(plain, "00001_0.jpg", NULL);
    lk_image x, y;
    test_ok(lk_image_load(one, &x, &err) && lk_image_load(DFL "/aligned/00001_0.jpg", &y, &err), &err);
    assert_memory_equal(x.data, y.data, 64 * 64 * 3);
    lk_image_free(&x);
    lk_image_free(&y);
    void *bytes;
    size_t size;
    test_ok(lk_file_read(one, LK_MIB(1), &bytes, &size, &err), &err);
    assert_null(memmem(bytes, size, "source_filename", 15));
    free(bytes);
    free(one);
    lk_faceset_close(s);
    lk_faceset_close(t);
    free(a);
    free(b);
    free(plain);
}

/* A face that was changed is written anew: its geometry ours, all else as it was, of every kind and protocol. */
static void test_changed(void **state) {
    (void)state;
    char *path = path_of("changed.faces"), *out = path_of("changed");
    lk_faceset *s = new_set("changed.faces");
    import_into(s, DFL "/aligned");
    lk_faceset_close(s);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE origin SET changed = 1", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    lk_error err = {0};
    s = lk_faceset_open(path, false, &err);
    test_ok(s != NULL, &err);
    export_to(s, out, false, 1000);
    lk_faceset_close(s);
    python("rest", DFL "/aligned", out, "ok");
    free(path);
    free(out);
}

static void test_odd(void **state) {
    (void)state;
    lk_error err = {0};
    lk_faceset *s = new_set("odd.faces");
    news[0] = 0;
    lk_log_to(keep_news, NULL);
    lk_import_report r = import_into(s, DFL "/odd");
    lk_log_to(NULL, NULL);
    assert_int_equal(r.files, 15);
    assert_int_equal(r.added, 3);
    assert_int_equal(r.twice, 1);
    assert_int_equal(r.foreign, 3);
    assert_int_equal(r.damaged, 8);
    static const char *const expected[] = {
        "b_same_face.jpg is left out: it claims the same face as a_good.jpg",
        "c_no_data.jpg is left out: it holds no data",
        "d_cut.jpg is left out: the JPEG is damaged",
        "e_cut_early.jpg is left out: the picture is cut off",
        "f_text.jpg is left out: the file is neither",
        "g_unknown_type.jpg is left out: its face type is 'mark_only'",
        "h_imports.jpg is left out: the pickle wants to import os.system",
        "i_no_landmarks.jpg is left out: it holds no landmarks",
        "j_few_landmarks.jpg is left out: its landmarks are not 68 pairs",
        "k_other_protocol.jpg is left out: the pickle is of protocol 9",
        "m_wide.jpg is left out: it has 64×40 pixels",
        "n_crc.png is left out: the chunk",
        "p_bad_masks.jpg: its polygons are left out: one is no type and list of points",
        "p_bad_masks.jpg: its xseg_mask is left out: the JPEG is damaged",
    };
    for (size_t i = 0; i < LK_COUNT(expected); i++)
        if (!strstr(news, expected[i])) fail_msg("'%s' is not in:\n%s", expected[i], news);
    assert_int_equal(lk_faceset_count(s, NULL, &err), 3);
    lk_import_options o = {.first_number = 1};
    char *empty = path_of("empty");
    test_ok(lk_make_dirs(empty, &err), &err);
    assert_false(lk_faceset_import(s, empty, &o, NULL, &err));
    assert_int_equal(err.code, LK_ERR_NOT_FOUND);
    assert_false(lk_faceset_import(s, "/nowhere", &o, NULL, &err));
    assert_int_equal(err.code, LK_ERR_IO);
    free(empty);
    lk_faceset_close(s);
}

/* Faces of our own extraction, as DeepFaceLab would see them. */
static void test_own(void **state) {
    (void)state;
    lk_error err = {0};
    lk_faceset *s = new_set("own.faces");
    lk_source v = made_up_source("a.mp4");
    test_ok(lk_faceset_add_source(s, &v, &err), &err);
    lk_image picture = {0};
    test_ok(lk_image_alloc(&picture, 96, 96, 3, LK_U8, &err), &err);
    memset(picture.data, 99, 96 * 96 * 3);
    void *jpeg;
    size_t size;
    test_ok(lk_jpeg_encode(&picture, 95, &jpeg, &size, &err), &err);
    for (int i = 0; i < 4; i++) {
        unsigned char unused[MADE_UP_JPEG];
        lk_face f = made_up_face(v.id, i, unused);
        f.frame = i / 2;
        f.type = (lk_face_type)(i % 3);
        f.frame_to_crop = (lk_affine){{{0.5, -0.1, 3}, {0.1, 0.5, -4}}};
        f.crop_points = lk_landmarks_transform(&f.points, f.frame_to_crop);
        f.bounds = lk_landmarks_bounds(&f.points);
        f.size = 96;
        test_ok(lk_faceset_add(s, &f, jpeg, size, &err), &err);
    }
    char *out = path_of("own"), *back = path_of("own_again");
    export_to(s, out, false, 4);
    python("faces", out, "", "00002_1.jpg half_face 00002.png");
    lk_faceset *t = new_set("own_again.faces");
    assert_int_equal(import_into(t, out).added, 4);
    int64_t *ids;
    assert_int_equal(lk_faceset_ids(t, NULL, &ids, &err), 4);
    for (int i = 0; i < 4; i++) {
        unsigned char unused[MADE_UP_JPEG];
        lk_face f, want = made_up_face(v.id, i, unused);
        test_ok(lk_faceset_get(t, ids[i], &f, &err), &err);
        assert_memory_equal(&f.points, &want.points, sizeof f.points);
        assert_true(f.frame == i / 2 && (int)f.type == i % 3 && f.size == 96);
    }
    free(ids);
    export_to(t, back, false, 4);
    expect_same_bytes(out, back);
    char *taken = lk_path_join(out, "00001_0.jpg", NULL); /* not ours to overwrite */
    test_ok(lk_file_write(taken, "mine", 4, &err), &err);
    assert_false(lk_faceset_export(s, out, &(lk_export_options){0}, NULL, &err));
    assert_non_null(strstr(err.message, "exists already"));
    free(taken);
    free(jpeg);
    lk_image_free(&picture);
    free(out);
    free(back);
    lk_faceset_close(s);
    lk_faceset_close(t);
}

static void masks_of(const char *dir, const char *expected) {
    char *file = lk_path_join(dir, "00001_0.jpg", NULL);
    python("masks", file, "", expected);
    free(file);
}

/* Masks go out as DeepFaceLab has them, come in again, and change without anything else that changes. */
static void test_masks(void **state) {
    (void)state;
    lk_error err = {0};
    lk_faceset *s = new_set("masks.faces"), *t = new_set("masks_again.faces");
    lk_source v = made_up_source("a.mp4");
    lk_image picture = {0}, mask = {0}, back = {0};
    unsigned char unused[MADE_UP_JPEG];
    test_ok(lk_faceset_add_source(s, &v, &err), &err);
    test_ok(lk_image_alloc(&picture, 96, 96, 3, LK_U8, &err) && lk_image_alloc(&mask, 96, 96, 1, LK_U8, &err), &err);
    void *jpeg;
    size_t size;
    test_ok(lk_jpeg_encode(&picture, 95, &jpeg, &size, &err), &err);
    lk_face f = made_up_face(v.id, 0, unused);
    f.type = LK_FACE_FULL;
    f.frame_to_crop = (lk_affine){{{0.5, -0.1, 3}, {0.1, 0.5, -4}}};
    f.crop_points = lk_landmarks_transform(&f.points, f.frame_to_crop);
    f.size = 96;
    test_ok(lk_faceset_add(s, &f, jpeg, size, &err), &err);
    free(jpeg);
    memset(mask.data, 255, 96 * 48);
    json_t *polygons =
               json_loads("{\"include\": [[[10, 10], [50, 10], [50, 50], [10, 50]]], \"exclude\": [[[20, 20], [30, "
                          "20], [30, 30.0], [20, 30]]]}",
                          0, NULL),
           *again;
    test_ok(lk_faceset_put_polygons(s, f.id, polygons, &err) &&
                lk_faceset_put_mask(s, &f, LK_MASK_KIND_TRAINED, &mask, &err),
            &err);
    char *a = path_of("masks_a"), *b = path_of("masks_b"), *c = path_of("masks_c"), *d = path_of("masks_d");
    export_to(s, a, false, 1);
    masks_of(a, "polygons 1560, mask 4608"); /* 41² − 11², half of 96² */
    assert_int_equal(import_into(t, a).added, 1);
    int64_t *ids;
    assert_int_equal(lk_faceset_ids(t, NULL, &ids, &err), 1);
    test_ok(lk_faceset_get(t, ids[0], &f, &err) && lk_faceset_polygons(t, f.id, &again, &err) &&
                lk_faceset_mask(t, &f, LK_MASK_BIT(LK_MASK_KIND_TRAINED), &back, NULL, &err),
            &err);
    assert_memory_equal(back.data, mask.data, 96 * 96);
    for (int k = 0; k < 2; k++) {
        const char *list = k ? "include" : "exclude";
        const json_t *p = json_array_get(json_object_get(polygons, list), 0),
                     *q = json_array_get(json_object_get(again, list), 0);
        for (size_t i = 0; i < 8; i++)
            assert_true(json_number_value(json_array_get(json_array_get(p, i / 2), i % 2)) ==
                        json_number_value(json_array_get(json_array_get(q, i / 2), i % 2)));
    }
    export_to(t, b, false, 1);
    expect_same_bytes(a, b);
    json_object_del(again, "include");
    test_ok(lk_faceset_put_polygons(t, f.id, again, &err), &err);
    export_to(t, c, false, 1);
    masks_of(c, "polygons 9095, mask 4608");
    assert_int_equal(lk_faceset_clear_masks(t, ids, 1, LK_MASKS_ALL, &err), 1);
    export_to(t, d, false, 1);
    masks_of(d, "none");
    json_decref(polygons);
    json_decref(again);
    lk_image_free(&picture);
    lk_image_free(&mask);
    lk_image_free(&back);
    free(ids);
    free(a);
    free(b);
    free(c);
    free(d);
    lk_faceset_close(s);
    lk_faceset_close(t);
}

/* The disk fills up half-way: what was there stays, and importing again goes on. */
static void test_full_disk(void **state) {
    (void)state;
    lk_error err = {0};
    char *path = path_of("full.faces");
    lk_faceset *s = new_set("full.faces");
    import_into(s, DFL "/odd");
    lk_faceset_close(s);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){LK_MIB(2), LK_MIB(2)});
        lk_set_threads(1);
        s = lk_faceset_open(path, true, &err);
        lk_import_report r = {0};
        bool ok = s && lk_faceset_import(s, DFL "/aligned", &(lk_import_options){.first_number = 1}, &r, &err);
        lk_faceset_close(s);
        _exit(!s ? 2 : ok ? 3 : r.added == 0 || r.added >= 1000 ? 4 : !strstr(err.message, "full.faces") ? 5 : 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    s = lk_faceset_open(path, true, &err);
    test_ok(s != NULL, &err);
    int64_t there = lk_faceset_count(s, NULL, &err);
    assert_true(there > 3 && there < 1003);
    lk_import_report r = import_into(s, DFL "/aligned");
    assert_int_equal(r.already, there - 3);
    assert_int_equal(r.added, 1003 - there);
    lk_faceset_close(s);
    free(path);
}

static void test_prune(void **state) {
    (void)state;
    lk_error err = {0};
    char *path = path_of("first.faces");
    lk_faceset *s = lk_faceset_open(path, true, &err);
    test_ok(s != NULL, &err);
    int64_t *ids;
    assert_int_equal(lk_faceset_ids(s, NULL, &ids, &err), 1000);
    test_ok(lk_faceset_begin(s, &err), &err);
    for (int i = 0; i < 900; i++) test_ok(lk_faceset_set_removed(s, ids[i], true, &err), &err);
    test_ok(lk_faceset_commit(s, &err), &err);
    lk_face f;
    test_ok(lk_faceset_get(s, ids[0], &f, &err), &err);
    assert_int_equal(lk_faceset_prune(s, &err), 900);
    assert_int_equal(lk_faceset_prune(s, &err), 0);
    assert_int_equal(lk_faceset_count(s, &(lk_faceset_query){.with_removed = true}, &err), 100);
    assert_false(lk_faceset_get(s, ids[0], &f, &err));
    test_ok(lk_faceset_get(s, ids[950], &f, &err), &err);
    free(ids);
    lk_faceset_close(s);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    assert_in_range(ftell(file), 1, LK_MIB(2)); /* of more than 10 */
    fclose(file);
    free(path);
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
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_hostile), cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_prune),   cmocka_unit_test(test_changed), cmocka_unit_test(test_odd),
        cmocka_unit_test(test_own),     cmocka_unit_test(test_masks),   cmocka_unit_test(test_full_disk),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
