/* pad: zeros around an image, on each side as many as the net says. Convolution and pooling have a padding of their
 * own; this is for where the sides differ. */
#include "layers/layers.h"

typedef struct pad_params {
    int64_t top, left, bottom, right;
} pad_params;

static strata_status shape(st_infer *in, strata_error *err) {
    const pad_params *params = in->params;
    st_dims dims = in->in[0];
    if (in->in_flat[0]) {
        return st_infer_fail(in, err, NULL, "needs rows and columns, but its input is a vector of %lld values",
                             (long long)dims.c);
    }
    in->out =
        (st_dims){.h = dims.h + params->top + params->bottom, .w = dims.w + params->left + params->right, .c = dims.c};
    return STRATA_OK;
}

/* One row of the image inside of the larger one. */
static st_span inner_row(const st_call *call, st_span whole, int64_t row) {
    const pad_params *params = call->site->params;
    int64_t first = (row + params->top) * call->site->out.w + params->left;
    return (st_span){.data = whole.data + first * whole.stride,
                     .rows = call->site->in[0].w,
                     .width = whole.width,
                     .stride = whole.stride};
}

static st_span outer_row(const st_call *call, st_span image, int64_t row) {
    image.data += row * call->site->in[0].w * image.stride;
    image.rows = call->site->in[0].w;
    return image;
}

static void forward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    st_span x = st_span_of(&call->in[0], item), y = st_span_of(&call->out, item);
    st_span_zero(y);
    for (int64_t row = 0; row < call->site->in[0].h; row++) {
        st_span_copy(inner_row(call, y, row), outer_row(call, x, row));
    }
}

static void backward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    if (call->din[0].data == NULL) {
        return;
    }
    st_span dx = st_span_of(&call->din[0], item), dy = st_span_of(&call->dout, item);
    for (int64_t row = 0; row < call->site->in[0].h; row++) {
        st_span to = outer_row(call, dx, row), from = inner_row(call, dy, row);
        if (call->din_add[0]) {
            st_span_add(call->site->kernels, to, to, from);
        } else {
            st_span_copy(to, from);
        }
    }
}

static void reference(const st_call *call) {
    const pad_params *params = call->site->params;
    st_dims in = call->in[0].dims, out = call->out.dims;
    const st_real *x = call->in[0].data;
    st_real *y = call->out.data;
    for (int64_t n = 0; n < call->run->n; n++) {
        for (int64_t p = 0; p < out.h; p++) {
            for (int64_t q = 0; q < out.w; q++) {
                int64_t h = p - params->top, w = q - params->left;
                bool is_inside = h >= 0 && h < in.h && w >= 0 && w < in.w;
                for (int64_t c = 0; c < out.c; c++) {
                    *y++ = is_inside ? x[((n * in.h + h) * in.w + w) * in.c + c] : 0;
                }
            }
        }
    }
}

static const st_impl impl = {.forward = {{.run = forward, .by_image = true}},
                             .backward = {{.run = backward, .by_image = true}},
                             .reads_strided = true,
                             .writes_strided = true};

static strata_status to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    (void)err;
    const pad_params *params = site->params;
    const int64_t pads[8] = {0, 0, params->top, params->left, 0, 0, params->bottom, params->right};
    st_onnx_read_list(st_onnx_add(out, "Pad"), "pads", pads, 8);
    return STRATA_OK;
}

#define PAD_PARAM(side, words)                                                                                         \
    {                                                                                                                  \
        .name = #side, .kind = ST_PARAM_INT, .offset = offsetof(pad_params, side), .standard = "0", .minimum = 0,      \
        .maximum = 4096, .meaning = words                                                                              \
    }

const st_op st_op_pad = {
    .name = "pad",
    .summary = "zeros around the image, on each side as many as it says",
    .source = "ONNX, operator Pad, mode constant",
    .examples = "input 6x5x8, pad top=1 left=1 bottom=1 right=1\n"
                "input 7x4x3, pad bottom=1 right=1, conv 3x3 5 stride=2\n"
                "input 5x5x17, pad left=2 top=1\n"
                "input 4x4x2, pad\n",
    .notes = "Only for what `pad=` of a layer cannot say: there the sides are alike, or `same`.",
    .params = {PAD_PARAM(top, "rows above"), PAD_PARAM(left, "columns before"), PAD_PARAM(bottom, "rows below"),
               PAD_PARAM(right, "columns behind")},
    .params_size = sizeof(pad_params),
    .init_param_offset = -1,
    .in_min = 1,
    .in_max = 1,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &impl, [ST_LAYOUT_LANES] = &impl},
    .reference = reference,
    .to_onnx = to_onnx,
};
