/* Following faces from frame to frame: the mesh of one frame says where to look in the next; detection finds new faces and
 * those that were lost. */
#include "nets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST           64
#define LEAST_PRESENCE 0.5f
/* New faces are looked for this often while all known ones are being followed. */
#define LOOK_EVERY 12
/* A lost face that is found again within so many frames keeps its number. */
#define REMEMBER 25

typedef struct known {
    int track;
    int missed; /* frames since it was seen */
    lk_tracked_face face;
} known;

struct lk_tracker {
    lk_face_nets *nets;
    lk_detect_options options;
    int max_faces, next_track;
    int64_t frame;
    known faces[MOST];
    int count;
};

lk_tracker *lk_tracker_new(lk_face_nets *nets, const lk_detect_options *o, int max_faces, lk_error *err) {
    lk_tracker *t = lk_alloc(1, sizeof *t, err);
    if (!t) return NULL;
    t->nets = nets;
    t->options = *o;
    t->max_faces = max_faces < 1 ? 1 : max_faces > MOST ? MOST : max_faces;
    return t;
}

void lk_tracker_free(lk_tracker *t) { free(t); }

typedef struct box {
    float x, y, w, h;
} box;

static box box_of(const lk_mesh *m) {
    float x0 = INFINITY, x1 = -INFINITY, y0 = INFINITY, y1 = -INFINITY;
    for (int i = 0; i < 468; i++) {
        x0 = fminf(x0, m->x[i]);
        x1 = fmaxf(x1, m->x[i]);
        y0 = fminf(y0, m->y[i]);
        y1 = fmaxf(y1, m->y[i]);
    }
    return (box){x0, y0, x1 - x0, y1 - y0};
}

static float overlap(box a, box b) { return lk_overlap(a.x, a.y, a.w, a.h, b.x, b.y, b.w, b.h); }

static bool find_at(lk_tracker *t, const lk_image *rgb, lk_roi roi, lk_tracked_face *f, lk_error *err) {
    if (!lk_face_find_mesh(t->nets, rgb, roi, &f->mesh, &f->presence, err)) return false;
    f->points = lk_landmarks_from_mesh(&f->mesh);
    return true;
}

static bool follow(lk_tracker *t, const lk_image *rgb, lk_error *err) {
    for (int i = 0; i < t->count; i++) {
        known *k = &t->faces[i];
        if (k->missed) {
            k->missed++;
            continue;
        }
        lk_tracked_face f = {.track = k->track};
        if (!find_at(t, rgb, lk_roi_from_mesh(&k->face.mesh), &f, err)) return false;
        /* Off the middle of the square the mesh is less exact: a face that moved far is looked at once more. */
        float stayed = overlap(box_of(&f.mesh), box_of(&k->face.mesh));
        if (f.presence >= LEAST_PRESENCE && stayed > 0.2f && stayed < 0.7f &&
            !find_at(t, rgb, lk_roi_from_mesh(&f.mesh), &f, err))
            return false;
        /* A mesh that leaps away or changes its size at once has lost its face. */
        bool held = f.presence >= LEAST_PRESENCE && stayed > 0.2f;
        if (held)
            k->face = f;
        else
            k->missed = 1;
    }
    return true;
}

/* Two meshes that came to lie on one face: the older track keeps it. */
static void drop_doubles(lk_tracker *t) {
    for (int i = 0; i < t->count; i++)
        for (int j = i + 1; j < t->count;) {
            known *a = &t->faces[i], *b = &t->faces[j];
            bool same = !a->missed && !b->missed && overlap(box_of(&a->face.mesh), box_of(&b->face.mesh)) > 0.4f;
            if (same)
                *b = t->faces[--t->count];
            else
                j++;
        }
}

static void forget(lk_tracker *t) {
    for (int i = 0; i < t->count;)
        if (t->faces[i].missed > REMEMBER)
            t->faces[i] = t->faces[--t->count];
        else
            i++;
}

static int visible(const lk_tracker *t) {
    int n = 0;
    for (int i = 0; i < t->count; i++) n += !t->faces[i].missed;
    return n;
}

/* A found mesh belongs to the lost face that it overlaps most, or is a new one. */
static void adopt(lk_tracker *t, lk_tracked_face *f) {
    known *best = NULL;
    float most = 0.1f;
    for (int i = 0; i < t->count; i++) {
        float o = overlap(box_of(&f->mesh), box_of(&t->faces[i].face.mesh));
        if (!t->faces[i].missed || o <= most) continue;
        most = o;
        best = &t->faces[i];
    }
    if (!best) {
        if (t->count == MOST) return;
        best = &t->faces[t->count++];
        best->track = t->next_track++;
    }
    f->track = best->track;
    f->detected = true;
    best->face = *f;
    best->missed = 0;
}

static bool search(lk_tracker *t, const lk_image *rgb, bool small, lk_error *err) {
    lk_detection found[MOST];
    int count = lk_face_detect_in(t->nets, rgb, &t->options, small, found, MOST, err);
    if (count < 0) return false;
    for (int i = 0; i < count && visible(t) < t->max_faces; i++) {
        lk_tracked_face f = {0};
        if (!find_at(t, rgb, lk_roi_from_detection(&found[i]), &f, err)) return false;
        if (f.presence < LEAST_PRESENCE) continue;
        /* Once more from where the mesh itself says the face is. */
        if (!find_at(t, rgb, lk_roi_from_mesh(&f.mesh), &f, err)) return false;
        bool known_already = f.presence < LEAST_PRESENCE;
        for (int j = 0; j < t->count; j++)
            known_already |= !t->faces[j].missed && overlap(box_of(&f.mesh), box_of(&t->faces[j].face.mesh)) > 0.3f;
        if (!known_already) adopt(t, &f);
    }
    return true;
}

int lk_tracker_next(lk_tracker *t, const lk_image *rgb, lk_tracked_face *faces, int max, lk_error *err) {
    int before = visible(t);
    if (!follow(t, rgb, err)) return -1;
    drop_doubles(t);
    bool lost = visible(t) < before, due = t->frame % LOOK_EVERY == 0 && visible(t) < t->max_faces;
    /* With no face about, every frame is looked at as a whole, but only now and then for small ones. */
    bool look = lost || due || visible(t) == 0;
    if (look && !search(t, rgb, lost || due, err)) return -1;
    forget(t);
    t->frame++;
    int n = 0;
    for (int i = 0; i < t->count && n < max; i++)
        if (!t->faces[i].missed) faces[n++] = t->faces[i].face;
    return n;
}
