/* Dealings with libav that reading and writing share: its log, its errors, opening a file. */
#include "internal.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

static void to_log(void *context, int level, const char *format, va_list arguments) {
    if (level > AV_LOG_INFO) return;
    char line[512];
    int prefix = 1;
    av_log_format_line(context, level, format, arguments, line, sizeof line, &prefix);
    line[strcspn(line, "\r\n")] = 0;
    if (*line) lk_log(LK_LOG_DEBUG, "libav: %s", line);
}

static void install(void) { av_log_set_callback(to_log); }

void lk_libav_begin(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
}

bool lk_fail_av(lk_error *err, int code, const char *format, ...) {
    char words[AV_ERROR_MAX_STRING_SIZE] = "", message[800];
    av_strerror(code, words, sizeof words);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    lk_errcode kind = LK_ERR_FORMAT;
    if (code == AVERROR(ENOMEM)) kind = LK_ERR_MEMORY;
    if (code == AVERROR(ENOSPC) || code == AVERROR(EIO) || code == AVERROR(EACCES) || code == AVERROR(ENOENT) ||
        code == AVERROR(EFBIG) || code == AVERROR(EROFS) || code == AVERROR(EDQUOT) || code == AVERROR(EISDIR))
        kind = LK_ERR_IO;
    return lk_fail(err, kind, "%s: %s", message, words);
}

bool lk_fail_cut_off(const char *path, lk_error *err) {
    return lk_fail(err, LK_ERR_FORMAT,
                   "%s seems to have been cut off: its end, with what is needed to read it, is missing; copy it again "
                   "from where it came",
                   path);
}

/* The name reaches libav for the file protocol alone: as a probe's hint, "%d" or "*" in it would mean a sequence. */
AVFormatContext *lk_input_open(const char *path, lk_error *err) {
    lk_libav_begin();
    char *url = lk_format(err, "file:%s", path);
    if (!url) return NULL;
    AVFormatContext *input = avformat_alloc_context();
    AVIOContext *io = NULL;
    int code = input ? avio_open(&io, url, AVIO_FLAG_READ) : AVERROR(ENOMEM);
    free(url);
    if (code < 0) {
        lk_fail_av(err, code, "%s cannot be opened", path);
        avformat_free_context(input);
        return NULL;
    }
    if (avio_size(io) == 0) {
        lk_fail(err, LK_ERR_FORMAT, "%s is empty", path);
        avformat_free_context(input);
        avio_closep(&io);
        return NULL;
    }
    input->pb = io;
    AVDictionary *options = NULL;
    av_dict_set(&options, "protocol_whitelist", "file", 0);
    code = avformat_open_input(&input, "", NULL, &options); /* frees the context on failure, not our io */
    av_dict_free(&options);
    if (code >= 0 && (code = avformat_find_stream_info(input, NULL)) < 0) avformat_close_input(&input);
    if (code < 0) {
        if (lk_container_cut_short(path))
            lk_fail_cut_off(path, err);
        else
            lk_fail_av(err, code, "%s is not a video or an image that can be read", path);
        avio_closep(&io);
        return NULL;
    }
    return input;
}

void lk_input_close(AVFormatContext **input) {
    if (!*input) return;
    AVIOContext *io = (*input)->pb;
    avformat_close_input(input);
    avio_closep(&io);
}

bool lk_input_is_picture(const AVFormatContext *input) {
    const char *name = input->iformat->name, *end = strstr(name, "_pipe");
    return end && !end[5];
}
