/* How the stand-in for a GPU behaves where a real one may do either. */
#ifndef LIKENESS_TEST_EMULATOR_H
#define LIKENESS_TEST_EMULATOR_H

#include <stdbool.h>

/* What runs beside other work is done as early as it may be; else as late: when it is waited for. */
extern bool lk_emulated_early;

/* Layers' ways are chosen and kept as on a GPU (src/nn/cuda/ways.h); and so many were chosen. Else each layer just works. */
extern bool lk_emulated_chooses;
extern int lk_emulated_chosen;

#endif
