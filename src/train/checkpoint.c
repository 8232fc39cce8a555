/* Checkpoints: safetensors files whose metadata makes them complete. Keys, all texts:
 *
 *   strata.version, strata.numerics   who wrote it, with which definition of every sum
 *   strata.net                        the net, self-contained
 *   strata.classes                    JSON list of names in the order of the outputs
 *   strata.preparation                JSON: size of the pictures, mean and deviation of each channel
 *   strata.sha256                     of all tensors' bytes in the order of the file: damage is found when it is read
 *   strata.place, strata.recipe       where the run stands, and of which run: only where it can be resumed
 *
 * Tensors: weights and statistics under their paths in published order; for a resume also what the optimizer keeps, as
 * "optimizer.momentum.c1.weight". Numbers that must come back exactly are written as their bits. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "train/train.h"

enum { PAIR_LIMIT = 10, HEAD_BYTES = 16 };

static const char *slot_name(st_optimizer optimizer, int slot) {
    static const char *const names[2][2] = {{"momentum", ""}, {"first_moment", "second_moment"}};
    return names[optimizer][slot];
}

bool st_checkpoint_is(const char *path) {
    st_file file;
    unsigned char head[HEAD_BYTES];
    if (st_file_open(&file, path, NULL) != STRATA_OK) {
        return false;
    }
    size_t count = file.length < sizeof head ? (size_t)file.length : sizeof head;
    bool is = st_file_at(&file, head, count, 0, NULL) == STRATA_OK && st_weights_probe(head, count);
    st_file_close(&file);
    return is;
}

/* ---- hashes ----------------------------------------------------------------------------------------------------- */

static void hash_values(st_sha256 *sha, const st_real *values, size_t count) {
    unsigned char bytes[4 * 1024];
    for (size_t done = 0; done < count;) {
        size_t piece = count - done < 1024 ? count - done : 1024;
        st_weights_encode(bytes, values + done, piece);
        st_sha256_add(sha, bytes, 4 * piece);
        done += piece;
    }
}

static void hash_parameters(st_sha256 *sha, const st_model *core, int which) {
    for (size_t i = 0; i < core->parameter_count; i++) {
        if (which < 0 || core->parameters[i].is_trained) {
            st_model_get(core, i, which, core->scratch);
            hash_values(sha, core->scratch, core->parameters[i].published_count);
        }
    }
}

void st_checkpoint_hash(const strata_model *model, char out[65]) {
    st_sha256 sha;
    st_sha256_begin(&sha);
    hash_parameters(&sha, model->core, -1);
    st_sha256_end(&sha, out);
}

/* ---- metadata out ----------------------------------------------------------------------------------------------- */

static uint64_t bits_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* The texts of the metadata; all with the same arguments, so that a resume can compare them one by one. */
static void add_net(st_text *text, const strata_model *model, const st_recipe *recipe) {
    (void)recipe;
    st_text_add(text, "%s", model->net->text);
}

static void add_classes(st_text *text, const strata_model *model, const st_recipe *recipe) {
    (void)recipe;
    st_text_add(text, "[");
    for (size_t i = 0; model->classes != NULL && i < model->class_count; i++) {
        st_text_add(text, "%s", i > 0 ? ", " : "");
        st_json_quote(text, model->classes[i], strlen(model->classes[i]));
    }
    st_text_add(text, "]");
}

static void add_prepared(st_text *text, const strata_model *model, const st_recipe *recipe) {
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
    st_text_add(text, "}");
}

static void add_place(st_text *text, const st_place_in_run *place) {
    st_text_add(text,
                "{\"epoch\": %" PRId64 ", \"step\": %" PRId64 ", \"global_step\": %" PRId64 ", \"correct\": %" PRId64
                ", \"images\": %" PRId64 ", \"best_epoch\": %" PRId64 ", \"loss_sum_bits\": %" PRIu64
                ", \"best_top1_bits\": %" PRIu64 ", \"best_loss_bits\": %" PRIu64 "}",
                place->epoch, place->step, place->global_step, place->correct, place->images, place->best_epoch,
                bits_of(place->loss_sum), bits_of(place->best_top1), bits_of(place->best_loss));
}

static void add_run(st_text *text, const strata_model *model, const st_recipe *recipe) {
    const st_model *core = model->core;
    size_t tensors = 0, numbers = 0;
    for (size_t i = 0; i < core->parameter_count; i++) {
        tensors += core->parameters[i].is_trained;
        numbers += core->parameters[i].is_trained ? core->parameters[i].published_count : 0;
    }
    st_text_add(text,
                "%s lr %.17g momentum %.17g%s decay %.17g smoothing %.17g, %s every %.17g factor %.17g warmup %.17g, ",
                recipe->optimizer == ST_OPTIMIZER_ADAMW ? "adamw" : "sgd", recipe->learning_rate, recipe->momentum,
                recipe->nesterov ? " nesterov" : "", recipe->weight_decay, recipe->label_smoothing,
                st_schedule_name(recipe->schedule), recipe->step_every, recipe->step_factor, recipe->warmup);
    st_text_add(text,
                "%" PRId64 " epochs, batch %" PRId64 ", seed %" PRIu64
                ", %zu numbers trained in %zu tensors, labels %.12s",
                recipe->epochs, core->options.batch, recipe->seed, numbers, tensors, recipe->data);
    for (int i = 0; i < recipe->step_at_count; i++) {
        st_text_add(text, "%s%.17g", i == 0 ? ", drops at " : " ", recipe->step_at[i]);
    }
    if (recipe->augment.count > 0) {
        st_text_add(text, ", augmented %s", recipe->augment.text);
    }
}

typedef struct save_state {
    const strata_model *model;
    st_arena *arena;
    st_tensor *tensors;
    size_t tensor_count;
    st_pair pairs[PAIR_LIMIT];
    size_t pair_count;
    bool with_slots;
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
    add_net(&text, model, recipe);
    ST_TRY(add_pair(state, "strata.net", &text, err));
    text = (st_text){0};
    add_classes(&text, model, recipe);
    ST_TRY(add_pair(state, "strata.classes", &text, err));
    text = (st_text){0};
    add_prepared(&text, model, recipe);
    ST_TRY(add_pair(state, "strata.preparation", &text, err));
    st_sha256_begin(&sha);
    hash_parameters(&sha, model->core, -1);
    for (int slot = 0; state->with_slots && slot < model->core->options.slot_count; slot++) {
        hash_parameters(&sha, model->core, slot);
    }
    st_sha256_end(&sha, hash);
    text = (st_text){0};
    st_text_add(&text, "%s", hash);
    ST_TRY(add_pair(state, "strata.sha256", &text, err));
    if (place != NULL) {
        text = (st_text){0};
        add_place(&text, place);
        ST_TRY(add_pair(state, "strata.place", &text, err));
        text = (st_text){0};
        add_run(&text, model, recipe);
        ST_TRY(add_pair(state, "strata.recipe", &text, err));
    }
    return STRATA_OK;
}

/* ---- tensors out ------------------------------------------------------------------------------------------------ */

static strata_status add_tensors(save_state *state, int which, strata_error *err) {
    const st_model *core = state->model->core;
    for (size_t i = 0; i < core->parameter_count; i++) {
        const st_parameter *parameter = &core->parameters[i];
        if (which >= 0 && !parameter->is_trained) {
            continue;
        }
        const st_state *tensor = &parameter->node->state[parameter->state];
        char *name = NULL;
        if (which >= 0) {
            ST_TRY(st_arena_printf(&name, state->arena, err, "optimizer.%s.%s",
                                   slot_name(state->model->optimizer, which), tensor->path));
        }
        state->tensors[state->tensor_count++] = (st_tensor){.name = which < 0 ? tensor->path : name,
                                                            .stored = ST_STORED_F32,
                                                            .rank = tensor->dims.rank,
                                                            .dims = tensor->dims.dims,
                                                            .count = parameter->published_count};
    }
    return STRATA_OK;
}

static strata_status write_tensors(st_weights_writer *writer, const st_model *core, int which, strata_error *err) {
    for (size_t i = 0; i < core->parameter_count; i++) {
        if (which < 0 || core->parameters[i].is_trained) {
            st_model_get(core, i, which, core->scratch);
            ST_TRY(st_weights_write(writer, core->scratch, core->parameters[i].published_count, err));
        }
    }
    return STRATA_OK;
}

static strata_status save(save_state *state, const st_place_in_run *place, const st_recipe *recipe, const char *path,
                          strata_error *err) {
    const st_model *core = state->model->core;
    int slots = state->with_slots ? core->options.slot_count : 0;
    ST_TRY(st_arena_alloc(&state->tensors, state->arena, core->parameter_count * 3 + 1, sizeof *state->tensors, err));
    ST_TRY(add_pairs(state, place, recipe, err));
    for (int which = -1; which < slots; which++) {
        ST_TRY(add_tensors(state, which, err));
    }
    st_weights_writer writer;
    ST_TRY(st_weights_write_begin(&writer, path, state->tensors, state->tensor_count, state->pairs, state->pair_count,
                                  err));
    for (int which = -1; which < slots; which++) {
        strata_status status = write_tensors(&writer, core, which, err);
        if (status != STRATA_OK) {
            st_weights_write_cancel(&writer);
            return status;
        }
    }
    return st_weights_write_commit(&writer, err);
}

strata_status st_checkpoint_save(const strata_model *model, const st_place_in_run *place, const st_recipe *recipe,
                                 const char *path, strata_error *err) {
    save_state state = {.model = model, .with_slots = place != NULL};
    ST_TRY(st_arena_create(&state.arena, err));
    strata_status status = save(&state, place, recipe, path, err);
    st_arena_free(state.arena);
    return status;
}

/* ---- metadata in ------------------------------------------------------------------------------------------------ */

static strata_status begin_json(st_json *json, const st_weights *weights, const char *key, st_arena *arena,
                                strata_error *err) {
    const char *value = st_weights_metadata(weights, key);
    if (value == NULL) {
        return st_fail_file(err, STRATA_FORMAT, weights->file.path, "its metadata has no '%s'", key);
    }
    *json = (st_json){.text = value, .length = strlen(value), .file = weights->file.path, .arena = arena};
    return STRATA_OK;
}

static strata_status read_place(st_place_in_run *place, const st_weights *weights, st_arena *arena, strata_error *err) {
    uint64_t values[9] = {0};
    static const char *const keys[] = {"epoch",      "step",          "global_step",    "correct",       "images",
                                       "best_epoch", "loss_sum_bits", "best_top1_bits", "best_loss_bits"};
    unsigned found = 0;
    st_json json;
    ST_TRY(begin_json(&json, weights, "strata.place", arena, err));
    ST_TRY(st_json_enter(&json, '{', err));
    for (bool more = true;;) {
        char *key = NULL;
        ST_TRY(st_json_next(&json, &more, &key, err));
        if (!more) {
            break;
        }
        uint64_t value = 0;
        ST_TRY(st_json_size(&json, &value, err));
        for (size_t i = 0; i < ST_COUNT_OF(keys); i++) {
            if (strcmp(key, keys[i]) == 0) {
                values[i] = value;
                found |= 1U << i;
            }
        }
    }
    ST_TRY(st_json_end(&json, err));
    bool in_range = found == (1U << ST_COUNT_OF(keys)) - 1;
    for (size_t i = 0; i < 6; i++) {
        in_range = in_range && values[i] < (uint64_t)1 << 48;
    }
    if (!in_range) {
        return st_fail_file(err, STRATA_FORMAT, weights->file.path, "its 'strata.place' is not one that strata writes");
    }
    *place = (st_place_in_run){.epoch = (int64_t)values[0],
                               .step = (int64_t)values[1],
                               .global_step = (int64_t)values[2],
                               .correct = (int64_t)values[3],
                               .images = (int64_t)values[4],
                               .best_epoch = (int64_t)values[5]};
    memcpy(&place->loss_sum, &values[6], sizeof place->loss_sum);
    memcpy(&place->best_top1, &values[7], sizeof place->best_top1);
    memcpy(&place->best_loss, &values[8], sizeof place->best_loss);
    return STRATA_OK;
}

static strata_status read_numbers(double out[4], int64_t *count, st_json *json, strata_error *err) {
    ST_TRY(st_json_enter(json, '[', err));
    for (*count = 0;;) {
        bool more = false;
        ST_TRY(st_json_next(json, &more, NULL, err));
        if (!more) {
            return STRATA_OK;
        }
        double value = 0.0;
        ST_TRY(st_json_number(json, &value, err));
        if (*count >= 4) {
            return st_fail_file(err, STRATA_FORMAT, json->file, "its preparation has more than 4 channels");
        }
        out[(*count)++] = value;
    }
}

static strata_status read_preparation(st_preparation *out, const st_weights *weights, st_arena *arena,
                                      strata_error *err) {
    st_json json;
    uint64_t size[3] = {0};
    int64_t means = 0, deviations = 0;
    *out = (st_preparation){.deviation = {1, 1, 1, 1}};
    ST_TRY(begin_json(&json, weights, "strata.preparation", arena, err));
    ST_TRY(st_json_enter(&json, '{', err));
    for (;;) {
        static const char *const keys[] = {"height", "width", "channels"};
        bool more = false;
        char *key = NULL;
        ST_TRY(st_json_next(&json, &more, &key, err));
        if (!more) {
            break;
        }
        if (strcmp(key, "mean") == 0) {
            ST_TRY(read_numbers(out->mean, &means, &json, err));
            continue;
        }
        if (strcmp(key, "deviation") == 0) {
            ST_TRY(read_numbers(out->deviation, &deviations, &json, err));
            continue;
        }
        bool is_known = false;
        for (size_t i = 0; i < ST_COUNT_OF(keys) && !is_known; i++) {
            is_known = strcmp(key, keys[i]) == 0;
            if (is_known) {
                ST_TRY(st_json_size(&json, &size[i], err));
            }
        }
        if (!is_known) {
            ST_TRY(st_json_skip(&json, err));
        }
    }
    ST_TRY(st_json_end(&json, err));
    bool fits = size[2] >= 1 && size[2] <= 4 && means == (int64_t)size[2] && deviations == means;
    for (int i = 0; i < 3; i++) {
        fits = fits && size[i] >= 1 && size[i] <= ST_DIMENSION_LIMIT;
    }
    for (int64_t c = 0; c < deviations; c++) {
        fits =
            fits && out->deviation[c] > 0.0 && out->deviation[c] < 1e30 && out->mean[c] > -1e30 && out->mean[c] < 1e30;
    }
    if (!fits) {
        return st_fail_file(err, STRATA_FORMAT, weights->file.path,
                            "its 'strata.preparation' needs height, width, 1 to 4 channels, and as many means and "
                            "deviations above 0");
    }
    out->picture = (st_dims){(int64_t)size[0], (int64_t)size[1], (int64_t)size[2]};
    return STRATA_OK;
}

static strata_status read_classes(st_checkpoint_head *head, const st_weights *weights, st_arena *arena,
                                  strata_error *err) {
    enum { CLASS_LIMIT = 1 << 20 };
    st_json json;
    ST_TRY(begin_json(&json, weights, "strata.classes", arena, err));
    for (int pass = 0; pass < 2; pass++) {
        size_t count = 0;
        json.at = 0;
        json.depth = 0;
        ST_TRY(st_json_enter(&json, '[', err));
        for (;;) {
            bool more = false;
            char *name = NULL;
            ST_TRY(st_json_next(&json, &more, NULL, err));
            if (!more) {
                break;
            }
            ST_TRY(st_json_string(&json, &name, NULL, err));
            if (pass == 1) {
                head->classes[count] = name;
            }
            count++;
            ST_FAIL_IF(count > CLASS_LIMIT, err, STRATA_FORMAT, "it names more than %d classes", CLASS_LIMIT);
        }
        ST_TRY(st_json_end(&json, err));
        if (pass == 0 && count > 0) {
            ST_TRY(st_arena_alloc(&head->classes, arena, count, sizeof *head->classes, err));
        }
        head->class_count = count;
    }
    return STRATA_OK;
}

static strata_status read_head(st_checkpoint_head *out, st_arena *arena, const st_weights *weights, strata_error *err) {
    const char *net = st_weights_metadata(weights, "strata.net");
    if (net == NULL) {
        return STRATA_OK;
    }
    char *text = NULL;
    ST_TRY(st_arena_text(&text, arena, net, strlen(net), err));
    out->net_text = text;
    ST_TRY(read_classes(out, weights, arena, err));
    ST_TRY(read_preparation(&out->preparation, weights, arena, err));
    out->has_preparation = true;
    return STRATA_OK;
}

strata_status st_checkpoint_head_read(st_checkpoint_head *out, st_arena *arena, const char *path, strata_error *err) {
    *out = (st_checkpoint_head){0};
    st_weights weights;
    ST_TRY(st_weights_open(&weights, path, err));
    strata_status status = read_head(out, arena, &weights, err);
    st_weights_close(&weights);
    return status;
}

strata_status st_checkpoint_need_net(const st_checkpoint_head *head, const char *path, strata_error *err) {
    if (head->net_text != NULL) {
        return STRATA_OK;
    }
    strata_status status =
        st_fail_file(err, STRATA_FORMAT, path, "it holds weights but no net: its metadata has no 'strata.net'");
    st_error_hint(err, "name the net, and give this file with --weights");
    return status;
}

/* ---- tensors in ------------------------------------------------------------------------------------------------- */

static void print_dims(char *out, size_t capacity, int rank, const int64_t *dims) {
    size_t length = 0;
    out[0] = '\0';
    for (int i = 0; i < rank && length + 24 < capacity; i++) {
        length += (size_t)snprintf(out + length, capacity - length, "%s%" PRId64, i > 0 ? "x" : "", dims[i]);
    }
}

static strata_status find_tensor(const st_tensor **out, const st_weights *weights, const char *name,
                                 const st_state *expected, strata_error *err) {
    const st_tensor *tensor = st_weights_find(weights, name);
    if (tensor == NULL) {
        return st_fail_file(err, STRATA_FORMAT, weights->file.path, "it does not fit the net: no tensor '%s'", name);
    }
    bool same = tensor->rank == expected->dims.rank;
    for (int i = 0; same && i < tensor->rank; i++) {
        same = tensor->dims[i] == expected->dims.dims[i];
    }
    if (!same) {
        char found[128], wanted[128];
        print_dims(found, sizeof found, tensor->rank, tensor->dims);
        print_dims(wanted, sizeof wanted, expected->dims.rank, expected->dims.dims);
        return st_fail_file(err, STRATA_FORMAT, weights->file.path,
                            "it does not fit the net: '%s' is %s there, the net has %s", name, found, wanted);
    }
    *out = tensor;
    return STRATA_OK;
}

typedef struct load_state {
    strata_model *model;
    const st_weights *weights;
    st_arena *arena;
    int slots;
    bool stores; /* second visit: values go into the model */
} load_state;

/* Visits the tensors that the model needs, in the order in which save writes them. */
static strata_status visit_tensors(load_state *state, int which, strata_error *err) {
    st_model *core = state->model->core;
    for (size_t i = 0; i < core->parameter_count; i++) {
        const st_parameter *parameter = &core->parameters[i];
        const st_state *expected = &parameter->node->state[parameter->state];
        if (which >= 0 && !parameter->is_trained) {
            continue;
        }
        char *name = NULL;
        const st_tensor *tensor = NULL;
        if (which < 0) {
            ST_TRY(st_arena_text(&name, state->arena, expected->path, strlen(expected->path), err));
        } else {
            ST_TRY(st_arena_printf(&name, state->arena, err, "optimizer.%s.%s",
                                   slot_name(state->model->optimizer, which), expected->path));
        }
        ST_TRY(find_tensor(&tensor, state->weights, name, expected, err));
        ST_TRY(st_weights_read(state->weights, tensor, core->scratch, err));
        if (state->stores) {
            st_model_set(core, i, which, core->scratch);
        }
    }
    return STRATA_OK;
}

/* The hash that save wrote, over every tensor of the file, whether this model needs it or not. */
static strata_status check_hash(const load_state *state, strata_error *err) {
    const char *expected = st_weights_metadata(state->weights, "strata.sha256");
    if (expected == NULL) {
        return STRATA_OK; /* another program's file */
    }
    st_sha256 sha;
    char found[65];
    const st_model *core = state->model->core;
    st_sha256_begin(&sha);
    for (size_t i = 0; i < state->weights->tensor_count; i++) {
        const st_tensor *tensor = &state->weights->tensors[i];
        st_real *values = core->scratch;
        if (tensor->count > core->scratch_count) { /* of a head that this model leaves out */
            ST_TRY(st_arena_alloc(&values, state->arena, tensor->count, sizeof *values, err));
        }
        ST_TRY(st_weights_read(state->weights, tensor, values, err));
        hash_values(&sha, values, tensor->count);
    }
    st_sha256_end(&sha, found);
    if (strcmp(found, expected) != 0) {
        return st_fail_file(err, STRATA_FORMAT, state->weights->file.path,
                            "it is damaged: its tensors hash to %.12s..., its metadata says %.12s...", found, expected);
    }
    return STRATA_OK;
}

static strata_status check_extra(const load_state *state, strata_error *err) {
    const st_model *core = state->model->core;
    for (size_t i = 0; i < state->weights->tensor_count; i++) {
        const char *name = state->weights->tensors[i].name, *dot = strrchr(name, '.');
        bool is_known =
            strncmp(name, "optimizer.", 10) == 0 || (dot != NULL && strcmp(dot, ".num_batches_tracked") == 0);
        for (int n = 0; !is_known && n < core->graph->node_count; n++) {
            for (int s = 0; s < ST_OP_STATES && !is_known; s++) {
                const st_state *tensor = &core->graph->nodes[n].state[s];
                is_known = tensor->count > 0 && strcmp(tensor->path, name) == 0;
            }
        }
        if (!is_known) {
            return st_fail_file(err, STRATA_FORMAT, state->weights->file.path,
                                "it does not fit the net: the net has no tensor '%s'", name);
        }
    }
    return STRATA_OK;
}

/* One text of the metadata against what this run would write. The message shows where they begin to differ. */
static strata_status check_same(const st_weights *weights, const char *key, const char *what,
                                void (*add)(st_text *, const strata_model *, const st_recipe *),
                                const strata_model *model, const st_recipe *recipe, strata_error *err) {
    st_text text = {0};
    char *own = NULL;
    const char *written = st_weights_metadata(weights, key);
    add(&text, model, recipe);
    ST_TRY(st_text_finish(&own, &text, err));
    strata_status status = STRATA_OK;
    if (written == NULL || strcmp(own, written) != 0) {
        size_t same = 0;
        while (written != NULL && written[same] != '\0' && written[same] == own[same]) {
            same++;
        }
        size_t from = same > 12 ? same - 12 : 0;
        status = st_fail_file(err, STRATA_INVALID, weights->file.path,
                              "it belongs to another run: its %s says '...%.32s', this run's '...%.32s'", what,
                              written != NULL ? written + from : "", own + from);
    }
    strata_text_free(own);
    return status;
}

static strata_status check_run(const st_weights *weights, const st_recipe *recipe, const strata_model *model,
                               strata_error *err) {
    const char *numerics = st_weights_metadata(weights, "strata.numerics");
    const char *written = st_weights_metadata(weights, "strata.recipe");
    char expected[16];
    (void)snprintf(expected, sizeof expected, "%d", STRATA_NUMERICS);
    if (written == NULL || numerics == NULL) {
        return st_fail_file(err, STRATA_FORMAT, weights->file.path, "it holds weights, not a run that can go on");
    }
    if (strcmp(numerics, expected) != 0) {
        return st_fail_file(err, STRATA_UNSUPPORTED, weights->file.path,
                            "it was computed with numerics %s, this program has %s: the bits would differ", numerics,
                            expected);
    }
    ST_TRY(check_same(weights, "strata.net", "net", add_net, model, recipe, err));
    ST_TRY(check_same(weights, "strata.classes", "classes", add_classes, model, recipe, err));
    ST_TRY(check_same(weights, "strata.preparation", "pictures", add_prepared, model, recipe, err));
    return check_same(weights, "strata.recipe", "run", add_run, model, recipe, err);
}

static strata_status load(load_state *state, st_place_in_run *place, const st_recipe *recipe, strata_error *err) {
    st_place_in_run found = {0};
    if (place != NULL) {
        ST_TRY(check_run(state->weights, recipe, state->model, err));
        ST_TRY(read_place(&found, state->weights, state->arena, err));
    }
    ST_TRY(check_extra(state, err));
    ST_TRY(check_hash(state, err));
    for (int visit = 0; visit < 2; visit++) {
        state->stores = visit == 1;
        for (int which = -1; which < state->slots; which++) {
            ST_TRY(visit_tensors(state, which, err));
        }
    }
    if (place != NULL) {
        *place = found;
    }
    return STRATA_OK;
}

strata_status st_checkpoint_load(strata_model *model, st_place_in_run *place, const st_recipe *recipe, const char *path,
                                 strata_error *err) {
    st_weights weights;
    load_state state = {
        .model = model, .weights = &weights, .slots = place != NULL ? model->core->options.slot_count : 0};
    ST_TRY(st_weights_open(&weights, path, err));
    strata_status status = st_arena_create(&state.arena, err);
    if (status == STRATA_OK) {
        status = load(&state, place, recipe, err);
        st_error_file(err, path);
    }
    st_arena_free(state.arena);
    st_weights_close(&weights);
    return status;
}
