/* include/strata.h, part 2: run a net. */
#include "api/api.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- options ---------------------------------------------------------------------------------------------------- */

enum { STANDARD_BATCH = 64 };
static const int64_t STEP_LIMIT = 1 << 30; /* pictures of a step */

strata_status st_api_options(st_model_options *out, st_optimizer *optimizer, const strata_build_options *options,
                             strata_error *err) {
    const strata_build_options none = {0};
    options = options != NULL ? options : &none;
    ST_TRY(st_optimizer_parse(optimizer, options->optimizer, err));
    ST_FAIL_IF(options->batch < 0 || options->batch > ST_API_BATCH_LIMIT, err, STRATA_INVALID,
               "batch must be from 1 to %d, found %" PRId64, ST_API_BATCH_LIMIT, options->batch);
    int64_t batch = options->batch != 0 ? options->batch : STANDARD_BATCH;
    ST_FAIL_IF(options->accumulate < 0 || options->accumulate > STEP_LIMIT / batch, err, STRATA_INVALID,
               "batches of a step must be from 1 to %" PRId64 ", found %" PRId64, STEP_LIMIT / batch,
               options->accumulate);
    *out = (st_model_options){.batch = batch,
                              .total = options->accumulate > 1 ? batch * options->accumulate : 0,
                              .train = options->train,
                              .averages = options->average,
                              .slot_count = *optimizer == ST_OPTIMIZER_ADAMW ? 2 : 1,
                              .seed = options->seed,
                              .is_blank = options->blank};
    return STRATA_OK;
}

/* The net as the options change it: a copy, with their `freeze`. */
static strata_status own_net(strata_net **out, const strata_net *net, const char *freeze, strata_error *err) {
    return st_api_net_from_text(out, net->graph->name, net->text, strlen(net->text), NULL, freeze, err);
}

static const char *freeze_of(const strata_build_options *options) {
    return options != NULL ? options->freeze : NULL;
}

strata_status strata_model_memory(strata_memory *out, const strata_runtime *runtime, const strata_net *net,
                                  const strata_build_options *options, strata_error *err) {
    st_model_options core;
    st_optimizer optimizer;
    strata_net *copy = NULL;
    *out = (strata_memory){0};
    ST_TRY(st_api_options(&core, &optimizer, options, err));
    ST_TRY(own_net(&copy, net, freeze_of(options), err));
    st_dims input = copy->graph->input;
    size_t bytes = st_batcher_bytes((size_t)(input.h * input.w * input.c), (size_t)core.batch);
    strata_status status =
        st_model_need(out, runtime->kernels, st_pool_threads(runtime->pool), copy->graph, &core, bytes, err);
    strata_net_free(copy);
    return status;
}

strata_status strata_model_plan_text(char **out, const strata_runtime *runtime, const strata_net *net,
                                     const strata_build_options *options, strata_error *err) {
    st_model_options core;
    st_optimizer optimizer;
    strata_net *copy = NULL;
    const st_plan *plan = NULL;
    st_text text = {0};
    *out = NULL;
    ST_TRY(st_api_options(&core, &optimizer, options, err));
    ST_TRY(own_net(&copy, net, freeze_of(options), err));
    st_plan_options plan_options = {.mode = core.train ? ST_MODE_TRAIN : ST_MODE_INFER,
                                    .batch = core.batch,
                                    .total = core.total,
                                    .threads = st_pool_threads(runtime->pool),
                                    .kernels = runtime->kernels};
    strata_status status = st_plan_build(&plan, copy->arena, copy->graph, &plan_options, err);
    if (status == STRATA_OK) {
        st_plan_text(&text, plan);
        status = st_text_finish(out, &text, err);
    }
    strata_net_free(copy);
    return status;
}

/* ---- building --------------------------------------------------------------------------------------------------- */

strata_status st_api_model_build(strata_model **out, strata_runtime *runtime, const strata_net *net, const char *freeze,
                                 const st_model_options *options, st_optimizer optimizer, strata_error *err) {
    st_arena *arena = NULL;
    strata_model *model = NULL;
    *out = NULL;
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = st_arena_alloc(&model, arena, 1, sizeof *model, err);
    if (status != STRATA_OK) {
        st_arena_free(arena);
        return status;
    }
    *model = (strata_model){.arena = arena, .runtime = runtime, .optimizer = optimizer};
    status = st_arena_alloc(&model->number_name, arena, 32, 1, err);
    if (status == STRATA_OK) {
        status = own_net(&model->net, net, freeze, err);
    }
    if (status == STRATA_OK) {
        status = st_model_create(&model->core, runtime->pool, runtime->kernels, model->net->graph, options, err);
    }
    if (status != STRATA_OK) {
        strata_model_free(model);
        return status;
    }
    strata_net_info info;
    strata_net_info_get(model->net, false, &info);
    model->class_count = (size_t)info.class_count;
    *out = model;
    return STRATA_OK;
}

strata_status strata_model_build(strata_model **out, strata_runtime *runtime, const strata_net *net,
                                 const strata_build_options *options, strata_error *err) {
    st_model_options core;
    st_optimizer optimizer;
    *out = NULL;
    ST_TRY(st_api_options(&core, &optimizer, options, err));
    ST_TRY(st_api_model_build(out, runtime, net, freeze_of(options), &core, optimizer, err));
    (*out)->has_own_preparation = options != NULL && options->own_preparation;
    (*out)->skips_self_test = options != NULL && (options->skip_self_test || options->own_preparation);
    return STRATA_OK;
}

static strata_status take_head(strata_model *model, const st_checkpoint_head *head, strata_error *err) {
    if (head->has_preparation) {
        st_preparation preparation;
        ST_TRY(
            st_prepare_pictures(&preparation, model->net->graph, head->preparation.picture, &head->preparation, err));
        st_train_take_preparation(model, &head->geometry, &preparation);
    }
    if (head->class_count == 0) {
        return STRATA_OK;
    }
    ST_FAIL_IF(head->class_count != model->class_count, err, STRATA_FORMAT,
               "it names %zu classes, its net has %zu outputs", head->class_count, model->class_count);
    ST_TRY(st_arena_alloc(&model->classes, model->arena, head->class_count, sizeof *model->classes, err));
    for (size_t i = 0; i < head->class_count; i++) {
        ST_TRY(st_arena_text(&model->classes[i], model->arena, head->classes[i], strlen(head->classes[i]), err));
    }
    return STRATA_OK;
}

void strata_model_free(strata_model *model) {
    if (model != NULL) {
        st_model_free(model->core);
        strata_net_free(model->net);
        st_arena_free(model->arena);
    }
}

/* ---- weights ---------------------------------------------------------------------------------------------------- */

/* A stranger's file holds weights alone; one of ours also says how its pictures were prepared and what its classes are:
 * both are taken where the model does not know them. */
static strata_status take_missing(strata_model *model, const st_weights *weights, strata_error *err) {
    st_arena *arena = NULL;
    st_checkpoint_head head = {0};
    if (model->has_preparation && model->classes != NULL) {
        return STRATA_OK;
    }
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = st_checkpoint_head_take(&head, arena, weights, err);
    if (status == STRATA_OK) {
        head.has_preparation = head.has_preparation && !model->has_preparation && !model->has_own_preparation;
        head.class_count = model->classes == NULL ? head.class_count : 0;
        status = take_head(model, &head, err);
    }
    st_arena_free(arena);
    return status;
}

/* Where nothing else says how pictures are prepared, the net's input line does: in words for a person. What sizes they
 * come in still decides, so the model does not hold on to it. */
static strata_status describe_preparation(strata_model *model, strata_error *err) {
    const st_graph *graph = model->net->graph;
    st_geometry geometry;
    st_preparation preparation;
    if (model->has_preparation || !graph->has_normalization) {
        return STRATA_OK;
    }
    ST_TRY(st_train_prepare(&geometry, &preparation, model, (strata_shape){0, 0, graph->input.c}, err));
    st_train_take_preparation(model, &geometry, &preparation);
    model->has_preparation = false;
    return STRATA_OK;
}

static strata_status load_open(strata_model *model, const st_weights *weights, strata_error *err) {
    bool is_whole = !model->has_preparation; /* then what the file says of pictures holds */
    ST_TRY(st_checkpoint_load_open(model, weights, err));
    ST_TRY(take_missing(model, weights, err));
    ST_TRY(describe_preparation(model, err));
    return is_whole && model->preparation[0] != '\0' && !model->skips_self_test
               ? st_self_test_check(model, weights, err)
               : STRATA_OK;
}

strata_status strata_model_load_weights(strata_model *model, const strata_weights *weights, strata_error *err) {
    return load_open(model, st_api_weights(weights), err);
}

strata_status strata_model_load(strata_model *model, const char *path, strata_error *err) {
    st_weights weights;
    ST_TRY(st_weights_open(&weights, path, err));
    strata_status status = load_open(model, &weights, err);
    st_weights_close(&weights);
    return status;
}

/* The net of an open checkpoint, then all else that the file holds. */
static strata_status open_weights(strata_model **out, strata_runtime *runtime, const st_weights *weights,
                                  const strata_build_options *options, strata_error *err) {
    st_checkpoint_head head = {0};
    strata_net *net = NULL;
    const char *path = weights->file.path;
    ST_TRY(st_checkpoint_head_take(&head, weights->arena, weights, err));
    ST_TRY(st_checkpoint_need_net(&head, path, err));
    ST_TRY(st_api_net_from_text(&net, path, head.net_text, strlen(head.net_text), NULL, NULL, err));
    strata_build_options blank = options != NULL ? *options : (strata_build_options){0};
    blank.blank = true;
    strata_status status = strata_model_build(out, runtime, net, &blank, err);
    strata_net_free(net);
    return status == STRATA_OK ? load_open(*out, weights, err) : status;
}

strata_status strata_model_open(strata_model **out, strata_runtime *runtime, const char *checkpoint,
                                const strata_build_options *options, strata_error *err) {
    st_weights weights;
    *out = NULL;
    ST_TRY(st_weights_open(&weights, checkpoint, err));
    strata_status status = open_weights(out, runtime, &weights, options, err);
    st_weights_close(&weights);
    if (status != STRATA_OK) {
        strata_model_free(*out);
        *out = NULL;
        st_error_file(err, checkpoint);
    }
    return status;
}

/* The head of another net's weights stays only where its classes are these. */
static bool names_are(const st_checkpoint_head *head, const char *const *classes, size_t count) {
    bool same = head->class_count == 0 || classes == NULL || head->class_count == count;
    for (size_t i = 0; same && classes != NULL && i < head->class_count; i++) {
        same = strcmp(head->classes[i], classes[i]) == 0;
    }
    return same;
}

static strata_status adapt(st_text *replaced, strata_model *model, st_arena *arena, const char *path,
                           const char *const *classes, size_t class_count, strata_error *err) {
    st_checkpoint_head head = {0};
    ST_TRY(st_checkpoint_head_read(&head, arena, path, err));
    ST_TRY(st_checkpoint_adapt(model, names_are(&head, classes, class_count), replaced, path, err));
    head.class_count = 0; /* the data's are taken */
    head.has_preparation = head.has_preparation && !model->has_preparation;
    return take_head(model, &head, err);
}

strata_status strata_model_adapt(char **replaced, strata_model *model, const char *path, const char *const *classes,
                                 size_t class_count, strata_error *err) {
    st_arena *arena = NULL;
    st_text text = {0};
    *replaced = NULL;
    ST_TRY(st_arena_create(&arena, err));
    st_text_add(&text, "%s", "");
    strata_status status = adapt(&text, model, arena, path, classes, class_count, err);
    st_arena_free(arena);
    if (status != STRATA_OK) {
        st_text_free(&text);
        return status;
    }
    return st_text_finish(replaced, &text, err);
}

strata_status strata_model_save(strata_model *model, const char *path, strata_error *err) {
    st_text text = {0};
    strata_status status = st_self_test_add(&text, model, err);
    if (status == STRATA_OK && text.failed) {
        status = st_fail(err, STRATA_MEMORY, "no memory for the answers of the self-test");
    }
    if (status == STRATA_OK) {
        status = st_checkpoint_save(model, NULL, NULL, text.bytes, path, err);
    }
    st_text_free(&text);
    return status;
}

const strata_net *strata_model_net(const strata_model *model) {
    return model->net;
}

void strata_model_hash(const strata_model *model, char out[65]) {
    st_checkpoint_hash(model, out);
}

size_t strata_model_class_count(const strata_model *model) {
    return model->class_count;
}

const char *strata_model_class(const strata_model *model, size_t index) {
    if (model->classes != NULL && index < model->class_count) {
        return model->classes[index];
    }
    (void)snprintf(model->number_name, 32, "%zu", index);
    return model->number_name;
}

const char *strata_model_preparation(const strata_model *model) {
    return model->preparation;
}
