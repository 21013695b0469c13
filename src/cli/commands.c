#include "cli.h"

extern const cli_command cli_models, cli_extract, cli_set;

const cli_command *const cli_commands[] = {&cli_extract, &cli_set, &cli_models, NULL};
