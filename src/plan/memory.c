/* Lifetimes, counted in segments, to offsets in one arena. */
#include "plan/plan.h"

#include <stdlib.h>

/* ---- lifetimes -------------------------------------------------------------------------------------------------- */

static void live(st_piece *piece, int segment) {
    if (piece->first > piece->last) {
        piece->first = piece->last = segment;
        return;
    }
    piece->first = segment < piece->first ? segment : piece->first;
    piece->last = segment > piece->last ? segment : piece->last;
}

static st_slot *owner(st_plan *plan, int value) {
    while (plan->slots[value].parent >= 0) {
        value = plan->slots[value].parent;
    }
    return &plan->slots[value];
}

static st_piece *gradient_piece(st_plan *plan, int value) {
    st_slot *slot = owner(plan, value);
    return slot->gradient_of >= 0 ? &plan->slots[slot->gradient_of].gradient : &slot->gradient;
}

static void live_forward(st_plan *plan, st_step *step, int segment) {
    for (int k = 0; k < step->site.in_count; k++) {
        live(&owner(plan, step->in[k])->data, segment);
    }
    if (step->residual >= 0) {
        live(&owner(plan, step->residual)->data, segment);
    }
    if (step->value >= 0) {
        live(&owner(plan, step->value)->data, segment);
    }
    live(&step->kept, segment);
    live(&step->shared_forward, segment);
    if (step->affine != NULL) {
        live(&step->affine_data, segment);
    }
}

/* Where backward finds a value. */
static st_piece *backward_data(st_plan *plan, int value) {
    return plan->slots[value].is_again ? &plan->slots[value].again : &owner(plan, value)->data;
}

static void live_backward(st_plan *plan, st_step *step, int segment) {
    for (int k = 0; k < step->site.in_count; k++) {
        if (step->backward_reads_in) {
            live(backward_data(plan, step->in[k]), segment);
        }
        if (step->din_needed[k]) {
            live(gradient_piece(plan, step->in[k]), segment);
        }
    }
    if (step->residual_needed) {
        live(gradient_piece(plan, step->residual), segment);
    }
    if (step->value >= 0) {
        live(gradient_piece(plan, step->value), segment);
        if (step->backward_reads_out) {
            live(backward_data(plan, step->value), segment);
        }
    }
    live(&step->kept, segment);
    live(&step->shared_backward, segment);
}

static void live_again(st_plan *plan, st_step *step, int segment) {
    for (int k = 0; k < step->site.in_count; k++) {
        live(backward_data(plan, step->in[k]), segment);
    }
    if (step->residual >= 0) {
        live(&owner(plan, step->residual)->data, segment);
    }
    live(&plan->slots[step->value].again, segment);
    live(&step->kept, segment);
}

static void find_lifetimes(st_plan *plan) {
    for (int t = 0; t < plan->task_count; t++) {
        const st_task *task = &plan->tasks[t];
        switch (task->kind) {
        case ST_TASK_PICTURES:
            for (int i = 0; i < plan->graph->node_count; i++) {
                if ((plan->graph->nodes[i].op->traits & ST_OP_IS_INPUT) != 0) {
                    live(&plan->slots[i].data, task->segment);
                }
            }
            break;
        case ST_TASK_FOLD:
            live(&plan->steps[task->step].affine_data, task->segment);
            break;
        case ST_TASK_FORWARD:
            live_forward(plan, &plan->steps[task->step], task->segment);
            break;
        case ST_TASK_CLEAR:
            live(&plan->slots[task->step].gradient, task->segment);
            break;
        case ST_TASK_AGAIN:
            live_again(plan, &plan->steps[task->step], task->segment);
            break;
        case ST_TASK_EPILOGUE:
        case ST_TASK_BACKWARD:
            live_backward(plan, &plan->steps[task->step], task->segment);
            break;
        }
    }
    for (int i = 0; i < plan->graph->output_count; i++) {
        int value = plan->alias[plan->graph->outputs[i].node];
        if (value >= 0) {
            live(&owner(plan, value)->data, plan->segment_count - 1); /* the caller reads it after the run */
        }
    }
    for (int i = 0; i < plan->graph->node_count && plan->options.keep_values; i++) {
        if (plan->alias[i] >= 0) {
            live(&owner(plan, plan->alias[i])->data, plan->segment_count - 1);
        }
    }
}

/* ---- offsets ---------------------------------------------------------------------------------------------------- */

static strata_status value_bytes(const st_planner *planner, const st_slot *slot, size_t *out) {
    const st_plan *plan = planner->plan;
    size_t images = (size_t)plan->options.batch;
    if (plan->layout == ST_LAYOUT_LANES) {
        images = (images + ST_LANES - 1) / ST_LANES * ST_LANES;
    }
    size_t bytes = 0;
    bool fits = st_size_mul((size_t)slot->dims.h, (size_t)slot->dims.w, &bytes) &&
                st_size_mul(bytes, (size_t)slot->dims.c, &bytes) && st_size_mul(bytes, images, &bytes) &&
                st_size_mul(bytes, st_dtype_size(slot->dtype), &bytes) && bytes <= SIZE_MAX / 1024;
    ST_FAIL_IF(!fits, planner->err, STRATA_MEMORY, "a value of %lld x %lld x %lld at batch %lld is beyond any memory",
               (long long)slot->dims.h, (long long)slot->dims.w, (long long)slot->dims.c,
               (long long)plan->options.batch);
    *out = bytes;
    return STRATA_OK;
}

static int larger_first(const void *a, const void *b) {
    const st_piece *x = *(st_piece *const *)a, *y = *(st_piece *const *)b;
    if (x->bytes != y->bytes) {
        return x->bytes > y->bytes ? -1 : 1;
    }
    return x < y ? -1 : x > y ? 1 : 0;
}

static void collect(st_piece **pieces, size_t *count, st_piece *piece, size_t bytes) {
    piece->bytes = (bytes + 63) / 64 * 64;
    if (bytes > 0 && piece->first <= piece->last) {
        pieces[(*count)++] = piece;
    }
}

static void reset(st_piece *piece) {
    *piece = (st_piece){.first = 1, .last = 0};
}

strata_status st_plan_memory(st_planner *planner) {
    st_plan *plan = planner->plan;
    size_t most = (size_t)plan->graph->node_count * 3 + (size_t)plan->step_count * 4, count = 0;
    st_piece **pieces = NULL;
    ST_TRY(st_arena_alloc(&pieces, planner->scratch, most, sizeof *pieces, planner->err));
    for (int i = 0; i < plan->graph->node_count; i++) {
        reset(&plan->slots[i].data);
        reset(&plan->slots[i].gradient);
        reset(&plan->slots[i].again);
    }
    for (int s = 0; s < plan->step_count; s++) {
        reset(&plan->steps[s].affine_data);
        reset(&plan->steps[s].kept);
        reset(&plan->steps[s].shared_forward);
        reset(&plan->steps[s].shared_backward);
    }
    find_lifetimes(plan);
    for (int i = 0; i < plan->graph->node_count; i++) {
        size_t bytes = 0;
        if (plan->alias[i] == i && plan->slots[i].parent < 0) {
            ST_TRY(value_bytes(planner, &plan->slots[i], &bytes));
        }
        collect(pieces, &count, &plan->slots[i].data, bytes);
        collect(pieces, &count, &plan->slots[i].gradient, bytes);
        collect(pieces, &count, &plan->slots[i].again, bytes);
    }
    for (int s = 0; s < plan->step_count; s++) {
        st_step *step = &plan->steps[s];
        collect(pieces, &count, &step->affine_data, 2 * (size_t)step->site.out.c * sizeof(st_real));
        collect(pieces, &count, &step->kept, step->needs.kept_bytes);
        collect(pieces, &count, &step->shared_forward, step->needs.shared_bytes);
        collect(pieces, &count, &step->shared_backward, step->needs.shared_bytes);
    }
    qsort(pieces, count, sizeof *pieces, larger_first);
    ST_TRY(st_plan_place(pieces, count, plan->segment_count, planner->scratch, planner->err));
    for (size_t i = 0; i < count; i++) {
        size_t end = pieces[i]->offset + pieces[i]->bytes;
        plan->arena_bytes = end > plan->arena_bytes ? end : plan->arena_bytes;
    }
    return STRATA_OK;
}
