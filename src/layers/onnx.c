/* What the layers' to_onnx functions are written with: nodes, their attributes, and what they read. */
#include <string.h>

#include "layers/layers.h"

st_onnx_node *st_onnx_add(st_onnx_form *form, const char *op_type) {
    st_onnx_node *node = &form->nodes[form->count++];
    node->op_type = op_type;
    return node;
}

static st_onnx_attribute *next_attribute(st_onnx_node *node, const char *name) {
    st_onnx_attribute *at = node->attributes;
    while (at->name != NULL) {
        at++;
    }
    at->name = name;
    return at;
}

void st_onnx_set(st_onnx_node *node, const char *name, int64_t value) {
    next_attribute(node, name)->ints[0] = value;
}

void st_onnx_set_real(st_onnx_node *node, const char *name, double value) {
    st_onnx_attribute *at = next_attribute(node, name);
    at->is_real = true;
    at->real = value;
}

void st_onnx_set_list(st_onnx_node *node, const char *name, const int64_t *values, int count) {
    st_onnx_attribute *at = next_attribute(node, name);
    memcpy(at->ints, values, (size_t)count * sizeof *values);
    at->count = count;
}

static st_onnx_operand *next_operand(st_onnx_node *node, st_onnx_source source) {
    st_onnx_operand *at = node->operands;
    while (at->source != ST_ONNX_END) {
        at++;
    }
    at->source = source;
    return at;
}

st_onnx_operand *st_onnx_read_state(st_onnx_node *node, int state) {
    st_onnx_operand *at = next_operand(node, ST_ONNX_STATE);
    at->state = state;
    return at;
}

void st_onnx_read_real(st_onnx_node *node, const char *name, double value) {
    st_onnx_operand *at = next_operand(node, ST_ONNX_REAL);
    at->name = name;
    at->real = value;
}

void st_onnx_read_list(st_onnx_node *node, const char *name, const int64_t *values, int count) {
    st_onnx_operand *at = next_operand(node, ST_ONNX_INTS);
    memcpy(at->ints, values, (size_t)count * sizeof *values);
    at->name = name;
    at->count = count;
}

/* Pads are written although `auto_pad` has a word for pad=same: not every program knows it. */
void st_onnx_set_window(st_onnx_node *node, const st_window *window) {
    st_onnx_set_list(node, "kernel_shape", (int64_t[]){window->r, window->s}, 2);
    if (window->stride_h != 1 || window->stride_w != 1) {
        st_onnx_set_list(node, "strides", (int64_t[]){window->stride_h, window->stride_w}, 2);
    }
    if (window->dilation_h != 1 || window->dilation_w != 1) {
        st_onnx_set_list(node, "dilations", (int64_t[]){window->dilation_h, window->dilation_w}, 2);
    }
    if (window->pad_top != 0 || window->pad_left != 0 || window->pad_bottom != 0 || window->pad_right != 0) {
        st_onnx_set_list(node, "pads",
                         (int64_t[]){window->pad_top, window->pad_left, window->pad_bottom, window->pad_right}, 4);
    }
}
