/* load: where the text of a net comes from: the zoo, a file, the caller; and what `include` may read. An include names
 * a file at or below the folder of the file that includes it, through no symbolic link, so a stranger's net reads
 * nothing else. Files of the zoo include files of the zoo; a file on disk that includes one which is not there gets the
 * zoo's. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lang/tokens.h"

enum { PATH_LIMIT = 200 };

static bool is_zoo_of(const st_zoo_file *file, const char *path, size_t length) {
    return strlen(file->path) == length && memcmp(file->path, path, length) == 0;
}

const st_zoo_file *st_zoo_find(const char *path) {
    for (size_t i = 0; i < st_zoo_file_count; i++) {
        if (is_zoo_of(&st_zoo_files[i], path, strlen(path))) {
            return &st_zoo_files[i];
        }
    }
    return NULL;
}

static strata_status new_source(const st_source **out, st_arena *arena, const char *name, const char *text,
                                size_t length, bool is_zoo, strata_error *err) {
    st_source *source;
    char *copy;
    ST_TRY(st_arena_alloc(&source, arena, 1, sizeof(*source), err));
    ST_TRY(st_arena_text(&copy, arena, name, strlen(name), err));
    *source = (st_source){.name = copy, .text = text, .length = length, .is_zoo = is_zoo};
    *out = source;
    return STRATA_OK;
}

static strata_status zoo_source(const st_source **out, st_arena *arena, const st_zoo_file *file, strata_error *err) {
    return new_source(out, arena, file->path, file->text, file->length, true, err);
}

static strata_status disk_source(const st_source **out, st_arena *arena, const char *path, strata_error *err) {
    char *text;
    size_t length;
    ST_TRY(st_file_read(&text, &length, arena, path, ST_LANG_TEXT_LIMIT, err));
    return new_source(out, arena, path, text, length, false, err);
}

/* ---- include ---- */

void st_files_begin(st_files *files, st_arena *arena) {
    *files = (st_files){.arena = arena};
    files->let_end = &files->lets;
    files->block_end = &files->blocks;
    files->freeze_end = &files->freezes;
}

/* NULL when the path stays below its folder, else what is wrong with it. */
static const char *path_fault(const char *path) {
    if (path[0] == '\0') {
        return "it is empty";
    }
    if (path[0] == '/') {
        return "it is absolute";
    }
    if (strlen(path) > PATH_LIMIT) {
        return "it is longer than 200 characters";
    }
    for (const char *part = path; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        size_t length = strcspn(part, "/");
        if (length == 2 && memcmp(part, "..", 2) == 0) {
            return "it leaves the folder with '..'";
        }
        if (length == 0) {
            return "one of its parts is empty";
        }
    }
    return strchr(path, '\\') != NULL ? "folders are separated by '/'" : NULL;
}

static strata_status missing_include(st_files *files, const char *path, st_place place, strata_error *err) {
    const char **names;
    ST_TRY(st_arena_alloc(&names, files->arena, st_zoo_file_count + 1, sizeof(*names), err));
    for (size_t i = 0; i < st_zoo_file_count; i++) {
        names[i] = st_zoo_files[i].path;
    }
    st_fail_at(err, STRATA_MISSING, place, "there is no file '%s' beside this one or in the zoo", path);
    const char *nearest = st_text_nearest(path, names, st_zoo_file_count);
    if (nearest != NULL) {
        st_error_hint(err, "did you mean '%s'?", nearest);
    }
    return STRATA_MISSING;
}

/* The path below the folder of the including file. */
static strata_status joined(char **out, st_files *files, const st_source *from, const char *path, strata_error *err) {
    const char *slash = strrchr(from->name, '/');
    int folder = slash == NULL ? 0 : (int)(slash - from->name) + 1;
    return st_arena_printf(out, files->arena, err, "%.*s%s", folder, from->name, path);
}

/* Is a part of `name` behind its first `below` characters a symbolic link? Such a part may lead out of the folder. */
static bool has_link(char *name, size_t below) {
    bool found = false;
    for (char *end = name + below; end != NULL && !found;) {
        end = strchr(end, '/');
        if (end != NULL) {
            *end = '\0';
        }
        int file = st_sys.open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
        found = file < 0 && errno == ELOOP;
        if (file >= 0) {
            st_sys.close(file);
        }
        if (end != NULL) {
            *end++ = '/';
        }
    }
    return found;
}

static strata_status find_include(const st_source **out, st_files *files, const char *path, st_place place,
                                  strata_error *err) {
    char *name;
    const st_source *from = files->open[files->open_count - 1];
    ST_TRY(joined(&name, files, from, path, err));
    const st_zoo_file *file = NULL;
    if (!from->is_zoo) {
        strata_error failure = {0};
        if (has_link(name, strlen(name) - strlen(path))) {
            return st_fail_at(err, STRATA_SYNTAX, place, "'%s' cannot be included: it is a symbolic link", path);
        }
        strata_status status = disk_source(out, files->arena, name, &failure);
        if (status == STRATA_OK) {
            return STRATA_OK;
        }
        if (status != STRATA_MISSING) {
            return st_fail_at(err, status, place, "%s: %s", name, failure.message);
        }
    } else {
        file = st_zoo_find(name);
    }
    file = file == NULL ? st_zoo_find(path) : file;
    return file == NULL ? missing_include(files, path, place, err) : zoo_source(out, files->arena, file, err);
}

strata_status st_files_include(const st_source **out, st_files *files, const char *path, st_place place,
                               strata_error *err) {
    *out = NULL;
    const char *fault = path_fault(path);
    if (fault != NULL) {
        return st_fail_at(err, STRATA_SYNTAX, place, "'%s' cannot be included: %s", path, fault);
    }
    const st_source *source;
    ST_TRY(find_include(&source, files, path, place, err));
    for (int i = 0; i < files->open_count; i++) {
        if (strcmp(files->open[i]->name, source->name) == 0) {
            return st_fail_at(err, STRATA_SYNTAX, place, "'%s' includes itself%s", source->name,
                              i == files->open_count - 1 ? "" : " through the files that it includes");
        }
    }
    if (files->open_count > ST_LANG_INCLUDE_LIMIT) {
        return st_fail_at(err, STRATA_SYNTAX, place, "includes are nested deeper than %d", ST_LANG_INCLUDE_LIMIT);
    }
    for (int i = 0; i < files->done_count; i++) {
        if (strcmp(files->done[i], source->name) == 0) {
            return STRATA_OK;
        }
    }
    if (files->done_count == ST_LANG_FILE_LIMIT) {
        return st_fail_at(err, STRATA_SYNTAX, place, "a net is made of at most %d files", ST_LANG_FILE_LIMIT);
    }
    files->done[files->done_count++] = source->name;
    *out = source;
    return STRATA_OK;
}

/* ---- whole nets ---- */

/* The comment at the head of the file: its lines up to the first that is not one, '#' and a space taken off. */
static strata_status head_comment(const char **out, st_arena *arena, const st_source *source, strata_error *err) {
    char *text;
    ST_TRY(st_arena_text(&text, arena, source->text, source->length, err));
    const char *at = text, *end = text + source->length;
    char *to = text;
    at += source->length >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    while (at < end && *at == '#') {
        at += at[1] == ' ' ? 2 : 1;
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline == NULL ? end : newline;
        const char *last = stop;
        while (last > at && (last[-1] == ' ' || last[-1] == '\r' || last[-1] == '\t')) {
            last--;
        }
        memmove(to, at, (size_t)(last - at));
        to += last - at;
        *to++ = '\n';
        at = newline == NULL ? end : newline + 1;
    }
    to -= to > text; /* the last line's end */
    *to = '\0';
    *out = text;
    return STRATA_OK;
}

strata_status st_lang_comment(char **out, st_arena *arena, st_place place, strata_error *err) {
    const char *at = place.source->text, *end = at + place.source->length;
    for (int line = 1; line < place.line && at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline == NULL ? end : newline + 1;
    }
    bool is_quoted = false;
    while (at < end && *at != '\n' && (*at != '#' || is_quoted)) {
        is_quoted = is_quoted != (*at++ == '"');
    }
    const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline == NULL ? end : newline;
    at += at < stop;
    while (at < stop && *at == ' ') {
        at++;
    }
    while (stop > at && (stop[-1] == ' ' || stop[-1] == '\r')) {
        stop--;
    }
    char text[200];
    st_text_printable(text, sizeof(text), at, (size_t)(stop - at));
    return st_arena_text(out, arena, text, strlen(text), err);
}

/* `zoo_name`: what the network is called, wherever its text stands; NULL: as the text says. */
static strata_status parse_source(const st_tree **out, st_arena *arena, const st_source *source, const char *zoo_name,
                                  strata_error *err) {
    st_files files;
    st_tree *tree;
    *out = NULL;
    st_files_begin(&files, arena);
    ST_TRY(st_files_parse(&files, source, err));
    ST_TRY(st_arena_alloc(&tree, arena, 1, sizeof(*tree), err));
    *tree = (st_tree){.lets = files.lets,
                      .blocks = files.blocks,
                      .freezes = files.freezes,
                      .network = files.network != NULL && zoo_name != NULL ? zoo_name : files.network,
                      .network_place = files.network_place,
                      .chain = files.chain,
                      .source = source};
    ST_TRY(head_comment(&tree->description, arena, source, err));
    *out = tree;
    return STRATA_OK;
}

/* Nets, not the files of blocks that they include. */
static strata_status unknown_net(st_arena *arena, const char *name, strata_error *err) {
    const char **names;
    size_t count = 0;
    ST_TRY(st_arena_alloc(&names, arena, st_zoo_file_count + 1, sizeof(*names), err));
    for (size_t i = 0; i < st_zoo_file_count; i++) {
        const char *path = st_zoo_files[i].path;
        size_t length = strlen(path);
        if (strchr(path, '/') == NULL && length > 4) {
            char *stem;
            ST_TRY(st_arena_text(&stem, arena, path, length - 4, err));
            names[count++] = stem;
        }
    }
    st_fail(err, STRATA_MISSING, "there is no net named '%s' in the zoo, and no such file", name);
    const char *nearest = st_text_nearest(name, names, count);
    if (nearest != NULL) {
        st_error_hint(err, "did you mean '%s'?", nearest);
    } else {
        st_error_hint(err, "a net of your own is a file: ./%s.net", name);
    }
    return STRATA_MISSING;
}

strata_status st_lang_load(const st_tree **out, st_arena *arena, const char *name_or_path, strata_error *err) {
    const st_source *source;
    char *path;
    size_t length = strlen(name_or_path);
    bool is_path = strchr(name_or_path, '/') != NULL || (length > 4 && strcmp(name_or_path + length - 4, ".net") == 0);
    *out = NULL;
    if (is_path) {
        ST_TRY(disk_source(&source, arena, name_or_path, err));
        return parse_source(out, arena, source, NULL, err);
    }
    ST_TRY(st_arena_printf(&path, arena, err, "%s.net", name_or_path));
    const st_zoo_file *file = st_zoo_find(path);
    if (file != NULL) {
        ST_TRY(zoo_source(&source, arena, file, err));
        return parse_source(out, arena, source, file->name, err);
    }
    strata_status status = length == 0 ? STRATA_MISSING : disk_source(&source, arena, name_or_path, err);
    if (status == STRATA_MISSING) {
        return unknown_net(arena, name_or_path, err);
    }
    ST_TRY(status);
    return parse_source(out, arena, source, NULL, err);
}

strata_status st_lang_parse(const st_tree **out, st_arena *arena, const char *name, const char *text, size_t length,
                            strata_error *err) {
    const st_source *source;
    char *copy;
    *out = NULL;
    ST_FAIL_IF(length > ST_LANG_TEXT_LIMIT, err, STRATA_SYNTAX, "a net is at most %d bytes of text, found %zu",
               ST_LANG_TEXT_LIMIT, length);
    ST_TRY(st_arena_text(&copy, arena, text, length, err));
    ST_TRY(new_source(&source, arena, name, copy, length, true, err));
    return parse_source(out, arena, source, NULL, err);
}

/* A text from the command line. */
static strata_status option_source(const st_source **out, st_arena *arena, const char *name, const char *text,
                                   strata_error *err) {
    char *copy;
    ST_TRY(st_arena_text(&copy, arena, text, strlen(text), err));
    return new_source(out, arena, name, copy, strlen(text), true, err);
}

strata_status st_lang_settings(const st_let **out, st_arena *arena, const char *settings, strata_error *err) {
    const st_source *source;
    *out = NULL;
    if (settings == NULL) {
        return STRATA_OK;
    }
    ST_TRY(option_source(&source, arena, "--set", settings, err));
    return st_parse_settings(out, arena, source, err);
}

strata_status st_lang_freeze(const st_freeze **out, st_arena *arena, const char *paths, strata_error *err) {
    const st_source *source;
    *out = NULL;
    if (paths == NULL) {
        return STRATA_OK;
    }
    ST_TRY(option_source(&source, arena, "--freeze", paths, err));
    return st_parse_freeze(out, arena, source, err);
}

strata_status st_lang_parse_value(const st_expr **out, st_arena *arena, const char *name, const char *text,
                                  strata_error *err) {
    const st_source *source;
    *out = NULL;
    ST_TRY(new_source(&source, arena, name, text, strlen(text), true, err));
    return st_parse_value(out, arena, source, err);
}
