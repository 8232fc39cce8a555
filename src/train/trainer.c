/* The trainer: one batch, one epoch, and its place in the run. Everything that decides a result is a function of seed,
 * epoch and step, so that a resumed run goes on with the same bits. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/tuning.h"

struct strata_trainer {
    st_arena *arena;
    strata_model *model;
    strata_dataset *data;
    st_recipe recipe;
    st_place_in_run place;
    st_tuning *tuning; /* NULL: the whole model learns */
    st_augmentation augmentation;
    st_batcher *batcher;
    uint32_t *order;
    st_balance *balance;   /* NULL: each picture once in an epoch */
    size_t count;          /* training pictures */
    int64_t step_pictures; /* but for an epoch's last step */
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

strata_status st_train_prepare(st_geometry *geometry, st_preparation *preparation, const strata_model *model,
                               strata_shape common, strata_error *err) {
    const st_model *core = model->core;
    ST_TRY(st_geometry_choose(geometry, core->graph, model->has_preparation ? &model->geometry : NULL, common, err));
    st_dims comes = {geometry->out.height, geometry->out.width, geometry->out.channels};
    return st_prepare_pictures(preparation, core->graph, comes, model->has_preparation ? &core->preparation : NULL,
                               err);
}

void st_train_take_preparation(strata_model *model, const st_geometry *geometry, const st_preparation *preparation) {
    st_dims input = model->core->graph->input, picture = preparation->picture;
    char *out = model->preparation;
    size_t capacity = sizeof model->preparation;
    int64_t bottom = input.h - picture.h - preparation->pad_top, right = input.w - picture.w - preparation->pad_left;
    model->core->preparation = *preparation;
    model->geometry = *geometry;
    model->has_preparation = true;
    st_geometry_words(geometry, out, capacity);
    if (bottom > 0 || right > 0) {
        size_t length = strlen(out);
        (void)snprintf(out + length, capacity - length, "%" PRId64 "x%" PRId64 " padded by ", picture.h, picture.w);
        length = strlen(out);
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
    (void)strncat(out, preparation->is_bgr ? "BGR, " : "", capacity - strlen(out) - 1);
    (void)strncat(out, preparation->range > 1.0 ? "0 to 1" : "0 to 255", capacity - strlen(out) - 1);
    add_numbers(out, capacity, ", minus ", preparation->mean, picture.c);
    add_numbers(out, capacity, ", by ", preparation->deviation, picture.c);
}

/* ---- making one ------------------------------------------------------------------------------------------------- */

/* Mean and deviation of the data, where the net's input line says none. A channel without contrast keeps deviation 1.
 */
static strata_status take_preparation(strata_trainer *trainer, strata_error *err) {
    strata_model *model = trainer->model;
    st_geometry geometry;
    st_preparation preparation;
    ST_TRY(st_train_prepare(&geometry, &preparation, model, strata_dataset_shape(trainer->data), err));
    if (!model->has_preparation && !model->core->graph->has_normalization) {
        ST_TRY(st_data_statistics(trainer->data, &geometry, preparation.mean, preparation.deviation, err));
        for (int64_t c = 0; c < geometry.out.channels && c < 4; c++) {
            double factor = 255.0 / preparation.range;
            preparation.mean[c] *= factor;
            preparation.deviation[c] = preparation.deviation[c] > 1e-6 ? preparation.deviation[c] * factor : 1.0;
        }
    }
    st_train_take_preparation(model, &geometry, &preparation);
    return STRATA_OK;
}

static strata_status take_classes(strata_trainer *trainer, strata_error *err) {
    strata_model *model = trainer->model;
    size_t count = strata_dataset_class_count(trainer->data);
    ST_FAIL_IF(count < 2, err, STRATA_INVALID, "%s has one class, '%s': there is nothing to tell apart",
               strata_dataset_name(trainer->data), strata_dataset_class(trainer->data, 0));
    if (count != model->class_count) {
        strata_status status =
            st_fail(err, STRATA_SHAPE, "the net has %zu outputs, the data %zu classes", model->class_count, count);
        st_error_hint(err, "where the net has a knob for it: --set classes=%zu", count);
        return status;
    }
    const st_graph *graph = model->core->graph;
    const st_output *narrowest = st_graph_narrowest(graph);
    size_t least = (size_t)graph->nodes[narrowest->node].out.c;
    ST_FAIL_IF(least < count, err, STRATA_SHAPE, "the output '%s' has %zu classes, the data %zu", narrowest->name,
               least, count);
    ST_TRY(st_arena_alloc(&model->classes, model->arena, count, sizeof *model->classes, err));
    for (size_t i = 0; i < count; i++) {
        const char *name = strata_dataset_class(trainer->data, i);
        ST_TRY(st_arena_text(&model->classes[i], model->arena, name, strlen(name), err));
    }
    return STRATA_OK;
}

static strata_status check_fit(const strata_trainer *trainer, strata_error *err) {
    const strata_model *model = trainer->model;
    ST_FAIL_IF(trainer->recipe.train == NULL && model->core->train == NULL, err, STRATA_INVALID,
               "the model was not built for training");
    ST_FAIL_IF(model->optimizer != trainer->recipe.optimizer, err, STRATA_INVALID,
               "the model was built for another optimizer");
    const st_model_options *built = &model->core->options;
    int64_t accumulate = trainer->recipe.accumulate, total = accumulate > 1 ? built->batch * accumulate : 0;
    ST_FAIL_IF(built->total != total, err, STRATA_INVALID,
               "the model was built for another number of batches in a step");
    ST_FAIL_IF(trainer->recipe.ema > 0.0 && !built->averages, err, STRATA_INVALID,
               "the model was built without room for an average of its weights");
    ST_FAIL_IF(trainer->recipe.patience > 0 && strata_dataset_count(trainer->data, STRATA_VAL) == 0, err,
               STRATA_INVALID, "patience needs a val part: without one no epoch is better than another");
    const st_graph *graph = model->core->graph;
    const st_output *main_output = &graph->outputs[graph->main_output];
    ST_FAIL_IF(main_output->loss == NULL, err, STRATA_INVALID,
               "the output '%s' has no loss: write `output %s loss=cross_entropy`", main_output->name,
               main_output->name);
    ST_FAIL_IF(strata_dataset_count(trainer->data, STRATA_TRAIN) == 0, err, STRATA_INVALID,
               "%s has no training pictures", strata_dataset_name(trainer->data));
    return STRATA_OK;
}

void st_train_fill(uint8_t fill[ST_DATA_MOST_CHANNELS], const st_preparation *preparation) {
    for (size_t c = 0; c < ST_DATA_MOST_CHANNELS; c++) {
        double byte = preparation->mean[preparation->is_bgr && c < 3 ? 2 - c : c] * preparation->range + 0.5;
        fill[c] = (uint8_t)(byte < 0.0 ? 0.0 : byte > 255.0 ? 255.0 : byte);
    }
}

static strata_status take_augmentation(strata_trainer *trainer, strata_error *err) {
    st_augmentation *augmentation = &trainer->augmentation;
    *augmentation = (st_augmentation){.augment = trainer->recipe.augment, .seed = trainer->recipe.seed};
    st_train_fill(augmentation->fill, &trainer->model->core->preparation);
    return st_augment_needs_axes(&augmentation->augment)
               ? st_augmentation_axes(augmentation, trainer->data, &trainer->model->geometry, err)
               : STRATA_OK;
}

static strata_status build(strata_trainer *trainer, const strata_train_options *options, strata_error *err) {
    ST_TRY(st_recipe_fill(&trainer->recipe, options, err));
    ST_TRY(check_fit(trainer, err));
    ST_TRY(take_classes(trainer, err));
    ST_TRY(take_preparation(trainer, err));
    ST_TRY(st_augment_fits(&trainer->recipe.augment, trainer->model->geometry.out, err));
    ST_TRY(take_augmentation(trainer, err));
    if (trainer->recipe.train != NULL) {
        char *words = NULL;
        ST_TRY(st_arena_text(&words, trainer->arena, options->train, strlen(options->train), err));
        trainer->recipe.train = words;
        ST_TRY(st_tuning_create(&trainer->tuning, trainer->model, trainer->data, &trainer->recipe,
                                &trainer->augmentation, options, err));
    }
    st_data_fingerprint(trainer->data, trainer->recipe.data);
    st_model *core = trainer->model->core;
    /* A piece of a step may be more than a batch: see plan/fuse.c. */
    int64_t piece = core->train != NULL ? st_exec_plan(core->train)->options.batch : core->options.batch;
    trainer->count = strata_dataset_count(trainer->data, STRATA_TRAIN);
    trainer->step_pictures = core->options.batch * trainer->recipe.accumulate;
    trainer->epoch_steps = ((int64_t)trainer->count + trainer->step_pictures - 1) / trainer->step_pictures;
    piece = piece < trainer->step_pictures ? piece : trainer->step_pictures;
    if (trainer->recipe.ema > 0.0 && trainer->tuning == NULL) {
        st_model_average(core, 1.0);
    }
    ST_TRY(st_arena_alloc(&trainer->order, trainer->arena, trainer->count, sizeof *trainer->order, err));
    if (trainer->recipe.balance) {
        ST_TRY(st_balance_create(&trainer->balance, trainer->arena, trainer->data, err));
    }
    int threads = trainer->recipe.augment.count > 0 ? st_cpu_count() : 0;
    ST_TRY(st_batcher_create(&trainer->batcher, trainer->data, STRATA_TRAIN, (size_t)piece, &trainer->model->geometry,
                             threads, err));
    st_batcher_steps(trainer->batcher, (size_t)trainer->step_pictures);
    return STRATA_OK;
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
        st_tuning_free(trainer->tuning);
        st_batcher_free(trainer->batcher);
        st_arena_free(trainer->arena);
    }
}

/* ---- a step ----------------------------------------------------------------------------------------------------- */

/* Steps before the optimizer began, and of the schedule that began with it: those of the run, or of a phase. */
static void find_span(const strata_trainer *trainer, int64_t *first, int64_t *count) {
    *first = 0;
    *count = trainer->epoch_steps * trainer->recipe.epochs;
    if (trainer->tuning != NULL) {
        st_tuning_span(trainer->tuning, trainer->place.epoch, trainer->epoch_steps, first, count);
    }
}

/* Between two epochs. */
static bool is_out_of_patience(const strata_trainer *trainer) {
    int64_t best = trainer->place.best_epoch, thaw = trainer->recipe.thaw; /* what is to come begins anew there */
    int64_t since = trainer->place.epoch - (best > thaw ? best : thaw);
    return trainer->recipe.patience > 0 && since >= trainer->recipe.patience;
}

bool strata_trainer_is_done(const strata_trainer *trainer) {
    return trainer->place.epoch >= trainer->recipe.epochs || is_out_of_patience(trainer);
}

bool strata_trainer_gave_up(const strata_trainer *trainer) {
    return trainer->place.epoch < trainer->recipe.epochs && is_out_of_patience(trainer);
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

static bool needs_pictures(const strata_trainer *trainer) {
    return trainer->tuning == NULL || st_tuning_needs_pictures(trainer->tuning);
}

static strata_status start_epoch(strata_trainer *trainer, strata_error *err) {
    uint64_t seed = trainer->recipe.seed, epoch = (uint64_t)trainer->place.epoch;
    if (trainer->balance != NULL) {
        st_balance_order(trainer->balance, trainer->order, seed, epoch);
    } else {
        st_data_order(trainer->order, trainer->count, seed, epoch);
    }
    size_t first = (size_t)(trainer->place.step * trainer->step_pictures);
    if (trainer->recipe.augment.count > 0) {
        trainer->augmentation.epoch = (uint64_t)trainer->place.epoch;
        st_batcher_augment(trainer->batcher, &trainer->augmentation);
    }
    if (needs_pictures(trainer)) {
        ST_TRY(st_batcher_start(trainer->batcher, trainer->order, trainer->count, first, err));
    }
    trainer->is_started = true;
    return STRATA_OK;
}

/* The next batch of the step at hand; feed->first, total and n so far say where in the step it begins. */
static strata_status next_feed(strata_trainer *trainer, st_feed *feed, strata_error *err) {
    const st_place_in_run *place = &trainer->place;
    st_batch batch = {0};
    if (needs_pictures(trainer)) {
        ST_TRY(st_batcher_next(trainer->batcher, &batch, err));
    }
    if (trainer->tuning != NULL) {
        int64_t left = feed->total - feed->first, most = trainer->model->core->options.batch;
        size_t first = (size_t)(place->step * trainer->step_pictures + feed->first);
        return st_tuning_feed(feed, trainer->tuning, &batch, place->epoch, trainer->order, first,
                              (size_t)(left < most ? left : most), err);
    }
    feed->pixels = batch.pixels;
    feed->labels = batch.labels;
    feed->other_labels = batch.other_labels;
    feed->shares = batch.shares;
    feed->n = (int64_t)batch.n;
    return STRATA_OK;
}

/* What became infinite first: a layer's result, a gradient, or a weight. */
static strata_status fail_not_finite(const strata_trainer *trainer, const char *what, const char *kind,
                                     const char *path, strata_error *err) {
    strata_status status =
        st_fail(err, STRATA_INVALID, "%s any more in epoch %" PRId64 ", step %" PRId64 "%s%s%s%s", what,
                trainer->place.epoch + 1, trainer->place.step + 1, path != NULL ? ": the first " : "",
                path != NULL ? kind : "", path != NULL ? " with infinities is " : "", path != NULL ? path : "");
    st_error_hint(err, "a smaller learning rate (now %g), a warm-up, or batch normalisation", trainer->learning_rate);
    return status;
}

/* The gradients of the step at hand, batch by batch. */
static strata_status sum_gradients(strata_trainer *trainer, st_tally *tally, strata_error *err) {
    st_model *learner = st_learner(trainer->model);
    const st_place_in_run *place = &trainer->place;
    int64_t left = (int64_t)trainer->count - place->step * trainer->step_pictures, first = 0;
    int64_t total = left < trainer->step_pictures ? left : trainer->step_pictures;
    while (first < total) {
        st_feed feed = {.step = place->global_step,
                        .first = first,
                        .total = total,
                        .label_smoothing = trainer->recipe.label_smoothing};
        ST_TRY(next_feed(trainer, &feed, err));
        st_model_gradients(learner, &feed);
        st_tally_losses(tally, st_exec_losses(learner->train, learner->graph->main_output),
                        st_exec_ranks(learner->train, learner->graph->main_output), feed.n);
        if (!isfinite(tally->loss)) {
            return fail_not_finite(trainer, "the loss is not a number", "layer",
                                   st_exec_first_not_finite(learner->train), err);
        }
        first += feed.n;
    }
    return STRATA_OK;
}

/* How much shorter the gradients become. */
static strata_status clip(strata_trainer *trainer, double *scale, strata_error *err) {
    st_model *learner = st_learner(trainer->model);
    st_place_in_run *place = &trainer->place;
    *scale = 1.0;
    if (trainer->recipe.clip == 0.0) {
        return STRATA_OK;
    }
    double norm = st_model_gradient_norm(learner);
    if (!isfinite(norm)) {
        return fail_not_finite(trainer, "the gradient is not finite", "tensor",
                               st_model_first_not_finite(learner, true), err);
    }
    place->norm_sum += norm;
    place->norm_max = norm > place->norm_max ? norm : place->norm_max;
    *scale = norm > trainer->recipe.clip ? trainer->recipe.clip / norm : 1.0;
    return STRATA_OK;
}

/* `step`: of the optimizer, from 0. */
static void move_weights(strata_trainer *trainer, int64_t step, double scale) {
    const st_recipe *recipe = &trainer->recipe;
    st_update update = st_update_standard(recipe->optimizer);
    update.learning_rate = trainer->learning_rate;
    update.momentum = recipe->momentum;
    update.weight_decay = recipe->weight_decay;
    update.nesterov = recipe->nesterov;
    update.scale = scale;
    update.step = step;
    update.body_share = trainer->tuning != NULL ? recipe->body_share : 1.0;
    st_model_update(st_learner(trainer->model), &update);
    if (recipe->ema > 0.0) {
        double t = (double)step + 1.0, warm = (1.0 + t) / (10.0 + t);
        st_model_average(st_learner(trainer->model), 1.0 - (warm < recipe->ema ? warm : recipe->ema));
    }
}

/* At trainer->learning_rate, in an epoch that is started. */
static strata_status do_step(strata_trainer *trainer, int64_t optimizer_step, double *loss, strata_error *err) {
    st_place_in_run *place = &trainer->place;
    st_tally tally = {0};
    double scale = 1.0;
    st_model_show_average(st_learner(trainer->model), false);
    strata_status status = sum_gradients(trainer, &tally, err);
    if (status == STRATA_OK) {
        status = clip(trainer, &scale, err);
    }
    if (status != STRATA_OK) {
        trainer->is_started = false;
        return status;
    }
    move_weights(trainer, optimizer_step, scale);
    place->step++;
    place->global_step++;
    place->images += tally.count;
    place->loss_sum += tally.loss;
    place->correct += tally.correct;
    *loss = tally.loss / (double)tally.count;
    return STRATA_OK;
}

/* Features of some of the pictures, where the epoch needs them and they are not there: *ready once all are. */
static strata_status prepare_epoch(strata_trainer *trainer, strata_step_info *out, bool *ready, strata_error *err) {
    size_t done = 0, count = 0;
    if (trainer->tuning == NULL) {
        return STRATA_OK;
    }
    ST_TRY(st_tuning_prepare(trainer->tuning, trainer->place.epoch, ready, &done, &count, err));
    strata_trainer_place(trainer, out);
    out->is_preparing = true;
    out->prepared = (int64_t)done;
    out->prepare_count = (int64_t)count;
    return STRATA_OK;
}

strata_status strata_trainer_step(strata_trainer *trainer, strata_step_info *out, strata_error *err) {
    st_place_in_run *place = &trainer->place;
    *out = (strata_step_info){0};
    ST_FAIL_IF(strata_trainer_is_done(trainer), err, STRATA_INVALID, "the run is done: all %" PRId64 " epochs",
               trainer->recipe.epochs);
    ST_FAIL_IF(place->step >= trainer->epoch_steps, err, STRATA_INVALID,
               "the epoch is done: strata_trainer_end_epoch comes next");
    if (!trainer->is_started) {
        bool ready = true;
        ST_TRY(prepare_epoch(trainer, out, &ready, err));
        if (!ready) {
            return STRATA_OK;
        }
        ST_TRY(start_epoch(trainer, err));
    }
    int64_t first, steps;
    double loss = 0.0;
    find_span(trainer, &first, &steps);
    trainer->learning_rate =
        st_schedule_rate(&trainer->recipe, place->global_step - first, trainer->epoch_steps, steps);
    ST_TRY(do_step(trainer, place->global_step - first, &loss, err));
    strata_trainer_place(trainer, out);
    return STRATA_OK;
}

static void next_epoch(strata_trainer *trainer) {
    st_place_in_run *place = &trainer->place;
    place->epoch++;
    place->step = 0;
    place->images = 0;
    place->correct = 0;
    place->loss_sum = place->norm_sum = place->norm_max = 0.0;
    trainer->is_started = false;
}

st_optimizer st_trainer_optimizer(const strata_trainer *trainer) {
    return trainer->recipe.optimizer;
}

strata_status st_trainer_try(strata_trainer *trainer, double rate, double *loss, strata_error *err) {
    bool ready = true;
    strata_step_info info;
    trainer->learning_rate = rate;
    if (trainer->place.step >= trainer->epoch_steps) {
        next_epoch(trainer);
    }
    while (!trainer->is_started) {
        ST_TRY(prepare_epoch(trainer, &info, &ready, err));
        if (ready) {
            ST_TRY(start_epoch(trainer, err));
        }
    }
    strata_status status = do_step(trainer, trainer->place.global_step, loss, err);
    if (status == STRATA_INVALID) { /* not finite: that is an answer, too */
        *loss = (double)INFINITY;
        return STRATA_OK;
    }
    return status;
}

/* ---- the end of an epoch ---------------------------------------------------------------------------------------- */

static strata_status evaluate_val(const strata_trainer *trainer, strata_metrics *out, strata_error *err) {
    return trainer->tuning != NULL
               ? st_tuning_evaluate(out, trainer->tuning, err)
               : strata_evaluate(out, trainer->model, trainer->data, STRATA_VAL, NULL, NULL, NULL, err);
}

strata_status strata_trainer_end_epoch(strata_trainer *trainer, strata_epoch_info *out, strata_error *err) {
    st_place_in_run *place = &trainer->place;
    *out = (strata_epoch_info){0};
    ST_FAIL_IF(place->step != trainer->epoch_steps, err, STRATA_INVALID, "the epoch has %" PRId64 " steps to go",
               trainer->epoch_steps - place->step);
    const char *bad = st_model_first_not_finite(st_learner(trainer->model), false);
    if (bad != NULL) {
        return fail_not_finite(trainer, "the weights are not finite", "tensor", bad, err);
    }
    strata_epoch_info info = {.epoch = place->epoch + 1,
                              .loss = place->loss_sum / (double)place->images,
                              .top1 = (double)place->correct / (double)place->images,
                              .has_val = strata_dataset_count(trainer->data, STRATA_VAL) > 0,
                              .is_best = true,
                              .has_norms = trainer->recipe.clip > 0.0,
                              .norm_mean = place->norm_sum / (double)place->step,
                              .norm_max = place->norm_max};
    st_model_show_average(st_learner(trainer->model), trainer->recipe.ema > 0.0);
    if (info.has_val) {
        ST_TRY(evaluate_val(trainer, &info.val, err));
        if (!isfinite(info.val.loss)) {
            return fail_not_finite(trainer, "the loss on val is not a number", "", NULL, err);
        }
        info.is_best = place->best_epoch == 0 || info.val.top1 > place->best_top1 ||
                       (info.val.top1 >= place->best_top1 && info.val.loss < place->best_loss);
    }
    if (info.is_best) {
        place->best_epoch = info.epoch;
        place->best_top1 = info.val.top1;
        place->best_loss = info.val.loss;
    }
    if (trainer->tuning != NULL) {
        ST_TRY(st_tuning_enter(trainer->tuning, place->epoch + 1, err));
    }
    next_epoch(trainer);
    info.best_epoch = place->best_epoch;
    info.gave_up = strata_trainer_gave_up(trainer);
    info.done = strata_trainer_is_done(trainer);
    *out = info;
    return STRATA_OK;
}

/* ---- surviving -------------------------------------------------------------------------------------------------- */

strata_status strata_trainer_save(const strata_trainer *trainer, const char *path, strata_error *err) {
    const char *bad = st_model_first_not_finite(st_learner(trainer->model), false);
    ST_FAIL_IF(bad != NULL, err, STRATA_INVALID,
               "the weights are not finite any more after epoch %" PRId64 ", step %" PRId64
               ": the first tensor with infinities is %s",
               trainer->place.epoch + 1, trainer->place.step, bad);
    return st_checkpoint_save(trainer->model, &trainer->place, &trainer->recipe, NULL, path, err);
}

strata_status strata_trainer_resume(strata_trainer *trainer, const char *path, strata_error *err) {
    st_place_in_run place;
    if (trainer->tuning != NULL) { /* which layers are trained, and so what is in the file, depends on the epoch */
        ST_TRY(st_checkpoint_place(&place, path, err));
        ST_TRY(st_tuning_enter(trainer->tuning, place.epoch, err));
    }
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

strata_status strata_trainer_measure(strata_cost *out, strata_trainer *trainer, int64_t epoch, strata_error *err) {
    *out = (strata_cost){0};
    ST_FAIL_IF(trainer->tuning == NULL, err, STRATA_UNSUPPORTED,
               "this trainer trains a whole model: strata_model_time");
    ST_FAIL_IF(epoch < 1 || epoch > trainer->recipe.epochs, err, STRATA_INVALID,
               "epoch %lld of %lld cannot be measured", (long long)epoch, (long long)trainer->recipe.epochs);
    ST_FAIL_IF(trainer->place.epoch > 0 || trainer->place.step > 0, err, STRATA_INVALID,
               "a trainer is measured before its first step");
    return st_tuning_measure(out, trainer->tuning, epoch - 1, err);
}
