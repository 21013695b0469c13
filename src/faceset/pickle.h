/* Python pickles that hold data alone: numbers, text, bytes, lists, tuples, dicts, sets, and NumPy's arrays and
 * scalars. Protocols 2 to 5. Whatever would import or call anything else is refused by its name; nothing is ever run.
 *
 * A pickle is a graph of nodes that belong to one lk_pickle. What is read can be written again: unknown keys, kinds of
 * numbers, shared objects and arrays come out as they went in. */
#ifndef LIKENESS_PICKLE_H
#define LIKENESS_PICKLE_H

#include "likeness/base.h"

#define LK_PICKLE_MAX_BYTES   LK_MIB(16)
#define LK_PICKLE_MAX_DEPTH   64
#define LK_PICKLE_MAX_ENTRIES 4096 /* of one dict */

typedef enum lk_pickle_kind {
    LK_PICKLE_NONE,
    LK_PICKLE_BOOL,
    LK_PICKLE_INT,
    LK_PICKLE_LONG, /* beyond 64 bits: two's complement, little-endian, in bytes */
    LK_PICKLE_FLOAT,
    LK_PICKLE_TEXT,     /* UTF-8 in bytes */
    LK_PICKLE_OLD_TEXT, /* Python 2's str in bytes */
    LK_PICKLE_BYTES,
    LK_PICKLE_BYTEARRAY,
    LK_PICKLE_TUPLE,
    LK_PICKLE_LIST,
    LK_PICKLE_SET,
    LK_PICKLE_FROZENSET,
    LK_PICKLE_DICT,   /* items: key, value, key, value, … */
    LK_PICKLE_NAME,   /* one of the few functions and types that are known */
    LK_PICKLE_OBJECT, /* items: name, arguments, and state where there is one */
} lk_pickle_kind;

typedef struct lk_pickle_node lk_pickle_node;
struct lk_pickle_node {
    lk_pickle_kind kind;
    int walk;          /* number of the walk that came by last; the next three are that walk's */
    int uses;          /* how many places hold it */
    int height;        /* of the longest way below it; −1: being walked */
    int memo;          /* place in the memo while it is written, −1: none */
    int64_t integer;   /* INT, BOOL; NAME: which */
    double real;       /* FLOAT */
    const void *bytes; /* TEXT, BYTES, LONG */
    size_t size;       /* of bytes */
    lk_pickle_node **items;
    int count, room;
};

typedef struct lk_pickle {
    lk_pickle_node *root;
    void **blocks; /* all memory but the input */
    int count, room;
    int free_nodes; /* left in the last block of nodes */
    int walks;
    lk_pickle_node *next;
} lk_pickle;

/* The data must outlive the pickle: texts and bytes point into it. */
bool lk_pickle_read(lk_pickle *p, const void *data, size_t size, lk_error *err);
/* Protocol 4; caller frees *data. */
bool lk_pickle_write(lk_pickle *p, void **data, size_t *size, lk_error *err);
void lk_pickle_free(lk_pickle *p);

/* ---- Looking into it -------------------------------------------------------------------------------------- */

/* NULL when `dict` is none, or lacks the key. */
lk_pickle_node *lk_pickle_get(const lk_pickle_node *dict, const char *key);
/* Exactly `count` finite numbers, from nested lists and tuples, arrays or scalars, in their order. */
bool lk_pickle_numbers(const lk_pickle_node *n, double *values, int count);
/* As many as there are, at most `most`: the count, or −1. */
int lk_pickle_numbers_up_to(const lk_pickle_node *n, double *values, int most);
bool lk_pickle_is_text(const lk_pickle_node *n, const char *text);
/* Bytes, a bytearray, or an array of uint8. */
bool lk_pickle_bytes(const lk_pickle_node *n, const void **bytes, size_t *size);

/* ---- Making one; NULL: out of memory ----------------------------------------------------------------------- */

lk_pickle_node *lk_pickle_new(lk_pickle *p, lk_pickle_kind kind);                   /* empty */
lk_pickle_node *lk_pickle_new_text(lk_pickle *p, const char *text);                 /* copied */
lk_pickle_node *lk_pickle_new_bytes(lk_pickle *p, const void *bytes, size_t size);  /* copied */
lk_pickle_node *lk_pickle_new_integers(lk_pickle *p, const int *values, int count); /* a tuple */
/* A list of `rows` lists; columns 0: a plain list of `rows` numbers. */
lk_pickle_node *lk_pickle_new_numbers(lk_pickle *p, const double *values, int rows, int columns);
/* An array of float32 [rows, columns] as NumPy pickles it. */
lk_pickle_node *lk_pickle_new_array(lk_pickle *p, const float *values, int rows, int columns);
lk_pickle_node *lk_pickle_new_byte_array(lk_pickle *p, const void *bytes, size_t size); /* uint8 [size] */
bool lk_pickle_append(lk_pickle *p, lk_pickle_node *to, lk_pickle_node *item);          /* either may be NULL: false */
bool lk_pickle_set(lk_pickle *p, lk_pickle_node *dict, const char *key, lk_pickle_node *value);
void lk_pickle_remove(lk_pickle_node *dict, const char *key);

/* ---- Shared by reader and writer --------------------------------------------------------------------------- */

typedef enum lk_pickle_name {
    LK_NAME_RECONSTRUCT,
    LK_NAME_NDARRAY,
    LK_NAME_DTYPE,
    LK_NAME_SCALAR,
    LK_NAME_FROMBUFFER,
    LK_NAME_ENCODE,
    LK_NAME_BYTES,
    LK_NAME_BYTEARRAY,
} lk_pickle_name;

typedef struct lk_pickle_known {
    const char *module, *name;
    lk_pickle_name which;
} lk_pickle_known;
extern const lk_pickle_known lk_pickle_names[]; /* ends with NULL; a NAME node holds the index */

void *lk_pickle_alloc(lk_pickle *p, size_t size); /* not zeroed; freed with the pickle */
/* Every container is reached by a path of at most LK_PICKLE_MAX_DEPTH, and none holds itself. Counts uses. */
bool lk_pickle_check(lk_pickle *p, lk_error *err);

#endif
