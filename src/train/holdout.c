/* Faces that training never sees: whole stretches of video, since neighbouring frames are nearly the same picture. */
#include "internal.h"

#include <math.h>

#define STRETCH 50 /* frames, about: two seconds of video */

bool lk_held_out(int64_t frame, int64_t frames, double percent) {
    if (!(percent > 0) || frames < 2 || frame < 0 || frame >= frames) return false;
    double held = (double)frames * percent / 100, stretches = fmax(1, round(held / STRETCH));
    /* As many equal parts as stretches; the middle of each part is held out. */
    double part = (double)frames / stretches, length = held / stretches;
    double begin = floor((double)frame / part) * part + (part - length) / 2;
    return frame >= llround(begin) && frame < llround(begin + length);
}
