/* Ten whole training steps of every model against PyTorch (tests/golden/swap_models.py): each step's losses, all final
 * weights, and the swap that they then predict. Under the sanitizers it is three, without the last two comparisons. */
#include "testing.h"

#include "internal.h"

#include <math.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static json_t *golden;
static float *blob;

static int load(void **state) {
    (void)state;
    lk_error err = {0};
    size_t size;
    void *data = NULL;
    golden = lk_json_read(LK_GOLDEN "/swap_models.json", &err);
    test_ok(golden && lk_file_read(LK_GOLDEN "/swap_models.bin", LK_MIB(256), &data, &size, &err), &err);
    blob = data;
    return 0;
}

static int unload(void **state) {
    (void)state;
    json_decref(golden);
    free(blob);
    return 0;
}

static const char *text(const json_t *c, const char *key) { return json_string_value(json_object_get(c, key)); }
static double number(const json_t *c, const char *key) { return json_number_value(json_object_get(c, key)); }
static bool yes(const json_t *c, const char *key) { return json_is_true(json_object_get(c, key)); }

static void integers(const json_t *c, const char *key, int *to, size_t count) {
    const json_t *list = json_object_get(c, key);
    assert_int_equal(json_array_size(list), count);
    for (size_t i = 0; i < count; i++) to[i] = (int)json_integer_value(json_array_get(list, i));
}

static lk_swap_table table_of(const json_t *c) {
    const json_t *from = json_object_get(c, "table");
    lk_swap_table t = {.code = (int)number(from, "code"),
                       .base = (int)number(from, "base"),
                       .up = (int)number(from, "up"),
                       .two_inters = yes(from, "liae"),
                       .wide = yes(from, "wide"),
                       .multiscale = yes(from, "multiscale"),
                       .learn_mask = yes(c, "masks"),
                       .resolution = (int)number(from, "resolution")};
    integers(from, "down", t.down, LK_DOWNS);
    integers(from, "image", t.image, LK_UPS);
    integers(from, "mask", t.mask, LK_UPS);
    for (size_t i = 0; i < LK_DOWNS; i++)
        t.separable[i] = json_is_true(json_array_get(json_object_get(from, "separable"), i));
    return t;
}

/* The hash that the reference takes its first weights from: [−1, 1). */
static double scrambled(size_t i, uint32_t seed) {
    uint32_t x = (uint32_t)(i * 2654435761u) + seed;
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    x ^= x >> 16;
    return (double)(x >> 8) / 8388608.0 - 1;
}

static int find_param(const lk_nn_exec *e, const char *name) {
    for (int i = 0; i < lk_nn_param_count(e); i++)
        if (strcmp(lk_nn_param_name(e, i), name) == 0) return i;
    fail_msg("there is no parameter %s", name);
    return -1;
}

static lk_nn_shape shape_of(const json_t *param) {
    int d[4];
    integers(param, "shape", d, 4);
    bool bias = d[1] == 1 && d[2] == 1 && strstr(text(param, "name"), "/bias");
    return bias ? (lk_nn_shape){1, d[0], 1, 1} : (lk_nn_shape){d[0], d[1], d[2], d[3]};
}

/* Sets the first weights, in the reference's order; returns how many parameters there are. */
static int set_first_weights(lk_nn_exec *e, const json_t *params) {
    size_t i;
    json_t *param;
    json_array_foreach(params, i, param) {
        int at = find_param(e, text(param, "name"));
        lk_nn_shape s = lk_nn_param_shape(e, at), want = shape_of(param);
        if (memcmp(&s, &want, sizeof s))
            fail_msg("%s is [%d, %d, %d, %d], not [%d, %d, %d, %d]", text(param, "name"), s.n, s.c, s.h, s.w, want.n,
                     want.c, want.h, want.w);
        bool bias = strstr(text(param, "name"), "/bias") != NULL;
        double scale = bias ? 0.05 : sqrt(6.0 / ((double)(s.h * s.w) * (s.n + s.c)));
        size_t n = lk_nn_count(s);
        float *values = malloc(n * sizeof *values);
        for (size_t k = 0; k < n; k++) values[k] = (float)(scrambled(k, 1000 + (uint32_t)i) * scale);
        assert_true(lk_nn_param_set(e, at, LK_NN_VALUE, values));
        free(values);
    }
    return (int)json_array_size(params);
}

static void fill(lk_nn_exec *e, const json_t *places, const char *from, const char *name, size_t skip) {
    lk_nn_t t = lk_nn_find(e, name);
    assert_true(t >= 0);
    size_t n = lk_nn_count(lk_nn_shape_in(e, t));
    memcpy(lk_nn_data(e, t), blob + (size_t)number(places, from) + skip * n, n * sizeof(float));
}

/* Each parameter as a whole within 1e-3, and what the steps changed in it within 5 %: Adam turns rounding in gradients
 * near zero into whole steps, so single weights may differ by more. */
static void compare_weights(const lk_nn_exec *e, const json_t *c) {
    size_t i;
    json_t *param;
    json_array_foreach(json_object_get(c, "params"), i, param) {
        const char *name = text(param, "name");
        int at = find_param(e, name);
        lk_nn_shape s = lk_nn_param_shape(e, at);
        size_t n = lk_nn_count(s), step = (size_t)number(param, "step");
        const float *want = blob + (size_t)number(param, "at");
        float *values = malloc(n * sizeof *values);
        assert_true(lk_nn_param_get(e, at, LK_NN_VALUE, values));
        bool bias = strstr(name, "/bias") != NULL;
        double scale = bias ? 0.05 : sqrt(6.0 / ((double)(s.h * s.w) * (s.n + s.c)));
        double sum = 0, off = 0, moved = 0, squares = 0;
        for (size_t k = 0; k < n; k++) {
            double start = (double)(float)(scrambled(k, 1000 + (uint32_t)i) * scale);
            squares += ((double)values[k] - start) * ((double)values[k] - start);
            if (k % step) continue;
            double d = (double)values[k] - (double)want[k / step], m = (double)want[k / step] - start;
            off += d * d;
            moved += m * m;
            sum += (double)want[k / step] * (double)want[k / step];
        }
        free(values);
        double change = number(param, "change");
        if (!(sqrt(off) <= 1e-3 * sqrt(sum)) || !(sqrt(off) <= 0.05 * sqrt(moved)) ||
            !(fabs(sqrt(squares) - change) <= 0.01 * change))
            fail_msg("%s: %s moved by %.6g, not %.6g; %.2f %% of the way and %.4f %% of the weights are wrong",
                     text(c, "name"), name, sqrt(squares), change, 100 * sqrt(off / moved), 100 * sqrt(off / sum));
    }
}

static void compare_pictures(lk_nn_exec *e, const char *name, const json_t *c, const char *key) {
    lk_nn_t t = lk_nn_find(e, name);
    assert_true(t >= 0);
    const float *got = lk_nn_data(e, t), *want = blob + (size_t)number(c, key);
    for (size_t i = 0; i < lk_nn_count(lk_nn_shape_in(e, t)); i++)
        if (!(fabsf(got[i] - want[i]) < 1e-3f))
            fail_msg("%s: %s[%zu] is %g, not %g", text(c, "name"), name, i, (double)got[i], (double)want[i]);
}

static void compare_prediction(const lk_nn_exec *trained, const lk_swap_table *t, const json_t *places,
                               const json_t *c) {
    lk_error err = {0};
    lk_nn_graph *g = lk_swap_build_prediction(t, (int)number(c, "batch"), false, &err);
    lk_nn_exec *e = g ? lk_nn_compile(g, &(lk_nn_options){0}, &err) : NULL;
    lk_nn_graph_free(g);
    test_ok(e != NULL, &err);
    assert_int_equal(lk_nn_copy_params(e, trained), lk_nn_param_count(e));
    for (int i = 0; i < lk_nn_param_count(e); i++) { /* what only dst's pictures go through is not there */
        const char *name = lk_nn_param_name(e, i);
        if (strncmp(name, "decoder_dst", 11) == 0 || strncmp(name, "inter_b/", 8) == 0) fail_msg("%s", name);
    }
    fill(e, places, "warped", "face", 1);
    test_ok(lk_nn_run(e, &err), &err);
    if (!SANITIZED) compare_pictures(e, "swap", c, "swap");
    if (!SANITIZED && t->learn_mask) compare_pictures(e, "mask", c, "swap_mask");
    lk_nn_free(e);
}

static int index_of(const char *const *names, const char *name) {
    int i = 0;
    while (strcmp(names[i], name)) i++;
    return i;
}

static void run_case(const json_t *c) {
    if (SANITIZED && strstr(text(c, "name"), "true size")) return; /* takes long, and tells nothing more there */
    lk_error err = {0};
    lk_swap_table t = table_of(c);
    lk_swap_config config = {.arch = t.wide ? LK_ARCH_SAE : LK_ARCH_H64};
    lk_swap_objective o = {.loss = index_of(lk_loss_names, text(c, "loss")),
                           .pixel_loss = yes(c, "pixel_loss"),
                           .face_style = number(c, "face_style"),
                           .background_style = number(c, "background_style"),
                           .features = number(c, "features")};
    int batch = (int)number(c, "batch"), iteration = (int)number(c, "iteration");
    lk_nn_graph *g = lk_swap_build_training(&t, lk_swap_terms(&config, &o, iteration), batch, &err);
    /* In small networks the order of a sum can decide on which side of LeakyReLU's kink one of few units lies, and then all
     * before it learns otherwise: one thread sums in one order everywhere. */
    lk_nn_exec *e = g ? lk_nn_compile(g, &(lk_nn_options){.train = true, .threads = t.code < 100}, &err) : NULL;
    lk_nn_graph_free(g);
    test_ok(e != NULL, &err);
    char place[32];
    snprintf(place, sizeof place, "%d/%d", t.resolution, batch);
    const json_t *places = json_object_get(json_object_get(golden, "inputs"), place);
    assert_int_equal(set_first_weights(e, json_object_get(c, "params")), lk_nn_param_count(e));
    fill(e, places, "warped", "warped", 0);
    fill(e, places, "target", "target", 0);
    fill(e, places, "mask", "mask", 0);
    if (o.features > 0) fill(e, places, "features", "features", 0);
    lk_nn_adam adam = lk_swap_optimizer(&config), recipe = {5e-5f, 0.5f, 0.999f, 1e-7f};
    assert_memory_equal(&adam, &recipe, sizeof adam);
    adam.rate = (float)number(c, "rate");
    adam.epsilon = (float)number(c, "epsilon");
    size_t i;
    json_t *want;
    json_array_foreach(json_object_get(c, "losses"), i, want) {
        if (SANITIZED && i == 3) break;
        float sums[2];
        assert_true(lk_swap_set_weights(e, &config, &o, iteration + (int)i));
        test_ok(lk_nn_step(e, &adam, &err), &err);
        lk_swap_losses(e, &sums[0], &sums[1]);
        for (size_t k = 0; k < 2; k++) {
            double w = json_number_value(json_array_get(want, k));
            if (!(fabs((double)sums[k] - w) <= 1e-3 * w))
                fail_msg("%s: step %zu, loss of %s is %.7g, not %.7g", text(c, "name"), i + 1, k ? "dst" : "src",
                         (double)sums[k], w);
        }
    }
    if (!SANITIZED) compare_weights(e, c);
    compare_prediction(e, &t, places, c);
    lk_nn_free(e);
}

static void run_cases(const char *prefix) {
    size_t i, count = 0;
    json_t *c;
    json_array_foreach(json_object_get(golden, "cases"), i, c) {
        if (strncmp(text(c, "name"), prefix, strlen(prefix))) continue;
        count++;
        run_case(c);
    }
    assert_true(count > 0);
}

/* Nothing is left out: fixed models in 2 modes, SAE in 3 with and without styles, each with and without masks; ten steps, of
 * the network of true size four. */
static void all_modes(void **state) {
    (void)state;
    size_t i, fixed = 0, sae = 0;
    json_t *c;
    json_array_foreach(json_object_get(golden, "cases"), i, c) {
        bool whole = strstr(text(c, "name"), "true size") != NULL;
        assert_int_equal(json_array_size(json_object_get(c, "losses")), whole ? 4 : 10);
        if (number(c, "features") > 0 || whole || strstr(text(c, "name"), "80 pixels")) continue;
        fixed += strncmp(text(c, "name"), "sae", 3) != 0;
        sae += strncmp(text(c, "name"), "sae", 3) == 0;
    }
    assert_int_equal(fixed, 6 * 2 * 2);
    assert_int_equal(sae, 2 * 3 * 2 * 2);
}

static void h64(void **state) {
    (void)state;
    run_cases("h64");
}
static void h128(void **state) {
    (void)state;
    run_cases("h128");
}
static void df(void **state) {
    (void)state;
    run_cases("df");
}
static void liae(void **state) {
    (void)state;
    run_cases("liae");
}
static void sae_df(void **state) {
    (void)state;
    run_cases("sae df");
}
static void sae_liae(void **state) {
    (void)state;
    run_cases("sae liae");
}

/* The true dimensions: as many numbers as the description has. */
static void count_of(const char *name, const char *words) {
    char copy[200], *argv[16];
    int argc = 0;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *w = strtok(copy, " "); w; w = strtok(NULL, " ")) argv[argc++] = w;
    const json_t *want = json_object_get(json_object_get(golden, "counts"), name);
    assert_non_null(want);
    lk_swap_config c = {0};
    lk_strings rest = {0};
    lk_error err = {0};
    test_ok(lk_options_defaults(lk_swap_options, &c, &err) &&
                lk_options_parse(lk_swap_options, &c, argc, argv, &rest, NULL, &err) && lk_swap_complete(&c, &err),
            &err);
    for (size_t masks = 0; masks < 2; masks++) {
        c.learn_mask = masks;
        lk_nn_graph *g = lk_swap_training_graph(&c, 1, 1, &err);
        lk_nn_memory memory;
        test_ok(g && lk_nn_plan(g, &(lk_nn_options){.train = true}, &memory, &err), &err);
        lk_nn_graph_free(g);
        if ((json_int_t)memory.parameters != json_integer_value(json_array_get(want, masks)))
            fail_msg("%s has %zu parameters, not %" JSON_INTEGER_FORMAT, words, memory.parameters,
                     json_integer_value(json_array_get(want, masks)));
    }
}

static void counts(void **state) {
    (void)state;
    count_of("h64", "--model h64");
    count_of("h64 lighter", "--model h64 --lighter");
    count_of("h128", "--model h128");
    count_of("h128 lighter", "--model h128 --lighter");
    count_of("df", "--model df");
    count_of("liae", "--model liae");
    count_of("sae df 64 128 32", "--model quick --ed-ch-dims 32");
    count_of("sae df 128 512 42", "--model sae");
    count_of("sae liae 128 256 42", "--model sae --archi liae");
    count_of("sae df 128 698 51", "--model sae --ae-dims 698 --ed-ch-dims 51");
    count_of("sae liae 128 402 47", "--model sae --archi liae --ae-dims 402 --ed-ch-dims 47");
    count_of("sae df 128 1024 85", "--model sae --ae-dims 1024 --ed-ch-dims 85");
    count_of("sae df 128 1024 85 lighter", "--model sae --ae-dims 1024 --ed-ch-dims 85 --lighter");
    count_of("sae liae 256 512 64 lighter multiscale",
             "--model sae --archi liae --resolution 256 --ae-dims 512 --ed-ch-dims 64 --lighter --multiscale-decoder");
    count_of("sae df 640 32 21 multiscale",
             "--model sae --resolution 640 --ae-dims 32 --ed-ch-dims 21 --multiscale-decoder");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts), cmocka_unit_test(all_modes), cmocka_unit_test(h64),    cmocka_unit_test(h128),
        cmocka_unit_test(df),     cmocka_unit_test(liae),      cmocka_unit_test(sae_df), cmocka_unit_test(sae_liae),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
