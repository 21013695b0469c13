/* The masks of a face: which are stored, and which holds. */
#include "masks.h"

#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "likeness/media.h"

const char *const lk_mask_kind_names[] = {"polygons", "painted", "segmented", "trained", NULL};

/* ---- Stored bytes ------------------------------------------------------------------------------------------- */

bool lk_mask_read(lk_faceset *s, int64_t id, lk_mask_kind kind, void **data, size_t *size, lk_error *err) {
    *data = NULL;
    *size = 0;
    sqlite3_stmt *q = lk_sql_statement(s, STATEMENT_GET_MASK, err);
    if (!q) return false;
    sqlite3_bind_int64(q, 1, id);
    sqlite3_bind_int(q, 2, (int)kind);
    int code = sqlite3_step(q);
    bool ok = code == SQLITE_ROW || code == SQLITE_DONE || lk_sql_fail(s->path, s->db, code, err);
    if (code == SQLITE_ROW) {
        const void *bytes = sqlite3_column_type(q, 0) == SQLITE_BLOB ? sqlite3_column_blob(q, 0) : NULL;
        size_t n = bytes ? (size_t)sqlite3_column_bytes(q, 0) : 0;
        if (n == 0)
            ok = lk_fail(err, LK_ERR_FORMAT, "%s is damaged: a mask of face %lld is empty", s->path, (long long)id);
        else if ((ok = (*data = lk_alloc(n + 1, 1, err)) != NULL)) {
            memcpy(*data, bytes, n);
            *size = n;
        }
    }
    sqlite3_reset(q);
    return ok;
}

static bool note_change(lk_faceset *s, int64_t id, lk_error *err) {
    sqlite3_stmt *q = lk_sql_statement(s, STATEMENT_CHANGE_ORIGIN, err);
    if (!q) return false;
    sqlite3_bind_int(q, 1, LK_CHANGED_MASKS);
    sqlite3_bind_int64(q, 2, id);
    return lk_sql_done(s, q, err);
}

bool lk_mask_write(lk_faceset *s, int64_t id, lk_mask_kind kind, const void *data, size_t size, bool note,
                   lk_error *err) {
    bool own;
    if (!lk_sql_writable(s, err) || !lk_sql_enter(s, &own, err)) return false;
    sqlite3_stmt *q = lk_sql_statement(s, STATEMENT_PUT_MASK, err);
    bool ok = q && sqlite3_bind_int64(q, 1, id) == SQLITE_OK && sqlite3_bind_int(q, 2, (int)kind) == SQLITE_OK &&
              sqlite3_bind_blob64(q, 3, data, size, SQLITE_STATIC) == SQLITE_OK && lk_sql_done(s, q, err) &&
              (!note || note_change(s, id, err));
    return lk_sql_leave(s, own, ok, err);
}

bool lk_mask_decode(const void *data, size_t size, int side, lk_image *mask, lk_error *err) {
    lk_image rgb, grey = {0};
    *mask = (lk_image){0};
    if (!lk_jpeg_decode(data, size, LK_MAX_CROP_SIDE, &rgb, err)) return false;
    bool ok = lk_image_alloc(&grey, rgb.width, rgb.height, 1, LK_U8, err);
    for (int y = 0; ok && y < rgb.height; y++)
        for (int x = 0; x < rgb.width; x++) lk_row_u8(&grey, y)[x] = lk_row_u8(&rgb, y)[3 * x];
    lk_image_free(&rgb);
    if (ok && grey.width == side && grey.height == side) {
        *mask = grey;
        return true;
    }
    ok = ok && lk_image_alloc(mask, side, side, 1, LK_U8, err) &&
         lk_image_resize(&grey, mask, grey.width > side ? LK_AREA : LK_BILINEAR, err);
    lk_image_free(&grey);
    if (!ok) lk_image_free(mask);
    return ok;
}

/* ---- Which holds -------------------------------------------------------------------------------------------- */

/* A stored picture; no data in *mask: there is none. */
static bool read_picture(lk_faceset *s, const lk_face *f, lk_mask_kind kind, lk_image *mask, lk_error *err) {
    void *data;
    size_t size;
    *mask = (lk_image){0};
    if (!lk_mask_read(s, f->id, kind, &data, &size, err)) return false;
    bool ok = !data || lk_mask_decode(data, size, f->size, mask, err) ||
              lk_fail_in(err, "%s: the %s mask of face %lld", s->path, lk_mask_kind_names[kind], (long long)f->id);
    free(data);
    return ok;
}

static bool hull_of(const lk_face *f, lk_image *mask, lk_error *err) {
    lk_image hull = {0};
    bool ok = lk_image_alloc(&hull, f->size, f->size, 1, LK_F32, err) && lk_face_hull(&f->crop_points, &hull, err) &&
              lk_image_convert(&hull, LK_U8, mask, err);
    lk_image_free(&hull);
    return ok;
}

static void keep_less(lk_image *mask, const lk_image *other) {
    for (int y = 0; y < mask->height; y++) {
        uint8_t *to = lk_row_u8(mask, y);
        const uint8_t *from = lk_row_u8(other, y);
        for (int x = 0; x < mask->width; x++)
            if (from[x] < to[x]) to[x] = from[x];
    }
}

/* What a network says, else the hull. */
static bool base_mask(lk_faceset *s, const lk_face *f, unsigned kinds, lk_image *mask, unsigned *used, lk_error *err) {
    lk_image person = {0};
    *mask = (lk_image){0};
    if (kinds & LK_MASK_BIT(LK_MASK_KIND_TRAINED)) {
        if (!read_picture(s, f, LK_MASK_KIND_TRAINED, mask, err)) return false;
        if (mask->data) *used = LK_MASK_BIT(LK_MASK_KIND_TRAINED);
        if (mask->data) return true;
    }
    if (!hull_of(f, mask, err)) return false;
    if (!(kinds & LK_MASK_BIT(LK_MASK_KIND_SEGMENTED))) return true;
    if (!read_picture(s, f, LK_MASK_KIND_SEGMENTED, &person, err)) return false;
    if (!person.data) return true;
    keep_less(mask, &person);
    lk_image_free(&person);
    *used = LK_MASK_BIT(LK_MASK_KIND_SEGMENTED);
    return true;
}

bool lk_faceset_mask(lk_faceset *s, const lk_face *f, unsigned kinds, lk_image *mask, unsigned *used, lk_error *err) {
    unsigned made_of = 0;
    json_t *polygons = NULL;
    *mask = (lk_image){0};
    bool ok = !(kinds & LK_MASK_BIT(LK_MASK_KIND_PAINTED)) || read_picture(s, f, LK_MASK_KIND_PAINTED, mask, err);
    if (ok && mask->data) {
        made_of = LK_MASK_BIT(LK_MASK_KIND_PAINTED);
    } else if (ok) {
        ok = base_mask(s, f, kinds, mask, &made_of, err) &&
             (!(kinds & LK_MASK_BIT(LK_MASK_KIND_POLYGONS)) || lk_faceset_polygons(s, f->id, &polygons, err));
        if (polygons) {
            lk_polygons_fill(polygons, mask);
            made_of |= LK_MASK_BIT(LK_MASK_KIND_POLYGONS);
            json_decref(polygons);
        }
    }
    if (!ok) lk_image_free(mask);
    if (used) *used = made_of;
    return ok;
}

bool lk_faceset_excluded(lk_faceset *s, const lk_face *f, lk_image *mask, lk_error *err) {
    json_t *polygons;
    *mask = (lk_image){0};
    if (!lk_faceset_polygons(s, f->id, &polygons, err)) return false;
    bool ok = true;
    if (json_array_size(json_object_get(polygons, "exclude")) > 0 &&
        (ok = lk_image_alloc(mask, f->size, f->size, 1, LK_U8, err))) {
        uint8_t *v = mask->data;
        size_t n = (size_t)f->size * (size_t)f->size;
        json_object_del(polygons, "include");
        memset(v, 255, n);
        lk_polygons_fill(polygons, mask);
        for (size_t i = 0; i < n; i++) v[i] = (uint8_t)(255 - v[i]);
    }
    json_decref(polygons);
    return ok;
}

bool lk_faceset_mask_kinds(lk_faceset *s, int64_t id, unsigned *kinds, lk_error *err) {
    *kinds = 0;
    for (int k = 0; k < LK_MASK_KINDS; k++) {
        sqlite3_stmt *q = lk_sql_statement(s, STATEMENT_GET_MASK, err);
        if (!q) return false;
        sqlite3_bind_int64(q, 1, id);
        sqlite3_bind_int(q, 2, k);
        int code = sqlite3_step(q);
        if (code == SQLITE_ROW) *kinds |= LK_MASK_BIT(k);
        sqlite3_reset(q);
        if (code != SQLITE_ROW && code != SQLITE_DONE) return lk_sql_fail(s->path, s->db, code, err);
    }
    return true;
}

/* ---- Changing ----------------------------------------------------------------------------------------------- */

static bool put_picture(lk_faceset *s, int64_t id, lk_mask_kind kind, const lk_image *mask, bool note, lk_error *err) {
    void *png;
    size_t size;
    if (!lk_png_encode(mask, &png, &size, err)) return false;
    bool ok = lk_mask_write(s, id, kind, png, size, note, err);
    free(png);
    return ok;
}

bool lk_faceset_put_mask(lk_faceset *s, const lk_face *f, lk_mask_kind kind, const lk_image *mask, lk_error *err) {
    if (mask->width != f->size || mask->height != f->size || mask->channels != 1 || mask->type != LK_U8)
        return lk_fail(err, LK_ERR_USAGE, "a mask of face %lld must be grey, with 8 bits and %d×%d pixels, as its crop",
                       (long long)f->id, f->size, f->size);
    return put_picture(s, f->id, kind, mask, true, err);
}

bool lk_masks_move(lk_faceset *s, int64_t id, lk_affine old_to_new, int old_size, int new_size, lk_error *err) {
    json_t *polygons, *moved;
    if (!lk_faceset_polygons(s, id, &polygons, err)) return false;
    bool ok = true;
    if (polygons) {
        moved = lk_polygons_moved(polygons, old_to_new);
        ok = (moved || lk_fail(err, LK_ERR_MEMORY, "no memory for polygons")) &&
             lk_faceset_put_polygons(s, id, moved, err);
        json_decref(moved);
        json_decref(polygons);
    }
    for (int k = LK_MASK_KIND_PAINTED; ok && k < LK_MASK_KINDS; k++) {
        void *data;
        size_t size;
        lk_image old = {0}, new = {0};
        ok = lk_mask_read(s, id, (lk_mask_kind)k, &data, &size, err);
        if (ok && data)
            ok = lk_mask_decode(data, size, old_size, &old, err) &&
                 lk_image_alloc(&new, new_size, new_size, 1, LK_U8, err) &&
                 lk_image_warp_affine(&old, &new, old_to_new, LK_BILINEAR, LK_BORDER_REPLICATE, err) &&
                 put_picture(s, id, (lk_mask_kind)k, &new, true, err);
        lk_image_free(&old);
        lk_image_free(&new);
        free(data);
    }
    return ok;
}

int64_t lk_faceset_clear_masks(lk_faceset *s, const int64_t *ids, int64_t count, unsigned kinds, lk_error *err) {
    bool own;
    int64_t cleared = 0;
    if (!lk_sql_writable(s, err) || !lk_sql_enter(s, &own, err)) return -1;
    sqlite3_stmt *q = lk_sql_prepare(s, "DELETE FROM mask WHERE face = ?1 AND (1 << kind) & ?2", err);
    bool ok = q != NULL;
    for (int64_t i = 0; ok && i < count; i++) {
        sqlite3_bind_int64(q, 1, ids[i]);
        sqlite3_bind_int64(q, 2, kinds);
        ok = lk_sql_done(s, q, err);
        if (!ok || sqlite3_changes(s->db) == 0) continue;
        cleared++;
        ok = note_change(s, ids[i], err);
    }
    sqlite3_finalize(q);
    return lk_sql_leave(s, own, ok, err) ? cleared : -1;
}
