/* Random edits, killed between and within them: the file opens, is sound, and holds every edit that was reported done. */
#include "made_up.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "likeness/curate.h"

#define FACES 200

/* LIKENESS_EDITS=1000 for the long run. */
static int edits = 250;

/* Shared by child and parent. */
typedef struct diary {
    volatile int done; /* edits that the child has reported */
    int most;          /* it waits to be killed when it has done so many */
} diary;

/* The state that a sequence of edits leads to. */
typedef struct model {
    bool removed[FACES], absent[FACES];
    float moved[FACES]; /* x of the first point */
    int sorted;         /* by which, the last time; −1: never */
    bool reversed;
} model;

typedef struct edit {
    int kind, first, count, how;
} edit;

/* Edit n is a function of n alone. */
static edit edit_number(int n) {
    lk_rng r = lk_rng_make(77, (uint64_t)n);
    edit e = {.kind = (int)lk_rng_below(&r, 5), .first = (int)lk_rng_below(&r, FACES)};
    e.count = 1 + (int)lk_rng_below(&r, 30);
    if (e.first + e.count > FACES) e.count = FACES - e.first;
    e.how = (int)lk_rng_below(&r, 2);
    return e;
}

static void imagine(model *m, int n) {
    edit e = edit_number(n);
    for (int i = e.first; i < e.first + e.count; i++) {
        if (e.kind == 0) m->removed[i] = true;
        if (e.kind == 1) m->removed[i] = false;
        if (e.kind == 2) m->moved[i] = (float)n;
        if (e.kind == 3) m->absent[i] = e.how;
        if (e.kind == 3 && e.how) m->removed[i] = true;
    }
    if (e.kind == 4) {
        m->sorted = LK_SORT_YAW;
        m->reversed = e.how;
    }
}

static bool move(lk_faceset *s, const edit *e, int n, lk_error *err) {
    static lk_face f;
    bool ok = lk_faceset_begin(s, err);
    for (int i = e->first; ok && i < e->first + e->count; i++) {
        ok = lk_faceset_get(s, i + 1, &f, err);
        f.points.p[0].x = (float)n;
        ok = ok && lk_faceset_update(s, &f, NULL, 0, err);
    }
    return ok && lk_faceset_commit(s, err);
}

static bool perform(lk_faceset *s, int n, lk_error *err) {
    edit e = edit_number(n);
    int64_t ids[FACES];
    for (int i = 0; i < e.count; i++) ids[i] = e.first + i + 1;
    lk_faceset_frames frames = {e.first, e.first + e.count - 1};
    switch (e.kind) {
    case 0:
    case 1:
        return lk_faceset_mark(s, ids, e.count, e.kind == 0, err) >= 0;
    case 2:
        return move(s, &e, n, err);
    case 3:
        return lk_faceset_mark_absent(s, 1, &frames, 1, e.how, err) >= 0;
    default:
        return lk_faceset_sort(s, LK_SORT_YAW, e.how, err);
    }
}

static void edit_until_killed(const char *path, diary *d, int from) {
    lk_error err = {0};
    lk_faceset *s = lk_faceset_open(path, true, &err);
    if (!s) _exit(2);
    for (int n = from; n < edits; n++) {
        while (n == d->most) pause();
        if (!perform(s, n, &err)) _exit(3);
        d->done = n + 1;
        if (n % 40 == 39) { /* some die while closing or opening */
            lk_faceset_close(s);
            s = lk_faceset_open(path, true, &err);
            if (!s) _exit(4);
        }
    }
    lk_faceset_close(s);
    _exit(0);
}

static int ask(sqlite3 *db, const char *sql, int number) {
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
    sqlite3_bind_int(q, 1, number);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    int n = sqlite3_column_int(q, 0);
    sqlite3_finalize(q);
    return n;
}

/* The first face that is not as imagined; −1: all are. */
static int differs(lk_faceset *s, sqlite3 *db, const model *m) {
    static lk_face f;
    lk_error err = {0};
    for (int i = 0; i < FACES; i++) {
        test_ok(lk_faceset_get(s, i + 1, &f, &err), &err);
        if (f.removed != m->removed[i] || (m->moved[i] > 0 && f.points.p[0].x != m->moved[i])) return i;
        if (ask(db, "SELECT count(*) FROM absent WHERE frame = ?", i) != m->absent[i]) return i;
    }
    return -1;
}

/* Yaw rises (or falls) along the kept places of all faces that were sorted last. */
static void check_sorted(sqlite3 *db, const model *m) {
    if (m->sorted < 0) return;
    int wrong =
        ask(db,
            "SELECT count(*) FROM (SELECT yaw, lag(yaw) OVER (ORDER BY position) AS before FROM place JOIN face "
            "ON face.id = place.face) WHERE CASE ? WHEN 0 THEN yaw < before ELSE yaw > before END",
            m->reversed);
    assert_int_equal(wrong, 0);
}

static void check(const char *path, model *m, int *done) {
    sqlite3 *db;
    sqlite3_stmt *q;
    lk_error err = {0};
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(q, 0), "ok");
    sqlite3_finalize(q);
    lk_faceset *s = lk_faceset_open(path, false, &err);
    test_ok(s != NULL, &err);
    model next = *m;
    if (*done < edits) imagine(&next, *done);
    if (differs(s, db, m) < 0) {
        if (edit_number(*done).kind == 4) { /* a sort shows in its order alone: done or not, both are fine */
            int wrong = ask(db, "SELECT count(*) FROM place WHERE position < ?", 0);
            assert_int_equal(wrong, 0);
        } else {
            check_sorted(db, m);
        }
    } else { /* killed between the end of an edit and its report */
        int which = differs(s, db, &next);
        if (which >= 0) fail_msg("after %d edits face %d is not as it should be", *done, which + 1);
        *m = next;
        ++*done;
        check_sorted(db, m);
    }
    lk_faceset_close(s);
    sqlite3_close(db);
}

static void test_edits(void **state) {
    (void)state;
    lk_error err = {0};
    char *folder = test_folder(), *path = lk_path_join(folder, "edits.faces", NULL);
    lk_faceset *s = lk_faceset_create(path, &err);
    test_ok(s != NULL, &err);
    lk_source source = made_up_source("a.mp4");
    source.frames = FACES;
    test_ok(lk_faceset_add_source(s, &source, &err) && lk_faceset_begin(s, &err), &err);
    for (int i = 0; i < FACES; i++) {
        unsigned char jpeg[MADE_UP_JPEG];
        lk_face f = made_up_face(source.id, i, jpeg);
        test_ok(lk_faceset_add(s, &f, jpeg, 500, &err), &err);
    }
    test_ok(lk_faceset_commit(s, &err), &err);
    lk_faceset_close(s);
    diary *d = mmap(NULL, sizeof *d, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(d != MAP_FAILED);
    model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->sorted = -1;
    lk_rng r = lk_rng_make(5, 6);
    int done = 0, kills = 0;
    while (done < edits) {
        int more = done + (int)lk_rng_below(&r, 12);
        d->done = done;
        d->most = more + 6;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) edit_until_killed(path, d, done);
        int status;
        bool over = false; /* by itself */
        while (!over && d->done < more && d->done < edits) {
            over = waitpid(child, &status, WNOHANG) == child;
            usleep(20);
        }
        usleep(lk_rng_below(&r, 3000)); /* about as long as an edit takes */
        kill(child, SIGKILL);
        assert_true(over || waitpid(child, &status, 0) == child);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        kills += WIFSIGNALED(status);
        while (done < d->done) imagine(m, done++);
        check(path, m, &done);
    }
    print_message("%d edits, killed %d times\n", done, kills);
    assert_true(kills >= edits / 20);
    munmap(d, sizeof *d);
    free(m);
    free(path);
    test_remove_folder(folder);
}

int main(void) {
    const char *wanted = getenv("LIKENESS_EDITS");
    if (wanted && atoi(wanted) > 0) edits = atoi(wanted);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_edits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
