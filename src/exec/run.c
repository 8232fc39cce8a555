/* The executor: a plan's tasks as calls on memory, run by all threads of the pool together. Tasks of one segment need
 * no wait between them: those that work image by image are cut into a range of blocks for each thread, the others'
 * items are claimed one by one. Results depend on neither. */
#include "exec/exec.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

struct st_exec {
    st_model *model;
    const st_plan *plan;
    unsigned char *arena, *thread_scratch;
    unsigned char *carried; /* what is left of it for the steps to come, while calls are made */
    size_t thread_bytes;
    st_call *forward, *backward; /* [steps] */
    st_view *dresidual;          /* [steps] */
    st_site *affine_sites;       /* [steps] of the folded batch norms */
    st_real *(*affine_states)[ST_OP_STATES];
    st_real **losses; /* [outputs of the graph]; NULL: no loss step */
    int32_t **ranks;
    atomic_llong *claims; /* [tasks] */
    int task_count;       /* of this run: forward only, or all */
    st_run run;
    st_feed feed;
    st_view input;
    st_real *pixel_scale, *pixel_shift; /* [channels of the input] of this run's pictures */
    double *task_seconds;               /* [threads][tasks of the plan], added to by each thread; NULL: nobody asks */
};

/* ---- making calls ----------------------------------------------------------------------------------------------- */

static st_view view_of(const st_exec *exec, int value, bool gradient) {
    st_view view;
    size_t offset = st_plan_locate(exec->plan, value, gradient, &view);
    view.data = exec->arena + offset;
    return view;
}

static void find_states(const st_exec *exec, const st_node *node, st_call *call) {
    for (size_t i = 0; i < exec->model->parameter_count; i++) {
        const st_parameter *parameter = &exec->model->parameters[i];
        if (parameter->node == node) {
            call->state[parameter->state] = parameter->value;
        }
    }
}

/* The bias that a layer wants added by its epilogue. */
static st_real *own_bias(const st_step *step, const st_call *call) {
    const st_state_spec *specs = step->node->op->state;
    for (int i = 0; i < ST_OP_STATES && specs[i].name != NULL; i++) {
        if (call->state[i] != NULL && specs[i].is_shift) {
            return call->state[i];
        }
    }
    return NULL;
}

static strata_status fill_affine(st_exec *exec, int s, strata_error *err) {
    const st_step *step = &exec->plan->steps[s];
    st_state_dims *state = NULL;
    ST_TRY(st_arena_alloc(&state, exec->model->arena, ST_OP_STATES, sizeof *state, err));
    for (int i = 0; i < ST_OP_STATES; i++) {
        state[i] = step->affine->state[i].dims;
    }
    exec->affine_sites[s] = step->site;
    exec->affine_sites[s].params = step->affine->params;
    exec->affine_sites[s].state = state;
    exec->affine_sites[s].out = step->affine->out;
    st_call states = {0};
    find_states(exec, step->affine, &states);
    memcpy(exec->affine_states[s], states.state, sizeof states.state);
    return STRATA_OK;
}

/* As the forward call, but values that are computed again are elsewhere. */
static strata_status fill_backward(st_exec *exec, int s, strata_error *err) {
    const st_step *step = &exec->plan->steps[s];
    st_call *call = &exec->backward[s];
    *call = exec->forward[s];
    call->shared = exec->arena + step->shared_backward.offset;
    size_t count = (size_t)step->site.in_count;
    st_view *in = NULL;
    ST_TRY(st_arena_alloc(&in, exec->model->arena, count + 1, sizeof *in, err));
    for (size_t k = 0; k < count; k++) {
        const st_slot *slot = &exec->plan->slots[step->in[k]];
        in[k] = call->in[k];
        in[k].data = slot->is_again ? exec->arena + slot->again.offset : in[k].data;
    }
    call->in = in;
    if (step->value >= 0 && exec->plan->slots[step->value].is_again) {
        call->out.data = exec->arena + exec->plan->slots[step->value].again.offset;
    }
    return STRATA_OK;
}

static strata_status fill_call(st_exec *exec, int s, strata_error *err) {
    st_arena *arena = exec->model->arena;
    const st_step *step = &exec->plan->steps[s];
    st_call *call = &exec->forward[s];
    st_view *in = NULL, *din = NULL;
    size_t count = (size_t)step->site.in_count;
    ST_TRY(st_arena_alloc(&in, arena, count + 1, sizeof *in, err));
    ST_TRY(st_arena_alloc(&din, arena, count + 1, sizeof *din, err));
    *call = (st_call){.site = &step->site, .run = &exec->run, .in = in, .din = din, .din_add = step->din_add};
    for (size_t k = 0; k < count; k++) {
        in[k] = view_of(exec, step->in[k], false);
        din[k] = view_of(exec, step->in[k], true);
        din[k].data = step->runs_backward && step->din_needed[k] ? din[k].data : NULL;
    }
    call->kept = exec->arena + step->kept.offset;
    if (step->needs.carried_bytes > 0) {
        call->carried = exec->carried;
        exec->carried += st_model_align(step->needs.carried_bytes);
    }
    call->shared = exec->arena + step->shared_forward.offset;
    if (step->output >= 0) {
        call->losses = exec->losses[step->output];
        call->ranks = exec->ranks[step->output];
    } else {
        find_states(exec, step->node, call);
        call->out = view_of(exec, step->value, false);
        call->dout = view_of(exec, step->value, true);
        call->epilogue.activation = step->activation;
        call->epilogue.shift = own_bias(step, call);
        if (step->affine != NULL) {
            call->epilogue.scale = (st_real *)(void *)(exec->arena + step->affine_data.offset);
            call->epilogue.shift = call->epilogue.scale + step->site.out.c;
            ST_TRY(fill_affine(exec, s, err));
        }
        if (step->residual >= 0) {
            call->epilogue.residual = view_of(exec, step->residual, false);
        }
    }
    for (size_t i = 0; i < exec->model->parameter_count; i++) {
        const st_parameter *parameter = &exec->model->parameters[i];
        if (step->output < 0 && parameter->node == step->node && step->dstate_needed) {
            call->dstate[parameter->state] = parameter->gradient;
        }
    }
    ST_TRY(fill_backward(exec, s, err));
    if (step->residual_needed) {
        exec->dresidual[s] = view_of(exec, step->residual, true);
    }
    return STRATA_OK;
}

static strata_status allocate(st_exec *exec, strata_error *err) {
    st_arena *arena = exec->model->arena;
    const st_plan *plan = exec->plan;
    size_t steps = (size_t)plan->step_count, outputs = (size_t)plan->graph->output_count;
    ST_TRY(st_arena_alloc(&exec->forward, arena, steps, sizeof *exec->forward, err));
    ST_TRY(st_arena_alloc(&exec->backward, arena, steps, sizeof *exec->backward, err));
    ST_TRY(st_arena_alloc(&exec->dresidual, arena, steps, sizeof *exec->dresidual, err));
    ST_TRY(st_arena_alloc(&exec->affine_sites, arena, steps, sizeof *exec->affine_sites, err));
    ST_TRY(st_arena_alloc(&exec->affine_states, arena, steps, sizeof *exec->affine_states, err));
    ST_TRY(st_arena_alloc(&exec->losses, arena, outputs, sizeof *exec->losses, err));
    ST_TRY(st_arena_alloc(&exec->ranks, arena, outputs, sizeof *exec->ranks, err));
    ST_TRY(st_arena_alloc(&exec->claims, arena, (size_t)plan->task_count, sizeof *exec->claims, err));
    for (int s = 0; s < plan->step_count; s++) {
        int output = plan->steps[s].output;
        if (output >= 0) {
            size_t count = (size_t)plan->options.batch + ST_LANES;
            ST_TRY(st_arena_alloc(&exec->losses[output], arena, count, sizeof **exec->losses, err));
            ST_TRY(st_arena_alloc(&exec->ranks[output], arena, count, sizeof **exec->ranks, err));
        }
    }
    return STRATA_OK;
}

strata_status st_exec_create(st_exec **out, st_model *model, const st_plan *plan, const st_exec_memory *memory,
                             strata_error *err) {
    st_exec *exec = NULL;
    *out = NULL;
    ST_TRY(st_arena_alloc(&exec, model->arena, 1, sizeof *exec, err));
    *exec = (st_exec){.model = model,
                      .plan = plan,
                      .arena = memory->arena,
                      .thread_scratch = memory->thread_scratch,
                      .carried = memory->carried,
                      .thread_bytes = memory->thread_bytes};
    ST_TRY(allocate(exec, err));
    for (int i = 0; i < plan->graph->node_count; i++) {
        if ((plan->graph->nodes[i].op->traits & ST_OP_IS_INPUT) != 0) {
            exec->input = view_of(exec, i, false);
        }
    }
    size_t channels = (size_t)exec->input.dims.c;
    ST_TRY(st_arena_alloc(&exec->pixel_scale, model->arena, channels, sizeof *exec->pixel_scale, err));
    ST_TRY(st_arena_alloc(&exec->pixel_shift, model->arena, channels, sizeof *exec->pixel_shift, err));
    for (int s = 0; s < plan->step_count; s++) {
        ST_TRY(fill_call(exec, s, err));
    }
    *out = exec;
    return STRATA_OK;
}

/* ---- tasks ------------------------------------------------------------------------------------------------------ */

static int64_t block_images(const st_exec *exec) {
    return exec->plan->layout == ST_LAYOUT_LANES ? ST_LANES : 1;
}

static int64_t image_items(const st_exec *exec) {
    int64_t images = block_images(exec);
    return (exec->run.n + images - 1) / images;
}

/* Of one image, or of a block of images in lanes. */
static void swap_red_and_blue(st_real *pixels, int64_t count, int64_t lanes) {
    for (int64_t i = 0; i < count; i++, pixels += 3 * lanes) {
        for (int64_t lane = 0; lane < lanes; lane++) {
            st_real kept = pixels[lane];
            pixels[lane] = pixels[2 * lanes + lane];
            pixels[2 * lanes + lane] = kept;
        }
    }
}

/* Images first .. first + count - 1 from rows of their own; lanes beyond them are zeros. */
static void take_rows(const st_exec *exec, st_real *out, int64_t first, int64_t count) {
    int64_t lanes = block_images(exec), numbers = exec->input.dims.h * exec->input.dims.w * exec->input.dims.c;
    const st_real *const *rows = exec->feed.rows + first;
    if (lanes == 1) {
        memcpy(out, rows[0], (size_t)numbers * sizeof *out);
        return;
    }
    for (int64_t i = 0; i < lanes; i++) {
        for (int64_t at = 0; at < numbers; at++) {
            out[at * lanes + i] = i < count ? rows[i][at] : (st_real)0;
        }
    }
}

static void take_pictures(const st_exec *exec, int64_t item) {
    const st_preparation *preparation = &exec->model->preparation;
    int64_t per_item = block_images(exec), first = item * per_item;
    int64_t count = exec->run.n - first < per_item ? exec->run.n - first : per_item;
    st_dims to = exec->input.dims;
    st_real *out = (st_real *)exec->input.data + item * st_view_image_stride(&exec->input);
    if (exec->feed.rows != NULL) {
        take_rows(exec, out, first, count);
        return;
    }
    if (exec->feed.values != NULL) {
        const st_real *in = exec->feed.values + first * to.h * to.w * to.c;
        for (int64_t pixel = 0; pixel < to.h * to.w; pixel++) {
            for (int64_t c = 0; c < to.c; c++) {
                for (int64_t i = 0; i < per_item; i++) {
                    out[(pixel * to.c + c) * per_item + i] =
                        i < count ? in[(i * to.c + c) * to.h * to.w + pixel] : (st_real)0;
                }
            }
        }
        return;
    }
    st_pixels pixels = {.in = exec->feed.pixels,
                        .n = exec->run.n,
                        .from = preparation->picture,
                        .to = to,
                        .top = preparation->pad_top,
                        .left = preparation->pad_left,
                        .layout = exec->plan->layout,
                        .scale = exec->pixel_scale,
                        .shift = exec->pixel_shift,
                        .out = exec->input.data};
    exec->model->kernels->pixels(&pixels, item);
    if (preparation->is_bgr) {
        swap_red_and_blue(out, to.h * to.w, per_item);
    }
}

static void clear_gradient(const st_exec *exec, int value, int64_t item) {
    st_view view = view_of(exec, value, true);
    st_span_zero(st_span_of(&view, item));
}

static int64_t task_items(const st_exec *exec, const st_task *task) {
    if (task->kind == ST_TASK_FOLD) {
        return 1;
    }
    if (task->by_image) {
        return image_items(exec);
    }
    const st_step *step = &exec->plan->steps[task->step];
    return task->kind == ST_TASK_FORWARD ? step->impl->forward[task->phase].items(&exec->forward[task->step])
                                         : step->impl->backward[task->phase].items(&exec->backward[task->step]);
}

static void run_item(const st_exec *exec, const st_task *task, int64_t item, int thread) {
    const st_step *step =
        task->kind != ST_TASK_PICTURES && task->kind != ST_TASK_CLEAR ? &exec->plan->steps[task->step] : NULL;
    void *scratch = exec->thread_scratch + (size_t)thread * exec->thread_bytes;
    switch (task->kind) {
    case ST_TASK_PICTURES:
        take_pictures(exec, item);
        break;
    case ST_TASK_FOLD: {
        st_real *scale = (st_real *)(void *)(exec->arena + step->affine_data.offset);
        step->affine->op->fold(&exec->affine_sites[task->step], exec->affine_states[task->step],
                               own_bias(step, &exec->forward[task->step]), scale, scale + step->site.out.c);
        break;
    }
    case ST_TASK_FORWARD:
        step->impl->forward[task->phase].run(&exec->forward[task->step], item, scratch);
        break;
    case ST_TASK_CLEAR:
        clear_gradient(exec, task->step, item);
        break;
    case ST_TASK_AGAIN:
        step->impl->again(&exec->backward[task->step], item, scratch);
        break;
    case ST_TASK_EPILOGUE:
        st_epilogue_backward(&exec->backward[task->step], step->activation, &exec->dresidual[task->step],
                             step->residual_add, item);
        break;
    case ST_TASK_BACKWARD:
        step->impl->backward[task->phase].run(&exec->backward[task->step], item, scratch);
        break;
    }
}

/* An item, with its time where somebody asks for it. */
static void run_timed(const st_exec *exec, int task, int64_t item, int thread) {
    if (exec->task_seconds == NULL) {
        run_item(exec, &exec->plan->tasks[task], item, thread);
        return;
    }
    double begin = st_clock_s();
    run_item(exec, &exec->plan->tasks[task], item, thread);
    exec->task_seconds[thread * exec->plan->task_count + task] += st_clock_s() - begin;
}

/* The segment's tasks that work image by image, for one image (or block) after the other. In image lanes each thread
 * always has the same ones, which stay in its cache; elsewhere an image is larger than that. */
static void run_blocks(const st_exec *exec, int begin, int end, int thread) {
    int threads = st_pool_threads(exec->model->pool);
    bool is_fixed = exec->plan->layout == ST_LAYOUT_LANES;
    int64_t items = image_items(exec), item = is_fixed ? items * thread / threads : 0;
    int64_t last = is_fixed ? items * (thread + 1) / threads : items;
    for (;; item++) {
        if (!is_fixed) {
            item = (int64_t)atomic_fetch_add_explicit(&exec->claims[begin], 1, memory_order_relaxed);
        }
        if (item >= last) {
            return;
        }
        for (int t = begin; t < end; t++) {
            if (exec->plan->tasks[t].by_image) {
                run_timed(exec, t, item, thread);
            }
        }
    }
}

static void run_claims(const st_exec *exec, int t, int thread) {
    int64_t items = task_items(exec, &exec->plan->tasks[t]);
    for (;;) {
        int64_t item = (int64_t)atomic_fetch_add_explicit(&exec->claims[t], 1, memory_order_relaxed);
        if (item >= items) {
            return;
        }
        run_timed(exec, t, item, thread);
    }
}

/* Largest first, and what works image by image where its first task stands. */
static void run_segment(const st_exec *exec, int begin, int end, int thread) {
    bool has_blocks = false;
    for (int t = begin; t < end; t++) {
        if (!exec->plan->tasks[t].by_image) {
            run_claims(exec, t, thread);
        } else if (!has_blocks) {
            run_blocks(exec, t, end, thread);
            has_blocks = true;
        }
    }
}

static void run_thread(void *arg, int thread) {
    const st_exec *exec = arg;
    const st_task *tasks = exec->plan->tasks;
    for (int begin = 0; begin < exec->task_count;) {
        int end = begin + 1;
        while (end < exec->task_count && tasks[end].segment == tasks[begin].segment) {
            end++;
        }
        run_segment(exec, begin, end, thread);
        if (end < exec->task_count) {
            st_pool_barrier(exec->model->pool, thread);
        }
        begin = end;
    }
}

/* Every step behind a cut needs its value, so the tasks before the first of them are all that it needs. */
static int tasks_until(const st_plan *plan, int node) {
    int count = 0;
    for (; count < plan->forward_task_count; count++) {
        const st_task *task = &plan->tasks[count];
        if (task->kind == ST_TASK_FORWARD &&
            (plan->steps[task->step].output >= 0 || plan->steps[task->step].value > node)) {
            break;
        }
    }
    return count;
}

/* Pictures have at most four channels; what a net takes beyond is prepared as its fourth. */
static void find_pixel_scale(st_exec *exec) {
    const st_preparation *preparation = &exec->model->preparation;
    enum { MOST = ST_COUNT_OF(preparation->mean) };
    for (int64_t c = 0; c < exec->input.dims.c; c++) {
        int64_t at = preparation->is_bgr ? 2 - c : c < MOST ? c : MOST - 1;
        exec->pixel_scale[c] = (st_real)(1.0 / (preparation->range * preparation->deviation[at]));
        exec->pixel_shift[c] = (st_real)(-preparation->mean[at] / preparation->deviation[at]);
    }
}

void st_exec_run(st_exec *exec, const st_feed *feed) {
    exec->feed = *feed;
    if (feed->pixels != NULL) {
        find_pixel_scale(exec);
    }
    exec->run = (st_run){.n = feed->n,
                         .mode = exec->plan->options.as_inference ? ST_MODE_INFER : exec->plan->options.mode,
                         .seed = exec->model->options.seed,
                         .step = feed->step,
                         .first = feed->first,
                         .total = feed->total,
                         .labels = feed->labels,
                         .other_labels = feed->other_labels,
                         .shares = feed->shares,
                         .label_smoothing = feed->label_smoothing,
                         .is_trace = feed->is_trace};
    exec->task_count = feed->forward_only ? exec->plan->forward_task_count : exec->plan->task_count;
    if (feed->until > 0) {
        exec->task_count = tasks_until(exec->plan, feed->until);
    }
    /* Loss steps stand at the end of a plan for inference: without labels they are left out. */
    while (feed->labels == NULL && exec->task_count > 0 &&
           exec->plan->tasks[exec->task_count - 1].kind == ST_TASK_FORWARD &&
           exec->plan->steps[exec->plan->tasks[exec->task_count - 1].step].output >= 0) {
        exec->task_count--;
    }
    for (int t = 0; t < exec->task_count; t++) {
        atomic_store_explicit(&exec->claims[t], 0, memory_order_relaxed);
    }
    st_pool_run(exec->model->pool, run_thread, exec);
}

const st_plan *st_exec_plan(const st_exec *exec) {
    return exec->plan;
}

void st_exec_time_tasks(st_exec *exec, double *seconds) {
    exec->task_seconds = seconds;
}

/* ---- results ---------------------------------------------------------------------------------------------------- */

const st_real *st_exec_losses(const st_exec *exec, int output) {
    return exec->losses[output];
}

const int32_t *st_exec_ranks(const st_exec *exec, int output) {
    return exec->ranks[output];
}

static st_real element(const st_view *view, int64_t image, int64_t pixel, int64_t c) {
    const st_real *data = view->data;
    if (view->layout == ST_LAYOUT_LANES) {
        const st_real *block = data + image / ST_LANES * st_view_image_stride(view);
        return block[(pixel * view->pixel_stride + c) * ST_LANES + image % ST_LANES];
    }
    return data[image * st_view_image_stride(view) + pixel * view->pixel_stride + c];
}

void st_exec_value(const st_exec *exec, int node, int64_t image, st_real *out) {
    st_view view = view_of(exec, exec->plan->alias[node], false);
    for (int64_t c = 0; c < view.dims.c; c++) {
        for (int64_t pixel = 0; pixel < view.dims.h * view.dims.w; pixel++) {
            *out++ = element(&view, image, pixel, c);
        }
    }
}

void st_exec_row(const st_exec *exec, int node, int64_t image, st_real *out) {
    st_view view = view_of(exec, exec->plan->alias[node], false);
    int64_t pixels = view.dims.h * view.dims.w, c = view.dims.c;
    if (view.layout == ST_LAYOUT_NHWC && view.pixel_stride == c) {
        memcpy(out, (const st_real *)view.data + image * st_view_image_stride(&view),
               (size_t)(pixels * c) * sizeof *out);
        return;
    }
    for (int64_t pixel = 0; pixel < pixels; pixel++) {
        for (int64_t i = 0; i < c; i++) {
            *out++ = element(&view, image, pixel, i);
        }
    }
}

void st_exec_output(const st_exec *exec, int output, int64_t image, st_real *out) {
    st_exec_value(exec, exec->plan->graph->outputs[output].node, image, out);
}

static bool is_finite_value(const st_exec *exec, int value) {
    st_view view = view_of(exec, value, false);
    for (int64_t image = 0; image < exec->run.n; image++) {
        for (int64_t pixel = 0; pixel < view.dims.h * view.dims.w; pixel++) {
            for (int64_t c = 0; c < view.dims.c; c++) {
                if (!isfinite((double)element(&view, image, pixel, c))) {
                    return false;
                }
            }
        }
    }
    return true;
}

const char *st_exec_first_not_finite(st_exec *exec) {
    const char *found = NULL;
    for (int t = 0; t < exec->plan->forward_task_count && found == NULL; t++) {
        const st_task *task = &exec->plan->tasks[t];
        for (int64_t item = 0, items = task_items(exec, task); item < items; item++) {
            run_item(exec, task, item, 0);
        }
        const st_phase *phases = task->kind == ST_TASK_FORWARD ? exec->plan->steps[task->step].impl->forward : NULL;
        bool is_last = phases != NULL && (task->phase + 1 == ST_OP_PHASES || phases[task->phase + 1].run == NULL);
        if (is_last && exec->plan->steps[task->step].value >= 0 &&
            !is_finite_value(exec, exec->plan->steps[task->step].value)) {
            found = exec->plan->steps[task->step].node->path;
        }
    }
    return found;
}
