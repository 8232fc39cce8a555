/* declaration: what a file is made of: include, let, freeze, block, network; and the entry points of the parser. */
#include <stdio.h>
#include <string.h>

#include "lang/parser.h"

/* ---- one declaration ---- */

/* include = "include" STRING . */
static strata_status parse_include(st_parser *p) {
    ST_TRY(st_parser_advance(p));
    if (p->now.kind != ST_TOKEN_STRING) {
        return st_parser_unexpected(p, "the name of a file in quotes after 'include'");
    }
    char *path;
    const st_source *source;
    ST_TRY(st_arena_text(&path, p->arena, p->now.start, p->now.length, p->err));
    if (p->files->skips_includes) {
        return st_parser_advance(p);
    }
    ST_TRY(st_files_include(&source, p->files, path, st_parser_place(p, &p->now), p->err));
    if (source != NULL) {
        ST_TRY(st_files_parse(p->files, source, p->err));
    }
    return st_parser_advance(p);
}

/* let = "let" NAME "=" value . */
static strata_status parse_let(st_parser *p, st_let **out) {
    ST_TRY(st_arena_alloc(out, p->arena, 1, sizeof(**out), p->err));
    ST_TRY(st_parser_take_name(p, "the name of a knob", &(*out)->name, &(*out)->place));
    if (p->now.kind != ST_TOKEN_EQUALS) {
        return st_parser_unexpected(p, "'=' and a value");
    }
    ST_TRY(st_parser_advance(p));
    st_expr *value;
    p->operators = 0;
    ST_TRY(p->is_settings ? st_parser_dims(p, &value) : st_parser_value(p, &value));
    (*out)->value = value;
    return STRATA_OK;
}

/* path = ( NAME | NUMBER ) { "." ( NAME | NUMBER ) } , without spaces. */
static strata_status parse_path(st_parser *p, const char **out, st_place *place) {
    if (p->now.kind != ST_TOKEN_NAME && p->now.kind != ST_TOKEN_NUMBER) {
        return st_parser_unexpected(p, "a path such as conv1 or layer1.0");
    }
    *place = st_parser_place(p, &p->now);
    const char *start = p->now.start, *end = start + p->now.length;
    ST_TRY(st_parser_advance(p));
    while (p->now.kind == ST_TOKEN_DOT && p->now.start == end) {
        bool follows = p->next.start == end + 1 && (p->next.kind == ST_TOKEN_NAME || p->next.kind == ST_TOKEN_NUMBER);
        ST_TRY(st_parser_advance(p));
        if (!follows) {
            return st_parser_unexpected(p, "a name or a number after '.'");
        }
        end = p->now.start + p->now.length;
        ST_TRY(st_parser_advance(p));
    }
    char *text;
    ST_TRY(st_arena_text(&text, p->arena, start, (size_t)(end - start), p->err));
    *out = text;
    return STRATA_OK;
}

/* freeze = "freeze" ( path { path } | "all" "except" path { path } ) . */
static strata_status parse_freeze(st_parser *p, st_freeze **out) {
    enum { PATHS = 256 };
    ST_TRY(st_arena_alloc(out, p->arena, 1, sizeof(**out), p->err));
    const char **paths;
    st_place *places;
    ST_TRY(st_arena_alloc(&paths, p->arena, PATHS, sizeof(*paths), p->err));
    ST_TRY(st_arena_alloc(&places, p->arena, PATHS, sizeof(*places), p->err));
    (*out)->paths = paths;
    (*out)->places = places;
    if (st_parser_is_word(p, "all") && st_token_is(&p->next, "except")) {
        (*out)->all_except = true;
        ST_TRY(st_parser_advance(p));
        ST_TRY(st_parser_advance(p));
    }
    do {
        if ((*out)->path_count == PATHS) {
            return st_fail_at(p->err, STRATA_SYNTAX, st_parser_place(p, &p->now), "one 'freeze' names at most %d paths",
                              PATHS);
        }
        ST_TRY(parse_path(p, &paths[(*out)->path_count], &places[(*out)->path_count]));
        (*out)->path_count++;
    } while (p->now.kind == ST_TOKEN_NAME || p->now.kind == ST_TOKEN_NUMBER);
    return STRATA_OK;
}

/* block = "block" NAME { NAME [ "=" dims ] } "{" chain "}" . */
static strata_status parse_block(st_parser *p, st_block **out) {
    ST_TRY(st_arena_alloc(out, p->arena, 1, sizeof(**out), p->err));
    ST_TRY(st_parser_take_name(p, "the name of a block", &(*out)->name, &(*out)->place));
    const st_param_decl **end = &(*out)->params;
    for (int count = 0; p->now.kind == ST_TOKEN_NAME; count++) {
        st_param_decl *param;
        if (count == ST_LANG_ARG_LIMIT) {
            return st_fail_at(p->err, STRATA_SYNTAX, st_parser_place(p, &p->now), "a block has at most %d parameters",
                              ST_LANG_ARG_LIMIT);
        }
        ST_TRY(st_arena_alloc(&param, p->arena, 1, sizeof(*param), p->err));
        ST_TRY(st_parser_take_name(p, "a parameter or '{'", &param->name, &param->place));
        for (const st_param_decl *other = (*out)->params; other != NULL; other = other->next) {
            if (strcmp(other->name, param->name) == 0) {
                return st_fail_at(p->err, STRATA_SYNTAX, param->place, "block %s has two parameters '%s'", (*out)->name,
                                  param->name);
            }
        }
        if (p->now.kind == ST_TOKEN_EQUALS) {
            ST_TRY(st_parser_advance(p));
            st_expr *value;
            p->operators = 0;
            ST_TRY(st_parser_dims(p, &value));
            param->value = value;
        }
        *end = param;
        end = &param->next;
    }
    char after[ST_LANG_NAME_LIMIT + 40];
    snprintf(after, sizeof(after), "the parameters of block %s", (*out)->name);
    return st_parser_braces(p, after, &(*out)->chain);
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

static strata_status add_let(st_parser *p, declarations *own) {
    st_let *let;
    ST_TRY(st_parser_advance(p));
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

static strata_status add_freeze(st_parser *p, declarations *own) {
    st_freeze *freeze;
    ST_TRY(st_parser_advance(p));
    ST_TRY(parse_freeze(p, &freeze));
    *own->freeze_end = freeze;
    own->freeze_end = &freeze->next;
    return STRATA_OK;
}

static strata_status add_block(st_parser *p, declarations *own) {
    st_block *block;
    ST_TRY(st_parser_advance(p));
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
static strata_status add_network(st_parser *p, declarations *own) {
    const char *name;
    st_place place;
    const st_syntax *steps = NULL;
    ST_TRY(st_parser_advance(p));
    ST_TRY(st_parser_take_name(p, "the name of the network", &name, &place));
    if (own->network != NULL) {
        return st_fail_at(p->err, STRATA_SYNTAX, place, "a file has one network; this one has '%s' already",
                          own->network);
    }
    ST_TRY(st_parser_braces(p, "the name of the network", &steps));
    own->close = p->last;
    own->closed = "the network";
    own->network = name;
    p->files->network = name;
    p->files->network_place = place;
    p->files->chain = steps;
    return STRATA_OK;
}

/* A step outside of a network: most often the '}' before it closed too much. */
static strata_status stray_step(st_parser *p, const declarations *own) {
    char found[64];
    st_token_describe(found, sizeof(found), &p->now);
    bool is_tidy = own->close.is_first && own->close.column == 1;
    if (own->closed != NULL && !is_tidy && (p->now.column > 1 || p->now.kind == ST_TOKEN_BRACE_CLOSE)) {
        return st_fail_at(p->err, STRATA_SYNTAX, st_parser_place(p, &own->close),
                          "this '}' closes %s, but %s follows it", own->closed, found);
    }
    strata_status status = st_parser_unexpected(p, "include, let, freeze, block or network");
    if (p->now.kind == ST_TOKEN_NAME && p->next.kind == ST_TOKEN_EQUALS) {
        st_error_hint(p->err, "a knob begins with let: let %.*s = ...", (int)p->now.length, p->now.start);
    }
    return status;
}

static strata_status parse_declaration(st_parser *p, declarations *own) {
    if (++p->files->declaration_count > ST_LANG_DECLARATION_LIMIT) {
        return st_fail_at(p->err, STRATA_SYNTAX, st_parser_place(p, &p->now), "a net has at most %d declarations",
                          ST_LANG_DECLARATION_LIMIT);
    }
    ST_TRY(st_parser_is_word(p, "include")  ? parse_include(p)
           : st_parser_is_word(p, "let")    ? add_let(p, own)
           : st_parser_is_word(p, "freeze") ? add_freeze(p, own)
           : st_parser_is_word(p, "block")  ? add_block(p, own)
                                            : add_network(p, own));
    if (p->now.kind == ST_TOKEN_NEWLINE || p->now.kind == ST_TOKEN_END) {
        return STRATA_OK;
    }
    return p->now.kind == ST_TOKEN_BRACE_CLOSE ? st_parser_unexpected(p, "the end of the line, as nothing is open here")
                                               : st_parser_unexpected(p, "the end of the line");
}

/* file = { include | let | freeze | block | network } . */
static strata_status parse_file(st_parser *p) {
    declarations own = {.let_end = &own.lets, .freeze_end = &own.freezes};
    ST_TRY(st_parser_skip_newlines(p));
    while (p->now.kind != ST_TOKEN_END) {
        ST_TRY(st_parser_begins_declaration(&p->now) ? parse_declaration(p, &own) : stray_step(p, &own));
        ST_TRY(st_parser_skip_newlines(p));
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

static strata_status begin(st_parser *p, st_arena *arena, const st_source *source, strata_error *err) {
    *p = (st_parser){.arena = arena, .err = err};
    ST_TRY(st_lexer_begin(&p->lexer, source, false, err));
    ST_TRY(st_lexer_next(&p->now, &p->lexer, err));
    return st_lexer_next(&p->next, &p->lexer, err);
}

strata_status st_files_parse(st_files *files, const st_source *source, strata_error *err) {
    st_parser p;
    ST_TRY(begin(&p, files->arena, source, err));
    p.files = files;
    files->open[files->open_count++] = source;
    ST_TRY(parse_file(&p));
    files->open_count--;
    return STRATA_OK;
}

strata_status st_parse_settings(const st_let **out, st_arena *arena, const st_source *source, strata_error *err) {
    st_parser p;
    *out = NULL;
    ST_TRY(begin(&p, arena, source, err));
    p.is_settings = true;
    ST_TRY(st_parser_skip_newlines(&p));
    while (p.now.kind != ST_TOKEN_END) {
        st_let *let;
        ST_TRY(parse_let(&p, &let));
        *out = let;
        out = &let->next;
        ST_TRY(st_parser_skip_newlines(&p));
    }
    return STRATA_OK;
}

strata_status st_parse_freeze(const st_freeze **out, st_arena *arena, const st_source *source, strata_error *err) {
    st_parser p;
    st_freeze *freeze;
    *out = NULL;
    ST_TRY(begin(&p, arena, source, err));
    ST_TRY(st_parser_skip_newlines(&p));
    if (p.now.kind == ST_TOKEN_END) {
        return STRATA_OK;
    }
    ST_TRY(parse_freeze(&p, &freeze));
    *out = freeze;
    return p.now.kind == ST_TOKEN_END ? STRATA_OK : st_parser_unexpected(&p, "paths separated by spaces");
}

strata_status st_parse_value(const st_expr **out, st_arena *arena, const st_source *source, strata_error *err) {
    st_parser p;
    st_expr *value;
    ST_TRY(begin(&p, arena, source, err));
    ST_TRY(st_parser_value(&p, &value));
    *out = value;
    return p.now.kind == ST_TOKEN_END ? STRATA_OK : st_parser_unexpected(&p, "one value");
}
