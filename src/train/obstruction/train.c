/* Training of the obstruction network. */
#include "judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECENT      100  /* iterations whose mean loss is told */
#define JUDGE_EVERY 500  /* iterations */
#define NEWS_EVERY  0.25 /* seconds */

typedef struct trainer {
    const char *dir;
    int lock;
    bool found, begun;
    lk_obstruction_save save;
    lk_obstruction_faces faces;
    lk_nn_exec *exec;
    lk_judge judge;
    float losses[RECENT];
    int64_t first, saved, seen;
    double start, saved_at, told_at;
    lk_progress progress;
} trainer;

/* What was said holds; the rest is as the network was begun with. */
static bool settle_options(trainer *t, const lk_obstruction_options *o, const bool *given, lk_error *err) {
    lk_obstruction_options *own = &t->save.options;
    if (!t->found) {
        *own = *o;
    } else if (given) {
        const lk_obstruction_options old = *own;
        for (int i = 0; i < lk_options_count(lk_obstruction_option_table); i++) {
            if (!given[i]) continue;
            size_t at = lk_obstruction_option_table[i].offset;
            lk_option_type type = lk_obstruction_option_table[i].type;
            size_t size = type == LK_OPT_INT || type == LK_OPT_ENUM ? sizeof(int) : sizeof(double);
            memcpy((char *)own + at, (const char *)o + at, size);
        }
        if (own->size != old.size || own->width != old.width)
            return lk_fail(err, LK_ERR_USAGE,
                           "%s has size %d and width %d, which are fixed for its life; begin another", t->dir, old.size,
                           old.width);
    }
    if (own->size % 16) return lk_fail(err, LK_ERR_USAGE, "--size %d is no multiple of 16", own->size);
    return true;
}

/* ---- One iteration ---------------------------------------------------------------------------------------- */

typedef struct batch {
    const trainer *t;
    float *face, *target, *weight;
    lk_error *errors;
} batch;

static void make_sample(int i, void *user) {
    const batch *b = user;
    const lk_obstruction_options *o = &b->t->save.options;
    size_t pixels = (size_t)o->size * (size_t)o->size, n = (size_t)i;
    lk_obstruction_sample(&b->t->faces, o->size, o->occluders, o->seed, b->t->save.iteration * o->batch + i,
                          b->face + LK_OBSTRUCTION_CHANNELS * pixels * n, b->target + pixels * n,
                          b->weight + pixels * n, &b->errors[i]);
}

static float *tensor(const trainer *t, const char *name) { return lk_nn_data(t->exec, lk_nn_find(t->exec, name)); }

static bool step(trainer *t, lk_error *err) {
    const lk_obstruction_options *o = &t->save.options;
    batch b = {t, tensor(t, "face"), tensor(t, "target"), tensor(t, "weight"),
               lk_alloc((size_t)o->batch, sizeof(lk_error), err)};
    bool ok = b.errors != NULL;
    if (ok) lk_parallel_for(o->batch, make_sample, &b);
    for (int i = 0; ok && i < o->batch; i++)
        if (b.errors[i].code != LK_OK) {
            ok = false;
            if (err) *err = b.errors[i];
        }
    free(b.errors);
    double left = 1 - (double)t->save.iteration / (double)o->iterations;
    lk_nn_adam adam = {(float)(o->rate * fmax(left, 0.01)), 0.9f, 0.999f, 1e-7f};
    if (!ok || !lk_nn_step(t->exec, &adam, err)) return false;
    float loss = lk_nn_loss_value(t->exec, 0);
    if (!isfinite(loss))
        return lk_fail(
            err, LK_ERR_UNSUPPORTED,
            "training collapsed at iteration %lld: the loss is no number; lower --rate (the last save stands)",
            (long long)t->save.iteration);
    t->losses[t->seen++ % RECENT] = loss;
    t->save.iteration++;
    return true;
}

static float mean_loss(const trainer *t) {
    int n = t->seen < RECENT ? (int)t->seen : RECENT;
    float sum = 0;
    for (int i = 0; i < n; i++) sum += t->losses[i];
    return n ? sum / (float)n : 0;
}

/* ---- In between ------------------------------------------------------------------------------------------- */

static void tell(trainer *t) {
    const lk_obstruction_options *o = &t->save.options;
    double now = lk_now();
    if (now - t->told_at < NEWS_EVERY && t->save.iteration < o->iterations) return;
    t->told_at = now;
    lk_progress_update(&t->progress, (double)(t->save.iteration - t->first), "iteration %lld, loss %.5f, %.1f it/s",
                       (long long)t->save.iteration, (double)mean_loss(t),
                       (double)(t->save.iteration - t->first) / fmax(now - t->start, 1e-3));
}

static bool judge(trainer *t, lk_error *err) {
    lk_obstruction_quality *q = &t->save.quality;
    if (!lk_judge_quality(&t->judge, t->exec, q, err)) return false;
    if (q->faces > 0 && q->hidden > 0)
        lk_log(LK_LOG_INFO, "iteration %lld: on %d faces kept aside, IoU %.3f; of what hides %d of them %.3f",
               (long long)t->save.iteration, q->faces, q->visible, q->hidden, q->obstruction);
    else if (q->faces > 0)
        lk_log(LK_LOG_INFO, "iteration %lld: on %d faces kept aside, IoU %.3f", (long long)t->save.iteration, q->faces,
               q->visible);
    return true;
}

/* A preview that cannot be written ends no training. */
static void draw(trainer *t) {
    lk_error err = {0};
    char *path = lk_path_join(t->dir, "preview.png", &err);
    if (!path || !lk_judge_draw(&t->judge, t->exec, path, &err))
        lk_log(LK_LOG_WARN, "no preview this time: %s", err.message);
    free(path);
}

static bool save(trainer *t, lk_error *err) {
    if (t->saved == t->save.iteration) return true;
    t->save.steps = lk_nn_steps(t->exec);
    if (!judge(t, err) || !lk_obstruction_write(t->dir, &t->save, t->exec, err)) return false;
    t->begun = true;
    t->saved = t->save.iteration;
    t->saved_at = lk_now();
    draw(t);
    return true;
}

static bool loop(trainer *t, lk_error *err) {
    const lk_obstruction_options *o = &t->save.options;
    while (t->save.iteration < o->iterations && !lk_interrupted()) {
        if (!step(t, err)) return false;
        tell(t);
        if (lk_now() - t->saved_at >= o->save_every) {
            if (!save(t, err)) return false;
        } else if (t->save.iteration % JUDGE_EVERY == 0 && t->save.iteration < o->iterations && !judge(t, err)) {
            return false;
        }
    }
    return save(t, err);
}

/* ---- Beginning and end ------------------------------------------------------------------------------------ */

static bool open_all(trainer *t, const lk_strings *sets, const lk_obstruction_options *o, const bool *given,
                     lk_error *err) {
    if ((t->lock = lk_folder_lock(t->dir, err)) < 0) return false;
    lk_folder_clean(t->dir);
    if (!lk_obstruction_read(t->dir, &t->save, &t->found, err) || !settle_options(t, o, given, err)) return false;
    o = &t->save.options;
    if (!lk_obstruction_faces_open(&t->faces, sets, o->size, o->holdout, err)) return false;
    if (t->found && t->faces.type != t->save.type)
        return lk_fail(err, LK_ERR_USAGE, "%s learned from faces of type %s, and %s has type %s", t->dir,
                       lk_face_type_names[t->save.type], sets->items[0], lk_face_type_names[t->faces.type]);
    t->save.type = t->faces.type;
    lk_nn_graph *g = lk_obstruction_graph(o->size, o->width, o->batch, true, err);
    const lk_nn_options options = {
        .train = true, .seed = o->seed, .precision = LK_NN_AUTO, .device = lk_nn_device_for(o->device)};
    t->exec = g ? lk_nn_compile(g, &options, err) : NULL;
    lk_nn_graph_free(g);
    t->first = t->save.iteration;
    t->saved = t->found ? t->save.iteration : -1;
    return t->exec && lk_judge_open(&t->judge, &t->faces, o, options.device, err) &&
           (!t->found || lk_obstruction_load(t->dir, &t->save, t->exec, true, err));
}

static void close_all(trainer *t) {
    lk_judge_close(&t->judge);
    lk_nn_free(t->exec);
    lk_obstruction_faces_close(&t->faces);
    if (t->lock >= 0 && !t->found && !t->begun) { /* no folder is left of what never began */
        char *lock = lk_path_join(t->dir, ".lock", NULL);
        if (lock) unlink(lock);
        free(lock);
        rmdir(t->dir);
    }
    lk_folder_unlock(t->lock);
}

static bool run(trainer *t, lk_obstruction_report *report, lk_error *err) {
    const lk_obstruction_options *o = &t->save.options;
    lk_nn_memory m = lk_nn_memory_of(t->exec);
    lk_log(LK_LOG_INFO,
           "%s: %d faces to learn from, of which something hides %d, and %d kept aside; %.2f million parameters, %.0f "
           "MiB, %.1f GFLOP an iteration",
           t->dir, t->faces.count - t->faces.held, t->faces.occluders, t->faces.held, (double)m.parameters / 1e6,
           (double)m.total / 0x1p20, m.step_flops / 1e9);
    t->start = t->saved_at = lk_now();
    lk_progress_begin(&t->progress, "training the mask network", (double)(o->iterations - t->first));
    bool ok = loop(t, err);
    lk_progress_end(&t->progress);
    if (ok && report)
        *report = (lk_obstruction_report){.first = t->first,
                                          .iteration = t->save.iteration,
                                          .faces = t->faces.count - t->faces.held,
                                          .seconds = lk_now() - t->start,
                                          .loss = mean_loss(t),
                                          .quality = t->save.quality,
                                          .interrupted = t->save.iteration < o->iterations};
    return ok;
}

bool lk_obstruction_train(const char *dir, const lk_strings *sets, const lk_obstruction_options *o, const bool *given,
                          lk_obstruction_report *report, lk_error *err) {
    trainer *t = lk_alloc(1, sizeof *t, err);
    if (!t) return false;
    *t = (trainer){.dir = dir, .lock = -1};
    bool ok = open_all(t, sets, o, given, err) && run(t, report, err);
    close_all(t);
    free(t);
    return ok;
}
