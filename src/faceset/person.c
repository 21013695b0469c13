/* Who a set is of: tracks whose mean identity descriptors are alike are one person. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define SAME_PERSON 0.65 /* cosine; two clips of one man give 0.87 on average, two men 0.49 */
#define CANDIDATES  100  /* the heaviest tracks, of which one must be of the person */

typedef struct member {
    int64_t id, source;
    int track;
    double weight; /* area in the frame, pixels */
    bool described;
} member;

typedef struct track {
    int64_t first, count; /* members */
    double weight;
    int64_t described;
    float *mean; /* [LK_DESCRIPTOR], of unit length; NULL: nothing is known of its identity */
} track;

typedef struct crowd {
    member *members;
    int64_t count;
    track *tracks;
    int64_t track_count;
    float *means;
} crowd;

static int by_track(const void *a, const void *b) {
    const member *x = a, *y = b;
    if (x->source != y->source) return x->source < y->source ? -1 : 1;
    if (x->track != y->track) return x->track < y->track ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int by_weight(const void *a, const void *b) {
    const track *x = a, *y = b;
    return x->weight > y->weight ? -1 : x->weight < y->weight ? 1 : 0;
}

static bool read_members(lk_faceset *s, lk_face *face, crowd *c, lk_error *err) {
    int64_t *ids, count = lk_faceset_ids(s, NULL, &ids, err);
    if (count < 0) return false;
    bool ok = (c->members = lk_alloc((size_t)count + 1, sizeof *c->members, err)) != NULL;
    for (int64_t i = 0; ok && i < count; i++) {
        ok = lk_faceset_get(s, ids[i], face, err);
        if (!ok) break;
        double area = (double)face->bounds.width * face->bounds.height;
        c->members[c->count++] = (member){face->id, face->source, face->track, area, face->has_descriptor};
    }
    free(ids);
    return ok;
}

static bool same_track(const member *a, const member *b) { return a->source == b->source && a->track == b->track; }

static bool gather_tracks(crowd *c, lk_error *err) {
    qsort(c->members, (size_t)c->count, sizeof *c->members, by_track);
    for (int64_t i = 0; i < c->count; i++) c->track_count += i == 0 || !same_track(&c->members[i], &c->members[i - 1]);
    c->tracks = lk_alloc((size_t)c->track_count + 1, sizeof *c->tracks, err);
    c->means = c->tracks ? lk_alloc((size_t)c->track_count + 1, LK_DESCRIPTOR * sizeof(float), err) : NULL;
    if (!c->means) return false;
    track *t = c->tracks - 1;
    for (int64_t i = 0; i < c->count; i++) {
        const member *m = &c->members[i];
        if (i == 0 || !same_track(m, m - 1)) (++t)->first = i;
        t->count++;
        t->weight += m->weight;
        t->described += m->described;
    }
    return true;
}

static void to_unit_length(float v[LK_DESCRIPTOR]) {
    double sum = 0;
    for (int i = 0; i < LK_DESCRIPTOR; i++) sum += (double)v[i] * v[i];
    for (int i = 0; sum > 0 && i < LK_DESCRIPTOR; i++) v[i] = (float)(v[i] / sqrt(sum));
}

static bool describe_tracks(lk_faceset *s, lk_face *face, crowd *c, lk_error *err) {
    for (int64_t k = 0; k < c->track_count; k++) {
        track *t = &c->tracks[k];
        if (t->described == 0) continue;
        t->mean = c->means + LK_DESCRIPTOR * k;
        for (int64_t i = t->first; i < t->first + t->count; i++) {
            if (!c->members[i].described) continue;
            if (!lk_faceset_get(s, c->members[i].id, face, err)) return false;
            to_unit_length(face->descriptor);
            for (int d = 0; d < LK_DESCRIPTOR; d++) t->mean[d] += face->descriptor[d];
        }
        to_unit_length(t->mean);
    }
    return true;
}

/* The mean of the person who takes up most of the picture over all tracks. False when no identity is known. */
static bool main_person(crowd *c, float person[LK_DESCRIPTOR]) {
    qsort(c->tracks, (size_t)c->track_count, sizeof *c->tracks, by_weight);
    double most = 0;
    for (int64_t k = 0; k < c->track_count && k < CANDIDATES; k++) {
        if (!c->tracks[k].mean) continue;
        float sum[LK_DESCRIPTOR] = {0};
        double weight = 0;
        for (int64_t i = 0; i < c->track_count; i++) {
            const track *t = &c->tracks[i];
            if (!t->mean || lk_descriptor_similarity(t->mean, c->tracks[k].mean) < SAME_PERSON) continue;
            weight += t->weight;
            for (int d = 0; d < LK_DESCRIPTOR; d++) sum[d] += (float)t->weight * t->mean[d];
        }
        if (weight <= most) continue;
        most = weight;
        memcpy(person, sum, sizeof sum);
    }
    return most > 0;
}

static bool remove_others(lk_faceset *s, const crowd *c, const float person[LK_DESCRIPTOR], int64_t *removed,
                          lk_error *err) {
    if (!lk_faceset_begin(s, err)) return false;
    bool ok = true;
    for (int64_t k = 0; ok && k < c->track_count; k++) {
        const track *t = &c->tracks[k];
        if (!t->mean || lk_descriptor_similarity(t->mean, person) >= SAME_PERSON) continue;
        for (int64_t i = t->first; ok && i < t->first + t->count; i++)
            ok = lk_faceset_set_removed(s, c->members[i].id, true, err);
        *removed += t->count;
    }
    if (ok) return lk_faceset_commit(s, err);
    lk_faceset_rollback(s);
    return false;
}

bool lk_faceset_keep_main_person(lk_faceset *s, int64_t *removed, lk_error *err) {
    crowd c = {0};
    float person[LK_DESCRIPTOR];
    *removed = 0;
    lk_face *face = lk_alloc(1, sizeof *face, err);
    bool ok = face && read_members(s, face, &c, err) && gather_tracks(&c, err) && describe_tracks(s, face, &c, err);
    if (ok && main_person(&c, person)) ok = remove_others(s, &c, person, removed, err);
    free(c.means);
    free(c.tracks);
    free(c.members);
    free(face);
    return ok;
}
