#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "likeness/train.h"

static void say(const char *text) {
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
}

static void stop(int signal) {
    (void)signal;
    if (lk_interrupted()) _exit(130);
    lk_interrupt_request();
    say("\nlikeness: stopping at the next safe moment; once more stops at once\n");
}

static void preview(int signal) {
    (void)signal;
    lk_train_request_preview();
}

static void on(int number, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

static bool ignored(int number) {
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

void cli_signals_start(void) {
    on(SIGTERM, stop);
    if (!ignored(SIGINT)) on(SIGINT, stop); /* a shell's background jobs ignore it */
    if (!ignored(SIGHUP)) on(SIGHUP, stop); /* nohup */
    on(SIGUSR1, preview);
    on(SIGPIPE, SIG_IGN); /* writing then fails with an error, which is told or passed over */
    on(SIGXFSZ, SIG_IGN);
}
