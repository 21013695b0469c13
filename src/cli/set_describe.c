#include "set.h"

typedef struct values {
    int each;
} values;

static const lk_option table[] = {
    {"each", 0, LK_OPT_INT, offsetof(values, each), "8", 1, 1000, NULL, "N",
     "one of every N faces of a track; they are alike"},
    {0},
};

static const cli_group groups[] = {{"How many", table, 0}, {0}};

static bool run(cli_call *call, lk_error *err) {
    const values *v = call->values;
    int64_t described = 0;
    lk_faceset *set = lk_faceset_open(call->words.items[0], true, err);
    bool ok = set && lk_faceset_describe(set, v->each, &described, err);
    lk_faceset_close(set);
    if (!ok) return false;
    cli_say(call, "%lld faces have an identity descriptor now that had none\n", (long long)described);
    return cli_result(call, "described", json_integer(described), err);
}

const cli_command cli_set_describe = {
    .name = "describe",
    .purpose = "identity descriptors for faces that have none, such as imported ones",
    .usage = "SET.faces [options]",
    .examples = "  likeness set describe anna.faces",
    .next = "  likeness set people SET.faces",
    .least_words = 1,
    .most_words = 1,
    .groups = groups,
    .size = sizeof(values),
    .run = run,
};
