/* Windows of a frame to RGB and back, by the matrix and range of its stream (ITU-R BT.601, BT.709, BT.2020, and
 * H.273 for the rest). Chroma that is halved is repeated, and averaged on the way back: what goes through unchanged
 * then comes back unchanged. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* y' = y·y_scale + y_zero and so on give Y' in 0–1 and Cb, Cr in ±0.5 as linear functions of the codes. */
typedef struct colors {
    float y_scale, y_zero, c_scale, c_zero;
    float r_v, g_u, g_v, b_u;                  /* RGB = Y + these · (U, V) */
    float kr, kg, kb, u_b, v_r;                /* Y = k·RGB, U = (B − Y)·u_b, V = (R − Y)·v_r */
    float y_gain, y_bias, c_gain, c_bias, top; /* back to codes; `top` is the largest */
} colors;

static void weights(const lk_frame *f, double *kr, double *kb) {
    bool small = f->picture || f->av->height < 720;
    *kr = small ? 0.299 : 0.2126;
    *kb = small ? 0.114 : 0.0722;
    switch (f->av->colorspace) {
    case AVCOL_SPC_BT709:
        *kr = 0.2126, *kb = 0.0722;
        break;
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_SMPTE170M:
        *kr = 0.299, *kb = 0.114;
        break;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
        *kr = 0.2627, *kb = 0.0593;
        break;
    case AVCOL_SPC_SMPTE240M:
        *kr = 0.212, *kb = 0.087;
        break;
    case AVCOL_SPC_FCC:
        *kr = 0.30, *kb = 0.11;
        break;
    default:
        break;
    }
}

static colors colors_of(const lk_frame *f) {
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->av->format);
    int depth = d->comp[0].depth;
    bool full = f->av->color_range == AVCOL_RANGE_JPEG ||
                (f->av->color_range == AVCOL_RANGE_UNSPECIFIED && d->nb_components == 1 && f->picture);
    double unit = (double)(1 << (depth - 8)), top = (double)((1 << depth) - 1);
    double y_range = full ? top : 219 * unit, y_low = full ? 0 : 16 * unit;
    double c_range = full ? top : 224 * unit, c_middle = 128 * unit, kr, kb;
    weights(f, &kr, &kb);
    double kg = 1 - kr - kb;
    return (colors){
        .y_scale = (float)(1 / y_range),
        .y_zero = (float)(-y_low / y_range),
        .c_scale = (float)(1 / c_range),
        .c_zero = (float)(-c_middle / c_range),
        .r_v = (float)(2 * (1 - kr)),
        .b_u = (float)(2 * (1 - kb)),
        .g_u = (float)(-2 * kb * (1 - kb) / kg),
        .g_v = (float)(-2 * kr * (1 - kr) / kg),
        .kr = (float)kr,
        .kg = (float)kg,
        .kb = (float)kb,
        .u_b = (float)(0.5 / (1 - kb)),
        .v_r = (float)(0.5 / (1 - kr)),
        .y_gain = (float)y_range,
        .y_bias = (float)(y_low + 0.5),
        .c_gain = (float)c_range,
        .c_bias = (float)(c_middle + 0.5),
        .top = (float)top,
    };
}

/* ---- Rows of samples ------------------------------------------------------------------------------------- */

static LK_HOT void load_bytes(const uint8_t *in, float *out, int n, float scale, float zero) {
    for (int i = 0; i < n; i++) out[i] = (float)in[i] * scale + zero;
}
static LK_HOT void load_words(const uint16_t *in, float *out, int n, float scale, float zero) {
    for (int i = 0; i < n; i++) out[i] = (float)in[i] * scale + zero;
}
static LK_HOT void store_bytes(const float *in, uint8_t *out, int n, float gain, float bias, float top) {
    for (int i = 0; i < n; i++) {
        float v = in[i] * gain + bias;
        v = v > 0 ? v : 0;
        out[i] = (uint8_t)(int)(v < top ? v : top);
    }
}
static LK_HOT void store_words(const float *in, uint16_t *out, int n, float gain, float bias, float top) {
    for (int i = 0; i < n; i++) {
        float v = in[i] * gain + bias;
        v = v > 0 ? v : 0;
        out[i] = (uint16_t)(int)(v < top ? v : top);
    }
}
/* Every sample twice; `odd`: the first one has only its second half in the window. */
static LK_HOT void repeat(const float *in, float *out, int n, int odd) {
    for (int i = 0; i < n; i++) out[i] = in[(i + odd) >> 1];
}
static LK_HOT void to_rgb(float *y, float *u, float *v, int n, colors c) {
    for (int i = 0; i < n; i++) {
        float luma = y[i], cb = u[i], cr = v[i];
        y[i] = luma + c.r_v * cr;
        u[i] = luma + c.g_u * cb + c.g_v * cr;
        v[i] = luma + c.b_u * cb;
    }
}
static LK_HOT void to_yuv(float *r, float *g, float *b, int n, colors c) {
    for (int i = 0; i < n; i++) {
        float red = r[i], blue = b[i], luma = c.kr * red + c.kg * g[i] + c.kb * blue;
        r[i] = luma;
        g[i] = (blue - luma) * c.u_b;
        b[i] = (red - luma) * c.v_r;
    }
}
static LK_HOT void interleave_bytes(const float *r, const float *g, const float *b, uint8_t *out, int n) {
    for (int i = 0; i < n; i++) {
        float x = r[i] * 255.0f + 0.5f, y = g[i] * 255.0f + 0.5f, z = b[i] * 255.0f + 0.5f;
        x = x > 0 ? x : 0, y = y > 0 ? y : 0, z = z > 0 ? z : 0;
        out[3 * i] = (uint8_t)(int)(x < 255 ? x : 255);
        out[3 * i + 1] = (uint8_t)(int)(y < 255 ? y : 255);
        out[3 * i + 2] = (uint8_t)(int)(z < 255 ? z : 255);
    }
}
static LK_HOT void interleave_floats(const float *r, const float *g, const float *b, float *out, int n) {
    for (int i = 0; i < n; i++) {
        float x = r[i] > 0 ? r[i] : 0, y = g[i] > 0 ? g[i] : 0, z = b[i] > 0 ? b[i] : 0;
        out[3 * i] = x < 1 ? x : 1;
        out[3 * i + 1] = y < 1 ? y : 1;
        out[3 * i + 2] = z < 1 ? z : 1;
    }
}
static LK_HOT void part_bytes(const uint8_t *in, float *r, float *g, float *b, int n) {
    for (int i = 0; i < n; i++) {
        r[i] = (float)in[3 * i] * (1.0f / 255);
        g[i] = (float)in[3 * i + 1] * (1.0f / 255);
        b[i] = (float)in[3 * i + 2] * (1.0f / 255);
    }
}
static LK_HOT void part_floats(const float *in, float *r, float *g, float *b, int n) {
    for (int i = 0; i < n; i++) r[i] = in[3 * i], g[i] = in[3 * i + 1], b[i] = in[3 * i + 2];
}

/* ---- A job: bands of rows, in parallel -------------------------------------------------------------------- */

typedef struct job {
    AVFrame *av;
    const AVPixFmtDescriptor *format;
    colors c;
    lk_rect window;
    lk_image *rgb;
    float *scratch; /* SCRATCH_ROWS rows of `width`; per band when bands run side by side */
    size_t scratch_step;
    int width;
} job;

enum { BAND = 16, SCRATCH_ROWS = 19 };

/* Below so many pixels the caller converts alone: the other processors are decoding and encoding, and a parallel loop
 * that has to wait for them takes longer than the loop. */
#define PARALLEL_PIXELS (4 << 20)

static uint8_t *sample_at(const job *j, int plane, int x, int y) {
    int bytes = j->format->comp[0].depth > 8 ? 2 : 1;
    return j->av->data[plane] + (ptrdiff_t)y * j->av->linesize[plane] + (ptrdiff_t)x * bytes;
}

static void load(const job *j, int plane, int x, int y, float *out, int n, float scale, float zero) {
    const uint8_t *at = sample_at(j, plane, x, y);
    if (j->format->comp[0].depth > 8)
        load_words((const uint16_t *)(const void *)at, out, n, scale, zero);
    else
        load_bytes(at, out, n, scale, zero);
}

static void store(const job *j, int plane, int x, int y, const float *in, int n, float gain, float bias) {
    uint8_t *at = sample_at(j, plane, x, y);
    if (j->format->comp[0].depth > 8)
        store_words(in, (uint16_t *)(void *)at, n, gain, bias, j->c.top);
    else
        store_bytes(in, at, n, gain, bias, j->c.top);
}

static bool is_rgb(const job *j) { return (j->format->flags & AV_PIX_FMT_FLAG_RGB) != 0; }

/* Row y of the window as the frame has it: Y, Cb, Cr or R, G, B, in three rows of s; the fourth is room. */
static void load_row(const job *j, int y, float *s) {
    int n = j->window.width, x = j->window.x, w = j->width;
    float *a = s, *b = s + w, *c = s + 2 * w, *half = s + 3 * w;
    if (j->format->nb_components == 1) {
        load(j, 0, x, y, a, n, j->c.y_scale, j->c.y_zero);
        memset(b, 0, (size_t)n * sizeof *b);
        memset(c, 0, (size_t)n * sizeof *c);
    } else if (j->av->format == AV_PIX_FMT_RGB24) {
        part_bytes(j->av->data[0] + (ptrdiff_t)y * j->av->linesize[0] + (ptrdiff_t)x * 3, a, b, c, n);
    } else if (is_rgb(j)) {
        float scale = 1 / j->c.top;
        load(j, 2, x, y, a, n, scale, 0);
        load(j, 0, x, y, b, n, scale, 0);
        load(j, 1, x, y, c, n, scale, 0);
    } else {
        int cy = y >> j->format->log2_chroma_h;
        load(j, 0, x, y, a, n, j->c.y_scale, j->c.y_zero);
        for (int p = 1; p < 3; p++) {
            float *out = p == 1 ? b : c;
            if (j->format->log2_chroma_w) {
                load(j, p, x >> 1, cy, half, ((x + n - 1) >> 1) - (x >> 1) + 1, j->c.c_scale, j->c.c_zero);
                repeat(half, out, n, x & 1);
            } else {
                load(j, p, x, cy, out, n, j->c.c_scale, j->c.c_zero);
            }
        }
    }
}

/* What load_row gave, as RGB in the picture's type; changes s. */
static void show_row(const job *j, float *s, void *out) {
    int n = j->window.width, w = j->width;
    if (!is_rgb(j)) to_rgb(s, s + w, s + 2 * w, n, j->c);
    if (j->rgb->type == LK_U8)
        interleave_bytes(s, s + w, s + 2 * w, out, n);
    else
        interleave_floats(s, s + w, s + 2 * w, out, n);
}

static void *picture_row(const job *j, int y) {
    return (uint8_t *)j->rgb->data + (size_t)(y - j->window.y) * j->rgb->stride;
}

static void read_band(int i, void *user) {
    const job *j = user;
    int y0 = j->window.y + i * BAND, y1 = y0 + BAND, end = j->window.y + j->window.height;
    float *s = j->scratch + (size_t)i * j->scratch_step;
    for (int y = y0; y < (y1 < end ? y1 : end); y++) {
        load_row(j, y, s);
        show_row(j, s, picture_row(j, y));
    }
}

static bool same_byte(const uint8_t *a, const uint8_t *b) { return a[0] == b[0] && a[1] == b[1] && a[2] == b[2]; }
static bool same_float(const float *a, const float *b) { return a[0] == b[0] && a[1] == b[1] && a[2] == b[2]; }

/* A row of the picture on its way into the frame: what it becomes there, what is there, and where the two look the
 * same. Each is three rows of samples; `frame` has a fourth as room. */
typedef struct part {
    float *picture, *frame;
    uint8_t *same;
} part;

static part part_row(const job *j, int y, int k, float *s) {
    int n = j->window.width, w = j->width;
    float *own = s + 8 * k * w, *shown = s + 16 * w;
    part p = {own, own + 3 * w, (uint8_t *)(own + 7 * w)};
    const void *row = picture_row(j, y);
    bool bytes = j->rgb->type == LK_U8;
    if (bytes)
        part_bytes(row, p.picture, p.picture + w, p.picture + 2 * w, n);
    else
        part_floats(row, p.picture, p.picture + w, p.picture + 2 * w, n);
    if (!is_rgb(j)) to_yuv(p.picture, p.picture + w, p.picture + 2 * w, n, j->c);
    load_row(j, y, p.frame);
    show_row(j, p.frame, shown);
    load_row(j, y, p.frame);
    for (int i = 0; i < n; i++)
        p.same[i] = bytes ? same_byte((const uint8_t *)row + 3 * i, (const uint8_t *)shown + 3 * i)
                          : same_float((const float *)row + 3 * i, shown + 3 * i);
    return p;
}

/* Pixels that share a chroma sample are the same only together. `b` may be `a`. */
static void join_pairs(const job *j, part a, part b) {
    int n = j->window.width, first = j->window.x & 1;
    for (int i = 0; i < n; i++) a.same[i] = b.same[i] = a.same[i] & b.same[i];
    if (!j->format->log2_chroma_w) return;
    for (int i = first; i + 1 < n; i += 2) {
        a.same[i] = a.same[i + 1] = a.same[i] & a.same[i + 1];
        b.same[i] = b.same[i + 1] = a.same[i];
    }
}

/* Where nothing changed, the frame's own samples stay: colours that RGB cannot hold, or 8 bits of it, survive. */
static void keep_same(const job *j, part p) {
    int n = j->window.width, w = j->width;
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < n; i++) p.picture[c * w + i] = p.same[i] ? p.frame[c * w + i] : p.picture[c * w + i];
}

/* Average `rows` rows (1 or 2) of chroma over their pairs of columns and store the samples that lie wholly inside
 * the window, of which the frame's own edge may cut off a part. */
static void write_chroma(const job *j, int plane, int y, const float *first, const float *second, float *half) {
    const lk_rect *win = &j->window;
    int cy = y >> j->format->log2_chroma_h;
    if (!j->format->log2_chroma_w) {
        for (int i = 0; i < win->width; i++) half[i] = 0.5f * (first[i] + second[i]);
        store(j, plane, win->x, cy, half, win->width, j->c.c_gain, j->c.c_bias);
        return;
    }
    int from = (win->x + 1) >> 1, end = win->x + win->width;
    int to = end == j->av->width ? (end + 1) >> 1 : end >> 1;
    for (int cx = from; cx < to; cx++) {
        int x = 2 * cx - win->x, next = x + 1 < win->width ? x + 1 : x;
        half[cx - from] = 0.25f * (first[x] + first[next] + second[x] + second[next]);
    }
    if (to > from) store(j, plane, from, cy, half, to - from, j->c.c_gain, j->c.c_bias);
}

/* A row, or a pair of rows that share their chroma, into the planes of YUV. */
static void write_yuv(const job *j, int y, bool pair, float *s) {
    int n = j->window.width, w = j->width;
    part a = part_row(j, y, 0, s), b = pair ? part_row(j, y + 1, 1, s) : a;
    join_pairs(j, a, b);
    keep_same(j, a);
    if (pair) keep_same(j, b);
    store(j, 0, j->window.x, y, a.picture, n, j->c.y_gain, j->c.y_bias);
    if (pair) store(j, 0, j->window.x, y + 1, b.picture, n, j->c.y_gain, j->c.y_bias);
    bool halved = j->format->log2_chroma_h != 0;
    bool whole = !halved || pair || (y % 2 == 0 && y == j->av->height - 1);
    for (int p = 1; p < 3 && whole && j->format->nb_components == 3; p++)
        write_chroma(j, p, y, a.picture + p * w, b.picture + p * w, s + 16 * w);
}

static void write_row(const job *j, int y, float *s) {
    int n = j->window.width, x = j->window.x, w = j->width;
    part p = part_row(j, y, 0, s);
    keep_same(j, p);
    const float *r = p.picture, *g = r + w, *b = g + w;
    if (j->av->format == AV_PIX_FMT_RGB24) {
        interleave_bytes(r, g, b, j->av->data[0] + (ptrdiff_t)y * j->av->linesize[0] + (ptrdiff_t)x * 3, n);
        return;
    }
    store(j, 2, x, y, r, n, j->c.top, 0.5f);
    store(j, 0, x, y, g, n, j->c.top, 0.5f);
    store(j, 1, x, y, b, n, j->c.top, 0.5f);
}

/* Bands begin on even rows of the frame, so that pairs of rows stay together. */
static void write_band(int i, void *user) {
    const job *j = user;
    int top = j->window.y & ~1, y0 = top + i * BAND, y1 = y0 + BAND, end = j->window.y + j->window.height;
    if (y0 < j->window.y) y0 = j->window.y;
    if (y1 > end) y1 = end;
    float *s = j->scratch + (size_t)i * j->scratch_step;
    bool rgb = is_rgb(j);
    for (int y = y0; y < y1;) {
        bool pair = !rgb && j->format->log2_chroma_h && y % 2 == 0 && y + 1 < y1;
        if (rgb)
            write_row(j, y, s);
        else
            write_yuv(j, y, pair, s);
        y += pair ? 2 : 1;
    }
}

static bool inside(const lk_frame *f, lk_rect r, lk_error *err) {
    const AVFrame *av = f->av;
    if (r.x >= 0 && r.y >= 0 && r.width > 0 && r.height > 0 && r.width <= av->width && r.height <= av->height &&
        r.x <= av->width - r.width && r.y <= av->height - r.height)
        return true;
    return lk_fail(err, LK_ERR_USAGE, "frame %lld: the window %d×%d at (%d, %d) is not inside its %d×%d pixels",
                   (long long)f->index, r.width, r.height, r.x, r.y, av->width, av->height);
}

static bool run(lk_frame *f, lk_rect window, lk_image *rgb, void (*band)(int, void *), lk_error *err) {
    job j = {
        .av = f->av, .format = av_pix_fmt_desc_get(f->av->format), .c = colors_of(f), .window = window, .rgb = rgb};
    int bands = (window.height + 1 + BAND - 1) / BAND;
    bool together = (int64_t)window.width * window.height >= PARALLEL_PIXELS;
    j.width = (window.width + 17) & ~15;
    j.scratch_step = together ? SCRATCH_ROWS * (size_t)j.width : 0;
    j.scratch = lk_alloc((together ? (size_t)bands : 1) * SCRATCH_ROWS, (size_t)j.width * sizeof(float), err);
    if (!j.scratch) return false;
    if (together)
        lk_parallel_for(bands, band, &j);
    else
        for (int i = 0; i < bands; i++) band(i, &j);
    free(j.scratch);
    return true;
}

bool lk_frame_rgb(lk_frame *f, lk_rect window, lk_pixel type, lk_image *rgb, lk_error *err) {
    *rgb = (lk_image){0};
    if (!inside(f, window, err) || !lk_image_alloc(rgb, window.width, window.height, 3, type, err)) return false;
    if (run(f, window, rgb, read_band, err)) return true;
    lk_image_free(rgb);
    return false;
}

bool lk_frame_set_rgb(lk_frame *f, lk_rect window, const lk_image *rgb, lk_error *err) {
    if (!inside(f, window, err)) return false;
    if (rgb->width != window.width || rgb->height != window.height || rgb->channels != 3)
        return lk_fail(err, LK_ERR_USAGE, "frame %lld: %d×%d pixels of %d channels do not fill a window of %d×%d",
                       (long long)f->index, rgb->width, rgb->height, rgb->channels, window.width, window.height);
    int code = av_frame_make_writable(f->av);
    if (code < 0) return lk_fail_av(err, code, "frame %lld cannot be changed", (long long)f->index);
    lk_image view = *rgb;
    return run(f, window, &view, write_band, err);
}
