/* options: an option is data. One table per command and per model, from which parsing, ranges, help text, JSON and
 * the documentation all come.
 *
 *     typedef struct { int crf; const char *out; } merge_args;
 *     static const lk_option table[] = {
 *         {"crf", 0, LK_OPT_INT, offsetof(merge_args, crf), "18", 0, 51, NULL, "N", "quality of the video, 0 is lossless"},
 *         {"output", 'o', LK_OPT_STRING, offsetof(merge_args, out), NULL, 0, 0, NULL, "FILE", "where the video goes"},
 *         {0},
 *     };
 */
#ifndef LIKENESS_OPTIONS_H
#define LIKENESS_OPTIONS_H

#include "likeness/base.h"
#if __has_include(<jansson.h>)
#include <jansson.h>
#else
typedef struct json_t json_t; /* nn and swap build without jansson */
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum lk_option_type {
    LK_OPT_FLAG,     /* bool: --name, --no-name */
    LK_OPT_INT,      /* int, in [min, max] */
    LK_OPT_U64,      /* uint64_t (seeds) */
    LK_OPT_FLOAT,    /* double, in [min, max] */
    LK_OPT_STRING,   /* char *, owned by the struct */
    LK_OPT_ENUM,     /* int: index into choices */
    LK_OPT_DURATION, /* double seconds: "90", "90s", "10m", "2h", "1d" */
    LK_OPT_BYTES,    /* uint64_t: "512M", "11G" */
    LK_OPT_LIST,     /* lk_strings: may be given several times, and with several values at once */
} lk_option_type;

typedef struct lk_strings {
    char **items;
    int count;
} lk_strings;

typedef struct lk_option {
    const char *name; /* long name without dashes, words joined by '-'; in JSON the dashes are underscores */
    char letter;      /* short name, or 0 */
    lk_option_type type;
    size_t offset;              /* of the field in the struct */
    const char *initial;        /* default, as one would type it; NULL: zero */
    double min, max;            /* range of numbers; both 0: any */
    const char *const *choices; /* for LK_OPT_ENUM, NULL-terminated */
    const char *argument;       /* how help names the value: "FILE" */
    const char *help;           /* one line, lower case, no full stop */
} lk_option;

/* A table ends with an entry whose name is NULL. */

bool lk_options_defaults(const lk_option *table, void *values, lk_error *err);
/* Set one option from text; LK_ERR_USAGE names the option, what was given, and what may be. */
bool lk_options_set(const lk_option *table, void *values, const char *name, const char *text, lk_error *err);
/* Parse argv[0..argc). Words that are no option (and everything after "--") go to `rest`. An unknown option is an
 * error that suggests the nearest name. `set_mask` (may be NULL) gets one bool per table entry: given or not. */
bool lk_options_parse(const lk_option *table, void *values, int argc, char **argv, lk_strings *rest, bool *set_mask,
                      lk_error *err);
void lk_options_free(const lk_option *table, void *values);
/* Help for all entries, as text to print, at most 100 columns wide; caller frees. */
char *lk_options_help(const lk_option *table, lk_error *err);

/* A command with the options of several rooms: one table each, over a struct each. Where two groups know the same
 * name or letter, it belongs to the first, and help shows it there only. */
typedef struct lk_option_group {
    const char *title; /* heading in the help: "Merging"; NULL: none */
    const lk_option *table;
    void *values;
    bool *given; /* one per entry of the table, made true where the user said so; NULL: not asked for */
} lk_option_group;

/* As lk_options_parse, over all groups. */
bool lk_option_groups_parse(const lk_option_group *groups, int count, int argc, char **argv, lk_strings *rest,
                            lk_error *err);
char *lk_option_groups_help(const lk_option_group *groups, int count, lk_error *err);
int lk_options_count(const lk_option *table);

/* The word that `word` was likely meant to be, of a list that ends with NULL; NULL when none is near. */
const char *lk_nearest(const char *word, const char *const *words);

/* New reference; NULL on lack of memory. */
json_t *lk_options_to_json(const lk_option *table, const void *values);
/* Fields that are absent keep their value; unknown fields, wrong types and ranges are errors. */
bool lk_options_from_json(const lk_option *table, void *values, const json_t *json, lk_error *err);

bool lk_strings_add(lk_strings *list, const char *s, lk_error *err);
void lk_strings_free(lk_strings *list);

/* JSON files: at most 64 MiB in; out as lk_file_write, indented. New reference. */
json_t *lk_json_read(const char *path, lk_error *err);
bool lk_json_write(const char *path, const json_t *json, lk_error *err);

#ifdef __cplusplus
}
#endif
#endif
