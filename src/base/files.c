/* Files that are never half written: beside, synced, renamed, folder synced. */
#include "likeness/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct lk_file_replacement {
    int fd;
    char *path, *temporary;
};

static bool sync_folder_of(const char *path, lk_error *err) {
    char *folder = lk_strdup(path, err);
    if (!folder) return false;
    char *slash = strrchr(folder, '/');
    if (slash) slash[slash == folder] = 0;
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    /* Some file systems cannot sync a folder; the rename has happened all the same. */
    bool ok = fd < 0 || fsync(fd) == 0 || errno == EINVAL || errno == EROFS;
    if (!ok) lk_fail_errno(err, "%s: its folder cannot be synced", path);
    if (fd >= 0) close(fd);
    return ok;
}

static bool read_all(int fd, const char *path, size_t max, void **data, size_t *size, lk_error *err) {
    struct stat st;
    if (fstat(fd, &st) != 0) return lk_fail_errno(err, "%s cannot be read", path);
    if (S_ISDIR(st.st_mode)) return lk_fail(err, LK_ERR_IO, "%s is a folder, not a file", path);
    if (st.st_size < 0 || (uintmax_t)st.st_size > max)
        return lk_fail(err, LK_ERR_FORMAT, "%s is too large: %jd bytes, at most %zu are expected", path,
                       (intmax_t)st.st_size, max);
    size_t total = (size_t)st.st_size, done = 0;
    char *buffer = malloc(total + 1);
    if (!buffer) return lk_fail(err, LK_ERR_MEMORY, "%s: out of memory for its %zu bytes", path, total);
    while (done < total) {
        ssize_t n = read(fd, buffer + done, total - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            lk_fail_errno(err, "%s cannot be read", path);
            free(buffer);
            return false;
        }
        if (n == 0) break;
        done += (size_t)n;
    }
    buffer[done] = 0;
    *data = buffer;
    *size = done;
    return true;
}

bool lk_file_read(const char *path, size_t max, void **data, size_t *size, lk_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return lk_fail_errno(err, "%s cannot be opened", path);
    bool ok = read_all(fd, path, max, data, size, err);
    close(fd);
    return ok;
}

char *lk_file_temporary_name(const char *path, lk_error *err) {
    const char *base = lk_path_base(path), *dot = strrchr(base, '.');
    if (!dot || dot == base) dot = base + strlen(base);
    return lk_format(err, "%.*s.%s.tmp.%ld%s", (int)(base - path), path, base, (long)getpid(), dot);
}

/* Is `name` ".BASE.tmp.PID" or ".BASE.tmp.PID.EXT" of a process that is gone? */
static bool is_left_behind(const char *name, const char *base) {
    size_t length = strlen(base);
    if (name[0] != '.' || strncmp(name + 1, base, length) != 0 || strncmp(name + 1 + length, ".tmp.", 5) != 0)
        return false;
    char *end;
    const char *digits = name + 1 + length + 5;
    long pid = strtol(digits, &end, 10);
    return end > digits && (*end == 0 || *end == '.') && pid > 0 && pid <= INT_MAX && kill((pid_t)pid, 0) != 0 &&
           errno == ESRCH;
}

void lk_file_each_left_behind(const char *path, void (*remove)(const char *temporary)) {
    const char *base = lk_path_base(path);
    char *folder = lk_format(NULL, "%.*s", (int)(base - path), path);
    DIR *d = folder ? opendir(*folder ? folder : ".") : NULL;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        char *temporary = is_left_behind(e->d_name, base) ? lk_format(NULL, "%s%s", folder, e->d_name) : NULL;
        if (temporary) remove(temporary);
        free(temporary);
    }
    if (d) closedir(d);
    free(folder);
}

lk_file_replacement *lk_file_replace(const char *path, lk_error *err) {
    lk_file_replacement *r = lk_alloc(1, sizeof *r, err);
    if (!r) return NULL;
    r->fd = -1;
    r->path = lk_strdup(path, err);
    r->temporary = r->path ? lk_file_temporary_name(path, err) : NULL;
    if (r->temporary) {
        r->fd = open(r->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (r->fd < 0) lk_fail_errno(err, "%s cannot be written", path);
    }
    if (r->fd >= 0) return r;
    free(r->temporary);
    free(r->path);
    free(r);
    return NULL;
}

bool lk_file_append(lk_file_replacement *r, const void *data, size_t size, lk_error *err) {
    const char *at = data;
    while (size > 0) {
        ssize_t n = write(r->fd, at, size > LK_MIB(256) ? LK_MIB(256) : size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return lk_fail_errno(err, "%s cannot be written", r->path);
        at += n;
        size -= (size_t)n;
    }
    return true;
}

void lk_file_abandon(lk_file_replacement *r) {
    if (!r) return;
    if (r->fd >= 0) {
        close(r->fd);
        unlink(r->temporary);
    }
    free(r->temporary);
    free(r->path);
    free(r);
}

bool lk_file_commit(lk_file_replacement *r, lk_error *err) {
    bool ok = fsync(r->fd) == 0;
    if (!ok) lk_fail_errno(err, "%s cannot be written", r->path);
    if (ok && rename(r->temporary, r->path) != 0) ok = lk_fail_errno(err, "%s cannot be replaced", r->path);
    if (!ok) {
        lk_file_abandon(r);
        return false;
    }
    close(r->fd);
    r->fd = -1;
    ok = sync_folder_of(r->path, err);
    lk_file_abandon(r);
    return ok;
}

bool lk_file_write(const char *path, const void *data, size_t size, lk_error *err) {
    lk_file_replacement *r = lk_file_replace(path, err);
    if (!r) return false;
    if (!lk_file_append(r, data, size, err)) {
        lk_file_abandon(r);
        return false;
    }
    return lk_file_commit(r, err);
}

bool lk_file_adopt(const char *temporary, const char *path, lk_error *err) {
    int fd = open(temporary, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return lk_fail_errno(err, "%s cannot be opened", temporary);
    bool ok = fsync(fd) == 0 || errno == EINVAL;
    if (!ok) lk_fail_errno(err, "%s cannot be written", path);
    close(fd);
    if (ok && rename(temporary, path) != 0) ok = lk_fail_errno(err, "%s cannot be replaced", path);
    return ok && sync_folder_of(path, err);
}

bool lk_make_dirs(const char *path, lk_error *err) {
    char *copy = lk_strdup(path, err);
    if (!copy) return false;
    bool ok = true;
    for (char *at = copy + 1; ok; at++) {
        if (*at && *at != '/') continue;
        char kept = *at;
        *at = 0;
        if (mkdir(copy, 0777) != 0) {
            struct stat st;
            int reason = errno;
            if (reason != EEXIST || stat(copy, &st) != 0 || !S_ISDIR(st.st_mode)) {
                errno = reason == EEXIST ? ENOTDIR : reason;
                ok = lk_fail_errno(err, "the folder %s cannot be made", copy);
            }
        }
        *at = kept;
        if (!kept) break;
    }
    free(copy);
    return ok;
}

bool lk_file_exists(const char *path) { return access(path, F_OK) == 0; }

char *lk_path_join(const char *dir, const char *name, lk_error *err) {
    size_t length = strlen(dir);
    return lk_format(err, "%s%s%s", dir, length && dir[length - 1] != '/' ? "/" : "", name);
}

const char *lk_path_base(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The folder that the user names, or this program's own in the place that XDG or HOME gives. */
static char *own_folder(const char *variable, const char *xdg, const char *below_xdg, const char *below_home,
                        const char *what, lk_error *err) {
    const char *own = getenv(variable), *place = getenv(xdg), *home = getenv("HOME");
    if (own && *own) return lk_strdup(own, err);
    if (place && *place) return lk_path_join(place, below_xdg, err);
    if (home && *home) return lk_path_join(home, below_home, err);
    lk_fail(err, LK_ERR_IO, "there is no HOME to keep %s in; set %s to a folder", what, variable);
    return NULL;
}

char *lk_cache_dir(lk_error *err) {
    return own_folder("LIKENESS_CACHE", "XDG_CACHE_HOME", "likeness", ".cache/likeness", "the cache", err);
}

char *lk_models_dir(lk_error *err) {
    return own_folder("LIKENESS_MODELS", "XDG_DATA_HOME", "likeness/models", ".local/share/likeness/models",
                      "the pretrained networks", err);
}
