/* What a training is said to take is what it takes; what is said to be largest fits, and no larger does. */
#include "made_up.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

static lk_train_options options(int batch) {
    lk_error err = {0};
    lk_train_options o = {0};
    test_ok(lk_options_defaults(lk_train_option_table, &o, &err), &err);
    o.batch = batch;
    return o;
}

/* Adam's states in 3 or 1.25 bytes of 8, of all but biases, where layers multiply bfloat16. */
static void test_short_states(void **state) {
    (void)state;
    static const double least[] = {1, 3.0 / 8, 1.25 / 8};
    lk_error err = {0};
    lk_swap_config c = tiny_config();
    lk_swap_objective objective = {0};
    lk_train_options o = options(4);
    lk_train_needs full, few;
    test_ok(lk_train_plan(&c, &objective, &o, &full, &err), &err);
    for (int states = LK_NN_STATES_SHORT; states <= LK_NN_STATES_FACTORED; states++) {
        o.optimizer_memory = states;
        test_ok(lk_train_plan(&c, &objective, &o, &few, &err), &err);
        double share = (double)few.network.optimizer / (double)full.network.optimizer;
        if (lk_nn_has_bf16())
            assert_true(share > least[states] && share < least[states] + 0.04);
        else
            assert_true(share == 1);
        assert_int_equal(few.transfer, full.transfer);
        assert_int_equal(full.total - full.network.optimizer - full.transfer,
                         few.total - few.network.optimizer - few.transfer);
    }
}

static lk_train_needs needs_with(const lk_swap_config *c, const lk_train_options *o) {
    lk_error err = {0};
    lk_swap_objective objective = {0};
    lk_train_needs n;
    test_ok(lk_train_plan(c, &objective, o, &n, &err), &err);
    return n;
}

static lk_train_needs needs_of(const lk_swap_config *c, int batch) {
    lk_train_options o = options(batch);
    return needs_with(c, &o);
}

static void test_network(void **state) {
    (void)state;
    lk_error err = {0};
    lk_swap_config c = tiny_config();
    lk_swap_objective objective = {0};
    lk_train_needs n = needs_of(&c, 3);
    lk_nn_graph *g = lk_swap_training_graph(&c, lk_swap_terms(&c, &objective, 0), 3, &err);
    test_ok(g != NULL, &err);
    lk_nn_exec *e = lk_nn_compile(g, &(lk_nn_options){.train = true, .precision = LK_NN_AUTO}, &err);
    test_ok(e != NULL, &err);
    lk_nn_memory m = lk_nn_memory_of(e);
    assert_int_equal(n.network.total, m.total);
    assert_int_equal(n.network.activations, m.activations);
    size_t largest = 0;
    for (int i = 0; i < lk_nn_param_count(e); i++) {
        size_t count = lk_nn_count(lk_nn_param_shape(e, i));
        if (count > largest) largest = count;
    }
    assert_int_equal(n.transfer, largest * sizeof(float));
    /* 3 of each side, 64×64 pixels of 3 + 3 + 1 + 1 numbers, in the 3 batches ahead and one for each thread */
    assert_int_equal(n.samples, (size_t)(3 + lk_sampler_threads()) * 6 * 64 * 64 * 8 * sizeof(float));
    assert_int_equal(n.total, m.total + n.samples + n.average + n.transfer + n.program);
    lk_nn_free(e);
    lk_nn_graph_free(g);
}

static void test_largest(void **state) {
    (void)state;
    lk_error err = {0};
    lk_swap_config c = tiny_config();
    c.ae_dims = c.ed_ch_dims = 0;
    lk_swap_objective objective = {0};
    lk_train_options o = options(1);
    lk_train_needs list[8];
    size_t memory = LK_MIB(900);
    int count = lk_train_plan_largest(&c, &objective, &o, memory, list, &err);
    assert_true(count > 1 && count <= 8);
    for (int i = 0; i < count; i++) {
        assert_true(list[i].total <= memory);
        if (i > 0) assert_true(list[i].batch < list[i - 1].batch && list[i].ed_ch_dims >= list[i - 1].ed_ch_dims);
        if (list[i].ed_ch_dims == 85) continue;
        lk_swap_config larger = c;
        larger.ed_ch_dims = list[i].ed_ch_dims + 1;
        larger.ae_dims = 512 * larger.ed_ch_dims / 42;
        assert_true(needs_of(&larger, list[i].batch).total > memory);
    }
    assert_int_equal(lk_train_plan_largest(&c, &objective, &o, LK_MIB(20), list, &err), 0);
}

static void test_largest_batch(void **state) {
    (void)state;
    lk_error err = {0};
    lk_swap_config c = {.arch = LK_ARCH_H64, .face_type = LK_SWAP_FACE_AUTO, .lighter = true, .learn_mask = true};
    lk_swap_objective objective = {0};
    lk_train_options o = options(1);
    lk_train_needs list[8];
    size_t memory = needs_of(&c, 5).total;
    assert_int_equal(lk_train_plan_largest(&c, &objective, &o, memory, list, &err), 1);
    assert_int_equal(list[0].batch, 5);
}

/* The program with these words, silent; the most memory that it ever had, in bytes. */
static size_t peak_of(const char *words) {
    char copy[1000], *argv[32] = {(char *)(uintptr_t)LK_PROGRAM};
    int argc = 1, status;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *w = strtok(copy, " "); w && argc < 31; w = strtok(NULL, " ")) argv[argc++] = w;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (nowhere < 0 || dup2(nowhere, 1) < 0 || dup2(nowhere, 2) < 0) _exit(99);
        execv(LK_PROGRAM, argv);
        _exit(98);
    }
    struct rusage usage;
    assert_true(wait4(child, &status, 0, &usage) == child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return (size_t)usage.ru_maxrss * 1024;
}

/* What `plan` says of these options is what `train` then takes, with previews and saves. */
static void test_measured(void **state) {
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* they take memory of their own */
#endif
    static const struct {
        const char *words;
        lk_swap_config config;
        int batch, precision;
        double share; /* of what it needs that it is granted; 0: no limit */
        bool average; /* which comes with the 20th iteration */
    } cases[] = {
        {"--model sae --resolution 96 --ae-dims 128 --batch 4",
         {.arch = LK_ARCH_SAE, .resolution = 96, .ae_dims = 128, .face_type = LK_SWAP_FACE_AUTO, .learn_mask = true},
         4,
         LK_NN_AUTO,
         0,
         false},
        {"--model sae --ae-dims 32 --ed-ch-dims 21 --batch 8 --precision float32",
         {.arch = LK_ARCH_SAE, .ae_dims = 32, .ed_ch_dims = 21, .face_type = LK_SWAP_FACE_AUTO, .learn_mask = true},
         8,
         LK_NN_F32,
         0.85,
         false},
        {"--model h64 --lighter --batch 4",
         {.arch = LK_ARCH_H64, .face_type = LK_SWAP_FACE_AUTO, .lighter = true, .learn_mask = true},
         4,
         LK_NN_AUTO,
         0,
         false},
        {"--model sae --archi liae --resolution 64 --ae-dims 96 --batch 2",
         {.arch = LK_ARCH_SAE,
          .inner = LK_SAE_LIAE,
          .resolution = 64,
          .ae_dims = 96,
          .face_type = LK_SWAP_FACE_AUTO,
          .learn_mask = true},
         2,
         LK_NN_AUTO,
         0,
         true},
    };
    char *folder = tiny_folder();
    for (size_t i = 0; i < LK_COUNT(cases); i++) {
        char words[900];
        lk_train_options o = options(cases[i].batch);
        o.precision = cases[i].precision;
        o.average = cases[i].average;
        lk_train_needs n = needs_with(&cases[i].config, &o);
        o.memory = (uint64_t)(cases[i].share * (double)n.total);
        n = needs_with(&cases[i].config, &o);
        assert_int_equal(n.network.saved > 0, o.memory > 0);
        snprintf(words, sizeof words,
                 "train %s/%zu --src %s/src.faces --dst %s/dst.faces --iterations %d --memory %llu %s %s", folder, i,
                 folder, folder, o.average ? 20 : 2, (unsigned long long)o.memory,
                 o.average ? "--average" : "--no-average", cases[i].words);
        double peak = (double)peak_of(words), planned = (double)n.total;
        print_message("%s: planned %.1f MiB, measured %.1f MiB\n", cases[i].words, planned / 0x1p20, peak / 0x1p20);
        if (!(fabs(peak - planned) < 0.05 * planned))
            fail_msg("%s: %.1f MiB were planned, and %.1f MiB taken", cases[i].words, planned / 0x1p20, peak / 0x1p20);
    }
    test_remove_folder(folder);
}

/* A batch too large to be planned is one that does not fit. */
static void test_much_memory(void **state) {
    (void)state;
    lk_error err = {0};
    lk_swap_config c = {.arch = LK_ARCH_LIAE, .face_type = LK_SWAP_FACE_AUTO, .learn_mask = true};
    lk_swap_objective objective = {0};
    lk_train_options o = options(1);
    lk_train_needs list[8];
    assert_int_equal(lk_train_plan_largest(&c, &objective, &o, (size_t)1 << 50, list, &err), 1);
    assert_in_range(list[0].batch, 256, LK_SWAP_MOST_BATCH);
    c = tiny_config();
    c.ae_dims = c.ed_ch_dims = 0;
    c.inner = LK_SAE_LIAE;
    assert_int_equal(lk_train_plan_largest(&c, &objective, &o, (size_t)1 << 50, list, &err), 7);
    assert_true(list[0].batch == 32 && list[0].ed_ch_dims == 85 && list[0].ae_dims == 1024);
}

/* The cases that the field knows: every row of the table is there, and adds up. */
static void test_table(void **state) {
    (void)state;
    static const char *const cases[] = {"--ae-dims 698 --ed-ch-dims 51 --batch 12",
                                        "--archi liae --ae-dims 402 --ed-ch-dims 47 --batch 8",
                                        "--ae-dims 1024 --ed-ch-dims 85 --batch 1"};
    static const char *const rows[] = {"weights", "optimizer", "activations", "workspace", "average",
                                       "samples", "transfer",  "program",     "together"};
    for (size_t i = 0; i < LK_COUNT(cases); i++) {
        char command[600], line[200];
        snprintf(command, sizeof command, "'%s' plan --model sae %s", LK_PROGRAM, cases[i]);
        FILE *out = popen(command, "r");
        assert_non_null(out);
        double sum = 0, value = 0;
        size_t found = 0;
        while (fgets(line, sizeof line, out)) {
            char name[32];
            if (found == LK_COUNT(rows) || sscanf(line, " %31s %lf MiB", name, &value) != 2) continue;
            assert_string_equal(name, rows[found++]);
            if (found < LK_COUNT(rows)) sum += value;
        }
        assert_int_equal(pclose(out), 0);
        assert_int_equal(found, LK_COUNT(rows));
        assert_true(fabs(sum - value) < 0.5);
    }
}

/* For a card that is not there: SAE as large as it comes, batch 8, within 11 GiB, and with Adam's states on the host and batch 1
 * within 4. What does not lie on the card lies in the computer's memory. */
static void test_card(void **state) {
    (void)state;
    lk_error err = {0};
    lk_swap_config c = {0};
    lk_swap_objective objective = {0};
    lk_train_options o = options(8);
    lk_train_needs full, host;
    test_ok(lk_options_defaults(lk_swap_options, &c, &err), &err);
    c.arch = LK_ARCH_SAE;
    c.ae_dims = 1024;
    c.ed_ch_dims = 85;
    o.device = LK_NN_WISH_GPU;
    o.memory = (uint64_t)11 << 30;
    if (!lk_train_plan(&c, &objective, &o, &full, &err)) {
        assert_non_null(strstr(err.message, "built without CUDA"));
        assert_false(lk_nn_has_gpu(NULL, &err));
        assert_non_null(strstr(err.message, "built without CUDA"));
        return;
    }
    assert_true(full.total <= o.memory && full.network.host == 0);
    /* Weights in 4 bytes and most of them once more in 2, moments in 8. */
    double numbers = (double)full.network.parameters;
    assert_true((double)full.network.weights > 5.9 * numbers && (double)full.network.weights < 6.1 * numbers);
    assert_true((double)full.network.optimizer == 8 * numbers);
    assert_int_equal(full.host, full.average + full.samples + full.transfer + full.program);
    static const double least[] = {8, 3, 1.25};
    for (int states = LK_NN_STATES_SHORT; states <= LK_NN_STATES_FACTORED; states++) {
        lk_train_needs few;
        o.optimizer_memory = states;
        test_ok(lk_train_plan(&c, &objective, &o, &few, &err), &err);
        double each = (double)few.network.optimizer / numbers;
        assert_true(each > least[states] && each < 1.03 * least[states]);
    }
    o.optimizer_memory = LK_NN_STATES_HOST;
    o.batch = 1;
    o.memory = (uint64_t)4 << 30;
    test_ok(lk_train_plan(&c, &objective, &o, &host, &err), &err);
    assert_true(host.total <= o.memory && host.total > host.network.weights + host.driver);
    assert_int_equal(host.network.host, full.network.optimizer);
    assert_int_equal(host.host, host.network.host + host.average + host.samples + host.transfer + host.program);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_network),     cmocka_unit_test(test_largest),      cmocka_unit_test(test_largest_batch),
        cmocka_unit_test(test_much_memory), cmocka_unit_test(test_short_states), cmocka_unit_test(test_table),
        cmocka_unit_test(test_measured),    cmocka_unit_test(test_card),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
