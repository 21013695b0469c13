/* likeness model: what may be seen and done of a model between trainings. */
#include "cli.h"

#include "likeness/train.h"
#include <stdlib.h>

static const char *folder_of(const cli_call *call) { return call->words.items[0]; }

/* ---- info -------------------------------------------------------------------------------------------------- */

static void say_object(const cli_call *call, const json_t *object) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
        cli_say(call, "  %-24s %s\n", key, text ? text : json_string_value(value));
        free(text);
    }
}

static bool info(cli_call *call, lk_error *err) {
    json_t *m = call->result = lk_model_describe(folder_of(call), err);
    if (!m) return false;
    cli_say(call, "%s: iteration %lld, trained for %.0f s\n", folder_of(call),
            (long long)json_integer_value(json_object_get(m, "iteration")),
            json_number_value(json_object_get(m, "seconds")));
    cli_say(call, "architecture\n");
    say_object(call, json_object_get(m, "architecture"));
    cli_say(call, "options\n");
    say_object(call, json_object_get(m, "options"));
    const json_t *changes = json_object_get(m, "changes"), *change;
    size_t i;
    cli_say(call, "%s", json_array_size(changes) ? "changes\n" : "");
    json_array_foreach(changes, i, change) cli_say(
        call, "  iteration %-14lld %s: %s to %s\n", (long long)json_integer_value(json_object_get(change, "iteration")),
        json_string_value(json_object_get(change, "option")), json_string_value(json_object_get(change, "from")),
        json_string_value(json_object_get(change, "to")));
    return true;
}

static const cli_command model_info = {
    .name = "info",
    .purpose = "what a model is, its options, and how they changed",
    .usage = "MODEL_DIR",
    .examples = "  likeness model info anna-to-ben\n  likeness model info anna-to-ben --json",
    .next = "  likeness train MODEL_DIR --set NAME=VALUE",
    .least_words = 1,
    .most_words = 1,
    .run = info,
};

/* ---- plot, timelapse --------------------------------------------------------------------------------------- */

typedef struct picture {
    char *output;
    int of;
    int width, height;
    double fps;
} picture;

enum { LOSSES, EVALUATION };
static const char *const of_names[] = {"losses", "evaluation", NULL};

static const lk_option plot_table[] = {
    {"output", 'o', LK_OPT_STRING, offsetof(picture, output), NULL, 0, 0, NULL, "LOSS.png", "where the picture goes"},
    {"of", 0, LK_OPT_ENUM, offsetof(picture, of), "losses", 0, 0, of_names, "WHAT",
     "losses, or what --evaluate-every measured"},
    {"width", 0, LK_OPT_INT, offsetof(picture, width), "1200", 200, 8192, NULL, "PX", "of the picture"},
    {"height", 0, LK_OPT_INT, offsetof(picture, height), "600", 150, 8192, NULL, "PX", "of the picture"},
    {0},
};
static const lk_option timelapse_table[] = {
    {"output", 'o', LK_OPT_STRING, offsetof(picture, output), NULL, 0, 0, NULL, "OUT.mp4", "where the video goes"},
    {"fps", 0, LK_OPT_FLOAT, offsetof(picture, fps), "12", 0.1, 240, NULL, "N", "pictures a second"},
    {0},
};
static const cli_group plot_groups[] = {{"The plot", plot_table, 0}, {0}};
static const cli_group timelapse_groups[] = {{"The video", timelapse_table, 0}, {0}};

static bool tell_output(cli_call *call, const char *output, lk_error *err) {
    cli_say(call, "%s\n", output);
    return cli_result(call, "output", json_string(output), err);
}

static bool plot(cli_call *call, lk_error *err) {
    const picture *p = call->values;
    bool (*draw)(const char *, const char *, int, int, lk_error *) =
        p->of == EVALUATION ? lk_model_plot_evaluation : lk_model_plot;
    return cli_need(call, p->output, "-o LOSS.png", err) &&
           draw(folder_of(call), p->output, p->width, p->height, err) && tell_output(call, p->output, err);
}

static const cli_command model_plot = {
    .name = "plot",
    .purpose = "losses or evaluations over iterations as a picture",
    .usage = "MODEL_DIR -o LOSS.png [options]",
    .about = "Losses are smoothed, on a logarithmic scale; where options changed there is a mark.",
    .examples = "  likeness model plot anna-to-ben -o loss.png\n"
                "  likeness model plot anna-to-ben --of evaluation -o quality.png",
    .next = "  likeness train MODEL_DIR --set NAME=VALUE",
    .least_words = 1,
    .most_words = 1,
    .groups = plot_groups,
    .size = sizeof(picture),
    .run = plot,
};

static bool timelapse(cli_call *call, lk_error *err) {
    const picture *p = call->values;
    return cli_need(call, p->output, "-o OUT.mp4", err) &&
           lk_model_timelapse(folder_of(call), p->output, p->fps, err) && tell_output(call, p->output, err);
}

static const cli_command model_timelapse = {
    .name = "timelapse",
    .purpose = "the previews that --preview-every kept, as a video",
    .usage = "MODEL_DIR -o OUT.mp4 [options]",
    .examples = "  likeness model timelapse anna-to-ben -o learning.mp4",
    .next = "  likeness model plot MODEL_DIR -o LOSS.png",
    .least_words = 1,
    .most_words = 1,
    .groups = timelapse_groups,
    .size = sizeof(picture),
    .run = timelapse,
};

/* ---- Backups ----------------------------------------------------------------------------------------------- */

static bool backups(cli_call *call, lk_error *err) {
    lk_backup *list;
    int count = lk_model_backups(folder_of(call), &list, err);
    if (count < 0) return false;
    json_t *array = json_array();
    for (int i = 0; i < count; i++) {
        cli_say(call, "%-12s iteration %lld, after %.0f s of training\n", list[i].name, (long long)list[i].iteration,
                list[i].seconds);
        json_array_append_new(array, json_pack("{s:s, s:I, s:f}", "name", list[i].name, "iteration",
                                               (json_int_t)list[i].iteration, "seconds", list[i].seconds));
    }
    if (count == 0) cli_say(call, "%s has no backups\n", folder_of(call));
    free(list);
    return cli_result(call, "backups", array, err);
}

static const cli_command model_backups = {
    .name = "backups",
    .purpose = "list the backups of a model",
    .usage = "MODEL_DIR",
    .examples = "  likeness model backups anna-to-ben",
    .next = "  likeness model restore MODEL_DIR NAME",
    .least_words = 1,
    .most_words = 1,
    .run = backups,
};

static bool backup(cli_call *call, lk_error *err) {
    if (!lk_model_backup(folder_of(call), err)) return false;
    cli_say(call, "the newest save of %s is backed up\n", folder_of(call));
    return true;
}

static const cli_command model_backup = {
    .name = "backup",
    .purpose = "keep the newest save of a model",
    .usage = "MODEL_DIR",
    .about = "Training does it by itself with --backup-every or --backup-every-iterations. A backup takes room on the\n"
             "disk only once newer saves exist.",
    .examples = "  likeness model backup anna-to-ben",
    .next = "  likeness model backups MODEL_DIR",
    .least_words = 1,
    .most_words = 1,
    .run = backup,
};

static bool restore(cli_call *call, lk_error *err) {
    if (!lk_model_restore(folder_of(call), call->words.items[1], err)) return false;
    cli_say(call, "%s is at backup %s again\n", folder_of(call), call->words.items[1]);
    return true;
}

static const cli_command model_restore = {
    .name = "restore",
    .purpose = "go back to a backup",
    .usage = "MODEL_DIR NAME",
    .about = "Training goes on from there. The save that was newest is kept as the one before.",
    .examples = "  likeness model restore anna-to-ben 20000",
    .next = "  likeness train MODEL_DIR --set NAME=VALUE",
    .least_words = 2,
    .most_words = 2,
    .run = restore,
};

static bool swap_sides(cli_call *call, lk_error *err) {
    bool swapped;
    if (!lk_model_swap_sides(folder_of(call), &swapped, err)) return false;
    cli_say(call, "%s trains with its sides %s from now on\n", folder_of(call), swapped ? "exchanged" : "as they were");
    return cli_result(call, "swap_sides", json_boolean(swapped), err);
}

static const cli_command model_swap_sides = {
    .name = "swap-sides",
    .purpose = "exchange src and dst for a while, when training is stuck; once more to end it",
    .usage = "MODEL_DIR",
    .about = "For a fixed stretch instead: likeness train MODEL_DIR --swap-sides FROM..TO. End it before merging.",
    .examples = "  likeness model swap-sides anna-to-ben",
    .next = "  likeness train MODEL_DIR",
    .least_words = 1,
    .most_words = 1,
    .run = swap_sides,
};

static const cli_command *const subcommands[] = {
    &model_info, &model_plot, &model_timelapse, &model_backups, &model_backup, &model_restore, &model_swap_sides, NULL,
};

const cli_command cli_model = {
    .name = "model",
    .purpose = "look at a model, its losses and its backups",
    .usage = "COMMAND MODEL_DIR [options]",
    .subcommands = subcommands,
};
