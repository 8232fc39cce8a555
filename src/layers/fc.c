/* fc: what the fully connected layer says of itself. Its arithmetic is in fc_nhwc.c and fc_lanes.c.
 *
 * y[n][k] = bias[k] + sum over j of x[n][j] * weight[k][j]. An input with rows and columns is read as a vector in c, h,
 * w order, as published weights have it. */
#include "layers/layers.h"

static strata_status shape(st_infer *in, strata_error *err) {
    const st_fc_params *params = in->params;
    st_dims dims = in->in[0];
    int64_t inputs, count;
    if (!st_layer_product(&inputs, (int64_t[]){dims.h, dims.w, dims.c}, 3) ||
        !st_layer_product(&count, (int64_t[]){inputs, params->outputs}, 2)) {
        return st_infer_fail(in, err, "outputs", "%lld outputs of %lldx%lldx%lld inputs are too many to count",
                             (long long)params->outputs, (long long)dims.h, (long long)dims.w, (long long)dims.c);
    }
    in->multiply_adds = count;
    in->out = (st_dims){.h = 1, .w = 1, .c = params->outputs};
    in->out_flat = true;
    in->sees_all = true;
    in->state[ST_CONV_WEIGHT] =
        (st_state_dims){.rank = 2, .dims = {params->outputs, inputs}, .fan_in = inputs, .fan_out = params->outputs};
    if (params->bias) {
        in->state[ST_CONV_BIAS] =
            (st_state_dims){.rank = 1, .dims = {params->outputs}, .fan_in = inputs, .fan_out = params->outputs};
    }
    return STRATA_OK;
}

static void reference(const st_call *call) {
    st_dims dims = call->site->in[0];
    int64_t inputs = dims.h * dims.w * dims.c, outputs = call->out.dims.c;
    const st_real *x = call->in[0].data;
    st_real *y = call->out.data;
    for (int64_t n = 0; n < call->run->n; n++) {
        for (int64_t k = 0; k < outputs; k++) {
            const st_real *weight = call->state[ST_CONV_WEIGHT] + k * inputs;
            double sum = 0;
            for (int64_t c = 0; c < dims.c; c++) {
                for (int64_t pixel = 0; pixel < dims.h * dims.w; pixel++) {
                    sum += (double)x[n * inputs + pixel * dims.c + c] * (double)*weight++;
                }
            }
            y[n * outputs + k] =
                (st_real)(call->state[ST_CONV_BIAS] == NULL ? sum : sum + (double)call->state[ST_CONV_BIAS][k]);
        }
    }
}

/* Gemm knows vectors alone; Flatten makes one in c, h, w order, as the weights are published. */
static strata_status to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    (void)err;
    const st_fc_params *params = site->params;
    if (!site->in_flat[0]) {
        st_onnx_set(st_onnx_add(out, "Flatten"), "axis", 1);
    }
    st_onnx_node *node = st_onnx_add(out, "Gemm");
    st_onnx_set(node, "transB", 1);
    st_onnx_read_state(node, ST_CONV_WEIGHT);
    if (params->bias) {
        st_onnx_read_state(node, ST_CONV_BIAS);
    }
    return STRATA_OK;
}

const st_op st_op_fc = {
    .name = "fc",
    .summary = "fully connected: each output sees every input",
    .source = "Rumelhart, Hinton, Williams 1986, \"Learning representations by back-propagating errors\"",
    .examples = "input 5x5x16, fc 120\n"
                "input 1x1x7, fc 10\n"
                "input 3x4x5, flatten, fc 33 bias=no\n"
                "input 2x2x40, fc 70, relu, fc 13 init=lecun\n",
    .notes =
        "Needs no flatten before it: rows and columns are read as a vector in channel, row, column order, which is\n"
        "the order of published weights. Weights are [outputs][inputs]. The last fc of a classifier has one output\n"
        "for each class and no softmax behind it: `output NAME loss=cross_entropy` contains the softmax.",
    .params = {{.name = "outputs",
                .kind = ST_PARAM_INT,
                .offset = offsetof(st_fc_params, outputs),
                .is_positional = true,
                .minimum = 1,
                .maximum = 1 << 24,
                .meaning = "length of the output vector"},
               {.name = "bias",
                .kind = ST_PARAM_FLAG,
                .offset = offsetof(st_fc_params, bias),
                .standard = "yes",
                .meaning = "adds a trained number to each output"},
               {.name = "init",
                .kind = ST_PARAM_CHOICE,
                .offset = offsetof(st_fc_params, init),
                .standard = "auto",
                .words = ST_INIT_WORDS,
                .meaning = "how weights begin; auto: he before relu, else xavier"}},
    .params_size = sizeof(st_fc_params),
    .init_param_offset = offsetof(st_fc_params, init),
    .state =
        {[ST_CONV_WEIGHT] = {.name = "weight", .is_trained = true, .is_decayed = true, .init = ST_INIT_XAVIER_UNIFORM},
         [ST_CONV_BIAS] = {.name = "bias", .is_trained = true, .is_shift = true, .init = ST_INIT_ZERO}},
    .in_min = 1,
    .in_max = 1,
    .traits = ST_OP_TAKES_SPATIAL_AS_FLAT,
    .kind = STRATA_LAYER_DENSE,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &st_fc_nhwc, [ST_LAYOUT_LANES] = &st_fc_lanes},
    .reference = reference,
    .to_onnx = to_onnx,
};
