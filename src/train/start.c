/* What the user said, and what the model's folder says, brought together. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

static bool take_paths(lk_strings *to, const lk_strings *given, lk_error *err) {
    if (given->count == 0) return true;
    lk_strings_free(to);
    for (int i = 0; i < given->count; i++) {
        char *absolute = realpath(given->items[i], NULL);
        bool ok = lk_strings_add(to, absolute ? absolute : given->items[i], err);
        free(absolute);
        if (!ok) return false;
    }
    return true;
}

/* A model keeps its architecture for life: what was said about it must be so already. */
static bool check_architecture(const lk_train_job *job, const lk_record *r, lk_error *err) {
    static const lk_swap_config untold = {.face_type = LK_SWAP_FACE_AUTO};
    for (int i = 0; job->config_given && lk_swap_options[i].name; i++) {
        char said[48], own[48], none[48];
        if (!job->config_given[i]) continue;
        if (!lk_option_text(lk_swap_options, &job->config, i, said, sizeof said, err) ||
            !lk_option_text(lk_swap_options, &r->config, i, own, sizeof own, err) ||
            !lk_option_text(lk_swap_options, &untold, i, none, sizeof none, err))
            return false;
        bool own_choice = strcmp(said, none) == 0 && (strcmp(said, "0") == 0 || strcmp(said, "auto") == 0);
        if (strcmp(said, own) != 0 && !own_choice)
            return lk_fail(
                err, LK_ERR_USAGE,
                "%s holds a model with --%s %s, and that cannot change to %s: leave the option out, or train "
                "in another folder",
                job->model_dir, lk_swap_options[i].name, own, said);
    }
    return true;
}

static bool set_given(lk_settings *s, const lk_option *table, const void *values, const bool *given, lk_error *err) {
    for (int i = 0; given && table[i].name; i++) {
        char text[48];
        if (given[i] && (!lk_option_text(table, values, i, text, sizeof text, err) ||
                         !lk_settings_set(s, table[i].name, text, err)))
            return false;
    }
    return true;
}

static bool set_listed(lk_settings *s, const lk_strings *list, lk_error *err) {
    for (int i = 0; i < list->count; i++) {
        const char *item = list->items[i], *equals = strchr(item, '=');
        char name[64];
        if (!equals || equals == item || equals - item >= (long)sizeof name)
            return lk_fail(err, LK_ERR_USAGE, "--set takes NAME=VALUE, not '%.80s'", item);
        snprintf(name, sizeof name, "%.*s", (int)(equals - item), item);
        if (!lk_settings_set(s, name, equals + 1, err)) return false;
    }
    return true;
}

typedef struct recipe_user {
    const lk_train_job *job;
    lk_record *record;
    bool begins;
} recipe_user;

/* What a recipe says of the model itself counts when the model is made, and where the user said nothing. */
static bool set_one(void *user, const char *name, const char *text, lk_error *err) {
    const recipe_user *u = user;
    for (int i = 0; lk_swap_options[i].name; i++)
        if (strcmp(lk_swap_options[i].name, name) == 0)
            return !u->begins || (u->job->config_given && u->job->config_given[i]) ||
                   lk_options_set(lk_swap_options, &u->record->config, name, text, err);
    return lk_settings_set(&u->record->settings, name, text, err);
}

/* The recipe, then what was said over it. */
static bool set_all(const lk_train_job *job, lk_record *r, bool begins, lk_error *err) {
    recipe_user user = {job, r, begins};
    const char *recipe = job->recipe || !begins ? job->recipe : lk_recipe_of(&r->config);
    lk_settings *s = &r->settings;
    return (!recipe || lk_recipe_apply(recipe, set_one, &user, err)) &&
           set_given(s, lk_swap_objective_options, &job->objective, job->objective_given, err) &&
           set_given(s, lk_train_option_table, &job->options, job->options_given, err) && set_listed(s, &job->set, err);
}

static bool begin(const lk_train_job *job, lk_record *r, lk_error *err) {
    *r = (lk_record){.config = job->config};
    return lk_settings_start(&r->settings, &job->objective, &job->options, err) && set_all(job, r, true, err) &&
           lk_swap_complete(&r->config, err);
}

/* What is different now goes down in the model's history. */
static bool go_on(const lk_train_job *job, lk_record *r, lk_error *err) {
    lk_settings old = r->settings;
    if (!check_architecture(job, r, err) || !set_all(job, r, false, err)) return false;
    for (int i = 0; i < old.count; i++) {
        char before[LK_SETTING_TEXT], after[LK_SETTING_TEXT];
        const char *name = old.items[i].option->name;
        lk_setting_text(&old.items[i], before);
        lk_setting_text(&r->settings.items[i], after);
        if (!lk_setting_kept(&old.items[i]) || strcmp(before, after) == 0) continue;
        lk_log(LK_LOG_INFO, "%s: from %s to %s at iteration %lld", name, before, after, (long long)r->iteration);
        if (!lk_record_add_change(r, name, before, after, err)) return false;
    }
    return true;
}

/* At every iteration where something changes the loss must be one that the model knows. */
static bool check_objective(const lk_record *r, lk_error *err) {
    for (int i = 0; i < r->settings.count; i++)
        for (int k = 0; k < r->settings.items[i].count; k++) {
            lk_now_set now;
            if (!lk_settings_at(&r->settings, r->settings.items[i].steps[k].from, &now, err) ||
                !lk_swap_objective_check(&r->config, &now.objective, err))
                return false;
        }
    return true;
}

/* Pretraining shows the same faces on both sides; what comes after it begins again at 0 with what was learned. */
static bool take_faces(const lk_train_job *job, lk_record *r, bool found, bool *leave, lk_error *err) {
    bool pretrain = job->pretrain.count > 0;
    *leave = found && r->pretraining && !pretrain;
    if (pretrain && found && !r->pretraining && r->iteration > 0)
        return lk_fail(err, LK_ERR_USAGE,
                       "%s has learned its two faces already, and pretraining comes before that: take another folder",
                       job->model_dir);
    if (*leave) {
        lk_strings_free(&r->src);
        lk_strings_free(&r->dst);
    }
    r->pretraining = pretrain;
    return take_paths(&r->src, pretrain ? &job->pretrain : &job->src, err) &&
           take_paths(&r->dst, pretrain ? &job->pretrain : &job->dst, err);
}

bool lk_start_record(const lk_train_job *job, lk_record *r, lk_beginning *how, lk_error *err) {
    bool found, leave = false;
    if (!lk_folder_open(job->model_dir, r, true, &found, err)) return false;
    bool ok = (found ? go_on(job, r, err) : begin(job, r, err)) && check_objective(r, err) &&
              take_faces(job, r, found, &leave, err);
    *how = leave ? LK_FROM_PRETRAINING : found ? LK_GOES_ON : job->init_from ? LK_FROM_ANOTHER : LK_FRESH;
    if (found && job->init_from)
        lk_log(LK_LOG_INFO, "%s goes on from its own save; %s is for new models", job->model_dir, job->init_from);
    if (!ok) lk_record_free(r);
    return ok;
}
