/* A trained model, opened for merging: the newest whole save of its folder, and nothing written there. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

struct lk_model {
    lk_record record;
    lk_nn_exec *exec;
    int batch;
    lk_nn_t face, swap, mask;
};

lk_nn_exec *lk_record_predictor(const lk_record *r, const char *dir, int batch, bool both, int device, lk_error *err) {
    lk_nn_graph *g = lk_swap_predict_graph(&r->config, batch, both, err);
    lk_nn_exec *e = g ? lk_nn_compile(g, &(lk_nn_options){.device = device, .blank = true}, err) : NULL;
    lk_nn_graph_free(g);
    if (!e) return NULL;
    int count = lk_nn_param_count(e);
    bool *loaded = lk_alloc((size_t)count, sizeof *loaded, err);
    char *path = loaded ? lk_path_join(dir, r->weights.name, err) : NULL;
    bool ok = path && lk_nn_load_matching(e, LK_NN_VALUE, path, loaded, NULL, err);
    for (int i = 0; ok && i < count; i++)
        if (!loaded[i])
            ok = lk_fail(err, LK_ERR_FORMAT, "%s has no tensor '%s' as the model needs it", path,
                         lk_nn_param_name(e, i));
    free(path);
    free(loaded);
    if (ok) return e;
    lk_nn_free(e);
    return NULL;
}

static bool load(lk_model *m, const char *dir, int device, lk_error *err) {
    m->exec = lk_record_predictor(&m->record, dir, m->batch, false, device, err);
    if (!m->exec) return false;
    m->face = lk_nn_find(m->exec, "face");
    m->swap = lk_nn_find(m->exec, "swap");
    m->mask = lk_nn_find(m->exec, "mask");
    return true;
}

lk_model *lk_model_open(const char *model_dir, int batch, int device, lk_error *err) {
    lk_model *m = lk_alloc(1, sizeof *m, err);
    if (!m) return NULL;
    m->batch = batch;
    bool found = false, ok = lk_folder_open(model_dir, &m->record, false, &found, err);
    if (ok && !found)
        ok = lk_fail(err, LK_ERR_NOT_FOUND, "%s holds no model (there is no model.json): train one first", model_dir);
    if (ok && load(m, model_dir, device, err)) return m;
    lk_model_close(m);
    return NULL;
}

void lk_model_close(lk_model *m) {
    if (!m) return;
    lk_nn_free(m->exec);
    lk_record_free(&m->record);
    free(m);
}

json_t *lk_model_describe(const char *model_dir, lk_error *err) {
    lk_record record = {0};
    bool found;
    if (!lk_folder_open(model_dir, &record, false, &found, err)) return NULL;
    json_t *json = found ? lk_record_json(&record) : NULL;
    if (!found)
        lk_fail(err, LK_ERR_NOT_FOUND, "%s holds no model (there is no model.json): train one first", model_dir);
    else if (!json)
        lk_fail(err, LK_ERR_MEMORY, "out of memory");
    lk_record_free(&record);
    return json;
}

bool lk_model_progress(const char *model_dir, int64_t *iteration, double *seconds, lk_error *err) {
    lk_record record = {0};
    bool found;
    *iteration = 0;
    *seconds = 0;
    if (!lk_folder_open(model_dir, &record, false, &found, err)) return false;
    if (found) {
        *iteration = record.iteration;
        *seconds = record.seconds;
    }
    lk_record_free(&record);
    return true;
}

const lk_swap_config *lk_model_config(const lk_model *m) { return &m->record.config; }
int64_t lk_model_iteration(const lk_model *m) { return m->record.iteration; }
int lk_model_batch(const lk_model *m) { return m->batch; }

bool lk_model_predict(lk_model *m, const float *faces, int count, float *swap, float *mask, lk_error *err) {
    size_t r = (size_t)m->record.config.resolution, pixels = r * r, n = (size_t)count;
    if (count < 1 || count > m->batch)
        return lk_fail(err, LK_ERR_USAGE, "a prediction of %d faces was asked for, and 1 to %d are possible", count,
                       m->batch);
    float *in = lk_nn_data(m->exec, m->face);
    memcpy(in, faces, 3 * n * pixels * sizeof(float));
    memset(in + 3 * n * pixels, 0, 3 * ((size_t)m->batch - n) * pixels * sizeof(float));
    if (!lk_nn_run(m->exec, err)) return false;
    memcpy(swap, lk_nn_data(m->exec, m->swap), 3 * n * pixels * sizeof(float));
    if (m->mask >= 0) memcpy(mask, lk_nn_data(m->exec, m->mask), n * pixels * sizeof(float));
    for (size_t i = 0; m->mask < 0 && i < n * pixels; i++) mask[i] = 1;
    return true;
}
