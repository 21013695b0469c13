#include "likeness/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *field(const lk_option *o, void *values) { return (char *)values + o->offset; }

static const lk_option *find(const lk_option *table, const char *name) {
    for (const lk_option *o = table; o->name; o++)
        if (strcmp(o->name, name) == 0) return o;
    return NULL;
}

static const lk_option *find_letter(const lk_option *table, char letter) {
    for (const lk_option *o = table; o->name; o++)
        if (o->letter == letter) return o;
    return NULL;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Levenshtein's distance of short names. */
static size_t distance(const char *a, const char *b) {
    size_t row[64], n = least(strlen(b), 62);
    for (size_t j = 0; j <= n; j++) row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t up = row[j + 1];
            row[j + 1] = least(least(up, row[j]) + 1, diagonal + (a[i] != b[j]));
            diagonal = up;
        }
    }
    return row[n];
}

/* Words that are meant alike: the longer, the more slips; a beginning counts as one. */
static size_t unlikeness(const char *word, const char *name) {
    size_t length = strlen(word);
    if (length > 1 && strncmp(word, name, length) == 0) return 1;
    size_t d = distance(word, name), most = length < 3 ? 1 : length < 6 ? 2 : 3;
    return d <= most ? d : SIZE_MAX;
}

static void nearer(const char *word, const char *name, const char **nearest, size_t *best) {
    size_t d = unlikeness(word, name);
    if (d >= *best) return;
    *best = d;
    *nearest = name;
}

const char *lk_nearest(const char *word, const char *const *words) {
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    for (; *words; words++) nearer(word, *words, &nearest, &best);
    return nearest;
}

static bool unknown(const lk_option_group *groups, int count, const char *dashes, const char *name, lk_error *err) {
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    for (int i = 0; i < count; i++)
        for (const lk_option *o = groups[i].table; o->name; o++) nearer(name, o->name, &nearest, &best);
    if (nearest)
        return lk_fail(err, LK_ERR_USAGE, "there is no option %s%s; did you mean --%s?", dashes, name, nearest);
    return lk_fail(err, LK_ERR_USAGE, "there is no option %s%s; --help lists those there are", dashes, name);
}

bool lk_strings_add(lk_strings *list, const char *s, lk_error *err) {
    char **items = realloc(list->items, (size_t)(list->count + 1) * sizeof *items);
    if (!items) return lk_fail(err, LK_ERR_MEMORY, "out of memory");
    list->items = items;
    items[list->count] = lk_strdup(s, err);
    if (!items[list->count]) return false;
    list->count++;
    return true;
}

void lk_strings_free(lk_strings *list) {
    for (int i = 0; i < list->count; i++) free(list->items[i]);
    free(list->items);
    *list = (lk_strings){0};
}

static void free_value(const lk_option *o, void *values) {
    if (o->type == LK_OPT_STRING) {
        char **s = field(o, values);
        free(*s);
        *s = NULL;
    } else if (o->type == LK_OPT_LIST) {
        lk_strings_free(field(o, values));
    }
}

void lk_options_free(const lk_option *table, void *values) {
    for (const lk_option *o = table; o->name; o++) free_value(o, values);
}

static bool out_of_range(const lk_option *o, double value) {
    return (o->min != 0 || o->max != 0) && (value < o->min || value > o->max);
}

static bool bad_value(const lk_option *o, const char *text, lk_error *err) {
    static const char *const wanted[] = {
        [LK_OPT_FLAG] = "yes or no",
        [LK_OPT_INT] = "a whole number",
        [LK_OPT_U64] = "a whole number from 0",
        [LK_OPT_FLOAT] = "a number",
        [LK_OPT_STRING] = "a text",
        [LK_OPT_ENUM] = "one of its choices",
        [LK_OPT_DURATION] = "a time such as 90s, 10m or 2h",
        [LK_OPT_BYTES] = "a size such as 512M or 11G",
        [LK_OPT_LIST] = "a text",
    };
    char range[80] = "";
    if (o->min != 0 || o->max != 0) snprintf(range, sizeof range, " from %.10g to %.10g", o->min, o->max);
    return lk_fail(err, LK_ERR_USAGE, "--%s takes %s%s, not '%s'", o->name, wanted[o->type], range, text);
}

/* A number and its unit, whose factor is looked up in `units` ("s1 m60"-like pairs). */
static bool with_unit(const char *text, const char *letters, const double *factors, double *value) {
    char *end;
    errno = 0;
    *value = strtod(text, &end);
    if (end == text || errno || !isfinite(*value)) return false;
    if (!*end) return true;
    const char *at = strchr(letters, *end);
    if (!at || end[1]) return false;
    *value *= factors[at - letters];
    return true;
}

static bool set_number(const lk_option *o, void *to, const char *text, lk_error *err) {
    static const double seconds[] = {1, 60, 3600, 86400};
    static const double bytes[] = {0x1p10, 0x1p20, 0x1p30, 0x1p40, 0x1p10, 0x1p20, 0x1p30, 0x1p40};
    char *end = NULL;
    double value = 0;
    errno = 0;
    switch (o->type) {
    case LK_OPT_INT: {
        long n = strtol(text, &end, 10);
        if (end == text || *end || errno || n < INT32_MIN || n > INT32_MAX || out_of_range(o, (double)n))
            return bad_value(o, text, err);
        *(int *)to = (int)n;
        return true;
    }
    case LK_OPT_U64: {
        unsigned long long n = strtoull(text, &end, 10);
        if (end == text || *end || errno || strchr(text, '-')) return bad_value(o, text, err);
        *(uint64_t *)to = n;
        return true;
    }
    case LK_OPT_FLOAT:
        value = strtod(text, &end);
        if (end == text || *end || errno || !isfinite(value) || out_of_range(o, value)) return bad_value(o, text, err);
        *(double *)to = value;
        return true;
    case LK_OPT_DURATION:
        if (!with_unit(text, "smhd", seconds, &value) || value < 0 || out_of_range(o, value))
            return bad_value(o, text, err);
        *(double *)to = value;
        return true;
    default:
        if (!with_unit(text, "kMGTKmgt", bytes, &value) || value < 0 || value > 0x1p60) return bad_value(o, text, err);
        *(uint64_t *)to = (uint64_t)value;
        return true;
    }
}

static bool set_enum(const lk_option *o, int *to, const char *text, lk_error *err) {
    char list[400] = "";
    for (int i = 0; o->choices[i]; i++) {
        if (strcmp(o->choices[i], text) == 0) {
            *to = i;
            return true;
        }
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", o->choices[i]);
    }
    return lk_fail(err, LK_ERR_USAGE, "--%s is one of %s, not '%s'", o->name, list, text);
}

static bool set_value(const lk_option *o, void *values, const char *text, lk_error *err) {
    void *to = field(o, values);
    switch (o->type) {
    case LK_OPT_FLAG:
        if (strcmp(text, "yes") == 0 || strcmp(text, "true") == 0 || strcmp(text, "1") == 0)
            *(bool *)to = true;
        else if (strcmp(text, "no") == 0 || strcmp(text, "false") == 0 || strcmp(text, "0") == 0)
            *(bool *)to = false;
        else
            return bad_value(o, text, err);
        return true;
    case LK_OPT_STRING: {
        char *copy = lk_strdup(text, err);
        if (!copy) return false;
        free_value(o, values);
        *(char **)to = copy;
        return true;
    }
    case LK_OPT_LIST:
        return lk_strings_add(to, text, err);
    case LK_OPT_ENUM:
        return set_enum(o, to, text, err);
    default:
        return set_number(o, to, text, err);
    }
}

bool lk_options_defaults(const lk_option *table, void *values, lk_error *err) {
    for (const lk_option *o = table; o->name; o++)
        if (o->initial && !set_value(o, values, o->initial, err)) return false;
    return true;
}

bool lk_options_set(const lk_option *table, void *values, const char *name, const char *text, lk_error *err) {
    const lk_option *o = find(table, name);
    if (!o) return unknown(&(lk_option_group){.table = table}, 1, "--", name, err);
    return set_value(o, values, text, err);
}

/* The group that knows a long name (or, without one, a letter) and its entry there. */
static const lk_option_group *find_in(const lk_option_group *groups, int count, const char *name, char letter,
                                      const lk_option **found) {
    for (int i = 0; i < count; i++) {
        *found = name ? find(groups[i].table, name) : find_letter(groups[i].table, letter);
        if (*found) return &groups[i];
    }
    return NULL;
}

static bool parse_one(const lk_option_group *groups, int count, int argc, char **argv, int *i, lk_error *err) {
    const char *word = argv[*i], *value = NULL;
    const lk_option_group *g;
    const lk_option *o;
    if (word[1] == '-') {
        char name[64];
        const char *equals = strchr(word, '=');
        snprintf(name, sizeof name, "%.*s", (int)(equals ? equals - word - 2 : 61), word + 2);
        value = equals ? equals + 1 : NULL;
        g = find_in(groups, count, name, 0, &o);
        if (!g && !value && strncmp(name, "no-", 3) == 0) {
            g = find_in(groups, count, name + 3, 0, &o);
            if (g && o->type != LK_OPT_FLAG) g = NULL;
            value = "no";
        }
        if (!g) return unknown(groups, count, "--", name, err);
    } else {
        g = find_in(groups, count, NULL, word[1], &o);
        if (!g) return unknown(groups, count, "-", word + 1, err);
        if (word[2]) value = word + 2;
    }
    if (g->given) g->given[o - g->table] = true;
    if (o->type == LK_OPT_FLAG) return set_value(o, g->values, value ? value : "yes", err);
    if (!value) {
        if (*i + 1 >= argc)
            return lk_fail(err, LK_ERR_USAGE, "--%s needs a value: --%s %s", o->name, o->name,
                           o->argument ? o->argument : "VALUE");
        value = argv[++*i];
    }
    if (!set_value(o, g->values, value, err)) return false;
    while (o->type == LK_OPT_LIST && *i + 1 < argc && argv[*i + 1][0] != '-')
        if (!set_value(o, g->values, argv[++*i], err)) return false;
    return true;
}

bool lk_option_groups_parse(const lk_option_group *groups, int count, int argc, char **argv, lk_strings *rest,
                            lk_error *err) {
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            while (++i < argc)
                if (!lk_strings_add(rest, argv[i], err)) return false;
        } else if (argv[i][0] == '-' && argv[i][1]) {
            if (!parse_one(groups, count, argc, argv, &i, err)) return false;
        } else if (!lk_strings_add(rest, argv[i], err)) {
            return false;
        }
    }
    return true;
}

bool lk_options_parse(const lk_option *table, void *values, int argc, char **argv, lk_strings *rest, bool *set_mask,
                      lk_error *err) {
    return lk_option_groups_parse(&(lk_option_group){NULL, table, values, set_mask}, 1, argc, argv, rest, err);
}

int lk_options_count(const lk_option *table) {
    int n = 0;
    while (table[n].name) n++;
    return n;
}

static void describe(const lk_option *o, char *left, size_t left_size, char *right, size_t right_size) {
    char argument[200] = "";
    if (o->type == LK_OPT_ENUM) {
        for (int i = 0; o->choices[i]; i++) {
            size_t used = strlen(argument);
            snprintf(argument + used, sizeof argument - used, "%s%s", i ? "|" : " ", o->choices[i]);
        }
    } else if (o->type != LK_OPT_FLAG) {
        snprintf(argument, sizeof argument, " %s%s", o->argument ? o->argument : "VALUE",
                 o->type == LK_OPT_LIST ? " …" : "");
    }
    char letter[8] = "    ";
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    bool on = o->type == LK_OPT_FLAG && o->initial && strcmp(o->initial, "yes") == 0;
    snprintf(left, left_size, "  %s--%s%s%s", letter, on ? "no-" : "", o->name, argument);
    char range[64] = "", initial[80] = "";
    if ((o->min != 0 || o->max != 0) && o->type != LK_OPT_FLAG)
        snprintf(range, sizeof range, "%.10g–%.10g", o->min, o->max);
    if (o->initial && *o->initial && o->type != LK_OPT_FLAG)
        snprintf(initial, sizeof initial, "default %s", o->initial);
    bool both = *range && *initial, any = *range || *initial;
    snprintf(right, right_size, "%s%s%s%s%s%s%s", on ? "do not: " : "", o->help, any ? " [" : "", range,
             both ? ", " : "", initial, any ? "]" : "");
}

/* Characters as a terminal counts them: UTF-8's continuation bytes are none. */
static size_t columns(const char *s) {
    size_t n = 0;
    for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

enum { HELP_INDENT = 34, HELP_WIDTH = 100 };

/* Words from the indent on, as many to a line as fit. */
static void print_wrapped(FILE *out, const char *text) {
    size_t at = HELP_INDENT;
    while (*text) {
        size_t length = strcspn(text, " ");
        char word[500];
        snprintf(word, sizeof word, "%.*s", (int)length, text);
        size_t width = columns(word);
        if (at > HELP_INDENT && at + 1 + width > HELP_WIDTH) {
            fprintf(out, "\n%*s", HELP_INDENT, "");
            at = HELP_INDENT;
        }
        at += (size_t)fprintf(out, "%s", at > HELP_INDENT ? " " : "") + width;
        fputs(word, out);
        text += length;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void print_option(FILE *out, const lk_option *o) {
    char left[320], right[500];
    describe(o, left, sizeof left, right, sizeof right);
    size_t width = columns(left);
    if (width < HELP_INDENT - 1)
        fprintf(out, "%s%*s", left, (int)(HELP_INDENT - width), "");
    else
        fprintf(out, "%s\n%*s", left, HELP_INDENT, "");
    print_wrapped(out, right);
}

/* Entries that an earlier group has under the same name are left out, and a heading with nothing under it too. */
static void print_group(FILE *out, const lk_option_group *groups, int which) {
    bool begun = false;
    const lk_option *earlier;
    for (const lk_option *o = groups[which].table; o->name; o++) {
        if (find_in(groups, which, o->name, 0, &earlier)) continue;
        if (!begun && groups[which].title) fprintf(out, "%s%s\n", which > 0 ? "\n" : "", groups[which].title);
        begun = true;
        print_option(out, o);
    }
}

char *lk_option_groups_help(const lk_option_group *groups, int count, lk_error *err) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        lk_fail(err, LK_ERR_MEMORY, "out of memory");
        return NULL;
    }
    for (int i = 0; i < count; i++) print_group(out, groups, i);
    fclose(out);
    return text;
}

char *lk_options_help(const lk_option *table, lk_error *err) {
    return lk_option_groups_help(&(lk_option_group){.table = table}, 1, err);
}

static void json_name(const lk_option *o, char name[64]) {
    snprintf(name, 64, "%s", o->name);
    for (char *c = name; *c; c++)
        if (*c == '-') *c = '_';
}

static json_t *value_to_json(const lk_option *o, const void *from) {
    switch (o->type) {
    case LK_OPT_FLAG:
        return json_boolean(*(const bool *)from);
    case LK_OPT_INT:
        return json_integer(*(const int *)from);
    case LK_OPT_U64:
    case LK_OPT_BYTES:
        return json_integer((json_int_t) * (const uint64_t *)from);
    case LK_OPT_FLOAT:
    case LK_OPT_DURATION:
        return json_real(*(const double *)from);
    case LK_OPT_STRING:
        return *(char *const *)from ? json_string(*(char *const *)from) : json_null();
    case LK_OPT_ENUM:
        return json_string(o->choices[*(const int *)from]);
    case LK_OPT_LIST: {
        const lk_strings *list = from;
        json_t *array = json_array();
        for (int i = 0; i < list->count; i++) json_array_append_new(array, json_string(list->items[i]));
        return array;
    }
    }
    return NULL;
}

json_t *lk_options_to_json(const lk_option *table, const void *values) {
    json_t *object = json_object();
    for (const lk_option *o = table; object && o->name; o++) {
        char name[64];
        json_name(o, name);
        if (json_object_set_new(object, name, value_to_json(o, (const char *)values + o->offset)) != 0) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}

static bool value_from_json(const lk_option *o, void *values, const json_t *json, lk_error *err) {
    char text[64];
    if (json_is_null(json) && o->type == LK_OPT_STRING) {
        free_value(o, values);
        return true;
    }
    if (json_is_array(json) && o->type == LK_OPT_LIST) {
        free_value(o, values);
        for (size_t i = 0; i < json_array_size(json); i++) {
            const char *item = json_string_value(json_array_get(json, i));
            if (!item) return lk_fail(err, LK_ERR_FORMAT, "option %s holds something that is no text", o->name);
            if (!set_value(o, values, item, err)) return false;
        }
        return true;
    }
    if (json_is_string(json)) return set_value(o, values, json_string_value(json), err);
    if (json_is_boolean(json) && o->type == LK_OPT_FLAG)
        return set_value(o, values, json_is_true(json) ? "yes" : "no", err);
    if (json_is_integer(json))
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
    else if (json_is_real(json))
        snprintf(text, sizeof text, "%.17g", json_real_value(json));
    else
        return lk_fail(err, LK_ERR_FORMAT, "option %s holds a value of the wrong type", o->name);
    return set_value(o, values, text, err);
}

bool lk_options_from_json(const lk_option *table, void *values, const json_t *json, lk_error *err) {
    if (!json_is_object(json)) return lk_fail(err, LK_ERR_FORMAT, "the options are no JSON object");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)json, key, value) {
        const lk_option *match = NULL;
        for (const lk_option *o = table; o->name && !match; o++) {
            char name[64];
            json_name(o, name);
            if (strcmp(name, key) == 0) match = o;
        }
        if (!match) return lk_fail(err, LK_ERR_FORMAT, "there is no option '%.60s'", key);
        if (!value_from_json(match, values, value, err)) return false;
    }
    return true;
}
