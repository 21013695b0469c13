#include <stdlib.h>

#include "set.h"

typedef struct values {
    char *dst, *output;
} values;

static const lk_option table[] = {
    {"for", 0, LK_OPT_STRING, offsetof(values, dst), NULL, 0, 0, NULL, "DST.faces",
     "the destination that the set is to serve"},
    {"output", 'o', LK_OPT_STRING, offsetof(values, output), "report.html", 0, 0, NULL, "PAGE.html",
     "where the page goes"},
    {0},
};

static const cli_group groups[] = {{"The report", table, 0}, {0}};

static void show_advice(cli_call *call, const json_t *json) {
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(json, "advice"), i, entry) {
        cli_say(call, "%zu. %s\n     %s\n", i + 1, json_string_value(json_object_get(entry, "advice")),
                json_string_value(json_object_get(entry, "command")));
    }
    if (i == 0) cli_say(call, "Nothing stands out. Train.\n");
}

static bool run(cli_call *call, lk_error *err) {
    const values *v = call->values;
    lk_faceset *src = lk_faceset_open(call->words.items[0], false, err);
    lk_faceset *dst = src && v->dst ? lk_faceset_open(v->dst, false, err) : NULL;
    bool ok = src && (!v->dst || dst) && lk_faceset_report(src, dst, v->output, &call->result, err);
    lk_faceset_close(src);
    lk_faceset_close(dst);
    if (!ok) return false;
    show_advice(call, call->result);
    cli_say(call, "all of it: %s\n", v->output);
    return cli_result(call, "output", json_string(v->output), err);
}

const cli_command cli_set_report = {
    .name = "report",
    .purpose = "how good a set is, what it lacks for a destination, and what to do about it",
    .usage = "SRC.faces [--for DST.faces] [-o PAGE.html]",
    .about =
        "One page with pictures, which any browser shows and which needs nothing else; the same as JSON with --json.",
    .examples = "  likeness set report anna.faces\n"
                "  likeness set report anna.faces --for ben.faces -o anna-for-ben.html",
    .least_words = 1,
    .most_words = 1,
    .groups = groups,
    .size = sizeof(values),
    .run = run,
};
