#include <stdlib.h>

#include "set.h"

typedef struct values {
    bool look, remove;
} values;

static const lk_option table[] = {
    {"look", 0, LK_OPT_FLAG, offsetof(values, look), "no", 0, 0, NULL, NULL,
     "also let the mesh network look at every crop again, and compare"},
    {"remove", 0, LK_OPT_FLAG, offsetof(values, remove), "no", 0, 0, NULL, NULL, "take them out"},
    {0},
};

static const cli_group groups[] = {{"How", table, 0}, {0}};

static bool remove_all(lk_faceset *set, const lk_suspect *suspects, int64_t count, lk_error *err) {
    int64_t *ids = lk_alloc((size_t)count + 1, sizeof *ids, err);
    for (int64_t i = 0; ids && i < count; i++) ids[i] = suspects[i].id;
    bool ok = ids && lk_faceset_mark(set, ids, count, true, err) >= 0;
    free(ids);
    return ok;
}

static bool run(cli_call *call, lk_error *err) {
    const values *v = call->values;
    lk_suspect *suspects = NULL;
    lk_faceset *set = lk_faceset_open(call->words.items[0], v->remove, err);
    int64_t count = set ? lk_faceset_suspects(set, v->look, &suspects, err) : -1;
    json_t *list = count >= 0 ? json_array() : NULL;
    bool ok = count >= 0 && cli_result(call, "suspects", list, err);
    for (int64_t i = 0; ok && i < count; i++) {
        const lk_suspect *s = &suspects[i];
        if (i == 0) cli_say(call, "face   source  frame   doubt  score\n");
        cli_say(call, "%-6lld %-7lld %-7lld %-6s %.1f\n", (long long)s->id, (long long)s->source, (long long)s->frame,
                lk_doubt_names[s->why], s->score);
        json_array_append_new(list, json_pack("{s:I, s:I, s:I, s:s, s:f}", "id", (json_int_t)s->id, "source",
                                              (json_int_t)s->source, "frame", (json_int_t)s->frame, "why",
                                              lk_doubt_names[s->why], "score", s->score));
    }
    ok = ok && (!v->remove || remove_all(set, suspects, count, err));
    if (ok)
        cli_say(call, "%lld faces have landmarks in doubt%s\n", (long long)count,
                v->remove ? "; they are taken out" : "");
    free(suspects);
    lk_faceset_close(set);
    return ok;
}

const cli_command cli_set_suspects = {
    .name = "suspects",
    .purpose = "list faces whose landmarks are likely wrong",
    .usage = "SET.faces [options]",
    .about = "jump: they leave the way between the frames before and after. shape: no mixture of the shapes that the\n"
             "set's other faces have. pose: they and the stored pose disagree. look: the network finds others in the\n"
             "crop. The score is how many times beyond what is still believed.",
    .examples = "  likeness set suspects ben.faces\n"
                "  likeness set suspects anna.faces --look --remove",
    .next = "  likeness set report SET.faces     shows them",
    .least_words = 1,
    .most_words = 1,
    .groups = groups,
    .size = sizeof(values),
    .run = run,
};
