/* A pickle of any content. What is accepted is written, read again, and comes out the same. */
#include <stdlib.h>
#include <string.h>

#include "dfl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lk_pickle p, q;
    lk_dfl_face face;
    if (!lk_pickle_read(&p, data, size, NULL)) return 0;
    double v[6];
    const void *bytes;
    size_t n;
    lk_pickle_numbers(p.root, v, 6);
    lk_pickle_bytes(lk_pickle_get(p.root, "xseg_mask"), &bytes, &n);
    lk_dfl_understand(&p, 256, &face, NULL);
    void *once = NULL, *twice = NULL;
    size_t once_size, twice_size;
    if (!lk_pickle_write(&p, &once, &once_size, NULL)) abort();
    if (!lk_pickle_read(&q, once, once_size, NULL)) abort();
    if (!lk_pickle_write(&q, &twice, &twice_size, NULL)) abort();
    if (once_size != twice_size || memcmp(once, twice, once_size) != 0) abort();
    free(once);
    free(twice);
    lk_pickle_free(&p);
    lk_pickle_free(&q);
    return 0;
}
