/* A .faces file of any content: opened, and everything read that it may hold. The first byte tells how it comes about: 0, the
 * rest is the file; else the rest is what columns of a sound file, open already, are overwritten with, until it is rolled
 * back. */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"
#include "likeness/curate.h"
#include "likeness/faceset.h"
#include "likeness/masks.h"

#define FACES 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char folder[64], sound[96], file[96];
static lk_faceset *opened;

/* Columns that hold what a program could trip over, by table. */
static const char *const columns[] = {
    "face.source", "face.frame",       "face.time",      "face.track",     "face.type",          "face.size",
    "face.points", "face.crop_points", "face.yaw",       "face.presence",  "face.frame_to_crop", "face.mean_l",
    "face.x",      "face.width",       "face.removed",   "mesh.points",    "descriptor.vector",  "crop.jpeg",
    "look.hue",    "look.histogram",   "look.thumbnail", "place.position", "mask.kind",          "mask.data",
    "source.path", "source.width",     "source.frames",  "source.fps",     "source.complete",    "source.fingerprint",
};

#define COLUMNS (sizeof columns / sizeof *columns)
static sqlite3_stmt *updates[COLUMNS];

static void remove_all(void) {
    for (size_t i = 0; i < COLUMNS; i++) sqlite3_finalize(updates[i]);
    lk_faceset_close(opened);
    unlink(sound);
    unlink(file);
    rmdir(folder);
}

static void must(bool ok, const lk_error *err) {
    if (ok) return;
    fprintf(stderr, "the fuzzer cannot begin: %s\n", err->message);
    exit(1);
}

static void make_sound(void) {
    lk_error err = {0};
    lk_faceset *s = lk_faceset_create(sound, &err);
    lk_source source = {.width = 320, .height = 240, .frames = FACES, .fps = 25, .complete = true, .path = "a.mp4"};
    memset(source.fingerprint, 'a', 64);
    must(s && lk_faceset_add_source(s, &source, &err), &err);
    static lk_face f;
    for (int i = 0; i < FACES; i++) {
        f = (lk_face){.source = source.id, .frame = i, .type = LK_FACE_FULL, .size = 64, .presence = 1};
        f.has_mesh = f.has_descriptor = true;
        f.frame_to_crop = (lk_affine){{{1, 0, 0}, {0, 1, 0}}};
        for (int p = 0; p < LK_LANDMARKS; p++)
            f.points.p[p] = (lk_point){8 + (float)(p % 9 * 6), 8 + (float)(p / 9 * 6)};
        f.crop_points = f.points;
        f.descriptor[i] = 1;
        f.bounds = lk_landmarks_bounds(&f.points);
        must(lk_faceset_add(s, &f, "no picture", 10, &err), &err);
        json_t *polygons = json_pack("{s:[[[i,i],[i,i],[i,i]]]}", "include", 1, 1, 60, 1, 30, 60);
        bool drawn = i != 1 || lk_faceset_put_polygons(s, f.id, polygons, &err);
        json_decref(polygons);
        must(drawn, &err);
    }
    lk_faceset_close(s);
}

static void open_sound(void) {
    lk_error err = {0};
    opened = lk_faceset_open(sound, true, &err);
    must(opened != NULL, &err);
    sqlite3_exec(opened->db, "PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF", NULL, NULL, NULL);
    for (size_t i = 0; i < COLUMNS; i++) {
        char sql[200];
        snprintf(sql, sizeof sql, "UPDATE %.*s SET %s = ?1 WHERE rowid = ?2 OR ?2 = 0", (int)strcspn(columns[i], "."),
                 columns[i], strchr(columns[i], '.') + 1);
        if (sqlite3_prepare_v2(opened->db, sql, -1, &updates[i], NULL) != SQLITE_OK) exit(1);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    snprintf(folder, sizeof folder, "%s/faces-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder)) exit(1);
    snprintf(sound, sizeof sound, "%s/sound.faces", folder);
    snprintf(file, sizeof file, "%s/made.faces", folder);
    atexit(remove_all);
    make_sound();
    open_sound();
    return 0;
}

static bool write_file(const void *data, size_t size) {
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    bool ok = fd >= 0 && write(fd, data, size) == (ssize_t)size;
    if (fd >= 0) close(fd);
    return ok;
}

/* Each piece of the data: which column, of which face, as which type, how long, and so many bytes. */
static void overwrite(const uint8_t *data, size_t size) {
    for (int most = 8; size >= 4 && most > 0; most--) {
        sqlite3_stmt *q = updates[data[0] % COLUMNS];
        int row = data[1] % (FACES + 1), type = data[2] % 4;
        size_t length = data[3] * (size_t)(1 + data[2] / 4);
        data += 4;
        size -= 4;
        if (length > size) length = size;
        double number = 0;
        sqlite3_int64 whole = 0;
        memcpy(&number, data, length < sizeof number ? length : sizeof number);
        memcpy(&whole, data, length < sizeof whole ? length : sizeof whole);
        if (type == 0) sqlite3_bind_blob(q, 1, data, (int)length, SQLITE_STATIC);
        if (type == 1) sqlite3_bind_text(q, 1, (const char *)data, (int)length, SQLITE_STATIC);
        if (type == 2) sqlite3_bind_double(q, 1, number);
        if (type == 3) sqlite3_bind_int64(q, 1, whole);
        sqlite3_bind_int(q, 2, row);
        sqlite3_step(q);
        sqlite3_reset(q);
        sqlite3_clear_bindings(q);
        data += length;
        size -= length;
    }
}

static void read_face(lk_faceset *s, int64_t id) {
    static lk_face face;
    void *jpeg;
    size_t bytes;
    unsigned kinds;
    json_t *polygons = NULL;
    if (lk_faceset_jpeg(s, id, &jpeg, &bytes, NULL)) free(jpeg);
    if (lk_faceset_polygons(s, id, &polygons, NULL)) json_decref(polygons);
    lk_faceset_mask_kinds(s, id, &kinds, NULL);
    if (!lk_faceset_get(s, id, &face, NULL) || face.size > 512) return;
    lk_image mask = {0};
    lk_faceset_mask(s, &face, LK_MASKS_ALL, &mask, NULL, NULL);
    lk_image_free(&mask);
    lk_faceset_excluded(s, &face, &mask, NULL);
    lk_image_free(&mask);
}

static void read_through(lk_faceset *s) {
    lk_source *sources = NULL;
    lk_faceset_sources(s, &sources, NULL);
    free(sources);
    int64_t *ids = NULL,
            count = lk_faceset_ids(s, &(lk_faceset_query){.with_removed = true, .one_per_frame = true}, &ids, NULL);
    for (int64_t i = 0; i < count && i < 16; i++) read_face(s, ids[i]);
    free(ids);
    lk_figures figures = {0};
    if (lk_faceset_figures(s, NULL, &figures, NULL)) lk_figures_free(&figures);
}

/* What takes long. */
static void read_all_at_once(lk_faceset *s) {
    int64_t *ids = NULL, count = lk_faceset_ids(s, NULL, &ids, NULL);
    if (count > 0) free(lk_faceset_list(s, ids, count < 16 ? count : 16, true, NULL));
    free(ids);
    ids = NULL;
    lk_faceset_duplicates(s, 0.1, &ids, NULL);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    if (data[0] != 0) {
        if (lk_faceset_begin(opened, NULL)) {
            overwrite(data + 1, size - 1);
            read_through(opened);
            if (data[0] % 16 == 1) read_all_at_once(opened);
            lk_faceset_rollback(opened);
        }
        return 0;
    }
    if (!write_file(data + 1, size - 1)) return 0;
    lk_faceset *s = lk_faceset_open(file, false, NULL);
    if (s) {
        read_through(s);
        read_all_at_once(s);
    }
    lk_faceset_close(s);
    return 0;
}
