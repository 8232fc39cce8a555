/* parser: tokens to the syntax tree, by recursive descent, one function per production, the production quoted above it.
 * It knows no layer, block or knob: graph/ decides what the names mean. LL(2): a token and the one after it decide.
 *
 * A missing '}' is the one mistake whose place the grammar does not know: it shows at the end of the file. The
 * indentation of the lines tells where the brace was meant to close; see report_unclosed. */
#include <stdio.h>
#include <string.h>

#include "lang/tokens.h"

typedef struct parser {
    st_files *files;
    st_arena *arena;
    strata_error *err;
    st_lexer lexer;
    st_token last, now, next; /* last: consumed */
    int depth;                /* of braces and expressions */
    int operators;            /* in the value being parsed */
    bool is_settings;         /* a line of --set, where values are separated by spaces alone */
} parser;

static strata_status chain(parser *p, bool in_lane, const st_expr **next_lane, const st_syntax **out);
static strata_status parse_value(parser *p, st_expr **out);
static strata_status parse_dims(parser *p, st_expr **out);

/* ---- tokens ---- */

static st_place place_of(const parser *p, const st_token *token) {
    return (st_place){.source = p->lexer.source, .line = token->line, .column = token->column};
}

static strata_status advance(parser *p) {
    p->last = p->now;
    p->now = p->next;
    return st_lexer_next(&p->next, &p->lexer, p->err);
}

static strata_status skip_newlines(parser *p) {
    while (p->now.kind == ST_TOKEN_NEWLINE) {
        ST_TRY(advance(p));
    }
    return STRATA_OK;
}

static bool is_word(const parser *p, const char *word) {
    return st_token_is(&p->now, word);
}

static bool begins_declaration(const st_token *token) {
    return st_token_is(token, "block") || st_token_is(token, "network") || st_token_is(token, "let") ||
           st_token_is(token, "include") || st_token_is(token, "freeze");
}

/* "expected WHAT, found 'x'" at the current token. */
static strata_status unexpected(parser *p, const char *what) {
    char found[64];
    st_token_describe(found, sizeof(found), &p->now);
    return st_fail_at(p->err, STRATA_SYNTAX, place_of(p, &p->now), "expected %s, found %s", what, found);
}

static strata_status take_name(parser *p, const char *what, const char **out, st_place *place) {
    if (p->now.kind != ST_TOKEN_NAME) {
        return unexpected(p, what);
    }
    if (st_lang_is_reserved(p->now.start, p->now.length)) {
        return st_fail_at(p->err, STRATA_SYNTAX, place_of(p, &p->now),
                          "expected %s, found '%.*s', which is a word of the language", what, (int)p->now.length,
                          p->now.start);
    }
    *place = place_of(p, &p->now);
    char *text;
    ST_TRY(st_arena_text(&text, p->arena, p->now.start, p->now.length, p->err));
    *out = text;
    return advance(p);
}

static strata_status deeper(parser *p) {
    if (++p->depth > ST_LANG_DEPTH_LIMIT) {
        return st_fail_at(p->err, STRATA_SYNTAX, place_of(p, &p->now), "nesting is deeper than %d",
                          ST_LANG_DEPTH_LIMIT);
    }
    return STRATA_OK;
}

/* ---- unclosed braces ---- */

typedef struct open_brace {
    st_token token;
    int indent;       /* column of the first token of its line */
    bool shares_line; /* with another that it is inside of, or that is inside of it: either may be one too many */
} open_brace;

/* A line at or left of its own opening line that does not begin with the closing brace says that the brace above it was
 * meant to be closed before. */
static bool is_outside(const st_token *token, const open_brace *brace) {
    if (!token->is_first || token->line == brace->token.line) {
        return false;
    }
    return token->kind == ST_TOKEN_BRACE_CLOSE ? token->column < brace->indent : token->column <= brace->indent;
}

/* Reads the text again from its beginning and reports the first brace whose lines end before it is closed; otherwise
 * the innermost that is open at the end. */
static strata_status report_unclosed(parser *p) {
    open_brace open[ST_LANG_DEPTH_LIMIT + 1];
    int count = 0, indent = 1, last_line = 1;
    st_lexer lexer;
    st_token token;
    ST_TRY(st_lexer_begin(&lexer, p->lexer.source, false, p->err));
    do {
        ST_TRY(st_lexer_next(&token, &lexer, p->err));
        if (token.kind == ST_TOKEN_NEWLINE) {
            continue;
        }
        indent = token.is_first ? token.column : indent;
        bool outside = count > 0 && token.kind != ST_TOKEN_END && is_outside(&token, &open[count - 1]);
        if (outside && !open[count - 1].shares_line && open[count - 1].token.line != last_line) {
            st_place place = {p->lexer.source, last_line + 1, open[count - 1].indent};
            return st_fail_at(p->err, STRATA_SYNTAX, place, "expected '}' here, to close the '{' of line %d",
                              open[count - 1].token.line);
        }
        if (outside) {
            break;
        }
        if (token.kind == ST_TOKEN_BRACE_OPEN && count <= ST_LANG_DEPTH_LIMIT) {
            bool shares = count > 0 && open[count - 1].token.line == token.line;
            open[count++] = (open_brace){.token = token, .indent = indent, .shares_line = shares};
            open[count > 1 ? count - 2 : 0].shares_line |= shares;
        } else if (token.kind == ST_TOKEN_BRACE_CLOSE && count > 0) {
            count--;
        }
        last_line = token.line;
    } while (token.kind != ST_TOKEN_END);
    if (count == 0) {
        return unexpected(p, "a layer or '}'");
    }
    return st_fail_at(p->err, STRATA_SYNTAX, place_of(p, &open[count - 1].token), "this '{' is never closed");
}

static strata_status open_brace_now(parser *p, const char *after) {
    if (p->now.kind != ST_TOKEN_BRACE_OPEN) {
        char what[96];
        snprintf(what, sizeof(what), "'{' after %s", after);
        return unexpected(p, what);
    }
    ST_TRY(deeper(p));
    return advance(p);
}

static strata_status close_brace(parser *p) {
    if (p->now.kind == ST_TOKEN_BRACE_CLOSE) {
        p->depth--;
        return advance(p);
    }
    if (p->now.kind == ST_TOKEN_END || begins_declaration(&p->now)) {
        return report_unclosed(p);
    }
    return unexpected(p, "'}'");
}

/* ---- expressions ---- */

static strata_status new_expr(parser *p, st_expr_kind kind, const st_token *token, st_expr **out) {
    ST_TRY(st_arena_alloc(out, p->arena, 1, sizeof(**out), p->err));
    (*out)->kind = kind;
    (*out)->place = place_of(p, token);
    return STRATA_OK;
}

static strata_status close_bracket(parser *p, st_token_kind kind, const char *mark, const st_token *open) {
    if (p->now.kind == kind) {
        return advance(p);
    }
    if (p->now.line != open->line) {
        return st_fail_at(p->err, STRATA_SYNTAX, place_of(p, open), "this '%.*s' is never closed", (int)open->length,
                          open->start);
    }
    return unexpected(p, mark);
}

/* "[" { atom } "]" */
static strata_status parse_atom(parser *p, st_expr **out);
static strata_status parse_list(parser *p, st_expr **out) {
    st_token open = p->now;
    ST_TRY(new_expr(p, ST_EXPR_LIST, &open, out));
    ST_TRY(advance(p));
    const st_expr **end = &(*out)->items;
    while (p->now.kind != ST_TOKEN_LIST_CLOSE) {
        bool is_item = p->now.kind == ST_TOKEN_NUMBER || p->now.kind == ST_TOKEN_NAME ||
                       p->now.kind == ST_TOKEN_STRING || p->now.kind == ST_TOKEN_SUB ||
                       p->now.kind == ST_TOKEN_PAREN_OPEN || p->now.kind == ST_TOKEN_LIST_OPEN;
        if (!is_item || (p->now.kind == ST_TOKEN_NAME && p->next.kind == ST_TOKEN_EQUALS)) {
            ST_TRY(close_bracket(p, ST_TOKEN_LIST_CLOSE, "']' or a number", &open));
        }
        st_expr *item;
        ST_TRY(parse_atom(p, &item));
        *end = item;
        end = &item->next;
    }
    return advance(p);
}

/* "if" value "then" dims "else" dims */
static strata_status parse_choice(parser *p, st_expr **out) {
    ST_TRY(new_expr(p, ST_EXPR_IF, &p->now, out));
    ST_TRY(advance(p));
    st_expr *condition, *yes, *no;
    ST_TRY(parse_value(p, &condition));
    if (!is_word(p, "then")) {
        return unexpected(p, "'then' after the condition");
    }
    ST_TRY(advance(p));
    ST_TRY(parse_dims(p, &yes));
    if (!is_word(p, "else")) {
        return unexpected(p, "'else' and a second value");
    }
    ST_TRY(advance(p));
    ST_TRY(parse_dims(p, &no));
    (*out)->items = condition;
    condition->next = yes;
    yes->next = no;
    return STRATA_OK;
}

static strata_status parse_leaf(parser *p, st_expr **out) {
    st_expr_kind kind = p->now.kind == ST_TOKEN_NUMBER   ? ST_EXPR_NUMBER
                        : p->now.kind == ST_TOKEN_STRING ? ST_EXPR_STRING
                        : is_word(p, "yes")              ? ST_EXPR_YES
                        : is_word(p, "no")               ? ST_EXPR_NO
                                                         : ST_EXPR_NAME;
    if ((p->now.kind != ST_TOKEN_NUMBER && p->now.kind != ST_TOKEN_STRING && p->now.kind != ST_TOKEN_NAME) ||
        (kind == ST_EXPR_NAME && st_lang_is_reserved(p->now.start, p->now.length))) {
        return unexpected(p, "a value");
    }
    ST_TRY(new_expr(p, kind, &p->now, out));
    char *text;
    ST_TRY(st_arena_text(&text, p->arena, p->now.start, p->now.length, p->err));
    (*out)->text = text;
    if (kind == ST_EXPR_NUMBER && !st_lang_number(&(*out)->number, p->now.start, p->now.length)) {
        return unexpected(p, "a number"); /* the lexer has looked already */
    }
    return advance(p);
}

/* atom = NUMBER | STRING | NAME | "yes" | "no" | "(" value ")" | "[" { atom } "]" | "-" atom
 *      | "if" value "then" dims "else" dims . */
static strata_status parse_atom(parser *p, st_expr **out) {
    ST_TRY(deeper(p));
    if (p->now.kind == ST_TOKEN_PAREN_OPEN) {
        st_token open = p->now;
        ST_TRY(advance(p));
        ST_TRY(parse_value(p, out));
        ST_TRY(close_bracket(p, ST_TOKEN_PAREN_CLOSE, "')'", &open));
        (*out)->in_parentheses = true;
    } else if (p->now.kind == ST_TOKEN_LIST_OPEN) {
        ST_TRY(parse_list(p, out));
    } else if (p->now.kind == ST_TOKEN_SUB) {
        st_expr *operand;
        ST_TRY(new_expr(p, ST_EXPR_UNARY, &p->now, out));
        (*out)->op = ST_OPERATOR_NEG;
        ST_TRY(advance(p));
        ST_TRY(parse_atom(p, &operand));
        (*out)->items = operand;
    } else if (is_word(p, "if")) {
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
static strata_status parse_binary(parser *p, int level, strata_status (*next)(parser *, st_expr **), st_expr **out) {
    ST_TRY(next(p, out));
    st_operator op;
    while (operator_at(&p->now, level, &op)) {
        if (++p->operators > ST_LANG_OPERATOR_LIMIT) {
            return st_fail_at(p->err, STRATA_SYNTAX, place_of(p, &p->now), "a value has at most %d operators",
                              ST_LANG_OPERATOR_LIMIT);
        }
        st_expr *node, *left = *out, *right;
        ST_TRY(new_expr(p, ST_EXPR_BINARY, &p->now, &node));
        node->op = op;
        ST_TRY(advance(p));
        ST_TRY(next(p, &right));
        node->items = left;
        left->next = right;
        *out = node;
    }
    return STRATA_OK;
}

/* product = atom { ( "*" | "/" ) atom } . */
static strata_status parse_product(parser *p, st_expr **out) {
    return parse_binary(p, 6, parse_atom, out);
}

/* sum = product { ( "+" | "-" ) product } . */
static strata_status parse_sum(parser *p, st_expr **out) {
    return parse_binary(p, 5, parse_product, out);
}

/* dims = sum { "x" sum } . */
static strata_status parse_dims(parser *p, st_expr **out) {
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
        ST_TRY(advance(p));
        ST_TRY(parse_sum(p, &following));
        item->next = following;
        item = following;
    }
    return STRATA_OK;
}

static strata_status parse_comparison(parser *p, st_expr **out) {
    return parse_binary(p, 3, parse_dims, out);
}

static strata_status parse_not(parser *p, st_expr **out) {
    if (!is_word(p, "not")) {
        return parse_comparison(p, out);
    }
    st_expr *operand;
    ST_TRY(deeper(p));
    ST_TRY(new_expr(p, ST_EXPR_UNARY, &p->now, out));
    (*out)->op = ST_OPERATOR_NOT;
    ST_TRY(advance(p));
    ST_TRY(parse_not(p, &operand));
    (*out)->items = operand;
    p->depth--;
    return STRATA_OK;
}

static strata_status parse_and(parser *p, st_expr **out) {
    return parse_binary(p, 1, parse_not, out);
}

/* value = the usual: or < and < not < ( == != < <= > >= ) < dims . */
static strata_status parse_value(parser *p, st_expr **out) {
    return parse_binary(p, 0, parse_and, out);
}

/* ---- steps ---- */

/* An argument that begins here. `if`, `else` and the other words of the language end a list of arguments. */
static bool begins_arg(const parser *p) {
    switch (p->now.kind) {
    case ST_TOKEN_NUMBER:
    case ST_TOKEN_STRING:
    case ST_TOKEN_PAREN_OPEN:
    case ST_TOKEN_LIST_OPEN:
        return true;
    case ST_TOKEN_NAME:
        return p->next.kind != ST_TOKEN_COLON &&
               (is_word(p, "yes") || is_word(p, "no") || !st_lang_is_reserved(p->now.start, p->now.length));
    default:
        return false;
    }
}

/* arg = NAME "=" dims | dims . */
static strata_status parse_arg(parser *p, st_arg **out) {
    ST_TRY(st_arena_alloc(out, p->arena, 1, sizeof(**out), p->err));
    (*out)->place = place_of(p, &p->now);
    if (p->now.kind == ST_TOKEN_NAME && p->next.kind == ST_TOKEN_EQUALS) {
        st_place place;
        ST_TRY(take_name(p, "a name", &(*out)->key, &place));
        ST_TRY(advance(p));
    }
    st_expr *value;
    p->operators = 0;
    ST_TRY(parse_dims(p, &value));
    (*out)->value = value;
    return STRATA_OK;
}

static strata_status parse_args(parser *p, const char *owner, const st_arg **out) {
    const st_arg **end = out;
    const char *key = NULL;
    int count = 0;
    while (begins_arg(p)) {
        char found[64];
        st_token_describe(found, sizeof(found), &p->now);
        if (++count > ST_LANG_ARG_LIMIT) {
            return st_fail_at(p->err, STRATA_SYNTAX, place_of(p, &p->now), "%s: more than %d values", owner,
                              ST_LANG_ARG_LIMIT);
        }
        st_arg *arg;
        ST_TRY(parse_arg(p, &arg));
        if (key != NULL && arg->key == NULL) {
            st_fail_at(p->err, STRATA_SYNTAX, arg->place, "%s after '%s=': values come before key=value pairs", found,
                       key);
            st_error_hint(p->err,
                          arg->value->kind == ST_EXPR_NAME ? "layers are separated by a comma: %s ..., %s"
                                                           : "a key has one value: %s key=value",
                          owner, arg->value->kind == ST_EXPR_NAME ? arg->value->text : "");
            return STRATA_SYNTAX;
        }
        key = arg->key != NULL ? arg->key : key;
        *end = arg;
        end = &arg->next;
    }
    return STRATA_OK;
}

/* lane = [ "if" value ] "|" chain . */
static strata_status parse_lane(parser *p, const char *owner, const st_expr **condition, st_lane **out) {
    ST_TRY(st_arena_alloc(out, p->arena, 1, sizeof(**out), p->err));
    (*out)->place = *condition != NULL ? (*condition)->place : place_of(p, &p->now);
    (*out)->condition = *condition;
    if (*condition == NULL && is_word(p, "if")) {
        st_expr *value;
        ST_TRY(advance(p));
        p->operators = 0;
        ST_TRY(parse_value(p, &value));
        (*out)->condition = value;
    }
    if (p->now.kind != ST_TOKEN_BAR) {
        char what[ST_LANG_NAME_LIMIT + 40];
        snprintf(what, sizeof(what), "'|' to begin a branch of '%s'", owner);
        return unexpected(p, what);
    }
    ST_TRY(advance(p));
    *condition = NULL;
    return chain(p, true, condition, &(*out)->chain);
}

/* layer = NAME { arg } [ "{" lane { lane } "}" ] . */
static strata_status parse_layer(parser *p, st_syntax *step) {
    step->kind = ST_STEP_LAYER;
    ST_TRY(take_name(p, "a layer", &step->name, &step->name_place));
    ST_TRY(parse_args(p, step->name, &step->args));
    if (p->now.kind != ST_TOKEN_BRACE_OPEN) {
        return STRATA_OK;
    }
    ST_TRY(open_brace_now(p, step->name));
    const st_lane **end = &step->lanes;
    const st_expr *condition = NULL;
    do {
        ST_TRY(skip_newlines(p));
        if (p->now.kind == ST_TOKEN_END || (begins_declaration(&p->now) && condition == NULL)) {
            return report_unclosed(p);
        }
        st_lane *lane;
        ST_TRY(parse_lane(p, step->name, &condition, &lane));
        *end = lane;
        end = &lane->next;
    } while (condition != NULL || p->now.kind != ST_TOKEN_BRACE_CLOSE);
    return close_brace(p);
}

static strata_status braced_chain(parser *p, const char *after, const st_syntax **out) {
    ST_TRY(open_brace_now(p, after));
    ST_TRY(chain(p, false, NULL, out));
    return close_brace(p);
}

/* "repeat" dims "{" chain "}" */
static strata_status parse_repeat(parser *p, st_syntax *step) {
    step->kind = ST_STEP_REPEAT;
    ST_TRY(advance(p));
    st_expr *count;
    p->operators = 0;
    if (p->now.kind == ST_TOKEN_BRACE_OPEN) {
        return unexpected(p, "a count after 'repeat'");
    }
    ST_TRY(parse_dims(p, &count));
    step->condition = count;
    return braced_chain(p, "the count of 'repeat'", &step->chain);
}

/* [ "else" "{" chain "}" ], also on the line after the '}'. */
static strata_status parse_else(parser *p, st_syntax *step) {
    if (p->now.kind == ST_TOKEN_NEWLINE && st_token_is(&p->next, "else")) {
        ST_TRY(advance(p));
    }
    if (!is_word(p, "else")) {
        return STRATA_OK;
    }
    ST_TRY(advance(p));
    return braced_chain(p, "'else'", &step->otherwise);
}

/* "output" NAME { arg } | "take" NAME */
static strata_status parse_named(parser *p, st_step_kind kind, st_syntax *step) {
    step->kind = kind;
    ST_TRY(advance(p));
    bool is_key = p->now.kind == ST_TOKEN_NAME && p->next.kind == ST_TOKEN_EQUALS;
    if (kind == ST_STEP_OUTPUT && is_key) {
        return unexpected(p, "a name for the output, as in: output logits loss=cross_entropy");
    }
    ST_TRY(take_name(p, kind == ST_STEP_OUTPUT ? "a name for the output" : "the label to continue from", &step->name,
                     &step->name_place));
    return kind == ST_STEP_OUTPUT ? parse_args(p, "output", &step->args) : STRATA_OK;
}

/* step = [ NAME ":" ] ( layer | "{" chain "}" | "side" { arg } "{" chain "}" )
 *      | "repeat" dims "{" chain "}" | "output" NAME { arg } | "take" NAME . */
static strata_status parse_step(parser *p, st_syntax *step) {
    step->place = place_of(p, &p->now);
    if (p->now.kind == ST_TOKEN_NAME && p->next.kind == ST_TOKEN_COLON) {
        st_place place;
        ST_TRY(take_name(p, "a label", &step->label, &place));
        ST_TRY(advance(p));
    }
    step->name_place = place_of(p, &p->now);
    if (p->now.kind == ST_TOKEN_BRACE_OPEN) {
        step->kind = ST_STEP_GROUP;
        return braced_chain(p, "", &step->chain);
    }
    if (is_word(p, "side")) {
        step->kind = ST_STEP_SIDE;
        ST_TRY(advance(p));
        ST_TRY(parse_args(p, "side", &step->args));
        return braced_chain(p, "'side'", &step->chain);
    }
    bool takes_label = !is_word(p, "repeat") && !is_word(p, "output") && !is_word(p, "take") && !is_word(p, "if");
    if (step->label != NULL && !takes_label) {
        return unexpected(p, "a layer, a block or '{' after a label");
    }
    if (is_word(p, "repeat")) {
        return parse_repeat(p, step);
    }
    if (is_word(p, "output") || is_word(p, "take")) {
        return parse_named(p, is_word(p, "output") ? ST_STEP_OUTPUT : ST_STEP_TAKE, step);
    }
    if (p->now.kind == ST_TOKEN_BAR) {
        return unexpected(p, "a layer; '|' begins a branch only inside the braces of a layer such as 'add'");
    }
    return parse_layer(p, step);
}

/* "if" value "{" chain "}" [ "else" "{" chain "}" ], whose condition has been read. */
static strata_status parse_if(parser *p, st_syntax *step) {
    step->kind = ST_STEP_IF;
    ST_TRY(braced_chain(p, "the condition of 'if'", &step->chain));
    return parse_else(p, step);
}

static bool ends_chain(const parser *p, bool in_lane) {
    return p->now.kind == ST_TOKEN_BRACE_CLOSE || p->now.kind == ST_TOKEN_END ||
           (in_lane && p->now.kind == ST_TOKEN_BAR) || begins_declaration(&p->now);
}

/* After a step: ',' or a new line, or the end of the chain. */
static strata_status separator(parser *p, bool in_lane) {
    if (p->now.kind == ST_TOKEN_COMMA) {
        ST_TRY(advance(p));
        ST_TRY(skip_newlines(p));
        return ends_chain(p, in_lane) ? unexpected(p, "a layer after ','") : STRATA_OK;
    }
    if (p->now.kind == ST_TOKEN_NEWLINE || ends_chain(p, in_lane) || (in_lane && is_word(p, "if"))) {
        return skip_newlines(p);
    }
    strata_status status = unexpected(p, "',' or a new line");
    if (p->now.kind == ST_TOKEN_NAME) {
        st_error_hint(p->err, "steps are separated by a comma or stand on lines of their own");
    } else if (p->now.kind == ST_TOKEN_SUB) {
        st_error_hint(p->err, "a value that begins with '-' stands in parentheses");
    }
    return status;
}

/* chain = [ step { ( "," | NEWLINE ) step } ] .
 * In a lane, "if" value "|" ends it: the condition of the next lane goes to *next_lane. */
static strata_status chain(parser *p, bool in_lane, const st_expr **next_lane, const st_syntax **out) {
    ST_TRY(skip_newlines(p));
    while (!ends_chain(p, in_lane)) {
        st_syntax *step;
        ST_TRY(st_arena_alloc(&step, p->arena, 1, sizeof(*step), p->err));
        if (is_word(p, "if")) {
            step->place = step->name_place = place_of(p, &p->now);
            ST_TRY(advance(p));
            st_expr *condition;
            p->operators = 0;
            ST_TRY(parse_value(p, &condition));
            if (in_lane && p->now.kind == ST_TOKEN_BAR) {
                *next_lane = condition;
                return STRATA_OK;
            }
            step->condition = condition;
            ST_TRY(parse_if(p, step));
        } else {
            ST_TRY(parse_step(p, step));
        }
        *out = step;
        out = (const st_syntax **)&step->next;
        ST_TRY(separator(p, in_lane));
    }
    return STRATA_OK;
}

/* ---- declarations ---- */

/* include = "include" STRING . */
static strata_status parse_include(parser *p) {
    ST_TRY(advance(p));
    if (p->now.kind != ST_TOKEN_STRING) {
        return unexpected(p, "the name of a file in quotes after 'include'");
    }
    char *path;
    const st_source *source;
    ST_TRY(st_arena_text(&path, p->arena, p->now.start, p->now.length, p->err));
    if (p->files->skips_includes) {
        return advance(p);
    }
    ST_TRY(st_files_include(&source, p->files, path, place_of(p, &p->now), p->err));
    if (source != NULL) {
        ST_TRY(st_files_parse(p->files, source, p->err));
    }
    return advance(p);
}

/* let = "let" NAME "=" value . */
static strata_status parse_let(parser *p, st_let **out) {
    ST_TRY(st_arena_alloc(out, p->arena, 1, sizeof(**out), p->err));
    ST_TRY(take_name(p, "the name of a knob", &(*out)->name, &(*out)->place));
    if (p->now.kind != ST_TOKEN_EQUALS) {
        return unexpected(p, "'=' and a value");
    }
    ST_TRY(advance(p));
    st_expr *value;
    p->operators = 0;
    ST_TRY(p->is_settings ? parse_dims(p, &value) : parse_value(p, &value));
    (*out)->value = value;
    return STRATA_OK;
}

/* path = NAME { "." ( NAME | NUMBER ) } , without spaces. */
static strata_status parse_path(parser *p, const char **out, st_place *place) {
    if (p->now.kind != ST_TOKEN_NAME) {
        return unexpected(p, "a path such as conv1 or layer1.0");
    }
    *place = place_of(p, &p->now);
    const char *start = p->now.start, *end = start + p->now.length;
    ST_TRY(advance(p));
    while (p->now.kind == ST_TOKEN_DOT && p->now.start == end) {
        bool follows = p->next.start == end + 1 && (p->next.kind == ST_TOKEN_NAME || p->next.kind == ST_TOKEN_NUMBER);
        ST_TRY(advance(p));
        if (!follows) {
            return unexpected(p, "a name or a number after '.'");
        }
        end = p->now.start + p->now.length;
        ST_TRY(advance(p));
    }
    char *text;
    ST_TRY(st_arena_text(&text, p->arena, start, (size_t)(end - start), p->err));
    *out = text;
    return STRATA_OK;
}

/* freeze = "freeze" ( path { path } | "all" "except" path { path } ) . */
static strata_status parse_freeze(parser *p, st_freeze **out) {
    enum { PATHS = 256 };
    ST_TRY(st_arena_alloc(out, p->arena, 1, sizeof(**out), p->err));
    const char **paths;
    st_place *places;
    ST_TRY(st_arena_alloc(&paths, p->arena, PATHS, sizeof(*paths), p->err));
    ST_TRY(st_arena_alloc(&places, p->arena, PATHS, sizeof(*places), p->err));
    (*out)->paths = paths;
    (*out)->places = places;
    if (is_word(p, "all") && st_token_is(&p->next, "except")) {
        (*out)->all_except = true;
        ST_TRY(advance(p));
        ST_TRY(advance(p));
    }
    do {
        if ((*out)->path_count == PATHS) {
            return st_fail_at(p->err, STRATA_SYNTAX, place_of(p, &p->now), "one 'freeze' names at most %d paths",
                              PATHS);
        }
        ST_TRY(parse_path(p, &paths[(*out)->path_count], &places[(*out)->path_count]));
        (*out)->path_count++;
    } while (p->now.kind == ST_TOKEN_NAME || p->now.kind == ST_TOKEN_NUMBER);
    return STRATA_OK;
}

/* block = "block" NAME { NAME [ "=" dims ] } "{" chain "}" . */
static strata_status parse_block(parser *p, st_block **out) {
    ST_TRY(st_arena_alloc(out, p->arena, 1, sizeof(**out), p->err));
    ST_TRY(take_name(p, "the name of a block", &(*out)->name, &(*out)->place));
    const st_param_decl **end = &(*out)->params;
    for (int count = 0; p->now.kind == ST_TOKEN_NAME; count++) {
        st_param_decl *param;
        if (count == ST_LANG_ARG_LIMIT) {
            return st_fail_at(p->err, STRATA_SYNTAX, place_of(p, &p->now), "a block has at most %d parameters",
                              ST_LANG_ARG_LIMIT);
        }
        ST_TRY(st_arena_alloc(&param, p->arena, 1, sizeof(*param), p->err));
        ST_TRY(take_name(p, "a parameter or '{'", &param->name, &param->place));
        for (const st_param_decl *other = (*out)->params; other != NULL; other = other->next) {
            if (strcmp(other->name, param->name) == 0) {
                return st_fail_at(p->err, STRATA_SYNTAX, param->place, "block %s has two parameters '%s'", (*out)->name,
                                  param->name);
            }
        }
        if (p->now.kind == ST_TOKEN_EQUALS) {
            ST_TRY(advance(p));
            st_expr *value;
            p->operators = 0;
            ST_TRY(parse_dims(p, &value));
            param->value = value;
        }
        *end = param;
        end = &param->next;
    }
    char after[ST_LANG_NAME_LIMIT + 40];
    snprintf(after, sizeof(after), "the parameters of block %s", (*out)->name);
    return braced_chain(p, after, &(*out)->chain);
}

/* ---- a file ---- */

/* What a file declares; its includes' declarations went to files before these. */
typedef struct declarations {
    const st_let *lets, **let_end;
    const st_freeze *freezes, **freeze_end;
    const char *network; /* NULL: none yet */
    st_token close;      /* the '}' of the block or network declared last */
    const char *closed;
} declarations;

static strata_status add_let(parser *p, declarations *own) {
    st_let *let;
    ST_TRY(advance(p));
    ST_TRY(parse_let(p, &let));
    for (const st_let *other = own->lets; other != NULL; other = other->next) {
        if (strcmp(other->name, let->name) == 0) {
            return st_fail_at(p->err, STRATA_SYNTAX, let->place, "knob '%s' has a value already, at line %d", let->name,
                              other->place.line);
        }
    }
    *own->let_end = let;
    own->let_end = &let->next;
    return STRATA_OK;
}

static strata_status add_freeze(parser *p, declarations *own) {
    st_freeze *freeze;
    ST_TRY(advance(p));
    ST_TRY(parse_freeze(p, &freeze));
    *own->freeze_end = freeze;
    own->freeze_end = &freeze->next;
    return STRATA_OK;
}

static strata_status add_block(parser *p, declarations *own) {
    st_block *block;
    ST_TRY(advance(p));
    ST_TRY(parse_block(p, &block));
    own->close = p->last;
    own->closed = "the block";
    for (const st_block *other = p->files->blocks; other != NULL; other = other->next) {
        if (strcmp(other->name, block->name) == 0) {
            return st_fail_at(p->err, STRATA_SYNTAX, block->place, "block '%s' exists already (%s:%d:%d)", block->name,
                              other->place.source->name, other->place.line, other->place.column);
        }
    }
    *p->files->block_end = block;
    p->files->block_end = &block->next;
    return STRATA_OK;
}

/* network = "network" NAME "{" chain "}" . */
static strata_status add_network(parser *p, declarations *own) {
    const char *name;
    st_place place;
    const st_syntax *steps = NULL;
    ST_TRY(advance(p));
    ST_TRY(take_name(p, "the name of the network", &name, &place));
    if (own->network != NULL) {
        return st_fail_at(p->err, STRATA_SYNTAX, place, "a file has one network; this one has '%s' already",
                          own->network);
    }
    ST_TRY(braced_chain(p, "the name of the network", &steps));
    own->close = p->last;
    own->closed = "the network";
    own->network = name;
    p->files->network = name;
    p->files->network_place = place;
    p->files->chain = steps;
    return STRATA_OK;
}

/* A step outside of a network: most often the '}' before it closed too much. */
static strata_status stray_step(parser *p, const declarations *own) {
    char found[64];
    st_token_describe(found, sizeof(found), &p->now);
    if (own->closed != NULL && (p->now.column > 1 || p->now.kind == ST_TOKEN_BRACE_CLOSE)) {
        return st_fail_at(p->err, STRATA_SYNTAX, place_of(p, &own->close), "this '}' closes %s, but %s follows it",
                          own->closed, found);
    }
    strata_status status = unexpected(p, "include, let, freeze, block or network");
    if (p->now.kind == ST_TOKEN_NAME && p->next.kind == ST_TOKEN_EQUALS) {
        st_error_hint(p->err, "a knob begins with let: let %.*s = ...", (int)p->now.length, p->now.start);
    }
    return status;
}

static strata_status parse_declaration(parser *p, declarations *own) {
    if (++p->files->declaration_count > ST_LANG_DECLARATION_LIMIT) {
        return st_fail_at(p->err, STRATA_SYNTAX, place_of(p, &p->now), "a net has at most %d declarations",
                          ST_LANG_DECLARATION_LIMIT);
    }
    ST_TRY(is_word(p, "include")  ? parse_include(p)
           : is_word(p, "let")    ? add_let(p, own)
           : is_word(p, "freeze") ? add_freeze(p, own)
           : is_word(p, "block")  ? add_block(p, own)
                                  : add_network(p, own));
    if (p->now.kind == ST_TOKEN_NEWLINE || p->now.kind == ST_TOKEN_END) {
        return STRATA_OK;
    }
    return p->now.kind == ST_TOKEN_BRACE_CLOSE ? unexpected(p, "the end of the line, as nothing is open here")
                                               : unexpected(p, "the end of the line");
}

/* file = { include | let | freeze | block | network } . */
static strata_status parse_file(parser *p) {
    declarations own = {.let_end = &own.lets, .freeze_end = &own.freezes};
    ST_TRY(skip_newlines(p));
    while (p->now.kind != ST_TOKEN_END) {
        ST_TRY(begins_declaration(&p->now) ? parse_declaration(p, &own) : stray_step(p, &own));
        ST_TRY(skip_newlines(p));
    }
    if (own.lets != NULL) {
        *p->files->let_end = own.lets;
        p->files->let_end = own.let_end;
    }
    if (own.freezes != NULL) {
        *p->files->freeze_end = own.freezes;
        p->files->freeze_end = own.freeze_end;
    }
    return STRATA_OK;
}

static strata_status begin(parser *p, st_arena *arena, const st_source *source, strata_error *err) {
    *p = (parser){.arena = arena, .err = err};
    ST_TRY(st_lexer_begin(&p->lexer, source, false, err));
    ST_TRY(st_lexer_next(&p->now, &p->lexer, err));
    return st_lexer_next(&p->next, &p->lexer, err);
}

strata_status st_files_parse(st_files *files, const st_source *source, strata_error *err) {
    parser p;
    ST_TRY(begin(&p, files->arena, source, err));
    p.files = files;
    files->open[files->open_count++] = source;
    ST_TRY(parse_file(&p));
    files->open_count--;
    return STRATA_OK;
}

strata_status st_parse_settings(const st_let **out, st_arena *arena, const st_source *source, strata_error *err) {
    parser p;
    *out = NULL;
    ST_TRY(begin(&p, arena, source, err));
    p.is_settings = true;
    ST_TRY(skip_newlines(&p));
    while (p.now.kind != ST_TOKEN_END) {
        st_let *let;
        ST_TRY(parse_let(&p, &let));
        *out = let;
        out = &let->next;
        ST_TRY(skip_newlines(&p));
    }
    return STRATA_OK;
}

strata_status st_parse_freeze(const st_freeze **out, st_arena *arena, const st_source *source, strata_error *err) {
    parser p;
    st_freeze *freeze;
    *out = NULL;
    ST_TRY(begin(&p, arena, source, err));
    ST_TRY(skip_newlines(&p));
    if (p.now.kind == ST_TOKEN_END) {
        return STRATA_OK;
    }
    ST_TRY(parse_freeze(&p, &freeze));
    *out = freeze;
    return p.now.kind == ST_TOKEN_END ? STRATA_OK : unexpected(&p, "paths separated by spaces");
}

strata_status st_parse_value(const st_expr **out, st_arena *arena, const st_source *source, strata_error *err) {
    parser p;
    st_expr *value;
    ST_TRY(begin(&p, arena, source, err));
    ST_TRY(parse_value(&p, &value));
    *out = value;
    return p.now.kind == ST_TOKEN_END ? STRATA_OK : unexpected(&p, "one value");
}
