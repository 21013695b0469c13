/* Which way each layer is computed on a GPU. */
#include "ways.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../kept.h"

#define MOST 4096 /* more are timed by each executor */

/* A key is written as the numbers of 32 bits that it consists of, so that none can be forgotten. */
#define KEY_NUMBERS (sizeof(lk_gpu_layer_key) / sizeof(int32_t))
_Static_assert(sizeof(lk_gpu_layer_key) % sizeof(int32_t) == 0, "a key of other numbers");

static lk_known_layer *known;
static int known_count, known_room;
static bool changed; /* since the file was written */
static bool told;    /* that it cannot be kept */
static char *head, *path;
static lk_error no_path;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int lk_gpu_trials(void) {
    const char *said = getenv("LIKENESS_GPU_TRIALS");
    int count = said ? atoi(said) : 3;
    return count < 1 ? 1 : count;
}

static lk_known_layer *find(const lk_gpu_layer_key *key, int trials) {
    for (int i = 0; i < known_count; i++)
        if (known[i].trials == trials && !memcmp(&known[i].key, key, sizeof *key)) return &known[i];
    return NULL;
}

/* Where memory is short it is not known, which costs time alone. */
static void add(const lk_known_layer *l) {
    if (known_count == known_room && known_room < MOST) {
        int room = known_room ? 2 * known_room : 64;
        lk_known_layer *more = lk_alloc((size_t)room, sizeof *more, NULL);
        if (!more) return;
        if (known) memcpy(more, known, (size_t)known_count * sizeof *known);
        free(known);
        known = more;
        known_room = room;
    }
    if (known_count < known_room) known[known_count++] = *l;
}

/* ---- The file -------------------------------------------------------------------------------------------- */

static const char *const libraries_of_ways[LK_WAY_COUNT] = {
    [LK_WAY_PLAIN] = "plain", [LK_WAY_CUDNN] = "cudnn", [LK_WAY_CUBLASLT] = "cublaslt"};

static bool number(const char **at, int64_t least, int64_t most, int64_t *value) {
    char *end;
    errno = 0;
    long long n = strtoll(*at, &end, 10);
    if (end == *at || errno || n < least || n > most) return false;
    *at = end;
    *value = n;
    return true;
}

bool lk_ways_parse(const char *line, lk_known_layer *l) {
    int32_t words[KEY_NUMBERS];
    int64_t value;
    memset(l, 0, sizeof *l);
    for (size_t i = 0; i < KEY_NUMBERS; i++) {
        if (!number(&line, INT32_MIN, INT32_MAX, &value)) return false;
        words[i] = (int32_t)value;
    }
    memcpy(&l->key, words, sizeof l->key);
    if (!number(&line, 1, INT32_MAX, &value) || strncmp(line, " > ", 3) != 0) return false;
    l->trials = (int)value;
    line += 3;
    size_t length = strcspn(line, " ");
    for (int by = LK_WAY_PLAIN; by < LK_WAY_COUNT; by++)
        if (strlen(libraries_of_ways[by]) == length && !strncmp(line, libraries_of_ways[by], length))
            l->way.by = (lk_way_by)by;
    if (l->way.by == LK_WAY_UNKNOWN) return false;
    for (line += length; *line; l->way.count++)
        if (*line != ' ' || l->way.count == LK_WAY_NUMBERS ||
            !number(&line, INT64_MIN, INT64_MAX, &l->way.numbers[l->way.count]))
            return false;
    return true;
}

void lk_ways_print(FILE *out, const lk_known_layer *l) {
    int32_t words[KEY_NUMBERS];
    memcpy(words, &l->key, sizeof words);
    for (size_t i = 0; i < KEY_NUMBERS; i++) fprintf(out, "%d ", (int)words[i]);
    fprintf(out, "%d > %s", l->trials, libraries_of_ways[l->way.by]);
    for (int i = 0; i < l->way.count; i++) fprintf(out, " %lld", (long long)l->way.numbers[i]);
    fputc('\n', out);
}

static bool add_line(const char *line, void *user) {
    (void)user;
    lk_known_layer l;
    if (!lk_ways_parse(line, &l)) return false;
    if (!find(&l.key, l.trials)) add(&l);
    return true;
}

static void print_lines(FILE *out, void *user) {
    (void)user;
    for (int i = 0; i < known_count; i++) lk_ways_print(out, &known[i]);
}

void lk_ways_begin(const char *gpu, const char *libraries) {
    char *now =
        lk_format(NULL,
                  "likeness ways 1\nlikeness %s\ngpu %s\nlibraries %s\n"
                  "# the layer's key (lk_gpu_layer_key) and how many engines were timed > the way: cudnn fused, "
                  "padded, engine, and kind and value of each knob; cublaslt the algorithm's configuration; "
                  "plain: the libraries do not take it\n",
                  LK_VERSION, gpu, libraries);
    if (!now) return;
    pthread_mutex_lock(&lock);
    if (head && !strcmp(now, head)) {
        free(now);
    } else {
        free(head);
        free(path);
        head = now;
        path = lk_kept_path("gpu-layers", &gpu, 1, &no_path);
        known_count = 0;
        changed = false;
        lk_error why = {0};
        if (!lk_kept_read(path, head, add_line, NULL, &why))
            lk_log(LK_LOG_INFO, "%s; layers are timed anew", why.message);
    }
    pthread_mutex_unlock(&lock);
}

void lk_ways_save(void) {
    pthread_mutex_lock(&lock);
    if (changed) {
        changed = false;
        int file = lk_kept_lock(path);
        lk_error why = no_path;
        lk_kept_read(path, head, add_line, NULL, NULL); /* what is damaged was told, and is written anew */
        bool kept = path && lk_kept_write(path, head, print_lines, NULL, &why);
        lk_kept_unlock(file);
        if (kept)
            lk_log(LK_LOG_DEBUG, "how %d layers are computed is kept in %s", known_count, path);
        else if (!told)
            lk_log(LK_LOG_WARN, "how layers are computed fastest is not kept: %s", why.message);
        told = told || !kept;
    }
    pthread_mutex_unlock(&lock);
}

/* ---- Opening --------------------------------------------------------------------------------------------- */

static bool build_known(const lk_way_steps *steps, lk_gpu *gpu, lk_gpu_layer *l, lk_known_layer *k) {
    if (!steps->build(gpu, l, &k->way)) return false;
    if (k->ran || steps->run(gpu, l)) return k->ran = true;
    steps->close(l);
    return false;
}

static bool choose(const lk_way_steps *steps, lk_gpu *gpu, lk_gpu_layer *l, const lk_gpu_layer_key *key) {
    lk_known_layer made;
    memset(&made, 0, sizeof made);
    made.key = *key;
    made.trials = lk_gpu_trials();
    made.ran = true;
    bool works = steps->choose(gpu, l, &made.way);
    if (made.way.by == LK_WAY_UNKNOWN) return works;
    add(&made);
    changed = true;
    return works;
}

bool lk_ways_open(const lk_way_steps *steps, lk_gpu *gpu, lk_gpu_layer *l, const lk_gpu_layer_key *key) {
    pthread_mutex_lock(&lock);
    lk_known_layer *k = find(key, lk_gpu_trials());
    bool plain = k && k->way.by == LK_WAY_PLAIN, works = k && !plain && build_known(steps, gpu, l, k);
    if (!works && !plain) {
        if (k) {
            lk_log(LK_LOG_INFO, "a way to compute a layer that was kept no longer works; the layer is timed anew");
            *k = known[--known_count];
            changed = true;
        }
        works = choose(steps, gpu, l, key);
    }
    pthread_mutex_unlock(&lock);
    return works;
}
