/* tokens: what the files of this folder share: the lexer's tokens, and how files are found. Private to lang/. */
#ifndef ST_LANG_TOKENS_H
#define ST_LANG_TOKENS_H

#include "lang/lang.h"

enum {
    ST_LANG_NAME_LIMIT = 64,
    ST_LANG_OPERATOR_LIMIT = 256,
    ST_LANG_FILE_LIMIT = 64,
    ST_LANG_DECLARATION_LIMIT = 1000,
    ST_LANG_ARG_LIMIT = 64 /* graph/ relies on it */
};

typedef enum st_token_kind {
    ST_TOKEN_END,
    ST_TOKEN_NEWLINE, /* one for any number of them; none inside ( ) and [ ] */
    ST_TOKEN_NAME,
    ST_TOKEN_NUMBER,
    ST_TOKEN_STRING, /* start and length without the quotes */
    ST_TOKEN_CROSS,  /* x between dimensions */
    ST_TOKEN_COMMA,
    ST_TOKEN_COLON,
    ST_TOKEN_EQUALS,
    ST_TOKEN_BAR,
    ST_TOKEN_DOT,
    ST_TOKEN_BRACE_OPEN,
    ST_TOKEN_BRACE_CLOSE,
    ST_TOKEN_PAREN_OPEN,
    ST_TOKEN_PAREN_CLOSE,
    ST_TOKEN_LIST_OPEN,
    ST_TOKEN_LIST_CLOSE,
    ST_TOKEN_ADD,
    ST_TOKEN_SUB,
    ST_TOKEN_MUL,
    ST_TOKEN_DIV,
    ST_TOKEN_EQ,
    ST_TOKEN_NE,
    ST_TOKEN_LT,
    ST_TOKEN_LE,
    ST_TOKEN_GT,
    ST_TOKEN_GE,
    ST_TOKEN_COMMENT /* with the '#', without the end of the line; only when the lexer keeps comments */
} st_token_kind;

typedef struct st_token {
    st_token_kind kind;
    int line, column;
    bool is_first; /* nothing but spaces before it on its line */
    const char *start;
    size_t length;
} st_token;

/* A place in a text that tokens are read from. Copying it saves the place. */
typedef struct st_lexer {
    const st_source *source;
    const char *at, *end;
    int line, column;
    int brackets; /* open ( and [ */
    bool line_is_empty, keeps_comments;
} st_lexer;

/* Also refuses a text that is too long or is not UTF-8. */
strata_status st_lexer_begin(st_lexer *out, const st_source *source, bool keeps_comments, strata_error *err);
strata_status st_lexer_next(st_token *out, st_lexer *lexer, strata_error *err);
bool st_token_is(const st_token *token, const char *word); /* a NAME with this text */
/* "'conv'", "the end of the line": how an error says what was found. */
void st_token_describe(char *out, size_t capacity, const st_token *token);
bool st_lang_is_reserved(const char *name, size_t length);
/* The digits of a NUMBER token to the nearest double; false when it is out of range. */
bool st_lang_number(double *out, const char *digits, size_t length);

/* Everything that is being read: the files open at the moment and those done. */
typedef struct st_files {
    st_arena *arena;
    const st_source *open[ST_LANG_INCLUDE_LIMIT + 1]; /* from the outermost to the one being parsed */
    int open_count;
    const char *done[ST_LANG_FILE_LIMIT]; /* names of the files read: a second include does nothing */
    int done_count;
    bool skips_includes; /* this file alone */
    int declaration_count;
    /* what was found so far, in the order of st_tree */
    const st_let *lets, **let_end;
    const st_block *blocks, **block_end;
    const st_freeze *freezes, **freeze_end;
    const char *network;
    st_place network_place;
    const st_syntax *chain;
} st_files;

void st_files_begin(st_files *files, st_arena *arena);
/* Parses one file and what it includes. */
strata_status st_files_parse(st_files *files, const st_source *source, strata_error *err);
/* The file that `include "path"` at `place` means; NULL in *out when it was read before. */
strata_status st_files_include(const st_source **out, st_files *files, const char *path, st_place place,
                               strata_error *err);
/* `name=value name=value`, and one value alone. */
strata_status st_parse_settings(const st_let **out, st_arena *arena, const st_source *source, strata_error *err);
strata_status st_parse_freeze(const st_freeze **out, st_arena *arena, const st_source *source, strata_error *err);
strata_status st_parse_value(const st_expr **out, st_arena *arena, const st_source *source, strata_error *err);

#endif
