/* history.csv: losses over a model's life. Rows are appended between saves; those of iterations after the save that training
 * goes on from are left out. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER "iteration,seconds,src_loss,dst_loss,batch\n"

static bool append(lk_history *h, const char *text, lk_error *err) {
    size_t size = strlen(text), done = 0;
    while (done < size) {
        ssize_t n = write(h->fd, text + done, size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return lk_fail_errno(err, "%s cannot be written", h->path);
        done += (size_t)n;
    }
    return true;
}

/* Moves the header and the rows up to iteration `last` together; returns their length. What a kill left of a row is no row. */
static size_t keep(char *text, int64_t last) {
    char *to = text, *end;
    int64_t before = 0;
    for (char *row = text; (end = strchr(row, '\n')) != NULL; row = end + 1) {
        int64_t iteration = strtoll(row, NULL, 10);
        if (row != text && (iteration <= before || iteration > last)) continue;
        if (row != text) before = iteration;
        memmove(to, row, (size_t)(end + 1 - row));
        to += end + 1 - row;
    }
    return (size_t)(to - text);
}

static bool cut(const char *path, int64_t last, size_t *size, lk_error *err) {
    void *text;
    size_t all;
    *size = 0;
    if (!lk_file_exists(path)) return true;
    if (!lk_file_read(path, LK_MIB(256), &text, &all, err)) return false;
    *size = keep(text, last);
    bool ok = *size == all || lk_file_write(path, text, *size, err);
    free(text);
    return ok;
}

bool lk_history_open(lk_history *h, const char *dir, int64_t last, lk_error *err) {
    size_t size;
    *h = (lk_history){.fd = -1, .path = lk_path_join(dir, "history.csv", err)};
    bool ok = h->path && cut(h->path, last, &size, err);
    if (ok) h->fd = open(h->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (ok && h->fd < 0) ok = lk_fail_errno(err, "%s cannot be written", h->path);
    ok = ok && (size > 0 || append(h, HEADER, err));
    if (!ok) lk_history_close(h);
    return ok;
}

/* Every iteration at first, then every 10th, then every 100th: about 30,000 rows for a million iterations. */
static int64_t spacing(int64_t iteration) { return iteration <= 10000 ? 1 : iteration <= 100000 ? 10 : 100; }

bool lk_history_add(lk_history *h, int64_t iteration, double seconds, double src, double dst, int batch,
                    lk_error *err) {
    h->rows++;
    h->src += src;
    h->dst += dst;
    if (iteration % spacing(iteration) != 0) return true;
    char row[160];
    snprintf(row, sizeof row, "%lld,%.3f,%.6g,%.6g,%d\n", (long long)iteration, seconds, h->src / (double)h->rows,
             h->dst / (double)h->rows, batch);
    h->rows = 0;
    h->src = h->dst = 0;
    return append(h, row, err);
}

bool lk_history_sync(lk_history *h, lk_error *err) {
    return fsync(h->fd) == 0 || errno == EINVAL || lk_fail_errno(err, "%s cannot be written", h->path);
}

void lk_history_close(lk_history *h) {
    if (h->fd >= 0) close(h->fd);
    free(h->path);
    *h = (lk_history){.fd = -1};
}
