/* The list of all layers. A new layer is a file in this folder and a line here. */
#include "layers/layers.h"

const st_op *const st_layer_table[] = {
    &st_op_input,     &st_op_conv,    &st_op_conv_table,    &st_op_fc,   &st_op_maxpool,      &st_op_avgpool,
    &st_op_bn,        &st_op_scale,   &st_op_relu,          &st_op_tanh, &st_op_scaled_tanh,  &st_op_sigmoid,
    &st_op_softmax,   &st_op_dropout, &st_op_flatten,       &st_op_add,  &st_op_concat,       &st_op_identity,
    &st_op_subsample, &st_op_lrn,     &st_op_leaky_relu,    &st_op_clip, &st_op_hard_sigmoid, &st_op_hard_swish,
    &st_op_mul,       &st_op_pad,     &st_op_cross_entropy, NULL,
};
