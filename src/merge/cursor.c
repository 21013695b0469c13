#include "cursor.h"

#include <stdlib.h>
#include <string.h>

static bool find_source(lk_faceset *set, const char *faces, const char *input, const lk_media_info *info,
                        lk_source *found, lk_error *err) {
    char fingerprint[65];
    if (!lk_source_fingerprint(input, fingerprint, err)) return false;
    lk_source *sources = NULL;
    int count = lk_faceset_sources(set, &sources, err), match = -1;
    if (count < 0) return false;
    for (int i = 0; i < count; i++)
        if (strcmp(sources[i].fingerprint, fingerprint) == 0) match = i;
    bool ok = match >= 0;
    if (!ok)
        lk_fail(err, LK_ERR_USAGE, "%s holds no faces of %s but of %s; run: likeness extract %s -o FILE.faces", faces,
                input, count > 0 ? sources[0].path : "nothing", input);
    else if (sources[match].width != info->width || sources[match].height != info->height)
        ok = lk_fail(err, LK_ERR_FORMAT, "%s says that %s has %d×%d pixels, but it has %d×%d; extract its faces again",
                     faces, input, sources[match].width, sources[match].height, info->width, info->height);
    else if (!sources[match].complete)
        ok = lk_fail(err, LK_ERR_USAGE, "extraction of %s into %s did not finish; run it again first", input, faces);
    if (ok) *found = sources[match];
    free(sources);
    return ok;
}

bool lk_face_cursor_open(lk_face_cursor *c, const char *faces, const char *input, const lk_media_info *info,
                         lk_error *err) {
    *c = (lk_face_cursor){.set = lk_faceset_open(faces, false, err)};
    if (!c->set || !find_source(c->set, faces, input, info, &c->source, err)) return false;
    c->count = lk_faceset_ids(c->set, &(lk_faceset_query){.source = c->source.id}, &c->ids, err);
    if (c->count < 0) return false;
    if (c->count == 0) return lk_fail(err, LK_ERR_NOT_FOUND, "%s holds no face of %s to swap", faces, input);
    if (!lk_faceset_get(c->set, c->ids[c->count - 1], &c->face, err)) return false;
    c->last_frame = c->face.frame;
    return true;
}

void lk_face_cursor_rewind(lk_face_cursor *c) {
    c->at = 0;
    c->loaded = false;
}

bool lk_face_cursor_next(lk_face_cursor *c, int64_t frame, const lk_face **face, lk_error *err) {
    *face = NULL;
    for (; c->at < c->count; c->at++, c->loaded = false) {
        if (!c->loaded && !lk_faceset_get(c->set, c->ids[c->at], &c->face, err)) return false;
        c->loaded = true;
        if (c->face.frame > frame) return true;
        if (c->face.frame < frame) continue;
        *face = &c->face;
        c->at++;
        c->loaded = false;
        return true;
    }
    return true;
}

void lk_face_cursor_close(lk_face_cursor *c) {
    free(c->ids);
    lk_faceset_close(c->set);
    *c = (lk_face_cursor){0};
}
