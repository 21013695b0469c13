/* Video in and out, against ffmpeg and ffprobe. */
#include "clips.h"

static const lk_writer_options fast = {.crf = 23, .preset = "ultrafast"};
static const lk_writer_options exact = {.lossless = true, .preset = "ultrafast"};

#define TIMES  "ffprobe -v error -select_streams v -show_entries frame=pts_time -of csv=p=0 $f"
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_keeps_times_pixels_and_sound),
        cmocka_unit_test(variable_frame_rate_stays),
    };
    return cmocka_run_group_tests_name("media: video", tests, NULL, NULL);
}
