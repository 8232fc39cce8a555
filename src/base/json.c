/* JSON (RFC 8259), read by pulling: the caller asks for what it expects and the reader refuses anything else. Strict:
 * no comments, no trailing commas, no lone surrogates, well-formed UTF-8, depth bounded. It holds no tree and no stack:
 * whether a member is the first is seen from the byte before it. */
#include "base/base.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 64, LONGEST_NUMBER = 255 };

static void skip_space(st_json *json) {
    while (json->at < json->length && memchr(" \t\r\n", json->text[json->at], 4) != NULL) {
        json->at++;
    }
}

/* One message for everything that is not what was expected. */
static strata_status refuse(const st_json *json, const char *expected, strata_error *err) {
    if (json->at >= json->length) {
        return st_fail_file(err, STRATA_FORMAT, json->file, "JSON ends at byte %zu, expected %s", json->at, expected);
    }
    unsigned char found = (unsigned char)json->text[json->at];
    if (found > 0x20 && found < 0x7F) {
        return st_fail_file(err, STRATA_FORMAT, json->file, "JSON, byte %zu: found '%c', expected %s", json->at, found,
                            expected);
    }
    return st_fail_file(err, STRATA_FORMAT, json->file, "JSON, byte %zu: found byte 0x%02x, expected %s", json->at,
                        found, expected);
}

static bool word_is(const st_json *json, const char *word) {
    size_t length = strlen(word);
    return json->length - json->at >= length && memcmp(json->text + json->at, word, length) == 0;
}

strata_status st_json_peek(st_json *json, st_json_kind *kind, strata_error *err) {
    skip_space(json);
    char c = json->at < json->length ? json->text[json->at] : '\0';
    if (c == '{') {
        *kind = ST_JSON_OBJECT;
    } else if (c == '[') {
        *kind = ST_JSON_ARRAY;
    } else if (c == '"') {
        *kind = ST_JSON_STRING;
    } else if (c == '-' || (c >= '0' && c <= '9')) {
        *kind = ST_JSON_NUMBER;
    } else if (c == 't' && word_is(json, "true")) {
        *kind = ST_JSON_TRUE;
    } else if (c == 'f' && word_is(json, "false")) {
        *kind = ST_JSON_FALSE;
    } else if (c == 'n' && word_is(json, "null")) {
        *kind = ST_JSON_NULL;
    } else {
        return refuse(json, "a value", err);
    }
    return STRATA_OK;
}

strata_status st_json_enter(st_json *json, char open, strata_error *err) {
    skip_space(json);
    if (json->at >= json->length || json->text[json->at] != open) {
        return refuse(json, open == '{' ? "an object ('{')" : "a list ('[')", err);
    }
    if (json->depth >= DEEPEST) {
        return st_fail_file(err, STRATA_FORMAT, json->file, "JSON, byte %zu: nested deeper than %d", json->at, DEEPEST);
    }
    json->depth++;
    json->at++;
    return STRATA_OK;
}

/* Nothing but space lies between the last bracket that opened and here. */
static bool is_first(const st_json *json) {
    size_t at = json->at;
    while (at > 0 && memchr(" \t\r\n", json->text[at - 1], 4) != NULL) {
        at--;
    }
    return at > 0 && (json->text[at - 1] == '{' || json->text[at - 1] == '[');
}

/* To the next element; *more = false after `close`. */
static strata_status advance(st_json *json, bool *more, char close, strata_error *err) {
    bool first = is_first(json);
    *more = false;
    skip_space(json);
    char c = json->at < json->length ? json->text[json->at] : '\0';
    if (c == close) {
        json->at++;
        json->depth--;
        return STRATA_OK;
    }
    if (!first) {
        if (c != ',') {
            return refuse(json, close == '}' ? "',' or '}'" : "',' or ']'", err);
        }
        json->at++;
        skip_space(json);
    }
    if (close == '}' && (json->at >= json->length || json->text[json->at] != '"')) {
        return refuse(json, "a name in quotes", err);
    }
    *more = true;
    return STRATA_OK;
}

static strata_status take_colon(st_json *json, strata_error *err) {
    skip_space(json);
    if (json->at >= json->length || json->text[json->at] != ':') {
        return refuse(json, "':'", err);
    }
    json->at++;
    return STRATA_OK;
}

strata_status st_json_next(st_json *json, bool *more, char **key, strata_error *err) {
    ST_TRY(advance(json, more, key != NULL ? '}' : ']', err));
    if (*more && key != NULL) {
        size_t start = json->at, length = 0;
        ST_TRY(st_json_string(json, key, &length, err));
        if (strlen(*key) != length) {
            return st_fail_file(err, STRATA_FORMAT, json->file, "JSON, byte %zu: a name with a zero byte in it", start);
        }
        ST_TRY(take_colon(json, err));
    }
    return STRATA_OK;
}

/* ---- strings ---- */

/* Four hexadecimal digits at `at`, or -1. */
static int32_t hex4(const st_json *json, size_t at) {
    int32_t value = 0;
    if (json->length < 4 || at > json->length - 4) {
        return -1;
    }
    for (size_t i = at; i < at + 4; i++) {
        char c = json->text[i];
        int32_t digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        digit = c >= 'A' && c <= 'F' ? c - 'A' + 10 : digit;
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

static size_t put_utf8(char *out, uint32_t code) {
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (out != NULL) {
        static const unsigned char lead[] = {0, 0x00, 0xC0, 0xE0, 0xF0};
        for (size_t i = length - 1; i > 0; i--, code >>= 6) {
            out[i] = (char)(0x80u | (code & 0x3Fu));
        }
        out[0] = (char)(lead[length] | code);
    }
    return length;
}

/* The escape after the backslash at json->at; moves past it. */
static strata_status take_escape(st_json *json, uint32_t *code, strata_error *err) {
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    json->at++;
    char c = json->at < json->length ? json->text[json->at] : '\0';
    const char *known = c != '\0' ? strchr(names, c) : NULL;
    if (known != NULL) {
        *code = (unsigned char)meant[known - names];
        json->at++;
        return STRATA_OK;
    }
    if (c != 'u') {
        return refuse(json, "an escape: one of \" \\ / b f n r t u", err);
    }
    int32_t high = hex4(json, json->at + 1);
    if (high < 0) {
        return refuse(json, "four hexadecimal digits after \\u", err);
    }
    *code = (uint32_t)high;
    if (high >= 0xD800 && high <= 0xDFFF) {
        size_t second = json->at + 5;
        int32_t low =
            second + 2 <= json->length && memcmp(json->text + second, "\\u", 2) == 0 ? hex4(json, second + 2) : -1;
        if (high > 0xDBFF || low < 0xDC00 || low > 0xDFFF) {
            return refuse(json, "a pair of surrogates after \\u", err);
        }
        *code = 0x10000u + ((uint32_t)(high - 0xD800) << 10) + (uint32_t)(low - 0xDC00);
        json->at += 6;
    }
    json->at += 5;
    return STRATA_OK;
}

/* The string at json->at, unescaped into `out` (NULL: only checked and measured); moves past it. */
static strata_status take_string(st_json *json, char *out, size_t *length, strata_error *err) {
    *length = 0;
    json->at++;
    for (;;) {
        size_t run = json->at;
        while (run < json->length && json->text[run] != '"' && json->text[run] != '\\' &&
               (unsigned char)json->text[run] >= 0x20) {
            run++;
        }
        size_t count = run - json->at;
        if (!st_text_is_utf8(json->text + json->at, count)) {
            return refuse(json, "text in UTF-8", err);
        }
        if (out != NULL && count > 0) {
            memcpy(out + *length, json->text + json->at, count);
        }
        *length += count;
        json->at = run;
        if (run >= json->length || (unsigned char)json->text[run] < 0x20) {
            return refuse(json, "the end of the string ('\"')", err);
        }
        if (json->text[run] == '"') {
            json->at++;
            return STRATA_OK;
        }
        uint32_t code = 0;
        ST_TRY(take_escape(json, &code, err));
        *length += put_utf8(out != NULL ? out + *length : NULL, code);
    }
}

strata_status st_json_string(st_json *json, char **out, size_t *length, strata_error *err) {
    *out = NULL;
    skip_space(json);
    if (json->at >= json->length || json->text[json->at] != '"') {
        return refuse(json, "a string", err);
    }
    size_t start = json->at, measured = 0;
    ST_TRY(take_string(json, NULL, &measured, err));
    char *copy = NULL;
    ST_TRY(st_arena_alloc(&copy, json->arena, measured + 1, 1, err)); /* never longer than its JSON: no overflow */
    json->at = start;
    ST_TRY(take_string(json, copy, &measured, err));
    *out = copy;
    if (length != NULL) {
        *length = measured;
    }
    return STRATA_OK;
}

/* ---- numbers ---- */

static size_t digits_at(const st_json *json, size_t at) {
    size_t end = at;
    while (end < json->length && json->text[end] >= '0' && json->text[end] <= '9') {
        end++;
    }
    return end - at;
}

/* number = [ "-" ] int [ frac ] [ exp ]; moves past it. */
static strata_status take_number(st_json *json, bool *is_integer, strata_error *err) {
    skip_space(json);
    if (json->at < json->length && json->text[json->at] == '-') {
        json->at++;
    }
    size_t whole = digits_at(json, json->at);
    if (whole == 0) {
        return refuse(json, "a number", err);
    }
    if (whole > 1 && json->text[json->at] == '0') {
        return refuse(json, "a number without leading zeros", err);
    }
    json->at += whole;
    *is_integer = true;
    if (json->at < json->length && json->text[json->at] == '.') {
        json->at++;
        size_t fraction = digits_at(json, json->at);
        if (fraction == 0) {
            return refuse(json, "a digit", err);
        }
        json->at += fraction;
        *is_integer = false;
    }
    if (json->at < json->length && (json->text[json->at] == 'e' || json->text[json->at] == 'E')) {
        json->at++;
        if (json->at < json->length && (json->text[json->at] == '+' || json->text[json->at] == '-')) {
            json->at++;
        }
        size_t exponent = digits_at(json, json->at);
        if (exponent == 0) {
            return refuse(json, "a digit", err);
        }
        json->at += exponent;
        *is_integer = false;
    }
    return STRATA_OK;
}

strata_status st_json_number(st_json *json, double *out, strata_error *err) {
    bool is_integer = false;
    char digits[LONGEST_NUMBER + 1];
    *out = 0;
    skip_space(json);
    size_t start = json->at;
    ST_TRY(take_number(json, &is_integer, err));
    size_t length = json->at - start;
    if (length > LONGEST_NUMBER) {
        return st_fail_file(err, STRATA_FORMAT, json->file, "JSON, byte %zu: a number of %zu characters, at most %d",
                            start, length, LONGEST_NUMBER);
    }
    memcpy(digits, json->text + start, length);
    digits[length] = '\0';
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    ST_FAIL_IF(plain == (locale_t)0, err, STRATA_MEMORY, "no memory to read a number");
    *out = strtod_l(digits, NULL, plain);
    freelocale(plain);
    return STRATA_OK;
}

strata_status st_json_size(st_json *json, uint64_t *out, strata_error *err) {
    bool is_integer = false;
    uint64_t value = 0;
    *out = 0;
    skip_space(json);
    size_t start = json->at;
    ST_TRY(take_number(json, &is_integer, err));
    bool fits = is_integer && json->text[start] != '-';
    for (size_t i = start; fits && i < json->at; i++) {
        uint64_t digit = (uint64_t)(json->text[i] - '0');
        fits = value <= (UINT64_MAX - digit) / 10;
        value = value * 10 + digit;
    }
    if (!fits) {
        json->at = start;
        return refuse(json, "a whole number from 0 to 2^64 - 1", err);
    }
    *out = value;
    return STRATA_OK;
}

/* ---- the rest ---- */

strata_status st_json_skip(st_json *json, strata_error *err) {
    st_json_kind kind = ST_JSON_NULL;
    ST_TRY(st_json_peek(json, &kind, err));
    size_t ignored = 0;
    bool more = true, is_integer = false;
    switch (kind) {
    case ST_JSON_STRING:
        return take_string(json, NULL, &ignored, err);
    case ST_JSON_NUMBER:
        return take_number(json, &is_integer, err);
    case ST_JSON_OBJECT:
    case ST_JSON_ARRAY:
        ST_TRY(st_json_enter(json, kind == ST_JSON_OBJECT ? '{' : '[', err));
        for (;;) {
            ST_TRY(advance(json, &more, kind == ST_JSON_OBJECT ? '}' : ']', err));
            if (!more) {
                return STRATA_OK;
            }
            if (kind == ST_JSON_OBJECT) {
                ST_TRY(take_string(json, NULL, &ignored, err));
                ST_TRY(take_colon(json, err));
            }
            ST_TRY(st_json_skip(json, err)); /* as deep as st_json_enter allows */
        }
    case ST_JSON_FALSE:
        json->at += 5;
        return STRATA_OK;
    case ST_JSON_TRUE:
    case ST_JSON_NULL:
        json->at += 4;
        return STRATA_OK;
    }
    return STRATA_OK;
}

strata_status st_json_end(st_json *json, strata_error *err) {
    skip_space(json);
    return json->at < json->length ? refuse(json, "nothing more", err) : STRATA_OK;
}

void st_json_quote(st_text *text, const char *bytes, size_t length) {
    size_t done = 0;
    st_text_add_bytes(text, "\"", 1);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F) {
            continue;
        }
        st_text_add_bytes(text, bytes + done, i - done);
        done = i + 1;
        if (c == '"' || c == '\\') {
            st_text_add(text, "\\%c", c);
        } else if (c == '\n') {
            st_text_add_bytes(text, "\\n", 2);
        } else {
            st_text_add(text, "\\u%04x", c);
        }
    }
    st_text_add_bytes(text, bytes + done, length - done);
    st_text_add_bytes(text, "\"", 1);
}
