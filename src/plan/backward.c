/* Which gradients are needed, who writes them first and who adds. A gradient is needed where something trained lies
 * before it: below frozen layers nothing is computed. */
#include "plan/plan.h"

typedef struct backward_state {
    st_planner *planner;
    bool *written; /* [values] something has contributed to the whole value */
} backward_state;

static bool value_needs_gradient(const st_plan *plan, int value) {
    if (plan->slots[value].child_count == 0) {
        return plan->slots[value].needs_gradient;
    }
    for (int i = 0; i < plan->graph->node_count; i++) {
        if (plan->slots[i].parent == value && value_needs_gradient(plan, i)) {
            return true;
        }
    }
    return false;
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
        if (plan->slots[i].child_count > 0) {
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
    for (int i = 0; plan->slots[value].child_count > 0 && i < plan->graph->node_count; i++) {
        if (plan->slots[i].parent == value) {
            mark_written(state, i);
        }
    }
}

/* Notes one more contribution; true when it must be added to what is there. */
static bool contribute(backward_state *state, int value) {
    const st_plan *plan = state->planner->plan;
    bool add = state->written[value] || plan->slots[root_of(plan, value)].clear_gradient;
    mark_written(state, value);
    return add;
}

strata_status st_plan_backward(st_planner *planner) {
    st_plan *plan = planner->plan;
    backward_state state = {.planner = planner};
    ST_TRY(st_arena_alloc(&state.written, planner->arena, (size_t)plan->graph->node_count, sizeof *state.written,
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
    return STRATA_OK;
}
