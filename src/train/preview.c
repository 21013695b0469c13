/* A sheet of what the network does now, on faces that stay the same for a model's life: rows of src, its
 * reconstruction, dst, its reconstruction, the swap, and the masks of src and of the swap. */
#include "internal.h"
#include "likeness/media.h"

#include <stdlib.h>

#define SMALLEST  128 /* side of a cell: smaller pictures are enlarged */
#define GAP       2
#define GROUP_GAP 10

enum { SRC, SRC_NOW, DST, DST_NOW, SWAP, SRC_MASK, MASK, COLUMNS };

struct lk_preview {
    int resolution, pairs, columns, side, groups;
    float *pictures[COLUMNS]; /* [pairs, R, R, channels], by column of the sheet */
};

static int channels_of(int column) { return column >= SRC_MASK ? 1 : 3; }

static size_t numbers_of(const lk_preview *p, int column) {
    return (size_t)channels_of(column) * (size_t)p->resolution * (size_t)p->resolution;
}

static int face_of(const lk_preview *p, const lk_pool *pool, int row) {
    return (int)(((double)row + 0.5) * pool->count / p->pairs);
}

/* colors_of: NULL, or the pool whose faces' colours are taken. */
static bool cut_faces(const lk_preview *p, const lk_pool *pool, const lk_pool *colors_of, float *to, lk_error *err) {
    lk_sample_room *room = lk_sample_room_new(p->resolution, err);
    bool ok = room != NULL;
    for (int i = 0; ok && i < p->pairs; i++) {
        int face = face_of(p, pool, i);
        lk_image crop;
        ok = lk_pool_crop(pool, face, &crop, err);
        if (!ok) break;
        ok = lk_sample_plain(room, &pool->faces[face], &crop,
                             colors_of ? &colors_of->faces[face_of(p, colors_of, i)] : NULL,
                             to + 3 * (size_t)i * (size_t)p->resolution * (size_t)p->resolution, err);
        lk_image_free(&crop);
    }
    lk_sample_room_free(room);
    return ok;
}

lk_preview *lk_preview_new(const lk_swap_config *c, const lk_pool *src, const lk_pool *dst, bool color_transfer,
                           lk_error *err) {
    lk_preview *p = lk_alloc(1, sizeof *p, err);
    if (!p) return NULL;
    int fewer = src->count < dst->count ? src->count : dst->count;
    p->resolution = c->resolution;
    p->pairs = fewer < LK_PREVIEW_PAIRS ? fewer : LK_PREVIEW_PAIRS;
    p->columns = c->learn_mask ? COLUMNS : SRC_MASK;
    p->side = c->resolution < SMALLEST ? SMALLEST : c->resolution;
    p->groups = p->side == SMALLEST ? 2 : 1;
    bool ok = true;
    for (int k = 0; ok && k < p->columns; k++)
        ok = (p->pictures[k] = lk_alloc((size_t)p->pairs * numbers_of(p, k), sizeof(float), err)) != NULL;
    if (ok && cut_faces(p, src, color_transfer ? dst : NULL, p->pictures[SRC], err) &&
        cut_faces(p, dst, NULL, p->pictures[DST], err))
        return p;
    lk_preview_free(p);
    return NULL;
}

void lk_preview_free(lk_preview *p) {
    if (!p) return;
    for (int k = 0; k < COLUMNS; k++) free(p->pictures[k]);
    free(p);
}

static bool predict(lk_preview *p, lk_network *n, lk_error *err) {
    float **at = p->pictures;
    const lk_portraits src = {at[SRC], at[SRC_NOW], at[SRC_MASK]}, dst = {at[DST], at[DST_NOW], NULL},
                       swap = {at[DST], at[SWAP], at[MASK]};
    return lk_network_draw(n, p->pairs, &src, &dst, err) && lk_network_draw(n, p->pairs, &swap, NULL, err);
}

/* Picture i of a column into its cell of the sheet; a mask becomes grey. */
static bool put(const lk_preview *p, lk_image *sheet, int column, int i, lk_error *err) {
    int r = p->resolution, group = i % p->groups, step = p->side + GAP, channels = channels_of(column);
    const float *from = p->pictures[column] + (size_t)i * numbers_of(p, column);
    lk_image picture = {0}, cell;
    if (!lk_image_alloc(&picture, r, r, 3, LK_F32, err)) return false;
    float *to = picture.data;
    for (size_t k = 0; k < 3 * (size_t)r * (size_t)r; k++) to[k] = from[channels == 3 ? k : k / 3];
    int left = group * (p->columns * step + GROUP_GAP) + column * step, top = i / p->groups * step;
    cell = lk_image_view(sheet, (lk_rect){left, top, p->side, p->side});
    bool ok = lk_image_resize(&picture, &cell, LK_BICUBIC, err);
    lk_image_free(&picture);
    return ok;
}

bool lk_preview_draw(lk_preview *p, lk_network *n, const char *path, lk_error *err) {
    if (!predict(p, n, err)) return false;
    int step = p->side + GAP, rows = (p->pairs + p->groups - 1) / p->groups;
    int groups = p->pairs < p->groups ? p->pairs : p->groups;
    lk_image sheet = {0};
    bool ok = lk_image_alloc(&sheet, groups * (p->columns * step + GROUP_GAP) - GROUP_GAP - GAP, rows * step - GAP, 3,
                             LK_U8, err);
    for (int i = 0; ok && i < p->pairs; i++)
        for (int k = 0; ok && k < p->columns; k++) ok = put(p, &sheet, k, i, err);
    ok = ok && lk_image_save(&sheet, path, 0, err);
    lk_image_free(&sheet);
    return ok;
}
