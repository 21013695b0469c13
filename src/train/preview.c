/* A sheet of what the network does now, on faces that stay the same for a model's life: rows of src, its
 * reconstruction, dst, its reconstruction, the swap, and the masks of src and of the swap. */
#include "internal.h"
#include "likeness/media.h"

#include <stdlib.h>
#include <string.h>

#define PAIRS     8
#define SMALLEST  128 /* side of a cell: smaller pictures are enlarged */
#define GAP       2
#define GROUP_GAP 10

struct lk_preview {
    int resolution, pairs, columns, side, groups;
    bool masks;
    lk_nn_exec *exec;
    float *src, *dst; /* [pairs, R, R, 3] */
};

static bool cut_faces(const lk_preview *p, const lk_pool *pool, float *to, lk_error *err) {
    lk_sample_room *room = lk_sample_room_new(p->resolution, err);
    bool ok = room != NULL;
    for (int i = 0; ok && i < p->pairs; i++) {
        int face = (int)(((double)i + 0.5) * pool->count / p->pairs);
        lk_image crop;
        ok = lk_pool_crop(pool, face, &crop, err);
        if (!ok) break;
        ok = lk_sample_plain(room, &pool->faces[face], &crop,
                             to + 3 * (size_t)i * (size_t)p->resolution * (size_t)p->resolution, err);
        lk_image_free(&crop);
    }
    lk_sample_room_free(room);
    return ok;
}

lk_preview *lk_preview_new(const lk_swap_config *c, const lk_pool *src, const lk_pool *dst, int device, lk_error *err) {
    lk_preview *p = lk_alloc(1, sizeof *p, err);
    if (!p) return NULL;
    int fewer = src->count < dst->count ? src->count : dst->count;
    p->resolution = c->resolution;
    p->pairs = fewer < PAIRS ? fewer : PAIRS;
    p->masks = c->learn_mask;
    p->columns = p->masks ? 7 : 5;
    p->side = c->resolution < SMALLEST ? SMALLEST : c->resolution;
    p->groups = p->side == SMALLEST ? 2 : 1;
    size_t numbers = 3 * (size_t)p->pairs * (size_t)p->resolution * (size_t)p->resolution;
    p->src = lk_alloc(numbers, sizeof(float), err);
    p->dst = p->src ? lk_alloc(numbers, sizeof(float), err) : NULL;
    bool ok = p->dst && cut_faces(p, src, p->src, err) && cut_faces(p, dst, p->dst, err);
    lk_nn_graph *g = ok ? lk_swap_predict_graph(c, p->pairs, true, err) : NULL;
    p->exec = g ? lk_nn_compile(g, &(lk_nn_options){.device = device}, err) : NULL;
    lk_nn_graph_free(g);
    if (p->exec) return p;
    lk_preview_free(p);
    return NULL;
}

void lk_preview_free(lk_preview *p) {
    if (!p) return;
    lk_nn_free(p->exec);
    free(p->src);
    free(p->dst);
    free(p);
}

static float *tensor(const lk_preview *p, const char *name) { return lk_nn_data(p->exec, lk_nn_find(p->exec, name)); }

/* Picture i of [N, R, R, channels] into cell (column, row) of the sheet; a mask becomes grey. */
static bool put(const lk_preview *p, lk_image *sheet, int column, int i, const float *pictures, int channels,
                lk_error *err) {
    int r = p->resolution, group = i % p->groups, step = p->side + GAP;
    size_t pixels = (size_t)r * (size_t)r;
    lk_image picture = {0}, cell;
    if (!lk_image_alloc(&picture, r, r, 3, LK_F32, err)) return false;
    float *to = picture.data;
    for (size_t k = 0; k < 3 * pixels; k++)
        to[k] = channels == 3 ? pictures[3 * pixels * (size_t)i + k] : pictures[pixels * (size_t)i + k / 3];
    int left = group * (p->columns * step + GROUP_GAP) + column * step, top = i / p->groups * step;
    cell = lk_image_view(sheet, (lk_rect){left, top, p->side, p->side});
    bool ok = lk_image_resize(&picture, &cell, LK_BICUBIC, err);
    lk_image_free(&picture);
    return ok;
}

static bool draw_sheet(const lk_preview *p, lk_image *sheet, lk_error *err) {
    static const char *const images[] = {"src", "dst", "swap"}, *const masks[] = {"src_mask", "mask"};
    const float *columns[] = {p->src, tensor(p, images[0]), p->dst, tensor(p, images[1]), tensor(p, images[2])};
    for (int i = 0; i < p->pairs; i++) {
        for (int k = 0; k < 5; k++)
            if (!put(p, sheet, k, i, columns[k], 3, err)) return false;
        for (int k = 0; p->masks && k < 2; k++)
            if (!put(p, sheet, 5 + k, i, tensor(p, masks[k]), 1, err)) return false;
    }
    return true;
}

bool lk_preview_draw(lk_preview *p, const lk_nn_exec *e, const char *path, lk_error *err) {
    size_t bytes = 3 * sizeof(float) * (size_t)p->pairs * (size_t)p->resolution * (size_t)p->resolution;
    lk_nn_copy_params(p->exec, e);
    memcpy(tensor(p, "src_face"), p->src, bytes);
    memcpy(tensor(p, "face"), p->dst, bytes);
    if (!lk_nn_run(p->exec, err)) return false;
    int step = p->side + GAP, rows = (p->pairs + p->groups - 1) / p->groups;
    int groups = p->pairs < p->groups ? p->pairs : p->groups;
    lk_image sheet = {0};
    bool ok = lk_image_alloc(&sheet, groups * (p->columns * step + GROUP_GAP) - GROUP_GAP - GAP, rows * step - GAP, 3,
                             LK_U8, err) &&
              draw_sheet(p, &sheet, err) && lk_image_save(&sheet, path, 0, err);
    lk_image_free(&sheet);
    return ok;
}
