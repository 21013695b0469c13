#include "set.h"

typedef struct values {
    char *output;
    int columns, rows;
    bool landmarks, masks;
} values;

static const lk_option table[] = {
    {"output", 'o', LK_OPT_STRING, offsetof(values, output), NULL, 0, 0, NULL, "SHEET.png", "where the picture goes"},
    {"columns", 0, LK_OPT_INT, offsetof(values, columns), "10", 1, 100, NULL, "N", "faces in a row"},
    {"rows", 0, LK_OPT_INT, offsetof(values, rows), "6", 1, 100, NULL, "N", "rows of faces"},
    {"landmarks", 0, LK_OPT_FLAG, offsetof(values, landmarks), NULL, 0, 0, NULL, NULL, "draw the 68 points"},
    {"masks", 0, LK_OPT_FLAG, offsetof(values, masks), NULL, 0, 0, NULL, NULL,
     "darken what the mask that holds leaves out"},
    {0},
};

static const cli_group groups[] = {{"The sheet", table, 0}, {0}};

static bool run(cli_call *call, lk_error *err) {
    const values *v = call->values;
    if (!cli_need(call, v->output, "-o SHEET.png", err)) return false;
    lk_faceset *set = lk_faceset_open(call->words.items[0], false, err);
    bool ok = set && lk_faceset_sheet(set, v->output, v->columns, v->rows, v->landmarks, v->masks, err) &&
              cli_result(call, "output", json_string(v->output), err);
    lk_faceset_close(set);
    if (ok) cli_say(call, "%s\n", v->output);
    return ok;
}

const cli_command cli_set_sheet = {
    .name = "sheet",
    .purpose = "a picture of faces, evenly spread over a set",
    .usage = "SET.faces -o SHEET.png [options]",
    .examples = "  likeness set sheet anna.faces -o anna.png\n"
                "  likeness set sheet anna.faces -o anna.png --columns 20 --rows 10 --landmarks",
    .next = "  likeness train MODEL_DIR --src A.faces --dst B.faces",
    .least_words = 1,
    .most_words = 1,
    .groups = groups,
    .size = sizeof(values),
    .run = run,
};
