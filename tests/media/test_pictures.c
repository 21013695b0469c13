/* Single pictures: PNG and JPEG, in memory and in files. */
#include "testing.h"

#include "likeness/media.h"

/* Smooth, so that JPEG keeps it well. */
static lk_image gradient(int width, int height) {
    lk_image image;
    lk_error err = {0};
    test_ok(lk_image_alloc(&image, width, height, 3, LK_U8, &err), &err);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint8_t *p = lk_row_u8(&image, y) + 3 * x;
            p[0] = (uint8_t)(20 + 200 * x / width);
            p[1] = (uint8_t)(220 - 200 * y / height);
            p[2] = (uint8_t)(60 + 100 * (x + y) / (width + height));
        }
    return image;
}

static int largest_difference(const lk_image *a, const lk_image *b) {
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->height, b->height);
    int largest = 0;
    for (int y = 0; y < a->height; y++)
        for (int i = 0; i < 3 * a->width; i++) {
            int d = abs(lk_row_u8(a, y)[i] - lk_row_u8(b, y)[i]);
            if (d > largest) largest = d;
        }
    return largest;
}

static void png_round_trip(void **state) {
    (void)state;
    char *folder = test_folder(), *path = lk_path_join(folder, "50% of a%03d.png", NULL);
    lk_error err = {0};
    lk_image image = gradient(61, 43), back;
    test_ok(lk_image_save(&image, path, 90, &err), &err);
    test_ok(lk_image_load(path, &back, &err), &err);
    assert_int_equal(largest_difference(&image, &back), 0);
    lk_image_free(&image);
    lk_image_free(&back);
    free(path);
    test_remove_folder(folder);
}

static void jpeg_round_trip(void **state) {
    (void)state;
    char *folder = test_folder(), *path = lk_path_join(folder, "a.jpg", NULL);
    lk_error err = {0};
    lk_image image = gradient(120, 97), back;
    void *data;
    size_t size;
    for (int quality = 80; quality <= 100; quality += 10) {
        test_ok(lk_jpeg_encode(&image, quality, &data, &size, &err), &err);
        test_ok(lk_jpeg_decode(data, size, 120, &back, &err), &err);
        assert_in_range(largest_difference(&image, &back), 0, quality == 80 ? 16 : 6);
        lk_image_free(&back);
        assert_false(lk_jpeg_decode(data, size, 119, &back, &err));
        assert_null(back.data);
        assert_int_equal(err.code, LK_ERR_FORMAT);
        assert_false(lk_jpeg_decode(data, size / 2, 120, &back, &err));
        assert_non_null(strstr(err.message, "damaged"));
        assert_false(lk_jpeg_decode("no JPEG", 7, 120, &back, &err));
        assert_false(lk_jpeg_decode("", 0, 120, &back, &err));
        free(data);
    }
    test_ok(lk_image_save(&image, path, 95, &err), &err);
    test_ok(lk_image_load(path, &back, &err), &err);
    assert_in_range(largest_difference(&image, &back), 0, 5);
    lk_image_free(&image);
    lk_image_free(&back);
    free(path);
    test_remove_folder(folder);
}

static void what_cannot_be_loaded(void **state) {
    (void)state;
    char *folder = test_folder(), *path = lk_path_join(folder, "a.png", NULL);
    lk_error err = {0};
    lk_image image;
    assert_false(lk_image_load(path, &image, &err));
    assert_int_equal(err.code, LK_ERR_IO);
    assert_non_null(strstr(err.message, path));
    test_ok(lk_file_write(path, "not a picture at all", 20, &err), &err);
    assert_false(lk_image_load(path, &image, &err));
    assert_int_equal(err.code, LK_ERR_FORMAT);
    assert_non_null(strstr(err.message, path));
    assert_false(lk_image_load(folder, &image, &err));
    assert_non_null(strstr(err.message, "folder"));
    image = gradient(8, 8);
    assert_false(lk_image_save(&image, "/nonexistent/a.png", 90, &err));
    assert_int_equal(err.code, LK_ERR_IO);
    lk_image_free(&image);
    free(path);
    test_remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(png_round_trip),
        cmocka_unit_test(jpeg_round_trip),
        cmocka_unit_test(what_cannot_be_loaded),
    };
    return cmocka_run_group_tests_name("media: pictures", tests, NULL, NULL);
}
