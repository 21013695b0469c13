#include <stdlib.h>

#include "set.h"

typedef struct values {
    double distance;
    bool remove;
} values;

static const lk_option table[] = {
    {"distance", 0, LK_OPT_FLOAT, offsetof(values, distance), "2", 0, 255, NULL, "LEVELS",
     "how much two pictures may differ, in 8-bit levels of their thumbnails"},
    {"remove", 0, LK_OPT_FLAG, offsetof(values, remove), "no", 0, 0, NULL, NULL, "take them out"},
    {0},
};

static const cli_group groups[] = {{"What counts, and what to do", table, 0}, {0}};

static bool run(cli_call *call, lk_error *err) {
    const values *v = call->values;
    lk_faceset *set = lk_faceset_open(call->words.items[0], v->remove, err);
    int64_t *ids = NULL, count = set ? lk_faceset_duplicates(set, v->distance, &ids, err) : -1;
    json_t *list = count >= 0 ? json_array() : NULL;
    bool ok = count >= 0 && cli_result(call, "ids", list, err);
    for (int64_t i = 0; ok && i < count; i++) json_array_append_new(list, json_integer(ids[i]));
    ok = ok && (!v->remove || lk_faceset_mark(set, ids, count, true, err) >= 0);
    if (ok)
        cli_say(call, "%lld faces are nearly the same as a sharper one%s\n", (long long)count,
                v->remove ? "; they are taken out" : "; --remove takes them out");
    free(ids);
    lk_faceset_close(set);
    return ok;
}

const cli_command cli_set_duplicates = {
    .name = "duplicates",
    .purpose = "find faces that are nearly the same picture as a sharper one",
    .usage = "SET.faces [options]",
    .examples = "  likeness set duplicates anna.faces\n"
                "  likeness set duplicates anna.faces --distance 4 --remove",
    .next = "  likeness set restore SET.faces     undo it",
    .least_words = 1,
    .most_words = 1,
    .groups = groups,
    .size = sizeof(values),
    .run = run,
};
