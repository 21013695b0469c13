#include <stdlib.h>

#include "set.h"

typedef struct values {
    int keep;
    char *like;
    double similarity;
} values;

static const lk_option table[] = {
    {"keep", 0, LK_OPT_INT, offsetof(values, keep), "0", 0, 1000, NULL, "NUMBER",
     "take out everyone but this person; 1 is whom most of the faces show"},
    {"keep-like", 0, LK_OPT_STRING, offsetof(values, like), NULL, 0, 0, NULL, "IMAGE",
     "take out everyone but the person in this picture"},
    {"similarity", 0, LK_OPT_FLOAT, offsetof(values, similarity), "0.65", -1, 1, NULL, "COSINE",
     "how alike that person must be"},
    {0},
};

static const cli_group groups[] = {{"Who stays", table, 0}, {0}};

/* Faces of which nothing is known stay. */
static bool keep(cli_call *call, lk_faceset *set, const lk_people *p, lk_error *err) {
    const values *v = call->values;
    int64_t *out = lk_alloc((size_t)p->count + 1, sizeof *out, err), count = 0;
    if (!out) return false;
    for (int64_t i = 0; i < p->count; i++) {
        bool stays = p->person[i] < 0 || (v->like ? p->similarity[i] >= v->similarity : p->person[i] == v->keep - 1);
        if (!stays) out[count++] = p->ids[i];
    }
    bool ok = count < p->count ||
              lk_fail(err, LK_ERR_NOT_FOUND, "nobody in %s is like that; nothing was taken out", call->words.items[0]);
    ok =
        ok && lk_faceset_mark(set, out, count, true, err) >= 0 && cli_result(call, "removed", json_integer(count), err);
    if (ok) cli_say(call, "%lld faces are taken out; %lld are left\n", (long long)count, (long long)(p->count - count));
    free(out);
    return ok;
}

static bool show(cli_call *call, const lk_people *p, lk_error *err) {
    json_t *list = json_array();
    if (!cli_result(call, "people", list, err)) return false;
    for (int k = -1; k < p->people; k++) {
        int64_t faces = 0;
        double sum = 0;
        for (int64_t i = 0; i < p->count; i++) {
            if (p->person[i] != k) continue;
            faces++;
            sum += p->similarity[i];
        }
        if (!faces) continue;
        if (k < 0)
            cli_say(call, "not known:  %lld faces ('likeness set describe' looks at them)\n", (long long)faces);
        else
            cli_say(call, "person %d:   %lld faces, alike by %.2f\n", k + 1, (long long)faces, sum / (double)faces);
        json_array_append_new(list, json_pack("{s:i, s:I, s:f}", "person", k + 1, "faces", (json_int_t)faces,
                                              "similarity", sum / (double)faces));
    }
    return true;
}

static bool run(cli_call *call, lk_error *err) {
    const values *v = call->values;
    lk_people p = {0};
    bool change = v->keep || v->like;
    lk_faceset *set = lk_faceset_open(call->words.items[0], change, err);
    bool ok = set && (v->like ? lk_faceset_people_like(set, v->like, &p, err) : lk_faceset_people(set, &p, err));
    if (ok && v->keep > p.people)
        ok = lk_fail(err, LK_ERR_USAGE, "there are %d people in %s, not %d", p.people, call->words.items[0], v->keep);
    ok = ok && show(call, &p, err) && (!change || keep(call, set, &p, err));
    lk_people_free(&p);
    lk_faceset_close(set);
    return ok;
}

const cli_command cli_set_people = {
    .name = "people",
    .purpose = "tell the people in a set apart, and keep one of them",
    .usage = "SET.faces [options]",
    .examples = "  likeness set people anna.faces\n"
                "  likeness set people anna.faces --keep 1\n"
                "  likeness set people anna.faces --keep-like anna.jpg",
    .next = "  likeness set sort SET.faces --by person\n"
            "  likeness set restore SET.faces     undo it",
    .least_words = 1,
    .most_words = 1,
    .groups = groups,
    .size = sizeof(values),
    .run = run,
};
