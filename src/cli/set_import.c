#include "set.h"

static const cli_group groups[] = {{"Importing", lk_import_option_table, 0}, {0}};

static bool report(cli_call *call, const lk_import_report *r, lk_error *err) {
    cli_say(call, "%lld of %lld pictures are added in %.1f s\n", (long long)r->added, (long long)r->files, r->seconds);
    if (r->already) cli_say(call, "%lld were in the set already\n", (long long)r->already);
    if (r->twice) cli_say(call, "%lld claim the same face as another and are left out\n", (long long)r->twice);
    if (r->foreign)
        cli_say(call, "%lld hold no data of a face and are left out (--plain looks for the face in them)\n",
                (long long)r->foreign);
    if (r->damaged) cli_say(call, "%lld are damaged or not understood and are left out\n", (long long)r->damaged);
    call->result =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "files", (json_int_t)r->files, "added", (json_int_t)r->added,
                  "already", (json_int_t)r->already, "twice", (json_int_t)r->twice, "foreign", (json_int_t)r->foreign,
                  "damaged", (json_int_t)r->damaged, "seconds", r->seconds);
    return call->result || lk_fail(err, LK_ERR_MEMORY, "out of memory");
}

static bool run(cli_call *call, lk_error *err) {
    const char *path = call->words.items[0];
    lk_import_report r;
    lk_faceset *set = lk_file_exists(path) ? lk_faceset_open(path, true, err) : lk_faceset_create(path, err);
    bool ok = set && lk_faceset_import(set, call->words.items[1], call->values, &r, err);
    lk_faceset_close(set);
    return ok && report(call, &r, err);
}

const cli_command cli_set_import = {
    .name = "import",
    .purpose = "take in a folder of DeepFaceLab's aligned faces",
    .usage = "SET.faces FOLDER [options]",
    .about =
        "JPEGs and PNGs are kept byte by byte, with all that is in them. The set is made when it is not there. What\n"
        "is left out is named, with the reason. Importing a folder again adds only what is new.",
    .examples = "  likeness set import anna.faces workspace/data_src/aligned",
    .next = "  likeness set describe SET.faces     identity descriptors, for sorts by person\n"
            "  likeness set sheet SET.faces -o SHEET.png --landmarks",
    .least_words = 2,
    .most_words = 2,
    .groups = groups,
    .size = sizeof(lk_import_options),
    .run = run,
};
