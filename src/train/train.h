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
    bool is_zoo;
};

/* A net with weights, and everything else that a checkpoint holds: enough to classify a picture. */
struct strata_model {
    st_arena *arena;
    strata_runtime *runtime; /* lent */
    strata_net *net;         /* its own */
    st_model *core;
    st_model *learner; /* what a trainer moves: a part of the net with core's weights, see tuning.h; NULL: core */
    st_optimizer optimizer;
    char **classes; /* names in the order of the outputs; NULL: not known */
    size_t class_count;
    char *number_name; /* room for a class without a name */
    bool skips_self_test, has_own_preparation;
    const st_node *new_head; /* of the core's graph: a layer of the head that adapting did not take from the file, so it
                                has learned nothing yet; NULL: none */
    bool has_preparation;    /* a trainer or a checkpoint has said it */
    st_geometry geometry;    /* sizes; core->preparation is the rest */
    char preparation[200];   /* in words */
};

static inline st_model *st_learner(const strata_model *model) {
    return model->learner != NULL ? model->learner : model->core;
}

/* Takes how pictures are prepared into the model, and says it in words. */
void st_train_take_preparation(strata_model *model, const st_geometry *geometry, const st_preparation *preparation);
/* What pictures go through that come in this size (height 0: in several): as the model knows, else as its net says. The
 * preparation is for what comes out. */
strata_status st_train_prepare(st_geometry *geometry, st_preparation *preparation, const strata_model *model,
                               strata_shape common, strata_error *err);
/* A pixel outside of a picture, as red, green, blue: the bytes that the preparation takes nearest to 0. */
void st_train_fill(uint8_t fill[ST_DATA_MOST_CHANNELS], const st_preparation *preparation);

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
    bool balance;                 /* see st_balance */
    int64_t accumulate, patience; /* patience 0: for ever */
    double clip, ema;             /* 0: not */
    const char *train; /* the layers that are trained, as in st_regime_find; lent; NULL: those that are not frozen */
    double body_share; /* with `train`: the learning rate behind the head is this share of the head's */
    int64_t thaw;      /* with `train`: epochs that train the head alone before the rest; 0: none */
    int64_t variants;  /* with `train`: of each picture's features; 0: none are kept */
    char data[65];     /* st_data_fingerprint of what it learns from */
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
/* One image's calibration: the probability of the answer, and whether that is right. */
void st_tally_confidence(st_tally *tally, double confidence, bool is_right);
void st_tally_metrics(const st_tally *tally, size_t classes, strata_metrics *out);

/* One step at a rate of one's own, epoch after epoch, without evaluation; the mean loss before it, which may be
 * infinite: then the weights have not moved. */
strata_status st_trainer_try(strata_trainer *trainer, double rate, double *loss, strata_error *err);
st_optimizer st_trainer_optimizer(const strata_trainer *trainer);
/* ---- views: a picture looked at several times, for predictions that are averaged ---- */

enum { ST_MOST_VIEWS = 10 };
typedef struct st_views {
    st_geometry geometry;                /* of the stage picture that the views are cut from */
    strata_shape out;                    /* of each view */
    int crops;                           /* 1: the centre; 5: and the corners */
    bool flip;                           /* and the mirror image of each */
    bool moves;                          /* PAD: the picture moves within the net's input */
    uint8_t fill[ST_DATA_MOST_CHANNELS]; /* around a picture that is padded: the byte that preparation takes to 0 */
} st_views;
/* What `options` ask for of pictures that go through `geometry` into a net of this input. STRATA_INVALID for other
 * numbers of crops. */
strata_status st_views_choose(st_views *out, const st_geometry *geometry, const st_preparation *preparation,
                              st_dims input, const strata_predict_options *options, strata_error *err);
int st_views_count(const st_views *views);
/* View `view` of a stage picture into out[height][width][channels] of views->out. */
void st_views_cut(uint8_t *out, const st_views *views, const strata_picture *stage, int view);

/* ---- answers: what a model says about pictures, one after the other ---- */

/* One picture's, averaged over its views. */
typedef struct st_answer {
    size_t item;
    const float *probabilities; /* [classes] */
    int32_t rank;               /* classes that are likelier than the label; -1 without one */
    double loss;                /* cross-entropy; 0 without a label */
} st_answer;

typedef struct st_questions {
    strata_model *model;
    size_t count;
    const int32_t *labels; /* [count], outputs of the model; NULL: none */
    strata_predict_options options;
    /* The picture of an item into with->stage, and how it is looked at. Called from several threads. */
    strata_status (*stage)(const void *from, size_t item, st_reader *with, st_views *views, strata_error *err);
    const void *from;
    void (*take)(void *to, const st_answer *answer); /* in order */
    /* An item whose picture cannot be had; NULL: that ends it all. */
    void (*miss)(void *to, size_t item, const strata_error *why);
    void *to;
    strata_progress progress; /* NULL: none */
    void *user;
} st_questions;
strata_status st_questions_ask(const st_questions *questions, strata_error *err);
/* Of one image's output: itself where the net ends in a softmax. */
void st_probabilities(const strata_model *model, const st_real *output, double *out);

/* How many classes are likelier than the label, of equal ones the earlier. */
int32_t st_rank(const float *probabilities, size_t classes, int32_t label);
double st_loss_of(double probability); /* -log, finite at 0 */

/* Which output of the model a class of the data is; -1: none. */
typedef struct st_class_map {
    int32_t *outputs; /* [classes of the data] */
    strata_class_match match;
} st_class_map;
strata_status st_class_map_make(st_class_map *out, st_arena *arena, const strata_model *model,
                                const strata_dataset *data, strata_part part, strata_error *err);

/* Predictions of these sizes, zeros; for strata_predictions_create and tests. */
struct strata_predictions {
    st_arena *arena;
    const strata_dataset *data; /* lent; NULL: nowhere from */
    strata_part part;
    char **classes; /* names of the outputs; NULL: numbers */
    size_t class_count, count, left_out;
    uint32_t *indexes;    /* [count] in the part */
    int32_t *labels;      /* [count] outputs */
    float *probabilities; /* [count][class_count] */
    int32_t *ranks;       /* [count] */
    double *losses;       /* [count] */
    char number_name[32], file_name[ST_DATA_NAME_BYTES];
};
strata_status st_predictions_make(strata_predictions **out, size_t count, size_t class_count, strata_error *err);
/* STRATA_SHAPE where the two are not of the same pictures. */
strata_status st_predictions_alike(const strata_predictions *a, const strata_predictions *b, strata_error *err);
/* The pictures of a part whose classes the model knows, and the outputs that these are. Arrays for the whole part. */
strata_status st_part_select(uint32_t *indexes, int32_t *labels, size_t *count, const st_class_map *map,
                             const strata_dataset *data, strata_part part, bool skip_unknown, strata_error *err);

/* ---- checkpoints: safetensors whose metadata holds net, class names, preparation and, for a resume, the place ---- */

/* Where a run stands; all that a resume needs besides weights and the optimizer's tensors. */
typedef struct st_place_in_run {
    int64_t epoch, step, global_step; /* epochs done; steps done in the epoch and in all */
    double loss_sum;                  /* over this epoch so far */
    int64_t correct, images;
    int64_t best_epoch; /* from 1; 0: none yet */
    double best_top1, best_loss;
    double norm_sum, norm_max; /* of the gradients, over this epoch so far; where they are clipped */
} st_place_in_run;

strata_status st_checkpoint_save(const strata_model *model, const st_place_in_run *place, const st_recipe *recipe,
                                 const char *self_test, const char *path,
                                 strata_error *err); /* place NULL: weights only */
/* Weights (and with `place` all of a resume) from a file whose tensors must fit the model. */
strata_status st_checkpoint_load(strata_model *model, st_place_in_run *place, const st_recipe *recipe, const char *path,
                                 strata_error *err);
/* Weights from a file of which some may not fit: those of layers that follow the number of classes (st_regime_heads)
 * and differ in shape, or all of them where `heads_too` is false. What was left as it is is added to `left`, a path a
 * line. Where another tensor is missing or differs it is an error. */
strata_status st_checkpoint_adapt(strata_model *model, bool heads_too, st_text *left, const char *path,
                                  strata_error *err);
/* Weights alone, from an open file. */
strata_status st_checkpoint_load_open(strata_model *model, const st_weights *weights, strata_error *err);
/* What a model says of a few drawn pictures, as text; nothing where it does not know how pictures are prepared. */
strata_status st_self_test_add(st_text *text, strata_model *model, strata_error *err);
/* Asks again, where the file says what the answers were; STRATA_FORMAT where they are others. */
strata_status st_self_test_check(strata_model *model, const st_weights *weights, strata_error *err);
/* Where the run of a checkpoint stands. */
strata_status st_checkpoint_place(st_place_in_run *place, const char *path, strata_error *err);
/* What the metadata says, for opening a checkpoint that has nothing else. Strings live in `arena`. */
typedef struct st_checkpoint_head {
    const char *net_text; /* NULL: another program's weights, and nothing below */
    char **classes;
    size_t class_count;
    st_preparation preparation;
    st_geometry geometry;
    bool has_preparation;
} st_checkpoint_head;
strata_status st_checkpoint_head_read(st_checkpoint_head *out, st_arena *arena, const char *path, strata_error *err);
strata_status st_checkpoint_head_take(st_checkpoint_head *out, st_arena *arena, const st_weights *weights,
                                      strata_error *err);
strata_status st_checkpoint_need_net(const st_checkpoint_head *head, const char *path, strata_error *err);
void st_checkpoint_hash(const strata_model *model, char out[65]); /* of the weights alone: strata_model_hash */

#endif
