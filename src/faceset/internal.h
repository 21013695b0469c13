/* What the files of this room share: the open database and how its errors become sentences. */
#ifndef LIKENESS_FACESET_INTERNAL_H
#define LIKENESS_FACESET_INTERNAL_H

#include <sqlite3.h>

#include "likeness/faceset.h"

#define LK_FACES_APPLICATION_ID 0x4C4B4653 /* "LKFS" */
#define LK_FACES_VERSION        2
#define LK_MAX_CROP_SIDE        4096
#define LK_MAX_CROP_BYTES       LK_MIB(64)

typedef enum statement {
    STATEMENT_ADD_FACE,
    STATEMENT_ADD_MESH,
    STATEMENT_ADD_DESCRIPTOR,
    STATEMENT_ADD_CROP,
    STATEMENT_GET_FACE,
    STATEMENT_GET_CROP,
    STATEMENT_SET_REMOVED,
    STATEMENT_UPDATE_FACE,
    STATEMENT_ADD_ORIGIN,
    STATEMENT_GET_ORIGIN,
    STATEMENT_ADD_LOOK,
    STATEMENT_PUT_MASK,
    STATEMENT_GET_MASK,
    STATEMENT_CHANGE_ORIGIN,
    STATEMENTS,
} statement;

struct lk_faceset {
    sqlite3 *db;
    char *path;
    bool writable;
    bool own_look;                        /* a temporary table stands for `look` */
    sqlite3_stmt *statements[STATEMENTS]; /* prepared when first needed */
};

/* Fill err from SQLite's result code: what happened to which file and what to do. Returns false. */
bool lk_sql_fail(const char *path, sqlite3 *db, int code, lk_error *err);

bool lk_sql_run(lk_faceset *s, const char *sql, lk_error *err);
sqlite3_stmt *lk_sql_prepare(lk_faceset *s, const char *sql, lk_error *err);
/* One of the set's own, prepared when first needed; reset it after use. */
sqlite3_stmt *lk_sql_statement(lk_faceset *s, statement which, lk_error *err);
/* Step a statement that returns no rows, then reset it. */
bool lk_sql_done(lk_faceset *s, sqlite3_stmt *q, lk_error *err);

/* The first column of every row, as ids; count or −1; caller frees. */
int64_t lk_sql_ids(lk_faceset *s, const char *sql, int64_t **ids, lk_error *err);
int64_t lk_sql_collect(lk_faceset *s, sqlite3_stmt *q, int64_t **ids, lk_error *err); /* and finalizes q */

/* Columns of a row, checked: false (and no message) when the type, range or size is not what it should be. */
bool lk_sql_int(sqlite3_stmt *q, int column, int64_t lo, int64_t hi, int64_t *value);
bool lk_sql_real(sqlite3_stmt *q, int column, double *value); /* finite */
bool lk_sql_floats(sqlite3_stmt *q, int column, float *values, int count);
bool lk_sql_doubles(sqlite3_stmt *q, int column, double *values, int count);
bool lk_sql_text(sqlite3_stmt *q, int column, char *text, size_t room);

/* Little-endian blobs. */
bool lk_sql_bind_floats(sqlite3_stmt *q, int index, const float *values, int count);
bool lk_sql_bind_doubles(sqlite3_stmt *q, int index, const double *values, int count);

/* A change that must be whole: opens a transaction unless one is open already. */
bool lk_sql_enter(lk_faceset *s, bool *own, lk_error *err);
bool lk_sql_leave(lk_faceset *s, bool own, bool ok, lk_error *err); /* commits, or rolls back; returns ok */

bool lk_sql_writable(lk_faceset *s, lk_error *err);

/* All rows of the faces for which this condition on `face` holds. */
bool lk_sql_forget_faces(lk_faceset *s, const char *which, lk_error *err);

#endif
