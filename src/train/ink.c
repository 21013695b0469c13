#include "ink.h"

#include <math.h>
#include <string.h>

const lk_color lk_paper = {255, 255, 255}, lk_ink = {40, 40, 40}, lk_grid_ink = {225, 225, 225},
               lk_mark_ink = {150, 110, 190};

void lk_ink_dot(lk_image *m, int x, int y, lk_color c) {
    if (x < 0 || y < 0 || x >= m->width || y >= m->height) return;
    uint8_t *p = lk_row_u8(m, y) + 3 * x;
    p[0] = c.r;
    p[1] = c.g;
    p[2] = c.b;
}

void lk_ink_clear(lk_image *m) {
    for (int y = 0; y < m->height; y++)
        for (int x = 0; x < m->width; x++) lk_ink_dot(m, x, y, lk_paper);
}

void lk_ink_line(lk_image *m, double x0, double y0, double x1, double y1, lk_color c) {
    int steps = (int)fmax(1, ceil(fmax(fabs(x1 - x0), fabs(y1 - y0))));
    for (int i = 0; i <= steps; i++) {
        double t = (double)i / steps;
        lk_ink_dot(m, (int)lround(x0 + t * (x1 - x0)), (int)lround(y0 + t * (y1 - y0)), c);
    }
}

/* 3×5 pixels a letter, drawn twice as large; one octal digit a row. */
static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyz-.,=/:@%+";
static const char *const glyphs[] = {"75557", "26227", "71747", "71717", "55711", "74717", "74757", "71111", "75757",
                                     "75717", "25755", "65656", "34443", "65556", "74747", "74744", "34553", "55755",
                                     "72227", "11152", "55655", "44447", "57755", "65555", "25552", "65644", "25563",
                                     "65655", "34216", "72222", "55557", "55552", "55775", "55255", "55222", "71247",
                                     "00700", "00002", "00024", "07070", "11244", "02020", "25743", "51245", "02720"};

void lk_ink_text(lk_image *m, int x, int y, const char *s, lk_color c) {
    for (; *s; s++, x += LK_GLYPH) {
        const char *at = strchr(letters, *s >= 'A' && *s <= 'Z' ? *s - 'A' + 'a' : *s);
        if (!at) continue;
        for (int k = 0; k < 60; k++) {
            int gx = k % 6, gy = k / 6;
            if ((glyphs[at - letters][gy / 2] - '0') >> (2 - gx / 2) & 1) lk_ink_dot(m, x + gx, y + gy, c);
        }
    }
}

double lk_ink_step(double span, double parts) {
    double step = pow(10, floor(log10(span / parts)));
    static const double times[] = {10, 5, 2};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (span / step > parts * times[i] / 2) return step * times[i];
    return step;
}
