/* A stack machine of the opcodes that data needs (Python's Lib/pickletools.py describes them all). */
#include "pickle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct machine {
    lk_pickle *p;
    const uint8_t *data;
    size_t size, at;
    lk_pickle_node **stack, **memo;
    int depth, stack_room;
    int *marks;
    int mark_count, mark_room;
    int floor; /* of the stack: the last mark */
    int memo_count, memo_room;
    lk_error *err;
} machine;

/* Opcodes that are understood and refused. */
static const struct {
    uint8_t code;
    const char *name;
} refused[] = {
    {'i', "INST (makes an object of any class)"},
    {'o', "OBJ (makes an object of any class)"},
    {0x81, "NEWOBJ (makes an object of any class)"},
    {0x92, "NEWOBJ_EX (makes an object of any class)"},
    {0x82, "EXT1 (imports by number)"},
    {0x83, "EXT2 (imports by number)"},
    {0x84, "EXT4 (imports by number)"},
    {'P', "PERSID (refers to something outside)"},
    {'Q', "BINPERSID (refers to something outside)"},
    {0x97, "NEXT_BUFFER (refers to something outside)"},
    {0x98, "READONLY_BUFFER (refers to something outside)"},
    {'I', "INT (text of protocol 0)"},
    {'L', "LONG (text of protocol 0)"},
    {'F', "FLOAT (text of protocol 0)"},
    {'S', "STRING (text of protocol 0)"},
    {'V', "UNICODE (text of protocol 0)"},
    {'p', "PUT (text of protocol 0)"},
    {'g', "GET (text of protocol 0)"},
};

static bool broken(machine *m, const char *what) {
    lk_fail(m->err, LK_ERR_FORMAT, "the pickle is damaged at byte %zu: %s", m->at, what);
    return false;
}
static bool no_memory(machine *m) {
    lk_fail(m->err, LK_ERR_MEMORY, "no memory for a pickle");
    return false;
}

static bool push(machine *m, lk_pickle_node *n) {
    if (!n) return no_memory(m);
    if (m->depth == m->stack_room) {
        int room = m->stack_room ? 2 * m->stack_room : 64;
        lk_pickle_node **more = realloc(m->stack, (size_t)room * sizeof *more);
        if (!more) return no_memory(m);
        m->stack = more;
        m->stack_room = room;
    }
    m->stack[m->depth++] = n;
    return true;
}

/* The nth from the top; NULL when the stack (above the last mark) is not so high. */
static lk_pickle_node *top(machine *m, int n) { return m->depth - m->floor > n ? m->stack[m->depth - 1 - n] : NULL; }

static bool push_mark(machine *m) {
    if (m->mark_count == m->mark_room) {
        int room = m->mark_room ? 2 * m->mark_room : 16;
        int *more = realloc(m->marks, (size_t)room * sizeof *more);
        if (!more) return no_memory(m);
        m->marks = more;
        m->mark_room = room;
    }
    m->marks[m->mark_count++] = m->floor;
    m->floor = m->depth;
    return true;
}

/* Items from *first on were above the last mark, which goes. */
static bool pop_mark(machine *m, int *first) {
    if (m->mark_count == 0) return broken(m, "a mark is missing");
    *first = m->floor;
    m->floor = m->marks[--m->mark_count];
    return true;
}

static bool take(machine *m, int bytes, uint64_t *value) {
    if (m->size - m->at < (size_t)bytes) return broken(m, "it ends in the middle");
    *value = 0;
    for (int i = 0; i < bytes; i++) *value |= (uint64_t)m->data[m->at++] << 8 * i;
    return true;
}

/* Bytes behind a length of so many bytes. */
static bool take_bytes(machine *m, lk_pickle_kind kind, int length_bytes, bool is_signed) {
    uint64_t n;
    if (!take(m, length_bytes, &n)) return false;
    if (is_signed && n > INT32_MAX) return broken(m, "a length is negative");
    if (n > m->size - m->at) return broken(m, "a length reaches beyond its end");
    lk_pickle_node *node = lk_pickle_new(m->p, kind);
    if (!node) return no_memory(m);
    node->bytes = m->data + m->at;
    node->size = n;
    m->at += n;
    return push(m, node);
}

static bool push_integer(machine *m, int64_t v, lk_pickle_kind kind) {
    lk_pickle_node *n = lk_pickle_new(m->p, kind);
    if (n) n->integer = v;
    return push(m, n);
}

static bool take_long(machine *m, int length_bytes) {
    if (!take_bytes(m, LK_PICKLE_LONG, length_bytes, length_bytes == 4)) return false;
    lk_pickle_node *n = top(m, 0);
    if (n->size > 8) return true;
    const uint8_t *b = n->bytes;
    uint64_t bits = n->size && b[n->size - 1] & 0x80 ? ~(uint64_t)0 : 0;
    for (size_t i = 0; i < n->size; i++) bits = (bits & ~((uint64_t)0xff << 8 * i)) | (uint64_t)b[i] << 8 * i;
    *n = (lk_pickle_node){.kind = LK_PICKLE_INT, .memo = -1, .integer = (int64_t)bits};
    return true;
}

static bool take_float(machine *m) {
    if (m->size - m->at < 8) return broken(m, "it ends in the middle");
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) bits = bits << 8 | m->data[m->at++];
    lk_pickle_node *n = lk_pickle_new(m->p, LK_PICKLE_FLOAT);
    if (n) memcpy(&n->real, &bits, 8);
    return push(m, n);
}

static bool make_tuple(machine *m, int first, lk_pickle_kind kind) {
    lk_pickle_node *t = lk_pickle_new(m->p, kind);
    if (!t) return no_memory(m);
    for (int i = first; i < m->depth; i++)
        if (!lk_pickle_append(m->p, t, m->stack[i])) return no_memory(m);
    m->depth = first;
    return push(m, t);
}

static bool make_short_tuple(machine *m, int count) {
    if (m->depth - m->floor < count) return broken(m, "the stack is empty");
    return make_tuple(m, m->depth - count, LK_PICKLE_TUPLE);
}

/* All above `first` go into the list or set below it. */
static bool add_items(machine *m, int first, bool set) {
    lk_pickle_node *to = first > m->floor ? m->stack[first - 1] : NULL;
    if (!to || to->kind != (set ? LK_PICKLE_SET : LK_PICKLE_LIST)) return broken(m, "items belong to no list");
    for (int i = first; i < m->depth; i++)
        if (!lk_pickle_append(m->p, to, m->stack[i])) return no_memory(m);
    m->depth = first;
    return true;
}

static bool same_key(const lk_pickle_node *a, const lk_pickle_node *b) {
    if (a->kind != b->kind) return false;
    if (a->kind == LK_PICKLE_INT || a->kind == LK_PICKLE_BOOL) return a->integer == b->integer;
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

static bool set_items(machine *m, int first) {
    lk_pickle_node *dict = first > m->floor ? m->stack[first - 1] : NULL;
    if (!dict || dict->kind != LK_PICKLE_DICT || (m->depth - first) % 2) return broken(m, "items belong to no dict");
    for (int i = first; i < m->depth; i += 2) {
        lk_pickle_node *key = m->stack[i];
        if (key->kind != LK_PICKLE_TEXT && key->kind != LK_PICKLE_OLD_TEXT && key->kind != LK_PICKLE_BYTES &&
            key->kind != LK_PICKLE_INT && key->kind != LK_PICKLE_BOOL)
            return lk_fail(m->err, LK_ERR_UNSUPPORTED,
                           "the pickle has a dict whose keys are neither text nor whole numbers");
        int k = 0;
        while (k < dict->count && !same_key(dict->items[k], key)) k += 2;
        if (k < dict->count) {
            dict->items[k + 1] = m->stack[i + 1];
        } else {
            if (dict->count / 2 == LK_PICKLE_MAX_ENTRIES)
                return lk_fail(m->err, LK_ERR_FORMAT, "the pickle has a dict of more than %d entries",
                               LK_PICKLE_MAX_ENTRIES);
            if (!lk_pickle_append(m->p, dict, key) || !lk_pickle_append(m->p, dict, m->stack[i + 1]))
                return no_memory(m);
        }
    }
    m->depth = first;
    return true;
}

/* ---- Memo --------------------------------------------------------------------------------------------------- */

static bool put(machine *m, uint64_t index) {
    lk_pickle_node *n = top(m, 0);
    if (!n) return broken(m, "the stack is empty");
    /* Each put takes two bytes or more, one each with protocol 4: an index beyond is no pickler's. */
    if (index > m->size) return broken(m, "the memo has a hole");
    if ((int64_t)index >= m->memo_room) {
        int room = 2 * (int)index + 64;
        lk_pickle_node **more = realloc(m->memo, (size_t)room * sizeof *more);
        if (!more) return no_memory(m);
        memset(more + m->memo_room, 0, (size_t)(room - m->memo_room) * sizeof *more);
        m->memo = more;
        m->memo_room = room;
    }
    m->memo[index] = n;
    if ((int)index >= m->memo_count) m->memo_count = (int)index + 1;
    return true;
}

static bool get(machine *m, uint64_t index) {
    if (index >= (uint64_t)m->memo_count || !m->memo[index]) return broken(m, "the memo lacks what is asked for");
    return push(m, m->memo[index]);
}

/* ---- Names and calls ---------------------------------------------------------------------------------------- */

static bool equals(const char *known, const uint8_t *s, size_t n) {
    return strlen(known) == n && memcmp(known, s, n) == 0;
}

static bool push_name(machine *m, const uint8_t *module, size_t a, const uint8_t *name, size_t b) {
    for (int i = 0; lk_pickle_names[i].module; i++)
        if (equals(lk_pickle_names[i].module, module, a) && equals(lk_pickle_names[i].name, name, b))
            return push_integer(m, i, LK_PICKLE_NAME);
    char shown[2][64];
    for (int k = 0; k < 2; k++) { /* printable, and short */
        const uint8_t *s = k ? name : module;
        size_t n = k ? b : a, to = 0;
        for (; to < n && to + 1 < sizeof shown[k]; to++) shown[k][to] = s[to] > 32 && s[to] < 127 ? (char)s[to] : '?';
        shown[k][to] = 0;
    }
    return lk_fail(m->err, LK_ERR_FORMAT,
                   "the pickle wants to import %s.%s, which data has no need of; it is refused and was not run",
                   shown[0], shown[1]);
}

static bool global_line(machine *m) {
    const uint8_t *at[2];
    size_t n[2];
    for (int k = 0; k < 2; k++) {
        at[k] = m->data + m->at;
        const uint8_t *end = memchr(at[k], '\n', m->size - m->at);
        if (!end) return broken(m, "a name has no end");
        n[k] = (size_t)(end - at[k]);
        m->at += n[k] + 1;
    }
    return push_name(m, at[0], n[0], at[1], n[1]);
}

static bool stack_global(machine *m) {
    lk_pickle_node *name = top(m, 0), *module = top(m, 1);
    if (!name || !module || name->kind != LK_PICKLE_TEXT || module->kind != LK_PICKLE_TEXT)
        return broken(m, "a name is no text");
    m->depth -= 2;
    return push_name(m, module->bytes, module->size, name->bytes, name->size);
}

/* Text whose characters are all below 256, as bytes. */
static bool from_latin1(machine *m, const lk_pickle_node *text, lk_pickle_kind kind) {
    uint8_t *bytes = lk_pickle_alloc(m->p, text->size);
    lk_pickle_node *n = lk_pickle_new(m->p, kind);
    if (!bytes || !n) return no_memory(m);
    const uint8_t *s = text->bytes;
    for (size_t i = 0; i < text->size; i++) {
        if (s[i] < 0x80) {
            bytes[n->size++] = s[i];
        } else if ((s[i] == 0xc2 || s[i] == 0xc3) && i + 1 < text->size && (s[i + 1] & 0xc0) == 0x80) {
            bytes[n->size++] = (uint8_t)(s[i] << 6 | (s[i + 1] & 0x3f));
            i++;
        } else {
            return broken(m, "bytes are written as text that is no Latin-1");
        }
    }
    n->bytes = bytes;
    return push(m, n);
}

static bool refuse_call(machine *m, const lk_pickle_node *name) {
    return lk_fail(m->err, LK_ERR_FORMAT, "the pickle calls %s.%s with arguments that data has no need of",
                   lk_pickle_names[name->integer].module, lk_pickle_names[name->integer].name);
}

static bool reduce(machine *m) {
    lk_pickle_node *args = top(m, 0), *name = top(m, 1);
    if (!args || !name || args->kind != LK_PICKLE_TUPLE || name->kind != LK_PICKLE_NAME)
        return broken(m, "a call has no name or no arguments");
    m->depth -= 2;
    lk_pickle_node *const *a = args->items;
    switch (lk_pickle_names[name->integer].which) {
    case LK_NAME_ENCODE:
        if (args->count != 2 || a[0]->kind != LK_PICKLE_TEXT ||
            !(lk_pickle_is_text(a[1], "latin1") || lk_pickle_is_text(a[1], "latin-1")))
            return refuse_call(m, name);
        return from_latin1(m, a[0], LK_PICKLE_BYTES);
    case LK_NAME_BYTES:
        if (args->count) return refuse_call(m, name);
        return push(m, lk_pickle_new_bytes(m->p, "", 0));
    case LK_NAME_BYTEARRAY:
        if (args->count == 0) return push(m, lk_pickle_new(m->p, LK_PICKLE_BYTEARRAY));
        if (args->count == 1 && a[0]->kind == LK_PICKLE_BYTES) {
            lk_pickle_node *n = lk_pickle_new(m->p, LK_PICKLE_BYTEARRAY);
            if (n) n->bytes = a[0]->bytes;
            if (n) n->size = a[0]->size;
            return push(m, n);
        }
        if (args->count != 2 || a[0]->kind != LK_PICKLE_TEXT || !lk_pickle_is_text(a[1], "latin-1"))
            return refuse_call(m, name);
        return from_latin1(m, a[0], LK_PICKLE_BYTEARRAY);
    case LK_NAME_RECONSTRUCT:
        if (args->count != 3 || a[0]->kind != LK_PICKLE_NAME || lk_pickle_names[a[0]->integer].which != LK_NAME_NDARRAY)
            return refuse_call(m, name);
        break;
    case LK_NAME_DTYPE:
        if (args->count < 1 || args->count > 3 || (a[0]->kind != LK_PICKLE_TEXT && a[0]->kind != LK_PICKLE_OLD_TEXT))
            return refuse_call(m, name);
        break;
    case LK_NAME_SCALAR:
        if (args->count < 1 || args->count > 2) return refuse_call(m, name);
        break;
    case LK_NAME_FROMBUFFER:
        if (args->count != 4) return refuse_call(m, name);
        break;
    case LK_NAME_NDARRAY:
        return refuse_call(m, name);
    }
    lk_pickle_node *object = lk_pickle_new(m->p, LK_PICKLE_OBJECT);
    if (!lk_pickle_append(m->p, object, name) || !lk_pickle_append(m->p, object, args)) return no_memory(m);
    return push(m, object);
}

static bool build(machine *m) {
    lk_pickle_node *state = top(m, 0), *object = top(m, 1);
    if (!state || !object) return broken(m, "the stack is empty");
    if (object->kind != LK_PICKLE_OBJECT || object->count != 2 || state->kind != LK_PICKLE_TUPLE)
        return lk_fail(m->err, LK_ERR_FORMAT, "the pickle sets the state (BUILD) of what is no NumPy array or dtype");
    m->depth--;
    return lk_pickle_append(m->p, object, state) || no_memory(m);
}

/* ---- The loop ----------------------------------------------------------------------------------------------- */

static bool refuse(machine *m, uint8_t op) {
    for (size_t i = 0; i < LK_COUNT(refused); i++)
        if (refused[i].code == op)
            return lk_fail(m->err, LK_ERR_FORMAT, "the pickle has the opcode %s, which is refused", refused[i].name);
    m->at--;
    return broken(m, "no opcode of data stands there");
}

static bool containers(machine *m, uint8_t op) {
    int first;
    switch (op) {
    case ')':
        return push(m, lk_pickle_new(m->p, LK_PICKLE_TUPLE));
    case ']':
        return push(m, lk_pickle_new(m->p, LK_PICKLE_LIST));
    case '}':
        return push(m, lk_pickle_new(m->p, LK_PICKLE_DICT));
    case 0x8f:
        return push(m, lk_pickle_new(m->p, LK_PICKLE_SET));
    case 't':
        return pop_mark(m, &first) && make_tuple(m, first, LK_PICKLE_TUPLE);
    case 'l':
        return pop_mark(m, &first) && make_tuple(m, first, LK_PICKLE_LIST);
    case 0x91:
        return pop_mark(m, &first) && make_tuple(m, first, LK_PICKLE_FROZENSET);
    case 0x85:
    case 0x86:
    case 0x87:
        return make_short_tuple(m, op - 0x84);
    case 'a':
        return top(m, 1) ? add_items(m, m->depth - 1, false) : broken(m, "the stack is empty");
    case 'e':
        return pop_mark(m, &first) && add_items(m, first, false);
    case 0x90:
        return pop_mark(m, &first) && add_items(m, first, true);
    case 's':
        return top(m, 2) ? set_items(m, m->depth - 2) : broken(m, "the stack is empty");
    case 'u':
        return pop_mark(m, &first) && set_items(m, first);
    default:
        return refuse(m, op);
    }
}

static bool atoms(machine *m, uint8_t op) {
    uint64_t v;
    switch (op) {
    case 'N':
        return push(m, lk_pickle_new(m->p, LK_PICKLE_NONE));
    case 0x88:
    case 0x89:
        return push_integer(m, op == 0x88, LK_PICKLE_BOOL);
    case 'K':
        return take(m, 1, &v) && push_integer(m, (int64_t)v, LK_PICKLE_INT);
    case 'M':
        return take(m, 2, &v) && push_integer(m, (int64_t)v, LK_PICKLE_INT);
    case 'J':
        return take(m, 4, &v) && push_integer(m, (int32_t)(uint32_t)v, LK_PICKLE_INT);
    case 0x8a:
        return take_long(m, 1);
    case 0x8b:
        return take_long(m, 4);
    case 'G':
        return take_float(m);
    case 0x8c:
        return take_bytes(m, LK_PICKLE_TEXT, 1, false);
    case 'X':
        return take_bytes(m, LK_PICKLE_TEXT, 4, false);
    case 0x8d:
        return take_bytes(m, LK_PICKLE_TEXT, 8, false);
    case 'C':
        return take_bytes(m, LK_PICKLE_BYTES, 1, false);
    case 'B':
        return take_bytes(m, LK_PICKLE_BYTES, 4, false);
    case 0x8e:
        return take_bytes(m, LK_PICKLE_BYTES, 8, false);
    case 0x96:
        return take_bytes(m, LK_PICKLE_BYTEARRAY, 8, false);
    case 'U':
        return take_bytes(m, LK_PICKLE_OLD_TEXT, 1, false);
    case 'T':
        return take_bytes(m, LK_PICKLE_OLD_TEXT, 4, true);
    default:
        return containers(m, op);
    }
}

static bool step(machine *m, uint8_t op) {
    uint64_t v;
    int first;
    switch (op) {
    case 0x95: /* FRAME: how much to read ahead */
        return take(m, 8, &v);
    case '(':
        return push_mark(m);
    case '0':
        if (!top(m, 0)) return broken(m, "the stack is empty");
        m->depth--;
        return true;
    case '1':
        if (!pop_mark(m, &first)) return false;
        m->depth = first;
        return true;
    case '2':
        return top(m, 0) ? push(m, top(m, 0)) : broken(m, "the stack is empty");
    case 'q':
        return take(m, 1, &v) && put(m, v);
    case 'r':
        return take(m, 4, &v) && put(m, v);
    case 0x94:
        return put(m, (uint64_t)m->memo_count);
    case 'h':
        return take(m, 1, &v) && get(m, v);
    case 'j':
        return take(m, 4, &v) && get(m, v);
    case 'c':
        return global_line(m);
    case 0x93:
        return stack_global(m);
    case 'R':
        return reduce(m);
    case 'b':
        return build(m);
    default:
        return atoms(m, op);
    }
}

static bool run(machine *m) {
    if (m->size < 2 || m->data[0] != 0x80) return broken(m, "it does not begin as one of protocol 2 or later");
    if (m->data[1] < 2 || m->data[1] > 5)
        return lk_fail(m->err, LK_ERR_UNSUPPORTED, "the pickle is of protocol %d; 2 to 5 are known", m->data[1]);
    m->at = 2;
    while (m->at < m->size) {
        uint8_t op = m->data[m->at++];
        if (op != '.') {
            if (!step(m, op)) return false;
            continue;
        }
        if (m->depth != 1 || m->mark_count) return broken(m, "it ends with more or less than one object");
        m->p->root = m->stack[0];
        return lk_pickle_check(m->p, m->err);
    }
    return broken(m, "it has no end");
}

bool lk_pickle_read(lk_pickle *p, const void *data, size_t size, lk_error *err) {
    *p = (lk_pickle){0};
    if (size > LK_PICKLE_MAX_BYTES)
        return lk_fail(err, LK_ERR_FORMAT, "a pickle of %zu bytes is larger than the data of any face", size);
    machine m = {.p = p, .data = data, .size = size, .err = err};
    bool ok = run(&m);
    free(m.stack);
    free(m.memo);
    free(m.marks);
    if (!ok) lk_pickle_free(p);
    return ok;
}
