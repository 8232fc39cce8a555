/* lang: tokens, trees, tidy text, printed text, loading. What a net means is test_graph's business. */
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

#include "lang/tokens.h"

/* ---- helpers ---- */

static st_arena *arena;
static strata_error err;

static int begin(void **state) {
    (void)state;
    memset(&err, 0, sizeof(err));
    return st_arena_create(&arena, &err) == STRATA_OK ? 0 : 1;
}

static int end(void **state) {
    (void)state;
    st_arena_free(arena);
    return 0;
}

static const st_tree *parse(const char *text) {
    const st_tree *tree;
    strata_status status = st_lang_parse(&tree, arena, "t.net", text, strlen(text), &err);
    if (status != STRATA_OK) {
        fail_msg("%d:%d: %s", err.line, err.column, err.message);
    }
    return tree;
}

static void refuse(const char *text, int line, int column, const char *message) {
    const st_tree *tree = NULL;
    assert_int_equal(st_lang_parse(&tree, arena, "t.net", text, strlen(text), &err), STRATA_SYNTAX);
    assert_null(tree);
    assert_string_equal(err.file, "t.net");
    assert_string_equal(err.message, message);
    assert_int_equal(err.line, line);
    assert_int_equal(err.column, column);
}

static void formats_as(const char *text, const char *expected) {
    char *out, *again;
    assert_int_equal(st_lang_format(&out, "t.net", text, strlen(text), &err), STRATA_OK);
    assert_string_equal(out, expected);
    assert_int_equal(st_lang_format(&again, "t.net", out, strlen(out), &err), STRATA_OK);
    assert_string_equal(again, out);
    strata_text_free(out);
    strata_text_free(again);
}

static void expr_prints_as(const char *text, const char *expected) {
    const st_expr *expr;
    char *printed;
    st_text out = {0};
    assert_int_equal(st_lang_parse_value(&expr, arena, "value", text, &err), STRATA_OK);
    st_lang_print_expr(&out, expr);
    assert_int_equal(st_text_finish(&printed, &out, &err), STRATA_OK);
    assert_string_equal(printed, expected);
    strata_text_free(printed);
}

static void number_prints_as(double number, const char *expected) {
    char *printed;
    double back;
    st_text out = {0};
    st_lang_print_number(&out, number);
    assert_int_equal(st_text_finish(&printed, &out, &err), STRATA_OK);
    assert_string_equal(printed, expected);
    bool negative = printed[0] == '-';
    assert_true(st_lang_number(&back, printed + negative, strlen(printed) - negative));
    assert_true((negative ? -back : back) >= number && (negative ? -back : back) <= number);
    strata_text_free(printed);
}

/* ---- lexer ---- */

static void test_lexer_knows_the_product_of_dimensions(void **state) {
    (void)state;
    static const st_token_kind kinds[] = {ST_TOKEN_NUMBER, ST_TOKEN_CROSS,  ST_TOKEN_NUMBER, ST_TOKEN_NAME,
                                          ST_TOKEN_CROSS,  ST_TOKEN_NUMBER, ST_TOKEN_CROSS,  ST_TOKEN_NAME,
                                          ST_TOKEN_NAME,   ST_TOKEN_END};
    st_source source = {.name = "t.net", .text = "3x5 image x 3xk ax3", .length = 19};
    st_lexer lexer;
    st_token token;
    assert_int_equal(st_lexer_begin(&lexer, &source, false, &err), STRATA_OK);
    for (size_t i = 0; i < ST_COUNT_OF(kinds); i++) {
        assert_int_equal(st_lexer_next(&token, &lexer, &err), STRATA_OK);
        assert_int_equal(token.kind, kinds[i]);
    }
}

static void test_lexer_counts_columns_in_characters(void **state) {
    (void)state;
    refuse("let a = \"\xC3\xA9\xC3\xA9\" @", 1, 14, "the character '@' (0x40) means nothing here");
    assert_string_equal(err.source, "let a = \"\xC3\xA9\xC3\xA9\" @");
}

static void test_lexer_refuses_what_is_no_text(void **state) {
    (void)state;
    refuse("let a = 1\nlet b = \xFF\n", 2, 9, "this byte (0xff) is not UTF-8 text");
    refuse("# a \x07 bell\n", 1, 5, "a control character (0x07) in a comment");
    refuse("let a = \"open\n", 1, 9, "this text is never closed: no '\"' on its line");
    refuse("let a = 12ab\n", 1, 9, "'12ab' is neither a number nor a name");
    char name[100];
    memset(name, 'a', 99);
    name[99] = '\0';
    refuse(name, 1, 1, "a name has at most 64 characters, found 99");
}

static void test_lexer_reads_numbers_to_the_nearest_double(void **state) {
    (void)state;
    static const char *const texts[] = {"0",   "1",     "0.485",           "1e-4",   "0.001",
                                        "224", "1.5e3", "123456789012345", "6.25e-2"};
    for (size_t i = 0; i < ST_COUNT_OF(texts); i++) {
        double number, expected = strtod(texts[i], NULL);
        assert_true(st_lang_number(&number, texts[i], strlen(texts[i])));
        assert_true(number >= expected && number <= expected);
    }
    double number;
    assert_false(st_lang_number(&number, "123456789012345678", 18));
    assert_false(st_lang_number(&number, "1e999", 5));
}

static void test_text_over_the_limit_is_refused(void **state) {
    (void)state;
    size_t length = ST_LANG_TEXT_LIMIT + 1;
    char *text = malloc(length);
    const st_tree *tree;
    assert_non_null(text);
    memset(text, '\n', length);
    assert_int_equal(st_lang_parse(&tree, arena, "t.net", text, length, &err), STRATA_SYNTAX);
    assert_int_equal(st_lang_parse(&tree, arena, "t.net", text, length - 1, &err), STRATA_OK);
    free(text);
}

/* ---- parser ---- */

static void test_parser_builds_the_tree(void **state) {
    (void)state;
    const st_tree *tree = parse("# One.\n#  Two.\n\nlet classes = 10\nblock b width stride=1 { conv 3x3 width }\n"
                                "freeze a b.0.c\nnetwork n {\n a: conv 5x5 6 pad=2, b 8\n output logits\n}\n");
    assert_string_equal(tree->description, "One.\n Two.");
    assert_string_equal(tree->network, "n");
    assert_string_equal(tree->lets->name, "classes");
    assert_string_equal(tree->blocks->params->name, "width");
    assert_null(tree->blocks->params->value);
    assert_non_null(tree->blocks->params->next->value);
    assert_string_equal(tree->freezes->paths[1], "b.0.c");
    const st_syntax *conv = tree->chain;
    assert_string_equal(conv->label, "a");
    assert_int_equal(conv->place.column, 2);
    assert_int_equal(conv->name_place.column, 5);
    assert_int_equal(conv->args->value->kind, ST_EXPR_DIMS);
    assert_string_equal(conv->args->next->next->key, "pad");
    assert_int_equal(conv->args->next->next->value->place.column, 20);
    assert_string_equal(conv->next->name, "b");
    assert_int_equal(conv->next->next->kind, ST_STEP_OUTPUT);
}

static void test_parser_tells_lanes_from_conditional_steps(void **state) {
    (void)state;
    const st_tree *tree =
        parse("let a = yes\nnetwork n {\n add {\n | relu\n   if a { tanh } else { relu }\n if a | conv 3\n"
              "   relu\n if not a | identity\n }\n}\n");
    const st_lane *lane = tree->chain->lanes;
    assert_null(lane->condition);
    assert_int_equal(lane->chain->next->kind, ST_STEP_IF);
    assert_non_null(lane->chain->next->otherwise);
    assert_string_equal(lane->next->condition->text, "a");
    assert_string_equal(lane->next->chain->next->name, "relu");
    assert_int_equal(lane->next->next->condition->op, ST_OPERATOR_NOT);
    assert_null(lane->next->next->next);
}

static void test_parser_follows_precedence(void **state) {
    (void)state;
    expr_prints_as("1+2*3", "1+2*3");
    expr_prints_as("(1 + 2)*3", "(1+2)*3");
    expr_prints_as("a and not b==c or d<2x3", "a and not b == c or d < 2x3");
    expr_prints_as("if a then 1 else if b then 2 else 3", "if a then 1 else if b then 2 else 3");
    expr_prints_as("[1 -2 (3+4)]", "[1 -2 (3+4)]");
    expr_prints_as("image x image x 3", "image x image x 3");
    expr_prints_as("- -1", "--1");
    expr_prints_as("\"he\"", "\"he\"");
}

static void test_parser_lets_newlines_pass_in_brackets(void **state) {
    (void)state;
    const st_tree *tree = parse("network n {\n input 3x3x3 mean=[0.1\n 0.2 # two\n 0.3]\n relu\n}\n");
    assert_string_equal(tree->chain->next->name, "relu");
}

static void test_parser_reports_unclosed_brace(void **state) {
    (void)state;
    refuse("network n {\n    relu\n", 1, 11, "this '{' is never closed");
    refuse("network n {\n    a: { relu\n    tanh\n}\n", 2, 8, "this '{' is never closed");
    refuse("network n {\n    a: {\n        relu\n\n    tanh\n}\n", 4, 5,
           "expected '}' here, to close the '{' of line 2");
    refuse("block b {\n    relu\nnetwork n {\n    b\n}\n", 3, 1, "expected '}' here, to close the '{' of line 1");
    refuse("network n {\n    add {\n        | relu\n    tanh\n}\n", 4, 5,
           "expected '}' here, to close the '{' of line 2");
}

static void test_parser_reports_missing_separators(void **state) {
    (void)state;
    refuse("network n { a: conv 3 8 b: relu }", 1, 25, "expected ',' or a new line, found 'b'");
    refuse("network n { conv 3 pad=1 8 }", 1, 26, "'8' after 'pad=': values come before key=value pairs");
    refuse("network n { relu,, tanh }", 1, 18, "expected a layer, found ','");
    refuse("let a = 1 let b = 2", 1, 11, "expected the end of the line, found 'let'");
    refuse("network n { fc 4 }}", 1, 19, "expected the end of the line, as nothing is open here, found '}'");
}

static void test_parser_limits_nesting_and_operators(void **state) {
    (void)state;
    char text[4000] = "let a = ";
    memset(text + 8, '(', 100);
    refuse(text, 1, 73, "nesting is deeper than 64");
    size_t length = 8;
    for (int i = 0; i < 300; i++, length += 2) {
        memcpy(text + length, "1+", 3);
    }
    memcpy(text + length, "1", 2);
    refuse(text, 1, 522, "a value has at most 256 operators");
}

/* ---- includes ---- */

static void test_include_reads_zoo_files_once(void **state) {
    (void)state;
    const st_tree *tree =
        parse("include \"blocks/residual.net\"\ninclude \"blocks/residual.net\"\nlet residual = no\n");
    int blocks = 0, knobs = 0;
    for (const st_block *block = tree->blocks; block != NULL; block = block->next) {
        blocks++;
    }
    for (const st_let *let = tree->lets; let != NULL; let = let->next) {
        knobs += strcmp(let->name, "residual") == 0;
    }
    assert_int_equal(blocks, 3);
    assert_int_equal(knobs, 2); /* the later one counts */
    assert_string_equal(tree->blocks->place.source->name, "blocks/residual.net");
}

static void test_include_stays_below_its_folder(void **state) {
    (void)state;
    refuse("include \"../a.net\"", 1, 9, "'../a.net' cannot be included: it leaves the folder with '..'");
    refuse("include \"a/../b.net\"", 1, 9, "'a/../b.net' cannot be included: it leaves the folder with '..'");
    refuse("include \"/etc/passwd\"", 1, 9, "'/etc/passwd' cannot be included: it is absolute");
    refuse("include \"a//b.net\"", 1, 9, "'a//b.net' cannot be included: one of its parts is empty");
    refuse("include \"\"", 1, 9, "'' cannot be included: it is empty");
}

static void write_file(const char *folder, const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void test_include_depth_is_limited(void **state) {
    (void)state;
    char folder[] = "/tmp/strata-lang-XXXXXX", path[256], name[32], text[64];
    const st_tree *tree;
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "%d.net", i);
        snprintf(text, sizeof(text), "include \"%d.net\"\n", i + 1);
        write_file(folder, name, i < 9 ? text : "let a = 1\n");
    }
    snprintf(path, sizeof(path), "%s/0.net", folder);
    assert_int_equal(st_lang_load(&tree, arena, path, &err), STRATA_SYNTAX);
    assert_string_equal(err.message, "includes are nested deeper than 8");
    snprintf(path, sizeof(path), "%s/1.net", folder);
    assert_int_equal(st_lang_load(&tree, arena, path, &err), STRATA_OK);
    assert_string_equal(tree->lets->name, "a");
    for (int i = 0; i < 10; i++) {
        snprintf(path, sizeof(path), "%s/%d.net", folder, i);
        unlink(path);
    }
    rmdir(folder);
}

static void test_include_follows_no_symbolic_link(void **state) {
    (void)state;
    char folder[] = "/tmp/strata-lang-XXXXXX", path[256], link[256];
    const st_tree *tree;
    assert_non_null(mkdtemp(folder));
    write_file(folder, "a.net", "include \"b.net\"\n");
    write_file(folder, "c.net", "let secret = 1\n");
    write_file(folder, "d.net", "include \"e/c.net\"\n");
    snprintf(link, sizeof(link), "%s/b.net", folder);
    assert_int_equal(symlink("c.net", link), 0);
    snprintf(path, sizeof(path), "%s/a.net", folder);
    assert_int_equal(st_lang_load(&tree, arena, path, &err), STRATA_SYNTAX);
    assert_string_equal(err.message, "'b.net' cannot be included: it is a symbolic link");
    unlink(link);
    unlink(path);
    snprintf(link, sizeof(link), "%s/e", folder);
    assert_int_equal(symlink(".", link), 0);
    snprintf(path, sizeof(path), "%s/d.net", folder);
    assert_int_equal(st_lang_load(&tree, arena, path, &err), STRATA_SYNTAX);
    assert_string_equal(err.message, "'e/c.net' cannot be included: it is a symbolic link");
    unlink(link);
    unlink(path);
    snprintf(path, sizeof(path), "%s/c.net", folder);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

static void test_load_suggests_the_nearest_net(void **state) {
    (void)state;
    const st_tree *tree;
    assert_int_equal(st_lang_load(&tree, arena, "lenet6", &err), STRATA_MISSING);
    assert_string_equal(err.message, "there is no net named 'lenet6' in the zoo, and no such file");
    assert_string_equal(err.hint, "did you mean 'lenet5'?");
    assert_int_equal(st_lang_load(&tree, arena, "no/such/file.net", &err), STRATA_MISSING);
    assert_int_equal(st_lang_load(&tree, arena, "", &err), STRATA_MISSING);
    assert_int_equal(st_lang_load(&tree, arena, "lenet5", &err), STRATA_OK);
    assert_string_equal(tree->source->name, "lenet5.net");
}

/* ---- settings and values ---- */

static void test_settings_are_lets(void **state) {
    (void)state;
    const st_let *let;
    assert_int_equal(st_lang_settings(&let, arena, "classes=6  image=2*32 kind=deep pad=-1", &err), STRATA_OK);
    assert_string_equal(let->name, "classes");
    assert_string_equal(let->next->next->value->text, "deep");
    assert_int_equal(let->next->next->next->value->kind, ST_EXPR_UNARY);
    assert_int_equal(st_lang_settings(&let, arena, NULL, &err), STRATA_OK);
    assert_null(let);
    assert_int_equal(st_lang_settings(&let, arena, "classes 6", &err), STRATA_SYNTAX);
    assert_string_equal(err.file, "--set");
    assert_int_equal(err.column, 9);
}

static void test_freeze_option_is_parsed(void **state) {
    (void)state;
    const st_freeze *freeze;
    assert_int_equal(st_lang_freeze(&freeze, arena, "all except fc layer4.1", &err), STRATA_OK);
    assert_true(freeze->all_except);
    assert_int_equal(freeze->path_count, 2);
    assert_string_equal(freeze->paths[1], "layer4.1");
    assert_int_equal(st_lang_freeze(&freeze, arena, "", &err), STRATA_OK);
    assert_null(freeze);
    assert_int_equal(st_lang_freeze(&freeze, arena, "a,b", &err), STRATA_SYNTAX);
    assert_string_equal(err.file, "--freeze");
}

static void test_numbers_print_as_short_as_they_read_back(void **state) {
    (void)state;
    number_prints_as(0, "0");
    number_prints_as(224, "224");
    number_prints_as(-3, "-3");
    number_prints_as(0.485, "0.485");
    number_prints_as(0.5, "0.5");
    number_prints_as(1e-4, "0.0001");
    number_prints_as(1.0 / 3, "0.3333333333333333");
    number_prints_as(1e-9, "1e-9");
    number_prints_as(12.25, "12.25");
    number_prints_as(1.5e20, "15e19");
}

/* ---- format ---- */

static void test_format_is_tidy_and_keeps_comments(void **state) {
    (void)state;
    formats_as(
        "\n\n#  Head.\n\n\n\nlet a=1 # one\nlet longer =  2   # two\nnetwork n{\n\n  c1 :conv 5 x 5   6 ,tanh # x\n"
        "\n\n  if a==1{relu}else{ tanh }\n  # last\n\n}\n\n",
        "#  Head.\n\nlet a      = 1  # one\nlet longer = 2  # two\nnetwork n {\n    c1: conv 5x5 6, tanh  # x\n\n"
        "    if a == 1 { relu } else { tanh }\n    # last\n}\n");
}

static void test_format_indents_lanes(void **state) {
    (void)state;
    formats_as("network n {\nadd {\n|conv 3 8,\nrelu\n# the other\nif a and not b| identity\n}\n}\n",
               "network n {\n    add {\n        | conv 3 8,\n          relu\n        # the other\n"
               "        if a and not b | identity\n    }\n}\n");
}

static void test_format_spaces_operators(void **state) {
    (void)state;
    formats_as(
        "let a = -1\nlet b = [ 1  -2 ]\nlet c = 4 * a - (1 + 2)\nlet d = a x a x 3\nlet e = n - 1 x 3\nlet f = 3 x 3\n",
        "let a = -1\nlet b = [1 -2]\nlet c = 4*a-(1+2)\nlet d = a x a x 3\nlet e = n-1 x 3\nlet f = 3x3\n");
    formats_as("block b n s = 1 { conv n  (if s>=2 then -1 else s) pad = -1 }\n",
               "block b n s=1 { conv n (if s >= 2 then -1 else s) pad=-1 }\n");
}

static void test_format_refuses_what_does_not_parse(void **state) {
    (void)state;
    char *out;
    assert_int_equal(st_lang_format(&out, "t.net", "network n {", 11, &err), STRATA_SYNTAX);
    assert_null(out);
    assert_string_equal(err.message, "this '{' is never closed");
}

static void test_format_leaves_the_zoo_as_it_is(void **state) {
    (void)state;
    for (size_t i = 0; i < st_zoo_file_count; i++) {
        char *out;
        const st_zoo_file *file = &st_zoo_files[i];
        assert_int_equal(st_lang_format(&out, file->path, file->text, file->length, &err), STRATA_OK);
        assert_string_equal(out, file->text);
        strata_text_free(out);
    }
}

/* ---- print ---- */

static void test_print_is_self_contained(void **state) {
    (void)state;
    const st_tree *tree;
    char *text, *again;
    assert_int_equal(st_lang_load(&tree, arena, "resnet50", &err), STRATA_OK);
    assert_int_equal(st_lang_print(&text, tree, "classes=6 image=64", &err), STRATA_OK);
    assert_null(strstr(text, "include"));
    assert_non_null(strstr(text, "let classes = 6\n"));
    assert_non_null(strstr(text, "block bottleneck width"));
    assert_null(strstr(text, "block basic")); /* the network does not use it */
    const st_tree *back = parse(text);
    assert_string_equal(back->description, tree->description);
    assert_int_equal(st_lang_print(&again, back, NULL, &err), STRATA_OK);
    assert_string_equal(again, text);
    strata_text_free(text);
    strata_text_free(again);
}

static void test_print_refuses_unknown_settings(void **state) {
    (void)state;
    char *text;
    const st_tree *tree = parse("let a = 1\nnetwork n { relu }\n");
    assert_int_equal(st_lang_print(&text, tree, "b=1", &err), STRATA_MISSING);
    assert_null(text);
}

#define LANG_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        LANG_TEST(test_lexer_knows_the_product_of_dimensions),
        LANG_TEST(test_lexer_counts_columns_in_characters),
        LANG_TEST(test_lexer_refuses_what_is_no_text),
        LANG_TEST(test_lexer_reads_numbers_to_the_nearest_double),
        LANG_TEST(test_text_over_the_limit_is_refused),
        LANG_TEST(test_parser_builds_the_tree),
        LANG_TEST(test_parser_tells_lanes_from_conditional_steps),
        LANG_TEST(test_parser_follows_precedence),
        LANG_TEST(test_parser_lets_newlines_pass_in_brackets),
        LANG_TEST(test_parser_reports_unclosed_brace),
        LANG_TEST(test_parser_reports_missing_separators),
        LANG_TEST(test_parser_limits_nesting_and_operators),
        LANG_TEST(test_include_reads_zoo_files_once),
        LANG_TEST(test_include_stays_below_its_folder),
        LANG_TEST(test_include_depth_is_limited),
        LANG_TEST(test_include_follows_no_symbolic_link),
        LANG_TEST(test_load_suggests_the_nearest_net),
        LANG_TEST(test_settings_are_lets),
        LANG_TEST(test_freeze_option_is_parsed),
        LANG_TEST(test_numbers_print_as_short_as_they_read_back),
        LANG_TEST(test_format_is_tidy_and_keeps_comments),
        LANG_TEST(test_format_indents_lanes),
        LANG_TEST(test_format_spaces_operators),
        LANG_TEST(test_format_refuses_what_does_not_parse),
        LANG_TEST(test_format_leaves_the_zoo_as_it_is),
        LANG_TEST(test_print_is_self_contained),
        LANG_TEST(test_print_refuses_unknown_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
