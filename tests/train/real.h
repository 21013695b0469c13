/* Faces of the sample clips, which the fixture real_faces extracted (tests/real_faces.sh). */
#ifndef LIKENESS_TEST_TRAIN_REAL_H
#define LIKENESS_TEST_TRAIN_REAL_H

#include "made_up.h"

#define REAL_FEW  16 /* faces in each of few/src.faces and few/dst.faces */
#define REAL_MANY 60

static inline bool have_real_faces(void) { return lk_file_exists(LK_REAL "/many/dst.faces"); }

/* What a program that needs them and has none says; the exit status by which ctest counts it as skipped. */
static inline int real_skipped(void) {
    print_message("skipped, no faces of the sample clips: ctest -R real_faces extracts them\n");
    return 77;
}

/* A folder with few/src.faces and few/dst.faces; made-up ones where there are no clips. */
static inline char *real_folder(void) {
    char *folder = test_folder(), command[2000];
    if (have_real_faces()) {
        snprintf(command, sizeof command, "cp '" LK_REAL "/few/src.faces' '" LK_REAL "/few/dst.faces' '%s'", folder);
        assert_int_equal(system(command), 0);
        return folder;
    }
    print_message("no faces of the sample clips: made-up ones take their place\n");
    char *src = lk_path_join(folder, "src.faces", NULL), *dst = lk_path_join(folder, "dst.faces", NULL);
    made_up_faces(src, &(made_up_set){REAL_FEW, 80, LK_FACE_FULL, -40, 40, 1, 0});
    made_up_faces(dst, &(made_up_set){REAL_FEW, 80, LK_FACE_FULL, -40, 40, 2, 0});
    free(src);
    free(dst);
    return folder;
}

#endif
