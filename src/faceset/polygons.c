/* Polygons of masks: checked, filled, moved, and exchanged as JSON. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "masks.h"

#define FARTHEST 1e6 /* pixels; a coordinate beyond is none */

static const char *const lists[] = {"include", "exclude"};
enum { INCLUDE, EXCLUDE };

static const json_t *list_of(const json_t *polygons, int which) { return json_object_get(polygons, lists[which]); }

/* ---- What may be one ---------------------------------------------------------------------------------------- */

static bool check_polygon(const json_t *points, size_t *together, lk_error *err) {
    size_t n = json_array_size(points);
    if (!json_is_array(points) || n < 3 || n > LK_MOST_POLYGON_POINTS)
        return lk_fail(err, LK_ERR_FORMAT, "a polygon has %zu points, and 3 to %d are possible", n,
                       LK_MOST_POLYGON_POINTS);
    *together += n;
    for (size_t i = 0; i < n; i++) {
        const json_t *p = json_array_get(points, i), *x = json_array_get(p, 0), *y = json_array_get(p, 1);
        if (json_array_size(p) != 2 || !json_is_number(x) || !json_is_number(y) ||
            !(fabs(json_number_value(x)) < FARTHEST) || !(fabs(json_number_value(y)) < FARTHEST))
            return lk_fail(err, LK_ERR_FORMAT, "a point of a polygon is no pair of coordinates [x, y]");
    }
    return true;
}

bool lk_polygons_check(const json_t *polygons, lk_error *err) {
    size_t together = 0, count = 0;
    if (!json_is_object(polygons)) return lk_fail(err, LK_ERR_FORMAT, "its polygons are no object");
    for (int k = 0; k < 2; k++) {
        const json_t *list = list_of(polygons, k);
        if (!list) continue;
        if (!json_is_array(list)) return lk_fail(err, LK_ERR_FORMAT, "'%s' is no list of polygons", lists[k]);
        count += json_array_size(list);
        if (count > LK_MOST_POLYGONS)
            return lk_fail(err, LK_ERR_FORMAT, "it has more than %d polygons", LK_MOST_POLYGONS);
        for (size_t i = 0; i < json_array_size(list); i++)
            if (!check_polygon(json_array_get(list, i), &together, err)) return false;
    }
    return together <= LK_MOST_FACE_POINTS ||
           lk_fail(err, LK_ERR_FORMAT, "its polygons have %zu points together, and at most %d are possible", together,
                   LK_MOST_FACE_POINTS);
}

/* ---- Pixels ------------------------------------------------------------------------------------------------- */

static lk_point point_at(const json_t *points, size_t i) {
    const json_t *p = json_array_get(points, i);
    return (lk_point){(float)json_number_value(json_array_get(p, 0)), (float)json_number_value(json_array_get(p, 1))};
}

void lk_polygons_fill(const json_t *polygons, lk_image *mask) {
    lk_point points[LK_MOST_POLYGON_POINTS];
    for (int k = 0; k < 2; k++) {
        const json_t *list = list_of(polygons, k);
        size_t count = json_array_size(list);
        if (k == INCLUDE && count > 0)
            for (int y = 0; y < mask->height; y++) memset(lk_row_u8(mask, y), 0, (size_t)mask->width);
        for (size_t i = 0; i < count; i++) {
            const json_t *p = json_array_get(list, i);
            size_t n = json_array_size(p);
            for (size_t v = 0; v < n; v++) points[v] = point_at(p, v);
            lk_image_fill_polygon(mask, points, (int)n, k == INCLUDE ? 255 : 0);
        }
    }
}

json_t *lk_polygons_moved(const json_t *polygons, lk_affine m) {
    json_t *moved = json_object();
    int failed = !moved;
    for (int k = 0; k < 2; k++) {
        const json_t *list = list_of(polygons, k);
        json_t *to = json_array();
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *p = json_array_get(list, i);
            json_t *points = json_array();
            for (size_t v = 0; v < json_array_size(p); v++) {
                /* hundredths of a pixel are enough, and keep files small */
                lk_point at = lk_affine_apply(m, point_at(p, v));
                failed |= json_array_append_new(
                    points, json_pack("[f, f]", rint(100 * (double)at.x) / 100, rint(100 * (double)at.y) / 100));
            }
            failed |= json_array_append_new(to, points);
        }
        failed |= json_object_set_new(moved, lists[k], to);
    }
    if (!failed) return moved;
    json_decref(moved);
    return NULL;
}

/* ---- In the file -------------------------------------------------------------------------------------------- */

bool lk_faceset_put_polygons(lk_faceset *s, int64_t id, const json_t *polygons, lk_error *err) {
    if (!lk_polygons_check(polygons, err)) return lk_fail_in(err, "face %lld", (long long)id);
    char *text = json_dumps(polygons, JSON_COMPACT | JSON_REAL_PRECISION(9));
    bool ok = (text || lk_fail(err, LK_ERR_MEMORY, "no memory for polygons")) &&
              lk_mask_write(s, id, LK_MASK_KIND_POLYGONS, text, strlen(text), true, err);
    free(text);
    return ok;
}

bool lk_faceset_polygons(lk_faceset *s, int64_t id, json_t **polygons, lk_error *err) {
    void *data;
    size_t size;
    lk_error why = {0};
    *polygons = NULL;
    if (!lk_mask_read(s, id, LK_MASK_KIND_POLYGONS, &data, &size, err)) return false;
    if (!data) return true;
    json_t *json = json_loadb(data, size, JSON_REJECT_DUPLICATES, NULL);
    free(data);
    if (json && lk_polygons_check(json, &why)) {
        *polygons = json;
        return true;
    }
    json_decref(json);
    return lk_fail(err, LK_ERR_FORMAT, "%s is damaged: the polygons of face %lld make no sense%s%s", s->path,
                   (long long)id, json ? ": " : "", why.message);
}

/* ---- As a file of their own --------------------------------------------------------------------------------- */

static const char format_name[] = "likeness polygons 1";

static bool export_face(lk_faceset *s, int64_t id, lk_face *f, json_t *faces, lk_error *err) {
    json_t *polygons;
    lk_affine back;
    if (!lk_faceset_polygons(s, id, &polygons, err)) return false;
    if (!polygons) return true;
    bool ok = lk_faceset_get(s, id, f, err) &&
              (lk_affine_invert(f->frame_to_crop, &back) ||
               lk_fail(err, LK_ERR_FORMAT, "%s: face %lld has no place in its frame", s->path, (long long)id));
    json_t *entry = ok ? lk_polygons_moved(polygons, back) : NULL;
    ok = ok && ((entry && !json_object_set_new(entry, "id", json_integer(id)) &&
                 !json_object_set_new(entry, "source", json_integer(f->source)) &&
                 !json_object_set_new(entry, "frame", json_integer(f->frame)) && !json_array_append(faces, entry)) ||
                lk_fail(err, LK_ERR_MEMORY, "no memory for polygons"));
    json_decref(entry);
    json_decref(polygons);
    return ok;
}

int64_t lk_polygons_export(lk_faceset *s, const int64_t *ids, int64_t count, const char *path, lk_error *err) {
    json_t *faces = json_array(), *json = json_pack("{s:s, s:o}", "format", format_name, "faces", faces);
    lk_face *f = json ? lk_alloc(1, sizeof *f, err) : NULL;
    bool ok = f != NULL;
    if (!json) lk_fail(err, LK_ERR_MEMORY, "no memory for polygons");
    for (int64_t i = 0; ok && i < count; i++) ok = export_face(s, ids[i], f, faces, err);
    int64_t written = ok ? (int64_t)json_array_size(faces) : 0;
    ok = ok && lk_json_write(path, json, err);
    free(f);
    json_decref(json);
    return ok ? written : -1;
}

/* The face that an entry means: by its id, or as the only face of its frame. */
static bool find_face(lk_faceset *s, const json_t *entry, sqlite3_stmt *in_frame, lk_face *f, lk_error *err) {
    const json_t *id = json_object_get(entry, "id"), *source = json_object_get(entry, "source"),
                 *frame = json_object_get(entry, "frame");
    int64_t found = json_integer_value(id), number = source ? json_integer_value(source) : 1;
    if (!json_is_integer(id)) {
        if (!json_is_integer(frame)) return lk_fail(err, LK_ERR_FORMAT, "it has neither an id nor a frame");
        sqlite3_bind_int64(in_frame, 1, number);
        sqlite3_bind_int64(in_frame, 2, json_integer_value(frame));
        int faces = 0;
        while (sqlite3_step(in_frame) == SQLITE_ROW) {
            found = sqlite3_column_int64(in_frame, 0);
            faces++;
        }
        sqlite3_reset(in_frame);
        if (faces != 1)
            return lk_fail(err, LK_ERR_NOT_FOUND, "frame %lld of source %lld has %d faces%s",
                           (long long)json_integer_value(frame), (long long)number, faces,
                           faces ? ": say which by its id" : "");
    }
    if (!lk_faceset_get(s, found, f, err)) return false;
    if ((json_is_integer(frame) && json_integer_value(frame) != f->frame) ||
        (json_is_integer(source) && number != f->source))
        return lk_fail(err, LK_ERR_FORMAT, "face %lld of %s is of another frame: the file belongs to another set",
                       (long long)found, s->path);
    return true;
}

static bool import_entry(lk_faceset *s, const json_t *entry, sqlite3_stmt *in_frame, lk_face *f, lk_error *err) {
    if (!lk_polygons_check(entry, err) || !find_face(s, entry, in_frame, f, err)) return false;
    json_t *moved = lk_polygons_moved(entry, f->frame_to_crop);
    bool ok = (moved || lk_fail(err, LK_ERR_MEMORY, "no memory for polygons")) &&
              lk_faceset_put_polygons(s, f->id, moved, err);
    json_decref(moved);
    return ok;
}

static int64_t import_all(lk_faceset *s, const json_t *json, const char *path, lk_face *f, lk_error *err) {
    const json_t *faces = json_object_get(json, "faces"), *format = json_object_get(json, "format");
    bool own;
    if (!json_is_array(faces) || !json_is_string(format) || strcmp(json_string_value(format), format_name) != 0) {
        lk_fail(err, LK_ERR_FORMAT, "%s holds no polygons as 'likeness set mask export' writes them", path);
        return -1;
    }
    if (!lk_sql_writable(s, err) || !lk_sql_enter(s, &own, err)) return -1;
    sqlite3_stmt *q = lk_sql_prepare(s, "SELECT id FROM face WHERE source = ? AND frame = ? AND NOT removed", err);
    bool ok = q != NULL;
    for (size_t i = 0; ok && i < json_array_size(faces); i++)
        ok = import_entry(s, json_array_get(faces, i), q, f, err) ||
             lk_fail_in(err, "%s, face number %zu of it", path, i + 1);
    sqlite3_finalize(q);
    return lk_sql_leave(s, own, ok, err) ? (int64_t)json_array_size(faces) : -1;
}

int64_t lk_polygons_import(lk_faceset *s, const char *path, lk_error *err) {
    json_t *json = lk_json_read(path, err);
    lk_face *f = json ? lk_alloc(1, sizeof *f, err) : NULL;
    int64_t count = f ? import_all(s, json, path, f, err) : -1;
    free(f);
    json_decref(json);
    return count;
}
