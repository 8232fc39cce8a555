/* Which layers a regime of transfer learning trains, and where the net can be cut in two so that the part before the
 * cut runs only once. Depth is counted as the papers do: layers with weights on the longest way from the input. */
#include <string.h>

#include "train/tuning.h"

static bool has_weights(const st_node *node) {
    for (int i = 0; i < ST_OP_STATES; i++) {
        if (node->state[i].count > 0 && node->state[i].spec->is_trained) {
            return true;
        }
    }
    return false;
}

/* A convolution or a dense layer; not batch normalization. */
static bool adds_depth(const st_node *node) {
    return has_weights(node) && (node->op->traits & ST_OP_IS_AFFINE) == 0;
}

/* ---- the head --------------------------------------------------------------------------------------------------- */

/* [nodes] What the main output is computed from. */
static strata_status find_needed(bool **out, st_arena *arena, const st_graph *graph, strata_error *err) {
    ST_TRY(st_arena_alloc(out, arena, (size_t)graph->node_count, sizeof **out, err));
    (*out)[graph->outputs[graph->main_output].node] = true;
    for (int i = graph->node_count - 1; i >= 0; i--) {
        for (int k = 0; (*out)[i] && k < graph->nodes[i].in_count; k++) {
            (*out)[graph->nodes[i].in[k]] = true;
        }
    }
    return STRATA_OK;
}

static int last_layer(const st_graph *graph, const bool *needed) {
    int last = -1;
    for (int i = 0; i < graph->node_count; i++) {
        last = needed[i] && adds_depth(&graph->nodes[i]) ? i : last;
    }
    return last;
}

strata_status st_regime_heads(bool **out, st_arena *arena, const st_graph *graph, strata_error *err) {
    bool *needed = NULL;
    ST_TRY(find_needed(&needed, arena, graph, err));
    ST_TRY(st_arena_alloc(out, arena, (size_t)graph->node_count, sizeof **out, err));
    int last = last_layer(graph, needed);
    for (int i = 0; i < graph->node_count; i++) {
        const st_node *node = &graph->nodes[i];
        (*out)[i] = has_weights(node) && (node->is_train_only || (last >= 0 && i >= last && needed[i]));
    }
    return STRATA_OK;
}

/* ---- the second half -------------------------------------------------------------------------------------------- */

/* Characters of the path that name the outermost block which the layer came from; 0: from none. */
static size_t block_length(const st_node *node) {
    size_t at = 0;
    for (const char *word = node->scopes;; word++) {
        at += strcspn(node->path + at, ".");
        if (*word != '.' && *word != '\0') {
            return at;
        }
        if (*word == '\0' || node->path[at] == '\0') {
            return 0;
        }
        at++;
    }
}

static bool ends_block(const st_node *node, const st_node *next) {
    size_t a = block_length(node), b = block_length(next);
    return a == 0 || a != b || strncmp(node->path, next->path, a) != 0;
}

static strata_status find_half(int *half, st_arena *arena, const st_graph *graph, strata_error *err) {
    int *depth = NULL;
    bool *cuts = NULL;
    ST_TRY(st_arena_alloc(&depth, arena, (size_t)graph->node_count, sizeof *depth, err));
    ST_TRY(st_graph_cuts(&cuts, arena, graph, err));
    for (int i = 0; i < graph->node_count; i++) {
        for (int k = 0; k < graph->nodes[i].in_count; k++) {
            int before = depth[graph->nodes[i].in[k]];
            depth[i] = before > depth[i] ? before : depth[i];
        }
        depth[i] += adds_depth(&graph->nodes[i]);
    }
    int all = depth[graph->outputs[graph->main_output].node], nearest = 0;
    *half = -1;
    for (int i = 0; i + 1 < graph->node_count; i++) {
        if (!cuts[i] || depth[i] == 0 || depth[i] == all || !ends_block(&graph->nodes[i], &graph->nodes[i + 1])) {
            continue;
        }
        int distance = 2 * depth[i] > all ? 2 * depth[i] - all : all - 2 * depth[i];
        if (*half < 0 || distance < nearest || (distance == nearest && depth[i] == depth[*half])) {
            *half = i; /* of equal depth the last: what has no weights belongs to the half before it */
            nearest = distance;
        }
    }
    ST_FAIL_IF(*half < 0, err, STRATA_MISSING, "there is no place where %s could be cut in half: name layers instead",
               graph->name);
    return STRATA_OK;
}

/* ---- paths ------------------------------------------------------------------------------------------------------ */

static bool is_under(const char *path, const char *scope, size_t length) {
    return strncmp(path, scope, length) == 0 && (path[length] == '\0' || path[length] == '.');
}

static strata_status fail_path(const st_graph *graph, const char *wanted, size_t length, bool exists,
                               strata_error *err) {
    const char *names[512];
    char word[128];
    size_t count = 0;
    st_text_printable(word, sizeof word, wanted, length);
    strata_status status = st_fail(
        err, STRATA_MISSING, exists ? "there are no weights under '%s'" : "there is no layer or group '%s'", word);
    for (int i = 0; i < graph->node_count && count < ST_COUNT_OF(names); i++) {
        if (has_weights(&graph->nodes[i])) {
            names[count++] = graph->nodes[i].path;
        }
    }
    const char *near = st_text_nearest(word, names, count);
    if (near != NULL) {
        st_error_hint(err, "did you mean '%s'?", near);
    }
    return status;
}

static strata_status add_paths(bool *trained, const st_graph *graph, const char *words, strata_error *err) {
    for (const char *at = words + strspn(words, " ,"); *at != '\0'; at += strspn(at, " ,")) {
        size_t length = strcspn(at, " ,");
        bool exists = false, found = false;
        for (int i = 0; i < graph->node_count; i++) {
            const st_node *node = &graph->nodes[i];
            if (is_under(node->path, at, length)) {
                exists = true;
                found = found || has_weights(node);
                trained[i] = true;
            }
        }
        if (!found) {
            return fail_path(graph, at, length, exists, err);
        }
        at += length;
    }
    return STRATA_OK;
}

/* ---- all together ----------------------------------------------------------------------------------------------- */

static strata_status mark_wanted(st_regime *out, st_arena *arena, const st_graph *graph, const char *words,
                                 strata_error *err) {
    if (strcmp(words, "head") == 0 || strcmp(words, "all") == 0) {
        for (int i = 0; i < graph->node_count; i++) {
            out->trained[i] = words[0] == 'a' || (out->head[i] && !graph->nodes[i].is_train_only);
        }
        return STRATA_OK;
    }
    if (strcmp(words, "second-half") == 0) {
        int half = -1;
        ST_TRY(find_half(&half, arena, graph, err));
        for (int i = half + 1; i < graph->node_count; i++) {
            out->trained[i] = true;
        }
        return STRATA_OK;
    }
    return add_paths(out->trained, graph, words, err);
}

/* A side head is trained where something before it is, and fixed where nothing is. */
static strata_status mark_side_heads(st_regime *out, st_arena *arena, const st_graph *graph, strata_error *err) {
    bool *moves = NULL; /* [nodes] the value does, in training */
    ST_TRY(st_arena_alloc(&moves, arena, (size_t)graph->node_count, sizeof *moves, err));
    for (int i = 0; i < graph->node_count; i++) {
        const st_node *node = &graph->nodes[i];
        for (int k = 0; k < node->in_count; k++) {
            moves[i] = moves[i] || moves[node->in[k]];
        }
        out->trained[i] = has_weights(node) && !node->is_frozen && (node->is_train_only ? moves[i] : out->trained[i]);
        moves[i] = moves[i] || out->trained[i];
    }
    return STRATA_OK;
}

static strata_status find_cut(st_regime *out, st_arena *arena, const st_graph *graph, const st_plan *infer,
                              strata_error *err) {
    bool *cuts = NULL;
    ST_TRY(st_graph_cuts(&cuts, arena, graph, err));
    out->cut = -1;
    for (int i = 0; i < graph->node_count && !out->trained[i]; i++) {
        out->cut = cuts[i] && st_plan_has_value(infer, i) ? i : out->cut;
    }
    return STRATA_OK;
}

static void count_trained(st_regime *out, const st_graph *graph) {
    out->first = out->last = -1;
    for (int i = 0; i < graph->node_count; i++) {
        const st_node *node = &graph->nodes[i];
        if (!out->trained[i] || node->is_train_only) {
            continue;
        }
        out->first = out->first < 0 ? i : out->first;
        out->last = i;
        out->layer_count++;
        for (int k = 0; k < ST_OP_STATES; k++) {
            bool counts = node->state[k].count > 0 && node->state[k].spec->is_trained;
            out->parameter_count += counts ? (int64_t)node->state[k].count : 0;
        }
    }
}

strata_status st_regime_find(st_regime *out, st_arena *arena, const st_graph *graph, const st_plan *infer,
                             const char *words, strata_error *err) {
    *out = (st_regime){.cut = -1};
    ST_TRY(st_arena_alloc(&out->trained, arena, (size_t)graph->node_count, sizeof *out->trained, err));
    ST_TRY(st_regime_heads(&out->head, arena, graph, err));
    ST_TRY(mark_wanted(out, arena, graph, words, err));
    ST_TRY(mark_side_heads(out, arena, graph, err));
    ST_TRY(find_cut(out, arena, graph, infer, err));
    count_trained(out, graph);
    ST_FAIL_IF(out->layer_count == 0, err, STRATA_INVALID,
               "nothing is left to train: the network itself freezes all of it");
    return STRATA_OK;
}
