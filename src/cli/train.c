#include "likeness/train.h"
#include "cli.h"

typedef struct values {
    lk_train_job job;
} values;

#define AT(field) offsetof(values, job.field)

static const lk_option own[] = {
    {"src", 0, LK_OPT_LIST, AT(src), NULL, 0, 0, NULL, "A.faces", "faces of the person who is wanted"},
    {"dst", 0, LK_OPT_LIST, AT(dst), NULL, 0, 0, NULL, "B.faces", "faces of the video into which they go"},
    {"recipe", 0, LK_OPT_STRING, AT(recipe), NULL, 0, 0, NULL, "fast|classic|styled|brief|FILE",
     "schedules under one name: fast (of new models but quick), classic (of 2019), styled (strong styles first), brief "
     "(for minutes), or a file of lines NAME = VALUE@ITERATION, …"},
    {"init-from", 0, LK_OPT_STRING, AT(init_from), NULL, 0, 0, NULL, "MODEL_DIR",
     "begin with the weights of another model"},
    {"pretrain", 0, LK_OPT_LIST, AT(pretrain), NULL, 0, 0, NULL, "MANY.faces",
     "learn faces of many people first; the first run without it begins at iteration 0"},
    {"set", 0, LK_OPT_LIST, AT(set), NULL, 0, 0, NULL, "NAME=VALUE",
     "an option by schedule: batch=4@0,8@20000 from those iterations on; of a switch NAME=FROM..TO"},
    {0},
};

enum { OWN, MODEL, OBJECTIVE, TRAINING };

static const cli_group groups[] = {
    [OWN] = {"Faces (a model remembers them)", own, 0},
    [MODEL] = {"The model, fixed for its life", lk_swap_options, AT(config)},
    [OBJECTIVE] = {"What is minimised; may change at any restart", lk_swap_objective_options, AT(objective)},
    [TRAINING] = {"Training; may change at any restart", lk_train_option_table, AT(options)},
    {0},
};

static int take(int argc, char **argv, void *v) { return lk_train_take_schedules(argc, argv, &((values *)v)->job.set); }

/* Stopped before its first iteration, a run has no losses. */
static json_t *loss_of(const lk_train_report *r, float loss) {
    return r->iteration > r->first ? json_real((double)loss) : json_null();
}

static void say_losses(const cli_call *call, const char *model, const lk_train_report *r) {
    cli_say(call, "%s: iterations %lld to %lld in %.0f s", model, (long long)r->first, (long long)r->iteration,
            r->seconds);
    if (r->iteration > r->first)
        cli_say(call, "; loss of src %.4f, of dst %.4f", (double)r->src_loss, (double)r->dst_loss);
    cli_say(call, "\n");
}

static bool run(cli_call *call, lk_error *err) {
    lk_train_job *job = &((values *)call->values)->job;
    job->model_dir = call->words.items[0];
    job->config_given = call->given[MODEL];
    job->objective_given = call->given[OBJECTIVE];
    job->options_given = call->given[TRAINING];
    lk_train_report r;
    if (!lk_nn_peers_open(&job->peers, err)) return false;
    /* Where mpirun started several, one speaks. */
    if (lk_nn_peers_rank(job->peers) > 0) {
        lk_log_to(NULL, NULL);
        lk_progress_to(NULL, NULL);
        if (!freopen("/dev/null", "w", stdout)) return lk_fail(err, LK_ERR_IO, "/dev/null cannot be opened");
    }
    /* After a failure the others would be waited for in vain: mpirun ends them. */
    if (!lk_train(job, &r, err)) return false;
    lk_nn_peers_close(job->peers);
    call->result =
        json_pack("{s:s, s:I, s:I, s:f, s:o, s:o, s:b}", "model", job->model_dir, "first", (json_int_t)r.first,
                  "iteration", (json_int_t)r.iteration, "seconds", r.seconds, "src_loss", loss_of(&r, r.src_loss),
                  "dst_loss", loss_of(&r, r.dst_loss), "interrupted", (int)r.interrupted);
    if (!call->result) return lk_fail(err, LK_ERR_MEMORY, "out of memory");
    say_losses(call, job->model_dir, &r);
    if (r.interrupted)
        return lk_fail(err, LK_ERR_INTERRUPTED, "stopped and saved at iteration %lld; the same command goes on",
                       (long long)r.iteration);
    cli_say(call, "previews are in %s/preview; next: likeness merge %s B.mp4 -o OUT.mp4 --faces B.faces\n",
            job->model_dir, job->model_dir);
    return true;
}

const cli_command cli_train = {
    .name = "train",
    .purpose = "learn to show the src person's face with dst's pose, expression and light",
    .usage = "MODEL_DIR --src A.faces --dst B.faces [options]",
    .about =
        "A model is a folder. The first run makes it, later runs go on where the last save ended; options that are\n"
        "not given keep the values they had. It trains until --time or --iterations is reached, or until Ctrl-C,\n"
        "which saves. MODEL_DIR/preview shows src, dst and the swap at the start, at each save, and whenever the\n"
        "process gets SIGUSR1. Options of the last two groups may follow a schedule: --batch 4@0,8@20000 is 4 at\n"
        "first and 8 from iteration 20,000; of a switch --swap-sides 10000..12000 is on in between.",
    .examples = "  likeness train anna-to-ben --src anna.faces --dst ben.faces --model quick --time 10m\n"
                "  likeness train anna-to-ben --time 8h\n"
                "  likeness train big --src anna.faces --dst ben.faces --model sae --resolution 192 --batch 4",
    .next = "  likeness model plot MODEL_DIR -o LOSS.png\n"
            "  likeness merge MODEL_DIR B.mp4 -o OUT.mp4 --faces B.faces",
    .least_words = 1,
    .most_words = 1,
    .groups = groups,
    .size = sizeof(values),
    .computes = true,
    .take = take,
    .run = run,
};
