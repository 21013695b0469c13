/* Which way is the fastest for each layer: timed once for each shape, and remembered.
 *
 * The file is text, one for each processor: a head that names what was timed, then a line for each layer. It is read and
 * grown under a lock, and what stands in it stays: two trainings that begin together choose alike. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "../kept.h"
#include "cpu.h"

#define LEAST 1e9 /* operations of a pass that are worth timing */
#define MOST  4096
#define STEPS 3

static lk_timed_layer known[MOST];
static int known_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool same_layer(const lk_timed_layer *a, const lk_timed_layer *b) {
    return a->n == b->n && a->c == b->c && a->h == b->h && a->w == b->w && a->o == b->o && a->oh == b->oh &&
           a->ow == b->ow && a->top == b->top && a->left == b->left && a->threads == b->threads && a->exact == b->exact;
}

static const lk_timed_layer *find(const lk_timed_layer *l) {
    for (int i = 0; i < known_count; i++)
        if (same_layer(&known[i], l)) return &known[i];
    return NULL;
}

bool lk_tune_find(lk_timed_layer *l) {
    pthread_mutex_lock(&lock);
    const lk_timed_layer *found = find(l);
    if (found) *l = *found;
    pthread_mutex_unlock(&lock);
    return found != NULL;
}

/* ---- The file -------------------------------------------------------------------------------------------- */

static void processor_name(char *name, size_t size) {
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256];
    snprintf(name, size, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        snprintf(name, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (f) fclose(f);
}

static const char *ways(bool exact) { return exact ? lk_matrix_ways_f32() : lk_matrix_ways(); }

static char *head_of_file(bool exact, lk_error *err) {
    char processor[128];
    processor_name(processor, sizeof processor);
    return lk_format(
        err,
        "likeness layers 1\nlikeness %s\nprocessor %s\nproducts %s\n"
        "# batch, channels, height, width > channels, height, width, padding above, left, threads: ms by taps "
        "and by Winograd's transform, of the forward pass, the data's gradient, the weights' gradient\n",
        LK_VERSION, processor, ways(exact));
}

/* "layers-amd-epyc-avx-512-bf16.txt" */
static char *path_of_file(bool exact, lk_error *err) {
    char processor[128];
    processor_name(processor, sizeof processor);
    const char *const names[] = {processor, ways(exact)};
    return lk_kept_path("layers", names, LK_COUNT(names), err);
}

static bool read_layer(const char *line, lk_timed_layer *l) {
    double ms[LK_PASSES][LK_WAYS];
    int count = sscanf(line, "%d %d %d %d > %d %d %d %d %d %d: %lf %lf %lf %lf %lf %lf", &l->n, &l->c, &l->h, &l->w,
                       &l->o, &l->oh, &l->ow, &l->top, &l->left, &l->threads, &ms[0][0], &ms[0][1], &ms[1][0],
                       &ms[1][1], &ms[2][0], &ms[2][1]);
    for (int i = 0; i < LK_PASSES; i++)
        for (int k = 0; k < LK_WAYS; k++) {
            if (count != 16 || !(ms[i][k] >= 0)) return false;
            l->seconds[i][k] = 1e-3 * ms[i][k];
        }
    return true;
}

static bool add_layer(const char *line, void *user) {
    lk_timed_layer l = {.exact = *(const bool *)user};
    if (!read_layer(line, &l)) return false;
    if (!find(&l) && known_count < MOST) known[known_count++] = l;
    return true;
}

static void print_layers(FILE *out, void *user) {
    for (int i = 0; i < known_count; i++) {
        const lk_timed_layer *l = &known[i];
        if (l->exact != *(const bool *)user) continue;
        fprintf(out, "%d %d %d %d > %d %d %d %d %d %d:", l->n, l->c, l->h, l->w, l->o, l->oh, l->ow, l->top, l->left,
                l->threads);
        for (int k = 0; k < LK_PASSES * LK_WAYS; k++) fprintf(out, " %.4f", 1e3 * l->seconds[k / LK_WAYS][k % LK_WAYS]);
        fputc('\n', out);
    }
}

/* ---- Timing ---------------------------------------------------------------------------------------------- */

static lk_nn_graph *graph_of(const lk_timed_layer *l, lk_error *err) {
    lk_nn_graph *g = lk_nn_graph_new(err);
    if (!g) return NULL;
    const lk_nn_init zeros = {LK_NN_ZEROS, 0};
    lk_nn_t x = lk_nn_param(g, "x", lk_shape(l->n, l->c, l->h, l->w), zeros);
    lk_nn_t w = lk_nn_param(g, "w", lk_shape(l->o, l->c, 3, 3), zeros);
    lk_nn_t b = lk_nn_param(g, "b", lk_shape(1, l->o, 1, 1), zeros);
    const lk_nn_conv_options o = {.pad_top = l->top,
                                  .pad_left = l->left,
                                  .pad_bottom = l->oh - l->h + 2 - l->top,
                                  .pad_right = l->ow - l->w + 2 - l->left,
                                  .act = LK_NN_LEAKY,
                                  .alpha = 0.1f};
    lk_nn_loss(g, "loss", lk_nn_conv(g, x, w, b, &o), 1);
    return g;
}

static int pass_of(lk_op op) {
    return op == LK_OP_CONV ? 0 : op == LK_OP_CONV_BACK_DATA ? 1 : op == LK_OP_CONV_BACK_WEIGHTS ? 2 : -1;
}

/* The shortest of some steps of a network of this one layer. */
static bool time_way(lk_timed_layer *l, const lk_nn_graph *g, int way, lk_error *err) {
    const lk_nn_options o = {.train = true,
                             .precision = l->exact ? LK_NN_F32 : LK_NN_BF16,
                             .threads = l->threads,
                             .way = way ? LK_NN_WINOGRAD : LK_NN_TAPS};
    const lk_nn_adam adam = {1e-4f, 0.5f, 0.999f, 1e-8f};
    lk_nn_exec *e = lk_nn_compile(g, &o, err);
    bool ok = e && lk_nn_step(e, &adam, err);
    if (ok) lk_nn_set_profile(e, true);
    for (int i = 0; i < STEPS && ok; i++) {
        for (int k = 0; k < e->g.node_count; k++) e->g.nodes[k].seconds = 0;
        ok = lk_nn_step(e, &adam, err);
        for (int k = 0; k < e->g.node_count && ok; k++) {
            int pass = pass_of(e->g.nodes[k].op);
            if (pass < 0) continue;
            double seconds = e->g.nodes[k].seconds, *best = &l->seconds[pass][way];
            *best = i == 0 || seconds < *best ? seconds : *best;
        }
    }
    lk_nn_free(e);
    return ok;
}

static bool time_layer(lk_timed_layer *l, lk_error *err) {
    lk_nn_graph *g = graph_of(l, err);
    bool ok = g != NULL;
    for (int way = 0; way < LK_WAYS && ok; way++) ok = time_way(l, g, way, err);
    lk_nn_graph_free(g);
    return ok;
}

/* Is this node a layer with a choice, not timed yet? */
static bool to_be_timed(const lk_nn_graph *g, const lk_node *n, int threads, bool exact, lk_timed_layer *l) {
    const lk_nn_conv_options *o = &n->a.conv;
    if (n->op != LK_OP_CONV || o->stride != 1 || o->dilation != 1 || o->groups != 1) return false;
    lk_nn_shape x = g->tensors[n->in[0]].shape, w = g->tensors[n->in[1]].shape, y = g->tensors[n->out[0]].shape;
    *l = (lk_timed_layer){x.n, x.c, x.h, x.w, y.c, y.h, y.w, o->pad_top, o->pad_left, threads, exact, {{0}}};
    if (w.h != 3 || w.w != 3 || g->tensors[n->in[1]].kind != LK_PARAM) return false;
    return 18.0 * x.c * y.c * y.h * y.w * x.n >= LEAST && !find(l);
}

static bool time_all(const lk_nn_graph *g, int threads, bool exact, int *count, lk_error *err) {
    lk_progress p = {0};
    lk_timed_layer l;
    int all = 0, done = 0;
    for (int i = 0; i < g->node_count; i++) all += to_be_timed(g, &g->nodes[i], threads, exact, &l);
    if (!all) return true;
    lk_progress_begin(&p, "timing ways to compute layers, once on this machine", all);
    bool ok = true;
    for (int i = 0; i < g->node_count && ok && !lk_interrupted() && known_count < MOST; i++) {
        if (!to_be_timed(g, &g->nodes[i], threads, exact, &l)) continue;
        pthread_mutex_unlock(&lock); /* compiling looks for what is known */
        ok = time_layer(&l, err);
        pthread_mutex_lock(&lock);
        if (ok) known[known_count++] = l;
        lk_progress_update(&p, ++done, NULL);
    }
    lk_progress_end(&p);
    *count = done;
    return ok;
}

bool lk_nn_tune(const lk_nn_graph *g, const lk_nn_options *options, lk_error *err) {
    bool exact = !(options->precision == LK_NN_BF16 || (options->precision == LK_NN_AUTO && lk_nn_has_bf16()));
    if (!ways(exact) || !options->train || options->device != LK_NN_CPU || options->way != LK_NN_FASTEST) return true;
    if (!lk_nn_graph_ok(g, err)) return false;
    int threads = options->threads > 0 ? options->threads : lk_threads(), count = 0;
    lk_error why = {0};
    char *head = head_of_file(exact, err), *path = head ? path_of_file(exact, &why) : NULL;
    if (!head) return false;
    pthread_mutex_lock(&lock);
    int file = lk_kept_lock(path);
    lk_error unread = {0};
    if (!lk_kept_read(path, head, add_layer, &exact, &unread))
        lk_log(LK_LOG_INFO, "%s; layers are timed anew", unread.message);
    bool ok = time_all(g, threads, exact, &count, err);
    if (count && path && !lk_kept_write(path, head, print_layers, &exact, &why)) path[0] = 0;
    pthread_mutex_unlock(&lock);
    lk_kept_unlock(file);
    if (count && path && *path) lk_log(LK_LOG_INFO, "how %d layers are computed fastest is kept in %s", count, path);
    if (count && !(path && *path)) lk_log(LK_LOG_WARN, "what was timed is not kept: %s", why.message);
    free(path);
    free(head);
    return ok;
}
