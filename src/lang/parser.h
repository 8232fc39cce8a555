/* parser: what the files that parse share: the parser's state, tokens, and the productions that one calls in another.
 * Private to lang/. */
#ifndef ST_LANG_PARSER_H
#define ST_LANG_PARSER_H

#include "lang/tokens.h"

typedef struct st_parser {
    st_files *files;
    st_arena *arena;
    strata_error *err;
    st_lexer lexer;
    st_token last, now, next; /* last: consumed */
    int depth;                /* of braces and expressions */
    int operators;            /* in the value being parsed */
    bool is_settings;         /* a line of --set, where values are separated by spaces alone */
} st_parser;

st_place st_parser_place(const st_parser *p, const st_token *token);
strata_status st_parser_advance(st_parser *p);
strata_status st_parser_skip_newlines(st_parser *p);
bool st_parser_is_word(const st_parser *p, const char *word); /* the current token */
bool st_parser_begins_declaration(const st_token *token);
/* "expected WHAT, found 'x'" at the current token. */
strata_status st_parser_unexpected(st_parser *p, const char *what);
/* A name that is no word of the language, in the arena; `what` says what it would be. */
strata_status st_parser_take_name(st_parser *p, const char *what, const char **out, st_place *place);
strata_status st_parser_deeper(st_parser *p);

/* expression.c */
strata_status st_parser_value(st_parser *p, st_expr **out);
strata_status st_parser_dims(st_parser *p, st_expr **out);

/* parser.c: "{" chain "}" ; `after` stands in the message when there is no brace. */
strata_status st_parser_braces(st_parser *p, const char *after, const st_syntax **out);

#endif
