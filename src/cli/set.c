#include "set.h"

static const cli_command *const subcommands[] = {
    &cli_set_info,
    &cli_set_sheet,
    NULL,
};

const cli_command cli_set = {
    .name = "set",
    .purpose = "look at a .faces file",
    .usage = "COMMAND SET.faces [options]",
    .subcommands = subcommands,
};
