#include "look.h"

#include <stdlib.h>

#include "internal.h"
#include "likeness/media.h"

#define BATCH 64

bool lk_look_store(lk_faceset *s, int64_t id, const lk_look *look, lk_error *err) {
    sqlite3_stmt *q = lk_sql_statement(s, STATEMENT_ADD_LOOK, err);
    if (!q) return false;
    bool bound = sqlite3_bind_int64(q, 1, id) == SQLITE_OK && sqlite3_bind_double(q, 2, look->hue) == SQLITE_OK &&
                 sqlite3_bind_double(q, 3, look->black) == SQLITE_OK &&
                 sqlite3_bind_double(q, 4, look->motion_blur) == SQLITE_OK &&
                 lk_sql_bind_floats(q, 5, look->histogram, LK_COUNT(look->histogram)) &&
                 sqlite3_bind_blob(q, 6, look->thumbnail, sizeof look->thumbnail, SQLITE_STATIC) == SQLITE_OK;
    return bound ? lk_sql_done(s, q, err) : lk_sql_fail(s->path, s->db, SQLITE_NOMEM, err);
}

typedef struct job {
    int64_t id;
    lk_face face;
    lk_look look;
    void *jpeg;
    size_t size;
    bool ok;
    lk_error err;
} job;

static void measure(int i, void *user) {
    job *j = (job *)user + i;
    lk_image crop = {0};
    j->ok = lk_jpeg_decode(j->jpeg, j->size, LK_MAX_CROP_SIDE, &crop, &j->err) &&
            lk_measure_look(&crop, &j->face.crop_points, &j->look, &j->err);
    lk_image_free(&crop);
}

/* A transaction's worth. A crop that cannot be read is told of and gets no look. */
static bool measure_batch(lk_faceset *s, job *jobs, const int64_t *ids, int count, lk_error *err) {
    bool ok = true, own;
    int ready = 0;
    for (; ok && ready < count; ready++) {
        job *j = &jobs[ready];
        *j = (job){.id = ids[ready]};
        ok = lk_faceset_get(s, j->id, &j->face, err) && lk_faceset_jpeg(s, j->id, &j->jpeg, &j->size, err);
    }
    if (ok) lk_parallel_for(count, measure, jobs);
    if (ok && (ok = lk_sql_enter(s, &own, err))) {
        for (int i = 0; ok && i < count; i++) {
            if (jobs[i].ok)
                ok = lk_look_store(s, jobs[i].id, &jobs[i].look, err);
            else
                lk_log(LK_LOG_WARN, "%s: face %lld: %s", s->path, (long long)jobs[i].id, jobs[i].err.message);
        }
        ok = lk_sql_leave(s, own, ok, err);
    }
    for (int i = 0; i < ready; i++) free(jobs[i].jpeg);
    return ok;
}

static bool measure_all(lk_faceset *s, const int64_t *ids, int64_t count, lk_error *err) {
    job *jobs = lk_alloc(BATCH, sizeof *jobs, err);
    if (!jobs) return false;
    lk_progress progress;
    lk_progress_begin(&progress, "measuring faces", (double)count);
    bool ok = true;
    for (int64_t at = 0; ok && at < count; at += BATCH) {
        int n = count - at < BATCH ? (int)(count - at) : BATCH;
        ok = !lk_interrupted() ? measure_batch(s, jobs, ids + at, n, err)
                               : lk_fail(err, LK_ERR_INTERRUPTED, "interrupted; what was measured is kept");
        lk_progress_update(&progress, (double)(at + n), NULL);
    }
    lk_progress_end(&progress);
    free(jobs);
    return ok;
}

bool lk_look_complete(lk_faceset *s, lk_error *err) {
    int64_t *ids,
        count = lk_sql_ids(s, "SELECT id FROM face WHERE id NOT IN (SELECT face FROM look) ORDER BY id", &ids, err);
    if (count < 0) return false;
    bool ok = true;
    /* A temporary table of the same name hides the one that cannot be written. */
    if (count > 0 && !s->writable && !s->own_look) {
        ok = lk_sql_run(s,
                        "CREATE TEMP TABLE IF NOT EXISTS look (face INTEGER PRIMARY KEY, hue, black, motion_blur, "
                        "histogram, thumbnail); INSERT OR IGNORE INTO temp.look SELECT * FROM main.look",
                        NULL) ||
             lk_sql_run(s, "SELECT count(*) FROM temp.look", err); /* version 1 has none to copy */
        s->own_look = ok;
        sqlite3_finalize(s->statements[STATEMENT_ADD_LOOK]);
        s->statements[STATEMENT_ADD_LOOK] = NULL;
    }
    ok = ok && (count == 0 || measure_all(s, ids, count, err));
    free(ids);
    return ok;
}
