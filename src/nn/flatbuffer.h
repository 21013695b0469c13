/* FlatBuffers and FlexBuffers, read without trust: every access is checked against the buffer's size, and the first one that
 * fails sets `bad`; from then on all reads give zeros. Format: flatbuffers.dev, "FlatBuffers internals". */
#ifndef LIKENESS_NN_FLATBUFFER_H
#define LIKENESS_NN_FLATBUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct lk_fb {
    const unsigned char *data;
    size_t size;
    bool bad;
} lk_fb;

/* Little-endian number of `width` bytes (1 to 8) at `at`. */
uint64_t lk_fb_number(lk_fb *b, size_t at, int width);

/* A table: where it lies; 0 is no table. */
typedef size_t lk_fb_table;
lk_fb_table lk_fb_root(lk_fb *b);
/* Where field i of the table lies; 0 when it is absent. */
size_t lk_fb_field(lk_fb *b, lk_fb_table t, int i);
int32_t lk_fb_int(lk_fb *b, lk_fb_table t, int i, int width, int32_t absent); /* sign extended */
lk_fb_table lk_fb_subtable(lk_fb *b, lk_fb_table t, int i);

typedef struct lk_fb_vector {
    size_t at; /* of the first element */
    uint32_t count;
} lk_fb_vector;
/* Elements of `width` bytes each, all inside the buffer; count 0 when absent. */
lk_fb_vector lk_fb_vector_of(lk_fb *b, lk_fb_table t, int i, int width);
lk_fb_table lk_fb_table_in(lk_fb *b, lk_fb_vector v, uint32_t i);
int32_t lk_fb_int_in(lk_fb *b, lk_fb_vector v, uint32_t i);

/* A value of the FlexBuffers map that makes up bytes [at, at + size) of b: a number, or a vector of whole numbers.
 * Returns the count of numbers (1 for a single one), at most `room` of which are stored; 0 when there is none. */
int lk_flex_find(lk_fb *b, size_t at, size_t size, const char *key, double *values, int room);

#endif
