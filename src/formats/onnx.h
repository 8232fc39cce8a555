/* onnx: what the files of the reader share. A graph of ONNX is walked through once, in its order; each value that a
 * node makes is either known (a constant, or whole numbers that an exporter computes with) or a value of the net. */
#ifndef ST_ONNX_H
#define ST_ONNX_H

#ifdef ST_WITH_PROTOBUF
#include <onnx.pb-c.h>

#include "formats/foreign.h"

enum { ST_ONNX_RANK_MAX = 8, ST_ONNX_INTS_MOST = 4096 };

typedef enum st_onnx_kind {
    ST_ONNX_UNMADE,
    ST_ONNX_UNKNOWN,  /* made by what strata has not, or of it */
    ST_ONNX_CONSTANT, /* `tensor`, and where it holds few whole numbers `ints` */
    ST_ONNX_SQUARES,  /* `squares`: on the way to a local response normalization */
    ST_ONNX_VALUE     /* of the net */
} st_onnx_kind;

/* What a chain of nodes has made of a value of the net so far: onnx_lrn.c. */
typedef struct st_onnx_squares {
    const struct st_onnx_value *of;
    int64_t before, after; /* channels of zeros around it */
    int64_t size;          /* that the mean is of; 0: not yet */
    double alpha, k, beta; /* of (k + alpha * mean)^beta */
    bool has_k, has_beta;
} st_onnx_squares;

/* A name of the graph. */
typedef struct st_onnx_value {
    const char *name;
    st_onnx_kind kind;
    int rank;
    int64_t shape[ST_ONNX_RANK_MAX]; /* as ONNX sees it, with images; [tensor.rank] of a constant */

    st_tensor tensor;
    const int64_t *ints; /* [tensor.count] or NULL */
    uint64_t of_images;  /* bit i, 63 for all from there: ints[i] hangs on a number of images that is left open */
    bool is_real;        /* ints that ONNX has as real numbers */

    const st_onnx_squares *squares;

    int id; /* the net writer's */
    st_dims dims;
    bool is_last;           /* ONNX has rows, columns, channels: behind a Transpose */
    bool is_joined;         /* ONNX has rows, columns and channels in one side, the net has not */
    bool has_pad;           /* zeros around it that the net has not yet */
    int64_t pad[4];         /* top, left, bottom, right */
    bool is_normed, is_log; /* a softmax made it, or its logarithm, that the net has not yet */
    bool is_share;          /* the net's softmax made it */
    size_t uses;            /* by nodes that the output needs, and by being the output */
    size_t user, maker;     /* the last node that reads it; the one that makes it */
} st_onnx_value;

typedef struct st_onnx {
    st_weights *out;
    const Onnx__GraphProto *graph;
    int64_t opset;
    int64_t images;       /* that the graph says its input has */
    bool has_open_images; /* it says none */
    const char
        *input_keys; /* of the net's input line: how pictures are prepared, as strata wrote it; NULL: not known */
    st_foreign foreign;
    st_arena *scratch; /* until the file is read */
    st_lacks lacks;
    st_onnx_value *values; /* a table by name; capacity is a power of two */
    size_t capacity;
    bool *is_done; /* [nodes]: needs nothing more, or is not needed */
    size_t node;   /* the one being read */
    st_text note;
} st_onnx;

/* ---- nodes ---- */

typedef strata_status (*st_onnx_reader)(st_onnx *o, const Onnx__NodeProto *node, strata_error *err);
typedef struct st_onnx_operator {
    const char *name;
    st_onnx_reader read;
} st_onnx_operator;
/* Lists that end with NULL. */
extern const st_onnx_operator st_onnx_layers[], st_onnx_pools[], st_onnx_functions[], st_onnx_shapes[], st_onnx_sums[],
    st_onnx_samples[], st_onnx_lrn[];
extern const st_onnx_operator st_onnx_of_squares[]; /* on ST_ONNX_SQUARES */

/* STRATA_FORMAT, "node 3 (Conv 'conv1'): ...". */
strata_status st_onnx_fail(const st_onnx *o, strata_error *err, const char *format, ...) ST_PRINTF(3, 4);
/* This node cannot be had: goes into the list, and what it makes is unknown. */
strata_status st_onnx_lack(st_onnx *o, const Onnx__NodeProto *node, const char *format, ...) ST_PRINTF(3, 4);

const Onnx__AttributeProto *st_onnx_find_attribute(const Onnx__NodeProto *node, const char *name); /* NULL: not there */
int64_t st_onnx_int(const Onnx__NodeProto *node, const char *name, int64_t standard);
double st_onnx_real(const Onnx__NodeProto *node, const char *name, double standard);
/* A list of `count` numbers, which are `standard` where it is not there. */
strata_status st_onnx_ints(int64_t *out, size_t count, const st_onnx *o, const Onnx__NodeProto *node, const char *name,
                           int64_t standard, strata_error *err);

/* ---- windows ---- */

typedef struct st_onnx_window {
    int64_t kernel[2], stride[2], dilation[2], pad[4]; /* pad: top, left, bottom, right */
} st_onnx_window;
/* Of a node over `in`; the kernel is filled already. */
strata_status st_onnx_read_window(st_onnx_window *out, const st_onnx *o, const Onnx__NodeProto *node, st_dims in,
                                  strata_error *err);
/* Values with rows and columns as ONNX has them in front of a window. */
bool st_onnx_is_picture(const st_onnx_value *in);

/* The numbers of a Pad: before each side, then behind each. is_known: zeros, as many as `rank` wants, few enough. */
typedef struct st_onnx_pads {
    int64_t sides[2 * ST_ONNX_RANK_MAX];
    bool is_known;
} st_onnx_pads;
strata_status st_onnx_read_pads(st_onnx_pads *out, st_onnx *o, const Onnx__NodeProto *node, int rank,
                                strata_error *err);
/* A Pad that adds channels of zeros as `subsample` does: pads has 8 numbers. *did false: it is another one. */
strata_status st_onnx_pad_channels(bool *did, st_onnx *o, const Onnx__NodeProto *node, st_onnx_value *in,
                                   const int64_t *pads, strata_error *err);

/* ---- sides, and squares ---- */

/* Of values and of squares. */
strata_status st_onnx_read_same(st_onnx *o, const Onnx__NodeProto *node, strata_error *err);
strata_status st_onnx_read_cast(st_onnx *o, const Onnx__NodeProto *node, strata_error *err);
strata_status st_onnx_read_reshape(st_onnx *o, const Onnx__NodeProto *node, strata_error *err);
strata_status st_onnx_read_squeeze(st_onnx *o, const Onnx__NodeProto *node, strata_error *err);

/* Whether x * x, which `node` makes of `value`, can be the beginning of a local response normalization. */
bool st_onnx_is_chain(const st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *value);
/* What `node` makes are the squares of `value`, which is settled. */
strata_status st_onnx_begin_squares(st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *value,
                                    strata_error *err);
/* Gives squares these sides. */
strata_status st_onnx_squares_shape(st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *in, int rank,
                                    const int64_t *shape, strata_error *err);

/* ---- values ---- */

st_onnx_value *st_onnx_find(const st_onnx *o, const char *name); /* NULL: no such name */
/* Of input `index` of a node: *out NULL where it is not there (or ""); one that nothing has made is an error. */
strata_status st_onnx_input(st_onnx_value **out, st_onnx *o, const Onnx__NodeProto *node, size_t index,
                            strata_error *err);
/* The first output is what `value` says, all but its name and uses; others must not be needed. */
strata_status st_onnx_output(st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *value, strata_error *err);

/* The first input, a value of the net without numbers around it. *in NULL: the node has gone into the list. */
strata_status st_onnx_take(st_onnx_value **in, st_onnx *o, const Onnx__NodeProto *node, strata_error *err);
/* A layer that works on each element of `in`, and is all that the node does. */
strata_status st_onnx_put_function(st_onnx *o, const Onnx__NodeProto *node, st_onnx_value *in, const char *layer,
                                   strata_error *err);
/* A step of the net that makes *out from inputs; out's id is filled, the rest says what it is. */
strata_status st_onnx_step(st_onnx_value *out, st_onnx *o, const char *layer, const char *wish,
                           st_onnx_value *const *inputs, size_t count, strata_error *err);
/* A softmax and zeros around it become layers, sides in one become one in the net too. False in *can: it cannot be. */
strata_status st_onnx_settle(st_onnx *o, st_onnx_value *value, bool needs_flat, bool *can, strata_error *err);
int st_onnx_channel_axis(const st_onnx_value *value); /* -1: none */

/* ---- constants ---- */

/* What a TensorProto holds. */
strata_status st_onnx_constant(st_onnx_value *out, st_onnx *o, const Onnx__TensorProto *tensor, strata_error *err);
/* The values of a tensor that are in a file beside the model, `bytes` of them. */
strata_status st_onnx_external(st_tensor *to, st_weights *out, const Onnx__TensorProto *tensor, uint64_t bytes,
                               strata_error *err);
/* All values of a constant, in the arena. */
strata_status st_onnx_doubles(double **out, const st_onnx *o, const st_tensor *tensor, strata_error *err);
/* One number, of a constant that holds one. */
strata_status st_onnx_number(double *out, st_onnx *o, const st_onnx_value *value, strata_error *err);
/* A tensor of computed values: one side of `count`. */
strata_status st_onnx_vector(st_tensor *out, st_onnx *o, const double *values, size_t count, strata_error *err);
/* A constant of whole numbers, no more than ST_ONNX_INTS_MOST. */
strata_status st_onnx_whole(st_onnx_value *out, st_onnx *o, const int64_t *values, int rank, const int64_t *shape,
                            strata_error *err);
/* Reads nodes that work on constants alone: *did. */
strata_status st_onnx_fold(bool *did, st_onnx *o, const Onnx__NodeProto *node, strata_error *err);

/* "body.conv1" of "body.conv1.weight", in the arena; else of the node's own name; NULL: none that says something. */
strata_status st_onnx_wish(const char **out, st_onnx *o, const Onnx__NodeProto *node, const char *weight,
                           strata_error *err);
/* If the only thing that is done with what `node` makes is to add one constant to each of `channels`: these, and the
 * value that comes out, whose node is then done. NULL: it is not so. */
strata_status st_onnx_take_add(double **out, st_onnx *o, const Onnx__NodeProto *node, const st_onnx_value *made,
                               const Onnx__NodeProto **last, strata_error *err);
/* One number for each channel of `like` from a constant that ONNX would spread over it; NULL: it is not so. */
strata_status st_onnx_per_channel(double **out, st_onnx *o, const st_onnx_value *constant, const st_onnx_value *like,
                                  strata_error *err);
#endif

#endif
