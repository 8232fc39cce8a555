/* The order in which Keras lists the layers of a model: farthest from the output first, and among those that are as
 * far, in the order in which a walk from the output finds them, which goes along the inputs of a layer one by one and
 * names a layer before what it reads. (Its _map_graph_network and _build_map.) So a shortcut's convolution does not
 * follow its block, as here, but stands beside the last convolution of the block: after it where the model adds [block,
 * shortcut], before it where it adds [shortcut, block], as Keras' own ResNets do. */
#include <stdlib.h>

#include "formats/keras.h"

typedef struct place {
    int node, depth, found;
} place;

static int compare(const void *a, const void *b) {
    const place *one = a, *two = b;
    if (one->depth != two->depth) {
        return one->depth > two->depth ? -1 : 1;
    }
    return one->found < two->found ? -1 : one->found > two->found;
}

/* A layer is as far as its farthest reader and one; what the output does not need is no reader. Nodes read earlier
 * ones. */
static void find_depths(place *places, const st_graph *graph) {
    for (int n = graph->node_count - 1; n >= 0; n--) {
        const st_node *node = &graph->nodes[n];
        for (int i = 0; places[n].found >= 0 && i < node->in_count; i++) {
            place *in = &places[node->in[i]];
            in->depth = in->depth > places[n].depth ? in->depth : places[n].depth + 1;
        }
    }
}

/* The walk, with a stack of its own: nets may be deep. */
static strata_status find_all(place *places, st_arena *arena, const st_graph *graph, bool shortcuts_first,
                              strata_error *err) {
    int *stack = NULL, depth = 0, found = 0;
    size_t most = 1;
    for (int n = 0; n < graph->node_count; n++) {
        places[n] = (place){.node = n, .found = -1};
        most += (size_t)graph->nodes[n].in_count; /* each edge is put there once */
    }
    ST_TRY(st_arena_alloc(&stack, arena, most, sizeof *stack, err));
    stack[depth++] = graph->outputs[graph->main_output].node;
    while (depth > 0) {
        int n = stack[--depth];
        const st_node *node = &graph->nodes[n];
        if (places[n].found >= 0) {
            continue;
        }
        places[n].found = found++;
        bool turns = shortcuts_first && (node->op->traits & ST_OP_IS_ADD) != 0;
        for (int i = 0; i < node->in_count; i++) {
            stack[depth++] = node->in[turns ? i : node->in_count - 1 - i];
        }
    }
    return STRATA_OK;
}

strata_status st_keras_order(int **out, size_t *count, st_arena *arena, const st_graph *graph, bool shortcuts_first,
                             strata_error *err) {
    place *places = NULL;
    int *order = NULL;
    size_t nodes = (size_t)graph->node_count;
    *count = 0;
    ST_TRY(st_arena_alloc(&places, arena, nodes, sizeof *places, err));
    ST_TRY(st_arena_alloc(&order, arena, nodes, sizeof *order, err));
    ST_TRY(find_all(places, arena, graph, shortcuts_first, err));
    find_depths(places, graph);
    qsort(places, nodes, sizeof *places, compare);
    for (size_t i = 0; i < nodes; i++) {
        const st_node *node = &graph->nodes[places[i].node];
        bool has_weights = false;
        for (int s = 0; s < ST_OP_STATES; s++) {
            has_weights = has_weights || node->state[s].count > 0;
        }
        if (places[i].found >= 0 && has_weights) {
            order[(*count)++] = places[i].node;
        }
    }
    *out = order;
    return STRATA_OK;
}
