/* Polygons of any content, as JSON and in a pickle, and the mask beside them: checked, and filled when they pass. */
#include <stdlib.h>
#include <string.h>

#include "dfl.h"
#include "masks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const json_t *polygons) {
    static uint8_t pixels[64 * 64];
    lk_image mask = {64, 64, 1, LK_U8, 64, pixels, true};
    const lk_affine m = {{{0.5, -0.1, 3}, {0.1, 0.5, -4}}};
    if (!lk_polygons_check(polygons, NULL)) return;
    lk_polygons_fill(polygons, &mask);
    json_decref(lk_polygons_moved(polygons, m));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lk_pickle p;
    json_t *polygons = json_loadb((const char *)data, size, 0, NULL);
    if (polygons) use(polygons);
    json_decref(polygons);
    if (!lk_pickle_read(&p, data, size, NULL)) return 0;
    lk_image mask;
    if (lk_dfl_polygons(&p, &polygons, NULL) && polygons) {
        if (!lk_polygons_check(polygons, NULL)) abort();
        use(polygons);
        json_decref(polygons);
    }
    if (lk_dfl_mask(&p, 64, &mask, NULL)) lk_image_free(&mask);
    lk_pickle_free(&p);
    return 0;
}
