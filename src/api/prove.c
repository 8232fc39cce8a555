/* The answers of a model to a few pictures, number by number: what a file that was just written is compared by. */
#include <string.h>

#include "api/api.h"

typedef struct asking {
    strata_model *model;
    const st_proof *proof;
    st_arena *arena;
    size_t batch;
    double *row; /* [classes] */
    float *out;
} asking;

static void run_feed(asking *a, const st_feed *feed, size_t first) {
    st_model *core = a->model->core;
    size_t classes = a->model->class_count;
    st_model_infer(core, feed);
    for (size_t i = 0; i < (size_t)feed->n; i++) {
        st_exec_output(core->infer, core->graph->main_output, (int64_t)i, core->scratch);
        if (a->proof->probabilities) {
            st_probabilities(a->model, core->scratch, a->row);
        }
        for (size_t c = 0; c < classes; c++) {
            a->out[(first + i) * classes + c] = (float)(a->proof->probabilities ? a->row[c] : (double)core->scratch[c]);
        }
    }
}

/* Numbers of mean 0 and variance 1, the same for every model of this input. */
static strata_status ask_noise(asking *a, strata_error *err) {
    st_dims input = a->model->core->graph->input;
    size_t each = (size_t)(input.h * input.w * input.c), count = 0;
    st_real *values = NULL;
    uint64_t stream = st_rng_stream(ST_STREAM_TEST, 0);
    ST_FAIL_IF(!st_size_mul(each, a->batch, &count), err, STRATA_MEMORY, "no memory for %zu pictures", a->batch);
    ST_TRY(st_arena_alloc(&values, a->arena, count, sizeof *values, err));
    for (size_t first = 0; first < a->proof->count; first += a->batch) {
        size_t now = a->proof->count - first < a->batch ? a->proof->count - first : a->batch;
        for (size_t i = 0; i < now * each; i++) {
            values[i] = (st_real)st_rng_normal(a->proof->seed, stream, first * each + i);
        }
        st_feed feed = {.values = values, .n = (int64_t)now};
        run_feed(a, &feed, first);
    }
    return STRATA_OK;
}

static strata_status ask_pictures(asking *a, st_reader *reader, strata_error *err) {
    const st_proof *proof = a->proof;
    st_model *core = a->model->core;
    st_geometry geometry;
    st_preparation preparation;
    uint8_t *pixels = NULL;
    size_t there = strata_dataset_count(proof->data, proof->part);
    ST_TRY(st_train_prepare(&geometry, &preparation, a->model, strata_dataset_shape(proof->data), err));
    core->preparation = preparation;
    size_t each = st_geometry_bytes(&geometry);
    ST_TRY(st_arena_alloc(&pixels, a->arena, a->batch, each, err));
    for (size_t first = 0; first < proof->count; first += a->batch) {
        size_t now = proof->count - first < a->batch ? proof->count - first : a->batch;
        for (size_t i = 0; i < now; i++) {
            size_t index = (size_t)((double)there * (double)(first + i) / (double)proof->count);
            ST_TRY(st_data_fitted(proof->data, proof->part, index, &geometry, reader, pixels + i * each, err));
        }
        st_feed feed = {.pixels = pixels, .n = (int64_t)now};
        run_feed(a, &feed, first);
    }
    return STRATA_OK;
}

strata_status st_api_answers(float *out, strata_model *model, const st_proof *proof, strata_error *err) {
    asking a = {.model = model, .proof = proof, .batch = (size_t)model->core->options.batch, .out = out};
    st_preparation stored = model->core->preparation;
    st_reader reader = {0};
    ST_TRY(st_arena_create(&a.arena, err));
    strata_status status = st_arena_alloc(&a.row, a.arena, model->class_count, sizeof *a.row, err);
    if (status == STRATA_OK) {
        status = proof->data != NULL ? ask_pictures(&a, &reader, err) : ask_noise(&a, err);
    }
    model->core->preparation = stored;
    st_reader_free(&reader);
    st_arena_free(a.arena);
    return status;
}
