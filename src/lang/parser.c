/* parser: tokens to the syntax tree, by recursive descent, one function per production, the production quoted above it.
 * It knows no layer, block or knob: graph/ decides what the names mean. LL(2): a token and the one after it decide.
 * Steps are here, expressions in expression.c, what stands outside of chains in declaration.c.
 *
 * A missing '}' is the one mistake whose place the grammar does not know: it shows at the end of the file. The
 * indentation of the lines tells where the brace was meant to close; see report_unclosed. */
#include <stdio.h>
#include <string.h>

#include "lang/parser.h"

static strata_status chain(st_parser *p, bool in_lane, const st_expr **next_lane, const st_syntax **out);

/* ---- tokens ---- */

st_place st_parser_place(const st_parser *p, const st_token *token) {
    return (st_place){.source = p->lexer.source, .line = token->line, .column = token->column};
}

strata_status st_parser_advance(st_parser *p) {
    p->last = p->now;
    p->now = p->next;
    return st_lexer_next(&p->next, &p->lexer, p->err);
}

strata_status st_parser_skip_newlines(st_parser *p) {
    while (p->now.kind == ST_TOKEN_NEWLINE) {
        ST_TRY(st_parser_advance(p));
    }
    return STRATA_OK;
}

bool st_parser_is_word(const st_parser *p, const char *word) {
    return st_token_is(&p->now, word);
}

bool st_parser_begins_declaration(const st_token *token) {
    return st_token_is(token, "block") || st_token_is(token, "network") || st_token_is(token, "let") ||
           st_token_is(token, "include") || st_token_is(token, "freeze");
}

/* "expected WHAT, found 'x'" at the current token. */
strata_status st_parser_unexpected(st_parser *p, const char *what) {
    char found[64];
    st_token_describe(found, sizeof(found), &p->now);
    return st_fail_at(p->err, STRATA_SYNTAX, st_parser_place(p, &p->now), "expected %s, found %s", what, found);
}

strata_status st_parser_take_name(st_parser *p, const char *what, const char **out, st_place *place) {
    if (p->now.length == 1 && p->now.start[0] == 'x') {
        return st_fail_at(p->err, STRATA_SYNTAX, st_parser_place(p, &p->now),
                          "expected %s, found 'x', which is the sign between sizes: nothing can have it as a name",
                          what);
    }
    if (p->now.kind != ST_TOKEN_NAME) {
        return st_parser_unexpected(p, what);
    }
    if (st_lang_is_reserved(p->now.start, p->now.length)) {
        return st_fail_at(p->err, STRATA_SYNTAX, st_parser_place(p, &p->now),
                          "expected %s, found '%.*s', which is a word of the language", what, (int)p->now.length,
                          p->now.start);
    }
    *place = st_parser_place(p, &p->now);
    char *text;
    ST_TRY(st_arena_text(&text, p->arena, p->now.start, p->now.length, p->err));
    *out = text;
    return st_parser_advance(p);
}

strata_status st_parser_deeper(st_parser *p) {
    if (++p->depth > ST_LANG_DEPTH_LIMIT) {
        return st_fail_at(p->err, STRATA_SYNTAX, st_parser_place(p, &p->now), "nesting is deeper than %d",
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
static strata_status report_unclosed(st_parser *p) {
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
        return st_parser_unexpected(p, "a layer or '}'");
    }
    return st_fail_at(p->err, STRATA_SYNTAX, st_parser_place(p, &open[count - 1].token), "this '{' is never closed");
}

static strata_status open_brace_now(st_parser *p, const char *after) {
    if (p->now.kind != ST_TOKEN_BRACE_OPEN) {
        char what[96];
        snprintf(what, sizeof(what), "'{' after %s", after);
        return st_parser_unexpected(p, what);
    }
    ST_TRY(st_parser_deeper(p));
    return st_parser_advance(p);
}

static strata_status close_brace(st_parser *p) {
    if (p->now.kind == ST_TOKEN_BRACE_CLOSE) {
        p->depth--;
        return st_parser_advance(p);
    }
    if (p->now.kind == ST_TOKEN_END || st_parser_begins_declaration(&p->now)) {
        return report_unclosed(p);
    }
    return st_parser_unexpected(p, "'}'");
}

/* ---- steps ---- */

/* An argument that begins here. `if`, `else` and the other words of the language end a list of arguments. */
static bool begins_arg(const st_parser *p) {
    switch (p->now.kind) {
    case ST_TOKEN_NUMBER:
    case ST_TOKEN_STRING:
    case ST_TOKEN_PAREN_OPEN:
    case ST_TOKEN_LIST_OPEN:
        return true;
    case ST_TOKEN_NAME:
        return p->next.kind != ST_TOKEN_COLON && (st_parser_is_word(p, "yes") || st_parser_is_word(p, "no") ||
                                                  !st_lang_is_reserved(p->now.start, p->now.length));
    default:
        return false;
    }
}

/* arg = NAME "=" dims | dims . */
static strata_status parse_arg(st_parser *p, st_arg **out) {
    ST_TRY(st_arena_alloc(out, p->arena, 1, sizeof(**out), p->err));
    (*out)->place = st_parser_place(p, &p->now);
    if (p->now.kind == ST_TOKEN_NAME && p->next.kind == ST_TOKEN_EQUALS) {
        st_place place;
        ST_TRY(st_parser_take_name(p, "a name", &(*out)->key, &place));
        ST_TRY(st_parser_advance(p));
    }
    st_expr *value;
    p->operators = 0;
    ST_TRY(st_parser_dims(p, &value));
    (*out)->value = value;
    return STRATA_OK;
}

static strata_status parse_args(st_parser *p, const char *owner, const st_arg **out) {
    const st_arg **end = out;
    const char *key = NULL;
    int count = 0;
    while (begins_arg(p)) {
        char found[64];
        st_token_describe(found, sizeof(found), &p->now);
        if (++count > ST_LANG_ARG_LIMIT) {
            return st_fail_at(p->err, STRATA_SYNTAX, st_parser_place(p, &p->now), "%s: more than %d values", owner,
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
static strata_status parse_lane(st_parser *p, const char *owner, const st_expr **condition, st_lane **out) {
    ST_TRY(st_arena_alloc(out, p->arena, 1, sizeof(**out), p->err));
    (*out)->place = *condition != NULL ? (*condition)->place : st_parser_place(p, &p->now);
    (*out)->condition = *condition;
    if (*condition == NULL && st_parser_is_word(p, "if")) {
        st_expr *value;
        ST_TRY(st_parser_advance(p));
        p->operators = 0;
        ST_TRY(st_parser_value(p, &value));
        (*out)->condition = value;
    }
    if (p->now.kind != ST_TOKEN_BAR) {
        char what[ST_LANG_NAME_LIMIT + 40];
        snprintf(what, sizeof(what), "'|' to begin a branch of '%s'", owner);
        return st_parser_unexpected(p, what);
    }
    ST_TRY(st_parser_advance(p));
    *condition = NULL;
    return chain(p, true, condition, &(*out)->chain);
}

/* layer = NAME { arg } [ "{" lane { lane } "}" ] . */
static strata_status parse_layer(st_parser *p, st_syntax *step) {
    step->kind = ST_STEP_LAYER;
    ST_TRY(st_parser_take_name(p, "a layer", &step->name, &step->name_place));
    ST_TRY(parse_args(p, step->name, &step->args));
    if (p->now.kind != ST_TOKEN_BRACE_OPEN) {
        return STRATA_OK;
    }
    ST_TRY(open_brace_now(p, step->name));
    const st_lane **end = &step->lanes;
    const st_expr *condition = NULL;
    do {
        ST_TRY(st_parser_skip_newlines(p));
        if (p->now.kind == ST_TOKEN_END || (st_parser_begins_declaration(&p->now) && condition == NULL)) {
            return report_unclosed(p);
        }
        st_lane *lane;
        ST_TRY(parse_lane(p, step->name, &condition, &lane));
        *end = lane;
        end = &lane->next;
    } while (condition != NULL || p->now.kind != ST_TOKEN_BRACE_CLOSE);
    return close_brace(p);
}

strata_status st_parser_braces(st_parser *p, const char *after, const st_syntax **out) {
    ST_TRY(open_brace_now(p, after));
    ST_TRY(chain(p, false, NULL, out));
    return close_brace(p);
}

/* "repeat" dims "{" chain "}" */
static strata_status parse_repeat(st_parser *p, st_syntax *step) {
    step->kind = ST_STEP_REPEAT;
    ST_TRY(st_parser_advance(p));
    st_expr *count;
    p->operators = 0;
    if (p->now.kind == ST_TOKEN_BRACE_OPEN) {
        return st_parser_unexpected(p, "a count after 'repeat'");
    }
    ST_TRY(st_parser_dims(p, &count));
    step->condition = count;
    return st_parser_braces(p, "the count of 'repeat'", &step->chain);
}

/* [ "else" "{" chain "}" ], also on the line after the '}'. */
static strata_status parse_else(st_parser *p, st_syntax *step) {
    if (p->now.kind == ST_TOKEN_NEWLINE && st_token_is(&p->next, "else")) {
        ST_TRY(st_parser_advance(p));
    }
    if (!st_parser_is_word(p, "else")) {
        return STRATA_OK;
    }
    ST_TRY(st_parser_advance(p));
    return st_parser_braces(p, "'else'", &step->otherwise);
}

/* "output" NAME { arg } | "take" NAME */
static strata_status parse_named(st_parser *p, st_step_kind kind, st_syntax *step) {
    step->kind = kind;
    ST_TRY(st_parser_advance(p));
    bool is_key = p->now.kind == ST_TOKEN_NAME && p->next.kind == ST_TOKEN_EQUALS;
    if (kind == ST_STEP_OUTPUT && is_key) {
        return st_parser_unexpected(p, "a name for the output, as in: output logits loss=cross_entropy");
    }
    ST_TRY(st_parser_take_name(p, kind == ST_STEP_OUTPUT ? "a name for the output" : "the label to continue from",
                               &step->name, &step->name_place));
    return kind == ST_STEP_OUTPUT ? parse_args(p, "output", &step->args) : STRATA_OK;
}

/* step = [ NAME ":" ] ( layer | "{" chain "}" | "side" { arg } "{" chain "}" )
 *      | "repeat" dims "{" chain "}" | "output" NAME { arg } | "take" NAME . */
static strata_status parse_step(st_parser *p, st_syntax *step) {
    step->place = st_parser_place(p, &p->now);
    if (p->now.kind == ST_TOKEN_NAME && p->next.kind == ST_TOKEN_COLON) {
        st_place place;
        ST_TRY(st_parser_take_name(p, "a label", &step->label, &place));
        ST_TRY(st_parser_advance(p));
    }
    step->name_place = st_parser_place(p, &p->now);
    if (p->now.kind == ST_TOKEN_BRACE_OPEN) {
        step->kind = ST_STEP_GROUP;
        return st_parser_braces(p, "", &step->chain);
    }
    if (st_parser_is_word(p, "side")) {
        step->kind = ST_STEP_SIDE;
        ST_TRY(st_parser_advance(p));
        ST_TRY(parse_args(p, "side", &step->args));
        return st_parser_braces(p, "'side'", &step->chain);
    }
    bool takes_label = !st_parser_is_word(p, "repeat") && !st_parser_is_word(p, "output") &&
                       !st_parser_is_word(p, "take") && !st_parser_is_word(p, "if");
    if (step->label != NULL && !takes_label) {
        return st_parser_unexpected(p, "a layer, a block or '{' after a label");
    }
    if (st_parser_is_word(p, "repeat")) {
        return parse_repeat(p, step);
    }
    if (st_parser_is_word(p, "output") || st_parser_is_word(p, "take")) {
        return parse_named(p, st_parser_is_word(p, "output") ? ST_STEP_OUTPUT : ST_STEP_TAKE, step);
    }
    if (p->now.kind == ST_TOKEN_BAR) {
        return st_parser_unexpected(p, "a layer; '|' begins a branch only inside the braces of a layer such as 'add'");
    }
    return parse_layer(p, step);
}

/* "if" value "{" chain "}" [ "else" "{" chain "}" ], whose condition has been read. */
static strata_status parse_if(st_parser *p, st_syntax *step) {
    step->kind = ST_STEP_IF;
    ST_TRY(st_parser_braces(p, "the condition of 'if'", &step->chain));
    return parse_else(p, step);
}

static bool ends_chain(const st_parser *p, bool in_lane) {
    return p->now.kind == ST_TOKEN_BRACE_CLOSE || p->now.kind == ST_TOKEN_END ||
           (in_lane && p->now.kind == ST_TOKEN_BAR) || st_parser_begins_declaration(&p->now);
}

/* After a step: ',' or a new line, or the end of the chain. */
static strata_status separator(st_parser *p, bool in_lane) {
    if (p->now.kind == ST_TOKEN_COMMA) {
        ST_TRY(st_parser_advance(p));
        ST_TRY(st_parser_skip_newlines(p));
        return ends_chain(p, in_lane) ? st_parser_unexpected(p, "a layer after ','") : STRATA_OK;
    }
    if (p->now.kind == ST_TOKEN_NEWLINE || ends_chain(p, in_lane) || (in_lane && st_parser_is_word(p, "if"))) {
        return st_parser_skip_newlines(p);
    }
    strata_status status = st_parser_unexpected(p, "',' or a new line");
    if (p->now.kind == ST_TOKEN_NAME) {
        st_error_hint(p->err, "steps are separated by a comma or stand on lines of their own");
    } else if (p->now.kind == ST_TOKEN_SUB) {
        st_error_hint(p->err, "a value that begins with '-' stands in parentheses");
    }
    return status;
}

/* chain = [ step { ( "," | NEWLINE ) step } ] .
 * In a lane, "if" value "|" ends it: the condition of the next lane goes to *next_lane. */
static strata_status chain(st_parser *p, bool in_lane, const st_expr **next_lane, const st_syntax **out) {
    ST_TRY(st_parser_skip_newlines(p));
    while (!ends_chain(p, in_lane)) {
        st_syntax *step;
        ST_TRY(st_arena_alloc(&step, p->arena, 1, sizeof(*step), p->err));
        if (st_parser_is_word(p, "if")) {
            step->place = step->name_place = st_parser_place(p, &p->now);
            ST_TRY(st_parser_advance(p));
            st_expr *condition;
            p->operators = 0;
            ST_TRY(st_parser_value(p, &condition));
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
