/* Where the sample clips lie (tools/setup.sh clips), and whether extraction can be tested at all. */
#ifndef LIKENESS_TEST_CLIPS_H
#define LIKENESS_TEST_CLIPS_H

#include "testing.h"

#include "likeness/faceset.h"
#include "likeness/media.h"

static inline char *clip_path(const char *name) {
    const char *given = getenv("LIKENESS_CLIPS"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (given && *given) return lk_format(NULL, "%s/%s", given, name);
    if (data && *data) return lk_format(NULL, "%s/likeness/clips/%s", data, name);
    return lk_format(NULL, "%s/.local/share/likeness/clips/%s", home ? home : "", name);
}

/* Skips the test when the clips or the pretrained networks are not there. */
static inline void need_clips(void) {
    char *clip = clip_path("franck.mp4"), *models = lk_models_dir(NULL);
    char *net = models ? lk_path_join(models, "face_landmark_with_attention.tflite", NULL) : NULL;
    bool there = clip && net && lk_file_exists(clip) && lk_file_exists(net);
    free(clip);
    free(models);
    free(net);
    if (there) return;
    print_message("no sample clips or networks: run 'tools/setup.sh clips' and 'likeness models install'\n");
    skip();
}

static inline lk_extract_options extract_options(int64_t max) {
    lk_extract_options o = {0};
    lk_error err = {0};
    test_ok(lk_options_defaults(lk_extract_option_table, &o, &err), &err);
    o.max = max;
    return o;
}

#endif
