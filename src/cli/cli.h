/* cli: the program. A command is data: what it is for, its options (tables of the rooms it uses), and a function that
 * calls the library. main.c finds the command, fills its values from the command line, runs it, and turns the outcome
 * into an exit status. */
#ifndef LIKENESS_CLI_H
#define LIKENESS_CLI_H

#include "likeness/options.h"

#define CLI_GROUPS 6 /* of options, at most, of a command's own */

/* A table of options over the struct that lies at `at` in the command's values. */
typedef struct cli_group {
    const char *title;
    const lk_option *table;
    size_t at;
} cli_group;

typedef struct cli_call cli_call;

typedef struct cli_command {
    const char *name;            /* as typed: "extract"; of a subcommand the last word: "info" */
    const char *purpose;         /* one line, no full stop */
    const char *usage;           /* what follows the name: "INPUT… -o SET.faces [options]" */
    const char *about;           /* what a newcomer must know; NULL: the purpose says it all */
    const char *examples, *next; /* lines of the help: commands to copy; what to do afterwards */
    int least_words, most_words; /* besides options */
    const cli_group *groups;     /* ends with an entry without a table; NULL: none */
    size_t size;                 /* of its values, in bytes */
    bool computes;               /* runs networks on all processors for long */
    /* Takes words out of the command line before its options are read; returns the new argc. NULL: none. */
    int (*take)(int argc, char **argv, void *values);
    bool (*run)(cli_call *call, lk_error *err);
    const struct cli_command *const *subcommands; /* NULL-terminated; a command has these or `run` */
} cli_command;

/* One run of a command. */
struct cli_call {
    const cli_command *command;
    char name[64];           /* all words: "set info" */
    void *values;            /* command->size bytes */
    bool *given[CLI_GROUPS]; /* per group, per entry: the user said so */
    lk_strings words;
    json_t *result; /* what --json prints; made by the command, or NULL */
    bool json, quiet;
};

extern const cli_command *const cli_commands[]; /* NULL-terminated, in the order of the work */
extern const lk_option cli_common_table[];      /* what every command understands */

/* Text for people on stdout; nothing with --json or --quiet. */
void cli_say(const cli_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One more value of the result; takes over `value`. */
bool cli_result(cli_call *call, const char *key, json_t *value, lk_error *err);
/* LK_ERR_USAGE unless `value` was given. */
bool cli_need(const cli_call *call, const char *value, const char *option, lk_error *err);

void cli_overview(FILE *out);
bool cli_help(const cli_command *command, const char *name, FILE *out, lk_error *err);

/* News on stderr: bars on a terminal, plain lines elsewhere. */
void cli_terminal_start(bool quiet);
/* "likeness: …" after a bar's line has been ended. Bytes that would steer the terminal are shown as '?'. */
void cli_complain(const char *text);
/* Ctrl-C, SIGTERM and SIGHUP: asks to stop, the second time exits with 130. SIGUSR1: a preview while training. */
void cli_signals_start(void);

#endif
