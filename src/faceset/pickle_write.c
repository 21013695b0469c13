#include "pickle.h"

#include <stdlib.h>
#include <string.h>

typedef struct output {
    uint8_t *data;
    size_t size, room;
    int memo; /* entries so far */
    bool ok;
} output;

static void put(output *o, const void *bytes, size_t size) {
    if (!o->ok) return;
    if (o->size + size > o->room) {
        size_t room = 2 * (o->size + size) + 256;
        uint8_t *more = realloc(o->data, room);
        o->ok = more != NULL;
        if (!more) return;
        o->data = more;
        o->room = room;
    }
    if (size) memcpy(o->data + o->size, bytes, size);
    o->size += size;
}

static void put_op(output *o, int op) { put(o, &(uint8_t){(uint8_t)op}, 1); }

static void put_word(output *o, uint64_t v, int bytes) {
    uint8_t b[8];
    for (int i = 0; i < bytes; i++) b[i] = (uint8_t)(v >> 8 * i);
    put(o, b, (size_t)bytes);
}

static void put_sized(output *o, int op, int length_bytes, const lk_pickle_node *n) {
    put_op(o, op);
    put_word(o, n->size, length_bytes);
    put(o, n->bytes, n->size);
}

static void put_integer(output *o, int64_t v) {
    if (v >= INT32_MIN && v <= INT32_MAX) {
        put_op(o, 'J');
        put_word(o, (uint64_t)v, 4);
    } else {
        put_op(o, 0x8a);
        put_op(o, 8);
        put_word(o, (uint64_t)v, 8);
    }
}

static void put_float(output *o, double v) {
    uint64_t bits;
    memcpy(&bits, &v, 8);
    put_op(o, 'G');
    for (int i = 7; i >= 0; i--) put_op(o, (int)(bits >> 8 * i & 0xff));
}

static void put_name(output *o, const lk_pickle_node *n) {
    const lk_pickle_known *k = &lk_pickle_names[n->integer];
    put_op(o, 'c');
    put(o, k->module, strlen(k->module));
    put_op(o, '\n');
    put(o, k->name, strlen(k->name));
    put_op(o, '\n');
}

static void put_node(output *o, lk_pickle_node *n);

/* An object that others refer to as well: lists, dicts and sets before they are filled, the rest when made. */
static void remember(output *o, lk_pickle_node *n) {
    if (n->uses < 2) return;
    put_op(o, 0x94);
    n->memo = o->memo++;
}

static void put_items(output *o, lk_pickle_node *n, int empty, int fill) {
    if (empty) {
        put_op(o, empty);
        remember(o, n);
        if (n->count == 0) return;
    }
    put_op(o, '(');
    for (int i = 0; i < n->count; i++) put_node(o, n->items[i]);
    put_op(o, fill);
    if (!empty) remember(o, n);
}

static void put_object(output *o, lk_pickle_node *n) {
    put_node(o, n->items[0]);
    put_node(o, n->items[1]);
    put_op(o, 'R');
    remember(o, n);
    if (n->count < 3) return;
    put_node(o, n->items[2]);
    put_op(o, 'b');
}

static void put_node(output *o, lk_pickle_node *n) {
    if (n->memo >= 0) {
        put_op(o, 'j');
        put_word(o, (uint64_t)n->memo, 4);
        return;
    }
    switch (n->kind) {
    case LK_PICKLE_NONE:
        put_op(o, 'N');
        return;
    case LK_PICKLE_BOOL:
        put_op(o, n->integer ? 0x88 : 0x89);
        return;
    case LK_PICKLE_INT:
        put_integer(o, n->integer);
        return;
    case LK_PICKLE_LONG:
        put_sized(o, 0x8b, 4, n);
        return;
    case LK_PICKLE_FLOAT:
        put_float(o, n->real);
        return;
    case LK_PICKLE_TEXT:
        put_sized(o, 'X', 4, n);
        remember(o, n);
        return;
    case LK_PICKLE_OLD_TEXT:
        put_sized(o, 'T', 4, n);
        remember(o, n);
        return;
    case LK_PICKLE_BYTES:
        put_sized(o, 'B', 4, n);
        remember(o, n);
        return;
    case LK_PICKLE_BYTEARRAY:
        put_sized(o, 0x96, 8, n);
        remember(o, n);
        return;
    case LK_PICKLE_TUPLE:
        if (n->count)
            put_items(o, n, 0, 't');
        else
            put_op(o, ')');
        return;
    case LK_PICKLE_FROZENSET:
        put_items(o, n, 0, 0x91);
        return;
    case LK_PICKLE_LIST:
        put_items(o, n, ']', 'e');
        return;
    case LK_PICKLE_SET:
        put_items(o, n, 0x8f, 0x90);
        return;
    case LK_PICKLE_DICT:
        put_items(o, n, '}', 'u');
        return;
    case LK_PICKLE_NAME:
        put_name(o, n);
        return;
    case LK_PICKLE_OBJECT:
        put_object(o, n);
        return;
    }
}

bool lk_pickle_write(lk_pickle *p, void **data, size_t *size, lk_error *err) {
    output o = {.ok = true};
    if (!lk_pickle_check(p, err)) return false;
    put_op(&o, 0x80);
    put_op(&o, 4);
    put_node(&o, p->root);
    put_op(&o, '.');
    if (!o.ok) {
        free(o.data);
        return lk_fail(err, LK_ERR_MEMORY, "no memory for a pickle");
    }
    *data = o.data;
    *size = o.size;
    return true;
}
