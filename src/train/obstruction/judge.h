#ifndef LIKENESS_TRAIN_OBSTRUCTION_JUDGE_H
#define LIKENESS_TRAIN_OBSTRUCTION_JUDGE_H

#include "obstruction.h"

/* A second executor, that looks at faces as they are. */
typedef struct lk_judge {
    const lk_obstruction_faces *faces;
    int size;
    lk_nn_exec *exec;
} lk_judge;

bool lk_judge_open(lk_judge *j, const lk_obstruction_faces *faces, const lk_obstruction_options *o, int device,
                   lk_error *err); /* device: lk_nn_device */
void lk_judge_close(lk_judge *j);
bool lk_judge_quality(lk_judge *j, const lk_nn_exec *e, lk_obstruction_quality *q, lk_error *err);
/* Rows of up to six faces (those kept aside where there are any): as it is, masked by hand, masked by the network. */
bool lk_judge_draw(lk_judge *j, const lk_nn_exec *e, const char *path, lk_error *err);

#endif
