/* Accuracy of a model on one part of a data set: counted picture by picture, nothing is kept. */
#include <string.h>

#include "train/train.h"

typedef struct evaluation {
    const strata_dataset *data;
    strata_part part;
    st_views views;
    uint32_t *indexes; /* [pictures] */
    int32_t *labels;   /* [pictures] */
    size_t classes;
    st_tally tally;
    int64_t *confusion;
} evaluation;

static strata_status stage_of_part(const void *from, size_t item, st_reader *with, st_views *views, strata_error *err) {
    const evaluation *state = from;
    *views = state->views;
    return st_data_stage(state->data, state->part, state->indexes[item], &views->geometry, with, err);
}

static void count_answer(void *to, const st_answer *answer) {
    evaluation *state = to;
    size_t guess = 0;
    int32_t label = state->labels[answer->item];
    strata_top(&guess, 1, answer->probabilities, state->classes);
    state->tally.loss += answer->loss;
    state->tally.correct += answer->rank == 0;
    state->tally.correct5 += answer->rank < 5;
    state->tally.count++;
    st_tally_confidence(&state->tally, (double)answer->probabilities[guess], answer->rank == 0);
    if (state->confusion != NULL) {
        state->confusion[(size_t)label * state->classes + (answer->rank == 0 ? (size_t)label : guess)]++;
    }
}

static strata_status evaluate(evaluation *state, strata_model *model, st_arena *arena, strata_progress progress,
                              void *user, strata_error *err) {
    st_class_map map;
    st_geometry geometry;
    st_preparation preparation;
    size_t count = strata_dataset_count(state->data, state->part);
    ST_TRY(st_class_map_make(&map, arena, model, state->data, state->part, err));
    ST_TRY(st_arena_alloc(&state->indexes, arena, count, sizeof *state->indexes, err));
    ST_TRY(st_arena_alloc(&state->labels, arena, count, sizeof *state->labels, err));
    ST_TRY(st_part_select(state->indexes, state->labels, &count, &map, state->data, state->part, false, err));
    ST_TRY(st_train_prepare(&geometry, &preparation, model, strata_dataset_shape(state->data), err));
    ST_TRY(st_views_choose(&state->views, &geometry, &preparation, model->core->graph->input, NULL, err));
    st_questions questions = {.model = model,
                              .count = count,
                              .labels = state->labels,
                              .stage = stage_of_part,
                              .from = state,
                              .take = count_answer,
                              .to = state,
                              .progress = progress,
                              .user = user};
    return st_questions_ask(&questions, err);
}

strata_status strata_evaluate(strata_metrics *out, strata_model *model, const strata_dataset *data, strata_part part,
                              int64_t *confusion, strata_progress progress, void *user, strata_error *err) {
    st_arena *arena = NULL;
    evaluation state = {.data = data, .part = part, .classes = model->class_count, .confusion = confusion};
    *out = (strata_metrics){0};
    if (confusion != NULL) {
        memset(confusion, 0, state.classes * state.classes * sizeof *confusion);
    }
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = evaluate(&state, model, arena, progress, user, err);
    st_arena_free(arena);
    if (status == STRATA_OK) {
        st_tally_metrics(&state.tally, state.classes, out);
    }
    return status;
}
