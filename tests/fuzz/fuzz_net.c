/* Fuzz target of the .net language: any bytes parse and build, or fail with a place; what formats is formatted, and
 * what builds prints as a text that builds again. Seeds: tests/fuzz/corpus/net/. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int holds) {
    if (!holds) {
        abort();
    }
}

/* Formatting the result changes nothing, and it still parses. */
static void check_format(const char *text, size_t size) {
    char *tidy, *again;
    if (st_lang_format(&tidy, "fuzz.net", text, size, NULL) != STRATA_OK) {
        return;
    }
    require(st_lang_format(&again, "fuzz.net", tidy, strlen(tidy), NULL) == STRATA_OK);
    require(strcmp(tidy, again) == 0);
    strata_text_free(tidy);
    strata_text_free(again);
}

static void check_print(st_arena *arena, const st_tree *tree, const st_graph *graph) {
    char *text;
    const st_tree *tree_again;
    const st_graph *again;
    strata_error err = {0};
    require(st_lang_print(&text, tree, NULL, &err) == STRATA_OK);
    if (strlen(text) <= ST_LANG_TEXT_LIMIT) { /* a text that is near the limit may grow beyond it */
        require(st_lang_parse(&tree_again, arena, "again.net", text, strlen(text), &err) == STRATA_OK);
        require(st_graph_build(&again, arena, tree_again, NULL, NULL, &err) == STRATA_OK);
        require(again->node_count == graph->node_count && again->output_count == graph->output_count);
        for (int i = 0; i < graph->node_count; i++) {
            require(strcmp(graph->nodes[i].path, again->nodes[i].path) == 0);
            require(strcmp(graph->nodes[i].text, again->nodes[i].text) == 0);
        }
    }
    strata_text_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    st_arena *arena;
    const st_tree *tree;
    const st_graph *graph;
    strata_error err = {0};
    const char *text = (const char *)data;
    if (size == 0 || st_arena_create(&arena, NULL) != STRATA_OK) {
        return 0;
    }
    strata_status status = st_lang_parse(&tree, arena, "fuzz.net", text, size, &err);
    if (status == STRATA_OK) {
        status = st_graph_build(&graph, arena, tree, NULL, NULL, &err);
    }
    require(status == STRATA_OK || (err.message[0] != '\0' && err.line > 0 && err.column > 0));
    if (status == STRATA_OK) {
        check_print(arena, tree, graph);
    }
    check_format(text, size);
    st_arena_free(arena);
    return 0;
}
