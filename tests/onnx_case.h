/* Small ONNX files, written field by field so that each may be wrong. */
#ifndef ONNX_CASE_H
#define ONNX_CASE_H

#include <stdlib.h>
#include <string.h>

#include "formats/formats.h"

static inline void put_number(st_text *to, uint64_t value) {
    char bytes[10];
    size_t count = 0;
    for (; value >= 0x80; value >>= 7) {
        bytes[count++] = (char)(value | 0x80);
    }
    bytes[count++] = (char)value;
    st_text_add_bytes(to, bytes, count);
}

static inline void put_int(st_text *to, unsigned field, int64_t value) {
    put_number(to, (uint64_t)field << 3);
    put_number(to, (uint64_t)value);
}

static inline void put_bytes(st_text *to, unsigned field, const void *bytes, size_t length) {
    put_number(to, (uint64_t)field << 3 | 2);
    put_number(to, length);
    st_text_add_bytes(to, bytes, length);
}

static inline void put_text(st_text *to, unsigned field, const char *text) {
    put_bytes(to, field, text, strlen(text));
}

/* And frees it. */
static inline void put_message(st_text *to, unsigned field, st_text *message) {
    put_bytes(to, field, message->bytes != NULL ? message->bytes : "", message->length);
    st_text_free(message);
    *message = (st_text){0};
}

static inline void put_float(st_text *to, unsigned field, float value) {
    put_number(to, (uint64_t)field << 3 | 5);
    st_text_add_bytes(to, (const char *)&value, sizeof value);
}

/* "1x16x5x5"; "" is one value. */
static inline size_t put_dims(st_text *to, const char *dims) {
    size_t count = 1;
    for (const char *at = dims; *at != '\0';) {
        char *end = NULL;
        long long side = strtoll(at, &end, 10);
        put_int(to, 1, side);
        count *= (size_t)(side > 0 ? side : 0);
        at = *end == 'x' ? end + 1 : end;
    }
    return count;
}

/* An initializer of floats 0.25, 0.5, ... in raw_data. */
static inline void put_weight(st_text *graph, const char *name, const char *dims) {
    st_text tensor = {0}, raw = {0};
    size_t count = put_dims(&tensor, dims);
    for (size_t i = 0; i < count; i++) {
        float value = 0.25F * (float)(i % 7 + 1);
        st_text_add_bytes(&raw, (const char *)&value, sizeof value);
    }
    put_int(&tensor, 2, 1);
    put_text(&tensor, 8, name);
    put_message(&tensor, 9, &raw);
    put_message(graph, 5, &tensor);
}

/* An initializer of one float with these sides, all of them 1. */
static inline void put_real(st_text *graph, const char *name, const char *dims, float value) {
    st_text tensor = {0};
    put_dims(&tensor, dims);
    put_int(&tensor, 2, 1);
    put_text(&tensor, 8, name);
    put_bytes(&tensor, 9, &value, sizeof value);
    put_message(graph, 5, &tensor);
}

/* An initializer of whole numbers, "1,-1". */
static inline void put_integers(st_text *graph, const char *name, const char *list) {
    st_text tensor = {0}, numbers = {0};
    int64_t count = 0;
    for (const char *at = list; *at != '\0'; count++) {
        char *end = NULL;
        put_number(&numbers, (uint64_t)strtoll(at, &end, 10));
        at = *end == ',' ? end + 1 : end;
    }
    put_int(&tensor, 1, count);
    put_int(&tensor, 2, 7);
    put_message(&tensor, 7, &numbers);
    put_text(&tensor, 8, name);
    put_message(graph, 5, &tensor);
}

/* field 11 is an input, 12 an output; dims "" gives no shape, a side 0 has no number. */
static inline void put_value(st_text *graph, unsigned field, const char *name, const char *dims) {
    st_text info = {0}, type = {0}, tensor = {0}, shape = {0};
    for (const char *at = dims; *at != '\0';) {
        char *end = NULL;
        st_text dim = {0};
        long long side = strtoll(at, &end, 10);
        if (side != 0) {
            put_int(&dim, 1, side);
        }
        put_message(&shape, 1, &dim);
        at = *end == 'x' ? end + 1 : end;
    }
    put_int(&tensor, 1, 1);
    if (dims[0] != '\0') {
        put_message(&tensor, 2, &shape);
    }
    put_message(&type, 1, &tensor);
    put_text(&info, 1, name);
    put_message(&info, 2, &type);
    put_message(graph, field, &info);
}

/* What a node is before it is put: attributes are added between. */
static inline st_text node_of(const char *op_type, const char *inputs, const char *output) {
    st_text node = {0};
    for (const char *at = inputs; *at != '\0';) {
        size_t length = strcspn(at, ",");
        put_bytes(&node, 1, at, length);
        at += length + (at[length] == ',');
    }
    put_text(&node, 2, output);
    put_text(&node, 4, op_type);
    return node;
}

static inline void put_attribute_ints(st_text *node, const char *name, const int64_t *values, size_t count) {
    st_text attribute = {0};
    put_text(&attribute, 1, name);
    for (size_t i = 0; i < count; i++) {
        put_int(&attribute, 8, values[i]);
    }
    put_int(&attribute, 20, 7);
    put_message(node, 5, &attribute);
}

static inline void put_attribute_int(st_text *node, const char *name, int64_t value) {
    st_text attribute = {0};
    put_text(&attribute, 1, name);
    put_int(&attribute, 3, value);
    put_int(&attribute, 20, 2);
    put_message(node, 5, &attribute);
}

static inline void put_node(st_text *graph, const char *op_type, const char *inputs, const char *output) {
    st_text node = node_of(op_type, inputs, output);
    put_message(graph, 1, &node);
}

/* The whole file; takes the graph. */
static inline st_text model_of(st_text *graph, int64_t opset) {
    st_text model = {0}, set = {0};
    put_int(&model, 1, 7);
    put_text(&model, 2, "a test");
    put_message(&model, 7, graph);
    put_int(&set, 2, opset);
    put_message(&model, 8, &set);
    return model;
}

#endif
