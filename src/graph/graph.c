/* graph: from the tree to the finished graph: knobs, checks, expansion; then what only the whole net shows: values that
 * nobody reads, which output is the main one, which layers are frozen. */
#include <string.h>

#include "graph/build.h"

/* ---- the whole net ---- */

/* How far this text may unroll. */
static void set_limits(st_build *b) {
    const st_source *source = b->tree->network == NULL ? b->tree->source : b->tree->network_place.source;
    size_t layers = ST_BUILD_LAYERS + source->length / ST_BUILD_LAYER_BYTES;
    b->text_bytes = source->length;
    b->layer_limit = layers < ST_LANG_LAYER_LIMIT ? (int)layers : ST_LANG_LAYER_LIMIT;
    b->work_limit = (int64_t)b->layer_limit * ST_BUILD_WORK;
}

static strata_status check_network(const st_build *b) {
    const st_tree *tree = b->tree;
    if (tree->network == NULL) {
        st_place place = {tree->source, 1, 1};
        strata_status status =
            st_build_fail(b, NULL, place, STRATA_SYNTAX, "this file has no network, only what others include");
        st_error_hint(b->err, "network NAME { input 32x32x3, ..., output logits loss=cross_entropy }");
        return status;
    }
    return STRATA_OK;
}

static strata_status choose_output(const st_build *b, int *main_output) {
    *main_output = -1;
    for (int i = 0; i < b->output_count; i++) {
        *main_output = b->outputs[i].is_train_only ? *main_output : i;
    }
    if (*main_output >= 0) {
        return STRATA_OK;
    }
    strata_status status =
        st_build_fail(b, NULL, b->tree->network_place, STRATA_SYNTAX, "network %s has no output%s", b->tree->network,
                      b->output_count == 0 ? "" : ": those it has exist in training only");
    st_error_hint(b->err, "end its chain with: output logits loss=cross_entropy");
    return status;
}

/* The last of several in a row, as that is where the chain breaks off. */
static strata_status check_uses(const st_build *b) {
    for (int i = 0; i < b->node_count; i++) {
        const st_node *node = &b->nodes[i];
        if (node->use_count == 0) {
            strata_status status =
                st_build_fail(b, b->origins[i].frame, node->place, STRATA_SYNTAX,
                              "the value of this %s is never used: no layer and no output follows it", node->op->name);
            st_error_hint(b->err, "end the chain with an output, or remove it");
            return status;
        }
    }
    return STRATA_OK;
}

/* ---- freeze ---- */

static bool is_under(const char *path, const char *scope) {
    size_t length = strlen(scope);
    return strncmp(path, scope, length) == 0 && (path[length] == '\0' || path[length] == '.');
}

/* A path and the scopes around it as candidates for "did you mean": distinct first parts and whole paths. */
static void hint_path(const st_build *b, const char *wanted) {
    const char *names[512];
    size_t count = 0;
    for (int i = 0; i < b->node_count && count < ST_COUNT_OF(names); i++) {
        const st_node *node = &b->nodes[i];
        bool is_new = node->block[0] != '\0' && (count == 0 || names[count - 1] != node->block);
        if (is_new) {
            names[count++] = node->block;
        }
        if (node->state[0].count > 0 && count < ST_COUNT_OF(names)) {
            names[count++] = node->path;
        }
    }
    st_build_nearest(b, wanted, names, count);
}

static strata_status check_path(const st_build *b, const char *path, st_place place) {
    bool exists = false, has_weights = false;
    for (int i = 0; i < b->node_count; i++) {
        if (is_under(b->nodes[i].path, path)) {
            exists = true;
            for (int j = 0; j < ST_OP_STATES; j++) {
                has_weights = has_weights || b->nodes[i].state[j].count > 0;
            }
        }
    }
    if (exists && has_weights) {
        return STRATA_OK;
    }
    st_fail_at(b->err, STRATA_MISSING, place,
               exists ? "freeze: there are no weights under '%s'" : "freeze: there is no layer or group '%s'", path);
    hint_path(b, path);
    return STRATA_MISSING;
}

static strata_status apply_freeze(st_build *b, const st_freeze *freeze) {
    for (size_t j = 0; j < freeze->path_count; j++) {
        ST_TRY(st_build_work(b, NULL, freeze->places[j], (size_t)b->node_count / ST_BUILD_PATHS));
        ST_TRY(check_path(b, freeze->paths[j], freeze->places[j]));
    }
    for (int i = 0; i < b->node_count; i++) {
        bool is_named = false;
        for (size_t j = 0; j < freeze->path_count; j++) {
            is_named = is_named || is_under(b->nodes[i].path, freeze->paths[j]);
        }
        b->nodes[i].is_frozen = b->nodes[i].is_frozen || is_named != freeze->all_except;
    }
    return STRATA_OK;
}

static strata_status apply_freezes(st_build *b, const char *more) {
    const st_freeze *freeze;
    for (freeze = b->tree->freezes; freeze != NULL; freeze = freeze->next) {
        ST_TRY(apply_freeze(b, freeze));
    }
    ST_TRY(st_lang_freeze(&freeze, b->arena, more, b->err));
    return freeze == NULL ? STRATA_OK : apply_freeze(b, freeze);
}

/* ---- the result ---- */

const st_output *st_graph_narrowest(const st_graph *graph) {
    const st_output *found = NULL;
    for (int i = 0; i < graph->output_count; i++) {
        const st_output *output = &graph->outputs[i];
        if (output->loss != NULL &&
            (found == NULL || graph->nodes[output->node].out.c < graph->nodes[found->node].out.c)) {
            found = output;
        }
    }
    return found;
}

const char *st_graph_input_keys(const st_graph *graph) {
    const char *sizes = strchr(graph->nodes[0].text, ' ');
    const char *keys = sizes != NULL ? strchr(sizes + 1, ' ') : NULL;
    return keys != NULL ? keys + 1 : "";
}

static void read_normalization(st_graph *graph) {
    const st_input_params *params = graph->nodes[0].params;
    graph->input = graph->nodes[0].out;
    graph->input_line = params;
    graph->has_normalization = params->mean.count > 0 || params->std.count > 0;
    for (int i = 0; i < (int)ST_COUNT_OF(graph->mean); i++) {
        int mean = params->mean.count == 1 ? 0 : i, std = params->std.count == 1 ? 0 : i;
        graph->mean[i] = mean < params->mean.count ? params->mean.values[mean] : 0;
        graph->deviation[i] = std < params->std.count ? params->std.values[std] : 1;
    }
}

static strata_status finish(const st_graph **out, st_build *b, int main_output) {
    st_graph *graph;
    ST_TRY(st_arena_alloc(&graph, b->arena, 1, sizeof(*graph), b->err));
    *graph = (st_graph){.name = b->tree->network,
                        .description = b->tree->description,
                        .nodes = b->nodes,
                        .node_count = b->node_count,
                        .outputs = b->outputs,
                        .output_count = b->output_count,
                        .main_output = main_output};
    read_normalization(graph);
    ST_TRY(st_build_list_knobs(graph, b));
    *out = graph;
    return STRATA_OK;
}

strata_status st_graph_build(const st_graph **out, st_arena *arena, const st_tree *tree, const char *settings,
                             const char *freeze, strata_error *err) {
    st_build b = {.arena = arena, .err = err, .tree = tree};
    int main_output;
    *out = NULL;
    set_limits(&b);
    while (st_layer_table[b.op_count] != NULL) {
        b.op_count++;
    }
    ST_TRY(st_arena_alloc(&b.standards, arena, (size_t)b.op_count + 1, sizeof(*b.standards), err));
    ST_TRY(st_arena_alloc(&b.outputs, arena, ST_BUILD_OUTPUTS, sizeof(*b.outputs), err));
    ST_TRY(st_build_knobs(&b, settings));
    ST_TRY(check_network(&b));
    ST_TRY(st_build_check(&b));
    ST_TRY(st_build_expand(&b));
    ST_TRY(choose_output(&b, &main_output));
    ST_TRY(check_uses(&b));
    ST_TRY(apply_freezes(&b, freeze));
    ST_TRY(st_build_inits(&b));
    return finish(out, &b, main_output);
}
