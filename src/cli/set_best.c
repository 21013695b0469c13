#include <errno.h>
#include <stdlib.h>

#include "set.h"

typedef struct values {
    int by;
} values;

static const char *const ways[] = {"best", "final", NULL};

static const lk_option table[] = {
    {"by", 0, LK_OPT_ENUM, offsetof(values, by), "best", 0, 0, ways, "WAY",
     "best: spread over pose, expression and light; final: as in DeepFaceLab"},
    {0},
};

static const cli_group groups[] = {{"The choice", table, 0}, {0}};

static bool run(cli_call *call, lk_error *err) {
    const values *v = call->values;
    const char *number = call->words.items[1];
    char *end;
    errno = 0;
    long long target = strtoll(number, &end, 10);
    if (errno || *end || end == number || target < 1)
        return lk_fail(err, LK_ERR_USAGE, "'%s' is not a number of faces", number);
    lk_faceset *set = lk_faceset_open(call->words.items[0], true, err);
    int64_t before = set ? lk_faceset_count(set, NULL, err) : -1;
    int64_t kept = before < 0 ? -1 : lk_faceset_best(set, v->by ? LK_SORT_FINAL : LK_SORT_BEST, target, err);
    lk_faceset_close(set);
    if (kept < 0) return false;
    cli_say(call, "%lld of %lld faces are left; the others are taken out ('likeness set restore' puts them back)\n",
            (long long)kept, (long long)before);
    return cli_result(call, "faces", json_integer(kept), err) &&
           cli_result(call, "removed", json_integer(before - kept), err);
}

const cli_command cli_set_best = {
    .name = "best",
    .purpose = "leave only the N faces that serve training best",
    .usage = "SET.faces N [options]",
    .examples = "  likeness set best anna.faces 2000\n"
                "  likeness set best anna.faces 2000 --by final",
    .next = "  likeness set restore SET.faces     undo it",
    .least_words = 2,
    .most_words = 2,
    .groups = groups,
    .size = sizeof(values),
    .run = run,
};
