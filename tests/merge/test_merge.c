/* The pipeline from video to video. The model is made up here: these functions stand in for those of `train`, so that
 * what comes out can be told exactly. */
#include "testing.h"

#include <dirent.h>
#include <math.h>
#include <stdatomic.h>

#include "likeness/media.h"
#include "likeness/merge.h"

enum { W = 320, H = 240, FRAMES = 60, FIRST_FACE = 10, LAST_FACE = 49, TWO_FACES = 30, SIDE = 64 };

static enum { SAME, NEGATIVE, FAILING, INTERRUPTING } behaviour;
static atomic_int predicted, largest_batch;

struct lk_model {
    lk_swap_config config;
    int batch;
};

lk_model *lk_model_open(const char *model_dir, int batch, lk_error *err) {
    if (strcmp(model_dir, "no model") == 0) {
        lk_fail(err, LK_ERR_IO, "no model is no model");
        return NULL;
    }
    lk_model *m = lk_alloc(1, sizeof *m, err);
    if (!m) return NULL;
    m->config = (lk_swap_config){.resolution = SIDE, .face_type = LK_FACE_FULL, .learn_mask = true};
    m->batch = batch;
    predicted = largest_batch = 0;
    return m;
}
void lk_model_close(lk_model *m) { free(m); }
const lk_swap_config *lk_model_config(const lk_model *m) { return &m->config; }
int64_t lk_model_iteration(const lk_model *m) { return m->batch; }
int lk_model_batch(const lk_model *m) { return m->batch; }

/* The face itself or its negative, and an oval mask. */
bool lk_model_predict(lk_model *m, const float *faces, int count, float *swap, float *mask, lk_error *err) {
    if (count < 1 || count > m->batch) return lk_fail(err, LK_ERR_USAGE, "%d faces are no batch", count);
    predicted += count;
    if (count > largest_batch) largest_batch = count;
    if (behaviour == FAILING && predicted > 20) return lk_fail(err, LK_ERR_MEMORY, "the network broke");
    if (behaviour == INTERRUPTING && predicted > 20) lk_interrupt_request();
    for (int i = 0; i < count * SIDE * SIDE * 3; i++) swap[i] = behaviour == NEGATIVE ? 1 - faces[i] : faces[i];
    for (int i = 0; i < count * SIDE * SIDE; i++) {
        double x = i % SIDE - SIDE / 2.0, y = i / SIDE % SIDE - SIDE / 2.0;
        mask[i] = hypot(x, y) < SIDE * 0.35;
    }
    return true;
}

/* ---- A video and its faces ------------------------------------------------------------------------------- */

static char *folder, *video, *faces, *output;

static void paint(lk_image *rgb, int frame) {
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            for (int c = 0; c < 3; c++)
                lk_row_u8(rgb, y)[3 * x + c] =
                    (uint8_t)lrint(128 + 50 * sin(0.09 * (x + frame) + 0.06 * y) + 40 * cos(0.05 * x - 0.08 * y - c));
}

/* RGB without loss, or YUV with halved chroma. */
static void make_video(const char *path, int frames, int shift, bool lossless) {
    lk_error err = {0};
    lk_writer *w = lk_writer_open(
        path, NULL, &(lk_writer_options){.lossless = lossless, .crf = 5, .preset = "ultrafast", .fps = 25}, &err);
    test_ok(w != NULL, &err);
    lk_image rgb;
    test_ok(lk_image_alloc(&rgb, W, H, 3, LK_U8, &err), &err);
    for (int i = 0; i < frames; i++) {
        paint(&rgb, i + shift);
        lk_frame *f = lk_frame_new(&rgb, i, i / 25.0, &err);
        test_ok(f && lk_writer_add(w, f, &err), &err);
        lk_frame_free(f);
    }
    lk_image_free(&rgb);
    test_ok(lk_writer_finish(w, &err), &err);
}

/* Landmarks of a face of some `size` pixels around (cx, cy). */
static lk_landmarks face_at(double cx, double cy, double size) {
    lk_landmarks l;
    for (int i = 0; i < LK_LANDMARKS; i++) {
        double a = i * 2.4, r = size * (0.2 + 0.8 * i / LK_LANDMARKS) / 2;
        l.p[i] = (lk_point){(float)(cx + r * cos(a)), (float)(cy + r * sin(a))};
    }
    /* eyes, nose and mouth where alignment expects them */
    for (int i = 36; i < 42; i++) l.p[i] = (lk_point){(float)(cx - size * 0.2 + i % 3), (float)(cy - size * 0.15)};
    for (int i = 42; i < 48; i++) l.p[i] = (lk_point){(float)(cx + size * 0.2 + i % 3), (float)(cy - size * 0.15)};
    for (int i = 17; i < 36; i++) l.p[i] = (lk_point){(float)(cx + (i - 26) * size * 0.02), (float)(cy - size * 0.1)};
    for (int i = 48; i < 68; i++) l.p[i] = (lk_point){(float)(cx + (i - 58) * size * 0.015), (float)(cy + size * 0.3)};
    return l;
}

static void add_face(lk_faceset *set, const lk_source *source, int frame, lk_landmarks points) {
    lk_error err = {0};
    lk_image crop;
    void *jpeg;
    size_t size;
    lk_face *f = lk_alloc(1, sizeof *f, &err);
    test_ok(f && lk_image_alloc(&crop, 64, 64, 3, LK_U8, &err), &err);
    test_ok(lk_jpeg_encode(&crop, 90, &jpeg, &size, &err), &err);
    f->source = source->id;
    f->frame = frame;
    f->time = frame / 25.0;
    f->type = LK_FACE_FULL;
    f->size = 64;
    f->points = points;
    assert_true(lk_face_align(&points, f->type, f->size, 1, &f->frame_to_crop));
    f->crop_points = lk_landmarks_transform(&points, f->frame_to_crop);
    f->bounds = lk_landmarks_bounds(&points);
    test_ok(lk_faceset_add(set, f, jpeg, size, &err), &err);
    free(jpeg);
    free(f);
    lk_image_free(&crop);
}

static void make_faces(const char *path, const char *of, bool complete) {
    lk_error err = {0};
    lk_faceset *set = lk_faceset_create(path, &err);
    test_ok(set != NULL, &err);
    lk_source source = {.width = W, .height = H, .frames = FRAMES, .fps = 25, .complete = complete};
    snprintf(source.path, sizeof source.path, "%s", of);
    test_ok(lk_source_fingerprint(of, source.fingerprint, &err), &err);
    test_ok(lk_faceset_begin(set, &err) && lk_faceset_add_source(set, &source, &err), &err);
    test_ok(lk_faceset_update_source(set, &source, &err), &err);
    for (int i = FIRST_FACE; i <= LAST_FACE; i++) {
        add_face(set, &source, i, face_at(110 + i, 120, 90));
        if (i == TWO_FACES) add_face(set, &source, i, face_at(280, 60, 60));
    }
    test_ok(lk_faceset_commit(set, &err), &err);
    lk_faceset_close(set);
}

static int prepare(void **state) {
    (void)state;
    lk_error err = {0};
    folder = test_folder();
    video = lk_path_join(folder, "in.mp4", &err);
    faces = lk_path_join(folder, "in.faces", &err);
    output = lk_path_join(folder, "out.mp4", &err);
    make_video(video, FRAMES, 0, true);
    make_faces(faces, video, true);
    return 0;
}

static int clean(void **state) {
    (void)state;
    free(video);
    free(faces);
    free(output);
    test_remove_folder(folder);
    return 0;
}

static lk_merge_options options(void) {
    lk_error err = {0};
    lk_merge_options o = {0};
    test_ok(lk_options_defaults(lk_merge_option_table, &o, &err), &err);
    o.lossless = true;
    return o;
}

static int files_in_folder(void) {
    DIR *d = opendir(folder);
    assert_non_null(d);
    int n = 0;
    while (readdir(d)) n++;
    closedir(d);
    return n - 2;
}

static lk_reader *open_reader(const char *path) {
    lk_error err = {0};
    lk_reader *r = lk_reader_open(path, NULL, &err);
    test_ok(r != NULL, &err);
    return r;
}

/* ---- Tests ----------------------------------------------------------------------------------------------- */

/* Mean absolute difference of two frames within a square of the picture, and beyond it, in levels. */
static void compare(lk_frame *a, lk_frame *b, double cx, double cy, double reach, double *within, double *beyond) {
    lk_error err = {0};
    lk_image u, v;
    lk_rect all = {0, 0, W, H};
    test_ok(lk_frame_rgb(a, all, LK_U8, &u, &err) && lk_frame_rgb(b, all, LK_U8, &v, &err), &err);
    double sum[2] = {0}, count[2] = {0};
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            int side = fabs(x - cx) > reach || fabs(y - cy) > reach;
            for (int c = 0; c < 3; c++) sum[side] += abs(lk_row_u8(&u, y)[3 * x + c] - lk_row_u8(&v, y)[3 * x + c]);
            count[side] += 3;
        }
    *within = sum[0] / fmax(count[0], 1);
    *beyond = sum[1] / fmax(count[1], 1);
    lk_image_free(&u);
    lk_image_free(&v);
}

/* Frames without a face leave as they came, bit for bit; those with one are changed there only; timing stays. */
static void check_video(const char *in, const char *in_faces) {
    lk_error err = {0};
    for (int k = 0; k < 2; k++) {
        behaviour = k == 0 ? SAME : NEGATIVE;
        lk_merge_options o = options();
        o.composite.color = LK_COLOR_NONE;
        lk_merge_report report;
        test_ok(lk_merge("model", in, in_faces, output, &o, &report, &err), &err);
        lk_options_free(lk_merge_option_table, &o);
        assert_int_equal(report.frames, FRAMES);
        assert_int_equal(report.merged, LAST_FACE - FIRST_FACE + 1);
        assert_int_equal(report.untouched, FRAMES - report.merged);
        assert_int_equal(predicted, LAST_FACE - FIRST_FACE + 2);
        assert_true(largest_batch > 1);
        lk_reader *a = open_reader(in), *b = open_reader(output);
        for (int i = 0; i < FRAMES; i++) {
            lk_frame *f = lk_reader_next(a, &err), *g = lk_reader_next(b, &err);
            assert_true(f && g);
            assert_true(fabs(lk_frame_time(f) - lk_frame_time(g)) < 1e-6);
            double within, beyond;
            compare(f, g, 110 + i, 120, 70, &within, &beyond);
            if (i < FIRST_FACE || i > LAST_FACE)
                assert_true(within == 0 && beyond == 0);
            else if (i != TWO_FACES)
                assert_true(beyond == 0 && (k == 0 ? within < 1 : within > 5));
            else
                assert_true(k == 0 ? beyond < 1 : beyond > 0.5);
            lk_frame_free(f);
            lk_frame_free(g);
        }
        assert_null(lk_reader_next(b, &err));
        assert_int_equal(err.code, LK_OK);
        lk_reader_close(a);
        lk_reader_close(b);
    }
}

static void from_video_to_video(void **state) {
    (void)state;
    lk_error err = {0};
    char *yuv = lk_path_join(folder, "yuv.mp4", &err), *yuv_faces = lk_path_join(folder, "yuv.faces", &err);
    make_video(yuv, FRAMES, 0, false);
    make_faces(yuv_faces, yuv, true);
    check_video(yuv, yuv_faces);
    check_video(video, faces);
    free(yuv);
    free(yuv_faces);
}

/* What was made says so. */
static void says_that_it_was_made(void **state) {
    (void)state;
    char command[700], text[300] = "";
    snprintf(command, sizeof command, "ffprobe -v error -show_entries format_tags=comment -of csv=p=0 '%s'", output);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(text, sizeof text, pipe));
    assert_int_equal(pclose(pipe), 0);
    assert_non_null(strstr(text, "Made with Likeness"));
    assert_int_equal(unlink(output), 0);
}

static void part_of_the_video(void **state) {
    (void)state;
    lk_error err = {0};
    behaviour = NEGATIVE;
    lk_merge_options o = options();
    o.first = 5;
    o.max = 10;
    lk_merge_report report;
    test_ok(lk_merge("model", video, faces, output, &o, &report, &err), &err);
    assert_int_equal(report.frames, 10);
    assert_int_equal(report.merged, 5); /* frames 10 to 14 */
    unlink(output);
    o.first = 1000;
    assert_false(lk_merge("model", video, faces, output, &o, &report, &err));
    assert_non_null(strstr(err.message, "1000"));
    assert_false(lk_file_exists(output));
    lk_options_free(lk_merge_option_table, &o);
}

/* Each ends with a sentence, and leaves nothing in the folder. */
static void nothing_left_behind(void **state) {
    (void)state;
    lk_error err = {0};
    char *other = lk_path_join(folder, "other.mp4", &err), *unfinished = lk_path_join(folder, "half.faces", &err);
    make_video(other, 3, 7, true);
    make_faces(unfinished, video, false);
    int before = files_in_folder();
    lk_merge_options o = options();

    assert_false(lk_merge("model", other, faces, output, &o, NULL, &err));
    assert_non_null(strstr(err.message, "other.mp4"));
    assert_non_null(strstr(err.message, "likeness extract"));
    assert_false(lk_merge("model", video, unfinished, output, &o, NULL, &err));
    assert_non_null(strstr(err.message, "did not finish"));
    assert_false(lk_merge("model", video, faces, video, &o, NULL, &err));
    assert_int_equal(err.code, LK_ERR_USAGE);
    assert_false(lk_merge("no model", video, faces, output, &o, NULL, &err));
    assert_int_equal(err.code, LK_ERR_IO);
    assert_false(lk_merge("model", video, "/nonexistent.faces", output, &o, NULL, &err));
    assert_false(lk_merge("model", video, faces, "/nonexistent/out.mp4", &o, NULL, &err));

    behaviour = FAILING;
    assert_false(lk_merge("model", video, faces, output, &o, NULL, &err));
    assert_non_null(strstr(err.message, "the network broke"));
    behaviour = INTERRUPTING;
    assert_false(lk_merge("model", video, faces, output, &o, NULL, &err));
    assert_int_equal(err.code, LK_ERR_INTERRUPTED);
    lk_interrupt_clear();
    behaviour = SAME;

    assert_int_equal(files_in_folder(), before);
    assert_true(lk_file_exists(video));
    lk_options_free(lk_merge_option_table, &o);
    unlink(other);
    unlink(unfinished);
    free(other);
    free(unfinished);
}

static void folder_of_pictures(void **state) {
    (void)state;
    lk_error err = {0};
    behaviour = SAME;
    lk_merge_options o = options();
    o.folder = true;
    o.max = 12;
    char *pictures = lk_path_join(folder, "pictures", &err);
    test_ok(lk_merge("model", video, faces, pictures, &o, NULL, &err), &err);
    lk_reader *r = open_reader(pictures);
    assert_int_equal(lk_reader_info(r)->frames, 12);
    lk_reader_close(r);
    lk_options_free(lk_merge_option_table, &o);
    free(pictures);
}

/* The sheet shows frame i·(60/12) + 2 of both videos, before on the left. */
static void contact_sheet(void **state) {
    (void)state;
    lk_error err = {0};
    char *shifted = lk_path_join(folder, "shifted.mp4", &err), *png = lk_path_join(folder, "sheet.png", &err);
    make_video(shifted, FRAMES, 100, true);
    test_ok(lk_contact_sheet(video, shifted, png, 12, 0, 0, &err), &err);
    lk_image sheet, before, after;
    test_ok(lk_image_load(png, &sheet, &err), &err);
    assert_true(sheet.width <= 1600 && sheet.width >= 4 * W);
    assert_true(sheet.height >= 6 * H && sheet.height < 7 * H);
    test_ok(lk_image_alloc(&before, W, H, 3, LK_U8, &err) && lk_image_alloc(&after, W, H, 3, LK_U8, &err), &err);
    paint(&before, 2 + 5);
    paint(&after, 2 + 5 + 100);
    /* the second pair: its left edge is found where the sheet's black ends */
    double difference = 0;
    int x0 = 16 + 2 * W + 4 + 16, y0 = 16;
    for (int y = 0; y < H; y++)
        for (int i = 0; i < 3 * W; i++) {
            difference += abs(lk_row_u8(&sheet, y0 + y)[3 * x0 + i] - lk_row_u8(&before, y)[i]);
            difference += abs(lk_row_u8(&sheet, y0 + y)[3 * (x0 + W + 4) + i] - lk_row_u8(&after, y)[i]);
        }
    assert_true(difference / (6 * W * H) < 2.5); /* chroma is subsampled */
    lk_image_free(&sheet);
    lk_image_free(&before);
    lk_image_free(&after);
    test_ok(lk_contact_sheet(video, shifted, png, 100, 0, 5, &err), &err); /* more pairs than frames */
    assert_false(lk_contact_sheet(video, "/nonexistent.mp4", png, 4, 0, 0, &err));
    assert_false(lk_contact_sheet(video, shifted, png, 0, 0, 0, &err));
    assert_int_equal(err.code, LK_ERR_USAGE);
    free(shifted);
    free(png);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_video_to_video), cmocka_unit_test(says_that_it_was_made),
        cmocka_unit_test(part_of_the_video),   cmocka_unit_test(nothing_left_behind),
        cmocka_unit_test(folder_of_pictures),  cmocka_unit_test(contact_sheet),
    };
    return cmocka_run_group_tests(tests, prepare, clean);
}
