#include <math.h>
#include <stdlib.h>

#include "internal.h"
#include "likeness/masks.h"
#include "likeness/media.h"

#define LARGEST_CELL  256
#define SMALLEST_CELL 32
#define LONGEST_SIDE  4096 /* of the sheet, unless its cells would become too small */
#define MOST_CELLS    100  /* in a row or a column */
#define GAP           2

static int cell_side(int columns, int rows) {
    int longer = columns > rows ? columns : rows, side = LONGEST_SIDE / longer - GAP;
    return side > LARGEST_CELL ? LARGEST_CELL : side < SMALLEST_CELL ? SMALLEST_CELL : side;
}

/* A small cross: green for the jaw and brows, yellow for the rest. */
static void draw_point(lk_image *cell, double x, double y, bool outline) {
    static const int at[5][2] = {{0, 0}, {-1, 0}, {1, 0}, {0, -1}, {0, 1}};
    if (!(fabs(x) < LK_MAX_IMAGE_SIDE) || !(fabs(y) < LK_MAX_IMAGE_SIDE)) return;
    for (int i = 0; i < 5; i++) {
        int px = (int)lround(x) + at[i][0], py = (int)lround(y) + at[i][1];
        if (px < 0 || py < 0 || px >= cell->width || py >= cell->height) continue;
        uint8_t *p = lk_row_u8(cell, py) + (size_t)px * 3;
        p[0] = outline ? 0 : 255;
        p[1] = 255;
        p[2] = 0;
    }
}

/* What is left out is darkened; of that, what lies in the hull becomes blue. */
static bool draw_mask(lk_faceset *s, const lk_face *face, lk_image *crop, lk_error *err) {
    lk_image mask, hull;
    if (!lk_faceset_mask(s, face, LK_MASKS_ALL, &mask, NULL, err)) return false;
    bool ok = lk_faceset_mask(s, face, 0, &hull, NULL, err);
    for (int y = 0; ok && y < crop->height && y < mask.height; y++)
        for (int x = 0; x < crop->width && x < mask.width; x++) {
            uint8_t *p = lk_row_u8(crop, y) + 3 * (size_t)x;
            int out = 255 - lk_row_u8(&mask, y)[x],
                covered = out < lk_row_u8(&hull, y)[x] ? out : lk_row_u8(&hull, y)[x];
            for (int k = 0; k < 3; k++) p[k] = (uint8_t)(p[k] - p[k] * out / 510);
            p[2] = (uint8_t)(p[2] + (255 - p[2]) * covered / 383);
        }
    lk_image_free(&mask);
    lk_image_free(&hull);
    return ok;
}

static bool draw_face(lk_faceset *s, int64_t id, lk_image *cell, bool landmarks, bool masks, lk_error *err) {
    lk_face *face = lk_alloc(1, sizeof *face, err);
    void *jpeg = NULL;
    size_t size = 0;
    lk_image crop = {0};
    bool ok = face && lk_faceset_get(s, id, face, err) && lk_faceset_jpeg(s, id, &jpeg, &size, err);
    if (ok && !lk_jpeg_decode(jpeg, size, LK_MAX_CROP_SIDE, &crop, err))
        ok = lk_fail_in(err, "%s: face %lld", s->path, (long long)id);
    ok = ok && (!masks || draw_mask(s, face, &crop, err));
    ok = ok && lk_image_resize(&crop, cell, crop.width > cell->width ? LK_AREA : LK_BICUBIC, err);
    if (ok && landmarks) {
        double kx = (double)cell->width / crop.width, ky = (double)cell->height / crop.height;
        for (int i = 0; i < LK_LANDMARKS; i++) {
            lk_point p = face->crop_points.p[i];
            draw_point(cell, ((double)p.x + 0.5) * kx - 0.5, ((double)p.y + 0.5) * ky - 0.5, i < 27);
        }
    }
    lk_image_free(&crop);
    free(jpeg);
    free(face);
    return ok;
}

static bool draw_all(lk_faceset *s, const int64_t *ids, int64_t count, const char *path, int columns, int rows,
                     bool landmarks, bool masks, lk_error *err) {
    int side = cell_side(columns, rows), step = side + GAP;
    int64_t cells = (int64_t)columns * rows;
    if (cells > count) cells = count;
    if (columns > cells) columns = (int)cells;
    rows = (int)((cells + columns - 1) / columns);
    lk_image sheet = {0};
    if (!lk_image_alloc(&sheet, columns * step - GAP, rows * step - GAP, 3, LK_U8, err)) return false;
    bool ok = true;
    for (int64_t i = 0; ok && i < cells; i++) {
        lk_rect at = {(int)(i % columns) * step, (int)(i / columns) * step, side, side};
        lk_image cell = lk_image_view(&sheet, at);
        ok = draw_face(s, ids[(int64_t)(((double)i + 0.5) * (double)count / (double)cells)], &cell, landmarks, masks,
                       err);
    }
    ok = ok && lk_image_save(&sheet, path, 95, err);
    lk_image_free(&sheet);
    return ok;
}

bool lk_faceset_sheet(lk_faceset *s, const char *path, int columns, int rows, bool landmarks, bool masks,
                      lk_error *err) {
    if (columns < 1 || columns > MOST_CELLS || rows < 1 || rows > MOST_CELLS)
        return lk_fail(err, LK_ERR_USAGE, "a sheet has 1 to %d columns and rows, not %d × %d", MOST_CELLS, columns,
                       rows);
    int64_t *ids, count = lk_faceset_ids(s, &(lk_faceset_query){.sorted = true}, &ids, err);
    if (count < 0) return false;
    bool ok = count > 0 ? draw_all(s, ids, count, path, columns, rows, landmarks, masks, err)
                        : lk_fail(err, LK_ERR_NOT_FOUND, "%s holds no faces", s->path);
    free(ids);
    return ok;
}
