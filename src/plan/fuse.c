/* Nodes to steps. A node becomes a step of its own, or part of the step before it (activation, folded batch norm,
 * residual add), or nothing at all (identity, dropout at inference, flatten before fc). The inputs of a concat become
 * slices of its result where every reader can step over the other channels. */
#include "plan/plan.h"

/* A value with few channels wastes most of a vector in NHWC; with some, image lanes are still ahead where a row of 16
 * images stays in L1, if there are 16. The rule looks at shapes alone, so that results do not depend on the machine;
 * docs/performance.md has what it is worth. */
enum { FEW_CHANNELS = 16, SOME_CHANNELS = 64, SOME_ROW = 512 };

typedef struct fuse_state {
    st_planner *planner;
    int *uses;        /* [nodes] readers of a node in this mode */
    int *reads;       /* [values] readers of a value, aliases counted through */
    bool *needs_flat; /* [nodes] read as flat by a layer, or as an output, that does not take spatial values for it */
    bool *is_taken_whole; /* [values] see find_taken_whole */
    int *seen_by;         /* [values] the last concat that had this among its inputs; 0, the net's input, is none */
} fuse_state;

static bool has_side_heads(const st_plan *plan) {
    return plan->options.mode == ST_MODE_TRAIN && !plan->options.as_inference;
}

/* Accuracy is measured on the main output: inference leaves the other losses out, unless they are asked for. */
static bool counts_loss(const st_plan *plan, int output) {
    bool is_there = has_side_heads(plan) || !plan->graph->outputs[output].is_train_only;
    return is_there &&
           (plan->options.mode == ST_MODE_TRAIN || plan->options.as_inference || output == plan->graph->main_output);
}

static bool is_alive(const st_plan *plan, const st_node *node) {
    return has_side_heads(plan) || !node->is_train_only;
}

static strata_status make_site(st_planner *planner, const st_node *node, const int *in_values, st_site *site) {
    const st_plan *plan = planner->plan;
    st_dims *in = NULL;
    bool *in_flat = NULL;
    st_state_dims *state = NULL;
    size_t in_count = (size_t)node->in_count;
    ST_TRY(st_arena_alloc(&in, planner->arena, in_count + 1, sizeof *in, planner->err));
    ST_TRY(st_arena_alloc(&in_flat, planner->arena, in_count + 1, sizeof *in_flat, planner->err));
    ST_TRY(st_arena_alloc(&state, planner->arena, ST_OP_STATES, sizeof *state, planner->err));
    for (size_t i = 0; i < in_count; i++) {
        const st_node *source = &plan->graph->nodes[in_values[i]];
        in[i] = source->out;
        in_flat[i] = source->is_flat;
    }
    for (int i = 0; i < ST_OP_STATES; i++) {
        state[i] = node->state[i].dims;
    }
    *site = (st_site){.params = node->params,
                      .kernels = plan->options.kernels,
                      .mode = plan->options.mode,
                      .batch = plan->options.batch,
                      .total = plan->options.mode == ST_MODE_TRAIN ? plan->options.total : 0,
                      .threads = plan->options.threads,
                      .in_count = node->in_count,
                      .in = in,
                      .in_flat = in_flat,
                      .out = node->out,
                      .state = state,
                      .layout = plan->layout,
                      .frozen = node->is_frozen,
                      .stream = st_rng_stream_name(ST_STREAM_DROPOUT, node->path),
                      .loss_weight = 1.0};
    return STRATA_OK;
}

/* ---- layout ----------------------------------------------------------------------------------------------------- */

static bool serves_lanes(const st_op *op) {
    return (op->traits & (ST_OP_IS_INPUT | ST_OP_IS_IDENTITY)) != 0 || op->impl[ST_LAYOUT_LANES] != NULL;
}

/* A step in pieces runs in the layout in which it would run whole. */
static bool suits_lanes(const st_plan *plan, st_dims dims) {
    const st_plan_options *options = &plan->options;
    bool has_many = options->batch >= ST_LANES || options->total >= ST_LANES;
    return dims.c <= FEW_CHANNELS || (dims.c <= SOME_CHANNELS && dims.w * dims.c <= SOME_ROW && has_many);
}

static void choose_layout(st_plan *plan) {
    if (plan->options.layout != NULL) {
        plan->layout = *plan->options.layout;
        return;
    }
    plan->layout = ST_LAYOUT_NHWC;
    bool has_spatial = false;
    for (int i = 0; i < plan->graph->node_count; i++) {
        const st_node *node = &plan->graph->nodes[i];
        bool is_spatial = node->out.h > 1 || node->out.w > 1;
        if ((is_spatial && !suits_lanes(plan, node->out)) || !serves_lanes(node->op)) {
            return;
        }
        has_spatial = has_spatial || is_spatial;
    }
    for (int i = 0; i < plan->graph->output_count; i++) {
        const st_op *loss = plan->graph->outputs[i].loss;
        if (loss != NULL && loss->impl[ST_LAYOUT_LANES] == NULL) {
            return;
        }
    }
    plan->layout = has_spatial ? ST_LAYOUT_LANES : ST_LAYOUT_NHWC;
}

/* Pieces of a step begin with a whole block of 16 images, as they would in the whole step: a block takes its memory
 * anyway. Not where a layer mixes the images of a piece: it is to see as many as it was told. */
static void round_pieces(st_plan *plan) {
    st_plan_options *options = &plan->options;
    bool mixes = false;
    for (int i = 0; i < plan->graph->node_count; i++) {
        const st_node *node = &plan->graph->nodes[i];
        mixes = mixes || ((node->op->traits & ST_OP_MIXES_IMAGES) != 0 && !node->is_frozen);
    }
    if (options->total > 0 && plan->layout == ST_LAYOUT_LANES && !mixes) {
        options->batch = st_layout_items(plan->layout, options->batch) * ST_LANES;
    }
    options->total = options->total > options->batch ? options->total : 0;
}

/* ---- nodes to steps --------------------------------------------------------------------------------------------- */

static void alias_node(fuse_state *state, int node, int value) {
    state->planner->plan->alias[node] = value;
    state->reads[value] += state->uses[node] - 1;
}

/* The step that makes a value and can still take something into its epilogue; NULL: none. */
static st_step *open_step(const fuse_state *state, int value) {
    st_plan *plan = state->planner->plan;
    int index = plan->slots[value].step;
    if (index < 0 || state->reads[value] != 1) {
        return NULL;
    }
    st_step *step = &plan->steps[index];
    return step->impl->fuses_epilogue && step->activation == ST_ACTIVATION_NONE ? step : NULL;
}

static bool fuse_add(fuse_state *state, int index) {
    st_plan *plan = state->planner->plan;
    const st_node *node = &plan->graph->nodes[index];
    if (node->in_count != 2) {
        return false;
    }
    int a = plan->alias[node->in[0]], b = plan->alias[node->in[1]];
    if (plan->slots[a].step < plan->slots[b].step) {
        int swap = a;
        a = b;
        b = swap;
    }
    st_step *host = open_step(state, a);
    if (a == b || host == NULL || host->residual >= 0) {
        return false;
    }
    host->residual = b;
    alias_node(state, index, a);
    return true;
}

/* True when the node became part of something that exists. */
static bool absorb(fuse_state *state, int index) {
    st_plan *plan = state->planner->plan;
    const st_node *node = &plan->graph->nodes[index];
    uint32_t traits = node->op->traits;
    bool infer = plan->options.mode == ST_MODE_INFER;
    if (node->in_count == 0) {
        return false;
    }
    int value = plan->alias[node->in[0]];
    bool is_view = (traits & ST_OP_IS_IDENTITY) != 0 || (infer && (traits & ST_OP_IS_TRAIN_ONLY) != 0);
    if ((traits & ST_OP_IS_FLATTEN) != 0) {
        st_dims dims = plan->slots[value].dims;
        is_view = is_view || (dims.h == 1 && dims.w == 1) || !state->needs_flat[index];
    }
    if ((traits & ST_OP_IS_VIEW_OF_EQUAL) != 0) {
        st_dims in = plan->graph->nodes[node->in[0]].out, out = node->out;
        is_view = is_view || (in.h == out.h && in.w == out.w && in.c == out.c);
    }
    if (is_view) {
        alias_node(state, index, value);
        return true;
    }
    if (plan->options.keep_values) {
        return false;
    }
    if ((traits & ST_OP_IS_ADD) != 0) {
        return fuse_add(state, index);
    }
    st_step *step = open_step(state, value);
    if (step == NULL) {
        return false;
    }
    if (node->op->activation != ST_ACTIVATION_NONE) {
        step->activation = node->op->activation;
        alias_node(state, index, value);
        return true;
    }
    if (infer && (traits & ST_OP_IS_AFFINE) != 0 && step->affine == NULL && step->residual < 0 &&
        (step->node->op->traits & ST_OP_IS_AFFINE) == 0) {
        step->affine = node;
        alias_node(state, index, value);
        return true;
    }
    return false;
}

/* At inference a layer that may write over its input does, where nobody else reads it. */
static void share_memory(fuse_state *state, const st_step *step) {
    st_plan *plan = state->planner->plan;
    if (plan->options.mode != ST_MODE_INFER || plan->options.keep_values || !step->impl->forward_in_place ||
        step->site.in_count != 1 || state->reads[step->in[0]] != 1) {
        return;
    }
    /* Straight to the value that owns the memory: a chain of a thousand such layers is as quick to follow as one. */
    int root = plan->slots[step->in[0]].parent >= 0 ? plan->slots[step->in[0]].parent : step->in[0];
    plan->slots[step->value].parent = root;
}

static strata_status add_step(fuse_state *state, int index) {
    st_planner *planner = state->planner;
    st_plan *plan = planner->plan;
    const st_node *node = &plan->graph->nodes[index];
    plan->alias[index] = index;
    state->reads[index] = state->uses[index];
    plan->slots[index].dims = node->out;
    if ((node->op->traits & ST_OP_IS_INPUT) != 0) {
        return STRATA_OK;
    }
    int *in = NULL;
    ST_TRY(st_arena_alloc(&in, planner->arena, (size_t)node->in_count + 1, sizeof *in, planner->err));
    for (int k = 0; k < node->in_count; k++) {
        in[k] = plan->alias[node->in[k]];
    }
    st_step *step = &plan->steps[plan->step_count];
    *step = (st_step){
        .node = node, .impl = node->op->impl[plan->layout], .value = index, .in = in, .residual = -1, .output = -1};
    if (step->impl == NULL) {
        return st_fail_at(planner->err, STRATA_UNSUPPORTED, node->place, "%s cannot run yet", node->op->name);
    }
    ST_TRY(make_site(planner, node, in, &step->site));
    plan->slots[index].step = plan->step_count++;
    share_memory(state, step);
    return STRATA_OK;
}

static strata_status add_loss(fuse_state *state, int output_index) {
    st_planner *planner = state->planner;
    st_plan *plan = planner->plan;
    const st_output *output = &plan->graph->outputs[output_index];
    int *in = NULL;
    st_dims *dims = NULL;
    bool *flat = NULL;
    st_state_dims *states = NULL;
    ST_TRY(st_arena_alloc(&in, planner->arena, 1, sizeof *in, planner->err));
    ST_TRY(st_arena_alloc(&dims, planner->arena, 1, sizeof *dims, planner->err));
    ST_TRY(st_arena_alloc(&flat, planner->arena, 1, sizeof *flat, planner->err));
    ST_TRY(st_arena_alloc(&states, planner->arena, ST_OP_STATES, sizeof *states, planner->err));
    in[0] = plan->alias[output->node];
    dims[0] = plan->slots[in[0]].dims;
    flat[0] = true;
    st_step *step = &plan->steps[plan->step_count++];
    *step = (st_step){.node = &plan->graph->nodes[output->node],
                      .impl = output->loss->impl[plan->layout],
                      .value = -1,
                      .in = in,
                      .residual = -1,
                      .output = output_index};
    step->site = (st_site){.kernels = plan->options.kernels,
                           .mode = plan->options.mode,
                           .batch = plan->options.batch,
                           .threads = plan->options.threads,
                           .in_count = 1,
                           .in = dims,
                           .in_flat = flat,
                           .out = dims[0],
                           .state = states,
                           .layout = plan->layout,
                           .loss_weight = output->weight};
    return STRATA_OK;
}

/* ---- concat ----------------------------------------------------------------------------------------------------- */

static bool is_concat(const st_step *step) {
    return step->output < 0 && (step->node->op->traits & ST_OP_IS_CONCAT) != 0;
}

/* Marks in state->is_taken_whole the values with a reader that cannot step over the other channels. */
static void find_taken_whole(fuse_state *state) {
    const st_plan *plan = state->planner->plan;
    for (int s = 0; s < plan->step_count; s++) {
        const st_step *step = &plan->steps[s];
        for (int k = 0; k < step->site.in_count && !is_concat(step) && !step->impl->reads_strided; k++) {
            state->is_taken_whole[step->in[k]] = true;
        }
    }
}

static bool can_slice(fuse_state *state, const st_step *concat) {
    const st_plan *plan = state->planner->plan;
    for (int k = 0; k < concat->site.in_count; k++) {
        int value = concat->in[k];
        const st_slot *slot = &plan->slots[value];
        bool comes_twice = state->seen_by[value] == concat->value;
        state->seen_by[value] = concat->value;
        if (comes_twice || slot->parent >= 0 || slot->step < 0 || !plan->steps[slot->step].impl->writes_strided ||
            state->is_taken_whole[value]) {
            return false;
        }
    }
    return true;
}

/* Its inputs to slices, in order; it is no step any more. */
static void slice(st_plan *plan, const st_step *concat) {
    st_slot *whole = &plan->slots[concat->value];
    int64_t channel = whole->dims.c;
    for (int k = concat->site.in_count - 1; k >= 0; k--) {
        st_slot *slot = &plan->slots[concat->in[k]];
        channel -= slot->dims.c;
        slot->parent = concat->value;
        slot->channel_offset = channel;
        slot->next_slice = whole->first_slice;
        whole->first_slice = concat->in[k];
    }
    whole->step = -1;
}

static void slice_concats(fuse_state *state) {
    st_plan *plan = state->planner->plan;
    int kept = 0;
    find_taken_whole(state);
    for (int s = 0; s < plan->step_count; s++) {
        st_step *step = &plan->steps[s];
        if (is_concat(step) && can_slice(state, step)) {
            slice(plan, step);
            continue;
        }
        if (kept != s) {
            plan->steps[kept] = *step;
        }
        if (plan->steps[kept].value >= 0) {
            plan->slots[plan->steps[kept].value].step = kept;
        }
        kept++;
    }
    plan->step_count = kept;
}

static strata_status allocate(fuse_state *state) {
    st_planner *planner = state->planner;
    st_plan *plan = planner->plan;
    size_t count = (size_t)plan->graph->node_count, most_steps = count + (size_t)plan->graph->output_count;
    ST_TRY(st_arena_alloc(&plan->alias, planner->arena, count, sizeof *plan->alias, planner->err));
    ST_TRY(st_arena_alloc(&plan->slots, planner->arena, count, sizeof *plan->slots, planner->err));
    ST_TRY(st_arena_alloc(&plan->steps, planner->arena, most_steps, sizeof *plan->steps, planner->err));
    ST_TRY(st_arena_alloc(&state->uses, planner->scratch, count, sizeof *state->uses, planner->err));
    ST_TRY(st_arena_alloc(&state->reads, planner->scratch, count, sizeof *state->reads, planner->err));
    ST_TRY(st_arena_alloc(&state->needs_flat, planner->scratch, count, sizeof *state->needs_flat, planner->err));
    ST_TRY(
        st_arena_alloc(&state->is_taken_whole, planner->scratch, count, sizeof *state->is_taken_whole, planner->err));
    return st_arena_alloc(&state->seen_by, planner->scratch, count, sizeof *state->seen_by, planner->err);
}

static void count_uses(fuse_state *state) {
    const st_plan *plan = state->planner->plan;
    const st_graph *graph = plan->graph;
    for (int i = 0; i < graph->node_count; i++) {
        const st_node *node = &graph->nodes[i];
        for (int k = 0; k < node->in_count; k++) {
            state->uses[node->in[k]] += is_alive(plan, node);
            state->needs_flat[node->in[k]] |= (node->op->traits & ST_OP_TAKES_SPATIAL_AS_FLAT) == 0;
        }
    }
    for (int i = 0; i < graph->output_count; i++) {
        int node = graph->outputs[i].node;
        state->uses[node] += is_alive(plan, &graph->nodes[node]);
        state->needs_flat[node] = true;
    }
}

strata_status st_plan_fuse(st_planner *planner) {
    st_plan *plan = planner->plan;
    const st_graph *graph = plan->graph;
    fuse_state state = {.planner = planner};
    ST_TRY(allocate(&state));
    choose_layout(plan);
    round_pieces(plan);
    count_uses(&state);
    for (int i = 0; i < graph->node_count; i++) {
        plan->slots[i] = (st_slot){
            .parent = -1, .step = -1, .gradient_of = -1, .first_slice = -1, .next_slice = -1, .dtype = ST_DTYPE_REAL};
        plan->alias[i] = -1;
    }
    for (int i = 0; i < graph->node_count; i++) {
        if (is_alive(plan, &graph->nodes[i]) && !absorb(&state, i)) {
            ST_TRY(add_step(&state, i));
        }
    }
    for (int i = 0; i < graph->output_count; i++) {
        if (graph->outputs[i].loss != NULL && counts_loss(plan, i)) {
            ST_TRY(add_loss(&state, i));
        }
    }
    slice_concats(&state);
    return STRATA_OK;
}
