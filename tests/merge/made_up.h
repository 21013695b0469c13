/* A made-up video, its faces and a made-up model: the functions of the model stand in for those of `train`, so that what
 * comes out can be told exactly. */
#ifndef LIKENESS_TEST_MERGE_MADE_UP_H
#define LIKENESS_TEST_MERGE_MADE_UP_H

#include "testing.h"

#include <dirent.h>
#include <math.h>
#include <stdatomic.h>

#include "likeness/media.h"
#include "likeness/merge.h"

enum { W = 320, H = 240, FRAMES = 60, FIRST_FACE = 10, LAST_FACE = 49, TWO_FACES = 30, SIDE = 64 };

static enum { SAME, NEGATIVE, FAILING, INTERRUPTING, BROKEN, FLICKERING, JUMPING, STILL } behaviour;
static atomic_int predicted, largest_batch;

struct lk_model {
    lk_swap_config config;
    int batch;
    bool negative; /* whatever the behaviour */
};

lk_model *lk_model_open(const char *model_dir, int batch, int device, lk_error *err) {
    (void)device;
    if (strcmp(model_dir, "no model") == 0) {
        lk_fail(err, LK_ERR_IO, "no model is no model");
        return NULL;
    }
    lk_model *m = lk_alloc(1, sizeof *m, err);
    if (!m) return NULL;
    m->config = (lk_swap_config){.resolution = SIDE, .face_type = LK_FACE_FULL, .learn_mask = true};
    m->batch = batch;
    m->negative = strcmp(model_dir, "negative") == 0;
    predicted = largest_batch = 0;
    return m;
}
void lk_model_close(lk_model *m) { free(m); }
const lk_swap_config *lk_model_config(const lk_model *m) { return &m->config; }
int64_t lk_model_iteration(const lk_model *m) { return m->batch; }
int lk_model_batch(const lk_model *m) { return m->batch; }

/* The face itself, or what the behaviour says, and a round mask. */
bool lk_model_predict(lk_model *m, const float *faces, int count, float *swap, float *mask, lk_error *err) {
    if (count < 1 || count > m->batch) return lk_fail(err, LK_ERR_USAGE, "%d faces are no batch", count);
    predicted += count;
    if (count > largest_batch) largest_batch = count;
    if (behaviour == FAILING && predicted > 20) return lk_fail(err, LK_ERR_MEMORY, "the network broke");
    if (behaviour == INTERRUPTING && predicted > 20) lk_interrupt_request();
    bool negative = m->negative || behaviour == NEGATIVE || behaviour == JUMPING;
    for (int i = 0; i < count * SIDE * SIDE * 3; i++) swap[i] = negative ? 1 - faces[i] : faces[i];
    if (behaviour == FLICKERING) /* lighter and darker from face to face */
        for (int i = 0; i < count; i++)
            for (int k = 0; k < SIDE * SIDE * 3; k++)
                swap[i * SIDE * SIDE * 3 + k] += (predicted - count + i) % 2 ? 0.08f : -0.08f;
    if (behaviour == STILL) /* the same face whatever dst's, in a mask that is larger where dst's is light */
        for (int i = 0; i < count * SIDE * SIDE * 3; i++)
            swap[i] = 0.5f + 0.2f * sinf(0.2f * (float)(i / 3 % SIDE)) * cosf(0.15f * (float)(i / 3 / SIDE % SIDE));
    if (behaviour == BROKEN && predicted > 20) swap[5] = NAN;
    for (int i = 0; i < count * SIDE * SIDE; i++) {
        double x = i % SIDE - SIDE / 2.0, y = i / SIDE % SIDE - SIDE / 2.0;
        bool wide = behaviour == JUMPING && (predicted - count + i / (SIDE * SIDE)) % 2;
        bool light = faces[3 * (i - i % (SIDE * SIDE)) + 3 * (SIDE / 2) * (SIDE + 1)] > 0.66f;
        double radius = behaviour == JUMPING ? (wide ? 0.20 : 0.14) : behaviour == STILL && light ? 0.27 : 0.35;
        mask[i] = hypot(x, y) < SIDE * radius;
    }
    return true;
}

/* ---- A video and its faces ------------------------------------------------------------------------------- */

static char *folder, *video, *faces, *output;

static inline void paint_waves(lk_image *rgb, int frame) {
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            for (int c = 0; c < 3; c++)
                lk_row_u8(rgb, y)[3 * x + c] =
                    (uint8_t)lrint(128 + 50 * sin(0.09 * (x + frame) + 0.06 * y) + 40 * cos(0.05 * x - 0.08 * y - c));
}

static void (*paint)(lk_image *rgb, int frame) = paint_waves;

/* RGB without loss, or YUV with halved chroma. */
static inline void make_video(const char *path, int frames, int shift, bool lossless) {
    lk_error err = {0};
    lk_writer *w = lk_writer_open(
        path, NULL, &(lk_writer_options){.lossless = lossless, .crf = 5, .preset = "ultrafast", .fps = 25}, &err);
    test_ok(w != NULL, &err);
    lk_image rgb;
    test_ok(lk_image_alloc(&rgb, W, H, 3, LK_U8, &err), &err);
    for (int i = 0; i < frames; i++) {
        paint(&rgb, i + shift);
        lk_frame *f = lk_frame_new(&rgb, i, i / 25.0, &err);
        test_ok(f && lk_writer_add(w, f, &err), &err);
        lk_frame_free(f);
    }
    lk_image_free(&rgb);
    test_ok(lk_writer_finish(w, &err), &err);
}

/* Landmarks of a face of some `size` pixels around (cx, cy). */
static inline lk_landmarks face_at(double cx, double cy, double size) {
    lk_landmarks l;
    for (int i = 0; i < LK_LANDMARKS; i++) {
        double a = i * 2.4, r = size * (0.2 + 0.8 * i / LK_LANDMARKS) / 2;
        l.p[i] = (lk_point){(float)(cx + r * cos(a)), (float)(cy + r * sin(a))};
    }
    /* eyes, nose and mouth where alignment expects them */
    for (int i = 36; i < 42; i++) l.p[i] = (lk_point){(float)(cx - size * 0.2 + i % 3), (float)(cy - size * 0.15)};
    for (int i = 42; i < 48; i++) l.p[i] = (lk_point){(float)(cx + size * 0.2 + i % 3), (float)(cy - size * 0.15)};
    for (int i = 17; i < 36; i++) l.p[i] = (lk_point){(float)(cx + (i - 26) * size * 0.02), (float)(cy - size * 0.1)};
    for (int i = 48; i < 68; i++) l.p[i] = (lk_point){(float)(cx + (i - 58) * size * 0.015), (float)(cy + size * 0.3)};
    return l;
}

static inline void add_face(lk_faceset *set, const lk_source *source, int frame, int track, lk_landmarks points) {
    lk_error err = {0};
    lk_image crop;
    void *jpeg;
    size_t size;
    lk_face *f = lk_alloc(1, sizeof *f, &err);
    test_ok(f && lk_image_alloc(&crop, 64, 64, 3, LK_U8, &err), &err);
    test_ok(lk_jpeg_encode(&crop, 90, &jpeg, &size, &err), &err);
    f->source = source->id;
    f->frame = frame;
    f->track = track;
    f->time = frame / 25.0;
    f->type = LK_FACE_FULL;
    f->size = 64;
    f->points = points;
    assert_true(lk_face_align(&points, f->type, f->size, 1, &f->frame_to_crop));
    f->crop_points = lk_landmarks_transform(&points, f->frame_to_crop);
    f->bounds = lk_landmarks_bounds(&points);
    test_ok(lk_faceset_add(set, f, jpeg, size, &err), &err);
    free(jpeg);
    free(f);
    lk_image_free(&crop);
}

static inline void make_faces(const char *path, const char *of, bool complete) {
    lk_error err = {0};
    lk_faceset *set = lk_faceset_create(path, &err);
    test_ok(set != NULL, &err);
    lk_source source = {.width = W, .height = H, .frames = FRAMES, .fps = 25, .complete = complete};
    snprintf(source.path, sizeof source.path, "%s", of);
    test_ok(lk_source_fingerprint(of, source.fingerprint, &err), &err);
    test_ok(lk_faceset_begin(set, &err) && lk_faceset_add_source(set, &source, &err), &err);
    test_ok(lk_faceset_update_source(set, &source, &err), &err);
    for (int i = FIRST_FACE; i <= LAST_FACE; i++) {
        add_face(set, &source, i, 0, face_at(110 + i, 120, 90));
        if (i == TWO_FACES) add_face(set, &source, i, 1, face_at(280, 60, 60));
    }
    test_ok(lk_faceset_commit(set, &err), &err);
    lk_faceset_close(set);
}

static inline int prepare(void **state) {
    (void)state;
    lk_error err = {0};
    folder = test_folder();
    video = lk_path_join(folder, "in.mp4", &err);
    faces = lk_path_join(folder, "in.faces", &err);
    output = lk_path_join(folder, "out.mp4", &err);
    make_video(video, FRAMES, 0, true);
    make_faces(faces, video, true);
    return 0;
}

static inline int clean(void **state) {
    (void)state;
    free(video);
    free(faces);
    free(output);
    test_remove_folder(folder);
    return 0;
}

static inline lk_merge_options options(void) {
    lk_error err = {0};
    lk_merge_options o = {0};
    test_ok(lk_options_defaults(lk_merge_option_table, &o, &err), &err);
    o.lossless = true;
    o.preset = lk_strdup("ultrafast", &err);
    return o;
}

static inline int files_in_folder(void) {
    DIR *d = opendir(folder);
    assert_non_null(d);
    int n = 0;
    while (readdir(d)) n++;
    closedir(d);
    return n - 2;
}

static inline lk_reader *open_reader(const char *path) {
    lk_error err = {0};
    lk_reader *r = lk_reader_open(path, NULL, &err);
    test_ok(r != NULL, &err);
    return r;
}

#endif
