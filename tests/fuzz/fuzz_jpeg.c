/* Any bytes as a JPEG in memory: decoded within bounds or refused. */
#include "likeness/media.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lk_image image;
    lk_error err = {0};
    if (lk_jpeg_decode(data, size, 512, &image, &err)) {
        if (image.width < 1 || image.width > 512 || image.height < 1 || image.height > 512) __builtin_trap();
        lk_image_free(&image);
    } else if (image.data || err.code == LK_OK) {
        __builtin_trap();
    }
    return 0;
}
