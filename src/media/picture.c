/* Single pictures: PNG by libpng, JPEG by libjpeg-turbo, reading by whatever libav knows. */
#include "internal.h"

#include <jpeglib.h>
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- JPEG ------------------------------------------------------------------------------------------------ */

/* libjpeg's own handler would end the process. */
typedef struct jpeg_trouble {
    struct jpeg_error_mgr manager; /* first: libjpeg hands out a pointer to it */
    jmp_buf back;
    char words[JMSG_LENGTH_MAX];
} jpeg_trouble;

static void give_up(j_common_ptr c) {
    jpeg_trouble *t = (jpeg_trouble *)(void *)c->err;
    c->err->format_message(c, t->words);
    longjmp(t->back, 1);
}
static void say_nothing(j_common_ptr c) { (void)c; }

static void watch(jpeg_trouble *t) {
    jpeg_std_error(&t->manager);
    t->manager.error_exit = give_up;
    t->manager.output_message = say_nothing;
    t->words[0] = 0;
}

bool lk_jpeg_encode(const lk_image *rgb, int quality, void **data, size_t *size, lk_error *err) {
    *data = NULL;
    *size = 0;
    if (rgb->type != LK_U8 || (rgb->channels != 1 && rgb->channels != 3))
        return lk_fail(err, LK_ERR_UNSUPPORTED, "JPEG takes 8-bit pictures of 1 or 3 channels");
    struct jpeg_compress_struct c;
    jpeg_trouble trouble;
    unsigned char *bytes = NULL;
    unsigned long length = 0;
    watch(&trouble);
    c.err = &trouble.manager;
    if (setjmp(trouble.back)) {
        jpeg_destroy_compress(&c);
        free(bytes);
        return lk_fail(err, LK_ERR_MEMORY, "a JPEG of %d×%d pixels cannot be made: %s", rgb->width, rgb->height,
                       trouble.words);
    }
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &bytes, &length);
    c.image_width = (JDIMENSION)rgb->width;
    c.image_height = (JDIMENSION)rgb->height;
    c.input_components = rgb->channels;
    c.in_color_space = rgb->channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, quality < 1 ? 1 : quality > 100 ? 100 : quality, TRUE);
    if (quality >= 90) c.comp_info[0].h_samp_factor = c.comp_info[0].v_samp_factor = 1; /* chroma whole */
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < c.image_height) {
        JSAMPROW row = lk_row_u8(rgb, (int)c.next_scanline);
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    *data = bytes;
    *size = length;
    return true;
}

/* Up to jpeg_start_decompress; false: not a picture that we take, and `err` says why. */
static bool begin_decode(struct jpeg_decompress_struct *c, int max_side, lk_image *rgb, lk_error *err) {
    jpeg_read_header(c, TRUE);
    int limit = max_side < LK_MAX_IMAGE_SIDE ? max_side : LK_MAX_IMAGE_SIDE;
    if (c->image_width > (JDIMENSION)limit || c->image_height > (JDIMENSION)limit)
        return lk_fail(err, LK_ERR_FORMAT, "the JPEG has %u×%u pixels; at most %d a side are expected", c->image_width,
                       c->image_height, limit);
    if (c->num_components == 4)
        return lk_fail(err, LK_ERR_UNSUPPORTED, "the JPEG has four colours (CMYK); convert it to RGB");
    c->out_color_space = JCS_RGB;
    c->dct_method = JDCT_ISLOW;
    return lk_image_alloc(rgb, (int)c->image_width, (int)c->image_height, 3, LK_U8, err) && jpeg_start_decompress(c);
}

static const unsigned char png_signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

static bool png_decode(const void *data, size_t size, int max_side, lk_image *rgb, lk_error *err) {
    png_image png = {.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_memory(&png, data, size))
        return lk_fail(err, LK_ERR_FORMAT, "the PNG is damaged: %s", png.message);
    int limit = max_side < LK_MAX_IMAGE_SIDE ? max_side : LK_MAX_IMAGE_SIDE;
    bool ok = (png.width <= (png_uint_32)limit && png.height <= (png_uint_32)limit) ||
              lk_fail(err, LK_ERR_FORMAT, "the PNG has %u×%u pixels; at most %d a side are expected", png.width,
                      png.height, limit);
    ok = ok && lk_image_alloc(rgb, (int)png.width, (int)png.height, 3, LK_U8, err);
    png.format = PNG_FORMAT_RGB;
    png_color black = {0, 0, 0};
    if (ok && !png_image_finish_read(&png, &black, rgb->data, (png_int_32)rgb->stride, NULL))
        ok = lk_fail(err, LK_ERR_FORMAT, "the PNG is damaged: %s", png.message);
    png_image_free(&png);
    if (!ok) lk_image_free(rgb);
    return ok;
}

bool lk_jpeg_decode(const void *data, size_t size, int max_side, lk_image *rgb, lk_error *err) {
    *rgb = (lk_image){0};
    if (size >= sizeof png_signature && memcmp(data, png_signature, sizeof png_signature) == 0)
        return png_decode(data, size, max_side, rgb, err);
    struct jpeg_decompress_struct c;
    jpeg_trouble trouble;
    watch(&trouble);
    c.err = &trouble.manager;
    if (setjmp(trouble.back)) {
        jpeg_destroy_decompress(&c);
        lk_image_free(rgb);
        return lk_fail(err, LK_ERR_FORMAT, "the JPEG is damaged: %s", trouble.words);
    }
    jpeg_create_decompress(&c);
    jpeg_mem_src(&c, data, size);
    bool ok = begin_decode(&c, max_side, rgb, err);
    while (ok && c.output_scanline < c.output_height) {
        JSAMPROW row = lk_row_u8(rgb, (int)c.output_scanline);
        jpeg_read_scanlines(&c, &row, 1);
        if (c.err->num_warnings > 0) {
            c.err->format_message((j_common_ptr)&c, trouble.words);
            ok = lk_fail(err, LK_ERR_FORMAT, "the JPEG is damaged: %s", trouble.words);
        }
    }
    jpeg_destroy_decompress(&c);
    if (!ok) lk_image_free(rgb);
    return ok;
}

/* ---- Files ----------------------------------------------------------------------------------------------- */

static bool has_ending(const char *path, const char *ending) {
    size_t n = strlen(path), m = strlen(ending);
    return n >= m && strcasecmp(path + n - m, ending) == 0;
}

bool lk_png_encode(const lk_image *image, void **data, size_t *size, lk_error *err) {
    if (image->type != LK_U8) return lk_fail(err, LK_ERR_UNSUPPORTED, "PNG takes 8-bit pictures");
    png_image png = {.version = PNG_IMAGE_VERSION,
                     .width = (png_uint_32)image->width,
                     .height = (png_uint_32)image->height,
                     .format = image->channels == 1   ? PNG_FORMAT_GRAY
                               : image->channels == 3 ? PNG_FORMAT_RGB
                                                      : PNG_FORMAT_RGBA,
                     .flags = PNG_IMAGE_FLAG_FAST};
    png_alloc_size_t room = PNG_IMAGE_PNG_SIZE_MAX(png);
    *data = room < LK_MIB(4096) ? malloc(room) : NULL;
    if (!*data) return lk_fail(err, LK_ERR_MEMORY, "no memory for a PNG of %d×%d pixels", image->width, image->height);
    if (png_image_write_to_memory(&png, *data, &room, 0, image->data, (png_int_32)image->stride, NULL)) {
        *size = room;
        return true;
    }
    free(*data);
    *data = NULL;
    return lk_fail(err, LK_ERR_MEMORY, "a PNG of %d×%d pixels cannot be made: %s", image->width, image->height,
                   png.message);
}

/* JPEG has no place for opacity. */
static bool drop_alpha(lk_image *image, lk_error *err) {
    lk_image rgb;
    if (!lk_image_alloc(&rgb, image->width, image->height, 3, LK_U8, err)) return false;
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++) memcpy(lk_row_u8(&rgb, y) + 3 * x, lk_row_u8(image, y) + 4 * x, 3);
    lk_image_free(image);
    *image = rgb;
    return true;
}

bool lk_image_save(const lk_image *image, const char *path, int jpeg_quality, lk_error *err) {
    lk_image bytes;
    void *data = NULL;
    size_t size = 0;
    bool png = has_ending(path, ".png");
    if (!lk_image_convert(image, LK_U8, &bytes, err)) return false;
    bool ok = png || bytes.channels != 4 || drop_alpha(&bytes, err);
    ok = ok &&
         (png ? lk_png_encode(&bytes, &data, &size, err) : lk_jpeg_encode(&bytes, jpeg_quality, &data, &size, err));
    lk_image_free(&bytes);
    if (!ok) return lk_fail_in(err, "%s", path);
    ok = lk_file_write(path, data, size, err);
    free(data);
    return ok;
}

bool lk_image_load(const char *path, lk_image *rgb, lk_error *err) {
    *rgb = (lk_image){0};
    lk_decoder d;
    if (lk_is_folder(path)) return lk_fail(err, LK_ERR_IO, "%s is a folder, not an image", path);
    if (!lk_decoder_open(&d, path, 1, false, err)) return false;
    lk_frame *f = lk_decoder_next(&d, err);
    bool ok = f && lk_decoder_finish_frame(&d, f, err) &&
              lk_frame_rgb(f, (lk_rect){0, 0, lk_frame_width(f), lk_frame_height(f)}, LK_U8, rgb, err);
    lk_frame_free(f);
    lk_decoder_close(&d);
    return ok;
}
