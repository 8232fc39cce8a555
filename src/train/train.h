/* train: learning. A model with what its checkpoint says, the trainer's steps and epochs, evaluation, checkpoints. */
#ifndef ST_TRAIN_H
#define ST_TRAIN_H

#include "data/data.h"
#include "exec/exec.h"
#include "formats/formats.h"

struct strata_runtime {
    st_pool *pool;
    const st_kernels *kernels;
};

struct strata_net {
    st_arena *arena;
    const st_graph *graph;
    char *text; /* self-contained */
};

/* A net with weights, and everything else that a checkpoint holds: enough to classify a picture. */
struct strata_model {
    st_arena *arena;
    strata_runtime *runtime; /* lent */
    strata_net *net;         /* its own */
    st_model *core;
    st_optimizer optimizer;
    char **classes; /* names in the order of the outputs; NULL: not known */
    size_t class_count;
    char *number_name;     /* room for a class without a name */
    bool has_preparation;  /* a trainer or a checkpoint has said it */
    char preparation[200]; /* in words */
};

/* Takes how pictures are prepared into the model, and says it in words. */
void st_train_take_preparation(strata_model *model, const st_preparation *preparation);

/* ---- options with their defaults filled in ---- */

typedef enum st_schedule {
    ST_SCHEDULE_CONSTANT,
    ST_SCHEDULE_STEP,
    ST_SCHEDULE_COSINE,
    ST_SCHEDULE_ONECYCLE
} st_schedule;

enum { ST_STEP_LIMIT = 16 };

typedef struct st_recipe {
    int64_t epochs;
    st_optimizer optimizer;
    st_schedule schedule;
    double learning_rate, momentum, weight_decay, label_smoothing, step_every, step_factor, warmup;
    double step_at[ST_STEP_LIMIT]; /* epochs of the drops, ascending; none: step_every */
    int step_at_count;
    bool nesterov;
    uint64_t seed;
    st_augment augment;
    char data[65]; /* st_data_fingerprint of what it learns from */
} st_recipe;
strata_status st_recipe_fill(st_recipe *out, const strata_train_options *options, strata_error *err);
strata_status st_optimizer_parse(st_optimizer *out, const char *name, strata_error *err); /* NULL: sgd */
const char *st_schedule_name(st_schedule schedule);
/* The learning rate of step `step` (from 0) of `steps` in all, `epoch_steps` in an epoch. */
double st_schedule_rate(const st_recipe *recipe, int64_t step, int64_t epoch_steps, int64_t steps);

/* ---- counting ---- */

enum { ST_CALIBRATION_BINS = 15 };
typedef struct st_tally {
    int64_t count, correct, correct5;
    double loss; /* sum */
    int64_t bin_count[ST_CALIBRATION_BINS], bin_correct[ST_CALIBRATION_BINS];
    double bin_confidence[ST_CALIBRATION_BINS];
} st_tally;
/* Image by image, in order: the sums are the same for any number of threads. */
void st_tally_losses(st_tally *tally, const st_real *losses, const int32_t *ranks, int64_t n);
/* One image's logits: calibration, and the index of the largest as the answer. */
size_t st_tally_answer(st_tally *tally, const st_real *logits, size_t classes, int32_t label);
void st_tally_metrics(const st_tally *tally, size_t classes, strata_metrics *out);

/* ---- checkpoints: safetensors whose metadata holds net, class names, preparation and, for a resume, the place ---- */

/* Where a run stands; all that a resume needs besides weights and the optimizer's tensors. */
typedef struct st_place_in_run {
    int64_t epoch, step, global_step; /* epochs done; steps done in the epoch and in all */
    double loss_sum;                  /* over this epoch so far */
    int64_t correct, images;
    int64_t best_epoch; /* from 1; 0: none yet */
    double best_top1, best_loss;
} st_place_in_run;

strata_status st_checkpoint_save(const strata_model *model, const st_place_in_run *place, const st_recipe *recipe,
                                 const char *path, strata_error *err); /* place NULL: weights only */
/* Weights (and with `place` all of a resume) from a file whose tensors must fit the model. */
strata_status st_checkpoint_load(strata_model *model, st_place_in_run *place, const st_recipe *recipe, const char *path,
                                 strata_error *err);
/* What the metadata says, for opening a checkpoint that has nothing else. Strings live in `arena`. */
typedef struct st_checkpoint_head {
    const char *net_text; /* NULL: another program's weights, and nothing below */
    char **classes;
    size_t class_count;
    st_preparation preparation;
    bool has_preparation;
} st_checkpoint_head;
strata_status st_checkpoint_head_read(st_checkpoint_head *out, st_arena *arena, const char *path, strata_error *err);
strata_status st_checkpoint_need_net(const st_checkpoint_head *head, const char *path, strata_error *err);
bool st_checkpoint_is(const char *path);                          /* begins like a safetensors file */
void st_checkpoint_hash(const strata_model *model, char out[65]); /* of the weights alone: strata_model_hash */

#endif
