/* Masks in DeepFaceLab's faces: polygons (seg_ie_polys, earlier ie_polys) and a picture by its own network (xseg_mask). */
#include <stdlib.h>
#include <string.h>

#include "dfl.h"
#include "internal.h"
#include "likeness/media.h"
#include "masks.h"

#define EXCLUDE    0
#define INCLUDE    1
#define MOST_BYTES 50000 /* of xseg_mask, as DeepFaceLab keeps it: there are 64 KiB for all that is known of a face */

/* ---- Reading ------------------------------------------------------------------------------------------------ */

/* One polygon; those without an area, which are left from drawing, are passed over. */
static bool add_polygon(const lk_pickle_node *type, const lk_pickle_node *points, json_t *lists[2], lk_error *err) {
    double xy[2 * LK_MOST_POLYGON_POINTS], kind;
    int n = points ? lk_pickle_numbers_up_to(points, xy, 2 * LK_MOST_POLYGON_POINTS) : -1;
    if (!lk_pickle_numbers(type, &kind, 1) || (kind != EXCLUDE && kind != INCLUDE) || n < 0 || n % 2)
        return lk_fail(err, LK_ERR_FORMAT, "one is no type and list of points, or has too many of them");
    if (n < 6) return true;
    json_t *list = json_array();
    for (int i = 0; i < n; i += 2) json_array_append_new(list, json_pack("[f, f]", xy[i], xy[i + 1]));
    return json_array_append_new(lists[kind == INCLUDE], list) == 0 || lk_fail(err, LK_ERR_MEMORY, "out of memory");
}

/* {'polys': [{'type': 0 or 1, 'pts': [n, 2]}, …]}, or [(type, points), …] as it was before. */
static bool add_polygons(const lk_pickle_node *n, json_t *lists[2], lk_error *err) {
    const lk_pickle_node *list = n->kind == LK_PICKLE_DICT ? lk_pickle_get(n, "polys") : n;
    if (!list || (list->kind != LK_PICKLE_LIST && list->kind != LK_PICKLE_TUPLE))
        return lk_fail(err, LK_ERR_FORMAT, "they are no list");
    for (int i = 0; i < list->count; i++) {
        const lk_pickle_node *p = list->items[i], *type = lk_pickle_get(p, "type"), *points = lk_pickle_get(p, "pts");
        if ((p->kind == LK_PICKLE_TUPLE || p->kind == LK_PICKLE_LIST) && p->count == 2) {
            type = p->items[0];
            points = p->items[1];
        }
        if (!add_polygon(type, points, lists, err)) return false;
    }
    return true;
}

bool lk_dfl_polygons(const lk_pickle *p, json_t **polygons, lk_error *err) {
    const lk_pickle_node *n = lk_pickle_get(p->root, "seg_ie_polys");
    *polygons = NULL;
    if (!n || n->kind == LK_PICKLE_NONE) n = lk_pickle_get(p->root, "ie_polys");
    if (!n || n->kind == LK_PICKLE_NONE) return true;
    json_t *lists[2] = {json_array(), json_array()};
    bool ok = lists[0] && lists[1];
    if (!ok) lk_fail(err, LK_ERR_MEMORY, "out of memory");
    ok = ok && add_polygons(n, lists, err);
    bool any = ok && (json_array_size(lists[EXCLUDE]) > 0 || json_array_size(lists[INCLUDE]) > 0);
    json_t *json = json_pack("{s:o, s:o}", "include", lists[INCLUDE], "exclude", lists[EXCLUDE]);
    ok = ok && (!any || (json && lk_polygons_check(json, err)));
    if (ok && any)
        *polygons = json;
    else
        json_decref(json);
    return ok;
}

bool lk_dfl_mask(const lk_pickle *p, int side, lk_image *mask, lk_error *err) {
    const lk_pickle_node *n = lk_pickle_get(p->root, "xseg_mask");
    const void *bytes;
    size_t size;
    *mask = (lk_image){0};
    if (!n || n->kind == LK_PICKLE_NONE) return true;
    if (!lk_pickle_bytes(n, &bytes, &size)) return lk_fail(err, LK_ERR_FORMAT, "it is no picture");
    return lk_mask_decode(bytes, size, side, mask, err);
}

/* ---- Writing ------------------------------------------------------------------------------------------------ */

static bool describe_polygons(lk_pickle *p, const json_t *polygons) {
    static const char *const lists[] = {[EXCLUDE] = "exclude", [INCLUDE] = "include"};
    lk_pickle_node *all = lk_pickle_new(p, LK_PICKLE_LIST), *dict = lk_pickle_new(p, LK_PICKLE_DICT);
    for (int type = INCLUDE; type >= EXCLUDE; type--) {
        const json_t *list = json_object_get(polygons, lists[type]);
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *points = json_array_get(list, i);
            float xy[2 * LK_MOST_POLYGON_POINTS];
            int n = (int)json_array_size(points);
            for (int k = 0; k < 2 * n; k++)
                xy[k] =
                    (float)json_number_value(json_array_get(json_array_get(points, (size_t)(k / 2)), (size_t)(k % 2)));
            lk_pickle_node *one = lk_pickle_new(p, LK_PICKLE_DICT), *kind = lk_pickle_new(p, LK_PICKLE_INT);
            if (kind) kind->integer = type;
            if (!lk_pickle_set(p, one, "type", kind) ||
                !lk_pickle_set(p, one, "pts", lk_pickle_new_array(p, xy, n, 2)) || !lk_pickle_append(p, all, one))
                return false;
        }
    }
    return lk_pickle_set(p, dict, "polys", all) && lk_pickle_set(p, p->root, "seg_ie_polys", dict);
}

/* PNG, or where that is too large the best JPEG that is not. */
static bool encode(const lk_image *mask, void **bytes, size_t *size, lk_error *err) {
    if (!lk_png_encode(mask, bytes, size, err)) return false;
    for (int quality = 95; *size > MOST_BYTES && quality > 0; quality -= 10) {
        free(*bytes);
        if (!lk_jpeg_encode(mask, quality, bytes, size, err)) return false;
    }
    return true;
}

static bool describe_mask(lk_pickle *p, const lk_image *mask, lk_error *err) {
    void *bytes = NULL;
    size_t size;
    bool ok = encode(mask, &bytes, &size, err) &&
              (lk_pickle_set(p, p->root, "xseg_mask", lk_pickle_new_byte_array(p, bytes, size)) ||
               lk_fail(err, LK_ERR_MEMORY, "no memory for what is known of a face"));
    free(bytes);
    return ok;
}

bool lk_dfl_describe_masks(lk_pickle *p, lk_faceset *s, const lk_face *f, lk_error *err) {
    json_t *polygons;
    void *data = NULL;
    size_t size;
    lk_image mask = {0};
    lk_pickle_remove(p->root, "seg_ie_polys");
    lk_pickle_remove(p->root, "ie_polys");
    lk_pickle_remove(p->root, "xseg_mask");
    if (!lk_faceset_polygons(s, f->id, &polygons, err)) return false;
    bool ok = !polygons || describe_polygons(p, polygons) ||
              lk_fail(err, LK_ERR_MEMORY, "no memory for what is known of a face");
    json_decref(polygons);
    ok = ok && lk_mask_read(s, f->id, LK_MASK_KIND_PAINTED, &data, &size, err) &&
         (data || lk_mask_read(s, f->id, LK_MASK_KIND_TRAINED, &data, &size, err));
    if (ok && data) ok = lk_mask_decode(data, size, f->size, &mask, err) && describe_mask(p, &mask, err);
    lk_image_free(&mask);
    free(data);
    return ok;
}
