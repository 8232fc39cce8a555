/* Weights, and with a place all that a resume needs, from a checkpoint into a model. Nothing of the model changes
 * before every tensor has been found, with its shape, and the hash of a file that has one is right: what can still fail
 * then is the disk. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "train/checkpoint.h"
#include "train/tuning.h"

#define HINT "strata weights FILE --for NET shows both side by side"

static strata_status find_tensor(const st_tensor **out, const st_weights *weights, const char *name,
                                 const st_state *expected, strata_error *err) {
    const st_tensor *tensor = st_weights_find(weights, name);
    if (tensor == NULL) {
        strata_status status =
            st_fail_file(err, STRATA_FORMAT, weights->file.path, "it does not fit the net: no tensor '%s'", name);
        st_error_hint(err, HINT);
        return status;
    }
    bool same = tensor->rank == expected->dims.rank;
    for (int i = 0; same && i < tensor->rank; i++) {
        same = tensor->dims[i] == expected->dims.dims[i];
    }
    if (!same) {
        char found[ST_TENSOR_DIMS_TEXT], wanted[ST_TENSOR_DIMS_TEXT];
        st_tensor_dims(found, tensor->rank, tensor->dims);
        st_tensor_dims(wanted, expected->dims.rank, expected->dims.dims);
        strata_status status =
            st_fail_file(err, STRATA_FORMAT, weights->file.path,
                         "it does not fit the net: '%s' is %s there, the net has %s", name, found, wanted);
        st_error_hint(err, HINT);
        return status;
    }
    *out = tensor;
    return STRATA_OK;
}

typedef struct load_state {
    strata_model *model;
    const st_weights *weights;
    st_arena *arena;
    st_checkpoint_tensor *list;
    size_t count;
    const bool *may_differ; /* [nodes of the core] its tensors may be others in the file: the model keeps its own */
    bool heads_too;         /* with may_differ: those that fit are taken all the same */
    st_text *left;          /* with may_differ: what the model kept, "NAME zeros" or "NAME drawn" in a line */
    const st_node *zeros;   /* the layer that begins so where the file's is not taken; NULL: none does */
    bool head_is_new;       /* it is not taken */
    bool stores;            /* second visit: values go into the model */
} load_state;

static bool is_kept(const load_state *state, const st_parameter *parameter, const char *name,
                    const st_state *expected) {
    const st_graph *graph = state->model->core->graph;
    const st_tensor *tensor = NULL;
    return state->may_differ != NULL && state->may_differ[parameter->node - graph->nodes] &&
           (!state->heads_too || find_tensor(&tensor, state->weights, name, expected, NULL) != STRATA_OK);
}

/* Visits the tensors that the model needs, in the order in which save writes them. */
static strata_status visit_tensors(load_state *state, strata_error *err) {
    for (size_t i = 0; i < state->count; i++) {
        const st_checkpoint_tensor *at = &state->list[i];
        const st_parameter *parameter = &at->model->parameters[at->index];
        const st_state *expected = &parameter->node->state[parameter->state];
        const char *name = expected->path;
        const st_tensor *tensor = NULL;
        const char *kind = st_checkpoint_slot(state->model->optimizer, at->which);
        if (kind != NULL) {
            char *slot = NULL;
            ST_TRY(st_arena_printf(&slot, state->arena, err, "optimizer.%s.%s", kind, expected->path));
            name = slot;
        }
        if (is_kept(state, parameter, name, expected)) {
            if (state->stores) {
                bool is_zero = parameter->node == state->zeros;
                state->model->new_head = parameter->node->is_train_only ? state->model->new_head : parameter->node;
                state->head_is_new = state->head_is_new || is_zero;
                st_text_add(state->left, "%s %s\n", name, is_zero ? "zeros" : "drawn");
            }
            continue;
        }
        ST_TRY(find_tensor(&tensor, state->weights, name, expected, err));
        if (!state->stores) {
            if (!st_stored_is_real(tensor->stored)) { /* or it says what it is */
                ST_TRY(st_weights_read(state->weights, tensor, at->model->scratch, err));
            }
            continue; /* its bytes are in the file: the reader saw that */
        }
        ST_TRY(st_weights_read(state->weights, tensor, at->model->scratch, err));
        ST_TRY(st_channels_first(at->model->scratch, tensor, at->model->graph, parameter->node, err));
        st_model_set(at->model, at->index, at->which, at->model->scratch);
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
            strata_status status = st_fail_file(err, STRATA_FORMAT, state->weights->file.path,
                                                "it does not fit the net: the net has no tensor '%s'", name);
            st_error_hint(err, HINT);
            return status;
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
    ST_TRY(check_same(weights, "strata.net", "net", st_checkpoint_add_net, model, recipe, err));
    ST_TRY(check_same(weights, "strata.classes", "classes", st_checkpoint_add_classes, model, recipe, err));
    ST_TRY(check_same(weights, "strata.preparation", "pictures", st_checkpoint_add_prepared, model, recipe, err));
    return check_same(weights, "strata.recipe", "run", st_checkpoint_add_run, model, recipe, err);
}

static strata_status load(load_state *state, st_place_in_run *place, const st_recipe *recipe, strata_error *err) {
    st_place_in_run found = {0};
    if (place != NULL) {
        ST_TRY(check_run(state->weights, recipe, state->model, err));
        ST_TRY(st_checkpoint_read_place(&found, state->weights, state->arena, err));
    }
    ST_TRY(check_extra(state, err));
    ST_TRY(st_weights_check_hash(state->weights, err));
    ST_TRY(st_checkpoint_list(&state->list, &state->count, state->arena, state->model, place != NULL, err));
    for (int visit = 0; visit < 2; visit++) {
        state->stores = visit == 1;
        ST_TRY(visit_tensors(state, err));
    }
    const char *broken = st_model_first_not_finite(state->model->core, false);
    if (broken != NULL) {
        return st_fail_file(
            err, STRATA_FORMAT, state->weights->file.path,
            "tensor '%s' holds numbers that are not finite (NaN or infinite): these weights cannot work", broken);
    }
    if (place != NULL) {
        *place = found;
    }
    return STRATA_OK;
}

static strata_status load_open(load_state *state, st_place_in_run *place, const st_recipe *recipe, strata_error *err) {
    ST_TRY(st_arena_create(&state->arena, err));
    strata_status status = load(state, place, recipe, err);
    st_error_file(err, state->weights->file.path);
    st_arena_free(state->arena);
    return status;
}

strata_status st_checkpoint_load_open(strata_model *model, const st_weights *weights, strata_error *err) {
    load_state state = {.model = model, .weights = weights};
    return load_open(&state, NULL, NULL, err);
}

strata_status st_checkpoint_load(strata_model *model, st_place_in_run *place, const st_recipe *recipe, const char *path,
                                 strata_error *err) {
    st_weights weights;
    ST_TRY(st_weights_open(&weights, path, err));
    load_state state = {.model = model, .weights = &weights};
    strata_status status = load_open(&state, place, recipe, err);
    st_weights_close(&weights);
    return status;
}

strata_status st_checkpoint_adapt(strata_model *model, bool heads_too, st_text *left, const char *path,
                                  strata_error *err) {
    st_weights weights;
    bool *heads = NULL, rectifies = false;
    ST_TRY(st_weights_open(&weights, path, err));
    load_state state = {.model = model, .weights = &weights, .heads_too = heads_too, .left = left};
    strata_status status = st_regime_heads(&heads, weights.arena, model->core->graph, err);
    if (status == STRATA_OK) {
        state.may_differ = heads;
        state.zeros = st_new_head_layer(model->core, heads, &rectifies);
        status = load_open(&state, NULL, NULL, err);
    }
    if (status == STRATA_OK && state.head_is_new) {
        st_new_head_begin(model->core, state.zeros, rectifies);
    }
    st_weights_close(&weights);
    return status;
}

strata_status st_checkpoint_place(st_place_in_run *place, const char *path, strata_error *err) {
    st_weights weights;
    ST_TRY(st_weights_open(&weights, path, err));
    strata_status status = st_checkpoint_read_place(place, &weights, weights.arena, err);
    st_weights_close(&weights);
    return status;
}
