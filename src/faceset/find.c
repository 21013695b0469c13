#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "extract.h"

#define DEFAULT_MIN_FACE 32
#define DEFAULT_FACES    8
#define MOST_FINDS       100000000

lk_reader_options lk_extract_range(const lk_extract_options *o) {
    return (lk_reader_options){.first = o->first, .every = o->every, .max = o->max, .nvdec = o->nvdec};
}

static bool append(lk_finds *finds, const lk_found *f, lk_error *err) {
    if (finds->count == finds->room) {
        if (finds->count >= MOST_FINDS)
            return lk_fail(err, LK_ERR_UNSUPPORTED, "more than %d faces in one input; extract it in parts", MOST_FINDS);
        int64_t room = finds->room ? 2 * finds->room : 256;
        lk_found *more = realloc(finds->items, (size_t)room * sizeof *more);
        if (!more)
            return lk_fail(err, LK_ERR_MEMORY, "out of memory for %lld faces; extract the clip in parts",
                           (long long)room);
        finds->items = more;
        finds->room = room;
    }
    finds->items[finds->count++] = *f;
    return true;
}

static bool finite_points(const lk_tracked_face *f) {
    for (int i = 0; i < LK_MESH_POINTS; i++)
        if (!isfinite(f->mesh.x[i]) || !isfinite(f->mesh.y[i]) || !isfinite(f->mesh.z[i])) return false;
    return true;
}

static bool large_enough(const lk_tracked_face *f, const lk_extract_options *o) {
    lk_rect b = lk_landmarks_bounds(&f->points);
    int least = o->detect.min_face > 0 ? o->detect.min_face : DEFAULT_MIN_FACE,
        side = b.width > b.height ? b.width : b.height;
    return side >= least;
}

static bool keep(lk_finds *finds, const lk_tracked_face *faces, int count, int64_t frame, double time,
                 const lk_extract_options *o, lk_error *err) {
    int kept = 0;
    for (int i = 0; i < count; i++) {
        if (!finite_points(&faces[i]) || !large_enough(&faces[i], o)) continue;
        /* Pictures that need not follow one another have no tracks: each face is one. */
        int track = finds->is_video ? faces[i].track : (int)finds->count;
        lk_found f = {frame, time, track, false, faces[i].presence, faces[i].points, faces[i].mesh};
        if (!append(finds, &f, err)) return false;
        kept++;
    }
    finds->frames++;
    finds->without_face += kept == 0;
    finds->several += kept > 1;
    return true;
}

/* Pictures of a folder need not follow one another: each is looked at afresh. */
static bool start_afresh(lk_tracker **t, lk_face_nets *nets, const lk_extract_options *o, lk_error *err) {
    lk_tracker_free(*t);
    int most = o->max_faces < 1 ? DEFAULT_FACES : o->max_faces < LK_MAX_FACES ? o->max_faces : LK_MAX_FACES;
    *t = lk_tracker_new(nets, &o->detect, most, err);
    return *t != NULL;
}

static bool look_at(lk_tracker *t, lk_frame *f, double fps, const lk_extract_options *o, lk_finds *finds,
                    lk_tracked_face *faces, lk_error *err) {
    lk_image rgb = {0};
    lk_rect whole = {0, 0, lk_frame_width(f), lk_frame_height(f)};
    if (!lk_frame_rgb(f, whole, LK_U8, &rgb, err)) return false;
    if (finds->frames == 0) {
        finds->width = whole.width;
        finds->height = whole.height;
    }
    int count = lk_tracker_next(t, &rgb, faces, LK_MAX_FACES, err);
    lk_image_free(&rgb);
    if (count < 0) return lk_fail_in(err, "frame %lld", (long long)lk_frame_index(f));
    double time = fps > 0 ? lk_frame_time(f) : (double)lk_frame_index(f);
    return keep(finds, faces, count, lk_frame_index(f), time, o, err);
}

static int64_t expected(const lk_media_info *info, const lk_extract_options *o) {
    int64_t every = o->every > 1 ? o->every : 1, left = info->frames > o->first ? info->frames - o->first : 0;
    int64_t n = (left + every - 1) / every;
    return o->max > 0 && (n == 0 || o->max < n) ? o->max : n;
}

/* How far the finding is, when it is this input's turn to tell; `begun` from its first word on. */
static void tell(lk_progress *p, bool *begun, const char *what, double total, const lk_turn *turn,
                 const lk_finds *finds) {
    double start = p->start;
    if (turn && *turn->current != turn->number) return;
    if (!*begun) {
        lk_progress_begin(p, what, total);
        p->start = start;
    }
    *begun = true;
    double seconds = lk_now() - start;
    lk_progress_update(p, (double)finds->frames, "%.0f frames/s, %lld faces",
                       seconds > 0 ? (double)finds->frames / seconds : 0, (long long)finds->count);
}

static bool look_through(lk_reader *in, lk_face_nets *nets, const char *what, const lk_extract_options *o,
                         const lk_turn *turn, lk_finds *finds, lk_error *err) {
    const lk_media_info *info = lk_reader_info(in);
    finds->fps = info->is_video ? info->fps : 0;
    finds->is_video = info->is_video;
    lk_tracked_face *faces = lk_alloc(LK_MAX_FACES, sizeof *faces, err);
    lk_tracker *tracker = NULL;
    bool ok = faces && start_afresh(&tracker, nets, o, err);
    lk_progress progress = {.start = lk_now()};
    bool begun = false;
    tell(&progress, &begun, what, (double)expected(info, o), turn, finds);
    while (ok) {
        if (lk_interrupted() || (turn && *turn->stop)) {
            ok = lk_fail(err, LK_ERR_INTERRUPTED, "interrupted; run the same command again to go on");
            break;
        }
        lk_error end = {0};
        lk_frame *f = lk_reader_next(in, &end);
        if (!f) {
            if (end.code != LK_OK) {
                if (err) *err = end;
                ok = false;
            }
            break;
        }
        if (!info->is_video && finds->frames) ok = start_afresh(&tracker, nets, o, err);
        ok = ok && look_at(tracker, f, finds->fps, o, finds, faces, err);
        lk_frame_free(f);
        if (finds->frames % 8 == 0) tell(&progress, &begun, what, (double)expected(info, o), turn, finds);
    }
    if (begun) {
        lk_progress_update(&progress, (double)finds->frames, "%lld faces", (long long)finds->count);
        lk_progress_end(&progress);
    }
    lk_tracker_free(tracker);
    free(faces);
    return ok;
}

bool lk_find_faces(lk_face_nets *nets, const char *input, const lk_extract_options *o, const lk_turn *turn,
                   lk_finds *finds, lk_error *err) {
    lk_reader_options range = lk_extract_range(o);
    lk_reader *in = lk_reader_open(input, &range, err);
    if (!in) return false;
    char *what = lk_format(err, "finding faces in %s", lk_path_base(input));
    bool ok = what && look_through(in, nets, what, o, turn, finds, err);
    lk_reader_close(in);
    free(what);
    return ok;
}

/* ---- Smoothing ------------------------------------------------------------------------------------------- */

typedef struct series {
    lk_landmarks *points;
    double *times;
    int64_t *at; /* which finds they are */
} series;

static void smooth_and_mark(lk_finds *finds, int track, double sigma, bool descriptors, series s) {
    int n = 0;
    for (int64_t i = 0; i < finds->count; i++) {
        if (finds->items[i].track != track) continue;
        finds->items[i].describe = descriptors && n % LK_DESCRIBE_EACH == 0;
        s.points[n] = finds->items[i].points;
        s.times[n] = finds->items[i].time;
        s.at[n++] = i;
    }
    if (sigma < 0.25) return;
    lk_smooth_landmarks(s.points, s.times, n, sigma);
    for (int k = 0; k < n; k++) finds->items[s.at[k]].points = s.points[k];
}

bool lk_smooth_finds(lk_finds *finds, const lk_extract_options *o, lk_error *err) {
    if (!finds->is_video) {
        for (int64_t i = 0; i < finds->count; i++) finds->items[i].describe = o->descriptors;
        return true;
    }
    double sigma = o->smooth / (o->every > 1 ? o->every : 1); /* frames of the video, of which every n-th is here */
    size_t n = (size_t)finds->count;
    series s = {lk_alloc(n, sizeof *s.points, err), lk_alloc(n, sizeof *s.times, err), lk_alloc(n, sizeof *s.at, err)};
    int last = -1;
    for (size_t i = 0; i < n; i++)
        if (finds->items[i].track > last) last = finds->items[i].track;
    bool ok = s.points && s.times && s.at;
    for (int track = 0; ok && track <= last; track++) smooth_and_mark(finds, track, sigma, o->descriptors, s);
    free(s.points);
    free(s.times);
    free(s.at);
    return ok;
}
