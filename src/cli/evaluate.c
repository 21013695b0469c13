#include "cli.h"
#include "likeness/train.h"

#include <stdlib.h>

typedef struct values {
    lk_strings src, dst;
    lk_evaluate_options options;
} values;

static const lk_option own[] = {
    {"src", 0, LK_OPT_LIST, offsetof(values, src), NULL, 0, 0, NULL, "A.faces", "faces of the person who is wanted"},
    {"dst", 0, LK_OPT_LIST, offsetof(values, dst), NULL, 0, 0, NULL, "B.faces",
     "faces of the video into which they go"},
    {0},
};

static const cli_group groups[] = {
    {"Faces, those that the model was trained with", own, 0},
    {"How it is judged", lk_evaluate_option_table, offsetof(values, options)},
    {0},
};

static bool run(cli_call *call, lk_error *err) {
    const values *v = call->values;
    lk_evaluation e;
    if (!cli_need(call, v->src.count ? v->src.items[0] : NULL, "--src A.faces", err) ||
        !cli_need(call, v->dst.count ? v->dst.items[0] : NULL, "--dst B.faces", err) ||
        !lk_evaluate(call->words.items[0], &v->src, &v->dst, &v->options, &e, err))
        return false;
    char *text = lk_evaluation_text(&e, err);
    call->result = text ? lk_evaluation_json(&e) : NULL;
    if (text && !call->result) lk_fail(err, LK_ERR_MEMORY, "out of memory");
    if (call->result) cli_say(call, "%s", text);
    if (call->result && v->options.sheet) cli_say(call, "%s: the best and the worst swaps\n", v->options.sheet);
    free(text);
    return call->result != NULL;
}

const cli_command cli_evaluate = {
    .name = "evaluate",
    .purpose = "say in figures how good a model is, on faces that it never saw",
    .usage = "MODEL_DIR --src A.faces --dst B.faces [options]",
    .about =
        "Train with --holdout 5 and 5 % of each video, in whole stretches, stay unseen: these faces judge. A model\n"
        "that was trained without is judged with --seen, which flatters it.",
    .examples = "  likeness train anna-to-ben --src anna.faces --dst ben.faces --holdout 5 --time 8h\n"
                "  likeness evaluate anna-to-ben --src anna.faces --dst ben.faces --sheet cases.png\n"
                "  likeness evaluate old-model --src anna.faces --dst ben.faces --seen --json",
    .next = "  docs/evaluation.md says what each figure means. Look at the sheet as well.",
    .least_words = 1,
    .most_words = 1,
    .groups = groups,
    .size = sizeof(values),
    .computes = true,
    .run = run,
};
