/* Faces of both sides, drawn for an evaluation: by a saved model, or by the network that is being trained. */
#include "evaluate.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 8

bool lk_drawing_open(lk_drawing *d, const lk_swap_config *c, const lk_pool *src, const lk_pool *dst, lk_error *err) {
    *d = (lk_drawing){.batch = BATCH, .resolution = c->resolution, .masks = c->learn_mask, .pools = {src, dst}};
    size_t pixels = (size_t)d->resolution * (size_t)d->resolution * BATCH;
    float **pictures[] = {&d->composite, &d->swap, &d->faces[0], &d->faces[1], &d->again[0], &d->again[1]};
    float **planes[] = {&d->hull[0], &d->hull[1], &d->mask[0], &d->mask[1], &d->swap_mask};
    bool ok = (d->room = lk_sample_room_new(d->resolution, err)) != NULL;
    for (size_t i = 0; ok && i < LK_COUNT(pictures); i++)
        ok = (*pictures[i] = lk_alloc(3 * pixels, sizeof(float), err)) != NULL;
    for (size_t i = 0; ok && i < LK_COUNT(planes); i++)
        ok = (*planes[i] = lk_alloc(pixels, sizeof(float), err)) != NULL;
    for (int s = 0; ok && s < 2; s++) ok = (d->points[s] = lk_alloc(BATCH, sizeof(lk_landmarks), err)) != NULL;
    if (!ok) lk_drawing_close(d);
    return ok;
}

void lk_drawing_close(lk_drawing *d) {
    for (int s = 0; s < 2; s++) {
        free(d->faces[s]);
        free(d->again[s]);
        free(d->mask[s]);
        free(d->hull[s]);
        free(d->points[s]);
    }
    free(d->swap);
    free(d->swap_mask);
    free(d->composite);
    lk_sample_room_free(d->room);
    lk_nn_free(d->exec);
    *d = (lk_drawing){0};
}

/* Of the prediction graph: a whole batch at a time. */
static void put(lk_drawing *d, const char *name, const float *from) {
    lk_nn_t t = lk_nn_find(d->exec, name);
    memcpy(lk_nn_data(d->exec, t), from, lk_nn_count(lk_nn_shape_in(d->exec, t)) * sizeof(float));
}

static void take(lk_drawing *d, const char *name, float *to) {
    lk_nn_t t = lk_nn_find(d->exec, name);
    if (t >= 0) memcpy(to, lk_nn_data(d->exec, t), lk_nn_count(lk_nn_shape_in(d->exec, t)) * sizeof(float));
}

static bool predict(lk_drawing *d, lk_error *err) {
    put(d, "src_face", d->faces[0]);
    put(d, "face", d->faces[1]);
    if (!lk_nn_run(d->exec, err)) return false;
    take(d, "src", d->again[0]);
    take(d, "dst", d->again[1]);
    take(d, "swap", d->swap);
    take(d, "src_mask", d->mask[0]);
    take(d, "dst_mask", d->mask[1]);
    take(d, "mask", d->swap_mask);
    return true;
}

/* By the network in training: only what was asked for. */
static bool draw_in_training(lk_drawing *d, int src_count, int dst_count, lk_error *err) {
    const lk_portraits src = {d->faces[0], d->again[0], d->mask[0]}, dst = {d->faces[1], d->again[1], d->mask[1]},
                       swap = {d->faces[1], d->swap, d->swap_mask};
    return (src_count == 0 || lk_network_draw(d->network, src_count, &src, NULL, err)) &&
           (dst_count == 0 || lk_network_draw(d->network, dst_count, &swap, &dst, err));
}

static bool cut(lk_drawing *d, int side, int place, int face, lk_error *err) {
    const lk_pool *pool = d->pools[side], *other = d->pools[1 - side];
    const lk_pool_face *colors_of =
        side == 0 && d->color_transfer ? &other->faces[(int64_t)face * other->count / pool->count] : NULL;
    size_t pixels = (size_t)d->resolution * (size_t)d->resolution;
    lk_image crop, hull = {0};
    if (!lk_pool_crop(pool, face, &crop, err)) return false;
    bool ok = lk_sample_plain(d->room, &pool->faces[face], &crop, colors_of,
                              d->faces[side] + 3 * pixels * (size_t)place, err);
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
    if (!(d->network ? draw_in_training(d, src_count, dst_count, err) : predict(d, err))) return false;
    const float *mask = d->masks ? d->swap_mask : d->hull[1];
    size_t count = 3 * (size_t)d->resolution * (size_t)d->resolution * (size_t)d->batch;
    for (size_t i = 0; i < count; i++) d->composite[i] = d->faces[1][i] + mask[i / 3] * (d->swap[i] - d->faces[1][i]);
    return true;
}
