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
    if (params->range != 1 && params->range != 255) {
        return st_infer_fail(in, err, "range", "range must be 1 or 255, found %lld", (long long)params->range);
    }
    if (params->order != 0 && params->shape[2] != 3) {
        return st_infer_fail(in, err, "order", "order=bgr needs 3 channels, the picture has %lld",
                             (long long)params->shape[2]);
    }
    int64_t shorter = params->shape[0] < params->shape[1] ? params->shape[0] : params->shape[1];
    if (params->resize != 0 && (params->resize < shorter || params->fit != 0)) {
        return st_infer_fail(
            in, err, "resize",
            "resize is the shorter side before the centre is cut: from %lld on, and not with fit=stretch",
            (long long)shorter);
    }
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
                "input 224x224x3 mean=[0.485 0.456 0.406] std=[0.229 0.224 0.225] resize=256\n"
                "input 227x227x3 range=255 order=bgr mean=[104 117 123] fit=stretch\n",
    .notes =
        "Begins every net, exactly once. Bytes 0..255 of a picture become (byte / 255 - mean) / std, with range=255\n"
        "(byte - mean) / std. What published weights were trained with is part of the net, so it stands here.\n"
        "Pictures that are a little smaller than the input (28x28 digits in a 32x32 net) are centred on black, and\n"
        "black is the byte 0: the border holds (0 - mean) / std. All others are resized in proportion until the\n"
        "shorter side is `resize` (8/7 of the input's where it is not given), and the centre is cut out;\n"
        "fit=stretch resizes to the input itself. Grey is spread over three channels, colour weighed to one.",
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
                .meaning = "each channel is divided by it: one number for all, or one per channel; none: 1"},
               {.name = "range",
                .kind = ST_PARAM_INT,
                .offset = offsetof(st_input_params, range),
                .standard = "1",
                .minimum = 1,
                .maximum = 255,
                .meaning = "what the largest byte counts as: 1, or 255 (Caffe)"},
               {.name = "order",
                .kind = ST_PARAM_CHOICE,
                .offset = offsetof(st_input_params, order),
                .words = "rgb|bgr",
                .standard = "rgb",
                .meaning = "of the three channels; mean and std are in this order"},
               {.name = "resize",
                .kind = ST_PARAM_INT,
                .offset = offsetof(st_input_params, resize),
                .standard = "0",
                .minimum = 0,
                .maximum = ST_DIMENSION_LIMIT,
                .meaning = "the shorter side before the centre is cut out; 0: 8/7 of the input's"},
               {.name = "fit",
                .kind = ST_PARAM_CHOICE,
                .offset = offsetof(st_input_params, fit),
                .words = "crop|stretch",
                .standard = "crop",
                .meaning = "crop keeps the proportions, stretch does not"},
               {.name = "filter",
                .kind = ST_PARAM_CHOICE,
                .offset = offsetof(st_input_params, filter),
                .words = "bilinear|bicubic",
                .standard = "bilinear",
                .meaning = "antialiased, as Pillow resizes"}},
    .params_size = sizeof(st_input_params),
    .init_param_offset = -1,
    .traits = ST_OP_IS_INPUT,
    .kind = STRATA_LAYER_INPUT,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &nothing_to_do, [ST_LAYOUT_LANES] = &nothing_to_do},
};
