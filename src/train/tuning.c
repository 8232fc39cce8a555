/* Training a part of a net. The model itself stays one for inference: it evaluates, is saved, and computes the features
 * before the cut. What learns is a second one, of the layers behind the cut, planned for training; its weights are the
 * first one's, in the same memory, so the whole is always up to date. With a thaw there are two phases, each with a
 * learner of its own. */
#include <math.h>
#include <string.h>

#include "train/tuning.h"

enum { PHASE_HEAD, PHASE_REST, PHASE_NONE };

struct st_tuning {
    st_arena *arena;
    strata_model *model;
    const strata_dataset *data;
    const st_recipe *recipe;
    const st_augmentation *augmentation;
    st_features_options kept; /* folder and limits */
    int32_t *labels;          /* [batch] */
    /* of the phase: */
    int phase;
    st_arena *phase_arena;
    st_regime regime;
    st_model *learner;
    st_features *features; /* NULL without a cut */
};

/* ---- phases ----------------------------------------------------------------------------------------------------- */

static int phase_of(const st_tuning *tuning, int64_t epoch) {
    return epoch < tuning->recipe->thaw ? PHASE_HEAD : PHASE_REST;
}

void st_tuning_span(const st_tuning *tuning, int64_t epoch, int64_t epoch_steps, int64_t *first, int64_t *count) {
    bool is_head = phase_of(tuning, epoch) == PHASE_HEAD;
    int64_t thaw = tuning->recipe->thaw;
    *first = is_head ? 0 : thaw * epoch_steps;
    *count = (is_head ? thaw : tuning->recipe->epochs - thaw) * epoch_steps;
}

/* Where weights are averaged, the whole has the averages at the end of an epoch: what comes next begins with them. */
static void leave(st_tuning *tuning) {
    tuning->model->learner = NULL;
    st_features_free(tuning->features);
    st_model_free(tuning->learner);
    st_arena_free(tuning->phase_arena);
    tuning->features = NULL;
    tuning->learner = NULL;
    tuning->phase_arena = NULL;
    tuning->phase = PHASE_NONE;
}

static strata_status make_learner(st_tuning *tuning, strata_error *err) {
    const st_model *core = tuning->model->core;
    const st_plan *plan = st_exec_plan(core->infer);
    st_regime *regime = &tuning->regime;
    st_graph *graph = NULL;
    const char *words = tuning->phase == PHASE_HEAD ? "head" : tuning->recipe->train;
    ST_TRY(st_regime_find(regime, tuning->phase_arena, core->graph, plan, words, err));
    ST_TRY(st_graph_slice(&graph, tuning->phase_arena, core->graph, regime->cut, regime->trained, err));
    st_model_options options = core->options;
    options.train = true;
    options.layout = &plan->layout;
    options.lender = core;
    ST_TRY(st_model_create(&tuning->learner, core->pool, core->kernels, graph, &options, err));
    ST_FAIL_IF(
        st_exec_plan(tuning->learner->train)->options.batch != options.batch, err, STRATA_UNSUPPORTED,
        "a step in several batches computes this net 16 pictures at a time: a batch of %lld is no multiple of that",
        (long long)options.batch);
    int before = core->graph->node_count - graph->node_count;
    for (size_t i = 0; i < tuning->learner->parameter_count; i++) {
        st_parameter *parameter = &tuning->learner->parameters[i];
        parameter->is_body = !regime->head[before + (parameter->node - graph->nodes)];
    }
    tuning->learner->preparation = core->preparation;
    if (options.averages) {
        st_model_average(tuning->learner, 1.0);
    }
    return STRATA_OK;
}

static strata_status build_phase(st_tuning *tuning, strata_error *err) {
    ST_TRY(st_arena_create(&tuning->phase_arena, err));
    ST_TRY(make_learner(tuning, err));
    if (tuning->regime.cut >= 0) {
        st_features_options options = tuning->kept;
        options.cut = tuning->regime.cut;
        ST_TRY(st_features_create(&tuning->features, &options, err));
    }
    tuning->model->learner = tuning->learner;
    return STRATA_OK;
}

strata_status st_tuning_enter(st_tuning *tuning, int64_t epoch, strata_error *err) {
    int phase = phase_of(tuning, epoch);
    if (phase == tuning->phase) {
        return STRATA_OK;
    }
    leave(tuning);
    tuning->phase = phase;
    strata_status status = build_phase(tuning, err);
    if (status != STRATA_OK) {
        leave(tuning);
    }
    return status;
}

/* ---- making one ------------------------------------------------------------------------------------------------- */

static strata_status build(st_tuning *tuning, strata_error *err) {
    const st_model *core = tuning->model->core;
    ST_FAIL_IF(core->train != NULL, err, STRATA_INVALID,
               "a model of which a part is trained is built for inference: the trainer builds that part");
    ST_TRY(st_arena_alloc(&tuning->labels, tuning->arena, (size_t)core->options.batch, sizeof *tuning->labels, err));
    ST_TRY(st_tuning_enter(tuning, 0, err));
    const st_node *new_head = tuning->model->new_head;
    if (new_head != NULL && !tuning->regime.trained[new_head - core->graph->nodes]) {
        strata_status status =
            st_fail(err, STRATA_INVALID, "the last layer '%s' is new and would stay as it begins: it has to learn too",
                    new_head->path);
        st_error_hint(err, "add %s to the layers that are trained, or train it alone first: --thaw", new_head->path);
        return status;
    }
    return STRATA_OK;
}

static const uint64_t STANDARD_FOLDER = (uint64_t)8 << 30;

strata_status st_tuning_create(st_tuning **out, strata_model *model, const strata_dataset *data,
                               const st_recipe *recipe, const st_augmentation *augmentation,
                               const strata_train_options *options, strata_error *err) {
    st_arena *arena = NULL;
    st_tuning *tuning = NULL;
    *out = NULL;
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = st_arena_alloc(&tuning, arena, 1, sizeof *tuning, err);
    if (status != STRATA_OK) {
        st_arena_free(arena);
        return status;
    }
    uint64_t memory = options->features_memory, folder = options->features_disk;
    *tuning = (st_tuning){.arena = arena,
                          .model = model,
                          .data = data,
                          .recipe = recipe,
                          .augmentation = augmentation,
                          .kept = {.model = model,
                                   .data = data,
                                   .augmentation = *augmentation,
                                   .variants = recipe->variants,
                                   .folder = options->features,
                                   .memory_bytes = memory > 0 ? memory : ST_FEATURES_MEMORY,
                                   .folder_bytes = folder > 0 ? folder : STANDARD_FOLDER},
                          .phase = PHASE_NONE};
    if (options->features != NULL) {
        char *copy = NULL;
        status = st_arena_text(&copy, arena, options->features, strlen(options->features), err);
        tuning->kept.folder = copy;
    }
    status = status == STRATA_OK ? build(tuning, err) : status;
    if (status != STRATA_OK) {
        st_tuning_free(tuning);
        return status;
    }
    *out = tuning;
    return STRATA_OK;
}

void st_tuning_free(st_tuning *tuning) {
    if (tuning != NULL) {
        leave(tuning);
        st_arena_free(tuning->arena);
    }
}

const st_regime *st_tuning_regime(const st_tuning *tuning) {
    return &tuning->regime;
}

/* ---- steps ------------------------------------------------------------------------------------------------------ */

static int64_t variant_of(const st_tuning *tuning, int64_t epoch) {
    return epoch % tuning->kept.variants;
}

bool st_tuning_needs_pictures(const st_tuning *tuning) {
    return tuning->features == NULL || tuning->kept.variants == 0;
}

strata_status st_tuning_prepare(st_tuning *tuning, int64_t epoch, bool *ready, size_t *done, size_t *count,
                                strata_error *err) {
    *ready = true;
    *done = *count = 0;
    if (tuning->features != NULL && tuning->kept.variants > 0) {
        ST_TRY(st_features_prepare(tuning->features, STRATA_TRAIN, variant_of(tuning, epoch), ready, done, count, err));
    }
    if (tuning->features != NULL && *ready) {
        ST_TRY(st_features_prepare(tuning->features, STRATA_VAL, 0, ready, done, count, err));
    }
    return STRATA_OK;
}

strata_status st_tuning_feed(st_feed *out, st_tuning *tuning, const st_batch *batch, int64_t epoch,
                             const uint32_t *order, size_t first, size_t n, strata_error *err) {
    if (st_tuning_needs_pictures(tuning)) {
        if (tuning->features == NULL) {
            out->pixels = batch->pixels;
        } else {
            out->rows = st_features_of(tuning->features, batch);
        }
        out->labels = batch->labels;
        out->other_labels = batch->other_labels;
        out->shares = batch->shares;
        out->n = (int64_t)batch->n;
        return STRATA_OK;
    }
    ST_TRY(
        st_features_rows(&out->rows, tuning->features, STRATA_TRAIN, variant_of(tuning, epoch), order, first, n, err));
    for (size_t i = 0; i < n; i++) {
        tuning->labels[i] = st_data_label(tuning->data, STRATA_TRAIN, order[first + i]);
    }
    out->labels = tuning->labels;
    out->n = (int64_t)n;
    return STRATA_OK;
}

/* ---- val -------------------------------------------------------------------------------------------------------- */

/* As an evaluation of the whole counts: the loss is the net's own, the confidence that of its probabilities. */
static void count_image(st_tally *tally, const st_tuning *tuning, int64_t image, double *probabilities) {
    st_model *learner = tuning->learner;
    int output = learner->graph->main_output;
    size_t classes = tuning->model->class_count, guess = 0;
    double loss = (double)st_exec_losses(learner->infer, output)[image];
    int32_t rank = isfinite(loss) ? st_exec_ranks(learner->infer, output)[image] : (int32_t)classes;
    st_exec_output(learner->infer, output, image, learner->scratch);
    st_probabilities(tuning->model, learner->scratch, probabilities);
    for (size_t c = 1; c < classes; c++) {
        guess = (float)probabilities[c] > (float)probabilities[guess] ? c : guess;
    }
    tally->count++;
    tally->loss += loss;
    tally->correct += rank == 0;
    tally->correct5 += rank < 5;
    st_tally_confidence(tally, (double)(float)probabilities[guess], rank == 0);
}

static strata_status evaluate(st_tally *tally, st_tuning *tuning, double *probabilities, strata_error *err) {
    size_t count = strata_dataset_count(tuning->data, STRATA_VAL), batch = (size_t)tuning->learner->options.batch;
    for (size_t first = 0; first < count; first += batch) {
        size_t n = count - first < batch ? count - first : batch;
        st_feed feed = {.labels = tuning->labels, .n = (int64_t)n};
        ST_TRY(st_features_rows(&feed.rows, tuning->features, STRATA_VAL, 0, NULL, first, n, err));
        for (size_t i = 0; i < n; i++) {
            tuning->labels[i] = st_data_label(tuning->data, STRATA_VAL, first + i);
        }
        st_model_infer(tuning->learner, &feed);
        for (size_t i = 0; i < n; i++) {
            count_image(tally, tuning, (int64_t)i, probabilities);
        }
    }
    return STRATA_OK;
}

strata_status st_tuning_evaluate(strata_metrics *out, st_tuning *tuning, strata_error *err) {
    if (tuning->features == NULL) {
        return strata_evaluate(out, tuning->model, tuning->data, STRATA_VAL, NULL, NULL, NULL, err);
    }
    st_arena *arena = NULL;
    double *probabilities = NULL;
    st_tally tally = {0};
    *out = (strata_metrics){0};
    ST_TRY(st_arena_create(&arena, err));
    strata_status status =
        st_arena_alloc(&probabilities, arena, tuning->model->class_count, sizeof *probabilities, err);
    if (status == STRATA_OK) {
        status = evaluate(&tally, tuning, probabilities, err);
    }
    if (status == STRATA_OK) {
        st_tally_metrics(&tally, tuning->model->class_count, out);
    }
    st_arena_free(arena);
    return status;
}

/* ---- what it costs ---------------------------------------------------------------------------------------------- */

typedef struct timing {
    st_tuning *tuning;
    st_batcher *batcher;
    double pictures, features, steps, answers; /* seconds of a batch, the fastest: reading, and computing on it */
} timing;

static double shorter(double best, double begun) {
    double seconds = st_clock_s() - begun;
    return best > 0.0 && best < seconds ? best : seconds;
}

static strata_status time_batch(timing *t, strata_error *err) {
    st_tuning *tuning = t->tuning;
    st_batch batch;
    double begun = st_clock_s();
    ST_TRY(st_batcher_next(t->batcher, &batch, err));
    t->pictures = shorter(t->pictures, begun);
    st_feed feed = {.labels = batch.labels, .n = (int64_t)batch.n};
    if (tuning->features == NULL) {
        feed.pixels = batch.pixels;
    } else {
        begun = st_clock_s();
        feed.rows = st_features_of(tuning->features, &batch);
        t->features = shorter(t->features, begun);
    }
    begun = st_clock_s();
    st_model_gradients(tuning->learner, &feed);
    t->steps = shorter(t->steps, begun);
    begun = st_clock_s();
    st_model_infer(tuning->learner, &feed);
    t->answers = shorter(t->answers, begun);
    return STRATA_OK;
}

/* Whole batches while there are some; with fewer pictures than a batch, what there is, as often. */
static strata_status time_batches(timing *t, size_t batch, strata_error *err) {
    enum { MOST = 4 };
    static const double ENOUGH_S = 1.0;
    size_t count = strata_dataset_count(t->tuning->data, STRATA_TRAIN), whole = count / batch;
    double begun = st_clock_s();
    for (int i = 0; i < MOST && (i < 2 || st_clock_s() - begun < ENOUGH_S); i++) {
        if (i == 0 || whole < 2 || (size_t)i % whole == 0) {
            ST_TRY(st_batcher_start(t->batcher, NULL, whole > 0 ? whole * batch : count, 0, err));
        }
        ST_TRY(time_batch(t, err));
    }
    return STRATA_OK;
}

/* A step in training moves the statistics of batch norm: `keeps` puts them aside, else they come back. */
static strata_status keep_statistics(st_real ***kept, st_arena *arena, st_model *learner, bool keeps,
                                     strata_error *err) {
    if (keeps) {
        ST_TRY(st_arena_alloc(kept, arena, learner->parameter_count, sizeof **kept, err));
    }
    for (size_t i = 0; i < learner->parameter_count; i++) {
        const st_parameter *parameter = &learner->parameters[i];
        if (parameter->node->state[parameter->state].spec->is_trained) {
            continue;
        }
        if (keeps) {
            ST_TRY(st_arena_alloc(&(*kept)[i], arena, parameter->published_count, sizeof ***kept, err));
            st_model_get(learner, i, -1, (*kept)[i]);
        } else {
            st_model_set(learner, i, -1, (*kept)[i]);
        }
    }
    return STRATA_OK;
}

static strata_status time_safely(timing *t, size_t batch, strata_error *err) {
    st_arena *arena = NULL;
    st_real **kept = NULL;
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = keep_statistics(&kept, arena, t->tuning->learner, true, err);
    if (status == STRATA_OK) {
        status = time_batches(t, batch, err);
        (void)keep_statistics(&kept, arena, t->tuning->learner, false, NULL);
    }
    st_arena_free(arena);
    return status;
}

static double larger(double a, double b) {
    return a > b ? a : b;
}

static strata_status measure_phase(strata_cost *out, st_tuning *tuning, strata_error *err) {
    timing t = {.tuning = tuning};
    size_t batch = (size_t)tuning->learner->options.batch;
    size_t train = strata_dataset_count(tuning->data, STRATA_TRAIN);
    size_t val = strata_dataset_count(tuning->data, STRATA_VAL), at_once = train < batch ? train : batch;
    *out = (strata_cost){0};
    bool is_augmented = tuning->augmentation->augment.count > 0;
    ST_TRY(st_batcher_create(&t.batcher, tuning->data, STRATA_TRAIN, batch, &tuning->model->geometry,
                             is_augmented ? st_cpu_count() : 0, err));
    if (is_augmented) {
        st_batcher_augment(t.batcher, tuning->augmentation);
    }
    strata_status status = time_safely(&t, batch, err);
    st_batcher_free(t.batcher);
    if (status != STRATA_OK) {
        return status;
    }
    double batches = (double)train / (double)at_once, val_batches = (double)val / (double)at_once;
    double features = larger(t.features, t.pictures); /* a batch is read while another is computed */
    if (tuning->features == NULL) {
        out->epoch_seconds = batches * larger(t.steps, t.pictures) + val_batches * larger(t.answers, t.pictures);
    } else if (tuning->kept.variants == 0) {
        out->features_seconds = val_batches * features;
        out->epoch_seconds = batches * larger(t.features + t.steps, t.pictures) + val_batches * t.answers;
    } else {
        out->features_seconds = (batches + val_batches) * features;
        out->epoch_seconds = batches * t.steps + val_batches * t.answers;
    }
    return STRATA_OK;
}

strata_status st_tuning_measure(strata_cost *out, st_tuning *tuning, int64_t epoch, strata_error *err) {
    ST_TRY(st_tuning_enter(tuning, epoch, err));
    strata_status status = measure_phase(out, tuning, err);
    strata_status back = st_tuning_enter(tuning, 0, status == STRATA_OK ? err : NULL);
    return status == STRATA_OK ? back : status;
}
