/* For tests of the ONNX reader: one graph in one file, what becomes of it, or the words with which it is refused. */
#ifndef TESTS_ONNX_GRAPH_CASE_H
#define TESTS_ONNX_GRAPH_CASE_H

#include <string.h>

#include "base_case.h"
#include "onnx_case.h"

static char path[128];

static inline int make_model_folder(void **state) {
    int failed = make_folder(state);
    snprintf(path, sizeof path, "%s", in_folder("m.onnx"));
    return failed;
}

static inline int remove_model_folder(void **state) {
    unlink(path);
    return remove_folder(state);
}

/* Takes the text. */
static inline void put_text_file(st_text *bytes) {
    assert_false(bytes->failed);
    put_file(path, bytes->bytes, bytes->length);
    st_text_free(bytes);
}

static inline void put_model(st_text *graph, int64_t opset) {
    st_text model = model_of(graph, opset);
    put_text_file(&model);
}

static inline void refused(strata_status status, const char *message) {
    strata_error err = {0};
    st_weights weights;
    assert_int_equal(st_weights_open(&weights, path, &err), status);
    assert_string_equal(err.message, message);
    assert_string_equal(err.file, path);
}

/* Whether the protobuf library is in this program: otherwise only that is said. */
static inline bool is_served(void) {
#ifdef ST_WITH_PROTOBUF
    return true;
#else
    print_message("built without protobuf-c\n");
    return false;
#endif
}

#define NEEDS_PROTOBUF()                                                                                               \
    if (!is_served()) {                                                                                                \
        skip();                                                                                                        \
    }

/* A net's text between `network` and `output`. */
static inline void becomes(const char *net) {
    strata_error err = {0};
    st_weights weights;
    if (st_weights_open(&weights, path, &err) != STRATA_OK) {
        fail_msg("%s", err.message);
    }
    assert_string_equal(weights.format->name, "ONNX");
    const char *text = st_weights_metadata(&weights, ST_PAIR_NET);
    assert_non_null(text);
    const char *begin = strstr(text, "network");
    assert_non_null(begin);
    if (strcmp(begin, net) != 0) {
        fail_msg("%s\n--- expected:\n%s", begin, net);
    }
    st_weights_close(&weights);
}

static inline st_text picture(const char *dims) {
    st_text graph = {0};
    put_text(&graph, 2, "g");
    put_value(&graph, 11, "in", dims);
    put_value(&graph, 12, "out", "1x1");
    return graph;
}

/* With a ring of zeros. */
static inline void put_conv(st_text *graph, const char *in, const char *out) {
    st_text node = node_of("Conv", in, out);
    const int64_t pads[4] = {1, 1, 1, 1};
    put_attribute_ints(&node, "pads", pads, 4);
    put_message(graph, 1, &node);
}

#endif
