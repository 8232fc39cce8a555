/* What a text may unroll to: a short one costs little whatever it says, a long one what it writes out. Memory is
 * counted at the door to the system, and bounds the time with it: all that expansion does takes memory or is counted
 * there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "counted_memory.h"
#include "graph/graph.h"

/* ---- helpers ---- */

/* Status, error and, in `peak_bytes`, memory of a text; the number of its layers in *nodes. */
static strata_status unroll(const char *text, strata_error *err, int *nodes) {
    st_arena *arena = NULL;
    const st_tree *tree;
    const st_graph *graph = NULL;
    *err = (strata_error){0};
    *nodes = 0;
    begin_counting();
    strata_status status = st_arena_create(&arena, err);
    status = status != STRATA_OK ? status : st_lang_parse(&tree, arena, "t.net", text, strlen(text), err);
    status = status != STRATA_OK ? status : st_graph_build(&graph, arena, tree, NULL, NULL, err);
    *nodes = graph == NULL ? 0 : graph->node_count;
    st_arena_free(arena);
    end_counting();
    assert_int_equal(live_bytes, 0);
    return status;
}

/* Refused at this line, with this in the message, for at most 48 MiB. */
static void refused(const st_text *text, int line, const char *message) {
    strata_error err;
    int nodes;
    assert_false(text->failed);
    assert_int_equal(unroll(text->bytes, &err, &nodes), STRATA_SYNTAX);
    if (strstr(err.message, message) == NULL || err.line != line || peak_bytes > (size_t)48 << 20) {
        fail_msg("%d: %s (%zu bytes)\n  expected line %d: %s", err.line, err.message, peak_bytes, line, message);
    }
}

static void accepted(const st_text *text, int nodes_expected) {
    strata_error err;
    int nodes;
    assert_false(text->failed);
    if (unroll(text->bytes, &err, &nodes) != STRATA_OK) {
        fail_msg("%d:%d: %s", err.line, err.column, err.message);
    }
    assert_int_equal(nodes, nodes_expected);
}

/* Each block uses the next one twice; the innermost one is `inside`. The network's call is at line `deep` + 4. */
static void add_doubling(st_text *text, int deep, const char *name, const char *inside) {
    for (int i = 0; i < deep; i++) {
        st_text_add(text, "block %s%d { %s%d, %s%d }\n", name, i, name, i + 1, name, i + 1);
    }
    st_text_add(text, "block %s%d { %s }\nnetwork n {\n input 8x8x3\n %s0\n relu\n output o\n}\n", name, deep, inside,
                name);
}

static void add_network(st_text *text, const char *chain) {
    st_text_add(text, "network n {\ninput 8x8x3\n%s\nrelu\noutput o\n}\n", chain);
}

/* ---- short texts ---- */

static void test_unroll_of_repeats_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *chain, *message;
    } cases[] = {
        {"repeat 99000 { repeat 99000 { relu } }",
         "the net has more than 10019 layers, the most for a text of 79 bytes"},
        {"repeat 99000 { relu }", "the net has more than 10015 layers"},
        {"repeat 99000 { repeat 99000 { } }", "the net unrolls to more than 500900 steps and values"},
        {"repeat 99000 { repeat 99000 { identity } }", "unrolls to more than"},
        {"repeat 99000 { a: { a: { } } }", "label 'a' is taken already"},
        {"repeat 99000 { if 1 + 1 + 1 + 1 + 1 + 1 == 5 { relu } }", "unrolls to more than"},
        {"repeat 99000 { add { if 1 == 2 | conv 1x1 3 | } }", "unrolls to more than"},
        {"repeat 9000 { add { | relu | relu | relu } }", "the net has more than"},
    };
    for (size_t i = 0; i < ST_COUNT_OF(cases); i++) {
        st_text text = {0};
        add_network(&text, cases[i].chain);
        refused(&text, 3, cases[i].message);
        st_text_free(&text);
    }
}

static void test_unroll_of_blocks_that_double_is_refused(void **state) {
    (void)state;
    static const char *const insides[] = {
        "relu", "", "identity", "if no { relu }", "add { | relu | identity }", "{ { conv 3x3 3 pad=1 } }"};
    for (size_t i = 0; i < ST_COUNT_OF(insides); i++) {
        st_text text = {0};
        add_doubling(&text, 30, "b", insides[i]);
        refused(&text, 34, "in b0 (t.net:1:");
        st_text_free(&text);
    }
    st_text text = {0}; /* what a call keeps of the names around it counts */
    add_doubling(&text, 60, "a_name_that_is_about_as_long_as_one_of_a_block_may_be_", "");
    refused(&text, 64, "the net unrolls to more than");
    st_text_free(&text);
}

static void test_unroll_of_arguments_is_refused(void **state) {
    (void)state;
    st_text text = {0}; /* 64 parameters, each kept for each call */
    st_text_add(&text, "block b");
    for (int i = 0; i < 64; i++) {
        st_text_add(&text, " p%d=%d", i, i);
    }
    st_text_add(&text, " { }\n");
    add_network(&text, "repeat 99000 { b }");
    refused(&text, 4, "the net unrolls to more than");
    st_text_free(&text);
}

/* Branches that differ in size, of which one is named; and paths to freeze, of which all are right. */
static void test_unroll_of_wide_texts_is_bounded(void **state) {
    (void)state;
    st_text text = {0};
    st_text_add(&text, "network n {\ninput 8x8x3\nconcat {\n");
    for (int i = 0; i < 100000; i++) {
        st_text_add(&text, "|\n");
    }
    st_text_add(&text, "| conv 3x3 3\n}\noutput o\n}\n");
    strata_error err;
    int nodes;
    assert_int_equal(unroll(text.bytes, &err, &nodes), STRATA_SHAPE);
    assert_non_null(strstr(err.message, "concat: branches differ in rows and columns"));
    st_text_free(&text);
    for (int i = 0; i < 900; i++) {
        st_text_add(&text, "freeze");
        for (int k = 0; k < 256; k++) {
            st_text_add(&text, " c");
        }
        st_text_add(&text, "\n");
    }
    add_network(&text, "c: conv 1x1 3\nrepeat 9900 { relu }");
    assert_int_equal(unroll(text.bytes, &err, &nodes), STRATA_SYNTAX);
    assert_non_null(strstr(err.message, "the net unrolls to more than"));
    st_text_free(&text);
}

/* ---- nets as large as any ---- */

static void test_unroll_takes_large_nets(void **state) {
    (void)state;
    st_text text = {0};
    add_network(&text, "repeat 3300 { conv 3x3 3 pad=1, bn, relu }"); /* by few words */
    accepted(&text, 2 + 3 * 3300);
    st_text_free(&text);
    st_text_add(&text, "network n {\ninput 8x8x3\n"); /* written out */
    for (int i = 0; i < 30000; i++) {
        st_text_add(&text, "relu\n");
    }
    st_text_add(&text, "output o\n}\n");
    accepted(&text, 30001);
    st_text_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unroll_of_repeats_is_refused),
        cmocka_unit_test(test_unroll_of_blocks_that_double_is_refused),
        cmocka_unit_test(test_unroll_of_arguments_is_refused),
        cmocka_unit_test(test_unroll_of_wide_texts_is_bounded),
        cmocka_unit_test(test_unroll_takes_large_nets),
    };
    return cmocka_run_group_tests_name("unroll", tests, NULL, NULL);
}
