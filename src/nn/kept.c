/* Text files in the cache's folder. */
#include "kept.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

char *lk_kept_path(const char *kind, const char *const *names, size_t count, lk_error *err) {
    char name[240]; /* file systems take 255 bytes, of which some are added while it is written */
    size_t at = (size_t)snprintf(name, sizeof name, "%s-", kind);
    for (size_t k = 0; k < count; k++) {
        for (const char *c = names[k]; *c && at < sizeof name - 8; c++) {
            if (isalnum((unsigned char)*c))
                name[at++] = (char)tolower((unsigned char)*c);
            else if (name[at - 1] != '-')
                name[at++] = '-';
        }
        if (k + 1 < count && name[at - 1] != '-') name[at++] = '-';
    }
    snprintf(name + at, sizeof name - at, ".txt");
    char *folder = lk_cache_dir(err), *path = NULL;
    if (folder && lk_make_dirs(folder, err)) path = lk_path_join(folder, name, err);
    free(folder);
    return path;
}

int lk_kept_lock(const char *path) {
    char *name = path ? lk_format(NULL, "%s.lock", path) : NULL;
    int fd = name ? open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
    while (fd >= 0 && flock(fd, LOCK_EX) != 0 && errno == EINTR)
        if (lk_interrupted()) break;
    free(name);
    return fd;
}

void lk_kept_unlock(int lock) {
    if (lock >= 0) close(lock);
}

bool lk_kept_parse(char *text, const char *head, bool (*line)(const char *text, void *user), void *user,
                   const char *name, lk_error *err) {
    bool ok = strncmp(text, head, strlen(head)) == 0;
    for (char *at = text + (ok ? strlen(head) : 0), *end; ok && *at; at = end + 1) {
        end = strchr(at, '\n');
        if (!end) return lk_fail(err, LK_ERR_FORMAT, "%s is cut off", name);
        *end = 0;
        ok = line(at, user);
    }
    return ok || lk_fail(err, LK_ERR_FORMAT, "%s is of another version or damaged", name);
}

bool lk_kept_read(const char *path, const char *head, bool (*line)(const char *text, void *user), void *user,
                  lk_error *err) {
    void *data = NULL;
    size_t size;
    if (!path || !lk_file_exists(path)) return true;
    if (!lk_file_read(path, LK_MIB(1), &data, &size, err)) return false;
    bool ok = lk_kept_parse(data, head, line, user, path, err);
    free(data);
    return ok;
}

bool lk_kept_write(const char *path, const char *head, void (*lines)(FILE *out, void *user), void *user,
                   lk_error *err) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return lk_fail(err, LK_ERR_MEMORY, "out of memory");
    fputs(head, out);
    lines(out, user);
    bool ok =
        (fclose(out) == 0 || lk_fail(err, LK_ERR_MEMORY, "out of memory")) && lk_file_write(path, text, size, err);
    free(text);
    return ok;
}
