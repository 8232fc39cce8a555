/* formats, ONNX: what exporters write as many nodes and the net has as one layer, and conditions that are known. */
#include <math.h>

#include "onnx_graph_case.h"

/* ---- local response normalization as PyTorch writes it ---- */

typedef enum writing {
    SINCE_OPSET_9,      /* what nn.LocalResponseNorm became: x * x, a Pad of five sides */
    WITHOUT_UNSQUEEZE,  /* as PyTorch 2 has it */
    WITH_AVG_POOL_3D,   /* what was written by hand before it: x^2, zeros that the pooling adds and counts */
    WITH_NEGATIVE_POWER /* x * (k + alpha * mean)^-beta */
} writing;

typedef struct chain {
    writing how;
    int64_t size, before, after;
    bool does_not_count; /* the zeros of the pooling */
    int64_t dilation;    /* of the pooling; 0: not said */
    float alpha, k, beta;
    const char *divided; /* NULL: what was squared */
    const char *sides;   /* of the constants; NULL: none */
} chain;

static void put_ints(st_text *graph, const char *op_type, const char *inputs, const char *output, const char *name,
                     const int64_t *values, size_t count) {
    st_text node = node_of(op_type, inputs, output);
    put_attribute_ints(&node, name, values, count);
    put_message(graph, 1, &node);
}

/* A net of `layers` on its input's line and the mean over the picture. */
static void becomes_layers(const char *input, const char *layers) {
    char net[256];
    snprintf(net, sizeof net,
             "network g {\n    input %s, %s\n    avgpool global\n\n    output logits loss=cross_entropy\n}\n", input,
             layers);
    becomes(net);
}

/* A picture's squares as 'five', before there is a mean of them. */
static st_text with_squares(void) {
    st_text graph = picture("1x6x4x4");
    const int64_t one = 1;
    put_real(&graph, "two", "", 2);
    put_node(&graph, "Pow", "in,two", "s");
    put_ints(&graph, "Unsqueeze", "s", "five", "axes", &one, 1);
    return graph;
}

/* From 'r' to 'l'. */
static void put_chain(st_text *graph, const chain *c) {
    const int64_t pads[10] = {0, 0, c->before, 0, 0, 0, 0, c->after, 0, 0};
    const int64_t around[6] = {c->before, 0, 0, c->after, 0, 0};
    const int64_t kernel[3] = {c->size, 1, 1}, one = 1;
    bool by_hand = c->how == WITH_AVG_POOL_3D;
    put_real(graph, "two", "", 2);
    put_real(graph, "alpha", c->sides != NULL ? c->sides : "", c->alpha);
    put_real(graph, "k", c->sides != NULL ? c->sides : "", c->k);
    put_real(graph, "beta", c->sides != NULL ? c->sides : "", c->beta);
    put_integers(graph, "flat", "1,1,4,4,-1");
    put_integers(graph, "back", "1,4,4,4");
    put_node(graph, by_hand ? "Pow" : "Mul", by_hand ? "r,two" : "r,r", "squares");
    if (c->how != WITHOUT_UNSQUEEZE) {
        put_ints(graph, "Unsqueeze", "squares", "five", "axes", &one, 1);
    }
    if (!by_hand) {
        put_node(graph, "Reshape", c->how != WITHOUT_UNSQUEEZE ? "five,flat" : "squares,flat", "flatter");
        put_ints(graph, "Pad", "flatter", "padded", "pads", pads, 10);
    }
    st_text node = node_of("AveragePool", by_hand ? "five" : "padded", "mean");
    put_attribute_ints(&node, "kernel_shape", kernel, 3);
    if (by_hand) {
        put_attribute_ints(&node, "pads", around, 6);
        put_attribute_int(&node, "count_include_pad", c->does_not_count ? 0 : 1);
    }
    if (c->dilation > 0) {
        put_attribute_ints(&node, "dilations", (const int64_t[3]){c->dilation, 1, 1}, 3);
    }
    put_message(graph, 1, &node);
    put_ints(graph, "Squeeze", "mean", "four", "axes", &one, 1);
    if (!by_hand) {
        put_node(graph, "Reshape", "four,back", "sides");
    }
    put_node(graph, "Mul", by_hand ? "four,alpha" : "alpha,sides", "scaled");
    put_node(graph, "Add", by_hand ? "scaled,k" : "k,scaled", "shifted");
    put_node(graph, "Pow", "shifted,beta", "power");
    char inputs[64];
    snprintf(inputs, sizeof inputs, "%s,power", c->divided != NULL ? c->divided : "r");
    put_node(graph, c->how == WITH_NEGATIVE_POWER ? "Mul" : "Div", inputs, "l");
}

static st_text with_chain(const chain *c) {
    st_text graph = picture("1x4x4x4");
    put_node(&graph, "Relu", "in", "r");
    put_node(&graph, "Tanh", "in", "t");
    put_ints(&graph, "Transpose", "r", "u", "perm", (const int64_t[4]){0, 2, 3, 1}, 4);
    put_chain(&graph, c);
    put_node(&graph, "GlobalAveragePool", "l", "out");
    return graph;
}

static void test_a_chain_of_squares_is_lrn(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    static const struct {
        chain chain;
        const char *layer;
    } cases[] = {
        {{.how = SINCE_OPSET_9, .size = 5, .before = 2, .after = 2, .alpha = 5e-4F, .k = 2, .beta = 0.75F},
         "lrn 5 alpha=0.0005 beta=0.75 k=2"},
        {{.how = WITHOUT_UNSQUEEZE,
          .size = 5,
          .before = 2,
          .after = 2,
          .alpha = 1,
          .k = 2,
          .beta = 0.75F,
          .sides = "1x1x1x1"},
         "lrn 5 alpha=1 beta=0.75 k=2"},
        {{.how = WITH_AVG_POOL_3D,
          .size = 3,
          .before = 1,
          .after = 1,
          .dilation = 1,
          .alpha = 0.125F,
          .k = 1,
          .beta = 0.5F},
         "lrn 3 alpha=0.125 beta=0.5 k=1"},
        {{.how = WITH_NEGATIVE_POWER, .size = 5, .before = 2, .after = 2, .alpha = 0.25F, .k = 2, .beta = -0.75F},
         "lrn 5 alpha=0.25 beta=0.75 k=2"},
    };
    for (size_t i = 0; i < ST_COUNT_OF(cases); i++) {
        char layers[96];
        st_text graph = with_chain(&cases[i].chain);
        put_model(&graph, 10);
        snprintf(layers, sizeof layers, "relu, %s", cases[i].layer);
        becomes_layers("4x4x4", layers);
    }
}

static void test_other_chains_are_not(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    static const struct {
        chain chain;
        const char *lack;
    } cases[] = {
        {{.how = SINCE_OPSET_9, .size = 4, .before = 2, .after = 1, .alpha = 1, .k = 2, .beta = 0.75F},
         "LRN over 4 channels (node 7)"},
        {{.how = SINCE_OPSET_9, .size = 5, .before = 1, .after = 3, .alpha = 1, .k = 2, .beta = 0.75F},
         "AveragePool of squares that is no LRN (node 7)"},
        {{.how = WITH_AVG_POOL_3D, .size = 3, .before = 1, .after = 1, .does_not_count = true, .alpha = 1, .k = 1},
         "AveragePool of squares that is no LRN (node 5)"},
        {{.how = SINCE_OPSET_9, .size = 5, .before = 2, .after = 2, .dilation = 2, .alpha = 1, .k = 1, .beta = 1},
         "AveragePool of squares that is no LRN (node 7)"},
        {{.how = SINCE_OPSET_9, .size = 5, .before = 2, .after = 2, .alpha = 1, .k = 2, .beta = -0.75F},
         "Div of squares that is no LRN (node 13)"},
        {{.how = SINCE_OPSET_9, .size = 5, .before = 2, .after = 2, .alpha = -1, .k = 2, .beta = 0.75F},
         "Div of squares that is no LRN (node 13)"},
        {{.how = SINCE_OPSET_9, .size = 5, .before = 2, .after = 2, .alpha = 1, .k = 0, .beta = 0.75F},
         "Div of squares that is no LRN (node 13)"},
        {{.how = SINCE_OPSET_9, .size = 5, .before = 2, .after = 2, .alpha = 1, .k = 2, .beta = 0.75F, .divided = "t"},
         "Div of squares that is no LRN (node 13)"},
        {{.how = SINCE_OPSET_9, .size = 5, .before = 2, .after = 2, .alpha = 1, .k = 2, .beta = 0.75F, .divided = "u"},
         "Div of squares that is no LRN (node 13)"},
        {{.how = SINCE_OPSET_9, .size = 5, .before = 2, .after = 2, .alpha = 1e38F, .k = 1e38F, .beta = INFINITY},
         "Div of squares that is no LRN (node 13)"},
        {{.how = WITH_AVG_POOL_3D,
          .size = 3,
          .before = 1,
          .after = 1,
          .alpha = 1,
          .k = 1,
          .beta = 1,
          .sides = "1x1x1x1x1"},
         "Mul of squares that is no LRN (node 7)"},
    };
    for (size_t i = 0; i < ST_COUNT_OF(cases); i++) {
        char words[128];
        st_text graph = with_chain(&cases[i].chain);
        put_model(&graph, 10);
        snprintf(words, sizeof words, "it needs what strata has not: %s", cases[i].lack);
        refused(STRATA_UNSUPPORTED, words);
    }
    st_text graph = with_squares(); /* a chain that ends before it is one */
    put_node(&graph, "Identity", "five", "out");
    put_model(&graph, 10);
    refused(STRATA_UNSUPPORTED, "its output 'out' is not of the net: squares on the way to an LRN");
    graph = with_squares();
    put_node(&graph, "Relu", "five", "out");
    put_model(&graph, 10);
    refused(STRATA_UNSUPPORTED, "it needs what strata has not: Relu of squares that is no LRN (node 2)");
    static const char *const inputs[] = {"in,five", ",five"}; /* squares where no operator has a place for them */
    static const char *const operators[] = {"AveragePool", "Pad", "Reshape", "Squeeze", "Concat"};
    for (size_t i = 0; i < ST_COUNT_OF(operators); i++) {
        for (size_t k = 0; k < ST_COUNT_OF(inputs); k++) {
            strata_error err = {0};
            st_weights weights;
            graph = with_squares();
            put_node(&graph, operators[i], inputs[k], "out");
            put_model(&graph, 13);
            strata_status status = st_weights_open(&weights, path, &err);
            assert_true(status == STRATA_UNSUPPORTED || status == STRATA_FORMAT);
            assert_true(err.message[0] != '\0');
        }
    }
    graph = picture("1x6x4x4");
    put_real(&graph, "three", "", 3);
    put_node(&graph, "Pow", "in,three", "out");
    put_model(&graph, 10);
    refused(STRATA_UNSUPPORTED, "it needs what strata has not: Pow (node 0)");
}

static void test_a_square_alone_is_a_product(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    st_text graph = picture("1x6x4x4");
    put_node(&graph, "Mul", "in,in", "s");
    put_node(&graph, "GlobalAveragePool", "s", "out");
    put_model(&graph, 10);
    becomes("network g {\n"
            "    input 4x4x6\n"
            "    mul {\n"
            "        | identity\n"
            "        | identity\n"
            "    }\n"
            "    avgpool global\n"
            "\n"
            "    output logits loss=cross_entropy\n"
            "}\n");
}

/* ---- If ---- */

/* A graph of one node that reads `in`; takes nothing else. */
static st_text branch(const char *op_type, const char *in, const char *out) {
    st_text graph = {0};
    put_text(&graph, 2, "branch");
    put_node(&graph, op_type, in, out);
    put_value(&graph, 12, out, "1x1");
    return graph;
}

/* Takes the graphs; NULL leaves one out. */
static void put_if(st_text *graph, const char *condition, const char *out, st_text *then, st_text *otherwise) {
    st_text node = node_of("If", condition, out), *const branches[2] = {then, otherwise};
    static const char *const names[2] = {"then_branch", "else_branch"};
    for (int i = 0; i < 2; i++) {
        st_text attribute = {0};
        if (branches[i] != NULL) {
            put_text(&attribute, 1, names[i]);
            put_message(&attribute, 6, branches[i]);
            put_int(&attribute, 20, 5);
            put_message(&node, 5, &attribute);
        }
    }
    put_message(graph, 1, &node);
}

/* Whether side 1 of 'in' is `side`, as PyTorch asks before it squeezes one. */
static st_text with_question(const char *side) {
    st_text graph = picture("0x6x4x4"); /* any number of images */
    put_integers(&graph, "which", "1");
    put_integers(&graph, "side", side);
    put_node(&graph, "Shape", "in", "shape");
    put_node(&graph, "Gather", "shape,which", "is");
    put_node(&graph, "Equal", "is,side", "condition");
    return graph;
}

static void test_a_known_condition_takes_its_graph(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    for (int i = 0; i < 2; i++) {
        st_text graph = with_question(i == 0 ? "6" : "5"); /* both graphs give the same name, which is theirs */
        st_text then = branch("Relu", "in", "same"), otherwise = branch("Tanh", "in", "same");
        put_if(&graph, "condition", "v", &then, &otherwise);
        put_node(&graph, "GlobalAveragePool", "v", "out");
        put_model(&graph, 13);
        becomes_layers("4x4x6", i == 0 ? "relu" : "tanh");
    }
    st_text graph = with_question("6"), inner = branch("Relu", "in", "x"), never = branch("Erf", "in", "y");
    st_text outer = {0}, other = branch("Resize", "in", "z"); /* an If inside of an If */
    put_text(&outer, 2, "outer");
    put_if(&outer, "condition", "w", &inner, &never);
    put_value(&outer, 12, "w", "1x1");
    put_if(&graph, "condition", "v", &outer, &other);
    put_node(&graph, "GlobalAveragePool", "v", "out");
    put_model(&graph, 13);
    becomes_layers("4x4x6", "relu");
}

/* The names of a graph inside of a node are its own. */
static void test_graphs_share_names(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    st_text graph = with_question("6"), first = branch("Relu", "in", "a"), second = branch("Tanh", "v", "a");
    put_if(&graph, "condition", "v", &first, NULL);
    put_if(&graph, "condition", "w", &second, NULL);
    put_node(&graph, "GlobalAveragePool", "w", "out");
    put_model(&graph, 13);
    becomes_layers("4x4x6", "relu, tanh");
    graph = with_question("6");
    first = branch("Relu", "in", "a");
    put_if(&graph, "condition", "v", &first, NULL);
    put_node(&graph, "GlobalAveragePool", "a", "out");
    put_model(&graph, 13);
    refused(STRATA_FORMAT, "node 4 (GlobalAveragePool): it reads 'a', which nothing makes");
}

/* Casts to truth values, and fractions of whole numbers that were made real. */
static void test_conditions_are_computed_as_onnx_does(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    static const struct {
        float value;
        const char *layer;
    } cases[] = {{0, "tanh"}, {0.5F, "relu"}, {-3, "relu"}};
    for (size_t i = 0; i < ST_COUNT_OF(cases); i++) {
        st_text graph = picture("1x6x4x4"), node = node_of("Cast", "value", "condition");
        st_text then = branch("Relu", "in", "a"), otherwise = branch("Tanh", "in", "b");
        put_real(&graph, "value", "", cases[i].value);
        put_attribute_int(&node, "to", 9);
        put_message(&graph, 1, &node);
        put_if(&graph, "condition", "v", &then, &otherwise);
        put_node(&graph, "GlobalAveragePool", "v", "out");
        put_model(&graph, 13);
        becomes_layers("4x4x6", cases[i].layer);
    }
    st_text graph = picture("1x6x4x4"), node = node_of("Cast", "five", "real");
    st_text then = branch("Relu", "in", "a"), otherwise = branch("Tanh", "in", "b");
    put_integers(&graph, "five", "5");
    put_integers(&graph, "two", "2");
    put_attribute_int(&node, "to", 1);
    put_message(&graph, 1, &node);
    put_node(&graph, "Div", "real,two", "half"); /* not two */
    put_node(&graph, "Equal", "half,two", "condition");
    put_if(&graph, "condition", "out", &then, &otherwise);
    put_model(&graph, 13);
    refused(STRATA_UNSUPPORTED, "it needs what strata has not: Div of constants (node 1)");
}

static void test_other_conditions_are_refused(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    st_text graph = with_question("6"), then = branch("Relu", "in", "a"), otherwise = branch("Tanh", "in", "b");
    put_if(&graph, "in", "out", &then, &otherwise);
    put_model(&graph, 13);
    refused(STRATA_UNSUPPORTED, "it needs what strata has not: If that depends on the picture (node 3)");
    graph = picture("0x6x4x4"); /* any number of images */
    put_integers(&graph, "which", "0");
    put_integers(&graph, "one", "1");
    put_node(&graph, "Shape", "in", "shape");
    put_node(&graph, "Gather", "shape,which", "images");
    put_node(&graph, "Equal", "images,one", "condition");
    then = branch("Relu", "in", "a");
    put_if(&graph, "condition", "out", &then, NULL);
    put_model(&graph, 13);
    refused(STRATA_UNSUPPORTED, "it needs what strata has not: If that depends on the number of images (node 3)");
    graph = with_question("6");
    otherwise = branch("Tanh", "in", "b");
    put_if(&graph, "condition", "out", NULL, &otherwise);
    put_model(&graph, 13);
    refused(STRATA_FORMAT, "node 3 (If): its graph does not make what the node makes");
    graph = with_question("6");
    then = branch("Relu", "out", "a"); /* reads what it makes */
    put_if(&graph, "condition", "out", &then, NULL);
    put_model(&graph, 13);
    refused(STRATA_FORMAT, "node 3 (If): it reads 'out', which is made by node 3: a cycle, or nodes out of order");
    graph = with_question("6");
    then = branch("Relu", "in", "shape"); /* a name of the graph around it */
    put_if(&graph, "condition", "out", &then, NULL);
    put_model(&graph, 13);
    refused(STRATA_FORMAT, "two things make 'shape'");
    graph = with_question("6");
    then = (st_text){0};
    put_value(&then, 12, "nothing", "1x1");
    put_if(&graph, "condition", "out", &then, NULL);
    put_model(&graph, 13);
    refused(STRATA_FORMAT, "node 3 (If): nothing makes 'nothing'");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_chain_of_squares_is_lrn),
        cmocka_unit_test(test_other_chains_are_not),
        cmocka_unit_test(test_a_square_alone_is_a_product),
        cmocka_unit_test(test_a_known_condition_takes_its_graph),
        cmocka_unit_test(test_graphs_share_names),
        cmocka_unit_test(test_conditions_are_computed_as_onnx_does),
        cmocka_unit_test(test_other_conditions_are_refused),
    };
    return cmocka_run_group_tests(tests, make_model_folder, remove_model_folder);
}
