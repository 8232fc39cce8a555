/* expand: the tree unrolled to nodes in the order of the text, which is an order in which they can run. Blocks are
 * called, repeats repeated, conditions decided; every node gets its path, its inputs and its shape at once, so the
 * first thing that does not fit is the first that is reported.
 *
 * A value is the node that makes it. A chain passes one value from step to step; NONE before the input. */
#include <string.h>

#include "graph/build.h"

enum { NONE = -1 };

static strata_status expand_chain(st_build *b, const st_frame *frame, st_scope *scope, const st_syntax *chain,
                                  int *value);

/* ---- names ---- */

static size_t hash_of(const char *text) {
    uint64_t hash = 1469598103934665603U; /* FNV-1a */
    for (; *text != '\0'; text++) {
        hash = (hash ^ (unsigned char)*text) * 1099511628211U;
    }
    return (size_t)(hash ^ (hash >> 32));
}

/* The entry with this path, or the free one where it belongs. */
static st_name *find_name(st_name *names, size_t capacity, const char *path) {
    size_t i = hash_of(path) & (capacity - 1);
    while (names[i].path != NULL && strcmp(names[i].path, path) != 0) {
        i = (i + 1) & (capacity - 1);
    }
    return &names[i];
}

static strata_status grow_names(st_build *b) {
    if (2 * (b->name_count + 1) <= b->name_capacity) {
        return STRATA_OK;
    }
    size_t capacity = b->name_capacity == 0 ? 256 : 2 * b->name_capacity;
    st_name *names;
    ST_TRY(st_arena_alloc(&names, b->arena, capacity, sizeof(*names), b->err));
    for (size_t i = 0; i < b->name_capacity; i++) {
        if (b->names[i].path != NULL) {
            *find_name(names, capacity, b->names[i].path) = b->names[i];
        }
    }
    b->names = names;
    b->name_capacity = capacity;
    return STRATA_OK;
}

/* "scope.name", "scope.7". */
static strata_status join_path(const char **out, st_build *b, const st_scope *scope, const char *name, int number) {
    char *path;
    const char *dot = scope->path[0] == '\0' ? "" : ".";
    ST_TRY(name == NULL  ? st_arena_printf(&path, b->arena, b->err, "%s%s%d", scope->path, dot, number)
           : number <= 1 ? st_arena_printf(&path, b->arena, b->err, "%s%s%s", scope->path, dot, name)
                         : st_arena_printf(&path, b->arena, b->err, "%s%s%s%d", scope->path, dot, name, number));
    *out = path;
    return STRATA_OK;
}

/* A name for a node that does not count: its word, with a number where that is taken. The word's own entry remembers
 * the number used last, so that many of them cost no search. */
static strata_status free_path(const char **out, st_build *b, const st_scope *scope, const char *word) {
    ST_TRY(join_path(out, b, scope, word, 1));
    st_name *first = find_name(b->names, b->name_capacity, *out);
    if (first->path == NULL) {
        return STRATA_OK;
    }
    do {
        first->suffix = first->suffix < 2 ? 2 : first->suffix + 1;
        ST_TRY(join_path(out, b, scope, word, first->suffix));
    } while (find_name(b->names, b->name_capacity, *out)->path != NULL);
    return STRATA_OK;
}

static strata_status add_automatic(const char **out, st_build *b, const st_scope *scope, const st_syntax *step) {
    ST_TRY(grow_names(b));
    ST_TRY(free_path(out, b, scope, step->name));
    *find_name(b->names, b->name_capacity, *out) =
        (st_name){.path = *out, .value = b->node_count, .place = step->place};
    b->name_count++;
    return STRATA_OK;
}

/* Another name for a node whose own a label takes. */
static strata_status rename_automatic(st_build *b, const st_scope *scope, int node) {
    const char *path;
    ST_TRY(free_path(&path, b, scope, b->nodes[node].op->name));
    *find_name(b->names, b->name_capacity, path) =
        (st_name){.path = path, .value = node, .place = b->nodes[node].place};
    b->name_count++;
    b->nodes[node].path = path;
    return STRATA_OK;
}

static strata_status add_label(const char **out, st_build *b, const st_frame *frame, const st_scope *scope,
                               const st_syntax *step) {
    ST_TRY(grow_names(b));
    ST_TRY(join_path(out, b, scope, step->label, 0));
    st_name *name = find_name(b->names, b->name_capacity, *out);
    if (name->path != NULL && name->is_label) {
        return st_build_fail(b, frame, step->place, STRATA_SYNTAX, "label '%s' is taken already, at line %d%s",
                             step->label, name->place.line,
                             name->place.line == step->place.line ? ": a label inside repeat needs a group around it"
                                                                  : "");
    }
    if (name->path != NULL) { /* a label is the stronger: the node that was called so gets another name */
        int node = name->value;
        *name = (st_name){.path = *out, .value = NONE, .is_label = true, .suffix = name->suffix, .place = step->place};
        return rename_automatic(b, scope, node);
    }
    *name = (st_name){.path = *out, .value = NONE, .is_label = true, .place = step->place};
    b->name_count++;
    return STRATA_OK;
}

/* The path of a step that counts: its label, else its number. */
static strata_status step_path(const char **out, st_build *b, const st_frame *frame, st_scope *scope,
                               const st_syntax *step) {
    ST_TRY(step->label != NULL ? add_label(out, b, frame, scope, step)
                               : join_path(out, b, scope, NULL, scope->next_number++));
    if (strlen(*out) > ST_BUILD_PATH_LIMIT) {
        return st_build_fail(b, frame, step->place, STRATA_SYNTAX, "the path of this step is longer than %d characters",
                             ST_BUILD_PATH_LIMIT);
    }
    return STRATA_OK;
}

static void set_label(st_build *b, const st_syntax *step, const char *path, int value) {
    if (step->label != NULL) {
        find_name(b->names, b->name_capacity, path)->value = value;
    }
}

/* ---- nodes ---- */

static strata_status grow_nodes(st_build *b) {
    if (b->node_count < b->node_capacity) {
        return STRATA_OK;
    }
    int capacity = b->node_capacity == 0 ? 64 : 2 * b->node_capacity;
    st_node *nodes;
    st_origin *origins;
    ST_TRY(st_arena_alloc(&nodes, b->arena, (size_t)capacity, sizeof(*nodes), b->err));
    ST_TRY(st_arena_alloc(&origins, b->arena, (size_t)capacity, sizeof(*origins), b->err));
    if (b->node_count > 0) {
        memcpy(nodes, b->nodes, (size_t)b->node_count * sizeof(*nodes));
        memcpy(origins, b->origins, (size_t)b->node_count * sizeof(*origins));
    }
    b->nodes = nodes;
    b->origins = origins;
    b->node_capacity = capacity;
    return STRATA_OK;
}

strata_status st_build_work(st_build *b, const st_frame *frame, st_place place, size_t units) {
    b->work += (int64_t)units;
    if (b->work > b->work_limit) {
        return st_build_fail(b, frame, place, STRATA_SYNTAX,
                             "the net unrolls to more than %lld steps and values, the most for a text of %zu bytes",
                             (long long)b->work_limit, b->text_bytes);
    }
    return STRATA_OK;
}

static const st_frame *outermost(const st_frame *frame) {
    while (frame != NULL && frame->outer != NULL) {
        frame = frame->outer;
    }
    return frame;
}

static strata_status add_node(int *out, st_build *b, const st_frame *frame, const st_scope *scope, const char *path,
                              const st_syntax *step, int op_index, const int *in, int in_count) {
    if (b->node_count == b->layer_limit) {
        return st_build_fail(b, frame, step->name_place, STRATA_SYNTAX,
                             "the net has more than %d layers, the most for a text of %zu bytes", b->layer_limit,
                             b->text_bytes);
    }
    ST_TRY(grow_nodes(b));
    const st_frame *call = outermost(frame);
    st_node *node = &b->nodes[b->node_count];
    *node = (st_node){.op = st_layer_table[op_index],
                      .path = path,
                      .scopes = scope->words,
                      .block = scope->outermost,
                      .place = step->name_place,
                      .depth = scope->depth,
                      .in = in,
                      .in_count = in_count,
                      .is_train_only = b->is_train_only};
    if (call != NULL) {
        node->call = call->call;
    }
    ST_TRY(st_bind(&node->params, &node->text, b, frame, op_index, step));
    b->origins[b->node_count] = (st_origin){.frame = frame, .step = step};
    ST_TRY(st_build_infer(b, b->node_count));
    for (int i = 0; i < in_count; i++) {
        b->nodes[in[i]].use_count++;
    }
    *out = b->node_count++;
    return STRATA_OK;
}

/* ---- layers ---- */

static strata_status expand_lanes(st_build *b, const st_frame *frame, st_scope *scope, const st_syntax *step, int value,
                                  int **in, int *in_count) {
    size_t count = 0;
    for (const st_lane *lane = step->lanes; lane != NULL; lane = lane->next) {
        count++;
    }
    ST_TRY(st_arena_alloc(in, b->arena, count, sizeof(**in), b->err));
    *in_count = 0;
    for (const st_lane *lane = step->lanes; lane != NULL; lane = lane->next) {
        bool is_kept = true;
        ST_TRY(st_build_work(b, frame, lane->place, 1));
        if (lane->condition != NULL) {
            ST_TRY(st_build_condition(&is_kept, b, frame, lane->condition));
        }
        if (is_kept) {
            int result = value;
            ST_TRY(expand_chain(b, frame, scope, lane->chain, &result));
            (*in)[(*in_count)++] = result;
        }
    }
    if (*in_count == 0) {
        return st_build_fail(b, frame, step->name_place, STRATA_SYNTAX, "%s: no branch is left, all conditions are no",
                             step->name);
    }
    return STRATA_OK;
}

static strata_status check_input(st_build *b, const st_frame *frame, const st_syntax *step, bool is_input, int value) {
    if (is_input && b->node_count > 0) {
        return st_build_fail(b, frame, step->name_place, STRATA_SYNTAX,
                             "a net has one input, and this one has it at line %d", b->nodes[0].place.line);
    }
    if (!is_input && value == NONE) {
        strata_status status = st_build_fail(b, frame, step->name_place, STRATA_SYNTAX,
                                             "a net begins with its input, found '%s'", step->name);
        st_error_hint(b->err, "for example: input 32x32x3");
        return status;
    }
    return STRATA_OK;
}

/* A node or none: identity is its input, and so is a merge of one branch. */
static strata_status expand_op(st_build *b, const st_frame *frame, st_scope *scope, const st_syntax *step, int op_index,
                               int *value) {
    const st_op *op = st_layer_table[op_index];
    const char *path = NULL;
    bool is_input = (op->traits & ST_OP_IS_INPUT) != 0, is_merge = (op->traits & ST_OP_IS_MERGE) != 0;
    bool is_identity = (op->traits & ST_OP_IS_IDENTITY) != 0 && (op->traits & ST_OP_IS_FLATTEN) == 0;
    int *in, in_count = is_input ? 0 : 1;
    bool counts = !is_input && !is_merge && !is_identity;
    ST_TRY(check_input(b, frame, step, is_input, *value));
    if (counts || step->label != NULL) {
        ST_TRY(step_path(&path, b, frame, scope, step));
    }
    if (is_merge) {
        ST_TRY(expand_lanes(b, frame, scope, step, *value, &in, &in_count));
    } else {
        ST_TRY(st_arena_alloc(&in, b->arena, 1, sizeof(*in), b->err));
        in[0] = *value;
    }
    bool makes_node = !is_identity && !(is_merge && in_count == 1);
    if (path == NULL && makes_node) {
        ST_TRY(add_automatic(&path, b, scope, step));
    }
    b->before = *value;
    *value = in[0];
    if (makes_node) {
        ST_TRY(add_node(value, b, frame, scope, path, step, op_index, in, in_count));
    }
    set_label(b, step, path, *value);
    return STRATA_OK;
}

/* ---- blocks ---- */

static strata_status bind_frame(st_frame **out, st_build *b, const st_frame *outer, const st_syntax *step,
                                const st_block *block) {
    const st_arg *found[ST_BUILD_ARGS] = {NULL};
    size_t count = 0;
    for (const st_param_decl *param = block->params; param != NULL; param = param->next) {
        count++;
    }
    ST_TRY(st_bind_match_block(b, outer, block, step, found));
    ST_TRY(st_arena_alloc(out, b->arena, 1, sizeof(**out), b->err));
    ST_TRY(st_arena_alloc(&(*out)->values, b->arena, count, sizeof(st_value), b->err));
    (*out)->outer = outer;
    (*out)->block = block;
    (*out)->call = step->name_place;
    for (const st_param_decl *param = block->params; param != NULL; param = param->next) {
        int index = (*out)->bound;
        const st_arg *arg = found[index];
        ST_TRY(arg != NULL ? st_build_value(&(*out)->values[index], b, outer, arg->value)
                           : st_build_value(&(*out)->values[index], b, *out, param->value));
        (*out)->bound++;
    }
    return STRATA_OK;
}

/* `word`: of the block, "" for a group. */
static strata_status open_scope(st_scope *out, st_build *b, const st_scope *scope, const char *path, const char *word) {
    char *words;
    ST_TRY(st_arena_printf(&words, b->arena, b->err, "%s%s%s", scope->words, scope->depth == 0 ? "" : ".", word));
    *out = (st_scope){.path = path,
                      .outermost = scope->depth == 0 ? path : scope->outermost,
                      .words = words,
                      .depth = scope->depth + 1};
    return STRATA_OK;
}

static strata_status expand_block(st_build *b, const st_frame *frame, st_scope *scope, const st_syntax *step,
                                  const st_block *block, int *value) {
    const char *path;
    st_frame *called;
    if (b->call_depth == ST_BUILD_CALL_LIMIT) {
        return st_build_fail(b, frame, step->name_place, STRATA_SYNTAX, "blocks call each other more than %d deep",
                             ST_BUILD_CALL_LIMIT);
    }
    ST_TRY(check_input(b, frame, step, false, *value));
    ST_TRY(st_build_work(b, frame, step->place, ST_BUILD_CALL_WORK + strlen(scope->words) / ST_BUILD_WORD_BYTES));
    ST_TRY(step_path(&path, b, frame, scope, step));
    ST_TRY(bind_frame(&called, b, frame, step, block));
    st_scope inner;
    ST_TRY(open_scope(&inner, b, scope, path, block->name));
    b->call_depth++;
    ST_TRY(expand_chain(b, called, &inner, block->chain, value));
    b->call_depth--;
    set_label(b, step, path, *value);
    return STRATA_OK;
}

/* ---- groups, side chains, conditions ---- */

static strata_status expand_group(st_build *b, const st_frame *frame, st_scope *scope, const st_syntax *step,
                                  int *value) {
    const char *path;
    if (step->label == NULL) {
        return expand_chain(b, frame, scope, step->chain, value);
    }
    ST_TRY(step_path(&path, b, frame, scope, step));
    st_scope inner;
    ST_TRY(open_scope(&inner, b, scope, path, ""));
    ST_TRY(expand_chain(b, frame, &inner, step->chain, value));
    set_label(b, step, path, *value);
    return STRATA_OK;
}

static strata_status expand_side(st_build *b, const st_frame *frame, st_scope *scope, const st_syntax *step,
                                 int value) {
    st_step_words words;
    bool was_train_only = b->is_train_only;
    ST_TRY(st_bind_words(&words, b, frame, step));
    ST_TRY(check_input(b, frame, &(st_syntax){.name = "side", .name_place = step->name_place}, false, value));
    b->is_train_only = was_train_only || words.is_train_only;
    ST_TRY(expand_group(b, frame, scope, step, &value));
    b->is_train_only = was_train_only;
    return STRATA_OK;
}

static strata_status expand_repeat(st_build *b, const st_frame *frame, st_scope *scope, const st_syntax *step,
                                   int *value) {
    int64_t count;
    ST_TRY(st_build_count(&count, b, frame, step->condition));
    for (int64_t i = 0; i < count; i++) {
        ST_TRY(st_build_work(b, frame, step->place, 1));
        ST_TRY(expand_chain(b, frame, scope, step->chain, value));
    }
    return STRATA_OK;
}

static strata_status expand_if(st_build *b, const st_frame *frame, st_scope *scope, const st_syntax *step, int *value) {
    bool holds;
    ST_TRY(st_build_condition(&holds, b, frame, step->condition));
    return expand_chain(b, frame, scope, holds ? step->chain : step->otherwise, value);
}

/* ---- output and take ---- */

static strata_status check_loss(st_build *b, const st_origin *origin, const st_step_words *words, int value,
                                const st_op **loss) {
    *loss = NULL;
    if (words->loss == NULL) {
        return STRATA_OK;
    }
    int op_index = st_build_op_index(words->loss);
    if (op_index < 0 || (st_layer_table[op_index]->traits & ST_OP_IS_LOSS) == 0) {
        const char *names[16];
        size_t count = 0;
        for (int i = 0; i < b->op_count && count < ST_COUNT_OF(names); i++) {
            if ((st_layer_table[i]->traits & ST_OP_IS_LOSS) != 0) {
                names[count++] = st_layer_table[i]->name;
            }
        }
        strata_status status = st_build_fail(b, origin->frame, words->loss_place, STRATA_SYNTAX,
                                             "there is no loss named '%s'", words->loss);
        st_build_nearest(b, words->loss, names, count);
        return status;
    }
    const st_node *node = &b->nodes[value];
    if ((node->op->traits & ST_OP_GIVES_PROBABILITIES) != 0) {
        strata_status status = st_build_fail(b, origin->frame, words->loss_place, STRATA_SYNTAX,
                                             "%s takes logits, but this value is a softmax", words->loss);
        st_error_hint(b->err, "leave out the softmax: %s contains it, and predictions are softmaxed anyway",
                      words->loss);
        return status;
    }
    *loss = st_layer_table[op_index];
    return st_build_infer_loss(b, origin, op_index, value);
}

static strata_status expand_output(st_build *b, const st_frame *frame, const st_syntax *step, int value) {
    st_origin origin = {.frame = frame, .step = step};
    st_step_words words;
    const st_op *loss;
    ST_TRY(check_input(b, frame, &(st_syntax){.name = "output", .name_place = step->place}, false, value));
    ST_TRY(st_bind_words(&words, b, frame, step));
    if (b->output_count == ST_BUILD_OUTPUTS) {
        return st_build_fail(b, frame, step->place, STRATA_SYNTAX, "a net has at most %d outputs", ST_BUILD_OUTPUTS);
    }
    for (int i = 0; i < b->output_count; i++) {
        if (strcmp(b->outputs[i].name, step->name) == 0) {
            return st_build_fail(b, frame, step->name_place, STRATA_SYNTAX,
                                 "there is an output '%s' already, at line %d", step->name, b->outputs[i].place.line);
        }
    }
    ST_TRY(check_loss(b, &origin, &words, value, &loss));
    b->outputs[b->output_count++] = (st_output){.name = step->name,
                                                .node = value,
                                                .loss = loss,
                                                .weight = words.weight,
                                                .is_train_only = b->is_train_only,
                                                .place = step->place};
    b->nodes[value].use_count++;
    return STRATA_OK;
}

/* The nearest label of the scope, or where a label of that name is. */
static void hint_label(const st_build *b, const st_scope *scope, const char *wanted) {
    const char *names[64];
    size_t count = 0, prefix = strlen(scope->path) + (scope->path[0] != '\0');
    for (size_t i = 0; i < b->name_capacity && count < ST_COUNT_OF(names); i++) {
        const char *path = b->names[i].path;
        if (path == NULL || !b->names[i].is_label) {
            continue;
        }
        const char *last = strrchr(path, '.');
        last = last == NULL ? path : last + 1;
        if ((size_t)(last - path) == prefix && memcmp(path, scope->path, strlen(scope->path)) == 0) {
            names[count++] = last;
        } else if (strcmp(last, wanted) == 0) {
            st_error_hint(b->err, "take reaches labels of its own scope; '%s' is in another", path);
            return;
        }
    }
    st_build_nearest(b, wanted, names, count);
}

static strata_status expand_take(st_build *b, const st_frame *frame, const st_scope *scope, const st_syntax *step,
                                 int *value) {
    const char *path;
    ST_TRY(grow_names(b));
    ST_TRY(join_path(&path, b, scope, step->name, 0));
    const st_name *name = find_name(b->names, b->name_capacity, path);
    if (name->path == NULL || !name->is_label || name->value == NONE) {
        bool is_open = name->path != NULL && name->is_label;
        strata_status status = is_open ? st_build_fail(b, frame, step->name_place, STRATA_SYNTAX,
                                                       "'%s' is not done yet: a net has no loops", step->name)
                                       : st_build_fail(b, frame, step->name_place, STRATA_SYNTAX,
                                                       "there is no label '%s' before this in %s%s", step->name,
                                                       scope->path[0] == '\0' ? "the network" : "scope ", scope->path);
        if (!is_open) {
            hint_label(b, scope, step->name);
        }
        return status;
    }
    if (b->nodes[name->value].is_train_only && !b->is_train_only) {
        return st_build_fail(b, frame, step->name_place, STRATA_SYNTAX, "'%s' exists in training only", step->name);
    }
    *value = name->value;
    return STRATA_OK;
}

/* ---- chains ---- */

static strata_status expand_layer(st_build *b, const st_frame *frame, st_scope *scope, const st_syntax *step,
                                  int *value) {
    int op_index = st_build_op_index(step->name);
    return op_index >= 0 ? expand_op(b, frame, scope, step, op_index, value)
                         : expand_block(b, frame, scope, step, st_build_block(b, step->name), value);
}

static strata_status expand_step(st_build *b, const st_frame *frame, st_scope *scope, const st_syntax *step,
                                 int *value) {
    switch (step->kind) {
    case ST_STEP_LAYER:
        return expand_layer(b, frame, scope, step, value);
    case ST_STEP_GROUP:
        return expand_group(b, frame, scope, step, value);
    case ST_STEP_SIDE:
        return expand_side(b, frame, scope, step, *value);
    case ST_STEP_REPEAT:
        return expand_repeat(b, frame, scope, step, value);
    case ST_STEP_IF:
        return expand_if(b, frame, scope, step, value);
    case ST_STEP_OUTPUT:
        return expand_output(b, frame, step, *value);
    case ST_STEP_TAKE:
        return expand_take(b, frame, scope, step, value);
    }
    return STRATA_OK;
}

static strata_status expand_chain(st_build *b, const st_frame *frame, st_scope *scope, const st_syntax *chain,
                                  int *value) {
    if (chain != NULL && b->depth == ST_BUILD_DEPTH_LIMIT) {
        return st_build_fail(b, frame, chain->place, STRATA_SYNTAX, "blocks and groups are nested deeper than %d",
                             ST_BUILD_DEPTH_LIMIT);
    }
    b->depth++;
    for (const st_syntax *step = chain; step != NULL; step = step->next) {
        ST_TRY(st_build_work(b, frame, step->place, 1));
        ST_TRY(expand_step(b, frame, scope, step, value));
    }
    b->depth--;
    return STRATA_OK;
}

strata_status st_build_expand(st_build *b) {
    st_scope scope = {.path = "", .outermost = "", .words = ""};
    int value = NONE;
    return expand_chain(b, NULL, &scope, b->tree->chain, &value);
}
