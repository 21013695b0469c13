/* The pipeline from video to video, with a made-up model. */
#include "made_up.h"

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
