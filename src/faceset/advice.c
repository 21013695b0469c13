/* What follows from a report, each with the command that acts on it. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"
#include "report.h"

static bool advise(lk_report *r, char *text, char *command) {
    if (!text || !command || r->advice_count == LK_MOST_ADVICE) {
        free(text);
        free(command);
        return text && command;
    }
    r->advice[r->advice_count++] = (lk_advice){text, command};
    return true;
}

/* Where most of dst's faces that src lacks look. */
static void where_lacking(const lk_report *r, double *yaw, double *pitch) {
    int64_t most = 0;
    *yaw = *pitch = 0;
    for (int p = 0; p < LK_GRID_PITCH; p++)
        for (int y = 0; y < LK_GRID_YAW; y++) {
            if (r->dst.grid[p][y] <= most || lk_grid_covered(&r->src, p, y)) continue;
            most = r->dst.grid[p][y];
            *yaw = (y + 0.5 - LK_GRID_YAW / 2.0) * LK_GRID_DEGREES;
            *pitch = (p + 0.5 - LK_GRID_PITCH / 2.0) * LK_GRID_DEGREES;
        }
}

static bool on_coverage(lk_report *r, lk_error *err) {
    double yaw, pitch;
    if (!r->dst.set || r->uncovered < 0.02) return true;
    where_lacking(r, &yaw, &pitch);
    return advise(
        r,
        lk_format(err,
                  "%.0f %% of dst's faces are turned as src never is, most of them near yaw %+.0f°, pitch "
                  "%+.0f°. Add videos or pictures of src from there, or expect poor frames where dst turns so.",
                  100 * r->uncovered, yaw, pitch),
        lk_format(err, "likeness extract MORE.mp4 -o %s", r->src.set->path));
}

static bool on_people(lk_report *r, const lk_side *s, lk_error *err) {
    int64_t others = 0;
    for (int64_t i = 0; i < s->people.count; i++) others += s->people.person[i] > 0;
    if (others == 0) return true;
    return advise(r,
                  lk_format(err,
                            "%s shows %d people: %lld of %lld faces are of someone else than the most frequent one.",
                            s->name, s->people.people, (long long)others, (long long)s->f.count),
                  lk_format(err, "likeness set people %s --keep 1", s->set->path));
}

static bool on_suspects(lk_report *r, const lk_side *s, lk_error *err) {
    if (s->suspect_count == 0) return true;
    return advise(
        r,
        lk_format(err,
                  "The landmarks of %lld of %s's faces are likely wrong. Look at them; take wrong ones out of "
                  "src, and correct those of dst.",
                  (long long)s->suspect_count, s->name),
        lk_format(err, "likeness set suspects %s", s->set->path));
}

static bool on_blur(lk_report *r, lk_error *err) {
    double median = lk_quantile(&r->src, LK_FIGURE_SHARPNESS, 0.5);
    int64_t blurred = 0;
    for (int64_t i = 0; i < r->src.f.count; i++) blurred += r->src.f.values[LK_FIGURE_SHARPNESS][i] < median / 4;
    if (blurred < 5) return true;
    return advise(r,
                  lk_format(err, "%lld of src's faces are far more blurred than the rest. They teach a blurred face.",
                            (long long)blurred),
                  lk_format(err, "likeness set select %s 'sharpness < %.3g' --remove", r->src.set->path, median / 4));
}

static bool on_number(lk_report *r, lk_error *err) {
    int64_t different = r->src.f.count - r->src.duplicates;
    if (different < 500)
        return advise(
            r,
            lk_format(err,
                      "src has only %lld faces that differ (of %lld). 500 and more, in different light, poses "
                      "and expressions, give a better likeness.",
                      (long long)different, (long long)r->src.f.count),
            lk_format(err, "likeness extract MORE.mp4 -o %s", r->src.set->path));
    if (different > 6000)
        return advise(
            r,
            lk_format(err,
                      "src has %lld faces. The 4,000 that differ most train as well, in less time for each to "
                      "come by.",
                      (long long)r->src.f.count),
            lk_format(err, "likeness set best %s 4000", r->src.set->path));
    if (r->src.duplicates < r->src.f.count / 3) return true;
    return advise(r,
                  lk_format(err,
                            "%lld of src's faces are nearly the same as a sharper one; training sees them too often.",
                            (long long)r->src.duplicates),
                  lk_format(err, "likeness set duplicates %s --remove", r->src.set->path));
}

static bool on_size(lk_report *r, lk_error *err) {
    if (!r->dst.set) return true;
    double src = lk_quantile(&r->src, LK_FIGURE_WIDTH, 0.5), dst = lk_quantile(&r->dst, LK_FIGURE_WIDTH, 0.9);
    if (src > 0.6 * dst) return true;
    return advise(r,
                  lk_format(err,
                            "Half of src's faces are smaller than %.0f pixels, and dst's are up to %.0f: the swap will "
                            "look soft. Look for src in a higher resolution, or leave out the smallest.",
                            src, dst),
                  lk_format(err, "likeness set select %s 'width < %.0f' --remove", r->src.set->path,
                            lk_quantile(&r->src, LK_FIGURE_WIDTH, 0.25)));
}

static bool on_softness(lk_report *r, lk_error *err) {
    if (!r->dst.set) return true;
    double src = lk_quantile(&r->src, LK_FIGURE_SHARPNESS, 0.5), dst = lk_quantile(&r->dst, LK_FIGURE_SHARPNESS, 0.5);
    if (src > 0.4 * dst) return true;
    return advise(
        r,
        lk_format(err,
                  "src is softer than dst (sharpness %.3g, dst %.3g): the swap will be as soft as src. Look for "
                  "sharper pictures of src, and leave out the softest.",
                  src, dst),
        lk_format(err, "likeness set select %s 'rank(sharpness) < 0.3' --remove", r->src.set->path));
}

static bool on_colour(lk_report *r, lk_error *err) {
    if (!r->dst.set) return true;
    double apart =
        fmax(lk_apart(&r->src, &r->dst, LK_FIGURE_BRIGHTNESS),
             fmax(lk_apart(&r->src, &r->dst, LK_FIGURE_MEAN_A), lk_apart(&r->src, &r->dst, LK_FIGURE_MEAN_B)));
    if (apart < 3) return true;
    return advise(
        r,
        lk_format(err,
                  "Light and colours of src and dst are far apart (%.1f deviations of dst's). The merge moves "
                  "the colours; compare rct with sot on a few frames.",
                  apart),
        lk_format(err, "likeness merge MODEL DST.mp4 -o OUT.mp4 --color sot"));
}

static bool on_shape(lk_report *r, lk_error *err) {
    if (!r->dst.set || fabs(r->scale) < 3) return true;
    return advise(
        r,
        lk_format(err,
                  "src's face is %s than dst's between the same eyes, nose and mouth (width %.2f, height %.2f "
                  "of dst's).",
                  r->scale > 0 ? "smaller" : "larger", r->src.wide / r->dst.wide, r->src.high / r->dst.high),
        lk_format(err, "likeness train MODEL --src %s --dst %s --src-scale %.0f", r->src.set->path, r->dst.set->path,
                  r->scale));
}

bool lk_report_advise(lk_report *r, lk_error *err) {
    return on_coverage(r, err) && on_people(r, &r->src, err) && (!r->dst.set || on_people(r, &r->dst, err)) &&
           on_number(r, err) && on_blur(r, err) && on_suspects(r, &r->src, err) &&
           (!r->dst.set || on_suspects(r, &r->dst, err)) && on_size(r, err) && on_softness(r, err) &&
           on_shape(r, err) && on_colour(r, err);
}
