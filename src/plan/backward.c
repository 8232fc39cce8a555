/* Which gradients are needed, who writes them first and who adds. A gradient is needed where something trained lies
 * before it: below frozen layers nothing is computed. */
#include "plan/plan.h"

typedef struct backward_state {
    st_planner *planner;
    bool *written; /* [values] something has contributed to the whole value */
} backward_state;

static bool has_slices(const st_slot *slot) {
    return slot->first_slice >= 0;
}

static bool value_needs_gradient(const st_plan *plan, int value) {
    bool needs = plan->slots[value].needs_gradient && !has_slices(&plan->slots[value]);
    for (int i = plan->slots[value].first_slice; i >= 0 && !needs; i = plan->slots[i].next_slice) {
        needs = value_needs_gradient(plan, i);
    }
    return needs;
}

static bool is_trained(const st_step *step) {
    if (step->output >= 0 || step->node->is_frozen) {
        return false;
    }
    for (int i = 0; i < ST_OP_STATES; i++) {
        if (step->node->state[i].count > 0 && step->node->state[i].spec->is_trained) {
            return true;
        }
    }
    return false;
}

static void find_needs(st_plan *plan) {
    for (int s = 0; s < plan->step_count; s++) {
        st_step *step = &plan->steps[s];
        if (step->output >= 0) {
            continue;
        }
        bool has_backward = step->impl->backward[0].run != NULL;
        step->dstate_needed = has_backward && is_trained(step);
        bool needs = step->dstate_needed;
        for (int k = 0; k < step->site.in_count; k++) {
            needs = needs || (has_backward && value_needs_gradient(plan, step->in[k]));
        }
        needs = needs || (step->residual >= 0 && value_needs_gradient(plan, step->residual));
        plan->slots[step->value].needs_gradient = needs;
    }
    for (int i = 0; i < plan->graph->node_count; i++) {
        if (has_slices(&plan->slots[i])) {
            plan->slots[i].needs_gradient = value_needs_gradient(plan, i);
        }
    }
}

static int root_of(const st_plan *plan, int value) {
    while (plan->slots[value].parent >= 0) {
        value = plan->slots[value].parent;
    }
    return value;
}

/* A slice that has readers besides its concat gets contributions of its own, in an order that need not cover the whole:
 * such a tree of slices is zeroed first. */
static void find_clears(st_plan *plan) {
    for (int s = 0; s < plan->step_count; s++) {
        const st_step *step = &plan->steps[s];
        for (int k = 0; k < step->site.in_count; k++) {
            if (plan->slots[step->in[k]].parent >= 0) {
                plan->slots[root_of(plan, step->in[k])].clear_gradient = true;
            }
        }
        if (step->residual >= 0 && plan->slots[step->residual].parent >= 0) {
            plan->slots[root_of(plan, step->residual)].clear_gradient = true;
        }
    }
}

static void mark_written(backward_state *state, int value) {
    const st_plan *plan = state->planner->plan;
    state->written[value] = true;
    for (int i = plan->slots[value].first_slice; i >= 0; i = plan->slots[i].next_slice) {
        mark_written(state, i);
    }
}

/* Notes one more contribution; true when it must be added to what is there. */
static bool contribute(backward_state *state, int value) {
    const st_plan *plan = state->planner->plan;
    bool add = state->written[value] || plan->slots[root_of(plan, value)].clear_gradient;
    mark_written(state, value);
    return add;
}

/* Numbers of one image from which a value is worth computing twice: 28 x 28 x 128. In ResNet-50 that is a tenth of the
 * memory for 2% of the time (docs/performance.md). */
enum { AGAIN_FROM = 28 * 28 * 128 };

static bool is_input(const st_step *step, int value) {
    for (int k = 0; k < step->site.in_count; k++) {
        if (step->in[k] == value) {
            return true;
        }
    }
    return false;
}

/* reads[value]: backward reads it. */
static strata_status find_read_values(bool **reads, st_planner *planner) {
    const st_plan *plan = planner->plan;
    ST_TRY(st_arena_alloc(reads, planner->scratch, (size_t)plan->graph->node_count, sizeof **reads, planner->err));
    for (int s = 0; s < plan->step_count; s++) {
        const st_step *step = &plan->steps[s];
        for (int k = 0; k < step->site.in_count && step->runs_backward && step->backward_reads_in; k++) {
            (*reads)[step->in[k]] = true;
        }
        if (step->value >= 0 && step->runs_backward && step->backward_reads_out) {
            (*reads)[step->value] = true;
        }
    }
    return STRATA_OK;
}

/* What the step's value is computed from is there when backward comes. */
static bool is_kept(const st_plan *plan, const bool *reads, const st_step *step) {
    bool kept = step->residual < 0 || (reads[step->residual] && !plan->slots[step->residual].is_again);
    for (int k = 0; k < step->site.in_count; k++) {
        kept = kept && !plan->slots[step->in[k]].is_again;
    }
    return kept;
}

/* Values that backward reads but that are cheap to compute again, such as batch norm with its rectifier. A shortcut
 * that comes in must be there anyway: of a row of residual blocks every other one is computed again. */
static strata_status find_agains(st_planner *planner) {
    const st_plan *plan = planner->plan;
    int64_t from = plan->options.again_from > 0 ? plan->options.again_from : AGAIN_FROM;
    bool *reads = NULL;
    ST_TRY(find_read_values(&reads, planner));
    for (int s = 0; s < plan->step_count; s++) {
        const st_step *step = &plan->steps[s];
        if (step->output >= 0 || step->impl->again == NULL || !step->runs_backward) {
            continue;
        }
        st_slot *slot = &plan->slots[step->value];
        slot->is_again = is_kept(plan, reads, step) && slot->parent < 0 && !has_slices(slot) &&
                         slot->dims.h * slot->dims.w * slot->dims.c >= from;
    }
    for (int i = 0; i < plan->graph->output_count; i++) {
        int value = plan->alias[plan->graph->outputs[i].node];
        if (value >= 0) {
            plan->slots[value].is_again = false; /* the caller reads it after the run */
        }
    }
    return STRATA_OK;
}

/* ---- gradients that take over the memory of others -------------------------------------------------------------- */

static bool is_plain(const st_plan *plan, int value) {
    const st_slot *slot = &plan->slots[value];
    return slot->parent < 0 && !has_slices(slot) && !slot->clear_gradient;
}

static bool may_take_over(const st_plan *plan, const st_step *step, int value) {
    st_dims a = plan->slots[value].dims, b = plan->slots[step->value].dims;
    return is_plain(plan, value) && is_plain(plan, step->value) && a.h == b.h && a.w == b.w && a.c == b.c;
}

/* Gradients of weights that wait for the end of backward read dout there. */
static bool reads_dout_late(const st_plan *plan, const st_step *step) {
    bool late = false;
    for (int p = 0; p < ST_OP_PHASES && step->impl->backward[p].run != NULL; p++) {
        late = late || step->impl->backward[p].only_states;
    }
    return plan->layout == ST_LAYOUT_LANES && late;
}

/* What a step hands back as it came, or written over in place, needs no memory of its own: the gradient behind an add
 * is that of its shortcut, as soon as the step is done with it, and others then add to it. */
static void share_gradients(st_plan *plan) {
    for (int s = 0; s < plan->step_count; s++) {
        st_step *step = &plan->steps[s];
        if (!step->runs_backward || step->value < 0 || reads_dout_late(plan, step)) {
            continue;
        }
        if (step->residual_needed) {
            step->residual_shared =
                !step->residual_add && !is_input(step, step->residual) && may_take_over(plan, step, step->residual);
            if (step->residual_shared) {
                plan->slots[step->residual].gradient_of = step->value;
            }
        } else if (step->impl->backward_in_place && step->site.in_count == 1 && step->din_needed[0] &&
                   !step->din_add[0] && may_take_over(plan, step, step->in[0])) {
            plan->slots[step->in[0]].gradient_of = step->value;
        }
    }
    /* Straight to the value that owns the memory, which comes later: a chain of thousands is as quick to follow as one.
     */
    for (int i = plan->graph->node_count - 1; i >= 0; i--) {
        st_slot *slot = &plan->slots[i];
        if (slot->gradient_of >= 0 && plan->slots[slot->gradient_of].gradient_of >= 0) {
            slot->gradient_of = plan->slots[slot->gradient_of].gradient_of;
        }
    }
}

/* Which steps need no pass of its own for a rectifier, and what backward reads. */
static void find_reads(st_plan *plan) {
    for (int s = 0; s < plan->step_count; s++) {
        st_step *step = &plan->steps[s];
        bool is_simple = step->activation == ST_ACTIVATION_NONE || step->activation == ST_ACTIVATION_RELU;
        step->site.activates_backward = step->impl->activates_backward && is_simple && step->runs_backward &&
                                        (!step->residual_needed || step->residual_shared);
        bool told_from_out = !step->site.activates_backward || step->residual >= 0;
        const st_impl *impl = step->impl;
        st_reads reads =
            impl->backward_reads_here != NULL ? impl->backward_reads_here(&step->site) : impl->backward_reads;
        step->backward_reads_in = (reads & ST_READS_IN) != 0;
        step->backward_reads_out =
            (reads & ST_READS_OUT) != 0 || (step->activation != ST_ACTIVATION_NONE && told_from_out);
    }
}

strata_status st_plan_backward(st_planner *planner) {
    st_plan *plan = planner->plan;
    backward_state state = {.planner = planner};
    ST_TRY(st_arena_alloc(&state.written, planner->scratch, (size_t)plan->graph->node_count, sizeof *state.written,
                          planner->err));
    bool training = plan->options.mode == ST_MODE_TRAIN;
    if (training) {
        find_needs(plan);
        find_clears(plan);
    }
    for (int s = plan->step_count - 1; s >= 0; s--) {
        st_step *step = &plan->steps[s];
        bool *needed = NULL, *add = NULL;
        size_t count = (size_t)step->site.in_count;
        ST_TRY(st_arena_alloc(&needed, planner->arena, count + 1, sizeof *needed, planner->err));
        ST_TRY(st_arena_alloc(&add, planner->arena, count + 1, sizeof *add, planner->err));
        bool has_gradient =
            step->output >= 0 || (plan->slots[step->value].needs_gradient && state.written[step->value]);
        step->runs_backward = training && has_gradient;
        step->dstate_needed = step->dstate_needed && step->runs_backward;
        if (step->runs_backward && step->residual >= 0 && value_needs_gradient(plan, step->residual)) {
            step->residual_needed = true;
            step->residual_add = contribute(&state, step->residual);
        }
        bool any = step->dstate_needed;
        for (size_t k = 0; k < count && step->runs_backward; k++) {
            needed[k] = step->impl->backward[0].run != NULL && value_needs_gradient(plan, step->in[k]);
            add[k] = needed[k] && contribute(&state, step->in[k]);
            any = any || needed[k];
        }
        step->runs_backward = step->runs_backward && (any || step->residual_needed);
        step->din_needed = needed;
        step->din_add = add;
        step->site.din_needed = needed;
        step->site.dstate_needed = step->dstate_needed;
    }
    if (training) {
        share_gradients(plan);
        find_reads(plan);
    }
    return training && !plan->options.keep_values ? find_agains(planner) : STRATA_OK;
}
