/* A .faces file of any content: opened, and everything read that it may hold. The first byte tells how it comes about:
 *      0  the rest is the file
 *  1–223  the rest is what columns of a sound file, open already, are overwritten with, until it is rolled back; what reads
 *         these columns follows
 *   224–  the rest is what bytes of a sound file are overwritten with before it is opened and read through
 * One input in 64 is read by what takes long too. Nothing in the sound file refuses a value: its tables are not STRICT,
 * and NULL may stand anywhere, which a hostile file can have as well. */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"
#include "likeness/curate.h"
#include "likeness/media.h"
#include "masks.h"
#include "sqlite_pool.h"

#define FACES      3
#define SIDE       16 /* of the crops */
#define PIECES     8  /* at most, of an input */
#define PAGE       1024
#define MOST_FILE  (256 * PAGE)
#define PATCHED    224
#define WHOLE      63 /* in a piece of columns: the value has the size it should have */
#define MOST_VALUE (12 * LK_MESH_POINTS)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);
const char *__asan_default_options(void);

/* Nothing outlives an input by more than this; large allocations that are kept for long cost more than all reading. */
const char *__asan_default_options(void) {
    return "quarantine_size_mb=8:malloc_context_size=5:max_malloc_fill_size=64:allocator_release_to_os_interval_ms=-1";
}

static char folder[64], sound[96], file[96];
static unsigned char sound_bytes[MOST_FILE], made[MOST_FILE];
static size_t sound_size;
static int made_fd = -1;
static lk_faceset *opened;
static sqlite3_stmt *save, *go_back, *forget;

/* What there is to read. */
enum {
    SOURCES = 1,
    FACE = 2,
    CROP = 4,
    MASKS = 8,
    FIGURES = 16,
    IDS = 32,
    PLACES = 64,
    NAMES = 128,
    SLOW = 256,
    ALL = 511
};

/* Columns that hold what a program could trip over, by table, and who reads them. */
static const struct {
    const char *name;
    unsigned read_by;
    int bytes; /* where only one size makes sense; 0: any */
} columns[] = {
    {"face.source", FACE | FIGURES | IDS, 0},
    {"face.frame", FACE | FIGURES | IDS, 0},
    {"face.time", FACE | FIGURES, 0},
    {"face.track", FACE | FIGURES, 0},
    {"face.type", FACE | FIGURES, 0},
    {"face.size", FACE | FIGURES | MASKS, 0},
    {"face.points", FACE, 8 * LK_LANDMARKS},
    {"face.crop_points", FACE | FIGURES | MASKS, 8 * LK_LANDMARKS},
    {"face.yaw", FACE | FIGURES, 0},
    {"face.presence", FACE | FIGURES, 0},
    {"face.frame_to_crop", FACE, 48},
    {"face.mean_l", FACE | FIGURES, 0},
    {"face.x", FACE | FIGURES, 0},
    {"face.width", FACE | FIGURES | IDS, 0},
    {"face.removed", FACE | FIGURES | IDS, 0},
    {"mesh.points", FACE, MOST_VALUE},
    {"descriptor.vector", FACE, 4 * LK_DESCRIPTOR},
    {"crop.jpeg", CROP, 0},
    {"look.face", SLOW | FIGURES, 0},
    {"look.hue", FIGURES, 0},
    {"look.histogram", SLOW, 384},
    {"look.thumbnail", SLOW, 768},
    {"place.position", PLACES | FIGURES, 0},
    {"mask.kind", MASKS, 0},
    {"mask.data", MASKS, 0},
    {"source.path", SOURCES, 0},
    {"source.width", SOURCES, 0},
    {"source.frames", SOURCES, 0},
    {"source.fps", SOURCES, 0},
    {"source.complete", SOURCES, 0},
    {"source.fingerprint", SOURCES, 64},
    {"origin.name", NAMES, 0},
    {"origin.changed", NAMES, 0},
};

#define COLUMNS (sizeof columns / sizeof *columns)
static sqlite3_stmt *updates[COLUMNS];

static void remove_all(void) {
    for (size_t i = 0; i < COLUMNS; i++) sqlite3_finalize(updates[i]);
    sqlite3_finalize(save);
    sqlite3_finalize(go_back);
    sqlite3_finalize(forget);
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

/* ---- A sound file ------------------------------------------------------------------------------------------- */

static lk_image picture(int channels) {
    lk_image p = {0};
    lk_error err = {0};
    must(lk_image_alloc(&p, SIDE, SIDE, channels, LK_U8, &err), &err);
    for (int i = 0; i < SIDE * SIDE * channels; i++) ((uint8_t *)p.data)[i] = (uint8_t)(i * 37);
    return p;
}

static void put_mask(lk_faceset *s, const lk_face *f, int number) {
    static const char polygons[] = "{\"include\":[[[1,1],[14,1],[8,14]]],\"exclude\":[[[1,1],[5,1],[1,5]]]}";
    lk_error err = {0};
    if (number == 1) {
        must(lk_mask_write(s, f->id, LK_MASK_KIND_POLYGONS, polygons, strlen(polygons), true, &err), &err);
        return;
    }
    lk_image grey = picture(1);
    must(lk_faceset_put_mask(s, f, number ? LK_MASK_KIND_SEGMENTED : LK_MASK_KIND_PAINTED, &grey, &err), &err);
    lk_image_free(&grey);
}

static void add_face(lk_faceset *s, int64_t source, int number) {
    static lk_face f;
    lk_error err = {0};
    lk_image rgb = picture(3);
    void *jpeg;
    size_t bytes;
    must(lk_jpeg_encode(&rgb, 90, &jpeg, &bytes, &err), &err);
    lk_image_free(&rgb);
    f = (lk_face){.source = source, .frame = number, .type = LK_FACE_FULL, .size = SIDE, .presence = 1};
    f.has_mesh = f.has_descriptor = true;
    f.frame_to_crop = (lk_affine){{{1, 0, 0}, {0, 1, 0}}};
    for (int p = 0; p < LK_LANDMARKS; p++)
        f.points.p[p] = (lk_point){2 + (float)(p % 9) * 1.5f, 2 + (float)(p / 9) * 1.5f};
    f.crop_points = f.points;
    f.descriptor[number] = 1;
    f.bounds = lk_landmarks_bounds(&f.points);
    must(lk_faceset_add(s, &f, jpeg, bytes, &err), &err);
    put_mask(s, &f, number);
    free(jpeg);
}

/* Tables as a program other than this one may have made them. */
static void loosen(void) {
    sqlite3 *db;
    char sql[600];
    snprintf(
        sql, sizeof sql,
        "INSERT INTO origin SELECT id, id || '.jpg', id, 0 FROM face;"
        "PRAGMA writable_schema = ON;"
        "UPDATE sqlite_schema SET sql = replace(replace(sql, ' STRICT', ''), ' NOT NULL', '') WHERE type = 'table';"
        "PRAGMA writable_schema = RESET; PRAGMA page_size = %d; VACUUM",
        PAGE);
    bool ok = sqlite3_open(sound, &db) == SQLITE_OK && sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
    must(ok, &(lk_error){.message = "the sound file cannot be written"});
    sqlite3_close(db);
}

static void make_sound(void) {
    lk_error err = {0};
    lk_faceset *s = lk_faceset_create(sound, &err);
    lk_source source = {.width = 320, .height = 240, .frames = FACES, .fps = 25, .complete = true, .path = "a.mp4"};
    memset(source.fingerprint, 'a', 64);
    must(s && lk_faceset_add_source(s, &source, &err), &err);
    for (int i = 0; i < FACES; i++) add_face(s, source.id, i);
    must(lk_faceset_sort(s, LK_SORT_HUE, false, &err), &err);
    lk_faceset_close(s);
    loosen();
    FILE *in = fopen(sound, "rb");
    sound_size = in ? fread(sound_bytes, 1, sizeof sound_bytes, in) : 0;
    if (in) fclose(in);
    must(sound_size > 0 && sound_size < MOST_FILE, &(lk_error){.message = "the sound file has a size of its own"});
}

static sqlite3_stmt *prepare(const char *sql) {
    sqlite3_stmt *q;
    must(sqlite3_prepare_v2(opened->db, sql, -1, &q, NULL) == SQLITE_OK,
         &(lk_error){.message = "a statement cannot be prepared"});
    return q;
}

/* Stays within one transaction, so that nothing is locked or synced for an input. */
static void open_sound(void) {
    lk_error err = {0};
    opened = lk_faceset_open(sound, true, &err);
    must(opened != NULL, &err);
    sqlite3_exec(opened->db, "PRAGMA foreign_keys = OFF", NULL, NULL, NULL);
    for (size_t i = 0; i < COLUMNS; i++) {
        char sql[200];
        const char *name = columns[i].name;
        snprintf(sql, sizeof sql, "UPDATE %.*s SET %s = ?1 WHERE rowid = ?2 OR ?2 = 0", (int)strcspn(name, "."), name,
                 strchr(name, '.') + 1);
        updates[i] = prepare(sql);
    }
    save = prepare("SAVEPOINT input");
    go_back = prepare("ROLLBACK TO input");
    forget = prepare("RELEASE input");
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    snprintf(folder, sizeof folder, "%s/faces-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder)) exit(1);
    snprintf(sound, sizeof sound, "%s/sound.faces", folder);
    snprintf(file, sizeof file, "%s/made.faces", folder);
    atexit(remove_all);
    lk_set_threads(1);
    sqlite_pool_install();
    make_sound();
    open_sound();
    made_fd = open(file, O_WRONLY | O_CREAT, 0600);
    must(made_fd >= 0, &(lk_error){.message = "no file can be written"});
    return 0;
}

/* ---- Reading ------------------------------------------------------------------------------------------------ */

static void read_masks(lk_faceset *s, const lk_face *face) {
    lk_error err;
    lk_image mask = {0};
    unsigned kinds;
    lk_faceset_mask_kinds(s, face->id, &kinds, &err);
    lk_faceset_mask(s, face, LK_MASKS_ALL, &mask, NULL, &err);
    lk_image_free(&mask);
    lk_faceset_excluded(s, face, &mask, &err);
    lk_image_free(&mask);
}

static void read_face(lk_faceset *s, int64_t id, unsigned what) {
    static lk_face face;
    lk_error err;
    void *jpeg;
    size_t bytes;
    if (what & CROP && lk_faceset_jpeg(s, id, &jpeg, &bytes, &err)) free(jpeg);
    if (!(what & (FACE | MASKS)) || !lk_faceset_get(s, id, &face, &err)) return;
    if (what & MASKS && face.size <= (what & SLOW ? 512 : 4 * SIDE)) read_masks(s, &face);
}

static void read_names(lk_faceset *s) {
    static lk_face face;
    lk_error err;
    lk_namer n;
    if (!lk_namer_open(&n, s, &err)) return;
    for (face.id = 1; face.id <= FACES; face.id++) free(lk_namer_next(&n, &face, "jpg", NULL, &err));
}

static void read_slowly(lk_faceset *s) {
    lk_error err;
    int64_t *ids = NULL, count = lk_faceset_ids(s, NULL, &ids, &err);
    if (count > 0) free(lk_faceset_list(s, ids, count < 16 ? count : 16, true, &err));
    free(ids);
    lk_faceset_duplicates(s, 0.1, &ids, &err);
    free(ids);
    lk_people people = {0};
    if (lk_faceset_people(s, &people, &err)) lk_people_free(&people);
}

static void read_figures(lk_faceset *s, bool sorted) {
    lk_error err;
    lk_figures figures;
    lk_faceset_query q = {.with_removed = true, .sorted = sorted};
    if (lk_faceset_figures(s, &q, &figures, &err)) lk_figures_free(&figures);
}

/* faces: a bit for each that is read. */
static void read_through(lk_faceset *s, unsigned what, unsigned faces) {
    lk_error err;
    lk_source *sources;
    int64_t *ids;
    if (what & SOURCES && lk_faceset_sources(s, &sources, &err) >= 0) free(sources);
    if (what & (IDS | PLACES)) {
        lk_faceset_query q = {.with_removed = true, .one_per_frame = true, .sorted = what & PLACES};
        lk_faceset_ids(s, &q, &ids, &err);
        free(ids);
    }
    for (int64_t id = 1; id <= FACES; id++)
        if (faces >> id & 1) read_face(s, id, what);
    if (what & FIGURES) read_figures(s, what & PLACES);
    if (what & NAMES) read_names(s);
    if (what & SLOW) read_slowly(s);
}

/* ---- Inputs ------------------------------------------------------------------------------------------------- */

/* The first of the data, as something to be stored: type tells as what. */
static void bind(sqlite3_stmt *q, int type, const uint8_t *data, size_t length) {
    double number = 0;
    sqlite3_int64 whole = 0;
    memcpy(&number, data, length < sizeof number ? length : sizeof number);
    memcpy(&whole, data, length < sizeof whole ? length : sizeof whole);
    if (type == 0) sqlite3_bind_blob(q, 1, data, (int)length, SQLITE_STATIC);
    if (type == 1) sqlite3_bind_text(q, 1, (const char *)data, (int)length, SQLITE_STATIC);
    if (type == 2) sqlite3_bind_double(q, 1, number);
    if (type == 3 && length > 0) sqlite3_bind_int64(q, 1, whole);
}

static void step(sqlite3_stmt *q) {
    sqlite3_step(q);
    sqlite3_reset(q);
}

/* The data over and over. */
static const uint8_t *repeat(const uint8_t *data, size_t length, size_t bytes) {
    static uint8_t value[MOST_VALUE];
    for (size_t i = 0; i < bytes; i++) value[i] = length ? data[i % length] : 0;
    return value;
}

/* Each piece of the data: which column, of which face, as which type, how long, and so many bytes. Tells what reads them. */
static unsigned overwrite(const uint8_t *data, size_t size, unsigned *faces) {
    unsigned what = 0;
    for (int most = PIECES; size >= 4 && most > 0; most--) {
        size_t column = data[0] % COLUMNS, bytes = (size_t)columns[column].bytes;
        int row = data[1] % (FACES + 1), type = data[2] % 4, times = data[2] / 4;
        bool whole = times == WHOLE && bytes > 0;
        size_t length = data[3] * (size_t)(whole ? 1 : 1 + times);
        data += 4;
        size -= 4;
        if (length > size) length = size;
        if (whole)
            bind(updates[column], type, repeat(data, length, bytes), bytes);
        else
            bind(updates[column], type, data, length);
        sqlite3_bind_int(updates[column], 2, row);
        step(updates[column]);
        sqlite3_clear_bindings(updates[column]);
        what |= columns[column].read_by;
        *faces |= row ? 1u << row : ~0u;
        data += length;
        size -= length;
    }
    return what;
}

static bool is_slow(uint32_t lot) { return lot % 64 == 2; }

static void try_columns(const uint8_t *data, size_t size, uint32_t lot) {
    lk_error err = {0};
    unsigned faces = 0;
    if (sqlite3_get_autocommit(opened->db)) must(lk_faceset_begin(opened, &err), &err);
    step(save);
    unsigned what = overwrite(data, size, &faces);
    unsigned spared = what & FACE && lot & 1 ? SLOW | FIGURES : SLOW;
    if (is_slow(lot))
        read_through(opened, ALL, ~0u);
    else
        read_through(opened, what & ~spared, faces);
    step(go_back);
    step(forget);
}

/* All columns are read; by what else than the readers of single faces, the lot decides. */
static void try_file(const void *data, size_t size, uint32_t lot) {
    lk_error err;
    long blocks = sqlite_pool_blocks();
    if (pwrite(made_fd, data, size, 0) != (ssize_t)size || ftruncate(made_fd, (off_t)size) != 0) return;
    lk_faceset *s = lk_faceset_open(file, false, &err);
    if (s && lk_faceset_begin(s, &err)) {
        unsigned what = SOURCES | FACE | CROP | MASKS | (lot & 1 ? FIGURES | PLACES : IDS | NAMES);
        read_through(s, is_slow(lot) ? ALL : what, ~0u);
    }
    lk_faceset_close(s);
    if (sqlite_pool_blocks() != blocks) abort(); /* a statement, or the database, is left behind */
}

/* Each piece of the data: which page, where in it, how long, and so many bytes. A piece of no length cuts the file there. */
static void try_bytes(const uint8_t *data, size_t size, uint32_t lot) {
    size_t length = sound_size;
    memcpy(made, sound_bytes, sound_size);
    for (int most = PIECES; size >= 4 && most > 0; most--) {
        size_t at = (data[0] * (size_t)PAGE + (data[1] | data[2] << 8) % PAGE) % sound_size, n = data[3];
        data += 4;
        size -= 4;
        if (n > size) n = size;
        if (n > sound_size - at) n = sound_size - at;
        if (n == 0) length = at;
        memcpy(made + at, data, n);
        data += n;
        size -= n;
    }
    try_file(made, length, lot);
}

/* Draws lots: not to be steered to what takes long. */
static uint32_t hash_of(const uint8_t *data, size_t size) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++) hash = (hash ^ data[i]) * 16777619u;
    return hash >> 8;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    uint32_t lot = hash_of(data, size);
    if (data[0] == 0)
        try_file(data + 1, size - 1, lot);
    else if (data[0] < PATCHED)
        try_columns(data + 1, size - 1, lot);
    else
        try_bytes(data + 1, size - 1, lot);
    return 0;
}

/* Pieces are alike for columns and for bytes. Opening takes as long as five inputs of columns, and what bytes do is seldom
 * new to libFuzzer, which does not see into SQLite: so their share is kept between both. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    size = LLVMFuzzerMutate(data, size, most);
    if (size < 1) return size;
    bool of_columns = data[0] > 0 && data[0] < PATCHED;
    if (of_columns && seed % 32 == 0) data[0] = PATCHED;
    if (!of_columns && seed % 2 == 0) data[0] = 1;
    return size;
}
