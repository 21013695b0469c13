/* Inside the merge room: OUT.parts, where a video is kept in parts, or a folder's pictures, until all is done, with the
 * session that made it. */
#ifndef LIKENESS_MERGE_STORE_H
#define LIKENESS_MERGE_STORE_H

#include "pipeline.h"

typedef struct lk_store {
    char *folder;
    bool keep;
} lk_store;

/* Makes the folder ready for this merge, and its session the job's. What an equal merge left is gone on with; what another
 * one left is removed. With --frames the parts must be there; those that hold the frames are taken out. The caller closes
 * the store, after a failure too. */
bool lk_store_open(lk_store *s, lk_merge_job *m, const char *output, lk_error *err);
void lk_store_remove_part(const lk_store *s, int64_t part);
/* done: the output is whole, and the parts go unless they are to be kept. Else whole parts stay. */
void lk_store_close(lk_store *s, bool done);

#endif
