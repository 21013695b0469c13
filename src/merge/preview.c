/* One frame with the pictures on the way to it, side by side. */
#include <stdlib.h>
#include <string.h>

#include "pipeline.h"

#define CELL     192 /* side of a small picture */
#define GAP      8
#define MAX_ROWS 4 /* faces that are shown */
#define COLUMNS  5 /* crop, prediction, its mask, the mask that is used, the finished face */

/* Any float picture, grey or RGB, into a part of the sheet. */
static bool put(lk_image *sheet, lk_rect at, const lk_image *picture, lk_error *err) {
    if (!picture->data) return true;
    lk_image rgb = {0}, part = lk_image_view(sheet, at);
    bool ok = lk_image_alloc(&rgb, picture->width, picture->height, 3, LK_F32, err);
    for (int y = 0; ok && y < picture->height; y++)
        for (int i = 0; i < 3 * picture->width; i++)
            lk_row_f32(&rgb, y)[i] = lk_row_f32(picture, y)[picture->channels == 1 ? i / 3 : i];
    ok = ok && lk_image_resize(&rgb, &part, rgb.width > at.width ? LK_AREA : LK_BICUBIC, err);
    lk_image_free(&rgb);
    return ok;
}

static bool put_frame(lk_image *sheet, lk_rect at, lk_frame *frame, lk_error *err) {
    lk_image rgb, part = lk_image_view(sheet, at);
    if (!lk_frame_rgb(frame, (lk_rect){0, 0, lk_frame_width(frame), lk_frame_height(frame)}, LK_U8, &rgb, err))
        return false;
    bool ok = lk_image_resize(&rgb, &part, LK_AREA, err);
    lk_image_free(&rgb);
    return ok;
}

typedef struct preview {
    lk_merge_job *m;
    lk_frame_job *jobs[2 * LK_MAX_REACH + 1];
    int count, own;
    lk_image sheet, stages[MAX_ROWS][COLUMNS];
    int width, height; /* of the frame's pictures */
} preview;

static bool gather(preview *p, int64_t frame, lk_error *err) {
    lk_frame_job *job;
    p->own = -1;
    while (p->count < (int)LK_COUNT(p->jobs) && (job = lk_gather(p->m, err)) != NULL) {
        if (job->index == frame) p->own = p->count;
        p->jobs[p->count++] = job;
    }
    if (err->code != LK_OK) return false;
    return p->own >= 0 || lk_fail(err, LK_ERR_NOT_FOUND, "%s has no frame %lld", p->m->input, (long long)frame);
}

static bool keep(preview *p, int row, int column, const lk_image *image, lk_error *err) {
    return !image->data || lk_image_copy(image, &p->stages[row][column], err);
}

static bool make(preview *p, lk_error *err) {
    lk_frame_job *job = p->jobs[p->own];
    if (!lk_predict_frames(p->m, p->jobs, p->count, err)) return false;
    int rows = job->count < MAX_ROWS ? job->count : MAX_ROWS;
    for (int i = 0; i < rows; i++)
        if (!keep(p, i, 0, &job->faces[i].crop, err) || !keep(p, i, 1, &job->faces[i].swap, err) ||
            !keep(p, i, 2, &job->faces[i].mask, err))
            return false;
    for (int i = 0; i < p->count; i++)
        if (!lk_prepare_frame(p->m, p->jobs[i], err)) return false;
    for (int i = 0; i < rows; i++) {
        lk_blend b = {0};
        bool ok = lk_finished_face(p->m, p->jobs, p->count, p->own, i, &b, err) && keep(p, i, 3, &b.alpha, err) &&
                  keep(p, i, 4, &b.face, err);
        lk_blend_free(&b);
        if (!ok) return false;
    }
    return true;
}

static bool draw(preview *p, lk_error *err) {
    lk_frame_job *job = p->jobs[p->own];
    int rows = job->count < MAX_ROWS ? job->count : MAX_ROWS, w = p->m->info.width, h = p->m->info.height;
    int most = (COLUMNS * (CELL + GAP) - GAP) / 2;
    p->width = w < most ? w : most;
    p->height = (int)((int64_t)h * p->width / w) + ((int64_t)h * p->width / w == 0);
    int wide = 2 * p->width + GAP, cells = COLUMNS * (CELL + GAP) - GAP;
    if (rows && wide < cells) wide = cells;
    if (!lk_image_alloc(&p->sheet, wide + 2 * GAP, p->height + 2 * GAP + rows * (CELL + GAP), 3, LK_U8, err))
        return false;
    bool ok = put_frame(&p->sheet, (lk_rect){GAP, GAP, p->width, p->height}, job->frame, err) &&
              lk_compose_frame(p->m, p->jobs, p->count, p->own, err) &&
              put_frame(&p->sheet, (lk_rect){2 * GAP + p->width, GAP, p->width, p->height}, job->frame, err);
    for (int r = 0; ok && r < rows; r++)
        for (int c = 0; ok && c < COLUMNS; c++)
            ok = put(&p->sheet, (lk_rect){GAP + c * (CELL + GAP), 2 * GAP + p->height + r * (CELL + GAP), CELL, CELL},
                     &p->stages[r][c], err);
    return ok;
}

bool lk_merge_preview(const char *model_dir, const char *input, const char *faces, int64_t frame, const char *png,
                      const lk_merge_options *o, lk_error *err) {
    lk_error unused = {0};
    if (!err) err = &unused;
    preview *p = lk_alloc(1, sizeof *p, err);
    if (!p) return false;
    p->m = lk_alloc(1, sizeof *p->m, err);
    bool ok = p->m && lk_job_open(p->m, model_dir, input, faces, o, err) && lk_job_seek(p->m, frame, frame, err);
    ok = ok && gather(p, frame, err) && make(p, err) && draw(p, err) && lk_image_save(&p->sheet, png, 100, err);
    for (int i = 0; i < p->count; i++) lk_frame_job_free(p->jobs[i]);
    for (int r = 0; r < MAX_ROWS; r++)
        for (int c = 0; c < COLUMNS; c++) lk_image_free(&p->stages[r][c]);
    lk_image_free(&p->sheet);
    if (p->m) lk_job_release(p->m);
    free(p->m);
    free(p);
    return ok;
}
