#include <stdio.h>

#include "likeness/base.h"

int main(void) {
    printf("likeness %s\n", LK_VERSION);
    return 0;
}
