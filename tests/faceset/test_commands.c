/* 'likeness set …' as a user runs it, on faces that Python made in DeepFaceLab's format. */
#include "cli/program.h"

#include <jansson.h>

#define DFL LK_GOLDEN "/dfl"

static json_t *printed_json(void) {
    json_error_t e;
    json_t *json = json_loads(printed, 0, &e);
    if (!json) fail_msg("%s: %s", e.text, printed);
    return json;
}

static int64_t number(const char *key) {
    json_t *json = printed_json();
    int64_t n = json_integer_value(json_object_get(json, key));
    json_decref(json);
    return n;
}

static void test_in_and_out(void **state) {
    (void)state;
    expect(likeness("set import odd.faces '" DFL "/odd'"), 0, "3 of 15 pictures are added");
    assert_non_null(strstr(said, "h_imports.jpg is left out: the pickle wants to import os.system"));
    expect(likeness("set import a.faces '" DFL "/aligned' --json"), 0, "");
    assert_int_equal(number("added"), 1000);
    expect(likeness("set export a.faces out"), 0, "1000 faces are written");
    expect(shell("diff -r out '" DFL "/aligned'"), 0, "");
    expect(likeness("set export a.faces out"), 0, "1000 were there already");
    expect(likeness("set import a.faces nowhere"), 1, "nowhere cannot be read");
    expect(likeness("set export nothing.faces x"), 1, "nothing.faces");
    expect(likeness("set import a.faces"), 2, "");
}

static void test_choosing(void **state) {
    (void)state;
    for (const char *const *by = (const char *const[]){"yaw", "hist", "face-dissim", "final", "best", "person", NULL};
         *by; by++)
        expect(likeness("set sort a.faces --by %s", *by), 0, "1000 faces in order");
    expect(likeness("set sort a.faces --by beauty"), 2, "beauty");
    expect(likeness("set select a.faces 'yaw < 0 and sharpnes > 3'"), 2, "character 13");
    expect(likeness("set select a.faces 'rank(sharpness) < 0.1' --remove --json"), 0, "");
    assert_int_equal(number("changed"), 100);
    expect(likeness("set select a.faces 'id > 0' --remove --keep"), 2, "only one of");
    expect(likeness("set remove a.faces 3 99999"), 1, "no face 99999");
    expect(likeness("set remove a.faces three"), 2, "'three'");
    expect(likeness("set restore a.faces --json"), 0, "");
    assert_int_equal(number("left"), 1000);
    expect(likeness("set list a.faces --where 'frame < 10' -o list.csv"), 0, "list.csv");
    expect(shell("wc -l < list.csv"), 0, "21");
    expect(likeness("set list a.faces --json --where 'frame = 3'"), 0, "");
    json_t *json = printed_json();
    assert_int_equal(json_array_size(json_object_get(json, "list")), 2);
    json_decref(json);
    expect(likeness("set duplicates a.faces --remove"), 0, "faces are nearly the same");
    expect(likeness("set best a.faces 50"), 0, "50 of");
    expect(likeness("set best a.faces none"), 2, "'none'");
    expect(likeness("set prune a.faces --json"), 0, "");
    assert_int_equal(number("pruned"), 950);
    expect(likeness("set people a.faces"), 0, "not known:  50 faces");
    expect(likeness("set people a.faces --keep 2"), 2, "there are 0 people");
}

static void test_repairing(void **state) {
    (void)state;
    expect(likeness("set suspects odd.faces"), 0, "faces have landmarks in doubt");
    expect(likeness("set landmarks export odd.faces -o p.json"), 0, "3 faces are in p.json");
    expect(shell("sed -i '0,/[0-9][0-9]*[.][0-9]*/s//50.5/' p.json"), 0, "");
    expect(likeness("set landmarks import odd.faces p.json"), 0, "1 faces have new landmarks");
    expect(likeness("set landmarks import odd.faces list.csv"), 1, "list.csv");
    expect(likeness("set landmarks absent odd.faces --frames 7-3"), 2, "no list of frames");
    expect(likeness("set landmarks fill odd.faces"), 0, "0 faces were filled in");
    expect(likeness("set report odd.faces --for odd.faces -o page.html"), 0, "all of it: page.html");
    expect(shell("grep -c '<svg' page.html"), 0, "");
}

static void test_masking(void **state) {
    (void)state;
    expect(likeness("set mask export odd.faces -o masks"), 0, "3 masks written");
    expect(likeness("set mask export odd.faces -o masks"), 1, "exists already");
    expect(likeness("set mask import odd.faces masks"), 0, "3 faces have a painted mask");
    expect(likeness("set mask export odd.faces -o drawn.json --json"), 0, "");
    int64_t drawn = number("faces");
    expect(likeness("set mask import odd.faces drawn.json --json"), 0, "");
    assert_int_equal(number("faces"), drawn);
    expect(likeness("set mask import odd.faces list.json"), 1, "list.json");
    expect(likeness("set mask import odd.faces odd.faces"), 1,
           "odd.faces is neither a folder of PNGs nor a .json file");
    expect(likeness("set mask clear odd.faces --kind painted --where 'frame < 0'"), 0, "0 faces lost masks");
    expect(likeness("set mask clear odd.faces --kind painting"), 2, "painting");
    expect(likeness("set sheet odd.faces -o sheet.png --masks"), 0, "sheet.png");
    expect(likeness("mask train net"), 2, "--set SET.faces");
    expect(likeness("mask train net --set odd.faces"), 2, "a network learns one");
    expect(likeness("mask apply net odd.faces"), 1, "net holds no mask network");
    expect(likeness("set mask clear odd.faces"), 0, "3 faces lost masks");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_and_out),
        cmocka_unit_test(test_choosing),
        cmocka_unit_test(test_repairing),
        cmocka_unit_test(test_masking),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
