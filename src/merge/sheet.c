#include "likeness/media.h"
#include "likeness/merge.h"

#define SHEET_WIDTH 1600
#define GAP         16 /* around the pairs, pixels */
#define SEAM        4  /* between before and after */
#define MAX_PAIRS   200

/* Where the pictures lie: pairs in `columns`, each picture width × height. */
typedef struct grid {
    int columns, rows, width, height;
} grid;

static grid make_grid(int pairs, int frame_width, int frame_height) {
    int columns = frame_height > frame_width ? 3 : 2;
    if (columns > pairs) columns = pairs;
    int room = (SHEET_WIDTH - GAP - columns * (GAP + SEAM)) / (2 * columns);
    grid g = {.columns = columns, .rows = (pairs + columns - 1) / columns};
    g.width = frame_width < room ? frame_width : room;
    g.height = (int)((int64_t)frame_height * g.width / frame_width);
    if (g.height < 1) g.height = 1;
    return g;
}

static bool put(lk_reader *reader, lk_image *sheet, lk_rect at, bool *ended, lk_error *err) {
    lk_error reading = {0};
    lk_frame *frame = lk_reader_next(reader, &reading);
    *ended = !frame && reading.code == LK_OK;
    if (!frame) {
        if (!*ended && err) *err = reading;
        return *ended;
    }
    lk_rect all = {0, 0, lk_frame_width(frame), lk_frame_height(frame)};
    lk_image picture = {0}, part = lk_image_view(sheet, at);
    bool ok = lk_frame_rgb(frame, all, LK_U8, &picture, err) && lk_image_resize(&picture, &part, LK_AREA, err);
    lk_image_free(&picture);
    lk_frame_free(frame);
    return ok;
}

static bool fill(lk_reader *before, lk_reader *after, lk_image *sheet, const grid *g, int pairs, lk_error *err) {
    bool ended = false;
    for (int i = 0; i < pairs && !ended; i++) {
        lk_rect at = {GAP + i % g->columns * (2 * g->width + SEAM + GAP), GAP + i / g->columns * (g->height + GAP),
                      g->width, g->height};
        if (!put(before, sheet, at, &ended, err)) return false;
        at.x += g->width + SEAM;
        if (!ended && !put(after, sheet, at, &ended, err)) return false;
    }
    return true;
}

bool lk_contact_sheet(const char *before, const char *after, const char *png, int pairs, int64_t first, int64_t frames,
                      lk_error *err) {
    if (pairs < 1 || pairs > MAX_PAIRS)
        return lk_fail(err, LK_ERR_USAGE, "a contact sheet has 1 to %d pairs, not %d", MAX_PAIRS, pairs);
    lk_reader *probe = lk_reader_open(after, NULL, err);
    if (!probe) return false;
    lk_media_info info = *lk_reader_info(probe);
    lk_reader_close(probe);
    if (frames <= 0) frames = info.frames > 0 ? info.frames : 1;
    if (pairs > frames) pairs = (int)frames;
    int64_t every = frames / pairs, middle = every / 2;
    if (every > INT32_MAX) every = INT32_MAX;
    grid g = make_grid(pairs, info.width, info.height);
    lk_image sheet = {0};
    lk_reader *a =
        lk_reader_open(before, &(lk_reader_options){.first = first + middle, .every = (int)every, .max = pairs}, err);
    lk_reader *b =
        a ? lk_reader_open(after, &(lk_reader_options){.first = middle, .every = (int)every, .max = pairs}, err) : NULL;
    bool ok = b && lk_image_alloc(&sheet, GAP + g.columns * (2 * g.width + SEAM + GAP), GAP + g.rows * (g.height + GAP),
                                  3, LK_U8, err);
    ok = ok && fill(a, b, &sheet, &g, pairs, err) && lk_image_save(&sheet, png, 100, err);
    lk_image_free(&sheet);
    lk_reader_close(a);
    lk_reader_close(b);
    return ok;
}
