/* Error messages as a product: 1,000 random mutations of the zoo's files (a token dropped, doubled, swapped with the
 * next, changed). A mutated net either still builds or fails with file, line and column, and in at least 95 of 100
 * failures the line is the mutated one or the next: in the place of the error, or in the place inside a block that its
 * message names.
 *
 * The files are mutated in a folder of their own, so that includes find the mutated blocks. MUTATIONS_SHOW=1 prints
 * every miss. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "graph/graph.h"
#include "lang/tokens.h"

enum { MUTATIONS = 1000, TOKENS = 2000 };

typedef struct mutation {
    char *text;
    size_t length;
    int line, other_line; /* a swap touches two */
    char what[160];
} mutation;

static uint64_t draws;

static size_t pick(size_t count) {
    return (size_t)(st_rng_bits(1, st_rng_stream(ST_STREAM_TEST, 7), draws++) % count);
}

static const char *start_of(const st_token *token) {
    return token->kind == ST_TOKEN_STRING ? token->start - 1 : token->start;
}

static size_t length_of(const st_token *token) {
    return token->kind == ST_TOKEN_STRING ? token->length + 2 : token->length;
}

static size_t read_tokens(st_token *tokens, const st_source *source) {
    st_lexer lexer;
    size_t count = 0;
    assert_int_equal(st_lexer_begin(&lexer, source, false, NULL), STRATA_OK);
    do {
        assert_true(count < TOKENS);
        assert_int_equal(st_lexer_next(&tokens[count], &lexer, NULL), STRATA_OK);
        count += tokens[count].kind != ST_TOKEN_NEWLINE;
    } while (count == 0 || tokens[count - 1].kind != ST_TOKEN_END);
    return count - 1;
}

/* Another token's text, or one character of this one changed. */
static void changed(char *out, size_t capacity, const st_token *tokens, size_t count, const st_token *token) {
    if (pick(2) == 0) {
        const st_token *other = &tokens[pick(count)];
        snprintf(out, capacity, "%.*s", (int)length_of(other), start_of(other));
        return;
    }
    snprintf(out, capacity, "%.*s", (int)length_of(token), start_of(token));
    static const char marks[] = "abcdxyz0123456789,:=|{}()[]+-*/.\"#";
    out[pick(strlen(out))] = marks[pick(sizeof(marks) - 1)];
}

static void mutate(mutation *out, const st_source *source) {
    static st_token tokens[TOKENS];
    size_t count = read_tokens(tokens, source), at = pick(count - 1), kind = pick(4);
    const st_token *first = &tokens[at], *second = &tokens[at + 1];
    const char *head = source->text, *begin = start_of(first), *end = begin + length_of(first);
    char middle[256] = "";
    out->line = out->other_line = first->line;
    if (kind == 1) {
        snprintf(middle, sizeof(middle), "%.*s %.*s", (int)length_of(first), begin, (int)length_of(first), begin);
    } else if (kind == 2) {
        const char *gap = end;
        end = start_of(second) + length_of(second);
        out->other_line = second->line;
        /* keep what is between them only when it is on one line: a comment would swallow the rest */
        bool one_line = first->line == second->line;
        snprintf(middle, sizeof(middle), "%.*s%.*s%.*s", (int)length_of(second), start_of(second),
                 (int)(start_of(second) - gap), gap, (int)length_of(first), begin);
        assert_true(one_line || start_of(second) - gap < 200);
    } else if (kind == 3) {
        changed(middle, sizeof(middle), tokens, count, first);
    }
    static const char *const kinds[] = {"drop", "double", "swap", "change"};
    snprintf(out->what, sizeof(out->what), "%s '%.*s' -> '%.60s'", kinds[kind], (int)length_of(first), begin, middle);
    size_t tail = (size_t)(source->text + source->length - end);
    out->length = (size_t)(begin - head) + strlen(middle) + tail;
    out->text = malloc(out->length + 1);
    assert_non_null(out->text);
    snprintf(out->text, out->length + 1, "%.*s%s%.*s", (int)(begin - head), head, middle, (int)tail, end);
}

static void write_file(const char *folder, const char *path, const char *text, size_t length) {
    char name[512];
    snprintf(name, sizeof(name), "%s/%s", folder, path);
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static bool is_near(const mutation *m, int line) {
    return line == m->line || line == m->line + 1 || line == m->other_line || line == m->other_line + 1;
}

/* The place of the error itself, or "(path:LINE:column)" in its message. */
static bool is_place_near(const mutation *m, const strata_error *err, const char *path) {
    size_t length = strlen(err->file), wanted = strlen(path);
    if (length >= wanted && strcmp(err->file + length - wanted, path) == 0 && is_near(m, err->line)) {
        return true;
    }
    for (const char *at = err->message; (at = strstr(at, path)) != NULL; at++) {
        if (at[wanted] == ':' && is_near(m, atoi(at + wanted + 1))) {
            return true;
        }
    }
    return false;
}

static strata_status build(const char *folder, const char *path, strata_error *err) {
    char name[512];
    st_arena *arena;
    const st_tree *tree;
    const st_graph *graph;
    snprintf(name, sizeof(name), "%s/%s", folder, path);
    assert_int_equal(st_arena_create(&arena, NULL), STRATA_OK);
    strata_status status = st_lang_load(&tree, arena, name, err);
    if (status == STRATA_OK) {
        status = st_graph_build(&graph, arena, tree, NULL, NULL, err);
    }
    st_arena_free(arena);
    return status;
}

/* A net that includes the file, or the file itself. */
static const char *net_of(const char *path) {
    static const char *const with_blocks[] = {"resnet18.net", "resnet50.net", "signs_resnet50.net"};
    return strchr(path, '/') == NULL           ? path
           : strstr(path, "inception") != NULL ? "googlenet.net"
                                               : with_blocks[pick(ST_COUNT_OF(with_blocks))];
}

static void test_mutations_are_reported_where_they_are(void **state) {
    (void)state;
    char folder[] = "/tmp/strata-mutations-XXXXXX", blocks[64];
    assert_non_null(mkdtemp(folder));
    snprintf(blocks, sizeof(blocks), "%s/blocks", folder);
    assert_int_equal(mkdir(blocks, 0700), 0);
    for (size_t i = 0; i < st_zoo_file_count; i++) {
        write_file(folder, st_zoo_files[i].path, st_zoo_files[i].text, st_zoo_files[i].length);
    }
    int failed = 0, near = 0, unplaced = 0;
    for (int i = 0; i < MUTATIONS; i++) {
        const st_zoo_file *file = &st_zoo_files[pick(st_zoo_file_count)];
        st_source source = {.name = file->path, .text = file->text, .length = file->length};
        mutation m;
        strata_error err = {0};
        mutate(&m, &source);
        write_file(folder, file->path, m.text, m.length);
        if (build(folder, net_of(file->path), &err) != STRATA_OK) {
            bool is_here = is_place_near(&m, &err, file->path);
            failed++;
            near += is_here;
            bool has_place = err.file[0] != '\0' && err.line > 0 && err.column > 0 && err.message[0] != '\0';
            unplaced += !has_place;
            if ((!is_here || !has_place) && getenv("MUTATIONS_SHOW") != NULL) {
                printf("%s:%d %s\n    %s:%d:%d: %s\n", file->path, m.line, m.what, err.file, err.line, err.column,
                       err.message);
            }
        }
        free(m.text);
        write_file(folder, file->path, file->text, file->length);
    }
    for (size_t i = 0; i < st_zoo_file_count; i++) {
        char name[512];
        snprintf(name, sizeof(name), "%s/%s", folder, st_zoo_files[i].path);
        unlink(name);
    }
    rmdir(blocks);
    rmdir(folder);
    printf("%d mutations, %d refused, %d on the mutated line or the next (%.1f%%)\n", MUTATIONS, failed, near,
           100.0 * near / failed);
    assert_true(failed > MUTATIONS / 2);
    assert_int_equal(unplaced, 0);
    assert_true(100 * near >= 95 * failed);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mutations_are_reported_where_they_are)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
