/* A JPEG or PNG of any content: where its data lies, and other data put there. */
#include <stdlib.h>
#include <string.h>

#include "dfl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char pickle[] = "\x80\x04N.";
    lk_dfl_place place, again;
    lk_pickle p;
    if (!lk_dfl_find(data, size, &place, NULL)) return 0;
    if (place.block + place.block_size > size || place.data + place.data_size > size) abort();
    if (place.block_size && lk_pickle_read(&p, data + place.data, place.data_size, NULL)) lk_pickle_free(&p);
    void *out;
    size_t n;
    if (!lk_dfl_embed(data, size, pickle, sizeof pickle - 1, &out, &n, NULL)) abort();
    if (!lk_dfl_find(out, n, &again, NULL) || again.data_size != sizeof pickle - 1) abort();
    if (memcmp((char *)out + again.data, pickle, sizeof pickle - 1) != 0) abort();
    free(out);
    return 0;
}
