#include "likeness/merge.h"
#include "cli.h"

#define PAIRS 12

typedef struct values {
    char *output, *faces, *sheet;
    int preview;
    bool measure;
    lk_merge_options merge;
} values;

static const lk_option own[] = {
    {"output", 'o', LK_OPT_STRING, offsetof(values, output), NULL, 0, 0, NULL, "OUT", "the video that is made"},
    {"faces", 0, LK_OPT_STRING, offsetof(values, faces), NULL, 0, 0, NULL, "B.faces",
     "the faces of INPUT, as likeness extract found them"},
    {"sheet", 0, LK_OPT_STRING, offsetof(values, sheet), NULL, 0, 0, NULL, "SHEET.png",
     "a picture of frames before and after as well"},
    {"preview", 0, LK_OPT_INT, offsetof(values, preview), "-1", -1, INT32_MAX, NULL, "FRAME",
     "this frame alone, as a picture OUT.png, with the pictures on the way to it"},
    {"measure", 0, LK_OPT_FLAG, offsetof(values, measure), NULL, 0, 0, NULL, NULL,
     "compare border and flicker of the face with the original's afterwards"},
    {0},
};

static const cli_group groups[] = {
    {"Files", own, 0},
    {"How the face goes into the frame", lk_merge_option_table, offsetof(values, merge)},
    {0},
};

static bool preview(cli_call *call, const values *v, lk_error *err) {
    if (!lk_merge_preview(call->words.items[0], call->words.items[1], v->faces, v->preview, v->output, &v->merge, err))
        return false;
    cli_say(
        call,
        "%s: frame %d before and after; below, of each face: crop, prediction, predicted mask, mask, finished face\n",
        v->output, v->preview);
    return cli_result(call, "output", json_string(v->output), err);
}

/* Where the time went, in seconds summed over threads. */
static json_t *stages_of(const lk_merge_report *r) {
    const lk_merge_stages *s = &r->stages;
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "decode_wait", s->decode, "crop", s->crop, "predict", s->predict,
                     "prepare", s->prepare, "blend", s->blend, "encode_wait", s->encode);
}

static bool measure(cli_call *call, const values *v, lk_error *err) {
    lk_merge_quality q;
    if (!lk_merge_measure(call->words.items[1], v->output, v->faces, v->merge.first, v->merge.max, &q, err))
        return false;
    cli_say(call,
            "border: slope %.2f levels a pixel, the original's %.2f (%+.0f %%); flicker %.2f, the original's %.2f "
            "(%.2f times)\n",
            q.border_after, q.border_before, 100 * (q.border_after / q.border_before - 1), q.flicker_after,
            q.flicker_before, q.flicker_after / q.flicker_before);
    json_t *json =
        json_pack("{s:f, s:f, s:f, s:f, s:I}", "border", q.border_after, "border_original", q.border_before, "flicker",
                  q.flicker_after, "flicker_original", q.flicker_before, "faces", (json_int_t)q.faces);
    return cli_result(call, "quality", json, err);
}

static bool run(cli_call *call, lk_error *err) {
    const values *v = call->values;
    const char *model = call->words.items[0], *input = call->words.items[1];
    if (!cli_need(call, v->output, "-o OUT", err) || !cli_need(call, v->faces, "--faces B.faces", err)) return false;
    if (v->preview >= 0) return preview(call, v, err);
    lk_merge_report r;
    if (!lk_merge(model, input, v->faces, v->output, &v->merge, &r, err)) return false;
    call->result = json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:o}", "output", v->output, "frames", (json_int_t)r.frames,
                             "merged", (json_int_t)r.merged, "untouched", (json_int_t)r.untouched, "kept",
                             (json_int_t)r.kept, "seconds", r.seconds, "stages", stages_of(&r));
    if (!call->result) return lk_fail(err, LK_ERR_MEMORY, "out of memory");
    cli_say(call, "%s: %lld frames, %lld with a new face, in %.1f s (%.0f frames/s)\n", v->output, (long long)r.frames,
            (long long)r.merged, r.seconds, r.seconds > 0 ? (double)(r.merged + r.untouched) / r.seconds : 0);
    if (r.kept > 0) cli_say(call, "%lld of the frames were kept from an earlier run\n", (long long)r.kept);
    if (v->measure && !measure(call, v, err)) return false;
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
                "  likeness merge anna-to-ben ben.mp4 -o frame.png --faces ben.faces --preview 120 --mode seamless\n"
                "  likeness merge anna-to-ben ben.mp4 -o frames --folder --faces ben.faces --erode 5 --blur 20",
    .next = "  Look at the video. A border shows? --erode 5 --blur 20. The face is not like A yet? Train longer.",
    .least_words = 2,
    .most_words = 2,
    .groups = groups,
    .size = sizeof(values),
    .computes = true,
    .run = run,
};
