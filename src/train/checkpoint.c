/* Checkpoints: safetensors files whose metadata makes them complete. Keys, all texts:
 *
 *   strata.version, strata.numerics   who wrote it, with which definition of every sum
 *   strata.net                        the net, self-contained
 *   strata.classes                    JSON list of names in the order of the outputs
 *   strata.preparation                JSON: size of the pictures, mean and deviation of each channel
 *   strata.sha256                     of all tensors' bytes in the order of the file: damage is found when it is read
 *   strata.selftest                   what the model says of a few pictures (self_test.c), where no run goes on
 *   strata.place, strata.recipe       where the run stands, and of which run: only where it can be resumed
 *
 * Tensors: weights and statistics under their paths in published order; for a resume also what the optimizer keeps, as
 * "optimizer.momentum.c1.weight". Where a run averages its weights, the paths hold the averages, and what the optimizer
 * moves is "optimizer.value.c1.weight". Numbers that must come back exactly are written as their bits.
 *
 * This file writes; checkpoint_head.c reads the metadata, checkpoint_load.c the tensors. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "train/checkpoint.h"

enum { PAIR_LIMIT = 10 };

const char *st_checkpoint_slot(st_optimizer optimizer, int which) {
    static const char *const names[2][2] = {{"momentum", ""}, {"first_moment", "second_moment"}};
    return which == ST_MODEL_VALUE || which == ST_MODEL_AVERAGE ? NULL
           : which == ST_MODEL_MOVING                           ? "value"
                                                                : names[optimizer][which];
}

/* ---- hashes ----------------------------------------------------------------------------------------------------- */

static void hash_tensor(st_sha256 *sha, const st_model *model, size_t index, int which) {
    st_model_get(model, index, which, model->scratch);
    st_weights_hash_values(sha, model->scratch, model->parameters[index].published_count);
}

void st_checkpoint_hash(const strata_model *model, char out[65]) {
    st_sha256 sha;
    st_sha256_begin(&sha);
    for (size_t i = 0; i < model->core->parameter_count; i++) {
        hash_tensor(&sha, model->core, i, ST_MODEL_VALUE);
    }
    st_sha256_end(&sha, out);
}

/* ---- what is in a file ------------------------------------------------------------------------------------------ */

/* A weight as a run that goes on has it: the average, where the learner keeps one. */
static st_checkpoint_tensor weight_of(st_model *model, size_t index, st_model *learner) {
    for (size_t i = 0; learner->options.averages && i < learner->parameter_count; i++) {
        const st_parameter *parameter = &learner->parameters[i];
        if (parameter->average != NULL && parameter->value == model->parameters[index].value) {
            return (st_checkpoint_tensor){learner, i, ST_MODEL_AVERAGE};
        }
    }
    return (st_checkpoint_tensor){model, index, ST_MODEL_VALUE};
}

strata_status st_checkpoint_list(st_checkpoint_tensor **out, size_t *count, st_arena *arena, const strata_model *model,
                                 bool for_resume, strata_error *err) {
    st_model *core = model->core, *learner = st_learner(model);
    size_t most = core->parameter_count + learner->parameter_count * 4;
    *count = 0;
    ST_TRY(st_arena_alloc(out, arena, most, sizeof **out, err));
    for (size_t i = 0; i < core->parameter_count; i++) {
        (*out)[(*count)++] = for_resume ? weight_of(core, i, learner) : (st_checkpoint_tensor){core, i, ST_MODEL_VALUE};
    }
    for (size_t i = 0; for_resume && learner != core && i < learner->parameter_count; i++) {
        if (!learner->parameters[i].is_lent) {
            (*out)[(*count)++] = weight_of(learner, i, learner);
        }
    }
    for (int slot = 0; for_resume && slot < learner->options.slot_count; slot++) {
        for (size_t i = 0; i < learner->parameter_count; i++) {
            if (learner->parameters[i].is_trained) {
                (*out)[(*count)++] = (st_checkpoint_tensor){learner, i, slot};
            }
        }
    }
    for (size_t i = 0; for_resume && learner->options.averages && i < learner->parameter_count; i++) {
        if (learner->parameters[i].moves) {
            (*out)[(*count)++] = (st_checkpoint_tensor){learner, i, ST_MODEL_MOVING};
        }
    }
    return STRATA_OK;
}

/* ---- metadata out ----------------------------------------------------------------------------------------------- */

static uint64_t bits_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

void st_checkpoint_add_net(st_text *text, const strata_model *model, const st_recipe *recipe) {
    (void)recipe;
    st_text_add(text, "%s", model->net->text);
}

void st_checkpoint_add_classes(st_text *text, const strata_model *model, const st_recipe *recipe) {
    (void)recipe;
    st_text_add(text, "[");
    for (size_t i = 0; model->classes != NULL && i < model->class_count; i++) {
        st_text_add(text, "%s", i > 0 ? ", " : "");
        st_json_quote(text, model->classes[i], strlen(model->classes[i]));
    }
    st_text_add(text, "]");
}

void st_checkpoint_add_prepared(st_text *text, const strata_model *model, const st_recipe *recipe) {
    (void)recipe;
    const st_preparation *preparation = &model->core->preparation;
    st_dims size = preparation->picture;
    st_text_add(text, "{\"height\": %" PRId64 ", \"width\": %" PRId64 ", \"channels\": %" PRId64, size.h, size.w,
                size.c);
    for (int which = 0; which < 2; which++) {
        const double *values = which == 0 ? preparation->mean : preparation->deviation;
        st_text_add(text, ", \"%s\": [", which == 0 ? "mean" : "deviation");
        for (int64_t c = 0; c < size.c && c < 4; c++) {
            st_text_add(text, "%s%.17g", c > 0 ? ", " : "", values[c]);
        }
        st_text_add(text, "]");
    }
    const st_geometry *geometry = &model->geometry;
    st_text_add(text, ", \"range\": %d, \"order\": \"%s\"", preparation->range > 1.0 ? 1 : 255,
                preparation->is_bgr ? "bgr" : "rgb");
    st_text_add(text, ", \"fit\": \"%s\", \"side\": %" PRId64 ", \"filter\": \"%s\"}", st_fit_names[geometry->fit],
                geometry->side, st_filter_names[geometry->filter]);
}

static void add_place(st_text *text, const st_place_in_run *place) {
    st_text_add(text,
                "{\"epoch\": %" PRId64 ", \"step\": %" PRId64 ", \"global_step\": %" PRId64 ", \"correct\": %" PRId64
                ", \"images\": %" PRId64 ", \"best_epoch\": %" PRId64 ", \"loss_sum_bits\": %" PRIu64
                ", \"best_top1_bits\": %" PRIu64 ", \"best_loss_bits\": %" PRIu64 ", \"norm_sum_bits\": %" PRIu64
                ", \"norm_max_bits\": %" PRIu64 "}",
                place->epoch, place->step, place->global_step, place->correct, place->images, place->best_epoch,
                bits_of(place->loss_sum), bits_of(place->best_top1), bits_of(place->best_loss),
                bits_of(place->norm_sum), bits_of(place->norm_max));
}

void st_checkpoint_add_run(st_text *text, const strata_model *model, const st_recipe *recipe) {
    const st_model *learner = st_learner(model);
    size_t tensors = 0, numbers = 0;
    for (size_t i = 0; i < learner->parameter_count; i++) {
        tensors += learner->parameters[i].is_trained;
        numbers += learner->parameters[i].is_trained ? learner->parameters[i].published_count : 0;
    }
    st_text_add(text,
                "%s lr %.17g momentum %.17g%s decay %.17g smoothing %.17g, %s every %.17g factor %.17g warmup %.17g, ",
                recipe->optimizer == ST_OPTIMIZER_ADAMW ? "adamw" : "sgd", recipe->learning_rate, recipe->momentum,
                recipe->nesterov ? " nesterov" : "", recipe->weight_decay, recipe->label_smoothing,
                st_schedule_name(recipe->schedule), recipe->step_every, recipe->step_factor, recipe->warmup);
    st_text_add(text,
                "%" PRId64 " epochs, batch %" PRId64 ", seed %" PRIu64
                ", %zu numbers trained in %zu tensors, labels %.12s",
                recipe->epochs, learner->options.batch, recipe->seed, numbers, tensors, recipe->data);
    for (int i = 0; i < recipe->step_at_count; i++) {
        st_text_add(text, "%s%.17g", i == 0 ? ", drops at " : " ", recipe->step_at[i]);
    }
    if (recipe->augment.count > 0) {
        st_text_add(text, ", augmented %s", recipe->augment.text);
    }
    if (recipe->balance) {
        st_text_add(text, ", balanced");
    }
    if (recipe->accumulate > 1) {
        st_text_add(text, ", %" PRId64 " batches a step", recipe->accumulate);
    }
    if (recipe->clip > 0.0) {
        st_text_add(text, ", clipped to %.17g", recipe->clip);
    }
    if (recipe->ema > 0.0) {
        st_text_add(text, ", average %.17g", recipe->ema);
    }
    if (recipe->patience > 0) {
        st_text_add(text, ", patience %" PRId64, recipe->patience);
    }
    if (recipe->train != NULL) {
        st_text_add(text, ", trains %s, body at %.17g, thaw after %" PRId64 ", %" PRId64 " variants", recipe->train,
                    recipe->body_share, recipe->thaw, recipe->variants);
    }
}

typedef struct save_state {
    const strata_model *model;
    const char *self_test; /* NULL: none */
    st_arena *arena;
    st_checkpoint_tensor *list;
    st_tensor *tensors; /* the list's, for the file */
    size_t tensor_count;
    st_pair pairs[PAIR_LIMIT];
    size_t pair_count;
} save_state;

static strata_status add_pair(save_state *state, const char *name, st_text *text, strata_error *err) {
    char *value = NULL, *own = NULL;
    ST_TRY(st_text_finish(&value, text, err));
    strata_status status = st_arena_text(&own, state->arena, value, strlen(value), err);
    strata_text_free(value);
    state->pairs[state->pair_count++] = (st_pair){.name = name, .value = own};
    return status;
}

static strata_status add_pairs(save_state *state, const st_place_in_run *place, const st_recipe *recipe,
                               strata_error *err) {
    const strata_model *model = state->model;
    char hash[65];
    st_sha256 sha;
    st_text text = {0};
    st_text_add(&text, "%s", STRATA_VERSION);
    ST_TRY(add_pair(state, "strata.version", &text, err));
    text = (st_text){0};
    st_text_add(&text, "%d", STRATA_NUMERICS);
    ST_TRY(add_pair(state, "strata.numerics", &text, err));
    text = (st_text){0};
    st_checkpoint_add_net(&text, model, recipe);
    ST_TRY(add_pair(state, "strata.net", &text, err));
    text = (st_text){0};
    st_checkpoint_add_classes(&text, model, recipe);
    ST_TRY(add_pair(state, "strata.classes", &text, err));
    text = (st_text){0};
    st_checkpoint_add_prepared(&text, model, recipe);
    ST_TRY(add_pair(state, "strata.preparation", &text, err));
    st_sha256_begin(&sha);
    for (size_t i = 0; i < state->tensor_count; i++) {
        hash_tensor(&sha, state->list[i].model, state->list[i].index, state->list[i].which);
    }
    st_sha256_end(&sha, hash);
    text = (st_text){0};
    st_text_add(&text, "%s", hash);
    ST_TRY(add_pair(state, ST_PAIR_HASH, &text, err));
    if (state->self_test != NULL) {
        state->pairs[state->pair_count++] = (st_pair){.name = ST_PAIR_SELF_TEST, .value = state->self_test};
    }
    if (place != NULL) {
        text = (st_text){0};
        add_place(&text, place);
        ST_TRY(add_pair(state, "strata.place", &text, err));
        text = (st_text){0};
        st_checkpoint_add_run(&text, model, recipe);
        ST_TRY(add_pair(state, "strata.recipe", &text, err));
    }
    return STRATA_OK;
}

/* ---- tensors out ------------------------------------------------------------------------------------------------ */

static strata_status describe_tensors(save_state *state, strata_error *err) {
    ST_TRY(st_arena_alloc(&state->tensors, state->arena, state->tensor_count + 1, sizeof *state->tensors, err));
    for (size_t i = 0; i < state->tensor_count; i++) {
        const st_checkpoint_tensor *at = &state->list[i];
        const st_parameter *parameter = &at->model->parameters[at->index];
        const st_state *tensor = &parameter->node->state[parameter->state];
        const char *kind = st_checkpoint_slot(state->model->optimizer, at->which);
        char *name = NULL;
        if (kind != NULL) {
            ST_TRY(st_arena_printf(&name, state->arena, err, "optimizer.%s.%s", kind, tensor->path));
        }
        state->tensors[i] = (st_tensor){.name = kind == NULL ? tensor->path : name,
                                        .stored = ST_STORED_F32,
                                        .rank = tensor->dims.rank,
                                        .dims = tensor->dims.dims,
                                        .count = parameter->published_count};
    }
    return STRATA_OK;
}

static strata_status write_tensors(st_weights_writer *writer, const save_state *state, strata_error *err) {
    for (size_t i = 0; i < state->tensor_count; i++) {
        const st_checkpoint_tensor *at = &state->list[i];
        st_model_get(at->model, at->index, at->which, at->model->scratch);
        ST_TRY(st_weights_write(writer, at->model->scratch, state->tensors[i].count, err));
    }
    return STRATA_OK;
}

static strata_status save(save_state *state, const st_place_in_run *place, const st_recipe *recipe, const char *path,
                          strata_error *err) {
    ST_TRY(st_checkpoint_list(&state->list, &state->tensor_count, state->arena, state->model, place != NULL, err));
    ST_TRY(describe_tensors(state, err));
    ST_TRY(add_pairs(state, place, recipe, err));
    st_weights_writer writer;
    ST_TRY(st_weights_write_begin(&writer, path, state->tensors, state->tensor_count, state->pairs, state->pair_count,
                                  err));
    strata_status status = write_tensors(&writer, state, err);
    if (status != STRATA_OK) {
        st_weights_write_cancel(&writer);
        return status;
    }
    return st_weights_write_commit(&writer, err);
}

strata_status st_checkpoint_save(const strata_model *model, const st_place_in_run *place, const st_recipe *recipe,
                                 const char *self_test, const char *path, strata_error *err) {
    save_state state = {.model = model, .self_test = self_test};
    ST_TRY(st_arena_create(&state.arena, err));
    strata_status status = save(&state, place, recipe, path, err);
    st_arena_free(state.arena);
    return status;
}
