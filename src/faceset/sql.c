#include <errno.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

bool lk_sql_fail(const char *path, sqlite3 *db, int code, lk_error *err) {
    switch (code & 0xff) {
    case SQLITE_FULL:
        return lk_fail(err, LK_ERR_IO,
                       "%s: the disk is full; free some space and run the same command again (what was saved before "
                       "is safe)",
                       path);
    case SQLITE_READONLY:
        return lk_fail(err, LK_ERR_IO, "%s cannot be written: the file or its folder is read-only", path);
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return lk_fail(err, LK_ERR_IO,
                       "%s cannot be opened; check that it may be read and that its folder may be written", path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return lk_fail(err, LK_ERR_IO, "%s is in use by another program; try again when that has finished", path);
    case SQLITE_NOTADB:
        return lk_fail(err, LK_ERR_FORMAT, "%s is not a .faces file (or its first bytes are damaged)", path);
    case SQLITE_CORRUPT:
        return lk_fail(err, LK_ERR_FORMAT, "%s is damaged; take a copy of it from before, or extract the faces again",
                       path);
    case SQLITE_NOMEM:
        return lk_fail(err, LK_ERR_MEMORY, "%s: out of memory", path);
    case SQLITE_TOOBIG:
        return lk_fail(err, LK_ERR_FORMAT, "%s holds a value that is larger than any face can be", path);
    case SQLITE_IOERR: {
        int number = db ? sqlite3_system_errno(db) : 0;
        return lk_fail(err, LK_ERR_IO, "%s could not be read or written: %s", path,
                       number ? strerror(number) : "input/output error");
    }
    default:
        return lk_fail(err, LK_ERR_FORMAT, "%s is not as a .faces file should be: %s", path,
                       db ? sqlite3_errmsg(db) : sqlite3_errstr(code));
    }
}

bool lk_sql_run(lk_faceset *s, const char *sql, lk_error *err) {
    int code = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK || lk_sql_fail(s->path, s->db, code, err);
}

sqlite3_stmt *lk_sql_prepare(lk_faceset *s, const char *sql, lk_error *err) {
    sqlite3_stmt *q = NULL;
    int code = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &q, NULL);
    if (code != SQLITE_OK) {
        lk_sql_fail(s->path, s->db, code, err);
        return NULL;
    }
    return q;
}

bool lk_sql_done(lk_faceset *s, sqlite3_stmt *q, lk_error *err) {
    int code = sqlite3_step(q);
    bool ok = code == SQLITE_DONE || code == SQLITE_ROW || lk_sql_fail(s->path, s->db, code, err);
    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
    return ok;
}

bool lk_sql_int(sqlite3_stmt *q, int column, int64_t lo, int64_t hi, int64_t *value) {
    if (sqlite3_column_type(q, column) != SQLITE_INTEGER) return false;
    *value = sqlite3_column_int64(q, column);
    return *value >= lo && *value <= hi;
}

bool lk_sql_real(sqlite3_stmt *q, int column, double *value) {
    if (sqlite3_column_type(q, column) != SQLITE_FLOAT) return false;
    *value = sqlite3_column_double(q, column);
    return isfinite(*value);
}

static bool blob_of(sqlite3_stmt *q, int column, size_t size, const unsigned char **bytes) {
    if (sqlite3_column_type(q, column) != SQLITE_BLOB) return false;
    *bytes = sqlite3_column_blob(q, column);
    return *bytes && (size_t)sqlite3_column_bytes(q, column) == size;
}

bool lk_sql_floats(sqlite3_stmt *q, int column, float *values, int count) {
    const unsigned char *b;
    if (!blob_of(q, column, (size_t)count * 4, &b)) return false;
    for (int i = 0; i < count; i++, b += 4) {
        uint32_t bits = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
        memcpy(&values[i], &bits, 4);
        if (!isfinite(values[i])) return false;
    }
    return true;
}

bool lk_sql_doubles(sqlite3_stmt *q, int column, double *values, int count) {
    const unsigned char *b;
    if (!blob_of(q, column, (size_t)count * 8, &b)) return false;
    for (int i = 0; i < count; i++, b += 8) {
        uint64_t bits = 0;
        for (int k = 0; k < 8; k++) bits |= (uint64_t)b[k] << 8 * k;
        memcpy(&values[i], &bits, 8);
        if (!isfinite(values[i])) return false;
    }
    return true;
}

bool lk_sql_text(sqlite3_stmt *q, int column, char *text, size_t room) {
    if (sqlite3_column_type(q, column) != SQLITE_TEXT) return false;
    const unsigned char *t = sqlite3_column_text(q, column);
    size_t n = (size_t)sqlite3_column_bytes(q, column);
    if (!t || n >= room || memchr(t, 0, n)) return false;
    memcpy(text, t, n);
    text[n] = 0;
    return true;
}

/* SQLite takes the buffer over and frees it. */
static bool bind_words(sqlite3_stmt *q, int index, const void *values, int count, size_t word) {
    size_t size = (size_t)count * word;
    unsigned char *bytes = sqlite3_malloc64(size);
    if (!bytes) return false;
    for (int i = 0; i < count; i++) {
        uint64_t bits = 0;
        if (word == 4) {
            uint32_t low;
            memcpy(&low, (const char *)values + (size_t)i * 4, 4);
            bits = low;
        } else {
            memcpy(&bits, (const char *)values + (size_t)i * 8, 8);
        }
        for (size_t k = 0; k < word; k++) bytes[(size_t)i * word + k] = (unsigned char)(bits >> 8 * k);
    }
    return sqlite3_bind_blob64(q, index, bytes, size, sqlite3_free) == SQLITE_OK;
}

bool lk_sql_bind_floats(sqlite3_stmt *q, int index, const float *values, int count) {
    return bind_words(q, index, values, count, 4);
}

bool lk_sql_bind_doubles(sqlite3_stmt *q, int index, const double *values, int count) {
    return bind_words(q, index, values, count, 8);
}

bool lk_sql_enter(lk_faceset *s, bool *own, lk_error *err) {
    *own = sqlite3_get_autocommit(s->db) != 0;
    return !*own || lk_faceset_begin(s, err);
}

bool lk_sql_leave(lk_faceset *s, bool own, bool ok, lk_error *err) {
    if (!own) return ok;
    if (ok) return lk_faceset_commit(s, err);
    lk_faceset_rollback(s);
    return false;
}

bool lk_sql_writable(lk_faceset *s, lk_error *err) {
    return s->writable || lk_fail(err, LK_ERR_USAGE, "%s was opened for reading only", s->path);
}
