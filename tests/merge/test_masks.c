/* Masks of the faces file in merging: what they keep, and which counts. */
#include "made_up.h"

#include "likeness/masks.h"

enum { AT = 20 };

static lk_error err;
static lk_face *face; /* of frame AT */

static int begin(void **state) {
    prepare(state);
    err = (lk_error){0};
    behaviour = NEGATIVE;
    lk_faceset *s = lk_faceset_open(faces, false, &err);
    int64_t *ids, count = s ? lk_faceset_ids(s, NULL, &ids, &err) : -1;
    face = lk_alloc(1, sizeof *face, &err);
    test_ok(count > AT - FIRST_FACE && lk_faceset_get(s, ids[AT - FIRST_FACE], face, &err), &err);
    assert_int_equal(face->frame, AT);
    free(ids);
    lk_faceset_close(s);
    return 0;
}

static int end(void **state) {
    behaviour = SAME;
    free(face);
    return clean(state);
}

/* White in the columns from `from` on, before `to`, of the crop. */
static void put(lk_mask_kind kind, int from, int to) {
    lk_image m;
    lk_faceset *s = lk_faceset_open(faces, true, &err);
    test_ok(s && lk_image_alloc(&m, 64, 64, 1, LK_U8, &err), &err);
    for (int y = 0; y < 64; y++)
        for (int x = from; x < to; x++) lk_row_u8(&m, y)[x] = 255;
    test_ok(lk_faceset_put_mask(s, face, kind, &m, &err), &err);
    lk_image_free(&m);
    lk_faceset_close(s);
}

static void read_frame(const char *path, int64_t frame, lk_image *rgb) {
    lk_reader *r = lk_reader_open(path, &(lk_reader_options){.first = frame}, &err);
    lk_frame *f = r ? lk_reader_next(r, &err) : NULL;
    test_ok(f && lk_frame_rgb(f, (lk_rect){0, 0, W, H}, LK_U8, rgb, &err), &err);
    lk_frame_free(f);
    lk_reader_close(r);
}

/* Merges frame AT alone, and says of how many pixels per column of the crop (in eighths of it) the frame was changed. */
static void changed_columns(int mask, int cut, double scale, int changed[8]) {
    lk_merge_options o = options();
    lk_image before, after;
    o.composite.mask = mask;
    o.composite.cut = cut;
    o.composite.scale = scale;
    o.composite.color = LK_COLOR_NONE;
    o.steady = 0;
    o.first = AT;
    o.max = 1;
    unlink(output);
    test_ok(lk_merge("model", video, faces, output, &o, NULL, &err), &err);
    read_frame(video, AT, &before);
    read_frame(output, 0, &after);
    memset(changed, 0, 8 * sizeof *changed);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            lk_point p = lk_affine_apply(face->frame_to_crop, (lk_point){(float)x, (float)y});
            if (p.x < 0 || p.x >= 64) continue;
            changed[(int)p.x / 8] += memcmp(lk_row_u8(&before, y) + 3 * x, lk_row_u8(&after, y) + 3 * x, 3) != 0;
        }
    lk_image_free(&before);
    lk_image_free(&after);
    free(o.preset);
}

/* `text`: a column that the face takes is '#', one that it does not '.', one that does not matter '?'. */
static void expect(int mask, int cut, double scale, const char *text) {
    int changed[8];
    changed_columns(mask, cut, scale, changed);
    for (int i = 0; i < 8; i++)
        if (text[i] != '?' && (changed[i] > 0) != (text[i] == '#'))
            fail_msg("mask %d, cut %d: column %d has %d changed pixels, and should be as in %s", mask, cut, i,
                     changed[i], text);
}

static void test_cut(void **state) {
    (void)state;
    expect(LK_MASK_PREDICTED, LK_CUT_ANY, 0, "?######?"); /* no mask, nothing to cut */
    put(LK_MASK_KIND_TRAINED, 32, 64);
    expect(LK_MASK_PREDICTED, LK_CUT_ANY, 0, "...?###?");
    expect(LK_MASK_PREDICTED, LK_CUT_TRAINED, 0, "...?###?");
    expect(LK_MASK_HULL, LK_CUT_TRAINED, 0, "...?#???");
    expect(LK_MASK_PREDICTED, LK_CUT_NONE, 0, "?######?");
    expect(LK_MASK_PREDICTED, LK_CUT_PAINTED, 0, "?######?"); /* it has none of that kind */
    expect(LK_MASK_PREDICTED, LK_CUT_ANY, 25, "...?###?");    /* a hand is not enlarged with the face */
    put(LK_MASK_KIND_PAINTED, 0, 32);                         /* by hand comes first */
    expect(LK_MASK_PREDICTED, LK_CUT_ANY, 0, "?###?...");
    expect(LK_MASK_PREDICTED, LK_CUT_PAINTED, 0, "?###?...");
    expect(LK_MASK_PREDICTED, LK_CUT_TRAINED, 0, "...?###?");
}

static void test_shape(void **state) {
    (void)state;
    expect(LK_MASK_TRAINED, LK_CUT_NONE, 0, "???##???"); /* the hull, where there is no mask */
    put(LK_MASK_KIND_TRAINED, 40, 64);
    expect(LK_MASK_TRAINED, LK_CUT_NONE, 0, "....?##?");
    expect(LK_MASK_PAINTED, LK_CUT_NONE, 0, "???##???");
    put(LK_MASK_KIND_PAINTED, 0, 24);
    expect(LK_MASK_PAINTED, LK_CUT_NONE, 0, "?##.....");
    expect(LK_MASK_TRAINED, LK_CUT_PAINTED, 0, "........"); /* they have nothing in common */
    put(LK_MASK_KIND_SEGMENTED, 0, 32);
    expect(LK_MASK_SEGMENTED, LK_CUT_NONE, 0, "???#....");
}

/* Options by frame know them too. */
static void test_session(void **state) {
    (void)state;
    static const char text[] = "{\"frames\": 20, \"options\": {\"cut\": \"none\"}}\n";
    char *path = lk_path_join(folder, "s.jsonl", &err);
    put(LK_MASK_KIND_TRAINED, 32, 64);
    test_ok(lk_file_write(path, text, sizeof text - 1, &err), &err);
    lk_merge_options o = options();
    lk_image with, without;
    o.steady = 0;
    o.first = AT;
    o.max = 1;
    test_ok(lk_merge("model", video, faces, output, &o, NULL, &err), &err);
    read_frame(output, 0, &with);
    unlink(output);
    o.session = path;
    bool ok = lk_merge("model", video, faces, output, &o, NULL, &err);
    test_ok(ok, &err);
    read_frame(output, 0, &without);
    assert_memory_not_equal(with.data, without.data, W * H * 3);
    lk_image_free(&with);
    lk_image_free(&without);
    free(o.preset);
    free(path);
}

/* A mask that cannot be read is said with the frame and the file. */
static void test_damaged(void **state) {
    (void)state;
    lk_merge_options o = options();
    put(LK_MASK_KIND_TRAINED, 0, 64);
    /* the PNG's signature in the file, and after it something else */
    void *bytes;
    size_t all;
    test_ok(lk_file_read(faces, LK_MIB(64), &bytes, &all, &err), &err);
    uint8_t *at = memmem(bytes, all, "\x89PNG\r\n\x1a\n", 8);
    assert_non_null(at);
    memset(at + 8, 0x55, 20);
    test_ok(lk_file_write(faces, bytes, all, &err), &err);
    assert_false(lk_merge("model", video, faces, output, &o, NULL, &err));
    if (!strstr(err.message, "frame 20") || !strstr(err.message, "trained mask")) fail_msg("%s", err.message);
    free(bytes);
    free(o.preset);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cut, begin, end),
        cmocka_unit_test_setup_teardown(test_shape, begin, end),
        cmocka_unit_test_setup_teardown(test_session, begin, end),
        cmocka_unit_test_setup_teardown(test_damaged, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
