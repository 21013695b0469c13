/* From the command line to a command and back to an exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

enum { DONE = 0, FAILED = 1, WRONG_USAGE = 2, INTERRUPTED = 130 };

typedef struct always {
    bool help, json, quiet;
    int threads;
} always;

const lk_option cli_common_table[] = {
    {"json", 0, LK_OPT_FLAG, offsetof(always, json), NULL, 0, 0, NULL, NULL, "print the result as JSON"},
    {"quiet", 'q', LK_OPT_FLAG, offsetof(always, quiet), NULL, 0, 0, NULL, NULL, "print warnings and errors only"},
    {"threads", 0, LK_OPT_INT, offsetof(always, threads), "0", 0, 1024, NULL, "N",
     "use so many processors; 0: all at hand"},
    {"help", 'h', LK_OPT_FLAG, offsetof(always, help), NULL, 0, 0, NULL, NULL, "say what the command does"},
    {0},
};

void cli_say(const cli_call *call, const char *format, ...) {
    if (call->json || call->quiet) return;
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    fflush(stdout);
}

bool cli_result(cli_call *call, const char *key, json_t *value, lk_error *err) {
    if (!call->result) call->result = json_object();
    return json_object_set_new(call->result, key, value) == 0 || lk_fail(err, LK_ERR_MEMORY, "out of memory");
}

bool cli_need(const cli_call *call, const char *value, const char *option, lk_error *err) {
    if (value && *value) return true;
    return lk_fail(err, LK_ERR_USAGE, "%s is missing; it goes: likeness %s %s", option, call->name,
                   call->command->usage);
}

/* ---- Which command ----------------------------------------------------------------------------------------- */

static const cli_command *find(const cli_command *const *commands, const char *word) {
    for (; *commands; commands++)
        if (strcmp((*commands)->name, word) == 0) return *commands;
    return NULL;
}

static bool unknown(const cli_command *const *commands, const char *before, const char *word, lk_error *err) {
    const char *names[32];
    int n = 0;
    for (; commands[n] && n < 31; n++) names[n] = commands[n]->name;
    names[n] = NULL;
    const char *nearest = lk_nearest(word, names);
    if (nearest)
        return lk_fail(err, LK_ERR_USAGE, "there is no command '%s%s'; did you mean: likeness %s%s", before, word,
                       before, nearest);
    return lk_fail(err, LK_ERR_USAGE, "there is no command '%s%s'; 'likeness help' lists those there are", before,
                   word);
}

/* Takes the words of the command's name off argv. A command that is only a heading is found as itself. */
static const cli_command *take_command(int *argc, char ***argv, char name[64], lk_error *err) {
    const cli_command *const *commands = cli_commands;
    const cli_command *c = NULL;
    name[0] = 0;
    while (*argc > 0 && commands && (!c || (*argv)[0][0] != '-')) {
        const cli_command *next = find(commands, (*argv)[0]);
        char before[64];
        snprintf(before, sizeof before, "%s%s", name, c ? " " : "");
        if (!next) {
            unknown(commands, before, (*argv)[0], err);
            return NULL;
        }
        snprintf(name, 64, "%.40s%.20s", before, next->name);
        c = next;
        commands = c->subcommands;
        ++*argv;
        --*argc;
    }
    return c;
}

static bool wants_help(int argc, char **argv) {
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
    return false;
}

/* ---- Its values -------------------------------------------------------------------------------------------- */

static int group_count(const cli_command *c) {
    int n = 0;
    while (c->groups && n < CLI_GROUPS && c->groups[n].table) n++;
    return n;
}

static void *values_of(const cli_call *call, int group) {
    return (char *)call->values + call->command->groups[group].at;
}

static bool check_words(const cli_call *call, lk_error *err) {
    const cli_command *c = call->command;
    if (call->words.count < c->least_words) {
        const char *missing = c->usage; /* it begins with the words */
        for (int i = 0; i < call->words.count; i++) missing += strcspn(missing, " ") + 1;
        return lk_fail(err, LK_ERR_USAGE, "%.*s is missing; it goes: likeness %s %s", (int)strcspn(missing, " "),
                       missing, call->name, c->usage);
    }
    if (call->words.count > c->most_words)
        return lk_fail(err, LK_ERR_USAGE, "'%s' is one word too many here; it goes: likeness %s %s",
                       call->words.items[c->most_words], call->name, c->usage);
    return true;
}

static bool fill(cli_call *call, always *common, int argc, char **argv, lk_error *err) {
    lk_option_group groups[CLI_GROUPS + 1];
    int n = group_count(call->command);
    call->values = lk_alloc(1, call->command->size + 1, err);
    if (!call->values) return false;
    for (int i = 0; i < n; i++) {
        const cli_group *g = &call->command->groups[i];
        call->given[i] = lk_alloc((size_t)lk_options_count(g->table) + 1, sizeof(bool), err);
        groups[i] = (lk_option_group){g->title, g->table, values_of(call, i), call->given[i]};
        if (!call->given[i] || !lk_options_defaults(g->table, groups[i].values, err)) return false;
    }
    groups[n] = (lk_option_group){"Always", cli_common_table, common, NULL};
    if (call->command->take) argc = call->command->take(argc, argv, call->values);
    return lk_option_groups_parse(groups, n + 1, argc, argv, &call->words, err) && check_words(call, err);
}

static void release(cli_call *call) {
    for (int i = 0; call->values && i < group_count(call->command); i++) {
        lk_options_free(call->command->groups[i].table, values_of(call, i));
        free(call->given[i]);
    }
    free(call->values);
    lk_strings_free(&call->words);
    json_decref(call->result);
}

/* ---- Running ----------------------------------------------------------------------------------------------- */

/* A full disk must not pass for success; a reader that went away has had enough. */
static bool flush_output(lk_error *err) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return true;
    return errno == EPIPE || lk_fail_errno(err, "the result cannot be printed");
}

static bool print_result(const cli_call *call, lk_error *err) {
    if (!call->json || !call->result) return true;
    char *text = json_dumps(call->result, JSON_INDENT(2));
    if (!text) return lk_fail(err, LK_ERR_MEMORY, "out of memory");
    puts(text);
    free(text);
    return true;
}

static bool run(const cli_command *command, const char *name, int argc, char **argv, lk_error *err) {
    cli_call call = {.command = command};
    always common = {0};
    snprintf(call.name, sizeof call.name, "%s", name);
    bool ok = fill(&call, &common, argc, argv, err);
    if (ok) {
        call.json = common.json;
        call.quiet = common.quiet;
        lk_set_threads(common.threads);
        cli_terminal_start(common.quiet);
        cli_signals_start();
        ok = command->run(&call, err);
        ok = print_result(&call, ok ? err : NULL) && ok;
    }
    release(&call);
    return ok;
}

static bool help_command(int argc, char **argv, lk_error *err) {
    char name[64];
    const cli_command *c = take_command(&argc, &argv, name, err);
    if (c) return cli_help(c, name, stdout, err);
    if (err->code != LK_OK) return false;
    cli_overview(stdout);
    return true;
}

/* Threads of OpenMP that wait for each other spin for some ten microseconds: a step has hundreds of waits, and going to sleep
 * at each makes short steps half as slow again; but where other programs want the processors too, spinning for as long as
 * libgomp likes makes training ten times slower. libgomp reads the
 * environment before main, so the program starts itself once more. */
static void spin_briefly(char **argv) {
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
    if (setenv("GOMP_SPINCOUNT", "10000", 1) == 0) execv("/proc/self/exe", argv);
}

static bool dispatch(int argc, char **argv, lk_error *err) {
    char name[64], **whole = argv - 1; /* with the program's name */
    if (argc == 0) {
        cli_overview(stderr);
        return lk_fail(err, LK_ERR_USAGE, "a command is missing");
    }
    if (strcmp(argv[0], "--version") == 0 || strcmp(argv[0], "-V") == 0) {
        printf("likeness %s\n", LK_VERSION);
        return true;
    }
    if (strcmp(argv[0], "help") == 0 || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0)
        return help_command(argc - 1, argv + 1, err);
    const cli_command *c = take_command(&argc, &argv, name, err);
    if (!c) return false;
    if (wants_help(argc, argv)) return cli_help(c, name, stdout, err);
    if (c->subcommands) {
        cli_help(c, name, stderr, NULL);
        return lk_fail(err, LK_ERR_USAGE, "what shall 'likeness %s' do? one word is missing", name);
    }
    if (c->computes) spin_briefly(whole);
    return run(c, name, argc, argv, err);
}

int main(int argc, char **argv) {
    lk_error err = {0};
    bool ok = dispatch(argc - 1, argv + 1, &err) && flush_output(&err);
    if (ok) return DONE;
    cli_complain(err.message);
    if (err.code == LK_ERR_USAGE) return WRONG_USAGE;
    return err.code == LK_ERR_INTERRUPTED || lk_interrupted() ? INTERRUPTED : FAILED;
}
