#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "likeness/curate.h"
#include "likeness/media.h"

typedef struct track {
    int64_t source, number, faces, described;
    float *mean; /* [LK_DESCRIPTOR], of unit length once finished; NULL: not known */
    int person;
    double similarity;
} track;

typedef struct crowd {
    lk_people *people;
    track *tracks;
    int64_t count, room;
    int64_t *track_of; /* of each face */
} crowd;

static bool unit(float *v) {
    double sum = 0;
    for (int i = 0; i < LK_DESCRIPTOR; i++) sum += (double)v[i] * (double)v[i];
    for (int i = 0; sum > 0 && i < LK_DESCRIPTOR; i++) v[i] = (float)((double)v[i] / sqrt(sum));
    return sum > 0;
}

static double dot(const float *a, const float *b) {
    float sum = 0;
    for (int i = 0; i < LK_DESCRIPTOR; i++) sum += a[i] * b[i];
    return (double)sum;
}

/* ---- Tracks ------------------------------------------------------------------------------------------------- */

/* Most faces follow the one before: their track is the last, or one of the last few. */
static int64_t find_track(crowd *c, int64_t source, int64_t number, lk_error *err) {
    for (int64_t k = c->count - 1; k >= 0 && k >= c->count - 64; k--)
        if (c->tracks[k].source == source && c->tracks[k].number == number) return k;
    if (c->count == c->room) {
        int64_t room = c->room ? 2 * c->room : 64;
        track *more = realloc(c->tracks, (size_t)room * sizeof *more);
        if (!more) {
            lk_fail(err, LK_ERR_MEMORY, "no memory for %lld tracks", (long long)room);
            return -1;
        }
        c->tracks = more;
        c->room = room;
    }
    c->tracks[c->count] = (track){.source = source, .number = number, .person = -1, .similarity = -2};
    return c->count++;
}

static bool add_descriptor(lk_faceset *s, sqlite3_stmt *q, track *t, lk_error *err) {
    float v[LK_DESCRIPTOR];
    if (!lk_sql_floats(q, 3, v, LK_DESCRIPTOR))
        return lk_fail(err, LK_ERR_FORMAT, "%s is damaged: the descriptor of face %lld makes no sense", s->path,
                       (long long)sqlite3_column_int64(q, 0));
    if (!unit(v)) return true;
    if (!t->mean && !(t->mean = lk_alloc(LK_DESCRIPTOR, sizeof(float), err))) return false;
    for (int i = 0; i < LK_DESCRIPTOR; i++) t->mean[i] += v[i];
    t->described++;
    return true;
}

static bool gather(lk_faceset *s, crowd *c, lk_error *err) {
    lk_people *p = c->people;
    int64_t total = lk_faceset_count(s, NULL, err);
    if (total < 0) return false;
    size_t n = (size_t)total + 1;
    p->ids = lk_alloc(n, sizeof *p->ids, err);
    p->person = lk_alloc(n, sizeof *p->person, err);
    p->similarity = lk_alloc(n, sizeof *p->similarity, err);
    c->track_of = lk_alloc(n, sizeof *c->track_of, err);
    if (!p->ids || !p->person || !p->similarity || !c->track_of) return false;
    sqlite3_stmt *q = lk_sql_prepare(s,
                                     "SELECT id, source, track, vector FROM face LEFT JOIN descriptor ON face = id "
                                     "WHERE NOT removed ORDER BY source, frame, id",
                                     err);
    if (!q) return false;
    bool ok = true;
    int code = SQLITE_DONE;
    while (ok && (code = sqlite3_step(q)) == SQLITE_ROW && p->count < total) {
        int64_t k = find_track(c, sqlite3_column_int64(q, 1), sqlite3_column_int64(q, 2), err);
        ok = k >= 0 && (sqlite3_column_type(q, 3) == SQLITE_NULL || add_descriptor(s, q, &c->tracks[k], err));
        if (!ok) break;
        c->tracks[k].faces++;
        p->ids[p->count] = sqlite3_column_int64(q, 0);
        c->track_of[p->count++] = k;
    }
    if (ok && code != SQLITE_DONE && code != SQLITE_ROW) ok = lk_sql_fail(s->path, s->db, code, err);
    sqlite3_finalize(q);
    for (int64_t k = 0; ok && k < c->count; k++)
        if (c->tracks[k].mean) unit(c->tracks[k].mean);
    return ok;
}

/* ---- People ------------------------------------------------------------------------------------------------- */

static int by_faces(const void *a, const void *b) {
    const track *x = *(track *const *)a, *y = *(track *const *)b;
    if (x->faces != y->faces) return x->faces > y->faces ? -1 : 1;
    return x < y ? -1 : x > y;
}

typedef struct person {
    float *sum, *mean; /* [LK_DESCRIPTOR] */
    int64_t faces;
    int was;
} person;

static int by_weight(const void *a, const void *b) {
    const person *x = a, *y = b;
    if (x->faces != y->faces) return x->faces > y->faces ? -1 : 1;
    return x->was - y->was;
}

#define MOST_PEOPLE 1000

/* From the longest track on: each joins the person whose mean it is most like, or is a new one. */
static bool join(track **order, int64_t count, person *people, int *number, lk_error *err) {
    for (int64_t i = 0; i < count; i++) {
        track *t = order[i];
        if (!t->mean) continue;
        int best = -1;
        double most = -2;
        for (int k = 0; k < *number; k++) {
            double d = dot(t->mean, people[k].mean);
            if (d > most) {
                most = d;
                best = k;
            }
        }
        if (most < LK_SAME_PERSON && *number < MOST_PEOPLE) {
            best = (*number)++;
            people[best].was = best;
            people[best].sum = lk_alloc(2 * LK_DESCRIPTOR, sizeof(float), err);
            if (!people[best].sum) return false;
            people[best].mean = people[best].sum + LK_DESCRIPTOR;
        }
        person *p = &people[best];
        t->person = best;
        p->faces += t->faces;
        for (int d = 0; d < LK_DESCRIPTOR; d++) p->sum[d] += (float)t->faces * t->mean[d];
        memcpy(p->mean, p->sum, LK_DESCRIPTOR * sizeof(float));
        unit(p->mean);
    }
    return true;
}

static bool tell_apart(crowd *c, const float *like, lk_error *err) {
    track **order = lk_alloc((size_t)c->count + 1, sizeof *order, err);
    person *people = order ? lk_alloc(MOST_PEOPLE, sizeof *people, err) : NULL;
    int number = 0, *now = people ? lk_alloc(MOST_PEOPLE, sizeof *now, err) : NULL;
    bool ok = now != NULL;
    for (int64_t k = 0; ok && k < c->count; k++) order[k] = &c->tracks[k];
    if (ok) qsort(order, (size_t)c->count, sizeof(track *), by_faces);
    ok = ok && join(order, c->count, people, &number, err);
    if (ok) qsort(people, (size_t)number, sizeof *people, by_weight);
    for (int k = 0; ok && k < number; k++) now[people[k].was] = k;
    for (int64_t k = 0; ok && k < c->count; k++) {
        track *t = &c->tracks[k];
        if (!t->mean) continue;
        t->person = now[t->person];
        t->similarity = dot(t->mean, like ? like : people[t->person].mean);
    }
    for (int k = 0; k < number; k++) free(people[k].sum);
    c->people->people = number;
    free(now);
    free(people);
    free(order);
    return ok;
}

static bool people_of(lk_faceset *s, const float *like, lk_people *p, lk_error *err) {
    *p = (lk_people){0};
    crowd c = {.people = p};
    bool ok = gather(s, &c, err) && tell_apart(&c, like, err);
    for (int64_t i = 0; ok && i < p->count; i++) {
        p->person[i] = c.tracks[c.track_of[i]].person;
        p->similarity[i] = c.tracks[c.track_of[i]].similarity;
    }
    for (int64_t k = 0; k < c.count; k++) free(c.tracks[k].mean);
    free(c.tracks);
    free(c.track_of);
    if (!ok) lk_people_free(p);
    return ok;
}

bool lk_faceset_people(lk_faceset *s, lk_people *people, lk_error *err) { return people_of(s, NULL, people, err); }

static bool describe_picture(const char *path, float descriptor[LK_DESCRIPTOR], lk_error *err) {
    lk_image picture;
    if (!lk_image_load(path, &picture, err)) return false;
    lk_face_nets *nets = lk_face_nets_open(LK_NN_CPU, err);
    lk_detection all[16], *largest = all;
    lk_mesh mesh;
    float presence = 0;
    int count = nets ? lk_face_detect(nets, &picture, &(lk_detect_options){.rotations = true}, all, 16, err) : -1;
    for (int i = 1; i < count; i++)
        if (all[i].width * all[i].height > largest->width * largest->height) largest = &all[i];
    bool ok = count > 0 || (count == 0 && lk_fail(err, LK_ERR_NOT_FOUND, "%s: no face was found", path));
    ok = ok && lk_face_find_mesh(nets, &picture, lk_roi_from_detection(largest), &mesh, &presence, err);
    if (ok) {
        lk_landmarks points = lk_landmarks_from_mesh(&mesh);
        ok = lk_face_descriptor(nets, &picture, &points, descriptor, err) && unit(descriptor);
    }
    lk_face_nets_close(nets);
    lk_image_free(&picture);
    return ok;
}

bool lk_faceset_people_like(lk_faceset *s, const char *image, lk_people *people, lk_error *err) {
    float descriptor[LK_DESCRIPTOR];
    *people = (lk_people){0};
    return describe_picture(image, descriptor, err) && people_of(s, descriptor, people, err);
}

void lk_people_free(lk_people *p) {
    free(p->ids);
    free(p->person);
    free(p->similarity);
    *p = (lk_people){0};
}

/* ---- Descriptors for faces that have none ------------------------------------------------------------------- */

static bool describe_face(lk_faceset *s, lk_face_nets *nets, int64_t id, lk_face *f, lk_error *err) {
    void *jpeg = NULL;
    size_t size;
    lk_image crop = {0};
    bool ok = lk_faceset_get(s, id, f, err) && lk_faceset_jpeg(s, id, &jpeg, &size, err) &&
              (lk_jpeg_decode(jpeg, size, LK_MAX_CROP_SIDE, &crop, err) ||
               lk_fail_in(err, "%s: face %lld", s->path, (long long)id)) &&
              lk_face_descriptor(nets, &crop, &f->crop_points, f->descriptor, err);
    lk_image_free(&crop);
    free(jpeg);
    sqlite3_stmt *q = ok ? lk_sql_statement(s, STATEMENT_ADD_DESCRIPTOR, err) : NULL;
    if (!q) return false;
    return sqlite3_bind_int64(q, 1, id) == SQLITE_OK && lk_sql_bind_floats(q, 2, f->descriptor, LK_DESCRIPTOR)
               ? lk_sql_done(s, q, err)
               : lk_sql_fail(s->path, s->db, SQLITE_NOMEM, err);
}

bool lk_faceset_describe(lk_faceset *s, int each, int64_t *described, lk_error *err) {
    *described = 0;
    if (each < 1) return lk_fail(err, LK_ERR_USAGE, "one of every 1 or more faces is described, not of %d", each);
    if (!lk_sql_writable(s, err)) return false;
    char *sql =
        lk_format(err,
                  "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY source, track ORDER BY frame, id) "
                  "AS n FROM face WHERE NOT removed) WHERE n %% %d = %d AND id NOT IN (SELECT face FROM "
                  "descriptor) ORDER BY id",
                  each, 1 % each);
    int64_t *ids = NULL, count = sql ? lk_sql_ids(s, sql, &ids, err) : -1;
    free(sql);
    if (count <= 0) return count == 0;
    lk_face_nets *nets = lk_face_nets_open(LK_NN_CPU, err);
    lk_face *f = nets ? lk_alloc(1, sizeof *f, err) : NULL;
    bool ok = f != NULL;
    lk_progress progress;
    lk_progress_begin(&progress, "describing faces", (double)count);
    for (int64_t i = 0; ok && i < count; i++) {
        ok = !lk_interrupted() ? describe_face(s, nets, ids[i], f, err)
                               : lk_fail(err, LK_ERR_INTERRUPTED, "interrupted; run the same command again to go on");
        *described += ok;
        lk_progress_update(&progress, (double)(i + 1), NULL);
    }
    lk_progress_end(&progress);
    free(f);
    lk_face_nets_close(nets);
    free(ids);
    return ok;
}
