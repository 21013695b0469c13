/* image: pictures in memory, and the loops that sampling and merging spend their time in.
 *
 * Pixels are interleaved, rows top to bottom, RGB unless said otherwise. The centre of the first pixel is (0, 0), as
 * in OpenCV. 8-bit values are 0–255; float values 0–1 where they are colours. */
#ifndef LIKENESS_IMAGE_H
#define LIKENESS_IMAGE_H

#include "likeness/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum lk_pixel { LK_U8, LK_F32 } lk_pixel;

typedef struct lk_image {
    int width, height, channels; /* channels 1, 3 or 4 */
    lk_pixel type;
    size_t stride; /* bytes from row to row */
    void *data;    /* NULL: no image */
    bool borrowed; /* the data belongs to someone else: lk_image_free leaves it */
} lk_image;

#define LK_MAX_IMAGE_SIDE 32768

typedef struct lk_rect {
    int x, y, width, height;
} lk_rect;

typedef struct lk_point {
    float x, y;
} lk_point;

/* x' = m[0][0]·x + m[0][1]·y + m[0][2], y' = m[1][0]·x + m[1][1]·y + m[1][2] */
typedef struct lk_affine {
    double m[2][3];
} lk_affine;

/* Zeroed; rows follow each other without gaps. */
bool lk_image_alloc(lk_image *image, int width, int height, int channels, lk_pixel type, lk_error *err);
void lk_image_free(lk_image *image);                                   /* and sets it to "no image" */
bool lk_image_copy(const lk_image *src, lk_image *dst, lk_error *err); /* dst is allocated */
lk_image lk_image_view(const lk_image *src, lk_rect r); /* borrowed window on the same pixels; r lies inside */
/* Other pixel type, allocated: 8-bit v ↔ float v/255, rounded to nearest and clamped. */
bool lk_image_convert(const lk_image *src, lk_pixel type, lk_image *dst, lk_error *err);
static inline uint8_t *lk_row_u8(const lk_image *i, int y) { return (uint8_t *)i->data + (size_t)y * i->stride; }
static inline float *lk_row_f32(const lk_image *i, int y) {
    return (float *)(void *)((char *)i->data + (size_t)y * i->stride);
}

lk_affine lk_affine_multiply(lk_affine a, lk_affine b); /* first b, then a */
bool lk_affine_invert(lk_affine a, lk_affine *inverse); /* false when singular */
lk_point lk_affine_apply(lk_affine a, lk_point p);

typedef enum lk_filter { LK_NEAREST, LK_BILINEAR, LK_BICUBIC, LK_LANCZOS, LK_AREA } lk_filter;
typedef enum lk_border { LK_BORDER_CONSTANT, LK_BORDER_REPLICATE, LK_BORDER_REFLECT } lk_border; /* reflect: 101 */

/* Resize and warps: dst is allocated by the caller and shares no memory with src; its size says what is wanted. Equal
 * channels; types may differ (8-bit v ↔ float v/255). Bicubic is Keys's with a = −0.75, as OpenCV's; where it
 * overshoots, 8 bits are clamped and floats are not. Pictures of 256×256 pixels and more are done in parallel. */

/* Edges line up and the border is replicated, as cv2.resize. Area shrinks by averaging and equals bilinear when
 * enlarging; Lanczos has 8 taps. Only area filters when shrinking. */
bool lk_image_resize(const lk_image *src, lk_image *dst, lk_filter filter, lk_error *err);
/* dst(x, y) = src(M⁻¹·(x, y)): `m` maps source to destination, as cv2.warpAffine, but with exact
 * coordinates. Nearest, bilinear or bicubic; channels 1, 3 or 4. Constant border: 0. Fails on a singular matrix. */
bool lk_image_warp_affine(const lk_image *src, lk_image *dst, lk_affine m, lk_filter filter, lk_border border,
                          lk_error *err);
/* dst(x, y) = src(map(x, y)); map: float image of dst's size with 2 interleaved values (x, y) per pixel
 * (`channels` 2 is allowed for maps only). */
bool lk_image_remap(const lk_image *src, lk_image *dst, const lk_image *map, lk_filter filter, lk_border border,
                    lk_error *err);

/* In place. sigma in pixels; kernel radius ceil(3·sigma); border reflected (101). Float images. */
bool lk_image_blur(lk_image *image, double sigma, lk_error *err);
/* In place, one channel, either type: minimum/maximum over a disc of that radius in pixels; outside counts as
 * neutral. */
bool lk_image_erode(lk_image *image, int radius, lk_error *err);
bool lk_image_dilate(lk_image *image, int radius, lk_error *err);

/* Float sRGB (D65, 0–1) ↔ CIE L*a*b* (L 0–100), in place, 3 channels. As OpenCV's COLOR_RGB2Lab on float. */
void lk_image_rgb_to_lab(lk_image *image);
void lk_image_lab_to_rgb(lk_image *image); /* clamped to 0–1 */

/* Per channel, weighted by `mask` (float, one channel, same size; NULL: all 1). */
void lk_image_mean_std(const lk_image *image, const lk_image *mask, double mean[4], double std[4]);

/* Fill with `value` every pixel whose centre lies in the polygon (or in its convex hull). Float or 8-bit, one
 * channel. */
void lk_image_fill_polygon(lk_image *image, const lk_point *points, int count, float value);
bool lk_image_fill_hull(lk_image *image, const lk_point *points, int count, float value, lk_error *err);
/* The corners of the points' convex hull, in order around it (Andrew 1979), into `hull`, which has room for 2·count + 2.
 * Returns how many there are, or −1 when a point is not finite or memory is out. */
int lk_image_hull(const lk_point *points, int count, lk_point *hull, lk_error *err);

/* Variance of the Laplacian of the luma, over the mask (NULL: all): larger is sharper. 8-bit or float RGB; in 8-bit
 * units. */
double lk_image_sharpness(const lk_image *image, const lk_image *mask);

#ifdef __cplusplus
}
#endif
#endif
