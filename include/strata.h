/* strata: classic convolutional networks in C.
 *
 * The public interface, in layers: 0 errors and runtime, 1 look at a net, 2 run it, 3 train it, 4 compare it with other
 * programs. Stop where your need stops. Grammar of every signature: outputs first, then the object, inputs, options
 * (NULL = defaults), `err` last. Options are structs whose zero value is the default. A function that can fail returns
 * strata_status; on failure its output pointer is NULL, nothing on disk has changed, and `err` (may be NULL) says
 * where, what was found and what was expected. The library never prints, exits or aborts.
 *
 * Ownership is in the verb: create, load, open, parse, build give the caller something to free with the matching
 * function; accessors lend a pointer that is valid until the object is freed (or until the next call, where said). An
 * object may not outlive the runtime it was created with. Two threads may use two objects at once; one object is used
 * by one thread at a time. */
#ifndef STRATA_H
#define STRATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(STRATA_BUILDING) && defined(__GNUC__)
#define STRATA_API __attribute__((visibility("default")))
#else
#define STRATA_API
#endif

#define STRATA_VERSION "0.1.0"

/* The version of the numerical definitions (order of every sum). Two results with the same number, net, data and seed
 * are the same bits on every machine. */
#define STRATA_NUMERICS 1

/* ---- 0. Errors and the runtime ---------------------------------------------------------------------------------- */

typedef enum strata_status {
    STRATA_OK = 0,
    STRATA_INVALID,     /* the caller's argument */
    STRATA_SYNTAX,      /* a text that does not parse */
    STRATA_SHAPE,       /* sizes that do not fit each other */
    STRATA_FORMAT,      /* a damaged or hostile file */
    STRATA_MISSING,     /* no such file, tensor, layer, class */
    STRATA_UNSUPPORTED, /* valid, but not served here */
    STRATA_MEMORY,      /* not enough memory */
    STRATA_IO,          /* the system refused a read, write, rename ... */
    STRATA_CANCELLED    /* the caller asked to stop */
} strata_status;

typedef struct strata_error {
    strata_status status;
    char file[256];    /* "" when the error is not about a file */
    int line, column;  /* from 1; 0 when not known */
    char message[512]; /* one sentence: what was found, what was expected */
    char source[200];  /* the line of the file that `line` names, printable; "" when not known */
    char hint[256];    /* what to do next, or "" */
} strata_error;

STRATA_API const char *strata_status_name(strata_status status);
STRATA_API const char *strata_version(void);
/* What else is in this build, for `--version`: "zlib 1.2.13, libjpeg-turbo 2.1.5". */
STRATA_API const char *strata_built_with(void);

typedef struct strata_runtime strata_runtime; /* threads and the set of kernels */

typedef struct strata_options {
    int threads;     /* 0: as many as the process may use */
    const char *isa; /* "portable", "avx2", "avx512"; NULL: the environment's STRATA_ISA, else the best that runs */
} strata_options;

STRATA_API strata_status strata_runtime_create(strata_runtime **out, const strata_options *options, strata_error *err);
STRATA_API const char *strata_runtime_isa(const strata_runtime *runtime);
STRATA_API int strata_runtime_threads(const strata_runtime *runtime);
/* The limits of this machine, measured for about a fifth of a second: fused multiply-adds with all threads of the
 * runtime in GFLOP/s (two operations each), and reading from memory in GB/s. */
STRATA_API void strata_runtime_measure(strata_runtime *runtime, double *peak_gflops, double *memory_gbytes);
STRATA_API void strata_runtime_free(strata_runtime *runtime);

/* Texts that a function gives to the caller are freed with this. */
STRATA_API void strata_text_free(char *text);

/* Writes `length` bytes to `path` so that a reader sees the old file or the new one, never half of either: temporary
 * file in the same folder, write, fsync, rename, fsync of the folder. */
STRATA_API strata_status strata_file_write(const char *path, const void *bytes, size_t length, strata_error *err);

/* ---- 1. Look ---------------------------------------------------------------------------------------------------- */

typedef struct strata_net strata_net; /* an architecture: parsed, checked, shapes known; no weights */

typedef struct strata_shape {
    int64_t height, width, channels; /* a flat value is 1 x 1 x channels */
} strata_shape;

typedef struct strata_layer_info {
    const char *name; /* path, such as "layer1.0.conv2"; lent by the net */
    const char *op;   /* the word in the .net file: "conv" */
    const char *text; /* the layer as the file writes it: "conv 5x5 6"; blocks and knobs resolved */
    strata_shape output;
    bool is_flat;          /* the output has no height and width: show `channels` alone */
    bool is_train_only;    /* in a side head that is gone at inference */
    int depth;             /* nesting of scopes */
    bool follows;          /* its one input is the value of the layer listed just before it */
    const char *block;     /* path of the outermost block call or labelled group around it, "" without one; lent */
    int64_t parameters;    /* trained numbers of this layer */
    int64_t statistics;    /* running means and variances */
    int64_t multiply_adds; /* one picture, forward */
    int64_t receptive_field, receptive_stride; /* in input pixels; 0 when the value has no position */
    const int *inputs;                         /* the layers whose values it takes, by index; lent by the net */
    size_t input_count;
    const char *scopes;      /* what each scope of `name` is, divided by dots: the block's word, or nothing for a group:
                                ".bottleneck" for "layer1.0.conv2"; lent */
    const char *output_name; /* "logits" where the value is an output of the net, else ""; lent */
    double loss_weight;      /* of that output's loss; 0 without one */
} strata_layer_info;

typedef struct strata_net_info {
    const char *name;        /* of the network */
    const char *description; /* the comment at the head of its file, lines kept; "" without one */
    strata_shape input;
    int64_t parameters, statistics, multiply_adds; /* as layer_info, summed over what `for_training` shows */
    int64_t class_count;                           /* channels of the main output */
    size_t layer_count;
} strata_net_info;

/* `name_or_path`: a name of the zoo ("lenet5"), a .net file, or a checkpoint whose metadata holds a net. `settings`:
 * knobs as "classes=6 image=64", or NULL. STRATA_MISSING, _SYNTAX, _SHAPE, _IO. */
STRATA_API strata_status strata_net_load(strata_net **out, const char *name_or_path, const char *settings,
                                         strata_error *err);
STRATA_API strata_status strata_net_parse(strata_net **out, const char *text, size_t length, const char *settings,
                                          strata_error *err);
/* for_training: side heads that exist only in training are counted too. */
STRATA_API void strata_net_info_get(const strata_net *net, bool for_training, strata_net_info *out);
STRATA_API void strata_net_layer(const strata_net *net, size_t layer, strata_layer_info *out);
/* The net as one self-contained text, includes and settings resolved; the caller frees it. */
STRATA_API strata_status strata_net_text(char **out, const strata_net *net, strata_error *err);
STRATA_API void strata_net_free(strata_net *net);

/* The tidy form of a .net text (`strata fmt`): same net, canonical layout, comments kept. `file` names it in errors. */
STRATA_API strata_status strata_net_format(char **out, const char *text, size_t length, const char *file,
                                           strata_error *err);

STRATA_API size_t strata_zoo_count(void);
STRATA_API const char *strata_zoo_name(size_t i); /* sorted; only files with a network in them */
/* First line of the net's own description. */
STRATA_API const char *strata_zoo_summary(size_t i);

/* Help from the table of layers: all of them a line each (`name` NULL), or one in full. STRATA_MISSING with the nearest
 * name in the hint. */
STRATA_API strata_status strata_help_layer(char **out, const char *name, strata_error *err);

/* ---- 2. Run ----------------------------------------------------------------------------------------------------- */

typedef struct strata_model strata_model; /* a net with weights and a plan for one batch size */

typedef struct strata_build_options {
    int64_t batch;         /* pictures at once; 0: 64 */
    bool train;            /* with gradients and optimizer state */
    const char *optimizer; /* "sgd" or "adamw": how much state each weight has; NULL: "sgd" */
    uint64_t seed;         /* of the initial weights and dropout */
    const char *freeze;    /* paths whose weights stay as they are, "conv1 layer1", or NULL */
} strata_build_options;

typedef struct strata_memory {
    uint64_t weights_bytes;   /* parameters and statistics, as kept for computing */
    uint64_t gradients_bytes; /* of the weights */
    uint64_t optimizer_bytes;
    uint64_t activations_bytes; /* values and their gradients, packed by lifetime */
    uint64_t scratch_bytes;     /* all threads */
    uint64_t batch_bytes;       /* pictures being prepared and used */
    uint64_t total_bytes;       /* all of the above and the program itself */
} strata_memory;

/* What strata_model_build would allocate, without allocating it. */
STRATA_API strata_status strata_model_memory(strata_memory *out, const strata_runtime *runtime, const strata_net *net,
                                             const strata_build_options *options, strata_error *err);
/* The plan as text: steps with their fused epilogues, layouts, offsets and sizes. The caller frees it. */
STRATA_API strata_status strata_model_plan_text(char **out, const strata_runtime *runtime, const strata_net *net,
                                                const strata_build_options *options, strata_error *err);

/* A model with initial weights drawn from the seed. The net may be freed afterwards. STRATA_MEMORY when it will not
 * fit. */
STRATA_API strata_status strata_model_build(strata_model **out, strata_runtime *runtime, const strata_net *net,
                                            const strata_build_options *options, strata_error *err);
/* A checkpoint is enough: net, weights, class names and preprocessing come from its metadata. */
STRATA_API strata_status strata_model_open(strata_model **out, strata_runtime *runtime, const char *checkpoint,
                                           const strata_build_options *options, strata_error *err);
/* Weights from a safetensors file into the model, by name and shape; every tensor must be there. Class names and the
 * preparation of pictures come with them where the file has them and the model has not. */
STRATA_API strata_status strata_model_load(strata_model *model, const char *path, strata_error *err);
/* Atomic (see strata_file_write). */
STRATA_API strata_status strata_model_save(const strata_model *model, const char *path, strata_error *err);
STRATA_API const strata_net *strata_model_net(const strata_model *model);
/* SHA-256 over the weights and statistics: each tensor's bytes as the checkpoint holds them, in the order of the net.
 * 64 hexadecimal digits and a NUL. */
STRATA_API void strata_model_hash(const strata_model *model, char out[65]);
STRATA_API size_t strata_model_class_count(const strata_model *model);
/* The name of a class, or its number as text where no names are known. */
STRATA_API const char *strata_model_class(const strata_model *model, size_t index);
/* How pictures are prepared, in words: "padded by 2 on each side to 32x32; 0 to 1, minus 0.286, by 0.353"; "" before a
 * trainer or a checkpoint has said it. Lent. */
STRATA_API const char *strata_model_preparation(const strata_model *model);

/* Class probabilities for `count` pictures.
 *
 * images  [count][height][width][channels], uint8, as dataset and picture readers give them; height and width may be
 *         those of the net or of the data that the model was trained on (the stored preparation pads); lent.
 * out     [count][classes], f32, each row sums to 1; the caller's.
 *
 * Deterministic: the same bits for any number of threads on any processor. */
STRATA_API strata_status strata_model_infer(strata_model *model, const uint8_t *images, size_t count,
                                            strata_shape shape, float *out, strata_error *err);
/* How long runs of one batch of noise take, after one that warms up: forward, or (train) a whole step, which moves the
 * weights a little. seconds: [repeats], one for each run; the caller's. */
STRATA_API strata_status strata_model_time(strata_model *model, bool train, size_t repeats, double *seconds,
                                           strata_error *err);

/* What one layer of a plan costs, in the fastest of several runs of one batch. A layer here is what runs as one: with
 * the batch norm, residual and activation that were fused into it. Seconds are those of all threads over their number,
 * so the layers, `other`, `update` and `waiting` sum up to `seconds`. The bytes are the least that a pass must move
 * when no cache holds anything from the pass before: inputs, outputs, gradients and weights, each once. */
typedef struct strata_layer_time {
    const char *name, *text; /* path, and the layer as the file writes it; lent by the model */
    char fused[48];          /* " + bn + residual + relu", or "" */
    strata_shape output;
    double forward_seconds, backward_seconds;
    double forward_flops, backward_flops; /* two for each multiply-add */
    double forward_bytes, backward_bytes;
} strata_layer_time;

typedef struct strata_profile {
    strata_layer_time *layers;
    size_t count;
    double seconds;         /* of a whole run */
    double other_seconds;   /* pictures to numbers, zeroing of gradients, losses */
    double update_seconds;  /* the optimizer */
    double waiting_seconds; /* of threads for each other */
} strata_profile;
/* As strata_model_time, layer by layer. Freed with strata_profile_free, before the model. */
STRATA_API strata_status strata_model_profile(strata_profile **out, strata_model *model, bool train, size_t repeats,
                                              strata_error *err);
STRATA_API void strata_profile_free(strata_profile *profile);
STRATA_API void strata_model_free(strata_model *model);

/* One picture from a file: JPEG and PNG where the build has them, portable anymap (P2 P3 P5 P6), or an IDX file's k-th
 * picture as "FILE:k" or "NAME:k" with a known data set's name (its test part). pixels: [height][width][channels], the
 * caller frees them with strata_picture_free. */
typedef struct strata_picture {
    strata_shape shape;
    uint8_t *pixels;
} strata_picture;
STRATA_API strata_status strata_picture_open(strata_picture *out, const char *path, strata_error *err);
STRATA_API void strata_picture_free(strata_picture *picture);

/* ---- 3. Data and training --------------------------------------------------------------------------------------- */

typedef struct strata_dataset strata_dataset; /* labelled pictures in parts: train, val, test */

typedef enum strata_part { STRATA_TRAIN, STRATA_VAL, STRATA_TEST, STRATA_PART_COUNT } strata_part;

typedef struct strata_data_options {
    double hold_out; /* share of the training pictures to hold out as val where the data has none; stratified, from
                        the seed; 0: none */
    uint64_t seed;
    size_t limit; /* the first so many training pictures only; 0: all */
} strata_data_options;

/* `path`: a folder or file, or a known name ("fashion-mnist", "mnist", "cifar-10", "cifar-100") where that data is
 * installed. What is there is found by looking: IDX, CIFAR's binary batches, folders of pictures. Pictures stay on
 * disk; what is packed or encoded is decoded once, into an unnamed temporary file. Pictures that cannot be read are
 * left out and told below; more than a tenth of them is STRATA_FORMAT. */
STRATA_API strata_status strata_dataset_open(strata_dataset **out, const char *path, const strata_data_options *options,
                                             strata_error *err);
STRATA_API const char *strata_dataset_name(const strata_dataset *data);
STRATA_API const char *strata_dataset_kind(const strata_dataset *data);               /* "IDX, gzip" */
STRATA_API size_t strata_dataset_count(const strata_dataset *data, strata_part part); /* 0: no such part */
STRATA_API bool strata_dataset_was_held_out(const strata_dataset *data);
STRATA_API strata_shape strata_dataset_shape(const strata_dataset *data);
STRATA_API size_t strata_dataset_class_count(const strata_dataset *data);
STRATA_API const char *strata_dataset_class(const strata_dataset *data, size_t index);
/* Pictures of one class in one part. */
STRATA_API size_t strata_dataset_class_size(const strata_dataset *data, strata_part part, size_t class_index);
/* Pictures that cannot be read and were left out: the file below the data's folder, and why. */
STRATA_API size_t strata_dataset_broken_count(const strata_dataset *data);
STRATA_API const char *strata_dataset_broken(const strata_dataset *data, size_t index, const char **reason);
/* What a person should know before training, a line each: "1 class has no pictures in test: cat". */
STRATA_API size_t strata_dataset_note_count(const strata_dataset *data);
STRATA_API const char *strata_dataset_note(const strata_dataset *data, size_t index);
/* Mean and standard deviation of all training pixels, 0 to 1, one per channel (at most 4). */
STRATA_API strata_status strata_dataset_statistics(const strata_dataset *data, double mean[4], double deviation[4],
                                                   strata_error *err);
/* Picture `index` of a part; `pixels` is the caller's, shape.height*width*channels bytes. */
STRATA_API strata_status strata_dataset_read(const strata_dataset *data, strata_part part, size_t index,
                                             uint8_t *pixels, int *label, strata_error *err);
STRATA_API void strata_dataset_free(strata_dataset *data);

typedef struct strata_trainer strata_trainer; /* a model, its data, its optimizer, its place in the run */

/* Zero in a field means: the default in brackets. */
typedef struct strata_train_options {
    int64_t epochs;        /* [10] */
    const char *optimizer; /* "sgd" | "adamw"; as the model was built */
    double learning_rate;  /* [0.05 sgd, 0.001 adamw] */
    double momentum;       /* [0.9]; negative: none */
    bool nesterov;
    double weight_decay;    /* [0]; not applied to biases and batch normalisation */
    const char *schedule;   /* "constant" | "step" | "cosine" | "onecycle" [onecycle] */
    double step_every;      /* step: epochs between two drops [a third of all] */
    double step_factor;     /* step: what each drop multiplies by [0.1] */
    const char *step_at;    /* step: the epochs of the drops instead, ascending: "8,12"; NULL: step_every */
    double warmup;          /* epochs of linear warm-up [0; onecycle: 0.3 of all] */
    double label_smoothing; /* [0] */
    uint64_t seed;          /* order of the pictures, and what augmentation draws */
    const char *augment;    /* how pictures are changed at random: "crop=4,mirror" or a preset, "cifar"; NULL: not */
} strata_train_options;

typedef struct strata_step_info {
    int64_t epoch;            /* from 1 */
    int64_t step, step_count; /* within the epoch; step counts the batches done */
    int64_t images;           /* done in this epoch */
    double loss, top1;        /* mean over this epoch so far */
    double learning_rate;
    bool epoch_done; /* this batch was the epoch's last: strata_trainer_end_epoch comes next */
} strata_step_info;

typedef struct strata_metrics {
    int64_t count, correct;
    double loss, top1, top5;  /* top5 is 1 where there are at most 5 classes */
    double calibration_error; /* expected calibration error over 15 equal bins (Guo et al. 2017) */
} strata_metrics;

typedef struct strata_epoch_info {
    int64_t epoch;     /* from 1 */
    double loss, top1; /* training */
    bool has_val;
    strata_metrics val;
    bool is_best; /* best val top-1 so far (lower loss decides a tie); without val: always */
    bool done;    /* this was the last epoch */
} strata_epoch_info;

/* model built with train; data and model outlive the trainer. Takes the class names and the preparation of pictures
 * from the data into the model. STRATA_SHAPE when pictures or classes do not fit the net. */
STRATA_API strata_status strata_trainer_create(strata_trainer **out, strata_model *model, strata_dataset *data,
                                               const strata_train_options *options, strata_error *err);
/* One batch. A loss that is not finite is STRATA_INVALID; the message names the step and the first layer that held a
 * number that is not finite. */
STRATA_API strata_status strata_trainer_step(strata_trainer *trainer, strata_step_info *out, strata_error *err);
/* After a step with epoch_done: evaluates on val where there is one, and moves on to the next epoch. */
STRATA_API strata_status strata_trainer_end_epoch(strata_trainer *trainer, strata_epoch_info *out, strata_error *err);
/* Everything that a bit-exact resume needs, at any step. Atomic. Resume wants a trainer made with the
 * same net, data and options, and says where they differ. */
STRATA_API strata_status strata_trainer_save(const strata_trainer *trainer, const char *path, strata_error *err);
STRATA_API strata_status strata_trainer_resume(strata_trainer *trainer, const char *path, strata_error *err);
STRATA_API void strata_trainer_place(const strata_trainer *trainer, strata_step_info *out);
STRATA_API bool strata_trainer_is_done(const strata_trainer *trainer);
STRATA_API void strata_trainer_free(strata_trainer *trainer);

/* Called during an evaluation with the pictures done so far; return false to stop it (STRATA_CANCELLED). */
typedef bool (*strata_progress)(size_t done, size_t count, void *user);

/* Accuracy on one part. confusion, when not NULL: [classes][classes] counts, row = true class; the caller's. */
STRATA_API strata_status strata_evaluate(strata_metrics *out, strata_model *model, const strata_dataset *data,
                                         strata_part part, int64_t *confusion, strata_progress progress, void *user,
                                         strata_error *err);

/* ---- 4. Trace: one batch, for comparing with other programs ----------------------------------------------------- */

/* A batch file is safetensors with `images`, [N,C,H,W], already normalised, and `labels`, N whole numbers from 0, which
 * only a loss needs. */
typedef struct strata_batch_info {
    int64_t count; /* N */
    bool has_labels;
} strata_batch_info;
/* What a batch file holds, its sizes compared with the net's. STRATA_MISSING, _SHAPE, _FORMAT, _IO. */
STRATA_API strata_status strata_batch_look(strata_batch_info *out, const char *path, const strata_net *net,
                                           strata_error *err);

typedef struct strata_trace_options {
    const char *weights; /* a safetensors file that fits the net; NULL: drawn from the seed */
    uint64_t seed;
    bool train;                  /* batch norm uses the batch, side heads are there; else as in inference */
    bool activations, gradients; /* what is written besides the outputs and the loss */
} strata_trace_options;

typedef struct strata_trace_info {
    int64_t count; /* images */
    bool has_loss;
    double loss; /* mean over the images of the weighted sum of all losses */
    size_t output_count, activation_count, gradient_count;
} strata_trace_info;

/* What strata_trace would need for `count` images. */
STRATA_API strata_status strata_trace_memory(strata_memory *out, const strata_runtime *runtime, const strata_net *net,
                                             int64_t count, const strata_trace_options *options, strata_error *err);
/* Runs the batch once and writes `path` (atomic), safetensors of F32 in the published order of axes, in the order in
 * which they were computed:
 *   - PATH: the output of the layer at that path, [N,C,H,W] or [N,C] (`activations`);
 *   - logits: the main output as the net gives it; NAME.logits: another one (a side head, in train mode);
 *   - loss: one number, where there are labels and the net has a loss;
 *   - PATH.weight, PATH.bias: the gradient of the loss in that weight, the last layer's first (`gradients`).
 * A layer whose path is one of the other names is written as PATH.value. Dropout is the identity; running statistics
 * do not move. With `activations` layers run one by one instead of fused, so each path holds what that layer alone
 * gives. */
STRATA_API strata_status strata_trace(strata_trace_info *out, strata_runtime *runtime, const strata_net *net,
                                      const char *batch, const char *path, const strata_trace_options *options,
                                      strata_error *err);

typedef enum strata_match {
    STRATA_MATCHED, /* in both files, same shape: compared */
    STRATA_SHAPE_DIFFERS,
    STRATA_ONLY_FIRST,
    STRATA_ONLY_SECOND
} strata_match;

/* One tensor of two files. Numbers are of STRATA_MATCHED only, and infinite where one file has a number that is not
 * finite and the other has not the same. */
typedef struct strata_difference {
    const char *name;
    strata_match match;
    const char *shape, *other_shape; /* "64x3x7x7", in the first and the second file; NULL: not there */
    double max_abs;                  /* largest difference of an element */
    double rel_norm;                 /* norm of the difference over the norm in the second file, summed in double */
} strata_difference;

typedef struct strata_comparison {
    strata_difference *differences; /* in the first file's order of bytes, then what only the second has */
    size_t count;
    void *memory;
} strata_comparison;

/* Two safetensors files, tensor by tensor; the second is the reference. Freed with strata_comparison_free. */
STRATA_API strata_status strata_compare(strata_comparison *out, const char *first, const char *second,
                                        strata_error *err);
STRATA_API void strata_comparison_free(strata_comparison *comparison);

#ifdef __cplusplus
}
#endif
#endif
