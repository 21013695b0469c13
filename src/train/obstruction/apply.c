/* Masks by the trained network, for faces of a set. */
#include "obstruction.h"

#include <stdlib.h>
#include <string.h>

#include "likeness/media.h"

#define MOST_SIDE 4096
#define HIDDEN    0.03 /* of the hull; less is the hull's own edge */

typedef struct applier {
    const char *dir;
    lk_faceset *set;
    int device; /* lk_nn_wish */
    lk_obstruction_save save;
    lk_nn_exec *exec;
    lk_face *faces; /* [LK_OBSTRUCTION_BATCH] */
    lk_obstruction_applied done;
} applier;

static bool open_network(applier *a, lk_error *err) {
    bool found;
    if (!lk_obstruction_read(a->dir, &a->save, &found, err)) return false;
    if (!found)
        return lk_fail(err, LK_ERR_NOT_FOUND, "%s holds no mask network: train one with 'likeness mask train'", a->dir);
    lk_nn_graph *g =
        lk_obstruction_graph(a->save.options.size, a->save.options.width, LK_OBSTRUCTION_BATCH, false, err);
    a->exec = g ? lk_nn_compile(g, &(lk_nn_options){.device = lk_nn_device_for(a->device)}, err) : NULL;
    lk_nn_graph_free(g);
    return a->exec && lk_obstruction_load(a->dir, &a->save, a->exec, false, err);
}

static bool take_in(applier *a, int64_t id, lk_face *face, float *to, lk_error *err) {
    void *jpeg = NULL;
    size_t size;
    lk_image crop = {0}, picture = {0}, hull = {0};
    bool ok = lk_faceset_get(a->set, id, face, err);
    if (ok && face->type != a->save.type)
        ok = lk_fail(
            err, LK_ERR_USAGE,
            "it is of type %s, and %s learned from faces of type %s: extract the set again with --face-type %s",
            lk_face_type_names[face->type], a->dir, lk_face_type_names[a->save.type], lk_face_type_names[a->save.type]);
    ok = ok && lk_faceset_jpeg(a->set, id, &jpeg, &size, err) && lk_jpeg_decode(jpeg, size, MOST_SIDE, &crop, err) &&
         lk_obstruction_look(&crop, &face->crop_points, a->save.options.size, &picture, &hull, err);
    if (ok) lk_obstruction_fill(&picture, &hull, to);
    lk_image_free(&crop);
    lk_image_free(&picture);
    lk_image_free(&hull);
    free(jpeg);
    return ok || lk_fail_in(err, "face %lld", (long long)id);
}

/* Is more of the hull hidden than its edge? */
static bool is_hidden(const float *face, const float *mask, size_t pixels) {
    double hull = 0, taken = 0;
    for (size_t i = 0; i < pixels; i++) {
        double h = (double)face[LK_OBSTRUCTION_CHANNELS * i + 3];
        hull += h;
        if (mask[i] < 0.5f) taken += h;
    }
    return taken > HIDDEN * hull;
}

static bool apply(applier *a, const int64_t *ids, int count, lk_error *err) {
    int size = a->save.options.size;
    size_t pixels = (size_t)size * (size_t)size;
    float *in = lk_nn_data(a->exec, lk_nn_find(a->exec, "face"));
    memset(in, 0, LK_OBSTRUCTION_CHANNELS * pixels * LK_OBSTRUCTION_BATCH * sizeof(float));
    for (int i = 0; i < count; i++)
        if (!take_in(a, ids[i], &a->faces[i], in + LK_OBSTRUCTION_CHANNELS * pixels * (size_t)i, err)) return false;
    if (!lk_nn_run(a->exec, err)) return false;
    const float *masks = lk_nn_data(a->exec, lk_nn_find(a->exec, "mask"));
    for (int i = 0; i < count; i++) {
        lk_image mask = {0};
        const float *own = masks + pixels * (size_t)i;
        bool ok = lk_obstruction_mask(own, size, a->faces[i].size, &mask, err) &&
                  lk_faceset_put_mask(a->set, &a->faces[i], LK_MASK_KIND_TRAINED, &mask, err);
        lk_image_free(&mask);
        if (!ok) return false;
        a->done.faces++;
        a->done.hidden += is_hidden(in + LK_OBSTRUCTION_CHANNELS * pixels * (size_t)i, own, pixels);
    }
    return true;
}

static bool apply_all(applier *a, const int64_t *ids, int64_t count, lk_error *err) {
    lk_progress progress;
    bool ok = true;
    lk_progress_begin(&progress, "masking faces", (double)count);
    for (int64_t at = 0; ok && at < count; at += LK_OBSTRUCTION_BATCH) {
        int n = count - at < LK_OBSTRUCTION_BATCH ? (int)(count - at) : LK_OBSTRUCTION_BATCH;
        ok = !lk_interrupted() ? apply(a, ids + at, n, err)
                               : lk_fail(err, LK_ERR_INTERRUPTED, "interrupted; no mask was changed");
        lk_progress_update(&progress, (double)(at + n), NULL);
    }
    lk_progress_end(&progress);
    return ok;
}

bool lk_obstruction_apply(const char *dir, lk_faceset *s, const int64_t *ids, int64_t count, int device,
                          lk_obstruction_applied *done, lk_error *err) {
    applier a = {.dir = dir, .set = s, .device = device};
    bool ok = open_network(&a, err) && (a.faces = lk_alloc(LK_OBSTRUCTION_BATCH, sizeof *a.faces, err)) != NULL &&
              lk_faceset_begin(s, err);
    if (ok) {
        ok = apply_all(&a, ids, count, err);
        if (ok)
            ok = lk_faceset_commit(s, err);
        else
            lk_faceset_rollback(s);
    }
    if (ok && done) *done = a.done;
    free(a.faces);
    lk_nn_free(a.exec);
    return ok;
}
