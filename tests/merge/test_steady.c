/* What is averaged over time: it takes flicker away, and never reaches across a cut. */
#include "made_up.h"

enum { CUT_AT = 30 };

/* Under sanitizers every third case is enough: the same code runs in all of them. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STEP = 3 };
#else
enum { STEP = 1 };
#endif

static lk_merge_options steadied(double sigma, int mode, int color) {
    lk_merge_options o = options();
    o.steady = sigma;
    o.composite.mode = mode;
    o.composite.color = color;
    return o;
}

static void merge_to(const char *path, const char *in, const char *in_faces, const lk_merge_options *o) {
    lk_error err = {0};
    test_ok(lk_merge("model", in, in_faces, path, o, NULL, &err), &err);
}

/* A video painted by `painter`, with a face in frames 10 to 49. */
static void make_clip(char **clip, char **clip_faces, const char *name, void (*painter)(lk_image *, int)) {
    lk_error err = {0};
    *clip = lk_format(&err, "%s/%s.mp4", folder, name);
    *clip_faces = lk_format(&err, "%s/%s.faces", folder, name);
    test_ok(*clip && *clip_faces, &err);
    paint = painter;
    make_video(*clip, FRAMES, 0, true);
    paint = paint_waves;
    make_faces(*clip_faces, *clip, true);
}

/* Flicker inside the face after a merge, in levels. */
static double flicker(const char *clip, const char *clip_faces, const lk_merge_options *o) {
    lk_error err = {0};
    lk_merge_quality q;
    merge_to(output, clip, clip_faces, o);
    test_ok(lk_merge_measure(clip, output, clip_faces, 0, 0, &q, &err), &err);
    return q.flicker_after;
}

static int clipped(double v) { return (int)fmin(fmax(lrint(v), 0), 255); }

/* A still picture, in which a patch of the face is lighter in every other frame. */
static void paint_trembling(lk_image *rgb, int frame) {
    paint_waves(rgb, 0);
    for (int y = 120; y < 150; y++)
        for (int x = 80 + frame; x < 110 + frame; x++)
            for (int c = 0; c < 3; c++) {
                uint8_t *v = &lk_row_u8(rgb, y)[3 * x + c];
                *v = (uint8_t)clipped(*v + (frame % 2 ? 25 : -25));
            }
}

/* The mean and deviation of dst's colours tremble, and with them a face that is matched to those of its own frame. */
static void colors_are_steadied(void **state) {
    (void)state;
    char *clip, *clip_faces;
    static const struct {
        int mode, color;
    } cases[] = {{LK_MODE_OVERLAY, LK_COLOR_RCT},
                 {LK_MODE_OVERLAY, LK_COLOR_MKL},
                 {LK_MODE_OVERLAY, LK_COLOR_IDT},
                 {LK_MODE_HIST_MATCH, LK_COLOR_NONE}};
    make_clip(&clip, &clip_faces, "trembling", paint_trembling);
    behaviour = STILL;
    for (size_t k = 0; k < LK_COUNT(cases); k += STEP) {
        double levels[2];
        for (int steady = 0; steady < 2; steady++) {
            lk_merge_options o = steadied(steady, cases[k].mode, cases[k].color);
            levels[steady] = flicker(clip, clip_faces, &o);
            lk_options_free(lk_merge_option_table, &o);
        }
        print_message("matched colours, case %zu: flicker %.2f levels, steadied %.2f\n", k, levels[0], levels[1]);
        if (!(levels[0] > 5 && levels[1] < levels[0] / 3)) fail_msg("case %zu: %g, then %g", k, levels[0], levels[1]);
    }
    behaviour = SAME;
    free(clip);
    free(clip_faces);
}

/* A still picture with the grain of a film. */
static void paint_noisy(lk_image *rgb, int frame) {
    lk_rng rng = lk_rng_make(3, (uint64_t)frame);
    paint_waves(rgb, 0);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            double noise = 8 * lk_rng_normal(&rng);
            for (int c = 0; c < 3; c++)
                lk_row_u8(rgb, y)[3 * x + c] = (uint8_t)clipped(lk_row_u8(rgb, y)[3 * x + c] + noise);
        }
}

/* Grain at the mask's border goes into the whole of a cloned face; that of several frames averages out. */
static void boundary_is_steadied(void **state) {
    (void)state;
    char *clip, *clip_faces;
    double levels[2];
    make_clip(&clip, &clip_faces, "noisy", paint_noisy);
    behaviour = STILL;
    for (int steady = 0; steady < 2; steady++) {
        lk_merge_options o = steadied(steady, LK_MODE_SEAMLESS, LK_COLOR_NONE);
        levels[steady] = flicker(clip, clip_faces, &o);
        lk_options_free(lk_merge_option_table, &o);
    }
    print_message("cloned: flicker %.2f levels, with a steadied boundary %.2f\n", levels[0], levels[1]);
    if (!(levels[1] < levels[0] / 2)) fail_msg("%g, then %g", levels[0], levels[1]);
    behaviour = SAME;
    free(clip);
    free(clip_faces);
}

/* Dark before the cut, light after it, and still within each shot. */
static void paint_cut(lk_image *rgb, int frame) {
    paint_waves(rgb, 0);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < 3 * W; x++) {
            uint8_t *v = &lk_row_u8(rgb, y)[x];
            *v = (uint8_t)(frame < CUT_AT ? *v / 3 : 170 + *v / 3);
        }
}

/* The mean difference of frame `index` of two videos, or of one and black, in levels. */
static double difference(const char *a, const char *b, int index) {
    lk_error err = {0};
    lk_image pictures[2];
    test_ok(lk_image_alloc(&pictures[1], W, H, 3, LK_U8, &err), &err);
    for (int k = 0; k < (b ? 2 : 1); k++) {
        if (k) lk_image_free(&pictures[1]);
        lk_reader *r = lk_reader_open(k ? b : a, &(lk_reader_options){.first = index, .max = 1}, &err);
        lk_frame *f = r ? lk_reader_next(r, &err) : NULL;
        test_ok(f && lk_frame_rgb(f, (lk_rect){0, 0, W, H}, LK_U8, &pictures[k], &err), &err);
        lk_frame_free(f);
        lk_reader_close(r);
    }
    double sum = 0;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < 3 * W; x++) sum += abs(lk_row_u8(&pictures[0], y)[x] - lk_row_u8(&pictures[1], y)[x]);
    lk_image_free(&pictures[0]);
    lk_image_free(&pictures[1]);
    return sum / (3 * W * H);
}

/* Masks, colours and boundary of a shot leave the other alone: with nothing averaged the frames beside the cut are the
 * same. */
static void nothing_across_a_cut(void **state) {
    (void)state;
    static const int modes[] = {LK_MODE_OVERLAY, LK_MODE_SEAMLESS};
    char *clip, *clip_faces, *other = lk_format(NULL, "%s/unsteadied.mp4", folder);
    make_clip(&clip, &clip_faces, "cut", paint_cut);
    behaviour = STILL;
    for (size_t k = 0; k < LK_COUNT(modes); k++) {
        lk_merge_options o = steadied(0, modes[k], LK_COLOR_RCT);
        merge_to(other, clip, clip_faces, &o);
        o.steady = 2;
        merge_to(output, clip, clip_faces, &o);
        for (int i = CUT_AT - 4; i < CUT_AT + 4; i++) {
            double changed = difference(clip, output, i), d = difference(other, output, i);
            if (!(changed > 0.5 && d < 0.1)) fail_msg("frame %d is changed by %g, and differs by %g", i, changed, d);
        }
        lk_options_free(lk_merge_option_table, &o);
    }
    behaviour = SAME;
    free(clip);
    free(clip_faces);
    free(other);
}

/* The waves go nearly as the face does: by 3 pixels in 4 frames. */
static void paint_slowly(lk_image *rgb, int frame) { paint_waves(rgb, -3 * frame / 4); }

/* The face itself as its prediction, in a video that moves: in every mode but the raw ones it changes by less than a level
 * on average. */
static void perfect_prediction(void **state) {
    (void)state;
    char *clip, *clip_faces, *masks = lk_format(NULL, "%s/masks.mp4", folder);
    make_clip(&clip, &clip_faces, "slow", paint_slowly);
    lk_merge_options o = steadied(1, LK_MODE_RAW_MASK, LK_COLOR_NONE);
    merge_to(masks, clip, clip_faces, &o);
    lk_options_free(lk_merge_option_table, &o);
    for (int mode = LK_MODE_OVERLAY; mode <= LK_MODE_SEAMLESS_HIST_MATCH; mode += STEP) {
        o = steadied(1, mode, LK_COLOR_RCT);
        merge_to(output, clip, clip_faces, &o);
        for (int i = 11; i < LAST_FACE; i += 12) {
            double share = difference(masks, NULL, i) / 255, d = difference(clip, output, i) / share;
            if (!(share > 0.05 && d > 0 && d < 1)) fail_msg("mode %d, frame %d differs by %g", mode, i, d);
        }
        lk_options_free(lk_merge_option_table, &o);
    }
    free(clip);
    free(clip_faces);
    free(masks);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(colors_are_steadied), cmocka_unit_test(boundary_is_steadied),
                                       cmocka_unit_test(nothing_across_a_cut), cmocka_unit_test(perfect_prediction)};
    return cmocka_run_group_tests(tests, prepare, clean);
}
