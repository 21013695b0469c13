/* The model folder: saves that are whole or not there. docs/model-folder.md says which files there are, and what a
 * process killed at any point leaves behind. */
#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <unistd.h>

#define NEWEST "model.json"
#define BEFORE "model.previous.json"

int lk_folder_lock(const char *dir, lk_error *err) {
    if (!lk_make_dirs(dir, err)) return -1;
    char *path = lk_path_join(dir, ".lock", err);
    if (!path) return -1;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) lk_fail_errno(err, "%s cannot be written", path);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            lk_fail(err, LK_ERR_IO, "%s is in use by another training; stop that one first, or take another folder",
                    dir);
        else
            lk_fail_errno(err, "%s cannot be locked", path);
        close(fd);
        fd = -1;
    }
    free(path);
    return fd;
}

void lk_folder_unlock(int lock) {
    if (lock >= 0) close(lock);
}

/* f for every name in the folder; a folder that cannot be listed has none. */
static void each_name(const char *dir, void (*f)(const char *dir, const char *name, void *user), void *user) {
    DIR *d = opendir(dir);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d)) != NULL;) f(dir, e->d_name, user);
    closedir(d);
}

static void remove_name(const char *dir, const char *name) {
    char *path = lk_path_join(dir, name, NULL);
    if (path) unlink(path);
    free(path);
}

static void remove_temporary(const char *dir, const char *name, void *user) {
    (void)user;
    if (name[0] == '.' && strstr(name, ".tmp.")) remove_name(dir, name);
}

void lk_folder_clean(const char *dir) {
    static const char *const parts[] = {"", "preview"};
    for (size_t i = 0; i < LK_COUNT(parts); i++) {
        char *path = lk_path_join(dir, parts[i], NULL);
        if (path) each_name(path, remove_temporary, NULL);
        free(path);
    }
}

/* ---- Opening --------------------------------------------------------------------------------------------- */

static bool file_is_whole(const char *dir, const lk_saved_file *f, lk_error *err) {
    char hex[65], *path = lk_path_join(dir, f->name, err);
    bool ok = path && lk_sha256_file(path, hex, err);
    if (ok && strcmp(hex, f->sha256) != 0)
        ok = lk_fail(err, LK_ERR_FORMAT, "%s is damaged: its checksum does not fit its content", path);
    free(path);
    return ok;
}

static bool read_save(const char *dir, const char *name, lk_record *r, bool *there, lk_error *err) {
    char *path = lk_path_join(dir, name, err);
    if (!path) return false;
    *there = lk_file_exists(path);
    bool ok = *there && lk_record_read(r, path, err);
    free(path);
    if (!ok) return false;
    for (int i = 0; ok && i < LK_SAVED_FILES; i++) {
        const lk_saved_file *f = lk_saved_file_of(r, i);
        ok = !f || file_is_whole(dir, f, err);
    }
    if (!ok) lk_record_free(r);
    return ok;
}

static bool copy(const char *from, const char *to, lk_error *err) {
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool ok = in >= 0 && out >= 0;
    if (ok && ioctl(out, FICLONE, in) != 0) {
        ssize_t n;
        while ((n = sendfile(out, in, NULL, LK_MIB(64))) > 0) {}
        ok = n == 0;
    }
    if (!ok) lk_fail_errno(err, "%s cannot be copied to %s", from, to);
    if (in >= 0) close(in);
    if (out >= 0) close(out);
    return ok;
}

bool lk_folder_link(const char *from, const char *to, lk_error *err) {
    char *temporary = lk_file_temporary_name(to, err);
    if (!temporary) return false;
    unlink(temporary);
    bool ok = (link(from, temporary) == 0 || copy(from, temporary, err)) && lk_file_adopt(temporary, to, err);
    unlink(temporary); /* still there after a failure, and when both names were the same file already */
    free(temporary);
    return ok;
}

static bool link_as(const char *dir, const char *from, const char *to, lk_error *err) {
    char *old = lk_path_join(dir, from, err), *new = old ? lk_path_join(dir, to, err) : NULL;
    bool ok = new &&lk_folder_link(old, new, err);
    free(old);
    free(new);
    return ok;
}

bool lk_folder_open(const char *dir, lk_record *r, bool repair, bool *found, lk_error *err) {
    lk_error newest = {0}, before = {0};
    bool there = false, before_there = false;
    *found = false;
    /* A save that ends while it is being read takes the files away: what is newest then is read instead. */
    for (int tries = 0; tries < 3; tries++) {
        if (read_save(dir, NEWEST, r, &there, &newest)) return *found = true;
        if (newest.code == LK_ERR_UNSUPPORTED) break;
        if (read_save(dir, BEFORE, r, &before_there, &before)) {
            if (!there) lk_fail(&newest, LK_ERR_IO, "%s/" NEWEST " is missing", dir);
            lk_log(LK_LOG_WARN, "%s: the newest save cannot be used (%s); going on from the one before, iteration %lld",
                   dir, newest.message, (long long)r->iteration);
            *found = true;
            return !repair || link_as(dir, BEFORE, NEWEST, err);
        }
        if (!there && !before_there) return true;
    }
    if (err) *err = there ? newest : before;
    if (err && newest.code != LK_ERR_UNSUPPORTED) {
        size_t used = strlen(err->message);
        snprintf(err->message + used, sizeof err->message - used, "; the save before it cannot be used either%s",
                 ": restore a backup (likeness model restore)");
    }
    return false;
}

/* ---- Saving ---------------------------------------------------------------------------------------------- */

static int64_t number_of(const char *name) {
    for (int i = 0; i < LK_SAVED_FILES; i++) {
        size_t n = strlen(lk_saved_kinds[i]) + 1;
        char *end;
        if (strncmp(name, lk_saved_kinds[i], n - 1) != 0 || name[n - 1] != '.') continue;
        long long number = strtoll(name + n, &end, 10);
        return end > name + n && strcmp(end, ".safetensors") == 0 && number >= 0 ? number : -1;
    }
    return -1;
}

static void note_number(const char *dir, const char *name, void *user) {
    int64_t *largest = user, number = number_of(name);
    (void)dir;
    if (number > *largest) *largest = number;
}

typedef struct keep {
    int64_t newest, before;
} keep;

static void remove_old(const char *dir, const char *name, void *user) {
    const keep *k = user;
    int64_t number = number_of(name);
    if (number >= 0 && number != k->newest && number != k->before) remove_name(dir, name);
}

static bool save_slot(const char *dir, const lk_record *r, const lk_nn_exec *e, lk_nn_slot slot, const char *kind,
                      lk_saved_file *f, lk_error *err) {
    char iteration[24], *path;
    snprintf(f->name, sizeof f->name, "%s.%lld.safetensors", kind, (long long)r->number);
    snprintf(iteration, sizeof iteration, "%lld", (long long)r->iteration);
    const lk_nn_metadata metadata[] = {{"model", lk_arch_names[r->config.arch]}, {"iteration", iteration}};
    path = lk_path_join(dir, f->name, err);
    bool ok =
        path && lk_nn_save(e, slot, path, metadata, LK_COUNT(metadata), err) && lk_sha256_file(path, f->sha256, err);
    free(path);
    return ok;
}

static void remove_save(const char *dir, lk_record *r) {
    for (int i = 0; i < LK_SAVED_FILES; i++) {
        const lk_saved_file *f = lk_saved_file_of(r, i);
        if (f) remove_name(dir, f->name);
    }
}

int64_t lk_folder_next_number(const char *dir) {
    int64_t largest = 0;
    each_name(dir, note_number, &largest);
    return largest + 1;
}

bool lk_folder_make_newest(const char *dir, lk_record *r, lk_error *err) {
    lk_record old;
    lk_error none = {0};
    keep k = {r->number, -1};
    char *newest = lk_path_join(dir, NEWEST, err);
    if (newest && lk_file_exists(newest) && lk_record_read(&old, newest, &none)) {
        k.before = old.number;
        lk_record_free(&old);
    }
    bool ok =
        newest && (!lk_file_exists(newest) || link_as(dir, NEWEST, BEFORE, err)) && lk_record_write(r, newest, err);
    if (ok) each_name(dir, remove_old, &k);
    free(newest);
    return ok;
}

/* The average in place of the latest weights, for as long as it is written. */
static bool save_average(const char *dir, lk_record *r, lk_network *n, lk_error *err) {
    if (n->average.shown && !lk_average_exchange(&n->average, n->exec, err)) return false;
    if (!save_slot(dir, r, n->exec, LK_NN_VALUE, lk_saved_kinds[2], &r->latest, err) ||
        !lk_average_exchange(&n->average, n->exec, err))
        return false;
    bool ok = save_slot(dir, r, n->exec, LK_NN_VALUE, lk_saved_kinds[0], &r->weights, err);
    return lk_average_exchange(&n->average, n->exec, err) && ok;
}

bool lk_folder_save(const char *dir, lk_record *r, lk_network *n, lk_error *err) {
    lk_record next = *r;
    next.number = lk_folder_next_number(dir);
    next.weights = next.optimizer = next.latest = (lk_saved_file){0};
    bool ok =
        (n->average.values ? save_average(dir, &next, n, err)
                           : save_slot(dir, &next, n->exec, LK_NN_VALUE, lk_saved_kinds[0], &next.weights, err)) &&
        save_slot(dir, &next, n->exec, LK_NN_MOMENT1, lk_saved_kinds[1], &next.optimizer, err) &&
        lk_folder_make_newest(dir, &next, err);
    if (ok)
        *r = next;
    else
        remove_save(dir, &next); /* the old ones stand */
    return ok;
}
