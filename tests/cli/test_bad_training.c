/* What `train` cannot do, said in one sentence with nothing written, on faces of the sample clips. */
#include "program.h"

#define FACES "--src " LK_REAL "/few/src.faces --dst " LK_REAL "/few/dst.faces "
#define TINY  "--resolution 64 --ae-dims 32 --ed-ch-dims 21 --lighter --learn-mask=no --batch 1 "

static void refused(const char *words, int wanted, const char *sentence) {
    int status = likeness("train model %s --iterations 1", words);
    if (status != wanted || !strstr(said, sentence))
        fail_msg("train %s: status %d instead of %d, and '%s' instead of '%s'", words, status, wanted, said, sentence);
    expect_one_sentence();
    if (strstr(names_in("."), "model ")) fail_msg("train %s left a folder", words);
}

static void test_schedules(void **state) {
    (void)state;
    refused(FACES "--set bach=3@0,4@5", 2,
            "there is no option 'bach' that training could change; did you mean 'batch'?");
    refused(FACES "--batch 4@0,8@x", 2, "'x' is no iteration");
    refused(FACES "--set seed=1@0,2@5", 2, "--seed cannot follow a schedule");
    assert_int_equal(shell("printf 'batch = 4\\nbatsh = 5@0\\n' >own.txt"), 0);
    refused(FACES "--recipe own.txt", 2, "own.txt, line 2: there is no option 'batsh'");
    refused(FACES "--recipe nothing", 2, "there is no recipe 'nothing'");
    refused(FACES "--model h64 --set face-style-power=0@0,10@9", 2, "--face-style-power");
}

static void test_dimensions(void **state) {
    (void)state;
    refused(FACES "--ae-dims 1025", 2, "--ae-dims takes a whole number from 0 to 1024");
    refused(FACES "--ae-dims 31", 2, "--ae-dims 31 is not possible: take 32 to 1024");
    refused(FACES "--ed-ch-dims 20", 2, "--ed-ch-dims 20 is not possible: take 21 to 85");
    refused(FACES "--ed-ch-dims 86", 2, "--ed-ch-dims takes a whole number from 0 to 85");
    refused(FACES "--resolution 100", 2, "--resolution 100 is not possible: take a multiple of 16 from 64 to 640");
    refused(FACES "--resolution 640 --ed-ch-dims 85 --ae-dims 32 --batch 1024", 1, "a batch of 1024 does not fit");
}

static void test_faces(void **state) {
    (void)state;
    refused("--src none.faces --dst none.faces", 1, "none.faces");
    refused("--dst " LK_REAL "/few/dst.faces", 2, "training needs faces of src: give --src");
    refused(FACES "--face-type head", 2, "holds faces of type full, which is less than the model shows (head)");
    assert_int_equal(shell("cp " LK_REAL "/few/src.faces one.faces && '" LK_PROGRAM "' set info one.faces >/dev/null"),
                     0);
    assert_int_equal(shell("sqlite3 one.faces 'delete from face where id > (select min(id) from face)'"), 0);
    refused("--src one.faces --dst " LK_REAL "/few/dst.faces", 2, "src has 1 face in ");
    refused(FACES "--evaluate-every 5", 2, "--evaluate-every needs faces that training does not show: say --holdout 5");
}

static void test_beginnings(void **state) {
    (void)state;
    refused(FACES TINY "--init-from nowhere", 1, "nowhere holds no model to begin with");
    expect(likeness("train old %s %s --iterations 1 --quiet", FACES, TINY), 0, "");
    refused(FACES TINY "--init-from old --ae-dims 64", 2,
            "old is of another architecture: of the 33 tensors of the new model ");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_schedules), cmocka_unit_test(test_dimensions),
                                       cmocka_unit_test(test_faces), cmocka_unit_test(test_beginnings)};
    if (access(LK_REAL "/many/dst.faces", R_OK) != 0) {
        print_message("skipped, no faces of the sample clips: ctest -R real_faces extracts them\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
