/* formats, ONNX: what graphs become, what a reader of files that nobody vouches for refuses, and with which words. */
#include "onnx_graph_case.h"

/* ---- graphs ---- */

static void test_a_chain_becomes_lines(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    st_text graph = picture("0x3x8x8");
    put_weight(&graph, "c1.weight", "4x3x3x3");
    put_weight(&graph, "c1.bias", "4");
    put_weight(&graph, "fc.weight", "10x4");
    put_conv(&graph, "in,c1.weight,c1.bias", "a");
    put_node(&graph, "Relu", "a", "b");
    put_node(&graph, "GlobalAveragePool", "b", "c");
    put_node(&graph, "Flatten", "c", "d");
    st_text node = node_of("Gemm", "d,fc.weight", "e");
    put_attribute_int(&node, "transB", 1);
    put_message(&graph, 1, &node);
    put_node(&graph, "Softmax", "e", "out");
    put_model(&graph, 9);
    becomes("network g {\n"
            "    input 8x8x3\n"
            "    c1: conv 3x3 4 pad=1, relu\n"
            "    avgpool global\n"
            "    fc: fc 10 bias=no\n"
            "\n"
            "    output logits loss=cross_entropy\n"
            "}\n");
}

static void test_branches_become_branches(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    st_text graph = picture("1x4x8x8");
    put_weight(&graph, "a.weight", "4x4x3x3");
    put_weight(&graph, "b.weight", "2x4x3x3");
    put_conv(&graph, "in,a.weight", "a");
    put_node(&graph, "Add", "a,in", "s");
    put_node(&graph, "Relu", "s", "r");
    put_conv(&graph, "r,b.weight", "b");
    put_node(&graph, "Sigmoid", "b", "g");
    put_node(&graph, "Mul", "g,b", "m");
    st_text node = node_of("Concat", "m,r", "c");
    put_attribute_int(&node, "axis", 1);
    put_message(&graph, 1, &node);
    put_node(&graph, "GlobalAveragePool", "c", "out");
    put_model(&graph, 13);
    becomes("network g {\n"
            "    input 8x8x4\n"
            "    add {\n"
            "        | a: conv 3x3 4 pad=1 bias=no\n"
            "        | identity\n"
            "    }\n"
            "    relu\n"
            "    concat {\n"
            "        | b: conv 3x3 2 pad=1 bias=no\n"
            "          mul {\n"
            "              | sigmoid\n"
            "              | identity\n"
            "          }\n"
            "        | identity\n"
            "    }\n"
            "    avgpool global\n"
            "\n"
            "    output logits loss=cross_entropy\n"
            "}\n");
}

/* What PyTorch writes for a view below version 9: the sizes are real numbers that are cast. */
static void test_sizes_that_are_cast_are_computed_away(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    static const double sizes[2] = {2, -1};
    st_text graph = picture("2x3x4x4"), tensor = {0};
    put_weight(&graph, "w", "48x5");
    put_dims(&tensor, "2");
    put_int(&tensor, 2, 11); /* DOUBLE */
    put_text(&tensor, 8, "sizes");
    put_bytes(&tensor, 9, (const char *)sizes, sizeof sizes);
    put_message(&graph, 5, &tensor);
    st_text node = node_of("Cast", "sizes", "whole");
    put_attribute_int(&node, "to", 7);
    put_message(&graph, 1, &node);
    put_node(&graph, "Reshape", "in,whole", "v");
    put_node(&graph, "MatMul", "v,w", "out");
    put_model(&graph, 7);
    becomes("network g {\n"
            "    input 4x4x3\n"
            "    w: fc 5 bias=no\n"
            "\n"
            "    output logits loss=cross_entropy\n"
            "}\n");
}

/* Shape, Gather, Unsqueeze, Concat, Reshape: what exporters make of a view; and MatMul with Add. */
static void test_sizes_are_computed_away(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    st_text graph = picture("2x3x4x4");
    put_weight(&graph, "w", "48x5");
    put_weight(&graph, "bias", "5");
    put_integers(&graph, "zero", "0");
    put_integers(&graph, "rest", "-1");
    put_node(&graph, "Shape", "in", "s");
    put_node(&graph, "Gather", "s,zero", "n");
    st_text node = node_of("Concat", "n,rest", "t");
    put_attribute_int(&node, "axis", 0);
    put_message(&graph, 1, &node);
    put_node(&graph, "Reshape", "in,t", "v");
    put_node(&graph, "MatMul", "v,w", "p");
    put_node(&graph, "Add", "p,bias", "out");
    put_model(&graph, 11);
    becomes("network g {\n"
            "    input 4x4x3\n"
            "    w: fc 5\n"
            "\n"
            "    output logits loss=cross_entropy\n"
            "}\n");
}

/* A value that two branches want that are no branches of one another. */
static void test_what_several_want_is_taken(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    st_text graph = picture("1x2x4x4");
    put_weight(&graph, "a.weight", "2x2x3x3");
    put_conv(&graph, "in,a.weight", "a");
    put_node(&graph, "Relu", "a", "r");
    put_node(&graph, "Tanh", "r", "t");
    put_node(&graph, "Add", "r,t", "s");
    put_node(&graph, "Sigmoid", "s", "u");
    put_node(&graph, "Add", "a,t", "v");
    put_node(&graph, "Add", "u,v", "w");
    put_node(&graph, "GlobalAveragePool", "w", "out");
    put_model(&graph, 13);
    becomes("network g {\n"
            "    input 4x4x2\n"
            "    a: conv 3x3 2 pad=1 bias=no\n"
            "    add {\n"
            "        | relu\n"
            "          add {\n"
            "              | identity\n"
            "              | tanh: tanh\n"
            "          }\n"
            "          sigmoid\n"
            "        | add {\n"
            "            | identity\n"
            "            | take tanh\n"
            "        }\n"
            "    }\n"
            "    avgpool global\n"
            "\n"
            "    output logits loss=cross_entropy\n"
            "}\n");
}

/* Means with and without the zeros around the image; where all windows are the image's it is no matter. */
static void test_padding_of_means_counts_or_not(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    const int64_t three[2] = {3, 3}, around[4] = {1, 1, 1, 1}, behind[4] = {0, 0, 1, 1}, two[2] = {2, 2};
    st_text graph = picture("1x2x8x8");
    st_text node = node_of("AveragePool", "in", "a");
    put_attribute_ints(&node, "kernel_shape", three, 2);
    put_attribute_ints(&node, "pads", around, 4);
    put_message(&graph, 1, &node);
    node = node_of("AveragePool", "a", "b");
    put_attribute_ints(&node, "kernel_shape", three, 2);
    put_attribute_ints(&node, "pads", around, 4);
    put_attribute_int(&node, "count_include_pad", 1);
    put_message(&graph, 1, &node);
    node = node_of("AveragePool", "b", "c");
    put_attribute_ints(&node, "kernel_shape", three, 2);
    put_attribute_ints(&node, "strides", two, 2);
    put_attribute_ints(&node, "pads", behind, 4);
    put_message(&graph, 1, &node);
    node = node_of("AveragePool", "c", "out");
    put_attribute_ints(&node, "kernel_shape", (const int64_t[2]){5, 5}, 2);
    put_attribute_ints(&node, "pads", behind, 4);
    put_message(&graph, 1, &node);
    put_model(&graph, 13);
    becomes("network g {\n"
            "    input 8x8x2\n"
            "    avgpool 3x3 stride=1 pad=1 exclude_pad=yes\n"
            "    avgpool 3x3 stride=1 pad=1\n"
            "    avgpool 3x3 stride=2 ceil=yes exclude_pad=yes\n"
            "    avgpool global\n"
            "\n"
            "    output logits loss=cross_entropy\n"
            "}\n");
}

/* A mean of `in` over one axis, and a mean of what is left over another. */
static void put_two_means(st_text *graph, const int64_t axes[2], bool keeps) {
    static const char *const names[] = {"in", "a", "out"};
    for (size_t k = 0; k < 2; k++) {
        st_text node = node_of("ReduceMean", names[k], names[k + 1]);
        put_attribute_ints(&node, "axes", &axes[k], 1);
        put_attribute_int(&node, "keepdims", keeps);
        put_message(graph, 1, &node);
    }
}

/* A mean over rows and columns in two steps, as x.mean(3).mean(2) is exported, is one layer; `keepdims` in both. */
static void test_two_means_are_one(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    static const int64_t axes[][2] = {{3, 2}, {-1, -1}, {2, 2}, {3, 2}, {2, 3}};
    for (size_t i = 0; i < ST_COUNT_OF(axes); i++) {
        st_text graph = picture("1x2x6x4");
        put_two_means(&graph, axes[i], i >= 3);
        put_model(&graph, 13);
        becomes("network g {\n"
                "    input 6x4x2\n"
                "    avgpool global\n"
                "\n"
                "    output logits loss=cross_entropy\n"
                "}\n");
    }
}

/* From version 18 on Pad and ReduceMean take the sides that they mean as an input. */
static void test_sides_are_named_by_an_input(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    static const struct {
        const char *pads, *axes, *lack;
    } cases[] = {
        {"1,2,1,2", "2,-1", NULL},
        {"0,0,1,2,0,0,1,2", NULL, NULL},
        {"2,1,2,1", "3,2", NULL},
        {"1,2,1", "2,3", "Pad other than with zeros around a picture (node 0)"},
        {"1,2,1,2", "2,2", "Pad other than with zeros around a picture (node 0)"},
        {"1,2,1,2", "2,4", "Pad other than with zeros around a picture (node 0)"},
        {"1,-2,1,2", "2,3", "Pad other than with zeros around a picture (node 0)"},
        {"1,2,1,2", "0,3", "Pad other than with zeros around a picture (node 0)"},
    };
    for (size_t i = 0; i < ST_COUNT_OF(cases); i++) {
        char words[128];
        st_text graph = picture("1x4x8x8");
        put_weight(&graph, "c.weight", "2x4x3x5");
        put_integers(&graph, "pads", cases[i].pads);
        put_integers(&graph, "rows and columns", "-1,2");
        if (cases[i].axes != NULL) {
            put_integers(&graph, "axes", cases[i].axes);
        }
        put_node(&graph, "Pad", cases[i].axes != NULL ? "in,pads,,axes" : "in,pads", "p");
        put_node(&graph, "Conv", "p,c.weight", "c");
        put_node(&graph, "ReduceMean", "c,rows and columns", "out");
        put_model(&graph, 24);
        if (cases[i].lack != NULL) {
            snprintf(words, sizeof words, "it needs what strata has not: %s", cases[i].lack);
            refused(STRATA_UNSUPPORTED, words);
            continue;
        }
        becomes("network g {\n"
                "    input 8x8x4\n"
                "    c: conv 3x5 2 pad=1x2 bias=no\n"
                "    avgpool global\n"
                "\n"
                "    output logits loss=cross_entropy\n"
                "}\n");
    }
}

/* x times its sigmoid belongs to the numbered group of what it stands behind: the next group keeps its number. */
static void test_a_gate_belongs_to_what_is_before_it(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    st_text graph = picture("1x2x4x4");
    put_weight(&graph, "f.0.0.weight", "2x2x3x3");
    put_weight(&graph, "f.1.0.weight", "4x2x3x3");
    put_conv(&graph, "in,f.0.0.weight", "a");
    put_node(&graph, "Sigmoid", "a", "b");
    put_node(&graph, "Mul", "a,b", "c");
    put_conv(&graph, "c,f.1.0.weight", "d");
    put_node(&graph, "GlobalAveragePool", "d", "out");
    put_model(&graph, 13);
    becomes("network g {\n"
            "    input 4x4x2\n"
            "    f: {\n"
            "        f_0, f_1\n"
            "    }\n"
            "    avgpool global\n"
            "\n"
            "    output logits loss=cross_entropy\n"
            "}\n");
}

/* ---- what strata has not ---- */

static void test_all_that_is_lacking_is_said_at_once(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    st_text graph = picture("1x2x4x4");
    put_node(&graph, "Erf", "in", "a");
    put_node(&graph, "Erf", "a", "b");
    put_node(&graph, "Resize", "b", "c");
    put_node(&graph, "GlobalAveragePool", "c", "out");
    put_model(&graph, 13);
    refused(STRATA_UNSUPPORTED, "it needs what strata has not: Erf (node 0 and 1 more), Resize (node 2)");
    graph = picture("1x2x4x4"); /* channels of zeros among logarithms of probabilities */
    put_integers(&graph, "pads", "0,1,0,0,0,1,0,0");
    st_text node = node_of("LogSoftmax", "in", "a");
    put_attribute_int(&node, "axis", 1);
    put_message(&graph, 1, &node);
    put_node(&graph, "Pad", "a,pads", "b");
    put_node(&graph, "GlobalAveragePool", "b", "out");
    put_model(&graph, 13);
    refused(STRATA_UNSUPPORTED, "it needs what strata has not: Pad other than with zeros around a picture (node 1)");
    static const int64_t axes[][2] = {{1, 2}, {3, 1}, {3, 3}}; /* of a mean and the next, which sees what is left */
    for (size_t i = 0; i < ST_COUNT_OF(axes); i++) {
        graph = picture("1x2x6x4");
        put_two_means(&graph, axes[i], i == 2);
        put_model(&graph, 13);
        refused(STRATA_UNSUPPORTED, "it needs what strata has not: ReduceMean not over rows and columns (node 0)");
    }
    static const char *const last[] = {"Relu", "Flatten"}; /* in another order than a net's answer */
    for (size_t i = 0; i < ST_COUNT_OF(last); i++) {
        graph = picture("1x2x4x4");
        node = node_of("Transpose", "in", "a");
        put_attribute_ints(&node, "perm", (const int64_t[4]){0, 2, 3, 1}, 4);
        put_message(&graph, 1, &node);
        put_node(&graph, last[i], "a", "out");
        put_model(&graph, 13);
        refused(STRATA_UNSUPPORTED, "its output 'out' has its channels last; a net's stand first");
    }
    graph = picture("1x2x4x4");
    put_node(&graph, "GlobalAveragePool", "in", "out");
    put_model(&graph, 25);
    refused(STRATA_UNSUPPORTED, "its operators are those of version 25 (opset), expected 7 to 24");
}

/* ---- graphs that are none ---- */

static void test_broken_graphs_are_refused(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    st_text graph = picture("1x2x4x4");
    put_node(&graph, "Add", "in,b", "a");
    put_node(&graph, "Relu", "a", "b");
    put_node(&graph, "GlobalAveragePool", "b", "out");
    put_model(&graph, 13);
    refused(STRATA_FORMAT, "node 0 (Add): it reads 'b', which is made by node 1: a cycle, or nodes out of order");
    graph = picture("1x2x4x4");
    put_node(&graph, "Relu", "nobody", "out");
    put_model(&graph, 13);
    refused(STRATA_FORMAT, "node 0 (Relu): it reads 'nobody', which nothing makes");
    graph = picture("1x2x8x8");
    put_weight(&graph, "w", "2x2x3x3");
    st_text node = node_of("Conv", "in,w", "out");
    put_attribute_ints(&node, "kernel_shape", (const int64_t[2]){5, 5}, 2);
    put_message(&graph, 1, &node);
    put_model(&graph, 13);
    refused(STRATA_FORMAT, "node 0 (Conv): its kernel_shape is not that of its weight, 3x3");
    graph = picture("1x2x4x4");
    put_node(&graph, "Relu", "in", "out");
    put_node(&graph, "Tanh", "in", "out");
    put_model(&graph, 13);
    refused(STRATA_FORMAT, "two things make 'out'");
    graph = picture("1x2x4x4");
    put_node(&graph, "Relu", "in", "other");
    put_model(&graph, 13);
    refused(STRATA_FORMAT, "nothing makes its output 'out'");
    graph = picture("1x2x4x4");
    put_node(&graph, "Relu", "in", "out");
    put_value(&graph, 11, "second", "1x2");
    put_model(&graph, 13);
    refused(STRATA_UNSUPPORTED, "it has 2 inputs that are no weights, expected one: a picture");
    graph = picture("1x-2x4x4");
    put_node(&graph, "Relu", "in", "out");
    put_model(&graph, 13);
    refused(STRATA_FORMAT, "its input 'in' has a negative number as its side 2, expected a number above 0");
    graph = picture("1x2x0x4");
    put_node(&graph, "Relu", "in", "out");
    put_model(&graph, 13);
    refused(STRATA_UNSUPPORTED, "its input 'in' has no number as its side 3, expected a number above 0");
    graph = picture("");
    put_node(&graph, "Relu", "in", "out");
    put_model(&graph, 13);
    refused(STRATA_UNSUPPORTED, "its input 'in' does not say its size");
    graph = (st_text){0};
    put_value(&graph, 11, "in", "1x2x4x4");
    put_model(&graph, 13);
    refused(STRATA_FORMAT, "its graph has no output");
}

static void test_weights_that_do_not_fit_are_refused(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    st_text graph = picture("1x2x4x4");
    put_weight(&graph, "w", "4x3x3x3");
    put_conv(&graph, "in,w", "out");
    put_model(&graph, 13);
    refused(STRATA_FORMAT, "node 0 (Conv): 2 channels, weights for 3 in 1 groups");
    graph = picture("1x2x4x4");
    put_weight(&graph, "w", "4x2x3x3");
    put_weight(&graph, "b", "5");
    put_conv(&graph, "in,w,b", "out");
    put_model(&graph, 13);
    refused(STRATA_FORMAT, "node 0 (Conv): 'b' has 5 values, expected 4");
    graph = picture("1x2x4x4");
    put_weight(&graph, "w", "4x2x9x9");
    put_conv(&graph, "in,w", "out");
    put_model(&graph, 13);
    refused(STRATA_FORMAT, "node 0 (Conv): its window is larger than the 4x4 that it sees");
    graph = picture("1x7");
    put_weight(&graph, "w", "6x3");
    put_node(&graph, "MatMul", "in,w", "out");
    put_model(&graph, 13);
    refused(STRATA_FORMAT, "node 0 (MatMul): 7 features, weights for 6 and 3 outputs");
    graph = picture("1x2x4x4");
    put_integers(&graph, "t", "1,31");
    put_node(&graph, "Reshape", "in,t", "out");
    put_model(&graph, 13);
    refused(STRATA_FORMAT, "node 0 (Reshape): a value of 32 numbers cannot have sides that make 31");
}

/* ---- tensors that lie ---- */

static void put_tensor_model(st_text *tensor) {
    st_text graph = picture("1x2x4x4");
    put_text(tensor, 8, "w");
    put_message(&graph, 5, tensor);
    put_conv(&graph, "in,w", "out");
    put_model(&graph, 13);
}

static void test_tensors_that_lie_are_refused(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    st_text tensor = {0};
    put_dims(&tensor, "50000x50000x1x1"); /* a claim of 10 GB */
    put_int(&tensor, 2, 1);
    put_text(&tensor, 9, "four");
    put_tensor_model(&tensor);
    refused(STRATA_FORMAT, "tensor 'w': its sides make 2500000000 values of type F32, found 4 bytes");
    put_dims(&tensor, "-1x2x3x3");
    put_int(&tensor, 2, 1);
    put_tensor_model(&tensor);
    refused(STRATA_FORMAT, "tensor 'w': side 0 is -1");
    put_dims(&tensor, "4611686018427387904x4x1x1");
    put_int(&tensor, 2, 1);
    put_tensor_model(&tensor);
    refused(STRATA_FORMAT, "tensor 'w': side 1 is 4, and the product of its sides overflows");
    put_dims(&tensor, "1x1x1x1x1x1x1x1x1");
    put_tensor_model(&tensor);
    refused(STRATA_UNSUPPORTED, "tensor 'w': more than 8 sides");
    put_dims(&tensor, "1");
    put_int(&tensor, 2, 8);
    put_tensor_model(&tensor);
    refused(STRATA_UNSUPPORTED, "tensor 'w': values of the type 8 of ONNX, expected numbers");
    st_text entry = {0};
    put_dims(&tensor, "1x2x1x1");
    put_int(&tensor, 2, 1);
    put_text(&entry, 1, "location");
    put_text(&entry, 2, "../../etc/passwd");
    put_message(&tensor, 13, &entry);
    put_int(&tensor, 14, 1);
    put_tensor_model(&tensor);
    refused(STRATA_FORMAT, "tensor 'w': its values must be in a file of the model's own folder, found location "
                           "'../../etc/passwd'");
}

/* ---- bytes that are no messages ---- */

static void test_broken_messages_are_refused(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    put_file(path, "\x08\x07\x12\xff\xff\xff\xff\x0f", 8);
    refused(STRATA_FORMAT, "byte 2: a field of 4294967295 bytes, 0 are left");
    put_file(path, "\x08\x07\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 13);
    refused(STRATA_FORMAT, "byte 3: a number of more than 64 bits");
    put_file(path, "\x08\x07\x28\xff\xff", 5);
    refused(STRATA_FORMAT, "byte 5: it ends inside a number");
    put_file(path, "\x08\x07\x3a\x02\x0b\x0c", 6);
    refused(STRATA_FORMAT, "byte 4: field 1 of type 3, expected a field of protobuf");
    put_file(path, "\x08\x07\x3a\x02\x08\x01", 6);
    refused(STRATA_FORMAT, "byte 4: 'node' of type 0, expected 2");
    put_file(path, "\x08\x07\x12\x01\x61\x12\x01\x61", 8);
    refused(STRATA_FORMAT, "byte 5: 'producer_name' is there twice");
    put_file(path, "\x08\x07\x12\x02\x61\x00", 6);
    refused(STRATA_FORMAT, "byte 2: a text with a zero byte in it");
    put_file(path, "\x08\x07\x12\x01\x61", 5);
    refused(STRATA_FORMAT, "it holds no graph, expected an ONNX model");
}

/* Graphs inside graphs: node, attribute, graph, and again. */
static void test_nesting_has_an_end(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    st_text graph = {0};
    for (int i = 0; i < 1000; i++) {
        st_text attribute = {0}, node = {0}, outer = {0};
        put_message(&attribute, 6, &graph);
        put_message(&node, 5, &attribute);
        put_message(&outer, 1, &node);
        graph = outer;
    }
    put_model(&graph, 13);
    strata_error err = {0};
    st_weights weights;
    assert_int_equal(st_weights_open(&weights, path, &err), STRATA_FORMAT);
    assert_non_null(strstr(err.message, "messages lie more than 64 deep"));
}

/* Empty messages take many times their own size in memory: there is an end to that. */
static void test_memory_follows_the_file(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    st_text graph = picture("1x2x4x4");
    for (int i = 0; i < 200000; i++) {
        st_text_add_bytes(&graph, "\x0a", 2); /* an empty node */
    }
    put_model(&graph, 13);
    refused(STRATA_FORMAT,
            "it is not a message of the type ModelProto, or takes more than 32 bytes of memory for each of its own");
}

/* Every beginning of a good file is refused, or read as what it is, and nothing is lost. */
static void test_a_file_that_was_cut_is_refused(void **state) {
    (void)state;
    NEEDS_PROTOBUF();
    st_text graph = picture("1x2x4x4");
    put_weight(&graph, "w", "40x2x3x3");
    put_conv(&graph, "in,w", "out");
    st_text model = model_of(&graph, 13);
    for (size_t length = 5; length<model.length; length += length> 300 && length + 300 < model.length ? 97 : 1) {
        strata_error err = {0};
        st_weights weights;
        put_file(path, model.bytes, length);
        strata_status status = st_weights_open(&weights, path, &err);
        assert_true(status == STRATA_FORMAT || status == STRATA_UNSUPPORTED);
        assert_true(err.message[0] != '\0');
    }
    put_text_file(&model);
    st_weights weights;
    assert_int_equal(st_weights_open(&weights, path, NULL), STRATA_OK);
    assert_int_equal(weights.tensor_count, 1);
    assert_null(weights.tensors[0].bytes); /* long numbers stay in the file */
    st_real values[720];
    assert_int_equal(st_weights_read(&weights, &weights.tensors[0], values, NULL), STRATA_OK);
    for (size_t i = 0; i < ST_COUNT_OF(values); i++) {
        assert_true((double)values[i] == 0.25 * (double)(i % 7 + 1));
    }
    st_weights_close(&weights);
}

/* A build without protobuf-c knows the file all the same. */
static void test_the_kind_is_known_by_content(void **state) {
    (void)state;
    put_file(path, "\x08\x07\x12\x01\x61", 5);
    const st_format *format = NULL;
    assert_int_equal(st_format_probe(&format, path, NULL), STRATA_OK);
    assert_non_null(format);
    assert_string_equal(format->name, "ONNX");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_chain_becomes_lines),
        cmocka_unit_test(test_branches_become_branches),
        cmocka_unit_test(test_sizes_that_are_cast_are_computed_away),
        cmocka_unit_test(test_sizes_are_computed_away),
        cmocka_unit_test(test_what_several_want_is_taken),
        cmocka_unit_test(test_padding_of_means_counts_or_not),
        cmocka_unit_test(test_two_means_are_one),
        cmocka_unit_test(test_sides_are_named_by_an_input),
        cmocka_unit_test(test_a_gate_belongs_to_what_is_before_it),
        cmocka_unit_test(test_all_that_is_lacking_is_said_at_once),
        cmocka_unit_test(test_broken_graphs_are_refused),
        cmocka_unit_test(test_weights_that_do_not_fit_are_refused),
        cmocka_unit_test(test_tensors_that_lie_are_refused),
        cmocka_unit_test(test_broken_messages_are_refused),
        cmocka_unit_test(test_nesting_has_an_end),
        cmocka_unit_test(test_memory_follows_the_file),
        cmocka_unit_test(test_a_file_that_was_cut_is_refused),
        cmocka_unit_test(test_the_kind_is_known_by_content),
    };
    return cmocka_run_group_tests(tests, make_model_folder, remove_model_folder);
}
