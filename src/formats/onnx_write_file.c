/* An ONNX file: the nodes of onnx_write.c, the weights behind them, and what a reader wants to know. Lengths come
 * before what they measure, so the heads are made first and the values pass through in small pieces. */
#include <inttypes.h>
#include <string.h>

#include "formats/onnx_write.h"

enum { PIECE = 4096 }; /* values at once */

/* A message of protobuf, and so a whole model, has at most so many bytes. */
static const uint64_t MOST_BYTES = INT32_MAX;

typedef struct onnx_file {
    st_onnx_net net;
    st_text *heads;  /* [initializers] each message up to its values */
    uint64_t *sizes; /* [initializers] bytes of the values */
    uint64_t graph_bytes;
    st_text start, end, graph_end; /* of the model, around its graph; of the graph, behind the weights */
    st_writer writer;
    st_sha256 sha; /* of the bytes of all initializers, in the order of the file */
} onnx_file;

/* ---- the values ---- */

static strata_status put_values(onnx_file *file, const unsigned char *bytes, size_t count, strata_error *err) {
    st_sha256_add(&file->sha, bytes, count);
    return st_writer_add(&file->writer, bytes, count, err);
}

static strata_status write_doubles(onnx_file *file, const st_tensor *tensor, size_t first, size_t count,
                                   strata_error *err) {
    double values[PIECE];
    unsigned char bytes[4 * PIECE];
    ST_TRY(st_weights_read_doubles(file->net.weights, tensor, first, count, values, err));
    for (size_t i = 0; i < count; i++) {
        float value = (float)values[i];
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        st_stored_put(bytes + 4 * i, 4, bits);
    }
    return put_values(file, bytes, 4 * count, err);
}

/* F16 and BF16 become wider, and lose nothing. */
static strata_status write_weight(onnx_file *file, const st_tensor *tensor, strata_error *err) {
    unsigned char bytes[4 * PIECE];
    for (size_t done = 0; done < tensor->count;) {
        size_t now = tensor->count - done < PIECE ? tensor->count - done : PIECE;
        if (tensor->stored == ST_STORED_F32) {
            ST_TRY(st_weights_read_bytes(file->net.weights, tensor, done, now, bytes, err));
            ST_TRY(put_values(file, bytes, 4 * now, err));
        } else {
            ST_TRY(write_doubles(file, tensor, done, now, err));
        }
        done += now;
    }
    return STRATA_OK;
}

static strata_status write_spread(onnx_file *file, const st_onnx_initializer *from, size_t count, strata_error *err) {
    st_site site;
    st_real *published = NULL, *whole = NULL;
    unsigned char bytes[4 * PIECE];
    ST_TRY(st_onnx_site(&site, file->net.arena, file->net.graph, from->node, err));
    ST_TRY(st_arena_alloc(&published, file->net.arena, from->weight->count, sizeof *published, err));
    ST_TRY(st_arena_alloc(&whole, file->net.arena, count, sizeof *whole, err));
    ST_TRY(st_weights_read(file->net.weights, from->weight, published, err));
    from->spread(&site, published, whole);
    for (size_t done = 0; done < count;) {
        size_t now = count - done < PIECE ? count - done : PIECE;
        st_weights_encode(bytes, whole + done, now);
        ST_TRY(put_values(file, bytes, 4 * now, err));
        done += now;
    }
    return STRATA_OK;
}

static strata_status write_numbers(onnx_file *file, const st_onnx_operand *numbers, strata_error *err) {
    unsigned char bytes[8 * ST_COUNT_OF(numbers->ints)];
    float value = (float)numbers->real;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    st_stored_put(bytes, 4, bits);
    size_t count = numbers->source == ST_ONNX_INTS ? 8 * (size_t)numbers->count : 4;
    for (int i = 0; i < numbers->count; i++) {
        st_stored_put(bytes + 8 * (size_t)i, 8, (uint64_t)numbers->ints[i]);
    }
    return put_values(file, bytes, count, err);
}

/* ---- heads ---- */

/* All of an initializer's message but the bytes of its values; *size are those. */
static strata_status make_head(st_text *head, uint64_t *size, const st_onnx_initializer *from, strata_error *err) {
    st_text inside = {0};
    size_t count = 1, bytes = 0;
    bool is_integer = from->numbers != NULL && from->numbers->source == ST_ONNX_INTS;
    for (int i = 0; i < from->rank; i++) {
        ST_FAIL_IF(!st_size_mul(count, (size_t)from->dims[i], &count), err, STRATA_UNSUPPORTED, "%s is too large",
                   from->name);
        st_onnx_put_int(&inside, ST_ONNX_TENSOR_DIMS, from->dims[i]);
    }
    ST_FAIL_IF(!st_size_mul(count, is_integer ? 8 : 4, &bytes), err, STRATA_UNSUPPORTED, "%s is too large", from->name);
    st_onnx_put_int(&inside, ST_ONNX_TENSOR_TYPE, is_integer ? ST_ONNX_TYPE_INT64 : ST_ONNX_TYPE_FLOAT);
    st_onnx_put_text(&inside, ST_ONNX_TENSOR_NAME, from->name);
    st_onnx_put_head(&inside, ST_ONNX_TENSOR_RAW, bytes);
    *size = bytes;
    st_onnx_put_head(head, ST_ONNX_GRAPH_INITIALIZER, (uint64_t)inside.length + bytes);
    st_text_add_bytes(head, inside.bytes, inside.length);
    head->failed = head->failed || inside.failed;
    st_text_free(&inside);
    return STRATA_OK;
}

static strata_status make_heads(onnx_file *file, strata_error *err) {
    st_onnx_net *net = &file->net;
    size_t count = net->initializer_count;
    ST_TRY(st_arena_alloc(&file->heads, net->arena, count, sizeof *file->heads, err));
    ST_TRY(st_arena_alloc(&file->sizes, net->arena, count, sizeof *file->sizes, err));
    file->graph_bytes = net->nodes.length + file->graph_end.length;
    for (size_t i = 0; i < count; i++) {
        ST_TRY(make_head(&file->heads[i], &file->sizes[i], &net->initializers[i], err));
        ST_FAIL_IF(file->heads[i].failed, err, STRATA_MEMORY, "no memory for the head of '%s'",
                   net->initializers[i].name);
        file->graph_bytes += file->heads[i].length + file->sizes[i];
        ST_FAIL_IF(file->graph_bytes > MOST_BYTES, err, STRATA_UNSUPPORTED,
                   "an ONNX file holds at most 2 GB, and these weights are more: .safetensors has no such limit");
    }
    return STRATA_OK;
}

/* ---- around the nodes ---- */

/* Input and output: "N" pictures, any number of them. */
static void put_value(st_text *to, int field, const char *name, const int64_t *dims, int rank) {
    st_text shape = {0}, tensor = {0}, type = {0}, value = {0}, batch = {0};
    st_onnx_put_text(&batch, ST_ONNX_DIM_PARAM, "N");
    st_onnx_put_message(&shape, ST_ONNX_SHAPE_DIM, &batch);
    for (int i = 0; i < rank; i++) {
        st_text dim = {0};
        st_onnx_put_int(&dim, ST_ONNX_DIM_VALUE, dims[i]);
        st_onnx_put_message(&shape, ST_ONNX_SHAPE_DIM, &dim);
    }
    st_onnx_put_int(&tensor, ST_ONNX_TENSOR_TYPE_ELEMENT, ST_ONNX_TYPE_FLOAT);
    st_onnx_put_message(&tensor, ST_ONNX_TENSOR_TYPE_SHAPE, &shape);
    st_onnx_put_message(&type, ST_ONNX_TYPE_TENSOR, &tensor);
    st_onnx_put_text(&value, ST_ONNX_VALUE_NAME, name);
    st_onnx_put_message(&value, ST_ONNX_VALUE_TYPE, &type);
    st_onnx_put_message(to, field, &value);
}

static const st_node *main_node(const st_graph *graph) {
    return &graph->nodes[graph->outputs[graph->main_output].node];
}

/* What a person reads who opens the file with another program. */
static void put_documentation(st_text *to, const onnx_file *file) {
    const st_graph *graph = file->net.graph;
    const st_node *last = main_node(graph);
    bool is_softmax = (last->op->traits & ST_OP_GIVES_PROBABILITIES) != 0;
    const char *says = st_weights_metadata(file->net.weights, ST_PAIR_PREPARATION) != NULL  ? ST_PAIR_PREPARATION
                       : st_weights_metadata(file->net.weights, ST_PAIR_PREPROCESS) != NULL ? ST_PAIR_PREPROCESS
                                                                                            : NULL;
    st_text text = {0};
    st_text_add(&text, "%s%s%s\n\n", graph->name, graph->description[0] != '\0' ? ": " : "", graph->description);
    st_text_add(&text, "images: N x %" PRId64 " x %" PRId64 " x %" PRId64 ", %s%s%s.\n", graph->input.c, graph->input.h,
                graph->input.w, says != NULL ? "pictures prepared as the metadata " : "pictures prepared; how, ",
                says != NULL ? says : "these weights do not say", says != NULL ? " says" : "");
    st_text_add(
        &text, "logits: N x %" PRId64 ", a number for each class%s, %s.\n", last->out.h * last->out.w * last->out.c,
        st_weights_metadata(file->net.weights, ST_PAIR_CLASSES) != NULL ? ", in the order of strata.classes" : "",
        is_softmax ? "its probability" : "before softmax");
    st_text_add(&text, "The metadata strata.net is the net as strata reads it.");
    st_onnx_put_head(to, ST_ONNX_MODEL_DOC, text.length);
    st_text_add_bytes(to, text.bytes, text.length);
    to->failed = to->failed || text.failed;
    st_text_free(&text);
}

static void put_pair(st_text *to, const char *name, const char *value) {
    st_text pair = {0};
    st_onnx_put_text(&pair, ST_ONNX_PAIR_KEY, name);
    st_onnx_put_text(&pair, ST_ONNX_PAIR_VALUE, value);
    st_onnx_put_message(to, ST_ONNX_MODEL_METADATA, &pair);
}

static strata_status make_frame(onnx_file *file, strata_error *err) {
    const st_graph *graph = file->net.graph;
    const st_weights *weights = file->net.weights;
    st_dims out = main_node(graph)->out;
    st_onnx_put_int(&file->start, ST_ONNX_MODEL_IR_VERSION, ST_ONNX_IR_VERSION);
    st_onnx_put_text(&file->start, ST_ONNX_MODEL_PRODUCER, "strata");
    st_onnx_put_text(&file->start, ST_ONNX_MODEL_PRODUCER_VERSION, STRATA_VERSION);
    put_documentation(&file->start, file);
    st_onnx_put_text(&file->graph_end, ST_ONNX_GRAPH_NAME, graph->name);
    put_value(&file->graph_end, ST_ONNX_GRAPH_INPUT, "images",
              (int64_t[]){graph->input.c, graph->input.h, graph->input.w}, 3);
    put_value(&file->graph_end, ST_ONNX_GRAPH_OUTPUT, "logits", (int64_t[]){out.h * out.w * out.c}, 1);
    st_text opset = {0};
    st_onnx_put_int(&opset, ST_ONNX_OPSET_VERSION, ST_ONNX_OPSET);
    st_onnx_put_message(&file->end, ST_ONNX_MODEL_OPSET, &opset);
    for (size_t i = 0; i < weights->pair_count; i++) {
        if (strcmp(weights->pairs[i].name, ST_PAIR_HASH) != 0) { /* this file has its own, see write_all */
            put_pair(&file->end, weights->pairs[i].name, weights->pairs[i].value);
        }
    }
    ST_FAIL_IF(file->start.failed || file->graph_end.failed || file->end.failed, err, STRATA_MEMORY,
               "no memory for the frame of an ONNX file");
    return STRATA_OK;
}

/* ---- all of it ---- */

static strata_status write_all(onnx_file *file, strata_error *err) {
    const st_onnx_net *net = &file->net;
    st_writer *writer = &file->writer;
    char hash[65];
    st_sha256_begin(&file->sha);
    st_onnx_put_head(&file->start, ST_ONNX_MODEL_GRAPH, file->graph_bytes);
    ST_FAIL_IF(file->start.failed || net->nodes.failed, err, STRATA_MEMORY, "no memory for the nodes");
    ST_TRY(st_writer_add(writer, file->start.bytes, file->start.length, err));
    ST_TRY(st_writer_add(writer, net->nodes.bytes, net->nodes.length, err));
    for (size_t i = 0; i < net->initializer_count; i++) {
        const st_onnx_initializer *from = &net->initializers[i];
        ST_TRY(st_writer_add(writer, file->heads[i].bytes, file->heads[i].length, err));
        if (from->numbers != NULL) {
            ST_TRY(write_numbers(file, from->numbers, err));
        } else if (from->spread != NULL) {
            ST_TRY(write_spread(file, from, (size_t)file->sizes[i] / 4, err));
        } else {
            ST_TRY(write_weight(file, from->weight, err));
        }
    }
    ST_TRY(st_writer_add(writer, file->graph_end.bytes, file->graph_end.length, err));
    st_sha256_end(&file->sha, hash);
    put_pair(&file->end, ST_PAIR_HASH, hash);
    ST_FAIL_IF(file->end.failed, err, STRATA_MEMORY, "no memory for the frame of an ONNX file");
    return st_writer_add(writer, file->end.bytes, file->end.length, err);
}

static strata_status write_file(onnx_file *file, const char *path, strata_error *err) {
    enum { HASH_BYTES = 128 }; /* the pair that comes last */
    ST_TRY(st_onnx_translate(&file->net, err));
    ST_TRY(make_frame(file, err));
    ST_TRY(make_heads(file, err));
    ST_FAIL_IF(file->graph_bytes + file->start.length + file->end.length + HASH_BYTES > MOST_BYTES, err,
               STRATA_UNSUPPORTED,
               "an ONNX file holds at most 2 GB, and this net is more: .safetensors has no such limit");
    ST_TRY(st_writer_begin(&file->writer, path, err));
    strata_status status = write_all(file, err);
    if (status != STRATA_OK) {
        st_writer_cancel(&file->writer);
        return status;
    }
    return st_writer_commit(&file->writer, err);
}

strata_status st_onnx_write(const st_weights *in, const st_graph *graph, const char *path, strata_error *err) {
    onnx_file file = {.net = {.graph = graph, .weights = in}};
    ST_FAIL_IF(graph == NULL, err, STRATA_INVALID, "an ONNX file holds a net, and these weights name none");
    ST_TRY(st_arena_create(&file.net.arena, err));
    strata_status status = write_file(&file, path, err);
    for (size_t i = 0; file.heads != NULL && i < file.net.initializer_count; i++) {
        st_text_free(&file.heads[i]);
    }
    st_text_free(&file.net.nodes);
    st_text_free(&file.start);
    st_text_free(&file.end);
    st_text_free(&file.graph_end);
    st_arena_free(file.net.arena);
    return status;
}
