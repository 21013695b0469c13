/* Faces with random but possible content, for tests of the file. */
#ifndef LIKENESS_TEST_MADE_UP_H
#define LIKENESS_TEST_MADE_UP_H

#include "testing.h"

#include "likeness/faceset.h"

#define MADE_UP_JPEG 3000

static inline float made_up_number(lk_rng *r) { return (float)lk_rng_uniform(r, -500, 500); }

/* Everything is a function of (source, frame). */
static inline lk_face made_up_face(int64_t source, int64_t frame, unsigned char jpeg[MADE_UP_JPEG]) {
    lk_rng r = lk_rng_make((uint64_t)source, (uint64_t)frame);
    lk_face f = {.source = source, .frame = frame, .time = (double)frame / 25, .track = (int)(frame % 3)};
    f.type = (lk_face_type)(frame % 3);
    f.size = 64 + (int)(frame % 5) * 32;
    for (int i = 0; i < 6; i++) f.frame_to_crop.m[i / 3][i % 3] = lk_rng_uniform(&r, -2, 2);
    for (int i = 0; i < LK_LANDMARKS; i++) {
        f.points.p[i] = (lk_point){made_up_number(&r), made_up_number(&r)};
        f.crop_points.p[i] = (lk_point){made_up_number(&r), made_up_number(&r)};
    }
    for (int i = 0; i < LK_MESH_POINTS; i++) {
        f.mesh.x[i] = made_up_number(&r);
        f.mesh.y[i] = made_up_number(&r);
        f.mesh.z[i] = made_up_number(&r);
    }
    f.pose = (lk_pose){made_up_number(&r), made_up_number(&r), made_up_number(&r)};
    f.has_mesh = true;
    f.presence = 0.5f;
    f.sharpness = 123.25f;
    f.brightness = 0.75f;
    for (int i = 0; i < 3; i++) {
        f.mean[i] = made_up_number(&r);
        f.std[i] = made_up_number(&r);
    }
    f.has_descriptor = frame % 2 == 0;
    if (f.has_descriptor)
        for (int i = 0; i < LK_DESCRIPTOR; i++) f.descriptor[i] = made_up_number(&r);
    f.bounds = (lk_rect){-3, 7, 100 + (int)frame, 120};
    for (int i = 0; i < MADE_UP_JPEG; i++) jpeg[i] = (unsigned char)lk_rng_below(&r, 256);
    return f;
}

static inline lk_source made_up_source(const char *path) {
    lk_source s = {.width = 400, .height = 300, .frames = 77, .fps = 23.976};
    snprintf(s.path, sizeof s.path, "%s", path);
    lk_sha256(path, strlen(path), s.fingerprint);
    return s;
}

#endif
