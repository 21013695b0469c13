/* Dense layers by cuBLASLt. Its matrices are columns first, so a row-major [N, K] is a K×N there:
 * forward yᵀ[O×N] = w·xᵀ, back to data xᵀ[K×N] = wᵀ·yᵀ, weights wᵀ[K×O] = xᵀ·y. */
#include "device.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MOST_RESULTS   8
#define MOST_WORKSPACE (LK_GPU_MOST_WORKSPACE / 4)

static const cudaDataType_t types[] = {
    [LK_GPU_FLOAT32] = CUDA_R_32F, [LK_GPU_BFLOAT16] = CUDA_R_16BF, [LK_GPU_FLOAT16] = CUDA_R_16F};

static bool ok(cublasStatus_t status) { return status == CUBLAS_STATUS_SUCCESS; }

static cublasComputeType_t product_of(const lk_gpu_layer_key *k) {
    return k->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
}

static bool describe(lk_gpu_layer *l) {
    const lk_gpu_layer_key *k = &l->key;
    uint64_t n = (uint64_t)k->xs.n, in = (uint64_t)k->ws.c, out = (uint64_t)k->ws.n;
    cublasOperation_t plain = CUBLAS_OP_N, turned = CUBLAS_OP_T;
    cudaDataType_t from = types[k->in], to = types[k->out];
    if (!ok(cublasLtMatmulDescCreate(&l->product, product_of(k), CUDA_R_32F))) return false;
    const cublasOperation_t *left = k->pass == LK_GPU_FORWARD ? &turned : &plain;
    const cublasOperation_t *right = k->pass == LK_GPU_BACK_WEIGHTS ? &turned : &plain;
    if (!ok(cublasLtMatmulDescSetAttribute(l->product, CUBLASLT_MATMUL_DESC_TRANSA, left, sizeof *left)) ||
        !ok(cublasLtMatmulDescSetAttribute(l->product, CUBLASLT_MATMUL_DESC_TRANSB, right, sizeof *right)))
        return false;
    switch (k->pass) {
    case LK_GPU_FORWARD: /* w (K×O, turned) · x (K×N) → y (O×N) */
        return ok(cublasLtMatrixLayoutCreate(&l->left, from, in, out, (int64_t)in)) &&
               ok(cublasLtMatrixLayoutCreate(&l->right, from, in, n, (int64_t)in)) &&
               ok(cublasLtMatrixLayoutCreate(&l->result, to, out, n, (int64_t)out));
    case LK_GPU_BACK_DATA: /* w (K×O) · y (O×N) → x (K×N) */
        return ok(cublasLtMatrixLayoutCreate(&l->left, from, in, out, (int64_t)in)) &&
               ok(cublasLtMatrixLayoutCreate(&l->right, from, out, n, (int64_t)out)) &&
               ok(cublasLtMatrixLayoutCreate(&l->result, to, in, n, (int64_t)in));
    default: /* x (K×N) · y (O×N, turned) → w (K×O) */
        return ok(cublasLtMatrixLayoutCreate(&l->left, from, in, n, (int64_t)in)) &&
               ok(cublasLtMatrixLayoutCreate(&l->right, from, out, n, (int64_t)out)) &&
               ok(cublasLtMatrixLayoutCreate(&l->result, to, in, out, (int64_t)in));
    }
}

typedef struct timing {
    lk_gpu *gpu;
    lk_gpu_layer *layer;
    const lk_gpu_trial *on;
} timing;

static bool run_timed(void *user) {
    const timing *t = user;
    return lk_blas_run_layer(t->gpu, t->layer, t->on->x, t->on->w, t->on->y, t->on->bias, t->on->workspace, NULL);
}

/* What lies in the arena begins at multiples of 64 bytes, a view of it at multiples of 16. */
static bool align(cublasLtMatmulPreference_t wish) {
    static const cublasLtMatmulPreferenceAttributes_t names[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    const uint32_t bytes = 16;
    for (size_t i = 0; i < LK_COUNT(names); i++)
        if (!ok(cublasLtMatmulPreferenceSetAttribute(wish, names[i], &bytes, sizeof bytes))) return false;
    return true;
}

/* Parts of a sum are added in float32 even where what comes out has 16 bits. */
static uint32_t reductions_of(const lk_gpu_layer_key *k) {
    return k->in == LK_GPU_FLOAT32 ? CUBLASLT_REDUCTION_SCHEME_MASK : CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
}

static bool sum_exactly(cublasLtMatmulPreference_t wish, const lk_gpu_layer_key *k) {
    const uint32_t schemes = reductions_of(k);
    return ok(cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes,
                                                   sizeof schemes));
}

/* ---- Ways that can be told ------------------------------------------------------------------------------- */

/* Their numbers: the algorithm's configuration, of which the first names the algorithm and cannot be set. */
static const struct {
    cublasLtMatmulAlgoConfigAttributes_t name;
    size_t bytes;
} parts[] = {{CUBLASLT_ALGO_CONFIG_ID, 4},
             {CUBLASLT_ALGO_CONFIG_TILE_ID, 4},
             {CUBLASLT_ALGO_CONFIG_SPLITK_NUM, 4},
             {CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, 4},
             {CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, 4},
             {CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, 4},
             {CUBLASLT_ALGO_CONFIG_STAGES_ID, 4},
             {CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, 2},
             {CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, 2}};
#define PARTS ((int)LK_COUNT(parts))
enum { ALGORITHM, REDUCTION = 3 };

/* Attributes of 2 and of 4 bytes, as numbers. */
typedef union part_value {
    uint16_t two;
    uint32_t four;
} part_value;

static bool tell(const cublasLtMatmulAlgo_t *algorithm, lk_gpu_way *way) {
    way->count = PARTS;
    for (int i = 0; i < PARTS; i++) {
        part_value v;
        size_t written = 0;
        if (!ok(cublasLtMatmulAlgoConfigGetAttribute(algorithm, parts[i].name, &v, parts[i].bytes, &written)))
            return false;
        way->numbers[i] = parts[i].bytes == 2 ? v.two : v.four;
    }
    return true;
}

static bool configure(const lk_gpu_way *way, cublasLtMatmulAlgo_t *algorithm) {
    for (int i = ALGORITHM + 1; i < PARTS; i++) {
        part_value v;
        if (parts[i].bytes == 2)
            v.two = (uint16_t)way->numbers[i];
        else
            v.four = (uint32_t)way->numbers[i];
        if (!ok(cublasLtMatmulAlgoConfigSetAttribute(algorithm, parts[i].name, &v, parts[i].bytes))) return false;
    }
    return true;
}

static bool build(lk_gpu *gpu, lk_gpu_layer *l, const lk_gpu_way *way) {
    const lk_gpu_layer_key *k = &l->key;
    cudaDataType_t from = types[k->in], to = types[k->out];
    cublasLtMatmulHeuristicResult_t found;
    if (way->count != PARTS || way->numbers[REDUCTION] < 0 || way->numbers[REDUCTION] & ~(int64_t)reductions_of(k) ||
        way->numbers[ALGORITHM] < 0 || way->numbers[ALGORITHM] > INT32_MAX ||
        !ok(cublasLtMatmulAlgoInit(gpu->blas, product_of(k), CUDA_R_32F, from, from, to, to,
                                   (int)way->numbers[ALGORITHM], &l->algorithm)) ||
        !configure(way, &l->algorithm) ||
        !ok(cublasLtMatmulAlgoCheck(gpu->blas, l->product, l->left, l->right, l->result, l->result, &l->algorithm,
                                    &found)) ||
        found.workspaceSize > MOST_WORKSPACE)
        return false;
    l->workspace = found.workspaceSize;
    return true;
}

/* ---- Choosing -------------------------------------------------------------------------------------------- */

static bool choose(lk_gpu *gpu, lk_gpu_layer *l, const lk_gpu_trial *on, lk_gpu_way *way) {
    cublasLtMatmulPreference_t wish = NULL;
    cublasLtMatmulHeuristicResult_t results[MOST_RESULTS];
    int count = 0;
    size_t most = MOST_WORKSPACE;
    int trials = lk_gpu_trials();
    bool asked =
        ok(cublasLtMatmulPreferenceCreate(&wish)) && align(wish) && sum_exactly(wish, &l->key) &&
        ok(cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most, sizeof most)) &&
        ok(cublasLtMatmulAlgoGetHeuristic(gpu->blas, l->product, l->left, l->right, l->result, l->result, wish,
                                          trials < MOST_RESULTS ? trials : MOST_RESULTS, results, &count));
    if (wish) cublasLtMatmulPreferenceDestroy(wish);
    double best = HUGE_VAL;
    cublasLtMatmulAlgo_t chosen;
    memset(&chosen, 0, sizeof chosen);
    size_t workspace = 0;
    for (int i = 0; asked && i < count; i++) {
        if (!ok(results[i].state)) continue;
        l->algorithm = results[i].algo;
        l->workspace = results[i].workspaceSize;
        timing t = {gpu, l, on};
        double ms = lk_gpu_time(gpu, run_timed, &t);
        if (ms < 0 || ms >= best) continue;
        best = ms;
        chosen = results[i].algo;
        workspace = results[i].workspaceSize;
    }
    bool works = isfinite(best);
    if (works && tell(&chosen, way) && build(gpu, l, way))
        way->by = LK_WAY_CUBLASLT;
    else
        way->by = works || count ? LK_WAY_UNKNOWN : LK_WAY_PLAIN;
    l->algorithm = chosen;
    l->workspace = workspace;
    return works;
}

static bool finish(lk_gpu_layer *layer, bool good) {
    if (!good) lk_blas_close_layer(layer);
    snprintf(layer->name, sizeof layer->name, "cuBLASLt");
    return good;
}

bool lk_blas_choose_layer(lk_gpu *gpu, lk_gpu_layer *layer, const lk_gpu_trial *on, lk_gpu_way *way) {
    return finish(layer, describe(layer) && choose(gpu, layer, on, way));
}

bool lk_blas_build_layer(lk_gpu *gpu, lk_gpu_layer *layer, const lk_gpu_way *way) {
    return finish(layer, describe(layer) && build(gpu, layer, way));
}

bool lk_blas_run_layer(lk_gpu *gpu, lk_gpu_layer *l, void *x, void *w, void *y, const float *bias, void *workspace,
                       lk_error *err) {
    const lk_gpu_layer_key *k = &l->key;
    const float one = 1, zero = 0;
    const void *left = k->pass == LK_GPU_BACK_WEIGHTS ? x : w, *right = k->pass == LK_GPU_FORWARD ? x : y;
    void *result = k->pass == LK_GPU_FORWARD ? y : k->pass == LK_GPU_BACK_DATA ? x : w;
    cublasStatus_t status =
        cublasLtMatmul(gpu->blas, l->product, &one, left, l->left, right, l->right, &zero, result, l->result, result,
                       l->result, &l->algorithm, workspace, l->workspace, gpu->stream);
    if (!ok(status))
        return lk_fail(err, LK_ERR_UNSUPPORTED, "cuBLASLt failed in a dense layer (%s)",
                       cublasLtGetStatusString(status));
    if (k->pass != LK_GPU_FORWARD || (!k->bias && k->act == LK_NN_LINEAR)) return true;
    lk_activation_args a = {.x = {y, k->out},
                            .y = {y, k->out},
                            .bias = bias,
                            .channels = (uint32_t)k->ys.c,
                            .act = k->act,
                            .alpha = k->alpha};
    return lk_gpu_activation(gpu, &a, lk_nn_count(k->ys), err);
}

void lk_blas_close_layer(lk_gpu_layer *l) {
    if (l->result) cublasLtMatrixLayoutDestroy(l->result);
    if (l->right) cublasLtMatrixLayoutDestroy(l->right);
    if (l->left) cublasLtMatrixLayoutDestroy(l->left);
    if (l->product) cublasLtMatmulDescDestroy(l->product);
    l->result = l->right = l->left = NULL;
    l->product = NULL;
}
