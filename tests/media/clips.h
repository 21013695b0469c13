/* Clips made by the ffmpeg program, and its word on what is in a file. */
#ifndef LIKENESS_TEST_CLIPS_H
#define LIKENESS_TEST_CLIPS_H

#include "testing.h"

#include "likeness/media.h"

/* What a shell command prints, to be freed. */
static inline char *output_of(const char *format, ...) {
    char command[2000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t size = 0, room = 1 << 16;
    char *text = malloc(room);
    assert_non_null(text);
    for (size_t n; (n = fread(text + size, 1, room - size - 1, pipe)) > 0;) {
        size += n;
        if (room - size > 1) continue;
        text = realloc(text, room *= 2);
        assert_non_null(text);
    }
    text[size] = 0;
    if (pclose(pipe) != 0) fail_msg("this failed: %s", command);
    return text;
}

/* Run ffmpeg in `folder`. */
static inline void ffmpeg(const char *folder, const char *arguments) {
    free(output_of("cd '%s' && ffmpeg -v error -nostdin -y %s", folder, arguments));
}

static inline void assert_same_output(const char *folder, const char *command, const char *a, const char *b) {
    char *x = output_of("cd '%s' && f=%s && %s", folder, a, command);
    char *y = output_of("cd '%s' && f=%s && %s", folder, b, command);
    assert_true(strlen(x) > 0);
    assert_string_equal(x, y);
    free(x);
    free(y);
}

/* Copy a video through reader and writer; says how many frames. */
static inline int64_t copy_video(const char *folder, const char *from, const char *to, const lk_reader_options *ro,
                                 const lk_writer_options *wo) {
    lk_error err = {0};
    char *in = lk_path_join(folder, from, NULL), *out = lk_path_join(folder, to, NULL);
    lk_reader *r = lk_reader_open(in, ro, &err);
    test_ok(r != NULL, &err);
    lk_writer *w = lk_writer_open(out, r, wo, &err);
    test_ok(w != NULL, &err);
    int64_t count = 0;
    for (lk_frame *f; (f = lk_reader_next(r, &err)) != NULL; lk_frame_free(f), count++)
        test_ok(lk_writer_add(w, f, &err), &err);
    assert_int_equal(err.code, LK_OK);
    test_ok(lk_writer_finish(w, &err), &err);
    lk_reader_close(r);
    free(in);
    free(out);
    return count;
}

static inline lk_frame *first_frame(const char *folder, const char *name) {
    lk_error err = {0};
    char *path = lk_path_join(folder, name, NULL);
    lk_reader *r = lk_reader_open(path, NULL, &err);
    test_ok(r != NULL, &err);
    lk_frame *f = lk_reader_next(r, &err);
    test_ok(f != NULL, &err);
    lk_reader_close(r);
    free(path);
    return f;
}

#endif
