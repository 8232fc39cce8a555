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

typedef enum strata_layer_kind {
    STRATA_LAYER_OTHER,
    STRATA_LAYER_INPUT,
    STRATA_LAYER_CONV,
    STRATA_LAYER_DENSE,
    STRATA_LAYER_POOL,
    STRATA_LAYER_NORM,
    STRATA_LAYER_ADD,
    STRATA_LAYER_CONCAT
} strata_layer_kind;

typedef struct strata_layer_info {
    const char *name; /* path, such as "layer1.0.conv2"; lent by the net */
    const char *op;   /* the word in the .net file: "conv" */
    strata_layer_kind kind;
    bool is_attached; /* to a reader part of the layer before it: an activation, batch normalization, dropout */
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
    const char *preparation; /* the keys of its input line: "mean=0.5 std=0.2"; "" without any; lent */
    bool is_zoo;             /* built in, and nobody's own file */
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

/* A `let` of the net's file, or of one that it includes. All texts are lent by the net. */
typedef struct strata_knob {
    const char *name;
    const char *value;    /* here: "1000" */
    const char *standard; /* as the file has it; may be worked out from others: "if original then 5 else 3" */
    const char *comment;  /* behind it in the file, "" without one */
} strata_knob;
STRATA_API size_t strata_net_knob_count(const strata_net *net);
STRATA_API void strata_net_knob(const strata_net *net, size_t knob, strata_knob *out);
/* The net as one self-contained text, includes and settings resolved; the caller frees it. */
STRATA_API strata_status strata_net_text(char **out, const strata_net *net, strata_error *err);
/* The same net with another preparation of its pictures in its input line. preprocess: a convention, "torchvision"
 * (RGB, 0 to 1, minus mean, by deviation; shorter side to 8/7, the centre), "caffe" (BGR, 0 to 255, minus 104 117 123;
 * resized to the input) or "unit" (0 to 1), or the keys of an input line themselves: "mean=[0.1307] std=[0.3081]";
 * NULL: the line says nothing of it any more.
 * STRATA_INVALID, STRATA_SHAPE. */
STRATA_API strata_status strata_net_preprocess(strata_net **out, const strata_net *net, const char *preprocess,
                                               strata_error *err);
/* Whether its input line says how pictures are prepared. */
STRATA_API bool strata_net_is_prepared(const strata_net *net);
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
/* The words of `augment` (strata_train_options), a line each. */
STRATA_API strata_status strata_help_augment(char **out, strata_error *err);

/* ---- 2. Run ----------------------------------------------------------------------------------------------------- */

/* A file of weights, whoever wrote it: safetensors, PyTorch, ONNX, Keras, Caffe, darknet. The format is found by what
 * the file holds. Nothing in it is run. */
typedef struct strata_weights strata_weights;

typedef struct strata_weights_info {
    const char *format; /* "safetensors", "PyTorch zip"; all texts are lent */
    size_t tensor_count;
    int64_t numbers; /* in all tensors of real numbers */
    uint64_t bytes;  /* of the file */
    bool has_net, has_classes, has_preparation;
    const char *preprocess; /* what strata_net_preprocess takes, of weights without a net; "" */
    const char *note;       /* what the reader has to say; "" */
} strata_weights_info;

typedef struct strata_tensor_info {
    const char *name;
    const char *type; /* "F32", "BF16", "I64" */
    int rank;
    const int64_t *dims;
    int64_t count;
    bool is_real;
} strata_tensor_info;

typedef struct strata_tensor_range {
    double least, most, mean; /* of the numbers that are finite */
    size_t not_finite;
} strata_tensor_range;

/* Whether a file's content is of a format that strata reads weights from; says nothing of the rest of it. False where
 * no file could be opened; STRATA_IO where it cannot be read. */
STRATA_API strata_status strata_weights_probe(bool *out, const char *path, strata_error *err);
STRATA_API strata_status strata_weights_open(strata_weights **out, const char *path, strata_error *err);
STRATA_API void strata_weights_info_get(const strata_weights *weights, strata_weights_info *out);
STRATA_API void strata_weights_tensor(const strata_weights *weights, size_t index, strata_tensor_info *out);
/* Reads one tensor's values. */
STRATA_API strata_status strata_weights_measure(strata_tensor_range *out, const strata_weights *weights, size_t index,
                                                strata_error *err);
/* Reads all values and compares them with the hash that the file brings: STRATA_FORMAT where it is damaged. A file
 * without a hash is fine. Loading a model does this too. */
STRATA_API strata_status strata_weights_check(const strata_weights *weights, strata_error *err);
/* A file whose bytes somebody published, as their SHA-256 tells; all texts "" for one that strata does not know. */
typedef struct strata_weights_publication {
    const char *name;       /* "resnet50-0676ba61.pth", whatever the file is called here */
    const char *by;         /* "torchvision" */
    const char *preprocess; /* how its pictures were prepared: what strata_net_preprocess takes */
} strata_weights_publication;
/* Reads the whole file. */
STRATA_API strata_status strata_weights_publication_get(strata_weights_publication *out, const strata_weights *weights,
                                                        strata_error *err);
/* The same tensors in another file, .safetensors or .pth by its ending, read again before it gets its name. preprocess:
 * how their pictures were prepared, as strata_net_preprocess takes it, written into the file; NULL: as it is. Atomic.
 */
STRATA_API strata_status strata_weights_save(const strata_weights *weights, const char *preprocess, const char *path,
                                             strata_error *err);
STRATA_API void strata_weights_free(strata_weights *weights);

typedef enum strata_fit_state {
    STRATA_FIT_SAME,    /* name and shape */
    STRATA_FIT_SHAPE,   /* the name alone */
    STRATA_FIT_MISSING, /* the net wants it, the file has it not */
    STRATA_FIT_EXTRA,   /* the file has it, the net knows it not */
    STRATA_FIT_STATES
} strata_fit_state;

typedef struct strata_fit_row {
    strata_fit_state state;
    const char *wanted, *wanted_shape; /* NULL: STRATA_FIT_EXTRA */
    const char *found, *found_shape;   /* NULL: STRATA_FIT_MISSING */
} strata_fit_row;

/* How tensors of other names are found. */
typedef enum strata_fit_way {
    STRATA_FIT_IN_A_ROW, /* the file's order is the net's */
    STRATA_FIT_BY_KERAS, /* it is the order in which Keras lists the layers of such a net */
    STRATA_FIT_BY_LAYERS /* layer by layer, the first that is left with the same shapes: weaker, since layers of equal
                            shapes may be taken for each other */
} strata_fit_way;

/* Which tensors of a file a net takes (as in inference: without side heads of training), side by side. */
typedef struct strata_fit {
    strata_fit_row *rows; /* in the order of the net, then what the net does not know */
    size_t row_count, counts[STRATA_FIT_STATES];
    bool fits;              /* every tensor that the net wants is there, and no other */
    bool fits_by_order;     /* else: names differ, but order and shapes agree (shapes but for sides of 1) ... */
    strata_fit_way way;     /* ... in this way */
    strata_fit_row *mapped; /* that mapping */
    size_t mapped_count;
    void *memory;
} strata_fit;
STRATA_API strata_status strata_weights_fit(strata_fit *out, const strata_weights *weights, const strata_net *net,
                                            strata_error *err);
STRATA_API void strata_fit_free(strata_fit *fit);
/* Calls the file's tensors as the net does, by order and shape (strata_fit.mapped): a likely mapping, not a proven one.
 * STRATA_FORMAT where there is none. Net and file stay as they are. */
STRATA_API strata_status strata_weights_map(strata_weights *weights, const strata_net *net, strata_error *err);

typedef struct strata_model strata_model; /* a net with weights and a plan for one batch size */

typedef struct strata_build_options {
    int64_t batch;         /* pictures at once; 0: 64 */
    bool train;            /* with gradients and optimizer state */
    const char *optimizer; /* "sgd" or "adamw": how much state each weight has; NULL: "sgd" */
    uint64_t seed;         /* of the initial weights and dropout */
    const char *freeze;    /* paths whose weights stay as they are, "conv1 layer1", or NULL */
    int64_t accumulate;    /* batches whose gradients make one step; 0: 1 */
    bool average;          /* with room for a moving average of the weights */
    bool blank;            /* nothing is drawn: the weights are zeros until strata_model_load gives them */
    bool skip_self_test;   /* a checkpoint's own pictures are not asked when it is loaded (docs/formats.md) */
    bool own_preparation;  /* pictures as the net's input line says, whatever a checkpoint says that is loaded; what
                              it said of its own pictures holds no longer, so it is not asked */
} strata_build_options;

typedef struct strata_memory {
    uint64_t weights_bytes;     /* parameters and statistics, as kept for computing */
    uint64_t gradients_bytes;   /* of the weights, and what accumulation carries from batch to batch */
    uint64_t optimizer_bytes;   /* and the moving average of the weights */
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
/* The same from an open file, under the names that strata_weights_map gave. */
STRATA_API strata_status strata_model_load_weights(strata_model *model, const strata_weights *weights,
                                                   strata_error *err);
/* The same for a net that is to learn other classes: the head, where its shape differs or the file's classes are not
 * these (NULL: not known), begins with weights of zero, all classes equally likely, and a bias of 1 before a rectifier;
 * side heads of training stay as they were drawn from the seed, and so does a head that cannot learn from zeros: with a
 * normalization or limits (`clip`) behind it, or without a bias before a rectifier. *replaced: the tensors that the
 * file did not give, "NAME zeros" or "NAME drawn" in a line; the caller frees it. STRATA_FORMAT where anything else is
 * missing or differs. */
STRATA_API strata_status strata_model_adapt(char **replaced, strata_model *model, const char *path,
                                            const char *const *classes, size_t class_count, strata_error *err);
/* Atomic (see strata_file_write). With what the model says of a few drawn pictures, which are asked again when the file
 * is loaded: STRATA_FORMAT then where an answer is another. */
STRATA_API strata_status strata_model_save(strata_model *model, const char *path, strata_error *err);
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
 * images  [count][height][width][channels], uint8, as dataset and picture readers give them; of any size: they go
 *         through the model's preparation (strata_model_preparation); lent.
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

/* One picture from a file: JPEG, PNG and WebP where the build has them, portable anymap (P2 P3 P5 P6), or an IDX file's
 * k-th picture as "FILE:k" or "NAME:k" with a known data set's name (its test part). pixels: [height][width][channels],
 * the caller frees them with strata_picture_free. */
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
    size_t limit;  /* the first so many training pictures only; 0: all */
    bool strict;   /* one picture that cannot be read is STRATA_FORMAT */
    bool examines; /* as a doctor: opens whatever share of the pictures cannot be read, as long as one can */
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
/* Of every picture; height and width are 0 where they differ in size. */
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
/* Picture `index` of a part in its own size, into `out`, which is zeros or an earlier picture, whose room is used
 * again; freed with strata_picture_free. */
STRATA_API strata_status strata_dataset_picture(strata_picture *out, const strata_dataset *data, strata_part part,
                                                size_t index, int *label, strata_error *err);
/* The same where all pictures have one size; `pixels` is the caller's, shape.height*width*channels bytes. */
STRATA_API strata_status strata_dataset_read(const strata_dataset *data, strata_part part, size_t index,
                                             uint8_t *pixels, int *label, strata_error *err);
STRATA_API void strata_dataset_free(strata_dataset *data);

typedef struct strata_augmenter strata_augmenter; /* training pictures as a net would see them */

typedef struct strata_augment_options {
    const char *augment;   /* as in training: "crop=4,mirror" or a preset, "cifar"; NULL: not */
    int64_t height, width; /* what a net takes; 0: the size of all pictures, 224x224 where they differ */
    uint64_t seed;
} strata_augment_options;

/* The data outlives it. Reads the training pictures once: means, and axes of colours where they are asked for. */
STRATA_API strata_status strata_augmenter_create(strata_augmenter **out, const strata_dataset *data,
                                                 const strata_augment_options *options, strata_error *err);
/* Presets and defaults taken apart: "crop=4,mirror"; "" for none. Lent. */
STRATA_API const char *strata_augmenter_text(const strata_augmenter *augmenter);
/* What the pictures indexes[count] of a part become in pass `epoch`: out[count], which are zeros or earlier pictures,
 * whose room is used again; each is freed with strata_picture_free. Words that mix pictures mix these: the first with
 * the last and so on. */
STRATA_API strata_status strata_augmenter_batch(strata_picture *out, strata_augmenter *augmenter, strata_part part,
                                                const size_t *indexes, size_t count, uint64_t epoch, strata_error *err);
STRATA_API void strata_augmenter_free(strata_augmenter *augmenter);

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
    bool balance;           /* every class has the same number of places in an epoch, which is as long as without */
    int64_t accumulate;     /* batches of a step [1]; as the model was built */
    double clip;            /* the gradient's norm is at most this: a longer one is scaled down [0: not] */
    double ema;       /* decay of a moving average of the weights, which is evaluated instead of them [0: none]; it
                         begins lower: min(ema, (1 + t) / (10 + t)) after t steps */
    int64_t patience; /* epochs without a better val after which the run ends [0: never] */
    /* Transfer learning: a part of the net is trained, of a model that is built for inference. What comes before that
     * part is computed once for each picture and kept. */
    const char *train;        /* "head", "second-half", "all", or paths, "layer4 fc"; NULL: a model built with train */
    double body_rate;         /* learning rate of what is trained besides the head [learning_rate; adamw: a tenth] */
    int64_t thaw;             /* epochs in which the head is trained alone, before the rest [0] */
    int64_t variants;         /* with augmentation: features kept of each picture [8]; negative: none, all is computed
                                 in each epoch */
    const char *features;     /* folder where features are kept for later runs, by what they were made of; NULL: none */
    uint64_t features_memory; /* at most, beyond it a temporary file [2 GB] */
    uint64_t features_disk;   /* at most in that folder; what was not used for longest goes first [8 GB] */
} strata_train_options;

typedef struct strata_step_info {
    int64_t epoch;            /* from 1 */
    int64_t step, step_count; /* within the epoch; step counts those done */
    int64_t images;           /* done in this epoch */
    double loss, top1;        /* mean over this epoch so far */
    double learning_rate;
    bool epoch_done; /* this step was the epoch's last: strata_trainer_end_epoch comes next */
    /* No step was done, but features of some pictures computed that the epoch needs; all above stays as it was. */
    bool is_preparing;
    int64_t prepared, prepare_count; /* pictures */
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
    int64_t best_epoch;
    bool done;      /* this was the last epoch */
    bool gave_up;   /* because val has not been better for `patience` epochs */
    bool has_norms; /* with `clip`: of the gradients of this epoch's steps, before they were scaled down */
    double norm_mean, norm_max;
} strata_epoch_info;

/* What a regime of transfer learning means for a net and data, before anything is allocated. */
typedef struct strata_tuning {
    const char *first, *last;    /* paths of the first and the last layer that is trained; lent by the net */
    size_t layer_count;          /* layers that are trained */
    int64_t trained, parameters; /* numbers that move, of how many */
    const char *cut;             /* the layer whose value is computed once for each picture; lent; NULL: none */
    strata_shape features;       /* of that value */
    bool is_flat;
    uint64_t features_bytes; /* of all training and val pictures, one variant */
    int64_t variants;        /* of each augmented picture whose features are kept; 0: none, they are computed anew */
    strata_memory memory;    /* with the features that are kept in memory in total_bytes */
} strata_tuning;
STRATA_API strata_status strata_tuning_get(strata_tuning *out, const strata_runtime *runtime, const strata_net *net,
                                           const strata_build_options *build, const strata_train_options *options,
                                           const strata_dataset *data, strata_error *err);

/* Measured: once for the features of one variant (0 where none are kept), and for each epoch with its val. */
typedef struct strata_cost {
    double features_seconds, epoch_seconds;
} strata_cost;

/* model built with train, or for inference where options say which part is trained; data and model outlive the trainer.
 * Takes the class names and the preparation of pictures from the data into the model. STRATA_SHAPE when pictures or
 * classes do not fit the net. */
STRATA_API strata_status strata_trainer_create(strata_trainer **out, strata_model *model, strata_dataset *data,
                                               const strata_train_options *options, strata_error *err);
/* One step: a batch, or `accumulate` of them, fewer at the end of the epoch. The loss is the mean over all their
 * pictures, and the weights move with the bits of one batch of that many, where no layer mixes pictures
 * (docs/training.md). A loss that is not finite is STRATA_INVALID; the message names the step and the first layer that
 * held a number that is not finite. */
STRATA_API strata_status strata_trainer_step(strata_trainer *trainer, strata_step_info *out, strata_error *err);
/* After a step with epoch_done: evaluates on val where there is one, and moves on to the next epoch. With `ema` the
 * model then holds the average, to be evaluated and saved, until the next step. */
STRATA_API strata_status strata_trainer_end_epoch(strata_trainer *trainer, strata_epoch_info *out, strata_error *err);
/* Everything that a bit-exact resume needs, at any step. Atomic. With `ema` the file's weights are the average, and
 * what the optimizer moves is beside it. Weights that are not finite are STRATA_INVALID and not written. Resume wants a
 * trainer made with the same net, data and options, and says where they differ. */
STRATA_API strata_status strata_trainer_save(const strata_trainer *trainer, const char *path, strata_error *err);
STRATA_API strata_status strata_trainer_resume(strata_trainer *trainer, const char *path, strata_error *err);
STRATA_API void strata_trainer_place(const strata_trainer *trainer, strata_step_info *out);
STRATA_API bool strata_trainer_is_done(const strata_trainer *trainer);
/* It is, before its last epoch, because val has not been better for `patience` epochs. */
STRATA_API bool strata_trainer_gave_up(const strata_trainer *trainer);
/* Of epoch `epoch` (from 1; with `thaw` they differ), on the first pictures, for a second or two, of a trainer that
 * trains a part and has not begun; nothing moves. */
STRATA_API strata_status strata_trainer_measure(strata_cost *out, strata_trainer *trainer, int64_t epoch,
                                                strata_error *err);

/* Called during long work with what is done so far, pictures of an evaluation for one; return false to stop it
 * (STRATA_CANCELLED). */
typedef bool (*strata_progress)(size_t done, size_t count, void *user);

/* Learning rate range test (Smith 2015, arXiv:1506.01186, section 3.3): steps at a rate that rises by one factor, until
 * the loss is far above the lowest or all steps are done. */
typedef struct strata_rate_options {
    double from, to; /* [1e-6 and 10] */
    int64_t steps;   /* [200] */
} strata_rate_options;
typedef struct strata_rate_trial {
    double rate, loss; /* of the step's pictures, before it; may be infinite in the last trial */
    double smooth;     /* exponential average of the losses, 0.9 of the one before */
} strata_rate_trial;
typedef struct strata_rate_search {
    strata_rate_trial *trials;
    size_t count;
    bool diverged;    /* it ended because of the loss */
    size_t lowest;    /* the trial with the lowest smoothed loss */
    double suggested; /* a third (sgd) or a tenth (adamw) of that trial's rate; 0: the loss never fell */
    int divisor;      /* 3 or 10 */
} strata_rate_search;
/* Moves the weights: afterwards trainer and model are good for nothing else. `progress` may be NULL; freed with
 * strata_rate_search_free. */
STRATA_API strata_status strata_trainer_find_rate(strata_rate_search **out, strata_trainer *trainer,
                                                  const strata_rate_options *options, strata_progress progress,
                                                  void *user, strata_error *err);
STRATA_API void strata_rate_search_free(strata_rate_search *search);
STRATA_API void strata_trainer_free(strata_trainer *trainer);

/* Accuracy on one part. confusion, when not NULL: [classes][classes] counts, row = true class; the caller's. */
STRATA_API strata_status strata_evaluate(strata_metrics *out, strata_model *model, const strata_dataset *data,
                                         strata_part part, int64_t *confusion, strata_progress progress, void *user,
                                         strata_error *err);

/* ---- Predictions: what a model says about each picture of a part. Accuracy, ensembles, calibration and comparisons
 * are computed from them; docs/evaluation.md has the definitions. ---- */

typedef struct strata_predict_options {
    int crops;         /* windows of each picture, whose probabilities are averaged: 1 [0], the centre; 5, with the
                          corners; 10, with the mirror images of these (Krizhevsky et al. 2012, section 4.1) */
    bool flip;         /* the mirror image of each window too */
    bool skip_unknown; /* leave out pictures of classes that the model does not know; else they are STRATA_MISSING */
} strata_predict_options;

/* How the classes of a part are found among a model's: by name, whatever their order. */
typedef struct strata_class_match {
    bool by_number;                             /* one of the two has no names: class i is output i */
    size_t known;                               /* classes with pictures in this part that the model knows */
    size_t unknown, unknown_pictures;           /* classes that it does not know, and their pictures in this part */
    size_t absent;                              /* classes that it knows, without a picture in this part */
    char unknown_names[160], absent_names[160]; /* the first of them: "bird, cat, ..." */
} strata_class_match;
/* STRATA_SHAPE where numbers cannot tell which class is which, STRATA_MISSING where the part is empty. */
STRATA_API strata_status strata_class_match_get(strata_class_match *out, const strata_model *model,
                                                const strata_dataset *data, strata_part part, strata_error *err);
/* Whether its classes have names: else strata_model_class gives numbers. */
STRATA_API bool strata_model_has_names(const strata_model *model);
/* Names for weights that bring none: one for each output, in their order. */
STRATA_API strata_status strata_model_name_classes(strata_model *model, const char *const *names, size_t count,
                                                   strata_error *err);

/* Class probabilities of pictures in files, each as strata_picture_open reads it, prepared as the model's own were.
 *
 * out     [count][classes], zeros for a picture that cannot be had; the caller's.
 * errors  [count], status STRATA_OK or why not; the caller's; NULL: the first such picture ends it all. */
STRATA_API strata_status strata_model_predict(strata_model *model, const char *const *files, size_t count,
                                              const strata_predict_options *options, float *out, strata_error *errors,
                                              strata_error *err);

typedef struct strata_predictions strata_predictions;
/* What strata_predictions_create would allocate besides the model and a batch. */
STRATA_API uint64_t strata_predictions_bytes(const strata_model *model, const strata_dataset *data, strata_part part);
/* Asks the model about every picture of a part; the data must outlive the predictions, the model need not. The same
 * bits for any number of threads and any batch. */
STRATA_API strata_status strata_predictions_create(strata_predictions **out, strata_model *model,
                                                   const strata_dataset *data, strata_part part,
                                                   const strata_predict_options *options, strata_progress progress,
                                                   void *user, strata_error *err);
/* An ensemble: the mean of the probabilities of several models for the same pictures, classes in the first one's order.
 * STRATA_SHAPE where pictures or classes differ. */
STRATA_API strata_status strata_predictions_average(strata_predictions **out, const strata_predictions *const *members,
                                                    size_t count, strata_error *err);
STRATA_API size_t strata_predictions_count(const strata_predictions *predictions);
STRATA_API size_t strata_predictions_left_out(const strata_predictions *predictions); /* pictures of unknown classes */
STRATA_API size_t strata_predictions_class_count(const strata_predictions *predictions);
/* The name of a class, or its number as text; lent until the next call. */
STRATA_API const char *strata_predictions_class(strata_predictions *predictions, size_t index);
/* The file of a picture below the data's folder, "FILE:k" where it holds many; lent until the next call. */
STRATA_API const char *strata_predictions_file(strata_predictions *predictions, size_t picture);
/* Where the picture stands in its part. */
STRATA_API size_t strata_predictions_index(const strata_predictions *predictions, size_t picture);
STRATA_API size_t strata_predictions_label(const strata_predictions *predictions, size_t picture);
STRATA_API const float *strata_predictions_row(const strata_predictions *predictions, size_t picture); /* [classes] */
/* The `most` likeliest classes of a row of probabilities, the likeliest first, of two equal ones the earlier; how many
 * there are. */
STRATA_API size_t strata_top(size_t *out, size_t most, const float *row, size_t class_count);
/* temperature: divides the logarithms of the probabilities before they are normalised again; 0 or 1: as they are.
 * confusion: [classes][classes] counts, row = true class, the caller's; NULL: not wanted. */
STRATA_API void strata_predictions_measure(strata_metrics *out, const strata_predictions *predictions,
                                           double temperature, int64_t *confusion);
/* The temperature with the least loss (Guo et al. 2017, section 4.2); false where there is none: every answer is right,
 * or none is better than chance. */
STRATA_API bool strata_predictions_temperature(double *out, const strata_predictions *predictions);
STRATA_API void strata_predictions_free(strata_predictions *predictions);

/* Two models on the same pictures. */
typedef struct strata_pairing {
    int64_t both, first_only, second_only, neither; /* pictures that are answered right by */
    double p; /* of McNemar's exact test, two-sided: how often chance alone would make so large a difference */
} strata_pairing;
STRATA_API strata_status strata_predictions_compare(strata_pairing *out, const strata_predictions *first,
                                                    const strata_predictions *second, strata_error *err);
STRATA_API double strata_mcnemar(uint32_t first_only, uint32_t second_only);
/* Wilson's score interval at 95% for a share of which `correct` of `count` were seen; 0 to 1 where count is 0. */
STRATA_API void strata_wilson(double *low, double *high, int64_t correct, int64_t count);

/* The file of a picture, below the data's folder; "FILE:k" where a file holds many. */
STRATA_API void strata_dataset_file(const strata_dataset *data, strata_part part, size_t index, char out[256]);
/* The class of a picture, without reading it; -1 where there is no such picture. */
STRATA_API int strata_dataset_label(const strata_dataset *data, strata_part part, size_t index);

/* What is in a data set that a person should look at before training. */
typedef struct strata_place {
    strata_part part;
    size_t index;
} strata_place;

/* Pictures that are the same, or nearly; in the order of parts and pictures. */
typedef struct strata_alike {
    const strata_place *places;
    size_t count;
    bool has_parts, has_labels; /* they stand in several parts; they have several labels */
} strata_alike;

typedef struct strata_finding {
    strata_place place;
    const char *reason; /* "21 times as wide as high" */
} strata_finding;

typedef struct strata_checkup {
    size_t count;                            /* pictures looked at */
    strata_shape smallest, median, largest;  /* by number of pixels; upright */
    double height, width;                    /* on average */
    uint64_t bytes;                          /* of their files, where each has its own */
    size_t grey, cmyk, alpha, palette, deep; /* how they are stored; deep: more than 8 bits */
    size_t turned;                           /* upright only by what EXIF says */
    double mean[4], deviation[4];            /* of all training pixels, 0 to 1, per channel of the data */
    const strata_alike *duplicates;          /* the same pixels once decoded */
    size_t duplicate_count;
    const strata_alike *near_duplicates; /* one picture, encoded or resized in different ways; docs/data.md */
    size_t near_duplicate_count;
    const strata_finding *blank, *odd; /* of one colour or nearly; of unusual size, shape or brightness */
    size_t blank_count, odd_count;
} strata_checkup;

/* Reads every picture once, on `threads` threads (0: as many as the process may use). `progress` may be NULL. The data
 * outlives the checkup. */
STRATA_API strata_status strata_dataset_check(strata_checkup **out, const strata_dataset *data, int threads,
                                              strata_progress progress, void *user, strata_error *err);
STRATA_API void strata_checkup_free(strata_checkup *checkup);

/* Contact sheets: many pictures, small, with a line or two below each, as one PNG. */
typedef struct strata_sheet strata_sheet;

enum { STRATA_SHEET_MOST = 1000 }; /* pictures on a sheet */

typedef struct strata_sheet_options {
    const char *title; /* above all; NULL: none */
    int columns;       /* pictures in a row [8], at most 64 */
    int tile;          /* the longer side of a picture on the sheet [128], 16 to 512 */
} strata_sheet_options;

STRATA_API strata_status strata_sheet_create(strata_sheet **out, const strata_sheet_options *options,
                                             strata_error *err);
/* The next picture begins a row, under a heading (NULL: without). Elsewhere a row begins where the columns are full. */
STRATA_API void strata_sheet_row(strata_sheet *sheet, const char *heading);
/* The picture (NULL: an empty place) is reduced, or enlarged by a whole factor, and copied. `caption` and `note` are
 * the lines below it, NULL for none: shortened in the middle where they are too long, what is not printable ASCII
 * shown as '?'. `frame`: 0xRRGGBB around it, 0 for none. More than STRATA_SHEET_MOST is STRATA_UNSUPPORTED. */
STRATA_API strata_status strata_sheet_add(strata_sheet *sheet, const strata_picture *picture, const char *caption,
                                          const char *note, uint32_t frame, strata_error *err);
STRATA_API size_t strata_sheet_count(const strata_sheet *sheet);
/* Atomic (see strata_file_write). STRATA_UNSUPPORTED where the build has no libspng, or the sheet would have more than
 * 64 megapixels. */
STRATA_API strata_status strata_sheet_write(const strata_sheet *sheet, const char *path, strata_error *err);
STRATA_API void strata_sheet_free(strata_sheet *sheet);

/* Convert: a net with its weights as a file that other programs read. */
typedef enum strata_proof {
    STRATA_PROOF_NONE,     /* not asked for, or no weights */
    STRATA_PROOF_NOISE,    /* by numbers drawn from the seed, in the place of prepared pictures */
    STRATA_PROOF_PICTURES, /* by pictures of a data set, from the file to the answer */
    STRATA_PROOF_COUNT
} strata_proof;

typedef struct strata_convert_options {
    const strata_dataset *check; /* pictures to prove the file with: its test part, or what is there; NULL: noise */
    size_t limit;                /* so many of them [256], spread over the part */
    bool no_check;               /* the file is written and not looked at */
    uint64_t seed;               /* of the noise */
    const char *weights; /* of a .net: the file where its weights are already; NULL: they are written beside it */
    bool preprocess;     /* the net's input line says how pictures are prepared, whatever the weights' file says */
    bool skip_self_test; /* a checkpoint's own pictures are not asked; the new file gets others */
} strata_convert_options;

typedef struct strata_conversion {
    const char *format; /* "ONNX"; not to be freed */
    uint64_t bytes;
    size_t tensor_count;
    char weights[256]; /* of a .net: the file that was written beside it; "" */
    uint64_t weights_bytes;
    strata_proof proof;
    size_t pictures, changed; /* changed: answers, the class with the largest number */
    double largest, relative; /* difference of a number before softmax; norm of all differences over the norm */
    double limit;             /* of `relative` */
} strata_conversion;

/* Writes a net and its weights (NULL: a .net alone) in the format that the ending of `path` names: .safetensors, .onnx,
 * .pth, .net (the text, self-contained, and its weights in a .safetensors of the same name beside it). Weights keep the
 * type that they are stored in, but for ONNX, which has F32.
 *
 * The file proves itself: it is written under another name beside `path`, read again and asked the same as the
 * original; only when the answers agree (ONNX: the norm of all differences is at most 1e-4 of the norm; else: every
 * bit) does it get its name. STRATA_FORMAT where they do not, or where the weights do not fit the net: then nothing was
 * written. */
STRATA_API strata_status strata_convert(strata_conversion *out, strata_runtime *runtime, const strata_net *net,
                                        const strata_weights *weights, const char *path,
                                        const strata_convert_options *options, strata_error *err);

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
