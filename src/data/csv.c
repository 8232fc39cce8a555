/* Separated values (RFC 4180): a record a line, the separator a tab where the first line has one, else a comma, else a
 * semicolon. A field in quotes may hold separators, line ends, and quotes twice; one without may hold quotes as they
 * are, and loses the spaces around it. Lines end in LF or CRLF, the last perhaps in nothing; empty ones are passed
 * over; a byte order mark of UTF-8 too. All records have as many fields. */
#include "data/list.h"

#include <stdio.h>
#include <string.h>

typedef struct parser {
    st_table *table;
    st_arena *arena;
    char *at, *end; /* *end is NUL */
    uint32_t line;
    size_t capacity; /* rows */
    const char *row[ST_TABLE_MOST_COLUMNS];
} parser;

static strata_status fail_line(const char *path, uint32_t line, strata_error *err, const char *what) {
    st_fail_file(err, STRATA_FORMAT, path, "%s", what);
    if (err != NULL) {
        err->line = (int)line;
    }
    return STRATA_FORMAT;
}

strata_status st_table_fail(const st_table *table, size_t row, strata_error *err, const char *format, ...) {
    char what[sizeof err->message];
    va_list arguments;
    va_start(arguments, format);
    (void)st_text_print(what, sizeof what, format, arguments);
    va_end(arguments);
    return fail_line(table->path, row < table->rows ? table->lines[row] : 0, err, what);
}

/* ---- fields ---- */

static bool ends_line(const parser *with) {
    return with->at == with->end || *with->at == '\n' || (*with->at == '\r' && with->at[1] == '\n');
}

/* After the opening quote; the text moves together where a quote stood twice. */
static strata_status take_quoted(parser *with, const char **out, strata_error *err) {
    uint32_t first = with->line;
    char *to = ++with->at;
    *out = to;
    for (;; with->at++) {
        if (with->at == with->end) {
            return fail_line(with->table->path, first, err, "a quote is never closed");
        }
        if (*with->at == '"' && with->at[1] != '"') {
            break;
        }
        with->at += *with->at == '"';
        with->line += *with->at == '\n';
        *to++ = *with->at;
    }
    with->at++;
    if (!ends_line(with) && *with->at != with->table->separator) {
        return fail_line(with->table->path, with->line, err,
                         "text after a closing quote; a quote within quotes is written twice");
    }
    *to = '\0'; /* at most the closing quote's place */
    return STRATA_OK;
}

/* Without its end, which is still to be looked at; *last is where its NUL goes. */
static void take_plain(parser *with, const char **out, char **last) {
    while (*with->at == ' ' && with->table->separator != ' ') {
        with->at++;
    }
    *out = with->at;
    while (!ends_line(with) && *with->at != with->table->separator) {
        with->at++;
    }
    *last = with->at;
    while (*last > *out && (*last)[-1] == ' ') {
        --*last;
    }
}

/* One record into with->row. */
static strata_status take_record(parser *with, size_t *count, strata_error *err) {
    for (*count = 0;;) {
        char *last = NULL;
        const char **field = &with->row[*count];
        if (*with->at == '"') {
            ST_TRY(take_quoted(with, field, err));
        } else {
            take_plain(with, field, &last);
        }
        ++*count;
        bool is_more = with->at < with->end && *with->at == with->table->separator;
        bool is_end = with->at == with->end, is_long = !is_end && *with->at == '\r';
        if (last != NULL) {
            *last = '\0'; /* may be the separator's or the line's end, which was looked at */
        }
        if (!is_more) {
            with->at += is_end ? 0 : is_long ? 2 : 1;
            with->line += !is_end;
            return STRATA_OK;
        }
        with->at++;
        if (*count == ST_TABLE_MOST_COLUMNS) {
            return fail_line(with->table->path, with->line, err, "more than 64 fields");
        }
    }
}

/* ---- rows ---- */

static strata_status grow(parser *with, strata_error *err) {
    st_table *table = with->table;
    size_t capacity = with->capacity * 2 + 64, all = 0;
    const char **fields = NULL;
    uint32_t *lines = NULL;
    ST_FAIL_IF(!st_size_mul(capacity, table->columns, &all), err, STRATA_MEMORY, "no memory for %zu rows", capacity);
    ST_TRY(st_arena_alloc(&fields, with->arena, all, sizeof *fields, err));
    ST_TRY(st_arena_alloc(&lines, with->arena, capacity, sizeof *lines, err));
    if (table->rows > 0) {
        memcpy(fields, table->fields, table->rows * table->columns * sizeof *fields);
        memcpy(lines, table->lines, table->rows * sizeof *lines);
    }
    table->fields = fields;
    table->lines = lines;
    with->capacity = capacity;
    return STRATA_OK;
}

static strata_status keep_record(parser *with, size_t count, uint32_t line, strata_error *err) {
    st_table *table = with->table;
    table->columns = table->rows == 0 ? count : table->columns;
    if (count != table->columns) {
        char what[100];
        (void)snprintf(what, sizeof what, "%zu fields, expected %zu as in line %u", count, table->columns,
                       table->lines[0]);
        return fail_line(table->path, line, err, what);
    }
    if (table->rows == with->capacity) {
        ST_TRY(grow(with, err));
    }
    memcpy(table->fields + table->rows * count, with->row, count * sizeof *table->fields);
    table->lines[table->rows++] = line;
    return STRATA_OK;
}

static char find_separator(const char *bytes, size_t length) {
    const char *line = memchr(bytes, '\n', length);
    size_t count = line != NULL ? (size_t)(line - bytes) : length;
    return memchr(bytes, '\t', count) != NULL ? '\t' : memchr(bytes, ',', count) != NULL ? ',' : ';';
}

/* What is no text, said by its place. */
static strata_status check_text(const char *path, const char *bytes, size_t length, strata_error *err) {
    if (length >= 2 && ((bytes[0] == '\xFF' && bytes[1] == '\xFE') || (bytes[0] == '\xFE' && bytes[1] == '\xFF'))) {
        return st_fail_file(err, STRATA_UNSUPPORTED, path, "is written in UTF-16, expected UTF-8");
    }
    const char *nul = memchr(bytes, '\0', length);
    uint32_t line = 1;
    for (const char *at = bytes; nul != NULL && at < nul; at++) {
        line += *at == '\n';
    }
    return nul == NULL ? STRATA_OK : fail_line(path, line, err, "a byte of zero, expected text");
}

strata_status st_table_parse(st_table *out, st_arena *arena, const char *path, char *bytes, size_t length,
                             strata_error *err) {
    *out = (st_table){.path = path};
    ST_TRY(check_text(path, bytes, length, err));
    size_t mark = length >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    out->separator = find_separator(bytes + mark, length - mark);
    parser with = {.table = out, .arena = arena, .at = bytes + mark, .end = bytes + length, .line = 1};
    while (with.at < with.end) {
        uint32_t line = with.line;
        size_t count = 0;
        ST_TRY(take_record(&with, &count, err));
        if (count > 1 || with.row[0][0] != '\0') {
            ST_TRY(keep_record(&with, count, line, err));
        }
    }
    return STRATA_OK;
}
