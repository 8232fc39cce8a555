/* slice: a net in two parts. Where one single value separates what comes before from what follows, the part behind it
 * is a graph of its own, whose input is that value: same layers, same paths, same names of weights. Transfer learning
 * runs the part before once and trains the part behind it (train/tuning.c). */
#include "graph/graph.h"

#include <string.h>

/* Does nothing, or nothing in inference: behind a cut it keeps its meaning in training. */
static bool is_transparent(const st_node *node) {
    return (node->op->traits & (ST_OP_IS_TRAIN_ONLY | ST_OP_IS_FLATTEN | ST_OP_IS_IDENTITY)) != 0;
}

static const st_op *input_op(void) {
    const st_op *const *op = st_layer_table;
    while (((*op)->traits & ST_OP_IS_INPUT) == 0) {
        op++;
    }
    return *op;
}

strata_status st_graph_cuts(bool **out, st_arena *arena, const st_graph *graph, strata_error *err) {
    int *last_reader = NULL, main_node = graph->outputs[graph->main_output].node;
    size_t count = (size_t)graph->node_count;
    ST_TRY(st_arena_alloc(out, arena, count, sizeof **out, err));
    ST_TRY(st_arena_alloc(&last_reader, arena, count, sizeof *last_reader, err));
    for (int i = 0; i < graph->node_count; i++) {
        for (int k = 0; k < graph->nodes[i].in_count; k++) {
            last_reader[graph->nodes[i].in[k]] = i;
        }
    }
    int reach = 0; /* the last reader of any value before */
    for (int i = 0; i < graph->node_count; i++) {
        const st_node *node = &graph->nodes[i];
        bool is_input = (node->op->traits & ST_OP_IS_INPUT) != 0;
        (*out)[i] = !is_input && !node->is_train_only && !is_transparent(node) && reach <= i && i < main_node;
        reach = last_reader[i] > reach ? last_reader[i] : reach;
    }
    return STRATA_OK;
}

static strata_status copy_nodes(st_graph *slice, st_arena *arena, const st_graph *graph, int cut, strata_error *err) {
    int first = cut < 0 ? 0 : cut; /* the node whose place the new input takes */
    slice->node_count = graph->node_count - first;
    ST_TRY(st_arena_alloc(&slice->nodes, arena, (size_t)slice->node_count, sizeof *slice->nodes, err));
    memcpy(slice->nodes, graph->nodes + first, (size_t)slice->node_count * sizeof *slice->nodes);
    for (int i = 1; i < slice->node_count; i++) {
        st_node *node = &slice->nodes[i];
        int *in = NULL;
        ST_TRY(st_arena_alloc(&in, arena, (size_t)node->in_count + 1, sizeof *in, err));
        for (int k = 0; k < node->in_count; k++) {
            in[k] = node->in[k] - first;
        }
        node->in = in;
    }
    if (cut >= 0) {
        const st_node *from = &graph->nodes[cut];
        slice->nodes[0] = (st_node){.op = input_op(),
                                    .path = "input",
                                    .text = "input",
                                    .scopes = "",
                                    .block = "",
                                    .place = from->place,
                                    .params = graph->nodes[0].params,
                                    .out = from->out,
                                    .is_flat = from->is_flat,
                                    .use_count = from->use_count};
    }
    return STRATA_OK;
}

static strata_status copy_outputs(st_graph *slice, st_arena *arena, const st_graph *graph, int cut, strata_error *err) {
    int first = cut < 0 ? 0 : cut;
    slice->output_count = 0;
    ST_TRY(st_arena_alloc(&slice->outputs, arena, (size_t)graph->output_count, sizeof *slice->outputs, err));
    for (int i = 0; i < graph->output_count; i++) {
        if (graph->outputs[i].node > cut) {
            slice->main_output = i == graph->main_output ? slice->output_count : slice->main_output;
            slice->outputs[slice->output_count] = graph->outputs[i];
            slice->outputs[slice->output_count++].node -= first;
        }
    }
    return STRATA_OK;
}

strata_status st_graph_slice(st_graph **out, st_arena *arena, const st_graph *graph, int cut, const bool *is_trained,
                             strata_error *err) {
    st_graph *slice = NULL;
    *out = NULL;
    ST_TRY(st_arena_alloc(&slice, arena, 1, sizeof *slice, err));
    *slice = *graph;
    ST_TRY(copy_nodes(slice, arena, graph, cut, err));
    ST_TRY(copy_outputs(slice, arena, graph, cut, err));
    for (int i = 0; i < slice->node_count; i++) {
        slice->nodes[i].is_frozen = !is_trained[graph->node_count - slice->node_count + i];
    }
    slice->input = slice->nodes[0].out;
    *out = slice;
    return STRATA_OK;
}
