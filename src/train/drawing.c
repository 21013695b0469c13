/* Faces of both sides, drawn by a trained model for its evaluation. */
#include "evaluate.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 8

static float *tensor(const lk_drawing *d, const char *name) { return lk_nn_data(d->exec, lk_nn_find(d->exec, name)); }

bool lk_drawing_open(lk_drawing *d, const char *dir, const lk_record *r, const lk_pool *src, const lk_pool *dst,
                     lk_error *err) {
    *d = (lk_drawing){
        .batch = BATCH, .resolution = r->config.resolution, .masks = r->config.learn_mask, .pools = {src, dst}};
    size_t pixels = (size_t)d->resolution * (size_t)d->resolution * BATCH;
    bool ok = (d->exec = lk_record_predictor(r, dir, BATCH, true, err)) != NULL &&
              (d->room = lk_sample_room_new(d->resolution, err)) != NULL &&
              (d->composite = lk_alloc(3 * pixels, sizeof(float), err)) != NULL;
    for (int s = 0; ok && s < 2; s++)
        ok = (d->hull[s] = lk_alloc(pixels, sizeof(float), err)) != NULL &&
             (d->points[s] = lk_alloc(BATCH, sizeof(lk_landmarks), err)) != NULL;
    if (!ok) {
        lk_drawing_close(d);
        return false;
    }
    d->faces[0] = tensor(d, "src_face");
    d->faces[1] = tensor(d, "face");
    d->again[0] = tensor(d, "src");
    d->again[1] = tensor(d, "dst");
    d->swap = tensor(d, "swap");
    if (!d->masks) return true;
    d->mask[0] = tensor(d, "src_mask");
    d->mask[1] = tensor(d, "dst_mask");
    d->swap_mask = tensor(d, "mask");
    return true;
}

void lk_drawing_close(lk_drawing *d) {
    for (int s = 0; s < 2; s++) {
        free(d->hull[s]);
        free(d->points[s]);
    }
    free(d->composite);
    lk_sample_room_free(d->room);
    lk_nn_free(d->exec);
    *d = (lk_drawing){0};
}

static bool cut(lk_drawing *d, int side, int place, int face, lk_error *err) {
    const lk_pool *pool = d->pools[side];
    size_t pixels = (size_t)d->resolution * (size_t)d->resolution;
    lk_image crop, hull = {0};
    if (!lk_pool_crop(pool, face, &crop, err)) return false;
    bool ok = lk_sample_plain(d->room, &pool->faces[face], &crop, d->faces[side] + 3 * pixels * (size_t)place, err);
    lk_image_free(&crop);
    d->points[side][place] = lk_landmarks_transform(&pool->faces[face].points, pool->faces[face].to_model);
    ok = ok && lk_image_alloc(&hull, d->resolution, d->resolution, 1, LK_F32, err) &&
         lk_face_hull(&d->points[side][place], &hull, err);
    for (int y = 0; ok && y < d->resolution; y++)
        memcpy(d->hull[side] + pixels * (size_t)place + (size_t)y * (size_t)d->resolution, lk_row_f32(&hull, y),
               (size_t)d->resolution * sizeof(float));
    lk_image_free(&hull);
    return ok;
}

bool lk_draw_faces(lk_drawing *d, const int *src, int src_count, const int *dst, int dst_count, lk_error *err) {
    const int *faces[2] = {src, dst}, counts[2] = {src_count, dst_count};
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < counts[s]; i++)
            if (!cut(d, s, i, faces[s][i], err)) return false;
    if (!lk_nn_run(d->exec, err)) return false;
    const float *mask = d->masks ? d->swap_mask : d->hull[1];
    size_t count = 3 * (size_t)d->resolution * (size_t)d->resolution * (size_t)d->batch;
    for (size_t i = 0; i < count; i++) d->composite[i] = d->faces[1][i] + mask[i / 3] * (d->swap[i] - d->faces[1][i]);
    return true;
}
