/* A TensorFlow.js graph model as a graph: the JSON lists the nodes by name and the weights in the order in which they lie in
 * the binary file. Only what the wanted output depends on is read. */
#include "internal.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct weight {
    const char *name;
    int dims[4], rank;
    bool half;
    size_t at, count;
} weight;

typedef struct reader {
    lk_nn_graph *g;
    const char *what;
    const unsigned char *bytes;
    size_t size;
    const json_t *nodes;
    weight *weights;
    size_t weight_count;
    lk_nn_t *handles; /* of each node; −1: not read yet, −2: being read */
    lk_error *err;
} reader;

static bool damaged(reader *r, const char *why) {
    return lk_fail(r->err, LK_ERR_FORMAT, "%s is damaged: %s", r->what, why);
}

/* ---- Weights --------------------------------------------------------------------------------------------- */

static bool read_weight(reader *r, const json_t *j, weight *w, size_t *at) {
    const json_t *shape = json_object_get(j, "shape"), *quantization = json_object_get(j, "quantization");
    const char *type = json_string_value(json_object_get(j, "dtype"));
    const char *stored = quantization ? json_string_value(json_object_get(quantization, "dtype")) : type;
    w->name = json_string_value(json_object_get(j, "name"));
    if (!w->name || !type || !stored || json_array_size(shape) > 4)
        return damaged(r, "a weight without name, type or shape");
    w->half = strcmp(stored, "float16") == 0;
    if (!w->half && strcmp(stored, "float32") != 0 && strcmp(stored, "int32") != 0)
        return lk_fail(r->err, LK_ERR_UNSUPPORTED, "%s: weights of type %.30s are not supported", r->what, stored);
    w->count = 1;
    w->rank = (int)json_array_size(shape);
    for (int i = 0; i < w->rank; i++) {
        json_int_t d = json_integer_value(json_array_get(shape, (size_t)i));
        if (d < 1 || d > 1 << 20 || w->count > ((size_t)1 << 30) / (size_t)d)
            return damaged(r, "a weight's shape is impossible");
        w->dims[i] = (int)d;
        w->count *= (size_t)d;
    }
    w->at = *at;
    *at += w->count * (w->half ? 2 : 4);
    return *at <= r->size || damaged(r, "the weights are cut off");
}

static bool read_weights(reader *r, const json_t *model) {
    const json_t *groups = json_object_get(model, "weightsManifest"), *group, *j;
    size_t i, k, at = 0, count = 0;
    json_array_foreach(groups, i, group) count += json_array_size(json_object_get(group, "weights"));
    r->weights = lk_alloc(count, sizeof *r->weights, r->err);
    if (!r->weights) return false;
    json_array_foreach(groups, i, group) {
        json_array_foreach(json_object_get(group, "weights"), k, j) {
            if (!read_weight(r, j, &r->weights[r->weight_count], &at)) return false;
            r->weight_count++;
        }
    }
    return true;
}

static const weight *find_weight(const reader *r, const char *name) {
    for (size_t i = 0; name && i < r->weight_count; i++)
        if (strcmp(r->weights[i].name, name) == 0) return &r->weights[i];
    return NULL;
}

static float number(const reader *r, const weight *w, size_t i) {
    if (!w->half) {
        float f;
        memcpy(&f, r->bytes + w->at + 4 * i, 4);
        return f;
    }
    uint16_t h;
    memcpy(&h, r->bytes + w->at + 2 * i, 2);
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    float f = exponent == 0    ? ldexpf((float)mantissa, -24)
              : exponent == 31 ? (mantissa ? NAN : INFINITY)
                               : ldexpf((float)(mantissa + 1024), exponent - 25);
    return h & 0x8000 ? -f : f;
}

/* Kernels lie as [h, w, in, out]; ours are [out, in, h, w], depthwise [in·multiplier, 1, h, w]. */
static lk_nn_t kernel(reader *r, const weight *w, bool depthwise) {
    if (!w || w->rank != 4) return lk_graph_fail(r->g, "a convolution without weights");
    int h = w->dims[0], v = w->dims[1], in = w->dims[2], out = w->dims[3];
    lk_nn_shape s = depthwise ? lk_shape(in * out, 1, h, v) : lk_shape(out, in, h, v);
    float *values = lk_alloc(w->count, sizeof *values, r->err);
    if (!values) return -1;
    size_t plane = (size_t)h * (size_t)v;
    for (size_t p = 0; p < plane; p++)
        for (size_t i = 0; i < (size_t)in; i++)
            for (size_t o = 0; o < (size_t)out; o++)
                values[(depthwise ? i * (size_t)out + o : o * (size_t)in + i) * plane + p] =
                    number(r, w, (p * (size_t)in + i) * (size_t)out + o);
    lk_nn_t t = lk_nn_const(r->g, s, values);
    free(values);
    return t;
}

static lk_nn_t per_channel(reader *r, const weight *w) {
    float *values = lk_alloc(w->count, sizeof *values, r->err);
    if (!values) return -1;
    for (size_t i = 0; i < w->count; i++) values[i] = number(r, w, i);
    lk_nn_t t = lk_nn_const(r->g, lk_shape(1, (int)w->count, 1, 1), values);
    free(values);
    return t;
}

/* ---- Nodes ----------------------------------------------------------------------------------------------- */

static const char *text(const json_t *node, const char *key) { return json_string_value(json_object_get(node, key)); }

static const char *input_name(const json_t *node, size_t i) {
    return json_string_value(json_array_get(json_object_get(node, "input"), i));
}

/* "1", as the model writes numbers of lists */
static int list_number(const json_t *node, const char *attribute, size_t i) {
    const json_t *list =
        json_object_get(json_object_get(json_object_get(json_object_get(node, "attr"), attribute), "list"), "i");
    const char *s = json_string_value(json_array_get(list, i));
    return s ? atoi(s) : 1;
}

static lk_nn_t read_node(reader *r, const char *name);

static lk_nn_t read_conv(reader *r, const json_t *node, bool depthwise) {
    lk_nn_t x = read_node(r, input_name(node, 0));
    const char *padding = text(json_object_get(json_object_get(node, "attr"), "padding"), "s");
    /* base64 of "SAME" */
    lk_nn_conv_options o = {.same = padding && strcmp(padding, "U0FNRQ==") == 0,
                            .stride = list_number(node, "strides", 1),
                            .dilation = list_number(node, "dilations", 1)};
    if (depthwise) o.groups = lk_nn_shape_of(r->g, x).c;
    return lk_nn_conv(r->g, x, kernel(r, find_weight(r, input_name(node, 1)), depthwise), -1, &o);
}

/* Of an operand that is a constant of one number; NaN when it is none. */
static float scalar(const reader *r, const json_t *node, size_t i) {
    const weight *w = find_weight(r, input_name(node, i));
    return w && w->count == 1 ? number(r, w, 0) : NAN;
}

static lk_nn_t read_binary(reader *r, const json_t *node, bool add) {
    lk_nn_t x = read_node(r, input_name(node, 0));
    const weight *w = find_weight(r, input_name(node, 1));
    lk_nn_t y = w ? per_channel(r, w) : read_node(r, input_name(node, 1));
    return add ? lk_nn_add(r->g, x, y) : lk_nn_mul(r->g, x, y);
}

static lk_nn_t read_operator(reader *r, const json_t *node) {
    const char *op = text(node, "op");
    if (!op) return lk_graph_fail(r->g, "a node without an operator");
    if (strcmp(op, "Conv2D") == 0) return read_conv(r, node, false);
    if (strcmp(op, "DepthwiseConv2dNative") == 0) return read_conv(r, node, true);
    if (strcmp(op, "Add") == 0 || strcmp(op, "AddV2") == 0) return read_binary(r, node, true);
    if (strcmp(op, "Mul") == 0) return read_binary(r, node, false);
    lk_nn_t x = read_node(r, input_name(node, 0));
    if (strcmp(op, "Relu") == 0) return lk_nn_activation(r->g, x, LK_NN_RELU, 0);
    if (strcmp(op, "Maximum") == 0 && scalar(r, node, 1) == 0) return lk_nn_activation(r->g, x, LK_NN_RELU, 0);
    if (strcmp(op, "Minimum") == 0 && scalar(r, node, 1) == 6) { /* of what a Relu gave: both together are ReLU6 */
        return lk_nn_activation(r->g, x, LK_NN_RELU6, 0);
    }
    if (strcmp(op, "Mean") == 0) {
        lk_nn_shape s = lk_nn_shape_of(r->g, x);
        return lk_nn_avg_pool(r->g, x, &(lk_nn_pool_options){s.h, s.w, s.h, s.w, false});
    }
    return lk_graph_fail(r->g, "operator '%.60s' is not known", op);
}

static lk_nn_t read_placeholder(reader *r, const json_t *node) {
    const json_t *dims =
        json_object_get(json_object_get(json_object_get(json_object_get(node, "attr"), "shape"), "shape"), "dim");
    int d[4] = {1, 0, 0, 0};
    for (size_t i = 1; i < 4; i++) {
        const char *s = text(json_array_get(dims, i), "size");
        d[i] = s ? atoi(s) : 0;
    }
    return lk_nn_input(r->g, "input", lk_shape(1, d[3], d[1], d[2]));
}

static lk_nn_t read_node(reader *r, const char *name) {
    const json_t *node;
    size_t i;
    json_array_foreach(r->nodes, i, node) {
        const char *own = text(node, "name");
        if (!own || !name || strcmp(own, name) != 0) continue;
        if (r->handles[i] == -2) return lk_graph_fail(r->g, "node '%.60s' depends on itself", name);
        if (r->handles[i] >= 0) return r->handles[i];
        r->handles[i] = -2;
        const char *op = text(node, "op");
        r->handles[i] = op && strcmp(op, "Placeholder") == 0 ? read_placeholder(r, node) : read_operator(r, node);
        return r->handles[i];
    }
    return lk_graph_fail(r->g, "node '%.60s' is missing", name ? name : "");
}

static bool read_model(reader *r, const json_t *model, const char *output) {
    r->nodes = json_object_get(json_object_get(model, "modelTopology"), "node");
    size_t count = json_array_size(r->nodes);
    if (count < 1 || count > 5000) return damaged(r, "it lists no nodes, or too many");
    r->handles = lk_alloc(count, sizeof *r->handles, r->err);
    if (!r->handles) return false;
    for (size_t i = 0; i < count; i++) r->handles[i] = -1;
    if (!read_weights(r, model)) return false;
    lk_nn_output(r->g, output, read_node(r, output));
    return lk_nn_graph_ok(r->g, r->err) || lk_fail_in(r->err, "%s", r->what);
}

lk_nn_graph *lk_nn_read_tfjs(const void *json, size_t json_size, const void *weights, size_t weights_size,
                             const char *output, const char *what, lk_error *err) {
    lk_error own = {0};
    reader r = {.what = what, .bytes = weights, .size = weights_size, .err = err ? err : &own};
    json_t *model = json_loadb(json, json_size, JSON_REJECT_DUPLICATES, NULL);
    r.g = lk_nn_graph_new(r.err);
    bool ok = model ? r.g && read_model(&r, model, output) : damaged(&r, "it is no valid JSON");
    free(r.weights);
    free(r.handles);
    json_decref(model);
    if (ok) return r.g;
    lk_nn_graph_free(r.g);
    return NULL;
}
