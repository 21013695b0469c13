#include <stdio.h>
#include <stdlib.h>

#include "cli.h"

static void list(FILE *out, const cli_command *const *commands) {
    for (; *commands; commands++) fprintf(out, "  %-11s%s\n", (*commands)->name, (*commands)->purpose);
}

void cli_overview(FILE *out) {
    fprintf(out, "likeness %s: learn one person's face, and put it on another's in video\n\n", LK_VERSION);
    fprintf(out, "All in one command (A: the face that is wanted; B: the video it goes into):\n"
                 "  likeness swap --src A.mp4 --dst B.mp4 -o OUT.mp4\n\n"
                 "Commands\n");
    list(out, cli_commands);
    fprintf(out, "  %-11s%s\n", "help", "say more about a command: likeness help extract");
    fprintf(out, "\nlikeness --version prints the version.\n");
}

/* Own groups first, then what every command understands. Help needs no values. */
static bool print_options(const cli_command *c, FILE *out, lk_error *err) {
    lk_option_group groups[CLI_GROUPS + 1];
    int n = 0;
    for (; c->groups && n < CLI_GROUPS && c->groups[n].table; n++)
        groups[n] = (lk_option_group){c->groups[n].title, c->groups[n].table, NULL, NULL};
    groups[n++] = (lk_option_group){"Always", cli_common_table, NULL, NULL};
    char *text = lk_option_groups_help(groups, n, err);
    if (!text) return false;
    fputs(text, out);
    free(text);
    return true;
}

bool cli_help(const cli_command *c, const char *name, FILE *out, lk_error *err) {
    fprintf(out, "likeness %s: %s\n\nusage: likeness %s %s\n", name, c->purpose, name, c->usage);
    if (c->about) fprintf(out, "\n%s\n", c->about);
    if (c->subcommands) {
        fprintf(out, "\nCommands\n");
        list(out, c->subcommands);
        fprintf(out, "\nlikeness help %s COMMAND says more about one.\n", name);
        return true;
    }
    if (c->examples) fprintf(out, "\nExamples\n%s\n", c->examples);
    fprintf(out, "\n");
    if (!print_options(c, out, err)) return false;
    if (c->next) fprintf(out, "\nNext\n%s\n", c->next);
    return true;
}
