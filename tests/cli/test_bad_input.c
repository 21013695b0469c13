/* Everything that can be wrong with what a person gives: one clear sentence, the right exit status, nothing half
 * written, nothing lost. */
#include "program.h"

static void refused(const char *words, const char *said_so) {
    expect(likeness("%s", words), 1, said_so);
    expect_one_sentence();
}

/* Every long command's input, at once: nothing is left in the folder. */
static void inputs(void **state) {
    (void)state;
    need_clips();
    assert_int_equal(
        shell("mkdir in; cd in; echo 'no film' > text.mp4; head -c 300000 ../dst.mp4 > cut.mp4; : > empty.mp4;"
              "f='ffmpeg -v error -f lavfi'; "
              "$f -i sine=d=1 sound.m4a && $f -i testsrc=s=320x240:d=0.4 noface.mp4 && "
              "$f -i testsrc=s=64x64 -frames 1 frame.mp4 && "
              "$f -i color=red:s=2x2 -vf scale=1:1 -frames 3 -c:v libx264 -pix_fmt yuv444p tiny.mp4 && "
              "ffmpeg -v error -i ../dst.mp4 -frames 40 -c:v libx264 whole.mkv && "
              "head -c 20000 whole.mkv > broken.mkv"),
        0);
    static const char *const cases[][2] = {
        {"missing.mp4", "missing.mp4"},
        {"in/text.mp4", "text.mp4 is not a video"},
        {"in/cut.mp4", "cut.mp4"},
        {"in/empty.mp4", "empty.mp4"},
        {"in/broken.mkv", "broken.mkv"},
        {"in/sound.m4a", "sound.m4a"},
        {"in/noface.mp4", "noface.mp4: no face was found in 10 frames"},
        {"in/frame.mp4", "no face was found in 1 frame;"},
        {"in/tiny.mp4", "no face was found in 3 frames"},
    };
    for (size_t i = 0; i < LK_COUNT(cases); i++) {
        char words[200];
        snprintf(words, sizeof words, "extract %s -o new.faces", cases[i][0]);
        refused(words, cases[i][1]);
    }
    assert_string_equal(names_in("."), "dst.mp4 in src.mp4 src2.mp4 ");
}

static void facesets(void **state) {
    (void)state;
    need_clips();
    expect(likeness("extract dst.mp4 -o good.faces --max 20"), 0, "20 faces");
    assert_int_equal(shell("head -c 300000 good.faces > half.faces; echo text > text.faces; cp good.faces newer.faces; "
                           "printf '\\000\\000\\000\\011' | dd of=newer.faces bs=1 seek=60 conv=notrunc status=none; "
                           "cp good.faces before.faces"),
                     0);
    static const char *const cases[][2] = {
        {"half.faces", "half.faces is cut off"},
        {"text.faces", "text.faces is not a .faces file"},
        {"newer.faces", "newer"},
        {"missing.faces", "missing.faces"},
    };
    for (size_t i = 0; i < LK_COUNT(cases); i++) {
        char words[200];
        snprintf(words, sizeof words, "set info %s", cases[i][0]);
        refused(words, cases[i][1]);
        snprintf(words, sizeof words, "set sheet %s -o sheet.png", cases[i][0]);
        refused(words, cases[i][1]);
        if (i == 3) continue; /* extract makes it */
        snprintf(words, sizeof words, "extract dst.mp4 -o %s", cases[i][0]);
        refused(words, cases[i][1]);
    }
    refused("extract missing.mp4 -o good.faces", "missing.mp4");
    refused("set sheet good.faces -o nowhere/sheet.png", "nowhere/sheet.png");
    refused("extract src.mp4 -o nowhere/new.faces", "nowhere");
    expect(shell("for s in good before; do sqlite3 $s.faces .dump | sha256sum; done | uniq | wc -l"), 0, "1\n");
    expect(likeness("extract dst.mp4 -o good.faces --max 20"), 0, "already");
    expect(likeness("set sheet good.faces -o sheet.png --columns 5 --rows 2"), 0, "sheet.png");
    expect(shell("ffprobe -v error -show_entries stream=width,height -of csv=p=0 sheet.png"), 0, "1288,514");
    assert_string_equal(names_in("."), "before.faces dst.mp4 good.faces half.faces in newer.faces sheet.png src.mp4 "
                                       "src2.mp4 text.faces ");
}

static void networks(void **state) {
    (void)state;
    need_clips();
    expect(likeness_with("LIKENESS_MODELS=none", "extract dst.mp4 -o new.faces"), 1, "likeness models install");
    assert_int_equal(shell("cp -r \"$(\"%s\" models list | sed -n 's/^in //p')\" nets && chmod -R u+w nets && "
                           "printf x | dd of=nets/face_landmark_with_attention.tflite bs=1 seek=5000 conv=notrunc "
                           "status=none",
                           LK_PROGRAM),
                     0);
    expect(likeness_with("LIKENESS_MODELS=nets", "extract dst.mp4 -o new.faces"), 1,
           "is damaged; run: likeness models");
    expect_one_sentence();
    expect(likeness_with("LIKENESS_MODELS=nets", "models verify"), 1, "DAMAGED");
    assert_false(strstr(names_in("."), "new.faces"));
}

/* A full disk, by a limit on the size of files. */
static void full_disk(void **state) {
    (void)state;
    need_clips();
    expect(likeness_with("ulimit -f 256; exec", "extract dst.mp4 -o full.faces --max 200"), 1, "full.faces");
    expect_one_sentence();
    assert_null(strstr(names_in("."), "full.faces"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inputs),
        cmocka_unit_test(facesets),
        cmocka_unit_test(networks),
        cmocka_unit_test(full_disk),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
