/* The work folder of `likeness swap`: what it is for, so that a later run knows what of it still holds.
 *
 *     WORK/swap.json    the videos (by fingerprint), and how their faces were extracted
 *     WORK/src.faces    WORK/dst.faces    WORK/model/ */
#ifndef LIKENESS_CLI_WORK_H
#define LIKENESS_CLI_WORK_H

#include "likeness/faceset.h"

typedef struct cli_work {
    char *folder, *note, *src_faces, *dst_faces, *model;
    json_t *record;
} cli_work;

/* What makes one swap differ from another. */
typedef struct cli_swap_inputs {
    const lk_strings *src;
    const char *dst;
    const lk_extract_options *extract; /* of both; first and max are of dst */
} cli_swap_inputs;

/* Opens the folder, made when absent. One that belongs to other videos is an error; where extraction was asked for
 * differently, the faces go, to be extracted again. */
bool cli_work_open(cli_work *w, const char *folder, const cli_swap_inputs *inputs, lk_error *err);
/* src.faces has been cleared of other people. */
bool cli_work_is_chosen(const cli_work *w);
bool cli_work_set_chosen(cli_work *w, lk_error *err);
void cli_work_close(cli_work *w);

#endif
