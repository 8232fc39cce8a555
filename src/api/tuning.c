/* include/strata.h: what a regime of transfer learning means for a net, from its plans alone. */
#include <string.h>

#include "api/api.h"
#include "train/tuning.h"

static void count_parameters(strata_tuning *out, const st_graph *graph) {
    for (int i = 0; i < graph->node_count; i++) {
        for (int s = 0; s < ST_OP_STATES && !graph->nodes[i].is_train_only; s++) {
            const st_state *state = &graph->nodes[i].state[s];
            out->parameters += state->count > 0 && state->spec->is_trained ? (int64_t)state->count : 0;
        }
    }
}

typedef struct question {
    const strata_runtime *runtime;
    const st_graph *graph;
    st_model_options options;
    st_arena *arena;
} question;

static strata_status describe(strata_tuning *out, const question *ask, const char *words, const strata_dataset *data,
                              strata_error *err) {
    const st_plan *plan = NULL;
    st_regime regime;
    st_plan_options inference = {.mode = ST_MODE_INFER,
                                 .batch = ask->options.batch,
                                 .threads = st_pool_threads(ask->runtime->pool),
                                 .kernels = ask->runtime->kernels};
    ST_TRY(st_plan_build(&plan, ask->arena, ask->graph, &inference, err));
    ST_TRY(st_regime_find(&regime, ask->arena, ask->graph, plan, words, err));
    out->first = ask->graph->nodes[regime.first].path;
    out->last = ask->graph->nodes[regime.last].path;
    out->layer_count = regime.layer_count;
    out->trained = regime.parameter_count;
    count_parameters(out, ask->graph);
    if (regime.cut >= 0) {
        const st_node *node = &ask->graph->nodes[regime.cut];
        out->cut = node->path;
        out->features = (strata_shape){node->out.h, node->out.w, node->out.c};
        out->is_flat = node->is_flat;
        out->features_bytes = (strata_dataset_count(data, STRATA_TRAIN) + strata_dataset_count(data, STRATA_VAL)) *
                              st_features_row_bytes(ask->graph, regime.cut);
    }
    /* The whole for inference, and the learner, whose weights are the whole's. */
    st_graph *slice = NULL;
    strata_memory whole, part;
    st_model_options learner = ask->options;
    st_dims input = ask->graph->input;
    size_t pictures = st_batcher_bytes((size_t)(input.h * input.w * input.c), (size_t)ask->options.batch);
    learner.train = true;
    learner.layout = &plan->layout;
    ST_TRY(st_graph_slice(&slice, ask->arena, ask->graph, regime.cut, regime.trained, err));
    ST_TRY(st_model_need(&whole, ask->runtime->kernels, inference.threads, ask->graph, &ask->options, pictures, err));
    ST_TRY(st_model_need(&part, ask->runtime->kernels, inference.threads, slice, &learner, 0, err));
    out->memory = whole;
    out->memory.gradients_bytes += part.gradients_bytes;
    out->memory.optimizer_bytes += part.optimizer_bytes;
    out->memory.activations_bytes += part.activations_bytes;
    out->memory.scratch_bytes += part.scratch_bytes;
    out->memory.total_bytes +=
        part.gradients_bytes + part.optimizer_bytes + part.activations_bytes + part.scratch_bytes;
    return STRATA_OK;
}

/* Tables of features that are kept in memory, and the room for a batch of them. */
static void add_features(strata_tuning *out, const question *ask, const st_recipe *recipe,
                         const strata_train_options *options, const strata_dataset *data) {
    uint64_t most = options->features_memory > 0 ? options->features_memory : ST_FEATURES_MEMORY;
    uint64_t rows = strata_dataset_count(data, STRATA_TRAIN), all = out->features_bytes;
    uint64_t row = (uint64_t)(out->features.height * out->features.width * out->features.channels) * sizeof(st_real);
    int64_t variants = recipe->variants < recipe->epochs ? recipe->variants : recipe->epochs;
    if (out->cut == NULL) {
        return;
    }
    all = variants > 0 ? all + (uint64_t)(variants - 1) * rows * row : all - rows * row;
    out->memory.total_bytes += (all < most ? all : most) + (uint64_t)ask->options.batch * row;
}

strata_status strata_tuning_get(strata_tuning *out, const strata_runtime *runtime, const strata_net *net,
                                const strata_build_options *build, const strata_train_options *options,
                                const strata_dataset *data, strata_error *err) {
    st_recipe recipe;
    st_optimizer optimizer;
    question ask = {.runtime = runtime, .graph = net->graph};
    *out = (strata_tuning){0};
    ST_FAIL_IF(options == NULL || options->train == NULL, err, STRATA_INVALID, "the options name no layers to train");
    ST_TRY(st_api_options(&ask.options, &optimizer, build, err));
    ST_TRY(st_recipe_fill(&recipe, options, err));
    ask.options.train = false;
    out->variants = recipe.variants;
    ST_TRY(st_arena_create(&ask.arena, err));
    strata_status status = describe(out, &ask, options->train, data, err);
    if (status == STRATA_OK) {
        add_features(out, &ask, &recipe, options, data);
    }
    if (status == STRATA_OK && recipe.thaw > 0) { /* before it, another learner with features of its own */
        strata_tuning head = {0};
        status = describe(&head, &ask, "head", data, err);
        if (status == STRATA_OK) {
            add_features(&head, &ask, &recipe, options, data);
            out->memory = head.memory.total_bytes > out->memory.total_bytes ? head.memory : out->memory;
        }
    }
    st_arena_free(ask.arena);
    return status;
}
