#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

#define HEAD_BYTES LK_MIB(1)

static bool is_regular(const char *folder, const struct dirent *entry) {
    if (entry->d_name[0] == '.') return false;
    if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK) return entry->d_type == DT_REG;
    char *path = lk_path_join(folder, entry->d_name, NULL);
    struct stat st;
    bool regular = path && stat(path, &st) == 0 && S_ISREG(st.st_mode);
    free(path);
    return regular;
}

/* First file of a folder in natural order, and how many there are. Caller frees *first. */
static bool look_through(const char *folder, char **first, uint64_t *count, lk_error *err) {
    DIR *d = opendir(folder);
    if (!d) return lk_fail_errno(err, "%s cannot be read", folder);
    char *name = NULL;
    *count = 0;
    bool ok = true;
    for (struct dirent *e; ok && (e = readdir(d)) != NULL;) {
        if (!is_regular(folder, e)) continue;
        ++*count;
        if (name && strverscmp(e->d_name, name) >= 0) continue;
        free(name);
        ok = (name = lk_strdup(e->d_name, err)) != NULL;
    }
    closedir(d);
    if (ok && !name) ok = lk_fail(err, LK_ERR_NOT_FOUND, "%s is an empty folder; give a folder of pictures", folder);
    *first = ok ? lk_path_join(folder, name, err) : NULL;
    free(name);
    return ok && *first;
}

static void put_u64(unsigned char *to, uint64_t v) {
    for (int k = 0; k < 8; k++) to[k] = (unsigned char)(v >> 8 * k);
}

static bool read_head(int fd, unsigned char *bytes, size_t *n) {
    *n = 0;
    while (*n < HEAD_BYTES) {
        ssize_t got = read(fd, bytes + *n, HEAD_BYTES - *n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return false;
        if (got == 0) return true;
        *n += (size_t)got;
    }
    return true;
}

/* SHA-256 of the file's first MiB, then its size, then the number of files, as 64-bit little-endian. */
static bool fingerprint_file(const char *path, uint64_t files, char hex[65], lk_error *err) {
    unsigned char *bytes = lk_alloc(HEAD_BYTES + 16, 1, err);
    if (!bytes) return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    size_t n = 0;
    bool ok = fd >= 0 && fstat(fd, &st) == 0 && read_head(fd, bytes, &n);
    if (ok) {
        put_u64(bytes + n, (uint64_t)st.st_size);
        put_u64(bytes + n + 8, files);
        lk_sha256(bytes, n + 16, hex);
    } else {
        lk_fail_errno(err, "%s cannot be read", path);
    }
    if (fd >= 0) close(fd);
    free(bytes);
    return ok;
}

bool lk_source_fingerprint(const char *path, char hex[65], lk_error *err) {
    struct stat st;
    if (stat(path, &st) != 0) return lk_fail_errno(err, "%s cannot be read", path);
    if (!S_ISDIR(st.st_mode)) return fingerprint_file(path, 1, hex, err);
    char *first = NULL;
    uint64_t count = 0;
    bool ok = look_through(path, &first, &count, err) && fingerprint_file(first, count, hex, err);
    free(first);
    return ok;
}
