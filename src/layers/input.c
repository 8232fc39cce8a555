/* input: where a net begins. It computes nothing: whoever runs the plan writes the prepared pictures into its value. */
#include "layers/layers.h"

static strata_status check_list(const st_infer *in, const char *param, const st_list *list, int64_t channels,
                                bool is_positive, strata_error *err) {
    if (list->count != 0 && list->count != 1 && list->count != channels) {
        return st_infer_fail(in, err, param, "%s has %d numbers for %lld channels", param, list->count,
                             (long long)channels);
    }
    for (int i = 0; i < list->count; i++) {
        if (is_positive && !(list->values[i] > 0)) {
            return st_infer_fail(in, err, param, "%s must be above 0, found %g", param, list->values[i]);
        }
    }
    return STRATA_OK;
}

static strata_status shape(st_infer *in, strata_error *err) {
    const st_input_params *params = in->params;
    int64_t count;
    if (!st_layer_product(&count, params->shape, 3) || count > ST_DIMENSION_LIMIT) {
        return st_infer_fail(in, err, "shape", "a picture of %lldx%lldx%lld has more than %d values",
                             (long long)params->shape[0], (long long)params->shape[1], (long long)params->shape[2],
                             ST_DIMENSION_LIMIT);
    }
    ST_TRY(check_list(in, "mean", &params->mean, params->shape[2], false, err));
    ST_TRY(check_list(in, "std", &params->std, params->shape[2], true, err));
    in->out = (st_dims){.h = params->shape[0], .w = params->shape[1], .c = params->shape[2]};
    return STRATA_OK;
}

static const st_impl nothing_to_do = {.writes_strided = true};

const st_op st_op_input = {
    .name = "input",
    .summary = "the picture: height x width x channels",
    .source = "Krizhevsky, Sutskever, Hinton 2012, section 2: subtract the mean activity",
    .examples = "input 28x28x1\n"
                "input 32x32x3 mean=0.5 std=0.25\n"
                "input 224x224x3 mean=[0.485 0.456 0.406] std=[0.229 0.224 0.225]\n",
    .notes =
        "Begins every net, exactly once. Bytes 0..255 of a picture become (byte / 255 - mean) / std. The means and\n"
        "deviations that published weights were trained with are part of the net, so they stand here.\n"
        "A picture that is smaller than the input (28x28 digits in a 32x32 net) is centred on black, and black\n"
        "is the byte 0: the border holds (0 - mean) / std.",
    .params = {{.name = "shape",
                .kind = ST_PARAM_SHAPE,
                .offset = offsetof(st_input_params, shape),
                .is_positional = true,
                .minimum = 1,
                .maximum = ST_DIMENSION_LIMIT,
                .meaning = "height x width x channels of the picture"},
               {.name = "mean",
                .kind = ST_PARAM_LIST,
                .offset = offsetof(st_input_params, mean),
                .standard = "[]",
                .minimum = -1e6,
                .maximum = 1e6,
                .meaning = "subtracted from each channel (0..1): one number for all, or one per channel; none: 0"},
               {.name = "std",
                .kind = ST_PARAM_LIST,
                .offset = offsetof(st_input_params, std),
                .standard = "[]",
                .minimum = 0,
                .maximum = 1e6,
                .meaning = "each channel is divided by it: one number for all, or one per channel; none: 1"}},
    .params_size = sizeof(st_input_params),
    .init_param_offset = -1,
    .traits = ST_OP_IS_INPUT,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &nothing_to_do, [ST_LAYOUT_LANES] = &nothing_to_do},
};
