/* relu, tanh, sigmoid: functions of each element. The plan fuses them into the layer before where it can; what stands
 * here runs where it cannot. Backward needs only the result: the derivatives are y > 0, 1 - y^2, y (1 - y). */
#include "layers/layers.h"

static strata_status shape(st_infer *in, strata_error *err) {
    (void)err;
    in->out = in->in[0];
    in->out_flat = in->in_flat[0];
    return STRATA_OK;
}

static void forward_as(const st_call *call, int64_t item, st_activation activation) {
    st_item_apply(call, &call->out, &call->in[0], &(st_epilogue){.activation = activation}, item);
}

static void backward_as(const st_call *call, int64_t item, st_activation activation) {
    if (call->din[0].data != NULL) {
        st_item_activate_backward(call, &call->din[0], call->din_add[0], activation, item);
    }
}

static int64_t count_of(const st_call *call) {
    return call->run->n * call->out.dims.h * call->out.dims.w * call->out.dims.c;
}

/* ---- relu ---- */

static void relu_forward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    forward_as(call, item, ST_ACTIVATION_RELU);
}

static void relu_backward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    backward_as(call, item, ST_ACTIVATION_RELU);
}

static void relu_reference(const st_call *call) {
    const st_real *x = call->in[0].data;
    st_real *y = call->out.data;
    for (int64_t i = 0; i < count_of(call); i++) {
        y[i] = x[i] > 0 ? x[i] : 0;
    }
}

static const st_impl relu_impl = {.forward = {{.run = relu_forward, .by_image = true}},
                                  .backward = {{.run = relu_backward, .by_image = true}},
                                  .backward_reads_out = true,
                                  .is_in_place = true,
                                  .reads_strided = true,
                                  .writes_strided = true};

const st_op st_op_relu = {
    .name = "relu",
    .summary = "max(x, 0)",
    .source = "Nair, Hinton 2010, \"Rectified linear units improve restricted Boltzmann machines\"",
    .examples = "input 5x7x3, relu\n"
                "input 4x4x16, conv 3x3 5, relu\n"
                "input 1x1x19, fc 7, relu\n",
    .notes = "Layers before it begin with He's initialisation unless they say otherwise.",
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = 1,
    .activation = ST_ACTIVATION_RELU,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &relu_impl, [ST_LAYOUT_LANES] = &relu_impl},
    .reference = relu_reference,
};

/* ---- tanh ---- */

static void tanh_forward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    forward_as(call, item, ST_ACTIVATION_TANH);
}

static void tanh_backward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    backward_as(call, item, ST_ACTIVATION_TANH);
}

static void tanh_reference(const st_call *call) {
    const st_real *x = call->in[0].data;
    st_real *y = call->out.data;
    for (int64_t i = 0; i < count_of(call); i++) {
        double e = st_exp(-2 * (x[i] < 0 ? -(double)x[i] : (double)x[i]));
        double size = (1 - e) / (1 + e);
        y[i] = (st_real)(x[i] < 0 ? -size : size);
    }
}

static const st_impl tanh_impl = {.forward = {{.run = tanh_forward, .by_image = true}},
                                  .backward = {{.run = tanh_backward, .by_image = true}},
                                  .backward_reads_out = true,
                                  .is_in_place = true,
                                  .reads_strided = true,
                                  .writes_strided = true};

const st_op st_op_tanh = {
    .name = "tanh",
    .summary = "hyperbolic tangent, -1 to 1",
    .source = "LeCun, Bottou, Orr, Mueller 1998, \"Efficient BackProp\", section 4.4",
    .examples = "input 5x7x3, tanh\n"
                "input 6x6x1, conv 3x3 6 pad=1, tanh\n"
                "input 1x1x40, tanh\n",
    .notes = "LeNet-5's function here; the paper scales it: 1.7159 tanh(2x / 3).",
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = 1,
    .activation = ST_ACTIVATION_TANH,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &tanh_impl, [ST_LAYOUT_LANES] = &tanh_impl},
    .reference = tanh_reference,
};

/* ---- sigmoid ---- */

static void sigmoid_forward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    forward_as(call, item, ST_ACTIVATION_SIGMOID);
}

static void sigmoid_backward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    backward_as(call, item, ST_ACTIVATION_SIGMOID);
}

static void sigmoid_reference(const st_call *call) {
    const st_real *x = call->in[0].data;
    st_real *y = call->out.data;
    for (int64_t i = 0; i < count_of(call); i++) {
        y[i] = (st_real)(1 / (1 + st_exp(-(double)x[i])));
    }
}

static const st_impl sigmoid_impl = {.forward = {{.run = sigmoid_forward, .by_image = true}},
                                     .backward = {{.run = sigmoid_backward, .by_image = true}},
                                     .backward_reads_out = true,
                                     .is_in_place = true,
                                     .reads_strided = true,
                                     .writes_strided = true};

const st_op st_op_sigmoid = {
    .name = "sigmoid",
    .summary = "1 / (1 + exp(-x)), 0 to 1",
    .source = "Rumelhart, Hinton, Williams 1986, \"Learning representations by back-propagating errors\"",
    .examples = "input 5x7x3, sigmoid\n"
                "input 1x1x33, fc 20, sigmoid\n",
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = 1,
    .activation = ST_ACTIVATION_SIGMOID,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &sigmoid_impl, [ST_LAYOUT_LANES] = &sigmoid_impl},
    .reference = sigmoid_reference,
};
