/* lexer: .net text to tokens, one at a time, each with its place. It knows the shapes of words and numbers and nothing
 * of what they mean; `x` is its only surprise: right after a number or ")", or alone, it is the product of dimensions.
 *
 *   NAME   = ( letter | "_" ) { letter | digit | "_" } .       at most 64 characters
 *   NUMBER = digits [ "." digits ] [ "e" [ "+" | "-" ] digits ] .
 *   STRING = '"' anything but '"' and the end of the line '"' .
 *   "#" begins a comment. Columns count characters, not bytes. */
#include <stdio.h>
#include <string.h>

#include "lang/tokens.h"

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* ---- places ---- */

/* The text of line `line`, tabs as spaces so that a caret below it stands right. */
static void copy_line(char *out, size_t capacity, const st_source *source, int line) {
    const char *at = source->text, *end = source->text + source->length;
    for (int i = 1; i < line && at < end; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline == NULL ? end : newline + 1;
    }
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    size_t length = (size_t)((newline == NULL ? end : newline) - at);
    if (length > 0 && at[length - 1] == '\r') {
        length--;
    }
    if (length >= capacity) {
        length = capacity - 1;
        while (length > 0 && ((unsigned char)at[length] & 0xC0) == 0x80) {
            length--; /* not in the middle of a character */
        }
    }
    char text[sizeof((strata_error *)0)->source];
    length = length < sizeof(text) ? length : sizeof(text) - 1;
    memcpy(text, at, length);
    for (size_t i = 0; i < length; i++) {
        text[i] = text[i] == '\t' ? ' ' : text[i];
    }
    st_text_printable(out, capacity, text, length);
}

strata_status st_fail_at(strata_error *err, strata_status status, st_place place, const char *format, ...) {
    if (err == NULL) {
        return status;
    }
    char message[sizeof(err->message)];
    va_list values;
    va_start(values, format);
    vsnprintf(message, sizeof(message), format, values);
    va_end(values);
    st_fail(err, status, "%s", message);
    if (place.source != NULL) {
        st_error_file(err, place.source->name);
        err->line = place.line;
        err->column = place.column;
        if (place.column < (int)sizeof(err->source)) {
            copy_line(err->source, sizeof(err->source), place.source, place.line);
        }
    }
    return status;
}

static st_place lexer_place(const st_lexer *lexer) {
    return (st_place){.source = lexer->source, .line = lexer->line, .column = lexer->column};
}

static void advance(st_lexer *lexer, size_t count) {
    for (size_t i = 0; i < count; i++, lexer->at++) {
        if (((unsigned char)*lexer->at & 0xC0) != 0x80) {
            lexer->column++;
        }
    }
}

/* ---- the whole text ---- */

/* Moves the lexer to the first byte that is not UTF-8; at the end when there is none. */
static void find_bad_byte(st_lexer *lexer) {
    while (lexer->at < lexer->end) {
        unsigned char c = (unsigned char)*lexer->at;
        size_t length = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
        size_t left = (size_t)(lexer->end - lexer->at);
        if (length > left || !st_text_is_utf8(lexer->at, length)) {
            return;
        }
        if (c == '\n') {
            lexer->line++;
            lexer->column = 0;
        }
        advance(lexer, length);
    }
}

strata_status st_lexer_begin(st_lexer *out, const st_source *source, bool keeps_comments, strata_error *err) {
    *out = (st_lexer){.source = source,
                      .at = source->text,
                      .end = source->text + source->length,
                      .line = 1,
                      .column = 1,
                      .line_is_empty = true,
                      .keeps_comments = keeps_comments};
    if (source->length > ST_LANG_TEXT_LIMIT) {
        return st_fail_at(err, STRATA_SYNTAX, lexer_place(out), "a net is at most %d bytes of text, found %zu",
                          ST_LANG_TEXT_LIMIT, source->length);
    }
    if (!st_text_is_utf8(source->text, source->length)) {
        find_bad_byte(out);
        return st_fail_at(err, STRATA_SYNTAX, lexer_place(out), "this byte (0x%02x) is not UTF-8 text",
                          out->at < out->end ? (unsigned)(unsigned char)*out->at : 0U);
    }
    if (source->length >= 3 && memcmp(source->text, "\xEF\xBB\xBF", 3) == 0) {
        out->at += 3; /* a byte order mark, as some editors write it */
    }
    return STRATA_OK;
}

/* ---- numbers ---- */

/* Exact where the digits make at most 15 of them and the power of ten at most 22 (Clinger 1990); the same everywhere.
 * No strtod: it depends on the locale. */
bool st_lang_number(double *out, const char *digits, size_t length) {
    double mantissa = 0;
    int scale = 0, exponent = 0, used = 0;
    bool is_negative = false;
    size_t i = 0;
    for (bool fraction = false; i < length && (is_digit(digits[i]) || (digits[i] == '.' && !fraction)); i++) {
        if (digits[i] == '.') {
            fraction = true;
            continue;
        }
        used += used > 0 || digits[i] != '0';
        if (used > 17) {
            return false;
        }
        mantissa = mantissa * 10 + (digits[i] - '0');
        scale -= fraction;
    }
    if (i < length && (digits[i] == 'e' || digits[i] == 'E')) {
        i++;
        is_negative = i < length && digits[i] == '-';
        i += i < length && (digits[i] == '-' || digits[i] == '+');
        for (; i < length; i++) {
            exponent = exponent * 10 + (digits[i] - '0');
            if (exponent > 300) {
                return false;
            }
        }
    }
    exponent = scale + (is_negative ? -exponent : exponent);
    for (; exponent > 0; exponent--) {
        mantissa *= 10;
    }
    double divisor = 1;
    for (; exponent < 0; exponent++) {
        divisor *= 10;
        if (divisor >= 1e22) {
            mantissa /= divisor;
            divisor = 1;
        }
    }
    *out = mantissa / divisor;
    return *out <= 1e300;
}

static size_t number_length(const char *at, const char *end) {
    const char *start = at;
    while (at < end && is_digit(*at)) {
        at++;
    }
    if (at + 1 < end && at[0] == '.' && is_digit(at[1])) {
        for (at++; at < end && is_digit(*at);) {
            at++;
        }
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        const char *power = at + 1;
        power += power < end && (*power == '+' || *power == '-');
        if (power < end && is_digit(*power)) {
            while (power < end && is_digit(*power)) {
                power++;
            }
            at = power;
        }
    }
    return (size_t)(at - start);
}

/* ---- tokens ---- */

static strata_status skip_comment(size_t *length, st_lexer *lexer, strata_error *err) {
    const char *start = lexer->at;
    while (lexer->at < lexer->end && *lexer->at != '\n') {
        unsigned char c = (unsigned char)*lexer->at;
        if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7F) {
            return st_fail_at(err, STRATA_SYNTAX, lexer_place(lexer), "a control character (0x%02x) in a comment",
                              (unsigned)c);
        }
        advance(lexer, 1);
    }
    *length = (size_t)(lexer->at - start);
    return STRATA_OK;
}

static strata_status skip_blanks(bool *newline, st_token *comment, st_lexer *lexer, strata_error *err) {
    *newline = false;
    comment->kind = ST_TOKEN_END;
    while (lexer->at < lexer->end) {
        char c = *lexer->at;
        if (c == '\n') {
            *newline = true;
            lexer->at++;
            lexer->line++;
            lexer->column = 1;
            lexer->line_is_empty = true;
            if (lexer->keeps_comments) {
                return STRATA_OK; /* the formatter counts empty lines */
            }
        } else if (c == ' ' || c == '\t' || c == '\r') {
            advance(lexer, 1);
        } else if (c == '#') {
            *comment = (st_token){.kind = ST_TOKEN_COMMENT,
                                  .line = lexer->line,
                                  .column = lexer->column,
                                  .is_first = lexer->line_is_empty,
                                  .start = lexer->at};
            ST_TRY(skip_comment(&comment->length, lexer, err));
            if (lexer->keeps_comments) {
                return STRATA_OK;
            }
        } else {
            return STRATA_OK;
        }
    }
    return STRATA_OK;
}

static st_token_kind punctuation(const char *at, const char *end, size_t *length) {
    static const struct {
        const char *text;
        st_token_kind kind;
    } marks[] = {{"==", ST_TOKEN_EQ},         {"!=", ST_TOKEN_NE},        {"<=", ST_TOKEN_LE},
                 {">=", ST_TOKEN_GE},         {"<", ST_TOKEN_LT},         {">", ST_TOKEN_GT},
                 {",", ST_TOKEN_COMMA},       {":", ST_TOKEN_COLON},      {"=", ST_TOKEN_EQUALS},
                 {"|", ST_TOKEN_BAR},         {".", ST_TOKEN_DOT},        {"{", ST_TOKEN_BRACE_OPEN},
                 {"}", ST_TOKEN_BRACE_CLOSE}, {"(", ST_TOKEN_PAREN_OPEN}, {")", ST_TOKEN_PAREN_CLOSE},
                 {"[", ST_TOKEN_LIST_OPEN},   {"]", ST_TOKEN_LIST_CLOSE}, {"+", ST_TOKEN_ADD},
                 {"-", ST_TOKEN_SUB},         {"*", ST_TOKEN_MUL},        {"/", ST_TOKEN_DIV}};
    for (size_t i = 0; i < ST_COUNT_OF(marks); i++) {
        *length = strlen(marks[i].text);
        if ((size_t)(end - at) >= *length && memcmp(at, marks[i].text, *length) == 0) {
            return marks[i].kind;
        }
    }
    *length = 0;
    return ST_TOKEN_END;
}

static strata_status read_word(st_token *out, st_lexer *lexer, strata_error *err) {
    const char *at = lexer->at;
    while (at < lexer->end && (is_letter(*at) || is_digit(*at))) {
        at++;
    }
    out->kind = ST_TOKEN_NAME;
    out->length = (size_t)(at - lexer->at);
    if (out->length > ST_LANG_NAME_LIMIT) {
        return st_fail_at(err, STRATA_SYNTAX, lexer_place(lexer), "a name has at most %d characters, found %zu",
                          ST_LANG_NAME_LIMIT, out->length);
    }
    if (out->length == 1 && out->start[0] == 'x') {
        out->kind = ST_TOKEN_CROSS;
    }
    advance(lexer, out->length);
    return STRATA_OK;
}

static strata_status read_number(st_token *out, st_lexer *lexer, strata_error *err) {
    out->kind = ST_TOKEN_NUMBER;
    out->length = number_length(lexer->at, lexer->end);
    const char *after = lexer->at + out->length;
    if (after < lexer->end && is_letter(*after) && *after != 'x') {
        const char *end = after;
        while (end < lexer->end && (is_letter(*end) || is_digit(*end)) && end - lexer->at < 40) {
            end++;
        }
        strata_status status = st_fail_at(err, STRATA_SYNTAX, lexer_place(lexer),
                                          "'%.*s' is neither a number nor a name", (int)(end - lexer->at), lexer->at);
        st_error_hint(err, "names begin with a letter");
        return status;
    }
    double value;
    if (!st_lang_number(&value, out->start, out->length)) {
        return st_fail_at(err, STRATA_SYNTAX, lexer_place(lexer),
                          "this number is out of range: at most 17 digits and a power of ten of at most 300");
    }
    advance(lexer, out->length);
    return STRATA_OK;
}

static strata_status read_string(st_token *out, st_lexer *lexer, strata_error *err) {
    const char *start = lexer->at + 1, *end = start;
    while (end < lexer->end && *end != '"' && (unsigned char)*end >= 0x20 && *end != 0x7F) {
        end++;
    }
    if (end == lexer->end || *end != '"') {
        return st_fail_at(err, STRATA_SYNTAX, lexer_place(lexer), "this text is never closed: no '\"' on its line");
    }
    out->kind = ST_TOKEN_STRING;
    out->start = start;
    out->length = (size_t)(end - start);
    advance(lexer, out->length + 2);
    return STRATA_OK;
}

static strata_status read_mark(st_token *out, st_lexer *lexer, strata_error *err) {
    out->kind = punctuation(lexer->at, lexer->end, &out->length);
    if (out->length == 0) {
        char shown[8];
        size_t length = 1;
        while (length < 4 && lexer->at + length < lexer->end && ((unsigned char)lexer->at[length] & 0xC0) == 0x80) {
            length++;
        }
        st_text_printable(shown, sizeof(shown), lexer->at, length);
        return st_fail_at(err, STRATA_SYNTAX, lexer_place(lexer), "the character '%s' (0x%02x) means nothing here",
                          shown, (unsigned)(unsigned char)*lexer->at);
    }
    if (out->kind == ST_TOKEN_PAREN_OPEN || out->kind == ST_TOKEN_LIST_OPEN) {
        lexer->brackets++;
    } else if ((out->kind == ST_TOKEN_PAREN_CLOSE || out->kind == ST_TOKEN_LIST_CLOSE) && lexer->brackets > 0) {
        lexer->brackets--;
    }
    advance(lexer, out->length);
    return STRATA_OK;
}

strata_status st_lexer_next(st_token *out, st_lexer *lexer, strata_error *err) {
    const char *before = lexer->at;
    st_token newline = {.kind = ST_TOKEN_NEWLINE, .line = lexer->line, .column = lexer->column, .start = before};
    st_token comment;
    bool has_newline;
    ST_TRY(skip_blanks(&has_newline, &comment, lexer, err));
    bool is_shown = lexer->keeps_comments || lexer->brackets == 0;
    if (comment.kind == ST_TOKEN_COMMENT && lexer->keeps_comments) {
        *out = comment;
        lexer->line_is_empty = false;
        return STRATA_OK;
    }
    if (has_newline && is_shown) {
        *out = newline;
        return STRATA_OK;
    }
    *out = (st_token){.kind = ST_TOKEN_END,
                      .line = lexer->line,
                      .column = lexer->column,
                      .is_first = lexer->line_is_empty,
                      .start = lexer->at};
    if (lexer->at == lexer->end) {
        return STRATA_OK;
    }
    lexer->line_is_empty = false;
    char c = *lexer->at;
    bool after_value = lexer->at > lexer->source->text && (is_digit(lexer->at[-1]) || lexer->at[-1] == ')');
    if (c == 'x' && after_value) {
        out->kind = ST_TOKEN_CROSS; /* 3x3, (n)x3: a value does not run into a name */
        out->length = 1;
        advance(lexer, 1);
        return STRATA_OK;
    }
    return is_letter(c)  ? read_word(out, lexer, err)
           : is_digit(c) ? read_number(out, lexer, err)
           : c == '"'    ? read_string(out, lexer, err)
                         : read_mark(out, lexer, err);
}

/* ---- what a token is ---- */

bool st_token_is(const st_token *token, const char *word) {
    return token->kind == ST_TOKEN_NAME && token->length == strlen(word) &&
           memcmp(token->start, word, token->length) == 0;
}

void st_token_describe(char *out, size_t capacity, const st_token *token) {
    if (token->kind == ST_TOKEN_END || token->kind == ST_TOKEN_NEWLINE) {
        snprintf(out, capacity, "the end of the %s", token->kind == ST_TOKEN_END ? "file" : "line");
        return;
    }
    const char *quote = token->kind == ST_TOKEN_STRING ? "\"" : "'";
    int length = token->length > 40 ? 40 : (int)token->length;
    while (length > 0 && length < (int)token->length && ((unsigned char)token->start[length] & 0xC0) == 0x80) {
        length--; /* not in the middle of a character */
    }
    snprintf(out, capacity, "%s%.*s%s", quote, length, token->start, quote);
}

bool st_lang_is_reserved(const char *name, size_t length) {
    static const char *const words[] = {"include", "let", "freeze", "block",  "network", "side", "repeat", "if", "then",
                                        "else",    "and", "or",     "output", "take",    "not",  "yes",    "no", "x"};
    for (size_t i = 0; i < ST_COUNT_OF(words); i++) {
        if (strlen(words[i]) == length && memcmp(words[i], name, length) == 0) {
            return true;
        }
    }
    return false;
}
