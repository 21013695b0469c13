#include "flatbuffer.h"

#include <string.h>

uint64_t lk_fb_number(lk_fb *b, size_t at, int width) {
    if (b->bad || width < 1 || width > 8 || at > b->size || b->size - at < (size_t)width) {
        b->bad = true;
        return 0;
    }
    uint64_t value = 0;
    for (int i = 0; i < width; i++) value |= (uint64_t)b->data[at + (size_t)i] << (8 * i);
    return value;
}

static int64_t extended(uint64_t value, int width) {
    int shift = 64 - 8 * width;
    return (int64_t)(value << shift) >> shift;
}

lk_fb_table lk_fb_root(lk_fb *b) { return (lk_fb_table)lk_fb_number(b, 0, 4); }

size_t lk_fb_field(lk_fb *b, lk_fb_table t, int i) {
    int64_t back = extended(lk_fb_number(b, t, 4), 4), table = (int64_t)t;
    if (b->bad || t == 0 || back > table || table - back > (int64_t)b->size) {
        b->bad = true;
        return 0;
    }
    size_t names = (size_t)(table - back), entry = 4 + 2 * (size_t)i;
    size_t length = (size_t)lk_fb_number(b, names, 2);
    if (b->bad || entry + 2 > length) return 0;
    size_t offset = (size_t)lk_fb_number(b, names + entry, 2);
    return offset && !b->bad ? t + offset : 0;
}

int32_t lk_fb_int(lk_fb *b, lk_fb_table t, int i, int width, int32_t absent) {
    size_t at = lk_fb_field(b, t, i);
    return at ? (int32_t)extended(lk_fb_number(b, at, width), width) : absent;
}

/* A position that holds a forward offset. */
static size_t follow(lk_fb *b, size_t at) {
    size_t offset = (size_t)lk_fb_number(b, at, 4);
    if (!b->bad && offset < b->size - at) return at + offset;
    b->bad = true;
    return 0;
}

lk_fb_table lk_fb_subtable(lk_fb *b, lk_fb_table t, int i) {
    size_t at = lk_fb_field(b, t, i);
    return at ? follow(b, at) : 0;
}

lk_fb_vector lk_fb_vector_of(lk_fb *b, lk_fb_table t, int i, int width) {
    lk_fb_vector v = {0, 0};
    size_t at = lk_fb_field(b, t, i);
    if (!at) return v;
    at = follow(b, at);
    uint64_t count = lk_fb_number(b, at, 4);
    if (b->bad || count * (uint64_t)width > b->size - at - 4) {
        b->bad = true;
        return v;
    }
    v.at = at + 4;
    v.count = (uint32_t)count;
    return v;
}

lk_fb_table lk_fb_table_in(lk_fb *b, lk_fb_vector v, uint32_t i) {
    if (i < v.count) return follow(b, v.at + 4 * (size_t)i);
    b->bad = true;
    return 0;
}

int32_t lk_fb_int_in(lk_fb *b, lk_fb_vector v, uint32_t i) {
    if (i < v.count) return (int32_t)lk_fb_number(b, v.at + 4 * (size_t)i, 4);
    b->bad = true;
    return 0;
}

/* ---- FlexBuffers ----------------------------------------------------------------------------------------- */

enum { FLEX_INT = 1, FLEX_UINT = 2, FLEX_FLOAT = 3, FLEX_MAP = 9, FLEX_VECTOR_INT = 11, FLEX_VECTOR_UINT = 12 };

/* A position that holds a backward offset of `width` bytes. */
static size_t back(lk_fb *b, size_t at, int width) {
    uint64_t offset = lk_fb_number(b, at, width);
    if (!b->bad && offset <= at) return at - (size_t)offset;
    b->bad = true;
    return 0;
}

static double flex_number(lk_fb *b, size_t at, int type, int width) {
    uint64_t bits = lk_fb_number(b, at, width);
    if (type == FLEX_INT) return (double)extended(bits, width);
    if (type == FLEX_UINT) return (double)bits;
    if (width == 4) {
        float f;
        uint32_t low = (uint32_t)bits;
        memcpy(&f, &low, sizeof f);
        return (double)f;
    }
    double d = 0;
    if (width == 8)
        memcpy(&d, &bits, sizeof d);
    else
        b->bad = true;
    return d;
}

static int flex_value(lk_fb *b, size_t at, int width, int packed, double *values, int room) {
    int type = packed >> 2, inner = 1 << (packed & 3);
    if (type == FLEX_INT || type == FLEX_UINT || type == FLEX_FLOAT) {
        if (room > 0) values[0] = flex_number(b, at, type, width);
        return b->bad ? 0 : 1;
    }
    if (type != FLEX_VECTOR_INT && type != FLEX_VECTOR_UINT) return 0;
    size_t first = back(b, at, width);
    uint64_t count = first >= (size_t)inner ? lk_fb_number(b, first - (size_t)inner, inner) : 0;
    if (b->bad || count > b->size / (size_t)inner) {
        b->bad = true;
        return 0;
    }
    for (int i = 0; i < room && (uint64_t)i < count; i++)
        values[i] =
            flex_number(b, first + (size_t)i * (size_t)inner, type == FLEX_VECTOR_INT ? FLEX_INT : FLEX_UINT, inner);
    return b->bad ? 0 : (int)(count < 100000 ? count : 100000);
}

int lk_flex_find(lk_fb *whole, size_t start, size_t size, const char *key, double *values, int room) {
    if (size < 3 || start > whole->size || size > whole->size - start) return 0;
    lk_fb part = {whole->data + start, size, false}, *b = &part;
    int width = (int)lk_fb_number(b, size - 1, 1), packed = (int)lk_fb_number(b, size - 2, 1);
    int inner = 1 << (packed & 3), found = 0;
    if ((width != 1 && width != 2 && width != 4 && width != 8) || packed >> 2 != FLEX_MAP || size < (size_t)width + 2) {
        whole->bad = true;
        return 0;
    }
    size_t map = back(b, size - 2 - (size_t)width, width), w = (size_t)inner;
    if (map < 3 * w) b->bad = true;
    uint64_t count = b->bad ? 0 : lk_fb_number(b, map - w, inner),
             key_width = b->bad ? 0 : lk_fb_number(b, map - 2 * w, inner);
    size_t keys = b->bad ? 0 : back(b, map - 3 * w, inner), length = strlen(key);
    if (count > size || key_width < 1 || key_width > 8) b->bad = true;
    for (size_t i = 0; !b->bad && i < count && !found; i++) {
        size_t name = back(b, keys + i * (size_t)key_width, (int)key_width);
        bool same = !b->bad && size - name > length && memcmp(b->data + name, key, length + 1) == 0;
        if (same)
            found =
                flex_value(b, map + i * w, inner, (int)lk_fb_number(b, map + (size_t)count * w + i, 1), values, room);
    }
    whole->bad |= b->bad;
    return b->bad ? 0 : found;
}
