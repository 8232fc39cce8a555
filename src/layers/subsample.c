/* subsample: every S-th row and column, and zeros for channels that are not there: the shortcut without weights that a
 * residual block needs where its size changes ("option A").
 *
 * y[p][q][k] = x[p * stride][q * stride][k - before] for 0 <= k - before < C, else 0; before = (K - C) / 2. */
#include <string.h>

#include "layers/layers.h"

typedef struct subsample_params {
    int64_t channels;
    int64_t stride[2];
} subsample_params;

static strata_status shape(st_infer *in, strata_error *err) {
    const subsample_params *params = in->params;
    st_dims dims = in->in[0];
    if (in->in_flat[0]) {
        return st_infer_fail(in, err, NULL, "needs rows and columns, but its input is a vector of %lld values",
                             (long long)dims.c);
    }
    if (params->channels < dims.c) {
        strata_status status = st_infer_fail(in, err, "channels", "%lld channels come in, %lld cannot hold them",
                                             (long long)dims.c, (long long)params->channels);
        st_error_hint(err, "it adds channels of zeros and drops none; conv 1x1 makes fewer");
        return status;
    }
    in->out = (st_dims){.h = (dims.h + params->stride[0] - 1) / params->stride[0],
                        .w = (dims.w + params->stride[1] - 1) / params->stride[1],
                        .c = params->channels};
    in->window = 1;
    in->window_stride = params->stride[0] > params->stride[1] ? params->stride[0] : params->stride[1];
    return STRATA_OK;
}

/* ---- running ---- */

/* Where the input's channels begin in a row of the output, and how many elements they are. */
typedef struct part {
    int64_t before, width;
} part;

static part part_of(const st_call *call, st_span small) {
    int64_t lanes = small.width / call->in[0].dims.c;
    return (part){.before = (call->out.dims.c - call->in[0].dims.c) / 2 * lanes, .width = small.width};
}

static int64_t source_row(const st_call *call, int64_t row) {
    const subsample_params *params = call->site->params;
    int64_t p = row / call->out.dims.w, q = row % call->out.dims.w;
    return p * params->stride[0] * call->in[0].dims.w + q * params->stride[1];
}

static void forward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    st_span x = st_span_of(&call->in[0], item), y = st_span_of(&call->out, item);
    part middle = part_of(call, x);
    int64_t after = middle.before + middle.width;
    for (int64_t row = 0; row < y.rows; row++) {
        st_real *to = y.data + row * y.stride;
        memset(to, 0, (size_t)middle.before * sizeof(st_real));
        memcpy(to + middle.before, x.data + source_row(call, row) * x.stride, (size_t)middle.width * sizeof(st_real));
        memset(to + after, 0, (size_t)(y.width - after) * sizeof(st_real));
    }
    const st_epilogue *end = &call->epilogue;
    if (end->scale != NULL || end->shift != NULL || end->residual.data != NULL ||
        end->activation != ST_ACTIVATION_NONE) {
        st_item_apply(call, &call->out, &call->out, end, item);
    }
}

static void backward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    if (call->din[0].data == NULL) {
        return;
    }
    st_span dx = st_span_of(&call->din[0], item), dy = st_span_of(&call->dout, item);
    part middle = part_of(call, dx);
    if (!call->din_add[0]) {
        st_span_zero(dx);
    }
    for (int64_t p = 0, row = 0; p < call->out.dims.h; p++, row += call->out.dims.w) {
        const subsample_params *params = call->site->params;
        st_span to = {.data = dx.data + source_row(call, row) * dx.stride,
                      .rows = call->out.dims.w,
                      .width = middle.width,
                      .stride = dx.stride * params->stride[1]};
        st_span from = {.data = dy.data + row * dy.stride + middle.before,
                        .rows = call->out.dims.w,
                        .width = middle.width,
                        .stride = dy.stride};
        if (call->din_add[0]) {
            st_span_add(call->site->kernels, to, to, from);
        } else {
            st_span_copy(to, from);
        }
    }
}

static void reference(const st_call *call) {
    const subsample_params *params = call->site->params;
    st_dims in = call->in[0].dims, out = call->out.dims;
    const st_real *x = call->in[0].data;
    st_real *y = call->out.data;
    for (int64_t n = 0; n < call->run->n; n++) {
        for (int64_t p = 0; p < out.h; p++) {
            for (int64_t q = 0; q < out.w; q++) {
                for (int64_t k = 0; k < out.c; k++) {
                    int64_t c = k - (out.c - in.c) / 2, h = p * params->stride[0], w = q * params->stride[1];
                    *y++ = c >= 0 && c < in.c ? x[((n * in.h + h) * in.w + w) * in.c + c] : 0;
                }
            }
        }
    }
}

static const st_impl impl = {.forward = {{.run = forward, .by_image = true}},
                             .backward = {{.run = backward, .by_image = true}},
                             .fuses_epilogue = true,
                             .reads_strided = true,
                             .writes_strided = true};

static strata_status to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    (void)err;
    const subsample_params *params = site->params;
    int64_t added = site->out.c - site->in[0].c, before = added / 2;
    if (params->stride[0] > 1 || params->stride[1] > 1) {
        st_onnx_node *slice = st_onnx_add(out, "Slice");
        st_onnx_read_list(slice, "starts", (int64_t[]){0, 0}, 2);
        st_onnx_read_list(slice, "ends", (int64_t[]){site->in[0].h, site->in[0].w}, 2);
        st_onnx_read_list(slice, "axes", (int64_t[]){2, 3}, 2);
        st_onnx_read_list(slice, "steps", params->stride, 2);
    }
    if (added > 0) {
        st_onnx_read_list(st_onnx_add(out, "Pad"), "pads", (int64_t[]){0, before, 0, 0, 0, added - before, 0, 0}, 8);
    }
    return STRATA_OK;
}

const st_op st_op_subsample = {
    .name = "subsample",
    .summary = "every S-th row and column, new channels zero: a shortcut without weights",
    .source = "He, Zhang, Ren, Sun 2015, arXiv:1512.03385, section 3.3 (option A) and 4.2",
    .examples = "input 8x8x16, subsample 32 stride=2\n"
                "input 7x9x5, subsample channels=12 stride=2\n"
                "input 6x6x4, subsample 7\n"
                "input 9x7x3, subsample 20 stride=3x2\n"
                "input 5x4x18, subsample 18\n"
                "input 8x8x4, add { | conv 3x3 8 stride=2 pad=1 | subsample 8 stride=2 }, relu\n",
    .notes = "(channels - input channels) / 2 channels of zeros come before the input's, the rest after, as in the\n"
             "published networks for CIFAR. With stride=1 and the same channels it is the identity and costs nothing,\n"
             "so a block can use it for all its shortcuts.",
    .params = {{.name = "channels",
                .kind = ST_PARAM_INT,
                .offset = offsetof(subsample_params, channels),
                .is_positional = true,
                .minimum = 1,
                .maximum = 1 << 24,
                .meaning = "output channels, at least those of the input"},
               {.name = "stride",
                .kind = ST_PARAM_PAIR,
                .offset = offsetof(subsample_params, stride),
                .standard = "1",
                .minimum = 1,
                .maximum = 64,
                .meaning = "takes every so many-th row x column, from the first on"}},
    .params_size = sizeof(subsample_params),
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = 1,
    .traits = ST_OP_IS_VIEW_OF_EQUAL,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &impl, [ST_LAYOUT_LANES] = &impl},
    .reference = reference,
    .to_onnx = to_onnx,
};
