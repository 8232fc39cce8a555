/* onnx_write: what its two files share. onnx_write.c turns a net into nodes, onnx_write_file.c puts them and the
 * weights into a file. Messages are written as protobuf lays them out (onnx.proto has the numbers of the fields),
 * without a library: so the weights go from file to file in small pieces and are never in memory as a whole. */
#ifndef ST_ONNX_WRITE_H
#define ST_ONNX_WRITE_H

#include "formats/table.h"

enum { ST_ONNX_IR_VERSION = 7, ST_ONNX_OPSET = 14 };

/* Numbers of the fields that are written, message by message. */
enum {
    ST_ONNX_MODEL_IR_VERSION = 1,
    ST_ONNX_MODEL_PRODUCER = 2,
    ST_ONNX_MODEL_PRODUCER_VERSION = 3,
    ST_ONNX_MODEL_DOC = 6,
    ST_ONNX_MODEL_GRAPH = 7,
    ST_ONNX_MODEL_OPSET = 8,
    ST_ONNX_MODEL_METADATA = 14,
    ST_ONNX_OPSET_VERSION = 2,
    ST_ONNX_PAIR_KEY = 1,
    ST_ONNX_PAIR_VALUE = 2,
    ST_ONNX_GRAPH_NODE = 1,
    ST_ONNX_GRAPH_NAME = 2,
    ST_ONNX_GRAPH_INITIALIZER = 5,
    ST_ONNX_GRAPH_INPUT = 11,
    ST_ONNX_GRAPH_OUTPUT = 12,
    ST_ONNX_NODE_INPUT = 1,
    ST_ONNX_NODE_OUTPUT = 2,
    ST_ONNX_NODE_NAME = 3,
    ST_ONNX_NODE_OP_TYPE = 4,
    ST_ONNX_NODE_ATTRIBUTE = 5,
    ST_ONNX_ATTRIBUTE_NAME = 1,
    ST_ONNX_ATTRIBUTE_F = 2,
    ST_ONNX_ATTRIBUTE_I = 3,
    ST_ONNX_ATTRIBUTE_INTS = 8,
    ST_ONNX_ATTRIBUTE_TYPE = 20,
    ST_ONNX_TENSOR_DIMS = 1,
    ST_ONNX_TENSOR_TYPE = 2,
    ST_ONNX_TENSOR_NAME = 8,
    ST_ONNX_TENSOR_RAW = 9,
    ST_ONNX_VALUE_NAME = 1,
    ST_ONNX_VALUE_TYPE = 2,
    ST_ONNX_TYPE_TENSOR = 1,
    ST_ONNX_TENSOR_TYPE_ELEMENT = 1,
    ST_ONNX_TENSOR_TYPE_SHAPE = 2,
    ST_ONNX_SHAPE_DIM = 1,
    ST_ONNX_DIM_VALUE = 1,
    ST_ONNX_DIM_PARAM = 2
};
enum { ST_ONNX_TYPE_FLOAT = 1, ST_ONNX_TYPE_INT64 = 7 };                /* of a tensor's elements */
enum { ST_ONNX_IS_FLOAT = 1, ST_ONNX_IS_INT = 2, ST_ONNX_IS_INTS = 7 }; /* of an attribute */

/* Fields, added to a text of bytes. */
void st_onnx_put_int(st_text *to, int field, int64_t value);
void st_onnx_put_real(st_text *to, int field, double value); /* as 32 bits */
void st_onnx_put_text(st_text *to, int field, const char *value);
void st_onnx_put_message(st_text *to, int field, st_text *message); /* and frees it */
/* The key and length of a field whose `bytes` bytes come later. */
void st_onnx_put_head(st_text *to, int field, uint64_t bytes);

/* A tensor that nodes read: a weight, or numbers that are written into the net. */
typedef struct st_onnx_initializer {
    const char *name;
    int rank;
    int64_t dims[4];
    const st_onnx_operand *numbers; /* NULL: a weight */
    const st_tensor *weight;
    const st_node *node; /* of a weight that is spread */
    int state;
    void (*spread)(const st_site *site, const st_real *published, st_real *out);
} st_onnx_initializer;

/* A net as ONNX: all but the values. */
typedef struct st_onnx_net {
    const st_graph *graph;
    const st_weights *weights;
    st_arena *arena;
    st_text nodes; /* fields of GraphProto */
    st_onnx_initializer *initializers;
    size_t initializer_count;
} st_onnx_net;

/* Fills the nodes and the list of what they read. */
strata_status st_onnx_translate(st_onnx_net *net, strata_error *err);
/* A node of the graph as its layer's to_onnx sees it. */
strata_status st_onnx_site(st_site *out, st_arena *arena, const st_graph *graph, const st_node *node,
                           strata_error *err);

#endif
