/* model.json: what a save is, and how it came to be. docs/model-folder.md has the keys. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT 1

const char *const lk_saved_kinds[LK_SAVED_FILES] = {"weights", "optimizer", "latest"};

lk_saved_file *lk_saved_file_of(lk_record *r, int kind) {
    lk_saved_file *f[LK_SAVED_FILES] = {&r->weights, &r->optimizer, &r->latest};
    return *f[kind]->name ? f[kind] : NULL;
}

void lk_record_free(lk_record *r) {
    lk_strings_free(&r->src);
    lk_strings_free(&r->dst);
    json_decref(r->changes);
    *r = (lk_record){0};
}

bool lk_record_add_change(lk_record *r, const char *option, const char *from, const char *to, lk_error *err) {
    json_t *change = json_pack("{s:I, s:s, s:s, s:s}", "iteration", (json_int_t)r->iteration, "option", option, "from",
                               from, "to", to);
    if (!r->changes) r->changes = json_array();
    if (change && json_array_append_new(r->changes, change) == 0) return true;
    return lk_fail(err, LK_ERR_MEMORY, "out of memory");
}

/* SHA-256 of everything but the checksum itself, in compact form with sorted keys. */
static bool checksum(const json_t *record, char hex[65], lk_error *err) {
    json_t *copy = json_copy((json_t *)(uintptr_t)record);
    if (copy) json_object_del(copy, "sha256");
    char *text = copy ? json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(copy);
    if (!text) return lk_fail(err, LK_ERR_MEMORY, "out of memory");
    lk_sha256(text, strlen(text), hex);
    free(text);
    return true;
}

/* ---- Writing --------------------------------------------------------------------------------------------- */

static json_t *settings_json(const lk_settings *s) {
    json_t *json = json_object();
    for (int i = 0; i < s->count; i++) {
        char text[LK_SETTING_TEXT];
        if (!lk_setting_kept(&s->items[i])) continue;
        lk_setting_text(&s->items[i], text);
        json_object_set_new(json, s->items[i].option->name, json_string(text));
    }
    return json;
}

static json_t *strings_json(const lk_strings *list) {
    json_t *json = json_array();
    for (int i = 0; i < list->count; i++) json_array_append_new(json, json_string(list->items[i]));
    return json;
}

static json_t *file_json(const lk_saved_file *f) {
    return json_pack("{s:s, s:s}", "name", f->name, "sha256", f->sha256);
}

static json_t *files_json(const lk_record *r) {
    json_t *json = json_pack("{s:o, s:o}", "weights", file_json(&r->weights), "optimizer", file_json(&r->optimizer));
    if (json && *r->latest.name) json_object_set_new(json, "latest", file_json(&r->latest));
    return json;
}

json_t *lk_record_json(const lk_record *r) {
    json_t *changes = r->changes ? json_incref(r->changes) : json_array();
    return json_pack("{s:i, s:s, s:I, s:I, s:f, s:I, s:I, s:I, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "format", FORMAT,
                     "program", "likeness " LK_VERSION, "number", (json_int_t)r->number, "iteration",
                     (json_int_t)r->iteration, "seconds", r->seconds, "position", (json_int_t)r->position,
                     "optimizer_steps", (json_int_t)r->optimizer_steps, "turn", (json_int_t)r->turn, "pretraining",
                     (int)r->pretraining, "architecture", lk_options_to_json(lk_swap_options, &r->config), "options",
                     settings_json(&r->settings), "changes", changes, "src", strings_json(&r->src), "dst",
                     strings_json(&r->dst), "files", files_json(r));
}

bool lk_record_write(const lk_record *r, const char *path, lk_error *err) {
    json_t *json = lk_record_json(r);
    char hex[65];
    bool ok = json || lk_fail(err, LK_ERR_MEMORY, "out of memory");
    ok = ok && checksum(json, hex, err) && json_object_set_new(json, "sha256", json_string(hex)) == 0 &&
         lk_json_write(path, json, err);
    json_decref(json);
    return ok;
}

/* ---- Reading --------------------------------------------------------------------------------------------- */

static bool whole(const json_t *json, const char *key, int64_t *value, lk_error *err) {
    const json_t *v = json_object_get(json, key);
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > (json_int_t)1 << 47)
        return lk_fail(err, LK_ERR_FORMAT, "'%s' is not a whole number in its range", key);
    *value = json_integer_value(v);
    return true;
}

static bool file_from(const json_t *files, const char *key, lk_saved_file *f, lk_error *err) {
    const json_t *entry = json_object_get(files, key);
    const char *name = json_string_value(json_object_get(entry, "name"));
    const char *hex = json_string_value(json_object_get(entry, "sha256"));
    if (!name || !hex || !*name || strlen(name) >= sizeof f->name || strchr(name, '/') || *name == '.' ||
        strlen(hex) != 64)
        return lk_fail(err, LK_ERR_FORMAT, "the file of its %s is not named as it should be", key);
    snprintf(f->name, sizeof f->name, "%s", name);
    snprintf(f->sha256, sizeof f->sha256, "%s", hex);
    return true;
}

static bool strings_from(const json_t *json, const char *key, lk_strings *list, lk_error *err) {
    const json_t *array = json_object_get(json, key);
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *s = json_string_value(json_array_get(array, i));
        if (!s) return lk_fail(err, LK_ERR_FORMAT, "'%s' holds something that is no path", key);
        if (!lk_strings_add(list, s, err)) return false;
    }
    return true;
}

static bool settings_from(const json_t *json, lk_settings *s, lk_error *err) {
    lk_swap_objective objective = {0};
    lk_train_options options = {0};
    if (!lk_options_defaults(lk_swap_objective_options, &objective, err) ||
        !lk_options_defaults(lk_train_option_table, &options, err) || !lk_settings_start(s, &objective, &options, err))
        return false;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)json, name, value) {
        if (!json_is_string(value)) return lk_fail(err, LK_ERR_FORMAT, "option '%.60s' is no text", name);
        if (!lk_settings_set(s, name, json_string_value(value), err)) return false;
    }
    return true;
}

static bool from_json(lk_record *r, const json_t *json, lk_error *err) {
    int64_t format = 0, turn = 0;
    char hex[65];
    if (!json_is_object(json)) return lk_fail(err, LK_ERR_FORMAT, "it is no JSON object");
    if (!whole(json, "format", &format, err)) return false;
    if (format > FORMAT)
        return lk_fail(err, LK_ERR_UNSUPPORTED, "it was written by a newer version of Likeness (format %lld)",
                       (long long)format);
    const char *want = json_string_value(json_object_get(json, "sha256"));
    if (!checksum(json, hex, err)) return false;
    if (!want || strcmp(want, hex) != 0) return lk_fail(err, LK_ERR_FORMAT, "its checksum does not fit its content");
    const json_t *files = json_object_get(json, "files"), *changes = json_object_get(json, "changes");
    r->seconds = json_number_value(json_object_get(json, "seconds"));
    if (!(r->seconds >= 0) || !isfinite(r->seconds)) return lk_fail(err, LK_ERR_FORMAT, "'seconds' is no time");
    if (!json_is_array(changes)) return lk_fail(err, LK_ERR_FORMAT, "'changes' is no list");
    r->changes = json_deep_copy(changes);
    bool ok = whole(json, "iteration", &r->iteration, err) && whole(json, "position", &r->position, err) &&
              whole(json, "optimizer_steps", &r->optimizer_steps, err) && whole(json, "turn", &turn, err) &&
              whole(json, "number", &r->number, err);
    if (ok) r->turn = (uint64_t)turn;
    r->pretraining = json_is_true(json_object_get(json, "pretraining"));
    return ok && file_from(files, "weights", &r->weights, err) && file_from(files, "optimizer", &r->optimizer, err) &&
           (!json_object_get(files, "latest") || file_from(files, "latest", &r->latest, err)) &&
           strings_from(json, "src", &r->src, err) && strings_from(json, "dst", &r->dst, err) &&
           lk_options_from_json(lk_swap_options, &r->config, json_object_get(json, "architecture"), err) &&
           lk_swap_complete(&r->config, err) && settings_from(json_object_get(json, "options"), &r->settings, err);
}

bool lk_record_read(lk_record *r, const char *path, lk_error *err) {
    *r = (lk_record){0};
    json_t *json = lk_json_read(path, err);
    if (!json) return false;
    bool ok = from_json(r, json, err);
    json_decref(json);
    if (ok) return true;
    if (err && err->code == LK_ERR_USAGE) err->code = LK_ERR_FORMAT;
    lk_fail_in(err, "%s cannot be used", path);
    lk_record_free(r);
    return false;
}
