/* Text files in the cache's folder: a head that names what the rest holds for, then a line for each thing that is known.
 *
 *     char *path = lk_kept_path("layers", names, count, &err);   NULL: there is no place for it
 *     int lock = lk_kept_lock(path);                             others that write wait
 *     lk_kept_read(path, head, add_line, user, &err);
 *     … find out what is missing …
 *     lk_kept_write(path, head, print_lines, user, &err);
 *     lk_kept_unlock(lock);
 */
#ifndef LIKENESS_NN_KEPT_H
#define LIKENESS_NN_KEPT_H

#include <stdio.h>

#include "likeness/base.h"

/* "KIND-NAME-NAME.txt" in the cache's folder, which is made; names in small letters, digits and hyphens. Caller frees. */
char *lk_kept_path(const char *kind, const char *const *names, size_t count, lk_error *err);
/* Waits for other processes; −1, which may be unlocked, too: there is no such place. */
int lk_kept_lock(const char *path);
void lk_kept_unlock(int lock);

/* Each line, without its end, until `line` says that it is none. False when the file cannot be read, has another head, or is damaged
 * from some line on; a file that is not there is read without a line. `path` may be NULL. */
bool lk_kept_read(const char *path, const char *head, bool (*line)(const char *text, void *user), void *user,
                  lk_error *err);
/* The same of a file's bytes; a zero follows them, and lines are cut apart. `name` is for the message. */
bool lk_kept_parse(char *text, const char *head, bool (*line)(const char *text, void *user), void *user,
                   const char *name, lk_error *err);
bool lk_kept_write(const char *path, const char *head, void (*lines)(FILE *out, void *user), void *user, lk_error *err);

#endif
