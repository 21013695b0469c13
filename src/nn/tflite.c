/* A TFLite file as a graph (docs/tflite.md). The file is hostile until proven otherwise: flatbuffer.h bounds every access, and
 * what is read from it (indices, types, shapes) is checked here and again by the graph's constructors. */
#include "internal.h"

#include "flatbuffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Field numbers and codes of TFLite's schema, version 3. */
enum { MODEL_CODES = 1, MODEL_SUBGRAPHS = 2, MODEL_BUFFERS = 4 };
enum { CODE_OLD = 0, CODE_CUSTOM = 1, CODE_BUILTIN = 3 };
enum { GRAPH_TENSORS = 0, GRAPH_INPUTS = 1, GRAPH_OUTPUTS = 2, GRAPH_OPERATORS = 3 };
enum { TENSOR_SHAPE = 0, TENSOR_TYPE = 1, TENSOR_BUFFER = 2, TENSOR_NAME = 3 };
enum { OP_CODE = 0, OP_INPUTS = 1, OP_OUTPUTS = 2, OP_OPTIONS = 4, OP_CUSTOM_OPTIONS = 5 };
enum { TYPE_F32 = 0, TYPE_F16 = 1, TYPE_I32 = 2 };
enum {
    ADD = 0,
    AVERAGE_POOL = 1,
    CONCATENATION = 2,
    CONV = 3,
    DEPTHWISE_CONV = 4,
    DEQUANTIZE = 6,
    LOGISTIC = 14,
    MAX_POOL = 17,
    MUL = 18,
    RELU = 19,
    RELU6 = 21,
    RESHAPE = 22,
    RESIZE_BILINEAR = 23,
    TANH = 28,
    CUSTOM = 32,
    PAD = 34,
    SUB = 41,
    STRIDED_SLICE = 45,
    PRELU = 54,
    HARD_SWISH = 117
};

typedef struct tensor {
    lk_fb_table table;
    lk_nn_t handle; /* in the graph, or −1 */
    int dims[4], rank;
    int type;
    int constant_of; /* the tensor that holds its numbers (through a dequantization), or −1 */
    lk_fb_vector bytes;
} tensor;

typedef struct reader {
    lk_fb b;
    lk_nn_graph *g;
    const char *what;
    tensor *tensors;
    uint32_t tensor_count;
    lk_fb_vector codes;
    lk_error *err;
} reader;

typedef struct operation {
    lk_fb_table table, options;
    lk_fb_vector in, out;
    int code;
    const char *custom; /* name of a custom operator, zero-terminated inside the file */
} operation;

static bool damaged(reader *r) {
    return lk_fail(r->err, LK_ERR_FORMAT, "%s is damaged: it is no valid TFLite file", r->what);
}

/* ---- Tensors --------------------------------------------------------------------------------------------- */

static bool read_tensor(reader *r, tensor *t, lk_fb_table table, lk_fb_vector buffers) {
    *t = (tensor){.table = table, .handle = -1, .constant_of = -1};
    lk_fb_vector shape = lk_fb_vector_of(&r->b, table, TENSOR_SHAPE, 4);
    t->type = lk_fb_int(&r->b, table, TENSOR_TYPE, 1, TYPE_F32);
    uint32_t buffer = (uint32_t)lk_fb_int(&r->b, table, TENSOR_BUFFER, 4, 0);
    if (r->b.bad || shape.count > 4 || buffer >= buffers.count) return damaged(r);
    t->rank = (int)shape.count;
    for (uint32_t i = 0; i < shape.count; i++) {
        t->dims[i] = lk_fb_int_in(&r->b, shape, i);
        if (t->dims[i] < 1 || t->dims[i] > 1 << 20) return damaged(r);
    }
    t->bytes = lk_fb_vector_of(&r->b, lk_fb_table_in(&r->b, buffers, buffer), 0, 1);
    return !r->b.bad || damaged(r);
}

static bool read_tensors(reader *r, lk_fb_table graph, lk_fb_vector buffers) {
    lk_fb_vector list = lk_fb_vector_of(&r->b, graph, GRAPH_TENSORS, 4);
    if (r->b.bad || list.count > 100000) return damaged(r);
    r->tensors = lk_alloc(list.count, sizeof *r->tensors, r->err);
    if (!r->tensors) return false;
    r->tensor_count = list.count;
    for (uint32_t i = 0; i < list.count; i++) {
        if (!read_tensor(r, &r->tensors[i], lk_fb_table_in(&r->b, list, i), buffers)) return false;
        if (r->tensors[i].bytes.count > 0) r->tensors[i].constant_of = (int)i;
    }
    return true;
}

static tensor *operand(reader *r, lk_fb_vector list, uint32_t i) {
    if (i >= list.count) return NULL;
    int32_t at = lk_fb_int_in(&r->b, list, i);
    return !r->b.bad && at >= 0 && (uint32_t)at < r->tensor_count ? &r->tensors[at] : NULL;
}

static size_t count_of(const tensor *t) {
    size_t n = 1;
    for (int i = 0; i < t->rank; i++) n *= (size_t)t->dims[i];
    return n; /* at most 2^80 wraps; compared with the buffer's own size before use */
}

/* Our shape of a tensor: the last dimension is the channels. */
static lk_nn_shape shape_of(const tensor *t) {
    const int *d = t->dims;
    switch (t->rank) {
    case 4:
        return lk_shape(d[0], d[3], d[1], d[2]);
    case 3:
        return lk_shape(d[0], d[2], 1, d[1]);
    case 2:
        return lk_shape(d[0], d[1], 1, 1);
    case 1:
        return lk_shape(1, d[0], 1, 1);
    default:
        return lk_shape(1, 1, 1, 1);
    }
}

/* IEEE 754 binary16 */
static float half_to_float(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 1023, bits;
    if (exponent == 0) {
        float f = (float)mantissa * 0x1p-24f;
        return sign ? -f : f;
    }
    bits = sign | (exponent == 31 ? 0x7f800000 : (exponent + 112) << 23) | mantissa << 13;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* A constant's numbers as floats, in the file's order; caller frees. */
static float *numbers(reader *r, const tensor *t) {
    const tensor *from = t && t->constant_of >= 0 ? &r->tensors[t->constant_of] : NULL;
    size_t n = t ? count_of(t) : 0, width = from && from->type == TYPE_F16 ? 2 : 4;
    bool ok = from && (from->type == TYPE_F32 || from->type == TYPE_F16 || from->type == TYPE_I32) &&
              count_of(from) == n && from->bytes.count / width == n && from->bytes.count % width == 0;
    if (!ok) {
        lk_fail(r->err, LK_ERR_FORMAT, "%s is damaged: a constant is missing or has the wrong size", r->what);
        return NULL;
    }
    float *values = lk_alloc(n, sizeof *values, r->err);
    const unsigned char *bytes = r->b.data + from->bytes.at;
    for (size_t i = 0; values && i < n; i++) {
        if (from->type == TYPE_F16) {
            uint16_t half;
            memcpy(&half, bytes + 2 * i, 2);
            values[i] = half_to_float(half);
        } else if (from->type == TYPE_F32) {
            memcpy(&values[i], bytes + 4 * i, 4);
        } else {
            int32_t whole;
            memcpy(&whole, bytes + 4 * i, 4);
            values[i] = (float)whole;
        }
    }
    return values;
}

/* Numbers that lie as [a, h, w, b] become a constant [o, i, h, w]; o and i say which of a and b they are. */
static lk_nn_t constant(reader *r, const tensor *t, lk_nn_shape s, bool swapped) {
    float *from = numbers(r, t), *to = from ? lk_alloc(count_of(t), sizeof *to, r->err) : NULL;
    lk_nn_t handle = -1;
    if (to && lk_nn_count(s) == count_of(t)) {
        size_t plane = (size_t)s.h * (size_t)s.w, first = (size_t)s.n, second = (size_t)s.c;
        for (size_t o = 0; o < first; o++)
            for (size_t i = 0; i < second; i++)
                for (size_t p = 0; p < plane; p++)
                    to[(o * second + i) * plane + p] =
                        swapped ? from[(i * plane + p) * first + o] : from[(o * plane + p) * second + i];
        handle = lk_nn_const(r->g, s, to);
    } else if (to) {
        damaged(r);
    }
    free(from);
    free(to);
    return handle;
}

/* The handle of an operand, made now if it is a constant. */
static lk_nn_t value(reader *r, tensor *t) {
    if (!t) return lk_graph_fail(r->g, "an operand is missing");
    if (t->handle < 0 && t->constant_of >= 0) t->handle = constant(r, t, shape_of(t), false);
    return t->handle;
}

static lk_nn_t bias(reader *r, const operation *o, int outputs) {
    tensor *t = operand(r, o->in, 2);
    return t ? constant(r, t, lk_shape(1, outputs, 1, 1), false) : -1;
}

/* ---- Operators ------------------------------------------------------------------------------------------- */

static lk_nn_act fused(reader *r, int code) {
    static const lk_nn_act acts[] = {LK_NN_LINEAR, LK_NN_RELU, LK_NN_LINEAR, LK_NN_RELU6, LK_NN_TANH};
    if (code < 0 || code > 4 || code == 2) {
        lk_graph_fail(r->g, "fused activation %d is not known", code);
        return LK_NN_LINEAR;
    }
    return acts[code];
}

static int option(reader *r, const operation *o, int i, int width, int absent) {
    return o->options ? lk_fb_int(&r->b, o->options, i, width, absent) : absent;
}

static lk_nn_t with_activation(lk_nn_graph *g, lk_nn_t x, lk_nn_act act) {
    return act == LK_NN_LINEAR ? x : lk_nn_activation(g, x, act, 0);
}

static lk_nn_t read_conv(reader *r, const operation *o) {
    bool depthwise = o->code == DEPTHWISE_CONV;
    lk_nn_t x = value(r, operand(r, o->in, 0));
    tensor *w = operand(r, o->in, 1);
    if (!w || w->rank != 4) return lk_graph_fail(r->g, "a convolution without weights");
    lk_nn_conv_options c = {.same = option(r, o, 0, 1, 0) == 0,
                            .stride = option(r, o, 1, 4, 1),
                            .dilation = option(r, o, depthwise ? 5 : 4, 4, 1),
                            .act = fused(r, option(r, o, depthwise ? 4 : 3, 1, 0))};
    if (c.stride != option(r, o, 2, 4, 1)) return lk_graph_fail(r->g, "a convolution of two different strides");
    int outputs = depthwise ? w->dims[3] : w->dims[0];
    if (depthwise) c.groups = lk_nn_shape_of(r->g, x).c;
    lk_nn_shape s = lk_shape(outputs, depthwise ? 1 : w->dims[3], w->dims[1], w->dims[2]);
    return lk_nn_conv(r->g, x, constant(r, w, s, depthwise), bias(r, o, outputs), &c);
}

static lk_nn_t read_pool(reader *r, const operation *o) {
    lk_nn_pool_options p = {.same = option(r, o, 0, 1, 0) == 0,
                            .stride_w = option(r, o, 1, 4, 1),
                            .stride_h = option(r, o, 2, 4, 1),
                            .kernel_w = option(r, o, 3, 4, 1),
                            .kernel_h = option(r, o, 4, 4, 1)};
    lk_nn_t x = value(r, operand(r, o->in, 0));
    lk_nn_t y = o->code == MAX_POOL ? lk_nn_max_pool(r->g, x, &p) : lk_nn_avg_pool(r->g, x, &p);
    return with_activation(r->g, y, fused(r, option(r, o, 5, 1, 0)));
}

static lk_nn_t read_binary(reader *r, const operation *o) {
    lk_nn_t a = value(r, operand(r, o->in, 0)), b = value(r, operand(r, o->in, 1));
    if (o->code != SUB && lk_nn_count(lk_nn_shape_of(r->g, b)) > lk_nn_count(lk_nn_shape_of(r->g, a))) {
        lk_nn_t t = a;
        a = b;
        b = t;
    }
    lk_nn_t y = o->code == ADD ? lk_nn_add(r->g, a, b) : o->code == SUB ? lk_nn_sub(r->g, a, b) : lk_nn_mul(r->g, a, b);
    return with_activation(r->g, y, fused(r, option(r, o, 0, 1, 0)));
}

static lk_nn_t read_concat(reader *r, const operation *o, const tensor *out) {
    lk_nn_t x[LK_MAX_IN];
    if (o->in.count < 1 || o->in.count > LK_MAX_IN) return lk_graph_fail(r->g, "a concatenation of %u", o->in.count);
    for (uint32_t i = 0; i < o->in.count; i++) x[i] = value(r, operand(r, o->in, i));
    int axis = option(r, o, 0, 4, 0);
    if (axis < 0) axis += out->rank;
    if (axis == out->rank - 1) return lk_nn_concat_channels(r->g, x, (int)o->in.count);
    /* One sample whose rows follow one another in memory: the rows are as good as samples. */
    if (axis != 1 || out->dims[0] != 1 || out->rank != 3)
        return lk_graph_fail(r->g, "a concatenation along axis %d", axis);
    for (uint32_t i = 0; i < o->in.count; i++) {
        lk_nn_shape s = lk_nn_shape_of(r->g, x[i]);
        x[i] = lk_nn_reshape(r->g, x[i], lk_shape(s.w * s.h, s.c, 1, 1));
    }
    return lk_nn_reshape(r->g, lk_nn_concat_batch(r->g, x, (int)o->in.count), shape_of(out));
}

static lk_nn_t read_pad(reader *r, const operation *o, const tensor *out) {
    lk_nn_t x = value(r, operand(r, o->in, 0));
    tensor *t = operand(r, o->in, 1);
    if (!t || count_of(t) != 8) return lk_graph_fail(r->g, "padding of other than four dimensions");
    float *p = numbers(r, t);
    if (!p) return -1;
    bool ok = p[0] == 0 && p[1] == 0 && p[6] == 0;
    for (int i = 0; i < 8; i++) ok = ok && p[i] >= 0 && p[i] < 4096;
    lk_nn_t y = ok ? lk_nn_pad(r->g, x, (int)p[7], (int)p[2], (int)p[3], (int)p[4], (int)p[5], 0) : -1;
    free(p);
    if (!ok || !lk_same_shape(lk_nn_shape_of(r->g, y), shape_of(out)))
        return lk_graph_fail(r->g, "this padding is not possible");
    return y;
}

/* ---- Custom operators ------------------------------------------------------------------------------------ */

static double flex(reader *r, lk_fb_vector bytes, const char *key, double absent) {
    double v;
    return lk_flex_find(&r->b, bytes.at, bytes.count, key, &v, 1) ? v : absent;
}

static int flex_int(reader *r, lk_fb_vector bytes, const char *key) {
    double v = flex(r, bytes, key, -1);
    return v >= -1 && v < 1e6 ? (int)v : -1;
}

static lk_nn_t read_landmarks_to_matrix(reader *r, const operation *o, lk_fb_vector bytes) {
    enum { MOST = 1024 };
    double list[MOST];
    int indices[MOST], count = lk_flex_find(&r->b, bytes.at, bytes.count, "subset_idxs", list, MOST);
    if (count > MOST) return lk_graph_fail(r->g, "landmarks_to_matrix: %d landmarks are too many", count);
    for (int i = 0; i < count; i++) indices[i] = list[i] >= 0 && list[i] < 1e6 ? (int)list[i] : -1;
    return lk_nn_landmarks_to_matrix(r->g, value(r, operand(r, o->in, 0)), indices, count,
                                     flex_int(r, bytes, "left_rotation_idx"), flex_int(r, bytes, "right_rotation_idx"),
                                     (float)flex(r, bytes, "target_rotation_radians", 0),
                                     flex_int(r, bytes, "output_width"), flex_int(r, bytes, "output_height"),
                                     (float)flex(r, bytes, "scale_x", 1), (float)flex(r, bytes, "scale_y", 1));
}

static lk_nn_t read_conv_transposed(reader *r, const operation *o, lk_fb_vector bytes) {
    tensor *w = operand(r, o->in, 1);
    if (!w || w->rank != 4 || bytes.count < 12) return lk_graph_fail(r->g, "a transposed convolution without weights");
    int stride = (int)(uint32_t)lk_fb_number(&r->b, bytes.at + 4, 4),
        down = (int)(uint32_t)lk_fb_number(&r->b, bytes.at + 8, 4);
    if (stride != down || stride < 1 || stride > 64)
        return lk_graph_fail(r->g, "a transposed convolution of stride %d", stride);
    lk_nn_shape s = lk_shape(w->dims[3], w->dims[0], w->dims[1], w->dims[2]);
    return lk_nn_conv_transposed(r->g, value(r, operand(r, o->in, 0)), constant(r, w, s, true), bias(r, o, w->dims[0]),
                                 &(lk_nn_conv_options){.stride = stride});
}

static lk_nn_t read_custom(reader *r, const operation *o) {
    lk_fb_vector bytes = lk_fb_vector_of(&r->b, o->table, OP_CUSTOM_OPTIONS, 1);
    lk_nn_t x = value(r, operand(r, o->in, 0));
    if (strcmp(o->custom, "Landmarks2TransformMatrix") == 0) return read_landmarks_to_matrix(r, o, bytes);
    if (strcmp(o->custom, "Convolution2DTransposeBias") == 0) return read_conv_transposed(r, o, bytes);
    if (strcmp(o->custom, "TransformLandmarks") == 0)
        return lk_nn_transform_landmarks(r->g, x, value(r, operand(r, o->in, 1)));
    if (strcmp(o->custom, "TransformTensorBilinear") == 0)
        return lk_nn_transform_bilinear(r->g, x, value(r, operand(r, o->in, 1)), flex_int(r, bytes, "output_width"),
                                        flex_int(r, bytes, "output_height"));
    return lk_graph_fail(r->g, "operator '%.60s' is not known", o->custom);
}

static lk_nn_t read_operator(reader *r, const operation *o, const tensor *out) {
    tensor *in = operand(r, o->in, 0);
    lk_nn_graph *g = r->g;
    switch (o->code) {
    case ADD:
    case SUB:
    case MUL:
        return read_binary(r, o);
    case AVERAGE_POOL:
    case MAX_POOL:
        return read_pool(r, o);
    case CONCATENATION:
        return read_concat(r, o, out);
    case CONV:
    case DEPTHWISE_CONV:
        return read_conv(r, o);
    case LOGISTIC:
        return lk_nn_activation(g, value(r, in), LK_NN_SIGMOID, 0);
    case RELU:
        return lk_nn_activation(g, value(r, in), LK_NN_RELU, 0);
    case RELU6:
        return lk_nn_activation(g, value(r, in), LK_NN_RELU6, 0);
    case TANH:
        return lk_nn_activation(g, value(r, in), LK_NN_TANH, 0);
    case HARD_SWISH:
        return lk_nn_activation(g, value(r, in), LK_NN_HARD_SWISH, 0);
    case RESHAPE:
    case STRIDED_SLICE: /* of everything: the output is as large as the input */
        return lk_nn_reshape(g, value(r, in), shape_of(out));
    case RESIZE_BILINEAR:
        return lk_nn_resize_bilinear(g, value(r, in), shape_of(out).h, shape_of(out).w, option(r, o, 2, 1, 0),
                                     option(r, o, 3, 1, 0));
    case PAD:
        return read_pad(r, o, out);
    case PRELU:
        return lk_nn_prelu(g, value(r, in), value(r, operand(r, o->in, 1)));
    case CUSTOM:
        return read_custom(r, o);
    default:
        return lk_graph_fail(g, "operator %d is not known", o->code);
    }
}

static bool read_code(reader *r, operation *o) {
    lk_fb_table code = lk_fb_table_in(&r->b, r->codes, (uint32_t)lk_fb_int(&r->b, o->table, OP_CODE, 4, 0));
    int old = lk_fb_int(&r->b, code, CODE_OLD, 1, 0), builtin = lk_fb_int(&r->b, code, CODE_BUILTIN, 4, 0);
    o->code = old > builtin ? old : builtin;
    o->custom = "";
    lk_fb_vector name = lk_fb_vector_of(&r->b, code, CODE_CUSTOM, 1);
    if (r->b.bad) return damaged(r);
    if (name.count && name.at + name.count < r->b.size && r->b.data[name.at + name.count] == 0)
        o->custom = (const char *)r->b.data + name.at;
    return true;
}

static bool read_one(reader *r, lk_fb_table table) {
    operation o = {.table = table, .options = lk_fb_subtable(&r->b, table, OP_OPTIONS)};
    if (!read_code(r, &o)) return false;
    o.in = lk_fb_vector_of(&r->b, table, OP_INPUTS, 4);
    o.out = lk_fb_vector_of(&r->b, table, OP_OUTPUTS, 4);
    tensor *out = operand(r, o.out, 0);
    if (r->b.bad || !out || out->handle >= 0) return damaged(r);
    if (o.code == DEQUANTIZE) {
        tensor *in = operand(r, o.in, 0);
        if (!in || in->constant_of < 0 || in->type != TYPE_F16)
            return lk_fail(r->err, LK_ERR_UNSUPPORTED, "%s dequantizes something else than float16 constants", r->what);
        out->constant_of = in->constant_of;
        return true;
    }
    out->handle = read_operator(r, &o, out);
    if (out->handle >= 0 && !lk_same_shape(lk_nn_shape_of(r->g, out->handle), shape_of(out)))
        lk_graph_fail(r->g, "operator %d gives another shape than the file says", o.code);
    if (r->b.bad) return damaged(r);
    return lk_nn_graph_ok(r->g, r->err) || lk_fail_in(r->err, "%s", r->what);
}

static bool read_inputs(reader *r, lk_fb_table graph) {
    lk_fb_vector list = lk_fb_vector_of(&r->b, graph, GRAPH_INPUTS, 4);
    for (uint32_t i = 0; i < list.count; i++) {
        tensor *t = operand(r, list, i);
        char name[16] = "input";
        if (list.count > 1) snprintf(name, sizeof name, "input%u", i);
        if (!t) return damaged(r);
        t->handle = lk_nn_input(r->g, name, shape_of(t));
        if (t->handle < 0) return lk_nn_graph_ok(r->g, r->err);
    }
    return !r->b.bad || damaged(r);
}

static bool read_outputs(reader *r, lk_fb_table graph) {
    lk_fb_vector list = lk_fb_vector_of(&r->b, graph, GRAPH_OUTPUTS, 4);
    for (uint32_t i = 0; i < list.count; i++) {
        tensor *t = operand(r, list, i);
        if (!t || t->handle < 0) return damaged(r);
        lk_fb_vector text = lk_fb_vector_of(&r->b, t->table, TENSOR_NAME, 1);
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)(text.count < 127 ? text.count : 127),
                 (const char *)r->b.data + text.at);
        lk_nn_output(r->g, name, t->handle);
    }
    return (!r->b.bad && list.count > 0) || damaged(r);
}

static bool read_model(reader *r) {
    lk_fb_table model = lk_fb_root(&r->b);
    if (r->b.size < 8 || memcmp(r->b.data + 4, "TFL3", 4) != 0) return damaged(r);
    r->codes = lk_fb_vector_of(&r->b, model, MODEL_CODES, 4);
    lk_fb_vector buffers = lk_fb_vector_of(&r->b, model, MODEL_BUFFERS, 4);
    lk_fb_vector graphs = lk_fb_vector_of(&r->b, model, MODEL_SUBGRAPHS, 4);
    lk_fb_table graph = lk_fb_table_in(&r->b, graphs, 0);
    if (r->b.bad || !read_tensors(r, graph, buffers) || !read_inputs(r, graph)) return r->b.bad ? damaged(r) : false;
    lk_fb_vector operators = lk_fb_vector_of(&r->b, graph, GRAPH_OPERATORS, 4);
    for (uint32_t i = 0; i < operators.count; i++)
        if (!read_one(r, lk_fb_table_in(&r->b, operators, i))) return false;
    return read_outputs(r, graph) && lk_nn_graph_ok(r->g, r->err);
}

lk_nn_graph *lk_nn_read_tflite(const void *data, size_t size, const char *what, lk_error *err) {
    lk_error own = {0};
    reader r = {.b = {data, size, false}, .what = what, .err = err ? err : &own};
    r.g = lk_nn_graph_new(r.err);
    if (!r.g) return NULL;
    bool ok = read_model(&r);
    free(r.tensors);
    if (ok) return r.g;
    lk_nn_graph_free(r.g);
    return NULL;
}
