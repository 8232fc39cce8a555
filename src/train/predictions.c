/* Predictions: the probabilities that a model gives to every class, for each picture of a part. They are what accuracy,
 * calibration, ensembles and comparisons are computed from, so each picture goes through the net once. */
#include <stdio.h>
#include <string.h>

#include "train/train.h"

/* ---- making them ------------------------------------------------------------------------------------------------ */

static size_t bytes_of(size_t count, size_t classes) {
    size_t row = 0, all = 0;
    bool fits = st_size_mul(classes, sizeof(float), &row) &&
                st_size_add(row, sizeof(uint32_t) + 2 * sizeof(int32_t) + sizeof(double), &row) &&
                st_size_mul(row, count, &all);
    return fits ? all : SIZE_MAX;
}

uint64_t strata_predictions_bytes(const strata_model *model, const strata_dataset *data, strata_part part) {
    return bytes_of(strata_dataset_count(data, part), model->class_count);
}

static strata_status fill(strata_predictions *to, strata_error *err) {
    ST_FAIL_IF(bytes_of(to->count, to->class_count) == SIZE_MAX, err, STRATA_MEMORY,
               "no memory for %zu classes of %zu pictures", to->class_count, to->count);
    ST_TRY(st_arena_alloc(&to->indexes, to->arena, to->count, sizeof *to->indexes, err));
    ST_TRY(st_arena_alloc(&to->labels, to->arena, to->count, sizeof *to->labels, err));
    ST_TRY(st_arena_alloc(&to->probabilities, to->arena, to->count * to->class_count, sizeof *to->probabilities, err));
    ST_TRY(st_arena_alloc(&to->ranks, to->arena, to->count, sizeof *to->ranks, err));
    return st_arena_alloc(&to->losses, to->arena, to->count, sizeof *to->losses, err);
}

strata_status st_predictions_make(strata_predictions **out, size_t count, size_t class_count, strata_error *err) {
    st_arena *arena = NULL;
    *out = NULL;
    ST_TRY(st_arena_create(&arena, err));
    strata_predictions *made = NULL;
    strata_status status = st_arena_alloc(&made, arena, 1, sizeof *made, err);
    if (status == STRATA_OK) {
        *made = (strata_predictions){.arena = arena, .count = count, .class_count = class_count};
        status = fill(made, err);
    }
    if (status != STRATA_OK) {
        st_arena_free(arena);
        return status;
    }
    *out = made;
    return STRATA_OK;
}

void strata_predictions_free(strata_predictions *predictions) {
    if (predictions != NULL) {
        st_arena_free(predictions->arena);
    }
}

static strata_status copy_names(strata_predictions *to, char *const *names, strata_error *err) {
    if (names == NULL) {
        return STRATA_OK;
    }
    ST_TRY(st_arena_alloc(&to->classes, to->arena, to->class_count, sizeof *to->classes, err));
    for (size_t i = 0; i < to->class_count; i++) {
        ST_TRY(st_arena_text(&to->classes[i], to->arena, names[i], strlen(names[i]), err));
    }
    return STRATA_OK;
}

/* ---- asking about a part ---------------------------------------------------------------------------------------- */

/* The part's pictures, as a question has them. */
typedef struct asked_part {
    const strata_predictions *predictions;
    st_views views;
} asked_part;

static strata_status stage_of_part(const void *from, size_t item, st_reader *with, st_views *views, strata_error *err) {
    const asked_part *asked = from;
    const strata_predictions *p = asked->predictions;
    *views = asked->views;
    return st_data_stage(p->data, p->part, p->indexes[item], &views->geometry, with, err);
}

static void take_answer(void *to, const st_answer *answer) {
    strata_predictions *p = to;
    memcpy(p->probabilities + answer->item * p->class_count, answer->probabilities,
           p->class_count * sizeof *p->probabilities);
    p->ranks[answer->item] = answer->rank;
    p->losses[answer->item] = answer->loss;
}

strata_status st_part_select(uint32_t *indexes, int32_t *labels, size_t *count, const st_class_map *map,
                             const strata_dataset *data, strata_part part, bool skip_unknown, strata_error *err) {
    const strata_class_match *match = &map->match;
    size_t pictures = strata_dataset_count(data, part);
    *count = 0;
    if (match->unknown > 0 && !skip_unknown) {
        st_fail(err, STRATA_MISSING, "the model does not know %zu class%s of %s (%s), of which there %s %zu picture%s",
                match->unknown, match->unknown == 1 ? "" : "es", strata_dataset_name(data), match->unknown_names,
                match->unknown_pictures == 1 ? "is" : "are", match->unknown_pictures,
                match->unknown_pictures == 1 ? "" : "s");
        return STRATA_MISSING;
    }
    ST_FAIL_IF(match->known == 0, err, STRATA_MISSING, "the model knows none of the classes of %s (%s)",
               strata_dataset_name(data), match->unknown_names);
    for (size_t i = 0; i < pictures; i++) {
        int32_t output = map->outputs[st_data_label(data, part, i)];
        if (output >= 0) {
            indexes[*count] = (uint32_t)i;
            labels[(*count)++] = output;
        }
    }
    return STRATA_OK;
}

static strata_status ask_part(strata_predictions *p, strata_model *model, const st_class_map *map,
                              const strata_predict_options *options, strata_progress progress, void *user,
                              strata_error *err) {
    size_t all = p->count;
    asked_part asked = {.predictions = p};
    st_geometry geometry;
    st_preparation preparation;
    ST_TRY(st_part_select(p->indexes, p->labels, &p->count, map, p->data, p->part, options->skip_unknown, err));
    p->left_out = all - p->count;
    ST_TRY(copy_names(p, model->classes, err));
    ST_TRY(st_train_prepare(&geometry, &preparation, model, strata_dataset_shape(p->data), err));
    ST_TRY(st_views_choose(&asked.views, &geometry, &preparation, model->core->graph->input, options, err));
    st_questions questions = {.model = model,
                              .count = p->count,
                              .labels = p->labels,
                              .options = *options,
                              .stage = stage_of_part,
                              .from = &asked,
                              .take = take_answer,
                              .to = p,
                              .progress = progress,
                              .user = user};
    return st_questions_ask(&questions, err);
}

strata_status strata_predictions_create(strata_predictions **out, strata_model *model, const strata_dataset *data,
                                        strata_part part, const strata_predict_options *options,
                                        strata_progress progress, void *user, strata_error *err) {
    static const strata_predict_options none;
    st_class_map map;
    strata_predictions *made = NULL;
    *out = NULL;
    ST_TRY(st_predictions_make(&made, strata_dataset_count(data, part), model->class_count, err));
    made->data = data;
    made->part = part;
    strata_status status = st_class_map_make(&map, made->arena, model, data, part, err);
    if (status == STRATA_OK) {
        status = ask_part(made, model, &map, options != NULL ? options : &none, progress, user, err);
    }
    if (status != STRATA_OK) {
        strata_predictions_free(made);
        return status;
    }
    *out = made;
    return STRATA_OK;
}

/* ---- ensembles -------------------------------------------------------------------------------------------------- */

strata_status st_predictions_alike(const strata_predictions *a, const strata_predictions *b, strata_error *err) {
    bool same = a->data == b->data && a->part == b->part && a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) {
        same = a->indexes[i] == b->indexes[i];
    }
    ST_FAIL_IF(!same, err, STRATA_SHAPE, "the predictions are of different pictures");
    return STRATA_OK;
}

/* Which class of `from` each class of `to` is. */
static strata_status match_members(size_t *out, const strata_predictions *to, const strata_predictions *from,
                                   strata_error *err) {
    ST_FAIL_IF(to->class_count != from->class_count, err, STRATA_SHAPE,
               "an ensemble needs the same classes: one model tells %zu apart, another %zu", to->class_count,
               from->class_count);
    for (size_t i = 0; i < to->class_count; i++) {
        size_t at = i; /* mostly the same order */
        for (size_t k = 0; to->classes != NULL && from->classes != NULL && k < to->class_count; k++) {
            at = (i + k) % to->class_count;
            if (strcmp(to->classes[i], from->classes[at]) == 0) {
                break;
            }
            ST_FAIL_IF(k + 1 == to->class_count, err, STRATA_SHAPE,
                       "an ensemble needs the same classes: one model knows '%.100s', another does not",
                       to->classes[i]);
        }
        out[i] = at;
    }
    return STRATA_OK;
}

/* One picture's mean, members in their order. */
static void average_row(strata_predictions *to, size_t picture, const strata_predictions *const *members,
                        const size_t *maps, size_t count) {
    size_t classes = to->class_count;
    float *row = to->probabilities + picture * classes;
    for (size_t c = 0; c < classes; c++) {
        double sum = 0.0;
        for (size_t m = 0; m < count; m++) {
            sum += (double)members[m]->probabilities[picture * classes + maps[m * classes + c]];
        }
        row[c] = (float)(sum / (double)count);
    }
    to->ranks[picture] = st_rank(row, classes, to->labels[picture]);
    to->losses[picture] = st_loss_of((double)row[to->labels[picture]]);
}

static strata_status average(strata_predictions *to, const strata_predictions *const *members, size_t count,
                             strata_error *err) {
    const strata_predictions *first = members[0];
    size_t *maps = NULL, room = 0;
    ST_FAIL_IF(!st_size_mul(count, to->class_count, &room), err, STRATA_MEMORY, "no memory for %zu members", count);
    ST_TRY(st_arena_alloc(&maps, to->arena, room, sizeof *maps, err));
    for (size_t m = 0; m < count; m++) {
        ST_TRY(st_predictions_alike(first, members[m], err));
        ST_TRY(match_members(maps + m * to->class_count, first, members[m], err));
    }
    to->data = first->data;
    to->part = first->part;
    to->left_out = first->left_out;
    ST_TRY(copy_names(to, first->classes, err));
    memcpy(to->indexes, first->indexes, to->count * sizeof *to->indexes);
    memcpy(to->labels, first->labels, to->count * sizeof *to->labels);
    if (count == 1) { /* an ensemble of one is that one, its losses too */
        memcpy(to->probabilities, first->probabilities, to->count * to->class_count * sizeof *to->probabilities);
        memcpy(to->ranks, first->ranks, to->count * sizeof *to->ranks);
        memcpy(to->losses, first->losses, to->count * sizeof *to->losses);
        return STRATA_OK;
    }
    for (size_t i = 0; i < to->count; i++) {
        average_row(to, i, members, maps, count);
    }
    return STRATA_OK;
}

strata_status strata_predictions_average(strata_predictions **out, const strata_predictions *const *members,
                                         size_t count, strata_error *err) {
    *out = NULL;
    ST_FAIL_IF(count == 0, err, STRATA_INVALID, "an ensemble needs at least 1 model");
    strata_predictions *made = NULL;
    ST_TRY(st_predictions_make(&made, members[0]->count, members[0]->class_count, err));
    strata_status status = average(made, members, count, err);
    if (status != STRATA_OK) {
        strata_predictions_free(made);
        return status;
    }
    *out = made;
    return STRATA_OK;
}

/* ---- looking ---------------------------------------------------------------------------------------------------- */

size_t strata_predictions_count(const strata_predictions *predictions) {
    return predictions->count;
}

size_t strata_predictions_left_out(const strata_predictions *predictions) {
    return predictions->left_out;
}

size_t strata_predictions_class_count(const strata_predictions *predictions) {
    return predictions->class_count;
}

const char *strata_predictions_class(strata_predictions *predictions, size_t index) {
    if (predictions->classes != NULL && index < predictions->class_count) {
        return predictions->classes[index];
    }
    (void)snprintf(predictions->number_name, sizeof predictions->number_name, "%zu", index);
    return predictions->number_name;
}

const char *strata_predictions_file(strata_predictions *predictions, size_t picture) {
    predictions->file_name[0] = '\0';
    if (predictions->data != NULL && picture < predictions->count) {
        strata_dataset_file(predictions->data, predictions->part, predictions->indexes[picture],
                            predictions->file_name);
    }
    return predictions->file_name;
}

size_t strata_predictions_index(const strata_predictions *predictions, size_t picture) {
    return predictions->indexes[picture];
}

size_t strata_predictions_label(const strata_predictions *predictions, size_t picture) {
    return (size_t)predictions->labels[picture];
}

const float *strata_predictions_row(const strata_predictions *predictions, size_t picture) {
    return predictions->probabilities + picture * predictions->class_count;
}
