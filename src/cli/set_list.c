#include <stdlib.h>
#include <string.h>

#include "set.h"

typedef struct values {
    char *where, *output;
    bool csv, with_removed;
} values;

static const lk_option table[] = {
    {"where", 0, LK_OPT_STRING, offsetof(values, where), NULL, 0, 0, NULL, "CONDITION",
     "only faces for which this holds ('likeness help set select')"},
    {"output", 'o', LK_OPT_STRING, offsetof(values, output), NULL, 0, 0, NULL, "FILE",
     "where to; without it the list is printed"},
    {"csv", 0, LK_OPT_FLAG, offsetof(values, csv), "yes", 0, 0, NULL, NULL, "CSV; --no-csv: JSON"},
    {"with-removed", 0, LK_OPT_FLAG, offsetof(values, with_removed), "no", 0, 0, NULL, NULL,
     "faces that were taken out as well"},
    {0},
};

static const cli_group groups[] = {{"The list", table, 0}, {0}};

static bool put_out(cli_call *call, const char *text, lk_error *err) {
    const values *v = call->values;
    if (v->output) {
        if (!lk_file_write(v->output, text, strlen(text), err)) return false;
        cli_say(call, "%s\n", v->output);
        return cli_result(call, "output", json_string(v->output), err);
    }
    if (!call->json) {
        cli_say(call, "%s", text);
        return true;
    }
    return cli_result(call, "list", json_loads(text, 0, NULL), err);
}

static bool run(cli_call *call, lk_error *err) {
    const values *v = call->values;
    lk_faceset *set = lk_faceset_open(call->words.items[0], false, err);
    int64_t *ids = NULL, count = -1;
    if (set) count = lk_faceset_select(set, v->where ? v->where : "id > 0", v->with_removed, &ids, err);
    bool csv = v->csv && !(call->json && !v->output);
    char *text = count >= 0 ? lk_faceset_list(set, ids, count, csv, err) : NULL;
    bool ok = text && put_out(call, text, err);
    free(text);
    free(ids);
    lk_faceset_close(set);
    return ok;
}

const cli_command cli_set_list = {
    .name = "list",
    .purpose = "every figure of every face, as CSV or JSON",
    .usage = "SET.faces [options]",
    .examples = "  likeness set list anna.faces -o anna.csv\n"
                "  likeness set list anna.faces --where 'abs(yaw) > 45'\n"
                "  likeness set list anna.faces --no-csv -o anna.json",
    .least_words = 1,
    .most_words = 1,
    .groups = groups,
    .size = sizeof(values),
    .run = run,
};
