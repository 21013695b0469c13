#include <stdlib.h>

#include "set.h"

typedef struct values {
    bool remove, keep, restore, with_removed;
} values;

static const lk_option table[] = {
    {"remove", 0, LK_OPT_FLAG, offsetof(values, remove), "no", 0, 0, NULL, NULL, "take them out"},
    {"keep", 0, LK_OPT_FLAG, offsetof(values, keep), "no", 0, 0, NULL, NULL, "take all others out"},
    {"restore", 0, LK_OPT_FLAG, offsetof(values, restore), "no", 0, 0, NULL, NULL,
     "put back those of them that were taken out"},
    {"with-removed", 0, LK_OPT_FLAG, offsetof(values, with_removed), "no", 0, 0, NULL, NULL,
     "look among the faces that were taken out as well"},
    {0},
};

static const cli_group groups[] = {{"What to do with them", table, 0}, {0}};

static bool act(cli_call *call, lk_faceset *set, const int64_t *ids, int64_t count, lk_error *err) {
    const values *v = call->values;
    int64_t changed =
        v->keep ? lk_faceset_keep(set, ids, count, err) : lk_faceset_mark(set, ids, count, !v->restore, err);
    int64_t left = changed < 0 ? -1 : lk_faceset_count(set, NULL, err);
    if (left < 0) return false;
    cli_say(call, "%lld faces %s; %lld are left\n", (long long)changed, v->restore ? "are back" : "are taken out",
            (long long)left);
    return cli_result(call, "changed", json_integer(changed), err) && cli_result(call, "left", json_integer(left), err);
}

static bool run(cli_call *call, lk_error *err) {
    const values *v = call->values;
    bool change = v->remove || v->keep || v->restore;
    if (v->remove + v->keep + v->restore > 1)
        return lk_fail(err, LK_ERR_USAGE, "only one of --remove, --keep and --restore can be done at a time");
    lk_faceset *set = lk_faceset_open(call->words.items[0], change, err);
    int64_t *ids = NULL, count = -1;
    if (set) count = lk_faceset_select(set, call->words.items[1], v->with_removed || v->restore, &ids, err);
    json_t *list = count >= 0 ? json_array() : NULL;
    bool ok = count >= 0 && cli_result(call, "ids", list, err);
    for (int64_t i = 0; ok && i < count; i++) {
        json_array_append_new(list, json_integer(ids[i]));
        if (!change) cli_say(call, "%lld\n", (long long)ids[i]);
    }
    ok = ok && (!change || act(call, set, ids, count, err));
    free(ids);
    lk_faceset_close(set);
    return ok;
}

const cli_command cli_set_select = {
    .name = "select",
    .purpose = "find the faces for which a condition holds, and take them out or keep only them",
    .usage = "SET.faces CONDITION [options]",
    .about = "A CONDITION compares figures: id source frame time track type size yaw pitch roll presence sharpness\n"
             "motion_blur brightness hue black mean_l mean_a mean_b std_l std_a std_b x y width height mouth eyes\n"
             "faces (in the frame) removed. With + - * / < <= > >= = != and or not, parentheses, abs(x), and\n"
             "rank(figure), the share of faces below: rank(sharpness) < 0.1 is the most blurred tenth. Without an\n"
             "option it prints their numbers.",
    .examples = "  likeness set select anna.faces 'yaw < -30 and sharpness > 40'\n"
                "  likeness set select anna.faces 'rank(sharpness) < 0.1 or width < 60' --remove\n"
                "  likeness set select anna.faces 'faces > 1' --remove",
    .next = "  likeness set restore SET.faces     undo it\n"
            "  likeness set list SET.faces        all figures",
    .least_words = 2,
    .most_words = 2,
    .groups = groups,
    .size = sizeof(values),
    .run = run,
};
