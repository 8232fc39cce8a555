/* op.h: THE CONTRACT. What a layer must state about itself. One constant of type st_op says everything; parser, help,
 * shape inference, summary, planner, executor and tests read it. A new layer is one file in layers/ and one line in
 * layers/table.c.
 *
 * Axes: n image, c input channel, k output channel, h w rows and columns, r s kernel rows and columns, p q output rows
 * and columns. */
#ifndef ST_OP_H
#define ST_OP_H

#include "base/base.h"

struct st_kernels; /* kernels/kernels.h */

enum { ST_OP_PARAMS = 10, ST_OP_STATES = 4, ST_OP_PHASES = 5, ST_DIMENSION_LIMIT = 1 << 30 };

/* ---- parameters, as the .net file gives them ---- */

typedef enum st_param_kind {
    ST_PARAM_INT,    /* int64_t */
    ST_PARAM_PAIR,   /* int64_t[2], rows and columns: 3x5, or 3 for 3x3; the first word of `words` is stored as -1 -1,
                        the second as -2 -2 ... */
    ST_PARAM_REAL,   /* double */
    ST_PARAM_FLAG,   /* bool: yes, no */
    ST_PARAM_CHOICE, /* int: index of the word in `words`, "one|two|three" */
    ST_PARAM_SHAPE,  /* int64_t[3]: height x width x channels */
    ST_PARAM_LIST,   /* st_list: [1 2 3], or one number */
    ST_PARAM_TEXT    /* const char *: "in quotes", as long as the graph */
} st_param_kind;

typedef struct st_list {
    double values[8];
    int count;
} st_list;

typedef struct st_param_spec {
    const char *name; /* NULL ends the list */
    st_param_kind kind;
    size_t offset;           /* in the layer's params struct */
    const char *standard;    /* the default as .net text, "1", "same", "[0 0 0]"; NULL: required */
    bool is_positional;      /* may be given without its name, in the order of this list; others by key only */
    double minimum, maximum; /* of each number; exclusive ends are the shape function's business */
    const char *words;       /* PAIR, CHOICE: "same" or "a|b" */
    const char *meaning;     /* for help: "rows x columns of the window" */
} st_param_spec;

/* The params struct of the layer that ST_OP_IS_INPUT marks: graph reads the picture's normalization from it. */
typedef struct st_input_params {
    int64_t shape[3];  /* height, width, channels */
    st_list mean, std; /* one number per channel or one for all; count 0 (standard "[]"): not given */
    int64_t range;     /* 1: bytes become 0..1 first; 255: they stay */
    int order;         /* of three channels: 0 rgb, 1 bgr */
    int64_t resize;    /* shorter side before the centre is cut; 0: not given */
    int fit, filter;   /* 0 crop, 1 stretch; 0 bilinear, 1 bicubic */
} st_input_params;

/* ---- states: the tensors that a layer owns ---- */

typedef enum st_init {
    ST_INIT_ZERO,
    ST_INIT_ONE,
    ST_INIT_HE_NORMAL,
    ST_INIT_HE_UNIFORM, /* He et al. 2015: variance 2 / fan in */
    ST_INIT_XAVIER_NORMAL,
    ST_INIT_XAVIER_UNIFORM, /* Glorot, Bengio 2010: variance 2 / (fan in + fan out) */
    ST_INIT_LECUN_NORMAL,
    ST_INIT_LECUN_UNIFORM /* LeCun et al. 1998: variance 1 / fan in */
} st_init;
/* The words of an `init=` parameter, in the order of the enum from HE_NORMAL on; index 0 is "auto": He before a
 * rectifier, Xavier otherwise. */
#define ST_INIT_WORDS "auto|he|he_uniform|xavier|xavier_uniform|lecun|lecun_uniform"

typedef struct st_state_spec {
    const char *name;       /* "weight", "bias", "running_mean"; NULL ends the list */
    bool is_trained;        /* has a gradient; otherwise a statistic that forward writes in training */
    bool is_decayed;        /* weight decay applies */
    bool is_shift;          /* a bias: comes in as the epilogue's shift, the layer itself does not add it */
    st_init init;           /* what "auto" means when no init= parameter says otherwise */
    const char *init_value; /* name of a REAL parameter: every element begins with its value; NULL: as `init` says */
} st_state_spec;

/* ---- shape inference ---- */

typedef struct st_dims {
    int64_t h, w, c; /* of one image */
} st_dims;

typedef struct st_state_dims {
    int rank;        /* 0: this state does not exist here (bias=no) */
    int64_t dims[4]; /* published order: conv [K][C/groups][R][S], fc [K][C], vectors [C] */
    int64_t fan_in, fan_out;
} st_state_dims;

typedef struct st_infer {
    const void *params;
    int in_count;
    const st_dims *in;
    const bool *in_flat;  /* has no height and width */
    const void *reporter; /* for st_infer_fail */
    /* to be filled: */
    st_dims out;
    bool out_flat;
    st_state_dims state[ST_OP_STATES];
    int64_t multiply_adds;         /* one image, forward */
    int64_t window, window_stride; /* rows that an output sees and their step; 0: one, same place */
    int64_t window_dilation;       /* 0: 1 */
    bool sees_all;                 /* fc, global pooling */
} st_infer;

/* Fails at the place of parameter `param` (NULL: at the layer's name). Defined in graph/. */
strata_status st_infer_fail(const st_infer *in, strata_error *err, const char *param, const char *format, ...)
    ST_PRINTF(4, 5);

/* ---- running ---- */

typedef enum st_mode { ST_MODE_INFER, ST_MODE_TRAIN } st_mode;

/* Where the elements of a value are. NHWC: [n][h][w][c], rows of a pixel `pixel_stride` elements apart, which may
 * exceed c: a branch writes straight into its slice of a concat. LANES: [n/16][h][w][c][16 images], for nets with few
 * channels: a vector lane is an image. LANES of c channels and n images looks like NHWC of 16 c channels and n/16
 * images. */
typedef enum st_layout { ST_LAYOUT_NHWC, ST_LAYOUT_LANES, ST_LAYOUT_COUNT } st_layout;
enum { ST_LANES = 16 };

/* Images that share an item of a value (as st_phase counts items), and how many items n images are. */
static inline int64_t st_layout_lanes(st_layout layout) {
    return layout == ST_LAYOUT_LANES ? ST_LANES : 1;
}

static inline int64_t st_layout_items(st_layout layout, int64_t n) {
    return (n + st_layout_lanes(layout) - 1) / st_layout_lanes(layout);
}

typedef struct st_view {
    void *data; /* NULL: not there (a gradient that nobody needs) */
    st_dtype dtype;
    st_layout layout;
    st_dims dims;
    int64_t pixel_stride; /* channels between neighbouring pixels; in LANES this times 16 elements */
} st_view;

/* The functions that a step can end with. A new one is a line here, v16_<name> and v16_<name>_backward in
 * kernels/simd_math.h, and its layer in layers/activation.c. */
#define ST_ACTIVATION_LIST(X) X(RELU, relu) X(TANH, tanh) X(SIGMOID, sigmoid) X(SCALED_TANH, scaled_tanh)
typedef enum st_activation {
    ST_ACTIVATION_NONE,
#define ST_ACTIVATION_MEMBER(NAME, name) ST_ACTIVATION_##NAME,
    ST_ACTIVATION_LIST(ST_ACTIVATION_MEMBER)
#undef ST_ACTIVATION_MEMBER
        ST_ACTIVATION_COUNT
} st_activation;

/* What a step does to its result before it stores it: y = activation(fma(x, scale, shift) + residual). `scale` NULL: 1;
 * `shift` NULL: 0. A layer's own bias comes in here as `shift` (or folded into it). */
typedef struct st_epilogue {
    const st_real *scale, *shift; /* [k] */
    st_view residual;             /* data NULL: none; layout and dims of the output */
    st_activation activation;
} st_epilogue;

/* One execution of a plan, the same for all its calls. */
typedef struct st_run {
    int64_t n; /* images, 1 to the plan's batch; lanes beyond n hold zeros in, and nothing may depend on them */
    st_mode mode;
    uint64_t seed;
    int64_t step;                /* of the whole training: with the seed it decides dropout */
    int64_t first, total;        /* a step in pieces: the images before these, and all of the step; total 0: these */
    const int32_t *labels;       /* [n] */
    const int32_t *other_labels; /* [n] of mixed pictures, which show shares[n] of `labels`; NULL: none are mixed */
    const float *shares;
    double label_smoothing;
    bool is_trace; /* dropout is the identity and no running statistic moves */
} st_run;

static inline int64_t st_run_total(const st_run *run) {
    return run->total > 0 ? run->total : run->n;
}

static inline bool st_run_is_last(const st_run *run) {
    return run->first + run->n >= st_run_total(run);
}

/* One layer in one plan: the sizes it was prepared for. */
typedef struct st_site {
    const void *params;
    const struct st_kernels *kernels;
    st_mode mode;
    int64_t batch; /* largest n */
    int64_t
        total; /* of a step that comes in pieces, `batch` images each but the last: the most images; 0: it does not */
    int threads;
    int in_count;
    const st_dims *in; /* [in_count] */
    const bool *in_flat;
    st_dims out;
    const st_state_dims *state; /* [ST_OP_STATES] */
    const bool *din_needed;     /* [in_count], training */
    bool dstate_needed;         /* weights here are trained */
    bool activates_backward;    /* dout is that behind the epilogue's rectifier. Behind a residual the layer writes over
                                   it what counts: that is the residual's gradient, in the same memory */
    st_layout layout;
    bool frozen;        /* batch norm uses its stored statistics */
    uint64_t stream;    /* for draws: from the layer's path */
    double loss_weight; /* loss layers */
} st_site;

/* What prepare asks for. */
typedef struct st_needs {
    size_t shared_bytes;  /* scratch of the whole step, during one pass of it (forward or backward) */
    size_t thread_bytes;  /* scratch of each thread */
    size_t kept_bytes;    /* from forward to backward: masks, argmax, saved statistics */
    size_t carried_bytes; /* from piece to piece of a step: what its gradients are summed from */
} st_needs;

/* What one call works on. In backward, `in` and `out` hold what forward left there, where the layer says that it reads
 * them (`out` after its epilogue). `dout` is the gradient before the epilogue: the executor has multiplied by the
 * activation's derivative, unless the site says activates_backward. */
typedef struct st_call {
    const st_site *site;
    const st_run *run;
    const st_view *in; /* [in_count] */
    st_view out;
    const st_view *din;  /* [in_count]; data NULL: not needed */
    const bool *din_add; /* [in_count]: add to what is there instead of writing */
    st_view dout;
    st_real *state[ST_OP_STATES];  /* native order of the implementation; NULL: does not exist */
    st_real *dstate[ST_OP_STATES]; /* written, not added to; NULL: not needed */
    st_epilogue epilogue;
    void *shared, *kept;
    void *carried; /* NULL: steps come whole. Otherwise dstate is complete after the step's last piece, and holds the
                      same bits as if the step had come whole, where the layer's output depends on one image alone */
    /* loss layers: */
    st_real *losses; /* [n], one image's loss without the loss weight */
    int32_t *ranks;  /* [n], how many classes scored above the true one (ties: lower index first) */
} st_call;

/* A part of a pass. Its items may run on any thread in any order at the same time; the next phase begins when all are
 * done. by_image: item i is image i (NHWC) or images 16 i .. 16 i + 15 (LANES), and needs only what item i of the phase
 * before wrote: the executor then runs several phases over one block without waiting in between. */
typedef struct st_phase {
    int64_t (*items)(const st_call *call);                                /* NULL with by_image: all images or blocks */
    void (*run)(const st_call *call, int64_t item, void *thread_scratch); /* NULL ends the list */
    bool by_image;
    bool only_states; /* backward: writes nothing but dstate, so it may wait until all other work is done */
} st_phase;

/* What backward reads of what forward had in its hands, besides `kept`: it must stay where it is until then. */
typedef enum st_reads { ST_READS_NOTHING, ST_READS_IN, ST_READS_OUT, ST_READS_IN_AND_OUT } st_reads;

/* A layer in one layout. Forward and backward cannot fail: all errors end in prepare. Results depend on shapes alone,
 * never on threads or on the set of kernels (docs/numerics.md). */
typedef struct st_impl {
    strata_status (*prepare)(const st_site *site, st_needs *needs, strata_error *err); /* NULL: needs nothing */
    bool reads_strided, writes_strided; /* pixel_stride may exceed c in `in` and `din`, in `out` and `dout` */

    st_phase forward[ST_OP_PHASES];
    bool fuses_epilogue;   /* honours call->epilogue, all of it */
    bool forward_in_place; /* may have out == in[0]; used in inference */
    /* Writes `out` of one image (or block) as forward left it, from `in`, `kept`, the residual and the states. The
     * planner may then give the memory of `out` away between forward and backward. NULL: cannot. */
    void (*again)(const st_call *call, int64_t item, void *thread_scratch);

    st_phase backward[ST_OP_PHASES]; /* none: no gradient flows through */
    st_reads backward_reads;
    st_reads (*backward_reads_here)(const st_site *site); /* where it depends on the site; NULL: it does not */
    bool backward_in_place;                               /* may have din[0] == dout */
    bool activates_backward; /* a rectifier of its epilogue counts without help: see st_site */

    /* The order of a state's elements in memory. NULL: as published. Same number for every set of kernels. */
    size_t (*state_count)(const st_site *site, int state);
    void (*pack)(const st_site *site, int state, const st_real *published, st_real *native); /* padding: zeros */
    void (*unpack)(const st_site *site, int state, const st_real *native, st_real *published);
} st_impl;

/* ---- as ONNX writes it ---- */

/* What a node of ONNX knows by a name. */
typedef struct st_onnx_attribute {
    const char *name; /* NULL ends the list */
    bool is_real;     /* `real`, else `ints`: a list of `count`, a number where count is 0 */
    double real;
    int64_t ints[8];
    int count;
} st_onnx_attribute;

/* What a node reads behind what its layer takes: a weight, or numbers that are no weights. */
typedef enum st_onnx_source { ST_ONNX_END, ST_ONNX_STATE, ST_ONNX_INTS, ST_ONNX_REAL } st_onnx_source;
typedef struct st_onnx_operand {
    st_onnx_source source; /* ST_ONNX_END ends the list */
    int state;
    int rank; /* of a state that ONNX wants in other sides than the published; 0: it does not */
    int64_t dims[4];
    /* of a state that is published without its zeros: out[product of dims], which is zeros, from all of it */
    void (*spread)(const st_site *site, const st_real *published, st_real *out);
    const char *name; /* of ints and of a number: "pads" */
    int64_t ints[8];
    int count;
    double real;
} st_onnx_operand;

enum { ST_ONNX_NODES = 3, ST_ONNX_ATTRIBUTES = 7, ST_ONNX_OPERANDS = 5 };
typedef struct st_onnx_node {
    const char *op_type; /* "Conv"; opset 14 */
    st_onnx_attribute attributes[ST_ONNX_ATTRIBUTES];
    st_onnx_operand operands[ST_ONNX_OPERANDS];
} st_onnx_node;

/* A layer in inference as a chain: its first node takes what the layer takes, NCHW or [N][C] (where both meet, NCHW),
 * each other one the result of the node before it. None: the value is its first input's. */
typedef struct st_onnx_form {
    st_onnx_node nodes[ST_ONNX_NODES];
    int count;
} st_onnx_form;

typedef enum st_trait {
    ST_OP_IS_INPUT = 1,                /* begins a net */
    ST_OP_IS_LOSS = 2,                 /* made by `output ... loss=`, not written as a layer */
    ST_OP_IS_IDENTITY = 4,             /* always a view of its input */
    ST_OP_IS_AFFINE = 8,               /* in inference one scale and shift for each channel: `fold` */
    ST_OP_IS_TRAIN_ONLY = 16,          /* the identity in inference (dropout) */
    ST_OP_IS_MERGE = 32,               /* takes lanes: add, concat; not counted in paths */
    ST_OP_IS_ADD = 64,                 /* can become an epilogue's residual */
    ST_OP_IS_CONCAT = 128,             /* its inputs can be slices of its output */
    ST_OP_IS_FLATTEN = 256,            /* needless before a layer that reads spatial values as flat */
    ST_OP_TAKES_SPATIAL_AS_FLAT = 512, /* fc: published weights are in c, h, w order of the input */
    ST_OP_GIVES_PROBABILITIES = 1024,  /* softmax: not what a loss on logits takes */
    ST_OP_IS_VIEW_OF_EQUAL = 2048,     /* a view of its input where the output has the same size */
    ST_OP_IS_ATTACHED = 4096,          /* to a reader part of the layer before it */
    ST_OP_MIXES_IMAGES = 8192,         /* in training an image's result depends on the others, unless frozen */
    ST_OP_HAS_LIMITS = 16384           /* no gradient comes back from outside of limits that may lie anywhere */
} st_trait;

typedef struct st_op {
    const char *name;     /* the word in a .net file */
    const char *summary;  /* one line: `strata help layers` */
    const char *source;   /* paper or specification, section */
    const char *examples; /* .net chains, one a line, each begins with an input: help prints them, tests run them */
    const char *notes;    /* more for `strata help NAME`, or NULL */

    st_param_spec params[ST_OP_PARAMS];
    size_t params_size;
    int init_param_offset; /* of an int CHOICE over ST_INIT_WORDS for state 0; -1: none */
    st_state_spec state[ST_OP_STATES];
    int in_min, in_max; /* -1: any number */
    uint32_t traits;
    st_activation activation; /* layers that are one */
    strata_layer_kind kind;   /* for those who draw it */

    strata_status (*shape)(st_infer *in, strata_error *err);
    const st_impl *impl[ST_LAYOUT_COUNT]; /* NULL: not in this layout; NHWC must be there */
    /* IS_AFFINE: fma(x, scale, shift) is the layer in inference. state[]: as in a call. shift_in: bias before it, or
     * NULL. */
    void (*fold)(const st_site *site, st_real *const *state, const st_real *shift_in, st_real *scale, st_real *shift);
    /* Forward in naive loops over NHWC views without stride, weights in published order in `state`: what the tests
     * believe. */
    void (*reference)(const st_call *call);
    /* `out` is zeros; of the site params, in, in_flat, out and state are there. STRATA_UNSUPPORTED, with a message that
     * goes on after the layer's path, where ONNX has no word for it. NULL: the value is its first input's. */
    strata_status (*to_onnx)(st_onnx_form *out, const st_site *site, strata_error *err);
} st_op;

extern const st_op *const st_layer_table[]; /* defined in layers/table.c, ends with NULL */

#endif
