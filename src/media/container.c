/* Whether a file breaks off before the end that its own container states. Demuxers tell this apart from a clean end
 * only sometimes; the outermost lengths always do. */
#include "internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static uint64_t big_endian(const uint8_t *p, int n) {
    uint64_t v = 0;
    for (int i = 0; i < n; i++) v = v << 8 | p[i];
    return v;
}

static bool read_at(FILE *f, uint64_t at, uint8_t *out, size_t n) {
    return at <= INT64_MAX && fseeko(f, (off_t)at, SEEK_SET) == 0 && fread(out, 1, n, f) == n;
}

/* ISO 14496-12, 4.2: size (32 bits; 1: 64 bits follow the type; 0: to the end of the file), type. Without an index, of a
 * film or of pictures, the file has lost its end. */
static bool boxes_cut(FILE *f, uint64_t size) {
    uint64_t at = 0;
    bool index = false;
    for (int i = 0; i < 1000000 && at < size; i++) {
        uint8_t head[16];
        if (!read_at(f, at, head, 8)) return i > 0;
        uint64_t length = big_endian(head, 4);
        index |= memcmp(head + 4, "moov", 4) == 0 || memcmp(head + 4, "meta", 4) == 0;
        if (length == 0) return !index;
        if (length == 1) {
            if (!read_at(f, at + 8, head + 8, 8)) return true;
            length = big_endian(head + 8, 8);
        }
        if (length < 8) return false;
        if (length > size - at) return true;
        at += length;
    }
    return !index;
}

/* RFC 8794: the length of a variable-size integer is the place of its first 1 bit; all value bits 1: unknown. */
static bool element(FILE *f, uint64_t at, uint64_t *id, uint64_t *start, uint64_t *length, bool *unknown) {
    uint8_t b[12];
    memset(b, 0, sizeof b);
    if (fseeko(f, (off_t)at, SEEK_SET) != 0 || fread(b, 1, sizeof b, f) < 2 || b[0] < 0x10) return false;
    int n = b[0] >= 0x80 ? 1 : b[0] >= 0x40 ? 2 : b[0] >= 0x20 ? 3 : 4, m = 1;
    *id = big_endian(b, n);
    while (m <= 8 && !(b[n] & (0x80 >> (m - 1)))) m++;
    if (m > 8) return false;
    uint64_t all = ((uint64_t)1 << (7 * m)) - 1;
    *length = big_endian(b + n, m) & all;
    *unknown = *length == all;
    *start = at + (uint64_t)(n + m);
    return true;
}

static bool segment_cut(FILE *f, uint64_t size) {
    uint64_t at = 0, id, start, length;
    bool unknown;
    for (int i = 0; i < 16 && at < size && element(f, at, &id, &start, &length, &unknown); i++) {
        if (unknown) return false;
        if (start > size || length > size - start) return true;
        if (id == 0x18538067) return false;
        at = start + length;
    }
    return false;
}

static bool riff_cut(FILE *f, uint64_t size) {
    uint64_t at = 0;
    for (int i = 0; i < 100000 && at + 8 <= size; i++) {
        uint8_t head[8];
        if (!read_at(f, at, head, 8)) return false;
        if (memcmp(head, "RIFF", 4) != 0) return false;
        uint64_t length =
            (uint64_t)head[4] | (uint64_t)head[5] << 8 | (uint64_t)head[6] << 16 | (uint64_t)head[7] << 24;
        if (length > size - at - 8) return true;
        at += 8 + length + (length & 1);
    }
    return false;
}

bool lk_container_cut_short(const char *path) {
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < 12) return false;
    FILE *f = fopen(path, "rbe");
    if (!f) return false;
    uint8_t head[12];
    bool cut = false;
    uint64_t size = (uint64_t)st.st_size;
    if (read_at(f, 0, head, sizeof head)) {
        if (memcmp(head + 4, "ftyp", 4) == 0 || memcmp(head + 4, "moov", 4) == 0)
            cut = boxes_cut(f, size);
        else if (memcmp(head, "\x1A\x45\xDF\xA3", 4) == 0)
            cut = segment_cut(f, size);
        else if (memcmp(head, "RIFF", 4) == 0)
            cut = riff_cut(f, size);
    }
    fclose(f);
    return cut;
}
