/* Features: what the part before the cut gives for each picture. That part has its weights for good and runs as in
 * inference (batch norm folded, nothing kept for gradients), so it runs once for each picture, or each variant of one,
 * and what comes out is kept: in memory while there is room, else in a temporary file, and in the user's cache folder
 * for the next run. A table is one part of the data in one variant, a row of numbers for each picture in the order of
 * the part. Rows are functions of weights, picture and variant alone, so a table that was read equals one that was
 * computed, to the bit. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "train/checkpoint.h"
#include "train/tuning.h"

typedef struct table {
    size_t count;     /* rows */
    st_real *rows;    /* NULL: in the spill */
    st_spill spill;   /* without a place: descriptor -1, memory NULL */
    size_t row_bytes; /* of `rows` or in the spill */
    size_t done;
    bool is_ready;
} table;

struct st_features {
    st_arena *arena;
    st_features_options options;
    size_t numbers;     /* of a row */
    uint64_t in_memory; /* bytes of all tables there */
    table *train, val;  /* train: [variants] */
    st_real *room;      /* [batch][numbers]: rows just computed, or read from a spill */
    const st_real **rows;
    /* the table that is being made: */
    table *making;
    st_batcher *batcher;
    st_table_file file;
    st_table_writer writer;
    char weights[65]; /* hash of what comes before the cut */
};

uint64_t st_features_row_bytes(const st_graph *graph, int cut) {
    st_dims dims = graph->nodes[cut].out;
    return (uint64_t)(dims.h * dims.w * dims.c) * sizeof(st_real);
}

static st_real *room_for(const st_features *features, size_t image) {
    return features->room + image * features->numbers;
}

/* ---- what a table is made of: its key --------------------------------------------------------------------------- */

/* The layers before the cut as text, and the bytes of their weights. */
static void hash_weights(const st_features *features, char out[65]) {
    const st_model *core = features->options.model->core;
    st_sha256 sha;
    st_sha256_begin(&sha);
    for (int i = 0; i <= features->options.cut; i++) {
        const st_node *node = &core->graph->nodes[i];
        st_sha256_add(&sha, node->path, strlen(node->path) + 1);
        st_sha256_add(&sha, node->text, strlen(node->text) + 1);
        for (int k = 0; k < node->in_count; k++) {
            const char *from = core->graph->nodes[node->in[k]].path;
            st_sha256_add(&sha, from, strlen(from) + 1);
        }
    }
    for (size_t i = 0; i < core->parameter_count; i++) {
        if (core->parameters[i].node - core->graph->nodes <= features->options.cut) {
            st_model_get(core, i, -1, core->scratch);
            st_weights_hash_values(&sha, core->scratch, core->parameters[i].published_count);
        }
    }
    st_sha256_end(&sha, out);
}

static strata_status make_key(st_features *features, strata_part part, int64_t variant, strata_error *err) {
    const st_features_options *options = &features->options;
    const st_augmentation *augmentation = &options->augmentation;
    st_text text = {0};
    st_sha256 sha;
    const st_plan *plan = st_exec_plan(options->model->core->infer);
    st_text_add(&text, "features 1, numerics %d, layout %d, %s, ", STRATA_NUMERICS, (int)plan->layout,
                features->weights);
    st_checkpoint_add_prepared(&text, options->model, NULL);
    if (part == STRATA_TRAIN && augmentation->augment.count > 0) {
        st_text_add(&text, ", %s, seed %" PRIu64 ", variant %" PRId64, augmentation->augment.text, augmentation->seed,
                    variant);
        for (size_t c = 0; c < ST_COUNT_OF(augmentation->fill); c++) {
            st_text_add(&text, ", %d", augmentation->fill[c]);
            for (size_t k = 0; k < ST_COUNT_OF(augmentation->axes[c]); k++) {
                st_text_add(&text, " %.17g", augmentation->axes[c][k]);
            }
        }
    }
    ST_FAIL_IF(text.failed, err, STRATA_MEMORY, "no memory for the name of the features");
    st_sha256_begin(&sha);
    st_sha256_add(&sha, text.bytes, text.length);
    st_text_free(&text);
    st_data_stamp(options->data, part, &sha);
    st_sha256_end(&sha, features->file.key);
    return STRATA_OK;
}

/* ---- tables ----------------------------------------------------------------------------------------------------- */

static table *table_of(st_features *features, strata_part part, int64_t variant) {
    return part == STRATA_VAL ? &features->val : &features->train[variant];
}

static void free_table(st_features *features, table *t) {
    if (t->rows != NULL) {
        st_sys.release(t->rows, t->count * t->row_bytes);
        features->in_memory -= (uint64_t)t->count * t->row_bytes;
    }
    st_spill_free(&t->spill);
    *t = (table){.spill = {.descriptor = -1}};
}

static strata_status make_table(st_features *features, table *t, strata_part part, strata_error *err) {
    size_t bytes = 0;
    *t = (table){.count = strata_dataset_count(features->options.data, part), .spill = {.descriptor = -1}};
    t->row_bytes = features->numbers * sizeof(st_real);
    ST_FAIL_IF(!st_size_mul(t->count, t->row_bytes, &bytes), err, STRATA_MEMORY, "no memory for the features");
    if (features->in_memory + bytes <= features->options.memory_bytes) {
        t->rows = st_sys.allocate(bytes);
    }
    if (t->rows != NULL) {
        features->in_memory += bytes;
        return STRATA_OK;
    }
    return st_spill_begin(&t->spill, bytes, err);
}

static strata_status put_row(table *t, const st_real *row, strata_error *err) {
    if (t->rows != NULL) {
        memcpy((char *)t->rows + t->done * t->row_bytes, row, t->row_bytes);
    } else {
        ST_TRY(st_spill_add(&t->spill, row, t->row_bytes, err));
    }
    t->done++;
    return STRATA_OK;
}

static bool take_read_row(void *to, size_t index, const st_real *row) {
    st_features *features = to;
    (void)index;
    return put_row(features->making, row, NULL) == STRATA_OK;
}

/* ---- making one ------------------------------------------------------------------------------------------------- */

const st_real *const *st_features_of(st_features *features, const st_batch *batch) {
    st_model *core = features->options.model->core;
    st_feed feed = {.pixels = batch->pixels, .n = (int64_t)batch->n, .until = features->options.cut};
    st_model_infer(core, &feed);
    for (size_t i = 0; i < batch->n; i++) {
        st_exec_row(core->infer, features->options.cut, (int64_t)i, room_for(features, i));
        features->rows[i] = room_for(features, i);
    }
    return features->rows;
}

/* Nothing is being made any more; what was not finished is gone. */
static void stop_making(st_features *features) {
    st_batcher_free(features->batcher);
    features->batcher = NULL;
    st_table_cancel(&features->writer);
    if (features->making != NULL && !features->making->is_ready) {
        free_table(features, features->making);
    }
    features->making = NULL;
}

static strata_status start_batches(st_features *features, strata_part part, int64_t variant, strata_error *err) {
    const st_features_options *options = &features->options;
    bool is_augmented = part == STRATA_TRAIN && options->augmentation.augment.count > 0;
    ST_TRY(st_batcher_create(&features->batcher, options->data, part, (size_t)options->model->core->options.batch,
                             &options->model->geometry, is_augmented ? st_cpu_count() : 0, err));
    if (is_augmented) {
        st_augmentation augmentation = options->augmentation;
        augmentation.epoch = (uint64_t)variant;
        st_batcher_augment(features->batcher, &augmentation);
    }
    return st_batcher_start(features->batcher, NULL, features->making->count, 0, err);
}

/* From the cache folder, or the beginning of the work. */
static strata_status begin(st_features *features, table *t, strata_part part, int64_t variant, strata_error *err) {
    stop_making(features);
    ST_TRY(make_table(features, t, part, err));
    features->making = t;
    features->file = (st_table_file){.folder = features->options.folder,
                                     .count = t->count,
                                     .dims = features->options.model->core->graph->nodes[features->options.cut].out};
    ST_TRY(make_key(features, part, variant, err));
    if (st_table_read(&features->file, take_read_row, features)) {
        t->is_ready = true;
        return STRATA_OK;
    }
    free_table(features, t); /* of a file that turned out to be damaged some rows may be there */
    ST_TRY(make_table(features, t, part, err));
    uint64_t bytes = st_table_bytes(&features->file);
    if (features->options.folder != NULL && bytes <= features->options.folder_bytes) {
        st_table_make_room(features->options.folder, bytes, features->options.folder_bytes);
        st_table_begin(&features->writer, &features->file);
    }
    return start_batches(features, part, variant, err);
}

static strata_status make_batch(st_features *features, strata_error *err) {
    st_batch batch;
    ST_TRY(st_batcher_next(features->batcher, &batch, err));
    st_features_of(features, &batch);
    for (size_t i = 0; i < batch.n; i++) {
        ST_TRY(put_row(features->making, features->rows[i], err));
        st_table_add(&features->writer, &features->file, features->rows[i]);
    }
    if (features->making->done == features->making->count) {
        features->making->is_ready = true;
        st_table_commit(&features->writer, &features->file);
    }
    return STRATA_OK;
}

strata_status st_features_prepare(st_features *features, strata_part part, int64_t variant, bool *ready, size_t *done,
                                  size_t *count, strata_error *err) {
    table *t = table_of(features, part, variant);
    *ready = t->is_ready || strata_dataset_count(features->options.data, part) == 0;
    *done = t->done;
    *count = t->count;
    if (*ready) {
        return STRATA_OK;
    }
    strata_status status = features->making == t ? make_batch(features, err) : begin(features, t, part, variant, err);
    *ready = status == STRATA_OK && t->is_ready;
    *done = t->done;
    *count = t->count;
    if (status != STRATA_OK || *ready) {
        stop_making(features);
    }
    return status;
}

/* ---- using them ------------------------------------------------------------------------------------------------- */

strata_status st_features_rows(const st_real *const **rows, st_features *features, strata_part part, int64_t variant,
                               const uint32_t *order, size_t first, size_t n, strata_error *err) {
    const table *t = table_of(features, part, variant);
    *rows = features->rows;
    for (size_t i = 0; i < n; i++) {
        size_t index = order != NULL ? order[first + i] : first + i;
        if (t->rows != NULL) {
            features->rows[i] = t->rows + index * features->numbers;
            continue;
        }
        features->rows[i] = room_for(features, i);
        ST_TRY(st_spill_at(&t->spill, room_for(features, i), t->row_bytes, (uint64_t)index * t->row_bytes, err));
    }
    return STRATA_OK;
}

static strata_status build(st_features *features, strata_error *err) {
    const st_model *core = features->options.model->core;
    size_t batch = (size_t)core->options.batch, variants = (size_t)features->options.variants, room = 0;
    st_dims dims = core->graph->nodes[features->options.cut].out;
    char *folder = NULL;
    features->numbers = (size_t)(dims.h * dims.w * dims.c);
    features->val.spill.descriptor = -1;
    ST_FAIL_IF(!st_size_mul(batch, features->numbers, &room), err, STRATA_MEMORY, "no memory for the features");
    ST_TRY(st_arena_alloc(&features->room, features->arena, room, sizeof *features->room, err));
    ST_TRY(st_arena_alloc(&features->rows, features->arena, batch, sizeof *features->rows, err));
    ST_TRY(st_arena_alloc(&features->train, features->arena, variants + 1, sizeof *features->train, err));
    for (size_t i = 0; i < variants; i++) {
        features->train[i].spill.descriptor = -1;
    }
    if (features->options.folder != NULL) {
        const char *text = features->options.folder;
        ST_TRY(st_arena_text(&folder, features->arena, text, strlen(text), err));
        features->options.folder = folder;
    }
    hash_weights(features, features->weights);
    return STRATA_OK;
}

strata_status st_features_create(st_features **out, const st_features_options *options, strata_error *err) {
    st_arena *arena = NULL;
    st_features *features = NULL;
    *out = NULL;
    ST_TRY(st_arena_create(&arena, err));
    strata_status status = st_arena_alloc(&features, arena, 1, sizeof *features, err);
    if (status == STRATA_OK) {
        *features = (st_features){.arena = arena, .options = *options};
        status = build(features, err);
    }
    if (status != STRATA_OK) {
        st_arena_free(arena);
        return status;
    }
    *out = features;
    return STRATA_OK;
}

void st_features_free(st_features *features) {
    if (features == NULL) {
        return;
    }
    stop_making(features);
    for (int64_t i = 0; i < features->options.variants; i++) {
        free_table(features, &features->train[i]);
    }
    free_table(features, &features->val);
    st_arena_free(features->arena);
}
