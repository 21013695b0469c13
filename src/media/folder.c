/* Folders of images: listing in natural order, removing. */
#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

int lk_natural_compare(const char *a, const char *b) {
    const char *p = a, *q = b;
    while (*p && *q) {
        if (is_digit(*p) && is_digit(*q)) {
            while (*p == '0') p++;
            while (*q == '0') q++;
            size_t n = strspn(p, "0123456789"), m = strspn(q, "0123456789");
            if (n != m) return n < m ? -1 : 1;
            int order = memcmp(p, q, n);
            if (order) return order;
            p += n;
            q += m;
        } else {
            if (*p != *q) return (unsigned char)*p < (unsigned char)*q ? -1 : 1;
            p++;
            q++;
        }
    }
    if (*p || *q) return *p ? 1 : -1;
    return strcmp(a, b); /* equal but for leading zeros */
}

static int compare(const void *a, const void *b) { return lk_natural_compare(*(char *const *)a, *(char *const *)b); }

static bool is_image_name(const char *name) {
    static const char *const endings[] = {"png",  "jpg", "jpeg", "bmp", "tif", "tiff",
                                          "webp", "ppm", "pgm",  "pnm", "jp2"};
    const char *dot = strrchr(name, '.');
    if (!dot || name[0] == '.') return false;
    for (size_t i = 0; i < LK_COUNT(endings); i++)
        if (strcasecmp(dot + 1, endings[i]) == 0) return true;
    return false;
}

bool lk_is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

void lk_folder_free(char **names, int count) {
    for (int i = 0; names && i < count; i++) free(names[i]);
    free(names);
}

static bool add_name(char ***names, int *count, int *room, char *name, lk_error *err) {
    if (!name) return false;
    if (*count == *room) {
        int more = *room ? *room * 2 : 256;
        char **grown = more < (1 << 28) ? realloc(*names, (size_t)more * sizeof *grown) : NULL;
        if (!grown) {
            free(name);
            return lk_fail(err, LK_ERR_MEMORY, "no memory for the names of %d images", *count);
        }
        *names = grown;
        *room = more;
    }
    (*names)[(*count)++] = name;
    return true;
}

bool lk_folder_list(const char *path, char ***names, int *count, lk_error *err) {
    *names = NULL;
    *count = 0;
    int room = 0;
    DIR *dir = opendir(path);
    if (!dir) return lk_fail_errno(err, "the folder %s cannot be read", path);
    bool ok = true;
    errno = 0;
    for (struct dirent *entry; ok && (entry = readdir(dir)) != NULL; errno = 0)
        if (is_image_name(entry->d_name))
            ok = add_name(names, count, &room, lk_path_join(path, entry->d_name, err), err);
    if (ok && errno) ok = lk_fail_errno(err, "the folder %s cannot be read", path);
    closedir(dir);
    if (ok && *count == 0)
        ok = lk_fail(err, LK_ERR_NOT_FOUND, "the folder %s has no images in it (png, jpg, webp, tif, bmp, ppm, jp2)",
                     path);
    if (ok) {
        qsort(*names, (size_t)*count, sizeof **names, compare);
        return true;
    }
    lk_folder_free(*names, *count);
    *names = NULL;
    *count = 0;
    return false;
}

bool lk_folder_remove(const char *path) {
    DIR *dir = opendir(path);
    if (!dir) return errno == ENOENT;
    bool ok = true;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            ok &= unlinkat(dirfd(dir), entry->d_name, 0) == 0;
    closedir(dir);
    return rmdir(path) == 0 && ok;
}

int64_t lk_folder_count(const char *path, const char *ending) {
    DIR *dir = opendir(path);
    int64_t count = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;) {
        size_t n = strlen(entry->d_name), m = strlen(ending);
        count += entry->d_name[0] != '.' && n > m && strcmp(entry->d_name + n - m, ending) == 0;
    }
    if (dir) closedir(dir);
    return count;
}
