/* What the masks of a set say of it for a report: how much of each face something hides. */
#include <stdlib.h>

#include "internal.h"
#include "masks.h"
#include "report.h"

#define HIDDEN 0.03 /* of the hull; less is its own edge */

static bool hidden_share(lk_faceset *s, const lk_face *f, double *share, lk_error *err) {
    lk_image mask = {0}, hull = {0};
    int64_t all = 0, left = 0;
    bool ok = lk_faceset_mask(s, f, LK_MASKS_ALL, &mask, NULL, err) && lk_faceset_mask(s, f, 0, &hull, NULL, err);
    for (int y = 0; ok && y < f->size; y++)
        for (int x = 0; x < f->size; x++) {
            bool in = lk_row_u8(&hull, y)[x] > 127;
            all += in;
            left += in && lk_row_u8(&mask, y)[x] > 127; /* a network's edges are soft */
        }
    *share = all ? 1 - (double)left / (double)all : 0;
    lk_image_free(&mask);
    lk_image_free(&hull);
    return ok;
}

static int most_first(const void *a, const void *b) {
    const lk_hidden *x = a, *y = b;
    if (x->share != y->share) return x->share < y->share ? 1 : -1;
    return x->id < y->id ? -1 : x->id > y->id;
}

bool lk_hidden_measure(lk_side *side, lk_error *err) {
    lk_faceset *s = side->set;
    int64_t *ids, count = lk_sql_ids(s,
                                     "SELECT DISTINCT face FROM mask WHERE face IN (SELECT id FROM face WHERE NOT "
                                     "removed) ORDER BY face",
                                     &ids, err);
    lk_face *f = count >= 0 ? lk_alloc(1, sizeof *f, err) : NULL;
    side->hidden = f ? lk_alloc((size_t)count + 1, sizeof *side->hidden, err) : NULL;
    bool ok = side->hidden != NULL;
    side->masked = count;
    for (int64_t i = 0; ok && i < count; i++) {
        lk_hidden h = {.id = ids[i]};
        ok = lk_faceset_get(s, ids[i], f, err) && hidden_share(s, f, &h.share, err);
        h.frame = f->frame;
        if (ok && h.share > HIDDEN) side->hidden[side->hidden_count++] = h;
    }
    if (ok) qsort(side->hidden, (size_t)side->hidden_count, sizeof *side->hidden, most_first);
    free(f);
    free(ids);
    return ok;
}
