/* Convolution-aware first weights: spectra of one output's filters are orthogonal, and the variance is He's. */
#include "testing.h"

#include "likeness/nn.h"

#include <complex.h>
#include <math.h>

enum { SIDE = 5, BASIS = SIDE * (SIDE / 2 + 1) };

static float *first_weights(lk_nn_shape s, lk_nn_init init, uint64_t seed) {
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_graph_new(&err);
    lk_nn_t x = lk_nn_input(g, "x", (lk_nn_shape){1, s.c, 8, 8});
    lk_nn_t w = lk_nn_param(g, "w", s, init);
    lk_nn_output(g, "y", lk_nn_conv(g, x, w, -1, &(lk_nn_conv_options){.same = true}));
    lk_nn_exec *e = lk_nn_compile(g, &(lk_nn_options){.seed = seed}, &err);
    test_ok(e != NULL, &err);
    float *values = malloc(lk_nn_count(s) * sizeof *values);
    assert_true(lk_nn_param_get(e, 0, LK_NN_VALUE, values));
    lk_nn_free(e);
    lk_nn_graph_free(g);
    return values;
}

/* The half plane of a filter's discrete Fourier transform. */
static void spectrum(const float *filter, double complex *to) {
    for (int v = 0; v < SIDE; v++)
        for (int u = 0; u <= SIDE / 2; u++) {
            double complex sum = 0;
            for (int y = 0; y < SIDE; y++)
                for (int x = 0; x < SIDE; x++)
                    sum += (double)filter[y * SIDE + x] * cexp(-I * 6.283185307179586 * (v * y + u * x) / SIDE);
            to[v * (SIDE / 2 + 1) + u] = sum;
        }
}

/* Mean |cosine| between the real parts of the spectra of the first BASIS filters of each output. */
static double overlap(const float *w, lk_nn_shape s) {
    double sum = 0;
    int count = 0;
    for (int o = 0; o < s.n; o++) {
        double complex f[BASIS][BASIS];
        double norm[BASIS];
        for (int i = 0; i < BASIS; i++) {
            spectrum(w + (size_t)(o * s.c + i) * SIDE * SIDE, f[i]);
            norm[i] = 0;
            for (int k = 0; k < BASIS; k++) norm[i] += creal(f[i][k]) * creal(f[i][k]);
            for (int j = 0; j < i; j++, count++) {
                double dot = 0;
                for (int k = 0; k < BASIS; k++) dot += creal(f[i][k]) * creal(f[j][k]);
                sum += fabs(dot) / sqrt(norm[i] * norm[j]);
            }
        }
    }
    return sum / count;
}

/* How much of all spectra's energy is real. */
static double real_share(const float *w, lk_nn_shape s) {
    double real = 0, all = 0;
    for (int i = 0; i < s.n * s.c; i++) {
        double complex f[BASIS];
        spectrum(w + (size_t)i * SIDE * SIDE, f);
        for (int k = 0; k < BASIS; k++) {
            real += creal(f[k]) * creal(f[k]);
            all += creal(f[k]) * creal(f[k]) + cimag(f[k]) * cimag(f[k]);
        }
    }
    return real / all;
}

/* The noise that breaks the filters' symmetry holds two fifths of their energy, so neither is complete. */
static void orthogonal_in_fourier_space(void **state) {
    (void)state;
    lk_nn_shape s = {24, 40, SIDE, SIDE};
    float *aware = first_weights(s, (lk_nn_init){LK_NN_CONVOLUTION_AWARE, 0}, 3);
    float *plain = first_weights(s, (lk_nn_init){LK_NN_NORMAL, 0.02f}, 3);
    double a = overlap(aware, s), p = overlap(plain, s);
    double share = real_share(aware, s), half = real_share(plain, s);
    if (!(a < 0.85 * p && share > 0.7 && half < 0.55))
        fail_msg("spectra overlap by %.3f, random ones by %.3f; real: %.2f and %.2f", a, p, share, half);
    free(aware);
    free(plain);
}

static void variance_of_he(void **state) {
    (void)state;
    static const lk_nn_shape shapes[] = {{24, 40, 5, 5}, {64, 16, 3, 3}, {32, 1, 5, 5}, {48, 64, 1, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        lk_nn_shape s = shapes[i];
        float *w = first_weights(s, (lk_nn_init){LK_NN_CONVOLUTION_AWARE, 0}, 1);
        double sum = 0, squares = 0, n = (double)lk_nn_count(s);
        for (size_t k = 0; k < lk_nn_count(s); k++) {
            sum += (double)w[k];
            squares += (double)w[k] * (double)w[k];
        }
        double variance = squares / n - sum * sum / (n * n), want = 2.0 / (s.c * s.h * s.w);
        assert_true(fabs(variance - want) < 1e-3 * want);
        free(w);
    }
}

static void the_seed_decides(void **state) {
    (void)state;
    lk_nn_shape s = {8, 8, 3, 3};
    lk_nn_init init = {LK_NN_CONVOLUTION_AWARE, 0};
    float *a = first_weights(s, init, 1), *b = first_weights(s, init, 1), *c = first_weights(s, init, 2);
    assert_memory_equal(a, b, lk_nn_count(s) * sizeof *a);
    assert_memory_not_equal(a, c, lk_nn_count(s) * sizeof *a);
    free(a);
    free(b);
    free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orthogonal_in_fourier_space),
        cmocka_unit_test(variance_of_he),
        cmocka_unit_test(the_seed_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
