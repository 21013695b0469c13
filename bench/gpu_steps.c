/* Training steps of a model on the GPU, on samples of made-up pictures that are drawn there before each step, as training
 * does. One line of numbers: milliseconds per step, steps per second, TFLOP/s, MiB of the device's memory in use at the end;
 * how many layers run by plain kernels; samples per second when they alone are drawn, and how many times as many that is as
 * the steps need.
 *
 *     gpu_steps MODEL INNER RESOLUTION AE_DIMS ED_CH_DIMS BATCH f32|bf16|tf32|f16 STEPS STATES MIB [profile]
 *
 * MODEL: quick, h64, h128, df, liae, sae; INNER: df or liae; 0 for a dimension: the model's own. STATES of Adam: full, short,
 * factored, host. MIB: what the network may take of the device; 0: what it needs. Says on stderr by which library each layer
 * runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/gpu.h"
#include "likeness/swap.h"
#include "made_up_samples.h"

static int plain_layers;

static void tell(lk_log_level level, const char *line, void *user) {
    (void)level, (void)user;
    fprintf(stderr, "%s\n", line);
    if (strstr(line, ": plain")) plain_layers++;
}

/* In the order of lk_nn_precision. */
static const char *const precisions[] = {"f32", "bf16", "tf32", "f16", NULL};

static int named(const char *const *names, const char *name) {
    for (int i = 0; names[i]; i++)
        if (!strcmp(names[i], name)) return i;
    return -1;
}

/* A batch, in pinned memory. */
typedef struct sheet {
    lk_nn_canvas canvas;
    lk_nn_sample *samples;
    uint8_t *bytes;
    size_t size;
    int count;
} sheet;

static bool make_sheet(sheet *s, const lk_nn_exec *e, lk_error *err) {
    s->canvas = (lk_nn_canvas){lk_nn_find(e, "warped"), lk_nn_find(e, "target"), lk_nn_find(e, "mask"), -1};
    lk_nn_shape shape = lk_nn_shape_in(e, s->canvas.warped);
    s->count = shape.n;
    s->size = (size_t)shape.n * made_up_bytes(shape.h);
    s->samples = lk_nn_pin((size_t)shape.n * sizeof *s->samples, err);
    s->bytes = s->samples ? lk_nn_pin(s->size, err) : NULL;
    for (int i = 0; s->bytes && i < shape.n; i++) made_up_sample(&s->samples[i], s->bytes, shape.h, (uint32_t)i);
    return s->bytes != NULL;
}

static bool draw(lk_nn_exec *e, const sheet *s, lk_error *err) {
    return lk_nn_draw(e, &s->canvas, s->samples, s->bytes, s->size, err);
}

/* The losses are read at the end, which waits. */
static bool waited(const lk_nn_exec *e, lk_error *err) {
    return lk_nn_loss_value(e, 0) < 1e9f || lk_fail(err, LK_ERR_UNSUPPORTED, "the loss is no number");
}

static bool steps(lk_nn_exec *e, const sheet *s, const lk_nn_adam *adam, int count, lk_error *err) {
    for (int i = 0; i < count; i++)
        if (!draw(e, s, err) || !lk_nn_step(e, adam, err)) return false;
    return waited(e, err);
}

/* Batches in a second; < 0: failed. */
static double draws_in_a_second(lk_nn_exec *e, const sheet *s, int count, lk_error *err) {
    double start = lk_now();
    for (int i = 0; i < count; i++)
        if (!draw(e, s, err)) return -1;
    return waited(e, err) ? count / (lk_now() - start) : -1;
}

static bool measure(lk_nn_exec *e, const sheet *s, const lk_swap_config *c, int count, bool profile, lk_error *err) {
    lk_nn_adam adam = lk_swap_optimizer(c);
    lk_swap_objective o = {0};
    lk_swap_set_weights(e, c, &o, 0);
    double best = 0;
    if (!steps(e, s, &adam, 5, err)) return false;
    for (int round = 0; round < 3; round++) {
        double start = lk_now();
        if (!steps(e, s, &adam, count, err)) return false;
        double each = (lk_now() - start) / count;
        if (round == 0 || each < best) best = each;
    }
    lk_nn_memory m = lk_nn_memory_of(e);
    double draws = draws_in_a_second(e, s, 4 * count, err);
    if (draws < 0) return false;
    printf("%.3f ms/step  %.2f steps/s  %.1f TFLOP/s  %.0f MiB  %d plain layers  %.0f samples/s  %.1f times\n",
           1e3 * best, 1 / best, m.step_flops / best / 1e12, (double)lk_gpu_used() / 0x1p20, plain_layers,
           draws * s->count, draws * best);
    if (!profile) return true;
    lk_nn_set_profile(e, true);
    if (!steps(e, s, &adam, 3, err)) return false;
    char *text = lk_nn_profile(e, err);
    if (text) fprintf(stderr, "of three steps, each kernel waited for:\n%s", text);
    free(text);
    return text != NULL;
}

static bool run(char **argv, bool profile, lk_error *err) {
    lk_swap_config c = {.arch = named(lk_arch_names, argv[1]),
                        .inner = named(lk_sae_inner_names, argv[2]),
                        .resolution = atoi(argv[3]),
                        .face_type = LK_SWAP_FACE_AUTO,
                        .ae_dims = atoi(argv[4]),
                        .ed_ch_dims = atoi(argv[5]),
                        .learn_mask = true};
    int batch = atoi(argv[6]), count = atoi(argv[8]);
    lk_nn_options options = {.train = true,
                             .device = LK_NN_GPU,
                             .precision = named(precisions, argv[7]),
                             .optimizer_memory = named(lk_nn_states_names, argv[9]),
                             .memory = LK_MIB((size_t)atoi(argv[10]))};
    if (c.arch < 0 || c.inner < 0 || options.precision < 0 || options.optimizer_memory < 0 || batch < 1 || count < 1)
        return lk_fail(err, LK_ERR_USAGE, "no such model, inner, precision, states, batch or number of steps");
    lk_swap_objective o = {0};
    if (!lk_nn_has_gpu(NULL, err) || !lk_swap_complete(&c, err)) return false;
    lk_nn_graph *g = lk_swap_training_graph(&c, lk_swap_terms(&c, &o, 0), batch, err);
    lk_nn_exec *e = g ? lk_nn_compile(g, &options, err) : NULL;
    lk_nn_graph_free(g);
    if (!e) return false;
    sheet s = {0};
    bool ok = make_sheet(&s, e, err) && measure(e, &s, &c, count, profile, err);
    lk_nn_free(e);
    lk_nn_unpin(s.samples);
    lk_nn_unpin(s.bytes);
    return ok;
}

int main(int argc, char **argv) {
    lk_error err = {0};
    if (argc < 11) {
        fprintf(stderr,
                "usage: gpu_steps MODEL INNER RESOLUTION AE_DIMS ED_CH_DIMS BATCH f32|bf16|tf32|f16 STEPS STATES MIB "
                "[profile]\n");
        return 2;
    }
    lk_log_to(tell, NULL);
    if (run(argv, argc > 11, &err)) return 0;
    fprintf(stderr, "%s\n", err.message);
    return 1;
}
