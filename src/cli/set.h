/* The commands below `likeness set`, a file each: set_NAME.c. set.c lists them. */
#ifndef LIKENESS_CLI_SET_H
#define LIKENESS_CLI_SET_H

#include "cli.h"
#include "likeness/curate.h"

extern const cli_command cli_set_info, cli_set_sheet, cli_set_list, cli_set_sort, cli_set_select, cli_set_best,
    cli_set_duplicates, cli_set_people, cli_set_remove, cli_set_restore, cli_set_prune, cli_set_describe,
    cli_set_import, cli_set_export, cli_set_report, cli_set_suspects, cli_set_landmarks, cli_set_mask;

#endif
