/* format: the tidy form of a text, comments kept (`strata fmt`). Works on tokens, not on the tree: the author's lines
 * stay lines, as they carry the structure; what is decided here is everything else:
 *
 *   indentation   4 for each line that opened a brace; a lane's further lines stand 2 right of its '|'
 *   spaces        one between words, none inside brackets, around '=' of an argument, around + - * /
 *   empty lines   at most one, none at the beginning, after '{' or before '}'
 *   comments      on neighbouring lines stand below each other, at least 2 after the text
 *   let           the '=' of neighbouring lines stand below each other
 *
 * Formatting its own result changes nothing. */
#include <string.h>

#include "lang/tokens.h"

enum { ALIGNED_WIDTH = 100, BRACE_LIMIT = ST_LANG_DEPTH_LIMIT + 1 };

typedef struct brace {
    int indent; /* of the line that opened it */
    bool has_lanes;
} brace;

/* A line of the result: a piece of the code text, and its comment. */
typedef struct line {
    size_t start, length; /* in `code` */
    size_t let_name;      /* characters before the '=' of a let; 0: not a let */
    const char *comment;
    size_t comment_length;
    bool empty_before;
    int indent;
} line;

typedef struct formatter {
    const st_token *tokens; /* ends with END */
    line *lines;
    size_t line_count;
    st_text code;
    brace braces[BRACE_LIMIT];
    int brace_count;
    int brackets; /* open ( and [ */
    unsigned char is_list[ST_LANG_DEPTH_LIMIT + 1];
} formatter;

/* ---- spaces ---- */

static bool is_arithmetic(st_token_kind kind) {
    return kind == ST_TOKEN_ADD || kind == ST_TOKEN_SUB || kind == ST_TOKEN_MUL || kind == ST_TOKEN_DIV;
}

static bool is_comparison(st_token_kind kind) {
    return kind >= ST_TOKEN_EQ && kind <= ST_TOKEN_GE;
}

static bool is_operand(const st_token *token) {
    return token->kind == ST_TOKEN_NUMBER || token->kind == ST_TOKEN_STRING || token->kind == ST_TOKEN_PAREN_CLOSE ||
           token->kind == ST_TOKEN_LIST_CLOSE ||
           (token->kind == ST_TOKEN_NAME && (!st_lang_is_reserved(token->start, token->length) ||
                                             st_token_is(token, "yes") || st_token_is(token, "no")));
}

/* 3x3, but n x n and n-1 x 3. `cross` is not the first token. */
static bool is_tight_cross(const st_token *cross) {
    return cross[-1].kind == ST_TOKEN_NUMBER && cross[1].kind == ST_TOKEN_NUMBER && !is_arithmetic(cross[2].kind) &&
           !is_arithmetic(cross[-2].kind);
}

static bool has_space(const formatter *f, const st_token *first, const st_token *at) {
    const st_token *before = at - 1;
    st_token_kind left = before->kind, right = at->kind;
    bool in_list = f->brackets > 0 && f->is_list[f->brackets];
    if (right == ST_TOKEN_COMMA || right == ST_TOKEN_COLON || right == ST_TOKEN_PAREN_CLOSE ||
        right == ST_TOKEN_LIST_CLOSE || left == ST_TOKEN_PAREN_OPEN || left == ST_TOKEN_LIST_OPEN ||
        left == ST_TOKEN_DOT || right == ST_TOKEN_DOT) {
        return false;
    }
    if (left == ST_TOKEN_EQUALS || right == ST_TOKEN_EQUALS) {
        return st_token_is(first, "let");
    }
    if (left == ST_TOKEN_CROSS) {
        return before == first || !is_tight_cross(before);
    }
    if (right == ST_TOKEN_CROSS) {
        return !is_tight_cross(at);
    }
    if (is_comparison(left) || is_comparison(right)) {
        return true;
    }
    if (right == ST_TOKEN_SUB) {
        bool is_binary = is_operand(before) && !in_list;
        return !is_binary && !is_arithmetic(left);
    }
    return !is_arithmetic(left) && !is_arithmetic(right);
}

/* ---- indentation ---- */

/* `if` at the beginning of a lane, rather than of a step: a '|' comes before the '{'. */
static bool begins_lane(const st_token *token) {
    if (!st_token_is(token, "if")) {
        return token->kind == ST_TOKEN_BAR;
    }
    while (token->kind != ST_TOKEN_BAR && token->kind != ST_TOKEN_BRACE_OPEN && token->kind != ST_TOKEN_END) {
        token++;
    }
    return token->kind == ST_TOKEN_BAR;
}

static const st_token *skip_blank(const st_token *token) {
    while (token->kind == ST_TOKEN_NEWLINE || token->kind == ST_TOKEN_COMMENT) {
        token++;
    }
    return token;
}

/* Of a line that begins with `token`; `statement` is the indentation of the line before it. */
static int indent_of(const formatter *f, const st_token *token, int statement) {
    if (f->brackets > 0) {
        return statement;
    }
    if (f->brace_count == 0) {
        return 0;
    }
    const brace *top = &f->braces[f->brace_count - 1];
    if (token->kind == ST_TOKEN_BRACE_CLOSE) {
        return top->indent;
    }
    if (token->kind == ST_TOKEN_COMMENT) {
        const st_token *next = skip_blank(token);
        bool is_last = next->kind == ST_TOKEN_BRACE_CLOSE || next->kind == ST_TOKEN_END;
        return is_last ? top->indent + 4 : indent_of(f, next, statement);
    }
    return top->indent + (top->has_lanes && !begins_lane(token) ? 6 : 4);
}

static void follow(formatter *f, const st_token *token, int indent) {
    if (token->kind == ST_TOKEN_BRACE_OPEN && f->brace_count < BRACE_LIMIT) {
        f->braces[f->brace_count++] = (brace){.indent = indent, .has_lanes = begins_lane(skip_blank(token + 1))};
    } else if (token->kind == ST_TOKEN_BRACE_CLOSE && f->brace_count > 0) {
        f->brace_count--;
    } else if ((token->kind == ST_TOKEN_PAREN_OPEN || token->kind == ST_TOKEN_LIST_OPEN) &&
               f->brackets < ST_LANG_DEPTH_LIMIT) {
        f->is_list[++f->brackets] = token->kind == ST_TOKEN_LIST_OPEN;
    } else if ((token->kind == ST_TOKEN_PAREN_CLOSE || token->kind == ST_TOKEN_LIST_CLOSE) && f->brackets > 0) {
        f->brackets--;
    }
}

/* ---- lines ---- */

static void add_comment(line *out, const st_token *comment) {
    out->comment = comment->start;
    out->comment_length = comment->length;
    while (out->comment_length > 0 && strchr(" \t\r", out->comment[out->comment_length - 1]) != NULL) {
        out->comment_length--;
    }
}

static void add_token(formatter *f, const st_token *token) {
    const char *quote = token->kind == ST_TOKEN_STRING ? "\"" : "";
    st_text_add(&f->code, "%s", quote);
    st_text_add_bytes(&f->code, token->start, token->length);
    st_text_add(&f->code, "%s", quote);
}

/* Reads one line of tokens, from `at` to the NEWLINE or END after it, which is returned. */
static const st_token *read_line(formatter *f, const st_token *at, line *out, int statement) {
    const st_token *first = at;
    out->start = f->code.length;
    out->indent = indent_of(f, at, statement);
    for (; at->kind != ST_TOKEN_NEWLINE && at->kind != ST_TOKEN_END; at++) {
        if (at->kind == ST_TOKEN_COMMENT) {
            add_comment(out, at);
            continue;
        }
        if (at != first && has_space(f, first, at)) {
            st_text_add(&f->code, " ");
        }
        if (at->kind == ST_TOKEN_EQUALS && st_token_is(first, "let") && out->let_name == 0) {
            out->let_name = f->code.length - out->start;
        }
        add_token(f, at);
        follow(f, at, out->indent);
    }
    out->length = f->code.length - out->start;
    return at;
}

static void read_lines(formatter *f) {
    bool was_empty = false;
    int statement = 0;
    for (const st_token *at = f->tokens; at->kind != ST_TOKEN_END; at += at->kind == ST_TOKEN_NEWLINE) {
        if (at->kind == ST_TOKEN_NEWLINE) {
            was_empty = true;
            continue;
        }
        line *next = &f->lines[f->line_count++];
        bool closes = at->kind == ST_TOKEN_BRACE_CLOSE;
        const line *before = f->line_count > 1 ? next - 1 : NULL;
        bool opened = before == NULL || (before->length > 0 && !f->code.failed &&
                                         f->code.bytes[before->start + before->length - 1] == '{');
        *next = (line){.empty_before = was_empty && !closes && !opened};
        bool continues = f->brackets > 0;
        at = read_line(f, at, next, statement);
        statement = continues ? statement : next->indent + 4;
        was_empty = false;
    }
}

/* ---- the result ---- */

static size_t width_of(const char *bytes, size_t length) {
    size_t width = 0;
    for (size_t i = 0; i < length; i++) {
        width += ((unsigned char)bytes[i] & 0xC0) != 0x80;
    }
    return width;
}

static size_t code_width(const formatter *f, const line *at) {
    return (size_t)at->indent + (at->length == 0 ? 0 : width_of(f->code.bytes + at->start, at->length));
}

/* Lines from `first` on that follow each other without an empty one and are all lets: makes their names equally long.
 */
static size_t longest_let(const line *first, const line *end) {
    size_t longest = 0;
    for (const line *at = first; at < end && at->let_name > 0 && (at == first || !at->empty_before); at++) {
        longest = at->let_name > longest ? at->let_name : longest;
    }
    return longest;
}

static bool is_aligned(const formatter *f, const line *at) {
    return at->comment != NULL && at->length > 0 && code_width(f, at) <= ALIGNED_WIDTH;
}

static void add_padding(st_text *out, size_t count) {
    for (size_t i = 0; i < count; i++) {
        st_text_add(out, " ");
    }
}

static void write_line(const formatter *f, st_text *out, const line *at, size_t let_width, size_t comment_column) {
    const char *code = at->length == 0 ? "" : f->code.bytes + at->start;
    size_t width = code_width(f, at);
    st_text_add(out, at->empty_before ? "\n" : "");
    add_padding(out, (size_t)at->indent);
    st_text_add_bytes(out, code, at->let_name);
    if (at->let_name > 0) {
        add_padding(out, let_width - at->let_name);
        width += let_width - at->let_name;
    }
    st_text_add_bytes(out, code + at->let_name, at->length - at->let_name);
    if (at->comment != NULL) {
        add_padding(out, at->length == 0 ? 0 : comment_column > width ? comment_column - width : 2);
        st_text_add_bytes(out, at->comment, at->comment_length);
    }
    st_text_add(out, "\n");
}

static void write_lines(const formatter *f, st_text *out) {
    const line *end = f->lines + f->line_count;
    size_t let_width = 0, column = 0;
    for (const line *at = f->lines; at < end; at++) {
        bool new_let = at == f->lines || at->empty_before || at[-1].let_name == 0;
        let_width = new_let ? longest_let(at, end) : let_width;
        bool new_run = at == f->lines || at->empty_before || !is_aligned(f, at - 1);
        if (new_run) {
            column = 0;
            size_t run_let = let_width;
            for (const line *next = at; next < end && is_aligned(f, next) && (next == at || !next->empty_before);
                 next++) {
                run_let = next->let_name > 0 && next > at && next[-1].let_name == 0 ? longest_let(next, end) : run_let;
                size_t width = code_width(f, next) + (next->let_name > 0 ? run_let - next->let_name : 0);
                column = width + 2 > column ? width + 2 : column;
            }
        }
        write_line(f, out, at, let_width, is_aligned(f, at) ? column : 0);
    }
}

/* ---- the whole ---- */

/* Reads all tokens, into `tokens` unless that is NULL, and counts tokens and lines. */
static strata_status read_tokens(st_token *tokens, size_t *token_count, size_t *line_count, const st_source *source,
                                 strata_error *err) {
    st_lexer lexer;
    st_token token = {.kind = ST_TOKEN_NEWLINE};
    *token_count = 0;
    *line_count = 1;
    ST_TRY(st_lexer_begin(&lexer, source, true, err));
    while (token.kind != ST_TOKEN_END) {
        ST_TRY(st_lexer_next(&token, &lexer, err));
        *line_count += token.kind == ST_TOKEN_NEWLINE;
        if (tokens != NULL) {
            tokens[*token_count] = token;
        }
        ++*token_count;
    }
    return STRATA_OK;
}

/* Tokens with room for two to look at before the first and after the last. */
static strata_status collect(formatter *f, st_arena *arena, const st_source *source, strata_error *err) {
    size_t token_count, line_count;
    st_token *tokens;
    ST_TRY(read_tokens(NULL, &token_count, &line_count, source, err));
    ST_TRY(st_arena_alloc(&tokens, arena, token_count + 4, sizeof(*tokens), err));
    ST_TRY(st_arena_alloc(&f->lines, arena, line_count, sizeof(*f->lines), err));
    f->tokens = tokens + 2;
    return read_tokens(tokens + 2, &token_count, &line_count, source, err);
}

static strata_status format_source(char **out, st_arena *arena, const st_source *source, strata_error *err) {
    st_files files;
    formatter *f;
    st_files_begin(&files, arena);
    files.skips_includes = true;
    ST_TRY(st_files_parse(&files, source, err)); /* only a text that is right has a tidy form */
    ST_TRY(st_arena_alloc(&f, arena, 1, sizeof(*f), err));
    ST_TRY(collect(f, arena, source, err));
    read_lines(f);
    st_text text = {0};
    text.failed = f->code.failed;
    if (!f->code.failed) {
        write_lines(f, &text);
    }
    st_text_free(&f->code);
    return st_text_finish(out, &text, err);
}

strata_status st_lang_format(char **out, const char *name, const char *text, size_t length, strata_error *err) {
    st_arena *arena;
    *out = NULL;
    ST_TRY(st_arena_create(&arena, err));
    st_source source = {.name = name, .text = text, .length = length, .is_zoo = true};
    strata_status status = format_source(out, arena, &source, err);
    st_arena_free(arena);
    return status;
}
