/* Tasks in their order, and segments: runs of tasks that need no wait between them. */
#include "plan/plan.h"

static void add_task(st_plan *plan, st_task_kind kind, int step, int phase, bool by_image, bool joins) {
    bool starts_new = false;
    if (plan->task_count > 0) {
        const st_task *before = &plan->tasks[plan->task_count - 1];
        starts_new = !(joins || (by_image && before->by_image));
    }
    plan->segment_count += starts_new || plan->task_count == 0 ? 1 : 0;
    plan->tasks[plan->task_count++] =
        (st_task){.kind = kind, .step = step, .phase = phase, .by_image = by_image, .segment = plan->segment_count - 1};
}

static void schedule_forward(st_plan *plan) {
    bool first = true;
    for (int s = 0; s < plan->step_count; s++) {
        if (plan->steps[s].affine != NULL) {
            add_task(plan, ST_TASK_FOLD, s, 0, false, !first);
            first = false;
        }
    }
    add_task(plan, ST_TASK_PICTURES, -1, 0, true, false);
    for (int s = 0; s < plan->step_count; s++) {
        const st_phase *phases = plan->steps[s].impl->forward;
        for (int p = 0; p < ST_OP_PHASES && phases[p].run != NULL; p++) {
            add_task(plan, ST_TASK_FORWARD, s, p, phases[p].by_image, false);
        }
    }
    plan->forward_task_count = plan->task_count;
}

static void clear_once(st_plan *plan, bool *cleared, int value) {
    while (plan->slots[value].parent >= 0) {
        value = plan->slots[value].parent;
    }
    if (plan->slots[value].clear_gradient && !cleared[value]) {
        cleared[value] = true;
        add_task(plan, ST_TASK_CLEAR, value, 0, true, false);
    }
}

/* Gradients of weights wait for the end in the image-lane layout, all layers together: what works image by image then
 * runs through without a stop, and small nets are bound by stops. */
static bool is_deferred(const st_plan *plan, const st_phase *phase) {
    return plan->layout == ST_LAYOUT_LANES && phase->only_states;
}

static void schedule_step_backward(st_plan *plan, int s, bool *cleared) {
    const st_step *step = &plan->steps[s];
    if (step->residual_needed) {
        clear_once(plan, cleared, step->residual);
    }
    for (int k = 0; k < step->site.in_count; k++) {
        if (step->din_needed[k]) {
            clear_once(plan, cleared, step->in[k]);
        }
    }
    if (step->activation != ST_ACTIVATION_NONE || step->residual_needed) {
        add_task(plan, ST_TASK_EPILOGUE, s, 0, true, false);
    }
    for (int p = 0; p < ST_OP_PHASES && step->impl->backward[p].run != NULL; p++) {
        if (!is_deferred(plan, &step->impl->backward[p])) {
            add_task(plan, ST_TASK_BACKWARD, s, p, step->impl->backward[p].by_image, false);
        }
    }
}

static void schedule_backward(st_plan *plan, bool *cleared) {
    for (int s = plan->step_count - 1; s >= 0; s--) {
        if (plan->steps[s].runs_backward) {
            schedule_step_backward(plan, s, cleared);
        }
    }
    for (int p = 0; p < ST_OP_PHASES; p++) {
        bool joins = false; /* same place in different layers: independent of each other */
        for (int s = plan->step_count - 1; s >= 0; s--) {
            const st_step *step = &plan->steps[s];
            const st_phase *phase = &step->impl->backward[p];
            if (step->runs_backward && phase->run != NULL && is_deferred(plan, phase)) {
                add_task(plan, ST_TASK_BACKWARD, s, p, false, joins);
                joins = true;
            }
        }
    }
}

strata_status st_plan_schedule(st_planner *planner) {
    st_plan *plan = planner->plan;
    for (int s = 0; s < plan->step_count; s++) {
        st_step *step = &plan->steps[s];
        if (step->impl->prepare != NULL) {
            strata_status status = step->impl->prepare(&step->site, &step->needs, planner->err);
            if (status != STRATA_OK) {
                st_error_prepend(planner->err, "%s: ", step->node->path);
                return status;
            }
        }
        plan->thread_bytes =
            step->needs.thread_bytes > plan->thread_bytes ? step->needs.thread_bytes : plan->thread_bytes;
    }
    size_t most = (size_t)plan->step_count * (2 * ST_OP_PHASES + 2) + (size_t)plan->graph->node_count + 1;
    bool *cleared = NULL;
    ST_TRY(st_arena_alloc(&plan->tasks, planner->arena, most, sizeof *plan->tasks, planner->err));
    ST_TRY(st_arena_alloc(&cleared, planner->arena, (size_t)plan->graph->node_count, sizeof *cleared, planner->err));
    schedule_forward(plan);
    if (plan->options.mode == ST_MODE_TRAIN) {
        schedule_backward(plan, cleared);
    }
    return STRATA_OK;
}
