/* layers: one file per layer, the contract of graph/op.h fulfilled. What several layers share is declared here. */
#ifndef ST_LAYERS_H
#define ST_LAYERS_H

#include "graph/op.h"
#include "kernels/kernels.h"

/* A window sliding over an image: convolution and pooling. Padding may differ before and after (pad=same). */
typedef struct st_window {
    int64_t r, s, stride_h, stride_w, pad_top, pad_left, pad_bottom, pad_right, dilation_h, dilation_w;
    int64_t p, q; /* output rows and columns */
} st_window;

/* What a layer says about its window. pad -1 -1 is the word `same`: ceil(size / stride) outputs, the odd row or column
 * of padding at the end (ONNX SAME_UPPER). dilation NULL: 1. */
typedef struct st_window_params {
    const int64_t *kernel, *stride, *pad, *dilation; /* [2], rows and columns */
    bool is_ceil; /* a window that sticks out at the end counts, if it begins inside */
} st_window_params;

/* The geometry over an image of h x w. Cannot fail; p or q is below 1 where no window fits. */
st_window st_window_of(const st_window_params *params, st_dims in);
/* The same for a shape function, with messages that name the sizes. `out` may be used without look at p and q. */
strata_status st_window_infer(st_window *out, const st_infer *in, const st_window_params *params, strata_error *err);

typedef struct st_conv_params {
    int64_t kernel[2];
    int64_t filters;
    int64_t stride[2], pad[2], dilation[2];
    int64_t groups;
    bool bias;
    int init;
} st_conv_params;
enum { ST_CONV_WEIGHT, ST_CONV_BIAS };         /* states; of fc too */
st_window st_conv_window(const st_site *site); /* of a site that passed shape inference */
/* Where an implementation keeps the weights of filter k over channel c of its group: window row by row, the first of
 * them and the step from one to the next. */
typedef struct st_conv_place {
    int64_t first, step;
} st_conv_place;
st_conv_place st_conv_nhwc_place(const st_site *site, int64_t k, int64_t c);
st_conv_place st_conv_lanes_place(const st_site *site, int64_t k, int64_t c);

typedef struct st_fc_params {
    int64_t outputs;
    bool bias;
    int init;
} st_fc_params;

/* *out = the product of positive factors; false where it would pass 2^61. */
bool st_layer_product(int64_t *out, const int64_t *factors, size_t count);

/* An item of a value (as st_phase counts items: an image, in LANES a block of 16) as rows of neighbouring elements: a
 * row is a pixel, and its elements are the channels, in LANES 16 to each. */
typedef struct st_span {
    st_real *data;
    int64_t rows, width, stride; /* elements */
} st_span;
st_span st_span_of(const st_view *view, int64_t item);
void st_span_copy(st_span to, st_span from);
void st_span_zero(st_span span);
void st_span_add(const st_kernels *kernels, st_span to, st_span a, st_span b); /* to = a + b; `to` may be one of them */
/* A value that no cache will hold, of whole lines: may be stored past them. */
bool st_view_streams(const st_call *call, const st_view *view);
/* Images of the item that exist: 1, in LANES 1 to 16. */
int64_t st_item_images(const st_call *call, const st_view *view, int64_t item);
/* Numbers that each channel of each image has one of, [images][c]: from the [c][16 images] of an item in LANES. */
void st_item_scatter(const st_call *call, st_real *to, const st_real *from, int64_t item);
/* The sum over the images, `pitch` apart: in pairs, neighbours first, in double. */
double st_sum_images(const st_real *of, int64_t pitch, int64_t count);
/* out = activation(fma(in, scale, shift) + residual) for one item; scale, shift [c] or NULL. in.data == out.data is
 * allowed. */
void st_item_apply(const st_call *call, const st_view *out, const st_view *in, const st_epilogue *epilogue,
                   int64_t item);
/* target (+)= dout * activation'(out); target.data == dout.data is allowed. */
void st_item_activate_backward(const st_call *call, const st_view *target, bool add, st_activation activation,
                               int64_t item);
/* din (+)= dout; nothing where din has no data. */
void st_item_pass_back(const st_call *call, const st_view *din, bool add, int64_t item);

/* For the executor, before a backward pass of a step that fused an epilogue, one item (as st_phase counts them):
 * dout *= activation'(out) in place; the result goes (add: is added) into the residual's gradient, if it has data. */
void st_epilogue_backward(const st_call *call, st_activation activation, const st_view *dresidual, bool add,
                          int64_t item);

/* For to_onnx: another node of the chain, its attributes, and what it reads behind what the layer takes. */
st_onnx_node *st_onnx_add(st_onnx_form *form, const char *op_type);
void st_onnx_set(st_onnx_node *node, const char *name, int64_t value);
void st_onnx_set_real(st_onnx_node *node, const char *name, double value);
void st_onnx_set_list(st_onnx_node *node, const char *name, const int64_t *values, int count);
void st_onnx_set_window(st_onnx_node *node, const st_window *window);
st_onnx_operand *st_onnx_read_state(st_onnx_node *node, int state);
void st_onnx_read_real(st_onnx_node *node, const char *name, double value);
void st_onnx_read_list(st_onnx_node *node, const char *name, const int64_t *values, int count);

extern const st_op st_op_input, st_op_conv, st_op_fc, st_op_maxpool, st_op_avgpool, st_op_bn, st_op_relu, st_op_tanh,
    st_op_sigmoid, st_op_softmax, st_op_dropout, st_op_flatten, st_op_add, st_op_concat, st_op_identity,
    st_op_cross_entropy, st_op_subsample, st_op_lrn, st_op_scale, st_op_scaled_tanh, st_op_conv_table, st_op_leaky_relu,
    st_op_clip, st_op_hard_sigmoid, st_op_hard_swish, st_op_mul, st_op_pad;

/* What a loss wants of an image. Of a mixed picture `label` is the one with the larger share (the first where both are
 * equal), and `moved` is what its target gives to `other`; 0 where there is nothing to give. */
typedef struct st_target {
    int32_t label, other;
    double moved;
} st_target;
st_target st_target_of(const st_run *run, int64_t image);

/* conv's phases, which conv_table runs as its own. */
enum { ST_CONV_FORWARD };
enum { ST_CONV_NHWC_TURN, ST_CONV_NHWC_BACKWARD, ST_CONV_NHWC_MERGE };
enum { ST_CONV_LANES_BACKWARD, ST_CONV_LANES_SUM };

/* Implementations that live in files of their own. */
extern const st_impl st_conv_nhwc, st_conv_lanes, st_fc_nhwc, st_fc_lanes, st_cross_entropy_nhwc,
    st_cross_entropy_lanes;

#endif
