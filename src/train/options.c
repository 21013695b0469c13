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
    {0},
};
