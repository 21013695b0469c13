#include "set.h"

typedef struct values {
    int by;
    bool reverse;
} values;

static const lk_option table[] = {
    {"by", 0, LK_OPT_ENUM, offsetof(values, by), "original", 0, 0, lk_sort_names, "WHAT", "what decides the order"},
    {"reverse", 0, LK_OPT_FLAG, offsetof(values, reverse), "no", 0, 0, NULL, NULL, "the other way round"},
    {0},
};

static const cli_group groups[] = {{"The order", table, 0}, {0}};

static bool run(cli_call *call, lk_error *err) {
    const values *v = call->values;
    lk_faceset *set = lk_faceset_open(call->words.items[0], true, err);
    int64_t count = -1;
    if (set && lk_faceset_sort(set, (lk_sort)v->by, v->reverse, err)) count = lk_faceset_count(set, NULL, err);
    lk_faceset_close(set);
    if (count < 0) return false;
    cli_say(call, "%lld faces in order: %s%s\n", (long long)count, lk_sort_help[v->by], v->reverse ? ", reversed" : "");
    cli_say(call, "look at them: likeness set sheet %s -o SHEET.png\n", call->words.items[0]);
    return cli_result(call, "faces", json_integer(count), err) &&
           cli_result(call, "by", json_string(lk_sort_names[v->by]), err);
}

const cli_command cli_set_sort = {
    .name = "sort",
    .purpose = "put the faces in an order, which the file keeps",
    .usage = "SET.faces --by WHAT [options]",
    .about = "Nothing is renamed or moved: lists, sheets and selections show the faces in this order from now on.\n"
             "blur, yaw, pitch, size, brightness and the like go by a figure; face, hist and absdiff are chains in\n"
             "which each face is like the one before, their -dissim twins begin with the odd ones; person gathers\n"
             "people; final and best begin with the faces that serve training most.",
    .examples = "  likeness set sort anna.faces --by blur --reverse      the most blurred first\n"
                "  likeness set sort anna.faces --by hist                odd light ends up together\n"
                "  likeness set sort anna.faces --by person",
    .next = "  likeness set sheet SET.faces -o SHEET.png\n"
            "  likeness set select SET.faces 'sharpness < 20' --remove",
    .least_words = 1,
    .most_words = 1,
    .groups = groups,
    .size = sizeof(values),
    .run = run,
};
