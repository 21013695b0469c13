/* Conditions over figures, compiled for a stack machine. */
#ifndef LIKENESS_EXPRESSION_H
#define LIKENESS_EXPRESSION_H

#include "likeness/curate.h"

#define LK_EXPRESSION_STEPS 256
#define LK_EXPRESSION_STACK 64

typedef struct lk_expression {
    struct {
        int op;
        double number;
        int figure;
    } steps[LK_EXPRESSION_STEPS];
    int count;
    uint32_t figures; /* bits: which are used */
    uint32_t ranks;   /* bits: of which the rank is used */
} lk_expression;

bool lk_expression_compile(lk_expression *e, const char *text, lk_error *err);
/* figure[i], rank[i]: of one face. Never fails: what has no value (1/0) makes a comparison false. */
bool lk_expression_holds(const lk_expression *e, const double figure[LK_FIGURES], const double rank[LK_FIGURES]);

#endif
