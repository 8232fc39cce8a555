/* softmax: exp(x[c]) divided by the sum of exp over the channels, pixel by pixel. */
#include "layers/layers.h"

static strata_status shape(st_infer *in, strata_error *err) {
    (void)err;
    in->out = in->in[0];
    in->out_flat = in->in_flat[0];
    return STRATA_OK;
}

static void forward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    st_span x = st_span_of(&call->in[0], item), y = st_span_of(&call->out, item);
    call->site->kernels->softmax(y.data, y.stride, x.data, x.stride, x.rows, call->out.dims.c,
                                 (int)st_layout_lanes(call->out.layout));
}

static void backward(const st_call *call, int64_t item, void *scratch) {
    (void)scratch;
    if (call->din[0].data == NULL) {
        return;
    }
    st_span dx = st_span_of(&call->din[0], item), dy = st_span_of(&call->dout, item), y = st_span_of(&call->out, item);
    call->site->kernels->softmax_backward(dx.data, dx.stride, dy.data, dy.stride, y.data, y.stride, y.rows,
                                          call->out.dims.c, (int)st_layout_lanes(call->out.layout), call->din_add[0]);
}

static void reference(const st_call *call) {
    int64_t c = call->out.dims.c, rows = call->run->n * call->out.dims.h * call->out.dims.w;
    for (int64_t row = 0; row < rows; row++) {
        const st_real *x = (const st_real *)call->in[0].data + row * c;
        st_real *y = (st_real *)call->out.data + row * c;
        double best = (double)x[0], sum = 0;
        for (int64_t i = 0; i < c; i++) {
            best = (double)x[i] > best ? (double)x[i] : best;
        }
        for (int64_t i = 0; i < c; i++) {
            sum += st_exp((double)x[i] - best);
        }
        for (int64_t i = 0; i < c; i++) {
            y[i] = (st_real)(st_exp((double)x[i] - best) / sum);
        }
    }
}

static const st_impl impl = {.forward = {{.run = forward, .by_image = true}},
                             .backward = {{.run = backward, .by_image = true}},
                             .backward_reads = ST_READS_OUT,
                             .forward_in_place = true,
                             .reads_strided = true,
                             .writes_strided = true};

static strata_status to_onnx(st_onnx_form *out, const st_site *site, strata_error *err) {
    (void)site, (void)err;
    st_onnx_set(st_onnx_add(out, "Softmax"), "axis", 1);
    return STRATA_OK;
}

const st_op st_op_softmax = {
    .name = "softmax",
    .summary = "channels to probabilities that sum to 1",
    .source = "Bridle 1990, \"Probabilistic interpretation of feedforward classification network outputs\"",
    .examples = "input 1x1x10, softmax\n"
                "input 1x1x37, fc 21, softmax\n"
                "input 3x4x5, softmax\n",
    .notes = "Not before `output NAME loss=cross_entropy`: the loss contains it, and predictions are shown as\n"
             "probabilities anyway.",
    .init_param_offset = -1,
    .in_min = 1,
    .traits = ST_OP_GIVES_PROBABILITIES | ST_OP_IS_ATTACHED,
    .in_max = 1,
    .shape = shape,
    .impl = {[ST_LAYOUT_NHWC] = &impl, [ST_LAYOUT_LANES] = &impl},
    .reference = reference,
    .to_onnx = to_onnx,
};
