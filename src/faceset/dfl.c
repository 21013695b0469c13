#include "dfl.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t png_signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

static uint32_t big_endian(const uint8_t *b) {
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void put_big_endian(uint8_t *b, uint32_t v) {
    for (int i = 0; i < 4; i++) b[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* As in a PNG: polynomial 0xEDB88320 (ISO 3309). */
static uint32_t crc32_of(const uint8_t *data, size_t size) {
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static bool cut_off(lk_error *err) {
    return lk_fail(err, LK_ERR_FORMAT, "the picture is cut off before its pixels begin");
}

/* Segments up to the first scan (ITU T.81, annex B). */
static bool find_in_jpeg(const uint8_t *b, size_t size, lk_dfl_place *place, lk_error *err) {
    size_t at = place->block = 2;
    for (;;) {
        if (size - at < 2) return cut_off(err);
        if (b[at] != 0xff) return lk_fail(err, LK_ERR_FORMAT, "the JPEG is damaged at byte %zu", at);
        uint8_t marker = b[at + 1];
        if (marker == 0xff) { /* fill byte */
            at++;
            continue;
        }
        if (marker == 0xda) return true;
        if (marker == 0xd9) return cut_off(err);
        if (size - at < 4) return cut_off(err);
        size_t length = (size_t)b[at + 2] << 8 | b[at + 3];
        if (length < 2 || size - at - 2 < length) return cut_off(err);
        if (marker == 0xef && !place->block_size && length > 4 && b[at + 4] == 0x80) {
            place->block = at;
            place->block_size = length + 2;
            place->data = at + 4;
            place->data_size = length - 2;
        }
        at += 2 + length;
        if ((marker & 0xf0) == 0xe0 && !place->block_size) place->block = at;
    }
}

static bool find_in_png(const uint8_t *b, size_t size, lk_dfl_place *place, lk_error *err) {
    for (size_t at = sizeof png_signature; size - at >= 12;) {
        size_t length = big_endian(b + at);
        if (length > size - at - 12) break;
        if (memcmp(b + at + 4, "fcWp", 4) == 0 && !place->block_size) {
            if (crc32_of(b + at + 4, length + 4) != big_endian(b + at + 8 + length))
                return lk_fail(err, LK_ERR_FORMAT, "the chunk with what is known of the face is damaged");
            place->block = at;
            place->block_size = length + 12;
            place->data = at + 8;
            place->data_size = length;
        }
        if (memcmp(b + at + 4, "IEND", 4) == 0) {
            if (!place->block_size) place->block = at;
            return true;
        }
        at += 12 + length;
    }
    return lk_fail(err, LK_ERR_FORMAT, "the PNG is cut off");
}

bool lk_dfl_find(const void *file, size_t size, lk_dfl_place *place, lk_error *err) {
    const uint8_t *b = file;
    *place = (lk_dfl_place){0};
    if (size >= sizeof png_signature && memcmp(b, png_signature, sizeof png_signature) == 0) {
        place->png = true;
        return find_in_png(b, size, place, err);
    }
    if (size < 4 || b[0] != 0xff || b[1] != 0xd8)
        return lk_fail(err, LK_ERR_FORMAT, "the file is neither a JPEG nor a PNG");
    return find_in_jpeg(b, size, place, err);
}

bool lk_dfl_embed(const void *file, size_t size, const void *pickle, size_t pickle_size, void **out, size_t *out_size,
                  lk_error *err) {
    lk_dfl_place place;
    if (!lk_dfl_find(file, size, &place, err)) return false;
    if (!place.png && pickle_size > 65533)
        return lk_fail(
            err, LK_ERR_UNSUPPORTED,
            "what is known of the face takes %zu bytes, and a JPEG has room for 65533; make its painted mask "
            "simpler",
            pickle_size);
    size_t head = place.png ? 8 : 4, tail = place.png ? 4 : 0, block = head + pickle_size + tail;
    uint8_t *to = malloc(size - place.block_size + block);
    if (!to) return lk_fail(err, LK_ERR_MEMORY, "no memory for a picture of %zu bytes", size);
    *out = to;
    *out_size = size - place.block_size + block;
    memcpy(to, file, place.block);
    to += place.block;
    memcpy(to + head, pickle, pickle_size);
    if (place.png) {
        put_big_endian(to, (uint32_t)pickle_size);
        memcpy(to + 4, "fcWp", 4);
        put_big_endian(to + head + pickle_size, crc32_of(to + 4, pickle_size + 4));
    } else {
        to[0] = 0xff;
        to[1] = 0xef;
        to[2] = (uint8_t)((pickle_size + 2) >> 8);
        to[3] = (uint8_t)((pickle_size + 2) & 0xff);
    }
    size_t rest = place.block + place.block_size;
    memcpy(to + block, (const uint8_t *)file + rest, size - rest);
    return true;
}
