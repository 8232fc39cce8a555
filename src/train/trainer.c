/* The trainer: one batch, one epoch, and its place in the run. Everything that decides a result is a function of seed,
 * epoch and step, so that a resumed run goes on with the same bits. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/train.h"

struct strata_trainer {
    st_arena *arena;
    strata_model *model;
    strata_dataset *data;
    st_recipe recipe;
    st_place_in_run place;
    st_batcher *batcher;
    uint32_t *order;
    size_t count; /* training pictures */
    int64_t epoch_steps;
    bool is_started; /* the batcher runs on this epoch's order */
    double learning_rate;
};

static void add_numbers(char *out, size_t capacity, const char *before, const double *numbers, int64_t count) {
    size_t length = strlen(out);
    for (int64_t i = 0; i < count && length + 16 < capacity; i++) {
        length += (size_t)snprintf(out + length, capacity - length, "%s%.3f", i == 0 ? before : " ", numbers[i]);
    }
}

void st_train_take_preparation(strata_model *model, const st_preparation *preparation) {
    st_dims input = model->core->graph->input, picture = preparation->picture;
    char *out = model->preparation;
    size_t capacity = sizeof model->preparation;
    int64_t bottom = input.h - picture.h - preparation->pad_top, right = input.w - picture.w - preparation->pad_left;
    model->core->preparation = *preparation;
    model->has_preparation = true;
    out[0] = '\0';
    if (bottom > 0 || right > 0) {
        (void)snprintf(out, capacity, "%" PRId64 "x%" PRId64 " padded by ", picture.h, picture.w);
        size_t length = strlen(out);
        if (preparation->pad_top == bottom && preparation->pad_left == right && bottom == right) {
            (void)snprintf(out + length, capacity - length, "%" PRId64 " on each side", bottom);
        } else {
            (void)snprintf(out + length, capacity - length,
                           "%" PRId64 " above, %" PRId64 " below, %" PRId64 " left, %" PRId64 " right",
                           preparation->pad_top, bottom, preparation->pad_left, right);
        }
        length = strlen(out);
        (void)snprintf(out + length, capacity - length, " to %" PRId64 "x%" PRId64 "; ", input.h, input.w);
    }
    (void)strncat(out, "0 to 1", capacity - strlen(out) - 1);
    add_numbers(out, capacity, ", minus ", preparation->mean, picture.c);
    add_numbers(out, capacity, ", by ", preparation->deviation, picture.c);
}

/* ---- making one ------------------------------------------------------------------------------------------------- */

/* Mean and deviation of the data, where the net's input line says none. A channel without contrast keeps deviation 1.
 */
static strata_status take_preparation(strata_trainer *trainer, strata_error *err) {
    st_model *core = trainer->model->core;
    strata_shape shape = strata_dataset_shape(trainer->data);
    st_dims picture = {shape.height, shape.width, shape.channels};
    st_preparation preparation;
    ST_TRY(st_prepare_pictures(&preparation, core->graph, picture, NULL, err));
    if (!core->graph->has_normalization) {
        ST_TRY(strata_dataset_statistics(trainer->data, preparation.mean, preparation.deviation, err));
        for (int64_t c = 0; c < picture.c && c < 4; c++) {
            preparation.deviation[c] = preparation.deviation[c] > 1e-6 ? preparation.deviation[c] : 1.0;
        }
    }
    st_train_take_preparation(trainer->model, &preparation);
    return STRATA_OK;
}

static strata_status take_classes(strata_trainer *trainer, strata_error *err) {
    strata_model *model = trainer->model;
    size_t count = strata_dataset_class_count(trainer->data);
    if (count != model->class_count) {
        strata_status status =
            st_fail(err, STRATA_SHAPE, "the net has %zu outputs, the data %zu classes", model->class_count, count);
        st_error_hint(err, "where the net has a knob for it: --set classes=%zu", count);
        return status;
    }
    ST_TRY(st_arena_alloc(&model->classes, model->arena, count, sizeof *model->classes, err));
    for (size_t i = 0; i < count; i++) {
        const char *name = strata_dataset_class(trainer->data, i);
        ST_TRY(st_arena_text(&model->classes[i], model->arena, name, strlen(name), err));
    }
    return STRATA_OK;
}

static strata_status check_fit(const strata_trainer *trainer, strata_error *err) {
    const strata_model *model = trainer->model;
    ST_FAIL_IF(model->core->train == NULL, err, STRATA_INVALID, "the model was not built for training");
    ST_FAIL_IF(model->optimizer != trainer->recipe.optimizer, err, STRATA_INVALID,
               "the model was built for another optimizer");
    bool has_loss = false;
    for (int i = 0; i < model->core->graph->output_count; i++) {
        has_loss = has_loss || model->core->graph->outputs[i].loss != NULL;
    }
    const st_output *main_output = &model->core->graph->outputs[model->core->graph->main_output];
    ST_FAIL_IF(!has_loss || main_output->loss == NULL, err, STRATA_INVALID,
               "the output '%s' has no loss: write `output %s loss=cross_entropy`", main_output->name,
               main_output->name);
    ST_FAIL_IF(strata_dataset_count(trainer->data, STRATA_TRAIN) == 0, err, STRATA_INVALID,
               "%s has no training pictures", strata_dataset_name(trainer->data));
    return STRATA_OK;
}

static strata_status build(strata_trainer *trainer, const strata_train_options *options, strata_error *err) {
    ST_TRY(st_recipe_fill(&trainer->recipe, options, err));
    ST_TRY(st_augment_fits(&trainer->recipe.augment, strata_dataset_shape(trainer->data), err));
    ST_TRY(check_fit(trainer, err));
    ST_TRY(take_classes(trainer, err));
    ST_TRY(take_preparation(trainer, err));
    st_data_fingerprint(trainer->data, trainer->recipe.data);
    int64_t batch = trainer->model->core->options.batch;
    trainer->count = strata_dataset_count(trainer->data, STRATA_TRAIN);
    trainer->epoch_steps = ((int64_t)trainer->count + batch - 1) / batch;
    ST_TRY(st_arena_alloc(&trainer->order, trainer->arena, trainer->count, sizeof *trainer->order, err));
    return st_batcher_create(&trainer->batcher, trainer->data, STRATA_TRAIN, (size_t)batch, err);
}

strata_status strata_trainer_create(strata_trainer **out, strata_model *model, strata_dataset *data,
                                    const strata_train_options *options, strata_error *err) {
    st_arena *arena = NULL;
    strata_trainer *trainer = NULL;
    *out = NULL;
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = st_arena_alloc(&trainer, arena, 1, sizeof *trainer, err);
    if (status != STRATA_OK) {
        st_arena_free(arena);
        return status;
    }
    *trainer = (strata_trainer){.arena = arena, .model = model, .data = data};
    status = build(trainer, options, err);
    if (status != STRATA_OK) {
        strata_trainer_free(trainer);
        return status;
    }
    *out = trainer;
    return STRATA_OK;
}

void strata_trainer_free(strata_trainer *trainer) {
    if (trainer != NULL) {
        st_batcher_free(trainer->batcher);
        st_arena_free(trainer->arena);
    }
}

/* ---- a step ----------------------------------------------------------------------------------------------------- */

static int64_t total_steps(const strata_trainer *trainer) {
    return trainer->epoch_steps * trainer->recipe.epochs;
}

bool strata_trainer_is_done(const strata_trainer *trainer) {
    return trainer->place.epoch >= trainer->recipe.epochs;
}

void strata_trainer_place(const strata_trainer *trainer, strata_step_info *out) {
    const st_place_in_run *place = &trainer->place;
    double images = place->images > 0 ? (double)place->images : 1.0;
    *out = (strata_step_info){.epoch = place->epoch + 1,
                              .step = place->step,
                              .step_count = trainer->epoch_steps,
                              .images = place->images,
                              .loss = place->loss_sum / images,
                              .top1 = (double)place->correct / images,
                              .learning_rate = trainer->learning_rate,
                              .epoch_done = place->step == trainer->epoch_steps};
}

/* The border is the byte that preparation takes nearest to 0. */
static void augment_epoch(strata_trainer *trainer) {
    const st_preparation *preparation = &trainer->model->core->preparation;
    st_augmentation augmentation = {
        .augment = trainer->recipe.augment, .seed = trainer->recipe.seed, .epoch = (uint64_t)trainer->place.epoch};
    for (size_t c = 0; c < ST_COUNT_OF(augmentation.fill); c++) {
        double byte = preparation->mean[c] * 255.0 + 0.5;
        augmentation.fill[c] = (uint8_t)(byte < 0.0 ? 0.0 : byte > 255.0 ? 255.0 : byte);
    }
    st_batcher_augment(trainer->batcher, &augmentation);
}

static strata_status start_epoch(strata_trainer *trainer, strata_error *err) {
    st_data_order(trainer->order, trainer->count, trainer->recipe.seed, (uint64_t)trainer->place.epoch);
    size_t first = (size_t)(trainer->place.step * trainer->model->core->options.batch);
    if (trainer->recipe.augment.count > 0) {
        augment_epoch(trainer);
    }
    ST_TRY(st_batcher_start(trainer->batcher, trainer->order, trainer->count, first, err));
    trainer->is_started = true;
    return STRATA_OK;
}

static strata_status fail_not_finite(strata_trainer *trainer, strata_error *err) {
    const char *layer = st_exec_first_not_finite(trainer->model->core->train);
    strata_status status =
        st_fail(err, STRATA_INVALID, "the loss is not a number any more in epoch %" PRId64 ", step %" PRId64 "%s%s",
                trainer->place.epoch + 1, trainer->place.step + 1,
                layer != NULL ? ": the first layer with infinities is " : "", layer != NULL ? layer : "");
    st_error_hint(err, "a smaller learning rate (now %g), a warm-up, or batch normalisation", trainer->learning_rate);
    return status;
}

strata_status strata_trainer_step(strata_trainer *trainer, strata_step_info *out, strata_error *err) {
    st_model *core = trainer->model->core;
    st_place_in_run *place = &trainer->place;
    *out = (strata_step_info){0};
    ST_FAIL_IF(strata_trainer_is_done(trainer), err, STRATA_INVALID, "the run is done: all %" PRId64 " epochs",
               trainer->recipe.epochs);
    ST_FAIL_IF(place->step >= trainer->epoch_steps, err, STRATA_INVALID,
               "the epoch is done: strata_trainer_end_epoch comes next");
    if (!trainer->is_started) {
        ST_TRY(start_epoch(trainer, err));
    }
    st_feed feed = {.step = place->global_step, .label_smoothing = trainer->recipe.label_smoothing};
    size_t n = 0;
    ST_TRY(st_batcher_next(trainer->batcher, &feed.pixels, &feed.labels, &n, err));
    feed.n = (int64_t)n;
    trainer->learning_rate =
        st_schedule_rate(&trainer->recipe, place->global_step, trainer->epoch_steps, total_steps(trainer));
    st_model_gradients(core, &feed);
    st_tally tally = {0};
    for (int i = 0; i < core->graph->output_count; i++) {
        const st_real *losses = st_exec_losses(core->train, i);
        if (losses != NULL && i == core->graph->main_output) {
            st_tally_losses(&tally, losses, st_exec_ranks(core->train, i), feed.n);
        }
    }
    if (!isfinite(tally.loss)) {
        trainer->is_started = false;
        return fail_not_finite(trainer, err);
    }
    st_update update = st_update_standard(trainer->recipe.optimizer);
    update.learning_rate = trainer->learning_rate;
    update.momentum = trainer->recipe.momentum;
    update.weight_decay = trainer->recipe.weight_decay;
    update.nesterov = trainer->recipe.nesterov;
    update.step = place->global_step;
    st_model_update(core, &update);
    place->step++;
    place->global_step++;
    place->images += feed.n;
    place->loss_sum += tally.loss;
    place->correct += tally.correct;
    strata_trainer_place(trainer, out);
    return STRATA_OK;
}

/* ---- the end of an epoch ---------------------------------------------------------------------------------------- */

strata_status strata_trainer_end_epoch(strata_trainer *trainer, strata_epoch_info *out, strata_error *err) {
    st_place_in_run *place = &trainer->place;
    *out = (strata_epoch_info){0};
    ST_FAIL_IF(place->step != trainer->epoch_steps, err, STRATA_INVALID, "the epoch has %" PRId64 " steps to go",
               trainer->epoch_steps - place->step);
    strata_epoch_info info = {.epoch = place->epoch + 1,
                              .loss = place->loss_sum / (double)place->images,
                              .top1 = (double)place->correct / (double)place->images,
                              .has_val = strata_dataset_count(trainer->data, STRATA_VAL) > 0,
                              .is_best = true,
                              .done = place->epoch + 1 == trainer->recipe.epochs};
    if (info.has_val) {
        ST_TRY(strata_evaluate(&info.val, trainer->model, trainer->data, STRATA_VAL, NULL, NULL, NULL, err));
        info.is_best = place->best_epoch == 0 || info.val.top1 > place->best_top1 ||
                       (info.val.top1 >= place->best_top1 && info.val.loss < place->best_loss);
    }
    if (info.is_best) {
        place->best_epoch = info.epoch;
        place->best_top1 = info.val.top1;
        place->best_loss = info.val.loss;
    }
    place->epoch++;
    place->step = 0;
    place->images = 0;
    place->correct = 0;
    place->loss_sum = 0.0;
    trainer->is_started = false;
    *out = info;
    return STRATA_OK;
}

/* ---- surviving -------------------------------------------------------------------------------------------------- */

strata_status strata_trainer_save(const strata_trainer *trainer, const char *path, strata_error *err) {
    return st_checkpoint_save(trainer->model, &trainer->place, &trainer->recipe, path, err);
}

strata_status strata_trainer_resume(strata_trainer *trainer, const char *path, strata_error *err) {
    st_place_in_run place;
    ST_TRY(st_checkpoint_load(trainer->model, &place, &trainer->recipe, path, err));
    if (place.epoch > trainer->recipe.epochs || place.step > trainer->epoch_steps ||
        place.global_step != place.epoch * trainer->epoch_steps + place.step) {
        strata_status status = st_fail_file(
            err, STRATA_FORMAT, path, "it stands at epoch %" PRId64 ", step %" PRId64 ", which is not in this run",
            place.epoch + 1, place.step);
        return status;
    }
    trainer->place = place;
    trainer->is_started = false;
    return STRATA_OK;
}
