/* The commands below `likeness set`, a file each: set_NAME.c. set.c lists them. */
#ifndef LIKENESS_CLI_SET_H
#define LIKENESS_CLI_SET_H

#include "cli.h"
#include "likeness/faceset.h"

extern const cli_command cli_set_info, cli_set_sheet;

#endif
