#include "likeness/merge.h"
#include "cli.h"

#define PAIRS 12

typedef struct values {
    char *output, *faces, *sheet;
    lk_merge_options merge;
} values;

static const lk_option own[] = {
    {"output", 'o', LK_OPT_STRING, offsetof(values, output), NULL, 0, 0, NULL, "OUT", "the video that is made"},
    {"faces", 0, LK_OPT_STRING, offsetof(values, faces), NULL, 0, 0, NULL, "B.faces",
     "the faces of INPUT, as likeness extract found them"},
    {"sheet", 0, LK_OPT_STRING, offsetof(values, sheet), NULL, 0, 0, NULL, "SHEET.png",
     "a picture of frames before and after as well"},
    {0},
};

static const cli_group groups[] = {
    {"Files", own, 0},
    {"How the face goes into the frame", lk_merge_option_table, offsetof(values, merge)},
    {0},
};

static bool run(cli_call *call, lk_error *err) {
    const values *v = call->values;
    const char *model = call->words.items[0], *input = call->words.items[1];
    if (!cli_need(call, v->output, "-o OUT", err) || !cli_need(call, v->faces, "--faces B.faces", err)) return false;
    lk_merge_report r;
    if (!lk_merge(model, input, v->faces, v->output, &v->merge, &r, err)) return false;
    call->result = json_pack("{s:s, s:I, s:I, s:I, s:f}", "output", v->output, "frames", (json_int_t)r.frames, "merged",
                             (json_int_t)r.merged, "untouched", (json_int_t)r.untouched, "seconds", r.seconds);
    if (!call->result) return lk_fail(err, LK_ERR_MEMORY, "out of memory");
    cli_say(call, "%s: %lld frames, %lld with a new face, in %.1f s (%.0f frames/s)\n", v->output, (long long)r.frames,
            (long long)r.merged, r.seconds, r.seconds > 0 ? (double)r.frames / r.seconds : 0);
    if (!v->sheet) return true;
    if (!lk_contact_sheet(input, v->output, v->sheet, PAIRS, v->merge.first, r.frames, err)) return false;
    cli_say(call, "%s: before and after\n", v->sheet);
    return cli_result(call, "sheet", json_string(v->sheet), err);
}

const cli_command cli_merge = {
    .name = "merge",
    .purpose = "put the face that a model has learned into a video",
    .usage = "MODEL_DIR INPUT -o OUT --faces B.faces [options]",
    .about = "Frames without a face leave as they came; sound, subtitles and timing are the input's.",
    .examples = "  likeness merge anna-to-ben ben.mp4 -o out.mp4 --faces ben.faces\n"
                "  likeness merge anna-to-ben ben.mp4 -o try.mp4 --faces ben.faces --max 100 --sheet try.png\n"
                "  likeness merge anna-to-ben ben.mp4 -o frames --folder --faces ben.faces --erode 5 --blur 20",
    .next = "  Look at the video. A border shows? --erode 5 --blur 20. The face is not like A yet? Train longer.",
    .least_words = 2,
    .most_words = 2,
    .groups = groups,
    .size = sizeof(values),
    .run = run,
};
