/* lang: .net text to syntax tree, and back to tidy text. The parser knows no layer names. docs/language.md is the
 * language; the grammar's productions stand above the functions of parser.c. */
#ifndef ST_LANG_H
#define ST_LANG_H

#include "base/base.h"

/* Limits of a text: the rule 13 of the language. */
enum {
    ST_LANG_TEXT_LIMIT = 1 << 20,
    ST_LANG_DEPTH_LIMIT = 64,
    ST_LANG_INCLUDE_LIMIT = 8,
    ST_LANG_LAYER_LIMIT = 100000
};

/* One text and the name it goes by in errors. */
typedef struct st_source {
    const char *name;
    const char *text;
    size_t length;
    bool is_zoo; /* built in: its includes are zoo files */
} st_source;

typedef struct st_place {
    const st_source *source;
    int line, column; /* from 1 */
} st_place;

/* Like st_fail, with file:line:column and the line itself. */
strata_status st_fail_at(strata_error *err, strata_status status, st_place place, const char *format, ...)
    ST_PRINTF(4, 5);

/* ---- the tree; everything lives in the arena it was parsed with ---- */

typedef enum st_expr_kind {
    ST_EXPR_NUMBER,
    ST_EXPR_STRING,
    ST_EXPR_NAME,
    ST_EXPR_YES,
    ST_EXPR_NO,
    ST_EXPR_LIST, /* [a b c] */
    ST_EXPR_DIMS, /* a x b x c */
    ST_EXPR_UNARY,
    ST_EXPR_BINARY,
    ST_EXPR_IF
} st_expr_kind;

typedef enum st_operator {
    ST_OPERATOR_ADD,
    ST_OPERATOR_SUB,
    ST_OPERATOR_MUL,
    ST_OPERATOR_DIV,
    ST_OPERATOR_EQ,
    ST_OPERATOR_NE,
    ST_OPERATOR_LT,
    ST_OPERATOR_LE,
    ST_OPERATOR_GT,
    ST_OPERATOR_GE,
    ST_OPERATOR_AND,
    ST_OPERATOR_OR,
    ST_OPERATOR_NOT,
    ST_OPERATOR_NEG
} st_operator;

typedef struct st_expr st_expr;
struct st_expr {
    st_expr_kind kind;
    st_operator op;
    st_place place;
    double number;        /* NUMBER */
    const char *text;     /* STRING, NAME; NUMBER: as written */
    const st_expr *items; /* first child: operands, list, dims; IF: condition, then, else */
    const st_expr *next;  /* next sibling */
    bool in_parentheses;
};

typedef struct st_arg st_arg;
struct st_arg {
    const char *key; /* NULL: positional */
    st_place place;
    const st_expr *value;
    const st_arg *next;
};

typedef enum st_step_kind {
    ST_STEP_LAYER,
    ST_STEP_GROUP,
    ST_STEP_SIDE,
    ST_STEP_REPEAT,
    ST_STEP_IF,
    ST_STEP_OUTPUT,
    ST_STEP_TAKE
} st_step_kind;

typedef struct st_syntax st_syntax;
typedef struct st_lane st_lane;
struct st_lane {
    const st_expr *condition; /* NULL: always */
    st_place place;
    const st_syntax *chain;
    const st_lane *next;
};
/* A step of a chain. */
struct st_syntax {
    st_step_kind kind;
    st_place place;
    const char *label; /* NULL: none */
    const char *name;  /* LAYER: layer or block; OUTPUT; TAKE */
    st_place name_place;
    const st_arg *args;         /* LAYER, SIDE, OUTPUT */
    const st_lane *lanes;       /* LAYER with branches */
    const st_expr *condition;   /* IF; REPEAT: the count */
    const st_syntax *chain;     /* GROUP, SIDE, REPEAT, IF */
    const st_syntax *otherwise; /* IF's else */
    const st_syntax *next;
};

typedef struct st_param_decl st_param_decl;
struct st_param_decl {
    const char *name;
    st_place place;
    const st_expr *value; /* NULL: required */
    const st_param_decl *next;
};
typedef struct st_block st_block;
struct st_block {
    const char *name;
    st_place place;
    const st_param_decl *params;
    const st_syntax *chain;
    const st_block *next;
};
typedef struct st_let st_let;
struct st_let {
    const char *name;
    st_place place;
    const st_expr *value;
    const st_let *next;
};
typedef struct st_freeze st_freeze;
struct st_freeze {
    bool all_except;
    const char *const *paths;
    const st_place *places;
    size_t path_count;
    const st_freeze *next;
};

/* A file with everything that it includes, included declarations first. */
typedef struct st_tree {
    const st_let *lets; /* in order; of two with one name the later one counts (the includer's) */
    const st_block *blocks;
    const st_freeze *freezes;
    const char *network; /* the including file's network, else an included one's; NULL: none */
    st_place network_place;
    const st_syntax *chain;
    const char *description; /* the comment at the head of the outermost file, '#' taken off; "" */
    const st_source *source; /* the outermost file */
} st_tree;

/* A zoo name or a path; includes are read below the file's own folder. */
strata_status st_lang_load(const st_tree **out, st_arena *arena, const char *name_or_path, strata_error *err);
/* A text; include "..." finds zoo files only. `name` stands in errors. */
strata_status st_lang_parse(const st_tree **out, st_arena *arena, const char *name, const char *text, size_t length,
                            strata_error *err);
/* The tidy form (`strata fmt`), comments kept. The caller frees. Formatting the result changes nothing. */
strata_status st_lang_format(char **out, const char *name, const char *text, size_t length, strata_error *err);
/* One self-contained text: includes put in place, `lets` as overridden by `settings` ("a=1 b=2" or NULL). */
strata_status st_lang_print(char **out, const st_tree *tree, const char *settings, strata_error *err);
void st_lang_print_expr(st_text *text, const st_expr *expr);
/* The comment at the end of the line, without '#'; "" without one. */
strata_status st_lang_comment(char **out, st_arena *arena, st_place place, strata_error *err);
/* Parses "name=value name=value" of --set into lets. Places are in a source named "--set". */
strata_status st_lang_settings(const st_let **out, st_arena *arena, const char *settings, strata_error *err);

/* Parses the paths of --freeze, "conv1 layer1" or "all except fc"; NULL or empty: none, *out NULL. */
strata_status st_lang_freeze(const st_freeze **out, st_arena *arena, const char *paths, strata_error *err);
/* One value, such as a layer's default. `name` stands in errors. */
strata_status st_lang_parse_value(const st_expr **out, st_arena *arena, const char *name, const char *text,
                                  strata_error *err);
/* The shortest text that reads back as this number. */
void st_lang_print_number(st_text *text, double number);

/* ---- the zoo, generated from zoo/ at build time: sorted by path ---- */
typedef struct st_zoo_file {
    const char *path;    /* "lenet5.net", "blocks/residual.net" */
    const char *name;    /* "lenet5" */
    const char *summary; /* first line of the comment at its head, without '#' */
    const char *text;
    size_t length;
} st_zoo_file;
extern const st_zoo_file st_zoo_files[];
extern const size_t st_zoo_file_count;
const st_zoo_file *st_zoo_find(const char *path); /* NULL: none */

#endif
