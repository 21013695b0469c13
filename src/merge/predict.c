#include <math.h>
#include <string.h>

#include "pipeline.h"

/* A place in a batch, and the frame it is of. */
typedef struct place {
    lk_face_job *face;
    int64_t frame;
} place;

/* By the bits of the exponent: loops over floats are compiled without regard to NaN's order. */
static bool is_finite(const float *v, size_t n) {
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &v[i], sizeof bits);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    return most < 0x7f800000;
}

static bool predict_batch(lk_person *p, const place *places, int count, const char *input, lk_error *err) {
    size_t area = (size_t)p->side * (size_t)p->side, picture = 3 * area;
    for (int i = 0; i < count; i++)
        memcpy(p->faces + (size_t)i * picture, places[i].face->crop.data, picture * sizeof(float));
    if (!lk_model_predict(p->model, p->faces, count, p->swap, p->mask, err))
        return lk_fail_in(err, "a face of %s cannot be predicted", input);
    for (int i = 0; i < count; i++) {
        const float *swap = p->swap + (size_t)i * picture, *mask = p->mask + (size_t)i * area;
        if (!is_finite(swap, picture) || (!p->no_mask && !is_finite(mask, area)))
            return lk_fail(
                err, LK_ERR_FORMAT,
                "the model %s predicts numbers that are none (NaN) for frame %lld of %s: go back to a backup "
                "of it",
                p->dir, (long long)places[i].frame, input);
        memcpy(places[i].face->swap.data, swap, picture * sizeof(float));
        if (!p->no_mask) memcpy(places[i].face->mask.data, mask, area * sizeof(float));
    }
    return true;
}

bool lk_predict_frames(lk_merge_job *m, lk_frame_job *const *jobs, int count, lk_error *err) {
    for (int k = 0; k < m->person_count; k++) {
        lk_person *p = &m->people[k];
        place places[LK_MERGE_BATCH];
        int n = 0;
        for (int i = 0; i < count; i++)
            for (int f = 0; f < jobs[i]->count; f++) {
                if (jobs[i]->faces[f].person != k) continue;
                places[n++] = (place){&jobs[i]->faces[f], jobs[i]->index};
                if (n < p->batch) continue;
                if (!predict_batch(p, places, n, m->input, err)) return false;
                n = 0;
            }
        if (n > 0 && !predict_batch(p, places, n, m->input, err)) return false;
    }
    return true;
}
