#include "likeness/merge.h"

static const char *const mode_names[] = {
    "overlay",  "hist-match",    "hist-match-bw", "seamless",       "seamless-hist-match",
    "raw-face", "raw-face-mask", "raw-mask",      "raw-prediction", NULL};
static const char *const mask_names[] = {"predicted", "hull", "product", NULL};
static const char *const color_names[] = {"none", "rct", "mkl", "pca", "idt", "sot", NULL};
static const char *const kernel_names[] = {"gaussian", "box", NULL};

#define AT(field) offsetof(lk_merge_options, field)

const lk_option lk_merge_option_table[] = {
    {"mode", 0, LK_OPT_ENUM, AT(composite.mode), "overlay", 0, 0, mode_names, "MODE",
     "how the face goes into the frame; the raw modes show what was predicted"},
    {"mask", 0, LK_OPT_ENUM, AT(composite.mask), "predicted", 0, 0, mask_names, "MASK",
     "where the face is: as predicted, the hull of dst's landmarks, or their product"},
    {"erode", 0, LK_OPT_FLOAT, AT(composite.erode), "0", -200, 200, NULL, "PERCENT",
     "shrink the mask by so much of the face's size; negative: grow it"},
    {"blur", 0, LK_OPT_FLOAT, AT(composite.blur), "12", 0, 200, NULL, "PERCENT",
     "let the mask fade over so much of the face's size, from its border inwards"},
    {"color", 0, LK_OPT_ENUM, AT(composite.color), "rct", 0, 0, color_names, "TRANSFER",
     "how the prediction gets dst's colours"},
    {"whole-color", 0, LK_OPT_FLAG, AT(composite.whole_color), NULL, 0, 0, NULL, NULL,
     "take colours from the whole crop, not only from the face"},
    {"scale", 0, LK_OPT_FLOAT, AT(composite.scale), "0", -50, 50, NULL, "PERCENT",
     "enlarge the face that goes into the frame; negative: make it smaller"},
    {"sharpen", 0, LK_OPT_FLOAT, AT(composite.sharpen), "0", -100, 500, NULL, "PERCENT",
     "sharpen the face; negative: soften it"},
    {"sharpen-kernel", 0, LK_OPT_ENUM, AT(composite.sharpen_kernel), "gaussian", 0, 0, kernel_names, "KERNEL",
     "what sharpening compares with: gaussian or box"},
    {"motion-blur", 0, LK_OPT_FLOAT, AT(composite.motion_blur), "0", 0, 200, NULL, "PERCENT",
     "smear the face over so much of its way from frame to frame; 50 is a film camera"},
    {"grain", 0, LK_OPT_FLOAT, AT(composite.grain), "0", 0, 200, NULL, "PERCENT",
     "give the face so much of the noise that the frame has and it lacks"},
    {"super-resolution", 0, LK_OPT_FLOAT, AT(composite.super_resolution), "0", 0, 100, NULL, "PERCENT",
     "keep so much of the frame's detail that is finer than the model"},
    {"denoise", 0, LK_OPT_FLOAT, AT(composite.denoise), "0", 0, 100, NULL, "PERCENT",
     "smooth the frame (median of 5×5) before the face goes in"},
    {"bicubic", 0, LK_OPT_FLOAT, AT(composite.bicubic), "0", 0, 100, NULL, "PERCENT",
     "make the frame so much smaller and enlarge it again, before the face goes in"},
    {"color-degrade", 0, LK_OPT_FLOAT, AT(composite.color_degrade), "0", 0, 100, NULL, "PERCENT",
     "bring the finished frame so far to 256 colours"},
    {"steady", 0, LK_OPT_FLOAT, AT(steady), "1", 0, 5, NULL, "FRAMES",
     "average mask and colours over so many frames (sigma), within a shot; 0: not at all"},
    {"who", 0, LK_OPT_STRING, AT(who), NULL, 0, 0, NULL, "WHICH",
     "which faces: all, largest, left, right, at:X,Y (percent), track:N[,N] or like:FILE.faces"},
    {"also", 0, LK_OPT_LIST, AT(also), NULL, 0, 0, NULL, "MODEL=WHICH",
     "another model for other faces, such as ben=right; may be given several times"},
    {"session", 0, LK_OPT_STRING, AT(session), NULL, 0, 0, NULL, "FILE.jsonl", "options by frame (docs/merge.md)"},
    {"crf", 0, LK_OPT_INT, AT(crf), "18", 0, 51, NULL, "N", "quality of the video, smaller is better"},
    {"lossless", 0, LK_OPT_FLAG, AT(lossless), NULL, 0, 0, NULL, NULL, "lose nothing in encoding"},
    {"codec", 0, LK_OPT_STRING, AT(codec), NULL, 0, 0, NULL, "NAME", "libav's name of the encoder (libx264)"},
    {"preset", 0, LK_OPT_STRING, AT(preset), NULL, 0, 0, NULL, "NAME", "the encoder's preset (medium)"},
    {"first", 0, LK_OPT_U64, AT(first), NULL, 0, 0, NULL, "FRAME", "begin with this frame"},
    {"max", 0, LK_OPT_U64, AT(max), NULL, 0, 0, NULL, "FRAMES", "at most so many frames; 0: all"},
    {"folder", 0, LK_OPT_FLAG, AT(folder), NULL, 0, 0, NULL, NULL, "write a folder of PNGs"},
    {"part", 0, LK_OPT_INT, AT(part), "240", 1, 100000, NULL, "FRAMES",
     "what is done when merging is interrupted is kept in parts of so many frames"},
    {"keep", 0, LK_OPT_FLAG, AT(keep), NULL, 0, 0, NULL, NULL,
     "keep the parts in OUT.parts, so that --frames can do some again"},
    {"frames", 0, LK_OPT_STRING, AT(frames), NULL, 0, 0, NULL, "A..B",
     "do only these frames again; needs the parts that --keep left"},
    {0},
};
