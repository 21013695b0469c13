/* The models as tables, and the options that choose among them. Sources: docs/models.md. */
#include "internal.h"

#include <stddef.h>

const char *const lk_arch_names[] = {"quick", "h64", "h128", "df", "liae", "sae", NULL};
const char *const lk_sae_inner_names[] = {"df", "liae", NULL};
static const char *const face_type_names[] = {"half", "full", "head", "auto", NULL};

#define AT(member) offsetof(lk_swap_config, member)

const lk_option lk_swap_options[LK_SWAP_OPTION_COUNT + 1] = {
    {"model", 0, LK_OPT_ENUM, AT(arch), "sae", 0, 0, lk_arch_names, "MODEL", "which network learns"},
    {"archi", 0, LK_OPT_ENUM, AT(inner), "df", 0, 0, lk_sae_inner_names, "ARCHI",
     "of sae and quick: df, a decoder for each side, or liae, which also takes on the light of dst"},
    {"resolution", 0, LK_OPT_INT, AT(resolution), NULL, 0, 640, NULL, "PX",
     "of sae and quick: side of the learned picture, a multiple of 16 from 64; 0 is the model's own"},
    {"face-type", 0, LK_OPT_ENUM, AT(face_type), "auto", 0, 0, face_type_names, "TYPE",
     "of sae and quick: how much of the head is learned; auto is the model's own"},
    {"lighter", 0, LK_OPT_FLAG, AT(lighter), NULL, 0, 0, NULL, NULL,
     "the smaller h64 or h128, or the light encoder of sae and quick"},
    {"ae-dims", 0, LK_OPT_INT, AT(ae_dims), NULL, 0, 1024, NULL, "N",
     "of sae and quick: size of the code, from 32; 0 is the model's own"},
    {"ed-ch-dims", 0, LK_OPT_INT, AT(ed_ch_dims), NULL, 0, 85, NULL, "N",
     "of sae and quick: channels of encoder and decoder, from 21; 0 is the model's own"},
    {"multiscale-decoder", 0, LK_OPT_FLAG, AT(multiscale), NULL, 0, 0, NULL, NULL,
     "of sae and quick: learn the picture at three sizes at once"},
    {"learn-mask", 0, LK_OPT_FLAG, AT(learn_mask), "yes", 0, 0, NULL, NULL, "learn the mask of the face too"},
    {"ca-weights", 0, LK_OPT_FLAG, AT(ca_weights), NULL, 0, 0, NULL, NULL,
     "of sae and quick: start from convolution-aware weights"},
    {"he-weights", 0, LK_OPT_FLAG, AT(he_weights), "yes", 0, 0, NULL, NULL,
     "start from weights that dim no picture on its way, rather than those of 2019 (h64, h128, df, liae)"},
    {0},
};

/* What a model has when nothing is said. */
typedef struct own_values {
    int resolution, face_type, ae_dims[2], ed_ch_dims; /* dims of df and of liae; 0: fixed by the table below */
    bool has_lighter;
} own_values;

static const own_values own[LK_ARCH_COUNT] = {
    [LK_ARCH_QUICK] = {64, LK_FACE_FULL, {128, 64}, 21, true},
    [LK_ARCH_H64] = {64, LK_FACE_HALF, {0, 0}, 0, true},
    [LK_ARCH_H128] = {128, LK_FACE_HALF, {0, 0}, 0, true},
    [LK_ARCH_DF] = {128, LK_FACE_FULL, {0, 0}, 0, false},
    [LK_ARCH_LIAE] = {128, LK_FACE_FULL, {0, 0}, 0, false},
    [LK_ARCH_SAE] = {128, LK_FACE_FULL, {512, 256}, 42, true},
};

static bool only_of_sae(const lk_swap_config *c, const char *option, lk_error *err) {
    return lk_fail(err, LK_ERR_USAGE, "--%s belongs to the models sae and quick, and %s has none: leave it out", option,
                   lk_arch_names[c->arch]);
}

static bool check_fixed(const lk_swap_config *c, lk_error *err) {
    const own_values *v = &own[c->arch];
    const char *name = lk_arch_names[c->arch];
    if (c->resolution != v->resolution)
        return lk_fail(err, LK_ERR_USAGE, "%s always works at %d pixels, not %d: leave --resolution out, or take sae",
                       name, v->resolution, c->resolution);
    if (c->face_type != v->face_type)
        return lk_fail(err, LK_ERR_USAGE,
                       "%s always works with faces of type %s, not %s: leave --face-type out, or take sae", name,
                       face_type_names[v->face_type], face_type_names[c->face_type]);
    if (c->lighter && !v->has_lighter)
        return lk_fail(err, LK_ERR_USAGE, "there is no lighter %s: leave --lighter out, or take h128 or sae", name);
    if (c->inner != LK_SAE_DF) return only_of_sae(c, "archi", err);
    if (c->ae_dims) return only_of_sae(c, "ae-dims", err);
    if (c->ed_ch_dims) return only_of_sae(c, "ed-ch-dims", err);
    if (c->multiscale) return only_of_sae(c, "multiscale-decoder", err);
    if (c->ca_weights) return only_of_sae(c, "ca-weights", err);
    return true;
}

static bool check_sae(const lk_swap_config *c, lk_error *err) {
    if (c->resolution < 64 || c->resolution > 640 || c->resolution % 16)
        return lk_fail(err, LK_ERR_USAGE, "--resolution %d is not possible: take a multiple of 16 from 64 to 640",
                       c->resolution);
    if (c->ae_dims < 32 || c->ae_dims > 1024)
        return lk_fail(err, LK_ERR_USAGE, "--ae-dims %d is not possible: take 32 to 1024", c->ae_dims);
    if (c->ed_ch_dims < 21 || c->ed_ch_dims > 85)
        return lk_fail(err, LK_ERR_USAGE, "--ed-ch-dims %d is not possible: take 21 to 85", c->ed_ch_dims);
    return true;
}

bool lk_swap_complete(lk_swap_config *c, lk_error *err) {
    if (c->arch < 0 || c->arch >= LK_ARCH_COUNT)
        return lk_fail(err, LK_ERR_USAGE, "there is no model of number %d", c->arch);
    if (c->inner < LK_SAE_DF || c->inner > LK_SAE_LIAE)
        return lk_fail(err, LK_ERR_USAGE, "there is no --archi of number %d", c->inner);
    if (c->face_type < 0 || c->face_type > LK_SWAP_FACE_AUTO)
        return lk_fail(err, LK_ERR_USAGE, "there is no --face-type of number %d", c->face_type);
    const own_values *v = &own[c->arch];
    if (!c->resolution) c->resolution = v->resolution;
    if (c->face_type == LK_SWAP_FACE_AUTO) c->face_type = v->face_type;
    if (!c->ae_dims) c->ae_dims = v->ae_dims[c->inner];
    if (!c->ed_ch_dims) c->ed_ch_dims = v->ed_ch_dims;
    c->he_weights = c->he_weights && !v->ed_ch_dims;
    return v->ed_ch_dims ? check_sae(c, err) : check_fixed(c, err);
}

#define H64_TABLE                                                                                                      \
    {                                                                                                                  \
        .down = {128, 256, 512, 1024}, .code = 1024, .base = 1024, .up = 512, .image = {512, 256, 128}, .mask = {      \
            256,                                                                                                       \
            128,                                                                                                       \
            64                                                                                                         \
        }                                                                                                              \
    }
#define H64_LIGHTER                                                                                                    \
    {                                                                                                                  \
        .down = {128, 256, 512, 768}, .code = 512, .base = 512, .up = 256, .image = {256, 128, 64}, .mask = {          \
            256,                                                                                                       \
            128,                                                                                                       \
            64                                                                                                         \
        }                                                                                                              \
    }
#define H128_TABLE                                                                                                     \
    {                                                                                                                  \
        .down = {128, 256, 512, 1024}, .code = 512, .base = 512, .up = 512, .image = {512, 256, 128}, .mask = {        \
            512,                                                                                                       \
            256,                                                                                                       \
            128                                                                                                        \
        }                                                                                                              \
    }
#define H128_LIGHTER                                                                                                   \
    {                                                                                                                  \
        .down = {128, 256, 512, 1024}, .code = 256, .base = 256, .up = 256, .image = {256, 128, 64}, .mask = {         \
            256,                                                                                                       \
            128,                                                                                                       \
            64                                                                                                         \
        }                                                                                                              \
    }
#define LIAE_TABLE                                                                                                     \
    {                                                                                                                  \
        .down = {128, 256, 512, 1024}, .code = 256, .base = 512, .up = 512, .image = {512, 256, 128},                  \
        .mask = {512, 256, 128}, .two_inters = true                                                                    \
    }

static const lk_swap_table fixed[LK_ARCH_COUNT][2] = {
    /* [lighter] */
    [LK_ARCH_H64] = {H64_TABLE, H64_LIGHTER},
    [LK_ARCH_H128] = {H128_TABLE, H128_LIGHTER},
    [LK_ARCH_DF] = {H128_TABLE, H128_TABLE},
    [LK_ARCH_LIAE] = {LIAE_TABLE, LIAE_TABLE},
};

/* SAE's channels all follow from its two dimensions. */
static lk_swap_table sae_table(const lk_swap_config *c) {
    bool liae = c->inner == LK_SAE_LIAE;
    int e = 3 * c->ed_ch_dims, d = 3 * (c->ed_ch_dims / 2), m = 2 * c->ed_ch_dims / 3;
    int width = liae ? 2 * c->ae_dims : c->ae_dims;
    lk_swap_table t = {
        .down = {e, 2 * e, 4 * e, 8 * e},
        .code = c->ae_dims,
        .base = width,
        .up = width,
        .image = {8 * d, 4 * d, 2 * d},
        .mask = {8 * m, 4 * m, 2 * m},
        .separable = {false, c->lighter, c->lighter && !liae, c->lighter},
        .two_inters = liae,
        .wide = true,
        .multiscale = c->multiscale,
        .kernels = {LK_NN_NORMAL, 0.02f},
        .dense = {LK_NN_GLOROT_UNIFORM, 0},
    };
    if (c->ca_weights) t.kernels = (lk_nn_init){LK_NN_CONVOLUTION_AWARE, 0};
    t.out = t.kernels;
    return t;
}

lk_swap_table lk_swap_table_of(const lk_swap_config *c) {
    lk_swap_table t;
    if (own[c->arch].ed_ch_dims) {
        t = sae_table(c);
    } else {
        t = fixed[c->arch][c->lighter];
        /* Pictures begin as a plain grey, a tenth of what their layer could draw: nothing has to be unlearned first. */
        lk_nn_init glorot = {LK_NN_GLOROT_UNIFORM, 0}, through_relu = {LK_NN_BY_INPUTS, 2},
                   as_much = {LK_NN_BY_INPUTS, 1}, faint = {LK_NN_BY_INPUTS, 0.01f};
        t.kernels = c->he_weights ? through_relu : glorot;
        t.dense = c->he_weights ? as_much : glorot;
        t.out = c->he_weights ? faint : glorot;
    }
    t.resolution = c->resolution;
    t.learn_mask = c->learn_mask;
    return t;
}
