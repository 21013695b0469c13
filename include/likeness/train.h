/* train: sampling, the loop, previews, history, checkpoints. A model is a folder; see docs/model-folder.md. */
#ifndef LIKENESS_TRAIN_H
#define LIKENESS_TRAIN_H

#include "likeness/faceset.h"
#include "likeness/swap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What may change at any restart. */
typedef struct lk_train_options {
    int batch;
    double time;                   /* stop after so many seconds of training in this run; 0: no limit */
    int64_t iterations;            /* stop at this iteration of the model's life; 0: no limit */
    double save_every;             /* seconds */
    int64_t save_every_iterations; /* 0: by time alone */
    uint64_t seed;
    bool flip;
    double src_scale; /* src face scale modifier, percent */
} lk_train_options;
extern const lk_option lk_train_option_table[]; /* over lk_train_options */

/* Opens the folder's model or starts a new one (config counts only then, or must agree), trains until told to stop,
 * saves. An interrupt saves and returns true. */
bool lk_train(const char *model_dir, const char *src_faces, const char *dst_faces, const lk_swap_config *config,
              const lk_train_options *options, lk_error *err);

/* A preview on the next occasion (SIGUSR1); async-signal-safe. */
void lk_train_request_preview(void);

/* ---- A trained model, for merging ------------------------------------------------------------------------ */

typedef struct lk_model lk_model;
/* Falls back to the save before when the newest is damaged, and says so in the log. batch: faces per prediction. */
lk_model *lk_model_open(const char *model_dir, int batch, lk_error *err);
void lk_model_close(lk_model *m);
const lk_swap_config *lk_model_config(const lk_model *m);
int64_t lk_model_iteration(const lk_model *m);
int lk_model_batch(const lk_model *m);
/* faces: [count, 3, R, R] channels-last in [0, 1], count ≤ batch → swap [count, 3, R, R], mask [count, 1, R, R] */
bool lk_model_predict(lk_model *m, const float *faces, int count, float *swap, float *mask, lk_error *err);

#ifdef __cplusplus
}
#endif
#endif
