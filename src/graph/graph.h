/* graph: syntax tree to graph. Blocks, repeats and branches are unrolled, parameters checked, shapes inferred. Each
 * node has one value, so a value is named by its node's index. Nodes are in an order in which they can run. */
#ifndef ST_GRAPH_H
#define ST_GRAPH_H

#include "graph/op.h"
#include "lang/lang.h"

typedef struct st_state {
    const char *path; /* "layer1.0.conv2.weight" */
    const st_state_spec *spec;
    st_state_dims dims;
    size_t count; /* elements, published order; 0: does not exist */
    st_init init; /* how it begins: init=, else what suits the activation that follows, else the spec's */
} st_state;

typedef struct st_node {
    const st_op *op;
    const char *path; /* "layer1.0.conv2"; for nodes that do not count (input, merges, identity): "input", or the scope
                         and the layer's word and a number that makes it unique: "layer1.0.add" */
    const char *text; /* "conv 5x5 6", values resolved, unwritten defaults left out */
    const char
        *scopes; /* for each scope of the path the word of the block that made it, "" for a group: ".bottleneck" */
    const char *block;    /* for folding: path of the outermost block call or labelled group it came from, or "" */
    st_place place, call; /* in the text; the outermost block call that led here (source NULL: none) */
    int depth;            /* scopes around it */
    void *params;
    const int *in; /* nodes */
    int in_count;
    st_dims out;
    bool is_flat, is_train_only, is_frozen;
    st_state state[ST_OP_STATES];
    int64_t multiply_adds, receptive_field, receptive_stride;
    int use_count; /* nodes and outputs that read the value */
} st_node;

typedef struct st_output {
    const char *name; /* "logits" */
    int node;
    const st_op *loss; /* a layer that IS_LOSS; NULL: none */
    double weight;
    bool is_train_only;
    st_place place;
} st_output;

typedef struct st_graph {
    const char *name, *description;
    const strata_knob *knobs;
    int knob_count;
    st_node *nodes;
    int node_count;
    st_output *outputs; /* the main one is the last that is not train-only; main_output is its index */
    int output_count, main_output;
    st_dims input;
    const st_input_params *input_line;
    double mean[4], deviation[4]; /* of the input line, per channel; 0 and 1 where it says nothing */
    bool has_normalization;
} st_graph;

/* `settings`: "name=value name=value" or NULL; `freeze`: more paths, "conv1 layer1", or NULL. Everything lives in the
 * arena, which must also hold the tree. */
strata_status st_graph_build(const st_graph **out, st_arena *arena, const st_tree *tree, const char *settings,
                             const char *freeze, strata_error *err);
/* What stands behind the sizes of the input line, "" where nothing does; lent by the graph. */
const char *st_graph_input_keys(const st_graph *graph);
/* One layer's help (all of it) or the table of all (name NULL), into `text`. */
strata_status st_graph_help(st_text *text, const char *name, strata_error *err);
/* The output with a loss that has the fewest classes, side heads included: all losses share the labels, which must be
 * below that number. NULL: there is no loss. */
const st_output *st_graph_narrowest(const st_graph *graph);
const st_op *st_graph_find_op(const char *name); /* NULL: none */
/* The element of an initial weight with this index (published order): a function of seed, the state's path and index.
 */
st_real st_graph_initial(const st_graph *graph, const st_node *node, int state, uint64_t seed, size_t index);
/* All initial values of a state at once. */
void st_graph_initialize(const st_graph *graph, const st_node *node, int state, uint64_t seed, st_real *out);
/* [nodes] Values at which a net can be cut in two: nothing behind one reads what is before it but the value itself, and
 * the main output is behind it. Lives in `arena`. */
strata_status st_graph_cuts(bool **out, st_arena *arena, const st_graph *graph, strata_error *err);
/* The part behind the value of node `cut`, its input; cut -1: all of it. Paths and specs are the graph's, which must
 * outlive it. is_trained: [nodes of the graph], the others are frozen. */
strata_status st_graph_slice(st_graph **out, st_arena *arena, const st_graph *graph, int cut, const bool *is_trained,
                             strata_error *err);

#endif
