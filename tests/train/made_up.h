/* Made-up faces: smooth pictures with landmarks where a face would have them, and jobs small enough for tests. */
#ifndef LIKENESS_TEST_TRAIN_MADE_UP_H
#define LIKENESS_TEST_TRAIN_MADE_UP_H

#include "testing.h"

#include "internal.h"
#include "likeness/media.h"

#include <math.h>

/* Roughly a face in the unit square, in iBUG's order. */
static inline lk_landmarks made_up_points(double side, lk_rng *r) {
    static const float inner[51][2] = {
        {.00f, .11f}, {.08f, .04f}, {.18f, .02f}, {.29f, .03f}, {.39f, .08f}, {.59f, .08f}, {.69f, .03f}, {.80f, .02f},
        {.90f, .04f}, {.98f, .11f}, {.49f, .20f}, {.49f, .31f}, {.49f, .41f}, {.49f, .52f}, {.37f, .59f}, {.43f, .61f},
        {.49f, .63f}, {.55f, .61f}, {.61f, .59f}, {.12f, .22f}, {.19f, .18f}, {.27f, .18f}, {.33f, .22f}, {.26f, .24f},
        {.18f, .24f}, {.65f, .22f}, {.71f, .18f}, {.79f, .18f}, {.86f, .22f}, {.80f, .24f}, {.72f, .24f}, {.25f, .78f},
        {.34f, .75f}, {.43f, .73f}, {.49f, .74f}, {.55f, .73f}, {.64f, .75f}, {.73f, .78f}, {.64f, .86f}, {.56f, .90f},
        {.49f, .91f}, {.42f, .90f}, {.34f, .86f}, {.29f, .78f}, {.43f, .78f}, {.49f, .78f}, {.55f, .78f}, {.69f, .78f},
        {.55f, .82f}, {.49f, .83f}, {.43f, .82f}};
    lk_landmarks p;
    for (int i = 0; i < LK_LANDMARKS; i++) {
        double a = 3.14159265 * i / 16, x = i < 17 ? 0.49 - 0.55 * cos(a) : (double)inner[i - 17][0];
        double y = i < 17 ? 0.25 + 0.85 * sin(a) : (double)inner[i - 17][1];
        p.p[i].x = (float)((x * 0.5 + 0.25 + lk_rng_uniform(r, -0.004, 0.004)) * side);
        p.p[i].y = (float)((y * 0.5 + 0.22 + lk_rng_uniform(r, -0.004, 0.004)) * side);
    }
    return p;
}

static inline void made_up_picture(lk_image *rgb, lk_rng *r) {
    double f[6];
    for (int k = 0; k < 6; k++) f[k] = lk_rng_uniform(r, 0.03, 0.09);
    for (int y = 0; y < rgb->height; y++)
        for (int x = 0; x < rgb->width; x++)
            for (int c = 0; c < 3; c++)
                lk_row_u8(rgb, y)[3 * x + c] = (uint8_t)(128 + 100 * sin(f[c] * x + c) * cos(f[c + 3] * y));
}

typedef struct made_up_set {
    int count, size;
    lk_face_type type;
    double least_yaw, most_yaw;
    uint64_t seed;
    int64_t frames; /* of its one source; 0: count */
} made_up_set;

/* One source; face i lies in frame i · frames/count and has a yaw between the two, in even steps. */
static inline void made_up_faces(const char *path, const made_up_set *s) {
    lk_error err = {0};
    lk_faceset *set = lk_faceset_create(path, &err);
    test_ok(set != NULL, &err);
    int64_t frames = s->frames ? s->frames : s->count;
    lk_source source = {.width = 320, .height = 320, .frames = frames, .fps = 25, .complete = true};
    snprintf(source.path, sizeof source.path, "%s.mp4", path);
    lk_sha256(path, strlen(path), source.fingerprint);
    test_ok(lk_faceset_add_source(set, &source, &err), &err);
    lk_face *f = calloc(1, sizeof *f);
    assert_non_null(f);
    test_ok(lk_faceset_begin(set, &err), &err);
    for (int i = 0; i < s->count; i++) {
        lk_rng r = lk_rng_make(s->seed, (uint64_t)i);
        *f = (lk_face){.source = source.id, .frame = i * frames / s->count, .type = s->type, .size = s->size};
        f->points = made_up_points(320, &r);
        assert_true(lk_face_align(&f->points, s->type, s->size, 1, &f->frame_to_crop));
        f->crop_points = lk_landmarks_transform(&f->points, f->frame_to_crop);
        f->pose.yaw = (float)(s->least_yaw + (s->most_yaw - s->least_yaw) * (i + 0.5) / s->count);
        f->presence = 1;
        f->bounds = lk_landmarks_bounds(&f->points);
        lk_image rgb = {0};
        void *jpeg;
        size_t size;
        test_ok(lk_image_alloc(&rgb, s->size, s->size, 3, LK_U8, &err), &err);
        made_up_picture(&rgb, &r);
        test_ok(lk_jpeg_encode(&rgb, 95, &jpeg, &size, &err), &err);
        test_ok(lk_faceset_add(set, f, jpeg, size, &err), &err);
        free(jpeg);
        lk_image_free(&rgb);
    }
    test_ok(lk_faceset_commit(set, &err), &err);
    free(f);
    lk_faceset_close(set);
}

/* The smallest network there is. */
static inline lk_swap_config tiny_config(void) {
    lk_error err = {0};
    lk_swap_config c = {0};
    test_ok(lk_options_defaults(lk_swap_options, &c, &err), &err);
    c.arch = LK_ARCH_SAE;
    c.resolution = 64;
    c.face_type = LK_FACE_FULL;
    c.ae_dims = 32;
    c.ed_ch_dims = 21;
    c.lighter = true;
    c.learn_mask = false;
    return c;
}

/* A job on the facesets src.faces and dst.faces of a folder. */
static inline lk_train_job tiny_job(const char *folder, const char *model, int64_t iterations) {
    lk_error err = {0};
    static bool said_iterations[64];
    lk_train_job job = {.config = tiny_config(), .options_given = said_iterations};
    for (int i = 0; lk_train_option_table[i].name; i++)
        said_iterations[i] = strcmp(lk_train_option_table[i].name, "iterations") == 0;
    test_ok(lk_options_defaults(lk_swap_objective_options, &job.objective, &err), &err);
    test_ok(lk_options_defaults(lk_train_option_table, &job.options, &err), &err);
    job.model_dir = lk_path_join(folder, model, &err);
    job.options.batch = 1;
    job.options.iterations = iterations;
    char *src = lk_path_join(folder, "src.faces", &err), *dst = lk_path_join(folder, "dst.faces", &err);
    test_ok(src && dst && lk_strings_add(&job.src, src, &err) && lk_strings_add(&job.dst, dst, &err), &err);
    free(src);
    free(dst);
    return job;
}

static inline void tiny_job_free(lk_train_job *job) {
    free((char *)(uintptr_t)job->model_dir);
    lk_strings_free(&job->src);
    lk_strings_free(&job->dst);
    lk_strings_free(&job->set);
    lk_strings_free(&job->pretrain);
}

/* A folder with src.faces and dst.faces. */
static inline char *tiny_folder(void) {
    char *folder = test_folder(), *src = lk_path_join(folder, "src.faces", NULL),
         *dst = lk_path_join(folder, "dst.faces", NULL);
    made_up_faces(src, &(made_up_set){3, 80, LK_FACE_FULL, -40, 40, 1, 0});
    made_up_faces(dst, &(made_up_set){2, 80, LK_FACE_FULL, -40, 40, 2, 0});
    free(src);
    free(dst);
    return folder;
}

static inline lk_record record_of(const char *model_dir) {
    lk_error err = {0};
    lk_record r;
    bool found;
    test_ok(lk_folder_open(model_dir, &r, false, &found, &err), &err);
    assert_true(found);
    return r;
}

#endif
