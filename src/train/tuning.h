/* tuning: transfer learning. regime.c says which layers are trained and where the net is cut in two; new_head.c how a
 * last layer for other classes begins; features.c has what the part before the cut gives for each picture, computed
 * once, and features_file.c keeps it on disk; tuning.c trains the part behind it. */
#ifndef ST_TUNING_H
#define ST_TUNING_H

#include "train/train.h"

/* ---- regime: what is trained ------------------------------------------------------------------------------------ */

typedef struct st_regime {
    bool *trained; /* [nodes] weights that move */
    bool *head;    /* [nodes] those with the learning rate of the head; the others have the body's */
    int cut;       /* the value that is computed once; -1: none, everything runs each time */
    int first, last;
    size_t layer_count; /* layers with weights that move; side heads do not count */
    int64_t parameter_count;
} st_regime;

/* `words`: "head", the last layer with weights; "second-half", what follows the end of a block at half of the net's
 * depth; "all"; or paths, "layer4 fc". Layers that the net itself freezes stay fixed. `infer`: the plan of the whole
 * graph, which computes the value at the cut. STRATA_MISSING where there is no such layer or place. */
strata_status st_regime_find(st_regime *out, st_arena *arena, const st_graph *graph, const st_plan *infer,
                             const char *words, strata_error *err);
/* [nodes] The layers whose sizes follow from the number of classes: the last with weights and what comes behind it, and
 * side heads of training. */
strata_status st_regime_heads(bool **out, st_arena *arena, const st_graph *graph, strata_error *err);

/* ---- a new head ------------------------------------------------------------------------------------------------- */

/* The layer of a new head that begins with zeros, or NULL: one that cannot learn from them stays as it was drawn.
 * `heads`: what st_regime_heads gives. *rectifies: its bias begins with ones, since a rectifier stands behind it. */
const st_node *st_new_head_layer(const st_model *core, const bool *heads, bool *rectifies);
void st_new_head_begin(st_model *core, const st_node *layer, bool rectifies);

/* ---- features: the value at the cut for every picture ----------------------------------------------------------- */

typedef struct st_features_options {
    strata_model *model; /* what it says of pictures, and its weights before the cut, stay as they are */
    const strata_dataset *data;
    int cut;
    st_augmentation augmentation; /* of training pictures; variant v of a picture is that of epoch v */
    int64_t variants;             /* kept of each training picture */
    const char *folder;           /* where tables are kept for later runs; NULL: nowhere */
    uint64_t folder_bytes;        /* at most, for all tables in that folder */
    uint64_t memory_bytes;        /* at most, for tables in memory; further ones go to a temporary file */
} st_features_options;

typedef struct st_features st_features;
strata_status st_features_create(st_features **out, const st_features_options *options, strata_error *err);
/* A part's table, or the next batch of one: *ready where all of it is there. *done of *count pictures are. */
strata_status st_features_prepare(st_features *features, strata_part part, int64_t variant, bool *ready, size_t *done,
                                  size_t *count, strata_error *err);
/* The features of pictures order[0 .. n - 1] (NULL: first, first + 1, ...), of a table that is ready; n is at most the
 * model's batch. The rows are lent until the next call. */
strata_status st_features_rows(const st_real *const **rows, st_features *features, strata_part part, int64_t variant,
                               const uint32_t *order, size_t first, size_t n, strata_error *err);
/* Those of pictures at hand, not kept. */
const st_real *const *st_features_of(st_features *features, const st_batch *batch);
void st_features_free(st_features *features); /* NULL is allowed */
uint64_t st_features_row_bytes(const st_graph *graph, int cut);

/* ---- a table in a file: safetensors with `features` [n,h,w,c], `checksums` [n] and its key in the metadata ---- */

typedef struct st_table_file {
    const char *folder;
    char key[65]; /* of everything that decides what is in it */
    size_t count; /* rows */
    st_dims dims; /* of each */
} st_table_file;

typedef struct st_table_writer {
    st_weights_writer writer;
    st_arena *arena;
    int64_t *checksums;
    size_t added;
    bool is_open;
} st_table_writer;

/* Rows one after the other from `take`; false: there is none, or not a good one. */
bool st_table_read(const st_table_file *file, bool (*take)(void *to, size_t index, const st_real *row), void *to);
/* A cache that cannot be written is no error: then the writer is closed, and nothing is left behind. */
void st_table_begin(st_table_writer *out, const st_table_file *file);
void st_table_add(st_table_writer *writer, const st_table_file *file, const st_real *row);
void st_table_commit(st_table_writer *writer, const st_table_file *file);
void st_table_cancel(st_table_writer *writer); /* twice does no harm, nor on zeros */
/* Removes the tables that were not used for longest until `bytes` more fit below `most`, and what a process that was
 * killed has left. */
void st_table_make_room(const char *folder, uint64_t bytes, uint64_t most);
uint64_t st_table_bytes(const st_table_file *file);

/* ---- tuning: a run's part that learns --------------------------------------------------------------------------- */

typedef struct st_tuning st_tuning;
/* Bytes of features that are kept in memory where the options do not say. */
#define ST_FEATURES_MEMORY ((uint64_t)2 << 30)
/* The model is built for inference; `recipe` and `augmentation` (of training pictures, whatever the epoch) say how it
 * learns and are lent. */
strata_status st_tuning_create(st_tuning **out, strata_model *model, const strata_dataset *data,
                               const st_recipe *recipe, const st_augmentation *augmentation,
                               const strata_train_options *options, strata_error *err);
void st_tuning_free(st_tuning *tuning); /* NULL is allowed */
/* From here on the layers of this epoch's phase are trained. What was trained before keeps its weights; the optimizer
 * begins anew where the phase does. */
strata_status st_tuning_enter(st_tuning *tuning, int64_t epoch, strata_error *err);
/* Steps before the phase of this epoch, and in it. */
void st_tuning_span(const st_tuning *tuning, int64_t epoch, int64_t epoch_steps, int64_t *first, int64_t *count);
/* What an epoch needs before its first step, a batch at a time. */
strata_status st_tuning_prepare(st_tuning *tuning, int64_t epoch, bool *ready, size_t *done, size_t *count,
                                strata_error *err);
/* Whether a step takes pictures from a batcher, or none because their features are there. */
bool st_tuning_needs_pictures(const st_tuning *tuning);
/* What the learner is fed with: `batch` where it needs pictures, else those of order[first .. first + n - 1]. */
strata_status st_tuning_feed(st_feed *out, st_tuning *tuning, const st_batch *batch, int64_t epoch,
                             const uint32_t *order, size_t first, size_t n, strata_error *err);
/* Accuracy on val, from its features where they are kept. */
strata_status st_tuning_evaluate(strata_metrics *out, st_tuning *tuning, strata_error *err);
const st_regime *st_tuning_regime(const st_tuning *tuning);
/* Of the phase of this epoch (from 0), before the first step, on the first pictures, for a second or two; nothing
 * moves. */
strata_status st_tuning_measure(strata_cost *out, st_tuning *tuning, int64_t epoch, strata_error *err);

#endif
