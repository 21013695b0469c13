/* Training: one step after the other, and what happens in between. */
#include "internal.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECENT       100  /* iterations whose mean loss is told */
#define NEWS_EVERY   0.25 /* seconds */
#define MOST_RETURNS 3    /* to the last save, when training collapses */
#define MOST_JUDGED  50   /* faces of each side in an evaluation on the way */

typedef struct recent {
    float src[RECENT], dst[RECENT];
    int64_t count;
} recent;

typedef struct trainer {
    const lk_train_job *job;
    int lock;
    lk_beginning how;
    lk_record record, other; /* the other: whose weights it begins with */
    lk_pool src, dst;
    lk_sampler *sampler;
    lk_batch *ahead; /* the next one; NULL: not yet fetched */
    bool drawn;      /* and a GPU has drawn its samples */
    lk_network network;
    lk_preview *preview;
    lk_history history;
    lk_judge *judge; /* where evaluations are to come */
    lk_evaluations evaluations;

    int64_t first, saved_iteration;
    double start, saved_at, backup_at; /* of the clock */
    double earlier_seconds;            /* of training, before this run */
    lk_watch watch;
    lk_now_set watched; /* the settings under which it watches */
    int returns;        /* to the last save, in this run */
    recent losses;
    lk_progress progress;
    double told_at;
    int64_t told_iteration;
    double speed; /* iterations per second */
} trainer;

static volatile sig_atomic_t preview_wanted;
void lk_train_request_preview(void) { preview_wanted = 1; }

/* ---- News ------------------------------------------------------------------------------------------------ */

static double mean_of(const float *values, int64_t count) {
    int n = count < RECENT ? (int)count : RECENT;
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)values[i];
    return n ? sum / n : 0;
}

static void note_losses(recent *r, float src, float dst) {
    r->src[r->count % RECENT] = src;
    r->dst[r->count % RECENT] = dst;
    r->count++;
}

static void tell_plan(const trainer *t, const lk_now_set *now) {
    const lk_swap_config *c = &t->record.config;
    lk_nn_memory m = lk_nn_memory_of(t->network.exec);
    double mib = 0x1p20;
    lk_log(LK_LOG_INFO, "%s: %s, %d×%d %s faces, iteration %lld, batch %d", t->job->model_dir, lk_arch_names[c->arch],
           c->resolution, c->resolution, lk_face_type_names[c->face_type], (long long)t->record.iteration,
           now->options.batch);
    lk_log(LK_LOG_INFO, "src: %d faces, dst: %d faces, %.0f MiB of pictures in memory%s", t->src.count, t->dst.count,
           (double)(t->src.bytes + t->dst.bytes) / mib,
           t->src.decoded && t->dst.decoded ? "" : " (decoded at each use: they do not fit otherwise)");
    lk_log(
        LK_LOG_INFO,
        "network: %.1f million parameters; weights %.0f MiB, optimizer %.0f MiB, activations %.0f MiB, workspace %.0f "
        "MiB, together %.0f MiB (%zu bytes); %.1f GFLOP an iteration",
        (double)m.parameters / 1e6, (double)m.weights / mib, (double)m.optimizer / mib, (double)m.activations / mib,
        (double)m.workspace / mib, (double)m.total / mib, m.total, m.step_flops / 1e9);
    if (m.host)
        lk_log(LK_LOG_INFO, "Adam's states lie in the computer's memory, not in the GPU's: %.0f MiB",
               (double)m.host / mib);
    if (m.saved)
        lk_log(LK_LOG_INFO,
               "to fit into memory, activations are computed again: %.0f MiB less, %.1f %% more operations",
               (double)m.saved / mib, 100 * m.again_flops / (m.step_flops - m.again_flops));
}

/* How much of what this run is to do is done, 0–1; negative when it has no end. */
static double share_done(const trainer *t, const lk_train_options *o) {
    double share = -1, seconds = lk_now() - t->start;
    if (o->iterations > t->first) share = (double)(t->record.iteration - t->first) / (double)(o->iterations - t->first);
    if (o->time > 0) share = fmax(share, seconds / o->time);
    return fmin(share, 1);
}

static void tell_progress(trainer *t, const lk_train_options *o) {
    double now = lk_now(), passed = now - t->told_at;
    if (passed < NEWS_EVERY) return;
    double speed = (double)(t->record.iteration - t->told_iteration) / passed;
    t->speed = t->speed > 0 ? t->speed + (speed - t->speed) * fmin(1, passed / 5) : speed;
    t->told_at = now;
    t->told_iteration = t->record.iteration;
    double share = share_done(t, o), waited = lk_sampler_tell(t->sampler).waited / (now - t->start);
    lk_progress_update(&t->progress, share >= 0 ? share : (double)t->record.iteration,
                       "iteration %lld, loss src %.4f dst %.4f, %.2f it/s, %.1f %% waiting for samples",
                       (long long)t->record.iteration, mean_of(t->losses.src, t->losses.count),
                       mean_of(t->losses.dst, t->losses.count), t->speed, 100 * waited);
}

static void tell_end(const trainer *t, double seconds) {
    lk_sampler_news n = lk_sampler_tell(t->sampler);
    int64_t done = t->record.iteration - t->first;
    if (done == 0 || !(n.worked > 0) || !(seconds > 0)) return;
    lk_log(LK_LOG_INFO,
           "%lld iterations in %.1f s (%.2f it/s); %.1f %% of it waiting for samples, which %d threads make at up to "
           "%.0f a second, in %.1f %% of the time",
           (long long)done, seconds, (double)done / seconds, 100 * n.waited / seconds, n.threads,
           (double)n.samples / n.worked * n.threads, 100 * n.worked / (seconds * n.threads));
}

/* ---- In between ------------------------------------------------------------------------------------------ */

/* The average of the weights for the latest, and back. */
static bool exchange(trainer *t, lk_error *err) {
    return lk_average_exchange(&t->network.average, t->network.exec, err);
}

/* Into preview/NAME. A preview that cannot be written ends no training. */
static void draw_preview(trainer *t, const char *name) {
    lk_error err = {0};
    char *path = lk_format(&err, "%s/preview/%s", t->job->model_dir, name), *slash = path ? strrchr(path, '/') : NULL;
    bool ok = path != NULL;
    if (ok) {
        *slash = 0;
        ok = lk_make_dirs(path, &err);
        *slash = '/';
    }
    lk_now_set now;
    if (ok && !t->preview && lk_settings_at(&t->record.settings, t->record.iteration, &now, &err))
        t->preview = lk_preview_new(&t->record.config, &t->src, &t->dst, now.options.color_transfer, &err);
    if (ok && t->preview && exchange(t, &err)) {
        ok = lk_preview_draw(t->preview, &t->network, path, &err);
        ok = exchange(t, &err) && ok;
    } else {
        ok = false;
    }
    if (!ok) lk_log(LK_LOG_WARN, "no preview this time: %s", err.message);
    free(path);
}

static void draw_newest(trainer *t) {
    preview_wanted = 0;
    draw_preview(t, "preview.png");
}

static void keep_preview(trainer *t) {
    char name[64];
    snprintf(name, sizeof name, "history/%09lld.png", (long long)t->record.iteration);
    draw_preview(t, name);
}

static double seconds_of_life(const trainer *t) { return t->earlier_seconds + lk_now() - t->start; }

static void tell_evaluation(const lk_evaluation *e) {
    lk_log(LK_LOG_INFO,
           "iteration %lld, unseen faces: SSIM of src %.3f, of dst %.3f; the swap is %.2f like src (src itself %.2f), "
           "%.2f "
           "like dst; landmarks off by %.1f %%",
           (long long)e->iteration, e->reconstruction[0].ssim, e->reconstruction[1].ssim, e->swap_src, e->src_src,
           e->swap_dst, e->landmarks);
}

/* Into evaluation.csv and its plot. An evaluation that fails ends no training. */
static void evaluate(trainer *t) {
    lk_error err = {0};
    lk_evaluation figures;
    char *png = lk_path_join(t->job->model_dir, "evaluation.png", &err);
    bool ok = png && exchange(t, &err);
    if (ok) {
        ok = lk_judge_network(t->judge, &t->network, t->record.iteration, &figures, &err);
        ok = exchange(t, &err) && ok;
    }
    if (ok) tell_evaluation(&figures);
    ok = ok && lk_evaluations_add(&t->evaluations, &figures, seconds_of_life(t), &err) &&
         lk_evaluations_plot(&t->evaluations, png, 1200, 720, &err);
    if (!ok && err.code != LK_ERR_INTERRUPTED) lk_log(LK_LOG_WARN, "no evaluation this time: %s", err.message);
    free(png);
}

/* Of several processes one writes. */
static bool writes(const trainer *t) { return lk_nn_peers_rank(t->job->peers) == 0; }

static bool save(trainer *t, lk_error *err) {
    if (t->saved_iteration == t->record.iteration) return true;
    if (!writes(t)) {
        t->saved_iteration = t->record.iteration;
        return true;
    }
    t->record.seconds = seconds_of_life(t);
    t->record.optimizer_steps = lk_nn_steps(t->network.exec);
    if (!lk_history_sync(&t->history, err) || !lk_folder_save(t->job->model_dir, &t->record, &t->network, err))
        return false;
    t->saved_iteration = t->record.iteration;
    return true;
}

static bool is_multiple(int64_t iteration, int64_t every) { return every > 0 && iteration % every == 0; }

static bool backup_is_due(const trainer *t, const lk_train_options *o) {
    return is_multiple(t->record.iteration, o->backup_every_iterations) ||
           (o->backup_every > 0 && lk_now() - t->backup_at >= o->backup_every);
}

static bool save_is_due(const trainer *t, const lk_train_options *o) {
    return (o->save_every > 0 && lk_now() - t->saved_at >= o->save_every) ||
           is_multiple(t->record.iteration, o->save_every_iterations);
}

/* A save that fails ends no training: the one before stands, and the disk may have room again at the next. */
static void save_on_the_way(trainer *t, bool backup) {
    lk_error err = {0};
    bool ok = save(t, &err);
    if (!ok)
        lk_log(LK_LOG_WARN, "iteration %lld could not be saved, the save before it stands: %s",
               (long long)t->record.iteration, err.message);
    t->saved_at = lk_now();
    draw_newest(t);
    if (!backup) return;
    t->backup_at = lk_now();
    if (ok && !lk_backup_make(t->job->model_dir, &t->record, &err)) lk_log(LK_LOG_WARN, "%s", err.message);
}

/* While the loss leaps nothing is saved: it may not come back, and the last save is what training returns to. */
static void between_steps(trainer *t, const lk_train_options *o) {
    bool backup = backup_is_due(t, o);
    if (t->judge && is_multiple(t->record.iteration, o->evaluate_every)) evaluate(t);
    if (t->watch.leapt == 0 && (backup || save_is_due(t, o)))
        save_on_the_way(t, backup);
    else if (preview_wanted)
        draw_newest(t);
    if (is_multiple(t->record.iteration, o->preview_every)) keep_preview(t);
}

/* Clocks and interrupts differ: what rank 0 says holds for all. */
static bool together(trainer *t, bool *stop, lk_error *err) {
    int64_t told[2] = {*stop, t->saved_iteration};
    if (!lk_nn_peers_broadcast(t->job->peers, told, sizeof told, err)) return false;
    *stop = told[0] != 0;
    t->saved_iteration = told[1];
    return true;
}

/* Every batch of the schedule must divide among the processes. */
static bool divides(const trainer *t, int batch, lk_error *err) {
    int count = lk_nn_peers_count(t->job->peers);
    return batch % count == 0 ||
           lk_fail(err, LK_ERR_USAGE, "a batch of %d does not divide among %d processes: choose a multiple of %d",
                   batch, count, count);
}

static bool finished(const trainer *t, const lk_train_options *o) {
    return lk_interrupted() || (o->iterations > 0 && t->record.iteration >= o->iterations) ||
           (o->time > 0 && lk_now() - t->start >= o->time);
}

/* ---- One step -------------------------------------------------------------------------------------------- */

static bool fill_inputs(lk_nn_exec *e, const lk_batch *b, int resolution, lk_error *err) {
    lk_nn_canvas at = {lk_nn_find(e, "warped"), lk_nn_find(e, "target"), lk_nn_find(e, "mask"),
                       lk_nn_find(e, "features")};
    if (b->samples) return lk_nn_draw(e, &at, b->samples, b->bytes, b->size, err);
    size_t numbers = 2 * (size_t)b->count * (size_t)resolution * (size_t)resolution;
    memcpy(lk_nn_data(e, at.warped), b->warped, 3 * numbers * sizeof(float));
    memcpy(lk_nn_data(e, at.target), b->target, 3 * numbers * sizeof(float));
    memcpy(lk_nn_data(e, at.mask), b->mask, numbers * sizeof(float));
    if (at.features >= 0) memcpy(lk_nn_data(e, at.features), b->features, numbers * sizeof(float));
    return true;
}

/* Another batch or loss needs another graph; a save comes first, in case there is no memory for it. */
static bool fit_network(trainer *t, const lk_now_set *now, lk_error *err) {
    if (lk_network_fits(&t->network, &t->record.config, now, t->record.iteration)) return true;
    if (!save(t, err)) return false;
    return lk_network_fit(&t->network, &t->record.config, now, t->record.iteration, false, err);
}

/* While a GPU is at work it is given the samples of the next step. */
static bool look_ahead(trainer *t, lk_error *err) {
    const lk_swap_config *c = &t->record.config;
    lk_nn_exec *e = t->network.exec;
    if (!lk_nn_draws(e)) return true;
    t->ahead = lk_sampler_next(t->sampler, err);
    if (!t->ahead) return false;
    t->drawn = lk_network_fits(&t->network, c, &t->ahead->now, t->ahead->iteration);
    return !t->drawn || fill_inputs(e, t->ahead, c->resolution, err);
}

/* The loss may change for a reason when settings do: the watch begins again then. */
static bool still_learns(trainer *t, const lk_now_set *now, float src, float dst) {
    if (memcmp(&t->watched, now, sizeof *now) != 0) t->watch = (lk_watch){0};
    memcpy(&t->watched, now, sizeof *now);
    return lk_watch_losses(&t->watch, (double)src, (double)dst);
}

/* What is left of the rate as the run's time ends. A large rate learns fast and keeps trembling around what it has learned. */
static double settling(const trainer *t, const lk_train_options *o) {
    if (!(o->time > 0) || !(o->settle > 0)) return 1;
    double left = t->start + o->time - lk_now();
    return fmax(0.05, fmin(1, left / o->settle));
}

/* What is drawn and saved is the writer's. No memory for it ends no training: it may come at the next occasion. */
static void average(trainer *t, const lk_train_options *o) {
    lk_error err = {0};
    if (!writes(t) || !o->average)
        lk_average_drop(&t->network.average);
    else if (!lk_average_note(&t->network.average, t->network.exec, t->record.iteration, &err))
        lk_log(LK_LOG_WARN, "iteration %lld does not count in the average of the weights: %s",
               (long long)t->record.iteration, err.message);
}

/* *well: the loss says that training has not collapsed. */
static bool learn(trainer *t, const lk_batch *b, bool drawn, bool *well, lk_error *err) {
    const lk_swap_config *c = &t->record.config;
    lk_nn_adam adam = lk_swap_optimizer(c);
    float src, dst;
    if (b->now.options.momentum > 0) adam.beta1 = (float)b->now.options.momentum;
    adam.rate *= (float)(b->now.options.rate / 100 * settling(t, &b->now.options));
    if (t->network.average.shown && !exchange(t, err)) return false; /* there was no memory to put it back */
    if (!divides(t, b->now.options.batch, err) || !fit_network(t, &b->now, err)) return false;
    if (!(drawn && lk_nn_drawn(t->network.exec)) && !fill_inputs(t->network.exec, b, c->resolution, err)) return false;
    if (!lk_swap_set_weights(t->network.exec, c, &b->now.objective, b->iteration))
        return lk_fail(err, LK_ERR_UNSUPPORTED, "the losses of this model have no such weights");
    if (!lk_nn_step(t->network.exec, &adam, err) || !look_ahead(t, err)) return false;
    lk_swap_losses(t->network.exec, &src, &dst);
    *well = still_learns(t, &b->now, src, dst);
    if (!*well) return true;
    t->record.iteration++;
    t->record.position += b->now.options.batch;
    note_losses(&t->losses, src, dst);
    average(t, &b->now.options);
    return !writes(t) || lk_history_add(&t->history, t->record.iteration, seconds_of_life(t), (double)src, (double)dst,
                                        b->now.options.batch, err);
}

static bool step(trainer *t, lk_now_set *now, bool *well, lk_error *err) {
    lk_batch *b = t->ahead ? t->ahead : lk_sampler_next(t->sampler, err);
    bool drawn = t->ahead && t->drawn;
    t->ahead = NULL;
    if (!b) return false;
    bool ok = learn(t, b, drawn, well, err);
    memcpy(now, &b->now, sizeof *now);
    lk_sampler_give_back(t->sampler, b);
    return ok;
}

static bool start_sampler(trainer *t, lk_error *err) {
    const lk_record *r = &t->record;
    lk_sampler_stop(t->sampler);
    t->ahead = NULL;
    lk_sampler_job job = {.src = &t->src,
                          .dst = &t->dst,
                          .settings = &r->settings,
                          .resolution = r->config.resolution,
                          .iteration = r->iteration,
                          .position = r->position,
                          .turn = r->turn,
                          .threads = lk_sampler_threads(),
                          .peers = t->job->peers,
                          .described = lk_nn_draws(t->network.exec)};
    t->sampler = lk_sampler_start(&job, err);
    return t->sampler != NULL;
}

/* The model's life so far ends at the iteration that training goes on from. */
static bool open_history(trainer *t, lk_error *err) {
    if (!writes(t)) return true;
    return lk_history_open(&t->history, t->job->model_dir, t->record.iteration, err) &&
           lk_evaluations_cut(&t->evaluations, t->record.iteration, err);
}

/* Training collapsed: back to the last save, and on from there with other random draws. */
static bool go_back(trainer *t, lk_error *err) {
    int64_t collapsed = t->record.iteration;
    if (t->saved_iteration < 0 || ++t->returns > MOST_RETURNS)
        return lk_fail(
            err, LK_ERR_UNSUPPORTED,
            "training collapsed at iteration %lld: the loss is no number, or leapt and stayed there; %s; lower "
            "--rate or a style power, or restore an earlier backup",
            (long long)collapsed,
            t->saved_iteration < 0 ? "nothing was saved yet"
                                   : "other random draws did not help, and the last good save stands");
    lk_record saved;
    bool found;
    uint64_t turn = t->record.turn + 1;
    if (!lk_folder_open(t->job->model_dir, &saved, true, &found, err)) return false;
    if (!found) return lk_fail(err, LK_ERR_NOT_FOUND, "%s is empty now", t->job->model_dir);
    t->record.iteration = saved.iteration;
    t->record.position = saved.position;
    t->record.turn = turn;
    lk_log(LK_LOG_WARN,
           "training collapsed at iteration %lld: the loss is no number, or leapt and stayed there; going on from the "
           "last "
           "good save, iteration %lld",
           (long long)collapsed, (long long)saved.iteration);
    lk_history_close(&t->history);
    bool ok =
        lk_network_load(&t->network, t->job->model_dir, &saved, err) && open_history(t, err) && start_sampler(t, err);
    t->watch = (lk_watch){0};
    t->saved_iteration = t->told_iteration = saved.iteration;
    lk_record_free(&saved);
    return ok;
}

static bool loop(trainer *t, lk_now_set *now, lk_error *err) {
    for (;;) {
        bool well = true, stop = finished(t, &now->options);
        if (!together(t, &stop, err)) return false;
        if (stop) break;
        if (!step(t, now, &well, err)) return false;
        if (!well && !go_back(t, err)) return false;
        if (!writes(t)) continue;
        tell_progress(t, &now->options);
        if (well) between_steps(t, &now->options);
    }
    return save(t, err);
}

/* ---- Beginning and end ----------------------------------------------------------------------------------- */

/* The model to begin with, before anything large is made. */
static bool open_another(trainer *t, lk_error *err) {
    bool found;
    const char *dir = t->job->init_from;
    if (!lk_folder_open(dir, &t->other, false, &found, err)) return false;
    return found || lk_fail(err, LK_ERR_NOT_FOUND, "%s holds no model to begin with: there is no model.json", dir);
}

static bool from_another(trainer *t, lk_error *err) {
    const char *dir = t->job->init_from;
    if (!lk_network_take(&t->network, dir, &t->other, err)) return false;
    lk_log(LK_LOG_INFO, "%s begins with the weights of %s, iteration %lld%s", t->job->model_dir, dir,
           (long long)t->other.iteration, t->other.pretraining ? " (pretrained: what belongs to a side is fresh)" : "");
    return true;
}

static bool from_pretraining(trainer *t, lk_error *err) {
    lk_record *r = &t->record;
    r->pretraining = true; /* of the save that is read */
    bool ok = lk_network_take(&t->network, t->job->model_dir, r, err) &&
              lk_record_add_change(r, "pretraining", "yes", "no", err);
    lk_log(LK_LOG_INFO, "%s was pretrained for %lld iterations; what belongs to a side is fresh, and it begins at 0",
           t->job->model_dir, (long long)r->iteration);
    r->pretraining = false;
    r->iteration = r->position = 0;
    r->seconds = 0;
    return ok;
}

static bool first_weights(trainer *t, lk_error *err) {
    switch (t->how) {
    case LK_GOES_ON:
        return lk_network_load(&t->network, t->job->model_dir, &t->record, err);
    case LK_FROM_ANOTHER:
        return from_another(t, err);
    case LK_FROM_PRETRAINING:
        return from_pretraining(t, err);
    case LK_FRESH:
        break;
    }
    return true;
}

/* Rank 0 first: it may have to put the folder in order. */
static bool in_turn(trainer *t, bool before, lk_error *err) {
    char sign = 1;
    return writes(t) == before || lk_nn_peers_broadcast(t->job->peers, &sign, sizeof sign, err);
}

/* Whoever wants evaluations is told at once when there can be none. */
static bool open_judge(trainer *t, const lk_now_set *now, lk_error *err) {
    const lk_record *r = &t->record;
    if (!writes(t) || !lk_evaluations_read(&t->evaluations, t->job->model_dir, err)) return !writes(t);
    if (!(lk_settings_largest(&r->settings, "evaluate-every", r->iteration) > 0)) return true;
    if (!(now->options.holdout > 0))
        return lk_fail(err, LK_ERR_USAGE,
                       "--evaluate-every needs faces that training does not show: say --holdout 5 as well");
    t->judge = lk_judge_new(&r->config, &now->options, &r->src, &r->dst, MOST_JUDGED, err);
    return t->judge != NULL;
}

/* Bytes of decoded pictures, a side. */
static size_t for_faces(const trainer *t, const lk_now_set *now) {
    const lk_record *r = &t->record;
    size_t most = lk_train_free_memory() / 4;
    if (!now->options.memory || lk_nn_device_for(now->options.device) != LK_NN_CPU) return most;
    int batch = (int)lk_settings_largest(&r->settings, "batch", r->iteration) / lk_nn_peers_count(t->job->peers);
    size_t left = lk_left_for_faces(&r->config, now, batch > 0 ? batch : 1);
    return left < most ? left : most;
}

static bool open_all(trainer *t, lk_now_set *now, lk_error *err) {
    const char *dir = t->job->model_dir;
    lk_record *r = &t->record;
    if (writes(t) && (t->lock = lk_folder_lock(dir, err)) < 0) return false;
    if (writes(t)) lk_folder_clean(dir);
    if (!in_turn(t, true, err) || !lk_start_record(t->job, r, &t->how, err) || !in_turn(t, false, err) ||
        !lk_settings_at(&r->settings, r->iteration, now, err) || (t->how == LK_FROM_ANOTHER && !open_another(t, err)))
        return false;
    size_t budget = for_faces(t, now);
    if (!lk_pool_open(&t->src, "src", &r->src, &r->config, now->options.holdout, budget, err) ||
        !lk_pool_open(&t->dst, "dst", &r->dst, &r->config, now->options.holdout, budget, err))
        return false;
    if (!open_judge(t, now, err)) return false;
    t->network.peers = t->job->peers;
    t->network.faces = t->src.bytes + t->dst.bytes;
    if (!divides(t, now->options.batch, err) ||
        !lk_network_fit(&t->network, &r->config, now, r->iteration, t->how != LK_GOES_ON, err) ||
        !first_weights(t, err) || !start_sampler(t, err) || !open_history(t, err))
        return false;
    t->first = r->iteration;
    t->saved_iteration = t->how == LK_GOES_ON ? r->iteration : -1;
    t->earlier_seconds = r->seconds;
    return true;
}

/* A folder that was made for a model that could not begin is not left behind. */
static void close_all(trainer *t, bool begun) {
    lk_sampler_stop(t->sampler);
    lk_preview_free(t->preview);
    lk_judge_free(t->judge);
    lk_evaluations_close(&t->evaluations);
    lk_network_free(&t->network);
    lk_pool_close(&t->src);
    lk_pool_close(&t->dst);
    if (t->history.path) lk_history_close(&t->history);
    lk_record_free(&t->record);
    lk_record_free(&t->other);
    if (t->lock >= 0 && !begun && t->how != LK_GOES_ON) {
        char *lock = lk_path_join(t->job->model_dir, ".lock", NULL);
        if (lock) unlink(lock);
        free(lock);
        rmdir(t->job->model_dir);
    }
    lk_folder_unlock(t->lock);
}

static bool run(trainer *t, lk_now_set *now, lk_train_report *report, lk_error *err) {
    tell_plan(t, now);
    if (writes(t)) draw_newest(t);
    t->start = t->saved_at = t->backup_at = t->told_at = lk_now();
    t->told_iteration = t->first;
    char *what = lk_format(err, "training %s", t->job->model_dir);
    if (!what) return false;
    lk_progress_begin(&t->progress, what, share_done(t, &now->options) >= 0 ? 1 : 0);
    bool ok = loop(t, now, err);
    double seconds = lk_now() - t->start;
    lk_progress_end(&t->progress);
    free(what);
    if (ok && writes(t)) draw_newest(t);
    tell_end(t, seconds);
    if (report)
        *report = (lk_train_report){
            .first = t->first,
            .iteration = t->record.iteration,
            .seconds = seconds,
            .src_loss = (float)mean_of(t->losses.src, t->losses.count),
            .dst_loss = (float)mean_of(t->losses.dst, t->losses.count),
            .interrupted = lk_interrupted(),
        };
    return ok;
}

bool lk_train(const lk_train_job *job, lk_train_report *report, lk_error *err) {
    trainer *t = lk_alloc(1, sizeof *t, err);
    if (!t) return false;
    *t = (trainer){.job = job, .lock = -1, .history.fd = -1};
    lk_now_set now;
    bool begun = open_all(t, &now, err), ok = begun && run(t, &now, report, err);
    close_all(t, begun);
    free(t);
    return ok;
}
