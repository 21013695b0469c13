/* The whole job: faces of src and of dst → a model → the video → a contact sheet. Each step finds what an earlier run
 * of the same command has done, and does the rest. */
#include "cli.h"
#include "likeness/media.h"
#include "likeness/merge.h"
#include "work.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PAIRS  12
#define SETTLE 0.4 /* of the time: details matter more than what half a minute more would have learned */

typedef struct values {
    lk_strings src;
    char *dst, *output, *work;
    int arch;
    double time;
    int64_t first, max;
    lk_swap_config config;
    lk_swap_objective objective;
    lk_train_options train;
    lk_merge_options merge;
    lk_extract_options extract;
} values;

#define AT(field) offsetof(values, field)

static const lk_option own[] = {
    {"src", 0, LK_OPT_LIST, AT(src), NULL, 0, 0, NULL, "A.mp4", "videos or pictures of the face that is wanted"},
    {"dst", 0, LK_OPT_STRING, AT(dst), NULL, 0, 0, NULL, "B.mp4", "the video into which it goes"},
    {"output", 'o', LK_OPT_STRING, AT(output), NULL, 0, 0, NULL, "OUT.mp4", "the video that is made"},
    {"work", 0, LK_OPT_STRING, AT(work), NULL, 0, 0, NULL, "DIR",
     "where faces and model are kept for the next run; OUT.work when left out"},
    {"model", 0, LK_OPT_ENUM, AT(arch), "quick", 0, 0, lk_arch_names, "MODEL",
     "which network learns; quick is for minutes, the others for hours and days"},
    {"time", 't', LK_OPT_DURATION, AT(time), "12m", 0, 1e9, NULL, "TIME",
     "train so long, all runs together; 0: no limit"},
    {"first", 0, LK_OPT_U64, AT(first), "0", 0, 0, NULL, "FRAME", "begin with this frame of dst"},
    {"max", 0, LK_OPT_U64, AT(max), "0", 0, 0, NULL, "FRAMES", "at most so many frames of dst; 0: all"},
    {0},
};

enum { OWN, MODEL, OBJECTIVE, TRAINING, MERGING, FACES };

static const cli_group groups[] = {
    [OWN] = {"The swap", own, 0},
    [MODEL] = {"The model, fixed for its life", lk_swap_options, AT(config)},
    [OBJECTIVE] = {"What is minimised", lk_swap_objective_options, AT(objective)},
    [TRAINING] = {"Training", lk_train_option_table, AT(train)},
    [MERGING] = {"How the face goes into the frame", lk_merge_option_table, AT(merge)},
    [FACES] = {"Which faces, and how they are cut", lk_extract_option_table, AT(extract)},
};

static bool *given(const cli_call *call, int group, const char *name) {
    const lk_option *table = groups[group].table;
    for (int i = 0; table[i].name; i++)
        if (strcmp(table[i].name, name) == 0) return &call->given[group][i];
    return NULL;
}

/* ---- Before anything is begun ------------------------------------------------------------------------------- */

static bool same_file(const char *a, const char *b) {
    struct stat s, t;
    return stat(a, &s) == 0 && stat(b, &t) == 0 && s.st_dev == t.st_dev && s.st_ino == t.st_ino;
}

static bool probe(const char *path, const char *output, lk_error *err) {
    if (same_file(path, output))
        return lk_fail(err, LK_ERR_USAGE, "the output %s is one of the inputs; give it another name", output);
    lk_reader *r = lk_reader_open(path, NULL, err);
    lk_reader_close(r);
    return r != NULL;
}

/* What would only be found wrong after minutes of work. */
static bool check_output(const values *v, lk_error *err) {
    lk_reader *like = lk_reader_open(v->dst, NULL, err);
    if (!like) return false;
    lk_writer_options o = {.crf = v->merge.crf, .lossless = v->merge.lossless, .codec = v->merge.codec};
    o.preset = v->merge.preset;
    o.folder = v->merge.folder;
    lk_writer *w = lk_writer_open(v->output, like, &o, err);
    if (w) lk_writer_abandon(w);
    lk_reader_close(like);
    return w != NULL;
}

static bool check(cli_call *call, values *v, lk_error *err) {
    if (!cli_need(call, v->src.count ? v->src.items[0] : NULL, "--src A.mp4", err) ||
        !cli_need(call, v->dst, "--dst B.mp4", err) || !cli_need(call, v->output, "-o OUT.mp4", err))
        return false;
    for (int i = 0; i < v->src.count; i++)
        if (!probe(v->src.items[i], v->output, err)) return false;
    if (!probe(v->dst, v->output, err)) return false;
    v->config.arch = v->arch;
    v->merge.first = v->extract.first = v->first;
    v->merge.max = v->extract.max = v->max;
    v->merge.device = v->train.device;
    if (*given(call, TRAINING, "device")) v->extract.device = v->train.device;
    v->extract.nvdec = v->merge.nvdec;
    lk_swap_config whole = v->config;
    if (!lk_swap_complete(&whole, err)) return false;
    /* crops hold at least what the model looks at */
    v->extract.type = (lk_face_type)(whole.face_type > LK_FACE_FULL ? whole.face_type : LK_FACE_FULL);
    if (v->extract.size < whole.resolution) v->extract.size = whole.resolution;
    return check_output(v, err);
}

/* "dir/out.mp4" and ".work" → "dir/out.work" */
static char *beside(const char *output, const char *ending, lk_error *err) {
    size_t length = strlen(output);
    while (length > 1 && output[length - 1] == '/') length--;
    char *stem = lk_format(err, "%.*s", (int)length, output);
    if (!stem) return NULL;
    char *dot = strrchr(lk_path_base(stem), '.');
    if (dot && dot != lk_path_base(stem)) *dot = 0;
    char *path = lk_format(err, "%s%s", stem, ending);
    free(stem);
    return path;
}

/* ---- The steps ---------------------------------------------------------------------------------------------- */

static bool keep_main_person(cli_work *w, lk_error *err) {
    if (cli_work_is_chosen(w)) return true;
    lk_faceset *s = lk_faceset_open(w->src_faces, true, err);
    int64_t removed = 0;
    bool ok = s && lk_faceset_keep_main_person(s, &removed, err);
    lk_faceset_close(s);
    if (ok && removed > 0)
        lk_log(LK_LOG_INFO, "%lld faces of other people are left out of %s", (long long)removed, w->src_faces);
    return ok && cli_work_set_chosen(w, err);
}

static bool extract(const values *v, cli_work *w, lk_error *err) {
    lk_extract_options of_src = v->extract;
    of_src.first = of_src.max = 0;
    lk_log(LK_LOG_INFO, "step 1 of 4: faces of src, into %s", w->src_faces);
    if (!lk_extract((const char *const *)v->src.items, v->src.count, w->src_faces, &of_src, NULL, err) ||
        !keep_main_person(w, err))
        return false;
    lk_log(LK_LOG_INFO, "step 2 of 4: faces of dst, into %s", w->dst_faces);
    return lk_extract((const char *const[]){v->dst}, 1, w->dst_faces, &v->extract, NULL, err);
}

/* The time is for all runs together: what earlier ones took is taken off. False when nothing is left. */
static bool plan_training(const cli_call *call, values *v, double trained) {
    bool endless = v->time == 0 || (v->train.iterations > 0 && !*given(call, OWN, "time"));
    v->train.time = endless ? 0 : v->time - trained;
    *given(call, TRAINING, "time") = true;
    bool *settles = given(call, TRAINING, "settle");
    if (!*settles) v->train.settle = SETTLE * v->time;
    *settles = true;
    return endless || v->train.time > 1;
}

static bool train(const cli_call *call, values *v, const cli_work *w, int64_t *iteration, lk_error *err) {
    double trained;
    if (!lk_model_progress(w->model, iteration, &trained, err)) return false;
    if (!plan_training(call, v, trained)) {
        lk_log(LK_LOG_INFO, "step 3 of 4: trained for %.0f s already; a longer --time makes it better", trained);
        return true;
    }
    lk_log(LK_LOG_INFO, "step 3 of 4: training, in %s", w->model);
    *given(call, MODEL, "model") = *given(call, OWN, "model");
    lk_train_job job = {.model_dir = w->model, .config = v->config, .config_given = call->given[MODEL]};
    job.objective = v->objective;
    job.objective_given = call->given[OBJECTIVE];
    if (v->arch == LK_ARCH_QUICK) job.recipe = "brief";
    job.options = v->train;
    job.options_given = call->given[TRAINING];
    lk_train_report r = {0};
    bool ok = lk_strings_add(&job.src, w->src_faces, err) && lk_strings_add(&job.dst, w->dst_faces, err) &&
              lk_train(&job, &r, err);
    lk_strings_free(&job.src);
    lk_strings_free(&job.dst);
    *iteration = r.iteration;
    if (ok && r.interrupted)
        ok = lk_fail(err, LK_ERR_INTERRUPTED, "stopped and saved at iteration %lld; the same command goes on",
                     (long long)r.iteration);
    return ok;
}

static bool merge(const values *v, const cli_work *w, const char *sheet, lk_merge_report *r, lk_error *err) {
    lk_log(LK_LOG_INFO, "step 4 of 4: the video, into %s", v->output);
    return lk_merge(w->model, v->dst, w->dst_faces, v->output, &v->merge, r, err) &&
           lk_contact_sheet(v->dst, v->output, sheet, PAIRS, v->first, r->frames, err);
}

/* ---- All together ------------------------------------------------------------------------------------------- */

static bool tell(cli_call *call, const values *v, const cli_work *w, const char *sheet, int64_t iteration,
                 const lk_merge_report *r, lk_error *err) {
    call->result =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "output", v->output, "sheet", sheet, "work", w->folder, "iteration",
                  (json_int_t)iteration, "frames", (json_int_t)r->frames, "merged", (json_int_t)r->merged);
    if (!call->result) return lk_fail(err, LK_ERR_MEMORY, "out of memory");
    cli_say(call, "\nvideo             %s (%lld frames, %lld with the new face)\n", v->output, (long long)r->frames,
            (long long)r->merged);
    cli_say(call, "before and after  %s\n", sheet);
    cli_say(call, "faces and model   %s (the same command with a longer --time goes on from there)\n", w->folder);
    return true;
}

static bool run(cli_call *call, lk_error *err) {
    values *v = call->values;
    if (!check(call, v, err)) return false;
    char *folder = v->work ? lk_strdup(v->work, err) : beside(v->output, ".work", err);
    char *sheet = folder ? beside(v->output, "-sheet.png", err) : NULL;
    cli_work w = {0};
    lk_merge_report r = {0};
    int64_t iteration = 0;
    cli_swap_inputs inputs = {&v->src, v->dst, &v->extract};
    bool ok = sheet && cli_work_open(&w, folder, &inputs, err) && extract(v, &w, err) &&
              train(call, v, &w, &iteration, err) && merge(v, &w, sheet, &r, err) &&
              tell(call, v, &w, sheet, iteration, &r, err);
    cli_work_close(&w);
    free(sheet);
    free(folder);
    return ok;
}

const cli_command cli_swap = {
    .name = "swap",
    .purpose = "the whole job in one command: put A's face into video B",
    .usage = "--src A.mp4 [A2.mp4 …] --dst B.mp4 -o OUT.mp4 [options]",
    .about = "Finds the faces of both, trains a model, writes the video and a picture of frames before and after\n"
             "(OUT-sheet.png). All that takes time is kept in a work folder (OUT.work), so the same command goes on\n"
             "where it was stopped, by Ctrl-C or by a power cut; with a longer --time it goes on training.\n"
             "When several people are in src, the one who is seen most is taken. Every face in dst is replaced.\n"
             "Two defaults differ from those of 'likeness train': --settle is 40 % of the time, and quick learns by "
             "--recipe brief.\nFaces are found by the processor unless --device is given.",
    .examples = "  likeness swap --src anna.mp4 --dst ben.mp4 -o out.mp4\n"
                "  likeness swap --src anna1.mp4 anna2.mp4 --dst ben.mp4 -o try.mp4 --max 500 --time 5m\n"
                "  likeness swap --src anna.mp4 --dst ben.mp4 -o out.mp4 --model sae --resolution 128 --time 24h",
    .next = "  Look at OUT-sheet.png. More of A's face? The same command with --time 30m. A border? --erode 5.",
    .least_words = 0,
    .most_words = 0,
    .groups = groups,
    .size = sizeof(values),
    .computes = true,
    .run = run,
};
