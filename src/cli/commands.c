#include "cli.h"

extern const cli_command cli_swap, cli_extract, cli_set, cli_mask, cli_plan, cli_train, cli_model, cli_evaluate,
    cli_merge, cli_models;

const cli_command *const cli_commands[] = {
    &cli_swap,  &cli_extract,  &cli_set,   &cli_mask,   &cli_plan, &cli_train,
    &cli_model, &cli_evaluate, &cli_merge, &cli_models, NULL,
};
