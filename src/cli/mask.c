#include "cli.h"
#include "likeness/curate.h"
#include "likeness/obstruction.h"

#include <math.h>
#include <stdlib.h>

/* ---- train --------------------------------------------------------------------------------------------------- */

typedef struct train_values {
    lk_strings sets;
    lk_obstruction_options options;
} train_values;

static const lk_option train_own[] = {
    {"set", 's', LK_OPT_LIST, offsetof(train_values, sets), NULL, 0, 0, NULL, "SET.faces",
     "facesets with polygons or painted masks on some of their faces"},
    {0},
};
static const cli_group train_groups[] = {
    {"Faces", train_own, 0},
    {"Training; a network that exists keeps what is not given", lk_obstruction_option_table,
     offsetof(train_values, options)},
    {0},
};

static json_t *share(double v) { return isfinite(v) ? json_real(v) : json_null(); }

static bool run_train(cli_call *call, lk_error *err) {
    const train_values *v = call->values;
    const char *dir = call->words.items[0];
    lk_obstruction_report r;
    if (!cli_need(call, v->sets.count ? v->sets.items[0] : NULL, "--set SET.faces", err) ||
        !lk_obstruction_train(dir, &v->sets, &v->options, call->given[1], &r, err))
        return false;
    const lk_obstruction_quality *q = &r.quality;
    call->result =
        json_pack("{s:s, s:I, s:I, s:f, s:f, s:i, s:i, s:i, s:o, s:o, s:b}", "network", dir, "first",
                  (json_int_t)r.first, "iteration", (json_int_t)r.iteration, "seconds", r.seconds, "loss",
                  (double)r.loss, "faces", r.faces, "held_faces", q->faces, "held_hidden", q->hidden, "iou_visible",
                  share(q->visible), "iou_obstruction", share(q->obstruction), "interrupted", (int)r.interrupted);
    if (!call->result) return lk_fail(err, LK_ERR_MEMORY, "out of memory");
    cli_say(call, "%s: iterations %lld to %lld in %.0f s, from %d faces\n", dir, (long long)r.first,
            (long long)r.iteration, r.seconds, r.faces);
    if (q->faces) cli_say(call, "on %d faces kept aside: IoU of the mask %.3f", q->faces, q->visible);
    if (q->hidden) cli_say(call, ", of what hides %d of them %.3f", q->hidden, q->obstruction);
    if (q->faces) cli_say(call, "\n");
    if (r.interrupted)
        return lk_fail(err, LK_ERR_INTERRUPTED, "stopped and saved at iteration %lld; the same command goes on",
                       (long long)r.iteration);
    cli_say(call, "%s/preview.png shows some; next: likeness mask apply %s SET.faces\n", dir, dir);
    return true;
}

static const cli_command train_command = {
    .name = "train",
    .purpose = "learn from a few faces with masks made by hand what hides a face",
    .usage = "MASK_DIR --set SET.faces [options]",
    .about =
        "Give 20 to 30 frames polygons ('likeness help set mask import'), spread over what happens, some of them of\n"
        "faces that nothing hides. A fifth is kept aside to judge by. A few minutes are enough. Ctrl-C saves; the\n"
        "same command goes on. Too little was learned? Mask more faces, where it fails, and raise --iterations.",
    .examples = "  likeness set mask import ben.faces polygons.json\n"
                "  likeness mask train hands --set ben.faces\n"
                "  likeness mask apply hands ben.faces",
    .next = "  likeness mask apply MASK_DIR SET.faces",
    .least_words = 1,
    .most_words = 1,
    .groups = train_groups,
    .size = sizeof(train_values),
    .computes = true,
    .run = run_train,
};

/* ---- apply --------------------------------------------------------------------------------------------------- */

typedef struct apply_values {
    char *where;
    int device;
} apply_values;

static const lk_option apply_table[] = {
    {"where", 0, LK_OPT_STRING, offsetof(apply_values, where), "id > 0", 0, 0, NULL, "CONDITION",
     "only faces for which this holds ('likeness help set select')"},
    {"device", 0, LK_OPT_ENUM, offsetof(apply_values, device), "cpu", 0, 0, lk_nn_wish_names, "DEVICE",
     "where the network computes; auto is a GPU if any"},
    {0},
};
static const cli_group apply_groups[] = {{"Which faces", apply_table, 0}, {0}};

static bool run_apply(cli_call *call, lk_error *err) {
    const apply_values *v = call->values;
    lk_faceset *set = lk_faceset_open(call->words.items[1], true, err);
    int64_t *ids = NULL, count = set ? lk_faceset_select(set, v->where, false, &ids, err) : -1;
    lk_obstruction_applied a;
    bool ok = count >= 0 && lk_obstruction_apply(call->words.items[0], set, ids, count, v->device, &a, err);
    free(ids);
    lk_faceset_close(set);
    if (!ok) return false;
    cli_say(call, "%lld faces have a trained mask; something hides %lld of them\n", (long long)a.faces,
            (long long)a.hidden);
    return cli_result(call, "faces", json_integer(a.faces), err) &&
           cli_result(call, "hidden", json_integer(a.hidden), err);
}

static const cli_command apply_command = {
    .name = "apply",
    .purpose = "mask the faces of a set with a trained network",
    .usage = "MASK_DIR SET.faces [options]",
    .about = "Masks made by hand stay, and hold where there are any.",
    .examples = "  likeness mask apply hands ben.faces",
    .next = "  likeness set sheet SET.faces -o SHEET.png --masks\n"
            "  likeness merge MODEL_DIR B.mp4 -o OUT.mp4 --faces SET.faces",
    .least_words = 2,
    .most_words = 2,
    .groups = apply_groups,
    .size = sizeof(apply_values),
    .computes = true,
    .run = run_apply,
};

static const cli_command *const subcommands[] = {&train_command, &apply_command, NULL};

const cli_command cli_mask = {
    .name = "mask",
    .purpose = "teach a network what hides faces, so that a hand stays in front",
    .usage = "COMMAND MASK_DIR [options]",
    .subcommands = subcommands,
};
