#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "dfl.h"
#include "internal.h"
#include "likeness/media.h"
#include "look.h"
#include "masks.h"

#define BATCH 64 /* files read together and stored in one transaction */

typedef enum outcome { TAKEN, FOREIGN, DAMAGED } outcome;

typedef struct job {
    const char *folder, *name;
    const lk_import_options *options;
    void *bytes;
    size_t size;
    lk_image crop; /* kept only where the face is still to be found */
    lk_dfl_face dfl;
    lk_face face;
    lk_look look;
    char claim[65];
    json_t *polygons; /* NULL: none */
    lk_image mask;    /* by DeepFaceLab's network; no data: none */
    outcome outcome;
    lk_error err;
} job;

typedef struct importer {
    lk_faceset *set;
    const lk_import_options *options;
    lk_source source;
    int64_t last_before; /* faces up to this id were there before */
    lk_face_nets *nets;  /* opened when first needed */
    lk_import_report report;
} importer;

/* ---- One picture -------------------------------------------------------------------------------------------- */

/* The number at the end of a name, before its extension: −1 when there is none. */
static int64_t number_of(const char *name) {
    const char *dot = strrchr(name, '.'), *end = dot ? dot : name + strlen(name), *start = end;
    while (start > name && start[-1] >= '0' && start[-1] <= '9') start--;
    return start == end || end - start > 15 ? -1 : strtoll(start, NULL, 10);
}

/* Two pictures with the same claim show the same face of the same frame, cut in the same way. */
static void make_claim(job *j) {
    unsigned char bytes[sizeof j->dfl.source_filename + 2 * sizeof(lk_landmarks)] = {0};
    memcpy(bytes, j->dfl.source_filename, strlen(j->dfl.source_filename));
    memcpy(bytes + sizeof j->dfl.source_filename, &j->dfl.points, sizeof(lk_landmarks));
    memcpy(bytes + sizeof j->dfl.source_filename + sizeof(lk_landmarks), &j->dfl.crop_points, sizeof(lk_landmarks));
    lk_sha256(bytes, sizeof bytes, j->claim);
}

/* DeepFaceLab's numbers of frames begin with 1, ours with 0; a picture without a number is a frame of its own. */
static void fill_face(job *j, int side) {
    int64_t number = number_of(j->dfl.source_filename) - j->options->first_number;
    j->face = (lk_face){.type = j->dfl.type, .size = side, .frame_to_crop = j->dfl.frame_to_crop, .presence = 1};
    j->face.frame = number < 0 ? -1 : number;
    j->face.points = j->dfl.points;
    j->face.crop_points = j->dfl.crop_points;
    j->face.pose = lk_face_pose_of_landmarks(&j->dfl.points);
    j->face.bounds = lk_landmarks_bounds(&j->dfl.points);
    make_claim(j);
}

static bool fails(job *j, outcome o) {
    j->outcome = o;
    return false;
}

static bool decode(job *j) {
    if (!lk_jpeg_decode(j->bytes, j->size, LK_MAX_CROP_SIDE, &j->crop, &j->err)) return fails(j, DAMAGED);
    if (j->crop.width == j->crop.height) return true;
    lk_fail(&j->err, LK_ERR_FORMAT, "it has %d×%d pixels, and an aligned face is square", j->crop.width,
            j->crop.height);
    return fails(j, j->options->plain ? DAMAGED : FOREIGN);
}

/* A mask that makes no sense is left out; the face is not, and its file keeps it. */
static void understand_masks(job *j, const lk_pickle *p) {
    lk_error why = {0};
    if (!lk_dfl_polygons(p, &j->polygons, &why))
        lk_log(LK_LOG_WARN, "%s: its polygons are left out: %s", j->name, why.message);
    if (!lk_dfl_mask(p, j->crop.width, &j->mask, &why))
        lk_log(LK_LOG_WARN, "%s: its xseg_mask is left out: %s", j->name, why.message);
}

static bool understand(job *j, const lk_dfl_place *place) {
    lk_pickle p;
    if (!lk_pickle_read(&p, (const uint8_t *)j->bytes + place->data, place->data_size, &j->err))
        return fails(j, DAMAGED);
    bool ok = lk_dfl_understand(&p, j->crop.width, &j->dfl, &j->err);
    if (ok) understand_masks(j, &p);
    lk_pickle_free(&p);
    if (!ok) return fails(j, j->err.code == LK_ERR_NOT_FOUND ? FOREIGN : DAMAGED);
    if (!*j->dfl.source_filename && strlen(j->name) < sizeof j->dfl.source_filename)
        memcpy(j->dfl.source_filename, j->name, strlen(j->name) + 1);
    return true;
}

static bool read_picture(job *j) {
    lk_dfl_place place;
    char *path = lk_path_join(j->folder, j->name, &j->err);
    bool ok = path && lk_file_read(path, LK_MAX_CROP_BYTES - 1, &j->bytes, &j->size, &j->err);
    free(path);
    if (!ok || !lk_dfl_find(j->bytes, j->size, &place, &j->err)) return fails(j, DAMAGED);
    if (place.block_size) {
        if (!decode(j) || !understand(j, &place)) return false;
        fill_face(j, j->crop.width);
        if (!lk_measure_crop(&j->crop, &j->face, &j->look, &j->err)) return fails(j, DAMAGED);
        lk_image_free(&j->crop);
        return true;
    }
    if (j->options->plain) return decode(j); /* the face is found later, by networks that serve one thread */
    lk_fail(&j->err, LK_ERR_NOT_FOUND, "it holds no data of an aligned face");
    return fails(j, FOREIGN);
}

static void read_job(int i, void *user) { read_picture((job *)user + i); }

/* ---- Pictures without data ---------------------------------------------------------------------------------- */

static bool find_face(importer *m, job *j) {
    lk_detection found;
    lk_mesh mesh;
    float presence = 0;
    int count = lk_face_detect(m->nets, &j->crop, &(lk_detect_options){0}, &found, 1, &j->err);
    if (count < 0) return fails(j, DAMAGED);
    if (count == 0 || !lk_face_find_mesh(m->nets, &j->crop, lk_roi_from_detection(&found), &mesh, &presence, &j->err) ||
        presence < 0.5f) {
        lk_fail(&j->err, LK_ERR_NOT_FOUND, "no face was found in it");
        return fails(j, FOREIGN);
    }
    lk_landmarks points = lk_landmarks_from_mesh(&mesh);
    j->dfl = (lk_dfl_face){.type = m->options->type, .points = points, .crop_points = points};
    j->dfl.frame_to_crop = (lk_affine){{{1, 0, 0}, {0, 1, 0}}};
    if (strlen(j->name) < sizeof j->dfl.source_filename) memcpy(j->dfl.source_filename, j->name, strlen(j->name) + 1);
    fill_face(j, j->crop.width);
    j->face.mesh = mesh;
    j->face.has_mesh = true;
    j->face.pose = lk_face_pose(&mesh);
    j->face.presence = presence;
    return lk_measure_crop(&j->crop, &j->face, &j->look, &j->err) || fails(j, DAMAGED);
}

/* False only when the networks cannot be had. */
static bool find_faces(importer *m, job *jobs, int count, lk_error *err) {
    for (int i = 0; i < count; i++) {
        if (jobs[i].outcome != TAKEN || !jobs[i].crop.data) continue;
        if (!m->nets && !(m->nets = lk_face_nets_open(LK_NN_CPU, err))) return false;
        find_face(m, &jobs[i]);
    }
    return true;
}

/* ---- Storing ------------------------------------------------------------------------------------------------ */

/* Who has this claim already: 0, nobody; caller frees *name. */
static bool look_up(lk_faceset *s, const char *claim, int64_t *face, char **name, lk_error *err) {
    sqlite3_stmt *q = lk_sql_prepare(s, "SELECT face, name FROM origin WHERE claim = ?", err);
    *face = 0;
    *name = NULL;
    if (!q) return false;
    sqlite3_bind_text(q, 1, claim, -1, SQLITE_STATIC);
    int code = sqlite3_step(q);
    bool ok = code == SQLITE_ROW || code == SQLITE_DONE || lk_sql_fail(s->path, s->db, code, err);
    if (code == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(q, 1);
        *face = sqlite3_column_int64(q, 0);
        ok = (*name = lk_strdup(text ? text : "?", err)) != NULL;
    }
    sqlite3_finalize(q);
    return ok;
}

static bool store_origin(lk_faceset *s, const job *j, lk_error *err) {
    sqlite3_stmt *q = lk_sql_statement(s, STATEMENT_ADD_ORIGIN, err);
    if (!q) return false;
    sqlite3_bind_int64(q, 1, j->face.id);
    sqlite3_bind_text(q, 2, j->name, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(q, 3, j->claim, -1, SQLITE_TRANSIENT);
    return lk_sql_done(s, q, err);
}

/* They say what the file says: the face is not changed by them. */
static bool store_masks(lk_faceset *s, const job *j, lk_error *err) {
    bool ok = true;
    if (j->polygons) {
        char *text = json_dumps(j->polygons, JSON_COMPACT | JSON_REAL_PRECISION(9));
        ok = (text || lk_fail(err, LK_ERR_MEMORY, "no memory for polygons")) &&
             lk_mask_write(s, j->face.id, LK_MASK_KIND_POLYGONS, text, strlen(text), false, err);
        free(text);
    }
    if (ok && j->mask.data) {
        void *png;
        size_t size;
        ok = lk_png_encode(&j->mask, &png, &size, err);
        if (!ok) return false;
        ok = lk_mask_write(s, j->face.id, LK_MASK_KIND_TRAINED, png, size, false, err);
        free(png);
    }
    return ok;
}

static bool store(importer *m, job *j, int64_t index, lk_error *err) {
    int64_t other;
    char *name;
    if (j->outcome != TAKEN) {
        lk_log(LK_LOG_WARN, "%s is left out: %s", j->name, j->err.message);
        if (j->outcome == FOREIGN)
            m->report.foreign++;
        else
            m->report.damaged++;
        return true;
    }
    if (!look_up(m->set, j->claim, &other, &name, err)) return false;
    if (other > m->last_before) lk_log(LK_LOG_WARN, "%s is left out: it claims the same face as %s", j->name, name);
    free(name);
    if (other) {
        if (other > m->last_before)
            m->report.twice++;
        else
            m->report.already++;
        return true;
    }
    j->face.source = m->source.id;
    if (j->face.frame < 0) j->face.frame = index;
    j->face.time = (double)j->face.frame;
    j->face.track = (int)index; /* nobody followed it */
    if (!lk_faceset_add(m->set, &j->face, j->bytes, j->size, err)) return lk_fail_in(err, "%s", j->name);
    m->report.added++;
    return store_origin(m->set, j, err) && store_masks(m->set, j, err) &&
           lk_look_store(m->set, j->face.id, &j->look, err);
}

static bool import_batch(importer *m, job *jobs, int count, int64_t first, bool last, lk_error *err) {
    lk_parallel_for(count, read_job, jobs);
    lk_import_report before = m->report;
    bool ok = (!m->options->plain || find_faces(m, jobs, count, err)) && lk_faceset_begin(m->set, err);
    bool begun = ok;
    for (int i = 0; ok && i < count; i++) ok = store(m, &jobs[i], first + i, err);
    if (ok && last) {
        m->source.complete = true;
        ok = lk_faceset_update_source(m->set, &m->source, err);
    }
    if (begun && ok)
        ok = lk_faceset_commit(m->set, err);
    else if (begun)
        lk_faceset_rollback(m->set);
    if (!ok) m->report = before; /* of this batch nothing is there */
    for (int i = 0; i < count; i++) {
        lk_image_free(&jobs[i].crop);
        lk_image_free(&jobs[i].mask);
        json_decref(jobs[i].polygons);
        free(jobs[i].bytes);
    }
    return ok;
}

/* ---- The folder --------------------------------------------------------------------------------------------- */

static int is_picture(const struct dirent *e) {
    const char *dot = strrchr(e->d_name, '.');
    return e->d_name[0] != '.' && dot &&
           (!strcasecmp(dot, ".jpg") || !strcasecmp(dot, ".jpeg") || !strcasecmp(dot, ".png"));
}

static int64_t last_id(lk_faceset *s, lk_error *err) {
    int64_t *ids, last = -1;
    if (lk_sql_ids(s, "SELECT coalesce(max(id), 0) FROM face", &ids, err) == 1) last = ids[0];
    free(ids);
    return last;
}

/* The source of a folder that was begun before is used again. */
static bool find_source(importer *m, const char *folder, int64_t files, lk_error *err) {
    char *full = realpath(folder, NULL);
    if (!full) return lk_fail_errno(err, "%s cannot be read", folder);
    lk_source *v = &m->source;
    bool ok = strlen(full) < sizeof v->path ||
              lk_fail(err, LK_ERR_UNSUPPORTED, "%s: the path is longer than %zu bytes", folder, sizeof v->path - 1);
    if (ok) memcpy(v->path, full, strlen(full) + 1);
    free(full);
    char *words = ok ? lk_format(err, "aligned faces of %s", v->path) : NULL;
    if (!words) return false;
    lk_sha256(words, strlen(words), v->fingerprint);
    free(words);
    v->frames = files;
    lk_source *sources;
    int count = lk_faceset_sources(m->set, &sources, err);
    for (int i = 0; i < count; i++)
        if (strcmp(sources[i].fingerprint, v->fingerprint) == 0) v->id = sources[i].id;
    free(sources);
    if (count < 0) return false;
    return v->id ? lk_faceset_update_source(m->set, v, err) : lk_faceset_add_source(m->set, v, err);
}

static bool import_all(importer *m, const char *folder, struct dirent **list, int count, lk_error *err) {
    job *jobs = lk_alloc(BATCH, sizeof *jobs, err);
    if (!jobs) return false;
    lk_progress progress;
    lk_progress_begin(&progress, "importing faces", count);
    bool ok = true;
    for (int at = 0; ok && at < count; at += BATCH) {
        int n = count - at < BATCH ? count - at : BATCH;
        for (int i = 0; i < n; i++)
            jobs[i] = (job){.folder = folder, .name = list[at + i]->d_name, .options = m->options};
        ok = !lk_interrupted() ? import_batch(m, jobs, n, at, at + n == count, err)
                               : lk_fail(err, LK_ERR_INTERRUPTED, "interrupted; run the same command again to go on");
        lk_progress_update(&progress, at + n, NULL);
    }
    lk_progress_end(&progress);
    free(jobs);
    return ok;
}

bool lk_faceset_import(lk_faceset *s, const char *folder, const lk_import_options *o, lk_import_report *report,
                       lk_error *err) {
    importer m = {.set = s, .options = o};
    struct dirent **list = NULL;
    double start = lk_now();
    if (report) *report = m.report;
    if (!lk_sql_writable(s, err) || (m.last_before = last_id(s, err)) < 0) return false;
    int count = scandir(folder, &list, is_picture, versionsort);
    if (count < 0) return lk_fail_errno(err, "%s cannot be read", folder);
    bool ok = count > 0 || lk_fail(err, LK_ERR_NOT_FOUND, "%s holds no JPEG or PNG", folder);
    m.report.files = count;
    ok = ok && find_source(&m, folder, count, err) && import_all(&m, folder, list, count, err);
    for (int i = 0; i < count; i++) free(list[i]);
    free(list);
    lk_face_nets_close(m.nets);
    m.report.seconds = lk_now() - start;
    if (report) *report = m.report;
    return ok;
}
