/* The whole job on real faces: what comes out is compared with what went in by ffprobe and ffmpeg; stopped, killed and
 * asked for more, the same command goes on. */
#include "program.h"

#include <jansson.h>

#define FRAMES 10
#define SMALL  "--model quick --ae-dims 32 --ed-ch-dims 21 --batch 2 "
#define SWAP   "swap --src a.mp4 --dst b.mp4 -o out.mp4 " SMALL

/* a.mp4: the first man, 12 frames; b.mp4: the second, 10 frames with a tone, at a rate that is no whole number. */
static void make_clips(void) {
    need_clips();
    assert_int_equal(shell("test -f b.mp4 || { "
                           "ffmpeg -v error -i src.mp4 -frames:v 12 -an -crf 10 a.mp4 && "
                           "ffmpeg -v error -r 24000/1001 -i dst.mp4 -f lavfi -i sine=440:d=4 -map 0:v -map 1:a "
                           "-frames:v %d -t 0.41 -crf 10 b.mp4; }",
                           FRAMES),
                     0);
}

static void same_of_both(const char *command) {
    char first[4000];
    assert_int_equal(shell("f=b.mp4; %s", command), 0);
    snprintf(first, sizeof first, "%s", printed);
    assert_true(strlen(first) > 3);
    assert_int_equal(shell("f=out.mp4; %s", command), 0);
    assert_string_equal(printed, first);
}

static void compare_videos(void) {
    same_of_both("ffprobe -v error -count_frames -select_streams v -show_entries "
                 "stream=nb_read_frames,duration,r_frame_rate,width,height -of csv $f");
    same_of_both("ffprobe -v error -show_entries format=duration -of csv $f");
    same_of_both("ffprobe -v error -select_streams v -show_entries frame=pts_time -of csv $f");
    same_of_both("ffmpeg -v error -i $f -map 0:a -c copy -f md5 -");
    /* the face is another, its surroundings are not: luma of the middle, and of the left edge */
    assert_int_equal(shell("for c in 40:288:0:0 100:120:130:90; do ffmpeg -v error -i b.mp4 -i out.mp4 -lavfi "
                           "\"[0:v]crop=$c[a];[1:v]crop=$c[b];[a][b]psnr=stats_file=.psnr\" -f null - && "
                           "sed -n '5s/.*psnr_y:\\([0-9]*\\).*/\\1/p' .psnr; done; rm .psnr"),
                     0);
    int edge = 0, face = 0;
    assert_int_equal(sscanf(printed, "%d %d", &edge, &face), 2);
    if (edge < 38 || face > 30) fail_msg("PSNR at the edge %d dB, on the face %d dB", edge, face);
}

static void whole_job(void **state) {
    (void)state;
    make_clips();
    expect(likeness(SWAP "--iterations 3 --json"), 0, "step 4 of 4");
    json_t *json = json_loads(printed, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(json, "output")), "out.mp4");
    assert_string_equal(json_string_value(json_object_get(json, "sheet")), "out-sheet.png");
    assert_int_equal(json_integer_value(json_object_get(json, "iteration")), 3);
    assert_int_equal(json_integer_value(json_object_get(json, "frames")), FRAMES);
    assert_int_equal(json_integer_value(json_object_get(json, "merged")), FRAMES);
    json_decref(json);
    compare_videos();
    expect(shell("ffprobe -v error -show_entries stream=codec_name,width -of csv=p=0 out-sheet.png"), 0, "png,");
    expect(shell("ffprobe -v error -show_entries format_tags=comment -of csv=p=0 out.mp4"), 0, "faces in this video");
    assert_string_equal(names_in("out.work"), "dst.faces model src.faces swap.json ");
}

/* More of the same, then another part of dst, then what does not go together. */
static void goes_on(void **state) {
    (void)state;
    make_clips();
    expect(likeness(SWAP "--iterations 5 --device cpu --nvdec"), 0, "before and after  out-sheet.png");
    assert_non_null(strstr(said, "\n2 iterations in"));
    assert_non_null(strstr(said, "a.mp4 is in out.work/src.faces already"));
    expect(likeness(SWAP "--time 0.1s"), 0, "a longer --time makes it better");
    expect(likeness(SWAP "--iterations 5 --first 3 --max 5"), 0, "5 frames, 5 with the new face");
    expect(likeness(SWAP "--iterations 5 --resolution 80"), 2, "cannot change to 80");
    expect(likeness("swap --src b.mp4 --dst a.mp4 -o out.mp4"), 2, "work of another swap");
    expect_one_sentence();
}

static void refuses_before_it_begins(void **state) {
    (void)state;
    make_clips();
    static const char *const cases[][3] = {
        {"--src missing.mp4 --dst b.mp4 -o new.mp4", "missing.mp4", "1"},
        {"--src a.mp4 --dst missing.mp4 -o new.mp4", "missing.mp4", "1"},
        {"--src a.mp4 --dst b.mp4 -o new.xyz", "new.xyz", "2"},
        {"--src a.mp4 --dst b.mp4 -o nowhere/new.mp4", "nowhere/new.mp4", "1"},
        {"--src a.mp4 --dst b.mp4 -o b.mp4", "is one of the inputs", "2"},
        {"--src a.mp4 --dst b.mp4 -o new.mp4 --codec nonsense", "nonsense", "2"},
        {"--src a.mp4 --dst b.mp4 -o new.mp4 --resolution 65", "multiple of 16", "2"},
    };
    char before[8000];
    snprintf(before, sizeof before, "%s", names_in("."));
    for (size_t i = 0; i < LK_COUNT(cases); i++) {
        expect(likeness("swap %s", cases[i][0]), atoi(cases[i][2]), cases[i][1]);
        expect_one_sentence();
        assert_string_equal(names_in("."), before);
    }
}

/* Found out on the way: one sentence, and no video. */
static void fails_on_the_way(void **state) {
    (void)state;
    make_clips();
    assert_int_equal(shell("ffmpeg -v error -f lavfi -i testsrc=s=320x240:d=0.4 noface.mp4; echo film > text.mp4; "
                           "ffmpeg -v error -f lavfi -i sine=d=1 sound.m4a"),
                     0);
    expect(likeness("swap --src a.mp4 --dst text.mp4 -o f.mp4"), 1, "text.mp4 is not a video");
    expect(likeness("swap --src sound.m4a --dst b.mp4 -o f.mp4"), 1, "sound.m4a");
    expect(likeness("swap --src a.mp4 --dst noface.mp4 -o f.mp4"), 1, "noface.mp4: no face was found in 10 frames");
    expect_one_sentence();
    expect(likeness("extract b.mp4 -o f.faces"), 0, "10 faces");
    expect(likeness_with("ulimit -f 16; exec", "merge out.work/model b.mp4 -o f.mp4 --faces f.faces"), 1, "f.mp4");
    expect_one_sentence();
    expect(likeness("merge nothing b.mp4 -o f.mp4 --faces f.faces"), 1, "nothing");
    expect(likeness("merge out.work/model a.mp4 -o f.mp4 --faces f.faces"), 2, "a.mp4");
    assert_int_equal(shell("cp -r out.work/model damaged && for f in damaged/weights.*; do printf xxxx | "
                           "dd of=$f bs=1 seek=9000 conv=notrunc status=none; done"),
                     0);
    expect(likeness("merge damaged b.mp4 -o f.mp4 --faces f.faces"), 1, "damaged");
    expect_one_sentence();
    expect(shell("ls -a | grep -c 'f.mp4'"), 1, "0");
}

/* The one who is seen most is learned. */
static void one_person_of_several(void **state) {
    (void)state;
    make_clips();
    assert_int_equal(shell("ffmpeg -v error -i dst.mp4 -frames:v 4 -an c.mp4"), 0);
    expect(likeness("swap --src a.mp4 c.mp4 --dst b.mp4 -o two.mp4 " SMALL "--iterations 1 --max 5"), 0,
           "4 faces of other people are left out");
    expect(likeness("set info two.work/src.faces"), 0, "4 removed");
}

/* ---- Stopped ------------------------------------------------------------------------------------------------ */

static void stop_at(const char *file, const char *words, int signal, int wanted) {
    int status = stopped_at(file, words, signal);
    if (status != wanted) fail_msg("status %d instead of %d, said: %s", status, wanted, said);
}

/* Training, which has no end, stopped when it has said what it will do. */
static void stop_training(int signal) {
    pid_t child = start("train m", NULL);
    bool said_so = until(child, "grep GFLOP .said");
    kill(child, signal);
    int status = wait_for(child);
    if (!said_so || status != 130) fail_msg("said so %d, status %d, said: %s", said_so, status, said);
}

static void interrupted(void **state) {
    (void)state;
    make_clips();
    stop_at("long.faces", "extract a.mp4 -o long.faces", SIGINT, 130);
    assert_null(strstr(names_in("."), "long.faces"));

    stop_at("m/preview/preview.png", "train m --src out.work/src.faces --dst out.work/dst.faces " SMALL, SIGINT, 130);
    assert_non_null(strstr(said, "stopped and saved at iteration"));
    stop_training(SIGTERM);
    stop_training(SIGHUP);
    expect(likeness("train m --iterations 1"), 0, "m: iterations");

    const char *merge = "merge out.work/model b.mp4 -o m.mp4 --faces all.faces --preset placebo";
    expect(likeness("extract b.mp4 -o all.faces"), 0, "10 faces");
    stop_at(".m.mp4.tmp.*", merge, SIGINT, 130);
    assert_null(strstr(names_in("."), "m.mp4"));
    expect(likeness("%s", merge), 0, "m.mp4: 10 frames, 10 with a new face");
}

/* The first preview says that training has begun; no other comes unasked before a save. */
static void preview_on_demand(void **state) {
    (void)state;
    make_clips();
    pid_t child = start("train p --src out.work/src.faces --dst out.work/dst.faces " SMALL, NULL);
    bool began = until(child, "rm p/preview/preview.png");
    if (began) kill(child, SIGUSR1);
    bool came = began && until(child, "test -f p/preview/preview.png");
    kill(child, SIGINT);
    int status = wait_for(child);
    if (!came || status != 130) fail_msg("began %d, preview %d, status %d, said: %s", began, came, status, said);
}

/* Killed in each of its steps; the same command then does the rest. */
static void killed(void **state) {
    (void)state;
    make_clips();
    const char *words = "swap --src a.mp4 --dst b.mp4 -o k.mp4 " SMALL "--iterations 4 --save-every-iterations 1";
    static const char *const files[] = {"k.work/src.faces", "k.work/dst.faces", "k.work/model/history.csv",
                                        "k.work/model/model.json", ".k.mp4.tmp.*"};
    for (size_t i = 0; i < LK_COUNT(files); i++) {
        stop_at(files[i], words, SIGKILL, -SIGKILL);
        assert_int_equal(shell("test ! -f k.mp4"), 0);
    }
    expect(likeness("%s", words), 0, "k.mp4 (10 frames, 10 with the new face)");
    expect(shell("ls -a . k.work k.work/model | grep -c tmp"), 1, "0");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_job),
        cmocka_unit_test(goes_on),
        cmocka_unit_test(refuses_before_it_begins),
        cmocka_unit_test(fails_on_the_way),
        cmocka_unit_test(one_person_of_several),
        cmocka_unit_test(interrupted),
        cmocka_unit_test(preview_on_demand),
        cmocka_unit_test(killed),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
