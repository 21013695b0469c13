#include "likeness/merge.h"

static const char *const mask_names[] = {"predicted", "hull", "product", NULL};
static const char *const color_names[] = {"none", "rct", NULL};

#define AT(field) offsetof(lk_merge_options, field)

const lk_option lk_merge_option_table[] = {
    {"mask", 0, LK_OPT_ENUM, AT(composite.mask), "predicted", 0, 0, mask_names, "MASK",
     "where the face is: as predicted, the hull of dst's landmarks, or their product"},
    {"erode", 0, LK_OPT_FLOAT, AT(composite.erode), "0", -50, 50, NULL, "PERCENT",
     "shrink the mask by so much of the face's size; negative: grow it"},
    {"blur", 0, LK_OPT_FLOAT, AT(composite.blur), "12", 0, 100, NULL, "PERCENT",
     "let the mask fade over so much of the face's size, from its border inwards"},
    {"color", 0, LK_OPT_ENUM, AT(composite.color), "rct", 0, 0, color_names, "TRANSFER",
     "give the prediction dst's colours: not, or by Reinhard's transfer in Lab"},
    {"crf", 0, LK_OPT_INT, AT(crf), "18", 0, 51, NULL, "N", "quality of the video, smaller is better"},
    {"lossless", 0, LK_OPT_FLAG, AT(lossless), NULL, 0, 0, NULL, NULL, "lose nothing in encoding"},
    {"codec", 0, LK_OPT_STRING, AT(codec), NULL, 0, 0, NULL, "NAME", "libav's name of the encoder (libx264)"},
    {"preset", 0, LK_OPT_STRING, AT(preset), NULL, 0, 0, NULL, "NAME", "the encoder's preset (medium)"},
    {"first", 0, LK_OPT_U64, AT(first), NULL, 0, 0, NULL, "FRAME", "begin with this frame"},
    {"max", 0, LK_OPT_U64, AT(max), NULL, 0, 0, NULL, "FRAMES", "at most so many frames; 0: all"},
    {"folder", 0, LK_OPT_FLAG, AT(folder), NULL, 0, 0, NULL, NULL, "write a folder of PNGs"},
    {0},
};
