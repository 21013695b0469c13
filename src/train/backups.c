/* Backups: saves that stay, each a folder that is a model itself; and what may be done to a model between trainings. */
#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *backups_folder(const char *dir, lk_error *err) { return lk_path_join(dir, "backups", err); }

/* dir/name becomes to/name. */
static bool link_into(const char *dir, const char *to, const char *name, lk_error *err) {
    char *old = lk_path_join(dir, name, err), *new = old ? lk_path_join(to, name, err) : NULL;
    bool ok = new &&lk_folder_link(old, new, err);
    free(old);
    free(new);
    return ok;
}

static void remove_folder(const char *path, const lk_record *r) {
    const char *names[] = {r->weights.name, r->optimizer.name, "model.json", "preview.png", r->latest.name};
    for (size_t i = 0; i < LK_COUNT(names); i++) {
        char *file = *names[i] ? lk_path_join(path, names[i], NULL) : NULL;
        if (file) unlink(file);
        free(file);
    }
    rmdir(path);
}

/* Filled beside, then renamed: a backup is whole or not there. */
static bool fill_backup(const char *dir, const lk_record *r, const char *temporary, const char *final, lk_error *err) {
    char *preview = lk_path_join(dir, "preview/preview.png", err), *shown = lk_path_join(temporary, "preview.png", err);
    bool ok = preview && shown && lk_make_dirs(temporary, err) && link_into(dir, temporary, r->weights.name, err) &&
              link_into(dir, temporary, r->optimizer.name, err) &&
              (!*r->latest.name || link_into(dir, temporary, r->latest.name, err)) &&
              link_into(dir, temporary, "model.json", err);
    if (ok && lk_file_exists(preview)) lk_folder_link(preview, shown, NULL);
    if (ok && rename(temporary, final) != 0) ok = lk_fail_errno(err, "the backup %s cannot be made", final);
    if (!ok && temporary) remove_folder(temporary, r);
    free(preview);
    free(shown);
    return ok;
}

bool lk_backup_make(const char *dir, const lk_record *r, lk_error *err) {
    char name[32], *folder = backups_folder(dir, err), *final = NULL, *temporary = NULL;
    snprintf(name, sizeof name, "%lld", (long long)r->iteration);
    bool ok = folder && lk_make_dirs(folder, err) && (final = lk_path_join(folder, name, err)) &&
              (temporary = lk_file_temporary_name(final, err));
    if (ok && !lk_file_exists(final)) {
        remove_folder(temporary, r);
        ok = fill_backup(dir, r, temporary, final, err);
    }
    free(temporary);
    free(final);
    free(folder);
    return ok;
}

/* ---- Listing --------------------------------------------------------------------------------------------- */

static int by_iteration(const void *a, const void *b) {
    const lk_backup *p = a, *q = b;
    return p->iteration < q->iteration ? -1 : p->iteration > q->iteration;
}

static bool add_backup(const char *folder, const char *name, lk_backup **list, int *count, lk_error *err) {
    char *path = lk_format(err, "%s/%s/model.json", folder, name);
    lk_record r;
    lk_error why = {0};
    if (!path) return false;
    bool ok = lk_record_read(&r, path, &why);
    free(path);
    if (!ok) {
        lk_log(LK_LOG_WARN, "a backup is left out: %s", why.message);
        return true;
    }
    lk_backup *more = realloc(*list, ((size_t)*count + 1) * sizeof **list);
    if (more) {
        *list = more;
        more[*count] = (lk_backup){.iteration = r.iteration, .seconds = r.seconds};
        snprintf(more[(*count)++].name, sizeof more->name, "%s", name);
    }
    lk_record_free(&r);
    return more || lk_fail(err, LK_ERR_MEMORY, "out of memory");
}

int lk_model_backups(const char *model_dir, lk_backup **list, lk_error *err) {
    *list = NULL;
    int count = 0;
    char *folder = backups_folder(model_dir, err);
    DIR *d = folder ? opendir(folder) : NULL;
    bool ok = folder && (d || errno == ENOENT || lk_fail_errno(err, "%s cannot be listed", folder));
    for (struct dirent *e; ok && d && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.' && strlen(e->d_name) < sizeof(*list)->name)
            ok = add_backup(folder, e->d_name, list, &count, err);
    if (d) closedir(d);
    free(folder);
    if (ok && count > 0) qsort(*list, (size_t)count, sizeof **list, by_iteration);
    if (ok) return count;
    free(*list);
    *list = NULL;
    return -1;
}

/* ---- Under the lock -------------------------------------------------------------------------------------- */

typedef bool (*deed)(const char *dir, lk_record *r, void *user, lk_error *err);

/* f with the newest save of a model that nobody trains now. */
static bool with_model(const char *dir, deed f, void *user, lk_error *err) {
    struct stat st;
    if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return lk_fail(err, LK_ERR_NOT_FOUND, "%s is no model folder", dir);
    int lock = lk_folder_lock(dir, err);
    if (lock < 0) return false;
    lk_record r = {0};
    bool found = false, ok = lk_folder_open(dir, &r, true, &found, err);
    if (ok && !found) ok = lk_fail(err, LK_ERR_NOT_FOUND, "%s holds no model: there is no model.json", dir);
    ok = ok && f(dir, &r, user, err);
    lk_record_free(&r);
    lk_folder_unlock(lock);
    return ok;
}

static bool backup_now(const char *dir, lk_record *r, void *user, lk_error *err) {
    (void)user;
    return lk_backup_make(dir, r, err);
}

bool lk_model_backup(const char *model_dir, lk_error *err) { return with_model(model_dir, backup_now, NULL, err); }

static bool swap_now(const char *dir, lk_record *r, void *user, lk_error *err) {
    bool *swapped = user;
    lk_now_set now;
    char before[LK_SETTING_TEXT];
    if (!lk_settings_at(&r->settings, r->iteration, &now, err)) return false;
    lk_setting_text(lk_settings_find(&r->settings, "swap-sides"), before);
    bool to = !now.options.swap_sides;
    if (swapped) *swapped = to;
    return lk_settings_set(&r->settings, "swap-sides", to ? "yes" : "no", err) &&
           lk_record_add_change(r, "swap-sides", before, to ? "yes" : "no", err) && lk_folder_make_newest(dir, r, err);
}

bool lk_model_swap_sides(const char *model_dir, bool *swapped, lk_error *err) {
    return with_model(model_dir, swap_now, swapped, err);
}

/* The backup's files get names of a save that is newer than all, and it becomes the newest. */
static bool restore_files(const char *dir, const char *from, lk_record *r, lk_error *err) {
    r->number = lk_folder_next_number(dir);
    for (int i = 0; i < LK_SAVED_FILES; i++) {
        lk_saved_file *f = lk_saved_file_of(r, i);
        if (!f) continue;
        char name[64];
        snprintf(name, sizeof name, "%s.%lld.safetensors", lk_saved_kinds[i], (long long)r->number);
        char *old = lk_path_join(from, f->name, err), *new = old ? lk_path_join(dir, name, err) : NULL;
        bool ok = new &&lk_folder_link(old, new, err);
        free(old);
        free(new);
        if (!ok) return false;
        snprintf(f->name, sizeof f->name, "%s", name);
    }
    return lk_folder_make_newest(dir, r, err);
}

bool lk_model_restore(const char *model_dir, const char *backup, lk_error *err) {
    if (!*backup || strchr(backup, '/') || *backup == '.')
        return lk_fail(err, LK_ERR_USAGE, "'%s' is no backup's name: take an iteration that `backups` lists", backup);
    char *path = lk_format(err, "%s/backups/%s", model_dir, backup);
    if (!path) return false;
    int lock = lk_file_exists(path) ? lk_folder_lock(model_dir, err) : -1;
    bool found = false, ok = lock >= 0;
    if (!lk_file_exists(path))
        lk_fail(err, LK_ERR_NOT_FOUND, "%s has no backup '%s'; the command `backups` lists those there are", model_dir,
                backup);
    lk_record r = {0};
    ok = ok && lk_folder_open(path, &r, false, &found, err);
    if (ok && !found) ok = lk_fail(err, LK_ERR_NOT_FOUND, "%s holds no model", path);
    ok = ok && restore_files(model_dir, path, &r, err);
    lk_record_free(&r);
    lk_folder_unlock(lock);
    free(path);
    return ok;
}
