#include <errno.h>
#include <stdlib.h>

#include "set.h"

/* The numbers behind the set's name; *ids is the caller's to free. */
static bool read_numbers(const cli_call *call, int64_t **ids, int64_t *count, lk_error *err) {
    *count = call->words.count - 1;
    *ids = lk_alloc((size_t)*count + 1, sizeof **ids, err);
    if (!*ids) return false;
    for (int64_t i = 0; i < *count; i++) {
        const char *word = call->words.items[i + 1];
        char *end;
        errno = 0;
        (*ids)[i] = strtoll(word, &end, 10);
        if (errno || *end || end == word || (*ids)[i] < 1)
            return lk_fail(err, LK_ERR_USAGE, "'%s' is not the number of a face ('likeness set select' prints them)",
                           word);
    }
    return true;
}

static bool change(cli_call *call, bool removed, lk_error *err) {
    int64_t *ids = NULL, count = 0, changed = -1, left = -1;
    lk_faceset *set = read_numbers(call, &ids, &count, err) ? lk_faceset_open(call->words.items[0], true, err) : NULL;
    if (set && count == 0 && !removed) { /* everything */
        free(ids);
        count = lk_faceset_select(set, "removed = 1", true, &ids, err);
    }
    if (set && count >= 0) changed = lk_faceset_mark(set, ids, count, removed, err);
    if (changed >= 0) left = lk_faceset_count(set, NULL, err);
    free(ids);
    lk_faceset_close(set);
    if (left < 0) return false;
    cli_say(call, "%lld faces %s; %lld are left\n", (long long)changed, removed ? "are taken out" : "are back",
            (long long)left);
    return cli_result(call, "changed", json_integer(changed), err) && cli_result(call, "left", json_integer(left), err);
}

static bool run_remove(cli_call *call, lk_error *err) { return change(call, true, err); }
static bool run_restore(cli_call *call, lk_error *err) { return change(call, false, err); }

static bool run_prune(cli_call *call, lk_error *err) {
    lk_faceset *set = lk_faceset_open(call->words.items[0], true, err);
    int64_t gone = set ? lk_faceset_prune(set, err) : -1;
    lk_faceset_close(set);
    if (gone < 0) return false;
    cli_say(call, "%lld faces are gone for good\n", (long long)gone);
    return cli_result(call, "pruned", json_integer(gone), err);
}

const cli_command cli_set_remove = {
    .name = "remove",
    .purpose = "take faces out, by their numbers; nothing is lost until 'prune'",
    .usage = "SET.faces NUMBER…",
    .examples = "  likeness set remove anna.faces 12 13 480",
    .next = "  likeness set restore SET.faces     put them back",
    .least_words = 2,
    .most_words = 100000,
    .run = run_remove,
};

const cli_command cli_set_restore = {
    .name = "restore",
    .purpose = "put back faces that were taken out: those named, or all",
    .usage = "SET.faces [NUMBER…]",
    .examples = "  likeness set restore anna.faces\n"
                "  likeness set restore anna.faces 12 13",
    .least_words = 1,
    .most_words = 100000,
    .run = run_restore,
};

const cli_command cli_set_prune = {
    .name = "prune",
    .purpose = "delete for good the faces that were taken out",
    .usage = "SET.faces",
    .examples = "  likeness set prune anna.faces",
    .least_words = 1,
    .most_words = 1,
    .run = run_prune,
};
