/* Schedules under a name, and in a user's file. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

const char *const lk_recipe_names[] = {"fast", "classic", "styled", "brief", NULL};

/* fast: as classic after a fraction of the time (docs/models.md has the figures): the rate climbs until Adam knows how large
 * gradients are, and comes down again as details matter. classic: the recipe of 2019, as docs/models.md has it. styled: strong
 * styles until 15,000 iterations, then weak ones until the face is clear. brief: for minutes, in which the full warp would
 * hide smiles and rare expressions would hardly come, and at whose end the rate settles. */
static const char *const recipes[] = {
    "momentum = 0.9\nwarp = 40\nrate = 100@0,200@20,400@50,200@20000,100@60000\n",
    "he-weights = no\nmomentum = 0\naverage = no\nwarp = 100\nrate = 100\nprecision = float32\nflip = yes\n"
    "feed-by-expression = no\ncolor-transfer = no\nfeature-power = 0\n",
    "face-style-power = 10@0,0.1@15000\nbackground-style-power = 10@0,4@15000\n",
    "batch = 4\nwarp = 40\nfeed-by-expression = yes\ncolor-transfer = yes\nfeature-power = 30\naverage = no\n",
};

static char *blanks_off(char *s) {
    while (*s == ' ' || *s == '\t') s++;
    for (size_t n = strlen(s); n > 0 && strchr(" \t\r", s[n - 1]); n--) s[n - 1] = 0;
    return s;
}

/* Lines "NAME = VALUE" or "NAME = VALUE@ITERATION, …"; # begins a comment. */
static bool apply(char *text, const char *what,
                  bool (*set)(void *user, const char *name, const char *value, lk_error *), void *user, lk_error *err) {
    int number = 0;
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        number++;
        char *comment = strchr(line, '#');
        if (comment) *comment = 0;
        line = blanks_off(line);
        if (!*line) continue;
        char *equals = strchr(line, '=');
        if (!equals) return lk_fail(err, LK_ERR_USAGE, "%s, line %d: '%.60s' is not NAME = VALUE", what, number, line);
        *equals = 0;
        if (!set(user, blanks_off(line), blanks_off(equals + 1), err))
            return lk_fail_in(err, "%s, line %d", what, number);
    }
    return true;
}

bool lk_recipe_apply(const char *recipe, bool (*set)(void *user, const char *name, const char *value, lk_error *err),
                     void *user, lk_error *err) {
    void *text = NULL;
    size_t size;
    for (size_t i = 0; lk_recipe_names[i]; i++)
        if (strcmp(recipe, lk_recipe_names[i]) == 0 && !(text = lk_strdup(recipes[i], err))) return false;
    if (!text && !lk_file_exists(recipe))
        return lk_fail(err, LK_ERR_USAGE,
                       "there is no recipe '%.200s': take fast, classic, styled, brief, or a file of lines "
                       "NAME = VALUE@ITERATION, …",
                       recipe);
    if (!text && !lk_file_read(recipe, LK_MIB(1), &text, &size, err)) return false;
    bool ok = apply(text, recipe, set, user, err);
    free(text);
    return ok;
}

/* quick learns by large steps of its own. */
const char *lk_recipe_of(const lk_swap_config *c) { return c->arch == LK_ARCH_QUICK ? NULL : "fast"; }

static bool is_option(const char *name) {
    for (const lk_option *o = lk_swap_objective_options; o->name; o++)
        if (strcmp(o->name, name) == 0) return true;
    for (const lk_option *o = lk_train_option_table; o->name; o++)
        if (strcmp(o->name, name) == 0) return true;
    return false;
}

/* "--NAME TEXT" or "--NAME=TEXT" with a text that only a schedule has. Returns how many words it takes; 0: none. */
static int schedule_at(int left, char **words, char name[64], const char **text) {
    if (strncmp(words[0], "--", 2) != 0) return 0;
    const char *equals = strchr(words[0], '=');
    *text = equals ? equals + 1 : left > 1 && words[1][0] != '-' ? words[1] : "";
    snprintf(name, 64, "%.*s", equals ? (int)(equals - words[0] - 2) : 63, words[0] + 2);
    if (!is_option(name) || !(strchr(*text, '@') || strstr(*text, ".."))) return 0;
    return equals ? 1 : 2;
}

int lk_train_take_schedules(int argc, char **argv, lk_strings *set) {
    int kept = 0;
    for (int i = 0; i < argc;) {
        char name[64];
        const char *text;
        int words = schedule_at(argc - i, argv + i, name, &text);
        char *entry = words ? lk_format(NULL, "%s=%s", name, text) : NULL;
        if (entry && lk_strings_add(set, entry, NULL))
            i += words;
        else
            argv[kept++] = argv[i++];
        free(entry);
    }
    return kept;
}
