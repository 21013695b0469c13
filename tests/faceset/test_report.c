/* Landmarks in doubt, and what a report says of sets whose faults are known. */
#include "made_up.h"

#include <math.h>

#include "likeness/curate.h"
#include "likeness/masks.h"
#include "likeness/media.h"

static char *folder;

/* A face of 68 points as the mean face has them, roughly: an oval jaw, eyes, nose and mouth; [−1, 1]. */
static lk_point model(int i) {
    double a;
    if (i < 17) { /* jaw */
        a = M_PI * (1 - i / 16.0);
        return (lk_point){(float)cos(a), (float)(sin(a) * 1.2 - 0.2)};
    }
    if (i < 27) return (lk_point){(float)(-0.8 + 1.6 * (i - 17) / 9), -0.6f};
    if (i < 31) return (lk_point){0, (float)(-0.35 + 0.13 * (i - 27))};
    if (i < 36) return (lk_point){(float)(-0.2 + 0.1 * (i - 31)), 0.2f};
    if (i < 48) { /* eyes */
        a = (i - 36) % 6 * M_PI / 3;
        return (lk_point){(float)((i < 42 ? -0.45 : 0.45) - 0.15 * cos(a)), (float)(-0.35 - 0.06 * sin(a))};
    }
    a = (i < 60 ? (i - 48) / 12.0 : (i - 60) / 8.0) * 2 * M_PI;
    return (lk_point){(float)((i < 60 ? -0.35 : -0.25) * cos(a)), (float)(0.55 - (i < 60 ? 0.15 : 0.01) * sin(a))};
}

/* Face i of a track that moves smoothly through the frame, and speaks. */
static lk_face tracked(int64_t source, int i, lk_pose pose, double wide) {
    unsigned char unused[MADE_UP_JPEG];
    lk_face f = made_up_face(source, i, unused);
    lk_rng r = lk_rng_make(6, (uint64_t)i);
    f.track = 1;
    f.type = LK_FACE_FULL;
    f.size = 128;
    f.pose = pose;
    f.has_descriptor = false;
    double open = 0.015 + 0.015 * sin(i / 3.0);
    for (int k = 0; k < LK_LANDMARKS; k++) {
        lk_point p = model(k);
        if (k < 17) p.x *= (float)wide;
        if (k > 54 && k < 60) p.y += (float)open;
        if (k > 64) p.y += (float)open;
        f.crop_points.p[k] = (lk_point){(float)(64 + 40 * (double)p.x + 0.1 * lk_rng_normal(&r)),
                                        (float)(64 + 40 * (double)p.y + 0.1 * lk_rng_normal(&r))};
    }
    double x = 200 + 3 * i, y = 150 + 30 * sin(i / 20.0);
    f.frame_to_crop = (lk_affine){{{0.8, 0, 64 - 0.8 * x}, {0, 0.8, 64 - 0.8 * y}}};
    lk_affine back;
    assert_true(lk_affine_invert(f.frame_to_crop, &back));
    f.points = lk_landmarks_transform(&f.crop_points, back);
    f.bounds = lk_landmarks_bounds(&f.points);
    return f;
}

static lk_faceset *new_set(const char *name, int64_t *source) {
    lk_error err = {0};
    char *path = lk_path_join(folder, name, &err);
    lk_faceset *s = lk_faceset_create(path, &err);
    test_ok(s != NULL, &err);
    lk_source v = made_up_source(name);
    test_ok(lk_faceset_add_source(s, &v, &err), &err);
    *source = v.id;
    free(path);
    return s;
}

static void add(lk_faceset *s, lk_face *f, int level) {
    lk_error err = {0};
    lk_image crop;
    void *jpeg;
    size_t size;
    f->brightness = (float)level / 255 + 0.0005f * (float)(f->frame % 40);
    test_ok(lk_image_alloc(&crop, f->size, f->size, 3, LK_U8, &err), &err);
    for (int y = 0; y < f->size; y++)
        for (int x = 0; x < f->size; x++)
            memset(lk_row_u8(&crop, y) + 3 * x, (x * (7 + (int)(f->frame % 50)) + y * 13) % 64 + level, 3);
    test_ok(lk_jpeg_encode(&crop, 80, &jpeg, &size, &err) && lk_faceset_add(s, f, jpeg, size, &err), &err);
    lk_image_free(&crop);
    free(jpeg);
}

static void test_suspects(void **state) {
    (void)state;
    lk_error err = {0};
    int64_t source;
    lk_faceset *s = new_set("suspects.faces", &source);
    test_ok(lk_faceset_begin(s, &err), &err);
    for (int i = 0; i < 200; i++) {
        lk_face f = tracked(source, i, (lk_pose){0}, 1);
        f.pose = lk_face_pose_of_landmarks(&f.points);
        if (i == 50) /* slipped by a tenth of the face */
            for (int k = 0; k < LK_LANDMARKS; k++) f.points.p[k].x += 12;
        if (i == 120) /* half the mouth is elsewhere */
            for (int k = 48; k < 58; k++) f.crop_points.p[k].y -= 14;
        if (i == 160) f.pose.yaw += 45;
        add(s, &f, 60);
    }
    test_ok(lk_faceset_commit(s, &err), &err);
    lk_suspect *found;
    int64_t count = lk_faceset_suspects(s, false, &found, &err);
    assert_int_equal(count, 3);
    int seen = 0;
    for (int i = 0; i < 3; i++) {
        assert_true(found[i].score > 1 && (i == 0 || found[i].score <= found[i - 1].score));
        lk_doubt why = found[i].frame == 50 ? LK_DOUBT_JUMP : found[i].frame == 120 ? LK_DOUBT_SHAPE : LK_DOUBT_POSE;
        assert_true(found[i].frame == 50 || found[i].frame == 120 || found[i].frame == 160);
        assert_int_equal(found[i].why, why);
        seen += (int)found[i].frame;
    }
    assert_int_equal(seen, 50 + 120 + 160);
    free(found);
    lk_faceset_close(s);
}

static double number(const json_t *json, const char *a, const char *b, const char *c) {
    const json_t *j = json_object_get(json, a);
    if (b) j = json_object_get(j, b);
    if (c) j = json_object_get(j, c);
    assert_true(json_is_number(j));
    return json_number_value(j);
}

static bool has_advice(const json_t *json, const char *words) {
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(json, "advice"), i, entry) {
        if (strstr(json_string_value(json_object_get(entry, "command")), words)) return true;
    }
    return false;
}

static void test_report(void **state) {
    (void)state;
    lk_error err = {0};
    int64_t source;
    lk_faceset *src = new_set("src.faces", &source);
    test_ok(lk_faceset_begin(src, &err), &err);
    for (int i = 0; i < 100; i++) { /* yaw −20 to 20; a narrow face, in the dark */
        lk_face f = tracked(source, i, (lk_pose){(float)(-20 + i * 0.4), 2, 0}, 0.9);
        add(src, &f, 20);
    }
    test_ok(lk_faceset_commit(src, &err), &err);
    lk_faceset *dst = new_set("dst <b>.faces", &source);
    test_ok(lk_faceset_begin(dst, &err), &err);
    for (int i = 0; i < 100; i++) { /* a quarter looks where src never does */
        lk_face f = tracked(source, i, (lk_pose){i < 75 ? (float)(-18 + i * 0.48) : 52, 2, 0}, 1);
        add(dst, &f, 150);
    }
    test_ok(lk_faceset_commit(dst, &err), &err);
    char *page = lk_path_join(folder, "page.html", &err);
    json_t *json;
    test_ok(lk_faceset_report(src, dst, page, &json, &err), &err);
    assert_true(number(json, "src", "faces", NULL) == 100 && number(json, "dst", "faces", NULL) == 100);
    assert_true(fabs(number(json, "uncovered", NULL, NULL) - 0.25) < 1e-9);
    assert_true(fabs(number(json, "shape_ratio", "width", NULL) - 0.9) < 0.02);
    assert_true(number(json, "src_scale", NULL, NULL) >= 4 && number(json, "src_scale", NULL, NULL) <= 7);
    assert_true(number(json, "apart", "brightness", NULL) > 3);
    assert_true(number(json_object_get(json, "src"), "figures", "brightness", "median") <
                number(json_object_get(json, "dst"), "figures", "brightness", "median"));
    double cells = 0;
    size_t i;
    json_t *cell;
    json_array_foreach(json_object_get(json_object_get(json, "dst"), "coverage"), i, cell) {
        double faces = json_number_value(json_object_get(cell, "faces"));
        cells += faces;
        if (json_number_value(json_object_get(cell, "yaw")) == 50) assert_true(faces == 25);
    }
    assert_true(cells == 100);
    assert_true(has_advice(json, "--src-scale") && has_advice(json, "--color") && has_advice(json, "extract"));
    json_decref(json);

    void *html;
    size_t size;
    test_ok(lk_file_read(page, LK_MIB(16), &html, &size, &err), &err);
    assert_null(strstr(html, "http")); /* nothing from outside */
    assert_null(strstr(html, "<script"));
    assert_null(strstr(html, "<b>.faces")); /* names are escaped */
    assert_non_null(strstr(html, "dst &lt;b&gt;.faces"));
    assert_non_null(strstr(html, "<svg"));
    assert_non_null(strstr(html, "data:image/jpeg;base64,/9j/"));
    free(html);
    free(page);

    test_ok(lk_faceset_report(src, NULL, NULL, &json, &err), &err); /* alone */
    assert_null(json_object_get(json, "dst"));
    json_decref(json);

    /* Polygons over the left half of one face, over a corner of another's crop, and none on a third. */
    int64_t *ids;
    json_t *half = json_pack("{s:[[[i,i],[i,i],[i,i],[i,i]]]}", "exclude", 0, 0, 64, 0, 64, 128, 0, 128),
           *corner = json_pack("{s:[[[i,i],[i,i],[i,i]]]}", "exclude", 0, 0, 9, 0, 0, 9), *clear = json_object();
    test_ok(lk_faceset_ids(dst, NULL, &ids, &err) == 100 && lk_faceset_put_polygons(dst, ids[40], half, &err) &&
                lk_faceset_put_polygons(dst, ids[50], corner, &err) &&
                lk_faceset_put_polygons(dst, ids[60], clear, &err),
            &err);
    test_ok(lk_faceset_report(src, dst, NULL, &json, &err), &err);
    assert_true(number(json, "dst", "masked", NULL) == 3 && number(json, "dst", "hidden", NULL) == 1);
    assert_true(number(json, "src", "masked", NULL) == 0);
    const json_t *most = json_array_get(json_object_get(json_object_get(json, "dst"), "most_hidden"), 0);
    assert_int_equal(json_integer_value(json_object_get(most, "id")), ids[40]);
    assert_true(fabs(json_number_value(json_object_get(most, "share")) - 0.5) < 0.05);
    json_decref(json);
    json_decref(half);
    json_decref(corner);
    json_decref(clear);
    free(ids);
    lk_faceset_close(src);
    lk_faceset_close(dst);
    lk_faceset *empty = new_set("empty.faces", &source);
    assert_false(lk_faceset_report(empty, NULL, NULL, NULL, &err));
    assert_int_equal(err.code, LK_ERR_NOT_FOUND);
    lk_faceset_close(empty);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_suspects), cmocka_unit_test(test_report)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
