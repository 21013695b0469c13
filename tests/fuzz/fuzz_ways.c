/* The file that keeps how layers are computed on a GPU: whatever is read is written as it was read. */
#include <stdlib.h>
#include <string.h>

#include "cuda/ways.h"
#include "kept.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool line(const char *text, void *user) {
    (void)user;
    lk_known_layer l, again;
    if (!lk_ways_parse(text, &l)) return false;
    char *written = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&written, &length);
    if (!out) return false;
    lk_ways_print(out, &l);
    if (fclose(out) || written[length - 1] != '\n') __builtin_trap();
    written[length - 1] = 0;
    if (!lk_ways_parse(written, &again) || memcmp(&l, &again, sizeof l) != 0) __builtin_trap();
    free(written);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lk_error err = {0};
    char *text = lk_alloc(size + 1, 1, NULL);
    if (!text) return 0;
    memcpy(text, data, size);
    if (!lk_kept_parse(text, "h\n", line, NULL, "fuzz", &err) && err.code == LK_OK) __builtin_trap();
    free(text);
    return 0;
}
