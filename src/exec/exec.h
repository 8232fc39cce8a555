/* exec: runs a plan. A model is a graph with its weights in memory, a plan for inference and, where it is trained, one
 * for training; both share weights and one arena. */
#ifndef ST_EXEC_H
#define ST_EXEC_H

#include "layers/layers.h"
#include "plan/plan.h"

/* From a picture's bytes to the net's input: pad with zeros on all sides to the input's size, then
 * (x / range - mean) / deviation for each channel. */
typedef struct st_preparation {
    st_dims picture; /* what comes in; of three channels as red, green, blue */
    int64_t pad_top, pad_left;
    double range; /* 255: bytes become 0..1; 1: they stay */
    bool is_bgr;  /* the net takes blue first; mean and deviation are in its order */
    double mean[4], deviation[4];
} st_preparation;

typedef struct st_model_options {
    int64_t batch;
    int64_t total; /* images of a step that comes in pieces of `batch`; 0: steps come whole */
    bool train;
    bool averages;  /* keeps a moving average of all that moves */
    int slot_count; /* numbers that the optimizer keeps for each weight: 0, 1 (momentum) or 2 (AdamW) */
    uint64_t seed;
    bool is_blank;                  /* weights stay zeros: they come from a file */
    bool keep_values, as_inference; /* of the plans: see st_plan_options */
    int64_t again_from;             /* the same */
    const st_layout *layout;        /* the same */
    /* Weights of the same path are this model's, in its memory, which must outlive the new one; the layouts must be
     * the same. NULL: none. */
    const struct st_model *lender;
} st_model_options;

/* One weight or statistic. `value` is in the native order of its layer; get and set translate. */
typedef struct st_parameter {
    const st_node *node;
    int state;
    const st_site *site; /* NULL: published order */
    const st_impl *impl;
    size_t published_count, native_count;
    bool is_trained;                                /* here: has a gradient and moves */
    bool is_lent;                                   /* `value` is the lender's */
    bool is_body;                                   /* its learning rate is st_update.body_share of the others' */
    bool moves;                                     /* is_trained, or a statistic that forward moves */
    st_real *value, *gradient, *slots[2], *average; /* average: of what moves, where the model keeps it */
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
    bool shows_average; /* values and averages have changed places */
    double *piece_sums; /* of the gradients' squares: update.c */
} st_model;

/* The graph, pool and kernels are lent and must outlive the model. The weights are drawn from the seed. */
strata_status st_model_create(st_model **out, st_pool *pool, const st_kernels *kernels, const st_graph *graph,
                              const st_model_options *options, strata_error *err);
void st_model_free(st_model *model);
/* What create would allocate; batch_bytes: pictures on their way to the model. */
strata_status st_model_need(strata_memory *out, const st_kernels *kernels, int threads, const st_graph *graph,
                            const st_model_options *options, size_t batch_bytes, strata_error *err);
/* Copies in published order. which: the value that forward reads, or 0 and 1 the optimizer's slots, or what follows;
 * average and moving value are the value itself where the model keeps no average of it. */
enum { ST_MODEL_VALUE = -1, ST_MODEL_GRADIENT = 2, ST_MODEL_AVERAGE, ST_MODEL_MOVING };
void st_model_get(const st_model *model, size_t parameter, int which, st_real *published);
void st_model_set(st_model *model, size_t parameter, int which, const st_real *published);
/* How pictures of this size become the net's input: padding in the middle; means and deviations of `numbers`, or (NULL)
 * of the net's input line. */
strata_status st_prepare_pictures(st_preparation *out, const st_graph *graph, st_dims picture,
                                  const st_preparation *numbers, strata_error *err);

/* One batch. */
typedef struct st_feed {
    const uint8_t *pixels;      /* [n][picture h][w][c] */
    const st_real *values;      /* [n][c][h][w] already prepared, instead of pixels; NULL otherwise */
    const st_real *const *rows; /* [n] the input's numbers of each image in h, w, c order, instead of pixels; or NULL */
    int until;             /* run forward, in a plan for inference, only as far as this node's value needs; 0: all */
    const int32_t *labels; /* [n]; NULL: no loss (inference only) */
    const int32_t *other_labels; /* [n] of mixed pictures, which show shares[n] of `labels`; NULL: none are mixed */
    const float *shares;
    int64_t n;
    int64_t step;         /* of the whole training */
    int64_t first, total; /* see st_run: a step in pieces; total 0: this is all of it */
    double label_smoothing;
    bool is_trace;     /* see st_run */
    bool forward_only; /* of a plan for training */
} st_feed;

/* Forward. After it st_exec_output reads a result. */
void st_model_infer(st_model *model, const st_feed *feed);
/* Forward and backward; gradients stand in the parameters, after the last piece where a step comes in pieces. */
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
/* The same in h, w, c order, after a run for inference `until` this node, into out[h*w*c]. */
void st_exec_row(const st_exec *exec, int node, int64_t image, st_real *out);
/* The path of the first layer whose result for the last batch is not finite, or NULL; runs forward again, step by step.
 */
const char *st_exec_first_not_finite(st_exec *exec);

/* One step of the optimizer over all trained weights. */
typedef enum st_optimizer { ST_OPTIMIZER_SGD, ST_OPTIMIZER_ADAMW } st_optimizer;
typedef struct st_update {
    st_optimizer optimizer;
    double learning_rate, momentum, weight_decay;
    bool nesterov;
    double scale;                 /* what the gradients are multiplied by first; 1: nothing */
    double beta1, beta2, epsilon; /* AdamW */
    double body_share;            /* of the learning rate, for parameters that are marked so: 1 */
    int64_t step;                 /* updates before this one, from 0 */
} st_update;
st_update st_update_standard(st_optimizer optimizer); /* momentum 0.9, AdamW's constants as published */
void st_model_update(st_model *model, const st_update *update);
/* The norm of all gradients together, summed in double: the same for any number of threads. */
double st_model_gradient_norm(st_model *model);
/* average = average + share (value - average), of all that moves; share 1: the value. */
void st_model_average(st_model *model, double share);
/* Whether forward reads the averages from now on; then the optimizer must not move. */
void st_model_show_average(st_model *model, bool shows);
/* The path of the first weight or statistic that holds a number that is not finite, or (`gradients`) of the first such
 * gradient; NULL: none. */
const char *st_model_first_not_finite(const st_model *model, bool gradients);

/* Used by model.c: an executor of a plan over memory that the model owns. */
typedef struct st_exec_memory {
    unsigned char *arena, *thread_scratch, *carried;
    size_t thread_bytes;
} st_exec_memory;
int64_t st_model_piece_count(const st_model *model); /* in which update.c goes over the weights */
size_t st_model_align(size_t bytes);                 /* up to a whole line of the cache */
strata_status st_exec_create(st_exec **out, st_model *model, const st_plan *plan, const st_exec_memory *memory,
                             strata_error *err);
void st_exec_run(st_exec *exec, const st_feed *feed);

#endif
