/* Adam on the GPU, and how its states are kept: in full, or, of the weights of layers, short or factored in the blocks in
 * which a processor keeps them, so that a training goes on from the one to the other. */
#include "gpu.h"

#include <stdlib.h>
#include <string.h>

#include "../cpu/factored.h"
#include "../cpu/short.h"
#include "../cpu/tile.h"

_Static_assert(LK_CUT_NUMBERS == LK_SHORT && LK_CUT_NUMBERS == LK_TILE && 2 * LK_CUT == LK_FACTORS,
               "blocks are those of a processor");

#define FEW 8 /* channels: so many of all taps may be put together */

/* As a processor cuts them (tiling_of of src/nn/cpu/matrix.c): a block that would be almost empty is filled with more taps. */
static lk_cut cut_of(lk_nn_shape s) {
    uint32_t o = (uint32_t)s.n, c = (uint32_t)s.c, taps = (uint32_t)(s.h * s.w);
    lk_cut plain = {o, taps, c, 0}, wide = {o, 1, taps * c, 0}, turned = {o, taps, c, 1};
    if (s.c <= FEW && 2 * lk_cut_blocks(wide) < lk_cut_blocks(plain)) return wide;
    return s.n <= FEW && 2 * lk_cut_blocks(turned) < lk_cut_blocks(plain) ? turned : plain;
}

static bool is_factored(const lk_tensor *t) {
    return t->moment_bytes[1] == lk_cut_blocks(cut_of(t->shape)) * LK_FACTORS * sizeof(float);
}

static bool of_a_layer(const lk_nn_exec *e, int t) {
    for (int i = 0; i < e->g.node_count; i++) {
        const lk_node *n = &e->g.nodes[i];
        bool reads = n->op != LK_OP_CONV_BACK_WEIGHTS && n->op != LK_OP_DENSE_BACK_WEIGHTS;
        if (lk_gpu_is_layer(n->op) && reads && n->in[1] == t) return true;
    }
    return false;
}

bool lk_gpu_prepare_adam(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)err;
    lk_tensor *p = &e->g.tensors[n->in[0]];
    bool factored = e->options.optimizer_memory == LK_NN_STATES_FACTORED;
    if ((!factored && e->options.optimizer_memory != LK_NN_STATES_SHORT) || !of_a_layer(e, n->in[0])) return true;
    size_t blocks = lk_cut_blocks(cut_of(p->shape)), numbers = blocks * LK_CUT_NUMBERS;
    size_t first = numbers + blocks * sizeof(float),
           second = factored ? blocks * LK_FACTORS * sizeof(float) : numbers * sizeof(uint16_t);
    p->moment_bytes[0] = first;
    p->moment_bytes[1] = second;
    n->scratch = blocks * (LK_CUT + 1 + (factored ? LK_FACTORS + 1 : 0)) * sizeof(float);
    return true;
}

static bool run_few(lk_nn_exec *e, lk_node *n, lk_error *err) {
    const lk_tensor *p = &e->g.tensors[n->in[0]];
    const lk_gpu_state *s = lk_gpu_state_of(e);
    lk_adam_few_args a = {.p = (float *)(void *)p->data,
                          .g = lk_gpu_ref_of(e, n->in[1]),
                          .copy = s->shadow[n->in[0]],
                          .kind = lk_gpu_narrow_kind(e),
                          .losses = lk_gpu_scale_of(e),
                          .cut = cut_of(p->shape),
                          .first = (uint8_t *)p->moment1,
                          .tops = (float *)(void *)lk_gpu_scratch(e, n),
                          .tensor = (uint32_t)n->in[0],
                          .step = (const lk_gpu_step *)(const void *)s->numbers};
    size_t blocks = lk_cut_blocks(a.cut), numbers = blocks * LK_CUT_NUMBERS;
    a.scale = (float *)(void *)(p->moment1 + numbers);
    a.scaled = a.tops + blocks * LK_CUT;
    if (is_factored(p)) {
        a.factors = (float *)(void *)p->moment2;
        a.most = a.scaled + blocks;
        a.squares = a.most + blocks;
        if (!lk_gpu_adam_rows(s->gpu, &a, blocks * LK_CUT, err)) return false;
    } else {
        a.second = (uint16_t *)(void *)p->moment2;
    }
    return lk_gpu_adam_columns(s->gpu, &a, blocks * LK_CUT, err) && lk_gpu_adam_blocks(s->gpu, &a, blocks, err) &&
           lk_gpu_adam_few(s->gpu, &a, numbers, err);
}

bool lk_gpu_run_adam(lk_nn_exec *e, lk_node *n, lk_error *err) {
    const lk_tensor *p = &e->g.tensors[n->in[0]];
    const lk_gpu_state *s = lk_gpu_state_of(e);
    if (p->moment_bytes[0]) return run_few(e, n, err);
    lk_adam_args a = {.p = (float *)(void *)p->data,
                      .m = (float *)(void *)p->moment1,
                      .v = (float *)(void *)p->moment2,
                      .g = lk_gpu_ref_of(e, n->in[1]),
                      .copy = s->shadow[n->in[0]],
                      .kind = lk_gpu_narrow_kind(e),
                      .step = (const lk_gpu_step *)(const void *)s->numbers,
                      .scale = lk_gpu_scale_of(e)};
    if (e->beside && !lk_gpu_beside_begin(s->gpu, err)) return false;
    bool ok = lk_gpu_adam(s->gpu, &a, lk_nn_count(p->shape), err);
    return (!e->beside || lk_gpu_beside_end(s->gpu, err)) && ok;
}

bool lk_gpu_wait_adam(lk_nn_exec *e, lk_node *n, lk_error *err) {
    (void)n;
    return lk_gpu_beside_wait(lk_gpu_state_of(e)->gpu, err);
}

/* ---- Moments in and out -------------------------------------------------------------------------------------- */

typedef struct packing {
    const lk_tensor *t;
    lk_cut cut;
    bool first, in;
    char *data; /* as on the device */
    float *values;
} packing;

/* A block in the order of lk_tile_float_at. */
static void load_block(const packing *p, size_t block, float *numbers) {
    size_t at = block * LK_CUT_NUMBERS;
    const float *scales = (const float *)(const void *)(p->data + lk_cut_blocks(p->cut) * LK_CUT_NUMBERS);
    float rows[LK_TILE];
    if (!p->first && is_factored(p->t)) {
        lk_factored_decode((const float *)(const void *)p->data + block * LK_FACTORS, numbers);
        return;
    }
    if (p->first)
        lk_short_decode((const uint8_t *)p->data + at, scales[block], rows);
    else
        lk_short_decode_second((const lk_bf16 *)(const void *)p->data + at, rows);
    for (int i = 0; i < LK_TILE; i++) numbers[lk_tile_float_at(i / LK_CUT, i % LK_CUT)] = rows[i];
}

static void store_block(const packing *p, size_t block, const float *numbers) {
    size_t at = block * LK_CUT_NUMBERS;
    float *scales = (float *)(void *)(p->data + lk_cut_blocks(p->cut) * LK_CUT_NUMBERS), rows[LK_TILE];
    if (!p->first && is_factored(p->t)) {
        lk_factored_encode(numbers, (float *)(void *)p->data + block * LK_FACTORS);
        return;
    }
    for (int i = 0; i < LK_TILE; i++) rows[i] = numbers[lk_tile_float_at(i / LK_CUT, i % LK_CUT)];
    if (p->first)
        scales[block] = lk_short_encode(rows, 0, (uint8_t *)p->data + at);
    else
        lk_short_encode_second(rows, 0, (lk_bf16 *)(void *)p->data + at);
}

static void pack_block(int block, void *user) {
    const packing *p = user;
    lk_cut_place place = lk_cut_place_of(p->cut, (uint32_t)block);
    float numbers[LK_TILE] = {0};
    if (!p->in) load_block(p, (size_t)block, numbers);
    for (uint32_t i = 0; i < LK_CUT_NUMBERS; i++) {
        uint32_t at = lk_cut_at(p->cut, place, i / LK_CUT, i % LK_CUT);
        if (at == LK_CUT_NOWHERE) continue;
        float *number = &numbers[lk_tile_float_at((int)(i / LK_CUT), (int)(i % LK_CUT))];
        if (p->in)
            *number = p->values[at];
        else
            p->values[at] = *number;
    }
    if (p->in) store_block(p, (size_t)block, numbers);
}

static void pack(const lk_tensor *t, bool first, bool in, char *data, float *values) {
    packing p = {t, cut_of(t->shape), first, in, data, values};
    lk_parallel_for((int)lk_cut_blocks(p.cut), pack_block, &p);
}

static int moment_of(const lk_tensor *t, const char *data) { return data == t->moment2; }

bool lk_gpu_keeps_few(const lk_tensor *t, const char *data) {
    return t->moment_bytes[0] && (data == t->moment1 || data == t->moment2);
}

bool lk_gpu_upload_few(lk_nn_exec *e, const lk_tensor *t, char *data, float *values) {
    int i = moment_of(t, data);
    char *packed = lk_alloc(t->moment_bytes[i], 1, NULL);
    if (packed) pack(t, i == 0, true, packed, values);
    lk_gpu *gpu = lk_gpu_state_of(e)->gpu;
    bool ok = packed && lk_gpu_upload(gpu, data, packed, t->moment_bytes[i], NULL);
    ok = lk_gpu_wait(gpu, NULL) && ok;
    free(packed);
    return ok;
}

bool lk_gpu_download_few(const lk_nn_exec *e, const lk_tensor *t, const char *data, float *values) {
    int i = moment_of(t, data);
    char *packed = lk_alloc(t->moment_bytes[i], 1, NULL);
    bool ok = packed && lk_gpu_download(lk_gpu_state_of(e)->gpu, packed, data, t->moment_bytes[i], NULL);
    if (ok) pack(t, i == 0, false, packed, values);
    free(packed);
    return ok;
}
