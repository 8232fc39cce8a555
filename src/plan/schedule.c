/* Tasks in their order, and segments: runs of tasks that need no wait between them. */
#include "plan/plan.h"

/* `joins`: belongs to the segment before. `chains`: works image by image and so may follow what does. */
static void add_task(st_planner *planner, st_task_kind kind, int step, int phase, bool by_image, bool joins,
                     bool chains) {
    st_plan *plan = planner->plan;
    st_task *task = &plan->tasks[plan->task_count++];
    bool is_chained = plan->task_count > 1 && chains && planner->chains;
    plan->segment_count += joins || is_chained ? 0 : 1;
    planner->chains = joins ? planner->chains && chains : chains;
    *task =
        (st_task){.kind = kind, .step = step, .phase = phase, .by_image = by_image, .segment = plan->segment_count - 1};
}

static int later(int a, int b) {
    return a > b ? a : b;
}

/* The level after which a value is whole; 0: the input. */
static int level_of_value(const st_plan *plan, const int *levels, int value) {
    if (plan->slots[value].step >= 0) {
        return levels[plan->slots[value].step];
    }
    int level = 0;
    for (int i = plan->slots[value].first_slice; i >= 0; i = plan->slots[i].next_slice) {
        level = later(level, level_of_value(plan, levels, i));
    }
    return level;
}

/* Steps of one level need nothing of each other: the lanes of a module go side by side. Losses come last. In image
 * lanes nearly all is by image, and every step is a level. */
static int find_levels(const st_plan *plan, int *levels) {
    int most = 0;
    for (int s = 0; s < plan->step_count; s++) {
        const st_step *step = &plan->steps[s];
        if (plan->layout == ST_LAYOUT_LANES || step->output >= 0) {
            levels[s] = most + 1;
        } else {
            levels[s] = step->residual < 0 ? 1 : 1 + level_of_value(plan, levels, step->residual);
            for (int k = 0; k < step->site.in_count; k++) {
                levels[s] = later(levels[s], 1 + level_of_value(plan, levels, step->in[k]));
            }
        }
        most = later(most, levels[s]);
    }
    return most;
}

/* The steps in the order of their levels, those of a level in their own order; level l has steps[first[l]] up to
 * steps[first[l + 1]]. */
typedef struct level_list {
    int *steps, *first;
    int count;
} level_list;

static strata_status list_levels(level_list *out, st_planner *planner) {
    const st_plan *plan = planner->plan;
    int *levels = NULL;
    size_t steps = (size_t)plan->step_count;
    ST_TRY(st_arena_alloc(&levels, planner->scratch, steps + 1, sizeof *levels, planner->err));
    ST_TRY(st_arena_alloc(&out->steps, planner->scratch, steps + 1, sizeof *out->steps, planner->err));
    out->count = find_levels(plan, levels);
    ST_TRY(st_arena_alloc(&out->first, planner->scratch, (size_t)out->count + 2, sizeof *out->first, planner->err));
    for (int s = 0; s < plan->step_count; s++) {
        out->first[levels[s]]++; /* how many, at the level itself: shifted by one below */
    }
    for (int level = 0, before = 0; level <= out->count + 1; level++) {
        int here = out->first[level];
        out->first[level] = before;
        before += here;
    }
    for (int s = 0; s < plan->step_count; s++) {
        out->steps[out->first[levels[s]]++] = s;
    }
    for (int level = out->count + 1; level > 0; level--) {
        out->first[level] = out->first[level - 1];
    }
    out->first[0] = 0;
    return STRATA_OK;
}

/* Phase `phase` of all steps of a level; false: there is none. Tasks that are claimed stand together, so the largest
 * comes first. */
static bool schedule_level(st_planner *planner, const level_list *levels, int level, int phase) {
    st_plan *plan = planner->plan;
    int first = plan->task_count;
    bool all_by_image = true;
    for (int i = levels->first[level]; i < levels->first[level + 1]; i++) {
        const st_phase *it = &plan->steps[levels->steps[i]].impl->forward[phase];
        all_by_image = all_by_image && (it->run == NULL || it->by_image);
    }
    for (int i = levels->first[level]; i < levels->first[level + 1]; i++) {
        int s = levels->steps[i];
        const st_phase *it = &plan->steps[s].impl->forward[phase];
        if (it->run == NULL) {
            continue;
        }
        bool joins = plan->task_count > first;
        add_task(planner, ST_TASK_FORWARD, s, phase, it->by_image, joins, all_by_image);
        for (int t = plan->task_count - 1; t > first; t--) {
            st_task *low = &plan->tasks[t - 1], *high = &plan->tasks[t];
            if (plan->steps[low->step].node->multiply_adds >= plan->steps[high->step].node->multiply_adds) {
                break;
            }
            st_task swap = *low;
            *low = *high;
            *high = swap;
        }
    }
    return plan->task_count > first;
}

static strata_status schedule_forward(st_planner *planner) {
    st_plan *plan = planner->plan;
    level_list levels = {0};
    ST_TRY(list_levels(&levels, planner));
    bool folds = false;
    for (int s = 0; s < plan->step_count; s++) {
        if (plan->steps[s].affine != NULL) {
            add_task(planner, ST_TASK_FOLD, s, 0, false, folds, false);
            folds = true;
        }
    }
    add_task(planner, ST_TASK_PICTURES, -1, 0, true, folds, !folds);
    for (int level = 1; level <= levels.count; level++) {
        for (int p = 0; p < ST_OP_PHASES && schedule_level(planner, &levels, level, p); p++) {
        }
    }
    plan->forward_task_count = plan->task_count;
    return STRATA_OK;
}

static void clear_once(st_planner *planner, bool *cleared, int value) {
    const st_plan *plan = planner->plan;
    while (plan->slots[value].parent >= 0) {
        value = plan->slots[value].parent;
    }
    if (plan->slots[value].clear_gradient && !cleared[value]) {
        cleared[value] = true;
        add_task(planner, ST_TASK_CLEAR, value, 0, true, false, true);
    }
}

/* Gradients of weights wait for the end in the image-lane layout, all layers together: what works image by image then
 * runs through without a stop, and small nets are bound by stops. */
static bool is_deferred(const st_plan *plan, const st_phase *phase) {
    return plan->layout == ST_LAYOUT_LANES && phase->only_states;
}

static void compute_again(st_planner *planner, bool *computed, int value) {
    const st_plan *plan = planner->plan;
    if (plan->slots[value].is_again && !computed[value]) {
        computed[value] = true;
        add_task(planner, ST_TASK_AGAIN, plan->slots[value].step, 0, true, false, true);
    }
}

static void schedule_step_backward(st_planner *planner, int s, bool *cleared, bool *computed) {
    const st_plan *plan = planner->plan;
    const st_step *step = &plan->steps[s];
    for (int k = 0; k < step->site.in_count && step->backward_reads_in; k++) {
        compute_again(planner, computed, step->in[k]);
    }
    if (step->value >= 0 && step->backward_reads_out) {
        compute_again(planner, computed, step->value);
    }
    if (step->residual_needed) {
        clear_once(planner, cleared, step->residual);
    }
    for (int k = 0; k < step->site.in_count; k++) {
        if (step->din_needed[k]) {
            clear_once(planner, cleared, step->in[k]);
        }
    }
    bool has_activation = step->activation != ST_ACTIVATION_NONE && !step->site.activates_backward;
    if (has_activation || (step->residual_needed && !step->residual_shared)) {
        add_task(planner, ST_TASK_EPILOGUE, s, 0, true, false, true);
    }
    for (int p = 0; p < ST_OP_PHASES && step->impl->backward[p].run != NULL; p++) {
        if (!is_deferred(plan, &step->impl->backward[p])) {
            bool by_image = step->impl->backward[p].by_image;
            add_task(planner, ST_TASK_BACKWARD, s, p, by_image, false, by_image);
        }
    }
}

static void schedule_backward(st_planner *planner, bool *cleared, bool *computed) {
    const st_plan *plan = planner->plan;
    for (int s = plan->step_count - 1; s >= 0; s--) {
        if (plan->steps[s].runs_backward) {
            schedule_step_backward(planner, s, cleared, computed);
        }
    }
    for (int p = 0; p < ST_OP_PHASES; p++) {
        bool joins = false; /* same place in different layers: independent of each other */
        for (int s = plan->step_count - 1; s >= 0; s--) {
            const st_step *step = &plan->steps[s];
            const st_phase *phase = &step->impl->backward[p];
            if (step->runs_backward && phase->run != NULL && is_deferred(plan, phase)) {
                add_task(planner, ST_TASK_BACKWARD, s, p, false, joins, false);
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
    size_t most = (size_t)plan->step_count * (2 * ST_OP_PHASES + 3) + (size_t)plan->graph->node_count + 1;
    bool *cleared = NULL, *computed = NULL; /* [values] */
    size_t values = (size_t)plan->graph->node_count;
    ST_TRY(st_arena_alloc(&plan->tasks, planner->arena, most, sizeof *plan->tasks, planner->err));
    ST_TRY(st_arena_alloc(&cleared, planner->scratch, values, sizeof *cleared, planner->err));
    ST_TRY(st_arena_alloc(&computed, planner->scratch, values, sizeof *computed, planner->err));
    ST_TRY(schedule_forward(planner));
    if (plan->options.mode == ST_MODE_TRAIN) {
        schedule_backward(planner, cleared, computed);
    }
    return STRATA_OK;
}
