/* train: sampling, the loop, previews, history, checkpoints. A model is a folder; see docs/model-folder.md.
 *
 *     lk_train_job job = {.model_dir = "model"};
 *     lk_options_defaults(lk_swap_options, &job.config, &err);
 *     lk_options_defaults(lk_swap_objective_options, &job.objective, &err);
 *     lk_options_defaults(lk_train_option_table, &job.options, &err);
 *     lk_strings_add(&job.src, "a.faces", &err); lk_strings_add(&job.dst, "b.faces", &err);
 *     lk_train(&job, &report, &err);
 */
#ifndef LIKENESS_TRAIN_H
#define LIKENESS_TRAIN_H

#include "likeness/faceset.h"
#include "likeness/swap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What may change at any restart, or follow a schedule. */
typedef struct lk_train_options {
    int batch;
    double time;                   /* stop after so many seconds of training in this run; 0: no limit */
    int64_t iterations;            /* stop at this iteration of the model's life; 0: no limit */
    double save_every;             /* seconds */
    int64_t save_every_iterations; /* 0: by time alone */
    uint64_t seed;
    bool flip;
    double src_scale;      /* src face scale modifier, percent */
    double warp;           /* strength of the input's warp, percent of the field's usual */
    bool color_transfer;   /* src faces in the colours of dst's */
    bool by_yaw;           /* src faces turned as dst's are */
    bool by_expression;    /* rare eyes and mouths more often, of both sides */
    bool swap_sides;       /* src and dst exchanged, for a while */
    double rate;           /* of Adam, in percent of the model's own */
    double momentum;       /* Adam's β1; 0: the model's own */
    bool average;          /* draw, judge and save not the last weights, but their average over training */
    double settle;         /* seconds before the end of `time` over which the rate falls to a twentieth; 0: none */
    int precision;         /* lk_nn_precision */
    int optimizer_memory;  /* lk_nn_states */
    uint64_t memory;       /* bytes of the process, or of a GPU; what does not fit is computed again; 0: no limit */
    int device;            /* lk_nn_wish; of one run */
    double holdout;        /* percent of each video, in whole stretches, that is never shown */
    int64_t preview_every; /* iterations between pictures of preview/history; 0: none */
    int64_t backup_every_iterations; /* 0: none */
    double backup_every;             /* seconds of training; 0: none */
    int64_t evaluate_every;          /* iterations between evaluations on faces that `holdout` keeps; 0: none */
} lk_train_options;
extern const lk_option lk_train_option_table[]; /* over lk_train_options */

/* One run of training. `…_given`: one entry per entry of the table, true where the user said so; NULL: nothing was said.
 * What was not said is taken from the model, when it exists, and from the defaults in the struct when it is new. */
typedef struct lk_train_job {
    const char *model_dir;
    /* Processes that train this model together, all with the same job; each takes its share of the batch, which must be a
     * multiple of their number. Rank 0 alone writes, tells and decides when to stop. NULL: this process trains alone. */
    lk_nn_peers *peers;
    lk_strings src, dst; /* .faces files of each side */
    lk_swap_config config;
    const bool *config_given;
    lk_swap_objective objective;
    const bool *objective_given;
    lk_train_options options;
    const bool *options_given;
    lk_strings set; /* "NAME=VALUE" or "NAME=VALUE@ITERATION,VALUE@ITERATION…": options of the last two tables, over
                       what their structs say; of a flag also "NAME=FROM..TO" */
    const char *recipe;    /* schedules under one name: of lk_recipe_names, or a text file; NULL: a new model
                              takes fast, but quick none */
    const char *init_from; /* a new model begins with this model's weights; NULL: with random ones */
    lk_strings pretrain;   /* facesets of many people, shown on both sides in place of src and dst; the first training
                              without it keeps what is of use for any face, and begins at iteration 0 */
} lk_train_job;
extern const char *const lk_recipe_names[]; /* "fast", "classic", "styled", "brief", NULL */

/* Options with schedules may stand on the command line like any other (--batch 4@0,8@20000, --swap-sides 100..200): such
 * words are taken out of argv and go to `set` as "NAME=TEXT". Returns the new argc. */
int lk_train_take_schedules(int argc, char **argv, lk_strings *set);

/* Is this frame of a video of so many frames held out at this percentage? Whole stretches are, evenly spread. */
bool lk_held_out(int64_t frame, int64_t frames, double percent);

typedef struct lk_train_report {
    int64_t first, iteration; /* the model's iteration at the start and at the end of this run */
    double seconds;           /* of training */
    float src_loss, dst_loss; /* mean of the last 100 iterations */
    bool interrupted;
} lk_train_report;

/* Opens the folder's model or starts a new one, trains until told to stop, saves. An interrupt saves and returns true. */
bool lk_train(const lk_train_job *job, lk_train_report *report, lk_error *err);

/* A preview on the next occasion (SIGUSR1); async-signal-safe. */
void lk_train_request_preview(void);

/* ---- What a training takes --------------------------------------------------------------------------------- */

/* Bytes. */
typedef struct lk_train_needs {
    int batch, ae_dims, ed_ch_dims; /* dims 0 where the architecture fixes them */
    lk_nn_memory network;           /* the one that trains, as it will be planned */
    size_t samples;                 /* batches that lie ready */
    size_t average;                 /* of the weights; 0: there is none */
    size_t transfer;                /* the largest parameter on its way to a file or back */
    size_t program;                 /* code, libraries, threads' stacks */
    size_t driver;                  /* of a GPU: what its driver and libraries keep there, roughly */
    size_t total;                   /* without the faces themselves: at most half of what is free; of a GPU: there */
    size_t host;                    /* beside a GPU: of the computer's memory, likewise; else 0 */
} lk_train_needs;
/* By the very plan that training uses, without taking the memory. Of the options batch, precision, optimizer_memory,
 * average, memory and device count, LK_NN_WISH_GPU for a card that need not be there; where not even computing again keeps to
 * the memory, `total` is the least that is possible. */
bool lk_train_plan(const lk_swap_config *c, const lk_swap_objective *o, const lk_train_options *options,
                   lk_train_needs *needs, lk_error *err);
/* What is largest within `memory`, for batches 1, 2, 4, 8, 12, 16 and 32: ed_ch_dims as large as fits (21 to 85), ae_dims
 * in the proportion of the architecture's own, larger where ed_ch_dims can grow no more; where dims are fixed, the largest
 * batch alone. The count of rows that fit
 * (at most 8, largest batch first), 0 when nothing does, −1 with err. */
int lk_train_plan_largest(const lk_swap_config *c, const lk_swap_objective *o, const lk_train_options *options,
                          size_t memory, lk_train_needs list[8], lk_error *err);

size_t lk_train_free_memory(void); /* bytes that this machine could give now */

/* ---- A trained model, for merging ------------------------------------------------------------------------ */

typedef struct lk_model lk_model;
/* Falls back to the save before when the newest is damaged, and says so in the log. batch: faces per prediction;
 * device: lk_nn_device. */
lk_model *lk_model_open(const char *model_dir, int batch, int device, lk_error *err);
void lk_model_close(lk_model *m);
const lk_swap_config *lk_model_config(const lk_model *m);
int64_t lk_model_iteration(const lk_model *m);
int lk_model_batch(const lk_model *m);
/* How long a folder's model has been trained, over all runs; both 0 where there is none yet. */
bool lk_model_progress(const char *model_dir, int64_t *iteration, double *seconds, lk_error *err);
/* faces: [count, 3, R, R] channels-last in [0, 1], count ≤ batch → swap [count, 3, R, R], mask [count, 1, R, R] */
bool lk_model_predict(lk_model *m, const float *faces, int count, float *swap, float *mask, lk_error *err);

/* ---- How good a model is (docs/evaluation.md) ------------------------------------------------------------ */

typedef struct lk_evaluate_options {
    int max;     /* faces of each side, at most, in runs of consecutive ones */
    bool seen;   /* faces that were trained on, all of them, instead of those held out */
    char *sheet; /* PNG of the best and the worst swaps; NULL: none */
} lk_evaluate_options;
extern const lk_option lk_evaluate_option_table[]; /* over lk_evaluate_options */

/* Means over faces. NAN: could not be measured (no consecutive frames, no mask learned, no face found again). */
typedef struct lk_evaluation {
    int64_t iteration;
    double holdout; /* percent of each video; 0: faces that were trained on */
    int faces[2];   /* of src, of dst */
    /* Of src and of dst, drawn again from themselves; under the hull of the landmarks. */
    struct {
        double ssim, psnr; /* psnr in dB, of the mean squared error of all faces */
        double mask_iou;   /* of the learned mask with the hull */
    } reconstruction[2];
    /* Mean cosine of identity descriptors: of swaps with faces of src and of dst; and, as a scale, of real faces of src
     * with each other, of dst with each other, of src with dst. */
    double swap_src, swap_dst, src_src, dst_dst, src_dst;
    double landmarks; /* found again on the swap, from those on the target: mean distance, % of the eyes' distance */
    double landmarks_real; /* as a scale: found again on the target, from those that are stored */
    double pose;           /* mean of |yaw|, |pitch| and |roll| between swap and target, degrees */
    double lost;           /* share of swaps in which no face is found */
    int pairs;             /* of consecutive frames, for the two below */
    double flicker;        /* mean change of the swap's pixels, times that of the target's */
    double jitter;         /* landmarks' motion that the target's do not have, % of the eyes' distance */
} lk_evaluation;

/* Needs the pretrained networks. The faces are those that the model's own --holdout kept from training. */
bool lk_evaluate(const char *model_dir, const lk_strings *src, const lk_strings *dst, const lk_evaluate_options *o,
                 lk_evaluation *result, lk_error *err);
char *lk_evaluation_text(const lk_evaluation *e, lk_error *err); /* a table; caller frees */
json_t *lk_evaluation_json(const lk_evaluation *e);              /* new reference; what is NAN is null */

/* ---- A model's folder between trainings (docs/model-folder.md) ------------------------------------------- */

/* Each of these that writes fails while the model is being trained. */

typedef struct lk_backup {
    char name[32]; /* of its folder below MODEL/backups: the iteration */
    int64_t iteration;
    double seconds; /* of training, of the model's life */
} lk_backup;
/* What model.json says of the newest save: architecture, options, changes, iteration, seconds, facesets. New reference. */
json_t *lk_model_describe(const char *model_dir, lk_error *err);
/* Oldest first; the count, or −1. Caller frees. Each is a model folder of its own, for merging as well. */
int lk_model_backups(const char *model_dir, lk_backup **list, lk_error *err);
bool lk_model_backup(const char *model_dir, lk_error *err); /* of the newest save, now */
bool lk_model_restore(const char *model_dir, const char *backup,
                      lk_error *err);                                          /* the backup becomes the newest save */
bool lk_model_swap_sides(const char *model_dir, bool *swapped, lk_error *err); /* the option, from what it is now */
/* Losses over iterations as a PNG: smoothed, on a logarithmic scale, with changes of options marked. */
bool lk_model_plot(const char *model_dir, const char *png, int width, int height, lk_error *err);
/* What --evaluate-every found over iterations (evaluation.csv) as a PNG. */
bool lk_model_plot_evaluation(const char *model_dir, const char *png, int width, int height, lk_error *err);
/* The pictures of preview/history as a video. */
bool lk_model_timelapse(const char *model_dir, const char *output, double fps, lk_error *err);

#ifdef __cplusplus
}
#endif
#endif
