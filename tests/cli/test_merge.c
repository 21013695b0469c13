/* Merging as a process: killed at any moment and started again, and onto a disk that is full. What comes out is compared
 * with what one run makes, by ffmpeg. */
#include "program.h"

#define MERGE "merge m b.mp4 --faces b.faces --part 6 --crf 2 "

/* b.mp4: 36 frames with a tone; b.faces; a model m that has hardly learned; once.mp4 and once: made in one run. */
static void make_all(void) {
    need_clips();
    assert_int_equal(
        shell("test -d once || { "
              "ffmpeg -v error -i dst.mp4 -f lavfi -i sine=440:d=4 -map 0:v -map 1:a -frames:v 36 -t 1.44 "
              "-crf 10 b.mp4 && '%s' extract b.mp4 -o b.faces && "
              "'%s' train m --src b.faces --dst b.faces --model quick --ae-dims 32 --ed-ch-dims 21 --batch 2 "
              "--iterations 2 && '%s' " MERGE "--preset placebo -o once.mp4 && '%s' " MERGE "--folder -o once; }",
              LK_PROGRAM, LK_PROGRAM, LK_PROGRAM, LK_PROGRAM),
        0);
}

/* The streams as they are, and every decoded frame. */
static void same_video(const char *path) {
    assert_int_equal(shell("for f in once.mp4 %s; do { ffmpeg -v error -i $f -map 0 -c copy -f streamhash - && "
                           "ffmpeg -v error -i $f -map 0:v -f framemd5 -; } >.sum.$(basename $f); done; "
                           "cmp .sum.once.mp4 .sum.$(basename %s)",
                           path, path),
                     0);
}

static void kill_at(const char *file, const char *words) {
    int status = stopped_at(file, words, SIGKILL);
    if (status != -SIGKILL) fail_msg("'%s': status %d, said: %s", file, status, said);
}

static void killed(void **state) {
    (void)state;
    make_all();
    const char *words = MERGE "--preset placebo -o k.mp4";
    static const char *const files[] = {"k.mp4.parts/job.jsonl", "k.mp4.parts/000000.part", "k.mp4.parts/000003.part",
                                        "k.mp4.parts/.*.part.tmp.*"};
    for (size_t i = 0; i < LK_COUNT(files); i++) {
        kill_at(files[i], words);
        assert_int_equal(shell("test ! -e k.mp4"), 0);
    }
    expect(likeness("%s", words), 0, "of the frames were kept from an earlier run");
    same_video("k.mp4");
    expect(shell("ls -a | grep -c 'k.mp4.'"), 1, "0");
}

static void folder_killed(void **state) {
    (void)state;
    make_all();
    const char *words = MERGE "--folder -o pics";
    static const char *const files[] = {"pics.parts/pictures/000002.png", "pics.parts/pictures/000011.png"};
    for (size_t i = 0; i < LK_COUNT(files); i++) {
        kill_at(files[i], words);
        assert_int_equal(shell("test ! -e pics"), 0);
    }
    expect(likeness("%s", words), 0, "kept from an earlier run");
    expect(shell("diff -r once pics && ls -a | grep -c 'pics[.]'"), 1, "0");
}

/* A file system of 160 kB: no video, one sentence, and the parts that were whole; with more room the rest. */
static void disk_full(void **state) {
    (void)state;
    make_all();
    if (system("unshare -rm sh -c 'mount -t tmpfs -o size=100k tmpfs /mnt' >/dev/null 2>&1") != 0) {
        print_message("no file system of one's own can be mounted here\n");
        skip();
    }
    assert_int_equal(shell("mkdir d && unshare -rm sh -c 'mount -t tmpfs -o size=160k tmpfs d && "
                           "{ \"$0\" " MERGE "--preset placebo -o d/f.mp4; echo status $?; ls -a d; } 2>&1; "
                           "mount -o remount,size=30m d && \"$0\" " MERGE
                           "--preset placebo -o d/f.mp4 && cp d/f.mp4 full.mp4' '%s'",
                           LK_PROGRAM),
                     0);
    if (!strstr(said, "status 1") || !strstr(said, "No space left on device")) fail_msg("said: %s", said);
    if (!strstr(said, ".\n..\nf.mp4.parts\n")) fail_msg("left more or less than the parts: %s", said);
    assert_non_null(strstr(said, "kept from an earlier run"));
    same_video("full.mp4");
}

/* Two men side by side: the face that goes is that of the man in the other clip. */
static void who_is_like(void **state) {
    (void)state;
    make_all();
    assert_int_equal(
        shell("ffmpeg -v error -i dst.mp4 -i src.mp4 -lavfi '[1:v]scale=-2:288[b];[0:v][b]hstack' -frames:v 10 "
              "-an -crf 10 two.mp4 && ffmpeg -v error -ss 10 -i src.mp4 -frames:v 10 -an -crf 10 one.mp4 && "
              "'%s' extract two.mp4 -o two.faces && '%s' extract one.mp4 -o one.faces && "
              "'%s' extract b.mp4 -o other.faces --max 10",
              LK_PROGRAM, LK_PROGRAM, LK_PROGRAM),
        0);
    for (int k = 0; k < 2; k++) {
        expect(likeness("merge m two.mp4 -o who.mp4 --faces two.faces --color none --crf 2 --who like:%s.faces",
                        k ? "other" : "one"),
               0, "10 with a new face");
        assert_int_equal(
            shell("for x in 0 360; do ffmpeg -v error -i two.mp4 -i who.mp4 -lavfi "
                  "\"[0:v]crop=360:288:$x:0[a];[1:v]crop=360:288:$x:0[b];[a][b]psnr=stats_file=.psnr\" -f null - "
                  "&& sed -n '5s/.*psnr_y:\\([0-9]*\\).*/\\1/p' .psnr; done"),
            0);
        int left = 0, right = 0;
        assert_int_equal(sscanf(printed, "%d %d", &left, &right), 2);
        if (k ? !(left < 36 && right > 42) : !(left > 42 && right < 36))
            fail_msg("PSNR of the man on the left %d dB, on the right %d dB", left, right);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed), cmocka_unit_test(folder_killed),
                                       cmocka_unit_test(disk_full), cmocka_unit_test(who_is_like)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
