/* The pictures of preview/history, which show the same faces each time, as a video. */
#include "internal.h"
#include "likeness/media.h"

#include <stdlib.h>

static bool copy_frames(lk_reader *in, lk_writer *out, lk_error *err) {
    lk_frame *frame;
    lk_error reading = {0};
    while ((frame = lk_reader_next(in, &reading)) != NULL) {
        bool ok = lk_writer_add(out, frame, err);
        lk_frame_free(frame);
        if (!ok) return false;
    }
    if (reading.code != LK_OK && err) *err = reading;
    return reading.code == LK_OK;
}

bool lk_model_timelapse(const char *model_dir, const char *output, double fps, lk_error *err) {
    char *folder = lk_path_join(model_dir, "preview/history", err);
    bool there = folder && lk_file_exists(folder);
    if (folder && !there)
        lk_fail(err, LK_ERR_NOT_FOUND, "%s kept no previews: train with --preview-every N", model_dir);
    lk_reader *in = there ? lk_reader_open(folder, NULL, err) : NULL;
    const lk_writer_options o = {.crf = 18, .fps = fps > 0 ? fps : 12};
    lk_writer *out = in ? lk_writer_open(output, NULL, &o, err) : NULL;
    bool ok = out && copy_frames(in, out, err);
    if (out && !ok) lk_writer_abandon(out);
    if (ok) ok = lk_writer_finish(out, err);
    lk_reader_close(in);
    free(folder);
    return ok;
}
