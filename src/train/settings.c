/* Settings: what the user chose, as text, with the iteration from which it holds. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of one run: not stored with the model. */
static const char *const of_a_run[] = {"time", "device"};
/* Read once, when training starts: they cannot follow a schedule. */
static const char *const fixed_in_a_run[] = {"time", "iterations", "seed", "device", "holdout"};

static bool among(const char *const *names, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

bool lk_setting_kept(const lk_setting *s) { return !among(of_a_run, LK_COUNT(of_a_run), s->option->name); }

bool lk_option_text(const lk_option *table, const void *values, int i, char *text, size_t size, lk_error *err) {
    char name[64];
    snprintf(name, sizeof name, "%s", table[i].name);
    for (char *c = name; *c; c++)
        if (*c == '-') *c = '_';
    json_t *json = lk_options_to_json(table, values);
    const json_t *v = json_object_get(json, name);
    if (json_is_boolean(v))
        snprintf(text, size, "%s", json_is_true(v) ? "yes" : "no");
    else if (json_is_integer(v))
        snprintf(text, size, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_real(v))
        snprintf(text, size, "%.12g", json_real_value(v));
    else
        snprintf(text, size, "%s", json_is_string(v) ? json_string_value(v) : "");
    json_decref(json);
    return json || lk_fail(err, LK_ERR_MEMORY, "out of memory for the options");
}

static bool add_table(lk_settings *s, const lk_option *table, const void *values, bool of_objective, lk_error *err) {
    for (int i = 0; table[i].name && s->count < LK_MOST_SETTINGS; i++) {
        lk_setting *to = &s->items[s->count++];
        *to = (lk_setting){.option = &table[i], .of_objective = of_objective, .count = 1};
        if (!lk_option_text(table, values, i, to->steps[0].value, sizeof to->steps[0].value, err)) return false;
    }
    return true;
}

bool lk_settings_start(lk_settings *s, const lk_swap_objective *objective, const lk_train_options *options,
                       lk_error *err) {
    *s = (lk_settings){0};
    return add_table(s, lk_swap_objective_options, objective, true, err) &&
           add_table(s, lk_train_option_table, options, false, err);
}

static bool same_name(const char *a, const char *b) {
    for (; *a && *b; a++, b++)
        if (*a != *b && !((*a == '-' || *a == '_') && (*b == '-' || *b == '_'))) return false;
    return *a == *b;
}

const lk_setting *lk_settings_find(const lk_settings *s, const char *name) {
    for (int i = 0; i < s->count; i++)
        if (same_name(s->items[i].option->name, name)) return &s->items[i];
    return NULL;
}

static const lk_option *table_of(const lk_setting *s) {
    return s->of_objective ? lk_swap_objective_options : lk_train_option_table;
}

static void *struct_of(const lk_setting *s, lk_now_set *now) {
    return s->of_objective ? (void *)&now->objective : (void *)&now->options;
}

/* "VALUE" or "VALUE@ITERATION"; checked by setting it somewhere. */
static bool parse_step(lk_setting *s, char *text, lk_error *err) {
    if (s->count == LK_MOST_STEPS)
        return lk_fail(err, LK_ERR_USAGE, "--%s: a schedule has at most %d steps", s->option->name, LK_MOST_STEPS);
    int64_t from = 0;
    char *at = strchr(text, '@'), *end;
    if (at) {
        *at++ = 0;
        from = strtoll(at, &end, 10);
        if (end == at || *end || from < 0)
            return lk_fail(err, LK_ERR_USAGE, "--%s: '%s' is no iteration; a schedule reads VALUE@ITERATION,…",
                           s->option->name, at);
    }
    if (s->count == 0 ? from != 0 : from <= s->steps[s->count - 1].from)
        return lk_fail(err, LK_ERR_USAGE, "--%s: a schedule begins at iteration 0 and its iterations grow",
                       s->option->name);
    lk_now_set scratch;
    if (strlen(text) >= sizeof s->steps[0].value)
        return lk_fail(err, LK_ERR_USAGE, "--%s: '%.40s…' is too long", s->option->name, text);
    if (!lk_options_set(table_of(s), struct_of(s, &scratch), s->option->name, text, err)) return false;
    lk_setting_step *step = &s->steps[s->count++];
    step->from = from;
    snprintf(step->value, sizeof step->value, "%s", text);
    return true;
}

/* "100..200": on in between. */
static bool parse_span(lk_setting *s, const char *text, lk_error *err) {
    char *end, *last;
    int64_t from = strtoll(text, &end, 10), to = strncmp(end, "..", 2) == 0 ? strtoll(end + 2, &last, 10) : -1;
    if (end == text || from < 0 || to <= from || *last)
        return lk_fail(err, LK_ERR_USAGE, "--%s takes FROM..TO, two growing iterations, not '%s'", s->option->name,
                       text);
    s->count = 0;
    if (from > 0) s->steps[s->count++] = (lk_setting_step){0, "no"};
    s->steps[s->count++] = (lk_setting_step){from, "yes"};
    s->steps[s->count++] = (lk_setting_step){to, "no"};
    return true;
}

bool lk_settings_set(lk_settings *all, const char *name, const char *text, lk_error *err) {
    lk_setting *s = (lk_setting *)(uintptr_t)lk_settings_find(all, name);
    if (!s) {
        const char *names[LK_MOST_SETTINGS + 1] = {0}, *near;
        for (int i = 0; i < all->count; i++) names[i] = all->items[i].option->name;
        near = lk_nearest(name, names);
        return lk_fail(err, LK_ERR_USAGE, "there is no option '%.60s' that training could change%s%s%s", name,
                       near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    if (strpbrk(text, "@,") && among(fixed_in_a_run, LK_COUNT(fixed_in_a_run), s->option->name))
        return lk_fail(err, LK_ERR_USAGE, "--%s cannot follow a schedule: it holds for a whole run", s->option->name);
    lk_setting fresh = {.option = s->option, .of_objective = s->of_objective};
    if (s->option->type == LK_OPT_FLAG && strstr(text, "..")) {
        if (!parse_span(&fresh, text, err)) return false;
        *s = fresh;
        return true;
    }
    char *copy = lk_strdup(text, err), *save = NULL;
    if (!copy) return false;
    bool ok = true;
    for (char *part = strtok_r(copy, ", ", &save); ok && part; part = strtok_r(NULL, ", ", &save))
        ok = parse_step(&fresh, part, err);
    free(copy);
    if (ok && fresh.count == 0) ok = lk_fail(err, LK_ERR_USAGE, "--%s needs a value", s->option->name);
    if (ok) *s = fresh;
    return ok;
}

void lk_setting_text(const lk_setting *s, char text[LK_SETTING_TEXT]) {
    size_t used = 0;
    for (int i = 0; i < s->count; i++) {
        const lk_setting_step *step = &s->steps[i];
        if (s->count == 1)
            snprintf(text, LK_SETTING_TEXT, "%s", step->value);
        else
            used += (size_t)snprintf(text + used, LK_SETTING_TEXT - used, "%s%s@%lld", i ? "," : "", step->value,
                                     (long long)step->from);
    }
}

bool lk_settings_at(const lk_settings *s, int64_t iteration, lk_now_set *now, lk_error *err) {
    for (int i = 0; i < s->count; i++) {
        const lk_setting *item = &s->items[i];
        int k = 0;
        while (k + 1 < item->count && item->steps[k + 1].from <= iteration) k++;
        if (!lk_options_set(table_of(item), struct_of(item, now), item->option->name, item->steps[k].value, err))
            return false;
    }
    return true;
}

double lk_settings_largest(const lk_settings *s, const char *name, int64_t iteration) {
    const lk_setting *item = lk_settings_find(s, name);
    double largest = 0;
    for (int k = 0; k < item->count; k++) {
        bool over = k + 1 < item->count && item->steps[k + 1].from <= iteration;
        double value = atof(item->steps[k].value);
        if (!over && value > largest) largest = value;
    }
    return largest;
}
