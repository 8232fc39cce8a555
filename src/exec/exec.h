/* exec: runs a plan. A model is a graph with its weights in memory, a plan for inference and, where it is trained, one
 * for training; both share weights and one arena. */
#ifndef ST_EXEC_H
#define ST_EXEC_H

#include "layers/layers.h"
#include "plan/plan.h"

/* From a picture's bytes to the net's input: pad with `border` bytes on all sides to the input's size, then
 * (x / 255 - mean) / deviation for each channel. */
typedef struct st_preparation {
    st_dims picture; /* what comes in */
    int64_t pad_top, pad_left;
    double mean[4], deviation[4];
} st_preparation;

typedef struct st_model_options {
    int64_t batch;
    bool train;
    int slot_count; /* numbers that the optimizer keeps for each weight: 0, 1 (momentum) or 2 (AdamW) */
    uint64_t seed;
    bool keep_values, as_inference; /* of the plans: see st_plan_options */
    int64_t again_from;             /* the same */
} st_model_options;

/* One weight or statistic. `value` is in the native order of its layer; get and set translate. */
typedef struct st_parameter {
    const st_node *node;
    int state;
    const st_site *site; /* NULL: published order */
    const st_impl *impl;
    size_t published_count, native_count;
    bool is_trained; /* here: has a gradient and moves */
    st_real *value, *gradient, *slots[2];
} st_parameter;

typedef struct st_exec st_exec;

typedef struct st_model {
    st_arena *arena;
    st_pool *pool; /* lent */
    const st_kernels *kernels;
    const st_graph *graph;
    st_model_options options;
    st_preparation preparation;
    st_parameter *parameters;
    size_t parameter_count;
    st_exec *infer, *train; /* train NULL: inference only */
    st_real *scratch;       /* scratch_count numbers, as many as the largest parameter or output has: for get and set */
    size_t scratch_count;
} st_model;

/* The graph, pool and kernels are lent and must outlive the model. The weights are drawn from the seed. */
strata_status st_model_create(st_model **out, st_pool *pool, const st_kernels *kernels, const st_graph *graph,
                              const st_model_options *options, strata_error *err);
void st_model_free(st_model *model);
/* What create would allocate; batch_bytes: pictures on their way to the model. */
strata_status st_model_need(strata_memory *out, const st_kernels *kernels, int threads, const st_graph *graph,
                            const st_model_options *options, size_t batch_bytes, strata_error *err);
/* Copies in published order; which: -1 the value, 0 and 1 the optimizer's slots, 2 the gradient. */
void st_model_get(const st_model *model, size_t parameter, int which, st_real *published);
void st_model_set(st_model *model, size_t parameter, int which, const st_real *published);
/* How pictures of this size become the net's input: padding in the middle; means and deviations of `numbers`, or (NULL)
 * of the net's input line. */
strata_status st_prepare_pictures(st_preparation *out, const st_graph *graph, st_dims picture,
                                  const st_preparation *numbers, strata_error *err);

/* One batch. */
typedef struct st_feed {
    const uint8_t *pixels; /* [n][picture h][w][c] */
    const st_real *values; /* [n][c][h][w] already prepared, instead of pixels; NULL otherwise */
    const int32_t *labels; /* [n]; NULL: no loss (inference only) */
    int64_t n;
    int64_t step; /* of the whole training */
    double label_smoothing;
    bool is_trace;     /* see st_run */
    bool forward_only; /* of a plan for training */
} st_feed;

/* Forward. After it st_exec_output reads a result. */
void st_model_infer(st_model *model, const st_feed *feed);
/* Forward and backward; gradients stand in the parameters. */
void st_model_gradients(st_model *model, const st_feed *feed);
const st_plan *st_exec_plan(const st_exec *exec);
/* From now on each run adds to seconds[threads][tasks of the plan] what each thread spent on each task; NULL ends it.
 */
void st_exec_time_tasks(st_exec *exec, double *seconds);
/* Loss and ranks of output `output` of the graph after a run; NULL where it has none. */
const st_real *st_exec_losses(const st_exec *exec, int output);
const int32_t *st_exec_ranks(const st_exec *exec, int output);
/* Image `image`'s numbers of an output in c, h, w order, into out[c*h*w]. */
void st_exec_output(const st_exec *exec, int output, int64_t image, st_real *out);
/* The same of any node's value, in a model that keeps values. */
void st_exec_value(const st_exec *exec, int node, int64_t image, st_real *out);
/* The path of the first layer whose result for the last batch is not finite, or NULL; runs forward again, step by step.
 */
const char *st_exec_first_not_finite(st_exec *exec);

/* One step of the optimizer over all trained weights. */
typedef enum st_optimizer { ST_OPTIMIZER_SGD, ST_OPTIMIZER_ADAMW } st_optimizer;
typedef struct st_update {
    st_optimizer optimizer;
    double learning_rate, momentum, weight_decay;
    bool nesterov;
    double beta1, beta2, epsilon; /* AdamW */
    int64_t step;                 /* updates before this one, from 0 */
} st_update;
st_update st_update_standard(st_optimizer optimizer); /* momentum 0.9, AdamW's constants as published */
void st_model_update(st_model *model, const st_update *update);

/* Used by model.c: an executor of a plan over memory that the model owns. */
typedef struct st_exec_memory {
    unsigned char *arena, *thread_scratch;
    size_t thread_bytes;
} st_exec_memory;
strata_status st_exec_create(st_exec **out, st_model *model, const st_plan *plan, const st_exec_memory *memory,
                             strata_error *err);
void st_exec_run(st_exec *exec, const st_feed *feed);

#endif
