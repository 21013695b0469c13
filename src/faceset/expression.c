#include "expression.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST 4096 /* bytes of text */
#define DEEPEST 32   /* parentheses and signs */

enum {
    NUMBER,
    FIGURE,
    RANK,
    NEGATE,
    ABS,
    NOT,
    ADD,
    SUBTRACT,
    MULTIPLY,
    DIVIDE,
    LESS,
    LESS_EQUAL,
    MORE,
    MORE_EQUAL,
    EQUAL,
    UNEQUAL,
    AND,
    OR
};

/* Is what was just compiled true or false, or a number? */
typedef enum kind { FAILED, TRUTH, VALUE } kind;

typedef struct parser {
    lk_expression *e;
    const char *text, *at;
    int deep;
    lk_error *err;
} parser;

static kind fail_at(parser *p, const char *what) {
    lk_fail(p->err, LK_ERR_USAGE, "the condition '%.200s' is not understood at character %d: %s", p->text,
            (int)(p->at - p->text) + 1, what);
    return FAILED;
}

static void skip_space(parser *p) {
    while (isspace((unsigned char)*p->at)) p->at++;
}

static bool take(parser *p, const char *word) {
    skip_space(p);
    size_t n = strlen(word);
    if (strncmp(p->at, word, n) != 0) return false;
    if (isalpha((unsigned char)word[0]) && (isalnum((unsigned char)p->at[n]) || p->at[n] == '_')) return false;
    p->at += n;
    return true;
}

static bool emit(parser *p, int op, double number, int figure) {
    if (p->e->count == LK_EXPRESSION_STEPS) return fail_at(p, "it is too long") != FAILED;
    p->e->steps[p->e->count].op = op;
    p->e->steps[p->e->count].number = number;
    p->e->steps[p->e->count++].figure = figure;
    return true;
}

static kind parse_or(parser *p);
static kind parse_sum(parser *p);

static size_t word_length(const char *s) {
    size_t n = 0;
    while (isalnum((unsigned char)s[n]) || s[n] == '_') n++;
    return n;
}

static int figure_at(parser *p) {
    skip_space(p);
    size_t n = word_length(p->at);
    for (int i = 0; i < LK_FIGURES; i++)
        if (strlen(lk_figure_table[i].name) == n && strncmp(p->at, lk_figure_table[i].name, n) == 0) {
            p->at += n;
            return i;
        }
    char what[200];
    if (n == 0)
        fail_at(p, *p->at ? "a figure or a number should stand here" : "it ends too early");
    else {
        snprintf(what, sizeof what, "there is no figure '%.*s' ('likeness help set select' lists them)",
                 n > 40 ? 40 : (int)n, p->at);
        fail_at(p, what);
    }
    return -1;
}

static kind parse_rank(parser *p) {
    int figure = figure_at(p);
    if (figure < 0) return FAILED;
    if (!take(p, ")")) return fail_at(p, "rank( takes the name of one figure and ')'");
    p->e->ranks |= 1u << figure;
    return emit(p, RANK, 0, figure) ? VALUE : FAILED;
}

static kind parse_number(parser *p) {
    char *end;
    double v = strtod(p->at, &end);
    if (!isfinite(v)) return fail_at(p, "the number is too large");
    p->at = end;
    return emit(p, NUMBER, v, 0) ? VALUE : FAILED;
}

static kind parse_atom(parser *p) {
    kind k;
    skip_space(p);
    if (isdigit((unsigned char)*p->at) || (*p->at == '.' && isdigit((unsigned char)p->at[1]))) return parse_number(p);
    if (take(p, "(")) {
        k = parse_or(p);
        if (k && !take(p, ")")) return fail_at(p, "')' is missing");
        return k;
    }
    if (take(p, "-")) {
        k = parse_atom(p);
        if (k == TRUTH) return fail_at(p, "'-' belongs before a number");
        return k && emit(p, NEGATE, 0, 0) ? VALUE : FAILED;
    }
    if (take(p, "abs")) {
        if (!take(p, "(")) return fail_at(p, "'(' is missing behind abs");
        k = parse_sum(p);
        if (k == TRUTH) return fail_at(p, "abs( takes a number");
        if (k && !take(p, ")")) return fail_at(p, "')' is missing");
        return k && emit(p, ABS, 0, 0) ? VALUE : FAILED;
    }
    if (take(p, "rank")) return take(p, "(") ? parse_rank(p) : fail_at(p, "'(' is missing behind rank");
    int figure = figure_at(p);
    if (figure < 0) return FAILED;
    p->e->figures |= 1u << figure;
    return emit(p, FIGURE, 0, figure) ? VALUE : FAILED;
}

static kind parse_guarded(parser *p) {
    if (++p->deep > DEEPEST) return fail_at(p, "it is nested too deeply");
    kind k = parse_atom(p);
    p->deep--;
    return k;
}

/* One level of operators of numbers, which bind to the left. */
static kind parse_level(parser *p, kind (*next)(parser *), const char *const words[2], const int ops[2]) {
    kind k = next(p);
    while (k) {
        int which = take(p, words[0]) ? 0 : take(p, words[1]) ? 1 : -1;
        if (which < 0) return k;
        if (k == TRUTH || (k = next(p)) == TRUTH) return fail_at(p, "this reckons with a comparison");
        if (!k || !emit(p, ops[which], 0, 0)) return FAILED;
    }
    return FAILED;
}

static kind parse_product(parser *p) {
    return parse_level(p, parse_guarded, (const char *const[]){"*", "/"}, (const int[]){MULTIPLY, DIVIDE});
}
static kind parse_sum(parser *p) {
    return parse_level(p, parse_product, (const char *const[]){"+", "-"}, (const int[]){ADD, SUBTRACT});
}

static kind parse_comparison(parser *p) {
    static const struct {
        const char *word;
        int op;
    } all[] = {{"<=", LESS_EQUAL}, {">=", MORE_EQUAL}, {"!=", UNEQUAL}, {"==", EQUAL},
               {"<", LESS},        {">", MORE},        {"=", EQUAL}};
    kind k = parse_sum(p);
    if (k != VALUE) return k;
    for (size_t i = 0; i < LK_COUNT(all); i++) {
        if (!take(p, all[i].word)) continue;
        k = parse_sum(p);
        if (k == TRUTH) return fail_at(p, "a comparison is compared");
        return k && emit(p, all[i].op, 0, 0) ? TRUTH : FAILED;
    }
    return VALUE;
}

static kind parse_not(parser *p) {
    if (!take(p, "not")) return parse_comparison(p);
    if (++p->deep > DEEPEST) return fail_at(p, "it is nested too deeply");
    kind k = parse_not(p);
    p->deep--;
    if (k == VALUE) return fail_at(p, "'not' belongs before a comparison");
    return k && emit(p, NOT, 0, 0) ? TRUTH : FAILED;
}

static kind parse_and(parser *p) {
    kind k = parse_not(p);
    while (k && take(p, "and")) {
        if (k == VALUE) return fail_at(p, "'and' joins comparisons, such as yaw > 10");
        k = parse_not(p);
        if (k == VALUE) return fail_at(p, "'and' joins comparisons, such as yaw > 10");
        if (!k || !emit(p, AND, 0, 0)) return FAILED;
    }
    return k;
}

static kind parse_or(parser *p) {
    kind k = parse_and(p);
    while (k && take(p, "or")) {
        if (k == VALUE) return fail_at(p, "'or' joins comparisons, such as yaw > 10");
        k = parse_and(p);
        if (k == VALUE) return fail_at(p, "'or' joins comparisons, such as yaw > 10");
        if (!k || !emit(p, OR, 0, 0)) return FAILED;
    }
    return k;
}

/* How many values lie on the stack at most. */
static int tallest(const lk_expression *e) {
    int height = 0, most = 0;
    for (int i = 0; i < e->count; i++) {
        int op = e->steps[i].op;
        height += op <= RANK ? 1 : op <= NOT ? 0 : -1;
        if (height > most) most = height;
    }
    return most;
}

bool lk_expression_compile(lk_expression *e, const char *text, lk_error *err) {
    *e = (lk_expression){0};
    if (strlen(text) > LONGEST)
        return lk_fail(err, LK_ERR_USAGE, "a condition of more than %d characters is too long", LONGEST);
    parser p = {.e = e, .text = text, .at = text, .err = err};
    kind k = parse_or(&p);
    if (!k) return false;
    skip_space(&p);
    if (*p.at) return fail_at(&p, "'and', 'or' or the end should stand here") != FAILED;
    if (k == VALUE) return fail_at(&p, "it is a number, not a condition; compare it, as in yaw > 10") != FAILED;
    if (tallest(e) > LK_EXPRESSION_STACK) return fail_at(&p, "it is nested too deeply") != FAILED;
    return true;
}

static double apply(int op, double a, double b) {
    switch (op) {
    case ADD:
        return a + b;
    case SUBTRACT:
        return a - b;
    case MULTIPLY:
        return a * b;
    case DIVIDE:
        return a / b;
    case LESS:
        return a < b;
    case LESS_EQUAL:
        return a <= b;
    case MORE:
        return a > b;
    case MORE_EQUAL:
        return a >= b;
    case EQUAL:
        return a <= b && a >= b;
    case UNEQUAL:
        return a < b || a > b;
    case AND:
        return a > 0 && b > 0;
    default:
        return a > 0 || b > 0;
    }
}

bool lk_expression_holds(const lk_expression *e, const double figure[LK_FIGURES], const double rank[LK_FIGURES]) {
    double stack[LK_EXPRESSION_STACK];
    int n = 0;
    for (int i = 0; i < e->count; i++) {
        int op = e->steps[i].op, which = e->steps[i].figure;
        if (op <= RANK) {
            stack[n++] = op == NUMBER ? e->steps[i].number : op == FIGURE ? figure[which] : rank[which];
        } else if (op <= NOT) {
            double a = stack[n - 1];
            stack[n - 1] = op == NEGATE ? -a : op == ABS ? fabs(a) : !(a > 0);
        } else {
            n--;
            stack[n - 1] = apply(op, stack[n - 1], stack[n]);
        }
    }
    return stack[0] > 0;
}
