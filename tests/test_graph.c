/* graph: what a net means: paths, shapes, errors with their places; the zoo is in test_zoo.c. tests/bad/ holds one file
 * per error; its first line is "# expect [FILE:]LINE:COLUMN: the beginning of the message", its second may be
 * "# hint THE WHOLE HINT".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"

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

static strata_status try_text(const st_graph **graph, const char *text, const char *settings, const char *freeze) {
    const st_tree *tree;
    *graph = NULL;
    strata_status status = st_lang_parse(&tree, arena, "t.net", text, strlen(text), &err);
    return status != STRATA_OK ? status : st_graph_build(graph, arena, tree, settings, freeze, &err);
}

static const st_graph *build(const char *text) {
    const st_graph *graph;
    if (try_text(&graph, text, NULL, NULL) != STRATA_OK) {
        fail_msg("%s:%d:%d: %s", err.file, err.line, err.column, err.message);
    }
    return graph;
}

static const st_graph *load(const char *name, const char *settings) {
    const st_tree *tree;
    const st_graph *graph;
    if (st_lang_load(&tree, arena, name, &err) != STRATA_OK ||
        st_graph_build(&graph, arena, tree, settings, NULL, &err) != STRATA_OK) {
        fail_msg("%s:%d:%d: %s", err.file, err.line, err.column, err.message);
    }
    return graph;
}

static const st_node *find(const st_graph *graph, const char *path) {
    for (int i = 0; i < graph->node_count; i++) {
        if (strcmp(graph->nodes[i].path, path) == 0) {
            return &graph->nodes[i];
        }
    }
    fail_msg("no node '%s'", path);
    return NULL;
}

static size_t count(const st_graph *graph, bool is_trained) {
    size_t sum = 0;
    for (int i = 0; i < graph->node_count; i++) {
        for (int j = 0; j < ST_OP_STATES; j++) {
            const st_state *state = &graph->nodes[i].state[j];
            sum += state->count > 0 && state->spec->is_trained == is_trained ? state->count : 0;
        }
    }
    return sum;
}

/* ---- steps ---- */

static void test_identity_and_single_branches_make_no_node(void **state) {
    (void)state;
    const st_graph *graph = build("let skip = no\nnetwork n {\n input 8x8x4\n identity\n add {\n | conv 1 4\n"
                                  " if skip | identity\n }\n relu\n output o\n}\n");
    assert_int_equal(graph->node_count, 3);
    assert_int_equal(find(graph, "1")->in[0], 1);
    const st_tree *tree;
    assert_int_equal(st_lang_parse(&tree, arena, "t.net", "", 0, &err), STRATA_OK);
}

static void test_names_of_nodes_that_do_not_count_are_unique(void **state) {
    (void)state;
    const st_graph *graph = build("network n {\n input 8x8x4\n add { | relu | tanh }\n add { | relu | tanh }\n"
                                  " concat { | relu | tanh }\n add: conv 1 3\n output o\n}\n");
    assert_string_equal(graph->nodes[0].path, "input");
    assert_string_equal(find(graph, "add")->op->name, "conv"); /* the label is the stronger */
    assert_string_equal(find(graph, "add2")->op->name, "add");
    assert_string_equal(find(graph, "add3")->op->name, "add");
    assert_string_equal(find(graph, "concat")->op->name, "concat");
    assert_string_equal(find(graph, "5")->op->name, "tanh");
}

static void test_take_reaches_a_label_of_its_scope(void **state) {
    (void)state;
    const st_graph *graph = build("network skip {\n input 32x32x3\n a: conv 3x3 8 pad=1, relu\n"
                                  " down: { conv 3x3 16 pad=1, relu }\n concat {\n | identity\n | take a\n }\n"
                                  " avgpool global, fc 10\n output logits loss=cross_entropy\n}\n");
    const st_node *concat = find(graph, "concat");
    assert_int_equal(concat->out.c, 24);
    assert_string_equal(graph->nodes[concat->in[0]].path, "down.1");
    assert_string_equal(graph->nodes[concat->in[1]].path, "a");
    assert_int_equal(find(graph, "a")->use_count, 2);
}

static void test_side_chains_are_train_only_and_return(void **state) {
    (void)state;
    const st_graph *graph =
        build("network n {\n input 8x8x4\n c: conv 3 8\n side when=train {\n aux: { avgpool global, fc 10 }\n"
              " output aux loss=cross_entropy weight=0.3\n }\n avgpool global, fc: fc 10\n"
              " output logits loss=cross_entropy\n output again\n}\n");
    assert_int_equal(graph->output_count, 3);
    assert_int_equal(graph->main_output, 2);
    assert_true(graph->outputs[0].is_train_only);
    assert_true(graph->outputs[0].weight > 0.29 && graph->outputs[0].weight < 0.31);
    assert_true(find(graph, "aux.1")->is_train_only);
    assert_false(find(graph, "fc")->is_train_only);
    assert_string_equal(graph->nodes[find(graph, "0")->in[0]].path, "c");
}

static void test_blocks_bind_parameters_and_defaults(void **state) {
    (void)state;
    const st_graph *graph = build(
        "let wide = 2\nblock b width twice=2*width kind=\"a\" pad=0 {\n c: conv 3x3 width pad=pad, d: conv 1 twice\n"
        " if kind == \"a\" { relu } else { tanh }\n}\n"
        "network n {\n input 16x16x3\n x1: b 4\n x2: b 4*wide kind=\"b\" pad=same\n output o\n}\n");
    assert_string_equal(find(graph, "x1.c")->text, "conv 3x3 4");
    assert_string_equal(find(graph, "x1.d")->text, "conv 1x1 8");
    assert_string_equal(find(graph, "x1.0")->op->name, "relu");
    assert_string_equal(find(graph, "x2.c")->text, "conv 3x3 8 pad=same");
    assert_string_equal(find(graph, "x2.d")->text, "conv 1x1 16");
    assert_string_equal(find(graph, "x2.0")->op->name, "tanh");
}

static void test_the_text_of_a_layer_has_its_values_resolved(void **state) {
    (void)state;
    const st_graph *graph =
        build("let n = 4\nnetwork n {\n input 16x16x3\n a: conv 3 2*n stride=1 pad=(n/2)x1 bias=no\n"
              " b: maxpool kernel=3x2 stride=2\n c: dropout 0.5\n d: dropout\n e: avgpool out=n x 2\n"
              " f: avgpool global\n output o\n}\n");
    assert_string_equal(find(graph, "a")->text, "conv 3x3 8 pad=2x1 bias=no");
    assert_string_equal(find(graph, "b")->text, "maxpool 3x2 stride=2");
    assert_string_equal(find(graph, "c")->text, "dropout 0.5");
    assert_string_equal(find(graph, "d")->text, "dropout");
    assert_string_equal(find(graph, "e")->text, "avgpool out=4x2");
    assert_string_equal(find(graph, "f")->text, "avgpool global");
}

static void test_text_comes_in_quotes_or_from_a_knob(void **state) {
    (void)state;
    const st_graph *graph = build("let pairs = \"01 12 02\"\nnetwork n {\ninput 6x6x3\na: conv_table 3x3 pairs\n"
                                  "b: conv_table 3x3 connections=\"2\" bias=no\noutput y\n}");
    assert_string_equal(find(graph, "a")->text, "conv_table 3x3 \"01 12 02\"");
    assert_string_equal(find(graph, "b")->text, "conv_table 3x3 \"2\" bias=no");
    assert_int_equal(count(graph, true), 6 * 9 + 3 + 9);
}

static void test_knobs_are_overridden_by_includer_and_settings(void **state) {
    (void)state;
    const st_graph *graph;
    const char *text = "include \"resnet18.net\"\nlet classes = 7\n";
    assert_int_equal(try_text(&graph, text, NULL, NULL), STRATA_OK);
    assert_int_equal(find(graph, "fc")->out.c, 7);
    assert_int_equal(try_text(&graph, text, "classes=2*4 image=64", NULL), STRATA_OK);
    assert_int_equal(find(graph, "fc")->out.c, 8);
    assert_int_equal(graph->input.h, 64);
    assert_int_equal(try_text(&graph, text, "clases=6", NULL), STRATA_MISSING);
    assert_string_equal(err.message, "this net has no knob 'clases'");
    assert_string_equal(err.hint, "did you mean 'classes'?");
    assert_string_equal(err.file, "--set");
    assert_null(graph);
}

static void test_the_plain_network_leaves_shortcuts_out(void **state) {
    (void)state;
    const st_graph *graph = load("resnet18", "residual=no");
    for (int i = 0; i < graph->node_count; i++) {
        assert_true(graph->nodes[i].in_count <= 1);
    }
    assert_int_equal(count(graph, true), 11689512 - 172032 - 2 * (128 + 256 + 512));
}

static void test_freeze_fixes_what_it_names(void **state) {
    (void)state;
    const st_graph *graph = load("signs_finetune", NULL);
    assert_true(find(graph, "conv1")->is_frozen);
    assert_true(find(graph, "layer2.3.conv1")->is_frozen);
    assert_false(find(graph, "layer3.0.conv1")->is_frozen);
    assert_false(find(graph, "fc")->is_frozen);
    const st_tree *tree;
    assert_int_equal(st_lang_load(&tree, arena, "resnet18", &err), STRATA_OK);
    assert_int_equal(st_graph_build(&graph, arena, tree, NULL, "all except fc", &err), STRATA_OK);
    assert_true(find(graph, "layer4.1.conv2")->is_frozen);
    assert_false(find(graph, "fc")->is_frozen);
    assert_int_equal(st_graph_build(&graph, arena, tree, NULL, "layer5", &err), STRATA_MISSING);
    assert_string_equal(err.message, "freeze: there is no layer or group 'layer5'");
    assert_int_equal(err.column, 1);
    assert_true(strncmp(err.hint, "did you mean 'layer", 19) == 0);
}

static void test_input_carries_the_normalization(void **state) {
    (void)state;
    const st_graph *graph = load("resnet18", NULL);
    assert_true(graph->has_normalization);
    assert_true(graph->mean[1] > 0.4559 && graph->mean[1] < 0.4561);
    assert_true(graph->deviation[2] > 0.2249 && graph->deviation[2] < 0.2251);
    graph = load("lenet5", NULL);
    assert_false(graph->has_normalization);
    assert_true(graph->mean[0] <= 0 && graph->deviation[0] >= 1);
}

static void expect_knob(const st_graph *graph, int index, const char *name, const char *value, const char *standard,
                        const char *comment) {
    assert_true(index < graph->knob_count);
    const strata_knob *knob = &graph->knobs[index];
    assert_string_equal(knob->name, name);
    assert_string_equal(knob->value, value);
    assert_string_equal(knob->standard, standard);
    assert_string_equal(knob->comment, comment);
}

static void test_knobs_are_told_with_value_default_and_comment(void **state) {
    (void)state;
    const st_graph *graph = load("plain18", "image=64 zero_init_residual=yes");
    assert_int_equal(graph->knob_count, 8);
    expect_knob(graph, 0, "residual", "no", "no", "no: leave every shortcut out, the paper's plain network");
    expect_knob(graph, 3, "bn_eps", "1e-5", "1e-5", "added to each variance; Keras: 1e-3");
    expect_knob(graph, 5, "last_scale", "0", "(if zero_init_residual then 0 else 1)", "");
    expect_knob(graph, 7, "image", "64", "224", "");
    graph = build("let a = \"x # y\"   # a text \r\nlet b = [1 2 3]\nlet c = b\nlet d = 4x2#size\n"
                  "network n {\ninput 8x8x3\nfc 3\noutput logits\n}\n");
    expect_knob(graph, 0, "a", "\"x # y\"", "\"x # y\"", "a text");
    expect_knob(graph, 1, "b", "[1 2 3]", "[1 2 3]", "");
    expect_knob(graph, 2, "c", "[1 2 3]", "b", "");
    expect_knob(graph, 3, "d", "4x2", "4x2", "size");
}

static void test_an_error_in_a_block_names_the_call(void **state) {
    (void)state;
    const st_graph *graph;
    assert_int_equal(try_text(&graph,
                              "include \"blocks/residual.net\"\nnetwork n {\n input 8x8x3\n"
                              " a: bottleneck 64 project=yes stride=0\n output o\n}\n",
                              NULL, NULL),
                     STRATA_SYNTAX);
    assert_string_equal(err.file, "t.net");
    assert_int_equal(err.line, 4);
    assert_int_equal(err.column, 5);
    assert_string_equal(err.message,
                        "in bottleneck (blocks/residual.net:35:41): conv: stride must be from 1 to 64, found 0");
    assert_string_equal(err.source, " a: bottleneck 64 project=yes stride=0");
}

/* ---- initial weights ---- */

static void test_initial_weights_follow_what_comes_next(void **state) {
    (void)state;
    const st_graph *graph =
        build("network n {\n input 8x8x3\n a: conv 3 8, bn: bn, relu\n b: conv 3 8, tanh\n"
              " c: conv 1 8 init=lecun\n d: conv 1 8, maxpool 2x2 stride=2, relu\n e: fc 10\n output o\n}\n");
    assert_int_equal(find(graph, "a")->state[0].init, ST_INIT_HE_NORMAL);
    assert_int_equal(find(graph, "b")->state[0].init, ST_INIT_XAVIER_UNIFORM);
    assert_int_equal(find(graph, "c")->state[0].init, ST_INIT_LECUN_NORMAL);
    assert_int_equal(find(graph, "d")->state[0].init, ST_INIT_HE_NORMAL);
    assert_int_equal(find(graph, "e")->state[0].init, ST_INIT_XAVIER_UNIFORM);
    assert_true(st_graph_initial(graph, find(graph, "a"), 1, 1, 0) >= 0);
    assert_true(st_graph_initial(graph, find(graph, "a"), 1, 1, 0) <= 0); /* a bias begins at 0 */
    assert_true(st_graph_initial(graph, find(graph, "bn"), 0, 1, 0) >= 1);
}

static void test_initial_weights_have_their_variance(void **state) {
    (void)state;
    const st_graph *graph = build("network n {\n input 16x16x16\n a: conv 3 64, relu\n b: fc 40\n output o\n}\n");
    static const char *const names[] = {"a", "b"};
    for (int k = 0; k < 2; k++) {
        const st_node *node = find(graph, names[k]);
        const st_state_dims *dims = &node->state[0].dims;
        size_t n = node->state[0].count;
        st_real *values = malloc(n * sizeof(*values));
        double sum = 0, squares = 0, largest = 0;
        assert_non_null(values);
        st_graph_initialize(graph, node, 0, 7, values);
        for (size_t i = 0; i < n; i++) {
            double value = (double)values[i];
            assert_true(st_graph_initial(graph, node, 0, 7, i) >= values[i] &&
                        st_graph_initial(graph, node, 0, 7, i) <= values[i]);
            sum += value;
            squares += value * value;
            largest = value > largest ? value : largest;
        }
        double expected = k == 0 ? 2.0 / (double)dims->fan_in : 2.0 / (double)(dims->fan_in + dims->fan_out);
        double variance = squares / (double)n - sum * sum / (double)n / (double)n;
        assert_true(variance > 0.9 * expected && variance < 1.1 * expected);
        assert_true(k == 0 || largest * largest <= 3 * expected * 1.000001); /* uniform: inside sqrt(3 v) */
        free(values);
    }
}

/* ---- help ---- */

static void test_help_documents_every_layer(void **state) {
    (void)state;
    for (int i = 0; st_layer_table[i] != NULL; i++) {
        st_text text = {0};
        assert_int_equal(st_graph_help(&text, st_layer_table[i]->name, &err), STRATA_OK);
        assert_non_null(strstr(text.bytes, st_layer_table[i]->summary));
        for (int j = 0; j < ST_OP_PARAMS && st_layer_table[i]->params[j].name != NULL; j++) {
            assert_non_null(strstr(text.bytes, st_layer_table[i]->params[j].meaning));
        }
        st_text_free(&text);
    }
    st_text text = {0};
    assert_int_equal(st_graph_help(&text, NULL, &err), STRATA_OK);
    assert_non_null(strstr(text.bytes, "conv kernel filters  "));
    st_text_free(&text);
    assert_int_equal(st_graph_help(&text, "cov", &err), STRATA_MISSING);
    assert_string_equal(err.hint, "did you mean 'conv'?");
}

static void test_every_example_of_every_layer_builds(void **state) {
    (void)state;
    for (int i = 0; st_layer_table[i] != NULL; i++) {
        const char *line = st_layer_table[i]->examples;
        while (line != NULL && *line != '\0') {
            size_t length = strcspn(line, "\n");
            char text[1024];
            bool has_output = length >= 6 && strstr(line, "output") != NULL && strstr(line, "output") < line + length;
            snprintf(text, sizeof(text), "network n {\n%.*s\n%s}\n", (int)length, line, has_output ? "" : "output o\n");
            build(text);
            line += length + (line[length] == '\n');
        }
    }
}

/* The examples of docs/language.md, fenced as ```net: whole files, or chains that get what a net needs around them. */
static void build_example(const char *text, size_t length) {
    char whole[8192], part[8000];
    assert_true(length < sizeof(part));
    memcpy(part, text, length);
    part[length] = '\0';
    bool is_net = strstr(part, "network ") != NULL, is_declaration = strstr(part, "block ") != NULL;
    snprintf(whole, sizeof(whole), "%s%s%s%s%s%s", is_net || is_declaration ? "" : "network n {\n",
             is_net || is_declaration || strstr(part, "input ") != NULL ? "" : "input 64x64x8\n", part,
             is_declaration && !is_net ? "network n { input 64x64x8\n" : "",
             is_net || strstr(part, "output ") != NULL ? "" : "\noutput o\n", is_net ? "" : "}\n");
    build(whole);
}

static void test_every_example_of_the_manual_builds(void **state) {
    (void)state;
    FILE *file = fopen("docs/language.md", "rb");
    char *text = malloc(200000);
    if (file == NULL || text == NULL) {
        free(text);
        print_message("skip: no docs/language.md here; run from the project's folder\n");
        skip();
        return;
    }
    size_t length = fread(text, 1, 199999, file);
    int examples = 0;
    fclose(file);
    text[length] = '\0';
    for (const char *at = text; (at = strstr(at, "\n```net\n")) != NULL; examples++) {
        at += 8;
        const char *close = strstr(at, "\n```\n");
        assert_non_null(close);
        build_example(at, (size_t)(close - at));
        at = close + 4;
    }
    free(text);
    assert_true(examples >= 10);
}

/* ---- what is refused ---- */

static void check_bad_file(const char *path) {
    char expected[512] = "", hint[512] = "", found[1024];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *first = fgets(expected, sizeof(expected), file), *second = fgets(hint, sizeof(hint), file);
    fclose(file);
    if (first == NULL || strncmp(expected, "# expect ", 9) != 0) {
        return; /* only what another of them includes */
    }
    expected[strcspn(expected, "\n")] = '\0';
    hint[strcspn(hint, "\n")] = '\0';
    const st_tree *tree;
    const st_graph *graph = NULL;
    memset(&err, 0, sizeof(err));
    strata_status status = st_lang_load(&tree, arena, path, &err);
    status = status != STRATA_OK ? status : st_graph_build(&graph, arena, tree, NULL, NULL, &err);
    const char *base = strrchr(err.file, '/') == NULL ? err.file : strrchr(err.file, '/') + 1;
    bool names_file = expected[9] < '0' || expected[9] > '9';
    snprintf(found, sizeof(found), "%s%s%d:%d: %s", names_file ? base : "", names_file ? ":" : "", err.line, err.column,
             err.message);
    if (status == STRATA_OK || strncmp(found, expected + 9, strlen(expected + 9)) != 0) {
        fail_msg("%s\n  expected %s\n  found    %s", path, expected + 9, status == STRATA_OK ? "no error" : found);
    }
    if (second != NULL && strncmp(hint, "# hint ", 7) == 0 && strcmp(hint + 7, err.hint) != 0) {
        fail_msg("%s\n  expected hint %s\n  found    hint %s", path, hint + 7, err.hint);
    }
    assert_null(graph);
}

static void test_bad_nets_are_refused_at_their_place(void **state) {
    (void)state;
    DIR *folder = opendir("tests/bad");
    int files = 0;
    if (folder == NULL) {
        print_message("skip: no tests/bad here; run from the project's folder\n");
        skip();
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[512];
        if (strstr(entry->d_name, ".net") != NULL) {
            snprintf(path, sizeof(path), "tests/bad/%s", entry->d_name);
            check_bad_file(path);
            files++;
        }
    }
    closedir(folder);
    assert_true(files >= 40);
}

static void test_expansion_is_bounded(void **state) {
    (void)state;
    const st_graph *graph;
    char text[4096];
    size_t length = 0;
    for (int i = 0; i < 40; i++) { /* each block calls the next one twice: 2^40 */
        length += (size_t)snprintf(text + length, sizeof(text) - length, "block b%d { b%d, b%d }\n", i, i + 1, i + 1);
    }
    snprintf(text + length, sizeof(text) - length,
             "block b40 { relu }\nnetwork n {\n input 8x8x3\n b0\n output o\n}\n");
    assert_int_equal(try_text(&graph, text, NULL, NULL), STRATA_SYNTAX);
    assert_non_null(strstr(err.message, "the net has more than"));
    assert_int_equal(err.line, 44);
    const char *deep = "block a {\n { { { { { { { { b } } } } } } } }\n}\nblock b {\n { { { relu } } }\n}\n";
    snprintf(text, sizeof(text), "%snetwork n {\n input 8x8x3\n a\n output o\n}\n", deep);
    assert_int_equal(try_text(&graph, text, NULL, NULL), STRATA_OK);
}

/* ---- memory ---- */

static int allocations_left;
static void *(*real_allocate)(size_t);

static void *failing_allocate(size_t bytes) {
    return allocations_left-- > 0 ? real_allocate(bytes) : NULL;
}

static strata_status load_print_format(strata_error *error) {
    st_arena *own = NULL;
    const st_tree *tree;
    const st_graph *graph;
    char *text = NULL, *tidy = NULL;
    strata_status status = st_arena_create(&own, error);
    status = status != STRATA_OK ? status : st_lang_load(&tree, own, "resnet18", error);
    status = status != STRATA_OK ? status : st_graph_build(&graph, own, tree, "classes=4", "conv1", error);
    status = status != STRATA_OK ? status : st_lang_print(&text, tree, "classes=4", error);
    status = status != STRATA_OK ? status : st_lang_format(&tidy, "t.net", text, strlen(text), error);
    strata_text_free(text);
    strata_text_free(tidy);
    st_arena_free(own);
    return status;
}

static void test_every_allocation_may_fail(void **state) {
    (void)state;
    real_allocate = st_sys.allocate;
    st_sys.allocate = failing_allocate;
    strata_status status = STRATA_MEMORY;
    int n = 0;
    for (; status != STRATA_OK && n < 100000; n++) {
        strata_error error = {0};
        allocations_left = n;
        status = load_print_format(&error);
        if (status != STRATA_OK && (status != STRATA_MEMORY || error.message[0] == '\0')) {
            break;
        }
    }
    st_sys.allocate = real_allocate;
    assert_int_equal(status, STRATA_OK);
    assert_true(n > 3);
}

#define GRAPH_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        GRAPH_TEST(test_identity_and_single_branches_make_no_node),
        GRAPH_TEST(test_names_of_nodes_that_do_not_count_are_unique),
        GRAPH_TEST(test_take_reaches_a_label_of_its_scope),
        GRAPH_TEST(test_side_chains_are_train_only_and_return),
        GRAPH_TEST(test_blocks_bind_parameters_and_defaults),
        GRAPH_TEST(test_the_text_of_a_layer_has_its_values_resolved),
        GRAPH_TEST(test_text_comes_in_quotes_or_from_a_knob),
        GRAPH_TEST(test_knobs_are_overridden_by_includer_and_settings),
        GRAPH_TEST(test_the_plain_network_leaves_shortcuts_out),
        GRAPH_TEST(test_freeze_fixes_what_it_names),
        GRAPH_TEST(test_input_carries_the_normalization),
        GRAPH_TEST(test_knobs_are_told_with_value_default_and_comment),
        GRAPH_TEST(test_an_error_in_a_block_names_the_call),
        GRAPH_TEST(test_initial_weights_follow_what_comes_next),
        GRAPH_TEST(test_initial_weights_have_their_variance),
        GRAPH_TEST(test_help_documents_every_layer),
        GRAPH_TEST(test_every_example_of_every_layer_builds),
        GRAPH_TEST(test_every_example_of_the_manual_builds),
        GRAPH_TEST(test_bad_nets_are_refused_at_their_place),
        GRAPH_TEST(test_expansion_is_bounded),
        GRAPH_TEST(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
