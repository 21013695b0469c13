/* News on stderr. On a terminal a bar is redrawn in place, ten times a second at most; elsewhere a line is printed
 * every few seconds. The sinks are called by one thread at a time. */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"

#define REDRAW_SECONDS 0.1
#define LINE_SECONDS   5.0
#define BAR            24
#define LONGEST        400

static struct {
    bool is_terminal, drawn; /* drawn: the cursor stands at the end of a bar */
    double start;            /* of the job that is shown: tells one from the next */
    double first_done, first_time;
    double shown; /* when news of it was last printed */
    char details[256];
} state;

/* ---- Text ---------------------------------------------------------------------------------------------------- */

/* A file's name may hold bytes that steer a terminal. */
static void clean(char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < 32 || *text == 127) *text = '?';
}

/* Cut to `width` columns; UTF-8's continuation bytes take none. */
static void cut(char *text, int width) {
    int at = 0;
    for (; *text; text++) {
        if (((unsigned char)*text & 0xc0) == 0x80) continue;
        if (at++ == width) {
            *text = 0;
            return;
        }
    }
}

static void duration(char *to, size_t size, double seconds) {
    long s = seconds > 0 && seconds < 1e8 ? (long)(seconds + 0.5) : 0;
    if (s < 60)
        snprintf(to, size, "%ld s", s);
    else if (s < 3600)
        snprintf(to, size, "%ld min %02ld s", s / 60, s % 60);
    else
        snprintf(to, size, "%ld h %02ld min", s / 3600, s / 60 % 60);
}

/* ---- A job's progress ---------------------------------------------------------------------------------------- */

static bool left(const lk_progress *p, char *to, size_t size) {
    double done = p->done - state.first_done, took = p->now - state.first_time;
    if (p->total <= 0 || done <= 0 || took <= 0 || p->done >= p->total) return false;
    char text[40];
    duration(text, sizeof text, (p->total - p->done) * took / done);
    snprintf(to, size, "%s left", text);
    return true;
}

static double share(const lk_progress *p) {
    if (p->total <= 0) return 0;
    double s = p->done / p->total;
    return s < 0 ? 0 : s > 1 ? 1 : s;
}

/* "45 %, 12 s left, 175 frames/s" */
static void describe(const lk_progress *p, char *to, size_t size) {
    char percent[16] = "", time[60] = "";
    if (p->ended)
        duration(time, sizeof time, p->now - p->start);
    else
        left(p, time, sizeof time);
    if (p->total > 0 && !(p->ended && p->done >= p->total))
        snprintf(percent, sizeof percent, "%.0f %%", 100 * share(p));
    snprintf(to, size, "%s%s%s%s%s", percent, *percent && *time ? ", " : "", time,
             (*percent || *time) && *state.details ? ", " : "", state.details);
}

static void draw(const lk_progress *p) {
    char text[LONGEST], line[2 * LONGEST], bar[BAR + 1];
    struct winsize window;
    int width = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 20 ? window.ws_col : 80;
    int full = (int)(share(p) * BAR + 0.5);
    for (int i = 0; i < BAR; i++) bar[i] = i < full ? '#' : '.';
    bar[BAR] = 0;
    describe(p, text, sizeof text);
    if (p->total > 0 && width >= 60)
        snprintf(line, sizeof line, "%.200s [%s] %s", p->what, bar, text);
    else
        snprintf(line, sizeof line, "%.200s: %s", p->what, text);
    clean(line);
    cut(line, width - 1);
    fprintf(stderr, "\r\033[K%s%s", line, p->ended ? "\n" : "");
    state.drawn = !p->ended;
}

static void print_line(const lk_progress *p) {
    char text[LONGEST], line[2 * LONGEST];
    describe(p, text, sizeof text);
    snprintf(line, sizeof line, "%.200s: %s", p->what, text);
    clean(line);
    fprintf(stderr, "%s\n", line);
}

static void on_progress(const lk_progress *p, void *user) {
    (void)user;
    if (p->start != state.start) {
        state.start = p->start;
        state.first_done = 0;
        state.first_time = p->start;
        state.shown = state.is_terminal ? 0 : p->start;
        state.details[0] = 0;
    }
    if (p->details) snprintf(state.details, sizeof state.details, "%s", p->details);
    /* What was done before this run began says nothing about its speed. */
    if (state.first_done == 0 && p->done > 0) {
        state.first_done = p->done;
        state.first_time = p->now;
    }
    double wait = state.is_terminal ? REDRAW_SECONDS : LINE_SECONDS;
    if (!p->ended && p->now - state.shown < wait) return;
    state.shown = p->now;
    if (state.is_terminal)
        draw(p);
    else
        print_line(p);
}

static void on_log(lk_log_level level, const char *text, void *user) {
    (void)user;
    char line[2000];
    if (level == LK_LOG_DEBUG) return;
    snprintf(line, sizeof line, "%s", text);
    clean(line);
    fprintf(stderr, "%s%s%s\n", state.drawn ? "\r\033[K" : "", level == LK_LOG_WARN ? "warning: " : "", line);
    state.drawn = false;
    state.shown = 0;
}

static void on_warning(lk_log_level level, const char *text, void *user) {
    if (level == LK_LOG_WARN) on_log(level, text, user);
}

void cli_terminal_start(bool quiet) {
    state.is_terminal = isatty(STDERR_FILENO) == 1;
    lk_log_to(quiet ? on_warning : on_log, NULL);
    if (!quiet) lk_progress_to(on_progress, NULL);
}

void cli_complain(const char *text) {
    char line[sizeof((lk_error *)0)->message + 1];
    snprintf(line, sizeof line, "%s", text);
    clean(line);
    fprintf(stderr, "%slikeness: %s\n", state.drawn ? "\n" : "", line);
}
