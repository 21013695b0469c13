#include "likeness/base.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool set(lk_error *err, lk_errcode code, const char *format, va_list args, const char *behind) {
    if (!err) return false;
    char text[sizeof err->message];
    vsnprintf(text, sizeof text, format, args);
    err->code = code;
    snprintf(err->message, sizeof err->message, "%s%s%s", text, behind ? ": " : "", behind ? behind : "");
    return false;
}

bool lk_fail(lk_error *err, lk_errcode code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    set(err, code, format, args, NULL);
    va_end(args);
    return false;
}

bool lk_fail_in(lk_error *err, const char *format, ...) {
    if (!err) return false;
    char before[sizeof err->message];
    snprintf(before, sizeof before, "%s", err->message);
    va_list args;
    va_start(args, format);
    set(err, err->code, format, args, before);
    va_end(args);
    return false;
}

bool lk_fail_errno(lk_error *err, const char *format, ...) {
    int saved = errno;
    char text[128] = "";
    const char *reason = strerror_r(saved, text, sizeof text);
    va_list args;
    va_start(args, format);
    set(err, saved == ENOMEM ? LK_ERR_MEMORY : LK_ERR_IO, format, args, reason);
    va_end(args);
    errno = saved;
    return false;
}
