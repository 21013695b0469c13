/* Training steps of a model on made-up pictures: seconds, share of operations, memory. One JSON object.
 *
 *     bench_steps '{"model": "sae", "batch": 8, "threads": 2, "seconds": 10, "precision": "auto", "profile": false}' */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "likeness/swap.h"

static int named(const char *const *names, const char *name) {
    for (int i = 0; names[i]; i++)
        if (!strcmp(names[i], name)) return i;
    return -1;
}

static int integer(const json_t *o, const char *key, int otherwise) {
    const json_t *v = json_object_get(o, key);
    return json_is_integer(v) ? (int)json_integer_value(v) : otherwise;
}

static const char *text(const json_t *o, const char *key, const char *otherwise) {
    const char *v = json_string_value(json_object_get(o, key));
    return v ? v : otherwise;
}

static void fill(lk_nn_exec *e, const char *name, uint64_t stream) {
    lk_nn_t t = lk_nn_find(e, name);
    float *x = t < 0 ? NULL : lk_nn_data(e, t);
    if (!x) return;
    lk_rng r = lk_rng_make(1, stream);
    size_t n = lk_nn_count(lk_nn_shape_in(e, t));
    for (size_t i = 0; i < n; i++) x[i] = (float)lk_rng_uniform(&r, 0, 1);
}

/* The peak of the process's memory so far, in bytes. */
static double peak_memory(void) {
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    double kib = 0;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lf", &kib) == 1) break;
    if (f) fclose(f);
    return 1024 * kib;
}

/* Of all threads. */
static double processor_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static int ascending(const void *a, const void *b) {
    double d = *(const double *)a - *(const double *)b;
    return (d > 0) - (d < 0);
}

#define MOST_STEPS 200

static bool measure(lk_nn_exec *e, const lk_swap_config *c, const lk_swap_objective *o, double seconds, json_t *out,
                    lk_error *err) {
    double times[MOST_STEPS], begin = 0, processor = 0;
    lk_nn_adam adam = lk_swap_optimizer(c);
    int count = 0;
    lk_swap_set_weights(e, c, o, 0);
    for (int i = -2; i < MOST_STEPS && (count < 3 || lk_now() - begin < seconds); i++) { /* two to warm up */
        if (i == 0) {
            begin = lk_now();
            processor = processor_seconds();
            lk_nn_set_profile(e, true);
        }
        double start = lk_now();
        if (!lk_nn_step(e, &adam, err)) return false;
        if (i >= 0) times[count++] = lk_now() - start;
    }
    qsort(times, (size_t)count, sizeof *times, ascending);
    json_object_set_new(out, "seconds_min", json_real(times[0]));
    json_object_set_new(out, "seconds_median", json_real(times[count / 2]));
    json_object_set_new(out, "processor_seconds", json_real((processor_seconds() - processor) / count));
    json_object_set_new(out, "steps", json_integer(count));
    float src, dst;
    lk_swap_losses(e, &src, &dst);
    json_object_set_new(out, "loss_src", json_real((double)src));
    json_object_set_new(out, "loss_dst", json_real((double)dst));
    return true;
}

static void tell_memory(const lk_nn_memory *m, json_t *out) {
    json_object_set_new(out, "parameters", json_integer((json_int_t)m->parameters));
    json_object_set_new(out, "weights_bytes", json_integer((json_int_t)m->weights));
    json_object_set_new(out, "optimizer_bytes", json_integer((json_int_t)m->optimizer));
    json_object_set_new(out, "activation_bytes", json_integer((json_int_t)m->activations));
    json_object_set_new(out, "workspace_bytes", json_integer((json_int_t)m->workspace));
    json_object_set_new(out, "total_bytes", json_integer((json_int_t)m->total));
    json_object_set_new(out, "step_flops", json_real(m->step_flops));
    json_object_set_new(out, "saved_bytes", json_integer((json_int_t)m->saved));
    json_object_set_new(out, "again_flops", json_real(m->again_flops));
}

static bool run(const json_t *in, json_t *out, lk_error *err) {
    /* In the order of lk_nn_precision. */
    static const char *const precisions[] = {"f32", "bf16", "tf32", "f16", "auto", NULL};
    static const char *const states[] = {"full", "short", "factored", "host", NULL};
    lk_swap_config c = {.arch = named(lk_arch_names, text(in, "model", "sae")),
                        .inner = named(lk_sae_inner_names, text(in, "inner", "df")),
                        .resolution = integer(in, "resolution", 0),
                        .face_type = LK_SWAP_FACE_AUTO,
                        .ae_dims = integer(in, "ae_dims", 0),
                        .ed_ch_dims = integer(in, "ed_ch_dims", 0),
                        .learn_mask = true};
    lk_swap_objective o = {0};
    lk_nn_options options = {.train = true,
                             .precision = named(precisions, text(in, "precision", "auto")),
                             .optimizer_memory = named(states, text(in, "optimizer_memory", "full")),
                             .threads = integer(in, "threads", 0),
                             .memory = (size_t)integer(in, "memory", 0) << 20};
    if (c.arch < 0 || c.inner < 0 || options.precision < 0 || options.optimizer_memory < 0)
        return lk_fail(err, LK_ERR_USAGE, "no such model, inner, precision or optimizer memory");
    if (!lk_swap_complete(&c, err)) return false;
    int batch = integer(in, "batch", 8);
    lk_nn_graph *g = lk_swap_training_graph(&c, lk_swap_terms(&c, &o, 0), batch, err);
    lk_nn_memory m;
    if (json_is_true(json_object_get(in, "plan"))) { /* memory only, without taking it */
        bool planned = g && lk_nn_plan(g, &options, &m, err);
        lk_nn_graph_free(g);
        if (planned) tell_memory(&m, out);
        return planned;
    }
    lk_nn_exec *e = g && lk_nn_tune(g, &options, err) ? lk_nn_compile(g, &options, err) : NULL;
    lk_nn_graph_free(g);
    if (!e) return false;
    fill(e, "warped", 1);
    fill(e, "target", 2);
    fill(e, "mask", 3);
    bool ok = measure(e, &c, &o, json_number_value(json_object_get(in, "seconds")), out, err);
    m = lk_nn_memory_of(e);
    tell_memory(&m, out);
    json_object_set_new(out, "batch", json_integer(batch));
    json_object_set_new(out, "peak_bytes", json_real(peak_memory()));
    char *profile = json_is_true(json_object_get(in, "profile")) ? lk_nn_profile(e, err) : NULL;
    if (profile) fprintf(stderr, "%s", profile);
    free(profile);
    lk_nn_free(e);
    return ok;
}

int main(int argc, char **argv) {
    lk_error err = {0};
    json_error_t where;
    json_t *in = json_loads(argc > 1 ? argv[1] : "{}", 0, &where), *out = json_object();
    if (!json_is_object(in)) {
        fprintf(stderr, "the first argument is one JSON object: %s\n", where.text);
        return 2;
    }
    bool ok = run(in, out, &err);
    if (!ok) fprintf(stderr, "%s\n", err.message);
    if (ok) json_dumpf(out, stdout, JSON_INDENT(1));
    if (ok) printf("\n");
    json_decref(in);
    json_decref(out);
    return ok ? 0 : 1;
}
