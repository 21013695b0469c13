/* What the files of this room share. */
#ifndef LIKENESS_TRAIN_INTERNAL_H
#define LIKENESS_TRAIN_INTERNAL_H

#include "likeness/train.h"

/* ---- Settings: every option as text, by iteration (settings.c) ------------------------------------------- */

#define LK_MOST_STEPS    16
#define LK_MOST_SETTINGS 48
#define LK_SETTING_TEXT  (LK_MOST_STEPS * 48)

typedef struct lk_setting_step {
    int64_t from; /* iteration */
    char value[24];
} lk_setting_step;

typedef struct lk_setting {
    const lk_option *option;
    bool of_objective; /* belongs to lk_swap_objective, else to lk_train_options */
    int count;
    lk_setting_step steps[LK_MOST_STEPS]; /* ascending; the first from iteration 0 */
} lk_setting;

typedef struct lk_settings {
    int count;
    lk_setting items[LK_MOST_SETTINGS];
} lk_settings;

typedef struct lk_now_set {
    lk_swap_objective objective;
    lk_train_options options;
} lk_now_set;

/* The value of the table's i-th option in a struct, as one would type it. */
bool lk_option_text(const lk_option *table, const void *values, int i, char *text, size_t size, lk_error *err);
bool lk_settings_start(lk_settings *s, const lk_swap_objective *objective, const lk_train_options *options,
                       lk_error *err);
/* "8", or "4@0,8@20000"; of a flag also "100..200": on from iteration 100 until 200. Dashes and underscores are one. */
bool lk_settings_set(lk_settings *s, const char *name, const char *text, lk_error *err);
const lk_setting *lk_settings_find(const lk_settings *s, const char *name);
void lk_setting_text(const lk_setting *s, char text[LK_SETTING_TEXT]);
bool lk_setting_kept(const lk_setting *s); /* stored with the model; the others are of one run */
bool lk_settings_at(const lk_settings *s, int64_t iteration, lk_now_set *now, lk_error *err);
/* The largest value that a number takes from `iteration` on. */
double lk_settings_largest(const lk_settings *s, const char *name, int64_t iteration);

/* A recipe's lines to `set`, in order. */
bool lk_recipe_apply(const char *recipe, bool (*set)(void *user, const char *name, const char *value, lk_error *err),
                     void *user, lk_error *err);
/* What a new model of this configuration follows when nothing is said; NULL: none. */
const char *lk_recipe_of(const lk_swap_config *c);

/* ---- Faces of one side in memory (pool.c) ---------------------------------------------------------------- */

typedef struct lk_pool_face {
    void *jpeg; /* as stored; NULL when it is kept decoded */
    size_t jpeg_size;
    lk_image crop;                         /* decoded, 8-bit RGB; no data when it is kept as JPEG */
    int side;                              /* of the crop as it is used: large ones are averaged down */
    lk_affine to_model, mirrored_to_model; /* from crop to the model's input; the second shows the face mirrored */
    lk_landmarks points;                   /* in the crop */
    lk_image mask; /* 8-bit, of the crop as it is used: where it is face (likeness/masks.h); no data: within the hull */
    float yaw;     /* degrees */
    float mean[3], std[3]; /* of Lab inside the hull */
    double mouth, eyes;    /* lk_landmarks_expression */
    int set;               /* which of the facesets */
    int64_t id, source, frame;
} lk_pool_face;

typedef struct lk_pool {
    const char *side_name; /* "src", "dst" */
    const lk_strings *paths;
    lk_pool_face *faces;
    int count;
    size_t bytes;  /* of pictures in memory */
    bool decoded;  /* all of them */
    bool held_out; /* holds those that training never sees, instead of those that it does */
} lk_pool;

/* Every face of these facesets that was not removed and is not held out. `budget`: bytes that decoded pictures may take; when they need
 * more they stay JPEGs and are decoded at each use. */
bool lk_pool_open(lk_pool *p, const char *side_name, const lk_strings *paths, const lk_swap_config *c, double holdout,
                  size_t budget, lk_error *err);
/* Those that are held out at this percentage, as JPEGs. */
bool lk_pool_open_held_out(lk_pool *p, const char *side_name, const lk_strings *paths, const lk_swap_config *c,
                           double holdout, lk_error *err);
void lk_pool_close(lk_pool *p);
/* The picture: borrowed, or decoded here. lk_image_free it. */
bool lk_pool_crop(const lk_pool *p, int i, lk_image *crop, lk_error *err);

/* ---- One sample (augment.c) ------------------------------------------------------------------------------ */

typedef struct lk_augment {
    double flip;                   /* probability of mirroring */
    bool mirror;                   /* mirrored to begin with */
    double scale;                  /* is added to the random scale, a share */
    double warp;                   /* strength, 1: the usual */
    const lk_pool_face *colors_of; /* whose mean and deviation in Lab the face is given; NULL: its own stay */
} lk_augment;

typedef struct lk_sample_room lk_sample_room; /* what one thread needs to make samples */
lk_sample_room *lk_sample_room_new(int resolution, lk_error *err);
void lk_sample_room_free(lk_sample_room *r);
/* warped, target: [R, R, 3]; mask, features: [R, R]; all in [0, 1]. features may be NULL. */
bool lk_sample_make(lk_sample_room *room, const lk_pool_face *face, const lk_image *crop, const lk_augment *a,
                    lk_rng *rng, float *warped, float *target, float *mask, float *features, lk_error *err);
/* The same sample, with the same draws, for a GPU to draw (likeness/nn.h): all but where its pictures lie. `features`: with
 * the shapes of eyes and mouth. */
bool lk_sample_describe(const lk_pool_face *face, const lk_augment *a, lk_rng *rng, bool features, lk_nn_sample *s,
                        lk_error *err);
/* The face unchanged but for colors_of (see above), cut for the model: [R, R, 3]. */
bool lk_sample_plain(lk_sample_room *room, const lk_pool_face *face, const lk_image *crop,
                     const lk_pool_face *colors_of, float *picture, lk_error *err);

/* ---- Which face comes next (order.c) --------------------------------------------------------------------- */

/* Faces in shuffled order, each as often as it stands in the list before the list is shuffled anew. */
typedef struct lk_order {
    int *list; /* [count] */
    int *shuffled;
    int count;
    int64_t epoch; /* that `shuffled` holds; −1: none yet */
} lk_order;
bool lk_order_make(lk_order *o, int count, lk_error *err); /* 0 … count−1, each once */
/* Faces with rare eyes or a rare mouth several times. */
bool lk_order_make_by_expression(lk_order *o, const lk_pool *pool, lk_error *err);
void lk_order_free(lk_order *o);
/* `stream`, below 256, tells orders with the same seed apart. */
int lk_order_pick(lk_order *o, uint64_t seed, unsigned stream, int64_t position);

#define LK_YAW_BINS 64 /* of −90 … 90 degrees */

/* src faces as dst's are turned: every bin of yaw that dst has comes equally often, with a face of the nearest bin that
 * src has, mirrored when that lies on the other side. */
typedef struct lk_yaw_feed {
    lk_order turns; /* of bins that dst has */
    struct {
        int from;  /* bin of src */
        int place; /* among the bins of dst that share it */
        bool mirror;
    } bins[LK_YAW_BINS];          /* `turns.count` of them */
    int users[LK_YAW_BINS];       /* how many bins of dst share each bin of src */
    lk_order within[LK_YAW_BINS]; /* faces of each bin of src */
    int *faces[LK_YAW_BINS];
} lk_yaw_feed;
bool lk_yaw_feed_make(lk_yaw_feed *f, const lk_pool *src, const lk_pool *dst, lk_error *err);
void lk_yaw_feed_free(lk_yaw_feed *f);
int lk_yaw_feed_pick(lk_yaw_feed *f, uint64_t seed, int64_t position, bool *mirror);

/* ---- Batches ahead of time (sampler.c) ------------------------------------------------------------------- */

typedef struct lk_batch {
    int64_t iteration, position; /* position: samples of each side drawn before this batch */
    int count;                   /* faces of each side: 2·count samples, src first; this process's share */
    float *warped, *target, *mask, *features; /* features: eyes and mouth, drawn where they count */
    /* Or, for a GPU to draw, all of them NULL and, in pinned memory: */
    lk_nn_sample *samples;
    uint8_t *bytes;
    size_t size; /* of bytes, in use */
    lk_now_set now;
    int *faces; /* index in its pool, of each sample */
    bool *mirror;
} lk_batch;

typedef struct lk_sampler lk_sampler;
typedef struct lk_sampler_news {
    double waited;   /* seconds that lk_sampler_next waited */
    double worked;   /* seconds of all its threads */
    int64_t samples; /* that were made */
    int threads;
} lk_sampler_news;

/* Batches from `iteration` on, a function of (settings, pools, iteration, position, turn) alone; of several processes, each
 * gets its share of the same batches. All that is given
 * stays the caller's and must outlive the sampler. */
int lk_sampler_threads(void); /* of lk_threads(), as many as samplers are worth */
/* Of a batch, and of those that so many threads keep ready. `described`: roughly, for pictures as large as training wants
 * them. */
size_t lk_batch_bytes(int batch, int resolution, bool described);
size_t lk_sampler_bytes(int batch, int resolution, int threads, bool described);
typedef struct lk_sampler_job {
    const lk_pool *src, *dst;
    const lk_settings *settings;
    int resolution;
    int64_t iteration, position;
    uint64_t turn;
    int threads;
    const lk_nn_peers *peers; /* may be NULL */
    bool described;           /* for a GPU to draw */
} lk_sampler_job;
lk_sampler *lk_sampler_start(const lk_sampler_job *job, lk_error *err);
/* In order of iteration; give each back. NULL on failure. */
lk_batch *lk_sampler_next(lk_sampler *s, lk_error *err);
void lk_sampler_give_back(lk_sampler *s, lk_batch *batch);
lk_sampler_news lk_sampler_tell(lk_sampler *s);
void lk_sampler_stop(lk_sampler *s);

/* ---- What a model folder says (record.c) ----------------------------------------------------------------- */

typedef struct lk_saved_file {
    char name[64]; /* in the folder */
    char sha256[65];
} lk_saved_file;

typedef struct lk_record {
    lk_swap_config config;
    lk_settings settings;
    int64_t iteration, position; /* position: samples of each side drawn so far */
    int64_t optimizer_steps;     /* the t of Adam */
    uint64_t turn;               /* how many times training went back to a save: other random draws each time */
    double seconds;              /* of training, of the model's life */
    int64_t number;              /* of the save */
    lk_saved_file weights, optimizer;
    lk_saved_file latest; /* where `weights` is an average: those that training goes on from; else its name is "" */
    lk_strings src, dst;  /* absolute paths */
    bool pretraining;     /* on the faces of many, so far */
    json_t *changes;      /* array: {"iteration", "option", "from", "to"} */
} lk_record;

void lk_record_free(lk_record *r);
json_t *lk_record_json(const lk_record *r); /* without a checksum of its own; NULL: out of memory */
bool lk_record_read(lk_record *r, const char *path, lk_error *err);
bool lk_record_write(const lk_record *r, const char *path, lk_error *err);
bool lk_record_add_change(lk_record *r, const char *option, const char *from, const char *to, lk_error *err);

/* ---- The average of the weights (average.c) -------------------------------------------------------------- */

/* On the host, in the order of parameters; none as long as values is NULL. */
typedef struct lk_average {
    float **values;
    int count;
    bool shown; /* the network has the average, and `values` are its latest weights */
} lk_average;
void lk_average_drop(lk_average *a);
bool lk_average_take(lk_average *a, const lk_nn_exec *e, lk_error *err); /* the weights as they are now */
/* After each iteration; at each 20th the weights come into it, the first time as they are. */
bool lk_average_note(lk_average *a, const lk_nn_exec *e, int64_t iteration, lk_error *err);
/* The network gets the average, and what it had is kept in its place: to draw and to save. Again, and all is as before, to
 * the bit. When it fails nothing is exchanged. */
bool lk_average_exchange(lk_average *a, lk_nn_exec *e, lk_error *err);

typedef struct lk_network {
    lk_nn_exec *exec;
    lk_average average;
    int batch, precision, states; /* batch: of all processes together; lk_nn_precision; lk_nn_states */
    unsigned terms;
    uint64_t memory; /* that was granted to the whole process; 0: no limit */
    size_t faces;    /* bytes of pictures in memory, which count against it */
    lk_nn_peers *peers;
} lk_network;

/* ---- The folder (folder.c) ------------------------------------------------------------------------------- */

/* Holds the lock of the folder, made when absent: one training at a time. −1 on failure. */
int lk_folder_lock(const char *dir, lk_error *err);
void lk_folder_unlock(int lock);
/* What is left of killed processes. Only under the lock. */
void lk_folder_clean(const char *dir);
/* The newest save whose files are whole. *found: there was one. When the newest is damaged the one before is taken and
 * the log says so; when that is damaged too it is an error. `repair`: make what was taken the newest (under the lock). */
bool lk_folder_open(const char *dir, lk_record *r, bool repair, bool *found, lk_error *err);
/* Writes weights and optimizer state, then the record, whose number and files are set here; then removes the save
 * before the last. */
bool lk_folder_save(const char *dir, lk_record *r, lk_network *n, lk_error *err);
/* The files of a save: at most 3, of those it has; their kinds, "weights", "optimizer", "latest". */
#define LK_SAVED_FILES 3
extern const char *const lk_saved_kinds[LK_SAVED_FILES];
lk_saved_file *lk_saved_file_of(lk_record *r, int kind); /* NULL: it has none of this kind */
/* Makes `r`, whose files are in the folder, the newest save. */
bool lk_folder_make_newest(const char *dir, lk_record *r, lk_error *err);
int64_t lk_folder_next_number(const char *dir);
/* dir/from gets the second name `to`: a hard link, else a reflink, else a copy; replaces what is there. */
bool lk_folder_link(const char *from, const char *to, lk_error *err);

/* ---- Backups (backups.c) --------------------------------------------------------------------------------- */

/* Of the newest save, which `r` says; nothing to do when there is one of this iteration. */
bool lk_backup_make(const char *dir, const lk_record *r, lk_error *err);

/* ---- history.csv (history.c) ----------------------------------------------------------------------------- */

typedef struct lk_history {
    int fd;
    int64_t rows;    /* iterations in the sums below */
    double src, dst; /* sums */
    char *path;
} lk_history;
/* Rows of iterations after `last` are cut off. */
bool lk_history_open(lk_history *h, const char *dir, int64_t last, lk_error *err);
bool lk_history_add(lk_history *h, int64_t iteration, double seconds, double src, double dst, int batch, lk_error *err);
bool lk_history_sync(lk_history *h, lk_error *err);
void lk_history_close(lk_history *h);

/* ---- The network in training (network.c) ----------------------------------------------------------------- */

/* What a training takes beside its network and its faces (plan.c): fills samples, average, transfer and program. */
size_t lk_beside_network(const lk_swap_config *c, const lk_train_options *o, int batch, const lk_nn_memory *network,
                         lk_train_needs *needs);
/* Of the memory that was granted, what each side's decoded pictures may take: half of what the network leaves that computes
 * nothing again. `batch`: of this process. */
size_t lk_left_for_faces(const lk_swap_config *c, const lk_now_set *now, int batch);

/* Whether the graph at hand is one for this batch and these terms of the loss. */
bool lk_network_fits(const lk_network *n, const lk_swap_config *c, const lk_now_set *now, int64_t iteration);
/* Makes it one; weights, moments and steps are carried over. The first time weights are drawn, if `fresh`, or a save has to
 * be loaded. */
bool lk_network_fit(lk_network *n, const lk_swap_config *c, const lk_now_set *now, int64_t iteration, bool fresh,
                    lk_error *err);
bool lk_network_load(lk_network *n, const char *dir, const lk_record *r, lk_error *err);
/* Weights alone, of the save that `r` says in another folder (or in this one), into a network with fresh weights. All of
 * them must be there. Those that pretraining leaves behind stay fresh when that is what the save comes from. */
bool lk_network_take(lk_network *n, const char *dir, const lk_record *r, lk_error *err);
/* Faces [count, R, R, 3] that one side's decoder draws: images as large, masks [count, R, R], left alone where none is
 * learned; either may be NULL. */
typedef struct lk_portraits {
    const float *faces;
    float *images, *masks;
} lk_portraits;
/* By the training graph itself, `batch` at a time, in its precision: no second network is needed. What decoder of src
 * makes of faces of dst is the swap. Leaves weights and moments alone. Either side may be NULL. */
bool lk_network_draw(lk_network *n, int count, const lk_portraits *by_src, const lk_portraits *by_dst, lk_error *err);
void lk_network_free(lk_network *n);

/* ---- Previews (preview.c) -------------------------------------------------------------------------------- */

typedef struct lk_preview lk_preview;
#define LK_PREVIEW_PAIRS 8 /* on a sheet, where there are so many faces */
lk_preview *lk_preview_new(const lk_swap_config *c, const lk_pool *src, const lk_pool *dst, bool color_transfer,
                           lk_error *err);
/* A sheet of what the network does, written to `path` (PNG). */
bool lk_preview_draw(lk_preview *p, lk_network *n, const char *path, lk_error *err);
void lk_preview_free(lk_preview *p);

/* ---- Prediction with a save's weights (model.c) ---------------------------------------------------------- */

/* The prediction graph of the save that `r` says; `both`: as lk_swap_predict_graph. */
lk_nn_exec *lk_record_predictor(const lk_record *r, const char *dir, int batch, bool both, int device, lk_error *err);

/* ---- Figures of one picture (measure.c) ------------------------------------------------------------------ */

/* picture, truth: [R, R, 3] in [0, 1]; mask: [R, R], the weight of each pixel. */
double lk_measure_psnr(const float *picture, const float *truth, const float *mask, int resolution);
/* Mean SSIM (Wang et al. 2004: 11×11 Gaussian window, σ 1.5, borders mirrored) of the three channels under the mask. */
bool lk_measure_ssim(const float *picture, const float *truth, const float *mask, int resolution, double *ssim,
                     lk_error *err);
/* Intersection over union of what is above one half; 1 when both are empty. */
double lk_measure_iou(const float *a, const float *b, size_t count);
/* Mean absolute difference of pictures under the mask. */
double lk_measure_difference(const float *a, const float *b, const float *mask, int resolution);

/* ---- Evaluation while training (evaluate.c, evaluations.c) ----------------------------------------------- */

typedef struct lk_judge lk_judge; /* the faces and networks that judge a model */
/* Up to `max` faces of each side, of those that these options hold out, of all where they hold out none; src in dst's
 * colours if they say so. */
lk_judge *lk_judge_new(const lk_swap_config *c, const lk_train_options *o, const lk_strings *src, const lk_strings *dst,
                       int max, lk_error *err);
/* The network as it is now, drawing by itself. */
bool lk_judge_network(lk_judge *j, lk_network *n, int64_t iteration, lk_evaluation *result, lk_error *err);
void lk_judge_free(lk_judge *j);

/* evaluation.csv: a row for each evaluation of a model's life, in order of iterations. */
typedef struct lk_evaluations {
    struct lk_judged {
        double seconds; /* of training, of the model's life */
        lk_evaluation figures;
    } * rows;
    int count;
    char *path;
} lk_evaluations;
bool lk_evaluations_read(lk_evaluations *e, const char *dir, lk_error *err);
/* These two write the file anew, beside, and rename it: without rows of iterations after `last`, if there are any; and with
 * one more row. */
bool lk_evaluations_cut(lk_evaluations *e, int64_t last, lk_error *err);
bool lk_evaluations_add(lk_evaluations *e, const lk_evaluation *figures, double seconds, lk_error *err);
void lk_evaluations_close(lk_evaluations *e);
bool lk_evaluations_plot(const lk_evaluations *e, const char *png, int width, int height,
                         lk_error *err); /* evaluate_plot.c; of one row or more */

/* ---- Is it still learning? (watch.c) --------------------------------------------------------------------- */

typedef struct lk_watch {
    double recent[2], usual[2]; /* of src and dst */
    int64_t seen, leapt;        /* iterations since the beginning, and since the loss leapt */
} lk_watch;
/* After each iteration. False: the loss is no number, or leapt and stays where it is. Begin again (zero) where the loss
 * may change for a reason. */
bool lk_watch_losses(lk_watch *w, double src, double dst);

/* ---- What a job makes of a folder (start.c) -------------------------------------------------------------- */

typedef enum lk_beginning {
    LK_FRESH,
    LK_GOES_ON,
    LK_FROM_ANOTHER,     /* a new model, with the weights of job->init_from */
    LK_FROM_PRETRAINING, /* this model was pretrained, and now begins */
} lk_beginning;

/* Reads the folder's model into the record, or begins a new one, and enters what the job says. */
bool lk_start_record(const lk_train_job *job, lk_record *r, lk_beginning *how, lk_error *err);

#endif
