#include "extract.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One call of lk_extract. */
typedef struct job {
    const lk_extract_options *options;
    const char *output;
    lk_faceset *set;    /* NULL until there is something to put into a new one */
    lk_face_nets *nets; /* opened when first needed */
    int device;         /* lk_nn_device, of all networks */
    bool created;       /* by this call */
    bool filled;        /* an input came to its end in it */
    lk_extract_report report;
} job;

static bool check_options(const lk_extract_options *o, lk_error *err) {
    if (o->size < 16 || o->size > 2048)
        return lk_fail(err, LK_ERR_USAGE, "a crop has a side of 16 to 2048 pixels, not %d (--size)", o->size);
    if (o->quality < 1 || o->quality > 100)
        return lk_fail(err, LK_ERR_USAGE, "JPEG quality goes from 1 to 100, not %d (--quality)", o->quality);
    if ((int)o->type < LK_FACE_HALF || o->type > LK_FACE_HEAD)
        return lk_fail(err, LK_ERR_USAGE, "the face type is half, full or head (--face-type)");
    if (o->first < 0 || o->max < 0)
        return lk_fail(err, LK_ERR_USAGE, "the first frame and the number of frames cannot be so large");
    if (o->smooth < 0 || o->smooth > 25)
        return lk_fail(err, LK_ERR_USAGE, "landmarks are smoothed over 0 to 25 frames, not %g (--smooth)", o->smooth);
    return true;
}

/* Told before hours of work, not after. */
static bool check_folder(const char *output, lk_error *err) {
    const char *base = lk_path_base(output);
    if (!*base) return lk_fail(err, LK_ERR_USAGE, "%s is not the name of a .faces file", output);
    char *folder = base == output ? lk_strdup(".", err) : lk_strdup(output, err);
    if (!folder) return false;
    if (base != output) folder[base - output] = 0;
    bool ok = access(folder, W_OK | X_OK) == 0 || lk_fail_errno(err, "%s cannot be created in %s", base, folder);
    free(folder);
    return ok;
}

static bool prepare_output(job *j, lk_error *err) {
    if (!lk_file_exists(j->output)) return check_folder(j->output, err);
    j->set = lk_faceset_open(j->output, true, err);
    return j->set != NULL;
}

static bool need_set(job *j, lk_error *err) {
    if (j->set) return true;
    j->set = lk_faceset_create(j->output, err);
    j->created = j->set != NULL;
    return j->created;
}

static bool need_nets(job *j, lk_error *err) {
    if (!j->nets) j->nets = lk_face_nets_open(j->device, err);
    return j->nets != NULL;
}

/* What the set knows of this source: *old is its row (0: none). */
static bool look_up(job *j, const char fingerprint[65], int64_t *old, bool *complete, lk_error *err) {
    *old = 0;
    *complete = false;
    if (!j->set) return true;
    lk_source *sources;
    int count = lk_faceset_sources(j->set, &sources, err);
    for (int i = 0; i < count; i++) {
        if (strcmp(sources[i].fingerprint, fingerprint) != 0) continue;
        *old = sources[i].id;
        *complete = sources[i].complete;
    }
    free(sources);
    return count >= 0;
}

static bool no_face(const char *input, const lk_finds *finds, const lk_extract_options *o, lk_error *err) {
    const char *advice = o->detect.rotations
                             ? o->detect.tiles ? "is there a face in it?" : "try --tiles or --min-face 20"
                             : "try --min-face 20 or --rotations";
    if (finds->frames == 0)
        return lk_fail(err, LK_ERR_NOT_FOUND, "%s: there is no frame from %lld on", input, (long long)o->first);
    return lk_fail(err, LK_ERR_NOT_FOUND, "%s: no face was found in %lld frame%s; %s", input, (long long)finds->frames,
                   finds->frames == 1 ? "" : "s", advice);
}

static bool describe_source(const char *input, const char fingerprint[65], const lk_finds *finds, lk_source *source,
                            lk_error *err) {
    *source = (lk_source){.width = finds->width, .height = finds->height, .frames = finds->frames, .fps = finds->fps};
    memcpy(source->fingerprint, fingerprint, sizeof source->fingerprint);
    char *full = realpath(input, NULL);
    const char *path = full ? full : input;
    bool ok = strlen(path) < sizeof source->path;
    if (ok)
        memcpy(source->path, path, strlen(path) + 1);
    else
        lk_fail(err, LK_ERR_UNSUPPORTED, "%s: the path is longer than %zu bytes", input, sizeof source->path - 1);
    free(full);
    return ok;
}

/* A source that was interrupted goes, and its successor comes, in one transaction. */
static bool start_source(job *j, int64_t old, lk_source *source, lk_error *err) {
    if (!lk_faceset_begin(j->set, err)) return false;
    if ((!old || lk_faceset_clear_source(j->set, old, err)) && lk_faceset_add_source(j->set, source, err))
        return lk_faceset_commit(j->set, err);
    lk_faceset_rollback(j->set);
    return false;
}

/* An input that is not in the set yet, or not to its end. */
typedef struct task {
    const char *input;
    char fingerprint[65];
    int64_t old; /* its row in the set; 0: none */
} task;

static bool store_found(job *j, const task *t, lk_finds *finds, lk_error *err) {
    if (finds->count == 0) return no_face(t->input, finds, j->options, err);
    lk_source source;
    if (!lk_smooth_finds(finds, j->options, err) || !describe_source(t->input, t->fingerprint, finds, &source, err) ||
        !need_set(j, err) || !start_source(j, t->old, &source, err) ||
        !lk_cut_faces(j->nets, j->set, &source, finds, t->input, j->options, err))
        return false;
    j->filled = true;
    j->report.frames += finds->frames;
    j->report.faces += finds->count;
    j->report.without_face += finds->without_face;
    j->report.several += finds->several;
    return true;
}

/* What is to be done, in the order of the inputs; one that comes twice is done once. */
static bool make_task(job *j, const char *input, task *tasks, int *count, lk_error *err) {
    task *t = &tasks[*count];
    bool known;
    *t = (task){.input = input};
    if (!lk_source_fingerprint(input, t->fingerprint, err) || !look_up(j, t->fingerprint, &t->old, &known, err))
        return false;
    for (int i = 0; i < *count; i++) known |= strcmp(tasks[i].fingerprint, t->fingerprint) == 0;
    if (known)
        lk_log(LK_LOG_INFO, "%s is in %s already", input, j->output);
    else
        ++*count;
    return true;
}

/* Finding takes one processor or two; so several inputs are looked through at once, and stored in their order. */
static bool run_tasks(job *j, const task *tasks, int count, lk_error *err) {
    const char **inputs = lk_alloc((size_t)count + 1, sizeof *inputs, err);
    for (int i = 0; inputs && i < count; i++) inputs[i] = tasks[i].input;
    if (count > 0) j->device = lk_nn_device_for(j->options->device);
    bool alone = count < 2 || lk_threads() < 2, ok = inputs && (count == 0 || need_nets(j, err));
    lk_search *s = ok && !alone ? lk_search_start(inputs, count, lk_threads(), j->options, j->device, err) : NULL;
    ok = ok && (alone || s);
    for (int i = 0; ok && i < count; i++) {
        lk_finds finds = {0};
        ok = (s ? lk_search_take(s, &finds, err) : lk_find_faces(j->nets, inputs[i], j->options, NULL, &finds, err)) &&
             store_found(j, &tasks[i], &finds, err);
        free(finds.items);
    }
    lk_search_end(s);
    free(inputs);
    return ok;
}

bool lk_extract(const char *const *inputs, int count, const char *output, const lk_extract_options *o,
                lk_extract_report *report, lk_error *err) {
    job j = {.options = o, .output = output};
    double start = lk_now();
    if (report) *report = j.report;
    if (count < 1) return lk_fail(err, LK_ERR_USAGE, "there is no input to extract faces from");
    int todo = 0;
    task *tasks = lk_alloc((size_t)count, sizeof *tasks, err);
    bool ok = tasks && check_options(o, err) && prepare_output(&j, err);
    lk_error bad = {0};
    for (int i = 0; ok && i < count && bad.code == LK_OK; i++) make_task(&j, inputs[i], tasks, &todo, &bad);
    ok = ok && run_tasks(&j, tasks, todo, err);
    if (ok && bad.code != LK_OK) { /* the inputs before the bad one are done all the same */
        if (err) *err = bad;
        ok = false;
    }
    free(tasks);
    lk_face_nets_close(j.nets);
    lk_faceset_close(j.set);
    if (j.created && !j.filled) unlink(output);
    j.report.seconds = lk_now() - start;
    if (report) *report = j.report;
    return ok;
}
