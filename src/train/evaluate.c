/* Accuracy of a model on one part of a data set. */
#include <string.h>

#include "train/train.h"

typedef struct evaluation {
    strata_model *model;
    st_batcher *batcher;
    st_tally tally;
    int64_t *confusion;
    strata_progress progress;
    void *user;
} evaluation;

static strata_status evaluate_batches(evaluation *state, size_t count, strata_error *err) {
    st_model *core = state->model->core;
    int output = core->graph->main_output;
    size_t classes = state->model->class_count, done = 0;
    while (done < count) {
        st_feed feed = {0};
        size_t n = 0;
        ST_TRY(st_batcher_next(state->batcher, &feed.pixels, &feed.labels, &n, err));
        feed.n = (int64_t)n;
        st_model_infer(core, &feed);
        st_tally_losses(&state->tally, st_exec_losses(core->infer, output), st_exec_ranks(core->infer, output), feed.n);
        for (size_t i = 0; i < n; i++) {
            st_exec_output(core->infer, output, (int64_t)i, core->scratch);
            size_t answer = st_tally_answer(&state->tally, core->scratch, classes, feed.labels[i]);
            if (state->confusion != NULL) {
                state->confusion[(size_t)feed.labels[i] * classes + answer]++;
            }
        }
        done += n;
        ST_FAIL_IF(state->progress != NULL && !state->progress(done, count, state->user), err, STRATA_CANCELLED,
                   "stopped after %zu of %zu pictures", done, count);
    }
    return STRATA_OK;
}

static strata_status check_fit(const strata_model *model, const strata_dataset *data, strata_error *err) {
    const st_graph *graph = model->core->graph;
    size_t count = strata_dataset_class_count(data);
    ST_FAIL_IF(graph->outputs[graph->main_output].loss == NULL, err, STRATA_INVALID,
               "the output '%s' has no loss to measure", graph->outputs[graph->main_output].name);
    ST_FAIL_IF(count != model->class_count, err, STRATA_SHAPE, "the net has %zu outputs, the data %zu classes",
               model->class_count, count);
    for (size_t i = 0; model->classes != NULL && i < count; i++) {
        ST_FAIL_IF(strcmp(model->classes[i], strata_dataset_class(data, i)) != 0, err, STRATA_SHAPE,
                   "class %zu is '%s' in the model and '%s' in the data", i, model->classes[i],
                   strata_dataset_class(data, i));
    }
    return STRATA_OK;
}

strata_status strata_evaluate(strata_metrics *out, strata_model *model, const strata_dataset *data, strata_part part,
                              int64_t *confusion, strata_progress progress, void *user, strata_error *err) {
    *out = (strata_metrics){0};
    size_t count = strata_dataset_count(data, part);
    ST_FAIL_IF(count == 0, err, STRATA_MISSING, "%s has no such part", strata_dataset_name(data));
    ST_TRY(check_fit(model, data, err));
    st_model *core = model->core;
    strata_shape shape = strata_dataset_shape(data);
    st_preparation stored = core->preparation, preparation;
    st_dims picture = {shape.height, shape.width, shape.channels};
    ST_TRY(st_prepare_pictures(&preparation, core->graph, picture, &stored, err));
    evaluation state = {.model = model, .confusion = confusion, .progress = progress, .user = user};
    if (confusion != NULL) {
        memset(confusion, 0, model->class_count * model->class_count * sizeof *confusion);
    }
    ST_TRY(st_batcher_create(&state.batcher, data, part, (size_t)core->options.batch, err));
    core->preparation = preparation;
    strata_status status = st_batcher_start(state.batcher, NULL, count, 0, err);
    if (status == STRATA_OK) {
        status = evaluate_batches(&state, count, err);
    }
    core->preparation = stored;
    st_batcher_free(state.batcher);
    if (status == STRATA_OK) {
        st_tally_metrics(&state.tally, model->class_count, out);
    }
    return status;
}
