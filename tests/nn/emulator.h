/* How the stand-in for a GPU behaves where a real one may do either. */
#ifndef LIKENESS_TEST_EMULATOR_H
#define LIKENESS_TEST_EMULATOR_H

#include <stdbool.h>

/* What runs beside other work is done as early as it may be; else as late: when it is waited for. */
extern bool lk_emulated_early;

#endif
