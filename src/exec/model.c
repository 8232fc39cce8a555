/* A model's memory: weights, gradients, optimizer state, one arena for both plans, scratch of the threads. All of it is
 * known from the plans before anything is allocated, and allocated once. */
#include "exec/exec.h"

#include <string.h>

/* The program, its libraries and stacks: measured as the resident size of `strata --version`, rounded up. */
static const size_t PROGRAM_BYTES = (size_t)6 << 20;

static const size_t ALIGNMENT = 64;

/* ---- sizes ------------------------------------------------------------------------------------------------------ */

typedef struct model_sizes {
    size_t weights, gradients, slots, averages, carried, arena, scratch, largest;
} model_sizes;

size_t st_model_align(size_t bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static strata_status build_plan(const st_plan **out, st_arena *arena, const st_kernels *kernels, int threads,
                                const st_graph *graph, const st_model_options *options, st_mode mode,
                                strata_error *err) {
    st_plan_options plan = {.mode = mode,
                            .batch = options->batch,
                            .total = options->total,
                            .threads = threads,
                            .kernels = kernels,
                            .again_from = options->again_from,
                            .layout = options->layout,
                            .keep_values = options->keep_values,
                            .as_inference = options->as_inference};
    return st_plan_build(out, arena, graph, &plan, err);
}

static const st_step *step_of(const st_plan *plan, int node) {
    int step = plan != NULL ? plan->slots[node].step : -1;
    return step >= 0 ? &plan->steps[step] : NULL;
}

static strata_status list_parameters(st_parameter **out, size_t *count, st_arena *arena, const st_graph *graph,
                                     const st_plan *infer, const st_plan *train, strata_error *err) {
    size_t most = (size_t)graph->node_count * ST_OP_STATES;
    bool has_side_heads = train != NULL && !train->options.as_inference;
    *count = 0;
    ST_TRY(st_arena_alloc(out, arena, most, sizeof **out, err));
    for (int i = 0; i < graph->node_count; i++) {
        const st_node *node = &graph->nodes[i];
        const st_step *step = step_of(train, i);
        const st_step *layout = step != NULL ? step : step_of(infer, i);
        for (int s = 0; s < ST_OP_STATES && !(node->is_train_only && !has_side_heads); s++) {
            if (node->state[s].count == 0) {
                continue;
            }
            st_parameter *parameter = &(*out)[(*count)++];
            *parameter = (st_parameter){.node = node, .state = s, .published_count = node->state[s].count};
            parameter->native_count = parameter->published_count;
            if (layout != NULL) {
                parameter->site = &layout->site;
                parameter->impl = layout->impl;
                if (layout->impl->state_count != NULL) {
                    parameter->native_count = layout->impl->state_count(&layout->site, s);
                }
            }
            parameter->is_trained = step != NULL && step->dstate_needed && node->state[s].spec->is_trained;
            parameter->moves =
                parameter->is_trained || (step != NULL && !node->is_frozen && !node->state[s].spec->is_trained);
        }
    }
    return STRATA_OK;
}

/* Takes over the memory of the weights that the lender has too. */
static strata_status borrow(st_model *model, const st_model *lender, strata_error *err) {
    for (size_t i = 0; lender != NULL && i < model->parameter_count; i++) {
        st_parameter *parameter = &model->parameters[i];
        const char *path = parameter->node->state[parameter->state].path;
        for (size_t k = 0; k < lender->parameter_count && !parameter->is_lent; k++) {
            const st_parameter *theirs = &lender->parameters[k];
            if (strcmp(theirs->node->state[theirs->state].path, path) == 0) {
                ST_FAIL_IF(theirs->native_count != parameter->native_count, err, STRATA_UNSUPPORTED,
                           "'%s' has another order in memory there", path);
                parameter->value = theirs->value;
                parameter->is_lent = true;
            }
        }
    }
    return STRATA_OK;
}

static void add_plan(model_sizes *sizes, const st_plan *plan, int threads) {
    if (plan != NULL) {
        for (int i = 0; i < plan->step_count; i++) {
            sizes->carried += st_model_align(plan->steps[i].needs.carried_bytes);
        }
        size_t scratch = st_model_align(plan->thread_bytes) * (size_t)threads;
        sizes->arena = plan->arena_bytes > sizes->arena ? plan->arena_bytes : sizes->arena;
        sizes->scratch = scratch > sizes->scratch ? scratch : sizes->scratch;
    }
}

/* Room for one image's value, to hand out. */
static void note_largest(model_sizes *sizes, const st_node *node) {
    size_t count = (size_t)(node->out.h * node->out.w * node->out.c);
    sizes->largest = count > sizes->largest ? count : sizes->largest;
}

static model_sizes sizes_of(const st_parameter *parameters, size_t count, const st_plan *infer, const st_plan *train,
                            int threads, const st_model_options *options) {
    model_sizes sizes = {0};
    const st_graph *graph = infer->graph;
    for (int i = 0; i < graph->output_count; i++) {
        note_largest(&sizes, &graph->nodes[graph->outputs[i].node]);
    }
    for (int i = 0; i < graph->node_count && infer->options.keep_values; i++) {
        note_largest(&sizes, &graph->nodes[i]);
    }
    for (size_t i = 0; i < count; i++) {
        size_t bytes = st_model_align(parameters[i].native_count * sizeof(st_real));
        size_t larger = parameters[i].native_count > parameters[i].published_count ? parameters[i].native_count
                                                                                   : parameters[i].published_count;
        sizes.largest = larger > sizes.largest ? larger : sizes.largest;
        sizes.weights += parameters[i].is_lent ? 0 : bytes;
        if (parameters[i].is_trained) {
            sizes.gradients += bytes;
            sizes.slots += bytes * (size_t)options->slot_count;
        }
        sizes.averages += parameters[i].moves && options->averages ? bytes : 0;
    }
    add_plan(&sizes, infer, threads);
    add_plan(&sizes, train, threads);
    return sizes;
}

strata_status st_model_need(strata_memory *out, const st_kernels *kernels, int threads, const st_graph *graph,
                            const st_model_options *options, size_t batch_bytes, strata_error *err) {
    *out = (strata_memory){0};
    st_arena *arena = NULL;
    ST_TRY(st_arena_create(&arena, err));
    const st_plan *infer = NULL, *train = NULL;
    st_parameter *parameters = NULL;
    size_t count = 0;
    strata_status status = build_plan(&infer, arena, kernels, threads, graph, options, ST_MODE_INFER, err);
    if (status == STRATA_OK && options->train) {
        status = build_plan(&train, arena, kernels, threads, graph, options, ST_MODE_TRAIN, err);
    }
    if (status == STRATA_OK) {
        status = list_parameters(&parameters, &count, arena, graph, infer, train, err);
    }
    if (status == STRATA_OK) {
        model_sizes sizes = sizes_of(parameters, count, infer, train, threads, options);
        *out = (strata_memory){.weights_bytes = sizes.weights,
                               .gradients_bytes = sizes.gradients + sizes.carried,
                               .optimizer_bytes = sizes.slots + sizes.averages,
                               .activations_bytes = sizes.arena,
                               .scratch_bytes = sizes.scratch + sizes.largest * sizeof(st_real),
                               .batch_bytes = batch_bytes};
        out->total_bytes = out->weights_bytes + out->gradients_bytes + out->optimizer_bytes + out->activations_bytes +
                           out->scratch_bytes + out->batch_bytes + PROGRAM_BYTES;
    }
    st_arena_free(arena);
    return status;
}

/* ---- building --------------------------------------------------------------------------------------------------- */

static st_real *carve(unsigned char **at, size_t count) {
    st_real *piece = (st_real *)(void *)*at;
    *at += st_model_align(count * sizeof(st_real));
    return piece;
}

static strata_status allocate(st_model *model, const st_plan *infer, const st_plan *train, strata_error *err) {
    int threads = st_pool_threads(model->pool);
    model_sizes sizes = sizes_of(model->parameters, model->parameter_count, infer, train, threads, &model->options);
    size_t total =
        sizes.weights + sizes.gradients + sizes.slots + sizes.averages + sizes.carried + sizes.arena + sizes.scratch;
    unsigned char *at = NULL;
    ST_TRY(st_arena_alloc(&at, model->arena, 1, total + ALIGNMENT, err));
    model->scratch_count = sizes.largest;
    ST_TRY(st_arena_alloc(&model->scratch, model->arena, sizes.largest + 1, sizeof *model->scratch, err));
    for (size_t i = 0; i < model->parameter_count; i++) {
        st_parameter *parameter = &model->parameters[i];
        parameter->value = parameter->is_lent ? parameter->value : carve(&at, parameter->native_count);
        if (parameter->is_trained) {
            parameter->gradient = carve(&at, parameter->native_count);
            for (int slot = 0; slot < model->options.slot_count; slot++) {
                parameter->slots[slot] = carve(&at, parameter->native_count);
            }
        }
        if (parameter->moves && model->options.averages) {
            parameter->average = carve(&at, parameter->native_count);
        }
    }
    st_exec_memory memory = {.arena = at,
                             .thread_scratch = at + sizes.arena,
                             .carried = at + sizes.arena + sizes.scratch,
                             .thread_bytes = sizes.scratch / (size_t)threads};
    ST_TRY(st_arena_alloc(&model->piece_sums, model->arena, (size_t)st_model_piece_count(model) + 1,
                          sizeof *model->piece_sums, err));
    ST_TRY(st_exec_create(&model->infer, model, infer, &memory, err));
    if (train != NULL) {
        ST_TRY(st_exec_create(&model->train, model, train, &memory, err));
    }
    return STRATA_OK;
}

static strata_status build(st_model *model, strata_error *err) {
    const st_plan *infer = NULL, *train = NULL;
    int threads = st_pool_threads(model->pool);
    ST_TRY(
        build_plan(&infer, model->arena, model->kernels, threads, model->graph, &model->options, ST_MODE_INFER, err));
    if (model->options.train) {
        ST_TRY(build_plan(&train, model->arena, model->kernels, threads, model->graph, &model->options, ST_MODE_TRAIN,
                          err));
    }
    ST_TRY(list_parameters(&model->parameters, &model->parameter_count, model->arena, model->graph, infer, train, err));
    ST_TRY(borrow(model, model->options.lender, err));
    ST_TRY(allocate(model, infer, train, err));
    ST_TRY(st_prepare_pictures(&model->preparation, model->graph, model->graph->input, NULL, err));
    for (size_t i = 0; i < model->parameter_count; i++) {
        if (model->parameters[i].is_lent || model->options.is_blank) {
            continue;
        }
        st_graph_initialize(model->graph, model->parameters[i].node, model->parameters[i].state, model->options.seed,
                            model->scratch);
        st_model_set(model, i, -1, model->scratch);
    }
    return STRATA_OK;
}

strata_status st_model_create(st_model **out, st_pool *pool, const st_kernels *kernels, const st_graph *graph,
                              const st_model_options *options, strata_error *err) {
    *out = NULL;
    st_arena *arena = NULL;
    st_model *model = NULL;
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = st_arena_alloc(&model, arena, 1, sizeof *model, err);
    if (status == STRATA_OK) {
        *model = (st_model){.arena = arena, .pool = pool, .kernels = kernels, .graph = graph, .options = *options};
        status = build(model, err);
    }
    if (status != STRATA_OK) {
        st_arena_free(arena);
        return status;
    }
    *out = model;
    return STRATA_OK;
}

void st_model_free(st_model *model) {
    if (model != NULL) {
        st_arena_free(model->arena);
    }
}

/* ---- weights in and out ----------------------------------------------------------------------------------------- */

static st_real *tensor_of(const st_model *model, size_t index, int which) {
    const st_parameter *parameter = &model->parameters[index];
    bool is_average = which == ST_MODEL_AVERAGE || which == ST_MODEL_MOVING;
    if (is_average && parameter->average != NULL && (which == ST_MODEL_AVERAGE) != model->shows_average) {
        return parameter->average;
    }
    return which < 0 || is_average      ? parameter->value
           : which == ST_MODEL_GRADIENT ? parameter->gradient
                                        : parameter->slots[which];
}

void st_model_get(const st_model *model, size_t index, int which, st_real *published) {
    const st_parameter *parameter = &model->parameters[index];
    const st_real *native = tensor_of(model, index, which);
    if (parameter->impl != NULL && parameter->impl->unpack != NULL) {
        parameter->impl->unpack(parameter->site, parameter->state, native, published);
    } else {
        memcpy(published, native, parameter->published_count * sizeof *published);
    }
}

void st_model_set(st_model *model, size_t index, int which, const st_real *published) {
    const st_parameter *parameter = &model->parameters[index];
    st_real *native = tensor_of(model, index, which);
    if (parameter->impl != NULL && parameter->impl->pack != NULL) {
        parameter->impl->pack(parameter->site, parameter->state, published, native);
    } else {
        memcpy(native, published, parameter->published_count * sizeof *native);
    }
}

/* ---- pictures --------------------------------------------------------------------------------------------------- */

strata_status st_prepare_pictures(st_preparation *out, const st_graph *graph, st_dims picture,
                                  const st_preparation *numbers, strata_error *err) {
    st_dims input = graph->input;
    ST_FAIL_IF(picture.c != input.c, err, STRATA_SHAPE, "the net takes pictures of %lld channels, these have %lld",
               (long long)input.c, (long long)picture.c);
    ST_FAIL_IF(picture.h > input.h || picture.w > input.w, err, STRATA_SHAPE,
               "the net takes pictures of %lldx%lld, these are %lldx%lld: larger pictures are not cut",
               (long long)input.h, (long long)input.w, (long long)picture.h, (long long)picture.w);
    *out = (st_preparation){.picture = picture,
                            .pad_top = (input.h - picture.h) / 2,
                            .pad_left = (input.w - picture.w) / 2,
                            .range = numbers != NULL                   ? numbers->range
                                     : graph->input_line->range == 255 ? 1.0
                                                                       : 255.0,
                            .is_bgr = numbers != NULL ? numbers->is_bgr : graph->input_line->order == 1};
    for (int c = 0; c < 4; c++) {
        out->mean[c] = numbers != NULL ? numbers->mean[c] : graph->has_normalization ? graph->mean[c] : 0.0;
        out->deviation[c] = numbers != NULL            ? numbers->deviation[c]
                            : graph->has_normalization ? graph->deviation[c]
                                                       : 1.0;
    }
    return STRATA_OK;
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

void st_model_infer(st_model *model, const st_feed *feed) {
    st_exec_run(model->infer, feed);
}

void st_model_gradients(st_model *model, const st_feed *feed) {
    st_exec_run(model->train, feed);
}
