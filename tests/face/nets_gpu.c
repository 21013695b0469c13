/* The pretrained networks on a GPU (LK_EMULATED: on the stand-in for one) and on the processor: every output agrees, of two
 * pictures in a row, since the first run is launched and the second recorded; and so does what two threads see, each with
 * networks of its own, as in extraction. */
#include "testing.h"

#include <math.h>
#include <pthread.h>

#include "cuda/gpu.h"
#include "nets.h"

#define PICTURES 2

typedef struct network {
    const char *name;
    float scale, shift; /* of the input, from 0–1 */
    const char *outputs[7];
} network;

static const network networks[] = {
    {"face_detection_full_range.tflite", 2, -1, {"reshaped_classifier_face_4", "reshaped_regressor_face_4"}},
    {"face_landmark_with_attention.tflite",
     1,
     0,
     {"output_mesh_identity", "output_lips", "output_left_eye", "output_right_eye", "output_left_iris",
      "output_right_iris", "conv_faceflag"}},
    {"selfie_segmentation.tflite", 1, 0, {"activation_10"}},
};

/* A smooth picture, another one each time. */
static void fill(lk_nn_exec *e, const network *n, int picture) {
    lk_nn_t t = lk_nn_find(e, "input");
    lk_nn_shape s = lk_nn_shape_in(e, t);
    float *x = lk_nn_data(e, t);
    for (int h = 0; h < s.h; h++)
        for (int w = 0; w < s.w; w++)
            for (int c = 0; c < s.c; c++)
                *x++ = n->shift + n->scale * (float)(0.5 + 0.3 * sin(picture + c + 9.0 * h / s.h) * cos(7.0 * w / s.w) +
                                                     0.2 * sin(40.0 * (h + w) / s.h));
}

static void agree(lk_nn_exec *gpu, lk_nn_exec *cpu, const network *n) {
    for (int i = 0; i < 7 && n->outputs[i]; i++) {
        lk_nn_t a = lk_nn_find(gpu, n->outputs[i]), b = lk_nn_find(cpu, n->outputs[i]);
        assert_true(a >= 0 && b >= 0);
        size_t count = lk_nn_count(lk_nn_shape_in(cpu, b));
        const float *x = lk_nn_data(gpu, a), *y = lk_nn_data(cpu, b);
        double apart = 0, most = 0;
        for (size_t k = 0; k < count; k++) {
            apart = fmax(apart, fabs((double)x[k] - (double)y[k]));
            most = fmax(most, fabs((double)y[k]));
        }
        printf("%s, %s: %zu numbers up to %.3g, within %.1e\n", n->name, n->outputs[i], count, most, apart);
        assert_true(apart <= 1e-3 * most);
    }
}

static void networks_agree(void **state) {
    (void)state;
    lk_error err = {0};
    lk_nn_exec *gpu[LK_COUNT(networks)] = {NULL}, *cpu[LK_COUNT(networks)] = {NULL};
    for (size_t i = 0; i < LK_COUNT(networks); i++) {
        cpu[i] = lk_face_open_tflite(networks[i].name, LK_NN_CPU, &err);
        gpu[i] = cpu[i] ? lk_face_open_tflite(networks[i].name, LK_NN_GPU, &err) : NULL;
        test_ok(gpu[i] != NULL, &err);
    }
    for (int picture = 0; picture < PICTURES; picture++)
        for (size_t i = 0; i < LK_COUNT(networks); i++) {
            fill(gpu[i], &networks[i], picture);
            fill(cpu[i], &networks[i], picture);
            test_ok(lk_nn_run(gpu[i], &err) && lk_nn_run(cpu[i], &err), &err);
            agree(gpu[i], cpu[i], &networks[i]);
        }
    for (size_t i = 0; i < LK_COUNT(networks); i++) {
        lk_nn_free(gpu[i]);
        lk_nn_free(cpu[i]);
    }
}

/* ---- In two threads ------------------------------------------------------------------------------------------------ */

typedef struct seen {
    int device;
    lk_mesh mesh;
    float presence, descriptor[LK_DESCRIPTOR];
    lk_error error;
} seen;

static lk_image picture_of_a_thread(void) {
    lk_error err = {0};
    lk_image rgb;
    test_ok(lk_image_alloc(&rgb, 240, 200, 3, LK_U8, &err), &err);
    for (int y = 0; y < 200; y++)
        for (int x = 0; x < 3 * 240; x++)
            lk_row_u8(&rgb, y)[x] = (uint8_t)(127 + 60 * sin(x / 90.0 + y / 30.0) + 50 * cos(y / 11.0));
    return rgb;
}

static void *look(void *user) {
    seen *s = user;
    lk_image rgb = picture_of_a_thread();
    lk_face_nets *nets = lk_face_nets_open(s->device, &s->error);
    lk_roi roi = {120, 100, 180, 0.1f};
    if (nets && lk_face_find_mesh(nets, &rgb, roi, &s->mesh, &s->presence, &s->error)) {
        lk_landmarks points = lk_landmarks_from_mesh(&s->mesh);
        lk_face_descriptor(nets, &rgb, &points, s->descriptor, &s->error);
    }
    lk_face_nets_close(nets);
    lk_image_free(&rgb);
    return NULL;
}

static void threads_agree(void **state) {
    (void)state;
    static seen all[3] = {{.device = LK_NN_CPU}, {.device = LK_NN_GPU}, {.device = LK_NN_GPU}};
    pthread_t threads[2];
    look(&all[0]);
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, look, &all[1 + i]), 0);
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 3; i++) test_ok(all[i].error.code == LK_OK, &all[i].error);
    for (int i = 1; i < 3; i++) {
        for (int k = 0; k < LK_MESH_POINTS; k++) {
            assert_float_equal(all[i].mesh.x[k], all[0].mesh.x[k], 0.01);
            assert_float_equal(all[i].mesh.y[k], all[0].mesh.y[k], 0.01);
        }
        assert_float_equal(all[i].presence, all[0].presence, 1e-3);
        assert_true(lk_descriptor_similarity(all[i].descriptor, all[0].descriptor) > 0.9999);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(networks_agree), cmocka_unit_test(threads_agree)};
    lk_error err = {0};
    lk_backend_gpu = &lk_backend_cuda;
    if (lk_nn_has_gpu(NULL, &err) && lk_nn_device_for(LK_NN_WISH_AUTO) != LK_NN_GPU) return 1;
    lk_nn_exec *there = lk_nn_has_gpu(NULL, &err) ? lk_face_open_tflite(networks[0].name, LK_NN_CPU, &err) : NULL;
    if (!there) {
        printf("skipped: %s\n", err.message);
        return 77;
    }
    lk_nn_free(there);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
