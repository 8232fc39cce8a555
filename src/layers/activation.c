/* relu, tanh, sigmoid, scaled_tanh: functions of each element. The plan fuses them into the layer before where it can;
 * what stands here runs where it cannot. Backward needs only the result: kernels/simd_math.h has the derivatives. */
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

static void reference_as(const st_call *call, double (*function)(double)) {
    int64_t count = call->run->n * call->out.dims.h * call->out.dims.w * call->out.dims.c;
    const st_real *x = call->in[0].data;
    st_real *y = call->out.data;
    for (int64_t i = 0; i < count; i++) {
        y[i] = (st_real)function((double)x[i]);
    }
}

/* ---- the functions by their definition ---- */

static double relu_of(double x) {
    return x > 0 ? x : 0;
}

static double tanh_of(double x) {
    double e = st_exp(-2 * (x < 0 ? -x : x)), size = (1 - e) / (1 + e);
    return x < 0 ? -size : size;
}

static double sigmoid_of(double x) {
    return 1 / (1 + st_exp(-x));
}

static double scaled_tanh_of(double x) {
    return 1.7159 * tanh_of(2 * x / 3);
}

/* ---- one implementation each ---- */

#define ACTIVATION_LAYER(NAME, name)                                                                                   \
    static void name##_forward(const st_call *call, int64_t item, void *scratch) {                                     \
        (void)scratch;                                                                                                 \
        forward_as(call, item, ST_ACTIVATION_##NAME);                                                                  \
    }                                                                                                                  \
    static void name##_backward(const st_call *call, int64_t item, void *scratch) {                                    \
        (void)scratch;                                                                                                 \
        backward_as(call, item, ST_ACTIVATION_##NAME);                                                                 \
    }                                                                                                                  \
    static void name##_reference(const st_call *call) {                                                                \
        reference_as(call, name##_of);                                                                                 \
    }                                                                                                                  \
    static const st_impl name##_impl = {.forward = {{.run = name##_forward, .by_image = true}},                        \
                                        .backward = {{.run = name##_backward, .by_image = true}},                      \
                                        .backward_reads = ST_READS_OUT,                                                \
                                        .forward_in_place = true,                                                      \
                                        .reads_strided = true,                                                         \
                                        .writes_strided = true};
ST_ACTIVATION_LIST(ACTIVATION_LAYER)

/* ---- what the layers say of themselves ---- */

static strata_status relu_to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    (void)site, (void)err;
    st_onnx_add(out, "Relu");
    return STRATA_OK;
}

static strata_status tanh_to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    (void)site, (void)err;
    st_onnx_add(out, "Tanh");
    return STRATA_OK;
}

static strata_status sigmoid_to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    (void)site, (void)err;
    st_onnx_add(out, "Sigmoid");
    return STRATA_OK;
}

static strata_status scaled_tanh_to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    (void)site, (void)err;
    st_onnx_read_real(st_onnx_add(out, "Mul"), "slope", 2.0 / 3.0);
    st_onnx_add(out, "Tanh");
    st_onnx_read_real(st_onnx_add(out, "Mul"), "height", 1.7159);
    return STRATA_OK;
}

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
    .traits = ST_OP_IS_ATTACHED,
    .activation = ST_ACTIVATION_RELU,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &relu_impl, [ST_LAYOUT_LANES] = &relu_impl},
    .reference = relu_reference,
    .to_onnx = relu_to_onnx,
};

const st_op st_op_tanh = {
    .name = "tanh",
    .summary = "hyperbolic tangent, -1 to 1",
    .source = "LeCun, Bottou, Orr, Mueller 1998, \"Efficient BackProp\", section 4.4",
    .examples = "input 5x7x3, tanh\n"
                "input 6x6x1, conv 3x3 6 pad=1, tanh\n"
                "input 1x1x40, tanh\n",
    .notes = "LeNet-5's function as it is taught today; the paper's own is scaled_tanh.",
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = 1,
    .traits = ST_OP_IS_ATTACHED,
    .activation = ST_ACTIVATION_TANH,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &tanh_impl, [ST_LAYOUT_LANES] = &tanh_impl},
    .reference = tanh_reference,
    .to_onnx = tanh_to_onnx,
};

const st_op st_op_scaled_tanh = {
    .name = "scaled_tanh",
    .summary = "1.7159 tanh(2 x / 3): 1 at 1, -1 at -1",
    .source = "LeCun, Bottou, Bengio, Haffner 1998, section II.B and appendix A; LeCun, Bottou, Orr, Mueller 1998,\n"
              "\"Efficient BackProp\", section 4.4",
    .examples = "input 5x7x3, scaled_tanh\n"
                "input 6x6x1, conv 3x3 6 pad=1, scaled_tanh\n"
                "input 1x1x37, fc 20, scaled_tanh\n",
    .notes = "Targets of 1 and -1 lie where it bends most, so they do not drive weights to infinity, and numbers of\n"
             "variance 1 keep about that. The 1998 LeNet-5's function.",
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = 1,
    .traits = ST_OP_IS_ATTACHED,
    .activation = ST_ACTIVATION_SCALED_TANH,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &scaled_tanh_impl, [ST_LAYOUT_LANES] = &scaled_tanh_impl},
    .reference = scaled_tanh_reference,
    .to_onnx = scaled_tanh_to_onnx,
};

const st_op st_op_sigmoid = {
    .name = "sigmoid",
    .summary = "1 / (1 + exp(-x)), 0 to 1",
    .source = "Rumelhart, Hinton, Williams 1986, \"Learning representations by back-propagating errors\"",
    .examples = "input 5x7x3, sigmoid\n"
                "input 1x1x33, fc 20, sigmoid\n",
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = 1,
    .traits = ST_OP_IS_ATTACHED,
    .activation = ST_ACTIVATION_SIGMOID,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &sigmoid_impl, [ST_LAYOUT_LANES] = &sigmoid_impl},
    .reference = sigmoid_reference,
    .to_onnx = sigmoid_to_onnx,
};
