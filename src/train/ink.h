/* Lines and letters on a picture, for plots. */
#ifndef LIKENESS_TRAIN_INK_H
#define LIKENESS_TRAIN_INK_H

#include "likeness/image.h"

typedef struct lk_color {
    uint8_t r, g, b;
} lk_color;

extern const lk_color lk_paper, lk_ink, lk_grid_ink, lk_mark_ink;

#define LK_GLYPH 8 /* pixels from letter to letter; a letter is 10 high */

/* m: 8-bit RGB. What lies outside is not drawn. */
void lk_ink_dot(lk_image *m, int x, int y, lk_color c);
void lk_ink_line(lk_image *m, double x0, double y0, double x1, double y1, lk_color c);
void lk_ink_text(lk_image *m, int x, int y, const char *s, lk_color c); /* digits, letters, -.,=/:@%+ */
void lk_ink_clear(lk_image *m);
/* 1, 2 or 5 times a power of ten, so that some `parts` of them span it. */
double lk_ink_step(double span, double parts);

#endif
