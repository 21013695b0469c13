#include <stdlib.h>

#include "set.h"

/* ---- export -------------------------------------------------------------------------------------------------- */

typedef struct export_values {
    char *where, *output;
} export_values;

static const lk_option export_table[] = {
    {"output", 'o', LK_OPT_STRING, offsetof(export_values, output), NULL, 0, 0, NULL, "FILE.json", "where to"},
    {"where", 0, LK_OPT_STRING, offsetof(export_values, where), "id > 0", 0, 0, NULL, "CONDITION",
     "only faces for which this holds ('likeness help set select')"},
    {0},
};

static const cli_group export_groups[] = {{"What goes out", export_table, 0}, {0}};

static bool run_export(cli_call *call, lk_error *err) {
    const export_values *v = call->values;
    if (!cli_need(call, v->output, "-o FILE.json", err)) return false;
    lk_faceset *set = lk_faceset_open(call->words.items[0], false, err);
    int64_t *ids = NULL, count = set ? lk_faceset_select(set, v->where, false, &ids, err) : -1;
    bool ok = count >= 0 && lk_landmarks_export(set, ids, count, v->output, err);
    free(ids);
    lk_faceset_close(set);
    if (!ok) return false;
    cli_say(call, "the landmarks of %lld faces are in %s\n", (long long)count, v->output);
    return cli_result(call, "faces", json_integer(count), err) &&
           cli_result(call, "output", json_string(v->output), err);
}

static const cli_command export_command = {
    .name = "export",
    .purpose = "the 68 points of faces as JSON, for correction by hand",
    .usage = "SET.faces -o FILE.json [options]",
    .examples = "  likeness set landmarks export ben.faces -o points.json --where 'frame >= 120 and frame <= 130'",
    .next = "  likeness set landmarks import SET.faces FILE.json",
    .least_words = 1,
    .most_words = 1,
    .groups = export_groups,
    .size = sizeof(export_values),
    .run = run_export,
};

/* ---- import -------------------------------------------------------------------------------------------------- */

static bool run_import(cli_call *call, lk_error *err) {
    lk_faceset *set = lk_faceset_open(call->words.items[0], true, err);
    int64_t count = set ? lk_landmarks_import(set, call->words.items[1], err) : -1;
    lk_faceset_close(set);
    if (count < 0) return false;
    cli_say(call, "%lld faces have new landmarks\n", (long long)count);
    return cli_result(call, "changed", json_integer(count), err);
}

static const cli_command import_command = {
    .name = "import",
    .purpose = "take in corrected points; crops and figures are made anew",
    .usage = "SET.faces FILE.json",
    .about =
        "The file is one that 'export' wrote, with some of its numbers changed. Crops are cut from the source, which\n"
        "must still be where it was; imported faces keep theirs.",
    .examples = "  likeness set landmarks import ben.faces points.json",
    .least_words = 2,
    .most_words = 2,
    .run = run_import,
};

/* ---- over frames --------------------------------------------------------------------------------------------- */

typedef struct frames_values {
    char *frames;
    int source, longest;
    bool undo;
} frames_values;

#define AT(field) offsetof(frames_values, field)
#define FRAMES(initial)                                                                                                \
    { "frames", 0, LK_OPT_STRING, AT(frames), initial, 0, 0, NULL, "FRAMES", "which: 120-130,150,200-" }
#define SOURCE                                                                                                         \
    {                                                                                                                  \
        "source", 0, LK_OPT_INT, AT(source), "1", 1, 1000000, NULL, "NUMBER",                                          \
            "of which video or folder ('likeness set list' shows it)"                                                  \
    }

static const lk_option gaps_table[] = {
    FRAMES("0-"),
    SOURCE,
    {"longest", 0, LK_OPT_INT, AT(longest), "10", 1, 1000, NULL, "FRAMES", "leave longer gaps alone"},
    {0},
};
static const lk_option redo_table[] = {FRAMES(NULL), SOURCE, {0}};
static const lk_option absent_table[] = {
    FRAMES(NULL),
    SOURCE,
    {"undo", 0, LK_OPT_FLAG, AT(undo), "no", 0, 0, NULL, NULL, "there may be a face after all"},
    {0},
};

static const cli_group gaps_groups[] = {{"Which gaps", gaps_table, 0}, {0}};
static const cli_group redo_groups[] = {{"Which frames", redo_table, 0}, {0}};
static const cli_group absent_groups[] = {{"Which frames", absent_table, 0}, {0}};

static int64_t gaps(lk_faceset *set, const frames_values *v, const lk_faceset_frames *r, int count, lk_error *err) {
    return lk_landmarks_interpolate(set, v->source, r, count, v->longest, err);
}
static int64_t redo(lk_faceset *set, const frames_values *v, const lk_faceset_frames *r, int count, lk_error *err) {
    return lk_faceset_redo(set, v->source, r, count, err);
}
static int64_t absent(lk_faceset *set, const frames_values *v, const lk_faceset_frames *r, int count, lk_error *err) {
    return lk_faceset_mark_absent(set, v->source, r, count, !v->undo, err);
}

static bool run_frames(cli_call *call, const char *said,
                       int64_t (*act)(lk_faceset *, const frames_values *, const lk_faceset_frames *, int, lk_error *),
                       lk_error *err) {
    const frames_values *v = call->values;
    if (!cli_need(call, v->frames, "--frames FRAMES", err)) return false;
    lk_faceset_frames *ranges;
    int count = lk_faceset_frames_parse(v->frames, &ranges, err);
    if (count < 0) return false;
    lk_faceset *set = lk_faceset_open(call->words.items[0], true, err);
    int64_t faces = set ? act(set, v, ranges, count, err) : -1;
    lk_faceset_close(set);
    free(ranges);
    if (faces < 0) return false;
    cli_say(call, "%lld %s\n", (long long)faces, said);
    return cli_result(call, "faces", json_integer(faces), err);
}

static bool run_gaps(cli_call *call, lk_error *err) { return run_frames(call, "faces were filled in", gaps, err); }
static bool run_redo(cli_call *call, lk_error *err) { return run_frames(call, "faces were found", redo, err); }
static bool run_absent(cli_call *call, lk_error *err) { return run_frames(call, "faces were taken out", absent, err); }

static const cli_command gaps_command = {
    .name = "fill",
    .purpose = "fill gaps in tracks from the faces before and after",
    .usage = "SET.faces [options]",
    .examples = "  likeness set landmarks fill ben.faces\n"
                "  likeness set landmarks fill ben.faces --frames 120-130 --longest 20",
    .least_words = 1,
    .most_words = 1,
    .groups = gaps_groups,
    .size = sizeof(frames_values),
    .run = run_gaps,
};

static const cli_command redo_command = {
    .name = "redo",
    .purpose = "look at frames again, more closely: in tiles, for small, turned and faint faces",
    .usage = "SET.faces --frames FRAMES [options]",
    .examples = "  likeness set landmarks redo ben.faces --frames 120-130,150",
    .least_words = 1,
    .most_words = 1,
    .groups = redo_groups,
    .size = sizeof(frames_values),
    .run = run_redo,
};

static const cli_command absent_command = {
    .name = "absent",
    .purpose = "mark frames as having no face; they stay so",
    .usage = "SET.faces --frames FRAMES [options]",
    .examples = "  likeness set landmarks absent ben.faces --frames 300-320\n"
                "  likeness set landmarks absent ben.faces --frames 310 --undo",
    .least_words = 1,
    .most_words = 1,
    .groups = absent_groups,
    .size = sizeof(frames_values),
    .run = run_absent,
};

static const cli_command *const subcommands[] = {
    &export_command, &import_command, &redo_command, &gaps_command, &absent_command, NULL,
};

const cli_command cli_set_landmarks = {
    .name = "landmarks",
    .purpose = "repair landmarks: by hand, by looking again, from the frames beside",
    .usage = "COMMAND SET.faces [options]",
    .subcommands = subcommands,
};
