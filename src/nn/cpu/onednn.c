/* Convolutions and dense layers by oneDNN. Activations are channels-last; weights lie in whatever blocked layout the
 * forward primitive asks for, and so do their gradients and moments. A backward primitive that wants another layout gets
 * its weights reordered into the node's scratch memory. */
#include "cpu.h"

#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ARGS 6

typedef struct onednn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
} onednn;

typedef struct call {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[MAX_ARGS];
    int count;
} call;

typedef struct state {
    dnnl_primitive_desc_t desc;
    call reorder, main;         /* the reorder runs before main for weights, after it for their gradients */
    dnnl_memory_desc_t weights; /* as main wants or gives them */
    bool reorders;
    size_t weights_at; /* of the reordered weights, in the scratch memory behind main's own */
} state;

static bool failed(dnnl_status_t status, const char *what, lk_error *err) {
    if (status == dnnl_success) return false;
    lk_fail(err, status == dnnl_out_of_memory ? LK_ERR_MEMORY : LK_ERR_UNSUPPORTED, "oneDNN cannot %s (status %d)",
            what, (int)status);
    return true;
}

bool lk_onednn_open(lk_nn_exec *e, lk_error *err) {
    onednn *o = lk_alloc(1, sizeof *o, err);
    if (!o) return false;
    e->backend_state = o;
    return !failed(dnnl_engine_create(&o->engine, dnnl_cpu, 0), "open the processor", err) &&
           !failed(dnnl_stream_create(&o->stream, o->engine, dnnl_stream_default_flags), "open a stream", err);
}

void lk_onednn_close(lk_nn_exec *e) {
    onednn *o = e->backend_state;
    if (!o) return;
    if (o->stream) dnnl_stream_destroy(o->stream);
    if (o->engine) dnnl_engine_destroy(o->engine);
    free(o);
    e->backend_state = NULL;
}

size_t lk_onednn_layout_bytes(const void *layout) { return dnnl_memory_desc_get_size(layout); }

void *lk_onednn_copy_layout(const void *layout, lk_error *err) {
    void *copy = lk_alloc(1, sizeof(dnnl_memory_desc_t), err);
    if (copy) memcpy(copy, layout, sizeof(dnnl_memory_desc_t));
    return copy;
}

/* ---- Descriptions ---------------------------------------------------------------------------------------- */

static bool is_dense(const lk_node *n) {
    return n->op == LK_OP_DENSE || n->op == LK_OP_DENSE_BACK_DATA || n->op == LK_OP_DENSE_BACK_WEIGHTS;
}

static dnnl_memory_desc_t activations(lk_nn_shape s, bool dense, bool narrow) {
    dnnl_memory_desc_t md;
    dnnl_dims_t dims = {s.n, s.c, s.h, s.w};
    dnnl_memory_desc_init_by_tag(&md, dense ? 2 : 4, dims, narrow ? dnnl_bf16 : dnnl_f32, dense ? dnnl_nc : dnnl_nhwc);
    return md;
}

static dnnl_memory_desc_t bias_desc(int outputs) {
    dnnl_memory_desc_t md;
    dnnl_dims_t dims = {outputs};
    dnnl_memory_desc_init_by_tag(&md, 1, dims, dnnl_f32, dnnl_x);
    return md;
}

/* Weights [O, C/g, KH, KW]; `plain`: float32 in that order, else as the primitive likes. */
static dnnl_memory_desc_t weights_desc(lk_nn_shape s, int groups, bool dense, bool transposed, bool plain,
                                       dnnl_data_type_t type) {
    dnnl_memory_desc_t md;
    if (dense) {
        dnnl_dims_t dims = {s.n, s.c};
        dnnl_memory_desc_init_by_tag(&md, 2, dims, type, plain ? dnnl_ab : dnnl_format_tag_any);
    } else if (transposed) { /* [C, O, KH, KW] in memory; oneDNN speaks of it as O, C, KH, KW */
        dnnl_dims_t dims = {s.c, s.n, s.h, s.w};
        dnnl_memory_desc_init_by_tag(&md, 4, dims, type, plain ? dnnl_bacd : dnnl_format_tag_any);
    } else if (groups > 1) {
        dnnl_dims_t dims = {groups, s.n / groups, s.c, s.h, s.w};
        dnnl_memory_desc_init_by_tag(&md, 5, dims, type, plain ? dnnl_abcde : dnnl_format_tag_any);
    } else {
        dnnl_dims_t dims = {s.n, s.c, s.h, s.w};
        dnnl_memory_desc_init_by_tag(&md, 4, dims, type, plain ? dnnl_abcd : dnnl_format_tag_any);
    }
    return md;
}

static void add_activation(dnnl_post_ops_t ops, lk_nn_act act, float alpha) {
    switch (act) {
    case LK_NN_LINEAR:
        break;
    case LK_NN_LEAKY:
        dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_relu, alpha, 0);
        break;
    case LK_NN_RELU:
        dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_relu, 0, 0);
        break;
    case LK_NN_RELU6:
        dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_clip, 0, 6);
        break;
    case LK_NN_SIGMOID:
        dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_logistic, 0, 0);
        break;
    case LK_NN_TANH:
        dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_tanh, 0, 0);
        break;
    case LK_NN_SWISH:
        dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_swish, 1, 0);
        break;
    case LK_NN_HARD_SWISH:
        dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_hardswish, 0, 0);
        break;
    }
}

static bool is_forward(const lk_node *n) {
    return n->op == LK_OP_CONV || n->op == LK_OP_DENSE || n->op == LK_OP_CONV_TRANSPOSED;
}

static bool gives_weights(const lk_node *n) {
    return n->op == LK_OP_CONV_BACK_WEIGHTS || n->op == LK_OP_DENSE_BACK_WEIGHTS;
}

/* Shapes of a layer, whichever of its three passes the node is. */
typedef struct layer {
    lk_nn_shape x, w, y;
    bool bias, dense, transposed;
    bool narrow, x_narrow, y_narrow; /* bfloat16: what is multiplied; the tensors on both sides */
} layer;

static layer layer_of(const lk_nn_exec *e, const lk_node *n) {
    layer l = {.dense = is_dense(n), .transposed = n->op == LK_OP_CONV_TRANSPOSED};
    switch (n->op) {
    case LK_OP_CONV_BACK_DATA:
    case LK_OP_DENSE_BACK_DATA:
        l.x = lk_cpu_shape(e, n->out[0]);
        l.w = lk_cpu_shape(e, n->in[1]);
        l.y = lk_cpu_shape(e, n->in[0]);
        break;
    case LK_OP_CONV_BACK_WEIGHTS:
    case LK_OP_DENSE_BACK_WEIGHTS:
        l.x = lk_cpu_shape(e, n->in[0]);
        l.w = lk_cpu_shape(e, n->out[0]);
        l.y = lk_cpu_shape(e, n->in[1]);
        l.bias = n->out_count > 1;
        break;
    default:
        l.x = lk_cpu_shape(e, n->in[0]);
        l.w = lk_cpu_shape(e, n->in[1]);
        l.y = lk_cpu_shape(e, n->out[0]);
        l.bias = n->in_count > 2;
    }
    l.narrow = l.x_narrow = l.y_narrow = n->narrow;
    if (n->narrow && is_forward(n)) l.y_narrow = e->g.tensors[n->out[0]].narrow;
    if (n->narrow && !is_forward(n) && !gives_weights(n)) l.x_narrow = e->g.tensors[n->out[0]].narrow;
    return l;
}

typedef struct geometry {
    dnnl_dims_t strides, dilations, before, after;
} geometry;

static geometry geometry_of(const lk_nn_conv_options *o) {
    return (geometry){{o->stride, o->stride},
                      {o->dilation > 1 ? o->dilation - 1 : 0, o->dilation > 1 ? o->dilation - 1 : 0},
                      {o->pad_top, o->pad_left},
                      {o->pad_bottom, o->pad_right}};
}

static dnnl_status_t forward_desc(const lk_nn_exec *e, const lk_node *n, const layer *l, dnnl_primitive_attr_t attr,
                                  dnnl_primitive_desc_t *pd) {
    const onednn *o = e->backend_state;
    dnnl_memory_desc_t x = activations(l->x, l->dense, l->x_narrow), y = activations(l->y, l->dense, l->y_narrow);
    dnnl_memory_desc_t b = bias_desc(l->y.c);
    dnnl_memory_desc_t w =
        weights_desc(l->w, n->a.conv.groups, l->dense, l->transposed, false, l->narrow ? dnnl_bf16 : dnnl_f32);
    dnnl_prop_kind_t kind = e->options.train ? dnnl_forward_training : dnnl_forward_inference;
    geometry g = geometry_of(&n->a.conv);
    dnnl_status_t status;
    if (l->dense) {
        dnnl_inner_product_desc_t d;
        status = dnnl_inner_product_forward_desc_init(&d, kind, &x, &w, l->bias ? &b : NULL, &y);
        return status != dnnl_success ? status : dnnl_primitive_desc_create(pd, &d, attr, o->engine, NULL);
    }
    if (l->transposed) {
        dnnl_deconvolution_desc_t d;
        status = dnnl_deconvolution_forward_desc_init(&d, kind, dnnl_deconvolution_direct, &x, &w, l->bias ? &b : NULL,
                                                      &y, g.strides, g.before, g.after);
        return status != dnnl_success ? status : dnnl_primitive_desc_create(pd, &d, attr, o->engine, NULL);
    }
    dnnl_convolution_desc_t d;
    status = dnnl_dilated_convolution_forward_desc_init(&d, kind, dnnl_convolution_direct, &x, &w, l->bias ? &b : NULL,
                                                        &y, g.strides, g.dilations, g.before, g.after);
    return status != dnnl_success ? status : dnnl_primitive_desc_create(pd, &d, attr, o->engine, NULL);
}

/* oneDNN 2.6's first choice for the data gradient of a dense layer with 16 or 32 inputs and many outputs crashes (brgemm, by
 * a kernel it never made); its next one works. */
static dnnl_status_t second_choice(const dnnl_inner_product_desc_t *d, dnnl_primitive_attr_t attr, dnnl_engine_t engine,
                                   dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *pd) {
    dnnl_primitive_desc_iterator_t i;
    dnnl_status_t status = dnnl_primitive_desc_iterator_create(&i, d, attr, engine, hint);
    if (status != dnnl_success) return status;
    status = dnnl_primitive_desc_iterator_next(i);
    if (status == dnnl_success) *pd = dnnl_primitive_desc_iterator_fetch(i);
    dnnl_primitive_desc_iterator_destroy(i);
    if (status == dnnl_iterator_ends) return dnnl_unimplemented;
    return status != dnnl_success ? status : *pd ? dnnl_success : dnnl_out_of_memory;
}

static dnnl_status_t backward_desc(const lk_nn_exec *e, const lk_node *n, const layer *l, dnnl_primitive_attr_t attr,
                                   dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *pd) {
    const onednn *o = e->backend_state;
    dnnl_memory_desc_t x = activations(l->x, l->dense, l->x_narrow), y = activations(l->y, l->dense, l->y_narrow);
    dnnl_memory_desc_t b = bias_desc(l->y.c);
    dnnl_memory_desc_t w = weights_desc(l->w, n->a.conv.groups, l->dense, false, false,
                                        l->narrow && !gives_weights(n) ? dnnl_bf16 : dnnl_f32);
    bool data = !gives_weights(n);
    geometry g = geometry_of(&n->a.conv);
    dnnl_status_t status;
    if (l->dense) {
        dnnl_inner_product_desc_t d;
        status = data ? dnnl_inner_product_backward_data_desc_init(&d, &x, &w, &y)
                      : dnnl_inner_product_backward_weights_desc_init(&d, &x, &w, l->bias ? &b : NULL, &y);
        if (status == dnnl_success && data && l->w.c <= 32) return second_choice(&d, attr, o->engine, hint, pd);
        return status != dnnl_success ? status : dnnl_primitive_desc_create(pd, &d, attr, o->engine, hint);
    }
    dnnl_convolution_desc_t d;
    status = data ? dnnl_dilated_convolution_backward_data_desc_init(&d, dnnl_convolution_direct, &x, &w, &y, g.strides,
                                                                     g.dilations, g.before, g.after)
                  : dnnl_dilated_convolution_backward_weights_desc_init(&d, dnnl_convolution_direct, &x, &w,
                                                                        l->bias ? &b : NULL, &y, g.strides, g.dilations,
                                                                        g.before, g.after);
    return status != dnnl_success ? status : dnnl_primitive_desc_create(pd, &d, attr, o->engine, hint);
}

/* ---- Preparing ------------------------------------------------------------------------------------------- */

static bool make_desc(const lk_nn_exec *e, const lk_node *n, state *s, lk_error *err) {
    layer l = layer_of(e, n);
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    if (failed(dnnl_primitive_attr_create(&attr), "make attributes", err)) return false;
    dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    dnnl_status_t status;
    if (is_forward(n)) {
        if (n->a.conv.act != LK_NN_LINEAR && dnnl_post_ops_create(&ops) == dnnl_success) {
            add_activation(ops, n->a.conv.act, n->a.conv.alpha);
            dnnl_primitive_attr_set_post_ops(attr, ops);
            dnnl_post_ops_destroy(ops);
        }
        status = forward_desc(e, n, &l, attr, &s->desc);
    } else {
        dnnl_primitive_desc_t hint = NULL;
        status = forward_desc(e, n, &l, NULL, &hint);
        if (status == dnnl_success) status = backward_desc(e, n, &l, attr, hint, &s->desc);
        if (hint) dnnl_primitive_desc_destroy(hint);
    }
    dnnl_primitive_attr_destroy(attr);
    return !failed(status, "do a layer of this shape", err);
}

/* The layout in which weights lie is settled by the first forward pass that uses them. */
static bool settle_layout(lk_nn_exec *e, const lk_node *n, state *s, lk_error *err) {
    lk_tensor *t = e->g.tensors;
    lk_tensor *param = gives_weights(n) ? &t[t[n->out[0]].gradient] : &t[n->in[1]];
    if (!param->layout) {
        if (param->kind == LK_VALUE)
            return lk_fail(err, LK_ERR_UNSUPPORTED, "weights that are computed are not possible");
        /* Weights that are multiplied in bfloat16 are kept in float32, and rounded whenever a layer wants them. */
        dnnl_memory_desc_t kept = n->narrow ? weights_desc(param->shape, n->a.conv.groups ? n->a.conv.groups : 1,
                                                           is_dense(n), false, true, dnnl_f32)
                                            : s->weights;
        param->layout = lk_onednn_copy_layout(&kept, err);
        if (!param->layout) return false;
        param->bytes = dnnl_memory_desc_get_size(&kept);
    }
    s->reorders = !dnnl_memory_desc_equal(param->layout, &s->weights);
    if (!gives_weights(n)) return true;
    lk_tensor *gradient = &t[n->out[0]];
    gradient->bytes = param->bytes;
    gradient->gradient = -1;
    gradient->layout = lk_onednn_copy_layout(param->layout, err);
    return gradient->layout != NULL;
}

bool lk_onednn_narrow(lk_nn_exec *e, const lk_node *n) {
    lk_node trial = *n;
    lk_tensor *out = &e->g.tensors[n->out[0]];
    state s = {0};
    trial.narrow = out->narrow = true;
    lk_error ignored = {0};
    bool ok = make_desc(e, &trial, &s, &ignored);
    out->narrow = false;
    const char *name = "";
    ok = ok && dnnl_primitive_desc_query(s.desc, dnnl_query_impl_info_str, 0, (void *)&name) == dnnl_success &&
         !strstr(name, "ref");
    if (s.desc) dnnl_primitive_desc_destroy(s.desc);
    return ok;
}

bool lk_onednn_prepare(lk_nn_exec *e, lk_node *n, lk_error *err) {
    const onednn *o = e->backend_state;
    state *s = lk_alloc(1, sizeof *s, err);
    if (!s) return false;
    n->state = s;
    if (!make_desc(e, n, s, err)) return false;
    const dnnl_memory_desc_t *w =
        dnnl_primitive_desc_query_md(s->desc, gives_weights(n) ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
    const dnnl_memory_desc_t *own = dnnl_primitive_desc_query_md(s->desc, dnnl_query_scratchpad_md, 0);
    s->weights = *w;
    n->scratch = s->weights_at = (dnnl_memory_desc_get_size(own) + 63) / 64 * 64;
    if (failed(dnnl_primitive_create(&s->main.primitive, s->desc), "compile a layer", err)) return false;
    if (!settle_layout(e, n, s, err)) return false;
    if (!s->reorders) return true;
    n->scratch += dnnl_memory_desc_get_size(&s->weights);
    const lk_tensor *t = e->g.tensors;
    const dnnl_memory_desc_t *stored = gives_weights(n) ? t[n->out[0]].layout : t[n->in[1]].layout;
    dnnl_primitive_desc_t pd;
    dnnl_status_t status =
        gives_weights(n) ? dnnl_reorder_primitive_desc_create(&pd, &s->weights, o->engine, stored, o->engine, NULL)
                         : dnnl_reorder_primitive_desc_create(&pd, stored, o->engine, &s->weights, o->engine, NULL);
    if (failed(status, "reorder weights", err)) return false;
    status = dnnl_primitive_create(&s->reorder.primitive, pd);
    dnnl_primitive_desc_destroy(pd);
    return !failed(status, "reorder weights", err);
}

/* ---- Binding and running --------------------------------------------------------------------------------- */

static bool argument(const lk_nn_exec *e, call *c, int arg, const dnnl_memory_desc_t *md, void *data, lk_error *err) {
    const onednn *o = e->backend_state;
    dnnl_memory_t memory;
    if (failed(dnnl_memory_create(&memory, md, o->engine, data), "take memory", err)) return false;
    c->args[c->count++] = (dnnl_exec_arg_t){arg, memory};
    return true;
}

bool lk_onednn_bind(lk_nn_exec *e, lk_node *n, lk_error *err) {
    state *s = n->state;
    layer l = layer_of(e, n);
    dnnl_memory_desc_t x = activations(l.x, l.dense, l.x_narrow), y = activations(l.y, l.dense, l.y_narrow);
    dnnl_memory_desc_t b = bias_desc(l.y.c);
    const lk_tensor *t = e->g.tensors;
    char *scratch = n->scratch ? t[n->scratch_tensor].data : NULL;
    const lk_tensor *stored = gives_weights(n) ? &t[n->out[0]] : &t[n->in[1]];
    void *weights = s->reorders ? scratch + s->weights_at : stored->data;
    call *c = &s->main;
    bool ok = true;
    if (is_forward(n)) {
        ok = argument(e, c, DNNL_ARG_SRC, &x, t[n->in[0]].data, err) &&
             argument(e, c, DNNL_ARG_WEIGHTS, &s->weights, weights, err) &&
             argument(e, c, DNNL_ARG_DST, &y, t[n->out[0]].data, err) &&
             (!l.bias || argument(e, c, DNNL_ARG_BIAS, &b, t[n->in[2]].data, err));
    } else if (gives_weights(n)) {
        ok = argument(e, c, DNNL_ARG_SRC, &x, t[n->in[0]].data, err) &&
             argument(e, c, DNNL_ARG_DIFF_DST, &y, t[n->in[1]].data, err) &&
             argument(e, c, DNNL_ARG_DIFF_WEIGHTS, &s->weights, weights, err) &&
             (!l.bias || argument(e, c, DNNL_ARG_DIFF_BIAS, &b, t[n->out[1]].data, err));
    } else {
        ok = argument(e, c, DNNL_ARG_DIFF_DST, &y, t[n->in[0]].data, err) &&
             argument(e, c, DNNL_ARG_WEIGHTS, &s->weights, weights, err) &&
             argument(e, c, DNNL_ARG_DIFF_SRC, &x, t[n->out[0]].data, err);
    }
    const dnnl_memory_desc_t *own = dnnl_primitive_desc_query_md(s->desc, dnnl_query_scratchpad_md, 0);
    if (ok && s->weights_at) ok = argument(e, c, DNNL_ARG_SCRATCHPAD, own, scratch, err);
    if (!ok || !s->reorders) return ok;
    bool out = gives_weights(n);
    return argument(e, &s->reorder, DNNL_ARG_FROM, out ? &s->weights : stored->layout, out ? weights : stored->data,
                    err) &&
           argument(e, &s->reorder, DNNL_ARG_TO, out ? stored->layout : &s->weights, out ? stored->data : weights, err);
}

static bool execute(const lk_nn_exec *e, const call *c, lk_error *err) {
    const onednn *o = e->backend_state;
    return !failed(dnnl_primitive_execute(c->primitive, o->stream, c->count, c->args), "run a layer", err);
}

bool lk_onednn_run(lk_nn_exec *e, lk_node *n, lk_error *err) {
    const onednn *o = e->backend_state;
    const state *s = n->state;
    bool after = gives_weights(n);
    if (s->reorders && !after && !execute(e, &s->reorder, err)) return false;
    if (!execute(e, &s->main, err)) return false;
    if (s->reorders && after && !execute(e, &s->reorder, err)) return false;
    return !failed(dnnl_stream_wait(o->stream), "finish a layer", err);
}

static void release_call(call *c) {
    for (int i = 0; i < c->count; i++) dnnl_memory_destroy(c->args[i].memory);
    if (c->primitive) dnnl_primitive_destroy(c->primitive);
}

void lk_onednn_release(lk_node *n) {
    state *s = n->state;
    if (!s) return;
    release_call(&s->main);
    release_call(&s->reorder);
    if (s->desc) dnnl_primitive_desc_destroy(s->desc);
    free(s);
    n->state = NULL;
}

bool lk_onednn_reorder(const lk_nn_exec *e, const lk_tensor *t, char *data, float *values, bool upload) {
    const onednn *o = e->backend_state;
    const dnnl_memory_desc_t *blocked = t->layout;
    /* The layout's own dimensions tell which kind of weights these are. */
    bool dense = blocked->ndims == 2;
    int groups = blocked->ndims == 5 ? (int)blocked->dims[0] : 1;
    dnnl_memory_desc_t plain = weights_desc(t->shape, groups, dense, t->transposed, true, dnnl_f32);
    const dnnl_memory_desc_t *from = upload ? &plain : blocked, *to = upload ? blocked : &plain;
    dnnl_primitive_desc_t pd = NULL;
    call c = {0};
    bool ok = dnnl_reorder_primitive_desc_create(&pd, from, o->engine, to, o->engine, NULL) == dnnl_success &&
              dnnl_primitive_create(&c.primitive, pd) == dnnl_success &&
              argument(e, &c, DNNL_ARG_FROM, from, upload ? (void *)values : (void *)data, NULL) &&
              argument(e, &c, DNNL_ARG_TO, to, upload ? (void *)data : (void *)values, NULL) && execute(e, &c, NULL) &&
              dnnl_stream_wait(o->stream) == dnnl_success;
    if (pd) dnnl_primitive_desc_destroy(pd);
    release_call(&c);
    return ok;
}
