#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "likeness/masks.h"
#include "set.h"

typedef struct values {
    char *output, *where;
    int kind, device;
} values;

#define AT(field) offsetof(values, field)
#define WHERE                                                                                                          \
    {                                                                                                                  \
        "where", 0, LK_OPT_STRING, AT(where), "id > 0", 0, 0, NULL, "CONDITION",                                       \
            "only faces for which this holds ('likeness help set select')"                                             \
    }

/* The set, opened, and the faces that are meant. */
static int64_t open_set(cli_call *call, bool writable, lk_faceset **set, int64_t **ids, lk_error *err) {
    const values *v = call->values;
    *ids = NULL;
    *set = lk_faceset_open(call->words.items[0], writable, err);
    return *set ? lk_faceset_select(*set, v->where, false, ids, err) : -1;
}

static bool tell(cli_call *call, int64_t count, const char *said, lk_error *err) {
    if (count < 0) return false;
    cli_say(call, "%lld %s\n", (long long)count, said);
    return cli_result(call, "faces", json_integer(count), err);
}

static bool is_json(const char *path) {
    size_t n = strlen(path);
    return n > 5 && strcasecmp(path + n - 5, ".json") == 0;
}

/* ---- import and export --------------------------------------------------------------------------------------- */

static bool run_import(cli_call *call, lk_error *err) {
    const char *from = call->words.items[1];
    lk_faceset *set = lk_faceset_open(call->words.items[0], true, err);
    int64_t count = -1;
    if (set) count = is_json(from) ? lk_polygons_import(set, from, err) : lk_masks_import(set, from, err);
    lk_faceset_close(set);
    return tell(call, count, is_json(from) ? "faces have polygons from the file" : "faces have a painted mask", err);
}

static const cli_command import_command = {
    .name = "import",
    .purpose = "take in polygons (FILE.json) or painted masks (a folder of PNGs)",
    .usage = "SET.faces FILE.json|FOLDER",
    .about = "Pictures are named as the faces are by 'likeness set export' (00012_0.png for 00012_0.jpg), white where\n"
             "the face shows. docs/masks.md has the form of the JSON.",
    .examples = "  likeness set mask import ben.faces polygons.json\n"
                "  likeness set mask import ben.faces painted",
    .next = "  likeness set sheet SET.faces -o SHEET.png --masks",
    .least_words = 2,
    .most_words = 2,
    .run = run_import,
};

static const lk_option export_table[] = {
    {"output", 'o', LK_OPT_STRING, AT(output), NULL, 0, 0, NULL, "FILE.json|FOLDER",
     "polygons into a file, or the masks that hold into a folder of PNGs"},
    WHERE,
    {0},
};
static const cli_group export_groups[] = {{"What goes out", export_table, 0}, {0}};

static bool run_export(cli_call *call, lk_error *err) {
    const values *v = call->values;
    lk_faceset *set;
    int64_t *ids, count, written = -1;
    if (!cli_need(call, v->output, "-o FILE.json or -o FOLDER", err)) return false;
    count = open_set(call, false, &set, &ids, err);
    if (count >= 0)
        written = is_json(v->output) ? lk_polygons_export(set, ids, count, v->output, err)
                                     : lk_masks_export(set, ids, count, v->output, err);
    free(ids);
    lk_faceset_close(set);
    return tell(call, written, is_json(v->output) ? "faces have polygons, which are in the file" : "masks written",
                err);
}

static const cli_command export_command = {
    .name = "export",
    .purpose = "polygons as JSON, or masks as PNGs to paint on",
    .usage = "SET.faces -o FILE.json|FOLDER [options]",
    .examples = "  likeness set mask export ben.faces -o polygons.json\n"
                "  likeness set mask export ben.faces -o masks --where 'frame >= 120 and frame <= 130'",
    .next = "  likeness set mask import SET.faces FILE.json|FOLDER",
    .least_words = 1,
    .most_words = 1,
    .groups = export_groups,
    .size = sizeof(values),
    .run = run_export,
};

/* ---- segment and clear ---------------------------------------------------------------------------------------- */

static const lk_option segment_table[] = {
    WHERE,
    {"device", 0, LK_OPT_ENUM, AT(device), "cpu", 0, 0, lk_nn_wish_names, "DEVICE",
     "where the network computes; auto is a GPU if any"},
    {0},
};
static const cli_group segment_groups[] = {{"Which faces", segment_table, 0}, {0}};

static bool run_segment(cli_call *call, lk_error *err) {
    lk_faceset *set;
    int64_t *ids, count = open_set(call, true, &set, &ids, err);
    if (count >= 0) count = lk_faceset_segment(set, ids, count, ((const values *)call->values)->device, err);
    free(ids);
    lk_faceset_close(set);
    return tell(call, count, "faces have a segmented mask", err);
}

static const cli_command segment_command = {
    .name = "segment",
    .purpose = "mask what selfie_segmentation does not take for a person",
    .usage = "SET.faces [options]",
    .about = "It cuts out microphones, cups and what stands before a face, not hands: those are of a person too. For\n"
             "hands: likeness mask train.",
    .examples = "  likeness set mask segment ben.faces",
    .next = "  likeness set sheet SET.faces -o SHEET.png --masks",
    .least_words = 1,
    .most_words = 1,
    .groups = segment_groups,
    .size = sizeof(values),
    .run = run_segment,
};

static const char *const kinds[] = {"all", "polygons", "painted", "segmented", "trained", NULL};
static const lk_option clear_table[] = {
    {"kind", 0, LK_OPT_ENUM, AT(kind), "all", 0, 0, kinds, "KIND", "which masks go"},
    WHERE,
    {0},
};
static const cli_group clear_groups[] = {{"Which masks", clear_table, 0}, {0}};

static bool run_clear(cli_call *call, lk_error *err) {
    const values *v = call->values;
    lk_faceset *set;
    int64_t *ids, count = open_set(call, true, &set, &ids, err);
    if (count >= 0)
        count = lk_faceset_clear_masks(set, ids, count, v->kind ? LK_MASK_BIT(v->kind - 1) : LK_MASKS_ALL, err);
    free(ids);
    lk_faceset_close(set);
    return tell(call, count, "faces lost masks", err);
}

static const cli_command clear_command = {
    .name = "clear",
    .purpose = "forget masks",
    .usage = "SET.faces [options]",
    .examples = "  likeness set mask clear ben.faces --kind trained\n"
                "  likeness set mask clear ben.faces --where 'frame = 120'",
    .least_words = 1,
    .most_words = 1,
    .groups = clear_groups,
    .size = sizeof(values),
    .run = run_clear,
};

static const cli_command *const subcommands[] = {
    &import_command, &export_command, &segment_command, &clear_command, NULL,
};

const cli_command cli_set_mask = {
    .name = "mask",
    .purpose = "which part of each face shows: drawn, painted, segmented",
    .usage = "COMMAND SET.faces [options]",
    .subcommands = subcommands,
};
