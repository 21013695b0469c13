/* The report as one HTML page that needs nothing from outside: inline SVG, pictures as data URIs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "likeness/media.h"
#include "report.h"

#define THUMBNAIL 80 /* pixels */
#define BINS      40

static const char head[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
    "<title>Faceset report</title><style>body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;"
    "padding:0 1rem;color:#222;background:#fff}h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:"
    "1px solid #ddd}table{border-collapse:collapse}td,th{padding:.15rem .9rem .15rem 0;text-align:right}td:first-child,"
    "th:first-child{text-align:left}code{background:#f2f2f2;padding:.1rem .3rem;border-radius:3px;font-size:.9em;"
    "user-select:all}li{margin:.6rem 0}.g{display:flex;flex-wrap:wrap;gap:1.2rem}figure{margin:0}figcaption{font-size:"
    ".85rem}.t{display:flex;flex-wrap:wrap;gap:3px;margin:.4rem 0}.t figure{width:80px}.t figcaption{font-size:.7rem;"
    "line-height:1.2;color:#666}.k{display:inline-block;width:.8em;height:.8em;margin:0 .3em 0 1em}svg text{font:10px "
    "system-ui,sans-serif;fill:#666}.n{color:#666}</style>";

#define SRC_COLOUR "#3b6fb5"
#define DST_COLOUR "#e08a1e"
#define GAP_COLOUR "#c62828"

static void put_text(FILE *out, const char *text) {
    for (; *text; text++) {
        const char *escaped = *text == '<'   ? "&lt;"
                              : *text == '>' ? "&gt;"
                              : *text == '&' ? "&amp;"
                              : *text == '"' ? "&quot;"
                                             : NULL;
        if (escaped)
            fputs(escaped, out);
        else
            fputc(*text, out);
    }
}

/* ---- Pictures ----------------------------------------------------------------------------------------------- */

static void put_base64(FILE *out, const uint8_t *data, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        uint32_t v = (uint32_t)data[i] << 16 | (uint32_t)(i + 1 < size ? data[i + 1] : 0) << 8 |
                     (uint32_t)(i + 2 < size ? data[i + 2] : 0);
        fputc(digits[v >> 18 & 63], out);
        fputc(digits[v >> 12 & 63], out);
        fputc(i + 1 < size ? digits[v >> 6 & 63] : '=', out);
        fputc(i + 2 < size ? digits[v & 63] : '=', out);
    }
}

/* A crop that cannot be read is left out. */
static void put_face(FILE *out, lk_faceset *s, int64_t id, const char *caption) {
    void *jpeg = NULL, *small_jpeg = NULL;
    size_t size;
    lk_image crop = {0}, small = {0};
    if (lk_faceset_jpeg(s, id, &jpeg, &size, NULL) && lk_jpeg_decode(jpeg, size, LK_MAX_CROP_SIDE, &crop, NULL) &&
        lk_image_alloc(&small, THUMBNAIL, THUMBNAIL, 3, LK_U8, NULL) && lk_image_resize(&crop, &small, LK_AREA, NULL) &&
        lk_jpeg_encode(&small, 80, &small_jpeg, &size, NULL)) {
        fprintf(out, "<figure><img width=\"%d\" height=\"%d\" alt=\"face %lld\" src=\"data:image/jpeg;base64,",
                THUMBNAIL, THUMBNAIL, (long long)id);
        put_base64(out, small_jpeg, size);
        fputs("\"><figcaption>", out);
        put_text(out, caption);
        fputs("</figcaption></figure>", out);
    }
    lk_image_free(&crop);
    lk_image_free(&small);
    free(jpeg);
    free(small_jpeg);
}

/* ---- Parts -------------------------------------------------------------------------------------------------- */

static void put_counts(FILE *out, const lk_report *r) {
    const lk_side *sides[] = {&r->src, &r->dst};
    fputs("<h2>Counts</h2><table><tr><th></th>", out);
    for (int k = 0; k < 2; k++)
        if (sides[k]->set) fprintf(out, "<th>%s</th>", sides[k]->name);
    static const char *const rows[] = {"faces",
                                       "taken out",
                                       "nearly the same as a sharper one",
                                       "people",
                                       "mouth open",
                                       "eyes closed",
                                       "landmarks in doubt",
                                       "with a mask",
                                       "partly hidden, by their masks"};
    for (int row = 0; row < (int)LK_COUNT(rows); row++) {
        fprintf(out, "</tr><tr><td>%s</td>", rows[row]);
        for (int k = 0; k < 2; k++) {
            const lk_side *s = sides[k];
            if (!s->set) continue;
            int64_t mouth = 0, eyes = 0;
            for (int64_t i = 0; i < s->f.count; i++) {
                mouth += s->f.values[LK_FIGURE_MOUTH][i] > 0.15;
                eyes += s->f.values[LK_FIGURE_EYES][i] < 0.15;
            }
            const int64_t v[] = {s->f.count, s->removed,       s->duplicates, s->people.people, mouth,
                                 eyes,       s->suspect_count, s->masked,     s->hidden_count};
            fprintf(out, "<td>%lld</td>", (long long)v[row]);
        }
    }
    fputs("</tr></table>", out);
}

static void put_advice(FILE *out, const lk_report *r) {
    fputs("<h2>What to do</h2>", out);
    if (r->advice_count == 0) fputs("<p>Nothing stands out. Train.</p>", out);
    fputs("<ol>", out);
    for (int i = 0; i < r->advice_count; i++) {
        fputs("<li>", out);
        put_text(out, r->advice[i].text);
        fputs("<br><code>", out);
        put_text(out, r->advice[i].command);
        fputs("</code></li>", out);
    }
    fputs("</ol>", out);
}

/* Shades of src by the logarithm of how many; rings where dst goes, red where src does not. */
static void put_coverage(FILE *out, const lk_report *r) {
    const int cell = 18, left = 34, bottom = 20, top = 4;
    int64_t most = 1;
    for (int p = 0; p < LK_GRID_PITCH; p++)
        for (int y = 0; y < LK_GRID_YAW; y++)
            if (r->src.grid[p][y] > most) most = r->src.grid[p][y];
    fprintf(out, "<h2>Where they look</h2><svg width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"yaw and pitch\">",
            left + cell * LK_GRID_YAW + 4, top + cell * LK_GRID_PITCH + bottom);
    for (int p = 0; p < LK_GRID_PITCH; p++)
        for (int y = 0; y < LK_GRID_YAW; y++) {
            int x = left + y * cell, row = top + (LK_GRID_PITCH - 1 - p) * cell;
            int64_t n = r->src.grid[p][y], d = r->dst.grid[p][y];
            double shade = n ? 0.15 + 0.85 * log1p((double)n) / log1p((double)most) : 0;
            fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\" fill-opacity=\"%.2f\">", x,
                    row, cell - 1, cell - 1, n ? SRC_COLOUR : "#eee", n ? shade : 0.5);
            fprintf(out, "<title>yaw %d°, pitch %d°: src %lld, dst %lld</title></rect>",
                    (y - LK_GRID_YAW / 2) * LK_GRID_DEGREES, (p - LK_GRID_PITCH / 2) * LK_GRID_DEGREES, (long long)n,
                    (long long)d);
            if (d)
                fprintf(out,
                        "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>",
                        x + (cell - 1) / 2.0, row + (cell - 1) / 2.0, 3 + fmin(3, log10((double)d) * 1.5),
                        lk_grid_covered(&r->src, p, y) ? DST_COLOUR : GAP_COLOUR);
        }
    for (int y = 0; y <= LK_GRID_YAW; y += 6)
        fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%d°</text>", left + y * cell,
                top + cell * LK_GRID_PITCH + 14, (y - LK_GRID_YAW / 2) * LK_GRID_DEGREES);
    for (int p = 0; p <= LK_GRID_PITCH; p += 6)
        fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%d°</text>", left - 4,
                top + (LK_GRID_PITCH - p) * cell + 4, (p - LK_GRID_PITCH / 2) * LK_GRID_DEGREES);
    fputs("</svg><p class=\"n\">Yaw from the picture's left to its right, pitch upwards."
          "<span class=\"k\" style=\"background:" SRC_COLOUR "\"></span>src (darker: more)",
          out);
    if (r->dst.set)
        fprintf(out,
                "<span class=\"k\" style=\"background:" DST_COLOUR
                "\"></span>dst<span class=\"k\" style=\"background:" GAP_COLOUR
                "\"></span>dst, where src has too few: %.1f %% of its faces",
                100 * r->uncovered);
    fputs("</p>", out);
}

static void count_bins(const lk_side *s, lk_figure k, double lo, double hi, double bins[BINS]) {
    for (int64_t i = 0; i < s->f.count; i++) {
        int b = (int)((s->f.values[k][i] - lo) / (hi - lo) * BINS);
        bins[b < 0 ? 0 : b >= BINS ? BINS - 1 : b] += 1 / (double)s->f.count;
    }
}

static void put_steps(FILE *out, const double bins[BINS], double most, const char *colour, bool filled) {
    fprintf(out, "<path d=\"M0 100");
    for (int b = 0; b < BINS; b++) {
        double y = 100 - 96 * bins[b] / most;
        fprintf(out, "V%.1fH%d", y, 7 * (b + 1));
    }
    fprintf(out, "V100\" fill=\"%s\" fill-opacity=\"%s\" stroke=\"%s\" stroke-width=\"1.5\"/>",
            filled ? colour : "none", filled ? "0.35" : "0", colour);
}

static void put_distribution(FILE *out, const lk_report *r, const struct lk_shown *shown) {
    lk_figure k = shown->figure;
    double lo = lk_quantile(&r->src, k, 0.005), hi = lk_quantile(&r->src, k, 0.995), most = 1e-9;
    if (r->dst.set) {
        lo = fmin(lo, lk_quantile(&r->dst, k, 0.005));
        hi = fmax(hi, lk_quantile(&r->dst, k, 0.995));
    }
    if (!(hi > lo)) hi = lo + 1;
    double src[BINS] = {0}, dst[BINS] = {0};
    count_bins(&r->src, k, lo, hi, src);
    count_bins(&r->dst, k, lo, hi, dst);
    for (int b = 0; b < BINS; b++) most = fmax(most, fmax(src[b], dst[b]));
    fprintf(out, "<figure><svg width=\"%d\" height=\"118\" role=\"img\" aria-label=\"%s\">", 7 * BINS + 2,
            shown->title);
    put_steps(out, src, most, SRC_COLOUR, true);
    if (r->dst.set) put_steps(out, dst, most, DST_COLOUR, false);
    fprintf(out, "<text x=\"0\" y=\"114\">%.3g</text><text x=\"%d\" y=\"114\" text-anchor=\"end\">%.3g</text></svg>",
            lo, 7 * BINS, hi);
    fprintf(out, "<figcaption><b>%s</b> <span class=\"n\">%s</span>", shown->title, shown->unit);
    if (r->dst.set) fprintf(out, "<br>apart: %.2g deviations of dst's", lk_apart(&r->src, &r->dst, k));
    fputs("</figcaption></figure>", out);
}

static void put_shape(FILE *out, const lk_report *r) {
    if (!(r->src.wide > 0) || !(r->dst.wide > 0)) return;
    fprintf(
        out,
        "<h2>Shape of the face</h2><p>Between the same eyes, nose and mouth, src's face is %.0f %% as wide and %.0f %% "
        "as high as dst's. Suggested: <code>--src-scale %.0f</code></p>",
        100 * r->src.wide / r->dst.wide, 100 * r->src.high / r->dst.high, r->scale);
}

/* So many faces of the smallest or largest values. */
static void put_extremes(FILE *out, const lk_side *s, lk_figure k, bool largest, const char *title) {
    enum { SHOWN = 10 };
    int64_t rows[SHOWN];
    int n = 0;
    const double *v = s->f.values[k];
    for (int64_t i = 0; i < s->f.count; i++) {
        int at = n;
        while (at > 0 && (largest ? v[i] > v[rows[at - 1]] : v[i] < v[rows[at - 1]])) at--;
        if (at == SHOWN) continue;
        int last = n < SHOWN ? n++ : SHOWN - 1;
        memmove(rows + at + 1, rows + at, (size_t)(last - at) * sizeof *rows);
        rows[at] = i;
    }
    fprintf(out, "<p>%s of %s</p><div class=\"t\">", title, s->name);
    for (int i = 0; i < n; i++) {
        char caption[60];
        snprintf(caption, sizeof caption, "%.0f: %.3g", s->f.values[LK_FIGURE_ID][rows[i]], v[rows[i]]);
        put_face(out, s->set, (int64_t)s->f.values[LK_FIGURE_ID][rows[i]], caption);
    }
    fputs("</div>", out);
}

static void put_people(FILE *out, const lk_side *s) {
    if (s->people.people < 2) return;
    for (int k = 0; k < s->people.people && k < 8; k++) {
        int64_t faces = 0, step, seen = 0;
        for (int64_t i = 0; i < s->people.count; i++) faces += s->people.person[i] == k;
        fprintf(out, "<p>%s, person %d: %lld faces</p><div class=\"t\">", s->name, k + 1, (long long)faces);
        step = faces / 10 + 1;
        for (int64_t i = 0; i < s->people.count; i++) {
            if (s->people.person[i] != k || seen++ % step) continue;
            char caption[60];
            snprintf(caption, sizeof caption, "%lld: %.2f", (long long)s->people.ids[i], s->people.similarity[i]);
            put_face(out, s->set, s->people.ids[i], caption);
        }
        fputs("</div>", out);
    }
}

static void put_suspects(FILE *out, const lk_side *s) {
    if (s->suspect_count == 0) return;
    fprintf(out, "<p>%s: %lld faces; the worst first</p><div class=\"t\">", s->name, (long long)s->suspect_count);
    for (int64_t i = 0; i < s->suspect_count && i < 30; i++) {
        char caption[100];
        snprintf(caption, sizeof caption, "%lld, frame %lld: %s %.1f", (long long)s->suspects[i].id,
                 (long long)s->suspects[i].frame, lk_doubt_names[s->suspects[i].why], s->suspects[i].score);
        put_face(out, s->set, s->suspects[i].id, caption);
    }
    fputs("</div>", out);
}

static void put_hidden(FILE *out, const lk_side *s) {
    if (s->hidden_count == 0) return;
    fprintf(out, "<p>%s: %lld faces; the most hidden first</p><div class=\"t\">", s->name, (long long)s->hidden_count);
    for (int64_t i = 0; i < s->hidden_count && i < 30; i++) {
        char caption[100];
        snprintf(caption, sizeof caption, "%lld, frame %lld: %.0f %%", (long long)s->hidden[i].id,
                 (long long)s->hidden[i].frame, 100 * s->hidden[i].share);
        put_face(out, s->set, s->hidden[i].id, caption);
    }
    fputs("</div>", out);
}

/* Faces of dst whose pose src lacks, evenly spread. */
static void put_uncovered(FILE *out, const lk_report *r) {
    int64_t lacking = (int64_t)llround(r->uncovered * (double)r->dst.f.count), step = lacking / 20 + 1, seen = 0;
    if (lacking == 0) return;
    fputs("<p>Faces of dst that are turned as src never is</p><div class=\"t\">", out);
    for (int64_t i = 0; i < r->dst.f.count; i++) {
        int pitch, yaw;
        if (lk_grid_cell(&r->dst.f, i, &pitch, &yaw) && lk_grid_covered(&r->src, pitch, yaw)) continue;
        if (seen++ % step) continue;
        char caption[60];
        snprintf(caption, sizeof caption, "yaw %.0f°, pitch %.0f°", r->dst.f.values[LK_FIGURE_YAW][i],
                 r->dst.f.values[LK_FIGURE_PITCH][i]);
        put_face(out, r->dst.set, (int64_t)r->dst.f.values[LK_FIGURE_ID][i], caption);
    }
    fputs("</div>", out);
}

static void put_page(FILE *out, const lk_report *r) {
    fputs(head, out);
    fputs("<h1>", out);
    put_text(out, lk_path_base(r->src.set->path));
    if (r->dst.set) {
        fputs(" for ", out);
        put_text(out, lk_path_base(r->dst.set->path));
    }
    fputs("</h1>", out);
    put_advice(out, r);
    put_counts(out, r);
    put_coverage(out, r);
    if (r->dst.set) put_uncovered(out, r);
    fputs("<h2>How they are</h2><div class=\"g\">", out);
    for (int i = 0; i < lk_shown_count; i++) put_distribution(out, r, &lk_shown_figures[i]);
    fputs("</div>", out);
    if (r->dst.set) put_shape(out, r);
    fputs("<h2>Extremes</h2>", out);
    put_extremes(out, &r->src, LK_FIGURE_SHARPNESS, false, "The most blurred");
    put_extremes(out, &r->src, LK_FIGURE_BRIGHTNESS, false, "The darkest");
    put_extremes(out, &r->src, LK_FIGURE_BRIGHTNESS, true, "The brightest");
    put_extremes(out, &r->src, LK_FIGURE_MOUTH, true, "The most open mouths");
    if (r->src.people.people > 1 || (r->dst.set && r->dst.people.people > 1)) fputs("<h2>People</h2>", out);
    put_people(out, &r->src);
    if (r->dst.set) put_people(out, &r->dst);
    if (r->src.hidden_count + r->dst.hidden_count > 0) fputs("<h2>Partly hidden</h2>", out);
    put_hidden(out, &r->src);
    if (r->dst.set) put_hidden(out, &r->dst);
    if (r->src.suspect_count + r->dst.suspect_count > 0) fputs("<h2>Landmarks in doubt</h2>", out);
    put_suspects(out, &r->src);
    if (r->dst.set) put_suspects(out, &r->dst);
    fputs("</html>\n", out);
}

char *lk_report_page(const lk_report *r, lk_error *err) {
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (out) {
        put_page(out, r);
        if (fclose(out) == 0) return text;
    }
    free(text);
    lk_fail(err, LK_ERR_MEMORY, "no memory for a page");
    return NULL;
}
