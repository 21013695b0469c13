/* Video in and out, against ffmpeg and ffprobe. */
#include "clips.h"

#include <math.h>

static const lk_writer_options fast = {.crf = 23, .preset = "ultrafast"};
static const lk_writer_options exact = {.lossless = true, .preset = "ultrafast"};

#define TIMES  "ffprobe -v error -select_streams v -show_entries frame=pts_time -of csv=p=0 $f | tr -d , | grep ."
#define PIXELS "ffmpeg -v error -i $f -map 0:v -f framemd5 - | grep -v '^#' | sed 's/.*,//'"
#define SOUND  "ffmpeg -v error -i $f -map 0:a -c copy -f md5 -"

static void a_copy_keeps_times_pixels_and_sound(void **state) {
    (void)state;
    char *folder = test_folder();
    ffmpeg(folder, "-f lavfi -i testsrc=size=160x120:rate=30000/1001:duration=2 -f lavfi -i sine=duration=2 "
                   "-c:v libx264 -bf 3 -g 20 -pix_fmt yuv420p -c:a aac -shortest in.mp4");
    assert_int_equal(copy_video(folder, "in.mp4", "out.mp4", NULL, &exact), 60);
    assert_same_output(folder, TIMES, "in.mp4", "out.mp4");
    assert_same_output(folder, PIXELS, "in.mp4", "out.mp4");
    assert_same_output(folder, SOUND, "in.mp4", "out.mp4");
    assert_same_output(folder, "ffprobe -v error -show_entries stream=duration -of csv=p=0 $f", "in.mp4", "out.mp4");
    test_remove_folder(folder);
}

static void variable_frame_rate_stays(void **state) {
    (void)state;
    char *folder = test_folder();
    ffmpeg(folder,
           "-f lavfi -i testsrc=size=64x48:rate=25:duration=3 -vf \"select='not(mod(n\\,3))+gt(n\\,40)*mod(n\\,2)'\" "
           "-fps_mode vfr -c:v libx264 -bf 2 -preset ultrafast in.mp4");
    copy_video(folder, "in.mp4", "out.mp4", NULL, &fast);
    assert_same_output(folder, TIMES, "in.mp4", "out.mp4");
    test_remove_folder(folder);
}

static void deep_pixels_stay_deep(void **state) {
    (void)state;
    static const char *const formats[] = {"yuv420p10le", "yuv422p10le", "yuv444p", "yuv422p"};
    char *folder = test_folder(), command[300];
    for (size_t i = 0; i < LK_COUNT(formats); i++) {
        snprintf(command, sizeof command,
                 "-f lavfi -i testsrc2=size=96x64:duration=0.4 -pix_fmt %s -c:v libx264 -qp 0 in.mkv", formats[i]);
        ffmpeg(folder, command);
        copy_video(folder, "in.mkv", "out.mkv", NULL, &exact);
        assert_same_output(folder, PIXELS, "in.mkv", "out.mkv");
        assert_same_output(folder, "ffprobe -v error -show_entries stream=pix_fmt -of csv=p=0 $f", "in.mkv", "out.mkv");
    }
    test_remove_folder(folder);
}

static void colour_description_is_taken_over(void **state) {
    (void)state;
    char *folder = test_folder();
    ffmpeg(folder, "-f lavfi -i testsrc2=size=96x64:duration=0.4 -vf setsar=4/3,format=yuv420p -color_range pc "
                   "-colorspace bt2020nc -color_primaries bt2020 -color_trc smpte2084 -c:v libx264 in.mp4");
    copy_video(folder, "in.mp4", "out.mp4", NULL, &fast);
    assert_same_output(folder,
                       "ffprobe -v error -show_entries stream=pix_fmt,color_range,color_space,color_transfer,"
                       "color_primaries,sample_aspect_ratio -of csv=p=0 $f",
                       "in.mp4", "out.mp4");
    test_remove_folder(folder);
}

/* From one container to the other, with sound that begins before 0 by its encoder's delay. */
static void other_containers(void **state) {
    (void)state;
    char *folder = test_folder();
    ffmpeg(folder, "-f lavfi -i testsrc=size=160x120:rate=25:duration=2 -f lavfi -i sine=duration=2 "
                   "-c:v libx264 -bf 3 -pix_fmt yuv420p -c:a aac in.mp4");
    copy_video(folder, "in.mp4", "out.mkv", NULL, &exact);
    assert_same_output(folder, TIMES, "in.mp4", "out.mkv");
    assert_same_output(folder, PIXELS, "in.mp4", "out.mkv");
    assert_same_output(folder, SOUND, "in.mp4", "out.mkv");
    char *begins = output_of("ffprobe -v error -show_entries stream=start_time -of csv=p=0 '%s/out.mkv'", folder);
    assert_string_equal(begins, "0.000000\n-0.023000\n");
    free(begins);
    copy_video(folder, "out.mkv", "again.mov", NULL, &exact);
    assert_same_output(folder, TIMES, "in.mp4", "again.mov");
    assert_same_output(folder, PIXELS, "in.mp4", "again.mov");
    assert_same_output(folder, SOUND, "in.mp4", "again.mov");
    test_remove_folder(folder);
}

/* The picture as RGB, by us and by ffmpeg, which must be told the matrix where the file does not say it. */
static void compare_colours(const char *folder, const char *make, const char *matrix, const char *range) {
    char command[700];
    snprintf(command, sizeof command, "-f lavfi -i gradients=size=192x128:n=4:seed=7:duration=0.04 %s in.mkv", make);
    ffmpeg(folder, command);
    snprintf(command, sizeof command,
             "-i in.mkv -vf scale=in_color_matrix=%s:in_range=%s:flags=%s,"
             "format=rgb24 -f rawvideo out.rgb",
             matrix, range,
             strstr(make, "yuv42") ? "neighbor+accurate_rnd+full_chroma_int" : "bicubic+accurate_rnd+full_chroma_int");
    ffmpeg(folder, command);
    lk_error err = {0};
    char *path = lk_path_join(folder, "out.rgb", NULL);
    void *data;
    size_t size;
    test_ok(lk_file_read(path, LK_MIB(1), &data, &size, &err), &err);
    assert_int_equal(size, 192 * 128 * 3);
    lk_frame *f = first_frame(folder, "in.mkv");
    lk_image bytes, floats;
    test_ok(lk_frame_rgb(f, (lk_rect){0, 0, 192, 128}, LK_U8, &bytes, &err), &err);
    test_ok(lk_frame_rgb(f, (lk_rect){0, 0, 192, 128}, LK_F32, &floats, &err), &err);
    for (int y = 0; y < 128; y++)
        for (int i = 0; i < 192 * 3; i++) {
            int theirs = ((uint8_t *)data)[y * 192 * 3 + i], ours = lk_row_u8(&bytes, y)[i];
            if (abs(ours - theirs) > 2) fail_msg("%s: %d, not %d, at %d, %d", make, ours, theirs, i / 3, y);
            assert_true(fabsf(lk_row_f32(&floats, y)[i] * 255 - (float)ours) <= 0.5001f);
        }
    lk_image_free(&bytes);
    lk_image_free(&floats);
    lk_frame_free(f);
    free(data);
    free(path);
}

static void colours_are_those_of_ffmpeg(void **state) {
    (void)state;
    char *folder = test_folder();
#define EXACT "-c:v libx264 -qp 0 "
    compare_colours(folder, EXACT "-pix_fmt yuv444p", "bt601", "tv");
    compare_colours(folder, EXACT "-pix_fmt yuv420p", "bt601", "tv");
    compare_colours(folder, EXACT "-pix_fmt yuv422p", "bt601", "tv");
    compare_colours(folder, EXACT "-pix_fmt yuv420p10le", "bt601", "tv");
    compare_colours(folder, EXACT "-pix_fmt yuv444p -colorspace bt709", "bt709", "tv");
    compare_colours(folder, EXACT "-pix_fmt yuv444p -colorspace smpte170m -color_range pc", "bt601", "pc");
    compare_colours(folder, EXACT "-pix_fmt yuv444p10le -colorspace bt2020nc", "bt2020", "tv");
    compare_colours(folder, "-c:v libx264rgb -qp 0 -pix_fmt rgb24", "bt601", "pc");
    compare_colours(folder, "-c:v ffv1 -pix_fmt gbrp10le", "bt601", "pc");
    compare_colours(folder, "-c:v ffv1 -pix_fmt gray", "bt601", "tv");
    test_remove_folder(folder);
}

/* From 720 rows up, what does not say its matrix is BT.709. */
static void large_pictures_are_bt709(void **state) {
    (void)state;
    char *folder = test_folder();
    lk_error err = {0};
    for (int height = 718; height <= 720; height += 2) {
        char command[300];
        snprintf(command, sizeof command,
                 "-f lavfi -i color=black:size=16x%d:duration=0.04 -vf \"format=yuv444p,geq=lum=81:cb=90:cr=240\" "
                 "-c:v ffv1 in.mkv",
                 height);
        ffmpeg(folder, command);
        lk_frame *f = first_frame(folder, "in.mkv");
        lk_image rgb;
        test_ok(lk_frame_rgb(f, (lk_rect){4, 4, 1, 1}, LK_F32, &rgb, &err), &err);
        /* Pure red in BT.601; by BT.709's matrix the same codes are (1, 0.096, 0). */
        assert_float_equal(lk_row_f32(&rgb, 0)[1], height < 720 ? 0 : 0.0968, 0.01);
        lk_image_free(&rgb);
        lk_frame_free(f);
    }
    test_remove_folder(folder);
}

static void a_window_is_put_back_alone(void **state) {
    (void)state;
    static const char *const formats[] = {"yuv420p", "yuv420p10le", "yuv422p", "yuv444p", "gbrp", "gray"};
    char *folder = test_folder(), command[300];
    lk_error err = {0};
    for (size_t k = 0; k < LK_COUNT(formats); k++) {
        snprintf(
            command, sizeof command,
            "-f lavfi -i testsrc2=size=98x66:duration=0.04 -vf format=gbrp,crop=97:65 -pix_fmt %s -c:v ffv1 in.mkv",
            formats[k]);
        ffmpeg(folder, command);
        lk_frame *f = first_frame(folder, "in.mkv"), *other = lk_frame_ref(f);
        assert_non_null(other);
        lk_rect all = {0, 0, 97, 65}, window = {20, 11, 31, 22};
        lk_image before, part, after, untouched;
        test_ok(lk_frame_rgb(f, all, LK_U8, &before, &err), &err);
        test_ok(lk_image_alloc(&part, window.width, window.height, 3, LK_F32, &err), &err);
        for (int y = 0; y < part.height; y++)
            for (int i = 0; i < 3 * part.width; i++) lk_row_f32(&part, y)[i] = 0.5f;
        test_ok(lk_frame_set_rgb(f, window, &part, &err), &err);
        test_ok(lk_frame_rgb(f, all, LK_U8, &after, &err), &err);
        test_ok(lk_frame_rgb(other, all, LK_U8, &untouched, &err), &err);
        for (int y = 0; y < all.height; y++)
            for (int x = 0; x < all.width; x++)
                for (int c = 0; c < 3; c++) {
                    int is = lk_row_u8(&after, y)[3 * x + c], was = lk_row_u8(&before, y)[3 * x + c];
                    assert_int_equal(lk_row_u8(&untouched, y)[3 * x + c], was);
                    bool in = x >= 20 && x < 51 && y >= 11 && y < 33;
                    bool wholly = x >= 20 && x < 50 && y >= 12 && y < 32; /* all of the chroma sample inside */
                    if (!in) assert_int_equal(is, was);
                    if (wholly) assert_in_range(is, 126, 129);
                }
        assert_false(lk_frame_set_rgb(f, (lk_rect){80, 0, 31, 22}, &part, &err));
        assert_int_equal(err.code, LK_ERR_USAGE);
        lk_image_free(&part);
        assert_false(lk_frame_rgb(f, (lk_rect){-1, 0, 8, 8}, LK_U8, &part, &err));
        assert_null(part.data);
        lk_image_free(&before);
        lk_image_free(&after);
        lk_image_free(&untouched);
        lk_frame_free(other);
        lk_frame_free(f);
    }
    test_remove_folder(folder);
}

/* The whole frame to RGB and back leaves every code within one of where it was. */
static void there_and_back(void **state) {
    (void)state;
    char *folder = test_folder();
    lk_error err = {0};
    ffmpeg(folder, "-f lavfi -i gradients=size=98x66:seed=3:duration=0.2:rate=10 -pix_fmt yuv420p -c:v ffv1 in.mkv");
    lk_frame *f = first_frame(folder, "in.mkv");
    lk_rect all = {0, 0, 98, 66};
    lk_image before, after;
    test_ok(lk_frame_rgb(f, all, LK_F32, &before, &err), &err);
    test_ok(lk_frame_set_rgb(f, all, &before, &err), &err);
    test_ok(lk_frame_rgb(f, all, LK_F32, &after, &err), &err);
    for (int y = 0; y < all.height; y++)
        for (int i = 0; i < 3 * all.width; i++)
            assert_float_equal(lk_row_f32(&before, y)[i], lk_row_f32(&after, y)[i], 0.001);
    lk_image_free(&before);
    lk_image_free(&after);
    lk_frame_free(f);
    test_remove_folder(folder);
}

static void rotation_is_applied(void **state) {
    (void)state;
    char *folder = test_folder(), command[300];
    lk_error err = {0};
    ffmpeg(folder, "-f lavfi -i testsrc2=size=96x64:duration=0.2 -c:v libx264 -qp 0 -pix_fmt yuv420p flat.mp4");
    for (int degrees = 90; degrees <= 270; degrees += 90) {
        /* what this ffmpeg takes for "rotate" is counterclockwise */
        snprintf(command, sizeof command, "-i flat.mp4 -c copy -metadata:s:v rotate=%d in.mp4", degrees);
        ffmpeg(folder, command);
        char *path = lk_path_join(folder, "in.mp4", NULL);
        lk_reader *r = lk_reader_open(path, NULL, &err);
        test_ok(r != NULL, &err);
        assert_int_equal(lk_reader_info(r)->rotation, 360 - degrees);
        assert_int_equal(lk_reader_info(r)->width, degrees == 180 ? 96 : 64);
        assert_int_equal(lk_reader_info(r)->height, degrees == 180 ? 64 : 96);
        lk_reader_close(r);
        free(path);
        copy_video(folder, "in.mp4", "out.mp4", NULL, &exact);
        assert_same_output(folder, PIXELS, "in.mp4", "out.mp4"); /* ffmpeg turns the input by itself */
        assert_same_output(folder, TIMES, "in.mp4", "out.mp4");
    }
    test_remove_folder(folder);
}

static void a_part_of_a_video(void **state) {
    (void)state;
    char *folder = test_folder();
    lk_error err = {0};
    ffmpeg(folder, "-f lavfi -i testsrc2=size=96x64:rate=10:duration=6 -f lavfi -i sine=duration=6 -g 7 -bf 2 "
                   "-c:v libx264 -pix_fmt yuv420p -c:a aac in.mp4");
    char *path = lk_path_join(folder, "in.mp4", NULL);
    lk_reader *r = lk_reader_open(path, &(lk_reader_options){.first = 7, .every = 3, .max = 5}, &err);
    test_ok(r != NULL, &err);
    assert_true(lk_reader_info(r)->has_audio);
    assert_int_equal(lk_reader_info(r)->frames, 60);
    assert_float_equal(lk_reader_info(r)->fps, 10, 1e-9);
    for (int i = 0; i < 5; i++) {
        lk_frame *f = lk_reader_next(r, &err);
        test_ok(f != NULL, &err);
        assert_int_equal(lk_frame_index(f), 7 + 3 * i);
        assert_float_equal(lk_frame_time(f), 0.7 + 0.3 * i, 1e-9);
        lk_frame_free(f);
    }
    assert_null(lk_reader_next(r, &err));
    assert_int_equal(err.code, LK_OK);
    lk_reader_close(r);
    free(path);
    assert_int_equal(copy_video(folder, "in.mp4", "out.mp4", &(lk_reader_options){.first = 20, .max = 20}, &fast), 20);
    char *length = output_of("ffprobe -v error -show_entries stream=duration -of csv=p=0 '%s/out.mp4'", folder);
    double video = 0, audio = 0;
    assert_int_equal(sscanf(length, "%lf %lf", &video, &audio), 2);
    assert_float_equal(video, 2, 0.001);
    assert_float_equal(audio, 2, 0.06);
    free(length);
    /* from the first frame on, the sound keeps what its decoder needs for a start */
    assert_int_equal(copy_video(folder, "in.mp4", "begin.mp4", &(lk_reader_options){.max = 20}, &fast), 20);
    assert_same_output(folder, "ffprobe -v error -select_streams a -show_entries packet=pts,size -of csv $f | head -20",
                       "in.mp4", "begin.mp4");
    test_remove_folder(folder);
}

static void odd_and_tiny_sizes(void **state) {
    (void)state;
    static const char *const sizes[] = {"1:1", "33:17", "2:3"};
    char *folder = test_folder(), command[300];
    for (size_t i = 0; i < LK_COUNT(sizes); i++) {
        snprintf(command, sizeof command,
                 "-f lavfi -i testsrc2=size=64x64:duration=0.2 -vf scale=%s -c:v ffv1 -pix_fmt yuv420p in.mkv",
                 sizes[i]);
        ffmpeg(folder, command);
        copy_video(folder, "in.mkv", "out.mp4", NULL, &fast);
        assert_same_output(folder, "ffprobe -v error -show_entries stream=width,height -of csv=p=0 $f", "in.mkv",
                           "out.mp4");
        assert_same_output(folder, TIMES, "in.mkv", "out.mp4");
    }
    test_remove_folder(folder);
}

static void subtitles_and_metadata(void **state) {
    (void)state;
    char *folder = test_folder();
    char *srt = lk_path_join(folder, "a.srt", NULL);
    static const char text[] = "1\n00:00:00,200 --> 00:00:00,900\nHello\n\n2\n00:00:01,000 --> 00:00:01,500\nYou\n";
    lk_error err = {0};
    test_ok(lk_file_write(srt, text, sizeof text - 1, &err), &err);
    ffmpeg(folder,
           "-f lavfi -i testsrc2=size=96x64:duration=2 -f lavfi -i sine=duration=2 -i a.srt -map 0 -map 1 -map 2 "
           "-metadata title=Two -metadata:s:a language=fin -c:v libx264 -c:a libopus -c:s srt in.mkv");
    lk_writer_options o = fast;
    o.comment = "made by a test";
    copy_video(folder, "in.mkv", "out.mkv", NULL, &o);
    assert_same_output(folder, TIMES, "in.mkv", "out.mkv");
    assert_same_output(folder, SOUND, "in.mkv", "out.mkv");
    assert_same_output(folder, "ffprobe -v error -select_streams a -show_entries packet=pts_time -of csv=p=0 $f",
                       "in.mkv", "out.mkv");
    assert_same_output(folder, "ffmpeg -v error -i $f -map 0:s -f srt -", "in.mkv", "out.mkv");
    assert_same_output(folder, "ffprobe -v error -show_entries format_tags=title:stream_tags=language -of csv=p=0 $f",
                       "in.mkv", "out.mkv");
    char *comment = output_of("ffprobe -v error -show_entries format_tags=comment -of csv=p=0 '%s/out.mkv'", folder);
    assert_string_equal(comment, "made by a test\n");
    free(comment);
    free(srt);
    test_remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_keeps_times_pixels_and_sound),
        cmocka_unit_test(variable_frame_rate_stays),
        cmocka_unit_test(other_containers),
        cmocka_unit_test(deep_pixels_stay_deep),
        cmocka_unit_test(colour_description_is_taken_over),
        cmocka_unit_test(colours_are_those_of_ffmpeg),
        cmocka_unit_test(large_pictures_are_bt709),
        cmocka_unit_test(a_window_is_put_back_alone),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(rotation_is_applied),
        cmocka_unit_test(a_part_of_a_video),
        cmocka_unit_test(odd_and_tiny_sizes),
        cmocka_unit_test(subtitles_and_metadata),
    };
    return cmocka_run_group_tests_name("media: video", tests, NULL, NULL);
}
