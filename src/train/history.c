/* history.csv: losses over a model's life. Rows are appended between saves; model.json tells how long the file was at
 * each save, and what lies beyond is cut off when training goes on from there. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
    h->bytes += (int64_t)size;
    return true;
}

bool lk_history_open(lk_history *h, const char *dir, int64_t bytes, lk_error *err) {
    *h = (lk_history){.fd = -1, .path = lk_path_join(dir, "history.csv", err)};
    if (!h->path) return false;
    h->fd = open(h->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    struct stat st;
    bool ok = h->fd >= 0 && fstat(h->fd, &st) == 0;
    if (ok && st.st_size > bytes) ok = ftruncate(h->fd, bytes) == 0;
    if (!ok) lk_fail_errno(err, "%s cannot be written", h->path);
    if (ok) h->bytes = st.st_size < bytes ? st.st_size : bytes;
    ok = ok && (h->bytes > 0 || append(h, HEADER, err));
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
