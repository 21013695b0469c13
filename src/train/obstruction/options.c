#include "likeness/obstruction.h"

#define AT(field) offsetof(lk_obstruction_options, field)

const lk_option lk_obstruction_option_table[] = {
    {"iterations", 'i', LK_OPT_U64, AT(iterations), "2000", 1, 1e7, NULL, "N",
     "stop at this iteration of the network's life; the learning rate falls to nothing until then"},
    {"batch", 'b', LK_OPT_INT, AT(batch), "8", 1, 256, NULL, "N", "samples in one iteration"},
    {"size", 0, LK_OPT_INT, AT(size), "128", 32, 512, NULL, "PIXELS",
     "side of what the network looks at, a multiple of 16; fixed for its life"},
    {"width", 0, LK_OPT_INT, AT(width), "16", 4, 64, NULL, "N",
     "channels of its first layer; twice as wide is four times as slow; fixed for its life"},
    {"rate", 0, LK_OPT_FLOAT, AT(rate), "0.001", 0, 1, NULL, "RATE", "learning rate at first"},
    {"occluders", 0, LK_OPT_FLOAT, AT(occluders), "60", 0, 100, NULL, "PERCENT",
     "of the samples get something before the face: what hid another face, or a made-up shape"},
    {"holdout", 0, LK_OPT_FLOAT, AT(holdout), "20", 0, 80, NULL, "PERCENT",
     "of the faces with masks made by hand that are kept aside to judge by"},
    {"save-every", 0, LK_OPT_DURATION, AT(save_every), "1m", 1, 1e6, NULL, "TIME", "save after so much training"},
    {"seed", 0, LK_OPT_U64, AT(seed), "1", 0, 0, NULL, "N", "of first weights and of every random draw"},
    {"device", 0, LK_OPT_ENUM, AT(device), "cpu", 0, 0, lk_nn_wish_names, "DEVICE",
     "where to compute; auto is a GPU if any; of one run"},
    {0},
};
