/* Which models there are, what they have of their own, which combinations are refused, and that each compiles and learns. */
#include "testing.h"

#include "likeness/swap.h"

#include <math.h>

static lk_swap_config defaults(int arch) {
    lk_error err = {0};
    lk_swap_config c = {0};
    test_ok(lk_options_defaults(lk_swap_options, &c, &err), &err);
    c.arch = arch;
    return c;
}

static lk_swap_config complete(int arch) {
    lk_error err = {0};
    lk_swap_config c = defaults(arch);
    test_ok(lk_swap_complete(&c, &err), &err);
    return c;
}

static void own_values(void **state) {
    (void)state;
    static const struct {
        int arch, resolution, face_type, ae_dims, ed_ch_dims;
    } want[] = {
        {LK_ARCH_QUICK, 64, LK_FACE_FULL, 128, 21}, {LK_ARCH_H64, 64, LK_FACE_HALF, 0, 0},
        {LK_ARCH_H128, 128, LK_FACE_HALF, 0, 0},    {LK_ARCH_DF, 128, LK_FACE_FULL, 0, 0},
        {LK_ARCH_LIAE, 128, LK_FACE_FULL, 0, 0},    {LK_ARCH_SAE, 128, LK_FACE_FULL, 512, 42},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        lk_swap_config c = complete(want[i].arch);
        assert_int_equal(c.resolution, want[i].resolution);
        assert_int_equal(c.face_type, want[i].face_type);
        assert_int_equal(c.ae_dims, want[i].ae_dims);
        assert_int_equal(c.ed_ch_dims, want[i].ed_ch_dims);
        assert_true(c.learn_mask);
        lk_swap_config again = c;
        lk_error err = {0};
        test_ok(lk_swap_complete(&again, &err), &err);
        assert_memory_equal(&again, &c, sizeof c);
    }
    lk_swap_config liae = defaults(LK_ARCH_SAE);
    liae.inner = LK_SAE_LIAE;
    lk_error err = {0};
    test_ok(lk_swap_complete(&liae, &err), &err);
    assert_int_equal(liae.ae_dims, 256);
}

/* A command line is refused, and the message names the option. */
static void refuse(const char *words, const char *option) {
    char copy[200], *argv[12];
    int argc = 0;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *w = strtok(copy, " "); w; w = strtok(NULL, " ")) argv[argc++] = w;
    lk_swap_config c = defaults(LK_ARCH_SAE);
    lk_strings rest = {0};
    lk_error err = {0};
    bool ok = lk_options_parse(lk_swap_options, &c, argc, argv, &rest, NULL, &err) && lk_swap_complete(&c, &err);
    lk_strings_free(&rest);
    if (ok) fail_msg("%s was accepted", words);
    assert_int_equal(err.code, LK_ERR_USAGE);
    if (!strstr(err.message, option)) fail_msg("%s: %s", words, err.message);
}

static void refused(void **state) {
    (void)state;
    refuse("--model sae --resolution 100", "--resolution 100");
    refuse("--model sae --resolution 48", "--resolution 48");
    refuse("--model sae --resolution 656", "--resolution");
    refuse("--model sae --ae-dims 31", "--ae-dims 31");
    refuse("--model sae --ae-dims 1025", "--ae-dims");
    refuse("--model sae --ed-ch-dims 20", "--ed-ch-dims 20");
    refuse("--model sae --ed-ch-dims 86", "--ed-ch-dims");
    refuse("--model h64 --resolution 128", "h64 always works at 64 pixels");
    refuse("--model df --face-type half", "--face-type");
    refuse("--model h128 --face-type head", "--face-type");
    refuse("--model df --lighter", "--lighter");
    refuse("--model liae --lighter", "--lighter");
    refuse("--model h64 --archi liae", "--archi");
    refuse("--model h64 --ae-dims 512", "--ae-dims");
    refuse("--model h128 --ed-ch-dims 42", "--ed-ch-dims");
    refuse("--model df --multiscale-decoder", "--multiscale-decoder");
    refuse("--model liae --ca-weights", "--ca-weights");
    refuse("--model dfl", "--model");
    refuse("--face-type nose", "--face-type");
}

static void objective_checked(void **state) {
    (void)state;
    lk_error err = {0};
    lk_swap_config h64 = complete(LK_ARCH_H64), sae = complete(LK_ARCH_SAE);
    lk_swap_objective o = {.pixel_loss = true};
    test_ok(lk_swap_objective_check(&h64, &o, &err), &err);
    assert_false(lk_swap_objective_check(&sae, &o, &err));
    assert_non_null(strstr(err.message, "--loss pixel"));
    o = (lk_swap_objective){.loss = LK_LOSS_SMOOTH, .face_style = 10, .background_style = 4};
    test_ok(lk_swap_objective_check(&sae, &o, &err), &err);
    err = (lk_error){0};
    assert_false(lk_swap_objective_check(&h64, &o, &err));
    assert_non_null(strstr(err.message, "--loss"));
    o.loss = LK_LOSS_DSSIM;
    err = (lk_error){0};
    assert_false(lk_swap_objective_check(&h64, &o, &err));
    assert_non_null(strstr(err.message, "--face-style-power"));
}

/* The terms of the smooth transition come and go where they should. */
static void terms_over_time(void **state) {
    (void)state;
    lk_swap_config sae = complete(LK_ARCH_SAE);
    lk_swap_objective smooth = {.loss = LK_LOSS_SMOOTH}, dssim = {.loss = LK_LOSS_DSSIM},
                      pixel = {.loss = LK_LOSS_PIXEL};
    unsigned structure = lk_swap_terms(&sae, &dssim, 0), pixels = lk_swap_terms(&sae, &pixel, 0);
    assert_int_equal(lk_swap_terms(&sae, &smooth, 0), structure);
    assert_int_equal(lk_swap_terms(&sae, &smooth, 5000), structure);
    assert_int_equal(lk_swap_terms(&sae, &smooth, 5001), structure | pixels);
    assert_int_equal(lk_swap_terms(&sae, &smooth, 19999), structure | pixels);
    assert_int_equal(lk_swap_terms(&sae, &smooth, 20000), pixels);
    smooth.face_style = 10;
    assert_int_not_equal(lk_swap_terms(&sae, &smooth, 0), structure);
}

static void batches_refused(void **state) {
    (void)state;
    lk_swap_config c = complete(LK_ARCH_QUICK);
    lk_error err = {0};
    assert_null(lk_swap_training_graph(&c, 1, 0, &err));
    assert_int_equal(err.code, LK_ERR_USAGE);
    err = (lk_error){0};
    assert_null(lk_swap_predict_graph(&c, LK_SWAP_MOST_BATCH + 1, false, &err));
    assert_int_equal(err.code, LK_ERR_USAGE);
}

static lk_nn_exec *compiled(lk_nn_graph *g, bool train, lk_error *err) {
    lk_nn_exec *e = g ? lk_nn_compile(g, &(lk_nn_options){.train = train, .seed = 5}, err) : NULL;
    lk_nn_graph_free(g);
    test_ok(e != NULL, err);
    return e;
}

static void fill(lk_nn_exec *e, const char *name, float base) {
    lk_nn_t t = lk_nn_find(e, name);
    assert_true(t >= 0);
    lk_nn_shape s = lk_nn_shape_in(e, t);
    float *x = lk_nn_data(e, t);
    for (size_t i = 0; i < lk_nn_count(s); i++) x[i] = base + 0.3f * sinf((float)(i % 977) * 0.05f);
}

/* One side's loss falls over a few steps, the prediction graph takes the weights and draws what the other drew. */
static void learns(const lk_swap_config *c, const lk_swap_objective *o, int steps) {
    lk_error err = {0};
    lk_nn_exec *e = compiled(lk_swap_training_graph(c, lk_swap_terms(c, o, 10000), 1, &err), true, &err);
    lk_nn_exec *p = compiled(lk_swap_predict_graph(c, 1, true, &err), false, &err);
    fill(e, "warped", 0.5f);
    fill(e, "target", 0.5f);
    fill(e, "mask", 0.6f);
    lk_nn_adam adam = lk_swap_optimizer(c);
    float first = 0, src = 0, dst = 0;
    assert_true(lk_swap_set_weights(e, c, o, 10000));
    for (int i = 0; i < steps; i++) {
        test_ok(lk_nn_step(e, &adam, &err), &err);
        lk_swap_losses(e, &src, &dst);
        if (!i) first = src + dst;
    }
    if (!(src > 0 && dst > 0 && src + dst < first))
        fail_msg("%s: %g, then %g", lk_arch_names[c->arch], (double)first, (double)(src + dst));
    test_ok(lk_nn_run(e, &err), &err);
    assert_int_equal(lk_nn_copy_params(p, e), lk_nn_param_count(e));
    assert_int_equal(lk_nn_param_count(p), lk_nn_param_count(e));
    size_t one = (size_t)c->resolution * (size_t)c->resolution * 3;
    const float *warped = lk_nn_data(e, lk_nn_find(e, "warped")), *drawn = lk_nn_data(e, lk_nn_find(e, "prediction"));
    memcpy(lk_nn_data(p, lk_nn_find(p, "src_face")), warped, one * sizeof(float));
    memcpy(lk_nn_data(p, lk_nn_find(p, "face")), warped + one, one * sizeof(float));
    test_ok(lk_nn_run(p, &err), &err);
    const float *parts[2] = {lk_nn_data(p, lk_nn_find(p, "src")), lk_nn_data(p, lk_nn_find(p, "dst"))};
    for (size_t i = 0; i < 2 * one; i++) assert_true(fabsf(parts[i / one][i % one] - drawn[i]) < 1e-4f);
    assert_int_equal(lk_nn_find(p, "mask") >= 0, c->learn_mask);
    lk_nn_free(e);
    lk_nn_free(p);
}

static void quick_learns(void **state) {
    (void)state;
    lk_swap_config c = complete(LK_ARCH_QUICK);
    learns(&c, &(lk_swap_objective){.loss = LK_LOSS_DSSIM}, 4);
}

static void h64_learns(void **state) {
    (void)state;
    lk_swap_config c = defaults(LK_ARCH_H64);
    lk_error err = {0};
    c.lighter = true;
    test_ok(lk_swap_complete(&c, &err), &err);
    learns(&c, &(lk_swap_objective){0}, 3);
}

static void sae_learns(void **state) {
    (void)state;
    lk_error err = {0};
    for (int i = 1; i < 8; i += 3) {
        lk_swap_config c = defaults(LK_ARCH_SAE);
        c.inner = i & 1;
        c.lighter = i & 2;
        c.multiscale = c.ca_weights = i & 4;
        c.learn_mask = !(i & 4);
        c.resolution = i & 4 ? 80 : 64;
        c.ae_dims = 32;
        c.ed_ch_dims = 21;
        test_ok(lk_swap_complete(&c, &err), &err);
        lk_swap_objective o = {.loss = LK_LOSS_SMOOTH, .face_style = i & 2 ? 10 : 0, .background_style = i & 1 ? 4 : 0};
        learns(&c, &o, 4);
    }
}

/* How large the first weights of h64's kernels are, times the numbers that go into one output. */
static double spread_of(bool he, const char *name, bool *normal) {
    lk_error err = {0};
    lk_swap_config c = defaults(LK_ARCH_H64);
    c.lighter = true;
    c.he_weights = he;
    test_ok(lk_swap_complete(&c, &err), &err);
    lk_nn_exec *e = compiled(lk_swap_predict_graph(&c, 1, false, &err), false, &err);
    double squares = 0, fourth = 0, inputs = 0;
    for (int i = 0; i < lk_nn_param_count(e); i++) {
        if (strcmp(lk_nn_param_name(e, i), name) != 0) continue;
        lk_nn_shape s = lk_nn_param_shape(e, i);
        size_t count = lk_nn_count(s);
        float *w = malloc(count * sizeof *w);
        assert_true(lk_nn_param_get(e, i, LK_NN_VALUE, w));
        for (size_t k = 0; k < count; k++) {
            double square = (double)w[k] * (double)w[k] / (double)count;
            squares += square;
            fourth += square * (double)w[k] * (double)w[k];
        }
        inputs = (double)s.c * s.h * s.w;
        free(w);
    }
    lk_nn_free(e);
    *normal = fourth / (squares * squares) > 2.5; /* 3 for a normal, 1.8 for a uniform distribution */
    return inputs * squares;
}

/* He: as much variance leaves a layer as comes in, twice where a rectifier takes half, and a hundredth at the picture.
 * Glorot: 2·inputs/(inputs + outputs). */
static void first_weights(void **state) {
    (void)state;
    static const struct {
        const char *name;
        double he, glorot;
    } want[] = {{"encoder/down2/kernel", 2, 2.0 * 128 / (128 + 256)},
                {"encoder/dense2/kernel", 1, 2.0 * 512 / (512 + 16 * 512)},
                {"decoder_src/up3/kernel", 2, 2.0 * 128 / (128 + 4 * 64)},
                {"decoder_src/out/kernel", 0.01, 2.0 * 64 / (64 + 3)}};
    for (size_t i = 0; i < LK_COUNT(want); i++)
        for (int he = 0; he < 2; he++) {
            bool normal;
            double got = spread_of(he, want[i].name, &normal), wanted = he ? want[i].he : want[i].glorot;
            if (fabs(got / wanted - 1) > 0.06 || normal != he)
                fail_msg("%s, he %d: %g instead of %g, normal %d", want[i].name, he, got, wanted, normal);
        }
    assert_false(complete(LK_ARCH_SAE).he_weights);
    assert_true(complete(LK_ARCH_DF).he_weights);
}

/* docs/models.md describes every option in the words of its table. */
static void documented(void **state) {
    (void)state;
    lk_error err = {0};
    void *page = NULL;
    size_t size;
    test_ok(lk_file_read(LK_SOURCE "/docs/models.md", LK_MIB(1), &page, &size, &err), &err);
    char *text = lk_format(&err, "%.*s", (int)size, (char *)page);
    const lk_option *const tables[] = {lk_swap_options, lk_swap_objective_options};
    for (size_t i = 0; i < 2; i++)
        for (const lk_option *o = tables[i]; o->name; o++) {
            char row[64];
            snprintf(row, sizeof row, "| `--%s` |", o->name);
            const char *at = strstr(text, row), *end = at ? strchr(at, '\n') : NULL,
                       *help = at ? strstr(at, o->help) : NULL;
            if (!help || help > end) fail_msg("docs/models.md does not say of --%s: %s", o->name, o->help);
        }
    free(text);
    free(page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_values),      cmocka_unit_test(refused),         cmocka_unit_test(objective_checked),
        cmocka_unit_test(terms_over_time), cmocka_unit_test(batches_refused), cmocka_unit_test(quick_learns),
        cmocka_unit_test(h64_learns),      cmocka_unit_test(sae_learns),      cmocka_unit_test(documented),
        cmocka_unit_test(first_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
