/* How long a model takes on noise: whole runs, or layer by layer beside the work and the bytes of each layer. */
#include <stdio.h>
#include <string.h>

#include "api/api.h"

/* One batch of noise, ready to run. */
typedef struct noise {
    st_arena *arena;
    st_feed feed;
    st_preparation stored; /* what the model had before */
} noise;

static strata_status fill_noise(noise *out, strata_model *model, bool train, strata_error *err) {
    st_model *core = model->core;
    st_dims input = core->graph->input;
    size_t batch = (size_t)core->options.batch, count = batch * (size_t)(input.h * input.w * input.c);
    uint8_t *pixels = NULL;
    int32_t *labels = NULL;
    ST_TRY(st_arena_alloc(&pixels, out->arena, count, sizeof *pixels, err));
    ST_TRY(st_arena_alloc(&labels, out->arena, batch, sizeof *labels, err));
    ST_TRY(st_prepare_pictures(&core->preparation, core->graph, input, NULL, err));
    for (size_t i = 0; i < count; i++) {
        pixels[i] = (uint8_t)st_rng_bits(1, st_rng_stream(ST_STREAM_TEST, 0), i);
    }
    const st_output *narrowest = st_graph_narrowest(core->graph);
    size_t classes = narrowest != NULL ? (size_t)core->graph->nodes[narrowest->node].out.c : model->class_count;
    for (size_t i = 0; i < batch; i++) {
        labels[i] = (int32_t)(i % classes);
    }
    out->feed = (st_feed){.pixels = pixels, .labels = train ? labels : NULL, .n = (int64_t)batch};
    return STRATA_OK;
}

static void free_noise(noise *made, strata_model *model) {
    model->core->preparation = made->stored;
    st_arena_free(made->arena);
}

static strata_status make_noise(noise *out, strata_model *model, bool train, strata_error *err) {
    *out = (noise){.stored = model->core->preparation};
    ST_FAIL_IF(train && model->core->train == NULL, err, STRATA_INVALID, "the model was not built for training");
    ST_TRY(st_arena_create(&out->arena, err));
    strata_status status = fill_noise(out, model, train, err);
    if (status != STRATA_OK) {
        free_noise(out, model);
    }
    return status;
}

/* One run; *update: the part of it that the optimizer took. */
static double run_once(strata_model *model, bool train, const st_feed *feed, double *update) {
    double begin = st_clock_s(), middle = begin;
    if (train) {
        st_update step = st_update_standard(model->optimizer);
        step.learning_rate = 1e-6;
        step.step = 1;
        st_model_gradients(model->core, feed);
        middle = st_clock_s();
        st_model_update(model->core, &step);
    } else {
        st_model_infer(model->core, feed);
        middle = st_clock_s();
    }
    double end = st_clock_s();
    *update = end - middle;
    return end - begin;
}

strata_status strata_model_time(strata_model *model, bool train, size_t repeats, double *seconds, strata_error *err) {
    noise made;
    double update;
    ST_TRY(make_noise(&made, model, train, err));
    run_once(model, train, &made.feed, &update); /* warms up */
    for (size_t i = 0; i < repeats; i++) {
        seconds[i] = run_once(model, train, &made.feed, &update);
    }
    free_noise(&made, model);
    return STRATA_OK;
}

/* ---- layer by layer --------------------------------------------------------------------------------------------- */

static double value_bytes(const st_plan *plan, int value) {
    const st_slot *slot = &plan->slots[value];
    return (double)(plan->options.batch * slot->dims.h * slot->dims.w * slot->dims.c) *
           (double)st_dtype_size(slot->dtype);
}

static double weight_bytes(const st_step *step) {
    double count = 0;
    for (int i = 0; i < ST_OP_STATES; i++) {
        count += (double)step->node->state[i].count;
    }
    return count * (double)sizeof(st_real);
}

/* Work and least traffic of a step. Backward: the gradient of a layer's input and that of its weights are each as much
 * work as its forward pass. */
static void count_work(strata_layer_time *out, const st_plan *plan, const st_step *step) {
    double work = 2.0 * (double)step->node->multiply_adds * (double)plan->options.batch;
    double result = value_bytes(plan, step->value), in = 0, din = 0, weights = weight_bytes(step);
    bool to_input = false;
    for (int k = 0; k < step->site.in_count; k++) {
        double bytes = value_bytes(plan, step->in[k]);
        in += bytes;
        if (step->runs_backward && step->din_needed[k]) {
            to_input = true;
            din += bytes * (step->din_add[k] ? 2 : 1);
        }
    }
    double residual = step->residual >= 0 ? value_bytes(plan, step->residual) : 0;
    out->forward_flops = work;
    out->forward_bytes = in + result + residual + weights;
    if (step->runs_backward) {
        out->backward_flops = work * ((to_input ? 1 : 0) + (step->dstate_needed ? 1 : 0));
        out->backward_bytes = result + din + (to_input ? weights : 0) + (step->dstate_needed ? in + weights : 0) +
                              (step->activation != ST_ACTIVATION_NONE ? result : 0) +
                              (step->residual_needed ? residual * (step->residual_add ? 2 : 1) : 0);
    }
}

static void name_step(strata_layer_time *out, const st_step *step) {
    static const char *const activations[] = {
#define PRINTED(NAME, name) [ST_ACTIVATION_##NAME] = " + " #name,
        "", ST_ACTIVATION_LIST(PRINTED)
#undef PRINTED
    };
    const st_node *node = step->node;
    out->name = node->path;
    out->text = node->text;
    out->output = (strata_shape){node->out.h, node->out.w, node->out.c};
    snprintf(out->fused, sizeof out->fused, "%s%s%s", step->affine != NULL ? " + bn" : "",
             step->residual >= 0 ? " + residual" : "", activations[step->activation]);
}

/* What the caller gets, with the memory that it lies in. */
typedef struct owned_profile {
    strata_profile shown;
    st_arena *arena;
    double *now, *best; /* [threads][tasks] of this run, of the fastest */
    size_t task_count;
    int *row_of_step;
} owned_profile;

static strata_status allocate(owned_profile **out, const st_plan *plan, int threads, strata_error *err) {
    st_arena *arena = NULL;
    ST_TRY(st_arena_create(&arena, err));
    size_t steps = (size_t)plan->step_count, tasks = (size_t)threads * (size_t)plan->task_count;
    owned_profile *made = NULL;
    strata_status status = st_arena_alloc(&made, arena, 1, sizeof *made, err);
    if (status == STRATA_OK) {
        *made = (owned_profile){.arena = arena, .task_count = tasks};
        status = st_arena_alloc(&made->now, arena, tasks, sizeof *made->now, err);
    }
    if (status == STRATA_OK) {
        status = st_arena_alloc(&made->best, arena, tasks, sizeof *made->best, err);
    }
    if (status == STRATA_OK) {
        status = st_arena_alloc(&made->row_of_step, arena, steps + 1, sizeof *made->row_of_step, err);
    }
    if (status == STRATA_OK) {
        status = st_arena_alloc(&made->shown.layers, arena, steps + 1, sizeof *made->shown.layers, err);
    }
    if (status != STRATA_OK) {
        st_arena_free(arena);
        return status;
    }
    *out = made;
    return STRATA_OK;
}

static void list_layers(owned_profile *out, const st_plan *plan) {
    for (int s = 0; s < plan->step_count; s++) {
        bool is_layer = plan->steps[s].output < 0;
        out->row_of_step[s] = is_layer ? (int)out->shown.count : -1;
        if (is_layer) {
            strata_layer_time *row = &out->shown.layers[out->shown.count++];
            name_step(row, &plan->steps[s]);
            count_work(row, plan, &plan->steps[s]);
        }
    }
}

static void run_all(owned_profile *out, strata_model *model, bool train, const st_feed *feed, size_t repeats) {
    st_exec *exec = train ? model->core->train : model->core->infer;
    double update;
    run_once(model, train, feed, &update); /* warms up */
    st_exec_time_tasks(exec, out->now);
    for (size_t i = 0; i < repeats; i++) {
        memset(out->now, 0, out->task_count * sizeof *out->now);
        double seconds = run_once(model, train, feed, &update);
        if (i == 0 || seconds < out->shown.seconds) {
            out->shown.seconds = seconds;
            out->shown.update_seconds = update;
            memcpy(out->best, out->now, out->task_count * sizeof *out->now);
        }
    }
    st_exec_time_tasks(exec, NULL);
}

/* Seconds of each task to the steps that they belong to. */
static void share_out(owned_profile *out, const st_plan *plan, int threads) {
    strata_profile *shown = &out->shown;
    double known = shown->update_seconds;
    for (int t = 0; t < plan->task_count; t++) {
        const st_task *task = &plan->tasks[t];
        double sum = 0;
        for (int thread = 0; thread < threads; thread++) {
            sum += out->best[thread * plan->task_count + t];
        }
        sum /= threads;
        known += sum;
        bool has_step = task->kind != ST_TASK_PICTURES && task->kind != ST_TASK_CLEAR;
        int row = has_step ? out->row_of_step[task->step] : -1;
        if (row < 0) {
            shown->other_seconds += sum;
        } else if (t < plan->forward_task_count) {
            shown->layers[row].forward_seconds += sum;
        } else {
            shown->layers[row].backward_seconds += sum;
        }
    }
    shown->waiting_seconds = shown->seconds > known ? shown->seconds - known : 0;
}

strata_status strata_model_profile(strata_profile **out, strata_model *model, bool train, size_t repeats,
                                   strata_error *err) {
    noise made;
    owned_profile *profile = NULL;
    *out = NULL;
    ST_FAIL_IF(repeats == 0, err, STRATA_INVALID, "there must be at least 1 run, found 0");
    ST_TRY(make_noise(&made, model, train, err));
    const st_plan *plan = st_exec_plan(train ? model->core->train : model->core->infer);
    int threads = st_pool_threads(model->core->pool);
    strata_status status = allocate(&profile, plan, threads, err);
    if (status == STRATA_OK) {
        list_layers(profile, plan);
        run_all(profile, model, train, &made.feed, repeats);
        share_out(profile, plan, threads);
        *out = &profile->shown;
    }
    free_noise(&made, model);
    return status;
}

void strata_profile_free(strata_profile *profile) {
    if (profile != NULL) {
        st_arena_free(((owned_profile *)(void *)profile)->arena);
    }
}
