/* A net as nodes of ONNX: what its main output needs in inference, layer by layer as each one's to_onnx has it. A value
 * is called after its layer's path, a step within a layer "PATH/Flatten", a weight as in every other file. Numbers that
 * are no weights are "PATH/pads". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/onnx_write.h"

#define INPUT "images"
#define OUTPUT "logits"

/* ---- fields ---- */

static void put_varint(st_text *to, uint64_t value) {
    char bytes[10];
    size_t count = 0;
    do {
        bytes[count++] = (char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value > 0);
    st_text_add_bytes(to, bytes, count);
}

enum { WIRE_VARINT = 0, WIRE_BYTES = 2, WIRE_32_BITS = 5 };

static void put_key(st_text *to, int field, int wire) {
    put_varint(to, (uint64_t)field << 3 | (uint64_t)wire);
}

void st_onnx_put_int(st_text *to, int field, int64_t value) {
    put_key(to, field, WIRE_VARINT);
    put_varint(to, (uint64_t)value);
}

void st_onnx_put_real(st_text *to, int field, double value) {
    float narrow = (float)value;
    uint32_t bits;
    unsigned char bytes[4];
    memcpy(&bits, &narrow, sizeof bits);
    st_stored_put(bytes, sizeof bytes, bits);
    put_key(to, field, WIRE_32_BITS);
    st_text_add_bytes(to, (const char *)bytes, sizeof bytes);
}

void st_onnx_put_head(st_text *to, int field, uint64_t bytes) {
    put_key(to, field, WIRE_BYTES);
    put_varint(to, bytes);
}

void st_onnx_put_text(st_text *to, int field, const char *value) {
    st_onnx_put_head(to, field, strlen(value));
    st_text_add_bytes(to, value, strlen(value));
}

void st_onnx_put_message(st_text *to, int field, st_text *message) {
    st_onnx_put_head(to, field, message->length);
    if (message->length > 0) {
        st_text_add_bytes(to, message->bytes, message->length);
    }
    to->failed = to->failed || message->failed;
    st_text_free(message);
}

/* ---- the layers ---- */

typedef struct translation {
    st_onnx_net *net;
    bool *is_needed;      /* [nodes] */
    const char **values;  /* [nodes] what each value is called */
    const char **weights; /* sorted: their names are taken */
    size_t weight_count;
} translation;

strata_status st_onnx_site(st_site *out, st_arena *arena, const st_graph *graph, const st_node *node,
                           strata_error *err) {
    st_dims *in = NULL;
    bool *in_flat = NULL;
    st_state_dims *state = NULL;
    size_t count = (size_t)node->in_count;
    ST_TRY(st_arena_alloc(&in, arena, count, sizeof *in, err));
    ST_TRY(st_arena_alloc(&in_flat, arena, count, sizeof *in_flat, err));
    ST_TRY(st_arena_alloc(&state, arena, ST_OP_STATES, sizeof *state, err));
    for (int i = 0; i < node->in_count; i++) {
        in[i] = graph->nodes[node->in[i]].out;
        in_flat[i] = graph->nodes[node->in[i]].is_flat;
    }
    for (int i = 0; i < ST_OP_STATES; i++) {
        state[i] = node->state[i].dims;
    }
    *out = (st_site){.params = node->params,
                     .in_count = node->in_count,
                     .in = in,
                     .in_flat = in_flat,
                     .out = node->out,
                     .state = state};
    return STRATA_OK;
}

static strata_status form_of(st_onnx_form *out, const translation *t, const st_node *node, strata_error *err) {
    st_site site;
    *out = (st_onnx_form){.count = 0};
    if (node->op->to_onnx == NULL) {
        return STRATA_OK;
    }
    ST_TRY(st_onnx_site(&site, t->net->arena, t->net->graph, node, err));
    strata_status status = node->op->to_onnx(out, &site, err);
    if (status != STRATA_OK) {
        st_error_prepend(err, "%s cannot be written as ONNX: it ", node->path);
    }
    return status;
}

/* What the main output needs: nodes stand in an order in which they run. */
static void mark_needed(translation *t) {
    const st_graph *graph = t->net->graph;
    int last = graph->outputs[graph->main_output].node;
    t->is_needed[last] = true;
    for (int n = last; n >= 0; n--) {
        for (int i = 0; t->is_needed[n] && i < graph->nodes[n].in_count; i++) {
            t->is_needed[graph->nodes[n].in[i]] = true;
        }
    }
}

/* ---- names ---- */

static int compare_names(const void *a, const void *b) {
    const char *const *one = a, *const *two = b;
    return strcmp(*one, *two);
}

static strata_status list_weights(translation *t, strata_error *err) {
    const st_graph *graph = t->net->graph;
    size_t most = (size_t)graph->node_count * ST_OP_STATES;
    ST_TRY(st_arena_alloc(&t->weights, t->net->arena, most, sizeof *t->weights, err));
    for (int n = 0; n < graph->node_count; n++) {
        for (int s = 0; t->is_needed[n] && s < ST_OP_STATES; s++) {
            if (graph->nodes[n].state[s].count > 0) {
                t->weights[t->weight_count++] = graph->nodes[n].state[s].path;
            }
        }
    }
    if (t->weight_count > 0) {
        qsort(t->weights, t->weight_count, sizeof *t->weights, compare_names);
    }
    return STRATA_OK;
}

static bool is_taken(const translation *t, const char *name) {
    return strcmp(name, INPUT) == 0 || strcmp(name, OUTPUT) == 0 ||
           (t->weight_count > 0 &&
            bsearch(&name, t->weights, t->weight_count, sizeof *t->weights, compare_names) != NULL);
}

static strata_status name_value(translation *t, int node, strata_error *err) {
    const char *path = t->net->graph->nodes[node].path;
    char *longer = NULL;
    t->values[node] = path;
    if (is_taken(t, path)) {
        ST_TRY(st_arena_printf(&longer, t->net->arena, err, "%s/value", path));
        t->values[node] = longer;
    }
    return STRATA_OK;
}

/* Of the nodes whose value is their own; the others share their input's. The main output's is the output, where it is a
 * vector already. */
static strata_status name_values(translation *t, strata_error *err) {
    const st_graph *graph = t->net->graph;
    int last = graph->outputs[graph->main_output].node;
    for (int n = 0; n < graph->node_count; n++) {
        st_onnx_form form;
        if (!t->is_needed[n]) {
            continue;
        }
        ST_TRY(form_of(&form, t, &graph->nodes[n], err));
        if ((graph->nodes[n].op->traits & ST_OP_IS_INPUT) != 0) {
            t->values[n] = INPUT;
        } else if (form.count > 0) {
            ST_TRY(name_value(t, n, err));
        } else {
            t->values[n] = t->values[graph->nodes[n].in[0]];
        }
    }
    const char *made = t->values[last];
    for (int n = 0; n <= last && graph->nodes[last].is_flat && made != t->values[0]; n++) {
        t->values[n] = t->values[n] == made ? OUTPUT : t->values[n];
    }
    return STRATA_OK;
}

/* ---- nodes ---- */

static strata_status find_weight(const st_tensor **out, const translation *t, const st_state *state,
                                 strata_error *err) {
    const st_weights *weights = t->net->weights;
    const st_tensor *tensor = st_weights_find(weights, state->path);
    bool same = tensor != NULL && st_stored_is_real(tensor->stored) && tensor->rank == state->dims.rank;
    for (int i = 0; same && i < tensor->rank; i++) {
        same = tensor->dims[i] == state->dims.dims[i];
    }
    if (!same) {
        char wanted[ST_TENSOR_DIMS_TEXT], found[ST_TENSOR_DIMS_TEXT] = "not there";
        st_tensor_dims(wanted, state->dims.rank, state->dims.dims);
        if (tensor != NULL) {
            st_tensor_dims(found, tensor->rank, tensor->dims);
        }
        return st_fail(err, STRATA_FORMAT, "the weights do not fit the net: '%s' is %s, expected %s", state->path,
                       found, wanted);
    }
    *out = tensor;
    return STRATA_OK;
}

static strata_status read_operand(st_text *message, translation *t, const st_node *node, const st_onnx_operand *from,
                                  strata_error *err) {
    st_onnx_net *net = t->net;
    ST_TRY(st_format_grow(&net->initializers, net->initializer_count, sizeof *net->initializers, net->arena, err));
    st_onnx_initializer *to = &net->initializers[net->initializer_count++];
    if (from->source == ST_ONNX_STATE) {
        const st_state *state = &node->state[from->state];
        ST_TRY(find_weight(&to->weight, t, state, err));
        to->name = state->path;
        to->node = node;
        to->state = from->state;
        to->spread = from->spread;
        to->rank = from->rank > 0 ? from->rank : state->dims.rank;
        memcpy(to->dims, from->rank > 0 ? from->dims : state->dims.dims, sizeof to->dims);
    } else {
        char *name = NULL;
        st_onnx_operand *own = NULL;
        ST_TRY(st_arena_printf(&name, net->arena, err, "%s/%s", node->path, from->name));
        ST_TRY(st_arena_alloc(&own, net->arena, 1, sizeof *own, err));
        *own = *from;
        own->name = to->name = name;
        to->numbers = own;
        to->rank = from->source == ST_ONNX_INTS ? 1 : 0;
        to->dims[0] = from->count;
    }
    st_onnx_put_text(message, ST_ONNX_NODE_INPUT, to->name);
    return STRATA_OK;
}

static void put_attribute(st_text *message, const st_onnx_attribute *attribute) {
    st_text text = {0};
    st_onnx_put_text(&text, ST_ONNX_ATTRIBUTE_NAME, attribute->name);
    if (attribute->is_real) {
        st_onnx_put_real(&text, ST_ONNX_ATTRIBUTE_F, attribute->real);
    } else if (attribute->count == 0) {
        st_onnx_put_int(&text, ST_ONNX_ATTRIBUTE_I, attribute->ints[0]);
    }
    for (int i = 0; i < attribute->count; i++) {
        st_onnx_put_int(&text, ST_ONNX_ATTRIBUTE_INTS, attribute->ints[i]);
    }
    st_onnx_put_int(&text, ST_ONNX_ATTRIBUTE_TYPE,
                    attribute->is_real      ? ST_ONNX_IS_FLOAT
                    : attribute->count == 0 ? ST_ONNX_IS_INT
                                            : ST_ONNX_IS_INTS);
    st_onnx_put_message(message, ST_ONNX_NODE_ATTRIBUTE, &text);
}

/* A vector beside values with rows and columns gets both, one of each: ONNX would take its numbers for columns. */
static strata_status read_value(st_text *message, translation *t, const st_node *node, int which, bool is_mixed,
                                strata_error *err) {
    const st_node *from = &t->net->graph->nodes[node->in[which]];
    const char *value = t->values[node->in[which]];
    if (is_mixed && from->is_flat) {
        char label[24], *name = NULL;
        st_onnx_operand axes = {.source = ST_ONNX_INTS, .name = label, .ints = {2, 3}, .count = 2};
        (void)snprintf(label, sizeof label, "axes.%d", which);
        st_text step = {0};
        ST_TRY(st_arena_printf(&name, t->net->arena, err, "%s/Unsqueeze.%d", node->path, which));
        st_onnx_put_text(&step, ST_ONNX_NODE_INPUT, value);
        strata_status status = read_operand(&step, t, node, &axes, err);
        if (status != STRATA_OK) {
            st_text_free(&step);
            return status;
        }
        st_onnx_put_text(&step, ST_ONNX_NODE_OUTPUT, name);
        st_onnx_put_text(&step, ST_ONNX_NODE_NAME, name);
        st_onnx_put_text(&step, ST_ONNX_NODE_OP_TYPE, "Unsqueeze");
        st_onnx_put_message(&t->net->nodes, ST_ONNX_GRAPH_NODE, &step);
        value = name;
    }
    st_onnx_put_text(message, ST_ONNX_NODE_INPUT, value);
    return STRATA_OK;
}

/* The steps of a layer; `before`: what one within the chain takes. */
static strata_status put_layer(translation *t, int index, strata_error *err) {
    const st_graph *graph = t->net->graph;
    const st_node *node = &graph->nodes[index];
    const char *before = NULL;
    st_onnx_form form;
    bool is_mixed = false;
    for (int i = 1; i < node->in_count; i++) {
        is_mixed = is_mixed || graph->nodes[node->in[i]].is_flat != graph->nodes[node->in[0]].is_flat;
    }
    ST_TRY(form_of(&form, t, node, err));
    for (int i = 0; i < form.count; i++) {
        const st_onnx_node *step = &form.nodes[i];
        char *inner = NULL;
        st_text message = {0};
        strata_status status = STRATA_OK;
        if (i + 1 < form.count) {
            ST_TRY(st_arena_printf(&inner, t->net->arena, err, "%s/%s", node->path, step->op_type));
        }
        for (int k = 0; k < node->in_count && i == 0 && status == STRATA_OK; k++) {
            status = read_value(&message, t, node, k, is_mixed, err);
        }
        if (i > 0) {
            st_onnx_put_text(&message, ST_ONNX_NODE_INPUT, before);
        }
        for (const st_onnx_operand *at = step->operands; at->source != ST_ONNX_END && status == STRATA_OK; at++) {
            status = read_operand(&message, t, node, at, err);
        }
        if (status != STRATA_OK) {
            st_text_free(&message);
            return status;
        }
        before = inner != NULL ? inner : t->values[index];
        st_onnx_put_text(&message, ST_ONNX_NODE_OUTPUT, before);
        st_onnx_put_text(&message, ST_ONNX_NODE_NAME, inner != NULL ? inner : node->path);
        st_onnx_put_text(&message, ST_ONNX_NODE_OP_TYPE, step->op_type);
        for (const st_onnx_attribute *at = step->attributes; at->name != NULL; at++) {
            put_attribute(&message, at);
        }
        st_onnx_put_message(&t->net->nodes, ST_ONNX_GRAPH_NODE, &message);
    }
    return STRATA_OK;
}

/* Where the main output has rows and columns, or is the input itself. */
static void put_end(translation *t) {
    const st_graph *graph = t->net->graph;
    int last = graph->outputs[graph->main_output].node;
    if (strcmp(t->values[last], OUTPUT) == 0) {
        return;
    }
    st_text message = {0};
    st_onnx_put_text(&message, ST_ONNX_NODE_INPUT, t->values[last]);
    st_onnx_put_text(&message, ST_ONNX_NODE_OUTPUT, OUTPUT);
    st_onnx_put_text(&message, ST_ONNX_NODE_NAME, OUTPUT);
    st_onnx_put_text(&message, ST_ONNX_NODE_OP_TYPE, "Flatten");
    put_attribute(&message, &(st_onnx_attribute){.name = "axis", .ints = {1}});
    st_onnx_put_message(&t->net->nodes, ST_ONNX_GRAPH_NODE, &message);
}

strata_status st_onnx_translate(st_onnx_net *net, strata_error *err) {
    const st_graph *graph = net->graph;
    translation t = {.net = net};
    ST_TRY(st_arena_alloc(&t.is_needed, net->arena, (size_t)graph->node_count, sizeof *t.is_needed, err));
    ST_TRY(st_arena_alloc(&t.values, net->arena, (size_t)graph->node_count, sizeof *t.values, err));
    mark_needed(&t);
    ST_TRY(list_weights(&t, err));
    ST_TRY(name_values(&t, err));
    for (int n = 0; n < graph->node_count; n++) {
        if (t.is_needed[n]) {
            ST_TRY(put_layer(&t, n, err));
        }
    }
    put_end(&t);
    return STRATA_OK;
}
