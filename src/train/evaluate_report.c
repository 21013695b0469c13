/* What an evaluation found, as a table for people and as JSON. */
#include "likeness/train.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>

#define AT(member) offsetof(lk_evaluate_options, member)

const lk_option lk_evaluate_option_table[] = {
    {"max", 0, LK_OPT_INT, AT(max), "200", 2, 100000, NULL, "N", "faces of each side, at most"},
    {"seen", 0, LK_OPT_FLAG, AT(seen), NULL, 0, 0, NULL, NULL,
     "judge by all faces, those that were trained on too, instead of those held out"},
    {"sheet", 0, LK_OPT_STRING, AT(sheet), NULL, 0, 0, NULL, "PNG", "where a picture of the best and worst swaps goes"},
    {0},
};

static void line(FILE *out, const char *what, double value, int digits, const char *remark) {
    char number[32] = "-";
    if (isfinite(value)) snprintf(number, sizeof number, "%.*f", digits, value);
    fprintf(out, "  %-26s %8s   %s\n", what, number, remark);
}

static void reconstruction(FILE *out, const lk_evaluation *e, int side) {
    fprintf(out, "%s, drawn again (%d faces)\n", side ? "dst" : "src", e->faces[side]);
    line(out, "SSIM", e->reconstruction[side].ssim, 4, "1 is the same");
    line(out, "PSNR", e->reconstruction[side].psnr, 2, "dB, higher is better");
    line(out, "mask IoU", e->reconstruction[side].mask_iou, 4, "1 is the hull of the landmarks");
}

char *lk_evaluation_text(const lk_evaluation *e, lk_error *err) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        lk_fail(err, LK_ERR_MEMORY, "out of memory");
        return NULL;
    }
    if (e->holdout > 0)
        fprintf(out, "iteration %lld, on the %g %% of each video that training never saw\n", (long long)e->iteration,
                e->holdout);
    else
        fprintf(out, "iteration %lld, on faces that it was trained on\n", (long long)e->iteration);
    reconstruction(out, e, 0);
    reconstruction(out, e, 1);
    fprintf(out, "the swap: whose face (cosine of descriptors)\n");
    char remark[80];
    snprintf(remark, sizeof remark, "real faces of src with each other: %.3f", e->src_src);
    line(out, "with src", e->swap_src, 3, remark);
    snprintf(remark, sizeof remark, "real faces of dst with each other: %.3f, with src: %.3f", e->dst_dst, e->src_dst);
    line(out, "with dst", e->swap_dst, 3, remark);
    fprintf(out, "the swap: pose and expression kept\n");
    snprintf(remark, sizeof remark, "%% of the eyes' distance; on the real face again: %.2f", e->landmarks_real);
    line(out, "landmarks off by", e->landmarks, 2, remark);
    line(out, "turned by", e->pose, 2, "degrees");
    line(out, "no face found", 100 * e->lost, 1, "% of the swaps");
    fprintf(out, "the swap: steadiness (%d pairs of consecutive frames)\n", e->pairs);
    line(out, "flicker", e->flicker, 2, "times the change of the real face's pixels");
    line(out, "jitter of landmarks", e->jitter, 2, "% of the eyes' distance, beyond the real face's motion");
    fclose(out);
    return text;
}

static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *side_json(const lk_evaluation *e, int side) {
    return json_pack("{s:i, s:o, s:o, s:o}", "faces", e->faces[side], "ssim", number(e->reconstruction[side].ssim),
                     "psnr", number(e->reconstruction[side].psnr), "mask_iou",
                     number(e->reconstruction[side].mask_iou));
}

json_t *lk_evaluation_json(const lk_evaluation *e) {
    return json_pack("{s:I, s:o, s:{s:o, s:o}, s:{s:o, s:o, s:o, s:o, s:o}, s:{s:o, s:o, s:o, s:o}, s:{s:i, s:o, s:o}}",
                     "iteration", (json_int_t)e->iteration, "holdout_percent", number(e->holdout), "reconstruction",
                     "src", side_json(e, 0), "dst", side_json(e, 1), "identity", "swap_src", number(e->swap_src),
                     "swap_dst", number(e->swap_dst), "src_src", number(e->src_src), "dst_dst", number(e->dst_dst),
                     "src_dst", number(e->src_dst), "expression", "landmarks_percent", number(e->landmarks),
                     "landmarks_real_percent", number(e->landmarks_real), "pose_degrees", number(e->pose), "lost",
                     number(e->lost), "steadiness", "pairs", e->pairs, "flicker", number(e->flicker), "jitter_percent",
                     number(e->jitter));
}
