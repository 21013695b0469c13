/* What is measured of a crop's pixels: the figures of lk_face, and what sorts by colour and by likeness need. */
#ifndef LIKENESS_LOOK_H
#define LIKENESS_LOOK_H

#include "likeness/faceset.h"

#define LK_HISTOGRAM_BINS 32 /* of each channel */
#define LK_THUMBNAIL_SIDE 16

typedef struct lk_look {
    double hue;         /* mean, degrees, −180 to 180, 0 is red; weighted by how colourful a pixel is */
    double black;       /* share of the crop's pixels, 0–1 */
    double motion_blur; /* 0–1: how much sharper the picture is in one direction than in another */
    float histogram[3 * LK_HISTOGRAM_BINS];                       /* R, G, B inside the hull; each adds up to 1 */
    uint8_t thumbnail[3 * LK_THUMBNAIL_SIDE * LK_THUMBNAIL_SIDE]; /* the crop, averaged */
} lk_look;

/* Of an 8-bit RGB crop and face->crop_points: sharpness, brightness, colours into *face, the rest into *look. */
bool lk_measure_crop(const lk_image *crop, lk_face *face, lk_look *look, lk_error *err);

bool lk_measure_look(const lk_image *crop, const lk_landmarks *crop_points, lk_look *look, lk_error *err);

bool lk_look_store(lk_faceset *s, int64_t id, const lk_look *look, lk_error *err);

/* Measures the faces that lack a look. In a set that is only read the result lasts as long as it is open. */
bool lk_look_complete(lk_faceset *s, lk_error *err);

#endif
