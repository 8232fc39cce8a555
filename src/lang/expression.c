/* expression: values, from conditions down to atoms; a production a function. */
#include "lang/parser.h"

static strata_status new_expr(st_parser *p, st_expr_kind kind, const st_token *token, st_expr **out) {
    ST_TRY(st_arena_alloc(out, p->arena, 1, sizeof(**out), p->err));
    (*out)->kind = kind;
    (*out)->place = st_parser_place(p, token);
    return STRATA_OK;
}

static strata_status close_bracket(st_parser *p, st_token_kind kind, const char *mark, const st_token *open) {
    if (p->now.kind == kind) {
        return st_parser_advance(p);
    }
    if (p->now.line != open->line) {
        return st_fail_at(p->err, STRATA_SYNTAX, st_parser_place(p, open), "this '%.*s' is never closed",
                          (int)open->length, open->start);
    }
    return st_parser_unexpected(p, mark);
}

/* "[" { atom } "]" */
static strata_status parse_atom(st_parser *p, st_expr **out);
static strata_status parse_list(st_parser *p, st_expr **out) {
    st_token open = p->now;
    ST_TRY(new_expr(p, ST_EXPR_LIST, &open, out));
    ST_TRY(st_parser_advance(p));
    const st_expr **end = &(*out)->items;
    while (p->now.kind != ST_TOKEN_LIST_CLOSE) {
        bool is_word = p->now.kind == ST_TOKEN_NAME && (!st_lang_is_reserved(p->now.start, p->now.length) ||
                                                        st_parser_is_word(p, "yes") || st_parser_is_word(p, "no"));
        bool is_item = is_word || p->now.kind == ST_TOKEN_NUMBER || p->now.kind == ST_TOKEN_STRING ||
                       p->now.kind == ST_TOKEN_SUB || p->now.kind == ST_TOKEN_PAREN_OPEN ||
                       p->now.kind == ST_TOKEN_LIST_OPEN;
        if (!is_item || (p->now.kind == ST_TOKEN_NAME && p->next.kind == ST_TOKEN_EQUALS)) {
            ST_TRY(close_bracket(p, ST_TOKEN_LIST_CLOSE, "']' or a number", &open));
        }
        st_expr *item;
        ST_TRY(parse_atom(p, &item));
        *end = item;
        end = &item->next;
    }
    return st_parser_advance(p);
}

/* "if" value "then" dims "else" dims */
static strata_status parse_choice(st_parser *p, st_expr **out) {
    ST_TRY(new_expr(p, ST_EXPR_IF, &p->now, out));
    ST_TRY(st_parser_advance(p));
    st_expr *condition, *yes, *no;
    ST_TRY(st_parser_value(p, &condition));
    if (!st_parser_is_word(p, "then")) {
        return st_parser_unexpected(p, "'then' after the condition");
    }
    ST_TRY(st_parser_advance(p));
    ST_TRY(st_parser_dims(p, &yes));
    if (!st_parser_is_word(p, "else")) {
        return st_parser_unexpected(p, "'else' and a second value");
    }
    ST_TRY(st_parser_advance(p));
    ST_TRY(st_parser_dims(p, &no));
    (*out)->items = condition;
    condition->next = yes;
    yes->next = no;
    return STRATA_OK;
}

static strata_status parse_leaf(st_parser *p, st_expr **out) {
    st_expr_kind kind = p->now.kind == ST_TOKEN_NUMBER   ? ST_EXPR_NUMBER
                        : p->now.kind == ST_TOKEN_STRING ? ST_EXPR_STRING
                        : st_parser_is_word(p, "yes")    ? ST_EXPR_YES
                        : st_parser_is_word(p, "no")     ? ST_EXPR_NO
                                                         : ST_EXPR_NAME;
    if ((p->now.kind != ST_TOKEN_NUMBER && p->now.kind != ST_TOKEN_STRING && p->now.kind != ST_TOKEN_NAME) ||
        (kind == ST_EXPR_NAME && st_lang_is_reserved(p->now.start, p->now.length))) {
        return st_parser_unexpected(p, "a value");
    }
    ST_TRY(new_expr(p, kind, &p->now, out));
    char *text;
    ST_TRY(st_arena_text(&text, p->arena, p->now.start, p->now.length, p->err));
    (*out)->text = text;
    if (kind == ST_EXPR_NUMBER && !st_lang_number(&(*out)->number, p->now.start, p->now.length)) {
        return st_parser_unexpected(p, "a number"); /* the lexer has looked already */
    }
    return st_parser_advance(p);
}

/* atom = NUMBER | STRING | NAME | "yes" | "no" | "(" value ")" | "[" { atom } "]" | "-" atom
 *      | "if" value "then" dims "else" dims . */
static strata_status parse_atom(st_parser *p, st_expr **out) {
    ST_TRY(st_parser_deeper(p));
    if (p->now.kind == ST_TOKEN_PAREN_OPEN) {
        st_token open = p->now;
        ST_TRY(st_parser_advance(p));
        ST_TRY(st_parser_value(p, out));
        ST_TRY(close_bracket(p, ST_TOKEN_PAREN_CLOSE, "')'", &open));
        (*out)->in_parentheses = true;
    } else if (p->now.kind == ST_TOKEN_LIST_OPEN) {
        ST_TRY(parse_list(p, out));
    } else if (p->now.kind == ST_TOKEN_SUB) {
        st_expr *operand;
        ST_TRY(new_expr(p, ST_EXPR_UNARY, &p->now, out));
        (*out)->op = ST_OPERATOR_NEG;
        ST_TRY(st_parser_advance(p));
        ST_TRY(parse_atom(p, &operand));
        (*out)->items = operand;
    } else if (st_parser_is_word(p, "if")) {
        ST_TRY(parse_choice(p, out));
    } else {
        ST_TRY(parse_leaf(p, out));
    }
    p->depth--;
    return STRATA_OK;
}

static const struct {
    st_token_kind token;
    const char *word;
    st_operator op;
    int level;
} operators[] = {{ST_TOKEN_NAME, "or", ST_OPERATOR_OR, 0}, {ST_TOKEN_NAME, "and", ST_OPERATOR_AND, 1},
                 {ST_TOKEN_EQ, "==", ST_OPERATOR_EQ, 3},   {ST_TOKEN_NE, "!=", ST_OPERATOR_NE, 3},
                 {ST_TOKEN_LT, "<", ST_OPERATOR_LT, 3},    {ST_TOKEN_LE, "<=", ST_OPERATOR_LE, 3},
                 {ST_TOKEN_GT, ">", ST_OPERATOR_GT, 3},    {ST_TOKEN_GE, ">=", ST_OPERATOR_GE, 3},
                 {ST_TOKEN_ADD, "+", ST_OPERATOR_ADD, 5},  {ST_TOKEN_SUB, "-", ST_OPERATOR_SUB, 5},
                 {ST_TOKEN_MUL, "*", ST_OPERATOR_MUL, 6},  {ST_TOKEN_DIV, "/", ST_OPERATOR_DIV, 6}};

static bool operator_at(const st_token *token, int level, st_operator *op) {
    for (size_t i = 0; i < ST_COUNT_OF(operators); i++) {
        if (operators[i].level == level && operators[i].token == token->kind &&
            (token->kind != ST_TOKEN_NAME || st_token_is(token, operators[i].word))) {
            *op = operators[i].op;
            return true;
        }
    }
    return false;
}

/* left = next { operator next }, left to right; `level` says which operators. Comparisons do not chain. */
static strata_status parse_binary(st_parser *p, int level, strata_status (*next)(st_parser *, st_expr **),
                                  st_expr **out) {
    ST_TRY(next(p, out));
    st_operator op;
    while (operator_at(&p->now, level, &op)) {
        if (++p->operators > ST_LANG_OPERATOR_LIMIT) {
            return st_fail_at(p->err, STRATA_SYNTAX, st_parser_place(p, &p->now), "a value has at most %d operators",
                              ST_LANG_OPERATOR_LIMIT);
        }
        st_expr *node, *left = *out, *right;
        ST_TRY(new_expr(p, ST_EXPR_BINARY, &p->now, &node));
        node->op = op;
        ST_TRY(st_parser_advance(p));
        ST_TRY(next(p, &right));
        node->items = left;
        left->next = right;
        *out = node;
    }
    return STRATA_OK;
}

/* product = atom { ( "*" | "/" ) atom } . */
static strata_status parse_product(st_parser *p, st_expr **out) {
    return parse_binary(p, 6, parse_atom, out);
}

/* sum = product { ( "+" | "-" ) product } . */
static strata_status parse_sum(st_parser *p, st_expr **out) {
    return parse_binary(p, 5, parse_product, out);
}

/* dims = sum { "x" sum } . */
strata_status st_parser_dims(st_parser *p, st_expr **out) {
    ST_TRY(parse_sum(p, out));
    if (p->now.kind != ST_TOKEN_CROSS) {
        return STRATA_OK;
    }
    st_expr *first = *out, *item = first;
    ST_TRY(new_expr(p, ST_EXPR_DIMS, &p->now, out));
    (*out)->place = first->place;
    (*out)->items = first;
    while (p->now.kind == ST_TOKEN_CROSS) {
        st_expr *following;
        ST_TRY(st_parser_advance(p));
        ST_TRY(parse_sum(p, &following));
        item->next = following;
        item = following;
    }
    return STRATA_OK;
}

static strata_status parse_comparison(st_parser *p, st_expr **out) {
    return parse_binary(p, 3, st_parser_dims, out);
}

static strata_status parse_not(st_parser *p, st_expr **out) {
    if (!st_parser_is_word(p, "not")) {
        return parse_comparison(p, out);
    }
    st_expr *operand;
    ST_TRY(st_parser_deeper(p));
    ST_TRY(new_expr(p, ST_EXPR_UNARY, &p->now, out));
    (*out)->op = ST_OPERATOR_NOT;
    ST_TRY(st_parser_advance(p));
    ST_TRY(parse_not(p, &operand));
    (*out)->items = operand;
    p->depth--;
    return STRATA_OK;
}

static strata_status parse_and(st_parser *p, st_expr **out) {
    return parse_binary(p, 1, parse_not, out);
}

/* value = the usual: or < and < not < ( == != < <= > >= ) < dims . */
strata_status st_parser_value(st_parser *p, st_expr **out) {
    return parse_binary(p, 0, parse_and, out);
}
