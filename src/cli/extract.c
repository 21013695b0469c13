#include "cli.h"
#include <stdlib.h>
#include <string.h>

#include "likeness/curate.h"

typedef struct values {
    char *output, *redo;
    lk_extract_options extract;
} values;

static const lk_option own[] = {
    {"output", 'o', LK_OPT_STRING, offsetof(values, output), NULL, 0, 0, NULL, "SET.faces",
     "the faceset; one that exists is added to"},
    {"redo", 0, LK_OPT_STRING, offsetof(values, redo), NULL, 0, 0, NULL, "FRAMES",
     "of inputs that are in the set, look at these frames again, more closely: 120-130,150,200-"},
    {0},
};

static const cli_group groups[] = {
    {"Where to", own, 0},
    {"Which faces, and how they are cut", lk_extract_option_table, offsetof(values, extract)},
    {0},
};

/* The row of an input in the set, wherever the file lies now. */
static bool source_of(lk_faceset *set, const char *input, int64_t *id, lk_error *err) {
    char fingerprint[65];
    lk_source *sources;
    if (!lk_source_fingerprint(input, fingerprint, err)) return false;
    int count = lk_faceset_sources(set, &sources, err);
    *id = 0;
    for (int i = 0; i < count; i++)
        if (strcmp(sources[i].fingerprint, fingerprint) == 0) *id = sources[i].id;
    free(sources);
    return *id || (count >= 0 && lk_fail(err, LK_ERR_NOT_FOUND, "%s is not in the set yet; extract it first", input));
}

static bool redo(cli_call *call, const values *v, lk_error *err) {
    lk_faceset_frames *ranges;
    int count = lk_faceset_frames_parse(v->redo, &ranges, err);
    lk_faceset *set = count >= 0 ? lk_faceset_open(v->output, true, err) : NULL;
    bool ok = set != NULL;
    int64_t all = 0;
    for (int i = 0; ok && i < call->words.count; i++) {
        int64_t id, faces = -1;
        if (source_of(set, call->words.items[i], &id, err)) faces = lk_faceset_redo(set, id, ranges, count, err);
        ok = faces >= 0;
        all += faces;
    }
    lk_faceset_close(set);
    if (count >= 0) free(ranges);
    if (!ok) return false;
    cli_say(call, "%lld faces were found in frames %s\n", (long long)all, v->redo);
    return cli_result(call, "faces", json_integer(all), err);
}

static bool run(cli_call *call, lk_error *err) {
    values *v = call->values;
    if (!cli_need(call, v->output, "-o SET.faces", err)) return false;
    if (v->redo) return redo(call, v, err);
    lk_extract_report r;
    if (!lk_extract((const char *const *)call->words.items, call->words.count, v->output, &v->extract, &r, err))
        return false;
    call->result = json_pack("{s:s, s:I, s:I, s:I, s:I, s:f}", "output", v->output, "frames", (json_int_t)r.frames,
                             "faces", (json_int_t)r.faces, "frames_without_face", (json_int_t)r.without_face,
                             "frames_with_several", (json_int_t)r.several, "seconds", r.seconds);
    if (!call->result) return lk_fail(err, LK_ERR_MEMORY, "out of memory");
    cli_say(call,
            "%s: %lld faces from %lld frames in %.1f s (%.0f frames/s); without a face: %lld; with several: %lld\n",
            v->output, (long long)r.faces, (long long)r.frames, r.seconds,
            r.seconds > 0 ? (double)r.frames / r.seconds : 0, (long long)r.without_face, (long long)r.several);
    cli_say(call, "look at them: likeness set sheet %s -o SHEET.png\n", v->output);
    return true;
}

const cli_command cli_extract = {
    .name = "extract",
    .purpose = "find the faces in videos and pictures, and keep them in a .faces file",
    .usage = "INPUT… -o SET.faces [options]",
    .about = "An INPUT is a video, a picture, or a folder of pictures. What is in the set already is skipped, so the\n"
             "same command goes on after an interruption.",
    .examples = "  likeness extract anna.mp4 -o anna.faces\n"
                "  likeness extract clip1.mp4 clip2.mp4 stills/ -o anna.faces --every 3\n"
                "  likeness extract crowd.mp4 -o crowd.faces --min-face 20 --tiles --max-faces 16",
    .next = "  likeness set sheet SET.faces -o SHEET.png     look at the faces\n"
            "  likeness train MODEL_DIR --src A.faces --dst B.faces",
    .least_words = 1,
    .most_words = 100000,
    .groups = groups,
    .size = sizeof(values),
    .run = run,
};
