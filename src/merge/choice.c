#include "choice.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "likeness/curate.h"

static bool parse_tracks(lk_choice *c, const char *text, lk_error *err) {
    for (const char *p = text;; p++) {
        char *end;
        long v = strtol(p, &end, 10);
        if (end == p || v < 0 || v > INT32_MAX || (*end && *end != ','))
            return lk_fail(err, LK_ERR_USAGE, "'track:%s' names no tracks; write track:3 or track:3,5", text);
        if (c->count == LK_MAX_TRACKS)
            return lk_fail(err, LK_ERR_USAGE, "more than %d tracks are named; choose the person by like:FILE.faces",
                           LK_MAX_TRACKS);
        c->tracks[c->count++] = (int)v;
        p = end;
        if (!*p) return true;
    }
}

static bool parse_place(lk_choice *c, const char *text, lk_error *err) {
    char *end, *last;
    double x = strtod(text, &end), y = *end == ',' ? strtod(end + 1, &last) : NAN;
    if (end == text || *end != ',' || last == end + 1 || *last || !(x >= 0 && x <= 100 && y >= 0 && y <= 100))
        return lk_fail(err, LK_ERR_USAGE, "'at:%s' is no place; write at:25,50: percent of the width and the height",
                       text);
    c->x = x / 100;
    c->y = y / 100;
    return true;
}

/* ---- By identity ----------------------------------------------------------------------------------------- */

typedef struct portrait {
    int track;
    int64_t count;
    float sum[LK_DESCRIPTOR];
} portrait;

static void add_to(portrait *p, const lk_face *f) {
    double size = 0;
    for (int i = 0; i < LK_DESCRIPTOR; i++) size += (double)f->descriptor[i] * (double)f->descriptor[i];
    for (int i = 0; size > 0 && i < LK_DESCRIPTOR; i++) p->sum[i] += f->descriptor[i] / (float)sqrt(size);
    p->count++;
}

/* The mean of each track of a source (0: of all sources, as one), in *portraits; −1 on failure. */
static int portraits_of(lk_faceset *set, int64_t source, portrait **portraits, lk_error *err) {
    int64_t *ids = NULL, n = lk_faceset_ids(set, &(lk_faceset_query){.source = source}, &ids, err);
    lk_face *f = n >= 0 ? lk_alloc(1, sizeof *f, err) : NULL;
    bool ok = f != NULL;
    int count = 0;
    *portraits = NULL;
    for (int64_t i = 0; ok && i < n; i++) {
        ok = lk_faceset_get(set, ids[i], f, err);
        if (!ok || !f->has_descriptor) continue;
        int track = source ? f->track : 0, k = 0;
        while (k < count && (*portraits)[k].track != track) k++;
        if (k == count) {
            portrait *grown = realloc(*portraits, (size_t)(count + 1) * sizeof *grown);
            if (!grown) {
                ok = lk_fail(err, LK_ERR_MEMORY, "no memory for the descriptors of %d tracks", count + 1);
                break;
            }
            *portraits = grown;
            memset(&grown[count], 0, sizeof *grown);
            grown[count++].track = track;
        }
        add_to(&(*portraits)[k], f);
    }
    free(ids);
    free(f);
    if (ok) return count;
    free(*portraits);
    *portraits = NULL;
    return -1;
}

static bool find_person(lk_choice *c, const char *path, lk_faceset *set, int64_t source, lk_error *err) {
    lk_faceset *other = lk_faceset_open(path, false, err);
    if (!other) return false;
    portrait *wanted = NULL, *tracks = NULL;
    int known = portraits_of(other, 0, &wanted, err), count = known >= 0 ? portraits_of(set, source, &tracks, err) : -1;
    lk_faceset_close(other);
    bool ok = count >= 0;
    if (ok && (known == 0 || count == 0))
        ok = lk_fail(err, LK_ERR_USAGE, "the faces of %s cannot be compared: they were extracted without descriptors",
                     known == 0 ? path : "the video");
    for (int i = 0; ok && i < count; i++) {
        if (lk_descriptor_similarity(wanted[0].sum, tracks[i].sum) < LK_SAME_PERSON) continue;
        if (c->count < LK_MAX_TRACKS)
            c->tracks[c->count++] = tracks[i].track;
        else
            ok = lk_fail(err, LK_ERR_UNSUPPORTED, "%s is on more than %d tracks of the video", path, LK_MAX_TRACKS);
    }
    if (ok && c->count == 0) ok = lk_fail(err, LK_ERR_NOT_FOUND, "nobody in the video is like %s", path);
    free(wanted);
    free(tracks);
    return ok;
}

/* ---- Public ---------------------------------------------------------------------------------------------- */

bool lk_choice_parse(lk_choice *c, const char *text, lk_faceset *set, int64_t source, lk_error *err) {
    static const char *const names[] = {"all", "largest", "left", "right"};
    *c = (lk_choice){0};
    for (int i = 0; i < (int)LK_COUNT(names); i++)
        if (strcmp(text, names[i]) == 0) {
            c->kind = i;
            return true;
        }
    if (strncmp(text, "at:", 3) == 0) {
        c->kind = LK_CHOOSE_AT;
        return parse_place(c, text + 3, err);
    }
    c->kind = LK_CHOOSE_TRACKS;
    if (strncmp(text, "track:", 6) == 0) return parse_tracks(c, text + 6, err);
    if (strncmp(text, "like:", 5) == 0 && text[5]) return find_person(c, text + 5, set, source, err);
    return lk_fail(err, LK_ERR_USAGE,
                   "'%s' chooses no face; write all, largest, left, right, at:X,Y, track:N or like:FILE.faces", text);
}

/* The smaller, the more it is meant. */
static double rank(const lk_choice *c, const lk_face *f, int width, int height) {
    double x = f->bounds.x + f->bounds.width / 2.0, y = f->bounds.y + f->bounds.height / 2.0;
    switch (c->kind) {
    case LK_CHOOSE_LARGEST:
        return -(double)f->bounds.width * f->bounds.height;
    case LK_CHOOSE_LEFT:
        return x;
    case LK_CHOOSE_RIGHT:
        return -x;
    default:
        return hypot(x - c->x * width, y - c->y * height);
    }
}

void lk_choice_apply(const lk_choice *c, const lk_face *faces, int count, int width, int height, const bool *taken,
                     bool *chosen) {
    int best = -1;
    for (int i = 0; i < count; i++) {
        chosen[i] = false;
        if (taken[i]) continue;
        if (c->kind == LK_CHOOSE_ALL) chosen[i] = true;
        for (int k = 0; c->kind == LK_CHOOSE_TRACKS && k < c->count; k++) chosen[i] |= c->tracks[k] == faces[i].track;
        if (c->kind == LK_CHOOSE_ALL || c->kind == LK_CHOOSE_TRACKS) continue;
        if (best < 0 || rank(c, &faces[i], width, height) < rank(c, &faces[best], width, height)) best = i;
    }
    if (best >= 0) chosen[best] = true;
}
