/* A .faces file of any content: opened and read through. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "likeness/masks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_through(lk_faceset *s) {
    lk_source *sources = NULL;
    lk_faceset_sources(s, &sources, NULL);
    free(sources);
    int64_t *ids = NULL,
            count = lk_faceset_ids(s, &(lk_faceset_query){.with_removed = true, .one_per_frame = true}, &ids, NULL);
    for (int64_t i = 0; i < count && i < 16; i++) {
        lk_face face;
        void *jpeg;
        size_t bytes;
        if (!lk_faceset_get(s, ids[i], &face, NULL)) continue;
        if (lk_faceset_jpeg(s, ids[i], &jpeg, &bytes, NULL)) free(jpeg);
        lk_image mask;
        if (face.size > 0 && face.size <= 64 && lk_faceset_mask(s, &face, LK_MASKS_ALL, &mask, NULL, NULL))
            lk_image_free(&mask);
    }
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    int fd = memfd_create("faces", MFD_CLOEXEC);
    if (fd < 0) return 0;
    for (size_t at = 0; at < size;) {
        ssize_t n = write(fd, data + at, size - at);
        if (n <= 0) break;
        at += (size_t)n;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    lk_faceset *s = lk_faceset_open(path, false, NULL);
    if (s) read_through(s);
    lk_faceset_close(s);
    close(fd);
    return 0;
}
