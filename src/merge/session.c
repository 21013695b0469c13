#include "session.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES LK_MIB(16)

/* One option of a line: its value at the first and at the last frame. */
typedef struct setting {
    int option; /* index into the table */
    double from, to;
} setting;

typedef struct line {
    int64_t first, last;
    int64_t within_first, within_last; /* the line holds only there */
    int number, count;                 /* line of the file, from 1; settings */
    setting set[LK_COMPOSITE_OPTION_COUNT];
} line;

struct lk_session {
    char *path;
    line *lines; /* of which those that set nothing open a layer */
    int count;
};

const lk_option *lk_composite_table(void) {
    static lk_option table[LK_COMPOSITE_OPTION_COUNT + 1]; /* the last one stays empty: the end */
    static bool made;
    if (!made) memcpy(table, lk_merge_option_table, LK_COMPOSITE_OPTION_COUNT * sizeof *table);
    made = true;
    return table;
}

/* ---- Frames ---------------------------------------------------------------------------------------------- */

static const char *number(const char *p, int64_t *value) {
    char *end;
    if (!isdigit((unsigned char)*p)) return p;
    unsigned long long v = strtoull(p, &end, 10);
    *value = v < (unsigned long long)INT64_MAX ? (int64_t)v : INT64_MAX;
    return end;
}

bool lk_frames_parse(const char *text, int64_t *first, int64_t *last, lk_error *err) {
    *first = 0;
    *last = INT64_MAX;
    const char *p = number(text, first);
    bool one = p != text, range = strncmp(p, "..", 2) == 0;
    if (range) p = number(p + 2, last);
    if (!range && one) *last = *first;
    if (*p || (!one && !range) || *last < *first)
        return lk_fail(err, LK_ERR_USAGE, "'%s' names no frames; write 120..180, 120.. or 120", text);
    return true;
}

/* ---- Reading --------------------------------------------------------------------------------------------- */

static double value_of(const lk_option *o, const lk_composite_options *values) {
    const char *at = (const char *)values + o->offset;
    if (o->type == LK_OPT_FLOAT) {
        double v;
        memcpy(&v, at, sizeof v);
        return v;
    }
    if (o->type == LK_OPT_FLAG) return *(const bool *)(const void *)at;
    int v;
    memcpy(&v, at, sizeof v);
    return v;
}

static void set_value(const lk_option *o, lk_composite_options *values, double v) {
    char *at = (char *)values + o->offset;
    int whole = (int)lrint(v);
    if (o->type == LK_OPT_FLOAT)
        memcpy(at, &v, sizeof v);
    else if (o->type == LK_OPT_FLAG)
        *(bool *)(void *)at = whole != 0;
    else
        memcpy(at, &whole, sizeof whole);
}

static int option_of(const char *json_name) {
    const lk_option *table = lk_composite_table();
    for (int i = 0; table[i].name; i++) {
        const char *a = table[i].name, *b = json_name;
        while (*a && (*a == *b || (*a == '-' && *b == '_'))) a++, b++;
        if (!*a && !*b) return i;
    }
    return -1;
}

static setting *setting_for(line *l, int option) {
    for (int i = 0; i < l->count; i++)
        if (l->set[i].option == option) return &l->set[i];
    l->set[l->count].option = option;
    return &l->set[l->count++];
}

/* Takes an object of options into the line, as the values at its start, its end, or both. */
static bool take_options(line *l, const json_t *options, bool start, bool end, lk_error *err) {
    lk_composite_options values = {0};
    if (!json_is_object(options)) return lk_fail(err, LK_ERR_FORMAT, "options stand in braces: {\"blur\": 20}");
    if (!lk_options_defaults(lk_composite_table(), &values, err) ||
        !lk_options_from_json(lk_composite_table(), &values, options, err))
        return false;
    const char *name;
    json_t *ignored;
    json_object_foreach((json_t *)(uintptr_t)options, name, ignored) {
        int option = option_of(name);
        if (option < 0) continue;
        setting *s = setting_for(l, option);
        double v = value_of(&lk_composite_table()[option], &values);
        if (start) s->from = v;
        if (end) s->to = v;
    }
    return true;
}

static bool take_change(line *l, const json_t *from, const json_t *to, lk_error *err) {
    const char *name;
    json_t *value;
    if (l->last == INT64_MAX)
        return lk_fail(err, LK_ERR_FORMAT, "a change from one value to another needs a last frame");
    if (!json_is_object(from) || !json_is_object(to) || json_object_size(from) != json_object_size(to))
        return lk_fail(err, LK_ERR_FORMAT, "\"from\" and \"to\" name the same options");
    json_object_foreach((json_t *)(uintptr_t)from, name, value) {
        int option = option_of(name);
        if (!json_object_get(to, name)) return lk_fail(err, LK_ERR_FORMAT, "\"from\" has %s and \"to\" has not", name);
        if (option >= 0 && lk_composite_table()[option].type != LK_OPT_FLOAT)
            return lk_fail(err, LK_ERR_FORMAT, "%s is no number that could move from one value to another", name);
    }
    return take_options(l, from, true, false, err) && take_options(l, to, false, true, err);
}

static bool take_frames(line *l, const json_t *frames, lk_error *err) {
    if (json_is_integer(frames) && json_integer_value(frames) >= 0) {
        l->first = l->last = json_integer_value(frames);
        return true;
    }
    if (!json_is_string(frames))
        return lk_fail(err, LK_ERR_FORMAT, "it needs \"frames\": \"120..180\", \"120..\" or 120");
    return lk_frames_parse(json_string_value(frames), &l->first, &l->last, err);
}

/* {"within": "120..180"}: the lines that follow hold only there. */
static bool take_within(line *l, const json_t *json, const json_t *within, lk_error *err) {
    if (json_object_size(json) != 1) return lk_fail(err, LK_ERR_FORMAT, "\"within\" stands alone in its line");
    if (!take_frames(l, within, err)) return false;
    l->within_first = l->first;
    l->within_last = l->last;
    return true;
}

/* *header: the line describes the session and sets nothing. */
static bool parse_line(line *l, const json_t *json, bool *header, lk_error *err) {
    const json_t *version = json_object_get(json, "likeness_session"), *value;
    const char *name;
    *header = version != NULL;
    if (!json_is_object(json)) return lk_fail(err, LK_ERR_FORMAT, "it is no JSON object");
    if (version)
        return json_integer_value(version) == 1 ||
               lk_fail(err, LK_ERR_UNSUPPORTED, "only sessions of version 1 are understood");
    if (json_object_get(json, "within")) return take_within(l, json, json_object_get(json, "within"), err);
    json_object_foreach((json_t *)(uintptr_t)json, name, value) {
        if (strcmp(name, "frames") && strcmp(name, "options") && strcmp(name, "from") && strcmp(name, "to"))
            return lk_fail(err, LK_ERR_FORMAT, "it has \"%s\", but a line has only frames, options, from and to", name);
    }
    if (!take_frames(l, json_object_get(json, "frames"), err)) return false;
    const json_t *options = json_object_get(json, "options"), *from = json_object_get(json, "from");
    const json_t *to = json_object_get(json, "to");
    if (!options && !from)
        return lk_fail(err, LK_ERR_FORMAT, "it sets nothing: give it \"options\", or \"from\" and \"to\"");
    if (options && !take_options(l, options, true, true, err)) return false;
    return (!from && !to) || take_change(l, from, to, err);
}

static bool add_line(lk_session *s, const char *text, size_t length, int n, lk_error *err) {
    json_error_t why;
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &why);
    if (!json) return lk_fail(err, LK_ERR_FORMAT, "%s, line %d: this is no JSON: %s", s->path, n, why.text);
    line l = {.number = n, .within_last = INT64_MAX};
    if (s->count > 0) {
        l.within_first = s->lines[s->count - 1].within_first;
        l.within_last = s->lines[s->count - 1].within_last;
    }
    bool header, ok = parse_line(&l, json, &header, err);
    json_decref(json);
    if (!ok) return lk_fail_in(err, "%s, line %d", s->path, n);
    if (header) return true;
    line *grown = realloc(s->lines, ((size_t)s->count + 1) * sizeof *grown);
    if (!grown) return lk_fail(err, LK_ERR_MEMORY, "no memory for the session %s", s->path);
    s->lines = grown;
    s->lines[s->count++] = l;
    return true;
}

char *lk_session_load(const char *path, lk_error *err) {
    void *data = NULL;
    size_t size;
    if (!lk_file_read(path, MAX_BYTES, &data, &size, err)) return NULL;
    if (strlen(data) == size) return data;
    free(data);
    lk_fail(err, LK_ERR_FORMAT, "%s is no text: it holds a zero byte", path);
    return NULL;
}

lk_session *lk_session_parse(const char *path, const char *text, lk_error *err) {
    lk_session *s = lk_alloc(1, sizeof *s, err);
    bool ok = s && (s->path = lk_strdup(path, err)) != NULL;
    int n = 1;
    for (const char *p = text; ok && *p; n++) {
        size_t length = strcspn(p, "\n"), blank = strspn(p, " \t\r");
        if (blank < length) ok = add_line(s, p, length, n, err);
        p += length + (p[length] == '\n');
    }
    if (ok) return s;
    lk_session_free(s);
    return NULL;
}

void lk_session_free(lk_session *s) {
    if (!s) return;
    free(s->path);
    free(s->lines);
    free(s);
}

/* ---- Use ------------------------------------------------------------------------------------------------- */

bool lk_session_check(const lk_session *s, const char *input, int64_t frames, lk_error *err) {
    for (int i = 0; s && frames > 0 && i < s->count; i++) {
        const line *l = &s->lines[i];
        int64_t beyond = l->last == INT64_MAX ? l->first : l->last;
        if (beyond >= frames)
            return lk_fail(err, LK_ERR_USAGE, "%s, line %d names frame %lld, but %s ends with frame %lld", s->path,
                           l->number, (long long)beyond, input, (long long)frames - 1);
    }
    return true;
}

void lk_session_apply(const lk_session *s, int64_t frame, int layer, lk_composite_options *o) {
    for (int i = 0; s && i < s->count; i++) {
        const line *l = &s->lines[i];
        if (l->count == 0 && i + 1 > layer) break;
        if (frame < l->first || frame > l->last || frame < l->within_first || frame > l->within_last) continue;
        double t =
            l->last > l->first && l->last < INT64_MAX ? (double)(frame - l->first) / (double)(l->last - l->first) : 0;
        for (int k = 0; k < l->count; k++)
            set_value(&lk_composite_table()[l->set[k].option], o, l->set[k].from + t * (l->set[k].to - l->set[k].from));
    }
}

int lk_session_layer(const lk_session *s, int64_t frame) {
    int layer = 0;
    for (int i = 0; s && i < s->count; i++)
        if (s->lines[i].count == 0 && frame >= s->lines[i].within_first && frame <= s->lines[i].within_last)
            layer = i + 1;
    return layer;
}

bool lk_session_has_motion(const lk_session *s, const lk_composite_options *o) {
    bool any = o->motion_blur > 0;
    int motion = option_of("motion_blur");
    for (int i = 0; s && i < s->count; i++)
        for (int k = 0; k < s->lines[i].count; k++)
            if (s->lines[i].set[k].option == motion) any = true;
    return any;
}

char *lk_session_line(const lk_composite_options *o, int64_t first, int64_t last, lk_error *err) {
    char frames[60], *text = NULL;
    if (last == INT64_MAX)
        snprintf(frames, sizeof frames, "%lld..", (long long)first);
    else
        snprintf(frames, sizeof frames, "%lld..%lld", (long long)first, (long long)last);
    json_t *options = lk_options_to_json(lk_composite_table(), o);
    json_t *json = options ? json_pack("{s:s, s:o}", "frames", frames, "options", options) : NULL;
    if (json) text = json_dumps(json, JSON_COMPACT);
    if (!text) lk_fail(err, LK_ERR_MEMORY, "no memory for a line of a session");
    json_decref(json);
    return text;
}
