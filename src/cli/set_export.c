#include "set.h"

static const cli_group groups[] = {{"Exporting", lk_export_option_table, 0}, {0}};

static bool run(cli_call *call, lk_error *err) {
    lk_export_report r;
    lk_faceset *set = lk_faceset_open(call->words.items[0], false, err);
    bool ok = set && lk_faceset_export(set, call->words.items[1], call->values, &r, err);
    lk_faceset_close(set);
    if (!ok) return false;
    cli_say(call, "%lld faces are written to %s in %.1f s", (long long)r.written, call->words.items[1], r.seconds);
    cli_say(call, r.there ? "; %lld were there already\n" : "\n", (long long)r.there);
    call->result = json_pack("{s:I, s:I, s:f}", "written", (json_int_t)r.written, "there", (json_int_t)r.there,
                             "seconds", r.seconds);
    return call->result || lk_fail(err, LK_ERR_MEMORY, "out of memory");
}

const cli_command cli_set_export = {
    .name = "export",
    .purpose = "write the faces as files that DeepFaceLab reads",
    .usage = "SET.faces FOLDER [options]",
    .examples = "  likeness set export anna.faces aligned\n"
                "  likeness set export anna.faces pictures --plain",
    .least_words = 2,
    .most_words = 2,
    .groups = groups,
    .size = sizeof(lk_export_options),
    .run = run,
};
