/* conv: what the layer says of itself. Its arithmetic is in conv_nhwc.c and conv_lanes.c.
 *
 * y[n][p][q][k] = bias[k] + sum over c, r, s of x[n][p * stride + r * dilation - pad][...][c] * weight[k][c][r][s], the
 * sum over the input channels of k's group only. */
#include "layers/layers.h"

static st_window_params window_params(const st_conv_params *params) {
    return (st_window_params){
        .kernel = params->kernel, .stride = params->stride, .pad = params->pad, .dilation = params->dilation};
}

st_window st_conv_window(const st_site *site) {
    st_window_params params = window_params(site->params);
    return st_window_of(&params, site->in[0]);
}

static strata_status check_groups(const st_infer *in, const st_conv_params *params, strata_error *err) {
    int64_t channels = in->in[0].c;
    if (channels % params->groups != 0) {
        strata_status status = st_infer_fail(in, err, "groups", "%lld input channels do not divide into %lld groups",
                                             (long long)channels, (long long)params->groups);
        st_error_hint(err, "groups=%lld: one filter for each channel (depthwise)", (long long)channels);
        return status;
    }
    if (params->filters % params->groups != 0) {
        return st_infer_fail(in, err, "groups", "%lld filters do not divide into %lld groups",
                             (long long)params->filters, (long long)params->groups);
    }
    return STRATA_OK;
}

static strata_status shape(st_infer *in, strata_error *err) {
    const st_conv_params *params = in->params;
    st_window_params geometry = window_params(params);
    st_window window;
    ST_TRY(st_window_infer(&window, in, &geometry, err));
    ST_TRY(check_groups(in, params, err));
    int64_t channels = in->in[0].c / params->groups;
    int64_t count;
    if (!st_layer_product(&count, (int64_t[]){params->filters, channels, window.r, window.s, window.p, window.q}, 6)) {
        return st_infer_fail(in, err, "filters", "%lld filters of %lldx%lldx%lld are too many to count",
                             (long long)params->filters, (long long)window.r, (long long)window.s, (long long)channels);
    }
    in->multiply_adds = count;
    in->out = (st_dims){.h = window.p, .w = window.q, .c = params->filters};
    int64_t taps = window.r * window.s;
    in->state[ST_CONV_WEIGHT] = (st_state_dims){.rank = 4,
                                                .dims = {params->filters, channels, window.r, window.s},
                                                .fan_in = channels * taps,
                                                .fan_out = params->filters / params->groups * taps};
    if (params->bias) {
        in->state[ST_CONV_BIAS] = (st_state_dims){.rank = 1,
                                                  .dims = {params->filters},
                                                  .fan_in = channels * taps,
                                                  .fan_out = params->filters / params->groups * taps};
    }
    in->window = window.r > window.s ? window.r : window.s;
    in->window_stride = window.stride_h > window.stride_w ? window.stride_h : window.stride_w;
    in->window_dilation = window.dilation_h > window.dilation_w ? window.dilation_h : window.dilation_w;
    return STRATA_OK;
}

/* ---- reference ---- */

static double reference_output(const st_call *call, const st_window *window, int64_t n, int64_t p, int64_t q,
                               int64_t k) {
    const st_conv_params *params = call->site->params;
    st_dims dims = call->site->in[0];
    const st_real *x = call->in[0].data;
    int64_t channels = dims.c / params->groups, first = k / (params->filters / params->groups) * channels;
    double sum = 0;
    for (int64_t c = 0; c < channels; c++) {
        for (int64_t r = 0; r < window->r; r++) {
            for (int64_t s = 0; s < window->s; s++) {
                int64_t h = p * window->stride_h + r * window->dilation_h - window->pad_top;
                int64_t w = q * window->stride_w + s * window->dilation_w - window->pad_left;
                if (h >= 0 && h < dims.h && w >= 0 && w < dims.w) {
                    sum += (double)x[((n * dims.h + h) * dims.w + w) * dims.c + first + c] *
                           (double)call->state[ST_CONV_WEIGHT][((k * channels + c) * window->r + r) * window->s + s];
                }
            }
        }
    }
    return call->state[ST_CONV_BIAS] == NULL ? sum : sum + (double)call->state[ST_CONV_BIAS][k];
}

static void reference(const st_call *call) {
    st_window window = st_conv_window(call->site);
    st_real *y = call->out.data;
    for (int64_t n = 0; n < call->run->n; n++) {
        for (int64_t p = 0; p < window.p; p++) {
            for (int64_t q = 0; q < window.q; q++) {
                for (int64_t k = 0; k < call->out.dims.c; k++) {
                    *y++ = (st_real)reference_output(call, &window, n, p, q, k);
                }
            }
        }
    }
}

static strata_status to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    (void)err;
    const st_conv_params *params = site->params;
    st_window window = st_conv_window(site);
    st_onnx_node *node = st_onnx_add(out, "Conv");
    st_onnx_set_window(node, &window);
    if (params->groups != 1) {
        st_onnx_set(node, "group", params->groups);
    }
    st_onnx_read_state(node, ST_CONV_WEIGHT);
    if (params->bias) {
        st_onnx_read_state(node, ST_CONV_BIAS);
    }
    return STRATA_OK;
}

const st_op st_op_conv = {
    .name = "conv",
    .summary = "convolution: filters that slide over rows and columns",
    .source =
        "LeCun, Bottou, Bengio, Haffner 1998, section II; groups: Krizhevsky et al. 2012, section 3.2; dilation:\n"
        "Yu, Koltun 2016, arXiv:1511.07122",
    .examples = "input 28x28x1, conv 5x5 6 pad=2\n"
                "input 9x9x5, conv 3 7\n"
                "input 14x11x3, conv 7x7 20 stride=2 pad=3\n"
                "input 10x7x6, conv 1x1 33 bias=no\n"
                "input 9x8x16, conv 1x1 18 stride=2\n"
                "input 11x12x4, conv 3x3 8 dilation=2 pad=2\n"
                "input 9x9x12, conv 3x3 18 pad=1 groups=3\n"
                "input 8x10x9, conv 3x3 9 pad=1 groups=9 bias=no\n"
                "input 8x13x5, conv 3x2 6 stride=3x2 pad=same init=lecun\n"
                "input 12x12x70, conv 3x1 34 stride=1x2 pad=1x0\n",
    .notes =
        "Output rows: (rows + 2 pad - ((kernel - 1) dilation + 1)) / stride + 1, rounded down; columns alike.\n"
        "pad=same gives rows / stride, rounded up, and puts an odd row of zeros at the end (SAME_UPPER of ONNX; this\n"
        "differs from pad=1 where the stride is 2). Before bn write bias=no: bn adds its own.\n"
        "Weights are [filters][channels / groups][rows][columns].",
    .params = {{.name = "kernel",
                .kind = ST_PARAM_PAIR,
                .offset = offsetof(st_conv_params, kernel),
                .is_positional = true,
                .minimum = 1,
                .maximum = 255,
                .meaning = "rows x columns of the window; one number is a square"},
               {.name = "filters",
                .kind = ST_PARAM_INT,
                .offset = offsetof(st_conv_params, filters),
                .is_positional = true,
                .minimum = 1,
                .maximum = 1 << 24,
                .meaning = "output channels"},
               {.name = "stride",
                .kind = ST_PARAM_PAIR,
                .offset = offsetof(st_conv_params, stride),
                .standard = "1",
                .minimum = 1,
                .maximum = 64,
                .meaning = "step of the window, rows x columns"},
               {.name = "pad",
                .kind = ST_PARAM_PAIR,
                .offset = offsetof(st_conv_params, pad),
                .standard = "0",
                .minimum = 0,
                .maximum = 255,
                .words = "same",
                .meaning = "zeros around the image on each side, or same"},
               {.name = "dilation",
                .kind = ST_PARAM_PAIR,
                .offset = offsetof(st_conv_params, dilation),
                .standard = "1",
                .minimum = 1,
                .maximum = 64,
                .meaning = "distance of the window's rows and columns"},
               {.name = "groups",
                .kind = ST_PARAM_INT,
                .offset = offsetof(st_conv_params, groups),
                .standard = "1",
                .minimum = 1,
                .maximum = 1 << 24,
                .meaning = "channels and filters split into so many that do not see each other"},
               {.name = "bias",
                .kind = ST_PARAM_FLAG,
                .offset = offsetof(st_conv_params, bias),
                .standard = "yes",
                .meaning = "adds a trained number to each output channel"},
               {.name = "init",
                .kind = ST_PARAM_CHOICE,
                .offset = offsetof(st_conv_params, init),
                .standard = "auto",
                .words = ST_INIT_WORDS,
                .meaning = "how weights begin; auto: he before relu, else xavier"}},
    .params_size = sizeof(st_conv_params),
    .init_param_offset = offsetof(st_conv_params, init),
    .state =
        {[ST_CONV_WEIGHT] = {.name = "weight", .is_trained = true, .is_decayed = true, .init = ST_INIT_XAVIER_UNIFORM},
         [ST_CONV_BIAS] = {.name = "bias", .is_trained = true, .is_shift = true, .init = ST_INIT_ZERO}},
    .in_min = 1,
    .in_max = 1,
    .kind = STRATA_LAYER_CONV,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &st_conv_nhwc, [ST_LAYOUT_LANES] = &st_conv_lanes},
    .reference = reference,
    .to_onnx = to_onnx,
};
