/* Faces whose masks a person made, and pictures to cut patches from. */
#include "obstruction.h"

#include <stdlib.h>
#include <string.h>

#include "likeness/media.h"

#define MOST_SIDE     4096
#define MOST_TEXTURES 200 /* of each set */

static bool resized(const lk_image *from, int size, lk_image *to, lk_error *err) {
    return lk_image_alloc(to, size, size, from->channels, LK_U8, err) &&
           lk_image_resize(from, to, from->width > size ? LK_AREA : LK_BILINEAR, err);
}

bool lk_obstruction_look(const lk_image *crop, const lk_landmarks *points, int size, lk_image *picture, lk_image *hull,
                         lk_error *err) {
    lk_image fine = {0}, bytes = {0};
    *hull = (lk_image){0};
    bool ok = resized(crop, size, picture, err) && lk_image_alloc(&fine, crop->width, crop->height, 1, LK_F32, err) &&
              lk_face_hull(points, &fine, err) && lk_image_convert(&fine, LK_U8, &bytes, err) &&
              resized(&bytes, size, hull, err);
    lk_image_free(&fine);
    lk_image_free(&bytes);
    return ok;
}

void lk_obstruction_fill(const lk_image *picture, const lk_image *hull, float *face) {
    for (int y = 0; y < picture->height; y++)
        for (int x = 0; x < picture->width; x++, face += LK_OBSTRUCTION_CHANNELS) {
            const uint8_t *p = lk_row_u8(picture, y) + 3 * (size_t)x;
            for (int k = 0; k < 3; k++) face[k] = (float)p[k] / 255;
            face[3] = (float)lk_row_u8(hull, y)[x] / 255;
        }
}

static bool read_crop(lk_faceset *s, const lk_face *face, lk_image *crop, lk_error *err) {
    void *jpeg;
    size_t size;
    if (!lk_faceset_jpeg(s, face->id, &jpeg, &size, err)) return false;
    bool ok = lk_jpeg_decode(jpeg, size, MOST_SIDE, crop, err);
    free(jpeg);
    if (ok && (crop->width != face->size || crop->height != face->size)) {
        lk_image_free(crop);
        return lk_fail(err, LK_ERR_FORMAT, "its crop has not %d×%d pixels", face->size, face->size);
    }
    return ok;
}

/* What the mask takes from the hull, and whatever polygons exclude beside it. */
static bool occluder_of(lk_faceset *s, const lk_face *face, int size, lk_obstruction_face *f, lk_error *err) {
    lk_image drawn, all = {0};
    bool any = false;
    if (!lk_faceset_excluded(s, face, &drawn, err)) return false;
    bool ok =
        drawn.data ? resized(&drawn, size, &f->occluder, err) : lk_image_alloc(&f->occluder, size, size, 1, LK_U8, err);
    for (int y = 0; ok && y < size; y++)
        for (int x = 0; x < size; x++) {
            uint8_t *to = &lk_row_u8(&f->occluder, y)[x];
            int hull = lk_row_u8(&f->hull, y)[x], mask = lk_row_u8(&f->mask, y)[x];
            if (!drawn.data && hull - mask > 0) *to = (uint8_t)(hull - mask);
            any |= *to > 127;
        }
    if (!any) lk_image_free(&f->occluder);
    lk_image_free(&drawn);
    lk_image_free(&all);
    return ok;
}

static bool add(lk_obstruction_faces *f, lk_faceset *s, const lk_face *face, const lk_image *crop, int size,
                lk_error *err) {
    lk_obstruction_face *to = &f->items[f->count];
    if (f->count > 0 && f->type != face->type)
        return lk_fail(err, LK_ERR_USAGE, "it is of type %s, and those before are of type %s: a network learns one",
                       lk_face_type_names[face->type], lk_face_type_names[f->type]);
    f->type = face->type;
    f->count++;
    to->points = face->crop_points;
    return lk_faceset_mask(s, face, LK_MASKS_BY_HAND, &to->truth, NULL, err) &&
           lk_obstruction_look(crop, &face->crop_points, size, &to->picture, &to->hull, err) &&
           resized(&to->truth, size, &to->mask, err) && occluder_of(s, face, size, to, err);
}

static bool add_texture(lk_obstruction_faces *f, const lk_image *crop, int size, lk_error *err) {
    return resized(crop, size, &f->textures[f->texture_count++], err);
}

static bool open_set(lk_obstruction_faces *f, const char *path, int size, lk_error *err) {
    lk_faceset *s = lk_faceset_open(path, false, err);
    lk_face *face = s ? lk_alloc(1, sizeof *face, err) : NULL;
    int64_t *ids = NULL, count = face ? lk_faceset_ids(s, NULL, &ids, err) : -1, every = count / MOST_TEXTURES + 1;
    bool ok = count >= 0;
    if (ok) {
        void *items = realloc(f->items, ((size_t)f->count + (size_t)count + 1) * sizeof *f->items);
        if (items) f->items = items;
        void *textures = realloc(f->textures, (size_t)(f->texture_count + MOST_TEXTURES + 1) * sizeof *f->textures);
        if (textures) f->textures = textures;
        ok = (items && textures) || lk_fail(err, LK_ERR_MEMORY, "no memory for the faces of %s", path);
        if (ok) memset(f->items + f->count, 0, (size_t)count * sizeof *f->items);
        if (ok) memset(f->textures + f->texture_count, 0, (MOST_TEXTURES + 1) * sizeof *f->textures);
    }
    for (int64_t i = 0; ok && i < count; i++) {
        unsigned kinds;
        lk_image crop = {0};
        ok = lk_faceset_mask_kinds(s, ids[i], &kinds, err);
        bool by_hand = (kinds & LK_MASKS_BY_HAND) != 0, texture = i % every == 0;
        if (!ok || (!by_hand && !texture)) continue;
        ok = lk_faceset_get(s, ids[i], face, err) && read_crop(s, face, &crop, err) &&
             (!by_hand || add(f, s, face, &crop, size, err)) && (!texture || add_texture(f, &crop, size, err));
        lk_image_free(&crop);
        if (!ok) lk_fail_in(err, "%s, face %lld", path, (long long)ids[i]);
    }
    free(ids);
    free(face);
    lk_faceset_close(s);
    return ok;
}

/* As lk_held_out does with frames: stretches of two faces, evenly spread. */
static void hold_out(lk_obstruction_faces *f, double percent) {
    double held = f->count * percent / 100, stretches = held / 2 > 1 ? (int)(held / 2 + 0.5) : 1,
           part = f->count / stretches;
    if (!(percent > 0)) return;
    for (int i = 0; i < f->count; i++) {
        double at = i - (int)(i / part) * part, length = held / stretches;
        f->items[i].held = at >= (part - length) / 2 && at < (part + length) / 2;
        f->held += f->items[i].held;
    }
}

bool lk_obstruction_faces_open(lk_obstruction_faces *f, const lk_strings *sets, int size, double holdout,
                               lk_error *err) {
    *f = (lk_obstruction_faces){0};
    bool ok = sets->count > 0 || lk_fail(err, LK_ERR_USAGE, "training a mask needs faces: give --set SET.faces");
    for (int i = 0; ok && i < sets->count; i++) ok = open_set(f, sets->items[i], size, err);
    if (ok) hold_out(f, holdout);
    for (int i = 0; ok && i < f->count; i++) f->occluders += !f->items[i].held && f->items[i].occluder.data;
    if (ok && f->count - f->held < 2)
        ok = lk_fail(
            err, LK_ERR_USAGE,
            "%s has %d faces with polygons or painted masks to learn from, and at least 2 are needed; 'likeness "
            "set mask import' takes them in",
            sets->items[0], f->count - f->held);
    if (!ok) lk_obstruction_faces_close(f);
    return ok;
}

void lk_obstruction_faces_close(lk_obstruction_faces *f) {
    for (int i = 0; i < f->count; i++) {
        lk_obstruction_face *face = &f->items[i];
        lk_image_free(&face->picture);
        lk_image_free(&face->mask);
        lk_image_free(&face->hull);
        lk_image_free(&face->occluder);
        lk_image_free(&face->truth);
    }
    for (int i = 0; i < f->texture_count; i++) lk_image_free(&f->textures[i]);
    free(f->items);
    free(f->textures);
    *f = (lk_obstruction_faces){0};
}
