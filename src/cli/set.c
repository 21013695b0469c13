#include "set.h"

static const cli_command *const subcommands[] = {
    &cli_set_info,
    &cli_set_sheet,
    &cli_set_list,
    &cli_set_sort,
    &cli_set_select,
    &cli_set_best,
    &cli_set_duplicates,
    &cli_set_people,
    &cli_set_remove,
    &cli_set_restore,
    &cli_set_prune,
    &cli_set_describe,
    &cli_set_import,
    &cli_set_export,
    &cli_set_report,
    &cli_set_suspects,
    &cli_set_landmarks,
    &cli_set_mask,
    NULL,
};

const cli_command cli_set = {
    .name = "set",
    .purpose = "look at a .faces file, sort, choose, take faces in and out",
    .usage = "COMMAND SET.faces [options]",
    .subcommands = subcommands,
};
