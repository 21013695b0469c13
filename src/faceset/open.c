#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

#define BUSY_MS 3000

/* docs/faces-format.md explains every column. */
static const char first_schema[] =
    "CREATE TABLE source (id INTEGER PRIMARY KEY, path TEXT NOT NULL, fingerprint TEXT NOT NULL, width INTEGER NOT "
    "NULL, height INTEGER NOT NULL, frames INTEGER NOT NULL, fps REAL NOT NULL, complete INTEGER NOT NULL) STRICT;"
    "CREATE TABLE face (id INTEGER PRIMARY KEY, source INTEGER NOT NULL REFERENCES source(id), frame INTEGER NOT NULL, "
    "time REAL NOT NULL, track INTEGER NOT NULL, type INTEGER NOT NULL, size INTEGER NOT NULL, frame_to_crop BLOB NOT "
    "NULL, points BLOB NOT NULL, crop_points BLOB NOT NULL, yaw REAL NOT NULL, pitch REAL NOT NULL, roll REAL NOT "
    "NULL, presence REAL NOT NULL, sharpness REAL NOT NULL, brightness REAL NOT NULL, mean_l REAL NOT NULL, mean_a "
    "REAL NOT NULL, mean_b REAL NOT NULL, std_l REAL NOT NULL, std_a REAL NOT NULL, std_b REAL NOT NULL, x INTEGER NOT "
    "NULL, y INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, removed INTEGER NOT NULL) STRICT;"
    "CREATE INDEX face_in_frame ON face (source, frame);"
    "CREATE TABLE mesh (face INTEGER PRIMARY KEY REFERENCES face(id), points BLOB NOT NULL) STRICT;"
    "CREATE TABLE descriptor (face INTEGER PRIMARY KEY REFERENCES face(id), vector BLOB NOT NULL) STRICT;"
    "CREATE TABLE crop (face INTEGER PRIMARY KEY REFERENCES face(id), jpeg BLOB NOT NULL) STRICT;";

/* What version 2 added. A file of version 1 gets it when it is opened for writing; one that is only read looks as if it
 * had it, empty. */
#define ADDED(kind)                                                                                                    \
    "CREATE " kind "TABLE IF NOT EXISTS origin (face INTEGER PRIMARY KEY REFERENCES face(id), name TEXT NOT NULL, "    \
    "claim TEXT NOT NULL UNIQUE, changed INTEGER NOT NULL) STRICT;"                                                    \
    "CREATE " kind "TABLE IF NOT EXISTS look (face INTEGER PRIMARY KEY REFERENCES face(id), hue REAL NOT NULL, "       \
    "black REAL NOT NULL, motion_blur REAL NOT NULL, histogram BLOB NOT NULL, thumbnail BLOB NOT NULL) STRICT;"        \
    "CREATE " kind "TABLE IF NOT EXISTS place (face INTEGER PRIMARY KEY REFERENCES face(id), position INTEGER NOT "    \
    "NULL) STRICT;"                                                                                                    \
    "CREATE " kind "TABLE IF NOT EXISTS mask (face INTEGER NOT NULL REFERENCES face(id), kind INTEGER NOT NULL, data " \
    "BLOB NOT NULL, PRIMARY KEY (face, kind)) STRICT;"                                                                 \
    "CREATE " kind                                                                                                     \
    "TABLE IF NOT EXISTS absent (source INTEGER NOT NULL REFERENCES source(id), frame INTEGER NOT NULL, "              \
    "PRIMARY KEY (source, frame)) STRICT;"

static void harden(sqlite3 *db) {
    int was;
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, BUSY_MS);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, &was);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, &was);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, &was);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, &was);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, (int)LK_MAX_CROP_BYTES);
    sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
}

static lk_faceset *open_database(const char *name, const char *path, int flags, lk_error *err) {
    lk_faceset *s = lk_alloc(1, sizeof *s, err);
    if (!s) return NULL;
    s->path = lk_strdup(path, err);
    if (!s->path) {
        free(s);
        return NULL;
    }
    s->writable = !(flags & SQLITE_OPEN_READONLY);
    int code = sqlite3_open_v2(name, &s->db, flags | SQLITE_OPEN_FULLMUTEX, NULL);
    if (code != SQLITE_OK) {
        lk_sql_fail(path, s->db, code, err);
        sqlite3_close(s->db);
        free(s->path);
        free(s);
        return NULL;
    }
    harden(s->db);
    return s;
}

void lk_faceset_close(lk_faceset *s) {
    if (!s) return;
    if (!sqlite3_get_autocommit(s->db)) lk_faceset_rollback(s);
    for (int i = 0; i < STATEMENTS; i++) sqlite3_finalize(s->statements[i]);
    /* One file again. When another program still reads it the log stays, and the last to close folds it in. */
    if (s->writable) {
        sqlite3_busy_timeout(s->db, 0);
        sqlite3_exec(s->db, "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    }
    sqlite3_close(s->db);
    free(s->path);
    free(s);
}

/* Rename that never overwrites. */
static bool put_in_place(const char *temporary, const char *path, lk_error *err) {
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) == 0) return true;
    if (errno == EEXIST) return lk_fail(err, LK_ERR_IO, "%s exists already", path);
    if (errno != EINVAL && errno != ENOSYS) return lk_fail_errno(err, "%s cannot be created", path);
    if (lk_file_exists(path)) return lk_fail(err, LK_ERR_IO, "%s exists already", path);
    return rename(temporary, path) == 0 || lk_fail_errno(err, "%s cannot be created", path);
}

static bool write_schema(const char *temporary, const char *path, lk_error *err) {
    lk_faceset *s = open_database(temporary, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    if (!s) return false;
    char sql[sizeof first_schema + sizeof ADDED("") + 200];
    snprintf(sql, sizeof sql, "BEGIN; PRAGMA application_id = %d; PRAGMA user_version = %d; %s %s COMMIT",
             LK_FACES_APPLICATION_ID, LK_FACES_VERSION, first_schema, ADDED(""));
    bool ok = lk_sql_run(s, sql, err);
    lk_faceset_close(s);
    return ok;
}

lk_faceset *lk_faceset_create(const char *path, lk_error *err) {
    if (lk_file_exists(path)) {
        lk_fail(err, LK_ERR_IO, "%s exists already", path);
        return NULL;
    }
    char *temporary = lk_file_temporary_name(path, err);
    if (!temporary) return NULL;
    unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        lk_fail_errno(err, "%s cannot be created", path);
        free(temporary);
        return NULL;
    }
    close(fd);
    bool ok = write_schema(temporary, path, err) && put_in_place(temporary, path, err);
    if (!ok) unlink(temporary);
    free(temporary);
    return ok ? lk_faceset_open(path, true, err) : NULL;
}

static uint32_t big_endian(const unsigned char *b) {
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static bool has_companion(const char *path, const char *suffix) {
    char *name = lk_format(NULL, "%s%s", path, suffix);
    struct stat st;
    bool there = name && stat(name, &st) == 0 && st.st_size > 0;
    free(name);
    return there;
}

/* SQLite's own header (its documentation, "The Database Header"): is it one, is it ours, is the file as long as it
 * says? */
static bool check_header(const char *path, lk_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return lk_fail_errno(err, "%s cannot be opened", path);
    unsigned char h[100];
    struct stat st;
    ssize_t n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? pread(fd, h, sizeof h, 0) : -1;
    close(fd);
    if (n < 0) return lk_fail(err, LK_ERR_IO, "%s is not a file that can be read", path);
    if (n != sizeof h || memcmp(h, "SQLite format 3", 16) != 0)
        return lk_fail(err, LK_ERR_FORMAT, "%s is not a .faces file", path);
    if (big_endian(h + 68) != LK_FACES_APPLICATION_ID)
        return lk_fail(err, LK_ERR_FORMAT, "%s is an SQLite database, but not a .faces file", path);
    uint32_t version = big_endian(h + 60);
    if (version > LK_FACES_VERSION)
        return lk_fail(err, LK_ERR_UNSUPPORTED,
                       "%s was made by a newer version of likeness (format %u, this program knows %d); update likeness",
                       path, version, LK_FACES_VERSION);
    if (version < 1) return lk_fail(err, LK_ERR_FORMAT, "%s has no format version; it is damaged", path);
    uint64_t page = (uint64_t)h[16] << 8 | h[17], pages = big_endian(h + 28);
    if (page == 1) page = 65536;
    if ((uint64_t)st.st_size < page * pages && !has_companion(path, "-wal") && !has_companion(path, "-journal"))
        return lk_fail(err, LK_ERR_FORMAT,
                       "%s is cut off: it has %lld bytes of %llu; copy it again, or extract the faces again", path,
                       (long long)st.st_size, (unsigned long long)(page * pages));
    return true;
}

/* A database that was left with its log in a folder that cannot be written can only be read as it stands. */
static lk_faceset *open_immutable(const char *path, lk_error *err) {
    size_t n = strlen(path);
    char *escaped = lk_alloc(3 * n + 32, 1, err);
    if (!escaped) return NULL;
    char *to = escaped + sprintf(escaped, "file:");
    for (const char *c = path; *c; c++) {
        if (strchr("%?#", *c))
            to += sprintf(to, "%%%02X", (unsigned char)*c);
        else
            *to++ = *c;
    }
    sprintf(to, "?immutable=1");
    lk_faceset *s = open_database(escaped, path, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, err);
    free(escaped);
    return s;
}

static bool settle(lk_faceset *s, lk_error *err) {
    if (!lk_sql_run(
            s,
            "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY; "
            "SELECT count(*) FROM sqlite_schema",
            err))
        return false;
    return !s->writable || lk_sql_run(s, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", err);
}

/* A file of version 1 becomes one of version 2, whole or not at all. */
static bool bring_up(lk_faceset *s, lk_error *err) {
    sqlite3_stmt *q = lk_sql_prepare(s, "PRAGMA user_version", err);
    if (!q) return false;
    bool old = sqlite3_step(q) == SQLITE_ROW && sqlite3_column_int(q, 0) < 2;
    sqlite3_finalize(q);
    if (!old) return true;
    if (!s->writable) return lk_sql_run(s, ADDED("TEMP "), err);
    if (lk_sql_run(s, "BEGIN IMMEDIATE;" ADDED("") "PRAGMA user_version = 2; COMMIT", err)) return true;
    lk_faceset_rollback(s);
    return false;
}

/* Every table with every column: preparing a query over them tells. */
static bool check_schema(lk_faceset *s, lk_error *err) {
    static const char *const queries[] = {
        "SELECT id, path, fingerprint, width, height, frames, fps, complete FROM source",
        "SELECT id, source, frame, time, track, type, size, frame_to_crop, points, crop_points, yaw, pitch, roll, "
        "presence, sharpness, brightness, mean_l, mean_a, mean_b, std_l, std_a, std_b, x, y, width, height, removed "
        "FROM face",
        "SELECT face, points FROM mesh",
        "SELECT face, vector FROM descriptor",
        "SELECT face, jpeg FROM crop",
        "SELECT face, name, claim, changed FROM origin",
        "SELECT face, hue, black, motion_blur, histogram, thumbnail FROM look",
        "SELECT face, position FROM place",
        "SELECT face, kind, data FROM mask",
        "SELECT source, frame FROM absent",
    };
    for (size_t i = 0; i < LK_COUNT(queries); i++) {
        sqlite3_stmt *q = lk_sql_prepare(s, queries[i], err);
        if (!q) return false;
        sqlite3_finalize(q);
    }
    return true;
}

lk_faceset *lk_faceset_open(const char *path, bool writable, lk_error *err) {
    if (!check_header(path, err)) return NULL;
    if (writable && access(path, W_OK) != 0) {
        lk_fail_errno(err, "%s cannot be written", path);
        return NULL;
    }
    lk_faceset *s = open_database(path, path, writable ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY, err);
    if (!s) return NULL;
    lk_error first = {0};
    if (settle(s, &first) && bring_up(s, &first) && check_schema(s, &first)) return s;
    lk_faceset_close(s);
    if (!writable && first.code == LK_ERR_IO && !has_companion(path, "-wal")) {
        s = open_immutable(path, err);
        if (s && settle(s, err) && bring_up(s, err) && check_schema(s, err)) return s;
        lk_faceset_close(s);
        return NULL;
    }
    if (err) *err = first;
    return NULL;
}

bool lk_faceset_begin(lk_faceset *s, lk_error *err) {
    return lk_sql_run(s, s->writable ? "BEGIN IMMEDIATE" : "BEGIN", err);
}

bool lk_faceset_commit(lk_faceset *s, lk_error *err) {
    if (lk_sql_run(s, "COMMIT", err)) return true;
    lk_faceset_rollback(s);
    return false;
}

bool lk_faceset_rollback(lk_faceset *s) {
    if (sqlite3_get_autocommit(s->db)) return true; /* SQLite did so itself */
    return sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL) == SQLITE_OK;
}
