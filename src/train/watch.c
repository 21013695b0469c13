/* Is it still learning? A network that collapsed shows it by a loss that is no number, or that leaps and stays. */
#include "internal.h"

#include <math.h>

#define RECENT   20.0   /* iterations over which the loss of now is taken */
#define DOWN     50.0   /* iterations in which the usual loss follows it down */
#define UP       1000.0 /* and up */
#define SETTLED  200    /* iterations before anything is judged */
#define LEAP     3.0    /* times the usual loss */
#define PATIENCE 100    /* iterations that a leap may last */

static void follow(double *mean, double value, double over) { *mean += (value - *mean) / over; }

bool lk_watch_losses(lk_watch *w, double src, double dst) {
    const double now[2] = {src, dst};
    bool leap = false;
    w->seen++;
    for (int side = 0; side < 2; side++) {
        double *recent = &w->recent[side], *usual = &w->usual[side];
        if (!isfinite(now[side])) return false;
        follow(recent, now[side], fmin((double)w->seen, RECENT));
        if (w->seen <= RECENT)
            *usual = *recent;
        else
            follow(usual, *recent, *recent < *usual ? DOWN : UP);
        leap |= w->seen > SETTLED && *recent > LEAP * *usual;
    }
    w->leapt = leap ? w->leapt + 1 : 0;
    return w->leapt < PATIENCE;
}
