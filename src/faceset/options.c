#include "likeness/faceset.h"

#define AT(field) offsetof(lk_extract_options, field)

const lk_option lk_extract_option_table[] = {
    {"face-type", 0, LK_OPT_ENUM, AT(type), "full", 0, 0, lk_face_type_names, "TYPE",
     "how much around the face belongs to the crop"},
    {"size", 0, LK_OPT_INT, AT(size), "256", 16, 2048, NULL, "PIXELS", "side of the crop"},
    {"quality", 0, LK_OPT_INT, AT(quality), "95", 1, 100, NULL, "N", "JPEG quality of the crop"},
    {"every", 0, LK_OPT_INT, AT(every), "1", 1, 1000000, NULL, "N", "look at every n-th frame only"},
    {"first", 0, LK_OPT_U64, AT(first), "0", 0, 0, NULL, "FRAME", "begin with this frame"},
    {"max", 0, LK_OPT_U64, AT(max), "0", 0, 0, NULL, "FRAMES", "at most so many frames of each input; 0: all"},
    {"max-faces", 0, LK_OPT_INT, AT(max_faces), "8", 1, 16, NULL, "N", "at most so many faces in a frame"},
    {"min-face", 0, LK_OPT_INT, AT(detect.min_face), "32", 8, 4096, NULL, "PIXELS",
     "leave out smaller faces; small ones take longer to find"},
    {"rotations", 0, LK_OPT_FLAG, AT(detect.rotations), "no", 0, 0, NULL, NULL,
     "look for faces turned by 90 and 180 degrees too"},
    {"tiles", 0, LK_OPT_FLAG, AT(detect.tiles), "no", 0, 0, NULL, NULL,
     "look closer for small faces beside large ones, tile by tile"},
    {"smooth", 0, LK_OPT_FLOAT, AT(smooth), "2", 0, 25, NULL, "FRAMES",
     "smooth landmarks over so many frames where the face rests; 0: not"},
    {"descriptors", 0, LK_OPT_FLAG, AT(descriptors), "yes", 0, 0, NULL, NULL,
     "store identity descriptors, which sort by person"},
    {"device", 0, LK_OPT_ENUM, AT(device), "cpu", 0, 0, lk_nn_wish_names, "DEVICE",
     "where the networks compute; auto is a GPU if any"},
    {"nvdec", 0, LK_OPT_FLAG, AT(nvdec), "no", 0, 0, NULL, NULL,
     "let an NVIDIA GPU decode videos; what it cannot, the processor does"},
    {0},
};

#undef AT
#define AT(field) offsetof(lk_import_options, field)

const lk_option lk_import_option_table[] = {
    {"first-number", 0, LK_OPT_INT, AT(first_number), "1", 0, 1000000000, NULL, "N",
     "the number in the name of the first frame, which becomes frame 0"},
    {"plain", 0, LK_OPT_FLAG, AT(plain), "no", 0, 0, NULL, NULL,
     "take pictures without data of a face too, as crops in which the face is looked for"},
    {"face-type", 0, LK_OPT_ENUM, AT(type), "full", 0, 0, lk_face_type_names, "TYPE", "of such crops"},
    {0},
};

#undef AT
#define AT(field) offsetof(lk_export_options, field)

const lk_option lk_export_option_table[] = {
    {"plain", 0, LK_OPT_FLAG, AT(plain), "no", 0, 0, NULL, NULL, "pictures alone, without data of the face in them"},
    {"with-removed", 0, LK_OPT_FLAG, AT(with_removed), "no", 0, 0, NULL, NULL, "faces that were removed as well"},
    {0},
};
