#include "likeness/train.h"

#define AT(field) offsetof(lk_train_options, field)

const lk_option lk_train_option_table[] = {
    {"batch", 'b', LK_OPT_INT, AT(batch), "8", 1, 1024, NULL, "N", "faces of each side in one iteration"},
    {"time", 't', LK_OPT_DURATION, AT(time), "0", 0, 1e9, NULL, "TIME", "stop after so much training; 0: no limit"},
    {"iterations", 'i', LK_OPT_U64, AT(iterations), "0", 0, 0, NULL, "N",
     "stop at this iteration of the model's life; 0: no limit"},
    {"save-every", 0, LK_OPT_DURATION, AT(save_every), "5m", 0, 1e6, NULL, "TIME",
     "save after so much training; 0: only at the end"},
    {"save-every-iterations", 0, LK_OPT_U64, AT(save_every_iterations), "0", 0, 0, NULL, "N",
     "save after so many iterations too; 0: by time alone"},
    {"seed", 0, LK_OPT_U64, AT(seed), "1", 0, 0, NULL, "N", "of first weights and of every random draw"},
    {"flip", 0, LK_OPT_FLAG, AT(flip), "yes", 0, 0, NULL, NULL, "mirror four faces of ten"},
    {"src-scale", 0, LK_OPT_FLOAT, AT(src_scale), "0", -30, 30, NULL, "PERCENT",
     "enlarge src faces (negative: shrink), where src is narrower or wider than dst"},
    {"warp", 0, LK_OPT_FLOAT, AT(warp), "100", 0, 200, NULL, "PERCENT", "how strongly the network's input is warped"},
    {"color-transfer", 0, LK_OPT_FLAG, AT(color_transfer), "no", 0, 0, NULL, NULL,
     "show src faces in the colours of dst's, of another one each time"},
    {"feed-by-yaw", 0, LK_OPT_FLAG, AT(by_yaw), "no", 0, 0, NULL, NULL,
     "show src faces turned as dst's are, where src has more variety"},
    {"feed-by-expression", 0, LK_OPT_FLAG, AT(by_expression), "no", 0, 0, NULL, NULL,
     "show faces with rare eyes or a rare mouth more often: closed eyes, an open mouth"},
    {"swap-sides", 0, LK_OPT_FLAG, AT(swap_sides), "no", 0, 0, NULL, NULL,
     "exchange src and dst for a while, when training is stuck"},
    {"rate", 0, LK_OPT_FLOAT, AT(rate), "100", 0, 1000, NULL, "PERCENT", "learning rate, of the model's own"},
    {"momentum", 0, LK_OPT_FLOAT, AT(momentum), "0", 0, 0.99, NULL, "BETA",
     "how much of its last direction Adam keeps (its beta 1); 0: the model's own"},
    {"average", 0, LK_OPT_FLAG, AT(average), "yes", 0, 0, NULL, NULL,
     "draw, judge and save an average of the weights over the last eighth of training: less trembling, for 4 bytes a "
     "number"},
    {"settle", 0, LK_OPT_DURATION, AT(settle), "0", 0, 1e9, NULL, "TIME",
     "let the learning rate fall over so much at the end of --time, which brings out details; 0: not"},
    {"precision", 0, LK_OPT_ENUM, AT(precision), "auto", 0, 0, lk_nn_precision_names, "NUMBERS",
     "numbers that layers multiply; auto is bfloat16 where the device has it, float16 on a GPU that has not; tf32 is "
     "float32 rounded to 10 bits of mantissa as a GPU multiplies it; on a processor tf32 and float16 are float32"},
    {"optimizer-memory", 0, LK_OPT_ENUM, AT(optimizer_memory), "full", 0, 0, lk_nn_states_names, "STATES",
     "how Adam keeps its two states of each number of convolutions and dense layers: full in 8 bytes, short in 3, "
     "factored in 1.25 (of the second, means of rows and columns); host: in full, but with a GPU in the computer's "
     "memory"},
    {"memory", 0, LK_OPT_BYTES, AT(memory), "0", 0, 0, NULL, "SIZE",
     "keep to so much, such as 4G, of a GPU's memory where a GPU trains: activations that do not fit are computed "
     "again; 0: all there is"},
    {"device", 0, LK_OPT_ENUM, AT(device), "auto", 0, 0, lk_nn_wish_names, "DEVICE",
     "where to compute; auto is a GPU if any"},
    {"holdout", 0, LK_OPT_FLOAT, AT(holdout), "0", 0, 50, NULL, "PERCENT",
     "of each video that is never shown, in whole stretches, for evaluation"},
    {"preview-every", 0, LK_OPT_U64, AT(preview_every), "0", 0, 0, NULL, "N",
     "keep a preview every so many iterations; 0: none"},
    {"backup-every-iterations", 0, LK_OPT_U64, AT(backup_every_iterations), "0", 0, 0, NULL, "N",
     "keep a backup every so many iterations; 0: none"},
    {"backup-every", 0, LK_OPT_DURATION, AT(backup_every), "0", 0, 1e9, NULL, "TIME",
     "keep a backup after so much training; 0: none"},
    {"evaluate-every", 0, LK_OPT_U64, AT(evaluate_every), "0", 0, 0, NULL, "N",
     "measure every so many iterations on faces that --holdout keeps; 0: never"},
    {0},
};
