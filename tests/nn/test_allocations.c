/* No step allocates: the C library's allocator is replaced by one that counts. (Sanitizers replace it themselves: then there
 * is nothing to count.) Where float32 layers are oneDNN's, it makes a list of arguments for each call: only there. */
#include "testing.h"

#include <errno.h>
#include <stdatomic.h>

#include "cpu/cpu.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS false
static atomic_long allocations;
#else
#define COUNTS true
static atomic_long allocations;
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size) {
    allocations++;
    return __libc_malloc(size);
}
void *calloc(size_t n, size_t size) {
    allocations++;
    return __libc_calloc(n, size);
}
void *realloc(void *p, size_t size) {
    allocations++;
    return __libc_realloc(p, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    allocations++;
    return __libc_memalign(alignment, size);
}
int posix_memalign(void **p, size_t alignment, size_t size) {
    allocations++;
    *p = __libc_memalign(alignment, size);
    return *p ? 0 : ENOMEM;
}
#endif

static lk_nn_graph *network(void) {
    lk_error err = {0};
    lk_nn_graph *g = lk_nn_graph_new(&err);
    lk_nn_init init = {LK_NN_GLOROT_UNIFORM, 0};
    lk_nn_t x = lk_nn_input(g, "x", (lk_nn_shape){4, 3, 32, 32});
    lk_nn_t target = lk_nn_input(g, "target", (lk_nn_shape){4, 3, 32, 32});
    lk_nn_t mask = lk_nn_input(g, "mask", (lk_nn_shape){4, 1, 32, 32});
    lk_nn_conv_options down = {.stride = 2, .same = true, .act = LK_NN_LEAKY, .alpha = 0.1f}, up = down, out = up;
    up.stride = 1;
    out = (lk_nn_conv_options){.same = true, .act = LK_NN_SIGMOID};
    lk_nn_t y = lk_nn_conv(g, x, lk_nn_param(g, "a", (lk_nn_shape){32, 3, 5, 5}, init),
                           lk_nn_param(g, "a/bias", (lk_nn_shape){1, 32, 1, 1}, (lk_nn_init){0}), &down);
    y = lk_nn_conv(g, y, lk_nn_param(g, "b", (lk_nn_shape){64, 32, 5, 5}, init), -1, &down);
    y = lk_nn_dense(g, y, lk_nn_param(g, "c", (lk_nn_shape){4096, 4096, 1, 1}, init), -1, LK_NN_LINEAR, 0);
    y = lk_nn_reshape(g, y, (lk_nn_shape){4, 64, 8, 8});
    y = lk_nn_depth_to_space(g, lk_nn_conv(g, y, lk_nn_param(g, "d", (lk_nn_shape){128, 64, 3, 3}, init), -1, &up), 2);
    y = lk_nn_depth_to_space(g, lk_nn_conv(g, y, lk_nn_param(g, "e", (lk_nn_shape){64, 32, 3, 3}, init), -1, &up), 2);
    y = lk_nn_conv(g, y, lk_nn_param(g, "f", (lk_nn_shape){3, 16, 5, 5}, init), -1, &out);
    lk_nn_output(g, "y", y);
    lk_nn_loss(g, "dssim", lk_nn_dssim(g, y, target, lk_nn_gaussian(g, mask, 2, 4, true), 1), 10);
    lk_nn_loss(g, "pixel", lk_nn_mse(g, y, target, mask), 1);
    return g;
}

static void no_step_allocates(void **state) {
    (void)state;
    long before = allocations;
    void *volatile taken = malloc(16); /* the compiler knows malloc, and leaves out what nobody uses */
    free(taken);
    if (COUNTS) assert_true(allocations > before); /* it does count */
    for (int trial = lk_matrix_ways_f32() ? 0 : 3; trial < 6; trial++) {
        lk_error err = {0};
        lk_nn_graph *g = network();
        lk_nn_options o = {.train = true,
                           .precision = trial < 3 ? LK_NN_F32 : LK_NN_BF16,
                           .optimizer_memory = LK_NN_STATES_FULL + trial % 3};
        lk_nn_exec *e = lk_nn_compile(g, &o, &err);
        test_ok(e, &err);
        lk_nn_graph_free(g);
        lk_nn_adam adam = {1e-3f, 0.5f, 0.999f, 1e-8f};
        for (int i = 0; i < 2; i++) test_ok(lk_nn_step(e, &adam, &err), &err);
        before = allocations;
        for (int i = 0; i < 3; i++) test_ok(lk_nn_step(e, &adam, &err) && lk_nn_run(e, &err), &err);
        assert_int_equal(allocations - before, 0);
        lk_nn_free(e);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_step_allocates)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
