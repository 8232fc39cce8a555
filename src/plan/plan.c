/* Builds a plan by its passes, and prints it. */
#include "plan/plan.h"

#include <inttypes.h>

static strata_status run_passes(st_planner *planner) {
    ST_TRY(st_plan_fuse(planner));
    ST_TRY(st_plan_backward(planner));
    ST_TRY(st_plan_schedule(planner));
    return st_plan_memory(planner);
}

strata_status st_plan_build(const st_plan **out, st_arena *arena, const st_graph *graph, const st_plan_options *options,
                            strata_error *err) {
    *out = NULL;
    st_plan *plan = NULL;
    ST_TRY(st_arena_alloc(&plan, arena, 1, sizeof *plan, err));
    plan->graph = graph;
    plan->options = *options;
    st_planner planner = {.plan = plan, .arena = arena, .err = err};
    ST_TRY(st_arena_create(&planner.scratch, err));
    strata_status status = run_passes(&planner);
    st_arena_free(planner.scratch);
    *out = status == STRATA_OK ? plan : NULL;
    return status;
}

int64_t st_view_image_stride(const st_view *view) {
    int64_t lanes = st_layout_lanes(view->layout);
    return view->dims.h * view->dims.w * view->pixel_stride * lanes;
}

size_t st_plan_locate(const st_plan *plan, int value, bool gradient, st_view *view) {
    const st_slot *slot = &plan->slots[value];
    int64_t channel = 0;
    int root = value;
    while (plan->slots[root].parent >= 0) {
        channel += plan->slots[root].channel_offset;
        root = plan->slots[root].parent;
    }
    if (gradient && plan->slots[root].gradient_of >= 0) {
        root = plan->slots[root].gradient_of;
    }
    const st_slot *owner = &plan->slots[root];
    int64_t lanes = st_layout_lanes(plan->layout);
    *view = (st_view){.dtype = slot->dtype, .layout = plan->layout, .dims = slot->dims, .pixel_stride = owner->dims.c};
    size_t offset = (size_t)(channel * lanes) * st_dtype_size(slot->dtype);
    return (gradient ? owner->gradient.offset : owner->data.offset) + offset;
}

bool st_plan_has_value(const st_plan *plan, int node) {
    const uint32_t views = ST_OP_IS_TRAIN_ONLY | ST_OP_IS_FLATTEN | ST_OP_IS_IDENTITY | ST_OP_IS_VIEW_OF_EQUAL;
    for (int i = node + 1; i < plan->graph->node_count; i++) {
        if (plan->alias[i] >= 0 && plan->alias[i] == plan->alias[node] &&
            (plan->graph->nodes[i].op->traits & views) == 0) {
            return false;
        }
    }
    return plan->alias[node] >= 0;
}

/* ---- the plan as text ------------------------------------------------------------------------------------------- */

static void print_dims(st_text *text, st_dims dims) {
    if (dims.h == 1 && dims.w == 1) {
        st_text_add(text, "%" PRId64, dims.c);
    } else {
        st_text_add(text, "%" PRId64 "x%" PRId64 "x%" PRId64, dims.h, dims.w, dims.c);
    }
}

/* Two spaces where the column is taken already. */
static void next_column(st_text *text, size_t column) {
    st_text_add(text, "  ");
    st_text_pad(text, column);
}

static void print_step(st_text *text, const st_plan *plan, int index) {
    static const char *const activations[] = {
#define PRINTED(NAME, name) [ST_ACTIVATION_##NAME] = " + " #name,
        "", ST_ACTIVATION_LIST(PRINTED)
#undef PRINTED
    };
    const st_step *step = &plan->steps[index];
    st_text_add(text, "%4d  ", index);
    size_t column = 6;
    if (step->output >= 0) {
        const st_output *output = &plan->graph->outputs[step->output];
        st_text_add(text, "%s", output->name);
        st_text_pad(text, column + 22);
        st_text_add(text, "%s of %s, weight %g\n", output->loss->name, step->node->path, output->weight);
        return;
    }
    st_text_add(text, "%s", step->node->path);
    st_text_pad(text, column + 22);
    st_text_add(text, "%s", step->node->text);
    if (step->affine != NULL) {
        st_text_add(text, " + %s folded", step->affine->op->name);
    }
    st_text_add(text, "%s%s", step->residual >= 0 ? " + residual" : "", activations[step->activation]);
    next_column(text, column + 82);
    st_view view;
    size_t offset = st_plan_locate(plan, step->value, false, &view);
    print_dims(text, view.dims);
    next_column(text, column + 96);
    if (plan->slots[step->value].parent >= 0) {
        st_text_add(text, "slice of %s", plan->graph->nodes[plan->slots[step->value].parent].path);
    } else {
        st_text_add(text, "at %zu, %zu bytes", offset, plan->slots[step->value].data.bytes);
    }
    if (plan->options.mode == ST_MODE_TRAIN) {
        st_text_add(text, "%s%s", step->dstate_needed ? ", dw" : "", step->runs_backward ? "" : ", no gradient");
        if (step->runs_backward && step->din_needed[0]) {
            st_text_add(text, ", dx%s", step->din_add[0] ? " added" : "");
        }
    }
    st_text_add(text, "\n");
}

void st_plan_text(st_text *text, const st_plan *plan) {
    st_text_add(text, "plan of %s for %s: batch %" PRId64 ", %s layout, %d steps in %d segments\n", plan->graph->name,
                plan->options.mode == ST_MODE_TRAIN ? "training" : "inference", plan->options.batch,
                plan->layout == ST_LAYOUT_LANES ? "image-lane" : "NHWC", plan->step_count, plan->segment_count);
    st_text_add(text, "step  layer                 what runs as one                                            output  "
                      "      where\n");
    for (int i = 0; i < plan->step_count; i++) {
        print_step(text, plan, i);
    }
    st_text_add(text, "arena %zu bytes: values%s, scratch; and %zu bytes of scratch for each thread\n",
                plan->arena_bytes, plan->options.mode == ST_MODE_TRAIN ? ", gradients, what forward keeps" : "",
                plan->thread_bytes);
}
