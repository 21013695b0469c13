/* Whole steps of each model on the GPU and on the processor: losses and parameters agree. Ten of them, or, of the two models
 * for which a processor without oneDNN takes long, three, unless LIKENESS_GPU_STEPS says another number for all. On the stand-in for a GPU
 * (LK_EMULATED), where a layer takes seconds, with one tiny network of the same parts. */
#include "testing.h"

#include <math.h>

#include "cuda/ways.h"
#include "likeness/swap.h"
#include "on_gpu.h"

#define MOST_STEPS  100
#define MOST_LOSSES 16

typedef struct trial {
    const char *name;
    lk_swap_config config;
    int batch, steps;
} trial;

#ifdef LK_EMULATED
#include "emulator.h"
#define SAVED 100 /* a part of its activations that can be computed again */
static const trial trials[] = {{"a tiny one", {.arch = LK_ARCH_SAE}, 2, 10}};
/* Its activations are more than its gradients. */
static const trial larger = {"a tiny one", {.arch = LK_ARCH_SAE}, 8, 3};

static lk_nn_t layer(lk_nn_graph *g, lk_nn_t x, int outputs, int window, int stride, lk_nn_act act) {
    char kernel[32], bias[32];
    snprintf(kernel, sizeof kernel, "%d/kernel", x);
    snprintf(bias, sizeof bias, "%d/bias", x);
    lk_nn_init glorot = {LK_NN_GLOROT_UNIFORM, 0}, zeros = {LK_NN_ZEROS, 0};
    int inputs = lk_nn_shape_of(g, x).c;
    lk_nn_t w = lk_nn_param(g, kernel, (lk_nn_shape){outputs, inputs, window, window}, glorot);
    lk_nn_t b = lk_nn_param(g, bias, (lk_nn_shape){1, outputs, 1, 1}, zeros);
    lk_nn_conv_options o = {.stride = stride, .same = true, .act = act, .alpha = 0.1f};
    return lk_nn_conv(g, x, w, b, &o);
}

/* Down, dense, up, an image and a mask, their losses: everything that the models are made of. */
static lk_nn_graph *describe(const lk_swap_config *c, int batch) {
    (void)c;
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_graph_new(&err);
    lk_nn_t x = lk_nn_input(g, "warped", (lk_nn_shape){2 * batch, 3, 16, 16});
    lk_nn_t target = lk_nn_input(g, "target", (lk_nn_shape){2 * batch, 3, 16, 16});
    lk_nn_t mask = lk_nn_input(g, "mask", (lk_nn_shape){2 * batch, 1, 16, 16});
    lk_nn_t h = layer(g, layer(g, x, 9, 5, 2, LK_NN_LEAKY), 18, 5, 2, LK_NN_LEAKY);
    lk_nn_t w = lk_nn_param(g, "dense", (lk_nn_shape){18 * 16, 18 * 16, 1, 1}, (lk_nn_init){LK_NN_GLOROT_UNIFORM, 0});
    h = lk_nn_reshape(g, lk_nn_dense(g, h, w, -1, LK_NN_LINEAR, 0), (lk_nn_shape){2 * batch, 18, 4, 4});
    lk_nn_t sides[2] = {lk_nn_slice_batch(g, h, 0, batch), lk_nn_slice_batch(g, h, batch, batch)}, faces[2];
    for (int i = 0; i < 2; i++) {
        lk_nn_t up = lk_nn_depth_to_space(g, layer(g, sides[i], 4 * 9, 3, 1, LK_NN_LEAKY), 2);
        faces[i] = layer(g, lk_nn_depth_to_space(g, layer(g, up, 4 * 6, 3, 1, LK_NN_LEAKY), 2), 4, 5, 1, LK_NN_SIGMOID);
    }
    lk_nn_t both = lk_nn_concat_batch(g, faces, 2), face = lk_nn_slice_channels(g, both, 0, 3);
    lk_nn_loss(g, "dssim", lk_nn_dssim(g, face, target, lk_nn_gaussian(g, mask, 1, 2, true), 1), 10);
    lk_nn_loss(g, "mae", lk_nn_mae(g, lk_nn_slice_channels(g, both, 3, 1), mask, -1), 1);
    return g;
}

static void set_weights(lk_nn_exec *e, const lk_swap_config *c, int step) {
    (void)c;
    lk_nn_set_loss_weight(e, "dssim", 10 - (float)step); /* a recorded step sees it */
}
#else
#define SAVED 5
static const trial trials[] = {
    {"quick", {.arch = LK_ARCH_QUICK}, 1, 10},
    {"H64", {.arch = LK_ARCH_H64}, 1, 10},
    {"H128 lighter", {.arch = LK_ARCH_H128, .lighter = true}, 1, 10},
    {"DF", {.arch = LK_ARCH_DF}, 1, 3},
    {"LIAEF128", {.arch = LK_ARCH_LIAE}, 1, 3},
    {"SAE df 128/256/42", {.arch = LK_ARCH_SAE, .ae_dims = 256, .ed_ch_dims = 42}, 1, 10},
    {"SAE liae 128/128/21, multiscale",
     {.arch = LK_ARCH_SAE, .inner = LK_SAE_LIAE, .ae_dims = 128, .ed_ch_dims = 21, .multiscale = true},
     1,
     10},
};

static lk_nn_graph *describe(const lk_swap_config *c, int batch) {
    lk_error err = {0};
    lk_swap_objective o = {0};
    lk_nn_graph *g = lk_swap_training_graph(c, lk_swap_terms(c, &o, 0), batch, &err);
    if (!g) fail_msg("%s", err.message);
    return g;
}

static void set_weights(lk_nn_exec *e, const lk_swap_config *c, int step) {
    lk_swap_objective o = {0};
    lk_swap_set_weights(e, c, &o, step);
}
#endif

/* Smooth random pictures: what a face's edges and skin are to a filter, noise is not. */
static void fill(lk_nn_exec *e, const char *name, int step) {
    lk_nn_t t = lk_nn_find(e, name);
    if (t < 0) return;
    float *x = lk_nn_data(e, t);
    lk_nn_shape s = lk_nn_shape_in(e, t);
    lk_rng r = lk_rng_make((uint64_t)step, (uint64_t)name[0]);
    for (int n = 0; n < s.n; n++) {
        double phase = lk_rng_uniform(&r, 0, 6), turn = lk_rng_uniform(&r, 2, 9);
        for (int h = 0; h < s.h; h++)
            for (int w = 0; w < s.w; w++)
                for (int c = 0; c < s.c; c++)
                    *x++ = (float)(0.5 + 0.4 * sin(phase + c + turn * h / s.h) * cos(phase + turn * w / s.w) +
                                   lk_rng_uniform(&r, 0, 0.1));
    }
}

static int steps_of(const trial *what) {
    const char *all = getenv("LIKENESS_GPU_STEPS");
    int steps = all ? atoi(all) : what->steps;
    assert_in_range(steps, 1, MOST_STEPS);
    return steps;
}

/* The trained network; NULL, and told, when something failed. */
static lk_nn_exec *train(const trial *what, lk_nn_options options, float *losses) {
    lk_error err = {0};
    lk_swap_config c = what->config;
    c.face_type = LK_SWAP_FACE_AUTO;
    c.learn_mask = true;
    test_ok(lk_swap_complete(&c, &err), &err);
    lk_nn_graph *g = describe(&c, what->batch);
    options.train = true;
    options.seed = 3;
    lk_nn_exec *e = lk_nn_compile(g, &options, &err);
    lk_nn_graph_free(g);
    lk_nn_adam adam = lk_swap_optimizer(&c);
    bool ok = e != NULL;
    for (int i = 0; ok && i < steps_of(what); i++) {
        fill(e, "warped", i);
        fill(e, "target", i);
        fill(e, "mask", i);
        set_weights(e, &c, i);
        ok = lk_nn_step(e, &adam, &err);
        for (int k = 0; ok && k < lk_nn_loss_count(e); k++) losses[i * MOST_LOSSES + k] = lk_nn_loss_value(e, k);
    }
    if (ok) return e;
    printf("%s: %s\n", what->name, err.message);
    lk_nn_free(e);
    return NULL;
}

/* ‖a − b‖ and ‖b‖ of all parameters together. */
static double distance(const lk_nn_exec *a, const lk_nn_exec *b) {
    double difference = 0, norm = 0;
    for (int i = 0; i < lk_nn_param_count(b); i++) {
        size_t n = lk_nn_count(lk_nn_param_shape(b, i));
        float *p = malloc(n * sizeof *p), *q = malloc(n * sizeof *q);
        assert_true(p && q && lk_nn_param_get(a, i, LK_NN_VALUE, p) && lk_nn_param_get(b, i, LK_NN_VALUE, q));
        for (size_t k = 0; k < n; k++) {
            difference += ((double)p[k] - (double)q[k]) * ((double)p[k] - (double)q[k]);
            norm += (double)q[k] * (double)q[k];
        }
        free(p);
        free(q);
    }
    return sqrt(difference / norm);
}

static float got[MOST_STEPS * MOST_LOSSES], want[MOST_STEPS * MOST_LOSSES];

static bool agrees(const trial *what, const lk_nn_exec *reference, int precision, double tolerance) {
    lk_nn_exec *e = train(what, (lk_nn_options){.device = LK_NN_GPU, .precision = precision}, got);
    if (!e) return false;
    double worst = 0;
    for (int i = 0; i < steps_of(what); i++)
        for (int j = 0; j < lk_nn_loss_count(e); j++) {
            double a = (double)got[i * MOST_LOSSES + j], b = (double)want[i * MOST_LOSSES + j];
            if (!(fabs(a - b) / fabs(b) <= worst)) worst = fabs(a - b) / fabs(b);
        }
    double apart = distance(e, reference);
    bool ok = worst <= tolerance && apart <= tolerance;
    printf("%-34s %-8s: losses within %.1e, parameters within %.1e after %d steps%s\n", what->name,
           lk_nn_precision_names[precision], worst, apart, steps_of(what), ok ? "" : ": WRONG");
    lk_nn_free(e);
    return ok;
}

static void steps_agree(void **state) {
    (void)state;
    int wrong = 0;
    for (size_t k = 0; k < LK_COUNT(trials); k++) {
        lk_nn_exec *reference = train(&trials[k], (lk_nn_options){.device = LK_NN_CPU}, want);
        assert_non_null(reference);
        assert_in_range(lk_nn_loss_count(reference), 1, MOST_LOSSES);
        wrong += !agrees(&trials[k], reference, LK_NN_F32, 1e-3);
        wrong += !agrees(&trials[k], reference, LK_NN_BF16, 2e-2);
        if (k == 0) wrong += !agrees(&trials[k], reference, LK_NN_TF32, 3e-3);
        if (k == 0) wrong += !agrees(&trials[k], reference, LK_NN_F16, 3e-3);
        lk_nn_free(reference);
    }
    assert_int_equal(wrong, 0);
}

/* One way to train in less memory: to the same bits. */
static lk_nn_memory same_in(const trial *what, lk_nn_options o, const lk_nn_exec *plain, bool beside) {
    memset(got, 0, sizeof got);
    lk_nn_exec *e = train(what, o, got);
    assert_non_null(e);
    lk_nn_memory m = lk_nn_memory_of(e), all = lk_nn_memory_of(plain);
    assert_int_equal(m.host, all.optimizer);
    assert_true(!o.memory || (m.total <= o.memory && m.saved > 0));
    double apart = distance(e, plain);
    printf("%zu KiB of %zu, parameters within %.1e\n", m.total / 1024, all.total / 1024, apart);
#ifdef LK_EMULATED
    assert_int_equal(e->beside, beside);
    assert_true(apart == 0);
    assert_memory_equal(got, want, sizeof got);
#else
    (void)beside;
    assert_true(apart < 1e-3); /* the libraries may add in another order */
#endif
    lk_nn_free(e);
    return m;
}

static void in_less_memory_of(const trial *what, int precision, bool room) {
    lk_nn_options o = {.device = LK_NN_GPU, .precision = precision};
    memset(want, 0, sizeof want);
    lk_nn_exec *plain = train(what, o, want);
    assert_non_null(plain);
    lk_nn_memory m = lk_nn_memory_of(plain);
    o.optimizer_memory = LK_NN_STATES_HOST;
    lk_nn_memory beside = same_in(what, o, plain, true);
    o.memory = room ? beside.total - beside.activations / SAVED : m.total - m.optimizer - m.activations / SAVED;
    same_in(what, o, plain, room);
    lk_nn_free(plain);
}

/* What is computed again, states that lie elsewhere, and updates beside the backward pass change nothing that is learned: where
 * gradients have room to wait for their updates, and where they have not. */
static void in_less_memory(void **state) {
    (void)state;
    for (int precision = LK_NN_F32; precision <= LK_NN_BF16; precision++) {
#ifdef LK_EMULATED
        in_less_memory_of(&larger, precision, true);
        lk_emulated_early = true;
        in_less_memory_of(&larger, precision, true);
        lk_emulated_early = false;
#endif
        in_less_memory_of(&trials[0], precision, false);
    }
}

/* ---- The scale of float16's losses ------------------------------------------------------------------------- */

static lk_gpu_scale scale_of(const lk_nn_exec *e) {
    lk_gpu_scale s = {0};
    const lk_gpu_state *state = lk_gpu_state_of(e);
    assert_true(lk_gpu_download(state->gpu, &s, state->scale, sizeof s, NULL));
    return s;
}

static void set_scale(lk_nn_exec *e, float now, uint32_t clean) {
    const lk_gpu_scale s = {.now = now, .clean = clean};
    const lk_gpu_state *state = lk_gpu_state_of(e);
    assert_true(lk_gpu_upload(state->gpu, state->scale, &s, sizeof s, NULL) && lk_gpu_wait(state->gpu, NULL));
}

static float *all_of(const lk_nn_exec *e, lk_nn_slot slot, size_t *count) {
    size_t room = 0, at = 0;
    for (int i = 0; i < lk_nn_param_count(e); i++) room += lk_nn_count(lk_nn_param_shape(e, i));
    float *all = malloc(room * sizeof *all);
    assert_non_null(all);
    for (int i = 0; i < lk_nn_param_count(e); i++) {
        assert_true(lk_nn_param_get(e, i, slot, all + at));
        at += lk_nn_count(lk_nn_param_shape(e, i));
    }
    *count = room;
    return all;
}

static float *parameters(const lk_nn_exec *e, size_t *count) { return all_of(e, LK_NN_VALUE, count); }

static void all_are_finite(const lk_nn_exec *e) {
    static const lk_nn_slot slots[] = {LK_NN_VALUE, LK_NN_MOMENT1, LK_NN_MOMENT2};
    for (size_t k = 0; k < LK_COUNT(slots); k++) {
        size_t count;
        float *p = all_of(e, slots[k], &count);
        for (size_t i = 0; i < count; i++) assert_true(isfinite(p[i]));
        free(p);
    }
}

static void step(lk_nn_exec *e) {
    lk_error err = {0};
    lk_swap_config c = trials[0].config;
    lk_nn_adam adam = lk_swap_optimizer(&c);
    test_ok(lk_nn_step(e, &adam, &err), &err);
}

static lk_nn_exec *in_float16(int states) {
    trial once = trials[0];
    once.steps = 1;
    lk_nn_exec *e =
        train(&once, (lk_nn_options){.device = LK_NN_GPU, .precision = LK_NN_F16, .optimizer_memory = states}, got);
    assert_non_null(e);
    return e;
}

/* A loss that is far too heavy: its gradients overflow, what they lead to stays as it is, and the scale falls until they do
 * not. With the weight that it had, the scale comes back. */
static void falls_and_rises(int states) {
    lk_nn_exec *e = in_float16(states);
    size_t count;
    float *before = parameters(e, &count), scale = LK_GPU_FIRST_SCALE;
    assert_true(scale_of(e).now == scale && scale_of(e).clean == 1);
    for (int i = 0; i < lk_nn_loss_count(e); i++) lk_nn_set_loss_weight(e, lk_nn_loss_name(e, i), 1e6f);
    int falls = 0;
    for (; falls < 20; falls++) {
        step(e);
        if (scale_of(e).clean > 0) break;
        scale /= 2;
        assert_true(scale_of(e).now == scale);
        assert_true(isfinite(lk_nn_loss_value(e, 0)) && lk_nn_loss_value(e, 0) < 1e9f);
    }
    float *after = parameters(e, &count);
    printf("a weight of 1e6: scale %g after %d overflows\n", (double)scale, falls);
    assert_in_range(falls, 2, 19);
    all_are_finite(e);
    assert_memory_not_equal(before, after, count * sizeof *before);
    free(before);
    set_weights(e, &trials[0].config, 0);
    set_scale(e, scale, LK_GPU_CLEAN_STEPS - 1);
    step(e);
    assert_true(scale_of(e).now == 2 * scale && scale_of(e).clean == 0 && scale_of(e).last == scale);
    before = parameters(e, &count);
    assert_memory_not_equal(before, after, count * sizeof *before);
    set_scale(e, LK_GPU_MOST_SCALE, LK_GPU_CLEAN_STEPS - 1);
    step(e);
    assert_true(scale_of(e).now <= LK_GPU_MOST_SCALE);
    free(before);
    free(after);
    lk_nn_free(e);
}

static void the_scale_falls_and_rises(void **state) {
    (void)state;
    for (int states = LK_NN_STATES_FULL; states <= LK_NN_STATES_HOST; states++) falls_and_rises(states);
}

/* The same step from the same weights at another scale. */
static float *stepped(lk_nn_exec *e, const lk_nn_exec *start, float scale, size_t *count) {
    for (int i = 0; i < lk_nn_param_count(e); i++) {
        float *zeros = calloc(lk_nn_count(lk_nn_param_shape(e, i)), sizeof *zeros);
        assert_true(zeros && lk_nn_param_set(e, i, LK_NN_MOMENT1, zeros) &&
                    lk_nn_param_set(e, i, LK_NN_MOMENT2, zeros));
        free(zeros);
    }
    assert_int_equal(lk_nn_copy_params(e, start), lk_nn_param_count(e));
    lk_nn_set_steps(e, 0);
    set_scale(e, scale, 0);
    step(e);
    return parameters(e, count);
}

/* Where only some gradients overflow, each number takes the step that it takes without an overflow, or none. */
static void what_is_finite_is_right(void **state) {
    (void)state;
    lk_nn_exec *e = in_float16(LK_NN_STATES_FULL), *start = in_float16(LK_NN_STATES_FULL);
    size_t count, still = 0, wrong = 0;
    float *before = parameters(start, &count), *right = stepped(e, start, 1024, &count), *some, scale = 1024;
    assert_true(scale_of(e).clean == 1);
    do {
        scale *= 2;
        assert_true(scale < 1e12f);
        some = stepped(e, start, scale, &count);
        if (scale_of(e).clean == 0) break;
        free(some);
    } while (true);
    for (size_t i = 0; i < count; i++) {
        float whole = fabsf(right[i] - before[i]);
        if (some[i] == before[i])
            still++;
        else
            wrong += fabsf(some[i] - right[i]) > 0.05f * whole;
    }
    printf("at a scale of %g %zu of %zu numbers are left out, %zu take another step\n", (double)scale, still, count,
           wrong);
    assert_true(still > 0 && 100 * wrong <= count - still);
#ifdef LK_EMULATED
    assert_true(still < count);
#endif
    free(before);
    free(right);
    free(some);
    lk_nn_free(e);
    lk_nn_free(start);
}

#ifdef LK_EMULATED
extern bool lk_emulator_is_old;

/* A GPU before Ampere multiplies float16 for who wants bfloat16, and float32 for who wants TF32. */
static void an_old_one_takes_float16(void **state) {
    (void)state;
    static const int made[] = {[LK_NN_F32] = LK_NN_F32,
                               [LK_NN_BF16] = LK_NN_F16,
                               [LK_NN_TF32] = LK_NN_F32,
                               [LK_NN_F16] = LK_NN_F16,
                               [LK_NN_AUTO] = LK_NN_F16};
    lk_nn_exec *e = in_float16(LK_NN_STATES_FULL);
    for (int p = LK_NN_F32; p <= LK_NN_AUTO; p++) {
        e->options.precision = p;
        assert_int_equal(lk_backend_cuda.precision(e), p == LK_NN_AUTO ? LK_NN_BF16 : p);
        lk_emulator_is_old = true;
        assert_int_equal(lk_backend_cuda.precision(e), made[p]);
        e->options.train = false;
        assert_int_equal(lk_backend_cuda.precision(e), p == LK_NN_AUTO ? LK_NN_F32 : made[p]);
        e->options.train = true;
        lk_emulator_is_old = false;
    }
    lk_nn_free(e);
}
#endif

#ifdef LK_EMULATED
static void trains_the_same(int chosen) {
    lk_emulated_chosen = 0;
    memset(got, 0, sizeof got);
    lk_nn_exec *e = train(&larger, (lk_nn_options){.device = LK_NN_GPU, .precision = LK_NN_BF16}, got);
    assert_non_null(e);
    lk_nn_free(e);
    assert_memory_equal(got, want, sizeof got);
    assert_int_equal(lk_emulated_chosen, chosen);
}

/* An executor that is opened when another has chosen, in this process or one before it, chooses nothing. */
static void ways_are_chosen_once(void **state) {
    (void)state;
    char *folder = test_folder();
    setenv("LIKENESS_CACHE", folder, 1);
    lk_emulated_chosen = 0;
    memset(want, 0, sizeof want);
    lk_nn_exec *e = train(&larger, (lk_nn_options){.device = LK_NN_GPU, .precision = LK_NN_BF16}, want);
    assert_non_null(e);
    lk_nn_free(e);
    int all = lk_emulated_chosen;
    assert_true(all > 10);
    lk_emulated_chooses = true;
    trains_the_same(all);
    trains_the_same(0);
    lk_ways_begin("another", "none"); /* forgets all but the file */
    trains_the_same(0);
    lk_emulated_chooses = false;
    test_remove_folder(folder);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(steps_agree),
                                       cmocka_unit_test(in_less_memory),
#ifdef LK_EMULATED
                                       cmocka_unit_test(an_old_one_takes_float16),
                                       cmocka_unit_test(ways_are_chosen_once),
#endif
                                       cmocka_unit_test(the_scale_falls_and_rises),
                                       cmocka_unit_test(what_is_finite_is_right)};
    if (no_gpu()) return SKIPPED;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
