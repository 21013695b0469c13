/* job.jsonl is a session: a header that says of which merge the parts are, the options of the command, the lines of its
 * session; and for each stretch that was done again {"within": "A..B"} and the same. */
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOB "job.jsonl"

/* What must be equal for parts to fit together, but for the options of the face. */
static char *header(const lk_merge_job *m, lk_error *err) {
    json_t *options = lk_options_to_json(lk_merge_option_table, m->o), *models = json_array();
    for (int i = 0; options && i < LK_COMPOSITE_OPTION_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s", lk_merge_option_table[i].name);
        for (char *p = name; *p; p++)
            if (*p == '-') *p = '_';
        json_object_del(options, name);
    }
    static const char *const not_these[] = {"session", "keep", "frames"};
    for (size_t i = 0; options && i < LK_COUNT(not_these); i++) json_object_del(options, not_these[i]);
    for (int i = 0; models && i < m->person_count; i++)
        json_array_append_new(models, json_pack("{s:s, s:I}", "model", m->people[i].dir, "iteration",
                                                (json_int_t)lk_model_iteration(m->people[i].model)));
    json_t *json =
        json_pack("{s:i, s:s, s:s, s:I, s:o, s:o}", "likeness_session", 1, "version", LK_VERSION, "input",
                  m->cursor.source.fingerprint, "faces", (json_int_t)m->cursor.count, "models", models, "run", options);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    if (!text) lk_fail(err, LK_ERR_MEMORY, "no memory to describe the merge");
    json_decref(json);
    return text;
}

static bool is_ours(const char *name) {
    size_t n = strlen(name);
    return strcmp(name, JOB) == 0 || strstr(name, ".part.tmp.") || strstr(name, JOB ".tmp.") ||
           (n > 5 && strcmp(name + n - 5, ".part") == 0) || (name[0] == '.' && strstr(name, ".tmp."));
}

/* The pictures of a folder on its way, which all are ours; with `only_temporary`, the half-written ones. Says whether
 * whole ones are there. */
static bool clean_pictures(const char *folder, bool only_temporary) {
    char *path = lk_path_join(folder, LK_PICTURES, NULL);
    DIR *d = path ? opendir(path) : NULL;
    bool whole = false;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (!only_temporary || e->d_name[0] == '.')
            unlinkat(dirfd(d), e->d_name, 0);
        else
            whole = true;
    }
    if (d) closedir(d);
    if (path && !only_temporary) rmdir(path);
    free(path);
    return whole;
}

/* Files of ours; with `only_temporary`, those that a killed run left half-written. Says whether a whole part is there. */
static bool clean(const char *folder, bool only_temporary) {
    DIR *d = opendir(folder);
    bool parts = clean_pictures(folder, only_temporary);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        bool temporary = e->d_name[0] == '.';
        if (!is_ours(e->d_name)) continue;
        if (!only_temporary || temporary)
            unlinkat(dirfd(d), e->d_name, 0);
        else if (strcmp(e->d_name, JOB) != 0)
            parts = true;
    }
    if (d) closedir(d);
    return parts;
}

void lk_store_remove_part(const lk_store *s, int64_t part) {
    char *path = lk_format(NULL, "%s/%06lld.part", s->folder, (long long)part);
    if (path) unlink(path);
    free(path);
}

void lk_store_close(lk_store *s, bool done) {
    bool stay = s->folder && (done ? s->keep : clean(s->folder, true));
    if (s->folder && !stay) {
        clean(s->folder, false);
        rmdir(s->folder);
    }
    free(s->folder);
    *s = (lk_store){0};
}

/* The parts that hold frames first..last of the input. */
static bool take_out(const lk_store *s, const lk_merge_job *m, int64_t first, int64_t last, lk_error *err) {
    const lk_merge_options *o = m->o;
    int64_t from = o->first, part = 0;
    if (m->info.frames > 0 && last >= m->info.frames && last != INT64_MAX)
        return lk_fail(err, LK_ERR_USAGE, "--frames %s: %s ends with frame %lld", o->frames, m->input,
                       (long long)m->info.frames - 1);
    if (last < from || (o->max > 0 && first >= from + o->max))
        return lk_fail(err, LK_ERR_USAGE, "--frames %s lies outside the frames that are merged", o->frames);
    for (part = first > from ? (first - from) / o->part : 0; part <= (last - from) / o->part; part++) {
        char *path = lk_format(err, "%s/%06lld.part", s->folder, (long long)part);
        if (!path) return false;
        bool there = lk_file_exists(path);
        if (there) unlink(path);
        free(path);
        if (!there) break; /* beyond the end */
    }
    return true;
}

static bool ready_for_frames(lk_store *s, const lk_merge_job *m, const char *old, const char *head, const char *base,
                             char **text, lk_error *err) {
    int64_t first, last;
    size_t n = strlen(head);
    if (!lk_frames_parse(m->o->frames, &first, &last, err)) return lk_fail_in(err, "--frames");
    if (!old || strncmp(old, head, n) != 0 || old[n] != '\n')
        return lk_fail(
            err, LK_ERR_USAGE,
            "--frames %s: %s holds no parts of this merge; merge the whole video once with --keep and the same "
            "files, then frames of it can be done again",
            m->o->frames, s->folder);
    *text = lk_format(err, "%s{\"within\":\"%lld..%lld\"}\n%s\n%s%s", old, (long long)first,
                      (long long)(last < INT64_MAX ? last : INT64_MAX), base, m->session_text ? m->session_text : "",
                      m->session_text ? "\n" : "");
    return *text && take_out(s, m, first, last, err);
}

static bool make_ready(lk_store *s, lk_merge_job *m, const char *path, lk_error *err) {
    char *old = lk_file_exists(path) ? lk_session_load(path, err) : NULL, *text = NULL;
    char *head = header(m, err), *base = lk_session_line(&m->o->composite, 0, INT64_MAX, err);
    bool ok = head && base;
    if (ok && m->o->frames)
        ok = ready_for_frames(s, m, old, head, base, &text, err);
    else if (ok)
        text = lk_format(err, "%s\n%s\n%s%s", head, base, m->session_text ? m->session_text : "",
                         m->session_text ? "\n" : "");
    ok = ok && text;
    if (ok && old && strcmp(old, text) != 0 && !m->o->frames) {
        lk_log(LK_LOG_INFO, "%s holds parts of another merge: it begins anew", s->folder);
        clean(s->folder, false);
    }
    if (ok) {
        lk_session *session = lk_session_parse(path, text, err);
        ok = session != NULL;
        if (ok) {
            lk_session_free(m->session);
            m->session = session;
            lk_job_set_reach(m);
        }
    }
    ok = ok && ((old && strcmp(old, text) == 0) || lk_file_write(path, text, strlen(text), err));
    free(old);
    free(text);
    free(head);
    free(base);
    return ok;
}

bool lk_store_open(lk_store *s, lk_merge_job *m, const char *output, lk_error *err) {
    size_t n = strlen(output);
    while (n > 1 && output[n - 1] == '/') n--;
    *s = (lk_store){.keep = m->o->keep || m->o->frames};
    s->folder = lk_format(err, "%.*s.parts", (int)n, output);
    if (!s->folder) return false;
    if (!m->o->frames && mkdir(s->folder, 0777) != 0 && errno != EEXIST)
        return lk_fail_errno(err, "the folder %s cannot be made", s->folder);
    clean(s->folder, true);
    char *path = lk_path_join(s->folder, JOB, err);
    bool ok = path && make_ready(s, m, path, err);
    free(path);
    return ok;
}
