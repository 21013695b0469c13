#include "pickle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NODES_IN_BLOCK 64

const lk_pickle_known lk_pickle_names[] = {
    {"numpy.core.multiarray", "_reconstruct", LK_NAME_RECONSTRUCT},
    {"numpy._core.multiarray", "_reconstruct", LK_NAME_RECONSTRUCT},
    {"numpy", "ndarray", LK_NAME_NDARRAY},
    {"numpy", "dtype", LK_NAME_DTYPE},
    {"numpy.core.multiarray", "scalar", LK_NAME_SCALAR},
    {"numpy._core.multiarray", "scalar", LK_NAME_SCALAR},
    {"numpy.core.numeric", "_frombuffer", LK_NAME_FROMBUFFER},
    {"numpy._core.numeric", "_frombuffer", LK_NAME_FROMBUFFER},
    {"_codecs", "encode", LK_NAME_ENCODE}, /* how protocol 2 writes bytes */
    {"__builtin__", "bytes", LK_NAME_BYTES},
    {"builtins", "bytes", LK_NAME_BYTES},
    {"__builtin__", "bytearray", LK_NAME_BYTEARRAY},
    {"builtins", "bytearray", LK_NAME_BYTEARRAY},
    {NULL, NULL, 0},
};

/* ---- Memory ------------------------------------------------------------------------------------------------- */

void *lk_pickle_alloc(lk_pickle *p, size_t size) {
    if (p->count == p->room) {
        int room = p->room ? 2 * p->room : 16;
        void **more = realloc(p->blocks, (size_t)room * sizeof *more);
        if (!more) return NULL;
        p->blocks = more;
        p->room = room;
    }
    void *block = malloc(size ? size : 1);
    if (block) p->blocks[p->count++] = block;
    return block;
}

void lk_pickle_free(lk_pickle *p) {
    for (int i = 0; i < p->count; i++) free(p->blocks[i]);
    free(p->blocks);
    *p = (lk_pickle){0};
}

lk_pickle_node *lk_pickle_new(lk_pickle *p, lk_pickle_kind kind) {
    if (p->free_nodes == 0) {
        p->next = lk_pickle_alloc(p, NODES_IN_BLOCK * sizeof(lk_pickle_node));
        if (!p->next) return NULL;
        p->free_nodes = NODES_IN_BLOCK;
    }
    lk_pickle_node *n = p->next++;
    p->free_nodes--;
    *n = (lk_pickle_node){.kind = kind, .memo = -1};
    return n;
}

/* Room doubles; what was there before stays until the pickle goes. */
bool lk_pickle_append(lk_pickle *p, lk_pickle_node *to, lk_pickle_node *item) {
    if (!to || !item) return false;
    if (to->count == to->room) {
        int room = to->room ? 2 * to->room : 4;
        lk_pickle_node **more = lk_pickle_alloc(p, (size_t)room * sizeof(lk_pickle_node *));
        if (!more) return false;
        if (to->count) memcpy(more, to->items, (size_t)to->count * sizeof(lk_pickle_node *));
        to->items = more;
        to->room = room;
    }
    to->items[to->count++] = item;
    return true;
}

/* ---- Shape -------------------------------------------------------------------------------------------------- */

static bool walk(lk_pickle *p, lk_pickle_node *n, int depth, lk_error *err) {
    if (n->walk != p->walks) {
        n->walk = p->walks;
        n->uses = 0;
        n->memo = -1;
        n->height = -1;
        int height = 0;
        for (int i = 0; depth < LK_PICKLE_MAX_DEPTH && i < n->count; i++) {
            if (!walk(p, n->items[i], depth + 1, err)) return false;
            if (n->items[i]->height >= height) height = n->items[i]->height + 1;
        }
        n->height = depth < LK_PICKLE_MAX_DEPTH || n->count == 0 ? height : LK_PICKLE_MAX_DEPTH;
    }
    n->uses++;
    if (n->height < 0) return lk_fail(err, LK_ERR_FORMAT, "a pickle in which an object holds itself is not read");
    return depth + n->height <= LK_PICKLE_MAX_DEPTH ||
           lk_fail(err, LK_ERR_FORMAT, "the pickle is nested deeper than %d", LK_PICKLE_MAX_DEPTH);
}

bool lk_pickle_check(lk_pickle *p, lk_error *err) {
    p->walks++;
    return walk(p, p->root, 0, err);
}

/* ---- Looking into it ---------------------------------------------------------------------------------------- */

bool lk_pickle_is_text(const lk_pickle_node *n, const char *text) {
    return n && (n->kind == LK_PICKLE_TEXT || n->kind == LK_PICKLE_OLD_TEXT) && n->size == strlen(text) &&
           memcmp(n->bytes, text, n->size) == 0;
}

lk_pickle_node *lk_pickle_get(const lk_pickle_node *dict, const char *key) {
    if (!dict || dict->kind != LK_PICKLE_DICT) return NULL;
    for (int i = 0; i + 1 < dict->count; i += 2)
        if (lk_pickle_is_text(dict->items[i], key)) return dict->items[i + 1];
    return NULL;
}

static bool is_object(const lk_pickle_node *n, lk_pickle_name which) {
    return n && n->kind == LK_PICKLE_OBJECT && lk_pickle_names[n->items[0]->integer].which == which;
}

/* What an array or scalar is made of. */
typedef struct array {
    char letter; /* b, i, u, f */
    int word;    /* bytes of an element */
    bool swapped, by_columns;
    int64_t shape[4];
    int dims;
    const uint8_t *bytes;
    int64_t count;
} array;

static bool read_dtype(const lk_pickle_node *n, array *a) {
    if (!is_object(n, LK_NAME_DTYPE) || n->items[1]->count < 1) return false;
    const lk_pickle_node *code = n->items[1]->items[0];
    if ((code->kind != LK_PICKLE_TEXT && code->kind != LK_PICKLE_OLD_TEXT) || code->size != 2) return false;
    const char *c = code->bytes;
    a->letter = c[0];
    a->word = c[1] - '0';
    if (n->count > 2 && n->items[2]->count > 1) a->swapped = lk_pickle_is_text(n->items[2]->items[1], ">");
    switch (a->letter) {
    case 'b':
        return a->word == 1;
    case 'i':
    case 'u':
        return a->word == 1 || a->word == 2 || a->word == 4 || a->word == 8;
    case 'f':
        return a->word == 2 || a->word == 4 || a->word == 8;
    default:
        return false;
    }
}

static bool read_shape(const lk_pickle_node *n, array *a) {
    if (n->kind != LK_PICKLE_TUPLE || n->count > 4) return false;
    a->dims = n->count;
    a->count = 1;
    for (int i = 0; i < n->count; i++) {
        if (n->items[i]->kind != LK_PICKLE_INT || n->items[i]->integer < 0 ||
            n->items[i]->integer > (int64_t)LK_PICKLE_MAX_BYTES)
            return false;
        a->shape[i] = n->items[i]->integer;
        a->count *= a->shape[i];
        if (a->count > (int64_t)LK_PICKLE_MAX_BYTES) return false;
    }
    return true;
}

static bool read_data(const lk_pickle_node *n, array *a) {
    if (n->kind != LK_PICKLE_BYTES && n->kind != LK_PICKLE_BYTEARRAY) return false;
    a->bytes = n->bytes;
    return n->size == (size_t)a->count * (size_t)a->word;
}

static bool read_array(const lk_pickle_node *n, array *a) {
    *a = (array){.count = 1};
    if (is_object(n, LK_NAME_SCALAR) && n->items[1]->count == 2)
        return read_dtype(n->items[1]->items[0], a) && read_data(n->items[1]->items[1], a);
    if (is_object(n, LK_NAME_RECONSTRUCT) && n->count > 2 && n->items[2]->kind == LK_PICKLE_TUPLE &&
        n->items[2]->count == 5) {
        lk_pickle_node *const *s = n->items[2]->items; /* version, shape, dtype, by columns, data */
        a->by_columns = s[3]->kind == LK_PICKLE_BOOL && s[3]->integer;
        return read_shape(s[1], a) && read_dtype(s[2], a) && read_data(s[4], a);
    }
    if (is_object(n, LK_NAME_FROMBUFFER) && n->items[1]->count == 4) {
        lk_pickle_node *const *s = n->items[1]->items; /* data, dtype, shape, order */
        a->by_columns = lk_pickle_is_text(s[3], "F");
        return read_shape(s[2], a) && read_dtype(s[1], a) && read_data(s[0], a);
    }
    return false;
}

static double half(uint16_t bits) {
    int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    double v = exponent == 31 ? (mantissa ? NAN : INFINITY)
               : exponent     ? ldexp(1 + mantissa / 1024.0, exponent - 15)
                              : ldexp(mantissa / 1024.0, -14);
    return bits & 0x8000 ? -v : v;
}

static double element(const array *a, int64_t at) {
    uint64_t bits = 0;
    const uint8_t *b = a->bytes + at * a->word;
    for (int i = 0; i < a->word; i++) bits |= (uint64_t)b[i] << 8 * (a->swapped ? a->word - 1 - i : i);
    if (a->letter == 'f') {
        float f;
        double d;
        uint32_t low = (uint32_t)bits;
        if (a->word == 2) return half((uint16_t)bits);
        memcpy(&f, &low, 4);
        memcpy(&d, &bits, 8);
        return a->word == 4 ? (double)f : d;
    }
    if (a->letter == 'i' && a->word < 8 && bits >> (8 * a->word - 1)) bits |= ~(uint64_t)0 << 8 * a->word;
    return a->letter == 'i' ? (double)(int64_t)bits : (double)bits;
}

/* Element i in reading order, of an array that may be stored column by column. */
static int64_t place(const array *a, int64_t i) {
    if (!a->by_columns || a->dims < 2) return i;
    int64_t at = 0, step[4];
    step[0] = 1;
    for (int d = 1; d < a->dims; d++) step[d] = step[d - 1] * a->shape[d - 1];
    for (int d = a->dims - 1; d >= 0; d--) {
        at += i % a->shape[d] * step[d];
        i /= a->shape[d];
    }
    return at;
}

static bool collect(const lk_pickle_node *n, double *values, int count, int *filled) {
    array a;
    if (n->kind == LK_PICKLE_LIST || n->kind == LK_PICKLE_TUPLE) {
        for (int i = 0; i < n->count; i++)
            if (!collect(n->items[i], values, count, filled)) return false;
        return true;
    }
    if (n->kind == LK_PICKLE_INT || n->kind == LK_PICKLE_FLOAT) {
        if (*filled >= count) return false;
        double v = n->kind == LK_PICKLE_INT ? (double)n->integer : n->real;
        values[(*filled)++] = v;
        return isfinite(v);
    }
    if (!read_array(n, &a) || a.count > count - *filled) return false;
    for (int64_t i = 0; i < a.count; i++) {
        double v = element(&a, place(&a, i));
        if (!isfinite(v)) return false;
        values[(*filled)++] = v;
    }
    return true;
}

bool lk_pickle_numbers(const lk_pickle_node *n, double *values, int count) {
    int filled = 0;
    return n && collect(n, values, count, &filled) && filled == count;
}

int lk_pickle_numbers_up_to(const lk_pickle_node *n, double *values, int most) {
    int filled = 0;
    return n && collect(n, values, most, &filled) ? filled : -1;
}

bool lk_pickle_bytes(const lk_pickle_node *n, const void **bytes, size_t *size) {
    array a;
    if (!n) return false;
    if (n->kind == LK_PICKLE_BYTES || n->kind == LK_PICKLE_BYTEARRAY) {
        *bytes = n->bytes;
        *size = n->size;
        return true;
    }
    if (!read_array(n, &a) || a.letter != 'u' || a.word != 1) return false;
    *bytes = a.bytes;
    *size = (size_t)a.count;
    return true;
}

/* ---- Making one --------------------------------------------------------------------------------------------- */

static lk_pickle_node *copied(lk_pickle *p, lk_pickle_kind kind, const void *bytes, size_t size) {
    lk_pickle_node *n = lk_pickle_new(p, kind);
    void *copy = n ? lk_pickle_alloc(p, size) : NULL;
    if (!copy) return NULL;
    if (size) memcpy(copy, bytes, size);
    n->bytes = copy;
    n->size = size;
    return n;
}

lk_pickle_node *lk_pickle_new_text(lk_pickle *p, const char *text) {
    return copied(p, LK_PICKLE_TEXT, text, strlen(text));
}

lk_pickle_node *lk_pickle_new_bytes(lk_pickle *p, const void *bytes, size_t size) {
    return copied(p, LK_PICKLE_BYTES, bytes, size);
}

static lk_pickle_node *integer(lk_pickle *p, int64_t v) {
    lk_pickle_node *n = lk_pickle_new(p, LK_PICKLE_INT);
    if (n) n->integer = v;
    return n;
}

static lk_pickle_node *boolean(lk_pickle *p, bool v) {
    lk_pickle_node *n = lk_pickle_new(p, LK_PICKLE_BOOL);
    if (n) n->integer = v;
    return n;
}

lk_pickle_node *lk_pickle_new_integers(lk_pickle *p, const int *values, int count) {
    lk_pickle_node *t = lk_pickle_new(p, LK_PICKLE_TUPLE);
    for (int i = 0; i < count; i++)
        if (!lk_pickle_append(p, t, integer(p, values[i]))) return NULL;
    return t;
}

lk_pickle_node *lk_pickle_new_numbers(lk_pickle *p, const double *values, int rows, int columns) {
    lk_pickle_node *list = lk_pickle_new(p, LK_PICKLE_LIST);
    for (int i = 0; i < rows; i++) {
        lk_pickle_node *row =
            columns ? lk_pickle_new_numbers(p, values + i * columns, columns, 0) : lk_pickle_new(p, LK_PICKLE_FLOAT);
        if (row && !columns) row->real = values[i];
        if (!lk_pickle_append(p, list, row)) return NULL;
    }
    return list;
}

static lk_pickle_node *named(lk_pickle *p, lk_pickle_name which) {
    lk_pickle_node *n = lk_pickle_new(p, LK_PICKLE_NAME);
    for (int i = 0; n && lk_pickle_names[i].module; i++)
        if (lk_pickle_names[i].which == which) {
            n->integer = i;
            break;
        }
    return n;
}

/* A tuple, list or object of what is given; NULL when any of it is. */
static lk_pickle_node *of(lk_pickle *p, lk_pickle_kind kind, lk_pickle_node *const *items, int count) {
    lk_pickle_node *n = lk_pickle_new(p, kind);
    for (int i = 0; i < count; i++)
        if (!lk_pickle_append(p, n, items[i])) return NULL;
    return n;
}

#define TUPLE(...)                                                                                                     \
    of(p, LK_PICKLE_TUPLE, (lk_pickle_node *const[]){__VA_ARGS__},                                                     \
       (int)(sizeof((lk_pickle_node *const[]){__VA_ARGS__}) / sizeof(lk_pickle_node *)))
#define OBJECT(...)                                                                                                    \
    of(p, LK_PICKLE_OBJECT, (lk_pickle_node *const[]){__VA_ARGS__},                                                    \
       (int)(sizeof((lk_pickle_node *const[]){__VA_ARGS__}) / sizeof(lk_pickle_node *)))

/* numpy.ndarray.__reduce__: _reconstruct(ndarray, (0,), b'b'), then the state. */
static lk_pickle_node *new_array(lk_pickle *p, const char *dtype, lk_pickle_node *shape, const void *bytes,
                                 size_t size) {
    lk_pickle_node *none = lk_pickle_new(p, LK_PICKLE_NONE), *minus = integer(p, -1);
    lk_pickle_node *type =
        OBJECT(named(p, LK_NAME_DTYPE), TUPLE(lk_pickle_new_text(p, dtype), boolean(p, false), boolean(p, true)),
               TUPLE(integer(p, 3), lk_pickle_new_text(p, dtype[1] == '1' ? "|" : "<"), none, none, none, minus, minus,
                     integer(p, 0)));
    return OBJECT(
        named(p, LK_NAME_RECONSTRUCT),
        TUPLE(named(p, LK_NAME_NDARRAY), lk_pickle_new_integers(p, (int[]){0}, 1), lk_pickle_new_bytes(p, "b", 1)),
        TUPLE(integer(p, 1), shape, type, boolean(p, false), lk_pickle_new_bytes(p, bytes, size)));
}

lk_pickle_node *lk_pickle_new_array(lk_pickle *p, const float *values, int rows, int columns) {
    size_t count = (size_t)rows * (size_t)columns;
    uint8_t *bytes = lk_pickle_alloc(p, 4 * count);
    if (!bytes) return NULL;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], 4);
        for (int k = 0; k < 4; k++) bytes[4 * i + (size_t)k] = (uint8_t)(bits >> 8 * k);
    }
    return new_array(p, "f4", lk_pickle_new_integers(p, (int[]){rows, columns}, 2), bytes, 4 * count);
}

lk_pickle_node *lk_pickle_new_byte_array(lk_pickle *p, const void *bytes, size_t size) {
    return new_array(p, "u1", lk_pickle_new_integers(p, (int[]){(int)size}, 1), bytes, size);
}

bool lk_pickle_set(lk_pickle *p, lk_pickle_node *dict, const char *key, lk_pickle_node *value) {
    if (!dict || !value) return false;
    for (int i = 0; i + 1 < dict->count; i += 2)
        if (lk_pickle_is_text(dict->items[i], key)) {
            dict->items[i + 1] = value;
            return true;
        }
    return lk_pickle_append(p, dict, lk_pickle_new_text(p, key)) && lk_pickle_append(p, dict, value);
}

void lk_pickle_remove(lk_pickle_node *dict, const char *key) {
    for (int i = 0; i + 1 < dict->count; i += 2) {
        if (!lk_pickle_is_text(dict->items[i], key)) continue;
        for (int k = i + 2; k < dict->count; k++) dict->items[k - 2] = dict->items[k];
        dict->count -= 2;
        return;
    }
}
